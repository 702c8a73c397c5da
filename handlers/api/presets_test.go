package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The five products as their users would tell them, through the API alone; the
// clock is moved and what is due is done, as the ticking job does it.

// month moves to just after the next reset.
func (w *world) month() {
	w.t.Helper()
	w.clock.advance(31 * 24 * time.Hour)
	require.NoError(w.t, w.s.RunDue(w.t.Context(), w.clock.Now()))
}

// charge books one action on northwind's wallet, or says why not.
func (w *world) charge(key, action, more string) *reply {
	w.t.Helper()
	return w.post(w.key, "/v1/charges", key, `{"wallet":"agency:northwind","action":"`+action+`"`+more+`}`)
}

// left is a member of northwind's balance.
func (w *world) left(bucket string) string {
	w.t.Helper()
	return w.get(w.key, "/v1/wallets/agency:northwind").ok(w.t, 200).text("balance." + bucket)
}

// spend charges an action n times.
func (w *world) spend(key, action, more string, n int) {
	w.t.Helper()
	for done := 0; done < n; {
		size := min(1000, n-done)
		item := `{"wallet":"agency:northwind","action":"` + action + `"` + more + `}`
		r := w.post(w.key, "/v1/charges/batch", fmt.Sprint(key, done), `{"charges":[`+strings.Repeat(item+",", size-1)+item+`]}`).ok(w.t, 200)
		require.NotContains(w.t, r.body, `"error"`)
		done += size
	}
}

func TestStammer(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		packs := w.get(w.key, "/v1/packs").ok(t, 200)
		for i, want := range []struct {
			credits, price, each string
		}{{"2000", "1000", "0.0050"}, {"12500", "5000", "0.0040"}, {"35000", "10000", "0.0029"}} {
			at := fmt.Sprintf("data.%d.", i)
			require.Equal(t, want.credits, packs.text(at+"credits"))
			require.Equal(t, want.price, packs.text(at+"price.amount"))
			require.Equal(t, want.each, packs.text(at+"price_per_credit"))
		}
		for model, price := range map[string]string{"gpt-3.5-turbo": "1", "gpt-4-turbo": "10", "gpt-4": "25"} {
			r := w.charge("price "+model, "ai.reply", `,"model":"`+model+`","test":true`).ok(t, 201)
			require.Equal(t, price, r.text("would_cost"))
		}
		w.spend("s", "ai.reply", `,"model":"gpt-4"`, 2400)
		require.Equal(t, "40000", w.left("plan"))
		require.Equal(t, "60000", w.get(w.key, "/v1/usage").ok(t, 200).text("total"))
		w.month()
		require.Equal(t, "100000", w.left("plan"), "next month starts at 100,000 again")
		require.Equal(t, "100000", w.left("available"))
		kinds := w.get(w.key, "/v1/wallets/agency:northwind/entries?limit=2")
		require.Equal(t, "grant", kinds.text("data.0.kind"))
		require.Equal(t, "expire", kinds.text("data.1.kind"))
		require.Equal(t, "40000", kinds.text("data.1.amount"))

		p := w.post(w.key, "/v1/purchases", "buy", `{"wallet":"agency:northwind","pack":"credits-35000"}`).ok(t, 201)
		require.Equal(t, "open", p.text("status"))
		require.JSONEq(t, `{"amount":10000,"currency":"usd"}`, p.text("price"))
		require.NotEmpty(t, p.text("checkout_url"))
		require.Equal(t, p.body, w.post(w.key, "/v1/purchases", "buy", `{"wallet":"agency:northwind","pack":"credits-35000"}`).ok(t, 200).body)
		w.pay(p)
		require.Equal(t, "credited", w.get(w.key, "/v1/purchases/"+p.text("id")).text("status"))
		require.Equal(t, "35000", w.left("purchased"))
		w.month()
		require.Equal(t, "35000", w.left("purchased"), "packs never expire")
		lots := w.get(w.key, "/v1/wallets/agency:northwind/lots").ok(t, 200)
		require.Equal(t, "plan", lots.text("data.0.source"), "the allowance is drawn first")
		require.Equal(t, "purchased", lots.text("data.1.source"))
		require.Empty(t, lots.text("data.1.expires_at"))
	})
}

func TestAIEmployee(t *testing.T) {
	t.Parallel()
	each(t, "ai-employee", "starter", func(t *testing.T, w *world) {
		require.Equal(t, "1", w.charge("r", "ai.reply", "").ok(t, 201).text("credits"))
		require.Equal(t, "1", w.charge("c", "ai.command", "").ok(t, 201).text("credits"))
		require.Equal(t, "25", w.charge("s", "ai.knowledge_sync", "").ok(t, 201).text("credits"))
		packs := w.get(w.key, "/v1/packs").ok(t, 200)
		p := w.post(w.key, "/v1/purchases", "buy", `{"wallet":"agency:northwind","pack":"`+packs.text("data.0.code")+`"}`).ok(t, 201)
		w.pay(p)
		bought := w.left("purchased")
		require.Equal(t, p.text("credits"), bought)
		plan := w.left("plan")
		var n int
		_, err := fmt.Sscan(plan, &n)
		require.NoError(t, err)
		w.spend("x", "ai.reply", "", n-1)
		require.Equal(t, "1", w.left("plan"))
		require.Equal(t, bought, w.left("purchased"), "the allowance before what was bought")
		r := w.charge("both", "ai.knowledge_sync", "").ok(t, 201)
		require.Equal(t, "plan", r.text("draws.0.source"))
		require.Equal(t, "1", r.text("draws.0.credits"))
		require.Equal(t, "purchased", r.text("draws.1.source"))
		require.Equal(t, "24", r.text("draws.1.credits"))
		_, err = fmt.Sscan(w.left("purchased"), &n)
		require.NoError(t, err)
		w.spend("y", "ai.reply", "", n)
		w.charge("dry", "ai.reply", "").refused(t, 402, "insufficient_credits", "")
		require.Equal(t, "paused", w.get(w.key, "/v1/wallets/agency:northwind").text("state"))
		w.month()
		w.charge("dry", "ai.reply", "").ok(t, 201)
	})
}

func TestDMChamp(t *testing.T) {
	t.Parallel()
	each(t, "dm-champ", "", func(t *testing.T, w *world) {
		before := w.left("available")
		w.month()
		require.Equal(t, before, w.left("available"), "granted once, for good")
		r := w.post(w.key, "/v1/assignments", "a", `{"sub_account":"acme","credits":"50","note":"January"}`).ok(t, 201)
		require.Equal(t, r.body, w.post(w.key, "/v1/assignments", "a", `{"sub_account":"acme","credits":"50","note":"January"}`).ok(t, 200).body)
		w.post(w.key, "/v1/assignments", "a", `{"sub_account":"acme","credits":"51","note":"January"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")
		require.Equal(t, "50", w.get(w.key, "/v1/wallets/sub:acme").text("balance.assigned"))
		// What a month of a client needs, before anything is spent.
		e := w.post(w.key, "/v1/estimates", "e", `{"wallet":"sub:acme","items":[{"action":"ai.reply","count":300},{"action":"ai.tool_use","count":20},{"action":"infra.phone_number","count":1}]}`).ok(t, 200)
		require.Equal(t, "false", e.text("affordable"))
		require.Equal(t, "50", e.text("available"))
		require.Len(t, e.at("lines"), 3)
		// Mid-conversation: the reply that holds credits finishes.
		h := w.post(w.key, "/v1/holds", "h", `{"wallet":"sub:acme","credits":"50","action":"ai.reply"}`).ok(t, 201)
		w.post(w.key, "/v1/charges", "next", `{"wallet":"sub:acme","action":"ai.reply"}`).refused(t, 402, "insufficient_credits", "")
		w.post(w.key, "/v1/holds/"+h.text("id")+"/captures", "hc", `{"credits":"50"}`).ok(t, 201)
		require.Equal(t, "paused", w.get(w.key, "/v1/wallets/sub:acme").text("state"))
		w.post(w.key, "/v1/take-backs", "t", `{"sub_account":"acme","credits":"1"}`).refused(t, 402, "insufficient_credits", "credits")
		// On the plan with unlimited replies they cost nothing and are counted.
		w.send(w.platform, "PATCH", "/v1/agencies/northwind", "", `{"plan":"agency-unlimited"}`).ok(t, 200)
		w.clock.advance(2 * time.Second)
		require.Equal(t, "0", w.post(w.key, "/v1/charges", "free", `{"wallet":"sub:acme","action":"ai.reply"}`).ok(t, 201).text("credits"))
	})
}

func TestTawk(t *testing.T) {
	t.Parallel()
	each(t, "tawk", "growth", func(t *testing.T, w *world) {
		preview := w.charge("preview", "ai.message", `,"test":true`).ok(t, 201)
		require.Equal(t, "0", preview.text("credits"))
		require.Equal(t, preview.body, w.charge("preview", "ai.message", `,"test":true`).ok(t, 200).body)
		require.Equal(t, "true", w.get(w.key, "/v1/charges/"+preview.text("id")).text("test"), "a preview is listed")
		w.spend("m", "ai.message", "", 1223)
		wallet := w.get(w.key, "/v1/wallets/agency:northwind").ok(t, 200)
		require.Equal(t, "223", wallet.text("balance.excess"))
		require.Equal(t, "excess", wallet.text("state"))
		for _, quantity := range []string{"999", "1500"} {
			w.post(w.key, "/v1/purchases", "q"+quantity, `{"wallet":"agency:northwind","pack":"message-credits","quantity":"`+quantity+`"}`).refused(t, 422, "invalid_quantity", "quantity")
		}
		p := w.post(w.key, "/v1/purchases", "buy", `{"wallet":"agency:northwind","pack":"message-credits","quantity":"1000"}`).ok(t, 201)
		require.Equal(t, "3000", p.text("price.amount"))
		w.pay(p)
		require.Equal(t, "777", w.left("available"))
		require.Equal(t, "0", w.left("excess"))
		entries := w.get(w.key, "/v1/wallets/agency:northwind/entries?limit=2")
		require.Equal(t, "settle", entries.text("data.0.kind"))
		require.Equal(t, "223", entries.text("data.0.amount"))
		require.Equal(t, "777", entries.text("data.0.balance"))
		require.Equal(t, "1000", entries.text("data.1.amount"))

		w.send(w.platform, "PATCH", "/v1/agencies/contoso", "", `{"plan":"hobby"}`).ok(t, 200)
		w.post(w.other, "/v1/purchases", "free", `{"wallet":"agency:contoso","pack":"message-credits","quantity":"1000"}`).refused(t, 403, "not_for_sale", "pack")
		require.Empty(t, w.get(w.other, "/v1/packs").ok(t, 200).at("data"))
		pack := w.get(w.key, "/v1/packs").ok(t, 200)
		require.Equal(t, "0.03", pack.text("data.0.unit_price"))
		require.Equal(t, "1000", pack.text("data.0.minimum"))
		require.Equal(t, "1000", pack.text("data.0.step"))
	})
}

func TestThriveDesk(t *testing.T) {
	t.Parallel()
	each(t, "thrivedesk", "", func(t *testing.T, w *world) {
		rates := w.get(w.key, "/v1/rates").ok(t, 200)
		require.Contains(t, rates.body, `"ai.embed_conversation"`)
		for i, c := range []struct{ action, more, credits string }{
			{"ai.draft", `,"usage":{"characters":100}`, "5"},
			{"ai.draft", `,"usage":{"characters":4001}`, "8"},
			{"ai.draft", `,"usage":{"characters":9000}`, "10"},
			{"ai.label", `,"usage":{"labels":100}`, "1"},
			{"ai.label", `,"usage":{"labels":101}`, "2"},
			{"ai.label", `,"usage":{"labels":900}`, "4"},
			{"ai.prioritize", ``, "1"},
			{"ai.chat", `,"model":"gpt-4o-mini"`, "4"},
			{"ai.article", ``, "1"},
			{"ai.scrape", `,"usage":{"characters":12000}`, "3"},
			{"ai.document", `,"usage":{"characters":5000}`, "1"},
			{"ai.embed_conversation", ``, "0.5"},
		} {
			r := w.charge(fmt.Sprint("k", i), c.action, c.more).ok(t, 201)
			require.Equal(t, c.credits, r.text("credits"), c.action+c.more)
		}
		r := w.post(w.platform, "/v1/agencies/northwind/adjustments", "ref", `{"credits":"2000","type":"referral","reason":"Referred Contoso"}`).ok(t, 201)
		require.Equal(t, r.body, w.post(w.platform, "/v1/agencies/northwind/adjustments", "ref", `{"credits":"2000","type":"referral","reason":"Referred Contoso"}`).ok(t, 200).body)
		require.Equal(t, "2000", w.left("bonus"))
	})
}
