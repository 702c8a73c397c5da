package checkout

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/stripe/stripe-go/v76"

	"refill/models"
)

// RefundStatus is where money on its way back stands.
type RefundStatus string

// The states of a refund. Money that is not there yet is on its way all the same.
const (
	RefundPending   RefundStatus = "pending"
	RefundAction    RefundStatus = "requires_action"
	RefundSucceeded RefundStatus = "succeeded"
	RefundFailed    RefundStatus = "failed"
	RefundCanceled  RefundStatus = "canceled"
)

// Stands tells whether a refund gives money back or will.
func (s RefundStatus) Stands() bool { return s != RefundFailed && s != RefundCanceled }

// Dispute is a payment that its buyer's bank asks about or took back.
type Dispute struct {
	ID            string
	PaymentIntent string
	Amount        models.Money
	Status        string // Stripe's
	Reason        string // the bank's, as Stripe names it
	CreatedAt     models.Time
	AnswerBy      models.Time // zero: no answer is waited for

	// Fee is what Stripe charged for it, in the currency of the account's balance, less
	// what came back.
	Fee models.Money
}

// Inquiry tells a bank's question, which takes no money, from a formal dispute.
func (d *Dispute) Inquiry() bool { return strings.HasPrefix(d.Status, "warning_") }

// Open tells whether an outcome is waited for.
func (d *Dispute) Open() bool {
	switch d.Status {
	case "warning_needs_response", "warning_under_review", "needs_response", "under_review":
		return true
	}
	return false
}

// Lost tells whether the money is gone for good.
func (d *Dispute) Lost() bool { return d.Status == "lost" }

// Won tells whether the bank gave the money back, or never took it.
func (d *Dispute) Won() bool { return d.Status == "won" || d.Status == "warning_closed" }

// MoneyBack is all that happened to a payment after it was made.
type MoneyBack struct {
	Refunds  []Refund
	Disputes []Dispute
	WarnedAt models.Time // a card network's first warning of fraud; zero: none
}

// listSize is how many objects one page of a list brings, Stripe's most.
const listSize = 100

// MoneyBack asks for every refund, dispute and fraud warning of a payment.
func (g *Gateway) MoneyBack(ctx context.Context, account, intent string) (MoneyBack, error) {
	if intent == "" {
		return MoneyBack{}, &Error{Kind: KindNotFound, Message: "The payment provider does not know this payment.", Detail: "empty payment id"}
	}
	var out MoneyBack
	refunds := &stripe.RefundListParams{PaymentIntent: &intent}
	prepare(ctx, &refunds.ListParams, account)
	for list := g.api.Refunds.List(refunds); ; {
		if !list.Next() {
			if err := list.Err(); err != nil {
				return out, g.failed(ctx, "list refunds", account, err)
			}
			break
		}
		out.Refunds = append(out.Refunds, readRefund(list.Refund()))
	}
	disputes := &stripe.DisputeListParams{PaymentIntent: &intent}
	prepare(ctx, &disputes.ListParams, account)
	for list := g.api.Disputes.List(disputes); ; {
		if !list.Next() {
			if err := list.Err(); err != nil {
				return out, g.failed(ctx, "list disputes", account, err)
			}
			break
		}
		out.Disputes = append(out.Disputes, readDispute(list.Dispute()))
	}
	warnings := &stripe.RadarEarlyFraudWarningListParams{PaymentIntent: &intent}
	prepare(ctx, &warnings.ListParams, account)
	for list := g.api.RadarEarlyFraudWarnings.List(warnings); ; {
		if !list.Next() {
			if err := list.Err(); err != nil {
				return out, g.failed(ctx, "list early fraud warnings", account, err)
			}
			break
		}
		if at := fromSeconds(list.RadarEarlyFraudWarning().Created); out.WarnedAt == 0 || at < out.WarnedAt {
			out.WarnedAt = at
		}
	}
	return out, nil
}

func prepare(ctx context.Context, p *stripe.ListParams, account string) {
	p.Context = ctx
	p.Limit = stripe.Int64(listSize)
	if account != "" {
		p.SetStripeAccount(account)
	}
}

func since(at models.Time) *stripe.RangeQueryParams {
	return &stripe.RangeQueryParams{GreaterThanOrEqual: at.Go().Unix()}
}

func readRefund(r *stripe.Refund) Refund {
	out := Refund{
		ID: r.ID, Amount: models.Money{Amount: r.Amount, Currency: string(r.Currency)}, Status: RefundStatus(r.Status), CreatedAt: fromSeconds(r.Created),
	}
	if r.PaymentIntent != nil {
		out.PaymentIntent = r.PaymentIntent.ID
	}
	return out
}

func readDispute(d *stripe.Dispute) Dispute {
	out := Dispute{
		ID: d.ID, Amount: models.Money{Amount: d.Amount, Currency: string(d.Currency)}, Status: string(d.Status), Reason: string(d.Reason),
		CreatedAt: fromSeconds(d.Created),
	}
	if d.PaymentIntent != nil {
		out.PaymentIntent = d.PaymentIntent.ID
	}
	for _, t := range d.BalanceTransactions {
		out.Fee.Amount += t.Fee
		out.Fee.Currency = string(t.Currency)
	}
	if d.EvidenceDetails != nil && out.Open() {
		out.AnswerBy = fromSeconds(d.EvidenceDetails.DueBy)
	}
	return out
}

// CompletedSessions calls each for every checkout that was made at or after an
// instant and gone through, newest first. An error of each ends the list.
func (g *Gateway) CompletedSessions(ctx context.Context, account string, from models.Time, each func(Session) error) error {
	params := &stripe.CheckoutSessionListParams{CreatedRange: since(from), Status: new(string(StatusComplete))}
	params.AddExpand("data.payment_intent.latest_charge")
	prepare(ctx, &params.ListParams, account)
	list := g.api.CheckoutSessions.List(params)
	for list.Next() {
		if list.CheckoutSession().Mode == stripe.CheckoutSessionModeSetup {
			continue // nothing was to be paid
		}
		if err := each(readSession(account, list.CheckoutSession())); err != nil {
			return err
		}
	}
	if err := list.Err(); err != nil {
		return g.failed(ctx, "list checkout sessions", account, err)
	}
	return nil
}

// RefundsSince calls each for every refund made at or after an instant, newest
// first.
func (g *Gateway) RefundsSince(ctx context.Context, account string, from models.Time, each func(Refund) error) error {
	params := &stripe.RefundListParams{CreatedRange: since(from)}
	prepare(ctx, &params.ListParams, account)
	list := g.api.Refunds.List(params)
	for list.Next() {
		if err := each(readRefund(list.Refund())); err != nil {
			return err
		}
	}
	if err := list.Err(); err != nil {
		return g.failed(ctx, "list refunds", account, err)
	}
	return nil
}

// DisputesSince calls each for every dispute opened at or after an instant,
// newest first.
func (g *Gateway) DisputesSince(ctx context.Context, account string, from models.Time, each func(Dispute) error) error {
	params := &stripe.DisputeListParams{CreatedRange: since(from)}
	prepare(ctx, &params.ListParams, account)
	list := g.api.Disputes.List(params)
	for list.Next() {
		if err := each(readDispute(list.Dispute())); err != nil {
			return err
		}
	}
	if err := list.Err(); err != nil {
		return g.failed(ctx, "list disputes", account, err)
	}
	return nil
}

// MissedEvents calls each for every event of the last 30 days at most that an
// endpoint did not take, newest first. What Stripe answers here needs no
// signature: we asked for it.
func (g *Gateway) MissedEvents(ctx context.Context, account string, from models.Time, each func(Event) error) error {
	params := &stripe.EventListParams{CreatedRange: since(from), DeliverySuccess: new(false)}
	prepare(ctx, &params.ListParams, account)
	list := g.api.Events.List(params)
	for list.Next() {
		raw, err := json.Marshal(list.Event())
		if err != nil {
			return err
		}
		e, err := readEvent(raw)
		if err != nil {
			return err
		}
		if e.Account == "" {
			e.Account = account
		}
		if err := each(e); err != nil {
			return err
		}
	}
	if err := list.Err(); err != nil {
		return g.failed(ctx, "list events", account, err)
	}
	return nil
}
