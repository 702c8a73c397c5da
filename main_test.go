package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/stripesim"
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
		code, said = setup("ana", "correct horse battery")
		require.Equal(t, 1, code)
		require.Contains(t, said, "invalid_email")
		code, said = setup("ana@example.com", "correct horse battery")
		require.Zero(t, code, said)
		require.Contains(t, said, "rf_live_")
		code, said = setup("eve@example.com", "correct horse battery")
		require.Equal(t, 1, code)
		require.Contains(t, said, "set up before")
	})
}

// serving is a portal as go run . starts it.
type serving struct {
	base, address, code string // the last two only while nobody administers it
	log                 string // until it was ready
	stop                func()
}

// startServe runs serve until it is ready. It is SQLite's: the PostgreSQL of the
// tests forgets on a power cut, which serve refuses.
func startServe(t *testing.T, data string, more ...string) serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	read, write := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"serve", "--data", data, "--addr", "127.0.0.1:0", "--database-url", "", "--drain-delay", "0s"}, more...), io.Discard, write)
		_ = write.Close()
	}()
	var out serving
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		out.log += lines.Text() + "\n"
		var line struct {
			Msg     string `json:"msg"`
			Address string `json:"address"`
			Code    string `json:"code"`
			BaseURL string `json:"base_url"`
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), "%s", lines.Text())
		if strings.HasPrefix(line.Msg, "set-up:") {
			out.address, out.code = line.Address, line.Code
		}
		if line.Msg == "ready" {
			out.base = line.BaseURL
			break
		}
	}
	require.NotEmpty(t, out.base, "it was not ready: %s", out.log)
	go func() { _, _ = io.Copy(io.Discard, read) }()
	stopped := false
	out.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.Zero(t, <-done)
		}
	}
	t.Cleanup(out.stop)
	return out
}

// An empty folder asks to be set up, with a new code at each start; once there
// is an admin there is no code any more.
func TestServeAsksToBeSetUp(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	first := startServe(t, data)
	require.Equal(t, first.base+"/setup", first.address)
	require.Regexp(t, `^([0-9A-Z]{4}-){3}[0-9A-Z]{4}$`, first.code)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	at := func(s serving, path string) (status int, location string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+path, http.NoBody)
		require.NoError(t, err)
		res, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode, res.Header.Get("Location")
	}
	for _, path := range []string{"/", "/sign-in", "/admin", "/setup/stripe"} {
		_, to := at(first, path)
		require.Equal(t, "/setup", to, path)
	}
	for _, path := range []string{"/readyz", "/setup"} {
		status, _ := at(first, path)
		require.Equal(t, http.StatusOK, status, path)
	}
	first.stop()

	second := startServe(t, data)
	require.NotEmpty(t, second.code)
	require.NotEqual(t, first.code, second.code)
	second.stop()

	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"setup", "--data", data, "--database-url", "", "--admin-email", "ana@example.com", "--admin-password", "correct horse battery"}, &stdout, &stderr), "%s", stderr.String())
	third := startServe(t, data)
	require.Empty(t, third.code)
	require.NotContains(t, third.log, "set-up")
	_, to := at(third, "/admin")
	require.Equal(t, "/sign-in?next=%2Fadmin", to)
}

// Metrics are on an address of their own when one is named, and nowhere else.
func TestServeAnswersPrometheusOnAnAddressOfItsOwn(t *testing.T) {
	t.Parallel()
	require.NotContains(t, startServe(t, t.TempDir()).log, `"metrics"`)
	s := startServe(t, t.TempDir(), "--metrics-addr", "127.0.0.1:0")
	private := regexp.MustCompile(`"msg":"metrics","url":"([^"]+/metrics)"`).FindStringSubmatch(s.log)
	require.NotNil(t, private, "%s", s.log)
	read := func(address string) (status int, body string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(text)
	}
	status, body := read(s.base + "/metrics")
	require.Equal(t, http.StatusNotFound, status)
	require.NotContains(t, body, "refill_")
	require.Eventually(t, func() bool {
		status, body := read(private[1])
		return status == http.StatusOK && regexp.MustCompile(`(?m)^refill_due_work_last_completed_timestamp_seconds [1-9]`).MatchString(body)
	}, 20*time.Second, 50*time.Millisecond, "the clock's work is timed")
	s.stop()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, private[1], http.NoBody)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		_ = res.Body.Close()
	}
	require.Error(t, err, "it ends with the portal")
}

// A key without its webhook secret starts, says so, and takes no payments.
func TestServeWithHalfOfStripe(t *testing.T) {
	t.Parallel()
	s := startServe(t, t.TempDir(), "--stripe-secret-key", "sk_test_half_of_it")
	require.Contains(t, s.log, "STRIPE_WEBHOOK_SECRET is not set")
	require.NotContains(t, s.log, "half_of_it")
}

// The operator's two commands against a simulator: made once, found again,
// checked in the words of the page, and no secret said twice.
func TestStripeSetupAndCheck(t *testing.T) {
	t.Parallel()
	const key = "sk_test_operator_4242"
	sim, err := stripesim.New(stripesim.Config{Clock: models.SystemClock{}, Secret: key, Merchant: "Harbour AI"})
	require.NoError(t, err)
	server := httptest.NewServer(sim)
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, sim.Close())
	})
	stripe := func(args ...string) (int, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"stripe"}, args...), &stdout, &stderr)
		require.NotContains(t, stderr.String(), "whsec_")
		require.NotContains(t, stdout.String()+stderr.String(), key)
		return code, stdout.String() + stderr.String()
	}
	at := []string{"--url", "http://localhost:8080/", "--stripe-url", server.URL, "--stripe-secret-key"}

	code, said := stripe(append(append([]string{"check"}, at...), key)...)
	require.Equal(t, 1, code, said)
	require.Contains(t, said, "There is none.")
	require.Contains(t, said, "Harbour AI")
	require.Contains(t, said, "Run refill stripe setup --url http://localhost:8080")

	code, said = stripe(append(append([]string{"setup"}, at...), key)...)
	require.Zero(t, code, said)
	secrets := regexp.MustCompile(`(?m)^(STRIPE_\w+)=(whsec_\w+)$`).FindAllStringSubmatch(said, -1)
	require.Len(t, secrets, 2, said)
	require.Equal(t, []string{"STRIPE_WEBHOOK_SECRET", "STRIPE_CONNECT_WEBHOOK_SECRET"}, []string{secrets[0][1], secrets[1][1]})
	code, said = stripe(append(append([]string{"setup"}, at...), key)...)
	require.Zero(t, code, said)
	require.Equal(t, 2, strings.Count(said, "nothing to change"), said)
	require.NotContains(t, said, "whsec_")

	code, said = stripe(append(append([]string{"check"}, at...), key)...)
	require.Equal(t, 1, code, said)
	require.Contains(t, said, "Webhook secret: Not working")
	code, said = stripe(append(append([]string{"check"}, at...), key, "--stripe-webhook-secret", secrets[0][2], "--stripe-connect-webhook-secret", secrets[1][2])...)
	require.Zero(t, code, said)
	require.NotContains(t, said, secrets[0][2])
	require.Contains(t, said, "ends in …"+secrets[0][2][len(secrets[0][2])-4:])

	for words, args := range map[string][]string{
		"does not accept the key":   append(append([]string{"check"}, at...), "sk_test_not_this_one"),
		"STRIPE_SECRET_KEY":         {"check", "--url", "https://credits.example", "--stripe-secret-key", ""},
		"must start with sk_test_":  {"setup", "--url", "https://credits.example", "--stripe-secret-key", "pk_test_1"},
		"cannot deliver to":         {"setup", "--url", "http://localhost:8080", "--stripe-secret-key", key},
		"https only":                {"setup", "--url", "http://credits.example", "--stripe-secret-key", "sk_live_1"},
		"never goes to a simulator": append(append([]string{"setup"}, at...), "sk_live_1"),
		"is not like https":         {"check", "--url", "credits.example", "--stripe-secret-key", key},
	} {
		code, said := stripe(args...)
		require.Equal(t, 1, code, "%v: %s", args, said)
		require.Contains(t, said, words)
	}
}
