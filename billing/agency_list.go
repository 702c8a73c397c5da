package billing

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/models"
)

// AgencySignal is a condition that the list of agencies can be narrowed to.
type AgencySignal string

// The signals.
const (
	EveryAgency       AgencySignal = ""
	AgenciesPaused    AgencySignal = "paused"    // for want of credits, or by an admin
	AgenciesLow       AgencySignal = "low"       // low or critical
	AgenciesBelow     AgencySignal = "below"     // in excess
	AgenciesNoBuying  AgencySignal = "quiet"     // no purchase booked in 30 days
	AgenciesSuspended AgencySignal = "suspended" // paused by an admin
)

// AgencySignals are all of them in the order pages show them.
func AgencySignals() []AgencySignal {
	return []AgencySignal{EveryAgency, AgenciesPaused, AgenciesLow, AgenciesBelow, AgenciesNoBuying, AgenciesSuspended}
}

// AgencySort is what the list of agencies is sorted by.
type AgencySort string

// The orders; each runs the sensible way round unless turned.
const (
	AgenciesByName      AgencySort = "name"
	AgenciesByPlan      AgencySort = "plan"
	AgenciesByState     AgencySort = "state"  // worst first
	AgenciesByLeft      AgencySort = "left"   // least first
	AgenciesByLasts     AgencySort = "lasts"  // soonest gone first
	AgenciesByUsed      AgencySort = "used"   // most first
	AgenciesByBought    AgencySort = "bought" // most first
	AgenciesByExcess    AgencySort = "excess" // most first
	AgenciesByClients   AgencySort = "clients"
	AgenciesByPurchased AgencySort = "last" // newest first
)

// AgencyQuery asks for one page of agencies.
type AgencyQuery struct {
	Only   AgencySignal
	Search string // part of the name or external id
	Sort   AgencySort
	Turned bool // the other way round
	Page   int  // from 1
	Size   int  // 0: all that match
}

// AgencyListing is a page of agencies with how many each signal has.
type AgencyListing struct {
	Now     models.Time
	Rows    []AgencyStanding
	Counts  map[AgencySignal]int64 // of those the search finds
	All     int64                  // agencies there are, whatever is asked
	Matches int64
	Page    int // the one given, within what there is
	Pages   int
}

// AgencyStanding is one agency as the list tells it.
type AgencyStanding struct {
	models.Agency

	Plan           string // its name, "" without one
	State          ledger.State
	Left           models.Credits // of its own wallet
	Excess         models.Credits // of all its wallets
	Lasts          Forecast       // of its own wallet
	Daily          []models.Credits
	Used           models.Credits // Daily added up: by it and its clients on the last 30 local days, today included
	Bought         models.Credits // in the last 30 days
	SubAccounts    int64          // active
	LastPurchaseAt models.Time    // booked; 0: none
	Review         bool           // a payment needs a person
	Asked          bool           // an adjustment waits for a second person
}

// Suspended tells that an admin paused it.
func (a *AgencyStanding) Suspended() bool { return a.Status == models.AgencySuspended }

// Quiet tells that nothing was bought in the 30 days before an instant.
func (a *AgencyStanding) Quiet(now models.Time) bool { return a.LastPurchaseAt < now.Add(-quietAfter) }

// listedDays is how far a row's sparkline and its sums reach back.
const (
	listedDays = 30
	quietAfter = listedDays * 24 * time.Hour
)

// AgencyList reads a page of agencies. The number of statements is the same
// for one agency and for all of them.
func (s *Service) AgencyList(ctx context.Context, q AgencyQuery) (AgencyListing, error) {
	out := AgencyListing{Now: s.clock.Now(), Counts: map[AgencySignal]int64{}}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		all, wallets, err := agencyStandings(tx, out.Now)
		if err != nil {
			return err
		}
		out.All = int64(len(all))
		rows := all[:0]
		for i := range all {
			if !all[i].matches(q.Search) {
				continue
			}
			for _, signal := range AgencySignals() {
				if all[i].signalled(signal, out.Now) {
					out.Counts[signal]++
				}
			}
			if all[i].signalled(q.Only, out.Now) {
				rows = append(rows, all[i])
			}
		}
		out.Matches = int64(len(rows))
		// Usage and forecasts are read for a page only, unless it is they that
		// decide who is on it.
		if q.Sort == AgenciesByUsed || q.Sort == AgenciesByLasts {
			if err := agencyUse(tx, rows, wallets, out.Now); err != nil {
				return err
			}
		}
		slices.SortStableFunc(rows, q.compare)
		out.Page, out.Pages = 1, 1
		if q.Size > 0 {
			out.Pages = max(1, (len(rows)+q.Size-1)/q.Size)
			out.Page = min(max(1, q.Page), out.Pages)
			rows = rows[(out.Page-1)*q.Size : min(out.Page*q.Size, len(rows))]
		}
		out.Rows = rows
		if q.Sort == AgenciesByUsed || q.Sort == AgenciesByLasts {
			return nil
		}
		return agencyUse(tx, rows, wallets, out.Now)
	})
	return out, err
}

func (a *AgencyStanding) matches(search string) bool {
	search = strings.ToLower(strings.TrimSpace(search))
	return search == "" || strings.Contains(strings.ToLower(a.Name), search) || strings.Contains(strings.ToLower(a.ExternalID), search)
}

func (a *AgencyStanding) signalled(signal AgencySignal, now models.Time) bool {
	switch signal {
	case EveryAgency:
		return true
	case AgenciesPaused:
		return a.State == ledger.StatePaused
	case AgenciesLow:
		return a.State == ledger.StateLow || a.State == ledger.StateCritical
	case AgenciesBelow:
		return a.State == ledger.StateExcess
	case AgenciesNoBuying:
		return a.Quiet(now)
	case AgenciesSuspended:
		return a.Suspended()
	}
	return false
}

// severity orders states, the worst highest.
func severity(st ledger.State) int {
	return slices.Index([]ledger.State{
		ledger.StateHealthy, ledger.StateNew, ledger.StateLow, ledger.StateCritical, ledger.StateExcess, ledger.StateUpstream, ledger.StatePaused,
	}, st)
}

// order tells which forecast is the sooner end; what is not known comes last.
func (f *Forecast) order() (int, models.Time) {
	kind := slices.Index([]ForecastKind{
		ForecastNothing, ForecastRunsOut, ForecastPastReset, ForecastBeyond, ForecastIdle, ForecastNoData,
	}, f.Kind)
	if f.Kind == ForecastRunsOut {
		return kind, f.RunsOutAt
	}
	return kind, 0
}

func (q *AgencyQuery) compare(x, y AgencyStanding) int { //nolint:gocritic // the signature is slices'
	n := 0
	switch q.Sort {
	case AgenciesByPlan:
		n = strings.Compare(x.Plan, y.Plan)
	case AgenciesByState:
		n = severity(y.State) - severity(x.State)
	case AgenciesByLeft:
		n = cmp.Compare(x.Left, y.Left)
	case AgenciesByLasts:
		kindX, atX := x.Lasts.order()
		kindY, atY := y.Lasts.order()
		n = cmp.Or(kindX-kindY, cmp.Compare(atX, atY))
	case AgenciesByUsed:
		n = cmp.Compare(y.Used, x.Used)
	case AgenciesByBought:
		n = cmp.Compare(y.Bought, x.Bought)
	case AgenciesByExcess:
		n = cmp.Compare(y.Excess, x.Excess)
	case AgenciesByClients:
		n = cmp.Compare(y.SubAccounts, x.SubAccounts)
	case AgenciesByPurchased:
		n = cmp.Compare(y.LastPurchaseAt, x.LastPurchaseAt)
	case AgenciesByName:
		n = strings.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name))
	}
	if q.Turned {
		n = -n
	}
	return n
}

// agencyStandings reads all agencies by name with what one statement each can
// tell of all of them, and their own wallets.
func agencyStandings(tx *gorm.DB, now models.Time) ([]AgencyStanding, map[models.AgencyID]*models.Wallet, error) {
	var agencies []models.Agency
	if err := tx.Order("name, id").Find(&agencies).Error; err != nil {
		return nil, nil, err
	}
	states, err := fleetStates(tx, now)
	if err != nil {
		return nil, nil, err
	}
	rows := make([]AgencyStanding, len(agencies))
	at := make(map[models.AgencyID]*AgencyStanding, len(rows))
	wallets := make(map[models.AgencyID]*models.Wallet, len(rows))
	for i := range agencies {
		st := states[agencies[i].ID]
		rows[i] = AgencyStanding{Agency: agencies[i], State: st.State, Left: st.Left, Excess: st.Wallet.AgencyExcess}
		at[agencies[i].ID], wallets[agencies[i].ID] = &rows[i], &st.Wallet
	}
	type fact struct {
		AgencyID models.AgencyID
		Name     string
		N        int64
		Sum      int64
	}
	for _, read := range []struct {
		sql  string
		args []any
		put  func(a *AgencyStanding, f *fact)
	}{
		{
			"SELECT s.agency_id, p.name FROM subscriptions s JOIN plans p ON p.id = s.plan_id WHERE s.ended_at = 0", nil,
			func(a *AgencyStanding, f *fact) { a.Plan = f.Name },
		},
		{
			"SELECT agency_id, COUNT(*) AS n FROM sub_accounts WHERE status = ? GROUP BY agency_id",
			[]any{models.SubAccountActive},
			func(a *AgencyStanding, f *fact) { a.SubAccounts = f.N },
		},
		{
			`SELECT p.agency_id, MAX(p.credited_at) AS n,
				CAST(SUM(CASE WHEN p.credited_at >= ? THEN p.credits - p.revoked ELSE 0 END) AS bigint) AS sum
				FROM agencies a JOIN purchases p ON p.agency_id = a.id AND p.wallet_id = a.wallet_id AND p.credited_at > 0 GROUP BY p.agency_id`,
			[]any{now.Add(-quietAfter)},
			func(a *AgencyStanding, f *fact) { a.LastPurchaseAt, a.Bought = models.Time(f.N), models.Credits(f.Sum) },
		},
		{
			"SELECT agency_id, COUNT(*) AS n FROM purchases WHERE status = ? GROUP BY agency_id",
			[]any{models.PurchaseReview},
			func(a *AgencyStanding, f *fact) { a.Review = f.N > 0 },
		},
		{
			"SELECT agency_id, COUNT(*) AS n FROM adjustment_requests WHERE state = ? GROUP BY agency_id",
			[]any{models.AdjustmentPending},
			func(a *AgencyStanding, f *fact) { a.Asked = f.N > 0 },
		},
	} {
		var facts []fact
		if err := tx.Raw(read.sql, read.args...).Scan(&facts).Error; err != nil {
			return nil, nil, err
		}
		for i := range facts {
			if a := at[facts[i].AgencyID]; a != nil {
				read.put(a, &facts[i])
			}
		}
	}
	return rows, wallets, nil
}

// agencyUse adds usage and forecasts to some agencies.
func agencyUse(tx *gorm.DB, rows []AgencyStanding, wallets map[models.AgencyID]*models.Wallet, now models.Time) error {
	if len(rows) == 0 {
		return nil
	}
	agencies := make([]models.Agency, len(rows))
	ids := make([]models.AgencyID, len(rows))
	for i := range rows {
		agencies[i], ids[i] = rows[i].Agency, rows[i].ID
	}
	used, err := dailyUse(tx, agencies, true, listedDays, now)
	if err != nil {
		return err
	}
	var subs []models.Subscription
	if err := tx.Where("agency_id IN ? AND ended_at = 0", ids).Find(&subs).Error; err != nil {
		return err
	}
	var lots []*models.Lot
	if err := tx.Where("open AND (agency_id, wallet_id) IN (SELECT id, wallet_id FROM agencies WHERE id IN ?)", ids).
		Order("priority, expires_at, unit_cost, created_at, id").Find(&lots).Error; err != nil {
		return err
	}
	live := make(map[models.AgencyID]models.Subscription, len(subs))
	for i := range subs {
		live[subs[i].AgencyID] = subs[i]
	}
	lotsOf := make(map[models.AgencyID][]*models.Lot, len(rows))
	for _, l := range lots {
		lotsOf[l.AgencyID] = append(lotsOf[l.AgencyID], l)
	}
	for i := range rows {
		a := &rows[i]
		a.Used, a.Daily = 0, make([]models.Credits, 0, listedDays)
		for _, day := range used[a.ID] {
			a.Daily = append(a.Daily, day.All)
			a.Used += day.All
		}
		a.Lasts = forecastFrom(a.Agency, wallets[a.ID], live[a.ID], lotsOf[a.ID], used[a.ID], now)
	}
	return nil
}

// forecastFrom is forecastOf from facts read for many agencies at once.
func forecastFrom(agency models.Agency, w *models.Wallet, sub models.Subscription, lots []*models.Lot, used []dayUse, now models.Time) Forecast {
	account := &Account{Agency: agency, Wallet: agency.WalletID, Zone: Zone(agency.TimeZone)}
	c := cycleFrom(sub, account, now)
	in := forecastInput{now: now, zone: account.Zone, lots: lots, reset: c.next, left: -w.Excess}
	for _, l := range lots {
		if l.Remaining > 0 && !l.Frozen && l.EffectiveAt <= now && l.ExpiresAt > now {
			in.left += l.Remaining
		}
	}
	in.to = period.DayStart(now, account.Zone)
	in.from = in.to
	if w.UsedAt != 0 && w.UsedAt < in.to {
		in.from = max(daysBack(in.to, account.Zone, paceDays), period.DayStart(w.UsedAt, account.Zone))
		whole := used[:len(used)-1] // today is running
		for _, day := range whole[len(whole)-daysBetween(in.from, in.to, account.Zone):] {
			in.daily = append(in.daily, day.Own)
		}
	}
	if c.renews {
		in.allowance = c.allowance
	}
	if in.allowance == 0 {
		in.reset = func(models.Time) models.Time { return models.Never }
	}
	return forecast(in)
}
