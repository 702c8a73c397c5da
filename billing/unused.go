package billing

import (
	"context"

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
	Waiting models.Credits // of them, paid for and not given yet: they were sold beyond the stock
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

// SoldUnused adds up the lots that clients bought of an agency and still have.
func (s *Service) SoldUnused(ctx context.Context, agency *models.Agency) (SoldUnused, error) {
	out := SoldUnused{Value: models.Money{Currency: agency.Currency}}
	now := s.clock.Now()
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var rows []struct {
			WalletID models.WalletID
			Unused   models.Credits
			Price    int64 // kept of the sale; 0 where there is none
			Credits  models.Credits
		}
		if err := tx.Table("lots l").Select("l.wallet_id, l.remaining + l.held AS unused, COALESCE(p.price - "+goneSQL+", 0) AS price, COALESCE(p.credits, l.granted) AS credits").
			Joins("LEFT JOIN purchases p ON p.agency_id = l.agency_id AND p.id = l.purchase_id").
			Where("l.agency_id = ? AND l.open AND l.source = ? AND l.parent_lot_id IS NOT NULL AND l.expires_at > ?", agency.ID, models.SourcePurchase, now).
			Scan(&rows).Error; err != nil {
			return err
		}
		clients := map[models.WalletID]bool{}
		for _, r := range rows {
			out.Credits += r.Unused
			clients[r.WalletID] = true
			value, err := models.MulDiv(r.Price, int64(r.Unused), int64(r.Credits))
			if err != nil {
				return err
			}
			out.Value.Amount += value
		}
		var waiting []models.Purchase
		if err := tx.Where("agency_id = ? AND package_id IS NOT NULL AND status = ? AND paid_at > 0", agency.ID, models.PurchaseProcessing).Find(&waiting).Error; err != nil {
			return err
		}
		for i := range waiting {
			out.Credits += waiting[i].Credits
			out.Waiting += waiting[i].Credits
			out.Value.Amount += waiting[i].Price - waiting[i].Gone()
			clients[waiting[i].WalletID] = true
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
