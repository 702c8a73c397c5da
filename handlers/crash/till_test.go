//go:build linux

package crash

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/stripesim"
	"refill/models"
)

// The keys of the simulated Stripe, which lives as long as the run: it is not what
// is broken here.
const (
	tillKey    = "sk_test_crash"
	tillSecret = "whsec_crash"
	tillAgency = "till"
)

// till is the money of a run: an agency buys packs while portals are killed.
type till struct {
	h         *house
	url       string // of the simulator
	portalURL string // the same, by the road
	pack      models.Pack
	quiet     bool                 // nobody buys
	toll      atomic.Pointer[toll] // nil: every request of the portal's passes

	mu       sync.Mutex
	paid     map[models.PurchaseID]models.Credits // what Stripe was paid for
	left     int                                  // checkouts that nobody paid
	declined int
}

// toll decides over each request of the portal's to the simulator: what becomes of it,
// and what happens then.
type toll struct {
	judge func(*http.Request) fate // pass, before it is heard, or after it was done and before the portal hears
	then  func(fate)
}

// road leads the portal's requests to the simulator.
func (t *till) road() http.Handler {
	to, err := url.Parse(t.url)
	require.NoError(t.h.t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rule, what := t.toll.Load(), pass
		if rule != nil {
			what = rule.judge(r)
		}
		if what == pass {
			proxy.ServeHTTP(w, r)
			return
		}
		if what == after {
			proxy.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		}
		rule.then(what)
		panic(http.ErrAbortHandler) // no answer
	})
}

// openTill starts the simulator, which tells a portal of everything twice, and again
// until it is heard.
func openTill(h *house, portal string) *till {
	t := h.t
	listener, err := stripesim.Listen(h.ctx, "127.0.0.1:0")
	require.NoError(t, err)
	sim, err := stripesim.New(stripesim.Config{
		Clock: models.SystemClock{}, Secret: tillKey, Endpoints: []stripesim.Endpoint{{URL: "http://" + portal + "/webhooks/stripe", Secret: tillSecret}},
		Backoff: []time.Duration{200 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 30 * time.Second},
	})
	require.NoError(t, err)
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); _ = sim.Close() })
	out := &till{h: h, url: "http://" + listener.Addr().String(), paid: map[models.PurchaseID]models.Credits{}}
	way, err := (&net.ListenConfig{}).Listen(h.ctx, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	road := &http.Server{Handler: out.road(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = road.Serve(way) }()
	t.Cleanup(func() { _ = road.Close() })
	out.portalURL = "http://" + way.Addr().String()
	out.door("/_sim/webhooks", url.Values{"mode": {"duplicate"}})
	return out
}

// env is what a portal has to know of it.
func (t *till) env() []string {
	return []string{"STRIPE_SECRET_KEY=" + tillKey, "STRIPE_WEBHOOK_SECRET=" + tillSecret, "REFILL_STRIPE_URL=" + t.portalURL}
}

// door asks the simulator itself.
func (t *till) door(path string, form url.Values) map[string]any {
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.h.ctx), http.MethodPost, t.url+path, strings.NewReader(form.Encode()))
	require.NoError(t.h.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t.h.t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(t.h.t, joinErr(err, res.Body.Close()))
	return decode(raw)
}

// seed makes the agency that buys.
func (t *till) seed(c *crew) {
	rng := rand.New(rand.NewPCG(t.h.seed, 9))
	status, raw := c.ask(rng, &act{key: "till", path: "/v1/agencies", body: encode(map[string]any{"external_id": tillAgency, "name": "Till"})})
	require.Equal(t.h.t, http.StatusCreated, status, "%s", raw)
	db := t.h.read()
	require.NoError(t.h.t, db.Read.Where("archived_at = 0 AND kind = 'fixed'").Order("code").Limit(1).Find(&t.pack).Error)
	require.NoError(t.h.t, db.Close())
	require.NotEmpty(t.h.t, t.pack.Code)
}

// buy opens a checkout and, mostly, pays: as its buyer would, whatever has become of
// the portal by then.
func (t *till) buy(c *crew, rng *rand.Rand, key string) {
	status, raw := c.ask(rng, &act{key: key, path: "/v1/purchases", body: encode(map[string]any{"wallet": "agency:" + tillAgency, "pack": t.pack.Code})})
	if status == 0 {
		return // dismissed
	}
	got := decode(raw)
	session, _ := got["checkout_session"].(string)
	text, _ := got["id"].(string)
	id, err := models.ParseID[models.PurchaseID](text)
	if session == "" || err != nil {
		c.tell(func(f *findings) { f.changed++ }, "purchase %s was answered %d %s", key, status, raw)
		return
	}
	pay := func(card string) bool {
		return t.door("/_sim/checkout/sessions/"+session+"/pay", url.Values{"card": {card}})["payment_status"] == "paid"
	}
	fate := rng.IntN(6)
	if fate == 1 {
		pay("4000000000000002") // declined, and paid with another one
	}
	paid := fate > 0 && pay("4242424242424242")
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case paid:
		t.paid[id] = amount(got["credits"])
	case fate == 0:
		t.left++
	default:
		c.tell(func(f *findings) { f.changed++ }, "purchase %s could not be paid", key)
	}
	if fate == 1 {
		t.declined++
	}
}

// booked is what the database has of a purchase.
type booked struct {
	ID      models.PurchaseID
	Status  models.PurchaseStatus
	Lots    int64
	Granted models.Credits
}

// tillPatience is how long a payment may take to be booked once nobody is killed any
// more: a webhook that was lost is sent again, and open purchases are asked about.
const tillPatience = 90 * time.Second

// check waits until everything that was paid is credited, and holds the two against
// each other: each payment one grant, and no grant without one.
func (t *till) check(c *crew) {
	db := t.h.read()
	defer func() { require.NoError(t.h.t, db.Close()) }()
	t.mu.Lock()
	defer t.mu.Unlock()
	var rows []booked
	for begun := time.Now(); ; pause(t.h.ctx, 100*time.Millisecond) {
		rows = nil
		require.NoError(t.h.t, db.Read.Raw(`SELECT p.id, p.status, COUNT(l.id) AS lots, CAST(COALESCE(SUM(l.granted), 0) AS bigint) AS granted
			FROM purchases p LEFT JOIN lots l ON l.agency_id = p.agency_id AND l.purchase_id = p.id
			WHERE p.origin <> 'automatic' GROUP BY p.id, p.status`).Scan(&rows).Error)
		waiting := len(t.paid)
		for _, r := range rows {
			if _, paid := t.paid[r.ID]; paid && r.Status == models.PurchaseCredited {
				waiting--
			}
		}
		if waiting == 0 || time.Since(begun) > tillPatience {
			break
		}
	}
	seen := 0
	for _, r := range rows {
		credits, paid := t.paid[r.ID]
		if paid {
			seen++
		}
		switch {
		case paid && (r.Status != models.PurchaseCredited || r.Lots == 0):
			c.tell(func(f *findings) { f.lost++ }, "purchase %s was paid and is %s", r.ID, r.Status)
		case paid && (r.Lots != 1 || r.Granted != credits), !paid && r.Lots != 0:
			c.tell(func(f *findings) { f.doubled++ }, "purchase %s (paid: %t) of %s gave %s in %d lots", r.ID, paid, credits, r.Granted, r.Lots)
		}
	}
	if seen != len(t.paid) {
		c.tell(func(f *findings) { f.lost += len(t.paid) - seen }, "%d payments are of purchases that are not there", len(t.paid)-seen)
	}
}

// takes waits until something was paid: a run of a few kills may end before.
func (t *till) takes() {
	for range 600 {
		t.mu.Lock()
		n := len(t.paid)
		t.mu.Unlock()
		if n > 0 {
			return
		}
		pause(t.h.ctx, 100*time.Millisecond)
	}
}

func (t *till) String() string {
	return fmt.Sprintf("%d payments credited once each, %d after a card was declined, %d checkouts left", len(t.paid), t.declined, t.left)
}
