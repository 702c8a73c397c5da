package chart

import (
	"strconv"
	"strings"

	"refill/models"
	"refill/views/format"
)

// Banded is a bar chart before the range that is usual for each bucket: between
// the least and the most of the same bucket in the weeks before.
type Banded struct {
	Data

	Weeks [][]models.Credits // each week's values, per bucket; none: no range is known
}

// fitted is the chart with at most limit bars; the range is that of the merged
// bars, not the sum of their ranges.
func (b Banded) fitted(limit int) Banded {
	out := Banded{Data: Coarsen(b.Data, limit)}
	k := 1
	if n := len(out.Buckets); n > 0 {
		k = (len(b.Buckets) + n - 1) / n
	}
	out.Max = 0
	for _, week := range b.Weeks {
		merged := merge(week, k)
		out.Weeks = append(out.Weeks, merged)
		for _, v := range merged {
			out.Max = max(out.Max, v)
		}
	}
	return out
}

// Usual is the range of a bucket; ok is false where none is known.
func (b Banded) Usual(bucket int) (least, most models.Credits, ok bool) {
	for i, week := range b.Weeks {
		v := at(week, bucket)
		if i == 0 {
			least, most = v, v
		}
		least, most = min(least, v), max(most, v)
	}
	return least, most, len(b.Weeks) > 0
}

// path outlines the range, bucket by bucket.
func (b Banded) path() string {
	if len(b.Weeks) == 0 || len(b.Buckets) == 0 {
		return ""
	}
	peak := b.Max
	for _, t := range b.Totals() {
		peak = max(peak, t)
	}
	s := niceScale(peak)
	var there, back strings.Builder
	for i := range b.Buckets {
		_, most, _ := b.Usual(i)
		there.WriteString("V" + strconv.Itoa(full-s.height(most)) + "H" + strconv.Itoa((i+1)*slotWidth))
		last := len(b.Buckets) - 1 - i
		least, _, _ := b.Usual(last)
		back.WriteString("V" + strconv.Itoa(full-s.height(least)) + "H" + strconv.Itoa(last*slotWidth))
	}
	return "M0 " + strconv.Itoa(full) + there.String() + back.String() + "Z"
}

// describe adds the range to what the bars show.
func (b Banded) describe() string {
	text := describe(b.Data)
	if len(b.Weeks) == 0 {
		return text
	}
	above, below := 0, 0
	for i, t := range b.Totals() {
		least, most, _ := b.Usual(i)
		switch {
		case b.Buckets[i].Partial:
		case t > most:
			above++
		case t < least:
			below++
		}
	}
	return format.Plural(int64(above), "bar", "bars") + " above the usual range, " + format.Count(int64(below)) + " below it. " + text
}

// weeksWord is "the same hours of the last 4 weeks".
func (b Banded) weeksWord() string {
	return "Usual: the same hours of the last " + format.Plural(int64(len(b.Weeks)), "week", "weeks")
}
