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

func pooled(most int64) ledger.Policy {
	return ledger.Policy{Funding: models.Pooled, PoolCap: credits(most)}
}

func TestPooledAccountStopsAtItsCap(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		w.policy(t, w.sub, pooled(30))
		r := w.charge(t, of(w.request("k1", 20), w.sub, start))
		require.Equal(t, w.wallet, r.Draws[0].Wallet)
		require.Equal(t, w.wallet, r.Charge.PoolWalletID)
		w.refused(t, "insufficient_credits", of(w.request("k2", 11), w.sub, start))
		w.charge(t, of(w.request("k2", 10), w.sub, start))
		w.refused(t, "insufficient_credits", of(w.request("k3", 1), w.sub, start))
		require.Equal(t, credits(70), w.balance(t, w.wallet).Available)

		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			return w.ledger.StartCycle(t.Context(), tx, w.agency, w.wallet, start+1)
		}))
		w.charge(t, of(w.request("k3", 30), w.sub, start+1))
		w.refused(t, "insufficient_credits", of(w.request("k4", 1), w.sub, start+1))
		w.audit(t)
	})
}

// A pooled account draws on the pool alone, also when credits of its own are
// left from another time and would do.
func TestPooledAccountLeavesItsOwnCreditsAlone(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.sub, models.SourceAssigned, 10)
		w.policy(t, w.sub, pooled(0))
		w.refused(t, "insufficient_credits", of(w.request("k", 5), w.sub, start))
		w.grant(t, w.wallet, models.SourcePurchase, 5)
		r := w.charge(t, of(w.request("k", 5), w.sub, start))
		require.Equal(t, w.wallet, r.Draws[0].Wallet)
		w.audit(t)
	})
}

// One charge may cross own credits, the pool and excess; it is one act.
func TestFallbackChainIsOneAct(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{AgencyCeiling: credits(100)})
		w.policy(t, w.sub, ledger.Policy{PoolCap: credits(20), ExcessLimit: credits(5)})
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		w.grant(t, w.sub, models.SourceAssigned, 10)
		w.refused(t, "insufficient_credits", of(w.request("k", 36), w.sub, start))
		r := w.charge(t, of(w.request("k", 35), w.sub, start))
		require.Equal(t, []models.Bucket{models.BucketAssigned, models.BucketPurchased, models.BucketExcess},
			[]models.Bucket{r.Draws[0].Bucket, r.Draws[1].Bucket, r.Draws[2].Bucket})
		require.Equal(t, []models.WalletID{w.sub, w.wallet, w.sub}, []models.WalletID{r.Draws[0].Wallet, r.Draws[1].Wallet, r.Draws[2].Wallet})

		again := w.charge(t, of(w.request("k", 35), w.sub, start))
		again.Replayed = false
		require.Equal(t, r, again, "a replay is the first answer, in the same order")
		stored, err := w.ledger.ChargeByID(t.Context(), w.agency, r.Charge.ID)
		require.NoError(t, err)
		require.Equal(t, r, stored)
		require.Equal(t, credits(80), w.balance(t, w.wallet).Available)
		require.Equal(t, credits(5), w.row(t, w.wallet).AgencyExcess)

		w.reverse(t, r, start)
		require.Equal(t, credits(100), w.balance(t, w.wallet).Available)
		require.Equal(t, credits(10), w.balance(t, w.sub).Available)
		require.Zero(t, w.row(t, w.sub).PoolDrawn, "the cap is given back with the credits")
		w.charge(t, of(w.request("k2", 35), w.sub, start))
		w.audit(t)
	})
}

// An agency that runs dry, or is suspended, never stops a client who has
// credits; one that is suspended lends none.
func TestPoolOfASuspendedAgencyPaysNothing(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		w.grant(t, w.sub, models.SourceAssigned, 10)
		w.policy(t, w.sub, ledger.Policy{PoolCap: credits(20)})
		status := func(s models.WalletStatus) {
			require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
				return w.ledger.SetStatus(t.Context(), tx, w.agency, w.wallet, s)
			}))
		}
		status(models.WalletSuspended)
		w.charge(t, of(w.request("k1", 8), w.sub, start))
		w.refused(t, "insufficient_credits", of(w.request("k2", 5), w.sub, start))
		w.policy(t, w.sub, pooled(0))
		w.refused(t, "wallet_paused", of(w.request("k2", 5), w.sub, start))
		status(models.WalletActive)
		w.charge(t, of(w.request("k2", 5), w.sub, start))
		require.Equal(t, credits(95), w.balance(t, w.wallet).Available)
		w.audit(t)
	})
}

// What a hold did not use of the pool's cap is given back, however it ends.
func TestHoldsGiveThePoolsCapBack(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		w.policy(t, w.sub, pooled(30))
		drawn := func() models.Credits { return w.row(t, w.sub).PoolDrawn }
		w.release(t, w.hold(t, w.sub, "h1", 30, start), start)
		require.Zero(t, drawn(), "after a release")
		_, err := w.capture(t, w.hold(t, w.sub, "h2", 30, start), "c2", 10, start)
		require.NoError(t, err)
		require.Equal(t, credits(10), drawn(), "after a capture below the hold")
		_, err = w.capture(t, w.hold(t, w.sub, "h3", 5, start), "c3", 8, start)
		require.NoError(t, err)
		require.Equal(t, credits(18), drawn(), "after a capture above the hold")
		late := start.Add(time.Hour)
		w.hold(t, w.sub, "h4", 12, start)
		_, err = w.ledger.ExpireHolds(t.Context(), late, 10)
		require.NoError(t, err)
		require.Equal(t, credits(18), drawn(), "after a hold expired")
		h := w.hold(t, w.sub, "h5", 12, late)
		_, err = w.capture(t, h, "c5", 12, late.Add(time.Hour))
		require.NoError(t, err, "a late capture within the hold is never stopped by the cap")
		require.Equal(t, credits(30), drawn())
		w.audit(t)
	})
}

// A hold of yesterday that is let go today gives nothing to today's cap.
func TestCapsOfDifferentDaysDoNotMix(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		w.policy(t, w.sub, ledger.Policy{Funding: models.Pooled, PoolCap: credits(10), PoolEvery: models.PoolDay})
		h := w.hold(t, w.sub, "h", 10, start)
		next := start.Add(10 * time.Minute) // the next day began meanwhile
		r := of(w.request("k", 10), w.sub, next)
		r.DayStart = next
		w.charge(t, r)
		w.release(t, h, next)
		r = of(w.request("k2", 1), w.sub, next)
		r.DayStart = next
		w.refused(t, "insufficient_credits", r)
		w.audit(t)
	})
}

// Pool credits that became effective by time alone pay the pool's excess
// before anybody draws on them.
func TestPoolSettlesBeforeItLends(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(5), AgencyCeiling: credits(5)})
		w.policy(t, w.sub, pooled(0))
		w.charge(t, w.request("k", 5))
		later := start.Add(time.Hour)
		w.grant(t, w.wallet, models.SourcePlan, 12, func(r *ledger.GrantRequest) { r.EffectiveAt = later })
		r := w.charge(t, of(w.request("k2", 7), w.sub, later))
		require.Equal(t, models.BucketPlan, r.Draws[0].Bucket)
		require.Len(t, r.Draws, 1)
		b := w.balanceAt(t, w.wallet, later)
		require.Zero(t, b.Excess)
		require.Zero(t, b.Available)
		w.audit(t)
	})
}
