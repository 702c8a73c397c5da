package modelstest_test

import (
	"context"
	"testing"

	"refill/models"
	"refill/models/modelstest"
)

func TestEachGivesAMigratedDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	for range 3 {
		modelstest.Each(t, func(t *testing.T, db *models.DB) {
			const insert = "INSERT INTO settings (name, value) VALUES ('who', 'me')"
			if err := db.Write.WithContext(t.Context()).Exec(insert).Error; err != nil {
				t.Fatalf("the first row of a fresh database: %v", err)
			}
			err := db.Write.WithContext(t.Context()).Exec(insert).Error
			if !models.IsDuplicate(err) {
				t.Fatalf("got %v, want the duplicate to be refused: the schema is not there", err)
			}
		})
	}
}

func TestADatabaseIsGoneAfterItsTest(t *testing.T) {
	t.Parallel()
	var dsn string
	t.Run("inner", func(t *testing.T) {
		dsn = modelstest.Postgres(t)
	})
	db, err := models.Open(context.WithoutCancel(t.Context()), models.Options{DatabaseURL: dsn, AllowLoss: true})
	if err == nil {
		t.Fatalf("%s still opens (%v)", dsn, db.Close())
	}
}
