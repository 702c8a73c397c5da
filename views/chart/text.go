package chart

import (
	"strconv"
	"strings"

	"refill/models"
	"refill/views/format"
)

// barTitle is what the pointer sees over a bar: the bucket and its total, then
// one line per name, largest share of the picture last, as drawn.
func barTitle(d Data, i int, total models.Credits) string {
	if d.Buckets[i].Ahead {
		return d.Buckets[i].Label + ": not yet"
	}
	var b strings.Builder
	b.WriteString(labelOf(d.Buckets[i]) + ": " + d.amountWord(total))
	for j := len(d.Series) - 1; j >= 0 && len(d.Series) > 1; j-- { // from the top down
		if v := at(d.Series[j].Values, i); v != 0 {
			b.WriteString("\n" + d.Series[j].Name + ": " + d.amount(v))
		}
	}
	if d.Previous != nil {
		b.WriteString("\nPrevious period: " + d.amount(at(d.Previous, i)))
	}
	return b.String()
}

// labelOf names a bucket and says when it is not complete.
func labelOf(b Bucket) string {
	if b.Partial {
		return b.Label + " (so far)"
	}
	return b.Label
}

// describe says in one breath what a bar chart shows: how many bars, the peak and
// where the numbers are.
func describe(d Data) string {
	totals := d.Totals()
	peak, begun := 0, 0
	for _, b := range d.Buckets {
		if !b.Ahead {
			begun++
		}
	}
	for i, t := range totals {
		if t > totals[peak] {
			peak = i
		}
	}
	if len(totals) == 0 || totals[peak] <= 0 {
		return d.none() + " " + pointer(d.Table)
	}
	return "Stacked bars, " + strconv.Itoa(begun) + " in all. The highest is " + labelOf(d.Buckets[peak]) +
		" with " + d.amountWord(totals[peak]) + ". " + pointer(d.Table)
}

// describe says in one breath what a cumulative chart shows.
func (r Running) describe() string {
	var b strings.Builder
	b.WriteString("A line that adds up to " + format.CreditsWord(r.Total()) + " so far.")
	if r.Plan > 0 {
		b.WriteString(" Plan credits: " + format.Credits(r.Plan) + ".")
	}
	if r.Projected > 0 {
		b.WriteString(" At this pace " + format.Estimate(r.Projected) + " by the end.")
	}
	if len(r.Previous) > 0 {
		b.WriteString(" Previous period: " + format.Credits(sum(r.Previous)) + ".")
	}
	if r.Sold != nil {
		b.WriteString(" Sold in the same time: " + format.Credits(sum(r.Sold)) + ".")
	}
	return b.String() + " " + pointer(r.Table)
}

// pointer leads from the picture to the table with the same numbers.
func pointer(table string) string {
	if table == "" {
		return "The same numbers are in the table below."
	}
	return "The same numbers are in " + table + "."
}
