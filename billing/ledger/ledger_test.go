package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// start is the domain time tests begin at: 2026-03-01 12:00 UTC.
const start = models.Time(1772366400_000_000)

// world is one agency with its wallet and one sub-account's wallet.
type world struct {
	db     *models.DB
	ledger *ledger.Ledger
	agency models.AgencyID
	wallet models.WalletID
	sub    models.WalletID
	card   models.RateCardID
}

func newWorld(t *testing.T, db *models.DB) *world {
	t.Helper()
	l, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	w := &world{
		db: db, ledger: l, agency: models.NewID[models.AgencyID](start), wallet: models.NewID[models.WalletID](start),
		sub: models.NewID[models.WalletID](start), card: models.NewID[models.RateCardID](start),
	}
	require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
		own := models.Wallet{AgencyID: w.agency, ID: w.wallet, Status: models.WalletActive, Funding: models.Prepaid, PoolEvery: models.PoolCycle, CreatedAt: start}
		if err := l.OpenWallet(t.Context(), tx, own); err != nil {
			return err
		}
		sub := own
		sub.ID, sub.SubAccountID, sub.PoolWalletID = w.sub, models.NewID[models.SubAccountID](start), w.wallet
		return l.OpenWallet(t.Context(), tx, sub)
	}))
	return w
}

func credits(n int64) models.Credits { return models.Credits(n) * models.Credit }

func (w *world) grant(t *testing.T, wallet models.WalletID, source models.Source, n int64, more ...func(*ledger.GrantRequest)) ledger.Granted {
	t.Helper()
	var out ledger.Granted
	r := ledger.GrantRequest{Agency: w.agency, Wallet: wallet, Source: source, Credits: credits(n), Kind: string(source), Actor: "test", At: start}
	for _, f := range more {
		f(&r)
	}
	require.NoError(t, w.db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
		out, err = w.ledger.Grant(t.Context(), tx, r)
		return err
	}))
	return out
}

func (w *world) request(key string, n int64) ledger.ChargeRequest {
	return ledger.ChargeRequest{
		Agency: w.agency, Wallet: w.wallet, Key: key, Fingerprint: []byte("f:" + key), Action: "ai.reply", Model: "gpt-4",
		Credits: credits(n), Units: 1, Card: w.card, CardVersion: 1, OccurredAt: start, At: start,
	}
}

// audit ends a test: every invariant holds on what it left behind.
func (w *world) audit(t *testing.T) {
	t.Helper()
	r, err := ledger.Audit(t.Context(), w.db, models.Never-1)
	require.NoError(t, err)
	require.True(t, r.Clean(), "%s", r)
}

// policy sets what a wallet does at zero.
func (w *world) policy(t *testing.T, wallet models.WalletID, p ledger.Policy) {
	t.Helper()
	require.NoError(t, w.db.InTx(t.Context(), func(tx *gorm.DB) error {
		return w.ledger.SetPolicy(t.Context(), tx, w.agency, wallet, p)
	}))
}

// of addresses a request to another wallet at another time.
func of(r ledger.ChargeRequest, wallet models.WalletID, at models.Time) ledger.ChargeRequest {
	r.Wallet, r.At, r.OccurredAt = wallet, at, at
	return r
}

func (w *world) charge(t *testing.T, r ledger.ChargeRequest) ledger.Receipt {
	t.Helper()
	out, err := w.ledger.Charge(t.Context(), r)
	require.NoError(t, err)
	return out
}

func (w *world) refused(t *testing.T, code string, r ledger.ChargeRequest) {
	t.Helper()
	_, err := w.ledger.Charge(t.Context(), r)
	require.True(t, problem.Is(err, code), "want %s, got %v", code, err)
}

func (w *world) hold(t *testing.T, wallet models.WalletID, key string, n int64, at models.Time) ledger.HoldReceipt {
	t.Helper()
	h, err := w.ledger.Hold(t.Context(), ledger.HoldRequest{
		Agency: w.agency, Wallet: wallet, Key: key, Fingerprint: []byte("h:" + key), Action: "ai.reply",
		Credits: credits(n), TTL: ledger.DefaultHoldTTL, At: at,
	})
	require.NoError(t, err)
	return h
}

func (w *world) capture(t *testing.T, h ledger.HoldReceipt, key string, n int64, at models.Time) (ledger.Receipt, error) {
	t.Helper()
	return w.ledger.Capture(t.Context(), ledger.CaptureRequest{Hold: h.Hold.ID, Charge: of(w.request(key, n), h.Hold.WalletID, at)})
}

func (w *world) release(t *testing.T, h ledger.HoldReceipt, at models.Time) ledger.HoldReceipt {
	t.Helper()
	out, err := w.ledger.Release(t.Context(), ledger.ReleaseRequest{Agency: w.agency, Wallet: h.Hold.WalletID, Hold: h.Hold.ID, At: at})
	require.NoError(t, err)
	return out
}

func (w *world) reverse(t *testing.T, r ledger.Receipt, at models.Time) ledger.Reversed {
	t.Helper()
	var out ledger.Reversed
	require.NoError(t, w.db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
		out, err = w.ledger.Reverse(t.Context(), tx, ledger.ReverseRequest{Agency: w.agency, Charge: r.Charge.ID, Key: "r:" + r.Charge.ID.String(), At: at})
		return err
	}))
	return out
}

func (w *world) transfer(t *testing.T, move func(context.Context, *gorm.DB, ledger.TransferRequest) (ledger.Transfer, error), from, to models.WalletID, n int64, at models.Time) (out ledger.Transfer, err error) {
	t.Helper()
	err = w.db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
		out, err = move(t.Context(), tx, ledger.TransferRequest{Agency: w.agency, From: from, To: to, Credits: credits(n), Actor: "test", At: at})
		return err
	})
	return out, err
}

func (w *world) row(t *testing.T, wallet models.WalletID) models.Wallet {
	t.Helper()
	var out models.Wallet
	require.NoError(t, w.db.Read.Where("agency_id = ? AND id = ?", w.agency, wallet).Take(&out).Error)
	return out
}

func (w *world) balanceAt(t *testing.T, wallet models.WalletID, at models.Time) ledger.Balance {
	t.Helper()
	v, err := w.ledger.View(t.Context(), w.agency, wallet, at)
	require.NoError(t, err)
	return v.Balance
}

func (w *world) balance(t *testing.T, wallet models.WalletID) ledger.Balance {
	t.Helper()
	v, err := w.ledger.View(t.Context(), w.agency, wallet, start)
	require.NoError(t, err)
	return v.Balance
}

func TestChargeDrawsInOrder(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 50, func(r *ledger.GrantRequest) { r.At = start - 1 }) // older, and drawn later
		w.grant(t, w.wallet, models.SourcePlan, 10)
		r, err := w.ledger.Charge(t.Context(), w.request("k1", 25))
		require.NoError(t, err)
		require.Len(t, r.Draws, 2)
		require.Equal(t, models.BucketPlan, r.Draws[0].Bucket)
		require.Equal(t, credits(10), r.Draws[0].Credits)
		require.Equal(t, models.BucketPurchased, r.Draws[1].Bucket)
		require.Equal(t, credits(15), r.Draws[1].Credits)
		require.Equal(t, credits(35), r.Balance().Available)

		again, err := w.ledger.Charge(t.Context(), w.request("k1", 25))
		require.NoError(t, err)
		require.True(t, again.Replayed)
		again.Replayed = false
		require.Equal(t, r, again, "a replay is the first answer")

		other := w.request("k1", 25)
		other.Fingerprint = []byte("other")
		_, err = w.ledger.Charge(t.Context(), other)
		require.True(t, problem.Is(err, "idempotency_key_reused"), "%v", err)

		_, err = w.ledger.Charge(t.Context(), w.request("k2", 36))
		require.True(t, problem.Is(err, "insufficient_credits"), "%v", err)
		w.grant(t, w.wallet, models.SourcePurchase, 1)
		_, err = w.ledger.Charge(t.Context(), w.request("k2", 36))
		require.NoError(t, err, "a refusal binds nothing")
		w.audit(t)
	})
}

func TestChargesNeverOversell(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 60)
		w.grant(t, w.wallet, models.SourcePlan, 40)
		second, err := ledger.Open(t.Context(), db, ledger.Options{}) // as another process would
		require.NoError(t, err)
		defer func() { require.NoError(t, second.Close()) }()
		ledgers := []*ledger.Ledger{w.ledger, second}
		var booked, refused atomic.Int64
		var wg sync.WaitGroup
		for i := range 256 {
			wg.Go(func() {
				_, err := ledgers[i%2].Charge(t.Context(), w.request(fmt.Sprint("k", i), 1))
				switch {
				case err == nil:
					booked.Add(1)
				case problem.Is(err, "insufficient_credits"):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 100, booked.Load())
		require.EqualValues(t, 156, refused.Load())
		require.Zero(t, w.balance(t, w.wallet).Available)
		w.audit(t)
	})
}

func TestOneKeyManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		second, err := ledger.Open(t.Context(), db, ledger.Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, second.Close()) }()
		answers := make([]ledger.Receipt, 64)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				r, err := []*ledger.Ledger{w.ledger, second}[i%2].Charge(t.Context(), w.request("same", 7))
				if err != nil {
					t.Error(err)
				}
				r.Replayed = false
				answers[i] = r
			})
		}
		wg.Wait()
		for _, a := range answers {
			require.Equal(t, answers[0], a)
		}
		require.Equal(t, credits(93), w.balance(t, w.wallet).Available)
		w.audit(t)
	})
}
