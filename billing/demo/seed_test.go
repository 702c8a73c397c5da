package demo_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/billing/demo"
	"refill/billing/ledger"
	"refill/billing/preset"
	"refill/billing/stripesim"
	"refill/models"
	"refill/models/modelstest"
)

// Every preset seeds a business whose owner and client are well.
func TestSeed(t *testing.T) {
	t.Parallel()
	for _, name := range preset.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			catalogue, err := preset.Load(name)
			require.NoError(t, err)
			db := modelstest.OpenSQLite(t)
			clock := demo.NewClock(0)
			began := time.Now()
			var accounts []stripesim.Account
			for _, a := range demo.Sellers() {
				accounts = append(accounts, stripesim.Account{ID: a.Account, Name: a.Name, Email: a.Email})
			}
			sim, err := stripesim.New(stripesim.Config{Clock: clock, Secret: "sk_test_demo", Accounts: accounts})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, sim.Close()) })
			box := httptest.NewServer(sim)
			t.Cleanup(box.Close)
			gateway, err := checkout.New(checkout.Config{SecretKey: "sk_test_demo", WebhookSecrets: []string{"whsec_demo"}, BaseURL: box.URL})
			require.NoError(t, err)
			led, err := ledger.Open(t.Context(), db, ledger.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, led.Close()) })
			s, err := billing.New(billing.Config{DB: db, Ledger: led, Clock: clock, Payments: gateway, BaseURL: "http://localhost:8080"})
			require.NoError(t, err)
			seeder := &demo.Seeder{Billing: s, Clock: clock, Catalogue: catalogue, Pay: payer(box.URL), Days: 14}
			require.NoError(t, seeder.Seed(t.Context()))
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

// payer pays at the simulator's control door.
func payer(box string) func(ctx context.Context, session string) error {
	return func(ctx context.Context, session string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, box+"/_sim/checkout/sessions/"+session+"/pay", strings.NewReader("card=4242424242424242"))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
}
