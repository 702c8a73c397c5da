package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/static"
)

// asset serves style, script and icon. A name with a hash never changes its
// content and may be kept for ever.
func (a *app) asset(c echo.Context) error {
	content, contentType, forever, ok := static.Open(c.Param("name"))
	if !ok {
		return echo.ErrNotFound
	}
	cache := "no-cache"
	if forever {
		cache = immutable
	}
	c.Response().Header().Set("Cache-Control", cache)
	return c.Blob(http.StatusOK, contentType, content)
}
