package handlers

import (
	"crypto/rand"
	"encoding/base32"

	"github.com/labstack/echo/v4"
)

// requestID names the request, for the log and for the person who meets an
// error. A caller's own name for it is not taken over.
func (a *app) requestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		raw := make([]byte, 5)
		_, _ = rand.Read(raw) // never fails: the runtime aborts without randomness
		ref := base32.StdEncoding.EncodeToString(raw)
		visitOf(c).ref = ref
		c.Response().Header().Set(echo.HeaderXRequestID, ref)
		return next(c)
	}
}
