package handlers

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// How much of an agency its page shows.
const (
	clientsShown   = 20
	purchasesShown = 10
	auditShown     = 10
)

// tenant finds the agency that an admin's address names. Errors: not_found.
func (a *app) tenant(c echo.Context) (models.Agency, error) {
	id, err := models.ParseID[models.AgencyID](c.Param("id"))
	if err != nil {
		return models.Agency{}, problem.Missing("agency")
	}
	return a.Billing.Agency(c.Request().Context(), id)
}

func planLabel(p *models.Plan) string {
	label := p.Name + ", " + format.CreditsWord(p.Allowance)
	if p.Every == models.EveryMonth {
		label += " a month"
	}
	return label + ", " + format.Money(models.Money{Amount: p.Price, Currency: p.Currency}) + " a month"
}

// agency is everything about one agency. Each card fails alone.
func (a *app) agency(c echo.Context) error {
	ctx := c.Request().Context()
	agency, err := a.tenant(c)
	if err != nil {
		return err
	}
	account, err := a.Billing.AccountOf(ctx, agency.WalletID)
	if err != nil {
		return err
	}
	o := a.Billing.Overview(ctx, account)
	out := views.Agency{
		Name: agency.Name, Ref: agency.ExternalID, Zone: agency.TimeZone, Portal: agency.Host, Created: agency.CreatedAt,
		Suspended: agency.Status == models.AgencySuspended, Path: agencyPath(agency.ID), Balance: a.balanceCard(c, &o),
	}
	out.Balance.Contact, out.Balance.BuyHref = nil, ""
	plan, sub, err := a.Billing.PlanOf(ctx, agency.ID)
	if err != nil {
		a.sectionFailed(c, "plan", err)
	}
	out.Plan, out.Price, out.Yearly = plan.Name, sub.Cost(), sub.PaidEvery == models.PaidYearly
	if last, err := a.Billing.LastSubscription(ctx, agency.ID); err != nil {
		a.sectionFailed(c, "plan", err)
	} else {
		out.State, out.Until = planState(&last, o.Now)
		out.Stripe, out.StripeState, out.PaidUntil = last.StripeID, last.StripeStatus, last.PaidUntil
	}
	if by, err := a.Billing.ReferredBy(ctx, agency.ID); err != nil {
		a.sectionFailed(c, "referral", err)
	} else if by != nil {
		out.Referred = by.Referrer
	}
	if sub.PeriodEnd != models.Never {
		out.RenewsAt = sub.PeriodEnd
	}
	if o.BalanceErr == nil {
		out.ExcessLimit, out.Excess = o.Balance.Wallet.ExcessLimit, o.Balance.Wallet.AgencyExcess
	}
	out.Usage = a.agencyUsage(c, account, o.Now)
	out.Clients = a.agencyClients(c, account)
	out.Bought = a.agencyBought(c, account)
	out.Log = a.agencyLog(c, agency.ID)
	a.agencyNotes(c, &out, agency.ID)
	if out.Frame, err = a.adminFrame(c, agency.Name, "agencies"); err != nil {
		return err
	}
	out.Frame.Zone = account.Zone // the agency's days, as on its own pages
	return page(c, http.StatusOK, views.AgencyPage(out))
}

// agencyUsage is the last 30 days of an agency and its clients.
func (a *app) agencyUsage(c echo.Context, account *billing.Account, now models.Time) views.UsageCard {
	const title = "Usage in the last 30 days"
	ctx := c.Request().Context()
	at, err := a.Billing.UsagePeriod(ctx, account, billing.Last30Days, "", "")
	q := billing.UsageOf(account)
	q.From, q.To, q.Before, q.Compare, q.Interval = at.Start, at.End, at.Before, true, billing.Daily
	var report billing.UsageReport
	if err == nil {
		report, err = a.Billing.Usage(ctx, billing.Scope{Agency: account.Agency.ID}, q)
	}
	if err != nil {
		return views.UsageCard{Title: title, Failure: a.failure(c, "Usage", "", err)}
	}
	version, err := a.ratesFor(ctx, account)
	if err != nil {
		a.sectionFailed(c, "rates", err)
	}
	u := views.Usage{Frame: views.Frame{Zone: account.Zone, Now: now}, Base: "/admin/usage", Filter: views.ParseUsageFilter(nil)}
	usageFacts(&u, &report, version)
	u.Previous = nil
	if report.PreviousTotal > 0 {
		u.PreviousName = "the 30 days before"
	}
	return views.CardOf(u, title, "/admin/usage?p=30d&agency="+account.Agency.ExternalID)
}

// agencyClients are the clients that need their agency most.
func (a *app) agencyClients(c echo.Context, account *billing.Account) views.AgencyClients {
	all, err := a.Billing.SubAccountStandings(c.Request().Context(), account)
	if err != nil {
		return views.AgencyClients{Failure: a.failure(c, "The sub-accounts", "", err)}
	}
	slices.SortStableFunc(all, func(x, y billing.SubAccountStanding) int { //nolint:gocritic // the signature is slices'
		return cmp.Or(severity(y.State)-severity(x.State), cmp.Compare(y.Used, x.Used))
	})
	out := views.AgencyClients{Total: int64(len(all))}
	for i := range all[:min(clientsShown, len(all))] {
		row := subAccountRow(&all[i], nil, account.Agency.Currency)
		row.Href = ""
		out.Rows = append(out.Rows, row)
	}
	return out
}

func (a *app) agencyBought(c echo.Context, account *billing.Account) views.AgencyBought {
	rows, err := a.Billing.Purchases(c.Request().Context(), billing.PurchaseQuery{Agency: account.Agency.ID, Wallet: account.Wallet, Limit: purchasesShown})
	if err != nil {
		return views.AgencyBought{Failure: a.failure(c, "The purchases", "", err)}
	}
	var out views.AgencyBought
	for i := range rows {
		p := &rows[i]
		out.Rows = append(out.Rows, views.PurchaseRow{At: p.CreatedAt, Name: p.Title, Credits: p.Credits, Amount: p.Total(), Status: purchaseStatus(p), Back: moneyBack(p, true)})
	}
	return out
}

func (a *app) agencyLog(c echo.Context, agency models.AgencyID) views.AgencyLog {
	out := views.AgencyLog{Href: "/admin/audit?agency=" + agency.String()}
	found, err := a.Billing.AuditLog(c.Request().Context(), billing.AuditQuery{Agency: agency, Limit: auditShown})
	if err != nil {
		out.Failure = a.failure(c, "The audit log", "", err)
	}
	for i := range found.Rows {
		out.Rows = append(out.Rows, auditLine(&found.Rows[i]))
	}
	return out
}

// agencyNotes adds why it is paused and what waits for a second person.
func (a *app) agencyNotes(c echo.Context, out *views.Agency, id models.AgencyID) {
	ctx := c.Request().Context()
	if out.Suspended {
		found, err := a.Billing.AuditLog(ctx, billing.AuditQuery{Agency: id, Action: "agency.pause", Limit: 1})
		if err != nil {
			a.sectionFailed(c, "audit log", err)
		}
		for i := range found.Rows {
			out.Why = found.Rows[i].Reason
		}
	}
	waiting, _, err := a.Billing.Adjustments(ctx)
	if err != nil {
		a.sectionFailed(c, "adjustments", err)
	}
	for i := range waiting {
		if waiting[i].AgencyID == id {
			row := adjustmentRow(&waiting[i])
			out.Waiting = append(out.Waiting, views.Link{Label: format.SignedCredits(row.Credits) + " credits, asked by " + row.By, Href: row.Href})
		}
	}
}

// planForm shows what another plan would do.
func (a *app) planForm(c echo.Context) error {
	agency, err := a.tenant(c)
	if err != nil {
		return err
	}
	return a.showPlan(c, http.StatusOK, &agency, views.PlanChoice{To: c.QueryParam("plan")})
}

func (a *app) showPlan(c echo.Context, code int, agency *models.Agency, f views.PlanChoice) error { //nolint:gocritic // a form is sent once per page
	ctx := c.Request().Context()
	f.Agency, f.Back, f.Action = agency.Name, agencyPath(agency.ID), agencyPath(agency.ID)+"/plan"
	now, _, err := a.Billing.PlanOf(ctx, agency.ID)
	if err != nil {
		return err
	}
	f.From = now.Name
	if f.Plans, err = a.planOptions(c, now.ID); err != nil {
		return err
	}
	if f.To != "" {
		change, err := a.Billing.PlanChange(ctx, *agency, f.To)
		switch p := problem.Of(err); {
		case p != nil && p.Code == "unknown_plan":
			f.Errors, f.To, code = views.FieldErrors{{Field: "plan", Text: "Choose one of the plans listed."}}, "", http.StatusUnprocessableEntity
		case err != nil:
			return err
		case change.To.ID == now.ID:
			f.Errors, f.To, code = views.FieldErrors{{Field: "plan", Text: agency.Name + " is on this plan already."}}, "", http.StatusUnprocessableEntity
		default:
			f.ToName, f.Lost, f.Given, f.Before, f.After = change.To.Name, change.Lost, change.Given, change.Before, change.After
			f.Excess, f.Clients, f.Room = change.To.ExcessLimit, change.SubAccount, int64(change.To.SubAccountLimit)
			if change.ResetsAt != models.Never {
				f.ResetsAt = change.ResetsAt
			}
		}
	}
	if f.Frame, err = a.adminFrame(c, "Change the plan of "+agency.Name, "agencies"); err != nil {
		return err
	}
	f.Frame.Zone, f.Frame.Failed = billing.Zone(agency.TimeZone), len(f.Errors) > 0
	return page(c, code, views.PlanChoicePage(f))
}

func (a *app) changePlan(c echo.Context) error {
	agency, err := a.tenant(c)
	if err != nil {
		return err
	}
	f := views.PlanChoice{To: c.FormValue("plan"), Reason: c.FormValue("reason")}
	if len(f.Reason) > maxReason {
		f.Errors = views.FieldErrors{{Field: "reason", Text: "A reason has up to 500 bytes."}}
		return a.showPlan(c, http.StatusUnprocessableEntity, &agency, f)
	}
	if err := a.Billing.ChangePlanFor(c.Request().Context(), agency.ID, f.To, f.Reason, visitOf(c).viewer.Actor()); err != nil {
		if problem.Is(err, "unknown_plan") {
			f.Errors, f.To = views.FieldErrors{{Field: "plan", Text: "Choose one of the plans listed."}}, ""
			return a.showPlan(c, http.StatusUnprocessableEntity, &agency, f)
		}
		return err
	}
	return a.done(c, agency.ID, "The plan of "+agency.Name+" is changed.")
}

// maxReason is the longest reason, in bytes.
const maxReason = 500

// done says that an act on an agency is done, on its page.
func (a *app) done(c echo.Context, id models.AgencyID, words string) error {
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: words}); err != nil {
		return err
	}
	return seeOther(c, agencyPath(id))
}

func (a *app) pauseForm(c echo.Context) error  { return a.haltForm(c, false) }
func (a *app) resumeForm(c echo.Context) error { return a.haltForm(c, true) }

func (a *app) haltForm(c echo.Context, resume bool) error {
	agency, err := a.tenant(c)
	if err != nil {
		return err
	}
	return a.showHalt(c, http.StatusOK, &agency, views.Halt{Resume: resume})
}

func (a *app) showHalt(c echo.Context, code int, agency *models.Agency, f views.Halt) error { //nolint:gocritic // a form is sent once per page
	word, path := "Pause ", "/pause"
	if f.Resume {
		word, path = "Resume ", "/resume"
	}
	subs, err := a.Billing.SubAccounts(c.Request().Context(), agency.ID)
	if err != nil {
		return err
	}
	for i := range subs {
		if subs[i].Status == models.SubAccountActive {
			f.Clients++
		}
	}
	f.Agency, f.Back, f.Action = agency.Name, agencyPath(agency.ID), agencyPath(agency.ID)+path
	if f.Frame, err = a.adminFrame(c, word+agency.Name, "agencies"); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.HaltPage(f))
}

func (a *app) pause(c echo.Context) error {
	return a.halt(c, false, a.Billing.PauseAgency)
}

func (a *app) resume(c echo.Context) error {
	return a.halt(c, true, a.Billing.ResumeAgency)
}

func (a *app) halt(c echo.Context, resume bool, act func(context.Context, models.AgencyID, string, billing.Actor) (int, error)) error {
	agency, err := a.tenant(c)
	if err != nil {
		return err
	}
	f := views.Halt{Resume: resume, Reason: c.FormValue("reason")}
	if _, err := act(c.Request().Context(), agency.ID, f.Reason, visitOf(c).viewer.Actor()); err != nil {
		var ok bool
		if f.Errors, ok = wrongFields(err, "reason"); !ok {
			return err
		}
		return a.showHalt(c, statusOf(err), &agency, f)
	}
	if resume {
		return a.done(c, agency.ID, agency.Name+" is running again.")
	}
	return a.done(c, agency.ID, agency.Name+" is paused.")
}

func (a *app) excessForm(c echo.Context) error {
	agency, err := a.tenant(c)
	if err != nil {
		return err
	}
	return a.showExcess(c, http.StatusOK, &agency, nil)
}

func (a *app) showExcess(c echo.Context, code int, agency *models.Agency, typed *views.ExcessForm) error {
	account, err := a.Billing.AccountOf(c.Request().Context(), agency.WalletID)
	if err != nil {
		return err
	}
	wallet, err := a.Billing.Wallet(c.Request().Context(), account)
	if err != nil {
		return err
	}
	f := views.ExcessForm{Limit: format.Typed(wallet.Wallet.ExcessLimit)}
	if typed != nil {
		f = *typed
	}
	f.Now, f.Used = wallet.Wallet.ExcessLimit, wallet.Wallet.AgencyExcess
	f.Agency, f.Back, f.Action = agency.Name, agencyPath(agency.ID), agencyPath(agency.ID)+"/excess"
	if f.Frame, err = a.adminFrame(c, "Excess allowance of "+agency.Name, "agencies"); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.ExcessFormPage(f))
}

func (a *app) setExcess(c echo.Context) error {
	agency, err := a.tenant(c)
	if err != nil {
		return err
	}
	f := views.ExcessForm{Limit: c.FormValue("limit"), Reason: c.FormValue("reason")}
	limit, err := typedCredits(f.Limit)
	if err != nil {
		f.Errors = views.FieldErrors{{Field: "limit", Text: amountText(err)}}
		return a.showExcess(c, http.StatusUnprocessableEntity, &agency, &f)
	}
	if err := a.Billing.SetExcessLimit(c.Request().Context(), agency.ID, limit, f.Reason, visitOf(c).viewer.Actor()); err != nil {
		var ok bool
		if f.Errors, ok = wrongFields(err, "limit", "reason"); !ok {
			return err
		}
		return a.showExcess(c, statusOf(err), &agency, &f)
	}
	if limit == 0 {
		return a.done(c, agency.ID, agency.Name+" now pauses at zero.")
	}
	return a.done(c, agency.ID, agency.Name+" may now go up to "+format.CreditsWord(limit)+" below zero.")
}
