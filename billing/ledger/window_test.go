package ledger_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest"
)

// reconsider looks at a wallet and opens a window; it tells whether there was
// anything to look at.
func (w *world) reconsider(t *testing.T, wallet models.WalletID, window ledger.Window) (looked bool, err error) {
	t.Helper()
	err = w.db.InTx(t.Context(), func(tx *gorm.DB) error {
		return w.ledger.Reconsider(t.Context(), tx, w.agency, wallet, start, func(v ledger.View, _ models.Time) (ledger.Window, error) {
			require.Equal(t, wallet, v.Wallet.ID)
			looked = true
			return window, nil
		})
	})
	return looked, err
}

func (w *world) watch(t *testing.T, wallet models.WalletID, below, from int64) {
	t.Helper()
	looked, err := w.reconsider(t, wallet, ledger.Window{Below: credits(below), From: credits(from)})
	require.NoError(t, err)
	require.True(t, looked, "the wallet had not stirred")
}

func (w *world) stirred(t *testing.T) []models.WalletID {
	t.Helper()
	rows, err := w.ledger.Stirred(t.Context(), 100)
	require.NoError(t, err)
	var out []models.WalletID
	for _, r := range rows {
		out = append(out, r.WalletID)
	}
	return out
}

// A look takes a while, and what is booked meanwhile is dated after its beginning: it
// is seen all the same. Else the window is opened around what was left before, and the
// way back into it is a crossing that nobody notices.
func TestALookSeesWhatIsBookedAfterItsTime(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		later := start.Add(time.Second)
		w.grant(t, w.wallet, models.SourcePurchase, 10, func(r *ledger.GrantRequest) { r.At = later })
		require.NoError(t, w.db.InTx(t.Context(), func(tx *gorm.DB) error {
			return w.ledger.Reconsider(t.Context(), tx, w.agency, w.wallet, start, func(v ledger.View, at models.Time) (ledger.Window, error) {
				require.Equal(t, credits(10), v.Balance.Left())
				require.Equal(t, later, at)
				return ledger.Window{Below: credits(5), From: credits(100)}, nil
			})
		}))
		r := w.request("a", 8)
		r.At = later
		w.charge(t, r)
		require.Contains(t, w.stirred(t), w.wallet)
	})
}

func TestAWalletStirsOnceWhenItLeavesItsWindow(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		require.ElementsMatch(t, []models.WalletID{w.wallet, w.sub}, w.stirred(t), "a new wallet is looked at once")
		w.grant(t, w.wallet, models.SourcePurchase, 10)
		w.grant(t, w.sub, models.SourcePurchase, 10)
		w.watch(t, w.sub, 0, 1000)
		w.watch(t, w.wallet, 4, 100)
		looked, err := w.reconsider(t, w.wallet, ledger.AnyLeft())
		require.NoError(t, err)
		require.False(t, looked, "somebody has looked already")

		w.charge(t, w.request("a", 6))
		require.Empty(t, w.stirred(t), "4 left is within")
		w.charge(t, w.request("b", 1))
		require.Equal(t, []models.WalletID{w.wallet}, w.stirred(t))
		<-w.ledger.Stirs()
		w.charge(t, w.request("c", 1)) // the window is closed: nothing more is written
		require.Len(t, w.stirred(t), 1)

		_, err = w.reconsider(t, w.wallet, ledger.Window{Below: credits(3), From: credits(5)})
		require.ErrorContains(t, err, "outside the window")
		require.Len(t, w.stirred(t), 1, "nothing was decided, so it is looked at again")
		w.watch(t, w.wallet, 1, 5)
		w.grant(t, w.wallet, models.SourcePromo, 3)
		require.Equal(t, []models.WalletID{w.wallet}, w.stirred(t), "5 left is at the upper end")

		w.watch(t, w.wallet, 2, 100)
		h := w.hold(t, w.wallet, "h", 4, start)
		require.Len(t, w.stirred(t), 1, "what is held is not left")
		w.release(t, h, start)
		w.watch(t, w.wallet, 3, 100)
		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			_, err := w.ledger.Freeze(t.Context(), tx, w.agency, w.wallet, models.FreezeNoPlan, func(l *models.Lot) bool { return l.Source == models.SourcePromo })
			return err
		}))
		require.Equal(t, []models.WalletID{w.wallet}, w.stirred(t), "nor is what is frozen")
		w.audit(t)
	})
}

// However many charges of however many processes cross a line together, there is
// one crossing, and none is lost.
func TestManyChargesCrossALineOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		here := newWorld(t, db)
		here.grant(t, here.wallet, models.SourcePurchase, 100)
		here.watch(t, here.wallet, 50, 1000)
		here.watch(t, here.sub, 0, 1000)
		worlds := []*world{here, here.neighbour(t)}
		var wg sync.WaitGroup
		for i := range 100 {
			w := worlds[i%2]
			wg.Go(func() {
				if _, err := w.ledger.Charge(t.Context(), w.request(strconv.Itoa(i), 1)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, []models.WalletID{here.wallet}, here.stirred(t))
		var looks int
		for range 2 {
			for _, w := range worlds {
				if looked, err := w.reconsider(t, here.wallet, ledger.AnyLeft()); looked {
					require.NoError(t, err)
					looks++
				}
			}
		}
		require.Equal(t, 1, looks)
		here.audit(t)
	})
}
