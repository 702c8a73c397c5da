package handlers

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// setPassword gives the person another password and signs them out everywhere
// else; this browser goes on under a new session.
func (a *app) setPassword(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	refuse := func(status int, text string) error {
		return a.showSecurity(c, status, views.Security{Errors: views.FieldErrors{{Field: "current", Text: text}}})
	}
	if !a.provedLately(v) {
		_, err := a.Billing.Authenticate(ctx, v.viewer.User.Email, c.FormValue("current"), c.RealIP())
		switch p := problem.Of(err); {
		case p != nil && p.Kind == problem.Unauthorized:
			return refuse(http.StatusUnprocessableEntity, "That is not your current password. Try again.")
		case p != nil && p.Kind == problem.TooMany:
			c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
			return refuse(http.StatusTooManyRequests, p.Message)
		case err != nil:
			return err
		}
	}
	if err := a.Billing.SetPassword(ctx, v.viewer.User.ID, c.FormValue("password"), v.viewer.Actor()); err != nil {
		wrong, ok := wrongFields(err, "password")
		if !ok {
			return err
		}
		return a.showSecurity(c, statusOf(err), views.Security{Errors: wrong})
	}
	if err := a.begin(c, v.viewer.User.ID, carriedBy(v.session).Agency, false); err != nil {
		return err
	}
	return a.saidAt(c, securityPath, views.Flash{Tone: views.ToneOK, Text: "Your password is set. Other browsers were signed out."})
}

// switchForm offers the places of somebody who has several.
func (a *app) switchForm(c echo.Context) error {
	v := visitOf(c)
	places, err := a.places(c)
	if err != nil {
		return err
	}
	out := views.Switch{Tabs: a.settings(c, "/switch"), Places: places}
	if out.Frame, err = a.frame(c, "Switch agency", "settings", nil); err != nil {
		return err
	}
	for i := range out.Places {
		p := &out.Places[i]
		p.Current = p.Value == v.viewer.Agency.ID.String()
	}
	return page(c, http.StatusOK, views.SwitchPage(out))
}

// places are where the viewer may be, the platform with an empty value.
func (a *app) places(c echo.Context) ([]views.SwitchPlace, error) {
	v := visitOf(c)
	found, err := a.Billing.PlacesOf(c.Request().Context(), v.viewer.User.ID)
	if err != nil {
		return nil, err
	}
	var out []views.SwitchPlace
	if v.viewer.User.PlatformRole == models.PlatformAdmin {
		out = append(out, views.SwitchPlace{Name: "Platform", Role: roleWord(roleAdmin)})
	}
	for i := range found {
		out = append(out, views.SwitchPlace{Name: found[i].Agency.Name, Role: roleWord(role(found[i].Role)), Value: found[i].Agency.ID.String()})
	}
	return out, nil
}

// switchTo goes on in another place, in this browser.
func (a *app) switchTo(c echo.Context) error {
	v, want := visitOf(c), c.FormValue("agency")
	places, err := a.places(c)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(places, func(p views.SwitchPlace) bool { return p.Value == want }) {
		return problem.Missing("agency")
	}
	var chosen models.AgencyID
	if want != "" {
		if chosen, err = models.ParseID[models.AgencyID](want); err != nil {
			return err
		}
	}
	carry := carriedBy(v.session)
	carry.Agency = chosen
	v.session.Values[carriedKey] = carry
	if err := v.session.Save(c.Request(), c.Response()); err != nil {
		return err
	}
	return seeOther(c, "/")
}
