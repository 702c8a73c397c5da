package ledger

import (
	"context"
	"maps"
	"slices"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// Share is what one wallet gets of many.
type Share struct {
	To      models.WalletID
	Credits models.Credits
}

// SpreadRequest assigns credits of an agency's wallet to many clients at once.
type SpreadRequest struct {
	Agency    models.AgencyID
	From      models.WalletID
	Shares    []Share // each wallet once
	Actor     string
	Note      string
	Reference string // what the acts belong to
	At        models.Time
}

// Spread assigns every share, or nothing: one act for each, in the order asked,
// as Assign draws. Errors: insufficient_credits, for all of them together.
func (l *Ledger) Spread(ctx context.Context, tx *gorm.DB, r SpreadRequest) ([]models.Act, error) {
	ids := []models.WalletID{r.From}
	var total models.Credits
	for _, s := range r.Shares {
		if err := positive(s.Credits); err != nil {
			return nil, err
		}
		ids, total = append(ids, s.To), total+s.Credits
	}
	c, err := l.lock(ctx, tx, r.Agency, ids...)
	if err != nil {
		return nil, err
	}
	from := c.accounts[r.From]
	at := r.At
	for _, id := range ids {
		at = c.accounts[id].stamp(at)
	}
	c.settleDue(from, at)
	if have := from.available(at); have < total || from.Excess > 0 {
		return nil, c.short(from, total, max(0, have-from.Excess), false)
	}
	var out []models.Act
	for _, s := range r.Shares {
		to := c.accounts[s.To]
		draws, _ := from.take(s.Credits, at)
		if err := to.roomFor(s.Credits, len(draws)); err != nil {
			return nil, err
		}
		t := TransferRequest{Credits: s.Credits, Actor: r.Actor, Note: r.Note}
		act := c.transferAct(from, to, "assign", t, at)
		booked := len(c.acts) - 1
		c.acts[booked].Reference = r.Reference
		for _, d := range draws {
			if _, err := c.carve(from, to, d, models.Lot{Source: models.SourceAssigned, Note: r.Note}, AssignOut, AssignIn, act, at); err != nil {
				return nil, err
			}
		}
		c.settleExcess(to, act, at)
		out = append(out, c.acts[booked])
	}
	return out, c.write(ctx)
}

// RecallRequest takes back what is unspent of assignments.
type RecallRequest struct {
	Agency    models.AgencyID
	To        models.WalletID // the agency's
	Acts      []models.Act    // assignments out of it
	Actor     string
	Note      string
	Reference string
	At        models.Time
}

// Recalled is what came back of one assignment: Act is zero where nothing was
// left of it.
type Recalled struct {
	Of      models.ActID
	Act     models.Act
	Credits models.Credits
}

// Recall returns what is unspent of the very lots that assignments made, to the
// lots they were carved from. Nothing may be left: then nothing is booked.
func (l *Ledger) Recall(ctx context.Context, tx *gorm.DB, r RecallRequest) ([]Recalled, error) {
	ids := []models.WalletID{r.To}
	for i := range r.Acts {
		ids = append(ids, r.Acts[i].OtherWalletID)
	}
	slices.SortFunc(ids, models.WalletID.Compare)
	c, err := l.lock(ctx, tx, r.Agency, slices.Compact(ids)...)
	if err != nil {
		return nil, err
	}
	to := c.accounts[r.To]
	at := r.At
	for _, a := range c.accounts {
		at = a.stamp(at)
	}
	made, err := madeBy(tx, r.Acts)
	if err != nil {
		return nil, err
	}
	var out []Recalled
	for i := range r.Acts {
		act := &r.Acts[i]
		one, err := c.recall(tx, act, made, to, &r, at)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, c.write(ctx)
}

// recall books the way back of one assignment.
func (c *cold) recall(tx *gorm.DB, of *models.Act, made map[models.LotID]models.ActID, to *account, r *RecallRequest, at models.Time) (Recalled, error) {
	from := c.accounts[of.OtherWalletID]
	var children []*models.Lot
	var unspent models.Credits
	for _, lot := range slices.Backward(from.lots) {
		if made[lot.ID] == of.ID && spendable(lot, at) {
			children = append(children, lot)
			unspent += lot.Remaining
		}
	}
	out := Recalled{Of: of.ID, Credits: unspent}
	if unspent == 0 {
		return out, nil
	}
	t := TransferRequest{Credits: unspent, Actor: r.Actor, Note: r.Note}
	act := c.transferAct(from, to, "return", t, at)
	booked := len(c.acts) - 1
	c.acts[booked].Reference = r.Reference
	for _, child := range children {
		if err := c.giveUp(tx, from, to, child, child.Remaining, act, at); err != nil {
			return out, err
		}
	}
	c.settleExcess(to, act, at)
	out.Act = c.acts[booked]
	return out, nil
}

// namedAtOnce is how many acts, or lots, one statement names.
const namedAtOnce = 400

// madeBy are the lots that an agency's assignments put into their clients' wallets,
// each with the one assignment that made it.
func madeBy(tx *gorm.DB, acts []models.Act) (map[models.LotID]models.ActID, error) {
	out := make(map[models.LotID]models.ActID, len(acts))
	for part := range slices.Chunk(acts, namedAtOnce) {
		ids := make([]models.ActID, len(part))
		for i := range part {
			ids[i] = part[i].ID
		}
		var made []struct {
			ActID models.ActID
			LotID models.LotID
		}
		// Entries are found by their wallet and place: the first of an act tells where.
		if err := tx.Table("acts a").Select("e.act_id, e.lot_id").
			Joins(`JOIN entries e ON e.agency_id = a.agency_id AND e.wallet_id = a.other_wallet_id AND e.seq >= a.other_seq AND e.seq < a.other_seq + ?
				AND e.act_id = a.id AND e.kind = ?`, 2*maxDraws, AssignIn).
			Where("a.agency_id = ? AND a.id IN ?", part[0].AgencyID, ids).Scan(&made).Error; err != nil {
			return nil, err
		}
		for _, m := range made {
			out[m.LotID] = m.ActID
		}
	}
	return out, nil
}

// Unspent is what could be taken back now of the lots that each of an agency's
// assignments made.
func (l *Ledger) Unspent(tx *gorm.DB, acts []models.Act, at models.Time) (map[models.ActID]models.Credits, error) {
	out := make(map[models.ActID]models.Credits, len(acts))
	made, err := madeBy(tx, acts)
	if err != nil {
		return nil, err
	}
	for ids := range slices.Chunk(slices.Collect(maps.Keys(made)), namedAtOnce) {
		var lots []models.Lot
		if err := tx.Where("agency_id = ? AND id IN ?", acts[0].AgencyID, ids).Find(&lots).Error; err != nil {
			return nil, err
		}
		for i := range lots {
			if spendable(&lots[i], at) {
				out[made[lots[i].ID]] += lots[i].Remaining
			}
		}
	}
	return out, nil
}

// giveUp moves a part of a carved lot back to its parent.
func (c *cold) giveUp(tx *gorm.DB, from, to *account, child *models.Lot, part models.Credits, act models.ActID, at models.Time) error {
	parent, err := c.parent(tx, child, to)
	if err != nil {
		return err
	}
	c.move(from, child, ReturnOut, part, act, at)
	c.move(to, parent, ReturnIn, part, act, at)
	return nil
}

// PassRequest moves unspent assigned credits from one client to another.
type PassRequest struct {
	Agency      models.AgencyID
	Over        models.WalletID // the agency's
	From, To    models.WalletID
	Credits     models.Credits
	Actor       string
	Note        string
	Key         string
	Fingerprint []byte
	At          models.Time
}

// Passed is a booked move: the return, which has the key, and the assignment.
type Passed struct {
	Out, In  models.Act
	Replayed bool // Out is the act of an earlier request with the same key
}

// Pass returns unspent assigned credits of one client to the lots they were
// carved from and carves another client's out of those very lots, so that kind,
// expiry and cost go along and the agency's own credits stay as they are. It is
// booked as a return and an assignment: what one client's history says names no
// other. Errors: insufficient_credits.
func (l *Ledger) Pass(ctx context.Context, tx *gorm.DB, r PassRequest) (Passed, error) {
	c, err := l.lock(ctx, tx, r.Agency, r.Over, r.From, r.To)
	if err != nil {
		return Passed{}, err
	}
	if err := positive(r.Credits); err != nil {
		return Passed{}, err
	}
	over, from, to := c.accounts[r.Over], c.accounts[r.From], c.accounts[r.To]
	at := max(over.stamp(r.At), from.stamp(r.At), to.stamp(r.At))
	var unspent models.Credits
	var children []*models.Lot
	for _, lot := range slices.Backward(from.lots) {
		if lot.Source == models.SourceAssigned && spendable(lot, at) {
			children = append(children, lot)
			unspent += lot.Remaining
		}
	}
	if unspent < r.Credits {
		return Passed{}, problem.New(problem.Insufficient, "insufficient_credits",
			"%s of those assigned %s unspent; you can move up to that.", unspent.Counted(), unspent.Are()).On("credits").
			With("available", unspent).With("required", r.Credits)
	}
	if err := to.roomFor(r.Credits, len(children)); err != nil {
		return Passed{}, err
	}
	type piece struct {
		parent  *models.Lot
		credits models.Credits
	}
	var pieces []piece
	t := TransferRequest{Credits: r.Credits, Actor: r.Actor, Note: r.Note, Key: r.Key, Fingerprint: r.Fingerprint}
	act := c.transferAct(from, over, "return", t, at)
	booked := len(c.acts) - 1
	rest := r.Credits
	for _, child := range children {
		part := min(rest, child.Remaining)
		if part == 0 {
			break
		}
		parent, err := c.parent(tx, child, over)
		if err != nil {
			return Passed{}, err
		}
		c.move(from, child, ReturnOut, part, act, at)
		c.move(over, parent, ReturnIn, part, act, at)
		pieces = append(pieces, piece{parent, part})
		rest -= part
	}
	t.Key = ""
	in := c.transferAct(over, to, "assign", t, at)
	second := len(c.acts) - 1
	c.acts[second].Reference, c.acts[booked].Reference = act.String(), in.String()
	for _, p := range pieces {
		d := Draw{Wallet: over.ID, Lot: p.parent.ID, Bucket: p.parent.Source.Bucket(), Credits: p.credits}
		if _, err := c.carve(over, to, d, models.Lot{Source: models.SourceAssigned, Note: r.Note}, PassOut, AssignIn, in, at); err != nil {
			return Passed{}, err
		}
	}
	c.settleExcess(to, in, at)
	return Passed{Out: c.acts[booked], In: c.acts[second]}, c.write(ctx)
}
