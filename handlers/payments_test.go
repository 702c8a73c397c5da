package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// An admin reads what a refund will do before it is done, and it does that.
func TestAnAdminRefundsAPurchase(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		bought := p.bought("owner")
		_, err := p.billing.Adjust(t.Context(), billing.AdjustInput{
			Agency: p.northwind.ID, Wallet: p.northwind.WalletID, Credits: -(p.left() - 500*models.Credit), Reason: "used", Key: "used", By: "test",
		})
		require.NoError(t, err)
		b := p.as("admin")
		list := b.get("/admin/payments")
		require.Contains(t, list.main(), "Every payment has its credits.")
		require.Contains(t, list.main(), "$10.00")
		path, _ := list.doc().Find("a[href$='/refund']").Attr("href")
		require.True(t, strings.HasSuffix(path, bought.ID.String()+"/refund"))

		form := b.get(path)
		require.Contains(t, form.main(), "2,000 credits will be taken back.")
		require.Contains(t, form.main(), "1,500 credits of them have been used and become excess usage")
		require.Equal(t, "10.00", form.field("amount"))
		half := b.get(path + "?amount=5")
		require.Contains(t, half.main(), "1,000 credits will be taken back.")
		require.Contains(t, b.get(path+"?amount=10.01").main(), "up to 10.00 USD")
		require.Contains(t, b.get(path+"?amount=x").main(), "Enter an amount such as 10.00.")

		filled := form.filled()
		filled.Del("preview")
		wrong := b.post(path, filled)
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.Contains(t, wrong.main(), "Say why")
		preview := form.filled()
		preview.Set("preview", "1")
		preview.Set("amount", "5")
		require.Equal(t, path+"?amount=5&reason=", b.post(path, preview).to())

		filled.Set("reason", "Bought twice")
		for range 2 { // sent twice, done once
			done := b.post(path, filled)
			require.Equal(t, "/admin/payments", done.to(), done.main())
		}
		got, err := p.billing.Purchase(t.Context(), bought.AgencyID, bought.ID)
		require.NoError(t, err)
		require.Equal(t, []any{models.PurchaseRefunded, int64(10_00), 2000 * models.Credit, 1500 * models.Credit}, []any{got.Status, got.Refunded, got.Revoked, got.RevokedSpent})
		require.Contains(t, b.get(path).main(), "All of this payment has been given back.")
		after := b.get("/admin/payments")
		require.Contains(t, after.main(), "Refunded")
		require.Contains(t, after.main(), "1,500 had been used and count as excess usage")

		mine := p.as("owner").get("/purchases")
		require.Contains(t, mine.main(), "$10.00 of $10.00 refunded")
		require.Contains(t, mine.main(), "2,000 credits taken back, of which 1,500 had been used and count as excess usage.")
		require.Contains(t, p.as("owner").get("/purchases/"+bought.ID.String()+"/receipt").main(), "2,000 credits taken back")
		entries := p.reasons("payment.refund")
		require.Len(t, entries, 1)
		require.Equal(t, "Bought twice", entries[0].Reason)

		file := b.get("/admin/payments.csv")
		require.Contains(t, file.Header.Get("Content-Type"), "text/csv")
		require.Contains(t, file.body, bought.ID.String())
		require.Equal(t, http.StatusNotFound, b.get("/admin/payments?day=today").StatusCode)
		require.Equal(t, http.StatusNotFound, b.get("/admin/payments?after=x").StatusCode)
	})
}

// What Stripe did not answer goes on by itself, and says so.
func TestARefundThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		bought := p.bought("owner")
		b := p.as("admin")
		path := "/admin/payments/" + bought.AgencyID.String() + "/" + bought.ID.String() + "/refund"
		filled := b.get(path).filled()
		filled.Del("preview")
		filled.Set("reason", "Bought twice")
		p.till.fail(true)
		require.Equal(t, "/admin/payments", b.post(path, filled).to())
		list := b.get("/admin/payments")
		require.Contains(t, list.body, "goes on by itself")
		require.Contains(t, list.main(), "Refunds that Stripe has not answered")
		retried := b.post("/admin/payments/"+bought.AgencyID.String()+"/"+bought.ID.String()+"/book", url.Values{"csrf_token": {list.token()}})
		require.Equal(t, http.StatusSeeOther, retried.StatusCode)
		require.Contains(t, b.get("/admin/payments").body, "Stripe does not answer right now")
		p.till.fail(false)
		require.NoError(t, p.billing.RunDue(t.Context(), p.billing.Now()))
		require.NotContains(t, b.get("/admin/payments").main(), "has not answered")
	})
}

// The agency's owner gives a client's money back: the words say what comes back
// into stock and what is lost.
func TestAnOwnerRefundsASale(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		p.bought("owner")
		growth := p.sells()
		account, err := p.billing.AccountOf(t.Context(), p.acme.WalletID)
		require.NoError(t, err)
		sale, err := p.billing.BuyPackage(t.Context(), billing.PackageInput{Account: account, Package: growth.ID.String(), Key: "k", By: "test"})
		require.NoError(t, err)
		p.till.pay(sale.CheckoutSession)
		_, err = p.billing.Settle(t.Context(), sale.AgencyID, sale.ID)
		require.NoError(t, err)
		require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", sale.AgencyID, sale.ID).Updates(map[string]any{"fee": 2_04, "platform_fee": 1_50}).Error)
		file := p.as("owner").get("/sub-accounts.csv")
		sold := func(name string) models.Credits { return column(t, file, name) }
		require.Equal(t, sold("profit"), sold("sold")-sold("cost")-sold("fees")-sold("platform_fee"), "the file adds up")
		require.Equal(t, 3*models.Credit/2, sold("platform_fee"))
		had := p.balanceOf(p.acme)
		require.Empty(t, p.as("billing").get("/sales").doc().Find("a[href$='/refund']").Nodes, "the owner's alone")
		b := p.as("owner")
		path, _ := b.get("/sales").doc().Find("a[href$='/refund']").Attr("href")
		form := b.get(path)
		require.Contains(t, form.main(), "back into your stock")
		filled := form.filled()
		filled.Del("preview")
		filled.Set("reason", "Unhappy")
		require.Equal(t, "/sales", b.post(path, filled).to())
		require.Equal(t, had-growth.Credits, p.balanceOf(p.acme))
		require.Contains(t, b.get("/sales").main(), "Refunded")
		// Stripe keeps its fee: a sale that was given back whole is a loss, and is shown.
		for _, page := range []string{"/sales", "/"} {
			require.Contains(t, b.get(page).main(), "$2.04 card fees = −$2.04 loss. All that was sold was paid back; Stripe keeps its fees.", page)
		}
		require.Contains(t, b.get("/sub-accounts?only=loss").main(), "ACME")
		require.Contains(t, b.get(acmePath(p)).main(), "Sold this cycle")
		file = b.get("/sub-accounts.csv")
		require.Equal(t, []models.Credits{204 * models.Credit / 100, -204 * models.Credit / 100}, []models.Credits{sold("fees"), sold("profit")})
	})
}
