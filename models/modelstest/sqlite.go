package modelstest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"refill/models"
)

// migrated is an empty database with every migration applied, made once for all
// tests of a process: migrating takes longer than most tests.
var migrated = sync.OnceValues(func() (_ []byte, err error) { //nolint:gochecknoglobals // one template for the process, as PostgreSQL has
	dir, err := os.MkdirTemp("", "refill-template-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "refill.db")
	db, err := models.Open(context.Background(), models.Options{SQLitePath: file, AllowLoss: true}) // shared by all tests, so it belongs to none
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil { // which brings the write-ahead log home
		return nil, err
	}
	return os.ReadFile(file)
})

// OpenSQLite opens a fresh SQLite database until the test ends. It runs without
// syncs, as the PostgreSQL of the tests does: a killed process loses nothing by
// that, and nobody cuts the power.
func OpenSQLite(t testing.TB) *models.DB {
	t.Helper()
	template, err := migrated()
	if err != nil {
		t.Fatalf("prepare the template database: %v", err)
	}
	file := SQLite(t)
	if err := os.WriteFile(file, template, 0o600); err != nil {
		t.Fatalf("copy the template database: %v", err)
	}
	db := Open(t, models.Options{SQLitePath: file})
	if err := db.Write.Exec("PRAGMA synchronous = OFF").Error; err != nil {
		t.Fatalf("run without syncs: %v", err)
	}
	return db
}

// SQLite names a file for a fresh SQLite database, for tests that open it
// themselves or more than once.
func SQLite(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "refill.db")
}
