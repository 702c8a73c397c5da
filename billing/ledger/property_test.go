package ledger_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/faults"
)

// twin drives the ledger and its model with the same commands.
type twin struct {
	*model
	w       *world
	t       *rapid.T
	n       int64
	holds   []*modelHold
	held    []heldOnce
	charges []*modelCharge
	charged []chargedOnce

	pack      models.PackID
	growth    models.PackageID
	purchases []*tradedPurchase
	spreads   []spreadOnce
	period    models.Time // the last that began
}

// chargedOnce and heldOnce are what was asked, and answered, under a key.
type chargedOnce struct {
	request ledger.ChargeRequest
	hold    models.HoldID // what it captured
	receipt ledger.Receipt
}

type heldOnce struct {
	request ledger.HoldRequest
	receipt ledger.HoldReceipt
}

func newTwin(t *rapid.T, db *models.DB, l *ledger.Ledger) *twin {
	id := models.NewID[models.WalletID]
	w := &world{db: db, ledger: l, agency: models.NewID[models.AgencyID](start), wallet: id(start), sub: id(start), card: models.NewID[models.RateCardID](start)}
	m := &model{now: start, agency: &modelWallet{name: "agency", id: w.wallet}}
	m.wallets = []*modelWallet{m.agency, {name: "prepaid", id: w.sub}, {name: "pooled", id: id(start), pooled: true}}
	x := &twin{model: m, w: w, t: t, pack: models.NewID[models.PackID](start), growth: models.NewID[models.PackageID](start)}
	m.adopt = x.name
	x.tx(func(tx *gorm.DB) error {
		return w.open(t, tx, x.pack, x.growth, map[models.WalletID]models.Funding{w.sub: models.Prepaid, m.wallets[2].id: models.Pooled})
	})
	return x
}

// open makes an agency that sells, with its wallet and one client for each of subs.
func (w *world) open(t *rapid.T, tx *gorm.DB, pack models.PackID, growth models.PackageID, subs map[models.WalletID]models.Funding) error {
	name := w.agency.String()
	for _, row := range []any{
		&models.Agency{
			ID: w.agency, ExternalID: name, Name: "a", Host: name, TimeZone: "UTC", Currency: "usd", Status: models.AgencyActive, WalletID: w.wallet, CreatedAt: start,
		},
		&models.Pack{ID: pack, Code: pack.String(), Version: 1, Name: "p", Kind: models.PackFixed, Credits: credits(1), Currency: "usd"},
		&models.Package{
			AgencyID: w.agency, ID: growth, Name: "Growth", Credits: credits(1), Currency: "usd", Audience: models.AudienceAll, CostBasis: models.CostHeld, CreatedAt: start,
		},
	} {
		if err := tx.Create(row).Error; err != nil {
			return err
		}
	}
	own := models.Wallet{AgencyID: w.agency, ID: w.wallet, Status: models.WalletActive, Funding: models.Prepaid, PoolEvery: models.PoolCycle, CreatedAt: start}
	if err := w.ledger.OpenWallet(t.Context(), tx, own); err != nil {
		return err
	}
	for wallet, funding := range subs {
		sub := own
		sub.ID, sub.SubAccountID, sub.PoolWalletID, sub.Funding = wallet, models.NewID[models.SubAccountID](start), w.wallet, funding
		if err := tx.Create(&models.SubAccount{
			AgencyID: w.agency, ID: sub.SubAccountID, ExternalID: wallet.String(), Name: "s", WalletID: wallet, TimeZone: "UTC",
			Status: models.SubAccountActive, CreatedAt: start,
		}).Error; err != nil {
			return err
		}
		if err := w.ledger.OpenWallet(t.Context(), tx, sub); err != nil {
			return err
		}
	}
	return nil
}

func (x *twin) tx(f func(*gorm.DB) error) {
	require.NoError(x.t, x.w.db.InTx(x.t.Context(), f))
}

// tick moves the clock a microsecond, so that no two lots are of one age.
func (x *twin) tick() int64 {
	x.now++
	x.n++
	return x.n
}

func (x *twin) amount(name string) models.Credits {
	return models.Credits(rapid.Int64Range(1, 120).Draw(x.t, name)) * models.Credit / 4
}

func (x *twin) wallet() *modelWallet { return rapid.SampledFrom(x.wallets).Draw(x.t, "wallet") }

func (x *twin) request(w *modelWallet, amount models.Credits) ledger.ChargeRequest {
	r := of(x.w.request(fmt.Sprint("c", x.tick()), 0), w.id, x.now)
	r.Credits, r.DayStart = amount, x.dayStart()
	return r
}

// agree says that the ledger must accept, or refuse with the model's code.
func (x *twin) agree(refusal string, err error) {
	if refusal == "" {
		require.NoError(x.t, err)
		return
	}
	require.True(x.t, problem.Is(err, refusal), "the model refuses (%s), the ledger says %v", refusal, err)
}

// agreeOnShort is agree, for refusals that say how much there was.
func (x *twin) agreeOnShort(refusal string, err error) {
	x.agree(refusal, err)
	if refusal != short {
		return
	}
	for _, f := range problem.Of(err).Facts {
		if f.Name == "available" {
			require.Equal(x.t, x.found, f.Value)
			return
		}
	}
	require.Fail(x.t, "a refusal says how much there is")
}

func (x *twin) grant(*rapid.T) {
	w := x.wallet()
	n := x.tick()
	l := &modelLot{owner: w, effective: x.now, expires: models.Never, unit: n, born: x.now, remaining: x.amount("credits")}
	// A client buys from its agency's stock, and from nobody else.
	l.source = rapid.SampledFrom([]models.Source{models.SourcePlan, models.SourceReferral, models.SourcePromo, models.SourceAdjustment}).Draw(x.t, "source")
	switch rapid.IntRange(0, 3).Draw(x.t, "life") {
	case 0:
		l.expires = x.now + models.Time(rapid.Int64Range(1, 5).Draw(x.t, "hours"))*hour
	case 1:
		l.effective = x.now + models.Time(rapid.Int64Range(1, 5).Draw(x.t, "hours"))*hour
	}
	x.book(l, models.PurchaseID{})
}

// book grants a lot that the model describes.
func (x *twin) book(l *modelLot, purchase models.PurchaseID) (act models.ActID) {
	w := l.owner
	l.granted, l.cost = l.remaining, l.unit*100*int64(l.remaining)/int64(models.Credit/4)
	x.tx(func(tx *gorm.DB) error {
		got, err := x.w.ledger.Grant(x.t.Context(), tx, ledger.GrantRequest{
			Agency: x.w.agency, Wallet: w.id, Source: l.source, Credits: l.granted, EffectiveAt: l.effective, ExpiresAt: l.expires,
			Cost: models.Money{Amount: l.cost, Currency: "usd"}, Purchase: purchase, Kind: "test", Actor: "test", At: x.now,
		})
		l.id, act = got.Lot.ID, got.Act.ID
		return err
	})
	w.lots = append(w.lots, l)
	w.given += l.granted
	x.settle(w)
	return act
}

const hour = models.Time(3600 * 1_000_000)

func (x *twin) chargeOne(*rapid.T) {
	w, amount := x.wallet(), x.amount("credits")
	r := x.request(w, amount)
	got, err := x.w.ledger.Charge(x.t.Context(), r)
	c, refusal := x.charge(w, amount)
	x.agreeOnShort(refusal, err)
	if c != nil {
		x.keep(c, chargedOnce{request: r, receipt: got})
	}
}

// keep compares who paid.
func (x *twin) keep(c *modelCharge, once chargedOnce) {
	r := &once.receipt
	require.False(x.t, r.Replayed)
	var sum models.Credits
	lots := map[models.LotID]models.Credits{}
	for _, d := range r.Draws {
		sum += d.Credits
		lots[d.Lot] += d.Credits
	}
	require.Equal(x.t, r.Charge.Credits, sum, "the draws pay the charge")
	want := map[models.LotID]models.Credits{}
	for _, p := range c.parts {
		var id models.LotID
		if p.lot != nil {
			id = p.lot.id
		}
		want[id] += p.credits
	}
	require.Equal(x.t, want, lots, "the lots that pay")
	x.charges, x.charged = append(x.charges, c), append(x.charged, once)
}

// again sends a charge or a capture once more, under its key.
func (x *twin) again(*rapid.T) {
	if len(x.charged) == 0 {
		x.t.Skip("no charge") // rapid draws another command instead
	}
	once := rapid.SampledFrom(x.charged).Draw(x.t, "charge")
	r := once.request
	x.tick()
	r.At = x.now
	other := rapid.IntRange(0, 3).Draw(x.t, "body") == 0
	if other {
		r.Fingerprint = []byte("other")
	}
	var (
		got ledger.Receipt
		err error
	)
	if once.hold.IsZero() {
		got, err = x.w.ledger.Charge(x.t.Context(), r)
	} else {
		got, err = x.w.ledger.Capture(x.t.Context(), ledger.CaptureRequest{Hold: once.hold, Charge: r})
	}
	if other {
		x.agree("idempotency_key_reused", err)
		return
	}
	require.NoError(x.t, err)
	require.True(x.t, got.Replayed)
	got.Replayed = false
	require.Equal(x.t, once.receipt, got, "the first answer, for ever")
}

// holdAgain asks for a hold once more, under its key.
func (x *twin) holdAgain(*rapid.T) {
	if len(x.held) == 0 {
		x.t.Skip("no hold") // rapid draws another command instead
	}
	once := rapid.SampledFrom(x.held).Draw(x.t, "hold")
	r := once.request
	x.tick()
	r.At = x.now
	got, err := x.w.ledger.Hold(x.t.Context(), r)
	require.NoError(x.t, err)
	require.True(x.t, got.Replayed)
	require.Equal(x.t, []any{once.receipt.Hold.ID, once.receipt.Hold.Credits, once.receipt.Hold.ExpiresAt}, []any{got.Hold.ID, got.Hold.Credits, got.Hold.ExpiresAt})
	require.Equal(x.t, once.receipt.Draws, got.Draws)
	r.Fingerprint = []byte("other")
	_, err = x.w.ledger.Hold(x.t.Context(), r)
	x.agree("idempotency_key_reused", err)
}

// batch sends many charges at once. They stay on one wallet: charges that need
// the pool are put behind those that do not.
func (x *twin) batch(*rapid.T) {
	w := x.agency
	if rapid.Bool().Draw(x.t, "pooled") {
		w = x.wallets[2]
	}
	requests := make([]ledger.ChargeRequest, rapid.IntRange(2, 8).Draw(x.t, "size"))
	for i := range requests {
		requests[i] = x.request(w, x.amount("credits"))
	}
	for i := range requests {
		requests[i].At = x.now
	}
	got, errs := x.w.ledger.ChargeAll(x.t.Context(), requests)
	for i, r := range requests {
		c, refusal := x.charge(w, r.Credits)
		x.agree(refusal, errs[i]) // who is refused from memory is decided once more, after the others
		if c != nil {
			x.keep(c, chargedOnce{request: r, receipt: got[i]})
		}
	}
}

func (x *twin) holdOne(*rapid.T) {
	w, amount := x.wallet(), x.amount("credits")
	ttl := rapid.Int64Range(1, 4).Draw(x.t, "half hours")
	key := fmt.Sprint("h", x.tick())
	r := ledger.HoldRequest{
		Agency: x.w.agency, Wallet: w.id, Key: key, Fingerprint: []byte(key), Action: "ai.reply", Credits: amount,
		TTL: time.Duration(ttl) * 30 * time.Minute, At: x.now, DayStart: x.dayStart(),
	}
	got, err := x.w.ledger.Hold(x.t.Context(), r)
	h, refusal := x.hold(w, amount, models.Time(ttl)*hour/2)
	x.agreeOnShort(refusal, err)
	if h != nil {
		x.holds, x.held = append(x.holds, h), append(x.held, heldOnce{r, got})
	}
}

func (x *twin) anyHold() (*modelHold, models.HoldID) {
	if len(x.holds) == 0 {
		x.t.Skip("no hold") // rapid draws another command instead; no test is skipped
	}
	i := rapid.IntRange(max(0, len(x.holds)-5), len(x.holds)-1).Draw(x.t, "hold")
	return x.holds[i], x.held[i].receipt.Hold.ID
}

func (x *twin) captureOne(*rapid.T) {
	h, id := x.anyHold()
	amount := x.amount("credits")
	if rapid.Bool().Draw(x.t, "exactly") {
		amount = h.credits
	}
	ended := h.state == models.HoldCaptured || h.state == models.HoldReleased
	r := x.request(h.owner, amount)
	got, err := x.w.ledger.Capture(x.t.Context(), ledger.CaptureRequest{Hold: id, Charge: r})
	if ended {
		x.agree("hold_not_open", err)
		return
	}
	c, refusal := x.capture(h, amount)
	x.agreeOnShort(refusal, err)
	if c != nil {
		x.keep(c, chargedOnce{r, id, got})
	}
}

func (x *twin) releaseOne(*rapid.T) {
	h, id := x.anyHold()
	x.tick()
	_, err := x.w.ledger.Release(x.t.Context(), ledger.ReleaseRequest{Agency: x.w.agency, Wallet: h.owner.id, Hold: id, At: x.now})
	if h.state == models.HoldCaptured {
		x.agree("hold_not_open", err)
		return
	}
	require.NoError(x.t, err)
	if h.state == models.HoldOpen {
		x.letGo(h, h.parts, models.HoldReleased)
		if h.expires <= x.now {
			h.state = models.HoldExpired
		}
	}
}

func (x *twin) reverseOne(*rapid.T) {
	if len(x.charges) == 0 {
		x.t.Skip("no charge") // nothing to reverse yet: rapid draws another command instead
	}
	i := rapid.IntRange(0, len(x.charges)-1).Draw(x.t, "charge")
	x.tick()
	x.tx(func(tx *gorm.DB) error {
		got, err := x.w.ledger.Reverse(x.t.Context(), tx, ledger.ReverseRequest{Agency: x.w.agency, Charge: x.charged[i].receipt.Charge.ID, Key: "r:" + x.charged[i].receipt.Charge.ID.String(), At: x.now})
		if err == nil && got.Replayed != x.charges[i].reversed {
			return fmt.Errorf("replayed: %v", got.Replayed)
		}
		return err
	})
	if !x.charges[i].reversed {
		x.reverse(x.charges[i])
	}
}

// inTx runs a verb that may be refused.
func (x *twin) inTx(verb func(*gorm.DB) error) error { return x.w.db.InTx(x.t.Context(), verb) }

// name gives carved lots of the model the ids that the ledger gave theirs.
func (x *twin) name(carved ...*modelLot) {
	if len(carved) == 0 {
		return
	}
	var rows []models.Lot
	require.NoError(x.t, x.w.db.Read.Where("agency_id = ? AND wallet_id = ? AND created_at = ?", x.w.agency, carved[0].owner.id, x.now).Order("id").Find(&rows).Error)
	require.Len(x.t, rows, len(carved), "lots carved")
	for _, l := range carved {
		i := slices.IndexFunc(rows, func(r models.Lot) bool {
			return l.granted == r.Granted && (l.parent == nil || l.parent.id == r.ParentLotID)
		})
		require.GreaterOrEqual(x.t, i, 0, "no lot of %s was carved", l.granted)
		l.id = rows[i].ID
		rows = slices.Delete(rows, i, i+1)
	}
}

func (x *twin) assign(*rapid.T) {
	to, amount, sold := rapid.SampledFrom(x.wallets[1:]).Draw(x.t, "to"), x.amount("credits"), rapid.Bool().Draw(x.t, "sold")
	x.tick()
	err := x.inTx(func(tx *gorm.DB) error {
		_, err := x.w.ledger.Assign(x.t.Context(), tx, ledger.TransferRequest{
			Agency: x.w.agency, From: x.agency.id, To: to.id, Credits: amount, Sold: sold, Actor: "test", At: x.now,
		})
		return err
	})
	_, refusal := x.move(to, amount, sold)
	x.agree(refusal, err)
}

func (x *twin) takeBackOne(*rapid.T) {
	from, amount := rapid.SampledFrom(x.wallets[1:]).Draw(x.t, "from"), x.amount("credits")
	x.tick()
	err := x.inTx(func(tx *gorm.DB) error {
		_, err := x.w.ledger.TakeBack(x.t.Context(), tx, ledger.TransferRequest{
			Agency: x.w.agency, From: from.id, To: x.agency.id, Credits: amount, Actor: "test", At: x.now,
		})
		return err
	})
	x.agree(x.takeBack(from, amount), err)
}

func (x *twin) withdrawOne(*rapid.T) {
	w, amount := x.wallet(), x.amount("credits")
	x.tick()
	err := x.inTx(func(tx *gorm.DB) error {
		_, err := x.w.ledger.Withdraw(x.t.Context(), tx, ledger.AdjustRequest{Agency: x.w.agency, Wallet: w.id, Credits: amount, Actor: "test", At: x.now})
		return err
	})
	x.agree(x.withdraw(w, amount), err)
}

func (x *twin) setPolicy(*rapid.T) { x.setPolicyOf(x.wallet()) }

func (x *twin) setPolicyOf(w *modelWallet) {
	w.limit = models.Credits(rapid.SampledFrom([]int64{0, 10, 40}).Draw(x.t, "limit")) * models.Credit
	p := ledger.Policy{ExcessLimit: w.limit, Funding: models.Prepaid}
	if w == x.agency {
		w.ceiling = models.Credits(rapid.SampledFrom([]int64{0, 15, 60}).Draw(x.t, "ceiling")) * models.Credit
		p.AgencyCeiling = w.ceiling
	} else {
		w.cap = models.Credits(rapid.SampledFrom([]int64{0, 20, 50}).Draw(x.t, "cap")) * models.Credit
		w.daily = rapid.Bool().Draw(x.t, "daily")
		p.PoolCap = w.cap
		if w.daily {
			p.PoolEvery = models.PoolDay
		}
		if w.pooled {
			p.Funding = models.Pooled
		}
	}
	x.tx(func(tx *gorm.DB) error { return x.w.ledger.SetPolicy(x.t.Context(), tx, x.w.agency, w.id, p) })
}

func (x *twin) startCycle(*rapid.T) {
	x.tick()
	x.cycle = x.now
	x.tx(func(tx *gorm.DB) error {
		return x.w.ledger.StartCycle(x.t.Context(), tx, x.w.agency, x.agency.id, x.cycle)
	})
}

// moveClock lets time pass, books what is due or leaves it, and makes the
// ledger settle what became spendable, as the model does at once. Who is suspended
// can be made to settle by nothing, and so is resumed first.
func (x *twin) moveClock(*rapid.T) {
	x.resume(nil)
	x.now += models.Time(rapid.Int64Range(1, 150).Draw(x.t, "minutes")) * hour / 60
	if rapid.Bool().Draw(x.t, "expire holds") {
		_, err := x.w.ledger.ExpireHolds(x.t.Context(), x.now, 1000)
		require.NoError(x.t, err)
		for _, h := range x.holds {
			if h.state == models.HoldOpen && h.expires <= x.now {
				x.letGo(h, h.parts, models.HoldExpired)
			}
		}
	}
	for _, w := range x.wallets {
		if w.excess > 0 {
			r := x.request(w, 0)
			r.At, r.Test = x.now, true
			_, err := x.w.ledger.Charge(x.t.Context(), r)
			require.NoError(x.t, err)
			x.settle(w)
		}
	}
	if rapid.Bool().Draw(x.t, "expire lots") {
		_, err := x.w.ledger.ExpireLots(x.t.Context(), x.now, 1000)
		require.NoError(x.t, err)
		x.expireLots()
	}
}

// compare holds every observable of the ledger against the model.
func (x *twin) compare(*rapid.T) {
	ids := make([]models.WalletID, len(x.wallets))
	for i, w := range x.wallets {
		ids[i] = w.id
	}
	views, err := x.w.ledger.Views(x.t.Context(), x.w.agency, x.now, ids...)
	require.NoError(x.t, err)
	sums := x.sums()
	for i, w := range x.wallets {
		v := &views[i]
		want := ledger.Balance{Excess: w.excess}
		var balance models.Credits
		var lots, got []string
		for _, l := range w.ordered() {
			want.Held += l.held
			balance += l.remaining
			if l.open() {
				lots = append(lots, fmt.Sprint(l.id, l.source, l.expires, l.granted, l.remaining, l.held, l.cost, l.frozen))
			}
			if !l.spendable(x.now) {
				continue
			}
			want.Available += l.remaining
			switch l.source.Bucket() {
			case models.BucketPlan:
				want.Plan += l.remaining
			case models.BucketPurchased:
				want.Purchased += l.remaining
			case models.BucketAssigned:
				want.Assigned += l.remaining
			case models.BucketBonus, models.BucketExcess:
				want.Bonus += l.remaining
			}
		}
		for _, l := range v.Lots {
			got = append(got, fmt.Sprint(l.ID, l.Source, l.ExpiresAt, l.Granted, l.Remaining, l.Held, l.Cost, l.Frozen))
		}
		require.Equal(x.t, want, v.Balance, w.name)
		require.Equal(x.t, lots, got, w.name)
		require.Equal(x.t, balance-w.excess, v.Wallet.Balance, w.name)
		require.Equal(x.t, w.promised, v.Wallet.Promised, "%s promised", w.name)
		require.Equal(x.t, w.drawn, v.Wallet.PoolDrawn, "%s drawn from the pool", w.name)
		require.Equal(x.t, w.suspended, v.Wallet.Status == models.WalletSuspended, w.name)
		require.Equal(x.t, map[string]models.Credits{
			"consumed": w.consumed, "breakage": w.breakage, "disputed": w.disputed, "transit": w.sent, "given": w.given,
		}, sums[w.id], "%s: its entries", w.name)
		if w == x.agency {
			require.Equal(x.t, x.owed(), v.Wallet.AgencyExcess)
		}
	}
}

// sums adds up each wallet's entries by the accounts that they moved credits
// between.
func (x *twin) sums() map[models.WalletID]map[string]models.Credits {
	var rows []struct {
		WalletID models.WalletID
		Kind     ledger.Kind
		Amount   models.Credits
	}
	require.NoError(x.t, x.w.db.Read.Model(&models.Entry{}).Where("agency_id = ?", x.w.agency).Group("wallet_id, kind").
		Select("wallet_id, kind, CAST(SUM(amount) AS bigint) AS amount").Scan(&rows).Error)
	out := map[models.WalletID]map[string]models.Credits{}
	for _, w := range x.wallets {
		out[w.id] = map[string]models.Credits{"consumed": 0, "breakage": 0, "disputed": 0, "transit": 0, "given": 0}
	}
	for _, r := range rows {
		from, to := r.Kind.Accounts()
		for account, amount := range map[string]models.Credits{from: -r.Amount, to: r.Amount} {
			switch account {
			case "available", "held", "excess": // its own
			case "issued", "promotion":
				out[r.WalletID]["given"] -= amount
			default:
				out[r.WalletID][account] += amount
			}
		}
	}
	return out
}

func (x *twin) run() {
	for _, w := range x.wallets {
		x.setPolicyOf(w)
	}
	x.buy(nil)
	commands := map[string]func(*rapid.T){
		"grant": x.grant, "grant more": x.grant, "charge": x.chargeOne, "charge more": x.chargeOne, "batch": x.batch, "again": x.again,
		"hold": x.holdOne, "hold again": x.holdAgain, "capture": x.captureOne, "release": x.releaseOne, "reverse": x.reverseOne,
		"assign": x.assign, "take back": x.takeBackOne, "pass": x.passOne, "spread": x.spreadOne, "recall": x.recallOne, "withdraw": x.withdrawOne,
		"policy": x.setPolicy, "cycle": x.startCycle, "clock": x.moveClock, "clock more": x.moveClock,
		"renew": x.renew, "change plan": x.changePlan, "no plan": x.noPlan, "plan again": x.planAgain, "suspend": x.suspend, "resume": x.resume,
		"buy": x.buy, "check out": x.checkOut, "walk away": x.walkAway, "pay": x.payOne, "pay again": x.payAgain,
		"trade": x.trade, "trade more": x.trade, "refund": x.refund, "dispute": x.dispute, "decide": x.decide, "": x.compare,
	}
	for range 2 { // rapid's sequences are short, and half of a wallet's troubles come late
		x.t.Repeat(commands)
	}
	require.NoError(x.t, x.w.db.Snapshot(x.t.Context(), func(tx *gorm.DB) error {
		r, err := ledger.AuditIn(tx, x.w.agency, x.now)
		require.True(x.t, r.Clean(), "%s", r)
		return err
	}))
}

// sequences is how many command sequences to try; REFILL_SEQUENCES multiplies.
func sequences(few, many int) int {
	base := faults.Sized(few, many)
	if n, err := strconv.Atoi(os.Getenv("REFILL_SEQUENCES")); err == nil && n > 0 {
		return base * n
	}
	return base
}

func TestLedgerBehavesAsItsModel(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		// One lane: the model knows one order of a batch.
		l, err := ledger.Open(t.Context(), db, ledger.Options{Lanes: 1})
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		limit := sequences(20, 2_000)
		if db.Dialect == models.Postgres {
			limit = sequences(8, 1_000)
		}
		seed := faults.SequenceSeed()
		faults.Sequences(t, seed, limit, func(r *rapid.T) { newTwin(r, db, l).run() })
		faults.Tried(t, seed, "%d sequences of commands on %s, the ledger beside its model", limit, db.Dialect)
	})
}

func FuzzLedgerBehavesAsItsModel(f *testing.F) {
	db := modelstest.OpenSQLite(f)
	l, err := ledger.Open(f.Context(), db, ledger.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := l.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(rapid.MakeFuzz(func(r *rapid.T) { newTwin(r, db, l).run() }))
}
