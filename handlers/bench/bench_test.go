package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/ledger"
	"refill/models"
)

// open wires the product onto SQLite, with a door that charges nobody.
func open(ctx context.Context, databaseURL, file string) (Product, error) {
	db, err := models.Open(ctx, models.Options{DatabaseURL: databaseURL, SQLitePath: file})
	if err != nil {
		return Product{}, err
	}
	l, err := ledger.Open(ctx, db, ledger.Options{})
	if err != nil {
		return Product{}, errors.Join(err, db.Close())
	}
	s, err := billing.New(billing.Config{DB: db, Ledger: l, Clock: models.SystemClock{}})
	door := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	return Product{Billing: s, Handler: door, Close: func() error { return errors.Join(l.Close(), db.Close()) }}, err
}

func TestSQLiteIsMeasuredWithoutAServer(t *testing.T) {
	t.Parallel()
	var table bytes.Buffer
	out := filepath.Join(t.TempDir(), "bench", "results.json")
	report, err := Run(t.Context(), Config{Open: open, Quick: true, Print: &table, Out: out})
	require.NoError(t, err)
	require.Len(t, report.Rows, 2)
	for _, row := range report.Rows {
		require.Contains(t, row.Name, "SQLite")
		require.Positive(t, row.PerSecond)
		require.GreaterOrEqual(t, row.P99, row.P50)
		require.Nil(t, row.Met, "nothing to hold it against")
		require.Contains(t, table.String(), row.Name)
	}
	body, err := os.ReadFile(out)
	require.NoError(t, err)
	var again Report
	require.NoError(t, json.Unmarshal(body, &again))
	require.Equal(t, report, again)
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	t.Parallel()
	l := line{name: "row", load: "own", beside: "T", unit: "T", value: ratio, target: 2}
	rounds := []round{
		{"own": {PerSecond: 300}, "T": {PerSecond: 100}},
		{"own": {PerSecond: 100}, "T": {PerSecond: 50}}, // the machine slowed down
		{"own": {PerSecond: 90}, "T": {PerSecond: 90}},
	}
	row := l.result(rounds)
	require.InDelta(t, 2, *row.Value, 1e-9)
	require.InDelta(t, 100, row.PerSecond, 1e-9)
	require.True(t, *row.Met)
	l.atMost, l.target = true, 1.5
	require.False(t, *l.result(rounds).Met)
}

func TestEveryLoadOfTheTableExists(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, name := range order() {
		known[name] = true
		_, ours := loads()[name]
		require.True(t, ours || strings.HasPrefix(name, "TPC-B"), name)
	}
	for name := range needs(table(), true) {
		require.True(t, known[name], name)
	}
}

func TestMediansAndPercentiles(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 2, median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 2.5, median([]float64{4, 1, 2, 3}), 0)
	hundred := make([]models.Time, 100)
	for i := range hundred {
		hundred[i] = models.Time(i + 1)
	}
	require.EqualValues(t, 50, percentile(hundred, 50))
	require.EqualValues(t, 99, percentile(hundred, 99))
	require.Zero(t, percentile(nil, 99))
}

func TestALatenessIsNotATransactions(t *testing.T) {
	t.Parallel()
	got, err := logged("0 199 2241 0 1175850568 995598 241\n1 7 900 0 1175850568 998079 0\n")
	require.NoError(t, err)
	require.Equal(t, []models.Time{2000, 900}, got)
	_, err = logged("0 199 2241 0 1175850568 995598\n")
	require.ErrorContains(t, err, "pgbench logged")
}

func TestTheClientReadsAnswersAsServersWriteThem(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000) // net/http sends what is longer than its buffer in chunks
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer key" || r.Header.Get("Idempotency-Key") != "k1" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		_, _ = w.Write([]byte(long[:r.ContentLength]))
	}))
	t.Cleanup(s.Close)
	c, err := dial(strings.TrimPrefix(s.URL, "http://"), "key")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.conn.Close()) })
	for _, n := range []int{0, 1, 9_000, 100} {
		got, err := c.do(http.MethodPost, "/v1/charges", "k1", make([]byte, n), http.StatusOK)
		require.NoError(t, err)
		require.Len(t, got, n)
	}
	_, err = c.do(http.MethodPost, "/v1/charges", "k2", nil, http.StatusOK)
	require.ErrorContains(t, err, "answered 418")
	c.in = bufio.NewReader(strings.NewReader("nonsense\n"))
	_, err = c.read()
	require.Error(t, err)
}
