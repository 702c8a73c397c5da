package ledger_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// keep keeps stock for a new purchase of a client.
func (w *world) keep(t *testing.T, n int64) (models.PurchaseID, error) {
	t.Helper()
	id := models.NewID[models.PurchaseID](start)
	return id, w.db.InTx(t.Context(), func(tx *gorm.DB) error {
		_, err := w.ledger.HoldStock(t.Context(), tx, ledger.StockRequest{Agency: w.agency, Wallet: w.wallet, Purchase: id, Credits: credits(n), At: start})
		return err
	})
}

func (w *world) letStockGo(t *testing.T, id models.PurchaseID) {
	t.Helper()
	require.NoError(t, w.db.InTx(t.Context(), func(tx *gorm.DB) error {
		return w.ledger.ReleaseStock(t.Context(), tx, w.agency, w.wallet, id, start)
	}))
}

func (w *world) sell(t *testing.T, id models.PurchaseID, n int64) (out ledger.Sold, err error) {
	t.Helper()
	return out, w.db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
		out, err = w.ledger.Sell(t.Context(), tx, ledger.SaleRequest{
			Agency: w.agency, From: w.wallet, To: w.sub, Purchase: id, Credits: credits(n), Actor: "test", Note: "Growth", At: start,
		})
		return err
	})
}

func costing(amount int64) func(*ledger.GrantRequest) {
	return func(r *ledger.GrantRequest) { r.Cost = models.Money{Amount: amount, Currency: "usd"} }
}

// A checkout keeps purchased credits only; the sale moves them with their cost.
func TestStockIsKeptAndSoldWithItsCost(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePlan, 50_000, func(r *ledger.GrantRequest) { r.ExpiresAt = start + 1_000_000 })
		bought := w.grant(t, w.wallet, models.SourcePurchase, 35_000, costing(100_00))

		id, err := w.keep(t, 10_000)
		require.NoError(t, err)
		b := w.balance(t, w.wallet)
		require.Equal(t, []models.Credits{credits(50_000), credits(25_000), credits(10_000)}, []models.Credits{b.Plan, b.Purchased, b.Held})

		sold, err := w.sell(t, id, 10_000)
		require.NoError(t, err)
		require.Equal(t, int64(28_57), sold.Cost, "10,000 of 35,000 for $100.00")
		require.Equal(t, credits(10_000), sold.ToAfter.Purchased)
		require.Equal(t, credits(25_000), w.balance(t, w.wallet).Purchased)
		require.Zero(t, w.balance(t, w.wallet).Held)

		var child models.Lot
		require.NoError(t, db.Read.Where("wallet_id = ?", w.sub).Take(&child).Error)
		require.Equal(t, []any{bought.Lot.ID, id, models.Never, bought.Lot.UnitCost, int64(28_57)},
			[]any{child.ParentLotID, child.PurchaseID, child.ExpiresAt, child.UnitCost, child.Cost})

		again, err := w.sell(t, id, 10_000)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		require.Equal(t, sold.Act.ID, again.Act.ID)
		w.letStockGo(t, id)
		require.Equal(t, credits(10_000), w.balance(t, w.sub).Purchased, "what was sold stays sold")
	})
}

// Stock that a checkout keeps is nobody else's, and comes back when it ends.
func TestStockShort(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePlan, 900)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		first, err := w.keep(t, 60)
		require.NoError(t, err)
		_, err = w.keep(t, 60)
		require.True(t, problem.Is(err, "out_of_stock"), "plan credits are not for sale: %v", err)
		w.letStockGo(t, first)
		w.letStockGo(t, first)
		require.Equal(t, credits(100), w.balance(t, w.wallet).Purchased)
		second, err := w.keep(t, 60)
		require.NoError(t, err)

		// The first buyer paid after all: what is left does not cover it.
		_, err = w.sell(t, first, 60)
		require.True(t, problem.Is(err, "out_of_stock"), "%v", err)
		w.letStockGo(t, second)
		sold, err := w.sell(t, first, 60)
		require.NoError(t, err)
		require.Equal(t, credits(60), sold.ToAfter.Purchased)
		require.Equal(t, credits(40), w.balance(t, w.wallet).Purchased)
	})
}

// Programs can neither end nor use a hold of stock.
func TestStockIsNotAProgramsHold(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		id, err := w.keep(t, 60)
		require.NoError(t, err)
		var h models.Hold
		require.NoError(t, db.Read.Where("purchase_id = ?", id).Take(&h).Error)
		_, err = w.ledger.HoldByID(t.Context(), w.agency, h.ID)
		require.True(t, problem.Is(err, "not_found"), "%v", err)
		_, err = w.ledger.Release(t.Context(), ledger.ReleaseRequest{Agency: w.agency, Wallet: w.wallet, Hold: h.ID, At: start})
		require.True(t, problem.Is(err, "not_found"), "%v", err)
		_, err = w.ledger.Capture(t.Context(), ledger.CaptureRequest{Hold: h.ID, Charge: w.request("capture", 60)})
		require.True(t, problem.Is(err, "not_found"), "%v", err)
		require.Equal(t, credits(60), w.balance(t, w.wallet).Held)
		w.letStockGo(t, id)
	})
}

func TestStockIsNeverKeptTwice(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		var kept, short, charged atomic.Int64
		var wg sync.WaitGroup
		for i := range 40 { // charges of the same wallet meanwhile
			wg.Go(func() {
				switch _, err := w.keep(t, 10); {
				case err == nil:
					kept.Add(1)
				case problem.Is(err, "out_of_stock"):
					short.Add(1)
				}
			})
			wg.Go(func() {
				if _, err := w.ledger.Charge(t.Context(), w.request(fmt.Sprint("c", i), 1)); err == nil {
					charged.Add(1)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(40), kept.Load()+short.Load())
		b := w.balance(t, w.wallet)
		require.Equal(t, credits(10)*models.Credits(kept.Load()), b.Held)
		require.Equal(t, credits(100-10*kept.Load()-charged.Load()), b.Purchased)
		require.GreaterOrEqual(t, kept.Load(), int64(6), "40 charges leave 60")
		var holds []models.Hold
		require.NoError(t, db.Read.Where("purchase_id IS NOT NULL").Find(&holds).Error)
		for _, h := range holds {
			w.letStockGo(t, h.PurchaseID)
		}
		require.Equal(t, credits(100-charged.Load()), w.balance(t, w.wallet).Purchased)
		w.audit(t)
	})
}
