package period

import (
	"time"

	"refill/models"
)

// Span is a half-open stretch of time, [Start, End).
type Span struct{ Start, End models.Time }

// Contains tells whether an instant lies in the span.
func (s Span) Contains(t models.Time) bool { return s.Start <= t && t < s.End }

// Length is how long the span lasts: a day may have 23 or 25 hours.
func (s Span) Length() time.Duration { return s.End.Sub(s.Start) }

// DayStart is the first instant of the day t lies in, in the zone: midnight, or
// where a clock change skips midnight the first instant after it.
func DayStart(t models.Time, loc *time.Location) models.Time { return Day(t, loc).Start }

// Hour is the hour t lies in, by the zone's wall clock. A clock change that is
// not a whole number of hours cuts the hour it falls into.
func Hour(t models.Time, loc *time.Location) Span {
	const hour = models.Time(3600 * microsPerSec)
	t = within(t)
	start := t - models.Time(timeOfDay(t, loc))%hour
	span := Span{Start: start, End: start + hour}
	// Bounds are asked for only where the offset really changes: the library also
	// gives the turn of the year as one.
	from, to := t.In(loc).ZoneBounds()
	if offset(span.Start, loc) != offset(t, loc) {
		span.Start = models.At(from)
	}
	if offset(span.End-1, loc) != offset(t, loc) {
		span.End = models.At(to)
	}
	return span
}

// Day is the calendar day t lies in, in the zone.
func Day(t models.Time, loc *time.Location) Span {
	return civil(t, loc, func(d day) (day, day) { return d, d + 1 })
}

// Week is the seven calendar days t lies in, beginning on the given weekday.
func Week(t models.Time, loc *time.Location, first time.Weekday) Span {
	return civil(t, loc, func(d day) (day, day) {
		d -= day((d.weekday() - first + 7) % 7)
		return d, d + 7
	})
}

// CalendarMonth is the month t lies in, from its 1st to the next.
func CalendarMonth(t models.Time, loc *time.Location) Span {
	return civil(t, loc, func(d day) (day, day) {
		year, month, _ := d.date()
		return dayOf(year, month, 1), dayOf(year, month+1, 1)
	})
}

// Hours cuts the hours that [from, to) touches. The first and the last are
// whole, so they may reach beyond it. The caller bounds the range.
func Hours(from, to models.Time, loc *time.Location) []Span {
	return cover(from, to, func(t models.Time) Span { return Hour(t, loc) })
}

// Days cuts the days that [from, to) touches, each whole. A day that a zone
// left out (Apia had no 30 December 2011) has no span.
func Days(from, to models.Time, loc *time.Location) []Span {
	return cover(from, to, func(t models.Time) Span { return Day(t, loc) })
}

// Weeks cuts the weeks that [from, to) touches, each whole.
func Weeks(from, to models.Time, loc *time.Location, first time.Weekday) []Span {
	return cover(from, to, func(t models.Time) Span { return Week(t, loc, first) })
}

// CalendarMonths cuts the calendar months that [from, to) touches, each whole.
func CalendarMonths(from, to models.Time, loc *time.Location) []Span {
	return cover(from, to, func(t models.Time) Span { return CalendarMonth(t, loc) })
}

func cover(from, to models.Time, bucket func(models.Time) Span) []Span {
	var spans []Span
	from, to = within(from), within(to)
	for t := from; t < to; t = spans[len(spans)-1].End {
		spans = append(spans, bucket(t))
	}
	return spans
}

// civil finds the run of civil days that t lies in. Where a clock set back over
// midnight shows the old date again, that stretch belongs to the day that had
// already begun, so that days tile.
func civil(t models.Time, loc *time.Location, run func(day) (first, next day)) Span {
	t = within(t)
	first, next := run(localDay(t, loc))
	span := Span{Start: first.at(0, loc), End: next.at(0, loc)}
	for span.End <= t {
		first, next = run(next)
		span = Span{Start: span.End, End: next.at(0, loc)}
	}
	for span.Start > t {
		first, _ = run(first - 1)
		span = Span{Start: first.at(0, loc), End: span.Start}
	}
	return span
}
