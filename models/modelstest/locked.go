package modelstest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/models"
)

// AwaitLocked waits until n transactions on a PostgreSQL database wait for a lock.
func AwaitLocked(t *testing.T, db *models.DB, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int
		err := db.Read.Raw("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting).Error
		return err == nil && waiting == n
	}, 20*time.Second, 5*time.Millisecond, "%d transactions wait for a lock", n)
}
