package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"refill/models"
)

// Past books a history in bulk, for databases that are made to be measured. It
// decides with the code of the charge path, in memory and in the order of time,
// and writes the rows as streams; what is not in use any more is forgotten, so
// that its memory does not grow with the history. Nobody else may use the
// database meanwhile, and until Close has returned nil it is not whole.
//
// It is not safe for concurrent use.
type Past struct {
	ledger  *Ledger
	cold    *cold
	out     *rows
	counted func(*models.UsageQuarter)
	quarter models.Time                        // of the counters in memory
	old     map[models.LotID]*models.Lot       // lots that were there before, to update
	cycles  map[models.WalletID]*models.Wallet // whose cycle moved

	Entries int64
	Charges int64
}

// NewPast opens every wallet there is. counted is told each counter once it is
// complete; the counters of one quarter come before those of the next.
func (l *Ledger) NewPast(ctx context.Context, counted func(*models.UsageQuarter)) (*Past, error) {
	p := &Past{
		ledger: l, cold: &cold{book: newBook(l.tables), ledger: l, d: l.db.Dialect}, counted: counted,
		old: map[models.LotID]*models.Lot{}, cycles: map[models.WalletID]*models.Wallet{},
	}
	var wallets []models.Wallet
	if err := l.db.Read.WithContext(ctx).Find(&wallets).Error; err != nil {
		return nil, fmt.Errorf("read the wallets: %w", err)
	}
	for i := range wallets {
		p.cold.accounts[wallets[i].ID] = &account{Wallet: wallets[i]}
	}
	var lots []models.Lot
	if err := l.db.Read.WithContext(ctx).Where("open").Find(&lots).Error; err != nil {
		return nil, fmt.Errorf("read the lots: %w", err)
	}
	for i := range lots {
		p.cold.addLot(&lots[i])
		p.old[lots[i].ID] = &lots[i]
	}
	var err error
	p.out, err = openRows(ctx, l)
	return p, err
}

// Available is what a wallet may spend of its own at an instant, or right after
// its last entry if that is later.
func (p *Past) Available(wallet models.WalletID, at models.Time) models.Credits {
	a := p.cold.accounts[wallet]
	return a.available(a.stamp(at))
}

// Charge books a charge. Errors: as Ledger.Charge.
func (p *Past) Charge(r *ChargeRequest) error {
	if err := p.turn(r.At); err != nil {
		return err
	}
	if _, err := p.cold.charge(r); err != nil {
		return err
	}
	a := p.cold.accounts[r.Wallet]
	return p.flush(a, p.cold.accounts[a.PoolWalletID])
}

// Grant books new credits. Errors: as Ledger.Grant.
func (p *Past) Grant(r *GrantRequest) (Granted, error) {
	out, err := p.cold.grant(r)
	if err != nil {
		return Granted{}, err
	}
	return out, p.flush(p.cold.accounts[r.Wallet])
}

// Assign carves lots of a client out of its agency's. Errors: insufficient_credits.
func (p *Past) Assign(r *TransferRequest) error {
	c, from, to := p.cold, p.cold.accounts[r.From], p.cold.accounts[r.To]
	at := max(from.stamp(r.At), to.stamp(r.At))
	draws, missing := from.take(r.Credits, at)
	if missing > 0 {
		return c.short(from, r.Credits, r.Credits-missing, false)
	}
	if err := to.roomFor(r.Credits, len(draws)); err != nil {
		return err
	}
	act := c.transferAct(from, to, "assign", *r, at)
	for _, d := range draws {
		if _, err := c.carve(from, to, d, models.Lot{Source: models.SourceAssigned, Note: r.Note}, AssignOut, AssignIn, act, at); err != nil {
			return err
		}
	}
	c.settleExcess(to, act, at)
	return p.flush(from, to)
}

// Expire books the expiry of a wallet's lots that are due, dated at their
// expires_at.
func (p *Past) Expire(wallet models.WalletID, now models.Time) error {
	c, a := p.cold, p.cold.accounts[wallet]
	for _, lot := range slices.Clone(a.lots) {
		if lot.Remaining == 0 || lot.ExpiresAt > now {
			continue
		}
		at := a.stamp(lot.ExpiresAt)
		act := c.act(a, "expire", -lot.Remaining, "clock", "", lot.ID.String(), at)
		c.move(a, lot, Expire, lot.Remaining, act, at)
	}
	return p.flush(a)
}

// StartCycle notes when an agency's running period began.
func (p *Past) StartCycle(wallet models.WalletID, start models.Time) {
	a := p.cold.accounts[wallet]
	a.CycleStart = start
	p.cycles[wallet] = &a.Wallet
}

// Day writes a day's counters, which their writer has added up.
func (p *Past) Day(d *models.UsageDay) error { return p.out.days.add(d) }

// AgencyDay writes the same, whoever used and paid.
func (p *Past) AgencyDay(d *models.UsageAgencyDay) error { return p.out.agencies.add(d) }

// PlatformDay writes a day's counters of the platform.
func (p *Past) PlatformDay(d *models.UsagePlatformDay) error { return p.out.platform.add(d) }

// flush hands on what the last command wrote and forgets what is closed.
func (p *Past) flush(touched ...*account) error {
	c := p.cold
	var errs []error
	for _, r := range c.charges {
		p.Charges++
		errs = append(errs, p.out.charges.add(r))
	}
	for i := range c.entries {
		p.Entries++
		errs = append(errs, p.out.entries.add(&c.entries[i]))
	}
	for i := range c.acts {
		errs = append(errs, p.out.acts.add(&c.acts[i]))
	}
	c.charges, c.entries, c.acts, c.moved = c.charges[:0], c.entries[:0], c.acts[:0], c.moved[:0]
	clear(c.byKey)
	clear(c.paid)
	clear(c.before)
	for _, a := range touched {
		if a == nil {
			continue
		}
		a.lots = slices.DeleteFunc(a.lots, func(l *models.Lot) bool {
			if l.Open {
				return false
			}
			delete(c.lots, l.ID)
			if c.fresh[l.ID] {
				delete(c.fresh, l.ID)
				errs = append(errs, p.out.lots.add(l))
			}
			return true
		})
	}
	return errors.Join(errs...)
}

// turn writes the counters of quarters that have passed.
func (p *Past) turn(at models.Time) error {
	if now := at - at%quarter; now > p.quarter {
		p.quarter = now
		return p.counters(now)
	}
	return nil
}

// counters writes the counters of quarters before an instant.
func (p *Past) counters(before models.Time) error {
	var done []*models.UsageQuarter
	for k, c := range p.cold.counters {
		if k.quarter < before {
			done = append(done, c)
			delete(p.cold.counters, k)
		}
	}
	slices.SortFunc(done, func(x, y *models.UsageQuarter) int {
		return cmp.Or(cmp.Compare(x.Quarter, y.Quarter), x.AgencyID.Compare(y.AgencyID), x.PaidWalletID.Compare(y.PaidWalletID),
			x.WalletID.Compare(y.WalletID), cmp.Compare(x.Action, y.Action), cmp.Compare(x.Model, y.Model))
	})
	for _, c := range done {
		p.counted(c)
		if err := p.out.counters.add(c); err != nil {
			return err
		}
	}
	return nil
}

// Counters writes, and tells, the counters that are in memory still: nothing is
// charged any more.
func (p *Past) Counters() error { return p.counters(models.Never) }

// Abandon ends the streams of a history that failed. The database has its indexes
// again and is not whole: drop it.
func (p *Past) Abandon(ctx context.Context) error { return p.out.close(context.WithoutCancel(ctx)) }

// Close writes what is in memory still, the wallets last, and makes the database
// whole again: with its indexes, and looked over by its planner.
func (p *Past) Close(ctx context.Context) error {
	err := p.Counters()
	for id := range p.cold.fresh {
		err = errors.Join(err, p.out.lots.add(p.cold.lots[id]))
	}
	if err != nil {
		return errors.Join(err, p.Abandon(ctx))
	}
	if err := p.out.close(ctx); err != nil {
		return err
	}
	wallets := make([]*models.Wallet, 0, len(p.cold.accounts))
	for _, a := range p.cold.accounts {
		a.Version++ // as writes does
		wallets = append(wallets, &a.Wallet)
	}
	old := make([]*models.Lot, 0, len(p.old))
	for _, l := range p.old {
		old = append(old, l)
	}
	return p.ledger.db.InTx(ctx, func(tx *gorm.DB) error {
		run, err := within(tx)
		if err != nil {
			return err
		}
		t, d := p.cold.tables, p.cold.d
		if err := run.run(ctx, append(t.wallets.update(d, wallets), t.lots.update(d, old)...)); err != nil {
			return err
		}
		for _, w := range p.cycles {
			if err := p.ledger.StartCycle(ctx, tx, w.AgencyID, w.ID, w.CycleStart); err != nil {
				return err
			}
		}
		return nil
	})
}
