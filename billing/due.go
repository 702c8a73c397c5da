package billing

import (
	"context"
	"errors"
	"fmt"

	"refill/models"
)

// dueBatch bounds one round of each kind of due work.
const dueBatch = 500

// RunDue does everything that is due by the clock: books expiries, renews
// allowances, ends holds, checks open purchases, works the payment inbox, rolls
// usage up, looks at wallets that left their watch. The ticking job and the
// demo's clock call it alike; running it again or in two processes changes
// nothing. Each kind is tried even when another fails.
func (s *Service) RunDue(ctx context.Context, now models.Time) error {
	s.hooks.ring()
	s.lookups.ring()
	s.post.wake() // mails go out beside the clock's work: a slow mail server delays nothing
	return errors.Join(
		s.renewDue(ctx, now), // books the expiry of allowances with what follows them
		s.untilDone(ctx, "expire lots", func() (int, error) { return s.ledger.ExpireLots(ctx, now, dueBatch) }),
		s.untilDone(ctx, "expire holds", func() (int, error) { return s.ledger.ExpireHolds(ctx, now, dueBatch) }),
		s.standingDue(ctx, now), // after the allowances that may pay for it
		s.purchasesDue(ctx, now),
		s.plansDue(ctx, now),
		s.planClaimsDue(ctx, now),
		s.referralsDue(ctx, now),
		s.rollUsage(ctx, now),
		s.rollPlatform(ctx, now),
		s.refreshThresholds(ctx, now),
		s.alarmsDue(ctx, now),
		s.expiringDue(ctx, now),
		s.watchDue(ctx, now), // after what the clock has booked
		s.watchDue(ctx, now), // and at whom that has stirred: the clients of a pool
		s.topUpsDue(ctx, now),
		s.tellDue(ctx, now),
		s.sweepNotices(ctx, now),
		s.sweepSignInsDue(ctx),
		s.keysUsed(ctx),
		s.sealAudit(ctx),
		s.patrolDue(ctx, now), // last: what was just booked is looked at too
	)
}

// untilDone repeats a round until it finds less than a full batch.
func (s *Service) untilDone(ctx context.Context, what string, round func() (int, error)) error {
	for {
		n, err := round()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if n < dueBatch || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
