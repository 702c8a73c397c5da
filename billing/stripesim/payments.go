package stripesim

import (
	"net/http"
	"slices"
	"strings"

	"refill/models"
)

// newCharge is one try to take the money of a payment.
func (c *call) newCharge(p *intent, m method, at int64) *charge {
	ch := &charge{
		ID: newID("ch"), Amount: p.Amount, ApplicationFeeAmount: p.ApplicationFeeAmount, Created: at,
		Currency: p.Currency, Customer: p.Customer, Description: p.Description, Metadata: p.Metadata,
		PaymentIntent: p.ID, PaymentMethod: m.ID, PaymentMethodDetails: details(m), ReceiptEmail: p.ReceiptEmail,
		Statement: c.statement(p), Status: chargePending,
	}
	if m.Name != "" {
		ch.BillingDetails.Name = &m.Name
	}
	if m.Email != "" {
		ch.BillingDetails.Email = &m.Email
	}
	p.LatestCharge, p.PaymentMethod = &ch.ID, &m.ID
	create(c, c.state.Charges, ch.ID, ch)
	c.keep(c.state.Intents.kind, p.ID)
	return ch
}

// statement is what the payer's card statement will say.
func (c *call) statement(p *intent) *string {
	if p.StatementDescriptor != nil {
		return p.StatementDescriptor
	}
	id := c.account
	if id == "" {
		id = PlatformAccount
	}
	if r := c.state.Accounts.find(id); r != nil && r.Object.Statement != "" {
		return &r.Object.Statement
	}
	return nil
}

// details describes a payment method in Stripe's form.
func details(m method) map[string]any {
	out := map[string]any{"type": string(m.Kind)}
	switch m.Kind {
	case payNone:
	case payCard:
		out["card"] = map[string]any{
			"brand": m.Brand, "country": "US", "exp_month": m.ExpMonth, "exp_year": m.ExpYear, "funding": "credit",
			"last4": m.Last4, "network": m.Brand, "wallet": nil, "fingerprint": orNull(m.Fingerprint),
		}
	case payPaypal:
		out["paypal"] = map[string]any{"payer_email": m.Email, "payer_name": m.Name}
	case payBankBill:
		out["us_bank_account"] = map[string]any{"bank_name": "STRIPE TEST BANK", "last4": m.Last4}
	}
	return out
}

// standardFee is Stripe's published standard price for online cards in the
// United States, 2.9 % and 30 cents (stripe.com/pricing), in the minor units of
// whatever the currency is: rounded half up, never more than the payment.
func standardFee(amount int64) int64 { return min((amount*29+500)/1000+30, amount) }

// take books a charge as paid, with Stripe's fee taken off: direct charges cost
// the connected account, whose balance they go to.
func (c *call) take(p *intent, ch *charge, at int64) {
	ch.Status, ch.Paid, ch.AmountCaptured = chargeSucceeded, true, ch.Amount
	ch.FailureCode, ch.FailureMessage = nil, nil
	ch.Outcome = &outcome{
		NetworkStatus: "approved_by_network", RiskLevel: "normal", SellerMessage: "Payment complete.", Type: "authorized",
	}
	fees := []feeDetail{{
		Amount: standardFee(ch.Amount), Currency: ch.Currency, Description: "Stripe processing fees", Type: "stripe_fee",
	}}
	if ch.ApplicationFeeAmount != nil {
		fees = append(fees, feeDetail{
			Amount: *ch.ApplicationFeeAmount, Currency: ch.Currency, Description: "Application fee", Type: "application_fee",
		})
	}
	ch.BalanceTransaction = new(c.book("charge", ch.ID, ch.Amount, ch.Currency, fees, at))
	p.Status, p.AmountReceived = intentSucceeded, ch.Amount
	p.LastPaymentError, p.NextAction, p.Waiting = nil, nil, nil
	c.keep(c.state.Charges.kind, ch.ID)
	c.keep(c.state.Intents.kind, p.ID)
	c.emit("charge.succeeded", *ch, at)
	c.emit("payment_intent.succeeded", *p, at)
}

// refuse books a charge as failed and gives the decline as the API says it.
func (c *call) refuse(p *intent, ch *charge, code, declineCode string, at int64) *apiError {
	e := &apiError{
		Status: http.StatusPaymentRequired, Type: typeCard, Code: code, DeclineCode: declineCode,
		Message: declineMessage(code, declineCode), Charge: ch.ID,
	}
	reason := declineCode
	if reason == "" {
		reason = code
	}
	ch.Status, ch.FailureCode, ch.FailureMessage = chargeFailed, &e.Code, &e.Message
	ch.Outcome = &outcome{
		NetworkStatus: "declined_by_network", Reason: &reason, RiskLevel: "normal",
		SellerMessage: "The bank did not return any further details with this decline.", Type: "issuer_declined",
	}
	p.Status, p.LastPaymentError, p.NextAction, p.Waiting, p.PaymentMethod = intentNeedsMethod, e, nil, nil, nil
	c.keep(c.state.Charges.kind, ch.ID)
	c.keep(c.state.Intents.kind, p.ID)
	c.emit("payment_intent.payment_failed", *p, at)
	told := *e
	if shown, err := render(*p, c.base); err == nil {
		told.PaymentIntent = shown
	}
	return &told
}

// book adds a movement to the account's balance and gives its id.
func (c *call) book(kind, source string, amount int64, currency string, fees []feeDetail, at int64) string {
	t := &balanceTransaction{
		ID: newID("txn"), Amount: amount, AvailableOn: at, Created: at, Currency: currency, FeeDetails: fees,
		Net: amount, ReportingCategory: kind, Source: source, Type: kind,
	}
	for _, f := range fees {
		t.Fee += f.Amount
	}
	t.Net -= t.Fee
	create(c, c.state.Transactions, t.ID, t)
	return t.ID
}

func refundParams() []string {
	return []string{"charge", "payment_intent", "amount", "reason", "metadata[*]", "refund_application_fee"}
}

// createRefund is POST /v1/refunds.
func createRefund(c *call) (wire, *apiError) {
	f := c.form
	reason := f.optional("reason")
	meta := f.metadata("metadata")
	f.truth("refund_application_fee")
	ch, e := c.chargeToRefund()
	if e != nil {
		return nil, e
	}
	left := ch.Amount - ch.AmountRefunded
	amount, given := f.integer("amount")
	if !given {
		amount = left
	}
	switch {
	case f.err != nil:
		return nil, f.err
	case left == 0:
		return nil, invalid("", "charge_already_refunded", "Charge %s has already been refunded.", ch.ID)
	case amount < 1:
		return nil, invalid("amount", "parameter_invalid_integer", "This value must be greater than or equal to 1.")
	case amount > left:
		return nil, invalid("amount", "", "Refund amount (%s) is greater than unrefunded amount on charge (%s)",
			price(amount, ch.Currency), price(left, ch.Currency))
	}
	for _, d := range c.state.Disputes.Rows {
		if o := d.Object; o.Charge == ch.ID && (o.Status == disputeOpen || o.Status == disputeReview || o.Status == disputeLost) {
			return nil, invalid("", "charge_disputed", "Charge %s has been charged back: it cannot be refunded.", ch.ID)
		}
	}
	r := c.giveBack(ch, amount, refundSucceeded, reason, meta)
	return c.render(*r)
}

// chargeToRefund finds the paid charge that charge or payment_intent names.
func (c *call) chargeToRefund() (*charge, *apiError) {
	id := c.form.text("charge")
	if intentID := c.form.text("payment_intent"); intentID != "" {
		p := c.state.Intents.get(c.account, intentID)
		if p == nil {
			return nil, notFound("payment_intent", intentID, "payment_intent")
		}
		if p.Status != intentSucceeded {
			return nil, invalid("payment_intent", "", "This PaymentIntent (%s) does not have a successful charge to refund.", intentID)
		}
		id = *p.LatestCharge
	}
	if id == "" {
		return nil, missing("payment_intent")
	}
	ch := c.state.Charges.get(c.account, id)
	if ch == nil {
		return nil, notFound("charge", id, "charge")
	}
	if ch.Status != chargeSucceeded {
		return nil, invalid("charge", "", "Charge %s was not paid and cannot be refunded.", id)
	}
	return ch, nil
}

// refundsOf is the list of a charge's refunds, newest first.
func (c *call) refundsOf(chargeID string) (wire, *apiError) {
	data := []wire{}
	for _, r := range slices.Backward(c.state.Refunds.Rows) {
		if r.Account == c.account && r.Object.Charge == chargeID {
			shown, err := render(*r.Object, c.base)
			if err != nil {
				return nil, broken("%v", err)
			}
			data = append(data, shown)
		}
	}
	return listOf(data, false, "/v1/charges/"+chargeID+"/refunds"), nil
}

// one answers GET of an object by its id.
func one[T object](t func(*state) *table[T], noun, param string) handler {
	return func(c *call) (wire, *apiError) {
		o := t(c.state).get(c.account, c.path("id"))
		if o == nil {
			return nil, notFound(noun, c.path("id"), param)
		}
		return c.render(*o)
	}
}

func listIntents(c *call) (wire, *apiError) {
	customer := c.form.text("customer")
	return page(c, c.state.Intents, "/v1/payment_intents", func(p *intent) bool {
		return (customer == "" || p.Customer != nil && *p.Customer == customer) && within(c.form, p.Created)
	})
}

func listCharges(c *call) (wire, *apiError) {
	customer, intent := c.form.text("customer"), c.form.text("payment_intent")
	return page(c, c.state.Charges, "/v1/charges", func(ch *charge) bool {
		return (customer == "" || ch.Customer != nil && *ch.Customer == customer) &&
			(intent == "" || ch.PaymentIntent == intent) && within(c.form, ch.Created)
	})
}

func listRefunds(c *call) (wire, *apiError) {
	ch, intent := c.form.text("charge"), c.form.text("payment_intent")
	return page(c, c.state.Refunds, "/v1/refunds", func(r *refund) bool {
		return (ch == "" || r.Charge == ch) && (intent == "" || r.PaymentIntent == intent) && within(c.form, r.Created)
	})
}

func listTransactions(c *call) (wire, *apiError) {
	source, kind := c.form.text("source"), c.form.text("type")
	return page(c, c.state.Transactions, "/v1/balance_transactions", func(t *balanceTransaction) bool {
		return (source == "" || t.Source == source) && (kind == "" || t.Type == kind) && within(c.form, t.Created)
	})
}

// price is an amount as people write it: $10.00.
func price(amount int64, currency string) string {
	m := models.Money{Amount: amount, Currency: currency}
	switch currency {
	case "usd":
		return "$" + m.Decimal()
	case "eur":
		return "€" + m.Decimal()
	case "gbp":
		return "£" + m.Decimal()
	default:
		return m.Decimal() + " " + strings.ToUpper(currency)
	}
}
