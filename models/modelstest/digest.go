package modelstest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
)

// Digest is what every table of an SQLite database holds, as a number of rows and
// a checksum of them, so that a test can say that nothing changed. Tables that may
// change are named.
func Digest(t *testing.T, db *models.DB, except ...string) map[string]string {
	t.Helper()
	var tables []string
	require.NoError(t, db.Read.Raw("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").Scan(&tables).Error)
	out := map[string]string{}
	for _, table := range tables {
		if slices.Contains(except, table) {
			continue
		}
		var rows []map[string]any
		require.NoError(t, db.Read.Table(table).Find(&rows).Error)
		out[table] = fmt.Sprintf("%d rows, %x", len(rows), sha256.Sum256(fmt.Append(nil, rows)))
	}
	require.Contains(t, out, "entries")
	return out
}
