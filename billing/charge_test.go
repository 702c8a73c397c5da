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

// Credits are not moved to where they could never be used.
func TestAPooledAccountIsNotAssignedCredits(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		sub, err := s.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{
			Agency: s.account.Agency.ID, ExternalID: "pool", Name: "Pool", Funding: models.Pooled, By: "test",
		})
		require.NoError(t, err)
		_, err = s.Assign(t.Context(), billing.Scope{}, billing.TransferInput{
			Agency: s.account.Agency.ID, SubAccount: sub.ID, Credits: models.Credit, Key: "k", By: "test",
		})
		require.True(t, problem.Is(err, "pooled_account"), "%v", err)
	})
}
