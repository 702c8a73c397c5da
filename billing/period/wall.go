package period

import (
	"time"

	"refill/models"
)

// day counts civil days since 1970-01-01; it knows no zone.
type day int64

const (
	secondsPerDay = 24 * 60 * 60
	microsPerSec  = 1_000_000
)

func dayOf(year int, month time.Month, dom int) day {
	// A day in UTC has 86,400 seconds, always; the division is exact.
	return day(time.Date(year, month, dom, 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay)
}

// localDay is the civil day a clock in the zone shows at an instant.
func localDay(t models.Time, loc *time.Location) day { return dayOf(t.In(loc).Date()) }

func (d day) date() (year int, month time.Month, dom int) {
	return time.Unix(int64(d)*secondsPerDay, 0).UTC().Date()
}

func (d day) weekday() time.Weekday { return time.Unix(int64(d)*secondsPerDay, 0).UTC().Weekday() }

// at is the instant at which a clock in the zone shows the civil day and the
// time of day in microseconds. It walks the zone's offsets in order of time, so
// the first of two such instants wins, and when a change skips the wall time
// the instant of the change does.
func (d day) at(timeOfDay int64, loc *time.Location) models.Time {
	wall := int64(d)*secondsPerDay*microsPerSec + timeOfDay // as if the zone were UTC
	// No zone is further than 16 hours from UTC, so a day earlier the clock has
	// certainly not shown it yet.
	probe := time.UnixMicro(wall).Add(-26 * time.Hour).In(loc)
	for {
		_, east := probe.Zone()
		start, end := probe.ZoneBounds()
		t := wall - int64(east)*microsPerSec
		if !start.IsZero() {
			t = max(t, start.UnixMicro())
		}
		// In the years a zone's rule covers, the library's bounds are also those of
		// the year, and in a leap year one day short: an end that does not advance
		// is no change of offset.
		if end.IsZero() || t < end.UnixMicro() || !end.After(probe) {
			return models.Time(t)
		}
		probe = end
	}
}

// timeOfDay is what a clock in the zone shows, in microseconds past midnight.
func timeOfDay(t models.Time, loc *time.Location) int64 {
	local := t.In(loc)
	hour, minute, second := local.Clock()
	return int64(hour*3600+minute*60+second)*microsPerSec + int64(local.Nanosecond()/1000)
}

// offset is the zone's seconds east of UTC at an instant.
func offset(t models.Time, loc *time.Location) int {
	_, seconds := t.In(loc).Zone()
	return seconds
}
