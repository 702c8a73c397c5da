package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/views"
)

// connectForm shows how an agency's Stripe account stands. Stripe is asked on
// every look, so that a lost webhook misleads nobody.
func (a *app) connectForm(c echo.Context) error {
	return a.showConnect(c, http.StatusOK, views.Connect{Again: c.QueryParam("again") != ""})
}

// connectReturn is where an owner comes back to from Stripe, finished or not.
func (a *app) connectReturn(c echo.Context) error {
	return a.showConnect(c, http.StatusOK, views.Connect{Returned: true})
}

func (a *app) showConnect(c echo.Context, code int, out views.Connect) error {
	now, err := a.Billing.RefreshConnection(c.Request().Context(), visitOf(c).viewer.Agency.ID)
	if problem.Is(err, "payment_unavailable") {
		a.sectionFailed(c, "stripe account", err)
		out.Stale = true
	} else if err != nil {
		return err
	}
	out.State = views.ConnectState(now.State())
	out.Name, out.Statement, out.Account, out.Payouts = now.Name, now.Statement, now.Account, now.PayoutsEnabled
	out.Due, out.Why, out.EndedAt = now.Due, now.Why, now.DisconnectedAt
	if now.State() != billing.ConnectionEnded {
		out.Dashboard = now.Dashboard
	}
	if out.Frame, err = a.frame(c, "Payments with Stripe", "packages", nil); err != nil {
		return err
	}
	return page(c, code, views.ConnectPage(out))
}

// connect leads to Stripe's set-up pages.
func (a *app) connect(c echo.Context) error {
	v := visitOf(c)
	to, err := a.Billing.StartOnboarding(c.Request().Context(), v.viewer.Agency.ID, v.viewer.Actor())
	if problem.Is(err, "payment_unavailable") {
		a.sectionFailed(c, "stripe account", err)
		return a.showConnect(c, http.StatusServiceUnavailable, views.Connect{Failed: true})
	}
	if err != nil {
		return err
	}
	return seeOther(c, to)
}
