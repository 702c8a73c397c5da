package models_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

// A schema as migrations make it has no gaps, and what it has is what is looked for:
// whoever adds an index or a trigger that keeps rows out adds it to the list.
func TestASchemaAsMigrationsMakeItHasNoGaps(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		checked, gaps, err := models.SchemaGaps(db.Read)
		require.NoError(t, err)
		require.Empty(t, gaps)
		there := map[models.Dialect]string{
			models.SQLite: `SELECT (SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' OR type = 'index' AND sql LIKE 'CREATE UNIQUE %')
				+ (SELECT COUNT(*) FROM goose_db_version WHERE version_id > 0) + 1`,
			models.Postgres: `SELECT (SELECT COUNT(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid
					WHERE i.indisunique AND k.oid IS NULL AND c.relnamespace = current_schema()::regnamespace)
				+ (SELECT COUNT(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace)
				+ (SELECT COUNT(*) FROM goose_db_version WHERE version_id > 0) + 3`,
		}
		var want int
		require.NoError(t, db.Read.Raw(there[db.Dialect]).Scan(&want).Error)
		require.Equal(t, want, checked)
	})
}

// Each gap is told in words, and what a newer program has added is none.
func TestSchemaGapsAreFound(t *testing.T) {
	t.Parallel()
	both := map[string]string{
		"DROP INDEX charges_key": "the unique index charges_key",
		"DROP INDEX charges_key; CREATE INDEX charges_key ON charges (agency_id, idempotency_key)": "the unique index charges_key",
		"DELETE FROM goose_db_version WHERE version_id = 20":                                       "the migration 20",
		"UPDATE goose_db_version SET is_applied = false WHERE version_id = 20":                     "the migration 20",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (90000, true)":               "",
		"CREATE UNIQUE INDEX newer ON charges (agency_id, id, seq)":                                "",
	}
	own := map[models.Dialect]map[string]string{
		models.SQLite: {
			"DROP TRIGGER entries_no_update": "the trigger entries_no_update",
			"PRAGMA defer_foreign_keys = on; INSERT INTO plan_packs (plan_id, pack_id) SELECT randomblob(16), randomblob(16)": "rows of plan_packs point at rows of packs",
		},
		models.Postgres: {
			"ALTER TABLE entries DISABLE TRIGGER entries_append_only":                           "the trigger entries_append_only",
			"ALTER TABLE entries ENABLE REPLICA TRIGGER entries_append_only":                    "the trigger entries_append_only",
			"ALTER TABLE plan_packs DISABLE TRIGGER ALL":                                        "the foreign key plan_packs_",
			"ALTER TABLE charges ADD CONSTRAINT later CHECK (credits > -5) NOT VALID":           "were never held to later",
			"ALTER TABLE usage_days DROP CONSTRAINT usage_days_pkey":                            "the table usage_days has no key",
			"CREATE TABLE usage_days_of_monday AS SELECT * FROM usage_days":                     "",
			"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'charges_key'::regclass": "the unique index charges_key",
		},
	}
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		for _, cases := range []map[string]string{both, own[db.Dialect]} {
			for change, want := range cases {
				tx := db.Write.WithContext(t.Context()).Begin()
				require.NoError(t, tx.Error)
				for q := range strings.SplitSeq(change, "; ") {
					require.NoError(t, tx.Exec(q).Error, q)
				}
				_, gaps, err := models.SchemaGaps(tx)
				require.NoError(t, err)
				require.NoError(t, tx.Rollback().Error)
				if want == "" {
					require.Empty(t, gaps, change)
				} else {
					require.Contains(t, strings.Join(gaps, "\n"), want, change)
				}
			}
		}
		_, gaps, err := models.SchemaGaps(db.Read)
		require.NoError(t, err)
		require.Empty(t, gaps)
	})
}
