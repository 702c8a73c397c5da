package ledger_test

import (
	"bytes"
	"cmp"
	"math/big"
	"slices"

	"refill/models"
)

// The ledger once more in plain Go: no SQL, no batches, no locks, no entries.
// It settles excess the moment credits become spendable, so the property test
// compares balances after it has made the ledger do the same. What a payment buys
// and takes back is in model_trade_test.go.

type modelLot struct {
	id        models.LotID
	owner     *modelWallet
	source    models.Source
	monthly   bool // sold for a month: drawn first
	effective models.Time
	expires   models.Time
	unit      int64 // orders lots of one priority and expiry
	born      models.Time
	period    models.Time // whose allowance it is
	granted   models.Credits
	cost      int64
	remaining models.Credits
	held      models.Credits
	parent    *modelLot
	frozen    bool           // as a whole, while the agency has no plan
	taken     models.Credits // went back with the money
	disputed  models.Credits // for nobody, until a bank has decided
}

func (l *modelLot) spendable(now models.Time) bool {
	return l.remaining > 0 && !l.frozen && l.effective <= now && now < l.expires
}

func (l *modelLot) open() bool { return l.remaining > 0 || l.held > 0 }

func (l *modelLot) priority() int {
	if l.monthly {
		return models.SourcePlan.Priority()
	}
	return l.source.Priority()
}

// back puts credits into a lot; in one that has expired they are gone.
func (m *model) back(l *modelLot, n models.Credits) {
	if m.now < l.expires {
		l.remaining += n
	} else {
		l.owner.breakage += n
	}
}

type modelPart struct {
	lot     *modelLot // nil for excess
	owner   *modelWallet
	credits models.Credits
}

type modelWallet struct {
	name                    string
	id                      models.WalletID
	lots                    []*modelLot
	excess, limit, promised models.Credits
	ceiling                 models.Credits // of the agency's wallet
	pooled                  bool
	cap                     models.Credits
	daily                   bool
	drawn                   models.Credits
	since                   models.Time
	settled                 []modelPart // newest last
	suspended               bool

	// What its entries moved, as sums: into the accounts of the ledger that are not
	// its own.
	consumed, breakage, disputed, sent models.Credits
	given                              models.Credits // net, from outside
}

type modelHold struct {
	owner   *modelWallet
	parts   []modelPart
	credits models.Credits
	expires models.Time
	born    models.Time
	state   models.HoldState
}

type modelCharge struct {
	owner    *modelWallet
	parts    []modelPart
	born     models.Time
	reversed bool
}

// A model refuses with the code that the ledger must refuse with.
const (
	short      = "insufficient_credits"
	suspended  = "wallet_paused"
	outOfStock = "out_of_stock"
)

type model struct {
	now     models.Time
	cycle   models.Time
	agency  *modelWallet
	wallets []*modelWallet
	found   models.Credits     // what there was when somebody was refused for being short
	adopt   func(...*modelLot) // gives carved lots their ids, which break ties
}

const modelDay = models.Time(24 * 3600 * 1_000_000)

func (m *model) dayStart() models.Time { return m.now - m.now%modelDay }

func (w *modelWallet) ordered() []*modelLot {
	slices.SortFunc(w.lots, drawnBefore)
	return w.lots
}

func drawnBefore(a, b *modelLot) int {
	return cmp.Or(cmp.Compare(a.priority(), b.priority()), cmp.Compare(a.expires, b.expires),
		cmp.Compare(a.unit, b.unit), cmp.Compare(a.born, b.born), bytes.Compare(a.id[:], b.id[:]))
}

// find plans to take up to amount from a wallet's lots.
func (m *model) find(w *modelWallet, amount models.Credits, only func(*modelLot) bool) (parts []modelPart, found models.Credits) {
	for _, l := range w.ordered() {
		if n := min(amount-found, l.remaining); n > 0 && l.spendable(m.now) && (only == nil || only(l)) {
			parts = append(parts, modelPart{l, w, n})
			found += n
		}
	}
	return parts, found
}

// settle pays excess off with what may be spent.
func (m *model) settle(w *modelWallet) {
	parts, found := m.find(w, w.excess, nil)
	for _, p := range parts {
		p.lot.remaining -= p.credits
	}
	w.excess -= found
	w.settled = append(w.settled, parts...)
}

func (m *model) owed() (sum models.Credits) {
	for _, w := range m.wallets {
		sum += w.excess + w.promised
	}
	return sum
}

func (m *model) since(w *modelWallet) models.Time {
	if w.daily {
		return m.dayStart()
	}
	return m.cycle
}

// plan finds who would pay, or the code of the refusal.
func (m *model) plan(w *modelWallet, amount, overExcess, overCap models.Credits) (parts []modelPart, refusal string) {
	left := amount
	from := w
	if !w.pooled {
		own, found := m.find(w, left, nil)
		parts = own
		left -= found
	}
	refuse := func(code string) ([]modelPart, string) {
		m.found = amount - left
		return nil, code
	}
	// A suspended agency lends nothing but what it has promised.
	lends := !m.agency.suspended || overCap > 0
	if w.pooled && !lends && left > 0 {
		return refuse(suspended)
	}
	if w != m.agency && (w.pooled || w.cap > 0) && lends {
		room := models.MaxBalance
		if w.cap > 0 {
			drawn := w.drawn
			if w.since < m.since(w) {
				drawn = 0
			}
			room = max(0, w.cap-drawn) + overCap
		}
		if m.agency.suspended {
			room = overCap
		}
		pool, found := m.find(m.agency, min(left, room), nil)
		parts = append(parts, pool...)
		left -= found
		room -= found
		if w.pooled {
			from = m.agency
			if left > room {
				return refuse(short)
			}
		}
	}
	if left == 0 {
		return parts, ""
	}
	room := max(0, min(from.limit-from.excess-from.promised, m.agency.ceiling-m.owed())) + overExcess
	if left > room {
		return refuse(short)
	}
	return append(parts, modelPart{nil, from, left}), ""
}

// pay books planned parts; a hold reserves them instead.
func (m *model) pay(w *modelWallet, parts []modelPart, hold bool) {
	var pool models.Credits
	for _, p := range parts {
		switch {
		case p.lot == nil && hold:
			p.owner.promised += p.credits
		case p.lot == nil:
			p.owner.excess += p.credits
		case hold:
			p.lot.remaining -= p.credits
			p.lot.held += p.credits
		default:
			p.lot.remaining -= p.credits
		}
		if !hold {
			p.owner.consumed += p.credits
		}
		if p.owner != w {
			pool += p.credits
		}
	}
	if pool > 0 {
		if s := m.since(w); w.since < s {
			w.since, w.drawn = s, 0
		}
		w.drawn += pool
	}
}

func (m *model) charge(w *modelWallet, amount models.Credits) (*modelCharge, string) {
	if w.suspended {
		return nil, suspended
	}
	parts, refusal := m.plan(w, amount, 0, 0)
	if refusal != "" {
		return nil, refusal
	}
	m.pay(w, parts, false)
	return &modelCharge{owner: w, parts: parts, born: m.now}, ""
}

func (m *model) hold(w *modelWallet, amount models.Credits, ttl models.Time) (*modelHold, string) {
	if w.suspended {
		return nil, suspended
	}
	parts, refusal := m.plan(w, amount, 0, 0)
	if refusal != "" {
		return nil, refusal
	}
	m.pay(w, parts, true)
	return &modelHold{owner: w, parts: parts, credits: amount, born: m.now, expires: m.now + ttl, state: models.HoldOpen}, ""
}

// letGo returns reserved parts.
func (m *model) letGo(h *modelHold, parts []modelPart, state models.HoldState) {
	var pool models.Credits
	for _, p := range parts {
		if p.owner != h.owner {
			pool += p.credits
		}
		if p.lot == nil {
			p.owner.promised -= p.credits
			continue
		}
		p.lot.held -= p.credits
		m.back(p.lot, p.credits)
		m.settle(p.owner)
	}
	m.undraw(h.owner, pool, h.born)
	h.state = state
}

func (m *model) undraw(w *modelWallet, amount models.Credits, at models.Time) {
	if amount > 0 && at >= w.since {
		w.drawn = max(0, w.drawn-amount)
	}
}

func (m *model) capture(h *modelHold, amount models.Credits) (*modelCharge, string) {
	var promised, promisedPool models.Credits
	if h.state == models.HoldExpired || h.expires <= m.now {
		if h.state == models.HoldOpen {
			m.letGo(h, h.parts, models.HoldExpired)
		}
		for _, p := range h.parts {
			if p.owner != h.owner {
				promisedPool += p.credits
			}
		}
		parts, refusal := m.plan(h.owner, amount, min(amount, h.credits), promisedPool)
		if refusal != "" {
			return nil, refusal
		}
		m.pay(h.owner, parts, false)
		h.state = models.HoldCaptured
		return &modelCharge{owner: h.owner, parts: parts, born: m.now}, ""
	}
	var taken, back []modelPart
	left := amount
	for _, p := range h.parts {
		n := min(left, p.credits)
		if p.lot == nil {
			n = 0
			promised += p.credits
			if p.owner != h.owner {
				promisedPool += p.credits
			}
		}
		if n > 0 {
			taken = append(taken, modelPart{p.lot, p.owner, n})
		}
		if n < p.credits {
			back = append(back, modelPart{p.lot, p.owner, p.credits - n})
		}
		left -= n
	}
	more, refusal := m.plan(h.owner, left, promised, promisedPool)
	if refusal != "" {
		return nil, refusal
	}
	m.letGo(h, back, models.HoldCaptured)
	for _, p := range taken {
		p.lot.held -= p.credits
		p.owner.consumed += p.credits
	}
	m.pay(h.owner, more, false)
	return &modelCharge{owner: h.owner, parts: append(taken, more...), born: m.now}, ""
}

func (m *model) reverse(c *modelCharge) {
	c.reversed = true
	var pool models.Credits
	for _, p := range c.parts {
		p.owner.consumed -= p.credits
		if p.owner != c.owner {
			pool += p.credits
		}
		if p.lot == nil {
			m.unowe(p.owner, p.credits)
		}
	}
	for _, p := range c.parts {
		if p.lot != nil {
			m.back(p.lot, p.credits)
		}
	}
	m.undraw(c.owner, pool, c.born)
	for _, w := range m.wallets {
		m.settle(w)
	}
}

// unowe takes excess off; what was paid off already goes back to the lots that
// paid it, newest first.
func (m *model) unowe(w *modelWallet, amount models.Credits) {
	missing := max(0, amount-w.excess)
	w.excess -= amount - missing
	for missing > 0 {
		top := &w.settled[len(w.settled)-1]
		n := min(missing, top.credits)
		m.back(top.lot, n)
		top.credits -= n
		missing -= n
		if top.credits == 0 {
			w.settled = w.settled[:len(w.settled)-1]
		}
	}
}

// carve moves a part of one wallet's lot into a new lot of another's.
func (m *model) carve(p modelPart, to *modelWallet, as modelLot, kept bool) *modelLot {
	parent := p.lot
	used := parent.granted - parent.remaining - parent.held
	as.cost = share(parent.cost, used+p.credits, parent.granted) - share(parent.cost, used, parent.granted)
	as.owner, as.effective, as.born, as.unit = to, m.now, m.now, parent.unit
	as.granted, as.remaining, as.parent = p.credits, p.credits, parent
	if as.expires == 0 {
		as.expires = parent.expires
	}
	if kept {
		parent.held -= p.credits
	} else {
		parent.remaining -= p.credits
	}
	parent.owner.sent += p.credits
	to.sent -= p.credits
	l := &as
	to.lots = append(to.lots, l)
	return l
}

// share is a part of an amount of money, rounded down.
func share(total int64, part, whole models.Credits) int64 {
	n := new(big.Int).Mul(big.NewInt(total), big.NewInt(int64(part)))
	return n.Quo(n, big.NewInt(int64(whole))).Int64()
}

// returns moves credits of a carved lot back into its parent.
func (l *modelLot) returns(n models.Credits) {
	l.remaining -= n
	l.parent.remaining += n
	l.owner.sent += n
	l.parent.owner.sent -= n
}

func sellable(l *modelLot) bool {
	return l.source == models.SourcePurchase && l.expires == models.Never
}

// move assigns or sells.
func (m *model) move(to *modelWallet, amount models.Credits, sold bool) (carved []*modelLot, refusal string) {
	as, only := modelLot{source: models.SourceAssigned}, func(*modelLot) bool { return true }
	if sold {
		as.source, only = models.SourcePurchase, sellable
	}
	parts, found := m.find(m.agency, amount, only)
	if found < amount || m.agency.excess > 0 {
		return nil, short
	}
	for _, p := range parts {
		carved = append(carved, m.carve(p, to, as, false))
	}
	m.adopt(carved...)
	m.settle(to)
	return carved, ""
}

// unspent are the lots that a client was assigned and could give back, last
// carved first.
func (m *model) unspent(w *modelWallet) (lots []*modelLot, sum models.Credits) {
	for _, l := range slices.Backward(w.ordered()) {
		if l.source == models.SourceAssigned && l.parent != nil && l.spendable(m.now) {
			lots = append(lots, l)
			sum += l.remaining
		}
	}
	return lots, sum
}

func (m *model) takeBack(from *modelWallet, amount models.Credits) string {
	children, unspent := m.unspent(from)
	if unspent < amount {
		return short
	}
	for _, l := range children {
		n := min(amount, l.remaining)
		l.returns(n)
		amount -= n
	}
	m.settle(m.agency)
	return ""
}

// recall takes all back that is unspent of some lots.
func (m *model) recall(lots []*modelLot) (sum models.Credits) {
	for _, l := range lots {
		if l.spendable(m.now) {
			sum += l.remaining
			l.returns(l.remaining)
		}
	}
	m.settle(m.agency)
	return sum
}

// spread assigns to many, all or nothing.
func (m *model) spread(to []*modelWallet, amounts []models.Credits) (carved [][]*modelLot, refusal string) {
	var total models.Credits
	for _, n := range amounts {
		total += n
	}
	if _, found := m.find(m.agency, total, nil); found < total || m.agency.excess > 0 {
		return nil, short
	}
	for i, w := range to {
		lots, _ := m.move(w, amounts[i], false)
		carved = append(carved, lots)
	}
	return carved, ""
}

// pass moves unspent assigned credits to another client, over the lots they came
// from.
func (m *model) pass(from, to *modelWallet, amount models.Credits) string {
	children, unspent := m.unspent(from)
	if unspent < amount {
		return short
	}
	var parts []modelPart
	var carved []*modelLot
	for _, l := range children {
		if n := min(amount, l.remaining); n > 0 {
			l.returns(n)
			parts = append(parts, modelPart{l.parent, m.agency, n})
			amount -= n
		}
	}
	for _, p := range parts {
		carved = append(carved, m.carve(p, to, modelLot{source: models.SourceAssigned}, false))
	}
	m.adopt(carved...)
	m.settle(to)
	return ""
}

func (m *model) withdraw(w *modelWallet, amount models.Credits) string {
	parts, found := m.find(w, amount, nil)
	if found < amount {
		return short
	}
	for _, p := range parts {
		p.lot.remaining -= p.credits
		w.given -= p.credits
	}
	return ""
}

func (m *model) expireLots() {
	for _, w := range m.wallets {
		for _, l := range w.lots {
			if l.expires <= m.now {
				w.breakage += l.remaining
				l.remaining = 0
			}
		}
	}
}
