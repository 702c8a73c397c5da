package billing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/period"
	"refill/models"
)

// rollPlatform adds completed days of the platform's zone up into
// usage_platform_days, agency by agency. As with rollUsage, the watermark moves
// in the same transaction by compare-and-set and the last rolled day is added up
// again with the next ones. Where the platform's zone has changed, an agency's
// days are cut anew; until then readers take its quarters.
func (s *Service) rollPlatform(ctx context.Context, now models.Time) error {
	zone, err := s.PlatformZone(ctx)
	if err != nil {
		return fmt.Errorf("roll the platform's usage: %w", err)
	}
	to := period.DayStart(now.Add(-rollLag), zone)
	var due []models.Agency
	if err := s.db.Read.WithContext(ctx).Where("platform_zone <> ? OR platform_rolled < ?", zone.String(), to).Order("id").Find(&due).Error; err != nil {
		return fmt.Errorf("roll the platform's usage: %w", err)
	}
	var errs []error
	for i := range due {
		for more := true; more && ctx.Err() == nil; {
			if more, err = s.rollPlatformDays(ctx, &due[i], zone, to); err != nil {
				errs = append(errs, fmt.Errorf("roll the platform's usage of agency %s: %w", due[i].ID, err))
			}
		}
	}
	return errors.Join(errs...)
}

// rollPlatformDays rolls up to rollBatch days of an agency and tells whether more
// are due.
func (s *Service) rollPlatformDays(ctx context.Context, a *models.Agency, zone *time.Location, to models.Time) (more bool, err error) {
	anew := a.PlatformZone != zone.String()
	from := a.PlatformRolled
	if anew {
		from = period.DayStart(a.CreatedAt, zone)
	}
	days := period.Days(from, to, zone)
	if len(days) > rollBatch {
		days, more = days[:rollBatch], true
	}
	to = from
	if len(days) > 0 {
		to = days[len(days)-1].End
		days = append([]period.Span{period.Day(from-1, zone)}, days...) // the last rolled one again
	}
	claimed := false
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		claim := tx.Model(&models.Agency{}).Where("id = ? AND platform_rolled = ? AND platform_zone = ?", a.ID, a.PlatformRolled, a.PlatformZone).
			Updates(map[string]any{"platform_rolled": to, "platform_zone": zone.String()})
		if claim.Error != nil || claim.RowsAffected == 0 { // another process rolled these days
			return claim.Error
		}
		claimed = true
		old := tx.Where("agency_id = ?", a.ID)
		if !anew {
			old = old.Where("day >= ?", period.Day(from-1, zone).Start)
		}
		if err := old.Delete(&models.UsagePlatformDay{}).Error; err != nil {
			return err
		}
		for _, d := range days {
			if err := rollPlatformDay(tx, a.ID, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !claimed {
		return false, err
	}
	a.PlatformRolled, a.PlatformZone = to, zone.String()
	return more, nil
}

// rollPlatformDay writes one day from its quarters.
func rollPlatformDay(tx *gorm.DB, agency models.AgencyID, d period.Span) error {
	columns := strings.Join(counterColumns(), ", ")
	return tx.Exec(`INSERT INTO usage_platform_days (agency_id, day, action, model, `+columns+`)
		SELECT agency_id, CAST(? AS bigint), action, model, `+sums()+`
		FROM usage_quarters WHERE agency_id = ? AND quarter >= ? AND quarter < ?
		GROUP BY agency_id, action, model`, d.Start, agency, d.Start, d.End).Error
}
