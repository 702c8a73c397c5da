package stripesim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"refill/billing/stripesim"
)

// door makes an account at the control door and reads it.
func (b *bench) door(form url.Values) (int, stripe.Account) {
	b.t.Helper()
	status, body, _ := b.raw(http.MethodPost, "/_sim/accounts", "", form.Encode())
	var out stripe.Account
	require.NoError(b.t, json.Unmarshal([]byte(body), &out), body)
	return status, out
}

// TestDirectCharge pays an agency: the page, the receipt, the statement and the
// balance are the agency's, and the platform does not appear.
func TestDirectCharge(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	status, acct := b.door(url.Values{"id": {"acct_lakeside"}, "name": {"Lakeside Media"}, "email": {"a@example.com"}})
	require.Equal(t, http.StatusOK, status)
	require.True(t, acct.ChargesEnabled)
	require.Equal(t, stripe.AccountTypeStandard, acct.Type)
	require.Equal(t, "LAKESIDE MEDIA", acct.Settings.Payments.StatementDescriptor)
	_, again := b.door(url.Values{"id": {"acct_lakeside"}, "name": {"Another"}})
	require.Equal(t, "Lakeside Media", again.BusinessProfile.Name, "a seed may run again")

	p := b.params()
	p.SetStripeAccount(acct.ID)
	s, err := b.api.CheckoutSessions.New(p)
	require.NoError(t, err)
	_, page := b.page("/c/pay/" + s.ID)
	require.Contains(t, page.Find("main").Text(), "You pay Lakeside Media")
	for _, where := range []string{"title", "main"} {
		require.NotContains(t, page.Find(where).Text(), "Refill", where)
	}
	require.Equal(t, http.StatusOK, b.post("/_sim/checkout/sessions/"+s.ID+"/pay", card("4242424242424242")).StatusCode)
	get := &stripe.CheckoutSessionParams{}
	get.SetStripeAccount(acct.ID)
	get.AddExpand("payment_intent.latest_charge.balance_transaction")
	s, err = b.api.CheckoutSessions.Get(s.ID, get)
	require.NoError(t, err)
	ch := s.PaymentIntent.LatestCharge
	require.Equal(t, "LAKESIDE MEDIA", ch.CalculatedStatementDescriptor)
	require.Equal(t, []int64{5000, 175, 4825}, []int64{ch.BalanceTransaction.Amount, ch.BalanceTransaction.Fee, ch.BalanceTransaction.Net})
	_, receipt := b.page(ch.ReceiptURL)
	require.Contains(t, receipt.Find("h1").Text(), "Lakeside Media")

	res, board := b.page("/dashboard/" + acct.ID)
	require.Equal(t, http.StatusOK, res.StatusCode)
	words := strings.Join(strings.Fields(board.Find("main").Text()), " ")
	for _, part := range []string{"Lakeside Media", "LAKESIDE MEDIA", "Balance$48.25", "$50.00$1.75$48.25"} {
		require.Contains(t, words, part)
	}
	_, platform := b.page("/dashboard/" + stripesim.PlatformAccount)
	require.Contains(t, platform.Find("main").Text(), "nothing yet", "the money went past the platform")
	res, _ = b.page("/dashboard/acct_nobody")
	require.Equal(t, http.StatusNotFound, res.StatusCode)
}

// TestAccountsChange switches an account off and on, and lets it go: calls as it
// are refused from then on, after a restart too.
func TestAccountsChange(t *testing.T) {
	t.Parallel()
	store := filepath.Join(t.TempDir(), "state.jsonl")
	b := newBench(t, func(c *stripesim.Config) { c.Store = store })
	set := func(form url.Values) int { return b.post("/_sim/accounts/"+connected, form).StatusCode }
	open := func() error {
		p := b.params()
		p.SetStripeAccount(connected)
		_, err := b.api.CheckoutSessions.New(p)
		return err
	}
	require.NoError(t, open())
	require.Equal(t, http.StatusOK, set(url.Values{"charges_enabled": {"false"}, "due": {"external_account, tos_acceptance.date"}, "disabled_reason": {"listed"}}))
	got, err := b.api.Accounts.GetByID(connected, nil)
	require.NoError(t, err)
	require.Equal(t, []any{false, true, stripe.AccountRequirementsDisabledReasonListed, []string{"external_account", "tos_acceptance.date"}},
		[]any{got.ChargesEnabled, got.PayoutsEnabled, got.Requirements.DisabledReason, got.Requirements.CurrentlyDue})
	require.Contains(t, stripeError(t, open()).Msg, "cannot currently make charges")
	list := &stripe.EventListParams{}
	list.SetStripeAccount(connected)
	events := b.api.Events.List(list)
	require.True(t, events.Next())
	require.Equal(t, stripe.EventTypeAccountUpdated, events.Event().Type)
	require.True(t, events.Next())
	require.Equal(t, stripe.EventTypeCapabilityUpdated, events.Event().Type)
	var capability map[string]any
	require.NoError(t, json.Unmarshal(events.Event().Data.Raw, &capability))
	require.Equal(t, []any{"card_payments", "inactive"}, []any{capability["id"], capability["status"]})
	knownOnly(t, capability, reflect.TypeFor[stripe.Capability](), "capability")

	require.Equal(t, http.StatusOK, set(url.Values{"charges_enabled": {"true"}, "name": {"Northwind & Söhne"}}))
	require.NoError(t, open())
	got, err = b.api.Accounts.GetByID(connected, nil)
	require.NoError(t, err)
	require.Equal(t, []any{"Northwind & Söhne", "NORTHWIND & SHNE"}, []any{got.BusinessProfile.Name, got.Settings.Payments.StatementDescriptor})

	require.Equal(t, http.StatusBadRequest, set(url.Values{"charges_enabled": {"perhaps"}}))
	for path, form := range map[string]url.Values{
		"/_sim/accounts":             {"id": {"northwind"}, "name": {"x"}},
		"/_sim/accounts?":            {"currency": {"dollars"}, "name": {"x"}},
		"/_sim/accounts?name=":       nil,
		"/_sim/accounts/acct_nobody": {"charges_enabled": {"true"}},
		"/_sim/accounts/" + stripesim.PlatformAccount + "/deauthorize": nil,
	} {
		code := b.post(path, form).StatusCode
		require.True(t, code == http.StatusBadRequest || code == http.StatusNotFound, "%s answered %d", path, code)
	}

	require.Equal(t, http.StatusOK, b.post("/_sim/accounts/"+connected+"/deauthorize", nil).StatusCode)
	require.Equal(t, http.StatusNotFound, b.post("/_sim/accounts/"+connected+"/deauthorize", nil).StatusCode)
	gone := func(b *bench) {
		_, err := b.api.Accounts.GetByID(connected, nil)
		require.Equal(t, stripe.ErrorCodeAccountInvalid, stripeError(t, err).Code)
		for l := b.api.Accounts.List(&stripe.AccountListParams{}); l.Next(); {
			require.NotEqual(t, connected, l.Account().ID)
		}
	}
	require.Equal(t, stripe.ErrorCodeAccountInvalid, stripeError(t, open()).Code)
	gone(b)
	gone(newBench(t, func(c *stripesim.Config) { c.Store = store }))
}
