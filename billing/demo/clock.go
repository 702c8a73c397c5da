// Package demo makes a business to look at: a clock that can be moved forward
// and a deterministic seed. The seed goes only through billing's verbs and the
// payment simulator, so that what a visitor sees was made the way they would
// make it.
//
// It is never part of a real installation.
package demo

import (
	"sync/atomic"
	"time"

	"refill/billing/problem"
	"refill/models"
)

// Clock is domain time ahead of (while seeding: behind) the wall by an offset.
type Clock struct {
	offset atomic.Int64 // microseconds
	frozen atomic.Int64 // an instant, while seeding; 0: running
}

// NewClock starts a clock with an offset of microseconds.
func NewClock(offset int64) *Clock {
	c := &Clock{}
	c.offset.Store(offset)
	return c
}

// Now is the wall's time plus the offset.
func (c *Clock) Now() models.Time {
	if f := c.frozen.Load(); f != 0 {
		return models.Time(f)
	}
	return models.At(time.Now()) + models.Time(c.offset.Load()) //nolint:forbidigo // the one place where the demo meets the wall
}

// Offset is how far the clock is ahead, in microseconds.
func (c *Clock) Offset() int64 { return c.offset.Load() }

// Advance moves the clock forward to an instant; one of the second before now
// was now when it was asked for, and moves nothing. Errors: clock_backwards.
func (c *Clock) Advance(to models.Time) error {
	now := c.Now()
	if to < now.Add(-time.Second) {
		return problem.New(problem.Invalid, "clock_backwards", "Time only moves forward; it is %s now.", now.RFC3339()).On("to")
	}
	c.offset.Add(max(0, int64(to-now)))
	return nil
}

// freeze stops the clock at an instant, for seeding the past.
func (c *Clock) freeze(at models.Time) { c.frozen.Store(int64(at)) }

// run lets the clock go on from the wall again.
func (c *Clock) run() { c.frozen.Store(0) }
