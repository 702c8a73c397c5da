package metrics

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"refill/billing"
	"refill/billing/ledger"
	"refill/models"
)

// Sources are asked at every scrape.
type Sources struct {
	DB      *models.DB
	Ledger  *ledger.Ledger
	Billing *billing.Service
	Log     *slog.Logger
}

// patience is how long a scrape waits for the database.
const patience = 2 * time.Second

// standing asks how things stand while it is scraped.
type standing struct {
	Sources
	ctx context.Context //nolint:containedctx // Prometheus hands none to a collector

	queued, capacity, wallets, aside     *prometheus.Desc
	events, eventAge, eventsDone         *prometheus.Desc
	mails, mailAge, quarantined          *prometheus.Desc
	conns, connLimit, connWaits, connSec *prometheus.Desc
	answers                              *prometheus.Desc
}

// Watch asks the sources at every scrape until ctx ends.
func (m *Metrics) Watch(ctx context.Context, s Sources) error {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("refill_"+name, help, labels, nil)
	}
	return m.registry.Register(&standing{
		Sources: s, ctx: ctx,
		queued:   desc("queue_commands", "Charges, holds, captures and releases that wait for their batch."),
		capacity: desc("queue_limit_commands", "How many may wait for their batch; a command beyond it is refused as overloaded."),
		wallets:  desc("held_up_wallets", "Wallets that commands wait for because another transaction holds them."),
		aside:    desc("held_up_commands", "Commands that wait for a wallet that another transaction holds."),

		events:      desc("webhook_events", "Stripe's events in the inbox: pending ones are still to be dealt with, dead ones were given up and need a person.", "state"),
		eventAge:    desc("webhook_oldest_pending_seconds", "Age of the oldest event of Stripe's that is still to be dealt with; 0 when none is."),
		eventsDone:  desc("webhook_events_settled_total", "Stripe's events that this process dealt with, by what became of them.", "state"),
		quarantined: desc("quarantined_wallets", "Wallets that are not charged because their books do not add up."),
		mails:       desc("mails", "Mails in the outbox: queued ones are still to be sent, dead ones were given up in the last seven days.", "state"),
		mailAge:     desc("mail_oldest_queued_seconds", "Age of the oldest mail that is still to be sent; 0 when none is."),

		conns:     desc("database_connections", "Open connections to the database, by pool; charges have a pool of their own on PostgreSQL.", "pool", "state"),
		connLimit: desc("database_connections_limit", "How many connections a pool may open.", "pool"),
		connWaits: desc("database_connection_waits_total", "How often somebody had to wait for a connection because all were in use.", "pool"),
		connSec:   desc("database_connection_wait_seconds_total", "How long all of them together waited for a connection.", "pool"),
		answers:   desc("database_up", "1 when the database answered this scrape in time, else 0; what it was asked for is left out then."),
	})
}

// Describe tells of the metrics.
func (s *standing) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		s.queued, s.capacity, s.wallets, s.aside, s.events, s.eventAge, s.eventsDone, s.mails, s.mailAge, s.quarantined,
		s.conns, s.connLimit, s.connWaits, s.connSec, s.answers,
	} {
		out <- d
	}
}

// Collect asks for their values.
func (s *standing) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	load := s.Ledger.Load()
	gauge(s.queued, float64(load.Queued))
	gauge(s.capacity, float64(load.Capacity))
	gauge(s.wallets, float64(load.Wallets))
	gauge(s.aside, float64(load.Aside))
	for _, p := range append(s.DB.Pools(), s.Ledger.Pools()...) {
		gauge(s.conns, float64(p.InUse), p.Name, "in_use")
		gauge(s.conns, float64(p.Idle), p.Name, "idle")
		gauge(s.connLimit, float64(p.Most), p.Name)
		counter(s.connWaits, float64(p.Waits), p.Name)
		counter(s.connSec, p.Waited.Seconds(), p.Name)
	}
	done := s.Billing.EventCounts()
	counter(s.eventsDone, float64(done.Processed), string(models.EventProcessed))
	counter(s.eventsDone, float64(done.Ignored), string(models.EventIgnored))
	counter(s.eventsDone, float64(done.Dead), string(models.EventDead))

	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	b, err := s.Billing.Backlog(ctx)
	if err != nil {
		s.Log.LogAttrs(ctx, slog.LevelWarn, "the database did not answer a scrape", slog.Any("error", err))
		gauge(s.answers, 0)
		return
	}
	gauge(s.answers, 1)
	gauge(s.events, float64(b.EventsPending), string(models.EventPending))
	gauge(s.events, float64(b.EventsDead), string(models.EventDead))
	gauge(s.eventAge, b.EventAge.Seconds())
	gauge(s.quarantined, float64(b.Quarantined))
	gauge(s.mails, float64(b.MailsQueued), string(models.MailQueued))
	gauge(s.mails, float64(b.MailsDead), string(models.MailDead))
	gauge(s.mailAge, b.MailAge.Seconds())
}
