package ledger

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"refill/models"
)

// statement is one SQL statement of a transaction. scan, when set, is called
// for each row.
type statement struct {
	sql  string
	args []any
	scan func(row) error
}

type row interface{ Scan(dest ...any) error }

// column maps one field of a row type to a column, in both dialects: one array
// parameter for a whole set on PostgreSQL, one parameter a row on SQLite.
type column[T any] struct {
	name string
	cast string
	list func(rows []T) any
	one  func(r *T) any
}

func integer[T any, V ~int | ~int16 | ~int64](name string, get func(*T) V) column[T] {
	return column[T]{
		name, "bigint",
		func(rows []T) any {
			out := make([]int64, len(rows))
			for i := range rows {
				out[i] = int64(get(&rows[i]))
			}
			return out
		},
		func(r *T) any { return int64(get(r)) },
	}
}

func text[T any, V ~string](name string, get func(*T) V) column[T] {
	return column[T]{
		name, "text",
		func(rows []T) any {
			out := make([]string, len(rows))
			for i := range rows {
				out[i] = string(get(&rows[i]))
			}
			return out
		},
		func(r *T) any { return string(get(r)) },
	}
}

func boolean[T any](name string, get func(*T) bool) column[T] {
	return column[T]{
		name, "boolean",
		func(rows []T) any {
			out := make([]bool, len(rows))
			for i := range rows {
				out[i] = get(&rows[i])
			}
			return out
		},
		func(r *T) any { return get(r) },
	}
}

func octets[T any](name string, get func(*T) []byte) column[T] {
	return column[T]{
		name, "bytea",
		func(rows []T) any {
			out := make([][]byte, len(rows))
			for i := range rows {
				out[i] = get(&rows[i])
			}
			return out
		},
		func(r *T) any { return get(r) },
	}
}

// ident is a column of ids; the zero id is NULL.
func ident[T any](name string, get func(*T) [16]byte) column[T] {
	return column[T]{
		name, "uuid",
		func(rows []T) any {
			out := make([]pgtype.UUID, len(rows))
			for i := range rows {
				id := get(&rows[i])
				out[i] = pgtype.UUID{Bytes: id, Valid: id != [16]byte{}}
			}
			return out
		},
		func(r *T) any {
			id := get(r)
			if id == [16]byte{} {
				return nil
			}
			return id[:]
		},
	}
}

// table is how a row type is written. Its parameters come in one of two orders,
// made once: all is keys then values, rest is values then keys.
type table[T any] struct {
	name       string
	all, rest  []column[T]
	insertPG   string
	insertLite string
	updatePG   string
	updateLite string
}

func newTable[T any](name string, keys, values []column[T]) *table[T] {
	all := append(append([]column[T]{}, keys...), values...)
	t := &table[T]{name: name, all: all, rest: append(append([]column[T]{}, values...), keys...)}
	t.insertPG = fmt.Sprintf("INSERT INTO %s (%s) SELECT %s", name, names(all), unnested(all))
	t.insertLite = fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", name, names(all), strings.TrimSuffix(strings.Repeat("?,", len(all)), ","))
	var setPG, setLite, onPG, onLite []string
	for _, c := range values {
		setPG = append(setPG, c.name+" = v."+c.name)
		setLite = append(setLite, c.name+" = ?")
	}
	for _, c := range keys {
		onPG = append(onPG, "t."+c.name+" = v."+c.name)
		onLite = append(onLite, c.name+" = ?")
	}
	t.updatePG = fmt.Sprintf("UPDATE %s AS t SET %s FROM (SELECT %s) AS v WHERE %s",
		name, strings.Join(setPG, ", "), unnested(all), strings.Join(onPG, " AND "))
	t.updateLite = fmt.Sprintf("UPDATE %s SET %s WHERE %s", name, strings.Join(setLite, ", "), strings.Join(onLite, " AND "))
	return t
}

func names[T any](cols []column[T]) string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = c.name
	}
	return strings.Join(out, ", ")
}

// unnested turns array parameters into rows. It belongs into a select list:
// there the arrays are walked side by side, in FROM each would first be copied.
func unnested[T any](cols []column[T]) string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = fmt.Sprintf("unnest($%d::%s[]) AS %s", i+1, c.cast, c.name)
	}
	return strings.Join(out, ", ")
}

func (t *table[T]) insert(d models.Dialect, rows []T) []statement {
	return set(d, rows, t.insertPG, t.insertLite, t.all, nil)
}

func (t *table[T]) update(d models.Dialect, rows []T) []statement {
	return set(d, rows, t.updatePG, t.updateLite, t.all, t.rest)
}

// set is one statement for all rows on PostgreSQL, one a row on SQLite.
// liteOrder is the order of SQLite's parameters where it differs.
func set[T any](d models.Dialect, rows []T, pg, lite string, cols, liteOrder []column[T]) []statement {
	if len(rows) == 0 {
		return nil
	}
	if d == models.Postgres {
		args := make([]any, len(cols))
		for i, c := range cols {
			args[i] = c.list(rows)
		}
		return []statement{{sql: pg, args: args}}
	}
	if liteOrder == nil {
		liteOrder = cols
	}
	out := make([]statement, len(rows))
	for i := range rows {
		args := make([]any, len(liteOrder))
		for j, c := range liteOrder {
			args[j] = c.one(&rows[i])
		}
		out[i] = statement{sql: lite, args: args}
	}
	return out
}
