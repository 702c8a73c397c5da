package period_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // zones on a machine that has none

	"pgregory.net/rapid"

	"refill/billing/period"
	"refill/models"
)

// check is what *testing.T and *rapid.T have in common.
type check interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// zones are those whose clocks do something out of the ordinary: gaps and
// overlaps at midnight and elsewhere, half and quarter hours, days left out,
// rules that changed, seasons of the south, both ends of the world.
func zones() []string {
	return []string{
		"UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia",
		"Pacific/Kiritimati", "Pacific/Pago_Pago", "Australia/Lord_Howe", "Australia/Adelaide", "America/Sao_Paulo",
		"America/Havana", "America/St_Johns", "Asia/Beirut", "Africa/Cairo", "Africa/Casablanca", "Asia/Tehran",
		"Pacific/Chatham", "Pacific/Kwajalein", "America/Asuncion", "Europe/Dublin", "Antarctica/Troll", "Asia/Pyongyang",
	}
}

func zone(t check, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func instant(t *testing.T, text string) models.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return models.At(at)
}

func show(t models.Time, loc *time.Location) string {
	if t == models.Never {
		return "never"
	}
	return t.In(loc).Format(time.RFC3339Nano)
}

func TestAtKnownAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, zone, anchor string
		every              period.Every
		n                  int
		want               string
	}{
		{"the anchor", "UTC", "2025-01-31T09:30:00Z", period.Month, 0, "2025-01-31T09:30:00Z"},
		{"clamped", "UTC", "2025-01-31T09:30:00Z", period.Month, 1, "2025-02-28T09:30:00Z"},
		{"and back to the 31st", "UTC", "2025-01-31T09:30:00Z", period.Month, 2, "2025-03-31T09:30:00Z"},
		{"leap year", "UTC", "2023-10-31T00:00:00Z", period.Month, 4, "2024-02-29T00:00:00Z"},
		{"no leap year in 2100", "UTC", "2099-12-31T00:00:00Z", period.Month, 2, "2100-02-28T00:00:00Z"},
		{"over the year", "UTC", "2025-11-15T00:00:00Z", period.Month, 3, "2026-02-15T00:00:00Z"},
		{"backwards", "UTC", "2025-03-31T00:00:00Z", period.Month, -1, "2025-02-28T00:00:00Z"},
		{"backwards over the year", "UTC", "2025-01-31T00:00:00Z", period.Month, -2, "2024-11-30T00:00:00Z"},
		{"29 February, next year", "UTC", "2024-02-29T12:00:00Z", period.Year, 1, "2025-02-28T12:00:00Z"},
		{"29 February, next leap year", "UTC", "2024-02-29T12:00:00Z", period.Year, 4, "2028-02-29T12:00:00Z"},
		{"microseconds are kept", "UTC", "2025-01-31T09:30:00.123456Z", period.Month, 1, "2025-02-28T09:30:00.123456Z"},

		{"wall clock is kept over the change", "Europe/Paris", "2025-03-15T10:00:00+01:00", period.Month, 1, "2025-04-15T10:00:00+02:00"},
		{"gap: first instant after it", "Europe/Paris", "2025-01-30T02:30:00+01:00", period.Month, 2, "2025-03-30T03:00:00+02:00"},
		{"after the gap the anchor's clock again", "Europe/Paris", "2025-01-30T02:30:00+01:00", period.Month, 3, "2025-04-30T02:30:00+02:00"},
		{"overlap: the first of the two", "Europe/Paris", "2025-08-26T02:30:00+02:00", period.Month, 2, "2025-10-26T02:30:00+02:00"},
		{"an anchor in the second of the two stays", "Europe/Paris", "2025-10-26T02:30:00+01:00", period.Month, 0, "2025-10-26T02:30:00+01:00"},
		{"the day is the zone's, not UTC's", "Asia/Kolkata", "2025-01-30T19:00:00Z", period.Month, 1, "2025-02-28T00:30:00+05:30"},
		{"a day left out", "Pacific/Apia", "2011-10-30T12:00:00-10:00", period.Month, 2, "2011-12-31T00:00:00+14:00"},
		{"and the month after", "Pacific/Apia", "2011-10-30T12:00:00-10:00", period.Month, 3, "2012-01-30T12:00:00+14:00"},
		{"gap of midnight", "America/Sao_Paulo", "2018-09-04T00:00:00-03:00", period.Month, 2, "2018-11-04T01:00:00-02:00"},
		{"gap of half an hour", "Australia/Lord_Howe", "2025-09-05T02:15:00+10:30", period.Month, 1, "2025-10-05T02:30:00+11:00"},

		{"none", "UTC", "2025-01-31T00:00:00Z", period.None, 0, "2025-01-31T00:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			loc := zone(t, tt.zone)
			got := period.At(instant(t, tt.anchor), loc, tt.every, tt.n)
			if got != instant(t, tt.want) {
				t.Errorf("period %d starts %s, want %s", tt.n, show(got, loc), tt.want)
			}
		})
	}
	anchor := instant(t, "2025-01-31T00:00:00Z")
	if got := period.At(anchor, time.UTC, period.None, 1); got != models.Never {
		t.Errorf("the one period ends %s, want never", show(got, time.UTC))
	}
}

func TestContainingKnownAnswers(t *testing.T) {
	t.Parallel()
	anchor := instant(t, "2025-01-31T09:00:00Z")
	tests := []struct {
		at, start, end string
		n              int
		every          period.Every
	}{
		{"2025-01-31T09:00:00Z", "2025-01-31T09:00:00Z", "2025-02-28T09:00:00Z", 0, period.Month},
		{"2025-02-28T08:59:59.999999Z", "2025-01-31T09:00:00Z", "2025-02-28T09:00:00Z", 0, period.Month},
		{"2025-02-28T09:00:00Z", "2025-02-28T09:00:00Z", "2025-03-31T09:00:00Z", 1, period.Month},
		{"2025-03-31T08:00:00Z", "2025-02-28T09:00:00Z", "2025-03-31T09:00:00Z", 1, period.Month},
		{"2025-01-31T08:59:59.999999Z", "2024-12-31T09:00:00Z", "2025-01-31T09:00:00Z", -1, period.Month},
		{"2027-01-31T08:59:59.999999Z", "2026-01-31T09:00:00Z", "2027-01-31T09:00:00Z", 1, period.Year},
		{"2024-06-01T00:00:00Z", "2024-01-31T09:00:00Z", "2025-01-31T09:00:00Z", -1, period.Year},
	}
	for _, tt := range tests {
		n, start, end := period.Containing(anchor, time.UTC, tt.every, instant(t, tt.at))
		if n != tt.n || start != instant(t, tt.start) || end != instant(t, tt.end) {
			t.Errorf("%s lies in period %d, %s to %s; want %d, %s to %s",
				tt.at, n, show(start, time.UTC), show(end, time.UTC), tt.n, tt.start, tt.end)
		}
	}
	for _, at := range []models.Time{0, anchor, models.Never} {
		if n, start, end := period.Containing(anchor, time.UTC, period.None, at); n != 0 || start != anchor || end != models.Never {
			t.Errorf("with none, %d lies in period %d, %d to %d", at, n, start, end)
		}
	}
	if period.Every("week").Valid() || !period.Month.Valid() || !period.Year.Valid() || !period.None.Valid() {
		t.Error("Valid does not know the lengths")
	}
}

// Values that no verb would pass must neither hang nor wrap.
func TestExtremes(t *testing.T) {
	t.Parallel()
	instants := []models.Time{-1 << 63, 0, 1, models.Never}
	for _, anchor := range instants {
		for _, at := range instants {
			for _, every := range []period.Every{period.Month, period.Year, period.None} {
				if _, start, end := period.Containing(anchor, time.UTC, every, at); start >= end {
					t.Errorf("%s from %d: %d lies in %d to %d", every, anchor, at, start, end)
				}
			}
		}
		for _, n := range []int{-1 << 63, -1, 1, 1<<63 - 1} {
			if a, b := period.At(anchor, time.UTC, period.Month, n), period.At(anchor, time.UTC, period.Year, n); a == 0 || b == 0 {
				t.Errorf("period %d of anchor %d starts %d and %d", n, anchor, a, b)
			}
		}
		for _, s := range []period.Span{period.Hour(anchor, time.UTC), period.Day(anchor, time.UTC), period.Week(anchor, time.UTC, time.Monday), period.CalendarMonth(anchor, time.UTC)} {
			if s.Start >= s.End {
				t.Errorf("bucket of %d is %+v", anchor, s)
			}
		}
	}
	if days := period.Days(models.Never, models.Never, time.UTC); days != nil {
		t.Errorf("an empty range has days %v", days)
	}
}

// TestExhaustive is F-26: every anchor day in 48 months, 24 periods on, in 12
// zones, at 4 times of day, among them those that clock changes skip and repeat.
func TestExhaustive(t *testing.T) {
	t.Parallel()
	clocks := []time.Duration{0, 2*time.Hour + 30*time.Minute, 12 * time.Hour, 23*time.Hour + 59*time.Minute + 59*time.Second}
	for _, name := range []string{
		"UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Pacific/Kiritimati",
		"Pacific/Pago_Pago", "Australia/Lord_Howe", "Australia/Adelaide", "America/Sao_Paulo", "Africa/Cairo", "Asia/Kathmandu",
	} {
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) {
			t.Parallel()
			loc := zone(t, name)
			for month := range 48 {
				for dom := 1; dom <= 31; dom++ {
					date := time.Date(2009, time.Month(6+month), dom, 0, 0, 0, 0, time.UTC)
					if date.Day() != dom {
						continue
					}
					for _, clock := range clocks {
						at := date.Add(clock)
						anchor := models.At(time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, loc))
						checkPeriods(t, anchor, loc, 24)
					}
				}
			}
		})
	}
}

// checkPeriods holds n periods after the anchor against the rules.
func checkPeriods(t *testing.T, anchor models.Time, loc *time.Location, count int) {
	t.Helper()
	for n := range count {
		start, end := period.At(anchor, loc, period.Month, n), period.At(anchor, loc, period.Month, n+1)
		if start >= end {
			t.Fatalf("anchor %s: period %d is %s to %s", show(anchor, loc), n, show(start, loc), show(end, loc))
		}
		for _, at := range []models.Time{start, end - 1} {
			if i, from, to := period.Containing(anchor, loc, period.Month, at); i != n || from != start || to != end {
				t.Fatalf("anchor %s: %s lies in period %d, not %d", show(anchor, loc), show(at, loc), i, n)
			}
		}
		if n == 0 {
			if start != anchor {
				t.Fatalf("anchor %s: period 0 starts %s", show(anchor, loc), show(start, loc))
			}
			continue
		}
		checkWall(t, start, wallOf(anchor, loc, period.Month, n), loc)
	}
}

// wallOf is what a clock should show when period n begins, written in UTC.
func wallOf(anchor models.Time, loc *time.Location, every period.Every, n int) time.Time {
	if every == period.Year {
		n *= 12
	}
	local := anchor.In(loc)
	last := time.Date(local.Year(), local.Month()+time.Month(n)+1, 0, 0, 0, 0, 0, time.UTC)
	return time.Date(last.Year(), last.Month(), min(local.Day(), last.Day()),
		local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), time.UTC)
}

// checkWall demands that an instant shows the wall time, and is the first to do
// so, or else is the first one after a gap that swallowed it.
func checkWall(t check, got models.Time, wall time.Time, loc *time.Location) {
	t.Helper()
	reading := func(at models.Time) time.Time {
		l := at.In(loc)
		return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
	}
	switch shown := reading(got); {
	case shown.Equal(wall):
		for _, earlier := range []time.Duration{20 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 24 * time.Hour} {
			if reading(got.Add(-earlier)).Equal(wall) {
				t.Fatalf("%s is the second time the clock shows %s", show(got, loc), wall)
			}
		}
	case shown.Before(wall) || !reading(got-1).Before(wall):
		t.Fatalf("%s is not the first instant after the gap over %s", show(got, loc), wall)
	}
}

// TestPeriodsProperty takes anchors from 400 years, in all the odd zones.
func TestPeriodsProperty(t *testing.T) {
	t.Parallel()
	from, to := instant(t, "1850-01-01T00:00:00Z"), instant(t, "2250-01-01T00:00:00Z")
	rapid.Check(t, func(t *rapid.T) {
		loc := zone(t, rapid.SampledFrom(zones()).Draw(t, "zone"))
		anchor := models.Time(rapid.Int64Range(int64(from), int64(to)).Draw(t, "anchor"))
		at := models.Time(rapid.Int64Range(int64(from), int64(to)).Draw(t, "t"))
		every := rapid.SampledFrom([]period.Every{period.Month, period.Year}).Draw(t, "every")
		n, start, end := period.Containing(anchor, loc, every, at)
		if at < start || at >= end {
			t.Fatalf("%s is not in %s to %s", show(at, loc), show(start, loc), show(end, loc))
		}
		if start != period.At(anchor, loc, every, n) || end != period.At(anchor, loc, every, n+1) {
			t.Fatalf("period %d is not what At says", n)
		}
		if n != 0 {
			checkWall(t, start, wallOf(anchor, loc, every, n), loc)
		}
	})
}

func TestBucketsKnownAnswers(t *testing.T) {
	t.Parallel()
	day, hour := period.Day, period.Hour
	week := func(t models.Time, loc *time.Location) period.Span { return period.Week(t, loc, time.Monday) }
	sunday := func(t models.Time, loc *time.Location) period.Span { return period.Week(t, loc, time.Sunday) }
	month := period.CalendarMonth
	tests := []struct {
		name, zone     string
		bucket         func(models.Time, *time.Location) period.Span
		at, start, end string
	}{
		{"day", "UTC", day, "2025-11-22T23:59:59.999999Z", "2025-11-22T00:00:00Z", "2025-11-23T00:00:00Z"},
		{"day of 23 hours", "Europe/Paris", day, "2025-03-30T12:00:00+02:00", "2025-03-30T00:00:00+01:00", "2025-03-31T00:00:00+02:00"},
		{"day of 25 hours", "Europe/Paris", day, "2025-10-26T12:00:00+01:00", "2025-10-26T00:00:00+02:00", "2025-10-27T00:00:00+01:00"},
		{"half past in UTC", "Asia/Kolkata", day, "2025-11-22T18:30:00Z", "2025-11-23T00:00:00+05:30", "2025-11-24T00:00:00+05:30"},
		{"the day before a day left out", "Pacific/Apia", day, "2011-12-29T23:59:59-10:00", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"},
		{"midnight left out", "America/Sao_Paulo", day, "2018-11-04T12:00:00-02:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		{"midnight twice", "America/Havana", day, "2025-11-02T00:30:00-05:00", "2025-11-02T00:00:00-04:00", "2025-11-03T00:00:00-05:00"},
		{"clock set back over midnight", "America/St_Johns", day, "2010-11-06T23:30:00-03:30", "2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30"},
		{"last day of a leap year", "Australia/Adelaide", day, "2028-12-31T12:00:00+10:30", "2028-12-31T00:00:00+10:30", "2029-01-01T00:00:00+10:30"},

		{"hour", "Asia/Kolkata", hour, "2025-11-22T18:45:00Z", "2025-11-23T00:00:00+05:30", "2025-11-23T01:00:00+05:30"},
		{"hour before the gap", "Europe/Paris", hour, "2025-03-30T01:59:59+01:00", "2025-03-30T01:00:00+01:00", "2025-03-30T03:00:00+02:00"},
		{"first pass of the hour that comes twice", "Europe/Paris", hour, "2025-10-26T02:30:00+02:00", "2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00"},
		{"second pass", "Europe/Paris", hour, "2025-10-26T02:30:00+01:00", "2025-10-26T02:00:00+01:00", "2025-10-26T03:00:00+01:00"},
		{"cut by half an hour forward", "Australia/Lord_Howe", hour, "2025-10-05T02:45:00+11:00", "2025-10-05T02:30:00+11:00", "2025-10-05T03:00:00+11:00"},
		{"cut by half an hour back", "Australia/Lord_Howe", hour, "2025-04-06T01:45:00+10:30", "2025-04-06T01:30:00+10:30", "2025-04-06T02:00:00+10:30"},
		{"no cut at the turn of the year", "Australia/Adelaide", hour, "2030-01-01T10:45:00+10:30", "2030-01-01T10:00:00+10:30", "2030-01-01T11:00:00+10:30"},

		{"week", "Europe/Paris", week, "2025-03-30T12:00:00+02:00", "2025-03-24T00:00:00+01:00", "2025-03-31T00:00:00+02:00"},
		{"week from Sunday", "Europe/Paris", sunday, "2025-03-30T12:00:00+02:00", "2025-03-30T00:00:00+01:00", "2025-04-06T00:00:00+02:00"},
		{"month", "Europe/Paris", month, "2025-03-30T12:00:00+02:00", "2025-03-01T00:00:00+01:00", "2025-04-01T00:00:00+02:00"},
		{"December", "UTC", month, "2025-12-31T23:59:59Z", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			loc := zone(t, tt.zone)
			want := period.Span{Start: instant(t, tt.start), End: instant(t, tt.end)}
			for _, at := range []models.Time{instant(t, tt.at), want.Start, want.End - 1} {
				if got := tt.bucket(at, loc); got != want {
					t.Errorf("%s lies in %s to %s, want %s to %s", show(at, loc), show(got.Start, loc), show(got.End, loc), tt.start, tt.end)
				}
			}
		})
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	apia := zone(t, "Pacific/Apia")
	var got []string
	for _, s := range period.Days(instant(t, "2011-12-28T12:00:00-10:00"), instant(t, "2012-01-01T00:00:00+14:00"), apia) {
		got = append(got, fmt.Sprint(s.Start.In(apia).Format("01-02"), " ", s.Length()))
	}
	if want := []string{"12-28 24h0m0s", "12-29 24h0m0s", "12-31 24h0m0s"}; !slices.Equal(got, want) {
		t.Errorf("days are %q, want %q", got, want)
	}
	paris := zone(t, "Europe/Paris")
	if n := len(period.Hours(instant(t, "2025-10-26T00:00:00+02:00"), instant(t, "2025-10-27T00:00:00+01:00"), paris)); n != 25 {
		t.Errorf("the long day has %d hours", n)
	}
	if n := len(period.Weeks(instant(t, "2025-10-01T00:00:00Z"), instant(t, "2025-11-01T00:00:00Z"), paris, time.Monday)); n != 5 {
		t.Errorf("October 2025 touches %d weeks", n)
	}
	if n := len(period.CalendarMonths(instant(t, "2025-10-01T00:00:00Z"), instant(t, "2026-10-01T00:00:00Z"), time.UTC)); n != 12 {
		t.Errorf("a year has %d months", n)
	}
	at := instant(t, "2025-10-26T12:00:00Z")
	if s := period.Day(at, paris); period.DayStart(at, paris) != s.Start || !s.Contains(at) || s.Contains(s.End) || s.Contains(s.Start-1) {
		t.Errorf("the day of %s is %+v", show(at, paris), s)
	}
}

// TestBucketsTile walks the buckets of stretches around random instants of 400
// years: they touch, hold what they are asked for, and agree wherever asked.
func TestBucketsTile(t *testing.T) {
	t.Parallel()
	from, to := instant(t, "1850-01-01T00:00:00Z"), instant(t, "2250-01-01T00:00:00Z")
	rapid.Check(t, func(t *rapid.T) {
		loc := zone(t, rapid.SampledFrom(zones()).Draw(t, "zone"))
		at := models.Time(rapid.Int64Range(int64(from), int64(to)).Draw(t, "t"))
		first := rapid.SampledFrom([]time.Weekday{time.Sunday, time.Monday, time.Saturday}).Draw(t, "first")
		for name, bucket := range map[string]func(models.Time) period.Span{
			"hour":  func(t models.Time) period.Span { return period.Hour(t, loc) },
			"day":   func(t models.Time) period.Span { return period.Day(t, loc) },
			"week":  func(t models.Time) period.Span { return period.Week(t, loc, first) },
			"month": func(t models.Time) period.Span { return period.CalendarMonth(t, loc) },
		} {
			for range 40 {
				s := bucket(at)
				if !s.Contains(at) {
					t.Fatalf("%s of %s is %s to %s", name, show(at, loc), show(s.Start, loc), show(s.End, loc))
				}
				inside := models.Time(rapid.Int64Range(int64(s.Start), int64(s.End-1)).Draw(t, "inside"))
				if other := bucket(inside); other != s {
					t.Fatalf("%s of %s is %+v, of %s %+v", name, show(at, loc), s, show(inside, loc), other)
				}
				if before := bucket(s.Start - 1); before.End != s.Start {
					t.Fatalf("%s before %s ends %s", name, show(s.Start, loc), show(before.End, loc))
				}
				at = s.End
			}
		}
	})
}

// Usage is counted by the quarter-hour (DESIGN 5), so every bucket a chart can
// ask for today must begin on one.
func TestBucketsBeginOnQuarterHours(t *testing.T) {
	t.Parallel()
	const quarter = 15 * 60 * 1_000_000
	from, to := instant(t, "2020-01-01T00:00:00Z"), instant(t, "2041-01-01T00:00:00Z")
	for _, name := range zones() {
		loc := zone(t, name)
		for at := from; at < to; {
			day := period.Day(at, loc)
			if day.Start%quarter != 0 {
				t.Fatalf("%s: a day begins %s", name, show(day.Start, loc))
			}
			if day.Length() != 24*time.Hour {
				for _, h := range period.Hours(day.Start, day.End, loc) {
					if h.Start%quarter != 0 {
						t.Fatalf("%s: an hour begins %s", name, show(h.Start, loc))
					}
				}
			}
			at = day.End
		}
	}
}
