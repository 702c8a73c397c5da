package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/billing/ledger"
	"refill/models"
)

func TestTargetIsTheShareThatIsGone(t *testing.T) {
	t.Parallel()
	thousand := credits(1000)
	for _, c := range []struct {
		standing        ledger.Standing
		credits         models.Credits
		revoked, frozen models.Credits
	}{
		{ledger.Standing{Paid: 100}, thousand, 0, 0},
		{ledger.Standing{Paid: 100, Refunded: 50}, thousand, credits(500), 0},
		{ledger.Standing{Paid: 3, Refunded: 1}, 1, 1, 0}, // up
		{ledger.Standing{Paid: 3, Refunded: 1}, 3, 1, 0},
		{ledger.Standing{Paid: 100, Refunded: 60, Lost: 60}, thousand, thousand, 0},
		{ledger.Standing{Paid: 100, Refunded: 60, Disputed: 60}, thousand, credits(600), credits(400)},
		{ledger.Standing{Paid: 100, Disputed: 100}, thousand, 0, thousand},
		{ledger.Standing{Refunded: 100}, thousand, 0, 0}, // nothing was paid: nothing can go back
		{ledger.Standing{Paid: 99_999_999, Refunded: 99_999_998}, models.MaxBalance, models.MaxBalance - 10_000_000_100, 0},
	} {
		revoked, frozen := c.standing.Target(c.credits)
		require.Equal(t, []models.Credits{c.revoked, c.frozen}, []models.Credits{revoked, frozen}, "%+v", c.standing)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := ledger.Standing{Paid: rapid.Int64Range(1, 99_999_999).Draw(t, "paid")}
		c := models.Credits(rapid.Int64Range(1, int64(models.MaxCharge)).Draw(t, "credits"))
		var last models.Credits
		for range 5 {
			s.Refunded += rapid.Int64Range(0, s.Paid/3+1).Draw(t, "refund")
			revoked, frozen := s.Target(c)
			if revoked < last || revoked > c || frozen != 0 || s.Refunded >= s.Paid && revoked != c {
				t.Fatalf("%+v of %d: %d revoked after %d, %d frozen", s, c, revoked, last, frozen)
			}
			last = revoked
		}
	})
}
