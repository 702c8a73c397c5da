package views

import (
	"refill/models"
	"refill/views/format"
)

// MoneyBack is what happened to a payment after it was made, for whoever reads
// of it.
type MoneyBack struct {
	Paid      models.Money
	Refunded  models.Money
	Pending   models.Money // the part of it that has not arrived
	At        models.Time  // of the newest refund
	Dispute   models.DisputeState
	Held      models.Money // by the bank
	Lost      models.Money
	AnswerBy  models.Time // unset: no answer is waited for
	Warned    bool        // by a card network, of fraud
	Revoked   models.Credits
	Spent     models.Credits // of the revoked: had been used
	Frozen    models.Credits
	Sale      bool
	AsSeller  bool // the reader was paid: the agency of a sale, the platform of a pack
	AfterNote string
}

// Words says it in sentences, none when nothing happened.
func (m *MoneyBack) Words(f Frame) []string {
	if m == nil {
		return nil
	}
	var out []string
	if m.Refunded.Amount > 0 {
		text := format.Money(m.Refunded) + " of " + format.Money(m.Paid) + " refunded"
		if m.At.IsSet() {
			text += " on " + format.Date(m.At, f.Now, f.zone())
		}
		if m.Pending.Amount > 0 {
			text += ", " + format.Money(m.Pending) + " still on its way"
		}
		out = append(out, text+".")
	}
	switch m.Dispute {
	case models.DisputeInquiry:
		out = append(out, "The bank asks about this payment; nothing has changed."+m.answer(f))
	case models.DisputeOpen:
		text := format.Money(m.Held) + " disputed at the bank."
		if m.Frozen > 0 {
			text += " " + format.CreditsWord(m.Frozen) + " set aside until it is decided."
		}
		out = append(out, text+m.answer(f))
	case models.DisputeWon:
		out = append(out, "The dispute was decided: the payment stands.")
	case models.DisputeLost:
		out = append(out, "The bank took "+format.Money(m.Lost)+" back.")
	case models.DisputeNone:
	}
	if m.Revoked > 0 {
		out = append(out, format.CreditsWord(m.Revoked)+" taken back"+m.used()+".")
	}
	if m.Warned && m.AsSeller {
		out = append(out, "A card network takes this payment for fraud.")
	}
	if m.AfterNote != "" {
		out = append(out, m.AfterNote)
	}
	return out
}

func (m *MoneyBack) used() string {
	switch {
	case m.Spent == 0:
		return ""
	case m.Sale && m.AsSeller:
		return ", of which " + format.Credits(m.Spent) + " had been used: your loss"
	case m.Sale:
		return ", as far as they were unspent"
	}
	return ", of which " + format.Credits(m.Spent) + " had been used and count as excess usage"
}

func (m *MoneyBack) answer(f Frame) string {
	if !m.AsSeller || !m.AnswerBy.IsSet() {
		return ""
	}
	return " Answer it at Stripe by " + format.Date(m.AnswerBy, f.Now, f.zone()) + "."
}

// Refund gives money of a purchase back. Field names: amount (as typed), reason,
// attempt, preview.
type Refund struct {
	Frame    Frame
	Errors   FieldErrors
	Back     string
	BackName string
	Action   string
	Attempt  string

	What   string // the pack or package
	Whose  string // the buyer
	Sale   bool
	Closed string // why nothing can be given back; "" it can
	Paid   models.Money
	Given  models.Money
	Left   models.Money
	Typed  string
	Reason string

	Amount  models.Money // zero amount: nothing to sum up yet
	Revoked models.Credits
	Unspent models.Credits
	Spent   models.Credits
	Before  models.Credits
	After   models.Credits
	Earlier []RefundLine
}

// RefundLine is a refund that was asked for before.
type RefundLine struct {
	At     models.Time
	Amount models.Money
	State  models.RefundState
	Note   string
	By     string
	Reason string
}

func (r RefundLine) word() string {
	switch r.State {
	case models.RefundAsked:
		return "Under way"
	case models.RefundSent:
		return "Sent"
	case models.RefundRefused:
		return "Refused"
	}
	return string(r.State)
}

func (r RefundLine) tone() Tone {
	switch r.State {
	case models.RefundAsked:
		return ToneInfo
	case models.RefundSent:
		return ToneOK
	case models.RefundRefused:
		return ToneBad
	}
	return ToneNone
}

// does says what will happen, before it does.
func (v Refund) does() []string {
	out := []string{format.Money(v.Amount) + " goes back to the card or account it was paid with. Stripe keeps its fee."}
	switch {
	case v.Revoked == 0:
		out = append(out, "No credits are taken: none are left of this purchase that were not taken back before.")
	case v.Sale:
		if v.Unspent > 0 {
			out = append(out, format.CreditsWord(v.Unspent)+" go from "+v.Whose+" back into your stock.")
		}
		if v.Spent > 0 {
			out = append(out, format.CreditsWord(v.Spent)+" have been used already: that is your loss, and "+v.Whose+" owes nothing.")
		}
	default:
		out = append(out, format.CreditsWord(v.Revoked)+" will be taken back.")
		if v.Spent > 0 {
			out = append(out, format.CreditsWord(v.Spent)+" of them have been used and become excess usage, which the next credits pay off first.")
		}
	}
	return out
}

// Payments is GET /admin/payments.
type Payments struct {
	Frame    Frame
	Failure  *SectionFailure
	Unbooked []PaymentRow
	Strays   []StrayRow
	Trouble  []PaymentRow
	AtStake  []PlanPaidRow // payments of plans in such trouble
	Asked    []RefundLine
	Dead     []DeadEvent
	Waiting  int64
	Days     []PaymentDay
	Last     *Comparison
	List     []PaymentRow
	Plans    []PlanPaidRow // on the first page
	ListOf   string        // the day the list is of; "" all
	Pager    Pager
	CSV      string
}

// PaymentRow is a payment with where it stands.
type PaymentRow struct {
	Agency   string
	Href     string // of the agency
	Client   string
	What     string
	Credits  models.Credits
	Amount   models.Money
	Status   PurchaseStatus
	Note     string
	Back     *MoneyBack
	Opened   models.Time
	PaidAt   models.Time
	BookedAt models.Time // unset: not booked
	Differs  models.Money
	Retry    string // action; "" booked
	Refund   string // href; "" it is not the platform's to refund
}

// took is how long the credits took after the payment.
func (r PaymentRow) took() string {
	s := max(0, int64(r.BookedAt-r.PaidAt)/1_000_000)
	switch {
	case s < 120:
		return format.Plural(s, "second", "seconds")
	case s < 7200:
		return format.Plural(s/60, "minute", "minutes")
	}
	return format.Plural(s/3600, "hour", "hours")
}

func (r PaymentRow) what() string {
	if credits := format.CreditsWord(r.Credits); r.What != credits {
		return r.What + ", " + credits
	}
	return r.What
}

// PlanPaidRow is what was paid for a plan.
type PlanPaidRow struct {
	Agency   string
	Href     string
	Invoice  string
	At       models.Time
	Amount   models.Money
	Refunded models.Money
	Dispute  models.DisputeState
	Differs  models.Money // between Stripe and here
	Back     *MoneyBack   // of one that may be lost; nil of others
}

// disputed says where a dispute of the payment stands; "" for none.
func (r PlanPaidRow) disputed() string {
	switch r.Dispute {
	case models.DisputeInquiry:
		return "The bank asks about it"
	case models.DisputeOpen:
		return "Disputed"
	case models.DisputeWon:
		return "Dispute won"
	case models.DisputeLost:
		return "Dispute lost"
	case models.DisputeNone:
	}
	return ""
}

// StrayRow is a payment at Stripe that no purchase knows.
type StrayRow struct {
	Payment   string
	Account   string
	Reference string
	Amount    models.Money
	Refunded  models.Money
	At        models.Time
}

// DeadEvent is a delivery that was given up.
type DeadEvent struct {
	Type     string
	ID       string
	Note     string
	Attempts int
	At       models.Time
	Action   string
}

// PaymentDay is one day of payments, Stripe against what is booked.
type PaymentDay struct {
	Day      models.Time
	Href     string
	Payments int64
	Booked   int64
	Stripe   models.Money
	Ledger   models.Money
	Differs  models.Money
}

func (d PaymentDay) tone() Tone {
	if d.Differs.Amount != 0 {
		return ToneBad
	}
	return ToneOK
}

// difference is 0.00 where Stripe and the ledger agree.
func (d PaymentDay) difference() string {
	if d.Differs.Amount == 0 {
		return d.Differs.Decimal()
	}
	return format.Money(d.Differs)
}

func moneyOrNothing(m models.Money) string {
	if m.Amount == 0 {
		return "nothing"
	}
	return format.Money(m)
}

// Comparison is the last time Stripe's lists were read.
type Comparison struct {
	At       models.Time
	Running  bool
	Accounts int64
	Payments int64
	Settled  int64
	Events   int64
	Note     string
}

func (c *Comparison) words(f Frame) string {
	if c == nil {
		return "Stripe's lists have not been read yet."
	}
	if c.Running {
		return "Stripe's lists are being read right now."
	}
	out := "Last read " + format.DateTime(c.At, f.Now, f.zone()) + ": " + format.Plural(c.Payments, "payment", "payments") + " of 30 days in " +
		format.Plural(c.Accounts, "account", "accounts") + ", " + format.Count(c.Settled) + " of them had not been booked and are now."
	if c.Note != "" {
		out += " " + c.Note
	}
	return out
}
