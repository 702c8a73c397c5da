package ledger

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

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

// planned makes PostgreSQL look rows up through their keys, by one plan for each
// statement, until the transaction or the connection ends. Every statement here
// joins an array of keys to an index; left to itself the planner reads a young
// table from end to end instead, and keeps that plan while the table grows.
func planned(transaction bool) string {
	return fmt.Sprintf(`SELECT set_config('plan_cache_mode', 'force_generic_plan', %[1]t), set_config('enable_seqscan', 'off', %[1]t),
		set_config('enable_hashjoin', 'off', %[1]t), set_config('enable_mergejoin', 'off', %[1]t)`, transaction)
}

// openPool opens the connections of the lanes and of the side batches: they plan
// as the charge path needs, and no page or report can keep a charge waiting for
// one.
func openPool(ctx context.Context, db *models.DB, most int) (*pgxpool.Pool, error) {
	cfg := db.Pool.Config()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = int32(most), 0, 0 //nolint:gosec // a handful
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, planned(false))
		return err
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// pipeline sends statements to PostgreSQL in one round trip. Each still takes
// its own snapshot.
type pipeline struct{ conn *pgx.Conn }

func (p pipeline) run(ctx context.Context, stmts []statement) error {
	if len(stmts) == 0 {
		return nil
	}
	ready := make([]*pgconn.StatementDescription, len(stmts))
	for i, s := range stmts {
		var err error
		if ready[i], err = p.conn.Prepare(ctx, s.sql, s.sql); err != nil { // a round trip the first time only
			return err
		}
	}
	formats := []int16{pgx.BinaryFormatCode} // of all
	pipe := p.conn.PgConn().StartPipeline(ctx)
	for i, s := range stmts {
		pipe.SendQueryStatement(ready[i], wire(s.args), formats, formats)
	}
	err := pipe.Sync()
	for i := 0; i < len(stmts) && err == nil; i++ {
		err = receive(pipe, &stmts[i])
	}
	return errors.Join(err, pipe.Close())
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

func (p prepared) one(ctx context.Context, s statement) error {
	query, exec := func() (*sql.Rows, error) { return p.tx.QueryContext(ctx, s.sql, s.args...) },
		func() (sql.Result, error) { return p.tx.ExecContext(ctx, s.sql, s.args...) }
	if stmt := p.ready[s.sql]; stmt != nil {
		in := p.tx.StmtContext(ctx, stmt)
		query, exec = func() (*sql.Rows, error) { return in.QueryContext(ctx, s.args...) },
			func() (sql.Result, error) { return in.ExecContext(ctx, s.args...) }
	}
	if s.scan == nil {
		_, err := exec()
		return err
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
