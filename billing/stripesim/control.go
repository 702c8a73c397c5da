package stripesim

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The control door, under /_sim, does what buyers, banks and bad luck do. It
// takes forms and JSON alike and needs no key: only this machine reaches it.

// readDoor reads what was sent to the control door as a form.
func readDoor(r *http.Request) (url.Values, *apiError) {
	body, err := readBody(r)
	if err != nil {
		return nil, invalid("", "", "The body could not be read.")
	}
	in := r.URL.Query()
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" && !strings.HasPrefix(strings.TrimSpace(body), "{") {
		sent, err := url.ParseQuery(body)
		if err != nil {
			return nil, invalid("", "", "The body is neither a form nor JSON.")
		}
		for k, v := range sent {
			k = strings.TrimSuffix(k, "[]")
			in[k] = append(in[k], v...)
		}
		return in, nil
	}
	if strings.TrimSpace(body) == "" {
		return in, nil
	}
	var fields map[string]any
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, invalid("", "", "The body is not a JSON object: %v", err)
	}
	for k, v := range fields {
		switch v := v.(type) {
		case nil:
		case []any:
			for _, e := range v {
				in.Add(k, fmt.Sprint(e))
			}
		default:
			in.Set(k, fmt.Sprint(v))
		}
	}
	return in, nil
}

// tell answers the control door.
func tell(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that left hears nothing
}

func refuse(w http.ResponseWriter, e *apiError) {
	tell(w, e.Status, map[string]any{"error": e})
}

// onSession acts on one session and answers with where it stands, after the
// first attempt at every webhook.
func (s *Server) onSession(w http.ResponseWriter, r *http.Request, f func(*call, *session) *apiError) {
	var stands map[string]any
	var refused *apiError
	err := s.act(r.Context(), origin{base: "http://" + r.Host}, func(c *call) {
		found, e := c.sessionByID(r.PathValue("id"))
		if e == nil {
			e = f(c, found)
			stands = map[string]any{"status": found.Status, "payment_status": found.PaymentStatus}
		}
		refused = e
	})
	switch {
	case err != nil:
		refuse(w, broken("%v", err))
	case refused != nil && stands != nil:
		stands["error"] = refused
		tell(w, refused.Status, stands)
	case refused != nil:
		refuse(w, refused)
	default:
		tell(w, http.StatusOK, stands)
	}
}

// doorPay is POST /_sim/checkout/sessions/{id}/pay: card (a test number), or
// method=paypal, or method=pay_later with account; authenticate=true|false
// answers a bank that asks.
func (s *Server) doorPay(w http.ResponseWriter, r *http.Request) {
	in, e := readDoor(r)
	if e != nil {
		refuse(w, e)
		return
	}
	a := attempt{
		card: digits(in.Get("card")), account: digits(in.Get("account")),
		method: method{ExpMonth: 12, ExpYear: 2034, Name: in.Get("name"), Email: in.Get("email")},
	}
	a.kind, e = methodNamed(in.Get("method"))
	switch {
	case e != nil:
	case a.kind == payCard && a.card == "":
		e = missing("card")
	case a.kind == payCard && !validNumber(a.card):
		e = &apiError{
			Status: http.StatusPaymentRequired, Type: typeCard, Code: "incorrect_number", Param: "card",
			Message: "Your card number is incorrect.",
		}
	}
	switch v := in.Get("authenticate"); v {
	case "":
	case "true", "false":
		a.authenticated = new(v == "true")
	default:
		e = invalid("authenticate", "", "authenticate is true or false.")
	}
	s.onSession(w, r, func(c *call, found *session) *apiError {
		if e != nil {
			return e
		}
		if e := c.pay(found, a); e != nil {
			return e
		}
		if found.Status == sessionOpen {
			return &apiError{
				Status: http.StatusPaymentRequired, Type: typeCard, Code: "authentication_required",
				DeclineCode: "authentication_required",
				Message:     "The bank wants to see the buyer first. Pay again with authenticate=true or false, or use the payment page.",
			}
		}
		return nil
	})
}

// methodNamed reads the door's name of a way to pay.
func methodNamed(name string) (methodKind, *apiError) {
	switch name {
	case "", "card":
		return payCard, nil
	case "none":
		return payNone, nil
	case "paypal":
		return payPaypal, nil
	case "pay_later", "us_bank_account":
		return payBankBill, nil
	}
	return "", invalid("method", "", "method is card, paypal or pay_later.")
}

func (s *Server) doorExpire(w http.ResponseWriter, r *http.Request) {
	s.onSession(w, r, func(c *call, found *session) *apiError { return c.expireNow(found) })
}

// doorSettle is POST /_sim/checkout/sessions/{id}/settle: outcome=succeeded or
// failed.
func (s *Server) doorSettle(w http.ResponseWriter, r *http.Request) {
	in, e := readDoor(r)
	outcome := in.Get("outcome")
	if e == nil && outcome != "succeeded" && outcome != "failed" {
		e = invalid("outcome", "", "outcome is succeeded or failed.")
	}
	if e != nil {
		refuse(w, e)
		return
	}
	s.onSession(w, r, func(c *call, found *session) *apiError { return c.settleNow(found, outcome == "succeeded") })
}

// shownRule is the webhook mode as the door says it.
type shownRule struct {
	Mode  webhookMode `json:"mode"`
	Types []string    `json:"types"`
	Count int         `json:"count"`
	Delay string      `json:"delay,omitempty"`
}

func (r *rule) show() shownRule {
	out := shownRule{Mode: r.Mode, Types: append([]string{}, r.Types...), Count: r.Count}
	if r.Delay > 0 {
		out.Delay = r.Delay.String()
	}
	return out
}

// maxCopies bounds the count of a webhook mode.
const maxCopies = 1000

// doorSetWebhooks is POST /_sim/webhooks: what happens to events from now on.
func (s *Server) doorSetWebhooks(w http.ResponseWriter, r *http.Request) {
	in, e := readDoor(r)
	if e != nil {
		refuse(w, e)
		return
	}
	next, e := readRule(in)
	if e != nil {
		refuse(w, e)
		return
	}
	s.mu.Lock()
	left := s.release(s.rule.gathered) // nothing gathered gets stuck
	s.rule = next
	s.mu.Unlock()
	select {
	case <-s.dispatch(left):
	case <-r.Context().Done():
	}
	tell(w, http.StatusOK, next.show())
}

func readRule(in url.Values) (rule, *apiError) {
	next := rule{Mode: webhookMode(in.Get("mode"))}
	switch next.Mode {
	case modeDeliver, modeDrop, modeDuplicate, modeDelay, modeReorder:
	default:
		return next, invalid("mode", "", "mode is deliver, drop, duplicate, delay or reorder.")
	}
	for _, v := range in["types"] {
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.TrimSpace(t); t != "" && t != "*" {
				next.Types = append(next.Types, t)
			}
		}
	}
	if v := in.Get("count"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > maxCopies {
			return next, invalid("count", "", "count is a number from 0 (no limit) to %d.", int64(maxCopies))
		}
		next.Count = n
	}
	if v := in.Get("delay"); v != "" {
		d, err := time.ParseDuration(v)
		if n, numErr := strconv.Atoi(v); numErr == nil && n >= 0 && n < 1_000_000 {
			d, err = time.Duration(n)*time.Second, nil
		}
		if err != nil || d < 0 {
			return next, invalid("delay", "", "delay is a duration such as 2s or 500ms.")
		}
		next.Delay = d
	}
	return next, nil
}

// shownDelivery is a line of the delivery log.
type shownDelivery struct {
	ID       string        `json:"id"`
	Event    string        `json:"event"`
	Type     string        `json:"type"`
	Account  string        `json:"account,omitempty"`
	URL      string        `json:"url,omitempty"`
	State    deliveryState `json:"state"`
	Attempts int           `json:"attempts"`
	Status   int           `json:"status"` // of the last answer, 0 for none
	Error    string        `json:"error,omitempty"`
	Due      *time.Time    `json:"due_at,omitempty"`
}

// logLength is how many deliveries GET /_sim/webhooks lists.
const logLength = 500

// doorShowWebhooks is GET /_sim/webhooks: the mode and the delivery log, newest
// last.
func (s *Server) doorShowWebhooks(w http.ResponseWriter, r *http.Request) {
	type shownEndpoint struct {
		URL     string `json:"url"`
		Connect bool   `json:"connect"`
	}
	out := struct {
		shownRule
		Endpoints  []shownEndpoint       `json:"endpoints"`
		States     map[deliveryState]int `json:"states"`
		Deliveries []shownDelivery       `json:"deliveries"`
	}{Endpoints: []shownEndpoint{}, States: map[deliveryState]int{}, Deliveries: []shownDelivery{}}
	err := s.act(r.Context(), origin{}, func(c *call) {
		out.shownRule = c.rule.show()
		for _, e := range c.endpoints {
			out.Endpoints = append(out.Endpoints, shownEndpoint{e.URL, e.Connect})
		}
		for _, d := range c.state.Deliveries.Rows {
			out.States[d.Object.State]++
		}
		for _, found := range slices.Backward(recent(c.state.Deliveries, logLength)) {
			d := found.Object
			line := shownDelivery{
				ID: d.ID, Event: d.Event, Type: d.Type, Account: found.Account, State: d.State, Attempts: d.Attempts,
				Status: d.Status, Error: d.Error,
			}
			to, _ := c.target(d)
			line.URL = to.URL
			if !d.DueAt.IsZero() {
				line.Due = new(d.DueAt)
			}
			out.Deliveries = append(out.Deliveries, line)
		}
	})
	if err != nil {
		refuse(w, broken("%v", err))
		return
	}
	tell(w, http.StatusOK, out)
}

// doorFlush is POST /_sim/webhooks/flush: all=true sends what was dropped too.
func (s *Server) doorFlush(w http.ResponseWriter, r *http.Request) {
	in, e := readDoor(r)
	if e != nil {
		refuse(w, e)
		return
	}
	tell(w, http.StatusOK, s.flush(r.Context(), in.Get("all") == "true"))
}

// doorSetFault is POST /_sim/faults: path, fault, count (1 when absent; 0 takes
// the path's faults away).
func (s *Server) doorSetFault(w http.ResponseWriter, r *http.Request) {
	in, e := readDoor(r)
	if e != nil {
		refuse(w, e)
		return
	}
	f := fault{Path: in.Get("path"), Fault: faultKind(in.Get("fault")), Count: 1}
	if v := in.Get("count"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > 1_000_000 {
			refuse(w, invalid("count", "", "count is a number from 0 to 1000000."))
			return
		}
		f.Count = n
	}
	_, path, method := strings.Cut(f.Path, " ")
	if !method {
		path = f.Path
	}
	switch {
	case !strings.HasPrefix(path, "/v1/"):
		e = invalid("path", "", "path is a path of the API such as /v1/checkout/sessions, or its beginning and a star.")
	case f.Fault != fault500 && f.Fault != faultTimeout && f.Count > 0:
		e = invalid("fault", "", "fault is 500 or timeout_after_success.")
	}
	if e != nil {
		refuse(w, e)
		return
	}
	s.mu.Lock()
	s.faults = slices.DeleteFunc(s.faults, func(old fault) bool { return old.Path == f.Path })
	if f.Count > 0 {
		s.faults = append(s.faults, f)
	}
	s.mu.Unlock()
	tell(w, http.StatusOK, f)
}

// doorShowFaults is GET /_sim/faults: the failures still in store.
func (s *Server) doorShowFaults(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	out := append([]fault{}, s.faults...)
	s.mu.Unlock()
	tell(w, http.StatusOK, map[string]any{"data": out})
}
