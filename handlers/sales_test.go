package handlers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// soldTo is a sale of a package to a client, paid.
func (p *portal) soldTo(sub models.SubAccount, pkg models.Package) {
	p.t.Helper()
	account, err := p.billing.AccountOf(p.t.Context(), sub.WalletID)
	require.NoError(p.t, err)
	sale, err := p.billing.BuyPackage(p.t.Context(), billing.PackageInput{Account: account, Package: pkg.ID.String(), Key: pkg.Name + sub.Name, By: "test"})
	require.NoError(p.t, err)
	p.till.pay(sale.CheckoutSession)
	sale, err = p.billing.Settle(p.t.Context(), sale.AgencyID, sale.ID)
	require.NoError(p.t, err)
	require.Equal(p.t, models.PurchaseCredited, sale.Status)
}

// The period and the client that the address names hold for the list and its file
// as for the sums.
func TestSalesAreListedByPeriodAndClient(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("owner")
		none := b.get("/sales").main()
		require.Contains(t, none, "Nothing sold yet.")
		require.Contains(t, none, clients, "there is a link to send to clients")
		growth := p.selling(p.northwind)
		birch, err := p.billing.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{
			Agency: p.northwind.ID, ExternalID: "birch", Name: "Birch", Funding: models.Prepaid, By: "test",
		})
		require.NoError(t, err)
		p.soldTo(p.acme, growth)
		p.clock.set(begin.Add(40 * 24 * time.Hour))
		p.soldTo(birch, growth)

		listed := func(query string) []string {
			t.Helper()
			page := b.get("/sales" + query)
			require.Equal(t, http.StatusOK, page.StatusCode)
			var out []string
			for _, row := range page.doc().Find("#sales ~ * td[data-l=Client], section[aria-labelledby=sales] td[data-l=Client]").EachIter() {
				out = append(out, row.Text())
			}
			file := b.get(page.doc().Find(`a:contains("Export CSV")`).AttrOr("href", "/sales.csv"+query))
			require.Len(t, out, strings.Count(file.body, "\n")-1, "the file is of what is listed")
			return out
		}
		require.Equal(t, []string{"Birch"}, listed(""))
		require.Equal(t, []string{"Birch"}, listed("?p=30d"))
		require.Equal(t, []string{"Birch", "ACME"}, listed("?p=90d"))
		require.Equal(t, []string{"ACME"}, listed("?p=90d&client="+p.acme.ID.String()))
		require.Empty(t, listed("?p=30d&client="+p.acme.ID.String()))
		require.Contains(t, b.get("/sales?p=30d&client="+p.acme.ID.String()).main(), "Sales to ACME")
		require.Equal(t, 3, strings.Count(b.get("/sales.csv").body, "\n"), "a file without a period is of all")
		for _, wrong := range []string{p.maple.ID.String(), "nobody"} {
			require.Equal(t, http.StatusNotFound, b.get("/sales?client="+wrong).StatusCode)
			require.Equal(t, http.StatusNotFound, b.get("/sales.csv?client="+wrong).StatusCode)
		}
	})
}

// Packages and clients are sorted by what they brought, either way round.
func TestSalesAreSorted(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	growth := p.selling(p.northwind)
	small, err := p.billing.SavePackage(t.Context(), billing.Scope{}, billing.PackageEdit{
		Agency: p.northwind.ID, Name: "Small", Credits: 1000 * models.Credit, Price: 20_00, Audience: models.AudienceAll, CostBasis: models.CostHeld, OnSale: true, By: "test",
	})
	require.NoError(t, err)
	p.soldTo(p.acme, growth)        // $60.00
	p.soldTo(p.acme, small.Package) // $20.00, at the better margin
	order := func(query string) (names []string) {
		t.Helper()
		page := b.get("/sales" + query)
		for _, row := range page.doc().Find(`table:has(caption:contains("Sales by package")) tbody th a`).EachIter() {
			names = append(names, row.Text())
		}
		return names
	}
	for query, want := range map[string][]string{
		"": {"Growth", "Small"}, "?sort=profit": {"Growth", "Small"}, "?sort=margin": {"Small", "Growth"}, "?sort=margin&turned=1": {"Growth", "Small"}, "?sort=luck": {"Growth", "Small"},
	} {
		require.Equal(t, want, order(query), query)
	}
	head := b.get("/sales?p=30d&sort=margin").doc().Find(`table:has(caption:contains("Sales by package")) th[aria-sort]`)
	require.Equal(t, "Margin", head.Text())
	require.Equal(t, "/sales?p=30d&sort=margin&turned=1", head.Find("a").AttrOr("href", ""), "once more turns it round")
	require.Equal(t, "https://dashboard.stripe.com/acct_northwind", b.get("/sales").doc().Find(`main a:contains("Payouts")`).AttrOr("href", ""))
	require.Zero(t, p.as("member").get("/sales").doc().Find(`main a:contains("Payouts")`).Length())
}
