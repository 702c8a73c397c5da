package billing

import (
	"context"
	"log/slog"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// watcher hears of a wallet whose credits left its window, or of which something
// else has changed that it asked to hear of by Ledger.Stir. It works in the
// transaction that locks the wallet: it writes what follows, books nothing and
// calls nobody over the network. It answers with the window within which it does
// not care.
type watcher func(ctx context.Context, tx *gorm.DB, v *ledger.View, now models.Time) (ledger.Window, error)

// watchers are all that watch wallets, in the order they are asked.
func (s *Service) watchers() []watcher {
	return []watcher{s.watchTopUp, s.watchAlarms}
}

// WorkWatches looks at wallets as charges stir them, until ctx ends. The tick
// finds what it missed.
func (s *Service) WorkWatches(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ledger.Stirs():
			if err := problem.Contain(func() error { return s.watchDue(ctx, s.clock.Now()) }); err != nil && ctx.Err() == nil {
				s.log.LogAttrs(ctx, slog.LevelError, "look at stirred wallets", slog.Any("error", err))
			}
		}
	}
}

// watchDue looks at every wallet that stirred: once, however many processes do.
func (s *Service) watchDue(ctx context.Context, now models.Time) error {
	return s.untilDone(ctx, "look at stirred wallets", func() (int, error) {
		stirred, err := s.ledger.Stirred(ctx, dueBatch)
		failed := 0
		for i := range stirred {
			if err := s.watchOne(ctx, &stirred[i], now); err != nil {
				if ctx.Err() != nil {
					return 0, err
				}
				s.log.LogAttrs(ctx, slog.LevelError, "look at a wallet", slog.String("wallet", stirred[i].WalletID.String()), slog.Any("error", err))
				failed++
			}
		}
		if failed > 0 { // they are tried again with the next tick
			return 0, err
		}
		return len(stirred), err
	})
}

// watchOne asks every watcher about a wallet. One that fails goes behind the
// others that wait.
func (s *Service) watchOne(ctx context.Context, at *models.Stirred, now models.Time) error {
	err := problem.Contain(func() error {
		return s.db.InTx(ctx, func(tx *gorm.DB) error {
			return s.ledger.Reconsider(ctx, tx, at.AgencyID, at.WalletID, now, func(v ledger.View, now models.Time) (ledger.Window, error) {
				w := ledger.AnyLeft()
				for _, watch := range s.watchers() {
					asked, err := watch(ctx, tx, &v, now)
					if err != nil {
						return w, err
					}
					w = w.And(asked)
				}
				return w, nil
			})
		})
	})
	if err == nil {
		return nil
	}
	_ = s.db.InTx(ctx, func(tx *gorm.DB) error {
		return tx.Model(&models.Stirred{}).Where("agency_id = ? AND wallet_id = ?", at.AgencyID, at.WalletID).Update("at", max(now, at.At+1)).Error
	})
	return err
}
