package billing

import (
	"context"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// Ids of charges and holds carry no agency and no key of theirs is without one.
// For an agency's caller there is nothing to find; for the platform's, the
// keys are probed once per agency, in one query: OFFSET keeps PostgreSQL from
// joining instead, which reads a young table from end to end.

// AgencyOfCharge finds whose a charge is. Errors: not_found.
func (s *Service) AgencyOfCharge(ctx context.Context, scope Scope, id models.ChargeID) (models.AgencyID, error) {
	return s.probe(ctx, scope, "charge",
		"SELECT a.id FROM agencies a WHERE EXISTS (SELECT 1 FROM charges c WHERE c.agency_id = a.id AND c.id = ? LIMIT 1 OFFSET 0) LIMIT 2", id)
}

// AgencyOfHold finds whose a hold is. Errors: not_found.
func (s *Service) AgencyOfHold(ctx context.Context, scope Scope, id models.HoldID) (models.AgencyID, error) {
	if held, ok := s.holds.get(id); ok && scope.Platform() {
		return held.agency, nil
	}
	return s.probe(ctx, scope, "hold",
		"SELECT a.id FROM agencies a WHERE EXISTS (SELECT 1 FROM holds h WHERE h.agency_id = a.id AND h.id = ? LIMIT 1 OFFSET 0) LIMIT 2", id)
}

// PurchaseKeyUsed tells whether an idempotency key has made a purchase.
func (s *Service) PurchaseKeyUsed(ctx context.Context, agency models.AgencyID, key string) (bool, error) {
	var n int64
	err := s.db.Write.WithContext(ctx).Model(&models.Purchase{}).Where("agency_id = ? AND idempotency_key = ?", agency, key).Count(&n).Error
	return n > 0, err
}

// FindChargeByKey reads the charge an idempotency key made. Keys are unique per
// agency, so a platform's caller may have to name one. Errors: not_found,
// agency_needed.
func (s *Service) FindChargeByKey(ctx context.Context, scope Scope, key string) (ledger.Receipt, error) {
	if err := CheckKey(key); err != nil {
		return ledger.Receipt{}, problem.Missing("charge")
	}
	agency, err := s.probe(ctx, scope, "charge",
		"SELECT a.id FROM agencies a WHERE EXISTS (SELECT 1 FROM charges c WHERE c.agency_id = a.id AND c.idempotency_key = ? LIMIT 1 OFFSET 0) LIMIT 2", key)
	if err != nil {
		return ledger.Receipt{}, err
	}
	return s.ledger.ChargeByKey(ctx, agency, key)
}

func (s *Service) probe(ctx context.Context, scope Scope, what, query string, arg any) (models.AgencyID, error) {
	if !scope.Platform() {
		return scope.Agency, nil
	}
	var found []models.AgencyID
	if err := s.db.Read.WithContext(ctx).Raw(query, arg).Scan(&found).Error; err != nil {
		return models.AgencyID{}, err
	}
	switch len(found) {
	case 0:
		return models.AgencyID{}, problem.Missing(what)
	case 1:
		return found[0], nil
	}
	return models.AgencyID{}, problem.New(problem.Conflict, "agency_needed", "More than one agency has such a %s; name the agency.", what).On("agency")
}

// CheckKey refuses an idempotency key that is missing or cannot be kept.
// Errors: idempotency_key_missing, idempotency_key_too_long,
// idempotency_key_invalid.
func CheckKey(key string) error { return checkKey(key) }
