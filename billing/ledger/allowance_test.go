package ledger_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest"
)

func (w *world) begin(t *testing.T, n int64, from, to models.Time) {
	t.Helper()
	require.NoError(t, w.beginPeriod(t.Context(), n, from, to))
}

func (w *world) beginPeriod(ctx context.Context, n int64, from, to models.Time) error {
	return w.db.InTx(ctx, func(tx *gorm.DB) error {
		return w.ledger.BeginPeriods(ctx, tx, []ledger.Allowance{{Agency: w.agency, Wallet: w.wallet, Credits: credits(n), Start: from, End: to, Reference: "sbs_1"}})
	})
}

// A period's start books what ended as of its end and grants what begins as of
// its start, once, however late and often it is said.
func TestAPeriodBegins(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		first, second, third := start, start.Add(24*time.Hour), start.Add(48*time.Hour)
		w.begin(t, 10, first, second)
		w.charge(t, of(w.request("a", 4), w.wallet, first))
		w.begin(t, 10, second, third)
		w.begin(t, 10, second, third)
		var entries []models.Entry
		require.NoError(t, db.Read.Where("agency_id = ?", w.agency).Order("seq").Find(&entries).Error)
		require.Len(t, entries, 4, "grant, charge, expiry, grant")
		require.Equal(t, []any{int16(ledger.Expire), credits(6), second}, []any{entries[2].Kind, entries[2].Amount, entries[2].At})
		require.Equal(t, []any{int16(ledger.Grant), credits(10), second}, []any{entries[3].Kind, entries[3].Amount, entries[3].At})
		require.Equal(t, credits(10), w.balanceAt(t, w.wallet, second).Plan)
		require.Equal(t, second, w.row(t, w.wallet).CycleStart)
		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			ended, err := w.ledger.EndPlanCredits(t.Context(), tx, w.agency, w.wallet, second.Add(time.Hour))
			require.Equal(t, credits(10), ended)
			return err
		}))
		require.Zero(t, w.row(t, w.wallet).Balance)
		w.audit(t)
	})
}

// A period whose allowance is used up, or ended with its plan, has begun all the same:
// saying so again, many times and at once, gives nothing.
func TestAPeriodThatIsUsedUpBeginsOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		first, second, third := start, start.Add(24*time.Hour), start.Add(48*time.Hour)
		w.begin(t, 10, first, second)
		w.charge(t, of(w.request("a", 10), w.wallet, first))
		for range 3 {
			w.begin(t, 10, first, second)
		}
		require.Zero(t, w.row(t, w.wallet).Balance)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := w.beginPeriod(t.Context(), 10, second, third); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, credits(10), w.balanceAt(t, w.wallet, second).Plan)
		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			_, err := w.ledger.EndPlanCredits(t.Context(), tx, w.agency, w.wallet, second.Add(time.Hour))
			return err
		}))
		w.begin(t, 10, second, third)
		w.begin(t, 10, first, second)
		require.Zero(t, w.row(t, w.wallet).Balance, "it ended, and does not begin again")
		require.Equal(t, second, w.row(t, w.wallet).CycleStart)
		w.audit(t)
	})
}

// What is frozen for two reasons thaws with the second, and the audit knows why a
// draw passed it by.
func TestLotsThawWithTheLastReason(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 10)
		w.grant(t, w.wallet, models.SourceAdjustment, 3)
		purchased := func(l *models.Lot) bool { return l.Source == models.SourcePurchase }
		freeze := func(reason models.FreezeReason) (stopped models.Credits) {
			t.Helper()
			require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
				stopped, err = w.ledger.Freeze(t.Context(), tx, w.agency, w.wallet, reason, purchased)
				return err
			}))
			return stopped
		}
		thaw := func(reason models.FreezeReason) (freed models.Credits) {
			t.Helper()
			require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
				freed, err = w.ledger.Thaw(t.Context(), tx, w.agency, w.wallet, reason, nil, start)
				return err
			}))
			return freed
		}
		require.Equal(t, credits(10), freeze(models.FreezeNoPlan))
		require.Zero(t, freeze(models.FreezeNoPlan), "again")
		require.Zero(t, freeze("dispute dp_1"), "frozen already")
		w.refused(t, "insufficient_credits", of(w.request("b", 4), w.wallet, start))
		w.charge(t, of(w.request("c", 1), w.wallet, start)) // of what is not frozen
		w.audit(t)
		require.Zero(t, thaw(models.FreezeNoPlan), "the bank's reason is left")
		w.refused(t, "insufficient_credits", of(w.request("d", 4), w.wallet, start))
		require.Equal(t, credits(10), thaw("dispute dp_1"))
		require.Zero(t, thaw("dispute dp_1"), "again")
		w.charge(t, of(w.request("e", 4), w.wallet, start))
		require.Equal(t, credits(10), freeze(models.FreezeNoPlan)+credits(2), "two were drawn: the bonus had two left")
		require.Equal(t, credits(8), thaw(models.FreezeNoPlan))
		w.audit(t)
		// Thawed and frozen between two entries.
		require.Equal(t, credits(8), freeze(models.FreezeNoPlan))
		w.audit(t)
	})
}
