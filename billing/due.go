package billing

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"refill/billing/period"
	"refill/models"
)

// dueBatch bounds one round of each kind of due work.
const dueBatch = 500

// RunDue does everything that is due by the clock: books expiries, renews
// allowances, ends holds, checks open purchases, works the payment inbox, rolls
// usage up. The ticking job and the demo's clock call it alike; running it again
// or in two processes changes nothing. Each kind is tried even when another
// fails.
func (s *Service) RunDue(ctx context.Context, now models.Time) error {
	s.post.wake() // mails go out beside the clock's work: a slow mail server delays nothing
	return errors.Join(
		s.untilDone(ctx, "expire lots", func() (int, error) { return s.ledger.ExpireLots(ctx, now, dueBatch) }),
		s.untilDone(ctx, "renew", func() (int, error) { return s.renewDue(ctx, now) }),
		s.untilDone(ctx, "expire holds", func() (int, error) { return s.ledger.ExpireHolds(ctx, now, dueBatch) }),
		s.purchasesDue(ctx, now),
		s.rollUsage(ctx, now),
		s.rollPlatform(ctx, now),
		s.refreshThresholds(ctx, now),
		s.sweepSignInsDue(ctx),
	)
}

// untilDone repeats a round until it finds less than a full batch.
func (s *Service) untilDone(ctx context.Context, what string, round func() (int, error)) error {
	for {
		n, err := round()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if n < dueBatch || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// renewDue starts the running period of up to dueBatch subscriptions whose
// period has ended. Periods missed altogether are skipped: their allowance would
// have expired unused, so exactly one is alive afterwards.
func (s *Service) renewDue(ctx context.Context, now models.Time) (int, error) {
	var due []models.Subscription
	if err := s.db.Read.WithContext(ctx).Where("ended_at = 0 AND period_end <= ?", now).
		Order("period_end").Limit(dueBatch).Find(&due).Error; err != nil {
		return 0, err
	}
	for i := range due {
		if err := s.renew(ctx, &due[i], now); err != nil {
			return i, fmt.Errorf("subscription %s: %w", due[i].ID, err)
		}
	}
	return len(due), nil
}

func (s *Service) renew(ctx context.Context, sub *models.Subscription, now models.Time) error {
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		_, start, end := period.Containing(sub.AnchorAt, Zone(sub.TimeZone), rhythm(sub.Every), now)
		// The move from the old period claims the renewal: whoever comes second
		// changes no row.
		r := tx.Model(&models.Subscription{}).
			Where("agency_id = ? AND id = ? AND period_end = ? AND ended_at = 0", sub.AgencyID, sub.ID, sub.PeriodEnd).
			Updates(map[string]any{"period_start": start, "period_end": end})
		if r.Error != nil || r.RowsAffected == 0 {
			return r.Error
		}
		was := period.Span{Start: sub.PeriodStart, End: sub.PeriodEnd}
		if err := tx.Where("agency_id = ? AND id = ?", sub.AgencyID, sub.ID).Take(sub).Error; err != nil { // with where it moves to, as it is now
			return err
		}
		var agency models.Agency
		if err := tx.Where("id = ?", sub.AgencyID).Take(&agency).Error; err != nil {
			return err
		}
		if err := s.ledger.StartCycle(ctx, tx, agency.ID, agency.WalletID, start); err != nil {
			return err
		}
		if !sub.NextPlanID.IsZero() {
			return s.renewOnto(ctx, tx, &agency, sub, was)
		}
		return s.grantAllowance(ctx, tx, &agency, sub, start)
	})
}
