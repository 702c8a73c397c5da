package billing_test

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/billing"
	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest/faults"
)

// market is an agency that sells to clients for a while, and what its bank knows:
// the Sales page is held against that and the raw rows.
type market struct {
	*shop

	offers  []models.Package
	clients []*billing.Account
	packs   map[models.PurchaseID]*fate
	sales   map[models.PurchaseID]*fate
	keys    int
	trail   []string // what happened, for whoever reads a failure
}

func openMarket(t *testing.T, db *models.DB) *market {
	t.Helper()
	m := &market{shop: openShop(t, db, "stammer", ""), packs: map[models.PurchaseID]*fate{}, sales: map[models.PurchaseID]*fate{}}
	m.mode(t, "drop") // what is settled is settled by the test
	m.connect(t)
	m.offers = []models.Package{m.offer(t, 700, 9_01), m.offer(t, 2_500, 12_00), m.offer(t, 450, 51), m.month(t, m.offer(t, 1_100, 25_00))}
	for i := range 3 {
		m.clients = append(m.clients, m.client(t, fmt.Sprint("client-", i)))
	}
	return m
}

func (m *market) key() string {
	m.keys++
	return fmt.Sprint("market-", m.keys)
}

func (m *market) note(format string, args ...any) {
	m.trail = append(m.trail, fmt.Sprintf(format, args...))
}

// sequence lets a dozen things happen, and reads the page after each.
func (m *market) sequence(t *testing.T, r *rapid.T) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("%s", strings.Join(m.trail, "\n"))
		}
	}()
	moves := []func(*testing.T, *rapid.T){
		m.stock, m.sell, m.sell, m.sell, m.use, m.use, m.give, m.back, m.back, m.back, m.passes, m.rules,
	}
	for range rapid.IntRange(6, 14).Draw(r, "moves") {
		rapid.SampledFrom(moves).Draw(r, "move")(t, r)
		m.compare(t)
	}
}

// stock buys a pack: a credit of the small one costs $0.005, of the large one $0.004.
func (m *market) stock(t *testing.T, r *rapid.T) {
	t.Helper()
	p := m.buy(t, m.key(), rapid.SampledFrom([]string{"credits-2000", "credits-2000", "credits-12500"}).Draw(r, "pack"), 0)
	m.pay(t, p)
	p, err := m.Settle(t.Context(), p.AgencyID, p.ID)
	require.NoError(t, err)
	m.packs[p.ID] = paymentOf(p)
	require.NoError(t, m.RunDue(t.Context(), m.clock.Now())) // sales may have waited for it
	m.note("bought %s", p.Credits)
}

// paymentOf is what a paid purchase's bank knows by its payment: a month's checkout
// has none.
func paymentOf(p models.Purchase) *fate {
	p.CheckoutSession = p.PaymentIntent
	return &fate{p: p, refunds: map[string]int64{}}
}

func (m *market) buyer(r *rapid.T) *billing.Account {
	return rapid.SampledFrom(m.clients).Draw(r, "client")
}

// sell opens a checkout; most are paid, the others stay open until the client's
// next, or until their time is over.
func (m *market) sell(t *testing.T, r *rapid.T) {
	t.Helper()
	pkg := rapid.SampledFrom(m.offers).Draw(r, "package")
	p, err := m.order(t, m.buyer(r), pkg, m.key())
	if problem.Is(err, "out_of_stock") || problem.Is(err, "subscribed_already") {
		return
	}
	require.NoError(t, err)
	if rapid.IntRange(0, 5).Draw(r, "leaves") == 0 {
		return
	}
	m.pay(t, p)
	p, err = m.Settle(t.Context(), p.AgencyID, p.ID)
	require.NoError(t, err)
	m.sales[p.ID] = paymentOf(p)
	m.note("sold %s for %d: %s, waits %t", p.Credits, p.Price, p.Status, p.Waits)
}

// use charges somebody, or keeps credits for work that may never end.
func (m *market) use(t *testing.T, r *rapid.T) {
	t.Helper()
	who := rapid.SampledFrom(append(m.clients, m.account)).Draw(r, "who")
	if rapid.IntRange(0, 3).Draw(r, "hold") == 0 {
		n := models.Credits(rapid.IntRange(1, 200).Draw(r, "held")) * models.Credit
		_, err := m.Hold(t.Context(), billing.Scope{}, billing.HoldInput{Wallet: who.Wallet.String(), Key: m.key(), Credits: n})
		require.True(t, err == nil || problem.Is(err, "insufficient_credits"), "%v", err)
		m.note("held %s", n)
		return
	}
	var in []billing.ChargeInput
	for range rapid.IntRange(1, 40).Draw(r, "replies") {
		in = append(in, billing.ChargeInput{Wallet: who.Wallet.String(), Key: m.key(), Action: "ai.reply", Model: "gpt-4"})
	}
	for _, got := range m.ChargeAll(t.Context(), billing.Scope{}, in) {
		require.True(t, got.Err == nil || problem.Is(got.Err, "insufficient_credits"), "%v", got.Err)
	}
	m.note("%s used up to %d", who.Name(), len(in)*25)
}

// give assigns credits: they are not sold, whoever bought what they come from.
func (m *market) give(t *testing.T, r *rapid.T) {
	t.Helper()
	n := models.Credits(rapid.IntRange(1, 3_000).Draw(r, "credits")) * models.Credit
	_, err := m.Assign(t.Context(), billing.Scope{}, billing.TransferInput{
		Agency: m.account.Agency.ID, SubAccount: m.buyer(r).SubAccount.ID, Credits: n, Key: m.key(), By: "test",
	})
	require.True(t, err == nil || problem.Is(err, "insufficient_credits"), "%v", err)
	m.note("gave %s", n)
}

// back lets a refund or a dispute of a sale or of a pack begin or end.
func (m *market) back(t *testing.T, r *rapid.T) {
	t.Helper()
	of := m.sales
	if len(of) == 0 || rapid.IntRange(0, 3).Draw(r, "pack") == 0 {
		of = m.packs
	}
	if len(of) == 0 {
		return
	}
	ids := slices.SortedFunc(maps.Keys(of), models.PurchaseID.Compare) // as they were made
	f := of[rapid.SampledFrom(ids).Draw(r, "payment")]
	m.step(t, r, f)
	got := m.settled(t, f.p)
	m.note("%s of %d: refunds %v, dispute %s of %d: revoked %s, spent %s, frozen %s", f.p.Title, f.p.Price, f.refunds, f.outcome, f.amount, got.Revoked, got.RevokedSpent, got.Frozen)
	require.NoError(t, m.RunDue(t.Context(), m.clock.Now())) // what came back may be waited for
}

// passes moves the clock; months end and begin, and credits expire.
func (m *market) passes(t *testing.T, r *rapid.T) {
	t.Helper()
	by := rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 20 * 24 * time.Hour, 32 * 24 * time.Hour}).Draw(r, "by")
	require.NoError(t, m.clock.Advance(m.clock.Now().Add(by)))
	var subs []models.PackageSubscription
	require.NoError(t, m.db.Read.Where("agency_id = ?", m.account.Agency.ID).Find(&subs).Error)
	for range 3 { // a draft, its payment, and what follows
		if len(subs) > 0 {
			require.NoError(t, m.simulator.Tick(t.Context()))
		}
		require.NoError(t, m.RunDue(t.Context(), m.clock.Now()))
		for i := range subs {
			_, err := m.SettleMonthly(t.Context(), subs[i].AgencyID, subs[i].ID)
			require.NoError(t, err)
		}
		if len(subs) == 0 || by < 24*time.Hour {
			break
		}
		require.NoError(t, m.clock.Advance(m.clock.Now().Add(40*time.Minute)))
	}
	for i := range subs {
		for _, p := range m.months(t, subs[i]) {
			if m.sales[p.ID] == nil && p.PaidAt > 0 {
				m.sales[p.ID] = paymentOf(p)
			}
		}
	}
	m.note("%s passed", by)
}

// rules changes what is sold beyond the stock, and the platform's share.
func (m *market) rules(t *testing.T, r *rapid.T) {
	t.Helper()
	switch rapid.SampledFrom([]string{"refuse", "warn", "allow", "share"}).Draw(r, "rule") {
	case "refuse":
		m.rule(t, models.OversellRefuse, 0)
	case "warn":
		m.rule(t, models.OversellWarn, 0)
	case "allow":
		m.rule(t, models.OversellAllow, 3*thousand)
	case "share":
		require.NoError(t, m.SetPlatformFee(t.Context(), billing.FeeShare(rapid.Int64Range(0, 2_000).Draw(r, "share")), "test"))
	}
}

// lotBook is what the entries say of a lot.
type lotBook struct {
	models.Lot

	sold   models.Credits // came with its sale
	back   models.Credits // of them, went back to the seller
	frozen models.Credits // disputed
	unused models.Credits // is there, what is kept for running work included
	kept   models.Credits // for running work, or for checkouts
}

// books adds every entry of the agency up, lot by lot, without any of the product's
// sums; excess is what its own wallet owes.
func (m *market) books(t *testing.T) (lots map[models.LotID]*lotBook, excess models.Credits) {
	t.Helper()
	agency := m.account.Agency.ID
	var rows []models.Lot
	require.NoError(t, m.db.Read.Where("agency_id = ?", agency).Find(&rows).Error)
	lots = make(map[models.LotID]*lotBook, len(rows))
	for i := range rows {
		lots[rows[i].ID] = &lotBook{Lot: rows[i]}
	}
	var entries []models.Entry
	require.NoError(t, m.db.Read.Where("agency_id = ?", agency).Find(&entries).Error)
	for _, e := range entries {
		if e.WalletID == m.account.Wallet {
			switch ledger.Kind(e.Kind) { //nolint:exhaustive // the others leave excess alone
			case ledger.ExcessDraw, ledger.ClawbackExcess, ledger.Unsettle:
				excess += e.Amount
			case ledger.Settle, ledger.ReverseExcess, ledger.ReinstateExcess:
				excess -= e.Amount
			}
		}
		l := lots[e.LotID]
		if l == nil {
			continue
		}
		switch ledger.Kind(e.Kind) { //nolint:exhaustive // the others are of excess alone
		case ledger.SellIn:
			l.sold += e.Amount
			l.unused += e.Amount
		case ledger.ReturnOut:
			l.back += e.Amount
			l.unused -= e.Amount
		case ledger.ResellIn:
			l.back -= e.Amount
			l.unused += e.Amount
		case ledger.Freeze:
			l.frozen += e.Amount
			l.unused -= e.Amount
		case ledger.Unfreeze:
			l.frozen -= e.Amount
			l.unused += e.Amount
		case ledger.Grant, ledger.AssignIn, ledger.ReturnIn, ledger.AdjustIn, ledger.Reverse, ledger.Unsettle, ledger.Reinstate:
			l.unused += e.Amount
		case ledger.ChargeDraw, ledger.Expire, ledger.AssignOut, ledger.AdjustOut, ledger.Clawback, ledger.Settle, ledger.SellOut,
			ledger.ResellOut, ledger.PassOut:
			l.unused -= e.Amount
		case ledger.CaptureDraw, ledger.Forfeit, ledger.SellHeld:
			l.unused -= e.Amount
			l.kept -= e.Amount
		case ledger.HoldDraw, ledger.StockDraw:
			l.kept += e.Amount
		case ledger.ReleaseBack:
			l.kept -= e.Amount
		}
	}
	return lots, excess
}

// gone is what of a payment its seller no longer has.
func (f *fate) gone() int64 {
	st := f.standing()
	return min(f.p.Price, st.Refunded+st.Lost)
}

// taken is which part of so many credits the money that is gone asks for, rounded
// up to a millionth of a credit.
func (f *fate) taken(gone int64) models.Credits {
	part := new(big.Int).Mul(big.NewInt(int64(f.p.Credits)), big.NewInt(min(f.p.Price, gone)))
	part.Add(part, big.NewInt(f.p.Price-1)).Quo(part, big.NewInt(f.p.Price))
	return models.Credits(part.Int64())
}

// kept is the part of the money kept that stands for so many of the credits that
// stay sold.
func (f *fate) kept(t *testing.T, credits models.Credits) int64 {
	t.Helper()
	stay := f.p.Credits - f.taken(f.gone())
	if stay == 0 {
		return 0
	}
	value, err := models.MulDiv(f.p.Price-f.gone(), int64(credits), int64(stay))
	require.NoError(t, err)
	return value
}

// total is what the page must say of a sale, by its lots and its bank.
func (m *market) total(t *testing.T, f *fate, lots []*lotBook, all map[models.LotID]*lotBook) billing.SalesTotal {
	t.Helper()
	out := billing.SalesTotal{Revenue: f.p.Price - f.gone(), Fee: min((f.p.Price*29+500)/1000+30, f.p.Price), DisputeFee: f.fees}
	if f.gone() < f.p.Price {
		out.Sales = 1
	}
	share := (f.p.Price*f.p.FeeShare + 5_000) / 10_000
	if f.p.Month() { // Stripe is told the percentage, and rounds it
		asked := m.read(t, f.p).PlatformFee
		require.InDelta(t, share, asked, 1)
		share = asked
	}
	out.Share = share - share*min(f.standing().Refunded, f.p.Price)/f.p.Price
	for _, l := range lots {
		out.Credits += l.sold - l.back
		out.Cost += l.Cost - l.Cost*int64(l.back)/int64(l.sold)
		// What the agency paid for these very credits.
		pack := m.packs[all[l.ParentLotID].PurchaseID]
		require.NotNil(t, pack, "sold credits come from a pack")
		paid := new(big.Rat).SetFrac(big.NewInt(pack.p.Price), big.NewInt(int64(pack.p.Credits)))
		exact, _ := paid.Mul(paid, new(big.Rat).SetInt64(int64(l.sold))).Float64()
		require.InDelta(t, exact, l.Cost, 1)
	}
	return out
}

func plus(x, y billing.SalesTotal) billing.SalesTotal {
	return billing.SalesTotal{
		Sales: x.Sales + y.Sales, Credits: x.Credits + y.Credits, Revenue: x.Revenue + y.Revenue, Cost: x.Cost + y.Cost, Fee: x.Fee + y.Fee, Share: x.Share + y.Share,
		DisputeFee: x.DisputeFee + y.DisputeFee,
	}
}

// compare holds the page against the rows.
func (m *market) compare(t *testing.T) {
	t.Helper()
	ctx, agency, now := t.Context(), m.account.Agency.ID, m.clock.Now()
	all, excess := m.books(t)
	of := map[models.PurchaseID][]*lotBook{}
	want := billing.SoldUnused{Excess: excess, Value: models.Money{Currency: "usd"}}
	clients := map[models.WalletID]bool{}
	var stock models.Credits
	for _, l := range all {
		switch {
		case l.sold > 0:
			of[l.PurchaseID] = append(of[l.PurchaseID], l)
		case l.WalletID == m.account.Wallet && l.Source == models.SourcePurchase:
			stock += l.unused - l.kept
		}
	}
	byClient, byPackage := billing.SalesBy[models.WalletID]{}, billing.SalesBy[models.PackageID]{}
	rows := map[models.PurchaseID]billing.SalesTotal{}
	for id := range of {
		require.Contains(t, m.sales, id, "sold without a payment")
	}
	for id, f := range m.sales {
		// What the client has, and what is paid for and was not given yet, or was taken
		// back and is the client's again.
		var there models.Credits
		owed := f.p.Credits
		for _, l := range of[id] {
			owed += l.back + l.frozen - l.sold
			if l.ExpiresAt > now {
				there += l.unused
			} else { // the month is over
				owed = 0
				break
			}
		}
		owed = max(0, owed-f.taken(f.gone()+f.standing().Disputed))
		want.Credits += there + owed
		want.Waiting += owed
		want.Value.Amount += f.kept(t, there+owed)
		if there+owed > 0 {
			clients[f.p.WalletID] = true
		}
		if len(of[id]) == 0 {
			continue
		}
		rows[id] = m.total(t, f, of[id], all)
		byClient[f.p.WalletID] = plus(byClient[f.p.WalletID], rows[id])
		byPackage[f.p.PackageID] = plus(byPackage[f.p.PackageID], rows[id])
	}
	span := period.Span{Start: 1, End: models.Never}
	gotClients, err := m.SalesByClient(ctx, agency, span)
	require.NoError(t, err)
	require.Equal(t, byClient, gotClients)
	gotPackages, err := m.SalesByPackage(ctx, agency, span)
	require.NoError(t, err)
	require.Equal(t, byPackage, gotPackages)
	require.Equal(t, gotClients.Total(), gotPackages.Total())
	month := period.Span{Start: now.Add(-40 * 24 * time.Hour), End: now + 1}
	of40, err := m.SalesByClient(ctx, agency, month)
	require.NoError(t, err)
	days, err := m.SalesByDay(ctx, agency, month, m.account.Zone)
	require.NoError(t, err)
	var inDays billing.SalesTotal
	for _, d := range days {
		inDays = plus(inDays, d.SalesTotal)
	}
	require.Equal(t, of40.Total(), inDays)

	list, err := m.Sales(ctx, billing.SalesQuery{Agency: agency, Limit: 1000})
	require.NoError(t, err)
	for i := range list {
		if s := &list[i]; s.CreditedAt > 0 {
			require.Equal(t, rows[s.ID].Profit(), s.Profit())
			delete(rows, s.ID)
		}
	}
	require.Empty(t, rows, "every sale is a line")

	unused, err := m.SoldUnused(ctx, &m.account.Agency)
	require.NoError(t, err)
	want.Clients = int64(len(clients))
	if want.Waiting+want.Excess > 0 {
		want.Reserve = min(want.Waiting+want.Excess, stock)
	}
	require.Equal(t, want, unused)
	missing := max(0, want.Waiting-max(0, stock-excess))
	require.Equal(t, max(0, want.Credits-missing), unused.Covered())
}

// Whatever is bought, sold, used, refunded, disputed and left to expire: what the
// Sales page says is the sum over the entries, by the prices of the very packs
// that the credits came from (10,000 sequences with REFILL_FAULTS).
func TestTheSalesPageIsTheSumOfItsEntries(t *testing.T) {
	t.Parallel()
	seed := faults.SequenceSeed()
	inLanes(t, func(t *testing.T, db *models.DB, lane, of int) {
		const together = 10 // one after the other at one agency: what went before is part of what is read
		all := faults.Sized(4, 10_000/of)
		for left := all; left > 0; left -= together {
			t.Run(fmt.Sprint("with ", left, " left"), func(t *testing.T) {
				m := openMarket(t, freshLike(t, db))
				faults.Sequences(t, seed+uint64(lane)<<48+uint64(left)<<32, min(left, together), func(r *rapid.T) { m.sequence(t, r) })
			})
		}
		faults.Tried(t, seed, "%d sequences of sales read against their entries on %s, lane %d", all, db.Dialect, lane+1)
	})
}
