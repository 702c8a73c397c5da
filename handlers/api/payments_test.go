package api_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/models"
)

// till is a payment provider that opens sessions and is told which are paid.
// What a real one does is tested in billing and billing/checkout.
type till struct {
	billing.Payments // what no test here calls

	mu       sync.Mutex
	sessions map[string]*checkout.Session
}

func newTill() *till { return &till{sessions: map[string]*checkout.Session{}} }

func (*till) LiveMode() bool { return false }

func (p *till) CreateSession(_ context.Context, in checkout.SessionParams) (checkout.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := "cs_" + in.IdempotencyKey
	if old := p.sessions[id]; old != nil {
		return *old, nil
	}
	s := &checkout.Session{
		ID: id, Account: in.Account, URL: "https://pay.test/" + id, Reference: in.Reference, Metadata: in.Metadata, Status: checkout.StatusOpen,
		PaymentStatus: checkout.PaymentUnpaid, AmountSubtotal: in.Amount, AmountTotal: in.Amount, ExpiresAt: in.ExpiresAt,
	}
	p.sessions[id] = s
	return *s, nil
}

// UnattendedPayments finds none: nobody's saved card is charged here.
func (*till) UnattendedPayments(context.Context, string, models.Time, func(checkout.Session) error) error {
	return nil
}

func (p *till) Session(_ context.Context, _, id string) (checkout.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sessions[id]; s != nil {
		return *s, nil
	}
	return checkout.Session{}, fmt.Errorf("no session %s", id)
}

func (p *till) pay(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sessions[id]
	s.Status, s.PaymentStatus, s.PaymentIntent, s.IntentStatus = checkout.StatusComplete, checkout.PaymentPaid, "pi_"+id, checkout.IntentSucceeded
}

func (p *till) ExpireSession(ctx context.Context, account, id string) (checkout.Session, error) {
	p.mu.Lock()
	p.sessions[id].Status = checkout.StatusExpired
	p.mu.Unlock()
	return p.Session(ctx, account, id)
}

func (*till) ParseEvent([]byte, string, bool) (checkout.Event, error) {
	return checkout.Event{}, errors.New("no events here")
}

// pay pays a purchase's session and lets the portal ask about it, as its return
// page does.
func (w *world) pay(purchase *reply) {
	w.t.Helper()
	w.till.mu.Lock()
	s := w.till.sessions[purchase.text("checkout_session")]
	s.Status, s.PaymentStatus, s.PaymentIntent, s.PaidAt = checkout.StatusComplete, checkout.PaymentPaid, "pi_"+s.ID, w.clock.Now()
	w.till.mu.Unlock()
	id, err := models.ParseID[models.PurchaseID](purchase.text("id"))
	require.NoError(w.t, err)
	_, err = w.s.Settle(w.t.Context(), w.agency.ID, id)
	require.NoError(w.t, err)
}

// errNoConnect: agencies do not sell in the tests of the API's purchases.
var errNoConnect = errors.New("no connected accounts here")

func (*till) CreateAccount(context.Context, checkout.AccountParams) (checkout.Account, error) {
	return checkout.Account{}, errNoConnect
}

func (*till) AccountLink(context.Context, checkout.LinkParams) (checkout.Link, error) {
	return checkout.Link{}, errNoConnect
}

func (*till) Account(context.Context, string) (checkout.Account, error) {
	return checkout.Account{}, errNoConnect
}

func (*till) Dashboard(string) string { return "" }

// Nothing happens to what was paid here afterwards.

func (*till) MoneyBack(context.Context, string, string) (checkout.MoneyBack, error) {
	return checkout.MoneyBack{}, nil
}

func (*till) RefundPayment(context.Context, checkout.RefundParams) (checkout.Refund, error) {
	return checkout.Refund{}, &checkout.Error{Kind: checkout.KindRefused}
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
