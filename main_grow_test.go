package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/handlers/bench"
)

// beRefill in the environment makes the test's program the product: what bench
// grow measures is a process of its own.
const beRefill = "REFILL_TEST_BE_REFILL"

func TestMain(m *testing.M) {
	if os.Getenv(beRefill) != "" {
		main() // exits
	}
	os.Exit(m.Run())
}

func TestFilledDatabaseIsMeasured(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	var out, errs bytes.Buffer
	fill := []string{"bench", "fill", "--entries", "6000", "--agencies", "2", "--clients", "4", "--months", "4", "--data", data}
	require.Zero(t, run(t.Context(), fill, &out, &errs), errs.String())
	require.Contains(t, out.String(), "of 2 agencies with 8 sub-accounts")
	require.Equal(t, 1, run(t.Context(), fill, &out, &errs), "not twice")
	require.Contains(t, errs.String(), "in use (2 agencies")
	require.Zero(t, run(t.Context(), []string{"audit", "--data", data}, &out, &errs), out.String())

	binary, err := os.Executable()
	require.NoError(t, err)
	var table bytes.Buffer
	c := bench.GrowConfig{
		File: filepath.Join(data, "refill.db"), Binary: binary, Args: []string{"serve"}, Env: []string{beRefill + "=1", "DATABASE_URL=", "REFILL_DATA=" + data},
		Seconds: 1, Rounds: 1, MemorySeconds: 1, Rows: regexp.MustCompile("Overview|far down|Fleet"), Out: filepath.Join(t.TempDir(), "bench", "growth.json"), Print: &table, Open: benched(slog.New(slog.DiscardHandler), false),
	}
	report, err := bench.Grow(t.Context(), c)
	require.NoError(t, err)
	require.InDelta(t, 6000, report.Entries, 100)
	values := map[string]float64{}
	for _, row := range report.Rows {
		values[row.Name] = row.Value
		require.Contains(t, table.String(), row.Name)
	}
	for _, name := range []string{"Overview, idle", "History, far down, 1000 charges a second", "Fleet, idle", "charges, HTTP, 64 connections, 1,000 wallets", "cold start, exec to ready"} {
		require.Positive(t, values[name], name)
	}
	require.NotContains(t, values, "Buy, idle", "it was not asked for")
	require.FileExists(t, c.Out)
	require.Zero(t, run(t.Context(), []string{"audit", "--data", data}, &out, &errs), out.String())
}
