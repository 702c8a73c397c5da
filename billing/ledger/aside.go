package ledger

import (
	"sync"

	"refill/models"
)

// sideBatches is how many wallets may be waited for at once; each takes a
// connection.
const sideBatches = 4

// aside is where commands wait for wallets that another transaction holds, away
// from the lanes, so that one slow wallet stalls nobody. Each wallet has a queue
// of its own, which takes all its commands until it is empty: while one batch
// waits or commits the next gathers, as in a lane. If the lane went on trying
// the wallet, it would find it held by that very batch, and so cut a busy
// wallet's charges into batches of one or two for as long as it stays busy.
type aside struct {
	mu      sync.Mutex
	queues  map[models.WalletID][]*command
	waiting int           // commands in all queues, bounded as a lane's queue is
	turns   chan struct{} // bounds the batches
}

// around gives the commands that need not wait for a wallet others wait for.
func (l *Ledger) around(commands []*command) []*command {
	a := &l.aside
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queues) == 0 {
		return commands
	}
	free := commands[:0]
	for _, c := range commands {
		own := c.place().wallet
		_, busy := a.queues[own]
		_, poolBusy := a.queues[c.pool]
		switch {
		case busy:
			l.join(own, c)
		case poolBusy:
			l.join(c.pool, c)
		default:
			free = append(free, c)
		}
	}
	return free
}

// await lets commands wait for the wallets they lack.
func (l *Ledger) await(commands []*command) {
	l.aside.mu.Lock()
	defer l.aside.mu.Unlock()
	for _, c := range commands {
		l.join(c.lacks, c)
	}
}

// join puts a command into a wallet's queue; the caller holds the lock.
func (l *Ledger) join(wallet models.WalletID, c *command) {
	a := &l.aside
	if a.waiting == l.queue {
		l.fail([]*command{c}, overloaded())
		return
	}
	a.waiting++
	if _, open := a.queues[wallet]; !open {
		l.work.Go(func() { l.serveAside(wallet) })
	}
	a.queues[wallet] = append(a.queues[wallet], c)
}

// serveAside answers a wallet's queue until it is empty.
func (l *Ledger) serveAside(wallet models.WalletID) {
	for more := true; more; {
		l.aside.turns <- struct{}{}
		var commands []*command
		if commands, more = l.takeAside(wallet); more {
			l.process(commands, nil)
		}
		<-l.aside.turns
	}
}

// takeAside takes a batch from a wallet's queue, and closes an empty one.
func (l *Ledger) takeAside(wallet models.WalletID) (commands []*command, more bool) {
	a := &l.aside
	a.mu.Lock()
	defer a.mu.Unlock()
	queue := a.queues[wallet]
	n := min(len(queue), l.batch)
	if n == 0 {
		delete(a.queues, wallet)
		return nil, false
	}
	a.waiting -= n
	a.queues[wallet] = queue[n:]
	return queue[:n:n], true
}
