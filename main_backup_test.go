package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/handlers"
	"refill/models"
	"refill/models/modelstest"
)

// ran runs a command as an operator does.
func ran(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var both bytes.Buffer
	code = run(t.Context(), args, &both, &both)
	return code, both.String()
}

// emptyPostgres is a database without tables.
func emptyPostgres(t *testing.T) string {
	t.Helper()
	address := modelstest.Postgres(t)
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	return address
}

// place is where a database is, as commands name it.
type place struct{ data, url string }

func (p place) args(command ...string) []string {
	return append(command, "--data", p.data, "--database-url", p.url)
}

// another is an empty place of the same kind.
func (p place) another(t *testing.T) place {
	t.Helper()
	out := place{data: t.TempDir()}
	if p.url != "" {
		out.url = emptyPostgres(t)
	}
	return out
}

// office is a portal at a place, and a program that charges through it.
type office struct {
	t    *testing.T
	url  string
	key  string
	stop func()
}

// setUp fills an empty place and gives a platform key.
func setUp(t *testing.T, at place) (key string) {
	t.Helper()
	code, said := ran(t, at.args("setup", "--admin-email", "ana@example.com", "--admin-password", "correct horse battery")...)
	require.Zero(t, code, said)
	return said[strings.Index(said, "rf_live_"):strings.LastIndex(said, "\n")]
}

func openOffice(t *testing.T, at place, key string) *office {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	log := newLog(io.Discard)
	db, err := storage{DatabaseURL: at.url, Data: at.data}.open(ctx, log, true)
	require.NoError(t, err)
	if at.url == "" {
		require.NoError(t, db.Write.Exec("PRAGMA synchronous = OFF").Error)
	}
	p, err := newPortal(ctx, db, models.SystemClock{}, nil, handlers.Config{BaseURL: "http://localhost", Log: log}, log)
	require.NoError(t, err)
	server := httptest.NewServer(p.web)
	var once sync.Once
	o := &office{t: t, url: server.URL, key: key}
	o.stop = func() {
		once.Do(func() {
			server.Close()
			require.NoError(t, p.close())
		})
	}
	t.Cleanup(o.stop)
	return o
}

// send posts and gives what came back.
func (o *office) send(path, key, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(o.t.Context()), http.MethodPost, o.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+o.key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	raw, err := io.ReadAll(res.Body)
	if closed := res.Body.Close(); err == nil {
		err = closed
	}
	return res.StatusCode, string(raw), err
}

// found makes the agency that is charged, and gives what it can spend.
func (o *office) found() models.Credits {
	o.t.Helper()
	for _, step := range [][2]string{
		{"/v1/agencies", `{"external_id": "acme", "name": "Acme"}`},
		{"/v1/agencies/acme/adjustments", `{"credits": "100000", "reason": "stock"}`},
	} {
		status, answer, err := o.send(step[0], "found", step[1])
		require.NoError(o.t, err)
		require.Equal(o.t, http.StatusCreated, status, answer)
	}
	return o.left()
}

const oneCharge = `{"wallet": "agency:acme", "action": "ai.reply", "model": "gpt-4"}`

// perCharge is what oneCharge costs.
const perCharge = 25 * models.Credit

// left is what the agency can spend.
func (o *office) left() models.Credits {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, o.url+"/v1/wallets/agency%3Aacme", http.NoBody)
	require.NoError(o.t, err)
	req.Header.Set("Authorization", "Bearer "+o.key)
	res, err := http.DefaultClient.Do(req)
	require.NoError(o.t, err)
	var got map[string]any
	require.NoError(o.t, json.NewDecoder(res.Body).Decode(&got))
	require.NoError(o.t, res.Body.Close())
	return number(o.t, got, "available")
}

// traffic charges until it is stopped, and keeps what was answered.
type traffic struct {
	mu       sync.Mutex
	answers  map[string]string
	failures []string
	halt     atomic.Bool
	work     sync.WaitGroup
}

func (o *office) drive(lanes int) *traffic {
	tr := &traffic{answers: map[string]string{}}
	for lane := range lanes {
		tr.work.Go(func() {
			for i := 0; !tr.halt.Load(); i++ {
				key := fmt.Sprint("c", lane, "-", i)
				status, answer, err := o.send("/v1/charges", key, oneCharge)
				tr.mu.Lock()
				if err != nil || status != http.StatusCreated {
					tr.failures = append(tr.failures, fmt.Sprint(key, ": ", status, " ", answer, " ", err))
				} else {
					tr.answers[key] = answer
				}
				tr.mu.Unlock()
			}
		})
	}
	return tr
}

// so is what has been answered by now.
func (tr *traffic) so() map[string]string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return maps.Clone(tr.answers)
}

// reaches waits until so many were answered.
func (tr *traffic) reaches(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(tr.so()) >= n }, 30*time.Second, 2*time.Millisecond)
}

func (tr *traffic) end(t *testing.T) map[string]string {
	t.Helper()
	tr.halt.Store(true)
	tr.work.Wait()
	require.Empty(t, tr.failures)
	return tr.so()
}

// A backup is taken while charges run. Restored elsewhere, its books add up, it has
// every charge that was acknowledged before it began, and a program that sends all
// of its charges again, those that the backup missed among them, has each booked
// once: the first answer comes back where there was one.
func TestABackupUnderLoadHasWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, databaseURL string) {
		at := place{data: t.TempDir(), url: databaseURL}
		key := setUp(t, at)
		o := openOffice(t, at, key)
		stock := o.found()
		tr := o.drive(4)
		tr.reaches(t, 50)
		var file string
		var before map[string]string
		meanwhile := 0
		for i := range 2 {
			file = filepath.Join(t.TempDir(), fmt.Sprint("backup", i))
			before = tr.so()
			code, said := ran(t, at.args("backup", file)...)
			require.Zero(t, code, said)
			require.Contains(t, said, "Wrote "+file)
			meanwhile += len(tr.so()) - len(before)
		}
		require.Positive(t, meanwhile, "charges went on")
		tr.reaches(t, len(before)+50)
		all := tr.end(t)
		o.stop()
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it holds hashes of passwords")
		code, said := ran(t, at.args("backup", file)...)
		require.Equal(t, 1, code)
		require.Contains(t, said, "overwrites nothing")

		to := at.another(t)
		code, said = ran(t, to.args("restore", file)...)
		require.Zero(t, code, said)
		require.Contains(t, said, "I-01")
		restored := openOffice(t, to, key)
		spent := stock - restored.left()
		require.GreaterOrEqual(t, spent, models.Credits(len(before))*perCharge)
		again, anew := 0, 0
		for k, first := range all {
			status, answer, err := restored.send("/v1/charges", k, oneCharge)
			require.NoError(t, err)
			switch _, known := before[k]; {
			case status == http.StatusOK:
				require.Equal(t, first, answer)
				again++
			case known:
				t.Errorf("%s was acknowledged before the backup began and is not in it: %d %s", k, status, answer)
			default:
				require.Equal(t, http.StatusCreated, status, answer)
				anew++
			}
		}
		require.Equal(t, spent, models.Credits(again)*perCharge, "nothing else was in it, and nothing twice")
		require.Positive(t, anew, "what came after the backup was lost, and is booked by its key")
		require.Equal(t, stock-models.Credits(len(all))*perCharge, restored.left())
		restored.stop()
		code, said = ran(t, to.args("audit")...)
		require.Zero(t, code, said)
	})
}

// A restore takes nobody's place by mistake.
func TestARestoreOverwritesNothingByMistake(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, databaseURL string) {
		at := place{data: t.TempDir(), url: databaseURL}
		key := setUp(t, at)
		o := openOffice(t, at, key)
		stock := o.found()
		file := filepath.Join(t.TempDir(), "backup")
		code, said := ran(t, at.args("backup", file)...)
		require.Zero(t, code, said)
		status, answer, err := o.send("/v1/charges", "after", oneCharge)
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, status, answer)

		code, said = ran(t, at.args("restore", file)...)
		require.Equal(t, 2, code, said)
		if databaseURL != "" {
			require.Contains(t, said, "not empty")
			code, said = ran(t, at.args("restore", "--replace", file)...)
			require.Equal(t, 2, code, said)
			require.Equal(t, stock-perCharge, o.left(), "nothing was touched")
			return
		}
		require.Contains(t, said, "--replace")
		code, said = ran(t, at.args("restore", "--replace", file)...)
		require.Equal(t, 2, code, said)
		require.Contains(t, said, "in use", "a portal that runs is not robbed of its database")
		require.Equal(t, stock-perCharge, o.left())
		o.stop()
		code, said = ran(t, at.args("restore", "--replace", file)...)
		require.Zero(t, code, said)
		require.Equal(t, stock, openOffice(t, at, key).left())
		kept, err := filepath.Glob(filepath.Join(at.data, "refill.db.replaced-*"))
		require.NoError(t, err)
		require.Len(t, kept, 1)
		require.Contains(t, said, kept[0])
		old := t.TempDir()
		require.NoError(t, os.Rename(kept[0], filepath.Join(old, "refill.db")))
		require.Equal(t, stock-perCharge, openOffice(t, place{data: old}, key).left(), "what was replaced is whole")
	})
}

// What is no backup, is damaged, or is of a newer program changes nothing.
func TestWhatCannotBeRestoredIsRefused(t *testing.T) {
	t.Parallel()
	at := place{data: t.TempDir()}
	setUp(t, at)
	file := filepath.Join(t.TempDir(), "backup")
	code, said := ran(t, at.args("backup", file)...)
	require.Zero(t, code, said)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	try := func(content []byte, args ...string) string {
		t.Helper()
		bad := filepath.Join(t.TempDir(), "bad")
		require.NoError(t, os.WriteFile(bad, content, 0o600))
		to := place{data: filepath.Join(t.TempDir(), "to")}
		code, said := ran(t, append(to.args("restore", bad), args...)...)
		require.Equal(t, 2, code, said)
		there, err := filepath.Glob(filepath.Join(to.data, "*"))
		require.NoError(t, err)
		require.Empty(t, there, "nothing is left behind")
		return said
	}
	require.Contains(t, try([]byte("no backup at all, whatever its name says")), "is no backup")
	require.Contains(t, try([]byte("PGDMP and more")), "PostgreSQL")
	require.Contains(t, try(whole, "--database-url", "postgres://nobody@127.0.0.1:1/x"), "SQLite")
	try(whole[:len(whole)/2])
	torn := bytes.Clone(whole)
	for i := len(torn) / 2; i < len(torn)/2+40_000; i++ {
		torn[i] ^= 0x55
	}
	require.Contains(t, try(torn), "damaged")
	newer := filepath.Join(at.data, "refill.db")
	db := modelstest.Open(t, models.Options{SQLitePath: newer})
	require.NoError(t, db.Write.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (90000, 1)").Error)
	newerFile := filepath.Join(t.TempDir(), "newer")
	code, said = ran(t, at.args("backup", newerFile)...)
	require.Zero(t, code, said, "a backup is taken of any schema")
	content, err := os.ReadFile(newerFile)
	require.NoError(t, err)
	require.Contains(t, try(content), "run the newer program")
	code, said = ran(t, place{data: filepath.Join(t.TempDir(), "mistyped")}.args("backup", filepath.Join(t.TempDir(), "x"))...)
	require.Equal(t, 1, code, said)
	require.Contains(t, said, "mistyped")
}

// After a restore everybody is signed out, Stripe is asked at the first tick, the
// audit log says so, and a missing secret key is named before the portal is started
// without it.
func TestARestoredDatabaseIsMadeFit(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, databaseURL string) {
		at := place{data: t.TempDir(), url: databaseURL}
		setUp(t, at)
		db, err := storage{DatabaseURL: at.url, Data: at.data}.open(t.Context(), newLog(io.Discard), true)
		require.NoError(t, err)
		now := models.At(time.Now())
		for _, row := range []any{
			&models.Session{IDHash: []byte{1}, Data: []byte{}, CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(time.Hour)},
			&models.Reconciliation{StartedAt: now.Add(-2 * time.Hour), FinishedAt: now.Add(-time.Hour), Since: 1},
			&models.Reconciliation{StartedAt: now.Add(-time.Minute), Since: 1},
		} {
			require.NoError(t, db.Write.Create(row).Error)
		}
		clock, err := demoClock(t.Context(), db)
		require.NoError(t, err)
		p, err := newPortal(t.Context(), db, clock, nil, handlers.Config{BaseURL: "http://localhost", Log: newLog(io.Discard)}, newLog(io.Discard))
		require.NoError(t, err)
		require.NoError(t, p.billing.UseSecretKey(t.Context()))
		require.NoError(t, p.close())
		file := filepath.Join(t.TempDir(), "backup")
		code, said := ran(t, at.args("backup", file)...)
		require.Zero(t, code, said)

		to := at.another(t)
		code, said = ran(t, to.args("restore", file)...)
		require.Zero(t, code, said)
		require.Contains(t, said, "Before you start the portal: the secret key")
		require.NoFileExists(t, filepath.Join(to.data, "secret.key"))
		again := modelstest.Open(t, models.Options{DatabaseURL: to.url, SQLitePath: filepath.Join(to.data, "refill.db")})
		var sessions, log int64
		require.NoError(t, again.Read.Model(&models.Session{}).Count(&sessions).Error)
		require.NoError(t, again.Read.Model(&models.AuditEntry{}).Where("action = 'database.restore'").Count(&log).Error)
		require.Equal(t, []int64{0, 1}, []int64{sessions, log})
		var runs []models.Reconciliation
		require.NoError(t, again.Read.Order("started_at").Find(&runs).Error)
		require.Len(t, runs, 2)
		require.Empty(t, runs[0].Note)
		require.Contains(t, runs[1].Note, "restored from a backup")
		require.Equal(t, runs[1].StartedAt, runs[1].FinishedAt, "it does not count as under way")

		// One that was restored by other means.
		code, said = ran(t, to.args("restore")...)
		require.Zero(t, code, said)
	})
}

// The release before goes on, without a failed charge, while a newer program brings
// the schema further as migrations may; it does not start there again, and says why.
func TestTheReleaseBeforeGoesOnOnANewerSchema(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, databaseURL string) {
		at := place{data: t.TempDir(), url: databaseURL}
		o := openOffice(t, at, setUp(t, at))
		stock := o.found()
		tr := o.drive(4)
		tr.reaches(t, 20)
		newer := modelstest.Open(t, models.Options{DatabaseURL: at.url, SQLitePath: filepath.Join(at.data, "refill.db")})
		require.NoError(t, newer.InTx(t.Context(), func(tx *gorm.DB) error { // as goose runs one
			for _, table := range []string{"wallets", "charges", "entries", "agencies", "api_keys"} {
				for _, change := range []string{" ADD COLUMN newer_note text", " ADD COLUMN newer_count bigint NOT NULL DEFAULT 0"} {
					if err := tx.Exec("ALTER TABLE " + table + change).Error; err != nil {
						return err
					}
				}
			}
			for _, change := range []string{
				"CREATE TABLE newer_things (agency_id integer PRIMARY KEY, name text NOT NULL)", "CREATE INDEX newer_charges ON charges (agency_id, newer_count)",
				"INSERT INTO goose_db_version (version_id, is_applied) VALUES (90000, true)",
			} {
				if err := tx.Exec(change).Error; err != nil {
					return err
				}
			}
			return nil
		}))
		tr.reaches(t, len(tr.so())+50)
		all := tr.end(t)
		require.Equal(t, stock-models.Credits(len(all))*perCharge, o.left())
		o.stop()
		code, said := ran(t, at.args("serve", "--addr", "127.0.0.1:0")...)
		require.Equal(t, 1, code, said)
		if databaseURL == "" { // the PostgreSQL of the tests is refused before
			require.Contains(t, said, "the database has schema 90000")
			require.Contains(t, said, "run the newer program")
		}
		require.NoError(t, newer.Write.Exec("DELETE FROM goose_db_version WHERE version_id = 90000").Error)
		code, said = ran(t, at.args("audit")...)
		require.Zero(t, code, said)
	})
}
