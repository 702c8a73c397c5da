package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// typedAdjustment is the form as it was sent, or as its address has it.
func typedAdjustment(value func(string) string) views.Adjust {
	kind := models.SourceAdjustment
	switch models.Source(value("type")) { //nolint:exhaustive // what is no type is the first
	case models.SourcePromo, models.SourceReferral:
		kind = models.Source(value("type"))
	}
	return views.Adjust{
		Take: value("direction") == "take", Typed: strings.TrimSpace(value("credits")), Type: string(kind), Reason: value("reason"),
		Expires: strings.TrimSpace(value("expires")), Shown: value("shown") == "1", Attempt: value("attempt"),
	}
}

func adjustQuery(f *views.Adjust) string {
	q := url.Values{"credits": {f.Typed}, "type": {f.Type}, "reason": {f.Reason}, "direction": {"give"}}
	if f.Take {
		q.Set("direction", "take")
	}
	if f.Shown {
		q.Set("shown", "1")
	}
	if f.Expires != "" {
		q.Set("expires", f.Expires)
	}
	return q.Encode()
}

// adjustAmount is the amount with its sign.
func adjustAmount(f *views.Adjust) (models.Credits, error) {
	amount, err := typedCredits(f.Typed)
	if err != nil {
		return 0, err
	}
	if amount <= 0 || amount > models.MaxCharge {
		return 0, problem.New(problem.Invalid, "invalid_credits", "Enter an amount above 0 and up to %s credits.", format.Credits(models.MaxCharge)).On("credits")
	}
	if f.Take {
		amount = -amount
	}
	return amount, nil
}

func (a *app) adjustForm(c echo.Context) error {
	agency, err := a.tenant(c)
	if err != nil {
		return err
	}
	return a.showAdjust(c, http.StatusOK, &agency, typedAdjustment(c.QueryParam))
}

func (a *app) showAdjust(c echo.Context, code int, agency *models.Agency, f views.Adjust) error { //nolint:gocritic // a form is sent once per page
	ctx := c.Request().Context()
	if f.Typed != "" {
		amount, err := adjustAmount(&f)
		if err == nil {
			f.Amount = amount
		} else if len(f.Errors) == 0 {
			f.Errors = views.FieldErrors{{Field: "credits", Text: amountText(err)}}
		}
	}
	account, err := a.Billing.AccountOf(ctx, agency.WalletID)
	if err != nil {
		return err
	}
	wallet, err := a.Billing.Wallet(ctx, account)
	if err != nil {
		return err
	}
	limits, err := a.Billing.AdjustmentLimits(ctx)
	if err != nil {
		return err
	}
	f.Before = wallet.Balance.Left()
	f.After, f.Limit = f.Before+f.Amount, limits.Person
	if f.Take && -f.Amount > wallet.Balance.Available && len(f.Errors) == 0 {
		f.Errors = views.FieldErrors{{Field: "credits", Text: "There are " + format.CreditsWord(wallet.Balance.Available) + " to take. Enter no more than that."}}
	}
	f.Agency, f.Back, f.Action, f.Attempt = agency.Name, agencyPath(agency.ID), agencyPath(agency.ID)+"/adjust", cmp.Or(f.Attempt, billing.NewSecret())
	if f.Frame, err = a.adminFrame(c, "Adjust the credits of "+agency.Name, "agencies"); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.AdjustPage(f))
}

// adjust books an adjustment, once per attempt, or leaves it to a second admin.
func (a *app) adjust(c echo.Context) error {
	agency, err := a.tenant(c)
	if err != nil {
		return err
	}
	f := typedAdjustment(c.FormValue)
	path := agencyPath(agency.ID)
	if c.FormValue("preview") != "" {
		return seeOther(c, path+"/adjust?"+adjustQuery(&f))
	}
	amount, err := adjustAmount(&f)
	if err != nil {
		f.Errors = views.FieldErrors{{Field: "credits", Text: amountText(err)}}
		if strings.TrimSpace(f.Reason) == "" {
			f.Errors = append(f.Errors, views.FieldError{Field: "reason", Text: "Say why in up to 500 bytes: the reason is kept with the credits."})
		}
		return a.showAdjust(c, http.StatusUnprocessableEntity, &agency, f)
	}
	in := billing.AdjustInput{
		Agency: agency.ID, Wallet: agency.WalletID, Credits: amount, Reason: f.Reason, Hidden: !f.Shown,
		Key: "web:" + cmp.Or(f.Attempt, billing.NewSecret()), By: visitOf(c).viewer.Actor(),
	}
	if amount > 0 {
		in.Source = models.Source(f.Type)
		zone, err := a.Billing.PlatformZone(c.Request().Context())
		if err != nil {
			return err
		}
		t := typed{}
		if in.ExpiresAt = t.lastDay("expires", f.Expires, zone); len(t.errors) > 0 {
			f.Errors = t.errors
			return a.showAdjust(c, http.StatusUnprocessableEntity, &agency, f)
		}
	}
	out, err := a.Billing.AskAdjustment(c.Request().Context(), in)
	if err != nil {
		return a.notAdjusted(c, &agency, f, err)
	}
	flash := views.Flash{Tone: views.ToneOK, Text: format.CreditsWord(max(amount, -amount)) + " given to " + agency.Name + "."}
	switch {
	case out.Waiting != nil:
		flash = views.Flash{Tone: views.ToneInfo, Text: "Nothing has moved yet: another admin has to approve " + format.SignedCredits(amount) + " credits for " + agency.Name + "."}
		flash.Link = &views.Link{Label: "See adjustments", Href: "/admin/adjustments"}
	case amount < 0:
		flash.Text = format.CreditsWord(-amount) + " taken from " + agency.Name + "."
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, path)
}

func (a *app) notAdjusted(c echo.Context, agency *models.Agency, f views.Adjust, err error) error { //nolint:gocritic // as above
	switch {
	case problem.Is(err, "insufficient_credits"): // the form says how many there are
	case problem.Is(err, "idempotency_key_reused"):
		f.Attempt = ""
		f.Errors = views.FieldErrors{{Field: "credits", Text: "This form was used already, for another amount or reason. To adjust once more, send it again."}}
	case problem.Is(err, "balance_too_large"), problem.Is(err, "too_many_lots"):
		f.Errors = views.FieldErrors{{Field: "credits", Text: problem.Of(err).Message}}
	default:
		var ok bool
		if f.Errors, ok = wrongFields(err, "credits", "type", "expires", "reason"); !ok {
			return err
		}
	}
	return a.showAdjust(c, statusOf(err), agency, f)
}

// adjustments is what waits for a second person, and the limits.
func (a *app) adjustments(c echo.Context) error {
	limits, err := a.Billing.AdjustmentLimits(c.Request().Context())
	if err != nil {
		return err
	}
	f := views.Adjustments{Limit: format.Typed(limits.Person)}
	if limits.Limited {
		f.ProgramLimit = format.Typed(limits.Program)
	}
	return a.showAdjustments(c, http.StatusOK, f)
}

func (a *app) showAdjustments(c echo.Context, code int, out views.Adjustments) error { //nolint:gocritic // as above
	waiting, decided, err := a.Billing.Adjustments(c.Request().Context())
	if err != nil {
		out.Failure = a.failure(c, "The adjustments", "", err)
	}
	for i := range waiting {
		out.Waiting = append(out.Waiting, adjustmentRow(&waiting[i]))
	}
	for i := range decided {
		out.Decided = append(out.Decided, adjustmentRow(&decided[i]))
	}
	if out.Frame, err = a.adminFrame(c, "Adjustments", "adjustments"); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.AdjustmentsPage(out))
}

func adjustmentRow(r *billing.AdjustmentRow) views.AdjustmentRow {
	out := views.AdjustmentRow{
		At: r.CreatedAt, Agency: r.Agency, Account: r.SubAccount, Href: "/admin/adjustments/" + r.AgencyID.String() + "/" + r.ID.String(),
		Credits: r.Credits, Type: "Adjustment", Expires: r.ExpiresAt, Reason: r.Reason, Shown: r.Shown, By: views.AuditActor(r.RequestedBy), State: string(r.State),
		DecidedBy: views.AuditActor(r.DecidedBy), DecidedAt: r.DecidedAt,
	}
	switch r.Source { //nolint:exhaustive // others are an adjustment
	case models.SourcePromo:
		out.Type = "Goodwill or promotion"
	case models.SourceReferral:
		out.Type = "Referral"
	}
	return out
}

// setLimits changes how much may be given or taken at once.
func (a *app) setLimits(c echo.Context) error {
	f := views.Adjustments{Limit: strings.TrimSpace(c.FormValue("limit")), ProgramLimit: strings.TrimSpace(c.FormValue("program_limit"))}
	var in billing.AdjustmentLimits
	read := func(field, typed string) models.Credits {
		limit, err := typedCredits(typed)
		if err != nil {
			f.Errors = append(f.Errors, views.FieldError{Field: field, Text: amountText(err)})
		}
		return limit
	}
	in.Person = read("limit", f.Limit)
	if in.Limited = f.ProgramLimit != ""; in.Limited {
		in.Program = read("program_limit", f.ProgramLimit)
	}
	if len(f.Errors) > 0 {
		return a.showAdjustments(c, http.StatusUnprocessableEntity, f)
	}
	if err := a.Billing.SetAdjustmentLimits(c.Request().Context(), in, visitOf(c).viewer.Actor()); err != nil {
		var ok bool
		if f.Errors, ok = wrongFields(err, "limit", "program_limit"); !ok {
			return err
		}
		return a.showAdjustments(c, statusOf(err), f)
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "The limits are saved. They hold from the next adjustment on."}); err != nil {
		return err
	}
	return seeOther(c, "/admin/adjustments")
}

// request finds the adjustment that the address names. Errors: not_found.
func (a *app) request(c echo.Context) (billing.AdjustmentRow, error) {
	agency, errAgency := models.ParseID[models.AgencyID](c.Param("agency"))
	id, errID := models.ParseID[models.AdjustmentID](c.Param("id"))
	if errAgency != nil || errID != nil {
		return billing.AdjustmentRow{}, problem.Missing("adjustment")
	}
	return a.Billing.Adjustment(c.Request().Context(), agency, id)
}

func (a *app) approvalForm(c echo.Context) error {
	row, err := a.request(c)
	if err != nil {
		return err
	}
	return a.showApproval(c, http.StatusOK, &row, "")
}

func (a *app) showApproval(c echo.Context, code int, row *billing.AdjustmentRow, wrong string) error {
	ctx := c.Request().Context()
	account, err := a.Billing.AccountOf(ctx, row.WalletID)
	if err != nil {
		return err
	}
	wallet, err := a.Billing.Wallet(ctx, account)
	if err != nil {
		return err
	}
	out := views.Approval{
		Error: wrong, Request: adjustmentRow(row), Own: row.RequestedBy == string(visitOf(c).viewer.Actor()),
		Before: wallet.Balance.Left(), After: wallet.Balance.Left() + row.Credits,
	}
	out.Action = out.Request.Href
	if out.Frame, err = a.adminFrame(c, "Adjustment of "+out.Request.Agency, "adjustments"); err != nil {
		return err
	}
	out.Frame.Failed = wrong != ""
	return page(c, code, views.ApprovalPage(out))
}

// decide is the second person's word.
func (a *app) decide(c echo.Context) error {
	row, err := a.request(c)
	if err != nil {
		return err
	}
	decision := c.FormValue("decision")
	if decision != "approve" && decision != "decline" {
		return a.showApproval(c, http.StatusUnprocessableEntity, &row, "Choose whether to approve or decline it.")
	}
	done, _, err := a.Billing.DecideAdjustment(c.Request().Context(), billing.Decision{
		Agency: row.AgencyID, Request: row.ID, Approve: decision == "approve", By: visitOf(c).viewer.Actor(),
	})
	switch p := problem.Of(err); {
	case p != nil && p.Code != "not_found":
		if row, err = a.request(c); err != nil {
			return err
		}
		return a.showApproval(c, statusOf(p), &row, p.Message)
	case err != nil:
		return err
	}
	words := "declined: nothing was moved."
	if done.State == models.AdjustmentApproved {
		words = "approved and booked."
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: format.SignedCredits(done.Credits) + " credits for " + row.Agency + " " + words}); err != nil {
		return err
	}
	return seeOther(c, "/admin/adjustments")
}
