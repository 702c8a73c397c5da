package handlers_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

// A quote says to whoever has its link what the calculator said when it was saved,
// in the agency's name, and no longer once it has expired or was ended.
func TestAQuoteHoldsUntilItExpires(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		p.selling(p.northwind)
		owner, client := p.as("owner"), p.as("client")
		save := func(name, days string) string {
			t.Helper()
			return owner.fill("/calculator?c=500", "/calculator/quotes", url.Values{"query": {"c=500&r=7"}, "name": {name}, "days": {days}}).to()
		}
		require.Equal(t, "/calculator?c=500&r=7", save("", "14"), "a quote has a name")
		require.Equal(t, "/calculator?c=500&r=7", save("Acme", "91"))
		require.Equal(t, "/quotes", save("Acme Dental", "14"))
		require.Equal(t, "/quotes", save("Second", "90"))
		var rows []models.SavedQuote
		require.NoError(t, db.Read.Order("name").Find(&rows).Error)
		require.Len(t, rows, 2)
		for _, q := range rows {
			require.Contains(t, owner.get("/quotes").main(), "/q/"+q.Token)
		}
		at := "/q/" + rows[0].Token
		before := client.get(at)
		require.Equal(t, http.StatusOK, before.StatusCode)
		for _, want := range []string{"Quote: Acme Dental", "Northwind Agency", "500 conversations", "credits a month"} {
			require.Contains(t, before.main(), want)
		}
		require.NotContains(t, before.body, "credits-2000", "a client reads of packages, not of packs")
		require.Equal(t, http.StatusNotFound, owner.get(at).StatusCode, "it is shown on the agency's portal")
		require.Equal(t, http.StatusNotFound, client.get("/q/"+rows[0].Token+"x").StatusCode)

		// What is sold changes; the quote does not.
		require.NoError(t, db.Write.Model(&models.Package{}).Where("agency_id = ?", p.northwind.ID).Update("price", 1).Error)
		require.Equal(t, before.main(), client.get(at).main())

		require.Equal(t, "/quotes", owner.fill("/quotes", "/quotes/"+rows[1].ID.String()+"/end", url.Values{}).to())
		require.Equal(t, http.StatusGone, client.get("/q/"+rows[1].Token).StatusCode)
		require.NoError(t, db.Write.Model(&models.SavedQuote{}).Where("agency_id = ? AND id = ?", rows[0].AgencyID, rows[0].ID).
			Update("expires_at", p.billing.Now().Add(-time.Second)).Error)
		gone := client.get(at)
		require.Equal(t, http.StatusGone, gone.StatusCode)
		require.Contains(t, gone.main(), "no longer holds")
		require.NotContains(t, gone.main(), "credits a month")
	})
}
