package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/stripesim"
	"refill/models"
)

// journal is what a process wrote to standard error.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// canary is a portal whose every secret, and every secret sent to it, is marked.
type canary struct {
	t    *testing.T
	base string
	http *http.Client
}

// send asks for a page or the API, with a form or a JSON body.
func (c *canary) send(method, path, kind, body string, headers ...string) (status int, answer string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", kind)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.http.Do(req)
	require.NoError(c.t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	require.NoError(c.t, res.Body.Close())
	return res.StatusCode, string(raw)
}

var csrfField = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

// fill sends a page's form.
func (c *canary) fill(page, action string, form url.Values) int {
	c.t.Helper()
	_, body := c.send(http.MethodGet, page, "", "")
	token := csrfField.FindStringSubmatch(body)
	require.NotNil(c.t, token, "%s has a form: %s", page, body)
	form.Set("csrf_token", token[1])
	status, _ := c.send(http.MethodPost, action, "application/x-www-form-urlencoded", form.Encode(), "Sec-Fetch-Site", "same-origin")
	return status
}

// Nothing of a secret that the portal has or is sent is in its log, whatever is done
// with it: signing in and failing to, API keys, Stripe's keys and signatures, links
// in addresses, cards, mail that cannot leave, and a configuration that cannot be
// read.
func TestNoSecretIsInTheLog(t *testing.T) {
	t.Parallel()
	const mark = "Zq7canary"
	data := t.TempDir()
	code, said := ran(t, "setup", "--data", data, "--database-url", "", "--admin-email", mark+"ana@example.com", "--admin-password", mark+" horse battery")
	require.Zero(t, code, said)
	key := said[strings.Index(said, "rf_live_"):strings.LastIndex(said, "\n")]
	sim, err := stripesim.New(stripesim.Config{Clock: models.SystemClock{}, Secret: "sk_test_" + mark})
	require.NoError(t, err)
	box := httptest.NewServer(sim)
	t.Cleanup(box.Close)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var log journal
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{
			"serve", "--data", data, "--database-url", "", "--addr", "127.0.0.1:0", "--drain-delay", "0s", "--no-admin-two-step",
			"--stripe-secret-key", "sk_test_" + mark, "--stripe-webhook-secret", "whsec_" + mark, "--stripe-connect-webhook-secret", "whsec_c" + mark,
			"--stripe-url", box.URL, "--smtp-url", "smtp://" + mark + ":" + mark + "@127.0.0.1:1", "--mail-from", "post@example.com",
		}, io.Discard, &log)
	}()
	t.Cleanup(func() {
		cancel()
		require.Zero(t, <-ended)
	})
	ready := regexp.MustCompile(`"msg":"ready","base_url":"([^"]+)"`)
	require.Eventually(t, func() bool { return ready.MatchString(log.String()) }, time.Minute, 20*time.Millisecond, "%s", &log)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	c := &canary{t: t, base: ready.FindStringSubmatch(log.String())[1], http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}

	// People: a wrong password, the right one, links, what they look for.
	require.Equal(t, http.StatusUnprocessableEntity, c.fill("/sign-in", "/sign-in", url.Values{"email": {mark + "ana@example.com"}, "password": {mark + "wrong"}}))
	c.fill("/sign-in", "/sign-in/link", url.Values{"email": {mark + "ana@example.com"}})
	require.Equal(t, http.StatusSeeOther, c.fill("/sign-in", "/sign-in", url.Values{"email": {mark + "ana@example.com"}, "password": {mark + " horse battery"}}))
	for _, path := range []string{"/sign-in/" + mark, "/forgotten/" + mark, "/invitations/" + mark, "/confirm-email/" + mark, "/q/" + mark, "/notices/off/" + mark, "/admin/agencies?q=" + mark, "/" + mark, "/admin?next=" + mark} {
		c.send(http.MethodGet, path, "", "", "Referer", c.base+"/"+mark, "User-Agent", mark)
	}

	// Programs: a key that is none, the right one, a body that is wrong, secrets in
	// it, and a purchase with a card.
	asked := func(method, path, bearer, body string) (int, map[string]any) {
		status, answer := c.send(method, path, "application/json", body, "Authorization", "Bearer "+bearer, "Idempotency-Key", mark+path)
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(answer), &got), answer)
		return status, got
	}
	status, _ := asked(http.MethodPost, "/v1/charges", "rf_live_"+mark, oneCharge)
	require.Equal(t, http.StatusUnauthorized, status)
	asked(http.MethodPost, "/v1/charges", key, `{"`+mark+`": 1}`)
	asked(http.MethodPost, "/v1/charges", key, `{"wallet": "agency:`+mark+`", "action": "`+mark+`"}`)
	status, got := asked(http.MethodPost, "/v1/agencies", key, `{"external_id": "acme", "name": "`+mark+`"}`)
	require.Equal(t, http.StatusCreated, status, "%v", got)
	asked(http.MethodPost, "/v1/charges", key, `{"wallet": "agency:acme", "action": "ai.reply", "model": "gpt-4", "metadata": {"m": "`+mark+`"}}`)
	status, got = asked(http.MethodPost, "/v1/webhook-endpoints", key, `{"url": "https://hooks.example/`+mark+`?token=`+mark+`"}`)
	require.NotEqual(t, http.StatusNotFound, status, "%v", got)
	hookSecret, _ := got["secret"].(string)
	status, got = asked(http.MethodPost, "/v1/purchases", key, `{"wallet": "agency:acme", "pack": "credits-12500"}`)
	require.Equal(t, http.StatusCreated, status, "%v", got)
	session, _ := got["checkout_session"].(string)
	paid, err := http.PostForm(box.URL+"/_sim/checkout/sessions/"+session+"/pay", url.Values{"card": {"4242424242424242"}})
	require.NoError(t, err)
	require.NoError(t, paid.Body.Close())
	require.Equal(t, http.StatusOK, paid.StatusCode)

	// Stripe: forged deliveries. The mail server is not there.
	for _, path := range []string{"/webhooks/stripe", "/webhooks/stripe/connect"} {
		status, _ := c.send(http.MethodPost, path, "application/json", `{"id": "evt_`+mark+`"}`, "Stripe-Signature", "t=1,v1="+mark)
		require.Equal(t, http.StatusBadRequest, status)
	}
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "mail") }, 20*time.Second, 20*time.Millisecond, "what cannot be sent is logged: %s", &log)

	secrets := []string{mark, key, "4242424242424242", "battery"}
	if hookSecret != "" {
		secrets = append(secrets, hookSecret)
	}
	for _, cookie := range jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(c.base, "http://"), Path: "/"}) {
		secrets = append(secrets, cookie.Value)
	}
	sealed, err := os.ReadFile(filepath.Join(data, "secret.key"))
	require.NoError(t, err)
	secrets = append(secrets, strings.TrimSpace(string(sealed)))
	text := log.String()
	for _, route := range []string{"/sign-in", "/sign-in/:token", "/v1/charges", "/v1/purchases", "/webhooks/stripe", "/v1/webhook-endpoints"} {
		require.Contains(t, text, `"route":"`+route+`"`, "the log has what was done")
	}
	for _, s := range secrets {
		require.NotContains(t, text, s)
	}
	for line := range strings.Lines(text) {
		require.True(t, json.Valid([]byte(line)), "structured: %s", line)
	}

	// And what cannot be read at the start is not repeated either.
	for _, args := range [][]string{
		{"--smtp-url", "smtp://ana:" + mark + "%zz@mail.example:587", "--mail-from", "a@example.com"},
		{"--smtp-url", "smtp://ana:" + mark + "@mail.example:port", "--mail-from", "a@example.com"},
		{"--smtp-url", "imap://ana:" + mark + "@mail.example", "--mail-from", "a@example.com"},
		{"--secret-key", mark},
		{"--stripe-secret-key", mark, "--stripe-webhook-secret", mark},
		{"--stripe-secret-key", "sk_live_" + mark, "--stripe-webhook-secret", mark, "--stripe-url", "http://127.0.0.1:1"},
		{"--database-url", "postgres://refill:" + mark + "@127.0.0.1:1/refill"},
		{"--database-url", "postgres://refill:" + mark + "@127.0.0.1:port/refill"},
		{"--database-url", "postgres://refill:" + mark + "%zz@127.0.0.1/refill"},
		{"--database-url", "host=127.0.0.1 password=" + mark + " port=x"},
	} {
		code, said := ran(t, append([]string{"serve", "--data", t.TempDir(), "--database-url", "", "--addr", "127.0.0.1:0"}, args...)...)
		require.NotZero(t, code, "%v", args)
		require.NotContains(t, said, mark, "%v", args)
	}
	for _, address := range []string{"postgres://refill:" + mark + "@127.0.0.1:1/refill", "postgres://refill@127.0.0.1:1/refill?password=" + mark, "postgres://refill:" + mark + "%zz@127.0.0.1:1/refill"} {
		code, said := ran(t, "backup", "--database-url", address, filepath.Join(t.TempDir(), "b"))
		require.NotZero(t, code)
		require.NotContains(t, said, mark)
	}
}

// A line's time is in UTC, wherever the machine stands.
func TestTheLogIsInUTC(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	at := time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("Vienna", 3600))
	require.NoError(t, newLog(&said).Handler().Handle(t.Context(), slog.NewRecord(at, slog.LevelInfo, "ready", 0)))
	require.Contains(t, said.String(), `"time":"2026-02-28T23:30:00Z"`)
}
