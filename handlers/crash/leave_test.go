//go:build linux

package crash

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
	"github.com/stretchr/testify/require"
)

// leaveLimit is how long a portal that is told to end may take, its delay apart.
const leaveLimit = 15 * time.Second

// terminate asks a portal to end, as a supervisor does.
func (p *portal) terminate() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = true
	return p.cmd.Process.Signal(syscall.SIGTERM)
}

// left waits until a portal that was asked has ended, and gives its exit code.
func (p *portal) left(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(leaveLimit + time.Minute):
		t.Fatalf("the portal stays: %s", p.said())
		return -1
	}
}

// probes are what readiness and liveness of the first portal say; 0 is no answer.
func (h *house) probes() []int {
	var out []int
	for _, path := range []string{"/readyz", "/healthz"} {
		req, err := http.NewRequestWithContext(h.ctx, http.MethodGet, "http://"+h.portals[0].addr+path, http.NoBody)
		require.NoError(h.t, err)
		req.Close = true
		status := 0
		if res, err := http.DefaultClient.Do(req); err == nil {
			status = res.StatusCode
			require.NoError(h.t, res.Body.Close())
		}
		out = append(out, status)
	}
	return out
}

// block keeps everybody from booking until the function it gives is called.
func (h *house) block() (release func()) {
	driver, source, statement := "sqlite3", "file:"+h.data+"/refill.db?_txlock=immediate", "SELECT 1"
	if h.server != nil {
		driver, source, statement = "pgx", h.direct(), "LOCK TABLE wallets IN EXCLUSIVE MODE"
	}
	db, err := sql.Open(driver, source)
	require.NoError(h.t, err)
	tx, err := db.BeginTx(h.ctx, nil)
	require.NoError(h.t, err)
	_, err = tx.ExecContext(h.ctx, statement)
	require.NoError(h.t, err)
	return func() {
		require.NoError(h.t, tx.Rollback())
		require.NoError(h.t, db.Close())
	}
}

// A portal that is told to end says first that it is not ready, and takes requests
// meanwhile; then it takes no more, and answers those it took, however long their
// commit takes. It ends with 0.
func TestAPortalThatLeavesAnswersWhatItTook(t *testing.T) {
	t.Parallel()
	const delay = 1500 * time.Millisecond
	names := []string{"sqlite", "postgres"}[:min(1+kills(1, 0), 2)] // in make test, the first
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, options{what: "portal told to end, " + name, sqlite: name == "sqlite", clients: 6, env: []string{"REFILL_DRAIN_DELAY=" + delay.String()}})
			p := h.portals[0]
			w := &worker{crew: h.crew, rng: rand.New(rand.NewPCG(h.seed, 3)), name: "leaver"}
			leave := func() {
				h.crew.gate.Lock() // the crew waits
				defer h.crew.gate.Unlock()
				release := h.block()
				answers := make(chan *act, 2)
				ask := func() {
					a := w.chargeAct()
					go func() {
						a.status, _ = h.crew.once(rand.New(rand.NewPCG(1, 1)), a)
						answers <- a
					}()
				}
				ask()
				pause(h.ctx, 50*time.Millisecond)
				require.NoError(t, p.terminate())
				told := time.Now()
				probes := h.probes()
				for ; probes[0] == http.StatusOK; probes = h.probes() {
					pause(h.ctx, time.Millisecond)
				}
				require.Equal(t, []int{http.StatusServiceUnavailable, http.StatusOK}, probes)
				ask() // one that comes late is taken as well
				for h.probes()[1] != 0 {
					pause(h.ctx, 5*time.Millisecond)
				}
				require.GreaterOrEqual(t, time.Since(told), delay, "refused only after the delay")
				require.Empty(t, answers, "nothing was booked yet")
				release()
				var taken []*act
				for range cap(answers) {
					a := <-answers
					require.Contains(t, []int{http.StatusCreated, http.StatusPaymentRequired}, a.status, "%s", p.said()) // one client has little
					taken = append(taken, a)
				}
				require.Zero(t, p.left(t), "%s", p.said())
				require.Less(t, time.Since(told), leaveLimit)
				require.NoError(t, p.start(h.ctx))
				for _, a := range taken {
					w.do(w.rng, a) // which writes it down
				}
			}
			for range kills(100, 1) {
				leave()
			}

			// And with everybody at work.
			n := kills(10, 2)
			for range n {
				pause(h.ctx, 100*time.Millisecond)
				before := h.crew.cut.Load()
				require.NoError(t, p.terminate())
				// Who shares requests out sees it and sends no more: the kernel resets a
				// connection that waits when a port closes, which no program can answer.
				for h.probes()[0] == http.StatusOK {
					pause(h.ctx, time.Millisecond)
				}
				h.crew.away.Store(true)
				require.Zero(t, p.left(t), "%s", p.said())
				require.Equal(t, before, h.crew.cut.Load(), "every request that was taken was answered")
				require.NoError(t, p.start(h.ctx))
				h.crew.away.Store(false)
			}
			h.report(fmt.Sprint(n, " times under load"))
		})
	}
}
