package billing

import (
	"errors"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// sellsThrough finds the Stripe account an agency sells through. Errors:
// not_connected.
func (s *Service) sellsThrough(tx *gorm.DB, agency models.AgencyID) (models.StripeAccount, error) {
	var out models.StripeAccount
	err := tx.Where("agency_id = ?", agency).Take(&out).Error
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return out, err
	}
	if !out.Sells() {
		return out, problem.New(problem.Conflict, "not_connected", "Payments are not set up yet. You have not been charged.")
	}
	return out, nil
}
