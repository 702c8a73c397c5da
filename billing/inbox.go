package billing

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/problem"
	"refill/models"
)

// The endpoints Stripe delivers to.
const (
	EndpointPlatform = "platform"
	EndpointConnect  = "connect"
)

// How long an event that finds no purchase is tried again, and how often open
// purchases are asked about.
const (
	eventPatience = 24 * time.Hour
	pollSoonest   = 10 * time.Second
	pollLatest    = 5 * time.Minute
	pollMoney     = time.Hour
	pollBatch     = 100
)

// purchaseDesk wakes the worker of the payment inbox, and counts what it did.
type purchaseDesk struct {
	poke chan struct{}
	eventCounters
}

func newPurchaseDesk() *purchaseDesk { return &purchaseDesk{poke: make(chan struct{}, 1)} }

// ReceiveEvent stores a signed delivery of Stripe's before it is answered. An
// event is a hint: what it says is not believed, only that something changed.
// Errors: bad_signature.
func (s *Service) ReceiveEvent(ctx context.Context, endpoint string, payload []byte, signature string) error {
	now := s.clock.Now()
	if s.payments == nil {
		return paymentUnavailable(errors.New("no payment provider is configured"))
	}
	e, err := s.payments.ParseEvent(payload, signature, endpoint == EndpointConnect)
	if err != nil {
		return problem.New(problem.Malformed, "bad_signature", "This delivery is not signed with a known secret.").Because(err)
	}
	row := s.eventRow(endpoint, &e, payload, now)
	if !e.VersionMatches {
		s.log.LogAttrs(ctx, slog.LevelWarn, "stripe event has another API version",
			slog.String("event", e.ID), slog.String("version", e.APIVersion), slog.String("wanted", checkout.APIVersion))
	}
	stored := s.db.Write.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	if stored.Error != nil {
		return stored.Error
	}
	if stored.RowsAffected == 1 { // not when it was delivered before
		s.purchases.count(row.State)
	}
	select {
	case s.purchases.poke <- struct{}{}:
	default: // it is awake already
	}
	return nil
}

// eventRow is an event as the inbox keeps it.
func (s *Service) eventRow(endpoint string, e *checkout.Event, payload []byte, now models.Time) models.StripeEvent {
	row := models.StripeEvent{
		Endpoint: endpoint, EventID: e.ID, Type: e.Type, Account: e.Account, ObjectID: e.ObjectID, Reference: e.Reference,
		APIVersion: e.APIVersion, Live: e.Live, Payload: payload, State: models.EventPending, NextAt: now, ReceivedAt: now,
	}
	switch {
	case e.Live != s.payments.LiveMode(): // a live Connect endpoint is sent test events too
		row.State, row.Note, row.ProcessedAt = models.EventIgnored, "made in another mode", now
	case e.Invoice != "" && !isMoneyBackEvent(e.Type): // of a plan: its invoice tells
		row.State, row.Note, row.ProcessedAt = models.EventIgnored, "a payment of an invoice", now
	case endpoint == EndpointPlatform && isPlanEvent(e.Type):
		if row.Reference == "" {
			row.Reference = e.Subscription
		}
	case isPlanEvent(e.Type): // an agency's own business, or a client's monthly package
		if _, err := models.ParseID[models.PackageSubID](row.Reference); err != nil {
			row.State, row.Note, row.ProcessedAt = models.EventIgnored, "about a subscription that is not ours", now
		}
	case !isPurchaseEvent(e.Type) && !isCardEvent(e.Type) && !isConnectionEvent(endpoint, e.Type, e.Account):
		row.State, row.Note, row.ProcessedAt = models.EventIgnored, "not about a purchase, a card or a connection", now
	}
	if e.PaymentIntent != "" && row.Reference == "" {
		row.Reference = e.PaymentIntent
	}
	return row
}

// eventDeauthorized ends a connection.
const eventDeauthorized = "account.application.deauthorized"

func isPurchaseEvent(kind string) bool {
	return strings.HasPrefix(kind, "checkout.session.") || strings.HasPrefix(kind, "payment_intent.") || isMoneyBackEvent(kind)
}

// isMoneyBackEvent tells events of what happens to a payment after it was made.
// refund.failed is younger than the version of the API that is spoken here, and
// comes from accounts that ask for it.
func isMoneyBackEvent(kind string) bool {
	return kind == "charge.refunded" || strings.HasPrefix(kind, "charge.refund.") || strings.HasPrefix(kind, "charge.dispute.") ||
		strings.HasPrefix(kind, "refund.") || strings.HasPrefix(kind, "radar.early_fraud_warning.")
}

func isConnectionEvent(endpoint, kind, account string) bool {
	return endpoint == EndpointConnect && account != "" &&
		(kind == "account.updated" || kind == "capability.updated" || kind == eventDeauthorized)
}

// foreignError is why an event has nothing to do with us: it is never looked at
// again.
type foreignError string

func (e foreignError) Error() string { return string(e) }

// WorkInbox settles purchases as their events arrive, until ctx ends. RunDue
// does the same for what it missed.
func (s *Service) WorkInbox(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.purchases.poke:
			if err := problem.Contain(func() error { return s.workEvents(ctx, s.clock.Now()) }); err != nil && ctx.Err() == nil {
				s.log.LogAttrs(ctx, slog.LevelError, "work the payment inbox", slog.Any("error", err))
			}
		}
	}
}

func (s *Service) purchasesDue(ctx context.Context, now models.Time) error {
	if s.payments == nil {
		return nil
	}
	return errors.Join(s.workEvents(ctx, now), s.pollPurchases(ctx, now), s.refundsDue(ctx, now), s.reconcileDue(ctx, now), s.connectionsDue(ctx, now), s.waitingDue(ctx, now), s.monthsDue(ctx, now))
}

// workEvents handles each stored event that is due. One that fails waits and
// does not block the others.
func (s *Service) workEvents(ctx context.Context, now models.Time) error {
	for {
		var due []models.StripeEvent
		if err := s.db.Read.WithContext(ctx).Where("state = ? AND next_at <= ?", models.EventPending, now).
			Order("next_at").Limit(pollBatch).Find(&due).Error; err != nil {
			return err
		}
		for i := range due {
			if err := s.workEvent(ctx, &due[i], now); err != nil {
				return err
			}
		}
		if len(due) < pollBatch || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (s *Service) workEvent(ctx context.Context, e *models.StripeEvent, now models.Time) error {
	err := problem.Contain(func() error {
		switch {
		case isConnectionEvent(e.Endpoint, e.Type, e.Account):
			return s.connectionEvent(ctx, e, now)
		case isCardEvent(e.Type):
			return s.changedCardEvent(ctx, e)
		}
		return s.settleEvent(ctx, e)
	})
	e.Attempts++
	_, foreign := errors.AsType[foreignError](err)
	switch {
	case err == nil:
		e.State, e.ProcessedAt, e.Note = models.EventProcessed, now, ""
	case foreign:
		e.State, e.ProcessedAt, e.Note = models.EventIgnored, now, err.Error()
	case now.Sub(e.ReceivedAt) > eventPatience:
		e.State, e.ProcessedAt, e.Note = models.EventDead, now, err.Error()
		s.log.LogAttrs(ctx, slog.LevelError, "stripe event given up", slog.String("event", e.EventID), slog.Any("error", err))
	default:
		// Our row may not be written yet, or Stripe does not answer: later.
		e.Note = err.Error()
		e.NextAt = now.Add(min(time.Duration(1<<min(e.Attempts, 12))*time.Second, time.Hour))
	}
	fresh := false
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		booked := tx.Model(&models.StripeEvent{}).
			Where("endpoint = ? AND event_id = ? AND state = ?", e.Endpoint, e.EventID, models.EventPending).
			Updates(map[string]any{"state": e.State, "note": e.Note, "attempts": e.Attempts, "next_at": e.NextAt, "processed_at": e.ProcessedAt})
		fresh = booked.RowsAffected == 1 // not when another process was faster
		if booked.Error != nil || !fresh || e.State != models.EventDead {
			return booked.Error
		}
		return s.mailDead(tx, e, now)
	})
	if err == nil && fresh {
		s.purchases.count(e.State)
	}
	return err
}

// settleEvent finds the purchase an event hints at and settles it from Stripe's
// own answer.
func (s *Service) settleEvent(ctx context.Context, e *models.StripeEvent) error {
	for _, ref := range []string{e.ObjectID, e.Reference} {
		if ref == "" {
			continue
		}
		p, err := s.PurchaseByRef(ctx, Scope{}, ref)
		if problem.Is(err, "not_found") {
			continue
		}
		if err != nil {
			return err
		}
		if p.Account != e.Account {
			// Whoever owns a connected account can make objects there that name any
			// purchase, and Stripe signs what it tells of them.
			return foreignError("it comes from an account that the purchase is not paid into")
		}
		if p.CheckoutSession == "" && !p.Automatic() {
			return errors.New("the purchase has no session yet")
		}
		if p.Month() && !isMoneyBackEvent(e.Type) {
			_, err = s.SettleMonthly(ctx, p.AgencyID, p.SubscriptionID)
			return err
		}
		_, err = s.settle(ctx, p.AgencyID, p.ID, isMoneyBackEvent(e.Type))
		return err
	}
	if found, err := s.cardEvent(ctx, e); found || err != nil {
		return err
	}
	if e.Account == "" {
		if found, err := s.settlePlanEvent(ctx, e); found || err != nil {
			return err
		}
	}
	return errors.New("no purchase of ours is known by this event's object")
}

// pollPurchases asks Stripe about purchases nobody told us of, rarely for old
// ones and often for new ones.
func (s *Service) pollPurchases(ctx context.Context, now models.Time) error {
	var pending []models.Purchase
	soonest, latest := models.Time(pollSoonest.Microseconds()), models.Time(pollLatest.Microseconds())
	if err := s.db.Read.WithContext(ctx).
		Where("status IN ?", []models.PurchaseStatus{models.PurchaseOpen, models.PurchaseProcessing}).
		Where("checked_at <= ? AND (status = ? AND expires_at <= ? OR checked_at <= ? OR (? - checked_at) * 4 >= ? - created_at)",
			now-soonest, models.PurchaseOpen, now, now-latest, now, now).
		Order("checked_at").Limit(pollBatch).Find(&pending).Error; err != nil {
		return err
	}
	// What a bank has not decided is asked about by the hour.
	var moving []models.Purchase
	if err := s.db.Read.WithContext(ctx).Where("checked_at <= ? AND (dispute IN ? OR refund_pending > 0)", now.Add(-pollMoney),
		[]models.DisputeState{models.DisputeInquiry, models.DisputeOpen}).Order("checked_at").Limit(pollBatch).Find(&moving).Error; err != nil {
		return err
	}
	var errs []error
	for _, p := range append(pending, moving...) {
		err := problem.Contain(func() error {
			_, err := s.settle(ctx, p.AgencyID, p.ID, p.CreditedAt > 0)
			return err
		})
		if err == nil {
			continue
		}
		// Asked in vain: the next time is as far off as after an answer.
		errs = append(errs, err, s.db.Write.WithContext(ctx).Model(&models.Purchase{}).
			Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Update("checked_at", now).Error)
	}
	return errors.Join(errs...)
}
