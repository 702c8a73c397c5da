package models_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"refill/models"
	"refill/models/modelstest"
)

// Every row type and its table have the same columns, on both databases: a
// column the program does not know is as wrong as one it misses.
func TestRowsMatchTheSchema(t *testing.T) {
	t.Parallel()
	rows := []any{
		&models.RateCard{}, &models.RateCardVersion{}, &models.Plan{}, &models.Pack{}, &models.PlanPack{}, &models.Setting{},
		&models.Agency{}, &models.Subscription{}, &models.SubAccount{}, &models.User{}, &models.Member{}, &models.Session{},
		&models.SignInLink{}, &models.SignInAttempt{}, &models.APIKey{}, &models.AuditEntry{},
		&models.Wallet{}, &models.Stirred{}, &models.Patrol{}, &models.WalletStop{}, &models.WalletPlace{}, &models.Lot{}, &models.StoredLot{}, &models.Entry{}, &models.Act{}, &models.Charge{}, &models.Reversal{},
		&models.Hold{}, &models.UsageQuarter{}, &models.UsageDay{}, &models.UsageAgencyDay{}, &models.UsagePlatformDay{}, &models.Purchase{}, &models.PaymentRef{}, &models.StripeEvent{},
		&models.AdjustmentRequest{}, &models.StripeAccount{}, &models.Package{}, &models.PackagePrice{}, &models.PackageViewer{}, &models.PackageSubscription{},
		&models.Mail{}, &models.Invitation{},
		&models.PlanOrder{}, &models.PlanRef{}, &models.PlanPrice{}, &models.LotFreeze{},
		&models.BulkAssignment{}, &models.BulkPart{}, &models.StandingAssignment{}, &models.StandingTurn{}, &models.EntrySum{},
		&models.TopUp{},
		&models.RefundRequest{}, &models.SeenPayment{}, &models.Reconciliation{},
		&models.WebhookEndpoint{}, &models.WebhookEvent{}, &models.WebhookDelivery{}, &models.BillingDetails{},
		&models.Notice{}, &models.NoticeCopy{}, &models.NoticeChoice{}, &models.Alarm{},
		&models.ReferralCode{}, &models.ReferredAgency{}, &models.Referral{}, &models.PayerMark{},
		&models.Gift{}, &models.GiftCode{}, &models.GiftRedemption{}, &models.PlanPayment{},
		&models.PlanClaim{}, &models.CreditNote{}, &models.SavedQuote{}, &models.QuoteOffer{},
		&models.Brand{}, &models.Logo{}, &models.Domain{}, &models.Host{}, &models.Embed{},
		&models.RecoveryCode{}, &models.AccountLink{}, &models.AuditSeal{}, &models.AuditUnsealed{},
	}
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		var tables int
		for _, row := range rows {
			parsed, err := schema.Parse(row, &sync.Map{}, db.Read.NamingStrategy)
			require.NoError(t, err)
			columns, err := db.Read.Migrator().ColumnTypes(row)
			require.NoError(t, err, parsed.Table)
			var stored []string
			for _, c := range columns {
				stored = append(stored, c.Name())
			}
			require.ElementsMatch(t, parsed.DBNames, stored, parsed.Table)
			tables++
		}
		count := "SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'"
		if db.Dialect == models.Postgres {
			count = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_name <> 'goose_db_version'"
		}
		var there int
		require.NoError(t, db.Read.Raw(count).Scan(&there).Error)
		require.Equal(t, tables, there, "a table without a row type")
	})
}

// Entries cannot be changed or removed, whoever tries.
func TestEntriesAreAppendOnly(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		e := models.Entry{
			AgencyID: models.NewID[models.AgencyID](1), WalletID: models.NewID[models.WalletID](1), Seq: 1,
			ActID: models.NewID[models.ActID](1), Kind: 1, Amount: 1, Balance: 1, At: 1,
		}
		require.NoError(t, db.Write.Create(&e).Error)
		require.ErrorContains(t, db.Write.Exec("UPDATE entries SET amount = 2").Error, "append-only")
		require.ErrorContains(t, db.Write.Exec("DELETE FROM entries").Error, "append-only")
	})
}
