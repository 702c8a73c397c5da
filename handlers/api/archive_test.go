package api_test

import (
	"net/http"
	"testing"
)

// A program puts a client away and brings it back.
func TestArchiving(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		patch := func(key, body string) *reply {
			return w.send(key, http.MethodPatch, "/v1/sub-accounts/acme", "", body)
		}
		charge := `{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4"}`
		w.post(w.key, "/v1/assignments", "a", `{"sub_account":"acme","credits":"500"}`).ok(t, 201)
		w.post(w.key, "/v1/charges", "c", charge).ok(t, 201)
		had := w.get(w.key, "/v1/wallets/agency:northwind").ok(t, 200).text("balance.available")
		patch(w.other, `{"status":"archived"}`).refused(t, 404, "not_found", "")
		patch(w.key, `{"status":"gone"}`).refused(t, 422, "invalid_field", "status")
		patch(w.key, `{}`).refused(t, 422, "field_missing", "status")
		away := patch(w.key, `{"status":"archived","return_assigned":true}`).ok(t, 200)
		if away.text("status") != "archived" || away.body != patch(w.key, `{"status":"archived"}`).ok(t, 200).body {
			t.Fatalf("archived twice: %s", away.body)
		}
		if now := w.get(w.key, "/v1/wallets/agency:northwind").ok(t, 200).text("balance.available"); now == had {
			t.Fatalf("%s credits, and none returned", now)
		}
		w.get(w.key, "/v1/wallets/sub:acme").ok(t, 200)
		w.post(w.key, "/v1/charges", "d", charge).refused(t, 403, "wallet_paused", "")
		w.post(w.key, "/v1/assignments", "b", `{"sub_account":"acme","credits":"5"}`).refused(t, 409, "sub_account_archived", "sub_account")
		if back := patch(w.platform, `{"status":"active"}`); back.status != http.StatusUnprocessableEntity {
			t.Fatalf("a platform key names the agency: %s", back.body)
		}
		patch(w.key, `{"status":"active"}`).ok(t, 200)
		w.post(w.key, "/v1/assignments", "e", `{"sub_account":"acme","credits":"50"}`).ok(t, 201)
		w.post(w.key, "/v1/charges", "f", charge).ok(t, 201)
	})
}
