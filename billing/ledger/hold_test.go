package ledger_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/faults"
)

func TestCaptureBelowAtAndAboveTheHold(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePlan, 10)
		w.grant(t, w.wallet, models.SourcePurchase, 90)
		for i, c := range []struct{ held, captured, left int64 }{{20, 15, 85}, {20, 20, 65}, {20, 30, 35}} {
			key := string(rune('a' + i))
			h := w.hold(t, w.wallet, "h"+key, c.held, start)
			require.Equal(t, credits(c.held), w.balance(t, w.wallet).Held)
			r, err := w.capture(t, h, "c"+key, c.captured, start)
			require.NoError(t, err)
			require.Equal(t, credits(c.captured), r.Charge.Credits)
			require.Equal(t, h.Hold.ID, r.Charge.HoldID)
			require.False(t, r.Charge.Late)
			b := w.balance(t, w.wallet)
			require.Equal(t, credits(c.left), b.Available)
			require.Zero(t, b.Held)

			again, err := w.capture(t, h, "c"+key, c.captured, start)
			require.NoError(t, err)
			require.True(t, again.Replayed)
			again.Replayed = false
			require.Equal(t, r, again)
			_, err = w.capture(t, h, "other"+key, c.captured, start)
			require.True(t, problem.Is(err, "hold_not_open"), "%v", err)
		}
		w.audit(t)
	})
}

func TestAHoldEndsOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 30)
		h := w.hold(t, w.wallet, "h", 20, start)
		w.refused(t, "insufficient_credits", w.request("k", 11))
		require.Equal(t, models.HoldReleased, w.release(t, h, start).Hold.State)
		require.True(t, w.release(t, h, start).Replayed)
		_, err := w.capture(t, h, "c", 5, start)
		require.True(t, problem.Is(err, "hold_not_open"), "%v", err)
		require.Equal(t, credits(30), w.balance(t, w.wallet).Available)

		old := w.hold(t, w.wallet, "h2", 20, start)
		n, err := w.ledger.ExpireHolds(t.Context(), start.Add(ledger.DefaultHoldTTL)-1, 10)
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = w.ledger.ExpireHolds(t.Context(), start.Add(ledger.DefaultHoldTTL), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		got, err := w.ledger.HoldByID(t.Context(), w.agency, old.Hold.ID)
		require.NoError(t, err)
		require.Equal(t, models.HoldExpired, got.Hold.State)
		w.audit(t)
	})
}

// A capture and the end of a hold's time meet in the same instant, many times: the
// credits are drawn once, and what was held is held no more, whoever comes first.
func TestACaptureRacesTheEndOfItsHold(t *testing.T) {
	t.Parallel()
	rounds := faults.Sized(60, 10_000)
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		const together = 8
		for round := range rounds / together {
			at := start.Add(time.Duration(round+1) * 48 * time.Hour)
			w.grant(t, w.wallet, models.SourcePurchase, together, func(r *ledger.GrantRequest) { r.At = at })
			holds := make([]ledger.HoldReceipt, together)
			for i := range holds {
				holds[i] = w.hold(t, w.wallet, fmt.Sprint("h", round, ":", i), 1, at)
			}
			end := at.Add(ledger.DefaultHoldTTL)
			var race sync.WaitGroup
			for i, h := range holds {
				race.Go(func() {
					if _, err := w.capture(t, h, fmt.Sprint("c", round, ":", i), 1, end-models.Time(i%2)); err != nil {
						t.Error(err)
					}
				})
			}
			race.Go(func() {
				if _, err := w.ledger.ExpireHolds(t.Context(), end, together); err != nil {
					t.Error(err)
				}
			})
			race.Wait()
			b := w.balance(t, w.wallet)
			require.Equal(t, []models.Credits{0, 0, 0}, []models.Credits{b.Available, b.Held, b.Excess}, "round %d: each captured once", round)
		}
		w.audit(t)
		faults.Raced(t, "%d captures at the instant their hold ends on %s", rounds, db.Dialect)
	})
}

// The work was promised: a capture after the hold's time goes into excess up to
// what was held, even where the wallet pauses at zero.
func TestLateCaptureMayGoIntoExcess(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 20)
		h := w.hold(t, w.wallet, "h", 20, start)
		late := start.Add(time.Hour)
		n, err := w.ledger.ExpireHolds(t.Context(), late, 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		w.charge(t, of(w.request("k", 15), w.wallet, late))
		_, err = w.capture(t, h, "c", 26, late)
		require.True(t, problem.Is(err, "insufficient_credits"), "more than was held: %v", err)
		r, err := w.capture(t, h, "c", 20, late)
		require.NoError(t, err)
		require.True(t, r.Charge.Late)
		b := w.balanceAt(t, w.wallet, late)
		require.Zero(t, b.Available)
		require.Equal(t, credits(15), b.Excess)
		require.Equal(t, models.BucketExcess, r.Draws[len(r.Draws)-1].Bucket)
		_, err = w.capture(t, h, "c2", 1, late)
		require.True(t, problem.Is(err, "hold_not_open"), "%v", err)
		w.audit(t)
	})
}

func TestLateCaptureOfAHoldNobodyExpired(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 20)
		h := w.hold(t, w.wallet, "h", 20, start)
		r, err := w.capture(t, h, "c", 12, start.Add(time.Hour))
		require.NoError(t, err)
		require.True(t, r.Charge.Late)
		require.Equal(t, credits(8), w.balanceAt(t, w.wallet, start.Add(time.Hour)).Available)
		w.audit(t)
	})
}

// What expired while it was held is not given back: it goes to breakage.
func TestReleaseAfterExpiryForfeits(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		end := start.Add(5 * time.Minute)
		w.grant(t, w.wallet, models.SourcePlan, 10, func(r *ledger.GrantRequest) { r.ExpiresAt = end })
		w.grant(t, w.wallet, models.SourcePurchase, 10)
		h := w.hold(t, w.wallet, "h", 15, start)
		keep := w.hold(t, w.wallet, "h2", 5, start)
		w.release(t, h, end)
		require.Equal(t, credits(5), w.balanceAt(t, w.wallet, end).Available, "the plan credits are gone")
		r, err := w.capture(t, keep, "c", 5, end.Add(time.Minute))
		require.NoError(t, err)
		require.Equal(t, credits(5), r.Charge.Credits)
		w.audit(t)
	})
}

// A promise of excess is a last resort: credits that came meanwhile pay first.
func TestCapturePrefersCreditsThatCameMeanwhile(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(50), AgencyCeiling: credits(50)})
		w.grant(t, w.wallet, models.SourcePlan, 4)
		h := w.hold(t, w.wallet, "h", 10, start)
		require.Equal(t, credits(6), w.row(t, w.wallet).Promised)
		w.grant(t, w.wallet, models.SourcePurchase, 10)
		_, err := w.capture(t, h, "c", 10, start)
		require.NoError(t, err)
		b := w.balance(t, w.wallet)
		require.Zero(t, b.Excess)
		require.Equal(t, credits(4), b.Available)
		require.Zero(t, w.row(t, w.wallet).Promised)
		w.audit(t)
	})
}

// A promise holds even when the limit is lowered before the capture.
func TestPromisesCountAgainstTheLimitAndAreKept(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(10), AgencyCeiling: credits(10)})
		h := w.hold(t, w.wallet, "h", 8, start)
		w.refused(t, "insufficient_credits", w.request("k", 3))
		w.charge(t, w.request("k", 2))
		w.policy(t, w.wallet, ledger.Policy{})
		_, err := w.capture(t, h, "c", 9, start)
		require.True(t, problem.Is(err, "insufficient_credits"), "%v", err)
		require.Equal(t, credits(8), w.row(t, w.wallet).Promised, "a refused capture changes nothing")
		_, err = w.capture(t, h, "c", 8, start)
		require.NoError(t, err)
		require.Equal(t, credits(10), w.balance(t, w.wallet).Excess)
		w.audit(t)
	})
}

func TestReleasedAndPartlyCapturedPromisesFreeTheCeiling(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(10), AgencyCeiling: credits(10)})
		w.policy(t, w.sub, ledger.Policy{ExcessLimit: credits(10)})
		h := w.hold(t, w.sub, "h", 10, start)
		require.Equal(t, credits(10), w.row(t, w.wallet).AgencyExcess)
		w.refused(t, "insufficient_credits", w.request("k", 1))
		w.release(t, h, start)
		require.Zero(t, w.row(t, w.wallet).AgencyExcess)
		h = w.hold(t, w.sub, "h2", 10, start)
		_, err := w.capture(t, h, "c", 4, start)
		require.NoError(t, err)
		require.Equal(t, credits(4), w.row(t, w.wallet).AgencyExcess)
		w.charge(t, w.request("k", 6))
		w.refused(t, "insufficient_credits", of(w.request("k2", 1), w.sub, start))
		w.audit(t)
	})
}

// What an agency had promised a pooled client before it was suspended is kept, late
// or not, and no more than that.
func TestASuspendedAgencyKeepsItsPromises(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(20), AgencyCeiling: credits(20)})
		w.policy(t, w.sub, ledger.Policy{Funding: models.Pooled})
		w.grant(t, w.wallet, models.SourcePurchase, 20)
		beyond, lots := w.hold(t, w.sub, "h1", 25, start), w.hold(t, w.sub, "h2", 5, start)
		w.grant(t, w.wallet, models.SourcePurchase, 50)
		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			_, err := w.ledger.SuspendAll(t.Context(), tx, w.agency)
			return err
		}))
		w.refused(t, "wallet_paused", of(w.request("k", 1), w.sub, start))
		_, err := w.capture(t, beyond, "c0", 26, start)
		require.Error(t, err, "more than was promised")
		r, err := w.capture(t, beyond, "c1", 25, start)
		require.NoError(t, err, "a reply that holds credits finishes")
		require.Equal(t, credits(25), r.Charge.Credits)
		_, err = w.capture(t, lots, "c2", 5, start.Add(time.Hour))
		require.NoError(t, err, "late too")
		require.Equal(t, credits(40), w.balance(t, w.wallet).Available)
		w.audit(t)
	})
}
