package billing_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/demo"
	"refill/billing/demo/demotest"
	"refill/models"
)

// The pace of a week tells when credits run out: on the history of the demo's own
// agency, looked back at from some hour of every other day, half of the run-out dates
// are within 15% of the days that the credits did last, and so are those of its
// clients that have credits of their own and used some all the time. Of one that uses
// some now and then they are chance: its dates are only written down.
func TestForecastsComeTrue(t *testing.T) {
	t.Parallel()
	db, led, s, clock := demotest.Seeded(t, "stammer", demo.Days)
	end := clock.Now()
	var then models.Time
	past, err := billing.New(billing.Config{DB: db, Ledger: led, Clock: models.ClockFunc(func() models.Time { return then }), BaseURL: "http://localhost:8080"})
	require.NoError(t, err)
	type use struct {
		Quarter models.Time
		Credits models.Credits
	}
	// errorsOf is how far the dates were off, as shares of the days that were left.
	errorsOf := func(account *billing.Account) []float64 {
		var used []use
		require.NoError(t, db.Read.Model(&models.UsageQuarter{}).Where("agency_id = ? AND paid_wallet_id = ?", account.Agency.ID, account.Wallet).
			Select("quarter, CAST(SUM(plan + purchased + assigned + bonus + excess) AS bigint) AS credits").Group("quarter").Order("quarter").Find(&used).Error)
		var off []float64
		for then = end.Add(-80 * 24 * time.Hour); then < end.Add(-3*24*time.Hour); then = then.Add(47 * time.Hour) {
			looked := past.Overview(t.Context(), account)
			require.NoError(t, looked.ForecastErr)
			if looked.Forecast.PerDay == 0 || len(looked.Forecast.Daily) < 3 {
				continue // no date is shown
			}
			for _, days := range []int{3, 5, 7, 10, 14, 20} {
				lasted := time.Duration(days) * 24 * time.Hour
				if then.Add(lasted) > end {
					continue
				}
				var held models.Credits // credits that lasted so long
				for _, u := range used {
					if u.Quarter >= then && u.Quarter < then.Add(lasted) {
						held += u.Credits
					}
				}
				if held == 0 {
					continue
				}
				share := 1.0 // more than 90 days
				if at := looked.Forecast.RunsOutWith(held, then, account.Zone); at > 0 {
					share = math.Abs(float64(at.Sub(then)-lasted)) / float64(lasted)
				}
				off = append(off, share)
			}
		}
		slices.Sort(off)
		return off
	}
	report := func(who string, off []float64) {
		t.Logf("%s: %d run-out dates, half are off by at most %.1f%%, nine of ten by %.1f%%", who, len(off), 100*off[len(off)/2], 100*off[len(off)*9/10])
	}
	account, err := s.Find(t.Context(), billing.Scope{}, "agency:"+demo.AgencyExternalID)
	require.NoError(t, err)
	off := errorsOf(account)
	require.Greater(t, len(off), 150)
	report("the agency", off)
	require.LessOrEqual(t, off[len(off)/2], 0.15)

	subs, err := s.SubAccountStandings(t.Context(), account)
	require.NoError(t, err)
	steady := 0
	for i := range subs {
		if subs[i].Funding == models.Prepaid {
			off := errorsOf(billing.AccountOfSub(account.Agency, subs[i].SubAccount))
			if len(off) == 0 {
				continue
			}
			report(subs[i].Name, off)
			if len(off) > 150 {
				steady++
				require.LessOrEqual(t, off[len(off)/2], 0.15, subs[i].Name)
			}
		}
	}
	require.Positive(t, steady)
}
