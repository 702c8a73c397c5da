package billing_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// month is a little more than the longest one.
const month = 31*24*time.Hour + 2*time.Hour

func (s *shop) takePlan(t *testing.T, key, plan string) models.PlanOrder {
	t.Helper()
	order, err := s.TakePlan(t.Context(), billing.TakePlanInput{Agency: s.account.Agency.ID, Plan: plan, Key: key, Email: "owner@shop.example", By: "user:owner@shop.example"})
	require.NoError(t, err)
	require.NotEmpty(t, order.CheckoutURL)
	return order
}

// payPlan pays an order at the simulator; its webhooks have been stored then.
func (s *shop) payPlan(t *testing.T, order models.PlanOrder, form url.Values) {
	t.Helper()
	require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+order.CheckoutSession+"/pay", form))
}

func card(number string) url.Values { return url.Values{"card": {number}} }

// pass moves time on for everybody: the simulator first, as in the demo.
func (s *shop) pass(t *testing.T, d time.Duration) {
	t.Helper()
	require.NoError(t, s.clock.Advance(s.clock.Now().Add(d)))
	require.NoError(t, s.simulator.Tick(t.Context()))
	require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
}

func (s *shop) own(t *testing.T) billing.OwnPlan {
	t.Helper()
	out, err := s.PlanPage(t.Context(), s.account.Agency.ID)
	require.NoError(t, err)
	return out
}

func (s *shop) plenty(t *testing.T) models.Credits {
	t.Helper()
	w, err := s.Wallet(t.Context(), s.account)
	require.NoError(t, err)
	return w.Balance.Left()
}

func (s *shop) planSettled(t *testing.T) {
	t.Helper()
	require.NoError(t, s.SettlePlan(t.Context(), s.account.Agency.ID))
}

// A plan is taken, renews, is not paid, has its grace, is paid again; lapses, its
// packs wait frozen, and comes back.
func TestAPlansLife(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		plans, err := s.Plans(t.Context())
		require.NoError(t, err)
		first, second := plans[0], plans[1]
		order := s.takePlan(t, "a", first.Code)
		again := s.takePlan(t, "a", first.Code)
		require.Equal(t, order.CheckoutSession, again.CheckoutSession, "one attempt is one order")
		s.payPlan(t, order, card("4242424242424242"))
		s.planSettled(t)
		own := s.own(t)
		require.Equal(t, first.ID, own.Sub.PlanID)
		require.True(t, own.Sub.ByStripe())
		require.Equal(t, models.SubscriptionActive, own.Sub.Status)
		require.Equal(t, []any{first.Price, first.Version, own.Sub.PeriodEnd}, []any{own.Sub.Price, own.Sub.PlanVersion, own.Sub.PaidUntil}, "terms and payment are noted")
		require.Equal(t, first.Allowance, s.plenty(t), "what ran before has ended")

		packs, err := s.PacksFor(t.Context(), s.account.Agency.ID)
		require.NoError(t, err)
		pack := s.buy(t, "p", packs[0].Code, 0)
		s.pay(t, pack)
		s.becomes(t, pack, models.PurchaseCredited)
		require.Equal(t, first.Allowance+pack.Credits, s.plenty(t))

		// A month on: the allowance is new, and Stripe has been paid for it.
		s.pass(t, month)
		own = s.own(t)
		require.Equal(t, first.Allowance+pack.Credits, s.plenty(t))
		require.Equal(t, own.Sub.PeriodEnd, own.Sub.PaidUntil)

		// Dearer now: the difference is added at once.
		preview, err := s.PreviewSwitch(t.Context(), s.account.Agency.ID, second.Code)
		require.NoError(t, err)
		require.True(t, preview.Now)
		require.Positive(t, preview.Cost.Amount)
		require.Less(t, preview.Cost.Amount, second.Price-first.Price+1)
		_, err = s.SwitchOwnPlan(t.Context(), billing.SwitchInput{Agency: s.account.Agency.ID, Plan: second.Code, At: preview.At, Key: "up", By: "user:owner@shop.example"})
		require.NoError(t, err)
		own = s.own(t)
		require.Equal(t, second.ID, own.Sub.PlanID)
		require.Equal(t, second.Allowance+pack.Credits, s.plenty(t))
		s.planSettled(t)
		require.Equal(t, second.Allowance+pack.Credits, s.plenty(t), "once")

		// Cheaper with the next period, taken back, and asked for again.
		for _, want := range []models.PlanID{first.ID, {}, first.ID} {
			to := first.Code
			if want.IsZero() {
				to = second.Code
			}
			_, err = s.SwitchOwnPlan(t.Context(), billing.SwitchInput{Agency: s.account.Agency.ID, Plan: to, Key: "down" + to + own.Sub.ID.String() + billing.NewSecret(), By: "user:o"})
			require.NoError(t, err)
			own = s.own(t)
			require.Equal(t, want, own.Sub.NextPlanID)
			require.Equal(t, second.Allowance+pack.Credits, s.plenty(t), "nothing is lost before")
		}
		s.pass(t, month)
		own = s.own(t)
		require.Equal(t, first.ID, own.Sub.PlanID)
		require.Equal(t, first.Allowance+pack.Credits, s.plenty(t))
		require.Equal(t, own.Sub.PeriodEnd, own.Sub.PaidUntil, "at the price it has now")

		// The card declines: grace, with the allowance; then it is paid.
		require.Equal(t, http.StatusOK, s.sim(t, "subscriptions/"+own.Sub.StripeID+"/card", card("4000000000000341")))
		s.pass(t, month)
		own = s.own(t)
		require.Equal(t, models.SubscriptionGrace, own.Sub.Status)
		require.Equal(t, first.Allowance+pack.Credits, s.plenty(t))
		require.Equal(t, first.Price, own.Due.Amount)
		require.True(t, problem.Is(s.PayPlan(t.Context(), s.account.Agency.ID, "1"), "payment_declined"))
		require.Equal(t, http.StatusOK, s.sim(t, "subscriptions/"+own.Sub.StripeID+"/card", card("4242424242424242")))
		require.NoError(t, s.PayPlan(t.Context(), s.account.Agency.ID, "2"))
		own = s.own(t)
		require.Equal(t, models.SubscriptionActive, own.Sub.Status)
		require.Zero(t, own.Sub.GraceUntil)

		// It declines again, and nobody pays.
		require.Equal(t, http.StatusOK, s.sim(t, "subscriptions/"+own.Sub.StripeID+"/card", card("4000000000000341")))
		s.pass(t, month)
		require.Equal(t, models.SubscriptionGrace, s.own(t).Sub.Status)
		s.pass(t, 8*24*time.Hour)
		own = s.own(t)
		require.False(t, own.Live())
		require.Equal(t, models.SubscriptionLapsed, own.Sub.Status)
		require.Zero(t, s.plenty(t), "what was left of the allowance has expired, packs wait")
		require.Equal(t, pack.Credits, own.Packs)
		s.pass(t, time.Hour)
		var last models.Subscription
		require.NoError(t, db.Read.Where("id = ?", own.Sub.ID).Take(&last).Error)
		require.Equal(t, []any{false, "canceled"}, []any{last.StripeOpen, last.StripeStatus}, "Stripe collects no more")

		// Back: everything can be used again. No second trial, the same customer.
		back := s.takePlan(t, "b", second.Code)
		s.payPlan(t, back, card("4242424242424242"))
		s.planSettled(t)
		own = s.own(t)
		require.True(t, own.Live())
		require.Equal(t, last.StripeCustomer, own.Sub.StripeCustomer)
		require.Equal(t, second.Allowance+pack.Credits, s.plenty(t))

		// Cancelled, kept, cancelled: it ends with what is paid.
		for _, keep := range []bool{false, true, false} {
			require.NoError(t, s.CancelOwnPlan(t.Context(), s.account.Agency.ID, keep, "user:o"))
			require.Equal(t, !keep, s.own(t).Sub.CancelAt == s.own(t).Sub.PeriodEnd)
		}
		// An end by a date, as Stripe's own pages set it, is taken back like any other.
		require.NoError(t, s.CancelOwnPlan(t.Context(), s.account.Agency.ID, true, "user:o"))
		own = s.own(t)
		s.atStripe(t, "", "subscriptions/"+own.Sub.StripeID, url.Values{"cancel_at": {strconv.FormatInt(own.Sub.PeriodEnd.Add(-time.Hour).Go().Unix(), 10)}})
		require.NoError(t, s.SettlePlan(t.Context(), s.account.Agency.ID))
		require.Equal(t, own.Sub.PeriodEnd.Add(-time.Hour), s.own(t).Sub.CancelAt)
		require.NoError(t, s.CancelOwnPlan(t.Context(), s.account.Agency.ID, true, "user:o"))
		require.Zero(t, s.own(t).Sub.CancelAt)
		require.NoError(t, s.CancelOwnPlan(t.Context(), s.account.Agency.ID, false, "user:o"))
		s.pass(t, month)
		own = s.own(t)
		require.Equal(t, models.SubscriptionCancelled, own.Sub.Status)
		require.Equal(t, own.Sub.PeriodEnd, own.Sub.EndedAt)
		require.Zero(t, s.plenty(t))
	})
}

// A cheaper plan begins when the paid year ends, also when the year after it is paid
// for before the clock has passed that end.
func TestACheaperYearBeginsOnTime(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		require.NoError(t, db.Write.Model(&models.Plan{}).Where("price > 0").Update("paid_every", models.PaidYearly).Error)
		plans, err := s.Plans(t.Context())
		require.NoError(t, err)
		cheap, dear := plans[0], plans[1]
		s.payPlan(t, s.takePlan(t, "a", dear.Code), card(cardPays))
		s.planSettled(t)
		year := s.own(t).Sub.PaidUntil
		_, err = s.SwitchOwnPlan(t.Context(), billing.SwitchInput{Agency: s.account.Agency.ID, Plan: cheap.Code, Key: "down", By: "user:o"})
		require.NoError(t, err)
		own := s.own(t)
		require.Equal(t, []any{cheap.ID, year}, []any{own.Sub.NextPlanID, own.NextAt()})
		s.pass(t, 11*month)
		require.Equal(t, dear.ID, s.own(t).Sub.PlanID, "the year is paid")
		require.NoError(t, s.clock.Advance(year.Add(2*time.Hour))) // an invoice is a draft for the first
		require.NoError(t, s.simulator.Tick(t.Context()))
		s.planSettled(t)
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		own = s.own(t)
		require.Equal(t, []any{cheap.ID, cheap.Allowance}, []any{own.Sub.PlanID, own.Sub.Allowance})
		require.Greater(t, own.Sub.PaidUntil, year)
	})
}
