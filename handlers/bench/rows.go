package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"refill/billing"
)

// The loads by name.
const (
	tpcb          = "TPC-B, best"
	tpcbAlone     = "TPC-B, 1 client"
	tpcbHalf      = "TPC-B, half the rate"
	inProcess     = "in process, 256 callers"
	inProcessHot  = "in process, 256, one wallet"
	http64        = "HTTP, 64 connections"
	http64Hot     = "HTTP, 64, one wallet"
	httpHalf      = "HTTP, 64, half the rate"
	http256       = "HTTP, 256 connections"
	httpBatch     = "HTTP, batch of 1,000 × 4"
	httpAlone     = "HTTP, 1 connection"
	pairs         = "HTTP, hold + capture, 64"
	reads         = "HTTP, GET wallet, 64"
	liteInProcess = "SQLite, in process, 256"
	liteHTTP64    = "SQLite, HTTP, 64"
)

// order is the order in which a round measures.
func order() []string {
	return []string{
		tpcb, inProcess, inProcessHot, http64, httpHalf, http64Hot, http256, httpBatch, pairs, reads, tpcbAlone, tpcbHalf, httpAlone, liteInProcess, liteHTTP64,
	}
}

// load is one way to burden the product.
type load struct {
	on      engine
	measure func(ctx context.Context, s *session, b *bed) (sample, error)
}

func loads() map[string]load {
	spread := func(b *bed) []string { return b.spread }
	hot := func(b *bed) []string { return b.hot }
	return map[string]load{
		inProcess:     {onPostgres, calls(256, spread)},
		inProcessHot:  {onPostgres, calls(256, hot)},
		http64:        {onPostgres, withWAL(requests(64, spread))},
		http64Hot:     {onPostgres, requests(64, hot)},
		httpHalf:      {onPostgres, halfRate(64, spread)},
		http256:       {onPostgres, requests(256, spread)},
		httpBatch:     {onPostgres, batches(4, 1000)},
		httpAlone:     {onPostgres, requests(1, spread)},
		pairs:         {onPostgres, holdsAndCaptures(64)},
		reads:         {onPostgres, walletReads(64)},
		liteInProcess: {onSQLite, calls(256, spread)},
		liteHTTP64:    {onSQLite, requests(64, spread)},
	}
}

type measure = func(ctx context.Context, s *session, b *bed) (sample, error)

// calls charges in process, one charge a call.
func calls(n int, among func(*bed) []string) measure {
	return func(ctx context.Context, s *session, b *bed) (sample, error) {
		to, used := among(b), usage()
		return s.drive(ctx, n, 1, func(i int) (caller, error) {
			return caller{send: func(ctx context.Context) error {
				i++
				_, err := b.product.Billing.Charge(ctx, billing.Scope{}, billing.ChargeInput{
					Wallet: to[(i*stride)%len(to)], Key: b.key(), Action: action, Model: model, Usage: used,
				})
				return err
			}}, nil
		})
	}
}

// stride has no factor in common with the number of wallets, so that a caller
// comes past all of them without keeping in step with its neighbours.
const stride = 607

// connected is a caller with an HTTP connection of its own.
func connected(b *bed, send func(c *client) error) (caller, error) {
	c, err := dial(b.address, b.apiKey)
	if err != nil {
		return caller{}, err
	}
	return caller{send: func(context.Context) error { return send(c) }, end: c.conn.Close}, nil
}

// requests charges over HTTP, one charge a request.
func requests(n int, among func(*bed) []string) measure {
	return pacedRequests(n, among, func(*session) time.Duration { return 0 })
}

// halfRate charges at half the rate that as many connections reached before.
func halfRate(n int, among func(*bed) []string) measure {
	return pacedRequests(n, among, func(s *session) time.Duration {
		return time.Duration(float64(n) / max(s.reached/2, 1) * float64(time.Second))
	})
}

func pacedRequests(n int, among func(*bed) []string, every func(*session) time.Duration) measure {
	return func(ctx context.Context, s *session, b *bed) (sample, error) {
		var bodies [][]byte
		for _, w := range among(b) {
			bodies = append(bodies, chargeBody(w))
		}
		return s.drive(ctx, n, 1, func(i int) (caller, error) {
			pace := every(s)
			from := i
			out, err := connected(b, func(c *client) error {
				i++
				_, err := c.do(http.MethodPost, "/v1/charges", b.key(), bodies[(i*stride)%len(bodies)], http.StatusCreated)
				return err
			})
			out.every, out.late = pace, pace*time.Duration(from)/time.Duration(n)
			return out, err
		})
	}
}

func chargeBody(wallet string) []byte {
	return fmt.Appendf(nil, `{"wallet":%q,"action":%q,"model":%q,"usage":%s}`, wallet, action, model, usage().Canonical())
}

// batches charges over HTTP, many charges a request.
func batches(n, size int) measure {
	return func(ctx context.Context, s *session, b *bed) (sample, error) {
		items := make([]string, size)
		for i := range items {
			items[i] = string(chargeBody(b.spread[i%len(b.spread)]))
		}
		body := []byte(`{"charges":[` + strings.Join(items, ",") + `]}`)
		return s.drive(ctx, n, size, func(int) (caller, error) {
			return connected(b, func(c *client) error {
				answer, err := c.do(http.MethodPost, "/v1/charges/batch", b.key(), body, http.StatusOK)
				if err == nil && strings.Count(string(answer), `"status":201`) != size {
					err = fmt.Errorf("a batch was not charged as a whole: %.300s", answer)
				}
				return err
			})
		})
	}
}

// holdsAndCaptures counts pairs: a reply that was reserved and then settled.
func holdsAndCaptures(n int) measure {
	return func(ctx context.Context, s *session, b *bed) (sample, error) {
		return s.drive(ctx, n, 1, func(i int) (caller, error) {
			return connected(b, func(c *client) error {
				i++
				answer, err := c.do(http.MethodPost, "/v1/holds", b.key(), chargeBody(b.spread[(i*stride)%len(b.spread)]), http.StatusCreated)
				if err != nil {
					return err
				}
				var hold struct {
					ID string `json:"id"`
				}
				if err := json.Unmarshal(answer, &hold); err != nil {
					return err
				}
				_, err = c.do(http.MethodPost, "/v1/holds/"+hold.ID+"/captures", b.key(),
					[]byte(`{"usage":`+usage().Canonical()+`}`), http.StatusCreated)
				return err
			})
		})
	}
}

// walletReads asks for balances.
func walletReads(n int) measure {
	return func(ctx context.Context, s *session, b *bed) (sample, error) {
		return s.drive(ctx, n, 1, func(i int) (caller, error) {
			return connected(b, func(c *client) error {
				i++
				_, err := c.do(http.MethodGet, "/v1/wallets/"+url.PathEscape(b.spread[(i*stride)%len(b.spread)]), "", nil, http.StatusOK)
				return err
			})
		})
	}
}

// withWAL also tells the write-ahead log's bytes for each charge.
func withWAL(m measure) measure {
	return func(ctx context.Context, s *session, b *bed) (sample, error) {
		before, err := s.server.wal(ctx)
		if err != nil {
			return sample{}, err
		}
		charges := b.count.Load()
		got, err := m(ctx, s, b)
		if err != nil {
			return sample{}, err
		}
		after, err := s.server.wal(ctx)
		got.WAL = float64(after-before) / float64(max(1, b.count.Load()-charges))
		return got, err
	}
}
