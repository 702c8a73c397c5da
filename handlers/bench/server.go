package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"refill/models"
)

// server is the PostgreSQL server at hand, spoken to through its own programs.
type server struct {
	url   *url.URL
	bin   string
	scale int   // of TPC-B: 100,000 accounts each
	tries []int // clients; the best of them is T
	suits int   // clients: the best of them in this round

	made []string // databases to drop
}

// tpcbDatabase is where TPC-B's tables are made; one that is there already with
// the right scale is used and kept.
const tpcbDatabase = "refill_bench_tpcb"

func findServer(address, bin string, quick bool) (*server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("the server's address is not a URL such as postgres://user@host:5432/postgres")
	}
	s := &server{url: u, bin: bin, scale: 100, tries: []int{8, 16, 32, 64}}
	if quick {
		s.scale, s.tries = 2, []int{16}
	}
	if _, err := exec.LookPath(s.program("pgbench")); err != nil {
		return nil, fmt.Errorf("pgbench, PostgreSQL's own benchmark, is needed beside the server: %w", err)
	}
	return s, nil
}

func (s *server) program(name string) string {
	if s.bin == "" {
		return name
	}
	return filepath.Join(s.bin, name)
}

// address of a database on the server.
func (s *server) address(database string) string {
	u := *s.url
	u.Path = "/" + database
	return u.String()
}

func (s *server) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.program(name), args...) //nolint:gosec // the server's own programs
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

func (s *server) query(ctx context.Context, database, sql string) (string, error) {
	return s.run(ctx, "psql", "-X", "-A", "-t", "-c", sql, s.address(database))
}

func (s *server) version(ctx context.Context) string {
	v, err := s.query(ctx, strings.TrimPrefix(s.url.Path, "/"), "SHOW server_version")
	if err != nil {
		return "unknown"
	}
	return v
}

// wal is the position in the write-ahead log, in bytes since its beginning.
func (s *server) wal(ctx context.Context) (int64, error) {
	out, err := s.query(ctx, strings.TrimPrefix(s.url.Path, "/"), "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(out, 10, 64)
}

// create makes an empty database that clean drops again.
func (s *server) create(ctx context.Context, name string) (string, error) {
	if _, err := s.run(ctx, "createdb", "--maintenance-db", s.url.String(), name); err != nil {
		return "", err
	}
	s.made = append(s.made, name)
	return s.address(name), nil
}

func (s *server) clean(ctx context.Context) error {
	var errs []error
	for _, name := range s.made {
		_, err := s.run(ctx, "dropdb", "--force", "--maintenance-db", s.url.String(), name)
		errs = append(errs, err)
	}
	s.made = nil
	return errors.Join(errs...)
}

// prepare makes TPC-B's tables.
func (s *server) prepare(ctx context.Context) error {
	have, err := s.query(ctx, tpcbDatabase, "SELECT count(*) FROM pgbench_branches")
	if err == nil && have == strconv.Itoa(s.scale) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("the database %s has scale %s and not %d; drop it first", tpcbDatabase, have, s.scale)
	}
	if _, err := s.create(ctx, tpcbDatabase); err != nil {
		return err
	}
	_, err = s.run(ctx, "pgbench", "--initialize", "--quiet", "--scale", strconv.Itoa(s.scale), s.address(tpcbDatabase))
	return err
}

var (
	tpsLine     = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)
	latencyLine = regexp.MustCompile(`(?m)^latency average = ([0-9.]+) ms`)
)

// bench runs TPC-B. Its mean latency stands for p50; pgbench tells no p99.
func (s *server) bench(ctx context.Context, clients, seconds int, more ...string) (sample, error) {
	args := append([]string{
		"--no-vacuum", "--client", strconv.Itoa(clients), "--jobs", "2", "--time", strconv.Itoa(seconds), "--protocol", "prepared",
	}, more...)
	out, err := s.run(ctx, "pgbench", append(args, s.address(tpcbDatabase))...)
	if err != nil {
		return sample{}, err
	}
	tps, latency := tpsLine.FindStringSubmatch(out), latencyLine.FindStringSubmatch(out)
	if tps == nil || latency == nil {
		return sample{}, fmt.Errorf("pgbench printed no figures: %s", out)
	}
	var got sample
	if got.PerSecond, err = strconv.ParseFloat(tps[1], 64); err != nil {
		return sample{}, err
	}
	got.P50, err = strconv.ParseFloat(latency[1], 64)
	return got, err
}

// best is T: TPC-B with the number of clients that suits the server best.
func (s *server) best(ctx context.Context, seconds int) (best sample, err error) {
	for _, clients := range s.tries {
		got, err := s.bench(ctx, clients, seconds)
		if err != nil {
			return best, err
		}
		if got.PerSecond > best.PerSecond {
			best, s.suits = got, clients
		}
	}
	return best, nil
}

// half paces TPC-B at half of what it reached, by the clients that reached it, and
// tells how long its transactions took once they had begun, of which pgbench keeps a
// log.
func (s *server) half(ctx context.Context, reached float64, seconds int) (out sample, err error) {
	dir, err := os.MkdirTemp("", "refill-bench-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	prefix := filepath.Join(dir, "log")
	out, err = s.bench(ctx, s.suits, seconds, "--rate", strconv.FormatFloat(reached/2, 'f', 0, 64), "--log", "--log-prefix", prefix)
	if err != nil {
		return out, err
	}
	logs, err := filepath.Glob(prefix + "*")
	if err != nil {
		return out, err
	}
	var waits []models.Time
	for _, name := range logs {
		text, err := os.ReadFile(name) //nolint:gosec // in a folder of ours
		if err != nil {
			return out, err
		}
		from, err := logged(string(text))
		if err != nil {
			return out, err
		}
		waits = append(waits, from...)
	}
	slices.Sort(waits)
	out.P50, out.P99 = millis(percentile(waits, 50)), millis(percentile(waits, 99))
	return out, nil
}

// logged reads pgbench's log of a paced run: how long each transaction took from its
// beginning, which may be later than it was due.
func logged(text string) ([]models.Time, error) {
	var out []models.Time
	for line := range strings.Lines(text) {
		var client, transaction, took, script, second, micro, late models.Time
		if _, err := fmt.Sscan(line, &client, &transaction, &took, &script, &second, &micro, &late); err != nil {
			return nil, fmt.Errorf("pgbench logged %q: %w", line, err)
		}
		out = append(out, took-late)
	}
	return out, nil
}
