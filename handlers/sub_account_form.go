package handlers

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// commonZones are offered beside the agency's own; any other may be typed.
func commonZones(own string) []string {
	zones := []string{
		"UTC", "Europe/London", "Europe/Paris", "Europe/Berlin", "Europe/Madrid", "Europe/Athens", "Africa/Lagos", "Asia/Dubai", "Asia/Kolkata",
		"Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland", "America/Sao_Paulo", "America/New_York", "America/Chicago",
		"America/Denver", "America/Los_Angeles",
	}
	if !slices.Contains(zones, own) {
		zones = append([]string{own}, zones...)
	}
	return zones
}

// typedClient is the form as it was sent.
func typedClient(c echo.Context) views.SubAccountForm {
	return views.SubAccountForm{
		Name: c.FormValue("name"), ExternalID: strings.TrimSpace(c.FormValue("external_id")), Funding: c.FormValue("funding"),
		PoolCap: strings.TrimSpace(c.FormValue("pool_cap")), PoolEvery: c.FormValue("pool_every"), TimeZone: strings.TrimSpace(c.FormValue("time_zone")),
		Attempt: c.FormValue("attempt"), TryLater: c.FormValue("try_later"), Excess: strings.TrimSpace(c.FormValue("excess")),
	}
}

// excessOf reads how far below zero a client may go; empty is not at all.
func excessOf(f *views.SubAccountForm) (models.Credits, bool) {
	if f.Excess == "" {
		return 0, true
	}
	limit, err := typedCredits(f.Excess)
	if err != nil {
		f.Errors = append(f.Errors, views.FieldError{Field: "excess", Text: "Enter a number of credits, such as 500, or leave it empty."})
	}
	return limit, err == nil
}

// poolCap reads the limit; an empty one is none.
func poolCap(f *views.SubAccountForm) (models.Credits, bool) {
	if f.PoolCap == "" {
		return 0, true
	}
	limit, err := typedCredits(f.PoolCap)
	if err != nil {
		text := "Enter a number of credits, such as 5000, or leave it empty."
		if problem.Of(err) != nil {
			text = amountText(err)
		}
		f.Errors = append(f.Errors, views.FieldError{Field: "pool_cap", Text: text})
	}
	return limit, err == nil
}

// wrongFields are the problems that a form can show; ok is false when one of them
// is not of its fields.
func wrongFields(err error, fields ...string) (out views.FieldErrors, ok bool) {
	if many, joined := err.(interface{ Unwrap() []error }); joined {
		for _, one := range many.Unwrap() {
			errs, ok := wrongFields(one, fields...)
			if !ok {
				return nil, false
			}
			out = append(out, errs...)
		}
		return out, true
	}
	p := problem.Of(err)
	if p == nil || !slices.Contains(fields, p.Field) {
		return nil, false
	}
	return views.FieldErrors{{Field: p.Field, Text: p.Message}}, true
}

func clientFields() []string {
	return []string{"name", "external_id", "funding", "pool_cap", "pool_every", "excess", "time_zone", "try_later"}
}

func (a *app) newSubAccountForm(c echo.Context) error {
	return a.showNewSubAccount(c, http.StatusOK, views.SubAccountForm{TimeZone: visitOf(c).viewer.Agency.TimeZone})
}

func (a *app) showNewSubAccount(c echo.Context, code int, f views.SubAccountForm) error { //nolint:gocritic // a form is sent once per page
	f.New, f.Action, f.Back, f.Attempt = true, "/sub-accounts/new", "/sub-accounts", cmp.Or(f.Attempt, billing.NewSecret())
	f.Zones = commonZones(visitOf(c).viewer.Agency.TimeZone)
	return a.showSubAccountForm(c, code, "Add sub-account", f)
}

func (a *app) showSubAccountForm(c echo.Context, code int, title string, f views.SubAccountForm) error { //nolint:gocritic // as above
	var err error
	if f.Frame, err = a.frame(c, title, "sub-accounts", nil); err != nil {
		return err
	}
	if own, err := a.Billing.Wallet(c.Request().Context(), visitOf(c).viewer.Account()); err != nil {
		a.sectionFailed(c, "balance", err)
	} else {
		f.Ceiling = own.Wallet.AgencyCeiling
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.SubAccountFormPage(f))
}

func (a *app) newSubAccount(c echo.Context) error {
	v, f := visitOf(c), typedClient(c)
	limit, ok := poolCap(&f)
	excess, fine := excessOf(&f)
	made := f.ExternalID == ""
	if made {
		f.ExternalID = billing.ExternalIDFrom(f.Name)
	}
	if !ok || !fine {
		return a.showNewSubAccount(c, http.StatusUnprocessableEntity, f)
	}
	sub, _, err := a.Billing.CreateSubAccountOnce(c.Request().Context(), v.viewer.Scope(), billing.SubAccountInput{
		Agency: v.viewer.Agency.ID, ExternalID: f.ExternalID, Name: f.Name, Funding: models.Funding(f.Funding), PoolCap: limit,
		PoolEvery: models.PoolEvery(f.PoolEvery), Excess: excess, TimeZone: f.TimeZone, Key: "web:" + cmp.Or(f.Attempt, billing.NewSecret()), By: v.viewer.Actor(),
	})
	if err != nil {
		wrong, ok := wrongFields(err, clientFields()...)
		switch {
		case ok:
			if f.Errors = wrong; made && f.ExternalID == "" {
				f.Errors = withoutID(wrong)
			}
		case problem.Is(err, "sub_account_limit"):
			f.Errors = views.FieldErrors{{Field: "name", Text: problem.Of(err).Message}}
		case problem.Is(err, "idempotency_key_reused"):
			f.Attempt = ""
			f.Errors = views.FieldErrors{{Field: "name", Text: "This form added a client already. To add another one, send it once more."}}
		default:
			return err
		}
		return a.showNewSubAccount(c, statusOf(err), f)
	}
	flash := views.Flash{Tone: views.ToneOK, Text: sub.Name + " added."}
	if f.Funding != string(models.Pooled) {
		flash.Link = &views.Link{Label: "Assign credits", Href: subAccountPath(sub.ID) + "/assign"}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, subAccountPath(sub.ID))
}

// withoutID says of an id that could not be made of the name what is wrong with the
// name, or else that one has to be given.
func withoutID(errs views.FieldErrors) views.FieldErrors {
	of := func(field string) int {
		return slices.IndexFunc(errs, func(e views.FieldError) bool { return e.Field == field })
	}
	id := of("external_id")
	switch {
	case id < 0:
	case of("name") >= 0:
		return slices.Delete(errs, id, id+1)
	default:
		errs[id].Text = "No id can be made of this name. Give one of letters, digits, points, dashes or underscores."
	}
	return errs
}

func (a *app) editSubAccountForm(c echo.Context) error {
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	f := views.SubAccountForm{Name: sub.Name, Funding: string(sub.Funding), PoolEvery: string(sub.PoolEvery), TryLater: sub.TryLater}
	if sub.PoolCap > 0 {
		f.PoolCap = format.Typed(sub.PoolCap)
	}
	if sub.Excess > 0 {
		f.Excess = format.Typed(sub.Excess)
	}
	return a.showEditSubAccount(c, http.StatusOK, sub, f)
}

func (a *app) showEditSubAccount(c echo.Context, code int, sub billing.SubAccountRow, f views.SubAccountForm) error { //nolint:gocritic // as above
	f.Back, f.Attempt = subAccountPath(sub.ID), ""
	f.Usual, f.MaxTryLater = cmp.Or(visitOf(c).viewer.Agency.TryLater, billing.DefaultTryLater), billing.MaxTryLater
	f.Action = f.Back + "/edit"
	balance, err := a.Billing.Wallet(c.Request().Context(), billing.AccountOfSub(visitOf(c).viewer.Agency, sub.SubAccount))
	if err != nil {
		a.sectionFailed(c, "balance", err)
	} else {
		f.Own = balance.Balance.Available
	}
	if f.Monthly, err = a.renewing(c, &sub.SubAccount); err != nil {
		return err
	}
	return a.showSubAccountForm(c, code, "Edit "+sub.Name, f)
}

func (a *app) editSubAccount(c echo.Context) error {
	v, f := visitOf(c), typedClient(c)
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	limit, ok := poolCap(&f)
	excess, fine := excessOf(&f)
	if !ok || !fine {
		return a.showEditSubAccount(c, http.StatusUnprocessableEntity, sub, f)
	}
	err = a.Billing.ChangeSubAccount(c.Request().Context(), v.viewer.Scope(), billing.SubAccountChange{
		Agency: v.viewer.Agency.ID, SubAccount: sub.ID, Name: f.Name, Funding: models.Funding(f.Funding), PoolCap: limit,
		PoolEvery: models.PoolEvery(f.PoolEvery), Excess: excess, TryLater: &f.TryLater, By: v.viewer.Actor(),
	})
	if err != nil {
		if f.Errors, ok = wrongFields(err, clientFields()...); !ok {
			return err
		}
		return a.showEditSubAccount(c, statusOf(err), sub, f)
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Changes saved. They hold from the next charge on."}); err != nil {
		return err
	}
	return seeOther(c, subAccountPath(sub.ID))
}
