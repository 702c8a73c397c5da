package billing

import (
	"context"
	"time"

	"gorm.io/gorm"

	"refill/models"
)

// LetStockGo gives a sale's stock back, as when its checkout ended unpaid.
func (s *Service) LetStockGo(ctx context.Context, p models.Purchase) error {
	return s.db.InTx(ctx, func(tx *gorm.DB) error { return s.releaseStock(ctx, tx, &p, s.clock.Now()) })
}

// RunsOutWith is the run-out date at a forecast's pace of credits that never expire,
// with nothing to come.
func (f *Forecast) RunsOutWith(left models.Credits, now models.Time, zone *time.Location) models.Time {
	return forecast(forecastInput{
		now: now, zone: zone, left: left, daily: f.Daily, from: f.From, to: f.To, reset: func(models.Time) models.Time { return models.Never },
		lots: []*models.Lot{{Source: models.SourcePurchase, Granted: left, Remaining: left, ExpiresAt: models.Never}},
	}).RunsOutAt
}

// RefreshThresholds is one of RunDue's jobs by itself.
func (s *Service) RefreshThresholds(ctx context.Context) error {
	return s.refreshThresholds(ctx, s.clock.Now())
}

// LookAtWallets looks at the wallets that left their watch, and TopUpsDue tops up those
// that are due: two of RunDue's jobs, each by itself.
func (s *Service) LookAtWallets(ctx context.Context) error { return s.watchDue(ctx, s.clock.Now()) }

// TopUpsDue is said with LookAtWallets.
func (s *Service) TopUpsDue(ctx context.Context) error { return s.topUpsDue(ctx, s.clock.Now()) }
