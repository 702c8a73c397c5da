package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"refill/billing/ledger"
)

// charger is what the charger's batches tell. Everything but the wait is in
// counters that were looked up once; the wait arrives counted already, so that a
// charge costs one addition in the batch's own memory.
type charger struct {
	commands *prometheus.CounterVec
	done     [ledger.CommandKinds]prometheus.Counter
	replayed [ledger.CommandKinds]prometheus.Counter
	size     prometheus.Histogram
	took     prometheus.Histogram
	waits    waits
}

// commandName is a kind of command as operators read it.
func commandName(k ledger.CommandKind) string {
	switch k {
	case ledger.CommandCharge:
		return "charge"
	case ledger.CommandHold:
		return "hold"
	case ledger.CommandCapture:
		return "capture"
	case ledger.CommandRelease:
		return "release"
	case ledger.CommandKinds:
	}
	return "unknown"
}

func newCharger() *charger {
	c := &charger{
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "refill_commands_total",
			Help: "Charges, holds, captures and releases that the charger answered, by what became of them: booked, replayed (the same key was answered before) or refused, with the code of the refusal.",
		}, []string{"command", "result", "code"}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "refill_batch_commands", Help: "How many commands one transaction of the charger answered.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000},
		}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "refill_batch_duration_seconds", Help: "How long one transaction of the charger was in the database, from asking for a connection to its commit.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2, 16),
		}),
		waits: newWaits(),
	}
	for k := range ledger.CommandKinds {
		c.done[k] = c.commands.WithLabelValues(commandName(k), "booked", "")
		c.replayed[k] = c.commands.WithLabelValues(commandName(k), "replayed", "")
		for _, code := range []string{"overloaded", "database_unavailable"} {
			c.commands.WithLabelValues(commandName(k), "refused", code) // a rate does not see a series begin, and these wake somebody
		}
	}
	return c
}

// Batch is told by the charger what it did.
func (m *Metrics) Batch(b ledger.BatchStats) {
	c := m.charger
	for k, n := range b.Answers {
		if n.Done > 0 {
			c.done[k].Add(float64(n.Done))
		}
		if n.Replayed > 0 {
			c.replayed[k].Add(float64(n.Replayed))
		}
	}
	for _, r := range b.Refused {
		c.commands.WithLabelValues(commandName(r.Kind), "refused", r.Code).Add(float64(r.Count))
	}
	if b.Took == 0 { // no transaction answered them
		return
	}
	c.size.Observe(float64(b.Size()))
	c.took.Observe(b.Took.Seconds())
	c.waits.add(&b)
}

// Describe tells of the metrics.
func (c *charger) Describe(out chan<- *prometheus.Desc) {
	c.commands.Describe(out)
	c.size.Describe(out)
	c.took.Describe(out)
	out <- c.waits.desc
}

// Collect gives their values.
func (c *charger) Collect(out chan<- prometheus.Metric) {
	c.commands.Collect(out)
	c.size.Collect(out)
	c.took.Collect(out)
	out <- c.waits.metric()
}

// waits is a histogram that takes a batch's waits at once.
type waits struct {
	desc  *prometheus.Desc
	steps [ledger.WaitSteps]atomic.Uint64
	total atomic.Int64 // nanoseconds
}

func newWaits() waits {
	return waits{desc: prometheus.NewDesc("refill_batch_wait_seconds",
		"How long a command waited before the batch that answered it began: in a queue, or for a wallet that another transaction held.", nil, nil)}
}

func (w *waits) add(b *ledger.BatchStats) {
	for i, n := range b.Waits {
		if n > 0 {
			w.steps[i].Add(uint64(n))
		}
	}
	w.total.Add(int64(b.Waited))
}

func (w *waits) metric() prometheus.Metric {
	buckets := make(map[float64]uint64, ledger.WaitSteps-1)
	var n uint64
	for i := range ledger.WaitSteps - 1 {
		n += w.steps[i].Load()
		buckets[ledger.WaitStep(i).Seconds()] = n
	}
	n += w.steps[ledger.WaitSteps-1].Load()
	return prometheus.MustNewConstHistogram(w.desc, n, time.Duration(w.total.Load()).Seconds(), buckets)
}
