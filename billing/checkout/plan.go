package checkout

import (
	"context"
	"errors"

	"github.com/stripe/stripe-go/v76"

	"refill/models"
)

// planKey is the metadata under which a price carries the plan it is of.
const planKey = "refill_plan"

// SubscriptionStatus is where a subscription stands at Stripe.
type SubscriptionStatus string

// The states of a subscription.
const (
	SubscriptionIncomplete SubscriptionStatus = "incomplete" // its first payment is not made yet
	SubscriptionNeverPaid  SubscriptionStatus = "incomplete_expired"
	SubscriptionTrialing   SubscriptionStatus = "trialing"
	SubscriptionActive     SubscriptionStatus = "active"
	SubscriptionPastDue    SubscriptionStatus = "past_due" // an invoice was not paid, and is tried again
	SubscriptionUnpaid     SubscriptionStatus = "unpaid"   // it is not tried again
	SubscriptionPaused     SubscriptionStatus = "paused"   // the trial ended without a card
	SubscriptionCanceled   SubscriptionStatus = "canceled"
)

// Subscription is what Stripe says of a subscription now.
type Subscription struct {
	ID          string
	Customer    string
	Reference   string // ours
	Status      SubscriptionStatus
	Plan        string // our plan's id, as its price names it
	Item        string
	Price       models.Money
	Anchor      models.Time // the instant its periods are counted from, in UTC
	PeriodStart models.Time
	PeriodEnd   models.Time
	TrialEnd    models.Time // 0: no trial
	CancelAtEnd bool        // it ends with the period
	CancelAt    models.Time // it ends then: chosen at Stripe, or the period's end; 0: it goes on
	EndedAt     models.Time // 0: it goes on
	EndReason   EndReason
	Live        bool
	CreatedAt   models.Time
	Invoice     Invoice // the latest
}

// EndReason is why a subscription ends at Stripe, "" while it does not or where
// Stripe does not say.
type EndReason string

// The reasons.
const (
	EndRequested EndReason = "cancellation_requested"
	EndDisputed  EndReason = "payment_disputed"
	EndUnpaid    EndReason = "payment_failed" // the card was tried for the last time
)

// Invoice is what a period, or a change of plan, costs.
type Invoice struct {
	ID            string
	Status        string // draft, open, paid, void or uncollectible
	Paid          bool
	Total         models.Money
	Subtotal      models.Money // without tax
	Due           int64        // still to be paid, in minor units
	URL           string
	PaymentIntent string
	CreatedAt     models.Time
	NextAttempt   models.Time // 0: it is not tried again
	PaidAt        models.Time // 0: not yet
	Refunded      int64       // minor units; only in lists
	Subscription  string
	Reference     string // ours, as its subscription has it
	Live          bool
	PeriodStart   models.Time // what its lines are for; 0: unknown
	PeriodEnd     models.Time
}

// PriceParams name a version of a plan.
type PriceParams struct {
	Plan   string // our id of the version: the same id is the same price
	Name   string // on invoices
	Amount models.Money
	Yearly bool // else monthly
}

// PriceOf finds what a version of a plan is called at Stripe, or makes it. A
// price that costs otherwise, of an older mistake, loses its name to a new one.
func (g *Gateway) PriceOf(ctx context.Context, p PriceParams) (string, error) {
	if p.Plan == "" || p.Name == "" || p.Amount.Amount < 0 || p.Amount.Currency == "" {
		return "", &Error{Kind: KindRefused, Message: "The plan cannot be sold.", Detail: "a price needs a plan, a name, an amount and a currency"}
	}
	find := &stripe.PriceListParams{LookupKeys: []*string{&p.Plan}}
	find.Context = ctx
	list := g.api.Prices.List(find)
	interval := "month"
	if p.Yearly {
		interval = "year"
	}
	for list.Next() {
		found := list.Price()
		if found.LookupKey == p.Plan && found.UnitAmount == p.Amount.Amount && string(found.Currency) == p.Amount.Currency &&
			found.Recurring != nil && string(found.Recurring.Interval) == interval && (!g.tax || string(found.TaxBehavior) == taxOnTop) {
			return found.ID, nil
		}
	}
	if err := list.Err(); err != nil {
		return "", g.failed(ctx, "find price", "", err)
	}
	params := &stripe.PriceParams{
		Currency: &p.Amount.Currency, UnitAmount: &p.Amount.Amount, LookupKey: &p.Plan, TransferLookupKey: new(true),
		Metadata: map[string]string{planKey: p.Plan}, Recurring: &stripe.PriceRecurringParams{Interval: &interval},
		ProductData: &stripe.PriceProductDataParams{Name: &p.Name},
	}
	params.Context = ctx
	key := "price:" + p.Plan
	if g.tax {
		params.TaxBehavior = new(taxOnTop)
		key += ":tax"
	}
	made, err := repeat(key, func(key string) (*stripe.Price, error) {
		params.SetIdempotencyKey(key)
		return g.api.Prices.New(params)
	})
	if err != nil {
		return "", g.failed(ctx, "create price", "", err)
	}
	return made.ID, nil
}

// PlanSessionParams are what an owner is asked to subscribe to.
type PlanSessionParams struct {
	Reference      string // our order; comes back in the session, its subscription and their events
	IdempotencyKey string
	Price          string
	TrialDays      int    // 0: none. A trial asks for no card
	Customer       string // of an earlier subscription; else CustomerEmail
	CustomerEmail  string
	SuccessURL     string // may hold {CHECKOUT_SESSION_ID}
	CancelURL      string
	ExpiresAt      models.Time
}

// CreatePlanSession opens a checkout that begins a subscription.
func (g *Gateway) CreatePlanSession(ctx context.Context, p PlanSessionParams) (Session, error) { //nolint:gocritic // sent once
	if p.IdempotencyKey == "" || len(p.IdempotencyKey) > 250 || p.Reference == "" || p.Price == "" {
		return Session{}, &Error{Kind: KindRefused, Message: "The plan cannot be taken.", Detail: "a key, a reference and a price are needed"}
	}
	meta := map[string]string{referenceKey: p.Reference}
	params := &stripe.CheckoutSessionParams{
		Mode:              stripe.String(string(stripe.CheckoutSessionModeSubscription)),
		ClientReferenceID: &p.Reference,
		Metadata:          meta,
		SuccessURL:        &p.SuccessURL,
		CancelURL:         optional(p.CancelURL),
		Customer:          optional(p.Customer),
		LineItems:         []*stripe.CheckoutSessionLineItemParams{{Price: &p.Price, Quantity: stripe.Int64(1)}},
		SubscriptionData:  &stripe.CheckoutSessionSubscriptionDataParams{Metadata: meta},
	}
	if p.Customer == "" {
		params.CustomerEmail = optional(p.CustomerEmail)
	}
	if p.TrialDays > 0 {
		params.PaymentMethodCollection = stripe.String(string(stripe.CheckoutSessionPaymentMethodCollectionIfRequired))
		params.SubscriptionData.TrialPeriodDays = new(int64(p.TrialDays))
		params.SubscriptionData.TrialSettings = &stripe.CheckoutSessionSubscriptionDataTrialSettingsParams{
			// Whoever gave no card by the end is asked for the money, and has the grace
			// that a declined card has.
			EndBehavior: &stripe.CheckoutSessionSubscriptionDataTrialSettingsEndBehaviorParams{MissingPaymentMethod: new("create_invoice")},
		}
	}
	if p.ExpiresAt.IsSet() {
		params.ExpiresAt = new(p.ExpiresAt.Go().Unix())
	}
	g.addTax(params, "")
	return g.openSession(ctx, "create plan session", "", p.IdempotencyKey, params)
}

// Subscription asks for a subscription's current state.
func (g *Gateway) Subscription(ctx context.Context, id string) (Subscription, error) {
	return g.subscription(ctx, "", id)
}

func (g *Gateway) subscription(ctx context.Context, account, id string) (Subscription, error) {
	if id == "" {
		return Subscription{}, &Error{Kind: KindNotFound, Message: "The payment provider does not know this subscription.", Detail: "empty subscription id"}
	}
	params := &stripe.SubscriptionParams{}
	as(ctx, &params.Params, account)
	params.AddExpand("latest_invoice")
	got, err := g.api.Subscriptions.Get(id, params)
	if err != nil {
		return Subscription{}, g.failed(ctx, "get subscription", account, err)
	}
	return readSubscription(got), nil
}

// PlanSwitch puts a subscription on another price.
type PlanSwitch struct {
	Subscription   string
	Item           string
	Price          string
	Now            bool        // the difference is paid at once, or nothing changes; else from the next invoice on
	At             models.Time // with Now: the instant that the difference is counted from
	IdempotencyKey string
}

// SwitchPlan puts a subscription on another price. A card that refuses what the
// switch costs now is KindDeclined, and leaves everything as it was.
func (g *Gateway) SwitchPlan(ctx context.Context, p PlanSwitch) (Subscription, error) {
	params := &stripe.SubscriptionParams{
		Items:             []*stripe.SubscriptionItemsParams{{ID: &p.Item, Price: &p.Price}},
		ProrationBehavior: new("none"),
	}
	if p.Now {
		params.ProrationBehavior, params.PaymentBehavior = new("always_invoice"), new("error_if_incomplete")
		if p.At.IsSet() {
			params.ProrationDate = new(p.At.Go().Unix())
		}
	}
	return g.updatePlan(ctx, "", p.Subscription, p.IdempotencyKey, params)
}

// CancelPlan has a subscription end with its paid period, or takes that back.
func (g *Gateway) CancelPlan(ctx context.Context, subscription string, atEnd bool, idempotencyKey string) (Subscription, error) {
	return g.cancelAtEnd(ctx, "", subscription, atEnd, idempotencyKey)
}

// cancelAtEnd has a subscription end with its period, or go on. What goes on has
// neither the mark nor a date: Stripe sets a date beside the mark, on its own pages an
// end may be a date alone, and a call may change only one of the two.
func (g *Gateway) cancelAtEnd(ctx context.Context, account, id string, atEnd bool, key string) (Subscription, error) {
	if atEnd {
		return g.updatePlan(ctx, account, id, key, &stripe.SubscriptionParams{CancelAtPeriodEnd: &atEnd})
	}
	now, err := g.subscription(ctx, account, id)
	if err == nil && now.CancelAtEnd {
		now, err = g.updatePlan(ctx, account, id, key, &stripe.SubscriptionParams{CancelAtPeriodEnd: &atEnd})
	}
	if err == nil && now.CancelAt.IsSet() {
		params := &stripe.SubscriptionParams{}
		params.AddExtra("cancel_at", "") // this version of stripe-go can't write that it is unset
		now, err = g.updatePlan(ctx, account, id, key+":date", params)
	}
	return now, err
}

func (g *Gateway) updatePlan(ctx context.Context, account, id, key string, params *stripe.SubscriptionParams) (Subscription, error) {
	if id == "" || key == "" {
		return Subscription{}, &Error{Kind: KindRefused, Message: "The plan cannot be changed.", Detail: "a subscription and a key are needed"}
	}
	as(ctx, &params.Params, account)
	params.AddExpand("latest_invoice")
	params.SetIdempotencyKey(key)
	got, err := g.api.Subscriptions.Update(id, params)
	if err != nil {
		return Subscription{}, g.failed(ctx, "update subscription", account, err)
	}
	return readSubscription(got), nil
}

// SwitchCost asks what SwitchPlan with Now would take at once.
func (g *Gateway) SwitchCost(ctx context.Context, p PlanSwitch) (models.Money, error) {
	params := &stripe.InvoiceUpcomingParams{
		Subscription:                  &p.Subscription,
		SubscriptionItems:             []*stripe.SubscriptionItemsParams{{ID: &p.Item, Price: &p.Price}},
		SubscriptionProrationBehavior: new("always_invoice"),
	}
	if p.At.IsSet() {
		params.SubscriptionProrationDate = new(p.At.Go().Unix())
	}
	params.Context = ctx
	got, err := g.api.Invoices.Upcoming(params)
	if err != nil {
		return models.Money{}, g.failed(ctx, "preview invoice", "", err)
	}
	return models.Money{Amount: got.AmountDue, Currency: string(got.Currency)}, nil
}

// EndPlan ends a subscription at once and voids what of it is still to be paid, so
// that nothing is collected any more. What is over already is not an error.
func (g *Gateway) EndPlan(ctx context.Context, id string) (Subscription, error) {
	return g.endPlan(ctx, "", id)
}

func (g *Gateway) endPlan(ctx context.Context, account, id string) (Subscription, error) {
	now, err := g.subscription(ctx, account, id)
	if err != nil {
		return now, err
	}
	if now.Status != SubscriptionCanceled && now.Status != SubscriptionNeverPaid {
		params := &stripe.SubscriptionCancelParams{}
		as(ctx, &params.Params, account)
		if _, err := g.api.Subscriptions.Cancel(id, params); err != nil && KindOf(explain(err)) != KindNotFound {
			return now, g.failed(ctx, "cancel subscription", account, err)
		}
	}
	open := &stripe.InvoiceListParams{Subscription: &id, Status: stripe.String(string(stripe.InvoiceStatusOpen))}
	prepare(ctx, &open.ListParams, account)
	list := g.api.Invoices.List(open)
	for list.Next() {
		if err := g.voidInvoice(ctx, account, list.Invoice().ID); err != nil {
			return now, err
		}
	}
	if err := list.Err(); err != nil {
		return now, g.failed(ctx, "list invoices", account, err)
	}
	return g.subscription(ctx, account, id)
}

// voidInvoice gives an open invoice up. One paid in this moment is left as it
// is: the next look at the subscription tells.
func (g *Gateway) voidInvoice(ctx context.Context, account, id string) error {
	params := &stripe.InvoiceVoidInvoiceParams{}
	as(ctx, &params.Params, account)
	params.SetIdempotencyKey("void:" + id)
	if _, err := g.api.Invoices.VoidInvoice(id, params); err != nil && KindOf(explain(err)) != KindRefused {
		return g.failed(ctx, "void invoice", account, err)
	}
	return nil
}

// PayInvoice tries to take an open invoice's money now. One that is paid already
// is not an error; a card that refuses it is KindDeclined.
func (g *Gateway) PayInvoice(ctx context.Context, id, idempotencyKey string) error {
	if id == "" {
		return &Error{Kind: KindNotFound, Message: "There is nothing to pay.", Detail: "empty invoice id"}
	}
	params := &stripe.InvoicePayParams{}
	params.Context = ctx
	params.SetIdempotencyKey(idempotencyKey)
	_, err := g.api.Invoices.Pay(id, params)
	if from, ok := errors.AsType[*stripe.Error](err); ok && from.Code == "invoice_already_paid" {
		return nil
	}
	return g.failedOr(ctx, "pay invoice", err)
}

func (g *Gateway) failedOr(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	return g.failed(ctx, what, "", err)
}

// BillingPortal makes a link under which a customer manages cards and invoices.
func (g *Gateway) BillingPortal(ctx context.Context, customer, returnURL string) (string, error) {
	return g.portal(ctx, "", customer, returnURL)
}

func (g *Gateway) portal(ctx context.Context, account, customer, returnURL string) (string, error) {
	params := &stripe.BillingPortalSessionParams{Customer: &customer, ReturnURL: &returnURL}
	as(ctx, &params.Params, account)
	made, err := g.api.BillingPortalSessions.New(params)
	if err != nil {
		return "", g.failed(ctx, "create portal session", account, err)
	}
	return made.URL, nil
}

func readSubscription(s *stripe.Subscription) Subscription {
	out := Subscription{
		ID: s.ID, Reference: s.Metadata[referenceKey], Status: SubscriptionStatus(s.Status), Anchor: fromSeconds(s.BillingCycleAnchor),
		PeriodStart: fromSeconds(s.CurrentPeriodStart), PeriodEnd: fromSeconds(s.CurrentPeriodEnd), TrialEnd: fromSeconds(s.TrialEnd),
		CancelAtEnd: s.CancelAtPeriodEnd, CancelAt: fromSeconds(s.CancelAt), EndedAt: fromSeconds(s.EndedAt), Live: s.Livemode, CreatedAt: fromSeconds(s.Created),
	}
	if s.Customer != nil {
		out.Customer = s.Customer.ID
	}
	if s.CancellationDetails != nil {
		out.EndReason = EndReason(s.CancellationDetails.Reason)
	}
	if s.Items != nil && len(s.Items.Data) > 0 {
		item := s.Items.Data[0]
		out.Item = item.ID
		if p := item.Price; p != nil {
			out.Plan = p.Metadata[planKey]
			out.Price = models.Money{Amount: p.UnitAmount, Currency: string(p.Currency)}
		}
	}
	if i := s.LatestInvoice; i != nil {
		out.Invoice = readInvoice(i)
		out.Invoice.Subscription, out.Invoice.Reference = out.ID, out.Reference
	}
	return out
}

func readInvoice(i *stripe.Invoice) Invoice {
	out := Invoice{
		ID: i.ID, Status: string(i.Status), Paid: i.Paid, Total: models.Money{Amount: i.Total, Currency: string(i.Currency)}, Subtotal: models.Money{Amount: i.Subtotal, Currency: string(i.Currency)}, Due: i.AmountRemaining,
		URL: i.HostedInvoiceURL, CreatedAt: fromSeconds(i.Created), NextAttempt: fromSeconds(i.NextPaymentAttempt), Live: i.Livemode,
	}
	if i.PaymentIntent != nil {
		out.PaymentIntent = i.PaymentIntent.ID
	}
	if i.Charge != nil {
		out.Refunded = i.Charge.AmountRefunded
	}
	if i.StatusTransitions != nil {
		out.PaidAt = fromSeconds(i.StatusTransitions.PaidAt)
	}
	if i.Subscription != nil {
		out.Subscription = i.Subscription.ID
	}
	if i.SubscriptionDetails != nil {
		out.Reference = i.SubscriptionDetails.Metadata[referenceKey]
	}
	if i.Lines != nil { // the invoice's own period is the one before
		for _, l := range i.Lines.Data {
			if l.Period == nil {
				continue
			}
			if from := fromSeconds(l.Period.Start); out.PeriodStart == 0 || from < out.PeriodStart {
				out.PeriodStart = from
			}
			out.PeriodEnd = max(out.PeriodEnd, fromSeconds(l.Period.End))
		}
	}
	if out.Paid && out.PaidAt == 0 {
		out.PaidAt = out.CreatedAt
	}
	return out
}

// PaidInvoices calls each for every invoice of a plan that was made at or after an
// instant and paid with money, newest first. An error of each ends the list.
func (g *Gateway) PaidInvoices(ctx context.Context, from models.Time, each func(Invoice) error) error {
	params := &stripe.InvoiceListParams{CreatedRange: since(from), Status: new(string(stripe.InvoiceStatusPaid))}
	prepare(ctx, &params.ListParams, "")
	params.AddExpand("data.charge")
	list := g.api.Invoices.List(params)
	for list.Next() {
		i := readInvoice(list.Invoice())
		if i.Subscription == "" || i.Total.Amount <= 0 || i.PaymentIntent == "" {
			continue // no plan, or nothing was to be paid
		}
		if err := each(i); err != nil {
			return err
		}
	}
	if err := list.Err(); err != nil {
		return g.failed(ctx, "list invoices", "", err)
	}
	return nil
}
