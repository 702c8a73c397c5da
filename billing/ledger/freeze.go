package ledger

import (
	"context"

	"gorm.io/gorm"

	"refill/models"
)

// Frozen credits stay where they are and cannot be drawn. A lot may be frozen for
// more than one reason at once, and thaws with the last of them: a plan that is
// taken up again does not set free what a bank still disputes. What ruled when is
// kept, so that the audit can tell why a draw passed a lot by.

// Freeze freezes the open lots of a wallet that which picks, for a reason, and
// gives how many credits can be spent no more. Again changes nothing.
func (l *Ledger) Freeze(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, reason models.FreezeReason, which func(*models.Lot) bool) (models.Credits, error) {
	c, err := l.lock(ctx, tx, agency, wallet)
	if err != nil {
		return 0, err
	}
	rules, err := freezesOf(tx, agency, wallet)
	if err != nil {
		return 0, err
	}
	a := c.accounts[wallet]
	var stop []models.LotID
	var stopped models.Credits
	for _, lot := range a.lots {
		if !which(lot) || rules[lot.ID][reason] {
			continue
		}
		row := models.LotFreeze{AgencyID: agency, LotID: lot.ID, Reason: reason, AfterSeq: a.Seq, UntilSeq: models.FreezeRules, WalletID: wallet}
		if err := tx.Save(&row).Error; err != nil { // thawed and frozen again between two entries: one row
			return 0, err
		}
		if !lot.Frozen {
			lot.Frozen = true
			stop = append(stop, lot.ID)
			stopped += lot.Remaining
		}
	}
	if err := setFrozen(tx, agency, stop, true); err != nil {
		return 0, err
	}
	a.changed = len(stop) > 0 // whoever remembers the wallet must read it again
	return stopped, c.write(ctx)
}

// Thaw takes a reason back from the lots of a wallet that which picks and that
// were frozen for it, nil for all, and gives how many credits can be spent again.
// Excess is paid off with them first.
func (l *Ledger) Thaw(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, reason models.FreezeReason, which func(models.LotID) bool, at models.Time) (models.Credits, error) {
	c, err := l.lock(ctx, tx, agency, wallet)
	if err != nil {
		return 0, err
	}
	rules, err := freezesOf(tx, agency, wallet)
	if err != nil {
		return 0, err
	}
	var mine, free []models.LotID
	var freed models.Credits
	for id, reasons := range rules {
		if !reasons[reason] || which != nil && !which(id) {
			continue
		}
		mine = append(mine, id)
		if len(reasons) > 1 {
			continue
		}
		free = append(free, id)
		if lot := c.lots[id]; lot != nil {
			lot.Frozen = false
			freed += lot.Remaining
		}
	}
	if len(mine) == 0 {
		return 0, nil
	}
	a := c.accounts[wallet]
	if err := tx.Model(&models.LotFreeze{}).Where("agency_id = ? AND reason = ? AND until_seq = ? AND lot_id IN ?", agency, reason, models.FreezeRules, mine).
		Update("until_seq", a.Seq).Error; err != nil {
		return 0, err
	}
	if err := setFrozen(tx, agency, free, false); err != nil {
		return 0, err
	}
	a.changed = true // whoever remembers the wallet must read it again
	c.settleDue(a, at)
	return freed, c.write(ctx)
}

// freezesOf is why lots of a wallet are frozen now.
func freezesOf(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID) (map[models.LotID]map[models.FreezeReason]bool, error) {
	var rows []models.LotFreeze
	if err := tx.Where("agency_id = ? AND wallet_id = ? AND until_seq = ?", agency, wallet, models.FreezeRules).Find(&rows).Error; err != nil {
		return nil, err
	}
	out := map[models.LotID]map[models.FreezeReason]bool{}
	for _, r := range rows {
		if out[r.LotID] == nil {
			out[r.LotID] = map[models.FreezeReason]bool{}
		}
		out[r.LotID][r.Reason] = true
	}
	return out, nil
}

func setFrozen(tx *gorm.DB, agency models.AgencyID, lots []models.LotID, frozen bool) error {
	if len(lots) == 0 {
		return nil
	}
	return tx.Model(&models.StoredLot{}).Where("agency_id = ? AND id IN ?", agency, lots).Update("frozen", frozen).Error
}
