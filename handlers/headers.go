package handlers

import (
	"strings"

	"github.com/labstack/echo/v4"
)

// contentPolicy allows our own style, script and pictures, nothing inline and
// nobody else's. A purchase form may lead to the payment page, and the button
// that connects Stripe to its set-up pages, the one for cards and invoices to its
// portal: browsers hold the redirect against form-action too.
func contentPolicy(checkout []string) string {
	forms := append([]string{"'self'", "https://checkout.stripe.com", "https://connect.stripe.com", "https://billing.stripe.com"}, checkout...)
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
		"form-action " + strings.Join(forms, " ") + "; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
}

// standing is a header as net/http keeps it, made once for all answers. Nothing
// can be appended to its value in place.
type standing struct {
	name  string // canonical
	value []string
}

func standingHeaders(policy string) []standing {
	return []standing{
		{"Content-Security-Policy", []string{policy}},
		{"X-Content-Type-Options", []string{"nosniff"}},
		{"Referrer-Policy", []string{"same-origin"}},
		{"Cross-Origin-Opener-Policy", []string{"same-origin"}},
		{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
		{"Permissions-Policy", []string{"camera=(), geolocation=(), microphone=()"}},
		{"Cache-Control", []string{"no-store"}},
	}
}

// headers stand on every answer; a handler may only tighten them.
func (a *app) headers(next echo.HandlerFunc) echo.HandlerFunc {
	all := standingHeaders(a.csp)
	return func(c echo.Context) error {
		h := c.Response().Header()
		for _, f := range all {
			h[f.name] = f.value
		}
		if a.secure {
			c.Response().Before(func() {
				// Portals may one day stand on a domain of the agency's own, whose
				// other hosts are not ours to speak for.
				value := "max-age=63072000"
				if visitOf(c).host.portal == nil {
					value += "; includeSubDomains"
				}
				h.Set("Strict-Transport-Security", value)
			})
		}
		return next(c)
	}
}
