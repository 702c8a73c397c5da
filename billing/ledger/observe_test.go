package ledger_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest"
)

// tally adds up what an observer is told.
type tally struct {
	mu      sync.Mutex
	batches int // transactions
	all     ledger.BatchStats
	refused map[string]int // "kind code"
}

func (s *tally) Batch(b ledger.BatchStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Took > 0 {
		s.batches++
	}
	s.all.Took += b.Took
	s.all.Waited += b.Waited
	for i, n := range b.Waits {
		s.all.Waits[i] += n
	}
	for i, c := range b.Answers {
		s.all.Answers[i].Done += c.Done
		s.all.Answers[i].Replayed += c.Replayed
	}
	if s.refused == nil {
		s.refused = map[string]int{}
	}
	for _, r := range b.Refused {
		s.refused[fmt.Sprint(r.Kind, " ", r.Code)] += r.Count
	}
}

func (s *tally) waits() int {
	n := 0
	for _, w := range s.all.Waits {
		n += w
	}
	return n
}

// watched is a world whose charger an observer watches.
func watched(t *testing.T, db *models.DB, o ledger.Options) (*world, *tally) {
	t.Helper()
	w := newWorld(t, db)
	seen := &tally{}
	o.Observer = seen
	l, err := ledger.Open(t.Context(), db, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	w.ledger = l
	return w, seen
}

func TestTheObserverIsToldEveryAnswerOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w, seen := watched(t, db, ledger.Options{})
		w.grant(t, w.wallet, models.SourcePurchase, 10)
		requests := []ledger.ChargeRequest{w.request("a", 1), w.request("b", 1), w.request("a", 1), w.request("c", 11), w.request("d", 11)}
		other := w.request("a", 2)
		other.Fingerprint = []byte("another request")
		requests = append(requests, other)
		_, _ = w.ledger.ChargeAll(t.Context(), requests)
		w.charge(t, w.request("b", 1))
		held := w.hold(t, w.wallet, "h", 2, start)
		_, err := w.capture(t, held, "cap", 2, start)
		require.NoError(t, err)
		gone := w.hold(t, w.wallet, "g", 2, start)
		w.release(t, gone, start)
		w.release(t, gone, start)
		require.Equal(t, [ledger.CommandKinds]ledger.Count{
			ledger.CommandCharge: {Done: 2, Replayed: 2}, ledger.CommandHold: {Done: 2},
			ledger.CommandCapture: {Done: 1}, ledger.CommandRelease: {Done: 1, Replayed: 1},
		}, seen.all.Answers)
		require.Equal(t, map[string]int{"0 insufficient_credits": 2, "0 idempotency_key_reused": 1}, seen.refused)
		require.Equal(t, 12, seen.waits(), "each command waited once")
		require.Positive(t, seen.all.Took)
		require.LessOrEqual(t, seen.batches, 12)
		require.Zero(t, w.ledger.Load().Queued)
	})
}

// A batch that needs the pool's wallet too begins again: its commands are told
// of once, when they are answered.
func TestACommandThatIsTriedAgainIsToldOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w, seen := watched(t, db, ledger.Options{})
		w.grant(t, w.wallet, models.SourcePurchase, 10)
		w.policy(t, w.sub, ledger.Policy{Funding: models.Pooled, PoolEvery: models.PoolCycle})
		w.charge(t, of(w.request("a", 1), w.sub, start))
		require.Equal(t, ledger.Count{Done: 1}, seen.all.Answers[ledger.CommandCharge])
		require.Equal(t, 1, seen.batches)
		require.Equal(t, 1, seen.waits())
	})
}

// What waits for a wallet is seen while it waits, and its wait is measured.
func TestWaitingIsSeenAndMeasured(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenPostgres(t)
	w, seen := watched(t, db, ledger.Options{Lanes: 1, Queue: 8})
	w.grant(t, w.wallet, models.SourcePurchase, 100)
	require.Equal(t, ledger.Load{Capacity: 8}, w.ledger.Load())
	release := w.block(t, w.wallet)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := w.ledger.Charge(t.Context(), w.request("first", 1))
		if err != nil {
			t.Error(err)
		}
	})
	modelstest.AwaitLocked(t, w.db, 1) // the side batch, with the first
	begun := time.Now()
	const more = 6
	for i := range more {
		wg.Go(func() {
			_, err := w.ledger.Charge(t.Context(), w.request(fmt.Sprint("k", i), 1))
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { return w.ledger.Load() == ledger.Load{Capacity: 8, Wallets: 1, Aside: more} }, 20*time.Second, time.Millisecond)
	locked := time.Since(begun)
	release()
	wg.Wait()
	require.Equal(t, ledger.Count{Done: more + 1}, seen.all.Answers[ledger.CommandCharge])
	require.Equal(t, more+1, seen.waits())
	require.GreaterOrEqual(t, seen.all.Took, locked, "waiting for the lock is the batch's time")
	require.Positive(t, seen.all.Waited)
	require.Equal(t, ledger.Load{Capacity: 8}, w.ledger.Load())
}

func TestTheObserverIsToldOfThoseTurnedAway(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenPostgres(t)
	w, seen := watched(t, db, ledger.Options{Lanes: 1, Queue: 1, Batch: 1})
	w.grant(t, w.wallet, models.SourcePurchase, 100)
	release := w.block(t, w.wallet)
	requests := make([]ledger.ChargeRequest, 64)
	for i := range requests {
		requests[i] = w.request(fmt.Sprint("k", i), 1)
	}
	var errs []error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, errs = w.ledger.ChargeAll(t.Context(), requests)
	}()
	modelstest.AwaitLocked(t, w.db, 1)
	release()
	<-done
	refused := 0
	for _, err := range errs {
		if err != nil {
			refused++
		}
	}
	require.Positive(t, refused)
	require.Equal(t, map[string]int{"0 overloaded": refused}, seen.refused)
	require.Equal(t, len(requests)-refused, seen.all.Answers[ledger.CommandCharge].Done)
	require.Equal(t, len(requests)-refused, seen.waits(), "who is turned away has not waited for a batch")
}

func TestAWaitIsCountedByTheStepThatHoldsIt(t *testing.T) {
	t.Parallel()
	require.Zero(t, ledger.StepOf(0))
	for n := range ledger.WaitSteps - 1 {
		require.Equal(t, n, ledger.StepOf(ledger.WaitStep(n)))
		require.Equal(t, n+1, ledger.StepOf(ledger.WaitStep(n)+1))
	}
	require.Equal(t, ledger.WaitSteps-1, ledger.StepOf(time.Hour))
}

func BenchmarkWatchingAHundredCharges(b *testing.B) {
	batch := ledger.Watched(&tally{}, 100)
	b.ReportAllocs()
	for b.Loop() {
		batch()
	}
}
