package metrics

import (
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"refill/models"
)

// Metrics is everything an operator can see. A nil one sees nothing, at no cost.
type Metrics struct {
	registry *prometheus.Registry
	charger  *charger
	requests *requests
	due      *due
}

// New makes metrics that nobody has told anything yet.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), charger: newCharger(), requests: newRequests(), due: newDue()}
	m.registry.MustRegister(m.charger, m.requests, m.due,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	return m
}

// buildInfo says which program runs.
func buildInfo() prometheus.Collector {
	version, revision := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "refill_build_info", Help: "Always 1; the labels say which program runs.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "go_version": runtime.Version()},
	}, func() float64 { return 1 })
}

// scrapesAtOnce bounds what several scrapers may ask of the database.
const scrapesAtOnce = 2

// Handler answers GET /metrics, and nothing else. It belongs on an address that
// only the operator reaches.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce,
	}))
	return mux
}

// due is how the work that the clock asks for does.
type due struct {
	last     prometheus.Gauge
	took     prometheus.Histogram
	failures prometheus.Counter
}

func newDue() *due {
	return &due{
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "refill_due_work_last_completed_timestamp_seconds",
			Help: "When everything due by the clock was last done without an error: renewals, expiries, open purchases, usage totals. It is done every second; 0 until the first time.",
		}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "refill_due_work_duration_seconds", Help: "How long one round of the work due by the clock took.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "refill_due_work_failures_total", Help: "Rounds of the work due by the clock in which something failed; the log says what, and the next round tries again.",
		}),
	}
}

// Describe tells of the metrics.
func (d *due) Describe(out chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(d, out)
}

// Collect gives their values.
func (d *due) Collect(out chan<- prometheus.Metric) {
	d.last.Collect(out)
	d.took.Collect(out)
	d.failures.Collect(out)
}

// DueWork tells of one round of the work due by the clock, which ended at an
// instant of wall time.
func (m *Metrics) DueWork(ended models.Time, took time.Duration, err error) {
	if m == nil {
		return
	}
	m.due.took.Observe(took.Seconds())
	if err != nil {
		m.due.failures.Inc()
		return
	}
	m.due.last.Set(float64(ended) / float64(time.Second.Microseconds()))
}
