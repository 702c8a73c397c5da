package demo_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/demo"
	"refill/billing/problem"
)

// The clock runs on while a request to stay where it is comes in.
func TestTheClockMayBeToldToStay(t *testing.T) {
	t.Parallel()
	c := demo.NewClock(0)
	require.NoError(t, c.Advance(c.Now().Add(-time.Millisecond)))
	require.Zero(t, c.Offset(), "it never goes back")
	require.True(t, problem.Is(c.Advance(c.Now().Add(-time.Minute)), "clock_backwards"))
	require.NoError(t, c.Advance(c.Now().Add(time.Hour)))
	require.InDelta(t, time.Hour.Microseconds(), c.Offset(), 1e6)
}
