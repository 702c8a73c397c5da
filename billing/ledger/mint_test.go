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

// An agency opens clients by the hundred and lets each go below zero as far as it
// likes, by charges, by holds, and by captures after their hold's time: what all of
// them owe together stays within what the platform allows the agency.
func TestNobodyMintsCreditsByOpeningClients(t *testing.T) {
	t.Parallel()
	clients := faults.Sized(100, 1_000)
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		const ceiling = 50
		w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(1_000), AgencyCeiling: credits(ceiling)})
		wallets := []models.WalletID{w.wallet}
		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			for range clients {
				row := models.Wallet{
					AgencyID: w.agency, ID: models.NewID[models.WalletID](start), SubAccountID: models.NewID[models.SubAccountID](start), PoolWalletID: w.wallet,
					Status: models.WalletActive, Funding: models.Prepaid, PoolEvery: models.PoolCycle, ExcessLimit: credits(1_000), CreatedAt: start,
				}
				wallets = append(wallets, row.ID)
				if err := w.ledger.OpenWallet(t.Context(), tx, row); err != nil {
					return err
				}
			}
			return nil
		}))
		var all sync.WaitGroup
		for i, wallet := range wallets {
			all.Go(func() {
				name := fmt.Sprint("k", i)
				var err error
				if i%2 == 0 {
					_, err = w.ledger.Charge(t.Context(), of(w.request(name, int64(1+i%3)), wallet, start))
				} else {
					var h ledger.HoldReceipt
					if h, err = w.ledger.Hold(t.Context(), ledger.HoldRequest{
						Agency: w.agency, Wallet: wallet, Key: name, Fingerprint: []byte(name), Action: "ai.reply", Credits: credits(int64(1 + i%3)),
						TTL: ledger.DefaultHoldTTL, At: start,
					}); err == nil {
						cost, at := int64(3), start
						if i%4 == 3 { // late: what was held is promised, and no more
							cost, at = int64(1+i%3), start.Add(time.Hour)
						}
						_, err = w.ledger.Capture(t.Context(), ledger.CaptureRequest{Hold: h.Hold.ID, Charge: of(w.request("c"+name, cost), wallet, at)})
					}
				}
				if err != nil && !problem.Is(err, "insufficient_credits") {
					t.Error(err)
				}
			})
		}
		all.Wait()
		var owed models.Credits
		require.NoError(t, db.Read.Model(&models.Wallet{}).Where("agency_id = ?", w.agency).Select("CAST(SUM(excess + promised) AS bigint)").Scan(&owed).Error)
		require.Equal(t, owed, w.row(t, w.wallet).AgencyExcess)
		require.LessOrEqual(t, owed, credits(ceiling))
		require.Greater(t, owed, credits(ceiling-3), "and what is allowed can be used")
		w.refused(t, "insufficient_credits", of(w.request("last", 3), wallets[1], start.Add(time.Hour)))
		w.audit(t)
		faults.Raced(t, "%d clients of one agency at once below zero on %s", clients, db.Dialect)
	})
}
