package billing_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/models"
	"refill/models/modelstest"
)

// Tax comes on top of what the platform sells, and stands on the purchase; what is
// credited, and what goes with a refund, is the same with it and without it.
func TestTaxComesOnTop(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "", func(c *checkout.Config) { c.Tax = true })
		p := s.paid(t, "k", "credits-2000")
		require.Equal(t, []any{models.PurchaseCredited, int64(10_00), int64(12_00), int64(2_00), 2 * thousand},
			[]any{p.Status, p.Price, p.Paid, p.Tax, p.Credits}, p.StatusNote)
		require.Equal(t, 2*thousand, s.purchased(t))
		s.refund(t, p, 6_00)
		p = s.settled(t, p)
		require.Equal(t, thousand, p.Revoked)
		require.Equal(t, thousand, s.purchased(t))
		notes, err := s.CreditNotes(t.Context(), p.AgencyID, p.ID)
		require.NoError(t, err)
		require.Equal(t, int64(1_00), notes[0].Tax, "a half of it")

		// Somebody whom Stripe knows already.
		s.dry(t)
		s.save(t, s.account, cardAuthenticate)
		require.Equal(t, models.PurchaseFailed, s.turnOn(t, 9*thousand, 100_00).Status)
		pay, err := s.PayTopUp(t.Context(), s.account, "pay", "", "test")
		require.NoError(t, err)
		s.pay(t, pay)
		s.becomes(t, pay, models.PurchaseCredited)
		pay = s.read(t, pay)
		require.Equal(t, pay.Price/5, pay.Tax)

		// An agency's own sales are not the platform's to tax.
		s.connect(t)
		sale, err := s.order(t, s.client(t, "acme"), s.offer(t, 1_000, 60_00), "sale")
		require.NoError(t, err)
		s.pay(t, sale)
		s.becomes(t, sale, models.PurchaseCredited)
		require.Equal(t, []int64{60_00, 0}, []int64{s.read(t, sale).Paid, s.read(t, sale).Tax})
		run, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Zero(t, run.Settled)
		s.sound(t, db)
	})
}

// A plan's invoices carry the tax; what the plan gives does not depend on it.
func TestAPlanIsTaxed(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "", func(c *checkout.Config) { c.Tax = true })
		plans, err := s.Plans(t.Context())
		require.NoError(t, err)
		first := plans[0]
		order := s.takePlan(t, "a", first.Code)
		s.payPlan(t, order, card("4242424242424242"))
		s.planSettled(t)
		require.Equal(t, first.Allowance, s.plenty(t))
		var invoice models.PlanPayment
		require.NoError(t, db.Read.Take(&invoice).Error)
		require.Equal(t, first.Price+first.Price/5, invoice.Amount)
		s.pass(t, month)
		require.Equal(t, first.Allowance, s.plenty(t))
		s.sound(t, db)
	})
}
