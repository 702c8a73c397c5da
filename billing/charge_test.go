package billing_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// A model's name is bounded even where the action prices every model alike.
func TestAModelsNameIsBounded(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "tawk", "growth")
		for _, model := range []string{strings.Repeat("m", 81), "a b", "naïve", "x\x00y"} {
			_, err := s.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:shop", Key: "k", Action: "ai.message", Model: model})
			require.True(t, problem.Is(err, "invalid_model"), "%q: %v", model, err)
		}
		_, err := s.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:shop", Key: "k", Action: "ai.message", Model: "gpt-4.1-mini"})
		require.NoError(t, err)
	})
}
