package modelstest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"refill/models"
	"refill/models/modelstest/pgserver"
)

// templatePrefix starts the names of template databases; the rest is the
// beginning of the schema's fingerprint.
const templatePrefix = "refill_template_"

// server is the maintenance URL of this process's server, with a migrated
// template on it.
type server struct {
	url      string
	template string
}

// theServer is found or started by the first test that needs it.
var theServer = sync.OnceValues(findServer) //nolint:gochecknoglobals // one server per test process, by design

// Postgres makes a fresh, migrated PostgreSQL database and returns its URL. The
// database is dropped when the test ends, whoever is still connected.
func Postgres(t testing.TB) string {
	t.Helper()
	s, err := theServer()
	if err != nil {
		t.Fatal(err)
	}
	name := "refill_test_" + strings.ToLower(rand.Text())
	ctx := context.WithoutCancel(t.Context())
	if err := s.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+s.template); err != nil {
		t.Fatalf("create a test database: %v", err)
	}
	t.Cleanup(func() {
		if err := s.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop a test database: %v", err)
		}
	})
	dsn, err := databaseURL(s.url, name)
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// findServer takes the server that TEST_DATABASE_URL names or starts one, and
// makes sure that it has a template.
func findServer() (*server, error) {
	ctx := context.Background() // shared by all tests of the process, so it belongs to none
	s := &server{url: os.Getenv("TEST_DATABASE_URL")}
	if s.url == "" {
		started, err := pgserver.Start(ctx, pgserver.Options{})
		if err != nil {
			return nil, fmt.Errorf("start a PostgreSQL server for tests: %w", err)
		}
		s.url = started.URL
	}
	fingerprint, err := models.SchemaFingerprint(models.Postgres)
	if err != nil {
		return nil, err
	}
	s.template = templatePrefix + fingerprint[:16]
	if err := s.makeTemplate(ctx); err != nil {
		return nil, fmt.Errorf("prepare the template database %s: %w", s.template, err)
	}
	return s, nil
}

// makeTemplate migrates the template unless it is there. Test processes share a
// server, so it happens under an advisory lock; the template takes its name
// only when it is complete, so an interrupted run leaves none.
func (s *server) makeTemplate(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }() // which also gives up the lock
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lockKey(s.template)); err != nil {
		return err
	}
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", s.template).Scan(&there); err != nil || there {
		return err
	}
	draft := s.template + "_draft"
	for _, q := range []string{"DROP DATABASE IF EXISTS " + draft + " WITH (FORCE)", "CREATE DATABASE " + draft + " TEMPLATE template0"} {
		if _, err := conn.Exec(ctx, q); err != nil {
			return err
		}
	}
	dsn, err := databaseURL(s.url, draft)
	if err != nil {
		return err
	}
	db, err := models.Open(ctx, models.Options{DatabaseURL: dsn, AllowLoss: true, TrustNetwork: true})
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+s.template)
	return err
}

// exec runs one statement on the maintenance database.
func (s *server) exec(ctx context.Context, query string) (err error) {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, query)
	return err
}

// databaseURL is the server's URL with another database.
func databaseURL(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("read TEST_DATABASE_URL: %w", err)
	}
	u.Path = "/" + name
	return u.String(), nil
}

// lockKey turns a name into an advisory lock's number.
func lockKey(name string) int64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return int64(h.Sum64() >> 1) // shifted, so it fits
}
