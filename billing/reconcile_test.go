package billing_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
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

// Every webhook of every purchase is lost for three days: the reconciler alone
// credits each, once, and the days agree to the cent.
func TestReconcilingAloneBooksEveryPayment(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		s.mode(t, "drop")
		n := faults.Sized(40, 1000)
		had := s.balance(t, s.account).Purchased
		var all []models.Purchase
		for i := range n {
			all = append(all, s.buy(t, fmt.Sprint("k", i), "credits-2000", 0))
		}
		acme := s.client(t, "acme")
		sale, err := s.order(t, acme, growth, "sale")
		require.NoError(t, err)
		all = append(all, sale)
		var wait sync.WaitGroup
		for lane := range 4 {
			wait.Go(func() {
				for i := lane; i < len(all); i += 4 {
					s.sim(t, "checkout/sessions/"+all[i].CheckoutSession+"/pay", url.Values{"card": {"4242424242424242"}})
				}
			})
		}
		wait.Wait()
		s.refund(t, all[1], 5_00)
		require.Zero(t, s.balance(t, acme).Purchased)
		require.NoError(t, s.clock.Advance(s.clock.Now().Add(72*time.Hour)))

		var runs sync.WaitGroup
		for range 2 { // two processes at once
			runs.Go(func() {
				_, err := s.Reconcile(t.Context())
				if err != nil && !problem.Is(err, "reconciling") {
					t.Error(err)
				}
			})
		}
		runs.Wait()
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		for _, p := range all {
			require.Equal(t, models.PurchaseCredited, s.status(t, p))
		}
		require.Equal(t, had+models.Credits(n)*2*thousand-10*thousand-thousand, s.balance(t, s.account).Purchased, "each once; half of one went back")
		require.Equal(t, 10*thousand, s.balance(t, acme).Purchased)
		again, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int64{2, int64(n) + 2, 0}, []int64{again.Accounts, again.Payments, again.Settled})
		require.Empty(t, again.Note)

		desk, err := s.PaymentsDesk(t.Context(), time.UTC)
		require.NoError(t, err)
		require.Empty(t, desk.Unbooked)
		require.Empty(t, desk.Dead)
		var paid int64
		for _, d := range desk.Days {
			require.Zero(t, d.Difference())
			require.Equal(t, d.Payments, d.Booked)
			paid += d.Paid
		}
		require.Equal(t, int64(n)*10_00+100_00+60_00, paid)
		faults.Raced(t, "%d payments of which no webhook told, by the reconciler alone on %s", n+1, db.Dialect)
	})
}

// After an older backup was restored, Stripe knows payments that this database
// does not: they wait for a person, and nobody is given credits for them.
func TestCase8AfterAnOldBackupUnknownPaymentsWaitForAPerson(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.admin(t)
		s.dry(t)
		s.mode(t, "drop")
		lost, kept := s.buy(t, "lost", "credits-12500", 0), s.buy(t, "kept", "credits-2000", 0)
		s.pay(t, lost)
		s.pay(t, kept)
		require.NoError(t, db.Write.Where("purchase_id = ?", lost.ID).Delete(&models.PaymentRef{}).Error)
		require.NoError(t, db.Write.Where("agency_id = ? AND id = ?", lost.AgencyID, lost.ID).Delete(&models.Purchase{}).Error)
		run, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, int64(1), run.Settled, "what is known is booked, once")
		require.Equal(t, 2*thousand, s.left(t, s.account))
		desk, err := s.PaymentsDesk(t.Context(), time.UTC)
		require.NoError(t, err)
		require.Len(t, desk.Strays, 1)
		require.Equal(t, []any{lost.ID.String(), int64(50_00)}, []any{desk.Strays[0].Reference, desk.Strays[0].Amount})
		require.Len(t, desk.Days, 1)
		require.Equal(t, int64(50_00), desk.Days[0].Difference())
		// The money goes back at Stripe, and the day agrees again.
		s.refund(t, lost, 50_00)
		require.NoError(t, s.clock.Advance(s.clock.Now().Add(time.Hour)))
		_, err = s.Reconcile(t.Context())
		require.NoError(t, err)
		desk, err = s.PaymentsDesk(t.Context(), time.UTC)
		require.NoError(t, err)
		require.Zero(t, desk.Days[0].Difference())
		require.Len(t, s.mailed(t, "1 payment at Stripe unknown here"), 1, "told once")
	})
}

// What is paid and not booked stands first on the desk, with a button that books.
func TestTheDeskShowsWhatIsPaidAndNotBooked(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.admin(t)
		p := s.buy(t, "k", "credits-12500", 0)
		where := db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID)
		require.NoError(t, where.Update("price", 40_00).Error)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseReview)
		s.later(t, 3*time.Minute)
		desk, err := s.PaymentsDesk(t.Context(), time.UTC)
		require.NoError(t, err)
		require.Len(t, desk.Unbooked, 1)
		require.Equal(t, []any{p.ID, "Shop", int64(50_00), int64(50_00)},
			[]any{desk.Unbooked[0].ID, desk.Unbooked[0].Agency, desk.Unbooked[0].StripeAmount, desk.Unbooked[0].Difference()})
		require.Equal(t, int64(50_00), desk.Days[0].Difference())
		got, err := s.RetryBooking(t.Context(), p.AgencyID, p.ID, "user:ada@example.com")
		require.NoError(t, err)
		require.Equal(t, models.PurchaseReview, got.Status, "the amount is still another")
		told := s.mailed(t, "A payment of Shop is not booked")
		require.Len(t, told, 1, "once, however often it is looked at")
		require.Contains(t, told[0], got.StatusNote)
		require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Update("price", 50_00).Error)
		got, err = s.RetryBooking(t.Context(), p.AgencyID, p.ID, "user:ada@example.com")
		require.NoError(t, err)
		require.Equal(t, models.PurchaseCredited, got.Status)
		desk, err = s.PaymentsDesk(t.Context(), time.UTC)
		require.NoError(t, err)
		require.Empty(t, desk.Unbooked)
		require.Zero(t, desk.Days[0].Difference())

		var file strings.Builder
		require.NoError(t, s.PaymentsCSV(t.Context(), billing.PaymentQuery{}, time.UTC)(&file))
		require.Contains(t, file.String(), p.ID.String())
		require.Equal(t, 2, strings.Count(file.String(), "\r\n"))
	})
}

// An event that was given up can be taken in again once its cause is mended.
func TestADeadEventIsReplayed(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.admin(t)
		p := s.buy(t, "k", "credits-12500", 0)
		ref := models.PaymentRef{Ref: p.CheckoutSession, AgencyID: p.AgencyID, PurchaseID: p.ID}
		own := models.PaymentRef{Ref: p.ID.String(), AgencyID: p.AgencyID, PurchaseID: p.ID}
		require.NoError(t, db.Write.Delete(&ref).Error)
		require.NoError(t, db.Write.Delete(&own).Error)
		require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Update("checked_at", models.Never).Error)
		s.pay(t, p)
		s.later(t, time.Hour)
		s.later(t, 26*time.Hour)
		desk, err := s.PaymentsDesk(t.Context(), time.UTC)
		require.NoError(t, err)
		require.Greater(t, len(desk.Dead), 1)
		require.Len(t, s.mailed(t, "A message of Stripe's was given up"), 1, "of several together once")
		require.NoError(t, db.Write.Create(&ref).Error)
		require.NoError(t, db.Write.Create(&own).Error)
		for _, e := range desk.Dead {
			_, err := s.ReplayEvent(t.Context(), e.Endpoint, e.EventID, "user:ada@example.com")
			require.NoError(t, err)
		}
		s.becomes(t, p, models.PurchaseCredited)
		desk, err = s.PaymentsDesk(t.Context(), time.UTC)
		require.NoError(t, err)
		require.Empty(t, desk.Dead)
	})
}

// A refund is asked for once per key, whatever answers are lost, and takes the
// credits that it said it would.
func TestRefundingAPurchase(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		p := s.paid(t, "k", "credits-12500")
		s.spend(t, s.account, "use", 8_750)
		plan, err := s.PlanRefund(t.Context(), p.AgencyID, p.ID, 25_00)
		require.NoError(t, err)
		require.Equal(t, []models.Credits{6_250 * models.Credit, 3_750 * models.Credit, 2_500 * models.Credit, 3_750 * models.Credit, -2_500 * models.Credit},
			[]models.Credits{plan.Revoked, plan.Unspent, plan.Spent, plan.Before, plan.After})
		in := billing.RefundInput{Agency: p.AgencyID, Purchase: p.ID, Amount: 25_00, Reason: "Bought twice", Key: "r1", By: "user:ada@example.com"}
		require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {"POST /v1/refunds"}, "fault": {"timeout_after_success"}, "count": {"9"}}))
		_, err = s.Refund(t.Context(), in)
		require.True(t, problem.Is(err, "payment_unavailable"), "%v", err)
		require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {"POST /v1/refunds"}, "fault": {"500"}, "count": {"0"}}))
		first, err := s.Refund(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, models.RefundSent, first.State)
		again, err := s.Refund(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, first.Refund, again.Refund)
		got := s.read(t, p)
		require.Equal(t, []any{int64(25_00), 6_250 * models.Credit, 2_500 * models.Credit}, []any{got.Refunded, got.Revoked, got.RevokedSpent})
		require.Equal(t, plan.After, s.left(t, s.account), "as it said")

		other := in
		other.Amount = 20_00
		_, err = s.Refund(t.Context(), other)
		require.True(t, problem.Is(err, "idempotency_key_reused"), "%v", err)
		other.Key, other.Amount = "r2", 25_01
		_, err = s.Refund(t.Context(), other)
		require.True(t, problem.Is(err, "invalid_amount"), "%v", err)
		other.Reason = " "
		_, err = s.Refund(t.Context(), other)
		require.True(t, problem.Is(err, "reason_missing"), "%v", err)
		other.Reason, other.Sale, other.Amount = "x", true, 0
		_, err = s.Refund(t.Context(), other)
		require.True(t, problem.Is(err, "not_found"), "%v", err)
		other.Sale = false
		_, err = s.Refund(t.Context(), other)
		require.NoError(t, err, "all that is left")
		require.Equal(t, models.PurchaseRefunded, s.status(t, p))
		_, err = s.PlanRefund(t.Context(), p.AgencyID, p.ID, 0)
		require.True(t, problem.Is(err, "not_refundable"), "%v", err)

		// One that was never answered goes on by the clock.
		q := s.paid(t, "q", "credits-2000")
		require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {"POST /v1/refunds"}, "fault": {"timeout_after_success"}, "count": {"99"}}))
		_, err = s.Refund(t.Context(), billing.RefundInput{Agency: q.AgencyID, Purchase: q.ID, Reason: "x", Key: "r3", By: "test"})
		require.True(t, problem.Is(err, "payment_unavailable"), "%v", err)
		_, err = s.Refund(t.Context(), billing.RefundInput{Agency: q.AgencyID, Purchase: q.ID, Reason: "x", Key: "r4", By: "test"})
		require.True(t, problem.Is(err, "not_refundable"), "%v: the first is under way", err)
		require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {"POST /v1/refunds"}, "fault": {"500"}, "count": {"0"}}))
		s.later(t, time.Minute)
		s.becomes(t, q, models.PurchaseRefunded)
		require.Equal(t, int64(10_00), s.read(t, q).Refunded)
		var log []models.AuditEntry
		require.NoError(t, db.Read.Where("action = 'payment.refund'").Find(&log).Error)
		require.Len(t, log, 3)
	})
}

// An agency refunds what its client paid it: Stripe sends it from the agency's
// account, and the unspent credits are in its stock again.
func TestAnAgencyRefundsASale(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		p, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		s.spend(t, acme, "use", 1_000)
		plan, err := s.PlanRefund(t.Context(), p.AgencyID, p.ID, 0)
		require.NoError(t, err)
		require.Equal(t, []models.Credits{10 * thousand, 9 * thousand, thousand, 0}, []models.Credits{plan.Revoked, plan.Unspent, plan.Spent, plan.After})
		_, err = s.Refund(t.Context(), billing.RefundInput{Agency: p.AgencyID, Purchase: p.ID, Sale: true, Reason: "Unhappy", Key: "r", By: "user:olive@example.com"})
		require.NoError(t, err)
		require.Equal(t, models.PurchaseRefunded, s.status(t, p))
		require.Zero(t, s.balance(t, acme).Purchased)
		require.Equal(t, 34*thousand, s.balance(t, s.account).Purchased)
	})
}
