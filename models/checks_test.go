package models_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

// Whatever a program gets wrong, the database takes no wallet and no lot that
// cannot be.
func TestTheSchemaRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		write := db.Write.WithContext(t.Context())
		wallet := models.Wallet{
			AgencyID: models.NewID[models.AgencyID](1), ID: models.NewID[models.WalletID](1),
			Status: models.WalletActive, Funding: models.Prepaid, PoolEvery: models.PoolCycle, Balance: 10, CreatedAt: 1,
		}
		require.NoError(t, write.Create(&wallet).Error)
		lot := map[string]any{
			"agency_id": wallet.AgencyID, "id": models.NewID[models.LotID](1), "wallet_id": wallet.ID, "source": models.SourcePurchase, "priority": 20, "currency": "usd",
			"granted": 10, "remaining": 10, "held": 0, "open": true, "effective_at": 1, "expires_at": models.Never, "unit_cost": 0, "cost": 0, "note": "", "created_at": 1,
		}
		require.NoError(t, write.Table("lot_rows").Create(lot).Error)
		for table, changes := range map[string][]string{
			"wallets": {
				"seq = -1", "held = -1", "excess = -1", "balance = -1", "promised = -1", "drawn = -1", "drawn = 1", "pool_drawn = -1", "pool_cap = -1",
				"excess_limit = -1", "agency_excess = -1", "agency_ceiling = -1", "drawn_lot_id = agency_id", "status = 'lost'", "funding = ''", "pool_every = 'week'",
			},
			"lot_rows": {
				"remaining = -1", "held = -1", "held = 1", "remaining = 11", "remaining = 0", "open = NOT open", "granted = 0, remaining = 0, open = NOT open",
				"unit_cost = -1", "cost = -1", "expires_at = effective_at", "source = 'found'",
			},
		} {
			for _, change := range changes {
				require.Error(t, write.Exec("UPDATE "+table+" SET "+change).Error, "%s: %s", table, change)
			}
		}
		require.Error(t, write.Exec("UPDATE lot_rows SET note = ?", strings.Repeat("x", 501)).Error)
		require.NoError(t, write.Exec("UPDATE wallets SET balance = -1, excess = 1, status = 'closed'").Error, "what can be is taken")
		require.NoError(t, write.Exec("UPDATE lot_rows SET remaining = 4, held = 6, source = 'promo', note = 'so'").Error)
	})
}
