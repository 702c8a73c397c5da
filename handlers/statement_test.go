package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
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
		for _, who := range []answer{client.get("/statement.pdf"), owner.get(path + "/statement.pdf")} {
			require.Equal(t, "application/pdf", who.Header.Get("Content-Type"))
			require.Contains(t, who.Header.Get("Content-Disposition"), `filename="acme`)
			text := inPDF(t, who.body)
			for _, part := range []string{"Northwind Agency", "ACME", "From Northwind Agency", "+5,000", "−25", "4,975", "0 + 5,000 − 25 = 4,975"} {
				require.Contains(t, text, part)
			}
			require.NotContains(t, text+who.body, "Refill", "a client's statement is its agency's")
		}
		require.Contains(t, inPDF(t, owner.get("/statement.pdf").body), "Assigned to clients")
		require.Equal(t, http.StatusNotFound, client.get("/statement.pdf?month=1999-01").StatusCode)
		require.Equal(t, http.StatusNotFound, client.get("/statement?month=1999-01").StatusCode)
		require.Equal(t, http.StatusNotFound, client.get("/statement?month=now").StatusCode)
		require.Equal(t, http.StatusOK, owner.get("/statement?month="+owner.get("/statement").doc().Find("time").First().AttrOr("datetime", "2026-03")[:7]).StatusCode)
	})
}

// A client's line opens to its action, rate, version and lots, and never to what
// its agency paid for them; the agency's does.
func TestAClientsLineTellsNoCost(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner, client := p.as("owner"), p.as("client")
	path := acmePath(p)
	require.Equal(t, path, owner.fill(path+"/assign", path+"/assign", url.Values{"credits": {"5000"}, "note": {"Welcome"}}).to())
	require.NoError(t, p.db.Write.Model(&models.RateCard{}).Where("1 = 1").Update("name", "Refill house rates").Error)
	charge := p.charge("sub:northwind/acme")
	mine, theirs := client.get("/history/"+charge), owner.get("/history/"+charge)
	for _, a := range []answer{mine, theirs} {
		require.Equal(t, http.StatusOK, a.StatusCode)
		for _, part := range []string{"Balance before5,000", "Change−25", "Balance after4,975", "1 × 25 = 25", "version 1", "Assigned credits", charge} {
			require.Contains(t, a.main(), part)
		}
	}
	require.Contains(t, theirs.main(), "Cost each")
	require.Contains(t, theirs.main(), "Refill house rates, version 1")
	require.NotContains(t, strings.ToLower(mine.body), "refill", "the platform names its rate cards")
	lines := client.get("/history")
	pages := []string{"/history/" + charge}
	for _, a := range lines.doc().Find("main table a").EachIter() {
		pages = append(pages, a.AttrOr("href", ""))
	}
	require.Greater(t, len(pages), 1)
	for _, address := range pages {
		words := client.get(address).main()
		for _, secret := range []string{"Cost each", "cost each", "margin", "Refill", "owner@"} {
			require.NotContains(t, words, secret, address)
		}
	}
}
