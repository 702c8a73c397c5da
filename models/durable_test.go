package models_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/pgserver"
)

// Only a server that keeps what it commits is taken: each setting that could make
// it forget is refused by name.
func TestAServerThatMayForgetIsRefused(t *testing.T) {
	t.Parallel()
	s, err := pgserver.Start(t.Context(), pgserver.Options{Durable: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	db, err := models.Open(t.Context(), models.Options{DatabaseURL: s.URL})
	require.NoError(t, err)
	require.NoError(t, db.Close())

	_, err = models.Open(t.Context(), models.Options{DatabaseURL: s.URL + "&synchronous_commit=off"})
	require.ErrorContains(t, err, "synchronous_commit")
}

// Two processes on one SQLite file read and then write without meeting: the
// second waits for the first, and sees what it did.
func TestTwoProcessesOnOneFileWaitForEachOther(t *testing.T) {
	t.Parallel()
	file := modelstest.SQLite(t)
	const each = 40
	var work sync.WaitGroup
	for range 2 {
		db := modelstest.Open(t, models.Options{SQLitePath: file})
		work.Go(func() {
			for range each {
				err := db.InTx(t.Context(), func(tx *gorm.DB) error {
					var n int64
					if err := tx.Raw("SELECT COUNT(*) FROM settings").Scan(&n).Error; err != nil {
						return err
					}
					return tx.Create(&models.Setting{Name: models.NewID[models.ActID](models.Time(n)).String(), Value: "x"}).Error
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
}
