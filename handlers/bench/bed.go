package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"refill/billing"
	"refill/billing/preset"
	"refill/billing/ratecard"
	"refill/models"
)

// engine is the database beneath a load.
type engine string

const (
	onPostgres engine = "PostgreSQL"
	onSQLite   engine = "SQLite"
)

// What is charged: a thousand prepaid wallets of ten agencies, or one agency's
// own. Each has more credits than a run can use.
const (
	agencies = 10
	clients  = 100 // of each agency
	wallets  = agencies * clients
	action   = "ai.reply"
	model    = "gpt-3.5-turbo"

	by billing.Actor = "bench"
)

// bed is the product on one database, with wallets to charge.
type bed struct {
	product Product
	session *session
	spread  []string // addresses of the thousand wallets
	hot     []string // the one
	apiKey  string
	address string // host:port of the HTTP server
	http    *http.Server
	ended   chan error
	dir     string
	run     string // begins every idempotency key
	count   atomic.Int64
}

func (s *session) newBed(ctx context.Context, on engine) (_ *bed, err error) {
	b := &bed{session: s, run: strconv.FormatInt(int64(s.Clock.Now()), 36)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close(context.WithoutCancel(ctx)))
		}
	}()
	databaseURL, file := "", ""
	if on == onPostgres {
		if databaseURL, err = s.server.create(ctx, "refill_bench_"+b.run); err != nil {
			return nil, err
		}
	} else {
		if b.dir, err = os.MkdirTemp("", "refill-bench-"); err != nil {
			return nil, err
		}
		file = filepath.Join(b.dir, "bench.db")
	}
	if b.product, err = s.Open(ctx, databaseURL, file); err != nil {
		return nil, err
	}
	if err := b.seed(ctx); err != nil {
		return nil, err
	}
	return b, b.listen(ctx)
}

func (b *bed) seed(ctx context.Context) error {
	catalogue, err := preset.Load("stammer")
	if err != nil {
		return err
	}
	if err := b.product.Billing.Import(ctx, catalogue, by); err != nil {
		return err
	}
	b.spread = make([]string, wallets)
	work, each := errgroup.WithContext(ctx)
	for i := range agencies {
		work.Go(func() error { return b.seedAgency(each, i) })
	}
	if err := work.Wait(); err != nil {
		return err
	}
	hot, err := b.agency(ctx, "bench-hot")
	if err != nil {
		return err
	}
	b.hot = []string{"agency:" + hot.ExternalID}
	b.apiKey, _, err = b.product.Billing.CreateAPIKey(ctx, billing.Scope{}, "bench", by)
	return errors.Join(err, b.fund(ctx, hot.ID, hot.WalletID))
}

// seedAgency makes an agency with its clients.
func (b *bed) seedAgency(ctx context.Context, i int) error {
	agency, err := b.agency(ctx, fmt.Sprintf("bench-%d", i))
	if err != nil {
		return err
	}
	for j := range clients {
		sub, err := b.product.Billing.CreateSubAccount(ctx, billing.Scope{}, billing.SubAccountInput{
			Agency: agency.ID, ExternalID: fmt.Sprintf("client-%d", j), Name: fmt.Sprintf("Client %d", j), By: by,
		})
		if err != nil {
			return err
		}
		if err := b.fund(ctx, agency.ID, sub.WalletID); err != nil {
			return err
		}
		b.spread[i*clients+j] = "sub:" + agency.ExternalID + "/" + sub.ExternalID
	}
	return nil
}

func (b *bed) agency(ctx context.Context, name string) (models.Agency, error) {
	return b.product.Billing.CreateAgency(ctx, billing.AgencyInput{ExternalID: name, Name: name, By: by})
}

func (b *bed) fund(ctx context.Context, agency models.AgencyID, wallet models.WalletID) error {
	_, err := b.product.Billing.Adjust(ctx, billing.AdjustInput{
		Agency: agency, Wallet: wallet, Credits: models.MaxCharge, Reason: "benchmark", Key: wallet.String(), By: by,
	})
	return err
}

// listen serves the product on a free port of loopback.
func (b *bed) listen(ctx context.Context) error {
	if b.product.Handler == nil {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.address, b.ended = l.Addr().String(), make(chan error, 1)
	b.http = &http.Server{Handler: b.product.Handler} //nolint:gosec // its only clients are ours
	go func() { b.ended <- b.http.Serve(l) }()
	return nil
}

func (b *bed) close(ctx context.Context) error {
	var errs []error
	if b.http != nil {
		errs = append(errs, b.http.Shutdown(ctx))
		if err := <-b.ended; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	if b.product.Close != nil {
		errs = append(errs, b.product.Close())
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

// key is a new idempotency key, later ones sorting behind earlier ones, as ids
// made by time do.
func (b *bed) key() string {
	const width = 10
	n := strconv.FormatInt(b.count.Add(1), 10)
	return "bench:" + b.run + ":" + "0000000000"[:max(0, width-len(n))] + n
}

func usage() ratecard.Usage {
	return ratecard.Usage{ratecard.InputTokens: 812 * ratecard.One, ratecard.OutputTokens: 96 * ratecard.One}
}
