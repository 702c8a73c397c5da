package models

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/ncruces/go-sqlite3/gormlite"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Dialect is which of the two databases is behind a DB.
type Dialect string

// The two databases one program runs on.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Options says where the data lives.
type Options struct {
	DatabaseURL string // PostgreSQL; empty means SQLite
	SQLitePath  string // file of the embedded database
	MaxConns    int    // PostgreSQL connections; 0 means 16
	// AllowLoss skips the start-up check that commits are durable: for reading,
	// demonstrations, and tests, whose throw-away server runs without fsync.
	AllowLoss bool
	// TrustNetwork says that nobody else is on the network to PostgreSQL on another
	// machine: its certificate is not asked for.
	TrustNetwork bool
	Log          *slog.Logger
}

// DB is an open, migrated database.
//
// On SQLite there is one writing connection and several readers, on PostgreSQL
// one pool serves both. Read never sees uncommitted rows of a Write transaction
// and must not write.
type DB struct {
	Dialect Dialect
	Read    *gorm.DB
	Write   *gorm.DB
	Pool    *pgxpool.Pool // nil on SQLite

	readSQL, writeSQL *sql.DB
}

// Open connects, checks that commits survive a crash, and migrates.
// It refuses a schema newer than the program knows.
func Open(ctx context.Context, o Options) (*DB, error) {
	var db *DB
	var err error
	if o.DatabaseURL != "" {
		db, err = openPostgres(ctx, o)
	} else {
		db, err = openSQLite(o)
	}
	if err != nil {
		return nil, err
	}
	if err := db.prepare(ctx, o); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) prepare(ctx context.Context, o Options) error {
	if !o.AllowLoss {
		if err := db.checkDurable(ctx); err != nil {
			return err
		}
	}
	return db.migrate(ctx, o)
}

// poolConfig reads where PostgreSQL is, and how it is spoken to.
func (o Options) poolConfig() (*pgxpool.Config, error) { //nolint:gocritic // read once
	cfg, err := pgxpool.ParseConfig(o.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("read DATABASE_URL: %w", err)
	}
	if !o.TrustNetwork {
		err = checkTransport(&cfg.ConnConfig.Config)
	}
	return cfg, err
}

func openPostgres(ctx context.Context, o Options) (*DB, error) {
	cfg, err := o.poolConfig()
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 16
	if o.MaxConns > 0 {
		cfg.MaxConns = int32(min(o.MaxConns, 1000))
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "refill"
	cfg.AfterConnect = passWire
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	conn := stdlib.OpenDBFromPool(pool)
	g, err := openGorm(postgres.New(postgres.Config{Conn: conn}))
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	return &DB{Dialect: Postgres, Read: g, Write: g, Pool: pool, readSQL: conn, writeSQL: conn}, nil
}

func openSQLite(o Options) (*DB, error) {
	if o.SQLitePath == "" {
		return nil, errors.New("open SQLite: no file named")
	}
	// FULL: a commit is on disk before it is answered. Immediate transactions:
	// read-then-write never meets SQLITE_BUSY_SNAPSHOT. The log is copied into the file
	// every 16 MB, not every 4: most pages that charges write are written again within
	// that, and are copied once: a fifth more charges, for 20 ms more to open after a kill.
	common := []string{"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)", "foreign_keys(on)", "temp_store(memory)", "cache_size(-16000)", "wal_autocheckpoint(4000)"}
	writer, err := keeper(sqliteDSN(o.SQLitePath, "immediate", common))
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	reader, err := keeper(sqliteDSN(o.SQLitePath, "deferred", append(common, "query_only(on)")))
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	write, read := sql.OpenDB(writer), sql.OpenDB(reader)
	write.SetMaxOpenConns(1)
	write.SetMaxIdleConns(1)
	if err := write.PingContext(context.Background()); err != nil { //nolint:forbidigo // opening is not cancelled half-way
		return nil, errors.Join(fmt.Errorf("open SQLite %s: %w", o.SQLitePath, err), write.Close(), read.Close())
	}
	read.SetMaxOpenConns(8)
	read.SetMaxIdleConns(8)
	db := &DB{Dialect: SQLite, readSQL: read, writeSQL: write}
	if db.Write, err = openGorm(gormlite.OpenDB(write)); err == nil {
		db.Read, err = openGorm(gormlite.OpenDB(read))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open SQLite: %w", err), db.Close())
	}
	return db, nil
}

func sqliteDSN(path, txlock string, pragmas []string) string {
	q := url.Values{"_txlock": {txlock}, "_pragma": pragmas}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func openGorm(d gorm.Dialector) (*gorm.DB, error) {
	g, err := gorm.Open(d, &gorm.Config{
		TranslateError:         true,
		QueryFields:            true, // a new column must not break prepared plans
		SkipDefaultTransaction: true,
		Logger:                 logger.Discard,
		NowFunc:                func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }, //nolint:forbidigo // GORM's own bookkeeping; no column of ours uses it
	})
	if err != nil {
		return nil, err
	}
	return g, guardKeys(g)
}

// Close ends all connections.
func (db *DB) Close() error {
	var errs []error
	if db.readSQL != nil && db.readSQL != db.writeSQL {
		errs = append(errs, db.readSQL.Close())
	}
	if db.writeSQL != nil {
		errs = append(errs, db.writeSQL.Close())
	}
	if db.Pool != nil {
		db.Pool.Close()
	}
	return errors.Join(errs...)
}

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.readSQL.PingContext(ctx) }

// WriteSQL is the writing pool beneath GORM; on SQLite it holds one connection.
func (db *DB) WriteSQL() *sql.DB { return db.writeSQL }

// ReadSQL is the reading pool beneath GORM.
func (db *DB) ReadSQL() *sql.DB { return db.readSQL }

// InTx runs f in one write transaction.
func (db *DB) InTx(ctx context.Context, f func(tx *gorm.DB) error) error {
	return db.Write.WithContext(ctx).Transaction(f)
}

// Snapshot runs f in one read-only transaction that sees a single moment.
func (db *DB) Snapshot(ctx context.Context, f func(tx *gorm.DB) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if db.Dialect == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return db.Read.WithContext(ctx).Transaction(f, opts)
}

// checkDurable refuses a database that may forget what it acknowledged.
func (db *DB) checkDurable(ctx context.Context) error {
	if db.Dialect == SQLite {
		var mode int
		if err := db.writeSQL.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&mode); err != nil {
			return fmt.Errorf("read synchronous: %w", err)
		}
		if mode < 2 {
			return errors.New("SQLite runs without synchronous=FULL: a commit could be lost at a power cut")
		}
		return nil
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		var value string
		if err := db.writeSQL.QueryRowContext(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if value == "off" || value == "local" && name != "synchronous_commit" {
			return fmt.Errorf("PostgreSQL runs with %s = off: an acknowledged charge could be lost; turn it on", name)
		}
	}
	return nil
}

//go:embed migrations
var migrations embed.FS

// migrate brings the schema up to date. Of several processes that find it old at
// once one does so, and the others wait for it.
func (db *DB) migrate(ctx context.Context, o Options) (err error) {
	dir, err := fs.Sub(migrations, "migrations/"+string(db.Dialect))
	if err != nil {
		return err
	}
	dialect, opts := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if db.Dialect == Postgres {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		dialect, opts = goose.DialectPostgres, append(opts, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, db.writeSQL, dir, opts...)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	newest, err := newestSchema(db.Dialect)
	if err != nil {
		return err
	}
	current, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if current > newest {
		return tooNew(current, newest)
	}
	if current == newest {
		return nil
	}
	if db.Dialect == SQLite { // goose has a lock for PostgreSQL only
		unlock, err := lockMigrations(ctx, o.SQLitePath)
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	if _, err := p.Up(ctx); err != nil { // which looks again what is missing
		return fmt.Errorf("migrate from schema %d to %d: %w", current, newest, err)
	}
	return nil
}

// newestSchema is the last migration this program knows.
func newestSchema(d Dialect) (int64, error) {
	files, err := fs.ReadDir(migrations, "migrations/"+string(d)) // in order of their names
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(files[len(files)-1].Name())
}

func tooNew(current, newest int64) error {
	return fmt.Errorf("the database has schema %d, this program knows %d: run the newer program", current, newest)
}

// lockMigrations waits until no other process migrates the file. The lock is one of
// the operating system's on a small file beside it: who is killed gives it up.
func lockMigrations(ctx context.Context, path string) (unlock func() error, err error) {
	side, err := sql.Open("sqlite3", sqliteDSN(path+"-migrating", "exclusive", []string{"busy_timeout(600000)"}))
	if err != nil {
		return nil, err
	}
	tx, err := side.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, side.Close())
	}
	return func() error { return errors.Join(tx.Rollback(), side.Close()) }, nil
}

// IsDuplicate tells a violated unique key from other errors, on both databases.
func IsDuplicate(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok { // a statement that did not go through GORM
		return pg.Code == "23505"
	}
	return errors.Is(err, gorm.ErrDuplicatedKey) || err != nil && strings.Contains(err.Error(), "UNIQUE constraint failed")
}
