package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// A lot is expired from its expires_at on, to the microsecond, whether the
// clock has booked it or not.
func TestExpiryToTheMicrosecond(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		end := start.Add(time.Hour)
		for i, at := range []models.Time{end - 1, end, end + 1} {
			w := newWorld(t, db)
			lot := w.grant(t, w.wallet, models.SourcePlan, 10, func(r *ledger.GrantRequest) { r.ExpiresAt = end }).Lot
			spendable := i == 0
			require.Equal(t, spendable, w.balanceAt(t, w.wallet, at).Available > 0)
			if spendable {
				w.charge(t, of(w.request("k", 4), w.wallet, at))
			} else {
				w.refused(t, "insufficient_credits", of(w.request("k", 4), w.wallet, at))
			}
			_, err := w.ledger.ExpireLots(t.Context(), at, 100)
			require.NoError(t, err)
			var entries []models.Entry
			require.NoError(t, db.Read.Where("agency_id = ? AND kind = ?", w.agency, ledger.Expire).Find(&entries).Error)
			if spendable {
				require.Empty(t, entries)
			} else {
				require.Len(t, entries, 1)
				require.Equal(t, end, entries[0].At, "dated when it expired, not when it was booked")
				require.Equal(t, lot.ID, entries[0].LotID)
			}
			w.audit(t)
		}
	})
}

func TestExpiryIsBookedOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		end := start.Add(time.Hour)
		w.grant(t, w.wallet, models.SourcePlan, 10, func(r *ledger.GrantRequest) { r.ExpiresAt = end })
		n, err := w.ledger.ExpireLots(t.Context(), end, 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = w.ledger.ExpireLots(t.Context(), end, 10)
		require.NoError(t, err)
		require.Zero(t, n)
		require.Zero(t, w.row(t, w.wallet).Balance)
		w.audit(t)
	})
}

// 1,000 − 223 = 777 can be read off the ledger: the grant, what it settled, and
// the balance they leave.
func TestExcessIsSettledByTheNextGrant(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(500), AgencyCeiling: credits(500)})
		w.charge(t, w.request("k", 223))
		require.Equal(t, -credits(223), w.balance(t, w.wallet).Left())
		w.refused(t, "insufficient_credits", w.request("k2", 278))
		got := w.grant(t, w.wallet, models.SourcePurchase, 1000)
		require.Equal(t, credits(777), got.After.Left())
		require.Zero(t, got.After.Excess)

		var entries []models.Entry
		require.NoError(t, db.Read.Where("agency_id = ? AND wallet_id = ?", w.agency, w.wallet).Order("seq").Find(&entries).Error)
		type line struct {
			kind    ledger.Kind
			amount  models.Credits
			balance models.Credits
		}
		var lines []line
		for _, e := range entries {
			lines = append(lines, line{ledger.Kind(e.Kind), e.Amount, e.Balance})
		}
		require.Equal(t, []line{
			{ledger.ExcessDraw, credits(223), -credits(223)},
			{ledger.Grant, credits(1000), credits(777)},
			{ledger.Settle, credits(223), credits(777)},
		}, lines)
		require.Equal(t, entries[1].ActID, entries[2].ActID, "one act")
		w.audit(t)
	})
}

// Credits assigned out of a monthly allowance expire with it and keep its cost;
// the parts of a lot's cost add up to it.
func TestAssignedLotsInheritExpiryAndCost(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		end := start.Add(24 * time.Hour)
		parent := w.grant(t, w.wallet, models.SourcePlan, 7, func(r *ledger.GrantRequest) {
			r.ExpiresAt, r.Cost = end, models.Money{Amount: 1000, Currency: "usd"}
		}).Lot
		for range 7 {
			moved, err := w.transfer(t, w.ledger.Assign, w.wallet, w.sub, 1, start)
			require.NoError(t, err)
			require.Equal(t, end, moved.FirstExpiry)
		}
		_, err := w.transfer(t, w.ledger.Assign, w.wallet, w.sub, 1, start)
		require.True(t, problem.Is(err, "insufficient_credits"), "%v", err)
		v, err := w.ledger.View(t.Context(), w.agency, w.sub, start)
		require.NoError(t, err)
		require.Len(t, v.Lots, 7)
		var cost int64
		for _, l := range v.Lots {
			cost += l.Cost
			require.Equal(t, end, l.ExpiresAt)
			require.Equal(t, parent.ID, l.ParentLotID)
			require.Equal(t, parent.UnitCost, l.UnitCost)
			require.Equal(t, models.SourceAssigned, l.Source)
		}
		require.EqualValues(t, 1000, cost)

		_, err = w.transfer(t, w.ledger.TakeBack, w.sub, w.wallet, 8, start)
		require.True(t, problem.Is(err, "insufficient_credits"), "%v", err)
		back, err := w.transfer(t, w.ledger.TakeBack, w.sub, w.wallet, 3, start)
		require.NoError(t, err)
		require.Equal(t, end, back.FirstExpiry)
		require.Equal(t, credits(3), w.balance(t, w.wallet).Plan, "back in the very lot")
		require.Equal(t, credits(4), w.balance(t, w.sub).Available)
		w.audit(t)
	})
}

// A sale moves never-expiring purchased credits only, and purchased they stay.
func TestSoldCreditsStayPurchased(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePlan, 10)
		w.grant(t, w.wallet, models.SourcePurchase, 5)
		sell := func(n int64) error {
			return db.InTx(t.Context(), func(tx *gorm.DB) error {
				_, err := w.ledger.Assign(t.Context(), tx, ledger.TransferRequest{
					Agency: w.agency, From: w.wallet, To: w.sub, Credits: credits(n), Sold: true, Actor: "test", At: start,
				})
				return err
			})
		}
		require.True(t, problem.Is(sell(6), "insufficient_credits"))
		require.NoError(t, sell(5))
		require.Equal(t, credits(5), w.balance(t, w.sub).Purchased)
		require.Equal(t, credits(10), w.balance(t, w.wallet).Plan)
		w.audit(t)
	})
}

func TestTransfersAreHeldAgainstBounds(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 10)
		for _, n := range []int64{0, -5} {
			_, err := w.transfer(t, w.ledger.Assign, w.wallet, w.sub, n, start)
			require.True(t, problem.Is(err, "credits_not_positive"), "%v", err)
			_, err = w.transfer(t, w.ledger.TakeBack, w.sub, w.wallet, n, start)
			require.True(t, problem.Is(err, "credits_not_positive"), "%v", err)
		}
		w.hold(t, w.wallet, "h", 10, start)
		err := db.InTx(t.Context(), func(tx *gorm.DB) error {
			_, err := w.ledger.Grant(t.Context(), tx, ledger.GrantRequest{
				Agency: w.agency, Wallet: w.wallet, Source: models.SourcePurchase, Credits: models.MaxBalance, Kind: "purchase", Actor: "test", At: start,
			})
			return err
		})
		require.True(t, problem.Is(err, "balance_too_large"), "held credits may come back: %v", err)
		w.audit(t)
	})
}
