package ledger

import (
	"context"
	"fmt"
	"math/bits"
	"slices"

	"gorm.io/gorm"

	"refill/models"
)

// A payment that goes back takes the credits it bought with it. What is taken
// follows from how the payment stands, not from what happened to it: the same
// standing leaves the same credits, whatever came before it and in whatever
// order.

// Standing is how the money of a payment stands, in minor units.
type Standing struct {
	Paid     int64
	Refunded int64 // back, or on its way back
	Disputed int64 // taken by the bank until a dispute is decided
	Lost     int64 // taken by the bank for good
}

// Target is how many of a purchase's credits a payment's standing revokes, and
// how many more it freezes: the part of the money that is gone, rounded up to a
// millionth of a credit, and exactly all once all of it is.
func (s Standing) Target(credits models.Credits) (revoked, frozen models.Credits) {
	revoked = s.share(credits, s.Refunded+s.Lost)
	return revoked, s.share(credits, s.Refunded+s.Lost+s.Disputed) - revoked
}

func (s Standing) share(credits models.Credits, gone int64) models.Credits {
	switch {
	case gone <= 0 || s.Paid <= 0:
		return 0
	case gone >= s.Paid:
		return credits
	}
	hi, lo := bits.Mul64(uint64(credits), uint64(gone)) //nolint:gosec // neither is negative
	lo, carry := bits.Add64(lo, uint64(s.Paid-1), 0)    // up
	part, _ := bits.Div64(hi+carry, lo, uint64(s.Paid))
	return models.Credits(part) //nolint:gosec // below credits
}

// Revocation is what is booked of a purchase's credits.
type Revocation struct {
	Taken models.Credits // out of the purchase's own lots
	// Spent is what had been used of the revoked: the buyer of a pack owes it as
	// excess, the seller of a package has lost it.
	Spent  models.Credits
	Frozen models.Credits // in the purchase's lots, for nobody to draw on
}

// Revoked is all that is revoked.
func (r Revocation) Revoked() models.Credits { return r.Taken + r.Spent }

// RevokeRequest brings the credits of a purchase to what its payment's standing
// asks for.
type RevokeRequest struct {
	Agency   models.AgencyID
	Wallet   models.WalletID // the buyer's
	Seller   models.WalletID // the agency's own, of a sale; zero: a pack, sold by the platform
	Purchase models.PurchaseID
	Lot      models.LotID // a reward that hangs on a payment, in place of Purchase
	Revoked  models.Credits
	Frozen   models.Credits
	Unspent  bool // takes what is unspent and no more: nobody owes the rest
	Actor    string
	Note     string
	At       models.Time
}

// of is what the acts of Revoke name.
func (r *RevokeRequest) of() string {
	if !r.Lot.IsZero() {
		return r.Lot.String()
	}
	return r.Purchase.String()
}

// Revoked is a purchase's credits after Revoke, and the buyer's balance around
// it.
type Revoked struct {
	Revocation

	Waiting  models.Credits // of a sale: to be given back to the client, once its seller has them again
	CostBack int64          // of a sale: what the credits taken had cost the seller, lot by lot, in minor units
	Act      models.ActID   // zero: nothing was moved
	Before   Balance
	After    Balance
}

// The kinds of acts that Revoke books.
const (
	actRefund  = "refund"  // the revoked credits changed
	actDispute = "dispute" // only the frozen ones did
)

// Revoke takes, freezes and gives back what a purchase bought, up to the target.
// Credits are taken out of the purchase's own lots only, in the order they would be
// drawn in, and given back in the opposite one; what of them was used
// becomes excess of a pack's buyer and is paid off like all excess, and is the
// loss of a package's seller, whose unspent credits go back to the very lots they
// came from. Doing it again changes nothing.
func (l *Ledger) Revoke(ctx context.Context, tx *gorm.DB, r RevokeRequest) (Revoked, error) {
	wallets := []models.WalletID{r.Wallet}
	if !r.Seller.IsZero() {
		wallets = append(wallets, r.Seller)
	}
	c, err := l.lock(ctx, tx, r.Agency, wallets...)
	if err != nil {
		return Revoked{}, err
	}
	v, err := c.revoker(tx, &r)
	if err != nil {
		return Revoked{}, err
	}
	out := Revoked{Before: v.buyer.balance(v.at)}
	for again := true; again; {
		was := v.is
		if err := v.adjust(ctx, tx); err != nil {
			return Revoked{}, fmt.Errorf("revoke %s: %w", r.of(), err)
		}
		// What paid a pack's debt off may have come back into its own lots.
		again = v.seller == nil && v.is != was
	}
	out.Revocation, out.Waiting, out.Act, out.After = v.is, v.waiting, v.act, v.buyer.balance(v.at)
	if v.seller != nil {
		if out.CostBack, err = v.costBack(); err != nil {
			return Revoked{}, fmt.Errorf("cost of what went back of %s: %w", r.of(), err)
		}
	}
	if v.act.IsZero() {
		return out, nil
	}
	return out, c.write(ctx)
}

// revoker is one Revoke under way.
type revoker struct {
	*cold
	r       *RevokeRequest
	buyer   *account
	seller  *account // nil: a pack
	at      models.Time
	act     models.ActID
	lots    []*purchasedLot
	is      Revocation
	waiting models.Credits
}

// purchasedLot is a lot of the purchase and what was done to it.
type purchasedLot struct {
	*models.Lot
	taken, frozen models.Credits
	came          models.Credits // into one that has expired, by this Revoke
}

func (c *cold) revoker(tx *gorm.DB, r *RevokeRequest) (*revoker, error) {
	v := &revoker{cold: c, r: r, buyer: c.accounts[r.Wallet]}
	v.at = v.buyer.stamp(r.At)
	if !r.Seller.IsZero() {
		v.seller = c.accounts[r.Seller]
		v.at = max(v.at, v.seller.stamp(r.At))
	}
	ids := []models.LotID{r.Lot}
	if r.Lot.IsZero() {
		if err := tx.Model(&models.Lot{}).Where("agency_id = ? AND wallet_id = ? AND purchase_id = ?", r.Agency, r.Wallet, r.Purchase).
			Pluck("id", &ids).Error; err != nil {
			return nil, err
		}
	}
	for _, id := range ids {
		lot, err := c.lot(tx, r.Agency, id)
		if err != nil {
			return nil, err
		}
		v.lots = append(v.lots, &purchasedLot{Lot: lot})
	}
	slices.SortFunc(v.lots, func(a, b *purchasedLot) int { return drawOrder(a.Lot, b.Lot) })
	return v, v.booked(tx)
}

// booked adds up what earlier acts did.
func (v *revoker) booked(tx *gorm.DB) error {
	var acts []models.Act
	err := tx.Where("agency_id = ? AND wallet_id = ? AND reference = ? AND kind IN ('"+actRefund+"', '"+actDispute+"')", // as the index says it
		v.r.Agency, v.r.Wallet, v.r.of()).Find(&acts).Error
	if err != nil {
		return err
	}
	for i := range acts {
		var entries []models.Entry
		// An act's entries stand together: those of one wallet are within a bound.
		err := tx.Where("agency_id = ? AND wallet_id = ? AND seq >= ? AND seq < ? AND act_id = ?",
			v.r.Agency, v.r.Wallet, acts[i].Seq, acts[i].Seq+entriesOfRevoke, acts[i].ID).Find(&entries).Error
		if err != nil {
			return err
		}
		for _, e := range entries {
			v.replay(&e)
		}
	}
	for _, l := range v.lots {
		v.is.Taken += l.taken
		v.is.Frozen += l.frozen
	}
	return nil
}

// entriesOfRevoke bounds the entries one Revoke books on a wallet: a few for each
// open lot.
const entriesOfRevoke = 8 * maxDraws

func (v *revoker) replay(e *models.Entry) {
	switch Kind(e.Kind) { //nolint:exhaustive // others stand on lots
	case ClawbackExcess:
		v.is.Spent += e.Amount
		return
	case ReinstateExcess:
		v.is.Spent -= e.Amount
		return
	}
	i := slices.IndexFunc(v.lots, func(l *purchasedLot) bool { return l.ID == e.LotID })
	if i < 0 {
		return // another lot, which paid excess off
	}
	switch l := v.lots[i]; Kind(e.Kind) { //nolint:exhaustive // others only pay excess off
	case Clawback, ReturnOut:
		l.taken += e.Amount
	case Reinstate, ResellIn:
		l.taken -= e.Amount
	case Freeze:
		l.frozen += e.Amount
	case Unfreeze:
		l.frozen -= e.Amount
	}
}

// adjust moves what differs from the target. What the purchase's lots still have,
// taken and frozen included, is taken first and frozen then.
func (v *revoker) adjust(ctx context.Context, tx *gorm.DB) error {
	left := v.is.Taken + v.is.Frozen
	for _, l := range v.lots {
		left += l.free(v.at)
	}
	var want Revocation
	want.Taken = max(min(v.r.Revoked, left), v.gone())
	if !v.r.Unspent {
		want.Spent = max(0, v.r.Revoked-want.Taken)
	}
	want.Frozen = min(v.r.Frozen, left-want.Taken)
	if v.seller != nil {
		v.is.Spent = want.Spent // a loss moves nothing
	}
	if want == v.is {
		return nil
	}
	was := v.is
	v.begin(want)
	v.unfreeze(v.is.Frozen - want.Frozen)
	if err := v.giveBack(tx, v.is.Taken-want.Taken); err != nil {
		return err
	}
	if owed := v.is.Spent - want.Spent; owed > 0 {
		if err := v.giveExcessBack(ctx, tx, v.buyer, ReinstateExcess, owed, v.act, v.at); err != nil {
			return err
		}
	}
	if err := v.take(tx, want.Taken-v.is.Taken); err != nil {
		return err
	}
	if used := want.Spent - v.is.Spent; used > 0 {
		v.move(v.buyer, nil, ClawbackExcess, used, v.act, v.at)
	}
	want.Frozen -= v.freeze(want.Frozen - v.is.Frozen)
	v.expire()
	v.settleExcess(v.buyer, v.act, v.at)
	if v.seller != nil {
		v.settleExcess(v.seller, v.act, v.at)
	}
	v.is = want
	v.is.Taken += v.waiting
	if v.waiting > 0 {
		v.moved(was)
	}
	return nil
}

// moved leaves out of the act what waits, and the act if all of it does.
func (v *revoker) moved(was Revocation) {
	act := &v.acts[len(v.acts)-1]
	if v.buyer.Seq < act.Seq {
		v.acts, v.act = v.acts[:len(v.acts)-1], models.ActID{}
		return
	}
	act.Credits = was.Frozen + was.Taken - v.is.Frozen - v.is.Taken
	if v.seller.Seq < act.OtherSeq {
		act.OtherWalletID, act.OtherSeq = models.WalletID{}, 0
	}
}

// gone is what was taken out of lots that have expired since: a month's credits do
// not come back once the month is over.
func (v *revoker) gone() models.Credits {
	var out models.Credits
	for _, l := range v.lots {
		if v.seller != nil && l.ExpiresAt <= v.at {
			out += l.taken
		}
	}
	return out
}

func (v *revoker) begin(want Revocation) {
	kind, change := actDispute, v.is.Frozen-want.Frozen
	if want.Revoked() != v.is.Revoked() || want.Taken != v.is.Taken {
		kind, change = actRefund, v.is.Frozen+v.is.Taken-want.Frozen-want.Taken
		if v.seller == nil {
			change += v.is.Spent - want.Spent
		}
	}
	v.act = v.cold.act(v.buyer, kind, change, v.r.Actor, v.r.Note, v.r.of(), v.at)
	if v.seller != nil && kind == actRefund {
		act := &v.acts[len(v.acts)-1]
		act.OtherWalletID, act.OtherSeq = v.seller.ID, v.seller.Seq+1
	}
}

// free is what a lot has for the taking. Of one that expired it is what a dispute or
// a refund kept from its owner until now: that was not used.
func (l *purchasedLot) free(at models.Time) models.Credits {
	if l.ExpiresAt <= at {
		return l.came
	}
	return l.Remaining
}

// expire books what came into expired lots and stays there: they were closed.
func (v *revoker) expire() {
	for _, l := range v.lots {
		if l.ExpiresAt <= v.at {
			v.move(v.buyer, l.Lot, Expire, l.came, v.act, v.at)
		}
		l.came = 0
	}
}

func (v *revoker) unfreeze(amount models.Credits) {
	for _, l := range v.lots {
		part := max(0, min(amount, l.frozen))
		v.move(v.buyer, l.Lot, Unfreeze, part, v.act, v.at)
		l.frozen -= part
		l.came += part
		amount -= part
	}
}

// freeze gives what it found nothing to freeze of: it waits with what the seller has
// to give back.
func (v *revoker) freeze(amount models.Credits) (missing models.Credits) {
	for _, l := range v.lots {
		part := max(0, min(amount, l.free(v.at)))
		v.move(v.buyer, l.Lot, Freeze, part, v.act, v.at)
		l.frozen += part
		l.came -= part
		amount -= part
	}
	return max(0, amount)
}

// take takes credits out of the purchase's lots: back to the platform, or into
// the seller's lots that they were carved from.
func (v *revoker) take(tx *gorm.DB, amount models.Credits) error {
	for _, l := range v.lots {
		part := min(amount, l.free(v.at))
		if part <= 0 {
			continue
		}
		amount -= part
		l.came -= part
		l.taken += part
		if v.seller == nil {
			v.move(v.buyer, l.Lot, Clawback, part, v.act, v.at)
			continue
		}
		parent, err := v.parent(tx, l)
		if err != nil {
			return err
		}
		v.move(v.buyer, l.Lot, ReturnOut, part, v.act, v.at)
		v.move(v.seller, parent, ReturnIn, part, v.act, v.at)
	}
	return nil
}

// giveBack undoes take. A seller gives what its lots still have; the rest waits.
func (v *revoker) giveBack(tx *gorm.DB, amount models.Credits) error {
	for _, l := range slices.Backward(v.lots) {
		part := min(amount, l.taken)
		if part <= 0 || v.seller != nil && l.ExpiresAt <= v.at {
			continue
		}
		if v.seller == nil {
			v.move(v.buyer, l.Lot, Reinstate, part, v.act, v.at)
			l.came += part
			l.taken -= part
			amount -= part
			continue
		}
		parent, err := v.parent(tx, l)
		if err != nil {
			return err
		}
		if part = min(part, parent.Remaining); parent.ExpiresAt <= v.at {
			part = 0
		}
		v.move(v.seller, parent, ResellOut, part, v.act, v.at)
		v.move(v.buyer, l.Lot, ResellIn, part, v.act, v.at)
		l.taken -= part
		amount -= part
	}
	v.waiting = max(0, amount)
	return nil
}

// costBack is what the credits that were taken had cost: those of each lot at its
// own cost, for a sale may have come from several packs.
func (v *revoker) costBack() (int64, error) {
	var out int64
	for _, l := range v.lots {
		part, err := models.MulDiv(l.Cost, int64(l.taken), int64(l.Granted))
		if err != nil {
			return 0, err
		}
		out += part
	}
	return out, nil
}

func (v *revoker) parent(tx *gorm.DB, l *purchasedLot) (*models.Lot, error) {
	parent, err := v.lot(tx, v.r.Agency, l.ParentLotID)
	if err == nil && parent.WalletID != v.seller.ID {
		err = fmt.Errorf("lot %s was not carved from wallet %s", l.ID, v.seller.ID)
	}
	return parent, err
}
