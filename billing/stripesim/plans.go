package stripesim

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Subscriptions, the invoices they make, and the cards that pay them.

type recurring struct {
	AggregateUsage *string `json:"aggregate_usage"`
	Interval       string  `json:"interval"`
	IntervalCount  int64   `json:"interval_count"`
	UsageType      string  `json:"usage_type"`
}

// planPrice is a price that is paid again and again.
type planPrice struct {
	ID         string            `json:"id"`
	Created    int64             `json:"created"`
	Currency   string            `json:"currency"`
	LookupKey  *string           `json:"lookup_key"`
	Metadata   map[string]string `json:"metadata"`
	Nickname   *string           `json:"nickname"`
	Product    string            `json:"product"`
	Recurring  recurring         `json:"recurring"`
	UnitAmount int64             `json:"unit_amount"`
	Tax        string            `json:"tax_behavior"`
}

// subscriptionStatus is where a subscription stands.
type subscriptionStatus string

const (
	subIncomplete subscriptionStatus = "incomplete"
	subTrialing   subscriptionStatus = "trialing"
	subActive     subscriptionStatus = "active"
	subPastDue    subscriptionStatus = "past_due"
	subUnpaid     subscriptionStatus = "unpaid" // the last try failed, and its account keeps it
	subCanceled   subscriptionStatus = "canceled"
)

// cancellation is why a subscription ends.
type cancellation struct {
	Comment  *string       `json:"comment"`
	Feedback *string       `json:"feedback"`
	Reason   *cancelReason `json:"reason"`
}

type cancelReason string

const (
	cancelRequested cancelReason = "cancellation_requested"
	cancelUnpaid    cancelReason = "payment_failed"
)

type subscriptionFields struct {
	ID                   string             `json:"id"`
	AutomaticTax         automaticTax       `json:"automatic_tax"`
	BillingCycleAnchor   int64              `json:"billing_cycle_anchor"`
	CancelAt             *int64             `json:"cancel_at"`
	CancelAtPeriodEnd    bool               `json:"cancel_at_period_end"`
	CanceledAt           *int64             `json:"canceled_at"`
	Cancellation         cancellation       `json:"cancellation_details"`
	Created              int64              `json:"created"`
	Currency             string             `json:"currency"`
	CurrentPeriodEnd     int64              `json:"current_period_end"`
	CurrentPeriodStart   int64              `json:"current_period_start"`
	Customer             string             `json:"customer"`
	DefaultPaymentMethod *string            `json:"default_payment_method"`
	EndedAt              *int64             `json:"ended_at"`
	LatestInvoice        *string            `json:"latest_invoice"`
	Metadata             map[string]string  `json:"metadata"`
	StartDate            int64              `json:"start_date"`
	ApplicationFee       *float64           `json:"application_fee_percent"`
	Status               subscriptionStatus `json:"status"`
	TrialEnd             *int64             `json:"trial_end"`
	TrialStart           *int64             `json:"trial_start"`
}

// subscription is a subscription to one price.
type subscription struct {
	subscriptionFields
	Item  string    `json:"item"`
	Price planPrice `json:"price"`
}

// invoiceStatus is where an invoice stands.
type invoiceStatus string

const (
	invoiceDraft invoiceStatus = "draft"
	invoiceOpen  invoiceStatus = "open"
	invoicePaid  invoiceStatus = "paid"
	invoiceVoid  invoiceStatus = "void"
)

type subscriptionDetails struct {
	Metadata map[string]string `json:"metadata"`
}

type invoiceFields struct {
	ID                  string              `json:"id"`
	AmountDue           int64               `json:"amount_due"`
	AmountPaid          int64               `json:"amount_paid"`
	AmountRemaining     int64               `json:"amount_remaining"`
	AttemptCount        int64               `json:"attempt_count"`
	Attempted           bool                `json:"attempted"`
	AutoAdvance         bool                `json:"auto_advance"`
	BillingReason       string              `json:"billing_reason"`
	Charge              *string             `json:"charge"`
	Created             int64               `json:"created"`
	Currency            string              `json:"currency"`
	Customer            string              `json:"customer"`
	NextPaymentAttempt  *int64              `json:"next_payment_attempt"`
	Number              *string             `json:"number"`
	Paid                bool                `json:"paid"`
	PaymentIntent       *string             `json:"payment_intent"`
	PeriodEnd           int64               `json:"period_end"`
	PeriodStart         int64               `json:"period_start"`
	Status              invoiceStatus       `json:"status"`
	Subscription        string              `json:"subscription"`
	SubscriptionDetails subscriptionDetails `json:"subscription_details"`
	Subtotal            int64               `json:"subtotal"`
	Tax                 *int64              `json:"tax"`
	Total               int64               `json:"total"`
}

type invoiceLine struct {
	ID          string `json:"id"`
	Amount      int64  `json:"amount"`
	Description string `json:"description"`
	Start       int64  `json:"start"`
	End         int64  `json:"end"`
	Proration   bool   `json:"proration"`
}

// invoice is what one period, or a change of plan, costs.
type invoice struct {
	invoiceFields
	Items  []invoiceLine `json:"items"`
	PaidAt *int64        `json:"paid_at"`
}

// savedCard is the card a customer's invoices are charged to; its id is the
// customer's.
type savedCard struct {
	Customer string `json:"customer"`
	Number   string `json:"number"`
	Method   method `json:"method"`
}

// portal is a link under which a customer changes the card and pays invoices.
type portal struct {
	ID        string `json:"id"`
	Customer  string `json:"customer"`
	ReturnURL string `json:"return_url"`
	Created   int64  `json:"created"`
}

func (planPrice) shape() string    { return "price" }
func (subscription) shape() string { return "subscription" }
func (invoice) shape() string      { return "invoice" }
func (portal) shape() string       { return "billing_portal.session" }

func (p planPrice) fields(string) any {
	p.Tax = cmp.Or(p.Tax, "unspecified") // of an older journal
	return p
}

func (s subscription) fields(base string) any {
	shown, err := render(s.Price, base)
	if err != nil {
		shown = wire{}
	}
	return struct {
		subscriptionFields
		Items wire `json:"items"`
	}{s.subscriptionFields, listOf([]wire{{
		"id": s.Item, "object": "subscription_item", "billing_thresholds": nil, "created": s.Created, "metadata": wire{},
		"price": shown, "quantity": 1, "subscription": s.ID, "tax_rates": []string{},
	}}, false, "/v1/subscription_items?subscription="+s.ID)}
}

func (i invoice) fields(base string) any {
	lines := make([]wire, 0, len(i.Items))
	for _, l := range i.Items {
		lines = append(lines, wire{
			"id": l.ID, "object": "line_item", "amount": l.Amount, "amount_excluding_tax": l.Amount, "currency": i.Currency, "description": l.Description,
			"discountable": true, "livemode": false, "metadata": i.SubscriptionDetails.Metadata, "period": wire{"start": l.Start, "end": l.End},
			"proration": l.Proration, "quantity": 1, "subscription": i.Subscription, "type": "subscription",
		})
	}
	var page, pdf *string
	if i.Status != invoiceDraft && i.ID != "" {
		page, pdf = new(base+"/i/"+i.ID), new(base+"/i/"+i.ID+"?pdf=1")
	}
	return struct {
		invoiceFields
		Lines            wire    `json:"lines"`
		HostedInvoiceURL *string `json:"hosted_invoice_url"`
		InvoicePDF       *string `json:"invoice_pdf"`
		Transitions      wire    `json:"status_transitions"`
	}{i.invoiceFields, listOf(lines, false, "/v1/invoices/"+i.ID+"/lines"), page, pdf, wire{
		"finalized_at": nil, "marked_uncollectible_at": nil, "paid_at": i.PaidAt, "voided_at": nil,
	}}
}

func (p portal) fields(base string) any {
	return struct {
		portal
		URL string `json:"url"`
	}{p, base + "/p/session/" + p.ID}
}

func planRoutes(v1 func(string, []string, handler)) {
	v1("POST /v1/prices", []string{
		"currency", "unit_amount", "lookup_key", "transfer_lookup_key", "nickname", "metadata[*]", "recurring[interval]", "product_data[name]",
		"tax_behavior",
	}, createPrice)
	v1("GET /v1/prices", listing("lookup_keys[]", "active"), listPrices)
	v1("GET /v1/prices/{id}", nil, one(func(s *state) *table[planPrice] { return s.Prices }, "price", "price"))
	v1("GET /v1/subscriptions", listing("customer", "status"), listSubscriptions)
	v1("GET /v1/subscriptions/{id}", nil, one(func(s *state) *table[subscription] { return s.Subscriptions }, "subscription", "id"))
	v1("POST /v1/subscriptions/{id}", []string{
		"cancel_at", "cancel_at_period_end", "items[][id]", "items[][price]", "proration_behavior", "proration_date", "payment_behavior", "metadata[*]",
	}, updateSubscription)
	v1("DELETE /v1/subscriptions/{id}", []string{"invoice_now", "prorate"}, cancelSubscription)
	v1("GET /v1/invoices", listing("customer", "subscription", "status"), listInvoices)
	v1("GET /v1/invoices/upcoming", []string{
		"subscription", "subscription_items[][id]", "subscription_items[][price]", "subscription_proration_behavior", "subscription_proration_date",
	}, previewInvoice)
	v1("GET /v1/invoices/{id}", nil, one(func(s *state) *table[invoice] { return s.Invoices }, "invoice", "id"))
	v1("POST /v1/invoices/{id}/pay", nil, payInvoice)
	v1("POST /v1/invoices/{id}/void", nil, voidInvoice)
	v1("POST /v1/invoices/{id}/finalize", []string{"auto_advance"}, finalizeInvoice)
	v1("POST /v1/billing_portal/sessions", []string{"customer", "return_url"}, createPortal)
}

func createPrice(c *call) (wire, *apiError) {
	f := c.form
	p := &planPrice{
		ID: newID("price"), Created: seconds(c.now), Currency: strings.ToLower(f.need("currency")), LookupKey: f.optional("lookup_key"),
		Metadata: f.metadata("metadata"), Nickname: new(f.need("product_data[name]")), Product: newID("prod"),
		Recurring: recurring{Interval: f.oneOf("recurring[interval]", "month", "year"), IntervalCount: 1, UsageType: "licensed"},
		Tax:       f.oneOf("tax_behavior", "unspecified", "exclusive"),
	}
	f.need("unit_amount")
	p.UnitAmount, _ = f.integer("unit_amount")
	move := f.truth("transfer_lookup_key")
	if f.err != nil {
		return nil, f.err
	}
	if p.LookupKey != nil {
		for _, r := range c.state.Prices.Rows {
			if r.Account != c.account || r.Object.LookupKey == nil || *r.Object.LookupKey != *p.LookupKey {
				continue
			}
			if !move {
				return nil, invalid("lookup_key", "", "A price (`%s`) already uses that lookup key.", r.ID)
			}
			r.Object.LookupKey = nil
			c.keep(c.state.Prices.kind, r.ID)
		}
	}
	create(c, c.state.Prices, p.ID, p)
	return c.render(*p)
}

func listPrices(c *call) (wire, *apiError) {
	keys := c.form.list("lookup_keys")
	c.form.truth("active")
	return page(c, c.state.Prices, "/v1/prices", func(p *planPrice) bool {
		return (len(keys) == 0 || p.LookupKey != nil && slices.Contains(keys, *p.LookupKey)) && within(c.form, p.Created)
	})
}

func listSubscriptions(c *call) (wire, *apiError) {
	customer, status := c.form.text("customer"), c.form.text("status")
	return page(c, c.state.Subscriptions, "/v1/subscriptions", func(s *subscription) bool {
		return (customer == "" || s.Customer == customer) && (status == "" && s.Status != subCanceled || status == "all" || string(s.Status) == status) &&
			within(c.form, s.Created)
	})
}

func listInvoices(c *call) (wire, *apiError) {
	customer, of, status := c.form.text("customer"), c.form.text("subscription"), c.form.text("status")
	return page(c, c.state.Invoices, "/v1/invoices", func(i *invoice) bool {
		return (customer == "" || i.Customer == customer) && (of == "" || i.Subscription == of) && (status == "" || string(i.Status) == status) &&
			within(c.form, i.Created)
	})
}

// sessionPlan is what a checkout subscribes its buyer to.
type sessionPlan struct {
	Price     string            `json:"price"`
	TrialDays int64             `json:"trial_days,omitempty"`
	Fee       *float64          `json:"fee,omitempty"` // the platform's, in percent
	Metadata  map[string]string `json:"metadata"`
}

// readPlan reads what a checkout in subscription mode asks for.
func (c *call) readPlan(s *session) {
	f := c.form
	var id string
	if f.has("line_items[0][price_data][recurring][interval]") {
		id = c.inlinePrice()
	} else if f.has("line_items[0][price_data][currency]") && f.has("line_items[0][price]") {
		f.fail(invalid("line_items", "", "You may only specify one of these parameters: price, price_data."))
	} else {
		id = f.need("line_items[0][price]")
	}
	p := c.state.Prices.get(c.account, id)
	switch {
	case f.err != nil:
		return
	case p == nil:
		e := notFound("price", id, "line_items[0][price]")
		e.Status = http.StatusBadRequest
		f.fail(e)
		return
	case f.size("line_items") != 1:
		f.fail(invalid("line_items", "", "One recurring price is simulated."))
	}
	s.Plan = &sessionPlan{Price: id, Metadata: f.metadata("subscription_data[metadata]")}
	if days, given := f.integer("subscription_data[trial_period_days]"); given {
		if days < 1 || days > 730 {
			f.fail(invalid("subscription_data[trial_period_days]", "parameter_invalid_integer", "The trial has 1 to 730 days."))
		}
		s.Plan.TrialDays = days
	}
	const share = "subscription_data[application_fee_percent]"
	if f.has(share) {
		percent, err := strconv.ParseFloat(f.text(share), 64)
		switch {
		case c.account == "":
			f.fail(invalid(share, "", "Can only apply an application_fee_percent when the request is made on behalf of another account (using the Stripe-Account header)."))
		case err != nil || percent < 0 || percent > 100:
			f.fail(invalid(share, "", "The application fee is a percentage between 0 and 100."))
		}
		s.Plan.Fee = &percent
	}
	if f.has("subscription_data[trial_settings][end_behavior][missing_payment_method]") {
		f.oneOf("subscription_data[trial_settings][end_behavior][missing_payment_method]", "create_invoice")
	}
	s.PaymentMethodCollection = f.oneOf("payment_method_collection", "always", "if_required")
	s.Currency, s.CustomerCreation = p.Currency, nil
	s.Items = []lineItem{{
		ID: newID("li"), Name: *p.Nickname, Quantity: 1, UnitAmount: p.UnitAmount, Currency: p.Currency, Product: p.Product, Price: p.ID, TaxBehavior: p.Tax,
	}}
	if s.Plan.TrialDays == 0 {
		s.AmountSubtotal, s.AmountTotal = p.UnitAmount, p.UnitAmount
	}
	if len(s.PaymentMethodTypes) == 0 {
		s.PaymentMethodTypes = []string{string(payCard)}
	}
}

// inlinePrice makes the price that a checkout brings along.
func (c *call) inlinePrice() string {
	f := c.form
	const at = "line_items[0][price_data]"
	p := &planPrice{
		ID: newID("price"), Created: seconds(c.now), Currency: strings.ToLower(f.need(at + "[currency]")), Metadata: map[string]string{},
		Nickname: new(f.need(at + "[product_data][name]")), Product: newID("prod"),
		Recurring: recurring{Interval: f.oneOf(at+"[recurring][interval]", "month", "year"), IntervalCount: 1, UsageType: "licensed"},
	}
	f.need(at + "[unit_amount]")
	if p.UnitAmount, _ = f.integer(at + "[unit_amount]"); f.err == nil && (p.UnitAmount < minAmount || p.UnitAmount > maxAmount) {
		f.fail(invalid(at+"[unit_amount]", "parameter_invalid_integer", "unit_amount must be between %d and %d.", int64(minAmount), int64(maxAmount)))
	}
	if f.err == nil {
		create(c, c.state.Prices, p.ID, p)
	}
	return p.ID
}

// rhythm is what a price is paid for, in words.
func (p *planPrice) rhythm() string {
	return price(p.UnitAmount, p.Currency) + " a " + p.Recurring.Interval
}

// subscribe ends a checkout in subscription mode.
func (c *call) subscribe(s *session, a attempt) *apiError {
	p := c.state.Prices.get(c.account, s.Plan.Price)
	now := seconds(c.now)
	free := s.Plan.TrialDays > 0 || p.UnitAmount == 0
	switch {
	case a.kind == payNone && free && s.PaymentMethodCollection == "if_required":
	case a.kind != payCard:
		return invalid("method", "", "A card pays for this subscription.")
	default:
		if card := findCard(a.card); card.Verdict == cardDeclined && (!free || !card.Saves) || a.authenticated != nil && !*a.authenticated {
			return &apiError{
				Status: http.StatusPaymentRequired, Type: typeCard, Code: "card_declined", DeclineCode: card.DeclineCode,
				Message: declineMessage("card_declined", card.DeclineCode),
			}
		}
	}
	s.CustomerCreation = new("always")
	c.complete(s, a.method)
	if a.kind == payCard {
		c.saveCard(*s.Customer, a.card, a.method)
	}
	sub := &subscription{
		subscriptionFields: subscriptionFields{
			ID: newID("sub"), BillingCycleAnchor: now, Created: now, StartDate: now, Currency: p.Currency, CurrentPeriodStart: now,
			Customer: *s.Customer, Metadata: s.Plan.Metadata, Status: subIncomplete, ApplicationFee: s.Plan.Fee, AutomaticTax: s.AutomaticTax,
		},
		Item: newID("si"), Price: *p,
	}
	if days := s.Plan.TrialDays; days > 0 {
		end := now + days*24*60*60
		sub.Status, sub.TrialStart, sub.TrialEnd = subTrialing, &now, &end
		sub.BillingCycleAnchor, sub.CurrentPeriodEnd = end, end
	} else {
		sub.CurrentPeriodEnd = sub.after(now)
	}
	create(c, c.state.Subscriptions, sub.ID, sub)
	s.Subscription = &sub.ID
	c.emit("customer.subscription.created", *sub, now)
	cost := p.UnitAmount
	if sub.Status == subTrialing {
		cost = 0
	}
	in := c.newInvoice(sub, "subscription_create", []invoiceLine{{
		Amount: cost, Description: *p.Nickname, Start: sub.CurrentPeriodStart, End: sub.CurrentPeriodEnd,
	}}, now)
	s.Invoice = &in.ID
	s.PaymentStatus = "no_payment_required"
	if cost > 0 {
		s.PaymentStatus = paid
	}
	c.finalize(in, now)
	_ = c.charge(in, now) // a refusal stands in the invoice
	if sub.Status == subIncomplete {
		sub.Status = subActive
		c.keep(c.state.Subscriptions.kind, sub.ID)
		c.emit("customer.subscription.updated", *sub, now)
	}
	c.keep(c.state.Sessions.kind, s.ID)
	c.emit("checkout.session.completed", *s, now)
	return nil
}

// after is when the period that holds an instant ends: Stripe counts months in
// UTC from the anchor, on the last day of those that are too short.
func (s *subscription) after(at int64) int64 {
	step := 1
	if s.Price.Recurring.Interval == "year" {
		step = 12
	}
	anchor := time.Unix(s.BillingCycleAnchor, 0).UTC()
	first := time.Date(anchor.Year(), anchor.Month(), 1, anchor.Hour(), anchor.Minute(), anchor.Second(), 0, time.UTC)
	for n := 0; ; n += step {
		month := first.AddDate(0, n, 0)
		last := month.AddDate(0, 1, -1).Day()
		if end := month.AddDate(0, 0, min(anchor.Day(), last)-1).Unix(); end > at {
			return end
		}
	}
}

func (c *call) saveCard(customer, number string, m method) {
	m.Kind, m.Brand, m.Last4 = payCard, brandOf(number), lastFour(number)
	if m.ID == "" {
		m.ID = newID("pm")
	}
	create(c, c.state.Cards, customer, &savedCard{Customer: customer, Number: number, Method: m})
}

// owe adds a subscription's tax to an invoice, and says what is due.
func (i *invoiceFields) owe(sub *subscription) {
	i.Total = i.Subtotal
	if sub.AutomaticTax.Enabled {
		i.Tax = new(taxOn(i.Subtotal))
		i.Total += *i.Tax
	}
	i.AmountDue = max(0, i.Total)
	i.AmountRemaining = i.AmountDue
}

// newInvoice begins a draft.
func (c *call) newInvoice(sub *subscription, reason string, lines []invoiceLine, at int64) *invoice {
	in := &invoice{invoiceFields: invoiceFields{
		ID: newID("in"), AutoAdvance: true, BillingReason: reason, Created: at, Currency: sub.Currency, Customer: sub.Customer,
		PeriodStart: sub.CurrentPeriodStart, PeriodEnd: sub.CurrentPeriodEnd, Status: invoiceDraft, Subscription: sub.ID,
		SubscriptionDetails: subscriptionDetails{Metadata: sub.Metadata},
	}, Items: lines}
	for i := range in.Items {
		in.Items[i].ID = newID("il")
		in.Subtotal += in.Items[i].Amount
	}
	in.owe(sub)
	if in.AutoAdvance = sub.Status != subUnpaid; in.AutoAdvance {
		in.NextPaymentAttempt = new(at + draftTime)
	}
	create(c, c.state.Invoices, in.ID, in)
	sub.LatestInvoice = &in.ID
	c.keep(c.state.Subscriptions.kind, sub.ID)
	c.emit("invoice.created", *in, at)
	return in
}

// How long a renewal's invoice stays a draft, and when a card that refused it is
// tried again, in seconds.
const draftTime = 60 * 60

func retries() []int64 { return []int64{3 * 86400, 5 * 86400, 7 * 86400} }

func (c *call) finalize(in *invoice, at int64) {
	in.Status = invoiceOpen
	in.Number = new("SIM-" + strconv.Itoa(len(c.state.Invoices.Rows)))
	c.keep(c.state.Invoices.kind, in.ID)
	c.emit("invoice.finalized", *in, at)
}

// charge tries to take what an open invoice asks for from the saved card, in its
// turn: when it is declined, the next turn is set, or there is none any more.
func (c *call) charge(in *invoice, at int64) *apiError {
	in.NextPaymentAttempt = nil
	if in.AmountRemaining > 0 {
		in.AttemptCount++
	}
	if waits := retries(); int(in.AttemptCount) <= len(waits) {
		in.NextPaymentAttempt = new(at + waits[max(0, in.AttemptCount-1)])
	}
	return c.attempt(in, at)
}

// chargeNow is charge because somebody asks for it: the turns stay what they are,
// unless there was none yet.
func (c *call) chargeNow(in *invoice, at int64) *apiError {
	if in.AttemptCount == 0 {
		return c.charge(in, at)
	}
	return c.attempt(in, at)
}

func (c *call) attempt(in *invoice, at int64) *apiError {
	c.keep(c.state.Invoices.kind, in.ID)
	if in.AmountRemaining == 0 {
		c.paid(in, at)
		return nil
	}
	in.Attempted = true
	e := c.takeFrom(in, at)
	if e == nil {
		c.paid(in, at)
		return nil
	}
	c.emit("invoice.payment_failed", *in, at)
	sub := c.state.Subscriptions.get(c.account, in.Subscription)
	switch {
	case sub == nil || sub.Status == subCanceled || sub.Status == subIncomplete:
	case in.BillingReason == "subscription_cycle" && in.AutoAdvance && in.NextPaymentAttempt == nil: // what Stripe does unless an account is set otherwise
		c.end(sub, cancelUnpaid, at)
	case sub.Status != subPastDue && sub.Status != subUnpaid:
		sub.Status = subPastDue
		c.keep(c.state.Subscriptions.kind, sub.ID)
		c.emit("customer.subscription.updated", *sub, at)
	}
	return e
}

// takeFrom charges the customer's card for an invoice.
func (c *call) takeFrom(in *invoice, at int64) *apiError {
	saved := c.state.Cards.get(c.account, in.Customer)
	if saved == nil {
		return &apiError{
			Status: http.StatusPaymentRequired, Type: typeCard, Code: "resource_missing", Message: "This customer has no attached payment source or default payment method.",
		}
	}
	id := newID("pi")
	p := &intent{intentFields: intentFields{
		ID: id, Amount: in.AmountRemaining, ClientSecret: newID(id + "_secret"), Created: at, Currency: in.Currency, Customer: &in.Customer,
		Description: new("Subscription"), Invoice: &in.ID, Metadata: map[string]string{}, PaymentMethodTypes: []string{string(payCard)}, Status: intentNeedsMethod,
	}}
	if sub := c.state.Subscriptions.get(c.account, in.Subscription); sub != nil && sub.ApplicationFee != nil && c.account != "" {
		p.ApplicationFeeAmount = new(int64(math.Round(float64(p.Amount) * *sub.ApplicationFee / 100)))
	}
	create(c, c.state.Intents, id, p)
	in.PaymentIntent = &id
	ch := c.newCharge(p, saved.Method, at)
	in.Charge = &ch.ID
	card := findCard(saved.Number)
	switch card.Verdict {
	case cardApproved:
		c.take(p, ch, at)
		return nil
	case cardDeclined:
		return c.refuse(p, ch, card.Code, card.DeclineCode, at)
	case cardAuthenticate:
		if saved.Number == setUpCard { // authenticated once, when it was saved
			c.take(p, ch, at)
			return nil
		}
	}
	return c.refuse(p, ch, "authentication_required", "authentication_required", at)
}

// paid closes an invoice, and what it held back.
func (c *call) paid(in *invoice, at int64) {
	in.Status, in.Paid, in.AmountPaid, in.AmountRemaining, in.NextPaymentAttempt = invoicePaid, true, in.AmountRemaining, 0, nil
	in.AttemptCount, in.PaidAt = max(1, in.AttemptCount), &at
	c.keep(c.state.Invoices.kind, in.ID)
	c.emit("invoice.paid", *in, at)
	if sub := c.state.Subscriptions.get(c.account, in.Subscription); sub != nil && (sub.Status == subPastDue || sub.Status == subUnpaid) {
		sub.Status = subActive
		c.keep(c.state.Subscriptions.kind, sub.ID)
		c.emit("customer.subscription.updated", *sub, at)
	}
}

// renewPlans does what time has brought due for subscriptions and their invoices,
// in the order of time.
func (c *call) renewPlans() {
	now := seconds(c.now)
	for {
		var do func()
		first := now + 1
		for _, r := range c.state.Subscriptions.Rows {
			if s := r.Object; s.Status != subCanceled && s.next() < first {
				first, do = s.next(), func() { c.account = r.Account; c.roll(s) }
			}
		}
		for _, r := range c.state.Invoices.Rows {
			in := r.Object
			if in.NextPaymentAttempt == nil || *in.NextPaymentAttempt >= first || in.Status != invoiceDraft && in.Status != invoiceOpen {
				continue
			}
			first, do = *in.NextPaymentAttempt, func() {
				c.account = r.Account
				at := *in.NextPaymentAttempt
				if in.Status == invoiceDraft {
					c.finalize(in, at)
				}
				_ = c.charge(in, at) // a refusal stands in the invoice
			}
		}
		if do == nil {
			return
		}
		do()
	}
}

// roll begins a subscription's next period, or ends it.
func (c *call) roll(s *subscription) {
	at := s.next()
	c.keep(c.state.Subscriptions.kind, s.ID)
	if s.CancelAtPeriodEnd || s.CancelAt != nil && *s.CancelAt <= at {
		c.end(s, cancelRequested, at)
		return
	}
	s.CurrentPeriodStart, s.CurrentPeriodEnd = at, s.after(at)
	if s.Status == subTrialing {
		s.Status = subActive
	}
	c.newInvoice(s, "subscription_cycle", []invoiceLine{{
		Amount: s.Price.UnitAmount, Description: *s.Price.Nickname, Start: s.CurrentPeriodStart, End: s.CurrentPeriodEnd,
	}}, at)
	c.emit("customer.subscription.updated", *s, at)
}

func (c *call) end(s *subscription, why cancelReason, at int64) {
	s.Status, s.EndedAt, s.Cancellation.Reason = subCanceled, &at, &why
	if s.CanceledAt == nil {
		s.CanceledAt = &at
	}
	c.keep(c.state.Subscriptions.kind, s.ID)
	for _, r := range c.state.Invoices.Rows { // what is open stays open, and is not tried again
		if in := r.Object; in.Subscription == s.ID && in.NextPaymentAttempt != nil {
			in.NextPaymentAttempt, in.AutoAdvance = nil, false
			c.keep(c.state.Invoices.kind, in.ID)
		}
	}
	c.emit("customer.subscription.deleted", *s, at)
}

// change is what a call wants another price to cost and to do.
type change struct {
	price  *planPrice
	behave string // always_invoice or none
	lines  []invoiceLine
	total  int64
	anew   bool // another interval: a new period begins
}

// readChange reads the items, the proration and its date from a call, under their
// names there.
func (c *call) readChange(s *subscription, items, behavior, date string) (*change, *apiError) {
	f := c.form
	id := f.need(items + "[0][price]")
	if f.need(items + "[0][id]"); f.err != nil {
		return nil, f.err
	}
	if f.text(items+"[0][id]") != s.Item {
		return nil, invalid(items+"[0][id]", "resource_missing", "No such subscription item: '%s'", f.text(items+"[0][id]"))
	}
	p := c.state.Prices.get(c.account, id)
	if p == nil {
		e := notFound("price", id, items+"[0][price]")
		e.Status = http.StatusBadRequest
		return nil, e
	}
	out := &change{price: p, behave: f.oneOf(behavior, "always_invoice", "none"), anew: p.Recurring.Interval != s.Price.Recurring.Interval}
	at, given := f.integer(date)
	if !given {
		at = seconds(c.now)
	}
	switch {
	case f.err != nil:
		return nil, f.err
	case at < s.CurrentPeriodStart || at > s.CurrentPeriodEnd:
		return nil, invalid(date, "", "The proration date lies outside the current period.")
	}
	if s.Status == subTrialing || out.behave == "none" {
		return out, nil
	}
	left, whole := s.CurrentPeriodEnd-at, s.CurrentPeriodEnd-s.CurrentPeriodStart
	part := func(amount int64) int64 { return (amount*left + whole/2) / whole } // below 2^53 by the bounds of both
	out.lines = []invoiceLine{{Amount: -part(s.Price.UnitAmount), Description: "Unused time on " + *s.Price.Nickname, Start: at, End: s.CurrentPeriodEnd, Proration: true}}
	if out.anew {
		out.lines = append(out.lines, invoiceLine{Amount: p.UnitAmount, Description: *p.Nickname, Start: at, End: at})
	} else {
		out.lines = append(out.lines, invoiceLine{
			Amount: part(p.UnitAmount), Description: "Remaining time on " + *p.Nickname, Start: at, End: s.CurrentPeriodEnd, Proration: true,
		})
	}
	for _, l := range out.lines {
		out.total += l.Amount
	}
	return out, nil
}

func previewInvoice(c *call) (wire, *apiError) {
	s := c.state.Subscriptions.get(c.account, c.form.need("subscription"))
	if s == nil {
		return nil, notFound("subscription", c.form.text("subscription"), "subscription")
	}
	ch, e := c.readChange(s, "subscription_items", "subscription_proration_behavior", "subscription_proration_date")
	if e != nil {
		return nil, e
	}
	in := invoice{invoiceFields: invoiceFields{
		BillingReason: "upcoming", Created: seconds(c.now), Currency: s.Currency, Customer: s.Customer,
		PeriodStart: s.CurrentPeriodStart, PeriodEnd: s.CurrentPeriodEnd, Status: invoiceDraft, Subscription: s.ID, Subtotal: ch.total,
		SubscriptionDetails: subscriptionDetails{Metadata: s.Metadata},
	}, Items: ch.lines}
	in.owe(s)
	return c.render(in)
}

func updateSubscription(c *call) (wire, *apiError) {
	f := c.form
	s := c.state.Subscriptions.get(c.account, c.path("id"))
	switch {
	case s == nil:
		return nil, notFound("subscription", c.path("id"), "id")
	case s.Status == subCanceled:
		return nil, invalid("", "", "A canceled subscription can only update its cancellation_details and metadata.")
	}
	now := seconds(c.now)
	if f.has("items[0][price]") {
		ch, e := c.readChange(s, "items", "proration_behavior", "proration_date")
		if e != nil {
			return nil, e
		}
		f.oneOf("payment_behavior", "error_if_incomplete")
		if f.err != nil {
			return nil, f.err
		}
		if e := c.switchPrice(s, ch, now); e != nil {
			return nil, e
		}
	}
	if e := c.readEnd(s, now); e != nil {
		return nil, e
	}
	c.keep(c.state.Subscriptions.kind, s.ID)
	c.emit("customer.subscription.updated", *s, now)
	return c.render(*s)
}

// readEnd reads whether a subscription is to end: with its period, by a mark that has
// a date beside it, or on a date alone. The mark taken back leaves such a date.
func (c *call) readEnd(s *subscription, now int64) *apiError {
	f := c.form
	switch {
	case f.has("cancel_at") && f.has("cancel_at_period_end"):
		return invalid("cancel_at", "", "Received both cancel_at_period_end and cancel_at parameters. Please pass in only one.")
	case f.has("cancel_at") && f.values["cancel_at"] == "":
		s.CancelAtPeriodEnd, s.CancelAt = false, nil
	case f.has("cancel_at"):
		at, _ := f.integer("cancel_at")
		if f.err == nil && at <= now {
			return invalid("cancel_at", "", "The cancel_at timestamp must be in the future.")
		}
		s.CancelAtPeriodEnd, s.CancelAt = false, &at
	case f.has("cancel_at_period_end"):
		if was := s.CancelAtPeriodEnd; f.truth("cancel_at_period_end") {
			s.CancelAtPeriodEnd, s.CancelAt = true, new(s.CurrentPeriodEnd)
		} else if was {
			s.CancelAtPeriodEnd, s.CancelAt = false, nil
		}
	default:
		return f.err
	}
	s.CanceledAt, s.Cancellation.Reason = nil, nil
	if s.CancelAt != nil {
		s.CanceledAt, s.Cancellation.Reason = &now, new(cancelRequested)
	}
	return f.err
}

// next is when a subscription's period ends, or the subscription if that is sooner.
func (s *subscription) next() int64 {
	if s.CancelAt != nil {
		return min(s.CurrentPeriodEnd, *s.CancelAt)
	}
	return s.CurrentPeriodEnd
}

// switchPrice puts a subscription on another price; a card that refuses what that
// costs now leaves everything as it was.
func (c *call) switchPrice(s *subscription, ch *change, now int64) *apiError {
	if ch.total > 0 {
		saved := c.state.Cards.get(c.account, s.Customer)
		card := testCard{Verdict: cardDeclined, Code: "resource_missing"}
		if saved != nil {
			card = findCard(saved.Number)
		}
		if card.Verdict != cardApproved && (saved == nil || saved.Number != setUpCard) {
			return &apiError{
				Status: http.StatusPaymentRequired, Type: typeCard, Code: "card_declined", DeclineCode: card.DeclineCode,
				Message: declineMessage("card_declined", card.DeclineCode),
			}
		}
	}
	s.Price = *ch.price
	if ch.anew && s.Status != subTrialing {
		s.BillingCycleAnchor, s.CurrentPeriodStart = now, now
		s.CurrentPeriodEnd = s.after(now)
	}
	if len(ch.lines) > 0 {
		in := c.newInvoice(s, "subscription_update", ch.lines, now)
		c.finalize(in, now)
		return c.charge(in, now)
	}
	return nil
}

func cancelSubscription(c *call) (wire, *apiError) {
	s := c.state.Subscriptions.get(c.account, c.path("id"))
	if s == nil || s.Status == subCanceled {
		return nil, notFound("subscription", c.path("id"), "id")
	}
	if c.form.truth("invoice_now") || c.form.truth("prorate") {
		return nil, invalid("prorate", "", "Only a cancellation without proration is simulated.")
	}
	c.end(s, cancelRequested, seconds(c.now))
	return c.render(*s)
}

func payInvoice(c *call) (wire, *apiError) {
	in := c.state.Invoices.get(c.account, c.path("id"))
	switch {
	case in == nil:
		return nil, notFound("invoice", c.path("id"), "id")
	case in.Status == invoicePaid:
		return nil, invalid("", "invoice_already_paid", "Invoice is already paid")
	case in.Status == invoiceVoid:
		return nil, invalid("", "", "Voided invoices cannot be paid.")
	}
	now := seconds(c.now)
	if in.Status == invoiceDraft {
		c.finalize(in, now)
	}
	if e := c.chargeNow(in, now); e != nil {
		return nil, e
	}
	return c.render(*in)
}

func voidInvoice(c *call) (wire, *apiError) {
	in := c.state.Invoices.get(c.account, c.path("id"))
	switch {
	case in == nil:
		return nil, notFound("invoice", c.path("id"), "id")
	case in.Status != invoiceOpen:
		return nil, invalid("", "", "You can only pass in open invoices. This invoice isn't open.")
	}
	in.Status, in.NextPaymentAttempt = invoiceVoid, nil
	c.keep(c.state.Invoices.kind, in.ID)
	c.emit("invoice.voided", *in, seconds(c.now))
	return c.render(*in)
}

// finalizeInvoice makes a draft final; without auto_advance nothing collects it.
func finalizeInvoice(c *call) (wire, *apiError) {
	in := c.state.Invoices.get(c.account, c.path("id"))
	advance := !c.form.has("auto_advance") || c.form.truth("auto_advance")
	switch {
	case in == nil:
		return nil, notFound("invoice", c.path("id"), "id")
	case c.form.err != nil:
		return nil, c.form.err
	case in.Status != invoiceDraft:
		return nil, invalid("", "", "This invoice is already finalized, you can't re-finalize a non-draft invoice.")
	}
	now := seconds(c.now)
	in.AutoAdvance, in.NextPaymentAttempt = advance, nil
	if advance {
		in.NextPaymentAttempt = &now
	}
	c.finalize(in, now)
	return c.render(*in)
}

func createPortal(c *call) (wire, *apiError) {
	f := c.form
	p := &portal{ID: newID("bps"), Customer: f.need("customer"), Created: seconds(c.now)}
	if f.need("return_url"); f.err == nil {
		p.ReturnURL = *returnURL(f, "return_url")
	}
	if f.err != nil {
		return nil, f.err
	}
	if c.state.Customers.get(c.account, p.Customer) == nil {
		e := notFound("customer", p.Customer, "customer")
		e.Status = http.StatusBadRequest
		return nil, e
	}
	create(c, c.state.Portals, p.ID, p)
	return c.render(*p)
}

// portalView is the page under which a customer manages cards and invoices.
type portalView struct {
	pageTop
	ID, Merchant, Back  string
	Card                string // the saved one in words
	Number, Expiry, CVC string
	Error               string
	Invoices            []portalInvoice
	TestCards           []testCard
}

type portalInvoice struct{ ID, Number, When, Amount, State, Pay string }

func (c *call) portalPage(p *portal) portalView {
	v := portalView{
		pageTop: pageTop{"Cards and invoices", cssPath}, ID: p.ID, Merchant: c.merchant(), Back: p.ReturnURL, Card: "No card is saved.",
		Number: "4242 4242 4242 4242", Expiry: "12 / 34", CVC: "123", TestCards: testCards(),
	}
	if saved := c.state.Cards.get(c.account, p.Customer); saved != nil {
		v.Card = "Card ending in " + saved.Method.Last4 + "."
	}
	for _, r := range slices.Backward(c.state.Invoices.Rows) {
		in := r.Object
		if r.Account != c.account || in.Customer != p.Customer || in.Status == invoiceDraft {
			continue
		}
		line := portalInvoice{
			ID: in.ID, Number: *in.Number, When: time.Unix(in.Created, 0).UTC().Format("2 January 2006"), Amount: price(in.Total, in.Currency), State: string(in.Status),
		}
		if in.Status == invoiceOpen {
			line.Pay = "Pay " + line.Amount
		}
		v.Invoices = append(v.Invoices, line)
	}
	return v
}

// onPortal acts on a portal link and shows its page, or leads on.
func (s *Server) onPortal(w http.ResponseWriter, r *http.Request, f func(*call, *portal) (problem string, done bool)) {
	var out shown
	err := s.act(r.Context(), origin{base: "http://" + r.Host}, func(c *call) {
		found := c.state.Portals.find(r.PathValue("id"))
		if found == nil {
			return
		}
		c.account = found.Account
		wrong, done := f(c, found.Object)
		if done {
			out.goTo = "/p/session/" + found.ID
			return
		}
		v := c.portalPage(found.Object)
		v.Error = wrong
		out = shown{status: http.StatusOK, name: "portal", view: v}
		if wrong != "" {
			out.status = http.StatusPaymentRequired
		}
	})
	switch {
	case err != nil:
		s.over(w, http.StatusInternalServerError, "Something went wrong", "The simulator could not save its state.")
	case out.goTo != "":
		lead(w, r, out.goTo)
	case out.view == nil:
		s.over(w, http.StatusNotFound, "No such link", "The link is wrong, or the demo was started anew since.")
	default:
		s.write(w, out.status, out.name, out.view, out.targets...)
	}
}

func (s *Server) showPortal(w http.ResponseWriter, r *http.Request) {
	s.onPortal(w, r, func(*call, *portal) (string, bool) { return "", false })
}

// submitPortal saves another card, or pays an open invoice.
func (s *Server) submitPortal(w http.ResponseWriter, r *http.Request) {
	id, a := r.PostFormValue("invoice"), attempt{card: digits(r.PostFormValue("card"))}
	month, year, ok := readExpiryDate(r.PostFormValue("expiry"))
	s.onPortal(w, r, func(c *call, p *portal) (string, bool) {
		if id != "" {
			in := c.state.Invoices.get(c.account, id)
			if in == nil || in.Customer != p.Customer || in.Status != invoiceOpen {
				return "There is nothing to pay on this invoice.", false
			}
			if e := c.chargeNow(in, seconds(c.now)); e != nil {
				return plainDecline(e), false
			}
			return "", true
		}
		card := findCard(a.card)
		switch {
		case !validNumber(a.card) || !ok:
			return "Write a whole card number and a date such as 12 / 34.", false
		case card.Verdict == cardDeclined && !card.Saves:
			return plainDecline(&apiError{Type: typeCard, Code: card.Code, DeclineCode: card.DeclineCode}), false
		}
		c.saveCard(p.Customer, a.card, method{ExpMonth: int64(month), ExpYear: int64(year)})
		return "", true
	})
}

// showInvoice is the page behind an invoice's hosted_invoice_url.
func (s *Server) showInvoice(w http.ResponseWriter, r *http.Request) {
	var view any
	err := s.act(r.Context(), origin{}, func(c *call) {
		found := c.state.Invoices.find(r.PathValue("id"))
		if found == nil || found.Object.Number == nil {
			return
		}
		c.account = found.Account
		in := found.Object
		type line struct{ What, Amount string }
		v := struct {
			pageTop
			Merchant, Amount, Number, When, State string
			Lines                                 []line
		}{
			pageTop{"Invoice", cssPath},
			c.merchant(), price(in.Total, in.Currency), *in.Number,
			time.Unix(in.Created, 0).UTC().Format("2 January 2006"), string(in.Status), nil,
		}
		for _, l := range in.Items {
			v.Lines = append(v.Lines, line{l.Description, price(l.Amount, in.Currency)})
		}
		view = v
	})
	switch {
	case err != nil:
		s.over(w, http.StatusInternalServerError, "Something went wrong", "The simulator could not save its state.")
	case view == nil:
		s.over(w, http.StatusNotFound, "No such invoice", "The link is wrong.")
	default:
		s.write(w, http.StatusOK, "invoice", view)
	}
}

// doorCard is POST /_sim/subscriptions/{id}/card: card, a test number that the
// subscription's invoices are charged to from now on.
func (s *Server) doorCard(w http.ResponseWriter, r *http.Request) {
	in, e := readDoor(r)
	number := digits(in.Get("card"))
	if e == nil && !validNumber(number) {
		e = invalid("card", "", "card is a whole card number.")
	}
	if e != nil {
		refuse(w, e)
		return
	}
	s.onSubscription(w, r, func(c *call, sub *subscription) (map[string]any, *apiError) {
		c.saveCard(sub.Customer, number, method{ExpMonth: 12, ExpYear: 2034})
		return map[string]any{"customer": sub.Customer, "last4": lastFour(number)}, nil
	})
}

// doorUnpaid is POST /_sim/subscriptions/{id}/unpaid: the last try has failed, and
// the account is set to keep such subscriptions instead of ending them.
func (s *Server) doorUnpaid(w http.ResponseWriter, r *http.Request) {
	s.onSubscription(w, r, func(c *call, sub *subscription) (map[string]any, *apiError) {
		if sub.Status != subPastDue {
			return nil, invalid("", "", "Only a subscription that is past due can become unpaid.")
		}
		sub.Status = subUnpaid
		c.keep(c.state.Subscriptions.kind, sub.ID)
		for _, row := range c.state.Invoices.Rows {
			if in := row.Object; in.Subscription == sub.ID && in.NextPaymentAttempt != nil {
				in.NextPaymentAttempt, in.AutoAdvance = nil, false
				c.keep(c.state.Invoices.kind, in.ID)
			}
		}
		c.emit("customer.subscription.updated", *sub, seconds(c.now))
		return map[string]any{"status": sub.Status}, nil
	})
}

// onSubscription acts on one subscription of any account, and answers what f gives.
func (s *Server) onSubscription(w http.ResponseWriter, r *http.Request, f func(*call, *subscription) (map[string]any, *apiError)) {
	e := notFound("subscription", r.PathValue("id"), "id")
	var answer map[string]any
	err := s.act(r.Context(), origin{base: "http://" + r.Host}, func(c *call) {
		if found := c.state.Subscriptions.find(r.PathValue("id")); found != nil {
			c.account = found.Account
			answer, e = f(c, found.Object)
		}
	})
	switch {
	case err != nil:
		refuse(w, broken("%v", err))
	case e != nil:
		refuse(w, e)
	default:
		tell(w, http.StatusOK, answer)
	}
}
