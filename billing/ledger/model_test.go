package ledger_test

import (
	"bytes"
	"cmp"
	"slices"

	"refill/models"
)

// The ledger once more in plain Go: no SQL, no batches, no locks, no entries.
// It settles excess the moment credits become spendable, so the property test
// compares balances after it has made the ledger do the same.

type modelLot struct {
	id        models.LotID // of granted lots; carved ones have none
	owner     *modelWallet
	source    models.Source
	effective models.Time
	expires   models.Time
	unit      int64 // orders lots of one priority and expiry
	born      models.Time
	remaining models.Credits
	held      models.Credits
	parent    *modelLot
}

func (l *modelLot) spendable(now models.Time) bool {
	return l.remaining > 0 && l.effective <= now && now < l.expires
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

type model struct {
	now     models.Time
	cycle   models.Time
	agency  *modelWallet
	wallets []*modelWallet
}

const modelDay = models.Time(24 * 3600 * 1_000_000)

func (m *model) dayStart() models.Time { return m.now - m.now%modelDay }

func (w *modelWallet) ordered() []*modelLot {
	slices.SortFunc(w.lots, func(a, b *modelLot) int {
		return cmp.Or(cmp.Compare(a.source.Priority(), b.source.Priority()), cmp.Compare(a.expires, b.expires),
			cmp.Compare(a.unit, b.unit), cmp.Compare(a.born, b.born), bytes.Compare(a.id[:], b.id[:]))
	})
	return w.lots
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

// plan finds who would pay; ok is false when nobody can.
func (m *model) plan(w *modelWallet, amount, overExcess, overCap models.Credits) (parts []modelPart, ok bool) {
	left := amount
	from := w
	if !w.pooled {
		own, found := m.find(w, left, nil)
		parts = own
		left -= found
	}
	if w != m.agency && (w.pooled || w.cap > 0) {
		room := models.MaxBalance
		if w.cap > 0 {
			drawn := w.drawn
			if w.since < m.since(w) {
				drawn = 0
			}
			room = max(0, w.cap-drawn) + overCap
		}
		pool, found := m.find(m.agency, min(left, room), nil)
		parts = append(parts, pool...)
		left -= found
		room -= found
		if w.pooled {
			from = m.agency
			if left > room {
				return nil, false
			}
		}
	}
	if left == 0 {
		return parts, true
	}
	room := max(0, min(from.limit-from.excess-from.promised, m.agency.ceiling-m.owed())) + overExcess
	if left > room {
		return nil, false
	}
	return append(parts, modelPart{nil, from, left}), true
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

func (m *model) charge(w *modelWallet, amount models.Credits) *modelCharge {
	parts, ok := m.plan(w, amount, 0, 0)
	if !ok {
		return nil
	}
	m.pay(w, parts, false)
	return &modelCharge{owner: w, parts: parts, born: m.now}
}

func (m *model) hold(w *modelWallet, amount models.Credits, ttl models.Time) *modelHold {
	parts, ok := m.plan(w, amount, 0, 0)
	if !ok {
		return nil
	}
	m.pay(w, parts, true)
	return &modelHold{owner: w, parts: parts, credits: amount, born: m.now, expires: m.now + ttl, state: models.HoldOpen}
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
		if m.now < p.lot.expires {
			p.lot.remaining += p.credits
		}
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

// capture gives nil when it is refused.
func (m *model) capture(h *modelHold, amount models.Credits) *modelCharge {
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
		parts, ok := m.plan(h.owner, amount, min(amount, h.credits), promisedPool)
		if !ok {
			return nil
		}
		m.pay(h.owner, parts, false)
		h.state = models.HoldCaptured
		return &modelCharge{owner: h.owner, parts: parts, born: m.now}
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
	more, ok := m.plan(h.owner, left, promised, promisedPool)
	if !ok {
		return nil
	}
	m.letGo(h, back, models.HoldCaptured)
	for _, p := range taken {
		p.lot.held -= p.credits
	}
	m.pay(h.owner, more, false)
	return &modelCharge{owner: h.owner, parts: append(taken, more...), born: m.now}
}

func (m *model) reverse(c *modelCharge) {
	c.reversed = true
	var pool models.Credits
	back := func(l *modelLot, n models.Credits) {
		if m.now < l.expires {
			l.remaining += n
		}
	}
	for _, p := range c.parts {
		if p.owner != c.owner {
			pool += p.credits
		}
		if p.lot != nil {
			continue
		}
		w, missing := p.owner, max(0, p.credits-p.owner.excess)
		w.excess -= p.credits - missing
		for missing > 0 {
			top := &w.settled[len(w.settled)-1]
			n := min(missing, top.credits)
			back(top.lot, n)
			top.credits -= n
			missing -= n
			if top.credits == 0 {
				w.settled = w.settled[:len(w.settled)-1]
			}
		}
	}
	for _, p := range c.parts {
		if p.lot != nil {
			back(p.lot, p.credits)
		}
	}
	m.undraw(c.owner, pool, c.born)
	for _, w := range m.wallets {
		m.settle(w)
	}
}

// move assigns or sells.
func (m *model) move(to *modelWallet, amount models.Credits, sold bool) bool {
	source, only := models.SourceAssigned, func(*modelLot) bool { return true }
	if sold {
		source, only = models.SourcePurchase, func(l *modelLot) bool { return l.source == models.SourcePurchase && l.expires == models.Never }
	}
	parts, found := m.find(m.agency, amount, only)
	if found < amount || m.agency.excess > 0 {
		return false
	}
	for _, p := range parts {
		p.lot.remaining -= p.credits
		to.lots = append(to.lots, &modelLot{
			owner: to, source: source, effective: m.now, expires: p.lot.expires, unit: p.lot.unit, born: m.now,
			remaining: p.credits, parent: p.lot,
		})
	}
	m.settle(to)
	return true
}

func (m *model) takeBack(from *modelWallet, amount models.Credits) bool {
	var children []*modelLot
	var unspent models.Credits
	for _, l := range slices.Backward(from.ordered()) {
		if l.source == models.SourceAssigned && l.parent != nil && l.spendable(m.now) {
			children = append(children, l)
			unspent += l.remaining
		}
	}
	if unspent < amount {
		return false
	}
	for _, l := range children {
		n := min(amount, l.remaining)
		l.remaining -= n
		l.parent.remaining += n
		amount -= n
	}
	m.settle(m.agency)
	return true
}

func (m *model) withdraw(w *modelWallet, amount models.Credits) bool {
	parts, found := m.find(w, amount, nil)
	if found < amount {
		return false
	}
	for _, p := range parts {
		p.lot.remaining -= p.credits
	}
	return true
}

func (m *model) expireLots() {
	for _, w := range m.wallets {
		for _, l := range w.lots {
			if l.expires <= m.now {
				l.remaining = 0
			}
		}
	}
}
