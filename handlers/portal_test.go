package handlers_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/ledger"
	"refill/billing/preset"
	"refill/handlers"
	"refill/models"
	"refill/models/modelstest"
)

const (
	home     = "http://refill.test"
	clients  = "http://northwind.refill.test"
	others   = "http://bluebird.refill.test"
	password = "correct horse battery"
)

// portal is a whole portal in a test: two agencies with their people, served
// over HTTP under made-up hosts.
type portal struct {
	resolver billing.Resolver // nil: knows no name
	t        *testing.T
	db       *models.DB
	charger  ledger.Options
	ledger   *ledger.Ledger
	billing  *billing.Service
	clock    *movable
	wall     *movable
	server   *httptest.Server
	log      *journal
	till     *till
	tray     *tray
	preset   string

	northwind, bluebird models.Agency
	acme, maple         models.SubAccount
	users               map[string]models.User // by their name: "owner", "client", …
}

// movable is a clock that a test sets.
type movable struct{ at atomic.Int64 }

func (m *movable) Now() models.Time { return models.Time(m.at.Load()) }

func (m *movable) set(t models.Time) { m.at.Store(int64(t)) }

// noNames is a name service that knows no name.
type noNames struct{}

func (noNames) LookupTXT(context.Context, string) ([]string, error) {
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

// begin is the instant the tests begin at: Monday 2026-03-02 10:00 UTC.
const begin = models.Time(1_772_445_600_000_000)

func newPortal(t *testing.T, db *models.DB, change ...func(*handlers.Config)) *portal {
	t.Helper()
	p := &portal{preset: "stammer"}
	p.start(t, db, change...)
	return p
}

func (p *portal) start(t *testing.T, db *models.DB, change ...func(*handlers.Config)) {
	t.Helper()
	p.t, p.db, p.clock, p.wall = t, db, &movable{}, &movable{}
	p.users, p.log, p.till, p.tray = map[string]models.User{}, &journal{}, &till{}, &tray{}
	if p.resolver == nil {
		p.resolver = noNames{}
	}
	p.clock.set(begin)
	p.wall.set(begin)
	ctx := t.Context()
	var err error
	p.ledger, err = ledger.Open(ctx, db, p.charger)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.ledger.Close()) })
	p.billing, err = billing.New(billing.Config{DB: db, Ledger: p.ledger, Clock: p.clock, Wall: p.wall, Payments: p.till, Mailer: p.tray, BaseURL: home, Resolver: p.resolver})
	require.NoError(t, err)
	p.seed(ctx)

	c := handlers.Config{Billing: p.billing, BaseURL: home, Wall: p.wall, EasyAdmins: true, Log: slog.New(slog.NewTextHandler(p.log, nil))}
	for _, f := range change {
		f(&c)
	}
	h, err := handlers.New(c)
	require.NoError(t, err)
	p.server = httptest.NewServer(h)
	t.Cleanup(p.server.Close)
}

// journal is a log that many requests write.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (p *portal) seed(ctx context.Context) {
	p.t.Helper()
	catalogue, err := preset.Load(p.preset)
	require.NoError(p.t, err)
	require.NoError(p.t, p.billing.Import(ctx, catalogue, "test"))
	agency := func(ext, name, sub string) (models.Agency, models.SubAccount) {
		a, err := p.billing.CreateAgency(ctx, billing.AgencyInput{ExternalID: ext, Name: name, By: "test"})
		require.NoError(p.t, err)
		s, err := p.billing.CreateSubAccount(ctx, billing.Scope{}, billing.SubAccountInput{Agency: a.ID, ExternalID: sub, Name: strings.ToUpper(sub), By: "test"})
		require.NoError(p.t, err)
		return a, s
	}
	p.northwind, p.acme = agency("northwind", "Northwind Agency", "acme")
	p.bluebird, p.maple = agency("bluebird", "Bluebird Studio", "maple")
	p.person(ctx, "admin", models.Agency{}, "", models.SubAccountID{})
	p.person(ctx, "owner", p.northwind, models.RoleOwner, models.SubAccountID{})
	p.person(ctx, "billing", p.northwind, models.RoleBilling, models.SubAccountID{})
	p.person(ctx, "member", p.northwind, models.RoleMember, models.SubAccountID{})
	p.person(ctx, "client", p.northwind, models.RoleClient, p.acme.ID)
	p.person(ctx, "stranger", p.bluebird, models.RoleOwner, models.SubAccountID{})
}

// person makes a user who signs in by link; only the owner has a password,
// since making one takes its time on purpose.
func (p *portal) person(ctx context.Context, name string, a models.Agency, role models.Role, sub models.SubAccountID) {
	p.t.Helper()
	in := billing.UserInput{Email: name + "@example.test", Name: name, Admin: name == "admin", By: "test"}
	if name == "owner" || name == "client" {
		in.Password = password
	}
	u, err := p.billing.CreateUser(ctx, in)
	require.NoError(p.t, err)
	p.users[name] = u
	if role != "" {
		require.NoError(p.t, p.billing.AddMember(ctx, billing.MemberInput{Agency: a.ID, User: u.ID, Role: role, SubAccount: sub, By: "test"}))
	}
}

// browser is somebody at the portal, with cookies.
type browser struct {
	p    *portal
	http *http.Client
	at   string // the host they talk to
}

// visitor opens a browser that is not signed in.
func (p *portal) visitor(at string) *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(p.t, err)
	addr := p.server.Listener.Addr().String()
	return &browser{p: p, at: at, http: &http.Client{
		Jar: jar,
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// as opens a browser that is signed in, by a link.
func (p *portal) as(name string) *browser {
	p.t.Helper()
	if name == "client" {
		return p.signedIn(name, clients)
	}
	return p.signedIn(name, home)
}

// signedIn opens a browser of somebody at a host.
func (p *portal) signedIn(name, at string) *browser {
	p.t.Helper()
	b := p.visitor(at)
	token, err := p.billing.NewSignInLink(p.t.Context(), p.users[name].ID, 1e12, 1)
	require.NoError(p.t, err)
	a := b.post("/sign-in/"+token, url.Values{"csrf_token": {b.get("/sign-in/" + token).token()}})
	require.Equal(p.t, http.StatusSeeOther, a.StatusCode, a.body)
	return b
}

// answer is a response that was read.
type answer struct {
	*http.Response
	t    testing.TB
	body string
}

func (b *browser) do(req *http.Request) answer {
	b.p.t.Helper()
	res, err := b.http.Do(req)
	require.NoError(b.p.t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(b.p.t, err)
	require.NoError(b.p.t, res.Body.Close())
	return answer{res, b.p.t, string(body)}
}

func (b *browser) get(path string) answer {
	b.p.t.Helper()
	return b.send(http.MethodGet, path, nil)
}

// post sends a form as it is.
func (b *browser) post(path string, form url.Values) answer {
	b.p.t.Helper()
	return b.send(http.MethodPost, path, form)
}

// fill sends a form with the token of a page.
func (b *browser) fill(page, path string, form url.Values) answer {
	b.p.t.Helper()
	form.Set("csrf_token", b.get(page).token())
	return b.post(path, form)
}

func (b *browser) send(method, path string, form url.Values) answer {
	b.p.t.Helper()
	return b.do(b.request(method, path, form))
}

func (b *browser) request(method, path string, form url.Values) *http.Request {
	b.p.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(b.p.t.Context(), method, b.at+path, body)
	require.NoError(b.p.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req
}

func (a answer) doc() *goquery.Document {
	a.t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(a.body))
	require.NoError(a.t, err)
	return doc
}

// token is the token of the page's forms.
func (a answer) token() string {
	a.t.Helper()
	token, _ := a.doc().Find("input[name=csrf_token]").First().Attr("value")
	require.NotEmpty(a.t, token, "no form on this page: %s", a.body)
	return token
}

func (a answer) to() string { return a.Header.Get("Location") }

// cookie is the session's cookie after an answer.
func (b *browser) cookie() string {
	u, err := url.Parse(b.at)
	require.NoError(b.p.t, err)
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == "session" {
			return c.Value
		}
	}
	return ""
}

func sqlite(t *testing.T, change ...func(*handlers.Config)) *portal {
	t.Helper()
	return newPortal(t, modelstest.OpenSQLite(t), change...)
}
