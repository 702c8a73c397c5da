package chart

import (
	"math"
	"slices"
	"strings"

	"refill/models"
)

// Slots of colour. A chart with one series is drawn in ink, not in a hue.
const (
	SlotInk   = 0 // a single series
	SlotFirst = 1 // the first of the five hues
	SlotLast  = 5
	SlotOther = 6 // everything beyond the five largest
)

// MaxSeries is how many names one chart tells apart; the rest are "Other".
const MaxSeries = 5

// Bucket is one interval on the x axis, half-open from Start.
type Bucket struct {
	Start   models.Time
	Label   string // the whole label, "Sat, Nov 22"
	Tick    string // the short one under the axis, "Nov 22"
	Partial bool   // still running, or not all of its usage has arrived
	Ahead   bool   // not begun: a place without a bar
}

// Series is one name's credits, one value per bucket; missing values are zero.
type Series struct {
	Name   string
	Slot   int // colour, SlotInk to SlotOther
	Values []models.Credits
}

// Total is the sum of a series' values.
func (s Series) Total() models.Credits { return sum(s.Values) }

// Data is everything a bar chart shows.
type Data struct {
	ID       string // unique in its page; ids of parts are made from it
	Title    string // "Credits used per day, by model and action"
	Table    string // how the description points to the table; "" says "below"
	Buckets  []Bucket
	Series   []Series         // drawn in this order, the first at the base
	Previous []models.Credits // totals of the previous period; nil: no comparison
	Max      models.Credits   // least top of the y axis, to share it between charts
	Currency string           // the values are money, made by Money; "" credits
}

// Running is everything a cumulative chart shows. Values, Previous and Sold are
// per bucket; the chart adds them up.
type Running struct {
	ID        string
	Title     string
	Table     string
	Buckets   []Bucket         // the whole period, its future included
	Values    []models.Credits // as far as the period has run
	Plan      models.Credits   // horizontal line; 0: none
	Projected models.Credits   // running total expected at the end; 0: none
	Previous  []models.Credits // thin line; nil: none
	Sold      []models.Credits // dashed line in steps; nil: none
}

// Mini is one of a set of small charts on a common scale.
type Mini struct {
	Name   string
	Href   string // where the name leads; "" for plain text
	Note   string // a few words below, "12,400 credits, 8% more"
	Peak   string // the highest bar in words, "highest Nov 12 with 900 credits"; "" leaves it out
	Values []models.Credits
}

// Top keeps the n largest series in order of their total and folds the rest into
// one named by other, which is told how many it holds. Equal totals order by
// name. Slots are kept; the folded series gets SlotOther.
func Top(all []Series, n int, other func(count int) string) []Series {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b Series) int {
		at, bt := a.Total(), b.Total()
		switch {
		case at > bt:
			return -1
		case at < bt:
			return 1
		default:
			return strings.Compare(a.Name, b.Name)
		}
	})
	if len(sorted) <= n {
		return sorted
	}
	rest := sorted[n:]
	folded := Series{Name: other(len(rest)), Slot: SlotOther}
	for _, s := range rest {
		folded.Values = addTo(folded.Values, s.Values)
	}
	return append(sorted[:n:n], folded)
}

// Totals is the sum over all series per bucket.
func (d Data) Totals() []models.Credits {
	totals := make([]models.Credits, len(d.Buckets))
	for _, s := range d.Series {
		for i := range min(len(s.Values), len(totals)) {
			totals[i] = plus(totals[i], s.Values[i])
		}
	}
	return totals
}

// Total is the sum of everything in the chart.
func (d Data) Total() models.Credits { return sum(d.Totals()) }

func (d Data) partial() bool {
	return slices.ContainsFunc(d.Buckets, func(b Bucket) bool { return b.Partial })
}

// at is v[i], or zero beyond its end.
func at(v []models.Credits, i int) models.Credits {
	if i < len(v) {
		return v[i]
	}
	return 0
}

// addTo adds b to a, value by value, growing a as needed.
func addTo(a, b []models.Credits) []models.Credits {
	a = append(a, make([]models.Credits, max(0, len(b)-len(a)))...)
	for i, v := range b {
		a[i] = plus(a[i], v)
	}
	return a
}

func sum(values []models.Credits) (total models.Credits) {
	for _, v := range values {
		total = plus(total, v)
	}
	return total
}

// plus adds and stays at the end of the range instead of wrapping: a picture
// may be clipped but must not turn over.
func plus(a, b models.Credits) models.Credits {
	if s, err := a.Add(b); err == nil {
		return s
	}
	if a > 0 {
		return math.MaxInt64
	}
	return math.MinInt64
}
