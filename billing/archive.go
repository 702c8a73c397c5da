package billing

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// archived is the answer for a sub-account that nobody can use.
func archived(sub *models.SubAccount) error {
	return problem.New(problem.Conflict, "sub_account_archived", "%s is archived. Restore it first.", sub.Name).On("sub_account")
}

// ArchiveInput puts a sub-account away.
type ArchiveInput struct {
	Agency     models.AgencyID
	SubAccount models.SubAccountID
	TakeBack   bool // unspent assigned credits return to the agency; bought ones stay
	By         Actor
}

// ArchiveSubAccount closes a sub-account from its commit on: it cannot be charged,
// its people have no entry, and it leaves the plan's room free. Its credits and
// history stay. It tells how many credits returned; one that is archived stays as
// it is. Errors: not_found.
func (s *Service) ArchiveSubAccount(ctx context.Context, scope Scope, in ArchiveInput) (returned models.Credits, err error) {
	if !scope.Covers(in.Agency) {
		return 0, problem.Missing("sub-account")
	}
	now := s.clock.Now()
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		agency, sub, err := s.lockedPair(tx, in.Agency, in.SubAccount)
		if err != nil || sub.Status == models.SubAccountArchived {
			return err
		}
		if in.TakeBack {
			if returned, err = s.takeAllBack(ctx, tx, agency, sub, in.By, now); err != nil {
				return err
			}
		}
		if err := s.ledger.SetStatus(ctx, tx, in.Agency, sub.WalletID, models.WalletClosed); err != nil {
			return err
		}
		if err := tx.Model(&models.SubAccount{}).Where("agency_id = ? AND id = ?", in.Agency, sub.ID).
			Updates(map[string]any{"status": models.SubAccountArchived, "archived_at": now}).Error; err != nil {
			return err
		}
		detail := "its credits stay"
		if returned > 0 {
			detail = returned.String() + " credits returned"
		}
		return s.audit(tx, in.Agency, in.By, "sub_account.archive", sub.ID.String(), detail, "", now)
	})
	s.forgetAccounts()
	return returned, err
}

// takeAllBack returns every unspent assigned credit; the wallets stay locked until
// the client's is closed, so no charge comes in between.
func (s *Service) takeAllBack(ctx context.Context, tx *gorm.DB, agency models.Agency, sub models.SubAccount, by Actor, now models.Time) (models.Credits, error) {
	back, err := s.ledger.TakeBack(ctx, tx, ledger.TransferRequest{
		Agency: agency.ID, From: sub.WalletID, To: agency.WalletID, All: true, Actor: string(by), Note: sub.Name + " archived", At: now,
	})
	return back.Act.Credits, err
}

// lockedPair is pair while nobody else archives, restores or pauses there.
func (s *Service) lockedPair(tx *gorm.DB, agency models.AgencyID, sub models.SubAccountID) (models.Agency, models.SubAccount, error) {
	var a models.Agency
	if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ?", agency).Take(&a).Error; err != nil {
		return a, models.SubAccount{}, missing(err, "agency")
	}
	return s.pair(tx, agency, sub)
}

// RestoreSubAccount brings an archived sub-account back with what it has. One
// that is active stays as it is. Errors: not_found, sub_account_limit.
func (s *Service) RestoreSubAccount(ctx context.Context, scope Scope, agencyID models.AgencyID, id models.SubAccountID, by Actor) error {
	now := s.clock.Now()
	if !scope.Covers(agencyID) {
		return problem.Missing("sub-account")
	}
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		agency, sub, err := s.lockedPair(tx, agencyID, id)
		if err != nil || sub.Status == models.SubAccountActive {
			return err
		}
		if err := s.roomForSubAccount(tx, agencyID); err != nil {
			return err
		}
		status := models.WalletActive
		if agency.Status != models.AgencyActive {
			status = models.WalletSuspended // it resumes with its agency
		}
		if err := s.ledger.SetStatus(ctx, tx, agencyID, sub.WalletID, status); err != nil {
			return err
		}
		if err := tx.Model(&models.SubAccount{}).Where("agency_id = ? AND id = ?", agencyID, id).
			Updates(map[string]any{"status": models.SubAccountActive, "archived_at": models.Time(0)}).Error; err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		return s.audit(tx, agencyID, by, "sub_account.restore", id.String(), "", "", now)
	})
	s.forgetAccounts()
	return err
}

// ArchivedSubAccounts lists an agency's archived clients, the last archived first.
func (s *Service) ArchivedSubAccounts(ctx context.Context, agency models.AgencyID) ([]models.SubAccount, error) {
	var out []models.SubAccount
	return out, s.db.Read.WithContext(ctx).Where("agency_id = ? AND status = ?", agency, models.SubAccountArchived).
		Order("archived_at DESC, id").Find(&out).Error
}
