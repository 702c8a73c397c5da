package stripesim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"refill/billing/stripesim"
)

// card is a filled-in payment form.
func card(number string) url.Values {
	return url.Values{"method": {"card"}, "card": {number}, "expiry": {"12 / 34"}, "cvc": {"123"}, "name": {"Ada Buyer"}, "email": {"ada@example.com"}}
}

func TestPaymentPage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.open()
	res, doc := b.page(s.URL)
	require.Equal(t, http.StatusOK, res.StatusCode)
	text := doc.Text()
	for _, want := range []string{"Demo payment page, no real money", "You pay Refill", "12,500 credits", "They <never> expire.", "$50.00"} {
		require.Contains(t, text, want)
	}
	require.Equal(t, 0, doc.Find("script, style, [style], [onclick]").Length())
	policy := res.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "form-action 'self' http://127.0.0.1:1", "or the browser stops the way back")
	require.NotContains(t, policy, "unsafe")
	back, _ := doc.Find(".after a").Attr("href")
	require.Equal(t, "http://127.0.0.1:1/buy", back)
	require.Equal(t, 3, doc.Find("input[name=method]").Length())
	for _, id := range []string{"cardNumber", "cardExpiry", "cardCvc", "billingName", "bankAccount", "email"} {
		require.Equal(t, 1, doc.Find("label[for="+id+"]").Length(), id)
		require.Equal(t, 1, doc.Find("input#"+id).Length(), id)
	}
	sheet, _ := doc.Find("link[rel=stylesheet]").Attr("href")
	res, _ = b.page(sheet)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "text/css; charset=utf-8", res.Header.Get("Content-Type"))

	res = b.post("/c/pay/"+s.ID, card("4242 4242 4242 4242"))
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	require.Equal(t, "http://127.0.0.1:1/return?s="+s.ID, res.Header.Get("Location"))
	got, err := b.api.CheckoutSessions.Get(s.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionPaymentStatusPaid, got.PaymentStatus)
	require.Equal(t, "ada@example.com", got.CustomerDetails.Email)
	require.Equal(t, "Ada Buyer", got.CustomerDetails.Name)

	_, doc = b.page(s.URL)
	require.Contains(t, doc.Text(), "This payment is complete")
	back, _ = doc.Find(".after a").Attr("href")
	require.Equal(t, "http://127.0.0.1:1/return?s="+s.ID, back)
	_, doc = b.submit("/c/pay/"+s.ID, card("4242424242424242"))
	require.Contains(t, doc.Text(), "This payment is complete", "paying twice pays once")
}

func TestPaymentPageDeclines(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.open()
	for number, words := range map[string]string{
		"4000000000000002": "The card was declined. Try another card",
		"4000000000009995": "There is not enough money on this card",
		"4000000000000069": "This card has expired",
		"4111111111111111": "only the test cards listed below work",
	} {
		res, doc := b.submit("/c/pay/"+s.ID, card(number))
		require.Equal(t, http.StatusPaymentRequired, res.StatusCode, number)
		require.Contains(t, doc.Find("[role=alert]").Text(), words)
		kept, _ := doc.Find("#cardNumber").Attr("value")
		require.Equal(t, number, kept)
	}
	b.clock.Advance(5 * time.Minute)
	res := b.post("/c/pay/"+s.ID, card("4242424242424242"))
	require.Equal(t, http.StatusSeeOther, res.StatusCode, "the checkout is still open")
}

func TestPaymentPageFields(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.open()
	form := url.Values{"method": {"card"}, "card": {"4242424242424241"}, "expiry": {"02 / 26"}, "cvc": {"x"}, "name": {" "}}
	res, doc := b.submit("/c/pay/"+s.ID, form)
	require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode)
	for id, words := range map[string]string{
		"card": "not a whole card number", "expiry": "has passed", "cvc": "Three digits", "name": "name on the card",
	} {
		require.Contains(t, doc.Find("#"+id+"-wrong").Text(), words)
	}
	require.Equal(t, 4, doc.Find("[aria-invalid=true]").Length())
	got, err := b.api.CheckoutSessions.Get(s.ID, nil)
	require.NoError(t, err)
	require.Nil(t, got.PaymentIntent, "the bank was not asked")

	form.Set("expiry", "3/2026")
	form.Set("card", "4242424242424242")
	form.Set("cvc", "123")
	form.Set("name", "Ada")
	_, doc = b.submit("/c/pay/"+s.ID, form)
	require.Contains(t, doc.Find("#expiry-wrong").Text(), "such as 12 / 34")
	form.Set("expiry", "03/2026") // this month, by domain time
	require.Equal(t, http.StatusSeeOther, b.post("/c/pay/"+s.ID, form).StatusCode)
}

func TestAuthenticationPage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.open()
	ask := func() {
		res, doc := b.submit("/c/pay/"+s.ID, card("4000002500003155"))
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, "Complete authentication", doc.Find("h1").Text())
		require.Equal(t, 2, doc.Find("form button").Length())
	}
	ask()
	_, doc := b.page(s.URL)
	require.Equal(t, "Complete authentication", doc.Find("h1").Text(), "after a reload")
	res, doc := b.submit("/c/pay/"+s.ID+"/authentication", url.Values{"outcome": {"fail"}})
	require.Equal(t, http.StatusPaymentRequired, res.StatusCode)
	require.Contains(t, doc.Find("[role=alert]").Text(), "could not confirm that it was you")
	require.Equal(t, 1, doc.Find("#cardNumber").Length())
	ask()
	res = b.post("/c/pay/"+s.ID+"/authentication", url.Values{"outcome": {"authenticate"}})
	require.Equal(t, "http://127.0.0.1:1/return?s="+s.ID, res.Header.Get("Location"))
	_, doc = b.submit("/c/pay/"+s.ID+"/authentication", url.Values{"outcome": {"fail"}})
	require.Contains(t, doc.Text(), "This payment is complete")
}

func TestOtherWaysToPay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for form, want := range map[string]stripe.CheckoutSessionPaymentStatus{
		"method=paypal":                         stripe.CheckoutSessionPaymentStatusPaid,
		"method=pay_later&account=000123456789": stripe.CheckoutSessionPaymentStatusUnpaid,
	} {
		s := b.open()
		values, err := url.ParseQuery(form)
		require.NoError(t, err)
		require.Equal(t, http.StatusSeeOther, b.post("/c/pay/"+s.ID, values).StatusCode, form)
		got, err := b.api.CheckoutSessions.Get(s.ID, nil)
		require.NoError(t, err)
		require.Equal(t, stripe.CheckoutSessionStatusComplete, got.Status)
		require.Equal(t, want, got.PaymentStatus, form)
	}
	p := b.params()
	p.PaymentMethodTypes = []*string{new("card")}
	s, err := b.api.CheckoutSessions.New(p)
	require.NoError(t, err)
	res, doc := b.submit("/c/pay/"+s.ID, url.Values{"method": {"paypal"}})
	require.Equal(t, http.StatusPaymentRequired, res.StatusCode)
	require.Contains(t, doc.Find("[role=alert]").Text(), "does not take paypal")
}

func TestExpiredAndUnknownPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.open()
	b.clock.Advance(24 * time.Hour)
	res, doc := b.page(s.URL)
	require.Equal(t, http.StatusGone, res.StatusCode)
	require.Contains(t, doc.Text(), "You were not charged")
	for _, path := range []string{"/c/pay/cs_test_none", "/receipts/ch_none", "/c/onboarding/alnk_none"} {
		res, doc = b.page(path)
		require.Equal(t, http.StatusNotFound, res.StatusCode, path)
		require.NotEmpty(t, doc.Find("h1").Text(), path)
	}
}

func TestReceiptAndFrontPage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.paid()
	_, err := b.api.Refunds.New(&stripe.RefundParams{PaymentIntent: &s.PaymentIntent.ID, Amount: stripe.Int64(1250)})
	require.NoError(t, err)
	res, doc := b.page(s.PaymentIntent.LatestCharge.ReceiptURL)
	require.Equal(t, http.StatusOK, res.StatusCode)
	for _, want := range []string{"Receipt from Refill", "$50.00", "10 March 2026", "Card ending in 4242", "$12.50"} {
		require.Contains(t, doc.Text(), want)
	}
	res, doc = b.page("/")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, doc.Text(), "stand-in for Stripe")
	require.Contains(t, doc.Find("table").Text(), "12,500 credits")
}

func TestOnlyThisMachine(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for host, status := range map[string]int{
		"127.0.0.1": http.StatusOK, "localhost:9": http.StatusOK, "[::1]:9": http.StatusOK, "pay.localhost": http.StatusOK,
		"evil.example": http.StatusForbidden, "127.0.0.1.evil.example": http.StatusForbidden, "192.0.2.1": http.StatusForbidden,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/", nil)
		require.NoError(t, err)
		req.Host = host
		res, _ := b.do(req)
		require.Equal(t, status, res.StatusCode, host)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/_sim/webhooks", strings.NewReader("mode=drop"))
	require.NoError(t, err)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, _ := b.do(req)
	require.Equal(t, http.StatusForbidden, res.StatusCode, "a form on another site")

	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0", "127.0.0.1"} {
		_, err := stripesim.Listen(t.Context(), addr)
		require.Error(t, err, addr)
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0"} {
		ln, err := stripesim.Listen(t.Context(), addr)
		require.NoError(t, err)
		require.NoError(t, ln.Close())
	}
}

func TestConfigIsRefused(t *testing.T) {
	t.Parallel()
	good := stripesim.Config{Clock: &clock{}, Secret: testKey}
	for name, spoil := range map[string]func(*stripesim.Config){
		"no clock":        func(c *stripesim.Config) { c.Clock = nil },
		"no key":          func(c *stripesim.Config) { c.Secret = "" },
		"live key":        func(c *stripesim.Config) { c.Secret = "sk_live_x" },
		"bare prefix":     func(c *stripesim.Config) { c.Secret = "sk_test_" },
		"empty secret":    func(c *stripesim.Config) { c.Endpoints = []stripesim.Endpoint{{URL: "http://127.0.0.1:1"}} },
		"no address":      func(c *stripesim.Config) { c.Endpoints = []stripesim.Endpoint{{Secret: "whsec_x"}} },
		"store elsewhere": func(c *stripesim.Config) { c.Store = "/nonexistent/state.jsonl" },
	} {
		cfg := good
		spoil(&cfg)
		_, err := stripesim.New(cfg)
		require.Error(t, err, name)
	}
}

func TestDoorRefusesNonsense(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.open()
	pay := "/_sim/checkout/sessions/" + s.ID + "/pay"
	for name, c := range map[string]struct {
		path   string
		form   url.Values
		status int
	}{
		"unknown session":   {"/_sim/checkout/sessions/cs_none/pay", url.Values{"card": {"4242424242424242"}}, http.StatusNotFound},
		"no card":           {pay, nil, http.StatusBadRequest},
		"mistyped card":     {pay, url.Values{"card": {"4242424242424241"}}, http.StatusPaymentRequired},
		"unknown method":    {pay, url.Values{"method": {"barter"}}, http.StatusBadRequest},
		"unknown outcome":   {"/_sim/checkout/sessions/" + s.ID + "/settle", url.Values{"outcome": {"maybe"}}, http.StatusBadRequest},
		"nothing to settle": {"/_sim/checkout/sessions/" + s.ID + "/settle", url.Values{"outcome": {"failed"}}, http.StatusBadRequest},
		"unknown mode":      {"/_sim/webhooks", url.Values{"mode": {"lose"}}, http.StatusBadRequest},
		"too many":          {"/_sim/webhooks", url.Values{"mode": {"duplicate"}, "count": {"1001"}}, http.StatusBadRequest},
		"backwards":         {"/_sim/webhooks", url.Values{"mode": {"delay"}, "delay": {"-1s"}}, http.StatusBadRequest},
		"unknown fault":     {"/_sim/faults", url.Values{"path": {"/v1/events"}, "fault": {"fire"}}, http.StatusBadRequest},
		"fault of the door": {"/_sim/faults", url.Values{"path": {"/_sim/faults"}, "fault": {"500"}}, http.StatusBadRequest},
	} {
		require.Equal(t, c.status, b.post(c.path, c.form).StatusCode, name)
	}
	got, err := b.api.CheckoutSessions.Get(s.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionStatusOpen, got.Status)
}
