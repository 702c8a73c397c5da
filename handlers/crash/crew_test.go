//go:build linux

package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"refill/models"
)

// agencyName is the one agency that everything happens in.
const agencyName = "crash"

// act is one request and what it was answered.
type act struct {
	kind, key, path string
	body            []byte
	status          int
	digest          [sha256.Size]byte // of the answer
	moves           map[string]models.Credits
	id              string
	credits         models.Credits
}

// crew are the programs that use the portal.
type crew struct {
	h      *house
	key    string
	http   *http.Client
	ctx    context.Context
	fire   context.CancelFunc
	work   sync.WaitGroup
	gate   sync.RWMutex // held for writing while the portal accounts for itself
	agency string       // wallet ids
	subs   []string     // external ids
	wallet map[string]string
	broken atomic.Bool // when replies are not repeated: see the control

	requests, replays, refused, lastAck atomic.Int64
	cut                                 atomic.Int64 // requests that a portal took and did not answer
	unable                              atomic.Int64 // requests that a portal answered it cannot do now
	away                                atomic.Bool  // the portal says that it is not ready: nothing more is sent

	mu      sync.Mutex
	journal []*act
	denied  map[string]bool // keys that were refused
	checked int             // how much of the journal was answered again in a look
	looks   int
	found   findings
	tales   []string // of what was found
}

// findings are what must be zero.
type findings struct{ lost, doubled, changed, off, breaches int }

func newCrew(h *house, key string) *crew {
	c := &crew{h: h, key: key, wallet: map[string]string{}, denied: map[string]bool{}}
	c.http = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	c.ctx, c.fire = context.WithCancel(h.ctx)
	return c
}

// seed makes the agency and its clients. Two of them draw on the agency's pool.
func (c *crew) seed() {
	rng := rand.New(rand.NewPCG(c.h.seed, 0))
	made := func(path string, body map[string]any) map[string]any {
		a := &act{kind: "seed", key: "seed" + path + fmt.Sprint(body["external_id"]), path: path, body: encode(body)}
		status, raw := c.ask(rng, a)
		require.Equal(c.h.t, http.StatusCreated, status, "%s", raw)
		return decode(raw)
	}
	c.agency = made("/v1/agencies", map[string]any{"external_id": agencyName, "name": "Crash"})["wallet"].(string)
	for i := range 8 {
		name, funding := fmt.Sprint("client", i), "prepaid"
		if i >= 6 {
			funding = "pooled"
		}
		c.wallet[name] = made("/v1/sub-accounts", map[string]any{"agency": agencyName, "external_id": name, "name": name, "funding": funding})["wallet"].(string)
		c.subs = append(c.subs, name)
	}
	for i := range 20 { // lots of their own
		c.do(rng, &act{kind: "adjustment", key: fmt.Sprint("give", i), path: "/v1/agencies/" + agencyName + "/adjustments", body: encode(map[string]any{"credits": "1000000", "reason": "stock"})})
	}
	for i, name := range c.subs[:5] { // the sixth has little, so that it is refused now and then
		c.do(rng, c.assign(fmt.Sprint("first", i), name, "20000"))
	}
}

func encode(body map[string]any) []byte {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return raw
}

// hire starts programs.
func (c *crew) hire(n int) {
	for i := range n {
		c.work.Go(func() {
			w := &worker{crew: c, rng: rand.New(rand.NewPCG(c.h.seed, uint64(100+i))), name: fmt.Sprint("w", i)}
			for c.ctx.Err() == nil {
				c.gate.RLock()
				w.turn()
				c.gate.RUnlock()
			}
		})
	}
}

// hireBuyer starts somebody who buys.
func (c *crew) hireBuyer() {
	c.work.Go(func() {
		rng := rand.New(rand.NewPCG(c.h.seed, 99))
		for n := 0; c.ctx.Err() == nil; n++ {
			c.gate.RLock()
			c.h.till.buy(c, rng, fmt.Sprint("buy", n))
			c.gate.RUnlock()
		}
	})
}

// dismiss ends the programs.
func (c *crew) dismiss() {
	c.fire()
	c.work.Wait()
	c.http.CloseIdleConnections()
}

// ask repeats a request until it is answered for good: a connection that broke,
// or an answer that says to come again, tells nothing.
func (c *crew) ask(rng *rand.Rand, a *act) (int, []byte) {
	for c.ctx.Err() == nil {
		status, raw := c.once(rng, a)
		if status != 0 && status != http.StatusTooManyRequests && status < 500 {
			now := time.Now().UnixMicro()
			last := c.lastAck.Swap(now)
			if c.h.slowest < time.Duration(now-last)*time.Microsecond && last != 0 {
				c.mu.Lock()
				c.h.slowest = max(c.h.slowest, time.Duration(now-last)*time.Microsecond)
				c.mu.Unlock()
			}
			return status, raw
		}
		pause(c.ctx, time.Duration(5+rng.IntN(25))*time.Millisecond)
	}
	return 0, nil
}

// once sends a request; 0 when there is no answer.
func (c *crew) once(rng *rand.Rand, a *act) (int, []byte) {
	for c.away.Load() && c.ctx.Err() == nil {
		pause(c.ctx, 2*time.Millisecond)
	}
	c.requests.Add(1)
	p := c.h.portals[rng.IntN(len(c.h.portals))]
	req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, "http://"+p.addr+a.path, bytes.NewReader(a.body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", a.key)
	res, err := c.http.Do(req)
	if err != nil {
		if op := (*net.OpError)(nil); !errors.As(err, &op) || op.Op != "dial" {
			c.cut.Add(1)
		}
		return 0, nil
	}
	raw, err := io.ReadAll(res.Body)
	if err = joinErr(err, res.Body.Close()); err != nil {
		c.cut.Add(1)
		return 0, nil
	}
	if res.StatusCode >= http.StatusInternalServerError {
		c.unable.Add(1)
	} else {
		p.answered.Add(1)
	}
	return res.StatusCode, raw
}

func joinErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// refusals are the problems that a healthy portal may answer this crew with: each
// leaves nothing behind. A long run fills a wallet with as many lots as it may have.
var refusals = []string{"insufficient_credits", "hold_not_open", "too_many_lots"}

// do asks, and writes down what was answered; nil when it was refused.
func (c *crew) do(rng *rand.Rand, a *act) *act {
	status, raw := c.ask(rng, a)
	if status == 0 {
		return nil // dismissed
	}
	if status != http.StatusOK && status != http.StatusCreated {
		code, _ := decode(raw)["code"].(string)
		if !slices.Contains(refusals, code) {
			c.tell(func(f *findings) { f.changed++ }, "%s %s was answered %d %s", a.kind, a.key, status, raw)
		}
		c.refused.Add(1)
		c.mu.Lock()
		c.denied[a.key] = true
		c.mu.Unlock()
		return nil
	}
	a.status, a.digest = status, sha256.Sum256(raw)
	c.understand(a, raw)
	c.mu.Lock()
	c.journal = append(c.journal, a)
	c.mu.Unlock()
	if rng.IntN(10) < 4 && !c.broken.Load() {
		c.again(rng, a)
	}
	return a
}

// again sends an answered request once more: it must be answered as before.
func (c *crew) again(rng *rand.Rand, a *act) {
	status, raw := c.ask(rng, a)
	if status == 0 {
		return
	}
	c.replays.Add(1)
	if status != http.StatusOK || sha256.Sum256(raw) != a.digest {
		c.tell(func(f *findings) { f.changed++ }, "%s %s was answered %d %s", a.kind, a.key, status, raw)
	}
}

func (c *crew) tell(count func(*findings), format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count(&c.found)
	if len(c.tales) < 50 {
		c.tales = append(c.tales, fmt.Sprintf(format, args...))
	}
}

func amount(s any) models.Credits {
	text, _ := s.(string)
	n, err := models.ParseCredits(text)
	if err != nil {
		panic(fmt.Sprintf("an answer has %q for credits", s))
	}
	return n
}

// understand notes what an act moved, by its own answer.
func (c *crew) understand(a *act, raw []byte) {
	got := decode(raw)
	a.id, _ = got["id"].(string)
	a.moves = map[string]models.Credits{}
	switch a.kind {
	case "seed":
	case "adjustment":
		a.moves[c.agency] = amount(got["credits"])
	case "assignment", "take-back":
		n := amount(got["credits"])
		if a.kind == "take-back" {
			n = -n
		}
		sub, _ := decode(a.body)["sub_account"].(string)
		a.moves[c.agency], a.moves[c.wallet[sub]] = -n, n
	case "charge", "capture", "reversal":
		draws, _ := got["draws"].([]any)
		for _, d := range draws {
			draw, _ := d.(map[string]any)
			from, _ := draw["wallet"].(string)
			n := amount(draw["credits"])
			if a.kind != "reversal" {
				n = -n
			}
			a.moves[from] += n
		}
	case "hold":
		a.credits = amount(got["credits"])
	case "release":
	}
}

// worker is one program.
type worker struct {
	*crew

	rng  *rand.Rand
	name string
	n    int
	past []*act // charges that may be reversed
}

func (w *worker) key() string {
	w.n++
	return fmt.Sprint(w.name, "-", w.n)
}

func (w *worker) place() string {
	if w.rng.IntN(5) == 0 {
		return "agency:" + agencyName
	}
	return "sub:" + agencyName + "/" + w.subs[w.rng.IntN(len(w.subs))]
}

var gpts = []string{"gpt-3.5-turbo", "gpt-4-turbo", "gpt-4"}

func (c *crew) assign(key, sub, credits string) *act {
	return &act{kind: "assignment", key: key, path: "/v1/assignments", body: encode(map[string]any{"agency": agencyName, "sub_account": sub, "credits": credits})}
}

func (w *worker) chargeAct() *act {
	return &act{kind: "charge", key: w.key(), path: "/v1/charges", body: encode(map[string]any{"wallet": w.place(), "action": "ai.reply", "model": gpts[w.rng.IntN(3)]})}
}

func (w *worker) holdAct() *act {
	return &act{kind: "hold", key: w.key(), path: "/v1/holds", body: encode(map[string]any{
		"wallet": w.place(), "action": "ai.reply", "model": gpts[0], "credits": strconv.Itoa(1 + w.rng.IntN(60)), "ttl_seconds": 3600,
	})}
}

// granted does acts of a kind until one is not refused: a wallet may have too little.
func (w *worker) granted(next func() *act) *act {
	for {
		if done := w.do(w.rng, next()); done != nil {
			return done
		}
		require.NoError(w.h.t, w.ctx.Err())
	}
}

func (w *worker) captureAct(hold *act) *act {
	return &act{kind: "capture", key: w.key(), path: "/v1/holds/" + hold.id + "/captures", body: encode(map[string]any{"credits": strconv.Itoa(1 + w.rng.IntN(int(hold.credits/models.Credit)))})}
}

func (w *worker) releaseAct(hold *act) *act {
	return &act{kind: "release", key: w.key(), path: "/v1/holds/" + hold.id + "/releases", body: []byte("{}")}
}

func (w *worker) reverseAct(charge *act) *act {
	return &act{kind: "reversal", key: w.key(), path: "/v1/charges/" + charge.id + "/reversals", body: encode(map[string]any{"reason": "it failed"})}
}

func (w *worker) takeBackAct() *act {
	a := w.assign(w.key(), w.subs[w.rng.IntN(5)], strconv.Itoa(1+w.rng.IntN(20)))
	a.kind, a.path = "take-back", "/v1/take-backs"
	return a
}

func (w *worker) adjustAct() *act {
	n := 1 + w.rng.IntN(500)
	if w.rng.IntN(3) == 0 {
		n = -n
	}
	return &act{kind: "adjustment", key: w.key(), path: "/v1/agencies/" + agencyName + "/adjustments", body: encode(map[string]any{"credits": strconv.Itoa(n), "reason": "by hand"})}
}

// turn does one thing a program does.
func (w *worker) turn() {
	switch n := w.rng.IntN(100); {
	case n < 50:
		if a := w.do(w.rng, w.chargeAct()); a != nil && len(w.past) < 50 {
			w.past = append(w.past, a)
		}
	case n < 70:
		hold := w.do(w.rng, w.holdAct())
		if hold == nil {
			return
		}
		switch w.rng.IntN(10) {
		case 0: // a program that forgets
		case 1, 2, 3:
			w.do(w.rng, w.releaseAct(hold))
		default:
			w.do(w.rng, w.captureAct(hold))
		}
	case n < 80:
		w.do(w.rng, w.assign(w.key(), w.subs[w.rng.IntN(6)], strconv.Itoa(1+w.rng.IntN(60))))
	case n < 85:
		w.do(w.rng, w.takeBackAct())
	case n < 92:
		w.do(w.rng, w.adjustAct())
	default:
		if len(w.past) == 0 {
			return
		}
		i := w.rng.IntN(len(w.past))
		charge := w.past[i]
		w.past = slices.Delete(w.past, i, i+1)
		w.do(w.rng, w.reverseAct(charge))
	}
}

// stored are the acts the database has, by key.
func (c *crew) stored() map[string]int {
	db := c.h.read()
	defer func() { require.NoError(c.h.t, db.Close()) }()
	out := map[string]int{}
	for _, from := range []string{
		"SELECT idempotency_key FROM charges", "SELECT idempotency_key FROM holds", "SELECT idempotency_key FROM reversals",
		"SELECT idempotency_key FROM acts WHERE idempotency_key IS NOT NULL",
	} {
		var keys []string
		require.NoError(c.h.t, db.Read.Raw(from).Scan(&keys).Error)
		for _, k := range keys {
			out[k]++
		}
	}
	// A release has no row: its hold's end is one.
	var released []models.Hold
	require.NoError(c.h.t, db.Read.Where("state = ?", models.HoldReleased).Find(&released).Error)
	for i := range released {
		out["released "+released[i].ID.String()]++
	}
	return out
}

// check stops everybody and has the portal account for itself. All of it repeats
// the whole journal, else what came since the last look.
func (c *crew) check(all bool) {
	c.gate.Lock()
	defer c.gate.Unlock()
	c.looks++
	c.compare()
	rng := rand.New(rand.NewPCG(c.h.seed, 7))
	from := c.checked
	if all {
		from = 0
	}
	c.repeat(rng, c.journal[from:])
	c.checked = len(c.journal)
	c.weigh()
	if c.h.till != nil {
		c.h.till.check(c)
	}
	if n, said := c.h.audit(); n > 0 {
		c.tell(func(f *findings) { f.breaches += n }, "refill audit: %s", said)
	}
}

// compare holds the journal against the database.
func (c *crew) compare() {
	have := c.stored()
	want := map[string]bool{}
	for _, a := range c.journal {
		key := a.key
		switch a.kind {
		case "seed":
			continue
		case "release":
			key = "released " + strings.Split(a.path, "/")[3]
		}
		want[key] = true
		switch n := have[key]; {
		case n == 0:
			c.tell(func(f *findings) { f.lost++ }, "%s %s was acknowledged and is lost", a.kind, a.key)
		case n > 1:
			c.tell(func(f *findings) { f.doubled++ }, "%s %s is there %d times", a.kind, a.key, n)
		}
	}
	for key := range have {
		if !want[key] {
			c.tell(func(f *findings) { f.doubled++ }, "%s is there and was not acknowledged (refused: %v)", key, c.denied[key])
		}
	}
}

// repeat sends what was answered again, by several connections.
func (c *crew) repeat(rng *rand.Rand, acts []*act) {
	var work sync.WaitGroup
	for part := range slices.Chunk(acts, max(1, len(acts)/8+1)) {
		mine := rand.New(rand.NewPCG(rng.Uint64(), 1))
		work.Go(func() {
			for _, a := range part {
				if a.kind != "seed" {
					c.again(mine, a)
				}
			}
		})
	}
	work.Wait()
}

// weigh compares every wallet with what the answers add up to.
func (c *crew) weigh() {
	want := map[string]models.Credits{}
	for _, a := range c.journal {
		for wallet, n := range a.moves {
			want[wallet] += n
		}
	}
	names := append(slices.Collect(maps.Values(c.wallet)), c.agency)
	for _, wallet := range names {
		got := c.balance(wallet)
		if wallet == c.agency {
			got -= c.plan()
		}
		if got != want[wallet] {
			c.tell(func(f *findings) { f.off++ }, "wallet %s has %s, the answers add up to %s", wallet, got, want[wallet])
		}
	}
}

// plan is what the agency was given by its plan, at the start and since.
func (c *crew) plan() models.Credits {
	db := c.h.read()
	defer func() { require.NoError(c.h.t, db.Close()) }()
	own, err := models.ParseID[models.WalletID](c.agency)
	require.NoError(c.h.t, err)
	var sum int64
	require.NoError(c.h.t, db.Read.Raw("SELECT CAST(COALESCE(SUM(granted), 0) AS BIGINT) FROM lots WHERE source = 'plan' AND wallet_id = ?", own).Scan(&sum).Error)
	return models.Credits(sum)
}

// balance is what a wallet has by the portal's own word, held credits included.
func (c *crew) balance(wallet string) models.Credits {
	for c.ctx.Err() == nil {
		req, err := http.NewRequestWithContext(c.ctx, http.MethodGet, "http://"+c.h.portals[0].addr+"/v1/wallets/"+url.PathEscape(wallet), http.NoBody)
		require.NoError(c.h.t, err)
		req.Header.Set("Authorization", "Bearer "+c.key)
		res, err := c.http.Do(req)
		if err != nil {
			continue
		}
		raw, err := io.ReadAll(res.Body)
		if joinErr(err, res.Body.Close()) != nil || res.StatusCode != http.StatusOK {
			pause(c.ctx, 5*time.Millisecond)
			continue
		}
		got, _ := decode(raw)["balance"].(map[string]any)
		return amount(got["available"]) + amount(got["held"]) - amount(got["excess"])
	}
	return 0
}

// read opens the database past the wire and beside the portal.
func (h *house) read() *models.DB {
	o := models.Options{SQLitePath: h.data + "/refill.db", AllowLoss: true, MaxConns: 2}
	if h.server != nil {
		o.DatabaseURL = h.direct()
	}
	db, err := models.Open(h.ctx, o)
	require.NoError(h.t, err)
	return db
}
