package billing

import (
	"context"
	"time"

	"gorm.io/gorm"

	"refill/models"
)

// Outlook is how an account's use of its running cycle goes on.
type Outlook struct {
	Forecast  Forecast
	Pace      Pace
	Projected models.Credits // used by the end of the cycle at this pace; 0: unknown
}

// Outlook reads how fast an account uses its credits and what that comes to.
// Used is what it has used of the cycle so far.
func (s *Service) Outlook(ctx context.Context, a *Account, used models.Credits) (Outlook, error) {
	now := s.clock.Now()
	var out Outlook
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		c, err := s.cycleOf(tx, a, now)
		if err != nil {
			return err
		}
		view, err := s.ledger.ViewIn(ctx, tx, a.Agency.ID, a.Wallet, now)
		if err != nil {
			return err
		}
		if out.Forecast, err = s.forecastOf(tx, a, view, c, now); err != nil {
			return err
		}
		if c.renews {
			out.Pace = paceOf(c.allowance, view.Balance.Plan, c.Span, now)
		}
		if out.Forecast.PerDay > 0 && c.End > now && c.End != models.Never {
			day := int64(24 * time.Hour / time.Microsecond)
			ahead, err := models.MulDiv(int64(out.Forecast.PerDay), int64(c.End-now), day)
			if err != nil {
				return err
			}
			out.Projected = used + models.Credits(ahead)
		}
		return nil
	})
	return out, err
}
