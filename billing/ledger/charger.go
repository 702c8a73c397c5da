package ledger

import (
	"context"
	"errors"
	"fmt"
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

// on is the hold that the command ends.
func (c *command) on() (holdKey, bool) {
	switch {
	case c.capture != nil:
		return holdKey{c.capture.Charge.Agency, c.capture.Hold}, true
	case c.release != nil:
		return holdKey{c.release.Agency, c.release.Hold}, true
	}
	return holdKey{}, false
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
	for _, c := range commands {
		c.done, c.asked = make(chan struct{}), asked
		if pool, ok := l.hints.Load(c.place().wallet); ok {
			c.pool, _ = pool.(models.WalletID)
		}
	}
	if accepted, err := l.intake.add(commands); err != nil {
		for i, c := range commands[accepted:] {
			c.err = err
			errs[accepted+i] = err
		}
		l.watch.failed(commands[accepted:]...)
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

// serve runs one batch at a time. What arrives meanwhile goes together into the
// next: no timer, an idle lane answers in one commit.
func (l *Ledger) serve() {
	var t trust
	for {
		commands, wallets := l.intake.take(l.batch)
		if len(commands) == 0 {
			return
		}
		l.process(l.around(commands), &t)
		l.intake.done(wallets)
	}
}

// batchTimeout ends a batch whose database does not answer.
const batchTimeout = 30 * time.Second

// rollbackTimeout ends the connection instead.
const rollbackTimeout = 5 * time.Second

// process runs commands to their answers: one transaction, and what it could
// not lock or decide in further ones. A lane has a trust; a side batch has none
// and waits for the locks it needs.
func (l *Ledger) process(commands []*command, t *trust) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.stop), batchTimeout)
	defer cancel()
	trusting, patient := t.given(), t == nil
	for tries := 1; len(commands) > 0; tries++ {
		begun := l.watch.now()
		a := attempt{
			ledger: l, book: newBook(l.tables), commands: commands, lane: t != nil, trusting: trusting, patient: patient,
		}
		err := a.run(ctx)
		switch {
		case err == nil:
			if trusting {
				t.proved(true)
			}
			l.watch.batch(begun, a.answered)
			finish(a.answered)
			l.await(a.locked)
			commands, trusting = a.again, false
		case isConflict(err) && trusting:
			t.proved(false)
			trusting = false
		case isConflict(err) && tries < 5 && ctx.Err() == nil:
			patient = true // another process used a key first: read it and answer from it
		case len(commands) > 1 && mayBeOneCommand(err):
			// One bad command must not fail its neighbours.
			half := len(commands) / 2
			l.process(commands[:half], t)
			l.process(commands[half:], t)
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

// isConflict tells an idempotency key or row that another transaction took or
// changed meanwhile, and PostgreSQL's own asking to try again.
func isConflict(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains([]string{"23505", "40001", "40P01", "55P03", outdated}, pg.Code)
	}
	return models.IsDuplicate(err) || errors.Is(err, errOutdated)
}

// outdated is how a guarded update fails on PostgreSQL: see guardBy.
const outdated = "22012"

// attempt is one transaction over commands. After run, again are those that
// must be decided once more, with the agency's wallet locked too or from the
// database, and locked are those whose wallet another transaction holds. The
// others are answered.
type attempt struct {
	ledger   *Ledger
	book     *book
	commands []*command
	lane     bool // leaves wallets out that are locked elsewhere
	trusting bool // goes by what is remembered
	patient  bool // waits for locks as long as it takes

	answered, again, locked []*command
}

func (a *attempt) run(ctx context.Context) error {
	l := a.ledger
	wallets := a.wallets()
	if a.trusting {
		l.known.take(a.book, wallets)
	} else {
		l.known.forget(wallets...)
	}
	if err := l.transact(ctx, func(tx transaction) error {
		if err := tx.run(ctx, a.reads(wallets)); err != nil {
			return err
		}
		if err := a.contained(func() error { a.decide(); return nil }); err != nil {
			return err
		}
		if len(a.answered) == 0 {
			clear(a.book.accounts) // nothing to write, and so nothing checked
			return nil
		}
		if err := l.replays(ctx, tx, a.answered); err != nil {
			return err
		}
		if err := a.contained(a.book.check); err != nil {
			return err
		}
		return tx.commit(ctx, a.book.writes(l.db.Dialect))
	}); err != nil {
		return err
	}
	l.known.keep(a.book)
	if len(a.book.stirred) > 0 {
		l.wake()
	}
	return nil
}

// contained runs what only thinks: it writes to this attempt's memory, which ends
// with it. What it finds broken, or falls over, breaks this batch and no other; the
// command that it was is found by halving. Anything else that falls over ends the
// process (docs/decisions/0031).
func (a *attempt) contained(f func() error) error {
	err := problem.Contain(f)
	switch {
	case err != nil && a.trusting:
		return errors.Join(errOutdated, err) // holds are read, their wallets may be remembered from before
	case err != nil:
		return brokenError{err}
	}
	return nil
}

// transact runs a transaction that f commits, and rolls it back when f fails.
func (l *Ledger) transact(ctx context.Context, f func(transaction) error) error {
	if l.db.Dialect == models.Postgres {
		return l.onPostgres(ctx, func(p *pipeline) error { return f(p) })
	}
	tx, err := l.db.WriteSQL().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	return f(prepared{tx: tx, ready: l.ready})
}

// onPostgres runs a transaction on one of the charger's connections.
func (l *Ledger) onPostgres(ctx context.Context, f func(*pipeline) error) error {
	pooled, err := l.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer pooled.Release()
	p := &pipeline{conn: pooled.Conn()}
	err = errors.Join(f(p), p.close())
	if err != nil && !isConflict(err) {
		// What failed may be a statement whose table has changed since.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		return errors.Join(err, pooled.Conn().Close(ctx))
	}
	return err
}

// wallets are those the commands need.
func (a *attempt) wallets() []walletKey {
	seen := make(map[walletKey]bool, len(a.commands))
	out := make([]walletKey, 0, len(a.commands))
	want := func(k walletKey) {
		if !seen[k] {
			seen[k] = true
			out = append(out, k)
		}
	}
	for _, c := range a.commands {
		place := c.place()
		want(place)
		if !c.pool.IsZero() {
			want(walletKey{place.agency, c.pool})
		}
	}
	return out
}

// reads lists what the commands need and the book has not, wallets first: the
// lock is a statement of its own, before everything it protects is read. Keys
// are looked up only where nothing is taken on trust: a trusting batch finds out
// that a key was used when it inserts it.
func (a *attempt) reads(wallets []walletKey) []statement {
	var (
		b, d     = a.book, a.ledger.db.Dialect
		missing  []walletKey
		keys     []key
		holdKeys []key
		holds    []holdKey
	)
	for _, k := range wallets {
		if b.accounts[k.wallet] == nil {
			missing = append(missing, k)
		}
	}
	for _, c := range a.commands {
		if k, ok := c.key(); ok && !a.trusting {
			if c.hold != nil {
				holdKeys = append(holdKeys, k)
			} else {
				keys = append(keys, k)
			}
		}
		if h, ok := c.on(); ok && b.holds[h.hold] == nil {
			holds = append(holds, h)
		}
	}
	var out []statement
	if a.patient && d == models.Postgres {
		out = append(out, waitForLocks)
	}
	if len(missing) > 0 {
		out = append(out, a.ledger.lockAndRead(d, b, missing, a.lane)...)
	}
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

// decide answers each command in order of arrival. What must be decided once more
// with the agency's wallet takes along what comes after it on the same wallets:
// how a batch is cut changes nothing.
func (a *attempt) decide() {
	b, l := a.book, a.ledger
	b.sortLots()
	var behind map[models.WalletID]bool // wallets of commands that wait for the agency's
	for _, c := range a.commands {
		own := c.place().wallet
		c.lacks = b.lacking(c)
		if a.lane && !c.lacks.IsZero() {
			a.locked = append(a.locked, c)
			continue
		}
		if behind[own] || behind[c.pool] {
			a.again = append(a.again, c)
			continue
		}
		c.decide(b)
		switch {
		case errors.Is(c.err, errNeedsPool):
			from := b.accounts[own]
			if c.pool == from.PoolWalletID {
				c.err = fmt.Errorf("wallet %s: its pool %s does not exist", from.ID, from.PoolWalletID)
				a.answered = append(a.answered, c)
				continue
			}
			c.pool = from.PoolWalletID
			l.hints.Store(own, from.PoolWalletID)
			if behind == nil {
				behind = map[models.WalletID]bool{}
			}
			behind[own], behind[c.pool] = true, true
			a.again = append(a.again, c)
			continue
		case c.err != nil && a.trusting:
			// Nothing is refused by memory alone, nor before the key was looked up.
			a.again = append(a.again, c)
			continue
		case c.charge != nil && !c.pool.IsZero() && c.receipt.Charge.PoolSeq == 0 && c.err == nil:
			l.forget(b.accounts[own])
		}
		a.answered = append(a.answered, c)
	}
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
