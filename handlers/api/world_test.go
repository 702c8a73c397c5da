package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/ledger"
	"refill/billing/preset"
	"refill/handlers/api"
	"refill/models"
	"refill/models/modelstest"
)

// start is the domain time tests begin at: 2026-03-01 12:00 UTC.
const start = models.Time(1772366400_000_000)

// clock is domain time that stands until it is moved.
type clock struct{ at atomic.Int64 }

func (c *clock) Now() models.Time { return models.Time(c.at.Load()) }

func (c *clock) advance(d time.Duration) { c.at.Add(d.Microseconds()) }

// world is a running API with two agencies and a client of the first.
type world struct {
	t      *testing.T
	db     *models.DB
	s      *billing.Service
	clock  *clock
	till   *till
	url    string
	routes []api.Route

	platform string // API keys
	key      string // of northwind
	other    string // of contoso
	agency   models.Agency
	second   models.Agency
	client   models.SubAccount // acme, prepaid

	exercised sync.Map // operations that succeeded
}

// newWorld serves a preset's catalogue with agencies on the named plan.
func newWorld(t *testing.T, db *models.DB, presetName, plan string, change ...func(*billing.Config)) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: &clock{}, till: newTill()}
	w.clock.at.Store(int64(start))
	l, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	c := billing.Config{DB: db, Ledger: l, Clock: w.clock, Payments: w.till, BaseURL: "http://portal.test"}
	for _, f := range change {
		f(&c)
	}
	w.s, err = billing.New(c)
	require.NoError(t, err)
	catalogue, err := preset.Load(presetName)
	require.NoError(t, err)
	ctx := t.Context()
	require.NoError(t, w.s.Import(ctx, catalogue, "test"))
	w.agency, err = w.s.CreateAgency(ctx, billing.AgencyInput{ExternalID: "northwind", Name: "Northwind", Plan: plan, By: "test"})
	require.NoError(t, err)
	w.second, err = w.s.CreateAgency(ctx, billing.AgencyInput{ExternalID: "contoso", Name: "Contoso", Plan: plan, By: "test"})
	require.NoError(t, err)
	w.client, err = w.s.CreateSubAccount(ctx, billing.Scope{}, billing.SubAccountInput{Agency: w.agency.ID, ExternalID: "acme", Name: "Acme", By: "test"})
	require.NoError(t, err)
	w.platform = w.newKey(billing.Scope{})
	w.key = w.newKey(billing.Scope{Agency: w.agency.ID})
	w.other = w.newKey(billing.Scope{Agency: w.second.ID})
	e := echo.New()
	e.IPExtractor = echo.ExtractIPDirect() // as the portal's, without a proxy that it trusts
	w.routes, err = api.Register(e, w.s, api.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	require.NoError(t, err)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *world) newKey(scope billing.Scope) string {
	w.t.Helper()
	text, _, err := w.s.CreateAPIKey(w.t.Context(), scope, "test", "test")
	require.NoError(w.t, err)
	return text
}

// makeKey makes a key of Northwind's that may do less.
func (w *world) makeKey(in billing.APIKeyInput) (string, models.APIKeyID) {
	w.t.Helper()
	in.Owner, in.Name, in.By = billing.Scope{Agency: w.agency.ID}, "test", "test"
	text, row, err := w.s.MakeAPIKey(w.t.Context(), in)
	require.NoError(w.t, err)
	return text, row.ID
}

// give adds bonus credits to a wallet.
func (w *world) give(wallet models.WalletID, n int64) {
	w.t.Helper()
	_, err := w.s.Adjust(w.t.Context(), billing.AdjustInput{
		Agency: w.agency.ID, Wallet: wallet, Credits: credits(n), Reason: "test", Key: "give-" + wallet.String() + time.Duration(w.clock.at.Load()).String(), By: "test",
	})
	require.NoError(w.t, err)
}

func credits(n int64) models.Credits { return models.Credits(n) * models.Credit }

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

// text reads a member by its path, such as "balance.available" or "data.0.id".
func (r *reply) text(path string) string {
	switch v := r.at(path).(type) {
	case string:
		return v
	case nil:
		return ""
	default:
		b, _ := json.Marshal(v)
		return string(b)
	}
}

func (r *reply) at(path string) any {
	var here any = r.json
	for name := range strings.SplitSeq(path, ".") {
		switch v := here.(type) {
		case map[string]any:
			here = v[name]
		case []any:
			i := 0
			for _, c := range name {
				i = i*10 + int(c-'0')
			}
			if i >= len(v) {
				return nil
			}
			here = v[i]
		default:
			return nil
		}
	}
	return here
}

// send makes one request; body "" sends none.
func (w *world) send(apiKey, method, path, idempotencyKey, body string, header ...string) *reply {
	w.t.Helper()
	r, err := w.try(apiKey, method, path, idempotencyKey, body, header...)
	require.NoError(w.t, err)
	return r
}

// try is send for goroutines.
func (w *world) try(apiKey, method, path, idempotencyKey, body string, header ...string) (*reply, error) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(w.t.Context()), method, w.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if apiKey != "" {
		req.Header.Set("Authorization", "Bearer "+apiKey)
	}
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	if method == http.MethodPost || method == http.MethodPatch || method == http.MethodPut {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	operation, err := check(req, res, b)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %d %s\n%w", method, path, res.StatusCode, b, err)
	}
	if operation != "" && res.StatusCode < 300 {
		w.exercised.Store(operation, true)
	}
	out := &reply{status: res.StatusCode, header: res.Header, body: string(b)}
	_ = json.NewDecoder(bytes.NewReader(b)).Decode(&out.json)
	return out, nil
}

func (w *world) get(apiKey, path string) *reply { return w.send(apiKey, http.MethodGet, path, "", "") }

func (w *world) post(apiKey, path, idempotencyKey, body string) *reply {
	return w.send(apiKey, http.MethodPost, path, idempotencyKey, body)
}

// ok demands a status and tells what came instead.
func (r *reply) ok(t *testing.T, status int) *reply {
	t.Helper()
	require.Equal(t, status, r.status, r.body)
	return r
}

// refused demands a problem document.
func (r *reply) refused(t *testing.T, status int, code, field string) *reply {
	t.Helper()
	require.Equal(t, status, r.status, r.body)
	require.Equal(t, "application/problem+json", r.header.Get("Content-Type"), r.body)
	require.Equal(t, code, r.text("code"), r.body)
	require.Equal(t, field, r.text("field"), r.body)
	require.NotEmpty(t, r.text("detail"))
	require.Equal(t, r.header.Get("X-Request-Id"), r.text("request_id"))
	require.NotEmpty(t, r.text("request_id"))
	return r
}

func each(t *testing.T, presetName, plan string, f func(*testing.T, *world)) {
	t.Helper()
	modelstest.Each(t, func(t *testing.T, db *models.DB) { f(t, newWorld(t, db, presetName, plan)) })
}
