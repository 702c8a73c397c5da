package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"refill/models"
)

// Options tune the charger.
type Options struct {
	Log   *slog.Logger
	Lanes int // batches under way at most; 0 means 2 on PostgreSQL, 1 on SQLite
	Batch int // most commands of one transaction; 0 means 1,000
	Queue int // most commands waiting for the lanes; 0 means 8,192

	Observer Observer // nil: nobody watches, and nothing is measured
}

// Ledger writes credits. It is safe for concurrent use, and several processes
// may run one on the same database: the locks are in the database.
type Ledger struct {
	db     *models.DB
	pool   *pgxpool.Pool // nil on SQLite
	tables *tables
	log    *slog.Logger
	batch  int
	queue  int
	watch  watch

	known  *known
	looks  chan *look
	intake *intake
	hints  sync.Map // WalletID → WalletID of the pool it needed last time
	ready  map[string]*sql.Stmt

	stop context.Context //nolint:containedctx // ends the lanes, not a request
	end  context.CancelFunc
	work sync.WaitGroup
	gone chan struct{} // closed when nothing runs any more
	once sync.Once

	aside aside

	stirs chan struct{} // see Stirs

	// How a batch locks wallets and reads their lots; a test replaces it to
	// show that it would notice.
	lockAndRead func(d models.Dialect, b *book, wallets []walletKey, skip bool) []statement
}

// Open starts the charger's lanes. Close drains them.
func Open(ctx context.Context, db *models.DB, o Options) (*Ledger, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Batch == 0 {
		o.Batch = 1000
	}
	if o.Queue == 0 {
		o.Queue = 8192
	}
	if o.Lanes == 0 {
		o.Lanes = 2
	}
	if db.Dialect == models.SQLite {
		o.Lanes = 1 // one writer
	}
	l := &Ledger{
		db: db, tables: newTables(), log: o.Log, batch: o.Batch, watch: watch{o.Observer, time.Now()}, //nolint:forbidigo // what waits are measured from
		intake: newIntake(o.Queue), ready: map[string]*sql.Stmt{}, gone: make(chan struct{}), queue: o.Queue, known: newKnown(), looks: make(chan *look),
		aside:       aside{queues: map[models.WalletID][]*command{}, turns: make(chan struct{}, sideBatches)},
		lockAndRead: lockThenRead, stirs: make(chan struct{}, 1),
	}
	if db.Dialect == models.Postgres {
		var err error
		if l.pool, err = openPool(context.WithoutCancel(ctx), db, o.Lanes+sideBatches+readers, l.statements); err != nil {
			return nil, err
		}
	} else if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	l.stop, l.end = context.WithCancel(context.WithoutCancel(ctx))
	for range readers {
		l.work.Go(l.serveLooks)
	}
	for range o.Lanes {
		l.work.Go(l.serve)
	}
	return l, nil
}

// Close answers what is queued and stops; closing again does nothing.
func (l *Ledger) Close() error {
	var errs []error
	l.once.Do(func() {
		l.end()
		l.intake.close()
		l.work.Wait()
		close(l.gone)
		for _, s := range l.ready {
			errs = append(errs, s.Close())
		}
		if l.pool != nil {
			l.pool.Close()
		}
	})
	return errors.Join(errs...)
}

// statements are all that the lanes, side batches and looks run.
func (l *Ledger) statements() []statement {
	b, t, d := newBook(l.tables), l.tables, l.db.Dialect
	out := []statement{}
	if d == models.Postgres {
		out = append(out, waitForLocks)
		out = append(out, l.lockAndRead(d, b, []walletKey{{}}, true)...)
		out = append(out, b.readStanding([]walletKey{{}})...)
	}
	out = append(out, l.lockAndRead(d, b, []walletKey{{}}, false)...)
	out = append(out, b.readKeys(d, []key{{}})...)
	out = append(out, b.readHoldKeys(d, []key{{}})...)
	out = append(out, b.readHolds(d, []holdKey{{}})...)
	out = append(out, readDraws(d, &models.Charge{Seq: 1}, &[]Draw{})...)
	for _, n := range []int{1, 2} { // a single row has its own form
		out = append(out, t.charges.insert(d, pointers(make([]models.Charge, n)))...)
		out = append(out, t.holds.insert(d, pointers(make([]models.Hold, n)))...)
		out = append(out, t.holdEnds.update(d, pointers(make([]models.Hold, n)))...)
		out = append(out, t.acts.insert(d, pointers(make([]models.Act, n)))...)
		out = append(out, t.wallets.update(d, pointers(make([]models.Wallet, n)))...)
		out = append(out, t.lots.update(d, pointers(make([]models.Lot, n)))...)
		out = append(out, t.entries.insert(d, pointers(make([]models.Entry, n)))...)
		out = append(out, t.watches.update(d, pointers(make([]models.Wallet, n)))...)
		out = append(out, t.stirred.insert(d, pointers(make([]models.Stirred, n)))...)
		out = append(out, t.counters.insert(d, pointers(make([]models.UsageQuarter, n)))...)
	}
	return out
}

// prepare readies the charge path's statements on SQLite's writing connection.
func (l *Ledger) prepare(ctx context.Context) error {
	for _, s := range l.statements() {
		if l.ready[s.sql] != nil {
			continue
		}
		ready, err := l.db.WriteSQL().PrepareContext(ctx, s.sql) //nolint:sqlclosecheck // Close closes it
		if err != nil {
			return fmt.Errorf("prepare %q: %w", s.sql, err)
		}
		l.ready[s.sql] = ready
	}
	return nil
}
