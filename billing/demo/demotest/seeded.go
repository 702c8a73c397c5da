// Package demotest has the demo's business for tests.
package demotest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/billing/demo"
	"refill/billing/ledger"
	"refill/billing/preset"
	"refill/billing/stripesim"
	"refill/models"
	"refill/models/modelstest"
)

// payer pays at the simulator's control door.
func payer(box string) func(ctx context.Context, session string) error {
	return func(ctx context.Context, session string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, box+"/_sim/checkout/sessions/"+session+"/pay", strings.NewReader("card=4242424242424242"))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
}

// Seeded is a preset's business with days of history.
func Seeded(t *testing.T, name string, days int) (*models.DB, *ledger.Ledger, *billing.Service, *demo.Clock) {
	t.Helper()
	catalogue, err := preset.Load(name)
	require.NoError(t, err)
	db := modelstest.OpenSQLite(t)
	clock := demo.NewClock(0)
	var accounts []stripesim.Account
	for _, a := range demo.Sellers() {
		accounts = append(accounts, stripesim.Account{ID: a.Account, Name: a.Name, Email: a.Email})
	}
	sim, err := stripesim.New(stripesim.Config{Clock: clock, Secret: "sk_test_demo", Accounts: accounts})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	box := httptest.NewServer(sim)
	t.Cleanup(box.Close)
	gateway, err := checkout.New(checkout.Config{SecretKey: "sk_test_demo", WebhookSecrets: []string{"whsec_demo"}, BaseURL: box.URL})
	require.NoError(t, err)
	led, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, led.Close()) })
	s, err := billing.New(billing.Config{DB: db, Ledger: led, Clock: clock, Payments: gateway, BaseURL: "http://localhost:8080"})
	require.NoError(t, err)
	seeder := &demo.Seeder{Billing: s, Clock: clock, Catalogue: catalogue, Pay: payer(box.URL), Days: days}
	require.NoError(t, seeder.Seed(t.Context()))
	return db, led, s, clock
}
