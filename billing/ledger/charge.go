package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"refill/billing/problem"
	"refill/models"
)

// ChargeRequest is a priced charge. Its fields are checked by billing.
type ChargeRequest struct {
	Agency      models.AgencyID
	Wallet      models.WalletID
	Key         string // idempotency key, 1–255 bytes
	Fingerprint []byte // SHA-256 of the normalised request
	Action      string
	Model       string
	Usage       string // canonical JSON
	Metadata    string
	Credits     models.Credits // the price
	Units       int64          // for the counters
	Card        models.RateCardID
	CardVersion int
	Test        bool
	OccurredAt  models.Time
	At          models.Time // accepted: booked, priced, drawn and counted at this instant
	DayStart    models.Time // midnight before At in the account's zone, for daily caps
}

// Receipt is a booked charge and who paid it.
type Receipt struct {
	Charge   models.Charge
	Draws    []Draw
	Replayed bool // the answer of an earlier request with the same key
}

// Balance is the addressed wallet's balance right after the charge.
func (r *Receipt) Balance() Balance {
	c := &r.Charge
	return Balance{
		Available: c.AfterPlan + c.AfterPurchased + c.AfterAssigned + c.AfterBonus,
		Held:      c.AfterHeld, Excess: c.AfterExcess,
		Plan: c.AfterPlan, Purchased: c.AfterPurchased, Assigned: c.AfterAssigned, Bonus: c.AfterBonus,
	}
}

// errNeedsPool says that the decision needs the agency's wallet locked too. The
// charger queues the request again with both: a second lock is never taken late.
var errNeedsPool = errors.New("the agency's wallet must be locked as well")

// stage is one step of how a charge is paid: from a wallet's lots, at most cap.
type stage struct {
	account *account
	cap     models.Credits
	pool    bool
}

// leeway is what promised work may use beyond the ordinary limits.
type leeway struct {
	excess models.Credits // beyond the excess limit
	pool   models.Credits // beyond the pool's cap
}

// payment is a planned way to pay, not yet booked.
type payment struct {
	draws  []Draw
	excess models.Credits
	from   *account // whose excess
	pooled models.Credits
}

// chain is the list of stages that feed an account (DESIGN 4.2).
func (b *book) chain(a *account, dayStart models.Time, over models.Credits) ([]stage, error) {
	own := stage{account: a, cap: models.MaxBalance}
	if a.SubAccountID.IsZero() {
		return []stage{own}, nil
	}
	pooled := a.Funding == models.Pooled
	if !pooled && a.PoolCap == 0 {
		return []stage{own}, nil
	}
	pool := b.accounts[a.PoolWalletID]
	if pool == nil && pooled {
		return nil, errNeedsPool
	}
	if pool == nil {
		return []stage{own}, errNeedsPool
	}
	if !pool.InService() && over == 0 { // a suspended agency lends nothing
		if pooled {
			return nil, paused(&pool.Wallet)
		}
		return []stage{own}, nil
	}
	room := models.MaxBalance
	switch {
	case !pool.InService(): // but what it has promised
		room = over
	case a.PoolCap > 0:
		since := b.poolSince(a, dayStart)
		drawn := a.PoolDrawn
		if a.PoolSince < since {
			drawn = 0
		}
		room = max(0, a.PoolCap-drawn) + over
	}
	last := stage{account: pool, cap: room, pool: true}
	if pooled {
		return []stage{last}, nil
	}
	return []stage{own, last}, nil
}

// plan finds who pays an amount: lots by stage, then excess of the last resort.
// It changes nothing.
func (b *book) plan(a *account, amount models.Credits, at, dayStart models.Time, over leeway) (payment, error) {
	var p payment
	stages, needs := b.chain(a, dayStart, over.pool)
	rest := amount
	capped := false
	for _, s := range stages {
		want := min(rest, s.cap)
		draws, missing := s.account.take(want, s.account.stamp(at))
		got := want - missing
		p.draws = append(p.draws, draws...)
		if s.pool {
			p.pooled = got
			capped = want < rest && missing == 0
		}
		rest -= got
	}
	if rest == 0 {
		return p, nil
	}
	if needs != nil {
		return p, needs
	}
	// Excess: a pooled account goes below zero on the agency's wallet within
	// its cap, every other on its own.
	p.from = a
	if stages[0].pool { // a pooled account
		p.from = stages[0].account
		if capped || stages[0].cap-p.pooled < rest {
			return p, b.short(a, amount, amount-rest, true)
		}
	}
	if p.from.ExcessLimit > 0 || over.excess > 0 {
		if b.agencyOf(p.from) == nil {
			return p, errNeedsPool
		}
		if rest <= b.excessRoom(p.from)+over.excess {
			p.excess = rest
			if p.from != a {
				p.pooled += rest
			}
			return p, nil
		}
	}
	return p, b.short(a, amount, amount-rest, false)
}

// short is the refusal of an amount. It binds nothing: the same key may succeed
// later.
func (b *book) short(a *account, required, available models.Credits, capped bool) error {
	message := fmt.Sprintf("%s %s needed and %s %s available.", required.Counted(), required.Are(), available, available.Are())
	switch {
	case capped:
		message += " The agency's pool is capped for this account; raise the cap or wait for the next cycle."
	case a.Held > 0:
		message += fmt.Sprintf(" %s more %s in use by running work: try again when it ends, or add credits.", a.Held, a.Held.Are())
	default:
		message += " Add credits and send the same key again."
	}
	return problem.New(problem.Insufficient, "insufficient_credits", "%s", message).
		With("available", available).With("required", required).With("held", a.Held)
}

// pay books a planned payment and gives the draws with excess included.
func (b *book) pay(a *account, p payment, act models.ActID, at, dayStart models.Time) []Draw {
	for _, d := range p.draws {
		b.move(b.accounts[d.Wallet], b.lots[d.Lot], ChargeDraw, d.Credits, act, at)
	}
	draws := p.draws
	if p.excess > 0 {
		b.move(p.from, nil, ExcessDraw, p.excess, act, at)
		draws = append(draws, Draw{Wallet: p.from.ID, Bucket: models.BucketExcess, Credits: p.excess})
	}
	b.drawPool(a, p.pooled, dayStart)
	return draws
}

// drawPool notes what an account took from the agency's pool, for its cap. It
// counts without a cap too, so that one set later starts from the truth.
func (b *book) drawPool(a *account, amount models.Credits, dayStart models.Time) {
	if amount == 0 {
		return
	}
	since := b.poolSince(a, dayStart)
	if a.PoolSince < since {
		a.PoolSince, a.PoolDrawn = since, 0
	}
	a.PoolDrawn += amount
	a.changed = true
}

// undrawPool gives back what was drawn at an instant, if it still counts.
func (b *book) undrawPool(a *account, amount models.Credits, drawn models.Time) {
	if amount == 0 || drawn < a.PoolSince {
		return
	}
	a.PoolDrawn = max(0, a.PoolDrawn-amount)
	a.changed = true
}

// poolSince is when the running span of an account's pool cap began.
func (b *book) poolSince(a *account, dayStart models.Time) models.Time {
	if a.PoolEvery == models.PoolDay {
		return dayStart
	}
	if pool := b.accounts[a.PoolWalletID]; pool != nil {
		return pool.CycleStart
	}
	return 0
}

// usable is the account a command is for, or why it cannot be used.
func (b *book) usable(id models.WalletID, at models.Time) (*account, error) {
	a := b.accounts[id]
	if a == nil {
		return nil, problem.Missing("wallet")
	}
	if !a.InService() {
		return nil, paused(&a.Wallet)
	}
	// Excess is paid off before anything is drawn; that touches the agency's sum.
	if a.Excess > 0 && b.agencyOf(a) == nil {
		return nil, errNeedsPool
	}
	b.settleChain(a, at)
	return a, nil
}

func paused(w *models.Wallet) error {
	if w.QuarantinedAt > 0 {
		return quarantined()
	}
	return problem.New(problem.Forbidden, "wallet_paused", "This wallet is %s; it can be charged again once it is active.", w.Status)
}

// settleChain settles the excess of every locked account that may pay for a.
func (b *book) settleChain(a *account, at models.Time) {
	b.settleDue(a, at)
	if pool := b.accounts[a.PoolWalletID]; pool != nil {
		b.settleDue(pool, at)
	}
}

// settleDue pays excess off with credits that became spendable by time alone,
// as an act of its own.
func (b *book) settleDue(a *account, at models.Time) {
	at = a.stamp(at)
	if a.Excess == 0 || a.available(at) == 0 {
		return
	}
	act := models.Act{
		AgencyID: a.AgencyID, ID: models.NewID[models.ActID](at), WalletID: a.ID, Kind: "settle", Actor: "clock",
		Seq: a.Seq + 1, CreatedAt: at,
	}
	before := a.Excess
	b.settleExcess(a, act.ID, at)
	act.Credits = before - a.Excess
	b.acts = append(b.acts, act)
}

// replay answers a key that was used before.
func (b *book) replay(k key, fingerprint []byte) (*models.Charge, error) {
	if c := b.byKey[k]; c != nil {
		if !bytes.Equal(c.Fingerprint, fingerprint) {
			return nil, problem.KeyReused()
		}
		return c, nil
	}
	return nil, nil //nolint:nilnil // a new key: neither an answer nor a refusal
}

// charge decides one charge and books it in memory.
func (b *book) charge(r *ChargeRequest) (Receipt, error) {
	k := key{r.Agency, r.Key}
	if old, err := b.replay(k, r.Fingerprint); old != nil || err != nil {
		return Receipt{Charge: deref(old), Draws: b.paid[k], Replayed: true}, err
	}
	a, err := b.usable(r.Wallet, r.At)
	if err != nil {
		return Receipt{}, err
	}
	c := r.row()
	if r.Test {
		c.WouldCost, c.Credits = r.Credits, 0
		return b.finish(a, c, nil, k, r.At)
	}
	p, err := b.plan(a, r.Credits, r.At, r.DayStart, leeway{})
	if err != nil {
		return Receipt{}, err
	}
	draws := b.pay(a, p, models.ActID(c.ID), r.At, r.DayStart)
	return b.finish(a, c, draws, k, r.At)
}

// row is the charge as it will be stored, before it is paid.
func (r *ChargeRequest) row() *models.Charge {
	return &models.Charge{
		AgencyID: r.Agency, ID: models.NewID[models.ChargeID](r.At), WalletID: r.Wallet,
		IdempotencyKey: r.Key, Fingerprint: r.Fingerprint,
		Action: r.Action, Model: r.Model, Usage: r.Usage, Metadata: r.Metadata,
		Credits: r.Credits, Units: r.Units, CardID: r.Card, CardVersion: r.CardVersion, Test: r.Test,
		OccurredAt: r.OccurredAt, CreatedAt: r.At,
	}
}

// finish stamps a paid charge with the balance after it, counts it and keeps it
// for writing and for later requests of the same batch.
func (b *book) finish(a *account, c *models.Charge, draws []Draw, k key, at models.Time) (Receipt, error) {
	if a.UsedAt == 0 && !c.Test {
		a.UsedAt, a.changed = at, true
	}
	c.CreatedAt = max(c.CreatedAt, a.stamp(at))
	// An account fed from the pool shows its own lots, never the agency's balance.
	draws = inOrder(a.ID, draws)
	after := a.balance(c.CreatedAt)
	c.AfterPlan, c.AfterPurchased, c.AfterAssigned, c.AfterBonus = after.Plan, after.Purchased, after.Assigned, after.Bonus
	c.AfterHeld, c.AfterExcess = after.Held, after.Excess
	c.State = string(b.stateAfter(a, after, draws))
	b.locate(a, c)
	b.tally(a, c, draws)
	b.charges = append(b.charges, c)
	b.byKey[k], b.paid[k] = c, draws
	return Receipt{Charge: *c, Draws: draws}, nil
}

// stateAfter is the state a caller sees: an account fed from the pool is paused
// upstream when the pool is dry, and one that falls back on the pool goes on
// while that has credits for it.
func (b *book) stateAfter(a *account, after Balance, draws []Draw) State {
	if a.Funding != models.Pooled {
		s := StateOf(a.Wallet, after)
		if s == StatePaused && a.InService() && b.fallsBack(a, draws) {
			return StateLow
		}
		return s
	}
	if pool := b.accounts[a.PoolWalletID]; pool != nil {
		s := StateOf(pool.Wallet, pool.balance(pool.LastAt))
		if s == StatePaused {
			return StateUpstream
		}
	}
	return StateHealthy
}

// fallsBack tells whether the agency's pool goes on where an account's own credits
// end, as far as the book knows it: a pool that was not needed is not locked.
func (b *book) fallsBack(a *account, draws []Draw) bool {
	if a.PoolCap == 0 || a.SubAccountID.IsZero() {
		return false
	}
	pool := b.accounts[a.PoolWalletID]
	if pool != nil && (!pool.InService() || pool.available(pool.LastAt) == 0) {
		return false
	}
	for i := range draws {
		if draws[i].Wallet == a.PoolWalletID { // then what was drawn is counted in the running span
			return a.PoolDrawn < a.PoolCap
		}
	}
	return true
}

// locate notes where the charge's entries begin on each wallet, so that reading
// a charge needs no index on acts. The entries of an act are the book's last.
func (b *book) locate(a *account, c *models.Charge) {
	for i := len(b.entries) - 1; i >= 0 && b.entries[i].ActID == models.ActID(c.ID); i-- {
		if e := &b.entries[i]; e.WalletID == a.ID {
			c.Seq = e.Seq
		} else {
			c.PoolWalletID, c.PoolSeq = e.WalletID, e.Seq
		}
	}
}

// tally counts the charge once, under the wallet that paid first, and its
// credits under each wallet that paid.
func (b *book) tally(a *account, c *models.Charge, draws []Draw) {
	base := models.UsageQuarter{Units: c.Units, Charges: 1}
	if c.Test {
		base = models.UsageQuarter{Tests: 1}
	}
	byWallet := map[models.WalletID]*models.UsageQuarter{}
	order := make([]models.WalletID, 0, 2)
	for _, d := range draws {
		row := byWallet[d.Wallet]
		if row == nil {
			row = &models.UsageQuarter{}
			if len(order) == 0 {
				*row = base
			}
			byWallet[d.Wallet] = row
			order = append(order, d.Wallet)
		}
		inBucket(row, d.Bucket, d.Credits)
	}
	if len(order) == 0 {
		b.count(c, a, base, c.CreatedAt)
		return
	}
	for _, id := range order {
		paid, row := b.accounts[id], byWallet[id]
		row.LastSeq, row.Balance = paid.Seq, paid.Balance
		row.FirstSeq = c.Seq
		if id != a.ID {
			row.FirstSeq = c.PoolSeq
		}
		b.count(c, paid, *row, c.CreatedAt)
	}
}

// inOrder puts a charge's draws into the order every answer gives them: own
// lots, the pool's lots, excess; each as they were booked.
func inOrder(own models.WalletID, draws []Draw) []Draw {
	rank := func(d Draw) int {
		switch {
		case d.Bucket == models.BucketExcess:
			return 2
		case d.Wallet != own:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(draws, func(x, y Draw) int { return rank(x) - rank(y) })
	return draws
}

func deref(c *models.Charge) models.Charge {
	if c == nil {
		return models.Charge{}
	}
	return *c
}

func encodeDraws(draws []Draw) string {
	out, err := json.Marshal(draws)
	if err != nil {
		return "[]" // a slice of plain values always encodes
	}
	return string(out)
}

func decodeDraws(s string) ([]Draw, error) {
	var out []Draw
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		return nil, fmt.Errorf("read the draws of a hold: %w", err)
	}
	return out, nil
}
