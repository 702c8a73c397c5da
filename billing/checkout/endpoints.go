package checkout

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
)

// The paths under the portal's address that Stripe delivers to.
const (
	PlatformPath = "/webhooks/stripe"
	ConnectPath  = "/webhooks/stripe/connect"
)

// PlatformEvents are the events of the platform's own payments that are acted
// on: an endpoint asks for these and no other.
func PlatformEvents() []string {
	return append([]string{
		"customer.subscription.deleted", "customer.subscription.updated", "invoice.paid", "invoice.payment_failed",
	}, paymentEvents()...)
}

// paymentEvents are those of one-time payments and of the cards that are charged
// for them, the platform's and its agencies'.
func paymentEvents() []string {
	return []string{
		"charge.dispute.closed", "charge.dispute.created", "charge.dispute.funds_reinstated", "charge.dispute.funds_withdrawn",
		"charge.dispute.updated", "charge.refund.updated", "charge.refunded",
		"checkout.session.async_payment_failed", "checkout.session.async_payment_succeeded",
		"checkout.session.completed", "checkout.session.expired",
		"payment_intent.canceled", "payment_intent.payment_failed", "payment_intent.processing", "payment_intent.succeeded",
		"payment_method.automatically_updated", "payment_method.detached", "payment_method.updated",
		"radar.early_fraud_warning.created", "refund.created", "refund.updated",
	}
}

// ConnectEvents are the same of connected accounts, and what changes about the
// accounts themselves.
func ConnectEvents() []string {
	return append([]string{
		"account.application.deauthorized", "account.updated", "capability.updated", "customer.subscription.deleted", "customer.subscription.updated",
		"invoice.created", "invoice.paid", "invoice.payment_failed", "invoice.voided",
	}, paymentEvents()...)
}

// Console is the operator's side of Stripe: the account a key belongs to and
// where its events are sent. It needs no webhook secrets, since it is what makes
// them, and it takes no payments.
type Console struct {
	api  *client.API
	key  string
	live bool
	sim  bool
}

// NewConsole makes a console of cfg's key, or says what is wrong with it. It
// calls nobody.
func NewConsole(cfg Config) (*Console, error) {
	live, err := readKey(cfg.SecretKey)
	if err != nil {
		return nil, err
	}
	api, err := newAPI(&cfg, live)
	if err != nil {
		return nil, err
	}
	return &Console{api: api, key: cfg.SecretKey, live: live, sim: cfg.BaseURL != ""}, nil
}

// LiveMode tells whether the key moves real money.
func (c *Console) LiveMode() bool { return c.live }

// Simulated tells whether it talks to a simulator on this machine.
func (c *Console) Simulated() bool { return c.sim }

// OwnAccount is the account a key belongs to.
type OwnAccount struct {
	ID             string
	Name           string // as Stripe shows it, the e-mail or the id where there is none
	Country        string // two letters
	Currency       string // of its country: "usd"
	ChargesEnabled bool   // it may take payments
	PayoutsEnabled bool   // Stripe pays out what it took
	Due            []string
}

// Account reads the account that the key belongs to.
func (c *Console) Account(ctx context.Context) (OwnAccount, error) {
	params := &stripe.AccountParams{}
	params.Context = ctx
	a := &stripe.Account{}
	// The library's own call for this takes no context.
	if err := c.api.Accounts.B.Call(http.MethodGet, "/v1/account", c.api.Accounts.Key, params, a); err != nil {
		return OwnAccount{}, c.explain(err)
	}
	out := OwnAccount{
		ID: a.ID, Name: a.ID, Country: a.Country, Currency: string(a.DefaultCurrency),
		ChargesEnabled: a.ChargesEnabled, PayoutsEnabled: a.PayoutsEnabled,
	}
	var business, dashboard string
	if a.BusinessProfile != nil {
		business = a.BusinessProfile.Name
	}
	if a.Settings != nil && a.Settings.Dashboard != nil {
		dashboard = a.Settings.Dashboard.DisplayName
	}
	out.Name = cmp.Or(business, dashboard, a.Email, a.ID)
	if a.Requirements != nil {
		out.Due = a.Requirements.CurrentlyDue
	}
	return out, nil
}

// explain is what Stripe said, without the key should it have been repeated.
func (c *Console) explain(err error) error {
	err = explain(err)
	if e, ok := errors.AsType[*Error](err); ok {
		e.Detail = strings.ReplaceAll(e.Detail, c.key, Hint(c.key))
	}
	return err
}

// WebhookEndpoint is where Stripe sends events.
type WebhookEndpoint struct {
	ID         string
	URL        string
	Connect    bool   // gets the events of connected accounts, else the platform's own
	APIVersion string // events are written in; "" is the account's default
	Enabled    bool
	Events     []string // sorted; "*" is all
	Secret     string   // only of one that was made just now; Stripe never shows it again
}

// Current tells whether events come in the version this program reads.
func (e *WebhookEndpoint) Current() bool { return e.APIVersion == APIVersion }

// Lacks lists the events that are acted on and that the endpoint does not send.
func (e *WebhookEndpoint) Lacks() []string {
	if slices.Contains(e.Events, "*") {
		return nil
	}
	return slices.DeleteFunc(eventsOf(e.Connect), func(s string) bool { return slices.Contains(e.Events, s) })
}

func eventsOf(connect bool) []string {
	if connect {
		return ConnectEvents()
	}
	return PlatformEvents()
}

// Endpoints lists the webhook endpoints that the account has, ours or not.
func (c *Console) Endpoints(ctx context.Context) ([]WebhookEndpoint, error) {
	params := &stripe.WebhookEndpointListParams{}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	var out []WebhookEndpoint
	list := c.api.WebhookEndpoints.List(params)
	for list.Next() {
		out = append(out, readEndpoint(list.WebhookEndpoint()))
	}
	return out, c.explain(list.Err())
}

func readEndpoint(e *stripe.WebhookEndpoint) WebhookEndpoint {
	return WebhookEndpoint{
		ID: e.ID, URL: e.URL, Connect: e.Application != "", APIVersion: e.APIVersion, Enabled: e.Status == "enabled",
		Events: slices.Sorted(slices.Values(e.EnabledEvents)), Secret: e.Secret,
	}
}

// Prepared is an endpoint that does what the portal needs, and how it came to.
type Prepared struct {
	WebhookEndpoint

	Made    bool              // just now: Secret is set
	Changed bool              // it was there, and was switched on or asked for other events
	Stale   []WebhookEndpoint // of the same address in another version: their events cannot be told from forgeries
}

// PrepareEndpoint finds the endpoint of base's platform or Connect address in
// our version, mends it where it differs, and makes it when there is none. Doing
// it again changes nothing.
func (c *Console) PrepareEndpoint(ctx context.Context, base string, connect bool) (Prepared, error) {
	address, wanted := EndpointURL(base, connect), eventsOf(connect)
	all, err := c.Endpoints(ctx)
	if err != nil {
		return Prepared{}, err
	}
	var out Prepared
	for _, e := range all {
		switch {
		case e.URL != address || e.Connect != connect:
		case e.Current() && out.ID == "":
			out.WebhookEndpoint = e
		default:
			out.Stale = append(out.Stale, e)
		}
	}
	switch {
	case out.ID == "":
		out.WebhookEndpoint, err = c.create(ctx, address, connect)
		out.Made = err == nil
	case !out.Enabled || !slices.Equal(out.Events, slices.Sorted(slices.Values(wanted))):
		err = c.Mend(ctx, &out.WebhookEndpoint)
		out.Changed = err == nil
	}
	return out, err
}

// create makes an endpoint in our version: its version is what it stays.
func (c *Console) create(ctx context.Context, address string, connect bool) (WebhookEndpoint, error) {
	params := &stripe.WebhookEndpointParams{
		URL: new(address), EnabledEvents: stripe.StringSlice(eventsOf(connect)), APIVersion: new(APIVersion),
		Description: new("Prepaid credits"),
	}
	params.Context = ctx
	if connect {
		params.Connect = new(true)
	}
	made, err := c.api.WebhookEndpoints.New(params)
	if err != nil {
		return WebhookEndpoint{}, c.explain(err)
	}
	return readEndpoint(made), nil
}

// Mend switches an endpoint on and has it send the events that are acted on.
func (c *Console) Mend(ctx context.Context, e *WebhookEndpoint) error {
	params := &stripe.WebhookEndpointParams{EnabledEvents: stripe.StringSlice(eventsOf(e.Connect)), Disabled: new(false)}
	params.Context = ctx
	changed, err := c.api.WebhookEndpoints.Update(e.ID, params)
	if err != nil {
		return c.explain(err)
	}
	*e = readEndpoint(changed)
	return nil
}

// EndpointURL is where Stripe delivers to, below the portal's address.
func EndpointURL(base string, connect bool) string {
	if connect {
		return strings.TrimRight(base, "/") + ConnectPath
	}
	return strings.TrimRight(base, "/") + PlatformPath
}

// Hint is the end of a secret, by which its owner knows it: "…4242".
func Hint(secret string) string {
	if len(secret) < 12 {
		return "…" // too short to give a third of it away
	}
	return "…" + secret[len(secret)-4:]
}

// LogValue keeps the secret of an endpoint out of every log.
func (e WebhookEndpoint) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", e.ID), slog.String("url", e.URL), slog.Bool("connect", e.Connect))
}
