package checkout_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/billing/stripesim"
	"refill/models"
)

func TestPaid(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	opened := b.open("k1")
	require.Equal(t, checkout.StatusOpen, opened.Status, "status")
	require.Equal(t, checkout.PaymentUnpaid, opened.PaymentStatus, "payment")
	require.Equal(t, "pur_1", opened.Reference, "reference")
	require.Equal(t, "northwind", opened.Metadata["agency"], "metadata")
	require.Equal(t, models.Money{Amount: 5000, Currency: "usd"}, opened.AmountTotal, "total")
	require.Equal(t, opened.AmountTotal, opened.AmountSubtotal, "subtotal")
	require.False(t, opened.Live, "live")
	require.Equal(t, b.clock.Now().Add(31*time.Minute), opened.ExpiresAt, "expiry")
	require.Empty(t, opened.PaymentIntent, "payment intent before any try")
	if !strings.HasPrefix(opened.URL, b.url+"/c/pay/cs_test_") {
		t.Errorf("address of the payment page: %s", opened.URL)
	}

	b.clock.Advance(time.Minute)
	status, answer := b.pay(opened.ID, "4242 4242 4242 4242")
	require.Equal(t, http.StatusOK, status, "door")
	require.EqualValues(t, any("complete"), answer["status"], "door's status")
	require.EqualValues(t, any("paid"), answer["payment_status"], "door's payment status")
	sameList(t, "events", b.came(), "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed")

	now := b.see("", opened.ID)
	require.Equal(t, checkout.StatusComplete, now.Status, "status")
	require.True(t, now.Paid(), "paid")
	require.Empty(t, now.URL, "address when complete")
	require.Equal(t, checkout.IntentSucceeded, now.IntentStatus, "intent")
	require.Equal(t, b.clock.Now(), now.PaidAt, "paid at")
	require.Equal(t, "card", now.Method, "method")
	require.Equal(t, models.Money{Amount: 175, Currency: "usd"}, now.Fee, "fee") // 2.9 % of 50.00 and 0.30
	require.Equal(t, "owner@northwind.example", now.CustomerEmail, "e-mail")
	require.Empty(t, now.FailureMessage, "failure")
	if !strings.HasPrefix(now.ReceiptURL, b.url+"/receipts/ch_") || now.PaymentIntent == "" {
		t.Errorf("receipt %q, payment intent %q", now.ReceiptURL, now.PaymentIntent)
	}

	status, _ = b.pay(opened.ID, "4242424242424242")
	require.Equal(t, http.StatusBadRequest, status, "a second payment of one session")
}

func TestEventsCarryTheReference(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	opened := b.open("k1")
	b.pay(opened.ID, "4242424242424242")
	intent := b.see("", opened.ID).PaymentIntent
	for range 3 {
		a := <-b.arrivals
		require.NoError(t, a.err)
		require.Equal(t, "pur_1", a.event.Reference, a.event.Type+" reference")
		require.Equal(t, intent, a.event.PaymentIntent, a.event.Type+" intent")
		require.True(t, a.event.VersionMatches, a.event.Type+" version")
		require.False(t, a.event.Live, a.event.Type+" live")
		require.Equal(t, b.clock.Now(), a.event.CreatedAt, a.event.Type+" time")
		if a.event.Type == "checkout.session.completed" {
			require.Equal(t, opened.ID, a.event.ObjectID, "object")
			require.Equal(t, "checkout.session", a.event.ObjectType, "object's type")
		}
	}
}

func TestDeclined(t *testing.T) {
	t.Parallel()
	for card, want := range map[string]struct{ code, words string }{
		"4000000000000002": {"generic_decline", "declined"},
		"4000000000009995": {"insufficient_funds", "not enough money"},
		"4000000000009987": {"lost_card", "The card was declined."}, // the holder is not told why
		"4000000000000069": {"expired_card", "expired"},
		"4000000000000127": {"incorrect_cvc", "security code"},
		"4000000000000119": {"processing_error", "could not process"},
		"4111111111111111": {"test_mode_live_card", "declined"},
	} {
		t.Run(want.code, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			opened := b.open("k1")
			status, answer := b.pay(opened.ID, card)
			require.Equal(t, http.StatusPaymentRequired, status, "door")
			require.EqualValues(t, any("open"), answer["status"], "door's status")
			require.EqualValues(t, any("unpaid"), answer["payment_status"], "door's payment status")
			sameList(t, "events", b.came(), "payment_intent.payment_failed")
			now := b.see("", opened.ID)
			require.Equal(t, checkout.StatusOpen, now.Status, "status")
			require.Equal(t, checkout.IntentNeedsMethod, now.IntentStatus, "intent")
			require.Equal(t, want.code, now.FailureCode, "code")
			require.EqualValues(t, 0, now.PaidAt, "paid at")
			if !strings.Contains(now.FailureMessage, want.words) {
				t.Errorf("the buyer reads %q", now.FailureMessage)
			}

			// The same checkout takes another card.
			status, _ = b.pay(opened.ID, "4242424242424242")
			require.Equal(t, http.StatusOK, status, "second card")
			after := b.see("", opened.ID)
			require.True(t, after.Paid(), "paid")
			require.Equal(t, now.PaymentIntent, after.PaymentIntent, "same payment")
			require.Empty(t, after.FailureMessage, "failure")
		})
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	opened := b.open("k1")
	status, answer := b.pay(opened.ID, "4000002500003155")
	require.Equal(t, http.StatusPaymentRequired, status, "the bank asks")
	require.EqualValues(t, any("open"), answer["status"], "session")
	require.Equal(t, checkout.IntentNeedsAction, b.see("", opened.ID).IntentStatus, "intent")

	try := func(proved string) int {
		status, _ := b.door("/checkout/sessions/"+opened.ID+"/pay", url.Values{"card": {"4000002760003184"}, "authenticate": {proved}})
		return status
	}
	require.Equal(t, http.StatusPaymentRequired, try("false"), "failed")
	now := b.see("", opened.ID)
	require.Equal(t, "payment_intent_authentication_failure", now.FailureCode, "code")
	require.Equal(t, http.StatusOK, try("true"), "passed")
	require.True(t, b.see("", opened.ID).Paid(), "paid")
	sameList(t, "events", b.came(), "payment_intent.payment_failed",
		"charge.succeeded", "payment_intent.succeeded", "checkout.session.completed")
}

func TestPayLater(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		account string
		settle  func(t *testing.T, b *bench, id string)
		paid    bool
		events  []string
	}{
		{"comes by itself", "000123456789", tick, true, []string{"charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded"}},
		{"bounces by itself", "000222222227", tick, false, []string{"payment_intent.payment_failed", "checkout.session.async_payment_failed"}},
		{"comes on demand", "", door("succeeded"), true, []string{"charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded"}},
		{"bounces on demand", "", door("failed"), false, []string{"payment_intent.payment_failed", "checkout.session.async_payment_failed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			opened := b.open("k1")
			status, answer := b.door("/checkout/sessions/"+opened.ID+"/pay", url.Values{"method": {"pay_later"}, "account": {c.account}})
			require.Equal(t, http.StatusOK, status, "door")
			require.EqualValues(t, any("complete"), answer["status"], "door's status")
			require.EqualValues(t, any("unpaid"), answer["payment_status"], "door's payment status")
			sameList(t, "events at once", b.came(), "payment_intent.processing", "checkout.session.completed")
			now := b.see("", opened.ID)
			require.Equal(t, checkout.StatusComplete, now.Status, "status")
			require.Equal(t, checkout.IntentProcessing, now.IntentStatus, "intent")
			require.False(t, now.Paid(), "paid")
			require.EqualValues(t, 0, now.PaidAt, "paid at")

			c.settle(t, b, opened.ID)
			require.Equal(t, c.events, b.came(), "events later")
			after := b.see("", opened.ID)
			require.Equal(t, c.paid, after.Paid(), "paid")
			require.Equal(t, "us_bank_account", after.Method, "method")
			if !c.paid {
				require.Equal(t, "insufficient_funds", after.FailureCode, "code")
			}
			status, _ = b.door("/checkout/sessions/"+opened.ID+"/settle", url.Values{"outcome": {"succeeded"}})
			require.Equal(t, http.StatusBadRequest, status, "settled twice")
		})
	}
}

func tick(t *testing.T, b *bench, id string) {
	t.Helper()
	b.clock.Advance(71 * time.Hour)
	require.NoError(t, b.sim.Tick(t.Context()))
	require.Equal(t, checkout.IntentProcessing, b.see("", id).IntentStatus, "an hour early")
	b.clock.Advance(time.Hour)
	require.NoError(t, b.sim.Tick(t.Context()))
}

func door(outcome string) func(*testing.T, *bench, string) {
	return func(t *testing.T, b *bench, id string) {
		t.Helper()
		status, _ := b.door("/checkout/sessions/"+id+"/settle", url.Values{"outcome": {outcome}})
		require.Equal(t, http.StatusOK, status, "settle")
	}
}

func TestWallet(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	opened := b.open("k1")
	status, _ := b.door("/checkout/sessions/"+opened.ID+"/pay", url.Values{"method": {"paypal"}})
	require.Equal(t, http.StatusOK, status, "door")
	now := b.see("", opened.ID)
	require.True(t, now.Paid(), "paid")
	require.Equal(t, "paypal", now.Method, "method")
}

func TestExpired(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	byTime, onDemand := b.open("k1"), b.open("k2")
	closed, err := b.ExpireSession(t.Context(), "", onDemand.ID)
	require.NoError(t, err)
	require.Equal(t, checkout.StatusExpired, closed.Status, "on demand")
	again, err := b.ExpireSession(t.Context(), "", onDemand.ID)
	require.NoError(t, err)
	require.Equal(t, checkout.StatusExpired, again.Status, "twice")

	b.clock.Advance(31*time.Minute - time.Second)
	require.Equal(t, checkout.StatusOpen, b.see("", byTime.ID).Status, "a second early")
	b.clock.Advance(time.Second)
	require.Equal(t, checkout.StatusExpired, b.see("", byTime.ID).Status, "by time, seen while reading")
	require.NoError(t, b.sim.Tick(t.Context()))
	b.doorJSON("/webhooks/flush", `{}`) // waits for attempts under way
	sameList(t, "events", b.came(), "checkout.session.expired", "checkout.session.expired")
	status, _ := b.pay(byTime.ID, "4242424242424242")
	require.Equal(t, http.StatusBadRequest, status, "paying too late")
}

func TestExpireOfPaidSessionSaysPaid(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	opened := b.open("k1")
	b.pay(opened.ID, "4242424242424242")
	now, err := b.ExpireSession(t.Context(), "", opened.ID)
	require.NoError(t, err)
	require.True(t, now.Paid(), "paid")
}

func TestSessionLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, c := range map[string]struct {
		life time.Duration
		kind checkout.Kind
	}{
		"too short": {30*time.Minute - time.Second, checkout.KindRefused},
		"shortest":  {30 * time.Minute, ""},
		"longest":   {24 * time.Hour, ""},
		"too long":  {24*time.Hour + time.Second, checkout.KindRefused},
	} {
		p := b.params(name)
		p.ExpiresAt = b.clock.Now().Add(c.life)
		_, err := b.CreateSession(t.Context(), p)
		require.Equal(t, c.kind, checkout.KindOf(err), name)
	}
}

func TestSameKeySameSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, again := b.open("k1"), b.open("k1")
	require.Equal(t, first.ID, again.ID, "replay")
	p := b.params("k1")
	p.Amount.Amount++
	_, err := b.CreateSession(t.Context(), p)
	wantKind(t, err, checkout.KindConflict)

	// A refusal for its form binds the key to nothing.
	bad := b.params("k2")
	bad.SuccessURL = "javascript:alert(1)"
	_, err = b.CreateSession(t.Context(), bad)
	wantKind(t, err, checkout.KindRefused)
	if b.open("k2").ID == "" {
		t.Error("no session after a refusal")
	}

	// A day later the key is free again, as at Stripe.
	b.clock.Advance(24 * time.Hour)
	if b.open("k1").ID == first.ID {
		t.Error("the key is still bound after 24 hours")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	t.Run("answers lost after success", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/faults", `{"path":"/v1/checkout/sessions","fault":"timeout_after_success","count":1000}`)
		_, err := b.CreateSession(t.Context(), b.params("k1"))
		wantKind(t, err, checkout.KindUnavailable)
		b.doorJSON("/faults", `{"path":"/v1/checkout/sessions","count":0}`)
		s := b.open("k1")
		require.Len(t, b.sessions(), 1, "sessions made")
		require.Equal(t, s.ID, b.sessions()[0], "the one made before the answer was lost")
	})
	t.Run("one answer lost is made up for", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/faults", `{"path":"POST /v1/checkout/sessions","fault":"timeout_after_success","count":1}`)
		s := b.open("k1")
		require.Len(t, b.sessions(), 1, "sessions made")
		require.Equal(t, s.ID, b.sessions()[0], "session")
	})
	t.Run("a remembered failure does not block the purchase", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/faults", `{"path":"/v1/checkout/sessions","fault":"500","count":1}`)
		_, err := b.CreateSession(t.Context(), b.params("k1"))
		wantKind(t, err, checkout.KindUnavailable)
		s := b.open("k1")
		require.Equal(t, s.ID, b.open("k1").ID, "same again")
		require.Len(t, b.sessions(), 1, "sessions made")
	})
	t.Run("a failing look-up", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		s := b.open("k1")
		b.doorJSON("/faults", `{"path":"/v1/checkout/sessions/*","fault":"500","count":3}`)
		_, err := b.Session(t.Context(), "", s.ID)
		wantKind(t, err, checkout.KindUnavailable)
		require.Equal(t, checkout.StatusOpen, b.see("", s.ID).Status, "after the fault")
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		g := newGateway(t, "http://127.0.0.1:1")
		_, err := g.Session(canceled(), "", "cs_test_1")
		wantKind(t, err, checkout.KindUnavailable)
	})
}

// sessions lists the simulator's checkouts by their ids.
func (b *bench) sessions() []string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+"/v1/checkout/sessions?limit=100", nil)
	require.NoError(b.t, err)
	req.SetBasicAuth(testKey, "")
	var list struct {
		Data []struct{ ID string }
	}
	getJSON(b.t, req, &list)
	var out []string
	for _, s := range list.Data {
		out = append(out, s.ID)
	}
	return out
}

func TestConnectedAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.params("k1")
	p.Account, p.ApplicationFee = connected, 250
	opened, err := b.CreateSession(t.Context(), p)
	require.NoError(t, err)
	// Another account does not find it, nor does the same key collide there.
	_, err = b.Session(t.Context(), "", opened.ID)
	wantKind(t, err, checkout.KindNotFound)
	_, err = b.ExpireSession(t.Context(), "", opened.ID)
	wantKind(t, err, checkout.KindNotFound)
	if b.open("k1").ID == opened.ID {
		t.Error("one key gave two accounts the same session")
	}
	_, err = b.Session(t.Context(), "acct_unknown", opened.ID)
	wantKind(t, err, checkout.KindUnauthorised)

	b.pay(opened.ID, "4242424242424242")
	now := b.see(connected, opened.ID)
	require.True(t, now.Paid(), "paid")
	require.Equal(t, models.Money{Amount: 175, Currency: "usd"}, now.Fee, "fee of Stripe")
	require.EqualValues(t, 250, now.ApplicationFee, "fee of the platform")
	for range 3 {
		a := <-b.arrivals
		require.NoError(t, a.err)
		require.True(t, a.connect, "endpoint of "+a.event.Type)
		require.Equal(t, connected, a.event.Account, "account of "+a.event.Type)
	}

	p = b.params("k3")
	p.ApplicationFee = 250
	_, err = b.CreateSession(t.Context(), p)
	wantKind(t, err, checkout.KindRefused)
}

func TestWebhookModes(t *testing.T) {
	t.Parallel()
	all := []string{"charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"}
	buy := func(b *bench, key string) {
		b.t.Helper()
		status, _ := b.pay(b.open(key).ID, "4242424242424242")
		require.Equal(b.t, http.StatusOK, status, "pay")
	}
	t.Run("drop", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"drop"}`)
		buy(b, "k1")
		b.doorJSON("/webhooks/flush", `{}`)
		sameList(t, "nothing", b.came())
		b.doorJSON("/webhooks/flush", `{"all":true}`)
		require.Equal(t, all, b.came(), "everything, on demand")
	})
	t.Run("drop some", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"drop","types":["checkout.session.completed"],"count":1}`)
		buy(b, "k1")
		require.Equal(t, all[:2], b.came(), "without the dropped")
		buy(b, "k2")
		require.Equal(t, all, b.came(), "after the count")
	})
	t.Run("duplicate", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"duplicate","types":["checkout.session.completed"],"count":64}`)
		buy(b, "k1")
		got := b.came()
		require.Len(t, got, 66, "arrivals")
		require.Len(t, slices.DeleteFunc(got, func(s string) bool { return s != "checkout.session.completed" }), 64, "copies")
	})
	t.Run("delay", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"delay"}`)
		buy(b, "k1")
		sameList(t, "held", b.came())
		b.doorJSON("/webhooks/flush", `{}`)
		require.Equal(t, all, b.came(), "let go")
	})
	t.Run("delay by a time", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"delay","types":"checkout.session.completed","delay":"20ms"}`)
		buy(b, "k1")
		var got []string
		for range 3 {
			got = append(got, (<-b.arrivals).event.Type)
		}
		require.Equal(t, all, got, "in the end")
	})
	t.Run("reorder within a payment", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"reorder"}`)
		buy(b, "k1")
		sameList(t, "last first", b.came(), all[2], all[1], all[0])
	})
	t.Run("reorder across payments", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"reorder","types":["checkout.session.completed"],"count":2}`)
		first, second := b.open("k1"), b.open("k2")
		b.pay(first.ID, "4242424242424242")
		require.Equal(t, all[:2], b.came(), "first gathered")
		b.pay(second.ID, "4242424242424242")
		var sessions []string
		for range 4 {
			if a := <-b.arrivals; a.event.ObjectType == "checkout.session" {
				sessions = append(sessions, a.event.ObjectID)
			}
		}
		sameList(t, "second before first", sessions, second.ID, first.ID)
	})
	t.Run("retried until taken", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, func(c *stripesim.Config) { c.Backoff = []time.Duration{time.Millisecond} })
		b.answer.Store(http.StatusInternalServerError)
		buy(b, "k1")
		for range 6 { // two attempts each, and no more
			<-b.arrivals
		}
		b.answer.Store(http.StatusOK)
		b.doorJSON("/webhooks/flush", `{}`)
		require.Equal(t, all, b.came(), "by a flush")
	})
}

func TestDeliveryLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.answer.Store(http.StatusServiceUnavailable)
	b.pay(b.open("k1").ID, "4242424242424242")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/_sim/webhooks", nil)
	require.NoError(t, err)
	var log struct {
		Mode       string
		States     map[string]int
		Deliveries []struct {
			Type, State string
			Attempts    int
			Status      int
		}
	}
	getJSON(t, req, &log)
	require.Equal(t, "deliver", log.Mode, "mode")
	require.Len(t, log.Deliveries, 3, "lines")
	last := log.Deliveries[2]
	require.Equal(t, "checkout.session.completed", last.Type, "type")
	require.Equal(t, "pending", last.State, "state")
	require.Equal(t, 1, last.Attempts, "attempts")
	require.Equal(t, http.StatusServiceUnavailable, last.Status, "status")
	require.Equal(t, 3, log.States["pending"], "counted")
}

func TestStateSurvivesARestart(t *testing.T) {
	t.Parallel()
	store := filepath.Join(t.TempDir(), "stripe.jsonl")
	keep := func(c *stripesim.Config) { c.Store = store }
	var paid, open, later checkout.Session
	var at models.Time
	t.Run("first run", func(t *testing.T) {
		b := newBench(t, keep)
		paid, open, later = b.open("k1"), b.open("k2"), b.open("k3")
		b.pay(paid.ID, "4242424242424242")
		b.door("/checkout/sessions/"+later.ID+"/pay", url.Values{"method": {"pay_later"}})
		b.came()
		b.answer.Store(http.StatusServiceUnavailable)
		p := b.params("k4")
		p.Account = connected
		sold, err := b.CreateSession(t.Context(), p)
		require.NoError(t, err)
		b.pay(sold.ID, "4242424242424242")
		at = b.clock.Now()
	})
	b := newBench(t, keep)
	require.Equal(t, at, b.clock.Now(), "clock of the second run")
	require.True(t, b.see("", paid.ID).Paid(), "paid")
	require.EqualValues(t, 5000, b.see("", paid.ID).AmountTotal.Amount, "receipt's amount")
	require.Equal(t, checkout.StatusOpen, b.see("", open.ID).Status, "open")
	require.Equal(t, open.ID, b.open("k2").ID, "key still bound")
	b.doorJSON("/webhooks/flush", `{}`)
	// At least once each: the restart may be trying one already when all are flushed.
	sameList(t, "undelivered events", slices.Compact(b.came()), "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed")
	b.clock.Advance(72 * time.Hour)
	require.True(t, b.see("", later.ID).Paid(), "bank debit")
}
