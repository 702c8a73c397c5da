package ledger

import (
	"fmt"
	"slices"

	"refill/models"
)

// The draw-order oracle: every wallet's entries are replayed in seq order over
// its lots, in plain Go and without the code that booked them, and each draw is
// asked whether an earlier lot in the order could have paid.

// replayed is one wallet while its entries are read.
type replayed struct {
	*auditor
	id      models.WalletID
	lots    map[models.LotID]*replayedLot
	open    []*replayedLot // with credits left, in draw order
	seq     int64
	act     models.ActID
	at      models.Time
	balance models.Credits
	excess  models.Credits
	used    models.UsageQuarter // by bucket, reversals taken off
}

type replayedLot struct {
	models.Lot
	left    models.Credits
	given   bool // its grant has been read
	freezes []models.LotFreeze
}

// draws are the kinds that choose a lot by the draw order. A capture takes what
// was chosen when it was held, a return chooses from the other end.
func (k Kind) draws() bool {
	return slices.Contains([]Kind{ChargeDraw, HoldDraw, AssignOut, SellOut, StockDraw, AdjustOut, Settle}, k)
}

// gives are the kinds that a lot begins with.
func (k Kind) gives() bool { return slices.Contains([]Kind{Grant, AdjustIn, AssignIn, SellIn}, k) }

func (a *auditor) replayWallets() error {
	var wallets []models.WalletID
	err := a.each("SELECT id FROM wallets WHERE agency_id = @agency ORDER BY id", func(r row) error {
		var id models.WalletID
		err := r.Scan(&id)
		wallets = append(wallets, id)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range wallets {
		if err := a.replayWallet(id); err != nil {
			return fmt.Errorf("replay wallet %s: %w", id, err)
		}
	}
	return nil
}

func (a *auditor) replayWallet(id models.WalletID) error {
	w := &replayed{auditor: a, id: id, lots: map[models.LotID]*replayedLot{}}
	var lots []models.Lot
	if err := a.tx.Where("agency_id = ? AND wallet_id = ?", a.agency, id).Find(&lots).Error; err != nil {
		return err
	}
	for i := range lots {
		w.lots[lots[i].ID] = &replayedLot{Lot: lots[i]}
	}
	var freezes []models.LotFreeze
	if err := a.tx.Where("agency_id = ? AND wallet_id = ?", a.agency, id).Find(&freezes).Error; err != nil {
		return err
	}
	for _, f := range freezes {
		if l := w.lots[f.LotID]; l != nil {
			l.freezes = append(l.freezes, f)
		}
	}
	rows, err := a.tx.Raw("SELECT seq, act_id, lot_id, kind, amount, balance, at FROM entries WHERE agency_id = ? AND wallet_id = ? ORDER BY seq", a.agency, id).Rows()
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e models.Entry
		if err := rows.Scan(&e.Seq, &e.ActID, &e.LotID, &e.Kind, &e.Amount, &e.Balance, &e.At); err != nil {
			return err
		}
		w.entry(&e)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := rows.Close(); err != nil {
		return err
	}
	return w.end()
}

func (w *replayed) entry(e *models.Entry) {
	w.checks["I-05"].Checked++
	if e.Seq != w.seq+1 {
		w.breach("I-05", "wallet %s: entry %d follows %d", w.id, e.Seq, w.seq)
	}
	if e.At < w.at {
		w.breach("I-05", "wallet %s: entry %d is dated before the one it follows", w.id, e.Seq)
	}
	kind := Kind(e.Kind)
	if e.ActID != w.act && kind != PassOut { // what is passed on stays nobody's in between
		w.owed()
	}
	f := effects[kind]
	w.seq, w.act, w.at = e.Seq, e.ActID, e.At
	w.balance += models.Credits(kind.Change()) * e.Amount
	w.excess += models.Credits(f.excess) * e.Amount
	if e.Balance != w.balance {
		w.breach("I-05", "wallet %s: entry %d says balance %s, the entries up to it sum to %s", w.id, e.Seq, e.Balance, w.balance)
		w.balance = e.Balance // told once
	}
	l := w.lots[e.LotID]
	if kind.draws() && l != nil {
		w.order(e, l)
	}
	if kind == ExcessDraw {
		w.lastResort(e)
	}
	if w.balance < -w.excess || w.excess < 0 {
		w.breach("I-09", "wallet %s: entry %d leaves %s with %s of excess", w.id, e.Seq, w.balance, w.excess)
	}
	if l != nil {
		if w.checks["I-30"].Checked++; !l.given && !kind.gives() {
			w.breach("I-30", "wallet %s: entry %d moves credits of lot %s, which was not given yet", w.id, e.Seq, l.ID)
		}
		l.given = true
		w.change(l, models.Credits(f.remaining)*e.Amount)
	}
	w.count(e, kind, l)
}

// order checks a draw against the order and the lot's life (I-11, I-20).
func (w *replayed) order(e *models.Entry, l *replayedLot) {
	w.checks["I-20"].Checked++
	if e.At >= l.ExpiresAt || e.At < l.EffectiveAt {
		w.breach("I-20", "wallet %s: entry %d draws on lot %s outside its life", w.id, e.Seq, l.ID)
	}
	if l.frozenAt(e.Seq) {
		w.breach("I-20", "wallet %s: entry %d draws on lot %s while it was frozen", w.id, e.Seq, l.ID)
	}
	w.checks["I-11"].Checked++
	selling := Kind(e.Kind) == SellOut || Kind(e.Kind) == StockDraw
	if selling && !sellable(&l.Lot) {
		w.breach("I-11", "wallet %s: entry %d sells lot %s, which is not for sale", w.id, e.Seq, l.ID)
	}
	for _, o := range w.open {
		if o == l {
			return
		}
		if (!selling || sellable(&o.Lot)) && before(&o.Lot, &l.Lot) && o.spendableAt(e) {
			w.breach("I-11", "wallet %s: entry %d draws on lot %s while lot %s had %s", w.id, e.Seq, l.ID, o.ID, o.left)
			return
		}
	}
}

// sellable tells what may be sold on: purchased credits that never expire.
func sellable(l *models.Lot) bool {
	return l.Source == models.SourcePurchase && l.ExpiresAt == models.Never
}

// lastResort checks that nothing else could have paid what went into excess.
func (w *replayed) lastResort(e *models.Entry) {
	for _, o := range w.open {
		if o.spendableAt(e) {
			w.breach("I-09", "wallet %s: entry %d goes into excess while lot %s had %s", w.id, e.Seq, o.ID, o.left)
			return
		}
	}
}

// owed checks, at the end of an act, that nothing is owed beside credits that could
// pay it: what an act takes back or lets be used is settled by that very act, and a
// debt by the grant that follows (I-17).
func (w *replayed) owed() {
	if w.excess <= 0 {
		return
	}
	w.checks["I-17"].Checked++
	last := models.Entry{Seq: w.seq, At: w.at}
	for _, o := range w.open {
		if o.spendableAt(&last) {
			w.breach("I-17", "wallet %s: after entry %d it owes %s, and lot %s has %s", w.id, w.seq, w.excess, o.ID, o.left)
			return
		}
	}
}

func (l *replayedLot) spendableAt(e *models.Entry) bool {
	return l.left > 0 && !l.frozenAt(e.Seq) && l.EffectiveAt <= e.At && e.At < l.ExpiresAt
}

// frozenAt tells whether the lot was frozen when an entry was written.
func (l *replayedLot) frozenAt(seq int64) bool {
	return slices.ContainsFunc(l.freezes, func(f models.LotFreeze) bool {
		return f.AfterSeq < seq && (f.UntilSeq == models.FreezeRules || seq <= f.UntilSeq)
	})
}

// before is the draw order, spelled out once more on purpose: the oracle shares
// no code with what it judges.
func before(a, b *models.Lot) bool {
	if a.Priority != b.Priority {
		return a.Priority < b.Priority
	}
	if a.ExpiresAt != b.ExpiresAt {
		return a.ExpiresAt < b.ExpiresAt
	}
	if a.UnitCost != b.UnitCost {
		return a.UnitCost < b.UnitCost
	}
	if a.CreatedAt != b.CreatedAt {
		return a.CreatedAt < b.CreatedAt
	}
	return string(a.ID[:]) < string(b.ID[:])
}

// change moves a lot's credits and keeps the open lots in order.
func (w *replayed) change(l *replayedLot, by models.Credits) {
	was := l.left > 0
	l.left += by
	switch is := l.left > 0; {
	case is && !was:
		i, _ := slices.BinarySearchFunc(w.open, l, func(a, b *replayedLot) int {
			if before(&a.Lot, &b.Lot) {
				return -1
			}
			return 1
		})
		w.open = slices.Insert(w.open, i, l)
	case was && !is:
		if i := slices.Index(w.open, l); i >= 0 {
			w.open = slices.Delete(w.open, i, i+1)
		}
	}
}

// count adds up what the wallet paid, by bucket.
func (w *replayed) count(e *models.Entry, kind Kind, l *replayedLot) {
	switch {
	case kind == ExcessDraw:
		w.used.Excess += e.Amount
	case kind == ReverseExcess:
		w.used.Excess -= e.Amount
	case l == nil:
	case kind == ChargeDraw, kind == CaptureDraw:
		inBucket(&w.used, l.Source.Bucket(), e.Amount)
	case kind == Reverse:
		inBucket(&w.used, l.Source.Bucket(), -e.Amount)
	}
}

// end compares the replay with the wallet's row and its usage counters.
func (w *replayed) end() error {
	w.owed()
	var stored models.Wallet
	if err := w.tx.Where("agency_id = ? AND id = ?", w.agency, w.id).Take(&stored).Error; err != nil {
		return err
	}
	if stored.Seq != w.seq || stored.LastAt < w.at {
		w.breach("I-05", "wallet %s: its row says entry %d, its last entry is %d", w.id, stored.Seq, w.seq)
	}
	var counted models.UsageQuarter
	err := w.tx.Raw(`SELECT COALESCE(CAST(SUM(plan) AS bigint), 0) AS plan, COALESCE(CAST(SUM(purchased) AS bigint), 0) AS purchased,
			COALESCE(CAST(SUM(assigned) AS bigint), 0) AS assigned, COALESCE(CAST(SUM(bonus) AS bigint), 0) AS bonus,
			COALESCE(CAST(SUM(excess) AS bigint), 0) AS excess
		FROM usage_quarters WHERE agency_id = ? AND paid_wallet_id = ?`, w.agency, w.id).Scan(&counted).Error
	if err != nil {
		return err
	}
	if counted != w.used {
		w.breach("I-29", "wallet %s: counters say plan %s, purchased %s, assigned %s, bonus %s, excess %s; entries %s, %s, %s, %s, %s", w.id,
			counted.Plan, counted.Purchased, counted.Assigned, counted.Bonus, counted.Excess,
			w.used.Plan, w.used.Purchased, w.used.Assigned, w.used.Bonus, w.used.Excess)
	}
	return nil
}
