package handlers_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

func credentials(email, secret string) url.Values {
	return url.Values{"email": {email}, "password": {secret}}
}

func TestSignInWithPassword(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.visitor(home)
		require.Equal(t, "/sign-in?next=%2Fusage%3Fp%3D7d", b.get("/usage?p=7d").to())

		wrong := b.fill("/sign-in", "/sign-in", credentials("owner@example.test", "wrong horse"))
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.Equal(t, "owner@example.test", wrong.doc().Find("#email").AttrOr("value", ""), "what was typed is kept")
		require.Empty(t, wrong.doc().Find("#password").AttrOr("value", ""))

		form := credentials(" Owner@Example.test ", password)
		form.Set("next", "/usage?p=7d")
		require.Equal(t, "/usage?p=7d", b.fill("/sign-in", "/sign-in", form).to())
		page := b.get("/")
		require.Equal(t, http.StatusOK, page.StatusCode)
		require.Contains(t, page.doc().Find("header .account").Text(), "Northwind Agency")
	})
}

func TestUnknownEmailsLookLikeWrongPasswords(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.visitor(home)
	strip := func(email string) string {
		d := b.fill("/sign-in", "/sign-in", credentials(email, "wrong horse")).doc()
		d.Find("input[name=csrf_token]").Remove()
		d.Find("#email").RemoveAttr("value")
		out, err := d.Html()
		require.NoError(t, err)
		return out
	}
	known := strip("owner@example.test")
	require.Equal(t, known, strip("nobody@example.test"))
	require.Equal(t, known, strip("client@example.test"), "a client's wrong password at the platform's door")
}

func TestMissingFieldsAreNamed(t *testing.T) {
	t.Parallel()
	b := sqlite(t).visitor(home)
	a := b.fill("/sign-in", "/sign-in", credentials("someone@example.test", ""))
	require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
	require.Equal(t, 1, a.doc().Find("#password[aria-invalid=true]").Length(), a.body)
	require.Equal(t, "someone@example.test", a.doc().Find("#email").AttrOr("value", ""))
	require.Contains(t, a.doc().Find("title").Text(), "Error: ")
}

func TestSignInRenewsTheSession(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.visitor(home)
	planted := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	u, err := url.Parse(home)
	require.NoError(t, err)
	b.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: planted, Path: "/"}})
	require.Equal(t, "/", b.fill("/sign-in", "/sign-in", credentials("owner@example.test", password)).to())
	require.NotEqual(t, planted, b.cookie(), "an id from before signing in is worth nothing after it")

	thief := p.visitor(home)
	thief.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: planted, Path: "/"}})
	require.Equal(t, http.StatusSeeOther, thief.get("/").StatusCode)

	first := b.cookie()
	require.Equal(t, "/", b.fill("/", "/sign-in", credentials("owner@example.test", password)).to())
	thief.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: first, Path: "/"}})
	require.Equal(t, http.StatusSeeOther, thief.get("/").StatusCode, "signing in again ends the session before it")
}

func TestSessionsAreKeptAsHashesAndEnd(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("owner")
		held := b.cookie()
		var rows []models.Session
		require.NoError(t, db.Read.Find(&rows).Error)
		require.Len(t, rows, 1)
		require.NotContains(t, string(rows[0].IDHash)+string(rows[0].Data), held)

		require.Equal(t, "/sign-in", b.fill("/", "/sign-out", url.Values{}).to())
		u, err := url.Parse(home)
		require.NoError(t, err)
		b.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: held, Path: "/"}})
		require.Equal(t, "/sign-in", b.get("/").to(), "the cookie from before signing out opens nothing")
	})
}

func TestAccessEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	ctx := t.Context()
	cases := map[string]struct {
		who string
		do  func() error
	}{
		"membership removed":    {"member", func() error { return p.billing.RemoveMember(ctx, p.northwind.ID, p.users["member"].ID, "test") }},
		"person disabled":       {"billing", func() error { return p.billing.DisableUser(ctx, p.users["billing"].ID, "test") }},
		"signed out everywhere": {"stranger", func() error { return p.billing.EndSessions(ctx, p.users["stranger"].ID, nil, "test") }},
		"password changed":      {"owner", func() error { return p.billing.SetPassword(ctx, p.users["owner"].ID, "another good one", "test") }},
	}
	for name, c := range cases {
		b := p.as(c.who)
		require.Equal(t, http.StatusOK, b.get("/").StatusCode, name)
		require.NoError(t, c.do(), name)
		require.Equal(t, "/sign-in", b.get("/").to(), name)
	}
}

func TestSessionsEndByWallTime(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	idle, busy := p.as("owner"), p.as("owner")
	p.clock.set(begin.Add(365 * 24 * time.Hour))
	require.Equal(t, http.StatusOK, idle.get("/").StatusCode, "domain time signs nobody out")
	for hours := 8; hours < 7*24; hours += 8 {
		p.wall.set(begin.Add(time.Duration(hours) * time.Hour))
		require.Equal(t, http.StatusOK, busy.get("/").StatusCode, "after %d hours", hours)
	}
	require.Equal(t, http.StatusSeeOther, idle.get("/").StatusCode, "twelve hours without a request")
	p.wall.set(begin.Add(7*24*time.Hour + time.Minute))
	require.Equal(t, http.StatusSeeOther, busy.get("/").StatusCode, "seven days at most")
	require.NoError(t, p.billing.SweepSignIns(t.Context()))
	var left int64
	require.NoError(t, p.db.Read.Model(&models.Session{}).Count(&left).Error)
	require.Zero(t, left)
}

func TestLinkIsUsedByItsButtonOnly(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	token, err := p.billing.NewSignInLink(t.Context(), p.users["owner"].ID, time.Hour, 1)
	require.NoError(t, err)
	path := "/sign-in/" + token
	b := p.visitor(home)
	for range 3 {
		page := b.get(path)
		require.Equal(t, http.StatusOK, page.StatusCode)
		require.Equal(t, 1, page.doc().Find("main form button").Length())
		require.Equal(t, "no-referrer", page.Header.Get("Referrer-Policy"))
	}
	require.Equal(t, http.StatusForbidden, b.post(path, url.Values{}).StatusCode)

	elsewhere := p.visitor(clients)
	require.Equal(t, http.StatusGone, elsewhere.get(path).StatusCode, "an owner's link is nothing on the clients' portal")

	require.Equal(t, "/", b.fill(path, path, url.Values{}).to())
	require.Equal(t, http.StatusOK, b.get("/").StatusCode)
	again := p.visitor(home)
	require.Equal(t, http.StatusGone, again.get(path).StatusCode)

	late, err := p.billing.NewSignInLink(t.Context(), p.users["owner"].ID, time.Hour, 1)
	require.NoError(t, err)
	p.wall.set(begin.Add(time.Hour))
	require.Equal(t, http.StatusGone, again.get("/sign-in/"+late).StatusCode)
	require.NotContains(t, p.log.String(), token, "a link is never in the log")
}

func TestGuessingIsSlowedDown(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.visitor(home)
	form := credentials("owner@example.test", "wrong horse")
	form.Set("csrf_token", b.get("/sign-in").token())
	for range 10 {
		require.Equal(t, http.StatusUnprocessableEntity, b.post("/sign-in", form).StatusCode)
	}
	a := b.post("/sign-in", form)
	require.Equal(t, http.StatusTooManyRequests, a.StatusCode)
	require.Equal(t, "900", a.Header.Get("Retry-After"))
	form.Set("password", password)
	require.Equal(t, http.StatusTooManyRequests, b.post("/sign-in", form).StatusCode, "nor by the right password")
	require.Equal(t, http.StatusOK, p.as("owner").get("/").StatusCode, "a link still works")

	p.wall.set(begin.Add(16 * time.Minute))
	require.Equal(t, http.StatusSeeOther, b.post("/sign-in", form).StatusCode)
}

func TestForwardedForIsNotBelieved(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.visitor(home)
	form := credentials("", "wrong horse")
	form.Set("csrf_token", b.get("/sign-in").token())
	before := p.failures(t)
	for _, ip := range []string{"203.0.113.7", "198.51.100.9"} {
		form.Set("email", "someone@example.test")
		req := b.request(http.MethodPost, "/sign-in", form)
		req.Header.Set("X-Forwarded-For", ip)
		req.Header.Set("X-Real-IP", ip)
		require.Equal(t, http.StatusUnprocessableEntity, b.do(req).StatusCode)
	}
	require.Equal(t, before+3, p.failures(t), "both count against one address, one e-mail and one pair")
}

// failures counts what is being counted.
func (p *portal) failures(t *testing.T) int64 {
	t.Helper()
	var n int64
	require.NoError(t, p.db.Read.Model(&models.SignInAttempt{}).Count(&n).Error)
	return n
}

func TestNextLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	for _, next := range []string{
		"//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "http:evil.example",
		"/%2fevil.example", "/%5cevil.example", "/\t/evil.example", "/\n/evil.example", "javascript:alert(1)", "evil.example",
		"//evil.example@refill.test/", "/%09/evil.example", "https:/evil.example", "/.//evil.example/..//x", "",
	} {
		to := b.get("/sign-in?next=" + url.QueryEscape(next)).to()
		u, err := url.Parse(to)
		require.NoError(t, err, "%q", next)
		require.Empty(t, u.Host, "%q led to %q", next, to)
		require.Empty(t, u.Scheme, "%q led to %q", next, to)
		require.Regexp(t, `^/([^/\\]|$)`, to, "%q", next)
		require.NotContains(t, to, "%2f", "%q", next)
	}
	require.Equal(t, "/history?type=used", b.get("/sign-in?next="+url.QueryEscape("/history?type=used")).to())
}

func TestHostsAreApart(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner, client := p.as("owner"), p.as("client")
	require.Equal(t, http.StatusOK, client.get("/").StatusCode)
	for _, c := range []struct {
		from *browser
		to   string
	}{{owner, clients}, {client, home}, {client, others}, {owner, others}} {
		thief := p.visitor(c.to)
		u, err := url.Parse(c.to)
		require.NoError(t, err)
		thief.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: c.from.cookie(), Path: "/"}})
		require.Equal(t, "/sign-in", thief.get("/").to(), "a session of %s at %s", c.from.at, c.to)
	}

	lost := p.visitor("http://nobody.refill.test").get("/")
	require.Equal(t, http.StatusNotFound, lost.StatusCode)
	require.Empty(t, lost.body, "an unknown host is told nothing")
	require.Equal(t, http.StatusNotFound, p.visitor("http://elsewhere.test").get("/sign-in").StatusCode)
	require.Equal(t, http.StatusOK, p.visitor("http://10.1.2.3").get("/healthz").StatusCode, "probes know no name")

	at := p.visitor(clients)
	page := at.get("/sign-in")
	require.Contains(t, page.body, "Northwind Agency")
	require.NotContains(t, page.body, "Refill", "nothing of the platform is on a portal")
	require.Equal(t, "/", at.fill("/sign-in", "/sign-in", credentials("client@example.test", password)).to())
	told := p.visitor(home).fill("/sign-in", "/sign-in", credentials("client@example.test", password))
	require.Equal(t, http.StatusUnprocessableEntity, told.StatusCode)
	require.Contains(t, told.body, clients+"/sign-in", "a client at the platform's door is told where theirs is")
}
