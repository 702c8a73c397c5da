package handlers_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/handlers"
	"refill/models"
)

// leadsHome tells whether an answer leads nowhere, to one of our own hosts, or to
// the pages of the payment provider.
func leadsHome(a answer) bool {
	to := a.to()
	if to == "" {
		return true
	}
	if !strings.HasPrefix(to, "/") {
		u, err := url.Parse(to)
		return err == nil && u.User == nil && slices.Contains([]string{home, clients, others, "https://checkout.stripe.com", "https://connect.stripe.com", "https://billing.stripe.com"}, u.Scheme+"://"+u.Host)
	}
	return !strings.HasPrefix(to, "//") && !strings.ContainsAny(to, "\\\t\r\n")
}

// TestNothingLeadsElsewhere: no parameter of any page or form leads to another site,
// whatever is written into it; those that do lead somewhere are tried with every
// target that is known to have led astray.
func TestNothingLeadsElsewhere(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner := p.as("owner")
	token := owner.get("/settings/security").token()
	targets := handlers.HostileTargets()
	require.Greater(t, len(targets), 30)
	tried := 0
	check := func(a answer, what string) {
		tried++
		require.True(t, leadsHome(a), "%s leads to %q", what, a.to())
		require.Less(t, a.StatusCode, 500, what)
		// Nor does a link or a form of the page that it shows.
		if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			for _, s := range a.doc().Find("a[href], form[action], input[name=next], input[name=return_to]").EachIter() {
				to := s.AttrOr("href", s.AttrOr("action", s.AttrOr("value", "")))
				require.False(t, strings.Contains(strings.ToLower(to), "evil") && !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(strings.ToLower(to), "javascript:"), "%s shows a way to %q", what, to)
			}
		}
		require.Empty(t, a.Header.Get("Refresh"), what)
	}
	for i, target := range targets {
		if size("LINKS", 0) == 0 && i%4 > 0 {
			continue // pages have no parser of their own: FuzzReturnTo has them all
		}
		q := url.Values{"next": {target}}.Encode()
		check(p.visitor(home).get("/sign-in?"+q), "sign-in, shown")
		check(owner.get("/sign-in?"+q), "sign-in, signed in")
		check(p.visitor(clients).get("/sign-in/code?"+q), "second step")
		check(owner.post("/theme", url.Values{"csrf_token": {token}, "theme": {"dark"}, "return_to": {target}}), "theme")
		if u, err := url.Parse(home + target); err == nil && u.Host == "refill.test" {
			check(p.visitor(home).get(target), "an address as it is")
		}
	}
	// A sign-in that succeeds goes where its form says, which is here.
	for _, target := range targets[:3] {
		b := p.visitor(home)
		form := credentials("owner@example.test", password)
		form.Set("next", target)
		a := b.fill("/sign-in", "/sign-in", form)
		require.Equal(t, http.StatusSeeOther, a.StatusCode)
		check(a, "sign-in, done")
	}
	all := url.Values{}
	for _, name := range []string{"next", "return_to", "return", "returnTo", "return_url", "redirect", "redirect_uri", "redirect_url", "url", "to", "back", "continue", "dest", "goto", "r", "u", "host", "cancelled", "s", "from"} {
		all.Set(name, "https://evil.example/")
	}
	for _, r := range handlers.Table() {
		path := strings.NewReplacer(":token", "x", ":name", "app.css", ":id", p.acme.ID.String(), ":user", p.users["client"].ID.String()).Replace(r.Path)
		switch {
		case r.Path == "/sign-out" || r.Path == "/settings/webhooks" || strings.HasPrefix(r.Path, "/embed"):
		case r.Method == http.MethodGet:
			check(owner.get(path+"?"+all.Encode()), r.Path)
		default:
			form := url.Values{"csrf_token": {token}}
			for name := range all {
				form[name] = all[name]
			}
			check(owner.post(path, form), r.Path)
		}
	}
	t.Logf("%d answers led to nowhere else", tried)
}

// TestTheHostHeaderDecidesNothing: a name that is not ours gets an empty answer, and
// nothing that a request says of its host comes back in an address, a mail or a page.
func TestTheHostHeaderDecidesNothing(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	ask := func(host string, header ...string) answer {
		b := p.visitor(home)
		req := b.request(http.MethodGet, "/sign-in?next=%2Fhistory", nil)
		req.Host = host
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return b.do(req)
	}
	require.Equal(t, http.StatusOK, ask("refill.test").StatusCode)
	require.Equal(t, http.StatusOK, ask("REFILL.test:8443").StatusCode, "a mapped port is the same door")
	for _, host := range []string{
		"evil.example", "refill.test.evil.example", "evilrefill.test", "evil.example:80", "refill.test@evil.example", "northwind.refill.test.evil.example", "x.northwind.refill.test", "evil.refill.test",
		"127.0.0.1", "localhost", "[::1]", "refill.test.", "refill.test%00.evil.example", "northwind", ".refill.test", "-.refill.test", "evil.example/refill.test",
	} {
		a := ask(host)
		require.Contains(t, []int{http.StatusNotFound, http.StatusBadRequest}, a.StatusCode, host)
		require.NotContains(t, a.body, "evil", host)
		require.Empty(t, a.to(), host)
		require.Empty(t, a.Cookies(), host)
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "X-Original-Host", "Forwarded", "X-HTTP-Host-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Proto", "X-Forwarded-Prefix"} {
		value := map[string]string{"Forwarded": "host=evil.example;proto=https", "X-Original-URL": "/admin", "X-Rewrite-URL": "/admin", "X-Forwarded-Proto": "evil"}[name]
		if value == "" {
			value = "evil.example"
		}
		a := ask("refill.test", name, value)
		require.Equal(t, http.StatusOK, a.StatusCode, name)
		require.Equal(t, "Sign in", strings.TrimSpace(a.doc().Find("h1").First().Text()), name)
		require.NotContains(t, a.body+fmt.Sprint(a.Header), "evil", name)
	}
	b := p.visitor(home)
	for _, form := range []string{"/sign-in/link", "/forgotten"} {
		page := map[string]string{"/sign-in/link": "/sign-in", "/forgotten": "/forgotten"}[form]
		req := b.request(http.MethodPost, form, url.Values{"csrf_token": {b.get(page).token()}, "email": {"owner@example.test"}})
		req.Header.Set("X-Forwarded-Host", "evil.example")
		req.Header.Set("Forwarded", "host=evil.example")
		require.Equal(t, http.StatusSeeOther, b.do(req).StatusCode, form)
		at, _ := p.mailed("owner@example.test")
		require.Equal(t, home, at, form)
	}
}

// hostileText is what is written into every column that people write: a formula for
// spreadsheets, an end of an attribute, and an element for browsers.
func hostileText(c writtenColumn, mark string) string {
	if slices.Contains([]string{"support", "checkout_url", "receipt_url", "invoice_url", "hosted_url", "unsubscribe"}, c.name) {
		return "javascript:alert(1)//" + mark + "~"
	}
	if c.name == "html" {
		return mark + "~" // is a letter as it goes out
	}
	word := `=1+1'"><b id=` + mark + `~>`
	if strings.ContainsAny(c.form[:1], "{[") {
		quoted, _ := json.Marshal(word)
		word = strings.Trim(string(quoted), `"`)
	}
	return strings.ReplaceAll(c.form, "%s", word)
}

var formula = regexp.MustCompile(`^[\s"]*[=+\-@|%\t\r]`)

// TestWhatPeopleWroteStaysText: every column that holds what people wrote holds a
// formula and an element; its agency, its client and admins look at all pages, files
// and mails. No cell of a file is a formula, no page has the element, no link leads
// to a program.
func TestWhatPeopleWroteStaysText(t *testing.T) {
	t.Parallel()
	c := newCanary(t, hostileText)
	pages, cells, guarded, shown := 0, 0, 0, map[string]bool{}
	var wrong []string
	markup := func(where string, doc *goquery.Document) {
		for _, s := range doc.Find("[id^=zq], [onerror], [onload], [style*=zq]").EachIter() {
			html, _ := goquery.OuterHtml(s)
			wrong = append(wrong, where+" has an element of "+html[:min(len(html), 120)])
		}
		for _, s := range doc.Find("[href], [src], [action], [formaction]").EachIter() {
			for _, name := range []string{"href", "src", "action", "formaction"} {
				if to := strings.ToLower(strings.TrimSpace(s.AttrOr(name, ""))); strings.HasPrefix(to, "javascript:") || strings.HasPrefix(to, "data:text/html") {
					wrong = append(wrong, fmt.Sprintf("%s leads to %q", where, to))
				}
			}
		}
	}
	look := func(at string, a answer) {
		for _, mark := range aMark.FindAllString(received(t, a), -1) {
			shown[mark] = true
		}
		if a.StatusCode >= 500 {
			wrong = append(wrong, fmt.Sprintf("%s: %d", at, a.StatusCode))
		}
		switch kind := a.Header.Get("Content-Type"); {
		case strings.HasPrefix(kind, "text/html"):
			pages++
			markup(at, a.doc())
		case strings.HasPrefix(kind, "text/csv"):
			r := csv.NewReader(strings.NewReader(strings.TrimPrefix(a.body, "\ufeff")))
			r.FieldsPerRecord = -1
			rows, err := r.ReadAll()
			require.NoError(t, err, at)
			for _, row := range rows {
				for _, cell := range row {
					cells++
					if strings.Contains(cell, "zq") {
						guarded++
					}
					if strings.Contains(cell, "zq") && formula.MatchString(cell) {
						wrong = append(wrong, fmt.Sprintf("%s has the formula %q", at, cell))
					}
				}
			}
		case strings.Contains(kind, "spreadsheetml"):
			if strings.Contains(received(t, a), "<f>") {
				wrong = append(wrong, at+" has a formula")
			}
		}
	}
	for who, b := range map[string]*browser{"stranger": c.as("stranger"), "guest": c.signedIn("guest", others), "admin": c.as("admin")} {
		var from []string
		for _, at := range c.theirAddresses() {
			admins, agencys := strings.HasPrefix(at, "/admin"), strings.HasPrefix(at, "/settings") || strings.HasPrefix(at, "/sub-accounts") || strings.HasPrefix(at, "/packages") || strings.HasPrefix(at, "/sales") || strings.HasPrefix(at, "/plan")
			if who == "admin" && admins || who == "stranger" && !admins || who == "guest" && !admins && !agencys {
				from = append(from, at)
			}
		}
		b.crawl(size("LINKS", 0), look, from...)
	}
	sent := len(c.tray.got)
	c.clock.set(c.clock.Now().Add(40 * 24 * time.Hour))
	require.NoError(t, c.billing.RunDue(t.Context(), c.clock.Now()))
	require.NoError(t, c.billing.SendMails(t.Context()))
	for _, m := range c.tray.got[sent:] {
		doc, err := goquery.NewDocumentFromReader(strings.NewReader(m.HTML))
		require.NoError(t, err)
		markup("mail "+m.Subject, doc)
		require.NotContains(t, m.Subject, "\n")
	}
	wrong = append(wrong, c.logged()...)
	require.Empty(t, wrong, strings.Join(wrong, "\n"))
	require.Positive(t, guarded, "a file shows some of it")
	require.Greater(t, len(shown), 40, "much of it is shown somewhere")
	t.Logf("%d columns shown on %d pages and in %d cells, %d of them of people, and in %d mails", len(shown), pages, cells, guarded, len(c.tray.got)-sent)
}

// theirAddresses are those of all pages with what is Bluebird's.
func (c *canary) theirAddresses() []string {
	c.t.Helper()
	var out []string
	_, _, lines := readAccess(c.t)
	for i := range lines {
		l := &lines[i]
		if l.method != http.MethodGet {
			continue
		}
		at := named.ReplaceAllStringFunc(l.address, func(s string) string {
			x := c.things[strings.Trim(s, "{}")]
			switch name := strings.Trim(s, "{}"); {
			case name == "agency" || name == "house" || name == "tenant":
				return c.bluebird.ID.String()
			case name == "plan" || name == "pack" || name == "card" || name == "edition" || name == "file" || name == "gift" || name == "sheet" || name == "embedded":
				return x.own()
			case len(x.foreign) > 0:
				return x.foreign[0]
			}
			return x.own()
		})
		out = append(out, at)
	}
	var client models.SubAccount
	require.NoError(c.t, c.db.Read.Where("agency_id = ? AND id = ?", c.bluebird.ID, c.maple.ID).Take(&client).Error)
	out = append(out, "/history.csv?as=xlsx", "/purchases.csv?as=xlsx", "/sub-accounts.csv?as=xlsx", "/usage?sub="+url.QueryEscape(client.ExternalID), "/history.csv?sub="+url.QueryEscape(client.ExternalID))
	slices.Sort(out)
	return slices.Compact(out)
}
