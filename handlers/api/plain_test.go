package api

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// corpus has bodies that plain should read, and some that it must leave alone.
func corpus() (plainly, otherwise []string) {
	plainly = []string{
		`{"wallet":"sub:a/b","action":"ai.reply","model":"gpt-4","usage":{"input_tokens":812,"output_tokens":96.5}}`,
		` { "wallet" : "agency:x" , "action":"a" , "test" : true } `,
		`{"wallet":"w","usage":{},"occurred_at":"2026-03-01T12:00:00Z","test":false}`,
		`{}`, `{"wallet":""}`, `{"usage":{"pages":0.000001}}`,
	}
	otherwise = []string{
		``, `[]`, `null`, `{"wallet":null}`, `{"wallet":"a","wallet":"b"}`, `{"Wallet":"a"}`, `{"wallet":"\u0041"}`, `{"wallet":"ä"}`,
		`{"usage":{"pages":1,"pages":2}}`, `{"usage":{"pages":01}}`, `{"usage":{"pages":-1}}`, `{"usage":{"pages":1e3}}`, `{"usage":{"pages":"1"}}`,
		`{"usage":{"pages":1.}}`, `{"usage":{"Pages":1}}`, `{"usage":null}`, `{"wallet":"a",}`, `{"wallet":"a"`, `{"wallet":"a"} {}`, `{"test":1}`,
		`{"test":truex}`, `{"metadata":{"a":"b"}}`, `{"stranger":1}`, `{,}`, `{"usage":{,}}`, "{\"wallet\":\"a\x00\"}", `{"idempotency_key":"k"}`,
		`{"usage":{"pages":1234567890123456789}}`, `{"usage":{"pages":1.0000001}}`,
	}
	return plainly, otherwise
}

func TestPlainBodiesAreReadPlainly(t *testing.T) {
	t.Parallel()
	plainly, otherwise := corpus()
	for _, text := range plainly {
		require.True(t, plainCharge(text, &batchItem{}, false), text)
		alike(t, text)
	}
	for _, text := range otherwise {
		require.False(t, plainCharge(text, &batchItem{}, false), text)
	}
	require.True(t, plainCharge(`{"idempotency_key":"k"}`, &batchItem{}, true), "an item of a batch has a key")
}

// alike holds what plain reads against what decode reads.
func alike(t *testing.T, text string) {
	t.Helper()
	var fast batchItem
	if plainCharge(text, &fast, false) {
		var slow ChargeBody
		require.NoError(t, decode([]byte(text), &slow), text)
		require.Equal(t, slow, fast.ChargeBody, text)
	}
	batch := `{"charges":[` + text + `,` + text + `]}`
	items, ok := plainBatch(batch)
	if !ok {
		return
	}
	var body struct {
		Charges []json.RawMessage `json:"charges"`
	}
	require.NoError(t, decode([]byte(batch), &body), batch)
	require.Len(t, items, len(body.Charges), batch)
	for i, raw := range body.Charges {
		var slow batchItem
		require.NoError(t, decode(raw, &slow), batch)
		require.Equal(t, slow, items[i], batch)
	}
}

func FuzzPlainReadsAsDecodeDoes(f *testing.F) {
	plainly, otherwise := corpus()
	for _, text := range append(plainly, otherwise...) {
		f.Add(text)
	}
	f.Fuzz(alike)
}
