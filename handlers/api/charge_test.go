package api_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
)

const reply4 = `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4"}`

func TestChargeAndLookUp(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		r := w.post(w.key, "/v1/charges", "k1", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","metadata":{"conversation":"c1","turn":3}}`).ok(t, 201)
		require.Equal(t, "25", r.text("credits"))
		require.Equal(t, "99975", r.text("balance.available"))
		require.Equal(t, "plan", r.text("draws.0.source"))
		require.Equal(t, "1", r.text("rate_card_version"))
		require.Equal(t, "healthy", r.text("state"))
		require.Empty(t, r.header.Get("Idempotent-Replayed"))

		// The wallet's other address is the same request.
		again := w.post(w.key, "/v1/charges", "k1", `{"metadata":{"turn":3,"conversation":"c1"},"wallet":"`+w.agency.WalletID.String()+`","action":"ai.reply","model":"gpt-4"}`).ok(t, 200)
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
		require.Equal(t, r.body, again.body, "a replay has the bytes of the first answer")
		w.post(w.key, "/v1/charges", "k1", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4-turbo"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")

		for _, key := range []string{w.key, w.platform} {
			require.JSONEq(t, r.body, w.get(key, "/v1/charges/"+r.text("id")).ok(t, 200).body)
			require.JSONEq(t, r.body, w.get(key, "/v1/charges?idempotency_key=k1").ok(t, 200).body)
		}
		// The same key of another agency is another charge.
		other := w.post(w.other, "/v1/charges", "k1", `{"wallet":"agency:contoso","action":"ai.reply","model":"gpt-4"}`).ok(t, 201)
		w.get(w.platform, "/v1/charges?idempotency_key=k1").refused(t, 409, "agency_needed", "agency")
		require.Equal(t, other.text("id"), w.get(w.platform, "/v1/charges?idempotency_key=k1&agency=contoso").ok(t, 200).text("id"))
		w.get(w.key, "/v1/charges?idempotency_key=none").refused(t, 404, "not_found", "")
		w.get(w.key, "/v1/charges").refused(t, 422, "invalid_field", "idempotency_key")

		entries := w.get(w.key, "/v1/wallets/agency:northwind/entries?limit=1").ok(t, 200)
		require.Equal(t, "charge", entries.text("data.0.kind"))
		require.Equal(t, "-25", entries.text("data.0.change"))
		rest := w.get(w.key, "/v1/wallets/agency:northwind/entries?cursor="+entries.text("next_cursor")).ok(t, 200)
		require.Equal(t, "grant", rest.text("data.0.kind"))
		require.Empty(t, rest.text("next_cursor"))
	})
}

func TestTestChargeCostsNothing(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		r := w.post(w.key, "/v1/charges", "t", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","test":true}`).ok(t, 201)
		require.Equal(t, "0", r.text("credits"))
		require.Equal(t, "25", r.text("would_cost"))
		require.Equal(t, "100000", r.text("balance.available"))
		w.post(w.key, "/v1/charges/"+r.text("id")+"/reversals", "tr", `{}`).refused(t, 409, "test_charge", "")
	})
}

func TestBadCharges(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		long := strings.Repeat("x", 300)
		for _, c := range map[string]struct {
			key, body   string
			status      int
			code, field string
		}{
			"no key":             {"", reply4, 400, "idempotency_key_missing", "Idempotency-Key"},
			"long key":           {long, reply4, 422, "idempotency_key_too_long", "Idempotency-Key"},
			"not JSON":           {"k", `{"wallet"`, 400, "malformed_json", ""},
			"empty":              {"k", ``, 400, "malformed_json", ""},
			"two objects":        {"k", reply4 + reply4, 400, "malformed_json", ""},
			"a list":             {"k", `[]`, 400, "malformed_json", ""},
			"NUL":                {"k", `{"wallet":"agency:\u0000","action":"ai.reply"}`, 400, "malformed_json", ""},
			"unknown field":      {"k", `{"wallet":"agency:northwind","action":"ai.reply","modell":"gpt-4"}`, 400, "unknown_field", "modell"},
			"wallet of a number": {"k", `{"wallet":7,"action":"ai.reply"}`, 400, "invalid_type", "wallet"},
			"no wallet":          {"k", `{"action":"ai.reply"}`, 422, "wallet_missing", "wallet"},
			"not a wallet":       {"k", `{"wallet":"northwind","action":"ai.reply"}`, 422, "invalid_wallet", "wallet"},
			"no such wallet":     {"k", `{"wallet":"sub:nobody","action":"ai.reply"}`, 404, "not_found", "wallet"},
			"other agency's":     {"k", `{"wallet":"agency:contoso","action":"ai.reply","model":"gpt-4"}`, 404, "not_found", "wallet"},
			"no action":          {"k", `{"wallet":"agency:northwind"}`, 422, "action_missing", "action"},
			"unknown action":     {"k", `{"wallet":"agency:northwind","action":"ai.dance"}`, 422, "unknown_action", "action"},
			"unknown model":      {"k", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-9"}`, 422, "unknown_model", "model"},
			"usage of seven digits": {
				"k", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","usage":{"pages":0.1234567}}`, 422, "invalid_usage", "usage.pages",
			},
			"negative usage": {"k", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","usage":{"pages":-1}}`, 422, "invalid_usage", "usage.pages"},
			"huge usage":     {"k", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","usage":{"pages":1e30}}`, 422, "invalid_usage", "usage.pages"},
			"usage of text":  {"k", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","usage":[1]}`, 422, "invalid_usage", "usage"},
			"no time":        {"k", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","occurred_at":"yesterday"}`, 422, "invalid_time", "occurred_at"},
			"old":            {"k", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","occurred_at":"2025-03-01T00:00:00Z"}`, 422, "invalid_occurred_at", "occurred_at"},
			"nested metadata": {
				"k", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","metadata":{"a":{}}}`, 400, "invalid_metadata", "metadata",
			},
			"much metadata": {
				"k", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","metadata":{"a":"` + strings.Repeat("x", 3000) + `"}}`, 422, "metadata_too_large", "metadata",
			},
			"large body": {"k", `{"wallet":"` + strings.Repeat("x", 70_000) + `"}`, 413, "body_too_large", ""},
		} {
			w.post(w.key, "/v1/charges", c.key, c.body).refused(t, c.status, c.code, c.field)
		}
		w.send(w.key, "POST", "/v1/charges", "k", reply4, "Content-Type", "text/plain").refused(t, 415, "json_needed", "")
		w.send(w.key, "POST", "/v1/charges", "k", reply4, "Content-Type", "").refused(t, 415, "json_needed", "")
		w.send(w.key, "POST", "/v1/charges", "k", reply4, "Content-Type", "application/json; charset=utf-8").ok(t, 201)
		require.Equal(t, "99975", w.get(w.key, "/v1/wallets/agency:northwind").text("balance.available"), "a refusal binds nothing")
	})
}

func TestInsufficientCredits(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		body := `{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4"}`
		require.Equal(t, "1 credit is needed and 0 are available. Add credits and send the same key again.",
			w.post(w.key, "/v1/holds", "h", `{"wallet":"sub:acme","credits":"1"}`).refused(t, 402, "insufficient_credits", "").text("detail"))
		w.give(w.client.WalletID, 2)
		w.clock.advance(time.Second)
		held := w.post(w.key, "/v1/holds", "h", `{"wallet":"sub:acme","credits":"1"}`).ok(t, 201)
		require.Equal(t, "25 credits are needed and 1 is available. 1 more is in use by running work: try again when it ends, or add credits.",
			w.post(w.key, "/v1/charges", "k", body).refused(t, 402, "insufficient_credits", "").text("detail"))
		w.post(w.key, "/v1/holds/"+held.text("id")+"/releases", "h", "{}").ok(t, 201)
		w.clock.advance(time.Second)
		w.give(w.client.WalletID, 22)
		r := w.post(w.key, "/v1/charges", "k", body).refused(t, 402, "insufficient_credits", "")
		require.Equal(t, "24", r.text("available"))
		require.Equal(t, "25", r.text("required"))
		w.clock.advance(time.Second)
		w.give(w.client.WalletID, 1)
		w.post(w.key, "/v1/charges", "k", body).ok(t, 201)
	})
}

func TestCreditsForAHundred(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		w.give(w.client.WalletID, 100)
		var booked, refused atomic.Int64
		var all sync.WaitGroup
		for i := range 256 {
			all.Go(func() {
				r, err := w.try(w.key, "POST", "/v1/charges", fmt.Sprint("k", i), `{"wallet":"sub:acme","action":"ai.reply","model":"gpt-3.5-turbo"}`)
				switch {
				case err != nil:
					t.Error(err)
				case r.status == 201:
					booked.Add(1)
				case r.status == 402:
					refused.Add(1)
				default:
					t.Error(r.body)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 100, booked.Load())
		require.EqualValues(t, 156, refused.Load())
		require.Equal(t, "0", w.get(w.key, "/v1/wallets/sub:acme").text("balance.available"))
		require.Equal(t, "100", w.get(w.key, "/v1/usage?wallet=sub:acme").text("total"))
	})
}

func TestOneKeySixtyFourTimes(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		answers := make([]*reply, 64)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				r, err := w.try(w.key, "POST", "/v1/charges", "same", reply4)
				if err != nil {
					t.Error(err)
					return
				}
				answers[i] = r
			})
		}
		all.Wait()
		first := 0
		for _, r := range answers {
			require.Equal(t, answers[0].body, r.body)
			if r.status == 201 {
				first++
			}
		}
		require.Equal(t, 1, first, "one booked it, the rest are replays")
		require.Equal(t, "99975", w.get(w.key, "/v1/wallets/agency:northwind").text("balance.available"))
	})
}

func TestBatch(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		body := `{"charges":[` + strings.Join([]string{
			`{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4"}`,
			`{"wallet":"agency:contoso","action":"ai.reply","model":"gpt-4-turbo","idempotency_key":"own"}`,
			`{"wallet":"sub:northwind/acme","action":"ai.reply","model":"gpt-4"}`,
			`{"wallet":"agency:northwind","action":"ai.dance"}`,
			`{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","typo":1}`,
			`{"wallet":"agency:nowhere","action":"ai.reply"}`,
			`{"wallet":"agency:contoso","action":"ai.reply","model":"gpt-4-turbo","idempotency_key":"own"}`,
		}, ",") + `]}`
		r := w.post(w.platform, "/v1/charges/batch", "b", body).ok(t, 200)
		for i, want := range []struct{ status, code, field string }{
			{"201", "", ""},
			{"201", "", ""},
			{"402", "insufficient_credits", ""},
			{"422", "unknown_action", "action"},
			{"400", "unknown_field", "typo"},
			{"404", "not_found", "wallet"},
			{"200", "", ""},
		} {
			at := fmt.Sprintf("data.%d.", i)
			require.Equal(t, want.status, r.text(at+"status"), "item %d of %s", i, r.body)
			require.Equal(t, want.code, r.text(at+"error.code"))
			require.Equal(t, want.field, r.text(at+"error.field"))
		}
		require.Equal(t, r.text("data.1.charge"), r.text("data.6.charge"))
		require.Equal(t, r.text("data.0.charge.id"), w.get(w.key, "/v1/charges?idempotency_key=b:0").ok(t, 200).text("id"))
		again := w.post(w.platform, "/v1/charges/batch", "b", body).ok(t, 200)
		require.Equal(t, "200", again.text("data.0.status"))
		require.Equal(t, r.text("data.0.charge"), again.text("data.0.charge"))
		w.post(w.platform, "/v1/charges/batch", "", body).refused(t, 400, "idempotency_key_missing", "Idempotency-Key")
		w.post(w.platform, "/v1/charges/batch", "", `{"charges":[{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","idempotency_key":"solo"}]}`).ok(t, 200)
		w.post(w.platform, "/v1/charges/batch", "b", `{"charges":[]}`).refused(t, 422, "charges_missing", "charges")
		w.post(w.platform, "/v1/charges/batch", "b", `{"items":[]}`).refused(t, 400, "unknown_field", "items")
		w.post(w.platform, "/v1/charges/batch", "b", `{"charges":[`+strings.Repeat(reply4+",", 1000)+reply4+`]}`).refused(t, 422, "too_many_charges", "charges")
		full := w.post(w.platform, "/v1/charges/batch", "full", `{"charges":[`+strings.Repeat(`{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-3.5-turbo"},`, 999)+reply4+`]}`).ok(t, 200)
		require.Equal(t, "201", full.text("data.999.status"))
	})
}

func TestHolds(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		w.give(w.client.WalletID, 100)
		body := `{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4","ttl_seconds":60}`
		h := w.post(w.key, "/v1/holds", "h1", body).ok(t, 201)
		require.Equal(t, "open", h.text("state"))
		require.Equal(t, "25", h.text("credits"))
		require.Equal(t, "2026-03-01T12:01:00.000000Z", h.text("expires_at"))
		balance := w.get(w.key, "/v1/wallets/sub:acme")
		require.Equal(t, "75", balance.text("balance.available"))
		require.Equal(t, "25", balance.text("balance.held"))

		c := w.post(w.platform, "/v1/holds/"+h.text("id")+"/captures", "c1", `{"credits":"10.5"}`).ok(t, 201)
		require.Equal(t, h.text("id"), c.text("hold"))
		require.Equal(t, "10.5", c.text("credits"))
		require.Equal(t, "89.5", c.text("balance.available"))
		require.Equal(t, c.body, w.post(w.key, "/v1/holds/"+h.text("id")+"/captures", "c1", `{"credits":"10.5"}`).ok(t, 200).body)
		w.post(w.key, "/v1/holds/"+h.text("id")+"/captures", "c2", `{"credits":"1"}`).refused(t, 409, "hold_not_open", "")
		w.post(w.key, "/v1/holds/"+h.text("id")+"/releases", "r1", `{}`).refused(t, 409, "hold_not_open", "")
		require.Equal(t, h.body, w.post(w.key, "/v1/holds", "h1", body).ok(t, 200).body, "a replay is the first answer")
		w.post(w.key, "/v1/holds", "h1", `{"wallet":"sub:acme","credits":"3"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")

		// Above what was held is drawn like a charge; by usage it is priced.
		h = w.post(w.key, "/v1/holds", "h2", `{"wallet":"sub:acme","credits":"1","action":"ai.reply","model":"gpt-4"}`).ok(t, 201)
		require.Equal(t, "25", w.post(w.key, "/v1/holds/"+h.text("id")+"/captures", "c3", `{"usage":{"output_tokens":40}}`).ok(t, 201).text("credits"))

		h = w.post(w.key, "/v1/holds", "h3", `{"wallet":"sub:acme","credits":"60"}`).ok(t, 201)
		released := w.post(w.key, "/v1/holds/"+h.text("id")+"/releases", "r3", `{}`).ok(t, 201)
		require.Equal(t, "released", released.text("state"))
		require.Equal(t, released.body, w.post(w.key, "/v1/holds/"+h.text("id")+"/releases", "r3", `{}`).ok(t, 200).body)
		require.Equal(t, released.body, w.send(w.key, "POST", "/v1/holds/"+h.text("id")+"/releases", "r3", "", "Content-Type", "").ok(t, 200).body, "no body is {}")

		// Promised work is booked late even when nothing is left.
		h = w.post(w.key, "/v1/holds", "h4", `{"wallet":"sub:acme","credits":"60","action":"ai.reply","model":"gpt-4","ttl_seconds":1}`).ok(t, 201)
		w.clock.advance(time.Minute)
		require.NoError(t, w.s.RunDue(t.Context(), w.clock.Now()))
		require.Equal(t, "64.5", w.get(w.key, "/v1/wallets/sub:acme").text("balance.available"))
		w.post(w.key, "/v1/charges/batch", "spend", `{"charges":[`+strings.Repeat(`{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4-turbo"},`, 5)+`{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4-turbo"}]}`).ok(t, 200)
		late := w.post(w.key, "/v1/holds/"+h.text("id")+"/captures", "c4", `{}`).ok(t, 201)
		require.Equal(t, "true", late.text("late"))
		require.Equal(t, "60", late.text("credits"), "all that was held when nothing else is said")
		require.Equal(t, "55.5", late.text("balance.excess"))

		w.post(w.key, "/v1/holds", "x", `{"wallet":"sub:acme","credits":"0"}`).refused(t, 422, "invalid_credits", "credits")
		w.post(w.key, "/v1/holds", "x", `{"wallet":"sub:acme","credits":5}`).refused(t, 400, "invalid_type", "credits")
		w.post(w.key, "/v1/holds", "x", `{"wallet":"sub:acme","credits":"1e3"}`).refused(t, 422, "invalid_credits", "credits")
		w.post(w.key, "/v1/holds", "x", `{"wallet":"sub:acme","credits":"5","ttl_seconds":0}`).refused(t, 422, "invalid_ttl", "ttl_seconds")
		w.post(w.key, "/v1/holds", "x", `{"wallet":"sub:acme","credits":"5","ttl_seconds":86401}`).refused(t, 422, "invalid_ttl", "ttl_seconds")
		w.post(w.key, "/v1/holds", "x", `{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4","credits":"5","usage":{"output_tokens":40}}`).refused(t, 422, "usage_or_credits", "credits")
		w.post(w.key, "/v1/holds", "x", `{"wallet":"sub:acme"}`).refused(t, 422, "action_missing", "action")
		w.post(w.key, "/v1/holds/"+h.text("id")+"/captures", "c5", `{"credits":"1","usage":{"pages":1}}`).refused(t, 422, "usage_or_credits", "credits")
		w.post(w.other, "/v1/holds/"+h.text("id")+"/captures", "c6", `{}`).refused(t, 404, "not_found", "")
		w.post(w.other, "/v1/holds/"+h.text("id")+"/releases", "r6", `{}`).refused(t, 404, "not_found", "")
		w.post(w.platform, "/v1/holds/hld_none/releases", "r6", `{}`).refused(t, 404, "not_found", "")
	})
}

func TestReversal(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		c := w.post(w.key, "/v1/charges", "k", reply4).ok(t, 201)
		at := "/v1/charges/" + c.text("id") + "/reversals"
		r := w.post(w.platform, at, "r", `{"reason":"failed"}`).ok(t, 201)
		require.Equal(t, "25", r.text("credits"))
		require.Equal(t, c.text("draws"), r.text("draws"))
		require.Equal(t, r.body, w.post(w.key, at, "another", `{}`).ok(t, 200).body, "once, whatever the key")
		require.Equal(t, "100000", w.get(w.key, "/v1/wallets/agency:northwind").text("balance.available"))
		require.Equal(t, "0", w.get(w.key, "/v1/usage").text("total"))
		require.Equal(t, c.body, w.post(w.key, "/v1/charges", "k", reply4).ok(t, 200).body)
		w.post(w.other, at, "r", `{}`).refused(t, 404, "not_found", "")
		w.post(w.key, at, "r", `{"why":"x"}`).refused(t, 400, "unknown_field", "why")
		w.post(w.key, at, "r", `{"reason":"`+strings.Repeat("x", 501)+`"}`).refused(t, 422, "reason_too_long", "reason")
	})
}

// A reversal's key is bound like any other; a release has none to bind.
func TestOneKeyForTwoReversals(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		var at []string
		for _, key := range []string{"a", "b"} {
			c := w.post(w.key, "/v1/charges", key, reply4).ok(t, 201)
			at = append(at, "/v1/charges/"+c.text("id")+"/reversals")
		}
		first := w.post(w.key, at[0], "r", `{"reason":"failed"}`).ok(t, 201)
		w.post(w.key, at[1], "r", `{"reason":"failed"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")
		w.post(w.key, at[0], "r", `{"reason":"another"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")
		require.Equal(t, first.body, w.post(w.key, at[0], "r", `{"reason":"failed"}`).ok(t, 200).body)
		require.Equal(t, "99975", w.get(w.key, "/v1/wallets/agency:northwind").text("balance.available"), "the refusal gave nothing back")

		w.post(w.key, at[1], "r2", `{}`).ok(t, 201)
		w.post(w.key, at[1], "r", `{"reason":"failed"}`).refused(t, 409, "idempotency_key_reused", "idempotency_key")
		other := w.post(w.other, "/v1/charges", "a", `{"wallet":"agency:contoso","action":"ai.reply","model":"gpt-4"}`).ok(t, 201)
		w.post(w.other, "/v1/charges/"+other.text("id")+"/reversals", "r", `{}`).ok(t, 201)

		for i := range 2 {
			h := w.post(w.key, "/v1/holds", fmt.Sprint("h", i), `{"wallet":"agency:northwind","credits":"5"}`).ok(t, 201)
			w.post(w.key, "/v1/holds/"+h.text("id")+"/releases", "same", `{}`).ok(t, 201)
		}
	})
}

// Two wallets share no lock, so it is the database that tells the later of two
// reversals that their key is taken.
func TestOneKeyForReversalsOfTwoWalletsAtOnce(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		w.give(w.client.WalletID, 100)
		for round := range 5 {
			var all sync.WaitGroup
			var booked, refused atomic.Int64
			for i, wallet := range []string{"agency:northwind", "sub:acme"} {
				c := w.post(w.key, "/v1/charges", fmt.Sprintf("c%d-%d", round, i), `{"wallet":"`+wallet+`","action":"ai.reply","model":"gpt-4-turbo"}`).ok(t, 201)
				all.Go(func() {
					r, err := w.try(w.key, "POST", "/v1/charges/"+c.text("id")+"/reversals", fmt.Sprint("r", round), `{}`)
					switch {
					case err != nil:
						t.Error(err)
					case r.status == 201:
						booked.Add(1)
					case r.text("code") == "idempotency_key_reused":
						refused.Add(1)
					default:
						t.Error(r.body)
					}
				})
			}
			all.Wait()
			require.EqualValues(t, 1, booked.Load())
			require.EqualValues(t, 1, refused.Load())
		}
	})
}

func TestRevokedKeyFailsOnTheNextRequest(t *testing.T) {
	t.Parallel()
	each(t, "stammer", "full-saas", func(t *testing.T, w *world) {
		text, row, err := w.s.CreateAPIKey(t.Context(), billing.Scope{Agency: w.agency.ID}, "short-lived", "test")
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(text, "rf_live_"))
		require.Equal(t, text[len(text)-4:], row.Hint)
		require.NotContains(t, string(row.KeyHash), text)
		w.get(text, "/v1/plans").ok(t, 200)
		require.NoError(t, w.s.RevokeAPIKey(t.Context(), billing.Scope{}, row.ID, "test"))
		r := w.get(text, "/v1/plans").refused(t, 401, "api_key_invalid", "Authorization")
		require.Equal(t, `Bearer realm="refill"`, r.header.Get("WWW-Authenticate"))
		w.post(text, "/v1/charges", "k", reply4).refused(t, 401, "api_key_invalid", "Authorization")
	})
}
