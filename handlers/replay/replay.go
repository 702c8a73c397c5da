// Package replay charges recorded traffic through the API, one charge for each
// row of a trace, as a platform would while its customers talk.
//
// It is a client: it knows the API's addresses and answers and nothing of the
// server. Each row has one idempotency key made of the file's content and the
// row's place in it, so a row is charged once however often the trace is
// replayed, by however many processes, and whatever happens to the connection
// in between.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"refill/models"
)

// Config says what to replay, and onto whom.
type Config struct {
	Trace       string   // file with the columns TIMESTAMP, ContextTokens, GeneratedTokens
	API         string   // address of the portal, such as http://127.0.0.1:8080
	Key         string   // API key
	Wallets     []string // row i is charged to wallet i mod n
	Models      []string // and for model i mod m; none: the action's default
	Action      string   // "": ai.reply
	Rate        int      // rows a second; 0: as fast as Concurrency allows
	Concurrency int      // rows in flight at once; 0: 16
	// Patience is how long one row is sent again and again while nobody
	// answers; 0: two minutes.
	Patience time.Duration
	Progress io.Writer    // one line a second for people; nil: none
	Clock    models.Clock // wall time, for rates and latencies; nil: the system's
}

// Summary is what became of the rows. Latencies are from the moment a row was
// due to its answer, repeated sending included.
type Summary struct {
	Rows      int            `json:"rows"`
	Charged   int            `json:"charged"`
	Replayed  int            `json:"replayed"` // were charged before: the first answer came again
	Refused   int            `json:"refused"`  // short of credits or paused: binds nothing, may succeed later
	Failed    int            `json:"failed"`   // no answer, or one that says the request is wrong
	Credits   models.Credits `json:"credits"`  // what the charged and the replayed rows cost
	PerSecond milli          `json:"per_second"`
	P50       milli          `json:"p50_ms"`
	P99       milli          `json:"p99_ms"`
}

// milli is a number in thousandths, so that JSON shows three digits and no more.
type milli int64

// MarshalJSON writes a plain number.
func (m milli) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%03d", m/1000, m%1000), nil
}

func perSecond(n int, took time.Duration) milli {
	return milli(int64(n) * int64(time.Second) * 1000 / max(1, int64(took)))
}

func inMillis(t models.Time) milli { return milli(t) } // microseconds are thousandths of a millisecond

// ParseRate reads "max" or a number of rows a second.
func ParseRate(s string) (int, error) {
	if s == "" || s == "max" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1_000_000 {
		return 0, fmt.Errorf("rate %q: write max, or a whole number of rows a second", s)
	}
	return n, nil
}

func (c *Config) check() error {
	base, err := url.Parse(c.API)
	switch {
	case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return fmt.Errorf("api %q: write an address such as http://127.0.0.1:8080", c.API)
	case c.Key == "":
		return errors.New("an API key is needed")
	case len(c.Wallets) == 0:
		return errors.New("name at least one wallet to charge")
	case c.Rate < 0 || c.Concurrency < 0:
		return errors.New("rate and concurrency must not be negative")
	}
	c.API = strings.TrimSuffix(strings.TrimRight(c.API, "/"), "/v1")
	if len(c.Models) == 0 {
		c.Models = []string{""}
	}
	if c.Action == "" {
		c.Action = "ai.reply"
	}
	if c.Concurrency == 0 {
		c.Concurrency = 16
	}
	if c.Patience == 0 {
		c.Patience = 2 * time.Minute
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	if c.Clock == nil {
		c.Clock = models.SystemClock{}
	}
	return nil
}

// Run replays the whole trace and waits for every answer. Nothing is charged
// when the trace cannot be read to its end. An error means that the replay was
// not finished; rows that failed are counted, not an error.
func Run(ctx context.Context, c Config) (Summary, error) {
	if err := c.check(); err != nil {
		return Summary{}, err
	}
	t, err := readTrace(c.Trace)
	if err != nil {
		return Summary{}, fmt.Errorf("%s: %w", c.Trace, err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{config: c, trace: t, client: newClient(c), start: c.Clock.Now()}
	shown := r.show(ctx)
	var work sync.WaitGroup
	for range min(c.Concurrency, len(t.rows)) {
		work.Go(func() {
			for {
				i := int(r.next.Add(1)) - 1
				if i >= len(t.rows) {
					return
				}
				if err := r.row(ctx, i); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	work.Wait()
	shown()
	return r.summary(), context.Cause(ctx)
}

// run is one replay on its way.
type run struct {
	config Config
	trace  trace
	client *client
	start  models.Time
	next   atomic.Int64

	mu       sync.Mutex
	tally    Summary
	waits    []models.Time // of every answered row
	failures map[string]int
}

// row sends row i when it is due and books its outcome.
func (r *run) row(ctx context.Context, i int) error {
	due := r.config.Clock.Now()
	if r.config.Rate > 0 {
		due = r.start.Add(time.Duration(i) * time.Second / time.Duration(r.config.Rate))
		if err := wait(ctx, due.Sub(r.config.Clock.Now())); err != nil {
			return err
		}
	}
	a, err := r.client.charge(ctx, i, r.trace)
	if err != nil {
		return err
	}
	r.book(i, a, r.config.Clock.Now()-due)
	return nil
}

func (r *run) book(i int, a answer, took models.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits = append(r.waits, took)
	r.tally.Credits += a.credits
	switch a.outcome {
	case charged:
		r.tally.Charged++
	case replayed:
		r.tally.Replayed++
	case refused:
		r.tally.Refused++
	case failed:
		r.tally.Failed++
		if r.failures == nil {
			r.failures = map[string]int{}
		}
		if r.failures[a.reason]++; r.failures[a.reason] == 1 { // each reason once
			fmt.Fprintf(r.config.Progress, "row %d failed: %s\n", i, a.reason)
		}
	}
}
