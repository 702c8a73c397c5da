package views

import (
	"math/big"
	"strconv"
	"strings"

	"refill/models"
	"refill/views/format"
)

// DiffLine is one thing that publishing changes. An empty From is a new thing, an
// empty To one that is gone.
type DiffLine struct{ Label, From, To string }

// Hidden is a value that a form carries along unseen.
type Hidden struct{ Name, Value string }

// Review is an edit before it is published: what changes, before → after.
type Review struct {
	Frame    Frame
	Back     Link // where the edit began
	Action   string
	Lead     string // "Version 4 takes the place of version 3."
	Caption  string // of the table: "Changes"
	Changes  []DiffLine
	Warnings []string
	Notes    []string // what happens besides
	Note     string   // why, as it was typed
	Hidden   []Hidden
	Publish  string // the button: "Publish version 4"
}

// ConfirmForm asks for a reason before something is taken off offer.
type ConfirmForm struct {
	Frame  Frame
	Back   Link
	Action string
	Texts  []string
	Note   string
	Button string
	Errors FieldErrors
}

// Shelf is one choice among packs or plans.
type Shelf struct {
	Value, Label, Hint string
	Checked            bool
}

// unitPrice is "$0.0029 each ($2.86 per 1,000)", "" without credits.
func unitPrice(price *big.Rat, currency string) string {
	if price == nil {
		return ""
	}
	if price.Sign() == 0 {
		return "free"
	}
	return format.PricePerCredit(price, currency) + " each (" + format.Per1000(price, currency) + ")"
}

func version(n int) string { return "Version " + strconv.Itoa(n) }

// Plans is every plan, and how long one goes on unpaid, and the platform's share of
// what agencies sell. Field names of the latter: days; share.
type Plans struct {
	Frame   Frame
	Failure *SectionFailure
	Errors  FieldErrors
	Rows    []PlanRow
	Retired []PlanRow // off offer
	Grace   string    // as typed
	Share   string    // the platform's of what agencies sell, in percent, as typed
}

// PlanRow is one plan in its newest version.
type PlanRow struct {
	Name    string
	Href    string
	Version int
	Terms   PlanFacts
	On      int64 // agencies on this version
	Older   int64 // agencies on versions before it
	Default bool  // new agencies get it
}

func (r PlanRow) older() string {
	if r.Older == 0 {
		return ""
	}
	return format.Count(r.Older) + " on older versions"
}

// PlanFacts is what a version of a plan promises.
type PlanFacts struct {
	Price           models.Money
	Allowance       models.Credits
	Once            bool           // granted once, else every month
	Yearly          bool           // the price is of a year, else of a month
	ExcessLimit     models.Credits // 0: pauses at zero
	SubAccountLimit int            // 0: no limit
	TrialDays       int
	Card            string
	Packs           []string
	Position        int
}

// PriceText is "$97.00 a month"; a price of nothing is "Free".
func (f PlanFacts) PriceText() string {
	switch {
	case f.Price.Amount == 0:
		return "Free"
	case f.Once:
		return format.Money(f.Price) + " once"
	case f.Yearly:
		return format.Money(f.Price) + " a year"
	}
	return format.Money(f.Price) + " a month"
}

// AllowanceText is "10,000 credits every month".
func (f PlanFacts) AllowanceText() string {
	switch {
	case f.Allowance == 0:
		return "None"
	case f.Once:
		return format.CreditsWord(f.Allowance) + " once"
	}
	return format.CreditsWord(f.Allowance) + " every month"
}

// UnitText is the price of one credit, "—" without an allowance.
func (f PlanFacts) UnitText() string {
	if f.Allowance == 0 {
		return "—"
	}
	credits := f.Allowance
	if f.Yearly {
		credits *= 12
	}
	return unitPrice(f.Price.PerCredit(credits), f.Price.Currency)
}

// Lines is the whole of it by name, for facts and for differences.
func (f PlanFacts) Lines() []Fact {
	zero, subs, trial, packs := "Pauses", "No limit", "None", "None"
	if f.ExcessLimit > 0 {
		zero = "Goes on, up to " + format.CreditsWord(f.ExcessLimit) + " below zero"
	}
	if f.SubAccountLimit > 0 {
		subs = "Up to " + format.Count(int64(f.SubAccountLimit))
	}
	if f.TrialDays > 0 {
		trial = format.Plural(int64(f.TrialDays), "day", "days")
	}
	if len(f.Packs) > 0 {
		packs = strings.Join(f.Packs, ", ")
	}
	return []Fact{
		{Label: "Price", Value: f.PriceText()},
		{Label: "Plan credits", Value: f.AllowanceText()},
		{Label: "Price per credit", Value: f.UnitText()},
		{Label: "At zero", Value: zero},
		{Label: "Sub-accounts", Value: subs},
		{Label: "Trial", Value: trial},
		{Label: "Rate card", Value: f.Card},
		{Label: "Packs on sale", Value: packs},
		{Label: "Order in lists", Value: strconv.Itoa(f.Position)},
	}
}

// Plan is one version of a plan.
type Plan struct {
	Frame    Frame
	Name     string
	Code     string
	Version  int
	Newest   int    // version on offer, or the last one
	NewestAt string // href of it; "" when this is it
	OffOffer bool
	Default  bool
	Terms    PlanFacts
	Assumed  []string // what the preset chose
	Editions []PlanEdition
	On       int64
	Agencies []PlanAgency // the first of them
	Edit     string       // hrefs; "" for what cannot be done
	Archive  string
	Move     string
	Standard string // POST that makes it the plan new agencies get
}

// PlanEdition is one version in a plan's history.
type PlanEdition struct {
	Version int
	Href    string
	At      models.Time
	By      string
	Note    string
	Terms   PlanFacts
	On      int64
	Coming  int64 // agencies that move to it at their next reset
	Offered bool
}

func (e PlanEdition) coming() string {
	if e.Coming == 0 {
		return ""
	}
	return format.Count(e.Coming) + " more at their next reset"
}

// PlanAgency is an agency on a version.
type PlanAgency struct {
	Name     string
	Href     string // "" for no page
	ResetsAt models.Time
	Moves    string // where to, "Version 4"; "" when it stays
}

// PlanForm is a plan being made or edited.
type PlanForm struct {
	Frame  Frame
	New    bool
	Base   string // id of the version that is edited
	Action string
	Back   Link

	Code, Name, Price, PaidEvery, Allowance, Every, ExcessLimit, SubAccountLimit, TrialDays, RateCard, Position, Note string

	Currency string // "USD"
	Cards    []Option
	Packs    []Shelf
	Errors   FieldErrors
}

// PlanMove moves agencies from one version to another plan.
type PlanMove struct {
	Frame  Frame
	Back   Link
	Action string
	From   string // "Agency Pro, version 3"
	On     int64
	Shown  []Shelf // agencies to pick from
	More   int64   // agencies that are not listed
	To     string
	Plans  []Option
	When   string
	Note   string
	Errors FieldErrors
}

// Packs is every pack.
type Packs struct {
	Frame   Frame
	Failure *SectionFailure
	Rows    []PackRow
	Retired []PackRow
	Ladder  []string // what is wrong with the prices
}

// PackRow is one pack in its newest version.
type PackRow struct {
	Name    string
	Href    string
	Version int
	Terms   PackFacts
	Less    string // "43% less" than the smallest; ""
}

// PackFacts is what a version of a pack is.
type PackFacts struct {
	ByQuantity bool
	Credits    models.Credits
	Bonus      models.Credits
	Price      models.Money
	Minimum    models.Credits
	Step       models.Credits
	Unit       models.UnitPrice
	Plans      []string
	Position   int
}

// SizeText is "12,500 credits", or "1,000 credits and more, in steps of 1,000".
func (f PackFacts) SizeText() string {
	if f.ByQuantity {
		return format.CreditsWord(f.Minimum) + " and more, in steps of " + format.Credits(f.Step)
	}
	return withBonus(f.Credits, f.Bonus)
}

// PriceText is "$50.00", or what one credit costs.
func (f PackFacts) PriceText() string {
	if f.ByQuantity {
		return "By quantity"
	}
	return format.Money(f.Price)
}

// UnitText is the price of one credit.
func (f PackFacts) UnitText() string { return unitPrice(f.PerCredit(), f.Price.Currency) }

// PerCredit is the exact price of one credit.
func (f PackFacts) PerCredit() *big.Rat {
	if f.ByQuantity {
		return format.UnitPrice(f.Unit, f.Price.Currency)
	}
	return f.Price.PerCredit(f.Credits)
}

// Lines is the whole of it by name, for facts and for differences.
func (f PackFacts) Lines() []Fact {
	plans := "None"
	if len(f.Plans) > 0 {
		plans = strings.Join(f.Plans, ", ")
	}
	return []Fact{
		{Label: "Credits", Value: f.SizeText()},
		{Label: "Price", Value: f.PriceText()},
		{Label: "Price per credit", Value: f.UnitText()},
		{Label: "Sold on", Value: plans},
		{Label: "Order in lists", Value: strconv.Itoa(f.Position)},
	}
}

// Pack is one version of a pack.
type Pack struct {
	Frame    Frame
	Name     string
	Code     string
	Version  int
	Newest   int
	NewestAt string // href of the newest; "" when this is it
	OffSale  bool
	Terms    PackFacts
	Editions []PackEdition
	Edit     string
	Archive  string
}

// PackEdition is one version in a pack's history.
type PackEdition struct {
	Version int
	Href    string
	At      models.Time
	By      string
	Note    string
	Terms   PackFacts
	OnSale  bool
}

// PackForm is a pack being made or edited.
type PackForm struct {
	Frame  Frame
	New    bool
	Base   string
	Action string
	Back   Link

	Code, Name, Kind, Credits, Bonus, Price, Minimum, Step, UnitPrice, Position, Note string

	Currency string
	Plans    []Shelf
	Errors   FieldErrors
}

// resets is when an agency's plan credits come anew.
func (a PlanAgency) resets(f Frame) string {
	if a.ResetsAt == models.Never {
		return "Granted once"
	}
	return format.Days(a.ResetsAt, f.Now, f.zone())
}
