package handlers_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/models"
	"refill/models/modelstest"
)

// TestAnAgencyConnectsStripe goes to Stripe and back as an owner does.
func TestAnAgencyConnectsStripe(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("owner")
		start := b.get("/packages/connect")
		require.Equal(t, http.StatusOK, start.StatusCode)
		require.Contains(t, start.main(), "Connect Stripe to start selling")
		require.Contains(t, start.Header.Get("Content-Security-Policy"), "form-action 'self' https://checkout.stripe.com https://connect.stripe.com")
		require.Empty(t, p.till.accounts, "looking opens nothing")

		press := func() answer { return b.post("/packages/connect", url.Values{"csrf_token": {start.token()}}) }
		first, second := press(), press()
		require.Equal(t, http.StatusSeeOther, first.StatusCode, first.body)
		require.Equal(t, first.to(), second.to())
		require.Len(t, p.till.accounts, 1, "one account, however often the button is pressed")
		to, err := url.Parse(first.to())
		require.NoError(t, err)
		require.Equal(t, []string{"connect.stripe.com", home + "/packages/connect/return", home + "/packages/connect?again=1"},
			[]string{to.Host, to.Query().Get("return"), to.Query().Get("refresh")})

		again := b.get("/packages/connect?again=1").main()
		for _, part := range []string{"Finish setting up Stripe", "That link to Stripe had been used or was too old.", "A bank account for payouts", "Continue at Stripe"} {
			require.Contains(t, again, part)
		}
		require.Contains(t, b.get("/packages/connect/return").main(), "You are back from Stripe, and it is not finished yet.")

		p.till.tell(func(a *checkout.Account) {
			a.ChargesEnabled, a.DetailsSubmitted, a.Statement, a.Due = true, true, "NORTHWIND", nil
		})
		done := b.get("/packages/connect/return")
		for _, part := range []string{"Stripe is connected.", "You can take payments", "NORTHWIND", "Northwind Agency", "The money stays in your Stripe balance."} {
			require.Contains(t, done.main(), part)
		}
		require.Equal(t, "https://dashboard.stripe.com/acct_1", done.doc().Find(`main a:contains("dashboard")`).AttrOr("href", ""))
		require.Zero(t, done.doc().Find(`main form`).Length(), "nothing is left to do at Stripe")

		p.till.fail(true)
		stale := b.get("/packages/connect")
		require.Equal(t, http.StatusOK, stale.StatusCode)
		require.Contains(t, stale.main(), "This is what it said last.")
		require.Contains(t, stale.main(), "You can take payments")
		failed := press()
		require.Equal(t, http.StatusServiceUnavailable, failed.StatusCode)
		require.Contains(t, failed.main(), "Nothing was changed; try again in a moment.")
		require.NotContains(t, failed.body, "10.9.8.7")
		p.till.fail(false)

		p.till.tell(func(a *checkout.Account) { a.ChargesEnabled, a.Disabled = false, "Stripe is reviewing the account." })
		require.Contains(t, b.get("/packages/connect").main(), "Stripe is reviewing the account. Your clients can't buy until")

		p.till.mu.Lock()
		p.till.revoked = true
		p.till.mu.Unlock()
		require.Contains(t, b.get("/packages/connect").main(), "Stripe is disconnected")
		require.Equal(t, http.StatusSeeOther, press().StatusCode)
		require.Len(t, p.till.accounts, 2, "another account in place of the one that is gone")
		require.Contains(t, b.get("/packages/connect").main(), "Finish setting up Stripe")
	})
}

func TestWhoConnectsStripe(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	for who, want := range map[string]int{"owner": http.StatusOK, "billing": http.StatusOK, "member": http.StatusForbidden, "admin": http.StatusForbidden, "client": http.StatusForbidden} {
		b := p.as(who)
		for _, path := range []string{"/packages/connect", "/packages/connect/return"} {
			require.Equal(t, want, b.get(path).StatusCode, "%s %s", who, path)
		}
	}
	b := p.as("owner")
	require.Equal(t, http.StatusForbidden, b.post("/packages/connect", url.Values{"csrf_token": {"another"}}).StatusCode)
	require.Empty(t, p.till.accounts)
}
