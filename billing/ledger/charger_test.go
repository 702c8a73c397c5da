package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// block keeps everybody from a wallet, as a slow transaction elsewhere would,
// until release is called.
func (w *world) block(t *testing.T, wallet models.WalletID) (release func()) {
	t.Helper()
	tx := w.db.Write.WithContext(context.WithoutCancel(t.Context())).Begin() // on SQLite this is the one writer
	require.NoError(t, tx.Error)
	if w.db.Dialect == models.Postgres {
		require.NoError(t, tx.Exec("SELECT 1 FROM wallets WHERE agency_id = ? AND id = ? FOR NO KEY UPDATE", w.agency, wallet).Error)
	}
	var once sync.Once
	release = func() { once.Do(func() { require.NoError(t, tx.Commit().Error) }) }
	t.Cleanup(release)
	return release
}

// queuedBehindALock sends one charge through each of two ledgers while a third
// connection has the wallet, lets both queue, and tells how many were booked.
// There are credits for one.
func queuedBehindALock(t *testing.T, prepare func(*world, *ledger.Ledger)) (*world, int64) {
	t.Helper()
	db := modelstest.OpenPostgres(t)
	w := newWorld(t, db)
	w.grant(t, w.wallet, models.SourcePurchase, 1)
	second, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, second.Close()) }()
	ledgers := []*ledger.Ledger{w.ledger, second}
	for _, l := range ledgers {
		prepare(w, l)
	}
	release := w.block(t, w.wallet)
	var booked atomic.Int64
	var wg sync.WaitGroup
	for i, l := range ledgers {
		wg.Go(func() {
			if _, err := l.Charge(t.Context(), w.request(fmt.Sprint("k", i), 1)); err == nil {
				booked.Add(1)
			}
		})
	}
	modelstest.AwaitLocked(t, w.db, 2)
	release()
	wg.Wait()
	return w, booked.Load()
}

func TestChargesQueuedBehindALockSeeWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	w, booked := queuedBehindALock(t, func(*world, *ledger.Ledger) {})
	require.EqualValues(t, 1, booked)
	w.audit(t)
}

// Shows that the test above would notice: with lock and read merged into one
// statement both charges are booked on one credit, unless the schema refuses it.
func TestLockAndReadInOneStatementWouldOversell(t *testing.T) {
	t.Parallel()
	w, booked := queuedBehindALock(t, func(w *world, l *ledger.Ledger) {
		l.MergeLockAndRead()
		require.NoError(t, w.db.Write.Exec("ALTER TABLE wallets DROP CONSTRAINT IF EXISTS wallets_sound").Error)
	})
	require.EqualValues(t, 2, booked, "the defect oversells")
	r, err := ledger.Audit(t.Context(), w.db, start)
	require.NoError(t, err)
	require.False(t, r.Clean(), "and the audit sees it")
}

// A charge whose connection is opened while somebody has the whole table, as a
// migration does, waits for it, and is not refused.
func TestAConnectionOpensUnderALock(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenPostgres(t)
	w := newWorld(t, db)
	w.grant(t, w.wallet, models.SourcePurchase, 10)
	tx := db.Write.WithContext(context.WithoutCancel(t.Context())).Begin()
	require.NoError(t, tx.Error)
	t.Cleanup(func() { _ = tx.Rollback() })
	require.NoError(t, tx.Exec("LOCK TABLE wallets IN EXCLUSIVE MODE").Error)
	done := make(chan error, 1)
	go func() {
		_, err := w.ledger.Charge(t.Context(), w.request("k", 3))
		done <- err
	}()
	modelstest.AwaitLocked(t, w.db, 1)
	for range 20 { // for longer than a lane waits for a wallet
		var now int
		require.NoError(t, db.Read.Raw("SELECT COUNT(pg_sleep(0.01))").Scan(&now).Error)
	}
	select {
	case err := <-done:
		t.Fatal("it did not wait: ", err)
	default:
	}
	require.NoError(t, tx.Rollback().Error)
	require.NoError(t, <-done)
	require.Equal(t, credits(7), w.balance(t, w.wallet).Available)
}

// A caller that gives up never cancels the batch: its key tells what became of
// the charge.
func TestGivingUpDoesNotCancel(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 10)
		release := w.block(t, w.wallet)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			r, err := w.ledger.Charge(ctx, w.request("k", 3))
			if !r.Charge.ID.IsZero() {
				t.Error("an answer beside an error")
			}
			gone <- err
		}()
		cancel()
		err := <-gone
		require.True(t, problem.Is(err, "timeout"), "%v", err)
		release()
		r := w.charge(t, w.request("k", 3))
		require.True(t, r.Replayed, "the first request was booked")
		require.Equal(t, credits(7), w.balance(t, w.wallet).Available)
		w.audit(t)
	})
}

// A busy wallet that was locked elsewhere for a moment is charged in batches
// again: if its commands were tried beside the batch that waited for it, each of
// the next would find it locked by the one before.
func TestABusyWalletThatWasLockedIsBatchedAgain(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenPostgres(t)
	w := newWorld(t, db)
	w.grant(t, w.wallet, models.SourcePurchase, 1000)
	const callers, each = 32, 20
	release := w.block(t, w.wallet)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				if _, err := w.ledger.Charge(t.Context(), w.request(fmt.Sprint("k", i, "-", j), 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	modelstest.AwaitLocked(t, w.db, 1)
	release()
	wg.Wait()
	var batches int
	require.NoError(t, db.Read.Raw("SELECT COUNT(DISTINCT xmin::text) FROM charges WHERE agency_id = ?", w.agency).Scan(&batches).Error)
	require.Less(t, batches, callers*each/4, "transactions for %d charges", callers*each)
	w.audit(t)
}

func TestAFullQueueSaysOverloaded(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		small, err := ledger.Open(t.Context(), db, ledger.Options{Queue: 1, Batch: 1, Lanes: 1})
		require.NoError(t, err)
		defer func() { require.NoError(t, small.Close()) }()
		release := w.block(t, w.wallet)
		var booked, refused atomic.Int64
		full := make(chan struct{}, 64)
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				_, err := small.Charge(t.Context(), w.request(fmt.Sprint("k", i), 1))
				switch {
				case err == nil:
					booked.Add(1)
				case problem.Is(err, "overloaded"):
					refused.Add(1)
					full <- struct{}{}
				default:
					t.Error(err)
				}
			})
		}
		<-full
		release()
		wg.Wait()
		require.Positive(t, refused.Load())
		require.EqualValues(t, 64, booked.Load()+refused.Load())
		require.Equal(t, credits(100-booked.Load()), w.balance(t, w.wallet).Available)
		w.audit(t)
	})
}

// A command that violates a constraint fails alone, whatever batch it is in.
func TestABadCommandNeverFailsItsNeighbours(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		requests := make([]ledger.ChargeRequest, 32)
		for i := range requests {
			requests[i] = w.request(fmt.Sprint("k", i), 1)
		}
		requests[11].Key = strings.Repeat("x", 256) // too long for the table
		requests[12].Credits = -1
		requests[13].Credits = models.MaxCharge + 1
		requests[14].Wallet = models.NewID[models.WalletID](start)
		release := w.block(t, w.wallet)
		var errs []error
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, errs = w.ledger.ChargeAll(t.Context(), requests)
		}()
		release()
		<-done
		for i, err := range errs {
			switch i {
			case 11:
				require.True(t, problem.Is(err, "database_unavailable"), "%v", err)
			case 12, 13:
				require.True(t, problem.Is(err, "credits_out_of_range"), "%v", err)
			case 14:
				require.True(t, problem.Is(err, "not_found"), "%v", err)
			default:
				require.NoError(t, err)
			}
		}
		require.Equal(t, credits(72), w.balance(t, w.wallet).Available)
		w.audit(t)
	})
}

// What falls over while it is decided is refused alone, and told with where it fell;
// its neighbours in the batch, and whoever comes later, are booked.
func TestACommandThatFallsOverTakesNobodyAlong(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		_, err := w.transfer(t, w.ledger.Assign, w.wallet, w.sub, 50, start)
		require.NoError(t, err)
		var log bytes.Buffer
		l, err := ledger.Open(t.Context(), db, ledger.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Lanes: 1})
		require.NoError(t, err)
		l.Poison(w.sub)
		for round := range 2 {
			requests := make([]ledger.ChargeRequest, 16)
			for i := range requests {
				requests[i] = w.request(fmt.Sprint("r", round, "k", i), 1)
				if i%5 == 2 {
					requests[i].Wallet = w.sub
				}
			}
			_, errs := l.ChargeAll(t.Context(), requests)
			for i, err := range errs {
				if i%5 == 2 {
					require.True(t, problem.Is(err, "database_unavailable"), "%v", err)
				} else {
					require.NoError(t, err)
				}
			}
		}
		require.NoError(t, l.Close())
		require.Contains(t, log.String(), "fell over")
		require.Contains(t, log.String(), "book.go")
		require.Equal(t, credits(100-50-26), w.balance(t, w.wallet).Available)
		require.Equal(t, credits(50), w.balance(t, w.sub).Available)
		w.audit(t)
	})
}

// A database that is gone is found out once a batch, not once for each half of
// it: with thirty seconds a try the lane would be lost for hours.
func TestADeadDatabaseFailsTheBatchAtOnce(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenPostgres(t)
	w := newWorld(t, db)
	var log bytes.Buffer
	l, err := ledger.Open(t.Context(), db, ledger.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Lanes: 1})
	require.NoError(t, err)
	requests := make([]ledger.ChargeRequest, 64)
	for i := range requests {
		requests[i] = w.request(fmt.Sprint("k", i), 1)
	}
	l.Disconnect()
	_, errs := l.ChargeAll(t.Context(), requests)
	for _, err := range errs {
		require.True(t, problem.Is(err, "database_unavailable"), "%v", err)
	}
	require.NoError(t, l.Close())
	failed := 0
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "charges failed") {
			failed++
		}
	}
	require.LessOrEqual(t, failed, 8, "batches, not charges")
}

func TestClosedLedgerAnswersEverybody(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		l, err := ledger.Open(t.Context(), db, ledger.Options{})
		require.NoError(t, err)
		var wg sync.WaitGroup
		var booked atomic.Int64
		for i := range 64 {
			wg.Go(func() {
				_, err := l.Charge(t.Context(), w.request(fmt.Sprint("k", i), 1))
				if err == nil {
					booked.Add(1)
				} else if !problem.Is(err, "shutting_down") {
					t.Error(err)
				}
			})
		}
		require.NoError(t, l.Close())
		wg.Wait()
		require.NoError(t, l.Close(), "closing twice is closing once")
		require.Equal(t, credits(100-booked.Load()), w.balance(t, w.wallet).Available)
		_, err = l.Charge(t.Context(), w.request("late", 1))
		require.True(t, problem.Is(err, "shutting_down"), "%v", err)
		require.True(t, problem.Is(l.WaitUnserved(t.Context()), "shutting_down"), "queued while the lanes were ending")
		w.audit(t)
	})
}

// Own credits, the pool and a pooled account, through two processes at once.
func TestMixedFundingNeverOversells(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		third := models.NewID[models.WalletID](start)
		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			return w.ledger.OpenWallet(t.Context(), tx, models.Wallet{
				AgencyID: w.agency, ID: third, SubAccountID: models.NewID[models.SubAccountID](start), PoolWalletID: w.wallet,
				Status: models.WalletActive, Funding: models.Pooled, PoolEvery: models.PoolCycle, CreatedAt: start,
			})
		}))
		w.policy(t, w.sub, ledger.Policy{PoolCap: credits(30)})
		w.grant(t, w.wallet, models.SourcePurchase, 60)
		w.grant(t, w.sub, models.SourceAssigned, 20)
		second, err := ledger.Open(t.Context(), db, ledger.Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, second.Close()) }()
		var booked [3]atomic.Int64
		var wg sync.WaitGroup
		for i := range 256 {
			wg.Go(func() {
				wallet := []models.WalletID{w.wallet, w.sub, third}[i%3]
				_, err := []*ledger.Ledger{w.ledger, second}[i%2].Charge(t.Context(), of(w.request(fmt.Sprint("k", i), 1), wallet, start))
				if err == nil {
					booked[i%3].Add(1)
				} else if !problem.Is(err, "insufficient_credits") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		own, sub, pool := booked[0].Load(), booked[1].Load(), booked[2].Load()
		require.EqualValues(t, 80, own+sub+pool, "all credits, each once")
		require.GreaterOrEqual(t, sub, int64(20))
		require.LessOrEqual(t, sub, int64(50))
		require.Zero(t, w.balance(t, w.wallet).Available)
		w.audit(t)
	})
}

// Ten charges of one leave the lots as one charge of ten does.
func TestDrawsDoNotDependOnHowChargesAreCut(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		left := func(n int) []models.Credits {
			w := newWorld(t, db)
			for i, source := range []models.Source{models.SourcePurchase, models.SourcePlan, models.SourcePromo, models.SourceAssigned, models.SourcePlan} {
				w.grant(t, w.wallet, source, 3, func(r *ledger.GrantRequest) { r.ExpiresAt = start.Add(time.Duration(9-i) * time.Hour) })
			}
			requests := make([]ledger.ChargeRequest, n)
			for i := range requests {
				requests[i] = w.request(fmt.Sprint("k", i), 0)
				requests[i].Credits = credits(10) / models.Credits(n)
			}
			_, errs := w.ledger.ChargeAll(t.Context(), requests)
			for _, err := range errs {
				require.NoError(t, err)
			}
			v, err := w.ledger.View(t.Context(), w.agency, w.wallet, start)
			require.NoError(t, err)
			var out []models.Credits
			for _, l := range v.Lots {
				out = append(out, l.Remaining)
			}
			return out
		}
		whole := left(1)
		require.Equal(t, []models.Credits{credits(2), credits(3)}, whole)
		require.Equal(t, whole, left(10))
		require.Equal(t, whole, left(4))
	})
}
