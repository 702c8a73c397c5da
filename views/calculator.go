package views

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"refill/models"
	"refill/views/format"
)

// Calculator is GET /calculator: how many credits a month of work takes, and what
// covers it. Everything that was typed stands in the address, so that a link says
// the same to whoever opens it.
type Calculator struct {
	Frame  Frame
	Errors FieldErrors // fields: "c", "r", "m", and "n.{action}", "o.{action}"
	Signed bool        // somebody is signed in: the page has its navigation
	For    CalculatorFor

	Conversations string // as typed, "c"
	Replies       string // of one conversation, as typed, "r"
	Talk          string // the action of a reply
	Models        []Option
	Model         string // "m"
	Margin        string // percent, "x"
	Actions       []CalculatorAction
	Past          CalculatorPast

	Result *CalculatorResult // nil while there is something wrong, or no rates
	Quote  QuoteInput
	Share  string // address for clients; "" leaves it out
	Query  string // of this page, for a quote that is saved of it; "" leaves that out
}

// QuoteInput is what was typed into the form that saves a quote: "name" and "days".
type QuoteInput struct{ Name, Days string }

// CalculatorPast is how often Talk was done in the last 30 days, and in how many
// conversations of the replies that were typed; zero: never.
type CalculatorPast struct{ Times, Conversations int64 }

// CalculatorFor says who reads the page.
type CalculatorFor string

// The readers.
const (
	ForAgency  CalculatorFor = "agency"
	ForClient  CalculatorFor = "client"
	ForVisitor CalculatorFor = "visitor" // nobody is signed in
)

// CalculatorAction is an action besides replies.
type CalculatorAction struct {
	Action  string
	Each    models.Credits
	AtLeast bool
	Monthly string // as typed, "n.{action}"
	Once    string // as typed, "o.{action}"
	Brings  Brings
}

// Brings says what of another product an action brings in, in the words of somebody
// who comes from one.
type Brings string

// What is brought in.
const (
	BringsTickets Brings = "tickets"
	BringsPages   Brings = "pages"
)

// onceLabel asks how often an action is needed to move in.
func (a CalculatorAction) onceLabel() string {
	switch a.Brings {
	case BringsTickets:
		return "Old tickets to bring along"
	case BringsPages:
		return "Knowledge pages to bring along"
	}
	return format.ActionMany(a.Action) + ", once"
}

// moves are the actions as a move asks for them: what everybody has comes first.
func (v Calculator) moves() []CalculatorAction {
	return slices.SortedStableFunc(slices.Values(v.Actions), func(a, b CalculatorAction) int { return cmp.Compare(b.Brings, a.Brings) })
}

// CalculatorResult is the answer.
type CalculatorResult struct {
	Lines     []CalculatorLine
	Once      []CalculatorLine
	Reserve   models.Credits // what the safety margin adds
	Low       models.Credits
	Usual     models.Credits
	High      models.Credits
	Moving    models.Credits
	Switches  []CalculatorSwitch // the other models
	Unlimited bool

	Allowance models.Credits // covered by the agency's plan
	Offers    bool
	Month     CalculatorBasket
	Extra     CalculatorBasket // for moving in
	Plans     []CalculatorPlan
	Each      models.Money // of one conversation, what the month's basket costs over them
	Package   string       // href of a new package of this size; agency
	Offer     *CalculatorOffer
}

// CalculatorOffer is a package of this size as an agency could sell it.
type CalculatorOffer struct {
	Credits models.Credits
	Price   models.Money
	Keep    models.Money
	Basis   string // what the cost is reckoned with
}

// sentence is "A package of 30,100 credits for $187.00 leaves you $93.12 (50%), by …".
func (o *CalculatorOffer) sentence() string {
	return "A package of " + format.CreditsWord(o.Credits) + " for " + format.Money(o.Price) + " leaves you " + format.Money(o.Keep) + " (" +
		format.Percent(o.Keep.Amount, o.Price.Amount) + "), reckoned with " + o.Basis + "."
}

// CalculatorLine is "3,000 replies × 10 = 30,000".
type CalculatorLine struct {
	Action  string
	Model   string
	Times   int64
	Each    models.Credits
	Credits models.Credits
	AtLeast bool
}

// CalculatorSwitch is the same month with another model.
type CalculatorSwitch struct {
	Model string
	Usual models.Credits
	Href  string
}

// CalculatorBasket is what to buy; no picks: nothing.
type CalculatorBasket struct {
	Picks   []CalculatorPick
	Credits models.Credits
	Price   models.Money
	Left    models.Credits // credits over, which are kept
}

// CalculatorPick is so many of one pack or package, or an amount of one.
type CalculatorPick struct {
	ID     string // of the pack or package
	Name   string
	Count  int64
	Each   models.Credits // in one
	Price  models.Money   // of one
	Gone   bool           // of a quote: it is not sold on these terms any more
	Amount models.Credits // of a pack sold by the credit; 0: Count of fixed ones
	Href   string         // of the purchase page with it chosen; "" when this reader cannot buy
	// Monthly: it is paid by itself every month, and what is not used of it ends.
	Monthly bool
	Held    bool // the reader gets it every month already
}

// CalculatorPlan is a plan that would cover the month with packs.
type CalculatorPlan struct {
	Name    string
	Current bool
	Covered bool
	Price   models.Money // of the plan, a month
	Packs   models.Money
	Total   models.Money
	Href    string // of the change; "" for the current one
}

func (l CalculatorLine) text() string {
	text := format.ActionCount(l.Action, l.Times)
	if l.Model != "" {
		text += " with " + format.Model(l.Model)
	}
	return text
}

func (l CalculatorLine) sum() string {
	text := format.Count(l.Times) + " × " + format.Credits(l.Each) + " = "
	if l.AtLeast {
		text += "at least "
	}
	return text + format.Credits(l.Credits)
}

func (p CalculatorPick) text() string {
	switch {
	case p.Amount > 0:
		return format.CreditsWord(p.Amount)
	case p.Count > 1:
		return format.Count(p.Count) + " × " + p.Name
	case p.Monthly:
		return p.Name + ", a monthly package"
	}
	return p.Name
}

// buy labels the link to its purchase: the page beyond takes fixed ones singly.
func (p CalculatorPick) buy() string {
	if p.Amount == 0 && p.Count > 1 {
		return "Buy it " + format.Plural(p.Count, "time", "times")
	}
	return "Buy"
}

func (a CalculatorAction) each() string {
	text := format.CreditsWord(a.Each) + " each"
	if a.AtLeast {
		return "at least " + text
	}
	return text
}

// difference is what another model changes: "27,000 credits less".
func (r *CalculatorResult) difference(s CalculatorSwitch) string {
	switch d := s.Usual - r.Usual; {
	case d < 0:
		return format.CreditsWord(-d) + " less"
	case d > 0:
		return format.CreditsWord(d) + " more"
	}
	return "the same"
}

// moving is what is needed once: "at least" where length decides.
func (r *CalculatorResult) moving() string {
	for _, l := range r.Once {
		if l.AtLeast {
			return "at least " + format.CreditsWord(r.Moving)
		}
	}
	return format.CreditsWord(r.Moving)
}

func marginOptions() []Option {
	return []Option{{"0", "None"}, {"20", "20% more"}, {"50", "50% more"}}
}

// preset is a usual number of replies with the page that has it filled in.
type preset struct{ Label, Href string }

func (v Calculator) presets() []preset {
	var out []preset
	for _, p := range []struct {
		name    string
		replies int
	}{{"Simple sale", 5}, {"Usual", 7}, {"Considered purchase", 14}} {
		q := v.query()
		q.Set("r", strconv.Itoa(p.replies))
		out = append(out, preset{p.name + " " + strconv.Itoa(p.replies), "/calculator?" + q.Encode()})
	}
	return out
}

// past is the page with what the last 30 days came to filled in; "" where nothing
// was used.
func (v Calculator) past() preset {
	if v.Past.Conversations == 0 {
		return preset{}
	}
	q := v.query()
	q.Set("c", strconv.FormatInt(v.Past.Conversations, 10))
	return preset{
		"Your last 30 days: " + format.ActionCount(v.Talk, v.Past.Times) + ", as in " + format.Plural(v.Past.Conversations, "conversation", "conversations") + " of " + v.Replies,
		"/calculator?" + q.Encode(),
	}
}

// query is what was typed, as an address has it.
func (v Calculator) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("c", v.Conversations)
	set("r", v.Replies)
	set("m", v.Model)
	set("x", v.Margin)
	for _, a := range v.Actions {
		set("n."+a.Action, a.Monthly)
		set("o."+a.Action, a.Once)
	}
	return q
}

// WithModel is the page's address with another model.
func (v Calculator) WithModel(model string) string {
	v.Model = model
	return "/calculator?" + v.query().Encode()
}

// Address is the page's address.
func (v Calculator) Address() string { return "/calculator?" + v.query().Encode() }

func (v Calculator) moving() bool {
	for _, a := range v.Actions {
		if a.Once != "" || v.Errors.For("o."+a.Action) != "" {
			return true
		}
	}
	return false
}

// covered says what the plan's credits leave to buy.
func (r *CalculatorResult) covered() string {
	switch {
	case r.Allowance == 0:
		return ""
	case r.Allowance >= r.Usual:
		return "Your plan's " + format.CreditsWord(r.Allowance) + " a month cover it."
	}
	return "Your plan covers " + format.CreditsWord(r.Allowance) + " of it. " + format.CreditsWord(r.Usual-r.Allowance) + " remain."
}

// besides says what a price of a conversation leaves out.
func (v Calculator) besides() string {
	if v.For == ForAgency {
		return ", besides the plan"
	}
	return ""
}

func idOf(name string) string { return strings.ReplaceAll(name, ".", "-") }
