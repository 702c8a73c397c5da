package handlers_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A key and the one that takes its place are each shown once, on their own page; the
// old one's page says until when it goes on, and then offers nothing any more.
func TestAKeyIsMadeAndReplacedOnItsPage(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	shown := func(done answer) (at, key string) {
		t.Helper()
		require.Equal(t, http.StatusSeeOther, done.StatusCode, done.body)
		page := b.get(done.to())
		key = page.doc().Find("#secret").AttrOr("value", page.doc().Find("#secret").Text())
		require.Regexp(t, `^rf_live_`, key)
		require.NotContains(t, b.get(done.to()).body, key, "it is shown once")
		return done.to(), key
	}
	works := func(key string) bool {
		_, _, err := p.billing.AuthenticateKey(t.Context(), key)
		return err == nil
	}
	at, old := shown(b.fill("/settings/api-keys", "/settings/api-keys", url.Values{
		"name": {"Platform"}, "scope": {"charge", "read"}, "networks": {"203.0.113.9/24, 2001:db8::1"}, "life": {"0"},
	}))
	words := func(at string) string { return b.get(at).doc().Find("main").Text() }
	require.Contains(t, words(at), "charge, read")
	require.Contains(t, words(at), "203.0.113.0/24, 2001:db8::1/128")
	for name, wrong := range map[string]url.Values{
		"overlap": {"overlap": {"2"}, "life": {"0"}}, "life": {"overlap": {"1"}, "life": {"7"}},
	} {
		refused := b.fill(at, at+"/rotate", wrong)
		require.Equal(t, http.StatusUnprocessableEntity, refused.StatusCode, name)
		require.Equal(t, 1, refused.doc().Find("#"+name+"[aria-invalid=true]").Length(), name)
	}
	next, fresh := shown(b.fill(at, at+"/rotate", url.Values{"overlap": {"1"}, "life": {"30"}}))
	require.NotEqual(t, at, next)
	require.Contains(t, words(next), "203.0.113.0/24, 2001:db8::1/128")
	require.Contains(t, words(at), "Being replaced")
	require.Zero(t, b.get(at).doc().Find("#rotate").Length(), "once")
	require.Equal(t, http.StatusConflict, b.fill(at, at+"/rotate", url.Values{"overlap": {"1"}, "life": {"30"}}).StatusCode)
	require.True(t, works(old) && works(fresh))

	p.later(time.Hour)
	require.Contains(t, words(at), "Expired")
	require.Zero(t, b.get(at).doc().Find("#rotate, #revoke").Length())
	require.False(t, works(old))
	require.True(t, works(fresh))
}
