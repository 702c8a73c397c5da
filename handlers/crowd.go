package handlers

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
)

// mostAtOnce is how many requests may be under way at once: those that the database
// answers, and some ten times as many that wait for one of its connections. Who
// comes beyond is told at once to come back, instead of waiting until the time that
// a page has is over.
const mostAtOnce = 24 + 256

// crowd keeps that bound. What a client has not sent or not taken yet costs the
// database nothing: slow connections count only while something is done for them,
// and cannot keep others out.
func (a *app) crowd(next echo.HandlerFunc) echo.HandlerFunc {
	most := int64(a.AtOnce)
	if most == 0 {
		most = mostAtOnce
	}
	busy := &a.busy // next is wrapped anew for each request
	return func(c echo.Context) error {
		if bounded(c.Request()) {
			return next(c)
		}
		defer busy.Add(-1)
		if busy.Add(1) > most {
			return problem.New(problem.Unavailable, "overloaded", "Too many requests are being answered right now. Try again in a moment.")
		}
		if body := c.Request().Body; body != nil {
			c.Request().Body = slowBody{body, busy}
		}
		c.Response().Writer = slowWriter{c.Response().Writer, busy}
		return next(c)
	}
}

// bounded tells requests that wait for no connection, or whose waiting the ledger
// bounds itself: it answers hundreds of charges with one.
func bounded(r *http.Request) bool {
	path := r.URL.Path
	return path == "/healthz" || path == "/readyz" || strings.HasPrefix(path, "/static/") ||
		r.Method == http.MethodPost && (path == "/v1/charges" || path == "/v1/charges/batch" || path == "/v1/holds" || strings.HasPrefix(path, "/v1/holds/"))
}

// slowBody does not count while it waits for the client.
type slowBody struct {
	io.ReadCloser

	busy *atomic.Int64
}

func (b slowBody) Read(p []byte) (int, error) {
	b.busy.Add(-1)
	defer b.busy.Add(1)
	return b.ReadCloser.Read(p)
}

// slowWriter does not count while it waits for the client.
type slowWriter struct {
	http.ResponseWriter

	busy *atomic.Int64
}

func (w slowWriter) Write(p []byte) (int, error) {
	w.busy.Add(-1)
	defer w.busy.Add(1)
	return w.ResponseWriter.Write(p)
}

// Unwrap lets a download flush and move its deadline.
func (w slowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
