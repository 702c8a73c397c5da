package hook

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"refill/billing/nametest"
)

// inside are addresses that lead into our own house, or its neighbourhood, however
// they are written.
func inside() []netip.Addr {
	return addresses(`
		0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1 127.1.2.3 127.255.255.254 168.63.129.16
		169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255
		198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
		:: ::1 ::7f00:1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
		64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe:: 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1
		fe80::1 fe80::1%eth0 febf::1 fec0::1 ff02::1 ff0e::1`)
}

// outside are addresses of the open internet, some right beside those inside.
func outside() []netip.Addr {
	return addresses("1.1.1.1 8.8.8.8 93.184.215.14 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 223.255.255.255 2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8")
}

func addresses(text string) (out []netip.Addr) {
	for a := range strings.FieldsSeq(text) {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for _, a := range inside() {
		require.False(t, public(a), a)
	}
	for _, a := range outside() {
		require.True(t, public(a), a)
	}
}

// What is dialled is looked at, whatever the name or the address of the endpoint
// was: an address inside at no port, one outside at two ports only.
func TestOnlyPublicAddressesAreDialled(t *testing.T) {
	t.Parallel()
	strict, loose := New(Options{}), New(Options{Loopback: true})
	dials := func(s *Sender, a netip.Addr, port uint16) error {
		return s.control("tcp", netip.AddrPortFrom(a, port).String(), nil)
	}
	for _, a := range inside() {
		for _, port := range []uint16{443, 8443} {
			require.ErrorIs(t, dials(strict, a, port), ErrForbidden, "%s at %d", a, port)
			require.Equal(t, a.Unmap().IsLoopback(), dials(loose, a, port) == nil, "%s at %d where this machine is allowed", a, port)
		}
	}
	for _, a := range outside() {
		require.NoError(t, dials(strict, a, 443), a)
		require.NoError(t, dials(strict, a, 8443), a)
		for _, port := range []uint16{0, 22, 25, 80, 442, 444, 5432, 8080, 8444, 65535} {
			require.ErrorIs(t, dials(strict, a, port), ErrForbidden, "%s at %d", a, port)
			require.ErrorIs(t, dials(loose, a, port), ErrForbidden, "%s at %d", a, port)
		}
	}
	for _, junk := range []string{"", ":443", "1.1.1.1", "1.1.1.1:", "1.1.1.1:https", "example.com:443", "[::1]", "2606:4700::1111:443"} {
		require.ErrorIs(t, strict.control("tcp", junk, nil), ErrForbidden, junk)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	strict := New(Options{})
	for _, u := range []string{"https://example.com/hooks", "https://example.com:8443", "https://example.com:443/a?b=c", "https://1.1.1.1/x", "https://[2606:4700::1111]/"} {
		require.NoError(t, strict.CheckURL(u), u)
	}
	for _, u := range []string{
		"", "example.com", "//example.com", "http://example.com", "ftp://example.com", "file:///etc/passwd", "https://", "https:///x", "https:example.com",
		"https://user:pass@example.com", "https://example.com#x", "https://example.com:22/", "https://example.com:8080", "https://exam ple.com",
		"https://localhost", "https://localhost.", "https://api.localhost", "https://db", "https://127.0.0.1", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
		"https://169.254.169.254/latest/meta-data", "https://10.0.0.1", "https://2130706433", "https://0x7f000001", "https://[fe80::1%25eth0]/", "https://example.com\\@127.0.0.1",
		"https://example.com/" + strings.Repeat("x", MaxURL), "gopher://example.com", "http://127.0.0.1:8080",
	} {
		require.Error(t, strict.CheckURL(u), u)
	}
	loose := New(Options{Loopback: true})
	for _, u := range []string{"http://127.0.0.1:8080/x", "http://localhost:9000", "https://[::1]:5000"} {
		require.NoError(t, loose.CheckURL(u), u)
	}
	for _, u := range []string{"http://example.com", "https://10.0.0.1", "http://10.0.0.1:80"} {
		require.Error(t, loose.CheckURL(u), u)
	}
}

// trap counts the connections that reach an address of this machine, at a port that
// endpoints may listen on. Its address is one of millions that lead here, so that
// nothing else listens there.
func trap(t *testing.T) (at netip.Addr, reached *atomic.Int64) {
	t.Helper()
	at = netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))})
	l, err := net.Listen("tcp", netip.AddrPortFrom(at, 8443).String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	reached = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			_ = c.Close()
		}
	}()
	return at, reached
}

// Whatever is sent, and wherever its name leads by then, nothing of it reaches this
// machine: neither an address, nor a name that leads here, nor one that led to a
// public address when somebody looked and leads here when it is dialled.
func TestNothingReachesThisMachine(t *testing.T) {
	t.Parallel()
	at, reached := trap(t)
	names := nametest.New(t)
	names.Lead("here.example", at)
	names.Lead("turncoat.example", netip.MustParseAddr("93.184.215.14"), at)
	send := func(s *Sender, host string) error {
		_, err := s.Send(t.Context(), "https://"+host+":8443/", Message{ID: "evt", Secrets: []string{NewSecret()}})
		return err
	}
	strict := New(Options{Resolver: names.Resolver()})
	for _, host := range []string{at.String(), "[::ffff:" + at.String() + "]", "localhost", "169.254.169.254", "here.example"} {
		require.ErrorIs(t, send(strict, host), ErrForbidden, host)
	}
	seen, err := names.Resolver().LookupNetIP(t.Context(), "ip4", "turncoat.example")
	require.NoError(t, err)
	require.True(t, len(seen) == 1 && public(seen[0]), "whoever looks first sees nothing wrong: %v", seen)
	require.ErrorIs(t, send(strict, "turncoat.example"), ErrForbidden)
	// Forms that some resolvers read as an address, dialled without a look at the text.
	dialer := net.Dialer{Control: strict.control}
	n := at.As4()
	for _, host := range []string{
		at.String(), "::ffff:" + at.String(), strconv.FormatUint(uint64(binary.BigEndian.Uint32(n[:])), 10), fmt.Sprintf("%#x", n), fmt.Sprintf("127.%d", binary.BigEndian.Uint32(n[:])&0xffffff),
	} {
		c, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(host, "8443"))
		if err == nil {
			_ = c.Close()
		}
		require.Error(t, err, host)
	}
	require.Zero(t, reached.Load())
	// Where this machine is allowed it is reached, by the same name: the trap works.
	require.Error(t, send(New(Options{Loopback: true, Resolver: names.Resolver()}), "turncoat.example"), "nobody speaks TLS there")
	require.Eventually(t, func() bool { return reached.Load() == 1 }, 5*time.Second, time.Millisecond)
}

// A message is verified by the scheme's own library, with either secret while one
// takes the other's place, and not once a byte of it is another.
func TestSignatures(t *testing.T) {
	t.Parallel()
	type got struct {
		header http.Header
		body   []byte
	}
	taken := make(chan got, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		taken <- got{r.Header, body}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs //nolint:forcetypeassert // httptest's own
	s := New(Options{Loopback: true, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	fresh, old, foreign := NewSecret(), NewSecret(), NewSecret()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(fresh, "whsec_"))
	require.NoError(t, err)
	require.Len(t, raw, 32)
	answer, err := s.Send(t.Context(), server.URL, Message{ID: "evt_1", Body: []byte(`{"type":"wallet.low"}`), Secrets: []string{fresh, old}})
	require.NoError(t, err)
	require.True(t, answer.OK())
	m := <-taken
	require.Equal(t, "evt_1", m.header.Get("webhook-id"))
	require.Equal(t, "application/json", m.header.Get("Content-Type"))
	for secret, ok := range map[string]bool{fresh: true, old: true, foreign: false} {
		w, err := standardwebhooks.NewWebhook(secret)
		require.NoError(t, err)
		require.Equal(t, ok, w.Verify(m.body, m.header) == nil)
	}
	w, err := standardwebhooks.NewWebhook(fresh)
	require.NoError(t, err)
	require.Error(t, w.Verify([]byte(`{"type":"wallet.Low"}`), m.header))
	moved := m.header.Clone()
	moved.Set("webhook-id", "evt_2")
	require.Error(t, w.Verify(m.body, moved))
}

// An old time is refused by who verifies, so what was recorded is worth nothing
// later.
func TestTheTimeIsSigned(t *testing.T) {
	t.Parallel()
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header = r.Header }))
	t.Cleanup(server.Close)
	secret := NewSecret()
	s := New(Options{Loopback: true, Wall: func() time.Time { return time.Now().Add(-time.Hour) }})
	_, err := s.Send(t.Context(), server.URL, Message{ID: "evt_1", Body: []byte("{}"), Secrets: []string{secret}})
	require.NoError(t, err)
	w, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	require.ErrorIs(t, w.Verify([]byte("{}"), header), standardwebhooks.ErrMessageTooOld)
	require.NoError(t, w.VerifyIgnoringTimestamp([]byte("{}"), header))
}

// Redirects lead nowhere, long answers are cut, slow ones are given up.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	var inside atomic.Int64
	secret := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
	t.Cleanup(secret.Close)
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, secret.URL, http.StatusTemporaryRedirect)
		case "/long":
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusServiceUnavailable)
			for range 1000 {
				if _, err := io.WriteString(w, strings.Repeat("no\x00\x1b[31m\n", 1000)); err != nil {
					return
				}
			}
		case "/slow":
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(stop) })
	s := New(Options{Loopback: true, Timeout: 300 * time.Millisecond})
	send := func(path string) (Answer, error) {
		return s.Send(t.Context(), server.URL+path, Message{ID: "evt", Secrets: []string{NewSecret()}})
	}
	a, err := send("/redirect")
	require.NoError(t, err)
	require.Equal(t, http.StatusTemporaryRedirect, a.Status)
	require.False(t, a.OK())
	require.Zero(t, inside.Load())
	a, err = send("/long")
	require.NoError(t, err)
	require.LessOrEqual(t, len(a.Excerpt), MaxExcerpt+30)
	require.NotContains(t, a.Excerpt, "\x1b")
	require.Equal(t, 2*time.Minute, a.RetryAfter)
	_, err = send("/slow")
	require.ErrorContains(t, err, "no answer in time")
	require.True(t, errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "deadline") || strings.Contains(err.Error(), "Timeout"))
}
