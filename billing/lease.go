package billing

import (
	"context"
	"log/slog"
	"time"

	"refill/billing/problem"
	"refill/models"
)

// What leaves the program waits in a table of its own: mails, and webhooks. A
// worker claims a row by moving its next attempt behind a lease, sends outside of
// any transaction and books what came of it. One that dies in between leaves the
// row to the next worker once the lease is over.

// sendLease is how long a row that is being sent counts as in good hands, in wall
// time.
const sendLease = 2 * time.Minute

// claim takes a queued row, which must still be as it was read: false when
// somebody else has it. row names the table; the keys name the row.
func (s *Service) claim(ctx context.Context, row any, seen models.Time, attempts int, keys string, args ...any) (bool, error) {
	got := s.db.Write.WithContext(ctx).Model(row).Where(keys, args...).Where("state = ? AND next_at = ?", "queued", seen).
		Updates(map[string]any{"next_at": s.people.wall.Now().Add(sendLease), "attempts": attempts + 1})
	return got.RowsAffected > 0, got.Error
}

// backOff doubles the soonest wait with each failure, up to the latest.
func backOff(failures int, soonest, latest time.Duration) time.Duration {
	return min(soonest<<min(failures, 20), latest)
}

// bell wakes a worker; ringing it again while it wakes changes nothing.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default: // it is awake already
	}
}

// answer does a round of work at every ring until ctx ends.
func (b bell) answer(ctx context.Context, log *slog.Logger, what string, round func(context.Context) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b:
			if err := problem.Contain(func() error { return round(ctx) }); err != nil && ctx.Err() == nil {
				log.LogAttrs(ctx, slog.LevelError, "work in the background", slog.String("what", what), slog.Any("error", err))
			}
		}
	}
}
