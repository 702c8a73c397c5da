package handlers_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/static"
)

// A signed link shows one client's balance in a frame of the allowed pages, for
// minutes, without a cookie, and nothing to whoever changes a letter of it.
func TestABalanceOnAnotherPage(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	ctx, owner := t.Context(), p.as("owner")
	link := func() (string, error) {
		u, _, err := p.billing.EmbedLink(ctx, &p.northwind, &p.acme, billing.EmbedBalance, 5*time.Minute)
		return strings.TrimPrefix(u, clients), err
	}
	_, err := link()
	require.ErrorContains(t, err, "embed_not_set_up")
	for _, wrong := range []string{"http://app.example.com", "https://app.example.com/path", "*", "https://*", "'self'", "https://a.example;script-src", "javascript:x"} {
		a := owner.fill("/settings/embed", "/settings/embed", url.Values{"origins": {wrong}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, wrong)
	}
	require.Equal(t, http.StatusSeeOther, owner.fill("/settings/embed", "/settings/embed", url.Values{"origins": {"https://App.example.com/\nhttps://crm.example:8443 https://app.example.com"}}).StatusCode)
	_, err = p.billing.Assign(ctx, billing.Scope{}, billing.TransferInput{Agency: p.northwind.ID, SubAccount: p.acme.ID, Credits: 1_234 * models.Credit, Key: "k", By: "test"})
	require.NoError(t, err)
	good, err := link()
	require.NoError(t, err)
	a := p.visitor(clients).get(good)
	require.Equal(t, http.StatusOK, a.StatusCode, a.body)
	require.Contains(t, a.Header.Get("Content-Security-Policy"), "frame-ancestors https://app.example.com https://crm.example:8443")
	require.NotContains(t, a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	require.Equal(t, "1,234", a.doc().Find("[data-balance]").Text())
	require.Empty(t, a.Cookies())
	require.Zero(t, a.doc().Find("form").Length())
	script := a.doc().Find("script")
	require.Equal(t, 1, script.Length(), "one that tells how high it is")
	require.Equal(t, static.Path("embed.js"), script.AttrOr("src", ""))
	require.Equal(t, "https://app.example.com https://crm.example:8443", script.AttrOr("data-to", ""))
	require.Equal(t, "text/javascript; charset=utf-8", p.visitor(clients).get(script.AttrOr("src", "")).Header.Get("Content-Type"))
	a.doc().Find("main a").Each(func(_ int, s *goquery.Selection) {
		require.Equal(t, "_blank", s.AttrOr("target", ""))
		require.Equal(t, "noopener", s.AttrOr("rel", ""))
	})

	for _, view := range billing.EmbedViews() {
		u, _, err := p.billing.EmbedLink(ctx, &p.northwind, &p.acme, view, time.Minute)
		require.NoError(t, err)
		a := p.visitor(clients).get(strings.TrimPrefix(u, clients))
		require.Equal(t, http.StatusOK, a.StatusCode, view)
		if view == billing.EmbedUsage {
			require.Contains(t, a.doc().Find("#usage").Text(), "Usage this")
		} else {
			require.Contains(t, a.main(), "1,234", view)
		}
		require.Zero(t, a.doc().Find(`form, script:not([data-to]), main a:not([target=_blank])`).Length(), view)
		require.NotContains(t, strings.ReplaceAll(strings.ToLower(a.body), clients, ""), "refill", view)
	}
	_, _, err = p.billing.EmbedLink(ctx, &p.northwind, &p.acme, "history", time.Minute)
	require.ErrorContains(t, err, "invalid_view")
	snippet := owner.get("/settings/embed").doc().Find("#snippet").Text()
	require.Contains(t, snippet, `<iframe src="LINK"`)
	require.Contains(t, snippet, `e.origin === "`+clients+`"`, "nobody else's message counts")

	shut := func(b *browser, path string) {
		t.Helper()
		a := b.get(path)
		require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, a.StatusCode, path)
		require.NotContains(t, a.body, "1,234")
		require.NotContains(t, a.body, "ACME")
	}
	v := p.visitor(clients)
	shut(v, strings.Replace(good, "/embed/balance", "/embed/buy", 1))
	shut(v, strings.Replace(good, "until=", "until=1", 1))
	shut(v, good+"0")
	shut(v, strings.Replace(good, p.acme.ID.String(), p.maple.ID.String(), 1))
	shut(v, "/embed/balance")
	shut(p.visitor(others), good)
	shut(p.visitor(home), good)

	// Whoever holds the secret signs for themselves.
	made := owner.fill("/settings/embed", "/settings/embed/secret", url.Values{})
	secret, err := hex.DecodeString(made.doc().Find("#secret").Text())
	require.NoError(t, err)
	require.Len(t, secret, 32)
	shut(v, good)
	sign := func(until int64) string {
		mac := hmac.New(sha256.New, secret)
		_, _ = fmt.Fprintf(mac, "balance\n%s\n%d", p.acme.ID, until)
		return fmt.Sprintf("/embed/balance?account=%s&until=%d&signature=%x", p.acme.ID, until, mac.Sum(nil))
	}
	now := p.wall.Now().Go().Unix()
	require.Equal(t, http.StatusOK, v.get(sign(now+600)).StatusCode)
	shut(v, sign(now))
	shut(v, sign(now+3600))
	good, err = link()
	require.NoError(t, err)
	p.wall.set(p.wall.Now().Add(5*time.Minute + time.Second))
	ended := v.get(good)
	require.Equal(t, http.StatusForbidden, ended.StatusCode)
	require.Contains(t, ended.body, "Open in a new window")
	require.Contains(t, ended.Header.Get("Content-Security-Policy"), "frame-ancestors https://app.example.com", "or the frame stayed empty")
}
