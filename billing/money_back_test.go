package billing_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// bank does what happens to a payment after it was made: refund, dispute or warn,
// and gives the object that this made.
func (s *shop) bank(t *testing.T, path string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.box+"/_sim/"+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	var made struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&made))
	require.Equal(t, http.StatusOK, res.StatusCode, path)
	return made.ID
}

func (s *shop) refund(t *testing.T, p models.Purchase, amount int64) string {
	t.Helper()
	return s.bank(t, "payments/"+p.CheckoutSession+"/refund", url.Values{"amount": {strconv.FormatInt(amount, 10)}})
}

func (s *shop) dispute(t *testing.T, p models.Purchase, amount int64) string {
	t.Helper()
	return s.bank(t, "payments/"+p.CheckoutSession+"/dispute", url.Values{"amount": {strconv.FormatInt(amount, 10)}})
}

// paid buys a pack and pays it.
func (s *shop) paid(t *testing.T, key, pack string) models.Purchase {
	t.Helper()
	p := s.buy(t, key, pack, 0)
	s.pay(t, p)
	s.becomes(t, p, models.PurchaseCredited)
	return s.read(t, p)
}

// spend uses credits of a wallet up, 25 at a time.
func (s *shop) spend(t *testing.T, who *billing.Account, key string, n int) {
	t.Helper()
	for from := 0; from < n/25; from += billing.MaxBatch {
		var in []billing.ChargeInput
		for i := from; i < min(n/25, from+billing.MaxBatch); i++ {
			in = append(in, billing.ChargeInput{Wallet: who.Wallet.String(), Key: fmt.Sprint(key, i), Action: "ai.reply", Model: "gpt-4"})
		}
		for _, r := range s.ChargeAll(t.Context(), billing.Scope{}, in) {
			require.NoError(t, r.Err)
		}
	}
}

// settled asks Stripe and gives the purchase as it stands then.
func (s *shop) settled(t *testing.T, p models.Purchase) models.Purchase {
	t.Helper()
	got, err := s.SettleWhole(t.Context(), p.AgencyID, p.ID)
	require.NoError(t, err)
	return got
}

// dry uses up what the plan gave, so that only bought credits are left.
func (s *shop) dry(t *testing.T) {
	t.Helper()
	_, err := s.Adjust(t.Context(), billing.AdjustInput{
		Agency: s.account.Agency.ID, Wallet: s.account.Wallet, Credits: -s.balance(t, s.account).Plan, Reason: "used up", Key: "dry", By: "test",
	})
	require.NoError(t, err)
	require.Zero(t, s.balance(t, s.account).Plan)
}

// left is the number on screen.
func (s *shop) left(t *testing.T, who *billing.Account) models.Credits {
	t.Helper()
	b := s.balance(t, who)
	return b.Left()
}

// The events of the simulator alone bring a purchase to where its payment stands.
func TestEventsTakeCreditsBackAndGiveThemBack(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		p := s.paid(t, "k", "credits-12500")
		had := s.left(t, s.account)
		id := s.refund(t, p, 20_00)
		comes := func(want models.Credits) {
			t.Helper()
			require.Eventually(t, func() bool { return s.left(t, s.account) == want }, 15*time.Second, 10*time.Millisecond)
		}
		comes(had - 5*thousand)
		got := s.read(t, p)
		require.Equal(t, []any{models.PurchaseCredited, int64(20_00), 5 * thousand}, []any{got.Status, got.Refunded, got.Revoked})
		s.bank(t, "refunds/"+id, url.Values{"status": {"failed"}})
		comes(had)
		require.Zero(t, s.read(t, p).Refunded)
		d := s.dispute(t, p, 50_00)
		comes(had - 12_500*models.Credit)
		s.becomes(t, p, models.PurchaseDisputed)
		got = s.read(t, p)
		require.Equal(t, []any{models.DisputeOpen, 12_500 * models.Credit, models.Credits(0)}, []any{got.Dispute, got.Frozen, got.Revoked})
		require.NotZero(t, got.DisputeAnswerBy)
		s.bank(t, "disputes/"+d, url.Values{"outcome": {"win"}})
		comes(had)
		s.becomes(t, p, models.PurchaseCredited)
		s.bank(t, "payments/"+p.CheckoutSession+"/warn", nil)
		require.Eventually(t, func() bool { return s.read(t, p).WarnedAt > 0 }, 15*time.Second, 10*time.Millisecond)
		require.Equal(t, had, s.left(t, s.account), "a warning takes nothing")
		s.bank(t, "payments/"+p.CheckoutSession+"/dispute", url.Values{"inquiry": {"true"}})
		require.Eventually(t, func() bool { return s.read(t, p).Dispute == models.DisputeInquiry }, 15*time.Second, 10*time.Millisecond)
		require.Equal(t, had, s.left(t, s.account), "nor does a question")
		s.refund(t, p, 50_00)
		s.becomes(t, p, models.PurchaseRefunded)
		comes(had - 12_500*models.Credit)
	})
}

// Stripe charges for a dispute of a sale when it is opened, and the agency's profit
// bears it; a question of the bank costs nothing, and what is won brings no fee back.
func TestADisputesFeeIsInTheProfit(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		s.mode(t, "drop")
		holds := func(p models.Purchase, fee, kept int64) {
			t.Helper()
			s.settled(t, p)
			sums, err := s.SalesByClient(t.Context(), p.AgencyID, period.Span{Start: 1, End: models.Never})
			require.NoError(t, err)
			list, err := s.Sales(t.Context(), billing.SalesQuery{Agency: p.AgencyID})
			require.NoError(t, err)
			var sum int64
			for i := range list {
				sum += list[i].Profit()
			}
			require.Equal(t, sum, sums.Total().Profit(), "the list adds up to the sums")
			require.Equal(t, []int64{fee, kept}, []int64{sums[p.WalletID].DisputeFee, sums[p.WalletID].Profit()})
		}
		sold := func(name string) models.Purchase {
			t.Helper()
			p, err := s.order(t, s.client(t, name), growth, name)
			require.NoError(t, err)
			s.pay(t, p)
			return s.settled(t, p)
		}
		lost, won, asked := sold("lost"), sold("won"), sold("asked")
		const kept = 60_00 - 28_57 - 2_04
		holds(lost, 0, kept)
		d := s.dispute(t, lost, 60_00)
		holds(lost, 15_00, kept-15_00)
		s.bank(t, "disputes/"+d, url.Values{"outcome": {"lose"}})
		holds(lost, 15_00, -2_04-15_00)
		s.bank(t, "disputes/"+s.dispute(t, won, 60_00), url.Values{"outcome": {"win"}})
		holds(won, 15_00, kept-15_00)
		s.bank(t, "payments/"+asked.CheckoutSession+"/dispute", url.Values{"inquiry": {"true"}})
		holds(asked, 0, kept)
	})
}

// The nine hard cases, each under its number in the written decisions.

func TestCase1PartialRefundAfterSpending(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		p := s.paid(t, "a", "credits-12500")
		s.spend(t, s.account, "use", 8_750)
		s.refund(t, p, 25_00)
		got := s.settled(t, p)
		require.Equal(t, []models.Credits{6_250 * models.Credit, 2_500 * models.Credit}, []models.Credits{got.Revoked, got.RevokedSpent})
		b := s.balance(t, s.account)
		require.Equal(t, []models.Credits{0, 2_500 * models.Credit}, []models.Credits{b.Purchased, b.Excess}, "3,750 from its lot, 2,500 owed")
		_, err := s.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:shop", Key: "no", Action: "ai.reply", Model: "gpt-4"})
		require.True(t, problem.Is(err, "insufficient_credits"), "%v", err)
		entries := func() (n int64) {
			require.NoError(t, db.Read.Model(&models.Entry{}).Where("agency_id = ?", p.AgencyID).Count(&n).Error)
			return n
		}
		booked := entries()
		s.settled(t, p)
		require.Equal(t, booked, entries(), "looked at, nothing booked")
		s.paid(t, "b", "credits-12500")
		b = s.balance(t, s.account)
		require.Equal(t, []models.Credits{10 * thousand, 0}, []models.Credits{b.Purchased, b.Excess}, "the next grant pays it off first")
	})
}

func TestCase2PackRefundedAfterResale(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		s.dry(t)
		var stock models.Purchase
		require.NoError(t, db.Read.Where("pack_id IS NOT NULL").Take(&stock).Error)
		acme := s.client(t, "acme")
		p, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		s.refund(t, stock, 100_00)
		got := s.settled(t, stock)
		require.Equal(t, []any{models.PurchaseRefunded, 35 * thousand, 10 * thousand}, []any{got.Status, got.Revoked, got.RevokedSpent})
		require.Equal(t, 10*thousand, s.balance(t, acme).Purchased, "the client is innocent")
		s.spend(t, acme, "use", 5_000)
		b := s.balance(t, s.account)
		require.Equal(t, []models.Credits{0, 10 * thousand}, []models.Credits{b.Purchased, b.Excess})
		_, err = s.order(t, acme, growth, "again")
		require.True(t, problem.Is(err, "out_of_stock"), "%v", err)
	})
}

func TestCase3SaleRefundedByTheAgency(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		s.dry(t)
		acme := s.client(t, "acme")
		p, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		s.spend(t, acme, "use", 4_000)
		id := s.refund(t, p, 60_00)
		got := s.settled(t, p)
		require.Equal(t, []any{models.PurchaseRefunded, 10 * thousand, 4 * thousand}, []any{got.Status, got.Revoked, got.RevokedSpent})
		require.Equal(t, int64(17_14), got.CostBack, "six of ten thousand came back, which had cost $28.57")
		b := s.balance(t, acme)
		require.Equal(t, []models.Credits{0, 0}, []models.Credits{b.Purchased, b.Excess}, "what the client used is the agency's loss")
		b = s.balance(t, s.account)
		require.Equal(t, 31*thousand, b.Purchased, "the rest is back in the lot it came from")
		var lots []models.Lot
		require.NoError(t, db.Read.Where("wallet_id = ? AND source = ?", s.account.Wallet, models.SourcePurchase).Find(&lots).Error)
		require.Len(t, lots, 1)
		require.Equal(t, models.Never, lots[0].ExpiresAt)

		// The bank sends the money back: the client has its credits again.
		s.bank(t, "refunds/"+id, url.Values{"status": {"failed"}})
		got = s.settled(t, p)
		require.Equal(t, []any{models.PurchaseCredited, models.Credits(0), int64(0)}, []any{got.Status, got.Revoked, got.CostBack})
		require.Equal(t, 6*thousand, s.balance(t, acme).Purchased)
		require.Equal(t, 25*thousand, s.balance(t, s.account).Purchased)
	})
}

// A sale from two packs: what goes back cost what the very lots did that it goes
// back to, and the money that is kept stands for the credits that stay.
func TestARefundGivesBackTheCostOfItsVeryCredits(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, _ := openStall(t, db)
		s.paid(t, "dearer", "credits-2000")
		p, err := s.order(t, s.client(t, "acme"), s.offer(t, 36_000, 250_00), "k")
		require.NoError(t, err)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		require.Equal(t, int64(105_00), s.read(t, p).Cost, "35,000 for $100, and 1,000 at half a cent")
		s.refund(t, p, 125_00)
		require.Equal(t, int64(51_42), s.settled(t, p).CostBack, "18,000 of the 35,000: the cheapest first, as they are drawn")
		unused, err := s.SoldUnused(t.Context(), &s.account.Agency)
		require.NoError(t, err)
		require.Equal(t, []any{18 * thousand, int64(125_00)}, []any{unused.Credits, unused.Value.Amount})
		s.refund(t, p, 125_00)
		require.Equal(t, int64(105_00), s.settled(t, p).CostBack, "all of it")
	})
}

// What the agency has used of returned credits, its client gets once it is there
// again: nobody is given credits that nobody has.
func TestARefundThatFailsWaitsForTheSellersLot(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		s.dry(t)
		acme := s.client(t, "acme")
		p, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		id := s.refund(t, p, 60_00)
		s.settled(t, p)
		s.spend(t, s.account, "use", 31_000)
		s.bank(t, "refunds/"+id, url.Values{"status": {"failed"}})
		got := s.settled(t, p)
		require.Equal(t, []any{4 * thousand, 6 * thousand}, []any{s.balance(t, acme).Purchased, got.Revoked})
		require.Contains(t, got.StatusNote, "6000 credits")
		for _, who := range []*billing.Account{acme, s.account} {
			require.Equal(t, 1, s.moneyTold(t, who)[models.NoticeRefundFailed], "who waits for it, and who may send it again")
		}
		unused, err := s.SoldUnused(t.Context(), &s.account.Agency)
		require.NoError(t, err)
		require.Equal(t, []models.Credits{10 * thousand, 6 * thousand, 4 * thousand}, []models.Credits{unused.Credits, unused.Waiting, unused.Covered()}, "it owes them")
		require.Equal(t, got.Revoked, s.settled(t, p).Revoked, "still")
	})
}

func TestCase4DisputeThenRefundThenWon(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		p := s.paid(t, "k", "credits-12500")
		d := s.dispute(t, p, 50_00)
		got := s.settled(t, p)
		require.Equal(t, []any{models.PurchaseDisputed, 12_500 * models.Credit}, []any{got.Status, got.Frozen})
		s.refund(t, p, 20_00)
		got = s.settled(t, p)
		require.Equal(t, []models.Credits{5 * thousand, 7_500 * models.Credit}, []models.Credits{got.Revoked, got.Frozen}, "never more than all")
		require.Zero(t, s.left(t, s.account))
		s.bank(t, "disputes/"+d, url.Values{"outcome": {"win"}})
		got = s.settled(t, p)
		require.Equal(t, []any{models.PurchaseCredited, models.DisputeWon, 5 * thousand, models.Credits(0)}, []any{got.Status, got.Dispute, got.Revoked, got.Frozen})
		require.Equal(t, 7_500*models.Credit, s.left(t, s.account))

		// And one that is lost, of what had been used.
		q := s.paid(t, "q", "credits-2000")
		s.spend(t, s.account, "use", 9_000)
		d = s.dispute(t, q, 10_00)
		got = s.settled(t, q)
		require.Equal(t, []models.Credits{0, 500 * models.Credit}, []models.Credits{got.Revoked, got.Frozen}, "what is left waits, nothing is owed yet")
		s.bank(t, "disputes/"+d, url.Values{"outcome": {"lose"}})
		got = s.settled(t, q)
		require.Equal(t, []any{models.PurchaseDisputed, models.DisputeLost, 2 * thousand, 1_500 * models.Credit}, []any{got.Status, got.Dispute, got.Revoked, got.RevokedSpent})
		require.Equal(t, -1_500*models.Credit, s.left(t, s.account))
	})
}

func TestCase5AnAgencyThatPaysItselfGainsNothing(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		s.dry(t)
		self := s.client(t, "self")
		whole := func() models.Credits { return s.left(t, s.account) + s.left(t, self) }
		had := whole()
		p, err := s.order(t, self, growth, "k")
		require.NoError(t, err)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		require.Equal(t, had, whole(), "what it sells itself comes out of its stock")
		s.spend(t, self, "use", 4_000)
		s.refund(t, p, 60_00)
		s.settled(t, p)
		require.Equal(t, had-4*thousand, whole(), "and giving the money back to itself brings none of it again")
	})
}

func TestCase6ASecondPaidSessionIsASecondPurchase(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		one, two := s.buy(t, "tab one", "credits-2000", 0), s.buy(t, "tab two", "credits-2000", 0)
		require.NotEqual(t, one.ID, two.ID)
		s.pay(t, one)
		s.pay(t, two)
		s.becomes(t, one, models.PurchaseCredited)
		s.becomes(t, two, models.PurchaseCredited)
		require.Equal(t, 4*thousand, s.left(t, s.account))
		s.refund(t, two, 10_00)
		require.Equal(t, models.PurchaseRefunded, s.settled(t, two).Status)
		require.Equal(t, models.PurchaseCredited, s.settled(t, one).Status)
		require.Equal(t, 2*thousand, s.left(t, s.account), "giving the second back leaves the first alone")
	})
}

// A person who opens the same checkout in a second tab can pay one of them: the older
// one is closed, and what was paid there just before counts.
func TestASecondTabClosesTheFirst(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop")
		tab := func(key, pack string) models.Purchase {
			t.Helper()
			p, err := s.Buy(t.Context(), billing.BuyInput{Account: s.account, Pack: pack, Key: key, By: "test", Instead: true})
			require.NoError(t, err)
			return p
		}
		one, other := tab("one", "credits-2000"), tab("other", "credits-12500")
		two := tab("two", "credits-2000")
		require.Equal(t, []models.PurchaseStatus{models.PurchaseCancelled, models.PurchaseOpen, models.PurchaseOpen},
			[]models.PurchaseStatus{s.read(t, one).Status, s.read(t, other).Status, s.read(t, two).Status})
		require.NotEqual(t, http.StatusOK, s.sim(t, "checkout/sessions/"+one.CheckoutSession+"/pay", url.Values{"card": {cardPays}}))
		again := tab("one", "credits-2000")
		require.Equal(t, models.PurchaseCancelled, again.Status)
		require.Equal(t, models.PurchaseOpen, s.read(t, two).Status, "an old page closes nothing")
		s.pay(t, two)
		tab("three", "credits-2000")
		require.Equal(t, models.PurchaseCredited, s.read(t, two).Status)
	})
}

func TestCase7AnotherAmountOrCurrencyIsReviewed(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		for i, columns := range []map[string]any{{"price": 40_00}, {"currency": "eur"}} {
			p := s.buy(t, fmt.Sprint("k", i), "credits-12500", 0)
			require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Updates(columns).Error)
			s.pay(t, p)
			s.becomes(t, p, models.PurchaseReview)
			require.NotZero(t, s.read(t, p).PaidAt, "paid, and not booked")
			require.Zero(t, s.left(t, s.account))
			// Its money going back ends the matter.
			s.refund(t, p, 50_00)
			got := s.settled(t, p)
			require.Equal(t, int64(50_00), got.Refunded)
			require.Zero(t, s.left(t, s.account))
		}
	})
}

func TestCase9NothingIsBookedInAnotherMode(t *testing.T) {
	t.Parallel()
	_, err := checkout.New(checkout.Config{SecretKey: "sk_live_1", WebhookSecrets: []string{"whsec_1"}, BaseURL: "http://127.0.0.1:1"})
	require.ErrorContains(t, err, "live key", "a live key never meets a simulator")
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		p := s.buy(t, "k", "credits-12500", 0)
		require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Update("live", true).Error)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseReview)
		require.Zero(t, s.left(t, s.account), "test money makes no live credits")
	})
}

// A slow answer of Stripe's never overtakes what a later look has booked.
func TestAnOldLookIsNotBooked(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		p := s.paid(t, "k", "credits-12500")
		s.refund(t, p, 25_00)
		s.settled(t, p)
		require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).
			Update("looked", 1_000).Error) // as if a look that began much later was booked
		s.refund(t, p, 25_00)
		got := s.settled(t, p)
		require.Equal(t, 6_250*models.Credit, got.Revoked)
		require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Update("looked", 0).Error)
		require.Equal(t, 12_500*models.Credit, s.settled(t, p).Revoked)
	})
}
