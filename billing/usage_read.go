package billing

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/period"
	"refill/models"
)

func cmpOr(vals ...int) int { return cmp.Or(vals...) }

// counted is one row of a grouped query over the counters.
type counted struct {
	At       models.Time // of the quarter, hour or day
	AgencyID models.AgencyID
	WalletID models.WalletID
	Action   string
	Model    string

	PaidWalletID models.WalletID
	UsageCount
}

// cut divides a period into the query's buckets, clipped to it.
func (q *UsageQuery) cut(from, to models.Time, zone *time.Location) []period.Span {
	var spans []period.Span
	switch q.Interval {
	case Hourly:
		spans = period.Hours(from, to, zone)
	case Weekly:
		spans = period.Weeks(from, to, zone, time.Monday)
	case Monthly:
		spans = period.CalendarMonths(from, to, zone)
	case InTotal:
		spans = []period.Span{{Start: from, End: to}}
	case Daily, AutoInterval:
		spans = period.Days(from, to, zone)
	}
	if n := len(spans); n > 0 {
		spans[0].Start, spans[n-1].End = from, to
	}
	return spans
}

// columns are what the grouping tells apart.
func (q *UsageQuery) columns() []string {
	switch q.Group {
	case ByModelAction:
		return []string{"action", "model"}
	case ByModel:
		return []string{"model"}
	case ByAction:
		return []string{"action"}
	case BySubAccount:
		return []string{"wallet_id"}
	case ByNothing, ByBucket, ByAgency, ByPlan:
	}
	return nil
}

// sums are the counters' columns added up, as bigint on both databases.
func sums() string {
	parts := make([]string, 0, 8)
	for _, c := range counterColumns() {
		parts = append(parts, fmt.Sprintf("CAST(SUM(%[1]s) AS bigint) AS %[1]s", c))
	}
	return strings.Join(parts, ", ")
}

// readCounters adds up the counters of [from, to) per instant and group: rolled
// days where the reader may have whole agency days, quarters for the rest.
func readCounters(tx *gorm.DB, agency *models.Agency, q *UsageQuery, cols []string, from, to models.Time, whole bool) ([]counted, error) {
	if from >= to {
		return nil, nil
	}
	zone := Zone(agency.TimeZone)
	daysFrom := period.DayStart(from, zone)
	if daysFrom < from {
		daysFrom = period.Day(from, zone).End
	}
	daysTo := period.DayStart(min(to, agency.UsageRolled), zone)
	if !whole || daysFrom >= daysTo {
		return readQuarters(tx, q, cols, from, to)
	}
	head, err := readQuarters(tx, q, cols, from, daysFrom)
	if err != nil {
		return nil, err
	}
	tail, err := readQuarters(tx, q, cols, daysTo, to)
	if err != nil {
		return nil, err
	}
	table := "usage_days"
	if q.Payer.IsZero() && q.Wallet.IsZero() && q.only == nil && q.payers == nil && !slices.Contains(cols, "wallet_id") {
		table = "usage_agency_days" // whoever used and paid
	}
	var days []counted
	err = q.narrow(tx.Table(table)).Where("day >= ? AND day < ?", daysFrom, daysTo).
		Select(strings.Join(append([]string{"day AS at"}, append(cols, sums())...), ", ")).
		Group(strings.Join(append([]string{"day"}, cols...), ", ")).Scan(&days).Error
	return slices.Concat(head, days, tail), err
}

// readQuarters adds up quarters per hour where no bucket is cut within one.
func readQuarters(tx *gorm.DB, q *UsageQuery, cols []string, from, to models.Time) ([]counted, error) {
	if from >= to {
		return nil, nil
	}
	at := "quarter"
	if q.wholeHours(from, to) {
		at = fmt.Sprintf("quarter - quarter %% %d", hour)
	}
	var rows []counted
	err := q.narrow(tx.Table("usage_quarters")).Where("quarter >= ? AND quarter < ?", from, to).
		Select(strings.Join(append([]string{at + " AS at"}, append(cols, sums())...), ", ")).
		Group(strings.Join(append([]string{at}, cols...), ", ")).Scan(&rows).Error
	return rows, err
}

// whole tells whether no bucket is cut within a day of the agency's.
func (q *UsageQuery) whole(agency *models.Agency) bool {
	return q.Interval == InTotal || q.Interval != Hourly && q.Zone.String() == Zone(agency.TimeZone).String()
}

// wholeHours tells whether every bucket begins on an hour of UTC.
func (q *UsageQuery) wholeHours(from, to models.Time) bool {
	for _, s := range q.cut(from, to, q.Zone) {
		if s.Start%hour != 0 {
			return false
		}
	}
	return true
}

// narrow keeps to the agency and to what the query filters.
func (q *UsageQuery) narrow(tx *gorm.DB) *gorm.DB {
	tx = tx.Where("agency_id = ?", q.Agency)
	if !q.Payer.IsZero() {
		tx = tx.Where("paid_wallet_id = ?", q.Payer)
	}
	if !q.Wallet.IsZero() {
		tx = tx.Where("wallet_id = ?", q.Wallet)
	}
	if q.only != nil {
		tx = tx.Where("wallet_id IN ?", q.only)
	}
	if q.payers != nil {
		tx = tx.Where("paid_wallet_id IN ?", q.payers)
	}
	if q.Action != "" {
		tx = tx.Where("action = ?", q.Action)
	}
	if q.Model != "" {
		tx = tx.Where("model = ?", q.Model)
	}
	return tx
}

// usageBuilder gathers a report.
type usageBuilder struct {
	q       UsageQuery
	now     models.Time
	agency  *models.Agency
	spans   []period.Span // all buckets, those to come included
	begun   int
	before  []period.Span // matched to the begun ones
	rows    map[UsageKey]*UsageRow
	prev    []models.Credits
	plans   map[models.AgencyID]string // by code, for ByPlan
	compare bool
}

func newUsageBuilder(tx *gorm.DB, agency *models.Agency, q UsageQuery, now models.Time) (*usageBuilder, error) {
	if q.Zone == nil {
		q.Zone = Zone(agency.TimeZone)
	}
	b := openUsageBuilder(q, now)
	b.agency = agency
	whole := b.q.whole(agency)
	rows, err := readCounters(tx, agency, &b.q, q.columns(), q.From, q.To, whole)
	if err != nil {
		return nil, err
	}
	b.count(rows)
	if b.compare && b.begun > 0 {
		b.before = b.matched()
		rows, err := readCounters(tx, agency, &b.q, q.columns(), b.before[0].Start, b.before[b.begun-1].End, whole)
		if err != nil {
			return nil, err
		}
		b.compareWith(rows)
	}
	return b, nil
}

// openUsageBuilder cuts a query's period into buckets.
func openUsageBuilder(q UsageQuery, now models.Time) *usageBuilder {
	b := &usageBuilder{q: q, now: now, rows: map[UsageKey]*UsageRow{}, compare: q.Compare}
	b.spans = q.cut(q.From, q.To, q.Zone)
	b.begun = sort.Search(len(b.spans), func(i int) bool { return b.spans[i].Start > now })
	return b
}

// count adds rows of the period up. What was booked ahead of the clock (another
// process's is a little ahead) belongs to the newest bucket that has begun.
func (b *usageBuilder) count(rows []counted) {
	for _, r := range rows {
		if i := min(place(b.spans, r.At), b.begun-1); i >= 0 {
			b.each(r, func(k UsageKey, c UsageCount) { b.row(k).Counts[i].add(c) })
		}
	}
}

// compareWith adds rows of the period before up, in the buckets matched to it.
func (b *usageBuilder) compareWith(rows []counted) {
	b.prev = make([]models.Credits, b.begun)
	for _, r := range rows {
		if i := place(b.before, r.At); i >= 0 {
			b.each(r, func(k UsageKey, c UsageCount) {
				b.row(k).Previous += c.Credits()
				b.prev[i] += c.Credits()
			})
		}
	}
}

// place is the span an instant lies in; spans tile.
func place(spans []period.Span, t models.Time) int {
	return sort.Search(len(spans), func(i int) bool { return spans[i].Start > t }) - 1
}

func (b *usageBuilder) row(k UsageKey) *UsageRow {
	r := b.rows[k]
	if r == nil {
		r = &UsageRow{Key: k, Counts: make([]UsageCount, b.begun)}
		b.rows[k] = r
	}
	return r
}

// each gives the rows a counted row belongs to. By bucket, a unit and a charge
// count where most of their hour's credits came from, so that they add up.
func (b *usageBuilder) each(r counted, f func(UsageKey, UsageCount)) {
	switch b.q.Group {
	case ByAgency:
		f(UsageKey{Agency: r.AgencyID}, r.UsageCount)
		return
	case ByPlan:
		f(UsageKey{Plan: b.plans[r.AgencyID]}, r.UsageCount)
		return
	case ByNothing, ByModelAction, ByModel, ByAction, BySubAccount:
		f(UsageKey{Wallet: r.WalletID, Action: r.Action, Model: r.Model}, r.UsageCount)
		return
	case ByBucket:
	}
	most := models.BucketPlan
	for _, bucket := range buckets() {
		if r.In(bucket) > r.In(most) {
			most = bucket
		}
	}
	for _, bucket := range buckets() {
		c := UsageCount{}
		switch bucket {
		case models.BucketPlan:
			c.Plan = r.Plan
		case models.BucketPurchased:
			c.Purchased = r.Purchased
		case models.BucketAssigned:
			c.Assigned = r.Assigned
		case models.BucketBonus:
			c.Bonus = r.Bonus
		case models.BucketExcess:
			c.Excess = r.Excess
		}
		if bucket == most {
			c.Units, c.Charges, c.Tests = r.Units, r.Charges, r.Tests
		}
		if c != (UsageCount{}) {
			f(UsageKey{Bucket: bucket}, c)
		}
	}
}

// buckets are the kinds of credits in the order they are used.
func buckets() []models.Bucket {
	return []models.Bucket{models.BucketPlan, models.BucketAssigned, models.BucketBonus, models.BucketPurchased, models.BucketExcess}
}

// matched are the begun buckets moved back by whole weeks to where the period
// before began, give or take three days. The running one is cut at the same
// time of day, so that like is compared with like.
func (b *usageBuilder) matched() []period.Span {
	from := b.q.From
	apart := daysBetween(from, b.q.To, b.q.Zone)
	if b.q.Before != 0 && b.q.Before < from {
		apart = daysBetween(b.q.Before, from, b.q.Zone)
	}
	back := max(1, (apart+3)/7) * 7
	out := make([]period.Span, b.begun)
	for i := range out {
		s := b.spans[i]
		if s.Contains(b.now) {
			s.End = b.now + intoQuarter(-b.now)
		}
		out[i] = period.Span{Start: daysBack(s.Start, b.q.Zone, back), End: daysBack(s.End, b.q.Zone, back)}
	}
	return out
}

// daysBetween counts the local days that begin in [from, to).
func daysBetween(from, to models.Time, zone *time.Location) int {
	return int((civilNoon(to, zone) - civilNoon(from, zone)) / (24 * hour))
}

// civilNoon is noon in UTC of the date an instant has in the zone: a number of
// days that no clock change touches.
func civilNoon(t models.Time, zone *time.Location) models.Time {
	y, m, d := t.In(zone).Date()
	return models.At(time.Date(y, m, d, 12, 0, 0, 0, time.UTC))
}

// daysBack is the same wall time some days earlier; a day's start stays one.
func daysBack(t models.Time, zone *time.Location, days int) models.Time {
	local := t.In(zone)
	y, m, d := local.Date()
	if t == period.DayStart(t, zone) {
		return period.DayStart(models.At(time.Date(y, m, d-days, 12, 0, 0, 0, zone)), zone)
	}
	return models.At(time.Date(y, m, d-days, local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), zone))
}

func (b *usageBuilder) report() UsageReport {
	out := UsageReport{Query: b.q, Now: b.now, Previous: b.prev}
	for i, s := range b.spans {
		if i < b.begun {
			out.Buckets = append(out.Buckets, UsageBucket{Span: s, Partial: s.End > b.now})
		} else {
			out.Ahead = append(out.Ahead, s)
		}
	}
	if len(b.before) > 0 {
		out.PreviousSpan = period.Span{Start: b.before[0].Start, End: b.before[len(b.before)-1].End}
	}
	for _, r := range b.rows {
		for _, c := range r.Counts {
			r.Total.add(c)
		}
		out.Total.add(r.Total)
		out.PreviousTotal += r.Previous
		out.Rows = append(out.Rows, *r)
	}
	slices.SortFunc(out.Rows, func(x, y UsageRow) int {
		return cmp.Or(cmp.Compare(y.Total.Credits(), x.Total.Credits()), cmp.Compare(y.Previous, x.Previous), x.Key.compare(y.Key))
	})
	return out
}

// nameUsage adds the names of sub-accounts and the stable order of keys.
func nameUsage(tx *gorm.DB, agency *models.Agency, r *UsageReport) error {
	switch r.Query.Group {
	case BySubAccount:
		return nameSubAccounts(tx, agency, r)
	case ByBucket:
		for _, b := range buckets() {
			r.Order = append(r.Order, UsageKey{Bucket: b})
		}
		return nil
	case ByModelAction, ByModel, ByAction, ByNothing, ByAgency, ByPlan:
	}
	r.orderNames(slotNames(agency.Slots))
	return nil
}

// orderNames puts actions and models in the order they first appeared.
func (r *UsageReport) orderNames(known []slotName) {
	seen := map[UsageKey]bool{}
	add := func(k UsageKey) {
		switch r.Query.Group {
		case ByModel:
			k.Action = ""
		case ByAction:
			k.Model = ""
		case ByModelAction, ByNothing, BySubAccount, ByBucket, ByAgency, ByPlan:
		}
		if !seen[k] {
			seen[k] = true
			r.Order = append(r.Order, k)
		}
	}
	for _, n := range known {
		add(UsageKey{Action: n.Action, Model: n.Model})
	}
	for i := range r.Rows {
		add(r.Rows[i].Key)
	}
}

func nameSubAccounts(tx *gorm.DB, agency *models.Agency, r *UsageReport) error {
	var subs []models.SubAccount
	wanted := make([]models.WalletID, 0, len(r.Rows))
	for i := range r.Rows {
		wanted = append(wanted, r.Rows[i].Key.Wallet)
	}
	if len(wanted) == 0 {
		return nil
	}
	if err := tx.Select("id, wallet_id, name, external_id").Where("agency_id = ? AND wallet_id IN ?", agency.ID, wanted).Order("id").Find(&subs).Error; err != nil {
		return err
	}
	byWallet := map[models.WalletID]*models.SubAccount{}
	for i := range subs {
		byWallet[subs[i].WalletID] = &subs[i]
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		if sub := byWallet[row.Key.Wallet]; sub != nil {
			row.Name, row.ExternalID = sub.Name, sub.ExternalID
		} else {
			row.Name = agency.Name
		}
	}
	r.Order = append(r.Order, UsageKey{Wallet: agency.WalletID})
	for i := range subs {
		r.Order = append(r.Order, UsageKey{Wallet: subs[i].WalletID})
	}
	return nil
}

// slotName is one stored name of an agency's chart colours.
type slotName struct {
	Action string `json:"action"`
	Model  string `json:"model"`
}

// maxSlots bounds the stored names: beyond it a colour is only its name's hash.
const maxSlots = 64

func slotNames(stored string) []slotName {
	var out []slotName
	if json.Unmarshal([]byte(stored), &out) != nil {
		return nil // nothing stored yet
	}
	return out
}
