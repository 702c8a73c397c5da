package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"refill/models"
)

// outcome is how a row ended.
type outcome int

const (
	charged  outcome = iota
	replayed         // it was charged before
	refused          // not enough credits, or the wallet is paused
	failed
)

type answer struct {
	outcome outcome
	credits models.Credits
	reason  string // of a failure
}

// Bounds of one attempt and of the pauses between attempts. A pause is drawn
// at random below a bound that doubles, so that clients of a server that comes
// back do not come all at once.
const (
	attemptTimeout = 30 * time.Second
	firstPause     = 50 * time.Millisecond
	longestPause   = 2 * time.Second
	longestAnswer  = 1 << 20
)

type client struct {
	config Config
	http   *http.Client
}

func newClient(c Config) *client {
	return &client{config: c, http: &http.Client{
		Timeout: attemptTimeout,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: c.Concurrency, MaxConnsPerHost: c.Concurrency, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// chargeBody is the request of one row. occurred_at stays away: a trace may be
// older than the API takes.
type chargeBody struct {
	Wallet   string            `json:"wallet"`
	Action   string            `json:"action"`
	Model    string            `json:"model,omitempty"`
	Usage    map[string]int64  `json:"usage"`
	Metadata map[string]string `json:"metadata"`
}

// errUnauthorized ends a replay: no other row would fare better.
var errUnauthorized = errors.New("the API key is not accepted")

// charge sends row i until somebody answers, always with the same key. An
// error means that the replay cannot go on.
func (c *client) charge(ctx context.Context, i int, t trace) (answer, error) {
	row := t.rows[i]
	body, err := json.Marshal(chargeBody{
		Wallet: c.config.Wallets[i%len(c.config.Wallets)], Action: c.config.Action, Model: c.config.Models[i%len(c.config.Models)],
		Usage:    map[string]int64{"input_tokens": row.input, "output_tokens": row.output},
		Metadata: map[string]string{"recorded_at": row.at},
	})
	if err != nil {
		return answer{}, err
	}
	giveUp := c.config.Clock.Now().Add(c.config.Patience)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		a, again, err := c.attempt(ctx, t.key(i), body)
		var silent *silence
		if !errors.As(err, &silent) {
			return a, err
		}
		if ctx.Err() != nil {
			return answer{}, context.Cause(ctx)
		}
		if c.config.Clock.Now() >= giveUp {
			return answer{outcome: failed, reason: fmt.Sprintf("no answer in %s: %s", c.config.Patience, silent.why)}, nil
		}
		if again == 0 {
			again = pause/2 + rand.N(pause/2)
		}
		if err := wait(ctx, again); err != nil {
			return answer{}, err
		}
	}
}

// silence is an attempt that told nothing about the charge: it may have been
// booked or not, and asking again with the same key finds out.
type silence struct{ why string }

func (s *silence) Error() string { return s.why }

// attempt sends the charge once. A *silence may come with the pause the server
// asked for.
func (c *client) attempt(ctx context.Context, key string, body []byte) (answer, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.API+"/v1/charges", bytes.NewReader(body))
	if err != nil {
		return answer{}, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.config.Key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, 0, &silence{err.Error()}
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, longestAnswer))
	if err != nil {
		return answer{}, 0, &silence{err.Error()}
	}
	switch code := res.StatusCode; {
	case code == http.StatusCreated || code == http.StatusOK:
		return success(res, text)
	case code == http.StatusUnauthorized:
		return answer{}, 0, fmt.Errorf("%w: %s", errUnauthorized, problemOf(text))
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500:
		return answer{}, retryAfter(res), &silence{res.Status}
	}
	p := problemOf(text)
	if p.Code == "insufficient_credits" || p.Code == "wallet_paused" {
		return answer{outcome: refused}, 0, nil
	}
	return answer{outcome: failed, reason: res.Status + ": " + p.String()}, 0, nil
}

// success reads a booked charge. An answer that is cut short or is not the
// API's tells nothing, so it counts as none.
func success(res *http.Response, text []byte) (answer, time.Duration, error) {
	var out struct {
		ID      string          `json:"id"`
		Credits *models.Credits `json:"credits"`
	}
	if err := json.Unmarshal(text, &out); err != nil || out.ID == "" || out.Credits == nil {
		return answer{}, 0, &silence{res.Status + " without a charge in it"}
	}
	a := answer{outcome: charged, credits: *out.Credits}
	if res.Header.Get("Idempotent-Replayed") == "true" {
		a.outcome = replayed
	}
	return a, 0, nil
}

// problem is what the API says when it does not charge.
type problem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func problemOf(text []byte) problem {
	var p problem
	if err := json.Unmarshal(text, &p); err != nil || p.Code == "" {
		return problem{Code: "unknown", Detail: "this answer is not the API's"}
	}
	return p
}

func (p problem) String() string { return p.Code + ": " + p.Detail }

// retryAfter is the pause a server asks for in seconds, kept within reason.
func retryAfter(res *http.Response) time.Duration {
	n, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, 10*time.Second)
}

// wait returns after d, or with the reason why the context ended.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
