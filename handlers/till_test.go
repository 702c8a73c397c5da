package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"sync"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/models"
)

// till is a payment provider whose buyers do what a test says.
type till struct {
	billing.Payments // what no test here calls

	mu       sync.Mutex
	sessions map[string]*checkout.Session
	accounts map[string]*checkout.Account // connected ones, by the key they were opened with
	revoked  bool                         // the owner of every account has left
	down     bool                         // does not answer
	declines bool                         // refuses every saved card
	refunds  map[string][]checkout.Refund // by payment
	disputes map[string][]checkout.Dispute
}

var errDown = errors.New("connection refused by 10.9.8.7")

func (l *till) LiveMode() bool { return false }

func (l *till) CreateSession(_ context.Context, p checkout.SessionParams) (checkout.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return checkout.Session{}, errDown
	}
	if l.sessions == nil {
		l.sessions = map[string]*checkout.Session{}
	}
	id := fmt.Sprintf("cs_test_%d", len(l.sessions)+1)
	l.sessions[id] = &checkout.Session{
		ID: id, Account: p.Account, URL: "https://checkout.stripe.com/c/pay/" + id, Reference: p.Reference, Status: checkout.StatusOpen,
		PaymentStatus: checkout.PaymentUnpaid, AmountSubtotal: p.Amount, AmountTotal: p.Amount,
	}
	return *l.sessions[id], nil
}

func (l *till) Session(_ context.Context, _, id string) (checkout.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return checkout.Session{}, errDown
	}
	if l.sessions[id] == nil {
		return checkout.Session{}, &checkout.Error{Kind: checkout.KindRefused, Code: "resource_missing", Message: "no such session"}
	}
	return *l.sessions[id], nil
}

func (l *till) ExpireSession(ctx context.Context, account, id string) (checkout.Session, error) {
	l.change(id, func(s *checkout.Session) {
		if s.Status == checkout.StatusOpen {
			s.Status = checkout.StatusExpired
		}
	})
	return l.Session(ctx, account, id)
}

func (l *till) ParseEvent(payload []byte, signature string, _ bool) (checkout.Event, error) {
	if signature != "good" {
		return checkout.Event{}, errors.New("the signature does not match")
	}
	var e struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		ObjectID string `json:"object_id"`
	}
	err := json.Unmarshal(payload, &e)
	return checkout.Event{ID: e.ID, Type: e.Type, ObjectID: e.ObjectID, VersionMatches: true}, err
}

func (l *till) change(id string, f func(*checkout.Session)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.sessions[id]; s != nil && !l.down {
		f(s)
	}
}

func (l *till) pay(id string) {
	l.change(id, func(s *checkout.Session) {
		s.Status, s.PaymentStatus, s.PaymentIntent, s.IntentStatus = checkout.StatusComplete, checkout.PaymentPaid, "pi_"+id, checkout.IntentSucceeded
	})
}

// promise is a buyer who chose to pay later.
func (l *till) promise(id string) {
	l.change(id, func(s *checkout.Session) {
		s.Status, s.PaymentIntent, s.IntentStatus = checkout.StatusComplete, "pi_"+id, checkout.IntentProcessing
	})
}

func (l *till) fail(down bool) {
	l.mu.Lock()
	l.down = down
	l.mu.Unlock()
}

// open sends the purchase form as a person does, and gives the purchase.
func (p *portal) open(b *browser, pack string) models.Purchase {
	p.t.Helper()
	form := b.get("/buy")
	a := b.post("/buy", url.Values{
		"csrf_token": {form.token()}, "pack": {pack}, "attempt": {form.doc().Find("input[name=attempt]").AttrOr("value", "")},
	})
	require.Equal(p.t, http.StatusSeeOther, a.StatusCode, a.body)
	require.Contains(p.t, a.to(), "https://checkout.stripe.com/")
	got, err := p.billing.PurchaseByRef(p.t.Context(), billing.Scope{}, path.Base(a.to()))
	require.NoError(p.t, err)
	return got
}

// bought is a purchase of the smallest pack, paid and credited.
func (p *portal) bought(who string) models.Purchase {
	p.t.Helper()
	b := p.as(who)
	got := p.open(b, p.pack())
	p.till.pay(got.CheckoutSession)
	require.Equal(p.t, http.StatusOK, b.get("/buy/return?s="+got.CheckoutSession).StatusCode)
	got, err := p.billing.Purchase(p.t.Context(), got.AgencyID, got.ID)
	require.NoError(p.t, err)
	require.Equal(p.t, models.PurchaseCredited, got.Status)
	return got
}

// pack is the code of the first pack on sale.
func (p *portal) pack() string {
	p.t.Helper()
	packs, err := p.billing.PacksFor(p.t.Context(), p.northwind.ID)
	require.NoError(p.t, err)
	require.NotEmpty(p.t, packs)
	return packs[0].Code
}

func (l *till) CreateAccount(_ context.Context, p checkout.AccountParams) (checkout.Account, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return checkout.Account{}, errDown
	}
	if l.accounts == nil {
		l.accounts = map[string]*checkout.Account{}
	}
	if l.accounts[p.IdempotencyKey] == nil {
		l.accounts[p.IdempotencyKey] = &checkout.Account{
			ID: fmt.Sprintf("acct_%d", len(l.accounts)+1), Reference: p.Reference, Name: p.Name, Currency: "usd", Due: []string{"a bank account for payouts"},
		}
		l.revoked = false
	}
	return *l.accounts[p.IdempotencyKey], nil
}

func (l *till) AccountLink(_ context.Context, p checkout.LinkParams) (checkout.Link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return checkout.Link{}, errDown
	}
	return checkout.Link{URL: "https://connect.stripe.com/setup/s/" + p.Account + "?" + url.Values{"refresh": {p.RefreshURL}, "return": {p.ReturnURL}}.Encode()}, nil
}

func (l *till) Account(_ context.Context, id string) (checkout.Account, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return checkout.Account{}, errDown
	}
	for _, a := range l.accounts {
		if a.ID == id && !l.revoked {
			return *a, nil
		}
	}
	return checkout.Account{}, &checkout.Error{Kind: checkout.KindUnauthorised, Code: "account_invalid", Message: "no access"}
}

func (*till) Dashboard(account string) string { return "https://dashboard.stripe.com/" + account }

// tell changes what every connected account is said to be.
func (l *till) tell(f func(*checkout.Account)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		f(a)
	}
}

func (l *till) MoneyBack(_ context.Context, _, intent string) (checkout.MoneyBack, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return checkout.MoneyBack{Refunds: l.refunds[intent], Disputes: l.disputes[intent]}, nil
}

func (l *till) RefundPayment(_ context.Context, p checkout.RefundParams) (checkout.Refund, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return checkout.Refund{}, &checkout.Error{Kind: checkout.KindUnavailable}
	}
	if l.refunds == nil {
		l.refunds = map[string][]checkout.Refund{}
	}
	id := "re_" + p.IdempotencyKey
	for _, r := range l.refunds[p.PaymentIntent] {
		if r.ID == id {
			return r, nil
		}
	}
	made := checkout.Refund{ID: id, PaymentIntent: p.PaymentIntent, Amount: models.Money{Amount: p.Amount, Currency: "usd"}, Status: checkout.RefundSucceeded}
	l.refunds[p.PaymentIntent] = append(l.refunds[p.PaymentIntent], made)
	return made, nil
}

func (*till) CompletedSessions(context.Context, string, models.Time, func(checkout.Session) error) error {
	return nil
}

func (*till) RefundsSince(context.Context, string, models.Time, func(checkout.Refund) error) error {
	return nil
}

func (*till) DisputesSince(context.Context, string, models.Time, func(checkout.Dispute) error) error {
	return nil
}

func (*till) MissedEvents(context.Context, string, models.Time, func(checkout.Event) error) error {
	return nil
}

// UnattendedPayments finds none: nobody's saved card is charged here.
func (*till) UnattendedPayments(context.Context, string, models.Time, func(checkout.Session) error) error {
	return nil
}
