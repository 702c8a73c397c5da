package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
)

// Prefix is where the API lives.
const Prefix = "/v1"

// Options of the API.
type Options struct {
	Log     *slog.Logger
	BaseURL string // of the portal, for the document's server
}

// Who may enter a route.
type Who string

// The kinds of callers.
const (
	Anyone      Who = "anyone"       // no key needed
	AnyKey      Who = "any key"      // an agency's key sees its own agency only
	PlatformKey Who = "platform key" // the operator's own programs
)

// Route is one row of the route table.
type Route struct {
	Method string
	Path   string // as in the OpenAPI document: /v1/charges/{id}
	Who    Who
}

// caller is who sent a request.
type caller struct {
	scope     billing.Scope
	by        billing.Actor
	requestID string
}

type callerKey struct{}

// api is the door's state.
type api struct {
	s      *billing.Service
	log    *slog.Logger
	huma   huma.API
	echo   *echo.Echo
	routes []Route
	doc    []byte
}

// Register puts the API on an Echo and gives its route table.
func Register(e *echo.Echo, s *billing.Service, o Options) ([]Route, error) {
	speakProblems()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &api{s: s, log: o.Log, echo: e}
	a.huma = humaecho.New(e, humaConfig(o.BaseURL))
	e.Use(a.guard)
	a.charging()
	a.reading()
	if err := a.document(); err != nil {
		return nil, err
	}
	a.heads()
	return a.routes, nil
}

// heads answers HEAD wherever there is a GET: with its very handler, whose body
// net/http leaves out.
func (a *api) heads() {
	for _, r := range a.routes {
		if r.Method == http.MethodGet {
			c := a.echo.NewContext(nil, nil)
			a.echo.Router().Find(http.MethodGet, echoPath(r.Path), c)
			a.echo.HEAD(echoPath(r.Path), c.Handler())
		}
	}
}

// guard stands before everything under /v1: a request id on every answer, and
// whatever goes wrong becomes a problem.
func (a *api) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		path := c.Request().URL.Path
		if path != Prefix && !strings.HasPrefix(path, Prefix+"/") {
			return next(c)
		}
		h := c.Response().Header()
		if h.Get(echo.HeaderXRequestID) == "" {
			h.Set(echo.HeaderXRequestID, "req_"+strings.ToLower(rand.Text()[:20]))
		}
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if err := a.protect(c, next); err != nil {
			a.refuse(c, err)
		}
		return nil
	}
}

// protect turns a panic into an error, so that it is answered and logged like
// any other fault.
func (a *api) protect(c echo.Context, next echo.HandlerFunc) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // a sentinel that net/http compares
				panic(p)
			}
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := unescape(c); err != nil {
		return err
	}
	return next(c)
}

// unescape decodes path parameters: the router matches the path as it was sent
// when it has escapes of its own, such as sub%3Anorthwind%2Facme.
func unescape(c echo.Context) error {
	raw := c.Request().URL.RawPath != ""
	values := c.ParamValues()
	for i, v := range values {
		if raw {
			plain, err := url.PathUnescape(v)
			if err != nil {
				return echo.ErrNotFound
			}
			v, values[i] = plain, plain
		}
		if !printable(v) {
			return echo.ErrNotFound
		}
	}
	return nil
}

// printable tells whether both databases can compare the text.
func printable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func requestID(c echo.Context) string { return c.Response().Header().Get(echo.HeaderXRequestID) }

// authenticate finds the caller by its bearer key. Cookies are not looked at.
func (a *api) authenticate(c echo.Context, may Who) (caller, error) {
	header := c.Request().Header.Get(echo.HeaderAuthorization)
	scheme, key, _ := strings.Cut(header, " ")
	if header == "" || !strings.EqualFold(scheme, "Bearer") {
		return caller{}, problem.New(problem.Unauthorized, "api_key_missing", "Send the header Authorization: Bearer {API key}.").On("Authorization")
	}
	scope, row, err := a.s.AuthenticateKey(c.Request().Context(), strings.TrimSpace(key))
	if err != nil {
		return caller{}, err
	}
	if err := a.s.KeyMay(&row, scopeOf(c.Request()), c.RealIP()); err != nil {
		return caller{}, err
	}
	if may == PlatformKey && !scope.Platform() {
		return caller{}, problem.New(problem.Forbidden, "platform_key_needed", "Only the platform's own keys may do this; this key belongs to an agency.")
	}
	return caller{scope: scope, by: actor(row), requestID: requestID(c)}, nil
}

// scopeOf is what a key needs for a request.
func scopeOf(r *http.Request) string {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return billing.KeyReads
	}
	noun, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	switch noun {
	case "charges", "holds", "estimates":
		return billing.KeyCharges
	}
	return billing.KeyManages
}

func actor(row models.APIKey) billing.Actor { return billing.Actor("key:…" + row.Hint) }

// fast registers a hand-written POST.
func (a *api) fast(path string, h func(echo.Context, caller) error) {
	a.routes = append(a.routes, Route{http.MethodPost, path, AnyKey})
	a.echo.POST(echoPath(path), func(c echo.Context) error {
		who, err := a.authenticate(c, AnyKey)
		if err != nil {
			return err
		}
		return h(c, who)
	})
}

func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// charging is the charge path.
func (a *api) charging() {
	a.fast("/v1/charges", a.postCharge)
	a.fast("/v1/charges/batch", a.postBatch)
	a.fast("/v1/charges/{id}/reversals", a.postReversal)
	a.fast("/v1/holds", a.postHold)
	a.fast("/v1/holds/{id}/captures", a.postCapture)
	a.fast("/v1/holds/{id}/releases", a.postRelease)
}

// typed registers a handler on huma with the errors of this API.
func typed[I, O any](a *api, may Who, op huma.Operation, h func(context.Context, caller, *I) (*O, error)) {
	a.routes = append(a.routes, Route{op.Method, op.Path, may})
	op.MaxBodyBytes = maxBody
	op.Middlewares = append(op.Middlewares, a.enter(may))
	if may == Anyone {
		op.Security = []map[string][]string{}
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		who, _ := ctx.Value(callerKey{}).(caller)
		out, err := h(ctx, who, in)
		if err == nil {
			return out, nil
		}
		d := describe(err, who.requestID)
		if d.Status >= http.StatusInternalServerError {
			a.log.LogAttrs(ctx, slog.LevelError, "api request failed", slog.String("operation", op.OperationID), slog.Int("status", d.Status),
				slog.String("code", d.Code), slog.String("request_id", d.RequestID), slog.String("error", err.Error()))
		}
		header := http.Header{}
		setRetry(header, d)
		return nil, huma.ErrorWithHeaders(d, header)
	})
}

// enter lets the right callers into a typed handler and reads their body.
func (a *api) enter(may Who) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		c := humaecho.Unwrap(ctx)
		who := caller{requestID: requestID(c)}
		err := checkQuery(c)
		if err == nil && may != Anyone {
			who, err = a.authenticate(c, may)
		}
		if err == nil && slices.Contains([]string{http.MethodPost, http.MethodPatch, http.MethodPut}, ctx.Method()) {
			buf := takeBuffer()
			defer buf.free()
			if err = readBody(c, maxBody, buf); err == nil {
				c.Request().Body = body(buf.b)
			}
			if err == nil && ctx.Method() == http.MethodPost {
				err = billing.CheckKey(ctx.Header(keyHeader))
			}
		}
		if err != nil {
			a.refuse(c, err)
			return
		}
		next(huma.WithValue(ctx, callerKey{}, who))
	}
}

// checkQuery refuses what neither database can compare.
func checkQuery(c echo.Context) error {
	if c.Request().URL.RawQuery == "" {
		return nil
	}
	for name, values := range c.QueryParams() {
		for _, v := range values {
			if !printable(v) || len(v) > 1000 {
				return problem.New(problem.Malformed, "malformed_query", "This parameter is not plain text.").On(name)
			}
		}
	}
	return nil
}
