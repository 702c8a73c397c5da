package billing

import (
	"context"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// NoPlan stands in a query and in keys for agencies that are on no plan. No
// plan's code can be it.
const NoPlan = "-"

// zoneSetting names the zone in which pages across agencies cut days and hours.
const zoneSetting = "time_zone"

// FleetUsage is where credits went across agencies. Its report, its Agencies and
// what their counters hold add up to the same total, in every bucket.
type FleetUsage struct {
	UsageReport
	Agencies []UsageRow // whoever used credits now or in the period before, largest first, whatever the grouping
	Sold     []Sold     // per bucket; nil where the query asks for one action or model
	Listed   []FleetMember
	Plans    []FleetPlan // those that were ever offered, in that order
	UsageChoices
}

// Sold is what agencies got from the platform: allowances when their period
// began, packs when they were credited. Refunds are not taken off.
type Sold struct {
	Allowances models.Credits
	Packs      models.Credits
}

// Credits is both together.
func (s Sold) Credits() models.Credits { return s.Allowances + s.Packs }

// FleetMember is an agency as a report names it.
type FleetMember struct {
	ID         models.AgencyID
	ExternalID string
	Name       string
	Plan       string // code, NoPlan for none
}

// FleetPlan is a plan with its newest name, whatever the version.
type FleetPlan struct{ Code, Name string }

// PlatformZone is the platform's own zone: the setting time_zone, else UTC.
func (s *Service) PlatformZone(ctx context.Context) (*time.Location, error) {
	name, err := s.Setting(ctx, zoneSetting)
	return Zone(name), err
}

// FleetUsage adds up what agencies used: all of them, or the query's agency, or
// those on its plan. Days and hours are cut in the platform's zone, whatever
// the agencies'; a query's own zone is not looked at. It costs the same number of
// statements whatever the number of agencies and charges. Errors: not_found,
// invalid_range, invalid_group, invalid_interval.
func (s *Service) FleetUsage(ctx context.Context, scope Scope, q UsageQuery) (FleetUsage, error) {
	now := s.clock.Now()
	if err := q.checkFleet(scope); err != nil {
		return FleetUsage{}, err
	}
	q.Zone = nil
	var out FleetUsage
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		f, err := openFleet(tx, q, now)
		if err != nil {
			return err
		}
		out, err = f.report()
		return err
	})
	return out, err
}

// checkFleet holds a query across agencies against its bounds.
func (q *UsageQuery) checkFleet(scope Scope) error {
	if !scope.Platform() {
		return problem.Missing("agency")
	}
	if q.Group == BySubAccount || !q.Wallet.IsZero() || !q.Payer.IsZero() {
		return problem.New(problem.Invalid, "invalid_group", "Across agencies, usage is not told apart by sub-account.").On("group")
	}
	return q.check()
}

// fleetReader reads the counters of a query's agencies in one snapshot.
type fleetReader struct {
	tx       *gorm.DB
	q        UsageQuery
	now      models.Time
	agencies []fleetAgency // the query's
	listed   []fleetAgency // all of them, by name
	plans    []FleetPlan
	rolled   models.Time // days before this are added up for all of the query's
}

// fleetAgency is what the reader needs to know of an agency.
type fleetAgency struct {
	ID             models.AgencyID
	ExternalID     string
	Name           string
	Slots          string
	CreatedAt      models.Time
	PlatformRolled models.Time
	PlatformZone   string
	Plan           string
}

// rolledUntil is the start of the first day that is not added up yet. Before an
// agency was created it used nothing.
func (a *fleetAgency) rolledUntil(zone *time.Location) models.Time {
	switch a.PlatformZone {
	case zone.String():
		return a.PlatformRolled
	case "":
		return period.DayStart(a.CreatedAt, zone)
	}
	return 0 // added up in another zone, and soon again in this one
}

// openFleet reads who there is. A query without a zone gets the platform's.
func openFleet(tx *gorm.DB, q UsageQuery, now models.Time) (*fleetReader, error) {
	f := &fleetReader{tx: tx, q: q, now: now, rolled: models.Never}
	if q.Zone == nil {
		var zone []string
		if err := tx.Model(&models.Setting{}).Where("name = ?", zoneSetting).Pluck("value", &zone).Error; err != nil {
			return nil, err
		}
		f.q.Zone = Zone(strings.Join(zone, ""))
	}
	if err := f.readPlans(); err != nil {
		return nil, err
	}
	if err := tx.Raw(`SELECT a.id, a.external_id, a.name, a.slots, a.created_at, a.platform_rolled, a.platform_zone, COALESCE(p.code, ?) AS plan
		FROM agencies a
		LEFT JOIN subscriptions s ON s.agency_id = a.id AND s.ended_at = 0
		LEFT JOIN plans p ON p.id = s.plan_id
		ORDER BY a.name, a.id`, NoPlan).Scan(&f.listed).Error; err != nil {
		return nil, err
	}
	for _, a := range f.listed {
		if (q.Agency.IsZero() || q.Agency == a.ID) && (q.Plan == "" || q.Plan == a.Plan) {
			f.agencies = append(f.agencies, a)
			f.rolled = min(f.rolled, a.rolledUntil(f.q.Zone))
		}
	}
	if !q.Agency.IsZero() && !slices.ContainsFunc(f.listed, func(a fleetAgency) bool { return a.ID == q.Agency }) {
		return nil, problem.Missing("agency")
	}
	return f, nil
}

// readPlans lists plans by code in the order they first appeared.
func (f *fleetReader) readPlans() error {
	var rows []models.Plan
	if err := f.tx.Select("code", "name", "version", "created_at").Order("version, created_at, code").Find(&rows).Error; err != nil {
		return err
	}
	for i := range rows {
		if at := slices.IndexFunc(f.plans, func(p FleetPlan) bool { return p.Code == rows[i].Code }); at >= 0 {
			f.plans[at].Name = rows[i].Name
		} else {
			f.plans = append(f.plans, FleetPlan{Code: rows[i].Code, Name: rows[i].Name})
		}
	}
	return nil
}

// report adds everything up: once by agency, and once more where the query tells
// other things apart.
func (f *fleetReader) report() (FleetUsage, error) {
	byAgency := f.q
	byAgency.Group = ByAgency
	each, b := openUsageBuilder(byAgency, f.now), openUsageBuilder(f.q, f.now)
	b.plans = map[models.AgencyID]string{}
	for _, a := range f.agencies {
		b.plans[a.ID] = a.Plan
	}
	rows, err := f.counters([]string{"agency_id"}, &f.q, f.q.From, f.q.To)
	if err != nil {
		return FleetUsage{}, err
	}
	each.count(rows)
	told := f.q.columns() // what agencies' own rows do not tell
	if len(told) > 0 {
		if rows, err = f.counters(told, &f.q, f.q.From, f.q.To); err != nil {
			return FleetUsage{}, err
		}
	}
	b.count(rows)
	if b.compare && b.begun > 0 {
		b.before = b.matched()
		each.before = b.before
		from, to := b.before[0].Start, b.before[b.begun-1].End
		if rows, err = f.counters([]string{"agency_id"}, &f.q, from, to); err != nil {
			return FleetUsage{}, err
		}
		each.compareWith(rows)
		if len(told) > 0 {
			if rows, err = f.counters(told, &f.q, from, to); err != nil {
				return FleetUsage{}, err
			}
		}
		b.compareWith(rows)
	}
	out := FleetUsage{UsageReport: b.report(), Agencies: each.report().Rows, Plans: f.plans}
	if out.UsageChoices, err = f.choices(); err != nil {
		return FleetUsage{}, err
	}
	if f.q.Action == "" && f.q.Model == "" {
		if out.Sold, err = f.sold(b); err != nil {
			return FleetUsage{}, err
		}
	}
	f.name(&out)
	return out, nil
}

// name gives rows their names and the report its stable order of keys.
func (f *fleetReader) name(out *FleetUsage) {
	agencies, plans := map[models.AgencyID]*fleetAgency{}, map[string]string{NoPlan: "No plan"}
	for i := range f.listed {
		a := &f.listed[i]
		agencies[a.ID] = a
		out.Listed = append(out.Listed, FleetMember{ID: a.ID, ExternalID: a.ExternalID, Name: a.Name, Plan: a.Plan})
	}
	for _, p := range f.plans {
		plans[p.Code] = p.Name
	}
	for _, rows := range [][]UsageRow{out.Agencies, out.Rows} {
		for i := range rows {
			if a := agencies[rows[i].Key.Agency]; a != nil {
				rows[i].Name, rows[i].ExternalID = a.Name, a.ExternalID
			} else if f.q.Group == ByPlan {
				rows[i].Name = plans[rows[i].Key.Plan]
			}
		}
	}
	eldest := slices.Clone(f.listed)
	slices.SortFunc(eldest, func(a, b fleetAgency) int { return a.ID.Compare(b.ID) })
	switch f.q.Group {
	case ByAgency:
		for i := range eldest {
			out.Order = append(out.Order, UsageKey{Agency: eldest[i].ID})
		}
	case ByPlan:
		for _, p := range f.plans {
			out.Order = append(out.Order, UsageKey{Plan: p.Code})
		}
		out.Order = append(out.Order, UsageKey{Plan: NoPlan})
	case ByBucket:
		for _, b := range buckets() {
			out.Order = append(out.Order, UsageKey{Bucket: b})
		}
	case ByModelAction, ByModel, ByAction, ByNothing, BySubAccount:
		var known []slotName
		for i := range eldest {
			known = append(known, slotNames(eldest[i].Slots)...)
		}
		out.orderNames(known)
	}
}
