package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// planTerm is a plan as its buyers see it.
func planTerm(p *models.Plan) views.PlanTerm {
	return views.PlanTerm{
		Name: p.Name, Code: p.Code, Price: models.Money{Amount: p.Price, Currency: p.Currency}, Yearly: p.PaidEvery == models.PaidYearly,
		Allowance: p.Allowance, Once: p.Every == models.Once, Clients: p.SubAccountLimit,
	}
}

// runningTerm is a plan on the terms that an agency began it with.
func runningTerm(own *billing.OwnPlan) views.PlanTerm {
	t := planTerm(&own.Plan)
	if own.Sub.ID.IsZero() {
		return t
	}
	t.Price, t.Yearly, t.Allowance, t.Once = own.Sub.Cost(), own.Sub.PaidEvery == models.PaidYearly, own.Sub.Allowance, own.Sub.Every == models.Once
	return t
}

// planState says where a plan stands, and until when.
func planState(sub *models.Subscription, now models.Time) (views.PlanState, models.Time) {
	switch {
	case sub.ID.IsZero():
		return views.PlanNone, 0
	case sub.EndedAt > 0 && sub.Status == models.SubscriptionLapsed:
		return views.PlanLapsed, sub.EndedAt
	case sub.EndedAt > 0:
		return views.PlanCancelled, sub.EndedAt
	case sub.Status == models.SubscriptionGrace:
		return views.PlanPastDue, sub.GraceUntil
	case sub.CancelAt > 0:
		return views.PlanEnding, sub.CancelAt
	case sub.Status == models.SubscriptionTrialing && sub.TrialEnd > now:
		return views.PlanTrial, sub.TrialEnd
	}
	return views.PlanActive, 0
}

// ownPlan is an agency's plan.
func (a *app) ownPlan(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	own, err := a.Billing.PlanPage(ctx, v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	out := views.OwnPlan{
		Term: runningTerm(&own), Frozen: own.Packs, Mine: mayBuy(v), Stripe: own.Sub.ByStripe(), Card: own.Sub.StripeCustomer != "" && own.Sells, Sells: own.Sells,
		Due: own.Due, Invoice: own.Invoice, Attempt: billing.NewSecret(),
	}
	out.State, out.Until = planState(&own.Sub, own.Now)
	if at := own.Renews(); at != models.Never {
		out.ResetsAt = at
	}
	if own.Live() && !own.Next.ID.IsZero() {
		out.Next, out.NextAt = own.Next.Name, own.NextAt()
	}
	wallet, err := a.Billing.Wallet(ctx, v.viewer.Account())
	if err != nil {
		a.sectionFailed(c, "balance", err)
	} else {
		out.Left = wallet.Balance.Plan
	}
	if out.Frame, err = a.frame(c, "Plan", "plan", known(&wallet, err)); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.OwnPlanPage(out))
}

// choosePlan lists the plans on offer.
func (a *app) choosePlan(c echo.Context) error {
	v := visitOf(c)
	own, err := a.Billing.PlanPage(c.Request().Context(), v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	out := views.PlanChoose{Mine: mayBuy(v), Sells: own.Sells, Ask: a.Help}
	if own.Live() {
		out.Current, out.Next = own.Plan.Code, own.Next.Code
		if !own.Sub.ByStripe() && own.Plan.Price > 0 {
			out.Current = "" // agreed otherwise: it can be taken here too
		}
	}
	for i := range own.Offers {
		t := planTerm(&own.Offers[i])
		if own.Trial {
			t.Trial = own.Offers[i].TrialDays
		}
		out.Plans = append(out.Plans, t)
	}
	if out.Frame, err = a.frame(c, "Plans", "plan", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PlanChoosePage(out))
}

// taking is a plan that somebody is about to take.
type taking struct {
	code, attempt string
	errors        views.FieldErrors
}

func (a *app) takePlanForm(c echo.Context) error {
	return a.showTakePlan(c, http.StatusOK, taking{code: c.QueryParam("plan")})
}

// showTakePlan says what a plan costs now and what from when.
func (a *app) showTakePlan(c echo.Context, code int, t taking) error {
	v, ctx := visitOf(c), c.Request().Context()
	own, err := a.Billing.PlanPage(ctx, v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	out := views.PlanTake{Errors: t.errors, Attempt: cmp.Or(t.attempt, billing.NewSecret()), From: own.Plan.Name}
	if !own.Live() {
		out.From, out.Frozen = "", own.Packs
	}
	if own.Live() && own.Sub.ByStripe() {
		preview, err := a.Billing.PreviewSwitch(ctx, v.viewer.Agency.ID, t.code)
		if p := problem.Of(err); p != nil {
			return a.noPlan(c, err)
		} else if err != nil {
			return err
		}
		out.Term, out.Now, out.Undoes, out.Fresh = planTerm(&preview.To), preview.Now, preview.Undoes, preview.Fresh
		out.Cost, out.Added, out.Lost, out.At = preview.Cost, preview.Added, preview.Lost, preview.At
		out.Priced = strconv.FormatInt(int64(preview.At), 10)
	} else {
		out.First = true
		if own.Live() {
			wallet, err := a.Billing.Wallet(ctx, v.viewer.Account())
			if err != nil {
				return err
			}
			out.Lost = wallet.Balance.Plan
		}
		for i := range own.Offers {
			if own.Offers[i].Code == t.code {
				out.Term = planTerm(&own.Offers[i])
				if own.Trial {
					out.Term.Trial = own.Offers[i].TrialDays
				}
			}
		}
		if out.Term.Code == "" {
			return a.noPlan(c, problem.New(problem.Invalid, "unknown_plan", "Choose one of the plans listed."))
		}
	}
	title := "Change to " + out.Term.Name
	if out.First {
		title = "Take " + out.Term.Name
	}
	if out.Frame, err = a.frame(c, title, "plan", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.PlanTakePage(out))
}

// noPlan leads back to the plans one may choose, with what was wrong.
func (a *app) noPlan(c echo.Context, err error) error { return a.planFailed(c, err, "/plan/choose") }

// planFailed leads back to a page about plans, with why something did not work.
func (a *app) planFailed(c echo.Context, err error, back string) error {
	p := problem.Of(err)
	if p == nil {
		return err
	}
	if p.Code == "payment_unavailable" {
		a.sectionFailed(c, "plan", err)
	}
	if err := a.say(c, views.Flash{Tone: views.ToneBad, Text: p.Message}); err != nil {
		return err
	}
	return seeOther(c, back)
}

// takePlan takes a plan, or changes to it.
func (a *app) takePlan(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	t := taking{code: c.FormValue("plan"), attempt: c.FormValue("attempt")}
	key := "web:" + cmp.Or(t.attempt, billing.NewSecret())
	own, err := a.Billing.PlanPage(ctx, v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	if own.Live() && own.Sub.ByStripe() {
		return a.switchPlan(c, t, key)
	}
	in := billing.TakePlanInput{Agency: v.viewer.Agency.ID, Plan: t.code, Key: key, Email: v.viewer.User.Email, By: v.viewer.Actor()}
	order, err := a.Billing.TakePlan(ctx, in)
	if err == nil && order.Status == models.PlanOrderExpired { // a page from before the last attempt ended
		in.Key = "web:" + billing.NewSecret()
		order, err = a.Billing.TakePlan(ctx, in)
	}
	if err != nil {
		return a.noPlan(c, err)
	}
	if order.Status != models.PlanOrderOpen || order.CheckoutURL == "" {
		return seeOther(c, "/plan/return?"+url.Values{"s": {order.CheckoutSession}}.Encode())
	}
	return seeOther(c, order.CheckoutURL)
}

func (a *app) switchPlan(c echo.Context, t taking, key string) error {
	v := visitOf(c)
	in := billing.SwitchInput{Agency: v.viewer.Agency.ID, Plan: t.code, Key: key, By: v.viewer.Actor()}
	if priced, err := strconv.ParseInt(c.FormValue("priced"), 10, 64); err == nil && models.Time(priced) <= a.Billing.Now() {
		in.At = models.Time(priced)
	}
	done, err := a.Billing.SwitchOwnPlan(c.Request().Context(), in)
	switch {
	case problem.Is(err, "payment_declined"):
		t.attempt = ""
		t.errors = views.FieldErrors{{Field: "plan", Text: problem.Of(err).Message}}
		return a.showTakePlan(c, statusOf(err), t)
	case problem.Is(err, "same_plan"): // sent twice
		return seeOther(c, "/plan")
	case err != nil:
		return a.noPlan(c, err)
	}
	text := "You are on " + done.To.Name + " from now on."
	switch {
	case done.Undoes:
		text = "You stay on " + done.To.Name + "."
	case !done.Now:
		text = done.To.Name + " follows on " + format.Date(done.At, a.Billing.Now(), v.viewer.Account().Zone) + "."
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: text}); err != nil {
		return err
	}
	return seeOther(c, "/plan")
}

// planReturn is where an owner comes back to from the payment page. Stripe is
// asked, so that a lost webhook strands nobody.
func (a *app) planReturn(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	order, err := a.Billing.PlanOrderBySession(ctx, v.viewer.Agency.ID, c.QueryParam("s"))
	if err != nil {
		return err
	}
	flash := views.Flash{Tone: views.ToneInfo, Text: "Your plan begins as soon as the payment is confirmed. Look again in a moment."}
	if order.Status == models.PlanOrderOpen {
		if err := a.Billing.SettlePlan(ctx, v.viewer.Agency.ID); err != nil {
			a.sectionFailed(c, "plan", err)
		}
		if order, err = a.Billing.PlanOrderBySession(ctx, v.viewer.Agency.ID, order.CheckoutSession); err != nil {
			return err
		}
	}
	own, err := a.Billing.PlanPage(ctx, v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	switch {
	case order.Status == models.PlanOrderDone && own.Live():
		flash = views.Flash{Tone: views.ToneOK, Text: "You are on " + own.Plan.Name + ". " + format.CreditsWord(own.Sub.Allowance) + " added."}
	case order.Status == models.PlanOrderExpired:
		flash = views.Flash{Tone: views.ToneWarn, Text: cmp.Or(order.StatusNote, "You were not charged.")}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, "/plan")
}

func (a *app) cancelPlanForm(c echo.Context) error {
	v := visitOf(c)
	own, err := a.Billing.PlanPage(c.Request().Context(), v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	if !own.Live() || own.Sub.CancelAt > 0 || own.Sub.PeriodEnd == models.Never {
		return seeOther(c, "/plan")
	}
	out := views.PlanCancel{Name: own.Plan.Name, Until: own.PaidEnd()}
	wallet, err := a.Billing.Wallet(c.Request().Context(), v.viewer.Account())
	if err != nil {
		return err
	}
	out.Purchased = wallet.Balance.Purchased
	if out.Frame, err = a.frame(c, "Cancel "+own.Plan.Name, "plan", &wallet); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PlanCancelPage(out))
}

// cancelPlan ends a plan with what is paid, or takes that back.
func (a *app) cancelPlan(c echo.Context) error {
	v := visitOf(c)
	keep := c.FormValue("do") == "keep"
	if err := a.Billing.CancelOwnPlan(c.Request().Context(), v.viewer.Agency.ID, keep, v.viewer.Actor()); err != nil {
		return a.planFailed(c, err, "/plan")
	}
	text := "Your plan is cancelled. It runs until what is paid ends."
	if keep {
		text = "Your plan goes on."
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: text}); err != nil {
		return err
	}
	return seeOther(c, "/plan")
}

// payPlan tries again to take what the plan is behind with.
func (a *app) payPlan(c echo.Context) error {
	v := visitOf(c)
	if err := a.Billing.PayPlan(c.Request().Context(), v.viewer.Agency.ID, cmp.Or(c.FormValue("attempt"), billing.NewSecret())); err != nil {
		return a.planFailed(c, err, "/plan")
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Paid. Your plan goes on."}); err != nil {
		return err
	}
	return seeOther(c, "/plan")
}

// planPortal leads to Stripe's page for cards and invoices.
func (a *app) planPortal(c echo.Context) error {
	link, err := a.Billing.PlanPortal(c.Request().Context(), visitOf(c).viewer.Agency.ID)
	if err != nil {
		return a.planFailed(c, err, "/plan")
	}
	return seeOther(c, link)
}
