package billing_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest"
)

// falling is a payment provider that falls over when it is asked about one checkout.
type falling struct {
	*checkout.Gateway

	over string
}

func (f falling) Session(ctx context.Context, account, id string) (checkout.Session, error) {
	if id == f.over {
		panic("a checkout like no other")
	}
	return f.Gateway.Session(ctx, account, id)
}

// A purchase over which the clock's work falls over is told of and tried again later:
// the process lives, and what is behind that purchase, and every other kind of work, is
// done.
func TestWorkThatFallsOverStopsNoOtherWork(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop")
		first, second := s.buy(t, "first", "credits-2000", 0), s.buy(t, "second", "credits-2000", 0)
		s.pay(t, first)
		s.pay(t, second)
		require.NoError(t, s.clock.Advance(s.clock.Now().Add(time.Hour)))
		gateway, err := checkout.New(checkout.Config{SecretKey: "sk_test_shop", WebhookSecrets: []string{"whsec_shop"}, BaseURL: s.box})
		require.NoError(t, err)
		led, err := ledger.Open(t.Context(), db, ledger.Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, led.Close()) }()
		other, err := billing.New(billing.Config{DB: db, Ledger: led, Clock: s.clock, Payments: falling{gateway, first.CheckoutSession}, BaseURL: "http://localhost:1"})
		require.NoError(t, err)
		err = other.RunDue(t.Context(), s.clock.Now())
		require.ErrorContains(t, err, "a checkout like no other")
		require.ErrorContains(t, err, "due_test.go", "with where it fell")
		require.Equal(t, models.PurchaseOpen, s.status(t, first))
		require.Equal(t, models.PurchaseCredited, s.status(t, second))
		var watched int64
		require.NoError(t, db.Read.Model(&models.Patrol{}).Count(&watched).Error)
		require.Positive(t, watched, "the last kind of work was done")

		s.later(t, time.Hour)
		require.Equal(t, models.PurchaseCredited, s.status(t, first))
	})
}

// Who changes many wallets takes them in the order that batches do: whoever waits for
// the first has none of the others, so nobody can be waiting for it in turn.
func TestThresholdsTakeWalletsInOrder(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenPostgres(t)
	s, _ := openStall(t, db)
	for _, name := range []string{"one", "two", "three", "four"} {
		s.client(t, name)
	}
	var wallets []models.WalletID
	require.NoError(t, db.Read.Model(&models.Wallet{}).Order("agency_id DESC, id DESC").Pluck("id", &wallets).Error)
	for _, id := range wallets { // a row goes behind the others when it changes
		require.NoError(t, db.Write.Exec("UPDATE wallets SET low_at = 5 WHERE id = ?", id).Error)
	}
	first := wallets[len(wallets)-1]
	require.NoError(t, s.clock.Advance(s.clock.Now().Add(2*time.Hour)))

	tx := db.Write.WithContext(t.Context()).Begin()
	require.NoError(t, tx.Exec("SELECT 1 FROM wallets WHERE id = ? FOR NO KEY UPDATE", first).Error)
	done := make(chan error, 1)
	go func() { done <- s.RefreshThresholds(t.Context()) }()
	modelstest.AwaitLocked(t, db, 1)
	taken := tx.Exec("SELECT 1 FROM wallets WHERE id <> ? FOR NO KEY UPDATE NOWAIT", first).Error
	require.NoError(t, tx.Commit().Error)
	require.NoError(t, taken)
	require.NoError(t, <-done)
	var low int64
	require.NoError(t, db.Read.Model(&models.Wallet{}).Where("low_at <> 0").Count(&low).Error)
	require.Zero(t, low)
}
