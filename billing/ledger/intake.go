package ledger

import (
	"sync"

	"refill/models"
)

// crowd is how many commands have to wait before a second lane takes some of
// them beside the first. A batch costs the database about the same whatever it
// carries, so few callers are served best by one batch after the other, each with
// all that came meanwhile; many keep two busy.
const crowd = 32

// intake is what waits for the lanes, in order of arrival. A wallet, and the pool
// it draws on, is in one lane's batch at a time, so that lanes of one process do
// not meet on a lock nor outdate what the other remembers.
type intake struct {
	mu      sync.Mutex
	change  sync.Cond // something can be taken, or nothing comes any more
	room    int
	crowd   int
	waiting []*command
	busy    map[models.WalletID]bool // in batches under way
	stuck   int                      // how many of those waiting wait for them
	running int                      // batches under way
	closed  bool
}

func newIntake(room int) *intake {
	q := &intake{room: room, crowd: crowd, busy: map[models.WalletID]bool{}}
	q.change.L = &q.mu
	return q
}

// add queues commands in order and gives how many it accepted. Errors:
// overloaded, shutting_down; of those it did not.
func (q *intake) add(commands []*command) (accepted int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, stopping()
	}
	if room := q.room - len(q.waiting); room < len(commands) {
		commands, err = commands[:room], overloaded()
	}
	q.waiting = append(q.waiting, commands...)
	if q.running > 0 {
		for _, c := range commands {
			if q.isBusy(c) {
				q.stuck++
			}
		}
	}
	if q.ready() {
		q.change.Signal()
	}
	return len(commands), err
}

// ready tells whether a lane without a batch should take one.
func (q *intake) ready() bool {
	free := len(q.waiting) - q.stuck
	return free > 0 && (q.running == 0 || free >= q.crowd)
}

func (q *intake) isBusy(c *command) bool {
	return q.busy[c.place().wallet] || !c.pool.IsZero() && q.busy[c.pool]
}

// halfOf is the half of all wallets that a command is on: a pool and all that it
// feeds are in one. So a wallet's commands keep their order, but for the moment when
// its pool is learned.
func halfOf(c *command) byte {
	id := c.place().wallet
	if !c.pool.IsZero() {
		id = c.pool
	}
	return id[len(id)-1] & 1
}

// take waits for up to most commands on wallets that no batch is under way for,
// and gives the wallets to say done with once they are answered. Of two crowds it
// takes one half of the wallets: batches that took what came first would leave the
// other lane little that is not on their wallets. None means that the intake is
// closed and what it had accepted is being answered.
func (q *intake) take(most int) (commands []*command, wallets []models.WalletID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.ready() {
		if q.closed && (q.running > 0 || len(q.waiting) == 0) {
			return nil, nil
		}
		q.change.Wait()
	}
	free := len(q.waiting) - q.stuck
	commands = make([]*command, 0, min(most, free))
	shared := free >= 2*q.crowd
	var half byte // of whoever waits longest
	rest := q.waiting[:0]
	for _, c := range q.waiting {
		if len(commands) < most && !q.isBusy(c) && (!shared || len(commands) == 0 || halfOf(c) == half) {
			if len(commands) == 0 {
				half = halfOf(c)
			}
			commands = append(commands, c)
		} else {
			rest = append(rest, c)
		}
	}
	clear(q.waiting[len(rest):])
	q.waiting = rest
	for _, c := range commands {
		for _, id := range []models.WalletID{c.place().wallet, c.pool} {
			if !id.IsZero() && !q.busy[id] {
				q.busy[id] = true
				wallets = append(wallets, id)
			}
		}
	}
	q.running++
	q.recount()
	if q.ready() {
		q.change.Signal()
	}
	return commands, wallets
}

// done ends a batch.
func (q *intake) done(wallets []models.WalletID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range wallets {
		delete(q.busy, id)
	}
	q.running--
	q.recount() // the lane that is done looks for more by itself
}

// recount counts who waits for wallets of batches under way.
func (q *intake) recount() {
	q.stuck = 0
	if len(q.busy) == 0 {
		return
	}
	for _, c := range q.waiting {
		if q.isBusy(c) {
			q.stuck++
		}
	}
}

// close lets the lanes answer what was accepted, and then end.
func (q *intake) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.change.Broadcast()
}

func (q *intake) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
