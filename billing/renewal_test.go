package billing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/billing/period"
	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/faults"
)

func (h *house) allowances() []models.Lot {
	h.t.Helper()
	var lots []models.Lot
	require.NoError(h.t, h.db.Read.Where("agency_id = ? AND source = ?", h.agency.ID, models.SourcePlan).Order("period_start").Find(&lots).Error)
	return lots
}

func (h *house) ledgerHolds() {
	h.t.Helper()
	report, err := ledger.Audit(h.t.Context(), h.db, models.Time(h.now.Load()))
	require.NoError(h.t, err)
	require.True(h.t, report.Clean(), "%s", report)
}

// A charge sees the period it falls into to the microsecond, whether the clock has
// begun it or not; a hundred at once begin it once.
func TestAChargeBeginsThePeriod(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "Europe/Paris", "")
		_, sub, err := h.s.PlanOf(t.Context(), h.agency.ID)
		require.NoError(t, err)
		charge := func(key string, at models.Time) ChargeOutcome {
			h.now.Store(int64(at))
			out, err := h.s.Charge(t.Context(), Scope{}, ChargeInput{Wallet: "agency:northwind", Key: key, Action: "ai.reply", Model: "gpt-4"})
			require.NoError(t, err)
			return out
		}
		require.Equal(t, h.allowances()[0].ID, charge("before", sub.PeriodEnd-1).Draws[0].Lot)
		require.Len(t, h.allowances(), 1)
		h.now.Store(int64(sub.PeriodEnd + 1))
		var together sync.WaitGroup
		for i := range 100 {
			together.Go(func() { charge(fmt.Sprint("after", i), sub.PeriodEnd+1) })
		}
		together.Wait()
		lots := h.allowances()
		require.Len(t, lots, 2)
		require.Equal(t, []any{sub.PeriodEnd, models.Credits(0)}, []any{lots[1].PeriodStart, lots[0].Remaining})
		require.Equal(t, lots[1].Granted-100*25*models.Credit, lots[1].Remaining, "every one drew on the new allowance")
		require.NoError(t, h.s.RunDue(t.Context(), sub.PeriodEnd+2))
		require.Len(t, h.allowances(), 2, "the clock finds it begun")

		// A look is enough, and a hold.
		_, sub, err = h.s.PlanOf(t.Context(), h.agency.ID)
		require.NoError(t, err)
		h.now.Store(int64(sub.PeriodEnd))
		wallet, err := h.s.Wallet(t.Context(), h.own)
		require.NoError(t, err)
		require.Equal(t, sub.Allowance, wallet.Balance.Plan)
		h.ledgerHolds()
	})
}

// Periods that were missed altogether leave nothing behind: one allowance lives.
func TestMissedPeriodsLeaveOneAllowance(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "America/Sao_Paulo", "")
		_, sub, err := h.s.PlanOf(t.Context(), h.agency.ID)
		require.NoError(t, err)
		third := period.At(sub.AnchorAt, Zone(sub.TimeZone), period.Month, 3)
		for _, at := range []models.Time{third.Add(time.Hour), third.Add(time.Hour), third.Add(2 * time.Hour)} {
			h.now.Store(int64(at))
			require.NoError(t, h.s.RunDue(t.Context(), at))
		}
		lots := h.allowances()
		require.Len(t, lots, 2)
		require.Equal(t, third, lots[1].PeriodStart)
		require.Zero(t, lots[0].Remaining)
		wallet, err := h.s.Wallet(t.Context(), h.own)
		require.NoError(t, err)
		require.Equal(t, sub.Allowance, wallet.Balance.Left())
		h.ledgerHolds()
	})
}

// Two processes that renew at once share the work; no agency has its allowance
// twice, and one that cannot be renewed holds up nobody.
func TestRenewalsShareTheWork(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "UTC", "")
		const n = 3*renewBatch + 7
		at := readsStart.Add(time.Hour)
		ids := subscribeMany(t, h, n, at)
		// This one's wallet is fuller than a wallet may be, once its allowance came.
		full := ids[n/2]
		require.NoError(t, db.Write.Model(&models.Subscription{}).Where("agency_id = ?", full).Update("allowance", models.MaxBalance+1).Error)
		other, err := New(Config{DB: db, Ledger: h.s.ledger, Clock: h.s.clock})
		require.NoError(t, err)
		var together sync.WaitGroup
		var failed atomic.Int64
		for _, s := range []*Service{h.s, other} {
			together.Go(func() {
				if err := s.renewDue(t.Context(), at); err != nil {
					failed.Add(1)
				}
			})
		}
		together.Wait()
		require.Positive(t, failed.Load(), "what cannot be renewed is told")
		var renewed, waiting int64
		require.NoError(t, db.Read.Model(&models.Lot{}).Where("source = ? AND period_start = ?", models.SourcePlan, at).Count(&renewed).Error)
		require.NoError(t, db.Read.Model(&models.Subscription{}).Where("period_end <= ?", at).Count(&waiting).Error)
		require.Equal(t, []int64{n - 1, 1}, []int64{renewed, waiting})
	})
}

// subscribeMany makes agencies whose period ends at an instant, the fast way: rows
// as CreateAgency leaves them, less the first allowance.
func subscribeMany(t testing.TB, h *house, n int, end models.Time) []models.AgencyID {
	t.Helper()
	plan, own, err := h.s.PlanOf(t.Context(), h.agency.ID)
	require.NoError(t, err)
	var agencies []models.Agency
	var wallets []models.Wallet
	var places []models.WalletPlace
	var subs []models.Subscription
	ids := make([]models.AgencyID, n)
	for i := range n {
		a := h.agency
		a.ID, a.WalletID = models.NewID[models.AgencyID](readsStart), models.NewID[models.WalletID](readsStart)
		a.ExternalID, a.Host, a.IdempotencyKey = fmt.Sprint("many-", i), fmt.Sprint("many-", i), nil
		sub := own
		sub.AgencyID, sub.ID, sub.PlanID, sub.TimeZone = a.ID, models.NewID[models.SubscriptionID](readsStart), plan.ID, "UTC"
		sub.AnchorAt, sub.PeriodStart, sub.PeriodEnd = end, end.Add(-time.Hour), end
		agencies, subs = append(agencies, a), append(subs, sub)
		wallets = append(wallets, models.Wallet{
			AgencyID: a.ID, ID: a.WalletID, Status: models.WalletActive, Funding: models.Prepaid, PoolEvery: models.PoolCycle, CycleStart: readsStart, CreatedAt: readsStart,
		})
		places = append(places, models.WalletPlace{WalletID: a.WalletID, AgencyID: a.ID})
		ids[i] = a.ID
	}
	for _, rows := range []any{agencies, wallets, places, subs} {
		require.NoError(t, h.db.Write.WithContext(t.Context()).CreateInBatches(rows, 500).Error)
	}
	return ids
}

// Subscriptions that end in the same second renew in batches, and whoever is
// charged meanwhile hardly notices. REFILL_FAULTS takes 100,000.
func TestManyRenewInTheSameSecond(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		n := faults.Sized(1_000, 100_000)
		h := newHouse(t, db, "UTC", "")
		first := readsStart.Add(time.Hour)
		subscribeMany(t, h, n, first)
		require.NoError(t, h.s.renewDue(t.Context(), first)) // their first allowance
		second := period.At(first, time.UTC, period.Month, 1)

		// The busy agency's own period is another one.
		require.NoError(t, db.Write.Model(&models.Subscription{}).Where("agency_id = ?", h.agency.ID).Update("period_end", second.Add(time.Hour)).Error)
		require.NoError(t, db.Write.Model(&models.StoredLot{}).Where("agency_id = ?", h.agency.ID).Update("expires_at", second.Add(time.Hour)).Error)
		h.now.Store(int64(second))
		ctx, stop := context.WithCancel(t.Context())
		var took []time.Duration
		var busy sync.WaitGroup
		busy.Go(func() {
			for i := 0; ctx.Err() == nil && i < 4_000; i++ {
				began := time.Now()
				_, err := h.s.Charge(t.Context(), Scope{}, ChargeInput{Wallet: "agency:northwind", Key: fmt.Sprint("c", i), Action: "ai.reply", Model: "gpt-3.5-turbo"})
				if !assertNoError(t, err) {
					return
				}
				took = append(took, time.Since(began))
			}
		})
		began := time.Now()
		err := h.s.renewDue(t.Context(), second)
		whole := time.Since(began)
		stop()
		busy.Wait()
		require.NoError(t, err)
		require.NotEmpty(t, took)
		slices.Sort(took)
		t.Logf("%d subscriptions renewed in %s, %.0f a second; %d charges meanwhile, p50 %s, p99 %s, max %s", n, whole.Round(time.Millisecond),
			float64(n)/whole.Seconds(), len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
		var fresh, spent int64
		require.NoError(t, db.Read.Model(&models.Lot{}).Where("source = ? AND period_start = ? AND open", models.SourcePlan, second).Count(&fresh).Error)
		require.NoError(t, db.Read.Model(&models.Lot{}).Where("source = ? AND period_start = ? AND open", models.SourcePlan, first).Count(&spent).Error)
		require.Equal(t, []int64{int64(n), 0}, []int64{fresh, spent})
		faults.Raced(t, "%d subscriptions renewed in one second, %d charges meanwhile on %s", n, len(took), db.Dialect)
	})
}

func assertNoError(t *testing.T, err error) bool {
	t.Helper()
	if err != nil {
		t.Errorf("a charge failed: %v", err)
	}
	return err == nil
}

// A clock that jumps back and forth, stands still or runs away, with charges, holds
// and the clock's work between: no period begins twice, nothing ends early, and the
// order of entries is that of their numbers.
func TestAClockThatJumps(t *testing.T) {
	t.Parallel()
	sequences, seed := faults.Sized(3, 300), faults.Seed()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		random := rand.New(rand.NewPCG(seed, 1))
		h := newHouse(t, db, "Europe/Paris", "")
		jumps := []time.Duration{-time.Hour, time.Hour, 40 * 24 * time.Hour, 0, -10 * time.Minute, 10 * time.Minute, -24 * time.Hour, time.Microsecond}
		opened := models.Time(h.now.Load()) // nothing had a price before
		latest := opened.Add(30 * 24 * time.Hour)
		h.now.Store(int64(latest))
		for n := range sequences {
			for step := range 12 {
				now := max(opened, models.Time(h.now.Load()).Add(jumps[random.IntN(len(jumps))]))
				h.now.Store(int64(now))
				latest = max(latest, now)
				switch random.IntN(3) {
				case 0:
					require.NoError(t, h.s.RunDue(t.Context(), now))
				case 1:
					_, err := h.s.Charge(t.Context(), Scope{}, ChargeInput{Wallet: "agency:northwind", Key: fmt.Sprint("c", n, ":", step), Action: "ai.reply", Model: "gpt-4"})
					require.NoError(t, err)
				case 2:
					h.hold(h.agency.WalletID, 5)
				}
				live := 0
				starts := map[models.Time]bool{}
				for _, lot := range h.allowances() {
					require.False(t, starts[lot.PeriodStart], "one allowance for each period")
					starts[lot.PeriodStart] = true
					if lot.Remaining > 0 && lot.ExpiresAt > latest {
						live++
					}
				}
				require.LessOrEqual(t, live, 1)
			}
			var entries []models.Entry
			require.NoError(t, db.Read.Where("agency_id = ?", h.agency.ID).Order("wallet_id, seq").Find(&entries).Error)
			for i := 1; i < len(entries); i++ {
				if entries[i].WalletID == entries[i-1].WalletID {
					require.GreaterOrEqual(t, entries[i].At, entries[i-1].At, "entry %d is dated before the one before it", entries[i].Seq)
				}
			}
		}
		h.now.Store(int64(latest))
		require.NoError(t, h.s.RunDue(t.Context(), latest))
		h.ledgerHolds()
		faults.Tried(t, seed, "%d sequences of jumps of the clock on %s", sequences, db.Dialect)
	})
}

// Anchors at the end of a month, through a leap year, in zones whose days jump:
// the stored periods are those that a calendar on the wall would say.
func TestAnchorsThroughALeapYear(t *testing.T) {
	t.Parallel()
	zones := []string{
		"UTC", "Europe/Paris", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Tokyo", "Australia/Lord_Howe", "Pacific/Apia",
		"Pacific/Pago_Pago", "Africa/Cairo", "America/St_Johns", "Pacific/Kiritimati",
	}
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "UTC", "")
		type anchored struct {
			id   models.AgencyID
			day  int
			zone *time.Location
		}
		var all []anchored
		latest := models.Time(0)
		// Created at half past two at night, when clocks change.
		for _, name := range zones {
			zone := Zone(name)
			for day := 29; day <= 31; day++ {
				at := models.At(time.Date(2027, time.December, day, 2, 30, 0, 0, zone))
				h.now.Store(int64(at))
				a, err := h.s.CreateAgency(t.Context(), AgencyInput{ExternalID: fmt.Sprintf("%s-%d", hostLabel(name), day), Name: name, TimeZone: name, By: "test"})
				require.NoError(t, err)
				all = append(all, anchored{a.ID, day, zone})
				latest = max(latest, at)
			}
		}
		for month := time.January; month <= 13; month++ { // 2028, and one more
			last := time.Date(2028, month+1, 0, 0, 0, 0, 0, time.UTC)
			h.now.Store(int64(models.At(last.AddDate(0, 0, 1).Add(20 * time.Hour)))) // the month is over in every zone
			require.NoError(t, h.s.renewDue(t.Context(), models.Time(h.now.Load())))
			for _, a := range all {
				sub, err := liveSubscription(db.Read, a.id)
				require.NoError(t, err)
				year, is, day := sub.PeriodStart.In(a.zone).Date()
				hour, minute, _ := sub.PeriodStart.In(a.zone).Clock()
				require.Equal(t, []int{last.Year(), int(last.Month()), min(a.day, last.Day())}, []int{year, int(is), day}, "%s from day %d", a.zone, a.day)
				if hour != 2 || minute != 30 { // a clock that jumps over half past two shows the first instant after it
					require.NotEqual(t, sub.PeriodStart.Add(-time.Microsecond).In(a.zone).Format("-0700"), sub.PeriodStart.In(a.zone).Format("-0700"), "%s %s", a.zone, sub.PeriodStart.In(a.zone))
				}
				var lots int64
				require.NoError(t, db.Read.Model(&models.Lot{}).Where("agency_id = ? AND source = ? AND open", a.id, models.SourcePlan).Count(&lots).Error)
				require.EqualValues(t, 1, lots)
			}
		}
		h.ledgerHolds()
	})
}

// After its last period a cancelled plan gives nothing, and nobody counts on it: not
// the balance, the forecast, the alarms nor the list of agencies.
func TestACancelledPlanResetsNothing(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		_, sub, err := h.s.PlanOf(t.Context(), h.agency.ID)
		require.NoError(t, err)
		for range 6 {
			h.spend(h.agency.WalletID, 10)
			h.wait(24 * time.Hour)
		}
		comes := func() []models.Time {
			t.Helper()
			o := h.s.Overview(t.Context(), h.own)
			require.NoError(t, errors.Join(o.BalanceErr, o.ForecastErr))
			live, err := liveSubscription(h.db.Read, h.agency.ID)
			require.NoError(t, err)
			return []models.Time{o.Balance.ResetsAt, o.Balance.EndsAt, o.Forecast.ResetsAt, resetOf(&live, h.s.Now())}
		}
		require.Equal(t, []models.Time{sub.PeriodEnd, 0, sub.PeriodEnd, sub.PeriodEnd}, comes())
		require.NoError(t, h.s.CancelOwnPlan(t.Context(), h.agency.ID, false, "user:o"))
		require.Equal(t, []models.Time{0, sub.PeriodEnd, 0, 0}, comes())
		require.NoError(t, h.s.CancelOwnPlan(t.Context(), h.agency.ID, true, "user:o"))
		require.Equal(t, []models.Time{sub.PeriodEnd, 0, sub.PeriodEnd, sub.PeriodEnd}, comes())
	})
}

// A plan that is paid by the year outside Stripe ends with the year, not with the
// month in which it is cancelled.
func TestACancelledYearIsGivenWhole(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		_, sub, err := h.s.PlanOf(t.Context(), h.agency.ID)
		require.NoError(t, err)
		require.NoError(t, h.db.Write.Model(&models.Subscription{}).Where("agency_id = ?", h.agency.ID).Update("paid_every", models.PaidYearly).Error)
		h.at(sub.PeriodEnd)
		require.NoError(t, h.s.CancelOwnPlan(t.Context(), h.agency.ID, false, "user:o"))
		year := models.At(sub.AnchorAt.Go().AddDate(1, 0, 0))
		own, err := h.s.PlanPage(t.Context(), h.agency.ID)
		require.NoError(t, err)
		require.Equal(t, []models.Time{year, year}, []models.Time{own.Sub.CancelAt, own.PaidEnd()})
		h.at(year.Add(-time.Hour))
		own, err = h.s.PlanPage(t.Context(), h.agency.ID)
		require.NoError(t, err)
		require.True(t, own.Live())
		h.at(year)
		own, err = h.s.PlanPage(t.Context(), h.agency.ID)
		require.NoError(t, err)
		require.Equal(t, year, own.Sub.EndedAt)
		h.ledgerHolds()
	})
}

// An end that was set at Stripe, on any day, is an end here as well.
func TestAnEndSetAtStripeIsHeeded(t *testing.T) {
	t.Parallel()
	var sub models.Subscription
	at := readsStart.Add(10 * 24 * time.Hour)
	stripe := checkout.Subscription{Status: checkout.SubscriptionActive, PeriodEnd: readsStart.Add(30 * 24 * time.Hour), CancelAt: at}
	heed(&sub, &stripe, readsStart, 7)
	require.Equal(t, at, sub.CancelAt)
	stripe.CancelAt = 0
	heed(&sub, &stripe, readsStart, 7)
	require.Zero(t, sub.CancelAt)
}
