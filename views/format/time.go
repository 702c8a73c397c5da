package format

import (
	"time"

	"refill/models"
)

// Date is a day in a zone: "Mon, Dec 1", with the year when it is not now's.
func Date(t, now models.Time, loc *time.Location) string {
	if !t.IsSet() {
		return "—"
	}
	day := t.In(loc)
	if day.Year() != now.In(loc).Year() {
		return day.Format("Mon, Jan 2, 2006")
	}
	return day.Format("Mon, Jan 2")
}

// DayMonth is the short form for axes and ranges: "Dec 1".
func DayMonth(t models.Time, loc *time.Location) string { return t.In(loc).Format("Jan 2") }

// LongDate is for receipts: "December 1, 2026".
func LongDate(t models.Time, loc *time.Location) string { return t.In(loc).Format("January 2, 2006") }

// Clock is a time of day: "14:02".
func Clock(t models.Time, loc *time.Location) string { return t.In(loc).Format("15:04") }

// DateTime is a day and a time of day: "Mon, Dec 1, 14:02".
func DateTime(t, now models.Time, loc *time.Location) string {
	if !t.IsSet() {
		return "—"
	}
	return Date(t, now, loc) + ", " + Clock(t, loc)
}

// Machine is the value of a <time datetime> attribute.
func Machine(t models.Time) string { return t.Go().Format(time.RFC3339) }

// DaysBetween counts calendar days in a zone: tomorrow is 1, whatever the hour
// and however long the night.
func DaysBetween(from, to models.Time, loc *time.Location) int {
	a, b := from.In(loc), to.In(loc)
	first := time.Date(a.Year(), a.Month(), a.Day(), 0, 0, 0, 0, time.UTC)
	last := time.Date(b.Year(), b.Month(), b.Day(), 0, 0, 0, 0, time.UTC)
	return int(last.Sub(first) / (24 * time.Hour))
}

// InDays is the distance alone: "today", "tomorrow", "in 7 days", "3 days ago".
func InDays(t, now models.Time, loc *time.Location) string {
	switch n := DaysBetween(now, t, loc); {
	case n == 0:
		return "today"
	case n == 1:
		return "tomorrow"
	case n == -1:
		return "yesterday"
	case n < 0:
		return Plural(int64(-n), "day", "days") + " ago"
	default:
		return "in " + Plural(int64(n), "day", "days")
	}
}

// Days is distance, then date: "in 7 days (Mon, Dec 1)".
func Days(t, now models.Time, loc *time.Location) string {
	return InDays(t, now, loc) + " (" + Date(t, now, loc) + ")"
}

// Ago is how long something was ago, in one unit: "12 seconds ago".
func Ago(t, now models.Time) string {
	d := max(0, now.Sub(t))
	switch {
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return Plural(int64(d/time.Second), "second", "seconds") + " ago"
	case d < time.Hour:
		return Plural(int64(d/time.Minute), "minute", "minutes") + " ago"
	case d < 48*time.Hour:
		return Plural(int64(d/time.Hour), "hour", "hours") + " ago"
	default:
		return Plural(int64(d/(24*time.Hour)), "day", "days") + " ago"
	}
}
