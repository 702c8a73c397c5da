package ledger

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"

	"refill/models"
)

// runner runs the statements of one transaction in order.
type runner interface {
	run(ctx context.Context, stmts []statement) error
}

// transaction is a runner that also ends what it runs in.
type transaction interface {
	runner
	commit(ctx context.Context, stmts []statement) error
}

// planned makes PostgreSQL look rows up through their keys, by one plan for each
// statement, until the transaction or the connection ends. Every statement here
// joins an array of keys to an index; left to itself the planner reads a young
// table from end to end instead, and keeps that plan while the table grows.
func planned(transaction bool) string {
	return fmt.Sprintf(`SELECT set_config('plan_cache_mode', 'force_generic_plan', %[1]t), set_config('enable_seqscan', 'off', %[1]t),
		set_config('enable_hashjoin', 'off', %[1]t), set_config('enable_mergejoin', 'off', %[1]t)`, transaction)
}

// patience is how long a lane waits for the lock of a wallet it remembers before
// it goes the long way, where such a wallet is waited for aside.
const patience = "10ms"

// openPool opens the connections of the lanes, the side batches and the looks:
// they plan as the charge path needs, and no page or report can keep a charge
// waiting for one. ready lists the statements they run.
func openPool(ctx context.Context, db *models.DB, most int, ready func() []statement) (*pgxpool.Pool, error) {
	cfg := db.Pool.Config()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = int32(most), 0, 0 //nolint:gosec // a handful
	cfg.MaxConnLifetime = planLife
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, planned(false)+", set_config('default_transaction_isolation', 'read committed', false)")
		for _, s := range ready() {
			if err != nil {
				return err
			}
			_, err = conn.Prepare(ctx, s.sql, s.sql)
		}
		if err != nil {
			return err
		}
		// Last: preparing waits for whoever has a whole table, as a migration does, and a
		// connection that gave up would have its charge refused.
		_, err = conn.Exec(ctx, "SELECT set_config('lock_timeout', '"+patience+"', false)")
		return err
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// planLife is how long a connection keeps its plans: made while a table was
// young, they would be kept while it grows.
const planLife = 5 * time.Minute

// waitForLocks lets one transaction wait for locks as long as it takes.
//
//nolint:gochecknoglobals // a constant statement
var waitForLocks = statement{sql: "SET LOCAL lock_timeout = 0"}

// pipeline is a transaction on PostgreSQL: what its connection is sent before it
// syncs is committed together or not at all, and needs no BEGIN and no COMMIT.
// Each statement still takes its own snapshot.
type pipeline struct {
	conn *pgx.Conn
	pipe *pgconn.Pipeline // nil: nothing was sent yet
	last bool             // commit was called: what was sent may write
}

// run sends statements in one round trip and stays in the transaction.
func (p *pipeline) run(ctx context.Context, stmts []statement) error {
	if len(stmts) == 0 {
		return nil
	}
	if err := p.send(ctx, stmts); err != nil {
		return err
	}
	p.pipe.SendFlushRequest()
	return errors.Join(p.pipe.Flush(), p.receive(stmts))
}

// commit sends the last statements and ends the transaction, in one round trip.
func (p *pipeline) commit(ctx context.Context, stmts []statement) error {
	if len(stmts) == 0 && p.pipe == nil {
		return nil
	}
	p.last = true
	if err := p.send(ctx, stmts); err != nil {
		return err
	}
	if err := errors.Join(p.pipe.Sync(), p.receive(stmts)); err != nil {
		return err
	}
	end, err := p.pipe.GetResults()
	if _, ok := end.(*pgconn.PipelineSync); err == nil && !ok {
		err = fmt.Errorf("ledger: a commit was answered with %T", end)
	}
	return err
}

func (p *pipeline) send(ctx context.Context, stmts []statement) error {
	if p.pipe == nil {
		p.pipe = p.conn.PgConn().StartPipeline(ctx)
	}
	formats := []int16{pgx.BinaryFormatCode} // of all
	for _, s := range stmts {
		ready, err := p.conn.Prepare(ctx, s.sql, s.sql) // done by openPool: this finds it
		if err != nil {
			return fmt.Errorf("not prepared: %s: %w", s.sql, err)
		}
		p.pipe.SendQueryStatement(ready, wire(s.args), formats, formats)
	}
	return nil
}

func (p *pipeline) receive(stmts []statement) error {
	for i := range stmts {
		if err := receive(p.pipe, &stmts[i]); err != nil {
			return err
		}
	}
	return nil
}

// close leaves the connection outside any transaction. One that only read is
// ended; one that was cut short while it wrote loses its connection instead.
func (p *pipeline) close() error {
	if p.pipe == nil {
		return nil
	}
	var err error
	if !p.last && !p.conn.IsClosed() { // pgx says goodbye to a broken one beside us, and panics when we write too
		err = p.pipe.Sync()
	}
	return errors.Join(err, p.pipe.Close())
}

// wire gives parameters their binary form: ids and octets are their bytes.
func wire(args []any) [][]byte {
	out := make([][]byte, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case models.Wire:
			out[i] = v
		case []byte:
			out[i] = v
		case string:
			out[i] = []byte(v)
		case bool:
			out[i] = []byte{0}
			if v {
				out[i][0] = 1
			}
		case int64:
			out[i] = binary.BigEndian.AppendUint64(nil, uint64(v)) //nolint:gosec // two's complement is the form
		}
	}
	return out
}

func receive(pipe *pgconn.Pipeline, s *statement) error {
	results, err := pipe.GetResults()
	if err != nil {
		return err
	}
	rows, ok := results.(*pgconn.ResultReader)
	if !ok {
		return fmt.Errorf("ledger: a pipeline answered with %T", results)
	}
	for s.scan != nil && rows.NextRow() {
		if err := s.scan(record{wire: rows.Values()}); err != nil {
			return err
		}
	}
	_, err = rows.Close()
	return err
}

// prepared runs statements one by one inside a database/sql transaction,
// through statements that are ready on SQLite's one writing connection.
type prepared struct {
	tx    *sql.Tx
	ready map[string]*sql.Stmt
}

func (p prepared) run(ctx context.Context, stmts []statement) error {
	for _, s := range stmts {
		if err := p.one(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (p prepared) commit(ctx context.Context, stmts []statement) error {
	if err := p.run(ctx, stmts); err != nil {
		return err
	}
	return p.tx.Commit()
}

func (p prepared) one(ctx context.Context, s statement) error {
	query, exec := func() (*sql.Rows, error) { return p.tx.QueryContext(ctx, s.sql, s.args...) },
		func() (sql.Result, error) { return p.tx.ExecContext(ctx, s.sql, s.args...) }
	if stmt := p.ready[s.sql]; stmt != nil {
		in := p.tx.StmtContext(ctx, stmt)
		query, exec = func() (*sql.Rows, error) { return in.QueryContext(ctx, s.args...) },
			func() (sql.Result, error) { return in.ExecContext(ctx, s.args...) }
	}
	if s.scan == nil {
		done, err := exec()
		if err != nil || !s.guard {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, errOutdated)
		}
		return nil
	}
	rows, err := query()
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := s.scan(record{row: rows}); err != nil {
			return err
		}
	}
	return rows.Err()
}

// within gives the runner of a GORM transaction. Connections remember the plans
// of statements, so this way plans as the charger does.
func within(tx *gorm.DB) (prepared, error) {
	raw, ok := tx.Statement.ConnPool.(*sql.Tx)
	if !ok {
		return prepared{}, fmt.Errorf("ledger: called outside a transaction (%T)", tx.Statement.ConnPool)
	}
	if dialectOf(tx) == models.Postgres {
		if _, err := raw.ExecContext(tx.Statement.Context, planned(true)); err != nil {
			return prepared{}, err
		}
	}
	return prepared{tx: raw}, nil
}

// dialect of a GORM handle.
func dialectOf(tx *gorm.DB) models.Dialect {
	if tx.Name() == "postgres" {
		return models.Postgres
	}
	return models.SQLite
}
