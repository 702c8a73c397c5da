package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/handlers/api"
	"refill/models/modelstest"
)

// fill gives a route's parameters values that exist nowhere.
func fill(path string) string {
	return strings.NewReplacer("{id}", "none", "{ref}", "agency:none").Replace(path)
}

func TestEveryRouteWantsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	broken := w.key[:len(w.key)-1] + "_"
	for _, r := range w.routes {
		path := fill(r.Path)
		if r.Who == api.Anyone {
			w.send("", r.Method, path, "", "").ok(t, http.StatusOK)
			continue
		}
		w.send("", r.Method, path, "k", "{}").refused(t, http.StatusUnauthorized, "api_key_missing", "Authorization")
		w.send("", r.Method, path, "k", "{}", "Cookie", "__Host-sid=x").refused(t, http.StatusUnauthorized, "api_key_missing", "Authorization")
		w.send(broken, r.Method, path, "k", "{}").refused(t, http.StatusUnauthorized, "api_key_invalid", "Authorization")
		w.send("x", r.Method, path, "k", "{}", "Authorization", "Basic "+w.key).refused(t, http.StatusUnauthorized, "api_key_missing", "Authorization")
		if r.Who == api.PlatformKey {
			w.send(w.key, r.Method, path, "k", "{}").refused(t, http.StatusForbidden, "platform_key_needed", "")
		}
		if r.Method == http.MethodPost && r.Path != "/v1/charges/batch" {
			w.post(w.platform, path, "", "{}").refused(t, http.StatusBadRequest, "idempotency_key_missing", "Idempotency-Key")
		}
		if r.Method == http.MethodPost || r.Method == http.MethodPatch {
			w.send(w.platform, r.Method, path, "k", `{"zzz":1}`).refused(t, http.StatusBadRequest, "unknown_field", "zzz")
			w.send(w.platform, r.Method, path, "k", "{}", "Content-Type", "application/xml").refused(t, http.StatusUnsupportedMediaType, "json_needed", "")
			w.send(w.platform, r.Method, path, "k", `{"a":"`+strings.Repeat("x", 3<<20)+`"}`).refused(t, http.StatusRequestEntityTooLarge, "body_too_large", "")
		}
	}
}

func TestWhatTheRouterRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	w.get(w.key, "/v1/nothing").refused(t, http.StatusNotFound, "no_such_route", "")
	w.get(w.key, "/v1").refused(t, http.StatusNotFound, "no_such_route", "")
	r := w.send(w.key, http.MethodDelete, "/v1/charges", "", "").refused(t, http.StatusMethodNotAllowed, "method_not_allowed", "")
	require.Contains(t, r.header.Get("Allow"), "POST")
	w.get(w.key, "/v1/wallets/%FF").refused(t, http.StatusNotFound, "no_such_route", "")
	w.get(w.key, "/v1/wallets/a%00").refused(t, http.StatusNotFound, "no_such_route", "")
	w.get(w.key, "/v1/usage?from=%00").refused(t, http.StatusBadRequest, "malformed_query", "from")
}

// HEAD is GET without the body, keys and refusals included.
func TestHeadIsGetWithoutTheBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	head := func(key, path string) *reply {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, w.url+path, http.NoBody)
		require.NoError(t, err)
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return &reply{status: res.StatusCode, header: res.Header}
	}
	for _, r := range w.routes {
		if r.Method != http.MethodGet {
			continue
		}
		for _, key := range []string{"", w.key} {
			got, want := head(key, fill(r.Path)), w.get(key, fill(r.Path))
			require.Equal(t, want.status, got.status, r.Path)
			require.Equal(t, want.header.Get("Content-Type"), got.header.Get("Content-Type"), r.Path)
		}
	}
	require.Equal(t, http.StatusOK, head(w.key, "/v1/wallets/sub%3Anorthwind%2Facme/lots").status)
	require.Equal(t, http.StatusOK, head("", "/v1/openapi.json").status)
	refused := head(w.key, "/v1/holds")
	require.Equal(t, http.StatusMethodNotAllowed, refused.status)
	require.Contains(t, refused.header.Get("Allow"), "POST")
}

func TestInternalErrorsShowNothing(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenSQLite(t)
	w := newWorld(t, db, "stammer", "full-saas")
	w.get(w.key, "/v1/plans").ok(t, http.StatusOK)
	_, err := db.WriteSQL().ExecContext(t.Context(), "ALTER TABLE plans RENAME TO plans_gone")
	require.NoError(t, err)
	r := w.get(w.key, "/v1/plans").refused(t, http.StatusInternalServerError, "internal", "")
	require.NotContains(t, r.body, "plans")
	require.NotContains(t, r.body, "SQL")
}

func TestTyposInKeysNeverReachTheDatabase(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenSQLite(t)
	w := newWorld(t, db, "stammer", "full-saas")
	_, err := db.WriteSQL().ExecContext(t.Context(), "ALTER TABLE api_keys RENAME TO api_keys_gone")
	require.NoError(t, err)
	for i := len("rf_live_"); i < len(w.other); i++ {
		swap := byte('a')
		if w.other[i] == swap {
			swap = 'b'
		}
		_, _, err := w.s.AuthenticateKey(t.Context(), w.other[:i]+string(swap)+w.other[i+1:])
		require.ErrorContains(t, err, "api_key_invalid")
	}
	_, _, err = w.s.AuthenticateKey(t.Context(), w.other)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "api_key_invalid", "a whole key is looked up")
}

func TestKeyOfATestInstallation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	require.NoError(t, w.s.SetSetting(t.Context(), billing.SettingKeyMode, "test"))
	text := w.newKey(billing.Scope{})
	require.Regexp(t, `^rf_test_[0-9A-Za-z]{49}$`, text)
	require.Regexp(t, `^rf_live_[0-9A-Za-z]{22}_[0-9A-Za-z]{49}$`, w.key)
	w.get(text, "/v1/plans").ok(t, http.StatusOK)
}
