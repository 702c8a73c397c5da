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
	mu       sync.Mutex
	sessions map[string]*checkout.Session
	down     bool // does not answer
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
		ID: id, URL: "https://checkout.stripe.com/c/pay/" + id, Reference: p.Reference, Status: checkout.StatusOpen,
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
