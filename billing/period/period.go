package period

import (
	"time"

	"refill/models"
)

// Every is how often a period begins again.
type Every string

// The lengths of periods.
const (
	Month Every = "month"
	Year  Every = "year"
	None  Every = "none" // one period that never ends
)

// Valid tells whether e is one of the lengths.
func (e Every) Valid() bool { return e == Month || e == Year || e == None }

// months is the length in months; None has no length.
func (e Every) months() int {
	switch e {
	case Month:
		return 1
	case Year:
		return 12
	case None:
	}
	return 0
}

// Instants outside the years 3 to 9996 are treated as the nearest one inside, so
// that no stray value (models.Never as an anchor) overflows or loops.
const (
	earliest models.Time = -62_072_524_800_000_000 // 0003-01-01 00:00 UTC
	latest   models.Time = 253_307_692_800_000_000 // 9997-01-01 00:00 UTC
)

func within(t models.Time) models.Time { return min(max(t, earliest), latest) }

// At is the start of period n, counted from the anchor: period 0 starts at the
// anchor, later ones on the anchor's day of the month (or the month's last day
// where it is shorter) at the anchor's time of day in the zone. Period n ends
// at At(n+1). Negative n are the periods before the anchor.
//
// With None there is one period: At is the anchor for n ≤ 0 and models.Never
// above.
func At(anchor models.Time, loc *time.Location, every Every, n int) models.Time {
	anchor = within(anchor)
	step := every.months()
	switch {
	case n == 0 || (step == 0 && n < 0):
		return anchor
	case step == 0:
		return models.Never
	}
	year, month, dom := anchor.In(loc).Date()
	const lastMonth = 9999*12 + 11 // months since the year 0
	index := year*12 + int(month) - 1 + min(max(n, -lastMonth), lastMonth)*step
	index = min(max(index, 12), lastMonth)
	year, month = index/12, time.Month(index%12+1)
	d := dayOf(year, month, min(dom, daysIn(year, month)))
	return d.at(timeOfDay(anchor, loc), loc)
}

// Containing is the period an instant lies in: start ≤ t < end. With None it
// is period 0, from the anchor to models.Never, whatever t is.
func Containing(anchor models.Time, loc *time.Location, every Every, t models.Time) (n int, start, end models.Time) {
	anchor, t = within(anchor), within(t)
	step := every.months()
	if step == 0 {
		return 0, anchor, models.Never
	}
	year, month, _ := t.In(loc).Date()
	anchorYear, anchorMonth, _ := anchor.In(loc).Date()
	// The guess is off by one at most: by the day of the month, or rounding.
	n = ((year-anchorYear)*12 + int(month) - int(anchorMonth)) / step
	for start = At(anchor, loc, every, n); start > t; start = At(anchor, loc, every, n) {
		n--
	}
	for end = At(anchor, loc, every, n+1); end <= t; end = At(anchor, loc, every, n+1) {
		n, start = n+1, end
	}
	return n, start, end
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
