package checkout_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/billing/stripesim"
)

func newConsole(t *testing.T, base, key string) *checkout.Console {
	t.Helper()
	c, err := checkout.NewConsole(checkout.Config{SecretKey: key, BaseURL: base})
	require.NoError(t, err)
	return c
}

// TestConsoleContract sends every call of the console to Stripe's own mock.
func TestConsoleContract(t *testing.T) {
	t.Parallel()
	mock := startMock(t)
	c, ctx := newConsole(t, mock, testKey), t.Context()
	calls := map[string]func() error{
		"Account":   func() error { _, err := c.Account(ctx); return err },
		"Endpoints": func() error { _, err := c.Endpoints(ctx); return err },
		"PrepareEndpoint": func() error {
			for _, connect := range []bool{false, true} { // the mock has none of ours: both are made
				if _, err := c.PrepareEndpoint(ctx, "https://credits.example", connect); err != nil {
					return err
				}
			}
			return nil
		},
		"Mend": func() error {
			known, err := c.Endpoints(ctx)
			if err != nil {
				return err
			}
			return c.Mend(ctx, &known[0])
		},
	}
	for method := range reflect.TypeFor[*checkout.Console]().Methods() {
		if method.Type.NumIn() > 1 && method.Type.In(1) == reflect.TypeFor[context.Context]() {
			require.Contains(t, calls, method.Name, "a call that the contract test does not make")
		}
	}
	for name, call := range calls {
		require.NoError(t, call(), name)
	}
	spoilt, err := checkout.NewConsole(checkout.Config{SecretKey: testKey, BaseURL: mock, HTTPClient: &http.Client{Transport: spoiler{}}})
	require.NoError(t, err)
	_, err = spoilt.PrepareEndpoint(ctx, "https://credits.example", true)
	wantKind(t, err, checkout.KindRefused)
}

func TestOwnAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := newConsole(t, b.url, testKey)
	require.False(t, c.LiveMode())
	require.True(t, c.Simulated())
	a, err := c.Account(t.Context())
	require.NoError(t, err)
	require.Equal(t, "Refill", a.Name)
	require.Equal(t, "US", a.Country)
	require.Equal(t, "usd", a.Currency)
	require.True(t, a.ChargesEnabled)
	require.True(t, a.PayoutsEnabled)
	require.Empty(t, a.Due)

	_, err = newConsole(t, b.url, "sk_test_of_somebody_else").Account(t.Context())
	wantKind(t, err, checkout.KindUnauthorised)
	require.NotContains(t, err.Error(), "somebody_else")
	_, err = newConsole(t, "http://127.0.0.1:1", testKey).Account(canceled())
	wantKind(t, err, checkout.KindUnavailable)
}

func TestConsoleWantsAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{"": "missing", "pk_test_1": "must start with", "sk_test_": "must start with"} {
		_, err := checkout.NewConsole(checkout.Config{SecretKey: key})
		require.ErrorContains(t, err, want, key)
	}
	_, err := checkout.NewConsole(checkout.Config{SecretKey: "sk_live_1", BaseURL: "http://127.0.0.1:1"})
	require.ErrorContains(t, err, "never goes to a simulator")
	live, err := checkout.NewConsole(checkout.Config{SecretKey: "rk_live_1"})
	require.NoError(t, err)
	require.True(t, live.LiveMode())
	require.False(t, live.Simulated())
}

// TestEndpointsAreMadeOnce: doing it again finds them, and mends what somebody
// changed meanwhile.
func TestEndpointsAreMadeOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *stripesim.Config) { c.Endpoints = nil })
	c, ctx := newConsole(t, b.url, testKey), t.Context()
	const base = "https://credits.example/" // the slash is no part of it
	ids := map[bool]string{}
	for _, connect := range []bool{false, true} {
		made, err := c.PrepareEndpoint(ctx, base, connect)
		require.NoError(t, err)
		require.True(t, made.Made)
		require.Equal(t, checkout.EndpointURL(base, connect), made.URL)
		require.True(t, strings.HasPrefix(made.URL, "https://credits.example/webhooks/stripe"))
		require.Equal(t, connect, made.Connect)
		require.Equal(t, checkout.APIVersion, made.APIVersion)
		require.True(t, made.Enabled)
		require.Empty(t, made.Lacks())
		require.True(t, strings.HasPrefix(made.Secret, "whsec_"), made.Secret)
		ids[connect] = made.ID
		again, err := c.PrepareEndpoint(ctx, base, connect)
		require.NoError(t, err)
		require.Equal(t, made.ID, again.ID)
		require.False(t, again.Made)
		require.False(t, again.Changed)
		require.Empty(t, again.Secret, "a secret is told once")
	}
	require.NotEqual(t, ids[false], ids[true])

	// Somebody took an event away and switched it off.
	req := url.Values{"enabled_events[]": {"checkout.session.completed"}, "disabled": {"true"}}
	send(t, b.url+"/v1/webhook_endpoints/"+ids[false], req)
	all, err := c.Endpoints(ctx)
	require.NoError(t, err)
	i := slices.IndexFunc(all, func(e checkout.WebhookEndpoint) bool { return e.ID == ids[false] })
	require.False(t, all[i].Enabled)
	require.Len(t, all[i].Lacks(), len(checkout.PlatformEvents())-1)
	mended, err := c.PrepareEndpoint(ctx, base, false)
	require.NoError(t, err)
	require.True(t, mended.Changed)
	require.True(t, mended.Enabled)
	require.Empty(t, mended.Lacks())
	require.Equal(t, ids[false], mended.ID)
	all, err = c.Endpoints(ctx)
	require.NoError(t, err)
	require.Len(t, all, 2, "nothing was made twice")
}

// An endpoint's version cannot be changed: one in another version stays where it
// is and is named, and one in ours stands beside it.
func TestEndpointOfAnotherVersionIsStale(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *stripesim.Config) { c.Endpoints = nil })
	c, base := newConsole(t, b.url, testKey), "https://credits.example"
	send(t, b.url+"/v1/webhook_endpoints", url.Values{
		"url": {checkout.EndpointURL(base, false)}, "enabled_events[]": {"*"}, "api_version": {"2020-08-27"},
	})
	p, err := c.PrepareEndpoint(t.Context(), base, false)
	require.NoError(t, err)
	require.True(t, p.Made)
	require.Len(t, p.Stale, 1)
	require.Equal(t, "2020-08-27", p.Stale[0].APIVersion)
	require.Empty(t, p.Stale[0].Lacks(), "it sends everything, but not so that it can be read")
	again, err := c.PrepareEndpoint(t.Context(), base, false)
	require.NoError(t, err)
	require.False(t, again.Made)
	require.Equal(t, p.ID, again.ID)
}

// What the simulator sends to an endpoint made through its API is signed with
// the secret it told, written in the endpoint's version, and only what was asked
// for.
func TestMadeEndpointsAreDeliveredTo(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *stripesim.Config) { c.Endpoints = nil })
	type came struct {
		body      []byte
		signature string
	}
	arrivals := make(chan came, 100)
	door := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrivals <- came{body, r.Header.Get("Stripe-Signature")}
	}))
	t.Cleanup(door.Close)
	made, err := newConsole(t, b.url, testKey).PrepareEndpoint(t.Context(), door.URL, false)
	require.NoError(t, err)
	gateway, err := checkout.New(checkout.Config{SecretKey: testKey, WebhookSecrets: []string{made.Secret}, BaseURL: b.url})
	require.NoError(t, err)
	opened, err := gateway.CreateSession(t.Context(), b.params("k1"))
	require.NoError(t, err)
	b.pay(opened.ID, "4242424242424242")
	var types []string
	for range 2 { // charge.succeeded was not asked for
		a := <-arrivals
		e, err := gateway.ParseEvent(a.body, a.signature, false)
		require.NoError(t, err)
		require.True(t, e.VersionMatches)
		types = append(types, e.Type)
	}
	require.Equal(t, []string{"payment_intent.succeeded", "checkout.session.completed"}, types)
	require.Empty(t, arrivals)
}

func TestSecretsOfEndpointsStayOutOfLogs(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := checkout.WebhookEndpoint{ID: "we_1", URL: "https://credits.example", Secret: "whsec_very_secret"}
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", slog.Any("endpoint", e))
	require.Contains(t, log.String(), "we_1")
	require.NotContains(t, log.String(), "very_secret")
	require.Equal(t, "…cret", checkout.Hint("whsec_very_secret"))
	require.Equal(t, "…", checkout.Hint("short"))
}

// send is a form to the simulator's API, past our own code.
func send(t *testing.T, address string, form url.Values) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+testKey)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}
