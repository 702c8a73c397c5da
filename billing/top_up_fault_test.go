package billing_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing"
	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest/faults"
)

// topUpLine is the threshold of these runs, whose pack holds 2,000.
const topUpLine = 1_900 * models.Credit

// tanked is a shop that tops itself up.
func tanked(t *testing.T, db *models.DB) *shop {
	t.Helper()
	s := openShop(t, db, "stammer", "")
	s.dry(t)
	s.paid(t, "stock", "credits-12500")
	s.save(t, s.account, cardPays)
	s.turnOn(t, topUpLine, 1_000_000_00)
	return s
}

// leave takes what a wallet has above so much.
func (s *shop) leave(t *testing.T, to models.Credits, key string) {
	t.Helper()
	if n := int64((s.left(t, s.account) - to) / models.Credit); n > 0 {
		s.use(t, s.account, n, key)
	}
}

// automatic counts a wallet's automatic purchases: those that were credited, and all.
func (s *shop) automatic(t *testing.T) (credited, all int64) {
	t.Helper()
	var rows []models.Purchase
	require.NoError(t, s.db.Read.Select("status").Where("wallet_id = ? AND origin = 'automatic'", s.account.Wallet).Find(&rows).Error)
	for i := range rows {
		if rows[i].Status == models.PurchaseCredited {
			credited++
		}
	}
	return credited, int64(len(rows))
}

// F-30: a hundred charges that cross the line together are one payment.
func TestAHundredChargesCrossTheLineTogether(t *testing.T) {
	t.Parallel()
	inLanes(t, func(t *testing.T, db *models.DB, lane, of int) {
		s := tanked(t, db)
		go s.WorkTopUps(t.Context())
		go s.WorkWatches(t.Context())
		rounds := int64(faults.Sized(20, 500/of))
		for round := range rounds {
			s.later(t, 61*time.Minute) // at most once an hour
			s.leave(t, topUpLine+500*models.Credit, fmt.Sprint("use", round))
			s.later(t, time.Second)
			credited, all := s.automatic(t)
			require.Equal(t, []int64{round, round}, []int64{credited, all}, "before round %d of lane %d", round, lane)
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					_, err := s.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{
						Wallet: s.account.Wallet.String(), Key: fmt.Sprint("c", round, "-", i), Action: "ai.reply", Model: "gpt-4-turbo",
					})
					if err != nil {
						t.Error(err)
					}
				})
				if i%25 == 0 {
					wg.Go(func() {
						if err := s.RunDue(t.Context(), s.clock.Now()); err != nil {
							t.Error(err)
						}
					})
				}
			}
			wg.Wait()
			s.later(t, time.Second)
			require.Eventually(t, func() bool { credited, _ := s.automatic(t); return credited > round }, 10*time.Second, 2*time.Millisecond, "somebody may still be at it")
		}
		s.later(t, 2*time.Hour)
		credited, all := s.automatic(t)
		require.Equal(t, []int64{rounds, rounds}, []int64{credited, all})
		require.Equal(t, map[string]int{"succeeded": int(rounds) + 1}, s.charged(t, ""), "the stock, and one automatic payment a round")
		faults.Raced(t, "%d times 100 charges that cross the line of automatic top-up together on %s, lane %d", rounds, db.Dialect, lane+1)
	})
}

// life ends at a statement of its choice: what runs in its context is not heard of
// any more, as if its process was killed.
type life struct {
	left atomic.Int64 // statements until then
	end  context.CancelFunc
}

type lifeKey struct{}

// mortal has what runs in the context of a life end with it.
func mortal(t *testing.T, db *models.DB) {
	t.Helper()
	step := func(tx *gorm.DB) {
		if l, ok := tx.Statement.Context.Value(lifeKey{}).(*life); ok && l.left.Add(-1) < 0 {
			l.end()
			_ = tx.AddError(context.Canceled)
		}
	}
	all := []*gorm.DB{db.Write}
	if db.Read != db.Write {
		all = append(all, db.Read)
	}
	for _, g := range all {
		cb := g.Callback()
		require.NoError(t, cb.Create().Before("*").Register("test:life", step))
		require.NoError(t, cb.Query().Before("*").Register("test:life", step))
		require.NoError(t, cb.Update().Before("*").Register("test:life", step))
		require.NoError(t, cb.Delete().Before("*").Register("test:life", step))
		require.NoError(t, cb.Row().Before("*").Register("test:life", step))
		require.NoError(t, cb.Raw().Before("*").Register("test:life", step))
	}
}

// another is another process on the same database.
func (s *shop) another(t *testing.T) (*billing.Service, func()) {
	t.Helper()
	led, err := ledger.Open(t.Context(), s.db, ledger.Options{})
	require.NoError(t, err)
	out, err := billing.New(billing.Config{DB: s.db, Ledger: led, Clock: s.clock, Payments: s.gateway, BaseURL: "http://localhost:1"})
	require.NoError(t, err)
	return out, func() { require.NoError(t, led.Close()) }
}

// F-33: the process dies at any statement of an automatic top-up, or before it hears
// Stripe's answer. Whoever comes next finds the payment, or makes it: one charge, one
// credit.
func TestATopUpWhoseProcessDies(t *testing.T) {
	t.Parallel()
	seed := faults.Seed()
	inLanes(t, func(t *testing.T, db *models.DB, lane, of int) {
		s := tanked(t, db)
		s.mode(t, "drop") // nobody is told: what is found is looked for
		mortal(t, db)
		var calls, answers atomic.Int64 // of Stripe: so many are answered in a life
		var at atomic.Pointer[life]
		heard := func(*http.Request) {
			if l := at.Load(); l != nil && calls.Add(1) > answers.Load() {
				l.end() // it was done, and nobody hears of it
			}
		}
		s.meanwhile.Store(&heard)
		const endless = 1 << 40
		// live has a process do what is due until it ends, and tells how many statements
		// and calls that took.
		live := func(statements, stripe int64) (died bool, done, asked int64) {
			ctx, end := context.WithCancel(t.Context())
			defer end()
			l := &life{end: end}
			l.left.Store(statements)
			answers.Store(stripe)
			calls.Store(0)
			at.Store(l)
			first, shut := s.another(t)
			defer shut()
			err := first.TopUpsDue(context.WithValue(ctx, lifeKey{}, l))
			at.Store(nil)
			if ctx.Err() == nil {
				require.NoError(t, err)
			}
			return ctx.Err() != nil, statements - l.left.Load(), calls.Load()
		}
		fall := func(round int64) { // below the line, and nobody has acted on it
			require.NoError(t, s.clock.Advance(s.clock.Now().Add(61*time.Minute)))
			require.NoError(t, s.TopUpsDue(t.Context()))
			s.leave(t, topUpLine-100*models.Credit, fmt.Sprint("use", round))
			require.NoError(t, s.LookAtWallets(t.Context()))
		}
		fall(-1)
		died, statements, asked := live(endless, endless)
		require.False(t, died)
		credited, _ := s.automatic(t)
		require.EqualValues(t, 1, credited)
		require.Greater(t, statements, int64(10))
		require.GreaterOrEqual(t, asked, int64(1))

		rounds, deaths := int64(faults.Sized(50, 500/of)), 0
		for round := range rounds {
			fall(round)
			left := s.left(t, s.account)
			point := int64((seed + uint64(lane)*uint64(rounds) + uint64(round)) % uint64(statements+asked))
			if point < statements {
				died, _, _ = live(point, endless)
			} else {
				died, _, _ = live(endless, point-statements)
			}
			if died {
				deaths++
			}
			for range 12 { // somebody else's turn
				if s.left(t, s.account) > left {
					break
				}
				s.later(t, 5*time.Minute)
			}
			require.Equal(t, left+2*thousand, s.left(t, s.account), "round %d of lane %d died at %d of %d statements and %d calls", round, lane, point, statements, asked)
			credited, all := s.automatic(t)
			require.Equal(t, []int64{round + 2, round + 2}, []int64{credited, all}, "round %d of lane %d died at %d", round, lane, point)
		}
		s.later(t, 2*time.Hour)
		require.Equal(t, map[string]int{"succeeded": int(rounds) + 2}, s.charged(t, ""), "the stock, and one payment a round")
		faults.Tried(t, seed, "%d automatic top-ups, %d of them died at one of %d statements and %d calls of Stripe on %s, lane %d",
			rounds, deaths, statements, asked, db.Dialect, lane+1)
	})
}
