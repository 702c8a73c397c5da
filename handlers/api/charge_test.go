package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChargeAndLookUp(t *testing.T) {
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		r := w.post(w.key, "/v1/charges", "k1", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","metadata":{"conversation":"c1"}}`).ok(t, 201)
		require.Equal(t, "25", r.text("credits"))
		require.Equal(t, "99975", r.text("balance.available"))
		require.Equal(t, "plan", r.text("draws.0.source"))
		again := w.post(w.key, "/v1/charges", "k1", `{"wallet":"`+w.agency.WalletID.String()+`","action":"ai.reply","model":"gpt-4","metadata":{"conversation":"c1"}}`).ok(t, 200)
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
		require.Equal(t, r.body, again.body)
		for _, key := range []string{w.key, w.platform} {
			require.JSONEq(t, r.body, w.get(key, "/v1/charges/"+r.text("id")).ok(t, 200).body)
			require.JSONEq(t, r.body, w.get(key, "/v1/charges?idempotency_key=k1").ok(t, 200).body)
		}
		w.get(w.other, "/v1/charges/"+r.text("id")).refused(t, 404, "not_found", "")
		w.get(w.platform, "/v1/wallets/sub%3Anorthwind%2Facme").ok(t, 200)
		w.get(w.key, "/v1/wallets/sub%3Aacme/lots").ok(t, 200)
		require.Equal(t, "charge", w.get(w.key, "/v1/wallets/agency:northwind/entries?limit=1").ok(t, 200).text("data.0.kind"))
	})
}
