// Refill is a self-hosted portal for prepaid AI credits sold through agencies.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	_ "time/tzdata" // the static image has no zone files

	"github.com/alecthomas/kong"
	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/checkout"
	"refill/billing/demo"
	"refill/billing/fill"
	"refill/billing/hook"
	"refill/billing/ledger"
	"refill/billing/mail"
	"refill/billing/preset"
	"refill/billing/problem"
	"refill/billing/stripesim"
	"refill/handlers"
	"refill/handlers/api"
	"refill/handlers/bench"
	"refill/handlers/metrics"
	"refill/handlers/replay"
	"refill/models"
)

// cli is every flag and subcommand; each flag of serve is an environment
// variable too.
type cli struct {
	Serve       serveCmd       `cmd:"" default:"withargs" help:"Run the portal (the default)."`
	Demo        demoCmd        `cmd:"" help:"Run a seeded portal with simulated payments; needs nothing else."`
	Setup       setupCmd       `cmd:"" help:"Start an empty database from a script: an admin, a preset and a platform API key. A browser does it at /setup."`
	Stripe      stripeCmd      `cmd:"" help:"Set up or check the connection to Stripe."`
	Migrate     migrateCmd     `cmd:"" help:"Bring the database's schema up to date."`
	Backup      backupCmd      `cmd:"" help:"Copy the database into a new file, as of one moment, while the portal goes on."`
	Restore     restoreCmd     `cmd:"" help:"Fill a database from a backup and make it fit to serve. Exit 0 when its books add up, 1 when not, 2 when it could not be done."`
	Audit       auditCmd       `cmd:"" help:"Prove the ledger's invariants on a live database. Exit 0 clean, 1 breach, 2 could not check."`
	AuditLog    auditLogCmd    `cmd:"" name:"audit-log" help:"Prove that nobody altered or removed an entry of the audit log."`
	Readmit     readmitCmd     `cmd:"" help:"Put a wallet that was taken out of service back, once its books add up again."`
	Replay      replayCmd      `cmd:"" help:"Charge a recorded trace through the API."`
	Bench       benchGroup     `cmd:"" help:"Measure the portal: the charge path, and how it keeps up as history grows."`
	Routes      routesCmd      `cmd:"" help:"Print every route and who may enter."`
	Healthcheck healthcheckCmd `cmd:"" help:"Ask a running portal whether it is ready."`
}

func main() {
	time.Local = time.UTC // instants are UTC everywhere; zones are said where they matter
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(250) // what lives is small and what a charge leaves is much: a third of its CPU was collecting it
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks a second time means at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitError only sets the exit code: what there is to say has been printed.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// run is main without the process: the tests call it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("refill"), kong.Description("Prepaid AI credits, sold through agencies."),
		kong.Writers(stdout, stderr), kong.UsageOnError(), kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(&out{stdout, stderr}))
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "refill:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "refill:", err)
		return 2
	}
	err = command.Run()
	var code exitError
	switch {
	case errors.As(err, &code):
		return int(code)
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "refill:", err)
		return 1
	}
	return 0
}

// out is where a command prints: facts to stdout, the rest to stderr.
type out struct{ stdout, stderr io.Writer }

// storage says where the data lives; all commands that open it share the flags.
type storage struct {
	DatabaseURL string `name:"database-url" env:"DATABASE_URL" help:"PostgreSQL; without it, SQLite in the data folder."`
	Data        string `name:"data" env:"REFILL_DATA" default:"data" help:"Folder of the embedded database."`
	Trusted     bool   `name:"trust-database-network" env:"REFILL_TRUST_DATABASE_NETWORK" help:"Nobody else is on the network to PostgreSQL: do without its certificate, which one on another machine has to show otherwise (sslmode=verify-full)."`
}

// file is the embedded database.
func (s storage) file() string { return filepath.Join(s.Data, "refill.db") }

// secretFlags say where the key is that secrets are sealed with.
type secretFlags struct {
	SecretKey string `name:"secret-key" env:"REFILL_SECRET_KEY" help:"64 hex digits (openssl rand -hex 32): seals webhook and two-step secrets in the database. Without it, the file secret.key in the data folder, which is made at the first start. Keep it, and apart from backups of the database."`
}

// key is the key that secrets are sealed with. One that was made is in a file that
// only we read; a database that has secrets of another key gets no new one.
func (f secretFlags) key(ctx context.Context, db *models.DB, dir string) ([]byte, error) {
	key, err := f.present(ctx, db, dir)
	if key == nil && err == nil {
		return makeSecretKey(filepath.Join(dir, "secret.key"))
	}
	return key, err
}

// present is the key that there is; nil when there is none and none is missing.
func (f secretFlags) present(ctx context.Context, db *models.DB, dir string) ([]byte, error) {
	text, file := f.SecretKey, filepath.Join(dir, "secret.key")
	if text == "" {
		raw, err := os.ReadFile(file) //nolint:gosec // in the folder the operator named
		switch {
		case err == nil:
			text = string(raw)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("read the secret key: %w", err)
		default:
			before, err := billing.SealedBefore(ctx, db)
			if err == nil && before {
				err = fmt.Errorf("%w; there is no REFILL_SECRET_KEY and no file %s", billing.ErrSecretKey, file)
			}
			return nil, err
		}
	}
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != billing.SecretKeyLength {
		return nil, fmt.Errorf("the secret key is %d hex digits, as openssl rand -hex %d makes them", 2*billing.SecretKeyLength, billing.SecretKeyLength)
	}
	return key, nil
}

// makeSecretKey writes a new key. Of two who do so at once one wins, and the other
// starts again.
func makeSecretKey(file string) ([]byte, error) {
	key := make([]byte, billing.SecretKeyLength)
	_, _ = rand.Read(key) // never fails: the runtime aborts without randomness
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the folder the operator named
	if err != nil {
		return nil, fmt.Errorf("make the secret key: %w", err)
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(key))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("make the secret key: %w", err)
	}
	return key, nil
}

// open refuses a database that may forget what it acknowledged, unless nothing
// but a demonstration or a look depends on it.
func (s storage) open(ctx context.Context, log *slog.Logger, allowLoss bool) (*models.DB, error) {
	o := models.Options{DatabaseURL: s.DatabaseURL, SQLitePath: s.file(), MaxConns: 24, AllowLoss: allowLoss, TrustNetwork: s.Trusted, Log: log}
	if s.DatabaseURL == "" {
		if err := os.MkdirAll(s.Data, 0o700); err != nil {
			return nil, fmt.Errorf("make the data folder: %w", err)
		}
	}
	return models.Open(ctx, o)
}

// portal is the program without its pages' address and without payments, for a
// command that changes something and ends.
func (s storage) portal(ctx context.Context, log *slog.Logger) (*portal, error) {
	db, err := s.open(ctx, log, true)
	if err != nil {
		return nil, err
	}
	p, err := newPortal(ctx, db, models.SystemClock{}, nil, handlers.Config{BaseURL: "http://localhost", Log: log}, log)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return p, nil
}

type serveCmd struct {
	storage
	stripeFlags
	mailFlags
	secretFlags
	Addr           string         `env:"REFILL_ADDR" default:"127.0.0.1:8080" help:"Address to listen on."`
	MetricsAddr    string         `name:"metrics-addr" env:"REFILL_METRICS_ADDR" help:"Private address that answers Prometheus at /metrics, such as 127.0.0.1:9464. Without it, nothing is measured."`
	BaseURL        string         `name:"base-url" env:"REFILL_BASE_URL" help:"The address agencies type; https makes cookies Secure."`
	TrustedProxies []netip.Prefix `name:"trusted-proxies" env:"REFILL_TRUSTED_PROXIES" help:"Proxies that may say for whom they ask, such as 10.0.0.5/32."`
	AskFrom        []netip.Prefix `name:"tls-ask-from" env:"REFILL_TLS_ASK_FROM" help:"Private addresses that may ask at /internal/tls which names get a certificate, such as 10.0.0.5/32; this machine may in any case."`
	DNS            string         `name:"dns" env:"REFILL_DNS" help:"Name server that proves agencies' domains, such as 1.1.1.1:53. Without it, the system's."`
	DrainDelay     time.Duration  `name:"drain-delay" env:"REFILL_DRAIN_DELAY" default:"2s" help:"How long /readyz says 503 before connections are refused, once the process was told to end: long enough for whoever shares out requests to notice."`
	AllTwoStep     bool           `name:"all-two-step" env:"REFILL_ALL_TWO_STEP" help:"Ask everybody, clients too, to set up two-step sign-in before anything else."`
	AdminTwoStep   bool           `name:"admin-two-step" env:"REFILL_ADMIN_TWO_STEP" default:"true" negatable:"" help:"Ask admins to set up two-step sign-in before anything else."`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, o *out) error {
	log := newLog(o.stderr)
	db, err := c.open(ctx, log, false)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), db.Close())
	}
	if c.BaseURL == "" {
		c.BaseURL = localURL(listener)
	}
	web := handlers.Config{BaseURL: c.BaseURL, TrustedProxies: c.TrustedProxies, AskFrom: c.AskFrom, EasyAdmins: !c.AdminTwoStep, AllInTwoSteps: c.AllTwoStep, Log: log}
	unwatch, err := c.watch(ctx, &web, log)
	if err != nil {
		return errors.Join(err, listener.Close(), db.Close())
	}
	defer unwatch()
	payments, err := c.payments(ctx, &web, log)
	if err != nil {
		return errors.Join(err, listener.Close(), db.Close())
	}
	mailer, err := c.mailer(ctx, log)
	if err != nil {
		return errors.Join(err, listener.Close(), db.Close())
	}
	key, err := c.key(ctx, db, c.Data)
	if err != nil {
		return errors.Join(err, listener.Close(), db.Close())
	}
	p, err := newPortal(ctx, db, models.SystemClock{}, payments, web, log, func(b *billing.Config) {
		b.Mailer, b.Resolver, b.SecretKey = mailer, resolverAt(c.DNS), key
	})
	if err != nil {
		return errors.Join(err, listener.Close(), db.Close())
	}
	p.drainDelay = c.DrainDelay
	if err := p.billing.UseSecretKey(ctx); err != nil {
		return errors.Join(err, listener.Close(), p.close())
	}
	if err := p.invite(ctx, c.BaseURL); err != nil {
		return errors.Join(err, listener.Close(), p.close())
	}
	log.LogAttrs(ctx, slog.LevelInfo, "ready", slog.String("base_url", c.BaseURL))
	return p.serve(ctx, listener, nil)
}

// resolverAt asks one name server, "" the system's.
func resolverAt(address string) billing.Resolver {
	if address == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
}

// watch answers Prometheus, where it is asked to, until the portal has drained.
func (c *serveCmd) watch(ctx context.Context, web *handlers.Config, log *slog.Logger) (end func(), err error) {
	if c.MetricsAddr == "" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.MetricsAddr)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	web.Metrics = metrics.New()
	server := &http.Server{
		Handler: web.Metrics.Handler(log), ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.LogAttrs(ctx, slog.LevelError, "metrics are not answered any more", slog.Any("error", err))
		}
	}()
	log.LogAttrs(ctx, slog.LevelInfo, "metrics", slog.String("url", "http://"+listener.Addr().String()+"/metrics"))
	return func() { _ = server.Close() }, nil
}

// invite writes the code of the set-up to the log while nobody administers the
// platform: who reads the log may.
func (p *portal) invite(ctx context.Context, base string) error {
	code, err := p.billing.NewSetupCode(ctx)
	if err != nil || code == "" {
		return err
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "set-up: nobody administers this portal yet; open the address and enter the one-time code",
		slog.String("address", base+"/setup"), slog.String("code", code))
	return nil
}

// stripeFlags say how Stripe is reached. They are read at each start and kept
// nowhere.
type stripeFlags struct {
	StripeKey           string   `name:"stripe-secret-key" env:"STRIPE_SECRET_KEY" help:"Without it, buying is off."`
	StripeSecret        []string `name:"stripe-webhook-secret" env:"STRIPE_WEBHOOK_SECRET" help:"One, or two while one is rolled."`
	StripeConnectSecret []string `name:"stripe-connect-webhook-secret" env:"STRIPE_CONNECT_WEBHOOK_SECRET" help:"The same for the accounts of agencies that sell."`
	StripeTax           bool     `name:"stripe-tax" env:"REFILL_STRIPE_TAX" help:"Stripe reckons tax on packs and plans, on top of their prices. Stripe Tax has to be set up first."`
	StripeURL           string   `name:"stripe-url" env:"REFILL_STRIPE_URL" hidden:"" help:"A Stripe-compatible server on this machine, for tests; never with a live key."`
}

func (f *stripeFlags) config(log *slog.Logger) checkout.Config {
	return checkout.Config{
		SecretKey: f.StripeKey, WebhookSecrets: f.StripeSecret, ConnectWebhookSecrets: f.StripeConnectSecret, BaseURL: f.StripeURL, Tax: f.StripeTax, Log: log,
	}
}

// setup is the configuration as people may see it.
func (f *stripeFlags) setup(base string) (billing.StripeSetup, error) {
	out := billing.StripeSetup{BaseURL: base}
	if f.StripeKey == "" {
		return out, nil
	}
	console, err := checkout.NewConsole(f.config(nil))
	if err != nil {
		return out, err
	}
	out.Console, out.Key = console, checkout.Hint(f.StripeKey)
	for _, s := range f.StripeSecret {
		out.Secrets = append(out.Secrets, checkout.Hint(s))
	}
	for _, s := range f.StripeConnectSecret {
		out.ConnectSecrets = append(out.ConnectSecrets, checkout.Hint(s))
	}
	return out, nil
}

// payments wires Stripe as far as it is configured; nil turns buying off.
func (f *stripeFlags) payments(ctx context.Context, web *handlers.Config, log *slog.Logger) (billing.Payments, error) {
	var err error
	if web.Stripe, err = f.setup(web.BaseURL); err != nil {
		return nil, err
	}
	if f.StripeKey == "" {
		return nil, nil //nolint:nilnil // no payments are no error
	}
	if len(f.StripeSecret) == 0 {
		// Without the secret anybody could claim a payment; without the portal nobody could see what is missing.
		log.LogAttrs(ctx, slog.LevelWarn, "buying is off: STRIPE_WEBHOOK_SECRET is not set; run refill stripe setup --url URL", slog.String("url", web.BaseURL))
		return nil, nil //nolint:nilnil // as above
	}
	if f.StripeURL != "" {
		web.Checkout = append(web.Checkout, f.StripeURL)
	}
	return checkout.New(f.config(log))
}

// mailFlags say how mail leaves. They are read at each start and kept nowhere.
type mailFlags struct {
	SMTPURL  string `name:"smtp-url" env:"REFILL_SMTP_URL" help:"Mail server, such as smtp://user:password@mail.example:587. Without it, mails wait."`
	MailFrom string `name:"mail-from" env:"REFILL_MAIL_FROM" help:"Address that mails come from; agencies' clients see it too."`
}

// mailer is the configured mail server; nil leaves mails waiting.
func (f *mailFlags) mailer(ctx context.Context, log *slog.Logger) (billing.Mailer, error) {
	if f.SMTPURL == "" {
		log.LogAttrs(ctx, slog.LevelWarn, "mails wait: set REFILL_SMTP_URL and REFILL_MAIL_FROM to send invitations and sign-in links")
		return nil, nil //nolint:nilnil // no mail server is no error
	}
	if f.MailFrom == "" {
		return nil, errors.New("REFILL_MAIL_FROM is the address that mails come from; REFILL_SMTP_URL needs it")
	}
	return mail.NewSMTP(f.SMTPURL, f.MailFrom)
}

// newLog writes a line of JSON for each thing that happens, at its time in UTC.
func newLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindTime {
			a.Value = slog.TimeValue(a.Value.Time().UTC())
		}
		return a
	}}))
}

// localURL is how a browser on this machine reaches a listener. The name
// localhost, because each agency's clients live on a name below it.
func localURL(l net.Listener) string {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "http://" + l.Addr().String()
	}
	return "http://localhost:" + port
}

// portal is everything that runs beside one database.
type portal struct {
	db      *models.DB
	ledger  *ledger.Ledger
	billing *billing.Service
	web     http.Handler
	metrics *metrics.Metrics // nil: nobody asks
	log     *slog.Logger
	also    func(ctx context.Context) error // done at every beat as well; may be nil

	leaving    *atomic.Bool  // it was told to end: readiness says so
	drainDelay time.Duration // between saying so and refusing connections
}

func newPortal(ctx context.Context, db *models.DB, clock models.Clock, payments billing.Payments, web handlers.Config, log *slog.Logger, change ...func(*billing.Config)) (*portal, error) {
	options := ledger.Options{Log: log}
	if web.Metrics != nil {
		options.Observer = web.Metrics
	}
	led, err := ledger.Open(ctx, db, options)
	if err != nil {
		return nil, err
	}
	config := billing.Config{DB: db, Ledger: led, Clock: clock, Payments: payments, BaseURL: web.BaseURL, Platform: web.Name, Log: log}
	for _, f := range change {
		f(&config)
	}
	service, err := billing.New(config)
	if err != nil {
		return nil, errors.Join(err, led.Close())
	}
	leaving := new(atomic.Bool)
	web.Billing, web.Leaving = service, leaving.Load
	web.API = func(e *echo.Echo) error {
		_, err := api.Register(e, service, api.Options{Log: log, BaseURL: web.BaseURL})
		return err
	}
	handler, err := handlers.New(web)
	if err != nil {
		return nil, errors.Join(err, led.Close())
	}
	if web.Metrics != nil {
		err := web.Metrics.Watch(context.WithoutCancel(ctx), metrics.Sources{DB: db, Ledger: led, Billing: service, Log: log})
		if err != nil {
			return nil, errors.Join(err, led.Close())
		}
	}
	return &portal{db: db, ledger: led, billing: service, web: handler, metrics: web.Metrics, log: log, leaving: leaving}, nil
}

// Limits of a connection. A reader or writer that is slower is cut off.
const (
	headerTime = 5 * time.Second
	readTime   = 30 * time.Second
	writeTime  = 60 * time.Second
	idleTime   = 2 * time.Minute
	drainTime  = 15 * time.Second
)

// serve answers requests and does what is due until ctx ends. Then it drains: for
// drainDelay it is no longer ready and still takes requests, then it takes no more,
// and within drainTime it answers those it took and books what is under way. ready
// is called once it listens.
func (p *portal) serve(ctx context.Context, listener net.Listener, ready func() error) error {
	server := &http.Server{
		Handler: http.HandlerFunc(p.answer), ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	background, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup // a mail or webhook that is being sent is booked as sent
	for _, f := range []func(context.Context){
		p.tick, p.billing.WorkInbox, p.billing.WorkWatches, p.billing.WorkTopUps, p.billing.WorkDomains, p.billing.WorkMails, p.billing.WorkHooks,
	} {
		work.Go(func() { f(background) })
	}
	var err error
	if ready != nil {
		err = ready()
	}
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	if err == nil {
		p.leaving.Store(true)
		p.log.LogAttrs(ctx, slog.LevelInfo, "leaving", slog.Duration("refusing_in", p.drainDelay))
		select {
		case err = <-failed:
		case <-time.After(p.drainDelay):
		}
	}
	stop()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		work.Wait()
	}()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if shut := server.Shutdown(drain); shut != nil {
		err = errors.Join(err, fmt.Errorf("requests were not answered within %s: %w", drainTime, shut))
	}
	select {
	case <-idle:
	case <-drain.Done():
		err = errors.Join(err, fmt.Errorf("work was not done within %s; the next start finds it", drainTime))
	}
	return errors.Join(err, p.close())
}

// answer has a connection end with its answer while the portal leaves, so that none
// is cut that somebody was about to use. So it does where a connection was given up
// before its request is looked at: the client is gone, and then it costs nothing; or it
// is not, as was seen once, why is not known, and it would be refused on this connection
// for as long as it keeps it.
func (p *portal) answer(w http.ResponseWriter, r *http.Request) {
	given := r.Context().Err() != nil
	if given || p.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	if given {
		p.log.LogAttrs(r.Context(), slog.LevelInfo, "a connection was given up before its request", slog.String("from", r.RemoteAddr))
		r = r.WithContext(context.WithoutCancel(r.Context()))
	}
	p.web.ServeHTTP(w, r)
}

func (p *portal) close() error { return errors.Join(p.ledger.Close(), p.db.Close()) }

// tick does what is due by the clock, every second.
func (p *portal) tick(ctx context.Context) {
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			begun := time.Now()
			err := p.billing.RunDue(ctx, p.billing.Now())
			if ctx.Err() == nil {
				p.metrics.DueWork(models.At(time.Now()), time.Since(begun), err)
			}
			if p.also != nil {
				err = errors.Join(err, p.also(ctx))
			}
			if err != nil && ctx.Err() == nil {
				p.log.LogAttrs(ctx, slog.LevelError, "due work failed", slog.Any("error", err))
			}
		}
	}
}

type demoCmd struct {
	Addr        string `default:"127.0.0.1:8080" help:"Address to listen on; port 0 picks a free one."`
	Data        string `help:"Folder to keep the demo in; an existing one is used again. Without it, a temporary one."`
	Preset      string `default:"stammer" help:"Catalogue to start with: stammer, ai-employee, dm-champ, tawk or thrivedesk."`
	DatabaseURL string `name:"database-url" help:"PostgreSQL instead of SQLite."`
	ReadyFile   string `name:"ready-file" help:"File that gets the addresses and keys as JSON once everything answers."`
}

// Secrets of the demo's payment simulator, which listens on loopback only and
// moves no money.
const (
	simKey           = "sk_test_refill_demo"
	simSecret        = "whsec_refill_demo"         //nolint:gosec // of the simulator: it moves no money
	simConnectSecret = "whsec_refill_demo_connect" //nolint:gosec // of the simulator: it moves no money
)

// Run seeds what is not there yet and serves until ctx ends.
func (c *demoCmd) Run(ctx context.Context, o *out) (err error) {
	log := slog.New(slog.NewTextHandler(o.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	catalogue, err := preset.Load(c.Preset)
	if err != nil {
		return err
	}
	if err := c.checkReadyFile(); err != nil {
		return err
	}
	if c.Data == "" {
		dir, err := os.MkdirTemp("", "refill-demo-")
		if err != nil {
			return err
		}
		c.Data = dir
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() { _ = listener.Close() }()
	box, err := stripesim.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = box.Close() }()
	db, err := storage{DatabaseURL: c.DatabaseURL, Data: c.Data, Trusted: true}.open(ctx, log, true) // it has nothing to lose
	if err != nil {
		return err
	}
	clock, err := demoClock(ctx, db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	d := &demoRun{
		demoCmd: *c, out: o, log: log, clock: clock, catalogue: catalogue,
		base: localURL(listener), stripe: "http://" + box.Addr().String(), hook: "http://" + listener.Addr().String(),
	}
	return d.serve(ctx, db, listener, box)
}

// checkReadyFile tells before the seeding, which takes a while, that the ready
// file would have nowhere to go.
func (c *demoCmd) checkReadyFile() error {
	if c.ReadyFile == "" {
		return nil
	}
	dir := filepath.Dir(c.ReadyFile)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--ready-file: there is no folder %s; make it first, or name a file in one that is there", dir)
	case err != nil:
		return fmt.Errorf("--ready-file: %w", err)
	case !info.IsDir():
		return fmt.Errorf("--ready-file: %s is not a folder", dir)
	}
	return nil
}

// demoClock goes on from where an earlier run had moved the clock to.
func demoClock(ctx context.Context, db *models.DB) (*demo.Clock, error) {
	var rows []models.Setting
	if err := db.Read.WithContext(ctx).Where("name = ?", "clock_offset").Find(&rows).Error; err != nil {
		return nil, err
	}
	var offset int64
	for _, r := range rows {
		if _, err := fmt.Sscan(r.Value, &offset); err != nil {
			return nil, fmt.Errorf("read the demo's clock: %w", err)
		}
	}
	return demo.NewClock(offset), nil
}

// demoRun is one run of the demo.
type demoRun struct {
	demoCmd
	out       *out
	log       *slog.Logger
	clock     *demo.Clock
	catalogue preset.Catalogue
	base      string // of the portal, as a browser types it
	stripe    string // of the simulator
	hook      string // of the portal, as the simulator reaches it
	sim       *stripesim.Server
	portal    *portal
}

func (d *demoRun) serve(ctx context.Context, db *models.DB, listener, box net.Listener) error {
	endpoints := []stripesim.Endpoint{
		{URL: d.hook + "/webhooks/stripe", Secret: simSecret},
		{URL: d.hook + "/webhooks/stripe/connect", Secret: simConnectSecret, Connect: true},
	}
	var err error
	var sellers []stripesim.Account
	for _, s := range demo.Sellers() {
		sellers = append(sellers, stripesim.Account{ID: s.Account, Name: s.Name, Email: s.Email})
	}
	if d.sim, err = stripesim.New(stripesim.Config{
		Accounts: sellers, Clock: d.clock, Secret: simKey, Store: filepath.Join(d.Data, "stripesim.json"), Merchant: "Refill demo", Log: d.log,
	}); err != nil {
		return errors.Join(err, db.Close())
	}
	defer func() { _ = d.sim.Close() }()
	simServer := &http.Server{Handler: d.sim, ReadHeaderTimeout: headerTime}
	go func() { _ = simServer.Serve(box) }()
	defer func() { _ = simServer.Close() }()
	gateway, err := checkout.New(checkout.Config{
		SecretKey: simKey, WebhookSecrets: []string{simSecret}, ConnectWebhookSecrets: []string{simConnectSecret}, BaseURL: d.stripe, Log: d.log,
	})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	payments := stripeFlags{StripeKey: simKey, StripeSecret: []string{simSecret}, StripeConnectSecret: []string{simConnectSecret}, StripeURL: d.stripe}
	configured, err := payments.setup(d.hook)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	key, err := secretFlags{}.key(ctx, db, d.Data)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	d.portal, err = newPortal(ctx, db, d.clock, gateway, handlers.Config{
		EasyAdmins: true, BaseURL: d.base, Log: d.log, Stripe: configured, Checkout: []string{d.stripe}, Demo: &handlers.Demo{
			Banner: "Demo: payments are simulated, no money moves.", Receipt: "Made in a demo: no money was moved.",
			Hint: "In this demo everybody's password is " + demo.Password + ".", Advance: d.advance,
		},
	}, d.log, func(b *billing.Config) {
		b.Mailer, b.KeepMails, b.Hooks, b.SecretKey = mail.Kept{}, true, hook.New(hook.Options{Loopback: true}), key
	})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	if err := d.portal.billing.UseSecretKey(ctx); err != nil {
		return errors.Join(err, d.portal.close())
	}
	if err := d.seed(ctx); err != nil {
		return errors.Join(err, d.portal.close())
	}
	d.portal.also = d.sim.Tick
	if err := d.sim.SetEndpoints(endpoints); err != nil {
		return errors.Join(err, d.portal.close())
	}
	return d.portal.serve(ctx, listener, func() error { return d.announce(ctx) })
}

// seed makes the business unless an earlier run did.
func (d *demoRun) seed(ctx context.Context) error {
	done, err := d.portal.billing.Setting(ctx, "demo_seeded")
	if err != nil || done != "" {
		return err
	}
	_, _ = fmt.Fprintf(d.out.stderr, "Making a business with %d days of usage…\n", demo.Days)
	seeder := &demo.Seeder{
		Billing: d.portal.billing, Clock: d.clock, Catalogue: d.catalogue, Pay: d.pay,
	}
	if err := seeder.Seed(ctx); err != nil {
		return fmt.Errorf("seed the demo: %w", err)
	}
	return d.portal.billing.SetSetting(ctx, "demo_seeded", d.catalogue.Name)
}

// pay pays a session at the simulator's control door.
func (d *demoRun) pay(ctx context.Context, session string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.stripe+"/_sim/checkout/sessions/"+session+"/pay", strings.NewReader("card=4242424242424242"))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the simulator answered %s", res.Status)
	}
	return nil
}

// advance moves domain time and does everything that is due by then.
func (d *demoRun) advance(ctx context.Context, to models.Time) error {
	if err := d.clock.Advance(to); err != nil {
		return err
	}
	if err := d.portal.billing.SetSetting(ctx, "clock_offset", strconv.FormatInt(d.clock.Offset(), 10)); err != nil {
		return err
	}
	if err := d.sim.Tick(ctx); err != nil {
		return err
	}
	return d.portal.billing.RunDue(ctx, d.clock.Now())
}

// readyFile is what programs need to use the demo (DESIGN 10).
type readyFile struct {
	BaseURL     string      `json:"base_url"`
	StripeURL   string      `json:"stripe_url"`
	DatabaseURL string      `json:"database_url"`
	APIKey      string      `json:"api_key"`
	Admin       readyPerson `json:"admin"`
	Agency      readyAgency `json:"agency"`
	Client      readyClient `json:"client"`
}

type readyPerson struct {
	Email     string `json:"email"`
	Password  string `json:"password"`
	SignInURL string `json:"sign_in_url"`
}

type readyAgency struct {
	ID         string `json:"id"`
	ExternalID string `json:"external_id"`
	Wallet     string `json:"wallet"`
	APIKey     string `json:"api_key"`
	readyPerson
}

type readyClient struct {
	ID               string `json:"id"`
	ExternalID       string `json:"external_id"`
	AgencyExternalID string `json:"agency_external_id"`
	Wallet           string `json:"wallet"`
	readyPerson
}

// announce prints the links and writes the ready file, once everything answers.
func (d *demoRun) announce(ctx context.Context) error {
	ready, err := d.ready(ctx)
	if err != nil {
		return err
	}
	body, err := json.MarshalIndent(ready, "", "  ") //nolint:gosec // the demo's key is what the file is for
	if err != nil {
		return err
	}
	if d.ReadyFile != "" {
		// Written aside and renamed: who waits for it never reads half of it.
		if err := os.WriteFile(d.ReadyFile+".part", body, 0o600); err != nil {
			return err
		}
		if err := os.Rename(d.ReadyFile+".part", d.ReadyFile); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(d.out.stdout, `
Refill demo (%s) is ready. Payments are simulated; no money moves.

  Agency owner   %s
  Client         %s
  Admin          %s

  API key (platform)   %s
  Simulated Stripe     %s
  Mails (none leaves)  %s/demo/mail

Charge a reply:

  curl -s %s/v1/charges -H 'Authorization: Bearer %s' \
    -H 'Content-Type: application/json' -H "Idempotency-Key: try-$RANDOM" \
    -d '%s'

Stop with Ctrl-C.
`, d.catalogue.Title, ready.Agency.SignInURL, ready.Client.SignInURL, ready.Admin.SignInURL, ready.APIKey, ready.StripeURL, ready.BaseURL,
		ready.BaseURL, ready.APIKey, d.sampleCharge(ready))
	return err
}

// sampleCharge is a charge of the preset's first rate.
func (d *demoRun) sampleCharge(ready readyFile) string {
	rate := d.catalogue.Cards[0].Rates[0]
	model := ""
	if rate.Model != "" {
		model = fmt.Sprintf(`, "model": %q`, rate.Model)
	}
	return fmt.Sprintf(`{"wallet": "agency:%s", "action": %q%s}`, ready.Agency.ExternalID, rate.Action, model)
}

func (d *demoRun) ready(ctx context.Context) (readyFile, error) {
	out := readyFile{BaseURL: d.base, StripeURL: d.stripe, DatabaseURL: d.DatabaseURL}
	s := d.portal.billing
	agency, err := s.AgencyByRef(ctx, billing.Scope{}, demo.AgencyExternalID)
	if err != nil {
		return out, err
	}
	client, err := s.SubAccountByRef(ctx, agency.ID, demo.ClientExternalID)
	if err != nil {
		return out, err
	}
	if out.APIKey, _, err = s.CreateAPIKey(ctx, billing.Scope{}, "demo", "demo"); err != nil {
		return out, err
	}
	out.Agency = readyAgency{ID: agency.ID.String(), ExternalID: agency.ExternalID, Wallet: agency.WalletID.String()}
	if out.Agency.APIKey, _, err = s.CreateAPIKey(ctx, billing.Scope{Agency: agency.ID}, "demo", "demo"); err != nil {
		return out, err
	}
	out.Client = readyClient{
		ID: client.ID.String(), ExternalID: client.ExternalID, AgencyExternalID: agency.ExternalID, Wallet: client.WalletID.String(),
	}
	clientBase := strings.Replace(d.base, "://", "://"+agency.Host+".", 1)
	for _, p := range []struct {
		email, base string
		into        *readyPerson
	}{
		{demo.AdminEmail, d.base, &out.Admin}, {demo.OwnerEmail, d.base, &out.Agency.readyPerson}, {demo.ClientEmail, clientBase, &out.Client.readyPerson},
	} {
		link, err := d.signInLink(ctx, p.email, p.base)
		if err != nil {
			return out, err
		}
		*p.into = readyPerson{Email: p.email, Password: demo.Password, SignInURL: link}
	}
	return out, nil
}

// Sign-in links of the demo are good for a day and many uses: a visitor comes
// back to the line in the terminal.
const (
	demoLinkLife = 24 * time.Hour
	demoLinkUses = 1000
)

func (d *demoRun) signInLink(ctx context.Context, email, base string) (string, error) {
	user, err := d.portal.billing.UserByEmail(ctx, email)
	if err != nil {
		return "", err
	}
	token, err := d.portal.billing.NewSignInLink(ctx, user.ID, demoLinkLife, demoLinkUses)
	return base + "/sign-in/" + token, err
}

type setupCmd struct {
	storage
	Preset     string `default:"stammer" help:"Catalogue to start with."`
	AdminEmail string `name:"admin-email" required:"" help:"Who administers the platform."`
	Password   string `name:"admin-password" env:"REFILL_ADMIN_PASSWORD" required:"" help:"At least 8 characters."`
}

// Run fills an empty database; it refuses one that has plans already. Whether
// commits are durable is serve's to ask.
func (c *setupCmd) Run(ctx context.Context, o *out) error {
	catalogue, err := preset.Load(c.Preset)
	if err != nil {
		return err
	}
	p, err := c.portal(ctx, newLog(o.stderr))
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }()
	plans, err := p.billing.Plans(ctx)
	if err != nil {
		return err
	}
	if len(plans) > 0 {
		return errors.New("this database was set up before: it has plans")
	}
	// The admin first: a password that is refused leaves the database empty.
	_, err = p.billing.FirstAdmin(ctx, billing.UserInput{Email: c.AdminEmail, Name: c.AdminEmail, Password: c.Password, By: "setup"})
	if problem.Is(err, "setup_over") {
		return errors.New("this database was set up before: it has an admin, who can go on at /setup")
	}
	if err != nil {
		return err
	}
	if err := p.billing.Import(ctx, catalogue, "setup"); err != nil {
		return err
	}
	key, _, err := p.billing.CreateAPIKey(ctx, billing.Scope{}, "setup", "setup")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.stdout, "Sign in as %s. Platform API key, shown once:\n%s\n", c.AdminEmail, key)
	return err
}

type stripeCmd struct {
	Setup stripeSetupCmd `cmd:"" help:"Make the two webhook endpoints, or find them, and print the secrets of new ones."`
	Check stripeCheckCmd `cmd:"" help:"Check key, account, endpoints and secrets: the list of /setup/stripe. Exit 0 when everything works, 1 when not."`
}

// portalURL is an address that Stripe is told.
type portalURL struct {
	URL string `name:"url" env:"REFILL_BASE_URL" required:"" help:"Address of the portal, as browsers and Stripe reach it."`
}

func (u *portalURL) clean() error {
	read, err := url.Parse(u.URL)
	if err != nil || read.Scheme != "http" && read.Scheme != "https" || read.Hostname() == "" || strings.Trim(read.Path, "/") != "" {
		return fmt.Errorf("--url: %q is not like https://credits.example", u.URL)
	}
	u.URL = read.Scheme + "://" + read.Host
	return nil
}

type stripeSetupCmd struct {
	stripeFlags
	portalURL
}

// Run prepares both endpoints. Doing it again finds them. Secrets go to stdout,
// once, and nowhere else.
func (c *stripeSetupCmd) Run(ctx context.Context, o *out) error {
	if err := c.clean(); err != nil {
		return err
	}
	console, err := checkout.NewConsole(c.config(nil))
	if err != nil {
		return err
	}
	setup := billing.StripeSetup{Console: console, BaseURL: c.URL}
	switch {
	case setup.Mode() == "simulated":
	case !setup.Reachable():
		return fmt.Errorf("stripe cannot deliver to %s, an address of this machine or of a private network; name the public one, or try things out with stripe listen --forward-to %s",
			c.URL, checkout.EndpointURL(c.URL, false))
	case console.LiveMode() && !strings.HasPrefix(c.URL, "https://"):
		return fmt.Errorf("stripe delivers live events to https only; %s is not", c.URL)
	}
	account, err := console.Account(ctx)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(o.stdout, format, args...) }
	say("Account %s (%s), %s mode, API version %s.\n", account.Name, account.ID, setup.Mode(), checkout.APIVersion)
	if !account.ChargesEnabled {
		say("It may not take payments yet: finish the account in Stripe's dashboard.\n")
	}
	made := false
	for _, connect := range []bool{false, true} {
		p, err := console.PrepareEndpoint(ctx, c.URL, connect)
		if err != nil {
			return fmt.Errorf("the endpoint %s: %w", checkout.EndpointURL(c.URL, connect), err)
		}
		variable := "STRIPE_WEBHOOK_SECRET"
		if connect {
			variable = "STRIPE_CONNECT_WEBHOOK_SECRET"
		}
		switch {
		case p.Made:
			made = true
			say("\nMade %s for %s. Its secret, shown once:\n%s=%s\n", p.ID, p.URL, variable, p.Secret)
		case p.Changed:
			say("\nMended %s for %s: switched on, with every event that is acted on.\n", p.ID, p.URL)
		default:
			say("\nFound %s for %s: nothing to change.\n", p.ID, p.URL)
		}
		if !p.Made {
			say("%s is the secret that was shown when it was made; Stripe's dashboard reveals it under Developers, Webhooks.\n", variable)
		}
		for i := range p.Stale {
			say("%s has the same address in another API version. Delete it in Stripe's dashboard once the new secret is set.\n", p.Stale[i].ID)
		}
	}
	if made {
		say("\nSet these for refill serve and start it again. Then: refill stripe check --url %s\n", c.URL)
	}
	return nil
}

type stripeCheckCmd struct {
	stripeFlags
	portalURL
}

// Run prints what the page of the set-up shows, in the same words.
func (c *stripeCheckCmd) Run(ctx context.Context, o *out) error {
	if err := c.clean(); err != nil {
		return err
	}
	setup, err := c.setup(c.URL)
	if err != nil {
		return err
	}
	checks := billing.CheckStripe(ctx, setup)
	for i := range checks {
		check := &checks[i]
		if _, err := fmt.Fprintf(o.stdout, "%s: %s\n  Tried: %s\n  Came back: %s\n", check.Name, check.Verdict.Word(), check.Tried, check.Found); err != nil {
			return err
		}
		if check.Next != "" {
			if _, err := fmt.Fprintf(o.stdout, "  Do next: %s\n", check.Next); err != nil {
				return err
			}
		}
	}
	if setup.Console == nil || billing.Failed(checks) {
		return exitError(1)
	}
	return nil
}

type migrateCmd struct{ storage }

// Run migrates; opening does it.
func (c *migrateCmd) Run(ctx context.Context, o *out) error {
	db, err := c.open(ctx, newLog(o.stderr), true)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.stdout, "The schema is up to date.")
	return errors.Join(err, db.Close())
}

// backupFlags name the database of a backup.
type backupFlags struct {
	storage
	Programs string `name:"pg-programs" env:"REFILL_PG_PROGRAMS" help:"Folder of pg_dump and pg_restore, of the server's version or newer. Without it, those along the path."`
}

func (f *backupFlags) options() models.BackupOptions {
	return models.BackupOptions{Options: models.Options{DatabaseURL: f.DatabaseURL, SQLitePath: f.file(), TrustNetwork: f.Trusted}, Programs: f.Programs}
}

type backupCmd struct {
	backupFlags
	File string `arg:"" help:"New file for the backup. It holds everything but the secret key."`
}

// Run copies the database.
func (c *backupCmd) Run(ctx context.Context, o *out) error {
	size, err := models.Backup(ctx, c.options(), c.File)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.stdout, "Wrote %s, %d bytes.\n", c.File, size)
	return err
}

type restoreCmd struct {
	backupFlags
	secretFlags
	File    string `arg:"" optional:"" help:"What refill backup wrote. Without it, the database has been restored by other means, and is only checked and made fit to serve."`
	Replace bool   `help:"Put it in the place of the SQLite database that is there, which is kept under another name. A PostgreSQL database is never replaced: restore into an empty one."`
}

// Run restores, migrates, makes fit and audits.
func (c *restoreCmd) Run(ctx context.Context, o *out) error {
	failed := func(err error) error {
		_, _ = fmt.Fprintln(o.stderr, "refill:", err)
		return exitError(2)
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(o.stdout, format, args...) }
	if c.File != "" {
		options := c.options()
		options.Replace, options.Stamp = c.Replace, time.Now().Format("20060102T150405Z")
		kept, err := models.Restore(ctx, options, c.File)
		if err != nil {
			return failed(err)
		}
		if kept != "" {
			say("What was there is kept as %s.\n", kept)
		}
	} else if c.DatabaseURL == "" {
		if _, err := os.Stat(c.file()); err != nil {
			return failed(err) // opening would make an empty one
		}
	}
	log := newLog(o.stderr)
	db, err := c.open(ctx, log, true)
	if err != nil {
		return failed(err)
	}
	clock, err := demoClock(ctx, db)
	if err != nil {
		return failed(errors.Join(err, db.Close()))
	}
	key, keyErr := c.present(ctx, db, c.Data)
	p, err := newPortal(ctx, db, clock, nil, handlers.Config{BaseURL: "http://localhost", Log: log}, log, func(b *billing.Config) { b.SecretKey = key })
	if err != nil {
		return failed(errors.Join(err, db.Close()))
	}
	defer func() { _ = p.close() }()
	from := "by other means"
	if c.File != "" {
		from = filepath.Base(c.File)
	}
	if err := p.billing.Restored(ctx, "operator", from); err != nil {
		return failed(err)
	}
	if key != nil {
		keyErr = p.billing.UseSecretKey(ctx)
	}
	report, err := ledger.Audit(ctx, db, clock.Now())
	if err != nil {
		return failed(err)
	}
	say("%s", report)
	say("Everybody is signed out, and Stripe's lists are compared once the portal runs.\n")
	if keyErr != nil {
		say("Before you start the portal: %s.\n", keyErr)
	}
	if !report.Clean() {
		return exitError(1)
	}
	return nil
}

type auditCmd struct{ storage }

// Run checks every invariant and prints a line for each.
func (c *auditCmd) Run(ctx context.Context, o *out) error {
	if c.DatabaseURL == "" {
		// Opening would make an empty one, and find nothing wrong with it.
		if _, err := os.Stat(c.file()); err != nil {
			_, _ = fmt.Fprintln(o.stderr, "refill: audit:", err)
			return exitError(2)
		}
	}
	db, err := c.open(ctx, newLog(o.stderr), true)
	if err != nil {
		_, _ = fmt.Fprintln(o.stderr, "refill: audit:", err)
		return exitError(2)
	}
	clock, err := demoClock(ctx, db) // a demo may be ahead of the wall
	if err != nil {
		_, _ = fmt.Fprintln(o.stderr, "refill: audit:", errors.Join(err, db.Close()))
		return exitError(2)
	}
	report, err := ledger.Audit(ctx, db, clock.Now())
	err = errors.Join(err, db.Close())
	if err != nil {
		_, _ = fmt.Fprintln(o.stderr, "refill: audit:", err)
		return exitError(2)
	}
	if _, err := fmt.Fprint(o.stdout, report); err != nil {
		return err
	}
	if !report.Clean() {
		return exitError(1)
	}
	return nil
}

type auditLogCmd struct {
	Verify auditLogVerifyCmd `cmd:"" help:"Walk the chain of seals from the first to the last. Exit 0 whole, 1 broken, 2 could not check."`
}

type auditLogVerifyCmd struct {
	storage
	Head string `help:"A hash that this command printed before, kept somewhere else: it has to be in the chain still, or the log was cut off."`
}

// Run walks the chain and prints what it found.
func (c *auditLogVerifyCmd) Run(ctx context.Context, o *out) error {
	failed := func(err error) error {
		_, _ = fmt.Fprintln(o.stderr, "refill: audit-log:", err)
		return exitError(2)
	}
	if c.DatabaseURL == "" {
		if _, err := os.Stat(c.file()); err != nil {
			return failed(err) // opening would make an empty one
		}
	}
	db, err := c.open(ctx, newLog(o.stderr), true)
	if err != nil {
		return failed(err)
	}
	proof, err := billing.VerifyAuditLog(ctx, db, c.Head)
	if err := errors.Join(err, db.Close()); err != nil {
		return failed(err)
	}
	if proof.Broken != "" {
		_, _ = fmt.Fprintf(o.stdout, "BROKEN after %d entries: %s\n", proof.Entries, proof.Broken)
		return exitError(1)
	}
	_, err = fmt.Fprintf(o.stdout, "Whole: %d entries sealed, %d waiting.\nLast seal: %s\n", proof.Entries, proof.Waiting, proof.Head)
	return err
}

type readmitCmd struct {
	storage
	Wallet string `arg:"" help:"Id of the wallet, as the mail and refill audit name it."`
	Reason string `help:"Why its books add up again, for the audit log."`
}

// Run looks at every entry of the wallet again before it is charged again.
func (c *readmitCmd) Run(ctx context.Context, o *out) error {
	wallet, err := models.ParseID[models.WalletID](c.Wallet)
	if err != nil {
		return fmt.Errorf("%q is not the id of a wallet", c.Wallet)
	}
	p, err := c.portal(ctx, newLog(o.stderr))
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }()
	if err := p.billing.ReadmitWallet(ctx, wallet, "operator", c.Reason); err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.stdout, "The wallet is in service again.")
	return err
}

type replayCmd struct {
	Trace       string   `required:"" help:"File with the columns TIMESTAMP, ContextTokens, GeneratedTokens."`
	API         string   `required:"" help:"Address of the portal."`
	Key         string   `required:"" env:"REFILL_API_KEY" help:"API key."`
	Wallets     []string `required:"" help:"Row i is charged to wallet i mod n."`
	Models      []string `help:"And for model i mod m."`
	Action      string   `default:"ai.reply" help:"What each row is charged as."`
	Rate        string   `default:"max" help:"Rows a second, or max."`
	Concurrency int      `default:"16" help:"Rows in flight at once."`
}

// Run charges the trace; its last line on stdout is a JSON summary.
func (c *replayCmd) Run(ctx context.Context, o *out) error {
	rate, err := replay.ParseRate(c.Rate)
	if err != nil {
		return err
	}
	summary, err := replay.Run(ctx, replay.Config{
		Trace: c.Trace, API: c.API, Key: c.Key, Wallets: c.Wallets, Models: c.Models, Action: c.Action,
		Rate: rate, Concurrency: c.Concurrency, Progress: o.stderr,
	})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(o.stdout).Encode(summary); err != nil {
		return err
	}
	if summary.Failed > 0 {
		return exitError(1)
	}
	return nil
}

type benchGroup struct {
	Run  benchCmd `cmd:"" default:"withargs" help:"Measure the charge path beside the database's own benchmark (the default)."`
	Fill fillCmd  `cmd:"" help:"Make a database with a history of any size to measure on."`
	Grow growCmd  `cmd:"" help:"Measure pages, charges, memory and start-up on a database that fill made."`
}

type fillCmd struct {
	storage
	Entries  int64  `required:"" help:"Entries of the ledger, about."`
	Agencies int    `default:"100" help:"Agencies."`
	Clients  int    `default:"50" help:"Sub-accounts of each agency."`
	Months   int    `default:"12" help:"Months of history."`
	Seed     uint64 `default:"1" help:"The same seed makes the same business."`
}

// Run fills an empty database.
func (c *fillCmd) Run(ctx context.Context, o *out) error {
	log := slog.New(slog.NewTextHandler(o.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := c.open(ctx, log, true)
	if err != nil {
		return err
	}
	clock := &fill.Clock{}
	led, err := ledger.Open(ctx, db, ledger.Options{Log: log})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	service, err := billing.New(billing.Config{DB: db, Ledger: led, Clock: clock, BaseURL: "http://localhost", Log: log})
	if err != nil {
		return errors.Join(err, led.Close(), db.Close())
	}
	made, err := fill.Run(ctx, fill.Config{
		DB: db, Ledger: led, Billing: service, Clock: clock,
		Entries: c.Entries, Agencies: c.Agencies, Clients: c.Clients, Months: c.Months, Seed: c.Seed, Log: o.stderr,
	})
	if err = errors.Join(err, led.Close(), db.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.stdout, "%d entries, %d of them charges, of %d agencies with %d sub-accounts, %s to %s: %.0f entries a second, %s in all\n",
		made.Entries, made.Charges, made.Agencies, made.Clients, made.From.Go().Format(time.DateOnly), made.To.Go().Format(time.DateOnly),
		float64(made.Entries)/made.Took.Seconds(), made.Whole.Round(time.Second))
	return err
}

type growCmd struct {
	storage
	Seconds       int           `default:"4" help:"Length of one measurement."`
	Rounds        int           `default:"3" help:"Measurements of each row; the median counts."`
	Pause         time.Duration `default:"500ms" help:"How often a reader asks for a page; 0 reads as fast as pages come."`
	MemorySeconds int           `name:"memory-seconds" default:"20" help:"How long 64 connections charge while the process's memory is watched; the target is about 300."`
	Rows          string        `help:"Only pages and answers that match this expression."`
	Against       string        `help:"Results of an earlier run on a smaller database, to compare with."`
	Out           string        `help:"File for the results as JSON."`
}

// Run measures the portal as a process of its own.
func (c *growCmd) Run(ctx context.Context, o *out) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	rows, err := regexp.Compile(c.Rows)
	if err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	log := slog.New(slog.NewTextHandler(o.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	_, err = bench.Grow(ctx, bench.GrowConfig{
		DatabaseURL: c.DatabaseURL, File: c.file(), Binary: binary, Args: []string{"serve"},
		Env:     []string{"DATABASE_URL=" + c.DatabaseURL, "REFILL_DATA=" + c.Data, "REFILL_TRUST_DATABASE_NETWORK=true"},
		Seconds: c.Seconds, Rounds: c.Rounds, MemorySeconds: c.MemorySeconds, Pause: c.Pause, Rows: rows, Against: c.Against, Out: c.Out, Print: o.stdout, Log: o.stderr,
		Open: benched(log, true),
	})
	return err
}

// benched wires the product as bench measures it.
func benched(log *slog.Logger, allowLoss bool) func(ctx context.Context, databaseURL, sqliteFile string) (bench.Product, error) {
	return func(ctx context.Context, databaseURL, sqliteFile string) (bench.Product, error) {
		db, err := models.Open(ctx, models.Options{DatabaseURL: databaseURL, SQLitePath: sqliteFile, MaxConns: 24, AllowLoss: allowLoss, TrustNetwork: true, Log: log})
		if err != nil {
			return bench.Product{}, err
		}
		p, err := newPortal(ctx, db, models.SystemClock{}, nil, handlers.Config{BaseURL: "http://localhost", Log: log}, log)
		if err != nil {
			return bench.Product{}, errors.Join(err, db.Close())
		}
		return bench.Product{Billing: p.billing, Handler: p.web, Close: p.close}, nil
	}
}

type benchCmd struct {
	Server  string `env:"TEST_DATABASE_URL" help:"A durable PostgreSQL server to measure on; without it, only SQLite's rows."`
	Bin     string `env:"TEST_DATABASE_BIN" help:"Folder of that server's programs, for pgbench."`
	Seconds int    `default:"5" help:"Length of one measurement."`
	Rounds  int    `default:"3" help:"Measurements of each row; the median counts."`
	Rows    string `help:"Only rows that match this expression."`
	Quick   bool   `help:"One short round: does it run, not how fast."`
	Out     string `default:"bench/results.json" help:"File for the results as JSON."`
	Profile string `help:"File for a CPU profile."`
}

// Run measures the product as it is served.
func (c *benchCmd) Run(ctx context.Context, o *out) error {
	rows, err := regexp.Compile(c.Rows)
	if err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	log := slog.New(slog.NewTextHandler(o.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	_, err = bench.Run(ctx, bench.Config{
		ServerURL: c.Server, ServerBin: c.Bin, Seconds: c.Seconds, Rounds: c.Rounds, Rows: rows, Quick: c.Quick, Out: c.Out, Profile: c.Profile,
		Print: o.stdout, Log: o.stderr,
		Open: benched(log, c.Quick),
	})
	return err
}

type routesCmd struct{}

// Run prints the portal's routes and the API's.
func (*routesCmd) Run(o *out) error {
	for _, r := range handlers.Table() {
		if _, err := fmt.Fprintf(o.stdout, "%-7s %-40s %s\n", r.Method, r.Path, r.Who); err != nil {
			return err
		}
	}
	routes, err := api.Register(echo.New(), nil, api.Options{})
	if err != nil {
		return err
	}
	for _, r := range routes {
		if _, err := fmt.Fprintf(o.stdout, "%-7s %-40s %s\n", r.Method, r.Path, r.Who); err != nil {
			return err
		}
	}
	return nil
}

type healthcheckCmd struct {
	URL string `arg:"" optional:"" env:"REFILL_HEALTH_URL" default:"http://127.0.0.1:8080/readyz" help:"What to ask."`
}

// Run exits 0 when the portal is ready.
func (c *healthcheckCmd) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", c.URL, res.Status)
	}
	return nil
}
