package ledger

import (
	"slices"

	"refill/models"
)

// bookedOf is what the acts of Revoke say of one purchase.
type bookedOf struct{ taken, spent, frozen models.Credits }

// revocations compares what is revoked and frozen of each purchase with the
// standing of its payment as it was last seen, and with the entries (I-16).
func (a *auditor) revocations() error {
	booked := map[string]*bookedOf{}
	err := a.each(`SELECT a.reference, e.kind, e.lot_id, l.purchase_id, CAST(SUM(e.amount) AS bigint) FROM acts a
		JOIN entries e ON e.agency_id = a.agency_id AND e.act_id = a.id AND e.wallet_id = a.wallet_id
		LEFT JOIN lot_rows l ON l.agency_id = e.agency_id AND l.id = e.lot_id
		WHERE a.agency_id = @agency AND a.kind IN ('`+actRefund+`', '`+actDispute+`') GROUP BY a.reference, e.kind, e.lot_id, l.purchase_id`, func(r row) error {
		var of string
		var kind Kind
		var lot models.LotID
		var bought models.PurchaseID
		var sum models.Credits
		if err := r.Scan(&of, &kind, &lot, &bought, &sum); err != nil {
			return err
		}
		takes := slices.Contains([]Kind{Clawback, ReturnOut, Reinstate, ResellIn, Freeze, Unfreeze}, kind) // what else is due is booked on the way
		if takes && of != lot.String() && of != bought.String() {
			a.breach("I-17", "lot %s: %s moved (%s) for %s, which is not what it came from", lot, sum, kind, of)
		}
		b := booked[of]
		if b == nil {
			b = &bookedOf{}
			booked[of] = b
		}
		switch kind { //nolint:exhaustive // others only pay excess off
		case Clawback, ReturnOut:
			b.taken += sum
		case Reinstate, ResellIn:
			b.taken -= sum
		case ClawbackExcess:
			b.spent += sum
		case ReinstateExcess:
			b.spent -= sum
		case Freeze:
			b.frozen += sum
		case Unfreeze:
			b.frozen -= sum
		}
		return nil
	})
	if err != nil {
		return err
	}
	var rows []models.Purchase
	if err := a.tx.Where("agency_id = ? AND (paid > 0 OR revoked <> 0 OR frozen <> 0) AND credited_at > 0", a.agency).Find(&rows).Error; err != nil {
		return err
	}
	check := a.checks["I-16"]
	check.Checked += int64(len(rows))
	for i := range rows {
		p := &rows[i]
		a.revocation(p, booked[p.ID.String()])
		delete(booked, p.ID.String())
	}
	if err := a.rewards(booked); err != nil {
		return err
	}
	for of, b := range booked {
		if *b != (bookedOf{}) {
			a.breach("I-16", "%s: %s were taken, %s owed and %s frozen, for a purchase that was never credited", of, b.taken, b.spent, b.frozen)
		}
	}
	return nil
}

// rewards compares what is revoked and frozen of rewards for referrals with the
// entries.
func (a *auditor) rewards(booked map[string]*bookedOf) error {
	var rows []models.Referral
	if err := a.tx.Where("agency_id = ? AND state = ?", a.agency, models.ReferralEarned).Find(&rows).Error; err != nil {
		return err
	}
	a.checks["I-16"].Checked += int64(len(rows))
	for i := range rows {
		r := &rows[i]
		is := bookedOf{taken: r.Revoked - r.RevokedSpent, spent: r.RevokedSpent, frozen: r.Frozen}
		b := booked[r.LotID.String()]
		if b == nil {
			b = &bookedOf{}
		}
		if *b != is {
			a.breach("I-16", "reward %s: says %s revoked, %s of them used, and %s frozen; the entries took %s, owe %s and froze %s",
				r.LotID, r.Revoked, r.RevokedSpent, r.Frozen, b.taken, b.spent, b.frozen)
		}
		delete(booked, r.LotID.String())
	}
	return a.others(booked)
}

// others compares what is revoked and frozen of bonus credits that came with
// packs, and of the allowances of plans, with the standing of their payments and
// with the entries.
func (a *auditor) others(booked map[string]*bookedOf) error {
	var bonus []models.Purchase
	if err := a.tx.Where("agency_id = ? AND bonus_lot_id IS NOT NULL", a.agency).Find(&bonus).Error; err != nil {
		return err
	}
	for i := range bonus {
		p := &bonus[i]
		revoked, frozen := Standing{Paid: p.Paid, Refunded: p.Refunded, Disputed: p.DisputeHeld, Lost: p.DisputeLost}.Target(p.Bonus)
		if p.BonusRevoked != revoked || p.BonusFrozen > frozen {
			a.breach("I-16", "the bonus of %s: %s are revoked and %s frozen, its payment asks for %s and %s", p.ID, p.BonusRevoked, p.BonusFrozen, revoked, frozen)
		}
		a.agree(booked, p.BonusLotID, bookedOf{taken: p.BonusRevoked - p.BonusSpent, spent: p.BonusSpent, frozen: p.BonusFrozen})
	}
	var plans []models.PlanClaim
	if err := a.tx.Where("agency_id = ?", a.agency).Find(&plans).Error; err != nil {
		return err
	}
	for i := range plans {
		a.agree(booked, plans[i].LotID, bookedOf{taken: plans[i].Revoked, frozen: plans[i].Frozen})
	}
	a.checks["I-16"].Checked += int64(len(bonus) + len(plans))
	return nil
}

// agree compares what a row says was taken of a lot with the entries.
func (a *auditor) agree(booked map[string]*bookedOf, lot models.LotID, is bookedOf) {
	b := booked[lot.String()]
	if b == nil {
		b = &bookedOf{}
	}
	if *b != is {
		a.breach("I-16", "lot %s: its row says %s taken, %s owed and %s frozen; the entries took %s, owe %s and froze %s",
			lot, is.taken, is.spent, is.frozen, b.taken, b.spent, b.frozen)
	}
	delete(booked, lot.String())
}

func (a *auditor) revocation(p *models.Purchase, b *bookedOf) {
	if b == nil {
		b = &bookedOf{}
	}
	revoked, frozen := Standing{Paid: p.Paid, Refunded: p.Refunded, Disputed: p.DisputeHeld, Lost: p.DisputeLost}.Target(p.Credits)
	// A seller that has spent returned credits owes them to its client.
	if p.Revoked != revoked && (!p.IsSale() || p.Revoked < revoked) {
		a.breach("I-16", "%s: %s are revoked, its payment asks for %s", p.ID, p.Revoked, revoked)
	}
	if p.Frozen > frozen {
		a.breach("I-16", "%s: %s are frozen, its payment asks for %s", p.ID, p.Frozen, frozen)
	}
	spent := b.spent
	if p.IsSale() { // a loss, of which the ledger has no entry
		spent = p.RevokedSpent
	}
	if b.taken+spent != p.Revoked || spent != p.RevokedSpent || b.frozen != p.Frozen {
		a.breach("I-16", "%s: says %s revoked, %s of them used, and %s frozen; the entries took %s, owe %s and froze %s",
			p.ID, p.Revoked, p.RevokedSpent, p.Frozen, b.taken, b.spent, b.frozen)
	}
}
