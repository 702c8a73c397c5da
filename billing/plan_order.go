package billing

import (
	"context"
	"errors"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// PlanPath is where an owner looks at their plan, below the portal's address.
const PlanPath = "/plan"

// isPlanEvent tells events of subscriptions and their invoices.
func isPlanEvent(kind string) bool {
	return strings.HasPrefix(kind, "customer.subscription.") || strings.HasPrefix(kind, "invoice.")
}

// settlePlanEvent finds the agency whose plan an event hints at and settles it
// from Stripe's own answer.
func (s *Service) settlePlanEvent(ctx context.Context, e *models.StripeEvent) (found bool, err error) {
	for _, ref := range []string{e.Reference, e.ObjectID} {
		var place models.PlanRef
		err := s.db.Write.WithContext(ctx).Where("ref = ?", ref).Take(&place).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		var waiting int64
		if err := s.db.Write.WithContext(ctx).Model(&models.PlanOrder{}).
			Where("agency_id = ? AND status = ? AND checkout_session = ''", place.AgencyID, models.PlanOrderOpen).Count(&waiting).Error; err != nil {
			return true, err
		}
		if isMoneyBackEvent(e.Type) {
			found, err := s.settlePlanPayment(ctx, ref)
			if err == nil && !found {
				err = errors.New("the plan's payment is not noted yet")
			}
			return true, err
		}
		if err := s.SettlePlan(ctx, place.AgencyID); err != nil {
			return true, err
		}
		if waiting > 0 {
			return true, errors.New("the order has no session yet")
		}
		return true, nil
	}
	if isPlanEvent(e.Type) {
		if _, err := models.ParseID[models.PlanOrderID](e.Reference); err != nil {
			return true, foreignError("it is about a subscription that is not ours")
		}
	}
	return false, nil
}

// TakePlanInput asks to put an agency on a plan that it pays for.
type TakePlanInput struct {
	Agency models.AgencyID
	Plan   string // id or code
	Key    string // of the attempt: the same key is the same order
	Email  string // of the owner, for invoices
	By     Actor
}

// TakePlan opens an order of a plan and its checkout; the owner decides at
// CheckoutURL. An older order that is still open is closed. Errors: unknown_plan,
// plan_not_sold, plan_running, idempotency_key_reused, agency_paused,
// payment_unavailable (nothing was charged).
func (s *Service) TakePlan(ctx context.Context, in TakePlanInput) (models.PlanOrder, error) {
	now := s.clock.Now()
	if err := checkKey(in.Key); err != nil {
		return models.PlanOrder{}, err
	}
	if s.plans == nil {
		return models.PlanOrder{}, paymentUnavailable(errors.New("no payment provider is configured"))
	}
	var order models.PlanOrder
	var plan models.Plan
	var before models.Subscription // that Stripe collected, if any ever was
	asked := fingerprint("plan", in.Agency.String(), in.Plan)
	err := s.once(ctx, func(tx *gorm.DB) error {
		err := tx.Where("agency_id = ? AND idempotency_key = ?", in.Agency, in.Key).Take(&order).Error
		done, err := again(err, order.Fingerprint, asked)
		if err != nil {
			return err
		}
		if err := tx.Where("agency_id = ? AND stripe_id <> ''", in.Agency).Order("created_at DESC").Limit(1).Find(&before).Error; err != nil {
			return err
		}
		if done {
			return tx.Where("id = ?", order.PlanID).Take(&plan).Error
		}
		if err := acting(tx, in.Agency); err != nil {
			return err
		}
		if plan, err = planByCode(tx, in.Plan); err != nil {
			return err
		}
		if err := sold(&plan); err != nil {
			return err
		}
		live, err := liveSubscription(tx, in.Agency)
		if err != nil {
			return err
		}
		if live.ByStripe() {
			return problem.New(problem.Conflict, "plan_running", "There is a plan running already: change it instead.").On("plan")
		}
		order = models.PlanOrder{
			AgencyID: in.Agency, ID: models.NewID[models.PlanOrderID](now), PlanID: plan.ID, Status: models.PlanOrderOpen, IdempotencyKey: in.Key,
			Fingerprint: asked, Live: s.payments.LiveMode(), OrderedBy: string(in.By), ExpiresAt: now.Add(SessionLife), CreatedAt: now,
		}
		if err := tx.Create(&order).Error; err != nil {
			return err
		}
		return knowPlanRef(tx, order.ID.String(), in.Agency)
	})
	if err != nil || order.CheckoutSession != "" || order.Status != models.PlanOrderOpen {
		return order, err
	}
	if err := s.closeOrders(ctx, &order); err != nil {
		return order, err
	}
	price, err := s.priceAtStripe(ctx, &plan)
	if err != nil {
		return order, paymentUnavailable(err)
	}
	params := checkout.PlanSessionParams{
		Reference: order.ID.String(), IdempotencyKey: "plan:" + order.ID.String(), Price: price, Customer: before.StripeCustomer, CustomerEmail: in.Email,
		SuccessURL: s.baseURL + PlanPath + "/return?s={CHECKOUT_SESSION_ID}", CancelURL: s.baseURL + PlanPath + "/choose", ExpiresAt: order.ExpiresAt,
	}
	if before.ID.IsZero() { // a trial is for those who never paid
		params.TrialDays = plan.TrialDays
	}
	session, err := s.plans.CreatePlanSession(ctx, params)
	if err != nil {
		return order, paymentUnavailable(err)
	}
	order.CheckoutSession, order.CheckoutURL, order.CheckedAt = session.ID, session.URL, now
	return order, s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := knowPlanRef(tx, session.ID, order.AgencyID); err != nil {
			return err
		}
		return tx.Model(&models.PlanOrder{}).Where("agency_id = ? AND id = ?", order.AgencyID, order.ID).
			Updates(map[string]any{"checkout_session": session.ID, "checkout_url": session.URL, "checked_at": now}).Error
	})
}

// sold tells whether owners may take a plan by themselves: one without a price, or
// one that gives its credits once, is agreed with the platform.
func sold(plan *models.Plan) error {
	if plan.Price > 0 && plan.Every == models.EveryMonth {
		return nil
	}
	return problem.New(problem.Forbidden, "plan_not_sold", "The %s plan is agreed with us in person. Write to us.", plan.Name).On("plan")
}

// closeOrders closes an agency's other open orders, so that no second page can
// still be paid.
func (s *Service) closeOrders(ctx context.Context, but *models.PlanOrder) error {
	var open []models.PlanOrder
	if err := s.db.Read.WithContext(ctx).Where("agency_id = ? AND status = ? AND id <> ? AND checkout_session <> ''", but.AgencyID, models.PlanOrderOpen, but.ID).
		Find(&open).Error; err != nil {
		return err
	}
	for i := range open {
		if _, err := s.payments.ExpireSession(ctx, "", open[i].CheckoutSession); err != nil {
			return paymentUnavailable(err)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return s.SettlePlan(ctx, but.AgencyID)
}

// priceAtStripe is what a version of a plan is called at Stripe; it is made there
// the first time.
func (s *Service) priceAtStripe(ctx context.Context, plan *models.Plan) (string, error) {
	row := models.PlanPrice{PlanID: plan.ID, Live: s.payments.LiveMode()}
	var known models.PlanPrice
	err := s.db.Read.WithContext(ctx).Where("plan_id = ? AND live = ?", row.PlanID, row.Live).Take(&known).Error
	if err == nil || !errors.Is(err, gorm.ErrRecordNotFound) {
		return known.PriceID, err
	}
	if row.PriceID, err = s.plans.PriceOf(ctx, checkout.PriceParams{
		Plan: plan.ID.String(), Name: plan.Name, Amount: models.Money{Amount: plan.Price, Currency: plan.Currency}, Yearly: plan.PaidEvery == models.PaidYearly,
	}); err != nil {
		return "", err
	}
	return row.PriceID, s.db.Write.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
}

// PlanOrderBySession finds an agency's order by its checkout. Errors: not_found.
func (s *Service) PlanOrderBySession(ctx context.Context, agency models.AgencyID, session string) (models.PlanOrder, error) {
	var out models.PlanOrder
	return out, missing(s.db.Read.WithContext(ctx).Where("agency_id = ? AND checkout_session = ? AND checkout_session <> ''", agency, session).Take(&out).Error, "order")
}

// PlanSwitch is what changing to another plan would do.
type PlanSwitch struct {
	From   models.Subscription
	To     models.Plan
	Now    bool           // else at At
	Added  models.Credits // with Now: at once
	Fresh  bool           // with Now: a new period begins, the rest of the plan credits expires
	Lost   models.Credits // with Fresh
	Cost   models.Money   // with Now: what is charged at once
	At     models.Time    // with Now: the instant that Cost is counted from; else when it begins
	Undoes bool           // it takes a change back that was to come
}

// PreviewSwitch tells what SwitchOwnPlan would do, and changes nothing. Errors:
// unknown_plan, plan_not_sold, no_plan, same_plan, paid_otherwise,
// payment_unavailable.
func (s *Service) PreviewSwitch(ctx context.Context, agency models.AgencyID, code string) (PlanSwitch, error) {
	now := s.clock.Now()
	if s.plans == nil {
		return PlanSwitch{}, paymentUnavailable(errors.New("no payment provider is configured"))
	}
	out, err := s.planSwitch(ctx, agency, code)
	if err != nil || !out.Now {
		return out, err
	}
	out.At = models.Time(int64(now) / 1_000_000 * 1_000_000) // Stripe counts seconds
	price, err := s.priceAtStripe(ctx, &out.To)
	if err != nil {
		return out, paymentUnavailable(err)
	}
	stripe, err := s.plans.Subscription(ctx, out.From.StripeID)
	if err != nil {
		return out, paymentUnavailable(err)
	}
	if out.Cost, err = s.plans.SwitchCost(ctx, checkout.PlanSwitch{Subscription: stripe.ID, Item: stripe.Item, Price: price, At: out.At}); err != nil {
		return out, paymentUnavailable(err)
	}
	if !out.Fresh {
		return out, nil
	}
	a, err := s.Agency(ctx, agency)
	if err != nil {
		return out, err
	}
	view, err := s.ledger.View(ctx, agency, a.WalletID, now)
	out.Lost = view.Balance.Plan
	return out, err
}

// planSwitch works out which way a change of plan goes.
func (s *Service) planSwitch(ctx context.Context, agency models.AgencyID, code string) (PlanSwitch, error) {
	var out PlanSwitch
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
		if out.From, err = liveSubscription(tx, agency); err != nil {
			return err
		}
		if !out.From.ByStripe() {
			return problem.New(problem.Conflict, "no_plan", "There is no plan to change; choose one.").On("plan")
		}
		// The running plan may be off offer: it can be kept all the same.
		err = tx.Where("id = ? AND (code = ? OR id = ?)", out.From.PlanID, code, planIDOr(code)).Take(&out.To).Error
		switch {
		case err == nil:
			out.Undoes = !out.From.NextPlanID.IsZero()
			if !out.Undoes {
				return problem.New(problem.Invalid, "same_plan", "You are on this plan already.").On("plan")
			}
			out.At = out.From.PeriodEnd
			return nil
		case !errors.Is(err, gorm.ErrRecordNotFound):
			return err
		}
		if out.To, err = planByCode(tx, code); err != nil {
			return err
		}
		return sold(&out.To)
	})
	if err != nil || out.Undoes {
		return out, err
	}
	other := out.To.PaidEvery != out.From.PaidEvery
	out.Now = dearer(&out.To, &out.From) || other && out.From.PaidEvery == models.PaidMonthly
	if !out.Now && other {
		return out, problem.New(problem.Conflict, "paid_otherwise",
			"This year is paid. Cancel the plan: at its end you can take one that is paid every month.").On("plan")
	}
	out.Fresh = out.Now && (other || out.To.Every != out.From.Every)
	switch {
	case out.Fresh:
		out.Added = out.To.Allowance
	case out.Now:
		out.Added = max(0, out.To.Allowance-out.From.Allowance)
	default:
		out.At = paidEnd(&out.From)
	}
	return out, nil
}

// paidEnd is when the running payment ends: a year may hold many periods. What is not
// paid through Stripe is taken to be paid by the year from its anchor.
func paidEnd(sub *models.Subscription) models.Time {
	if sub.PaidEvery != models.PaidYearly {
		return sub.PeriodEnd
	}
	until := sub.PaidUntil
	if !sub.ByStripe() {
		_, _, until = period.Containing(sub.AnchorAt, Zone(sub.TimeZone), period.Year, sub.PeriodStart)
	}
	return max(until, sub.PeriodEnd)
}

// nextPlanAt is when the plan that is noted begins: with what was paid when it was
// noted. The next year may be paid for by now.
func nextPlanAt(sub *models.Subscription) models.Time {
	if sub.NextAt > 0 {
		return sub.NextAt
	}
	return paidEnd(sub)
}

func planIDOr(text string) models.PlanID {
	id, err := models.ParseID[models.PlanID](text)
	if err != nil {
		return models.PlanID{}
	}
	return id
}

// SwitchInput changes an agency's plan.
type SwitchInput struct {
	Agency models.AgencyID
	Plan   string
	At     models.Time // of the preview, which priced it
	Key    string      // of the attempt
	By     Actor
}

// SwitchOwnPlan puts an agency on another plan: on a dearer one at once, its price
// for the rest of the period paid now; on a cheaper one with the next. Errors: as
// PreviewSwitch, and payment_declined, which changed nothing, agency_paused.
func (s *Service) SwitchOwnPlan(ctx context.Context, in SwitchInput) (PlanSwitch, error) {
	if s.plans == nil {
		return PlanSwitch{}, paymentUnavailable(errors.New("no payment provider is configured"))
	}
	if err := checkKey(in.Key); err != nil {
		return PlanSwitch{}, err
	}
	out, err := s.planSwitch(ctx, in.Agency, in.Plan)
	if err != nil {
		return out, err
	}
	if err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := acting(tx, in.Agency); err != nil {
			return err
		}
		return s.audit(tx, in.Agency, in.By, "plan.switch", in.Agency.String(), edition(&out.To), "", s.clock.Now())
	}); err != nil {
		return out, err
	}
	price, err := s.priceAtStripe(ctx, &out.To)
	if err != nil {
		return out, paymentUnavailable(err)
	}
	stripe, err := s.plans.Subscription(ctx, out.From.StripeID)
	if err != nil {
		return out, paymentUnavailable(err)
	}
	_, err = s.plans.SwitchPlan(ctx, checkout.PlanSwitch{
		Subscription: stripe.ID, Item: stripe.Item, Price: price, Now: out.Now, At: max(in.At, stripe.PeriodStart), IdempotencyKey: "switch:" + in.Agency.String() + ":" + in.Key,
	})
	if err != nil {
		return out, declined(err)
	}
	return out, s.SettlePlan(ctx, in.Agency)
}

// declined tells a card that refused from a provider that does not answer.
func declined(err error) error {
	if e, ok := errors.AsType[*checkout.Error](err); ok && e.Kind == checkout.KindDeclined {
		return problem.New(problem.Conflict, "payment_declined", "%s Nothing was changed.", e.Message).On("plan").Because(err)
	}
	return paymentUnavailable(err)
}

// CancelOwnPlan has an agency's plan end with what is paid for, or takes that
// back with keep. Again changes nothing. Errors: no_plan, payment_unavailable.
func (s *Service) CancelOwnPlan(ctx context.Context, agency models.AgencyID, keep bool, by Actor) error {
	now := s.clock.Now()
	action := "plan.cancel"
	if keep {
		action = "plan.keep"
	}
	var sub models.Subscription
	if err := s.db.InTx(ctx, func(tx *gorm.DB) (err error) {
		if sub, err = lockedSubscription(tx, agency); err != nil {
			return err
		}
		switch {
		case sub.ID.IsZero() || sub.Every == models.Once && !sub.ByStripe():
			return problem.New(problem.Conflict, "no_plan", "There is no plan that renews.").On("plan")
		case keep == (sub.CancelAt == 0):
			return nil
		case !sub.ByStripe():
			until := models.Time(0)
			if !keep {
				until = paidEnd(&sub)
			}
			if err := updateSubscription(tx, &sub, map[string]any{"cancel_at": until}); err != nil {
				return err
			}
		}
		return s.audit(tx, agency, by, action, agency.String(), "", "", now)
	}); err != nil || !sub.ByStripe() || keep == (sub.CancelAt == 0) {
		return err
	}
	if s.plans == nil {
		return paymentUnavailable(errors.New("no payment provider is configured"))
	}
	if _, err := s.plans.CancelPlan(ctx, sub.StripeID, !keep, action+":"+sub.ID.String()+":"+now.RFC3339()); err != nil {
		return paymentUnavailable(err)
	}
	return s.SettlePlan(ctx, agency)
}

// PayPlan tries to take now what a plan is behind with. Errors: no_plan,
// payment_declined, payment_unavailable.
func (s *Service) PayPlan(ctx context.Context, agency models.AgencyID, key string) error {
	sub, stripe, err := s.stripePlan(ctx, agency)
	if err != nil {
		return err
	}
	if stripe.Invoice.Due > 0 && stripe.Invoice.Status == "open" {
		if err := s.plans.PayInvoice(ctx, stripe.Invoice.ID, "pay:"+sub.ID.String()+":"+key); err != nil {
			return declined(err)
		}
	}
	return s.SettlePlan(ctx, agency)
}

// PlanPortal makes a link under which an agency manages its card and invoices at
// Stripe, and comes back. Errors: no_plan, payment_unavailable.
func (s *Service) PlanPortal(ctx context.Context, agency models.AgencyID) (string, error) {
	if s.plans == nil {
		return "", paymentUnavailable(errors.New("no payment provider is configured"))
	}
	var sub models.Subscription
	if err := s.db.Read.WithContext(ctx).Where("agency_id = ? AND stripe_customer <> ''", agency).Order("created_at DESC").Limit(1).Find(&sub).Error; err != nil {
		return "", err
	}
	if sub.StripeCustomer == "" {
		return "", problem.New(problem.Conflict, "no_plan", "There is no card yet; it comes with the first plan.").On("plan")
	}
	link, err := s.plans.BillingPortal(ctx, sub.StripeCustomer, s.baseURL+PlanPath)
	if err != nil {
		return "", paymentUnavailable(err)
	}
	return link, nil
}

// stripePlan is an agency's plan and what Stripe says of it now.
func (s *Service) stripePlan(ctx context.Context, agency models.AgencyID) (models.Subscription, checkout.Subscription, error) {
	sub, err := liveSubscription(s.db.Read.WithContext(ctx), agency)
	if err != nil {
		return sub, checkout.Subscription{}, err
	}
	if !sub.ByStripe() {
		return sub, checkout.Subscription{}, problem.New(problem.Conflict, "no_plan", "There is no plan that is paid through Stripe.").On("plan")
	}
	if s.plans == nil {
		return sub, checkout.Subscription{}, paymentUnavailable(errors.New("no payment provider is configured"))
	}
	stripe, err := s.plans.Subscription(ctx, sub.StripeID)
	if err != nil {
		return sub, stripe, paymentUnavailable(err)
	}
	return sub, stripe, nil
}

// LastSubscription reads an agency's live subscription, or the one that ended
// last; zero when there never was one.
func (s *Service) LastSubscription(ctx context.Context, agency models.AgencyID) (models.Subscription, error) {
	return lastSubscription(s.db.Read.WithContext(ctx), agency)
}

func lastSubscription(tx *gorm.DB, agency models.AgencyID) (models.Subscription, error) {
	var sub models.Subscription
	return sub, tx.Where("agency_id = ?", agency).Order("ended_at = 0 DESC, ended_at DESC, created_at DESC").Limit(1).Find(&sub).Error
}

// OwnPlan is what an agency's plan page shows.
type OwnPlan struct {
	Now     models.Time
	Plan    models.Plan         // zero: none
	Sub     models.Subscription // live, or the last that ended
	Next    models.Plan         // with the next paid period; zero: this one
	Due     models.Money        // behind with; zero: nothing, or unknown
	Invoice string              // its page at Stripe
	Packs   models.Credits      // frozen until there is a plan again
	Sells   bool                // plans can be paid here
	Offers  []models.Plan       // in order
	Trial   bool                // a plan's trial is open to this agency
}

// Live tells a running plan from one that ended.
func (p *OwnPlan) Live() bool { return !p.Sub.ID.IsZero() && p.Sub.EndedAt == 0 }

// Renews is when the allowance comes again; Never: it does not.
func (p *OwnPlan) Renews() models.Time {
	if !p.Live() || p.Sub.CancelAt > 0 && p.Sub.CancelAt <= p.Sub.PeriodEnd {
		return models.Never
	}
	return p.Sub.PeriodEnd
}

// PaidEnd is when the running payment ends: a year may hold many periods.
func (p *OwnPlan) PaidEnd() models.Time { return paidEnd(&p.Sub) }

// NextAt is when the plan that is noted begins.
func (p *OwnPlan) NextAt() models.Time { return nextPlanAt(&p.Sub) }

// PlanPage reads an agency's plan. What Stripe alone knows is left out when it does
// not answer.
func (s *Service) PlanPage(ctx context.Context, agency models.AgencyID) (OwnPlan, error) {
	out := OwnPlan{Now: s.clock.Now(), Sells: s.plans != nil}
	s.inPeriod(ctx, agency, out.Now)
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var err error
		if out.Sub, err = lastSubscription(tx, agency); err != nil {
			return err
		}
		for id, into := range map[models.PlanID]*models.Plan{out.Sub.PlanID: &out.Plan, out.Sub.NextPlanID: &out.Next} {
			if id.IsZero() {
				continue
			}
			if err := tx.Where("id = ?", id).Take(into).Error; err != nil {
				return err
			}
		}
		var paid int64
		if err := tx.Model(&models.Subscription{}).Where("agency_id = ? AND stripe_id <> ''", agency).Count(&paid).Error; err != nil {
			return err
		}
		out.Trial = paid == 0
		var a models.Agency
		if err := tx.Where("id = ?", agency).Take(&a).Error; err != nil {
			return missing(err, "agency")
		}
		if err := tx.Model(&models.Lot{}).Where("agency_id = ? AND wallet_id = ? AND open AND frozen AND source = ?", agency, a.WalletID, models.SourcePurchase).
			Select("CAST(COALESCE(SUM(remaining), 0) AS bigint)").Scan(&out.Packs).Error; err != nil {
			return err
		}
		return tx.Where("archived_at = 0 AND price > 0 AND every = ?", models.EveryMonth).Order("position, id").Find(&out.Offers).Error
	})
	if err != nil || !out.Live() || out.Sub.Status != models.SubscriptionGrace {
		return out, err
	}
	_, stripe, err := s.stripePlan(ctx, agency)
	if problem.Is(err, "payment_unavailable") || problem.Is(err, "no_plan") {
		return out, nil
	}
	out.Due = models.Money{Amount: stripe.Invoice.Due, Currency: stripe.Invoice.Total.Currency}
	out.Invoice = stripe.Invoice.URL
	return out, err
}
