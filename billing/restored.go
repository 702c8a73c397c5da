package billing

import (
	"context"

	"gorm.io/gorm"

	"refill/models"
)

// restoredNote stands on the Payments page until Stripe's lists have been compared.
const restoredNote = "Cut short: this database was restored from a backup."

// Restored makes a database that came from a backup fit to serve. Whatever happened
// since is unknown here: everybody is signed out and every mailed link ends, because
// some had been ended or used; and Stripe's lists are compared at the next tick,
// because payments had been made. Doing it again does no harm.
func (s *Service) Restored(ctx context.Context, by Actor, file string) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		for _, gone := range []*gorm.DB{
			tx.Where("id_hash IS NOT NULL").Delete(&models.Session{}),
			tx.Where("token_hash IS NOT NULL").Delete(&models.SignInLink{}),
			tx.Where("token_hash IS NOT NULL").Delete(&models.AccountLink{}),
		} {
			if gone.Error != nil {
				return gone.Error
			}
		}
		runs := tx.Model(&models.Reconciliation{})
		if err := runs.Where("finished_at = 0").Update("finished_at", gorm.Expr("started_at")).Error; err != nil {
			return err
		}
		last := tx.Model(&models.Reconciliation{}).Select("MAX(started_at)")
		if err := tx.Model(&models.Reconciliation{}).Where("started_at = (?)", last).Update("note", restoredNote).Error; err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, by, "database.restore", file, "", "", now)
	})
}
