package ledger_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/faults"
)

// cutting is a wallet, one of a client and one of a pooled client, with policies
// and lots, before the charges whose batches are cut.
type cutting struct {
	policies [3]ledger.Policy
	lots     []cutLot
	charges  []cutCharge
}

type cutLot struct {
	wallet  int
	source  models.Source
	credits models.Credits
	ends    models.Time
}

type cutCharge struct {
	wallet  int
	credits models.Credits
}

func drawCutting(t *rapid.T) *cutting {
	c := &cutting{}
	limit := rapid.SampledFrom([]int64{0, 10, 40})
	c.policies[0] = ledger.Policy{ExcessLimit: credits(limit.Draw(t, "limit")), AgencyCeiling: credits(limit.Draw(t, "ceiling"))}
	c.policies[1] = ledger.Policy{ExcessLimit: credits(limit.Draw(t, "limit")), PoolCap: credits(limit.Draw(t, "cap"))}
	c.policies[2] = ledger.Policy{Funding: models.Pooled, PoolCap: credits(limit.Draw(t, "cap"))}
	quarters := rapid.Int64Range(1, 120)
	for range rapid.IntRange(1, 6).Draw(t, "lots") {
		l := cutLot{
			wallet: rapid.IntRange(0, 1).Draw(t, "wallet"), credits: models.Credits(quarters.Draw(t, "credits")) * models.Credit / 4, ends: models.Never,
			source: rapid.SampledFrom([]models.Source{models.SourcePlan, models.SourcePurchase, models.SourcePromo}).Draw(t, "source"),
		}
		if rapid.Bool().Draw(t, "ends") {
			l.ends = start + models.Time(rapid.Int64Range(1, 3).Draw(t, "hours"))*hour
		}
		c.lots = append(c.lots, l)
	}
	for range rapid.IntRange(2, 24).Draw(t, "charges") {
		c.charges = append(c.charges, cutCharge{rapid.IntRange(0, 2).Draw(t, "wallet"), models.Credits(quarters.Draw(t, "credits")) * models.Credit / 4})
	}
	return c
}

// play books the charges of a fresh agency in batches of these sizes, and tells all
// that came of it in words without ids.
func (c *cutting) play(t *rapid.T, db *models.DB, l *ledger.Ledger, sizes []int) (told []string) {
	id := models.NewID[models.WalletID]
	w := &world{db: db, ledger: l, agency: models.NewID[models.AgencyID](start), wallet: id(start), sub: id(start), card: models.NewID[models.RateCardID](start)}
	wallets := []models.WalletID{w.wallet, w.sub, id(start)}
	lots := map[models.LotID]int{{}: -1}
	require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
		for i, wallet := range wallets {
			row := models.Wallet{AgencyID: w.agency, ID: wallet, Status: models.WalletActive, Funding: models.Prepaid, PoolEvery: models.PoolCycle, CreatedAt: start}
			if i > 0 {
				row.SubAccountID, row.PoolWalletID = models.NewID[models.SubAccountID](start), w.wallet
			}
			if err := l.OpenWallet(t.Context(), tx, row); err != nil {
				return err
			}
			if err := l.SetPolicy(t.Context(), tx, w.agency, wallet, c.policies[i]); err != nil {
				return err
			}
		}
		for i, lot := range c.lots {
			got, err := l.Grant(t.Context(), tx, ledger.GrantRequest{
				Agency: w.agency, Wallet: wallets[lot.wallet], Source: lot.source, Credits: lot.credits, ExpiresAt: lot.ends,
				Cost: models.Money{Amount: int64(i+1) * int64(lot.credits) / 1000, Currency: "usd"}, Kind: "test", Actor: "test", At: start,
			})
			if err != nil {
				return err
			}
			lots[got.Lot.ID] = i
		}
		return nil
	}))
	requests := make([]ledger.ChargeRequest, len(c.charges))
	for i, charge := range c.charges {
		requests[i] = of(w.request(fmt.Sprint("c", i), 0), wallets[charge.wallet], start+1)
		requests[i].Credits = charge.credits
	}
	for _, n := range sizes {
		got, errs := l.ChargeAll(t.Context(), requests[:n])
		requests = requests[n:]
		for i, r := range got {
			if errs[i] != nil {
				require.True(t, problem.Is(errs[i], "insufficient_credits"), "%v", errs[i])
				told = append(told, "refused")
				continue
			}
			// Its state may tell of a pool that was not looked at: that is not compared.
			told = append(told, fmt.Sprint("charged ", r.Charge.Credits, " left ", r.Balance()))
			for _, d := range r.Draws {
				told = append(told, fmt.Sprintf("%s of lot %d (%s)", d.Credits, lots[d.Lot], d.Bucket))
			}
		}
	}
	for i, wallet := range wallets {
		var entries []models.Entry
		require.NoError(t, db.Read.Where("agency_id = ? AND wallet_id = ?", w.agency, wallet).Order("seq").Find(&entries).Error)
		for _, e := range entries {
			told = append(told, fmt.Sprintf("entry %d of wallet %d: %s %s of lot %d, then %s", e.Seq, i, ledger.Kind(e.Kind), e.Amount, lots[e.LotID], e.Balance))
		}
		v, err := l.View(t.Context(), w.agency, wallet, start+1)
		require.NoError(t, err)
		for _, lot := range v.Lots {
			told = append(told, fmt.Sprintf("lot %d of wallet %d: %s of %s", lots[lot.ID], i, lot.Remaining, lot.Granted))
		}
		told = append(told, fmt.Sprint("wallet ", i, v.Balance, v.Wallet.PoolDrawn, v.Wallet.AgencyExcess))
	}
	return told
}

// The same charges in one batch, one by one, or cut anywhere: the same are refused,
// the same lots pay the same parts of each, and the same entries are written.
func TestHowABatchIsCutChangesNothing(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		l, err := ledger.Open(t.Context(), db, ledger.Options{Lanes: 1})
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		limit := sequences(30, 1_000)
		seed := faults.SequenceSeed()
		faults.Sequences(t, seed, limit, func(r *rapid.T) {
			c := drawCutting(r)
			var cut, single []int
			for left := len(c.charges); left > 0; left -= cut[len(cut)-1] {
				cut = append(cut, rapid.IntRange(1, left).Draw(r, "batch"))
			}
			for range c.charges {
				single = append(single, 1)
			}
			whole := c.play(r, db, l, []int{len(c.charges)})
			require.Equal(r, whole, c.play(r, db, l, cut), "in batches of %v", cut)
			require.Equal(r, whole, c.play(r, db, l, single), "one by one")
		})
		faults.Tried(t, seed, "%d runs of charges on %s, cut into batches anywhere", limit, db.Dialect)
	})
}

// A charge that needs the agency's credits is not overtaken by the next of the same
// wallet that does not.
func TestABatchIsDecidedInOrder(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePurchase, 100)
		w.grant(t, w.sub, models.SourcePurchase, 10)
		w.policy(t, w.sub, ledger.Policy{PoolCap: credits(50)})
		var batch []ledger.ChargeRequest
		for i, n := range []int64{6, 6, 3} {
			batch = append(batch, of(w.request(fmt.Sprint("k", i), n), w.sub, start))
		}
		got, errs := w.ledger.ChargeAll(t.Context(), batch)
		for i, own := range []int64{6, 4, 0} {
			require.NoError(t, errs[i])
			var paid models.Credits
			for _, d := range got[i].Draws {
				if d.Wallet == w.sub {
					paid += d.Credits
				}
			}
			require.Equal(t, credits(own), paid, "of charge %d", i)
		}
		w.audit(t)
	})
}
