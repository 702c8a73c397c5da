package views

import (
	"strconv"

	"refill/models"
	"refill/views/format"
)

// RateCards is every rate card.
type RateCards struct {
	Frame   Frame
	Failure *SectionFailure
	Rows    []RateCardRow
}

// RateCardRow is one rate card.
type RateCardRow struct {
	Name     string
	Code     string
	Href     string
	InForce  int // version; 0: none yet
	Since    models.Time
	Coming   []ComingVersion
	Rates    int
	Plans    []string
	Agencies int64
}

// ComingVersion is a version that takes effect later.
type ComingVersion struct {
	Number int
	At     models.Time
}

// Price is what an action costs by a rate card.
type Price struct {
	Action, Model    string
	Base             models.Credits
	Parts            []PriceStep
	Minimum, Maximum *models.Credits
}

// PriceStep is Credits for every started Size of a measure above a free amount;
// sizes and amounts are in millionths, as credits are.
type PriceStep struct {
	Measure     string
	Above, Size models.Credits
	Credits     models.Credits
}

// Name is "GPT-4", "Website sync", as charts and tables name it.
func (p Price) Name() string { return format.ActionModel(p.Action, p.Model) }

// Key is how programs name it: "ai.reply gpt-4".
func (p Price) Key() string {
	if p.Model == "" {
		return p.Action
	}
	return p.Action + " " + p.Model
}

// Words is "5 credits + 3 for every 5,000 characters above 2,000, at most 20".
func (p Price) Words() string {
	text := format.CreditsWord(p.Base)
	for i, c := range p.Parts {
		if i == 0 && p.Base == 0 {
			text = format.CreditsWord(c.Credits)
		} else {
			text += " + " + format.Credits(c.Credits)
		}
		text += " for every " + format.Credits(c.Size) + " " + c.Measure
		if c.Above > 0 {
			text += " above " + format.Credits(c.Above)
		}
	}
	if p.Minimum != nil {
		text += ", at least " + format.Credits(*p.Minimum)
	}
	if p.Maximum != nil {
		text += ", at most " + format.Credits(*p.Maximum)
	}
	return text
}

// PriceRow is one rate in a card's table.
type PriceRow struct {
	Price
	Since   int // version that first had it
	At      models.Time
	By      string
	Charges int64 // in the last 30 days
	Credits models.Credits
}

// UnpricedUse is something used that the card has no rate for.
type UnpricedUse struct {
	Name    string // "GPT-5"
	Key     string // "ai.reply gpt-5"
	Charges int64
	Add     string // href of the editor with a row for it
}

// RateCard is one rate card.
type RateCard struct {
	Frame    Frame
	Name     string
	Code     string
	Version  int // the version shown; 0: none
	Rows     []PriceRow
	Unpriced []UnpricedUse
	Coming   []ComingVersion
	Editions []RateEdition
	Plans    []Link
	Agencies int64
	Edit     string
	CSV      string
}

// RateEdition is one version in a card's history.
type RateEdition struct {
	Number  int
	Href    string
	At      models.Time // takes effect
	Made    models.Time
	By      string
	Note    string
	InForce bool
	Coming  bool
}

func (e RateEdition) state() (Tone, string) {
	switch {
	case e.InForce:
		return ToneOK, "In force"
	case e.Coming:
		return ToneInfo, "Coming"
	}
	return ToneNone, ""
}

// RateVersion is one version of a rate card.
type RateVersion struct {
	Frame   Frame
	Card    Link
	Edition RateEdition
	Rows    []Price
	Against string // what it changed: "version 2"; "" for the first
	Changes []DiffLine
	Again   []Hidden // form that reviews publishing it again; nil when it rules anyway
	Action  string
}

// RateForm is a rate card being made or edited.
type RateForm struct {
	Frame  Frame
	New    bool
	Action string
	Back   Link

	Code, Name  string // of a new card
	Rows        []RateRow
	EffectiveOn string // a day, "" now
	Note        string
	After       int // version the edit begins from
	Attempt     string
	Coming      string // what else is on the way, in a sentence
	Errors      FieldErrors
}

// RateRow is one rate as it is typed.
type RateRow struct {
	Action, Model, Base, Minimum, Maximum string
	Parts                                 []RatePartRow
	Gone                                  bool
}

// RatePartRow is a component as it is typed.
type RatePartRow struct{ Measure, Above, Size, Credits string }

// rowField is the name of a field of the n-th rate.
func rowField(n int, name string) string { return "r" + strconv.Itoa(n) + "_" + name }

// partField is the name of a field of the m-th component of the n-th rate.
func partField(n, m int, name string) string {
	return rowField(n, "p"+strconv.Itoa(m)+"_"+name)
}

// legend names a row of the editor.
func (r RateRow) legend(n int) string {
	if r.Action == "" {
		return "New rate " + strconv.Itoa(n+1)
	}
	return Price{Action: r.Action, Model: r.Model}.Key()
}

// byUsage is the heading of the components.
func (r RateRow) byUsage() string {
	n := 0
	for _, p := range r.Parts {
		if p != (RatePartRow{}) {
			n++
		}
	}
	if n == 0 {
		return "Limits and price by usage"
	}
	return "Limits and price by usage (" + strconv.Itoa(n) + ")"
}

// open tells whether there is anything below the heading.
func (r RateRow) open() bool {
	for _, p := range r.Parts {
		if p != (RatePartRow{}) {
			return true
		}
	}
	return r.Minimum != "" || r.Maximum != ""
}
