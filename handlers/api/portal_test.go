package api_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAgencies(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		body := `{"external_id":"fabrikam","name":"Fabrikam","plan":"starter","time_zone":"Europe/Paris"}`
		a := w.post(w.platform, "/v1/agencies", "a", body).ok(t, 201)
		require.Equal(t, "starter", a.text("plan"))
		require.Equal(t, a.body, w.post(w.platform, "/v1/agencies", "a", body).ok(t, 200).body)
		w.post(w.platform, "/v1/agencies", "a", `{"external_id":"fabrikam","name":"Other"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")
		w.post(w.platform, "/v1/agencies", "b", body).refused(t, 409, "external_id_taken", "external_id")
		defaults := w.post(w.platform, "/v1/agencies", "d", `{"external_id":"d","name":"D"}`).ok(t, 201)
		require.Equal(t, "full-saas", defaults.text("plan"))
		require.Equal(t, defaults.body, w.post(w.platform, "/v1/agencies", "d", `{"external_id":"d","name":"D"}`).ok(t, 200).body)

		w.post(w.platform, "/v1/agencies", "x", `{"external_id":"no spaces","name":"X"}`).refused(t, 422, "invalid_external_id", "external_id")
		w.post(w.platform, "/v1/agencies", "x", `{"external_id":"x","name":" "}`).refused(t, 422, "invalid_name", "name")
		w.post(w.platform, "/v1/agencies", "x", `{"external_id":"x","name":"X","time_zone":"Mars/Base"}`).refused(t, 422, "invalid_time_zone", "time_zone")
		w.post(w.platform, "/v1/agencies", "x", `{"external_id":"x","name":"X","plan":"gold"}`).refused(t, 422, "unknown_plan", "plan")
		w.post(w.platform, "/v1/agencies", "x", `{"name":"X"}`).refused(t, 422, "field_missing", "external_id")
		w.post(w.platform, "/v1/agencies", "x", `{"external_id":7,"name":"X"}`).refused(t, 400, "invalid_type", "external_id")
		w.post(w.platform, "/v1/agencies", "x", `{"external_id":`).refused(t, 400, "malformed_json", "")

		first := w.get(w.platform, "/v1/agencies?limit=1").ok(t, 200)
		require.Len(t, first.at("data"), 1)
		rest := w.get(w.platform, "/v1/agencies?limit=3&cursor="+first.text("next_cursor")).ok(t, 200)
		require.Len(t, rest.at("data"), 3)
		require.NotEqual(t, first.text("data.0.id"), rest.text("data.0.id"))
		require.Len(t, w.get(w.key, "/v1/agencies").ok(t, 200).at("data"), 1)
		w.get(w.platform, "/v1/agencies?limit=0").refused(t, 422, "invalid_field", "limit")
		w.get(w.platform, "/v1/agencies?limit=x").refused(t, 422, "invalid_field", "limit")
		w.get(w.platform, "/v1/agencies?cursor=x").refused(t, 422, "invalid_cursor", "cursor")

		require.Equal(t, a.text("id"), w.get(w.platform, "/v1/agencies/"+a.text("id")).ok(t, 200).text("id"))
		w.get(w.key, "/v1/agencies/contoso").refused(t, 404, "not_found", "")
		w.clock.advance(time.Second)
		changed := w.send(w.platform, http.MethodPatch, "/v1/agencies/fabrikam", "", `{"plan":"agency"}`).ok(t, 200)
		require.Equal(t, "agency", changed.text("plan"))
		require.Equal(t, "25000", w.get(w.platform, "/v1/wallets/agency:fabrikam").text("balance.available"))
		w.send(w.platform, http.MethodPatch, "/v1/agencies/fabrikam", "", `{"plan":"gold"}`).refused(t, 422, "unknown_plan", "plan")
	})
}

func TestOneKeyMakesOneAgency(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		answers := make([]*reply, 16)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				var err error
				if answers[i], err = w.try(w.platform, "POST", "/v1/agencies", "same", `{"external_id":"fabrikam","name":"Fabrikam"}`); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, r := range answers {
			require.Less(t, r.status, 300, r.body)
			require.Equal(t, answers[0].body, r.body)
		}
	})
}

func TestSubAccounts(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		body := `{"external_id":"globex","name":"Globex","funding":"pooled","pool_cap":"12.5","pool_every":"day"}`
		s := w.post(w.key, "/v1/sub-accounts", "s", body).ok(t, 201)
		require.Equal(t, "pooled", s.text("funding"))
		require.Equal(t, "12.5", s.text("pool_cap"))
		require.Equal(t, s.body, w.post(w.key, "/v1/sub-accounts", "s", body).ok(t, 200).body)
		w.post(w.key, "/v1/sub-accounts", "s", `{"external_id":"other","name":"Globex"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")
		w.post(w.key, "/v1/sub-accounts", "s2", body).refused(t, 409, "external_id_taken", "external_id")
		// The pool pays up to the cap, and the answer tells nothing of its balance.
		c := w.post(w.key, "/v1/charges", "c", `{"wallet":"sub:globex","action":"ai.reply","model":"gpt-4-turbo"}`).ok(t, 201)
		require.Equal(t, "0", c.text("balance.available"))
		require.Equal(t, w.agency.WalletID.String(), c.text("draws.0.wallet"))
		require.Equal(t, "10", w.get(w.key, "/v1/wallets/sub:globex").ok(t, 200).text("pool.drawn"))
		w.post(w.key, "/v1/charges", "c2", `{"wallet":"sub:globex","action":"ai.reply","model":"gpt-4-turbo"}`).refused(t, 402, "insufficient_credits", "")

		w.post(w.platform, "/v1/sub-accounts", "p", `{"external_id":"x","name":"X"}`).refused(t, 422, "agency_missing", "agency")
		w.post(w.platform, "/v1/sub-accounts", "p", `{"agency":"nowhere","external_id":"x","name":"X"}`).refused(t, 404, "not_found", "agency")
		w.post(w.key, "/v1/sub-accounts", "p", `{"agency":"contoso","external_id":"x","name":"X"}`).refused(t, 404, "not_found", "agency")
		w.post(w.key, "/v1/sub-accounts", "p", `{"external_id":"x","name":"X","funding":"gift"}`).refused(t, 422, "invalid_field", "funding")
		w.post(w.key, "/v1/sub-accounts", "p", `{"external_id":"x","name":"X","pool_cap":"-1"}`).refused(t, 422, "invalid_credits", "pool_cap")
		w.post(w.key, "/v1/sub-accounts", "p", `{"external_id":"x","name":"X","time_zone":"Local"}`).refused(t, 422, "invalid_time_zone", "time_zone")
		w.post(w.platform, "/v1/sub-accounts", "p", `{"agency":"northwind","external_id":"initech","name":"Initech"}`).ok(t, 201)
		require.Len(t, w.get(w.key, "/v1/sub-accounts").ok(t, 200).at("data"), 3)
		page := w.get(w.key, "/v1/sub-accounts?limit=2").ok(t, 200)
		require.Len(t, w.get(w.key, "/v1/sub-accounts?cursor="+page.text("next_cursor")).ok(t, 200).at("data"), 1)
		require.Empty(t, w.get(w.other, "/v1/sub-accounts").ok(t, 200).at("data"))
		w.get(w.other, "/v1/sub-accounts/acme").refused(t, 404, "not_found", "")
		w.get(w.platform, "/v1/sub-accounts").refused(t, 422, "agency_missing", "agency")
		require.Equal(t, s.text("id"), w.get(w.platform, "/v1/sub-accounts/globex?agency=northwind").ok(t, 200).text("id"))
	})
}

func TestAssignments(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		a := w.post(w.platform, "/v1/assignments", "a", `{"agency":"northwind","sub_account":"acme","credits":"100.5"}`).ok(t, 201)
		require.Equal(t, "100.5", a.text("credits"))
		require.Equal(t, w.client.ID.String(), a.text("sub_account"))
		b := w.post(w.key, "/v1/take-backs", "t", `{"sub_account":"`+w.client.ID.String()+`","credits":"0.5"}`).ok(t, 201)
		require.Equal(t, b.body, w.post(w.key, "/v1/take-backs", "t", `{"sub_account":"acme","credits":"0.5"}`).ok(t, 200).body)
		w.post(w.key, "/v1/assignments", "t", `{"sub_account":"acme","credits":"0.5"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")
		require.Equal(t, "100", w.get(w.key, "/v1/wallets/sub:acme").text("balance.assigned"))
		require.Equal(t, "99900", w.get(w.key, "/v1/wallets/agency:northwind").text("balance.plan"))
		lot := w.get(w.key, "/v1/wallets/sub:acme/lots").ok(t, 200)
		require.NotEmpty(t, lot.text("data.0.parent"))
		require.Equal(t, "2026-04-01T12:00:00.000000Z", lot.text("data.0.expires_at"), "assigned credits keep the allowance's expiry")

		w.post(w.key, "/v1/assignments", "x", `{"sub_account":"acme","credits":"0"}`).refused(t, 422, "invalid_credits", "credits")
		w.post(w.key, "/v1/assignments", "x", `{"sub_account":"acme","credits":"1.1234567"}`).refused(t, 422, "invalid_credits", "credits")
		w.post(w.key, "/v1/assignments", "x", `{"sub_account":"acme","credits":"99999999999999999999"}`).refused(t, 422, "invalid_credits", "credits")
		w.post(w.key, "/v1/assignments", "x", `{"sub_account":"acme","credits":5}`).refused(t, 400, "invalid_type", "credits")
		w.post(w.key, "/v1/assignments", "x", `{"sub_account":"nobody","credits":"5"}`).refused(t, 404, "not_found", "sub_account")
		w.post(w.other, "/v1/assignments", "x", `{"agency":"northwind","sub_account":"acme","credits":"5"}`).refused(t, 404, "not_found", "agency")
		w.post(w.key, "/v1/assignments", "x", `{"sub_account":"acme","credits":"1000000"}`).refused(t, 402, "insufficient_credits", "")
	})
}

func TestAdjustments(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		at := "/v1/agencies/northwind/adjustments"
		w.post(w.platform, at, "a", `{"credits":"10","reason":"Outage","sub_account":"acme"}`).ok(t, 201)
		require.Equal(t, "10", w.get(w.key, "/v1/wallets/sub:acme").text("balance.bonus"))
		taken := w.post(w.platform, at, "b", `{"credits":"-4","reason":"Mistake","sub_account":"acme"}`).ok(t, 201)
		require.Equal(t, "-4", taken.text("credits"))
		require.Equal(t, taken.body, w.post(w.platform, at, "b", `{"credits":"-4","reason":"Mistake","sub_account":"acme"}`).ok(t, 200).body)
		require.Equal(t, "6", w.get(w.key, "/v1/wallets/sub:acme").text("balance.bonus"))
		w.post(w.platform, at, "c", `{"credits":"1"}`).refused(t, 422, "field_missing", "reason")
		w.post(w.platform, at, "c", `{"credits":"1","reason":""}`).refused(t, 422, "reason_missing", "reason")
		w.post(w.platform, at, "c", `{"credits":"0","reason":"x"}`).refused(t, 422, "invalid_credits", "credits")
		w.post(w.platform, at, "c", `{"credits":"1","reason":"x","type":"gift"}`).refused(t, 422, "invalid_field", "type")
		w.post(w.platform, at, "c", `{"credits":"1","reason":"x","sub_account":"nobody"}`).refused(t, 404, "not_found", "sub_account")
		w.post(w.platform, "/v1/agencies/nowhere/adjustments", "c", `{"credits":"1","reason":"x"}`).refused(t, 404, "not_found", "")
	})
}

func TestPublishRates(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		body := `{"rates":[{"action":"ai.reply","base":"2","components":[{"measure":"output_tokens","size":1000,"credits":"0.5"}],"maximum":"9"}]}`
		p := w.post(w.platform, "/v1/rates", "r", body).ok(t, 201)
		require.Equal(t, "2", p.text("version"))
		require.Equal(t, p.body, w.post(w.platform, "/v1/rates", "r", body).ok(t, 200).body)
		w.post(w.platform, "/v1/rates", "r", `{"rates":[{"action":"ai.reply","base":"3"}]}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")
		c := w.post(w.key, "/v1/charges", "c", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","usage":{"output_tokens":1500.5}}`).ok(t, 201)
		require.Equal(t, "3", c.text("credits"))
		require.Equal(t, "2", c.text("rate_card_version"))
		require.Equal(t, "2", w.get(w.platform, "/v1/rates?agency=northwind").ok(t, 200).text("data.0.version"))
		w.post(w.platform, "/v1/rates", "x", `{"rates":[{"action":"Shout!","base":"3"}]}`).refused(t, 422, "invalid_rates", "rates")
		w.post(w.platform, "/v1/rates", "x", `{"rates":[{"action":"ai.reply","base":"three"}]}`).refused(t, 422, "invalid_credits", "rates.base")
		w.post(w.platform, "/v1/rates", "x", `{"rates":[]}`).refused(t, 422, "invalid_field", "rates")
		w.post(w.platform, "/v1/rates", "x", `{"card":"gold","rates":[{"action":"ai.reply","base":"3"}]}`).refused(t, 422, "unknown_rate_card", "card")
		w.post(w.platform, "/v1/rates", "x", `{"effective_at":"2026-01-01T00:00:00Z","rates":[{"action":"ai.reply","base":"3"}]}`).refused(t, 422, "effective_in_past", "effective_at")
		later := w.post(w.platform, "/v1/rates", "later", `{"effective_at":"2026-03-02T00:00:00Z","rates":[{"action":"ai.reply","base":"4"}]}`).ok(t, 201)
		require.Equal(t, "3", later.text("version"))
		w.clock.advance(24 * time.Hour)
		require.Equal(t, "4", w.post(w.key, "/v1/charges", "d", `{"wallet":"agency:northwind","action":"ai.reply"}`).ok(t, 201).text("credits"))
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		for i, model := range []string{"gpt-4", "gpt-4-turbo", "gpt-4-turbo"} {
			w.post(w.key, "/v1/charges", fmt.Sprint("k", i), `{"wallet":"agency:northwind","action":"ai.reply","model":"`+model+`"}`).ok(t, 201)
		}
		w.clock.advance(26 * time.Hour)
		require.NoError(t, w.s.RunDue(t.Context(), w.clock.Now()))
		w.post(w.key, "/v1/assignments", "a", `{"sub_account":"acme","credits":"50"}`).ok(t, 201)
		w.post(w.key, "/v1/charges", "acme", `{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4"}`).ok(t, 201)
		w.post(w.other, "/v1/charges", "contoso", `{"wallet":"agency:contoso","action":"ai.reply","model":"gpt-4"}`).ok(t, 201)

		byModel := w.get(w.key, "/v1/usage?group=model").ok(t, 200)
		require.Equal(t, "70", byModel.text("total"))
		require.Len(t, byModel.at("data"), 3, byModel.body)
		require.Equal(t, "2026-03-01T00:00:00.000000Z", byModel.text("data.0.start"))
		bySub := w.get(w.key, "/v1/usage?group=sub_account&interval=hour&from=2026-03-01T00:00:00Z&to=2026-03-04T00:00:00Z").ok(t, 200)
		require.Equal(t, "70", bySub.text("total"))
		require.Equal(t, "acme", bySub.text("data.1.group"))
		require.Equal(t, "25", w.get(w.platform, "/v1/usage?wallet=sub:northwind/acme").ok(t, 200).text("total"))
		require.Equal(t, "95", w.get(w.platform, "/v1/usage").ok(t, 200).text("total"))
		require.Equal(t, "25", w.get(w.platform, "/v1/usage?agency=contoso&group=action").ok(t, 200).text("total"))
		w.get(w.key, "/v1/usage?agency=contoso").refused(t, 404, "not_found", "agency")
		w.get(w.key, "/v1/usage?wallet=agency:contoso").refused(t, 404, "not_found", "wallet")
		w.get(w.key, "/v1/usage?group=colour").refused(t, 422, "invalid_field", "group")
		w.get(w.key, "/v1/usage?from=soon").refused(t, 422, "invalid_time", "from")
		w.get(w.key, "/v1/usage?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z").refused(t, 422, "invalid_range", "from")
		w.get(w.key, "/v1/usage?from=2020-03-02T00:00:00Z&to=2026-03-01T00:00:00Z").refused(t, 422, "invalid_range", "from")
	})
}

func TestEstimates(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		e := w.post(w.key, "/v1/estimates", "e", `{"wallet":"agency:northwind","items":[{"action":"ai.reply","model":"gpt-4","count":4000},{"action":"ai.reply","model":"gpt-3.5-turbo"}]}`).ok(t, 200)
		require.Equal(t, "100001", e.text("credits"))
		require.Equal(t, "false", e.text("affordable"))
		require.Equal(t, "100000", e.text("lines.0.credits"))
		require.Equal(t, "100000", w.get(w.key, "/v1/wallets/agency:northwind").text("balance.available"))
		w.post(w.key, "/v1/estimates", "e", `{"wallet":"agency:northwind","items":[{"action":"ai.dance"}]}`).refused(t, 422, "unknown_action", "action")
		w.post(w.key, "/v1/estimates", "e", `{"wallet":"agency:northwind","items":[{"action":"ai.reply","model":"gpt-4","count":-1}]}`).refused(t, 422, "invalid_field", "items[0].count")
		w.post(w.key, "/v1/estimates", "e", `{"wallet":"agency:northwind","items":[{"action":"ai.reply","model":"gpt-4","usage":{"pages":0.1234567}}]}`).refused(t, 422, "invalid_usage", "usage.pages")
		w.post(w.key, "/v1/estimates", "e", `{"wallet":"agency:contoso","items":[{"action":"ai.reply","model":"gpt-4"}]}`).refused(t, 404, "not_found", "wallet")
	})
}

func TestPurchases(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		p := w.post(w.platform, "/v1/purchases", "p", `{"wallet":"agency:northwind","pack":"credits-2000"}`).ok(t, 201)
		w.post(w.key, "/v1/purchases", "p", `{"wallet":"agency:northwind","pack":"credits-12500"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")
		w.post(w.key, "/v1/purchases", "p2", `{"wallet":"agency:northwind","pack":"gold"}`).refused(t, 422, "unknown_pack", "pack")
		w.post(w.key, "/v1/purchases", "p2", `{"wallet":"agency:northwind","pack":"credits-2000","quantity":"5"}`).refused(t, 422, "invalid_quantity", "quantity")
		w.post(w.key, "/v1/purchases", "p2", `{"wallet":"agency:northwind","pack":"credits-2000","quantity":"-5"}`).refused(t, 422, "invalid_quantity", "quantity")
		w.post(w.key, "/v1/purchases", "p2", `{"wallet":"sub:acme","pack":"credits-2000"}`).refused(t, 403, "not_for_sale", "wallet")
		w.post(w.key, "/v1/purchases", "p2", `{"wallet":"agency:contoso","pack":"credits-2000"}`).refused(t, 404, "not_found", "wallet")
		w.get(w.other, "/v1/purchases/"+p.text("id")).refused(t, 404, "not_found", "")
		w.clock.advance(time.Second)
		w.post(w.key, "/v1/purchases", "p3", `{"wallet":"agency:northwind","pack":"credits-35000"}`).ok(t, 201)
		page := w.get(w.key, "/v1/purchases?limit=1").ok(t, 200)
		require.Equal(t, "35000", page.text("data.0.credits"))
		require.Equal(t, "2000", w.get(w.platform, "/v1/purchases?wallet=agency:northwind&cursor="+page.text("next_cursor")).ok(t, 200).text("data.0.credits"))
		require.Empty(t, w.get(w.other, "/v1/purchases").ok(t, 200).at("data"))
	})
}
