package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/handlers/metrics"
	"refill/models"
)

// Config is what the doors are wired from.
type Config struct {
	Billing  *billing.Service
	BaseURL  string              // what people type: "https://credits.example"; decides hosts, cookies and links
	Name     string              // of the platform, on its own pages; "" Refill
	Help     string              // href of the help link; "" leaves it out
	Stripe   billing.StripeSetup // how payments are configured, for the set-up
	Checkout []string            // origins a purchase form may lead to, beside Stripe's own
	// TrustedProxies may say for whom they ask (X-Forwarded-For). Nobody else is
	// believed.
	TrustedProxies []netip.Prefix
	// AskFrom may ask at /internal/tls which names are served here, beside this
	// machine itself.
	AskFrom []netip.Prefix
	// EasyAdmins lets admins sign in without a second step. For a demonstration or a
	// test: everywhere else they are asked to set one up before anything else.
	EasyAdmins bool
	// AllInTwoSteps asks everybody, clients too, to set up a second step before
	// anything else.
	AllInTwoSteps bool
	AtOnce        int                      // how many requests may be under way at once, charges aside; 0 the usual
	API           func(e *echo.Echo) error // mounts /v1; nil: no API
	Demo          *Demo                    // nil: the real thing
	Leaving       func() bool              // the process was told to end; nil: never
	Wall          models.Clock             // wall time, for logs; nil: the system's
	Metrics       *metrics.Metrics         // told of every request; nil: nobody is
	Log           *slog.Logger
}

// Demo is what only a demonstration has.
type Demo struct {
	Banner  string                                          // one line on top of every page
	Receipt string                                          // said on receipts: that no money was moved
	Hint    string                                          // said where a password is asked for: what it is
	Advance func(ctx context.Context, to models.Time) error // moves domain time, and does everything due
}

// app carries what the doors share.
type app struct {
	Config
	base   *url.URL
	store  *store
	origin *http.CrossOriginProtection
	csp    string
	secure bool // BaseURL is https
	hooks  hooks
	busy   atomic.Int64 // requests under way: see crowd
}

// New makes the portal's handler: every page, the webhooks, the probes and, when
// given, the API.
func New(c Config) (*echo.Echo, error) {
	if c.Billing == nil {
		return nil, errors.New("handlers: billing is needed")
	}
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "" || strings.Trim(base.Path, "/") != "" {
		return nil, fmt.Errorf("handlers: base URL %q is not like https://credits.example", c.BaseURL)
	}
	if c.Name == "" {
		c.Name = "Refill"
	}
	if c.Wall == nil {
		c.Wall = models.SystemClock{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	a := &app{Config: c, base: base, secure: base.Scheme == "https", origin: http.NewCrossOriginProtection()}
	a.store = newStore(c.Billing, a.secure)
	a.hooks = newHooks(&c)
	a.csp = contentPolicy(c.Checkout)

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = callers(c.TrustedProxies)
	e.HTTPErrorHandler = a.answerError
	e.Use(a.requestID, a.accessLog, a.headers, limits, compress, a.problems, a.crowd, a.hosts)
	for _, r := range a.table() {
		if err := a.add(e, r); err != nil {
			return nil, err
		}
	}
	if c.API != nil {
		if err := c.API(e); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// callers tells whose request it is: the other end of the connection, unless
// that is a proxy we were told to believe.
func callers(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	opts := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range trusted {
		opts = append(opts, echo.TrustIPRange(ipNet(p)))
	}
	return echo.ExtractIPFromXFFHeader(opts...)
}
