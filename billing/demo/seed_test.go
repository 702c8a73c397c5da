package demo_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/demo/demotest"
	"refill/billing/ledger"
	"refill/billing/preset"
	"refill/models"
)

// Every preset seeds a business whose owner and client are well.
func TestSeed(t *testing.T) {
	t.Parallel()
	for _, name := range preset.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			db, _, s, clock := demotest.Seeded(t, name, 14)
			t.Logf("seeded in %s", time.Since(began).Round(time.Millisecond))

			for _, ref := range []string{"agency:northwind", "sub:northwind/acme-dental"} {
				account, err := s.Find(t.Context(), billing.Scope{}, ref)
				require.NoError(t, err)
				view, err := s.Wallet(t.Context(), account)
				require.NoError(t, err)
				require.GreaterOrEqual(t, view.Balance.Purchased, 1000*models.Credit, ref)
				require.Equal(t, ledger.StateHealthy, view.State, ref)
			}
			var charges, purchases int64
			require.NoError(t, db.Read.Model(&models.Charge{}).Count(&charges).Error)
			require.NoError(t, db.Read.Model(&models.Purchase{}).Where("status = ?", models.PurchaseCredited).Count(&purchases).Error)
			t.Logf("%d charges, %d purchases", charges, purchases)
			require.Greater(t, charges, int64(200))
			require.Positive(t, purchases)
			var agencies, subs, sales int64
			require.NoError(t, db.Read.Model(&models.Agency{}).Count(&agencies).Error)
			require.NoError(t, db.Read.Model(&models.SubAccount{}).Count(&subs).Error)
			require.NoError(t, db.Read.Model(&models.Purchase{}).Where("package_id IS NOT NULL AND status = ?", models.PurchaseCredited).Count(&sales).Error)
			require.Equal(t, []int64{12, 40}, []int64{agencies, subs})
			require.Greater(t, sales, int64(3))
			report, err := ledger.Audit(t.Context(), db, clock.Now())
			require.NoError(t, err)
			require.True(t, report.Clean(), "%+v", report)
		})
	}
}
