package stripesim

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"refill/models"
)

// origin says where an act came from.
type origin struct {
	base      string // scheme and host, when it came over HTTP
	account   string
	requestID string
	key       string // the Idempotency-Key
	form      *form
}

// call is one act on the state, made under the server's lock.
type call struct {
	*Server

	now       models.Time
	base      string
	account   string
	requestID string
	key       string
	form      *form
	path      func(name string) string
	batch     []string // deliveries that this act set off, in order
}

// act runs f on the state after what was due, saves what changed, sends the
// events, and returns after the first attempt to deliver each. A context that
// ends stops the wait, not the delivery.
func (s *Server) act(ctx context.Context, from origin, f func(*call)) error {
	pass, err := s.actNow(from, f)
	select {
	case <-pass:
	case <-ctx.Done():
	}
	return err
}

// actNow is act without the wait: the channel closes after the first attempts.
func (s *Server) actNow(from origin, f func(*call)) (<-chan struct{}, error) {
	if from.form == nil {
		from.form = &form{}
	}
	s.mu.Lock()
	if from.base != "" {
		s.base = from.base
	}
	c := &call{
		Server: s, now: s.clock.Now(), base: s.base, requestID: from.requestID, key: from.key, form: from.form,
	}
	c.due()
	c.account = from.account
	f(c)
	s.mu.Unlock()
	// Nobody may hear of a change that a crash could take back.
	err := s.save()
	if err != nil {
		s.log.Error("payment simulator could not save its state", slog.Any("error", err))
	}
	return s.dispatch(c.batch), err
}

// due expires sessions and settles bank debits whose time has come.
func (c *call) due() {
	now := seconds(c.now)
	for _, r := range c.state.Sessions.Rows {
		c.account = r.Account
		switch s := r.Object; {
		case s.Status == sessionOpen && s.ExpiresAt <= now:
			c.expire(s, s.ExpiresAt)
		case s.SettleAt != 0 && s.SettleAt <= now:
			c.settle(s, !s.SettleFail, s.SettleAt)
		}
	}
	c.renewPlans()
}

// keep marks a row as changed.
func (c *call) keep(kind, id string) { c.touch(kind, id) }

// touch marks a row as changed since the journal was last written.
func (s *Server) touch(kind, id string) {
	if t := (touched{kind, id}); !s.isDirty[t] {
		s.isDirty[t] = true
		s.dirty = append(s.dirty, t)
	}
}

// save writes what changed. Calls that wait for another's write find their
// rows already written.
func (s *Server) save() error {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	rows := s.dirty
	s.dirty, s.isDirty = nil, map[touched]bool{}
	var lines []byte
	var err error
	if s.journal != nil {
		lines, err = encode(s.state, rows)
	}
	s.mu.Unlock()
	if s.journal == nil {
		return nil
	}
	if err == nil {
		err = s.journal.append(lines)
	}
	if err != nil { // try these again with the next change
		s.mu.Lock()
		for _, t := range rows {
			s.touch(t.kind, t.id)
		}
		s.mu.Unlock()
	}
	return err
}

// create puts a new object of the acting account into its table.
func create[T any](c *call, t *table[T], id string, o *T) {
	t.put(&row[T]{ID: id, Account: c.account, Object: o})
	c.keep(t.kind, id)
}

// reply is the remembered answer to an Idempotency-Key.
type reply struct {
	Endpoint    string          `json:"endpoint"`
	Fingerprint string          `json:"fingerprint"`
	Status      int             `json:"status"`
	Body        json.RawMessage `json:"body"`
	RequestID   string          `json:"request_id"`
	At          int64           `json:"at"` // domain seconds
}

// keyLife is how long a key is remembered, in seconds of domain time.
const keyLife = 24 * 60 * 60

// handler answers one API call with an object in Stripe's form.
type handler func(c *call) (wire, *apiError)

// api wraps a handler in what all calls share: the key, the account, the
// parameters, faults on demand and idempotency.
func (s *Server) api(known []string, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := answer{requestID: newID("req")}
		from, e := s.enter(r, known)
		if e != nil {
			a.fail(e)
			a.write(w)
			return
		}
		from.requestID = a.requestID
		var lost bool
		_, err := s.actNow(from, func(c *call) {
			c.path = r.PathValue
			a, lost = c.answer(r, a, h)
		})
		if err != nil {
			a.fail(broken("The simulator could not save its state."))
		}
		if lost {
			hangUp(w)
			return
		}
		a.write(w)
	}
}

// enter checks who asks and reads what is asked.
func (s *Server) enter(r *http.Request, known []string) (origin, *apiError) {
	from := origin{base: "http://" + r.Host}
	if e := s.checkKey(r); e != nil {
		return from, e
	}
	encoded := r.URL.RawQuery
	if r.Method == http.MethodPost {
		body, err := readBody(r)
		if err != nil {
			return from, invalid("", "", "The body could not be read, or is larger than 1 MiB.")
		}
		if kind := r.Header.Get("Content-Type"); body != "" && !strings.HasPrefix(kind, "application/x-www-form-urlencoded") {
			return from, invalid("", "", "Parameters are sent as application/x-www-form-urlencoded, not as %q.", kind)
		}
		encoded = strings.Trim(encoded+"&"+body, "&")
	}
	f, e := parseForm(encoded)
	if e != nil {
		return from, e
	}
	if e := f.checkKnown(known); e != nil {
		return from, e
	}
	from.form = f
	from.account = r.Header.Get("Stripe-Account")
	from.key = r.Header.Get("Idempotency-Key")
	if len(from.key) > 255 {
		return from, invalid("", "", "An Idempotency-Key may have up to 255 characters.")
	}
	return from, nil
}

// checkKey takes the configured key, as a bearer token or as the user name of
// basic authentication.
func (s *Server) checkKey(r *http.Request) *apiError {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		key, _, _ = r.BasicAuth()
	}
	switch {
	case key == "":
		return unauthorised("", "You did not provide an API key. Send it as 'Authorization: Bearer YOUR_SECRET_KEY'.")
	case strings.HasPrefix(key, "sk_live_"), strings.HasPrefix(key, "rk_live_"):
		return unauthorised("livemode_mismatch", "This is a simulator for demos and tests. Never send it a live key.")
	case key != s.secret: // a test key guards nothing, so its comparison need not hide its timing
		return unauthorised("", "Invalid API Key provided.")
	}
	return nil
}

// answer runs the handler, or repeats the remembered answer of its key. lost
// says that the answer must not arrive.
func (c *call) answer(r *http.Request, a answer, h handler) (_ answer, lost bool) {
	injected := c.takeFault(r.Method, r.URL.Path)
	lost = injected == faultTimeout
	if c.account != "" && c.connectedAccount(c.account) == nil {
		a.fail(noAccess(c.account))
		return a, lost
	}
	key := c.account + "|" + c.key
	remember := c.key != "" && r.Method == http.MethodPost
	endpoint := r.Method + " " + r.URL.Path
	if remember {
		c.forgetKeys()
		if old := c.state.Replies.find(key); old != nil {
			a.repeat(old.Object, endpoint, c.form.fingerprint(), c.key)
			return a, lost
		}
	}
	if injected == fault500 {
		a.fail(broken("An error was injected through the control door."))
	} else {
		out, e := h(c)
		if e == nil {
			e = c.form.err
		}
		if e != nil {
			a.fail(e)
		} else {
			a.succeed(out)
		}
	}
	// A request refused for its form has not begun, and binds its key to nothing.
	if remember && (a.status < 300 || a.status == http.StatusPaymentRequired || a.status >= 500) {
		c.state.Replies.put(&row[reply]{ID: key, Object: &reply{
			Endpoint: endpoint, Fingerprint: c.form.fingerprint(), Status: a.status, Body: a.body,
			RequestID: a.requestID, At: seconds(c.now),
		}})
		c.keep(c.state.Replies.kind, key)
	}
	return a, lost
}

func (c *call) forgetKeys() {
	since := seconds(c.now) - keyLife
	c.state.Replies.drop(func(r *reply) bool { return r.At > since })
}

// answer is what goes back to the client.
type answer struct {
	requestID string
	status    int
	body      json.RawMessage
	replayed  bool
}

func (a *answer) fail(e *apiError) {
	a.status = e.Status
	body, err := json.Marshal(map[string]*apiError{"error": e})
	if err != nil {
		a.status, body = http.StatusInternalServerError, []byte(`{"error":{"type":"api_error","message":"unprintable error"}}`)
	}
	a.body = body
}

func (a *answer) succeed(out wire) {
	body, err := json.Marshal(out)
	if err != nil {
		a.fail(broken("%v", err))
		return
	}
	a.status, a.body = http.StatusOK, body
}

// repeat answers from a remembered reply if the request is the same.
func (a *answer) repeat(old *reply, endpoint, fingerprint, key string) {
	conflict := func(what string) {
		a.fail(&apiError{
			Status: http.StatusBadRequest, Type: typeIdempotency,
			Message: fmt.Sprintf("Keys for idempotent requests can only be used %s. Try using a key other than '%s' if you meant to execute a different request.", what, key),
		})
	}
	switch {
	case old.Endpoint != endpoint:
		conflict("for the same endpoint they were first used for (" + old.Endpoint + ")")
	case old.Fingerprint != fingerprint:
		conflict("with the same parameters they were first used with")
	default:
		a.status, a.body, a.replayed = old.Status, old.Body, true
	}
}

func (a *answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Request-Id", a.requestID)
	h.Set("Stripe-Version", APIVersion)
	if a.replayed {
		h.Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a client that left hears nothing
}

// hangUp ends the connection without an answer, as a network fault would.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // no connection to cut, as in HTTP/2
		w.WriteHeader(http.StatusGatewayTimeout)
		return
	}
	_ = conn.Close()
}

// faultKind is a failure made on demand.
type faultKind string

const (
	fault500     faultKind = "500"                   // nothing was done, and the answer says so
	faultTimeout faultKind = "timeout_after_success" // everything was done, and no answer arrives
)

// fault is a failure of the next Count requests to a path.
type fault struct {
	Path  string    `json:"path"` // exact, or a beginning followed by *; a method may stand before it
	Fault faultKind `json:"fault"`
	Count int       `json:"count"`
}

func (f fault) hits(method, path string) bool {
	want := f.Path
	if m, rest, ok := strings.Cut(want, " "); ok {
		if !strings.EqualFold(m, method) {
			return false
		}
		want = rest
	}
	if beginning, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(path, beginning)
	}
	return want == path
}

// takeFault uses up one failure for a request, if one is in store.
func (c *call) takeFault(method, path string) faultKind {
	for i, f := range c.faults {
		if !f.hits(method, path) {
			continue
		}
		if c.faults[i].Count--; c.faults[i].Count == 0 {
			c.faults = slices.Delete(c.faults, i, i+1)
		}
		return f.Fault
	}
	return ""
}
