package ledger_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/faults"
)

// family is an agency and its clients, and what all of them together must have.
type family struct {
	*world

	t       *rapid.T
	now     models.Time
	n       int64
	wallets []models.WalletID // the agency's first
	pack    models.PackID
	growth  models.PackageID
	carts   []models.Purchase  // sales that may be paid
	bought  []*models.Purchase // paid packs and sales
	given   []models.Act       // assignments to all
	total   models.Credits
}

func newFamily(t *rapid.T, db *models.DB, l *ledger.Ledger) *family {
	id := models.NewID[models.WalletID]
	f := &family{
		world: &world{db: db, ledger: l, agency: models.NewID[models.AgencyID](start), wallet: id(start), card: models.NewID[models.RateCardID](start)},
		t:     t, now: start, pack: models.NewID[models.PackID](start), growth: models.NewID[models.PackageID](start),
	}
	f.wallets = []models.WalletID{f.wallet}
	subs := map[models.WalletID]models.Funding{}
	for range 3 {
		f.wallets = append(f.wallets, id(start))
		subs[f.wallets[len(f.wallets)-1]] = models.Prepaid
	}
	f.tx(func(tx *gorm.DB) error { return f.open(t, tx, f.pack, f.growth, subs) })
	return f
}

func (f *family) tx(do func(*gorm.DB) error) { require.NoError(f.t, f.db.InTx(f.t.Context(), do)) }

func (f *family) amount() models.Credits {
	return models.Credits(rapid.Int64Range(1, 400).Draw(f.t, "quarters")) * models.Credit / 4
}

func (f *family) client() models.WalletID {
	return rapid.SampledFrom(f.wallets[1:]).Draw(f.t, "client")
}

// next is a number nobody had, a microsecond later.
func (f *family) next() int64 {
	f.now++
	f.n++
	return f.n
}

func (f *family) purchase(wallet models.WalletID, n models.Credits, price int64) models.Purchase {
	k := strconv.FormatInt(f.next(), 10)
	p := models.Purchase{
		AgencyID: f.agency, ID: models.NewID[models.PurchaseID](f.now), WalletID: wallet, Title: "p", Credits: n, Price: price, Currency: "usd",
		Status: models.PurchaseOpen, IdempotencyKey: k, Fingerprint: []byte(k), ExpiresAt: models.Never, CreatedAt: f.now,
	}
	if wallet == f.wallet {
		p.PackID = f.pack
	} else {
		p.PackageID, p.Account = f.growth, "acct_1"
	}
	return p
}

func (f *family) paid(p *models.Purchase, act models.ActID) {
	p.Status, p.ActID, p.PaidAt, p.CreditedAt, p.PaymentIntent = models.PurchaseCredited, act, f.now, f.now, "pi_"+p.ID.String()
}

func (f *family) buy(*rapid.T) {
	n := f.amount() * 10
	p := f.purchase(f.wallet, n, rapid.Int64Range(0, 100_00).Draw(f.t, "price"))
	f.tx(func(tx *gorm.DB) error {
		got, err := f.ledger.Grant(f.t.Context(), tx, ledger.GrantRequest{
			Agency: f.agency, Wallet: f.wallet, Source: models.SourcePurchase, Credits: n, Cost: p.Total(), Purchase: p.ID, Kind: "purchase", Actor: "test", At: f.now,
		})
		if err != nil {
			return err
		}
		f.paid(&p, got.Act.ID)
		return tx.Create(&p).Error
	})
	f.bought = append(f.bought, &p)
	f.total += n
}

func (f *family) allowance(*rapid.T) {
	n := f.amount() * 10
	f.next()
	ends := f.now + models.Time(rapid.Int64Range(1, 6).Draw(f.t, "hours"))*hour
	f.tx(func(tx *gorm.DB) error {
		_, err := f.ledger.Grant(f.t.Context(), tx, ledger.GrantRequest{
			Agency: f.agency, Wallet: f.wallet, Source: models.SourcePlan, Credits: n, EffectiveAt: f.now, ExpiresAt: ends, PeriodStart: f.now,
			Kind: "plan", Actor: "test", At: f.now,
		})
		return err
	})
	f.total += n
}

// move assigns or takes back.
func (f *family) move(from, to models.WalletID, verb func(*gorm.DB, ledger.TransferRequest) error) {
	n := f.amount()
	f.next()
	err := f.db.InTx(f.t.Context(), func(tx *gorm.DB) error {
		return verb(tx, ledger.TransferRequest{Agency: f.agency, From: from, To: to, Credits: n, Actor: "test", At: f.now})
	})
	require.True(f.t, err == nil || problem.Is(err, "insufficient_credits"), "%v", err)
}

func (f *family) assign(*rapid.T) {
	f.move(f.wallet, f.client(), func(tx *gorm.DB, r ledger.TransferRequest) error {
		_, err := f.ledger.Assign(f.t.Context(), tx, r)
		return err
	})
}

func (f *family) takeBack(*rapid.T) {
	f.move(f.client(), f.wallet, func(tx *gorm.DB, r ledger.TransferRequest) error {
		_, err := f.ledger.TakeBack(f.t.Context(), tx, r)
		return err
	})
}

// spread assigns to every client at once, all or nothing.
func (f *family) spread(*rapid.T) {
	f.next()
	shares := make([]ledger.Share, 0, len(f.wallets)-1)
	for _, w := range f.wallets[1:] {
		shares = append(shares, ledger.Share{To: w, Credits: f.amount()})
	}
	err := f.db.InTx(f.t.Context(), func(tx *gorm.DB) error {
		acts, err := f.ledger.Spread(f.t.Context(), tx, ledger.SpreadRequest{Agency: f.agency, From: f.wallet, Shares: shares, Actor: "test", Reference: "all", At: f.now})
		if err == nil {
			require.Len(f.t, acts, len(shares))
			f.given = append(f.given, acts...)
		}
		return err
	})
	require.True(f.t, err == nil || problem.Is(err, "insufficient_credits"), "%v", err)
}

// recall takes back what is unspent of some of what spread gave.
func (f *family) recall(*rapid.T) {
	if len(f.given) == 0 {
		return
	}
	f.next()
	from := rapid.IntRange(0, len(f.given)-1).Draw(f.t, "from")
	acts := f.given[from:]
	var could map[models.ActID]models.Credits
	f.tx(func(tx *gorm.DB) (err error) {
		could, err = f.ledger.Unspent(tx, acts, f.now)
		return err
	})
	f.tx(func(tx *gorm.DB) error {
		got, err := f.ledger.Recall(f.t.Context(), tx, ledger.RecallRequest{Agency: f.agency, To: f.wallet, Acts: acts, Actor: "test", At: f.now})
		for _, g := range got {
			require.Equal(f.t, could[g.Of], g.Credits)
			require.Equal(f.t, g.Credits == 0, g.Act.ID.IsZero())
		}
		return err
	})
	f.tx(func(tx *gorm.DB) (err error) {
		could, err = f.ledger.Unspent(tx, acts, f.now)
		return err
	})
	require.Empty(f.t, could)
}

// pass moves credits from one client to another: the agency's stay as they are.
func (f *family) pass(*rapid.T) {
	from, to := f.client(), f.client()
	if from == to {
		return
	}
	n := f.amount()
	f.next()
	var before models.Wallet
	require.NoError(f.t, f.db.Read.Where("agency_id = ? AND id = ?", f.agency, f.wallet).Take(&before).Error)
	err := f.db.InTx(f.t.Context(), func(tx *gorm.DB) error {
		_, err := f.ledger.Pass(f.t.Context(), tx, ledger.PassRequest{Agency: f.agency, Over: f.wallet, From: from, To: to, Credits: n, Actor: "test", At: f.now})
		return err
	})
	require.True(f.t, err == nil || problem.Is(err, "insufficient_credits"), "%v", err)
	var after models.Wallet
	require.NoError(f.t, f.db.Read.Where("agency_id = ? AND id = ?", f.agency, f.wallet).Take(&after).Error)
	require.Equal(f.t, before.Balance, after.Balance)
}

// checkOut opens a sale, if there is stock for it.
func (f *family) checkOut(*rapid.T) {
	p := f.purchase(f.client(), f.amount(), 6_00)
	err := f.db.InTx(f.t.Context(), func(tx *gorm.DB) error {
		if _, err := f.ledger.HoldStock(f.t.Context(), tx, ledger.StockRequest{
			Agency: f.agency, Wallet: f.wallet, Purchase: p.ID, Credits: p.Credits, At: f.now,
		}); err != nil {
			return err
		}
		return tx.Create(&p).Error
	})
	if problem.Is(err, "out_of_stock") {
		return
	}
	require.NoError(f.t, err)
	f.carts = append(f.carts, p)
}

func (f *family) take() (models.Purchase, bool) {
	if len(f.carts) == 0 {
		return models.Purchase{}, false
	}
	i := rapid.IntRange(0, len(f.carts)-1).Draw(f.t, "checkout")
	p := f.carts[i]
	f.carts = append(f.carts[:i:i], f.carts[i+1:]...)
	f.next()
	return p, true
}

func (f *family) pay(*rapid.T) {
	p, ok := f.take()
	if !ok {
		return
	}
	f.tx(func(tx *gorm.DB) error {
		sold, err := f.ledger.Sell(f.t.Context(), tx, ledger.SaleRequest{
			Agency: f.agency, From: f.wallet, To: p.WalletID, Purchase: p.ID, Credits: p.Credits, Actor: "test", At: f.now,
		})
		if err != nil {
			return err
		}
		f.paid(&p, sold.Act.ID)
		p.Cost = sold.Cost
		return tx.Save(&p).Error
	})
	f.bought = append(f.bought, &p)
}

// clawBack lets money of a payment go back or be disputed, or lets it come again:
// the agency's own, which takes what the family has, or a client's, which takes
// nothing from the family as a whole.
func (f *family) clawBack(*rapid.T) {
	if len(f.bought) == 0 {
		return
	}
	p := rapid.SampledFrom(f.bought).Draw(f.t, "payment")
	f.next()
	p.Paid = p.Price
	p.Refunded = rapid.Int64Range(0, p.Paid).Draw(f.t, "refunded")
	p.DisputeHeld = rapid.Int64Range(0, p.Paid-p.Refunded).Draw(f.t, "held")
	p.DisputeLost = rapid.Int64Range(0, p.Paid-p.Refunded-p.DisputeHeld).Draw(f.t, "lost")
	r := ledger.RevokeRequest{Agency: f.agency, Wallet: p.WalletID, Purchase: p.ID, Actor: "test", At: f.now}
	r.Revoked, r.Frozen = ledger.Standing{Paid: p.Paid, Refunded: p.Refunded, Disputed: p.DisputeHeld, Lost: p.DisputeLost}.Target(p.Credits)
	if p.IsSale() {
		r.Seller = f.wallet
	} else {
		f.total -= r.Revoked - p.Revoked
	}
	before := f.expired()
	f.tx(func(tx *gorm.DB) error {
		got, err := f.ledger.Revoke(f.t.Context(), tx, r)
		if err != nil {
			return err
		}
		p.Revoked, p.RevokedSpent, p.Frozen = got.Revoked(), got.Spent, got.Frozen
		require.True(f.t, p.Revoked == r.Revoked || p.IsSale() && got.Waiting == p.Revoked-r.Revoked)
		return tx.Save(p).Error
	})
	f.total -= f.expired() - before // what had paid a debt that is owed no more goes back, and may be too late
}

// expired is everything that expired so far.
func (f *family) expired() (out models.Credits) {
	require.NoError(f.t, f.db.Read.Model(&models.Entry{}).Where("agency_id = ? AND kind = ?", f.agency, ledger.Expire).
		Select("COALESCE(CAST(SUM(amount) AS bigint), 0)").Scan(&out).Error)
	return out
}

func (f *family) walkAway(*rapid.T) {
	p, ok := f.take()
	if !ok {
		return
	}
	f.tx(func(tx *gorm.DB) error {
		p.Status = models.PurchaseExpired
		if err := tx.Save(&p).Error; err != nil {
			return err
		}
		return f.ledger.ReleaseStock(f.t.Context(), tx, f.agency, f.wallet, p.ID, f.now)
	})
}

func (f *family) use(*rapid.T) {
	r := of(f.request(fmt.Sprint("c", f.next()), 0), rapid.SampledFrom(f.wallets).Draw(f.t, "wallet"), f.now)
	r.Credits = f.amount()
	_, err := f.ledger.Charge(f.t.Context(), r)
	if err == nil {
		f.total -= r.Credits
		return
	}
	require.True(f.t, problem.Is(err, "insufficient_credits"), "%v", err)
}

// expire moves the clock; what it overtakes is gone.
func (f *family) expire(*rapid.T) {
	f.now += models.Time(rapid.Int64Range(1, 3).Draw(f.t, "hours")) * hour
	var gone models.Credits
	require.NoError(f.t, f.db.Read.Model(&models.Lot{}).Where("agency_id = ? AND expires_at <= ?", f.agency, f.now).
		Select("COALESCE(CAST(SUM(remaining) AS bigint), 0)").Scan(&gone).Error)
	_, err := f.ledger.ExpireLots(f.t.Context(), f.now, 1000)
	require.NoError(f.t, err)
	f.total -= gone
}

// conserved says that nothing but purchases, clawbacks, use and expiry changed what
// the family has, what it keeps for checkouts and what is disputed included, and
// what it owes taken off.
func (f *family) conserved(*rapid.T) {
	var have models.Credits
	require.NoError(f.t, f.db.Read.Model(&models.Wallet{}).Where("agency_id = ?", f.agency).
		Select("CAST(SUM(balance + held) AS bigint)").Scan(&have).Error)
	for _, p := range f.bought {
		have += p.Frozen
	}
	require.Equal(f.t, f.total, have)
}

// inherited compares every client's lot with the lot it came from.
func (f *family) inherited() {
	var lots []models.Lot
	require.NoError(f.t, f.db.Read.Where("agency_id = ?", f.agency).Find(&lots).Error)
	byID := map[models.LotID]models.Lot{}
	for _, l := range lots {
		byID[l.ID] = l
	}
	for _, l := range lots {
		require.Equal(f.t, l.WalletID != f.wallet, !l.ParentLotID.IsZero(), "clients have what came from their agency")
		if l.ParentLotID.IsZero() {
			continue
		}
		parent := byID[l.ParentLotID]
		require.Equal(f.t, f.wallet, parent.WalletID)
		require.Equal(f.t, []any{parent.ExpiresAt, parent.UnitCost, parent.Currency}, []any{l.ExpiresAt, l.UnitCost, l.Currency})
		share, err := models.MulDiv(parent.Cost, int64(l.Granted), int64(parent.Granted))
		require.NoError(f.t, err)
		require.InDelta(f.t, share, l.Cost, 1, "its part of the cost, to the cent")
		if l.Source == models.SourcePurchase {
			require.Equal(f.t, models.Never, l.ExpiresAt)
			require.Equal(f.t, models.SourcePurchase, parent.Source)
		}
	}
}

func (f *family) run() {
	f.t.Repeat(map[string]func(*rapid.T){
		"buy": f.buy, "allowance": f.allowance, "assign": f.assign, "assign more": f.assign, "take back": f.takeBack, "pass": f.pass, "spread": f.spread, "recall": f.recall,
		"check out": f.checkOut, "check out more": f.checkOut, "pay": f.pay, "walk away": f.walkAway, "use": f.use, "use more": f.use,
		"expire": f.expire, "claw back": f.clawBack, "claw back more": f.clawBack, "": f.conserved,
	})
	f.inherited()
	require.NoError(f.t, f.db.Snapshot(f.t.Context(), func(tx *gorm.DB) error {
		r, err := ledger.AuditIn(tx, f.agency, f.now)
		require.True(f.t, r.Clean(), "%s", r)
		return err
	}))
}

// Whatever an agency and its clients do with each other, what they have together
// changes by purchase, clawback, use and expiry only (I-21): 10,000 sequences of it with
// REFILL_FAULTS.
func TestAFamilysCreditsAreConserved(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		l, err := ledger.Open(t.Context(), db, ledger.Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		limit := sequences(20, 10_000)
		seed := faults.SequenceSeed()
		faults.Sequences(t, seed, limit, func(r *rapid.T) { newFamily(r, db, l).run() })
		faults.Tried(t, seed, "%d sequences of an agency and its clients on %s", limit, db.Dialect)
	})
}
