package stripesim_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"refill/billing/stripesim"
	"refill/models"
)

const (
	testKey   = "sk_test_bench"
	connected = "acct_northwind"
)

// clock is domain time that a test moves by hand.
type clock struct{ at atomic.Int64 }

func (c *clock) Now() models.Time        { return models.Time(c.at.Load()) }
func (c *clock) Advance(d time.Duration) { c.at.Add(d.Microseconds()) }

// bench is a simulator on an HTTP server, Stripe's own client for its API, and
// a browser without script for its pages.
type bench struct {
	t       *testing.T
	clock   *clock
	sim     *stripesim.Server
	url     string
	api     *client.API
	browser *http.Client
}

func newBench(t *testing.T, configure ...func(*stripesim.Config)) *bench {
	t.Helper()
	b := &bench{t: t, clock: &clock{}}
	b.clock.at.Store(int64(models.At(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))))
	cfg := stripesim.Config{
		Clock: b.clock, Secret: testKey, Merchant: "Refill",
		Accounts: []stripesim.Account{{ID: connected, Name: "Northwind", Email: "pay@northwind.example"}},
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
		require.NoError(t, sim.Close())
	})
	b.url = server.URL
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: &server.URL, MaxNetworkRetries: stripe.Int64(0), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	b.api = client.New(testKey, &stripe.Backends{API: backend, Connect: backend, Uploads: backend})
	b.browser = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return b
}

// params are those of an ordinary checkout.
func (b *bench) params() *stripe.CheckoutSessionParams {
	return &stripe.CheckoutSessionParams{
		Mode: new("payment"), ClientReferenceID: new("pur_1"),
		SuccessURL: new("http://127.0.0.1:1/return?s={CHECKOUT_SESSION_ID}"),
		CancelURL:  new("http://127.0.0.1:1/buy"),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency: new("usd"), UnitAmount: stripe.Int64(5000),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{
					Name: new("12,500 credits"), Description: new("They <never> expire."),
				},
			},
		}},
	}
}

func (b *bench) open() *stripe.CheckoutSession {
	b.t.Helper()
	s, err := b.api.CheckoutSessions.New(b.params())
	require.NoError(b.t, err)
	return s
}

// paid opens a checkout and pays it.
func (b *bench) paid() *stripe.CheckoutSession {
	b.t.Helper()
	id := b.open().ID
	res := b.post("/_sim/checkout/sessions/"+id+"/pay", url.Values{"card": {"4242424242424242"}})
	require.Equal(b.t, http.StatusOK, res.StatusCode)
	get := &stripe.CheckoutSessionParams{}
	get.AddExpand("payment_intent.latest_charge")
	s, err := b.api.CheckoutSessions.Get(id, get)
	require.NoError(b.t, err)
	return s
}

// seen is what a browser got besides the page.
type seen struct {
	StatusCode int
	Header     http.Header
}

// page opens a page and reads it.
func (b *bench) page(path string) (seen, *goquery.Document) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+strings.TrimPrefix(path, b.url), nil)
	require.NoError(b.t, err)
	return b.do(req)
}

// post sends a form and looks only at what came besides the page.
func (b *bench) post(path string, form url.Values) seen {
	b.t.Helper()
	res, _ := b.submit(path, form)
	return res
}

func (b *bench) submit(path string, form url.Values) (seen, *goquery.Document) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

func (b *bench) do(req *http.Request) (seen, *goquery.Document) {
	b.t.Helper()
	res, err := b.browser.Do(req)
	require.NoError(b.t, err)
	defer res.Body.Close()
	doc, err := goquery.NewDocumentFromReader(res.Body)
	require.NoError(b.t, err)
	return seen{res.StatusCode, res.Header}, doc
}

// raw makes an API call by hand and gives status and body.
func (b *bench) raw(method, path, key, body string) (int, string, http.Header) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(b.t, err)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.browser.Do(req)
	require.NoError(b.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	return res.StatusCode, string(text), res.Header
}

// stripeError is the error that Stripe's client made of an answer.
func stripeError(t *testing.T, err error) *stripe.Error {
	t.Helper()
	var e *stripe.Error
	require.ErrorAs(t, err, &e)
	return e
}
