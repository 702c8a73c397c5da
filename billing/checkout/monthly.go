package checkout

import (
	"context"

	"github.com/stripe/stripe-go/v76"

	"refill/models"
)

// What agencies sell their clients every month: subscriptions and invoices on
// connected accounts. plan.go is the same of the platform's own plans.

// MonthlyParams are what a client is asked to pay every month.
type MonthlyParams struct {
	Account        string // the connected account that sells
	Reference      string // our first purchase; comes back in the session
	Subscription   string // our subscription; comes back in Stripe's, its invoices and their events
	IdempotencyKey string
	Title          string
	Amount         models.Money
	FeeShare       int64 // the platform's share of each payment, in hundredths of a percent
	CustomerEmail  string
	SuccessURL     string // may hold {CHECKOUT_SESSION_ID}
	CancelURL      string
	ExpiresAt      models.Time
}

// CreateMonthly opens a checkout that begins a client's subscription. The same key
// gives the same session.
func (g *Gateway) CreateMonthly(ctx context.Context, p MonthlyParams) (Session, error) { //nolint:gocritic // sent once
	if p.IdempotencyKey == "" || len(p.IdempotencyKey) > 250 || p.Reference == "" || p.Subscription == "" || p.Account == "" || p.Amount.Amount <= 0 {
		return Session{}, &Error{Kind: KindRefused, Message: "The payment cannot be started.", Detail: "a key, an account, both references and an amount are needed"}
	}
	params := &stripe.CheckoutSessionParams{
		Mode:              stripe.String(string(stripe.CheckoutSessionModeSubscription)),
		ClientReferenceID: &p.Reference,
		Metadata:          map[string]string{referenceKey: p.Reference},
		SuccessURL:        &p.SuccessURL,
		CancelURL:         optional(p.CancelURL),
		CustomerEmail:     optional(p.CustomerEmail),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:    &p.Amount.Currency,
				UnitAmount:  &p.Amount.Amount,
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: &p.Title},
				Recurring:   &stripe.CheckoutSessionLineItemPriceDataRecurringParams{Interval: new("month")},
			},
		}},
		SubscriptionData: &stripe.CheckoutSessionSubscriptionDataParams{Metadata: map[string]string{referenceKey: p.Subscription}},
	}
	if p.FeeShare > 0 {
		params.SubscriptionData.ApplicationFeePercent = new(float64(p.FeeShare) / 100) // Stripe's parameter: two decimals
	}
	if p.ExpiresAt.IsSet() {
		params.ExpiresAt = new(p.ExpiresAt.Go().Unix())
	}
	return g.openSession(ctx, "create monthly session", p.Account, p.IdempotencyKey, params)
}

// Monthly asks for the current state of a client's subscription.
func (g *Gateway) Monthly(ctx context.Context, account, id string) (Subscription, error) {
	return g.subscription(ctx, account, id)
}

// CancelMonthly has a client's subscription end with the month that is paid, or
// takes that back.
func (g *Gateway) CancelMonthly(ctx context.Context, account, id string, atEnd bool, idempotencyKey string) (Subscription, error) {
	return g.cancelAtEnd(ctx, account, id, atEnd, idempotencyKey)
}

// EndMonthly ends a client's subscription at once and gives up what of it is not
// paid.
func (g *Gateway) EndMonthly(ctx context.Context, account, id string) (Subscription, error) {
	return g.endPlan(ctx, account, id)
}

// MonthlyInvoices calls each for the invoices of a client's subscription since an
// instant, newest first. An error of each ends the list.
func (g *Gateway) MonthlyInvoices(ctx context.Context, account, subscription string, from models.Time, each func(Invoice) error) error {
	params := &stripe.InvoiceListParams{Subscription: &subscription, CreatedRange: since(from)}
	prepare(ctx, &params.ListParams, account)
	list := g.api.Invoices.List(params)
	for list.Next() {
		if err := each(readInvoice(list.Invoice())); err != nil {
			return err
		}
	}
	if err := list.Err(); err != nil {
		return g.failed(ctx, "list invoices", account, err)
	}
	return nil
}

// InvoicePayment asks how an invoice of a client stands, and its payment. Without
// one the Session has no payment.
func (g *Gateway) InvoicePayment(ctx context.Context, account, id string) (Invoice, Session, error) {
	if id == "" {
		return Invoice{}, Session{}, &Error{Kind: KindNotFound, Message: "The payment provider does not know this invoice.", Detail: "empty invoice id"}
	}
	params := &stripe.InvoiceParams{}
	as(ctx, &params.Params, account)
	got, err := g.api.Invoices.Get(id, params)
	if err != nil {
		return Invoice{}, Session{}, g.failed(ctx, "get invoice", account, err)
	}
	out := readInvoice(got)
	if out.PaymentIntent == "" {
		return out, Session{Account: account}, nil
	}
	paid, err := g.Payment(ctx, account, out.PaymentIntent)
	return out, paid, err
}

// GiveUpInvoice makes sure that an invoice is not collected: it is voided, and a
// draft made final without being collected before that, for Stripe voids no draft.
// One that is paid in this moment is left as it is.
func (g *Gateway) GiveUpInvoice(ctx context.Context, account string, i *Invoice) error {
	if i.Status == string(stripe.InvoiceStatusDraft) {
		params := &stripe.InvoiceFinalizeInvoiceParams{AutoAdvance: new(false)}
		as(ctx, &params.Params, account)
		params.SetIdempotencyKey("final:" + i.ID)
		if _, err := g.api.Invoices.FinalizeInvoice(i.ID, params); err != nil && KindOf(explain(err)) != KindRefused {
			return g.failed(ctx, "finalize invoice", account, err)
		}
	}
	return g.voidInvoice(ctx, account, i.ID)
}

// MonthlyPortal makes a link under which a client manages the card and invoices.
func (g *Gateway) MonthlyPortal(ctx context.Context, account, customer, returnURL string) (string, error) {
	return g.portal(ctx, account, customer, returnURL)
}
