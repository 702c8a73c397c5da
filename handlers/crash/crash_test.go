//go:build linux

package crash

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// restless kills portals at random moments: while they start, under load, and
// while they do nothing in particular.
func (h *house) restless(times, lookEvery int) {
	for n := 1; n <= times; n++ {
		p := h.portals[h.rng.IntN(len(h.portals))]
		pause(h.ctx, time.Duration(h.rng.ExpFloat64()*float64(60*time.Millisecond)))
		h.alive()
		p.kill()
		if h.rng.IntN(10) == 0 { // again, while it starts
			_, err := p.spawn()
			require.NoError(h.t, err)
			pause(h.ctx, time.Duration(h.rng.IntN(100))*time.Millisecond)
			p.kill()
			n++
		}
		require.NoError(h.t, p.start(h.ctx))
		if n%lookEvery == 0 {
			h.crew.check(false)
		}
	}
}

func TestKilledPortalsForgetNothing(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		h := open(t, options{what: "portal killed on SQLite", sqlite: true, clients: 10, till: true})
		n := kills(2, 6)
		h.restless(n, 250)
		h.report(fmt.Sprint(n, " kills"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		h := open(t, options{what: "portal killed on PostgreSQL", clients: 10, till: true})
		n := kills(4, 4)
		h.restless(n, 250)
		h.report(fmt.Sprint(n, " kills"))
	})
	t.Run("two portals", func(t *testing.T) {
		t.Parallel()
		h := open(t, options{what: "one of two portals killed on PostgreSQL", portals: 2, clients: 10})
		n := kills(4, 4)
		h.restless(n, 250)
		h.report(fmt.Sprint(n, " kills"))
	})
}

// The portal is killed before and after every statement of every kind of act, and
// before and after the commit. What the portal was about to hear it never hears.
func TestKilledBetweenAnyTwoStatements(t *testing.T) {
	t.Parallel()
	h := open(t, options{what: "portal killed at named points", clients: 1})
	h.crew.dismiss()
	h.crew.ctx, h.crew.fire = context.WithCancel(h.ctx)
	w := &worker{crew: h.crew, rng: h.rng, name: "point"}
	points, times := map[string]bool{}, 0
	ops := []struct {
		name string
		make func() *act
	}{
		{"charge", w.chargeAct},
		{"hold", w.holdAct},
		{"capture", func() *act { return w.captureAct(w.granted(w.holdAct)) }},
		{"release", func() *act { return w.releaseAct(w.granted(w.holdAct)) }},
		{"assignment", func() *act { return w.assign(w.key(), "client1", "3") }},
		{"take-back", w.takeBackAct},
		{"adjustment", w.adjustAct},
		{"reversal", func() *act { return w.reverseAct(w.granted(w.chargeAct)) }},
	}
	step := kills(2000, 0) // in make test, a point here and there
	for i, op := range ops {
		if step == 0 && i > 0 {
			break
		}
		for at := 1; ; at++ {
			reached := false
			for _, when := range []fate{before, after} {
				if step == 0 && h.rng.IntN(4) > 0 {
					reached = reached || at < 12
					continue
				}
				a := op.make()
				point := h.killAt(w, a, at, when)
				if point == "" {
					continue
				}
				reached = true
				times++
				points[op.name+" "+point] = true
			}
			if !reached {
				break
			}
		}
		h.crew.check(false)
	}
	h.report(fmt.Sprintf("%d kills at %d points of %d kinds of act", times, len(points), len(ops)))
}

// killAt kills the portal at the nth statement after an act was sent, and repeats
// the act. It gives the point's name; "" when the act was done before.
func (h *house) killAt(w *worker, a *act, nth int, when fate) string {
	p := h.portals[0]
	var seen atomic.Int64
	var point atomic.Pointer[string]
	h.wire.rule.Store(&rule{
		judge: func(event) fate {
			if seen.Add(1) == int64(nth) {
				return when
			}
			return pass
		},
		then: func(e event, f fate) {
			name := map[fate]string{before: "before ", after: "after "}[f] + e.String()
			point.Store(&name)
			p.kill()
		},
	})
	c := h.crew
	status, raw := c.once(w.rng, a)
	h.wire.rule.Store(nil)
	name := point.Load()
	if status == 0 || name != nil {
		p.kill() // it may have been about to be
		if name = point.Load(); name == nil {
			h.t.Fatalf("no answer, and nothing was killed: %s", p.said())
		}
		require.NoError(h.t, p.start(h.ctx))
	}
	done := w.do(w.rng, a)
	if status == http.StatusOK || status == http.StatusCreated { // answered although it was killed: then it must be so
		if first := sha256.Sum256(raw); done == nil || done.digest != first {
			c.tell(func(f *findings) { f.changed++ }, "%s %s was answered %d %s while it was killed, and otherwise when it was repeated", a.kind, a.key, status, raw)
		}
	}
	if name == nil {
		return ""
	}
	return *name
}

// The server is killed, children and all; portals stay and find it again.
func TestAKilledServerForgetsNothing(t *testing.T) {
	t.Parallel()
	h := open(t, options{what: "PostgreSQL killed", clients: 10})
	n := kills(2, 2)
	h.killServer(n, 200)
	h.report(fmt.Sprint(n, " kills"))
}

func (h *house) killServer(times, lookEvery int) {
	for n := 1; n <= times; n++ {
		pause(h.ctx, time.Duration(20+h.rng.ExpFloat64()*100)*time.Millisecond)
		require.NoError(h.t, h.server.Kill())
		if n == 1 {
			require.Equal(h.t, []int{http.StatusServiceUnavailable, http.StatusOK}, h.probes(), "not ready, and alive")
		}
		require.NoError(h.t, h.server.Restart(h.ctx))
		h.wire.point(h.server.URL)
		h.recovers()
		if n == 1 {
			require.Equal(h.t, []int{http.StatusOK, http.StatusOK}, h.probes(), "ready again by itself")
		}
		if lookEvery > 0 && n%lookEvery == 0 {
			h.crew.check(false)
		}
	}
}

// recovers waits until something is acknowledged again.
func (h *house) recovers() {
	limit := time.Now().Add(30 * time.Second)
	begun := time.Now().UnixMicro()
	for h.crew.lastAck.Load() < begun {
		h.alive()
		if time.Now().After(limit) {
			h.t.Fatalf("nothing is acknowledged for 30 seconds: %s", h.portals[0].said())
		}
		pause(h.ctx, 2*time.Millisecond)
	}
}

// With synchronous_commit off a killed server loses what it acknowledged last.
// The portal refuses to start on such a server, so it is turned off behind its
// back. If this run found nothing, the others would prove nothing.
func TestTheControlLosesCharges(t *testing.T) {
	t.Parallel()
	h := open(t, options{what: "control: synchronous_commit off", clients: 10, settings: []string{"wal_writer_delay=500ms"}})
	conn, err := pgx.Connect(h.ctx, h.server.URL)
	require.NoError(t, err)
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()"} {
		_, err = conn.Exec(h.ctx, sql)
		require.NoError(t, err)
	}
	require.NoError(t, conn.Close(h.ctx))
	n := kills(66, 2)
	var killed, found int
	for killed < 5*n && found == 0 { // on a busy machine little is acknowledged before each
		h.killServer(n, 0)
		killed += n
		h.crew.gate.Lock()
		h.crew.compare()
		found = h.crew.found.lost + h.crew.found.changed
		h.crew.gate.Unlock()
	}
	t.Logf("crash: %s: %d kills, seed %d: %d acknowledged, %d lost, %d answers changed", h.what, killed, h.seed, len(h.crew.journal), h.crew.found.lost, h.crew.found.changed)
	require.Positive(t, found, "the control lost nothing: this harness is blind")
}

// The connection breaks when COMMIT is on its way, or done and not yet answered:
// the portal cannot know which.
func TestCutsAtTheCommit(t *testing.T) {
	t.Parallel()
	h := open(t, options{what: "connection cut after COMMIT was sent", clients: 10})
	const lookEvery = 500
	n := int64(kills(1, 20))
	var commits, done atomic.Int64
	looks := make(chan struct{}, n/lookEvery+1)
	h.wire.rule.Store(&rule{
		judge: func(e event) fate {
			if !e.commit || !e.books {
				return pass
			}
			switch commits.Add(1) % 4 {
			case 1:
				return sent
			case 3:
				return after
			}
			return pass
		},
		then: func(event, fate) {
			if k := done.Add(1); k == n || k < n && k%lookEvery == 0 {
				looks <- struct{}{}
			}
		},
	})
	for done.Load() < n {
		select {
		case <-looks:
			if done.Load() < n {
				h.crew.check(false)
			}
		case <-time.After(30 * time.Second):
			h.alive()
			require.Greater(t, h.crew.lastAck.Load(), time.Now().Add(-30*time.Second).UnixMicro(), "nothing is acknowledged: %s", h.portals[0].said())
		}
	}
	h.wire.rule.Store(nil)
	h.report(fmt.Sprint(done.Load(), " cuts"))
}
