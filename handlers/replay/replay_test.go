package replay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/handlers/replay"
	"refill/models"
)

const header = "TIMESTAMP,ContextTokens,GeneratedTokens\n"

// portal is an API that remembers what it charged and fails as told.
type portal struct {
	mu      sync.Mutex
	booked  map[string]map[string]any // by key
	fault   func(key string, attempt int) string
	tries   map[string]int
	refuses bool
}

func newPortal(t *testing.T) (*portal, string) {
	t.Helper()
	p := &portal{booked: map[string]map[string]any{}, tries: map[string]int{}}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return p, s.URL
}

func (p *portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	p.tries[key]++
	fault := ""
	if p.fault != nil {
		fault = p.fault(key, p.tries[key])
	}
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/v1/charges":
		http.NotFound(w, r)
	case r.Header.Get("Authorization") != "Bearer secret":
		problem(w, http.StatusUnauthorized, "api_key_invalid")
	case fault == "drop before":
		panic(http.ErrAbortHandler)
	case fault == "busy":
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, "overloaded")
	case fault == "broken":
		problem(w, http.StatusInternalServerError, "internal")
	case p.refuses:
		problem(w, http.StatusPaymentRequired, "insufficient_credits")
	default:
		p.charge(w, r, key, fault)
	}
}

func (p *portal) charge(w http.ResponseWriter, r *http.Request, key, fault string) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body["wallet"] == "wal_gone" {
		problem(w, http.StatusNotFound, "not_found")
		return
	}
	status := http.StatusCreated
	if p.booked[key] != nil {
		status = http.StatusOK
		w.Header().Set("Idempotent-Replayed", "true")
	}
	p.booked[key] = body
	if fault == "drop after" {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"id":"chg_1","credits":"1.5"}`)
}

func problem(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"code":%q,"detail":"No."}`, code)
}

// write makes a trace of n rows and tells its name.
func write(t *testing.T, text string) (path, name string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "trace.csv")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	sum := sha256.Sum256([]byte(text))
	return path, hex.EncodeToString(sum[:])[:16]
}

func rows(n int) string {
	var b strings.Builder
	b.WriteString(header)
	for i := range n {
		fmt.Fprintf(&b, "2023-11-16 18:15:%02d.6805900,%d,%d\n", i%60, 300+i, 40+i)
	}
	return b.String()
}

func config(path, url string) replay.Config {
	return replay.Config{
		Trace: path, API: url, Key: "secret", Wallets: []string{"agency:north", "sub:north/acme"},
		Models: []string{"gpt-4", "gpt-4-turbo", "gpt-3.5-turbo"}, Concurrency: 8,
	}
}

func TestEveryRowIsChargedOnceWhateverHappensToTheConnection(t *testing.T) {
	t.Parallel()
	p, url := newPortal(t)
	p.fault = func(key string, attempt int) string {
		faults := []string{"", "drop before", "drop after", "broken"}
		if attempt == 1 {
			return faults[int(key[len(key)-1]-'0')%len(faults)]
		}
		return ""
	}
	path, name := write(t, rows(40))
	var progress bytes.Buffer
	c := config(path, url+"/")
	c.Progress = &progress

	s, err := replay.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, 40, s.Rows)
	require.Equal(t, 40, s.Charged+s.Replayed)
	require.Equal(t, 8, s.Replayed, "rows whose first answer was lost")
	require.Zero(t, s.Refused+s.Failed)
	require.Equal(t, 60*models.Credit, s.Credits)
	require.Positive(t, s.PerSecond)
	require.GreaterOrEqual(t, s.P99, s.P50)
	require.Contains(t, progress.String(), "40 of 40 rows")

	require.Len(t, p.booked, 40)
	for i := range 40 {
		body := p.booked[fmt.Sprintf("replay:%s:%d", name, i)]
		require.Equal(t, map[string]any{
			"wallet": c.Wallets[i%2], "action": "ai.reply", "model": c.Models[i%3],
			"usage":    map[string]any{"input_tokens": float64(300 + i), "output_tokens": float64(40 + i)},
			"metadata": map[string]any{"recorded_at": fmt.Sprintf("2023-11-16 18:15:%02d.6805900", i)},
		}, body)
	}

	p.fault = nil
	again, err := replay.Run(t.Context(), c)
	require.NoError(t, err)
	require.Zero(t, again.Charged)
	require.Equal(t, 40, again.Replayed)
	require.Equal(t, s.Credits, again.Credits)
}

func TestAPauseTheServerAsksForIsKept(t *testing.T) {
	t.Parallel()
	p, url := newPortal(t)
	p.fault = func(_ string, attempt int) string {
		if attempt == 1 {
			return "busy"
		}
		return ""
	}
	path, _ := write(t, rows(3))
	s, err := replay.Run(t.Context(), config(path, url))
	require.NoError(t, err)
	require.Equal(t, 3, s.Charged)
	require.Greater(t, int64(s.P50), int64(1000*1000), "a second, in thousandths of a millisecond")
}

func TestRefusalsAndFailuresAreCounted(t *testing.T) {
	t.Parallel()
	path, _ := write(t, rows(4))
	p, url := newPortal(t)
	c := config(path, url)
	c.Wallets = []string{"agency:north", "wal_gone"}
	s, err := replay.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, 2, s.Charged)
	require.Equal(t, 2, s.Failed)

	p.refuses = true
	s, err = replay.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, 4, s.Refused)

	p.refuses = false
	p.fault = func(string, int) string { return "broken" }
	c.Patience = 10 * time.Millisecond
	s, err = replay.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, 4, s.Failed)
}

func TestAReplayEndsWithItsKeyOrItsCaller(t *testing.T) {
	t.Parallel()
	path, _ := write(t, rows(100))
	p, url := newPortal(t)
	c := config(path, url)
	c.Key = "wrong"
	_, err := replay.Run(t.Context(), c)
	require.ErrorContains(t, err, "the API key is not accepted")
	require.Empty(t, p.booked)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = replay.Run(ctx, config(path, url))
	require.ErrorIs(t, err, context.Canceled)
}

func TestARateIsKept(t *testing.T) {
	t.Parallel()
	_, url := newPortal(t)
	path, _ := write(t, rows(11))
	c := config(path, url)
	c.Rate = 50
	began := time.Now()
	s, err := replay.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, 11, s.Charged)
	require.GreaterOrEqual(t, time.Since(began), 199*time.Millisecond, "ten gaps of 20 ms")
}

func TestTracesAsTheyCome(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no last newline": strings.TrimSuffix(rows(3), "\n"),
		"CRLF":            strings.ReplaceAll(rows(3), "\n", "\r\n"),
		"byte order mark": "\ufeff" + rows(3),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := newPortal(t)
			path, _ := write(t, text)
			s, err := replay.Run(t.Context(), config(path, url))
			require.NoError(t, err)
			require.Equal(t, 3, s.Charged)
		})
	}
}

func TestABrokenTraceChargesNothingAndSaysWhere(t *testing.T) {
	t.Parallel()
	good := "2023-11-16 18:15:46.6805900,374,44\n"
	for text, want := range map[string]string{
		"":                                "the file is empty",
		"time,in,out\n":                   "line 1: the first line is \"time,in,out\" and must be",
		header:                            "no rows",
		header + good + "yesterday,1,2\n": "line 3, column 1 (TIMESTAMP): \"yesterday\"",
		header + good + strings.Replace(good, "374", "3.5", 1): "line 3, column 2 (ContextTokens): \"3.5\" is not a whole number",
		header + strings.Replace(good, "44", "-1", 1):          "line 2, column 3 (GeneratedTokens): \"-1\"",
		header + good + "2023-11-16 18:15:46,1\n":              "line 3: wrong number of fields",
	} {
		p, url := newPortal(t)
		path, _ := write(t, text)
		_, err := replay.Run(t.Context(), config(path, url))
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, path)
		require.Empty(t, p.tries)
	}
	_, err := replay.Run(t.Context(), config("/nowhere/trace.csv", "http://127.0.0.1:1"))
	require.ErrorContains(t, err, "/nowhere/trace.csv: no such file")
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	path, _ := write(t, rows(1))
	for want, c := range map[string]replay.Config{
		"an API key":   {Trace: path, API: "http://h", Wallets: []string{"w"}},
		"one wallet":   {Trace: path, API: "http://h", Key: "k"},
		"write an add": {Trace: path, API: "h", Key: "k", Wallets: []string{"w"}},
	} {
		_, err := replay.Run(t.Context(), c)
		require.ErrorContains(t, err, want)
	}
	for text, want := range map[string]int{"max": 0, "": 0, "250": 250} {
		got, err := replay.ParseRate(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := replay.ParseRate("fast")
	require.ErrorContains(t, err, "write max")
}

func TestTheSummaryIsOneLineOfPlainNumbers(t *testing.T) {
	t.Parallel()
	_, url := newPortal(t)
	path, _ := write(t, rows(2))
	s, err := replay.Run(t.Context(), config(path, url))
	require.NoError(t, err)
	line, err := json.Marshal(s)
	require.NoError(t, err)
	require.NotContains(t, string(line), "\n")
	var out map[string]any
	require.NoError(t, json.Unmarshal(line, &out))
	require.InDelta(t, 2, out["charged"], 0)
	require.Equal(t, "3", out["credits"])
	for _, name := range []string{"rows", "replayed", "refused", "failed", "per_second", "p50_ms", "p99_ms"} {
		require.IsType(t, float64(0), out[name], name)
	}
}
