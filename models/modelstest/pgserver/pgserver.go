// Package pgserver starts throw-away PostgreSQL servers for tests and
// benchmarks.
//
// A server lives in a temporary directory, listens on a random port of
// 127.0.0.1 only, trusts everybody there, and dies with the process that
// started it, even when that process is killed. It needs no privileges; when
// the caller is root, which PostgreSQL refuses to run as, the server runs as
// the user postgres, or nobody.
//
// It owns no schema: databases and migrations are modelstest's.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotInstalled means that no PostgreSQL server program was found.
var ErrNotInstalled = errors.New("no PostgreSQL server is installed here: `make test` installs it, or name a server in TEST_DATABASE_URL")

const (
	// dirPrefix starts the name of every server's directory, followed by the
	// id of the process that owns it, so that left-overs can be told apart.
	dirPrefix = "refill-pg-"
	// startTimeout bounds one start, initdb included; a loaded machine needs
	// a few seconds.
	startTimeout = 90 * time.Second
	// portAttempts: between choosing a free port and the server taking it,
	// somebody else may.
	portAttempts = 5
)

// Options says how a server treats its data.
type Options struct {
	// Durable keeps fsync and full_page_writes on, as in production. Tests
	// leave it off; what measures or crashes a server turns it on.
	Durable bool
	// Settings are further "name=value" settings.
	Settings []string
	// Dir is where its directory is made; empty means the system's place for
	// temporary files.
	Dir string
}

// Server is one running server.
type Server struct {
	// URL names the server's maintenance database.
	URL string
	// Bin is the directory of the server's programs, pgbench among them when
	// it is installed.
	Bin string

	dir     string
	options Options
	cmd     *exec.Cmd
	exited  chan struct{}
}

// Start creates a cluster in a new temporary directory and starts a server on
// it. Directories left by processes that were killed are removed first.
func Start(ctx context.Context, o Options) (*Server, error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	sweep(os.TempDir())
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	dir, err := os.MkdirTemp(o.Dir, dirPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, err
	}
	s := &Server{Bin: bin, dir: dir, options: o}
	if err := s.create(ctx); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	if err := s.launch(ctx); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) launch(ctx context.Context) (err error) {
	for range portAttempts {
		if err = s.start(ctx, s.options); err == nil {
			return nil
		}
	}
	return err
}

// Restart starts a server that has ended again, on its data and on a new port:
// URL changes.
func (s *Server) Restart(ctx context.Context) error {
	<-s.exited
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return s.launch(ctx)
}

// Exited is closed once the server has ended, by itself or not.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Pid is the server's main process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Stop ends the server at once, closing every connection, and removes its
// directory.
func (s *Server) Stop() error {
	s.quit()
	return os.RemoveAll(s.dir)
}

// FillLog writes so many files of the log and leaves them to be used again, as
// those of a server are that has run for a while: whoever needs one that is still to
// be made keeps every commit waiting for 16 MB. Settings bound how many are kept.
func (s *Server) FillLog(ctx context.Context, files int) (err error) {
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, "SELECT pg_logical_emit_message(false, '', ''), pg_switch_wal() FROM generate_series(1, $1::int)", files)
	if err != nil {
		return fmt.Errorf("fill the log: %w", err)
	}
	_, err = conn.Exec(ctx, "CHECKPOINT")
	return err
}

// create runs initdb.
func (s *Server) create(ctx context.Context) error {
	attr, err := serverProcess()
	if err != nil {
		return err
	}
	if c := attr.Credential; c != nil {
		if err := os.Chown(s.dir, int(c.Uid), int(c.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.Bin, "initdb"),
		"--pgdata", s.data(), "--username", "postgres", "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.dir, environment(), attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// start starts the server on a port that is free now and waits until it
// answers.
func (s *Server) start(ctx context.Context, o Options) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	attr, err := serverProcess()
	if err != nil {
		return err
	}
	settings := append([]string{
		"listen_addresses=127.0.0.1", "port=" + port, "unix_socket_directories=", "max_connections=300", "timezone=UTC",
	}, o.Settings...)
	if !o.Durable {
		settings = append(settings, "fsync=off", "full_page_writes=off", "synchronous_commit=off")
	}
	args := []string{"-D", s.data()}
	for _, v := range settings {
		args = append(args, "-c", v)
	}
	log, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(filepath.Join(s.Bin, "postgres"), args...) //nolint:noctx // the server outlives the context of its start
	s.cmd.Dir, s.cmd.Env, s.cmd.SysProcAttr = s.dir, environment(), attr
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.exited = make(chan struct{})
	if err := startOnLastingThread(s.cmd, s.exited); err != nil {
		return err
	}
	s.URL = "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
	if err := s.wait(ctx); err != nil {
		s.quit()
		said, readErr := os.ReadFile(log.Name())
		return errors.Join(err, readErr, errors.New(string(said)))
	}
	return nil
}

// wait returns once the server answers, or has ended.
func (s *Server) wait(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			return errors.New("the PostgreSQL server ended while starting")
		case <-ctx.Done():
			return fmt.Errorf("the PostgreSQL server did not answer: %w", err)
		case <-tick.C:
		}
	}
}

// quit asks for an immediate shutdown and waits for it.
func (s *Server) quit() {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	<-s.exited
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// environment is all that the server's programs get of ours: a locale or a
// PGHOST of the caller's must not reach them.
func environment() []string { return []string{"PATH=/usr/bin:/bin", "LC_ALL=C"} }

// freePort asks the system for a port that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// findBin finds the directory of the newest installed server's programs.
func findBin() (string, error) {
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"} {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		found = append(found, dirs...)
	}
	sort.Slice(found, func(i, j int) bool { return version(found[i]) > version(found[j]) })
	if path, err := exec.LookPath("initdb"); err == nil {
		if program, err := filepath.EvalSymlinks(path); err == nil {
			found = append(found, filepath.Dir(program))
		}
	}
	for _, dir := range found {
		if isProgram(filepath.Join(dir, "initdb")) && isProgram(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

// version reads the major version out of a path such as
// /usr/lib/postgresql/15/bin; 0 where there is none.
func version(path string) int {
	n, err := strconv.Atoi(strings.TrimLeft(filepath.Base(filepath.Dir(path)), "abcdefghijklmnopqrstuvwxyz@-"))
	if err != nil {
		return 0
	}
	return n
}

func isProgram(path string) bool {
	st, err := os.Stat(path)
	return err == nil && !st.IsDir() && st.Mode()&0o111 != 0
}

// sweep removes directories whose owner is gone. What cannot be removed, or
// read, is somebody else's and stays.
func sweep(tmp string) {
	dirs, err := filepath.Glob(filepath.Join(tmp, dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err == nil && !alive(pid) {
			_ = os.RemoveAll(dir)
		}
	}
}

// alive tells whether a process runs; one that we may not signal does.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}
