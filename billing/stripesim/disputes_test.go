package stripesim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
)

// kinds lists what happened since an earlier count of events, oldest first.
func (b *bench) kinds(skip int) []string {
	b.t.Helper()
	var all []string
	list := b.api.Events.List(&stripe.EventListParams{})
	for list.Next() {
		all = append([]string{string(list.Event().Type)}, all...)
	}
	require.NoError(b.t, list.Err())
	return all[skip:]
}

// act uses the control door.
func (b *bench) act(path string, form url.Values) {
	b.t.Helper()
	require.Equal(b.t, http.StatusOK, b.post("/_sim/"+path, form).StatusCode, path)
}

func (b *bench) disputes(intent string) []*stripe.Dispute {
	b.t.Helper()
	list := b.api.Disputes.List(&stripe.DisputeListParams{PaymentIntent: &intent})
	var out []*stripe.Dispute
	for list.Next() {
		out = append(out, list.Dispute())
	}
	require.NoError(b.t, list.Err())
	return out
}

func TestADisputeTakesTheMoneyAndMayGiveItBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.paid()
	intent := s.PaymentIntent.ID
	b.act("payments/"+s.ID+"/dispute", url.Values{"amount": {"3000"}})
	require.Equal(t, []string{"charge.dispute.created", "charge.dispute.funds_withdrawn"}, b.kinds(3))
	got := b.disputes(intent)
	require.Len(t, got, 1)
	require.Equal(t, []any{stripe.DisputeStatusNeedsResponse, int64(3000)}, []any{got[0].Status, got[0].Amount})
	require.Len(t, got[0].BalanceTransactions, 1)
	require.EqualValues(t, -4500, got[0].BalanceTransactions[0].Net, "the amount and Stripe's fee")
	ch, err := b.api.Charges.Get(s.PaymentIntent.LatestCharge.ID, nil)
	require.NoError(t, err)
	require.True(t, ch.Disputed)
	_, err = b.api.Refunds.New(&stripe.RefundParams{PaymentIntent: &intent})
	require.Equal(t, stripe.ErrorCode("charge_disputed"), stripeError(t, err).Code)

	b.act("disputes/"+got[0].ID, url.Values{"outcome": {"answer"}})
	require.Equal(t, stripe.DisputeStatusUnderReview, b.disputes(intent)[0].Status)
	b.act("disputes/"+got[0].ID, url.Values{"outcome": {"win"}})
	require.Equal(t, stripe.DisputeStatusWon, b.disputes(intent)[0].Status)
	require.Equal(t, []string{"charge.dispute.updated", "charge.dispute.funds_reinstated", "charge.dispute.closed"}, b.kinds(5))
	require.Equal(t, http.StatusBadRequest, b.post("/_sim/disputes/"+got[0].ID, url.Values{"outcome": {"lose"}}).StatusCode, "it is over")

	one, err := b.api.Disputes.Get(got[0].ID, nil)
	require.NoError(t, err)
	var raw map[string]any
	require.NoError(t, json.Unmarshal(one.LastResponse.RawJSON, &raw))
	knownOnly(t, raw, reflect.TypeFor[stripe.Dispute](), "dispute")
}

func TestAnInquiryTakesNothingUntilItBecomesADispute(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.paid()
	intent := s.PaymentIntent.ID
	b.act("payments/"+intent+"/dispute", url.Values{"inquiry": {"true"}})
	got := b.disputes(intent)
	require.Equal(t, stripe.DisputeStatusWarningNeedsResponse, got[0].Status)
	require.Empty(t, got[0].BalanceTransactions)
	b.act("disputes/"+got[0].ID, url.Values{"outcome": {"escalate"}})
	require.Equal(t, stripe.DisputeStatusNeedsResponse, b.disputes(intent)[0].Status)
	b.act("disputes/"+got[0].ID, url.Values{"outcome": {"lose"}})
	require.Equal(t, []string{
		"charge.dispute.created", "charge.dispute.updated", "charge.dispute.funds_withdrawn", "charge.dispute.closed",
	}, b.kinds(3))

	b.act("payments/"+intent+"/warn", nil)
	warnings := b.api.RadarEarlyFraudWarnings.List(&stripe.RadarEarlyFraudWarningListParams{PaymentIntent: &intent})
	require.True(t, warnings.Next())
	require.Equal(t, intent, warnings.RadarEarlyFraudWarning().PaymentIntent.ID)
	require.Equal(t, []string{"radar.early_fraud_warning.created"}, b.kinds(7))
}

func TestARefundMayFailAfterAll(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.paid()
	b.act("payments/"+s.ID+"/refund", url.Values{"amount": {"2000"}, "status": {"pending"}})
	list := b.api.Refunds.List(&stripe.RefundListParams{PaymentIntent: &s.PaymentIntent.ID})
	require.True(t, list.Next())
	id := list.Refund().ID
	require.Equal(t, stripe.RefundStatusPending, list.Refund().Status)
	b.act("refunds/"+id, url.Values{"status": {"succeeded"}})
	b.act("refunds/"+id, url.Values{"status": {"failed"}})
	got, err := b.api.Refunds.Get(id, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.RefundStatusFailed, got.Status)
	require.Equal(t, stripe.RefundFailureReasonExpiredOrCanceledCard, got.FailureReason)
	ch, err := b.api.Charges.Get(s.PaymentIntent.LatestCharge.ID, nil)
	require.NoError(t, err)
	require.Zero(t, ch.AmountRefunded)
	require.Equal(t, []string{
		"refund.created", "charge.refunded", "charge.refund.updated", "refund.updated", "charge.refund.updated", "refund.updated", "refund.failed",
	}, b.kinds(3))
	require.Equal(t, http.StatusBadRequest, b.post("/_sim/refunds/"+id, url.Values{"status": {"succeeded"}}).StatusCode)
}

// Whoever shows the demo can do all of it from the dashboard.
func TestTheDashboardRefundsAndDisputes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.paid()
	_, board := b.page("/dashboard/acct_platform")
	press := func(label string) {
		t.Helper()
		button := board.Find("button").FilterFunction(func(_ int, s *goquery.Selection) bool { return s.Text() == label })
		require.Equal(t, 1, button.Length(), label)
		action, _ := button.Parent().Attr("action")
		name, _ := button.Attr("name")
		value, _ := button.Attr("value")
		res := b.post(action, url.Values{name: {value}})
		require.Equal(t, http.StatusSeeOther, res.StatusCode)
		_, board = b.page(res.Header.Get("Location"))
	}
	press("Refund $25.00")
	require.Contains(t, board.Text(), "$25.00 refund succeeded")
	press("Refund fails")
	require.Contains(t, board.Text(), "$25.00 refund failed")
	press("Buyer disputes it")
	press("Lose the dispute")
	require.Equal(t, stripe.DisputeStatusLost, b.disputes(s.PaymentIntent.ID)[0].Status)
	require.Contains(t, board.Text(), "$50.00 dispute lost")
}
