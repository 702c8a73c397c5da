package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest"
)

func TestReversalGivesBackToTheVeryLots(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		plan := w.grant(t, w.wallet, models.SourcePlan, 10)
		bought := w.grant(t, w.wallet, models.SourcePurchase, 10)
		r := w.charge(t, w.request("k", 15))
		back := w.reverse(t, r, start)
		require.False(t, back.Replayed)
		require.Equal(t, []models.LotID{plan.Lot.ID, bought.Lot.ID}, []models.LotID{back.Draws[0].Lot, back.Draws[1].Lot})
		require.Equal(t, credits(10), back.Balance.Plan)
		require.Equal(t, credits(10), back.Balance.Purchased)
		again := w.reverse(t, r, start)
		require.True(t, again.Replayed)
		require.Equal(t, back.Reversal, again.Reversal)
		require.Equal(t, credits(20), w.balance(t, w.wallet).Available)
		w.audit(t)
	})
}

func TestReversalOfAChargeThatWentIntoExcess(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(50), AgencyCeiling: credits(50)})
		w.grant(t, w.wallet, models.SourcePlan, 10)
		r := w.charge(t, w.request("k", 15))
		require.Equal(t, credits(5), w.balance(t, w.wallet).Excess)
		b := w.reverse(t, r, start).Balance
		require.Zero(t, b.Excess)
		require.Equal(t, credits(10), b.Available)
		require.Zero(t, w.row(t, w.wallet).AgencyExcess)
		w.audit(t)
	})
}

// Excess that a later grant paid off goes back to the lots that paid it off;
// what expired meanwhile expires.
func TestReversalOfSettledExcess(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(50), AgencyCeiling: credits(50)})
		first := w.charge(t, w.request("k1", 5))
		second := w.charge(t, w.request("k2", 6))
		end := start.Add(time.Hour)
		w.grant(t, w.wallet, models.SourcePlan, 4, func(r *ledger.GrantRequest) { r.ExpiresAt = end })
		w.grant(t, w.wallet, models.SourcePurchase, 20)
		require.Equal(t, credits(13), w.balance(t, w.wallet).Available)
		b := w.reverse(t, first, start).Balance
		require.Equal(t, credits(18), b.Available)
		require.Equal(t, credits(18), b.Purchased, "the newest settlement is undone first")
		b = w.reverse(t, second, end).Balance
		require.Equal(t, credits(20), b.Available, "the plan credits would have expired by now")
		require.Zero(t, b.Excess)
		w.audit(t)
	})
}

func TestReversalToAnExpiredLotExpires(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		end := start.Add(time.Hour)
		w.grant(t, w.wallet, models.SourcePlan, 10, func(r *ledger.GrantRequest) { r.ExpiresAt = end })
		r := w.charge(t, w.request("k", 10))
		require.Zero(t, w.reverse(t, r, end).Balance.Available)
		require.Zero(t, w.row(t, w.wallet).Balance)
		w.audit(t)
	})
}

// A lot that became effective by time alone owes its credits to the excess from
// then on; nobody has to charge for it.
func TestExpiryDoesNotForgetExcess(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(50), AgencyCeiling: credits(50)})
		w.charge(t, w.request("k", 5))
		from, end := start.Add(time.Hour), start.Add(2*time.Hour)
		w.grant(t, w.wallet, models.SourcePlan, 3, func(r *ledger.GrantRequest) { r.EffectiveAt, r.ExpiresAt = from, end })
		w.grant(t, w.wallet, models.SourcePlan, 10, func(r *ledger.GrantRequest) { r.EffectiveAt = end })
		n, err := w.ledger.ExpireLots(t.Context(), end, 10)
		require.NoError(t, err)
		require.LessOrEqual(t, n, 1)
		w.audit(t)
		w.charge(t, of(w.request("k2", 8), w.wallet, end))
		require.Zero(t, w.balanceAt(t, w.wallet, end).Available)
		w.audit(t)
	})
}

// A settlement never takes credits that had expired by the time it is dated.
func TestSettlingByABackdatedCharge(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(50), AgencyCeiling: credits(50)})
		w.charge(t, w.request("k", 5))
		from, end := start.Add(time.Hour), start.Add(2*time.Hour)
		w.grant(t, w.wallet, models.SourcePlan, 3, func(r *ledger.GrantRequest) { r.EffectiveAt, r.ExpiresAt = from, end })
		w.grant(t, w.wallet, models.SourcePlan, 1, func(r *ledger.GrantRequest) { r.EffectiveAt, r.At = end.Add(time.Hour), end })
		w.charge(t, of(w.request("k2", 1), w.wallet, from))
		w.audit(t)
	})
}

func TestWithdrawSettlesFirst(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(50), AgencyCeiling: credits(50)})
		w.charge(t, w.request("k", 5))
		from := start.Add(time.Hour)
		w.grant(t, w.wallet, models.SourcePlan, 8, func(r *ledger.GrantRequest) { r.EffectiveAt = from })
		take := func(n int64) error {
			return db.InTx(t.Context(), func(tx *gorm.DB) error {
				_, err := w.ledger.Withdraw(t.Context(), tx, ledger.AdjustRequest{Agency: w.agency, Wallet: w.wallet, Credits: credits(n), Actor: "test", At: from})
				return err
			})
		}
		require.Error(t, take(4), "5 of the 8 are owed")
		require.Error(t, take(-4))
		require.NoError(t, take(3))
		b := w.balanceAt(t, w.wallet, from)
		require.Zero(t, b.Available)
		require.Zero(t, b.Excess)
		w.audit(t)
	})
}
