package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// PlanPayments is what billing needs of a payment provider to sell plans; a
// provider of Payments that has it sells them.
type PlanPayments interface {
	PriceOf(ctx context.Context, p checkout.PriceParams) (string, error)
	CreatePlanSession(ctx context.Context, p checkout.PlanSessionParams) (checkout.Session, error)
	Subscription(ctx context.Context, id string) (checkout.Subscription, error)
	SwitchPlan(ctx context.Context, p checkout.PlanSwitch) (checkout.Subscription, error)
	SwitchCost(ctx context.Context, p checkout.PlanSwitch) (models.Money, error)
	CancelPlan(ctx context.Context, subscription string, atEnd bool, idempotencyKey string) (checkout.Subscription, error)
	EndPlan(ctx context.Context, subscription string) (checkout.Subscription, error)
	PayInvoice(ctx context.Context, invoice, idempotencyKey string) error
	BillingPortal(ctx context.Context, customer, returnURL string) (string, error)
	PaidInvoices(ctx context.Context, from models.Time, each func(checkout.Invoice) error) error
}

// GraceSetting names the setting of how many days a plan goes on unpaid.
const GraceSetting = "plan_grace_days"

// defaultGrace is how many days that is unless it is set.
const defaultGrace = 7

func graceDays(tx *gorm.DB) (int, error) {
	text, err := setting(tx, GraceSetting)
	if err != nil || text == "" {
		return defaultGrace, err
	}
	if days, err := strconv.Atoi(text); err == nil && days >= 0 && days <= maxTrialDays {
		return days, nil
	}
	return defaultGrace, nil
}

// GraceDays reads how many days a plan goes on unpaid.
func (s *Service) GraceDays(ctx context.Context) (int, error) {
	return graceDays(s.db.Read.WithContext(ctx))
}

// SetGraceDays changes it, for plans that fall behind from now on. Errors:
// invalid_days.
func (s *Service) SetGraceDays(ctx context.Context, days int, by Actor) error {
	now := s.clock.Now()
	if days < 0 || days > maxTrialDays {
		return problem.New(problem.Invalid, "invalid_days", "Give a number of days from 0 up to %d.", maxTrialDays).On("days")
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		was, err := graceDays(tx)
		if err != nil || was == days {
			return err
		}
		if err := tx.Save(&models.Setting{Name: GraceSetting, Value: strconv.Itoa(days)}).Error; err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, by, "plan.grace", GraceSetting, fmt.Sprintf("%d → %d days", was, days), "", now)
	})
}

// How often Stripe is asked about plans nobody told us of.
const (
	planPatience  = 2 * time.Hour // a renewal's invoice is a draft for an hour
	planPollEvery = time.Hour
	orderPoll     = 15 * time.Minute
)

// planFacts are what Stripe said of an agency's plan at one moment.
type planFacts struct {
	live   models.Subscription    // ours, as it was when Stripe was asked
	stripe *checkout.Subscription // nil: ours is not Stripe's
	orders []orderFacts
}

type orderFacts struct {
	order   models.PlanOrder
	session checkout.Session
	stripe  *checkout.Subscription // that the session began
}

// maxSettles bounds how often a settle that others overtook asks again.
const maxSettles = 10

// SettlePlan asks Stripe how an agency's plan stands and brings ours, and the
// credits, to it. Webhooks, the return page, the clock and people call this one
// function; it may run any number of times, at once. Errors: not_found,
// payment_unavailable.
func (s *Service) SettlePlan(ctx context.Context, agency models.AgencyID) error {
	if s.plans == nil {
		return paymentUnavailable(errors.New("no payment provider is configured"))
	}
	defer s.periods.kept.Delete(agency)
	for range maxSettles {
		facts, err := s.askPlan(ctx, agency)
		if err != nil {
			return err
		}
		now := s.clock.Now()
		overtaken := false
		if err := s.db.InTx(ctx, func(tx *gorm.DB) error {
			overtaken, err = s.applyPlan(ctx, tx, agency, &facts, now)
			return err
		}); err != nil {
			return err
		}
		if !overtaken {
			s.cards.forget()
			s.settleReferralOf(ctx, agency)
			return nil
		}
	}
	return paymentUnavailable(fmt.Errorf("the plan of agency %s was settled elsewhere %d times meanwhile", agency, maxSettles))
}

// askPlan fetches everything that an agency's plan depends on. It must not run in
// a transaction.
func (s *Service) askPlan(ctx context.Context, agency models.AgencyID) (planFacts, error) {
	var out planFacts
	var orders []models.PlanOrder
	var err error
	read := s.db.Write.WithContext(ctx) // a replica's lag would look like an answer
	if out.live, err = liveSubscription(read, agency); err != nil {
		return out, err
	}
	if err := read.Where("agency_id = ? AND status = ? AND checkout_session <> ''", agency, models.PlanOrderOpen).Order("id").Find(&orders).Error; err != nil {
		return out, err
	}
	if out.live.ByStripe() {
		stripe, err := s.plans.Subscription(ctx, out.live.StripeID)
		if err != nil {
			return out, paymentUnavailable(err)
		}
		out.stripe = &stripe
	}
	for i := range orders {
		facts := orderFacts{order: orders[i]}
		if facts.session, err = s.payments.Session(ctx, "", orders[i].CheckoutSession); err != nil {
			return out, paymentUnavailable(err)
		}
		if facts.session.Status == checkout.StatusComplete && facts.session.Subscription != "" {
			stripe, err := s.plans.Subscription(ctx, facts.session.Subscription)
			if err != nil {
				return out, paymentUnavailable(err)
			}
			facts.stripe = &stripe
		}
		out.orders = append(out.orders, facts)
	}
	return out, nil
}

// applyPlan books what Stripe said; overtaken tells that somebody else booked a
// later answer, and that it is to be asked again.
func (s *Service) applyPlan(ctx context.Context, tx *gorm.DB, agency models.AgencyID, facts *planFacts, now models.Time) (overtaken bool, err error) {
	sub, err := lockedSubscription(tx, agency)
	if err != nil {
		return false, err
	}
	if sub.ID != facts.live.ID || sub.Revision != facts.live.Revision {
		return true, nil
	}
	if facts.stripe != nil {
		if err := s.follow(ctx, tx, &sub, facts.stripe, now); err != nil {
			return false, err
		}
	}
	for i := range facts.orders {
		if err := s.applyOrder(ctx, tx, &facts.orders[i], now); err != nil {
			return false, err
		}
	}
	return false, nil
}

// applyOrder books where an owner's checkout stands.
func (s *Service) applyOrder(ctx context.Context, tx *gorm.DB, f *orderFacts, now models.Time) error {
	var order models.PlanOrder
	if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("agency_id = ? AND id = ?", f.order.AgencyID, f.order.ID).Take(&order).Error; err != nil {
		return err
	}
	if order.Status != models.PlanOrderOpen {
		return nil
	}
	order.CheckedAt = now
	switch {
	case f.session.Reference != order.ID.String() || f.session.Live != order.Live:
		return fmt.Errorf("plan order %s: its session belongs to %q, live %t", order.ID, f.session.Reference, f.session.Live)
	case f.session.Status == checkout.StatusExpired:
		order.Status, order.StatusNote = models.PlanOrderExpired, "The time to decide ran out. You were not charged."
	case f.stripe == nil || f.stripe.Status == checkout.SubscriptionIncomplete:
	case f.stripe.Status == checkout.SubscriptionNeverPaid || f.stripe.Status == checkout.SubscriptionCanceled:
		order.Status, order.StatusNote = models.PlanOrderExpired, "The first payment was not made."
	default:
		if err := s.takePlan(ctx, tx, &order, f.stripe, now); err != nil {
			return err
		}
		order.Status = models.PlanOrderDone
	}
	return tx.Where("agency_id = ? AND id = ?", order.AgencyID, order.ID).Select("*").Updates(&order).Error
}

// takePlan begins the subscription that an owner's checkout made. What ran before
// it ends, with the credits it gave; frozen packs can be used again.
func (s *Service) takePlan(ctx context.Context, tx *gorm.DB, order *models.PlanOrder, stripe *checkout.Subscription, now models.Time) error {
	var agency models.Agency
	var plan models.Plan
	if err := tx.Where("id = ?", order.AgencyID).Take(&agency).Error; err != nil {
		return err
	}
	if err := tx.Where("id = ?", order.PlanID).Take(&plan).Error; err != nil {
		return err
	}
	if stripe.Price != (models.Money{Amount: plan.Price, Currency: plan.Currency}) || stripe.Live != order.Live || stripe.Reference != order.ID.String() {
		return fmt.Errorf("plan order %s: Stripe charges %d %s for %q, the plan is %d %s", order.ID,
			stripe.Price.Amount, stripe.Price.Currency, stripe.Reference, plan.Price, plan.Currency)
	}
	old, err := liveSubscription(tx, agency.ID)
	if err != nil {
		return err
	}
	was := "none"
	if !old.ID.IsZero() {
		if was, err = s.replace(ctx, tx, &agency, &old, now, true); err != nil {
			return err
		}
	}
	sub := termsOf(&plan)
	sub.AgencyID, sub.ID, sub.CreatedAt = agency.ID, models.NewID[models.SubscriptionID](now), now
	sub.AnchorAt, sub.TimeZone = stripe.Anchor, time.UTC.String()
	sub.StripeID, sub.StripeCustomer, sub.StripeOpen, sub.BilledPlanID = stripe.ID, stripe.Customer, true, plan.ID
	sub.PeriodStart, sub.PeriodEnd = firstPeriod(stripe, rhythm(sub.Every), now)
	if taken := old.PeriodStart; taken == sub.PeriodStart {
		sub.PeriodStart++ // a wallet has one allowance of each period's start
	}
	sub.TrialEnd = stripe.TrialEnd
	if stripe.Status == checkout.SubscriptionTrialing {
		sub.Status = models.SubscriptionTrialing
	}
	if err := tx.Create(&sub).Error; err != nil {
		return fmt.Errorf("begin the plan: %w", err)
	}
	for _, ref := range []string{stripe.ID, stripe.Customer} {
		if err := knowPlanRef(tx, ref, agency.ID); err != nil {
			return err
		}
	}
	if err := knowPayer(tx, agency.ID, "customer", stripe.Customer, now); err != nil {
		return err
	}
	if err := s.putOnPlan(ctx, tx, &agency, &plan, sub.PeriodStart, now); err != nil {
		return err
	}
	if err := s.grantAllowance(ctx, tx, &agency, &sub, max(now, sub.PeriodStart)); err != nil {
		return err
	}
	if err := s.audit(tx, agency.ID, Actor(order.OrderedBy), "plan.take", agency.ID.String(), was+" → "+edition(&plan), "", now); err != nil {
		return err
	}
	return s.follow(ctx, tx, &sub, stripe, now) // a trial that is over, a first invoice that was not paid
}

// firstPeriod is the period of a subscription of Stripe's that runs now: the
// trial, or the rhythm of the plan from Stripe's anchor.
func firstPeriod(stripe *checkout.Subscription, every period.Every, now models.Time) (start, end models.Time) {
	at := max(now, stripe.PeriodStart)
	if stripe.TrialEnd > at {
		return stripe.PeriodStart, stripe.TrialEnd
	}
	_, start, end = period.Containing(stripe.Anchor, time.UTC, every, at)
	return start, end
}

// termsOf is a subscription's snapshot of a plan.
func termsOf(plan *models.Plan) models.Subscription {
	return models.Subscription{
		PlanID: plan.ID, PlanVersion: plan.Version, Status: models.SubscriptionActive, Price: plan.Price, Currency: plan.Currency, PaidEvery: plan.PaidEvery,
		Every: plan.Every, Allowance: plan.Allowance,
	}
}

// retakes copies where a plan stands at Stripe to the subscription that follows
// it.
func retakes(sub, old *models.Subscription) {
	sub.StripeID, sub.StripeCustomer, sub.StripeStatus, sub.StripeOpen = old.StripeID, old.StripeCustomer, old.StripeStatus, old.StripeOpen
	sub.BilledPlanID, sub.PaidUntil, sub.CheckedAt, sub.Revision = old.BilledPlanID, old.PaidUntil, old.CheckedAt, old.Revision
	sub.TrialEnd, sub.GraceUntil, sub.CancelAt = old.TrialEnd, old.GraceUntil, old.CancelAt
	if old.ByStripe() {
		sub.Status = old.Status
	}
}

// replace ends the row of a subscription that another one follows, and its
// allowance if ending says so. It gives what the plan was.
func (s *Service) replace(ctx context.Context, tx *gorm.DB, agency *models.Agency, old *models.Subscription, now models.Time, ending bool) (string, error) {
	var from models.Plan
	if err := tx.Where("id = ?", old.PlanID).Take(&from).Error; err != nil {
		return "", err
	}
	if err := tx.Model(&models.Subscription{}).Where("agency_id = ? AND id = ?", agency.ID, old.ID).
		Updates(map[string]any{"ended_at": now, "status": models.SubscriptionCancelled, "next_plan_id": nil, "next_at": 0}).Error; err != nil {
		return "", err
	}
	if ending {
		if _, err := s.ledger.EndPlanCredits(ctx, tx, agency.ID, agency.WalletID, now); err != nil {
			return "", err
		}
	}
	return edition(&from), nil
}

// follow brings a subscription to what Stripe says of it.
func (s *Service) follow(ctx context.Context, tx *gorm.DB, sub *models.Subscription, stripe *checkout.Subscription, now models.Time) error {
	if stripe.ID != sub.StripeID || stripe.Live != s.payments.LiveMode() {
		return fmt.Errorf("subscription %s: Stripe answered for %q, live %t", sub.ID, stripe.ID, stripe.Live)
	}
	days, err := graceDays(tx)
	if err != nil {
		return err
	}
	was := sub.Status
	heed(sub, stripe, now, days)
	sub.Revision++
	if err := s.notePlanPayment(tx, sub.AgencyID, &stripe.Invoice, now); err != nil {
		return err
	}
	switch {
	case stripe.Status == checkout.SubscriptionCanceled || stripe.Status == checkout.SubscriptionNeverPaid:
		status := models.SubscriptionCancelled
		if sub.GraceUntil > 0 {
			status = models.SubscriptionLapsed
		}
		sub.StripeOpen = false
		if stripe.Invoice.Status == "open" {
			sub.StripeOpen = true // what is still to be paid is to be voided
		}
		return s.endSubscription(ctx, tx, sub, status, min(now, max(stripe.EndedAt, sub.PeriodStart+1)), now)
	case sub.GraceUntil > 0 && sub.GraceUntil <= now:
		return s.endSubscription(ctx, tx, sub, models.SubscriptionLapsed, now, now)
	}
	if err := tx.Where("agency_id = ? AND id = ?", sub.AgencyID, sub.ID).Select("*").Updates(sub).Error; err != nil {
		return err
	}
	if sub.Status == models.SubscriptionGrace && was != sub.Status {
		f := models.NoticeFacts{Amount: sub.Price, Currency: sub.Currency, At: sub.GraceUntil}
		if err := s.notifyPlan(tx, models.NoticePlanPastDue, sub, sub.ID.String()+" "+sub.GraceUntil.RFC3339(), f, now); err != nil {
			return err
		}
	}
	return s.followPrice(ctx, tx, sub, stripe, now)
}

// heed writes what Stripe says of a subscription into its row.
func heed(sub *models.Subscription, stripe *checkout.Subscription, now models.Time, graceDays int) {
	sub.CheckedAt, sub.StripeStatus, sub.StripeCustomer, sub.TrialEnd, sub.CancelAt = now, string(stripe.Status), stripe.Customer, stripe.TrialEnd, stripe.CancelAt
	if stripe.CancelAtEnd {
		sub.CancelAt = stripe.PeriodEnd
	}
	switch stripe.Status {
	case checkout.SubscriptionTrialing, checkout.SubscriptionActive:
		sub.Status, sub.GraceUntil = models.SubscriptionActive, 0
		if stripe.Status == checkout.SubscriptionTrialing {
			sub.Status = models.SubscriptionTrialing
		}
		if stripe.Invoice.Paid {
			sub.PaidUntil = max(sub.PaidUntil, stripe.PeriodEnd)
		}
	case checkout.SubscriptionPastDue, checkout.SubscriptionUnpaid, checkout.SubscriptionPaused:
		sub.Status = models.SubscriptionGrace
		if sub.GraceUntil == 0 {
			sub.GraceUntil = stripe.Invoice.CreatedAt.Add(time.Duration(graceDays) * 24 * time.Hour)
		}
	case checkout.SubscriptionIncomplete, checkout.SubscriptionNeverPaid, checkout.SubscriptionCanceled:
	}
}

// followPrice brings the plan to the price that Stripe collects: a dearer one
// begins now, a cheaper one with the next period.
func (s *Service) followPrice(ctx context.Context, tx *gorm.DB, sub *models.Subscription, stripe *checkout.Subscription, now models.Time) error {
	id, err := models.ParseID[models.PlanID](stripe.Plan)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "a plan's price at Stripe names no plan", slog.String("agency", sub.AgencyID.String()), slog.String("subscription", stripe.ID))
		return nil //nolint:nilerr // somebody changed it by hand at Stripe: a person has to look, trying again helps nobody
	}
	if id == sub.BilledPlanID {
		return nil
	}
	var target models.Plan
	if err := tx.Where("id = ?", id).Take(&target).Error; err != nil {
		return missing(err, "plan")
	}
	switch {
	case target.ID == sub.PlanID:
		return updateSubscription(tx, sub, map[string]any{"billed_plan_id": target.ID, "next_plan_id": nil, "next_at": 0})
	case dearer(&target, sub) || stripe.Anchor != sub.AnchorAt:
		return s.upgrade(ctx, tx, sub, &target, stripe, now)
	}
	if err := updateSubscription(tx, sub, map[string]any{"billed_plan_id": target.ID, "next_plan_id": target.ID, "next_at": paidEnd(sub)}); err != nil {
		return err
	}
	return s.audit(tx, sub.AgencyID, ActorClock, "plan.schedule", sub.AgencyID.String(), edition(&target)+" at the next reset", "", now)
}

func updateSubscription(tx *gorm.DB, sub *models.Subscription, columns map[string]any) error {
	return tx.Model(&models.Subscription{}).Where("agency_id = ? AND id = ?", sub.AgencyID, sub.ID).Updates(columns).Error
}

// dearer compares what a plan and a subscription cost a month.
func dearer(plan *models.Plan, sub *models.Subscription) bool {
	return plan.Price*sub.PaidEvery.Months() > sub.Price*plan.PaidEvery.Months() // a price is below 10^8
}

// upgrade puts an agency on a plan in the middle of a period: the difference of
// the allowances is added for the rest of it. Where Stripe begins a new period,
// so do we, with the whole allowance.
func (s *Service) upgrade(ctx context.Context, tx *gorm.DB, old *models.Subscription, target *models.Plan, stripe *checkout.Subscription, now models.Time) error {
	var agency models.Agency
	if err := tx.Where("id = ?", old.AgencyID).Take(&agency).Error; err != nil {
		return err
	}
	anew := stripe.Anchor != old.AnchorAt || target.Every != old.Every
	was, err := s.replace(ctx, tx, &agency, old, now, anew)
	if err != nil {
		return err
	}
	sub := termsOf(target)
	retakes(&sub, old)
	sub.AgencyID, sub.ID, sub.CreatedAt, sub.BilledPlanID = agency.ID, models.NewID[models.SubscriptionID](now), now, target.ID
	sub.AnchorAt, sub.TimeZone, sub.PeriodStart, sub.PeriodEnd = old.AnchorAt, old.TimeZone, old.PeriodStart, old.PeriodEnd
	if anew {
		sub.AnchorAt = stripe.Anchor
		sub.PeriodStart, sub.PeriodEnd = firstPeriod(stripe, rhythm(sub.Every), now)
		if sub.PeriodStart <= old.PeriodStart {
			sub.PeriodStart = max(now, old.PeriodStart+1)
		}
	}
	if err := tx.Create(&sub).Error; err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	if err := s.setPlanPolicy(ctx, tx, &agency, target); err != nil {
		return err
	}
	added := sub
	if anew {
		if err := s.ledger.StartCycle(ctx, tx, agency.ID, agency.WalletID, sub.PeriodStart); err != nil {
			return err
		}
	} else {
		added.Allowance = max(0, target.Allowance-old.Allowance)
		added.PeriodStart = max(now, old.PeriodStart+1)
	}
	if err := s.grantAllowance(ctx, tx, &agency, &added, now); err != nil {
		return err
	}
	return s.audit(tx, agency.ID, ActorClock, "plan.change", agency.ID.String(), was+" → "+edition(target), "", now)
}

// endSubscription ends an agency's plan at an instant that has come: the rest of
// the allowance expires, nothing goes below zero any more, and packs are frozen
// until there is a plan again.
func (s *Service) endSubscription(ctx context.Context, tx *gorm.DB, sub *models.Subscription, status models.SubscriptionStatus, at, now models.Time) error {
	var agency models.Agency
	if err := tx.Where("id = ?", sub.AgencyID).Take(&agency).Error; err != nil {
		return err
	}
	sub.Status, sub.EndedAt, sub.NextPlanID, sub.NextAt = status, at, models.PlanID{}, 0
	if err := tx.Where("agency_id = ? AND id = ?", sub.AgencyID, sub.ID).Select("*").Updates(sub).Error; err != nil {
		return err
	}
	if _, err := s.ledger.EndPlanCredits(ctx, tx, agency.ID, agency.WalletID, now); err != nil {
		return err
	}
	if err := s.setPlanPolicy(ctx, tx, &agency, &models.Plan{}); err != nil {
		return err
	}
	if err := s.freezePacks(ctx, tx, &agency); err != nil {
		return err
	}
	if err := s.notifyPlan(tx, models.NoticePlanEnded, sub, sub.ID.String(), models.NoticeFacts{}, now); err != nil {
		return err
	}
	var plan models.Plan
	if err := tx.Where("id = ?", sub.PlanID).Take(&plan).Error; err != nil {
		return err
	}
	return s.audit(tx, agency.ID, ActorClock, "plan.end", agency.ID.String(), edition(&plan)+" "+string(status), "", now)
}

// freezePacks freezes what an agency without a plan has bought.
func (s *Service) freezePacks(ctx context.Context, tx *gorm.DB, agency *models.Agency) error {
	_, err := s.ledger.Freeze(ctx, tx, agency.ID, agency.WalletID, models.FreezeNoPlan, func(l *models.Lot) bool { return l.Source == models.SourcePurchase })
	return err
}

// freezeBought freezes a pack that was paid after the plan it was opened under
// had ended.
func (s *Service) freezeBought(ctx context.Context, tx *gorm.DB, id models.AgencyID) error {
	sub, err := liveSubscription(tx, id)
	if err != nil || !sub.ID.IsZero() {
		return err
	}
	var ended int64
	if err := tx.Model(&models.Subscription{}).Where("agency_id = ?", id).Count(&ended).Error; err != nil || ended == 0 {
		return err
	}
	var agency models.Agency
	if err := tx.Where("id = ?", id).Take(&agency).Error; err != nil {
		return err
	}
	return s.freezePacks(ctx, tx, &agency)
}

func knowPlanRef(tx *gorm.DB, ref string, agency models.AgencyID) error {
	if ref == "" {
		return nil
	}
	return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&models.PlanRef{Ref: ref, AgencyID: agency}).Error
}

// plansDue does what is due for plans that Stripe collects.
func (s *Service) plansDue(ctx context.Context, now models.Time) error {
	if s.plans == nil {
		return nil
	}
	return errors.Join(s.pollPlans(ctx, now), s.lapsePlans(ctx, now), s.pushPlans(ctx, now), s.closePlans(ctx, now))
}

// pollPlans asks Stripe about checkouts and periods nobody told us of.
func (s *Service) pollPlans(ctx context.Context, now models.Time) error {
	var agencies []models.AgencyID
	if err := s.db.Read.WithContext(ctx).Raw(`SELECT agency_id FROM (
			SELECT agency_id, checked_at FROM plan_orders WHERE status = ? AND checkout_session <> '' AND checked_at <= ? AND (checked_at <= ? OR expires_at <= ?)
			UNION ALL
			SELECT agency_id, checked_at FROM subscriptions WHERE ended_at = 0 AND stripe_open AND checked_at <= ?
				AND (paid_until <= ? OR status = ?)
		) due ORDER BY checked_at LIMIT ?`,
		models.PlanOrderOpen, now.Add(-pollSoonest), now.Add(-orderPoll), now,
		now.Add(-planPollEvery), now.Add(-planPatience), models.SubscriptionGrace, pollBatch).Scan(&agencies).Error; err != nil {
		return err
	}
	var errs []error
	for _, id := range agencies {
		err := s.SettlePlan(ctx, id)
		if err == nil {
			continue
		}
		// Asked in vain: the next time is as far off as after an answer.
		errs = append(errs, fmt.Errorf("settle the plan of agency %s: %w", id, err),
			s.db.Write.WithContext(ctx).Model(&models.Subscription{}).Where("agency_id = ? AND ended_at = 0", id).Update("checked_at", now).Error,
			s.db.Write.WithContext(ctx).Model(&models.PlanOrder{}).Where("agency_id = ? AND status = ?", id, models.PlanOrderOpen).Update("checked_at", now).Error)
	}
	return errors.Join(errs...)
}

// lapsePlans ends the plans whose grace has ended unpaid. Stripe is asked once
// more before that: it may have been paid in this moment.
func (s *Service) lapsePlans(ctx context.Context, now models.Time) error {
	return s.eachSubscription(s.db.Read.WithContext(ctx).Where("ended_at = 0 AND grace_until > 0 AND grace_until <= ?", now).Order("grace_until"),
		func(sub *models.Subscription) error { return s.SettlePlan(ctx, sub.AgencyID) })
}

// pushPlans has Stripe collect, from the next invoice on, the price of the plan
// that an agency is put on or noted for by us.
func (s *Service) pushPlans(ctx context.Context, now models.Time) error {
	return s.eachSubscription(s.db.Read.WithContext(ctx).
		Where("ended_at = 0 AND stripe_open AND billed_plan_id <> COALESCE(next_plan_id, plan_id)").Order("agency_id"),
		func(sub *models.Subscription) error {
			wanted := sub.PlanID
			if !sub.NextPlanID.IsZero() {
				wanted = sub.NextPlanID
			}
			var plan models.Plan
			if err := s.db.Read.WithContext(ctx).Where("id = ?", wanted).Take(&plan).Error; err != nil {
				return err
			}
			price, err := s.priceAtStripe(ctx, &plan)
			if err != nil {
				return err
			}
			stripe, err := s.plans.Subscription(ctx, sub.StripeID)
			if err != nil {
				return err
			}
			if stripe.Plan != plan.ID.String() {
				if _, err := s.plans.SwitchPlan(ctx, checkout.PlanSwitch{
					Subscription: sub.StripeID, Item: stripe.Item, Price: price, IdempotencyKey: "push:" + sub.ID.String() + ":" + plan.ID.String() + ":" + now.RFC3339(),
				}); err != nil {
					return err
				}
			}
			return s.db.Write.WithContext(ctx).Model(&models.Subscription{}).
				Where("agency_id = ? AND id = ? AND ended_at = 0 AND COALESCE(next_plan_id, plan_id) = ?", sub.AgencyID, sub.ID, wanted).
				Updates(map[string]any{"billed_plan_id": plan.ID, "revision": gorm.Expr("revision + 1")}).Error
		})
}

// closePlans has Stripe collect nothing any more for what has ended with us.
func (s *Service) closePlans(ctx context.Context, _ models.Time) error {
	return s.eachSubscription(s.db.Read.WithContext(ctx).Where("ended_at > 0 AND stripe_open").Order("ended_at"),
		func(sub *models.Subscription) error {
			live, err := liveSubscription(s.db.Read.WithContext(ctx), sub.AgencyID)
			if err != nil {
				return err
			}
			status := sub.StripeStatus
			if live.StripeID != sub.StripeID { // else another row of ours goes on with it
				stripe, err := s.plans.Subscription(ctx, sub.StripeID)
				if err == nil && live.ID.IsZero() && sub.Status == models.SubscriptionLapsed && stripe.Status == checkout.SubscriptionActive {
					return s.revive(ctx, sub, &stripe)
				}
				if err == nil {
					stripe, err = s.plans.EndPlan(ctx, sub.StripeID)
				}
				if err != nil && checkout.KindOf(err) != checkout.KindNotFound {
					return err
				}
				status = string(stripe.Status)
			}
			return s.db.Write.WithContext(ctx).Model(&models.Subscription{}).Where("agency_id = ? AND id = ?", sub.AgencyID, sub.ID).
				Updates(map[string]any{"stripe_open": false, "stripe_status": status}).Error
		})
}

// revive takes up a plan again that was paid in the moment it lapsed.
func (s *Service) revive(ctx context.Context, old *models.Subscription, stripe *checkout.Subscription) error {
	now := s.clock.Now()
	defer s.periods.kept.Delete(old.AgencyID)
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		live, err := lockedSubscription(tx, old.AgencyID)
		if err != nil || !live.ID.IsZero() {
			return err
		}
		var agency models.Agency
		var plan models.Plan
		if err := tx.Where("id = ?", old.AgencyID).Take(&agency).Error; err != nil {
			return err
		}
		if err := tx.Where("id = ?", old.PlanID).Take(&plan).Error; err != nil {
			return err
		}
		r := tx.Model(&models.Subscription{}).Where("agency_id = ? AND id = ? AND stripe_open", old.AgencyID, old.ID).Update("stripe_open", false)
		if r.Error != nil || r.RowsAffected == 0 {
			return r.Error
		}
		sub := *old
		sub.ID, sub.CreatedAt, sub.EndedAt, sub.Status, sub.GraceUntil, sub.StripeOpen = models.NewID[models.SubscriptionID](now), now, 0, models.SubscriptionActive, 0, true
		sub.PeriodStart = max(now, old.PeriodStart+1)
		_, _, sub.PeriodEnd = period.Containing(sub.AnchorAt, Zone(sub.TimeZone), rhythm(sub.Every), sub.PeriodStart)
		if err := tx.Create(&sub).Error; err != nil {
			return err
		}
		if err := s.putOnPlan(ctx, tx, &agency, &plan, sub.PeriodStart, now); err != nil {
			return err
		}
		if err := s.grantAllowance(ctx, tx, &agency, &sub, now); err != nil {
			return err
		}
		if err := s.audit(tx, agency.ID, ActorClock, "plan.revive", agency.ID.String(), edition(&plan), "", now); err != nil {
			return err
		}
		return s.follow(ctx, tx, &sub, stripe, now)
	})
}

// eachSubscription does something for a bounded number of subscriptions; one that
// fails holds up nobody else.
func (s *Service) eachSubscription(query *gorm.DB, do func(*models.Subscription) error) error {
	var found []models.Subscription
	if err := query.Limit(pollBatch).Find(&found).Error; err != nil {
		return err
	}
	var errs []error
	for i := range found {
		if err := do(&found[i]); err != nil {
			errs = append(errs, fmt.Errorf("subscription %s: %w", found[i].ID, err))
		}
	}
	return errors.Join(errs...)
}
