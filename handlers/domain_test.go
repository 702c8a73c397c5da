package handlers_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/nametest"
	"refill/handlers"
	"refill/models/modelstest"
)

// proved is a portal where Northwind has proved a name by its page.
func proved(t *testing.T, name string, change ...func(*handlers.Config)) (*portal, *browser) {
	t.Helper()
	names := nametest.New(t)
	p := &portal{preset: "stammer", resolver: names.Resolver()}
	p.start(t, modelstest.OpenSQLite(t), change...)
	owner := p.as("owner")
	require.Equal(t, http.StatusSeeOther, owner.fill("/settings/domain", "/settings/domain", url.Values{"domain": {name}}).StatusCode)
	claims, err := p.billing.Domains(t.Context(), p.northwind.ID)
	require.NoError(t, err)
	require.Len(t, claims, 1)
	record, value := billing.DomainRecord(&claims[0])
	page := owner.get("/settings/domain")
	require.Contains(t, page.main(), record)
	require.Contains(t, page.main(), value)
	check := "/settings/domain/" + name + "/check"
	require.Equal(t, http.StatusSeeOther, owner.fill("/settings/domain", check, url.Values{}).StatusCode)
	require.Contains(t, owner.get("/settings/domain").main(), "There is no TXT record")
	names.Set(record, value)
	require.Equal(t, http.StatusSeeOther, owner.fill("/settings/domain", check, url.Values{}).StatusCode)
	require.Contains(t, owner.get("/settings/domain").main(), "is proved")
	return p, owner
}

// A proved name serves the portal, links lead there once it is used, and nothing
// serves a name that is only like it.
func TestAPortalOnItsOwnDomain(t *testing.T) {
	t.Parallel()
	const own = "http://credits.orbit.example"
	p, owner := proved(t, "credits.orbit.example")
	a := p.visitor(own).get("/sign-in")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Equal(t, "Northwind Agency", a.doc().Find("header .brand").Text())
	require.Equal(t, http.StatusOK, p.visitor(clients).get("/sign-in").StatusCode, "the usual address still serves by itself")

	require.Equal(t, http.StatusSeeOther, owner.fill("/settings/domain", "/settings/domain/credits.orbit.example/use", url.Values{}).StatusCode)
	led := p.visitor(clients).get("/buy?pack=1")
	require.Equal(t, http.StatusFound, led.StatusCode)
	require.Equal(t, own+"/buy?pack=1", led.to())
	require.Empty(t, led.Cookies())

	client := p.signedIn("client", own)
	require.Equal(t, http.StatusOK, client.get("/").StatusCode)
	agency, err := p.billing.Agency(t.Context(), p.northwind.ID)
	require.NoError(t, err)
	require.Equal(t, own, p.billing.PortalURL(&agency))

	for _, name := range []string{
		"credits.orbit.example.", "x.credits.orbit.example", "orbit.example", "credits_orbit.example", "credits.orbit.example.refill.test", "xn--credits.orbit.example", "credits.orbit.exampl", "localhost.localdomain",
	} {
		a := p.visitor("http://" + name).get("/sign-in")
		require.Equal(t, http.StatusNotFound, a.StatusCode, name)
		require.Empty(t, a.body, name)
		require.Empty(t, a.to(), name)
		require.Empty(t, a.Cookies(), name)
	}
	for name, want := range map[string]int{"CREDITS.Orbit.Example": 200, "credits.orbit.example:8443": 200, "credits.orbit.example:": 200} {
		req := p.visitor(own).request(http.MethodGet, "/sign-in", nil)
		req.Host = name
		require.Equal(t, want, p.visitor(own).do(req).StatusCode, name)
	}
	forwarded := p.visitor("http://nobody.refill.test").request(http.MethodGet, "/sign-in", nil)
	forwarded.Header.Set("X-Forwarded-Host", "credits.orbit.example")
	require.Equal(t, http.StatusNotFound, p.visitor(own).do(forwarded).StatusCode, "a header makes nobody's host somebody's")

	// A session is of one host: taken to another agency's door it is worth nothing.
	stolen := p.visitor(others)
	u, err := url.Parse(others)
	require.NoError(t, err)
	stolen.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: client.cookie()}})
	require.Equal(t, http.StatusSeeOther, stolen.get("/history").StatusCode)

	// What removing it does is said before it is done.
	remove := owner.get("/settings/domain").doc().Find(`main a:contains("Remove")`).AttrOr("href", "")
	require.Equal(t, "/settings/domain/credits.orbit.example/remove", remove)
	require.Contains(t, owner.get(remove).main(), "lead to "+clients+" from now on. Links that were sent before stop working.")
	require.Equal(t, http.StatusOK, p.visitor(own).get("/sign-in").StatusCode, "asking removes nothing")
	require.Equal(t, http.StatusSeeOther, owner.fill(remove, remove, url.Values{}).StatusCode)
	gone := p.visitor(own).get("/sign-in")
	require.Equal(t, http.StatusNotFound, gone.StatusCode)
	require.Empty(t, gone.body)
	require.Equal(t, http.StatusOK, p.visitor(clients).get("/sign-in").StatusCode)
}

// Only who may ask learns which names are served, and only served names get a
// certificate.
func TestCertificatesAreForNamesServedHere(t *testing.T) {
	t.Parallel()
	p, owner := proved(t, "credits.orbit.example")
	_, err := p.billing.ClaimDomain(t.Context(), billing.Scope{}, p.bluebird.ID, "claimed.example", "test")
	require.NoError(t, err)
	ask := func(at, query string, header ...string) answer {
		req := p.visitor(at).request(http.MethodGet, "/internal/tls"+query, nil)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return p.visitor(at).do(req)
	}
	for _, h := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Forwarded-Host"} {
		require.Equal(t, http.StatusNotFound, ask(home, "?domain=credits.orbit.example", h, "203.0.113.7").StatusCode, "through the proxy: %s", h)
	}
	page := owner.get("/settings/domain")
	require.Contains(t, page.main(), "Certificate: waiting for the first visit. Open credits.orbit.example once.", "a question that was refused allowed nothing")
	require.Equal(t, "noreferrer", page.doc().Find(`main a[href="https://credits.orbit.example/"]`).AttrOr("rel", ""))
	for name, want := range map[string]int{
		"credits.orbit.example": 200, "CREDITS.orbit.example": 200, "refill.test": 200, strings.TrimPrefix(clients, "http://"): 200, "claimed.example": 404, "nobody.refill.test": 404,
		"x.credits.orbit.example": 404, "": 404, "10.0.0.1": 404, strings.Repeat("a", 300): 404,
	} {
		a := ask("http://portal.internal:8080", "?domain="+url.QueryEscape(name))
		require.Equal(t, want, a.StatusCode, name)
		require.Empty(t, a.body)
	}
	require.Contains(t, owner.get("/settings/domain").main(), "Certificate allowed Mon, Mar 2")
	require.Contains(t, p.as("stranger").get("/settings/domain").main(), "Certificate: allowed once the TXT record is found.")
	require.Equal(t, http.StatusNotFound, ask(home, "").StatusCode)
}

// The promise that a browser keeps for years is for the agency's name alone: its
// other hosts are not ours to speak for.
func TestHTTPSIsPromisedForTheNameAlone(t *testing.T) {
	t.Parallel()
	p, _ := proved(t, "credits.orbit.example", func(c *handlers.Config) { c.AskFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")} })
	c := handlers.Config{Billing: p.billing, BaseURL: "https://refill.test"}
	h, err := handlers.New(c)
	require.NoError(t, err)
	p.server.Config.Handler = h
	for at, want := range map[string]string{
		"http://credits.orbit.example": "max-age=63072000", clients: "max-age=63072000", home: "max-age=63072000; includeSubDomains",
	} {
		a := p.visitor(at).get("/sign-in")
		require.Equal(t, want, a.Header.Get("Strict-Transport-Security"), at)
		for _, cookie := range a.Cookies() {
			require.Equal(t, "__Host-session", cookie.Name)
			require.Empty(t, cookie.Domain, "of this host and no other")
		}
	}
}
