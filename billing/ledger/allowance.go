package ledger

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"refill/models"
)

// Allowance is what a plan gives a wallet for one period.
type Allowance struct {
	Agency    models.AgencyID
	Wallet    models.WalletID // the agency's own
	Credits   models.Credits  // 0: only the period begins
	Start     models.Time     // it becomes spendable, and the period begins
	End       models.Time     // models.Never: it does not expire
	Reference string          // of the subscription
}

// BeginPeriods books what ends and what begins at the start of a period, for any
// number of agencies at once: what is left of the allowances before is expired as
// of its expiry, the new one granted as of the period's start, excess paid off
// with it. Each wallet is in it once. A wallet that has the period's allowance
// already is left alone. Errors: balance_too_large, too_many_lots, of any wallet
// for them all.
func (l *Ledger) BeginPeriods(ctx context.Context, tx *gorm.DB, periods []Allowance) error {
	keys := make([]walletKey, len(periods))
	for i := range periods {
		keys[i] = walletKey{periods[i].Agency, periods[i].Wallet}
	}
	c, err := l.lockKeys(ctx, tx, unique(keys))
	if err != nil {
		return err
	}
	type cycle struct {
		agencies []models.AgencyID
		wallets  []models.WalletID
	}
	cycles := map[models.Time]*cycle{}
	for i := range periods {
		p := &periods[i]
		a := c.accounts[p.Wallet]
		if a == nil {
			return fmt.Errorf("begin a period: wallet %s is not there", p.Wallet)
		}
		if cycles[p.Start] == nil {
			cycles[p.Start] = &cycle{}
		}
		same := cycles[p.Start]
		same.agencies, same.wallets = append(same.agencies, p.Agency), append(same.wallets, p.Wallet)
		if a.CycleStart >= p.Start { // it may have begun, and its allowance be used up since
			begun, err := begunPeriod(tx, p)
			if err != nil {
				return err
			}
			if begun {
				continue
			}
		}
		if err := c.begin(a, p); err != nil {
			return err
		}
	}
	if err := c.write(ctx); err != nil {
		return err
	}
	for start, same := range cycles {
		for i, id := range same.wallets {
			l.known.forget(walletKey{same.agencies[i], id})
		}
		if err := tx.Model(&models.Wallet{}).Where("agency_id IN ? AND id IN ? AND cycle_start <= ?", same.agencies, same.wallets, start).
			Updates(map[string]any{"cycle_start": start, "version": gorm.Expr("version + 1")}).Error; err != nil {
			return err
		}
	}
	return nil
}

// begunPeriod tells whether a wallet was given a period's allowance, whatever is left
// of it.
func begunPeriod(tx *gorm.DB, p *Allowance) (bool, error) {
	var given int64
	err := tx.Model(&models.Lot{}).Where("agency_id = ? AND wallet_id = ? AND period_start = ?", p.Agency, p.Wallet, p.Start).
		Where("source = 'plan' AND period_start > 0 AND parent_lot_id IS NULL").Count(&given).Error // as the index says it
	return given > 0, err
}

// begin books one wallet's period.
func (c *cold) begin(a *account, p *Allowance) error {
	for _, lot := range slices.Clone(a.lots) {
		if lot.Source != models.SourcePlan || !lot.ParentLotID.IsZero() {
			continue
		}
		if lot.PeriodStart == p.Start {
			return nil
		}
		if lot.ExpiresAt > p.Start || lot.Remaining == 0 {
			continue
		}
		c.settleDue(a, lot.ExpiresAt-1) // owed since it became effective
		if lot.Remaining > 0 {
			c.expire(a, lot, a.stamp(lot.ExpiresAt))
		}
	}
	if p.Credits == 0 {
		return nil
	}
	if err := a.roomFor(p.Credits, 1); err != nil {
		return err
	}
	at := a.stamp(p.Start)
	lot := c.newLot(a, models.Lot{
		Source: models.SourcePlan, Granted: p.Credits, EffectiveAt: p.Start, ExpiresAt: p.End, PeriodStart: p.Start,
	}, at)
	act := c.act(a, "plan", p.Credits, "clock", "", p.Reference, at)
	c.move(a, lot, Grant, p.Credits, act, at)
	c.settleExcess(a, act, at)
	return nil
}

// EndPlanCredits books the rest of every allowance of a wallet as expired now,
// because the plan ended before its period did, and gives how much that was. What
// was assigned of it stays with the clients until it expires.
func (l *Ledger) EndPlanCredits(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, now models.Time) (models.Credits, error) {
	c, err := l.lock(ctx, tx, agency, wallet)
	if err != nil {
		return 0, err
	}
	a := c.accounts[wallet]
	c.settleDue(a, now)
	var ended models.Credits
	for _, lot := range slices.Clone(a.lots) {
		if lot.Source != models.SourcePlan || !lot.ParentLotID.IsZero() || lot.Remaining == 0 {
			continue
		}
		ended += lot.Remaining
		c.expire(a, lot, a.stamp(min(now, lot.ExpiresAt)))
	}
	return ended, c.write(ctx)
}
