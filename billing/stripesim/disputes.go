package stripesim

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What happens to a payment after it was made: money that goes back, buyers who
// dispute it at their bank, and card networks that warn of fraud.

// refundStatus is where money on its way back stands.
type refundStatus string

const (
	refundPending   refundStatus = "pending"
	refundSucceeded refundStatus = "succeeded"
	refundFailed    refundStatus = "failed"
	refundCanceled  refundStatus = "canceled"
)

// disputeStatus is where a dispute stands. An inquiry, whose names begin with
// warning, has taken no money.
type disputeStatus string

const (
	inquiryOpen   disputeStatus = "warning_needs_response"
	inquiryClosed disputeStatus = "warning_closed"
	disputeOpen   disputeStatus = "needs_response"
	disputeReview disputeStatus = "under_review"
	disputeWon    disputeStatus = "won"
	disputeLost   disputeStatus = "lost"
)

// disputeFee is what a dispute costs its merchant, in minor units (stripe.com/pricing).
const disputeFee = 15_00

// answerTime is how long a merchant may take to answer a dispute, in seconds.
const answerTime = 7 * 24 * 60 * 60

type dispute struct {
	ID              string               `json:"id"`
	Amount          int64                `json:"amount"`
	Movements       []balanceTransaction `json:"balance_transactions"`
	Charge          string               `json:"charge"`
	Created         int64                `json:"created"`
	Currency        string               `json:"currency"`
	EvidenceDetails evidenceDetails      `json:"evidence_details"`
	PaymentIntent   string               `json:"payment_intent"`
	Reason          string               `json:"reason"`
	Status          disputeStatus        `json:"status"`
}

type evidenceDetails struct {
	DueBy           int64 `json:"due_by"`
	HasEvidence     bool  `json:"has_evidence"`
	PastDue         bool  `json:"past_due"`
	SubmissionCount int64 `json:"submission_count"`
}

type fraudWarning struct {
	ID            string `json:"id"`
	Actionable    bool   `json:"actionable"`
	Charge        string `json:"charge"`
	Created       int64  `json:"created"`
	FraudType     string `json:"fraud_type"`
	PaymentIntent string `json:"payment_intent"`
}

func (dispute) shape() string      { return "dispute" }
func (fraudWarning) shape() string { return "early_fraud_warning" }

func (d dispute) fields(string) any      { return d }
func (f fraudWarning) fields(string) any { return f }

func listDisputes(c *call) (wire, *apiError) {
	ch, intent := c.form.text("charge"), c.form.text("payment_intent")
	return page(c, c.state.Disputes, "/v1/disputes", func(d *dispute) bool {
		return (ch == "" || d.Charge == ch) && (intent == "" || d.PaymentIntent == intent) && within(c.form, d.Created)
	})
}

func listWarnings(c *call) (wire, *apiError) {
	ch, intent := c.form.text("charge"), c.form.text("payment_intent")
	return page(c, c.state.Warnings, "/v1/radar/early_fraud_warnings", func(f *fraudWarning) bool {
		return (ch == "" || f.Charge == ch) && (intent == "" || f.PaymentIntent == intent) && within(c.form, f.Created)
	})
}

// giveBack sends money of a charge back. What is left of it bounds the amount.
func (c *call) giveBack(ch *charge, amount int64, status refundStatus, reason *string, meta map[string]string) *refund {
	now := seconds(c.now)
	r := &refund{
		ID: newID("re"), Amount: amount, Charge: ch.ID, Created: now, Currency: ch.Currency, Metadata: meta,
		PaymentIntent: ch.PaymentIntent, Reason: reason, Status: string(status),
	}
	if r.Metadata == nil {
		r.Metadata = map[string]string{}
	}
	r.BalanceTransaction = new(c.book("refund", r.ID, -amount, ch.Currency, []feeDetail{}, now))
	create(c, c.state.Refunds, r.ID, r)
	ch.AmountRefunded += amount
	ch.Refunded = ch.AmountRefunded == ch.Amount
	c.keep(c.state.Charges.kind, ch.ID)
	c.emit("refund.created", *r, now)
	c.emit("charge.refunded", *ch, now)
	return r
}

// endRefund says what became of a refund. Even one that had succeeded may fail,
// when the buyer's bank sends the money back.
func (c *call) endRefund(r *refund, status refundStatus) *apiError {
	was := refundStatus(r.Status)
	if was == refundFailed || was == refundCanceled {
		return invalid("status", "", "This refund has %s and stays so.", r.Status)
	}
	if status == was {
		return nil
	}
	now := seconds(c.now)
	r.Status = string(status)
	c.keep(c.state.Refunds.kind, r.ID)
	if status == refundFailed || status == refundCanceled {
		if status == refundFailed {
			r.FailureReason = new("expired_or_canceled_card")
		}
		r.FailureTransaction = new(c.book("refund_failure", r.ID, r.Amount, r.Currency, []feeDetail{}, now))
		ch := c.state.Charges.get(c.account, r.Charge)
		ch.AmountRefunded -= r.Amount
		ch.Refunded = false
		c.keep(c.state.Charges.kind, ch.ID)
	}
	c.emit("charge.refund.updated", *r, now)
	c.emit("refund.updated", *r, now)
	if status == refundFailed {
		c.emit("refund.failed", *r, now)
	}
	return nil
}

// contest opens a dispute of a charge: an inquiry only asks, a formal one takes
// the money at once.
func (c *call) contest(ch *charge, amount int64, inquiry bool, reason string) *dispute {
	now := seconds(c.now)
	d := &dispute{
		ID: newID("dp"), Amount: amount, Movements: []balanceTransaction{}, Charge: ch.ID, Created: now, Currency: ch.Currency,
		EvidenceDetails: evidenceDetails{DueBy: now + answerTime}, PaymentIntent: ch.PaymentIntent, Reason: reason, Status: disputeOpen,
	}
	if inquiry {
		d.Status = inquiryOpen
	}
	create(c, c.state.Disputes, d.ID, d)
	ch.Disputed = true
	c.keep(c.state.Charges.kind, ch.ID)
	c.emit("charge.dispute.created", *d, now)
	if !inquiry {
		c.withdraw(d)
	}
	return d
}

// withdraw takes the disputed money and the fee.
func (c *call) withdraw(d *dispute) {
	now := seconds(c.now)
	id := c.book("adjustment", d.ID, -d.Amount, d.Currency,
		[]feeDetail{{Amount: disputeFee, Currency: d.Currency, Description: "Dispute fee", Type: "stripe_fee"}}, now)
	d.Movements = append(d.Movements, *c.state.Transactions.get(c.account, id))
	c.keep(c.state.Disputes.kind, d.ID)
	c.emit("charge.dispute.funds_withdrawn", *d, now)
}

// turn moves a dispute on: an inquiry becomes formal or ends, a formal dispute
// is examined, won or lost.
func (c *call) turn(d *dispute, outcome string) *apiError {
	now := seconds(c.now)
	formal := d.Status == disputeOpen || d.Status == disputeReview
	end := func(status disputeStatus) {
		d.Status = status
		c.keep(c.state.Disputes.kind, d.ID)
		c.emit("charge.dispute.closed", *d, now)
	}
	switch {
	case outcome == "escalate" && d.Status == inquiryOpen:
		d.Status = disputeOpen
		c.keep(c.state.Disputes.kind, d.ID)
		c.emit("charge.dispute.updated", *d, now)
		c.withdraw(d)
	case outcome == "close" && d.Status == inquiryOpen:
		end(inquiryClosed)
	case outcome == "answer" && d.Status == disputeOpen:
		d.Status = disputeReview
		d.EvidenceDetails.HasEvidence, d.EvidenceDetails.SubmissionCount = true, 1
		c.keep(c.state.Disputes.kind, d.ID)
		c.emit("charge.dispute.updated", *d, now)
	case outcome == "win" && formal:
		id := c.book("adjustment", d.ID, d.Amount, d.Currency, []feeDetail{}, now)
		d.Movements = append(d.Movements, *c.state.Transactions.get(c.account, id))
		d.Status = disputeWon
		c.emit("charge.dispute.funds_reinstated", *d, now)
		end(disputeWon)
	case outcome == "lose" && formal:
		end(disputeLost)
	default:
		return invalid("outcome", "", "A dispute that is %s cannot %s: an inquiry can escalate or close, a dispute answer, win or lose.", d.Status, outcome)
	}
	return nil
}

// warn tells that a card network takes a payment for fraud.
func (c *call) warn(ch *charge) *fraudWarning {
	f := &fraudWarning{
		ID: newID("issfr"), Actionable: true, Charge: ch.ID, Created: seconds(c.now), FraudType: "made_with_stolen_card", PaymentIntent: ch.PaymentIntent,
	}
	create(c, c.state.Warnings, f.ID, f)
	c.emit("radar.early_fraud_warning.created", *f, f.Created)
	return f
}

// paidCharge finds the charge that a session, a payment or a charge of any
// account was paid with, and makes the call act for its account.
func (c *call) paidCharge(id string) (*charge, *apiError) {
	if r := c.state.Sessions.find(id); r != nil && r.Object.PaymentIntent != nil {
		id = *r.Object.PaymentIntent
	}
	if r := c.state.Intents.find(id); r != nil && r.Object.LatestCharge != nil {
		id = *r.Object.LatestCharge
	}
	r := c.state.Charges.find(id)
	if r == nil {
		return nil, notFound("payment", id, "id")
	}
	c.account = r.Account
	if !r.Object.Paid {
		return nil, invalid("id", "", "This payment was not made.")
	}
	return r.Object, nil
}

// amountOf reads an amount of a charge in minor units; absent, it is all that
// is left.
func amountOf(in url.Values, left int64) (int64, *apiError) {
	v := in.Get("amount")
	if v == "" {
		return left, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 || n > left {
		return 0, invalid("amount", "", "amount is in minor units, from 1 to %d.", left)
	}
	return n, nil
}

// payments acts on a payment as people at the bank do: refund (status=pending
// to leave it open), dispute (inquiry=true for one that takes no money), warn.
func (c *call) onPayment(id, what string, in url.Values) (object, *apiError) {
	ch, e := c.paidCharge(id)
	if e != nil {
		return nil, e
	}
	switch what {
	case "refund":
		left := ch.Amount - ch.AmountRefunded
		amount, e := amountOf(in, left)
		if e == nil && left == 0 {
			e = invalid("", "charge_already_refunded", "Charge %s has already been refunded.", ch.ID)
		}
		status := refundStatus(in.Get("status"))
		if status == "" {
			status = refundSucceeded
		}
		if e == nil && status != refundSucceeded && status != refundPending {
			e = invalid("status", "", "status is succeeded or pending.")
		}
		if e != nil {
			return nil, e
		}
		return *c.giveBack(ch, amount, status, nil, nil), nil
	case "dispute":
		amount, e := amountOf(in, ch.Amount)
		if e != nil {
			return nil, e
		}
		reason := in.Get("reason")
		if reason == "" {
			reason = "fraudulent"
		}
		return *c.contest(ch, amount, in.Get("inquiry") == "true", reason), nil
	case "warn":
		return *c.warn(ch), nil
	}
	return nil, invalid("", "", "A payment can be refunded, disputed or warned of.")
}

// onDispute moves a dispute of any account on.
func (c *call) onDispute(id, outcome string) (object, *apiError) {
	r := c.state.Disputes.find(id)
	if r == nil {
		return nil, notFound("dispute", id, "id")
	}
	c.account = r.Account
	e := c.turn(r.Object, outcome)
	return *r.Object, e
}

// onRefund ends a refund of any account.
func (c *call) onRefund(id string, status refundStatus) (object, *apiError) {
	r := c.state.Refunds.find(id)
	if r == nil {
		return nil, notFound("refund", id, "id")
	}
	c.account = r.Account
	if status != refundSucceeded && status != refundFailed && status != refundCanceled {
		return nil, invalid("status", "", "status is succeeded, failed or canceled.")
	}
	e := c.endRefund(r.Object, status)
	return *r.Object, e
}

// doorObject runs an act of the control door and answers with the object, after
// the first attempt at every webhook.
func (s *Server) doorObject(w http.ResponseWriter, r *http.Request, f func(c *call, in url.Values) (object, *apiError)) {
	in, e := readDoor(r)
	if e != nil {
		refuse(w, e)
		return
	}
	var shown wire
	err := s.act(r.Context(), origin{base: "http://" + r.Host}, func(c *call) {
		var o object
		if o, e = f(c, in); e == nil {
			shown, e = c.render(o)
		}
	})
	switch {
	case err != nil:
		refuse(w, broken("%v", err))
	case e != nil:
		refuse(w, e)
	default:
		tell(w, http.StatusOK, shown)
	}
}

// doorPayment is POST /_sim/payments/{id}/refund, dispute or warn; the id is of
// a checkout, a payment or a charge.
func (s *Server) doorPayment(w http.ResponseWriter, r *http.Request) {
	s.doorObject(w, r, func(c *call, in url.Values) (object, *apiError) {
		return c.onPayment(r.PathValue("id"), r.PathValue("what"), in)
	})
}

// doorDispute is POST /_sim/disputes/{id}: outcome=answer, win, lose, escalate
// or close.
func (s *Server) doorDispute(w http.ResponseWriter, r *http.Request) {
	s.doorObject(w, r, func(c *call, in url.Values) (object, *apiError) {
		return c.onDispute(r.PathValue("id"), in.Get("outcome"))
	})
}

// doorRefund is POST /_sim/refunds/{id}: status=succeeded, failed or canceled.
func (s *Server) doorRefund(w http.ResponseWriter, r *http.Request) {
	s.doorObject(w, r, func(c *call, in url.Values) (object, *apiError) {
		return c.onRefund(r.PathValue("id"), refundStatus(in.Get("status")))
	})
}

// dashboardAct is a button that the dashboard offers.
type dashboardAct struct{ Path, Name, Value, Label string }

// dashboardPayment is a payment on the dashboard, with what can happen to it.
type dashboardPayment struct {
	What, When, Amount, State string
	Acts                      []dashboardAct
}

// paymentsOf are the latest payments of an account.
func (c *call) paymentsOf(account string) []dashboardPayment {
	var out []dashboardPayment
	for _, r := range recent(c.state.Charges, len(c.state.Charges.Rows)) {
		if ch := r.Object; r.Account == account && ch.Paid && len(out) < 50 {
			out = append(out, c.dashboardPayment(ch))
		}
	}
	return out
}

func (c *call) dashboardPayment(ch *charge) dashboardPayment {
	line := dashboardPayment{
		What: ch.ID, When: time.Unix(ch.Created, 0).UTC().Format("2 January 2006, 15:04 UTC"), Amount: price(ch.Amount, ch.Currency),
	}
	if ch.Description != nil {
		line.What = *ch.Description
	}
	var states []string
	add := func(path, name, value, label string) {
		line.Acts = append(line.Acts, dashboardAct{path, name, value, label})
	}
	for _, r := range c.state.Refunds.Rows {
		if o := r.Object; o.Charge == ch.ID {
			states = append(states, price(o.Amount, o.Currency)+" refund "+o.Status)
			if refundStatus(o.Status) == refundPending {
				add("refunds/"+o.ID, "status", string(refundSucceeded), "Refund arrives")
			}
			if refundStatus(o.Status) == refundPending || refundStatus(o.Status) == refundSucceeded {
				add("refunds/"+o.ID, "status", string(refundFailed), "Refund fails")
			}
		}
	}
	open := false
	for _, r := range c.state.Disputes.Rows {
		o := r.Object
		if o.Charge != ch.ID {
			continue
		}
		states = append(states, price(o.Amount, o.Currency)+" dispute "+strings.ReplaceAll(string(o.Status), "_", " "))
		path := "disputes/" + o.ID
		switch o.Status {
		case inquiryOpen:
			open = true
			add(path, "outcome", "escalate", "Inquiry becomes a dispute")
			add(path, "outcome", "close", "Inquiry ends")
		case disputeOpen, disputeReview:
			open = true
			if o.Status == disputeOpen {
				add(path, "outcome", "answer", "Send evidence")
			}
			add(path, "outcome", "win", "Win the dispute")
			add(path, "outcome", "lose", "Lose the dispute")
		case inquiryClosed, disputeWon, disputeLost:
		}
	}
	if left := ch.Amount - ch.AmountRefunded; left > 0 {
		add("payments/"+ch.ID+"/refund", "status", string(refundSucceeded), "Refund "+price(left, ch.Currency))
		if half := left / 2; half > 0 {
			add("payments/"+ch.ID+"/refund", "amount", strconv.FormatInt(half, 10), "Refund "+price(half, ch.Currency))
		}
		add("payments/"+ch.ID+"/refund", "status", string(refundPending), "Refund that stays pending")
	}
	if !open {
		add("payments/"+ch.ID+"/dispute", "inquiry", "false", "Buyer disputes it")
		add("payments/"+ch.ID+"/dispute", "inquiry", "true", "Bank inquires")
		add("payments/"+ch.ID+"/warn", "warn", "true", "Fraud warning")
	}
	if line.State = strings.Join(states, ", "); line.State == "" {
		line.State = "paid"
	}
	return line
}

// submitDashboard is POST /dashboard/{account}/…: one of the dashboard's
// buttons.
func (s *Server) submitDashboard(f func(c *call, r *http.Request) (object, *apiError)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<12)
		if err := r.ParseForm(); err != nil {
			s.over(w, http.StatusBadRequest, "That did not work", "The form could not be read.")
			return
		}
		var e *apiError
		err := s.act(r.Context(), origin{base: "http://" + r.Host}, func(c *call) { _, e = f(c, r) })
		switch {
		case err != nil:
			s.over(w, http.StatusInternalServerError, "Something went wrong", "The simulator could not save its state.")
		case e != nil:
			s.over(w, e.Status, "That did not work", e.Message)
		default:
			lead(w, r, "/dashboard/"+url.PathEscape(r.PathValue("account")))
		}
	}
}

func dashboardRefund(c *call, r *http.Request) (object, *apiError) {
	return c.onRefund(r.PathValue("id"), refundStatus(r.PostFormValue("status")))
}

func dashboardDispute(c *call, r *http.Request) (object, *apiError) {
	return c.onDispute(r.PathValue("id"), r.PostFormValue("outcome"))
}

func dashboardPay(c *call, r *http.Request) (object, *apiError) {
	return c.onPayment(r.PathValue("id"), r.PathValue("what"), r.PostForm)
}
