package ledger

import (
	"math/bits"
	"time"

	"refill/billing/problem"
	"refill/models"
)

// Observer is told what the charger did, once a batch and before its callers are
// answered. Several batches tell it at once. It must not wait, nor ask the ledger
// anything: whoever calls it has charges to book.
type Observer interface {
	Batch(b BatchStats)
}

// CommandKind is what a command asks for.
type CommandKind uint8

// The kinds of commands.
const (
	CommandCharge CommandKind = iota
	CommandHold
	CommandCapture
	CommandRelease
	CommandKinds // how many there are
)

// WaitSteps is how many steps waits are counted in.
const WaitSteps = 21

// waitStep is the longest wait of the first step; each further one is twice as
// long as the one before, and the last takes all that waited longer.
const waitStep = 62_500 * time.Nanosecond

// WaitStep is the longest wait that step n counts, n below WaitSteps-1.
func WaitStep(n int) time.Duration { return waitStep << n }

// BatchStats is what became of the commands that one transaction answered, or of
// some that no transaction did.
type BatchStats struct {
	Took    time.Duration       // from asking for a connection to the commit; 0: none was made
	Waited  time.Duration       // all commands together, from being asked to the batch's beginning
	Waits   [WaitSteps]int      // commands by how long each waited; none where no transaction was made
	Answers [CommandKinds]Count // of what was done
	Refused []Refusal           // each kind and code once
}

// Size is how many commands were answered.
func (b *BatchStats) Size() int {
	n := 0
	for _, c := range b.Answers {
		n += c.Done + c.Replayed
	}
	for _, r := range b.Refused {
		n += r.Count
	}
	return n
}

// Count is how many commands of a kind were done.
type Count struct {
	Done     int
	Replayed int // had been done before, under the same key
}

// Refusal is how many commands of a kind were refused by one code.
type Refusal struct {
	Kind  CommandKind
	Code  string // of the problem; "internal" for any other error
	Count int
}

// watch tells the observer, when there is one.
type watch struct {
	observer Observer // may be nil
	since    time.Time
}

// now is the time since the ledger was opened, by a clock that nothing sets; 0
// while nobody watches.
func (w *watch) now() time.Duration {
	if w.observer == nil {
		return 0
	}
	return time.Since(w.since) //nolint:forbidigo // how long commands wait is no domain time
}

// batch tells of commands that the transaction begun then has answered.
func (w *watch) batch(begun time.Duration, commands []*command) {
	if w.observer == nil || len(commands) == 0 { // all may have turned out to need another wallet
		return
	}
	stats := BatchStats{Took: max(w.now()-begun, 1)}
	for _, c := range commands {
		waited := max(begun-c.asked, 0) // a command may come while its batch gathers
		stats.Waited += waited
		stats.Waits[stepOf(waited)]++
		stats.count(c)
	}
	w.observer.Batch(stats)
}

// failed tells of commands that no transaction has answered.
func (w *watch) failed(commands ...*command) {
	if w.observer == nil {
		return
	}
	var stats BatchStats
	for _, c := range commands {
		stats.count(c)
	}
	w.observer.Batch(stats)
}

// stepOf is the step that counts a wait.
func stepOf(waited time.Duration) int {
	return min(bits.Len64(uint64(max(waited-1, 0)/waitStep)), WaitSteps-1)
}

func (b *BatchStats) count(c *command) {
	kind := c.kind()
	switch {
	case c.err != nil:
		b.refuse(kind, codeOf(c.err))
	case c.receipt.Replayed, c.held.Replayed:
		b.Answers[kind].Replayed++
	default:
		b.Answers[kind].Done++
	}
}

// refuse counts a refusal; one batch meets only a few codes.
func (b *BatchStats) refuse(kind CommandKind, code string) {
	for i := range b.Refused {
		if r := &b.Refused[i]; r.Kind == kind && r.Code == code {
			r.Count++
			return
		}
	}
	b.Refused = append(b.Refused, Refusal{Kind: kind, Code: code, Count: 1})
}

func codeOf(err error) string {
	if p := problem.Of(err); p != nil {
		return p.Code
	}
	return "internal"
}

func (c *command) kind() CommandKind {
	switch {
	case c.charge != nil:
		return CommandCharge
	case c.hold != nil:
		return CommandHold
	case c.capture != nil:
		return CommandCapture
	default:
		return CommandRelease
	}
}

// Load is what waits in the charger at one moment.
type Load struct {
	Queued   int // commands that wait for their batch, aside from those below
	Capacity int // of the queue: a command beyond it is refused as overloaded
	Wallets  int // that another transaction holds and commands wait for
	Aside    int // commands that wait for those wallets
}

// Load tells what waits.
func (l *Ledger) Load() Load {
	out := Load{Queued: l.intake.depth(), Capacity: l.queue}
	l.aside.mu.Lock()
	defer l.aside.mu.Unlock()
	out.Wallets, out.Aside = len(l.aside.queues), l.aside.waiting
	return out
}

// Pools tells how the charger's own connections are used; on SQLite it has none.
func (l *Ledger) Pools() []models.PoolUse {
	if l.pool == nil {
		return nil
	}
	return []models.PoolUse{models.UseOf("charges", l.pool)}
}
