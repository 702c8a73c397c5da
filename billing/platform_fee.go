package billing

import (
	"context"
	"fmt"
	"strconv"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// PlatformFeeSetting names the setting of the platform's share of what agencies
// sell, in hundredths of a percent.
const PlatformFeeSetting = "platform_fee_share"

// maxFeeShare bounds it: half of the price.
const maxFeeShare = 5_000

// FeeShare is the platform's share of a sale, in hundredths of a percent.
type FeeShare int64

// Of is the share of a price, in minor units, rounded to the nearest.
func (f FeeShare) Of(price int64) int64 { return (price*int64(f) + 5_000) / 10_000 }

// Percent is the share as people write it: "2.5".
func (f FeeShare) Percent() string {
	return models.Credits(int64(f) * int64(models.Credit) / 100).String()
}

func feeShare(tx *gorm.DB) (FeeShare, error) {
	text, err := setting(tx, PlatformFeeSetting)
	if err != nil || text == "" {
		return 0, err
	}
	share, err := strconv.ParseInt(text, 10, 64)
	if err != nil || share < 0 || share > maxFeeShare {
		return 0, fmt.Errorf("the setting %s is %q", PlatformFeeSetting, text)
	}
	return FeeShare(share), nil
}

// PlatformFee reads the platform's share of what agencies sell from now on.
func (s *Service) PlatformFee(ctx context.Context) (FeeShare, error) {
	return feeShare(s.db.Read.WithContext(ctx))
}

// SetPlatformFee changes it for sales that are opened from now on; what was sold
// and what renews keeps the share that was agreed. Errors: invalid_share.
func (s *Service) SetPlatformFee(ctx context.Context, share FeeShare, by Actor) error {
	now := s.clock.Now()
	if share < 0 || share > maxFeeShare {
		return problem.New(problem.Invalid, "invalid_share", "Enter a percentage from 0 to %s with two decimals at the most, such as 2.5.", FeeShare(maxFeeShare).Percent()).On("share")
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		was, err := feeShare(tx)
		if err != nil || was == share {
			return err
		}
		if err := tx.Save(&models.Setting{Name: PlatformFeeSetting, Value: strconv.FormatInt(int64(share), 10)}).Error; err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, by, "sales.platform_fee", PlatformFeeSetting, was.Percent()+"% → "+share.Percent()+"%", "", now)
	})
}
