package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/models"
	"refill/models/modelstest"
)

func (*till) CreateCustomer(_ context.Context, p checkout.CustomerParams) (string, error) {
	return "cus_" + p.Reference, nil
}

func (l *till) CreateCardSession(ctx context.Context, p checkout.CardSessionParams) (checkout.Session, error) {
	s, err := l.CreateSession(ctx, checkout.SessionParams{Account: p.Account, Reference: p.Reference})
	l.change(s.ID, func(s *checkout.Session) { s.Customer = p.Customer })
	return s, err
}

func (l *till) SavedCard(ctx context.Context, account, session string) (checkout.Session, checkout.Card, error) {
	s, err := l.Session(ctx, account, session)
	if s.Status != checkout.StatusComplete {
		return s, checkout.Card{}, err
	}
	return s, checkout.Card{ID: "pm_" + session, Brand: "visa", Last4: "4242", Month: 12, Year: 2034, Fingerprint: session}, err
}

func (*till) Card(_ context.Context, _, id string) (checkout.Card, string, error) {
	return checkout.Card{ID: id, Brand: "visa", Last4: "4242", Month: 12, Year: 2034, Fingerprint: strings.TrimPrefix(id, "pm_")}, "cus_1", nil
}

func (*till) ForgetCard(context.Context, string, string) error { return nil }

func (l *till) ChargeSaved(_ context.Context, p checkout.SavedChargeParams) (checkout.Session, error) { //nolint:gocritic // as it is declared
	l.mu.Lock()
	defer l.mu.Unlock()
	out := checkout.Session{
		Account: p.Account, Reference: p.Reference, Status: checkout.StatusComplete, PaymentStatus: checkout.PaymentPaid, PaymentIntent: "pi_" + p.Reference,
		IntentStatus: checkout.IntentSucceeded, AmountSubtotal: p.Amount, AmountTotal: p.Amount, Customer: p.Customer,
	}
	if l.declines {
		out.PaymentStatus, out.IntentStatus = checkout.PaymentUnpaid, checkout.IntentNeedsMethod
		out.FailureCode, out.FailureMessage = "stolen_card", "The card was declined. Try another card, or ask your bank."
	}
	return out, nil
}

// saveCard goes through the provider's page for a card, and gives where it led back.
func (p *portal) saveCard(link string) string {
	p.t.Helper()
	session := path.Base(link)
	p.till.change(session, func(s *checkout.Session) {
		s.Status, s.PaymentStatus = checkout.StatusComplete, checkout.PaymentNotRequired
	})
	return session
}

// From nothing to a card that was declined and back: what is shown before, what
// happens, and what the owner is told.
func TestAutomaticTopUpIsSetUp(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("owner")
		page := b.get("/buy/automatic")
		require.Equal(t, http.StatusOK, page.StatusCode)
		require.Zero(t, page.doc().Find("main input[checked]").Length(), "nothing is ticked beforehand")
		require.Contains(t, page.doc().Find("main button.primary").Text(), "Add a card")
		send := func(to string, values url.Values) answer {
			values.Set("csrf_token", page.token())
			return b.post(to, values)
		}
		wrong := send("/buy/automatic", url.Values{"threshold": {"many"}, "offer": {"credits-2000"}, "limit": {"5"}})
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.Equal(t, "many", wrong.doc().Find("#threshold").AttrOr("value", ""), "what was typed is kept")
		wrong = send("/buy/automatic", url.Values{"threshold": {"200,000"}, "offer": {"credits-2000"}, "limit": {"5"}})
		require.Contains(t, wrong.doc().Find(".errors").Text(), "must allow it at least")

		// What it comes to is said before it is sent, from what is typed so far.
		require.Empty(t, page.doc().Find("#pace").Text())
		for typed, says := range map[string]string{"200,000": "There is not enough usage yet to say how often this would buy.", "many": ""} {
			seen := send("/buy/automatic", url.Values{"threshold": {typed}, "offer": {"credits-2000"}, "preview": {"1"}})
			require.Equal(t, http.StatusOK, seen.StatusCode)
			require.Equal(t, says, seen.doc().Find("#pace").Text())
			require.Equal(t, typed, seen.doc().Find("#threshold").AttrOr("value", ""))
		}
		chosen := url.Values{"threshold": {"1,000"}, "offer": {"credits-2000"}, "limit": {"$20"}}
		link := send("/buy/automatic", chosen)
		require.Contains(t, link.to(), "https://checkout.stripe.com/")
		session := p.saveCard(link.to())
		back := b.get("/buy/automatic/card?s=" + session + "&" + url.Values{"threshold": {"1,000"}, "offer": {"credits-2000"}, "limit": {"$20"}}.Encode())
		require.Equal(t, http.StatusSeeOther, back.StatusCode, back.body)
		confirm := b.get(back.to())
		text := confirm.doc().Find("main").Text()
		for _, says := range []string{"Visa •••• 4242", "$10.00", "At most $20.00 in a calendar month", "one click"} {
			require.Contains(t, text, says)
		}
		require.NotContains(t, text, "now — $10.00", "there are more than 1,000")
		before := p.left()
		done := send("/buy/automatic/confirm", url.Values{"threshold": {"1,000"}, "offer": {"credits-2000"}, "limit": {"$20"}, "seen": {"10.00"}})
		require.Equal(t, http.StatusSeeOther, done.StatusCode, done.body)
		require.Contains(t, b.get("/buy/automatic").doc().Find("#stands").Text(), "On")
		require.Equal(t, before, p.left())
		require.Contains(t, b.get("/").doc().Find("main").Text(), "On below 1,000")

		// Below the line already: the page says that it charges at once, and it does.
		above := strconv.FormatInt(int64(before/models.Credit)+1_500, 10)
		at := url.Values{"threshold": {above}, "offer": {"credits-2000"}, "limit": {"20"}}
		require.Contains(t, b.get("/buy/automatic/confirm?"+at.Encode()).doc().Find("button.primary").Text(), "buy 2,000 credits now — $10.00")
		at.Set("seen", "10.00")
		at.Set("holds", "2500")
		require.Contains(t, send("/buy/automatic/confirm", at).doc().Find("main").Text(), "What it buys changed while the page was open.")
		at.Set("holds", "2000")
		require.Equal(t, http.StatusSeeOther, send("/buy/automatic/confirm", at).StatusCode)
		require.Equal(t, before+2_000*models.Credit, p.left())
		require.Contains(t, b.get("/purchases").doc().Find("main").Text(), "2,000")
		require.Equal(t, http.StatusSeeOther, send("/buy/automatic/off", url.Values{}).StatusCode)
		require.Contains(t, b.get("/buy/automatic").doc().Find("main").Text(), "AI pauses when you run out")
		member := p.as("member").get("/buy/automatic").doc()
		require.Zero(t, member.Find("main form").Length(), "who may not buy sees no form")
	})
}

// A declined card: the banner on the first page, and the ways out of it.
func TestADeclinedTopUpIsShown(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	p.till.declines = true
	page := b.get("/buy/automatic")
	account, err := p.billing.AccountOf(t.Context(), p.northwind.WalletID)
	require.NoError(t, err)
	link, err := p.billing.AddCard(t.Context(), billing.SaveCardInput{Account: account})
	require.NoError(t, err)
	_, err = p.billing.TakeCard(t.Context(), account, p.saveCard(link), "test")
	require.NoError(t, err)
	above := strconv.FormatInt(int64(p.left()/models.Credit)+1, 10)
	done := b.post("/buy/automatic/confirm", url.Values{
		"csrf_token": {page.token()}, "threshold": {above}, "offer": {"credits-2000"}, "limit": {"20"}, "seen": {"10.00"},
	})
	require.Equal(t, http.StatusSeeOther, done.StatusCode, done.body)
	stands := b.get("/buy/automatic").doc()
	require.Contains(t, stands.Find("main").Text(), "The last payment failed")
	require.Equal(t, 1, stands.Find("form[action='/buy/automatic/pay']").Length())
	require.Contains(t, b.get("/").doc().Find(".banner, .notice").Text()+b.get("/").body, "Automatic top-up failed.")
	pay := b.post("/buy/automatic/pay", url.Values{"csrf_token": {page.token()}, "attempt": {"a"}})
	require.Contains(t, pay.to(), "https://checkout.stripe.com/")
	require.Contains(t, b.post("/buy/automatic/pay", url.Values{"csrf_token": {page.token()}, "attempt": {"a"}}).to(), pay.to(), "twice is once")
}

// A client finds it only where its agency allows it.
func TestClientsTopUpWhereAllowed(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	p.selling(p.northwind)
	client, owner := p.as("client"), p.as("owner")
	require.Contains(t, client.get("/buy/automatic").doc().Find("main").Text(), "does not offer automatic top-up")
	require.NotContains(t, client.get("/buy").body, "/buy/automatic")
	page := owner.get("/buy/automatic")
	require.Equal(t, http.StatusSeeOther, owner.post("/buy/automatic/clients", url.Values{"csrf_token": {page.token()}, "allow": {"yes"}}).StatusCode)
	require.Equal(t, 1, client.get("/buy/automatic").doc().Find("form #threshold").Length())
	require.Contains(t, client.get("/buy").body, "/buy/automatic")
}
