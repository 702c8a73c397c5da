package handlers

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
)

// moveClock moves the demonstration's domain time forward, and answers once
// everything due by then has been done; "0s" does what is due now.
func (a *app) moveClock(c echo.Context) error {
	if a.Demo == nil || a.Demo.Advance == nil {
		return echo.ErrNotFound
	}
	if err := a.platformOnly(c); err != nil {
		return err
	}
	var in struct {
		Advance string `json:"advance"`
		To      string `json:"to"`
	}
	dec := json.NewDecoder(io.LimitReader(c.Request().Body, 1024))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		if name, ok := strings.CutPrefix(err.Error(), `json: unknown field "`); ok {
			name = strings.TrimSuffix(name, `"`)
			return problem.New(problem.Malformed, "unknown_field", "There is no field %.80q here; send advance or to.", name).On(name)
		}
		return problem.New(problem.Malformed, "malformed_json", `Send {"advance": "744h"} or {"to": "2026-03-01T00:00:00Z"}.`).Because(err)
	}
	to, err := destination(a.Billing.Now(), in.Advance, in.To)
	if err != nil {
		return err
	}
	if err := a.Demo.Advance(c.Request().Context(), to); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]models.Time{"now": a.Billing.Now()})
}

// destination is the instant a body asks for.
func destination(now models.Time, advance, to string) (models.Time, error) {
	if (advance == "") == (to == "") {
		return 0, problem.New(problem.Invalid, "invalid_clock", "Send either advance or to.")
	}
	if to != "" {
		t, err := time.Parse(time.RFC3339Nano, to)
		if err != nil || t.Year() > 2200 {
			return 0, problem.New(problem.Invalid, "invalid_time", "to is a time such as 2026-03-01T00:00:00Z.").On("to")
		}
		return models.At(t), nil
	}
	d, err := time.ParseDuration(advance)
	if err != nil {
		return 0, problem.New(problem.Invalid, "invalid_duration", "advance is a duration such as 744h or 30m.").On("advance")
	}
	if d < 0 {
		return 0, problem.New(problem.Invalid, "clock_backwards", "Time only moves forward.").On("advance")
	}
	if now > math.MaxInt64-models.Time(d.Microseconds()) {
		return 0, errors.New("beyond the end of time")
	}
	return now.Add(d), nil
}

// platformOnly lets in the operator's own programs.
func (a *app) platformOnly(c echo.Context) error {
	scheme, key, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") || key == "" {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
		return problem.New(problem.Unauthorized, "api_key_missing", "Send the header Authorization: Bearer {API key}.")
	}
	scope, row, err := a.Billing.AuthenticateKey(c.Request().Context(), strings.TrimSpace(key))
	if err == nil {
		err = a.Billing.KeyMay(&row, billing.KeyManages, c.RealIP())
	}
	if err != nil {
		return err
	}
	if !scope.Platform() {
		return problem.New(problem.Forbidden, "platform_key_needed", "This needs a key of the platform, not an agency's.")
	}
	return nil
}
