package billing

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"

	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// LineKind is what a line of the history says happened.
type LineKind string

// The kinds of lines.
const (
	LineUsed        LineKind = "used"
	LineHeld        LineKind = "held"
	LineReleased    LineKind = "released"
	LineReversed    LineKind = "reversed"
	LinePlanAdded   LineKind = "plan_added"
	LinePlanExpired LineKind = "plan_expired"
	LineExpired     LineKind = "expired" // credits that are not a plan's
	LinePurchase    LineKind = "purchase"
	LineRefund      LineKind = "refund"
	LineDisputed    LineKind = "disputed" // set aside while a bank decides, or back from it
	LineAssigned    LineKind = "assigned"
	LineReturned    LineKind = "returned"
	LineBonus       LineKind = "bonus"
	LineAdjustment  LineKind = "adjustment"
	LineSettled     LineKind = "settled" // excess paid off
	LineSold        LineKind = "sold"    // to a client, on the agency's wallet
)

// Bounds of a page of history.
const (
	DefaultLines = 50
	MaxLines     = 500
)

// HistoryQuery asks for an account's lines, newest first.
type HistoryQuery struct {
	Account  *Account
	Kind     LineKind        // "": every kind
	Wallet   models.WalletID // of the sub-account lines are about; zero: all
	Model    string          // of usage; "": all
	From, To models.Time     // half-open; 0: no bound
	Text     string          // an id, an idempotency key, or part of a note
	Cursor   string          // Next of the page before
	Limit    int             // 0: DefaultLines
}

// HistoryLine is one movement, or the charges of one hour by one account with
// one action and model.
//
// Lines of usage are before reversals, which have lines of their own; a hold that
// was captured shows as the usage it became. So the changes of all lines add up
// to the balance, but for what open holds of pooled accounts keep.
type HistoryLine struct {
	Kind     LineKind
	ID       string      // of the charge, act or hold; "" for a group
	Group    *GroupRef   // set for a group: what HistoryGroup opens
	At       models.Time // when it was booked; of a group: its start
	Until    models.Time // end of a group; 0 for a single line
	Count    int64       // charges (or tests) in it; 0 for other kinds
	Action   string      // of usage and holds
	Model    string
	Wallet   models.WalletID // the other account it is about; zero: none
	Name     string          // of that account
	Change   models.Credits  // of the account's balance
	Credits  models.Credits  // the amount it is about, never negative
	Pool     models.Credits  // the part the agency's pool paid, on a client's line
	After    models.Credits  // balance after it
	HasAfter bool            // false: it moved nothing here, After is unknown
	Test     bool            // priced, not charged
	Would    models.Credits  // what the tests would have cost
	Note     string
	// Reference is the idempotency key, or what else names its cause.
	Reference string
	Purchase  models.PurchaseID // of a purchase or refund
	Pack      string            // its name

	pos  position
	last int64 // seq of a group's newest charge
}

// HistoryPage is a page of lines; Next is "" on the last.
type HistoryPage struct {
	Lines []HistoryLine
	Next  string
}

// position is where a line stands: newest first by time, then by the wallet's
// seq. A group stands at the end of its hour. No part of it ever changes.
type position struct {
	At   models.Time `json:"t"`
	Rank int8        `json:"r"`
	Seq  int64       `json:"s"`
	ID   string      `json:"i"`
}

func (p position) compare(o position) int {
	return cmp.Or(cmp.Compare(p.At, o.At), cmp.Compare(p.Rank, o.Rank), cmp.Compare(p.Seq, o.Seq), cmp.Compare(p.ID, o.ID))
}

// The ranks of lines at the same instant.
const (
	rankAct   = 0
	rankGroup = 1
	rankHold  = 2
)

func encodeCursor(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // plain values always encode
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeCursor(s string, v any) error {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return problem.New(problem.Invalid, "invalid_cursor", "This page's address is not whole; start from the first page.").On("cursor").Because(err)
	}
	return nil
}

// GroupRef names the charges behind a grouped line.
type GroupRef struct {
	Start  models.Time     `json:"t"` // of the hour
	Wallet models.WalletID `json:"w"` // addressed
	Action string          `json:"a"`
	Model  string          `json:"m"`
	Test   bool            `json:"x,omitempty"`
}

// String is the reference as it stands in an address.
func (g GroupRef) String() string { return encodeCursor(g) }

// ParseGroupRef reads a reference. Errors: invalid_cursor.
func ParseGroupRef(s string) (GroupRef, error) {
	var g GroupRef
	return g, decodeCursor(s, &g)
}

// History lists an account's movements. Errors: invalid_cursor, invalid_limit.
func (s *Service) History(ctx context.Context, q HistoryQuery) (HistoryPage, error) {
	if q.Limit == 0 {
		q.Limit = DefaultLines
	}
	if q.Limit < 1 || q.Limit > MaxLines {
		return HistoryPage{}, problem.New(problem.Invalid, "invalid_limit", "A page has 1 to %d lines.", MaxLines).On("limit")
	}
	r := historyReader{q: q, upto: position{At: models.Never}}
	if q.Cursor != "" {
		if err := decodeCursor(q.Cursor, &r.upto); err != nil {
			return HistoryPage{}, err
		}
	}
	if r.q.To == 0 {
		r.q.To = models.Never
	}
	var out HistoryPage
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		r.tx = tx
		lines, err := r.read()
		if err != nil {
			return err
		}
		slices.SortFunc(lines, func(a, b HistoryLine) int { return b.pos.compare(a.pos) })
		if len(lines) > q.Limit {
			lines = lines[:q.Limit]
			out.Next = encodeCursor(lines[q.Limit-1].pos)
		}
		// Where a page is cut must never change, so groups are cut by their name;
		// on the page those of one hour stand by their newest charge, and the
		// balance after them falls line by line.
		slices.SortStableFunc(lines, func(a, b HistoryLine) int {
			return cmp.Or(cmp.Compare(b.pos.At, a.pos.At), cmp.Compare(b.pos.Rank, a.pos.Rank), cmp.Compare(b.last, a.last))
		})
		out.Lines = lines
		return r.finish(out.Lines)
	})
	return out, err
}

// historyReader gathers one page: from each source the lines right below the
// cursor, as many as the page holds and one.
type historyReader struct {
	tx   *gorm.DB
	q    HistoryQuery
	upto position // lines stand below it
}

func (r *historyReader) client() bool { return r.q.Account.SubAccount != nil }

// wants tells whether lines of a kind are asked for.
func (r *historyReader) wants(kinds ...LineKind) bool {
	return r.q.Kind == "" || slices.Contains(kinds, r.q.Kind)
}

func (r *historyReader) read() ([]HistoryLine, error) {
	if r.q.Text != "" {
		return r.search()
	}
	var out []HistoryLine
	if r.wants(LineUsed, LineReversed) {
		groups, err := r.groups()
		if err != nil {
			return nil, err
		}
		out = append(out, groups...)
	}
	if r.q.Model != "" || r.q.Kind == LineUsed {
		return out, nil
	}
	if !r.wants(LineHeld, LineReleased) || r.q.Kind == "" {
		acts, err := r.acts()
		if err != nil {
			return nil, err
		}
		out = append(out, acts...)
	}
	if others := r.q.Wallet; r.wants(LineHeld, LineReleased) && (others.IsZero() || others == r.q.Account.Wallet) {
		holds, err := r.holds()
		if err != nil {
			return nil, err
		}
		out = append(out, holds...)
	}
	return out, nil
}

// below keeps the lines under the cursor and of the kind asked for.
func (r *historyReader) below(lines []HistoryLine) []HistoryLine {
	return slices.DeleteFunc(lines, func(l HistoryLine) bool {
		return l.pos.compare(r.upto) >= 0 || r.q.Kind != "" && l.Kind != r.q.Kind
	})
}

// usageGroup is one hour's counters of one account, action and model.
type usageGroup struct {
	GroupRef
	hour       period.Span
	own, pool  models.Credits // what the account's wallet paid, and the agency's for it
	charges    int64
	tests      int64
	first, end int64 // seq on the account's wallet
	after      models.Credits
}

// counters is the account's part of the quarters: what its wallet paid, and for
// a client whatever was charged to it.
func (r *historyReader) counters() *gorm.DB {
	a := r.q.Account
	tx := r.tx.Table("usage_quarters").Where("agency_id = ?", a.Agency.ID).
		Select("quarter, paid_wallet_id, wallet_id, action, model, plan + purchased + assigned + bonus + excess, charges, tests, first_seq, last_seq, balance")
	if r.client() {
		tx = tx.Where("wallet_id = ?", a.Wallet)
	} else {
		tx = tx.Where("paid_wallet_id = ?", a.Wallet)
		if !r.q.Wallet.IsZero() {
			tx = tx.Where("wallet_id = ?", r.q.Wallet)
		}
	}
	if r.q.Model != "" {
		tx = tx.Where("model = ?", r.q.Model)
	}
	return tx.Where("quarter >= ?", r.q.From)
}

// chunk is how many counters are read at once for a page, if it is a long one.
const chunk = 400

// counter is what a line needs of a usage counter.
type counter struct {
	Quarter           models.Time
	Paid, Wallet      models.WalletID // who paid, who used
	Action, Model     string
	Credits           models.Credits
	Charges, Tests    int64
	FirstSeq, LastSeq int64
	Balance           models.Credits
}

// scanCounters reads what r.counters selects. A page reads hundreds of them: GORM
// spends more on finding their fields than the database on finding the rows.
func scanCounters(tx *gorm.DB) (out []counter, err error) {
	rows, err := tx.Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c counter
		if err := rows.Scan(&c.Quarter, &c.Paid, &c.Wallet, &c.Action, &c.Model, &c.Credits, &c.Charges, &c.Tests, &c.FirstSeq, &c.LastSeq, &c.Balance); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// groups reads whole hours of counters, newest first, until they fill a page.
func (r *historyReader) groups() ([]HistoryLine, error) {
	zone := r.q.Account.Zone
	end := r.q.To
	if r.upto.At != models.Never {
		end = min(end, period.Hour(r.upto.At, zone).End)
	}
	var out []HistoryLine
	for most := min(chunk, 8*(r.q.Limit+1)); len(out) <= r.q.Limit; most = chunk { // four quarters of two payers make a line
		rows, err := scanCounters(r.counters().Where("quarter < ?", end).Order("quarter DESC").Limit(most))
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			break
		}
		last := period.Hour(rows[len(rows)-1].Quarter, zone)
		if len(rows) == most { // the oldest hour may not be whole
			whole := slices.DeleteFunc(slices.Clone(rows), func(c counter) bool { return c.Quarter < last.End })
			if len(whole) > 0 {
				rows, last.Start = whole, last.End
			} else if rows, err = scanCounters(r.counters().Where("quarter >= ? AND quarter < ?", last.Start, min(end, last.End))); err != nil {
				return nil, err
			}
		}
		lines, err := r.lines(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r.below(lines)...)
		if end = last.Start; len(rows) == 0 {
			break
		}
	}
	return out, nil
}

// lines makes counters of whole hours into lines.
func (r *historyReader) lines(rows []counter) ([]HistoryLine, error) {
	groups, err := r.gather(rows)
	if err != nil {
		return nil, err
	}
	var out []HistoryLine
	for _, g := range groups {
		base := HistoryLine{
			Kind: LineUsed, At: g.hour.Start, Until: g.hour.End, Action: g.Action, Model: g.Model,
		}
		if g.Wallet != r.q.Account.Wallet {
			base.Wallet = g.Wallet
		}
		if g.charges != 0 || g.own != 0 || g.pool != 0 {
			l := base
			ref := g.GroupRef
			l.Group, l.Count, l.Change, l.Credits, l.Pool = &ref, g.charges, -g.own, g.own+g.pool, g.pool
			l.After, l.HasAfter, l.last = g.after, g.end != 0, g.end
			if l.Credits < 0 { // more was reversed than used, from the pool
				l.Kind, l.Credits, l.Count, l.Group = LineReversed, -l.Credits, -l.Count, nil
			}
			l.pos = g.position()
			out = append(out, l)
		}
		if g.tests != 0 {
			l := base
			g.Test = true
			ref := g.GroupRef
			l.Group, l.Count, l.Test = &ref, g.tests, true
			if l.Would, err = r.wouldCost(ref, g.hour); err != nil {
				return nil, err
			}
			l.pos = g.position()
			out = append(out, l)
		}
	}
	return out, nil
}

func (g *usageGroup) position() position {
	return position{At: g.hour.End - 1, Rank: rankGroup, ID: g.String()}
}

// gather adds counters up per hour and takes the reversals that have a line of
// their own out again.
func (r *historyReader) gather(rows []counter) (map[GroupRef]*usageGroup, error) {
	groups := map[GroupRef]*usageGroup{}
	zone := r.q.Account.Zone
	from, to := models.Never, models.Time(0)
	for i := range rows {
		c := &rows[i]
		h := period.Hour(c.Quarter, zone)
		from, to = min(from, c.Quarter), max(to, c.Quarter+quarter)
		ref := GroupRef{Start: h.Start, Wallet: c.Wallet, Action: c.Action, Model: c.Model}
		g := groups[ref]
		if g == nil {
			g = &usageGroup{GroupRef: ref, hour: h}
			groups[ref] = g
		}
		g.charges += c.Charges
		g.tests += c.Tests
		if c.Paid != r.q.Account.Wallet {
			g.pool += c.Credits
			continue
		}
		g.own += c.Credits
		if c.LastSeq > g.end {
			g.end, g.after = c.LastSeq, c.Balance
		}
		if c.FirstSeq > 0 && (g.first == 0 || c.FirstSeq < g.first) {
			g.first = c.FirstSeq
		}
	}
	if len(rows) == 0 {
		return groups, nil
	}
	return groups, r.addReversalsBack(groups, from, to)
}

func (r *historyReader) addReversalsBack(groups map[GroupRef]*usageGroup, from, to models.Time) error {
	a := r.q.Account
	var acts []models.Act
	if err := r.tx.Where("agency_id = ? AND wallet_id = ? AND created_at >= ? AND created_at < ? AND kind = ?",
		a.Agency.ID, a.Wallet, from, to, "reverse").Find(&acts).Error; err != nil {
		return err
	}
	for part := range slices.Chunk(acts, chunk) {
		at := map[models.ChargeID]models.Time{}
		ids := make([]models.ChargeID, 0, len(part))
		for i := range part {
			id, err := models.ParseID[models.ChargeID](part[i].Reference)
			if err != nil {
				return err
			}
			at[id] = part[i].CreatedAt
			ids = append(ids, id)
		}
		var charges []models.Charge
		if err := r.tx.Where("agency_id = ? AND id IN ?", a.Agency.ID, ids).Find(&charges).Error; err != nil {
			return err
		}
		for i := range charges {
			c := &charges[i]
			h := period.Hour(at[c.ID], a.Zone)
			g := groups[GroupRef{Start: h.Start, Wallet: c.WalletID, Action: c.Action, Model: c.Model}]
			if g == nil {
				continue // narrowed out
			}
			own, err := paidBy(r.tx, c, a.Wallet)
			if err != nil {
				return err
			}
			g.charges++
			g.own += own
			if r.client() {
				g.pool += c.Credits - own
			}
		}
	}
	return nil
}

// wouldCost adds up the tests of a group.
func (r *historyReader) wouldCost(g GroupRef, h period.Span) (models.Credits, error) {
	var out []models.Credits
	err := testsOf(r.tx, r.q.Account.Agency.ID, g, h).Select("CAST(COALESCE(SUM(would_cost), 0) AS bigint)").Scan(&out).Error
	if err != nil || len(out) == 0 {
		return 0, err
	}
	return out[0], nil
}

// clockSkew is how far the instant in a charge's id may lie before its booking:
// processes' clocks differ a little.
const clockSkew = 5 * time.Minute

// idAt is the smallest id made at an instant.
func idAt[T ~[16]byte](at models.Time) T {
	id := models.NewID[T](at)
	for i := 6; i < len(id); i++ {
		id[i] = 0
	}
	return id
}

func testsOf(tx *gorm.DB, agency models.AgencyID, g GroupRef, h period.Span) *gorm.DB {
	return tx.Model(&models.Charge{}).Where("agency_id = ? AND wallet_id = ? AND test AND id >= ? AND id < ? AND created_at >= ? AND created_at < ? AND action = ? AND model = ?",
		agency, g.Wallet, idAt[models.ChargeID](h.Start.Add(-clockSkew)), idAt[models.ChargeID](h.End+1000), h.Start, h.End, g.Action, g.Model)
}

// finish adds names and packs, and the balance to lines that moved nothing.
func (r *historyReader) finish(lines []HistoryLine) error {
	if err := nameLines(r.tx, r.q.Account, lines); err != nil {
		return err
	}
	for i := len(lines) - 2; i >= 0; i-- {
		if l := &lines[i]; !l.HasAfter && lines[i+1].HasAfter {
			l.After, l.HasAfter = lines[i+1].After, true
		}
	}
	return nil
}

func nameLines(tx *gorm.DB, a *Account, lines []HistoryLine) error {
	wallets, purchases := map[models.WalletID]bool{}, map[models.PurchaseID]bool{}
	for i := range lines {
		if w := lines[i].Wallet; !w.IsZero() {
			wallets[w] = true
		}
		if p := lines[i].Purchase; !p.IsZero() {
			purchases[p] = true
		}
	}
	names := map[models.WalletID]string{a.Agency.WalletID: a.Agency.Name}
	if len(wallets) > 0 && a.SubAccount == nil {
		var subs []models.SubAccount
		if err := tx.Where("agency_id = ? AND wallet_id IN ?", a.Agency.ID, keysOf(wallets)).Find(&subs).Error; err != nil {
			return err
		}
		for i := range subs {
			names[subs[i].WalletID] = subs[i].Name
		}
	}
	packs := map[models.PurchaseID]string{}
	if len(purchases) > 0 {
		var rows []models.Purchase
		if err := tx.Where("agency_id = ? AND id IN ?", a.Agency.ID, keysOf(purchases)).Find(&rows).Error; err != nil {
			return err
		}
		for i := range rows {
			packs[rows[i].ID] = rows[i].Title
		}
	}
	for i := range lines {
		l := &lines[i]
		if !l.Wallet.IsZero() {
			l.Name = names[l.Wallet]
		}
		l.Pack = packs[l.Purchase]
	}
	return nil
}

func keysOf[K comparable](m map[K]bool) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
