package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// The verbs of this file run inside the caller's transaction: what causes a
// grant is written with it or not at all.

// cold is a book inside a GORM transaction.
type cold struct {
	*book
	ledger *Ledger
	run    prepared
	d      models.Dialect
}

// lock opens a book on the wallets and the agency wallets above them.
func (l *Ledger) lock(ctx context.Context, tx *gorm.DB, agency models.AgencyID, ids ...models.WalletID) (*cold, error) {
	keys := make([]walletKey, 0, len(ids)+1)
	for _, id := range ids {
		keys = append(keys, walletKey{agency, id})
	}
	var pools []models.WalletID
	if err := tx.Model(&models.Wallet{}).Where("agency_id = ? AND id IN ? AND pool_wallet_id IS NOT NULL", agency, ids).
		Distinct().Pluck("pool_wallet_id", &pools).Error; err != nil {
		return nil, err
	}
	for _, id := range pools {
		keys = append(keys, walletKey{agency, id})
	}
	c, err := l.lockKeys(ctx, tx, unique(keys))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if c.accounts[id] == nil {
			return nil, problem.Missing("wallet")
		}
	}
	return c, nil
}

// lockKeys opens a book on these wallets alone; one that is not there is left out.
func (l *Ledger) lockKeys(ctx context.Context, tx *gorm.DB, keys []walletKey) (*cold, error) {
	run, err := within(tx)
	if err != nil {
		return nil, err
	}
	c := &cold{book: newBook(l.tables), ledger: l, run: run, d: dialectOf(tx)}
	// Locks first, as a statement of their own, then what they protect.
	if err := run.run(ctx, c.lockWallets(c.d, keys, false)); err != nil {
		return nil, err
	}
	if err := run.run(ctx, c.readLots(c.d, keys)); err != nil {
		return nil, err
	}
	c.sortLots()
	return c, nil
}

// expire books what is left of a lot as expired.
func (c *cold) expire(a *account, lot *models.Lot, at models.Time) {
	act := c.act(a, "expire", -lot.Remaining, "clock", "", lot.ID.String(), at)
	c.move(a, lot, Expire, lot.Remaining, act, at)
}

// lot reads a lot that may be closed.
func (c *cold) lot(tx *gorm.DB, agency models.AgencyID, id models.LotID) (*models.Lot, error) {
	if l := c.lots[id]; l != nil {
		return l, nil
	}
	l := &models.Lot{}
	if err := tx.Where("agency_id = ? AND id = ?", agency, id).Take(l).Error; err != nil {
		return nil, fmt.Errorf("read lot %s: %w", id, err)
	}
	c.addLot(l)
	return l, nil
}

func (c *cold) write(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	for _, a := range c.accounts {
		c.ledger.known.forget(walletKey{a.AgencyID, a.ID})
	}
	return c.run.run(ctx, c.writes(c.d))
}

// newLot puts a lot of nothing into an account; a move fills it.
func (c *cold) newLot(a *account, l models.Lot, at models.Time) *models.Lot {
	l.AgencyID, l.WalletID, l.CreatedAt = a.AgencyID, a.ID, at
	l.ID = models.NewID[models.LotID](at)
	if l.Priority == 0 {
		l.Priority = l.Source.Priority()
	}
	if l.EffectiveAt == 0 {
		l.EffectiveAt = at
	}
	if l.ExpiresAt == 0 {
		l.ExpiresAt = models.Never
	}
	out := &l
	c.fresh[out.ID] = true
	c.addLot(out)
	return out
}

// OpenWallet makes an empty wallet, to be looked at once.
func (l *Ledger) OpenWallet(ctx context.Context, tx *gorm.DB, w models.Wallet) error {
	if err := tx.Create(&w).Error; err != nil {
		return fmt.Errorf("open wallet: %w", err)
	}
	if err := tx.Create(&models.WalletPlace{WalletID: w.ID, AgencyID: w.AgencyID}).Error; err != nil {
		return fmt.Errorf("open wallet: %w", err)
	}
	return l.Stir(ctx, tx, w.AgencyID, w.CreatedAt, w.ID)
}

// GrantRequest gives credits to a wallet.
type GrantRequest struct {
	Agency      models.AgencyID
	Wallet      models.WalletID
	Source      models.Source
	Credits     models.Credits
	EffectiveAt models.Time // 0: now
	ExpiresAt   models.Time // 0: never
	Cost        models.Money
	Purchase    models.PurchaseID
	PeriodStart models.Time // of an allowance: one per wallet and period
	Kind        string      // of the act: purchase, plan, adjust, referral
	Actor       string
	Note        string
	Reference   string
	Key         string // idempotency key, "" for none
	Fingerprint []byte
	At          models.Time
}

// Granted is a grant and the balance around it.
type Granted struct {
	Act    models.Act
	Lot    models.Lot
	Before Balance
	After  Balance

	Replayed bool // the act of an earlier request with the same key: no lot, no balances
}

// Grant books new credits and settles excess with them first.
// Errors: balance_too_large, too_many_lots.
func (l *Ledger) Grant(ctx context.Context, tx *gorm.DB, r GrantRequest) (Granted, error) {
	c, err := l.lock(ctx, tx, r.Agency, r.Wallet)
	if err != nil {
		return Granted{}, err
	}
	out, err := c.grant(&r)
	if err != nil {
		return Granted{}, err
	}
	return out, c.write(ctx)
}

// grant books new credits in memory.
func (c *cold) grant(r *GrantRequest) (Granted, error) {
	a := c.accounts[r.Wallet]
	if err := a.roomFor(r.Credits, 1, r.Purchase); err != nil {
		return Granted{}, err
	}
	at := a.stamp(r.At)
	out := Granted{Before: a.balance(at)}
	lot := c.newLot(a, models.Lot{
		Source: r.Source, Granted: r.Credits, EffectiveAt: r.EffectiveAt, ExpiresAt: r.ExpiresAt,
		UnitCost: models.UnitPriceOf(r.Cost, r.Credits), Cost: r.Cost.Amount, Currency: r.Cost.Currency,
		PurchaseID: r.Purchase, PeriodStart: r.PeriodStart, Note: r.Note,
	}, at)
	act := c.act(a, r.Kind, r.Credits, r.Actor, r.Note, r.Reference, at)
	keyed := &c.acts[len(c.acts)-1]
	if r.Key != "" {
		keyed.IdempotencyKey, keyed.Fingerprint = &r.Key, r.Fingerprint
	}
	kind := Grant
	if r.Source == models.SourceAdjustment {
		kind = AdjustIn
	}
	c.move(a, lot, kind, r.Credits, act, at)
	c.settleExcess(a, act, at)
	out.Act, out.Lot, out.After = *keyed, *lot, a.balance(at)
	return out, nil
}

// roomFor tells whether an account may take credits in so many new lots. Held
// credits count: they may come back. What was paid for is taken in where a gift
// would be refused: the money is there already.
func (a *account) roomFor(credits models.Credits, lots int, paid ...models.PurchaseID) error {
	if err := positive(credits); err != nil {
		return err
	}
	if credits > models.MaxBalance || a.Balance > models.MaxBalance-credits-a.Held {
		return problem.New(problem.Invalid, "balance_too_large", "A wallet may hold at most %s credits.", models.MaxBalance).On("credits")
	}
	most := maxDraws
	if len(paid) > 0 && !paid[0].IsZero() {
		most = maxPaidLots
	}
	if len(a.lots)+lots > most {
		return problem.New(problem.Conflict, "too_many_lots", "This wallet has %d open lots and may have %d; use some up first.", len(a.lots), most)
	}
	return nil
}

func positive(credits models.Credits) error {
	if credits <= 0 {
		return problem.New(problem.Invalid, "credits_not_positive", "Name an amount above zero.").On("credits")
	}
	return nil
}

// act starts the record of what caused the entries that follow.
func (c *cold) act(a *account, kind string, credits models.Credits, actor, note, reference string, at models.Time) models.ActID {
	act := models.Act{
		AgencyID: a.AgencyID, ID: models.NewID[models.ActID](at), WalletID: a.ID, Kind: kind, Credits: credits,
		Actor: actor, Note: note, Reference: reference, Seq: a.Seq + 1, CreatedAt: at,
	}
	c.acts = append(c.acts, act)
	return act.ID
}

// ActByKey finds what an idempotency key did before; ok is false for a new key.
// Errors: idempotency_key_reused.
func (l *Ledger) ActByKey(tx *gorm.DB, agency models.AgencyID, idempotencyKey string, fingerprint []byte) (act models.Act, ok bool, err error) {
	if idempotencyKey == "" {
		return act, false, nil
	}
	err = tx.Where("agency_id = ? AND idempotency_key = ?", agency, idempotencyKey).Take(&act).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return act, false, nil
	case err != nil:
		return act, false, err
	case !bytes.Equal(act.Fingerprint, fingerprint):
		return act, false, problem.KeyReused()
	}
	return act, true, nil
}

// TransferRequest moves credits between an agency's wallet and a sub-account's.
type TransferRequest struct {
	Agency      models.AgencyID
	From, To    models.WalletID
	Credits     models.Credits
	Sold        bool // a sale: purchased credits only, and purchased they stay
	All         bool // TakeBack only: whatever is unspent, in place of Credits
	Actor       string
	Note        string
	Key         string
	Fingerprint []byte
	At          models.Time
}

// Transfer is a booked assignment or return.
type Transfer struct {
	Act         models.Act
	FromBefore  Balance
	FromAfter   Balance
	ToBefore    Balance
	ToAfter     Balance
	FirstExpiry models.Time // soonest expiry among the lots moved; Never for none
	Replayed    bool        // the act of an earlier request with the same key: no balances
}

// Assign carves lots out of From's, in draw order; the children inherit expiry
// and cost. Errors: insufficient_credits.
func (l *Ledger) Assign(ctx context.Context, tx *gorm.DB, r TransferRequest) (Transfer, error) {
	c, err := l.lock(ctx, tx, r.Agency, r.From, r.To)
	if err != nil {
		return Transfer{}, err
	}
	from, to := c.accounts[r.From], c.accounts[r.To]
	at := max(from.stamp(r.At), to.stamp(r.At))
	kind, source, out, in := "assign", models.SourceAssigned, AssignOut, AssignIn
	stock := from
	if r.Sold {
		kind, source, out, in = "sell", models.SourcePurchase, SellOut, SellIn
		stock = from.purchased()
	}
	if err := positive(r.Credits); err != nil {
		return Transfer{}, err
	}
	c.settleDue(from, at)
	draws, missing := stock.take(r.Credits, at)
	if missing > 0 || from.Excess > 0 {
		return Transfer{}, c.short(from, r.Credits, max(0, r.Credits-missing-from.Excess), false)
	}
	if err := to.roomFor(r.Credits, len(draws)); err != nil {
		return Transfer{}, err
	}
	done := Transfer{FromBefore: from.balance(at), ToBefore: to.balance(at), FirstExpiry: models.Never}
	act := c.transferAct(from, to, kind, r, at)
	for _, d := range draws {
		child, err := c.carve(from, to, d, models.Lot{Source: source, Note: r.Note}, out, in, act, at)
		if err != nil {
			return Transfer{}, err
		}
		done.FirstExpiry = min(done.FirstExpiry, child.ExpiresAt)
	}
	c.settleExcess(to, act, at)
	done.Act = c.acts[len(c.acts)-1]
	done.FromAfter, done.ToAfter = from.balance(at), to.balance(at)
	return done, c.write(ctx)
}

// carve moves a draw on one account into a new lot of another, which inherits
// the parent's expiry and its part of the cost: parts are told apart by what was
// used before them, so that they add up to the whole.
func (c *cold) carve(from, to *account, d Draw, as models.Lot, out, in Kind, act models.ActID, at models.Time) (*models.Lot, error) {
	parent := c.lots[d.Lot]
	used := int64(parent.Granted - parent.Remaining - parent.Held)
	cost, err := models.Part(parent.Cost, used, used+int64(d.Credits), int64(parent.Granted))
	if err != nil {
		return nil, fmt.Errorf("cost of a carved lot: %w", err)
	}
	as.Granted, as.EffectiveAt = d.Credits, at
	if as.ExpiresAt == 0 || as.ExpiresAt > parent.ExpiresAt {
		as.ExpiresAt = parent.ExpiresAt
	}
	as.UnitCost, as.Cost, as.Currency, as.ParentLotID = parent.UnitCost, cost, parent.Currency, parent.ID
	child := c.newLot(to, as, at)
	c.move(from, parent, out, d.Credits, act, at)
	c.move(to, child, in, d.Credits, act, at)
	return child, nil
}

// purchased is the account with its never-expiring purchased lots only: what
// may be sold on.
func (a *account) purchased() *account {
	out := &account{Wallet: a.Wallet}
	for _, l := range a.lots {
		if l.Source == models.SourcePurchase && l.ExpiresAt == models.Never {
			out.lots = append(out.lots, l)
		}
	}
	return out
}

// TakeBack returns unspent assigned credits from a sub-account (From) to the
// very lots of the agency (To) they were carved from, last carved first. All that
// is unspent may be nothing: then nothing is booked. Errors: insufficient_credits.
func (l *Ledger) TakeBack(ctx context.Context, tx *gorm.DB, r TransferRequest) (Transfer, error) {
	c, err := l.lock(ctx, tx, r.Agency, r.From, r.To)
	if err != nil {
		return Transfer{}, err
	}
	from, to := c.accounts[r.From], c.accounts[r.To]
	at := max(from.stamp(r.At), to.stamp(r.At))
	var unspent models.Credits
	var children []*models.Lot
	for _, lot := range slices.Backward(from.lots) {
		if lot.Source == models.SourceAssigned && spendable(lot, at) {
			children = append(children, lot)
			unspent += lot.Remaining
		}
	}
	if r.All {
		if r.Credits = unspent; unspent == 0 {
			return Transfer{}, nil
		}
	}
	if err := positive(r.Credits); err != nil {
		return Transfer{}, err
	}
	if unspent < r.Credits {
		return Transfer{}, problem.New(problem.Insufficient, "insufficient_credits",
			"%s of those assigned %s unspent; you can take back up to that.", unspent.Counted(), unspent.Are()).On("credits").
			With("available", unspent).With("required", r.Credits)
	}
	out := Transfer{FromBefore: from.balance(at), ToBefore: to.balance(at), FirstExpiry: models.Never}
	act := c.transferAct(from, to, "return", r, at)
	rest := r.Credits
	for _, child := range children {
		part := min(rest, child.Remaining)
		if part == 0 {
			break
		}
		out.FirstExpiry = min(out.FirstExpiry, child.ExpiresAt)
		if err := c.giveUp(tx, from, to, child, part, act, at); err != nil {
			return Transfer{}, err
		}
		rest -= part
	}
	c.settleExcess(to, act, at)
	out.Act = c.acts[len(c.acts)-1]
	out.FromAfter, out.ToAfter = from.balance(at), to.balance(at)
	return out, c.write(ctx)
}

// parent is the lot that one of a client's was carved from, which is in of.
func (c *cold) parent(tx *gorm.DB, child *models.Lot, of *account) (*models.Lot, error) {
	parent, err := c.lot(tx, child.AgencyID, child.ParentLotID)
	if err == nil && parent.WalletID != of.ID {
		err = fmt.Errorf("lot %s was not carved from wallet %s", child.ID, of.ID)
	}
	return parent, err
}

func (c *cold) transferAct(from, to *account, kind string, r TransferRequest, at models.Time) models.ActID {
	id := c.act(from, kind, r.Credits, r.Actor, r.Note, "", at)
	act := &c.acts[len(c.acts)-1]
	act.OtherWalletID, act.OtherSeq = to.ID, to.Seq+1
	if r.Key != "" {
		act.IdempotencyKey, act.Fingerprint = &r.Key, r.Fingerprint
	}
	return id
}

// AdjustRequest takes credits away by hand; giving is a Grant of source
// adjustment.
type AdjustRequest struct {
	Agency      models.AgencyID
	Wallet      models.WalletID
	Credits     models.Credits // > 0: how many to take
	Actor       string
	Note        string
	Key         string
	Fingerprint []byte
	At          models.Time
}

// Withdraw takes credits away in draw order. Errors: insufficient_credits.
func (l *Ledger) Withdraw(ctx context.Context, tx *gorm.DB, r AdjustRequest) (Granted, error) {
	c, err := l.lock(ctx, tx, r.Agency, r.Wallet)
	if err != nil {
		return Granted{}, err
	}
	a := c.accounts[r.Wallet]
	if err := positive(r.Credits); err != nil {
		return Granted{}, err
	}
	at := a.stamp(r.At)
	c.settleDue(a, at)
	draws, missing := a.take(r.Credits, at)
	if missing > 0 {
		return Granted{}, c.short(a, r.Credits, r.Credits-missing, false)
	}
	out := Granted{Before: a.balance(at)}
	act := c.act(a, "adjust", -r.Credits, r.Actor, r.Note, "", at)
	keyed := &c.acts[len(c.acts)-1]
	if r.Key != "" {
		keyed.IdempotencyKey, keyed.Fingerprint = &r.Key, r.Fingerprint
	}
	for _, d := range draws {
		c.move(a, c.lots[d.Lot], AdjustOut, d.Credits, act, at)
	}
	out.Act, out.After = *keyed, a.balance(at)
	return out, c.write(ctx)
}

// Policy is what a wallet does at zero and who else may pay for it.
type Policy struct {
	ExcessLimit   models.Credits // 0: pause
	AgencyCeiling models.Credits // on an agency's own wallet
	Funding       models.Funding
	PoolCap       models.Credits
	PoolEvery     models.PoolEvery
}

// actPolicy is the kind of the act that says that a limit was set below what
// was owed or promised already: from then on the wallet may stand beyond it.
const actPolicy = "policy"

// SetPolicy changes a wallet's policy.
func (l *Ledger) SetPolicy(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, p Policy) error {
	if p.Funding == "" {
		p.Funding = models.Prepaid
	}
	if p.PoolEvery == "" {
		p.PoolEvery = models.PoolCycle
	}
	c, err := l.lock(ctx, tx, agency, wallet)
	if err != nil {
		return err
	}
	a := c.accounts[wallet]
	if a.Excess+a.Promised > p.ExcessLimit || a.AgencyExcess > p.AgencyCeiling {
		c.act(a, actPolicy, p.ExcessLimit, "policy", "The limit was set below what is owed.", "", a.LastAt)
	}
	l.hints.Delete(wallet)
	if err := c.write(ctx); err != nil {
		return err
	}
	if err := l.Stir(ctx, tx, agency, a.LastAt, wallet); err != nil {
		return err
	}
	return l.change(ctx, tx, agency, wallet, map[string]any{
		"excess_limit": p.ExcessLimit, "agency_ceiling": p.AgencyCeiling, "funding": p.Funding,
		"pool_cap": p.PoolCap, "pool_every": p.PoolEvery,
	})
}

// SetStatus suspends or reactivates a wallet; it rules from the commit on.
func (l *Ledger) SetStatus(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, s models.WalletStatus) error {
	if err := l.Stir(ctx, tx, agency, 0, wallet); err != nil {
		return err
	}
	if err := l.change(ctx, tx, agency, wallet, map[string]any{"status": s}); err != nil { // locks it
		return err
	}
	return noteStop(tx.WithContext(ctx), agency, s, wallet)
}

// StartCycle notes when the agency's running period began, for pool caps.
func (l *Ledger) StartCycle(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, start models.Time) error {
	return l.change(ctx, tx, agency, wallet, map[string]any{"cycle_start": start})
}

// SetThresholds stores where a wallet counts as low and as critical.
func (l *Ledger) SetThresholds(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, low, critical models.Credits) error {
	return l.change(ctx, tx, agency, wallet, map[string]any{"low_at": low, "critical_at": critical})
}

func (l *Ledger) change(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, columns map[string]any) error {
	l.known.forget(walletKey{agency, wallet})
	columns["version"] = gorm.Expr("version + 1")
	r := tx.WithContext(ctx).Model(&models.Wallet{}).Where("agency_id = ? AND id = ?", agency, wallet).Updates(columns)
	if r.Error == nil && r.RowsAffected == 0 {
		return problem.Missing("wallet")
	}
	return r.Error
}
