package demo_test

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
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
			began := time.Now()
			db, _, s, clock := seeded(t, name, 14)
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

// seeded is a preset's business with days of history.
func seeded(t *testing.T, name string, days int) (*models.DB, *ledger.Ledger, *billing.Service, *demo.Clock) {
	t.Helper()
	catalogue, err := preset.Load(name)
	require.NoError(t, err)
	db := modelstest.OpenSQLite(t)
	clock := demo.NewClock(0)
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
	seeder := &demo.Seeder{Billing: s, Clock: clock, Catalogue: catalogue, Pay: payer(box.URL), Days: days}
	require.NoError(t, seeder.Seed(t.Context()))
	return db, led, s, clock
}

// The pace of a week tells when credits run out: on the history of the demo's own
// agency, looked back at from some hour of every other day, half of the dates are
// within 15% of the days that were left. Of agencies with a dozen charges a day, half
// are within a quarter: what they use is chance.
func TestForecastsComeTrue(t *testing.T) {
	t.Parallel()
	db, led, s, clock := seeded(t, "stammer", demo.Days)
	end := clock.Now()
	var then models.Time
	past, err := billing.New(billing.Config{DB: db, Ledger: led, Clock: models.ClockFunc(func() models.Time { return then }), BaseURL: "http://localhost:8080"})
	require.NoError(t, err)
	type use struct {
		Quarter models.Time
		Credits float64
	}
	var off []float64
	account, err := s.Find(t.Context(), billing.Scope{}, "agency:"+demo.AgencyExternalID)
	require.NoError(t, err)
	var used []use
	require.NoError(t, db.Read.Model(&models.UsageQuarter{}).Where("agency_id = ? AND paid_wallet_id = ?", account.Agency.ID, account.Wallet).
		Select("quarter, SUM(plan + purchased + assigned + bonus + excess) AS credits").Group("quarter").Order("quarter").Find(&used).Error)
	require.NotEmpty(t, used)
	for then = end.Add(-80 * 24 * time.Hour); then < end.Add(-3*24*time.Hour); then = then.Add(47 * time.Hour) {
		looked := past.Overview(t.Context(), account)
		require.NoError(t, looked.ForecastErr)
		pace := float64(looked.Forecast.PerDay)
		if pace == 0 {
			continue
		}
		for _, days := range []int{3, 5, 7, 10, 14, 20} {
			until := then.Add(time.Duration(days) * 24 * time.Hour) // credits that lasted so long
			if until > end {
				continue
			}
			var held float64
			for _, u := range used {
				if u.Quarter >= then && u.Quarter < until {
					held += u.Credits
				}
			}
			off = append(off, math.Abs(held/pace-float64(days))/float64(days))
		}
	}
	require.Greater(t, len(off), 150)
	slices.Sort(off)
	t.Logf("%d forecasts: half are off by at most %.1f%%, nine of ten by %.1f%%", len(off), 100*off[len(off)/2], 100*off[len(off)*9/10])
	require.LessOrEqual(t, off[len(off)/2], 0.15)
}
