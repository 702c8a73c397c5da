package models_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

func TestFacts(t *testing.T) {
	t.Parallel()
	for _, db := range []*models.DB{modelstest.Open(t, models.Options{SQLitePath: modelstest.SQLite(t)}), modelstest.OpenPostgres(t)} { // the first as it is opened in earnest
		f, err := db.Facts(t.Context())
		require.NoError(t, err)
		require.Equal(t, db.Dialect, f.Dialect)
		require.Regexp(t, `^\d+(\.\d+)+`, f.Version)
		require.NotEmpty(t, f.Place)
		require.Positive(t, f.Size)
		require.Equal(t, f.Newest, f.Schema, "everything is migrated")
		require.GreaterOrEqual(t, f.Newest, int64(5))
		require.NotEmpty(t, f.Durable)
		if db.Dialect == models.SQLite {
			require.Equal(t, []models.Durability{{Name: "journal_mode", Value: "wal", Safe: true}, {Name: "synchronous", Value: "FULL", Safe: true}}, f.Durable)
			require.Empty(t, f.Role)
		} else {
			require.NotEmpty(t, f.Role)
			require.Len(t, f.Durable, 3)
		}
		at, ok, err := db.Wall(t.Context())
		require.NoError(t, err)
		require.Equal(t, db.Dialect == models.Postgres, ok)
		if ok {
			require.Less(t, models.SystemClock{}.Now().Sub(at).Abs(), time.Minute, "one machine, one clock")
		}
	}
}
