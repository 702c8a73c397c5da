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

// headers stand on every answer; a handler may only tighten them.
func (a *app) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", a.csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store")
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
