package billing

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

func (h *house) fleet(q UsageQuery) *FleetUsage {
	h.t.Helper()
	r, err := h.s.FleetUsage(h.t.Context(), Scope{}, q)
	require.NoError(h.t, err)
	return &r
}

func (h *house) another(name, plan, zone string) models.Agency {
	h.t.Helper()
	a, err := h.s.CreateAgency(h.t.Context(), AgencyInput{ExternalID: strings.ToLower(name), Name: name, Plan: plan, TimeZone: zone, By: "test"})
	require.NoError(h.t, err)
	return a
}

// counted is what the counters themselves hold for a query.
func (h *house) counted(q UsageQuery, agencies []models.Agency, plans map[models.AgencyID]string) models.Credits {
	h.t.Helper()
	var total models.Credits
	for _, a := range agencies {
		if !q.Agency.IsZero() && q.Agency != a.ID || q.Plan != "" && q.Plan != plans[a.ID] {
			continue
		}
		tx := h.db.Read.Model(&models.UsageQuarter{}).Where("agency_id = ? AND quarter >= ? AND quarter < ?", a.ID, q.From, q.To)
		if q.Action != "" {
			tx = tx.Where("action = ?", q.Action)
		}
		if q.Model != "" {
			tx = tx.Where("model = ?", q.Model)
		}
		var sum models.Credits
		require.NoError(h.t, tx.Select("CAST(COALESCE(SUM(plan + purchased + assigned + bonus + excess), 0) AS bigint)").Scan(&sum).Error)
		total += sum
	}
	return total
}

// fleetCSV adds an export's credits up, by agency and in all.
func (h *house) fleetCSV(q UsageQuery) (total models.Credits, by map[string]models.Credits) {
	h.t.Helper()
	export, err := h.s.FleetUsageCSV(h.t.Context(), Scope{}, q)
	require.NoError(h.t, err)
	var file bytes.Buffer
	require.NoError(h.t, export(&file))
	rows, err := csv.NewReader(&file).ReadAll()
	require.NoError(h.t, err)
	by = map[string]models.Credits{}
	for _, row := range rows[1:] {
		c, err := models.ParseCredits(row[10])
		require.NoError(h.t, err)
		var parts models.Credits
		for _, cell := range row[11:] {
			part, err := models.ParseCredits(cell)
			require.NoError(h.t, err)
			parts += part
		}
		require.Equal(h.t, c, parts, "credits are the sum of their types")
		local, err := time.Parse(time.RFC3339, row[0])
		require.NoError(h.t, err)
		utc, err := time.Parse(time.RFC3339, row[1])
		require.NoError(h.t, err)
		require.True(h.t, local.Equal(utc))
		by[row[3]] += c
		total += c
	}
	return total, by
}

// One number everywhere (F4) across agencies: Σ rows = Σ buckets = Σ agencies =
// Σ CSV = Σ counters, for any filter, grouping, interval and zone of the platform.
func TestFleetUsageAddsUp(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		agencies := []models.Agency{
			h.agency, h.another("Contoso", "agency", "America/Los_Angeles"), h.another("Kite", "starter", "Asia/Kathmandu"),
		}
		for _, a := range agencies { // none runs dry
			_, err := h.s.Adjust(t.Context(), AdjustInput{Agency: a.ID, Wallet: a.WalletID, Credits: credits(1_000_000), Reason: "goodwill", Key: h.key(), By: "test"})
			require.NoError(t, err)
		}
		plans := map[models.AgencyID]string{}
		for _, a := range h.fleet(UsageQuery{From: readsStart, To: readsStart.Add(time.Hour)}).Listed {
			plans[a.ID] = a.Plan
		}
		require.Len(t, plans, 3)
		kinds := []string{"gpt-3.5-turbo", "gpt-4-turbo", "gpt-4"}
		zones := []string{"", "Europe/Paris", "Asia/Kolkata", "America/New_York"}
		var last Receipt
		var owner models.AgencyID
		rapid.Check(t, func(rt *rapid.T) {
			for range rapid.IntRange(1, 6).Draw(rt, "acts") {
				a := rapid.SampledFrom(agencies).Draw(rt, "agency")
				if rapid.IntRange(0, 9).Draw(rt, "act") == 0 && !owner.IsZero() {
					_, err := h.s.Reverse(t.Context(), Scope{}, owner, last.Charge.ID, h.key(), "failed")
					require.NoError(rt, err)
					continue
				}
				last, owner = h.charge(a.WalletID, rapid.SampledFrom(kinds).Draw(rt, "model"), false), a.ID
			}
			if rapid.IntRange(0, 30).Draw(rt, "moves") == 0 {
				require.NoError(rt, h.s.SetSetting(t.Context(), zoneSetting, rapid.SampledFrom(zones).Draw(rt, "platform")))
			}
			wait := time.Duration(rapid.SampledFrom([]int{0, 1, 17, 65, 7 * 60, 31 * 60}).Draw(rt, "minutes")) * time.Minute
			if h.now.Add(wait.Microseconds()); rapid.Bool().Draw(rt, "due") {
				h.wait(0)
			}
			now := h.s.Now()
			q := UsageQuery{Compare: rapid.Bool().Draw(rt, "compare")}
			q.Group = rapid.SampledFrom([]UsageGroup{ByNothing, ByModelAction, ByModel, ByAction, ByAgency, ByPlan, ByBucket}).Draw(rt, "group")
			q.Interval = rapid.SampledFrom([]UsageInterval{AutoInterval, Hourly, Daily, Weekly, Monthly, InTotal}).Draw(rt, "interval")
			q.Action = rapid.SampledFrom([]string{"", "ai.reply"}).Draw(rt, "action")
			q.Model = rapid.SampledFrom(append([]string{"", ""}, kinds...)).Draw(rt, "by")
			switch rapid.IntRange(0, 3).Draw(rt, "narrowed") {
			case 0:
				q.Agency = rapid.SampledFrom(agencies).Draw(rt, "of").ID
			case 1:
				q.Plan = plans[rapid.SampledFrom(agencies).Draw(rt, "on").ID]
			}
			q.From = now - now%quarter - quarter*models.Time(rapid.IntRange(1, 4*24*20).Draw(rt, "from"))
			q.To = q.From + quarter*models.Time(rapid.IntRange(1, 4*24*25).Draw(rt, "length"))

			r, want := h.fleet(q), h.counted(q, agencies, plans)
			require.Equal(rt, want, r.Total.Credits(), "the report is the counters")
			var rows, buckets, each, each2 models.Credits
			perBucket := r.PerBucket()
			for i := range r.Rows {
				rows += r.Rows[i].Total.Credits()
				require.Equal(rt, q.Group == ByAgency || q.Group == ByPlan, r.Rows[i].Name != "", "agencies and plans have names")
			}
			for i, c := range perBucket {
				buckets += c
				for j := range r.Agencies {
					c -= r.Agencies[j].Counts[i].Credits()
				}
				require.Zero(rt, c, "agencies add up in every bucket")
			}
			var before models.Credits
			for i := range r.Agencies {
				each += r.Agencies[i].Total.Credits()
				before += r.Agencies[i].Previous
			}
			require.Equal(rt, want, rows, "rows add up")
			require.Equal(rt, want, buckets, "buckets add up")
			require.Equal(rt, want, each, "agencies add up")
			require.Equal(rt, r.PreviousTotal, before)
			total, by := h.fleetCSV(q)
			require.Equal(rt, want, total, "the export is the page")
			for i := range r.Agencies {
				require.Equal(rt, r.Agencies[i].Total.Credits(), by[r.Agencies[i].ExternalID])
				each2 += by[r.Agencies[i].ExternalID]
			}
			require.Equal(rt, want, each2)
			if q.Compare && len(r.Buckets) > 0 {
				past := q
				past.Compare, past.From, past.To, past.Interval = false, r.PreviousSpan.Start, r.PreviousSpan.End, InTotal
				require.Equal(rt, r.PreviousTotal, h.counted(past, agencies, plans), "the period before is the counters'")
			}
		})
	})
}

// Days are the platform's, whatever the agencies' zones, and following one agency
// from the list of all shows the number it was listed with.
func TestFleetDaysAreThePlatforms(t *testing.T) {
	t.Parallel()
	each(t, "Asia/Tokyo", "", func(t *testing.T, h *house) {
		other := h.another("Contoso", "", "America/Los_Angeles")
		at := func(day, hour int) models.Time { return models.At(time.Date(2026, 3, day, hour, 30, 0, 0, time.UTC)) }
		for _, when := range []models.Time{at(26, 23), at(27, 0), at(27, 15), at(27, 23), at(28, 0)} {
			h.at(when)
			h.charge(h.agency.WalletID, "gpt-4", false)
			h.charge(other.WalletID, "gpt-4-turbo", false)
		}
		q := UsageQuery{Group: ByAgency, Interval: Daily, From: at(26, 0) - 2*quarter, To: at(29, 0) - 2*quarter}
		want := []models.Credits{credits(35), credits(105), credits(35)}
		require.Equal(t, want, h.fleet(q).PerBucket(), "before they are rolled")
		h.at(at(30, 2))
		r := h.fleet(q)
		require.Equal(t, want, r.PerBucket(), "and after")
		for i := range r.Rows {
			one := q
			one.Agency, one.Group = r.Rows[i].Key.Agency, ByModel
			require.Equal(t, r.Rows[i].Total, h.fleet(one).Total)
		}
		require.NoError(t, h.s.SetSetting(t.Context(), zoneSetting, "Asia/Tokyo"))
		q.From, q.To = q.From-9*4*quarter, q.To-9*4*quarter
		want = []models.Credits{0, credits(70), credits(105)}
		require.Equal(t, want, h.fleet(q).PerBucket(), "days were rolled in another zone")
		h.wait(0)
		require.Equal(t, want, h.fleet(q).PerBucket(), "and are rolled anew")
		var days int64
		require.NoError(t, h.db.Read.Model(&models.UsagePlatformDay{}).Count(&days).Error)
		require.EqualValues(t, 4, days, "no day of the old zone is left")
	})
}

func TestFleetUsageIsToldApart(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		other := h.another("Contoso", "agency", "UTC")
		client := h.client("acme", models.Prepaid, "")
		h.assign(client, 1000)
		h.give(h.agency.WalletID, 50) // was not sold
		h.charge(client.Wallet, "gpt-4", false)
		h.charge(h.agency.WalletID, "gpt-3.5-turbo", false)
		for range 3 {
			h.charge(other.WalletID, "gpt-4", false)
		}
		day := readsStart - readsStart%(24*hour)
		q := UsageQuery{From: day, To: day + 24*hour, Interval: Hourly}
		names := func(g UsageGroup) map[string]models.Credits {
			q.Group = g
			r, out := h.fleet(q), map[string]models.Credits{}
			for i := range r.Rows {
				row := &r.Rows[i]
				out[fmt.Sprint(row.Name, row.Key.Bucket, row.Key.Model)] += row.Total.Credits()
			}
			return out
		}
		require.Equal(t, map[string]models.Credits{"Contoso": credits(75), "Northwind": credits(26)}, names(ByAgency))
		require.Equal(t, map[string]models.Credits{"Full SaaS Mode": credits(26), "Agency": credits(75)}, names(ByPlan))
		require.Equal(t, map[string]models.Credits{"gpt-4": credits(100), "gpt-3.5-turbo": credits(1)}, names(ByModel))
		require.Equal(t, map[string]models.Credits{"plan": credits(76), "assigned": credits(25)}, names(ByBucket))

		r := h.fleet(q)
		require.Equal(t, []string{"ai.reply"}, r.Actions)
		require.Equal(t, []string{"gpt-3.5-turbo", "gpt-4"}, r.Models)
		var sold Sold
		for _, s := range r.Sold {
			sold.Allowances, sold.Packs = sold.Allowances+s.Allowances, sold.Packs+s.Packs
		}
		var granted int64
		require.NoError(t, h.db.Read.Raw("SELECT CAST(SUM(granted) AS bigint) FROM lots WHERE source = 'plan' AND parent_lot_id IS NULL").Scan(&granted).Error)
		require.Equal(t, Sold{Allowances: models.Credits(granted)}, sold, "what is assigned, or given away, is not sold")

		q.Plan = "agency"
		require.Equal(t, map[string]models.Credits{"gpt-4": credits(75)}, names(ByModel))
		q.Plan = NoPlan
		require.Empty(t, names(ByModel))
		q.Plan, q.Model = "", "gpt-3.5-turbo"
		require.Equal(t, map[string]models.Credits{"Northwind": credits(1)}, names(ByAgency))
		require.Nil(t, h.fleet(q).Sold, "nothing is sold for one model")
	})
}

func TestFleetUsageIsThePlatformsAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, modelstest.OpenSQLite(t), "UTC", "")
	q := UsageQuery{From: readsStart, To: readsStart.Add(time.Hour)}
	own := Scope{Agency: h.agency.ID}
	_, err := h.s.FleetUsage(t.Context(), own, q)
	require.True(t, problem.Is(err, "not_found"), "%v", err)
	_, err = h.s.FleetUsageCSV(t.Context(), own, q)
	require.True(t, problem.Is(err, "not_found"), "%v", err)
	q.Agency = models.NewID[models.AgencyID](readsStart)
	_, err = h.s.FleetUsage(t.Context(), Scope{}, q)
	require.True(t, problem.Is(err, "not_found"), "%v", err)
	_, err = h.s.FleetUsageCSV(t.Context(), Scope{}, q)
	require.True(t, problem.Is(err, "not_found"), "%v", err)
	q.Agency, q.Group = models.AgencyID{}, BySubAccount
	_, err = h.s.FleetUsage(t.Context(), Scope{}, q)
	require.True(t, problem.Is(err, "invalid_group"), "%v", err)
	q.Agency, q.Group = h.agency.ID, ByPlan
	_, err = h.s.Usage(t.Context(), Scope{}, q)
	require.True(t, problem.Is(err, "invalid_group"), "one agency's own page knows no plans: %v", err)
}

// However many charges there are, each agency's counters are reached by its key.
func TestFleetCountersAreReachedByKey(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		for range 5 {
			h.charge(h.agency.WalletID, "gpt-4", false)
			h.wait(24 * time.Hour)
		}
		day := readsStart - readsStart%(24*hour)
		q := UsageQuery{From: day + quarter, To: day + 7*24*hour, Interval: Daily, Group: ByModel, Model: "gpt-4"}
		require.NoError(t, h.db.Snapshot(t.Context(), func(tx *gorm.DB) error {
			f, err := openFleet(tx, q, h.s.Now())
			require.NoError(t, err)
			parts := f.stretches(&f.q, q.From, q.To)
			require.Len(t, parts, 3, "the rest of the first day, whole days, today")
			explain, reached := "EXPLAIN QUERY PLAN ", `SEARCH usage_\w+ USING PRIMARY KEY \(agency_id=\? AND (quarter|day)>\? AND (quarter|day)<\?`
			if h.db.Dialect == models.Postgres {
				explain, reached = "EXPLAIN ", `Index Cond: \(\(agency_id = .* AND \((quarter|day) >= .* AND \((quarter|day) <`
				require.NoError(t, tx.Exec("SET LOCAL enable_seqscan = off").Error) // tables this small are read whole otherwise
			}
			for _, part := range parts {
				asked := f.of(part, &f.q, f.agencies).Session(&gorm.Session{DryRun: true}).Select("model, " + sums()).Group("model").Find(&[]counted{}).Statement
				require.Contains(t, asked.SQL.String(), part.table)
				rows, err := tx.Statement.ConnPool.QueryContext(t.Context(), explain+asked.SQL.String(), asked.Vars...)
				require.NoError(t, err)
				defer rows.Close()
				var plan strings.Builder
				for rows.Next() {
					columns, err := rows.Columns()
					require.NoError(t, err)
					cells := make([]any, len(columns))
					for i := range cells {
						cells[i] = new(string)
					}
					require.NoError(t, rows.Scan(cells...))
					plan.WriteString(*cells[len(cells)-1].(*string) + "\n")
				}
				require.NoError(t, rows.Err())
				require.Regexp(t, reached, plan.String())
			}
			return nil
		}))
	})
}
