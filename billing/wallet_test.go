package billing

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
)

// atOnce runs f many times at the same moment, round after round: the first
// round opens the database's connections, later ones race.
func atOnce(f func(round int)) {
	const rounds, callers = 10, 16
	for round := range rounds {
		var work sync.WaitGroup
		begin := make(chan struct{})
		for range callers {
			work.Go(func() {
				<-begin
				f(round)
			})
		}
		close(begin)
		work.Wait()
	}
}

func TestOneKeyAssignsOnceHoweverOftenItIsSentAtOnce(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "full-saas", func(t *testing.T, h *house) {
		client := h.client("acme", models.Prepaid, "UTC")
		atOnce(func(round int) {
			_, err := h.s.Assign(t.Context(), Scope{}, TransferInput{
				Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Credits: credits(5), Key: fmt.Sprint("assign-", round), By: "test",
			})
			if err != nil {
				t.Errorf("assign: %v", err)
			}
		})
		w, err := h.s.Wallet(t.Context(), client)
		require.NoError(t, err)
		require.Equal(t, credits(50), w.Balance.Available)
	})
}

func TestOneKeyAdjustsOnceHoweverOftenItIsSentAtOnce(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "full-saas", func(t *testing.T, h *house) {
		client := h.client("acme", models.Prepaid, "UTC")
		atOnce(func(round int) {
			_, err := h.s.Adjust(t.Context(), AdjustInput{
				Agency: h.agency.ID, Wallet: client.Wallet, Credits: credits(7), Reason: "goodwill", Key: fmt.Sprint("adjust-", round), By: "test",
			})
			if err != nil {
				t.Errorf("adjust: %v", err)
			}
		})
		w, err := h.s.Wallet(t.Context(), client)
		require.NoError(t, err)
		require.Equal(t, credits(70), w.Balance.Available)
	})
}
