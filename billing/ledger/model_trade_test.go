package ledger_test

import (
	"slices"

	"refill/billing/ledger"
	"refill/models"
)

// The part of the model that money moves: plans, packs, packages, and what becomes
// of them when a payment goes back.

// modelPurchase is a pack of the agency's or a package of a client's.
type modelPurchase struct {
	buyer, seller *modelWallet // seller nil: a pack
	credits       models.Credits
	lots          []*modelLot    // in the order they are drawn in
	kept          []modelPart    // of the agency's stock, while its checkout is open
	spent         models.Credits // of what was revoked: had been used
}

// beginPeriod gives an allowance, if the period has had none, and gives its lot.
func (m *model) beginPeriod(start, end models.Time, credits models.Credits) *modelLot {
	w := m.agency
	m.cycle = max(m.cycle, start)
	for _, l := range w.lots {
		if l.source == models.SourcePlan && l.parent == nil && l.period == start {
			return nil
		}
	}
	for _, l := range w.ordered() {
		if l.open() && l.source == models.SourcePlan && l.parent == nil && l.expires <= start {
			w.breakage += l.remaining
			l.remaining = 0
		}
	}
	if credits == 0 {
		return nil
	}
	l := &modelLot{owner: w, source: models.SourcePlan, effective: start, expires: end, born: m.now, period: start, granted: credits, remaining: credits}
	w.lots = append(w.lots, l)
	w.given += credits
	m.settle(w)
	return l
}

// endPlan ends the allowances of a plan and gives what was left of them.
func (m *model) endPlan() (ended models.Credits) {
	for _, l := range m.agency.lots {
		if l.source == models.SourcePlan && l.parent == nil {
			ended += l.remaining
			m.agency.breakage += l.remaining
			l.remaining = 0
		}
	}
	return ended
}

// freeze freezes what the agency bought, as when its plan ends.
func (m *model) freeze() (stopped models.Credits) {
	for _, l := range m.agency.lots {
		if l.open() && l.source == models.SourcePurchase && !l.frozen {
			l.frozen = true
			stopped += l.remaining
		}
	}
	return stopped
}

func (m *model) thaw() (freed models.Credits) {
	for _, l := range m.agency.lots {
		if l.frozen {
			l.frozen = false
			freed += l.remaining
		}
	}
	m.settle(m.agency)
	return freed
}

func (m *model) holdStock(p *modelPurchase) string {
	if m.agency.suspended {
		return suspended
	}
	parts, found := m.find(m.agency, p.credits, sellable)
	if found < p.credits || m.agency.excess > 0 {
		return outOfStock
	}
	for _, s := range parts {
		s.lot.remaining -= s.credits
		s.lot.held += s.credits
	}
	p.kept = parts
	return ""
}

func (m *model) releaseStock(p *modelPurchase) {
	for _, s := range p.kept {
		s.lot.held -= s.credits
		m.back(s.lot, s.credits)
	}
	p.kept = nil
	m.settle(m.agency)
}

// sell moves what was kept to the client, or what is for sale now; ends is when a
// month's credits expire.
func (m *model) sell(p *modelPurchase, ends models.Time) (cost int64, refusal string) {
	parts, kept := p.kept, p.kept != nil
	if !kept {
		var found models.Credits
		if parts, found = m.find(m.agency, p.credits, sellable); found < p.credits || m.agency.excess > 0 {
			return 0, outOfStock
		}
	}
	p.kept = nil
	for _, s := range parts {
		l := m.carve(s, p.buyer, modelLot{source: models.SourcePurchase, expires: ends, monthly: ends != 0}, kept)
		p.lots = append(p.lots, l)
		cost += l.cost
	}
	m.adopt(p.lots...)
	slices.SortFunc(p.lots, drawnBefore)
	m.settle(p.buyer)
	return cost, ""
}

// revoke brings a purchase to what its payment's standing asks for. It follows from
// how the lots stand, not from what was asked before.
func (m *model) revoke(p *modelPurchase, revoked, frozen models.Credits) (is ledger.Revocation, waiting models.Credits) {
	for {
		was := is
		if is, waiting = m.adjust(p, revoked, frozen); p.seller != nil || is == was {
			return is, waiting // else a debt that is owed no more may have filled the pack's own lots
		}
	}
}

func (m *model) adjust(p *modelPurchase, revoked, frozen models.Credits) (is ledger.Revocation, waiting models.Credits) {
	var left, gone, was, stopped models.Credits
	came := map[*modelLot]models.Credits{}
	free := func(l *modelLot) models.Credits {
		if m.now < l.expires {
			return l.remaining
		}
		return came[l] // it was kept from its owner until now: it is not used
	}
	for _, l := range p.lots {
		was += l.taken
		stopped += l.disputed
		left += l.taken + l.disputed + free(l)
		if p.seller != nil && l.expires <= m.now {
			gone += l.taken // a month's credits do not come back after it
		}
	}
	is.Taken = max(min(revoked, left), gone)
	is.Spent = max(0, revoked-is.Taken)
	is.Frozen = min(frozen, left-is.Taken)

	for _, l := range p.lots {
		n := max(0, min(stopped-is.Frozen, l.disputed))
		l.disputed -= n
		l.remaining += n
		p.buyer.disputed -= n
		stopped -= n
		came[l] += n
	}
	back := max(0, was-is.Taken)
	for _, l := range slices.Backward(p.lots) {
		n := min(back, l.taken)
		switch {
		case p.seller == nil:
			p.buyer.given += n
		case l.expires <= m.now:
			continue
		default: // the seller gives what it still has
			if n = min(n, l.parent.remaining); l.parent.expires <= m.now {
				n = 0
			}
			l.parent.remaining -= n
			l.parent.owner.sent += n
			l.owner.sent -= n
		}
		l.taken -= n
		l.remaining += n
		came[l] += n
		back -= n
	}
	if p.seller != nil {
		waiting = back
	}
	if n := p.spent - is.Spent; n > 0 && p.seller == nil {
		p.buyer.given += n
		m.unowe(p.buyer, n)
	}
	take := max(0, is.Taken-was)
	for _, l := range p.lots {
		n := min(take, free(l))
		take -= n
		l.taken += n
		came[l] -= n
		if p.seller != nil {
			l.returns(n)
			continue
		}
		l.remaining -= n
		p.buyer.given -= n
	}
	if n := is.Spent - p.spent; n > 0 && p.seller == nil {
		p.buyer.given -= n
		p.buyer.excess += n
	}
	freeze := max(0, is.Frozen-stopped)
	for _, l := range p.lots {
		n := min(freeze, free(l))
		freeze -= n
		l.remaining -= n
		l.disputed += n
		p.buyer.disputed += n
		came[l] -= n
	}
	is.Frozen -= freeze // nothing was there: it waits with what the seller has to give back
	for _, l := range p.lots {
		if l.expires <= m.now {
			l.remaining -= came[l]
			p.buyer.breakage += came[l]
		}
	}
	p.spent = is.Spent
	m.settle(p.buyer)
	if p.seller != nil {
		m.settle(p.seller)
	}
	is.Taken += waiting
	return is, waiting
}
