package handlers_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/models"
	"refill/models/modelstest"
)

func TestBuyAPack(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("owner")
		got := p.open(b, p.pack())
		p.till.pay(got.CheckoutSession)
		before := p.left()
		for range 3 { // looking again changes nothing
			page := b.get("/buy/return?s=" + got.CheckoutSession)
			require.Equal(t, http.StatusOK, page.StatusCode)
			require.Contains(t, page.doc().Find("h1").Text(), "2,000 credits added")
			require.Equal(t, before+2000*models.Credit, p.left())
		}
		receipt := b.get("/purchases/" + got.ID.String() + "/receipt")
		require.Equal(t, http.StatusOK, receipt.StatusCode)
		require.Contains(t, receipt.doc().Find("main").Text(), "$10.00")
		list := b.get("/purchases")
		require.Equal(t, 1, list.doc().Find("table tbody tr").Length())

		rows, err := csv.NewReader(strings.NewReader(b.get("/purchases.csv").body)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 2)
		require.Equal(t, []string{"2000", "10.00", "usd", "credited"}, rows[1][4:8])
		require.Contains(t, b.get("/buy").doc().Find("main").Text(), "Buy again")
	})
}

// left is the number on the owner's screen.
func (p *portal) left() models.Credits {
	p.t.Helper()
	account, err := p.billing.AccountOf(p.t.Context(), p.northwind.WalletID)
	require.NoError(p.t, err)
	w, err := p.billing.Wallet(p.t.Context(), account)
	require.NoError(p.t, err)
	return w.Balance.Left()
}

func TestOneAttemptIsOnePurchase(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	page := b.get("/buy")
	form := url.Values{"csrf_token": {page.token()}, "pack": {p.pack()}, "attempt": {page.doc().Find("input[name=attempt]").AttrOr("value", "")}}
	first := b.post("/buy", form).to()
	require.Equal(t, first, b.post("/buy", form).to(), "a double click goes to the same payment")
	p.till.pay("cs_test_1")
	require.Equal(t, http.StatusOK, b.get("/buy/return?s=cs_test_1").StatusCode)
	require.Equal(t, "/buy/return?s=cs_test_1", b.post("/buy", form).to(), "and once paid, to its result")
	require.Len(t, p.till.sessions, 1)
}

func TestWalkingAwayIsNotCharged(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	got := p.open(b, p.pack())
	back := b.get("/buy?cancelled=" + got.ID.String())
	require.Equal(t, http.StatusSeeOther, back.StatusCode)
	page := b.get(back.to())
	require.Contains(t, page.doc().Find("main").Text(), "You were not charged")
	require.Equal(t, p.pack(), page.doc().Find("input[name=pack][checked]").AttrOr("value", ""), "the choice is kept")
	require.NotContains(t, b.get("/buy").doc().Find("main").Text(), "You were not charged", "it is said once")
	got, err := p.billing.Purchase(t.Context(), got.AgencyID, got.ID)
	require.NoError(t, err)
	require.Equal(t, models.PurchaseCancelled, got.Status)
}

func TestReturnCases(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	for name, c := range map[string]struct {
		do   func(*checkout.Session)
		want string // on the page itself, or on the one it leads to
	}{
		"pay later": {func(s *checkout.Session) {
			s.Status, s.IntentStatus = checkout.StatusComplete, checkout.IntentProcessing
		}, "Waiting for your payment"},
		"declined": {func(s *checkout.Session) {
			s.Status, s.IntentStatus, s.FailureMessage = checkout.StatusComplete, checkout.IntentNeedsMethod, "Your card was declined."
		}, "Your card was declined."},
		"expired":      {func(s *checkout.Session) { s.Status = checkout.StatusExpired }, "The time to pay ran out."},
		"not finished": {func(*checkout.Session) {}, "This payment isn't finished"},
		"other amount": {func(s *checkout.Session) {
			s.Status, s.PaymentStatus, s.AmountSubtotal.Amount = checkout.StatusComplete, checkout.PaymentPaid, 1
		}, "Payment received, credits on the way"},
	} {
		before := p.left()
		got := p.open(b, p.pack())
		p.till.change(got.CheckoutSession, c.do)
		a := b.get("/buy/return?s=" + got.CheckoutSession)
		if a.StatusCode == http.StatusSeeOther {
			a = b.get(a.to())
		}
		require.Equal(t, http.StatusOK, a.StatusCode, name)
		require.Contains(t, a.doc().Find("main").Text(), c.want, name)
		require.Equal(t, before, p.left(), name)
	}
}

func TestReturnWaitsWhenTheProviderDoesNotAnswer(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	got := p.open(b, p.pack())
	p.till.pay(got.CheckoutSession)
	p.till.fail(true)
	first := b.get("/buy/return?s=" + got.CheckoutSession)
	require.Equal(t, http.StatusSeeOther, first.StatusCode)
	page := b.get(first.to())
	require.Contains(t, page.doc().Find("h1").Text(), "Payment received")
	require.NotContains(t, page.body, "10.9.8.7", "what failed inside is not shown")
	p.wall.set(begin.Add(31 * time.Second))
	slow := b.get(first.to())
	require.Contains(t, slow.doc().Find("main").Text(), got.CheckoutSession)
	p.till.fail(false)
	require.Contains(t, b.get(first.to()).doc().Find("h1").Text(), "2,000 credits added")
}

func TestBuyRefusals(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	none := b.fill("/buy", "/buy", url.Values{"attempt": {"one"}})
	require.Equal(t, http.StatusUnprocessableEntity, none.StatusCode)
	require.Contains(t, none.doc().Find("title").Text(), "Error: ")
	require.Equal(t, "one", none.doc().Find("input[name=attempt]").AttrOr("value", ""))
	unknown := b.fill("/buy", "/buy", url.Values{"pack": {"no-such-pack"}})
	require.Equal(t, http.StatusUnprocessableEntity, unknown.StatusCode)
	require.Contains(t, unknown.body, "This pack is not on sale")

	p.till.fail(true)
	down := b.fill("/buy", "/buy", url.Values{"pack": {p.pack()}})
	require.Equal(t, http.StatusServiceUnavailable, down.StatusCode)
	require.Contains(t, down.body, "You have not been charged")
	require.Equal(t, p.pack(), down.doc().Find("input[name=pack][checked]").AttrOr("value", ""), "the choice is kept")
	require.NotContains(t, down.body, "10.9.8.7")

	member := p.as("member").get("/buy")
	require.Contains(t, member.doc().Find("main").Text(), "Only an owner or a billing contact can buy.")
	require.Contains(t, p.as("client").get("/buy").doc().Find("main").Text(), "Contact Northwind Agency")
}

// TestAnExpiredSessionKeepsTheForm signs in again and finds the choice as it was.
func TestAnExpiredSessionKeepsTheForm(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	form := url.Values{"csrf_token": {b.get("/buy").token()}, "pack": {p.pack()}, "attempt": {"x"}}
	require.NoError(t, p.billing.EndSessions(t.Context(), p.users["owner"].ID, nil, "test"))
	a := b.post("/buy", form)
	require.Equal(t, http.StatusSeeOther, a.StatusCode)
	u, err := url.Parse(a.to())
	require.NoError(t, err)
	require.Equal(t, "/sign-in", u.Path)
	require.Equal(t, "/buy?pack="+p.pack(), u.Query().Get("next"))
}

func TestWebhooksAreStoredBeforeTheyAreAnswered(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		deliver := func(path, signature, body string) answer {
			b := p.visitor(home)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, home+path, strings.NewReader(body))
			require.NoError(t, err)
			req.Header.Set("Stripe-Signature", signature)
			return b.do(req)
		}
		event := `{"id": "evt_1", "type": "checkout.session.completed", "object_id": "cs_nobody"}`
		require.Equal(t, http.StatusBadRequest, deliver("/webhooks/stripe", "bad", event).StatusCode)
		for range 3 {
			require.Equal(t, http.StatusOK, deliver("/webhooks/stripe", "good", event).StatusCode)
		}
		require.Equal(t, http.StatusOK, deliver("/webhooks/stripe/connect", "good", event).StatusCode)
		require.Equal(t, http.StatusRequestEntityTooLarge, deliver("/webhooks/stripe", "good", strings.Repeat("x", 1<<20+1)).StatusCode)
		var rows []models.StripeEvent
		require.NoError(t, db.Read.Order("endpoint").Find(&rows).Error)
		require.Len(t, rows, 2)
		require.Equal(t, []string{billing.EndpointConnect, billing.EndpointPlatform}, []string{rows[0].Endpoint, rows[1].Endpoint})
	})
}

// TestBuyByQuantity sells credits at least 1,000 at a time in steps of 1,000,
// shows excess being paid off, and sells a free plan nothing.
func TestBuyByQuantity(t *testing.T) {
	t.Parallel()
	p := &portal{preset: "tawk"}
	p.start(t, modelstest.OpenSQLite(t))
	b := p.as("owner")
	require.NoError(t, p.billing.ChangePlan(t.Context(), p.northwind.ID, "hobby", "test"))
	free := b.get("/buy")
	require.Contains(t, free.doc().Find("main").Text(), "can't buy packs")
	require.Equal(t, http.StatusForbidden, b.fill("/usage", "/buy", url.Values{"pack": {"any"}, "quantity": {"1000"}}).StatusCode)

	require.NoError(t, p.billing.ChangePlan(t.Context(), p.northwind.ID, "growth", "test"))
	p.clock.set(begin.Add(time.Hour))
	for _, quantity := range []string{"999", "1500", "0", "-1000", "", "many", "1e3", "1.000", "1,00", "1.000.000", "10 00", "1,000 000"} {
		a := b.fill("/buy", "/buy", url.Values{"pack": {p.pack()}, "quantity": {quantity}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, "%q", quantity)
		require.Equal(t, 1, a.doc().Find("#quantity[aria-invalid=true]").Length(), "%q: the field is named", quantity)
		if quantity != "" {
			require.Equal(t, quantity, a.doc().Find("#quantity").AttrOr("value", ""), "what was typed is kept")
			require.Equal(t, 1, a.doc().Find("[data-out=sums][hidden]").Length(), "%q: no sums of another amount", quantity)
		}
	}
	sums := b.fill("/buy", "/buy", url.Values{"pack": {p.pack()}, "quantity": {"3000"}, "preview": {"1"}})
	require.Equal(t, "/buy?pack="+p.pack()+"&quantity=3000", sums.to())
	require.Contains(t, b.get(sums.to()).doc().Find("main").Text(), "$90.00")
	for _, typed := range []string{"3,000", "3 000", "3\u00a0000", "3\u2009000", "3\u202f000", " 3000 ", "3,000.00"} {
		sums := b.get("/buy?" + url.Values{"pack": {p.pack()}, "quantity": {typed}}.Encode())
		require.Equal(t, http.StatusOK, sums.StatusCode, typed)
		require.Contains(t, sums.doc().Find("main").Text(), "$90.00", typed)
		require.Equal(t, typed, sums.doc().Find("#quantity").AttrOr("value", ""), "what was typed is kept")
		require.NotEqual(t, "number", sums.doc().Find("#quantity").AttrOr("type", ""), "a number field would show nothing")
	}
	twice := b.fill("/buy", "/buy", url.Values{"pack": {p.pack()}, "quantity": {"1.000"}})
	require.Equal(t, "The number of credits, 1.000, can be read in two ways. Enter 1000 or 1 instead.", twice.doc().Find("#quantity-error").Text())
	a := b.fill("/buy", "/buy", url.Values{"pack": {p.pack()}, "quantity": {"3,000"}})
	require.Equal(t, http.StatusSeeOther, a.StatusCode)
	p.till.pay("cs_test_1")
	before := p.left()
	require.Contains(t, b.get("/buy/return?s=cs_test_1").doc().Find("h1").Text(), "3,000 credits added")
	require.Equal(t, before+3000*models.Credit, p.left())

	for i := range int(p.left()/models.Credit) + 223 {
		_, err := p.billing.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:northwind", Key: fmt.Sprint("m", i), Action: "ai.message"})
		require.NoError(t, err)
	}
	require.Equal(t, -223*models.Credit, p.left())
	require.Contains(t, b.get("/").doc().Find("main").Text(), "Next purchase: 1,000 − 223 = 777")
	require.Contains(t, b.get("/buy").doc().Find("main").Text(), "1,000 − 223 = 777", "shown before paying")
	require.Equal(t, http.StatusSeeOther, b.fill("/buy", "/buy", url.Values{"pack": {p.pack()}, "quantity": {"1000"}}).StatusCode)
	p.till.pay("cs_test_2")
	paid := b.get("/buy/return?s=cs_test_2")
	require.Contains(t, paid.doc().Find("main").Text(), "777")
	require.Equal(t, 777*models.Credit, p.left())
	require.Equal(t, p.left(), column(t, b.get("/history.csv"), "change"), "and readable from the ledger after")
}
