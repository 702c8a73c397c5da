//go:build linux

package crash

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a portal may take, in bytes: as it is, and for each connection that waits.
const (
	ownMemory  = 160 << 20
	connMemory = 80 << 10
)

// resident is how much memory the portal's process takes now, in bytes.
func (p *portal) resident(t *testing.T) int64 {
	t.Helper()
	p.mu.Lock()
	pid := p.cmd.Process.Pid
	p.mu.Unlock()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "VmRSS:")
	require.True(t, found)
	var kilobytes int64
	_, err = fmt.Sscan(rest, &kilobytes)
	require.NoError(t, err)
	return kilobytes << 10
}

// line opens a connection to the portal and sends what is given.
func (p *portal) line(t *testing.T, first string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", p.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, first)
	require.NoError(t, err)
	return conn
}

// closedIn waits until the portal ends a connection that is fed a byte now and then,
// and gives how long it took.
func closedIn(t *testing.T, conn net.Conn, limit time.Duration) time.Duration {
	t.Helper()
	begun := time.Now()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, conn)
	}()
	for {
		select {
		case <-ended:
			return time.Since(begun)
		case <-time.After(300 * time.Millisecond):
			_, _ = conn.Write([]byte("x")) // refused once it is closed
		}
		require.Less(t, time.Since(begun), limit, "a slow connection is kept")
	}
}

// Thousands of connections that wait cost a bounded amount of memory and keep nobody
// from being charged. Who sends or reads too slowly is cut off.
func TestIdleAndSlowConnectionsCostLittle(t *testing.T) {
	t.Parallel()
	n := 5 * kills(1, 40)
	var files syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	if most := int(min(files.Cur, 1<<20)) - 500; n > most {
		t.Logf("only %d connections: this system allows %d open files", most, files.Cur)
		n = most
	}
	h := open(t, options{what: "idle and slow connections", sqlite: true, clients: 4})
	p := h.portals[0]
	for i := range n {
		conn := p.line(t, "GET /healthz HTTP/1.1\r\nHost: "+p.addr+"\r\n\r\n")
		if i%2 == 0 {
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.NoError(t, res.Body.Close())
		} // else it never reads
	}
	acked := func() int {
		h.crew.mu.Lock()
		defer h.crew.mu.Unlock()
		return len(h.crew.journal)
	}
	var peak atomic.Int64
	look := func() { peak.Store(max(peak.Load(), p.resident(t))) }
	before := acked()
	for range 10 {
		pause(h.ctx, 200*time.Millisecond)
		look()
	}
	require.Greater(t, acked(), before+10, "nobody is charged beside %d idle connections", n)

	drip := closedIn(t, p.line(t, "GET / HTTP/1.1\r\nHost: "+p.addr+"\r\nX-Slow: "), 15*time.Second)
	said := fmt.Sprintf("%d idle connections, dripped headers cut after %s", n, drip.Round(time.Second))
	if kills(1, 0) > 0 {
		slow := p.line(t, "POST /v1/charges HTTP/1.1\r\nHost: "+p.addr+"\r\nAuthorization: Bearer "+h.crew.key+"\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{")
		body := closedIn(t, slow, time.Minute)
		// A hundred answers that nobody reads fill every buffer on the way.
		const many = 100
		reader := p.line(t, strings.Repeat("GET /v1/openapi.json HTTP/1.1\r\nHost: "+p.addr+"\r\n\r\n", many))
		pause(h.ctx, 75*time.Second)
		look()
		require.NoError(t, reader.SetReadDeadline(time.Now().Add(30*time.Second)))
		got, from := 0, bufio.NewReader(reader)
		for ; got < many; got++ {
			res, err := http.ReadResponse(from, nil)
			if err != nil {
				break
			}
			_, err = io.Copy(io.Discard, res.Body)
			if joinErr(err, res.Body.Close()) != nil {
				break
			}
		}
		require.Less(t, got, many, "a reader that does not read is waited for")
		said += fmt.Sprintf(", a slow body after %s, a reader that does not read after %d of %d answers", body.Round(time.Second), got, many)
	}
	look()
	require.Less(t, peak.Load(), int64(ownMemory+n*connMemory), "memory beside %d idle connections", n)
	h.report(fmt.Sprintf("%s; %d MiB at most", said, peak.Load()>>20))
}
