package billing_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest"
)

// sourceOf is where a test's database is.
func sourceOf(t *testing.T, db *models.DB) models.Options {
	t.Helper()
	if db.Pool != nil {
		return models.Options{DatabaseURL: db.Pool.Config().ConnString(), AllowLoss: true}
	}
	var file string
	require.NoError(t, db.ReadSQL().QueryRowContext(t.Context(), "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file))
	return models.Options{SQLitePath: file, AllowLoss: true}
}

// emptied is a place of the same kind with nothing in it.
func emptied(t *testing.T, o models.Options) models.Options {
	t.Helper()
	if o.DatabaseURL == "" {
		return models.Options{SQLitePath: filepath.Join(t.TempDir(), "restored.db"), AllowLoss: true}
	}
	o.DatabaseURL = modelstest.Postgres(t)
	conn, err := pgx.Connect(t.Context(), o.DatabaseURL)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	return o
}

// After an older backup was restored, what was paid, refunded and disputed at Stripe
// since is found by itself within minutes, though lists had been compared just
// before the backup: each payment credited once, and one that the backup has no
// purchase of waits for a person.
func TestAnOlderBackupCatchesUpWithStripe(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		refunded := s.paid(t, "refunded", "credits-2000")
		opened := s.buy(t, "opened", "credits-12500", 0)
		_, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "backup")
		from := sourceOf(t, db)
		_, err = models.Backup(t.Context(), models.BackupOptions{Options: from}, file)
		require.NoError(t, err)

		s.pay(t, opened)
		s.becomes(t, opened, models.PurchaseCredited)
		stray := s.paid(t, "stray", "credits-35000")
		s.refund(t, refunded, 10_00)
		s.becomes(t, refunded, models.PurchaseRefunded)
		s.mode(t, "drop") // what is told from here on is told to the old database

		to := emptied(t, from)
		_, err = models.Restore(t.Context(), models.BackupOptions{Options: to}, file)
		require.NoError(t, err)
		r := s.at(t, modelstest.Open(t, to))
		require.NoError(t, r.Restored(t.Context(), "operator", "backup"))
		require.Equal(t, []models.PurchaseStatus{models.PurchaseCredited, models.PurchaseOpen}, []models.PurchaseStatus{r.status(t, refunded), r.status(t, opened)})
		r.later(t, 6*time.Minute)
		require.Equal(t, []models.PurchaseStatus{models.PurchaseRefunded, models.PurchaseCredited}, []models.PurchaseStatus{r.status(t, refunded), r.status(t, opened)})
		require.Equal(t, 12_500*models.Credit, r.purchased(t))
		again, err := r.Reconcile(t.Context())
		require.NoError(t, err)
		require.Zero(t, again.Settled)
		require.Equal(t, 12_500*models.Credit, r.purchased(t), "once")
		desk, err := r.PaymentsDesk(t.Context(), time.UTC)
		require.NoError(t, err)
		require.Len(t, desk.Strays, 1)
		require.Equal(t, stray.ID.String(), desk.Strays[0].Reference)
	})
}

// at is the same shop on another database, at the same Stripe.
func (s *shop) at(t *testing.T, db *models.DB) *shop {
	t.Helper()
	gateway, err := checkout.New(checkout.Config{
		SecretKey: "sk_test_shop", WebhookSecrets: []string{"whsec_shop"}, ConnectWebhookSecrets: []string{"whsec_connect"}, BaseURL: s.box,
	})
	require.NoError(t, err)
	led, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	out := &shop{db: db, clock: s.clock, box: s.box, simulator: s.simulator}
	out.Service, err = billing.New(billing.Config{DB: db, Ledger: led, Clock: s.clock, Payments: gateway, BaseURL: "http://localhost:1"})
	require.NoError(t, err)
	out.account, err = out.AccountOf(t.Context(), s.account.Agency.WalletID)
	require.NoError(t, err)
	t.Cleanup(func() {
		report, err := ledger.Audit(context.WithoutCancel(t.Context()), db, s.clock.Now())
		require.NoError(t, err)
		require.True(t, report.Clean(), "%s", report)
		require.NoError(t, led.Close())
	})
	return out
}
