// Package bench measures the charge path of the product as main wires it: in
// process and over HTTP, on both databases, beside the database's own benchmark
// on the same server in the same run.
//
// Figures of a machine drift with its neighbours; ratios within one run do not.
// So every round measures pgbench's TPC-B first and every row against that
// round's figure, and a row's result is the median of its rounds. The load
// shares the machine with what it measures, as it does for whoever repeats it,
// and so it is kept light: see client.
//
// It owns no wiring and no SQL: main hands it the product, and the server's own
// programs (pgbench, createdb, psql) do the rest.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"time"

	"refill/billing"
	"refill/models"
)

// Product is Refill on one database.
type Product struct {
	Billing *billing.Service
	Handler http.Handler
	Close   func() error
}

// Config says what to measure, and on what.
type Config struct {
	// ServerURL names the maintenance database of a PostgreSQL server; "" leaves
	// out every row that needs one.
	ServerURL string
	ServerBin string // directory of its programs; "": the PATH
	// Open wires the product onto a database: PostgreSQL's when databaseURL is
	// set, else the file.
	Open    func(ctx context.Context, databaseURL, sqliteFile string) (Product, error)
	Seconds int            // of one measurement; 0: 5
	Rounds  int            // 0: 3
	Rows    *regexp.Regexp // nil: all
	Quick   bool           // one short round and a small TPC-B: does it run, not how fast
	Out     string         // file for the results as JSON; "": none
	Profile string         // file for a CPU profile of the rows; "": none
	Print   io.Writer      // the table
	Log     io.Writer      // progress; nil: none
	Clock   models.Clock   // wall time; nil: the system's
}

func (c *Config) fill() error {
	if c.Open == nil || c.Print == nil {
		return errors.New("bench: a product and a place for the table are needed")
	}
	if c.Seconds == 0 {
		c.Seconds = 5
	}
	if c.Rounds == 0 {
		c.Rounds = 3
	}
	if c.Quick {
		c.Seconds, c.Rounds = 1, 1
	}
	if c.Seconds < 1 || c.Rounds < 1 {
		return errors.New("seconds and rounds are at least 1")
	}
	if c.Rows == nil {
		c.Rows = regexp.MustCompile("")
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	if c.Clock == nil {
		c.Clock = models.SystemClock{}
	}
	return nil
}

// session is one run of the benchmark.
type session struct {
	Config
	server *server // nil: no PostgreSQL
	beds   map[engine]*bed

	reached float64 // charges a second over 64 connections in this round
}

// Run measures, prints the table and writes the results. A target that is
// missed is reported, not an error.
func Run(ctx context.Context, c Config) (report Report, err error) {
	if err := c.fill(); err != nil {
		return report, err
	}
	s := &session{Config: c, beds: map[engine]*bed{}}
	lines := s.lines()
	if len(lines) == 0 {
		return report, errors.New("no row has such a name")
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	if err := s.open(ctx, lines); err != nil {
		return report, err
	}
	profiled, err := s.profile()
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, profiled()) }()
	rounds := make([]round, s.Rounds)
	for i := range rounds {
		fmt.Fprintf(s.Log, "round %d of %d\n", i+1, s.Rounds)
		if rounds[i], err = s.round(ctx, lines); err != nil {
			return report, err
		}
	}
	report = s.report(ctx, lines, rounds)
	if err := report.print(s.Print); err != nil {
		return report, err
	}
	if s.Out == "" {
		return report, nil
	}
	return report, report.write(s.Out)
}

// lines are the rows asked for that the databases at hand can give.
func (s *session) lines() []line {
	var out []line
	for _, l := range table() {
		if s.Rows.MatchString(l.name) && (s.ServerURL != "" || !l.needsPostgres()) {
			out = append(out, l)
		}
	}
	return out
}

// open starts what the lines need.
func (s *session) open(ctx context.Context, lines []line) error {
	need := needs(lines, s.ServerURL != "")
	if s.ServerURL != "" {
		var err error
		if s.server, err = findServer(s.ServerURL, s.ServerBin, s.Quick); err != nil {
			return err
		}
	}
	if need[tpcb] || need[tpcbAlone] || need[tpcbHalf] {
		fmt.Fprintf(s.Log, "making pgbench's tables at scale %d\n", s.server.scale)
		if err := s.server.prepare(ctx); err != nil {
			return err
		}
	}
	for name := range need {
		l, ok := loads()[name]
		if !ok || s.beds[l.on] != nil {
			continue
		}
		fmt.Fprintf(s.Log, "making %d wallets on %s\n", wallets, l.on)
		b, err := s.newBed(ctx, l.on)
		if err != nil {
			return fmt.Errorf("prepare %s: %w", l.on, err)
		}
		s.beds[l.on] = b
	}
	return nil
}

func (s *session) close(ctx context.Context) error {
	var errs []error
	for _, b := range s.beds {
		errs = append(errs, b.close(ctx))
	}
	if s.server != nil {
		errs = append(errs, s.server.clean(ctx))
	}
	return errors.Join(errs...)
}

// round measures every load that the lines need, once, in a fixed order.
func (s *session) round(ctx context.Context, lines []line) (round, error) {
	need, out := needs(lines, s.ServerURL != ""), round{}
	for _, name := range order() {
		if !need[name] {
			continue
		}
		var got sample
		var err error
		switch name {
		case tpcb:
			got, err = s.server.best(ctx, s.Seconds)
		case tpcbAlone:
			got, err = s.server.bench(ctx, 1, s.Seconds)
		case tpcbHalf:
			got, err = s.server.half(ctx, out[tpcb].PerSecond, s.Seconds)
		default:
			l := loads()[name]
			got, err = l.measure(ctx, s, s.beds[l.on])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(s.Log, "  %-28s %9.0f a second, p50 %.2f ms, p99 %.2f ms, %.0f + %.0f µs\n",
			name, got.PerSecond, got.P50, got.P99, got.CPU, got.Database)
		out[name] = got
		if name == http64 {
			s.reached = got.PerSecond
		}
	}
	return out, nil
}

func (s *session) profile() (stop func() error, err error) {
	if s.Profile == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(s.Profile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

func (s *session) report(ctx context.Context, lines []line, rounds []round) Report {
	r := Report{
		Machine: Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH},
		At:      s.Clock.Now().Go().Format(time.RFC3339), Seconds: s.Seconds, Rounds: s.Rounds, Quick: s.Quick,
	}
	if s.server != nil {
		r.Machine.Postgres = s.server.version(ctx)
		r.Scale = s.server.scale
	}
	for _, l := range lines {
		r.Rows = append(r.Rows, l.result(rounds))
	}
	return r
}

// write puts the results into a file, its directory made when missing.
func (r *Report) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // results are for everybody
		return err
	}
	body, err := r.json()
	if err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o644) //nolint:gosec // results are for everybody
}
