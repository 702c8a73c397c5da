package billing

import (
	"bytes"
	"encoding/csv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// csvTotal exports a query and adds its column up.
func (h *house) csvTotal(q UsageQuery) models.Credits {
	h.t.Helper()
	export, err := h.s.UsageCSV(h.t.Context(), Scope{}, q)
	require.NoError(h.t, err)
	var file bytes.Buffer
	require.NoError(h.t, export(&file))
	rows, err := csv.NewReader(&file).ReadAll()
	require.NoError(h.t, err)
	require.Equal(h.t, "credits", rows[0][9])
	var sum models.Credits
	for _, row := range rows[1:] {
		c, err := models.ParseCredits(row[9])
		require.NoError(h.t, err)
		sum += c
	}
	return sum
}

// One number everywhere (F4): what entries drew = total = rows = buckets = CSV,
// for any account, filter, zone, interval and grouping, across clock changes.
func usageAddsUp(t *testing.T, h *house) {
	t.Helper()
	clients := []*Account{
		h.client("prepaid", models.Prepaid, ""),
		h.client("pooled", models.Pooled, "Australia/Lord_Howe"), // half an hour of summer time, until 5 April
		h.client("far", models.Prepaid, "America/New_York"),
	}
	for _, c := range []*Account{clients[0], clients[2]} {
		h.assign(c, 20_000)
	}
	accounts := append([]*Account{h.own}, clients...)
	actions := []string{"", "ai.reply"}
	kinds := []string{"gpt-3.5-turbo", "gpt-4-turbo", "gpt-4"}
	zones := []*time.Location{nil, time.UTC, Zone("Europe/Paris"), Zone("Australia/Lord_Howe"), Zone("America/New_York"), Zone("Asia/Kathmandu")}
	var last Receipt
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 6).Draw(rt, "acts") {
			a := rapid.SampledFrom(accounts).Draw(rt, "account")
			switch rapid.IntRange(0, 9).Draw(rt, "act") {
			case 0:
				if last.Charge.Seq+last.Charge.PoolSeq > 0 {
					_, err := h.s.Reverse(t.Context(), Scope{}, h.agency.ID, last.Charge.ID, h.key(), "failed")
					require.NoError(rt, err)
				}
			case 1:
				h.charge(a.Wallet, rapid.SampledFrom(kinds).Draw(rt, "model"), true)
			default:
				last = h.charge(a.Wallet, rapid.SampledFrom(kinds).Draw(rt, "model"), false)
			}
		}
		h.wait(time.Duration(rapid.SampledFrom([]int{0, 1, 17, 65, 7 * 60, 13 * 60}).Draw(rt, "minutes")) * time.Minute)
		now := h.s.Now()
		q := UsageOf(rapid.SampledFrom(accounts).Draw(rt, "reader"))
		if z := rapid.SampledFrom(zones).Draw(rt, "zone"); z != nil {
			q.Zone = z
		}
		q.Group = rapid.SampledFrom([]UsageGroup{ByNothing, ByModelAction, ByModel, ByAction, BySubAccount, ByBucket}).Draw(rt, "group")
		q.Interval = rapid.SampledFrom([]UsageInterval{AutoInterval, Hourly, Daily, Weekly, InTotal}).Draw(rt, "interval")
		q.Action = rapid.SampledFrom(actions).Draw(rt, "action")
		q.Model = rapid.SampledFrom(append([]string{""}, kinds...)).Draw(rt, "by")
		q.From = now - now%quarter - quarter*models.Time(rapid.IntRange(1, 4*24*20).Draw(rt, "from"))
		q.To = q.From + quarter*models.Time(rapid.IntRange(1, 4*24*25).Draw(rt, "length"))

		r := h.usage(q)
		want := h.drawn(q.Wallet, q.Action, q.Model, q.From, q.To)
		require.Equal(rt, want, r.Total.Credits(), "the report is the ledger")
		var rows, buckets models.Credits
		for i := range r.Rows {
			rows += r.Rows[i].Total.Credits()
		}
		for _, c := range r.PerBucket() {
			buckets += c
		}
		require.Equal(rt, want, rows, "rows add up")
		require.Equal(rt, want, buckets, "buckets add up")
		if n := len(r.Buckets); n > 0 {
			require.Equal(rt, want, r.Cumulative()[n-1])
			require.Equal(rt, q.From, r.Buckets[0].Start)
			for i := 1; i < n; i++ {
				require.Equal(rt, r.Buckets[i-1].End, r.Buckets[i].Start, "buckets tile")
			}
		}
		require.Equal(rt, want, h.csvTotal(q), "the export is the page")
	})
	require.Positive(t, h.s.Now().Sub(models.At(time.Date(2026, 3, 30, 0, 0, 0, 0, time.UTC))), "the test crossed a clock change")
}

func TestUsageAddsUpToTheLedger(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		usageAddsUp(t, newHouse(t, db, "Europe/Paris", ""))
	})
}

func TestUsageCutsDaysInTheZone(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		paris := Zone("Europe/Paris")
		at := func(day, hour int) models.Time { return models.At(time.Date(2026, 3, day, hour, 30, 0, 0, paris)) }
		for _, when := range []models.Time{at(28, 23), at(29, 0), at(29, 23), at(30, 0)} {
			h.at(when)
			h.charge(h.agency.WalletID, "gpt-4", false)
		}
		q := UsageOf(h.own)
		q.From, q.To, q.Interval = models.At(time.Date(2026, 3, 28, 0, 0, 0, 0, paris)), models.At(time.Date(2026, 4, 2, 0, 0, 0, 0, paris)), Daily
		r := h.usage(q)
		require.Equal(t, []models.Credits{credits(25), credits(50), credits(25)}, r.PerBucket(), "the day of 23 hours holds its own")
		require.Equal(t, 23*time.Hour, r.Buckets[1].Length())
		require.Len(t, r.Ahead, 2)
		require.False(t, r.Buckets[1].Partial)
		require.True(t, r.Buckets[2].Partial, "today is not over")
		require.Equal(t, 1, r.Busiest())
		require.Equal(t, "gpt-4", r.Largest().Key.Model)

		q.Interval, q.From, q.To = Hourly, at(29, 0)-2*quarter, at(30, 0)-2*quarter
		require.Len(t, h.usage(q).Buckets, 23)
	})
}

func TestUsageComparesByWeekday(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		for day := range 15 { // day d costs d+1, until Thursday 9 April
			for range day + 1 {
				h.charge(h.agency.WalletID, "gpt-3.5-turbo", false)
			}
			h.wait(24 * time.Hour)
		}
		p, err := h.s.UsagePeriod(t.Context(), h.own, Last7Days, "", "")
		require.NoError(t, err)
		q := UsageOf(h.own)
		q.From, q.To, q.Before, q.Compare = p.Start, p.End, p.Before, true
		r := h.usage(q)
		require.Equal(t, []models.Credits{credits(10), credits(11), credits(12), credits(13), credits(14), credits(15), 0}, r.PerBucket())
		require.Equal(t, []models.Credits{credits(3), credits(4), credits(5), credits(6), credits(7), credits(8), 0}, r.Previous,
			"each day stands beside the same weekday; today ends at the same time of day")
		require.Equal(t, credits(33), r.PreviousTotal)
		require.Equal(t, credits(33), r.Rows[0].Previous)
		require.Equal(t, credits(42), r.Change())
	})
}

func TestUsageIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, modelstest.OpenSQLite(t), "UTC", "")
	ask := func(change func(*UsageQuery)) error {
		q := UsageOf(h.own)
		q.From, q.To = readsStart, readsStart.Add(24*time.Hour)
		change(&q)
		_, err := h.s.Usage(t.Context(), Scope{Agency: h.agency.ID}, q)
		return err
	}
	require.NoError(t, ask(func(*UsageQuery) {}))
	for code, change := range map[string]func(*UsageQuery){
		"invalid_group":    func(q *UsageQuery) { q.Group = "colour" },
		"invalid_interval": func(q *UsageQuery) { q.Interval = "minute" },
		"invalid_range":    func(q *UsageQuery) { q.To = q.From },
		"not_found":        func(q *UsageQuery) { q.Agency = models.NewID[models.AgencyID](readsStart) },
	} {
		require.True(t, problem.Is(ask(change), code), code)
	}
	require.True(t, problem.Is(ask(func(q *UsageQuery) { q.To = q.From.Add(400 * 24 * time.Hour) }), "invalid_range"))
	require.True(t, problem.Is(ask(func(q *UsageQuery) { q.Interval, q.To = Hourly, q.From.Add(40*24*time.Hour) }), "invalid_range"))
	require.True(t, problem.Is(ask(func(q *UsageQuery) { q.Agency = models.AgencyID{} }), "not_found"), "an agency does not see the fleet")
}

func TestRollingIsIdempotentAndMends(t *testing.T) {
	t.Parallel()
	each(t, "America/New_York", "", func(t *testing.T, h *house) {
		for range 40 {
			h.charge(h.agency.WalletID, "gpt-4", false)
			h.now.Store(int64(h.s.Now().Add(3 * time.Hour)))
		}
		now := h.s.Now()
		days := func() (n int64, sum models.Credits) {
			var rows []models.UsageDay
			require.NoError(t, h.db.Read.Find(&rows).Error)
			for _, r := range rows {
				n += r.Charges
				sum += r.Plan
			}
			return n, sum
		}
		done := make(chan error)
		for range 4 { // as four processes would
			go func() { done <- h.s.rollUsage(t.Context(), now) }()
		}
		for range 4 {
			require.NoError(t, <-done)
		}
		n, sum := days()
		require.Equal(t, credits(25)*models.Credits(n), sum)
		require.Positive(t, n)
		require.NoError(t, h.s.rollUsage(t.Context(), now))
		again, _ := days()
		require.Equal(t, n, again)
		agency, err := h.s.Agency(t.Context(), h.agency.ID)
		require.NoError(t, err)
		require.JSONEq(t, `[{"action":"ai.reply","model":"gpt-4"}]`, agency.Slots)

		// A commit that came later than any should: the next roll counts it.
		late := agency.UsageRolled.Add(-time.Hour)
		require.NoError(t, h.db.Write.Exec("UPDATE usage_quarters SET plan = plan + 1000000, charges = charges + 1 WHERE quarter = (SELECT MAX(quarter) FROM usage_quarters WHERE quarter < ?)", late).Error)
		require.NoError(t, h.s.rollUsage(t.Context(), now.Add(24*time.Hour)))
		q := UsageOf(h.own)
		q.From, q.To, q.Interval, q.Zone = readsStart, now.Add(24*time.Hour), InTotal, time.UTC
		var quarters models.Credits
		require.NoError(t, h.db.Read.Model(&models.UsageQuarter{}).Select("CAST(SUM(plan) AS bigint)").Scan(&quarters).Error)
		h.now.Store(int64(now.Add(24 * time.Hour)))
		require.Equal(t, quarters, h.usage(q).Total.Credits())
	})
}

func TestThresholdsFollowThePace(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		client := h.client("acme", models.Prepaid, "")
		h.assign(client, 1000)
		for range 5 {
			for range 4 {
				h.charge(client.Wallet, "gpt-4", false) // 100 a day
				h.charge(h.agency.WalletID, "gpt-4-turbo", false)
			}
			h.wait(24 * time.Hour)
		}
		h.wait(2 * time.Hour)
		v, err := h.s.Wallet(t.Context(), client)
		require.NoError(t, err)
		require.Equal(t, credits(700), v.Wallet.LowAt, "a week at its pace")
		require.Equal(t, credits(100), v.Wallet.CriticalAt)
		require.EqualValues(t, "low", v.State, "500 are left")
		// 26 days before the reset the agency's week is a week; an hour before it, an hour.
		own, err := h.s.Wallet(t.Context(), h.own)
		require.NoError(t, err)
		require.Equal(t, credits(280), own.Wallet.LowAt)
		h.at(models.At(time.Date(2026, 4, 26, 8, 0, 0, 0, time.UTC)))
		own, err = h.s.Wallet(t.Context(), h.own)
		require.NoError(t, err)
		require.Zero(t, own.Wallet.LowAt, "unused for a week")
	})
}

func TestFleetUsageIsTheSumOfAgencies(t *testing.T) {
	t.Parallel()
	each(t, "Asia/Tokyo", "", func(t *testing.T, h *house) {
		other, err := h.s.CreateAgency(t.Context(), AgencyInput{ExternalID: "contoso", Name: "Contoso", TimeZone: "America/Los_Angeles", By: "test"})
		require.NoError(t, err)
		for i := range 30 {
			h.charge([]models.WalletID{h.agency.WalletID, other.WalletID}[i%2], "gpt-4", false)
			h.wait(5 * time.Hour)
		}
		q := UsageQuery{Group: ByAgency, Interval: Daily, From: models.At(time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)), To: models.At(time.Date(2026, 4, 4, 0, 0, 0, 0, time.UTC)), Compare: true}
		r := h.usage(q)
		require.Equal(t, credits(750), r.Total.Credits())
		require.Len(t, r.Rows, 2)
		require.Equal(t, credits(375), r.Rows[0].Total.Credits())
		require.NotEmpty(t, r.Rows[0].Name)
		q.Interval = Hourly
		require.Equal(t, credits(750), h.usage(q).Total.Credits())
	})
}
