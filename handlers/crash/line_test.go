//go:build linux

package crash

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The line between portals and server goes silent, slows down and breaks within
// messages; the server stands still for seconds, and so does one of two portals, with
// its locks. Whoever hears nothing asks again.
func TestABadLineForgetsNothing(t *testing.T) {
	t.Parallel()
	h := open(t, options{what: "bad lines and standing still on PostgreSQL", portals: 2, clients: 10})
	silences, slow, stops, halts, tears := kills(20, 2), kills(20, 1), kills(40, 1), kills(40, 1), kills(2, 16)
	spell := func() time.Duration { // long ones are rare
		return time.Duration(200+h.rng.ExpFloat64()*float64(800)) * time.Millisecond
	}
	looked := 0
	look := func() {
		if looked++; looked%50 == 0 {
			h.crew.check(false)
		}
	}
	for n := range silences {
		over := make(chan struct{})
		h.wire.weather.Store(&weather{over: over})
		pause(h.ctx, spell())
		h.wire.weather.Store(nil)
		if n%2 == 0 { // what was on its way never arrives
			h.wire.cutAll()
		}
		close(over)
		h.recovers()
		look()
	}
	for range slow {
		h.wire.weather.Store(&weather{delay: time.Duration(2+h.rng.IntN(30)) * time.Millisecond})
		pause(h.ctx, spell())
		h.recovers() // while it is slow
		h.wire.weather.Store(nil)
		look()
	}
	h.tear(tears)
	for range stops {
		thaw, err := h.server.Freeze()
		require.NoError(t, err)
		pause(h.ctx, 2*spell())
		require.NoError(t, thaw())
		h.recovers()
		look()
	}
	for range halts {
		p := h.portals[h.rng.IntN(2)]
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
		pause(h.ctx, 2*spell())
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
		h.recovers()
		look()
	}
	h.report(fmt.Sprintf("%d silences, %d slow spells, %d messages torn, %d times the server and %d times a portal stood still", silences, slow, tears, stops, halts))
}

// tear breaks the line within messages of transactions that write.
func (h *house) tear(times int) {
	rng := rand.New(rand.NewPCG(h.seed, 11))
	turn := make(chan *rand.Rand, 1) // connections ask at once
	turn <- rng
	var done atomic.Int64
	h.wire.rule.Store(&rule{
		judge: func(e event) fate {
			rng := <-turn
			defer func() { turn <- rng }()
			if !e.books || done.Load() >= int64(times) || rng.IntN(8) > 0 {
				return pass
			}
			return []fate{torn, halfHeard}[rng.IntN(2)]
		},
		then: func(event, fate) { done.Add(1) },
	})
	for limit := time.Now().Add(time.Minute); done.Load() < int64(times); {
		before := done.Load()
		pause(h.ctx, 20*time.Millisecond)
		h.alive()
		if done.Load() > before {
			limit = time.Now().Add(time.Minute)
		}
		require.False(h.t, time.Now().After(limit), "nothing is written any more: %s", h.portals[0].said())
	}
	h.wire.rule.Store(nil)
	h.recovers()
}
