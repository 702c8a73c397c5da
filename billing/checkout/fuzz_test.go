package checkout_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
)

// FuzzSignature: a header lets a body in only if it carries the very signature that
// the secret makes of the body and the one time in it, and that time is now.
func FuzzSignature(f *testing.F) {
	const secret = "whsec_fuzz"
	gateway, err := checkout.New(checkout.Config{SecretKey: "sk_test_fuzz", WebhookSecrets: []string{secret}, BaseURL: "http://127.0.0.1:1"})
	require.NoError(f, err)
	sign := func(at string, body []byte) string {
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = mac.Write(append([]byte(at+"."), body...))
		return hex.EncodeToString(mac.Sum(nil))
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	body := []byte(`{"id":"evt_1","type":"checkout.session.completed","data":{"object":{"id":"cs_1"}}}`)
	good := sign(now, body)
	for _, header := range []string{
		"t=" + now + ",v1=" + good, "t=" + now + ",v1=" + strings.ToUpper(good), "t=" + now + ",v0=" + good, "t=" + now + ",v1=,v1=" + good, "t=1,t=" + now + ",v1=" + good,
		"t=+" + now + ",v1=" + good, "t= " + now + ",v1=" + good, "t=0" + now + ",v1=" + sign("0"+now, body), "t=99999999999999999999,v1=" + good, "v1=" + good, "", "t=", ",", "t=" + now,
	} {
		f.Add(header, body)
		f.Add(header, append(body, ' '))
	}
	f.Fuzz(func(t *testing.T, header string, payload []byte) {
		event, err := gateway.ParseEvent(payload, header, false)
		_, refused := gateway.ParseEvent(payload, header, true)
		require.Error(t, refused, "the Connect endpoint has no secret")
		if checkout.KindOf(err) == checkout.KindSignature {
			return
		}
		// It was let in, whether or not it could be read then.
		var stamp string
		carried := false
		for part := range strings.SplitSeq(header, ",") {
			if v, ok := strings.CutPrefix(part, "t="); ok {
				require.Empty(t, stamp, "two times: %s", header)
				stamp = v
			}
		}
		at, parseErr := strconv.ParseInt(stamp, 10, 64)
		require.NoError(t, parseErr)
		require.InDelta(t, time.Now().Unix(), at, 301)
		for part := range strings.SplitSeq(header, ",") {
			v, ok := strings.CutPrefix(part, "v1=")
			carried = carried || ok && strings.EqualFold(v, sign(strconv.FormatInt(at, 10), payload))
		}
		require.True(t, carried, "%q let %q in", header, payload)
		if err == nil {
			require.NotEmpty(t, event.ID)
		}
	})
}
