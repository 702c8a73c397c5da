package handlers

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// Limits of one request.
const (
	maxForm     = 64 << 10 // bytes of a form
	maxCard     = 1 << 20  // bytes of a form with a whole rate card
	maxBody     = 2 << 20  // bytes of anything else, the API aside
	pageTimeout = 30 * time.Second
)

// limits bound what a request may send and how long it may take.
func limits(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		limit := int64(maxBody)
		if strings.HasPrefix(r.Header.Get(echo.HeaderContentType), echo.MIMEApplicationForm) {
			limit = maxForm
			if strings.HasPrefix(r.URL.Path, ratesPath+"/") {
				limit = maxCard
			}
		}
		if !strings.HasPrefix(r.URL.Path, "/v1/") { // the API has limits of its own, and says so in its own words
			if r.ContentLength > limit {
				return echo.ErrStatusRequestEntityTooLarge
			}
			r.Body = http.MaxBytesReader(c.Response(), r.Body, limit)
		}
		// A file, and a month of the demonstration's time, take as long as they take.
		if !strings.HasSuffix(c.Path(), ".csv") && c.Path() != "/demo/clock" {
			ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
			defer cancel()
			c.SetRequest(r.WithContext(ctx))
		}
		return next(c)
	}
}
