package models

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// keptFile is a small table behind connections that keep their statements.
func keptFile(t *testing.T) (db *sql.DB, dsn string) {
	t.Helper()
	dsn = sqliteDSN(filepath.Join(t.TempDir(), "kept.db"), "immediate", []string{"journal_mode(wal)"})
	c, err := keeper(dsn)
	require.NoError(t, err)
	db = sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, db.Close(), "nothing is left open") })
	_, err = db.ExecContext(t.Context(), "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT")
	require.NoError(t, err)
	return db, dsn
}

// onConn gives the one connection as database/sql sees it.
func onConn(t *testing.T, db *sql.DB, f func(c *keepingConn)) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(c any) error { f(c.(*keepingConn)); return nil })) //nolint:forcetypeassert // another type fails the test
	require.NoError(t, conn.Close())
}

func TestAStatementIsPreparedOnce(t *testing.T) {
	t.Parallel()
	db, _ := keptFile(t)
	onConn(t, db, func(c *keepingConn) {
		prepare := func(text string) driver.Stmt {
			s, err := c.PrepareContext(t.Context(), text)
			require.NoError(t, err)
			return s
		}
		const text = "SELECT name FROM things WHERE id = ?"
		first := prepare(text)
		beside := prepare(text)
		require.NotSame(t, first, beside, "one that is in use is nobody else's")
		require.NoError(t, first.Close())
		require.NoError(t, beside.Close())
		require.Same(t, first, prepare(text), "given back, it is used again")
		require.NoError(t, first.Close())
		for i := range 3 * keptStatements {
			require.NoError(t, prepare(fmt.Sprintf("SELECT %d FROM things", i)).Close())
		}
		require.Len(t, c.idle, keptStatements)
		again := prepare(text)
		require.NotSame(t, first, again, "the oldest went")
		require.NoError(t, again.Close())
		for _, once := range []string{"PRAGMA user_version", "SELECT '" + strings.Repeat("x", keptLength) + "'"} {
			require.NoError(t, prepare(once).Close())
			require.NotContains(t, c.idle, once)
		}
	})
}

func TestAKeptStatementRemembersNothing(t *testing.T) {
	t.Parallel()
	db, dsn := keptFile(t)
	insert := func(id int, name any) error {
		_, err := db.ExecContext(t.Context(), "INSERT INTO things (id, name) VALUES (?, ?)", id, name)
		return err
	}
	names := func() (out []string) {
		rows, err := db.QueryContext(t.Context(), "SELECT name FROM things WHERE id < ? ORDER BY id", 10)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		for rows.Next() {
			var name string
			require.NoError(t, rows.Scan(&name))
			out = append(out, name)
		}
		require.NoError(t, rows.Err())
		return out
	}
	require.NoError(t, insert(1, "one"))
	require.True(t, IsDuplicate(insert(2, "one")))
	require.ErrorContains(t, insert(2, nil), "NOT NULL", "the name before is not bound any more")
	require.NoError(t, insert(2, "two"))
	require.Equal(t, []string{"one", "two"}, names())

	var first string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT name FROM things WHERE id < ? ORDER BY id", 10).Scan(&first), "read to its first row only")
	require.Equal(t, "one", first)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "INSERT INTO things (id, name) VALUES (?, ?)", 3, "three")
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	require.Equal(t, []string{"one", "two"}, names())

	other, err := sql.Open("sqlite3", dsn)
	require.NoError(t, err)
	for _, change := range []string{"ALTER TABLE things ADD COLUMN size INTEGER", "CREATE INDEX things_name ON things (name)", "UPDATE things SET name = 'zwei' WHERE id = 2"} {
		_, err = other.ExecContext(t.Context(), change)
		require.NoError(t, err)
	}
	require.NoError(t, other.Close())
	require.Equal(t, []string{"one", "zwei"}, names(), "somebody else changed the schema")
	require.NoError(t, insert(3, "three"))
}
