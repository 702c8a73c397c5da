package ledger_test

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// twin drives the ledger and its model with the same commands.
type twin struct {
	*model
	w       *world
	t       *rapid.T
	n       int64
	holds   []*modelHold
	holdIDs []models.HoldID
	charges []*modelCharge
	ids     []models.ChargeID
}

func newTwin(t *rapid.T, db *models.DB, l *ledger.Ledger) *twin {
	id := models.NewID[models.WalletID]
	w := &world{db: db, ledger: l, agency: models.NewID[models.AgencyID](start), wallet: id(start), sub: id(start), card: models.NewID[models.RateCardID](start)}
	m := &model{now: start, agency: &modelWallet{name: "agency", id: w.wallet}}
	m.wallets = []*modelWallet{m.agency, {name: "prepaid", id: w.sub}, {name: "pooled", id: id(start), pooled: true}}
	x := &twin{model: m, w: w, t: t}
	x.tx(func(tx *gorm.DB) error {
		for _, v := range m.wallets {
			row := models.Wallet{AgencyID: w.agency, ID: v.id, Status: models.WalletActive, Funding: models.Prepaid, PoolEvery: models.PoolCycle, CreatedAt: start}
			if v != m.agency {
				row.SubAccountID, row.PoolWalletID = models.NewID[models.SubAccountID](start), w.wallet
			}
			if v.pooled {
				row.Funding = models.Pooled
			}
			if err := l.OpenWallet(t.Context(), tx, row); err != nil {
				return err
			}
		}
		return nil
	})
	return x
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

// agree says that the ledger must accept or refuse as the model does.
func (x *twin) agree(ok bool, err error, code string) {
	if ok {
		require.NoError(x.t, err)
		return
	}
	require.True(x.t, problem.Is(err, code), "the model refuses (%s), the ledger says %v", code, err)
}

func (x *twin) grant(*rapid.T) {
	w := x.wallet()
	n := x.tick()
	source := rapid.SampledFrom([]models.Source{
		models.SourcePlan, models.SourcePurchase, models.SourceReferral, models.SourcePromo, models.SourceAdjustment,
	}).Draw(x.t, "source")
	l := &modelLot{owner: w, source: source, effective: x.now, expires: models.Never, unit: n, born: x.now, remaining: x.amount("credits")}
	switch rapid.IntRange(0, 3).Draw(x.t, "life") {
	case 0:
		l.expires = x.now + models.Time(rapid.Int64Range(1, 5).Draw(x.t, "hours"))*hour
	case 1:
		l.effective = x.now + models.Time(rapid.Int64Range(1, 5).Draw(x.t, "hours"))*hour
	}
	x.tx(func(tx *gorm.DB) error {
		got, err := x.w.ledger.Grant(x.t.Context(), tx, ledger.GrantRequest{
			Agency: x.w.agency, Wallet: w.id, Source: source, Credits: l.remaining, EffectiveAt: l.effective, ExpiresAt: l.expires,
			Cost: models.Money{Amount: n * 100 * int64(l.remaining) / int64(models.Credit/4), Currency: "usd"}, Kind: "test", Actor: "test", At: x.now,
		})
		l.id = got.Lot.ID
		return err
	})
	w.lots = append(w.lots, l)
	x.settle(w)
}

const hour = models.Time(3600 * 1_000_000)

func (x *twin) chargeOne(*rapid.T) {
	w, amount := x.wallet(), x.amount("credits")
	r := x.request(w, amount)
	got, err := x.w.ledger.Charge(x.t.Context(), r)
	c := x.charge(w, amount)
	x.agree(c != nil, err, "insufficient_credits")
	if c != nil {
		x.keep(c, got)
	}
}

func (x *twin) keep(c *modelCharge, r ledger.Receipt) {
	require.False(x.t, r.Replayed)
	var sum models.Credits
	for _, d := range r.Draws {
		sum += d.Credits
	}
	require.Equal(x.t, r.Charge.Credits, sum, "the draws pay the charge")
	sum = 0
	for _, p := range c.parts {
		sum += p.credits
	}
	require.Equal(x.t, sum, r.Charge.Credits)
	x.charges, x.ids = append(x.charges, c), append(x.ids, r.Charge.ID)
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
		c := x.charge(w, r.Credits)
		x.agree(c != nil, errs[i], "insufficient_credits")
		if c != nil {
			x.keep(c, got[i])
		}
	}
}

func (x *twin) holdOne(*rapid.T) {
	w, amount := x.wallet(), x.amount("credits")
	ttl := rapid.Int64Range(1, 4).Draw(x.t, "half hours")
	key := fmt.Sprint("h", x.tick())
	got, err := x.w.ledger.Hold(x.t.Context(), ledger.HoldRequest{
		Agency: x.w.agency, Wallet: w.id, Key: key, Fingerprint: []byte(key), Action: "ai.reply", Credits: amount,
		TTL: time.Duration(ttl) * 30 * time.Minute, At: x.now, DayStart: x.dayStart(),
	})
	h := x.hold(w, amount, models.Time(ttl)*hour/2)
	x.agree(h != nil, err, "insufficient_credits")
	if h != nil {
		x.holds, x.holdIDs = append(x.holds, h), append(x.holdIDs, got.Hold.ID)
	}
}

func (x *twin) anyHold() (*modelHold, models.HoldID) {
	if len(x.holds) == 0 {
		x.t.Skip("no hold") // rapid draws another command instead; no test is skipped
	}
	i := rapid.IntRange(max(0, len(x.holds)-5), len(x.holds)-1).Draw(x.t, "hold")
	return x.holds[i], x.holdIDs[i]
}

func (x *twin) captureOne(*rapid.T) {
	h, id := x.anyHold()
	amount := x.amount("credits")
	if rapid.Bool().Draw(x.t, "exactly") {
		amount = h.credits
	}
	ended := h.state == models.HoldCaptured || h.state == models.HoldReleased
	got, err := x.w.ledger.Capture(x.t.Context(), ledger.CaptureRequest{Hold: id, Charge: x.request(h.owner, amount)})
	if ended {
		x.agree(false, err, "hold_not_open")
		return
	}
	c := x.capture(h, amount)
	x.agree(c != nil, err, "insufficient_credits")
	if c != nil {
		x.keep(c, got)
	}
}

func (x *twin) releaseOne(*rapid.T) {
	h, id := x.anyHold()
	x.tick()
	_, err := x.w.ledger.Release(x.t.Context(), ledger.ReleaseRequest{Agency: x.w.agency, Wallet: h.owner.id, Hold: id, At: x.now})
	if h.state == models.HoldCaptured {
		x.agree(false, err, "hold_not_open")
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
		got, err := x.w.ledger.Reverse(x.t.Context(), tx, ledger.ReverseRequest{Agency: x.w.agency, Charge: x.ids[i], Key: "r:" + x.ids[i].String(), At: x.now})
		if err == nil && got.Replayed != x.charges[i].reversed {
			return fmt.Errorf("replayed: %v", got.Replayed)
		}
		return err
	})
	if !x.charges[i].reversed {
		x.reverse(x.charges[i])
	}
}

func (x *twin) assign(*rapid.T) {
	to, amount, sold := rapid.SampledFrom(x.wallets[1:]).Draw(x.t, "to"), x.amount("credits"), rapid.Bool().Draw(x.t, "sold")
	x.tick()
	err := x.w.db.InTx(x.t.Context(), func(tx *gorm.DB) error {
		_, err := x.w.ledger.Assign(x.t.Context(), tx, ledger.TransferRequest{
			Agency: x.w.agency, From: x.agency.id, To: to.id, Credits: amount, Sold: sold, Actor: "test", At: x.now,
		})
		return err
	})
	x.agree(x.move(to, amount, sold), err, "insufficient_credits")
}

func (x *twin) takeBackOne(*rapid.T) {
	from, amount := rapid.SampledFrom(x.wallets[1:]).Draw(x.t, "from"), x.amount("credits")
	x.tick()
	err := x.w.db.InTx(x.t.Context(), func(tx *gorm.DB) error {
		_, err := x.w.ledger.TakeBack(x.t.Context(), tx, ledger.TransferRequest{
			Agency: x.w.agency, From: from.id, To: x.agency.id, Credits: amount, Actor: "test", At: x.now,
		})
		return err
	})
	x.agree(x.takeBack(from, amount), err, "insufficient_credits")
}

func (x *twin) withdrawOne(*rapid.T) {
	w, amount := x.wallet(), x.amount("credits")
	x.tick()
	err := x.w.db.InTx(x.t.Context(), func(tx *gorm.DB) error {
		_, err := x.w.ledger.Withdraw(x.t.Context(), tx, ledger.AdjustRequest{Agency: x.w.agency, Wallet: w.id, Credits: amount, Actor: "test", At: x.now})
		return err
	})
	x.agree(x.withdraw(w, amount), err, "insufficient_credits")
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
// ledger settle what became spendable, as the model does at once.
func (x *twin) moveClock(*rapid.T) {
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
	for _, w := range x.wallets {
		v, err := x.w.ledger.View(x.t.Context(), x.w.agency, w.id, x.now)
		require.NoError(x.t, err)
		want := ledger.Balance{Excess: w.excess}
		var balance models.Credits
		var lots, got []string
		for _, l := range w.ordered() {
			want.Held += l.held
			balance += l.remaining
			if l.remaining > 0 || l.held > 0 {
				lots = append(lots, fmt.Sprint(l.source, l.expires, l.remaining, l.held))
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
			got = append(got, fmt.Sprint(l.Source, l.ExpiresAt, l.Remaining, l.Held))
		}
		require.Equal(x.t, want, v.Balance, w.name)
		require.Equal(x.t, lots, got, w.name)
		require.Equal(x.t, balance-w.excess, v.Wallet.Balance, w.name)
		require.Equal(x.t, w.promised, v.Wallet.Promised, "%s promised", w.name)
		require.Equal(x.t, w.drawn, v.Wallet.PoolDrawn, "%s drawn from the pool", w.name)
		if w == x.agency {
			require.Equal(x.t, x.owed(), v.Wallet.AgencyExcess)
		}
	}
}

func (x *twin) run() {
	for _, w := range x.wallets {
		x.setPolicyOf(w)
	}
	x.t.Repeat(map[string]func(*rapid.T){
		"grant": x.grant, "grant more": x.grant, "charge": x.chargeOne, "charge more": x.chargeOne, "batch": x.batch,
		"hold": x.holdOne, "capture": x.captureOne, "release": x.releaseOne, "reverse": x.reverseOne,
		"assign": x.assign, "take back": x.takeBackOne, "withdraw": x.withdrawOne,
		"policy": x.setPolicy, "cycle": x.startCycle, "clock": x.moveClock, "": x.compare,
	})
	require.NoError(x.t, x.w.db.Snapshot(x.t.Context(), func(tx *gorm.DB) error {
		r, err := ledger.AuditIn(tx, x.w.agency, x.now)
		require.True(x.t, r.Clean(), "%s", r)
		return err
	}))
}

// sequences is how many command sequences to try; REFILL_SEQUENCES multiplies.
func sequences(base int64) int64 {
	if n, err := strconv.ParseInt(os.Getenv("REFILL_SEQUENCES"), 10, 64); err == nil && n > 0 {
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
		limit := sequences(60)
		if db.Dialect == models.Postgres {
			limit = sequences(12)
		}
		var done atomic.Int64
		var failed atomic.Bool
		for done.Load() < limit {
			rapid.Check(t, func(r *rapid.T) {
				if done.Add(1) > limit && !failed.Load() {
					return
				}
				failed.Store(true) // stands when the run does not come to its end
				newTwin(r, db, l).run()
				failed.Store(false)
			})
		}
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
