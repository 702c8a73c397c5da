package ledger

import (
	"context"
	"fmt"
	"math"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/models"
)

// Window is what a wallet may have left without anybody having to look at it:
// Below and more, less than From. A booking that leaves it writes the wallet into
// the table stirred, in its own transaction and once, and closes the window; the
// charge path does nothing more. Whoever watches then looks by Reconsider, which
// opens the next window. So a crossing is never missed, not even by a crash, and
// a hundred charges that cross together are one.
//
// What time alone changes, such as a lot that begins or ends, is seen once it is
// booked.
type Window struct{ Below, From models.Credits }

// AnyLeft is the window that no booking leaves.
func AnyLeft() Window { return Window{math.MinInt64, math.MaxInt64} }

// And is what both windows allow.
func (w Window) And(o Window) Window { return Window{max(w.Below, o.Below), min(w.From, o.From)} }

func (w Window) holds(left models.Credits) bool { return left >= w.Below && left < w.From }

func (w Window) open() bool { return w.Below < w.From }

// stir lists the wallets whose window was left, and closes it.
func (b *book) stir(d models.Dialect, wallets []*models.Wallet) []statement {
	var left []*models.Wallet
	for _, w := range wallets {
		watch := Window{w.WatchBelow, w.WatchFrom}
		if a := b.accounts[w.ID]; watch.open() && !watch.holds(a.available(a.LastAt)-a.Excess) {
			w.WatchBelow, w.WatchFrom = 0, 0
			left = append(left, w)
			b.stirred = append(b.stirred, &models.Stirred{AgencyID: w.AgencyID, WalletID: w.ID, At: w.LastAt})
		}
	}
	return append(b.tables.watches.update(d, left), b.tables.stirred.insert(d, b.stirred)...)
}

// Stirs tells when the charge path wrote a wallet into stirred. What other verbs
// write there is found by the next tick.
func (l *Ledger) Stirs() <-chan struct{} { return l.stirs }

func (l *Ledger) wake() {
	select {
	case l.stirs <- struct{}{}:
	default: // somebody will look anyway
	}
}

// Stir has wallets looked at whatever they have left: something else that is
// watched for has changed.
func (l *Ledger) Stir(ctx context.Context, tx *gorm.DB, agency models.AgencyID, at models.Time, wallets ...models.WalletID) error {
	if len(wallets) == 0 {
		return nil
	}
	rows := make([]models.Stirred, len(wallets))
	for i, id := range wallets {
		rows[i] = models.Stirred{AgencyID: agency, WalletID: id, At: at}
	}
	return tx.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, 500).Error
}

// Stirred lists wallets to be looked at, those that wait longest first.
func (l *Ledger) Stirred(ctx context.Context, most int) ([]models.Stirred, error) {
	var out []models.Stirred
	err := l.db.Read.WithContext(ctx).Order("at").Limit(most).Find(&out).Error
	return out, err
}

// Reconsider locks a wallet that stirred, shows how it stands to look, and opens
// the window that look asks for. It stands as of now, or of the last booking where
// that is dated later: a look takes a while, and other clocks may be ahead. It looks
// at nothing that somebody else has looked at meanwhile. Errors: not_found.
func (l *Ledger) Reconsider(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, now models.Time, look func(View, models.Time) (Window, error)) error {
	c, err := l.lock(ctx, tx, agency, wallet)
	if err != nil {
		return err
	}
	taken := tx.WithContext(ctx).Where("agency_id = ? AND wallet_id = ?", agency, wallet).Delete(&models.Stirred{})
	if taken.Error != nil || taken.RowsAffected == 0 {
		return taken.Error
	}
	a := c.accounts[wallet]
	now = max(now, a.LastAt)
	v := viewOf(a, now)
	w, err := look(v, now)
	if err != nil {
		return err
	}
	if left := v.Balance.Left(); !w.holds(left) {
		return fmt.Errorf("wallet %s has %s left, outside the window from %s to %s that is to be watched", wallet, left, w.Below, w.From)
	}
	return l.change(ctx, tx, agency, wallet, map[string]any{"watch_below": w.Below, "watch_from": w.From})
}
