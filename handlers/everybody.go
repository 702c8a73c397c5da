package handlers

import (
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

// peoplePage is how many people are listed at once.
const peoplePage = 50

// everybody lists the people of all agencies, for the platform's admins.
func (a *app) everybody(c echo.Context) error {
	const here = "/admin/people"
	out := views.Everybody{Match: strings.TrimSpace(c.QueryParam("q"))}
	rows, err := a.Billing.Everybody(c.Request().Context(), out.Match, c.QueryParam("after"), peoplePage+1)
	if err != nil {
		return err
	}
	query := url.Values{}
	if out.Match != "" {
		query.Set("q", out.Match)
	}
	if c.QueryParam("after") != "" {
		out.Pager.Newer = address(here, query)
	}
	if len(rows) > peoplePage {
		rows = rows[:peoplePage]
		query.Set("after", rows[peoplePage-1].Email)
		out.Pager.Older = address(here, query)
	}
	for i := range rows {
		out.Rows = append(out.Rows, a.somebodyRow(&rows[i]))
	}
	if out.Frame, err = a.adminFrame(c, "People", "people"); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.EverybodyPage(out))
}

func (a *app) somebodyRow(p *billing.Somebody) views.SomebodyRow {
	row := views.SomebodyRow{
		Name: p.Name, Email: p.Email, Href: "/admin/people/" + p.ID.String(), Admin: p.PlatformRole == models.PlatformAdmin, TwoStep: p.TwoStep(),
		Disabled: p.DisabledAt.IsSet(), Agencies: p.Agencies, Browsers: p.Browsers,
	}
	if p.SeenAt.IsSet() {
		row.Seen = format.Ago(p.SeenAt, a.Wall.Now())
	}
	return row
}

// somebodyOf is the person that an address names.
func (a *app) somebodyOf(c echo.Context) (billing.Somebody, error) {
	id, err := models.ParseID[models.UserID](c.Param("id"))
	if err != nil {
		return billing.Somebody{}, problem.Missing("person")
	}
	return a.Billing.Somebody(c.Request().Context(), id)
}

func (a *app) somebody(c echo.Context) error {
	p, err := a.somebodyOf(c)
	if err != nil {
		return err
	}
	out := views.Somebody{Row: a.somebodyRow(&p)}
	if out.Browsers, err = a.browsers(c, p.ID, models.Session{}); err != nil {
		return err
	}
	if out.Frame, err = a.adminFrame(c, p.Name, "people"); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.SomebodyPage(out))
}

func (a *app) signSomebodyOut(c echo.Context) error {
	p, err := a.somebodyOf(c)
	if err != nil {
		return err
	}
	if err := a.Billing.EndSessions(c.Request().Context(), p.ID, nil, visitOf(c).viewer.Actor()); err != nil {
		return err
	}
	if p.ID == visitOf(c).viewer.User.ID {
		return seeOther(c, "/sign-in")
	}
	return a.saidAt(c, "/admin/people/"+p.ID.String(), views.Flash{Tone: views.ToneOK, Text: p.Name + " is signed out everywhere."})
}

// turnSomebodysTwoStepOff helps who lost the device and the recovery codes.
func (a *app) turnSomebodysTwoStepOff(c echo.Context) error {
	p, err := a.somebodyOf(c)
	if err != nil {
		return err
	}
	if err := a.Billing.TurnTwoStepOff(c.Request().Context(), p.ID, visitOf(c).viewer.Actor()); err != nil {
		return err
	}
	return a.saidAt(c, "/admin/people/"+p.ID.String(), views.Flash{Tone: views.ToneOK, Text: "Two-step sign-in of " + p.Name + " is off. They were told."})
}
