package checkout

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
)

// APIVersion is the version of Stripe's API that this package speaks. Webhook
// endpoints have to be made with it.
const APIVersion = stripe.APIVersion

// Limits of a single HTTP exchange with Stripe.
const (
	requestTimeout = 20 * time.Second
	networkRetries = 2
)

// Config says which Stripe to talk to, and as whom.
type Config struct {
	SecretKey             string       // sk_test_…, sk_live_… or a restricted rk_… key
	WebhookSecrets        []string     // of the platform's endpoint: one, or two while one is rolled
	ConnectWebhookSecrets []string     // of the Connect endpoint; none while agencies do not sell
	BaseURL               string       // a simulator on this machine; "" is the real Stripe
	Tax                   bool         // Stripe reckons tax on the platform's own checkouts
	HTTPClient            *http.Client // one with a timeout of 20 s when nil
	Log                   *slog.Logger // nothing is logged when nil
}

// Gateway is the way to Stripe. It is safe for concurrent use.
type Gateway struct {
	api            *client.API
	live           bool
	simulator      string // its address; "" is the real Stripe
	tax            bool
	secrets        []string
	connectSecrets []string
	log            *slog.Logger
	now            func() time.Time // wall time, for signatures
}

// New makes a gateway, or says what is wrong with its configuration. It calls
// nobody.
func New(cfg Config) (*Gateway, error) {
	live, err := readKey(cfg.SecretKey)
	if err != nil {
		return nil, err
	}
	if len(cfg.WebhookSecrets) == 0 {
		return nil, errors.New("stripe: a webhook secret is needed, or anybody could claim a payment")
	}
	for _, s := range slices.Concat(cfg.WebhookSecrets, cfg.ConnectWebhookSecrets) {
		if strings.TrimSpace(s) == "" {
			return nil, errors.New("stripe: a webhook secret is empty, and an empty secret accepts forgeries")
		}
	}
	api, err := newAPI(&cfg, live)
	if err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Gateway{
		api:            api,
		live:           live,
		simulator:      strings.TrimRight(cfg.BaseURL, "/"),
		tax:            cfg.Tax,
		secrets:        slices.Clone(cfg.WebhookSecrets),
		connectSecrets: slices.Clone(cfg.ConnectWebhookSecrets),
		log:            log,
		now:            time.Now, //nolint:forbidigo // wall time: signatures know no other
	}, nil
}

// newAPI is stripe-go with our limits, for the real Stripe or a simulator.
func newAPI(cfg *Config, live bool) (*client.API, error) {
	backend := &stripe.BackendConfig{
		HTTPClient:        cfg.HTTPClient,
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		MaxNetworkRetries: stripe.Int64(networkRetries),
	}
	if backend.HTTPClient == nil {
		backend.HTTPClient = &http.Client{Timeout: requestTimeout}
	}
	if cfg.BaseURL != "" {
		base, err := readBaseURL(cfg.BaseURL, live)
		if err != nil {
			return nil, err
		}
		backend.URL = &base
	}
	api := stripe.GetBackendWithConfig(stripe.APIBackend, backend)
	return client.New(cfg.SecretKey, &stripe.Backends{API: api, Connect: api, Uploads: api}), nil
}

// LiveMode tells whether payments through this gateway move real money.
func (g *Gateway) LiveMode() bool { return g.live }

// readKey tells a live key from a test key, and refuses what is neither.
func readKey(key string) (live bool, err error) {
	for prefix, isLive := range map[string]bool{
		"sk_live_": true, "rk_live_": true, "sk_test_": false, "rk_test_": false,
	} {
		if rest, ok := strings.CutPrefix(key, prefix); ok && rest != "" && !strings.ContainsAny(rest, " \t\r\n") {
			return isLive, nil
		}
	}
	if key == "" {
		return false, errors.New("stripe: the secret key is missing")
	}
	return false, errors.New("stripe: the secret key must start with sk_test_, sk_live_, rk_test_ or rk_live_")
}

// readBaseURL takes the address of a simulator: on this machine, and never
// together with a live key, which would hand the key to it.
func readBaseURL(raw string, live bool) (string, error) {
	if live {
		return "", errors.New("stripe: a live key never goes to a simulator; leave the base address empty")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("stripe: %q is not an address such as http://127.0.0.1:12111", raw)
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("stripe: the simulator's address %q is not on this machine", raw)
	}
	return strings.TrimRight(raw, "/"), nil
}
