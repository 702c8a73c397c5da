package billing

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
)

// What clients bought and have not used is what the agency owes them; what it
// assigned is not.
func TestSoldAndNotUsed(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		none, err := h.s.SoldUnused(ctx, &h.agency)
		require.NoError(t, err)
		require.Zero(t, none.Credits)
		h.stock(1_000, 2_00)
		client := h.client("acme", models.Prepaid, "")
		got, err := h.s.Assign(ctx, Scope{}, TransferInput{Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Credits: credits(100), Sold: true, Key: h.key(), By: "test"})
		require.NoError(t, err)
		h.charge(client.Wallet, "gpt-4", false)
		h.assign(client, 500)
		unused, err := h.s.SoldUnused(ctx, &h.agency)
		require.NoError(t, err)
		require.Equal(t, SoldUnused{Credits: credits(75), Clients: 1, Value: dollars(0)}, unused, "sold outside Refill: nobody knows for how much")
		require.Equal(t, credits(75), unused.Covered())
		require.False(t, got.Replayed)

		saved := h.save(h.growth())
		h.sold(&saved.Package, client, models.PurchaseCredited)
		var p models.Purchase
		require.NoError(t, h.db.Read.Where("agency_id = ? AND package_id IS NOT NULL", h.agency.ID).Take(&p).Error)
		require.NoError(t, h.db.Write.Exec("UPDATE lot_rows SET purchase_id = ? WHERE agency_id = ? AND wallet_id = ? AND source = 'purchase'", p.ID, h.agency.ID, client.Wallet).Error)
		unused, err = h.s.SoldUnused(ctx, &h.agency)
		require.NoError(t, err)
		worth, err := models.MulDiv(p.Price, int64(credits(75)), int64(p.Credits))
		require.NoError(t, err)
		require.Positive(t, worth)
		require.Equal(t, dollars(worth), unused.Value)

		require.Equal(t, credits(50), SoldUnused{Credits: credits(75), Excess: credits(25)}.Covered())
	})
}
