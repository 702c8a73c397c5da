package models

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	sqlite "github.com/ncruces/go-sqlite3/driver"
)

// SQLite has no server that remembers plans, and database/sql forgets a statement
// with its rows: every query would be parsed and planned anew, a third of what a
// page costs. Connections here keep what they prepared.

const (
	keptStatements = 64       // of one connection: a page runs about twenty
	keptLength     = 4 * 1024 // longer ones list many values, and hardly come again
)

// keeping opens connections that keep their statements.
type keeping struct{ driver.Connector }

// keeper opens them for a data source name of the driver's.
func keeper(dsn string) (driver.Connector, error) {
	c, err := (&sqlite.SQLite{}).OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	return keeping{c}, nil
}

// sqliteConn is what the driver's connections can do.
type sqliteConn interface {
	sqlite.Conn
	driver.ExecerContext
	driver.NamedValueChecker
}

func (k keeping) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("SQLite's driver made a connection of type %T", c), c.Close())
	}
	return &keepingConn{sqliteConn: conn, idle: map[string]*keptStatement{}}, nil
}

// keepingConn is used by one goroutine at a time, as database/sql promises.
type keepingConn struct {
	sqliteConn

	idle map[string]*keptStatement // by its text; nil once closed
	uses int64
}

// sqliteStatement is what the driver's statements can do.
type sqliteStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
	driver.NamedValueChecker
}

type keptStatement struct {
	sqliteStatement

	conn *keepingConn
	text string
	used int64 // when it was last given back
}

func (c *keepingConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	if s := c.idle[text]; s != nil {
		delete(c.idle, text) // the same text may be asked for while this one's rows are read
		return s, nil
	}
	prepared, err := c.sqliteConn.PrepareContext(ctx, text)
	if err != nil || !worthKeeping(text) {
		return prepared, err
	}
	s, ok := prepared.(sqliteStatement)
	if !ok {
		return nil, errors.Join(fmt.Errorf("SQLite's driver made a statement of type %T", prepared), prepared.Close())
	}
	return &keptStatement{sqliteStatement: s, conn: c, text: text}, nil
}

// worthKeeping tells statements that come again, and do their work when they are
// run: many a PRAGMA does it when it is prepared.
func worthKeeping(text string) bool {
	verb, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	switch strings.ToUpper(verb) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH":
		return len(text) <= keptLength
	}
	return false
}

// Close gives the statement back to its connection, which closes the one that
// rested longest when it has too many.
func (s *keptStatement) Close() error {
	c := s.conn
	if c.idle == nil || c.idle[s.text] != nil {
		return s.sqliteStatement.Close()
	}
	c.uses++
	s.used = c.uses
	c.idle[s.text] = s
	if len(c.idle) <= keptStatements {
		return nil
	}
	oldest := s
	for _, other := range c.idle {
		if other.used < oldest.used {
			oldest = other
		}
	}
	delete(c.idle, oldest.text)
	return oldest.sqliteStatement.Close()
}

// Close closes what the connection kept first: SQLite does not close one that has
// statements.
func (c *keepingConn) Close() error {
	var errs []error
	for _, s := range c.idle {
		errs = append(errs, s.sqliteStatement.Close())
	}
	c.idle = nil
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}
