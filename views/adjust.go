package views

import (
	"refill/models"
	"refill/views/format"
)

// Adjust gives or takes credits by hand. Field names: direction (give, take),
// credits (as typed), type, expires, reason, shown, attempt.
type Adjust struct {
	Frame   Frame
	Errors  FieldErrors
	Agency  string
	Back    string // href of the agency's page
	Action  string
	Attempt string

	Take  bool
	Typed string
	Type  string // adjustment, promo or referral
	// Expires is the last day of given credits, as typed; "" never.
	Expires string
	Reason  string
	Shown   bool // to the agency

	Amount models.Credits // signed; 0: nothing to sum up yet
	Before models.Credits // left, excess taken off
	After  models.Credits
	Limit  models.Credits // above it a second person decides
}

// second tells that another admin has to approve.
func (v Adjust) second() bool { return max(v.Amount, -v.Amount) > v.Limit }

func (v Adjust) button() string {
	if v.second() {
		return "Ask another admin to approve"
	}
	return "Adjust credits"
}

func (v Adjust) limit() string {
	if v.Limit == 0 {
		return "Every adjustment needs a second admin."
	}
	return "Up to " + format.CreditsWord(v.Limit) + " at once; for more, another admin approves first."
}

func adjustTypes() []Option {
	return []Option{{"adjustment", "Adjustment"}, {"promo", "Goodwill or promotion"}, {"referral", "Referral"}}
}

// PlanChoice is the page that puts an agency on another plan. Field names: plan,
// reason.
type PlanChoice struct {
	Frame  Frame
	Errors FieldErrors
	Agency string
	Back   string
	Action string
	Plans  []Option // those it is not on
	From   string   // "" no plan
	To     string   // the chosen one's value; "" none yet
	ToName string
	Reason string

	Lost, Given   models.Credits
	Before, After models.Credits
	ResetsAt      models.Time // unset: granted once
	Excess        models.Credits
	Clients, Room int64 // sub-accounts it has, and the plan's limit; 0: unlimited
}

// Halt asks before an agency is paused, or resumed. Field name: reason.
type Halt struct {
	Frame   Frame
	Errors  FieldErrors
	Agency  string
	Back    string
	Action  string
	Resume  bool
	Clients int64
	Reason  string
}

func (v Halt) button() string {
	if v.Resume {
		return "Resume " + v.Agency
	}
	return "Pause " + v.Agency
}

// what is "Pauses AI for 1 agency and 42 sub-accounts."
func (v Halt) what() string {
	who := "1 agency and " + format.Plural(v.Clients, "sub-account", "sub-accounts")
	if v.Resume {
		return "Starts AI again for " + who + ", as far as they have credits."
	}
	return "Pauses AI for " + who + "."
}

// ExcessForm sets how far below zero an agency may go. Field names: limit,
// reason.
type ExcessForm struct {
	Frame  Frame
	Errors FieldErrors
	Agency string
	Back   string
	Action string
	Limit  string // as typed
	Reason string
	Now    models.Credits // the limit in force
	Used   models.Credits // of it
}

// Adjustments is what waits for a second person, what was decided, and the
// limits. Field names of the limits: limit, program_limit.
type Adjustments struct {
	Frame   Frame
	Failure *SectionFailure
	Errors  FieldErrors
	Waiting []AdjustmentRow
	Decided []AdjustmentRow

	Limit, ProgramLimit string // as typed
}

// AdjustmentRow is one request.
type AdjustmentRow struct {
	At        models.Time
	Agency    string
	Account   string // sub-account; "" the agency's own
	Href      string // of the request's page
	Credits   models.Credits
	Type      string
	Expires   models.Time // unset: never
	Reason    string
	Shown     bool
	By        string
	State     string // "pending", "approved", "declined"
	DecidedBy string
	DecidedAt models.Time
}

func (r AdjustmentRow) tone() Tone {
	switch r.State {
	case "approved":
		return ToneOK
	case "declined":
		return ToneNone
	}
	return ToneInfo
}

func (r AdjustmentRow) word() string {
	switch r.State {
	case "approved":
		return "Approved"
	case "declined":
		return "Declined"
	}
	return "Waiting"
}

func (r AdjustmentRow) whose() string {
	if r.Account != "" {
		return r.Agency + ", " + r.Account
	}
	return r.Agency
}

// title is "+60,000 credits for Northwind Agency".
func (r AdjustmentRow) title() string {
	return format.SignedCredits(r.Credits) + " credits for " + r.whose()
}

// Approval is one request, for a second person. The form's field is decision
// (approve, decline).
type Approval struct {
	Frame         Frame
	Error         string // why the last try failed; "" for none
	Request       AdjustmentRow
	Action        string
	Own           bool // the viewer asked for it
	Before, After models.Credits
}
