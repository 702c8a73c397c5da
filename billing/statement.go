package billing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// StatementItem is a row of a statement.
type StatementItem string

// The rows, in the order a statement prints them.
const (
	StatementPlan     StatementItem = "plan"
	StatementBought   StatementItem = "bought"
	StatementAssigned StatementItem = "assigned" // by the agency
	StatementBonus    StatementItem = "bonus"
	StatementBack     StatementItem = "back" // returned by clients
	StatementUsed     StatementItem = "used"
	StatementInUse    StatementItem = "in_use" // set aside for running work, less what came back
	StatementGiven    StatementItem = "given"  // assigned to clients
	StatementSold     StatementItem = "sold"   // to clients
	StatementReturned StatementItem = "returned"
	StatementExpired  StatementItem = "expired"
	StatementRefunded StatementItem = "refunded" // and disputed
	StatementTaken    StatementItem = "taken"    // by an adjustment
)

func statementItems() []StatementItem {
	return []StatementItem{
		StatementPlan, StatementBought, StatementAssigned, StatementBonus, StatementBack, StatementUsed, StatementInUse, StatementGiven, StatementSold,
		StatementReturned, StatementExpired, StatementRefunded, StatementTaken,
	}
}

// Statement is one calendar month of a wallet, in the account's zone. Opening and
// closing are the balances that the entries themselves carry; the rows are sums of
// the entries between them, so that Opening + Σ Rows = Closing proves both.
type Statement struct {
	Account  *Account
	Month    period.Span
	First    models.Time // the month that the wallet's first statement is for
	Opening  models.Credits
	Closing  models.Credits
	Rows     []StatementRow // of what happened
	Used     []StatementUse // what StatementUsed is made of, the most first
	Now      models.Time
	Complete bool // the month is over
}

// StatementRow is what one kind of movement did to the balance.
type StatementRow struct {
	Item    StatementItem
	Credits models.Credits // signed
}

// StatementUse is what one action and model used. Without an action it is use
// that was booked in one month and counted in the next one.
type StatementUse struct {
	Action, Model string
	Charges       int64
	Credits       models.Credits // positive
}

// Statement reads one month's statement; month is any instant in it. It reads
// sums and counters, so it takes as long with a million entries as with a
// thousand. Errors: not_found, for a month before the wallet's first or to come.
func (s *Service) Statement(ctx context.Context, a *Account, month models.Time) (Statement, error) {
	out := Statement{Account: a, Month: period.CalendarMonth(month, a.Zone), Now: s.clock.Now()}
	out.Complete = out.Month.End <= out.Now
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var w models.Wallet
		if err := tx.Where("agency_id = ? AND id = ?", a.Agency.ID, a.Wallet).Take(&w).Error; err != nil {
			return missing(err, "statement")
		}
		first, err := firstBooked(tx, &w)
		if err != nil {
			return err
		}
		out.First = period.CalendarMonth(first, a.Zone).Start
		if out.Month.Start < out.First || out.Month.Start > out.Now {
			return problem.Missing("statement")
		}
		from, err := firstSeq(tx, w.AgencyID, w.ID, w.Seq, out.Month.Start)
		if err != nil {
			return err
		}
		to, err := firstSeq(tx, w.AgencyID, w.ID, w.Seq, out.Month.End)
		if err != nil {
			return err
		}
		if out.Opening, err = balanceAt(tx, &w, from-1); err != nil {
			return err
		}
		if out.Closing, err = balanceAt(tx, &w, to-1); err != nil {
			return err
		}
		sums, err := sumsBetween(tx, &w, from-1, to-1)
		if err != nil {
			return err
		}
		if err := out.add(sums); err != nil {
			return err
		}
		return out.explainUse(tx)
	})
	return out, err
}

// firstBooked is when a wallet's first entry was booked; without one, when it was
// opened.
func firstBooked(tx *gorm.DB, w *models.Wallet) (models.Time, error) {
	var at []models.Time
	err := tx.Model(&models.Entry{}).Where("agency_id = ? AND wallet_id = ? AND seq = 1", w.AgencyID, w.ID).Pluck("at", &at).Error
	if err != nil || len(at) == 0 {
		return w.CreatedAt, err
	}
	return min(at[0], w.CreatedAt), nil
}

// balanceAt is the balance that a wallet's entry left.
func balanceAt(tx *gorm.DB, w *models.Wallet, seq int64) (models.Credits, error) {
	if seq == 0 {
		return 0, nil
	}
	var out []models.Credits
	err := tx.Model(&models.Entry{}).Where("agency_id = ? AND wallet_id = ? AND seq = ?", w.AgencyID, w.ID, seq).Pluck("balance", &out).Error
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("wallet %s has no entry %d", w.ID, seq)
	}
	if err != nil {
		return 0, err
	}
	return out[0], nil
}

// movement is a kind of entry and the source of its lot.
type movement struct {
	kind   ledger.Kind
	source models.Source
}

// add makes rows of what moved and checks that they add up.
func (st *Statement) add(sums map[movement]models.Credits) error {
	rows := map[StatementItem]models.Credits{}
	for m, n := range sums {
		for item, sign := range itemsOf(m) {
			rows[item] += models.Credits(sign) * n
		}
	}
	sum := st.Opening
	for _, item := range statementItems() {
		if n := rows[item]; n != 0 {
			st.Rows = append(st.Rows, StatementRow{Item: item, Credits: n})
			sum += n
		}
	}
	if sum != st.Closing {
		return fmt.Errorf("statement of wallet %s for %s: the rows come to %s, the balance was %s", st.Account.Wallet, st.Month.Start.RFC3339(), sum, st.Closing)
	}
	return nil
}

// itemsOf tells which rows an entry stands in, and with which sign. What was set
// aside left the balance then; used, sold or lost later, it moves from one row to
// another.
func itemsOf(m movement) map[StatementItem]int64 {
	switch m.kind {
	case ledger.Grant:
		switch m.source.Bucket() {
		case models.BucketPlan:
			return map[StatementItem]int64{StatementPlan: 1}
		case models.BucketPurchased:
			return map[StatementItem]int64{StatementBought: 1}
		case models.BucketAssigned, models.BucketBonus, models.BucketExcess:
		}
		return map[StatementItem]int64{StatementBonus: 1}
	case ledger.AdjustIn:
		return map[StatementItem]int64{StatementBonus: 1}
	case ledger.AdjustOut:
		return map[StatementItem]int64{StatementTaken: -1}
	case ledger.ChargeDraw, ledger.ExcessDraw:
		return map[StatementItem]int64{StatementUsed: -1}
	case ledger.Reverse, ledger.ReverseExcess:
		return map[StatementItem]int64{StatementUsed: 1}
	case ledger.HoldDraw, ledger.StockDraw:
		return map[StatementItem]int64{StatementInUse: -1}
	case ledger.ReleaseBack:
		return map[StatementItem]int64{StatementInUse: 1}
	case ledger.CaptureDraw:
		return map[StatementItem]int64{StatementUsed: -1, StatementInUse: 1}
	case ledger.Expire:
		return map[StatementItem]int64{StatementExpired: -1}
	case ledger.Forfeit:
		return map[StatementItem]int64{StatementExpired: -1, StatementInUse: 1}
	case ledger.AssignIn:
		return map[StatementItem]int64{StatementAssigned: 1}
	case ledger.AssignOut:
		return map[StatementItem]int64{StatementGiven: -1}
	case ledger.ReturnIn:
		return map[StatementItem]int64{StatementBack: 1}
	case ledger.PassOut: // what came back from one client went on to another
		return map[StatementItem]int64{StatementBack: -1}
	case ledger.ReturnOut:
		return map[StatementItem]int64{StatementReturned: -1}
	case ledger.SellIn, ledger.ResellIn:
		return map[StatementItem]int64{StatementBought: 1}
	case ledger.SellOut, ledger.ResellOut:
		return map[StatementItem]int64{StatementSold: -1}
	case ledger.SellHeld:
		return map[StatementItem]int64{StatementSold: -1, StatementInUse: 1}
	case ledger.Clawback, ledger.Freeze, ledger.ClawbackExcess:
		return map[StatementItem]int64{StatementRefunded: -1}
	case ledger.Reinstate, ledger.Unfreeze, ledger.ReinstateExcess:
		return map[StatementItem]int64{StatementRefunded: 1}
	case ledger.Settle, ledger.Unsettle: // credits against excess: the balance stays
	}
	return nil
}

// explainUse splits what was used by action and model, from the counters of what
// the wallet paid.
func (st *Statement) explainUse(tx *gorm.DB) error {
	a := st.Account
	var agency models.Agency
	if err := tx.Where("id = ?", a.Agency.ID).Take(&agency).Error; err != nil {
		return missing(err, "agency")
	}
	q := UsageQuery{Agency: a.Agency.ID, Payer: a.Wallet, Zone: a.Zone, Interval: InTotal}
	read, err := readCounters(tx, &agency, &q, []string{"action", "model"}, st.Month.Start, st.Month.End, true)
	if err != nil {
		return err
	}
	by := map[[2]string]*StatementUse{}
	var rest models.Credits
	for _, r := range st.Rows {
		if r.Item == StatementUsed {
			rest = -r.Credits
		}
	}
	for i := range read {
		c := &read[i]
		k := [2]string{c.Action, c.Model}
		if by[k] == nil {
			by[k] = &StatementUse{Action: c.Action, Model: c.Model}
		}
		by[k].Charges += c.Charges
		by[k].Credits += c.Credits()
		rest -= c.Credits()
	}
	for _, u := range by {
		if u.Credits != 0 {
			st.Used = append(st.Used, *u)
		}
	}
	slices.SortFunc(st.Used, func(x, y StatementUse) int {
		return cmp.Or(cmp.Compare(y.Credits, x.Credits), cmp.Compare(x.Action, y.Action), cmp.Compare(x.Model, y.Model))
	})
	if rest != 0 {
		st.Used = append(st.Used, StatementUse{Credits: rest})
	}
	return nil
}

// sumsBetween adds up a wallet's entries after one seq up to another.
func sumsBetween(tx *gorm.DB, w *models.Wallet, after, upto int64) (map[movement]models.Credits, error) {
	low, err := lastSum(tx, w, after)
	if err != nil {
		return nil, err
	}
	high, err := lastSum(tx, w, upto)
	if err != nil {
		return nil, err
	}
	if low == high { // no sum lies between
		return sumEntries(tx, w, after, upto)
	}
	out, err := sumsUpTo(tx, w, high, upto)
	if err != nil {
		return nil, err
	}
	before, err := sumsUpTo(tx, w, low, after)
	if err != nil {
		return nil, err
	}
	for m, n := range before {
		out[m] -= n
	}
	return out, nil
}

// lastSum is the seq of the newest sum up to an entry; 0 for none.
func lastSum(tx *gorm.DB, w *models.Wallet, upto int64) (int64, error) {
	var out []int64
	err := tx.Model(&models.EntrySum{}).Where("agency_id = ? AND wallet_id = ? AND seq <= ?", w.AgencyID, w.ID, upto).
		Order("seq DESC").Limit(1).Pluck("seq", &out).Error
	if err != nil || len(out) == 0 {
		return 0, err
	}
	return out[0], nil
}

// sumsUpTo is a stored sum and the entries from it up to one.
func sumsUpTo(tx *gorm.DB, w *models.Wallet, sum, upto int64) (map[movement]models.Credits, error) {
	out, err := sumEntries(tx, w, sum, upto)
	if err != nil || sum == 0 {
		return out, err
	}
	var stored []models.EntrySum
	if err := tx.Where("agency_id = ? AND wallet_id = ? AND seq = ?", w.AgencyID, w.ID, sum).Find(&stored).Error; err != nil {
		return nil, err
	}
	for i := range stored {
		out[movement{ledger.Kind(stored[i].Kind), stored[i].Source}] += stored[i].Amount
	}
	return out, nil
}

// sumEntries adds up the entries after one seq up to another.
func sumEntries(tx *gorm.DB, w *models.Wallet, after, upto int64) (map[movement]models.Credits, error) {
	out := map[movement]models.Credits{}
	if after >= upto {
		return out, nil
	}
	var rows []struct {
		Kind   int16
		LotID  models.LotID
		Amount models.Credits
	}
	if err := tx.Model(&models.Entry{}).Select("kind, lot_id, CAST(SUM(amount) AS bigint) AS amount").
		Where("agency_id = ? AND wallet_id = ? AND seq > ? AND seq <= ?", w.AgencyID, w.ID, after, upto).Group("kind, lot_id").Scan(&rows).Error; err != nil {
		return nil, err
	}
	lots := map[models.LotID]bool{}
	for i := range rows {
		if !rows[i].LotID.IsZero() {
			lots[rows[i].LotID] = true
		}
	}
	sources := make(map[models.LotID]models.Source, len(lots))
	for ids := range slices.Chunk(keysOf(lots), chunk) {
		var found []models.Lot
		if err := tx.Select("id, source").Where("agency_id = ? AND id IN ?", w.AgencyID, ids).Find(&found).Error; err != nil {
			return nil, err
		}
		for i := range found {
			sources[found[i].ID] = found[i].Source
		}
	}
	for i := range rows {
		out[movement{ledger.Kind(rows[i].Kind), sources[rows[i].LotID]}] += rows[i].Amount
	}
	return out, nil
}

// sumEvery is how many entries lie between two sums of a wallet: as many as a
// statement may add up at either end.
const sumEvery = 10_000

// sumWallets stores the sums that an agency's wallets have grown past.
func (s *Service) sumWallets(ctx context.Context, agency models.AgencyID) error {
	var wallets []models.Wallet
	if err := s.db.Read.WithContext(ctx).Where("agency_id = ? AND seq >= ?", agency, s.sumEvery).Find(&wallets).Error; err != nil {
		return err
	}
	var errs []error
	for i := range wallets {
		errs = append(errs, s.sumWallet(ctx, &wallets[i]))
	}
	return errors.Join(errs...)
}

func (s *Service) sumWallet(ctx context.Context, w *models.Wallet) error {
	last, err := lastSum(s.db.Read.WithContext(ctx), w, w.Seq)
	if err != nil {
		return err
	}
	for next := last + s.sumEvery; next <= w.Seq && ctx.Err() == nil; next += s.sumEvery {
		sums, err := sumsUpTo(s.db.Read.WithContext(ctx), w, last, next)
		if err != nil {
			return err
		}
		rows := make([]models.EntrySum, 0, len(sums))
		for m, n := range sums {
			rows = append(rows, models.EntrySum{AgencyID: w.AgencyID, WalletID: w.ID, Seq: next, Kind: int16(m.kind), Source: m.source, Amount: n})
		}
		if err := s.db.InTx(ctx, func(tx *gorm.DB) error { return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error }); err != nil {
			return err
		}
		last = next
	}
	return ctx.Err()
}

// StatementCSV exports a statement: a line for each row and for each use.
func (st *Statement) StatementCSV() Export {
	return func(w io.Writer) error {
		out := newSheet(w, st.Account.Zone)
		local := func(t models.Time) string { return t.In(st.Account.Zone).Format(time.RFC3339) }
		rows := [][]string{{"from_local", "to_local", "row", "action", "model", "charges", "credits"}}
		add := func(row, action, model, charges string, n models.Credits) {
			rows = append(rows, []string{local(st.Month.Start), local(st.Month.End), row, safe(action), safe(model), charges, n.String()})
		}
		add("opening", "", "", "", st.Opening)
		for _, r := range st.Rows {
			add(string(r.Item), "", "", "", r.Credits)
			if r.Item == StatementUsed {
				for _, u := range st.Used {
					add("used_by", u.Action, u.Model, number(u.Charges), -u.Credits)
				}
			}
		}
		add("closing", "", "", "", st.Closing)
		return out.csv.WriteAll(rows)
	}
}
