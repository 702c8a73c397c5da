package billing

import (
	"context"
	"time"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/models"
)

// FleetData is how all agencies stand, for the platform.
type FleetData struct {
	Now      models.Time
	Agencies int64
	Paused   int64
	Low      int64 // low or critical
	Below    int64 // in excess
	Unpaid   int64 // purchases that Stripe says are paid but are not booked

	Used24h    models.Credits // by all agencies
	Used24hErr error

	Rows []FleetAgency // one page, by name
	Next string        // "" on the last page
}

// FleetAgency is one agency of the fleet.
type FleetAgency struct {
	models.Agency
	Plan           string // its name, "" without one
	State          ledger.State
	Left           models.Credits   // of its own wallet
	Daily          []models.Credits // used by it and its clients on the last 30 local days, today included
	Used30d        models.Credits
	SubAccounts    int64       // active
	LastPurchaseAt models.Time // credited; 0: none
}

// fleetDays is how far a row's sparkline reaches back.
const fleetDays = 30

type fleetCursor struct {
	Name string          `json:"n"`
	ID   models.AgencyID `json:"i"`
}

// Fleet reads one page of agencies and the counts over all of them. Errors:
// invalid_cursor.
func (s *Service) Fleet(ctx context.Context, cursor string, limit int) (FleetData, error) {
	if limit <= 0 || limit > 100 {
		limit = DefaultLines
	}
	var after fleetCursor
	if cursor != "" {
		if err := decodeCursor(cursor, &after); err != nil {
			return FleetData{}, err
		}
	}
	out := FleetData{Now: s.clock.Now()}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		states, err := fleetStates(tx, out.Now)
		if err != nil {
			return err
		}
		for _, st := range states {
			out.Agencies++
			switch st.State {
			case ledger.StatePaused:
				out.Paused++
			case ledger.StateExcess:
				out.Below++
			case ledger.StateLow, ledger.StateCritical:
				out.Low++
			case ledger.StateNew, ledger.StateHealthy, ledger.StateUpstream:
			}
		}
		if err := tx.Model(&models.Purchase{}).Where("status IN ? AND paid_at > 0 AND credited_at = 0",
			[]models.PurchaseStatus{models.PurchaseOpen, models.PurchaseProcessing}).Count(&out.Unpaid).Error; err != nil {
			return err
		}
		var agencies []models.Agency
		page := tx.Order("name, id").Limit(limit + 1)
		if cursor != "" {
			page = page.Where("(name, id) > (?, ?)", after.Name, after.ID)
		}
		if err := page.Find(&agencies).Error; err != nil {
			return err
		}
		if len(agencies) > limit {
			agencies = agencies[:limit]
			last := &agencies[limit-1]
			out.Next = encodeCursor(fleetCursor{last.Name, last.ID})
		}
		for i := range agencies {
			st := states[agencies[i].ID]
			out.Rows = append(out.Rows, FleetAgency{Agency: agencies[i], State: st.State, Left: st.Left})
		}
		return fleetFacts(tx, out.Rows, out.Now)
	})
	if err != nil {
		return FleetData{}, err
	}
	out.Used24h, out.Used24hErr = s.used24h(ctx, out.Now)
	return out, nil
}

// used24h adds up the last 24 hours of all agencies, by each one's key.
func (s *Service) used24h(ctx context.Context, now models.Time) (models.Credits, error) {
	var sum []models.Credits
	err := s.db.Read.WithContext(ctx).Raw(`SELECT CAST(COALESCE(SUM(q.plan + q.purchased + q.assigned + q.bonus + q.excess), 0) AS bigint)
		FROM agencies a JOIN usage_quarters q ON q.agency_id = a.id AND q.quarter >= ?`, now.Add(-24*time.Hour)).Scan(&sum).Error
	if err != nil || len(sum) == 0 {
		return 0, err
	}
	return sum[0], nil
}

type fleetState struct {
	State ledger.State
	Left  models.Credits
}

// fleetStates reads every agency's own wallet and what it may spend.
func fleetStates(tx *gorm.DB, now models.Time) (map[models.AgencyID]fleetState, error) {
	var wallets []models.Wallet
	if err := tx.Joins("JOIN agencies a ON a.id = wallets.agency_id AND a.wallet_id = wallets.id").Find(&wallets).Error; err != nil {
		return nil, err
	}
	spendable, err := spendableBy(tx.Where("(agency_id, wallet_id) IN (SELECT id, wallet_id FROM agencies)"), now)
	if err != nil {
		return nil, err
	}
	out := make(map[models.AgencyID]fleetState, len(wallets))
	for i := range wallets {
		w := &wallets[i]
		b := ledger.Balance{Available: spendable[w.ID], Held: w.Held, Excess: w.Excess}
		out[w.AgencyID] = fleetState{ledger.StateOf(*w, b), b.Left()}
	}
	return out, nil
}

// fleetFacts adds plans, clients, purchases and usage to a page of agencies.
func fleetFacts(tx *gorm.DB, rows []FleetAgency, now models.Time) error {
	if len(rows) == 0 {
		return nil
	}
	at := map[models.AgencyID]*FleetAgency{}
	ids := make([]models.AgencyID, 0, len(rows))
	for i := range rows {
		at[rows[i].ID] = &rows[i]
		ids = append(ids, rows[i].ID)
	}
	var facts []struct {
		AgencyID models.AgencyID
		Name     string
		N        int64
	}
	if err := tx.Raw("SELECT s.agency_id, p.name FROM subscriptions s JOIN plans p ON p.id = s.plan_id WHERE s.agency_id IN ? AND s.ended_at = 0", ids).
		Scan(&facts).Error; err != nil {
		return err
	}
	for _, f := range facts {
		at[f.AgencyID].Plan = f.Name
	}
	facts = nil
	if err := tx.Raw("SELECT agency_id, COUNT(*) AS n FROM sub_accounts WHERE agency_id IN ? AND status = 'active' GROUP BY agency_id", ids).
		Scan(&facts).Error; err != nil {
		return err
	}
	for _, f := range facts {
		at[f.AgencyID].SubAccounts = f.N
	}
	facts = nil
	if err := tx.Raw("SELECT agency_id, MAX(credited_at) AS n FROM purchases WHERE agency_id IN ? GROUP BY agency_id", ids).
		Scan(&facts).Error; err != nil {
		return err
	}
	for _, f := range facts {
		at[f.AgencyID].LastPurchaseAt = models.Time(f.N)
	}
	return fleetDaily(tx, rows, at, ids, now)
}

// fleetDaily adds the last thirty local days of each agency, in one statement
// for the rolled ones and one for the rest.
func fleetDaily(tx *gorm.DB, rows []FleetAgency, at map[models.AgencyID]*FleetAgency, ids []models.AgencyID, now models.Time) error {
	spans := make(map[models.AgencyID][]period.Span, len(rows))
	oldest := now
	for i := range rows {
		zone := Zone(rows[i].TimeZone)
		end := period.Day(now, zone).End
		days := period.Days(daysBack(end, zone, fleetDays), end, zone)
		spans[rows[i].ID] = days
		rows[i].Daily = make([]models.Credits, len(days))
		oldest = min(oldest, days[0].Start)
	}
	const paid = "CAST(SUM(u.plan + u.purchased + u.assigned + u.bonus + u.excess) AS bigint) AS paid"
	var used, running []struct {
		AgencyID models.AgencyID
		At       models.Time
		Paid     models.Credits
	}
	if err := tx.Raw("SELECT u.agency_id, u.day AS at, "+paid+` FROM agencies a JOIN usage_days u ON u.agency_id = a.id
		WHERE a.id IN ? AND u.day >= ? AND u.day < a.usage_rolled GROUP BY u.agency_id, u.day`, ids, oldest).Scan(&used).Error; err != nil {
		return err
	}
	if err := tx.Raw("SELECT u.agency_id, u.quarter AS at, "+paid+` FROM agencies a JOIN usage_quarters u ON u.agency_id = a.id
		WHERE a.id IN ? AND u.quarter >= ? AND u.quarter >= a.usage_rolled GROUP BY u.agency_id, u.quarter`, ids, oldest).Scan(&running).Error; err != nil {
		return err
	}
	for _, u := range append(used, running...) {
		days := spans[u.AgencyID]
		if i := place(days, u.At); i >= 0 {
			a := at[u.AgencyID]
			a.Daily[i] += u.Paid
			a.Used30d += u.Paid
		}
	}
	return nil
}
