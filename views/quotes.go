package views

import (
	"strconv"
	"strings"

	"refill/models"
	"refill/views/format"
)

// Quote is GET /q/{token}: what the calculator said when the quote was saved.
type Quote struct {
	Frame         Frame
	Name          string
	Agency        string
	At            models.Time
	Until         models.Time
	Holds         bool
	Conversations string
	Replies       string
	Calculator    Calculator
	Held          bool // the packages are sold at its prices
}

// today tells that there are packages whose prices are not held.
func (v *Quote) today() bool {
	r := v.Calculator.Result
	return !v.Held && r != nil && len(r.Month.Picks)+len(r.Extra.Picks) > 0
}

// Quotes is GET /quotes.
type Quotes struct {
	Frame Frame
	Rows  []QuoteRow
	Pager Pager
}

// QuoteRow is a saved quote.
type QuoteRow struct {
	Name  string
	At    models.Time
	Until models.Time
	Holds bool
	Link  string // for whoever it was made for
	Again string // href of the calculator with the same work, at the prices of now
	End   string // where it is taken back; "" for nowhere
}

func (r *QuoteRow) until() string {
	if r.Holds {
		return "It holds until"
	}
	return "It was to hold until" // and may have been ended before
}

// conversations is what was typed, with its thousands apart.
func (v *Quote) conversations() string {
	n, err := strconv.ParseInt(strings.ReplaceAll(v.Conversations, ",", ""), 10, 64)
	if err != nil {
		return v.Conversations
	}
	return format.Count(n)
}
