package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest"
)

// A round reads what is new since the one before, finds each way in which new
// entries, a balance or lots can be wrong, and names the wallet alone.
func TestPatrolSeesWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, sql, says string }{
		{"a balance", "UPDATE wallets SET balance = balance + 1 WHERE id = ?", "the entries give"},
		{"a balance and its lot", "UPDATE wallets SET balance = balance + 1 WHERE id = ?; UPDATE lot_rows SET remaining = remaining + 1, granted = granted + 1 WHERE wallet_id = ?", "the entries give"},
		{"a lot", "UPDATE lot_rows SET remaining = remaining - 1 WHERE wallet_id = ?", "the lots have"},
		{"held", "UPDATE wallets SET held = held + 1 WHERE id = ?", "the lots say"},
		{"a running balance", "UPDATE entries SET balance = balance + 1 WHERE wallet_id = ? AND seq = 3", "carries a balance of"},
		{"a lost entry", "DELETE FROM entries WHERE wallet_id = ? AND seq = 3", "what was between them is lost"},
		{"the last entry", "DELETE FROM entries WHERE wallet_id = ? AND seq = (SELECT MAX(seq) FROM entries WHERE wallet_id = ?)", "counts"},
		{"time running backwards", "UPDATE entries SET at = 5 WHERE wallet_id = ? AND seq = 3", "is dated before entry 2"},
		{"an unknown kind", "UPDATE entries SET kind = 99 WHERE wallet_id = ? AND seq = 3", "of no known kind"},
	}
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		for _, c := range cases {
			w := newWorld(t, db)
			w.grant(t, w.wallet, models.SourcePromo, 100)
			w.grant(t, w.sub, models.SourcePromo, 100)
			w.charge(t, of(w.request("k1", 1), w.wallet, start))
			patrol := func() []ledger.Suspect {
				suspects, next, err := w.ledger.Patrol(t.Context(), start, 100)
				require.NoError(t, err)
				require.False(t, next)
				return slices.DeleteFunc(suspects, func(s ledger.Suspect) bool { return s.Agency != w.agency }) // of earlier cases
			}
			require.Empty(t, patrol(), c.name)
			w.charge(t, of(w.request("k2", 2), w.wallet, start))
			w.charge(t, of(w.request("k4", 4), w.wallet, start))
			w.charge(t, of(w.request("k3", 3), w.sub, start))
			allow := "ALTER TABLE entries DISABLE TRIGGER entries_append_only"
			if db.Dialect == models.SQLite {
				allow = "DROP TRIGGER IF EXISTS entries_no_update; DROP TRIGGER IF EXISTS entries_no_delete"
			}
			for q := range strings.SplitSeq(allow+"; "+c.sql, "; ") {
				args := make([]any, strings.Count(q, "?"))
				for i := range args {
					args[i] = w.wallet
				}
				done := db.Write.Exec(q, args...)
				require.NoError(t, done.Error, c.name)
				require.True(t, len(args) == 0 || done.RowsAffected > 0, "%s: nothing corrupted by %s", c.name, q)
			}
			suspects := patrol()
			require.Len(t, suspects, 1, c.name)
			require.Equal(t, w.wallet, suspects[0].Wallet, c.name)
			require.Contains(t, suspects[0].Broken, c.says, c.name)
		}
	})
}

// A history longer than a round is read in several, and a wallet that nothing
// happened to is not read again.
func TestPatrolGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePromo, 100)
		suspects, next, err := w.ledger.Patrol(t.Context(), start, 1)
		require.NoError(t, err)
		require.Empty(t, suspects)
		require.True(t, next, "one of two wallets")
		_, _, err = w.ledger.Patrol(t.Context(), start, 1)
		require.NoError(t, err)
		suspects, next, err = w.ledger.Patrol(t.Context(), start, 1)
		require.NoError(t, err)
		require.Empty(t, suspects)
		require.False(t, next, "both were seen")
		// What was found whole is not read again: a change of the past is the audit's to find.
		w.charge(t, of(w.request("k1", 1), w.wallet, start))
		before := w.patrolled(t)
		_, _, err = w.ledger.Patrol(t.Context(), start.Add(60_000_000_000), 10)
		require.NoError(t, err)
		after := w.patrolled(t)
		require.Equal(t, before.Seq+1, after.Seq)
		require.Equal(t, w.row(t, w.wallet).Balance, after.Balance)
		require.Greater(t, after.LookedAt, before.LookedAt)
	})
}

// What was found whole once is read again, a bounded part of it a round, the longest
// ago first; what breaks meanwhile is found, and found again until it is out of
// service.
func TestPatrolReadsWhatIsOldAgain(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePromo, 100)
		for i := range 5 {
			w.charge(t, of(w.request(fmt.Sprint("k", i), 1), w.wallet, start))
		}
		patrol := func() {
			suspects, _, err := w.ledger.Patrol(t.Context(), start, 10)
			require.NoError(t, err)
			require.Empty(t, suspects)
		}
		at := start
		again := func(entries int) []ledger.Suspect {
			at++
			suspects, err := w.ledger.PatrolAgain(t.Context(), at, 10, entries)
			require.NoError(t, err)
			return suspects
		}
		patrol()
		var through []models.Time
		for range 4 { // six entries in rounds of two: the fourth sees that there are no more
			require.Empty(t, again(2))
			through = append(through, w.patrolled(t).AgainAt)
		}
		require.Equal(t, []models.Time{0, 0, 0, at}, through)
		require.EqualValues(t, 6, w.patrolled(t).Seq, "what is new is looked at apart from it")

		// Nothing is booked, and still it is found; new entries do not hide it.
		require.NoError(t, db.Write.Exec("UPDATE lot_rows SET remaining = remaining - 1 WHERE wallet_id = ?", w.wallet).Error)
		patrol()
		for range 2 {
			suspects := again(100)
			require.Len(t, suspects, 1)
			require.Contains(t, suspects[0].Broken, "the lots have")
		}
		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			_, err := w.ledger.Quarantine(t.Context(), tx, w.agency, w.wallet, at)
			return err
		}))
		require.Empty(t, again(100), "out of service")
	})
}

func (w *world) patrolled(t *testing.T) models.Patrol {
	t.Helper()
	var p models.Patrol
	require.NoError(t, w.db.Read.Where("agency_id = ? AND wallet_id = ?", w.agency, w.wallet).Take(&p).Error)
	return p
}
