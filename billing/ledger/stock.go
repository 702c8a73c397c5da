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

// Stock is what an agency may sell on: purchased credits that never expire, for
// its clients' never do either. A checkout keeps its part of the stock from when
// the buyer may pay until they paid or can no longer, so that two buyers never
// get the same credits.

// StockRequest keeps stock of an agency for a purchase.
type StockRequest struct {
	Agency   models.AgencyID
	Wallet   models.WalletID // the agency's own
	Purchase models.PurchaseID
	Credits  models.Credits
	At       models.Time
}

// actionSale is what a hold of stock names as its action.
const actionSale = "sale"

// HoldStock keeps stock until Sell or ReleaseStock; the clock never ends it, for
// only the payment provider knows whether the buyer still can pay. Errors:
// out_of_stock, wallet_paused.
func (l *Ledger) HoldStock(ctx context.Context, tx *gorm.DB, r StockRequest) (models.Hold, error) {
	c, err := l.lock(ctx, tx, r.Agency, r.Wallet)
	if err != nil {
		return models.Hold{}, err
	}
	a, err := c.usable(r.Wallet, r.At)
	if err != nil {
		return models.Hold{}, err
	}
	if err := positive(r.Credits); err != nil {
		return models.Hold{}, err
	}
	at := a.stamp(r.At)
	draws, missing := a.purchased().take(r.Credits, at)
	if missing > 0 || a.Excess > 0 {
		return models.Hold{}, outOfStock()
	}
	h := &models.Hold{
		AgencyID: r.Agency, ID: models.NewID[models.HoldID](at), WalletID: r.Wallet, PurchaseID: r.Purchase,
		IdempotencyKey: actionSale + ":" + r.Purchase.String(), Fingerprint: r.Purchase[:], Action: actionSale,
		Credits: r.Credits, Draws: encodeDraws(draws), State: models.HoldOpen, ExpiresAt: models.Never, CreatedAt: at,
	}
	for _, d := range draws {
		c.move(a, c.lots[d.Lot], StockDraw, d.Credits, models.ActID(h.ID), at)
	}
	c.holds[h.ID] = h
	c.newHolds = append(c.newHolds, h.ID)
	return *h, c.write(ctx)
}

// outOfStock tells nothing of what the agency has: it is a client who reads it.
func outOfStock() error {
	return problem.New(problem.Conflict, "out_of_stock", "These credits cannot be sold right now. You have not been charged.")
}

// stockOf reads the hold that keeps stock for a purchase; nil when none was made.
// The agency's wallet is locked by then, so its state stands.
func (c *cold) stockOf(tx *gorm.DB, agency models.AgencyID, purchase models.PurchaseID) (*models.Hold, []Draw, error) {
	h := &models.Hold{}
	err := tx.Where("agency_id = ? AND purchase_id = ?", agency, purchase).Take(h).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the stock kept for %s: %w", purchase, err)
	}
	c.holds[h.ID] = h
	draws, err := decodeDraws(h.Draws)
	return h, draws, err
}

// ReleaseStock gives kept stock back to the lots it came from; again changes
// nothing.
func (l *Ledger) ReleaseStock(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, purchase models.PurchaseID, at models.Time) error {
	c, err := l.lock(ctx, tx, agency, wallet)
	if err != nil {
		return err
	}
	h, draws, err := c.stockOf(tx, agency, purchase)
	if err != nil || h == nil || h.State != models.HoldOpen {
		return err
	}
	c.letGo(h, draws, models.HoldReleased, c.accounts[wallet].stamp(at))
	return c.write(ctx)
}

// SaleRequest moves what a client bought from the agency's stock to the client.
type SaleRequest struct {
	Agency   models.AgencyID
	From, To models.WalletID // the agency's own, the client's
	Purchase models.PurchaseID
	Credits  models.Credits
	Actor    string
	Note     string // shown to both
	At       models.Time
	// ExpiresAt is when the client's credits expire that were sold for a month: they
	// are drawn first then. 0: as those they come from.
	ExpiresAt models.Time
}

// Sold is a booked sale.
type Sold struct {
	Act      models.Act
	ToBefore Balance
	ToAfter  Balance
	Cost     int64 // of the very lots that were moved, minor units
	Replayed bool  // sold before: no balances
}

// Sell moves the stock kept for a purchase into the client's wallet, as
// purchased credits that pay off its excess first. Where the stock was let go
// meanwhile, what is for sale now is taken instead. It happens once per purchase.
// Errors: out_of_stock, balance_too_large, too_many_lots.
func (l *Ledger) Sell(ctx context.Context, tx *gorm.DB, r SaleRequest) (Sold, error) {
	c, err := l.lock(ctx, tx, r.Agency, r.From, r.To)
	if err != nil {
		return Sold{}, err
	}
	idempotencyKey := actionSale + ":" + r.Purchase.String()
	if act, done, err := l.ActByKey(tx, r.Agency, idempotencyKey, r.Purchase[:]); done || err != nil {
		return Sold{Act: act, Replayed: done}, err
	}
	from, to := c.accounts[r.From], c.accounts[r.To]
	at := max(from.stamp(r.At), to.stamp(r.At))
	h, draws, err := c.stockOf(tx, r.Agency, r.Purchase)
	if err != nil {
		return Sold{}, err
	}
	out := SellHeld
	if h == nil || h.State != models.HoldOpen {
		out = SellOut
		c.settleDue(from, at)
		free, missing := from.purchased().take(r.Credits, at)
		if missing > 0 || from.Excess > 0 {
			return Sold{}, outOfStock()
		}
		draws = free
	}
	if err := to.roomFor(r.Credits, len(draws), r.Purchase); err != nil {
		return Sold{}, err
	}
	sold := Sold{ToBefore: to.balance(at)}
	act := c.transferAct(from, to, "sell", TransferRequest{
		Credits: r.Credits, Actor: r.Actor, Note: r.Note, Key: idempotencyKey, Fingerprint: slices.Clone(r.Purchase[:]),
	}, at)
	c.acts[len(c.acts)-1].Reference = r.Purchase.String()
	for _, d := range draws {
		as := models.Lot{Source: models.SourcePurchase, PurchaseID: r.Purchase, Note: r.Note, ExpiresAt: r.ExpiresAt}
		if r.ExpiresAt != 0 {
			as.Priority = models.SourcePlan.Priority()
		}
		child, err := c.carve(from, to, d, as, out, SellIn, act, at)
		if err != nil {
			return Sold{}, err
		}
		sold.Cost += child.Cost
	}
	if out == SellHeld {
		h.State, h.EndedAt = models.HoldCaptured, at
		c.ended = append(c.ended, h.ID)
	}
	c.settleExcess(to, act, at)
	sold.Act, sold.ToAfter = c.acts[len(c.acts)-1], to.balance(at)
	return sold, c.write(ctx)
}
