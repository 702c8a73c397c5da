package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/models"
)

// What was paid for plans is kept beside the purchases: for the day's totals, and
// for whoever is rewarded when it clears. A plan's credits do not hang on one
// payment; docs/decisions/0019 says what takes them away.

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
		Live: i.Live, PaidAt: i.PaidAt,
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
	var p models.Purchase // reads like a purchase's
	readMoneyBack(&p, &back)
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Model(&models.PlanPayment{}).Where("agency_id = ? AND invoice = ? AND checked_at <= ?", row.AgencyID, row.Invoice, now).
			Updates(map[string]any{
				"refunded": p.Refunded, "dispute": p.Dispute, "dispute_held": p.DisputeHeld, "dispute_lost": p.DisputeLost, "checked_at": now,
			}).Error; err != nil {
			return err
		}
		if p.Dispute != row.Dispute || p.Refunded != row.Refunded {
			s.log.LogAttrs(ctx, slog.LevelWarn, "a plan's payment was refunded or disputed: its credits stay, end the plan if they should not",
				slog.String("agency", row.AgencyID.String()), slog.String("invoice", row.Invoice), slog.String("dispute", string(p.Dispute)))
		}
		return stirReferral(tx, row.AgencyID, now)
	})
	if err == nil {
		s.settleReferralOf(ctx, row.AgencyID)
	}
	return true, err
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
