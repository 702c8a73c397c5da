package handlers

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// Fields of the page that asks again who somebody is. They are taken off before
// the form behind it is looked at.
const (
	proofPassword = "proof_password"
	proofCode     = "proof_code"
)

// row is the visit's session as it is stored.
func (v *visit) row() models.Session {
	row, _ := v.session.Values[rowKey].(models.Session)
	return row
}

// provedLately tells whether the person proved who they are a moment ago.
func (a *app) provedLately(v *visit) bool { return a.Billing.ProvedLately(v.row()) }

// proveFirst lets a form through whose sender proved lately who they are. Others
// are asked, on a page that carries the form with it and sends it again: nothing
// that was typed is lost.
func (a *app) proveFirst(c echo.Context) (proved bool, err error) {
	v := visitOf(c)
	if a.provedLately(v) {
		return true, nil
	}
	form, err := c.FormParams()
	if err != nil {
		return false, err
	}
	out := views.Proof{Action: c.Request().URL.RequestURI(), Email: v.viewer.User.Email, TwoStep: v.viewer.User.TwoStep(), Mail: a.Billing.CanMail()}
	status := http.StatusOK
	if form.Has(proofPassword) || form.Has(proofCode) {
		err := a.Billing.ProveAgain(c.Request().Context(), v.row(), v.viewer.User, form.Get(proofPassword), form.Get(proofCode), c.RealIP())
		if err == nil {
			for _, name := range []string{proofPassword, proofCode} {
				form.Del(name)
				c.Request().PostForm.Del(name)
			}
			return true, nil
		}
		p := problem.Of(err)
		if p == nil || p.Kind != problem.Unauthorized && p.Kind != problem.TooMany && p.Code != "wrong_step_code" {
			return false, err
		}
		status = http.StatusUnprocessableEntity
		field, text := proofPassword, "That is not your password. Try again."
		if p.Code == "wrong_step_code" {
			field, text = proofCode, p.Message
		}
		if p.Kind == problem.TooMany {
			status, text = http.StatusTooManyRequests, p.Message
			c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
		}
		out.Errors = views.FieldErrors{{Field: field, Text: text}}
	}
	out.Fields = keptFields(c.Request().PostForm)
	if a.Demo != nil {
		out.Hint = a.Demo.Hint
	}
	if out.Frame, err = a.formFrame(c, "Confirm it is you"); err != nil {
		return false, err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return false, page(c, status, views.ProofPage(out))
}

// keptFields are a form's fields without its token and the proof.
func keptFields(form url.Values) []views.ProofField {
	var out []views.ProofField
	names := make([]string, 0, len(form))
	for name := range form {
		if !slices.Contains([]string{"csrf_token", proofPassword, proofCode}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range form[name] {
			out = append(out, views.ProofField{Name: name, Value: value})
		}
	}
	return out
}

// proofByLink mails a sign-in link to the person's own address: using it proves
// who they are as well.
func (a *app) proofByLink(c echo.Context) error {
	v := visitOf(c)
	if err := a.Billing.RequestSignInLink(c.Request().Context(), v.viewer.User.Email, v.host.id(), c.RealIP()); err != nil {
		return err
	}
	return seeOther(c, "/sign-in/sent")
}
