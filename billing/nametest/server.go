// Package nametest is a name server for tests: it answers TXT questions over UDP
// from a table that the test changes, and leads names to addresses.
package nametest

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Server answers questions; a name without records does not exist.
type Server struct {
	conn net.PacketConn
	mu   sync.Mutex
	txt  map[string][]string
	to   map[string][]netip.Addr
	dumb bool
	seen int
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{conn: conn, txt: map[string][]string{}, to: map[string][]netip.Addr{}}
	t.Cleanup(func() { _ = conn.Close() })
	go s.serve()
	return s
}

// Set gives a name its records; none takes the name away.
func (s *Server) Set(name string, records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.txt[name+"."] = records
}

// Lead leads a name to IPv4 addresses, one at a time: to the first whoever asks
// first, and to the last whoever asks when they have been told.
func (s *Server) Lead(name string, to ...netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to[name+"."] = to
}

// Fail makes every answer an error of the server's.
func (s *Server) Fail(dumb bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dumb = dumb
}

// Asked counts questions.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// Resolver asks this server and no other.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *Server) serve() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if out := s.answer(buf[:n]); out != nil {
			_, _ = s.conn.WriteTo(out, from)
		}
	}
}

func (s *Server) answer(packet []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(packet) != nil || len(m.Questions) != 1 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen++
	q := m.Questions[0]
	records, to := s.txt[q.Name.String()], s.to[q.Name.String()]
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true}, Questions: m.Questions}
	switch {
	case s.dumb:
		out.RCode = dnsmessage.RCodeServerFailure
	case len(records) == 0 && len(to) == 0:
		out.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeTXT:
		for _, text := range records {
			out.Answers = append(out.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET, TTL: 1}, Body: &dnsmessage.TXTResource{TXT: []string{text}},
			})
		}
	}
	if q.Type == dnsmessage.TypeA && len(to) > 0 && !s.dumb {
		out.Answers = append(out.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: to[0].As4()},
		})
		if len(to) > 1 {
			s.to[q.Name.String()] = to[1:]
		}
	}
	packed, err := out.Pack()
	if err != nil {
		return nil
	}
	return packed
}
