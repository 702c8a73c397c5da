package handlers_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

// The month's movements add up on the page, for the agency, for its client, and
// for the agency that looks at its client's.
func TestTheStatementAddsUpOnItsFace(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		owner, client := p.as("owner"), p.as("client")
		path := acmePath(p)
		require.Equal(t, path, owner.fill(path+"/assign", path+"/assign", url.Values{"credits": {"5000"}, "note": {"Welcome"}}).to())
		p.charge("sub:northwind/acme")
		for _, who := range []answer{client.get("/statement"), owner.get(path + "/statement")} {
			require.Equal(t, http.StatusOK, who.StatusCode)
			require.Contains(t, who.main(), "From Northwind Agency +5,000")
			require.Contains(t, who.main(), "0 + 5,000 − 25 = 4,975")
			require.NotContains(t, who.body, "cost", "a client's statement knows no costs")
		}
		require.Contains(t, owner.get("/statement").main(), "Assigned to clients −5,000")
		csv := client.get("/statement.csv")
		require.Equal(t, http.StatusOK, csv.StatusCode)
		require.Contains(t, csv.body, ",closing,,,,4975\r\n")
		require.Equal(t, http.StatusNotFound, client.get("/statement?month=1999-01").StatusCode)
		require.Equal(t, http.StatusNotFound, client.get("/statement?month=now").StatusCode)
		require.Equal(t, http.StatusOK, owner.get("/statement?month="+owner.get("/statement").doc().Find("time").First().AttrOr("datetime", "2026-03")[:7]).StatusCode)
	})
}
