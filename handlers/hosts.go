package handlers

import (
	"net"
	"net/http"
	"net/netip"
	"regexp"
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
		}
		return next(c)
	}
}

// errUnknownHost is answered with an empty page.
var errUnknownHost = echo.NewHTTPError(http.StatusNotFound, "unknown host")

func (a *app) hostOf(c echo.Context) (host, error) {
	name := strings.ToLower(c.Request().Host)
	if bare, _, err := net.SplitHostPort(name); err == nil {
		name = bare
	}
	name = strings.Trim(name, "[]")
	own := a.base.Hostname()
	if name == strings.ToLower(own) || isLocal(own) && isLocal(name) {
		return host{}, nil
	}
	label, ok := strings.CutSuffix(name, "."+a.Billing.PortalDomain())
	if !ok || !hostLabel.MatchString(label) {
		return host{}, errUnknownHost
	}
	agency, err := a.Billing.AgencyByHost(c.Request().Context(), label)
	if problem.Is(err, "not_found") {
		return host{}, errUnknownHost
	}
	if err != nil {
		return host{}, err
	}
	return host{portal: &agency}, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	p = p.Masked()
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
