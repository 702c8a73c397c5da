package billing_test

import (
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/faults"
)

// bring makes an agency that comes with a code of the shop's, and lets it buy in
// place of the shop.
func (s *shop) bring(t *testing.T, name string) *shop {
	t.Helper()
	code, err := s.ReferralCode(t.Context(), s.account.Agency.ID)
	require.NoError(t, err)
	agency, err := s.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: name, Name: "New " + name, ReferralCode: code, By: "test"})
	require.NoError(t, err)
	friend := &shop{Service: s.Service, db: s.db, clock: s.clock, box: s.box, simulator: s.simulator}
	friend.account, err = s.AccountOf(t.Context(), agency.WalletID)
	require.NoError(t, err)
	return friend
}

func (s *shop) referrals(t *testing.T) billing.ReferralPage {
	t.Helper()
	out, err := s.Referrals(t.Context(), s.account.Agency.ID)
	require.NoError(t, err)
	return out
}

// bonus is what a wallet has of bonus credits, less what it owes.
func (s *shop) bonus(t *testing.T) models.Credits {
	t.Helper()
	b := s.balance(t, s.account)
	return b.Bonus - b.Excess
}

func (s *shop) notices(t *testing.T, event models.NoticeEvent) (n int64) {
	t.Helper()
	require.NoError(t, s.db.Read.Model(&models.Notice{}).Where("agency_id = ? AND event = ?", s.account.Agency.ID, event).Count(&n).Error)
	return n
}

// A referral earns nothing when its agency joins, nothing with a trial or with a
// debit that the bank has not confirmed, and once when its first payment has
// cleared.
func TestAReferralEarnsOnceWhenTheFirstPaymentClears(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		friend := s.bring(t, "friend")
		page := s.referrals(t)
		require.Equal(t, []any{int64(1), models.Credits(0), 1}, []any{page.Waiting, page.Earned, len(page.Rows)})
		require.Equal(t, "http://localhost:1/r/"+page.Code, page.Link)
		require.Equal(t, "New friend", page.Rows[0].Referred)
		require.Equal(t, page.Code, s.referrals(t).Code, "a code stays")

		later := friend.buy(t, "later", "credits-2000", 0)
		s.sim(t, "checkout/sessions/"+later.CheckoutSession+"/pay", url.Values{"method": {"pay_later"}})
		friend.becomes(t, later, models.PurchaseProcessing)
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		require.Zero(t, s.bonus(t), "the bank has not paid yet")
		s.sim(t, "checkout/sessions/"+later.CheckoutSession+"/settle", url.Values{"outcome": {"succeeded"}})
		friend.becomes(t, later, models.PurchaseCredited)
		require.Eventually(t, func() bool { return s.bonus(t) == 2*thousand }, 15*time.Second, 10*time.Millisecond)
		friend.paid(t, "second", "credits-2000")
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		require.Equal(t, 2*thousand, s.bonus(t), "the first payment only")
		page = s.referrals(t)
		require.Equal(t, []any{int64(0), 2 * thousand, int64(1), models.ReferralEarned}, []any{page.Waiting, page.Earned, page.Month, page.Rows[0].State})
		require.Equal(t, later.ID.String(), page.Rows[0].Payment)
		require.EqualValues(t, 1, s.notices(t, models.NoticeReferralEarned))
		require.Zero(t, friend.notices(t, models.NoticeReferralEarned))
	})
}

// The reward follows the payment: in proportion, whole, frozen while a dispute is
// open, and back when it is won; what was spent of it is owed.
func TestARewardFollowsItsPayment(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		friend := s.bring(t, "friend")
		p := friend.paid(t, "k", "credits-12500")
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		require.Equal(t, 2*thousand, s.bonus(t))
		d := s.dispute(t, p, 50_00)
		friend.settled(t, p)
		require.Zero(t, s.bonus(t), "frozen with the payment")
		s.bank(t, "disputes/"+d, url.Values{"outcome": {"win"}})
		friend.settled(t, p)
		require.Equal(t, 2*thousand, s.bonus(t), "won: back")
		s.refund(t, p, 12_50)
		friend.settled(t, p)
		require.Equal(t, 1500*models.Credit, s.bonus(t), "a quarter of the money, a quarter of the reward")
		booked := entriesOf(t, db, s.account.Agency.ID)
		friend.settled(t, p)
		require.Equal(t, booked, entriesOf(t, db, s.account.Agency.ID), "looked at, nothing booked")
		s.dry(t) // what is left is the reward, which is spent
		s.spend(t, s.account, "use", 1_000)
		id := s.refund(t, p, 37_50)
		friend.settled(t, p)
		b := s.balance(t, s.account)
		require.Equal(t, []models.Credits{0, thousand}, []models.Credits{b.Bonus, b.Excess}, "500 unspent are taken, 1,000 are owed")
		row := s.referrals(t).Rows[0]
		require.Equal(t, []models.Credits{2 * thousand, 0}, []models.Credits{row.Revoked, row.Kept()})
		s.bank(t, "refunds/"+id, url.Values{"status": {"failed"}})
		friend.settled(t, p)
		b = s.balance(t, s.account)
		require.Equal(t, []models.Credits{500 * models.Credit, 0}, []models.Credits{b.Bonus, b.Excess}, "the refund failed: as before it")
		friend.paid(t, "more", "credits-12500")
		require.Equal(t, 500*models.Credit, s.bonus(t), "each agency counts once")
	})
}

// Money that is on its way back when the payment is first looked at earns nothing, and
// nobody is told that it did; it does once the refund has failed.
func TestAPaymentThatWasGivenBackEarnsNothing(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		friend := s.bring(t, "friend")
		s.mode(t, "drop")
		p := friend.buy(t, "k", "credits-12500", 0)
		s.pay(t, p)
		id := s.refund(t, p, 50_00)
		require.Equal(t, models.PurchaseRefunded, friend.settled(t, p).Status)
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		require.Equal(t, models.ReferralWaiting, s.referrals(t).Rows[0].State)
		require.Zero(t, s.notices(t, models.NoticeReferralEarned))
		s.bank(t, "refunds/"+id, url.Values{"status": {"failed"}})
		friend.settled(t, p)
		require.Equal(t, 2*thousand, s.bonus(t))
		require.EqualValues(t, 1, s.notices(t, models.NoticeReferralEarned))
	})
}

func entriesOf(t *testing.T, db *models.DB, agency models.AgencyID) (n int64) {
	t.Helper()
	require.NoError(t, db.Read.Model(&models.Entry{}).Where("agency_id = ?", agency).Count(&n).Error)
	return n
}

// Two payments that clear in the same moment, each told of many times at once,
// give one reward.
func TestPaymentsThatClearTogetherGiveOneReward(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop")
		rounds := faults.Sized(3, 50)
		for round := range rounds {
			friend := s.bring(t, fmt.Sprint("friend", round))
			a, b := friend.buy(t, "a", "credits-2000", 0), friend.buy(t, "b", "credits-12500", 0)
			friend.pay(t, a)
			friend.pay(t, b)
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					p := []models.Purchase{a, b}[i%2]
					if _, err := s.Settle(t.Context(), p.AgencyID, p.ID); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
			require.Equal(t, models.Credits(min(round+1, 10))*2*thousand, s.bonus(t)) // ten a month
		}
		faults.Raced(t, "%d times two payments that clear at once on %s", rounds, db.Dialect)
	})
}

// Payments of many referred agencies that clear at once respect the caps.
func TestRewardsAreCapped(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop")
		require.NoError(t, s.SetReferralTerms(t.Context(), billing.ReferralTerms{Credits: 500 * models.Credit, PerMonth: 2, InAll: 3}, "user:admin"))
		pays := func(names ...string) {
			t.Helper()
			var bought []models.Purchase
			for _, name := range names {
				friend := s.bring(t, name)
				p := friend.buy(t, "k", "credits-2000", 0)
				friend.pay(t, p)
				bought = append(bought, p)
			}
			var wg sync.WaitGroup
			for _, p := range bought {
				wg.Go(func() {
					if _, err := s.Settle(t.Context(), p.AgencyID, p.ID); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		}
		pays("a", "b", "c", "d")
		require.Equal(t, thousand, s.bonus(t), "two a month")
		require.NoError(t, s.clock.Advance(s.clock.Now().Add(32*24*time.Hour)))
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		pays("e", "f")
		require.Equal(t, 1500*models.Credit, s.bonus(t), "three in all")
		states := map[models.ReferralState]int{}
		for _, r := range s.referrals(t).Rows {
			states[r.State]++
		}
		require.Equal(t, map[models.ReferralState]int{models.ReferralEarned: 3, models.ReferralCapped: 3}, states)
	})
}

// Nobody refers themselves: not by the same owner, nor by the same card.
func TestSelfReferralIsRefused(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		owner, err := s.CreateUser(t.Context(), billing.UserInput{Email: "owner@shop.example", Name: "Owner", Password: "a-long-stone-bridge", By: "test"})
		require.NoError(t, err)
		require.NoError(t, s.AddMember(t.Context(), billing.MemberInput{Agency: s.account.Agency.ID, User: owner.ID, Role: models.RoleOwner, By: "test"}))
		code := s.referrals(t).Code
		_, err = s.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: "me", Name: "Me", ReferralCode: code, OwnerEmail: "Owner@Shop.example", By: "test"})
		require.True(t, problem.Is(err, "self_referral"), "%v", err)
		_, err = s.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: "me", Name: "Me", ReferralCode: "NOSUCH", By: "test"})
		require.True(t, problem.Is(err, "unknown_referral_code"), "%v", err)
		require.Empty(t, s.referrals(t).Rows)

		same := s.bring(t, "same-owner")
		require.NoError(t, s.AddMember(t.Context(), billing.MemberInput{Agency: same.account.Agency.ID, User: owner.ID, Role: models.RoleOwner, By: "test"}))
		same.paid(t, "k", "credits-2000")
		card := s.bring(t, "same-card")
		for _, house := range []*shop{s, card} {
			require.NoError(t, db.Write.Create(&models.PayerMark{AgencyID: house.account.Agency.ID, Mark: "card:fp_1", SeenAt: 1}).Error)
		}
		card.paid(t, "k", "credits-2000")
		other := s.bring(t, "other")
		other.paid(t, "k", "credits-2000")
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		require.Equal(t, 2*thousand, s.bonus(t), "only the one that is somebody else")
		for _, r := range s.referrals(t).Rows {
			want := models.ReferralRefused
			if r.Referred == "New other" {
				want = models.ReferralEarned
			}
			require.Equal(t, want, r.State, r.Referred)
		}
		require.NoError(t, s.SetReferralTerms(t.Context(), billing.ReferralTerms{}, "user:admin"))
		_, err = s.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: "off", Name: "Off", ReferralCode: code, By: "test"})
		require.True(t, problem.Is(err, "referrals_off"), "%v", err)
	})
}

// A plan's trial earns nothing; its first paid invoice does, and a refund of that
// invoice takes the reward back. The day's totals agree with Stripe's, and what is
// paid for plans is nobody's stray.
func TestAPlansPaymentEarnsAndIsReconciled(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "ai-employee", "")
		friend := s.bring(t, "friend")
		plans, err := s.Plans(t.Context())
		require.NoError(t, err)
		var paid models.Plan
		for _, p := range plans {
			if p.TrialDays > 0 && p.Price > 0 {
				paid = p
			}
		}
		require.NotZero(t, paid.ID, "a plan with a trial")
		order := friend.takePlan(t, "a", paid.Code)
		friend.payPlan(t, order, card("4242424242424242"))
		friend.planSettled(t)
		require.Zero(t, s.bonus(t), "a trial pays nothing")
		friend.pass(t, time.Duration(paid.TrialDays)*24*time.Hour+2*time.Hour)
		friend.planSettled(t)
		var invoices []models.PlanPayment
		require.NoError(t, db.Read.Find(&invoices).Error)
		require.Len(t, invoices, 1)
		require.Equal(t, []any{friend.account.Agency.ID, paid.Price}, []any{invoices[0].AgencyID, invoices[0].Amount})
		require.Equal(t, 2*thousand, s.bonus(t))

		desk := func() billing.PaymentsDesk {
			t.Helper()
			_, err := s.Reconcile(t.Context())
			require.NoError(t, err)
			out, err := s.PaymentsDesk(t.Context(), time.UTC)
			require.NoError(t, err)
			require.Empty(t, out.Strays)
			return out
		}
		days := desk().Days
		require.Len(t, days, 1)
		require.Equal(t, []int64{paid.Price, paid.Price, 0, 1, 1}, []int64{days[0].StripePaid, days[0].Paid, days[0].Difference(), days[0].Payments, days[0].Booked})

		s.bank(t, "payments/"+invoices[0].PaymentIntent+"/refund", url.Values{"amount": {strconv.FormatInt(paid.Price, 10)}})
		require.Eventually(t, func() bool { return s.bonus(t) == 0 }, 15*time.Second, 10*time.Millisecond)
		require.NoError(t, s.clock.Advance(s.clock.Now().Add(10*time.Minute)))
		days = desk().Days
		require.Equal(t, []int64{paid.Price, paid.Price, 0}, []int64{days[0].StripeRefunded, days[0].Refunded, days[0].Difference()})
		list, err := s.PlanPayments(t.Context(), billing.PaymentQuery{})
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Zero(t, list[0].Difference())
	})
}
