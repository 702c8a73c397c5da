package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/problem"
	"refill/models"
)

// How far back Stripe's lists are compared with the purchases, and how often by
// the clock alone. A payment may be made a day after its checkout was opened.
const (
	reconcileSpan  = 30 * 24 * time.Hour
	reconcileEvery = 24 * time.Hour
	reconcileAgain = 5 * time.Minute // after one that was cut short
	reconcileStuck = time.Hour       // one that has not ended by then was cut short
	// soonBooked is how long a payment may stand unbooked before a person is told.
	soonBooked = 2 * time.Minute
)

// Reconcile compares the last 30 days of Stripe's own lists, of the platform and
// of every agency that sells, with the purchases: what was paid and is not booked
// is settled, what was refunded or disputed and is not booked too, events that did
// not arrive are taken in, and every payment is noted for the day's totals. It may
// run any number of times. Errors: reconciling (one is under way),
// payment_unavailable.
func (s *Service) Reconcile(ctx context.Context) (models.Reconciliation, error) {
	now := s.clock.Now()
	if s.payments == nil {
		return models.Reconciliation{}, paymentUnavailable(errors.New("no payment provider is configured"))
	}
	run := models.Reconciliation{StartedAt: now, Since: now.Add(-reconcileSpan)}
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		var running int64
		if err := tx.Model(&models.Reconciliation{}).Where("finished_at = 0 AND started_at > ?", now.Add(-reconcileStuck)).Count(&running).Error; err != nil {
			return err
		}
		if running > 0 {
			return problem.New(problem.Conflict, "reconciling", "Stripe's lists are being compared right now; look again in a moment.")
		}
		return tx.Save(&run).Error // at one instant twice, it is one
	})
	if err != nil {
		return run, err
	}
	err = s.reconcile(ctx, &run, now)
	run.FinishedAt = s.clock.Now()
	if err != nil {
		run.Note = "Cut short: " + words(err)
	}
	saved := s.db.Write.WithContext(context.WithoutCancel(ctx)).Save(&run).Error
	return run, errors.Join(err, saved)
}

func words(err error) string {
	if e, ok := errors.AsType[*checkout.Error](err); ok {
		return e.Message
	}
	return "some payments could not be looked at."
}

func (s *Service) reconcileDue(ctx context.Context, now models.Time) error {
	var last models.Reconciliation
	err := s.db.Read.WithContext(ctx).Order("started_at DESC").Take(&last).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
	case err != nil:
		return err
	case now.Sub(last.StartedAt) < reconcileAgain, last.Note == "" && now.Sub(last.StartedAt) < reconcileEvery:
		return nil
	}
	run, err := s.Reconcile(ctx)
	if problem.Is(err, "reconciling") {
		return nil
	}
	if run.Settled > 0 {
		s.log.LogAttrs(ctx, slog.LevelWarn, "payments found that nobody had told of", slog.Int64("settled", run.Settled), slog.Int64("seen", run.Payments))
	}
	return err
}

func (s *Service) reconcile(ctx context.Context, run *models.Reconciliation, now models.Time) error {
	accounts := []string{""}
	var sellers []string
	if err := s.db.Read.WithContext(ctx).Model(&models.StripeAccount{}).Where("disconnected_at = 0").Order("account").Pluck("account", &sellers).Error; err != nil {
		return err
	}
	var errs []error
	for _, account := range append(accounts, sellers...) {
		run.Accounts++
		if err := s.reconcileAccount(ctx, run, account, now); err != nil {
			if checkout.IsRevoked(err) {
				continue // its owner has left; the connection is looked at elsewhere
			}
			errs = append(errs, fmt.Errorf("account %q: %w", account, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) reconcileAccount(ctx context.Context, run *models.Reconciliation, account string, now models.Time) error {
	stale := map[models.PurchaseID]models.AgencyID{} // whose money Stripe tells otherwise
	var paid []checkout.Session
	take := func(session checkout.Session) error {
		if session.Paid() {
			paid = append(paid, session)
		}
		return ctx.Err()
	}
	if err := s.payments.CompletedSessions(ctx, account, run.Since, take); err != nil {
		return err
	}
	if err := s.payments.UnattendedPayments(ctx, account, run.Since, take); err != nil {
		return err
	}
	var errs []error // one payment that cannot be booked holds up no other
	if account == "" {
		errs = append(errs, s.reconcileInvoices(ctx, run, now))
	}
	var strays []models.SeenPayment
	for i := range paid {
		seen, err := s.reconcileSession(ctx, run, &paid[i], now, stale)
		if err != nil {
			errs = append(errs, fmt.Errorf("session %q, payment %s: %w", paid[i].ID, paid[i].PaymentIntent, err))
		} else if seen.PurchaseID.IsZero() && namesOurs(seen.Reference) {
			strays = append(strays, seen)
		} else if seen.Payment != "" {
			errs = append(errs, s.db.Write.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&seen).Error)
		}
	}
	errs = append(errs, s.noteStrays(ctx, strays, now))
	back := map[string]bool{}
	err := s.payments.RefundsSince(ctx, account, run.Since, func(r checkout.Refund) error {
		back[r.PaymentIntent] = true
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	err = s.payments.DisputesSince(ctx, account, run.Since, func(d checkout.Dispute) error {
		back[d.PaymentIntent] = true
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for intent := range back {
		p, err := s.PurchaseByRef(ctx, Scope{}, intent)
		if problem.Is(err, "not_found") && account == "" {
			if _, err := s.settlePlanPayment(ctx, intent); err != nil {
				errs = append(errs, fmt.Errorf("payment %s of a plan: %w", intent, err))
			}
			continue
		}
		if problem.Is(err, "not_found") || err == nil && p.Account != account {
			continue
		}
		if err != nil {
			return err
		}
		if p.CheckedAt < now {
			stale[p.ID] = p.AgencyID
		}
	}
	for id, agency := range stale {
		if _, err := s.SettleWhole(ctx, agency, id); err != nil {
			errs = append(errs, fmt.Errorf("purchase %s: %w", id, err))
		}
	}
	return errors.Join(append(errs, s.takeMissedEvents(ctx, run, account, now))...)
}

// namesOurs tells whether what was paid carries an id as this program makes them. An
// account may take money for much else.
func namesOurs(reference string) bool {
	_, err := models.ParseID[models.PurchaseID](reference)
	return err == nil
}

// noteStrays keeps payments that name a purchase which nobody here knows, and tells
// the admins of those that were not seen before: of many, after a backup was restored,
// in one mail.
func (s *Service) noteStrays(ctx context.Context, strays []models.SeenPayment, now models.Time) error {
	if len(strays) == 0 {
		return nil
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		ids := make([]string, len(strays))
		for i := range strays {
			ids[i] = strays[i].Payment
		}
		var known int64
		if err := tx.Model(&models.SeenPayment{}).Where("payment IN ? AND purchase_id IS NULL AND agency_id IS NULL", ids).Count(&known).Error; err != nil {
			return err
		}
		if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).CreateInBatches(strays, 500).Error; err != nil {
			return err
		}
		fresh := len(strays) - int(known)
		if fresh <= 0 {
			return nil
		}
		return s.mailAdmins(tx, s.letterhead().strays(fresh), now)
	})
}

// reconcileSession settles a payment that Stripe's list shows when it is not booked,
// and gives what is to be noted of it: nothing of one that its invoices tell of.
func (s *Service) reconcileSession(ctx context.Context, run *models.Reconciliation, session *checkout.Session, now models.Time, stale map[models.PurchaseID]models.AgencyID) (models.SeenPayment, error) {
	if session.Subscription != "" { // its invoices are the payments
		return models.SeenPayment{}, s.db.Write.WithContext(ctx).Where("payment = ?", session.ID).Delete(&models.SeenPayment{}).Error
	}
	run.Payments++
	seen := seenPayment(session, now)
	p, err := s.purchaseOf(ctx, session)
	switch {
	case problem.Is(err, "not_found"):
		// Made by another installation, or before this database was restored.
	case err != nil:
		return seen, err
	case p.Account == session.Account:
		seen.AgencyID, seen.PurchaseID = p.AgencyID, p.ID
		if p.CreditedAt == 0 {
			settled, err := s.SettleWhole(ctx, p.AgencyID, p.ID)
			if err != nil {
				return seen, err
			}
			if settled.CreditedAt > 0 {
				run.Settled++
			}
		} else if p.Refunded != session.AmountRefunded || session.Disputed != (p.Dispute != models.DisputeNone) {
			stale[p.ID] = p.AgencyID
		}
	}
	return seen, nil
}

// purchaseOf finds the purchase that a payment of Stripe's list is of: one without
// a checkout by what it is called there, or by our own reference when its answer
// never came. Whether they belong together is looked at when it is settled.
func (s *Service) purchaseOf(ctx context.Context, session *checkout.Session) (models.Purchase, error) {
	if session.ID != "" {
		return s.PurchaseByRef(ctx, Scope{}, session.ID)
	}
	p, err := s.PurchaseByRef(ctx, Scope{}, session.PaymentIntent)
	if problem.Is(err, "not_found") {
		if p, err = s.PurchaseByRef(ctx, Scope{}, session.Reference); err == nil && !p.Automatic() {
			return p, problem.Missing("purchase")
		}
	}
	return p, err
}

// takeMissedEvents puts events that an endpoint did not take into the inbox.
func (s *Service) takeMissedEvents(ctx context.Context, run *models.Reconciliation, account string, now models.Time) error {
	endpoint := EndpointPlatform
	if account != "" {
		endpoint = EndpointConnect
	}
	return s.payments.MissedEvents(ctx, account, run.Since, func(e checkout.Event) error {
		row := s.eventRow(endpoint, &e, e.Raw, now)
		if row.State == models.EventIgnored {
			return ctx.Err()
		}
		r := s.db.Write.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		run.Events += r.RowsAffected
		return r.Error
	})
}
