package api_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/hook"
	"refill/models"
	"refill/models/modelstest"
)

// happened is an event of an agency's.
func (w *world) happened(a models.Agency) string {
	w.t.Helper()
	row := models.WebhookEvent{
		AgencyID: a.ID, ID: models.NewID[models.WebhookEventID](start), WalletID: a.WalletID, Type: "wallet.low", CreatedAt: start,
		Body: `{"type":"wallet.low","timestamp":"2026-03-01T12:00:00.000000Z","data":{"wallet":"` + a.WalletID.String() + `","ref":"agency:` + a.ExternalID + `","agency":"` +
			a.ID.String() + `","sub_account":null,"state":"low","left":"3","try_later":"Later.","occasion":"1"}}`,
	}
	require.NoError(w.t, w.db.Write.Create(&row).Error)
	return row.ID.String()
}

func TestListening(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db, "stammer", "full-saas")
		const body = `{"url":"https://ai.example.com/hooks","events":["wallet.resumed","wallet.paused"],"note":"ours"}`
		made := w.post(w.key, "/v1/webhook-endpoints", "k1", body).ok(t, http.StatusCreated)
		require.True(t, strings.HasPrefix(made.text("secret"), "whsec_"))
		require.Equal(t, `["wallet.paused","wallet.resumed"]`, made.text("events"))
		require.Equal(t, w.agency.ID.String(), made.text("agency"))
		again := w.post(w.key, "/v1/webhook-endpoints", "k1", body).ok(t, http.StatusOK)
		require.Equal(t, made.body, again.body)
		read := w.get(w.key, "/v1/webhook-endpoints/"+made.text("id")).ok(t, http.StatusOK)
		require.NotContains(t, read.body, "whsec_", "a secret is shown once")
		require.NotContains(t, w.get(w.key, "/v1/webhook-endpoints").body, "whsec_")
		for _, bad := range []string{`{"url":"http://ai.example.com"}`, `{"url":"https://169.254.169.254/"}`, `{"url":"https://localhost:8443"}`, `{"url":"https://[::ffff:10.0.0.1]/"}`} {
			refused := w.post(w.key, "/v1/webhook-endpoints", "bad"+bad, bad).ok(t, http.StatusUnprocessableEntity)
			require.Equal(t, "invalid_url", refused.text("code"))
		}
		require.Equal(t, "unknown_event", w.post(w.key, "/v1/webhook-endpoints", "e", `{"url":"https://ai.example.com","events":["x"]}`).text("code"))

		ours, theirs := w.happened(w.agency), w.happened(w.second)
		events := w.get(w.key, "/v1/events").ok(t, http.StatusOK)
		require.Equal(t, ours, events.text("data.0.id"))
		require.NotContains(t, events.body, theirs)
		require.Equal(t, "agency:northwind", events.text("data.0.data.ref"))
		require.Equal(t, "3", events.text("data.0.data.left"))
		all := w.get(w.platform, "/v1/events?type=wallet.low").ok(t, http.StatusOK)
		require.Contains(t, all.body, ours)
		require.Contains(t, all.body, theirs)
		require.NotContains(t, w.get(w.platform, "/v1/events?agency=contoso").body, ours)
		require.Equal(t, "[]", w.get(w.key, "/v1/events?type=plan.reset").text("data"))
		replay := w.post(w.key, "/v1/events/"+ours+"/replays", "r1", `{}`).ok(t, http.StatusCreated)
		require.Equal(t, "0", replay.text("deliveries"), "nobody listens for it")
		replay = w.post(w.key, "/v1/events/"+ours+"/replays", "r2", `{"endpoint":"`+made.text("id")+`"}`).ok(t, http.StatusCreated)
		require.Equal(t, "1", replay.text("deliveries"))
		w.send(w.key, http.MethodDelete, "/v1/webhook-endpoints/"+made.text("id"), "", "").ok(t, http.StatusNoContent)
		w.get(w.key, "/v1/webhook-endpoints/"+made.text("id")).ok(t, http.StatusNotFound)
	})
}

// What a visitor is told meanwhile comes with the wallet and with the refusal, in
// the agency's words, or the client's own.
func TestTryLater(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db, "stammer", "full-saas")
		n := 0
		refusal := func() *reply {
			n++
			return w.post(w.key, "/v1/charges", "r"+strconv.Itoa(n), `{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4"}`).ok(t, http.StatusPaymentRequired)
		}
		said := func(want string) {
			t.Helper()
			require.Equal(t, want, w.get(w.key, "/v1/wallets/sub:acme").ok(t, http.StatusOK).text("try_later"))
			require.Equal(t, want, refusal().text("try_later"))
			batch := w.post(w.key, "/v1/charges/batch", "b"+strconv.Itoa(n), `{"charges":[{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4"}]}`).ok(t, http.StatusOK)
			require.Equal(t, want, batch.text("data.0.error.try_later"))
			require.Equal(t, want, w.post(w.key, "/v1/holds", "h"+strconv.Itoa(n), `{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4"}`).text("try_later"))
		}
		said(billing.DefaultTryLater)
		set := func(sub models.SubAccountID, text string) {
			require.NoError(t, w.s.SetTryLater(t.Context(), billing.Scope{}, billing.TryLaterInput{Agency: w.agency.ID, SubAccount: sub, Text: text, By: "test"}))
		}
		set(models.SubAccountID{}, "Northwind is \"away\".")
		said("Northwind is \"away\".")
		set(w.client.ID, "Acme schläft.")
		said("Acme schläft.")
		require.Equal(t, "Northwind is \"away\".", w.get(w.key, "/v1/wallets/agency:northwind").text("try_later"))
		set(w.client.ID, "")
		said("Northwind is \"away\".")
	})
}

// The snippet of the documentation verifies what we send, and nothing else.
func TestTheDocumentedSnippetVerifies(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Log("no python3 here: the signature is verified with the scheme's Go library only")
	}
	page, err := os.ReadFile("../../docs/api.md")
	require.NoError(t, err)
	_, snippet, found := strings.Cut(string(page), "```python\n")
	require.True(t, found)
	snippet, _, _ = strings.Cut(snippet, "```")
	secret := hook.NewSecret()
	signer, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	now := time.Now()
	body := `{"type":"wallet.paused"}`
	signature, err := signer.Sign("evt_1", now, []byte(body))
	require.NoError(t, err)
	require.NoError(t, signer.Verify([]byte(body), http.Header{
		"Webhook-Id": {"evt_1"}, "Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Webhook-Signature": {signature},
	}))
	if python == "" {
		return
	}
	script := filepath.Join(t.TempDir(), "verify.py")
	call := func(id, body string, at time.Time) error {
		text := snippet + "\nverify(" + strconv.Quote(secret) + `, {"webhook-id": "` + id + `", "webhook-timestamp": "` + strconv.FormatInt(at.Unix(), 10) +
			`", "webhook-signature": "v1,AAAA ` + signature + `"}, ` + strconv.Quote(body) + `.encode())`
		require.NoError(t, os.WriteFile(script, []byte(text), 0o600))
		return exec.CommandContext(t.Context(), python, script).Run()
	}
	require.NoError(t, call("evt_1", body, now))
	require.Error(t, call("evt_2", body, now))
	require.Error(t, call("evt_1", body+" ", now))
	require.Error(t, call("evt_1", body, now.Add(-time.Hour)))
}
