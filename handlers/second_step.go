package handlers

import (
	"cmp"
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// secondStepPath asks for the second proof of who signs in in two steps.
const secondStepPath = "/sign-in/code"

// halfway is the session of somebody who has the first of two proofs; false for
// everybody else.
func halfway(v *visit) (models.Session, bool) {
	if v.session == nil || carriedBy(v.session).Portal != v.host.id() {
		return models.Session{}, false
	}
	row := v.row()
	return row, row.Half
}

func (a *app) secondStepForm(c echo.Context) error {
	return a.showSecondStep(c, http.StatusOK, views.SecondStep{Next: localPath(c.QueryParam("next"))})
}

func (a *app) showSecondStep(c echo.Context, status int, out views.SecondStep) error {
	if _, ok := halfway(visitOf(c)); !ok {
		return seeOther(c, withNext("/sign-in", out.Next))
	}
	var err error
	if out.Frame, err = a.formFrame(c, "Enter your code"); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, status, views.SecondStepPage(out))
}

func (a *app) secondStep(c echo.Context) error {
	v, out := visitOf(c), views.SecondStep{Next: localPath(c.FormValue("next"))}
	row, ok := halfway(v)
	if !ok {
		return seeOther(c, withNext("/sign-in", out.Next))
	}
	err := a.Billing.SecondStep(c.Request().Context(), row.UserID, c.FormValue("code"), c.RealIP())
	if err == nil {
		if err := a.begin(c, row.UserID, carriedBy(v.session).Agency, false); err != nil {
			return err
		}
		return seeOther(c, cmp.Or(out.Next, "/"))
	}
	p := problem.Of(err)
	if p == nil || p.Code != "wrong_step_code" && p.Kind != problem.TooMany {
		return err
	}
	out.Errors = views.FieldErrors{{Field: "code", Text: p.Message}}
	if p.Kind == problem.TooMany {
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
	}
	return a.showSecondStep(c, statusOf(err), out)
}
