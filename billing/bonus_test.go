package billing_test

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest"
)

// sound fails when the ledger contradicts itself or what payments ask for.
func (s *shop) sound(t *testing.T, db *models.DB) {
	t.Helper()
	report, err := ledger.Audit(t.Context(), db, s.clock.Now())
	require.NoError(t, err)
	require.True(t, report.Clean(), "%s", report)
}

// A pack's bonus comes as bonus credits of its own, in one payment with what was
// bought, and goes with the money in proportion; what of it was used is owed.
func TestABonusComesAndGoesWithItsPack(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		plans, err := s.Plans(t.Context())
		require.NoError(t, err)
		var codes []string
		for i := range plans {
			codes = append(codes, plans[i].Code)
		}
		_, err = s.PublishPack(t.Context(), billing.PackInput{Code: "autumn", By: "user:admin", PackTerms: billing.PackTerms{
			Name: "Autumn", Kind: models.PackFixed, Credits: 10 * thousand, Bonus: thousand, Price: 40_00, Plans: codes,
		}})
		require.NoError(t, err)
		before := s.balance(t, s.account)
		p := s.paid(t, "k", "autumn")
		is := s.balance(t, s.account)
		require.Equal(t, []models.Credits{thousand, 10 * thousand, 11 * thousand},
			[]models.Credits{is.Bonus - before.Bonus, is.Purchased - before.Purchased, p.BalanceAfter - p.BalanceBefore})
		var bonus models.Lot
		require.NoError(t, db.Read.Where("agency_id = ? AND id = ?", p.AgencyID, p.BonusLotID).Take(&bonus).Error)
		require.Equal(t, models.Never, bonus.ExpiresAt, "nobody may come to owe what expired")
		s.sound(t, db)

		// A quarter of the money takes a quarter of both.
		first := s.refund(t, p, 10_00)
		p = s.settled(t, p)
		require.Equal(t, []models.Credits{2500 * models.Credit, 250 * models.Credit}, []models.Credits{p.Revoked, p.BonusRevoked})
		require.Equal(t, is.Left()-2750*models.Credit, s.left(t, s.account))
		s.sound(t, db)
		s.bank(t, "refunds/"+first, url.Values{"status": {"failed"}})
		p = s.settled(t, p)
		require.Zero(t, p.Revoked+p.BonusRevoked)
		require.Equal(t, is.Left(), s.left(t, s.account))
		d := s.dispute(t, p, 40_00)
		p = s.settled(t, p)
		require.Equal(t, []models.Credits{10 * thousand, thousand}, []models.Credits{p.Frozen, p.BonusFrozen})
		s.bank(t, "disputes/"+d, url.Values{"outcome": {"win"}})
		p = s.settled(t, p)
		require.Equal(t, is.Left(), s.left(t, s.account))

		// All of it back, when the bonus and a part of the pack are used: owed.
		s.dry(t)
		s.spend(t, s.account, "use", int((before.Bonus+3*thousand)/models.Credit))
		had := s.left(t, s.account)
		plan, err := s.PlanRefund(t.Context(), p.AgencyID, p.ID, 0)
		require.NoError(t, err)
		s.refund(t, p, 40_00)
		p = s.settled(t, p)
		require.Equal(t, []models.Credits{10 * thousand, thousand, thousand}, []models.Credits{p.Revoked, p.BonusRevoked, p.BonusSpent})
		require.Equal(t, had-11*thousand, s.left(t, s.account))
		require.Equal(t, []models.Credits{11 * thousand, plan.After}, []models.Credits{plan.Revoked, s.left(t, s.account)}, "as it was foretold")
		s.sound(t, db)

		// Each refund has a document; the one that failed is void and keeps its number.
		notes, err := s.CreditNotes(t.Context(), p.AgencyID, p.ID)
		require.NoError(t, err)
		require.Len(t, notes, 2)
		require.Equal(t, []int64{1, 10_00, 2, 40_00}, []int64{notes[0].Number, notes[0].Amount, notes[1].Number, notes[1].Amount})
		require.Equal(t, []bool{true, false}, []bool{notes[0].VoidedAt > 0, notes[1].VoidedAt > 0})
	})
}

// A refund of a plan's invoice takes that part of the period's plan credits that is
// unspent, and never what was used; a dispute freezes, and what is won comes back.
func TestAPlansRefundTakesUnspentPlanCredits(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		plans, err := s.Plans(t.Context())
		require.NoError(t, err)
		first := plans[0]
		order := s.takePlan(t, "a", first.Code)
		s.payPlan(t, order, card("4242424242424242"))
		s.planSettled(t)
		require.Equal(t, first.Allowance, s.plenty(t))
		var invoice models.PlanPayment
		require.NoError(t, db.Read.Take(&invoice).Error)
		own := s.own(t)
		require.Equal(t, []models.Time{own.Sub.PeriodStart, own.Sub.PeriodEnd}, []models.Time{invoice.PeriodStart, invoice.PeriodEnd})
		require.NotEmpty(t, invoice.HostedURL)
		back := func(part int64) string {
			t.Helper()
			return s.bank(t, "payments/"+invoice.PaymentIntent+"/refund", url.Values{"amount": {strconv.FormatInt(part, 10)}})
		}
		comes := func(want models.Credits) {
			t.Helper()
			require.Eventually(t, func() bool { return s.plenty(t) == want }, 15*time.Second, 10*time.Millisecond)
		}
		failing := back(first.Price / 2)
		half, err := models.MulDiv(int64(first.Allowance), first.Price/2, first.Price)
		require.NoError(t, err)
		rest := first.Allowance - models.Credits(half)
		if first.Price%2 != 0 {
			rest = s.plenty(t)
		}
		require.Eventually(t, func() bool { return s.plenty(t) < first.Allowance }, 15*time.Second, 10*time.Millisecond)
		if first.Price%2 == 0 {
			comes(rest)
		}
		s.sound(t, db)
		s.bank(t, "refunds/"+failing, url.Values{"status": {"failed"}})
		comes(first.Allowance)

		// Two thirds are used: all the money takes the last third, and nobody owes.
		used := int(first.Allowance/models.Credit) * 2 / 3 / 25 * 25
		s.spend(t, s.account, "use", used)
		d := s.bank(t, "payments/"+invoice.PaymentIntent+"/dispute", url.Values{"amount": {strconv.FormatInt(first.Price, 10)}})
		comes(0)
		s.sound(t, db)
		s.bank(t, "disputes/"+d, url.Values{"outcome": {"win"}})
		comes(first.Allowance - models.Credits(used)*models.Credit)
		back(first.Price)
		comes(0)
		require.Zero(t, s.balance(t, s.account).Excess)
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		s.sound(t, db)
		var told int64
		require.NoError(t, db.Read.Model(&models.Notice{}).Where("agency_id = ? AND event = ?", s.account.Agency.ID, models.NoticePurchaseRefunded).Count(&told).Error)
		require.EqualValues(t, 2, told, "of each refund once")

		// The next month is paid anew: its credits are whole.
		s.pass(t, month)
		require.Equal(t, first.Allowance, s.plenty(t))
		s.sound(t, db)
	})
}

// The admins hear of a payment that a card network takes for fraud, once.
func TestAdminsHearOfAWarnedPack(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		for _, email := range []string{"robin@example.test", "sam@example.test"} {
			_, err := s.CreateUser(t.Context(), billing.UserInput{Email: email, Name: email, Admin: true, Password: "correct horse battery", By: "test"})
			require.NoError(t, err)
		}
		p := s.paid(t, "k", "credits-12500")
		had := s.left(t, s.account)
		s.bank(t, "payments/"+p.CheckoutSession+"/warn", nil)
		require.NotZero(t, s.settled(t, p).WarnedAt)
		s.settled(t, p)
		var to []string
		require.NoError(t, db.Read.Model(&models.Mail{}).Where("subject LIKE ?", "%may be fraud").Order("recipient").Pluck("recipient", &to).Error)
		require.Equal(t, []string{"robin@example.test", "sam@example.test"}, to)
		require.Equal(t, had, s.left(t, s.account), "a warning takes nothing")
	})
}
