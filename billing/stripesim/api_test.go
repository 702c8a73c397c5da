package stripesim_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"refill/billing/stripesim"
)

func TestRefunds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.paid()
	ch := s.PaymentIntent.LatestCharge
	require.Empty(t, ch.BalanceTransaction.Object, "expanded without being asked")

	part, err := b.api.Refunds.New(&stripe.RefundParams{
		PaymentIntent: &s.PaymentIntent.ID, Amount: stripe.Int64(2000), Reason: new("requested_by_customer"),
	})
	require.NoError(t, err)
	require.Equal(t, stripe.RefundStatusSucceeded, part.Status)
	require.EqualValues(t, 2000, part.Amount)
	require.Equal(t, stripe.RefundReasonRequestedByCustomer, part.Reason)
	got, err := b.api.Charges.Get(ch.ID, nil)
	require.NoError(t, err)
	require.EqualValues(t, 2000, got.AmountRefunded)
	require.False(t, got.Refunded)

	_, err = b.api.Refunds.New(&stripe.RefundParams{Charge: &ch.ID, Amount: stripe.Int64(3001)})
	require.Contains(t, stripeError(t, err).Msg, "greater than unrefunded amount on charge ($30.00)")
	rest, err := b.api.Refunds.New(&stripe.RefundParams{Charge: &ch.ID})
	require.NoError(t, err)
	require.EqualValues(t, 3000, rest.Amount)
	_, err = b.api.Refunds.New(&stripe.RefundParams{Charge: &ch.ID})
	require.Equal(t, stripe.ErrorCodeChargeAlreadyRefunded, stripeError(t, err).Code)

	params := &stripe.ChargeParams{}
	params.AddExpand("refunds")
	params.AddExpand("balance_transaction")
	got, err = b.api.Charges.Get(ch.ID, params)
	require.NoError(t, err)
	require.True(t, got.Refunded)
	require.Len(t, got.Refunds.Data, 2)
	require.EqualValues(t, 175, got.BalanceTransaction.Fee)
	require.EqualValues(t, 4825, got.BalanceTransaction.Net)

	list := b.api.Refunds.List(&stripe.RefundListParams{PaymentIntent: &s.PaymentIntent.ID})
	var ids []string
	for list.Next() {
		ids = append(ids, list.Refund().ID)
	}
	require.NoError(t, list.Err())
	require.Equal(t, []string{rest.ID, part.ID}, ids)

	open := b.open()
	b.post("/_sim/checkout/sessions/"+open.ID+"/pay", url.Values{"card": {"4000000000000002"}})
	failed, err := b.api.CheckoutSessions.Get(open.ID, nil)
	require.NoError(t, err)
	_, err = b.api.Refunds.New(&stripe.RefundParams{PaymentIntent: &failed.PaymentIntent.ID})
	require.Contains(t, stripeError(t, err).Msg, "does not have a successful charge")
}

func TestEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.paid()
	_, err := b.api.Refunds.New(&stripe.RefundParams{PaymentIntent: &s.PaymentIntent.ID})
	require.NoError(t, err)
	types := func(p *stripe.EventListParams) []string {
		var out []string
		list := b.api.Events.List(p)
		for list.Next() {
			e := list.Event()
			require.Equal(t, stripesim.APIVersion, e.APIVersion)
			out = append(out, string(e.Type))
		}
		require.NoError(t, list.Err())
		return out
	}
	all := []string{"charge.refunded", "refund.created", "checkout.session.completed", "payment_intent.succeeded", "charge.succeeded"}
	require.Equal(t, all, types(&stripe.EventListParams{}))
	paged := &stripe.EventListParams{}
	paged.Limit = stripe.Int64(2)
	require.Equal(t, all, types(paged), "page by page")
	require.Equal(t, all[2:3], types(&stripe.EventListParams{Type: new("checkout.session.completed")}))
	require.Equal(t, all[:2], types(&stripe.EventListParams{Types: []*string{new("refund.created"), new("charge.refunded")}}))
	require.Empty(t, types(&stripe.EventListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThan: b.clock.Now().Go().Unix()}}))

	first := &stripe.EventListParams{}
	first.Limit = stripe.Int64(1)
	list := b.api.Events.List(first)
	require.True(t, list.Next())
	got, err := b.api.Events.Get(list.Event().ID, nil)
	require.NoError(t, err)
	require.Equal(t, "charge", got.Data.Object["object"])
	require.Equal(t, true, got.Data.Object["refunded"])

	b.clock.Advance(31 * 24 * time.Hour)
	require.Empty(t, types(&stripe.EventListParams{}), "Stripe keeps events for 30 days")
}

func TestUndeliveredEventsCanBeListed(t *testing.T) {
	t.Parallel()
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(shop.Close)
	b := newBench(t, func(c *stripesim.Config) {
		c.Endpoints = []stripesim.Endpoint{{URL: shop.URL, Secret: "whsec_x"}}
		c.Backoff = []time.Duration{time.Hour}
	})
	b.paid()
	count := func(delivered bool) int {
		n := 0
		for list := b.api.Events.List(&stripe.EventListParams{DeliverySuccess: &delivered}); list.Next(); {
			n++
		}
		return n
	}
	require.Equal(t, 3, count(false))
	require.Equal(t, 0, count(true))
}

func TestPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var made []string
	for range 5 {
		b.clock.Advance(time.Second)
		made = append(made, b.open().ID)
	}
	slices.Reverse(made)
	ids := func(p *stripe.CheckoutSessionListParams) []string {
		p.Single = true
		var out []string
		list := b.api.CheckoutSessions.List(p)
		for list.Next() {
			out = append(out, list.CheckoutSession().ID)
		}
		require.NoError(t, list.Err())
		return out
	}
	page := func(limit int64, after, before string) []string {
		p := &stripe.CheckoutSessionListParams{}
		p.Limit = &limit
		if after != "" {
			p.StartingAfter = &after
		}
		if before != "" {
			p.EndingBefore = &before
		}
		return ids(p)
	}
	require.Equal(t, made[:2], page(2, "", ""))
	require.Equal(t, made[2:4], page(2, made[1], ""))
	require.Equal(t, made[4:], page(2, made[3], ""))
	require.Empty(t, page(2, made[4], ""))
	status, body, _ := b.raw(http.MethodGet, "/v1/checkout/sessions?limit=2&ending_before="+made[3], testKey, "")
	require.Equal(t, http.StatusOK, status)
	var back struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
		HasMore bool `json:"has_more"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &back))
	require.Equal(t, made[1], back.Data[0].ID)
	require.Equal(t, made[2], back.Data[1].ID)
	require.True(t, back.HasMore)
	for _, bad := range []string{"limit=0", "limit=101", "limit=x", "starting_after=cs_none", "colour=red"} {
		status, _, _ := b.raw(http.MethodGet, "/v1/checkout/sessions?"+bad, testKey, "")
		require.Equal(t, http.StatusBadRequest, status, bad)
	}
}

func TestCustomers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	params := &stripe.CustomerParams{Email: new("a@example.com"), Name: new("A")}
	params.AddMetadata("agency", "northwind")
	params.AddMetadata("colour", "red")
	made, err := b.api.Customers.New(params)
	require.NoError(t, err)
	change := &stripe.CustomerParams{Name: new("B")}
	change.AddMetadata("colour", "")
	_, err = b.api.Customers.Update(made.ID, change)
	require.NoError(t, err)
	got, err := b.api.Customers.Get(made.ID, nil)
	require.NoError(t, err)
	require.Equal(t, "B", got.Name)
	require.Equal(t, "a@example.com", got.Email)
	require.Equal(t, map[string]string{"agency": "northwind"}, got.Metadata)
	list := b.api.Customers.List(&stripe.CustomerListParams{Email: new("a@example.com")})
	require.True(t, list.Next())
	require.False(t, list.Next())

	p := b.params()
	p.Customer = &made.ID
	s, err := b.api.CheckoutSessions.New(p)
	require.NoError(t, err)
	b.post("/_sim/checkout/sessions/"+s.ID+"/pay", url.Values{"card": {"4242424242424242"}})
	get := &stripe.CheckoutSessionParams{}
	get.AddExpand("customer")
	get.AddExpand("line_items")
	s, err = b.api.CheckoutSessions.Get(s.ID, get)
	require.NoError(t, err)
	require.Equal(t, "B", s.Customer.Name)
	require.Equal(t, "a@example.com", s.CustomerDetails.Email)
	require.Equal(t, "12,500 credits", s.LineItems.Data[0].Description)
	require.EqualValues(t, 5000, s.LineItems.Data[0].Price.UnitAmount)

	p.Customer = new("cus_none")
	_, err = b.api.CheckoutSessions.New(p)
	require.Equal(t, stripe.ErrorCodeResourceMissing, stripeError(t, err).Code)
}

func TestOnboarding(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	acct, err := b.api.Accounts.New(&stripe.AccountParams{
		Type: new("express"), Country: new("DE"), Email: new("a@example.com"),
		BusinessProfile: &stripe.AccountBusinessProfileParams{Name: new("Lakeside")},
		Capabilities: &stripe.AccountCapabilitiesParams{
			CardPayments: &stripe.AccountCapabilitiesCardPaymentsParams{Requested: new(true)},
		},
	})
	require.NoError(t, err)
	require.False(t, acct.ChargesEnabled)
	require.False(t, acct.DetailsSubmitted)
	link := func() *stripe.AccountLink {
		l, err := b.api.AccountLinks.New(&stripe.AccountLinkParams{
			Account: &acct.ID, Type: new("account_onboarding"),
			RefreshURL: new("http://127.0.0.1:1/again"), ReturnURL: new("http://127.0.0.1:1/done"),
		})
		require.NoError(t, err)
		return l
	}
	l := link()
	res, doc := b.page(l.URL)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, doc.Find("h1").Text(), "Lakeside")
	path, _ := doc.Find("form").Attr("action")
	res = b.post(path, url.Values{"outcome": {"later"}})
	require.Equal(t, "http://127.0.0.1:1/done", res.Header.Get("Location"))
	acct, err = b.api.Accounts.GetByID(acct.ID, nil)
	require.NoError(t, err)
	require.False(t, acct.ChargesEnabled, "returning is no proof")
	b.post(path, url.Values{"outcome": {"finish"}})
	acct, err = b.api.Accounts.GetByID(acct.ID, nil)
	require.NoError(t, err)
	require.True(t, acct.ChargesEnabled)
	require.Equal(t, stripe.AccountCapabilityStatusActive, acct.Capabilities.CardPayments)

	res, _ = b.page(l.URL)
	require.Equal(t, "http://127.0.0.1:1/again", res.Header.Get("Location"), "a link works once")
	l = link()
	b.clock.Advance(5 * time.Minute)
	res, _ = b.page(l.URL)
	require.Equal(t, "http://127.0.0.1:1/again", res.Header.Get("Location"), "a link works five minutes")

	own, err := b.api.Accounts.Get()
	require.NoError(t, err)
	require.Equal(t, stripesim.PlatformAccount, own.ID)
	var others []string
	for list := b.api.Accounts.List(&stripe.AccountListParams{}); list.Next(); {
		others = append(others, list.Account().ID)
	}
	require.Equal(t, []string{acct.ID, connected}, others)
}

func TestWhoIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, c := range map[string]struct {
		key    string
		path   string
		status int
		says   string
	}{
		"no key":        {"", "/v1/events", http.StatusUnauthorized, "did not provide an API key"},
		"wrong key":     {"sk_test_other", "/v1/events", http.StatusUnauthorized, "Invalid API Key"},
		"live key":      {"sk_live_x", "/v1/events", http.StatusUnauthorized, "Never send it a live key"},
		"unknown call":  {testKey, "/v1/quotes", http.StatusNotFound, "Unrecognized request URL"},
		"unknown id":    {testKey, "/v1/checkout/sessions/cs_none", http.StatusNotFound, "No such checkout.session: 'cs_none'"},
		"unknown field": {testKey, "/v1/events?expand[]=data.colour", http.StatusOK, "[]"},
	} {
		status, body, header := b.raw(http.MethodGet, c.path, c.key, "")
		require.Equal(t, c.status, status, name)
		require.Contains(t, body, c.says, name)
		require.Regexp(t, `^req_\w{24}$`, header.Get("Request-Id"), name)
	}
	s := b.open()
	status, body, _ := b.raw(http.MethodGet, "/v1/checkout/sessions/"+s.ID+"?expand[]=colour", testKey, "")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "cannot be expanded (colour)")

	get := &stripe.CheckoutSessionParams{}
	get.SetStripeAccount(connected)
	_, err := b.api.CheckoutSessions.Get(s.ID, get)
	require.Equal(t, http.StatusNotFound, stripeError(t, err).HTTPStatusCode)
	get.SetStripeAccount("acct_none")
	_, err = b.api.CheckoutSessions.Get(s.ID, get)
	require.Equal(t, http.StatusForbidden, stripeError(t, err).HTTPStatusCode)
	require.Equal(t, stripe.ErrorCodeAccountInvalid, stripeError(t, err).Code)
}

func TestWrongParameters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const item = "line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=5000&line_items[0][price_data][product_data][name]=x"
	const rest = "&mode=payment&success_url=http://127.0.0.1/"
	for name, c := range map[string]struct{ body, code, param string }{
		"unknown":              {item + rest + "&colour=red", "parameter_unknown", "colour"},
		"unknown and nested":   {item + rest + "&line_items[0][colour]=red", "parameter_unknown", "line_items[0][colour]"},
		"no items":             {"mode=payment&success_url=http://127.0.0.1/", "parameter_missing", "line_items"},
		"no mode":              {item + "&success_url=http://127.0.0.1/", "parameter_missing", "mode"},
		"no name":              {strings.Replace(item, "[product_data][name]=x", "[tax_behavior]=exclusive", 1) + rest, "parameter_missing", "line_items[0][price_data][product_data][name]"},
		"empty":                {item + rest + "&cancel_url=", "parameter_invalid_empty", "cancel_url"},
		"not a number":         {item + rest + "&expires_at=soon", "parameter_invalid_integer", "expires_at"},
		"not a truth":          {item + rest + "&adaptive_pricing[enabled]=perhaps", "parameter_invalid_boolean", "adaptive_pricing[enabled]"},
		"not simulated":        {item + rest + "&allow_promotion_codes=true", "", "allow_promotion_codes"},
		"two currencies":       {item + rest + "&" + strings.ReplaceAll(strings.Replace(item, "=usd", "=eur", 1), "[0]", "[1]"), "", "line_items"},
		"too much":             {item + rest + "&line_items[0][quantity]=999999", "amount_too_large", ""},
		"fee of the platform":  {item + rest + "&payment_intent_data[application_fee_amount]=1", "", "payment_intent_data[application_fee_amount]"},
		"not an address":       {item + "&mode=payment&success_url=/return", "url_invalid", "success_url"},
		"address with a login": {item + "&mode=payment&success_url=http://a:b@127.0.0.1/", "url_invalid", "success_url"},
		"brackets":             {item + rest + "&a[b=1", "parameter_invalid", "a[b"},
	} {
		status, body, _ := b.raw(http.MethodPost, "/v1/checkout/sessions", testKey, c.body)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", name, body)
		var got struct {
			Error struct {
				Type    string `json:"type"`
				Code    string `json:"code"`
				Param   string `json:"param"`
				Message string `json:"message"`
			} `json:"error"`
		}
		require.NoError(t, json.Unmarshal([]byte(body), &got))
		require.Equal(t, "invalid_request_error", got.Error.Type, name)
		require.Equal(t, c.code, got.Error.Code, name)
		require.Equal(t, c.param, got.Error.Param, name)
		require.NotEmpty(t, got.Error.Message, name)
	}
	status, body, _ := b.raw(http.MethodPost, "/v1/checkout/sessions", testKey, item+rest)
	require.Equal(t, http.StatusOK, status, body)
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.params()
	p.SetIdempotencyKey("k1")
	first, err := b.api.CheckoutSessions.New(p)
	require.NoError(t, err)
	again, err := b.api.CheckoutSessions.New(p)
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, "true", again.LastResponse.Header.Get("Idempotent-Replayed"))
	require.Empty(t, first.LastResponse.Header.Get("Idempotent-Replayed"))

	p.ClientReferenceID = new("pur_2")
	_, err = b.api.CheckoutSessions.New(p)
	require.Equal(t, stripe.ErrorTypeIdempotency, stripeError(t, err).Type)
	require.Equal(t, http.StatusBadRequest, stripeError(t, err).HTTPStatusCode)
	other := &stripe.CustomerParams{}
	other.SetIdempotencyKey("k1")
	_, err = b.api.Customers.New(other)
	require.Equal(t, stripe.ErrorTypeIdempotency, stripeError(t, err).Type, "another call under the same key")
}

// TestFieldNames holds every name that leaves the simulator against the names
// that Stripe's client reads in this version of the API, and asks of the
// session that none is missing.
func TestFieldNames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.params()
	p.SetStripeAccount(connected)
	p.PaymentIntentData = &stripe.CheckoutSessionPaymentIntentDataParams{ApplicationFeeAmount: stripe.Int64(100)}
	s, err := b.api.CheckoutSessions.New(p)
	require.NoError(t, err)
	b.post("/_sim/checkout/sessions/"+s.ID+"/pay", url.Values{"card": {"4000000000000002"}})
	b.post("/_sim/checkout/sessions/"+s.ID+"/pay", url.Values{"card": {"4242424242424242"}})

	get := &stripe.CheckoutSessionParams{}
	get.SetStripeAccount(connected)
	get.AddExpand("payment_intent.latest_charge.balance_transaction")
	get.AddExpand("payment_intent.latest_charge.refunds")
	get.AddExpand("line_items")
	got, err := b.api.CheckoutSessions.Get(s.ID, get)
	require.NoError(t, err)
	var raw map[string]any
	require.NoError(t, json.Unmarshal(got.LastResponse.RawJSON, &raw))
	knownOnly(t, raw, reflect.TypeFor[stripe.CheckoutSession](), "session")
	lacking := slices.DeleteFunc(slices.Sorted(maps.Keys(names(reflect.TypeFor[stripe.CheckoutSession]()))), func(name string) bool {
		_, there := raw[name]
		return there
	})
	// Stripe leaves these out of a hosted session too.
	require.Equal(t, []string{"redirect_on_completion", "return_url", "tax_id_collection"}, lacking)

	refund := &stripe.RefundParams{PaymentIntent: &got.PaymentIntent.ID}
	refund.SetStripeAccount(connected)
	r, err := b.api.Refunds.New(refund)
	require.NoError(t, err)
	customer, err := b.api.Customers.New(&stripe.CustomerParams{Email: new("a@example.com")})
	require.NoError(t, err)
	acct, err := b.api.Accounts.GetByID(connected, nil)
	require.NoError(t, err)
	list := &stripe.EventListParams{}
	list.SetStripeAccount(connected)
	events := b.api.Events.List(list)
	require.True(t, events.Next())
	event := &stripe.EventParams{}
	event.SetStripeAccount(connected)
	e, err := b.api.Events.Get(events.Event().ID, event)
	require.NoError(t, err)
	for what, o := range map[string]struct {
		raw  []byte
		kind reflect.Type
	}{
		"refund":   {r.LastResponse.RawJSON, reflect.TypeFor[stripe.Refund]()},
		"customer": {customer.LastResponse.RawJSON, reflect.TypeFor[stripe.Customer]()},
		"account":  {acct.LastResponse.RawJSON, reflect.TypeFor[stripe.Account]()},
		"event":    {e.LastResponse.RawJSON, reflect.TypeFor[stripe.Event]()},
	} {
		var raw map[string]any
		require.NoError(t, json.Unmarshal(o.raw, &raw))
		knownOnly(t, raw, o.kind, what)
	}
}

// names are the JSON names of a struct's fields.
func names(kind reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(kind) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			out[name] = f.Type
		}
	}
	return out
}

// knownOnly fails when a JSON object has a name that the struct does not read.
func knownOnly(t *testing.T, raw map[string]any, kind reflect.Type, at string) {
	t.Helper()
	known := names(kind)
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if name == "object" { // not every struct of the client reads what it is
			continue
		}
		require.Contains(t, known, name, "unknown at Stripe: %s.%s", at, name)
		inner := known[name]
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct {
			continue
		}
		switch v := raw[name].(type) {
		case map[string]any:
			knownOnly(t, v, inner, at+"."+name)
		case []any:
			for _, e := range v {
				if m, ok := e.(map[string]any); ok {
					knownOnly(t, m, inner, at+"."+name)
				}
			}
		}
	}
}
