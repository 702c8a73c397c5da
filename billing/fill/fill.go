// Package fill makes a database of any size to measure on: a year, unless told
// otherwise, of agencies with their plans, packs, clients and charges.
//
// Accounts are made by billing's verbs, at a clock that stands in the past; what
// happened since is decided by the ledger's own code and written in bulk
// (ledger.Past), and the running clock's work ends it, so that the result is a
// database as the portal would have made it: refill audit proves it. The same
// seed gives the same people, amounts and order of events; ids are made anew, and
// charges' fingerprints are of their keys only.
//
// It is never part of a real installation.
package fill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"refill/billing"
	"refill/billing/ledger"
	"refill/models"
)

// Config says what to make.
type Config struct {
	DB      *models.DB
	Ledger  *ledger.Ledger
	Billing *billing.Service // at Clock
	Clock   *Clock

	Entries  int64 // of the ledger, about
	Agencies int   // 0: 100
	Clients  int   // of each agency; 0: 50
	Months   int   // of history; 0: 12
	Seed     uint64
	Log      io.Writer // progress; nil: none
}

// Result is what was made.
type Result struct {
	Agencies int
	Clients  int
	Entries  int64
	Charges  int64
	From, To models.Time
	Took     time.Duration // of the bulk
	Whole    time.Duration
}

// by is who makes the accounts.
const by billing.Actor = "fill"

// Clock is domain time that can be stopped in the past.
type Clock struct{ stopped atomic.Int64 }

// Now is where the clock was stopped, or the wall's time.
func (c *Clock) Now() models.Time {
	if at := c.stopped.Load(); at != 0 {
		return models.Time(at)
	}
	return models.SystemClock{}.Now()
}

func (c *Clock) stop(at models.Time) { c.stopped.Store(int64(at)) }

// Run fills an empty database. It refuses one that has agencies: what it writes
// in bulk cannot be told apart afterwards.
func Run(ctx context.Context, c Config) (Result, error) {
	if err := c.check(ctx); err != nil {
		return Result{}, err
	}
	wall := models.SystemClock{}
	began := wall.Now()
	m := &maker{Config: c, rng: rand.New(rand.NewPCG(c.Seed, 20261122))}
	m.end = began - began%quarter
	m.start = models.At(m.end.Go().AddDate(0, -c.Months, 0))
	defer c.Clock.stop(0)
	fmt.Fprintf(c.Log, "making %d agencies of %d clients\n", c.Agencies, c.Clients)
	if err := m.open(ctx); err != nil {
		return Result{}, err
	}
	bulk := wall.Now()
	if err := m.live(ctx); err != nil {
		return Result{}, fmt.Errorf("this database is not whole, drop it: %w", err)
	}
	took := wall.Now().Sub(bulk)
	c.Clock.stop(0)
	// What is left is what the clock would do: the last days and the thresholds.
	if err := c.Billing.RunDue(ctx, c.Clock.Now()); err != nil {
		return Result{}, err
	}
	return Result{
		Agencies: c.Agencies, Clients: c.Agencies * c.Clients, Entries: m.past.Entries, Charges: m.past.Charges,
		From: m.start, To: m.end, Took: took, Whole: wall.Now().Sub(began),
	}, nil
}

func (c *Config) check(ctx context.Context) error {
	if c.Agencies == 0 {
		c.Agencies = 100
	}
	if c.Clients == 0 {
		c.Clients = 50
	}
	if c.Months == 0 {
		c.Months = 12
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	if c.Agencies < 1 || c.Clients < 1 || c.Months < 1 || c.Months > 36 {
		return errors.New("agencies and clients are at least 1, months 1 to 36")
	}
	const most = 1_000_000_000
	if c.Entries < 1 || c.Entries > most {
		return fmt.Errorf("entries are 1 to %d", most)
	}
	agencies, err := c.Billing.Agencies(ctx)
	if err != nil {
		return err
	}
	plans, err := c.Billing.Plans(ctx)
	if err != nil {
		return err
	}
	if len(agencies) > 0 || len(plans) > 0 {
		return fmt.Errorf("this database is in use (%d agencies, %d plans); fill makes one of its own: name an empty one", len(agencies), len(plans))
	}
	return nil
}
