package handlers_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/hook"
	"refill/handlers"
	"refill/models"
	"refill/models/modelstest"
)

// withHooks is another process on the same database, whose webhooks may go to this
// machine.
func (p *portal) withHooks() *portal {
	p.t.Helper()
	near := *p
	var err error
	near.billing, err = billing.New(billing.Config{
		DB: p.db, Ledger: p.ledger, Clock: p.clock, Wall: p.wall, BaseURL: home, Hooks: hook.New(hook.Options{Loopback: true}),
	})
	require.NoError(p.t, err)
	h, err := handlers.New(handlers.Config{EasyAdmins: true, Billing: near.billing, BaseURL: home, Wall: p.wall})
	require.NoError(p.t, err)
	near.server = httptest.NewServer(h)
	p.t.Cleanup(near.server.Close)
	return &near
}

func TestAnOwnerLetsAProgramListen(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db).withHooks()
		var mu sync.Mutex
		var signed []error
		var secrets []string
		say := http.StatusOK
		program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			body, _ := io.ReadAll(r.Body)
			var err error
			for _, s := range secrets {
				v, bad := standardwebhooks.NewWebhook(s)
				if err = bad; err == nil {
					err = v.VerifyIgnoringTimestamp(body, r.Header)
				}
			}
			signed = append(signed, err)
			w.WriteHeader(say)
			_, _ = io.WriteString(w, "<script>alert(1)</script>")
		}))
		t.Cleanup(program.Close)
		owner := p.as("owner")
		const list = "/settings/webhooks"
		for address, text := range map[string]string{
			"": "https://", "http://example.com": "https://", "https://10.0.0.1": "private", "https://example.com:22": "443",
		} {
			wrong := owner.fill(list, list, url.Values{"url": {address}, "hear": {"all"}})
			require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode, address)
			require.Contains(t, wrong.doc().Find("#url-error").Text(), text)
			require.Equal(t, address, wrong.doc().Find("#url").AttrOr("value", ""))
		}
		none := owner.fill(list, list, url.Values{"url": {program.URL}, "hear": {"some"}})
		require.Contains(t, none.doc().Find("#events-error").Text(), "Choose at least one")

		at := owner.fill(list, list, url.Values{"url": {program.URL + "/hook"}, "hear": {"some"}, "event": {"wallet.paused", "wallet.resumed"}, "note": {"ours"}}).to()
		shown := owner.get(at)
		secret := strings.TrimSpace(shown.doc().Find("#secret").Text())
		require.True(t, strings.HasPrefix(secret, "whsec_"))
		require.NotContains(t, owner.get(at).body, "whsec_", "a secret is shown once")
		require.Contains(t, owner.get(list).body, program.URL+"/hook")
		require.Equal(t, 2, owner.get(at).doc().Find("input[name=event][checked]").Length())

		secrets = []string{secret}
		require.Equal(t, at, owner.fill(at, at+"/test", url.Values{}).to())
		tested := owner.get(at)
		require.Contains(t, tested.body, "The test was delivered.")
		require.Contains(t, tested.doc().Find("#deliveries").Parent().Text(), "200 in")
		require.Contains(t, tested.body, "&lt;script&gt;")
		require.Equal(t, at, owner.fill(at, at+"/rotate", url.Values{}).to())
		fresh := strings.TrimSpace(owner.get(at).doc().Find("#secret").Text())
		require.NotEqual(t, secret, fresh)
		mu.Lock()
		secrets, say = []string{secret, fresh}, http.StatusTeapot
		mu.Unlock()
		require.Equal(t, at, owner.fill(at, at+"/test", url.Values{}).to())
		failed := owner.get(at)
		require.Contains(t, failed.body, "not taken")
		require.Contains(t, failed.doc().Find("#deliveries").Parent().Text(), "418 in")
		require.Contains(t, failed.body, "Failing")
		resend := failed.doc().Find("form[action*='/deliveries/']").First().AttrOr("action", "")
		require.Equal(t, at, owner.fill(at, resend, url.Values{}).to())
		for _, err := range signed {
			require.NoError(t, err)
		}
		require.Len(t, signed, 2)
		require.Equal(t, at, owner.fill(at, at, url.Values{"url": {program.URL + "/other"}, "hear": {"all"}}).to())
		require.Contains(t, owner.get(at).body, "/other")
		require.Equal(t, at, owner.fill(at, at+"/off", url.Values{}).to())
		require.Contains(t, owner.get(at).body, "Turn on")
		require.Equal(t, list, owner.fill(at, at+"/remove", url.Values{}).to())
		require.Equal(t, http.StatusNotFound, owner.get(at).StatusCode)
		require.Contains(t, owner.get(list).body, "No endpoint yet")
	})
}

func TestWordsForVisitors(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		owner := p.as("owner")
		const at = "/settings/messages"
		require.Contains(t, owner.get(at).body, billing.DefaultTryLater)
		long := strings.Repeat("ö", billing.MaxTryLater+1)
		wrong := owner.fill(at, at, url.Values{"try_later": {long}})
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.Equal(t, long, wrong.doc().Find("#try_later").Text())
		require.Equal(t, at, owner.fill(at, at, url.Values{"try_later": {"  Back <b>soon</b>.\r\n Write to us. "}}).to())
		require.Equal(t, "Back <b>soon</b>. Write to us.", owner.get(at).doc().Find("#try_later").Text())
		member := p.as("member")
		require.Contains(t, member.get(at).doc().Find("main").Text(), "Back <b>soon</b>. Write to us.")
		require.Zero(t, member.get(at).doc().Find("textarea").Length())

		edit := "/sub-accounts/" + p.acme.ID.String() + "/edit"
		form := owner.get(edit).doc()
		require.Contains(t, form.Find("#try_later-hint").Text(), "Back <b>soon</b>")
		values := url.Values{"name": {p.acme.Name}, "funding": {"prepaid"}, "pool_every": {"cycle"}, "try_later": {"Acme is at lunch."}}
		require.Equal(t, "/sub-accounts/"+p.acme.ID.String(), owner.fill(edit, edit, values).to())
		require.Equal(t, "Acme is at lunch.", owner.get(edit).doc().Find("#try_later").Text())
		require.Contains(t, owner.get(at).body, "Acme is at lunch.")
		values.Set("try_later", long)
		require.Equal(t, http.StatusUnprocessableEntity, owner.fill(edit, edit, values).StatusCode)
	})
}
