package views

import (
	"cmp"
	"slices"
	"strings"

	"refill/models"
	"refill/views/chart"
	"refill/views/format"
)

const (
	maxMinis    = 12 // small charts side by side
	maxMiniBars = 31 // in one of them: a month of days
	largestFew  = 10 // agencies whose share is told
)

// FleetUsage is where credits went across agencies. Each adds up to the page's
// Rows, in every interval.
type FleetUsage struct {
	Usage
	Each       []UsageShare   // every agency that used credits now or before
	Allowances models.Credits // sold to agencies in the period, by plans
	Packs      models.Credits // and by packs; Usage.Sold is both per interval
}

// ranked are the agencies, the busiest first.
func (v FleetUsage) ranked() []UsageShare {
	rows := slices.Clone(v.Each)
	slices.SortStableFunc(rows, func(a, b UsageShare) int {
		return cmp.Or(cmp.Compare(b.Credits(), a.Credits()), strings.Compare(a.Name, b.Name))
	})
	return rows
}

// each is the same page by agency, whatever its grouping: for the list of them.
func (v FleetUsage) each() Usage {
	u := v.Usage
	u.Filter.Group, u.Rows, u.Colour = GroupAgency, v.Each, nil
	return u
}

// eachFacts is that list added up; its names have no colours of their own.
func (v FleetUsage) eachFacts() usageFacts {
	f := v.each().facts()
	f.slots = nil
	return f
}

// mover is an agency whose usage changed most in one direction.
type mover struct {
	UsageShare
	By models.Credits
}

// movers are the agencies that used most more and most less than before, nil where
// none did or there is nothing to compare with.
func (v FleetUsage) movers(previous models.Credits) (up, down *mover) {
	if v.PreviousName == "" || v.Filter.Agency != "" || previous == 0 {
		return nil, nil
	}
	for _, r := range v.ranked() {
		by := r.Credits() - r.Previous
		if by > 0 && (up == nil || by > up.By) {
			up = &mover{r, by}
		}
		if by < 0 && (down == nil || by < down.By) {
			down = &mover{r, by}
		}
	}
	return up, down
}

// concentration is the share of the largest agencies, in words and as a part of
// meterScale; 0 where there are not more than those.
func (v FleetUsage) concentration(total models.Credits) (words string, part int64) {
	rows := slices.DeleteFunc(v.ranked(), func(r UsageShare) bool { return r.Credits() <= 0 })
	var top models.Credits
	for _, r := range rows[:min(largestFew, len(rows))] {
		top += r.Credits()
	}
	rest := len(rows) - largestFew
	if rest <= 0 || total <= 0 {
		return "All of it was used by " + format.Plural(int64(len(rows)), "agency", "agencies") + ".", 0
	}
	share, err := models.MulDiv(int64(min(top, total)), meterScale, int64(total))
	if err != nil {
		share = meterScale
	}
	others := "the other one "
	if rest > 1 {
		others = "the other " + format.Count(int64(rest)) + " used "
	}
	return "The ten largest agencies used " + format.Percent(int64(top), int64(total)) + " of it, " + others +
		format.Percent(int64(total-top), int64(total)) + ".", share
}

// soldTo says to whom.
func (v FleetUsage) soldTo() string {
	if v.Filter.Agency != "" {
		return "Sold to this agency"
	}
	return "Sold to agencies"
}

// soldShare is how what was used compares with what was sold.
func (v FleetUsage) soldShare(used models.Credits) string {
	sold := v.Allowances + v.Packs
	if sold <= 0 {
		return "Nothing was sold in this period"
	}
	return "Used as much as " + format.Percent(int64(used), int64(sold)) + " of it"
}

// small are the charts of the busiest agencies on one scale, and what their bars
// stand for; days and longer are named shortly, by where they begin.
func (v FleetUsage) small() (minis []chart.Mini, buckets []chart.Bucket) {
	data := chart.Data{Buckets: v.buckets(v.Starts)}
	rows := v.ranked()
	rows = rows[:min(len(rows), maxMinis)]
	for _, r := range rows {
		data.Series = append(data.Series, chart.Series{Name: r.Name, Values: r.Values})
	}
	data = chart.Coarsen(data, maxMiniBars)
	for i, s := range data.Series {
		m := chart.Mini{Name: s.Name, Href: v.only(rows[i].Only), Values: s.Values, Note: format.CreditsWord(s.Total())}
		if v.PreviousName != "" {
			m.Note += ", " + changeShort(rows[i].Credits(), rows[i].Previous)
		}
		if top := peakOf(s.Values); top >= 0 {
			m.Peak = "the highest " + data.Buckets[top].Label + " with " + format.Credits(s.Values[top])
		}
		minis = append(minis, m)
	}
	buckets = slices.Clone(data.Buckets)
	for i := range buckets {
		if v.Unit != IntervalHour {
			buckets[i].Label = buckets[i].Tick
		}
	}
	return minis, buckets
}

// peakOf is the index of the highest value, −1 where none is above zero.
func peakOf(values []models.Credits) int {
	top, most := -1, models.Credits(0)
	for i, v := range values {
		if v > most {
			top, most = i, v
		}
	}
	return top
}

// smallColumns are the headings of the small charts' numbers.
func smallColumns(minis []chart.Mini) []Column {
	columns := []Column{{Label: "From"}}
	for _, m := range minis {
		columns = append(columns, Column{Label: m.Name, Number: true})
	}
	return columns
}

// addedUp is the share of the first rows together.
func (f usageFacts) addedUp(rows int) string {
	var sum models.Credits
	for _, r := range f.rows[:rows] {
		sum += r.Credits()
	}
	return format.Percent(int64(sum), int64(f.total))
}

// byAgency tells whether the rows of the table of names are agencies.
func (u Usage) byAgency() bool { return u.Filter.Fleet && u.Filter.Group == GroupAgency }

// plansNow tells whether the page says something of plans.
func (u Usage) plansNow() bool { return u.Filter.Group == GroupPlan || u.Filter.Plan != "" }
