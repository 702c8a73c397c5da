package models

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"
)

// BackupOptions says which database is copied or filled, and with what.
type BackupOptions struct {
	Options
	Programs string // folder of pg_dump and pg_restore; "" looks along the path
	// Replace lets a restore take the place of a SQLite database, which is kept
	// beside it under another name. A PostgreSQL database is never replaced.
	Replace bool
	Stamp   string // ends the name that a replaced database is kept under
}

// How files of either kind begin.
const (
	sqliteMagic = "SQLite format 3\x00"
	dumpMagic   = "PGDMP"
)

// Backup copies the database as it is at one moment into a new file, while whoever
// uses it goes on: everything that was acknowledged before the call is in it. It
// neither migrates nor waits for anybody. The file is on disk and has been read
// once when Backup returns, and only its owner may read it; it is never an old one.
// It gives the file's size in bytes.
func Backup(ctx context.Context, o BackupOptions, file string) (size int64, err error) {
	switch _, err := os.Lstat(file); {
	case err == nil:
		return 0, fmt.Errorf("back up: %s is there, and a backup overwrites nothing", file)
	case !errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("back up: %w", err)
	}
	if err := o.reachable(); err != nil {
		return 0, fmt.Errorf("back up: %w", err)
	}
	part := file + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that was killed
		return 0, fmt.Errorf("back up: %w", err)
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return 0, fmt.Errorf("back up: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if o.DatabaseURL != "" {
		err = o.dump(ctx, part)
	} else {
		err = copySQLite(ctx, o.SQLitePath, part)
	}
	if err = errors.Join(err, f.Sync()); err == nil {
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil {
			size = info.Size()
		}
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = errors.Join(os.Rename(part, file), syncFolder(file))
	}
	if err != nil {
		return 0, fmt.Errorf("back up: %w", err)
	}
	return size, nil
}

// copySQLite reads one snapshot, beside whoever writes.
func copySQLite(ctx context.Context, from, to string) (err error) {
	conn, err := sqliteFile(from, "busy_timeout(10000)", "temp_store(memory)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return checkSQLite(ctx, to, "quick_check")
}

// sqliteFile opens a file that has to be there.
func sqliteFile(path string, pragmas ...string) (*sql.DB, error) {
	conn, err := sql.Open("sqlite3", sqliteDSN(path, "deferred", pragmas)+"&mode=rw")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	conn.SetMaxOpenConns(1)
	return conn, nil
}

// checkSQLite reads every page of a file, and with integrity_check every index too.
func checkSQLite(ctx context.Context, path, check string) (err error) {
	conn, err := sqliteFile(path, "query_only(on)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var found string
	if err := conn.QueryRowContext(ctx, "PRAGMA "+check+"(1)").Scan(&found); err != nil {
		return fmt.Errorf("%s is damaged, or no database: %w", path, err)
	}
	if found != "ok" {
		return fmt.Errorf("%s is damaged: %s", path, found)
	}
	if check == "quick_check" {
		return nil
	}
	var broken int64
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM pragma_foreign_key_check").Scan(&broken); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	if broken > 0 {
		return fmt.Errorf("%s is damaged: %d rows point at rows that are not there", path, broken)
	}
	return nil
}

// dump has pg_dump write one snapshot.
func (o *BackupOptions) dump(ctx context.Context, to string) error {
	return o.program(ctx, "pg_dump", "--format=custom", "--lock-wait-timeout=60s", "--file="+to)
}

// program runs one of PostgreSQL's own on the database. The password is in its
// environment: everybody on the machine may read its arguments.
func (o *BackupOptions) program(ctx context.Context, name string, args ...string) error {
	path := filepath.Join(o.Programs, name)
	if o.Programs == "" {
		var err error
		if path, err = exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not installed here: it comes with PostgreSQL's client programs; "+
				"--pg-programs names their folder, and docs/operations.md says how to do without", name)
		}
	}
	address, password, err := programURL(o.DatabaseURL)
	if err != nil {
		return err
	}
	var said strings.Builder
	cmd := exec.CommandContext(ctx, path, append(args, "--dbname="+address)...) //nolint:gosec // PostgreSQL's own, from where the operator has it
	cmd.Env, cmd.Stderr = os.Environ(), &said
	if password != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+password)
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// programParameters are what PostgreSQL's programs understand of an address; the
// rest is our driver's.
func programParameters() []string {
	return []string{
		"host", "port", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslsni", "ssl_min_protocol_version", "passfile",
		"connect_timeout", "target_session_attrs", "channel_binding", "gssencmode", "krbsrvname", "options",
	}
}

// programURL is an address as PostgreSQL's programs take it, and its password apart.
func programURL(address string) (plain, password string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", "", errors.New("DATABASE_URL is not like postgres://user:password@host:5432/name, which backups need") // its words may hold a password
	}
	q := u.Query()
	password, _ = u.User.Password()
	if q.Has("password") {
		password = q.Get("password")
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	for name := range q {
		if !slices.Contains(programParameters(), name) {
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), password, nil
}

// Restore fills the database with what Backup wrote, checked as far as it can be
// without knowing what is in it. It does not migrate: Open does. A PostgreSQL
// database has to be empty. In place of a SQLite database there was before it gives
// the name that this is kept under, "" when there was none. Nobody may be using the
// database: one that runs is found and named.
func Restore(ctx context.Context, o BackupOptions, file string) (kept string, err error) {
	f, err := os.Open(file) //nolint:gosec // the operator names it
	if err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	magic := make([]byte, len(sqliteMagic))
	n, err := io.ReadFull(f, magic)
	isDump := strings.HasPrefix(string(magic[:n]), dumpMagic)
	switch {
	case isDump && o.DatabaseURL == "":
		return "", fmt.Errorf("restore: %s is of a PostgreSQL database; name an empty one in DATABASE_URL", file)
	case isDump:
		return "", o.restorePostgres(ctx, file)
	case err != nil || string(magic) != sqliteMagic:
		return "", fmt.Errorf("restore: %s is no backup", file)
	case o.DatabaseURL != "":
		return "", fmt.Errorf("restore: %s is of a SQLite database; credits do not move from one kind of database to the other", file)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	return o.restoreSQLite(ctx, f)
}

// reachable refuses a server that is not to be spoken to as its address says.
func (o *BackupOptions) reachable() error {
	if o.DatabaseURL == "" {
		return nil
	}
	_, err := o.poolConfig()
	return err
}

func (o *BackupOptions) restorePostgres(ctx context.Context, file string) error {
	if err := o.reachable(); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	conn, err := pgx.Connect(ctx, o.DatabaseURL)
	if err != nil {
		return fmt.Errorf("restore: connect to PostgreSQL: %w", err)
	}
	var tables int64
	err = conn.QueryRow(ctx, `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`).Scan(&tables)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("restore: look into the database: %w", err)
	}
	if tables > 0 {
		return errors.New("restore: the database is not empty; make a new one, restore into that and let DATABASE_URL name it: the old one stays as it is")
	}
	if err := o.program(ctx, "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", file); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func (o *BackupOptions) restoreSQLite(ctx context.Context, from io.Reader) (kept string, err error) {
	path := o.SQLitePath
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	info, err := os.Stat(path)
	there := err == nil && info.Size() > 0
	if there && !o.Replace {
		return "", fmt.Errorf("restore: there is a database at %s; --replace puts the backup in its place and keeps it under another name", path)
	}
	if there {
		if err := unused(ctx, path); err != nil {
			return "", err
		}
	}
	part := path + ".restoring"
	if err := removeSQLite(part); err != nil { // of one that was killed
		return "", fmt.Errorf("restore: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore: %w", errors.Join(err, removeSQLite(part)))
		}
	}()
	if err := writeFile(part, from); err != nil {
		return "", err
	}
	if err := checkSQLite(ctx, part, "integrity_check"); err != nil {
		return "", err
	}
	if err := knownSchema(ctx, part); err != nil {
		return "", err
	}
	if there {
		kept = path + ".replaced-" + o.Stamp
		for _, end := range sqliteFiles() {
			if err := os.Rename(path+end, kept+end); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
	}
	return kept, errors.Join(os.Rename(part, path), syncFolder(path))
}

// sqliteFiles is what the names of a database's files end with.
func sqliteFiles() []string { return []string{"", "-wal", "-shm", "-journal"} }

func removeSQLite(path string) error {
	for _, end := range sqliteFiles() {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// unused refuses a database that somebody has open, and takes its write-ahead log
// home. One that is too damaged to tell may be replaced.
func unused(ctx context.Context, path string) (err error) {
	conn, err := sqliteFile(path, "busy_timeout(1000)")
	if err != nil {
		return err
	}
	var mode string
	err = conn.QueryRowContext(ctx, "PRAGMA journal_mode = delete").Scan(&mode)
	closed := conn.Close()
	if errors.Is(err, sqlite3.BUSY) || err == nil && mode != "delete" {
		return fmt.Errorf("restore: %s is in use; stop the portal first", path)
	}
	return closed
}

// knownSchema refuses a file that is not ours, or of a newer program.
func knownSchema(ctx context.Context, path string) (err error) {
	conn, err := sqliteFile(path, "query_only(on)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var version int64
	if err := conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version); err != nil {
		return fmt.Errorf("%s is no database of this program: %w", path, err)
	}
	newest, err := newestSchema(SQLite)
	if err != nil {
		return err
	}
	if version > newest {
		return tooNew(version, newest)
	}
	return nil
}

func writeFile(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // beside the database
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder makes a file's name as lasting as its content.
func syncFolder(file string) error {
	d, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
