package models_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/ledger" //nolint:depguard // only the audit tells whether what was migrated still adds up
	"refill/models"
	"refill/models/modelstest"
)

// filled is a database at schema 5 with rows in the tables that were made anew
// since, and books that add up.
func filled(t *testing.T, d models.Dialect) (*sql.DB, models.Options) {
	t.Helper()
	conn, _, o := atSchema(t, d, 5)
	card := models.NewID[models.RateCardID](1)
	insert := func(query string, args ...any) {
		t.Helper()
		if d == models.SQLite {
			query = toQuestionMarks(query)
		}
		_, err := conn.ExecContext(t.Context(), query, args...)
		require.NoError(t, err)
	}
	insert("INSERT INTO rate_cards (id, code, name, created_at) VALUES ($1, 'standard', 'Standard', 1)", card)
	if d == models.SQLite {
		insert("PRAGMA busy_timeout = 10000")
	}
	for i := range 20 {
		insert(`INSERT INTO plans (id, code, name, version, price, currency, allowance, every, sub_account_limit, rate_card_id, position, assumed, created_at)
			VALUES ($1, $2, 'Agency', 1, 9700, 'usd', 10000000000, 'month', 10, $3, 3, 'the limit', 5)`, models.NewID[models.PlanID](1), fmt.Sprint("plan", i), card)
		insert("INSERT INTO packs (id, code, name, kind, credits, price, currency, created_at) VALUES ($1, $2, 'Small', 'fixed', 2000000000, 1000, 'usd', 5)",
			models.NewID[models.PackID](1), fmt.Sprint("pack", i))
		insert(`INSERT INTO agencies (id, external_id, name, host, time_zone, currency, status, wallet_id, created_at)
			VALUES ($1, $2, 'Northwind', $3, 'UTC', 'usd', 'active', $4, 1)`,
			models.NewID[models.AgencyID](1), fmt.Sprint("a", i), fmt.Sprint("a", i), models.NewID[models.WalletID](1))
	}
	id := map[models.Dialect]string{models.SQLite: "randomblob(16)", models.Postgres: "gen_random_uuid()"}[d]
	// Each agency was given 100 credits and has used 2 of them, so many times.
	const charged = ` WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) `
	for _, query := range []string{
		`INSERT INTO wallets (agency_id, id, balance, seq, last_at, created_at) SELECT id, wallet_id, 20000000, 41, 41, 1 FROM agencies`,
		`INSERT INTO wallet_directory (wallet_id, agency_id) SELECT wallet_id, id FROM agencies`,
		`INSERT INTO lots (agency_id, id, wallet_id, source, priority, granted, remaining, open, effective_at, expires_at, created_at)
			SELECT id, ` + id + `, wallet_id, 'promo', 30, 100000000, 20000000, true, 1, 9223372036854775807, 1 FROM agencies`,
		`INSERT INTO acts (agency_id, id, wallet_id, kind, credits, actor, seq, created_at) SELECT id, ` + id + `, wallet_id, 'promo', 100000000, 'test', 1, 1 FROM agencies`,
		`INSERT INTO entries (agency_id, wallet_id, seq, act_id, lot_id, kind, amount, balance, at)
			SELECT a.agency_id, a.wallet_id, 1, a.id, l.id, 1, 100000000, 100000000, 1 FROM acts a JOIN lots l ON l.agency_id = a.agency_id AND l.wallet_id = a.wallet_id`,
		`INSERT INTO charges (agency_id, id, wallet_id, idempotency_key, fingerprint, action, credits, card_id, card_version, seq, after_plan, after_purchased, after_assigned,
				after_bonus, after_held, after_excess, state, occurred_at, created_at)` + charged + `
			SELECT a.id, ` + id + `, a.wallet_id, 'k' || n.i, a.id, 'ai.reply', 2000000, c.id, 1, n.i + 1, 0, 0, 0, 100000000 - 2000000 * n.i, 0, 0, 'healthy', n.i + 1, n.i + 1
			FROM agencies a, rate_cards c, n`,
		`INSERT INTO entries (agency_id, wallet_id, seq, act_id, lot_id, kind, amount, balance, at)
			SELECT c.agency_id, c.wallet_id, c.seq, c.id, l.id, 2, c.credits, c.after_bonus, c.created_at FROM charges c JOIN lots l ON l.agency_id = c.agency_id AND l.wallet_id = c.wallet_id`,
		`INSERT INTO usage_quarters (agency_id, quarter, paid_wallet_id, wallet_id, action, model, bonus, units, charges, first_seq, last_seq, balance)
			SELECT id, 0, wallet_id, wallet_id, 'ai.reply', '', 80000000, 40, 40, 2, 41, 20000000 FROM agencies`,
	} {
		if d == models.Postgres {
			query = strings.ReplaceAll(query, "n.i, a.id, 'ai.reply'", "n.i, '\\x01'::bytea, 'ai.reply'")
		}
		insert(query)
	}
	return conn, o
}

// shape is what a database is made of, in words.
func shape(t *testing.T, conn *sql.DB, d models.Dialect) []string {
	t.Helper()
	query := "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1"
	if d == models.Postgres {
		query = `SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') FROM information_schema.columns WHERE table_schema = 'public'
			UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
			UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
			UNION ALL SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`
	}
	rows, err := conn.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	var out []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		out = append(out, line)
	}
	require.NoError(t, rows.Err())
	return out
}

// migratedOnce holds a database that was at schema 5 against one that was made at
// once, and its books against themselves.
func migratedOnce(t *testing.T, conn *sql.DB, o models.Options, d models.Dialect) {
	t.Helper()
	o.AllowLoss = true
	db, err := models.Open(t.Context(), o)
	require.NoError(t, err)
	report, err := ledger.Audit(t.Context(), db, 100)
	require.NoError(t, err)
	require.True(t, report.Clean(), "%s", report)
	require.Equal(t, 20, report.Agencies)
	require.NoError(t, db.Close())
	var fresh *sql.DB
	if d == models.Postgres {
		fresh = modelstest.OpenPostgres(t).ReadSQL()
	} else {
		fresh = modelstest.OpenSQLite(t).ReadSQL()
	}
	require.Equal(t, shape(t, fresh, d), shape(t, conn, d))
	var versions, twice int
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT count(*), count(*) - count(DISTINCT version_id) FROM goose_db_version").Scan(&versions, &twice))
	files, err := filepath.Glob(filepath.Join("migrations", string(d), "*.sql"))
	require.NoError(t, err)
	require.Equal(t, []int{len(files) + 1, 0}, []int{versions, twice}, "each once; goose begins with 0")
	for _, table := range []string{"plans", "packs", "agencies"} {
		var n int
		require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
		require.Equal(t, 20, n, table)
	}
}

// Several that start at once on an old database migrate it once; none fails.
func TestSeveralThatStartAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	for _, d := range []models.Dialect{models.SQLite, models.Postgres} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			conn, o := filled(t, d)
			o.AllowLoss = true
			var starts sync.WaitGroup
			for range 3 {
				starts.Go(func() {
					db, err := models.Open(t.Context(), o)
					if err == nil {
						err = db.Close()
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			starts.Wait()
			migratedOnce(t, conn, o, d)
		})
	}
}

// migrateAt tells the process that TestMigrationsKilledHalfWay starts what to
// migrate.
const migrateAt = "REFILL_TEST_MIGRATE"

// A process that migrates is killed again and again; the next one goes on, and ends
// where one that was left alone does.
func TestMigrationsKilledHalfWay(t *testing.T) {
	t.Parallel()
	if at := os.Getenv(migrateAt); at != "" { // we are the process
		o := models.Options{SQLitePath: at, AllowLoss: true}
		if strings.HasPrefix(at, "postgres:") {
			o = models.Options{DatabaseURL: at, AllowLoss: true}
		}
		db, err := models.Open(t.Context(), o)
		require.NoError(t, err)
		require.NoError(t, db.Close())
		return
	}
	for _, d := range []models.Dialect{models.SQLite, models.Postgres} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			conn, o := filled(t, d)
			at := o.SQLitePath + o.DatabaseURL
			var half []int // schemas that were found after a kill
			ended := false
			for n := 0; n < 40 && !ended; n++ {
				ctx, cancel := context.WithCancel(t.Context())
				cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestMigrationsKilledHalfWay$")
				cmd.Env = append(os.Environ(), migrateAt+"="+at)
				begun := schemaOf(t, conn)
				require.NoError(t, cmd.Start())
				done := make(chan error, 1)
				go func() { done <- cmd.Wait() }()
				look := time.NewTicker(time.Millisecond)
				for killed, waiting := false, true; waiting; {
					select {
					case err := <-done:
						if !killed {
							require.NoError(t, err)
							ended = true
						}
						waiting = false
					case <-look.C: // once it has come some migrations further
						if !killed && schemaOf(t, conn) > begun+n%5*2 {
							killed = true
							cancel()
						}
					}
				}
				look.Stop()
				cancel()
				half = append(half, schemaOf(t, conn))
			}
			require.True(t, ended)
			require.Greater(t, len(half), 2, "it was killed on its way: %v", half)
			migratedOnce(t, conn, o, d)
			t.Logf("schemas after each process: %v", half)
		})
	}
}

func schemaOf(t *testing.T, conn *sql.DB) int {
	t.Helper()
	var v int
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&v))
	return v
}

// firstRelease is the last migration of the days before anybody ran two programs on
// one database.
const firstRelease = 27

// What a migration may not do, so that the release before it goes on while its
// processes are replaced one by one (docs/operations.md). What has to go goes one
// release later, with a line "-- contract: why nobody needs it any more".
var contracts = regexp.MustCompile(`(?i)\bDROP\s+(TABLE|COLUMN)\b|\bRENAME\b|\bALTER\s+COLUMN\b|\bADD\s+(CONSTRAINT|CHECK|UNIQUE|FOREIGN|PRIMARY)\b|\bNO TRANSACTION\b`)

// required is a new column that rows of the release before would not have.
var required = regexp.MustCompile(`(?i)\bADD\s+COLUMN\b[^,;]*\bNOT\s+NULL\b[^,;]*`)

// breaks is what in a migration the release before would stumble over.
func breaks(text string) []string {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	if strings.Contains(up, "-- contract: ") {
		return nil
	}
	out := contracts.FindAllString(up, -1)
	for _, column := range required.FindAllString(up, -1) {
		if !regexp.MustCompile(`(?i)\bDEFAULT\b`).MatchString(column) {
			out = append(out, column)
		}
	}
	return out
}

func TestMigrationsLeaveRoomForTheReleaseBefore(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("migrations", "*", "*.sql"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		number, _, _ := strings.Cut(filepath.Base(file), "_")
		n, err := strconv.Atoi(number)
		require.NoError(t, err)
		if n <= firstRelease {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Empty(t, breaks(string(text)), file)
	}
	// It finds what it looks for.
	for _, bad := range []string{
		"ALTER TABLE a DROP COLUMN b;", "DROP TABLE a;", "ALTER TABLE a RENAME COLUMN b TO c;", "ALTER TABLE a ADD COLUMN b integer NOT NULL;",
		"ALTER TABLE a ADD COLUMN b text NOT NULL DEFAULT '', ADD COLUMN c integer NOT NULL;", "ALTER TABLE a ALTER COLUMN b SET NOT NULL;",
		"ALTER TABLE a ADD CONSTRAINT b CHECK (c > 0);", "-- +goose NO TRANSACTION\n",
	} {
		require.NotEmpty(t, breaks(bad), bad)
	}
	for _, good := range []string{
		"CREATE TABLE a (b integer NOT NULL);", "ALTER TABLE a ADD COLUMN b integer NOT NULL DEFAULT 0;", "ALTER TABLE a ADD COLUMN b integer;",
		"CREATE INDEX a ON b (c);", "-- contract: a is not read since 1.4.\nALTER TABLE a DROP COLUMN b;", "-- +goose Down\nDROP TABLE a;",
	} {
		require.Empty(t, breaks(good), good)
	}
}
