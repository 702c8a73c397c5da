package ledger

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/problem"
	"refill/models"
)

// asked makes commands on wallets, by number; they are told apart by Units.
func asked(wallets ...int) []*command {
	out := make([]*command, len(wallets))
	for i, w := range wallets {
		out[i] = &command{charge: &ChargeRequest{Wallet: models.WalletID{15: byte(w)}, Units: int64(i)}}
	}
	return out
}

func queued(t *testing.T, crowd int, commands []*command) *intake {
	t.Helper()
	q := newIntake(1000)
	q.crowd = crowd
	n, err := q.add(commands)
	require.NoError(t, err)
	require.Len(t, commands, n)
	return q
}

// Few commands make one batch after the other, each with all that came.
func TestFewCommandsKeepOneLane(t *testing.T) {
	t.Parallel()
	q := queued(t, 3, asked(1, 2, 1, 3))
	first, held := q.take(10)
	require.Len(t, first, 4)
	require.Len(t, held, 3, "each wallet once")
	_, err := q.add(asked(4, 5))
	require.NoError(t, err)
	require.False(t, q.ready(), "two are no crowd")
	q.done(held)
	next, _ := q.take(10)
	require.Len(t, next, 2)
}

// A crowd opens a second lane, which leaves alone what the first is at.
func TestACrowdOpensAnotherLaneForOtherWallets(t *testing.T) {
	t.Parallel()
	q := queued(t, 3, asked(1, 2))
	_, held := q.take(10)
	later := asked(1, 3, 2, 4, 1, 5)
	later[5].pool = models.WalletID{15: 2} // draws on a wallet of the first batch
	_, err := q.add(later)
	require.NoError(t, err)
	require.False(t, q.ready(), "two can go, three make a crowd")
	_, err = q.add(asked(6))
	require.NoError(t, err)
	second, _ := q.take(10)
	require.Equal(t, []byte{3, 4, 6}, wallets(second))
	require.False(t, q.ready())
	q.done(held)
	rest, _ := q.take(10)
	require.Equal(t, []byte{1, 2, 1, 5}, wallets(rest), "in order of arrival")
}

// Of two crowds a lane takes the wallets of one half, whoever waits longest first,
// and leaves the other half to the next lane: a pool and its clients are in one.
func TestTwoCrowdsAreShared(t *testing.T) {
	t.Parallel()
	commands := asked(3, 2, 1, 3, 4, 2)
	commands[2].pool = models.WalletID{15: 6}
	q := queued(t, 3, commands)
	first, _ := q.take(10)
	require.Equal(t, []byte{3, 3}, wallets(first))
	second, _ := q.take(10)
	require.Equal(t, []byte{2, 1, 4, 2}, wallets(second), "one crowd is taken whole")
}

func wallets(commands []*command) []byte {
	out := make([]byte, len(commands))
	for i, c := range commands {
		out[i] = c.charge.Wallet[15]
	}
	return out
}

// However lanes and callers interleave, each command is taken once, a wallet is
// in one batch at a time, and its commands keep their order.
func TestNoWalletIsInTwoBatches(t *testing.T) {
	t.Parallel()
	const callers, each, ids = 8, 500, 5
	q := newIntake(callers * each)
	q.crowd = 4
	var (
		mu   sync.Mutex
		in   = map[models.WalletID]bool{}
		seen = map[*command]bool{}
		last = map[[2]byte]int64{} // by caller and wallet
	)
	var lanes, callersDone sync.WaitGroup
	for range 3 {
		lanes.Go(func() {
			for {
				commands, held := q.take(7)
				if commands == nil {
					return
				}
				mu.Lock()
				for _, id := range held {
					if in[id] {
						t.Errorf("wallet %s is in two batches", id)
					}
					in[id] = true
				}
				for _, c := range commands {
					from := [2]byte{c.charge.Wallet[14], c.charge.Wallet[15]}
					if seen[c] || c.charge.Units <= last[from] {
						t.Errorf("command %d of %v came again or out of turn", c.charge.Units, from)
					}
					seen[c], last[from] = true, c.charge.Units
				}
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				for _, id := range held {
					delete(in, id)
				}
				mu.Unlock()
				q.done(held)
			}
		})
	}
	for i := range callers {
		callersDone.Go(func() {
			for n := range each {
				c := asked(n % ids)[0]
				c.charge.Units = int64(n) + 1
				c.charge.Wallet[14] = byte(i) // wallets of its own, so that their order is known
				c.pool = models.WalletID{13: 1, 15: byte(n % ids % 2)}
				if _, err := q.add([]*command{c}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callersDone.Wait()
	q.close()
	ended := make(chan struct{})
	go func() { lanes.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the lanes did not end")
	}
	require.Len(t, seen, callers*each)
}

func TestAnIntakeHasAnEnd(t *testing.T) {
	t.Parallel()
	q := newIntake(2)
	n, err := q.add(asked(1, 2, 3))
	require.Equal(t, 2, n)
	require.True(t, problem.Is(err, "overloaded"), "%v", err)
	q.close()
	_, err = q.add(asked(4))
	require.True(t, problem.Is(err, "shutting_down"), "%v", err)
	commands, held := q.take(10)
	require.Len(t, commands, 2, "what was accepted is answered")
	none, _ := q.take(10)
	require.Nil(t, none, "by whoever is at it")
	q.done(held)
	none, _ = q.take(10)
	require.Nil(t, none)
}
