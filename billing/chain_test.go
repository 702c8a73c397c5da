package billing

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/problem"
	"refill/models"
)

// A chain is set in one go, obeyed by the next charge, and a client that lives on
// its agency's credits is not called paused.
func TestAChainOfFunding(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		client := h.client("acme", models.Prepaid, "")
		h.give(h.agency.WalletID, 1_000)
		h.assign(client, 25)
		change := SubAccountChange{
			Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Name: "Acme", Funding: models.Prepaid, PoolCap: credits(25), PoolEvery: models.PoolDay,
			Excess: credits(40), By: "test",
		}
		require.True(t, problem.Is(h.s.ChangeSubAccount(ctx, Scope{}, change), "invalid_excess"), "the agency may have none")
		require.NoError(t, h.s.SetExcessLimit(ctx, h.agency.ID, credits(30), "trusted", "test"))
		require.True(t, problem.Is(h.s.ChangeSubAccount(ctx, Scope{}, change), "invalid_excess"), "not that much")
		change.Excess = credits(30)
		require.NoError(t, h.s.ChangeSubAccount(ctx, Scope{}, change))

		left := func(n int64) {
			t.Helper()
			w, err := h.s.Wallet(ctx, client)
			require.NoError(t, err)
			require.Equal(t, credits(n), w.Payable)
		}
		left(80)
		h.charge(client.Wallet, "gpt-4", false) // its own
		w, err := h.s.Wallet(ctx, client)
		require.NoError(t, err)
		require.NotEqual(t, StatePaused, w.State)
		left(55)
		got := h.charge(client.Wallet, "gpt-4", false) // the pool's
		require.Equal(t, h.agency.WalletID, got.Draws[0].Wallet)
		left(30)
		got = h.charge(client.Wallet, "gpt-4", false) // beyond zero
		require.Equal(t, models.BucketExcess, got.Draws[0].Bucket)
		left(5)
		_, err = h.s.Charge(ctx, Scope{}, ChargeInput{Wallet: client.Wallet.String(), Key: h.key(), Action: "ai.reply", Model: "gpt-4"})
		require.True(t, problem.Is(err, "insufficient_credits"), "%v", err)

		row, err := h.s.SubAccountRow(ctx, h.agency.ID, client.SubAccount.ID)
		require.NoError(t, err)
		require.Equal(t, credits(30), row.Excess)
		require.NoError(t, h.s.SetExcessLimit(ctx, h.agency.ID, 0, "no longer", "test"))
		require.NoError(t, h.s.ChangeSubAccount(ctx, Scope{}, change), "what it has may stay")
	})
}

// A charge tells a client that falls back on its agency's pool to go on while the
// pool has credits for it, and to stop when that ends.
func TestAChargeTellsWhetherThePoolGoesOn(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		client := h.client("acme", models.Prepaid, "")
		h.give(h.agency.WalletID, 1_000)
		h.assign(client, 25)
		require.NoError(t, h.s.ChangeSubAccount(t.Context(), Scope{}, SubAccountChange{
			Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Name: "Acme", Funding: models.Prepaid, PoolCap: credits(50), PoolEvery: models.PoolDay, By: "test",
		}))
		for _, want := range []string{"low", "low", "paused"} { // its own, the pool's, the last of its cap
			require.Equal(t, want, h.charge(client.Wallet, "gpt-4", false).Charge.State)
		}
		alone := h.client("alone", models.Prepaid, "")
		h.assign(alone, 25)
		require.Equal(t, "paused", h.charge(alone.Wallet, "gpt-4", false).Charge.State)
	})
}
