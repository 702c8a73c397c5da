package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/handlers/status"
	"refill/views"
)

// problems turns a handler's error or panic into its page, inside the
// compressing and logging middleware.
func (a *app) problems(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				if r == http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal
					panic(r)
				}
				a.Log.LogAttrs(c.Request().Context(), slog.LevelError, "panic", slog.String("request_id", visitOf(c).ref),
					slog.String("route", c.Path()), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
				err = nil
				a.answerError(fmt.Errorf("panic: %v", r), c)
			}
		}()
		if err := next(c); err != nil {
			a.answerError(err, c)
		}
		return nil
	}
}

// statusOf is the status of an error, those of the router and the server included.
func statusOf(err error) int {
	if errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		return he.Code
	}
	return status.OfError(err)
}

// answerError answers with the error's page, or with a problem document where a
// program asked. What went wrong inside is logged and never shown.
func (a *app) answerError(err error, c echo.Context) {
	code, v := statusOf(err), visitOf(c)
	if code >= http.StatusInternalServerError {
		a.Log.LogAttrs(c.Request().Context(), slog.LevelError, "request failed", slog.String("request_id", v.ref),
			slog.String("route", c.Path()), slog.Any("error", err))
	}
	if c.Response().Committed {
		return
	}
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
	}
	var failed error
	switch {
	case errors.Is(err, errUnknownHost):
		failed = c.NoContent(code)
	case forPrograms(c):
		failed = writeProblem(c, code, err)
	default:
		failed = page(c, code, views.ProblemPage(a.problemView(c, code, err)))
	}
	if failed != nil {
		a.Log.LogAttrs(c.Request().Context(), slog.LevelWarn, "answer an error", slog.String("request_id", v.ref), slog.Any("error", failed))
	}
}

func retryAfter(err error) string {
	if seconds, ok := problem.FactOf[int64](err, "retry_after"); ok {
		return strconv.FormatInt(seconds, 10)
	}
	return "10"
}

// forPrograms tells the addresses that answer in JSON.
func forPrograms(c echo.Context) bool {
	path := c.Request().URL.Path
	return strings.HasPrefix(path, "/v1") || strings.HasPrefix(path, "/webhooks/") || path == "/demo/clock"
}

// problemView is an error page in the words of whose portal it is. It reads
// nothing: what failed may be what it would read.
func (a *app) problemView(c echo.Context, code int, err error) views.Problem {
	v := visitOf(c)
	out := views.Problem{Frame: a.bareFrame(c, http.StatusText(code)), Status: code, Ref: v.ref}
	p := problem.Of(err)
	switch {
	case errors.Is(err, errForeignForm):
		out.Heading, out.Text = "This form has expired", "Nothing was changed. Open the page again and send the form once more; if you were signed out meanwhile, sign in first."
		out.Action = &views.Link{Label: "Open the page again", Href: formPage(c)}
	case code == http.StatusMethodNotAllowed:
		out.Heading, out.Text = "That can't be done here", "This address answers another kind of request."
	case code == http.StatusRequestEntityTooLarge:
		out.Heading, out.Text = "That is too much at once", "The form is larger than we take. Shorten it, then send it again."
	case p != nil && p.Code == "invalid_range" && strings.HasSuffix(c.Request().URL.Path, ".csv"):
		out.Heading, out.Text = "There is no file for these dates", p.Message
		out.Action = &views.Link{Label: "Change the dates", Href: address(strings.TrimSuffix(c.Request().URL.Path, ".csv"), c.QueryParams())}
	case p != nil && code < http.StatusInternalServerError && code != http.StatusNotFound:
		out.Text = p.Message
	case p != nil && code == http.StatusServiceUnavailable:
		out.Text = p.Message
	}
	if code == http.StatusForbidden && p == nil && !errors.Is(err, errForeignForm) && slices.Equal(v.policy.roles, admins.roles) {
		out.Text = "It is not part of this account."
	}
	if code == http.StatusForbidden && v.viewer != nil && v.viewer.Admin && !errors.Is(err, errForeignForm) {
		out.Text = "Admins look at agencies from the fleet page; this page belongs to an agency's own people."
		out.Action = &views.Link{Label: "Go to the fleet", Href: "/admin"}
	}
	return out
}

// formPage is the page a form stands on.
func formPage(c echo.Context) string {
	switch path := c.Path(); {
	case path == "/sign-in", path == "/buy", path == "/setup", strings.HasPrefix(path, "/setup/"):
		return path
	}
	return "/"
}
