package checkout_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"refill/billing/checkout"
	"refill/billing/stripesim"
	"refill/models"
)

func TestPaid(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	opened := b.open("k1")
	equal(t, "status", opened.Status, checkout.StatusOpen)
	equal(t, "payment", opened.PaymentStatus, checkout.PaymentUnpaid)
	equal(t, "reference", opened.Reference, "pur_1")
	equal(t, "metadata", opened.Metadata["agency"], "northwind")
	equal(t, "total", opened.AmountTotal, models.Money{Amount: 5000, Currency: "usd"})
	equal(t, "subtotal", opened.AmountSubtotal, opened.AmountTotal)
	equal(t, "live", opened.Live, false)
	equal(t, "expiry", opened.ExpiresAt, b.clock.Now().Add(31*time.Minute))
	equal(t, "payment intent before any try", opened.PaymentIntent, "")
	if !strings.HasPrefix(opened.URL, b.url+"/c/pay/cs_test_") {
		t.Errorf("address of the payment page: %s", opened.URL)
	}

	b.clock.Advance(time.Minute)
	status, answer := b.pay(opened.ID, "4242 4242 4242 4242")
	equal(t, "door", status, http.StatusOK)
	equal(t, "door's status", answer["status"], any("complete"))
	equal(t, "door's payment status", answer["payment_status"], any("paid"))
	sameList(t, "events", b.came(), "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed")

	now := b.see("", opened.ID)
	equal(t, "status", now.Status, checkout.StatusComplete)
	equal(t, "paid", now.Paid(), true)
	equal(t, "address when complete", now.URL, "")
	equal(t, "intent", now.IntentStatus, checkout.IntentSucceeded)
	equal(t, "paid at", now.PaidAt, b.clock.Now())
	equal(t, "method", now.Method, "card")
	equal(t, "fee", now.Fee, 175) // 2.9 % of 50.00 and 0.30
	equal(t, "fee known", now.FeeKnown, true)
	equal(t, "e-mail", now.CustomerEmail, "owner@northwind.example")
	equal(t, "failure", now.FailureMessage, "")
	if !strings.HasPrefix(now.ReceiptURL, b.url+"/receipts/ch_") || now.PaymentIntent == "" {
		t.Errorf("receipt %q, payment intent %q", now.ReceiptURL, now.PaymentIntent)
	}

	status, _ = b.pay(opened.ID, "4242424242424242")
	equal(t, "a second payment of one session", status, http.StatusBadRequest)
}

func TestEventsCarryTheReference(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	opened := b.open("k1")
	b.pay(opened.ID, "4242424242424242")
	intent := b.see("", opened.ID).PaymentIntent
	for range 3 {
		a := <-b.arrivals
		if a.err != nil {
			t.Fatal(a.err)
		}
		equal(t, a.event.Type+" reference", a.event.Reference, "pur_1")
		equal(t, a.event.Type+" intent", a.event.PaymentIntent, intent)
		equal(t, a.event.Type+" version", a.event.VersionMatches, true)
		equal(t, a.event.Type+" live", a.event.Live, false)
		equal(t, a.event.Type+" time", a.event.CreatedAt, b.clock.Now())
		if a.event.Type == "checkout.session.completed" {
			equal(t, "object", a.event.ObjectID, opened.ID)
			equal(t, "object's type", a.event.ObjectType, "checkout.session")
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
			equal(t, "door", status, http.StatusPaymentRequired)
			equal(t, "door's status", answer["status"], any("open"))
			equal(t, "door's payment status", answer["payment_status"], any("unpaid"))
			sameList(t, "events", b.came(), "payment_intent.payment_failed")
			now := b.see("", opened.ID)
			equal(t, "status", now.Status, checkout.StatusOpen)
			equal(t, "intent", now.IntentStatus, checkout.IntentNeedsMethod)
			equal(t, "code", now.FailureCode, want.code)
			equal(t, "paid at", now.PaidAt, 0)
			if !strings.Contains(now.FailureMessage, want.words) {
				t.Errorf("the buyer reads %q", now.FailureMessage)
			}

			// The same checkout takes another card.
			status, _ = b.pay(opened.ID, "4242424242424242")
			equal(t, "second card", status, http.StatusOK)
			after := b.see("", opened.ID)
			equal(t, "paid", after.Paid(), true)
			equal(t, "same payment", after.PaymentIntent, now.PaymentIntent)
			equal(t, "failure", after.FailureMessage, "")
		})
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	opened := b.open("k1")
	status, answer := b.pay(opened.ID, "4000002500003155")
	equal(t, "the bank asks", status, http.StatusPaymentRequired)
	equal(t, "session", answer["status"], any("open"))
	equal(t, "intent", b.see("", opened.ID).IntentStatus, checkout.IntentNeedsAction)

	try := func(proved string) int {
		status, _ := b.door("/checkout/sessions/"+opened.ID+"/pay", url.Values{"card": {"4000002760003184"}, "authenticate": {proved}})
		return status
	}
	equal(t, "failed", try("false"), http.StatusPaymentRequired)
	now := b.see("", opened.ID)
	equal(t, "code", now.FailureCode, "payment_intent_authentication_failure")
	equal(t, "passed", try("true"), http.StatusOK)
	equal(t, "paid", b.see("", opened.ID).Paid(), true)
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
			equal(t, "door", status, http.StatusOK)
			equal(t, "door's status", answer["status"], any("complete"))
			equal(t, "door's payment status", answer["payment_status"], any("unpaid"))
			sameList(t, "events at once", b.came(), "payment_intent.processing", "checkout.session.completed")
			now := b.see("", opened.ID)
			equal(t, "status", now.Status, checkout.StatusComplete)
			equal(t, "intent", now.IntentStatus, checkout.IntentProcessing)
			equal(t, "paid", now.Paid(), false)
			equal(t, "paid at", now.PaidAt, 0)

			c.settle(t, b, opened.ID)
			sameList(t, "events later", b.came(), c.events...)
			after := b.see("", opened.ID)
			equal(t, "paid", after.Paid(), c.paid)
			equal(t, "method", after.Method, "us_bank_account")
			if !c.paid {
				equal(t, "code", after.FailureCode, "insufficient_funds")
			}
			status, _ = b.door("/checkout/sessions/"+opened.ID+"/settle", url.Values{"outcome": {"succeeded"}})
			equal(t, "settled twice", status, http.StatusBadRequest)
		})
	}
}

func tick(t *testing.T, b *bench, id string) {
	t.Helper()
	b.clock.Advance(71 * time.Hour)
	if err := b.sim.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "an hour early", b.see("", id).IntentStatus, checkout.IntentProcessing)
	b.clock.Advance(time.Hour)
	if err := b.sim.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func door(outcome string) func(*testing.T, *bench, string) {
	return func(t *testing.T, b *bench, id string) {
		t.Helper()
		status, _ := b.door("/checkout/sessions/"+id+"/settle", url.Values{"outcome": {outcome}})
		equal(t, "settle", status, http.StatusOK)
	}
}

func TestWallet(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	opened := b.open("k1")
	status, _ := b.door("/checkout/sessions/"+opened.ID+"/pay", url.Values{"method": {"paypal"}})
	equal(t, "door", status, http.StatusOK)
	now := b.see("", opened.ID)
	equal(t, "paid", now.Paid(), true)
	equal(t, "method", now.Method, "paypal")
}

func TestExpired(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	byTime, onDemand := b.open("k1"), b.open("k2")
	closed, err := b.ExpireSession(t.Context(), "", onDemand.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "on demand", closed.Status, checkout.StatusExpired)
	again, err := b.ExpireSession(t.Context(), "", onDemand.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "twice", again.Status, checkout.StatusExpired)

	b.clock.Advance(31*time.Minute - time.Second)
	equal(t, "a second early", b.see("", byTime.ID).Status, checkout.StatusOpen)
	b.clock.Advance(time.Second)
	equal(t, "by time, seen while reading", b.see("", byTime.ID).Status, checkout.StatusExpired)
	if err := b.sim.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.doorJSON("/webhooks/flush", `{}`) // waits for attempts under way
	sameList(t, "events", b.came(), "checkout.session.expired", "checkout.session.expired")
	status, _ := b.pay(byTime.ID, "4242424242424242")
	equal(t, "paying too late", status, http.StatusBadRequest)
}

func TestExpireOfPaidSessionSaysPaid(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	opened := b.open("k1")
	b.pay(opened.ID, "4242424242424242")
	now, err := b.ExpireSession(t.Context(), "", opened.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "paid", now.Paid(), true)
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
		equal(t, name, checkout.KindOf(err), c.kind)
	}
}

func TestSameKeySameSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, again := b.open("k1"), b.open("k1")
	equal(t, "replay", again.ID, first.ID)
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
		equal(t, "sessions made", len(b.sessions()), 1)
		equal(t, "the one made before the answer was lost", b.sessions()[0], s.ID)
	})
	t.Run("one answer lost is made up for", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/faults", `{"path":"POST /v1/checkout/sessions","fault":"timeout_after_success","count":1}`)
		s := b.open("k1")
		equal(t, "sessions made", len(b.sessions()), 1)
		equal(t, "session", b.sessions()[0], s.ID)
	})
	t.Run("a remembered failure does not block the purchase", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/faults", `{"path":"/v1/checkout/sessions","fault":"500","count":1}`)
		_, err := b.CreateSession(t.Context(), b.params("k1"))
		wantKind(t, err, checkout.KindUnavailable)
		s := b.open("k1")
		equal(t, "same again", b.open("k1").ID, s.ID)
		equal(t, "sessions made", len(b.sessions()), 1)
	})
	t.Run("a failing look-up", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		s := b.open("k1")
		b.doorJSON("/faults", `{"path":"/v1/checkout/sessions/*","fault":"500","count":3}`)
		_, err := b.Session(t.Context(), "", s.ID)
		wantKind(t, err, checkout.KindUnavailable)
		equal(t, "after the fault", b.see("", s.ID).Status, checkout.StatusOpen)
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
	if err != nil {
		b.t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
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
	equal(t, "paid", now.Paid(), true)
	equal(t, "fee of Stripe", now.Fee, 175)
	equal(t, "fee of the platform", now.ApplicationFee, 250)
	for range 3 {
		a := <-b.arrivals
		if a.err != nil {
			t.Fatal(a.err)
		}
		equal(t, "endpoint of "+a.event.Type, a.connect, true)
		equal(t, "account of "+a.event.Type, a.event.Account, connected)
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
		equal(b.t, "pay", status, http.StatusOK)
	}
	t.Run("drop", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"drop"}`)
		buy(b, "k1")
		b.doorJSON("/webhooks/flush", `{}`)
		sameList(t, "nothing", b.came())
		b.doorJSON("/webhooks/flush", `{"all":true}`)
		sameList(t, "everything, on demand", b.came(), all...)
	})
	t.Run("drop some", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"drop","types":["checkout.session.completed"],"count":1}`)
		buy(b, "k1")
		sameList(t, "without the dropped", b.came(), all[:2]...)
		buy(b, "k2")
		sameList(t, "after the count", b.came(), all...)
	})
	t.Run("duplicate", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"duplicate","types":["checkout.session.completed"],"count":64}`)
		buy(b, "k1")
		got := b.came()
		equal(t, "arrivals", len(got), 66)
		equal(t, "copies", len(slices.DeleteFunc(got, func(s string) bool { return s != "checkout.session.completed" })), 64)
	})
	t.Run("delay", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.doorJSON("/webhooks", `{"mode":"delay"}`)
		buy(b, "k1")
		sameList(t, "held", b.came())
		b.doorJSON("/webhooks/flush", `{}`)
		sameList(t, "let go", b.came(), all...)
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
		sameList(t, "in the end", got, all...)
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
		sameList(t, "first gathered", b.came(), all[:2]...)
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
		sameList(t, "by a flush", b.came(), all...)
	})
}

func TestDeliveryLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.answer.Store(http.StatusServiceUnavailable)
	b.pay(b.open("k1").ID, "4242424242424242")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/_sim/webhooks", nil)
	if err != nil {
		t.Fatal(err)
	}
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
	equal(t, "mode", log.Mode, "deliver")
	equal(t, "lines", len(log.Deliveries), 3)
	last := log.Deliveries[2]
	equal(t, "type", last.Type, "checkout.session.completed")
	equal(t, "state", last.State, "pending")
	equal(t, "attempts", last.Attempts, 1)
	equal(t, "status", last.Status, http.StatusServiceUnavailable)
	equal(t, "counted", log.States["pending"], 3)
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
		if err != nil {
			t.Fatal(err)
		}
		b.pay(sold.ID, "4242424242424242")
		at = b.clock.Now()
	})
	b := newBench(t, keep)
	equal(t, "clock of the second run", b.clock.Now(), at)
	equal(t, "paid", b.see("", paid.ID).Paid(), true)
	equal(t, "receipt's amount", b.see("", paid.ID).AmountTotal.Amount, 5000)
	equal(t, "open", b.see("", open.ID).Status, checkout.StatusOpen)
	equal(t, "key still bound", b.open("k2").ID, open.ID)
	b.doorJSON("/webhooks/flush", `{}`)
	sameList(t, "undelivered events", b.came(), "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed")
	b.clock.Advance(72 * time.Hour)
	equal(t, "bank debit", b.see("", later.ID).Paid(), true)
}
