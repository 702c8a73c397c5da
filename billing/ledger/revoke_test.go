package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest"
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

// expired is how much of a wallet's credits expired.
func (w *world) expired(t *testing.T, wallet models.WalletID) (out models.Credits) {
	t.Helper()
	require.NoError(t, w.db.Read.Model(&models.Entry{}).Where("agency_id = ? AND wallet_id = ? AND kind = ?", w.agency, wallet, ledger.Expire).
		Select("COALESCE(CAST(SUM(amount) AS bigint), 0)").Scan(&out).Error)
	return out
}

// What a dispute keeps from its owner is not used by it: if the time of a month's
// credits ends meanwhile, they still go back with the money, and are breakage when
// the dispute is won.
func TestWhatExpiresWhileItIsDisputed(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		for _, c := range []struct {
			name               string
			lost               bool
			seller, taken, was models.Credits
		}{
			{"lost", true, credits(100), credits(40), 0},
			{"won", false, credits(60), 0, credits(40)},
		} {
			w := newWorld(t, db)
			w.grant(t, w.wallet, models.SourcePurchase, 100, costing(100_00))
			month := start.Add(30 * 24 * time.Hour)
			p := models.NewID[models.PurchaseID](start)
			sold := ledger.SaleRequest{Agency: w.agency, From: w.wallet, To: w.sub, Purchase: p, Credits: credits(40), Actor: "test", At: start, ExpiresAt: month}
			stand := func(s ledger.Standing, at models.Time) (out ledger.Revoked) {
				revoked, frozen := s.Target(credits(40))
				require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
					out, err = w.ledger.Revoke(t.Context(), tx, ledger.RevokeRequest{
						Agency: w.agency, Wallet: w.sub, Seller: w.wallet, Purchase: p, Revoked: revoked, Frozen: frozen, Actor: "test", At: at,
					})
					return err
				}))
				return out
			}
			require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
				_, err := w.ledger.Sell(t.Context(), tx, sold)
				return err
			}))
			require.Equal(t, credits(40), stand(ledger.Standing{Paid: 10, Disputed: 10}, start+1).Frozen)
			s := ledger.Standing{Paid: 10}
			if c.lost {
				s.Lost = 10
			}
			at := month.Add(time.Hour)
			first := stand(s, at)
			require.Equal(t, ledger.Revocation{Taken: c.taken}, first.Revocation, c.name)
			require.Equal(t, first.Revocation, stand(s, at).Revocation, "%s: again, nothing changes", c.name)
			require.Equal(t, c.seller, w.balanceAt(t, w.wallet, at).Available, c.name)
			require.Equal(t, c.was, w.expired(t, w.sub), c.name)
		}
	})
}

// What comes back into expired credits expires at once; the rest of them expires when
// the clock comes to it, and nothing is amiss until then.
func TestWhatComesBackBeforeTheClockExpiresFirst(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		p, month := models.NewID[models.PurchaseID](start), start.Add(30*24*time.Hour)
		w.grant(t, w.wallet, models.SourcePurchase, 40, costing(40_00), func(r *ledger.GrantRequest) { r.Purchase, r.ExpiresAt = p, month })
		stand := func(frozen int64, at models.Time) {
			require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
				out, err := w.ledger.Revoke(t.Context(), tx, ledger.RevokeRequest{
					Agency: w.agency, Wallet: w.wallet, Purchase: p, Frozen: credits(frozen), Actor: "test", At: at,
				})
				require.Equal(t, credits(frozen), out.Frozen)
				return err
			}))
		}
		audit := func(at models.Time) {
			require.NoError(t, db.Snapshot(t.Context(), func(tx *gorm.DB) error {
				r, err := ledger.AuditIn(tx, w.agency, at)
				require.NotContains(t, r.String(), "expiry is booked")
				return err
			}))
		}
		stand(30, start+1)
		late := month.Add(time.Hour)
		stand(0, late)
		require.Equal(t, credits(30), w.expired(t, w.wallet))
		audit(late)
		_, err := w.ledger.ExpireLots(t.Context(), late, 10)
		require.NoError(t, err)
		require.Equal(t, credits(40), w.expired(t, w.wallet))
		audit(late)
	})
}

// A debt that is owed no more gives back what paid it off, and that may be the very
// credits that a dispute keeps from their owner.
func TestAStandingIsReachedAtOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		p := models.NewID[models.PurchaseID](start)
		w.grant(t, w.wallet, models.SourcePurchase, 100, func(r *ledger.GrantRequest) { r.Purchase = p })
		spent := w.charge(t, w.request("k", 100))
		stand := func(s ledger.Standing) (out ledger.Revoked) {
			revoked, frozen := s.Target(credits(100))
			require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
				out, err = w.ledger.Revoke(t.Context(), tx, ledger.RevokeRequest{
					Agency: w.agency, Wallet: w.wallet, Purchase: p, Revoked: revoked, Frozen: frozen, Actor: "test", At: start,
				})
				return err
			}))
			return out
		}
		require.Equal(t, ledger.Revocation{Spent: credits(40)}, stand(ledger.Standing{Paid: 100, Refunded: 40}).Revocation)
		w.reverse(t, spent, start) // pays the debt with the pack's own credits
		require.Equal(t, credits(60), w.balance(t, w.wallet).Available)
		want := ledger.Revocation{Taken: 0, Frozen: credits(100)}
		require.Equal(t, want, stand(ledger.Standing{Paid: 100, Disputed: 100}).Revocation)
		again := stand(ledger.Standing{Paid: 100, Disputed: 100})
		require.Equal(t, want, again.Revocation)
		require.True(t, again.Act.IsZero(), "done again, it changes nothing")
	})
}

// A sale out of several packs makes a lot of each in one instant. A part of it that
// goes back is taken as it would be drawn, not as chance numbered the lots.
func TestAPartOfASaleGoesBackInDrawOrder(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		for range 8 { // lots of one instant are numbered by chance
			w := newWorld(t, db)
			dear := w.grant(t, w.wallet, models.SourcePurchase, 10, costing(20_00)).Lot.ID
			cheap := w.grant(t, w.wallet, models.SourcePurchase, 10, costing(10_00)).Lot.ID
			p := models.NewID[models.PurchaseID](start)
			_, err := w.sell(t, p, 20)
			require.NoError(t, err)
			require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
				_, err := w.ledger.Revoke(t.Context(), tx, ledger.RevokeRequest{
					Agency: w.agency, Wallet: w.sub, Seller: w.wallet, Purchase: p, Revoked: credits(12), Actor: "test", At: start,
				})
				return err
			}))
			var rests []models.Credits
			require.NoError(t, db.Read.Model(&models.Lot{}).Where("agency_id = ? AND wallet_id = ?", w.agency, w.wallet).
				Order("unit_cost").Pluck("remaining", &rests).Error)
			require.Equal(t, []models.Credits{credits(10), credits(2)}, rests, "into %s first, then into %s", cheap, dear)
		}
	})
}

// Of a returned sale that is to be disputed now, nothing is frozen as long as its
// seller has not given the credits back.
func TestWhatWaitsForItsSellerIsNotFrozen(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 10, costing(10_00))
		p := models.NewID[models.PurchaseID](start)
		_, err := w.sell(t, p, 10)
		require.NoError(t, err)
		stand := func(s ledger.Standing) (out ledger.Revoked) {
			revoked, frozen := s.Target(credits(10))
			require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
				out, err = w.ledger.Revoke(t.Context(), tx, ledger.RevokeRequest{
					Agency: w.agency, Wallet: w.sub, Seller: w.wallet, Purchase: p, Revoked: revoked, Frozen: frozen, Actor: "test", At: start,
				})
				return err
			}))
			return out
		}
		require.Equal(t, ledger.Revocation{Taken: credits(10)}, stand(ledger.Standing{Paid: 10, Refunded: 10}).Revocation)
		spent := w.charge(t, w.request("k", 10)) // the agency's use of what came back
		disputed := ledger.Standing{Paid: 10, Refunded: 3, Disputed: 5}
		for range 2 {
			out := stand(disputed)
			require.Equal(t, ledger.Revocation{Taken: credits(10)}, out.Revocation)
			require.Equal(t, credits(7), out.Waiting)
			require.True(t, out.Act.IsZero(), "nothing was moved")
		}
		w.reverse(t, spent, start)
		out := stand(disputed)
		require.Equal(t, ledger.Revocation{Taken: credits(3), Frozen: credits(5)}, out.Revocation)
	})
}

// Of what a seller has to give back and cannot, nothing is said to have moved: not in
// the act's amount, and not as a line of the seller's history.
func TestWhatWaitsForItsSellerIsInNoAct(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 10, costing(10_00))
		p := models.NewID[models.PurchaseID](start)
		_, err := w.sell(t, p, 10)
		require.NoError(t, err)
		stand := func(s ledger.Standing) (act models.Act) {
			revoked, frozen := s.Target(credits(10))
			require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
				out, err := w.ledger.Revoke(t.Context(), tx, ledger.RevokeRequest{
					Agency: w.agency, Wallet: w.sub, Seller: w.wallet, Purchase: p, Revoked: revoked, Frozen: frozen, Actor: "test", At: start,
				})
				if err != nil {
					return err
				}
				return tx.Where("agency_id = ? AND id = ?", w.agency, out.Act).Take(&act).Error
			}))
			r, err := ledger.AuditIn(db.Read.WithContext(t.Context()), w.agency, start)
			require.NoError(t, err)
			for _, c := range r.Checks {
				if c.ID == "I-08" {
					require.Zero(t, c.Count, "%s", r)
				}
			}
			return act
		}
		require.Equal(t, credits(-7), stand(ledger.Standing{Paid: 10, Refunded: 4, Disputed: 3}).Credits)
		spent := w.charge(t, w.request("k", 4)) // the agency's use of what came back
		won := stand(ledger.Standing{Paid: 10, Refunded: 1})
		require.Equal(t, credits(3), won.Credits, "what was frozen is free, the rest waits")
		require.True(t, won.OtherWalletID.IsZero())
		require.Zero(t, won.OtherSeq)
		w.reverse(t, spent, start)
		given := stand(ledger.Standing{Paid: 10, Refunded: 1})
		require.Equal(t, credits(3), given.Credits)
		require.Equal(t, w.wallet, given.OtherWalletID)
		require.Positive(t, given.OtherSeq)
	})
}
