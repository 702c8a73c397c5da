package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/handlers"
	"refill/models"
)

// Payment finds no payment of a saved card: none is made here.
func (*till) Payment(context.Context, string, string) (checkout.Session, error) {
	return checkout.Session{}, &checkout.Error{Kind: checkout.KindRefused, Code: "resource_missing", Message: "no such payment"}
}

// FindPayment finds none either.
func (*till) FindPayment(context.Context, string, string, string, models.Time) (found checkout.Session, ok bool, err error) {
	return checkout.Session{}, false, nil
}

// operation is one of the API, as its document describes it.
type operation struct {
	method, path string
	body         map[string]any // its schema; nil: it takes none
	query        []string
}

// at is its address with every parameter filled in.
func (o *operation) at(fill func(name string) string) string {
	return named.ReplaceAllStringFunc(strings.ReplaceAll(o.path, "_", "-"), func(s string) string { return fill(strings.Trim(s, "{}")) })
}

// operations reads the API's own document.
func (c *canary) operations() []operation {
	c.t.Helper()
	doc := c.document()
	var out []operation
	paths, _ := doc["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		methods, _ := paths[path].(map[string]any)
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			op, ok := methods[method].(map[string]any)
			if !ok || op["responses"] == nil {
				continue
			}
			o := operation{method: strings.ToUpper(method), path: path}
			o.body, _ = dig(op, "requestBody", "content", "application/json", "schema").(map[string]any)
			params, _ := op["parameters"].([]any)
			for _, p := range params {
				if m, _ := p.(map[string]any); m["in"] == "query" {
					o.query = append(o.query, fmt.Sprint(m["name"]))
				}
			}
			out = append(out, o)
		}
	}
	require.Greater(c.t, len(out), 30)
	return out
}

func (c *canary) document() map[string]any {
	c.t.Helper()
	var doc map[string]any
	require.NoError(c.t, json.Unmarshal([]byte(c.program(c.all, http.MethodGet, "/v1/openapi.json", "").body), &doc))
	return doc
}

// dig follows names into a JSON object; nil where there is none.
func dig(v any, names ...string) any {
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// pageForm is a form as its page has it.
type pageForm struct {
	action string
	fields url.Values          // as they stand there
	may    map[string][]string // what a field offers to choose from
}

// attacker sends requests that nobody's browser would, as everybody.
type attacker struct {
	*canary

	r          *rand.Rand
	hall       *hall
	routes     []handlers.Route
	operations []operation
	schemas    map[string]any
	forms      map[string][]pageForm // by route
	queries    []string              // names that addresses carry
	ids        []string              // of things: own, a sibling's, another agency's, nobody's
	statuses   map[int]int
	tried      map[string]bool // routes and operations
	leaks      []string
}

// hostile are values that parsers and pages have stumbled over elsewhere.
func hostile() []string {
	return []string{
		"", " ", "0", "-1", "1", "00", "1e9", "1.5", "1,5", "-0", "NaN", "Infinity", "0x1F", "９９", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
		"99999999999999999999999999", "0.0000001", "1000000000001", "1_000", "true", "null", "undefined", "[]", "{}", `{"a":1}`, "\x00", "a\x00b", "\r\nSet-Cookie: a=b", "%00", "%0d%0a",
		"%", "%zz", "%2e%2e%2f", "../../etc/passwd", "..\\..", "/", "//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "data:text/html,x", "\\", "'", `"`, "';--",
		"1 OR 1=1", "' UNION SELECT password_hash FROM users--", "_", "%25", "*", "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "{{7*7}}", "${7*7}", "=1+1", "@SUM(A1)", "\u202e", "\ufeff", "\U0001f600",
		"e\u0301", "\xff\xfe", "\xc0\xaf", "ﷺ", strings.Repeat("A", 300), strings.Repeat("9", 5000), strings.Repeat("é", 129), strings.Repeat("[", 3000), "2026-02-30", "2026-13-01", "0000-00-00", "9999-12-31",
		"-2026-01-01", "1969-12-31", "2026-03-01T00:00:00Z", "custom", "90d", "all", "agency:northwind", "sub:northwind/acme", "sub:", "agency:", ":", "me@", "a@b.c", "#ff0000", "#zz", "usd", "USD", "xxx", "UTC", "../UTC", "Europe/Vienna", "GMT+99",
		"cs_test_1", "cs_none", "evt_x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "on", "off", "yes", "no", "keep", "revoke", "all\nall", "1\t2", "owner", "admin",
	}
}

// keptOut are routes that would end the run rather than test anything: they take
// somebody's access away for good.
func keptOut(path string) bool {
	return strings.HasSuffix(path, "/remove") && !strings.Contains(path, "webhooks") && !strings.Contains(path, "domain") || path == "/admin/agencies/:id/pause" || path == "/sub-accounts/:id/archive"
}

func newAttacker(t *testing.T, seed uint64) *attacker {
	t.Helper()
	c := newCanary(t)
	a := &attacker{canary: c, r: rand.New(rand.NewPCG(seed, 7)), operations: c.operations(), forms: map[string][]pageForm{}, statuses: map[int]int{}, tried: map[string]bool{}}
	a.schemas, _ = dig(c.document(), "components", "schemas").(map[string]any)
	for _, r := range handlers.Table() {
		if !keptOut(r.Path) {
			a.routes = append(a.routes, r)
		}
	}
	for name, x := range c.things {
		if strings.Contains(name, "link") || name == "reset" || name == "confirm" || name == "letter" || name == "off" {
			continue // a link of a mail is for whoever has it
		}
		if name != "gone" && !strings.HasSuffix(name, "leaver") {
			a.ids = append(a.ids, x.own())
		}
		a.ids = append(a.ids, x.foreign...)
	}
	a.ids = append(a.ids, c.northwind.ID.String(), c.northwind.WalletID.String(), c.acme.WalletID.String(), c.maple.WalletID.String(), c.bluebird.WalletID.String())
	slices.Sort(a.ids)
	a.ids = slices.Compact(a.ids)
	c.ids = nil // an attacker who knows one may write it into a note of their own
	a.hall = c.hall([]string{"owner", "billing", "member", "client", "admin", "neighbour", "stranger", "nobody"})
	a.learn()
	return a
}

// learn reads the forms of all pages, and the names that addresses carry.
func (a *attacker) learn() {
	names := map[string]bool{}
	for _, who := range []string{"admin", "client", "owner"} {
		for _, at := range a.addresses("") {
			_, query, _ := strings.Cut(at, "?")
			q, _ := url.ParseQuery(query)
			for name := range q {
				names[name] = true
			}
			got := a.hall.browsers[who].get(at)
			if !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") {
				continue
			}
			for _, f := range got.doc().Find("form").EachIter() {
				form := formOf(f)
				if f.AttrOr("method", "get") == "get" {
					for name := range form.fields {
						names[name] = true
					}
					continue
				}
				route := "POST " + variable.ReplaceAllString(form.action, ":")
				if len(a.forms[route]) < 4 {
					a.forms[route] = append(a.forms[route], form)
				}
			}
		}
	}
	a.queries = slices.Sorted(maps.Keys(names))
	require.Greater(a.t, len(a.forms), 40)
	require.Greater(a.t, len(a.queries), 10)
}

func formOf(f *goquery.Selection) pageForm {
	at, _, _ := strings.Cut(f.AttrOr("action", ""), "?")
	out := pageForm{action: at, fields: url.Values{}, may: map[string][]string{}}
	for _, in := range f.Find("input[name], select[name], textarea[name], button[name]").EachIter() {
		name, value := in.AttrOr("name", ""), in.AttrOr("value", in.Text())
		if name == "csrf_token" {
			continue
		}
		for _, o := range in.Find("option").EachIter() {
			out.may[name] = append(out.may[name], o.AttrOr("value", o.Text()))
		}
		if len(out.may[name]) > 0 && goquery.NodeName(in) == "select" {
			value = in.Find("option[selected]").AttrOr("value", out.may[name][0])
		} else {
			out.may[name] = append(out.may[name], value)
		}
		_, checked := in.Attr("checked")
		if kind := in.AttrOr("type", "text"); kind != "radio" && kind != "checkbox" || checked {
			out.fields.Set(name, value)
		}
	}
	return out
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (a *attacker) chance(percent int) bool { return a.r.IntN(100) < percent }

// value is what goes into a field, a query or a JSON string.
func (a *attacker) value() string {
	switch n := a.r.IntN(10); {
	case n < 5:
		return pick(a.r, hostile())
	case n < 9:
		return pick(a.r, a.ids)
	}
	b := make([]byte, a.r.IntN(40))
	for i := range b {
		b[i] = byte(a.r.IntN(256))
	}
	return string(b)
}

// query is what stands after an address, often enough nothing.
func (a *attacker) query(known []string) string {
	if a.chance(50) {
		return ""
	}
	q := url.Values{}
	for range 1 + a.r.IntN(3) {
		q.Add(pick(a.r, append(known, a.queries...)), a.value())
	}
	if a.chance(5) {
		return "?" + strings.NewReplacer("\x00", "", " ", "", "\r", "", "\n", "").Replace(strings.ToValidUTF8(a.value(), "")) // as it is, escaped or not
	}
	return "?" + q.Encode()
}

// form is what a POST carries: often what its page would send, changed a little.
func (a *attacker) form(route string) url.Values {
	out := url.Values{}
	if known := a.forms[route]; len(known) > 0 && a.chance(90) {
		f := pick(a.r, known)
		for name, values := range f.fields {
			out[name] = slices.Clone(values)
		}
		for _, name := range slices.Sorted(maps.Keys(f.may)) {
			if a.chance(15) {
				out.Set(name, pick(a.r, f.may[name]))
			}
			switch {
			case a.chance(12):
				out.Set(name, a.value())
			case a.chance(3):
				out.Del(name)
			case a.chance(3):
				out.Add(name, a.value())
			}
		}
	}
	for range a.r.IntN(3) {
		extra := []string{"agency_id", "agency", "role", "price", "balance", "id", "user_id", "sub_account_id", "credits", "wallet_id", "next", "platform_role"}
		out.Add(pick(a.r, append(extra, a.queries...)), a.value())
	}
	return out
}

// sample is JSON by a schema, right or nearly so.
func (a *attacker) sample(schema map[string]any, depth int) any {
	if ref, ok := schema["$ref"].(string); ok {
		at := strings.TrimPrefix(ref, "#/components/schemas/")
		schema, _ = a.schemas[at].(map[string]any)
	}
	if depth > 6 || a.chance(4) {
		return pick(a.r, []any{nil, true, -1, 1e300, 0.1, "", []any{}, map[string]any{}, []any{nil, 1}, a.value()})
	}
	if examples, ok := schema["examples"].([]any); ok && a.chance(60) {
		return pick(a.r, examples)
	}
	if enum, ok := schema["enum"].([]any); ok && a.chance(80) {
		return pick(a.r, enum)
	}
	kind := fmt.Sprint(schema["type"])
	if kinds, ok := schema["type"].([]any); ok && len(kinds) > 0 {
		kind = fmt.Sprint(pick(a.r, kinds))
	}
	switch kind {
	case "object":
		out := map[string]any{}
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if of, ok := properties[name].(map[string]any); ok && a.chance(85) {
				out[name] = a.sample(of, depth+1)
			}
		}
		if a.chance(20) {
			out[pick(a.r, []string{"agency_id", "role", "balance", "price", "id", "__proto__", ""})] = a.value()
		}
		return out
	case "array":
		of, _ := schema["items"].(map[string]any)
		out := make([]any, a.r.IntN(4))
		for i := range out {
			out[i] = a.sample(of, depth+1)
		}
		return out
	case "integer", "number":
		return pick(a.r, []any{0, 1, -1, 12, 1000, 86400, int64(1) << 53, 1e18, 0.5})
	case "boolean":
		return a.chance(50)
	}
	switch a.r.IntN(4) {
	case 0:
		return pick(a.r, []string{"acme", "northwind", "agency:northwind", "sub:northwind/acme", "sub:bluebird/maple", "ai.reply", "gpt-4", "credits-2000", "1", "2.5", "100", "test"})
	case 1:
		return pick(a.r, a.ids)
	}
	return a.value()
}

// allowed is which marks somebody may be shown.
func allowed(who string) bool {
	return who == "admin" || who == "stranger"
}

// page asks a page of the portal.
func (a *attacker) page() {
	r := pick(a.r, a.routes)
	who := pick(a.r, []string{"owner", "owner", "billing", "member", "client", "client", "admin", "neighbour", "stranger", "nobody"})
	b := a.hall.browsers[who]
	route := r.Method + " " + segment.ReplaceAllString(r.Path, ":")
	form := a.form(route)
	fill := func(string) string {
		if a.chance(80) {
			return pick(a.r, a.ids)
		}
		return a.value()
	}
	at := segment.ReplaceAllStringFunc(r.Path, func(s string) string { return url.PathEscape(fill(s)) })
	if known := a.forms[route]; len(known) > 0 && a.chance(70) {
		at = pick(a.r, known).action
	}
	at += a.query(nil)
	method := r.Method
	if a.chance(5) {
		method = pick(a.r, []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace, "PROPFIND", "QUERY"})
	}
	if a.chance(95) {
		form.Set("csrf_token", a.hall.tokens[who])
	}
	if form.Has("proof_password") || a.chance(1) {
		form.Set("proof_password", password)
	}
	var body *bytes.Buffer
	kind := ""
	if method != http.MethodGet && method != http.MethodHead && method != http.MethodTrace {
		body, kind = bytes.NewBufferString(form.Encode()), "application/x-www-form-urlencoded"
		switch a.r.IntN(40) {
		case 0:
			kind = pick(a.r, []string{"", "application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "\x7f", "application/x-www-form-urlencoded; charset=utf-7"})
		case 1, 2, 3:
			body, kind = a.parts(form)
		case 4:
			body.WriteString("&" + strings.Repeat("a=1&", a.r.IntN(3000)))
		}
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, b.at+"/", http.NoBody)
	require.NoError(a.t, err)
	if body != nil {
		req, err = http.NewRequestWithContext(a.t.Context(), method, b.at+"/", body)
		require.NoError(a.t, err)
	}
	u, err := url.Parse(b.at + at)
	if err != nil {
		return // no client would send it
	}
	req.URL = u
	if kind != "" && !strings.Contains(kind, "\x7f") {
		req.Header.Set("Content-Type", kind)
	}
	if a.chance(3) {
		req.Header.Set(pick(a.r, []string{"X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-HTTP-Method-Override", "Range", "If-None-Match", "Accept-Language", "Accept-Encoding", "Referer", "X-Original-URL"}),
			strings.Map(func(r rune) rune {
				if r < ' ' || r > '~' {
					return -1
				}
				return r
			}, a.value()))
	}
	got := b.do(req)
	a.tried[r.Method+" "+r.Path] = true
	public := strings.Contains(r.Path, ":") && (r.Who == "visitors" || strings.HasPrefix(r.Who, "anybody"))
	a.judge(got, who, method+" "+at+" "+form.Encode(), allowed(who) || public, at, form.Encode())
	to, _, _ := strings.Cut(got.to(), "?")
	if who != "nobody" && (to == "/sign-in" || got.StatusCode == http.StatusForbidden && strings.Contains(got.body, "This form has expired") || r.Path == "/switch" || strings.HasSuffix(r.Path, "/look")) {
		a.reenter(who)
	}
}

// parts is a form as one with a file sends it.
func (a *attacker) parts(form url.Values) (*bytes.Buffer, string) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, name := range slices.Sorted(maps.Keys(form)) {
		_ = w.WriteField(name, form.Get(name))
	}
	if f, err := w.CreateFormFile(pick(a.r, []string{"logo", "file", "list", "csv"}), pick(a.r, []string{"a.png", "../a.svg", "a.csv", ""})); err == nil {
		_, _ = f.Write([]byte(pick(a.r, []string{"", "\x89PNG\r\n\x1a\n", "GIF89a", "<svg onload=alert(1)>", "name,credits\nacme,1\n", a.value()})))
	}
	if a.chance(80) {
		_ = w.Close()
	}
	return &body, w.FormDataContentType()
}

// call asks the API.
func (a *attacker) call() {
	o := pick(a.r, a.operations)
	keys := map[string]string{"Northwind's": a.key, "Bluebird's": a.theirs, "the platform's": a.all, "no": "", "a made-up": "rf_live_" + strings.Repeat("A", 50)}
	whose := pick(a.r, []string{"Northwind's", "Northwind's", "Northwind's", "Bluebird's", "the platform's", "no", "a made-up"})
	at := o.at(func(string) string {
		if a.chance(85) {
			return url.PathEscape(pick(a.r, append([]string{"agency:northwind", "sub:northwind/acme", "agency:bluebird", "northwind", "acme"}, a.ids...)))
		}
		return url.PathEscape(a.value())
	}) + a.query(o.query)
	method, body := o.method, ""
	if a.chance(4) {
		method = pick(a.r, []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPost, http.MethodPatch, "PROPFIND"})
	}
	if o.body != nil || a.chance(3) {
		b, err := json.Marshal(a.sample(o.body, 0))
		require.NoError(a.t, err)
		body = string(b)
		switch a.r.IntN(30) {
		case 0:
			body = body[:a.r.IntN(len(body)+1)]
		case 1:
			body = pick(a.r, []string{"", "{", "null", "[]", "\xff", `{"wallet":"a","wallet":"b"}`, strings.Repeat(`{"a":`, 2000), `{"credits":1e999}`, "\ufeff{}"})
		}
	}
	header := []string{"Idempotency-Key", pick(a.r, []string{"a", "b", "c", strconv.Itoa(a.r.IntN(1000)), strconv.Itoa(a.r.IntN(1 << 30)), strings.Repeat("k", 255), strings.Repeat("k", 256)})}
	if a.chance(5) {
		header = nil
	}
	if a.chance(2) {
		header = append(header, "Content-Type", pick(a.r, []string{"text/plain", "application/cloudevents+json", "application/x-www-form-urlencoded", "application/json; charset=utf-16"}))
	}
	if _, err := url.Parse(home + at); err != nil {
		return
	}
	got := a.program(keys[whose], method, at, body, header...)
	a.tried[o.method+" "+o.path] = true
	a.judge(got, whose+" key", method+" "+at+" "+body, whose == "Bluebird's" || whose == "the platform's", at, body)
}

// judge looks at an answer: the program never breaks, and shows nobody what is
// another agency's.
func (a *attacker) judge(got answer, who, asked string, may bool, wrote ...string) {
	a.t.Helper()
	a.statuses[got.StatusCode]++
	unpaid := got.StatusCode == http.StatusServiceUnavailable && strings.Contains(got.body, "Stripe does not answer") // its plans are not sold here
	if got.StatusCode >= 500 && !unpaid {
		a.leaks = append(a.leaks, fmt.Sprintf("%d: %s by %s", got.StatusCode, asked[:min(len(asked), 2000)], who))
	}
	if !strings.HasPrefix(got.body, "400 Bad Request") { // said before the program was asked
		csp := got.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || got.Header.Get("X-Content-Type-Options") != "nosniff" || got.Header.Get("Cross-Origin-Opener-Policy") == "" {
			a.leaks = append(a.leaks, fmt.Sprintf("headers %v: %s by %s", got.Header, asked[:min(len(asked), 500)], who))
		}
	}
	if !leadsHome(got) {
		a.leaks = append(a.leaks, fmt.Sprintf("leads to %s: %s by %s", got.to(), asked[:min(len(asked), 500)], who))
	}
	if may {
		return
	}
	for _, leak := range a.found(got, false, wrote...) {
		a.leaks = append(a.leaks, fmt.Sprintf("%s, by %s: %s", asked[:min(len(asked), 500)], who, leak))
	}
}

// reenter signs somebody in again whom a form of the run has signed out, or who
// looks as somebody else by now.
func (a *attacker) reenter(who string) {
	a.t.Helper()
	id := a.users[who].ID
	if id.IsZero() {
		return
	}
	var n int64
	require.NoError(a.t, a.db.Read.Model(&models.User{}).Where("id = ? AND disabled_at = 0", id).Count(&n).Error)
	b := a.visitor(a.hall.browsers[who].at)
	token, err := a.billing.NewSignInLink(a.t.Context(), id, 1e12, 1)
	if n == 0 || errors.Is(err, context.Canceled) {
		return
	}
	require.NoError(a.t, err)
	if page := b.get("/sign-in/" + token); page.StatusCode == http.StatusOK {
		b.post("/sign-in/"+token, url.Values{"csrf_token": {page.token()}})
		a.hall.browsers[who] = b
		if page := b.get("/settings/security"); page.StatusCode == http.StatusOK {
			a.hall.tokens[who] = page.token()
		}
	}
}

// perWorld is after how many requests a run begins anew: by then people have lost
// roles, and clients are archived.
const perWorld = 2_500

// TestHostileRequests sends random requests to every route and operation as
// everybody: REQUESTS=n of them, by SEED=n. Nothing breaks, nothing of another
// agency is shown, the books stay right, and the log holds nobody's words.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	requests, seed := size("REQUESTS", 200), uint64(size("SEED", 1))
	var mu sync.Mutex
	statuses, tried, possible := map[int]int{}, map[string]bool{}, 0
	t.Run("worlds", func(t *testing.T) {
		t.Parallel()
		for left := requests; left > 0; left -= perWorld {
			of := seed
			seed++
			t.Run(fmt.Sprint("seed ", of), func(t *testing.T) {
				t.Parallel()
				a := newAttacker(t, of)
				if of == uint64(size("SEED", 1)) { // once
					a.stowAway()
				}
				a.run(min(left, perWorld))
				require.Empty(t, a.leaks, "%s", strings.Join(a.leaks, "\n"))
				t.Logf("seed %d: %v", of, a.statuses)
				mu.Lock()
				defer mu.Unlock()
				possible = len(a.routes) + len(a.operations)
				for status, n := range a.statuses {
					statuses[status] += n
				}
				maps.Copy(tried, a.tried)
			})
		}
	})
	t.Cleanup(func() {
		t.Logf("seed %d, %d requests, %d of %d routes and operations, answers %v, audit clean, no mark found", size("SEED", 1), requests, len(tried), possible, statuses)
		if requests >= 30*possible && len(tried) < possible {
			t.Error("a route was never tried")
		}
	})
}

// run sends so many requests, and looks at what is left behind.
func (a *attacker) run(requests int) {
	a.t.Helper()
	for range requests {
		if a.chance(30) {
			a.call()
		} else {
			a.page()
		}
	}
	report, err := ledger.Audit(a.t.Context(), a.db, a.clock.Now())
	require.NoError(a.t, err)
	require.True(a.t, report.Clean(), report.String())
	a.leaks = append(a.leaks, a.logged()...)
}

// size is how much a run is asked to try.
func size(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n >= 0 {
		return n
	}
	return otherwise
}
