package checkout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/billing/stripesim"
	"refill/models"
)

const (
	testKey       = "sk_test_bench"
	testSecret    = "whsec_platform"
	connectSecret = "whsec_connect"
	connected     = "acct_northwind"
)

// clock is domain time that a test moves by hand.
type clock struct{ at atomic.Int64 }

func (c *clock) Now() models.Time        { return models.Time(c.at.Load()) }
func (c *clock) Advance(d time.Duration) { c.at.Add(d.Microseconds()) }

// arrival is one webhook as our endpoint got it.
type arrival struct {
	connect bool
	event   checkout.Event
	err     error
}

// bench is a gateway, a simulator, and an endpoint for its webhooks, each on an
// HTTP server of its own.
type bench struct {
	*checkout.Gateway
	t        *testing.T
	clock    *clock
	sim      *stripesim.Server
	url      string
	arrivals chan arrival
	answer   atomic.Int32 // status that the endpoint answers
}

func newBench(t *testing.T, configure ...func(*stripesim.Config)) *bench {
	t.Helper()
	b := &bench{t: t, clock: &clock{}, arrivals: make(chan arrival, 1000)}
	b.clock.at.Store(int64(models.At(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))))
	b.answer.Store(http.StatusOK)
	endpoint := httptest.NewServer(http.HandlerFunc(b.receive))
	t.Cleanup(endpoint.Close)
	cfg := stripesim.Config{
		Clock: b.clock, Secret: testKey, Merchant: "Refill",
		Accounts: []stripesim.Account{{ID: connected, Name: "Northwind"}},
		Endpoints: []stripesim.Endpoint{
			{URL: endpoint.URL + "/platform", Secret: testSecret},
			{URL: endpoint.URL + "/connect", Secret: connectSecret, Connect: true},
		},
		Backoff: []time.Duration{time.Hour, time.Hour}, // a test that wants another attempt flushes
	}
	for _, f := range configure {
		f(&cfg)
	}
	sim, err := stripesim.New(cfg)
	require.NoError(t, err)
	b.sim = sim
	server := httptest.NewServer(sim)
	t.Cleanup(func() {
		server.Close()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	b.url = server.URL
	b.Gateway = newGateway(t, server.URL)
	return b
}

func newGateway(t *testing.T, url string) *checkout.Gateway {
	t.Helper()
	g, err := checkout.New(checkout.Config{
		SecretKey: testKey, WebhookSecrets: []string{testSecret}, ConnectWebhookSecrets: []string{connectSecret}, BaseURL: url,
	})
	require.NoError(t, err)
	return g
}

func (b *bench) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a := arrival{connect: r.URL.Path == "/connect"}
	a.event, a.err = b.ParseEvent(body, r.Header.Get("Stripe-Signature"), a.connect)
	status := int(b.answer.Load()) // read before the test hears of the arrival, and may change it
	b.arrivals <- a
	w.WriteHeader(status)
}

// came lists the types of the events that have arrived so far.
func (b *bench) came() []string {
	b.t.Helper()
	out := []string{}
	for {
		select {
		case a := <-b.arrivals:
			if a.err != nil {
				b.t.Errorf("event did not verify: %v", a.err)
			}
			out = append(out, a.event.Type)
		default:
			return out
		}
	}
}

// params are those of an ordinary purchase.
func (b *bench) params(key string) checkout.SessionParams {
	return checkout.SessionParams{
		Reference: "pur_1", IdempotencyKey: key, Title: "12,500 credits", Description: "They never expire.",
		Amount:        models.Money{Amount: 5000, Currency: "usd"},
		CustomerEmail: "owner@northwind.example", SuccessURL: "http://127.0.0.1:1/buy/return?s={CHECKOUT_SESSION_ID}",
		CancelURL: "http://127.0.0.1:1/buy", ExpiresAt: b.clock.Now().Add(31 * time.Minute),
		Metadata: map[string]string{"agency": "northwind"},
	}
}

func (b *bench) open(key string) checkout.Session {
	b.t.Helper()
	s, err := b.CreateSession(b.t.Context(), b.params(key))
	require.NoError(b.t, err)
	return s
}

func (b *bench) see(account, id string) checkout.Session {
	b.t.Helper()
	s, err := b.Session(b.t.Context(), account, id)
	require.NoError(b.t, err)
	return s
}

// door sends a form to the control door and reads the JSON answer.
func (b *bench) door(path string, form url.Values) (int, map[string]any) {
	b.t.Helper()
	return post(b.t, b.url+"/_sim"+path, "application/x-www-form-urlencoded", form.Encode())
}

// doorJSON sends JSON to the control door.
func (b *bench) doorJSON(path, body string) map[string]any {
	b.t.Helper()
	status, out := post(b.t, b.url+"/_sim"+path, "application/json", body)
	if status != http.StatusOK {
		b.t.Fatalf("%s answered %d: %v", path, status, out)
	}
	return out
}

func (b *bench) pay(id, card string) (int, map[string]any) {
	b.t.Helper()
	return b.door("/checkout/sessions/"+id+"/pay", url.Values{"card": {card}})
}

func post(t *testing.T, address, kind, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	out := map[string]any{}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&out); err != nil {
		t.Fatalf("%s answered %d, not JSON: %s", address, res.StatusCode, raw)
	}
	return res.StatusCode, out
}

func sameList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	require.Equal(t, strings.Join(want, " "), strings.Join(got, " "), what)
}

func wantKind(t *testing.T, err error, kind checkout.Kind) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one of kind %s", kind)
	}
	require.Equal(t, kind, checkout.KindOf(err), "kind of "+err.Error())
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
