package handlers

import (
	"cmp"
	"net/http"

	"github.com/labstack/echo/v4"
)

const (
	themeCookie = "theme"
	themeLife   = 365 * 24 * 60 * 60 // seconds
)

// themeOf is the colours this browser asked for, "" for those of its system.
func themeOf(c echo.Context) string {
	cookie, err := c.Cookie(themeCookie)
	if err != nil {
		return ""
	}
	return knownTheme(cookie.Value)
}

func knownTheme(s string) string {
	if s == "light" || s == "dark" {
		return s
	}
	return ""
}

func (a *app) theme(c echo.Context) error {
	cookie := &http.Cookie{ //nolint:gosec // Secure follows the base URL, as for the session
		Name: themeCookie, Value: knownTheme(c.FormValue("theme")), Path: "/", MaxAge: themeLife,
		Secure: a.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if cookie.Value == "" {
		cookie.MaxAge = -1
	}
	c.SetCookie(cookie)
	return seeOther(c, cmp.Or(localPath(c.FormValue("return_to")), "/"))
}
