package checkout

import (
	"context"
	"errors"

	"github.com/stripe/stripe-go/v76"

	"refill/models"
)

// unattendedKey is the metadata that marks a payment for which nobody was asked,
// with the reference of what it pays.
const unattendedKey = "refill_automatic"

// Card is a card as far as it is shown, and as far as it can be told from another.
type Card struct {
	ID          string // of the payment method
	Brand       string // visa, mastercard …
	Last4       string
	Month, Year int
	Fingerprint string // the same for the same card, whoever saved it
}

// CustomerParams name somebody whose card is kept.
type CustomerParams struct {
	Account        string // the connected account whose customer it is; "" is the platform
	Reference      string // ours
	IdempotencyKey string
	Name           string
	Email          string // may be empty
}

// CreateCustomer makes a customer. The same key gives the same one.
func (g *Gateway) CreateCustomer(ctx context.Context, p CustomerParams) (string, error) {
	if p.IdempotencyKey == "" || p.Reference == "" {
		return "", &Error{Kind: KindRefused, Message: "The card cannot be saved.", Detail: "a customer needs a key and a reference"}
	}
	params := &stripe.CustomerParams{Name: optional(p.Name), Email: optional(p.Email), Metadata: map[string]string{referenceKey: p.Reference}}
	as(ctx, &params.Params, p.Account)
	made, err := repeat(p.IdempotencyKey, func(key string) (*stripe.Customer, error) {
		params.SetIdempotencyKey(key)
		return g.api.Customers.New(params)
	})
	if err != nil {
		return "", g.failed(ctx, "create customer", p.Account, err)
	}
	return made.ID, nil
}

// as makes a call in the name of an account.
func as(ctx context.Context, p *stripe.Params, account string) {
	p.Context = ctx
	if account != "" {
		p.SetStripeAccount(account)
	}
}

// CardSessionParams ask somebody for a card that may be charged later.
type CardSessionParams struct {
	Account        string
	Customer       string
	Reference      string // ours; comes back in the session and its events
	IdempotencyKey string
	SuccessURL     string // may hold {CHECKOUT_SESSION_ID}
	CancelURL      string
}

// CreateCardSession opens a page on which a card is saved; nothing is charged.
func (g *Gateway) CreateCardSession(ctx context.Context, p CardSessionParams) (Session, error) {
	if p.IdempotencyKey == "" || p.Reference == "" || p.Customer == "" {
		return Session{}, &Error{Kind: KindRefused, Message: "The card cannot be saved.", Detail: "a key, a reference and a customer are needed"}
	}
	meta := map[string]string{referenceKey: p.Reference}
	params := &stripe.CheckoutSessionParams{
		Mode: stripe.String(string(stripe.CheckoutSessionModeSetup)), ClientReferenceID: &p.Reference, Customer: &p.Customer, Metadata: meta,
		PaymentMethodTypes: []*string{stripe.String(string(stripe.PaymentMethodTypeCard))},
		SetupIntentData:    &stripe.CheckoutSessionSetupIntentDataParams{Metadata: meta},
		SuccessURL:         &p.SuccessURL, CancelURL: optional(p.CancelURL),
	}
	return g.openSession(ctx, "create card session", p.Account, p.IdempotencyKey, params)
}

// SavedCard asks which card a page for saving one has brought; none yet is no
// error and gives a card without an id.
func (g *Gateway) SavedCard(ctx context.Context, account, session string) (Session, Card, error) {
	if session == "" {
		return Session{}, Card{}, &Error{Kind: KindNotFound, Message: "The payment provider does not know this card.", Detail: "empty session id"}
	}
	params := &stripe.CheckoutSessionParams{}
	params.AddExpand("setup_intent.payment_method")
	as(ctx, &params.Params, account)
	got, err := g.api.CheckoutSessions.Get(session, params)
	if err != nil {
		return Session{}, Card{}, g.failed(ctx, "get card session", account, err)
	}
	var card Card
	if s := got.SetupIntent; s != nil && s.Status == stripe.SetupIntentStatusSucceeded {
		if saved, customer := readMethod(s.PaymentMethod); customer != "" { // else it was removed since
			card = saved
		}
	}
	return readSession(account, got), card, nil
}

// Card asks how a saved card stands: what is shown of it now, and the customer who
// is charged with it, "" once it was taken from them. Errors: not_found.
func (g *Gateway) Card(ctx context.Context, account, id string) (card Card, customer string, err error) {
	params := &stripe.PaymentMethodParams{}
	as(ctx, &params.Params, account)
	got, err := g.api.PaymentMethods.Get(id, params)
	if err != nil {
		return Card{}, "", g.failed(ctx, "get card", account, err)
	}
	card, customer = readMethod(got)
	return card, customer, nil
}

func readMethod(m *stripe.PaymentMethod) (card Card, customer string) {
	if m == nil || m.Card == nil {
		return Card{}, ""
	}
	if m.Customer != nil {
		customer = m.Customer.ID
	}
	c := m.Card
	return Card{
		ID: m.ID, Brand: string(c.Brand), Last4: c.Last4, Month: int(c.ExpMonth), Year: int(c.ExpYear), Fingerprint: c.Fingerprint,
	}, customer
}

// ForgetCard takes a saved card away from its customer, unless something else is paid
// with it: a subscription, or whatever the customer owes. One that is gone already is
// not an error.
func (g *Gateway) ForgetCard(ctx context.Context, account, card string) error {
	_, customer, err := g.Card(ctx, account, card)
	if err == nil && customer != "" {
		var used bool
		if used, err = g.paysElse(ctx, account, customer, card); used {
			return nil
		}
	}
	if kind := KindOf(err); err != nil && kind != KindNotFound {
		return err
	}
	params := &stripe.PaymentMethodDetachParams{}
	as(ctx, &params.Params, account)
	_, err = g.api.PaymentMethods.Detach(card, params)
	if kind := KindOf(explain(err)); err == nil || kind == KindNotFound || kind == KindRefused {
		return nil
	}
	return g.failed(ctx, "detach card", account, err)
}

// paysElse tells whether a customer's invoices, or a subscription that is not over, are
// paid with a card: its owner may have chosen it at Stripe.
func (g *Gateway) paysElse(ctx context.Context, account, customer, card string) (bool, error) {
	about := &stripe.CustomerParams{}
	as(ctx, &about.Params, account)
	owner, err := g.api.Customers.Get(customer, about)
	if err != nil {
		return false, g.failed(ctx, "get customer", account, err)
	}
	if s := owner.InvoiceSettings; s != nil && s.DefaultPaymentMethod != nil && s.DefaultPaymentMethod.ID == card {
		return true, nil
	}
	params := &stripe.SubscriptionListParams{Customer: &customer}
	prepare(ctx, &params.ListParams, account)
	list := g.api.Subscriptions.List(params)
	for list.Next() {
		if m := list.Subscription().DefaultPaymentMethod; m != nil && m.ID == card {
			return true, nil
		}
	}
	if err := list.Err(); err != nil {
		return false, g.failed(ctx, "list subscriptions", account, err)
	}
	return false, nil
}

// SavedChargeParams charge a saved card while its owner is not there.
type SavedChargeParams struct {
	Account        string // the connected account that sells; "" is the platform
	Customer       string
	Card           string // of the payment method
	Reference      string // our purchase; comes back in the payment and its events
	IdempotencyKey string // derived from our row
	Title          string
	Amount         models.Money
	ApplicationFee int64 // the platform's share in minor units; only with Account
	ReceiptEmail   string
}

// ChargeSaved tries once to charge a saved card. A bank that refuses is no error:
// the payment that is answered tells. The same key is the same try. Errors:
// unavailable (it may have been charged: Payment and FindPayment tell), refused.
func (g *Gateway) ChargeSaved(ctx context.Context, p SavedChargeParams) (Session, error) { //nolint:gocritic // sent once
	if p.IdempotencyKey == "" || len(p.IdempotencyKey) > 250 || p.Reference == "" || p.Customer == "" || p.Card == "" || p.Amount.Amount <= 0 {
		return Session{}, &Error{Kind: KindRefused, Message: "The card cannot be charged.", Detail: "a key, a reference, a customer, a card and an amount are needed"}
	}
	params := &stripe.PaymentIntentParams{
		Amount: &p.Amount.Amount, Currency: &p.Amount.Currency, Customer: &p.Customer, PaymentMethod: &p.Card, Confirm: new(true), OffSession: new(true),
		Description: &p.Title, Metadata: map[string]string{referenceKey: p.Reference, unattendedKey: "true"}, ReceiptEmail: optional(p.ReceiptEmail),
		PaymentMethodTypes: []*string{stripe.String(string(stripe.PaymentMethodTypeCard))},
	}
	if p.ApplicationFee > 0 && p.Account != "" {
		params.ApplicationFeeAmount = &p.ApplicationFee
	}
	params.AddExpand("latest_charge.balance_transaction")
	as(ctx, &params.Params, p.Account)
	params.SetIdempotencyKey(p.IdempotencyKey)
	made, err := g.api.PaymentIntents.New(params)
	if err == nil {
		return readPayment(p.Account, made), nil
	}
	err = g.failed(ctx, "charge saved card", p.Account, err)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindDeclined {
		if e.Payment != "" {
			return g.Payment(ctx, p.Account, e.Payment)
		}
		return Session{
			Account: p.Account, Reference: p.Reference, Status: StatusComplete, PaymentStatus: PaymentUnpaid, IntentStatus: IntentNeedsMethod,
			AmountSubtotal: p.Amount, AmountTotal: p.Amount, Live: g.live, Customer: p.Customer,
			FailureCode: declineOf(e.Code, e.DeclineCode), FailureMessage: e.Message,
		}, nil
	}
	return Session{}, err
}

// Payment asks for the current state of a payment that was made without a
// checkout.
func (g *Gateway) Payment(ctx context.Context, account, intent string) (Session, error) {
	if intent == "" {
		return Session{}, &Error{Kind: KindNotFound, Message: "The payment provider does not know this payment.", Detail: "empty payment id"}
	}
	params := &stripe.PaymentIntentParams{}
	params.AddExpand("latest_charge.balance_transaction")
	as(ctx, &params.Params, account)
	got, err := g.api.PaymentIntents.Get(intent, params)
	if err != nil {
		return Session{}, g.failed(ctx, "get payment", account, err)
	}
	return readPayment(account, got), nil
}

// FindPayment looks for the payment of ours that a saved card of a customer was
// charged with since an instant, when we never heard what it is called.
func (g *Gateway) FindPayment(ctx context.Context, account, customer, reference string, from models.Time) (found Session, ok bool, err error) {
	params := &stripe.PaymentIntentListParams{Customer: &customer, CreatedRange: since(from)}
	params.AddExpand("data.latest_charge")
	prepare(ctx, &params.ListParams, account)
	list := g.api.PaymentIntents.List(params)
	for list.Next() {
		p := list.PaymentIntent()
		if p.Metadata[unattendedKey] == "" || p.Metadata[referenceKey] != reference {
			continue
		}
		found, err := g.Payment(ctx, account, p.ID)
		return found, err == nil, err
	}
	if err := list.Err(); err != nil {
		return found, false, g.failed(ctx, "find payment", account, err)
	}
	return found, false, nil
}

// UnattendedPayments calls each for every payment that was taken from a saved card
// since an instant, newest first. An error of each ends the list.
func (g *Gateway) UnattendedPayments(ctx context.Context, account string, from models.Time, each func(Session) error) error {
	params := &stripe.PaymentIntentListParams{CreatedRange: since(from)}
	params.AddExpand("data.latest_charge")
	prepare(ctx, &params.ListParams, account)
	list := g.api.PaymentIntents.List(params)
	for list.Next() {
		if list.PaymentIntent().Metadata[unattendedKey] == "" {
			continue
		}
		if err := each(readPayment(account, list.PaymentIntent())); err != nil {
			return err
		}
	}
	if err := list.Err(); err != nil {
		return g.failed(ctx, "list payments", account, err)
	}
	return nil
}

// readPayment shows a payment without a checkout as a checkout's outcome: it is
// complete as soon as it was tried, and its intent tells how it went.
func readPayment(account string, p *stripe.PaymentIntent) Session {
	amount := models.Money{Amount: p.Amount, Currency: string(p.Currency)}
	out := Session{
		Account: account, Reference: p.Metadata[referenceKey], Metadata: p.Metadata, Status: StatusComplete, PaymentStatus: PaymentUnpaid,
		AmountSubtotal: amount, AmountTotal: amount, Live: p.Livemode, CreatedAt: fromSeconds(p.Created), CustomerEmail: p.ReceiptEmail,
	}
	if p.Status == stripe.PaymentIntentStatusSucceeded {
		out.PaymentStatus = PaymentPaid
	}
	if p.Customer != nil {
		out.Customer = p.Customer.ID
	}
	out.readIntent(p)
	return out
}

func declineOf(code, declineCode string) string {
	if declineCode != "" {
		return declineCode
	}
	return code
}
