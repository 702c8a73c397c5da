package billing

import (
	"context"
	"database/sql"
	"sync/atomic"
	"time"

	"refill/models"
)

// Backlog is what waits to be done beside the requests.
type Backlog struct {
	EventsPending int64         // Stripe's, stored and not dealt with yet
	EventsDead    int64         // given up: somebody has to look
	EventAge      time.Duration // of the oldest pending one, in domain time; 0: none is
	Quarantined   int64         // wallets out of service: somebody has to look
	MailsQueued   int64
	MailsDead     int64         // given up in the last seven days
	MailAge       time.Duration // of the oldest queued one, in domain time; 0: none is
}

// Backlog tells what waits, for the operator. Reading it costs as much as there
// is waiting, whatever was done before.
func (s *Service) Backlog(ctx context.Context) (Backlog, error) {
	var out Backlog
	// The states stand in the statements themselves, so that both databases look
	// into the partial indexes of these few rows.
	for _, q := range []struct {
		sql   string
		count *int64
		age   *time.Duration
		args  []any
	}{
		{"SELECT COUNT(*), MIN(received_at) FROM stripe_events WHERE state = 'pending'", &out.EventsPending, &out.EventAge, nil},
		{"SELECT COUNT(*), NULL FROM stripe_events WHERE state = 'dead'", &out.EventsDead, nil, nil},
		{"SELECT COUNT(*), NULL FROM wallets WHERE quarantined_at > 0", &out.Quarantined, nil, nil},
		{"SELECT COUNT(*), MIN(created_at) FROM mails WHERE state = 'queued'", &out.MailsQueued, &out.MailAge, nil},
		{
			"SELECT COUNT(*), NULL FROM mails WHERE state <> 'queued' AND ended_at > ? AND state = 'dead'",
			&out.MailsDead, nil,
			[]any{s.people.wall.Now().Add(-mailRecent)},
		},
	} {
		var first sql.NullInt64
		if err := s.db.Read.WithContext(ctx).Raw(q.sql, q.args...).Row().Scan(q.count, &first); err != nil {
			return out, err
		}
		if first.Valid {
			*q.age = max(s.clock.Now().Sub(models.Time(first.Int64)), 0)
		}
	}
	return out, nil
}

// EventCounts is how many of Stripe's events this process has dealt with since
// it started.
type EventCounts struct{ Processed, Ignored, Dead int64 }

// EventCounts tells what became of Stripe's events, for the operator.
func (s *Service) EventCounts() EventCounts {
	d := s.purchases
	return EventCounts{Processed: d.processed.Load(), Ignored: d.ignored.Load(), Dead: d.dead.Load()}
}

// eventCounters count what EventCounts tells.
type eventCounters struct{ processed, ignored, dead atomic.Int64 }

func (c *eventCounters) count(state models.StripeEventState) {
	switch state {
	case models.EventProcessed:
		c.processed.Add(1)
	case models.EventIgnored:
		c.ignored.Add(1)
	case models.EventDead:
		c.dead.Add(1)
	case models.EventPending: // not dealt with yet
	}
}
