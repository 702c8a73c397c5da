package handlers

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/models"
)

// host is whose door a request came to.
type host struct {
	portal *models.Agency // nil: the platform's own
}

// id is what sessions are bound to: zero for the platform.
func (h host) id() models.AgencyID {
	if h.portal == nil {
		return models.AgencyID{}
	}
	return h.portal.ID
}

func isLocal(name string) bool {
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}

var hostLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// hosts lets in what came to a host we know, and says nothing to anybody else:
// no brand, no redirect. Ports are not compared: a mapped port is the same door.
func (a *app) hosts(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if isProbe(c.Path()) {
			return next(c)
		}
		h, err := a.hostOf(c)
		if err != nil {
			return err
		}
		if h.portal != nil && forPrograms(c) {
			return errUnknownHost // programs talk to the platform
		}
		v := visitOf(c)
		v.host = h
		if h.portal != nil {
			brand, err := a.Billing.BrandOf(c.Request().Context(), h.portal)
			if err != nil {
				return err
			}
			v.brand = &brand
			if to := a.elsewhere(c, hostName(c.Request())); to != "" {
				return c.Redirect(http.StatusFound, to)
			}
		}
		return next(c)
	}
}

// errUnknownHost is answered with an empty page.
var errUnknownHost = echo.NewHTTPError(http.StatusNotFound, "unknown host")

// hostName is the name a request came to, without its port.
func hostName(r *http.Request) string {
	name := strings.ToLower(r.Host)
	if bare, _, err := net.SplitHostPort(name); err == nil {
		name = bare
	}
	return strings.Trim(name, "[]")
}

func (a *app) hostOf(c echo.Context) (host, error) {
	name := hostName(c.Request())
	own := a.base.Hostname()
	if name == strings.ToLower(own) || isLocal(own) && isLocal(name) {
		return host{}, nil
	}
	agency, err := a.agencyAt(c.Request().Context(), name)
	if problem.Is(err, "not_found") {
		return host{}, errUnknownHost
	}
	if err != nil {
		return host{}, err
	}
	return host{portal: &agency}, nil
}

// agencyAt finds whose portal a name leads to: one under the platform's own, or a
// domain that its agency has proved. Errors: not_found.
func (a *app) agencyAt(ctx context.Context, name string) (models.Agency, error) {
	label, below := strings.CutSuffix(name, "."+a.Billing.PortalDomain())
	switch {
	case below && hostLabel.MatchString(label):
		return a.Billing.AgencyByHost(ctx, label)
	case below, len(name) > maxHost:
		return models.Agency{}, problem.Missing("portal")
	}
	return a.Billing.AgencyByDomain(ctx, name)
}

// maxHost bounds the names that are looked for.
const maxHost = 253

// elsewhere is the same page on the agency's own domain, for who came to the
// platform's name for it: a payment returns there, and a session is one host's.
func (a *app) elsewhere(c echo.Context, name string) string {
	v, path := visitOf(c), c.Request().URL.Path
	if v.host.portal == nil || v.host.portal.Domain == "" || v.host.portal.Domain == name || !isSafe(c.Request().Method) {
		return ""
	}
	for _, prefix := range []string{"/static/", "/brand/", "/embed/"} {
		if strings.HasPrefix(path, prefix) {
			return ""
		}
	}
	return a.Billing.PortalURL(v.host.portal) + c.Request().URL.RequestURI()
}

// mayGetCertificate answers a reverse proxy that asks, before it gets a
// certificate, whether a name is served here: 200 or 404, without a word. Only a
// proxy on this machine or at a configured private address may ask, and only
// directly: what came through it from outside carries whom it is for.
func (a *app) mayGetCertificate(c echo.Context) error {
	r := c.Request()
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	peer := from.Addr().Unmap()
	asks := err == nil && (peer.IsLoopback() || slices.ContainsFunc(a.AskFrom, func(p netip.Prefix) bool { return p.Contains(peer) }))
	for _, h := range []string{echo.HeaderXForwardedFor, "Forwarded", "X-Forwarded-Host", "Via"} {
		asks = asks && r.Header.Get(h) == ""
	}
	if !asks {
		return errUnknownHost
	}
	name := strings.ToLower(c.QueryParam("domain"))
	if name == strings.ToLower(a.base.Hostname()) {
		return c.NoContent(http.StatusOK)
	}
	agency, err := a.agencyAt(r.Context(), name)
	if problem.Is(err, "not_found") {
		return errUnknownHost
	} else if err != nil {
		return err
	}
	if err := a.Billing.NoteCertificate(r.Context(), agency.ID, name); err != nil { // the answer stands
		a.Log.LogAttrs(r.Context(), slog.LevelError, "note a certificate", slog.String("domain", name), slog.Any("error", err))
	}
	return c.NoContent(http.StatusOK)
}

func ipNet(p netip.Prefix) *net.IPNet {
	p = p.Masked()
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
