package billing

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/models"
)

// How often wallets that were booked are checked in passing, in wall time, and how
// many in one go; and how much of what was checked before is read once more.
const (
	patrolEvery  = time.Minute
	patrolBatch  = 500
	againWallets = 200
	againEntries = 20_000
)

// patrolDue checks what was booked since the last round, and a little of what was
// checked before, once a minute. A wallet that does not add up is taken out of
// service, alone, and the admins are told; nothing is ever corrected by itself. It
// comes after everything else that is due, and notes that it was reached.
func (s *Service) patrolDue(ctx context.Context, now models.Time) error {
	wall := int64(s.people.wall.Now())
	if last := s.patrolled.Load(); last > 0 && wall-last < patrolEvery.Microseconds() || !s.patrolled.CompareAndSwap(last, max(wall, 1)) {
		return nil
	}
	for next := true; next; {
		var suspects []ledger.Suspect
		var err error
		if suspects, next, err = s.ledger.Patrol(ctx, now, patrolBatch); err != nil {
			return err
		}
		if err := errors.Join(s.quarantineAll(ctx, suspects, now), ctx.Err()); err != nil {
			return err // what is still in service is found again with the next round
		}
	}
	suspects, err := s.ledger.PatrolAgain(ctx, now, againWallets, againEntries)
	if err := errors.Join(err, s.quarantineAll(ctx, suspects, now)); err != nil {
		return err
	}
	return s.SetSetting(ctx, models.SettingWorked, strconv.FormatInt(int64(now), 10))
}

// quarantineAll takes wallets out of service, each by itself: one that cannot be
// holds up no other.
func (s *Service) quarantineAll(ctx context.Context, suspects []ledger.Suspect, now models.Time) error {
	var errs []error
	for i := range suspects {
		errs = append(errs, s.quarantine(ctx, &suspects[i], now))
	}
	return errors.Join(errs...)
}

func (s *Service) quarantine(ctx context.Context, q *ledger.Suspect, now models.Time) error {
	s.log.LogAttrs(ctx, slog.LevelError, "a wallet does not add up and is out of service",
		slog.String("agency", q.Agency.String()), slog.String("wallet", q.Wallet.String()), slog.String("why", q.Broken))
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		fresh, err := s.ledger.Quarantine(ctx, tx, q.Agency, q.Wallet, now)
		if err != nil || !fresh {
			return err
		}
		if err := s.audit(tx, q.Agency, ActorClock, "wallet.quarantine", q.Wallet.String(), "", q.Broken, now); err != nil {
			return err
		}
		return s.mailAdmins(tx, s.letterhead().doubtful(q.Wallet, q.Broken), now)
	})
}

// ReadmitWallet puts a wallet that adds up again back into service. Errors:
// not_found, wallet_broken with why.
func (s *Service) ReadmitWallet(ctx context.Context, wallet models.WalletID, by Actor, reason string) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		var place models.WalletPlace
		if err := tx.Where("wallet_id = ?", wallet).Take(&place).Error; err != nil {
			return missing(err, "wallet")
		}
		if err := s.ledger.Readmit(ctx, tx, place.AgencyID, wallet, now); err != nil {
			return err
		}
		return s.audit(tx, place.AgencyID, by, "wallet.readmit", wallet.String(), "", reason, now)
	})
}
