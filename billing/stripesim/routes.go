package stripesim

import (
	"io"
	"net/http"
	"slices"
)

// listing are the parameters that every list takes, and those given.
func listing(more ...string) []string {
	return append([]string{
		"limit", "starting_after", "ending_before",
		"created", "created[gt]", "created[gte]", "created[lt]", "created[lte]",
	}, more...)
}

// routes is everything the simulator answers.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	v1 := func(pattern string, known []string, h handler) { mux.HandleFunc(pattern, s.api(known, h)) }

	v1("POST /v1/checkout/sessions", sessionParams(), createSession)
	v1("GET /v1/checkout/sessions", listing("customer", "payment_intent", "status"), listSessions)
	v1("GET /v1/checkout/sessions/{id}", nil, getSession)
	v1("GET /v1/checkout/sessions/{id}/line_items", listing(), listItems)
	v1("POST /v1/checkout/sessions/{id}/expire", nil, expireSession)

	v1("GET /v1/payment_intents", listing("customer"), listIntents)
	v1("GET /v1/payment_intents/{id}", []string{"client_secret"},
		one(func(s *state) *table[intent] { return s.Intents }, "payment_intent", "intent"))
	v1("GET /v1/charges", listing("customer", "payment_intent"), listCharges)
	v1("GET /v1/charges/{id}", nil, one(func(s *state) *table[charge] { return s.Charges }, "charge", "id"))
	v1("POST /v1/refunds", refundParams(), createRefund)
	v1("GET /v1/refunds", listing("charge", "payment_intent"), listRefunds)
	v1("GET /v1/refunds/{id}", nil, one(func(s *state) *table[refund] { return s.Refunds }, "refund", "id"))
	v1("GET /v1/disputes", listing("charge", "payment_intent"), listDisputes)
	v1("GET /v1/disputes/{id}", nil, one(func(s *state) *table[dispute] { return s.Disputes }, "dispute", "id"))
	v1("GET /v1/radar/early_fraud_warnings", listing("charge", "payment_intent"), listWarnings)
	v1("GET /v1/balance_transactions", listing("source", "type"), listTransactions)
	v1("GET /v1/balance_transactions/{id}", nil,
		one(func(s *state) *table[balanceTransaction] { return s.Transactions }, "balance transaction", "id"))

	v1("POST /v1/customers", customerParams(), createCustomer)
	v1("GET /v1/customers", listing("email"), listCustomers)
	v1("GET /v1/customers/{id}", nil, one(func(s *state) *table[customer] { return s.Customers }, "customer", "id"))
	v1("POST /v1/customers/{id}", customerParams(), updateCustomer)

	v1("GET /v1/account", nil, getAccount)
	v1("POST /v1/accounts", accountParams(), createAccount)
	v1("GET /v1/accounts", listing(), listAccounts)
	v1("GET /v1/accounts/{id}", nil, getAccount)
	v1("POST /v1/account_links", linkParams(), createLink)

	planRoutes(v1)
	savedRoutes(v1)
	hookRoutes(v1)

	v1("GET /v1/events", listing("type", "types[]", "delivery_success"), listEvents)
	v1("GET /v1/events/{id}", nil, getEvent)

	mux.HandleFunc("/v1/", s.unknownCall)

	mux.HandleFunc("GET /{$}", s.showSandbox)
	mux.HandleFunc("GET /assets/page.css", showCSS)
	mux.HandleFunc("GET /c/pay/{id}", s.showPayment)
	mux.HandleFunc("POST /c/pay/{id}", s.submitPayment)
	mux.HandleFunc("POST /c/pay/{id}/authentication", s.submitAuthentication)
	mux.HandleFunc("GET /c/onboarding/{token}", s.showOnboarding)
	mux.HandleFunc("POST /c/onboarding/{token}", s.submitOnboarding)
	mux.HandleFunc("GET /p/session/{id}", s.showPortal)
	mux.HandleFunc("POST /p/session/{id}", s.submitPortal)
	mux.HandleFunc("GET /i/{id}", s.showInvoice)
	mux.HandleFunc("GET /receipts/{id}", s.showReceipt)
	mux.HandleFunc("GET /dashboard/{account}", s.showDashboard)

	mux.HandleFunc("POST /_sim/checkout/sessions/{id}/pay", s.doorPay)
	mux.HandleFunc("POST /_sim/checkout/sessions/{id}/expire", s.doorExpire)
	mux.HandleFunc("POST /_sim/checkout/sessions/{id}/settle", s.doorSettle)
	mux.HandleFunc("POST /dashboard/{account}/payments/{id}/{what}", s.submitDashboard(dashboardPay))
	mux.HandleFunc("POST /dashboard/{account}/refunds/{id}", s.submitDashboard(dashboardRefund))
	mux.HandleFunc("POST /dashboard/{account}/disputes/{id}", s.submitDashboard(dashboardDispute))

	mux.HandleFunc("POST /_sim/payments/{id}/{what}", s.doorPayment)
	mux.HandleFunc("POST /_sim/refunds/{id}", s.doorRefund)
	mux.HandleFunc("POST /_sim/disputes/{id}", s.doorDispute)
	mux.HandleFunc("POST /_sim/subscriptions/{id}/card", s.doorCard)
	mux.HandleFunc("POST /_sim/subscriptions/{id}/unpaid", s.doorUnpaid)
	mux.HandleFunc("POST /_sim/payment_methods/{id}", s.doorMethod)
	mux.HandleFunc("POST /_sim/accounts", s.doorAddAccount)
	mux.HandleFunc("POST /_sim/accounts/{id}", s.doorSetAccount)
	mux.HandleFunc("POST /_sim/accounts/{id}/deauthorize", s.doorDeauthorize)
	mux.HandleFunc("GET /_sim/webhooks", s.doorShowWebhooks)
	mux.HandleFunc("POST /_sim/webhooks", s.doorSetWebhooks)
	mux.HandleFunc("POST /_sim/webhooks/flush", s.doorFlush)
	mux.HandleFunc("GET /_sim/faults", s.doorShowFaults)
	mux.HandleFunc("POST /_sim/faults", s.doorSetFault)
	return mux
}

// unknownCall answers a call that is not simulated as Stripe answers one that
// does not exist.
func (s *Server) unknownCall(w http.ResponseWriter, r *http.Request) {
	a := answer{requestID: newID("req")}
	e := s.checkKey(r)
	if e == nil {
		e = invalid("", "", "Unrecognized request URL (%s: %s). This simulator may not know it; Stripe may.", r.Method, r.URL.Path)
		e.Status = http.StatusNotFound
	}
	a.fail(e)
	a.write(w)
}

func readBody(r *http.Request) (string, error) {
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

// sessionByID finds a checkout of any account and makes the call act for its
// account.
func (c *call) sessionByID(id string) (*session, *apiError) {
	r := c.state.Sessions.find(id)
	if r == nil {
		return nil, notFound("checkout.session", id, "session")
	}
	c.account = r.Account
	return r.Object, nil
}

// merchant is the name that a payer sees.
func (c *call) merchant() string {
	id := c.account
	if id == "" {
		id = PlatformAccount
	}
	if r := c.state.Accounts.find(id); r != nil {
		return r.Object.name()
	}
	return id
}

// recent are the last n rows of a table, newest first.
func recent[T any](t *table[T], n int) []*row[T] {
	out := slices.Clone(t.Rows[max(0, len(t.Rows)-n):])
	slices.Reverse(out)
	return out
}
