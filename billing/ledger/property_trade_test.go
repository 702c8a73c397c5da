package ledger_test

import (
	"context"
	"strconv"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"refill/billing/ledger"
	"refill/models"
)

// The twin's commands around money and plans: see model_trade_test.go.

// tradedPurchase is a purchase with how its payment stands.
type tradedPurchase struct {
	*modelPurchase
	row models.Purchase
}

// spreadOnce is what was assigned to many at once.
type spreadOnce struct {
	acts []models.Act
	lots [][]*modelLot
}

// purchase begins a purchase that is not paid yet.
func (x *twin) purchase(buyer *modelWallet) *tradedPurchase {
	k := strconv.FormatInt(x.tick(), 10)
	p := &tradedPurchase{modelPurchase: &modelPurchase{buyer: buyer, credits: x.amount("credits")}}
	p.row = models.Purchase{
		AgencyID: x.w.agency, ID: models.NewID[models.PurchaseID](x.now), WalletID: buyer.id, Title: "p", Credits: p.credits,
		Price: rapid.Int64Range(1, 100_00).Draw(x.t, "price"), Currency: "usd", Status: models.PurchaseOpen,
		IdempotencyKey: k, Fingerprint: []byte(k), ExpiresAt: models.Never, CreatedAt: x.now,
	}
	if buyer == x.agency {
		p.row.PackID = x.pack
	} else {
		p.seller = x.agency
		p.row.PackageID, p.row.Account = x.growth, "acct_1"
	}
	return p
}

func (p *tradedPurchase) credited(act models.ActID, now models.Time) {
	p.row.Status, p.row.ActID, p.row.Paid, p.row.PaidAt, p.row.CreditedAt = models.PurchaseCredited, act, p.row.Price, now, now
	p.row.PaymentIntent = "pi_" + p.row.ID.String()
}

func (x *twin) save(p *tradedPurchase) {
	x.tx(func(tx *gorm.DB) error { return tx.Save(&p.row).Error })
}

// buy gives the agency a pack.
func (x *twin) buy(*rapid.T) {
	p := x.purchase(x.agency)
	l := &modelLot{owner: x.agency, source: models.SourcePurchase, effective: x.now, expires: models.Never, unit: x.n, born: x.now, remaining: p.credits}
	if rapid.IntRange(0, 3).Draw(x.t, "gift") == 0 { // like the bonus that comes with a pack
		l.expires = x.now + models.Time(rapid.Int64Range(1, 4).Draw(x.t, "hours"))*hour
	}
	p.credited(x.book(l, p.row.ID), x.now)
	p.lots = []*modelLot{l}
	x.save(p)
	x.purchases = append(x.purchases, p)
}

// any picks a purchase.
func (x *twin) any(which func(*tradedPurchase) bool) *tradedPurchase {
	var fit []*tradedPurchase
	for _, p := range x.purchases {
		if which(p) {
			fit = append(fit, p)
		}
	}
	if len(fit) == 0 {
		x.t.Skip("no such purchase") // rapid draws another command instead
	}
	return rapid.SampledFrom(fit).Draw(x.t, "purchase")
}

func (x *twin) checkOut(*rapid.T) { x.begun() }

// begun gives the purchase that keeps stock; nil: there is not enough.
func (x *twin) begun() *tradedPurchase {
	p := x.purchase(rapid.SampledFrom(x.wallets[1:]).Draw(x.t, "client"))
	err := x.inTx(func(tx *gorm.DB) error {
		if _, err := x.w.ledger.HoldStock(x.t.Context(), tx, ledger.StockRequest{
			Agency: x.w.agency, Wallet: x.agency.id, Purchase: p.row.ID, Credits: p.credits, At: x.now,
		}); err != nil {
			return err
		}
		return tx.Create(&p.row).Error
	})
	refusal := x.holdStock(p.modelPurchase)
	x.agree(refusal, err)
	if refusal != "" {
		return nil
	}
	x.purchases = append(x.purchases, p)
	return p
}

// trade is a sale from beginning to end.
func (x *twin) trade(*rapid.T) {
	if p := x.begun(); p != nil {
		x.complete(p)
	}
}

func (x *twin) walkAway(*rapid.T) {
	p := x.any(func(p *tradedPurchase) bool { return p.row.Status == models.PurchaseOpen })
	x.tick()
	p.row.Status = models.PurchaseExpired
	x.tx(func(tx *gorm.DB) error {
		if err := tx.Save(&p.row).Error; err != nil {
			return err
		}
		return x.w.ledger.ReleaseStock(x.t.Context(), tx, x.w.agency, x.agency.id, p.row.ID, x.now)
	})
	x.releaseStock(p.modelPurchase)
}

// payOne pays for what is kept, or for what was let go: that is for sale only as
// long as there is stock. Some are sold for a month.
func (x *twin) payOne(*rapid.T) {
	x.complete(x.any(func(p *tradedPurchase) bool {
		return p.row.Status == models.PurchaseOpen || p.row.Status == models.PurchaseExpired
	}))
}

func (x *twin) complete(p *tradedPurchase) {
	x.tick()
	if rapid.Bool().Draw(x.t, "for a month") {
		p.row.TermEnd = x.now + models.Time(rapid.Int64Range(1, 4).Draw(x.t, "hours"))*hour
	}
	sold, err := x.sale(p)
	cost, refusal := x.sell(p.modelPurchase, p.row.TermEnd)
	x.agree(refusal, err)
	if refusal != "" {
		return
	}
	require.False(x.t, sold.Replayed)
	require.Equal(x.t, cost, sold.Cost)
	p.credited(sold.Act.ID, x.now)
	p.row.Cost = cost
	x.save(p)
}

func (x *twin) sale(p *tradedPurchase) (sold ledger.Sold, err error) {
	err = x.inTx(func(tx *gorm.DB) (err error) {
		sold, err = x.w.ledger.Sell(x.t.Context(), tx, ledger.SaleRequest{
			Agency: x.w.agency, From: x.agency.id, To: p.buyer.id, Purchase: p.row.ID, Credits: p.credits, Actor: "test", At: x.now, ExpiresAt: p.row.TermEnd,
		})
		return err
	})
	return sold, err
}

func (x *twin) payAgain(*rapid.T) {
	p := x.any(func(p *tradedPurchase) bool { return p.seller != nil && p.row.CreditedAt > 0 })
	x.tick()
	sold, err := x.sale(p)
	require.NoError(x.t, err)
	require.True(x.t, sold.Replayed)
	require.Equal(x.t, p.row.ActID, sold.Act.ID)
}

func (p *tradedPurchase) paid() bool { return p.row.CreditedAt > 0 }

// refund gives money back, or learns that it did not arrive.
func (x *twin) refund(*rapid.T) {
	p := x.any((*tradedPurchase).paid)
	left := p.row.Paid - p.row.Refunded - p.row.DisputeHeld - p.row.DisputeLost
	if rapid.IntRange(0, 3).Draw(x.t, "fails") == 0 {
		p.row.Refunded -= rapid.Int64Range(0, p.row.Refunded).Draw(x.t, "amount")
	} else {
		p.row.Refunded += min(left, rapid.Int64Range(0, 2*p.row.Paid).Draw(x.t, "amount"))
	}
	x.stands(p)
}

// dispute opens one.
func (x *twin) dispute(*rapid.T) {
	p := x.any(func(p *tradedPurchase) bool { return p.paid() && p.row.DisputeHeld == 0 })
	left := p.row.Paid - p.row.Refunded - p.row.DisputeLost
	p.row.DisputeHeld = min(left, rapid.Int64Range(1, 2*p.row.Paid).Draw(x.t, "amount"))
	x.stands(p)
}

// decide has a bank decide one.
func (x *twin) decide(*rapid.T) {
	p := x.any(func(p *tradedPurchase) bool { return p.row.DisputeHeld > 0 })
	if rapid.Bool().Draw(x.t, "lost") {
		p.row.DisputeLost += p.row.DisputeHeld
	}
	p.row.DisputeHeld = 0
	x.stands(p)
}

// stands brings a purchase to how its payment stands now, twice: the second time
// changes nothing.
func (x *twin) stands(p *tradedPurchase) {
	x.tick()
	r := &p.row
	revoked, frozen := ledger.Standing{Paid: r.Paid, Refunded: r.Refunded, Disputed: r.DisputeHeld, Lost: r.DisputeLost}.Target(r.Credits)
	request := ledger.RevokeRequest{
		Agency: x.w.agency, Wallet: r.WalletID, Purchase: r.ID, Revoked: revoked, Frozen: frozen, Actor: "test", At: x.now,
	}
	if p.seller != nil {
		request.Seller = p.seller.id
	}
	var got ledger.Revoked
	x.tx(func(tx *gorm.DB) (err error) {
		if got, err = x.w.ledger.Revoke(x.t.Context(), tx, request); err != nil {
			return err
		}
		r.Revoked, r.RevokedSpent, r.Frozen = got.Revoked(), got.Spent, got.Frozen
		return tx.Save(r).Error
	})
	want, waiting := x.revoke(p.modelPurchase, revoked, frozen)
	require.Equal(x.t, want, got.Revocation)
	require.Equal(x.t, waiting, got.Waiting)
	if waiting > 0 {
		return // for a seller who may have more by then
	}
	x.tx(func(tx *gorm.DB) error {
		again, err := x.w.ledger.Revoke(x.t.Context(), tx, request)
		require.Equal(x.t, got.Revocation, again.Revocation)
		require.True(x.t, again.Act.IsZero(), "done again, it changes nothing")
		return err
	})
}

func (x *twin) passOne(*rapid.T) {
	from, to, amount := x.wallets[1], x.wallets[2], x.amount("credits")
	if rapid.Bool().Draw(x.t, "the other way") {
		from, to = to, from
	}
	x.tick()
	err := x.inTx(func(tx *gorm.DB) error {
		_, err := x.w.ledger.Pass(x.t.Context(), tx, ledger.PassRequest{
			Agency: x.w.agency, Over: x.agency.id, From: from.id, To: to.id, Credits: amount, Actor: "test", At: x.now,
		})
		return err
	})
	x.agree(x.pass(from, to, amount), err)
}

func (x *twin) spreadOne(*rapid.T) {
	amounts := []models.Credits{x.amount("first"), x.amount("second")}
	shares := []ledger.Share{{To: x.wallets[1].id, Credits: amounts[0]}, {To: x.wallets[2].id, Credits: amounts[1]}}
	x.tick()
	var acts []models.Act
	err := x.inTx(func(tx *gorm.DB) (err error) {
		acts, err = x.w.ledger.Spread(x.t.Context(), tx, ledger.SpreadRequest{
			Agency: x.w.agency, From: x.agency.id, Shares: shares, Actor: "test", Reference: "all", At: x.now,
		})
		return err
	})
	carved, refusal := x.spread(x.wallets[1:], amounts)
	x.agree(refusal, err)
	if refusal != "" {
		return
	}
	x.spreads = append(x.spreads, spreadOnce{acts, carved})
}

func (x *twin) recallOne(*rapid.T) {
	if len(x.spreads) == 0 {
		x.t.Skip("nothing was spread") // rapid draws another command instead
	}
	s := rapid.SampledFrom(x.spreads).Draw(x.t, "spread")
	x.tick()
	x.tx(func(tx *gorm.DB) error {
		got, err := x.w.ledger.Recall(x.t.Context(), tx, ledger.RecallRequest{Agency: x.w.agency, To: x.agency.id, Acts: s.acts, Actor: "test", At: x.now})
		for i, g := range got {
			require.Equal(x.t, x.recall(s.lots[i]), g.Credits)
		}
		return err
	})
}

// renew begins a period, at its start or some time later, or once more.
func (x *twin) renew(*rapid.T) {
	x.tick()
	if x.period == x.cycle && x.period > 0 && rapid.IntRange(0, 3).Draw(x.t, "again") == 0 {
		x.begin(x.period, x.amount("credits"))
		return
	}
	x.begin(max(x.cycle+1, x.now-models.Time(rapid.Int64Range(0, 60).Draw(x.t, "minutes late"))*hour/60), x.amount("credits"))
}

func (x *twin) begin(start models.Time, n models.Credits) {
	end := x.now + models.Time(rapid.Int64Range(1, 6).Draw(x.t, "hours"))*hour
	x.period = start
	x.tx(func(tx *gorm.DB) error {
		return x.w.ledger.BeginPeriods(x.t.Context(), tx, []ledger.Allowance{{
			Agency: x.w.agency, Wallet: x.agency.id, Credits: n, Start: start, End: end, Reference: "test",
		}})
	})
	l := x.beginPeriod(start, end, n)
	if l == nil {
		return
	}
	var row models.Lot
	require.NoError(x.t, x.w.db.Read.Where("agency_id = ? AND wallet_id = ? AND period_start = ?", x.w.agency, x.agency.id, start).Take(&row).Error)
	l.id, l.born = row.ID, row.CreatedAt
}

// changePlan ends the allowance and begins another, now.
func (x *twin) changePlan(*rapid.T) {
	x.tick()
	var ended models.Credits
	x.tx(func(tx *gorm.DB) (err error) {
		ended, err = x.w.ledger.EndPlanCredits(x.t.Context(), tx, x.w.agency, x.agency.id, x.now)
		return err
	})
	require.Equal(x.t, x.endPlan(), ended)
	n := x.amount("credits")
	if rapid.IntRange(0, 3).Draw(x.t, "without allowance") == 0 {
		n = 0
	}
	x.begin(x.now, n)
}

// noPlan freezes what the agency bought.
func (x *twin) noPlan(*rapid.T) {
	x.tick()
	var stopped models.Credits
	x.tx(func(tx *gorm.DB) (err error) {
		stopped, err = x.w.ledger.Freeze(x.t.Context(), tx, x.w.agency, x.agency.id, models.FreezeNoPlan,
			func(l *models.Lot) bool { return l.Source == models.SourcePurchase })
		return err
	})
	require.Equal(x.t, x.freeze(), stopped)
}

func (x *twin) planAgain(*rapid.T) {
	x.tick()
	var freed models.Credits
	x.tx(func(tx *gorm.DB) (err error) {
		freed, err = x.w.ledger.Thaw(x.t.Context(), tx, x.w.agency, x.agency.id, models.FreezeNoPlan, nil, x.now)
		return err
	})
	require.Equal(x.t, x.thaw(), freed)
}

// suspend stops one wallet, or all of the agency's.
func (x *twin) suspend(*rapid.T) {
	if rapid.Bool().Draw(x.t, "one") {
		w := x.wallet()
		x.tx(func(tx *gorm.DB) error {
			return x.w.ledger.SetStatus(x.t.Context(), tx, x.w.agency, w.id, models.WalletSuspended)
		})
		w.suspended = true
		return
	}
	x.restate(x.w.ledger.SuspendAll, true)
}

func (x *twin) resume(*rapid.T) { x.restate(x.w.ledger.ResumeAll, false) }

// restate suspends every wallet or none.
func (x *twin) restate(verb func(context.Context, *gorm.DB, models.AgencyID) (int, error), to bool) {
	want := 0
	for _, w := range x.wallets {
		if w.suspended != to {
			want++
		}
		w.suspended = to
	}
	if want == 0 && !to {
		return
	}
	x.tx(func(tx *gorm.DB) error {
		n, err := verb(x.t.Context(), tx, x.w.agency)
		require.Equal(x.t, want, n)
		return err
	})
}
