package ledger

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"refill/models"
)

// statement is one SQL statement of a transaction. scan, when set, is called
// for each row. A guard must change one row; on PostgreSQL, where it changes a
// set, it sees to that itself.
type statement struct {
	sql   string
	args  []any
	scan  func(record) error
	guard bool
}

type row interface{ Scan(dest ...any) error }

// record is one row of an answer: as PostgreSQL sent it, or to be scanned.
type record struct {
	wire [][]byte // in binary form; nil is NULL
	row  row
}

// column maps one field of a row type to a column, in both dialects: one array
// parameter for a set on PostgreSQL, one parameter a row on SQLite and for a set of
// one. The
// charge path reads and writes PostgreSQL's binary form itself, because a
// driver that finds out by reflection costs more than the rest of a charge.
type column[T any] struct {
	name string
	cast string                      // the SQL type parameters are cast to
	put  func(b []byte, r *T) []byte // appends the value's binary form behind its length
	take func(r *T, b []byte)        // sets the field from it
	arg  func(r *T) any              // the field as a parameter of its own
	at   func(r *T) any              // where database/sql scans to
}

type columns[T any] []column[T]

func integer[T any, V ~int | ~int16 | ~int64](name string, at func(*T) *V) column[T] {
	return column[T]{
		name: name, cast: "bigint",
		put: func(b []byte, r *T) []byte {
			return binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(*at(r)))
		},
		take: func(r *T, b []byte) { *at(r) = V(signed(b)) },
		arg:  func(r *T) any { return int64(*at(r)) },
		at:   func(r *T) any { return at(r) },
	}
}

// signed reads an integer of two, four or eight bytes.
func signed(b []byte) int64 {
	var n int64
	for i, c := range b {
		if i == 0 {
			n = int64(int8(c)) //nolint:gosec // the first byte has the sign
			continue
		}
		n = n<<8 | int64(c)
	}
	return n
}

func text[T any, V ~string](name string, at func(*T) *V) column[T] {
	return column[T]{
		name: name, cast: "text",
		put:  func(b []byte, r *T) []byte { return append(size(b, len(*at(r))), *at(r)...) },
		take: func(r *T, b []byte) { *at(r) = V(b) },
		arg:  func(r *T) any { return string(*at(r)) },
		at:   func(r *T) any { return at(r) },
	}
}

// nullText is a text column that may be NULL; it is only written.
func nullText[T any](name string, get func(*T) *string) column[T] {
	return column[T]{
		name: name, cast: "text",
		put: func(b []byte, r *T) []byte {
			if s := get(r); s != nil {
				return append(size(b, len(*s)), *s...)
			}
			return null(b)
		},
		arg: func(r *T) any {
			if s := get(r); s != nil {
				return *s
			}
			return nil
		},
	}
}

func boolean[T any](name string, at func(*T) *bool) column[T] {
	return column[T]{
		name: name, cast: "boolean",
		put: func(b []byte, r *T) []byte {
			if *at(r) {
				return append(b, 0, 0, 0, 1, 1)
			}
			return append(b, 0, 0, 0, 1, 0)
		},
		take: func(r *T, b []byte) { *at(r) = b[0] != 0 },
		arg:  func(r *T) any { return *at(r) },
		at:   func(r *T) any { return at(r) },
	}
}

func octets[T any](name string, at func(*T) *[]byte) column[T] {
	return column[T]{
		name: name, cast: "bytea",
		put: func(b []byte, r *T) []byte {
			if *at(r) == nil {
				return null(b)
			}
			return append(size(b, len(*at(r))), *at(r)...)
		},
		take: func(r *T, b []byte) { *at(r) = append([]byte(nil), b...) },
		arg:  func(r *T) any { return *at(r) },
		at:   func(r *T) any { return at(r) },
	}
}

// ident is a column of ids; the zero id is NULL.
func ident[T any, V ~[16]byte](name string, at func(*T) *V) column[T] {
	return column[T]{
		name: name, cast: "uuid",
		put: func(b []byte, r *T) []byte {
			id := [16]byte(*at(r))
			if id == [16]byte{} {
				return null(b)
			}
			return append(append(b, 0, 0, 0, 16), id[:]...)
		},
		take: func(r *T, b []byte) {
			*at(r) = V{}
			if b != nil {
				*at(r) = V([16]byte(b))
			}
		},
		arg: func(r *T) any {
			id := [16]byte(*at(r))
			if id == [16]byte{} {
				return nil
			}
			return id[:]
		},
		at: func(r *T) any { return at(r) },
	}
}

func size(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) } //nolint:gosec // no value has 4 GB

func null(b []byte) []byte { return append(b, 0xff, 0xff, 0xff, 0xff) }

// elements are the types of the arrays' elements, as PostgreSQL numbers them.
//
//nolint:gochecknoglobals // constants
var elements = map[string]uint32{"boolean": 16, "bytea": 17, "bigint": 20, "text": 25, "uuid": 2950}

// array is the column of rows as an array of one dimension that begins at 1.
func (c *column[T]) array(rows []*T) models.Wire {
	const usual = 20 // bytes of a value
	b := make([]byte, 0, 20+usual*len(rows))
	for _, n := range []uint32{1, 0, elements[c.cast], uint32(len(rows)), 1} { //nolint:gosec // rows of one batch
		b = binary.BigEndian.AppendUint32(b, n)
	}
	for _, r := range rows {
		b = c.put(b, r)
	}
	return b
}

func (cols columns[T]) arrays(rows []*T) []any {
	out := make([]any, len(cols))
	for i := range cols {
		out[i] = cols[i].array(rows)
	}
	return out
}

// args are one row's parameters.
func (cols columns[T]) args(r *T) []any {
	out := make([]any, len(cols))
	for i := range cols {
		out[i] = cols[i].arg(r)
	}
	return out
}

// read sets the columns' fields from a row that begins with them.
func (cols columns[T]) read(from record, into *T) error {
	if from.row == nil {
		for i := range cols {
			cols[i].take(into, from.wire[i])
		}
		return nil
	}
	dest := make([]any, len(cols))
	for i := range cols {
		dest[i] = cols[i].at(into)
	}
	return from.row.Scan(dest...)
}

// names lists the columns, each behind the prefix.
func (cols columns[T]) names(prefix string) string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = prefix + c.name
	}
	return strings.Join(out, ", ")
}

// unnested turns array parameters into rows. It belongs into a select list:
// there the arrays are walked side by side, in FROM each would first be copied.
func (cols columns[T]) unnested() string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = fmt.Sprintf("unnest($%d::%s[]) AS %s", i+1, c.cast, c.name)
	}
	return strings.Join(out, ", ")
}

// table is how a row type is written. Its parameters come in one of two orders,
// made once: all is keys then values, rest is values then keys.
type table[T any] struct {
	all, rest columns[T]
	inserts   texts
	updates   texts
	guarded   bool // see guardBy
}

// texts is one statement in its three forms. Half of what PostgreSQL does for a
// single row is setting up to walk arrays, so that row has a form without.
type texts struct{ many, one, lite string }

// each changes all forms.
func (t *texts) each(change func(form string) string) {
	t.many, t.one, t.lite = change(t.many), change(t.one), change(t.lite)
}

func newTable[T any](name string, keys, values columns[T]) *table[T] {
	all := append(append(columns[T]{}, keys...), values...)
	t := &table[T]{all: all, rest: append(append(columns[T]{}, values...), keys...)}
	into := fmt.Sprintf("INSERT INTO %s (%s) ", name, all.names(""))
	var given, setMany, setOne, setLite, onMany, onOne, onLite []string
	for i, c := range all {
		given = append(given, parameter(i, c.cast))
	}
	for i, c := range values {
		setMany = append(setMany, c.name+" = v."+c.name)
		setOne = append(setOne, c.name+" = "+parameter(i, c.cast))
		setLite = append(setLite, c.name+" = ?")
	}
	for i, c := range keys {
		onMany = append(onMany, "t."+c.name+" = v."+c.name)
		onOne = append(onOne, "t."+c.name+" = "+parameter(len(values)+i, c.cast))
		onLite = append(onLite, c.name+" = ?")
	}
	t.inserts = texts{
		many: into + "SELECT " + all.unnested(),
		one:  into + "VALUES (" + strings.Join(given, ", ") + ")",
		lite: into + "VALUES (" + strings.TrimSuffix(strings.Repeat("?,", len(all)), ",") + ")",
	}
	t.updates = texts{
		many: fmt.Sprintf("UPDATE %s AS t SET %s FROM (SELECT %s) AS v WHERE %s",
			name, strings.Join(setMany, ", "), all.unnested(), strings.Join(onMany, " AND ")),
		one:  fmt.Sprintf("UPDATE %s AS t SET %s WHERE %s", name, strings.Join(setOne, ", "), strings.Join(onOne, " AND ")),
		lite: fmt.Sprintf("UPDATE %s SET %s WHERE %s", name, strings.Join(setLite, ", "), strings.Join(onLite, " AND ")),
	}
	return t
}

// parameter is PostgreSQL's parameter of an index, from 0.
func parameter(i int, cast string) string { return fmt.Sprintf("$%d::%s", i+1, cast) }

func (t *table[T]) insert(d models.Dialect, rows []*T) []statement {
	return set(d, rows, &t.inserts, t.all, t.all)
}

// onConflict says what an insert does with a row that is there.
func (t *table[T]) onConflict(do string) {
	t.inserts.each(func(insert string) string { return insert + " ON CONFLICT " + do })
}

// guardBy makes updates fail, instead of leaving rows out, when the counter in
// the database is not one behind the row's.
func (t *table[T]) guardBy(counter string) {
	at := slices.IndexFunc(t.rest, func(c column[T]) bool { return c.name == counter })
	const all = "WITH done AS (%s AND t.%s = %s - 1 RETURNING 1) SELECT 1 / (count(*) = %s)::int FROM done"
	t.updates.many = fmt.Sprintf(all, t.updates.many, counter, "v."+counter, "cardinality($1)")
	t.updates.one = fmt.Sprintf(all, t.updates.one, counter, parameter(at, t.rest[at].cast), "1")
	t.updates.lite += fmt.Sprintf(" AND %s = ?%d - 1", counter, at+1)
	t.guarded = true
}

func (t *table[T]) update(d models.Dialect, rows []*T) []statement {
	out := set(d, rows, &t.updates, t.all, t.rest)
	for i := range out {
		out[i].guard = t.guarded
	}
	return out
}

// set is one statement for all rows on PostgreSQL, one a row on SQLite. Parameters
// of a single row may have an order of their own.
func set[T any](d models.Dialect, rows []*T, sql *texts, many, single columns[T]) []statement {
	if d == models.Postgres && len(rows) > 0 && (len(rows) > 1 || sql.one == "") {
		return []statement{{sql: sql.many, args: many.arrays(rows)}}
	}
	text := sql.lite
	if d == models.Postgres {
		text = sql.one
	}
	out := make([]statement, len(rows))
	for i, r := range rows {
		out[i] = statement{sql: text, args: single.args(r)}
	}
	return out
}

// search finds rows by many keys at once.
type search[K any] struct {
	keys columns[K]
	pg   string
	lite string // for one key
}

// newSearch selects columns from a table, as t, whose columns are equal to the
// keys; more is further SQL behind that.
func newSearch[K any](keys columns[K], selected, table, more string) search[K] {
	var onPG, onLite []string
	for _, c := range keys {
		onPG = append(onPG, "t."+c.name+" = k."+c.name)
		onLite = append(onLite, "t."+c.name+" = ?")
	}
	return search[K]{
		keys: keys,
		pg: fmt.Sprintf("SELECT %s FROM (SELECT %s) AS k JOIN %s t ON %s%s",
			selected, keys.unnested(), table, strings.Join(onPG, " AND "), more),
		lite: fmt.Sprintf("SELECT %s FROM %s t WHERE %s%s", selected, table, strings.Join(onLite, " AND "), more),
	}
}

func (s *search[K]) find(d models.Dialect, keys []K, scan func(record) error) []statement {
	found := set(d, pointers(keys), &texts{many: s.pg, lite: s.lite}, s.keys, s.keys)
	for i := range found {
		found[i].scan = scan
	}
	return found
}

func pointers[T any](rows []T) []*T {
	out := make([]*T, len(rows))
	for i := range rows {
		out[i] = &rows[i]
	}
	return out
}
