package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// sells makes the first agency sell: connected, with stock, and a package of
// 10,000 credits for $60 on sale.
func (p *portal) sells() models.Package {
	p.t.Helper()
	return p.selling(p.northwind)
}

// everyMonth makes a monthly package that runs of a sale.
func (p *portal) everyMonth(of models.Purchase) models.PackageSubscription { //nolint:gocritic // a test's own
	p.t.Helper()
	row := models.PackageSubscription{
		AgencyID: of.AgencyID, ID: models.NewID[models.PackageSubID](of.CreatedAt), WalletID: of.WalletID, PackageID: of.PackageID, Title: of.Title,
		Credits: of.Credits, Price: of.Price, Currency: of.Currency, Account: of.Account, Status: models.PackageSubActive, PurchaseID: of.ID,
		PeriodStart: of.CreatedAt, PeriodEnd: of.CreatedAt.Add(30 * 24 * time.Hour), CheckedAt: of.CreatedAt, CreatedAt: of.CreatedAt,
	}
	require.NoError(p.t, p.db.Write.Create(&row).Error)
	return row
}

func (p *portal) selling(agency models.Agency) models.Package {
	p.t.Helper()
	ctx := p.t.Context()
	account, err := p.billing.AccountOf(ctx, agency.WalletID)
	require.NoError(p.t, err)
	bought, err := p.billing.Buy(ctx, billing.BuyInput{Account: account, Pack: "credits-35000", Key: "stock", By: "test"})
	require.NoError(p.t, err)
	p.till.pay(bought.CheckoutSession)
	_, err = p.billing.Settle(ctx, bought.AgencyID, bought.ID)
	require.NoError(p.t, err)
	require.NoError(p.t, p.db.Write.Create(&models.StripeAccount{
		AgencyID: agency.ID, Account: "acct_" + agency.ExternalID, ChargesEnabled: true, Statement: strings.ToUpper(agency.ExternalID), CreatedAt: begin,
	}).Error)
	saved, err := p.billing.SavePackage(ctx, billing.Scope{}, billing.PackageEdit{
		Agency: agency.ID, Name: "Growth", Credits: 10_000 * models.Credit, Price: 60_00, Audience: models.AudienceAll, CostBasis: models.CostHeld,
		OnSale: true, By: "test",
	})
	require.NoError(p.t, err)
	return saved.Package
}

func TestAClientBuysAPackageInItsPortal(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("client")
		require.Contains(t, b.get("/buy").doc().Find("main").Text(), "Contact Northwind Agency to add credits.")
		growth := p.sells()
		shown := b.get("/buy").doc()
		offer := strings.Join(strings.Fields(shown.Find(".offer").Text()), " ")
		for _, part := range []string{"10,000 credits Growth", "$60.00", "$0.0060 each", "You will have 10,000."} {
			require.Contains(t, offer, part)
		}
		require.Contains(t, shown.Find(".review").Text(), "Your statement will show NORTHWIND.")

		none := b.fill("/buy", "/buy", url.Values{"attempt": {"a"}})
		require.Equal(t, http.StatusUnprocessableEntity, none.StatusCode)
		require.Equal(t, "Choose a package.", none.doc().Find("#pack-error").Text())
		wrong := b.fill("/buy", "/buy", url.Values{"attempt": {"a"}, "pack": {"credits-2000"}})
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode, "the platform's packs are not for clients")

		form := url.Values{"attempt": {"a"}, "pack": {growth.ID.String()}}
		paid := b.fill("/buy", "/buy", form)
		require.Equal(t, http.StatusSeeOther, paid.StatusCode, paid.body)
		require.True(t, strings.HasPrefix(paid.to(), "https://checkout.stripe.com/"), paid.to())
		session := paid.to()[strings.LastIndex(paid.to(), "/")+1:]
		p.till.pay(session)
		back := b.get("/buy/return?s=" + session)
		require.Equal(t, http.StatusOK, back.StatusCode, back.body)
		require.Equal(t, "10,000 credits added", back.doc().Find("h1").Text())
		require.Equal(t, http.StatusNotFound, p.as("owner").get("/buy/return?s="+session).StatusCode, "another's payment")
		receipt := b.get("/purchases").doc().Find("td.links a[href$=receipt]").AttrOr("href", "")
		require.Contains(t, b.get(receipt).doc().Find(".receipt").Text(), "Northwind Agency")
	})
}

// Every state that a client's balance can be in is told on its first page, with
// nothing of its agency's in it.
func TestAClientIsToldHowItStands(t *testing.T) {
	t.Parallel()
	feed := func(p *portal, n int64) {
		_, err := p.billing.Assign(p.t.Context(), billing.Scope{}, billing.TransferInput{
			Agency: p.northwind.ID, SubAccount: p.acme.ID, Credits: models.Credits(n) * models.Credit, Key: fmt.Sprint("feed", n), By: "test",
		})
		require.NoError(p.t, err)
	}
	wallet := func(p *portal, set string) {
		require.NoError(p.t, p.db.Write.Exec("UPDATE wallets SET "+set+" WHERE agency_id = ? AND id = ?", p.northwind.ID, p.acme.WalletID).Error)
	}
	cases := []struct {
		name    string
		prepare func(*portal)
		banner  string // "" for none
		text    string
	}{
		{"new", func(p *portal) { feed(p, 500) }, "", "500"},
		{"healthy", func(p *portal) { feed(p, 500); p.use("sub:northwind/acme", 1) }, "", "499"},
		{"low", func(p *portal) { feed(p, 500); p.use("sub:northwind/acme", 1); wallet(p, "low_at = 600000000") }, "Low balance.", "499"},
		{"critical", func(p *portal) {
			feed(p, 500)
			p.use("sub:northwind/acme", 1)
			wallet(p, "low_at = 600000000, critical_at = 600000000")
		}, "Almost out of credits.", "499"},
		{"excess", func(p *portal) {
			wallet(p, "excess_limit = 100000000")
			require.NoError(p.t, p.db.Write.Exec("UPDATE wallets SET agency_ceiling = 100000000 WHERE id = ?", p.northwind.WalletID).Error)
			p.use("sub:northwind/acme", 9)
		}, "Below zero.", "−98"},
		{"paused", func(p *portal) { feed(p, 1); p.use("sub:northwind/acme", 1) }, "Your AI assistant is paused.", "0"},
		{"upstream_paused", func(p *portal) {
			feed(p, 500)
			_, err := p.billing.PauseAgency(p.t.Context(), p.northwind.ID, "an unpaid bill", "test")
			require.NoError(p.t, err)
		}, "Your AI is paused.", "500"},
		{"purchase_pending", func(p *portal) {
			feed(p, 500)
			growth := p.sells()
			account, err := p.billing.AccountOf(p.t.Context(), p.acme.WalletID)
			require.NoError(p.t, err)
			bought, err := p.billing.BuyPackage(p.t.Context(), billing.PackageInput{Account: account, Package: growth.ID.String(), Key: "later", By: "test"})
			require.NoError(p.t, err)
			p.till.promise(bought.CheckoutSession)
			_, err = p.billing.Settle(p.t.Context(), bought.AgencyID, bought.ID)
			require.NoError(p.t, err)
		}, "10,000 credits on the way.", "500"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := sqlite(t)
			c.prepare(p)
			got := p.as("client").get("/")
			require.Equal(t, http.StatusOK, got.StatusCode)
			doc := got.doc()
			require.Equal(t, c.text, doc.Find("[data-balance]").Text())
			require.Equal(t, c.banner, doc.Find(".notice strong").Text())
			for _, never := range []string{"efill", "unpaid bill", "100,000", "35,000", "28.57"} {
				require.NotContains(t, got.body, never)
			}
		})
	}
}

// While Stripe lets an agency take no money, or after it left, its clients keep what
// they have and are sent to their agency; nobody opens a payment that cannot end.
func TestWhatClientsSeeWhileTheirAgencyTakesNoMoney(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		growth := p.sells()
		b := p.as("client")
		account, err := p.billing.AccountOf(t.Context(), p.acme.WalletID)
		require.NoError(t, err)
		sale, err := p.billing.BuyPackage(t.Context(), billing.PackageInput{Account: account, Package: growth.ID.String(), Key: "monthly", By: "test"})
		require.NoError(t, err)
		p.everyMonth(sale)
		front := b.get("/buy")
		require.Contains(t, words(front.doc().Find("section[aria-labelledby=monthly]")), "Next payment")
		require.NotZero(t, front.doc().Find("section[aria-labelledby=monthly]").Find("button, a").Length())
		require.Equal(t, 1, front.doc().Find("input[name=pack]").Length())
		balance := words(b.get("/").doc().Find("[data-balance]"))
		for name, change := range map[string]map[string]any{
			"paused": {"charges_enabled": false, "disconnected_at": 0},
			"left":   {"charges_enabled": false, "disconnected_at": begin},
		} {
			require.NoError(t, db.Write.Model(&models.StripeAccount{}).Where("agency_id = ?", p.northwind.ID).Updates(change).Error)
			shut := b.get("/buy")
			require.Contains(t, words(shut.doc().Find("main")), "Contact Northwind Agency to add credits.", name)
			require.Zero(t, shut.doc().Find("input[name=pack]").Length(), name)
			monthly := shut.doc().Find("section[aria-labelledby=monthly]")
			if lost := name == "left"; lost {
				require.Contains(t, words(monthly), "Not collected here any more")
				require.Contains(t, words(monthly), "Ask Northwind Agency to end it")
				require.Zero(t, monthly.Find("button, a").Length(), "nothing that cannot work is offered")
				require.Contains(t, words(p.as("owner").get("/sales").doc().Find("section[aria-labelledby=monthly]")), "Connect that account again, or end it at Stripe.")
			} else {
				require.Contains(t, words(monthly), "Next payment")
			}
			require.NotContains(t, shut.body, "Stripe", "whose trouble it is, is the agency's business")
			tried := b.fill("/", "/buy", url.Values{"pack": {growth.ID.String()}, "attempt": {name}})
			require.Equal(t, http.StatusConflict, tried.StatusCode, name)
			require.Equal(t, balance, words(b.get("/").doc().Find("[data-balance]")), name)
			require.Contains(t, words(b.get("/calculator?c=1500").doc().Find("main")), "Ask Northwind Agency for a price.", name)
		}
		var opened int64
		require.NoError(t, db.Read.Model(&models.Purchase{}).Where("package_id IS NOT NULL AND id <> ?", sale.ID).Count(&opened).Error)
		require.Zero(t, opened)
		require.NoError(t, db.Write.Model(&models.StripeAccount{}).Where("agency_id = ?", p.northwind.ID).
			Updates(map[string]any{"charges_enabled": true, "disconnected_at": 0}).Error)
		require.Equal(t, 1, b.get("/buy").doc().Find("input[name=pack]").Length(), "and it opens again")
	})
}
