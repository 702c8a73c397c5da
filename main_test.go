package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

// demoHouse is a running demo.
type demoHouse struct {
	readyFile
	args []string // to open its database with
	stop func()
}

// startDemo runs the demo as a person would and waits until it answers.
func startDemo(t *testing.T, data, databaseURL string, more ...string) *demoHouse {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	args := append([]string{"demo", "--addr", "127.0.0.1:0", "--data", data, "--database-url", databaseURL, "--ready-file", file}, more...)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan int, 1)
	var stderr bytes.Buffer
	go func() { done <- run(ctx, args, io.Discard, &stderr) }()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	limit := time.After(3 * time.Minute)
	d := &demoHouse{args: []string{"--data", data, "--database-url", databaseURL}}
	for d.BaseURL == "" {
		select {
		case code := <-done:
			t.Fatalf("the demo ended with %d: %s", code, stderr.String())
		case <-limit:
			t.Fatalf("the demo was not ready in three minutes: %s", stderr.String())
		case <-look.C:
			if body, err := os.ReadFile(file); err == nil {
				require.NoError(t, json.Unmarshal(body, &d.readyFile))
			}
		}
	}
	stopped := false
	d.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.Zero(t, <-done, "the demo ends cleanly: %s", stderr.String())
	}
	t.Cleanup(d.stop)
	return d
}

// call sends a JSON request with the platform key and reads the JSON answer.
func (d *demoHouse) call(t *testing.T, method, path, key string, body any) (int, map[string]any) {
	t.Helper()
	var in io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		require.NoError(t, err)
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, d.BaseURL+path, in)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+d.APIKey)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(raw, &out), "%s", raw)
	return res.StatusCode, out
}

func (d *demoHouse) audit(t *testing.T) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"audit"}, d.args...), &stdout, &stderr)
	require.Zero(t, code, "audit: %s%s", stdout.String(), stderr.String())
	for _, id := range []string{"I-01", "I-02", "I-03", "I-04", "I-05", "I-06", "I-09", "I-11", "I-12", "I-13", "I-18", "I-20", "I-28"} {
		require.Contains(t, stdout.String(), id)
	}
}

// eachDatabase runs f with a folder on SQLite and with a fresh PostgreSQL.
func eachDatabase(t *testing.T, f func(t *testing.T, databaseURL string)) {
	t.Helper()
	t.Run(string(models.SQLite), func(t *testing.T) {
		t.Parallel()
		f(t, "")
	})
	t.Run(string(models.Postgres), func(t *testing.T) {
		t.Parallel()
		f(t, modelstest.Postgres(t))
	})
}

// A stranger's first minutes: start, charge with curl's request, buy a pack,
// move the clock, stop, start again, and find everything explained.
func TestDemoFromStartToAudit(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, databaseURL string) {
		data := t.TempDir()
		d := startDemo(t, data, databaseURL)
		require.Equal(t, databaseURL, d.DatabaseURL)
		status, charge := d.call(t, "POST", "/v1/charges", "first", map[string]any{"wallet": "agency:northwind", "action": "ai.reply", "model": "gpt-4"})
		require.Equal(t, http.StatusCreated, status, "%v", charge)
		require.Equal(t, "25", charge["credits"])

		_, before := d.call(t, "GET", "/v1/wallets/agency%3Anorthwind", "", nil)
		status, purchase := d.call(t, "POST", "/v1/purchases", "buy", map[string]any{"wallet": "agency:northwind", "pack": "credits-12500"})
		require.Equal(t, http.StatusCreated, status, "%v", purchase)
		d.pay(t, purchase["checkout_session"].(string))
		d.credited(t, purchase["id"].(string))
		_, after := d.call(t, "GET", "/v1/wallets/agency%3Anorthwind", "", nil)
		require.Equal(t, number(t, before, "available")+12500*models.Credit, number(t, after, "available"))

		status, moved := d.call(t, "POST", "/demo/clock", "", map[string]any{"advance": "744h"})
		require.Equal(t, http.StatusOK, status, "%v", moved)
		_, renewed := d.call(t, "GET", "/v1/wallets/agency%3Anorthwind", "", nil)
		require.Equal(t, 100_000*models.Credit, number(t, renewed, "plan"), "a new month starts with the whole allowance")
		status, _ = d.call(t, "POST", "/demo/clock", "", map[string]any{"to": "2001-01-01T00:00:00Z"})
		require.Equal(t, http.StatusUnprocessableEntity, status)
		d.stop()
		d.audit(t)

		again := startDemo(t, data, databaseURL)
		_, same := again.call(t, "GET", "/v1/wallets/agency%3Anorthwind", "", nil)
		require.Equal(t, renewed["available"], same["available"], "a demo that is there is used again")
		status, replay := again.call(t, "POST", "/v1/charges", "first", map[string]any{"wallet": "agency:northwind", "action": "ai.reply", "model": "gpt-4"})
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, charge, replay, "the first answer again, across a restart and a month")
	})
}

func number(t *testing.T, in map[string]any, name string) models.Credits {
	t.Helper()
	balance, ok := in["balance"].(map[string]any)
	if !ok {
		balance = in
	}
	text, ok := balance[name].(string)
	require.True(t, ok, "%s in %v", name, in)
	c, err := models.ParseCredits(text)
	require.NoError(t, err)
	return c
}

func (d *demoHouse) pay(t *testing.T, session string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.StripeURL+"/_sim/checkout/sessions/"+session+"/pay",
		strings.NewReader("card=4242424242424242"))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}

// credited waits for the webhook's work.
func (d *demoHouse) credited(t *testing.T, id string) {
	t.Helper()
	var status any
	require.Eventually(t, func() bool {
		_, p := d.call(t, "GET", "/v1/purchases/"+id, "", nil)
		status = p["status"]
		return status == "credited"
	}, 20*time.Second, 20*time.Millisecond, "the purchase is %v", status)
}

// The trace is charged once, whole, however often it is sent; REFILL_TRACE names
// a recorded one, else a small one is made.
func TestReplayChargesEachRowOnce(t *testing.T) {
	t.Parallel()
	trace, rows := os.Getenv("REFILL_TRACE"), 0
	if trace == "" {
		trace = filepath.Join(t.TempDir(), "trace.csv")
		rows = 500
		var b strings.Builder
		b.WriteString("TIMESTAMP,ContextTokens,GeneratedTokens\n")
		for i := range rows {
			fmt.Fprintf(&b, "2023-11-16 18:%02d:%02d.%07d,%d,%d\n", i/60%60, i%60, i, 200+i*7%900, 20+i%300)
		}
		require.NoError(t, os.WriteFile(trace, []byte(strings.TrimSuffix(b.String(), "\n")), 0o600))
	} else {
		body, err := os.ReadFile(trace)
		require.NoError(t, err)
		rows = len(strings.Split(strings.TrimSpace(string(body)), "\n")) - 1
	}
	eachDatabase(t, func(t *testing.T, databaseURL string) {
		d := startDemo(t, t.TempDir(), databaseURL)
		for i := range 20 { // enough credits for an hour of traffic
			status, p := d.call(t, "POST", "/v1/agencies/northwind/adjustments", fmt.Sprint("fill", i),
				map[string]any{"credits": "100000", "reason": "room for the trace"})
			require.Equal(t, http.StatusCreated, status, "%v", p)
		}
		replay := func() map[string]any {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{
				"replay", "--trace", trace, "--api", d.BaseURL, "--key", d.APIKey, "--wallets", "agency:northwind",
				"--models", "gpt-3.5-turbo,gpt-4-turbo,gpt-4", "--concurrency", "64",
			}, &stdout, &stderr)
			require.Zero(t, code, "%s%s", stdout.String(), stderr.String())
			lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
			var out map[string]any
			require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &out))
			return out
		}
		first := replay()
		t.Logf("%v", first)
		require.EqualValues(t, rows, first["charged"])
		second := replay()
		require.EqualValues(t, 0, second["charged"])
		require.EqualValues(t, rows, second["replayed"])
		require.Equal(t, first["credits"], second["credits"])
		d.stop()
		d.audit(t)
	})
}

// TestDemoRefusesAReadyFileWithoutAFolder must not seed first: a demo that fails
// at its end has kept whoever waits for the file waiting for nothing.
func TestDemoRefusesAReadyFileWithoutAFolder(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	missing := filepath.Join(t.TempDir(), "missing")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"demo", "--addr", "127.0.0.1:0", "--data", data, "--ready-file", filepath.Join(missing, "ready.json")}, &stdout, &stderr)
	require.Equal(t, 1, code)
	require.Contains(t, stderr.String(), "there is no folder "+missing)
	require.NoDirExists(t, data, "nothing was seeded")
	require.Empty(t, stdout.String())
}

func TestAuditOfNoDatabaseIsNotClean(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "mistyped")
	var stdout, stderr bytes.Buffer
	require.Equal(t, 2, run(t.Context(), []string{"audit", "--data", data}, &stdout, &stderr), "%s", stdout.String())
	require.Contains(t, stderr.String(), "mistyped")
	require.NoDirExists(t, data)
}

func TestSetupMayBeRunAgainAfterAMistake(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, databaseURL string) {
		data := t.TempDir()
		setup := func(email, password string) (int, string) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{
				"setup", "--data", data, "--database-url", databaseURL, "--admin-email", email, "--admin-password", password,
			}, &stdout, &stderr)
			return code, stdout.String() + stderr.String()
		}
		code, said := setup("ana@example.com", "short")
		require.Equal(t, 1, code)
		require.Contains(t, said, "invalid_password")
		code, said = setup("ana", "long enough")
		require.Equal(t, 1, code)
		require.Contains(t, said, "invalid_email")
		code, said = setup("ana@example.com", "long enough")
		require.Zero(t, code, said)
		require.Contains(t, said, "rf_live_")
		code, said = setup("eve@example.com", "long enough")
		require.Equal(t, 1, code)
		require.Contains(t, said, "set up before")
	})
}
