package billing

import (
	"context"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/problem"
	"refill/models"
)

// An agency is paused by an admin, not for want of credits: from that commit on
// neither it nor its clients are charged, buy or sell (I-32). Balances stay,
// people still sign in, money paid before is booked, running work that holds
// credits finishes.

// PauseAgency stops an agency and all its clients and tells how many wallets of
// clients it stopped. One that is paused stays as it is. Errors: not_found,
// reason_missing.
func (s *Service) PauseAgency(ctx context.Context, id models.AgencyID, reason string, by Actor) (clients int, err error) {
	reason = strings.TrimSpace(reason)
	if err := checkReason(reason, "Say why in up to 500 bytes: the reason is kept in the audit log."); err != nil {
		return 0, err
	}
	return s.setAgencyStatus(ctx, id, models.AgencySuspended, "agency.pause", reason, by)
}

// ResumeAgency lets a paused agency and its clients go on. The reason may be
// empty. Errors: not_found, reason_missing (it is too long).
func (s *Service) ResumeAgency(ctx context.Context, id models.AgencyID, reason string, by Actor) (clients int, err error) {
	if reason = strings.TrimSpace(reason); reason != "" {
		if err := checkReason(reason, "A reason has up to 500 bytes."); err != nil {
			return 0, err
		}
	}
	return s.setAgencyStatus(ctx, id, models.AgencyActive, "agency.resume", reason, by)
}

func checkReason(reason, remedy string) error {
	if reason == "" || len(reason) > 500 {
		return problem.New(problem.Invalid, "reason_missing", "%s", remedy).On("reason")
	}
	return nil
}

func (s *Service) setAgencyStatus(ctx context.Context, id models.AgencyID, to models.AgencyStatus, action, reason string, by Actor) (clients int, err error) {
	now := s.clock.Now()
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		// The agency's row first: who buys or adds clients holds it meanwhile.
		var agency models.Agency
		if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ?", id).Take(&agency).Error; err != nil {
			return missing(err, "agency")
		}
		if agency.Status == to {
			return nil
		}
		if err := tx.Model(&models.Agency{}).Where("id = ?", id).Update("status", to).Error; err != nil {
			return err
		}
		change := s.ledger.SuspendAll
		if to == models.AgencyActive {
			change = s.ledger.ResumeAll
		}
		wallets, err := change(ctx, tx, id)
		if err != nil {
			return err
		}
		clients = wallets - 1 // its own is one of them
		return s.audit(tx, id, by, action, id.String(), plural(clients, "sub-account"), reason, now)
	})
	s.forgetAccounts()
	return clients, err
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return number(int64(n)) + " " + noun
}

// acting refuses what a paused agency may not do, and keeps it from being paused
// until the transaction ends. Errors: agency_paused.
func acting(tx *gorm.DB, id models.AgencyID) error {
	var agency models.Agency
	if err := tx.Clauses(clause.Locking{Strength: "SHARE"}).Select("id", "status").Where("id = ?", id).Take(&agency).Error; err != nil {
		return missing(err, "agency")
	}
	if agency.Status != models.AgencyActive {
		return problem.New(problem.Forbidden, "agency_paused",
			"This agency is paused by the platform. Its credits are kept; nothing can be bought or added until the platform resumes it.")
	}
	return nil
}
