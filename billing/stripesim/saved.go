package stripesim

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

// Cards that are saved for later: set up by a checkout, attached to a customer,
// and charged while nobody is there.

// savedMethod is a card that a customer has given for later.
type savedMethod struct {
	ID       string `json:"id"`
	Created  int64  `json:"created"`
	Customer string `json:"customer"`
	Method   method `json:"method"`
	// Number is what its bank goes by; the control door can set another, as when a
	// card is reported stolen after it was saved.
	Number string `json:"number"`
	// Authenticated is set once its bank has seen the buyer.
	Authenticated bool `json:"authenticated"`
}

// setupIntent is the setting-up of a card.
type setupIntent struct {
	ID                 string            `json:"id"`
	ClientSecret       string            `json:"client_secret"`
	Created            int64             `json:"created"`
	Customer           *string           `json:"customer"`
	Description        *string           `json:"description"`
	LastSetupError     *apiError         `json:"last_setup_error"`
	Metadata           map[string]string `json:"metadata"`
	PaymentMethod      *string           `json:"payment_method"`
	PaymentMethodTypes []string          `json:"payment_method_types"`
	Status             string            `json:"status"`
	Usage              string            `json:"usage"`
}

// setupPlan is what a checkout in mode setup is about.
type setupPlan struct {
	Waiting *method `json:"waiting,omitempty"` // the bank wants to see the buyer
	Number  string  `json:"number,omitempty"`  // of the card that waits
}

func (savedMethod) shape() string { return "payment_method" }
func (setupIntent) shape() string { return "setup_intent" }

func (m savedMethod) fields(string) any {
	card, _ := details(m.Method)["card"].(map[string]any)
	var name *string
	if m.Method.Name != "" {
		name = &m.Method.Name
	}
	return struct {
		ID       string         `json:"id"`
		Billing  billingDetails `json:"billing_details"`
		Card     map[string]any `json:"card"`
		Created  int64          `json:"created"`
		Customer any            `json:"customer"`
	}{m.ID, billingDetails{Name: name}, card, m.Created, orNull(m.Customer)}
}

func (s setupIntent) fields(string) any { return s }

// fingerprint is the same for the same card number, and tells nothing of it.
func fingerprint(number string) string {
	sum := sha256.Sum256([]byte("card:" + number))
	return hex.EncodeToString(sum[:8])
}

func savedRoutes(v1 func(string, []string, handler)) {
	v1("POST /v1/payment_intents", intentParams(), createIntent)
	v1("GET /v1/setup_intents/{id}", nil, one(func(s *state) *table[setupIntent] { return s.Setups }, "setup_intent", "intent"))
	v1("GET /v1/payment_methods", listing("customer", "type"), listMethods)
	v1("GET /v1/payment_methods/{id}", nil, one(func(s *state) *table[savedMethod] { return s.Methods }, "payment_method", "payment_method"))
	v1("POST /v1/payment_methods/{id}", []string{"card[exp_month]", "card[exp_year]"}, updateMethod)
	v1("POST /v1/payment_methods/{id}/detach", nil, detachMethod)
}

func listMethods(c *call) (wire, *apiError) {
	customer := c.form.text("customer")
	c.form.oneOf("type", "card")
	return page(c, c.state.Methods, "/v1/payment_methods", func(m *savedMethod) bool {
		return m.Customer != "" && m.Customer == customer && within(c.form, m.Created)
	})
}

// updateMethod is POST /v1/payment_methods/{id}: its owner writes another expiry.
func updateMethod(c *call) (wire, *apiError) {
	m := c.state.Methods.get(c.account, c.path("id"))
	if m == nil {
		return nil, notFound("payment_method", c.path("id"), "payment_method")
	}
	month, _ := c.form.integer("card[exp_month]")
	year, _ := c.form.integer("card[exp_year]")
	switch {
	case c.form.err != nil:
		return nil, c.form.err
	case m.Customer == "":
		return nil, invalid("", "", "You must save this PaymentMethod to a customer before you can update it.")
	case month < 1 || month > 12 || year < 2000 || year > 2100:
		return nil, invalid("card[exp_month]", "invalid_expiry_month", "A month from 1 to 12 and a year of four digits are needed.")
	}
	m.Method.ExpMonth, m.Method.ExpYear = month, year
	c.keep(c.state.Methods.kind, m.ID)
	c.emit("payment_method.updated", *m, seconds(c.now))
	return c.render(*m)
}

func detachMethod(c *call) (wire, *apiError) {
	m := c.state.Methods.get(c.account, c.path("id"))
	switch {
	case m == nil:
		return nil, notFound("payment_method", c.path("id"), "payment_method")
	case m.Customer == "":
		return nil, invalid("", "", "The payment method you provided is not attached to a customer so detachment is impossible.")
	}
	c.detach(m)
	return c.render(*m)
}

func (c *call) detach(m *savedMethod) {
	m.Customer = ""
	c.keep(c.state.Methods.kind, m.ID)
	c.emit("payment_method.detached", *m, seconds(c.now))
}

// attach keeps a card for a customer.
func (c *call) attach(customer, number string, m method, authenticated bool) *savedMethod {
	saved := &savedMethod{ID: m.ID, Created: seconds(c.now), Customer: customer, Method: m, Number: number, Authenticated: authenticated}
	create(c, c.state.Methods, saved.ID, saved)
	c.emit("payment_method.attached", *saved, saved.Created)
	return saved
}

// readSetup reads what a checkout in mode setup asks for.
func (c *call) readSetup(s *session) {
	f := c.form
	for _, no := range f.names {
		if strings.HasPrefix(no, "line_items") || strings.HasPrefix(no, "payment_intent_data") || strings.HasPrefix(no, "subscription_data") {
			f.fail(invalid(no, "", "You can not pass `%s` in `setup` mode.", strings.SplitN(no, "[", 2)[0]))
			return
		}
	}
	if s.Customer == nil {
		f.fail(missing("customer"))
	}
	switch {
	case len(s.PaymentMethodTypes) == 0:
		s.PaymentMethodTypes = []string{string(payCard)}
	case !slices.Equal(s.PaymentMethodTypes, []string{string(payCard)}):
		f.fail(invalid("payment_method_types", "", "Setting up a card is simulated, and nothing else."))
	}
	s.Currency = strings.ToLower(f.text("currency"))
	s.CustomerCreation, s.PaymentStatus = nil, "no_payment_required"
	s.Setup = &setupPlan{}
	if f.err != nil {
		return
	}
	id := newID("seti")
	made := &setupIntent{
		ID: id, ClientSecret: newID(id + "_secret"), Created: seconds(c.now), Customer: s.Customer, Description: f.optional("setup_intent_data[description]"),
		Metadata: f.metadata("setup_intent_data[metadata]"), PaymentMethodTypes: s.PaymentMethodTypes, Status: "requires_payment_method", Usage: "off_session",
	}
	create(c, c.state.Setups, id, made)
	s.SetupIntent = &id
}

// setUp saves the card of a checkout in mode setup.
func (c *call) setUp(s *session, a attempt) *apiError {
	if a.kind != payCard {
		return invalid("method", "", "A card is saved here.")
	}
	card := findCard(a.card)
	a.method.Brand, a.method.Last4, a.method.Fingerprint = brandOf(a.card), lastFour(a.card), fingerprint(a.card)
	switch {
	case card.Verdict == cardDeclined && !card.Saves:
		return c.setUpFailed(s, card.Code, card.DeclineCode)
	case card.Verdict == cardAuthenticate && a.authenticated == nil:
		s.Setup.Waiting, s.Setup.Number = &a.method, a.card
		c.keep(c.state.Sessions.kind, s.ID)
		return nil
	case card.Verdict == cardAuthenticate && !*a.authenticated:
		return c.setUpFailed(s, "setup_intent_authentication_failure", "")
	}
	c.setUpDone(s, a.card, a.method, card.Verdict == cardAuthenticate)
	return nil
}

func (c *call) setUpFailed(s *session, code, declineCode string) *apiError {
	e := &apiError{
		Status: http.StatusPaymentRequired, Type: typeCard, Code: code, DeclineCode: declineCode, Message: declineMessage(code, declineCode),
	}
	s.Setup.Waiting, s.Setup.Number = nil, ""
	intent := c.state.Setups.get(c.account, *s.SetupIntent)
	intent.LastSetupError = e
	c.keep(c.state.Setups.kind, intent.ID)
	c.keep(c.state.Sessions.kind, s.ID)
	c.emit("setup_intent.setup_failed", *intent, seconds(c.now))
	return e
}

func (c *call) setUpDone(s *session, number string, m method, authenticated bool) {
	now := seconds(c.now)
	s.Setup.Waiting, s.Setup.Number = nil, ""
	saved := c.attach(*s.Customer, number, m, authenticated)
	intent := c.state.Setups.get(c.account, *s.SetupIntent)
	intent.Status, intent.PaymentMethod, intent.LastSetupError = "succeeded", &saved.ID, nil
	c.keep(c.state.Setups.kind, intent.ID)
	c.complete(s, m)
	c.emit("setup_intent.succeeded", *intent, now)
	c.emit("checkout.session.completed", *s, now)
}

func intentParams() []string {
	return []string{
		"amount", "currency", "customer", "payment_method", "confirm", "off_session", "description", "metadata[*]", "receipt_email",
		"application_fee_amount", "statement_descriptor_suffix", "payment_method_types[]",
	}
}

// createIntent is POST /v1/payment_intents: one try to charge a saved card while
// its owner is not there.
func createIntent(c *call) (wire, *apiError) {
	f := c.form
	f.need("amount")
	amount, _ := f.integer("amount")
	id := newID("pi")
	p := &intent{intentFields: intentFields{
		ID: id, Amount: amount, ClientSecret: newID(id + "_secret"), Created: seconds(c.now), Currency: strings.ToLower(f.need("currency")),
		Customer: new(f.need("customer")), Description: f.optional("description"), Metadata: f.metadata("metadata"),
		PaymentMethodTypes: f.list("payment_method_types"), ReceiptEmail: f.optional("receipt_email"),
		StatementDescriptorSuffix: f.optional("statement_descriptor_suffix"), Status: intentNeedsMethod,
	}}
	with := f.need("payment_method")
	if f.err == nil && (!f.truth("confirm") || !f.truth("off_session")) {
		f.fail(invalid("confirm", "", "A payment intent that is confirmed at once, off session, is simulated: confirm=true and off_session=true."))
	}
	if fee, given := f.integer("application_fee_amount"); given {
		if c.account == "" || fee < 0 || fee > amount {
			f.fail(invalid("application_fee_amount", "", "An application fee is for a connected account, and at most the amount."))
		}
		p.ApplicationFeeAmount = &fee
	}
	if len(p.PaymentMethodTypes) == 0 {
		p.PaymentMethodTypes = []string{string(payCard)}
	}
	switch {
	case f.err != nil:
		return nil, f.err
	case !currencyCode.MatchString(p.Currency):
		return nil, invalid("currency", "", "Invalid currency: %s.", p.Currency)
	case amount < minAmount:
		return nil, invalid("amount", "amount_too_small", "Amount must be at least %s", price(minAmount, p.Currency))
	case amount > maxAmount:
		return nil, invalid("amount", "amount_too_large", "Amount must be no more than %s", price(maxAmount, p.Currency))
	case !slices.Equal(p.PaymentMethodTypes, []string{string(payCard)}):
		return nil, invalid("payment_method_types", "", "A card is charged off session here, and nothing else.")
	}
	if a := c.connectedAccount(c.account); a != nil && !a.ChargesEnabled {
		return nil, invalid("", "", "Your account cannot currently make charges: look at the `requirements` of account %s.", a.ID)
	}
	if c.state.Customers.get(c.account, *p.Customer) == nil {
		e := notFound("customer", *p.Customer, "customer")
		e.Status = http.StatusBadRequest
		return nil, e
	}
	saved := c.state.Methods.get(c.account, with)
	switch {
	case saved == nil:
		e := notFound("PaymentMethod", with, "payment_method")
		e.Status = http.StatusBadRequest
		return nil, e
	case saved.Customer != *p.Customer:
		return nil, invalid("payment_method", "", "The provided PaymentMethod is not attached to this Customer.")
	}
	create(c, c.state.Intents, id, p)
	c.emit("payment_intent.created", *p, p.Created)
	if e := c.chargeSaved(p, saved); e != nil {
		return nil, e
	}
	return c.render(*p)
}

// chargeSaved asks a saved card's bank for the money while its owner is not there.
func (c *call) chargeSaved(p *intent, saved *savedMethod) *apiError {
	at := seconds(c.now)
	ch := c.newCharge(p, saved.Method, at)
	card := findCard(saved.Number)
	switch {
	case card.Verdict == cardApproved, saved.Number == setUpCard && saved.Authenticated:
		c.take(p, ch, at)
		return nil
	case card.Verdict == cardAuthenticate:
		return c.refuse(p, ch, "authentication_required", "authentication_required", at)
	}
	return c.refuse(p, ch, card.Code, card.DeclineCode, at)
}

// reissue shows a saved card as its network has it now: with its number and a later
// expiry.
func (c *call) reissue(m *savedMethod, number string) {
	m.Number, m.Authenticated = number, false
	m.Method.Brand, m.Method.Last4, m.Method.Fingerprint = brandOf(number), lastFour(number), fingerprint(number)
	m.Method.ExpYear += 4
	c.emit("payment_method.automatically_updated", *m, seconds(c.now))
}

// doorMethod is POST /_sim/payment_methods/{id}: card, a test number whose bank
// answers for this saved card from now on; what is shown of it stays. With reissued
// its network tells Stripe of the number, and of a later expiry.
func (s *Server) doorMethod(w http.ResponseWriter, r *http.Request) {
	in, e := readDoor(r)
	number := digits(in.Get("card"))
	if e == nil && !validNumber(number) {
		e = invalid("card", "", "card is a whole card number.")
	}
	if e != nil {
		refuse(w, e)
		return
	}
	var found *row[savedMethod]
	err := s.act(r.Context(), origin{base: "http://" + r.Host}, func(c *call) {
		if found = c.state.Methods.find(r.PathValue("id")); found != nil {
			c.account, found.Object.Number = found.Account, number
			if in.Get("reissued") != "" {
				c.reissue(found.Object, number)
			}
			c.keep(c.state.Methods.kind, found.ID)
		}
	})
	switch {
	case err != nil:
		refuse(w, broken("%v", err))
	case found == nil:
		refuse(w, notFound("payment_method", r.PathValue("id"), "id"))
	default:
		tell(w, http.StatusOK, map[string]any{"id": found.ID, "card": lastFour(number)})
	}
}
