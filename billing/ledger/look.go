package ledger

import (
	"context"
	"database/sql"

	"refill/billing/problem"
	"refill/models"
)

// readers is how many looks are read at once; each takes a connection.
const readers = 2

// look asks how wallets of one agency stand at one moment.
type look struct {
	keys  []walletKey
	now   models.Time
	views []View
	err   error
	done  chan struct{}
}

// Views reads wallets as they stand together, in the order asked. Looks are read
// in groups, as charges are booked: what is asked while one group is read goes
// together into the next. Errors: not_found.
func (l *Ledger) Views(ctx context.Context, agency models.AgencyID, now models.Time, wallets ...models.WalletID) ([]View, error) {
	k := &look{now: now, done: make(chan struct{})}
	for _, id := range wallets {
		k.keys = append(k.keys, walletKey{agency, id})
	}
	select {
	case l.looks <- k:
	case <-l.stop.Done():
		return nil, stopping()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-k.done: // readers answer whatever they took
		return k.views, k.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serveLooks reads one group after the other.
func (l *Ledger) serveLooks() {
	for {
		var looks []*look
		select {
		case first := <-l.looks:
			looks = append(looks, first)
		case <-l.stop.Done():
			return
		}
	fill:
		for len(looks) < l.batch {
			select {
			case k := <-l.looks:
				looks = append(looks, k)
			default:
				break fill
			}
		}
		l.see(looks)
	}
}

// see answers looks from one snapshot.
func (l *Ledger) see(looks []*look) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.stop), batchTimeout)
	defer cancel()
	var keys []walletKey
	for _, k := range looks {
		keys = append(keys, k.keys...)
	}
	b := newBook(l.tables)
	err := l.snapshot(ctx, b, unique(keys))
	b.sortLots()
	for _, k := range looks {
		k.err = err
		for _, key := range k.keys {
			a := b.accounts[key.wallet]
			if k.err == nil && (a == nil || a.AgencyID != key.agency) {
				k.err = problem.Missing("wallet")
			}
			if k.err == nil {
				k.views = append(k.views, viewOf(a, k.now))
			}
		}
		close(k.done)
	}
}

// snapshot reads wallets and their open lots at one moment: on PostgreSQL by one
// statement, on SQLite in one transaction.
func (l *Ledger) snapshot(ctx context.Context, b *book, keys []walletKey) error {
	if l.db.Dialect == models.Postgres {
		return l.onPostgres(ctx, func(p *pipeline) error { return p.commit(ctx, b.readStanding(keys)) })
	}
	stmts := append(b.readWallets(models.SQLite, keys), b.readLots(models.SQLite, keys)...)
	tx, err := l.db.ReadSQL().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return prepared{tx: tx}.run(ctx, stmts)
}
