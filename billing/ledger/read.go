package ledger

import (
	"context"
	"errors"
	"slices"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// View is a wallet with its open lots at one instant.
type View struct {
	Wallet  models.Wallet
	Lots    []*models.Lot // open, in draw order; some may not be spendable now
	Balance Balance
	State   State
}

// View reads a wallet. Errors: not_found.
func (l *Ledger) View(ctx context.Context, agency models.AgencyID, wallet models.WalletID, now models.Time) (View, error) {
	views, err := l.Views(ctx, agency, now, wallet)
	if err != nil {
		return View{}, err
	}
	return views[0], nil
}

func viewOf(a *account, now models.Time) View {
	v := View{Wallet: a.Wallet, Lots: a.lots, Balance: a.balance(now)}
	v.State = StateOf(v.Wallet, v.Balance)
	return v
}

// ViewIn reads a wallet inside the caller's transaction. Errors: not_found.
func (l *Ledger) ViewIn(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, now models.Time) (View, error) {
	views, err := l.ViewsIn(ctx, tx, agency, now, wallet)
	if err != nil {
		return View{}, err
	}
	v, ok := views[wallet]
	if !ok {
		return View{}, problem.Missing("wallet")
	}
	return v, nil
}

// ViewsIn reads wallets of an agency inside the caller's transaction, all by two
// statements; one that is not there is left out.
func (l *Ledger) ViewsIn(_ context.Context, tx *gorm.DB, agency models.AgencyID, now models.Time, wallets ...models.WalletID) (map[models.WalletID]View, error) {
	var found []models.Wallet
	if err := tx.Where("agency_id = ? AND id IN ?", agency, wallets).Find(&found).Error; err != nil {
		return nil, err
	}
	var open []*models.Lot
	if err := tx.Where("agency_id = ? AND wallet_id IN ? AND open", agency, wallets).
		Order("priority, expires_at, unit_cost, created_at, id").Find(&open).Error; err != nil {
		return nil, err
	}
	lots := make(map[models.WalletID][]*models.Lot, len(found))
	for _, lot := range open {
		lots[lot.WalletID] = append(lots[lot.WalletID], lot)
	}
	out := make(map[models.WalletID]View, len(found))
	for i := range found {
		out[found[i].ID] = viewOf(&account{Wallet: found[i], lots: lots[found[i].ID]}, now)
	}
	return out, nil
}

// Plan is what a draw of up to amount would take now, in draw order.
func (v View) Plan(amount models.Credits, at models.Time) []Draw { //nolint:gocritic // a view is read, not changed
	a := account{Wallet: v.Wallet, lots: v.Lots}
	draws, _ := a.take(amount, at)
	return draws
}

// PlanReturn is what taking back up to amount would take now, last carved first,
// and how much there is to take back.
func (v View) PlanReturn(amount models.Credits, at models.Time) (draws []Draw, unspent models.Credits) { //nolint:gocritic // a view is read, not changed
	for _, l := range slices.Backward(v.Lots) {
		if l.Source != models.SourceAssigned || !spendable(l, at) {
			continue
		}
		unspent += l.Remaining
		if part := min(amount, l.Remaining); part > 0 {
			draws = append(draws, Draw{Wallet: v.Wallet.ID, Lot: l.ID, Bucket: models.BucketAssigned, Credits: part})
			amount -= part
		}
	}
	return draws, unspent
}

// ChargeByID reads a charge with its draws. Errors: not_found.
func (l *Ledger) ChargeByID(ctx context.Context, agency models.AgencyID, id models.ChargeID) (Receipt, error) {
	return l.oneCharge(ctx, "agency_id = ? AND id = ?", agency, id)
}

// ChargeByKey reads a charge by its idempotency key. Errors: not_found.
func (l *Ledger) ChargeByKey(ctx context.Context, agency models.AgencyID, idempotencyKey string) (Receipt, error) {
	return l.oneCharge(ctx, "agency_id = ? AND idempotency_key = ?", agency, idempotencyKey)
}

func (l *Ledger) oneCharge(ctx context.Context, where string, args ...any) (Receipt, error) {
	var out Receipt
	err := l.db.Snapshot(ctx, func(tx *gorm.DB) error {
		if err := tx.Where(where, args...).Take(&out.Charge).Error; err != nil {
			if errors.Is(err, gorm.ErrRecordNotFound) {
				return problem.Missing("charge")
			}
			return err
		}
		run, err := within(tx)
		if err != nil {
			return err
		}
		err = run.run(ctx, readDraws(l.db.Dialect, &out.Charge, &out.Draws))
		inOrder(out.Charge.WalletID, out.Draws)
		return err
	})
	return out, err
}

// HoldByID reads a hold with its draws. Errors: not_found.
func (l *Ledger) HoldByID(ctx context.Context, agency models.AgencyID, id models.HoldID) (HoldReceipt, error) {
	var out HoldReceipt
	if err := l.db.Read.WithContext(ctx).Where("agency_id = ? AND id = ? AND purchase_id IS NULL", agency, id).Take(&out.Hold).Error; err != nil {
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return out, problem.Missing("hold")
		}
		return out, err
	}
	draws, err := decodeDraws(out.Hold.Draws)
	out.Draws = draws
	return out, err
}
