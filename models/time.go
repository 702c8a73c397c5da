package models

import (
	"math"
	"time"
)

// Time is an instant in microseconds since 1970-01-01 UTC, the unit both
// databases store. Zero means "not yet"; Never is later than every instant, so
// that lots which never expire sort last without a NULL.
type Time int64

// Never is the expiry of what does not expire.
const Never Time = math.MaxInt64

// At converts and truncates to microseconds.
func At(t time.Time) Time { return Time(t.UnixMicro()) }

// Go converts to the standard library's type, in UTC.
func (t Time) Go() time.Time { return time.UnixMicro(int64(t)).UTC() }

// In converts to a time in the given zone.
func (t Time) In(loc *time.Location) time.Time { return time.UnixMicro(int64(t)).In(loc) }

// Add moves the instant; Never stays Never.
func (t Time) Add(d time.Duration) Time {
	if t == Never {
		return Never
	}
	return t + Time(d.Microseconds())
}

// Sub is the time between two instants.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Microsecond }

// IsSet tells an instant from "not yet" and Never.
func (t Time) IsSet() bool { return t != 0 && t != Never }

// RFC3339 is the API's form with microseconds; unset and Never give "".
func (t Time) RFC3339() string {
	if !t.IsSet() {
		return ""
	}
	return t.Go().Format("2006-01-02T15:04:05.000000Z07:00")
}

// MarshalJSON writes the API's form, null when unset or Never.
func (t Time) MarshalJSON() ([]byte, error) {
	if !t.IsSet() {
		return []byte("null"), nil
	}
	return []byte(`"` + t.RFC3339() + `"`), nil
}

// UnmarshalJSON reads RFC 3339 or null.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = 0
		return nil
	}
	v, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(b))
	if err != nil {
		return err
	}
	*t = At(v)
	return nil
}

// Clock tells domain time. Verbs read it once.
type Clock interface{ Now() Time }

// ClockFunc makes a function a Clock.
type ClockFunc func() Time

// Now calls the function.
func (f ClockFunc) Now() Time { return f() }

// SystemClock is domain time that runs with the wall.
type SystemClock struct{}

// Now reads the wall clock.
func (SystemClock) Now() Time { return At(time.Now()) } //nolint:forbidigo // this is the clock that others inject
