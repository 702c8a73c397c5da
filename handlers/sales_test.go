package handlers_test

import (
	"encoding/csv"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
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

// What is not paid has brought nothing: the file says so as the page does, and its
// profits come to the period's.
func TestAnUnpaidSaleHasNoProfit(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	growth := p.selling(p.northwind)
	p.soldTo(p.acme, growth)
	account, err := p.billing.AccountOf(t.Context(), p.acme.WalletID)
	require.NoError(t, err)
	_, err = p.billing.BuyPackage(t.Context(), billing.PackageInput{Account: account, Package: growth.ID.String(), Key: "open", By: "test"})
	require.NoError(t, err)
	rows, err := csv.NewReader(strings.NewReader(p.as("owner").get("/sales.csv").body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 3)
	cell := func(row []string, name string) string { return row[slices.Index(rows[0], name)] }
	for _, row := range rows[1:] {
		open := cell(row, "status") == string(models.PurchaseOpen)
		require.Equal(t, open, cell(row, "payment") == "")
		for _, name := range []string{"cost", "fee", "profit", "platform_fee", "dispute_fee"} {
			require.Equal(t, open, cell(row, name) == "", name)
		}
	}
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

// What came of a sale afterwards stands under it as lines of its own, in negative
// amounts that say what they are; the lines add up to the sums, and so do the days.
func TestWhatCameOfASaleIsALineOfItsOwn(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	growth := p.selling(p.northwind)
	p.soldTo(p.acme, growth)
	require.Contains(t, b.get("/sales").main(), "$60.00 sold in 1 sale − $28.57 cost − $0.00 card fees = $31.43 profit (52%).")
	require.NotContains(t, b.get("/sales").main(), "ispute")
	var sale models.Purchase
	require.NoError(t, p.db.Read.Where("package_id = ?", growth.ID).Take(&sale).Error)
	usd := func(amount int64) models.Money { return models.Money{Amount: amount, Currency: "usd"} }
	day := func(n int) models.Time { return begin.Add(time.Duration(n) * 24 * time.Hour) }
	p.till.refunds = map[string][]checkout.Refund{sale.PaymentIntent: {{ID: "re_1", PaymentIntent: sale.PaymentIntent, Amount: usd(20_00), Status: checkout.RefundSucceeded, CreatedAt: day(1)}}}
	p.till.disputes = map[string][]checkout.Dispute{sale.PaymentIntent: {
		{ID: "dp_1", PaymentIntent: sale.PaymentIntent, Amount: usd(40_00), Status: "lost", CreatedAt: day(2), Fee: usd(15_00)},
	}}
	_, err := p.billing.SettleWhole(t.Context(), sale.AgencyID, sale.ID)
	require.NoError(t, err)
	p.clock.set(day(3))

	page := b.get("/sales").doc()
	page.Find("td .sr, th .sr").Remove()
	cells := func(row *goquery.Selection) string {
		var out []string
		for _, cell := range row.Find("th, td").EachIter() {
			out = append(out, words(cell))
		}
		return strings.Join(out, " ")
	}
	var lines []string
	for _, row := range page.Find("section[aria-labelledby=sales] tbody tr").EachIter() {
		lines = append(lines, cells(row))
	}
	require.Len(t, lines, 3)
	require.Contains(t, lines[0], "$60.00 $28.57 $0.00 $31.43")
	require.Equal(t, "Refund of Mar 3, and lost dispute of Mar 4 −$60.00 −$28.57 — −$31.43", lines[1])
	require.Equal(t, "Stripe's fee for the dispute of Mar 4 — — $15.00 −$15.00", lines[2])
	text := words(page.Find("main"))
	require.Contains(t, text, "$0.00 sold in 0 sales − $0.00 cost − $0.00 card fees − $15.00 dispute fees = −$15.00 loss.")
	require.Contains(t, text, "because a buyer asked the bank for the money back")
	days := page.Find("table.numbers")
	require.Equal(t, "Mon, Mar 2 $0.00 $0.00 $15.00 −$15.00 (loss)", cells(days.Find("tbody tr")), "the day it was sold bears what came of it")
	require.Equal(t, "Total $0.00 $0.00 $15.00 −$15.00 (loss)", cells(days.Find("tfoot tr")))
	require.Contains(t, b.get("/sales.csv").body, ",-15.00,usd,disputed,")
	require.Contains(t, b.get("/sales/clients.csv").body, ",loss,15.00")
	require.Contains(t, b.get("/sub-accounts.csv").body, ",usd,0.00,15.00")
}
