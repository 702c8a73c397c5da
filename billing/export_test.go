package billing

import (
	"context"

	"gorm.io/gorm"

	"refill/models"
)

// LetStockGo gives a sale's stock back, as when its checkout ended unpaid.
func (s *Service) LetStockGo(ctx context.Context, p models.Purchase) error {
	return s.db.InTx(ctx, func(tx *gorm.DB) error { return s.releaseStock(ctx, tx, &p, s.clock.Now()) })
}
