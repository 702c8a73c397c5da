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

// UsageGroup is what a usage report tells apart.
type UsageGroup string

// The groupings.
const (
	ByNothing     UsageGroup = "none"
	ByModelAction UsageGroup = "model_action" // the default
	ByModel       UsageGroup = "model"
	ByAction      UsageGroup = "action"
	BySubAccount  UsageGroup = "sub_account"
	ByBucket      UsageGroup = "bucket"
	ByAgency      UsageGroup = "agency" // across agencies only
	ByPlan        UsageGroup = "plan"   // the same: the plan each is on now
)

// UsageInterval is the width of a report's buckets.
type UsageInterval string

// The intervals. Auto is an hour up to 48 hours, a day up to 92 days, else a week.
const (
	AutoInterval UsageInterval = "auto"
	Hourly       UsageInterval = "hour"
	Daily        UsageInterval = "day"
	Weekly       UsageInterval = "week" // from Monday
	Monthly      UsageInterval = "month"
	InTotal      UsageInterval = "total"
)

// Bounds of a report.
const (
	MaxUsageDays   = 366 // one report
	MaxUsageHourly = 31  // days of a report by the hour
)

const (
	hour    = models.Time(time.Hour / time.Microsecond)
	quarter = hour / 4 // the span of a counter
)

// UsageQuery asks where credits went. Its zone cuts the buckets.
type UsageQuery struct {
	Agency   models.AgencyID // zero: every agency, for the platform
	Wallet   models.WalletID // who used, by the addressed wallet; zero: the whole agency
	Payer    models.WalletID // who paid; zero: anybody
	Zone     *time.Location  // nil: the agency's
	From, To models.Time     // half-open; To may lie ahead
	Group    UsageGroup      // "": ByModelAction
	Interval UsageInterval   // "": AutoInterval
	Action   string          // "": all
	Model    string          // "": all
	Plan     string          // code; across agencies, those on the plan now; "": all
	// Compare reads the period before too, matched by weekday. Before is where
	// that began; unset: as long before From as the report is long.
	Compare bool
	Before  models.Time

	only   []models.WalletID // who used; nil: all accounts of the agency
	payers []models.WalletID // who paid; nil: anybody
}

// UsageCount is what counters add up to. Credits are by the bucket that paid.
type UsageCount struct {
	Plan      models.Credits
	Purchased models.Credits
	Assigned  models.Credits
	Bonus     models.Credits
	Excess    models.Credits
	Units     int64 // replies, or pages and the like where only those are priced
	Charges   int64 // without the reversed ones
	Tests     int64
}

// Credits is what was paid, whatever from.
func (c UsageCount) Credits() models.Credits {
	return c.Plan + c.Purchased + c.Assigned + c.Bonus + c.Excess
}

// In is what one bucket paid.
func (c UsageCount) In(b models.Bucket) models.Credits {
	switch b {
	case models.BucketPlan:
		return c.Plan
	case models.BucketPurchased:
		return c.Purchased
	case models.BucketAssigned:
		return c.Assigned
	case models.BucketBonus:
		return c.Bonus
	case models.BucketExcess:
		return c.Excess
	}
	return 0
}

func (c *UsageCount) add(d UsageCount) {
	c.Plan += d.Plan
	c.Purchased += d.Purchased
	c.Assigned += d.Assigned
	c.Bonus += d.Bonus
	c.Excess += d.Excess
	c.Units += d.Units
	c.Charges += d.Charges
	c.Tests += d.Tests
}

// UsageKey names a row; the fields its grouping does not tell apart are zero.
type UsageKey struct {
	Agency models.AgencyID
	Wallet models.WalletID // of the sub-account, or the agency's own
	Action string
	Model  string
	Bucket models.Bucket
	Plan   string // code, NoPlan for agencies without one
}

func (k UsageKey) compare(o UsageKey) int {
	return cmpOr(k.Agency.Compare(o.Agency), k.Wallet.Compare(o.Wallet),
		strings.Compare(k.Action, o.Action), strings.Compare(k.Model, o.Model), strings.Compare(string(k.Bucket), string(o.Bucket)),
		strings.Compare(k.Plan, o.Plan))
}

// UsageBucket is one interval that has begun.
type UsageBucket struct {
	period.Span
	Partial bool // still running
}

// UsageRow is one name of a report.
type UsageRow struct {
	Key        UsageKey
	Name       string       // of the sub-account, agency or plan, by those groupings
	ExternalID string       // of the first two
	Counts     []UsageCount // per bucket of the report
	Total      UsageCount
	Previous   models.Credits // in the period before
}

// UsageReport is where credits went: Total = Σ Rows = Σ their Counts, exactly.
type UsageReport struct {
	Query   UsageQuery // with its defaults filled in; Interval is never auto
	Now     models.Time
	Buckets []UsageBucket // that have begun, oldest first; they tile the period
	Ahead   []period.Span // still to come
	Rows    []UsageRow    // largest first
	Total   UsageCount

	Previous      []models.Credits // per bucket; nil unless compared
	PreviousSpan  period.Span      // what they cover
	PreviousTotal models.Credits   // their sum, and that of the rows' Previous

	// Order is the account's stable order of names, for colours that stay: the
	// keys of this grouping as they first appeared, whatever the filter.
	Order []UsageKey
}

// PerBucket is the report's credits per bucket.
func (r *UsageReport) PerBucket() []models.Credits {
	out := make([]models.Credits, len(r.Buckets))
	for i := range r.Rows {
		for j, c := range r.Rows[i].Counts {
			out[j] += c.Credits()
		}
	}
	return out
}

// Cumulative is the running total at the end of each bucket.
func (r *UsageReport) Cumulative() []models.Credits {
	out := r.PerBucket()
	for i := 1; i < len(out); i++ {
		out[i] += out[i-1]
	}
	return out
}

// Busiest is the index of the bucket with the most credits, −1 without usage.
func (r *UsageReport) Busiest() int {
	best, most := -1, models.Credits(0)
	for i, c := range r.PerBucket() {
		if c > most {
			best, most = i, c
		}
	}
	return best
}

// Largest is the row that used the most, nil without usage.
func (r *UsageReport) Largest() *UsageRow {
	if len(r.Rows) == 0 || r.Rows[0].Total.Credits() <= 0 {
		return nil
	}
	return &r.Rows[0]
}

// Change is what was used more (or, negative, less) than in the period before.
func (r *UsageReport) Change() models.Credits { return r.Total.Credits() - r.PreviousTotal }

// UsageOf is the query for what an account sees of itself: an agency all usage
// of its wallets, a client that of its own wallet. Callers add the rest.
func UsageOf(a *Account) UsageQuery {
	q := UsageQuery{Agency: a.Agency.ID, Zone: a.Zone}
	if a.SubAccount != nil {
		q.Wallet = a.Wallet
	}
	return q
}

// Usage reads the counters: whole rolled days from usage_days, the rest from
// the quarters, in one snapshot. Without an agency it is FleetUsage's report.
// Errors: not_found, invalid_range, invalid_group, invalid_interval.
func (s *Service) Usage(ctx context.Context, scope Scope, q UsageQuery) (UsageReport, error) {
	now := s.clock.Now()
	if !scope.Covers(q.Agency) || q.Agency.IsZero() && !scope.Platform() {
		return UsageReport{}, problem.Missing("agency")
	}
	if q.Agency.IsZero() {
		all, err := s.FleetUsage(ctx, scope, q)
		return all.UsageReport, err
	}
	if err := q.check(); err != nil {
		return UsageReport{}, err
	}
	if q.Group == ByAgency || q.Group == ByPlan || q.Plan != "" {
		return UsageReport{}, wrongGroup()
	}
	var out UsageReport
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var agency models.Agency
		if err := tx.Where("id = ?", q.Agency).Take(&agency).Error; err != nil {
			return missing(err, "agency")
		}
		b, err := newUsageBuilder(tx, &agency, q, now)
		if err != nil {
			return err
		}
		out = b.report()
		return nameUsage(tx, &agency, &out)
	})
	return out, err
}

// check fills the defaults in and holds the query against its bounds.
func (q *UsageQuery) check() error {
	q.From -= intoQuarter(q.From)
	q.To += intoQuarter(-q.To)
	span := q.To.Sub(q.From)
	if q.From < 0 || span <= 0 || span > (MaxUsageDays+1)*24*time.Hour {
		return problem.New(problem.Invalid, "invalid_range", "Give a period that ends after it begins and lasts up to %d days.", MaxUsageDays).On("from")
	}
	if q.Group == "" {
		q.Group = ByModelAction
	}
	if !slices.Contains([]UsageGroup{ByNothing, ByModelAction, ByModel, ByAction, BySubAccount, ByBucket, ByAgency, ByPlan}, q.Group) {
		return wrongGroup()
	}
	switch q.Interval {
	case "", AutoInterval:
		switch {
		case span <= 49*time.Hour: // two days, one of them long
			q.Interval = Hourly
		case span <= 92*24*time.Hour+time.Hour:
			q.Interval = Daily
		default:
			q.Interval = Weekly
		}
	case Hourly:
		if span > (MaxUsageHourly*24+1)*time.Hour {
			return problem.New(problem.Invalid, "invalid_range", "By the hour, ask for up to %d days.", MaxUsageHourly).On("from")
		}
	case Daily, Weekly, Monthly, InTotal:
	default:
		return problem.New(problem.Invalid, "invalid_interval", "interval is hour, day or week.").On("interval")
	}
	return nil
}

func wrongGroup() error {
	return problem.New(problem.Invalid, "invalid_group", "group is model, action or sub_account.").On("group")
}

// intoQuarter is how far an instant lies into its quarter of an hour.
func intoQuarter(t models.Time) models.Time { return (t%quarter + quarter) % quarter }

// UsageChoices is what a report can be narrowed to.
type UsageChoices struct {
	Actions []string
	Models  []string
}

// UsageChoices lists the actions and models used in a query's period, whatever
// the query is narrowed to.
func (s *Service) UsageChoices(ctx context.Context, scope Scope, q UsageQuery) (UsageChoices, error) {
	q.Action, q.Model, q.Compare, q.Group, q.Interval = "", "", false, ByModelAction, InTotal
	r, err := s.Usage(ctx, scope, q)
	if err != nil {
		return UsageChoices{}, err
	}
	var out UsageChoices
	for i := range r.Rows {
		out.Actions = append(out.Actions, r.Rows[i].Key.Action)
		if m := r.Rows[i].Key.Model; m != "" {
			out.Models = append(out.Models, m)
		}
	}
	slices.Sort(out.Actions)
	slices.Sort(out.Models)
	out.Actions, out.Models = slices.Compact(out.Actions), slices.Compact(out.Models)
	return out, nil
}

// LastUsed is the start of the newest quarter of an hour with usage of the
// query's wallet or agency, for the platform of any agency; 0 when there is none.
func (s *Service) LastUsed(ctx context.Context, scope Scope, q UsageQuery) (models.Time, error) {
	if !scope.Covers(q.Agency) || q.Agency.IsZero() && !scope.Platform() {
		return 0, problem.Missing("agency")
	}
	if q.Agency.IsZero() {
		var at []models.Time
		err := s.db.Read.WithContext(ctx).Raw(`SELECT COALESCE(MAX(n.last), 0) FROM (SELECT
			(SELECT MAX(u.quarter) FROM usage_quarters u WHERE u.agency_id = a.id) AS last FROM agencies a) n`).Scan(&at).Error
		if err != nil || len(at) == 0 {
			return 0, err
		}
		return at[0], nil
	}
	tx := s.db.Read.WithContext(ctx).Model(&models.UsageQuarter{}).Where("agency_id = ?", q.Agency)
	if !q.Wallet.IsZero() {
		tx = tx.Where("wallet_id = ?", q.Wallet)
	}
	var at []models.Time
	err := tx.Order("quarter DESC").Limit(1).Pluck("quarter", &at).Error
	if err != nil || len(at) == 0 {
		return 0, err
	}
	return at[0], nil
}
