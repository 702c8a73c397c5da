package billing

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/models"
	"refill/models/modelstest"
)

func plain(n int64, source models.Source, expires models.Time) *models.Lot {
	return &models.Lot{Source: source, Granted: credits(n), Remaining: credits(n), ExpiresAt: expires}
}

func TestForecastWalksForward(t *testing.T) {
	t.Parallel()
	zone := Zone("Europe/Paris")
	now := models.At(time.Date(2026, 11, 24, 12, 0, 0, 0, zone))
	reset := models.At(time.Date(2026, 12, 1, 0, 0, 0, 0, zone))
	monthly := func(after models.Time) models.Time {
		_, _, end := period.Containing(reset, zone, period.Month, after)
		return end
	}
	never := func(models.Time) models.Time { return models.Never }
	week := func(n int64) []models.Credits {
		out := make([]models.Credits, 7)
		for i := range out {
			out[i] = credits(n)
		}
		return out
	}
	day := func(n int) models.Time { return models.At(time.Date(2026, 11, 24+n, 12, 0, 0, 0, zone)) }
	tests := map[string]struct {
		in   forecastInput
		kind ForecastKind
		out  models.Time
	}{
		"two complete days are not enough": {forecastInput{left: 1, daily: week(5)[:2], reset: never}, ForecastNoData, 0},
		"nobody used any":                  {forecastInput{left: 1, daily: week(0), reset: never}, ForecastIdle, 0},
		"nothing is left":                  {forecastInput{left: 0, daily: week(5), reset: never}, ForecastNothing, 0},
		"runs out before the reset": {
			forecastInput{left: credits(300), daily: week(100), reset: monthly, allowance: credits(1000), lots: []*models.Lot{
				plain(200, models.SourcePlan, reset), plain(100, models.SourcePurchase, models.Never),
			}}, ForecastRunsOut, day(3),
		},
		"lasts past the reset, not for ever": {
			forecastInput{left: credits(1000), daily: week(100), reset: monthly, allowance: credits(1000), lots: []*models.Lot{
				plain(1000, models.SourcePlan, reset),
			}}, ForecastPastReset, reset.Add(10 * 24 * time.Hour),
		},
		"an allowance larger than the pace": {
			forecastInput{left: credits(1000), daily: week(100), reset: monthly, allowance: credits(4000), lots: []*models.Lot{
				plain(1000, models.SourcePlan, reset),
			}}, ForecastBeyond, 0,
		},
		"what expires is not counted on": {
			forecastInput{left: credits(1100), daily: week(100), reset: never, lots: []*models.Lot{
				plain(1000, models.SourceAssigned, day(2)), plain(100, models.SourcePurchase, models.Never),
			}}, ForecastRunsOut, day(3),
		},
		"what comes every month is counted on": {
			forecastInput{
				left: credits(300), daily: week(100), reset: never, lots: []*models.Lot{plain(300, models.SourcePurchase, models.Never)},
				incomes: []income{{at: day(2), credits: credits(500), next: func(models.Time) models.Time { return day(80) }, rolls: true}},
			}, ForecastPastReset, day(8),
		},
		"what comes too late is not": {
			forecastInput{
				left: credits(300), daily: week(100), reset: never, lots: []*models.Lot{plain(300, models.SourcePurchase, models.Never)},
				incomes: []income{{at: day(4), credits: credits(500), next: monthly, rolls: true}},
			}, ForecastRunsOut, day(3),
		},
		"what will return does not last": {
			forecastInput{
				left: credits(1000), daily: week(100), reset: never, lots: []*models.Lot{{Source: models.SourceAssigned, Remaining: credits(1000), ExpiresAt: models.Never, CreatedAt: 5}},
				incomes: []income{{at: day(2), credits: credits(100), next: func(models.Time) models.Time { return day(80) }, given: 5}},
			}, ForecastPastReset, day(3),
		},
		"more than ninety days": {
			forecastInput{left: credits(10_000), daily: week(100), reset: never, lots: []*models.Lot{plain(10_000, models.SourcePurchase, models.Never)}}, ForecastBeyond, 0,
		},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.in.now, c.in.zone = now, zone
			f := forecast(c.in)
			require.Equal(t, c.kind, f.Kind)
			require.Equal(t, c.out, f.RunsOutAt)
		})
	}
}

func TestForecastLastsAsLongAsThePaceAllows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		zone := Zone(rapid.SampledFrom([]string{"UTC", "Europe/Paris", "America/New_York"}).Draw(rt, "zone"))
		now := readsStart.Add(time.Duration(rapid.IntRange(0, 400*24*60).Draw(rt, "minutes")) * time.Minute)
		pace, left := rapid.Int64Range(1, 1e6).Draw(rt, "pace"), rapid.Int64Range(1, 1e8).Draw(rt, "left")
		f := forecast(forecastInput{
			now: now, zone: zone, left: credits(left), daily: []models.Credits{credits(pace), credits(pace), credits(pace)},
			reset: func(models.Time) models.Time { return models.Never }, lots: []*models.Lot{plain(left, models.SourcePurchase, models.Never)},
		})
		if f.RunsOutAt == 0 {
			require.GreaterOrEqual(rt, left, pace*89)
			return
		}
		require.InDelta(rt, float64(left)*24/float64(pace), f.RunsOutAt.Sub(now).Hours(), 1.01, "days of 23 and 25 hours move it by an hour at most")
	})
}

func TestPaceWord(t *testing.T) {
	t.Parallel()
	c := period.Span{Start: readsStart, End: readsStart.Add(30 * 24 * time.Hour)}
	half := readsStart.Add(15 * 24 * time.Hour)
	require.Equal(t, "18% ahead of pace", paceOf(credits(1000), credits(410), c, half).Word)
	require.Equal(t, "On pace", paceOf(credits(1000), credits(490), c, half).Word)
	require.Equal(t, "Below pace", paceOf(credits(1000), credits(800), c, half).Word)
	require.Empty(t, paceOf(credits(1000), credits(800), c, readsStart.Add(time.Hour)).Word, "too early to say")
	require.Empty(t, paceOf(0, 0, c, half).Word)
}

func TestOverviewGathersThePage(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		fresh := h.s.Overview(t.Context(), h.own)
		require.NoError(t, fresh.BalanceErr)
		require.EqualValues(t, "new", fresh.Balance.State)
		require.Equal(t, ForecastNoData, fresh.Forecast.Kind)
		require.Len(t, fresh.Replies, 2, "the cheapest and the dearest")
		require.EqualValues(t, 100_000, fresh.Replies[0].Count)

		poor, rich := h.client("poor", models.Prepaid, ""), h.client("rich", models.Prepaid, "")
		h.assign(poor, 25)
		h.assign(rich, 5000)
		h.charge(poor.Wallet, "gpt-4", false)
		for range 5 {
			h.charge(rich.Wallet, "gpt-4", false)
			h.charge(rich.Wallet, "gpt-4-turbo", false)
			h.charge(h.agency.WalletID, "gpt-4-turbo", false)
			h.wait(24 * time.Hour)
		}
		h.hold(h.agency.WalletID, 50)
		o := h.s.Overview(t.Context(), h.own)
		for _, err := range []error{o.BalanceErr, o.ForecastErr, o.UsageErr, o.LatestErr, o.RepliesErr, o.AttentionErr} {
			require.NoError(t, err)
		}
		require.Equal(t, credits(100_000-5025-50-50), o.Balance.Balance.Left())
		require.Equal(t, credits(100_000), o.Balance.Allowance)
		require.Equal(t, o.Cycle.End, o.Balance.ResetsAt)
		require.EqualValues(t, 1, o.Balance.HeldJobs)
		require.Equal(t, credits(50), o.Balance.Balance.Held)
		require.Equal(t, credits(5000-175), o.Balance.Assigned)
		require.Equal(t, credits(25+50+175), o.Usage.Total.Credits())
		require.NotNil(t, o.Usage.Previous)
		require.Equal(t, credits(10), o.Forecast.PerDay, "what its own wallet paid")
		require.Len(t, o.Forecast.Daily, 5)
		require.Equal(t, "gpt-4-turbo", o.Replies[0].Model, "the most used, not the dearest")
		require.Len(t, o.Latest, 5)
		require.EqualValues(t, 1, o.Attention.Paused)
		require.Equal(t, "poor", o.Attention.List[0].ExternalID)

		mine := h.s.Overview(t.Context(), rich)
		require.NoError(t, mine.BalanceErr)
		require.Zero(t, mine.Balance.Assigned)
		require.Empty(t, mine.Attention.List)
		require.Equal(t, credits(35), mine.Forecast.PerDay)
	})
}

// TestAssignedIsNotSold: what clients bought, or were given as a bonus, is theirs
// and not the agency's to take back.
func TestAssignedIsNotSold(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		client := h.client("acme", models.Prepaid, "")
		require.NoError(t, h.s.db.InTx(t.Context(), func(tx *gorm.DB) error {
			_, err := h.s.ledger.Grant(t.Context(), tx, ledger.GrantRequest{
				Agency: h.agency.ID, Wallet: h.agency.WalletID, Source: models.SourcePurchase, Credits: credits(2000), Kind: "purchase", Actor: "test", At: h.s.Now(),
			})
			return err
		}))
		_, err := h.s.Assign(t.Context(), Scope{}, TransferInput{
			Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Credits: credits(1400), Sold: true, Note: "Starter", Key: h.key(), By: "test",
		})
		require.NoError(t, err)
		h.give(client.Wallet, 30)
		h.assign(client, 8)

		data, err := h.s.BalanceData(t.Context(), h.own)
		require.NoError(t, err)
		require.Equal(t, credits(8), data.Assigned)
		mine, err := h.s.BalanceData(t.Context(), client)
		require.NoError(t, err)
		require.Equal(t, credits(1438), mine.Balance.Available)
	})
}

func TestOverviewSectionsFailAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, modelstest.OpenSQLite(t), "UTC", "")
	require.NoError(t, h.db.Write.Exec("DROP TABLE usage_quarters").Error)
	o := h.s.Overview(t.Context(), h.own)
	require.NoError(t, o.BalanceErr)
	require.Equal(t, credits(100_000), o.Balance.Balance.Left())
	require.Error(t, o.UsageErr)
	require.Error(t, o.LatestErr)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o = h.s.Overview(ctx, h.own)
	require.Error(t, o.BalanceErr)
}

func TestPeriodsAreTheAccounts(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		h.wait(35 * 24 * time.Hour)
		paris := Zone("Europe/Paris")
		day := func(month time.Month, d, hour int) models.Time {
			return models.At(time.Date(2026, month, d, hour, 0, 0, 0, paris))
		}
		ask := func(name PeriodName) UsagePeriod {
			p, err := h.s.UsagePeriod(t.Context(), h.own, name, "2026-03-28", "2026-03-29")
			require.NoError(t, err)
			return p
		}
		require.Equal(t, period.Span{Start: day(4, 26, 10), End: day(5, 26, 10)}, ask(ThisCycle).Span)
		require.Equal(t, credits(100_000), ask(ThisCycle).Allowance)
		require.Equal(t, period.Span{Start: day(3, 26, 10), End: day(4, 26, 10)}, ask(PreviousCycle).Span)
		require.Equal(t, period.Span{Start: day(4, 24, 0), End: day(5, 1, 0)}, ask(Last7Days).Span)
		require.Equal(t, 47*time.Hour, ask(CustomDays).Length())
		require.Equal(t, 24*time.Hour, ask(Last24Hours).Length())
		_, err := h.s.UsagePeriod(t.Context(), h.own, CustomDays, "2026-03-29", "2026-03-28")
		require.Error(t, err)
	})
}
