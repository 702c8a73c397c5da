package stripesim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Bounds on what is remembered of events.
const (
	eventLife     = 30 * 24 * 60 * 60 // seconds of domain time, as at Stripe
	maxEvents     = 10_000
	maxDeliveries = 10_000
)

// deliveryState is where one event for one endpoint stands.
type deliveryState string

const (
	deliveryPending   deliveryState = "pending"   // waits for its first or next attempt
	deliveryHeld      deliveryState = "held"      // kept back on demand, until a time or a flush
	deliveryDelivered deliveryState = "delivered" // answered with 2xx
	deliveryDropped   deliveryState = "dropped"   // lost on demand
	deliveryFailed    deliveryState = "failed"    // given up after the last attempt
)

// delivery is one event on its way to one endpoint.
type delivery struct {
	ID       string        `json:"id"`
	Event    string        `json:"event"`
	Type     string        `json:"type"`
	Slot     int           `json:"endpoint"`       // place in the list of endpoints
	Hook     string        `json:"hook,omitempty"` // or the one made through the API
	State    deliveryState `json:"state"`
	Attempts int           `json:"attempts"`
	Status   int           `json:"status,omitempty"` // of the last answer
	Error    string        `json:"error,omitempty"`
	DueAt    time.Time     `json:"due_at,omitzero"` // wall time
	under    bool          // an attempt is under way
}

// webhookMode is what happens to events on their way.
type webhookMode string

const (
	modeDeliver   webhookMode = "deliver"
	modeDrop      webhookMode = "drop"
	modeDuplicate webhookMode = "duplicate"
	modeDelay     webhookMode = "delay"
	modeReorder   webhookMode = "reorder"
)

// rule is the mode in force. Count is how many more events it touches, 0 for
// all to come; for duplicate it is how many copies go out, and for reorder how
// many events are gathered before they go out, last first (0: the events of
// one act).
type rule struct {
	Mode  webhookMode
	Types []string // empty: every type
	Count int
	Delay time.Duration // for delay; 0 holds until a flush

	gathered []string // deliveries that wait to be reordered
	events   int      // how many events those are
}

func (r *rule) touches(eventType string) bool {
	return len(r.Types) == 0 || slices.Contains(r.Types, eventType)
}

// used counts an event against a rule that is limited to some.
func (r *rule) used() {
	if r.Count > 0 {
		if r.Count--; r.Count == 0 {
			*r = rule{Mode: modeDeliver}
		}
	}
}

// emit records that something happened to an object and puts the event on its
// way to the endpoints.
func (c *call) emit(eventType string, o object, at int64) {
	shown, err := render(o, c.base)
	var raw []byte
	if err == nil {
		raw, err = json.Marshal(shown)
	}
	if err != nil { // no object here is unprintable
		c.log.Error("payment simulator could not print an event", slog.String("type", eventType), slog.Any("error", err))
		return
	}
	e := &event{
		ID: newID("evt"), Account: c.account, Created: at, Type: eventType, Object: raw,
		Request: c.key, RequestID: c.requestID,
	}
	create(c, c.state.Events, e.ID, e)
	if e.Account == "" || c.connectedAccount(e.Account) != nil { // who has left is none of our business
		c.route(e)
	}
	c.forgetEvents()
}

// route makes the deliveries of an event as the rule in force says.
func (c *call) route(e *event) {
	mode := modeDeliver
	if c.rule.touches(e.Type) {
		mode = c.rule.Mode
	}
	copies := 1
	if mode == modeDuplicate {
		copies = max(2, c.rule.Count)
	}
	var made []string
	for _, to := range c.addressed(e) {
		for range copies {
			d := new(to)
			d.ID = newID("whd")
			switch mode {
			case modeDrop:
				d.State = deliveryDropped
			case modeDelay:
				d.State = deliveryHeld
				if c.rule.Delay > 0 {
					d.DueAt = wall().Add(c.rule.Delay)
				}
			case modeReorder:
				if c.rule.Count > 0 {
					d.State = deliveryHeld
				}
			case modeDeliver, modeDuplicate:
			}
			create(c, c.state.Deliveries, d.ID, d)
			made = append(made, d.ID)
		}
	}
	switch mode {
	case modeDeliver, modeDuplicate:
		c.batch = append(c.batch, made...)
	case modeDrop:
		c.rule.used()
	case modeDelay:
		c.rule.used()
		c.wake()
	case modeReorder:
		if c.rule.Count == 0 {
			c.batch = append(made, c.batch...)
			return
		}
		c.rule.gathered = append(c.rule.gathered, made...)
		if c.rule.events++; c.rule.events >= c.rule.Count {
			c.batch = append(c.batch, c.release(c.rule.gathered)...)
			c.rule = rule{Mode: modeDeliver}
		}
	}
}

// release turns held deliveries round and lets them go.
func (s *Server) release(ids []string) []string {
	out := slices.Clone(ids)
	slices.Reverse(out)
	for _, id := range out {
		if r := s.state.Deliveries.find(id); r != nil && r.Object.State == deliveryHeld {
			r.Object.State = deliveryPending
			s.touch(s.state.Deliveries.kind, id)
		}
	}
	return out
}

// forgetEvents keeps the lists within their bounds, oldest first.
func (c *call) forgetEvents() {
	since, spare := seconds(c.now)-eventLife, len(c.state.Events.Rows)-maxEvents
	if spare > 0 || c.state.Events.Rows[0].Object.Created < since {
		c.state.Events.drop(func(e *event) bool { spare--; return spare < 0 && e.Created >= since })
	}
	if spare := len(c.state.Deliveries.Rows) - maxDeliveries; spare > 0 {
		c.state.Deliveries.drop(func(*delivery) bool { spare--; return spare < 0 })
	}
}

// dispatch makes the first attempt at each delivery in the background, one
// after the other, copies of one event at once. The channel closes after the
// last of these attempts.
func (s *Server) dispatch(ids []string) <-chan struct{} {
	done := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ids) == 0 || s.closed {
		close(done)
		return done
	}
	s.passes[done] = true
	var claimed []string
	for _, id := range ids { // a retry or a flush may have been quicker
		if r := s.state.Deliveries.find(id); r != nil && r.Object.State == deliveryPending && !r.Object.under {
			r.Object.under = true
			claimed = append(claimed, id)
		}
	}
	s.work.Go(func() {
		defer func() {
			s.mu.Lock()
			delete(s.passes, done)
			s.mu.Unlock()
			close(done)
		}()
		for len(claimed) > 0 {
			n := s.copies(claimed)
			var together sync.WaitGroup
			for _, id := range claimed[:n] {
				together.Go(func() { s.attempt(id) })
			}
			together.Wait()
			claimed = claimed[n:]
		}
		if err := s.save(); err != nil {
			s.log.Error("payment simulator could not save its deliveries", slog.Any("error", err))
		}
		s.wake() // some may want another attempt
	})
	return done
}

// copies is how many deliveries at the head of a list carry one event.
func (s *Server) copies(ids []string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	eventOf := func(id string) string {
		if r := s.state.Deliveries.find(id); r != nil {
			return r.Object.Event
		}
		return ""
	}
	n := 1
	for n < len(ids) && eventOf(ids[n]) == eventOf(ids[0]) {
		n++
	}
	return n
}

// attempt sends one event to its endpoint and books the outcome.
func (s *Server) attempt(id string) {
	s.mu.Lock()
	r := s.state.Deliveries.find(id)
	if r == nil {
		s.mu.Unlock()
		return
	}
	d := r.Object
	endpoint, version := s.target(d)
	e := s.state.Events.find(d.Event)
	var payload []byte
	var err error
	if e != nil {
		shown := showEvent(e.Object)
		shown["api_version"] = version
		payload, err = json.Marshal(shown)
	}
	s.mu.Unlock()

	status := 0
	switch {
	case err != nil:
	case e == nil:
		err = fmt.Errorf("event %s is no longer kept", d.Event)
	case endpoint.URL == "":
		err = fmt.Errorf("there is no endpoint number %d", d.Slot)
	default:
		status, err = s.post(s.ctx, endpoint, payload)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	d.under = false
	if s.ctx.Err() != nil && err != nil {
		return // closing: the attempt counts for nothing and is made after the next start
	}
	d.Attempts++
	d.Status, d.Error = status, ""
	switch {
	case err == nil && status >= 200 && status <= 299:
		d.State, d.DueAt = deliveryDelivered, time.Time{}
	case d.Attempts > len(s.backoff):
		d.State, d.DueAt = deliveryFailed, time.Time{}
	default:
		d.DueAt = wall().Add(s.backoff[d.Attempts-1])
	}
	if err != nil {
		d.Error = err.Error()
	} else if d.State != deliveryDelivered {
		d.Error = "answered " + strconv.Itoa(status)
	}
	s.touch(s.state.Deliveries.kind, id)
}

// post sends a signed payload and gives the status of the answer.
func (s *Server) post(ctx context.Context, to Endpoint, payload []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(payload))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Refill-stripesim/1.0")
	req.Header.Set("Stripe-Signature", Sign(payload, to.Secret, wall()))
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // lets the connection be used again
	return res.StatusCode, nil
}

// Sign is the Stripe-Signature header of a payload at an instant of wall time.
func Sign(payload []byte, secret string, at time.Time) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "."))
	mac.Write(payload)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// webhookClient never follows a redirect: to Stripe a 3xx is a failure.
func webhookClient(given *http.Client) *http.Client {
	c := &http.Client{Timeout: 10 * time.Second}
	if given != nil {
		copied := *given
		c = &copied
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// courier makes the attempts that a time calls for: retries, delayed events,
// and what an earlier run left behind.
func (s *Server) courier() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.alarm:
		case <-timer.C:
		}
		due, next := s.dueDeliveries()
		s.dispatch(due)
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(0, next.Sub(wall())))
		}
	}
}

// dueDeliveries lists what is due now and says when the next will be; the zero
// time when nothing waits for one.
func (s *Server) dueDeliveries() (due []string, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := wall()
	for _, r := range s.state.Deliveries.Rows {
		d := r.Object
		waits := d.State == deliveryPending || d.State == deliveryHeld
		if d.under || !waits || d.DueAt.IsZero() || d.Hook == "" && d.Slot >= len(s.endpoints) {
			continue
		}
		if d.DueAt.After(now) {
			if next.IsZero() || d.DueAt.Before(next) {
				next = d.DueAt
			}
			continue
		}
		d.State = deliveryPending
		due = append(due, d.ID)
	}
	return due, next
}

// resume makes what an earlier run left undelivered due at once.
func (s *Server) resume() {
	for _, r := range s.state.Deliveries.Rows {
		if r.Object.State == deliveryPending && r.Object.DueAt.IsZero() {
			r.Object.DueAt = wall()
		}
	}
}

// wake lets the courier look again.
func (s *Server) wake() {
	select {
	case s.alarm <- struct{}{}:
	default: // it will look anyway
	}
}

// flush sends everything that is held, waits for a retry or was given up, and
// with all also what was dropped. It returns when every attempt has been made,
// those of acts under way included.
func (s *Server) flush(ctx context.Context, all bool) flushed {
	s.settled(ctx) // what fails under way now is tried again below
	s.mu.Lock()
	first := s.release(s.rule.gathered)
	s.rule.gathered, s.rule.events = nil, 0
	var ids []string
	for _, r := range s.state.Deliveries.Rows {
		d := r.Object
		switch d.State {
		case deliveryHeld, deliveryFailed, deliveryPending:
		case deliveryDropped:
			if !all {
				continue
			}
		case deliveryDelivered:
			continue
		}
		d.State = deliveryPending
		s.touch(s.state.Deliveries.kind, d.ID)
		if !slices.Contains(first, d.ID) {
			ids = append(ids, d.ID)
		}
	}
	ids = append(first, ids...)
	s.mu.Unlock()
	s.dispatch(ids)
	s.settled(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	out := flushed{Attempted: len(ids)}
	for _, id := range ids {
		if r := s.state.Deliveries.find(id); r != nil && r.Object.State == deliveryDelivered {
			out.Delivered++
		}
	}
	for _, r := range s.state.Deliveries.Rows {
		if r.Object.State == deliveryDropped {
			out.Dropped++
		}
	}
	return out
}

// settled waits for the rounds of delivery that are under way.
func (s *Server) settled(ctx context.Context) {
	s.mu.Lock()
	running := slices.Collect(maps.Keys(s.passes))
	s.mu.Unlock()
	for _, pass := range running {
		select {
		case <-pass:
		case <-ctx.Done():
			return
		}
	}
}

// flushed is the outcome of a flush.
type flushed struct {
	Attempted int `json:"attempted"`
	Delivered int `json:"delivered"`
	Dropped   int `json:"dropped"` // still lost
}

// showEvent is an event in Stripe's form.
func showEvent(e *event) wire {
	out := wire{
		"id": e.ID, "object": "event", "api_version": APIVersion, "created": e.Created, "livemode": false,
		"pending_webhooks": 1, "type": e.Type, "data": wire{"object": e.Object},
		"request": wire{"id": orNull(e.RequestID), "idempotency_key": orNull(e.Request)},
	}
	if e.Account != "" {
		out["account"] = e.Account
	}
	return out
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// wall is the time of signatures and waits.
func wall() time.Time {
	return time.Now() //nolint:forbidigo // wall time: signatures and back-off have nothing to do with domain time
}
