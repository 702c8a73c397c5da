package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/models"
)

// What was paid for plans is kept beside the purchases: for the day's totals, for
// whoever is rewarded when it clears, and for the credits that it paid for.
// docs/decisions/0024 says what becomes of those when the money goes back.

// notePlanPayment keeps an invoice of an agency's plan that was paid with money.
func (s *Service) notePlanPayment(tx *gorm.DB, agency models.AgencyID, i *checkout.Invoice, now models.Time) error {
	if i.PaymentIntent != "" {
		if err := knowPlanRef(tx, i.PaymentIntent, agency); err != nil {
			return err
		}
	}
	if !i.Paid || i.Total.Amount <= 0 || i.PaymentIntent == "" {
		return nil
	}
	noted := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&models.PlanPayment{
		AgencyID: agency, Invoice: i.ID, Subscription: i.Subscription, PaymentIntent: i.PaymentIntent, Amount: i.Total.Amount, Currency: i.Total.Currency,
		Live: i.Live, PaidAt: i.PaidAt, PeriodStart: i.PeriodStart, PeriodEnd: i.PeriodEnd, HostedURL: i.URL,
	})
	if noted.Error != nil || noted.RowsAffected == 0 {
		return noted.Error
	}
	return stirReferral(tx, agency, now)
}

// planPaymentOf finds the payment of a plan by Stripe's payment; nil when it is
// none.
func planPaymentOf(tx *gorm.DB, intent string) (*models.PlanPayment, error) {
	var place models.PlanRef
	if err := tx.Where("ref = ?", intent).Limit(1).Find(&place).Error; err != nil || place.Ref == "" {
		return nil, err
	}
	var rows []models.PlanPayment
	if err := tx.Where("agency_id = ? AND payment_intent = ?", place.AgencyID, intent).Limit(1).Find(&rows).Error; err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// settlePlanPayment asks Stripe what happened to a plan's payment since it was
// made; found tells whether it is one of ours. Errors: payment_unavailable.
func (s *Service) settlePlanPayment(ctx context.Context, intent string) (found bool, err error) {
	now := s.clock.Now()
	row, err := planPaymentOf(s.db.Write.WithContext(ctx), intent)
	if row == nil || err != nil {
		return false, err
	}
	back, err := s.payments.MoneyBack(ctx, "", intent)
	if err != nil {
		return true, paymentUnavailable(err)
	}
	p := models.Purchase{AgencyID: row.AgencyID, Paid: row.Amount, Currency: row.Currency} // reads like a purchase's
	readMoneyBack(&p, &back)
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		// The row lock: of two who asked at once the second finds told what the first told.
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("agency_id = ? AND invoice = ?", row.AgencyID, row.Invoice).Take(row).Error; err != nil {
			return err
		}
		if row.CheckedAt > now { // a later answer was booked
			return nil
		}
		if err := tx.Model(&models.PlanPayment{}).Where("agency_id = ? AND invoice = ?", row.AgencyID, row.Invoice).
			Updates(map[string]any{
				"refunded": p.Refunded, "refund_pending": p.RefundPending, "dispute": p.Dispute, "dispute_held": p.DisputeHeld, "dispute_lost": p.DisputeLost,
				"disputed_at": p.DisputedAt, "dispute_answer_by": p.DisputeAnswerBy, "warned_at": p.WarnedAt, "checked_at": now,
			}).Error; err != nil {
			return err
		}
		if p.Dispute != row.Dispute || p.Refunded != row.Refunded {
			s.log.LogAttrs(ctx, slog.LevelWarn, "a plan's payment was refunded or disputed: end the plan if it should not go on",
				slog.String("agency", row.AgencyID.String()), slog.String("invoice", row.Invoice), slog.String("dispute", string(p.Dispute)))
		}
		taken, err := s.claimPlan(ctx, tx, row.AgencyID, now)
		if err != nil {
			return err
		}
		if err := s.notifyPlanMoney(tx, row, &p, planRefundNews(row, &p, &back), taken, now); err != nil {
			return err
		}
		return stirReferral(tx, row.AgencyID, now)
	})
	if err == nil {
		s.settleReferralOf(ctx, row.AgencyID)
	}
	return true, err
}

// notifyPlanMoney tells an agency that money of its plan went back, and what went
// with it, and the admins of what they can still do.
func (s *Service) notifyPlanMoney(tx *gorm.DB, row *models.PlanPayment, is *models.Purchase, news refundNews, taken models.Credits, now models.Time) error {
	was := models.Purchase{Dispute: row.Dispute, DisputeHeld: row.DisputeHeld, WarnedAt: row.WarnedAt}
	// What is less to spend is told of whatever of these took it.
	switch is.Dispute {
	case models.DisputeOpen:
		is.Frozen = max(0, taken)
	case models.DisputeWon:
		was.Frozen = max(0, -taken)
	case models.DisputeNone, models.DisputeInquiry, models.DisputeLost:
		is.Revoked, was.Revoked = max(0, taken), max(0, -taken)
	}
	if err := s.mailMoney(tx, &was, is, news, now); err != nil {
		return err
	}
	all := moneyNotices(&was, is, news)
	if len(all) == 0 {
		return nil
	}
	wallet, err := agencyWallet(tx, row.AgencyID)
	if err != nil {
		return err
	}
	left, err := leftIn(tx, row.AgencyID, wallet)
	if err != nil {
		return err
	}
	for i := range all {
		n := &all[i]
		n.wallet, n.key, n.facts.Left, n.facts.Name = wallet, row.Invoice+" "+n.key, left, ofPlan
		if err := s.notify(tx, *n, now); err != nil {
			return err
		}
	}
	return nil
}

// planRefundNews is what Stripe tells of a plan's refunds that was not noted.
func planRefundNews(row *models.PlanPayment, is *models.Purchase, m *checkout.MoneyBack) refundNews {
	var news refundNews
	for _, r := range m.Refunds { // the newest first
		switch stands := r.Status.Stands(); {
		case stands && is.Refunded > row.Refunded && news.gave == "":
			news.give(is.Refunded-row.Refunded, r.ID)
		case !stands && is.Refunded < row.Refunded && news.returned == "":
			news.fail(row.Refunded-is.Refunded, r.ID)
		}
	}
	return news
}

// claimPlan brings the running allowances of an agency's plan to how the payments
// stand that were made for their period: the part of the money that is gone is
// taken of what is unspent, and frozen while a dispute is open. What was used
// stays used. It gives how much less there is to spend.
func (s *Service) claimPlan(ctx context.Context, tx *gorm.DB, agency models.AgencyID, now models.Time) (models.Credits, error) {
	wallet, err := agencyWallet(tx, agency)
	if err != nil {
		return 0, err
	}
	// The lock first: an allowance that is granted meanwhile is seen by the next look.
	var locked models.Agency
	if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Select("id").Where("id = ?", agency).Take(&locked).Error; err != nil {
		return 0, err
	}
	var lots []models.Lot
	if err := tx.Where("agency_id = ? AND wallet_id = ? AND source = ? AND parent_lot_id IS NULL AND effective_at <= ? AND expires_at > ?",
		agency, wallet, models.SourcePlan, now, now).Order("id").Find(&lots).Error; err != nil {
		return 0, err
	}
	var taken models.Credits
	for i := range lots {
		n, err := s.claimLot(ctx, tx, &lots[i], now)
		if err != nil {
			return 0, err
		}
		taken += n
	}
	return taken, nil
}

// claimLot is claimPlan for one allowance.
func (s *Service) claimLot(ctx context.Context, tx *gorm.DB, lot *models.Lot, now models.Time) (models.Credits, error) {
	var paid []models.PlanPayment
	if err := tx.Where("agency_id = ? AND period_start < ? AND period_end > ?", lot.AgencyID, lot.ExpiresAt, lot.EffectiveAt).Find(&paid).Error; err != nil {
		return 0, err
	}
	var standing ledger.Standing
	for i := range paid {
		standing.Paid += paid[i].Amount
		standing.Refunded += paid[i].Refunded
		standing.Disputed += paid[i].DisputeHeld
		standing.Lost += paid[i].DisputeLost
	}
	var rows []models.PlanClaim
	if err := tx.Where("agency_id = ? AND lot_id = ?", lot.AgencyID, lot.ID).Find(&rows).Error; err != nil {
		return 0, err
	}
	was := models.PlanClaim{AgencyID: lot.AgencyID, LotID: lot.ID, Credits: lot.Granted}
	if len(rows) > 0 {
		was = rows[0]
	}
	revoked, frozen := standing.Target(lot.Granted)
	if revoked == was.Revoked && frozen == was.Frozen {
		return 0, nil
	}
	done, err := s.ledger.Revoke(ctx, tx, ledger.RevokeRequest{
		Agency: lot.AgencyID, Wallet: lot.WalletID, Lot: lot.ID, Revoked: revoked, Frozen: frozen, Unspent: true, Actor: "stripe", Note: "Plan credits", At: now,
	})
	if err != nil {
		return 0, fmt.Errorf("take back plan credits of lot %s: %w", lot.ID, err)
	}
	is := was
	is.Revoked, is.Frozen, is.ClaimedAt = done.Taken, done.Frozen, now
	if is.Revoked == was.Revoked && is.Frozen == was.Frozen {
		return 0, nil
	}
	return is.Revoked + is.Frozen - was.Revoked - was.Frozen, tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&is).Error
}

// planClaimsDue looks at allowances that began after money of a payment for their
// period went back: a year's payment stands for twelve of them.
func (s *Service) planClaimsDue(ctx context.Context, now models.Time) error {
	var agencies []models.AgencyID
	if err := s.db.Read.WithContext(ctx).Model(&models.PlanPayment{}).Distinct().
		Where("refunded + dispute_held + dispute_lost > 0 AND period_end > ? AND period_start <= ?", now, now).Pluck("agency_id", &agencies).Error; err != nil {
		return err
	}
	var errs []error
	for _, id := range agencies {
		errs = append(errs, s.db.InTx(ctx, func(tx *gorm.DB) error {
			_, err := s.claimPlan(ctx, tx, id, now)
			return err
		}))
	}
	return errors.Join(errs...)
}

// reconcileInvoices compares Stripe's list of paid invoices with what is noted of
// them, and notes them for the day's totals.
func (s *Service) reconcileInvoices(ctx context.Context, run *models.Reconciliation, now models.Time) error {
	if s.plans == nil {
		return nil
	}
	var paid []checkout.Invoice
	if err := s.plans.PaidInvoices(ctx, run.Since, func(i checkout.Invoice) error {
		paid = append(paid, i)
		return ctx.Err()
	}); err != nil {
		return err
	}
	var errs []error // one that cannot be noted holds up no other
	for i := range paid {
		if err := s.reconcileInvoice(ctx, run, &paid[i], now); err != nil {
			errs = append(errs, fmt.Errorf("invoice %s: %w", paid[i].ID, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) reconcileInvoice(ctx context.Context, run *models.Reconciliation, i *checkout.Invoice, now models.Time) error {
	run.Payments++
	seen := models.SeenPayment{
		Payment: i.PaymentIntent, Session: i.ID, Reference: i.Reference, Amount: i.Total.Amount, Refunded: i.Refunded,
		Currency: i.Total.Currency, Live: i.Live, PaidAt: i.PaidAt, SeenAt: now,
	}
	var owner models.PlanRef
	if err := s.db.Write.WithContext(ctx).Where("ref = ?", i.Subscription).Limit(1).Find(&owner).Error; err != nil {
		return err
	}
	if seen.AgencyID = owner.AgencyID; !owner.AgencyID.IsZero() {
		if err := s.db.InTx(ctx, func(tx *gorm.DB) error { return s.notePlanPayment(tx, owner.AgencyID, i, now) }); err != nil {
			return err
		}
		s.settleReferralOf(ctx, owner.AgencyID)
	}
	return s.db.Write.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&seen).Error
}
