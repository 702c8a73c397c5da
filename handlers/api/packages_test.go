package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
)

func TestPackages(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		body := `{"name":"Growth","credits":"10000","price":{"amount":6000,"currency":"usd"},"cost_basis":"best","badge":"Most popular","monthly_limit":2}`
		p := w.post(w.key, "/v1/packages", "p", body).ok(t, 201)
		require.Equal(t, "0.0060", p.text("price_per_credit"))
		require.Equal(t, "2857", p.text("margin.cost.amount"), "35,000 for $100.00")
		require.Equal(t, "204", p.text("margin.card_fee.amount"))
		require.Equal(t, "2939", p.text("margin.keep.amount"))
		require.Equal(t, "2973", p.text("margin.break_even.amount"))
		require.NoError(t, w.s.SetPlatformFee(t.Context(), 250, "test"))
		shared := w.get(w.key, "/v1/packages/"+p.text("id")).ok(t, 200)
		require.Equal(t, []string{"150", "2789"}, []string{shared.text("margin.platform_fee.amount"), shared.text("margin.keep.amount")}, "6000 − 2857 − 204 − 150")
		require.NoError(t, w.s.SetPlatformFee(t.Context(), 0, "test"))
		require.Equal(t, false, p.at("on_sale"))
		require.Equal(t, p.body, w.post(w.key, "/v1/packages", "p", body).ok(t, 200).body)
		w.post(w.key, "/v1/packages", "p", `{"name":"Other","credits":"10000","price":{"amount":6000,"currency":"usd"}}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")

		at := "/v1/packages/" + p.text("id")
		patch := func(key, body string) *reply { return w.send(key, http.MethodPatch, at, "", body) }
		patch(w.key, `{"on_sale":true}`).refused(t, 409, "not_connected", "on_sale")
		require.NoError(t, w.db.Write.Create(&models.StripeAccount{AgencyID: w.agency.ID, Account: "acct_1", ChargesEnabled: true, CreatedAt: start}).Error)
		require.Equal(t, true, patch(w.key, `{"on_sale":true}`).ok(t, 200).at("on_sale"))
		changed := patch(w.key, `{"price":{"amount":6500,"currency":"usd"},"sub_accounts":["acme"],"monthly_limit":0,"note":"For a busy month."}`).ok(t, 200)
		require.Equal(t, "6500", changed.text("price.amount"))
		require.Equal(t, "chosen", changed.text("audience"))
		require.Equal(t, w.client.ID.String(), changed.text("sub_accounts.0"))
		require.Nil(t, changed.at("monthly_limit"))
		require.Equal(t, "Most popular", changed.text("badge"), "what is left out stays")
		require.Equal(t, "all", patch(w.key, `{"audience":"all"}`).ok(t, 200).text("audience"))
		own := patch(w.key, `{"cost_basis":"own","own_cost":"0.005"}`).ok(t, 200)
		require.Equal(t, "5000", own.text("margin.cost.amount"))
		require.Equal(t, "0.005", own.text("own_cost"))

		require.Equal(t, "price", patch(w.key, `{"price":{"amount":2000,"currency":"usd"}}`).refused(t, 422, "sold_at_loss", "price").text("field"))
		require.Equal(t, true, patch(w.key, `{"price":{"amount":2000,"currency":"usd"},"loss_accepted":true}`).ok(t, 200).at("loss_accepted"))
		for body, want := range map[string][2]string{
			`{"price":{"amount":6000,"currency":"eur"}}`: {"invalid_currency", "price.currency"},
			`{"price":{"amount":10,"currency":"usd"}}`:   {"price_too_low", "price"},
			`{"credits":"0.5"}`:                          {"invalid_credits", "credits"},
			`{"credits":"many"}`:                         {"invalid_credits", "credits"},
			`{"own_cost":"cheap"}`:                       {"invalid_own_cost", "own_cost"},
			`{"audience":"chosen"}`:                      {"audience_empty", "audience"},
			`{"monthly_limit":1001}`:                     {"invalid_field", "monthly_limit"},
			`{"name":""}`:                                {"invalid_name", "name"},
		} {
			patch(w.key, body).refused(t, 422, want[0], want[1])
		}
		patch(w.key, `{"sub_accounts":["nobody"]}`).refused(t, 404, "not_found", "sub_accounts")

		// Another agency's key finds nothing of it; a platform key names the agency.
		w.get(w.other, at).refused(t, 404, "not_found", "")
		patch(w.other, `{"name":"Mine"}`).refused(t, 404, "not_found", "")
		w.post(w.other, "/v1/packages", "x", `{"agency":"northwind","name":"X","credits":"10","price":{"amount":100,"currency":"usd"}}`).refused(t, 404, "not_found", "agency")
		w.get(w.platform, "/v1/packages").refused(t, 422, "agency_missing", "agency")
		require.Equal(t, p.text("id"), w.get(w.platform, at+"?agency=northwind").ok(t, 200).text("id"))
		w.get(w.key, "/v1/packages/growth").refused(t, 404, "not_found", "")

		w.clock.advance(1e9)
		second := w.post(w.platform, "/v1/packages", "q", `{"agency":"northwind","name":"Small","credits":"100","price":{"amount":200,"currency":"usd"},"sub_accounts":["acme"]}`).ok(t, 201)
		require.Equal(t, "chosen", second.text("audience"))
		page := w.get(w.key, "/v1/packages?limit=1").ok(t, 200)
		require.Equal(t, p.text("id"), page.text("data.0.id"))
		page = w.get(w.key, "/v1/packages?limit=1&cursor="+page.text("next_cursor")).ok(t, 200)
		require.Equal(t, second.text("id"), page.text("data.0.id"))
		require.Equal(t, w.client.ID.String(), page.text("data.0.sub_accounts.0"))
		require.Empty(t, w.get(w.other, "/v1/packages").ok(t, 200).at("data"))

		require.Equal(t, []string{"once", "once"}, []string{p.text("every"), second.text("every")})
		monthly := w.post(w.key, "/v1/packages", "r", `{"name":"Care","credits":"1000","price":{"amount":2500,"currency":"usd"},"every":"month"}`).ok(t, 201)
		require.Equal(t, "month", monthly.text("every"))
		care := "/v1/packages/" + monthly.text("id")
		require.Equal(t, "month", w.send(w.key, http.MethodPatch, care, "", `{"note":"Each month anew."}`).ok(t, 200).text("every"), "what is left out stays")
		require.Equal(t, "once", w.send(w.key, http.MethodPatch, care, "", `{"every":"once"}`).ok(t, 200).text("every"))
		w.send(w.key, http.MethodPatch, care, "", `{"every":"week"}`).refused(t, 422, "invalid_field", "every")

		archived := patch(w.key, `{"archived":true}`).ok(t, 200)
		require.NotEmpty(t, archived.text("archived_at"))
		require.Equal(t, false, archived.at("on_sale"))
		patch(w.key, `{"name":"New name"}`).refused(t, 409, "package_archived", "")
		require.Nil(t, patch(w.key, `{"archived":false}`).ok(t, 200).at("archived_at"))
	})
}
