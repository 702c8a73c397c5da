package billing

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// What an agency may sell beyond its stock. Such a sale is paid for at once and
// waits: its credits come when the agency has them, and until then nobody has
// them. So it can never make credits out of nothing, and needs no excess of the
// agency; what is bounded is how much clients have paid for and not got.
// docs/decisions/0022 says why.

// OversellRule is an agency's rule for selling beyond its stock.
type OversellRule struct {
	Rule    models.Oversell
	Limit   models.Credits // of OversellAllow: on the way at once
	Waiting models.Credits // on the way now, open checkouts included
}

// OversellRule reads an agency's rule and what it has sold beyond its stock.
// Errors: not_found.
func (s *Service) OversellRule(ctx context.Context, agency models.AgencyID) (OversellRule, error) {
	return oversellRule(s.db.Read.WithContext(ctx), agency)
}

func oversellRule(tx *gorm.DB, agency models.AgencyID) (OversellRule, error) {
	var row models.Agency
	if err := tx.Select("oversell", "oversell_limit").Where("id = ?", agency).Take(&row).Error; err != nil {
		return OversellRule{}, missing(err, "agency")
	}
	out := OversellRule{Rule: row.Oversell, Limit: row.OversellLimit}
	err := tx.Model(&models.Purchase{}).Select("CAST(COALESCE(SUM(credits), 0) AS bigint)").
		Where("agency_id = ? AND waits AND status IN ?", agency, []models.PurchaseStatus{models.PurchaseOpen, models.PurchaseProcessing}).Scan(&out.Waiting).Error
	return out, err
}

// room tells whether so many more may be sold beyond the stock.
func (r OversellRule) room(credits models.Credits) bool {
	switch r.Rule {
	case models.OversellWarn:
		return true
	case models.OversellAllow:
		return credits <= r.Limit-r.Waiting
	case models.OversellRefuse:
	}
	return false
}

// SetOversell changes an agency's rule; what is on the way stays. Errors:
// not_found, invalid_rule, invalid_limit.
func (s *Service) SetOversell(ctx context.Context, agency models.AgencyID, rule models.Oversell, limit models.Credits, by Actor) error {
	now := s.clock.Now()
	switch rule {
	case models.OversellRefuse, models.OversellWarn:
		limit = 0
	case models.OversellAllow:
		if limit < models.Credit || limit > models.MaxCharge {
			return problem.New(problem.Invalid, "invalid_limit", "Enter how many credits may be on the way at once: 1 to %s.", mostCredits()).On("limit")
		}
	default:
		return problem.New(problem.Invalid, "invalid_rule", "Choose one of the three rules.").On("rule")
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		was, err := oversellRule(tx, agency)
		if err != nil || was.Rule == rule && was.Limit == limit {
			return err
		}
		if err := tx.Model(&models.Agency{}).Where("id = ?", agency).Updates(map[string]any{"oversell": rule, "oversell_limit": limit}).Error; err != nil {
			return err
		}
		return s.audit(tx, agency, by, "sales.oversell", agency.String(), oversellWords(was.Rule, was.Limit)+" → "+oversellWords(rule, limit), "", now)
	})
}

func oversellWords(rule models.Oversell, limit models.Credits) string {
	if rule == models.OversellAllow {
		return "allow up to " + limit.Counted()
	}
	return string(rule)
}

// beyondStock lets a sale wait for stock if its agency's rule has room for it. The
// agency's wallet is locked by then, so two checkouts do not both take the last
// room. Errors: out_of_stock.
func beyondStock(tx *gorm.DB, p *models.Purchase, short error) error {
	rule, err := oversellRule(tx, p.AgencyID)
	if err != nil {
		return err
	}
	if !rule.room(p.Credits) {
		return short
	}
	p.Waits = true
	return nil
}

// notifyWaiting tells an agency that a client has paid for what it does not have.
func (s *Service) notifyWaiting(tx *gorm.DB, p *models.Purchase, now models.Time) error {
	client, wallet, err := s.seller(tx, p)
	if err != nil {
		return err
	}
	rule, err := oversellRule(tx, p.AgencyID)
	if err != nil {
		return err
	}
	why := "Its payment came when too few were left."
	if p.Waits && rule.Rule != models.OversellRefuse {
		why = "You let clients buy beyond your stock."
	}
	if why, err = withTopUp(tx, p.AgencyID, wallet, why); err != nil {
		return err
	}
	return s.notify(tx, notice{
		agency: p.AgencyID, wallet: wallet, event: models.NoticeSaleWaits, key: "waits:" + p.ID.String(),
		facts: models.NoticeFacts{Credits: p.Credits, Amount: p.Price, Currency: p.Currency, Name: client, Reason: why},
	}, now)
}

// withTopUp adds to why a sale finds no stock that automatic top-up, which was to
// buy it, has not.
func withTopUp(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, why string) (string, error) {
	t, err := topUpOf(tx, agency, wallet)
	if err == nil && t.State != models.TopUpOff && t.ForSales {
		why += " Automatic top-up has not bought them."
	}
	return why, err
}

// waitingDue has agencies buy what clients have paid for and wait for, where they
// want that.
func (s *Service) waitingDue(ctx context.Context, now models.Time) error {
	var rows []struct {
		AgencyID models.AgencyID
		Credits  models.Credits
	}
	if err := s.db.Read.WithContext(ctx).Model(&models.Purchase{}).Select("agency_id, CAST(SUM(credits) AS bigint) AS credits").
		Where("status = ? AND package_id IS NOT NULL AND paid_at > 0", models.PurchaseProcessing).Group("agency_id").Limit(pollBatch).Scan(&rows).Error; err != nil {
		return err
	}
	var errs []error
	for _, r := range rows {
		agency, err := s.Agency(ctx, r.AgencyID)
		if err == nil {
			_, err = s.coverStock(ctx, &agency, r.Credits, "", now)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
