package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
)

// A program sets what a client gets every month, as often as it likes.
func TestMonthlyAssignments(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		const at = "/v1/sub-accounts/acme/monthly-assignment"
		put := func(key, body string) *reply { return w.send(key, http.MethodPut, at, "", body) }
		w.get(w.key, at).refused(t, 404, "not_found", "")
		put(w.key, `{"credits":"0"}`).refused(t, 422, "invalid_credits", "credits")
		put(w.key, `{"credits":"500","day":32}`).refused(t, 422, "invalid_field", "day")
		put(w.key, `{"credits":"500","unused":"burn"}`).refused(t, 422, "invalid_field", "unused")
		put(w.other, `{"credits":"500"}`).refused(t, 404, "not_found", "")
		first := put(w.key, `{"credits":"500","day":31,"unused":"return","note":"Yours"}`).ok(t, 200)
		require.Equal(t, []string{"500", "31", "return", "Yours", "2026-03-31T00:00:00.000000Z"},
			[]string{first.text("credits"), first.text("day"), first.text("unused"), first.text("note"), first.text("next_at")})
		require.Equal(t, first.body, put(w.key, `{"credits":"500","day":31,"unused":"return","note":"Yours"}`).ok(t, 200).body, "sent again")
		w.clock.advance(31 * 24 * 3600 * 1e9)
		require.NoError(t, w.s.RunDue(t.Context(), w.clock.Now()))
		given := w.get(w.key, at).ok(t, 200)
		require.Equal(t, []string{"done", "500"}, []string{given.text("turns.0.outcome"), given.text("turns.0.credits")})
		require.Equal(t, "500", w.get(w.key, "/v1/wallets/sub:acme").ok(t, 200).text("balance.assigned"))
		require.Equal(t, "1", put(w.key, `{"credits":"20"}`).ok(t, 200).text("day"), "the first unless told")
		for range 2 {
			w.send(w.key, http.MethodDelete, at, "", "").ok(t, 204)
		}
		w.get(w.key, at).refused(t, 404, "not_found", "")
	})
}

// A program assigns to many at once, and the same key means the same act whatever
// would be worked out now.
func TestBulkAssignments(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		const at = "/v1/bulk-assignments"
		_, err := w.s.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{Agency: w.agency.ID, ExternalID: "bright", Name: "Bright", By: "test"})
		require.NoError(t, err)
		w.post(w.key, "/v1/assignments", "a", `{"sub_account":"acme","credits":"300"}`).ok(t, 201)
		assigned := func(sub string) string {
			return w.get(w.key, "/v1/wallets/sub:"+sub).ok(t, 200).text("balance.assigned")
		}
		const target = `{"way":"target","credits":"1000","note":"January"}`
		dry := w.post(w.key, at, "dry", `{"way":"target","credits":"1000","dry_run":true}`).ok(t, 200)
		require.Equal(t, []string{"", "1700", "0"}, []string{dry.text("id"), dry.text("credits"), dry.text("short")})
		require.Equal(t, "300", assigned("acme"), "nothing is booked by trying")
		done := w.post(w.key, at, "k", target).ok(t, 201)
		require.Equal(t, []string{"1700", "target", "1700"}, []string{done.text("credits"), done.text("way"), done.text("returnable")})
		require.Equal(t, []string{"1000", "1000"}, []string{assigned("acme"), assigned("bright")})
		again := w.post(w.key, at, "k", target).ok(t, 200)
		require.Equal(t, []string{"true", done.body}, []string{again.header.Get("Idempotent-Replayed"), again.body})
		require.Equal(t, "1000", assigned("acme"))
		w.post(w.key, at, "k", `{"way":"target","credits":"2000"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")
		w.post(w.key, at, "k2", target).refused(t, 409, "nothing_to_assign", "sub_accounts")
		w.post(w.key, at, "k3", `{"way":"same","credits":"90000000"}`).refused(t, 402, "insufficient_credits", "")
		w.post(w.key, at, "k4", `{"way":"same"}`).refused(t, 422, "invalid_credits", "credits")
		w.post(w.key, at, "k5", `{"way":"same","credits":"5","sub_accounts":["nobody"]}`).refused(t, 404, "not_found", "sub_accounts")
		w.post(w.key, at, "k6", `{"way":"list","list":[{"sub_account":"acme","credits":"1"},{"sub_account":"acme","credits":"2"}]}`).refused(t, 422, "invalid_list", "list")
		listed := w.post(w.key, at, "k7", `{"way":"list","list":[{"sub_account":"acme","credits":"1.5"}]}`).ok(t, 201)
		require.Equal(t, []string{"1.5", "1001.5"}, []string{listed.text("parts.0.credits"), assigned("acme")})
		one := w.post(w.key, at, "k8", `{"way":"same","credits":"5","sub_accounts":["bright"]}`).ok(t, 201)
		require.Equal(t, []string{"5", "1005"}, []string{one.text("credits"), assigned("bright")})

		// A client that is put away gets nothing, and nobody else does in its place.
		const both = `{"way":"list","list":[{"sub_account":"acme","credits":"1"},{"sub_account":"gone","credits":"2"}]}`
		gone, err := w.s.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{Agency: w.agency.ID, ExternalID: "gone", Name: "Gone", By: "test"})
		require.NoError(t, err)
		w.post(w.key, at, "k9", both).ok(t, 201)
		_, err = w.s.ArchiveSubAccount(t.Context(), billing.Scope{}, billing.ArchiveInput{Agency: w.agency.ID, SubAccount: gone.ID, By: "test"})
		require.NoError(t, err)
		w.post(w.key, at, "k9", both).ok(t, 200)
		w.post(w.key, at, "k10", both).refused(t, 409, "sub_account_archived", "sub_account")
		w.post(w.key, at, "k11", `{"way":"same","credits":"5","sub_accounts":["acme","gone"],"dry_run":true}`).refused(t, 409, "sub_account_archived", "sub_account")
		require.Equal(t, "1002.5", assigned("acme"))

		id := done.text("id")
		w.get(w.other, at+"/"+id).refused(t, 404, "not_found", "")
		for _, key := range []string{"undo", "undo again"} {
			undone := w.post(w.key, at+"/"+id+"/undo", key, `{}`).ok(t, 200)
			require.Equal(t, []string{"700", "0"}, []string{undone.text("parts.0.returned"), undone.text("returnable")})
		}
		require.Equal(t, []string{"302.5", "5"}, []string{assigned("acme"), assigned("bright")})
	})
}

// The operator's programs say how far below zero an agency may go.
func TestTheLimitBelowZeroOfAnAgency(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		const at = "/v1/agencies/northwind"
		patch := func(body string) *reply { return w.send(w.platform, http.MethodPatch, at, "", body) }
		require.Equal(t, "0", w.get(w.key, at).ok(t, 200).text("excess_limit"))
		patch(`{"excess_limit":"500"}`).refused(t, 422, "reason_missing", "reason")
		patch(`{"excess_limit":"-1","reason":"x"}`).refused(t, 422, "invalid_limit", "excess_limit")
		patch(`{"excess_limit":"5","plan":"agency","reason":"x"}`).refused(t, 422, "invalid_field", "excess_limit")
		patch(`{}`).refused(t, 422, "field_missing", "plan")
		for range 2 {
			require.Equal(t, "500", patch(`{"excess_limit":"500","reason":"Trusted"}`).ok(t, 200).text("excess_limit"))
		}
		require.Equal(t, "500", w.get(w.key, "/v1/agencies").ok(t, 200).text("data.0.excess_limit"), "and it may read that")
	})
}
