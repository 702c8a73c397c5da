package billing

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/models"
	"refill/models/modelstest"
)

// tamper does what only the database's owner can: the triggers that refuse it
// are away meanwhile.
func tamper(t *testing.T, db *models.DB, sql string, args ...any) {
	t.Helper()
	off, on := []string{"DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete", "DROP TRIGGER seals_no_update", "DROP TRIGGER seals_no_delete"}, []string{
		"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'table audit_log is append-only'); END",
		"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'table audit_log is append-only'); END",
		"CREATE TRIGGER seals_no_update BEFORE UPDATE ON audit_seals BEGIN SELECT RAISE(ABORT, 'table audit_seals is append-only'); END",
		"CREATE TRIGGER seals_no_delete BEFORE DELETE ON audit_seals BEGIN SELECT RAISE(ABORT, 'table audit_seals is append-only'); END",
	}
	if db.Dialect == models.Postgres {
		off = []string{"ALTER TABLE audit_log DISABLE TRIGGER USER", "ALTER TABLE audit_seals DISABLE TRIGGER USER"}
		on = []string{"ALTER TABLE audit_log ENABLE TRIGGER USER", "ALTER TABLE audit_seals ENABLE TRIGGER USER"}
	}
	require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
		for _, s := range off {
			if err := tx.Exec(s).Error; err != nil {
				return err
			}
		}
		r := tx.Exec(sql, args...)
		if r.Error != nil {
			return r.Error
		}
		require.Positive(t, r.RowsAffected, sql)
		for _, s := range on {
			if err := tx.Exec(s).Error; err != nil {
				return err
			}
		}
		return nil
	}))
}

// logged writes entries of the audit log, and seals them.
func (h *house) logged(n int) {
	h.t.Helper()
	for i := range n {
		require.NoError(h.t, h.db.InTx(h.t.Context(), func(tx *gorm.DB) error {
			return h.s.audit(tx, h.agency.ID, "test", "credits.adjust", strconv.Itoa(i), "1 → 2", "a reason", h.s.Now())
		}))
	}
	require.NoError(h.t, h.s.sealAudit(h.t.Context()))
}

func TestTheAuditLogIsAChain(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "UTC", "")
		h.logged(5)
		for _, sql := range []string{
			"UPDATE audit_log SET reason = 'another'", "DELETE FROM audit_log", "UPDATE audit_seals SET at = 0", "DELETE FROM audit_seals",
		} {
			require.ErrorContains(t, db.Write.Exec(sql).Error, "append-only", sql)
		}
		whole, err := VerifyAuditLog(t.Context(), db, "")
		require.NoError(t, err)
		require.Empty(t, whole.Broken)
		require.Zero(t, whole.Waiting)
		require.Greater(t, whole.Entries, int64(5))
		var entries int64
		require.NoError(t, db.Read.Model(&models.AuditEntry{}).Count(&entries).Error)
		require.Equal(t, entries, whole.Entries, "every entry has its seal")

		h.logged(2)
		later, err := VerifyAuditLog(t.Context(), db, whole.Head)
		require.NoError(t, err)
		require.Empty(t, later.Broken, "what was is still there")
		require.NotEqual(t, whole.Head, later.Head)
		proof, checked := h.s.AuditProved()
		require.NotZero(t, checked)
		require.Empty(t, proof.Broken)
		require.NotEmpty(t, proof.Head)
	})
}

// TestTamperingIsFound does to the log what somebody with the database in their
// hands can do.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	nth := "(SELECT audit_id FROM audit_seals WHERE seq = 3)"
	for name, c := range map[string]struct {
		sql  []string
		says string
	}{
		"a word":           {[]string{"UPDATE audit_log SET reason = 'another' WHERE id = " + nth}, "altered"},
		"words moved over": {[]string{"UPDATE audit_log SET detail = detail || reason, reason = '' WHERE id = (SELECT id FROM audit_log WHERE reason <> '' ORDER BY id LIMIT 1)"}, "altered"},
		"an instant":       {[]string{"UPDATE audit_log SET created_at = created_at + 1 WHERE id = " + nth}, "altered"},
		"whose it is":      {[]string{"UPDATE audit_log SET agency_id = NULL WHERE id = (SELECT id FROM audit_log WHERE agency_id IS NOT NULL ORDER BY id LIMIT 1)"}, "altered"},
		"an entry":         {[]string{"DELETE FROM audit_log WHERE id = " + nth}, "the entry was removed"},
		"a seal":           {[]string{"DELETE FROM audit_seals WHERE seq = 3"}, "those between were removed"},
		"entry and seal":   {[]string{"DELETE FROM audit_log WHERE id = " + nth, "DELETE FROM audit_seals WHERE seq = 3"}, "those between were removed"},
		"closed up": {[]string{
			"DELETE FROM audit_log WHERE id = " + nth, "DELETE FROM audit_seals WHERE seq = 3",
			"UPDATE audit_seals SET seq = seq - 1 WHERE seq = 4",
		}, "altered"},
		"the last seal": {[]string{"DELETE FROM audit_seals WHERE seq = (SELECT max(seq) FROM audit_seals)"}, "waits for none"},
		"a forged hash": {[]string{"UPDATE audit_seals SET hash = (SELECT hash FROM audit_seals WHERE seq = 2) WHERE seq = 3"}, "altered"},
		"an actor":      {[]string{"UPDATE audit_log SET actor = 'user:mallory@example.test' WHERE id = " + nth}, "altered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			modelstest.Each(t, func(t *testing.T, db *models.DB) {
				h := newHouse(t, db, "UTC", "")
				h.logged(5)
				before, err := VerifyAuditLog(t.Context(), db, "")
				require.NoError(t, err)
				require.Empty(t, before.Broken)
				for _, sql := range c.sql {
					tamper(t, db, sql)
				}
				after, err := VerifyAuditLog(t.Context(), db, "")
				require.NoError(t, err)
				require.Contains(t, after.Broken, c.says)
				require.Less(t, after.Entries, before.Entries+1)
			})
		})
	}
}

// Whoever alters an entry and seals it anew breaks the seal behind it, which holds
// this one.
func TestAnEntrySealedAnewIsFound(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenSQLite(t)
	h := newHouse(t, db, "UTC", "")
	h.logged(5)
	var seals []models.AuditSeal
	require.NoError(t, db.Read.Order("seq").Limit(3).Find(&seals).Error)
	forged := seals[2]
	var entry models.AuditEntry
	require.NoError(t, db.Read.Take(&entry, "id = ?", forged.AuditID).Error)
	entry.Reason = "another"
	tamper(t, db, "UPDATE audit_log SET reason = ? WHERE id = ?", entry.Reason, entry.ID)
	tamper(t, db, "UPDATE audit_seals SET hash = ? WHERE seq = ?", sealHash(seals[1].Hash, forged.Seq, &entry), forged.Seq)
	found, err := VerifyAuditLog(t.Context(), db, "")
	require.NoError(t, err)
	require.Contains(t, found.Broken, "seal 4")
	require.Contains(t, found.Broken, "altered")
}

// Whoever cuts the end off, entries and seals, is found by a hash that was kept.
func TestACutEndIsFoundByAKeptHash(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenSQLite(t)
	h := newHouse(t, db, "UTC", "")
	h.logged(5)
	kept, err := VerifyAuditLog(t.Context(), db, "")
	require.NoError(t, err)
	tamper(t, db, "DELETE FROM audit_log WHERE id = (SELECT audit_id FROM audit_seals ORDER BY seq DESC LIMIT 1)")
	tamper(t, db, "DELETE FROM audit_seals WHERE seq = (SELECT max(seq) FROM audit_seals)")
	cut, err := VerifyAuditLog(t.Context(), db, "")
	require.NoError(t, err)
	require.Empty(t, cut.Broken, "what is left is a chain")
	cut, err = VerifyAuditLog(t.Context(), db, kept.Head)
	require.NoError(t, err)
	require.Contains(t, cut.Broken, "cut off")
}

// Several processes that seal at once make one chain.
func TestOneChainWhoeverSeals(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "UTC", "")
		var wait sync.WaitGroup
		for i := range 6 {
			wait.Go(func() {
				for j := range 5 {
					if err := db.InTx(t.Context(), func(tx *gorm.DB) error {
						return h.s.audit(tx, h.agency.ID, "test", "credits.adjust", fmt.Sprint(i, j), "", "", h.s.Now())
					}); err != nil {
						t.Error(err)
					}
					if err := h.s.sealAudit(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		require.NoError(t, h.s.sealAudit(t.Context()))
		got, err := VerifyAuditLog(t.Context(), db, "")
		require.NoError(t, err)
		require.Empty(t, got.Broken)
		require.Zero(t, got.Waiting)
		raw, err := hex.DecodeString(got.Head)
		require.NoError(t, err)
		require.Len(t, raw, 32)
	})
}
