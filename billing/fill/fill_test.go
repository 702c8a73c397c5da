package fill_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/fill"
	"refill/billing/ledger"
	"refill/billing/period"
	"refill/models"
	"refill/models/modelstest"
)

// What is filled is proved by the audit, is what the portal's clock would have
// added up, and goes on as any other database.
func TestFilledDatabaseIsWhole(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		clock := &fill.Clock{}
		led, err := ledger.Open(t.Context(), db, ledger.Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, led.Close()) }()
		s, err := billing.New(billing.Config{DB: db, Ledger: led, Clock: clock})
		require.NoError(t, err)
		c := fill.Config{DB: db, Ledger: led, Billing: s, Clock: clock, Entries: 12_000, Agencies: 3, Clients: 4, Months: 2, Seed: 7}
		made, err := fill.Run(t.Context(), c)
		require.NoError(t, err)
		require.InDelta(t, 12_000, made.Entries, 100)

		report, err := ledger.Audit(t.Context(), db, clock.Now())
		require.NoError(t, err)
		require.True(t, report.Clean(), report.String())
		var counted, booked int64
		require.NoError(t, db.Read.Model(&models.UsageQuarter{}).Select("SUM(charges + tests)").Scan(&counted).Error)
		require.NoError(t, db.Read.Model(&models.Charge{}).Count(&booked).Error)
		require.Equal(t, made.Charges, booked)
		require.Equal(t, booked, counted)
		asTheClockWould(t, db, s)

		agency, err := s.AgencyByRef(t.Context(), billing.Scope{}, "agency-001")
		require.NoError(t, err)
		require.NotEmpty(t, agency.Slots, "the clock's work was done")
		require.WithinDuration(t, clock.Now().Go(), agency.UsageRolled.Go(), 50*time.Hour)
		outcome, err := s.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{
			Wallet: "sub:agency-001/client-001", Key: "goes-on", Action: "ai.reply", Model: "gpt-4",
		})
		require.NoError(t, err)
		require.Equal(t, 25*models.Credit, outcome.Charge.Credits)

		_, err = fill.Run(t.Context(), c)
		require.ErrorContains(t, err, "in use (3 agencies")
	})
}

// asTheClockWould has the portal add all days up again, and compares.
func asTheClockWould(t *testing.T, db *models.DB, s *billing.Service) {
	t.Helper()
	read := func() (days []models.UsageDay, whole []models.UsageAgencyDay, platform []models.UsagePlatformDay, agencies []models.Agency) {
		require.NoError(t, db.Read.Order("agency_id, day, paid_wallet_id, wallet_id, action, model").Find(&days).Error)
		require.NoError(t, db.Read.Order("agency_id, day, action, model").Find(&whole).Error)
		require.NoError(t, db.Read.Order("agency_id, day, action, model").Find(&platform).Error)
		require.NoError(t, db.Read.Order("id").Find(&agencies).Error)
		return days, whole, platform, agencies
	}
	days, whole, platform, agencies := read()
	require.NotEmpty(t, days)
	require.NotEmpty(t, whole)
	require.NotEmpty(t, platform)
	for i := range agencies {
		a := &agencies[i]
		require.NoError(t, db.Write.Where("agency_id = ?", a.ID).Delete(&models.UsageDay{}).Error)
		require.NoError(t, db.Write.Where("agency_id = ?", a.ID).Delete(&models.UsageAgencyDay{}).Error)
		require.NoError(t, db.Write.Where("agency_id = ?", a.ID).Delete(&models.UsagePlatformDay{}).Error)
		require.NoError(t, db.Write.Model(&models.Agency{}).Where("id = ?", a.ID).
			Updates(map[string]any{"usage_rolled": period.DayStart(a.CreatedAt, billing.Zone(a.TimeZone)), "platform_rolled": 0, "platform_zone": ""}).Error)
	}
	require.NoError(t, s.RunDue(t.Context(), s.Now()))
	daysAgain, wholeAgain, platformAgain, agenciesAgain := read()
	require.Equal(t, days, daysAgain)
	require.Equal(t, whole, wholeAgain)
	require.Equal(t, platform, platformAgain)
	require.Equal(t, agencies, agenciesAgain)
}

// On PostgreSQL the bulk goes in without indexes: afterwards there are as many as
// the migrations made.
func TestIndexesAreMadeAgain(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenPostgres(t)
	indexes := func() (out []string) {
		require.NoError(t, db.Read.Raw("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexdef").Scan(&out).Error)
		return out
	}
	before := indexes()
	clock := &fill.Clock{}
	led, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, led.Close()) }()
	s, err := billing.New(billing.Config{DB: db, Ledger: led, Clock: clock})
	require.NoError(t, err)
	_, err = fill.Run(t.Context(), fill.Config{DB: db, Ledger: led, Billing: s, Clock: clock, Entries: 500, Agencies: 1, Clients: 2, Months: 1})
	require.NoError(t, err)
	require.Equal(t, before, indexes())
}
