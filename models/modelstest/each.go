package modelstest

import (
	"context"
	"testing"

	"refill/models"
)

// Each runs f once on a fresh SQLite database and once on a fresh PostgreSQL
// database, in parallel, as the subtests "sqlite" and "postgres". The databases
// are closed and gone when their subtest ends.
func Each(t *testing.T, f func(t *testing.T, db *models.DB)) {
	t.Helper()
	t.Run(string(models.SQLite), func(t *testing.T) {
		t.Parallel()
		f(t, OpenSQLite(t))
	})
	t.Run(string(models.Postgres), func(t *testing.T) {
		t.Parallel()
		f(t, OpenPostgres(t))
	})
}

// OpenPostgres opens a fresh PostgreSQL database until the test ends.
func OpenPostgres(t testing.TB) *models.DB {
	t.Helper()
	return Open(t, models.Options{DatabaseURL: Postgres(t)})
}

// Open opens a database and closes it when the test ends. The start-up check
// that commits are durable is off, because throw-away servers run without
// fsync.
func Open(t testing.TB, o models.Options) *models.DB {
	t.Helper()
	o.AllowLoss, o.TrustNetwork = true, true
	db, err := models.Open(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatalf("open a test database: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close a test database: %v", err)
		}
	})
	return db
}
