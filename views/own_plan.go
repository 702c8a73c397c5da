package views

import (
	"time"

	"refill/models"
	"refill/views/format"
)

// PlanState is where an agency's plan stands.
type PlanState string

// The states of a plan.
const (
	PlanNone      PlanState = "none"
	PlanTrial     PlanState = "trial"
	PlanActive    PlanState = "active"
	PlanPastDue   PlanState = "past_due"
	PlanEnding    PlanState = "ending"    // it runs until what is paid ends
	PlanLapsed    PlanState = "lapsed"    // it ended unpaid
	PlanCancelled PlanState = "cancelled" // it ended as its owner wished
)

// PlanTerm is what a plan is called, gives and costs.
type PlanTerm struct {
	Name      string
	Code      string
	Price     models.Money // nothing: agreed otherwise
	Yearly    bool         // the price is of a year, else of a month
	Allowance models.Credits
	Once      bool // the credits come once, else every month
	Trial     int  // days that this agency may try it; 0: none
	Clients   int  // how many sub-accounts it has room for; 0: any number
}

// PriceText is "$97.00 a month".
func (p PlanTerm) PriceText() string {
	switch {
	case p.Price.Amount == 0:
		return "No charge"
	case p.Once:
		return format.Money(p.Price) + " once"
	case p.Yearly:
		return format.Money(p.Price) + " a year"
	}
	return format.Money(p.Price) + " a month"
}

// Gives is "10,000 credits every month".
func (p PlanTerm) Gives() string {
	if p.Once {
		return format.CreditsWord(p.Allowance) + " once"
	}
	return format.CreditsWord(p.Allowance) + " every month"
}

// Unit is what one credit of it costs, "" for one without a price.
func (p PlanTerm) Unit() string {
	if p.Price.Amount == 0 || p.Allowance == 0 {
		return ""
	}
	credits := p.Allowance
	if p.Yearly {
		credits *= 12
	}
	return unitPrice(p.Price.PerCredit(credits), p.Price.Currency)
}

func (p PlanTerm) room() string {
	if p.Clients == 0 {
		return "Any number"
	}
	return "Up to " + format.Count(int64(p.Clients))
}

// OwnPlan is an agency's plan: what it gives, when it comes again, and where its
// payment stands.
type OwnPlan struct {
	Frame    Frame
	State    PlanState
	Term     PlanTerm
	ResetsAt models.Time // the next allowance; unset: none comes
	Until    models.Time // of a trial, a grace, what is paid, or when it ended
	Next     string      // the plan that follows, "" for this one
	NextAt   models.Time
	Left     models.Credits // of this period's plan credits
	Due      models.Money   // behind with; nothing: not known
	Invoice  string         // its page, "" for none
	Frozen   models.Credits // purchased credits that wait for a plan
	Mine     bool           // this person may change it
	Stripe   bool           // it is paid through Stripe
	Card     bool           // there is a card to manage
	Sells    bool           // a plan can be taken here
	Attempt  string
}

// word is the state in a word or two, as a tag says it.
func (v OwnPlan) word() (Tone, string) {
	switch v.State {
	case PlanTrial:
		return ToneInfo, "Trial"
	case PlanActive:
		return ToneOK, "Active"
	case PlanPastDue:
		return ToneBad, "Past due"
	case PlanEnding:
		return ToneWarn, "Cancelled"
	case PlanLapsed:
		return ToneBad, "Ended unpaid"
	case PlanCancelled:
		return ToneWarn, "Ended"
	case PlanNone:
	}
	return ToneNone, "None"
}

// sentence is the state in full.
func (v OwnPlan) sentence() string {
	date := format.Date(v.Until, v.Frame.Now, v.Frame.zone())
	switch v.State {
	case PlanTrial:
		return "Free until " + date + "; then " + v.Term.PriceText() + "."
	case PlanPastDue:
		return "The last payment did not go through. Everything works until " + date + "; after that the plan ends and purchased credits wait."
	case PlanEnding:
		return "It runs until " + date + " and is not charged again. What is left of the plan credits ends then, and purchased credits wait until you take a plan."
	case PlanLapsed:
		return "It ended on " + date + " because it was not paid. Nothing more is charged."
	case PlanCancelled:
		return "It ended on " + date + ". Nothing more is charged."
	case PlanNone:
		return "You have no plan."
	case PlanActive:
	}
	if v.Next != "" {
		return v.Next + " follows on " + format.Date(v.NextAt, v.Frame.Now, v.Frame.zone()) + "."
	}
	return ""
}

func (v OwnPlan) live() bool {
	return v.State != PlanNone && v.State != PlanLapsed && v.State != PlanCancelled
}

// waiting is what became of purchased credits.
func (v OwnPlan) waiting() string {
	return format.CreditsWord(v.Frozen) + " you bought are kept and can be used again as soon as there is a plan."
}

// facts are the plan in numbers.
func (v OwnPlan) facts() []Fact {
	out := []Fact{{Label: "Gives", Value: v.Term.Gives()}, {Label: "Price", Value: v.Term.PriceText()}}
	if unit := v.Term.Unit(); unit != "" {
		out = append(out, Fact{Label: "Price per credit", Value: unit})
	}
	if v.live() {
		out = append(out, Fact{Label: "Plan credits left", Value: format.Credits(v.Left)})
	}
	if v.ResetsAt.IsSet() {
		out = append(out, Fact{Label: "Next reset", Value: format.Days(v.ResetsAt, v.Frame.Now, v.Frame.zone())})
	}
	return append(out, Fact{Label: "Sub-accounts", Value: v.Term.room()})
}

// PlanChoose is the plans on offer.
type PlanChoose struct {
	Frame   Frame
	Current string // code of the running plan
	Next    string // code of the plan that follows it
	Mine    bool
	Sells   bool
	Plans   []PlanTerm
	Ask     string // where to write for a plan that is not listed; "" for nowhere
}

func (v PlanChoose) href(p PlanTerm) string { return "/plan/change?plan=" + p.Code }

// PlanTake says what a plan costs now and what from when, before anything is
// charged.
type PlanTake struct {
	Frame   Frame
	Errors  FieldErrors // field: "plan"
	Term    PlanTerm
	From    string       // the running plan; "" for none
	First   bool         // the first plan that is paid: Stripe's page follows
	Now     bool         // a running plan changes at once
	Undoes  bool         // takes a change back that was to come
	Cost    models.Money // Now: charged at once
	Added   models.Credits
	Lost    models.Credits // of the running plan credits, with a new period or a first plan
	Fresh   bool
	At      models.Time // when it begins, otherwise
	Priced  string      // of the preview, sent back with the form
	Frozen  models.Credits
	Attempt string
}

// says are the consequences, one sentence each.
func (v PlanTake) says() []string {
	var out []string
	zone := v.Frame.zone()
	switch {
	case v.First && v.Term.Trial > 0:
		end := v.Frame.Now.Add(time.Duration(v.Term.Trial) * 24 * time.Hour)
		out = append(out,
			"Free for "+format.Plural(int64(v.Term.Trial), "day", "days")+", until "+format.Date(end, v.Frame.Now, zone)+". No card is needed before that.",
			"Then "+v.Term.PriceText()+", until you cancel.",
			format.CreditsWord(v.Term.Allowance)+" are added at once, and again when the trial ends and every month after.")
	case v.First:
		out = append(out,
			v.Term.PriceText()+", charged now and then every "+every(v.Term.Yearly)+" until you cancel.",
			format.CreditsWord(v.Term.Allowance)+" are added at once and again every month. What is left of them then does not roll over.")
	case v.Undoes:
		out = append(out, "You stay on "+v.Term.Name+". Nothing is charged now.")
	case v.Now && v.Fresh:
		out = append(out,
			format.Money(v.Cost)+" is charged now: a new period begins, less what is left of the paid one.",
			format.CreditsWord(v.Added)+" are added now and again every month.", "Then "+v.Term.PriceText()+".")
		if v.Lost > 0 {
			out = append(out, format.CreditsWord(v.Lost)+" of the running plan credits expire now.")
		}
	case v.Now:
		out = append(out,
			format.Money(v.Cost)+" is charged now: the difference for the rest of the paid period.",
			format.CreditsWord(v.Added)+" are added now, the difference for this period.",
			"From the next reset: "+v.Term.PriceText()+" for "+v.Term.Gives()+".")
	default:
		out = append(out,
			"Nothing is charged now, and nothing is taken away: you keep "+v.From+" until "+format.Date(v.At, v.Frame.Now, zone)+".",
			"From then on "+v.Term.PriceText()+" for "+v.Term.Gives()+".")
	}
	if v.First && v.Lost > 0 {
		out = append(out, format.CreditsWord(v.Lost)+" of your running plan credits expire when it begins.")
	}
	if v.Frozen > 0 {
		out = append(out, format.CreditsWord(v.Frozen)+" you bought can be used again.")
	}
	return append(out, "Purchased, assigned and bonus credits stay as they are.")
}

func (v PlanTake) button() string {
	switch {
	case v.First && v.Term.Trial > 0:
		return "Start the trial"
	case v.First:
		return "Continue to payment — " + format.Money(v.Term.Price)
	case v.Undoes:
		return "Stay on " + v.Term.Name
	case v.Now:
		return "Change now — " + format.Money(v.Cost)
	}
	return "Change on " + format.Date(v.At, v.Frame.Now, v.Frame.zone())
}

func every(yearly bool) string {
	if yearly {
		return "year"
	}
	return "month"
}

// PlanCancel asks whether a plan is to end.
type PlanCancel struct {
	Frame     Frame
	Name      string
	Until     models.Time
	Purchased models.Credits // that will wait
}
