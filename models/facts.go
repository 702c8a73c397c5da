package models

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Facts are what an operator may want to know of the database: nothing in them
// is secret.
type Facts struct {
	Dialect Dialect
	Version string // of the database program
	Place   string // the file, or the server and the database's name
	Size    int64  // bytes
	Schema  int64  // number of the newest migration that is done
	Newest  int64  // number of the newest migration this program has
	Durable []Durability
	Role    string // who we are on PostgreSQL; "" on SQLite
	Super   bool   // that role may do anything, the ledger's rows included
}

// Durability is a setting that decides whether what was acknowledged survives a
// power cut.
type Durability struct {
	Name, Value string
	Safe        bool
}

// Facts reads them.
func (db *DB) Facts(ctx context.Context) (Facts, error) {
	out := Facts{Dialect: db.Dialect}
	read := db.readSQL
	one := func(query string, into any) error { return read.QueryRowContext(ctx, query).Scan(into) }
	err := one("SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied", &out.Schema)
	if err == nil {
		out.Newest, err = newestMigration(db.Dialect)
	}
	if err != nil {
		return out, fmt.Errorf("read the schema's version: %w", err)
	}
	if db.Dialect == SQLite {
		var pages, size int64
		var mode int
		var journal string
		for query, into := range map[string]any{
			"SELECT sqlite_version()": &out.Version, "SELECT file FROM pragma_database_list WHERE name = 'main'": &out.Place,
			"PRAGMA page_count": &pages, "PRAGMA page_size": &size, "PRAGMA journal_mode": &journal,
		} {
			if err := one(query, into); err != nil {
				return out, fmt.Errorf("%s: %w", query, err)
			}
		}
		// The writing connection's: it is the one that must not forget.
		if err := db.writeSQL.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&mode); err != nil {
			return out, fmt.Errorf("read synchronous: %w", err)
		}
		out.Size = pages * size
		out.Durable = []Durability{
			{"journal_mode", journal, journal == "wal"},
			{"synchronous", map[int]string{0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}[mode], mode >= 2},
		}
		return out, nil
	}
	for query, into := range map[string]any{
		"SELECT current_setting('server_version')":                   &out.Version,
		"SELECT current_database()":                                  &out.Place,
		"SELECT pg_database_size(current_database())":                &out.Size,
		"SELECT current_user":                                        &out.Role,
		"SELECT rolsuper FROM pg_roles WHERE rolname = current_user": &out.Super,
	} {
		if err := one(query, into); err != nil {
			return out, fmt.Errorf("%s: %w", query, err)
		}
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		d := Durability{Name: name}
		if err := read.QueryRowContext(ctx, "SELECT current_setting($1)", name).Scan(&d.Value); err != nil {
			return out, fmt.Errorf("read %s: %w", name, err)
		}
		d.Safe = d.Value != "off"
		out.Durable = append(out.Durable, d)
	}
	return out, nil
}

// Wall is the database server's clock; ok is false where it is this machine's.
func (db *DB) Wall(ctx context.Context) (at Time, ok bool, err error) {
	if db.Dialect == SQLite {
		return 0, false, nil
	}
	var micros int64
	err = db.readSQL.QueryRowContext(ctx, "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint").Scan(&micros)
	return Time(micros), err == nil, err
}

// newestMigration is the highest number among the embedded files.
func newestMigration(d Dialect) (int64, error) {
	files, err := fs.Glob(migrations, "migrations/"+string(d)+"/*.sql")
	var newest int64
	for _, f := range files {
		number, _, _ := strings.Cut(path.Base(f), "_")
		n, bad := strconv.ParseInt(number, 10, 64)
		if bad != nil {
			return 0, bad
		}
		newest = max(newest, n)
	}
	return newest, err
}
