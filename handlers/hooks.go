package handlers

import (
	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/handlers/webhook"
)

// hooks are the doors of Stripe's endpoints.
type hooks map[string]*webhook.Door

func newHooks(c *Config) hooks {
	out := hooks{}
	for _, endpoint := range []string{billing.EndpointPlatform, billing.EndpointConnect} {
		out[endpoint] = webhook.New(endpoint, c.Billing.ReceiveEvent, c.Log)
	}
	return out
}

// hook takes the deliveries of an endpoint.
func (a *app) hook(endpoint string) echo.HandlerFunc {
	return func(c echo.Context) error { return a.hooks[endpoint].Take(c) }
}
