//go:build linux

package crash

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wire stands between the portal and PostgreSQL and understands as much of what
// is said as it takes to fail at a chosen moment: which statement is executed, and
// when a transaction is committed. The product has no hooks for this.
type wire struct {
	t        *testing.T
	listener net.Listener
	backend  atomic.Pointer[string] // host:port of the server
	rule     atomic.Pointer[rule]
	weather  atomic.Pointer[weather] // nil: a good line

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// event is a message of the portal's that may change something.
type event struct {
	kind   byte   // 'E' a statement of a pipeline or prepared, 'Q' a plain one, 'S' the end of a pipeline
	sql    string // of 'E' and 'Q'
	commit bool   // it commits
	books  bool   // the transaction wrote entries
}

func (e event) String() string {
	if e.kind == 'S' {
		return "sync"
	}
	words := strings.Fields(e.sql)
	if len(words) > 6 {
		words = words[:6]
	}
	return strings.Join(words, " ")
}

// fate is what becomes of a message.
type fate int

const (
	pass      fate = iota
	before         // it does not reach the server, and the connection is cut
	sent           // it reaches the server; the connection is cut at once
	after          // the server has answered; the connection is cut before the portal hears
	torn           // half of it reaches the server, and both sides are reset
	halfHeard      // it reaches the server; half a message of the answer reaches the portal, and both sides are reset
)

// weather is what the line is like for a while, both ways.
type weather struct {
	delay time.Duration   // of each message
	over  <-chan struct{} // nothing arrives before it is closed; nil: everything does
}

// hold keeps a message back as long as the line is bad.
func (w *wire) hold() {
	if now := w.weather.Load(); now != nil {
		<-time.After(now.delay)
		if now.over != nil {
			<-now.over
		}
	}
}

// reset ends a connection as a machine that is gone does.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// rule decides over each event. then runs when the fate is fulfilled and before
// the portal can notice.
type rule struct {
	judge func(event) fate
	then  func(event, fate)
}

func newWire(t *testing.T, ctx context.Context, server string) *wire {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{t: t, listener: l, conns: map[net.Conn]bool{}}
	w.point(server)
	go w.accept()
	t.Cleanup(func() {
		_ = l.Close()
		w.cutAll()
	})
	return w
}

// point sends new connections to a server.
func (w *wire) point(server string) {
	u, err := url.Parse(server)
	require.NoError(w.t, err)
	w.backend.Store(&u.Host)
}

func (w *wire) url(database string) string {
	return "postgres://postgres@" + w.listener.Addr().String() + "/" + database + "?sslmode=disable"
}

func (w *wire) accept() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		go w.carry(c)
	}
}

func (w *wire) keep(c net.Conn) {
	w.mu.Lock()
	w.conns[c] = true
	w.mu.Unlock()
}

func (w *wire) drop(c net.Conn) {
	w.mu.Lock()
	delete(w.conns, c)
	w.mu.Unlock()
	_ = c.Close()
}

func (w *wire) cutAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.Close()
	}
}

// carry moves one connection's messages until one side ends.
func (w *wire) carry(client net.Conn) {
	w.keep(client)
	defer w.drop(client)
	server, err := net.DialTimeout("tcp", *w.backend.Load(), 5*time.Second)
	if err != nil {
		return
	}
	w.keep(server)
	defer w.drop(server)
	s := &spoken{named: map[string]string{}}
	var mute, half atomic.Bool
	idle := make(chan struct{}, 64) // the server said that it is ready for more
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		defer w.drop(client)
		for {
			kind, msg, err := readMessage(server)
			if err != nil {
				return
			}
			if kind == 'Z' {
				select {
				case idle <- struct{}{}:
				default:
				}
			}
			if mute.Load() {
				continue
			}
			w.hold()
			if half.Load() {
				_, _ = client.Write(msg[:len(msg)/2])
				reset(client)
				reset(server)
				return
			}
			if _, err := client.Write(msg); err != nil {
				return
			}
		}
	}()
	first := make([]byte, 4)
	if _, err := io.ReadFull(client, first); err != nil {
		return
	}
	rest := make([]byte, binary.BigEndian.Uint32(first)-4)
	if _, err := io.ReadFull(client, rest); err != nil {
		return
	}
	if _, err := server.Write(slices.Concat(first, rest)); err != nil {
		return
	}
	for {
		kind, msg, err := readMessage(client)
		if err != nil {
			return
		}
		e, ok := s.hear(kind, msg[5:])
		r := w.rule.Load()
		verdict := pass
		if ok && r != nil {
			verdict = r.judge(e)
		}
		if verdict == before {
			r.then(e, verdict)
			return
		}
		w.hold()
		switch verdict {
		case torn:
			_, _ = server.Write(msg[:len(msg)/2])
			reset(server)
			reset(client)
			r.then(e, verdict)
			return
		case halfHeard:
			half.Store(true)
			r.then(e, verdict)
		case sent, after:
			mute.Store(true)
			for len(idle) > 0 {
				<-idle
			}
		case pass, before:
		}
		if _, err := server.Write(msg); err != nil {
			return
		}
		if verdict == after {
			if kind == 'E' { // the server answers at the end of the pipeline; this makes it answer now
				_, _ = server.Write([]byte{'H', 0, 0, 0, 4})
				select {
				case <-answered:
				case <-time.After(3 * time.Millisecond):
				}
			} else {
				select {
				case <-idle:
				case <-answered:
				case <-time.After(5 * time.Second):
				}
			}
		}
		if verdict == sent || verdict == after {
			r.then(e, verdict)
			return
		}
	}
}

// readMessage reads one message whole: type, length, content.
func readMessage(from io.Reader) (byte, []byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	msg := make([]byte, 1+int(n))
	copy(msg, head)
	_, err := io.ReadFull(from, msg[5:])
	return head[0], msg, err
}

// spoken is what one connection has said.
type spoken struct {
	named map[string]string // prepared statements
	bound string            // SQL of the last bound portal
	dirty bool              // the open transaction has written
	books bool              // entries, even
	block bool              // BEGIN was said
}

// hear takes a message in; ok tells whether it is an event.
func (s *spoken) hear(kind byte, body []byte) (e event, ok bool) {
	switch kind {
	case 'P':
		name, rest, _ := strings.Cut(string(body), "\x00")
		sql, _, _ := strings.Cut(rest, "\x00")
		s.named[name] = sql
	case 'B':
		_, rest, _ := strings.Cut(string(body), "\x00")
		name, _, _ := strings.Cut(rest, "\x00")
		s.bound = s.named[name]
	case 'E':
		s.saw(s.bound)
		return event{kind: kind, sql: s.bound, books: s.books}, true
	case 'Q':
		sql, _, _ := strings.Cut(string(body), "\x00")
		word := strings.ToLower(strings.Trim(sql, "; \n"))
		e = event{kind: kind, sql: sql}
		switch {
		case strings.HasPrefix(word, "begin"):
			s.block = true
		case strings.HasPrefix(word, "commit"):
			e.commit, e.books = s.dirty, s.books
			s.block, s.dirty, s.books = false, false, false
		case strings.HasPrefix(word, "rollback"):
			s.block, s.dirty, s.books = false, false, false
		default:
			s.saw(sql)
		}
		return e, true
	case 'S':
		e = event{kind: kind, sql: "sync", commit: s.dirty && !s.block, books: s.books && !s.block}
		if !s.block {
			s.dirty, s.books = false, false
		}
		return e, true
	}
	return event{}, false
}

func (s *spoken) saw(sql string) {
	sql = strings.ToUpper(strings.TrimSpace(sql))
	for _, verb := range []string{"INSERT", "UPDATE", "DELETE", "WITH DONE"} {
		s.dirty = s.dirty || strings.HasPrefix(sql, verb)
	}
	s.books = s.books || strings.HasPrefix(sql, "INSERT INTO ENTRIES")
}
