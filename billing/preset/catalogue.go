package preset

import (
	"fmt"
	"strings"

	"refill/billing/ratecard"
	"refill/models"
)

// Catalogue is everything an operator sells and how it is priced.
type Catalogue struct {
	Name        string // the word after --preset
	Title       string
	Currency    string // lower case, "usd"
	DefaultPlan string // code of the plan new agencies get; it can buy packs
	Plans       []Plan
	Packs       []Pack
	Cards       []Card
	Referral    models.Credits // bonus for a referral that becomes a paying customer; 0: none
	Actions     []Label
	Models      []Label
	Yardsticks  []Yardstick
	Notes       []string // what an operator should know, in sentences
}

// Plan is what an agency subscribes to.
type Plan struct {
	Code            string
	Name            string
	Price           models.Money // per month; with Once, paid once
	CustomPrice     bool         // agreed by hand: no price is shown, nobody subscribes alone
	Allowance       models.Credits
	Every           Every
	PacksForSale    []string // codes; empty: cannot buy
	SubAccountLimit int      // 0: as many as wanted
	AtZero          AtZero
	ExcessLimit     models.Credits // with Excess: how far below zero one wallet may go
	TrialDays       int
	RateCard        string   // code of the card
	Assumed         []string // what was chosen here
}

// Every is how often a plan grants its allowance.
type Every string

// How often.
const (
	Month Every = "month" // resets, never rolls over
	Once  Every = "once"  // at the start, never expires
	None  Every = "none"  // no allowance
)

// AtZero is what a wallet does when nothing is left.
type AtZero string

// What happens.
const (
	Pause  AtZero = "pause"
	Excess AtZero = "excess" // goes on below zero up to ExcessLimit
)

// Pack is credits an agency buys once; they never expire.
type Pack struct {
	Code      string
	Name      string
	Kind      PackKind
	Credits   models.Credits   // fixed: what it holds
	Price     models.Money     // fixed: what it costs
	Minimum   models.Credits   // quantity: the least one may buy
	Step      models.Credits   // quantity: in steps of
	UnitPrice models.UnitPrice // quantity: price of one credit
	Assumed   []string
}

// PackKind tells whether the buyer chooses how much.
type PackKind string

// The kinds of packs.
const (
	Fixed    PackKind = "fixed"
	Quantity PackKind = "quantity"
)

// Card is a rate card to make a first version of.
type Card struct {
	Code    string
	Name    string
	Rates   []ratecard.Rate
	Assumed []string
}

// Label is what people call an action or a model.
type Label struct {
	Name  string // as programs write it: "ai.reply", "gpt-4-turbo"
	Title string // "Reply", "GPT-4 Turbo"
	One   string // one of it in a sentence: "reply", "GPT-4 Turbo reply"
	Many  string // several: "replies", "GPT-4 Turbo replies"
}

// Yardstick is a pair that amounts of credits are described in: "about 1,842
// GPT-4 Turbo replies".
type Yardstick struct{ Action, Model string }

// Plan finds a plan by its code.
func (c Catalogue) Plan(code string) (Plan, bool) {
	for _, p := range c.Plans {
		if p.Code == code {
			return p, true
		}
	}
	return Plan{}, false
}

// Pack finds a pack by its code.
func (c Catalogue) Pack(code string) (Pack, bool) {
	for _, p := range c.Packs {
		if p.Code == code {
			return p, true
		}
	}
	return Pack{}, false
}

// Card finds a rate card by its code.
func (c Catalogue) Card(code string) (Card, bool) {
	for _, k := range c.Cards {
		if k.Code == code {
			return k, true
		}
	}
	return Card{}, false
}

// Label is what people call an action or a model; a name the catalogue does not
// know labels itself.
func (c Catalogue) Label(name string) string {
	for _, labels := range [][]Label{c.Models, c.Actions} {
		for _, l := range labels {
			if l.Name == name {
				return l.Title
			}
		}
	}
	return name
}

// Names lists the catalogues there are.
func Names() []string { return []string{"stammer", "ai-employee", "dm-champ", "tawk", "thrivedesk"} }

// Load gives a catalogue by its name.
func Load(name string) (Catalogue, error) {
	var c Catalogue
	switch name {
	case "stammer":
		c = stammer()
	case "ai-employee":
		c = aiEmployee()
	case "dm-champ":
		c = dmChamp()
	case "tawk":
		c = tawk()
	case "thrivedesk":
		c = thriveDesk()
	default:
		return Catalogue{}, fmt.Errorf("there is no preset %.40q; choose one of %s", name, strings.Join(Names(), ", "))
	}
	if err := c.Validate(); err != nil {
		return Catalogue{}, fmt.Errorf("preset %s: %w", name, err)
	}
	return c, nil
}

// usd is whole dollars.
func usd(dollars int64) models.Money { return models.Money{Amount: dollars * 100, Currency: "usd"} }

// credits is whole credits.
func credits(n int64) models.Credits { return models.Credits(n) * models.Credit }

// bound is whole credits as a minimum or maximum.
func bound(n int64) *models.Credits { c := credits(n); return &c }

// quantity is whole units of a measure.
func quantity(n int64) ratecard.Quantity { return ratecard.Quantity(n) * ratecard.One }

// flat is a rate of whole credits whatever was used.
func flat(action, model string, each int64) ratecard.Rate {
	return ratecard.Rate{Action: action, Model: model, Base: credits(each)}
}

// fixed is a pack of so many credits for so many dollars.
func fixed(code, name string, n, dollars int64, assumed ...string) Pack {
	return Pack{
		Code: code, Name: name, Kind: Fixed,
		Credits: credits(n), Price: usd(dollars), Assumed: assumed,
	}
}

// codes lists what packs are called, for plans that may buy them all.
func codes(packs []Pack) []string {
	all := make([]string, len(packs))
	for i, p := range packs {
		all[i] = p.Code
	}
	return all
}
