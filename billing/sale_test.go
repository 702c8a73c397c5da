package billing_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// openStall is a shop whose agency sells: it bought 35,000 credits for $100, is
// connected to Stripe, and has a package of 10,000 for $60.
func openStall(t *testing.T, db *models.DB) (*shop, models.Package) {
	t.Helper()
	s := openShop(t, db, "stammer", "")
	p := s.buy(t, "stock", "credits-35000", 0)
	s.pay(t, p)
	s.becomes(t, p, models.PurchaseCredited)
	s.connect(t)
	return s, s.offer(t, 10_000, 60_00)
}

func (s *shop) connect(t *testing.T) {
	t.Helper()
	require.NoError(t, s.db.Write.Create(&models.StripeAccount{
		AgencyID: s.account.Agency.ID, Account: shopAccount, ChargesEnabled: true, CreatedAt: s.clock.Now(),
	}).Error)
}

func (s *shop) offer(t *testing.T, n, price int64) models.Package {
	t.Helper()
	out := models.Package{
		AgencyID: s.account.Agency.ID, ID: models.NewID[models.PackageID](s.clock.Now()), Name: "Growth", Credits: models.Credits(n) * models.Credit,
		Price: price, Currency: "usd", Audience: models.AudienceAll, OnSale: true, CostBasis: models.CostHeld, CreatedAt: s.clock.Now(),
	}
	require.NoError(t, s.db.Write.Create(&out).Error)
	return out
}

func (s *shop) client(t *testing.T, name string) *billing.Account {
	t.Helper()
	sub, err := s.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{Agency: s.account.Agency.ID, ExternalID: name, Name: name, By: "test"})
	require.NoError(t, err)
	account, err := s.AccountOf(t.Context(), sub.WalletID)
	require.NoError(t, err)
	return account
}

func (s *shop) order(t *testing.T, who *billing.Account, pkg models.Package, key string) (models.Purchase, error) {
	t.Helper()
	return s.BuyPackage(t.Context(), billing.PackageInput{Account: who, Package: pkg.ID.String(), Key: key, By: "test"})
}

func (s *shop) balance(t *testing.T, who *billing.Account) billing.Balance {
	t.Helper()
	v, err := s.Wallet(t.Context(), who)
	require.NoError(t, err)
	return v.Balance
}

func (s *shop) read(t *testing.T, p models.Purchase) models.Purchase {
	t.Helper()
	got, err := s.Purchase(t.Context(), p.AgencyID, p.ID)
	require.NoError(t, err)
	return got
}

// fault makes the next count calls of a path fail.
func (s *shop) fault(t *testing.T, path string, count int) {
	t.Helper()
	require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {path}, "fault": {"500"}, "count": {strconv.Itoa(count)}}))
}

// later moves the clock and does what is due.
func (s *shop) later(t *testing.T, by time.Duration) {
	t.Helper()
	require.NoError(t, s.clock.Advance(s.clock.Now().Add(by)))
	require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
}

const thousand = 1000 * models.Credit

// Credits bought at 35,000 for $100 and sold at $0.006 cost $28.57 in the sale,
// in the ledger and in the editor's panel; Stripe keeps $2.04.
func TestAClientBuysAPackage(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		p, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		require.Equal(t, shopAccount, p.Account, "the money goes to the agency")
		b := s.balance(t, s.account)
		require.Equal(t, []models.Credits{25 * thousand, 10 * thousand}, []models.Credits{b.Purchased, b.Held}, "its stock is kept meanwhile")
		again, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		require.Equal(t, p.ID, again.ID)

		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		got := s.read(t, p)
		require.Equal(t, []int64{60_00, 28_57, 2_04}, []int64{got.Price, got.Cost, got.Fee})
		require.Equal(t, []models.Credits{0, 10 * thousand}, []models.Credits{got.BalanceBefore, got.BalanceAfter})
		require.EqualValues(t, 1, got.ReceiptNumber, "the agency's own receipts are another series")
		require.Equal(t, 10*thousand, s.balance(t, acme).Purchased)
		b = s.balance(t, s.account)
		require.Equal(t, []models.Credits{25 * thousand, 0}, []models.Credits{b.Purchased, b.Held})
		var lots []models.Lot
		require.NoError(t, db.Read.Where("purchase_id = ?", p.ID).Find(&lots).Error)
		require.Len(t, lots, 1)
		require.Equal(t, []any{int64(28_57), models.Never, models.SourcePurchase}, []any{lots[0].Cost, lots[0].ExpiresAt, lots[0].Source})
	})
}

// 200 clients ask at once for what there is a hundredfold of: exactly 100 are
// credited, and nobody pays in vain.
func TestTwoHundredBuyersForAHundred(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, _ := openStall(t, db)
		small := s.offer(t, 350, 5_00)
		clients := make([]*billing.Account, 200)
		for i := range clients {
			clients[i] = s.client(t, fmt.Sprintf("client-%03d", i))
		}
		opened := make([]models.Purchase, len(clients))
		var wg sync.WaitGroup
		for i, who := range clients {
			wg.Go(func() {
				p, err := s.BuyPackage(t.Context(), billing.PackageInput{Account: who, Package: small.ID.String(), Key: "k" + who.SubAccount.ExternalID, By: "test"})
				switch {
				case err == nil:
					opened[i] = p
				case !problem.Is(err, "out_of_stock"):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var paid []models.Purchase
		for _, p := range opened {
			if p.CheckoutURL != "" {
				paid = append(paid, p)
			}
		}
		require.Len(t, paid, 100, "whoever sees a payment page can have the credits")
		for _, p := range paid {
			wg.Go(func() {
				form := url.Values{"card": {"4242424242424242"}}
				res, err := http.Post(s.box+"/_sim/checkout/sessions/"+p.CheckoutSession+"/pay", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
				if err != nil || res.Body.Close() != nil || res.StatusCode != http.StatusOK {
					t.Error("payment", err, res)
				}
			})
		}
		wg.Wait()
		for _, p := range paid {
			s.becomes(t, p, models.PurchaseCredited)
		}
		var credited models.Credits
		for _, who := range clients {
			b := s.balance(t, who)
			require.Contains(t, []models.Credits{0, 350 * models.Credit}, b.Purchased)
			credited += b.Purchased
		}
		require.Equal(t, 35*thousand, credited)
		left := s.balance(t, s.account)
		require.Zero(t, left.Purchased+left.Held)
		var cost int64
		require.NoError(t, db.Read.Model(&models.Purchase{}).Where("package_id IS NOT NULL").Select("SUM(cost)").Scan(&cost).Error)
		require.EqualValues(t, 100_00, cost, "the costs of all sales add up to what the credits cost")
	})
}

func TestADeclinedOrLeftSaleGivesTheStockBack(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		p, err := s.order(t, acme, growth, "declined")
		require.NoError(t, err)
		require.Equal(t, http.StatusPaymentRequired, s.sim(t, "checkout/sessions/"+p.CheckoutSession+"/pay", url.Values{"card": {"4000000000000002"}}))
		p, err = s.Settle(t.Context(), p.AgencyID, p.ID)
		require.NoError(t, err)
		require.Equal(t, models.PurchaseOpen, p.Status, "the client may try another card")
		require.Equal(t, 10*thousand, s.balance(t, s.account).Held)

		// A second try in another tab closes the first.
		q, err := s.order(t, acme, growth, "second")
		require.NoError(t, err)
		require.Equal(t, models.PurchaseCancelled, s.status(t, p))
		require.Equal(t, 10*thousand, s.balance(t, s.account).Held, "one client keeps one stock")
		require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+q.CheckoutSession+"/expire", url.Values{}))
		s.becomes(t, q, models.PurchaseExpired)
		b := s.balance(t, s.account)
		require.Equal(t, []models.Credits{35 * thousand, 0}, []models.Credits{b.Purchased, b.Held})
		require.Zero(t, s.balance(t, acme).Available)
	})
}

// Stripe tells of a session that we close before it answers us: it was the buyer
// who closed it all the same.
func TestACancelledSaleIsNotCalledExpired(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		s.mode(t, "drop")
		p, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		told := func(r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/expire") {
				return
			}
			if got, err := s.Settle(r.Context(), p.AgencyID, p.ID); err != nil || got.Status != models.PurchaseExpired {
				t.Error(got.Status, err)
			}
		}
		s.meanwhile.Store(&told)
		p, err = s.Cancel(t.Context(), p.AgencyID, p.ID)
		require.NoError(t, err)
		require.Equal(t, models.PurchaseCancelled, p.Status)
		require.Equal(t, p.Status, s.status(t, p))
		require.Zero(t, s.balance(t, s.account).Held)
	})
}

// Ten tabs of one client at once: one checkout stays, with one stock.
func TestAClientHasOneCheckoutOpen(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, _ := openStall(t, db)
		small := s.offer(t, 1000, 6_00)
		acme := s.client(t, "acme")
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_, err := s.BuyPackage(t.Context(), billing.PackageInput{Account: acme, Package: small.ID.String(), Key: fmt.Sprint("tab", i%5), By: "test"})
				if err != nil && !problem.Is(err, "payment_unavailable") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var open int64
		require.NoError(t, db.Read.Model(&models.Purchase{}).Where("wallet_id = ? AND status = ?", acme.Wallet, models.PurchaseOpen).Count(&open).Error)
		require.LessOrEqual(t, open, int64(1))
		require.Equal(t, models.Credits(open)*thousand, s.balance(t, s.account).Held)
	})
}

// A checkout that Stripe never opened does not stand in the way of the next, and
// is not asked about every second.
func TestACheckoutStripeNeverOpenedIsLeftBehind(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		s.fault(t, "/v1/checkout/sessions", 9)
		_, err := s.order(t, acme, growth, "first")
		require.True(t, problem.Is(err, "payment_unavailable"), "%v", err)
		require.Equal(t, 10*thousand, s.balance(t, s.account).Held)
		s.fault(t, "/v1/checkout/sessions", 0)
		p, err := s.order(t, acme, growth, "second")
		require.NoError(t, err)
		require.NotEmpty(t, p.CheckoutURL)
		require.Equal(t, 10*thousand, s.balance(t, s.account).Held, "the first gave its stock back")

		s.mode(t, "drop")
		s.fault(t, "/v1/checkout/sessions/"+p.CheckoutSession, 9)
		require.NoError(t, s.clock.Advance(s.clock.Now().Add(time.Hour)))
		require.Error(t, s.RunDue(t.Context(), s.clock.Now()))
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now().Add(time.Second)), "a second later nobody asks again")
		s.fault(t, "/v1/checkout/sessions/"+p.CheckoutSession, 0)
	})
}

// Money of a bank debit comes days later; the stock waits for it.
func TestASalePaidLaterKeepsItsStock(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		p, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+p.CheckoutSession+"/pay", url.Values{"method": {"us_bank_account"}}))
		s.becomes(t, p, models.PurchaseProcessing)
		s.later(t, 48*time.Hour)
		require.Equal(t, 10*thousand, s.balance(t, s.account).Held)
		s.later(t, 48*time.Hour)
		s.becomes(t, p, models.PurchaseCredited)
		require.Equal(t, 10*thousand, s.balance(t, acme).Purchased)
	})
}

// A payment that comes after its stock was sold to somebody else waits: the
// agency never goes below zero, the client is told that it is on the way, and the
// next purchase of the agency delivers it.
func TestALatePaymentWaitsForStock(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, _ := openStall(t, db)
		all := s.offer(t, 35_000, 210_00)
		acme, bright := s.client(t, "acme"), s.client(t, "bright")
		late, err := s.order(t, acme, all, "late")
		require.NoError(t, err)
		s.mode(t, "drop")
		s.pay(t, late)
		// Somebody decided that it had run out: the row says so, the money is there.
		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			return tx.Model(&models.Purchase{}).Where("id = ?", late.ID).Update("status", models.PurchaseExpired).Error
		}))
		require.NoError(t, s.LetStockGo(t.Context(), late))
		s.mode(t, "deliver")
		quick, err := s.order(t, bright, all, "quick")
		require.NoError(t, err)
		s.pay(t, quick)
		s.becomes(t, quick, models.PurchaseCredited)

		got, err := s.Settle(t.Context(), late.AgencyID, late.ID)
		require.NoError(t, err)
		require.Equal(t, models.PurchaseProcessing, got.Status)
		require.NotZero(t, got.PaidAt)
		require.Zero(t, s.balance(t, acme).Available)
		require.Zero(t, s.balance(t, s.account).Excess)

		more := s.buy(t, "more", "credits-35000", 0)
		s.pay(t, more)
		s.becomes(t, more, models.PurchaseCredited)
		s.later(t, time.Minute)
		s.becomes(t, late, models.PurchaseCredited)
		require.Equal(t, 35*thousand, s.balance(t, acme).Purchased)
		require.Zero(t, s.balance(t, s.account).Purchased)
	})
}

// Another account's event, and a payment of another account, settle nothing.
func TestASaleIsPaidToItsOwnAccountOnly(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		p, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		s.mode(t, "drop")
		s.pay(t, p)
		require.NoError(t, db.Write.Model(&models.Purchase{}).Where("id = ?", p.ID).Update("account", "acct_other").Error)
		_, err = s.Settle(t.Context(), p.AgencyID, p.ID)
		require.True(t, problem.Is(err, "payment_unavailable"), "the other account knows no such session: %v", err)
		require.Zero(t, s.balance(t, acme).Available)
		require.NoError(t, db.Write.Model(&models.Purchase{}).Where("id = ?", p.ID).Updates(map[string]any{"account": shopAccount, "price": 1}).Error)
		got, err := s.Settle(t.Context(), p.AgencyID, p.ID)
		require.NoError(t, err)
		require.Equal(t, models.PurchaseReview, got.Status)
		require.Zero(t, s.balance(t, acme).Available)
		require.NoError(t, db.Write.Model(&models.Purchase{}).Where("id = ?", p.ID).Updates(map[string]any{"price": 60_00, "status": models.PurchaseOpen}).Error)
		_, err = s.Settle(t.Context(), p.AgencyID, p.ID)
		require.NoError(t, err)
		require.Equal(t, 10*thousand, s.balance(t, acme).Purchased)
	})
}

func TestWhatCannotBeBought(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		refused := func(code string, who *billing.Account, pkg models.Package) {
			t.Helper()
			_, err := s.order(t, who, pkg, "k:"+code)
			require.True(t, problem.Is(err, code), "want %s, got %v", code, err)
		}
		refused("not_for_sale", s.account, growth)
		refused("unknown_package", acme, models.Package{ID: models.NewID[models.PackageID](1)})
		refused("out_of_stock", acme, s.offer(t, 35_001, 300_00))
		require.NoError(t, db.Write.Model(&models.StripeAccount{}).Where("account = ?", shopAccount).Update("charges_enabled", false).Error)
		refused("not_connected", acme, growth)
		require.Zero(t, s.balance(t, s.account).Held)
		_, err := s.Buy(t.Context(), billing.BuyInput{Account: acme, Pack: "credits-2000", Key: "p", By: "test"})
		require.True(t, problem.Is(err, "not_for_sale"))
	})
}
