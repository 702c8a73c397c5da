package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"refill/models"
)

// Check is what one invariant's examination found.
type Check struct {
	ID       string // as in the package's doc: I-01 …
	Title    string
	Checked  int64    // rows looked at
	Count    int64    // breaches found
	Breaches []string // the first maxBreaches of them, in words
}

// Report is the outcome of an audit.
type Report struct {
	Agencies int
	Checks   []Check
}

// Clean tells whether every check passed.
func (r Report) Clean() bool {
	for _, c := range r.Checks {
		if c.Count > 0 {
			return false
		}
	}
	return true
}

// String is one line a check, and one more for each breach kept.
func (r Report) String() string {
	var b strings.Builder
	for _, c := range r.Checks {
		verdict := "ok"
		if c.Count > 0 {
			verdict = fmt.Sprintf("%d BROKEN", c.Count)
		}
		fmt.Fprintf(&b, "%s  %-60s %9d checked  %s\n", c.ID, c.Title, c.Checked, verdict)
		for _, breach := range c.Breaches {
			fmt.Fprintf(&b, "      %s\n", breach)
		}
	}
	return b.String()
}

// maxBreaches is how many breaches of a check are told in words.
const maxBreaches = 20

// invariants are the checks of a report, in its order.
//
//nolint:gochecknoglobals // a constant table
var invariants = []Check{
	{ID: "I-01", Title: "a balance is the sum of its wallet's entries"},
	{ID: "I-02", Title: "a balance is what its lots have left, less excess"},
	{ID: "I-03", Title: "a lot is the sum of its entries and within its grant"},
	{ID: "I-04", Title: "every act and the whole ledger sum to zero"},
	{ID: "I-05", Title: "entries are gapless and carry the running balance"},
	{ID: "I-06", Title: "one key, one charge, paid in full by its entries"},
	{ID: "I-07", Title: "what was seen to be booked is still there"},
	{ID: "I-08", Title: "what has a key can be answered again from its rows"},
	{ID: "I-09", Title: "excess stays within its limits and is the last resort"},
	{ID: "I-10", Title: "who was told that credits are out had none"},
	{ID: "I-11", Title: "lots are drawn in the draw order"},
	{ID: "I-12", Title: "a hold ends once and accounts for all it reserved"},
	{ID: "I-13", Title: "a purchase is granted once, a payment buys once"},
	{ID: "I-14", Title: "no purchased credits without money paid to their seller"},
	{ID: "I-15", Title: "what was paid is credited, or says why it waits"},
	{ID: "I-16", Title: "what is revoked and frozen is what the payment's standing asks"},
	{ID: "I-17", Title: "what was used of money gone back is owed, and paid first"},
	{ID: "I-18", Title: "an allowance is granted once a period, never rolls over"},
	{ID: "I-19", Title: "a plan's periods follow from its anchor, one after another"},
	{ID: "I-20", Title: "nothing is drawn before it is effective or once expired"},
	{ID: "I-21", Title: "what clients were given came from their agency, at its cost"},
	{ID: "I-22", Title: "whoever may pay has their credits kept in stock"},
	{ID: "I-23", Title: "everything stays within its agency"},
	{ID: "I-24", Title: "automatic top-up keeps its limits and lets cards rest"},
	{ID: "I-25", Title: "a wallet's people are told of each crossing once"},
	{ID: "I-26", Title: "no event of Stripe's is forgotten or ends for no reason"},
	{ID: "I-27", Title: "what people and programs are told leaves after its commit"},
	{ID: "I-28", Title: "amounts are within bounds"},
	{ID: "I-29", Title: "usage counters are the sum of the entries"},
	{ID: "I-30", Title: "what follows stands after what it follows, by its number"},
	{ID: "I-31", Title: "the schema is whole, and so is what guards its rows"},
	{ID: "I-32", Title: "a wallet that was stopped draws only what it had promised"},
}

// Audit checks the ledger's invariants on a live database, each agency from one
// read-only snapshot, and what belongs to no agency from another. It never changes
// anything. What is late is measured by the last round of the clock's work that
// ended, not by now: while the portal is down nothing is late, nor right after a
// backup was restored. An error means that it could
// not check, not that something is wrong. Memory is bounded by one agency's
// wallets and one wallet's lots, whatever the number of entries.
func Audit(ctx context.Context, db *models.DB, now models.Time) (Report, error) {
	r := Report{Checks: slices.Clone(invariants)}
	var agencies []models.AgencyID
	if err := db.Read.WithContext(ctx).Raw("SELECT DISTINCT agency_id FROM wallets ORDER BY agency_id").Scan(&agencies).Error; err != nil {
		return r, fmt.Errorf("audit: list agencies: %w", err)
	}
	for _, agency := range agencies {
		err := db.Snapshot(ctx, func(tx *gorm.DB) error {
			return r.audit(tx, agency, now)
		})
		if err != nil {
			return r, fmt.Errorf("audit agency %s: %w", agency, err)
		}
		r.Agencies++
	}
	if err := db.Snapshot(ctx, func(tx *gorm.DB) error { return r.auditShared(tx, now) }); err != nil {
		return r, fmt.Errorf("audit what agencies share: %w", err)
	}
	return r, nil
}

// audit adds one agency to the report.
func (r *Report) audit(tx *gorm.DB, agency models.AgencyID, now models.Time) error {
	a, err := r.auditor(tx, now)
	if err != nil {
		return err
	}
	a.agency = agency
	return a.all()
}

// auditShared adds the tables that no agency owns.
func (r *Report) auditShared(tx *gorm.DB, now models.Time) error {
	a, err := r.auditor(tx, now)
	if err != nil {
		return err
	}
	if err := a.findAll(shared()); err != nil {
		return err
	}
	return a.schema()
}

func (r *Report) auditor(tx *gorm.DB, now models.Time) (*auditor, error) {
	a := &auditor{tx: tx, now: now, checks: map[string]*Check{}}
	for i := range r.Checks {
		a.checks[r.Checks[i].ID] = &r.Checks[i]
	}
	var text []string
	if err := tx.Model(&models.Setting{}).Where("name = ?", models.SettingWorked).Pluck("value", &text).Error; err != nil {
		return nil, err
	}
	if len(text) > 0 {
		worked, err := strconv.ParseInt(text[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read when the clock's work ended last: %w", err)
		}
		a.worked = min(models.Time(worked), now) // a clock that was set back is not late
	}
	return a, nil
}

// auditor checks one agency inside one snapshot.
type auditor struct {
	tx     *gorm.DB
	agency models.AgencyID
	now    models.Time
	worked models.Time // up to when the clock's work was done; 0: never
	checks map[string]*Check
}

func (a *auditor) findAll(all []finding) error {
	for _, f := range all {
		if err := a.find(f); err != nil {
			return fmt.Errorf("%s: %w", f.check, err)
		}
	}
	return nil
}

func (a *auditor) all() error {
	if err := a.findAll(slices.Concat(findings(), resale(), doings(), told())); err != nil {
		return err
	}
	if err := a.totals(); err != nil {
		return fmt.Errorf("I-04: %w", err)
	}
	if err := a.holds(); err != nil {
		return fmt.Errorf("I-12: %w", err)
	}
	if err := a.revocations(); err != nil {
		return fmt.Errorf("I-16: %w", err)
	}
	if err := a.refusals(); err != nil {
		return fmt.Errorf("I-10: %w", err)
	}
	if err := a.periods(); err != nil {
		return fmt.Errorf("I-19: %w", err)
	}
	if err := a.topUps(); err != nil {
		return fmt.Errorf("I-24: %w", err)
	}
	return a.replayWallets()
}

// breach notes one breach of a check.
func (a *auditor) breach(check, format string, args ...any) {
	c := a.checks[check]
	c.Count++
	if len(c.Breaches) < maxBreaches {
		c.Breaches = append(c.Breaches, fmt.Sprintf(format, args...))
	}
}

// each runs a query with @agency, @now and @late bound and calls f for every row,
// one at a time. What was due before @late and is not done is late.
func (a *auditor) each(query string, f func(row) error) (err error) {
	var args []any
	if strings.Contains(query, "@") {
		args = []any{map[string]any{"agency": a.agency, "now": a.now, "late": a.worked.Add(-overdue)}}
	}
	rows, err := a.tx.Raw(query, args...).Rows()
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// find runs a finding: each row of its query is a breach.
func (a *auditor) find(f finding) error {
	if f.of != "" {
		count := "SELECT COUNT(*) FROM " + f.of
		if !a.agency.IsZero() {
			count += " WHERE agency_id = @agency"
		}
		err := a.each(count, func(r row) error {
			var n int64
			err := r.Scan(&n)
			a.checks[f.check].Checked += n
			return err
		})
		if err != nil {
			return err
		}
	}
	numbers := strings.Count(f.say, "%s") - 1
	return a.each(f.sql, func(r row) error {
		var id models.WalletID // any kind's bytes
		var word string
		amounts := make([]models.Credits, numbers)
		dest := []any{&id}
		if f.noun == nil {
			dest[0] = &word
		}
		for i := range amounts {
			dest = append(dest, &amounts[i])
		}
		if err := r.Scan(dest...); err != nil {
			return err
		}
		args := []any{word}
		if f.noun != nil {
			args[0] = f.noun(id)
		}
		for _, n := range amounts {
			if f.plain {
				args = append(args, strconv.FormatInt(int64(n), 10))
			} else {
				args = append(args, n.String())
			}
		}
		a.breach(f.check, f.say, args...)
		return nil
	})
}

// totals compares the accounts of the whole ledger, summed by kind, with what
// wallets, lots and charges say (I-04).
func (a *auditor) totals() error {
	accounts := map[string]models.Credits{}
	err := a.each("SELECT kind, CAST(SUM(amount) AS bigint) FROM entries WHERE agency_id = @agency GROUP BY kind", func(r row) error {
		var kind Kind
		var sum models.Credits
		if err := r.Scan(&kind, &sum); err != nil {
			return err
		}
		from, to := kind.Accounts()
		accounts[from] -= sum
		accounts[to] += sum
		return nil
	})
	if err != nil {
		return err
	}
	var zero models.Credits
	for _, sum := range accounts {
		zero += sum
	}
	stored := []struct{ account, sql string }{
		{"available", "SELECT COALESCE(CAST(SUM(remaining) AS bigint), 0) FROM lots WHERE agency_id = @agency"},
		{"held", "SELECT COALESCE(CAST(SUM(held) AS bigint), 0) FROM lots WHERE agency_id = @agency"},
		{"excess", "SELECT COALESCE(-CAST(SUM(excess) AS bigint), 0) FROM wallets WHERE agency_id = @agency"},
		{"consumed", `SELECT COALESCE(CAST(SUM(credits) AS bigint), 0) - (SELECT COALESCE(CAST(SUM(credits) AS bigint), 0) FROM reversals WHERE agency_id = @agency)
			FROM charges WHERE agency_id = @agency`},
	}
	if zero != 0 {
		a.breach("I-04", "the accounts of agency %s sum to %s", a.agency, zero)
	}
	if accounts["transit"] != 0 {
		a.breach("I-04", "agency %s has %s in transit", a.agency, accounts["transit"])
	}
	for _, s := range stored {
		err := a.each(s.sql, func(r row) error {
			var sum models.Credits
			if err := r.Scan(&sum); err != nil {
				return err
			}
			if sum != accounts[s.account] {
				a.breach("I-04", "agency %s: account %s is %s by its entries, %s by its rows", a.agency, s.account, accounts[s.account], sum)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// holds compares what open holds reserve with what lots and wallets say is held
// or promised (I-12).
func (a *auditor) holds() error {
	held := map[models.LotID]models.Credits{}
	promised := map[models.WalletID]models.Credits{}
	err := a.each("SELECT id, credits, draws FROM holds WHERE agency_id = @agency AND state = 'open'", func(r row) error {
		var id models.HoldID
		var credits, sum models.Credits
		var text string
		if err := r.Scan(&id, &credits, &text); err != nil {
			return err
		}
		draws, err := decodeDraws(text)
		if err != nil {
			a.breach("I-12", "hold %s: %v", id, err)
			return nil
		}
		for _, d := range draws {
			sum += d.Credits
			if d.Bucket == models.BucketExcess {
				promised[d.Wallet] += d.Credits
			} else {
				held[d.Lot] += d.Credits
			}
		}
		if sum != credits {
			a.breach("I-12", "hold %s: reserves %s, its draws say %s", id, credits, sum)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = a.each("SELECT id, held FROM lots WHERE agency_id = @agency AND held <> 0", func(r row) error {
		var id models.LotID
		var n models.Credits
		if err := r.Scan(&id, &n); err != nil {
			return err
		}
		if n != held[id] {
			a.breach("I-12", "lot %s: holds %s, open holds say %s", id, n, held[id])
		}
		delete(held, id)
		return nil
	})
	if err != nil {
		return err
	}
	for id, n := range held {
		a.breach("I-12", "lot %s: holds nothing, open holds say %s", id, n)
	}
	return a.each("SELECT id, promised FROM wallets WHERE agency_id = @agency", func(r row) error {
		var id models.WalletID
		var n models.Credits
		if err := r.Scan(&id, &n); err != nil {
			return err
		}
		if n != promised[id] {
			a.breach("I-12", "wallet %s: promises %s, open holds say %s", id, n, promised[id])
		}
		return nil
	})
}
