package billing

import (
	"context"
	"maps"
	"slices"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/models"
)

// SoldUnused is what an agency has sold and its clients have not used yet: what it
// still owes them. The credits left its own balance when they were sold, so only
// what it sold beyond zero is not covered.
type SoldUnused struct {
	Credits models.Credits
	Clients int64
	Value   models.Money   // the part of the prices paid that stands for them, rounded down for each sale
	Waiting models.Credits // of them, paid for and not there: sold beyond the stock, or to be given again
	Reserve models.Credits // of the agency's stock, what pays its excess and then gives those
	Excess  models.Credits // the agency's own excess usage
}

// Covered is how much of it is there: in the clients' wallets, or in the agency's
// stock for those who wait. The agency's excess comes off first.
func (u SoldUnused) Covered() models.Credits {
	return max(0, u.Credits-max(0, u.Waiting+u.Excess-u.Reserve))
}

// stockOf is what of an agency's credits may be sold on: purchased ones that never
// expire.
func stockOf(view *ledger.View, now models.Time) models.Credits {
	var out models.Credits
	for _, l := range view.Lots {
		if l.Source == models.SourcePurchase && l.ExpiresAt == models.Never && !l.Frozen && l.EffectiveAt <= now {
			out += l.Remaining
		}
	}
	return out
}

// SoldUnused adds up the lots that clients bought of an agency and still have, and
// what it owes them besides: sales that wait for stock, and credits of a payment
// that stands after all, which the agency has used meanwhile.
func (s *Service) SoldUnused(ctx context.Context, agency *models.Agency) (SoldUnused, error) {
	out := SoldUnused{Value: models.Money{Currency: agency.Currency}}
	now := s.clock.Now()
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		sold, err := soldUnused(tx, agency.ID, now)
		if err != nil {
			return err
		}
		clients := map[models.WalletID]bool{}
		for i := range sold {
			p, there := &sold[i].Purchase, sold[i].there
			owed := owedOf(p, now)
			value, err := keptFor(p, there+owed)
			if err != nil {
				return err
			}
			out.Credits += there + owed
			out.Waiting += owed
			out.Value.Amount += value
			if there+owed > 0 {
				clients[p.WalletID] = true
			}
		}
		out.Clients = int64(len(clients))
		var w models.Wallet
		if err := tx.Where("agency_id = ? AND id = ?", agency.ID, agency.WalletID).Take(&w).Error; err != nil {
			return missing(err, "wallet")
		}
		out.Excess = w.Excess
		if out.Waiting+out.Excess == 0 {
			return nil
		}
		view, err := s.ledger.ViewIn(ctx, tx, agency.ID, agency.WalletID, now)
		if err != nil {
			return err
		}
		out.Reserve = min(out.Waiting+out.Excess, stockOf(&view, now))
		return nil
	})
	return out, err
}

// soldSale is a sale with what of its credits is in its client's wallet.
type soldSale struct {
	models.Purchase

	there models.Credits
}

// soldUnused reads the sales of which something is unused or owed. Credits that
// were sold outside of Refill have a sale without a price: nobody knows for how
// much.
func soldUnused(tx *gorm.DB, agency models.AgencyID, now models.Time) ([]soldSale, error) {
	var lots []models.Lot
	if err := tx.Where("agency_id = ? AND open AND source = ? AND parent_lot_id IS NOT NULL AND expires_at > ?", agency, models.SourcePurchase, now).
		Find(&lots).Error; err != nil {
		return nil, err
	}
	var out []soldSale
	there := map[models.PurchaseID]models.Credits{}
	for i := range lots {
		l := &lots[i]
		if l.PurchaseID.IsZero() {
			out = append(out, soldSale{models.Purchase{WalletID: l.WalletID, CreditedAt: l.CreatedAt}, l.Remaining + l.Held})
			continue
		}
		there[l.PurchaseID] += l.Remaining + l.Held
	}
	read := func(where *gorm.DB) error {
		var rows []models.Purchase
		err := where.Find(&rows).Error
		for i := range rows {
			out = append(out, soldSale{rows[i], there[rows[i].ID]})
			delete(there, rows[i].ID)
		}
		return err
	}
	if err := read(tx.Where("agency_id = ? AND package_id IS NOT NULL AND status = ? AND paid_at > 0", agency, models.PurchaseProcessing)); err != nil {
		return nil, err
	}
	if err := read(tx.Where("agency_id = ? AND package_id IS NOT NULL AND credited_at > 0 AND revoked > 0 AND refunded + dispute_lost < paid", agency)); err != nil {
		return nil, err
	}
	for ids := range slices.Chunk(slices.Collect(maps.Keys(there)), chunk) {
		if err := read(tx.Where("agency_id = ? AND id IN ?", agency, ids)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// keptFor is the part of the money kept of a sale that stands for so many of the
// credits that were not taken back with the rest of it, in minor units.
func keptFor(p *models.Purchase, credits models.Credits) (int64, error) {
	revoked, _ := standingOfPayment(p).Target(p.Credits)
	if revoked >= p.Credits {
		return 0, nil
	}
	return models.MulDiv(p.Price-p.Gone(), int64(credits), int64(p.Credits-revoked))
}

// owedOf is what the buyer of a paid sale is to get once its seller has it: all
// that the payment still stands for, or what was taken back of it and is the
// buyer's again. Of a month that is over nobody owes anything.
func owedOf(p *models.Purchase, now models.Time) models.Credits {
	revoked, frozen := standingOfPayment(p).Target(p.Credits)
	switch {
	case p.CreditedAt == 0:
		return p.Credits - revoked - frozen
	case p.TermEnd != 0 && p.TermEnd <= now:
		return 0
	}
	return max(0, p.Revoked+p.Frozen-revoked-frozen)
}
