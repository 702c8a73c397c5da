package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// alive tells that the process answers; it asks nobody.
func (a *app) alive(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

// readyPatience is how long the database may take to show that it is there.
const readyPatience = 2 * time.Second

// ready tells whether a request would be served now, and soon.
func (a *app) ready(c echo.Context) error {
	if a.Leaving != nil && a.Leaving() {
		return c.JSON(http.StatusServiceUnavailable, map[string]string{"status": "leaving"})
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyPatience)
	defer cancel()
	if err := a.Billing.Ping(ctx); err != nil {
		a.sectionFailed(c, "database", err)
		return c.JSON(http.StatusServiceUnavailable, map[string]string{"status": "unavailable", "database": "does not answer"})
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ok", "database": "ok"})
}
