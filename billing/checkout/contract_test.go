package checkout_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/models"
)

// TestContract sends every call of the gateway to Stripe's own mock, which
// holds requests against Stripe's published specification. Simulator and
// gateway come from one desk and could share a misreading; the mock does not.
func TestContract(t *testing.T) {
	t.Parallel()
	mock := startMock(t)
	g := newGateway(t, mock)
	taxing, err := checkout.New(checkout.Config{SecretKey: testKey, WebhookSecrets: []string{testSecret}, BaseURL: mock, Tax: true})
	require.NoError(t, err)
	ctx := t.Context()
	full := checkout.SessionParams{
		Account: connected, Reference: "pur_1", IdempotencyKey: "purchase:1", Title: "12,500 credits",
		Description: "They never expire.", Amount: models.Money{Amount: 5000, Currency: "usd"}, ApplicationFee: 250,
		CustomerEmail: "owner@northwind.example", SuccessURL: "http://127.0.0.1:8080/buy/return?s={CHECKOUT_SESSION_ID}",
		CancelURL: "http://127.0.0.1:8080/buy", ExpiresAt: models.At(time.Now().Add(40 * time.Minute)),
		Metadata: map[string]string{"agency": "northwind"},
	}
	least := checkout.SessionParams{
		Reference: "pur_2", IdempotencyKey: "purchase:2", Title: "1 credit",
		Amount: models.Money{Amount: 50, Currency: "eur"}, SuccessURL: "https://refill.example/",
	}
	calls := map[string]func() error{
		"CreateSession": func() error {
			if _, err := g.CreateSession(ctx, least); err != nil {
				return err
			}
			if _, err := g.CreateSession(ctx, full); err != nil {
				return err
			}
			known := least
			known.IdempotencyKey, known.Customer = "purchase:3", "cus_1"
			_, err := taxing.CreateSession(ctx, known)
			return err
		},
		"Session":       func() error { _, err := g.Session(ctx, "", "cs_test_1"); return err },
		"ExpireSession": func() error { _, err := g.ExpireSession(ctx, connected, "cs_test_1"); return err },
		"CreateAccount": func() error {
			for _, name := range []string{"", "Northwind Agency"} {
				if _, err := g.CreateAccount(ctx, checkout.AccountParams{Reference: "agy_1", IdempotencyKey: "connect:1", Name: name}); err != nil {
					return err
				}
			}
			return nil
		},
		"Account": func() error { _, err := g.Account(ctx, connected); return err },
		"AccountLink": func() error {
			_, err := g.AccountLink(ctx, checkout.LinkParams{Account: connected, RefreshURL: "https://refill.example/again", ReturnURL: "https://refill.example/done"})
			return err
		},
		"MoneyBack": func() error { _, err := g.MoneyBack(ctx, connected, "pi_1"); return err },
		"CompletedSessions": func() error {
			return g.CompletedSessions(ctx, connected, models.At(time.Now().Add(-time.Hour)), func(checkout.Session) error { return nil })
		},
		"RefundsSince": func() error {
			return g.RefundsSince(ctx, "", models.At(time.Now().Add(-time.Hour)), func(checkout.Refund) error { return nil })
		},
		"DisputesSince": func() error {
			return g.DisputesSince(ctx, connected, models.At(time.Now().Add(-time.Hour)), func(checkout.Dispute) error { return nil })
		},
		"MissedEvents": func() error {
			return g.MissedEvents(ctx, "", models.At(time.Now().Add(-time.Hour)), func(checkout.Event) error { return nil })
		},
		"PriceOf": func() error {
			for _, with := range []*checkout.Gateway{g, taxing} {
				if _, err := with.PriceOf(ctx, checkout.PriceParams{Plan: "pln_1", Name: "Agency", Amount: models.Money{Amount: 9700, Currency: "usd"}, Yearly: true}); err != nil {
					return err
				}
			}
			return nil
		},
		"CreatePlanSession": func() error {
			for _, p := range []checkout.PlanSessionParams{
				{Reference: "por_1", IdempotencyKey: "plan:1", Price: "price_1", TrialDays: 14, CustomerEmail: "owner@northwind.example", SuccessURL: "https://refill.example/"},
				{
					Reference: "por_2", IdempotencyKey: "plan:2", Price: "price_1", Customer: "cus_1", SuccessURL: "https://refill.example/", CancelURL: "https://refill.example/",
					ExpiresAt: models.At(time.Now().Add(40 * time.Minute)),
				},
			} {
				for _, with := range []*checkout.Gateway{g, taxing} {
					if _, err := with.CreatePlanSession(ctx, p); err != nil {
						return err
					}
				}
			}
			return nil
		},
		"Subscription": func() error { _, err := g.Subscription(ctx, "sub_1"); return err },
		"SwitchPlan": func() error {
			for _, p := range []checkout.PlanSwitch{
				{Subscription: "sub_1", Item: "si_1", Price: "price_1", IdempotencyKey: "switch:1"},
				{Subscription: "sub_1", Item: "si_1", Price: "price_1", IdempotencyKey: "switch:2", Now: true, At: models.At(time.Now())},
			} {
				if _, err := g.SwitchPlan(ctx, p); err != nil {
					return err
				}
			}
			return nil
		},
		"SwitchCost": func() error {
			// The mock's specification is years younger than the version spoken here,
			// and has this call elsewhere: it takes "upcoming" for an invoice's id.
			_, err := g.SwitchCost(ctx, checkout.PlanSwitch{Subscription: "sub_1", Item: "si_1", Price: "price_1", At: models.At(time.Now())})
			wantKind(t, err, checkout.KindRefused)
			return nil
		},
		"CancelPlan": func() error { _, err := g.CancelPlan(ctx, "sub_1", true, "cancel:1"); return err },
		"EndPlan":    func() error { _, err := g.EndPlan(ctx, "sub_1"); return err },
		"PayInvoice": func() error { return g.PayInvoice(ctx, "in_1", "pay:1") },
		"PaidInvoices": func() error {
			return g.PaidInvoices(ctx, models.At(time.Now().Add(-time.Hour)), func(checkout.Invoice) error { return nil })
		},
		"CreateCustomer": func() error {
			for _, p := range []checkout.CustomerParams{
				{Reference: "wal_1", IdempotencyKey: "customer:1"}, {Account: connected, Reference: "wal_2", IdempotencyKey: "customer:2", Name: "Acme", Email: "ada@acme.example"},
			} {
				if _, err := g.CreateCustomer(ctx, p); err != nil {
					return err
				}
			}
			return nil
		},
		"CreateCardSession": func() error {
			for _, p := range []checkout.CardSessionParams{
				{Customer: "cus_1", Reference: "wal_1", IdempotencyKey: "card:1", SuccessURL: "https://refill.example/"},
				{Account: connected, Customer: "cus_2", Reference: "wal_2", IdempotencyKey: "card:2", SuccessURL: "https://refill.example/?s={CHECKOUT_SESSION_ID}", CancelURL: "https://refill.example/"},
			} {
				if _, err := g.CreateCardSession(ctx, p); err != nil {
					return err
				}
			}
			return nil
		},
		"SavedCard":  func() error { _, _, err := g.SavedCard(ctx, connected, "cs_test_1"); return err },
		"Card":       func() error { _, _, err := g.Card(ctx, connected, "pm_1"); return err },
		"ForgetCard": func() error { return g.ForgetCard(ctx, "", "pm_1") },
		"ChargeSaved": func() error {
			for _, p := range []checkout.SavedChargeParams{
				{Customer: "cus_1", Card: "pm_1", Reference: "pur_1", IdempotencyKey: "top-up:1", Title: "2,000 credits", Amount: models.Money{Amount: 1000, Currency: "usd"}},
				{
					Account: connected, Customer: "cus_2", Card: "pm_2", Reference: "pur_2", IdempotencyKey: "top-up:2", Title: "Growth",
					Amount: models.Money{Amount: 6000, Currency: "usd"}, ReceiptEmail: "ada@acme.example",
				},
			} {
				if _, err := g.ChargeSaved(ctx, p); err != nil {
					return err
				}
			}
			return nil
		},
		"Payment": func() error { _, err := g.Payment(ctx, connected, "pi_1"); return err },
		"FindPayment": func() error {
			_, _, err := g.FindPayment(ctx, connected, "cus_1", "pur_1", models.At(time.Now().Add(-time.Hour)))
			return err
		},
		"UnattendedPayments": func() error {
			return g.UnattendedPayments(ctx, "", models.At(time.Now().Add(-time.Hour)), func(checkout.Session) error { return nil })
		},
		"CreateMonthly": func() error {
			_, err := g.CreateMonthly(ctx, checkout.MonthlyParams{
				Account: connected, Reference: "pur_3", Subscription: "psu_1", IdempotencyKey: "month:1", Title: "Growth",
				Amount: models.Money{Amount: 6000, Currency: "usd"}, FeeShare: 250, CustomerEmail: "ada@acme.example",
				SuccessURL: "https://refill.example/?s={CHECKOUT_SESSION_ID}", CancelURL: "https://refill.example/", ExpiresAt: models.At(time.Now().Add(40 * time.Minute)),
			})
			return err
		},
		"Monthly":       func() error { _, err := g.Monthly(ctx, connected, "sub_1"); return err },
		"CancelMonthly": func() error { _, err := g.CancelMonthly(ctx, connected, "sub_1", true, "cancel:2"); return err },
		"EndMonthly":    func() error { _, err := g.EndMonthly(ctx, connected, "sub_1"); return err },
		"MonthlyInvoices": func() error {
			return g.MonthlyInvoices(ctx, connected, "sub_1", models.At(time.Now().Add(-time.Hour)), func(checkout.Invoice) error { return nil })
		},
		"InvoicePayment": func() error { _, _, err := g.InvoicePayment(ctx, connected, "in_1"); return err },
		"GiveUpInvoice": func() error {
			for _, status := range []string{"draft", "open"} {
				if err := g.GiveUpInvoice(ctx, connected, &checkout.Invoice{ID: "in_1", Status: status}); err != nil {
					return err
				}
			}
			return nil
		},
		"MonthlyPortal": func() error {
			_, err := g.MonthlyPortal(ctx, connected, "cus_1", "https://refill.example/buy")
			return err
		},
		"BillingPortal": func() error { _, err := g.BillingPortal(ctx, "cus_1", "https://refill.example/plan"); return err },
		"RefundPayment": func() error {
			for _, p := range []checkout.RefundParams{
				{PaymentIntent: "pi_1", IdempotencyKey: "refund:1"}, {Account: connected, PaymentIntent: "pi_2", IdempotencyKey: "refund:2", Amount: 100},
			} {
				if _, err := g.RefundPayment(ctx, p); err != nil {
					return err
				}
			}
			return nil
		},
	}
	// A method that takes a context calls Stripe: none may be missing here.
	for method := range reflect.TypeFor[*checkout.Gateway]().Methods() {
		if method.Type.NumIn() > 1 && method.Type.In(1) == reflect.TypeFor[context.Context]() {
			require.Contains(t, calls, method.Name, "a call that the contract test does not make")
		}
	}
	for name, call := range calls {
		require.NoError(t, call(), name)
	}

	// And the mock does bite: what Stripe does not know is refused.
	spoilt, err := checkout.New(checkout.Config{
		SecretKey: testKey, WebhookSecrets: []string{testSecret}, BaseURL: mock, HTTPClient: &http.Client{Transport: spoiler{}},
	})
	require.NoError(t, err)
	_, err = spoilt.CreateSession(ctx, least)
	wantKind(t, err, checkout.KindRefused)
	_, err = spoilt.ExpireSession(ctx, "", "cs_test_1")
	wantKind(t, err, checkout.KindRefused)
	_, err = spoilt.CreateAccount(ctx, checkout.AccountParams{Reference: "agy_1", IdempotencyKey: "connect:1"})
	wantKind(t, err, checkout.KindRefused)
	_, err = spoilt.RefundPayment(ctx, checkout.RefundParams{PaymentIntent: "pi_1", IdempotencyKey: "refund:1"})
	wantKind(t, err, checkout.KindRefused)
}

// spoiler adds a parameter that Stripe does not know to every form.
type spoiler struct{}

func (spoiler) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		spoilt := string(body) + "&credits=12500"
		r = r.Clone(r.Context())
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(spoilt)), int64(len(spoilt))
	}
	return http.DefaultTransport.RoundTrip(r)
}

// startMock runs stripe-mock on two free ports of this machine and gives the
// address of the plain one. Told only one, it would open the other to all.
func startMock(t *testing.T) string {
	t.Helper()
	path, err := exec.Command("go", "tool", "-n", "stripe-mock").Output() // builds it, or finds it built
	require.NoError(t, err, "go tool stripe-mock")
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, strings.TrimSpace(string(path)), "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	listening := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if address, ok := strings.CutPrefix(lines.Text(), "Listening for HTTP at address: "); ok {
				listening <- "http://" + address
			}
		}
	}()
	t.Cleanup(func() {
		cancel() // kills it
		<-read
		_ = cmd.Wait() // it was killed, and says so
	})
	select {
	case address := <-listening:
		return address
	case <-read:
	case <-time.After(time.Minute):
	}
	t.Fatal("stripe-mock did not say where it listens")
	return ""
}
