package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/handlers"
	"refill/models"
)

// charge books one reply and gives its id.
func (p *portal) charge(wallet string) string {
	p.t.Helper()
	got, err := p.billing.Charge(p.t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: wallet, Key: "test:" + wallet, Action: "ai.reply", Model: "gpt-4"})
	require.NoError(p.t, err)
	return got.Charge.ID.String()
}

// TestOtherAgenciesDoNotExist asks for what is another agency's, or another
// client's, by its id.
func TestOtherAgenciesDoNotExist(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	own, foreign := p.charge("agency:northwind"), p.charge("agency:bluebird")
	_, err := p.billing.Assign(t.Context(), billing.Scope{}, billing.TransferInput{
		Agency: p.northwind.ID, SubAccount: p.acme.ID, Credits: 1000 * models.Credit, Key: "feed", By: "test",
	})
	require.NoError(t, err)
	acme := p.charge("sub:northwind/acme")
	bought := p.bought("owner")
	stranger, client, owner := p.as("stranger"), p.as("client"), p.as("owner")
	for _, c := range []struct {
		by   *browser
		path string
		want int
	}{
		{owner, "/history/" + own, 200},
		{owner, "/history/" + acme, 200},
		{client, "/history/" + acme, 200},
		{stranger, "/history/" + own, 404},
		{stranger, "/history/" + acme, 404},
		{owner, "/history/" + foreign, 404},
		{client, "/history/" + own, 404},
		{owner, "/history/chg_nothing", 404},
		{owner, "/purchases/" + bought.ID.String() + "/receipt", 200},
		{stranger, "/purchases/" + bought.ID.String() + "/receipt", 404},
		{client, "/purchases/" + bought.ID.String() + "/receipt", 404},
		{owner, "/buy/return?s=" + bought.CheckoutSession, 200},
		{stranger, "/buy/return?s=" + bought.CheckoutSession, 404},
		{client, "/buy/return?s=" + bought.CheckoutSession, 404},
		{stranger, "/buy?cancelled=" + bought.ID.String(), 404},
	} {
		a := c.by.get(c.path)
		require.Equal(t, c.want, a.StatusCode, "%s", c.path)
		if c.want == http.StatusNotFound {
			require.NotContains(t, a.body, "2,000", "%s", c.path)
		}
	}
	// The page and its file say the same of a client that is another agency's and
	// of one that there is not.
	for _, path := range []string{"/usage?sub=acme", "/usage.csv?sub=acme", "/usage?sub=nobody", "/usage.csv?sub=nobody"} {
		usage := stranger.get(path)
		require.Equal(t, http.StatusNotFound, usage.StatusCode, path)
		require.Contains(t, usage.doc().Find("main").Text(), "There is nothing at this address.", path)
	}
}

// TestFormsNeedTheirToken sends every form without a token, with another
// session's, and from another site.
func TestFormsNeedTheirToken(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner := p.as("owner")
	foreign := p.as("billing").get("/usage").token()
	own := owner.get("/usage").token()
	forms, before := 0, p.rows()
	for _, r := range handlers.Table() {
		if r.Method == http.MethodGet || r.Who == "platform API key" || r.Who == "Stripe's signature" {
			continue
		}
		if r.Who == "anybody with the mail" {
			continue // a mailbox sends it by the address alone (RFC 8058): its token is the right, and all it does is mail less
		}
		forms++
		path := strings.Replace(r.Path, ":token", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 1)
		for what, token := range map[string]string{"no": "", "somebody else's": foreign, "a broken": own[:len(own)-2], "a made-up": strings.Repeat("A", len(own))} {
			form := url.Values{}
			if token != "" {
				form.Set("csrf_token", token)
			}
			for who, b := range map[string]*browser{"owner": owner, "visitor": p.visitor(home)} {
				a := b.post(path, form)
				require.Equal(t, http.StatusForbidden, a.StatusCode, "%s with %s token by %s", path, what, who)
				require.Contains(t, a.body, "This form has expired", "%s", path)
			}
		}
		for _, origin := range []struct{ name, value string }{
			{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "null"}, {"Origin", clients},
		} {
			req := owner.request(http.MethodPost, path, url.Values{"csrf_token": {own}})
			req.Header.Set(origin.name, origin.value)
			require.Equal(t, http.StatusForbidden, owner.do(req).StatusCode, "%s from %s %s", path, origin.name, origin.value)
		}
	}
	require.Greater(t, forms, 90)
	require.Equal(t, http.StatusOK, owner.get("/").StatusCode, "nothing of it signed the owner out")
	require.Equal(t, before, p.rows(), "nothing of it changed anything")
}

// TestHeadersStandOnEveryAnswer looks at every route, and at what is none.
func TestHeadersStandOnEveryAnswer(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	type ask struct {
		b            *browser
		method, path string
	}
	owner := p.as("owner")
	asks := []ask{
		{owner, "GET", "/nothing-here"},
		{owner, "PUT", "/"},
		{owner, "DELETE", "/buy"},
		{owner, "TRACE", "/"},
		{owner, "GET", "/static/nothing"},
		{owner, "GET", "/static/app.css"},
		{owner, "GET", "/sign-in"},
		{owner, "GET", "/usage?p=custom&from=2020-01-01&to=2026-01-01"},
		{p.visitor("http://nobody.refill.test"), "GET", "/"},
		{p.visitor(clients), "GET", "/v1/charges"},
	}
	for _, r := range handlers.Table() {
		for _, b := range []*browser{p.visitor(home), owner, p.visitor(clients)} {
			asks = append(asks, ask{b, r.Method, strings.NewReplacer(":token", "x", ":name", "app.js", ":id", "chg_x").Replace(r.Path)})
			asks = append(asks, ask{b, http.MethodHead, r.Path})
		}
	}
	for _, x := range asks {
		a := x.b.send(x.method, x.path, nil)
		name := x.method + " " + x.b.at + x.path
		csp := a.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self' https://checkout.stripe.com", "base-uri 'none'", "frame-ancestors 'none'"} {
			require.Contains(t, csp, part, name)
		}
		require.NotContains(t, csp, "unsafe", name)
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"), name)
		require.Contains(t, []string{"same-origin", "no-referrer"}, a.Header.Get("Referrer-Policy"), name)
		require.Equal(t, "same-origin", a.Header.Get("Cross-Origin-Opener-Policy"), name)
		require.Equal(t, "same-origin", a.Header.Get("Cross-Origin-Resource-Policy"), name)
		require.NotEmpty(t, a.Header.Get("X-Request-Id"), name)
		require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"), name)
		require.Empty(t, a.Header.Get("Strict-Transport-Security"), "no https, no promise: %s", name)
		if !strings.HasPrefix(x.path, "/static/") || a.StatusCode != http.StatusOK {
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"), name)
		}
		for _, c := range a.Cookies() {
			require.True(t, c.HttpOnly, name)
			require.Equal(t, http.SameSiteLaxMode, c.SameSite, name)
			require.Equal(t, "/", c.Path, name)
			require.Empty(t, c.Domain, name)
		}
		require.Less(t, a.StatusCode, 500, name)
	}
}

func TestCookiesAreSecureOverHTTPS(t *testing.T) {
	t.Parallel()
	p := sqlite(t, func(c *handlers.Config) { c.BaseURL = "https://refill.test" })
	a := p.visitor(home).get("/sign-in") // as behind a proxy that ends TLS
	require.Len(t, a.Cookies(), 1)
	require.Equal(t, "__Host-session", a.Cookies()[0].Name)
	require.True(t, a.Cookies()[0].Secure)
	require.Equal(t, "max-age=63072000; includeSubDomains", a.Header.Get("Strict-Transport-Security"))
	require.Equal(t, "max-age=63072000", p.visitor(clients).get("/sign-in").Header.Get("Strict-Transport-Security"))
}

func TestARouteWithoutAPolicyIsNone(t *testing.T) {
	t.Parallel()
	for _, r := range handlers.Table() {
		require.NotEmpty(t, r.Who, r.Path)
	}
}
