//go:build linux

package crash

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"refill/models/modelstest/pgserver"
)

// built is the folder of a program that was built for this run.
var built string

// program builds refill once.
var program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("REFILL_BINARY"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "refill-crash-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "refill")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "refill")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build refill: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range []string{built, builtBefore} {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// kills is the size of a run, or what make test affords.
func kills(share, small int) int {
	n, err := strconv.Atoi(os.Getenv("KILLS"))
	if err != nil || n <= 0 {
		return small
	}
	return max(1, n/share)
}

// seed of this run: SEED, or another each time.
func seed(t *testing.T) uint64 {
	t.Helper()
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		return n
	}
	return rand.Uint64N(1_000_000)
}

// portal is one process of the program.
type portal struct {
	binary, addr string
	env          []string

	answered atomic.Int64 // requests

	mu     sync.Mutex
	log    []string // its last lines
	cmd    *exec.Cmd
	exited chan struct{}
	wanted bool // we killed it
}

// spawn starts the process; ready is closed when it says that it listens.
func (p *portal) spawn() (ready <-chan struct{}, err error) {
	// The kernel ends the child with the thread that started it, so that thread
	// must last as long as the child.
	cmd := exec.Command(p.binary, "serve")
	cmd.Env = append(append(os.Environ(), p.env...), "REFILL_ADDR="+p.addr)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	exited, up, started := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.read(stderr, up)
		_ = cmd.Wait()
		close(exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.cmd, p.exited, p.wanted = cmd, exited, false
	p.mu.Unlock()
	return up, nil
}

func (p *portal) read(from io.Reader, up chan struct{}) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	said := false
	for lines.Scan() {
		text := lines.Text()
		if !said && strings.Contains(text, `"msg":"ready"`) {
			said = true
			close(up)
		}
		p.mu.Lock()
		if p.log = append(p.log, text); len(p.log) > 40 {
			p.log = p.log[1:]
		}
		p.mu.Unlock()
	}
}

// start waits until the portal answers, starting it again while it cannot: its
// database may still be coming back.
func (p *portal) start(ctx context.Context) error {
	limit := time.Now().Add(time.Minute)
	for {
		ready, err := p.spawn()
		if err != nil {
			return err
		}
		select {
		case <-ready:
			return nil
		case <-p.exited:
			if time.Now().After(limit) {
				return fmt.Errorf("the portal does not start: %s", p.said())
			}
			pause(ctx, 20*time.Millisecond)
		case <-time.After(time.Minute):
			return fmt.Errorf("the portal was not ready in a minute: %s", p.said())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// kill ends the process as the kernel's out-of-memory killer does.
func (p *portal) kill() {
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.wanted = true
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill()
	<-exited
}

// ended tells that the process ended although nobody killed it.
func (p *portal) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.exited:
		return !p.wanted
	default:
		return false
	}
}

func (p *portal) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return "\n" + strings.Join(p.log, "\n")
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// pause waits, or stops waiting when the run ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// house is the program on one database, with the programs that use it.
type house struct {
	t       *testing.T
	ctx     context.Context
	what    string // is tried, for the report
	seed    uint64
	rng     *rand.Rand // of the one who breaks things
	begun   time.Time
	server  *pgserver.Server // nil on SQLite
	wire    *wire            // between portal and server; nil on SQLite
	data    string           // folder of SQLite
	portals []*portal
	crew    *crew
	till    *till         // nil: nobody buys
	slowest time.Duration // from a crash to the next answer
}

// options of a house.
type options struct {
	what     string
	sqlite   bool
	portals  int
	clients  int
	settings []string // of PostgreSQL
	disk     string   // where the database lives; empty: anywhere
	env      []string // of the portals
	till     bool     // there is a Stripe, and packs are bought beside
	quiet    bool     // nobody buys
	before   string   // another program, that sets up and serves first; the other portals wait to be started
}

// open builds the program, makes a database, sets the portal up and starts it.
func open(t *testing.T, o options) *house {
	t.Helper()
	binary, err := program()
	require.NoError(t, err)
	h := &house{t: t, ctx: context.WithoutCancel(t.Context()), what: o.what, seed: seed(t), begun: time.Now()}
	h.rng = rand.New(rand.NewPCG(h.seed, 1))
	h.data = filepath.Join(cmp.Or(o.disk, t.TempDir()), "portal")
	env := []string{"REFILL_DATA=" + h.data, "DATABASE_URL="}
	if !o.sqlite {
		h.server, err = pgserver.Start(h.ctx, pgserver.Options{Durable: true, Settings: o.settings, Dir: o.disk})
		require.NoError(t, err)
		t.Cleanup(func() { _ = h.server.Stop() })
		h.createDatabase()
		h.wire = newWire(t, h.ctx, h.server.URL)
		env = []string{"REFILL_DATA=" + h.data, "DATABASE_URL=" + h.wire.url("refill")}
	}
	key := h.setup(cmp.Or(o.before, binary), env)
	env = append(env, o.env...)
	first := freeAddr(t)
	if o.till {
		h.till = openTill(h, first)
		h.till.quiet = o.quiet
		env = append(env, h.till.env()...)
	}
	for i := range max(1, o.portals) {
		p := &portal{binary: binary, addr: first, env: env}
		if i > 0 {
			p.addr = freeAddr(t)
		}
		h.portals = append(h.portals, p)
		t.Cleanup(p.kill)
		if o.before == "" {
			require.NoError(t, p.start(h.ctx))
		}
	}
	if o.before != "" {
		p := &portal{binary: o.before, addr: freeAddr(t), env: env}
		h.portals = append(h.portals, p)
		t.Cleanup(p.kill)
		require.NoError(t, p.start(h.ctx))
	}
	h.crew = newCrew(h, key)
	h.crew.seed()
	if h.till != nil {
		h.till.seed(h.crew)
		if !o.quiet {
			h.crew.hireBuyer()
		}
	}
	h.crew.hire(max(o.clients, 1))
	t.Cleanup(h.crew.dismiss)
	return h
}

// direct is the database past the wire.
func (h *house) direct() string {
	return strings.Replace(h.server.URL, "/postgres?", "/refill?", 1)
}

func (h *house) createDatabase() {
	conn, err := pgx.Connect(h.ctx, h.server.URL)
	require.NoError(h.t, err)
	defer func() { _ = conn.Close(h.ctx) }()
	_, err = conn.Exec(h.ctx, "CREATE DATABASE refill")
	require.NoError(h.t, err)
}

// setup runs refill setup and gives the platform's API key.
func (h *house) setup(binary string, env []string) string {
	cmd := exec.Command(binary, "setup", "--admin-email", "ana@example.com", "--admin-password", "long enough to be one")
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(h.t, err, stderr.String())
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "rf_live_") {
			return word
		}
	}
	h.t.Fatalf("setup printed no key: %s", out)
	return ""
}

// audit runs refill audit past the wire and gives how many invariants it found
// broken, with what it said.
func (h *house) audit() (int, string) {
	cmd := exec.Command(h.portals[0].binary, "audit")
	cmd.Env = append(os.Environ(), "REFILL_DATA="+h.data, "DATABASE_URL=")
	if h.server != nil {
		cmd.Env = append(cmd.Env, "DATABASE_URL="+h.direct())
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return 0, ""
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return 1, string(out)
	}
	h.t.Fatalf("audit could not check: %v\n%s%s", err, out, stderr.String())
	return 0, ""
}

// alive fails the test when a portal ended by itself.
func (h *house) alive() {
	for _, p := range h.portals {
		if p.ended() {
			h.t.Fatalf("the portal ended by itself: %s", p.said())
		}
	}
}

// report prints what was tried and what was found, and fails on anything found.
func (h *house) report(counts string) {
	buys := h.till != nil && !h.till.quiet
	if buys {
		h.till.takes()
	}
	h.crew.check(true)
	c := h.crew
	line := fmt.Sprintf("crash: %s: %s, seed %d: %d requests, %d acknowledged (%d of them answered again), %d refused, %d looks; "+
		"lost %d, doubled %d, answers changed %d, wallets off %d, audit breaches %d; longest time without an answer %s; took %s",
		h.what, counts, h.seed, c.requests.Load(), len(c.journal), c.replays.Load(), c.refused.Load(), c.looks,
		c.found.lost, c.found.doubled, c.found.changed, c.found.off, c.found.breaches, h.slowest.Round(time.Millisecond), time.Since(h.begun).Round(time.Second))
	if buys {
		line += "; " + h.till.String()
	}
	h.t.Log(line)
	if file := os.Getenv("CRASH_REPORT"); file != "" {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(h.t, err)
		_, err = fmt.Fprintln(f, line)
		require.NoError(h.t, errors.Join(err, f.Close()))
	}
	require.Zero(h.t, c.found, strings.Join(c.tales, "\n"))
	require.NotEmpty(h.t, c.journal)
	if buys {
		require.NotEmpty(h.t, h.till.paid)
	}
}

// decode reads a JSON answer.
func decode(raw []byte) map[string]any {
	var out map[string]any
	if json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}
