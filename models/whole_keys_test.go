package models_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/models"
	"refill/models/modelstest"
)

// What names a row by a part of its key is refused before the database hears of it,
// whatever it would do; what names the whole key, none of it, or columns, is not.
func TestAPartOfAKeyReachesNoRow(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		stop := func(agency models.AgencyID, seq int64) models.WalletStop {
			s := models.WalletStop{AgencyID: agency, WalletID: models.NewID[models.WalletID](1), Seq: seq}
			require.NoError(t, db.Write.Create(&models.Wallet{AgencyID: agency, ID: s.WalletID, Status: models.WalletActive, Funding: models.Prepaid, PoolEvery: models.PoolCycle}).Error)
			require.NoError(t, db.Write.Create(&s).Error)
			return s
		}
		ours, theirs := models.NewID[models.AgencyID](1), models.NewID[models.AgencyID](1)
		mine, sibling, foreign := stop(ours, 1), stop(ours, 2), stop(theirs, 3)
		all := func() (out []models.WalletStop) {
			require.NoError(t, db.Read.Order("seq").Find(&out).Error)
			return out
		}
		before := all()
		require.Len(t, before, 3)

		byAgency, byWallet := models.WalletStop{AgencyID: ours}, models.WalletStop{WalletID: foreign.WalletID}
		id := foreign.WalletID
		var n int64
		var seqs []int64
		for name, query := range map[string]func(*gorm.DB) *gorm.DB{
			"an update of an agency's":  func(tx *gorm.DB) *gorm.DB { return tx.Model(&byAgency).Update("seq", 9) },
			"of anybody's":              func(tx *gorm.DB) *gorm.DB { return tx.Model(&byWallet).Updates(map[string]any{"seq": 9}) },
			"of a column":               func(tx *gorm.DB) *gorm.DB { return tx.Model(&byWallet).UpdateColumn("seq", 9) },
			"of several":                func(tx *gorm.DB) *gorm.DB { return tx.Model([]models.WalletStop{mine, byAgency}).Update("seq", 9) },
			"by what it sets":           func(tx *gorm.DB) *gorm.DB { return tx.Updates(&models.WalletStop{AgencyID: ours, Seq: 9}) },
			"beside a condition":        func(tx *gorm.DB) *gorm.DB { return tx.Model(&byAgency).Where("seq > ?", 0).Update("seq", 9) },
			"a delete of an agency's":   func(tx *gorm.DB) *gorm.DB { return tx.Delete(&models.WalletStop{AgencyID: ours}) },
			"of anybody's, deleted":     func(tx *gorm.DB) *gorm.DB { return tx.Delete(&byWallet) },
			"of several, deleted":       func(tx *gorm.DB) *gorm.DB { return tx.Delete(&[]models.WalletStop{byAgency, mine}) },
			"of several pointers":       func(tx *gorm.DB) *gorm.DB { return tx.Delete([]*models.WalletStop{&byAgency}) },
			"by a model, deleted":       func(tx *gorm.DB) *gorm.DB { return tx.Model(&byAgency).Delete(&models.WalletStop{}) },
			"by one value, deleted":     func(tx *gorm.DB) *gorm.DB { return tx.Delete(&models.WalletStop{}, id) },
			"by one of values, deleted": func(tx *gorm.DB) *gorm.DB { return tx.Delete(&models.WalletStop{}, []string{id.String()}) },
			"a row by one value":        func(tx *gorm.DB) *gorm.DB { return tx.First(&models.WalletStop{}, id) },
			"one of them":               func(tx *gorm.DB) *gorm.DB { return tx.Take(&models.WalletStop{}, 7) },
			"all by one value":          func(tx *gorm.DB) *gorm.DB { return tx.Find(&[]models.WalletStop{}, id) },
			"by one value or another":   func(tx *gorm.DB) *gorm.DB { return tx.Where("seq = 1").Or(id).Find(&[]models.WalletStop{}) },
			"by all but one value":      func(tx *gorm.DB) *gorm.DB { return tx.Not(id).Find(&[]models.WalletStop{}) },
			"by one value in brackets": func(tx *gorm.DB) *gorm.DB {
				return tx.Where(tx.Session(&gorm.Session{NewDB: true}).Where(id)).Find(&[]models.WalletStop{})
			},
			"into a row that has an agency": func(tx *gorm.DB) *gorm.DB { return tx.Take(&byAgency) },
			"into one that has a wallet":    func(tx *gorm.DB) *gorm.DB { return tx.Last(&byWallet) },
			"a count":                       func(tx *gorm.DB) *gorm.DB { return tx.Model(&byWallet).Count(&n) },
			"a column":                      func(tx *gorm.DB) *gorm.DB { return tx.Model(&byWallet).Pluck("seq", &seqs) },
			"a scan":                        func(tx *gorm.DB) *gorm.DB { return tx.Model(&byWallet).Select("seq").Scan(&seqs) },
			"rows": func(tx *gorm.DB) *gorm.DB {
				rows, err := tx.Model(&byWallet).Rows() //nolint:rowserrcheck // there are none
				if err == nil {
					defer func() { _ = rows.Close() }()
				}
				_ = tx.AddError(err)
				return tx
			},
		} {
			require.ErrorContains(t, query(db.Write.WithContext(t.Context())).Error, "by a part of its key (agency_id, wallet_id)", name)
			require.Equal(t, before, all(), name)
		}

		// What is meant goes on.
		mine.Seq = 4
		require.NoError(t, db.Write.Save(&mine).Error)
		require.NoError(t, db.Write.Model(&mine).Update("seq", 5).Error)
		require.NoError(t, db.Read.Take(&mine).Error)
		require.EqualValues(t, 5, mine.Seq)
		require.NoError(t, db.Write.Model(&models.WalletStop{}).Where("agency_id = ? AND wallet_id = ?", ours, sibling.WalletID).Update("seq", 6).Error)
		require.NoError(t, db.Write.Delete(&foreign).Error)
		require.NoError(t, db.Read.Model(&models.WalletStop{}).Where("agency_id = ?", ours).Pluck("seq", &seqs).Error)
		require.ElementsMatch(t, []int64{5, 6}, seqs)
		require.Len(t, all(), 2)
		user := models.User{ID: models.NewID[models.UserID](1), Email: "a@example.com", Name: "a", PasswordHash: "x", CreatedAt: 1}
		require.NoError(t, db.Write.Create(&user).Error)
		require.NoError(t, db.Read.First(&models.User{}, "id = ?", user.ID).Error)
	})
}
