package billing_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// admin makes somebody who is to hear of what the platform must look at.
func (s *shop) admin(t *testing.T) {
	t.Helper()
	_, err := s.CreateUser(t.Context(), billing.UserInput{Email: "robin@example.test", Name: "Robin", Admin: true, Password: "correct horse battery", By: "test"})
	require.NoError(t, err)
}

// mailed are the texts of the mails to the admin with a subject, the oldest first.
func (s *shop) mailed(t *testing.T, subject string) []string {
	t.Helper()
	var out []string
	require.NoError(t, s.db.Write.Model(&models.Mail{}).Where("recipient = ? AND subject LIKE ?", "robin@example.test", "%"+subject+"%").Order("id").Pluck("text", &out).Error)
	return out
}

// The platform is the merchant of packs: only its admins can answer a dispute, and
// they are told until when, once for a question and once for what comes of it.
func TestAdminsHearOfADisputedPack(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.admin(t)
		p := s.paid(t, "k", "credits-12500")
		s.dispute(t, p, 50_00)
		until := s.settled(t, p).DisputeAnswerBy
		s.settled(t, p)
		told := s.mailed(t, "A payment of Shop is disputed")
		require.Len(t, told, 1)
		require.Contains(t, told[0], "by "+until.Go().Format("Mon, Jan 2"))
		require.Contains(t, told[0], "$50.00")

		q := s.paid(t, "q", "credits-2000")
		s.bank(t, "payments/"+q.CheckoutSession+"/dispute", url.Values{"inquiry": {"true"}})
		require.Equal(t, models.DisputeInquiry, s.settled(t, q).Dispute)
		require.Len(t, s.mailed(t, "A bank asks about a payment of Shop"), 1)
	})
}

// What was paid for a plan is answered for, and warned of, like what was paid for a
// pack; and while a bank has it back, no card is charged by itself.
func TestAPlansPaymentAtStake(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.admin(t)
		plans, err := s.Plans(t.Context())
		require.NoError(t, err)
		s.payPlan(t, s.takePlan(t, "a", plans[0].Code), card(cardPays))
		s.planSettled(t)
		var paid models.PlanPayment
		require.NoError(t, db.Write.Take(&paid).Error)
		desk := func() []billing.PlanPaid {
			t.Helper()
			d, err := s.PaymentsDesk(t.Context(), time.UTC)
			require.NoError(t, err)
			return d.Plans
		}
		require.Empty(t, desk())
		tellsOnce := func(what, subject string) {
			t.Helper()
			s.bank(t, "payments/"+paid.PaymentIntent+"/"+what, nil)
			require.Eventually(t, func() bool { return len(s.mailed(t, subject)) > 0 }, 15*time.Second, 10*time.Millisecond)
			_, err := s.Reconcile(t.Context())
			require.NoError(t, err)
			require.Len(t, s.mailed(t, subject), 1)
			require.Len(t, desk(), 1)
		}
		tellsOnce("warn", "A payment of Shop may be fraud")
		require.NotZero(t, desk()[0].WarnedAt)
		tellsOnce("dispute", "A payment of Shop is disputed")
		require.Equal(t, models.DisputeOpen, desk()[0].Dispute)
		require.Contains(t, s.mailed(t, "is disputed")[0], "by "+desk()[0].DisputeAnswerBy.Go().Format("Mon, Jan 2"))

		s.save(t, s.account, cardPays)
		s.turnOn(t, 1_000*thousand, 100_00)
		require.Equal(t, models.TopUpDisputed, s.topUp(t, s.account).Reason)
	})
}

// A refund that does not arrive is told to who waits for it and to who may send it
// again, and the next one is told as well; so is what comes of a dispute.
func TestARefundThatFailsAndADisputeThatIsDecidedAreTold(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.admin(t)
		p := s.paid(t, "k", "credits-12500")
		s.mode(t, "drop") // it is seen when it is asked for
		again := func(want map[models.NoticeEvent]int) {
			t.Helper()
			s.settled(t, p)
			s.settled(t, p)
			require.Equal(t, want, s.moneyTold(t, s.account))
		}
		s.bank(t, "refunds/"+s.refund(t, p, 20_00), url.Values{"status": {"failed"}})
		again(map[models.NoticeEvent]int{})
		id := s.refund(t, p, 20_00)
		again(map[models.NoticeEvent]int{models.NoticePurchaseRefunded: 1})
		s.bank(t, "refunds/"+id, url.Values{"status": {"failed"}})
		again(map[models.NoticeEvent]int{models.NoticePurchaseRefunded: 1, models.NoticeRefundFailed: 1})
		require.Contains(t, strings.Join(s.said(t, s.account, models.NoticeRefundFailed).Lines, " "), "5,000 credits can be used again")
		require.Len(t, s.mailed(t, "A refund to Shop failed"), 1)
		s.refund(t, p, 20_00)
		again(map[models.NoticeEvent]int{models.NoticePurchaseRefunded: 2, models.NoticeRefundFailed: 1})

		d := s.dispute(t, p, 30_00)
		again(map[models.NoticeEvent]int{models.NoticePurchaseRefunded: 2, models.NoticeRefundFailed: 1, models.NoticePaymentDisputed: 1})
		s.bank(t, "disputes/"+d, url.Values{"outcome": {"win"}})
		again(map[models.NoticeEvent]int{models.NoticePurchaseRefunded: 2, models.NoticeRefundFailed: 1, models.NoticePaymentDisputed: 1, models.NoticeDisputeDecided: 1})
		require.Len(t, s.mailed(t, "A payment of Shop stands"), 1)
	})
}

// moneyTold counts the notices of money that went back, or should have.
func (s *shop) moneyTold(t *testing.T, who *billing.Account) map[models.NoticeEvent]int {
	t.Helper()
	var rows []models.Notice
	require.NoError(t, s.db.Read.Where("wallet_id = ? AND event IN ?", who.Wallet, []models.NoticeEvent{
		models.NoticePurchaseRefunded, models.NoticeRefundFailed, models.NoticePaymentDisputed, models.NoticeDisputeDecided,
	}).Find(&rows).Error)
	out := map[models.NoticeEvent]int{}
	for _, n := range rows {
		out[n.Event]++
	}
	return out
}
