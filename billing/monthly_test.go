package billing_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/estimate"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// month makes a package one that is paid every month.
func (s *shop) month(t *testing.T, pkg models.Package) models.Package {
	t.Helper()
	require.NoError(t, s.db.Write.Model(&models.Package{}).Where("id = ?", pkg.ID).Update("every", models.PackageMonthly).Error)
	pkg.Every = models.PackageMonthly
	return pkg
}

// subscribes is a client who takes a monthly package and pays the first month.
func (s *shop) subscribes(t *testing.T, who *billing.Account, pkg models.Package, key string) models.PackageSubscription {
	t.Helper()
	p, err := s.order(t, who, pkg, key)
	require.NoError(t, err)
	s.pay(t, p)
	s.becomes(t, p, models.PurchaseCredited)
	return s.monthly(t, p, models.PackageSubActive)
}

// monthly waits until the subscription of a purchase is in a state.
func (s *shop) monthly(t *testing.T, p models.Purchase, status models.PackageSubStatus) models.PackageSubscription {
	t.Helper()
	var row models.PackageSubscription
	require.Eventually(t, func() bool {
		row = models.PackageSubscription{}
		require.NoError(t, s.db.Read.Where("agency_id = ? AND id = ?", p.AgencyID, p.SubscriptionID).Take(&row).Error)
		return row.Status == status
	}, 20*time.Second, 10*time.Millisecond, "%v", &row)
	return row
}

// months are the purchases of a subscription, the first one first.
func (s *shop) months(t *testing.T, sub models.PackageSubscription) []models.Purchase {
	t.Helper()
	var out []models.Purchase
	require.NoError(t, s.db.Read.Where("agency_id = ? AND subscription_id = ?", sub.AgencyID, sub.ID).Order("created_at, id").Find(&out).Error)
	return out
}

// says is what somebody was told of an event, the one time it was.
func (s *shop) says(t *testing.T, who *billing.Account, event models.NoticeEvent) string {
	t.Helper()
	var all []models.Notice
	require.NoError(t, s.db.Read.Where("agency_id = ? AND wallet_id = ? AND event = ?", who.Agency.ID, who.Wallet, event).Find(&all).Error)
	require.Len(t, all, 1, "told once")
	voice := billing.Voice{Client: who.SubAccount != nil, Agency: who.Agency.Name, Platform: "Refill", Zone: who.Zone}
	words := voice.Say(&all[0])
	return words.Title + " " + strings.Join(words.Lines, " ")
}

// renew moves the clock beyond a subscription's month and does what is due then.
func (s *shop) renew(t *testing.T, sub models.PackageSubscription) models.PackageSubscription {
	t.Helper()
	require.NoError(t, s.db.Read.Where("agency_id = ? AND id = ?", sub.AgencyID, sub.ID).Take(&sub).Error)
	require.NoError(t, s.clock.Advance(sub.PeriodEnd.Add(time.Minute)))
	for range 4 { // the draft, its payment, and what follows
		require.NoError(t, s.simulator.Tick(t.Context()))
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		_, err := s.SettleMonthly(t.Context(), sub.AgencyID, sub.ID)
		require.NoError(t, err)
		require.NoError(t, s.clock.Advance(s.clock.Now().Add(40*time.Minute)))
	}
	require.NoError(t, s.db.Read.Where("agency_id = ? AND id = ?", sub.AgencyID, sub.ID).Take(&sub).Error)
	return sub
}

// What a client has every month covers its part of what it works out, and is not
// sold to it a second time.
func TestTheCalculatorKnowsWhatAClientHasEveryMonth(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		growth = s.month(t, growth)
		small := s.offer(t, 2_000, 14_00)
		acme := s.client(t, "acme")
		version, err := s.RateCardFor(t.Context(), &acme.Agency, s.clock.Now())
		require.NoError(t, err)
		month := func(conversations int64) string {
			t.Helper()
			got, err := s.Calculate(t.Context(), &acme.Agency, acme, &version, &estimate.Work{Conversations: conversations, Replies: 70, Model: "gpt-4-turbo"})
			require.NoError(t, err)
			require.True(t, got.Offers)
			var out []string
			for _, p := range got.Month.Picks {
				out = append(out, fmt.Sprintf("%d × %s, held %t", p.Count, p.Offer.ID, p.Offer.Held))
			}
			return fmt.Sprintf("%s: %s for %d", strings.Join(out, "; "), got.Month.Credits, got.Month.Price)
		}
		require.Equal(t, fmt.Sprintf("1 × %s, held false: 10000 for 6000", growth.ID), month(140))
		sub := s.subscribes(t, acme, growth, "k")
		have := fmt.Sprintf("1 × %s, held true", growth.ID)
		require.Equal(t, have+": 10000 for 6000", month(140))
		require.Equal(t, have+": 10000 for 6000", month(1), "it comes whatever is needed")
		require.Equal(t, fmt.Sprintf("%s; 2 × %s, held false: 14000 for 8800", have, small.ID), month(200))
		_, err = s.CancelMonthly(t.Context(), sub.AgencyID, acme.Wallet, sub.ID, false, "test")
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("5 × %s, held false: 10000 for 7000", small.ID), month(140), "next month it is gone")
	})
}

// 10,000 credits a month for $60: each month is a sale of its own, its credits end
// with it, and the platform's share is of every payment.
func TestAMonthlyPackage(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		require.NoError(t, s.SetPlatformFee(t.Context(), 250, "test"))
		growth = s.month(t, growth)
		acme := s.client(t, "acme")
		sub := s.subscribes(t, acme, growth, "k")
		require.NotEmpty(t, sub.StripeID)
		require.NotZero(t, sub.PeriodEnd)
		first := s.months(t, sub)[0]
		require.Equal(t, []any{int64(28_57), int64(2_04), int64(1_50), sub.PeriodEnd}, []any{first.Cost, first.Fee, first.PlatformFee, first.TermEnd})
		require.NotEmpty(t, first.PaymentIntent)
		var lots []models.Lot
		require.NoError(t, db.Read.Where("purchase_id = ?", first.ID).Find(&lots).Error)
		require.Len(t, lots, 1)
		require.Equal(t, []any{sub.PeriodEnd, models.SourcePlan.Priority(), int64(28_57)}, []any{lots[0].ExpiresAt, lots[0].Priority, lots[0].Cost})
		words := s.says(t, acme, models.NoticePurchaseCredited)
		require.Contains(t, words, "They last until "+sub.PeriodEnd.In(acme.Zone).Format("Mon, Jan 2"))
		require.NotContains(t, words, "never expire", "they end with the month")
		renews := s.topUp(t, acme).Forecast
		require.Equal(t, []any{sub.PeriodEnd, 10 * thousand, 10 * thousand, false}, []any{renews.ResetsAt, renews.Allowance, renews.Ends, renews.Rolls}, "the next month is counted on")
		_, err := s.order(t, acme, growth, "again")
		require.True(t, problem.Is(err, "subscribed_already"), "%v", err)

		sub = s.renew(t, sub)
		months := s.months(t, sub)
		require.Len(t, months, 2)
		s.becomes(t, months[1], models.PurchaseCredited)
		second := s.read(t, months[1])
		require.Equal(t, []any{sub.PeriodEnd, int64(1_50), int64(60_00)}, []any{second.TermEnd, second.PlatformFee, second.Paid})
		require.Equal(t, 10*thousand, s.balance(t, acme).Purchased, "what was left of the first month is gone")
		require.Equal(t, 15*thousand, s.balance(t, s.account).Purchased)

		// A refund of one month takes what is left of it back to the agency's stock.
		_, err = s.Refund(t.Context(), billing.RefundInput{Agency: second.AgencyID, Purchase: second.ID, Sale: true, Reason: "test", Key: "r", By: "test"})
		require.NoError(t, err)
		s.becomes(t, second, models.PurchaseRefunded)
		require.Zero(t, s.balance(t, acme).Purchased)
		require.Equal(t, 25*thousand, s.balance(t, s.account).Purchased)
		second = s.read(t, second)
		require.Equal(t, int64(1_50), second.PlatformBack())

		// It ends with the month that is paid, and can be taken up again until then.
		for _, keep := range []bool{false, true, false} {
			sub, err = s.CancelMonthly(t.Context(), sub.AgencyID, acme.Wallet, sub.ID, keep, "test")
			require.NoError(t, err)
			require.Equal(t, keep, sub.CancelAt == 0)
			require.Equal(t, keep, s.topUp(t, acme).Forecast.ResetsAt != 0)
		}
		sub = s.renew(t, sub)
		require.Equal(t, models.PackageSubEnded, sub.Status)
		require.Len(t, s.months(t, sub), 2)
		_, err = s.CancelMonthly(t.Context(), sub.AgencyID, acme.Wallet, sub.ID, false, "test")
		require.True(t, problem.Is(err, "subscription_ended"), "%v", err)
	})
}

// An end that was set at Stripe, by its own date, is taken back like any other.
func TestAnEndSetAtStripeIsTakenBack(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		sub := s.subscribes(t, acme, s.month(t, growth), "k")
		for _, how := range []url.Values{
			{"cancel_at": {strconv.FormatInt(sub.PeriodEnd.Go().Unix(), 10)}},
			{"cancel_at": {strconv.FormatInt(sub.PeriodEnd.Add(-24*time.Hour).Go().Unix(), 10)}},
			{"cancel_at_period_end": {"true"}},
		} {
			s.atStripe(t, sub.Account, "subscriptions/"+sub.StripeID, how)
			sub, err := s.SettleMonthly(t.Context(), sub.AgencyID, sub.ID)
			require.NoError(t, err)
			require.NotZero(t, sub.CancelAt)
			sub, err = s.CancelMonthly(t.Context(), sub.AgencyID, acme.Wallet, sub.ID, true, "test")
			require.NoError(t, err)
			require.Zero(t, sub.CancelAt, "%v", how)
		}
		sub = s.renew(t, sub)
		require.Equal(t, models.PackageSubActive, sub.Status)
		require.Len(t, s.months(t, sub), 2)
		s.atStripe(t, sub.Account, "subscriptions/"+sub.StripeID, url.Values{"cancel_at": {strconv.FormatInt(sub.PeriodEnd.Add(-24*time.Hour).Go().Unix(), 10)}})
		s.later(t, sub.PeriodEnd.Sub(s.clock.Now())-time.Hour)
		require.NoError(t, s.simulator.Tick(t.Context()))
		s.monthly(t, s.months(t, sub)[0], models.PackageSubEnded)
	})
}

// A client that draws on its agency's pool has no use for a monthly package: it ends
// with the month that is paid, and no other is charged.
func TestAMonthlyPackageEndsWithASharedPool(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		sub := s.subscribes(t, acme, s.month(t, growth), "k")
		require.NoError(t, s.ChangeSubAccount(t.Context(), billing.Scope{}, billing.SubAccountChange{
			Agency: sub.AgencyID, SubAccount: acme.SubAccount.ID, Name: "acme", Funding: models.Pooled, PoolEvery: models.PoolCycle, By: "test",
		}))
		s.later(t, time.Minute)
		running, err := s.MonthlyPackages(t.Context(), acme)
		require.NoError(t, err)
		require.Len(t, running, 1)
		require.Equal(t, sub.PeriodEnd, running[0].CancelAt)
		sub = s.renew(t, sub)
		require.Equal(t, models.PackageSubEnded, sub.Status)
		require.Len(t, s.months(t, sub), 1)
	})
}

// A card that stops paying: the month's stock is kept while Stripe tries, and given
// back when the subscription ends; a card that works pays it.
func TestAMonthThatIsNotPaid(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		sub := s.subscribes(t, acme, s.month(t, growth), "k")
		require.Equal(t, http.StatusOK, s.sim(t, "subscriptions/"+sub.StripeID+"/card", url.Values{"card": {"4000000000000341"}}))
		sub = s.renew(t, sub)
		require.Equal(t, models.PackageSubPastDue, sub.Status)
		require.Zero(t, s.balance(t, acme).Purchased, "the first month is over")
		require.Equal(t, 10*thousand, s.balance(t, s.account).Held)
		for range 3 { // Stripe tells of every try
			_, err := s.SettleMonthly(t.Context(), sub.AgencyID, sub.ID)
			require.NoError(t, err)
		}
		require.Contains(t, s.says(t, acme, models.NoticeMonthUnpaid), "The payment of $60.00 for your monthly 10,000 credits failed.")
		require.Contains(t, s.says(t, s.account, models.NoticeMonthUnpaid), "The payment of $60.00 of acme for its monthly 10,000 credits failed.")
		require.Equal(t, http.StatusOK, s.sim(t, "subscriptions/"+sub.StripeID+"/card", url.Values{"card": {cardPays}}))
		s.later(t, 4*24*time.Hour)
		require.NoError(t, s.simulator.Tick(t.Context()))
		s.later(t, 2*time.Hour)
		months := s.months(t, sub)
		require.Len(t, months, 2)
		s.becomes(t, months[1], models.PurchaseCredited)
		require.Equal(t, 10*thousand, s.balance(t, acme).Purchased)
		require.Zero(t, s.balance(t, s.account).Held)
	})
}

// Whoever finds the same month short at once has its stock bought once.
func TestAMonthWithoutStockIsCoveredOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, _ := openStall(t, db)
		sub := s.subscribes(t, s.client(t, "acme"), s.month(t, s.offer(t, 30_000, 150_00)), "k")
		s.save(t, s.account, cardPays)
		s.turnOn(t, models.Credit, 500_00, func(in *billing.TopUpInput) { in.ForSales = true })
		s.mode(t, "drop")
		require.NoError(t, s.db.Read.Where("agency_id = ? AND id = ?", sub.AgencyID, sub.ID).Take(&sub).Error)
		require.NoError(t, s.clock.Advance(sub.PeriodEnd.Add(time.Minute)))
		require.NoError(t, s.simulator.Tick(t.Context()))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := s.SettleMonthly(t.Context(), sub.AgencyID, sub.ID); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		bought := s.attempts(t, s.account)
		require.Len(t, bought, 1)
		require.Equal(t, 35*thousand, bought[0].Credits, "25,000 are lacking: the smallest pack that covers them")
		require.Len(t, s.months(t, sub), 2)
		require.Equal(t, 30*thousand, s.balance(t, s.account).Held)
	})
}

// A month for which the stock is short is not charged, unless the agency's rule
// lets the client wait or automatic top-up buys what is lacking.
func TestAMonthWithoutStock(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"refuse", "wait", "buy"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			modelstest.Each(t, func(t *testing.T, db *models.DB) {
				s, _ := openStall(t, db)
				large := s.month(t, s.offer(t, 30_000, 150_00))
				acme := s.client(t, "acme")
				sub := s.subscribes(t, acme, large, "k")
				switch answer {
				case "wait":
					s.rule(t, models.OversellAllow, 30*thousand)
				case "buy":
					s.save(t, s.account, cardPays)
					s.turnOn(t, models.Credit, 500_00, func(in *billing.TopUpInput) { in.ForSales = true })
				}
				sub = s.renew(t, sub)
				months := s.months(t, sub)
				require.Len(t, months, 2)
				got := fmt.Sprintf("%s %d %s", months[1].Status, months[1].Paid, s.balance(t, acme).Purchased)
				want := map[string]string{"refuse": "cancelled 0 0", "wait": "processing 15000 0", "buy": "credited 15000 30000"}[answer]
				require.Equal(t, want, got, months[1].StatusNote)
				if answer == "buy" {
					require.Len(t, s.attempts(t, s.account), 1)
				}
				require.Equal(t, models.PackageSubActive, sub.Status)
				require.Empty(t, s.told(t, s.account)[models.NoticeTopUpFailed], "no card was asked in vain")
				switch answer {
				case "refuse":
					client := s.says(t, acme, models.NoticeMonthSkipped)
					require.Contains(t, client, "Your monthly 30,000 credits were due, and could not be added this time. You were not charged.")
					require.NotContains(t, client, "sell", "the agency's stock is its own")
					require.Contains(t, s.says(t, s.account, models.NoticeMonthSkipped), "acme was due its monthly 30,000 credits, and you had too few purchased credits: it was not charged the $150.00, got none, and has been told. You don't sell more than you hold.")
				case "wait":
					require.Contains(t, s.says(t, s.account, models.NoticeSaleWaits), "acme has paid $150.00 for 30,000 credits")
				}
				if answer != "wait" {
					return
				}
				more := s.buy(t, "more", "credits-35000", 0)
				s.pay(t, more)
				s.becomes(t, more, models.PurchaseCredited)
				s.later(t, time.Minute)
				s.becomes(t, months[1], models.PurchaseCredited)
				require.Equal(t, 30*thousand, s.balance(t, acme).Purchased)
			})
		})
	}
}

// person is somebody of a client's.
func (s *shop) person(t *testing.T, of *billing.Account, name string) models.User {
	t.Helper()
	u, err := s.CreateUser(t.Context(), billing.UserInput{Email: name + "@example.test", Name: name, By: "test"})
	require.NoError(t, err)
	require.NoError(t, s.AddMember(t.Context(), billing.MemberInput{
		Agency: of.Agency.ID, User: u.ID, Role: models.RoleClient, SubAccount: of.SubAccount.ID, By: "test",
	}))
	return u
}

// A card that never works again: Stripe tries for two weeks and ends the package,
// and both sides hear of it once.
func TestAMonthlyPackageThatStripeEnds(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		sub := s.subscribes(t, acme, s.month(t, growth), "k")
		olga, ann := s.joins(t, "olga", models.RoleOwner), s.person(t, acme, "ann")
		require.Equal(t, http.StatusOK, s.sim(t, "subscriptions/"+sub.StripeID+"/card", url.Values{"card": {"4000000000000341"}}))
		require.Equal(t, models.PackageSubPastDue, s.renew(t, sub).Status)
		for range 20 {
			s.later(t, 24*time.Hour)
			require.NoError(t, s.simulator.Tick(t.Context()))
		}
		first := s.months(t, sub)[0]
		s.monthly(t, first, models.PackageSubEnded)
		for range 3 {
			_, err := s.SettleMonthly(t.Context(), sub.AgencyID, sub.ID)
			require.NoError(t, err)
		}
		client := s.says(t, acme, models.NoticeMonthEnded)
		require.Contains(t, client, "Your monthly package of 10,000 credits for $60.00 has ended: its payment failed too often and is not tried again.")
		require.NotContains(t, client, "Stripe")
		require.Contains(t, s.says(t, s.account, models.NoticeMonthEnded), "The monthly package of acme, 10,000 credits for $60.00, has ended")
		require.Contains(t, s.hears(t, ann.Email), "Your monthly package has ended")
		require.Contains(t, s.hears(t, olga.Email), "The monthly package of acme has ended")
		require.Zero(t, s.balance(t, s.account).Held, "its stock is free")
	})
}

// An agency may have set its Stripe to keep what nobody pays. Such a package would
// be there for ever, and its client could not buy it again: it ends as any other.
func TestAMonthlyPackageThatStripeKeepsUnpaid(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		pkg := s.month(t, growth)
		sub := s.subscribes(t, acme, pkg, "k")
		require.Equal(t, http.StatusOK, s.sim(t, "subscriptions/"+sub.StripeID+"/card", url.Values{"card": {"4000000000000341"}}))
		require.Equal(t, models.PackageSubPastDue, s.renew(t, sub).Status)
		require.Equal(t, http.StatusOK, s.sim(t, "subscriptions/"+sub.StripeID+"/unpaid", nil))
		first := s.months(t, sub)[0]
		s.monthly(t, first, models.PackageSubEnded)
		s.later(t, 40*24*time.Hour)
		require.NoError(t, s.simulator.Tick(t.Context()))
		_, err := s.SettleMonthly(t.Context(), sub.AgencyID, sub.ID)
		require.NoError(t, err)
		require.Contains(t, s.says(t, acme, models.NoticeMonthEnded), "has ended: its payment failed too often and is not tried again.")
		require.Zero(t, s.balance(t, s.account).Held, "its stock is free")
		require.Len(t, s.months(t, sub), 2, "no month after the one that was not paid")
		again := s.subscribes(t, acme, pkg, "k2")
		require.NotEqual(t, sub.ID, again.ID)
	})
}

// A monthly package on an account that its agency has left brings nothing and cannot be
// ended here: the client may buy it through the account that sells now, and the clock
// does not try in vain to end the one that is out of reach.
func TestAMonthlyPackageOfAnAccountThatLeft(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		pkg := s.month(t, growth)
		left := s.subscribes(t, acme, pkg, "k")
		agency := s.account.Agency.ID
		require.Equal(t, http.StatusOK, s.sim(t, "accounts/"+shopAccount+"/deauthorize", nil))
		require.Eventually(t, func() bool { return s.connection(t, agency).DisconnectedAt != 0 }, 15*time.Second, 10*time.Millisecond)
		link, err := s.StartOnboarding(t.Context(), agency, "test")
		require.NoError(t, err)
		s.onboard(t, link, "finish")
		_, err = s.RefreshConnection(t.Context(), agency)
		require.NoError(t, err)

		shelf, err := s.PackagesFor(t.Context(), acme)
		require.NoError(t, err)
		require.False(t, shelf[0].Running)
		now := s.subscribes(t, acme, pkg, "k2")
		require.NotEqual(t, left.Account, now.Account)
		_, err = s.order(t, acme, pkg, "k3")
		require.True(t, problem.Is(err, "subscribed_already"), "%v", err)

		_, err = s.ArchiveSubAccount(t.Context(), billing.Scope{}, billing.ArchiveInput{Agency: agency, SubAccount: acme.SubAccount.ID, By: "test"})
		require.NoError(t, err)
		for range 3 {
			s.later(t, time.Minute)
		}
		var tried []string
		require.NoError(t, db.Read.Model(&models.AuditEntry{}).Where("agency_id = ? AND action = 'sales.monthly_cancel'", agency).Pluck("target", &tried).Error)
		require.Equal(t, []string{now.ID.String()}, tried)
	})
}

// The clock has a monthly package end once, however long Stripe cannot be asked.
func TestAnEndThatStripeFailsIsWrittenDownOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		sub := s.subscribes(t, acme, s.month(t, growth), "k")
		_, err := s.ArchiveSubAccount(t.Context(), billing.Scope{}, billing.ArchiveInput{Agency: sub.AgencyID, SubAccount: acme.SubAccount.ID, By: "test"})
		require.NoError(t, err)
		ended := func() (out []string) {
			require.NoError(t, db.Read.Model(&models.AuditEntry{}).Where("action = 'sales.monthly_cancel'").Pluck("target", &out).Error)
			return out
		}
		s.fault(t, "POST /v1/subscriptions/*", 1000)
		for range 3 {
			require.NoError(t, s.clock.Advance(s.clock.Now().Add(time.Minute)))
			require.Error(t, s.RunDue(t.Context(), s.clock.Now()))
		}
		require.Empty(t, ended())
		s.fault(t, "POST /v1/subscriptions/*", 0)
		for range 3 {
			s.later(t, time.Minute)
		}
		require.Equal(t, []string{sub.ID.String()}, ended())
		now, err := s.MonthlyPackage(t.Context(), sub.AgencyID, acme.Wallet, sub.ID)
		require.NoError(t, err)
		require.Positive(t, now.CancelAt)
	})
}

// Whoever ends a monthly package, the client hears when it ends, and why where that
// is its agency's doing; the agency hears what it does not know.
func TestTheEndOfAMonthlyPackageIsTold(t *testing.T) {
	t.Parallel()
	archive := func(t *testing.T, s *shop, acme *billing.Account) {
		t.Helper()
		_, err := s.ArchiveSubAccount(t.Context(), billing.Scope{}, billing.ArchiveInput{Agency: acme.Agency.ID, SubAccount: acme.SubAccount.ID, By: "test"})
		require.NoError(t, err)
	}
	for _, c := range []struct {
		name           string
		end            func(t *testing.T, s *shop, acme *billing.Account, sub models.PackageSubscription)
		client, agency string
	}{
		{"pool", func(t *testing.T, s *shop, acme *billing.Account, sub models.PackageSubscription) {
			t.Helper()
			require.NoError(t, s.ChangeSubAccount(t.Context(), billing.Scope{}, billing.SubAccountChange{
				Agency: sub.AgencyID, SubAccount: acme.SubAccount.ID, Name: "acme", Funding: models.Pooled, PoolEvery: models.PoolCycle, By: "test",
			}))
		}, "Your AI uses credits of Shop now, so your monthly package of 10,000 credits for $60.00 ends in ", ""},
		{"archive", func(t *testing.T, s *shop, acme *billing.Account, _ models.PackageSubscription) {
			t.Helper()
			archive(t, s, acme)
		}, "Shop has closed your account, so your monthly package of 10,000 credits for $60.00 ends in ", ""},
		{"cancel", func(t *testing.T, s *shop, acme *billing.Account, sub models.PackageSubscription) {
			t.Helper()
			_, err := s.CancelMonthly(t.Context(), sub.AgencyID, acme.Wallet, sub.ID, false, "test")
			require.NoError(t, err)
		}, "Your monthly package of 10,000 credits for $60.00 was cancelled: it ends in ", "The monthly package of acme, 10,000 credits for $60.00, was cancelled: it ends in "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			modelstest.Each(t, func(t *testing.T, db *models.DB) {
				s, growth := openStall(t, db)
				acme := s.client(t, "acme")
				sub := s.subscribes(t, acme, s.month(t, growth), "k")
				ann := s.person(t, acme, "ann")
				c.end(t, s, acme, sub)
				s.later(t, time.Minute)
				s.later(t, time.Minute)
				require.Contains(t, s.says(t, acme, models.NoticeMonthEnded), c.client)
				require.Contains(t, s.hears(t, ann.Email), "Your monthly package ends")
				sub = s.renew(t, sub)
				require.Equal(t, models.PackageSubEnded, sub.Status)
				s.says(t, acme, models.NoticeMonthEnded) // nothing new
				if c.agency == "" {
					require.Zero(t, s.told(t, s.account)[models.NoticeMonthEnded])
					return
				}
				require.Contains(t, s.says(t, s.account, models.NoticeMonthEnded), c.agency)
			})
		})
	}
}

// A client that has cancelled is told when its agency takes that back: it pays again.
func TestACancellationThatTheAgencyTakesBackIsTold(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		sub := s.subscribes(t, acme, s.month(t, growth), "k")
		ann := s.person(t, acme, "ann")
		for _, keep := range []bool{false, true, false} { // its own doing: nobody else takes anything back
			_, err := s.CancelMonthly(t.Context(), sub.AgencyID, acme.Wallet, sub.ID, keep, "test")
			require.NoError(t, err)
		}
		const ends, goes = "Your monthly package ends", "Your monthly package goes on"
		require.Equal(t, []string{ends}, about(s.hears(t, ann.Email), ends, goes))
		for range 2 {
			_, err := s.CancelMonthly(t.Context(), sub.AgencyID, models.WalletID{}, sub.ID, true, "test")
			require.NoError(t, err)
		}
		require.Equal(t, []string{ends, goes}, about(s.hears(t, ann.Email), ends, goes))
	})
}

// about are the subjects that are among others.
func about(subjects []string, of ...string) []string {
	return slices.DeleteFunc(subjects, func(s string) bool { return !slices.Contains(of, s) })
}
