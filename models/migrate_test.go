package models_test

import (
	"cmp"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

// atSchema opens an empty database at an older schema, as a program of that day
// left it.
func atSchema(t *testing.T, d models.Dialect, version int64) (*sql.DB, *goose.Provider, models.Options) {
	t.Helper()
	var o models.Options
	driver, dialect := "sqlite3", goose.DialectSQLite3
	if d == models.Postgres {
		o.DatabaseURL = modelstest.Postgres(t)
		driver, dialect = "pgx", goose.DialectPostgres
	} else {
		o.SQLitePath = modelstest.SQLite(t)
	}
	source := cmp.Or(o.DatabaseURL, "file:"+filepath.ToSlash(o.SQLitePath)+"?_pragma=foreign_keys(on)&_pragma=journal_mode(wal)")
	conn, err := sql.Open(driver, source)
	require.NoError(t, err)
	conn.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	if d == models.Postgres { // a test database comes migrated
		_, err := conn.ExecContext(t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
		require.NoError(t, err)
	}
	p, err := goose.NewProvider(dialect, conn, migrationsOf(t, d), goose.WithDisableGlobalRegistry(true))
	require.NoError(t, err)
	_, err = p.UpTo(t.Context(), version)
	require.NoError(t, err)
	return conn, p, o
}

func migrationsOf(t *testing.T, d models.Dialect) fs.FS {
	t.Helper()
	return os.DirFS(filepath.Join("migrations", string(d)))
}

// Versions of plans and packs keep every row there was, and everything that
// points at one still points at it.
func TestCatalogueVersionsKeepRows(t *testing.T) {
	t.Parallel()
	for _, d := range []models.Dialect{models.SQLite, models.Postgres} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			conn, p, o := atSchema(t, d, 5)
			card, plan, retired := models.NewID[models.RateCardID](1), models.NewID[models.PlanID](1), models.NewID[models.PlanID](1)
			pack, agency, wallet := models.NewID[models.PackID](1), models.NewID[models.AgencyID](1), models.NewID[models.WalletID](1)
			sub, purchase := models.NewID[models.SubscriptionID](1), models.NewID[models.PurchaseID](1)
			insert := func(query string, args ...any) {
				t.Helper()
				if d == models.SQLite {
					query = toQuestionMarks(query)
				}
				_, err := conn.ExecContext(t.Context(), query, args...)
				require.NoError(t, err)
			}
			insert("INSERT INTO rate_cards (id, code, name, created_at) VALUES ($1, 'standard', 'Standard', 1)", card)
			insert(`INSERT INTO plans (id, code, name, version, price, currency, allowance, every, sub_account_limit, rate_card_id, position, assumed, created_at)
				VALUES ($1, 'agency', 'Agency', 1, 9700, 'usd', 10000000000, 'month', 10, $2, 3, 'the limit', 5)`, plan, card)
			insert(`INSERT INTO plans (id, code, name, version, price, currency, allowance, every, rate_card_id, created_at, archived_at)
				VALUES ($1, 'retired', 'Retired', 0, 0, 'usd', 0, 'once', $2, 5, 6)`, retired, card)
			insert("INSERT INTO packs (id, code, name, kind, credits, price, currency, created_at) VALUES ($1, 'small', 'Small', 'fixed', 2000000000, 1000, 'usd', 5)", pack)
			insert("INSERT INTO plan_packs (plan_id, pack_id) VALUES ($1, $2)", plan, pack)
			insert("INSERT INTO agencies (id, external_id, name, host, time_zone, currency, status, wallet_id, created_at) VALUES ($1, 'northwind', 'Northwind', 'northwind', 'UTC', 'usd', 'active', $2, 1)", agency, wallet)
			insert(`INSERT INTO subscriptions (agency_id, id, plan_id, status, anchor_at, time_zone, every, allowance, period_start, period_end, created_at)
				VALUES ($1, $2, $3, 'active', 1, 'UTC', 'month', 10000000000, 1, 2, 1)`, agency, sub, plan)
			insert(`INSERT INTO purchases (agency_id, id, wallet_id, pack_id, title, credits, price, currency, status, idempotency_key, fingerprint, expires_at, created_at)
				VALUES ($1, $2, $3, $4, 'Small', 2000000000, 1000, 'usd', 'open', 'k', $5, 9, 1)`, agency, purchase, wallet, pack, []byte{1})

			_, err := p.UpTo(t.Context(), 6)
			require.NoError(t, err)
			_, err = p.DownTo(t.Context(), 5)
			require.NoError(t, err)
			db := modelstest.Open(t, o) // migrates
			var plans []models.Plan
			require.NoError(t, db.Read.Order("code").Find(&plans).Error)
			require.Equal(t, []models.Plan{
				{
					ID: plan, Code: "agency", Name: "Agency", Version: 1, Price: 9700, Currency: "usd", Allowance: 10_000 * models.Credit, Every: models.EveryMonth,
					PaidEvery: models.PaidMonthly, SubAccountLimit: 10, RateCardID: card, Position: 3, Assumed: "the limit", CreatedAt: 5,
				},
				{ID: retired, Code: "retired", Name: "Retired", Version: 1, Currency: "usd", PaidEvery: models.PaidMonthly, Every: models.Once, RateCardID: card, CreatedAt: 5, ArchivedAt: 6},
			}, plans)
			var packs []models.Pack
			require.NoError(t, db.Read.Find(&packs).Error)
			require.Equal(t, []models.Pack{
				{ID: pack, Code: "small", Version: 1, Name: "Small", Kind: models.PackFixed, Credits: 2000 * models.Credit, Price: 1000, Currency: "usd", CreatedAt: 5},
			}, packs)
			var joined int64
			require.NoError(t, db.Read.Raw(`SELECT count(*) FROM purchases b JOIN packs k ON k.id = b.pack_id JOIN plan_packs pp ON pp.pack_id = k.id
				JOIN subscriptions s ON s.plan_id = pp.plan_id AND s.agency_id = b.agency_id WHERE s.next_plan_id IS NULL`).Scan(&joined).Error)
			require.EqualValues(t, 1, joined)

			// The rules that came with it, and those that were there.
			next := plans[0]
			next.ID, next.Version = models.NewID[models.PlanID](2), 2
			require.True(t, models.IsDuplicate(db.Write.Create(&next).Error), "two plans with one code are on offer")
			require.NoError(t, db.Write.Model(&models.Plan{}).Where("id = ?", plan).Update("archived_at", 9).Error)
			require.NoError(t, db.Write.Create(&next).Error)
			next.ID, next.ArchivedAt = models.NewID[models.PlanID](3), 9
			require.True(t, models.IsDuplicate(db.Write.Create(&next).Error), "one version twice")
			require.Error(t, db.Write.Delete(&models.Pack{}, "id = ?", pack).Error, "foreign keys hold again")
			require.Error(t, db.Write.Create(&models.PlanPack{PlanID: models.NewID[models.PlanID](4), PackID: pack}).Error)
		})
	}
}

// Automatic top-up that was set up before it kept what it gets for the price learns
// that from the version of the pack, or from the package's price of that day.
func TestTopUpsLearnWhatWasAgreedTo(t *testing.T) {
	t.Parallel()
	for _, d := range []models.Dialect{models.SQLite, models.Postgres} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			conn, p, _ := atSchema(t, d, 30)
			run := func(query string, args ...any) {
				t.Helper()
				if d == models.SQLite {
					query = toQuestionMarks(query)
				}
				_, err := conn.ExecContext(t.Context(), query, args...)
				require.NoError(t, err)
			}
			run(map[models.Dialect]string{models.SQLite: "PRAGMA foreign_keys = off", models.Postgres: "SET session_replication_role = replica"}[d])
			agency, fixed, byAmount, pkg := models.NewID[models.AgencyID](1), models.NewID[models.PackID](1), models.NewID[models.PackID](1), models.NewID[models.PackageID](1)
			run("INSERT INTO packs (id, code, name, kind, credits, bonus, price, currency, created_at) VALUES ($1, 'f', 'F', 'fixed', 2000, 50, 1000, 'usd', 5)", fixed)
			run("INSERT INTO packs (id, code, name, kind, minimum, step, unit_price, currency, created_at) VALUES ($1, 'q', 'Q', 'quantity', 10, 10, 1, 'usd', 5)", byAmount)
			for i, credits := range []int{900, 10_000, 1_000} { // agreed to while it held 10,000
				run("INSERT INTO package_prices (agency_id, package_id, number, credits, price, set_by, created_at) VALUES ($1, $2, $3, $4, 6000, 'x', $5)", agency, pkg, i+1, credits, 10*i)
			}
			want := map[models.WalletID]int64{}
			set := func(pack, pkg any, quantity, credits int64) {
				t.Helper()
				w := models.NewID[models.WalletID](1)
				want[w] = credits
				run(`INSERT INTO top_ups (agency_id, wallet_id, state, pack_id, package_id, quantity, price, agreed_at, created_at) VALUES ($1, $2, 'off', $3, $4, $5, 1000, 15, 1)`,
					agency, w, pack, pkg, quantity)
			}
			set(fixed, nil, 0, 2050)
			set(byAmount, nil, 70, 70)
			set(nil, pkg, 0, 10_000)
			set(nil, models.NewID[models.PackageID](1), 0, 0) // nothing is known of it
			set(nil, nil, 0, 0)
			_, err := p.UpTo(t.Context(), 31)
			require.NoError(t, err)
			rows, err := conn.QueryContext(t.Context(), "SELECT wallet_id, credits FROM top_ups")
			require.NoError(t, err)
			defer func() { require.NoError(t, rows.Close()) }()
			got := map[models.WalletID]int64{}
			for rows.Next() {
				var w models.WalletID
				var credits int64
				require.NoError(t, rows.Scan(&w, &credits))
				got[w] = credits
			}
			require.NoError(t, rows.Err())
			require.Equal(t, want, got)
		})
	}
}

// toQuestionMarks keeps the numbers: SQLite knows ?1.
func toQuestionMarks(query string) string {
	out := []byte(query)
	for i, c := range out {
		if c == '$' {
			out[i] = '?'
		}
	}
	return string(out)
}
