package billing_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/faults"
)

func (s *shop) rule(t *testing.T, rule models.Oversell, limit models.Credits) {
	t.Helper()
	require.NoError(t, s.SetOversell(t.Context(), s.account.Agency.ID, rule, limit, "test"))
}

// What is sold beyond the stock is paid for and waits; nobody has it before the
// agency does, and no more of it is sold than the rule says.
func TestSellingBeyondTheStock(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, _ := openStall(t, db)
		large := s.offer(t, 30_000, 150_00)
		acme, bright, cove := s.client(t, "acme"), s.client(t, "bright"), s.client(t, "cove")
		first, err := s.order(t, acme, large, "a")
		require.NoError(t, err)
		require.False(t, first.Waits)
		_, err = s.order(t, bright, large, "b")
		require.True(t, problem.Is(err, "out_of_stock"), "an agency sells what it has unless it says otherwise: %v", err)

		s.rule(t, models.OversellAllow, 30*thousand)
		second, err := s.order(t, bright, large, "b2")
		require.NoError(t, err)
		require.True(t, second.Waits)
		_, err = s.order(t, cove, large, "c")
		require.True(t, problem.Is(err, "out_of_stock"), "the rule's limit is taken: %v", err)
		s.rule(t, models.OversellWarn, 0)
		third, err := s.order(t, cove, large, "c2")
		require.NoError(t, err)
		require.True(t, third.Waits)
		_, err = s.Cancel(t.Context(), third.AgencyID, third.ID)
		require.NoError(t, err)

		for _, p := range []models.Purchase{first, second} {
			s.pay(t, p)
		}
		s.becomes(t, first, models.PurchaseCredited)
		s.becomes(t, second, models.PurchaseProcessing)
		require.Zero(t, s.balance(t, bright).Available)
		require.Zero(t, s.balance(t, s.account).Excess, "the agency never goes below zero for a sale")
		require.Empty(t, s.told(t, s.account), "no automatic top-up has failed")
		said := s.says(t, s.account, models.NoticeSaleWaits)
		require.Contains(t, said, "bright has paid $150.00 for 30,000 credits, and you have too few purchased credits to give. You let clients buy beyond your stock.")
		require.NotContains(t, said, "not charged")
		unused, err := s.SoldUnused(t.Context(), &s.account.Agency)
		require.NoError(t, err)
		require.Equal(t, []models.Credits{60 * thousand, 30 * thousand, 5 * thousand, 35 * thousand},
			[]models.Credits{unused.Credits, unused.Waiting, unused.Reserve, unused.Covered()})

		more := s.buy(t, "more", "credits-35000", 0)
		s.pay(t, more)
		s.becomes(t, more, models.PurchaseCredited)
		s.later(t, time.Minute)
		s.becomes(t, second, models.PurchaseCredited)
		require.Equal(t, 30*thousand, s.balance(t, bright).Purchased)
		require.Equal(t, int64(85_71), s.read(t, second).Cost, "of the credits that it was given")
		unused, err = s.SoldUnused(t.Context(), &s.account.Agency)
		require.NoError(t, err)
		require.Equal(t, unused.Credits, unused.Covered())
	})
}

func TestTheRuleForSellingBeyondTheStockIsChecked(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, _ := openStall(t, db)
		agency := s.account.Agency.ID
		for code, wrong := range map[string]billing.OversellRule{
			"invalid_rule":  {Rule: "always"},
			"invalid_limit": {Rule: models.OversellAllow},
		} {
			err := s.SetOversell(t.Context(), agency, wrong.Rule, wrong.Limit, "test")
			require.True(t, problem.Is(err, code), "%v", err)
		}
		s.rule(t, models.OversellAllow, thousand)
		s.rule(t, models.OversellAllow, thousand)
		got, err := s.OversellRule(t.Context(), agency)
		require.NoError(t, err)
		require.Equal(t, billing.OversellRule{Rule: models.OversellAllow, Limit: thousand}, got)
		var noted int64
		require.NoError(t, db.Read.Model(&models.AuditEntry{}).Where("action = 'sales.oversell'").Count(&noted).Error)
		require.EqualValues(t, 1, noted, "a change is noted once")
	})
}

// An agency opens clients by the hundred, who all ask at once for what is beyond
// the stock: the limit holds for all of them together, those who pay have nothing
// before the agency does, and no credit comes of it (1,000 with REFILL_FAULTS).
func TestTheLimitBeyondTheStockHoldsForAllAtOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, _ := openStall(t, db)
		all := s.offer(t, 35_000, 210_00)
		kept, err := s.order(t, s.client(t, "first"), all, "first")
		require.NoError(t, err)
		small := s.offer(t, 1_000, 6_00)
		s.rule(t, models.OversellAllow, 5*thousand)
		clients := make([]*billing.Account, faults.Sized(100, 1_000))
		for i := range clients {
			clients[i] = s.client(t, fmt.Sprintf("client-%03d", i))
		}
		have := func(of string, args ...any) (out models.Credits) {
			t.Helper()
			require.NoError(t, db.Read.Model(&models.Wallet{}).Where("agency_id = ?", s.account.Agency.ID).Where(of, args...).
				Select("CAST(SUM(balance + held) AS bigint)").Scan(&out).Error)
			return out
		}
		const everybody, theClients = "true", "sub_account_id IS NOT NULL"
		before := have(everybody)
		var wg sync.WaitGroup
		for _, who := range clients {
			wg.Go(func() {
				_, err := s.BuyPackage(t.Context(), billing.PackageInput{Account: who, Package: small.ID.String(), Key: "k" + who.SubAccount.ExternalID, By: "test"})
				if err != nil && !problem.Is(err, "out_of_stock") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var waiting []models.Purchase
		require.NoError(t, db.Read.Where("waits AND status = ?", models.PurchaseOpen).Find(&waiting).Error)
		require.Len(t, waiting, 5)
		require.False(t, kept.Waits)

		for _, p := range waiting {
			s.pay(t, p)
			s.becomes(t, p, models.PurchaseProcessing)
		}
		require.Zero(t, have(theClients), "paid for, and nobody has it before the agency does")
		require.Equal(t, before, have(everybody))
		_, err = s.order(t, clients[0], small, "one more")
		require.True(t, problem.Is(err, "out_of_stock"), "what waits takes the limit until it is given: %v", err)

		more := s.paid(t, "more", "credits-12500")
		s.later(t, time.Minute)
		for _, p := range waiting {
			s.becomes(t, p, models.PurchaseCredited)
		}
		require.Equal(t, 5*thousand, have(theClients))
		require.Equal(t, before+more.Credits, have(everybody))
		faults.Raced(t, "%d clients at once for what is beyond the stock on %s", len(clients), db.Dialect)
	})
}

// The platform's share of a sale is asked for with the payment, stands in the
// margin, and goes back in proportion with the money.
func TestThePlatformHasItsShare(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		require.True(t, problem.Is(s.SetPlatformFee(t.Context(), 5_001, "test"), "invalid_share"))
		require.NoError(t, s.SetPlatformFee(t.Context(), 250, "test"))
		acme := s.client(t, "acme")
		p, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		require.NoError(t, s.SetPlatformFee(t.Context(), 1_000, "test"), "what is open keeps its share")
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		p = s.read(t, p)
		require.Equal(t, []int64{250, 1_50, 2_04}, []int64{p.FeeShare, p.PlatformFee, p.Fee})
		sale := billing.Sale{Purchase: p}
		require.Equal(t, int64(60_00-28_57-2_04-1_50), sale.Profit())

		_, err = s.Refund(t.Context(), billing.RefundInput{Agency: p.AgencyID, Purchase: p.ID, Sale: true, Amount: 20_00, Reason: "test", Key: "r", By: "test"})
		require.NoError(t, err)
		p = s.read(t, p)
		require.Equal(t, []int64{20_00, 50}, []int64{p.Refunded, p.PlatformBack()})
		by, err := s.SalesByPackage(t.Context(), p.AgencyID, period.Span{Start: 1, End: models.Never})
		require.NoError(t, err)
		sale = billing.Sale{Purchase: p}
		require.Equal(t, []int64{1_00, sale.Profit()}, []int64{by.Total().Share, by.Total().Profit()})
	})
}
