package handlers

import (
	"log/slog"

	"github.com/labstack/echo/v4"
)

// accessLog writes one line a request: the route, not the address, so that
// neither a sign-in link nor what somebody searched for is ever in a log.
func (a *app) accessLog(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		begun := a.Wall.Now()
		a.Metrics.RequestBegun()
		defer func() { // also when the connection is cut off on purpose
			a.Metrics.RequestEnded(c.Path(), c.Request().Method, c.Response().Status, a.Wall.Now().Sub(begun))
		}()
		err := next(c)
		if err != nil {
			a.answerError(err, c)
		}
		v, res := visitOf(c), c.Response()
		level := slog.LevelInfo
		if isProbe(c.Path()) {
			level = slog.LevelDebug
		}
		if !a.Log.Enabled(c.Request().Context(), level) {
			return nil
		}
		attrs := []slog.Attr{
			slog.String("request_id", v.ref), slog.String("method", c.Request().Method), slog.String("route", c.Path()),
			slog.Int("status", res.Status), slog.Int64("bytes", res.Size),
			slog.Int64("micros", a.Wall.Now().Sub(begun).Microseconds()), slog.String("ip", c.RealIP()),
		}
		if v.host.portal != nil {
			attrs = append(attrs, slog.String("portal", v.host.portal.ID.String()))
		}
		if v.viewer != nil {
			attrs = append(attrs, slog.String("user", v.viewer.User.ID.String()), slog.String("role", string(v.role())))
		}
		a.Log.LogAttrs(c.Request().Context(), level, "request", attrs...)
		return nil
	}
}
