package checkout_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/models"
)

// TestAccount goes the way of an account: opened, set up, paused, gone.
func TestAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ask := checkout.AccountParams{Reference: "agy_1", IdempotencyKey: "connect:agy_1", Name: "Lakeside Media"}
	opened, err := b.CreateAccount(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, checkout.Account{
		ID: opened.ID, Reference: "agy_1", Name: "Lakeside Media", Currency: "usd", Disabled: "Details are missing.",
		Due: []string{"the website, or what the business sells", "a bank account for payouts", "consent to Stripe's terms"},
	}, opened)
	again, err := b.CreateAccount(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, opened.ID, again.ID, "one key, one account")
	ask.Name = "Lakeside"
	_, err = b.CreateAccount(t.Context(), ask)
	wantKind(t, err, checkout.KindConflict)

	p := b.params("k1")
	p.Account = opened.ID
	_, err = b.CreateSession(t.Context(), p)
	wantKind(t, err, checkout.KindRefused) // it takes no money yet

	link := checkout.LinkParams{Account: opened.ID, RefreshURL: "http://127.0.0.1:1/again", ReturnURL: "http://127.0.0.1:1/done"}
	first, err := b.AccountLink(t.Context(), link)
	require.NoError(t, err)
	second, err := b.AccountLink(t.Context(), link)
	require.NoError(t, err)
	require.NotEqual(t, first.URL, second.URL, "each link is new")
	require.Equal(t, b.clock.Now().Add(5*time.Minute), first.ExpiresAt)
	require.True(t, strings.HasPrefix(first.URL, b.url+"/c/onboarding/"), first.URL)
	submit(t, first.URL, url.Values{"outcome": {"finish"}, "name": {"Lakeside Média"}})
	a := <-b.arrivals
	require.NoError(t, a.err)
	require.True(t, a.connect)
	require.Equal(t, []string{"capability.updated", opened.ID}, []string{a.event.Type, a.event.Account})
	sameList(t, "events", b.came(), "capability.updated", "account.updated")
	now, err := b.Account(t.Context(), opened.ID)
	require.NoError(t, err)
	require.Equal(t, checkout.Account{
		ID: opened.ID, Reference: "agy_1", Name: "Lakeside Média", Statement: "LAKESIDE MDIA", Currency: "usd",
		ChargesEnabled: true, PayoutsEnabled: true, DetailsSubmitted: true,
	}, now)
	require.Equal(t, b.url+"/dashboard/"+opened.ID, b.Dashboard(opened.ID))

	p.IdempotencyKey = "k2"
	session, err := b.CreateSession(t.Context(), p)
	require.NoError(t, err)
	status, _ := b.door("/accounts/"+opened.ID+"/deauthorize", nil)
	require.Equal(t, http.StatusOK, status)
	var last checkout.Event
	for len(b.arrivals) > 0 {
		last = (<-b.arrivals).event
	}
	require.Equal(t, []string{"account.application.deauthorized", opened.ID, "application"}, []string{last.Type, last.Account, last.ObjectType})
	_, err = b.Account(t.Context(), opened.ID)
	require.True(t, checkout.IsRevoked(err), "%v", err)
	_, err = b.Session(t.Context(), opened.ID, session.ID)
	require.True(t, checkout.IsRevoked(err), "%v", err)
	_, err = b.AccountLink(t.Context(), link)
	require.True(t, checkout.IsRevoked(err), "%v", err)
	_, err = b.Account(t.Context(), "")
	wantKind(t, err, checkout.KindNotFound)
	require.False(t, checkout.IsRevoked(err))
	b.pay(session.ID, "4242424242424242")
	require.Empty(t, b.came(), "what happens to an account that left is not ours to hear")
}

func submit(t *testing.T, address string, form url.Values) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
}

// TestWhyAnAccountIsPaused says Stripe's names in words, each once.
func TestWhyAnAccountIsPaused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for field, words := range map[string]string{
		"external_account":                           "a bank account for payouts",
		"tos_acceptance.ip":                          "consent to Stripe's terms",
		"individual.verification.document":           "a document that proves the identity of a person or the business",
		"person_1Abc.verification.document":          "a document that proves the identity of a person or the business",
		"business_profile.mcc":                       "the kind of business",
		"business_profile.support_phone":             "details of the business",
		"business_type":                              "the legal form of the business",
		"company.tax_id":                             "the tax or registration number of the business",
		"company.owners_provided":                    "who owns and runs the business",
		"company.address.line1":                      "the address and details of the company",
		"representative.dob.day":                     "the personal details of whoever represents the business",
		"settings.treasury.tos_of_something.unknown": "further details that Stripe lists",
	} {
		b.door("/accounts/"+connected, url.Values{"charges_enabled": {"false"}, "due": {field + "," + field}})
		got, err := b.Account(t.Context(), connected)
		require.NoError(t, err)
		require.Equal(t, []string{words}, got.Due, field)
		require.False(t, got.ChargesEnabled)
	}
	for reason, words := range map[string]string{
		"requirements.pending_verification": "Stripe is checking the details.", "under_review": "Stripe is reviewing the account.",
		"platform_paused": "The account was paused by the platform.", "rejected.fraud": "Stripe has closed the account for payments.",
		"a_new_reason": "Stripe has paused payments.",
	} {
		b.door("/accounts/"+connected, url.Values{"disabled_reason": {reason}})
		got, err := b.Account(t.Context(), connected)
		require.NoError(t, err)
		require.Equal(t, words, got.Disabled, reason)
	}
	b.door("/accounts/"+connected, url.Values{"charges_enabled": {"true"}, "due": {""}})
	got, err := b.Account(t.Context(), connected)
	require.NoError(t, err)
	require.True(t, got.ChargesEnabled)
	require.Empty(t, got.Disabled)
	require.Empty(t, got.Due)
}

// TestRefund gives money back from the account that took it, once per key.
func TestRefund(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.params("k1")
	p.Account = connected
	opened, err := b.CreateSession(t.Context(), p)
	require.NoError(t, err)
	require.Zero(t, opened.Fee, "nothing is known before the money is there")
	b.pay(opened.ID, "4242424242424242")
	paid := b.see(connected, opened.ID)
	require.Equal(t, models.Money{Amount: 175, Currency: "usd"}, paid.Fee)
	b.came()

	ask := checkout.RefundParams{Account: connected, PaymentIntent: paid.PaymentIntent, Amount: 2000, IdempotencyKey: "refund:1"}
	part, err := b.RefundPayment(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, checkout.Refund{
		ID: part.ID, PaymentIntent: paid.PaymentIntent, Amount: models.Money{Amount: 2000, Currency: "usd"}, Status: checkout.RefundSucceeded, CreatedAt: part.CreatedAt,
	}, part)
	require.NotZero(t, part.CreatedAt)
	again, err := b.RefundPayment(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, part, again)
	now := b.see(connected, opened.ID)
	require.EqualValues(t, 2000, now.AmountRefunded)
	require.Equal(t, paid.Fee, now.Fee, "Stripe keeps its fee")
	for range 2 {
		a := <-b.arrivals
		require.NoError(t, a.err)
		require.Equal(t, []any{true, connected}, []any{a.connect, a.event.Account}, a.event.Type)
	}

	ask.IdempotencyKey, ask.Account = "refund:2", ""
	_, err = b.RefundPayment(t.Context(), ask)
	wantKind(t, err, checkout.KindNotFound) // the platform has no such payment
	ask.Account, ask.Amount = connected, 0
	rest, err := b.RefundPayment(t.Context(), ask)
	require.NoError(t, err)
	require.EqualValues(t, 3000, rest.Amount.Amount)
	ask.IdempotencyKey = "refund:3"
	_, err = b.RefundPayment(t.Context(), ask)
	wantKind(t, err, checkout.KindRefused)
	ask.IdempotencyKey = ""
	_, err = b.RefundPayment(t.Context(), ask)
	wantKind(t, err, checkout.KindRefused)
}
