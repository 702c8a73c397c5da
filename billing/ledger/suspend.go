package ledger

import (
	"context"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/models"
)

// SuspendAll suspends every active wallet of an agency and gives their number.
// It waits for the batches that hold them, and rules every charge decided after
// the caller's commit. What is held stays held: a reply that holds credits
// finishes.
func (l *Ledger) SuspendAll(ctx context.Context, tx *gorm.DB, agency models.AgencyID) (int, error) {
	return l.restate(ctx, tx, agency, models.WalletActive, models.WalletSuspended)
}

// ResumeAll makes every suspended wallet of an agency active again and gives
// their number.
func (l *Ledger) ResumeAll(ctx context.Context, tx *gorm.DB, agency models.AgencyID) (int, error) {
	return l.restate(ctx, tx, agency, models.WalletSuspended, models.WalletActive)
}

// restate locks the wallets in id order, as batches do, and then writes them.
func (l *Ledger) restate(ctx context.Context, tx *gorm.DB, agency models.AgencyID, from, to models.WalletStatus) (int, error) {
	var ids []models.WalletID
	if err := tx.WithContext(ctx).Model(&models.Wallet{}).Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).
		Where("agency_id = ? AND status = ?", agency, from).Order("id").Pluck("id", &ids).Error; err != nil {
		return 0, err
	}
	if err := noteStop(tx.WithContext(ctx), agency, to, ids...); err != nil {
		return 0, err
	}
	r := tx.WithContext(ctx).Model(&models.Wallet{}).Where("agency_id = ? AND status = ?", agency, from).
		Updates(map[string]any{"status": to, "version": gorm.Expr("version + 1")})
	for _, id := range ids {
		l.hints.Delete(id)
		l.known.forget(walletKey{agency, id})
	}
	if r.Error != nil {
		return 0, r.Error
	}
	return int(r.RowsAffected), l.Stir(ctx, tx, agency, 0, ids...)
}

// noteStop keeps up to which entry locked wallets were in service, or forgets it of
// those that are again; in chunks, for a statement takes so many values only.
func noteStop(tx *gorm.DB, agency models.AgencyID, to models.WalletStatus, wallets ...models.WalletID) error {
	for some := range slices.Chunk(wallets, 1000) {
		stops := tx.Where("agency_id = ? AND wallet_id IN ?", agency, some)
		if err := stops.Delete(&models.WalletStop{}).Error; err != nil {
			return err
		}
		if to == models.WalletActive {
			continue
		}
		if err := tx.Exec("INSERT INTO wallet_stops (agency_id, wallet_id, seq) SELECT agency_id, id, seq FROM wallets WHERE agency_id = ? AND id IN ?", agency, some).Error; err != nil {
			return err
		}
	}
	return nil
}
