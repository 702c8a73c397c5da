package stripesim

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a checkout, as at Stripe.
const (
	minSessionLife = 30 * 60      // seconds
	maxSessionLife = 24 * 60 * 60 // seconds; also the default
	maxAmount      = 99_999_999   // minor units
	minAmount      = 50           // minor units of a currency with two decimals
)

// sessionParams are the parameters of POST /v1/checkout/sessions that are
// simulated.
func sessionParams() []string {
	return []string{
		"mode", "success_url", "cancel_url", "client_reference_id", "customer", "customer_email", "customer_creation",
		"expires_at", "locale", "submit_type", "metadata[*]", "payment_method_types[]", "allow_promotion_codes",
		"automatic_tax[enabled]", "tax_id_collection[enabled]", "customer_update[address]", "customer_update[name]",
		"adaptive_pricing[enabled]", "billing_address_collection", "ui_mode",
		"line_items[][quantity]", "line_items[][price_data][currency]", "line_items[][price_data][unit_amount]",
		"line_items[][price_data][product_data][name]", "line_items[][price_data][product_data][description]",
		"line_items[][price_data][product_data][metadata][*]", "line_items[][price_data][tax_behavior]",
		"payment_intent_data[metadata][*]", "payment_intent_data[application_fee_amount]",
		"payment_intent_data[description]", "payment_intent_data[receipt_email]",
		"payment_intent_data[setup_future_usage]", "payment_intent_data[statement_descriptor]",
		"payment_intent_data[statement_descriptor_suffix]",
		"line_items[][price_data][recurring][interval]", "subscription_data[application_fee_percent]",
		"line_items[][price]", "payment_method_collection", "subscription_data[metadata][*]", "subscription_data[trial_period_days]",
		"subscription_data[trial_settings][end_behavior][missing_payment_method]",
		"currency", "setup_intent_data[metadata][*]", "setup_intent_data[description]",
	}
}

// createSession is POST /v1/checkout/sessions.
func createSession(c *call) (wire, *apiError) {
	f := c.form
	now := seconds(c.now)
	s := &session{
		sessionFields: sessionFields{
			ID:                 newID("cs_test"),
			CancelURL:          returnURL(f, "cancel_url"),
			ClientReferenceID:  f.optional("client_reference_id"),
			Created:            now,
			Customer:           f.optional("customer"),
			CustomerEmail:      f.optional("customer_email"),
			ExpiresAt:          now + maxSessionLife,
			Locale:             f.optional("locale"),
			Metadata:           f.metadata("metadata"),
			PaymentMethodTypes: f.list("payment_method_types"),
			PaymentStatus:      unpaid,
			Status:             sessionOpen,
			SubmitType:         f.optional("submit_type"),
		},
		Intent: intentPlan{
			Description:      f.optional("payment_intent_data[description]"),
			ReceiptEmail:     f.optional("payment_intent_data[receipt_email]"),
			SetupFutureUsage: f.optional("payment_intent_data[setup_future_usage]"),
			Statement:        f.optional("payment_intent_data[statement_descriptor]"),
			StatementSuffix:  f.optional("payment_intent_data[statement_descriptor_suffix]"),
			Metadata:         f.metadata("payment_intent_data[metadata]"),
		},
	}
	if s.Mode = f.need("mode"); f.err == nil && s.Mode != "payment" && s.Mode != "subscription" && s.Mode != "setup" {
		f.fail(invalid("mode", "", "Checkout in mode '%s' is not simulated: payment, subscription and setup are.", s.Mode))
	}
	s.AutomaticTax.Enabled = f.truth("automatic_tax[enabled]")
	for _, off := range []string{"allow_promotion_codes", "adaptive_pricing[enabled]"} {
		if f.truth(off) {
			f.fail(invalid(off, "", "%s is not simulated: leave it off.", off))
		}
	}
	if f.need("success_url"); f.err == nil {
		s.SuccessURL = *returnURL(f, "success_url")
	}
	s.CustomerCreation = new(f.oneOf("customer_creation", "if_required", "always"))
	f.oneOf("ui_mode", "hosted")
	if a := c.connectedAccount(c.account); a != nil && !a.ChargesEnabled {
		f.fail(invalid("", "", "Your account cannot currently make charges: look at the `requirements` of account %s.", a.ID))
	}
	switch s.Mode {
	case "subscription":
		c.readPlan(s)
	case "setup":
		c.readSetup(s)
	default:
		c.readItems(s)
	}
	c.readTax(s)
	c.readPayer(s)
	c.readExpiry(s)
	c.readFee(s)
	if len(s.PaymentMethodTypes) == 0 {
		s.PaymentMethodTypes = []string{string(payCard), string(payPaypal), string(payBankBill)}
	}
	for i, kind := range s.PaymentMethodTypes {
		if k := methodKind(kind); k != payCard && k != payPaypal && k != payBankBill {
			name := "payment_method_types[" + strconv.Itoa(i) + "]"
			f.fail(invalid(name, "", "Invalid %s: card, paypal and us_bank_account are simulated.", name))
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	create(c, c.state.Sessions, s.ID, s)
	return c.render(*s)
}

// readTax adds the tax to what is to be paid.
func (c *call) readTax(s *session) {
	f := c.form
	switch {
	case f.err != nil || !s.AutomaticTax.Enabled:
		return
	case s.Mode == "setup":
		f.fail(invalid("automatic_tax[enabled]", "", "Automatic tax is not available in `setup` mode."))
	case s.Customer != nil && f.oneOf("customer_update[address]", "never", "auto") != "auto":
		f.fail(invalid("automatic_tax[enabled]", "customer_tax_location_invalid",
			"Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address to the Customer or set `customer_update[address]` to 'auto'."))
	}
	for i := range s.Items {
		if s.Items[i].TaxBehavior != "exclusive" {
			f.fail(invalid("line_items", "", "Tax on top of a price is simulated: tax_behavior=exclusive."))
		}
	}
	s.AutomaticTax.Status = new("complete")
	s.TotalDetails.AmountTax = taxOn(s.AmountSubtotal)
	s.AmountTotal += s.TotalDetails.AmountTax
}

// readItems reads the line items and adds them up.
func (c *call) readItems(s *session) {
	f := c.form
	n := f.size("line_items")
	if n == 0 {
		f.fail(missing("line_items"))
	}
	for i := range n {
		at := "line_items[" + strconv.Itoa(i) + "]"
		it := lineItem{
			ID: newID("li"), Product: newID("prod"), Price: newID("price"), Quantity: 1,
			Name:        f.need(at + "[price_data][product_data][name]"),
			Description: f.optional(at + "[price_data][product_data][description]"),
			Currency:    strings.ToLower(f.need(at + "[price_data][currency]")), TaxBehavior: f.text(at + "[price_data][tax_behavior]"),
		}
		f.need(at + "[price_data][unit_amount]")
		it.UnitAmount, _ = f.integer(at + "[price_data][unit_amount]")
		if q, ok := f.integer(at + "[quantity]"); ok {
			it.Quantity = q
		}
		switch {
		case f.err != nil:
			return
		case !currencyCode.MatchString(it.Currency):
			f.fail(invalid(at+"[price_data][currency]", "", "Invalid currency: %s.", it.Currency))
		case s.Currency != "" && s.Currency != it.Currency:
			f.fail(invalid("line_items", "", "All line items must have the same currency."))
		case it.UnitAmount < 0 || it.UnitAmount > maxAmount:
			f.fail(invalid(at+"[price_data][unit_amount]", "parameter_invalid_integer", "unit_amount must be between 0 and %d.", int64(maxAmount)))
		case it.Quantity < 1 || it.Quantity > 999_999:
			f.fail(invalid(at+"[quantity]", "parameter_invalid_integer", "quantity must be between 1 and 999999."))
		}
		s.Currency = it.Currency
		s.AmountTotal += it.UnitAmount * it.Quantity // below 10^14 each, 100 of them at most
		s.Items = append(s.Items, it)
	}
	s.AmountSubtotal = s.AmountTotal
	switch {
	case f.err != nil:
	case n > 100:
		f.fail(invalid("line_items", "", "A session may have at most 100 line items."))
	case s.AmountTotal < minAmount:
		f.fail(invalid("", "amount_too_small", "The Checkout Session's total amount due must add up to at least %s.",
			price(minAmount, s.Currency)))
	case s.AmountTotal > maxAmount:
		f.fail(invalid("", "amount_too_large", "The Checkout Session's total amount must be no more than %s.",
			price(maxAmount, s.Currency)))
	}
}

var currencyCode = regexp.MustCompile(`^[a-z]{3}$`)

// readPayer checks who is going to pay.
func (c *call) readPayer(s *session) {
	if s.Customer == nil {
		return
	}
	if s.CustomerEmail != nil {
		c.form.fail(invalid("customer_email", "", "You may only specify one of these parameters: customer, customer_email."))
	}
	known := c.state.Customers.get(c.account, *s.Customer)
	if known == nil {
		e := notFound("customer", *s.Customer, "customer")
		e.Status = http.StatusBadRequest
		c.form.fail(e)
		return
	}
	s.CustomerCreation = nil
	s.CustomerDetails = &customerDetails{Email: known.Email, TaxExempt: "none", TaxIDs: []string{}}
}

// readExpiry holds the end of the session between 30 minutes and 24 hours from
// now, to the microsecond: a caller who asks for exactly 30 minutes arrives too
// late at Stripe too.
func (c *call) readExpiry(s *session) {
	at, given := c.form.integer("expires_at")
	if !given {
		return
	}
	life := at*1_000_000 - int64(c.now)
	if at < 0 || at > 1<<40 || life < minSessionLife*1_000_000 {
		c.form.fail(invalid("expires_at", "", "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation."))
	} else if life > maxSessionLife*1_000_000 {
		c.form.fail(invalid("expires_at", "", "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation."))
	}
	s.ExpiresAt = at
}

// readFee reads the platform's share, which only a connected account can owe.
func (c *call) readFee(s *session) {
	const name = "payment_intent_data[application_fee_amount]"
	fee, given := c.form.integer(name)
	switch {
	case !given:
		return
	case c.account == "":
		c.form.fail(invalid(name, "", "Can only apply an application_fee_amount when the request is made on behalf of another account (using the Stripe-Account header)."))
	case fee < 0 || fee > s.AmountTotal:
		c.form.fail(invalid(name, "", "The application fee must be between 0 and the amount of the payment."))
	}
	s.Intent.ApplicationFee = &fee
}

// returnURL reads an address that the buyer's browser is sent to. Its host goes
// into a security policy, so it may hold nothing unusual.
func returnURL(f *form, name string) *string {
	v := f.optional(name)
	if v == nil || f.err != nil {
		return v
	}
	if _, ok := originOf(*v); !ok {
		f.fail(invalid(name, "url_invalid", "Not a valid URL"))
	}
	return v
}

var plainHost = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?$`)

// originOf is the scheme and host of an address.
func originOf(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || !plainHost.MatchString(u.Host) {
		return "", false
	}
	return u.Scheme + "://" + u.Host, true
}

// successURL is where a buyer who paid goes.
func (s *session) successURL() string {
	return strings.ReplaceAll(s.SuccessURL, "{CHECKOUT_SESSION_ID}", s.ID)
}

// getSession is GET /v1/checkout/sessions/{id}.
func getSession(c *call) (wire, *apiError) {
	s := c.state.Sessions.get(c.account, c.path("id"))
	if s == nil {
		return nil, notFound("checkout.session", c.path("id"), "session")
	}
	return c.render(*s)
}

// listSessions is GET /v1/checkout/sessions.
func listSessions(c *call) (wire, *apiError) {
	f := c.form
	customer, intent, status := f.text("customer"), f.text("payment_intent"), f.text("status")
	return page(c, c.state.Sessions, "/v1/checkout/sessions", func(s *session) bool {
		return (customer == "" || s.Customer != nil && *s.Customer == customer) &&
			(intent == "" || s.PaymentIntent != nil && *s.PaymentIntent == intent) &&
			(status == "" || string(s.Status) == status) && within(f, s.Created)
	})
}

// listItems is GET /v1/checkout/sessions/{id}/line_items.
func listItems(c *call) (wire, *apiError) {
	s := c.state.Sessions.get(c.account, c.path("id"))
	if s == nil {
		return nil, notFound("checkout.session", c.path("id"), "session")
	}
	data, more, e := cutPage(c.form, itemsOf(s), func(w wire) string { id, _ := w["id"].(string); return id })
	return listOf(data, more, "/v1/checkout/sessions/"+s.ID+"/line_items"), e
}

// expireSession is POST /v1/checkout/sessions/{id}/expire.
func expireSession(c *call) (wire, *apiError) {
	s := c.state.Sessions.get(c.account, c.path("id"))
	if s == nil {
		return nil, notFound("checkout.session", c.path("id"), "session")
	}
	if e := c.expireNow(s); e != nil {
		return nil, e
	}
	return c.render(*s)
}

// expireNow ends an open session before its time.
func (c *call) expireNow(s *session) *apiError {
	if s.Status != sessionOpen {
		return invalid("", "", "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of %s.", s.Status)
	}
	c.expire(s, seconds(c.now))
	return nil
}

func (c *call) expire(s *session, at int64) {
	s.Status = sessionExpired
	if s.PaymentIntent != nil {
		p := c.state.Intents.get(c.account, *s.PaymentIntent)
		p.Status, p.CanceledAt, p.CancellationReason = intentCanceled, &at, new("automatic")
		p.Waiting, p.NextAction = nil, nil
		c.keep(c.state.Intents.kind, p.ID)
	}
	c.keep(c.state.Sessions.kind, s.ID)
	c.emit("checkout.session.expired", *s, at)
}

// attempt is one try of a buyer to pay.
type attempt struct {
	kind    methodKind
	card    string // number, digits only
	account string // of a bank debit
	method  method // ID, expiry, name and e-mail of the payer
	// authenticated is the buyer's answer to the bank, when it is known
	// beforehand.
	authenticated *bool
}

// pay tries to take the money of an open session. The error is the decline, or
// why there was no try; a card that wants authentication is not an error, but
// leaves the payment waiting for it.
func (c *call) pay(s *session, a attempt) *apiError {
	if s.Status != sessionOpen {
		return invalid("", "", "This Checkout Session is %s: it cannot be paid any more.", s.Status)
	}
	if a.kind != payNone && !slices.Contains(s.PaymentMethodTypes, string(a.kind)) {
		return invalid("method", "", "This Checkout Session does not take %s.", a.kind)
	}
	a.method.Kind, a.method.ID = a.kind, newID("pm")
	if s.Setup != nil {
		return c.setUp(s, a)
	}
	if s.Plan != nil {
		return c.subscribe(s, a)
	}
	p := c.intentOf(s)
	switch a.kind {
	case payNone:
		return invalid("method", "", "This payment needs a way to pay.")
	case payPaypal:
		c.succeed(s, p, a.method, seconds(c.now))
		return nil
	case payBankBill:
		a.method.Last4 = lastFour(bankPays)
		if a.account != "" {
			a.method.Last4 = lastFour(a.account)
		}
		c.await(s, p, a.method, a.account == bankBounces)
		return nil
	case payCard:
	}
	card := findCard(a.card)
	a.method.Brand, a.method.Last4, a.method.Fingerprint, a.method.Number = brandOf(a.card), lastFour(a.card), fingerprint(a.card), a.card
	switch card.Verdict {
	case cardApproved:
		c.succeed(s, p, a.method, seconds(c.now))
		return nil
	case cardDeclined:
		return c.decline(s, p, a.method, card.Code, card.DeclineCode)
	case cardAuthenticate:
	}
	p.Status, p.NextAction, p.Waiting, p.LastPaymentError = intentNeedsAction, &nextAction{Type: "use_stripe_sdk"}, &a.method, nil
	p.PaymentMethod = &a.method.ID
	c.keep(c.state.Intents.kind, p.ID)
	if a.authenticated != nil {
		return c.authenticate(s, *a.authenticated)
	}
	return nil
}

// authenticate ends the bank's question to the buyer.
func (c *call) authenticate(s *session, proved bool) *apiError {
	if s.Status == sessionOpen && s.Setup != nil && s.Setup.Waiting != nil {
		if !proved {
			return c.setUpFailed(s, "setup_intent_authentication_failure", "")
		}
		c.setUpDone(s, s.Setup.Number, *s.Setup.Waiting, true)
		return nil
	}
	if s.Status != sessionOpen || s.PaymentIntent == nil {
		return invalid("", "", "This Checkout Session does not wait for authentication.")
	}
	p := c.state.Intents.get(c.account, *s.PaymentIntent)
	if p.Waiting == nil {
		return invalid("", "", "This Checkout Session does not wait for authentication.")
	}
	m := *p.Waiting
	p.Waiting, p.NextAction = nil, nil
	if !proved {
		return c.decline(s, p, m, "payment_intent_authentication_failure", "")
	}
	c.succeed(s, p, m, seconds(c.now))
	return nil
}

func lastFour(number string) string { return number[max(0, len(number)-4):] }

// intentOf is the payment of a session, made at the first try as Stripe does
// since API 2022-08-01.
func (c *call) intentOf(s *session) *intent {
	if s.PaymentIntent != nil {
		return c.state.Intents.get(c.account, *s.PaymentIntent)
	}
	id := newID("pi")
	p := &intent{intentFields: intentFields{
		ID: id, Amount: s.AmountTotal, ApplicationFeeAmount: s.Intent.ApplicationFee,
		ClientSecret: newID(id + "_secret"), Created: seconds(c.now), Currency: s.Currency, Customer: s.Customer,
		Description: s.Intent.Description, Metadata: s.Intent.Metadata, PaymentMethodTypes: s.PaymentMethodTypes,
		ReceiptEmail: s.Intent.ReceiptEmail, SetupFutureUsage: s.Intent.SetupFutureUsage,
		StatementDescriptor: s.Intent.Statement, StatementDescriptorSuffix: s.Intent.StatementSuffix,
		Status: intentNeedsMethod,
	}}
	create(c, c.state.Intents, id, p)
	s.PaymentIntent = &id
	c.keep(c.state.Sessions.kind, s.ID)
	return p
}

// complete marks a session as gone through, with the payer's particulars.
func (c *call) complete(s *session, m method) {
	s.Status = sessionComplete
	if s.CustomerDetails == nil {
		s.CustomerDetails = &customerDetails{TaxExempt: "none", TaxIDs: []string{}}
	}
	if m.Name != "" {
		s.CustomerDetails.Name = &m.Name
	}
	switch {
	case s.CustomerEmail != nil:
		s.CustomerDetails.Email = s.CustomerEmail
	case s.CustomerDetails.Email == nil && m.Email != "":
		s.CustomerDetails.Email = &m.Email
	}
	wanted := s.CustomerCreation != nil && *s.CustomerCreation == "always" || s.Intent.SetupFutureUsage != nil
	if s.Customer == nil && wanted {
		made := &customer{
			ID: newID("cus"), Created: seconds(c.now), Email: s.CustomerDetails.Email, Name: s.CustomerDetails.Name,
			Metadata: map[string]string{},
		}
		create(c, c.state.Customers, made.ID, made)
		s.Customer = &made.ID
	}
	c.keep(c.state.Sessions.kind, s.ID)
}

// succeed takes the money at once.
func (c *call) succeed(s *session, p *intent, m method, at int64) {
	c.complete(s, m)
	s.PaymentStatus = paid
	p.Customer = s.Customer
	ch := c.newCharge(p, m, at)
	c.take(p, ch, at)
	if p.SetupFutureUsage != nil && m.Kind == payCard {
		c.attach(*s.Customer, m.Number, m, true)
	}
	c.emit("checkout.session.completed", *s, at)
}

// await starts a bank debit: the session is complete, the money is not there.
func (c *call) await(s *session, p *intent, m method, bounces bool) {
	now := seconds(c.now)
	c.complete(s, m)
	p.Customer = s.Customer
	s.SettleAt, s.SettleFail = seconds(c.now.Add(c.payLaterAfter)), bounces
	ch := c.newCharge(p, m, now)
	ch.Status = chargePending
	p.Status = intentProcessing
	c.emit("payment_intent.processing", *p, now)
	c.emit("checkout.session.completed", *s, now)
}

// settle ends a bank debit.
func (c *call) settle(s *session, came bool, at int64) {
	s.SettleAt = 0
	p := c.state.Intents.get(c.account, *s.PaymentIntent)
	ch := c.state.Charges.get(c.account, *p.LatestCharge)
	c.keep(c.state.Sessions.kind, s.ID)
	if came {
		s.PaymentStatus = paid
		c.take(p, ch, at)
		c.emit("checkout.session.async_payment_succeeded", *s, at)
		return
	}
	_ = c.refuse(p, ch, "payment_method_provider_decline", "insufficient_funds", at) // nobody waits for the answer
	c.emit("checkout.session.async_payment_failed", *s, at)
}

// settleNow ends a bank debit before its time.
func (c *call) settleNow(s *session, came bool) *apiError {
	if s.SettleAt == 0 {
		return invalid("", "", "This Checkout Session has no payment that is still to come.")
	}
	c.settle(s, came, seconds(c.now))
	return nil
}

// decline books a try that the bank refused; the session stays open.
func (c *call) decline(s *session, p *intent, m method, code, declineCode string) *apiError {
	ch := c.newCharge(p, m, seconds(c.now))
	e := c.refuse(p, ch, code, declineCode, seconds(c.now))
	c.keep(c.state.Sessions.kind, s.ID)
	return e
}
