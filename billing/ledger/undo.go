package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// ReverseRequest takes a charge back.
type ReverseRequest struct {
	Agency models.AgencyID
	Charge models.ChargeID
	Key    string
	Reason string
	At     models.Time
}

// Reversed is a booked reversal.
type Reversed struct {
	Reversal models.Reversal
	Charge   models.Charge
	Draws    []Draw // what went back, and where to
	Balance  Balance
	State    State
	Replayed bool
}

// Reverse gives a charge's credits back to the very lots that paid it, once.
// Excess that was paid off meanwhile goes back to the lots that paid it off.
// Reversing again answers as before, whatever the key; a key that reversed
// another charge, or gave another reason, is refused. Sent twice at once for two
// charges, one key is a duplicate row. Errors: not_found, test_charge,
// idempotency_key_reused.
func (l *Ledger) Reverse(ctx context.Context, tx *gorm.DB, r ReverseRequest) (Reversed, error) {
	var charge models.Charge
	if err := tx.Where("agency_id = ? AND id = ?", r.Agency, r.Charge).Take(&charge).Error; err != nil {
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return Reversed{}, problem.Missing("charge")
		}
		return Reversed{}, err
	}
	if charge.Test {
		return Reversed{}, problem.New(problem.Conflict, "test_charge", "A test charge cost nothing; there is nothing to give back.")
	}
	wallets := []models.WalletID{charge.WalletID}
	if !charge.PoolWalletID.IsZero() {
		wallets = append(wallets, charge.PoolWalletID)
	}
	c, err := l.lock(ctx, tx, r.Agency, wallets...)
	if err != nil {
		return Reversed{}, err
	}
	var draws []Draw
	if err := c.run.run(ctx, readDraws(c.d, &charge, &draws)); err != nil {
		return Reversed{}, err
	}
	draws = inOrder(charge.WalletID, draws)
	a := c.accounts[charge.WalletID]
	at := a.stamp(r.At)
	old, err := earlierReversal(tx, r)
	if err != nil {
		return Reversed{}, err
	}
	if old != nil {
		b := a.balance(at)
		return Reversed{Reversal: *old, Charge: charge, Draws: draws, Balance: b, State: StateOf(a.Wallet, b), Replayed: true}, nil
	}
	out := Reversed{Charge: charge, Draws: draws, Reversal: models.Reversal{
		AgencyID: r.Agency, ChargeID: r.Charge, ID: models.NewID[models.ReversalID](at),
		IdempotencyKey: r.Key, Reason: r.Reason, Credits: charge.Credits, CreatedAt: at,
	}}
	if err := tx.Create(&out.Reversal).Error; err != nil {
		return Reversed{}, fmt.Errorf("reverse %s: %w", r.Charge, err)
	}
	act := models.ActID(out.Reversal.ID)
	c.acts = append(c.acts, models.Act{
		AgencyID: r.Agency, ID: act, WalletID: charge.WalletID, Kind: "reverse", Credits: charge.Credits, Actor: "api",
		Note: r.Reason, Reference: charge.ID.String(), Seq: a.Seq + 1, CreatedAt: at,
	})
	// Excess first: what goes back to lots would pay it off at once.
	var pooled models.Credits
	for _, d := range slices.Backward(draws) {
		w := c.accounts[d.Wallet]
		if w != a {
			pooled += d.Credits
		}
		if d.Bucket == models.BucketExcess {
			if err := c.giveExcessBack(ctx, tx, w, ReverseExcess, d.Credits, act, at); err != nil {
				return Reversed{}, err
			}
			continue
		}
		lot, err := c.lot(tx, r.Agency, d.Lot)
		if err != nil {
			return Reversed{}, err
		}
		c.giveBack(w, lot, Reverse, d.Credits, act, at)
	}
	for _, id := range wallets {
		c.settleExcess(c.accounts[id], act, at)
	}
	c.undrawPool(a, pooled, charge.CreatedAt)
	c.uncount(&charge, draws, at)
	out.Balance = a.balance(at)
	out.State = StateOf(a.Wallet, out.Balance)
	return out, c.write(ctx)
}

// earlierReversal is the charge's reversal, if there is one. The request's key
// must be free or have made this very reversal.
func earlierReversal(tx *gorm.DB, r ReverseRequest) (*models.Reversal, error) {
	var found []models.Reversal
	err := tx.Where("agency_id = ? AND (charge_id = ? OR idempotency_key = ?)", r.Agency, r.Charge, r.Key).Find(&found).Error
	if err != nil {
		return nil, err
	}
	var old *models.Reversal
	for i := range found {
		f := &found[i]
		if f.IdempotencyKey == r.Key && (f.ChargeID != r.Charge || f.Reason != r.Reason) {
			return nil, problem.KeyReused()
		}
		old = f // its key is another, or it is the one asked for: it is this charge's
	}
	return old, nil
}

// giveBack returns credits to a lot; what would have expired unused expires.
func (c *cold) giveBack(w *account, lot *models.Lot, kind Kind, amount models.Credits, act models.ActID, at models.Time) {
	c.move(w, lot, kind, amount, act, at)
	if lot.ExpiresAt <= w.LastAt {
		c.move(w, lot, Expire, amount, act, at)
	}
}

// giveExcessBack takes back a draw on excess by an entry of a kind. What a later
// grant paid off is first returned to the lots that paid, newest first.
func (c *cold) giveExcessBack(ctx context.Context, tx *gorm.DB, w *account, kind Kind, amount models.Credits, act models.ActID, at models.Time) error {
	if missing := amount - w.Excess; missing > 0 {
		var settled, earlier []models.Entry
		for _, e := range slices.Backward(c.entries) { // of this very book
			if e.WalletID == w.ID && (Kind(e.Kind) == Settle || Kind(e.Kind) == Unsettle) {
				settled = append(settled, e)
			}
		}
		err := tx.WithContext(ctx).Where("agency_id = ? AND wallet_id = ? AND kind IN ?", w.AgencyID, w.ID, []Kind{Settle, Unsettle}).
			Order("seq DESC").Limit(maxDraws).Find(&earlier).Error
		if err != nil {
			return err
		}
		settled = append(settled, earlier...)
		undone := map[models.LotID]models.Credits{}
		for _, e := range settled {
			if Kind(e.Kind) == Unsettle {
				undone[e.LotID] += e.Amount
				continue
			}
			skip := min(undone[e.LotID], e.Amount)
			undone[e.LotID] -= skip
			part := min(missing, e.Amount-skip)
			if part == 0 {
				continue
			}
			lot, err := c.lot(tx, w.AgencyID, e.LotID)
			if err != nil {
				return err
			}
			c.giveBack(w, lot, Unsettle, part, act, at)
			missing -= part
			if missing == 0 {
				break
			}
		}
		if missing > 0 {
			return fmt.Errorf("%s: %s of excess on wallet %s was neither owed nor settled", kind, missing, w.ID)
		}
	}
	c.move(w, nil, kind, amount, act, at)
	return nil
}

// uncount takes a reversed charge out of the counters, at the reversal's time.
func (c *cold) uncount(charge *models.Charge, draws []Draw, at models.Time) {
	mirror := *charge
	mirror.CreatedAt = at
	first := true
	for _, d := range draws {
		row := models.UsageQuarter{}
		if first {
			row.Charges, row.Units = -1, -charge.Units
			first = false
		}
		inBucket(&row, d.Bucket, -d.Credits)
		c.count(&mirror, c.accounts[d.Wallet], row, at)
	}
	if first {
		c.count(&mirror, c.accounts[charge.WalletID], models.UsageQuarter{Charges: -1, Units: -charge.Units}, at)
	}
}

// ExpireLots books the expiry of up to limit lots that are due, dated at their
// expires_at, and tells how many it booked. What is held stays held until its
// hold ends.
func (l *Ledger) ExpireLots(ctx context.Context, now models.Time, limit int) (int, error) {
	var due []models.Lot
	err := l.db.Read.WithContext(ctx).Where("open AND expires_at <= ? AND remaining > 0", now).
		Order("expires_at, agency_id, wallet_id").Limit(limit).Find(&due).Error
	if err != nil {
		return 0, fmt.Errorf("find expired lots: %w", err)
	}
	booked := 0
	for _, lot := range due {
		err := l.db.InTx(ctx, func(tx *gorm.DB) error {
			c, err := l.lock(ctx, tx, lot.AgencyID, lot.WalletID)
			if err != nil {
				return err
			}
			a, fresh := c.accounts[lot.WalletID], c.lots[lot.ID]
			if fresh == nil || fresh.Remaining == 0 || fresh.ExpiresAt > now {
				return nil
			}
			c.settleDue(a, fresh.ExpiresAt-1) // owed since it became effective
			if fresh.Remaining > 0 {
				c.expire(a, fresh, a.stamp(fresh.ExpiresAt))
			}
			c.settleDue(a, fresh.ExpiresAt)
			booked++
			return c.write(ctx)
		})
		if err != nil {
			return booked, fmt.Errorf("expire lot %s: %w", lot.ID, err)
		}
	}
	return booked, nil
}

// ExpireHolds ends up to limit holds whose time has passed.
func (l *Ledger) ExpireHolds(ctx context.Context, now models.Time, limit int) (int, error) {
	var due []models.Hold
	err := l.db.Read.WithContext(ctx).Where("state = ? AND expires_at <= ?", models.HoldOpen, now).
		Order("expires_at").Limit(limit).Find(&due).Error
	if err != nil {
		return 0, fmt.Errorf("find expired holds: %w", err)
	}
	for i, h := range due {
		if _, err := l.Release(ctx, ReleaseRequest{Agency: h.AgencyID, Wallet: h.WalletID, Hold: h.ID, At: now}); err != nil &&
			!problem.Is(err, "hold_not_open") {
			return i, fmt.Errorf("expire hold %s: %w", h.ID, err)
		}
	}
	return len(due), nil
}

// EndAllowance books the rest of one period's allowance as expired now, because
// its plan ended before the period did.
func (l *Ledger) EndAllowance(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, periodStart, now models.Time) error {
	c, err := l.lock(ctx, tx, agency, wallet)
	if err != nil {
		return err
	}
	a := c.accounts[wallet]
	at := a.stamp(now)
	for _, lot := range a.lots {
		if lot.Source != models.SourcePlan || lot.PeriodStart != periodStart || lot.Remaining == 0 {
			continue
		}
		act := c.act(a, "expire", -lot.Remaining, "clock", "", lot.ID.String(), at)
		c.move(a, lot, Expire, lot.Remaining, act, at)
	}
	return c.write(ctx)
}
