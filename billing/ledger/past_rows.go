package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"refill/models"
)

// rows writes the ledger's tables in bulk: by COPY on PostgreSQL, where the
// indexes of the large tables are made afterwards, and in large transactions on
// SQLite, whose tables lie in the order of their keys.
type rows struct {
	ledger  *Ledger
	charges *stream[models.Charge]

	entries  *stream[models.Entry]
	acts     *stream[models.Act]
	lots     *stream[models.Lot]
	counters *stream[models.UsageQuarter]
	days     *stream[models.UsageDay]
	agencies *stream[models.UsageAgencyDay]
	platform *stream[models.UsagePlatformDay]

	indexes []string // statements that make what was dropped
	lite    *liteWriter
}

func openRows(ctx context.Context, l *Ledger) (*rows, error) {
	r, t := &rows{ledger: l}, l.tables
	if l.db.Dialect == models.SQLite {
		r.lite = &liteWriter{ctx: ctx, db: l.db.WriteSQL()}
		// Keys that are spread over the table come back to the same few thousand pages.
		if _, err := r.lite.db.ExecContext(ctx, "PRAGMA cache_size(-400000)"); err != nil {
			return nil, err
		}
	} else if err := r.dropIndexes(ctx); err != nil {
		return nil, errors.Join(err, r.makeIndexes(ctx))
	}
	var errs []error
	open := func(err error) { errs = append(errs, err) }
	var err error
	r.charges, err = newStream(ctx, r, "charges", t.charges)
	open(err)
	r.entries, err = newStream(ctx, r, "entries", t.entries)
	open(err)
	r.acts, err = newStream(ctx, r, "acts", t.acts)
	open(err)
	r.lots, err = newStream(ctx, r, "lot_rows", t.newLots)
	open(err)
	r.counters, err = newStream(ctx, r, "usage_quarters", t.counters)
	open(err)
	r.days, err = newStream(ctx, r, "usage_days", dayTable())
	open(err)
	r.agencies, err = newStream(ctx, r, "usage_agency_days", agencyDayTable())
	open(err)
	r.platform, err = newStream(ctx, r, "usage_platform_days", platformDayTable())
	open(err)
	return r, errors.Join(errs...)
}

// close writes the rest and makes the indexes.
func (r *rows) close(ctx context.Context) error {
	err := errors.Join(r.charges.close(), r.entries.close(), r.acts.close(), r.lots.close(), r.counters.close(), r.days.close(), r.agencies.close(), r.platform.close())
	if r.lite != nil {
		if err = errors.Join(err, r.lite.commit()); err == nil {
			_, err = r.lite.db.ExecContext(ctx, "ANALYZE")
		}
		return err
	}
	return errors.Join(err, r.makeIndexes(context.WithoutCancel(ctx)), r.vacuum(ctx))
}

// heavy are the tables whose indexes are made afterwards.
const heavy = "'charges', 'entries', 'usage_quarters', 'usage_days'"

// dropIndexes drops the keys and indexes of the heavy tables and remembers how
// to make them.
func (r *rows) dropIndexes(ctx context.Context) error {
	found, err := r.ledger.db.Pool.Query(ctx, `SELECT
			CASE WHEN c.oid IS NULL THEN format('DROP INDEX %s', i.indexrelid::regclass)
				ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', i.indrelid::regclass, c.conname) END,
			CASE WHEN c.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
				ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', i.indrelid::regclass, c.conname, pg_get_constraintdef(c.oid)) END
		FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
		WHERE i.indrelid::regclass::text IN (`+heavy+`) ORDER BY c.oid IS NULL, i.indexrelid`)
	if err != nil {
		return err
	}
	type index struct{ Drop, Make string }
	all, err := pgx.CollectRows(found, pgx.RowToStructByPos[index])
	if err != nil {
		return fmt.Errorf("find the indexes: %w", err)
	}
	for _, i := range all {
		if _, err := r.ledger.db.Pool.Exec(ctx, i.Drop); err != nil {
			return fmt.Errorf("%s: %w", i.Drop, err)
		}
		r.indexes = append(r.indexes, i.Make)
	}
	return nil
}

func (r *rows) makeIndexes(ctx context.Context) error {
	conn, err := r.ledger.db.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SET maintenance_work_mem = '512MB'"); err != nil {
		return err
	}
	var errs []error
	for _, q := range r.indexes {
		if _, err := conn.Exec(ctx, q); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", q, err))
		}
	}
	r.indexes = nil
	_, err = conn.Exec(ctx, "RESET maintenance_work_mem")
	return errors.Join(append(errs, err)...)
}

// vacuum leaves the tables as a database that has had its nights: with
// statistics, and nothing left for the first reader to mark.
func (r *rows) vacuum(ctx context.Context) error {
	_, err := r.ledger.db.Pool.Exec(ctx, "VACUUM (ANALYZE)")
	return err
}

// stream takes rows of one table.
type stream[T any] struct {
	table *table[T]
	width []int // of integers in bytes, by column
	buf   []byte
	full  chan []byte // to the goroutine that copies
	empty chan []byte // and back
	done  chan error
	lite  *liteTable
}

// chunk is how many bytes are copied at once.
const chunk = 1 << 20

// head begins COPY's binary form, tail ends it.
const (
	head = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"
	tail = "\xff\xff"
)

func newStream[T any](ctx context.Context, r *rows, name string, t *table[T]) (*stream[T], error) {
	s := &stream[T]{table: t}
	if r.lite != nil {
		s.lite = r.lite.table(t.inserts.lite)
		return s, nil
	}
	s.full, s.empty, s.done = make(chan []byte), make(chan []byte, 2), make(chan error, 1)
	s.empty <- make([]byte, 0, chunk+chunk/8)
	s.buf = append(make([]byte, 0, chunk+chunk/8), head...)
	conn, err := r.ledger.db.Pool.Acquire(ctx)
	if err != nil {
		close(s.full)
		s.done <- nil
		return s, err
	}
	for i := range t.all {
		var width int
		if err := conn.QueryRow(ctx, "SELECT attlen FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2", name, t.all[i].name).Scan(&width); err != nil {
			conn.Release()
			return s, fmt.Errorf("read the columns of %s: %w", name, err)
		}
		s.width = append(s.width, width)
	}
	query := fmt.Sprintf("COPY %s (%s) FROM STDIN BINARY", name, t.all.names(""))
	go func() {
		defer conn.Release()
		var err error
		for b := range s.full {
			if err == nil {
				if _, err = conn.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(b), query); err != nil {
					err = fmt.Errorf("copy into %s: %w", name, err)
				}
			}
			s.empty <- b[:0]
		}
		s.done <- err
	}()
	return s, nil
}

// add takes one row.
func (s *stream[T]) add(r *T) error {
	if s.lite != nil {
		return s.lite.insert(s.table.all.args(r))
	}
	b := binary.BigEndian.AppendUint16(s.buf, uint16(len(s.table.all))) //nolint:gosec // columns
	for i := range s.table.all {
		c := &s.table.all[i]
		from := len(b)
		b = c.put(b, r)
		if w := s.width[i]; c.cast == "bigint" && w < 8 && len(b) == from+12 {
			// The parameters of the charge path are all bigint; a copy has the column's own width.
			binary.BigEndian.PutUint32(b[from:], uint32(w)) //nolint:gosec // 2 or 4
			b = append(b[:from+4], b[from+12-w:from+12]...)
		}
	}
	s.buf = b
	if len(s.buf) < chunk {
		return nil
	}
	s.send()
	return nil
}

func (s *stream[T]) send() {
	s.full <- append(s.buf, tail...)
	s.buf = append(<-s.empty, head...)
}

func (s *stream[T]) close() error {
	if s.lite != nil {
		return nil
	}
	if len(s.buf) > len(head) {
		s.send()
	}
	close(s.full)
	return <-s.done
}

// liteWriter writes rows in transactions of many.
type liteWriter struct {
	ctx    context.Context //nolint:containedctx // of the one run it serves
	db     *sql.DB
	tx     *sql.Tx
	tables []*liteTable
	rows   int
}

type liteTable struct {
	writer *liteWriter
	query  string
	ready  *sql.Stmt
}

// liteBatch is how many rows one transaction writes.
const liteBatch = 50_000

func (w *liteWriter) table(query string) *liteTable {
	t := &liteTable{writer: w, query: query}
	w.tables = append(w.tables, t)
	return t
}

func (t *liteTable) insert(args []any) (err error) {
	w := t.writer
	if w.tx == nil {
		if w.tx, err = w.db.BeginTx(w.ctx, nil); err != nil {
			return err
		}
	}
	if t.ready == nil {
		if t.ready, err = w.tx.PrepareContext(w.ctx, t.query); err != nil {
			return fmt.Errorf("%s: %w", t.query, err)
		}
	}
	if _, err := t.ready.ExecContext(w.ctx, args...); err != nil {
		return fmt.Errorf("%s: %w", t.query, err)
	}
	if w.rows++; w.rows%liteBatch == 0 {
		return w.commit()
	}
	return nil
}

func (w *liteWriter) commit() error {
	if w.tx == nil {
		return nil
	}
	var errs []error
	for _, t := range w.tables {
		if t.ready != nil {
			errs = append(errs, t.ready.Close())
			t.ready = nil
		}
	}
	errs = append(errs, w.tx.Commit())
	w.tx = nil
	return errors.Join(errs...)
}

func dayTable() *table[models.UsageDay] {
	type day = models.UsageDay
	return newTable("usage_days",
		columns[day]{
			ident("agency_id", func(r *day) *models.AgencyID { return &r.AgencyID }),
			integer("day", func(r *day) *models.Time { return &r.Day }),
			ident("paid_wallet_id", func(r *day) *models.WalletID { return &r.PaidWalletID }),
			ident("wallet_id", func(r *day) *models.WalletID { return &r.WalletID }),
			text("action", func(r *day) *string { return &r.Action }),
			text("model", func(r *day) *string { return &r.Model }),
		},
		columns[day]{
			integer("plan", func(r *day) *models.Credits { return &r.Plan }),
			integer("purchased", func(r *day) *models.Credits { return &r.Purchased }),
			integer("assigned", func(r *day) *models.Credits { return &r.Assigned }),
			integer("bonus", func(r *day) *models.Credits { return &r.Bonus }),
			integer("excess", func(r *day) *models.Credits { return &r.Excess }),
			integer("units", func(r *day) *int64 { return &r.Units }),
			integer("charges", func(r *day) *int64 { return &r.Charges }),
			integer("tests", func(r *day) *int64 { return &r.Tests }),
		})
}

func agencyDayTable() *table[models.UsageAgencyDay] {
	type day = models.UsageAgencyDay
	return newTable("usage_agency_days",
		columns[day]{
			ident("agency_id", func(r *day) *models.AgencyID { return &r.AgencyID }),
			integer("day", func(r *day) *models.Time { return &r.Day }),
			text("action", func(r *day) *string { return &r.Action }),
			text("model", func(r *day) *string { return &r.Model }),
		},
		columns[day]{
			integer("plan", func(r *day) *models.Credits { return &r.Plan }),
			integer("purchased", func(r *day) *models.Credits { return &r.Purchased }),
			integer("assigned", func(r *day) *models.Credits { return &r.Assigned }),
			integer("bonus", func(r *day) *models.Credits { return &r.Bonus }),
			integer("excess", func(r *day) *models.Credits { return &r.Excess }),
			integer("units", func(r *day) *int64 { return &r.Units }),
			integer("charges", func(r *day) *int64 { return &r.Charges }),
			integer("tests", func(r *day) *int64 { return &r.Tests }),
			integer("own", func(r *day) *models.Credits { return &r.Own }),
		})
}

func platformDayTable() *table[models.UsagePlatformDay] {
	type day = models.UsagePlatformDay
	return newTable("usage_platform_days",
		columns[day]{
			ident("agency_id", func(r *day) *models.AgencyID { return &r.AgencyID }),
			integer("day", func(r *day) *models.Time { return &r.Day }),
			text("action", func(r *day) *string { return &r.Action }),
			text("model", func(r *day) *string { return &r.Model }),
		},
		columns[day]{
			integer("plan", func(r *day) *models.Credits { return &r.Plan }),
			integer("purchased", func(r *day) *models.Credits { return &r.Purchased }),
			integer("assigned", func(r *day) *models.Credits { return &r.Assigned }),
			integer("bonus", func(r *day) *models.Credits { return &r.Bonus }),
			integer("excess", func(r *day) *models.Credits { return &r.Excess }),
			integer("units", func(r *day) *int64 { return &r.Units }),
			integer("charges", func(r *day) *int64 { return &r.Charges }),
			integer("tests", func(r *day) *int64 { return &r.Tests }),
		})
}
