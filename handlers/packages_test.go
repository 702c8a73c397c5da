package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// connectStripe lets northwind take money.
func (p *portal) connectStripe() {
	p.t.Helper()
	require.NoError(p.t, p.db.Write.Create(&models.StripeAccount{AgencyID: p.northwind.ID, Account: "acct_1", ChargesEnabled: true, CreatedAt: begin}).Error)
}

func (p *portal) packages() billing.PackageList {
	p.t.Helper()
	list, err := p.billing.Packages(p.t.Context(), billing.Scope{}, p.northwind.ID)
	require.NoError(p.t, err)
	return list
}

// seedExample is the form of the reference product's example.
func seedExample(form answer) url.Values {
	return url.Values{
		"csrf_token": {form.token()}, "attempt": {form.field("attempt")}, "name": {"Growth"}, "credits": {"10,000"}, "price": {"$60.00"},
		"cost_basis": {"best"}, "audience": {"all"},
	}
}

// The panel tells the same to a button, to the script and to a plain address; what
// is sent twice is made once.
func TestAPackageIsMade(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("owner")
		form := b.get("/packages/new")
		require.Equal(t, http.StatusOK, form.StatusCode)
		require.Contains(t, form.main(), "Enter credits and a price to see what you keep.")
		require.Contains(t, form.main(), "It can be put on sale once Stripe is connected.")
		sent := seedExample(form)

		sent.Set("preview", "1")
		shown := b.post("/packages/new", sent)
		require.Equal(t, http.StatusOK, shown.StatusCode)
		panel := inline(shown.doc().Find(".panel"))
		for _, part := range []string{
			"Client pays $60.00", "10,000 × $0.0029, the price of your 35,000 pack −$28.57", "2.9% + $0.30 −$2.04", "You keep $29.39", "Margin 49% 2.1× your cost",
			"Breaks even at $29.73", "$0.0060 each $6.00 per 1,000", "If 10 clients buy one a month $294", "$0.15 per GPT-4 reply, about 57 conversations",
		} {
			require.Contains(t, panel, part)
		}
		require.Equal(t, "30% $43 50% $62 70% $107", inline(shown.doc().Find("#targets .quick")))
		require.Equal(t, "You keep $29.39 (49%)", inline(shown.doc().Find("#keep")))
		require.Equal(t, "$60.00", shown.field("price"), "what was typed stays")
		sent.Set("fragment", "1")
		live := b.post("/packages/new", sent)
		require.Equal(t, panel, inline(live.doc().Find("#panel")))
		require.Zero(t, live.doc().Find("form").Length(), "only what follows the numbers")
		plain := b.get("/packages/new?credits=10000&price=60&cost_basis=best")
		require.Equal(t, panel, inline(plain.doc().Find(".panel")))
		sent.Del("fragment")
		sent.Del("preview")
		sent.Set("target", "50")
		require.Equal(t, "62.00", b.post("/packages/new", sent).field("price"))
		sent.Del("target")
		require.Empty(t, p.packages().Rows, "looking makes nothing")

		for range 2 {
			done := b.post("/packages/new", sent)
			require.Equal(t, "/packages", done.to(), done.body)
		}
		list := p.packages()
		require.Len(t, list.Rows, 1)
		require.False(t, list.Rows[0].OnSale)
		page := b.get("/packages")
		require.Contains(t, page.main(), "Growth saved as a draft.")
		require.Contains(t, page.main(), "Connect Stripe to start selling.")
		require.Regexp(t, `10,000 \$60\.00 \$0\.0060 each \$28\.57 \$29\.39 49%`, inline(page.doc().Find("table.packages tbody")))

		again := sent
		again.Set("price", "70")
		used := b.post("/packages/new", again)
		require.Equal(t, http.StatusConflict, used.StatusCode)
		require.Contains(t, used.main(), "This form made a package already.")
	})
}

func TestAPackageIsCheckedWhereItIsTyped(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	p.connectStripe()
	b := p.as("billing")
	form := b.get("/packages/new")
	for _, c := range []struct{ field, value, want string }{
		{"price", "60.001", "Prices in USD have 2 decimals at the most."},
		{"price", "sixty", "Enter a price, such as 60.00."},
		{"price", "0.49", "Stripe takes 0.50 USD at the least"},
		{"price", "25", "You would lose $4.60 on each sale. It breaks even at $29.73. Raise the price, or tick “Sell at a loss on purpose”."},
		{"credits", "many", "Enter a number of credits, such as 5000 or 5,000."},
		{"credits", "0.5", "A package holds 1 to 1,000,000,000 credits."},
		{"name", " ", "A name has 1 to 120 characters."},
		{"monthly_limit", "some", "Enter a whole number of purchases"},
		{"own_cost", "cheap", "Enter what a credit costs you, such as 0.0029."},
		{"audience", "chosen", "Choose at least one sub-account"},
		{"badge", strings.Repeat("x", 41), "A badge has at most 40 characters."},
		{"note", strings.Repeat("x", 501), "A note has at most 500 characters."},
	} {
		sent := seedExample(form)
		sent.Set(c.field, c.value)
		if c.field == "own_cost" {
			sent.Set("cost_basis", "own")
		}
		a := b.post("/packages/new", sent)
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, c.field)
		require.Contains(t, inline(a.doc().Find("#"+c.field+"-error")), c.want)
		require.Equal(t, 1, a.doc().Find(".errors a[href='#"+c.field+"']").Length())
		require.Equal(t, 1, a.doc().Find("#"+c.field).Length(), "the summary leads to the field")
	}
	require.Empty(t, p.packages().Rows)

	// At a loss on purpose, and on sale at once.
	sent := seedExample(form)
	sent.Set("price", "25")
	sent.Set("accept_loss", "1")
	require.Equal(t, "/packages", b.post("/packages/new?on_sale=1", sent).to())
	page := b.get("/packages")
	require.Contains(t, page.main(), "Growth is on sale.")
	require.Contains(t, inline(page.doc().Find("table.packages tbody")), "−$4.60 −18% Loss")
}

// Ready-made packages are put on sale, changed, arranged and archived by who may.
func TestPackagesAreKept(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner, member := p.as("owner"), p.as("member")
	first := owner.get("/packages")
	require.Contains(t, inline(first.doc().Find("main")), "Starter 2,000 $13.00 Growth 12,500 $77.00 Scale 35,000 $213.00")
	require.Zero(t, member.get("/packages").doc().Find("main form").Length(), "a member looks")
	send := func(path string, more url.Values) answer {
		more.Set("csrf_token", owner.get("/packages").token())
		return owner.post(path, more)
	}
	require.Equal(t, "/packages", send("/packages/ready-made", url.Values{}).to())
	require.Contains(t, owner.get("/packages").main(), "3 packages created.")
	rows := p.packages().Rows
	require.Len(t, rows, 3)
	starter := "/packages/" + rows[0].ID.String()

	// Not connected: the switch is off and says so when it is pressed all the same.
	require.Equal(t, 3, owner.get("/packages").doc().Find(".switch[disabled]").Length())
	send(starter+"/sale", url.Values{"on": {"true"}})
	refused := owner.get("/packages").doc().Find(".flash")
	require.Contains(t, inline(refused), "Starter was not changed. Connect your Stripe account")
	require.Equal(t, "/packages/connect", refused.Find("a").AttrOr("href", ""))
	require.Contains(t, owner.get("/packages/preview").main(), "Clients see no packages until Stripe is connected.")
	p.connectStripe()
	send(starter+"/sale", url.Values{"on": {"true"}})
	require.True(t, p.packages().Rows[0].OnSale)
	preview := owner.get("/packages/preview?client=" + p.acme.ID.String())
	require.Contains(t, inline(preview.doc().Find("main")), "What ACME sees You pay Northwind Agency.")
	require.Equal(t, 1, preview.doc().Find(".offer").Length())

	send(starter+"/move", url.Values{"to": {"down"}})
	require.Equal(t, "Starter", p.packages().Rows[1].Name)

	// A new price is for new purchases.
	require.NoError(t, p.db.Write.Create(&models.Purchase{
		AgencyID: p.northwind.ID, ID: models.NewID[models.PurchaseID](begin), WalletID: p.acme.WalletID, PackageID: rows[0].ID, Title: "Starter",
		Credits: rows[0].Credits, Price: 1_300, Currency: "usd", Status: models.PurchaseCredited, IdempotencyKey: "k", Fingerprint: []byte{1},
		CreditedAt: begin - 1, CreatedAt: begin - 1,
	}).Error)
	form := owner.get(starter)
	require.Contains(t, form.main(), "1 past purchase keeps its price.")
	sent := url.Values{
		"csrf_token": {form.token()}, "name": {"Starter"}, "credits": {"2000"}, "price": {"14"}, "cost_basis": {"best"}, "audience": {"chosen"}, "sub": {p.acme.ID.String()},
		"monthly_limit": {"1"}, "badge": {"New"}, "note": {"To begin with."},
	}
	require.Equal(t, "/packages", owner.post(starter+"?on_sale=1", sent).to())
	page := owner.get("/packages")
	require.Contains(t, page.main(), "Starter saved. Applies to new purchases. 1 past purchase keeps its price.")
	require.Contains(t, page.main(), "1 chosen sub-account · New")
	form = owner.get(starter)
	require.Equal(t, 2, form.doc().Find("table.prices tbody tr").Length())
	require.Equal(t, 1, form.doc().Find("input[name=sub][checked]").Length())
	require.Equal(t, "1", form.field("monthly_limit"))
	seen := member.get(starter)
	require.Zero(t, seen.doc().Find("main form").Length())
	require.Contains(t, seen.main(), "1 purchase per account and month")
	require.Contains(t, seen.main(), "To begin with.")
	require.Contains(t, owner.get("/packages/preview?client="+p.acme.ID.String()).main(), "Bought for this month. It opens again on April 1.")
	require.Contains(t, owner.get("/packages/preview").main(), "No package is visible to a client.", "it is for ACME only")

	require.Equal(t, "/packages", send(starter+"/archive", url.Values{}).to())
	require.Contains(t, owner.get(starter).main(), "Archived")
	require.Contains(t, inline(owner.get("/packages").doc().Find("main")), "Archived (1) Starter 2,000 credits for $14.00")
	sent.Set("csrf_token", owner.get("/packages").token())
	require.Equal(t, http.StatusConflict, owner.post(starter, sent).StatusCode)
	require.Equal(t, "/packages", send(starter+"/archive", url.Values{"restore": {"1"}}).to())
	require.False(t, p.packages().Rows[2].OnSale, "last, and not on sale")
	// Another agency's is not there.
	require.Equal(t, http.StatusNotFound, p.as("stranger").get(starter).StatusCode)
	require.Equal(t, http.StatusNotFound, owner.get("/packages/pkg_nothing").StatusCode)
}

// inline is the text of a part of a page in one line, its elements apart.
func inline(s *goquery.Selection) string {
	html, err := s.Html()
	if err != nil {
		return err.Error()
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(strings.ReplaceAll(html, "<", " <")))
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(doc.Text()), " ")
}
