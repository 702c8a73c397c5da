package models

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// PoolUse is how a pool of connections does.
type PoolUse struct {
	Name   string
	Most   int // connections it may open
	InUse  int
	Idle   int
	Waits  int64         // how often somebody had to wait for one, since the start
	Waited time.Duration // all together
}

// Pools tells how the portal's connections are used: on SQLite those that read
// and the one that writes, on PostgreSQL one pool for both.
func (db *DB) Pools() []PoolUse {
	if db.Dialect == Postgres {
		return []PoolUse{UseOf("portal", db.Pool)}
	}
	read, write := db.readSQL.Stats(), db.writeSQL.Stats()
	return []PoolUse{
		{Name: "read", Most: read.MaxOpenConnections, InUse: read.InUse, Idle: read.Idle, Waits: read.WaitCount, Waited: read.WaitDuration},
		{Name: "write", Most: write.MaxOpenConnections, InUse: write.InUse, Idle: write.Idle, Waits: write.WaitCount, Waited: write.WaitDuration},
	}
}

// UseOf tells how a pool of PostgreSQL connections does.
func UseOf(name string, pool *pgxpool.Pool) PoolUse {
	s := pool.Stat()
	return PoolUse{
		Name: name, Most: int(s.MaxConns()), InUse: int(s.AcquiredConns()), Idle: int(s.IdleConns()),
		Waits: s.EmptyAcquireCount(), Waited: s.EmptyAcquireWaitTime(),
	}
}
