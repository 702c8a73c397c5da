package ledger

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"refill/models"
)

// AuditIn audits one agency inside a transaction, so that a test can corrupt it
// and roll back.
func AuditIn(tx *gorm.DB, agency models.AgencyID, now models.Time) (Report, error) {
	r := Report{Checks: slices.Clone(invariants)}
	err := r.audit(tx, agency, now)
	return r, err
}

// MergeLockAndRead is a deliberate defect: wallets are locked and their lots
// read in one statement, which sees the lots as they were before it waited.
func (l *Ledger) MergeLockAndRead() {
	l.lockAndRead = func(_ models.Dialect, b *book, keys []walletKey, skip bool) []statement {
		agencies, ids := walletArrays(keys)
		sql := "SELECT " + walletColumns + ", " + lotColumns + ` FROM unnest($1::uuid[], $2::uuid[]) AS k (agency_id, id)
			JOIN wallets w ON w.agency_id = k.agency_id AND w.id = k.id
			JOIN lots l ON l.agency_id = w.agency_id AND l.wallet_id = w.id AND l.open
			ORDER BY w.agency_id, w.id FOR NO KEY UPDATE OF w`
		if skip {
			sql += " SKIP LOCKED"
		}
		return []statement{{sql: sql, args: []any{agencies, ids}, scan: func(r row) error {
			var into places
			a, l := &account{}, &models.Lot{}
			_ = scanWallet(&into, &a.Wallet)
			_ = scanLot(&into, l)
			if err := r.Scan(into...); err != nil {
				return err
			}
			if b.accounts[a.ID] == nil {
				b.accounts[a.ID] = a
			}
			b.lots[l.ID] = l
			b.accounts[a.ID].lots = append(b.accounts[a.ID].lots, l)
			return nil
		}}}
	}
}

// places collects where a row's columns go.
type places []any

func (p *places) Scan(dest ...any) error { *p = append(*p, dest...); return nil }

// WaitUnserved waits for a command that no lane will ever take.
func (l *Ledger) WaitUnserved(ctx context.Context) error {
	return l.wait(ctx, &command{done: make(chan struct{})})
}
