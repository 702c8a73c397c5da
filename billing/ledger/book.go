package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"refill/models"
)

// quarter is the span of a usage counter.
const quarter = models.Time(15 * time.Minute / time.Microsecond)

// account is a locked wallet with its open lots in draw order.
type account struct {
	models.Wallet
	lots    []*models.Lot
	holds   map[models.HoldID]*models.Hold // open ones made by this process; nil: none
	lagging *models.Lot                    // the lot whose row is left behind by this book; nil: none new
	changed bool
	known   bool // from memory, not from the database
}

// book is the state of one transaction: what was read under the locks, and what
// is to be written. All changes of credits go through move.
type book struct {
	tables *tables

	accounts map[models.WalletID]*account
	lots     map[models.LotID]*models.Lot
	fresh    map[models.LotID]bool  // lots to insert
	moved    []models.LotID         // lots to update, in order of first change
	before   map[models.LotID]stock // of the lots that moved

	holds    map[models.HoldID]*models.Hold
	ended    []models.HoldID // holds to update
	byKey    map[key]*models.Charge
	paid     map[key][]Draw // who paid the charges of this book
	holdKeys map[key]*models.Hold

	entries  []models.Entry
	charges  []*models.Charge
	newHolds []models.HoldID // holds to insert
	acts     []models.Act
	counters map[counterKey]*models.UsageQuarter
	stirred  []*models.Stirred // wallets that left their watch
}

// stock is what a lot has.
type stock struct{ remaining, held models.Credits }

// key is an idempotency key within an agency.
type key struct {
	agency models.AgencyID
	text   string
}

type counterKey struct {
	agency       models.AgencyID
	quarter      models.Time
	paid, wallet models.WalletID
	action       string
	model        string
}

func newBook(t *tables) *book {
	return &book{
		tables:   t,
		accounts: map[models.WalletID]*account{}, lots: map[models.LotID]*models.Lot{},
		fresh: map[models.LotID]bool{}, before: map[models.LotID]stock{},
		holds: map[models.HoldID]*models.Hold{}, byKey: map[key]*models.Charge{}, paid: map[key][]Draw{}, holdKeys: map[key]*models.Hold{},
		counters: map[counterKey]*models.UsageQuarter{},
	}
}

// drawOrder is the one order lots are drawn in (DESIGN 4.1).
func drawOrder(a, b *models.Lot) int {
	return cmp.Or(
		cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(a.ExpiresAt, b.ExpiresAt),
		cmp.Compare(a.UnitCost, b.UnitCost),
		cmp.Compare(a.CreatedAt, b.CreatedAt),
		a.ID.Compare(b.ID),
	)
}

func (b *book) addLot(l *models.Lot) {
	b.lots[l.ID] = l
	if a := b.accounts[l.WalletID]; a != nil {
		i, _ := slices.BinarySearchFunc(a.lots, l, drawOrder)
		a.lots = slices.Insert(a.lots, i, l)
	}
}

// spendable tells whether a lot may be drawn at an instant. A lot is expired
// from expires_at on, booked or not.
func spendable(l *models.Lot, at models.Time) bool {
	return l.Remaining > 0 && !l.Frozen && l.EffectiveAt <= at && l.ExpiresAt > at
}

// available is what the account may spend from lots at an instant.
func (a *account) available(at models.Time) models.Credits {
	var sum models.Credits
	for _, l := range a.lots {
		if spendable(l, at) {
			sum += l.Remaining
		}
	}
	return sum
}

// Draw is what one lot, or excess, paid of a charge or hold.
type Draw struct {
	Wallet  models.WalletID `json:"wallet"`
	Lot     models.LotID    `json:"lot"` // zero for excess
	Bucket  models.Bucket   `json:"bucket"`
	Credits models.Credits  `json:"credits"`
}

// take plans draws of up to amount in draw order without changing anything.
func (a *account) take(amount models.Credits, at models.Time) (draws []Draw, rest models.Credits) {
	for _, l := range a.lots {
		if amount == 0 {
			break
		}
		if !spendable(l, at) {
			continue
		}
		part := min(amount, l.Remaining)
		draws = append(draws, Draw{Wallet: a.ID, Lot: l.ID, Bucket: l.Source.Bucket(), Credits: part})
		amount -= part
	}
	return draws, amount
}

// stamp is the booking time: the asked one, but never before the wallet's last,
// so that seq order and time order agree.
func (a *account) stamp(at models.Time) models.Time { return max(at, a.LastAt) }

// move books one entry: the only place where credits change.
func (b *book) move(a *account, l *models.Lot, kind Kind, amount models.Credits, act models.ActID, at models.Time) {
	if amount <= 0 {
		return
	}
	e, n := effects[kind], int64(amount)
	var lot models.LotID
	if l != nil {
		if _, again := b.before[l.ID]; !again && !b.fresh[l.ID] {
			b.before[l.ID] = stock{l.Remaining, l.Held}
			b.moved = append(b.moved, l.ID)
		}
		l.Remaining += models.Credits(e.remaining * n)
		l.Held += models.Credits(e.held * n)
		l.Open = l.Remaining > 0 || l.Held > 0
		lot = l.ID
	}
	a.Seq++
	a.Balance += models.Credits((e.remaining - e.excess) * n)
	a.Held += models.Credits(e.held * n)
	a.Excess += models.Credits(e.excess * n)
	a.LastAt = a.stamp(at)
	a.changed = true
	if e.excess != 0 {
		if top := b.agencyOf(a); top != nil {
			top.AgencyExcess += models.Credits(e.excess * n)
			top.changed = true
		}
	}
	b.entries = append(b.entries, models.Entry{
		AgencyID: a.AgencyID, WalletID: a.ID, Seq: a.Seq, ActID: act, LotID: lot,
		Kind: int16(kind), Amount: amount, Balance: a.Balance, At: a.LastAt,
	})
}

// agencyOf is the agency's own account, where the sum of all excess is kept;
// nil when it is not locked in this book.
func (b *book) agencyOf(a *account) *account {
	if a.SubAccountID.IsZero() {
		return a
	}
	return b.accounts[a.PoolWalletID]
}

// promise changes what open holds may still draw into excess.
func (b *book) promise(a *account, by models.Credits) {
	if by == 0 {
		return
	}
	a.Promised += by
	a.changed = true
	if top := b.agencyOf(a); top != nil {
		top.AgencyExcess += by
		top.changed = true
	}
}

// settleExcess pays excess off with whatever may be spent: excess and spendable
// credits never stand side by side (I-02).
func (b *book) settleExcess(a *account, act models.ActID, at models.Time) {
	if a.Excess == 0 {
		return
	}
	draws, _ := a.take(a.Excess, a.stamp(at))
	for _, d := range draws {
		b.move(a, b.lots[d.Lot], Settle, d.Credits, act, at)
	}
}

// excessRoom is how far the account may still go below zero. An agency's
// ceiling counts all its wallets together.
func (b *book) excessRoom(a *account) models.Credits {
	room := a.ExcessLimit - a.Excess - a.Promised
	if top := b.agencyOf(a); top != nil {
		room = min(room, top.AgencyCeiling-top.AgencyExcess)
	} else {
		room = 0
	}
	return max(room, 0)
}

// Balance is a wallet's credits by bucket at an instant.
type Balance struct {
	Available models.Credits // Σ spendable lots
	Held      models.Credits
	Excess    models.Credits
	Plan      models.Credits
	Purchased models.Credits
	Assigned  models.Credits
	Bonus     models.Credits
}

// Left is the number on screen.
func (b Balance) Left() models.Credits { return b.Available - b.Excess }

func (a *account) balance(at models.Time) Balance {
	return sumLots(a.Wallet, a.lots, at)
}

func sumLots(w models.Wallet, lots []*models.Lot, at models.Time) Balance {
	out := Balance{Held: w.Held, Excess: w.Excess}
	for _, l := range lots {
		if !spendable(l, at) {
			continue
		}
		out.Available += l.Remaining
		switch l.Source.Bucket() {
		case models.BucketPlan:
			out.Plan += l.Remaining
		case models.BucketPurchased:
			out.Purchased += l.Remaining
		case models.BucketAssigned:
			out.Assigned += l.Remaining
		case models.BucketBonus, models.BucketExcess:
			out.Bonus += l.Remaining
		}
	}
	return out
}

// State is a wallet's condition (UX 1.0.3), the same on screen and in the API.
type State string

// The states a wallet can be in by its own facts.
const (
	StateNew      State = "new"
	StateHealthy  State = "healthy"
	StateLow      State = "low"
	StateCritical State = "critical"
	StateExcess   State = "excess"
	StatePaused   State = "paused"
	StateUpstream State = "upstream_paused"
)

// StateOf derives a wallet's state from its row and balance.
func StateOf(w models.Wallet, b Balance) State {
	left := b.Left()
	switch {
	case !w.InService():
		return StatePaused
	case left < 0 && w.Excess+w.Promised < w.ExcessLimit:
		return StateExcess
	case left <= 0 && w.ExcessLimit == 0, left < 0:
		return StatePaused
	case w.UsedAt == 0:
		return StateNew
	case left <= w.CriticalAt:
		return StateCritical
	case left <= w.LowAt:
		return StateLow
	}
	return StateHealthy
}

// count adds to the usage counter of one paying wallet.
func (b *book) count(c *models.Charge, paid *account, add models.UsageQuarter, at models.Time) {
	k := counterKey{c.AgencyID, at - at%quarter, paid.ID, c.WalletID, c.Action, c.Model}
	row := b.counters[k]
	if row == nil {
		row = &models.UsageQuarter{
			AgencyID: k.agency, Quarter: k.quarter, PaidWalletID: k.paid, WalletID: k.wallet, Action: k.action, Model: k.model,
		}
		b.counters[k] = row
	}
	row.Plan += add.Plan
	row.Purchased += add.Purchased
	row.Assigned += add.Assigned
	row.Bonus += add.Bonus
	row.Excess += add.Excess
	row.Units += add.Units
	row.Charges += add.Charges
	row.Tests += add.Tests
	if add.FirstSeq != 0 {
		if row.FirstSeq == 0 {
			row.FirstSeq = add.FirstSeq
		}
		row.LastSeq, row.Balance = add.LastSeq, add.Balance
	}
}

// inBucket is credits as a counter row of the bucket that paid.
func inBucket(row *models.UsageQuarter, bucket models.Bucket, c models.Credits) {
	switch bucket {
	case models.BucketPlan:
		row.Plan += c
	case models.BucketPurchased:
		row.Purchased += c
	case models.BucketAssigned:
		row.Assigned += c
	case models.BucketBonus:
		row.Bonus += c
	case models.BucketExcess:
		row.Excess += c
	}
}

// check asserts the cheap invariants of everything the book touched. A breach
// is a fault in this package, so it stops the transaction (TigerBeetle's rule:
// stop rather than be wrong).
func (b *book) check() error {
	for id := range b.before {
		if l := b.lots[id]; l.Remaining < 0 || l.Held < 0 || l.Remaining+l.Held > l.Granted {
			return fmt.Errorf("I-03 broken for lot %s: remaining %s, held %s of %s", id, l.Remaining, l.Held, l.Granted)
		}
	}
	for _, a := range b.accounts {
		if !a.changed {
			continue
		}
		if a.Held < 0 || a.Excess < 0 || a.Promised < 0 || a.AgencyExcess < 0 {
			return fmt.Errorf("I-02 broken for wallet %s: held %s, excess %s, promised %s", a.ID, a.Held, a.Excess, a.Promised)
		}
		if a.Balance > models.MaxBalance {
			return fmt.Errorf("I-28 broken for wallet %s: balance %s", a.ID, a.Balance)
		}
	}
	return nil
}

// lag picks the lots to write. One lot of each wallet, the last that was only
// drawn on and has something left, is not: what was drawn from it goes into the
// wallet's row, which is written anyway. Its row is written when it runs out, or
// when another lot takes that place.
func (b *book) lag() []*models.Lot {
	write := make([]*models.Lot, 0, len(b.moved))
	for _, id := range b.moved {
		l := b.lots[id]
		a, before := b.accounts[l.WalletID], b.before[id]
		if l.Remaining <= 0 || l.Held != before.held || l.Remaining > before.remaining+a.behind(l) {
			write = append(write, l)
			if a.DrawnLotID == l.ID {
				a.DrawnLotID, a.Drawn = models.LotID{}, 0
			}
			continue
		}
		if a.lagging != nil {
			write = append(write, a.lagging)
		}
		a.lagging = l
	}
	for _, a := range b.accounts {
		l := a.lagging
		if l == nil {
			continue
		}
		a.lagging = nil
		drawn := b.before[l.ID].remaining + a.behind(l) - l.Remaining
		if !a.DrawnLotID.IsZero() && a.DrawnLotID != l.ID {
			last := b.lots[a.DrawnLotID] // open, and so read with the wallet
			if !slices.Contains(write, last) {
				write = append(write, last)
			}
		}
		a.DrawnLotID, a.Drawn = l.ID, drawn
		if drawn == 0 {
			a.DrawnLotID = models.LotID{}
		}
	}
	return write
}

// behind is how much of a lot was drawn that its row does not know.
func (a *account) behind(l *models.Lot) models.Credits {
	if a.DrawnLotID == l.ID {
		return a.Drawn
	}
	return 0
}

// writes is everything the book changed, as statements in a fixed order: the
// wallets first, as their locks are taken, then keys; all sorted, so that two
// transactions meet in the same order.
func (b *book) writes(d models.Dialect) []statement {
	t := b.tables
	lots := b.lag()
	wallets := make([]*models.Wallet, 0, len(b.accounts))
	for _, a := range b.accounts {
		if a.changed {
			a.Version++
			wallets = append(wallets, &a.Wallet)
		}
	}
	slices.SortFunc(wallets, func(x, y *models.Wallet) int {
		return cmp.Or(x.AgencyID.Compare(y.AgencyID), x.ID.Compare(y.ID))
	})
	out := append(t.wallets.update(d, wallets), b.stir(d, wallets)...)
	slices.SortFunc(b.charges, func(x, y *models.Charge) int {
		return cmp.Or(x.AgencyID.Compare(y.AgencyID), cmp.Compare(x.IdempotencyKey, y.IdempotencyKey))
	})
	out = append(out, t.charges.insert(d, b.charges)...)
	holds := make([]*models.Hold, 0, len(b.newHolds))
	inserted := map[models.HoldID]bool{}
	for _, id := range b.newHolds {
		holds = append(holds, b.holds[id])
		inserted[id] = true
	}
	out = append(out, t.holds.insert(d, holds)...)
	ended := make([]*models.Hold, 0, len(b.ended))
	for _, id := range b.ended {
		if !inserted[id] {
			inserted[id] = true // once, in its last state
			ended = append(ended, b.holds[id])
		}
	}
	out = append(out, t.holdEnds.update(d, ended)...)
	out = append(out, t.acts.insert(d, pointers(b.acts))...)

	fresh := make([]*models.Lot, 0, len(b.fresh))
	for id := range b.fresh {
		fresh = append(fresh, b.lots[id])
	}
	slices.SortFunc(fresh, func(x, y *models.Lot) int { return x.ID.Compare(y.ID) })
	out = append(out, t.newLots.insert(d, fresh)...)
	out = append(out, t.lots.update(d, lots)...)
	out = append(out, t.entries.insert(d, pointers(b.entries))...)

	counters := make([]*models.UsageQuarter, 0, len(b.counters))
	for _, c := range b.counters {
		counters = append(counters, c)
	}
	slices.SortFunc(counters, func(x, y *models.UsageQuarter) int {
		return cmp.Or(x.AgencyID.Compare(y.AgencyID), cmp.Compare(x.Quarter, y.Quarter), x.PaidWalletID.Compare(y.PaidWalletID),
			x.WalletID.Compare(y.WalletID), cmp.Compare(x.Action, y.Action), cmp.Compare(x.Model, y.Model))
	})
	return append(out, t.counters.insert(d, counters)...)
}
