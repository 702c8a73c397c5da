package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/models"
)

// AuditIn audits one agency and what all share inside a transaction, so that a
// test can corrupt it and roll back.
func AuditIn(tx *gorm.DB, agency models.AgencyID, now models.Time) (Report, error) {
	r := Report{Checks: slices.Clone(invariants)}
	err := errors.Join(r.audit(tx, agency, now), r.auditShared(tx, now))
	return r, err
}

// MergeLockAndRead is a deliberate defect: wallets are locked and their lots
// read in one statement, which sees the lots as they were before it waited, and
// nothing looks at the wallets' versions.
func (l *Ledger) MergeLockAndRead() {
	l.DropTheGuard()
	lots := l.tables.newLots.all
	merged := l.tables.lock
	merged.pg = fmt.Sprintf(`SELECT %s, %s FROM (SELECT %s) AS k
		JOIN wallets w ON w.agency_id = k.agency_id AND w.id = k.id
		JOIN lot_rows l ON l.agency_id = w.agency_id AND l.wallet_id = w.id AND l.open
		ORDER BY w.agency_id, w.id FOR NO KEY UPDATE OF w`, lots.names("l."), l.tables.wallet.names("w."), merged.keys.unnested())
	l.lockAndRead = func(d models.Dialect, b *book, keys []walletKey, skip bool) []statement {
		search := merged
		if skip {
			search.pg += " SKIP LOCKED"
		}
		return search.find(d, keys, func(r record) error {
			a, l := &account{}, &models.Lot{}
			if err := lots.read(r, l); err != nil {
				return err
			}
			if err := b.tables.wallet.read(record{wire: r.wire[len(lots):]}, &a.Wallet); err != nil {
				return err
			}
			if b.accounts[a.ID] == nil {
				b.accounts[a.ID] = a
			}
			b.lots[l.ID] = l
			b.accounts[a.ID].own(l)
			return nil
		})
	}
}

// DropTheGuard is a deliberate defect: wallets are written whatever they have
// become since they were read.
func (l *Ledger) DropTheGuard() {
	l.tables.wallets.updates.each(func(update string) string {
		update, _, _ = strings.Cut(strings.TrimPrefix(update, "WITH done AS ("), " AND t.version")
		return update
	})
}

// Poison is a deliberate defect: whoever decides over a wallet, or looks at it, falls
// over.
func (l *Ledger) Poison(wallet models.WalletID) {
	read := l.lockAndRead
	l.lockAndRead = func(d models.Dialect, b *book, keys []walletKey, skip bool) []statement {
		all := read(d, b, keys, skip)
		for i := range all {
			scan := all[i].scan
			all[i].scan = func(r record) error {
				err := scan(r)
				if a := b.accounts[wallet]; a != nil && !slices.Contains(a.lots, nil) {
					a.lots = append(a.lots, nil)
				}
				return err
			}
		}
		return all
	}
}

// Disconnect takes the charger's database away.
func (l *Ledger) Disconnect() { l.pool.Close() }

// WaitUnserved waits for a command that no lane will ever take.
func (l *Ledger) WaitUnserved(ctx context.Context) error {
	return l.wait(ctx, &command{done: make(chan struct{})})
}

// Watched is what watching costs a batch of n charges: the instant when each was
// asked for, and the telling.
func Watched(o Observer, n int) (batch func()) {
	w := watch{o, time.Now()}
	commands := make([]*command, n)
	for i := range commands {
		commands[i] = &command{charge: &ChargeRequest{}}
	}
	return func() {
		for _, c := range commands {
			c.asked = w.now()
		}
		w.batch(w.now(), commands)
	}
}

// StepOf is the step that counts a wait.
func StepOf(waited time.Duration) int { return stepOf(waited) }
