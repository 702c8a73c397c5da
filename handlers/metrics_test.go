package handlers_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/ledger"
	"refill/handlers"
	"refill/handlers/api"
	"refill/handlers/metrics"
	"refill/models"
	"refill/models/modelstest"
)

// watched is a portal with its API that an operator watches through an address
// of its own.
type watched struct {
	*portal
	metrics *metrics.Metrics
	private *httptest.Server
	key     string // the platform's
}

func newWatched(t *testing.T, db *models.DB) *watched {
	t.Helper()
	w := &watched{portal: &portal{preset: "stammer"}, metrics: metrics.New()}
	w.charger = ledger.Options{Observer: w.metrics}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	w.start(t, db, func(c *handlers.Config) {
		c.Metrics = w.metrics
		c.API = func(e *echo.Echo) error {
			_, err := api.Register(e, w.billing, api.Options{Log: log, BaseURL: home})
			return err
		}
	})
	require.NoError(t, w.metrics.Watch(t.Context(), metrics.Sources{DB: db, Ledger: w.ledger, Billing: w.billing, Log: log}))
	w.private = httptest.NewServer(w.metrics.Handler(log))
	t.Cleanup(w.private.Close)
	var err error
	w.key, _, err = w.billing.CreateAPIKey(t.Context(), billing.Scope{}, "test", "test")
	require.NoError(t, err)
	return w
}

// scrape is what Prometheus would read at one moment.
type scrape struct {
	t        *testing.T
	text     string
	families map[string]*dto.MetricFamily
}

func (w *watched) scrape() scrape {
	w.t.Helper()
	res := w.ask(http.MethodGet, w.private.URL+"/metrics")
	require.Equal(w.t, http.StatusOK, res.StatusCode, res.body)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(res.body))
	require.NoError(w.t, err)
	return scrape{w.t, res.body, families}
}

// ask sends a request to an address as it is.
func (w *watched) ask(method, address string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, address, http.NoBody)
	require.NoError(w.t, err)
	return (&browser{p: w.portal, http: http.DefaultClient}).do(req)
}

// find is the series of a family with these labels, as name=value; nil when
// there is none.
func (s scrape) find(family string, labels ...string) *dto.Metric {
	f := s.families[family]
	require.NotNil(s.t, f, "no %s in %s", family, s.text)
series:
	for _, m := range f.GetMetric() {
		have := map[string]bool{}
		for _, l := range m.GetLabel() {
			have[l.GetName()+"="+l.GetValue()] = true
		}
		for _, l := range labels {
			if !have[l] {
				continue series
			}
		}
		return m
	}
	return nil
}

// value is what a gauge or counter says; 0 when there is no such series.
func (s scrape) value(family string, labels ...string) float64 {
	m := s.find(family, labels...)
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

// count is how often something was observed.
func (s scrape) count(family string, labels ...string) int {
	return int(s.find(family, labels...).GetHistogram().GetSampleCount())
}

// call sends JSON to the API.
func (w *watched) call(method, path, key, body string) answer {
	w.t.Helper()
	b := w.visitor(home)
	req := b.request(method, path, nil)
	if body != "" {
		var err error
		req, err = http.NewRequestWithContext(w.t.Context(), method, home+path, strings.NewReader(body))
		require.NoError(w.t, err)
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+w.key)
	req.Header.Set("Idempotency-Key", key)
	return b.do(req)
}

func (w *watched) give(n int64) {
	w.t.Helper()
	_, err := w.billing.Adjust(w.t.Context(), billing.AdjustInput{
		Agency: w.northwind.ID, Wallet: w.northwind.WalletID, Credits: models.Credits(n) * models.Credit, Reason: "test", Key: fmt.Sprint("give-", n), By: "test",
	})
	require.NoError(w.t, err)
}

const charge = `{"wallet": "agency:northwind", "action": "ai.reply", "model": "gpt-4"}`

func TestEveryChargeIsCountedOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWatched(t, db)
		w.give(1000)
		before := w.scrape()
		require.Zero(t, before.value("refill_commands_total", "command=charge", "result=booked"))
		require.NotNil(t, before.find("refill_commands_total", "command=charge", "result=refused", "code=overloaded"), "its first rise must be seen")
		for i := range 3 {
			require.Equal(t, http.StatusCreated, w.call("POST", "/v1/charges", fmt.Sprint("k", i), charge).StatusCode)
		}
		require.Equal(t, http.StatusOK, w.call("POST", "/v1/charges", "k0", charge).StatusCode)
		require.Equal(t, http.StatusConflict, w.call("POST", "/v1/charges", "k0", strings.Replace(charge, "gpt-4", "gpt-3.5-turbo", 1)).StatusCode)
		poor := strings.Replace(charge, "agency:northwind", "sub:northwind/acme", 1)
		require.Equal(t, http.StatusPaymentRequired, w.call("POST", "/v1/charges", "short", poor).StatusCode)
		many := `{"charges": [` + strings.Join([]string{charge, charge, charge, poor, charge}, ",") + `]}`
		require.Equal(t, http.StatusOK, w.call("POST", "/v1/charges/batch", "many", many).StatusCode)
		held := w.call("POST", "/v1/holds", "h", charge)
		require.Equal(t, http.StatusCreated, held.StatusCode, held.body)

		s := w.scrape()
		for _, want := range []struct {
			labels []string
			n      float64
		}{
			{[]string{"command=charge", "result=booked"}, 7},
			{[]string{"command=charge", "result=replayed"}, 1},
			{[]string{"command=charge", "result=refused", "code=idempotency_key_reused"}, 1},
			{[]string{"command=charge", "result=refused", "code=insufficient_credits"}, 2},
			{[]string{"command=hold", "result=booked"}, 1},
			{[]string{"command=capture", "result=booked"}, 0},
		} {
			require.InDelta(t, want.n, s.value("refill_commands_total", want.labels...), 0, "%v", want.labels)
		}
		require.InDelta(t, 12, s.find("refill_batch_commands").GetHistogram().GetSampleSum(), 0, "all commands are in some batch")
		require.Equal(t, s.count("refill_batch_commands"), s.count("refill_batch_duration_seconds"))
		require.Positive(t, s.find("refill_batch_duration_seconds").GetHistogram().GetSampleSum())
		require.Equal(t, 12, s.count("refill_batch_wait_seconds"))
		require.Zero(t, s.value("refill_queue_commands"))
		require.Positive(t, s.value("refill_queue_limit_commands"))
		require.Zero(t, s.value("refill_held_up_wallets"))

		require.Equal(t, 4, s.count("refill_http_request_duration_seconds", "route=/v1/charges", "method=POST", "class=2xx"))
		require.Equal(t, 2, s.count("refill_http_request_duration_seconds", "route=/v1/charges", "method=POST", "class=4xx"))
		require.Equal(t, 1, s.count("refill_http_request_duration_seconds", "route=/v1/charges/batch", "method=POST", "class=2xx"))
		require.Zero(t, s.value("refill_http_requests_in_flight"))
	})
}

// A stranger who tries addresses and methods must not make series: they would
// fill the operator's store.
func TestStrangeAddressesMakeNoSeries(t *testing.T) {
	t.Parallel()
	w := newWatched(t, modelstest.OpenSQLite(t))
	b := w.visitor(home)
	stray := func(i int) {
		require.Equal(t, http.StatusNotFound, b.get(fmt.Sprintf("/nowhere/%d", i)).StatusCode)
		require.Equal(t, http.StatusNotFound, b.get(fmt.Sprintf("/n%d", i)).StatusCode)
		require.Equal(t, http.StatusUnauthorized, b.get(fmt.Sprintf("/v1/charges/%d", i)).StatusCode)
		require.Equal(t, http.StatusNotFound, b.get(fmt.Sprintf("/v1/nowhere-%d", i)).StatusCode)
		require.Equal(t, http.StatusNotFound, b.get(fmt.Sprintf("/static/%d.css", i)).StatusCode)
		require.Equal(t, http.StatusMethodNotAllowed, b.send(fmt.Sprint("BREW", i), "/sign-in", nil).StatusCode)
		require.Equal(t, http.StatusNotFound, b.send(fmt.Sprint("BREW", i), fmt.Sprintf("/n%d", i), nil).StatusCode)
		other := w.visitor(fmt.Sprintf("http://stranger-%d.test", i))
		require.Equal(t, http.StatusNotFound, other.get("/sign-in").StatusCode)
	}
	stray(0)
	before := w.scrape()
	for i := range 20 {
		stray(i + 1)
	}
	after := w.scrape()
	series := func(s scrape) int { return len(s.families["refill_http_request_duration_seconds"].GetMetric()) }
	require.Equal(t, series(before), series(after), "%s", after.text)
	require.NotContains(t, after.text, "nowhere")
	require.NotContains(t, after.text, "BREW")
}

func TestMetricsAreOnTheirOwnAddressOnly(t *testing.T) {
	t.Parallel()
	w := newWatched(t, modelstest.OpenSQLite(t))
	require.Equal(t, http.StatusNotFound, w.visitor(home).get("/metrics").StatusCode)
	require.Equal(t, http.StatusNotFound, w.as("admin").get("/metrics").StatusCode)
	require.Equal(t, http.StatusNotFound, w.call("GET", "/metrics", "", "").StatusCode)
	require.Equal(t, http.StatusNotFound, w.ask(http.MethodGet, w.private.URL+"/").StatusCode)
	require.Equal(t, http.StatusNotFound, w.ask(http.MethodGet, w.private.URL+"/sign-in").StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, w.ask(http.MethodPost, w.private.URL+"/metrics").StatusCode)
}

// What the linter of Prometheus knows about names, units and help texts.
func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWatched(t, db)
		require.Equal(t, http.StatusOK, w.visitor(home).get("/sign-in").StatusCode)
		w.metrics.DueWork(begin, time.Second, nil)
		s := w.scrape()
		problems, err := promlint.New(strings.NewReader(s.text)).Lint()
		require.NoError(t, err)
		require.Empty(t, problems)
		for name, family := range s.families {
			require.NotEmpty(t, family.GetHelp(), name)
		}
		require.Positive(t, s.value("process_resident_memory_bytes"))
		require.Positive(t, s.value("go_goroutines"))
		require.InDelta(t, 1, s.value("refill_build_info"), 0)
	})
}

// What waits is what the tables say, by the clock that they were written by.
func TestWhatWaitsIsShown(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWatched(t, db)
		quiet := w.scrape()
		for _, name := range []string{"refill_webhook_oldest_pending_seconds", "refill_mail_oldest_queued_seconds"} {
			require.Zero(t, quiet.value(name), name)
		}
		require.Zero(t, quiet.value("refill_webhook_events", "state=pending"))
		require.Zero(t, quiet.value("refill_mails", "state=queued"))
		require.InDelta(t, 1, quiet.value("refill_database_up"), 0)

		b := w.visitor(home)
		deliver := func(body string) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, home+"/webhooks/stripe", strings.NewReader(body))
			require.NoError(t, err)
			req.Header.Set("Stripe-Signature", "good")
			require.Equal(t, http.StatusOK, b.do(req).StatusCode)
		}
		deliver(`{"id": "evt_1", "type": "checkout.session.completed", "object_id": "cs_unknown"}`)
		deliver(`{"id": "evt_1", "type": "checkout.session.completed", "object_id": "cs_unknown"}`)
		deliver(`{"id": "evt_2", "type": "customer.created", "object_id": "cus_1"}`)
		mail := models.Mail{Kind: models.MailSignIn, Recipient: "ada@example.test", State: models.MailQueued, NextAt: begin, ExpiresAt: models.Never - 1, CreatedAt: begin}
		require.NoError(t, db.Write.Create(&mail).Error)
		w.clock.set(begin.Add(90 * time.Second))
		s := w.scrape()
		require.InDelta(t, 1, s.value("refill_webhook_events", "state=pending"), 0)
		require.InDelta(t, 90, s.value("refill_webhook_oldest_pending_seconds"), 0)
		require.InDelta(t, 1, s.value("refill_webhook_events_settled_total", "state=ignored"), 0)
		require.InDelta(t, 1, s.value("refill_mails", "state=queued"), 0)
		require.InDelta(t, 90, s.value("refill_mail_oldest_queued_seconds"), 0)

		// Nobody knows the purchase, so a day later the event is given up.
		w.clock.set(begin.Add(25 * time.Hour))
		require.NoError(t, w.billing.RunDue(t.Context(), w.clock.Now()))
		s = w.scrape()
		require.Zero(t, s.value("refill_webhook_events", "state=pending"))
		require.Zero(t, s.value("refill_webhook_oldest_pending_seconds"))
		require.InDelta(t, 1, s.value("refill_webhook_events", "state=dead"), 0)
		require.InDelta(t, 1, s.value("refill_webhook_events_settled_total", "state=dead"), 0)
		require.Zero(t, s.value("refill_webhook_events_settled_total", "state=processed"))

		pools := []string{"read", "write"}
		if db.Dialect == models.Postgres {
			pools = []string{"portal", "charges"}
		}
		for _, pool := range pools {
			require.Positive(t, s.value("refill_database_connections_limit", "pool="+pool), pool)
			require.NotNil(t, s.find("refill_database_connections", "pool="+pool, "state=in_use"), pool)
		}
		require.Len(t, s.families["refill_database_connections_limit"].GetMetric(), len(pools))
	})
}

// An operator needs the metrics most when the database is gone.
func TestMetricsAnswerWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWatched(t, modelstest.OpenSQLite(t))
	require.NoError(t, w.db.ReadSQL().Close())
	s := w.scrape()
	require.Zero(t, s.value("refill_database_up"))
	require.NotContains(t, s.text, "refill_webhook_oldest_pending_seconds", "what is not known is not said")
	require.Positive(t, s.value("refill_queue_limit_commands"))
}

func TestDueWorkIsTimed(t *testing.T) {
	t.Parallel()
	w := newWatched(t, modelstest.OpenSQLite(t))
	require.Zero(t, w.scrape().value("refill_due_work_last_completed_timestamp_seconds"))
	w.metrics.DueWork(begin, 250*time.Millisecond, nil)
	w.metrics.DueWork(begin.Add(time.Minute), time.Second, errDown)
	s := w.scrape()
	require.InDelta(t, 1_772_445_600, s.value("refill_due_work_last_completed_timestamp_seconds"), 0, "a round that failed completed nothing")
	require.InDelta(t, 1, s.value("refill_due_work_failures_total"), 0)
	require.Equal(t, 2, s.count("refill_due_work_duration_seconds"))
	require.InDelta(t, 1.25, s.find("refill_due_work_duration_seconds").GetHistogram().GetSampleSum(), 1e-9)
}
