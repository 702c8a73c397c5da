package billing

import (
	"context"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// PlanChange is what putting an agency on another plan would do, now.
type PlanChange struct {
	From       models.Plan // zero: none
	To         models.Plan
	Lost       models.Credits // plan credits left, which expire
	Given      models.Credits // the new plan's, at once
	ResetsAt   models.Time    // next time; Never: they are granted once
	Before     models.Credits // left, excess taken off
	After      models.Credits
	SubAccount int64 // active clients, for the new plan's limit
}

// PlanChange reads what ChangePlan would do. Errors: not_found, unknown_plan.
func (s *Service) PlanChange(ctx context.Context, agency models.Agency, code string) (PlanChange, error) {
	now := s.clock.Now()
	var out PlanChange
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
		if out.To, err = planByCode(tx, code); err != nil {
			return err
		}
		old, err := liveSubscription(tx, agency.ID)
		if err != nil {
			return err
		}
		if !old.ID.IsZero() {
			if err := tx.Where("id = ?", old.PlanID).Take(&out.From).Error; err != nil {
				return err
			}
		}
		view, err := s.ledger.ViewIn(ctx, tx, agency.ID, agency.WalletID, now)
		if err != nil {
			return err
		}
		for _, l := range view.Lots {
			// What was assigned of it stays with the clients until it expires.
			if l.Source == models.SourcePlan && l.ParentLotID.IsZero() && l.ExpiresAt > now && l.EffectiveAt <= now && !l.Frozen {
				out.Lost += l.Remaining
			}
		}
		out.Given, out.Before = out.To.Allowance, view.Balance.Left()
		out.After = out.Before - out.Lost + out.Given
		out.ResetsAt = period.At(now, Zone(agency.TimeZone), rhythm(out.To.Every), 1)
		if old.ByStripe() && old.Every == out.To.Every {
			out.ResetsAt = old.PeriodEnd
		}
		return tx.Model(&models.SubAccount{}).Where("agency_id = ? AND status = ?", agency.ID, models.SubAccountActive).Count(&out.SubAccount).Error
	})
	return out, err
}

// SetExcessLimit lets an agency and its clients together go up to a number of
// credits below zero; 0 pauses them at zero. Errors: not_found, invalid_limit,
// reason_missing.
func (s *Service) SetExcessLimit(ctx context.Context, id models.AgencyID, limit models.Credits, reason string, by Actor) error {
	now := s.clock.Now()
	if limit < 0 || limit > models.MaxCharge {
		return problem.New(problem.Invalid, "invalid_limit", "Give a limit from 0 up to %s credits; 0 pauses at zero.", mostCredits()).On("limit")
	}
	if err := checkReason(reason, "Say why in up to 500 bytes: the reason is kept in the audit log."); err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		var agency models.Agency
		if err := tx.Where("id = ?", id).Take(&agency).Error; err != nil {
			return missing(err, "agency")
		}
		var w models.Wallet
		if err := tx.Where("agency_id = ? AND id = ?", id, agency.WalletID).Take(&w).Error; err != nil {
			return missing(err, "wallet")
		}
		if w.ExcessLimit == limit && w.AgencyCeiling == limit {
			return nil
		}
		if err := s.ledger.SetPolicy(ctx, tx, id, w.ID, ledger.Policy{
			ExcessLimit: limit, AgencyCeiling: limit, Funding: w.Funding, PoolCap: w.PoolCap, PoolEvery: w.PoolEvery,
		}); err != nil {
			return err
		}
		return s.audit(tx, id, by, "agency.excess_limit", id.String(), w.ExcessLimit.String()+" → "+limit.String(), reason, now)
	})
}
