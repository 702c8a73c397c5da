package hook

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Limits of one attempt.
const (
	Timeout    = 10 * time.Second
	maxAnswer  = 4 << 10
	MaxExcerpt = 300 // bytes kept of how an answer began
)

// Options of a Sender.
type Options struct {
	// Loopback lets messages go to this machine, without TLS if need be: for
	// demonstrations and tests.
	Loopback bool
	// TLS is for tests, whose servers sign their own certificates; nil is the
	// system's roots.
	TLS *tls.Config
	// Resolver finds the addresses of names; nil: the system's.
	Resolver *net.Resolver
	// Timeout of an attempt; 0: Timeout.
	Timeout time.Duration
	// Wall tells the time of an attempt, which is signed with it; nil: the system's.
	Wall func() time.Time
}

// Sender takes messages to endpoints. It is safe for concurrent use.
type Sender struct {
	client   *http.Client
	loopback bool
	wall     func() time.Time
}

// New makes a Sender.
func New(o Options) *Sender {
	s := &Sender{loopback: o.Loopback, wall: o.Wall}
	if s.wall == nil {
		s.wall = time.Now //nolint:forbidigo // wall time: signatures know no other
	}
	if o.Timeout == 0 {
		o.Timeout = Timeout
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	dialer := &net.Dialer{Timeout: o.Timeout, Control: s.control, Resolver: o.Resolver}
	s.client = &http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: o.TLS, TLSHandshakeTimeout: o.Timeout, ForceAttemptHTTP2: true,
			MaxIdleConns: 32, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

// Message is what is told, the same at every attempt.
type Message struct {
	ID      string // a receiver may drop what it has seen
	Body    []byte
	Secrets []string // one, or two while one takes the other's place
}

// Answer is what came back.
type Answer struct {
	Status     int
	Excerpt    string        // how the body began, in plain text
	RetryAfter time.Duration // as asked for; 0: not asked
	Took       time.Duration
}

// OK tells whether the message was taken.
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Gone tells whether nobody listens there any more.
func (a *Answer) Gone() bool { return a.Status == http.StatusGone }

// NewSecret makes a signing secret.
func NewSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return "whsec_" + base64.StdEncoding.EncodeToString(b)
}

// Send makes one attempt, signed with the time it is made at. An answer that is
// not OK is no error. Errors: ErrForbidden, and whatever the network says.
func (s *Sender) Send(ctx context.Context, to string, m Message) (Answer, error) {
	if err := s.CheckURL(to); err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	begun := s.wall()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(m.Body))
	if err != nil {
		return Answer{}, err
	}
	signatures := make([]string, 0, len(m.Secrets))
	for _, secret := range m.Secrets {
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return Answer{}, errors.New("the signing secret is damaged")
		}
		signature, err := signer.Sign(m.ID, begun, m.Body)
		if err != nil {
			return Answer{}, err
		}
		signatures = append(signatures, signature)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Webhooks/1.0")
	req.Header.Set(standardwebhooks.HeaderWebhookID, m.ID)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(begun.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	res, err := s.client.Do(req)
	if err != nil {
		return Answer{Took: s.wall().Sub(begun)}, plain(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	out := Answer{Status: res.StatusCode, Excerpt: excerpt(body), Took: s.wall().Sub(begun)}
	if err != nil && !out.OK() {
		out.Excerpt = strings.TrimSpace(out.Excerpt + " (the answer broke off)")
	}
	if seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 31); err == nil {
		out.RetryAfter = time.Duration(seconds) * time.Second
	}
	return out, nil
}

// plain says what went wrong without the address, which its owner knows.
func plain(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if wait, ok := errors.AsType[net.Error](err); ok && wait.Timeout() {
		return fmt.Errorf("no answer in time: %w", err)
	}
	return err
}

// excerpt is the beginning of an answer as one line of text.
func excerpt(b []byte) string {
	if len(b) > MaxExcerpt {
		b = b[:MaxExcerpt]
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(string(b), ""))
	return strings.Join(strings.Fields(text), " ")
}
