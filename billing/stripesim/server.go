package stripesim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"refill/models"
)

// APIVersion is the version of Stripe's API that the shapes follow.
const APIVersion = "2023-10-16"

// PlatformAccount is the id of the account that the key itself belongs to.
const PlatformAccount = "acct_platform"

// maxBody bounds a request's body, in bytes.
const maxBody = 1 << 20

// Endpoint is where webhooks go. A Connect endpoint gets the events of
// connected accounts, any other those of the platform.
type Endpoint struct {
	URL     string
	Secret  string
	Connect bool
}

// Account is a connected account that exists, able to take payments, from the
// start.
type Account struct {
	ID        string // acct_…
	Name      string
	Email     string
	Country   string // two letters; "US" when empty
	Currency  string // "usd" when empty
	Statement string // on card statements; from Name when empty
}

// Config says what a simulator is made of.
type Config struct {
	Clock     models.Clock // domain time; required
	Secret    string       // the one API key accepted; must start with sk_test_
	Endpoints []Endpoint
	Accounts  []Account
	Merchant  string // the platform's name on payment pages; "Demo platform" when empty
	Store     string // path of the state's file; "" keeps it in memory only

	PayLaterAfter time.Duration   // domain time until a bank debit is settled; 72 h when zero
	Backoff       []time.Duration // wall time between webhook attempts; five waits up to 10 min when nil

	HTTPClient *http.Client // for webhooks; one with a timeout of 10 s when nil
	Log        *slog.Logger // nothing is logged when nil
}

// Server is the simulator. Make it with New and close it.
type Server struct {
	clock         models.Clock
	secret        string
	payLaterAfter time.Duration
	backoff       []time.Duration
	client        *http.Client
	log           *slog.Logger
	mux           *http.ServeMux
	origin        *http.CrossOriginProtection

	ctx   context.Context //nolint:containedctx // the life of the background work, ended by Close
	stop  context.CancelFunc
	work  sync.WaitGroup
	alarm chan struct{} // something new may be due for delivery

	mu        sync.Mutex
	endpoints []Endpoint
	state     *state
	base      string // scheme and host the simulator was last reached at
	dirty     []touched
	isDirty   map[touched]bool
	rule      rule
	faults    []fault
	passes    map[chan struct{}]bool // rounds of delivery under way
	closed    bool

	saving  sync.Mutex // held while the journal is written; taken before mu
	journal *journal
}

// New starts a simulator, with the state of its file if there is one.
func New(cfg Config) (*Server, error) {
	if cfg.Clock == nil {
		return nil, errors.New("stripesim needs a clock")
	}
	if !strings.HasPrefix(cfg.Secret, "sk_test_") || len(cfg.Secret) == len("sk_test_") {
		return nil, errors.New("stripesim takes a key that starts with sk_test_ and no other")
	}
	s := &Server{
		clock:         cfg.Clock,
		secret:        cfg.Secret,
		payLaterAfter: cfg.PayLaterAfter,
		backoff:       cfg.Backoff,
		log:           cfg.Log,
		origin:        http.NewCrossOriginProtection(),
		alarm:         make(chan struct{}, 1),
		state:         newState(),
		isDirty:       map[touched]bool{},
		passes:        map[chan struct{}]bool{},
		rule:          rule{Mode: modeDeliver},
	}
	if s.payLaterAfter <= 0 {
		s.payLaterAfter = 72 * time.Hour
	}
	if s.backoff == nil {
		s.backoff = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.client = webhookClient(cfg.HTTPClient)
	if err := s.SetEndpoints(cfg.Endpoints); err != nil {
		return nil, err
	}
	if cfg.Store != "" {
		j, err := openJournal(cfg.Store, s.state)
		if err != nil {
			return nil, err
		}
		s.journal = j
		s.resume()
	}
	s.seedAccounts(cfg)
	s.mux = s.routes()
	s.ctx, s.stop = context.WithCancel(context.Background()) //nolint:forbidigo // the server's own life, ended by Close
	s.work.Go(s.courier)
	return s, nil
}

// seedAccounts makes the platform's account and the given ones, unless the
// state's file already knows them.
func (s *Server) seedAccounts(cfg Config) {
	name := cfg.Merchant
	if name == "" {
		name = "Demo platform"
	}
	for _, a := range append([]Account{{ID: PlatformAccount, Name: name}}, cfg.Accounts...) {
		if s.state.Accounts.find(a.ID) == nil {
			s.addAccount(a)
		}
	}
}

// SetEndpoints replaces the webhook endpoints. Events that wait for delivery
// keep their place in the list: what was for the first goes to the new first.
func (s *Server) SetEndpoints(endpoints []Endpoint) error {
	for _, e := range endpoints {
		if e.URL == "" || e.Secret == "" {
			return errors.New("a webhook endpoint needs an address and a secret")
		}
	}
	s.mu.Lock()
	s.endpoints = append([]Endpoint(nil), endpoints...)
	s.mu.Unlock()
	s.wake()
	return nil
}

// Listen opens an address of this machine that no other can reach, such as
// 127.0.0.1:0, and refuses any other.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q of the payment simulator: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("the payment simulator listens on loopback only, not on %q", addr)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the payment simulator: %w", err)
	}
	if tcp, ok := ln.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%q is not a loopback address", addr), ln.Close())
	}
	return ln, nil
}

// Close ends the background work and writes what is left to write. Events that
// were not delivered stay in the state's file and go out after the next start.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
	return errors.Join(s.save(), s.journal.close())
}

// Tick does what domain time has brought due, expiring sessions and settling
// bank debits, and returns after the first attempt to deliver each event.
func (s *Server) Tick(ctx context.Context) error {
	return s.act(ctx, origin{}, func(*call) {})
}

// ServeHTTP answers the API under /v1, the payment page, and the control door
// under /_sim.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !local(r) {
		http.Error(w, "The payment simulator answers this machine only.", http.StatusForbidden)
		return
	}
	if err := s.origin.Check(r); err != nil {
		http.Error(w, "This request came from another site.", http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}

// local tells whether a request came from this machine and asked for it by a
// name that can only mean it: a page elsewhere that points its own name at
// 127.0.0.1 gets no answer.
func local(r *http.Request) bool {
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(from); err != nil || ip == nil || !ip.IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// seconds is the form of instants in Stripe's objects.
func seconds(t models.Time) int64 { return t.Go().Unix() }
