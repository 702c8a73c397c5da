package billing

import (
	"context"
	"errors"
	"fmt"

	"refill/billing/problem"
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
	var errs []error
	// One that falls over is rolled back and said; the next kind goes on, and so does
	// everybody who charges (docs/decisions/0031).
	for _, work := range []func(context.Context, models.Time) error{
		s.renewDue, // books the expiry of allowances with what follows them
		s.expireLotsDue,
		s.expireHoldsDue,
		s.standingDue, // after the allowances that may pay for it
		s.purchasesDue,
		s.plansDue,
		s.planClaimsDue,
		s.referralsDue,
		s.rollUsage,
		s.rollPlatform,
		s.refreshThresholds,
		s.alarmsDue,
		s.expiringDue,
		s.watchDue, // after what the clock has booked
		s.watchDue, // and at whom that has stirred: the clients of a pool
		s.topUpsDue,
		s.tellDue,
		s.sweepNotices,
		func(ctx context.Context, _ models.Time) error { return s.sweepSignInsDue(ctx) },
		func(ctx context.Context, _ models.Time) error { return s.keysUsed(ctx) },
		func(ctx context.Context, _ models.Time) error { return s.sealAudit(ctx) },
		s.patrolDue, // last: what was just booked is looked at too
	} {
		errs = append(errs, problem.Contain(func() error { return work(ctx, now) }))
	}
	return errors.Join(errs...)
}

func (s *Service) expireLotsDue(ctx context.Context, now models.Time) error {
	return s.untilDone(ctx, "expire lots", func() (int, error) { return s.ledger.ExpireLots(ctx, now, dueBatch) })
}

func (s *Service) expireHoldsDue(ctx context.Context, now models.Time) error {
	return s.untilDone(ctx, "expire holds", func() (int, error) { return s.ledger.ExpireHolds(ctx, now, dueBatch) })
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
