package billing_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// The editor's panel, the sale and the lot that it moved tell one cost, and before
// the real card fee one profit: for the seed example, sale after sale, and where
// the stock was bought at two prices.
func TestThePanelIsTheSale(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		edit := billing.PackageEdit{
			Agency: growth.AgencyID, ID: growth.ID, Name: growth.Name, Credits: growth.Credits, Price: growth.Price, CostBasis: models.CostHeld,
		}
		sell := func(key string) (cost int64, panel billing.PackagePanel) {
			t.Helper()
			panel, err := s.PackagePanel(t.Context(), billing.Scope{}, &edit)
			require.NoError(t, err)
			p, err := s.order(t, acme, growth, key)
			require.NoError(t, err)
			s.pay(t, p)
			s.becomes(t, p, models.PurchaseCredited)
			sold := s.read(t, p)
			var lots []models.Lot
			require.NoError(t, db.Read.Where("agency_id = ? AND purchase_id = ?", p.AgencyID, p.ID).Find(&lots).Error)
			var booked int64
			for i := range lots {
				booked += lots[i].Cost
			}
			require.Equal(t, booked, sold.Cost)
			require.Equal(t, panel.Next.Amount, sold.Cost)
			require.Equal(t, panel.Margin.Fee.Amount, sold.Fee, "the simulator keeps the standard fee")
			return sold.Cost, panel
		}
		for _, key := range []string{"first", "second"} {
			cost, panel := sell(key)
			require.EqualValues(t, 28_57, cost)
			require.Equal(t, panel.Margin.Cost.Amount, cost)
			require.EqualValues(t, 29_39, panel.Margin.Keep.Amount)
		}
		// 15,000 are left at $0.0029; more come at $0.0050 a credit.
		more := s.buy(t, "dearer", "credits-2000", 0)
		s.pay(t, more)
		s.becomes(t, more, models.PurchaseCredited)
		cost, panel := sell("third")
		require.EqualValues(t, 28_57, cost, "the cheapest first")
		require.Greater(t, panel.Margin.Cost.Amount, cost, "the average is more")
	})
}
