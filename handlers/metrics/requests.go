package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requests is how the doors do. Addresses never become labels, only the routes
// they belong to: a stranger who tries addresses must not make series.
type requests struct {
	flying prometheus.Gauge
	took   *prometheus.HistogramVec
}

func newRequests() *requests {
	return &requests{
		flying: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "refill_http_requests_in_flight", Help: "Requests that are being answered.",
		}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "refill_http_request_duration_seconds",
			Help:    "How long requests took, by route, method and class of status. The route none stands for addresses that belong to no route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method", "class"}),
	}
}

// Describe tells of the metrics.
func (r *requests) Describe(out chan<- *prometheus.Desc) {
	r.flying.Describe(out)
	r.took.Describe(out)
}

// Collect gives their values.
func (r *requests) Collect(out chan<- prometheus.Metric) {
	r.flying.Collect(out)
	r.took.Collect(out)
}

// RequestBegun is told of a request that came.
func (m *Metrics) RequestBegun() {
	if m != nil {
		m.requests.flying.Inc()
	}
}

// RequestEnded is told of a request that was answered; route is as in the table
// of routes, "" for an address that belongs to none.
func (m *Metrics) RequestEnded(route, method string, status int, took time.Duration) {
	if m == nil {
		return
	}
	m.requests.flying.Dec()
	if route == "" {
		route = "none"
	}
	m.requests.took.WithLabelValues(route, known(method), class(status)).Observe(took.Seconds())
}

// known is a method as a label: a stranger may name any.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func class(status int) string {
	switch status / 100 {
	case 1:
		return "1xx"
	case 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	}
	return "5xx"
}
