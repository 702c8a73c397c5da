package handlers

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/views"
)

// fleet is every agency and how it stands.
func (a *app) fleet(c echo.Context) error {
	out := views.Fleet{}
	cursor := c.QueryParam("cursor")
	found, err := a.Billing.Fleet(c.Request().Context(), cursor, 0)
	if problem.Is(err, "invalid_cursor") {
		return problem.Missing("page")
	}
	if err == nil {
		err = found.Used24hErr
	}
	if err != nil {
		out.Failure = a.failure(c, "The fleet", "", err)
	}
	out.Used24h, out.Paused, out.Low, out.Below, out.Unpaid = found.Used24h, found.Paused, found.Low, found.Below, found.Unpaid
	for i := range found.Rows {
		row := &found.Rows[i]
		out.Rows = append(out.Rows, views.FleetRow{
			Name: row.Name, Plan: row.Plan, State: views.State(row.State), Left: row.Left, Used30d: row.Used30d, SubAccounts: row.SubAccounts,
		})
	}
	if cursor != "" {
		out.Pager.Newer = "/admin"
	}
	if found.Next != "" {
		out.Pager.Older = address("/admin", url.Values{"cursor": {found.Next}})
	}
	if out.Frame, err = a.frame(c, "Fleet", "fleet", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.FleetPage(out))
}
