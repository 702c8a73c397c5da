package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/faults"
)

// One wallet as a sequence of acts would leave it, in whole credits: what many
// callers at once saw must be what some order of their acts would have shown them,
// in which none comes before one that had been answered when it was asked.

type linearAct struct {
	verb string // charge, hold, capture, release or grant
	n    int64
	hold int // which one
}

// linearAnswer is a refusal's code or how the wallet stood after the act; a hold
// and a release do not tell.
type linearAnswer struct {
	code                    string
	available, held, excess int64
}

// linearLimit is how far the wallet may go below zero.
const linearLimit = 20

type linearState struct {
	available, held, excess, promised int64
	holds                             string // three bytes each: how it stands, of lots, of excess
}

const (
	holdUnknown = iota
	holdOpen
	holdCaptured
	holdReleased
)

func (s linearState) hold(i int) (stands byte, lots, promised int64) {
	return s.holds[3*i], int64(s.holds[3*i+1]), int64(s.holds[3*i+2])
}

func (s *linearState) setHold(i int, stands byte, lots, promised int64) {
	b := []byte(s.holds)
	b[3*i], b[3*i+1], b[3*i+2] = stands, byte(lots), byte(promised)
	s.holds = string(b)
}

// plan finds who pays: lots, then excess with the leeway of what was promised.
func (s *linearState) plan(n, leeway int64) (lots, excess int64, ok bool) {
	lots = min(n, s.available)
	excess = n - lots
	return lots, excess, excess == 0 || excess <= max(0, linearLimit-s.excess-s.promised)+leeway
}

func (s *linearState) settle() {
	n := min(s.available, s.excess)
	s.available -= n
	s.excess -= n
}

// step is the wallet's next state and its answer.
func (s linearState) step(act linearAct) (linearState, linearAnswer) {
	refused := func(code string) (linearState, linearAnswer) {
		return s, linearAnswer{code: code, available: s.available}
	}
	next := s
	shown := true
	switch act.verb {
	case "grant":
		next.available += act.n
		next.settle()
	case "charge":
		lots, excess, ok := s.plan(act.n, 0)
		if !ok {
			return refused(short)
		}
		next.available -= lots
		next.excess += excess
	case "hold":
		lots, excess, ok := s.plan(act.n, 0)
		if !ok {
			return refused(short)
		}
		next.available -= lots
		next.held += lots
		next.promised += excess
		next.setHold(act.hold, holdOpen, lots, excess)
		shown = false
	case "capture":
		stands, lots, promised := s.hold(act.hold)
		if stands != holdOpen {
			return linearState{}, linearAnswer{code: "hold_not_open"}
		}
		taken := min(act.n, lots)
		more, excess, ok := s.plan(act.n-taken, promised)
		if !ok {
			return refused(short)
		}
		next.held -= lots
		next.promised -= promised
		next.available += lots - taken - more
		next.settle()
		next.excess += excess
		next.setHold(act.hold, holdCaptured, 0, 0)
	case "release":
		stands, lots, promised := s.hold(act.hold)
		switch stands {
		case holdCaptured:
			return linearState{}, linearAnswer{code: "hold_not_open"}
		case holdOpen:
			next.held -= lots
			next.promised -= promised
			next.available += lots
			next.settle()
			next.setHold(act.hold, holdReleased, 0, 0)
		}
		shown = false
	}
	if !shown {
		return next, linearAnswer{}
	}
	return next, linearAnswer{available: next.available, held: next.held, excess: next.excess}
}

// linearModel is the model as the checker wants it.
func linearModel(holds int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return linearState{holds: string(make([]byte, 3*holds))} },
		Step: func(state, input, output any) (bool, any) {
			was, ok := state.(linearState)
			act, is := input.(linearAct)
			if !ok || !is {
				return false, state
			}
			next, answer := was.step(act)
			if answer.code == "hold_not_open" {
				next = was
			}
			return answer == output, next
		},
	}
}

// linearRun is one history under way.
type linearRun struct {
	w       *world
	ledgers []*ledger.Ledger // as several processes would have them
	clock   atomic.Int64
	mu      sync.Mutex
	history []porcupine.Operation
	ids     []models.HoldID // by number; zero: refused
	known   []int           // holds that somebody was given
}

// client does some acts, one after the other.
func (r *linearRun) client(t *testing.T, id, acts int, dice *rand.Rand) {
	t.Helper()
	for i := range acts {
		act := linearAct{n: dice.Int64N(12) + 1}
		switch roll := dice.IntN(10); {
		case roll < 3:
			act.verb = "charge"
		case roll < 5:
			act.verb = "hold"
		case roll < 7:
			act.verb = "capture"
		case roll < 9:
			act.verb = "release"
		default:
			act.verb, act.n = "grant", dice.Int64N(40)+1
		}
		r.mu.Lock()
		switch {
		case act.verb == "hold":
			act.hold = len(r.ids)
			r.ids = append(r.ids, models.HoldID{})
		case act.verb != "capture" && act.verb != "release":
		case len(r.known) == 0:
			act.verb = "charge"
		default: // one of the newest, whoever made it
			act.hold = r.known[len(r.known)-1-dice.IntN(min(4, len(r.known)))]
		}
		hold := models.HoldID{}
		if act.verb == "capture" || act.verb == "release" {
			hold = r.ids[act.hold]
		}
		r.mu.Unlock()
		called := r.clock.Add(1)
		answer, made := r.do(t, r.ledgers[id%len(r.ledgers)], act, hold, fmt.Sprint(id, ":", i))
		returned := r.clock.Add(1)
		r.mu.Lock()
		if !made.IsZero() {
			r.ids[act.hold] = made
			r.known = append(r.known, act.hold)
		}
		r.history = append(r.history, porcupine.Operation{ClientId: id, Input: act, Output: answer, Call: called, Return: returned})
		r.mu.Unlock()
	}
}

// do has the ledger do an act and gives what it answered.
func (r *linearRun) do(t *testing.T, l *ledger.Ledger, act linearAct, hold models.HoldID, name string) (answer linearAnswer, made models.HoldID) {
	t.Helper()
	var (
		got ledger.Balance
		err error
	)
	switch act.verb {
	case "charge":
		var c ledger.Receipt
		c, err = l.Charge(t.Context(), r.w.request(name, act.n))
		got = c.Balance()
	case "hold":
		var h ledger.HoldReceipt
		h, err = l.Hold(t.Context(), ledger.HoldRequest{
			Agency: r.w.agency, Wallet: r.w.wallet, Key: "h" + name, Fingerprint: []byte(name), Action: "ai.reply",
			Credits: credits(act.n), TTL: ledger.DefaultHoldTTL, At: start,
		})
		made = h.Hold.ID
	case "capture":
		var c ledger.Receipt
		c, err = l.Capture(t.Context(), ledger.CaptureRequest{Hold: hold, Charge: r.w.request("c"+name, act.n)})
		got = c.Balance()
	case "release":
		_, err = l.Release(t.Context(), ledger.ReleaseRequest{Agency: r.w.agency, Wallet: r.w.wallet, Hold: hold, At: start})
	case "grant":
		err = r.w.db.InTx(t.Context(), func(tx *gorm.DB) error {
			g, err := l.Grant(t.Context(), tx, ledger.GrantRequest{
				Agency: r.w.agency, Wallet: r.w.wallet, Source: models.SourcePurchase, Credits: credits(act.n), Kind: "test", Actor: "test", At: start,
			})
			got = g.After
			return err
		})
	}
	whole := func(c models.Credits) int64 { return int64(c / models.Credit) }
	if err == nil {
		return linearAnswer{available: whole(got.Available), held: whole(got.Held), excess: whole(got.Excess)}, made
	}
	p := problem.Of(err)
	if p.Code != short && p.Code != "hold_not_open" {
		t.Error(act, err)
	}
	answer.code = p.Code
	for _, f := range p.Facts {
		if c, ok := f.Value.(models.Credits); ok && f.Name == "available" {
			answer.available = whole(c)
		}
	}
	return answer, models.HoldID{}
}

// linearHistory lets clients work on a wallet at once, and gives what they saw.
func linearHistory(t *testing.T, db *models.DB, clients, acts int, seed uint64) (history []porcupine.Operation, holds int) {
	t.Helper()
	w := newWorld(t, db)
	w.policy(t, w.wallet, ledger.Policy{ExcessLimit: credits(linearLimit), AgencyCeiling: credits(linearLimit)})
	second, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, second.Close()) }()
	r := &linearRun{w: w, ledgers: []*ledger.Ledger{w.ledger, second}}
	var all sync.WaitGroup
	for id := range clients {
		all.Go(func() { r.client(t, id, acts, rand.New(rand.NewPCG(seed, uint64(id)))) })
	}
	all.Wait()
	w.audit(t)
	return r.history, len(r.ids)
}

// Whatever many callers do with one wallet at once, through two processes, each sees
// a wallet that does one thing after the other.
func TestAWalletIsLinearizable(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		acts, histories, seed := sequences(20, 250), sequences(2, 200), faults.Seed()
		for n := range histories {
			history, holds := linearHistory(t, db, 8, acts, seed+uint64(n))
			require.Len(t, history, 8*acts)
			got := porcupine.CheckOperationsTimeout(linearModel(holds), history, time.Minute)
			require.Equal(t, porcupine.Ok, got, "history of seed %d", seed+uint64(n))
			if n > 0 {
				continue
			}
			// The same history with one answer that is off by a credit is none.
			for i, o := range history {
				if a, ok := o.Output.(linearAnswer); ok && a.code == "" && a.available > 0 {
					a.available--
					history[i].Output = a
					break
				}
			}
			require.Equal(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(linearModel(holds), history, time.Minute), "a wrong answer is noticed")
		}
		faults.Tried(t, seed, "%d histories of 8 callers and %d acts on one wallet on %s, refusals included, all linearizable", histories, 8*acts, db.Dialect)
	})
}

// The checker refuses what a wallet that is read late, spent twice or captured twice
// would have shown.
func TestAWrongHistoryIsNotLinearizable(t *testing.T) {
	t.Parallel()
	type seen struct {
		act            linearAct
		answer         linearAnswer
		call, answered int64
	}
	granted := seen{linearAct{verb: "grant", n: 10}, linearAnswer{available: 10}, 1, 2}
	for name, history := range map[string][]seen{
		"two at once spend the same credits": {
			granted,
			{linearAct{verb: "charge", n: 10}, linearAnswer{}, 3, 5},
			{linearAct{verb: "charge", n: 10}, linearAnswer{}, 4, 6},
		},
		"a charge does not see what was answered before it": {
			granted,
			{linearAct{verb: "charge", n: 4}, linearAnswer{available: 6}, 3, 4},
			{linearAct{verb: "charge", n: 1}, linearAnswer{available: 9}, 5, 6},
		},
		"a refusal while there is enough": {
			granted,
			{linearAct{verb: "charge", n: 10}, linearAnswer{code: short, available: 10}, 3, 4},
		},
		"one hold is captured twice": {
			granted,
			{linearAct{verb: "hold", n: 5}, linearAnswer{}, 3, 4},
			{linearAct{verb: "capture", n: 5}, linearAnswer{available: 5}, 5, 7},
			{linearAct{verb: "capture", n: 5}, linearAnswer{available: 5}, 6, 8},
		},
		"further below zero than the limit": {
			{linearAct{verb: "charge", n: linearLimit + 1}, linearAnswer{excess: linearLimit + 1}, 1, 2},
		},
	} {
		var operations []porcupine.Operation
		for _, s := range history {
			operations = append(operations, porcupine.Operation{Input: s.act, Output: s.answer, Call: s.call, Return: s.answered})
		}
		require.False(t, porcupine.CheckOperations(linearModel(1), operations), name)
	}
}
