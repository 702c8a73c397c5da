package checkout_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/billing/stripesim"
	"refill/models/modelstest/faults"
)

const payload = `{"id":"evt_1","object":"event","api_version":"2023-10-16","created":1773144000,"livemode":false,` +
	`"type":"checkout.session.completed","account":"acct_9","data":{"object":{"id":"cs_test_1","object":"checkout.session",` +
	`"client_reference_id":"pur_1","payment_intent":"pi_1","metadata":{}}}}`

func TestSignatures(t *testing.T) {
	t.Parallel()
	g, err := checkout.New(checkout.Config{
		SecretKey: testKey, WebhookSecrets: []string{"whsec_new", "whsec_old"}, ConnectWebhookSecrets: []string{connectSecret},
	})
	require.NoError(t, err)
	withoutConnect, err := checkout.New(checkout.Config{SecretKey: testKey, WebhookSecrets: []string{testSecret}})
	require.NoError(t, err)
	body := []byte(payload)
	now := time.Now()
	sign := func(secret string, at time.Time) string { return stripesim.Sign(body, secret, at) }
	rolled := sign("whsec_unknown", now) + "," + strings.Split(sign("whsec_old", now), ",")[1]
	twoTimes := sign("whsec_new", now) + ",t=" + strconv.FormatInt(now.Unix()-9000, 10)
	changed := bytes.Replace(body, []byte("pur_1"), []byte("pur_2"), 1)

	for name, c := range map[string]struct {
		gateway *checkout.Gateway
		body    []byte
		header  string
		connect bool
		ok      bool
	}{
		"current secret":              {g, body, sign("whsec_new", now), false, true},
		"secret that is being rolled": {g, body, sign("whsec_old", now), false, true},
		"two signatures, one good":    {g, body, rolled, false, true},
		"four minutes old":            {g, body, sign("whsec_new", now.Add(-4*time.Minute)), false, true},
		"four minutes ahead":          {g, body, sign("whsec_new", now.Add(4*time.Minute)), false, true},
		"connect endpoint":            {g, body, sign(connectSecret, now), true, true},
		"no header":                   {g, body, "", false, false},
		"no time":                     {g, body, strings.Split(sign("whsec_new", now), ",")[1], false, false},
		"no signature":                {g, body, strings.Split(sign("whsec_new", now), ",")[0], false, false},
		"two times":                   {g, body, twoTimes, false, false},
		"rubbish":                     {g, body, "t=x,v1=zz", false, false},
		"wrong secret":                {g, body, sign("whsec_unknown", now), false, false},
		"empty secret":                {g, body, sign("", now), false, false},
		"empty secret, none set":      {withoutConnect, body, sign("", now), true, false},
		"changed byte":                {g, changed, sign("whsec_new", now), false, false},
		"six minutes old":             {g, body, sign("whsec_new", now.Add(-6*time.Minute)), false, false},
		"six minutes ahead":           {g, body, sign("whsec_new", now.Add(6*time.Minute)), false, false},
		"ten years ahead":             {g, body, sign("whsec_new", now.AddDate(10, 0, 0)), false, false},
		"platform's on connect":       {g, body, sign("whsec_new", now), true, false},
		"connect's on platform":       {g, body, sign(connectSecret, now), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := c.gateway.ParseEvent(c.body, c.header, c.connect)
			if !c.ok {
				wantKind(t, err, checkout.KindSignature)
				require.Empty(t, e.ID, "event")
				return
			}
			require.NoError(t, err)
			require.Equal(t, "evt_1", e.ID, "id")
			require.Equal(t, "checkout.session.completed", e.Type, "type")
			require.Equal(t, "acct_9", e.Account, "account")
			require.Equal(t, "checkout.session cs_test_1", e.ObjectType+" "+e.ObjectID, "object")
			require.Equal(t, "pur_1", e.Reference, "reference")
			require.Equal(t, "pi_1", e.PaymentIntent, "payment intent")
			require.EqualValues(t, 1773144000, e.CreatedAt.Go().Unix(), "created")
			require.JSONEq(t, payload, string(e.Raw), "raw")
		})
	}
}

// A signed delivery in which anything was changed is no event, whatever it says.
func TestForgedDeliveriesAreRefused(t *testing.T) {
	t.Parallel()
	g, err := checkout.New(checkout.Config{SecretKey: testKey, WebhookSecrets: []string{testSecret}, ConnectWebhookSecrets: []string{connectSecret}})
	require.NoError(t, err)
	n, seed := faults.Sized(2_000, 100_000), faults.Seed()
	random := rand.New(rand.NewPCG(seed, 1))
	for range n {
		at := time.Now()
		body, header := []byte(payload), stripesim.Sign([]byte(payload), testSecret, at)
		switch random.IntN(5) {
		case 0: // a byte of the body
			i := random.IntN(len(body))
			body[i] ^= byte(1 + random.IntN(255))
		case 1: // more, or less, of it
			body = append(body[:random.IntN(len(body))], body[random.IntN(len(body)):]...)
			if string(body) == payload {
				continue
			}
		case 2: // a digit of the signature
			i := strings.Index(header, "v1=") + 3 + random.IntN(64)
			digits := "0123456789abcdef"
			changed := digits[(strings.IndexByte(digits, header[i])+1+random.IntN(15))%16]
			header = header[:i] + string(changed) + header[i+1:]
		case 3: // another time under the same signature
			header = strings.Replace(header, fmt.Sprintf("t=%d", at.Unix()), fmt.Sprintf("t=%d", at.Unix()+1+random.Int64N(200)), 1)
		case 4: // another secret
			header = stripesim.Sign(body, fmt.Sprint("whsec_", random.Uint64()), at)
		}
		e, err := g.ParseEvent(body, header, false)
		wantKind(t, err, checkout.KindSignature)
		require.Empty(t, e.ID)
	}
	faults.Tried(t, seed, "%d forged deliveries, none taken", n)
}

func TestEventBodies(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "http://127.0.0.1:1")
	read := func(body string) (checkout.Event, error) {
		return g.ParseEvent([]byte(body), stripesim.Sign([]byte(body), testSecret, time.Now()), false)
	}
	e, err := read(strings.Replace(payload, "2023-10-16", "2026-08-26.dahlia", 1))
	require.NoError(t, err)
	require.Equal(t, "2026-08-26.dahlia", e.APIVersion, "version")
	require.False(t, e.VersionMatches, "version matches")

	e, err = read(`{"id":"evt_2","type":"charge.refunded","api_version":"2023-10-16","livemode":true,` +
		`"data":{"object":{"id":"ch_1","object":"charge","payment_intent":{"id":"pi_7","object":"payment_intent"},"metadata":{"refill_reference":"pur_3"}}}}`)
	require.NoError(t, err)
	require.Equal(t, "pi_7", e.PaymentIntent, "intent of an expanded field")
	require.Equal(t, "pur_3", e.Reference, "reference in metadata")
	require.True(t, e.Live, "live")
	require.True(t, e.VersionMatches, "version matches")

	e, err = read(`{"id":"evt_3","type":"account.application.deauthorized","account":"acct_1","data":{"object":{"id":"ca_1","object":"application"}}}`)
	require.NoError(t, err)
	require.Equal(t, "ca_1", e.ObjectID, "object")
	require.Empty(t, e.PaymentIntent, "intent")

	for _, bad := range []string{``, `[]`, `{`, `{"id":"evt_4"}`, `{"type":"x"}`} {
		_, err := read(bad)
		wantKind(t, err, checkout.KindRefused)
	}
	huge := strings.Repeat(" ", 1<<20) + payload
	_, err = read(huge)
	wantKind(t, err, checkout.KindSignature)
}

func TestConfigIsRefused(t *testing.T) {
	t.Parallel()
	good := checkout.Config{SecretKey: "sk_test_x", WebhookSecrets: []string{"whsec_x"}}
	for name, spoil := range map[string]func(*checkout.Config){
		"no key":                   func(c *checkout.Config) { c.SecretKey = "" },
		"publishable key":          func(c *checkout.Config) { c.SecretKey = "pk_test_x" },
		"bare prefix":              func(c *checkout.Config) { c.SecretKey = "sk_live_" },
		"key with a line end":      func(c *checkout.Config) { c.SecretKey = "sk_test_x\n" },
		"no secret":                func(c *checkout.Config) { c.WebhookSecrets = nil },
		"empty secret":             func(c *checkout.Config) { c.WebhookSecrets = []string{"whsec_x", ""} },
		"blank connect secret":     func(c *checkout.Config) { c.ConnectWebhookSecrets = []string{" "} },
		"live key, simulator":      func(c *checkout.Config) { c.SecretKey, c.BaseURL = "sk_live_x", "http://127.0.0.1:1" },
		"simulator elsewhere":      func(c *checkout.Config) { c.BaseURL = "http://192.0.2.7:1" },
		"simulator by other name":  func(c *checkout.Config) { c.BaseURL = "http://localhost.example.com" },
		"simulator without scheme": func(c *checkout.Config) { c.BaseURL = "127.0.0.1:12111" },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := checkout.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for key, live := range map[string]bool{"sk_test_x": false, "rk_test_x": false, "sk_live_x": true, "rk_live_x": true} {
		cfg := good
		cfg.SecretKey = key
		g, err := checkout.New(cfg)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		require.Equal(t, live, g.LiveMode(), key)
	}
}

func TestSessionParamsAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, spoil := range map[string]func(*checkout.SessionParams){
		"no key":            func(p *checkout.SessionParams) { p.IdempotencyKey = "" },
		"long key":          func(p *checkout.SessionParams) { p.IdempotencyKey = strings.Repeat("k", 251) },
		"no reference":      func(p *checkout.SessionParams) { p.Reference = "" },
		"no amount":         func(p *checkout.SessionParams) { p.Amount.Amount = 0 },
		"no currency":       func(p *checkout.SessionParams) { p.Amount.Currency = "" },
		"fee above amount":  func(p *checkout.SessionParams) { p.Account, p.ApplicationFee = connected, 5001 },
		"below the minimum": func(p *checkout.SessionParams) { p.Amount.Amount = 49 },
		"unknown currency":  func(p *checkout.SessionParams) { p.Amount.Currency = "credits" },
		"no return address": func(p *checkout.SessionParams) { p.SuccessURL = "" },
		"unusual address":   func(p *checkout.SessionParams) { p.SuccessURL = "http://a;b/" },
	} {
		p := b.params(name)
		spoil(&p)
		if _, err := b.CreateSession(t.Context(), p); checkout.KindOf(err) != checkout.KindRefused {
			t.Errorf("%s: %v", name, err)
		}
	}
	require.Empty(t, b.sessions(), "sessions made")
}
