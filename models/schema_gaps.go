package models

import (
	"io/fs"
	"regexp"
	"slices"
	"strconv"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"
)

// uniques are the indexes that let a row in once only, beside the keys of tables.
//
//nolint:gochecknoglobals // a constant list
var uniques = []string{
	"acts_key", "agencies_key", "billing_details_whose", "charges_key", "holds_key", "holds_stock", "invitations_open", "lots_one_allowance", "lots_one_grant",
	"packages_key", "packs_live", "plans_live", "purchases_in_flight", "purchases_invoice", "purchases_receipts", "rate_card_versions_key", "reversals_key",
	"standing_assignments_one", "sub_accounts_key", "subscriptions_live", "webhook_endpoints_key",
}

// triggers are those that refuse changes, on each database.
//
//nolint:gochecknoglobals // a constant table
var triggers = map[Dialect][]string{
	SQLite: {
		"audit_no_delete", "audit_no_update", "audit_to_seal", "entries_no_delete", "entries_no_update", "seals_no_delete", "seals_no_update", "versions_no_delete",
		"versions_no_update",
	},
	Postgres: {
		"audit_append_only", "audit_no_truncate", "audit_to_seal", "entries_append_only", "lots_words", "seals_append_only", "seals_no_truncate", "versions_immutable",
		"wallets_words",
	},
}

// SchemaGaps tells, in words, what is missing of the schema that keeps wrong rows
// out: migrations that were not run, unique indexes and triggers that are gone or off,
// foreign keys that do not hold. Tables that somebody keeps beside the program's are
// nobody's gap. A program that is newer may have added to it; what it
// took away is not missed by the program that does so. checked is how many things
// were looked at.
func SchemaGaps(tx *gorm.DB) (checked int, gaps []string, err error) {
	d := Dialect(tx.Name())
	look := func(query string) (out []string, err error) { return out, tx.Raw(query).Scan(&out).Error }
	missing := func(what string, want, have []string) {
		for _, name := range want {
			if checked++; !slices.Contains(have, name) {
				gaps = append(gaps, what+" "+name+" is not there, or off")
			}
		}
	}
	queries := schemaQueries[d]
	numbers, ours := fromMigrations(d)
	for _, part := range []struct {
		what, query string
		want        []string
	}{
		{"the unique index", queries.uniques, uniques},
		{"the trigger", queries.triggers, triggers[d]},
		{"the migration", "SELECT CAST(version_id AS text) FROM goose_db_version WHERE is_applied", numbers},
	} {
		have, err := look(part.query)
		if err != nil {
			return checked, gaps, err
		}
		missing(part.what, part.want, have)
	}
	for _, query := range queries.loose {
		found, err := look(query)
		if err != nil {
			return checked, gaps, err
		}
		checked++
		gaps = append(gaps, found...)
	}
	if d == Postgres {
		keyless, err := look(keylessTables)
		if err != nil {
			return checked, gaps, err
		}
		checked++
		for _, table := range keyless {
			if slices.Contains(ours, table) {
				gaps = append(gaps, "the table "+table+" has no key")
			}
		}
	}
	return checked, gaps, nil
}

// schemaQueries ask a database what it has, and what of it does not hold.
//
//nolint:gochecknoglobals // a constant table
var schemaQueries = map[Dialect]struct {
	uniques, triggers string
	loose             []string // each row is a gap in words
}{
	SQLite: {
		"SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE UNIQUE %'", "SELECT name FROM sqlite_master WHERE type = 'trigger'",
		[]string{`SELECT 'rows of ' || "table" || ' point at rows of ' || parent || ' that are not there: ' || count(*) FROM pragma_foreign_key_check GROUP BY "table", parent`},
	},
	Postgres: {
		"SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indisunique AND i.indisvalid AND c.relnamespace = current_schema()::regnamespace",
		`SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
			WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND c.relnamespace = current_schema()::regnamespace`,
		[]string{
			// A foreign key is held by triggers of its own.
			`SELECT DISTINCT 'the foreign key ' || k.conname || ' is off' FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint
				WHERE t.tgenabled NOT IN ('O', 'A') AND k.connamespace = current_schema()::regnamespace`,
			"SELECT 'the rows of before were never held to ' || conname FROM pg_constraint WHERE NOT convalidated AND connamespace = current_schema()::regnamespace",
		},
	},
}

// keylessTables asks PostgreSQL; on SQLite a key cannot be taken from a table.
const keylessTables = `SELECT c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
	AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid)`

// made finds the tables that a migration makes.
var made = regexp.MustCompile(`(?:CREATE TABLE|RENAME TO) (\w+)`)

// fromMigrations tells the numbers of the migrations that this program knows, and the
// tables that they have made.
func fromMigrations(d Dialect) (numbers, tables []string) {
	dir := "migrations/" + string(d)
	files, err := fs.ReadDir(migrations, dir)
	if err != nil {
		return nil, nil // they are embedded
	}
	for _, f := range files {
		n, err := goose.NumericComponent(f.Name())
		if err != nil {
			continue
		}
		numbers = append(numbers, strconv.FormatInt(n, 10))
		text, _ := fs.ReadFile(migrations, dir+"/"+f.Name())
		for _, m := range made.FindAllSubmatch(text, -1) {
			tables = append(tables, string(m[1]))
		}
	}
	return numbers, tables
}
