package ledger_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// neighbour is a second process on the same database, which remembers wallets
// for itself.
func (w *world) neighbour(t *testing.T) *world {
	t.Helper()
	l, err := ledger.Open(t.Context(), w.db, ledger.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	other := *w
	other.ledger = l
	return &other
}

func TestWhatIsRememberedIsNeverBelievedAgainstTheDatabase(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		here := newWorld(t, db)
		here.grant(t, here.wallet, models.SourcePurchase, 10)
		there := here.neighbour(t)
		here.charge(t, here.request("a", 1)) // here remembers 9

		there.charge(t, there.request("b", 4))
		require.Equal(t, credits(4), here.charge(t, here.request("c", 1)).Charge.AfterPurchased, "the neighbour's charge counts")
		replayed := here.charge(t, here.request("b", 4))
		require.True(t, replayed.Replayed, "a key the neighbour used")
		require.Equal(t, credits(4), replayed.Draws[0].Credits)
		here.refused(t, "idempotency_key_reused", func() ledger.ChargeRequest {
			r := here.request("b", 4)
			r.Fingerprint = []byte("another")
			return r
		}())

		here.charge(t, here.request("d", 4))
		here.refused(t, "insufficient_credits", here.request("e", 1))
		there.grant(t, there.wallet, models.SourcePurchase, 5)
		require.Equal(t, credits(4), here.charge(t, here.request("e", 1)).Charge.AfterPurchased, "credits the neighbour granted can be spent")

		h := here.hold(t, here.wallet, "h", 2, start)
		_, err := there.ledger.Release(t.Context(), ledger.ReleaseRequest{Agency: there.agency, Wallet: there.wallet, Hold: h.Hold.ID, At: start})
		require.NoError(t, err)
		_, err = here.capture(t, h, "f", 2, start)
		require.True(t, problem.Is(err, "hold_not_open"), "the neighbour let it go: %v", err)

		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			return there.ledger.SetStatus(t.Context(), tx, there.agency, there.wallet, models.WalletSuspended)
		}))
		here.refused(t, "wallet_paused", here.request("g", 1))
		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			_, err := there.ledger.ResumeAll(t.Context(), tx, there.agency)
			return err
		}))
		require.Equal(t, credits(3), here.charge(t, here.request("g", 1)).Charge.AfterPurchased)
		here.audit(t)
	})
}

// A hold is read from the database, the wallet it stands on may be remembered from
// before it: credits that are not known to be held, and lots that are not known at
// all, must not make a process refuse, nor fall over.
func TestAHoldOfTheNeighbourEndsHere(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		for name, end := range map[string]func(w *world, h ledger.HoldReceipt){
			"release": func(w *world, h ledger.HoldReceipt) { w.release(t, h, start) },
			"capture": func(w *world, h ledger.HoldReceipt) {
				_, err := w.capture(t, h, "c", 2, start)
				require.NoError(t, err)
			},
			"late": func(w *world, h ledger.HoldReceipt) {
				_, err := w.capture(t, h, "c", 2, start.Add(time.Hour))
				require.NoError(t, err)
			},
		} {
			for _, unknown := range []bool{false, true} {
				here := newWorld(t, db)
				here.grant(t, here.wallet, models.SourcePurchase, 10)
				there := here.neighbour(t)
				here.charge(t, here.request("a", 1)) // here remembers 9
				if unknown {
					there.grant(t, there.wallet, models.SourcePlan, 10, func(r *ledger.GrantRequest) { r.ExpiresAt = start.Add(24 * time.Hour) })
				}
				end(here, there.hold(t, there.wallet, "h", 4, start))
				require.Zero(t, here.balanceAt(t, here.wallet, start.Add(time.Hour)).Held, "%s, of an unknown lot: %t", name, unknown)
				here.audit(t)
			}
		}
	})
}

// A process that has just started remembers nothing, and is asked again what the
// one before it answered: a wallet that is empty now, a hold that ended, must not
// make it refuse.
func TestAFreshProcessAnswersAsTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		before := newWorld(t, db)
		before.grant(t, before.wallet, models.SourcePurchase, 10)
		h := before.hold(t, before.wallet, "h", 4, start)
		_, err := before.capture(t, h, "capture", 4, start)
		require.NoError(t, err)
		before.charge(t, before.request("last", 6))

		for _, ask := range []func(*world) (ledger.Receipt, error){
			func(w *world) (ledger.Receipt, error) { return w.ledger.Charge(t.Context(), w.request("last", 6)) },
			func(w *world) (ledger.Receipt, error) { return w.capture(t, h, "capture", 4, start) },
		} {
			got, err := ask(before.neighbour(t))
			require.NoError(t, err)
			require.True(t, got.Replayed)
		}
		again := before.neighbour(t).hold(t, before.wallet, "h", 4, start)
		require.True(t, again.Replayed)
		before.neighbour(t).refused(t, "insufficient_credits", before.request("more", 1))
		before.audit(t)
	})
}

// A key is kept for ever: whoever asks again after a year hears the same.
func TestAKeyIsKnownAfterFourHundredDays(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 10)
		first := w.charge(t, w.request("old", 3))
		late := start + 400*24*hour
		w.charge(t, of(w.request("new", 1), w.wallet, late))
		for _, process := range []*world{w, w.neighbour(t)} {
			again := process.charge(t, of(w.request("old", 3), w.wallet, late+hour))
			require.True(t, again.Replayed)
			require.Equal(t, first.Charge.ID, again.Charge.ID)
		}
		w.audit(t)
	})
}

// The database refuses a second grant of one purchase, whoever asks for it.
func TestAPurchaseIsGrantedOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		purchase := models.NewID[models.PurchaseID](start)
		grant := func() error {
			return db.InTx(t.Context(), func(tx *gorm.DB) error {
				_, err := w.ledger.Grant(t.Context(), tx, ledger.GrantRequest{
					Agency: w.agency, Wallet: w.wallet, Source: models.SourcePurchase, Credits: credits(5), Purchase: purchase, Kind: "purchase", Actor: "test", At: start,
				})
				return err
			})
		}
		require.NoError(t, grant())
		require.True(t, models.IsDuplicate(grant()))
	})
}

// Two processes charge the same wallets at once, dry wallets among them.
func TestTwoProcessesThatRememberNeverOversell(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		here := newWorld(t, db)
		here.grant(t, here.wallet, models.SourcePurchase, 150)
		here.grant(t, here.sub, models.SourcePurchase, 150)
		worlds := []*world{here, here.neighbour(t)}
		const callers, each = 16, 25 // 400 credits asked of 300
		booked := make([]int64, callers)
		var wg sync.WaitGroup
		for i := range callers {
			w, wallet := worlds[i%2], []models.WalletID{here.wallet, here.sub}[i/2%2]
			wg.Go(func() {
				for n := range each {
					_, err := w.ledger.Charge(t.Context(), of(w.request(fmt.Sprint(i, "-", n), 1), wallet, start))
					switch {
					case err == nil:
						booked[i]++
					case !problem.Is(err, "insufficient_credits"):
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var sum int64
		for _, n := range booked {
			sum += n
		}
		require.EqualValues(t, 300, sum, "every credit was spent, and none twice")
		here.audit(t)
	})
}

// Shows that the tests above would notice: without the guard a process charges a
// wallet that another one suspended.
func TestWithoutTheGuardAnOldMemoryWouldRule(t *testing.T) {
	t.Parallel()
	here := newWorld(t, modelstest.OpenPostgres(t))
	here.ledger.DropTheGuard()
	here.grant(t, here.wallet, models.SourcePurchase, 2)
	there := here.neighbour(t)
	here.charge(t, here.request("a", 1))
	require.NoError(t, here.db.InTx(t.Context(), func(tx *gorm.DB) error {
		return there.ledger.SetStatus(t.Context(), tx, there.agency, there.wallet, models.WalletSuspended)
	}))
	_, err := here.ledger.Charge(t.Context(), here.request("b", 1))
	require.NoError(t, err, "the defect charges a suspended wallet")
}
