package views

import (
	"refill/models"
	"refill/views/format"
)

// TopUpState is how automatic top-up stands.
type TopUpState string

// The states of automatic top-up.
const (
	TopUpOff     TopUpState = "off"
	TopUpOn      TopUpState = "on"
	TopUpFailing TopUpState = "failing" // on, and the card was declined the last time
	TopUpFailed  TopUpState = "failed"  // paused: another card, or paying once, ends it
	TopUpNoCard  TopUpState = "no_card" // paused: the card it charged is gone
	TopUpLimit   TopUpState = "limit"   // paused for the rest of the month
	TopUpStopped TopUpState = "stopped" // paused for another reason
)

// TopUpChoice is something that automatic top-up can buy.
type TopUpChoice struct {
	ID      string
	Title   string
	Credits models.Credits
	Price   models.Money

	OneByOne bool // it may be bought so often a month: each payment is for one
}

// text is "12,500 credits for $50.00".
func (o TopUpChoice) text() string {
	text := format.CreditsWord(o.Credits) + " for " + format.Money(o.Price)
	if o.Title != "" && o.Title != format.CreditsWord(o.Credits) {
		return o.Title + ": " + text
	}
	return text
}

// TopUpPace is what automatic top-up comes to, as credits are used now.
type TopUpPace struct {
	Known bool
	Times int64 // in a month; 0: it would not buy
	Cost  models.Money
	Days  int64 // until it buys next; less than 0: not within a month
}

// TopUpPreview is what the choices in the form come to.
type TopUpPreview struct {
	Pace  TopUpPace
	Limit models.Money // zero where none can be read
}

func (v *TopUpPreview) sentence() string {
	if v == nil {
		return ""
	}
	return v.Pace.within(v.Limit)
}

// within is the sentence with a month's limit that stops it before the month ends.
func (p TopUpPace) within(limit models.Money) string {
	if p.Known && limit.Amount > 0 && p.Cost.Amount > limit.Amount {
		return p.sentence() + " The limit of " + format.Money(limit) + " a month stops it before that."
	}
	return p.sentence()
}

func (p TopUpPace) sentence() string {
	switch {
	case !p.Known:
		return "There is not enough usage yet to say how often this would buy."
	case p.Times == 0:
		return "At your pace this would not buy anything within a month."
	}
	text := "At your pace this would buy about " + format.Plural(p.Times, "time", "times") + " a month, about " + format.Round(p.Cost) + "."
	switch {
	case p.Days == 0:
		return text + " Next at once."
	case p.Days > 0:
		return text + " Next in about " + format.Plural(p.Days, "day", "days") + "."
	}
	return text
}

// TopUp is an account's automatic top-up and the form that sets it up.
type TopUp struct {
	Frame   Frame
	Seller  string // the agency, on a client's page; "" on an agency's own
	State   TopUpState
	Note    string // why it is paused, in a sentence
	Until   models.Time
	Closed  string // why it can't be set up here; "" when it can
	Mine    bool   // this person may change it
	Running TopUpChoice
	Below   models.Credits
	Spent   models.Money
	Limit   models.Money
	Ends    models.Time // when the limit begins anew
	Sales   bool        // it also buys what a sale lacks
	Flying  bool        // a payment is under way
	Retry   bool        // the card may be tried once more
	Pace    TopUpPace

	Errors    FieldErrors // fields: threshold, offer, quantity, limit, card
	Offers    []TopUpChoice
	Offer     string
	Threshold string
	Quantity  string // "" where nothing is sold by the quantity
	ByAmount  bool
	Typed     string // the limit
	Symbol    string
	ForSales  bool
	Preview   *TopUpPreview // of what somebody typed; nil before, and where it cannot be read
	Sells     bool          // the agency sells packages
	Card      string
	Attempt   string

	Clients *TopUpClients // the agency's switch for its clients; nil on a client's page
}

// TopUpClients is whether clients may set up automatic top-up.
type TopUpClients struct{ Allowed bool }

func (v TopUp) word() (Tone, string) {
	switch v.State {
	case TopUpOn:
		return ToneOK, "On"
	case TopUpFailing, TopUpFailed:
		return ToneBad, "Payment failed"
	case TopUpLimit, TopUpStopped, TopUpNoCard:
		return ToneWarn, "Paused"
	case TopUpOff:
	}
	return ToneNone, "Off"
}

func (v TopUp) running() bool { return v.State != TopUpOff }

// facts are what was agreed to, in numbers.
func (v TopUp) facts() []Fact {
	out := []Fact{
		{Label: "When credits fall below", Value: format.Credits(v.Below)},
		{Label: "Buys", Value: v.Running.text()},
		{Label: "This month", Value: format.Money(v.Spent) + " of " + format.Money(v.Limit)},
	}
	if v.Card != "" {
		out = append(out, Fact{Label: "Card", Value: v.Card})
	}
	if v.Sales {
		out = append(out, Fact{Label: "For sales", Value: "Buys the smallest pack that covers what a sale lacks"})
	}
	return out
}

func (v TopUp) limitText() string {
	return "The limit of " + format.Money(v.Limit) + " a month is reached. Paused until " + format.Date(v.Until, v.Frame.Now, v.Frame.zone()) + "."
}

func (v TopUp) button() string {
	if v.Card == "" {
		return "Add a card and continue"
	}
	return "Continue"
}

func (v TopUp) intro() string {
	what := "a pack"
	if v.Seller != "" {
		what = "a package of " + v.Seller
	}
	return "Buys " + what + " by itself before your credits run out. Off until you turn it on here; buying credits never turns it on."
}

// TopUpConfirm says what turning automatic top-up on does, before it does.
type TopUpConfirm struct {
	Frame   Frame
	Seller  string
	Errors  FieldErrors // field: "offer"
	Change  bool        // it is on already
	Choice  TopUpChoice
	Below   models.Credits
	Left    models.Credits
	Limit   models.Money
	Card    string
	Sales   bool
	Now     bool // it charges at once
	Credits models.Credits
	Price   models.Money
	Short   bool
	Pace    TopUpPace
	Fields  []Hidden
	Back    string
}

func (v TopUpConfirm) says() []string {
	out := []string{
		"When your credits fall below " + format.Credits(v.Below) + ", " + v.Card + " is charged " + format.Money(v.Choice.Price) + " for " + format.CreditsWord(v.Choice.Credits) +
			". You have " + format.Credits(v.Left) + " now.",
	}
	if v.Now {
		text := "You are below that already: this buys " + format.CreditsWord(v.Credits) + " for " + format.Money(v.Price) + " now."
		switch {
		case v.Short && v.Choice.OneByOne:
			text += " One does not get you above it, and each payment is for one."
		case v.Short:
			text += " The limit does not allow enough to get above it."
		}
		out = append(out, text)
	}
	if v.Choice.OneByOne {
		out = append(out, v.Seller+" sells this only so often a month: each payment is for one, and then it waits for the next month.")
	} else {
		out = append(out, "If more is missing than one purchase gives, it buys as many as needed in one payment.")
	}
	out = append(out, "At most "+format.Money(v.Limit)+" in a calendar month, and one payment an hour.")
	if v.Sales {
		out = append(out, "When a client's purchase needs more credits than you have, it buys the smallest pack that covers it, within the same limit.")
	}
	return append(out, v.Pace.within(v.Limit), "A declined card is tried 3 times at most, and you are told of the first. A price that goes up is never charged without you.",
		"Turn it off at any time with one click on the page Automatic top-up.")
}

func (v TopUpConfirm) button() string {
	switch {
	case v.Now:
		return "Turn on and buy " + format.CreditsWord(v.Credits) + " now — " + format.Money(v.Price)
	case v.Change:
		return "Save changes"
	}
	return "Turn on automatic top-up"
}

// TopUpNotice is the banner of automatic top-up that does not work; nil while it
// does. Whoever has nothing left is told of that instead.
func TopUpNotice(state TopUpState, note string, until models.Time, f Frame) *Notice { //nolint:gocritic // once per page
	change := &Link{Label: "Update card", Href: "/buy/automatic"}
	switch state {
	case TopUpFailed, TopUpFailing:
		if note == "" {
			note = "Your card was declined."
		}
		return &Notice{Tone: ToneBad, Lead: "Automatic top-up failed.", Text: note, Action: change}
	case TopUpLimit:
		return &Notice{
			Tone: ToneWarn, Lead: "Automatic top-up is paused.", Text: "This month's limit is reached. Paused until " + format.Date(until, f.Now, f.zone()) + ".",
			Action: &Link{Label: "Raise the limit", Href: "/buy/automatic#limit"},
		}
	case TopUpNoCard:
		return &Notice{Tone: ToneBad, Lead: "Automatic top-up is paused.", Text: note, Action: &Link{Label: "Add a card", Href: "/buy/automatic#card"}}
	case TopUpStopped:
		return &Notice{Tone: ToneWarn, Lead: "Automatic top-up is paused.", Text: note, Action: &Link{Label: "Look at it", Href: "/buy/automatic"}}
	case TopUpOff, TopUpOn:
	}
	return nil
}

// TopUpFact is automatic top-up in a few words, as the balance's card says it.
func TopUpFact(state TopUpState, below models.Credits) string {
	switch state {
	case TopUpOn:
		return "On below " + format.Credits(below)
	case TopUpFailing, TopUpFailed:
		return "Payment failed"
	case TopUpLimit, TopUpStopped, TopUpNoCard:
		return "Paused"
	case TopUpOff:
	}
	return "Off"
}
