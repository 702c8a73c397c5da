package ledger

import (
	"errors"
	"maps"
	"sync"

	"refill/models"
)

// errOutdated says that a wallet changed since this process saw it.
var errOutdated = errors.New("a wallet changed meanwhile")

// Bounds of what a process remembers.
const (
	knownWallets = 16_384 // about 1 KB each
	knownLots    = 16     // of one wallet; with more it is read each time
	knownHolds   = 8      // of one wallet; with more they are
)

// known remembers wallets as this process last wrote them, so that a batch on
// them needs nothing but its one round trip of writes. It decides nothing: the
// write of every wallet is guarded by its version, and a wallet that somebody
// else changed fails the batch, which is then done again from the database.
//
// A batch takes what it uses out, so no two go by the same memory. The maps are
// two generations: what was not used while one filled up is forgotten.
type known struct {
	mu         sync.Mutex
	young, old map[walletKey]*account
}

func newKnown() *known { return &known{young: map[walletKey]*account{}} }

// take moves the remembered of these wallets into a book.
func (k *known) take(b *book, wallets []walletKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range wallets {
		a := k.young[id]
		if a == nil {
			a = k.old[id]
		}
		if a != nil {
			k.drop(id)
			b.remember(a)
		}
	}
}

// keep remembers the wallets of a book that was committed.
func (k *known) keep(b *book) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range b.accounts {
		id := walletKey{a.AgencyID, a.ID}
		if len(k.young) >= knownWallets/2 {
			k.young, k.old = map[walletKey]*account{}, k.young
		}
		if a.memorable() {
			k.young[id] = a
		}
	}
}

// forget drops wallets that somebody else in this process writes.
//
// It is a courtesy that spares a batch: the guard is what makes it right.
func (k *known) forget(wallets ...walletKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range wallets {
		k.drop(id)
	}
}

func (k *known) drop(id walletKey) {
	delete(k.young, id)
	delete(k.old, id)
}

// memorable leaves of an account what the next batch needs, and tells whether
// that is little enough to be kept.
func (a *account) memorable() bool {
	open := a.lots[:0]
	for _, l := range a.lots {
		if l.Open {
			open = append(open, l)
		}
	}
	clear(a.lots[len(open):])
	a.lots = open
	for id, h := range a.holds {
		if h.State != models.HoldOpen {
			delete(a.holds, id)
		}
	}
	if len(a.holds) > knownHolds {
		a.holds = nil
	}
	return len(a.lots) <= knownLots
}

// remember puts an account into the book that was not read from the database.
// It is written in any case, because the write is what checks it.
func (b *book) remember(a *account) {
	a.known, a.changed = true, true
	b.accounts[a.ID] = a
	for _, l := range a.lots {
		b.lots[l.ID] = l
	}
	maps.Copy(b.holds, a.holds)
}

// trust tells whether a lane goes by what is remembered. Each time that proved
// wrong it goes the long way for twice as many batches, so a wallet that two
// processes fight for, or a client that sends every key twice, costs little.
type trust struct{ penalty, left int }

const longestPenalty = 255 // batches

func (t *trust) given() bool {
	if t == nil { // side batches wait for locks: they read
		return false
	}
	if t.left > 0 {
		t.left--
		return false
	}
	return true
}

func (t *trust) proved(right bool) {
	if right {
		t.penalty = 0
		return
	}
	t.penalty = min(2*t.penalty+1, longestPenalty)
	t.left = t.penalty
}
