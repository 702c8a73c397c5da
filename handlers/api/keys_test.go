package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// A key is replaced without a pause: both answer while they overlap, to the
// microsecond, and the old one never again. The new one may what the old one might.
func TestAKeyIsReplacedWithoutAPause(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		wall := &clock{}
		wall.at.Store(int64(start))
		w := newWorld(t, db, "stammer", "full-saas", func(c *billing.Config) { c.Wall = wall })
		works := func(keys ...string) {
			t.Helper()
			for _, key := range keys {
				w.get(key, "/v1/plans").ok(t, http.StatusOK)
				w.post(key, "/v1/charges", "k", `{"wallet":"agency:northwind","action":"ai.reply"}`).refused(t, http.StatusForbidden, "scope_missing", "Authorization")
			}
		}
		over := func(key string) {
			t.Helper()
			w.get(key, "/v1/plans").refused(t, http.StatusUnauthorized, "api_key_invalid", "Authorization")
		}
		northwind := billing.Scope{Agency: w.agency.ID}
		rotate := func(whose billing.Scope, id models.APIKeyID, overlap, life time.Duration) (string, models.APIKey, error) {
			return w.s.RotateAPIKey(t.Context(), whose, id, overlap, life, "test")
		}
		refuses := func(code string, whose billing.Scope, id models.APIKeyID, overlap time.Duration) {
			t.Helper()
			_, _, err := rotate(whose, id, overlap, 0)
			require.True(t, problem.Is(err, code), "%v", err)
		}

		old, id := w.makeKey(billing.APIKeyInput{Scopes: []string{billing.KeyReads}, Networks: []string{"127.0.0.0/8"}})
		refuses("invalid_overlap", northwind, id, -time.Microsecond)
		refuses("invalid_overlap", northwind, id, billing.MaxKeyOverlap+time.Microsecond)
		refuses("not_found", billing.Scope{Agency: w.second.ID}, id, time.Hour)
		refuses("not_found", billing.Scope{}, id, time.Hour)
		works(old)

		fresh, next, err := rotate(northwind, id, time.Hour, 24*time.Hour)
		require.NoError(t, err)
		require.NotEqual(t, old, fresh)
		require.Equal(t, []string{"read", "127.0.0.0/8"}, []string{next.Scopes, next.Networks})
		works(old, fresh)
		refuses("key_over", northwind, id, time.Hour)
		wall.advance(time.Hour - time.Microsecond)
		works(old, fresh)
		wall.advance(time.Microsecond)
		over(old)
		works(fresh)
		refuses("key_over", northwind, id, time.Hour)

		wall.advance(23 * time.Hour)
		over(fresh)
		refuses("key_over", northwind, next.ID, time.Hour)

		// What ends soon goes on no longer for being replaced, and without an overlap it
		// ends there and then.
		short, id := w.makeKey(billing.APIKeyInput{Scopes: []string{billing.KeyReads}, Life: time.Minute})
		_, next, err = rotate(northwind, id, time.Hour, 0)
		require.NoError(t, err)
		wall.advance(time.Minute)
		over(short)
		last, row, err := rotate(northwind, next.ID, 0, 0)
		require.NoError(t, err)
		works(last)
		refuses("key_over", northwind, next.ID, 0)

		require.NoError(t, w.s.RevokeAPIKey(t.Context(), northwind, row.ID, "test"))
		over(last)
		refuses("key_over", northwind, row.ID, time.Hour)
		w.get(w.key, "/v1/plans").ok(t, http.StatusOK) // which was not theirs to end
	})
}

// A key that is bound to networks works from nowhere else, whatever a header claims.
func TestAKeyStaysInItsNetworks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	here, _ := w.makeKey(billing.APIKeyInput{Networks: []string{"203.0.113.0/24", "127.0.0.1"}})
	w.get(here, "/v1/plans").ok(t, http.StatusOK)
	away, _ := w.makeKey(billing.APIKeyInput{Networks: []string{"203.0.113.0/24", "2001:db8::/32"}})
	w.get(away, "/v1/plans").refused(t, http.StatusForbidden, "address_not_allowed", "Authorization")
	w.post(away, "/v1/charges", "k", `{"wallet":"agency:northwind","action":"ai.reply"}`).refused(t, http.StatusForbidden, "address_not_allowed", "Authorization")
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
		w.send(away, http.MethodGet, "/v1/plans", "", "", name, "203.0.113.7").refused(t, http.StatusForbidden, "address_not_allowed", "Authorization")
	}

	for _, x := range []struct {
		network, address string
		may              bool
	}{
		{"203.0.113.7", "203.0.113.7", true},
		{"203.0.113.7", "203.0.113.8", false},
		{"203.0.113.7", "::ffff:203.0.113.7", true},
		{"::ffff:203.0.113.7", "203.0.113.7", true},
		{"203.0.113.9/24", "203.0.113.255", true},
		{"203.0.113.9/24", "203.0.112.255", false},
		{"203.0.113.9/24", "203.0.114.0", false},
		{"2001:db8::/32", "2001:db8:ffff::1", true},
		{"2001:db8::/32", "2001:db9::1", false},
		{"fe80::/10", "fe80::1%eth0", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"203.0.113.7", "", false},
		{"203.0.113.7", "unknown", false},
	} {
		_, row, err := w.s.MakeAPIKey(t.Context(), billing.APIKeyInput{Owner: billing.Scope{Agency: w.agency.ID}, Name: "test", Networks: []string{x.network}, By: "test"})
		require.NoError(t, err)
		err = w.s.KeyMay(&row, billing.KeyReads, x.address)
		require.Equal(t, x.may, err == nil, "%s from %s: %v", x.network, x.address, err)
	}
	for _, network := range []string{"", "localhost", "203.0.113", "203.0.113.0/33", "203.0.113.0-9", "::ffff:203.0.113.0/120"} {
		_, _, err := w.s.MakeAPIKey(t.Context(), billing.APIKeyInput{Owner: billing.Scope{Agency: w.agency.ID}, Name: "test", Networks: []string{network}, By: "test"})
		require.True(t, problem.Is(err, "invalid_network"), "%q: %v", network, err)
	}
}
