package ledger

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"

	"refill/billing/problem"
	"refill/models"
)

// command is one request on its way through a batch. Exactly one of charge,
// hold, capture and release is set.
type command struct {
	charge  *ChargeRequest
	hold    *HoldRequest
	capture *CaptureRequest
	release *ReleaseRequest

	pool    models.WalletID // locked as well when set
	lacks   models.WalletID // what another transaction held when it was tried
	asked   time.Duration   // when, by the watch
	receipt Receipt
	held    HoldReceipt
	err     error
	done    chan struct{}
}

func (c *command) place() walletKey {
	switch {
	case c.charge != nil:
		return walletKey{c.charge.Agency, c.charge.Wallet}
	case c.hold != nil:
		return walletKey{c.hold.Agency, c.hold.Wallet}
	case c.capture != nil:
		return walletKey{c.capture.Charge.Agency, c.capture.Charge.Wallet}
	default:
		return walletKey{c.release.Agency, c.release.Wallet}
	}
}

// key is the command's idempotency key; a release has none, its hold is one.
func (c *command) key() (key, bool) {
	switch {
	case c.charge != nil:
		return key{c.charge.Agency, c.charge.Key}, true
	case c.hold != nil:
		return key{c.hold.Agency, c.hold.Key}, true
	case c.capture != nil:
		return key{c.capture.Charge.Agency, c.capture.Charge.Key}, true
	default:
		return key{}, false
	}
}

// decide runs the command against the book: pure but for the book itself, and
// a refusal leaves the book as it was.
func (c *command) decide(b *book) {
	c.receipt, c.held, c.err = Receipt{}, HoldReceipt{}, nil
	if c.err = c.bounded(); c.err != nil {
		return
	}
	switch {
	case c.charge != nil:
		c.receipt, c.err = b.charge(c.charge)
	case c.hold != nil:
		c.held, c.err = b.hold(c.hold)
	case c.capture != nil:
		c.receipt, c.err = b.capture(c.capture)
	default:
		c.held, c.err = b.release(c.release)
	}
}

// bounded holds the command's amount against the bounds of a charge (I-28).
func (c *command) bounded() error {
	var credits models.Credits
	switch {
	case c.charge != nil:
		credits = c.charge.Credits
	case c.hold != nil:
		if credits = c.hold.Credits; credits == 0 {
			return positive(credits)
		}
	case c.capture != nil:
		credits = c.capture.Charge.Credits
	}
	if credits < 0 || credits > models.MaxCharge {
		return problem.New(problem.Invalid, "credits_out_of_range", "One charge may cost at most %s credits.", models.MaxCharge).On("credits")
	}
	return nil
}

// Charge books one priced charge, or gives the answer its key had before. It
// returns after the commit that holds it. Errors: insufficient_credits,
// idempotency_key_reused, wallet_paused, not_found, overloaded.
func (l *Ledger) Charge(ctx context.Context, r ChargeRequest) (Receipt, error) {
	c := &command{charge: &r}
	if err := l.submit(ctx, c); err != nil {
		return Receipt{}, err
	}
	return c.receipt, nil
}

// ChargeAll books independent charges; each has its own error.
func (l *Ledger) ChargeAll(ctx context.Context, rs []ChargeRequest) ([]Receipt, []error) {
	commands := make([]*command, len(rs))
	for i := range rs {
		commands[i] = &command{charge: &rs[i]}
	}
	errs := l.submitAll(ctx, commands)
	out := make([]Receipt, len(rs))
	for i, c := range commands {
		if errs[i] == nil {
			out[i] = c.receipt
		}
	}
	return out, errs
}

// Hold reserves credits. Errors as Charge.
func (l *Ledger) Hold(ctx context.Context, r HoldRequest) (HoldReceipt, error) {
	c := &command{hold: &r}
	if err := l.submit(ctx, c); err != nil {
		return HoldReceipt{}, err
	}
	return c.held, nil
}

// Capture turns a hold into a charge. Errors: as Charge, and hold_not_open.
func (l *Ledger) Capture(ctx context.Context, r CaptureRequest) (Receipt, error) {
	c := &command{capture: &r}
	if err := l.submit(ctx, c); err != nil {
		return Receipt{}, err
	}
	return c.receipt, nil
}

// Release lets a hold go; releasing twice is one release. Errors: hold_not_open,
// not_found.
func (l *Ledger) Release(ctx context.Context, r ReleaseRequest) (HoldReceipt, error) {
	c := &command{release: &r}
	if err := l.submit(ctx, c); err != nil {
		return HoldReceipt{}, err
	}
	return c.held, nil
}

func overloaded() error {
	return problem.New(problem.Unavailable, "overloaded", "Too many charges are waiting; send the same key again in a moment.")
}

func (l *Ledger) submit(ctx context.Context, c *command) error {
	return l.submitAll(ctx, []*command{c})[0]
}

// submitAll queues commands and waits. A caller that gives up leaves: its
// commands go on and their keys tell what became of them. It must not look at a
// command it left, because the lane still writes to it.
func (l *Ledger) submitAll(ctx context.Context, commands []*command) []error {
	errs := make([]error, len(commands))
	asked := l.watch.now()
	for i, c := range commands {
		c.done, c.asked = make(chan struct{}), asked
		if pool, ok := l.hints.Load(c.place().wallet); ok {
			c.pool, _ = pool.(models.WalletID)
		}
		select {
		case <-l.stop.Done():
			errs[i] = stopping()
			continue
		default:
		}
		select {
		case l.laneOf(c).queue <- c:
		default:
			c.err = overloaded()
			l.watch.failed(c)
			errs[i] = c.err
		}
	}
	for i, c := range commands {
		if errs[i] == nil {
			errs[i] = l.wait(ctx, c)
		}
	}
	return errs
}

func (l *Ledger) wait(ctx context.Context, c *command) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return problem.New(problem.Unavailable, "timeout", "The answer did not come in time; ask again with the same key.").Because(ctx.Err())
	case <-l.gone:
		select {
		case <-c.done:
			return c.err
		default: // it was queued while the lanes were ending
			return stopping()
		}
	}
}

func stopping() error {
	return problem.New(problem.Unavailable, "shutting_down", "The server is stopping; send the same key again.")
}

// laneOf keeps a wallet, and the pool it draws on, in one lane, so that lanes
// of one process do not meet on a lock.
func (l *Ledger) laneOf(c *command) *lane {
	id := c.place().wallet
	if !c.pool.IsZero() {
		id = c.pool
	}
	return l.lanes[maphash.Bytes(l.seed, id[:])%uint64(len(l.lanes))]
}

// lane runs one batch at a time. What arrives meanwhile goes together into the
// next: no timer, an idle lane answers in one commit.
type lane struct {
	ledger *Ledger
	queue  chan *command
}

func (n *lane) serve() {
	l := n.ledger
	for {
		var first *command
		select {
		case first = <-n.queue:
		case <-l.stop.Done():
			select {
			case first = <-n.queue: // drain what was accepted
			default:
				return
			}
		}
		commands := append(make([]*command, 0, 64), first)
	fill:
		for len(commands) < l.batch {
			select {
			case c := <-n.queue:
				commands = append(commands, c)
			default:
				break fill
			}
		}
		l.process(l.around(commands), true)
	}
}

// batchTimeout ends a batch whose database does not answer.
const batchTimeout = 30 * time.Second

// rollbackTimeout ends the connection instead.
const rollbackTimeout = 5 * time.Second

// process runs commands to their answers: one transaction, and what it could
// not lock or decide in further ones.
func (l *Ledger) process(commands []*command, skip bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.stop), batchTimeout)
	defer cancel()
	for tries := 1; len(commands) > 0; tries++ {
		begun := l.watch.now()
		answered, again, locked, err := l.attempt(ctx, commands, skip)
		switch {
		case err == nil:
			l.watch.batch(begun, answered)
			finish(answered)
			l.await(locked)
			commands = again
		case isConflict(err) && tries < 5 && ctx.Err() == nil:
			// Another process used a key first: read it and answer from it.
		case len(commands) > 1 && mayBeOneCommand(err):
			// One bad command must not fail its neighbours.
			half := len(commands) / 2
			l.process(commands[:half], skip)
			l.process(commands[half:], skip)
			return
		default:
			l.log.LogAttrs(ctx, slog.LevelError, "charges failed", slog.Int("charges", len(commands)), slog.Any("error", err))
			l.fail(commands, problem.New(problem.Unavailable, "database_unavailable",
				"The charge could not be booked; send the same key again.").Because(err))
			return
		}
	}
}

func (l *Ledger) fail(commands []*command, err error) {
	for _, c := range commands {
		c.err = err
	}
	l.watch.failed(commands...)
	finish(commands)
}

// brokenError is an invariant that a batch would have broken.
type brokenError struct{ error }

// mayBeOneCommand tells an error that a single command of a batch may have
// caused from one of the database itself, which trying the halves would only
// multiply.
func mayBeOneCommand(err error) bool {
	if _, ok := errors.AsType[brokenError](err); ok {
		return true
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code[:2] {
		case "08", "53", "57", "58": // connection, resources, operator, system
			return false
		}
		return true
	}
	return errors.Is(err, sqlite3.CONSTRAINT) || errors.Is(err, sqlite3.TOOBIG)
}

// isConflict tells an idempotency key or row that another transaction took
// meanwhile, and PostgreSQL's own asking to try again.
func isConflict(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains([]string{"23505", "40001", "40P01", "55P03"}, pg.Code)
	}
	return models.IsDuplicate(err)
}

// attempt is one transaction over the commands. When err is nil, answered are
// those that it decided, again those that need the agency's wallet locked too,
// and locked those whose wallet another transaction holds.
func (l *Ledger) attempt(ctx context.Context, commands []*command, skip bool) (answered, again, locked []*command, err error) {
	b := newBook(l.tables)
	if l.db.Dialect == models.Postgres {
		return l.attemptPostgres(ctx, b, commands, skip)
	}
	tx, err := l.db.WriteSQL().BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { _ = tx.Rollback() }()
	run := prepared{tx: tx, ready: l.ready}
	if err := run.run(ctx, l.reads(b, commands, false)); err != nil {
		return nil, nil, nil, err
	}
	answered, again, _ = l.decide(b, commands, false)
	if err := l.replays(ctx, run, answered); err != nil {
		return nil, nil, nil, err
	}
	if err := b.check(); err != nil {
		return nil, nil, nil, brokenError{err}
	}
	if err := run.run(ctx, b.writes(models.SQLite)); err != nil {
		return nil, nil, nil, err
	}
	if err := tx.Commit(); err != nil {
		return nil, nil, nil, err
	}
	return answered, again, nil, nil
}

// attemptPostgres takes two round trips: one to begin, lock and read, one to
// write and commit.
func (l *Ledger) attemptPostgres(ctx context.Context, b *book, commands []*command, skip bool) (answered, again, locked []*command, err error) {
	err = l.onPostgres(ctx, func(run pipeline) error {
		reads := append([]statement{{sql: "BEGIN ISOLATION LEVEL READ COMMITTED"}}, l.reads(b, commands, skip)...)
		if err := run.run(ctx, reads); err != nil {
			return err
		}
		answered, again, locked = l.decide(b, commands, skip)
		if err := l.replays(ctx, run, answered); err != nil {
			return err
		}
		if err := b.check(); err != nil {
			return brokenError{err}
		}
		return run.run(ctx, append(b.writes(models.Postgres), statement{sql: "COMMIT"}))
	})
	if err != nil {
		return nil, nil, nil, err
	}
	return answered, again, locked, nil
}

// onPostgres runs a transaction that f begins and commits, and rolls it back
// when f fails.
func (l *Ledger) onPostgres(ctx context.Context, f func(pipeline) error) error {
	pooled, err := l.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer pooled.Release()
	conn := pooled.Conn()
	if err := f(pipeline{conn}); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_, rollback := conn.Exec(ctx, "ROLLBACK")
		// What failed may be a statement whose table has changed since.
		return errors.Join(err, rollback, conn.DeallocateAll(ctx))
	}
	return nil
}

// reads lists what the commands need, wallets first: the lock is a statement of
// its own, before everything it protects is read.
func (l *Ledger) reads(b *book, commands []*command, skip bool) []statement {
	d := l.db.Dialect
	var (
		wallets  []walletKey
		keys     []key
		holdKeys []key
		holds    []holdKey
		seen     = make(map[walletKey]bool, len(commands))
	)
	want := func(k walletKey) {
		if !seen[k] {
			seen[k] = true
			wallets = append(wallets, k)
		}
	}
	for _, c := range commands {
		place := c.place()
		want(place)
		if !c.pool.IsZero() {
			want(walletKey{place.agency, c.pool})
		}
		if k, ok := c.key(); ok {
			if c.hold != nil {
				holdKeys = append(holdKeys, k)
			} else {
				keys = append(keys, k)
			}
		}
		switch {
		case c.capture != nil:
			holds = append(holds, holdKey{place.agency, c.capture.Hold})
		case c.release != nil:
			holds = append(holds, holdKey{place.agency, c.release.Hold})
		}
	}
	out := l.lockAndRead(d, b, wallets, skip)
	out = append(out, b.readKeys(d, unique(keys))...)
	out = append(out, b.readHoldKeys(d, unique(holdKeys))...)
	return append(out, b.readHolds(d, unique(holds))...)
}

// lockThenRead locks wallets and reads their lots, in this order and never in
// one statement.
func lockThenRead(d models.Dialect, b *book, wallets []walletKey, skip bool) []statement {
	return append(b.lockWallets(d, wallets, skip), b.readLots(d, wallets)...)
}

func unique[K comparable](in []K) []K {
	seen := make(map[K]bool, len(in))
	out := in[:0]
	for _, k := range in {
		if !seen[k] {
			seen[k] = true
			out = append(out, k)
		}
	}
	return out
}

// decide answers each command in order of arrival.
func (l *Ledger) decide(b *book, commands []*command, skip bool) (answered, again, locked []*command) {
	b.sortLots()
	for _, c := range commands {
		place := c.place()
		c.lacks = b.lacking(c)
		if skip && !c.lacks.IsZero() {
			locked = append(locked, c)
			continue
		}
		c.decide(b)
		if errors.Is(c.err, errNeedsPool) {
			a := b.accounts[place.wallet]
			if c.pool == a.PoolWalletID {
				c.err = fmt.Errorf("wallet %s: its pool %s does not exist", a.ID, a.PoolWalletID)
				answered = append(answered, c)
				continue
			}
			c.pool = a.PoolWalletID
			l.hints.Store(a.ID, a.PoolWalletID)
			again = append(again, c)
			continue
		}
		if c.charge != nil && !c.pool.IsZero() && c.receipt.Charge.PoolSeq == 0 && c.err == nil {
			l.forget(b.accounts[place.wallet])
		}
		answered = append(answered, c)
	}
	return answered, again, locked
}

// lacking is the wallet a command needs and the book has not; zero: none.
func (b *book) lacking(c *command) models.WalletID {
	if own := c.place().wallet; b.accounts[own] == nil {
		return own
	}
	if !c.pool.IsZero() && b.accounts[c.pool] == nil {
		return c.pool
	}
	return models.WalletID{}
}

// forget drops the hint of an account that can pay alone again.
func (l *Ledger) forget(a *account) {
	if a != nil && a.Funding == models.Prepaid && a.Excess == 0 {
		l.hints.Delete(a.ID)
	}
}

// replays completes the answers that were given before with the draws their
// entries tell.
func (l *Ledger) replays(ctx context.Context, run runner, commands []*command) error {
	var stmts []statement
	for _, c := range commands {
		if c.err == nil && c.receipt.Replayed && c.receipt.Draws == nil {
			stmts = append(stmts, readDraws(l.db.Dialect, &c.receipt.Charge, &c.receipt.Draws)...)
		}
	}
	if err := run.run(ctx, stmts); err != nil {
		return err
	}
	for _, c := range commands {
		inOrder(c.receipt.Charge.WalletID, c.receipt.Draws)
	}
	return nil
}

func finish(commands []*command) {
	for _, c := range commands {
		close(c.done)
	}
}
