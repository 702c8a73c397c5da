package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"refill/billing"
	"refill/models"
)

// GrowConfig says which filled database to measure, with which binary.
type GrowConfig struct {
	DatabaseURL string // PostgreSQL; "": the file
	File        string
	Binary      string   // of refill: it serves the database as a process of its own
	Args        []string // and how: addr and base URL are added
	Env         []string // of that process
	// Open wires the product onto the database, to make who signs in.
	Open          func(ctx context.Context, databaseURL, sqliteFile string) (Product, error)
	Seconds       int            // of one measurement; 0: 4
	Rounds        int            // 0: 3
	Pause         time.Duration  // each reader asks for a page so often; 0: as fast as they come
	MemorySeconds int            // of charging while memory is watched; 0: 20
	Rows          *regexp.Regexp // of pages and answers; nil: all
	Out           string         // file for the results as JSON; "": none
	Against       string         // file of an earlier run on a smaller database; "": none
	Print, Log    io.Writer
	Clock         models.Clock // wall time; nil: the system's
}

// Readers and the pace of the charges beside them, as the issue sets them.
const (
	readers      = 16
	pace         = 1000 // charges a second
	paceCallers  = 16
	starts       = 5
	growWallets  = 1000
	growAgencies = 100
)

// Grow measures one database, prints the table and writes the results. A target
// that is missed is reported, not an error.
func Grow(ctx context.Context, c GrowConfig) (report GrowReport, err error) {
	if c.Open == nil || c.Print == nil || c.Binary == "" {
		return report, errors.New("bench: a product, its binary and a place for the table are needed")
	}
	if c.Seconds == 0 {
		c.Seconds = 4
	}
	if c.Rounds == 0 {
		c.Rounds = 3
	}
	if c.MemorySeconds == 0 {
		c.MemorySeconds = 20
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	if c.Clock == nil {
		c.Clock = models.SystemClock{}
	}
	var before *GrowReport
	if c.Against != "" {
		if before, err = readGrowReport(c.Against); err != nil {
			return report, err
		}
	}
	g := &grown{GrowConfig: c, session: &session{Config: Config{Seconds: c.Seconds, Clock: c.Clock, Log: c.Log}}, run: strconv.FormatInt(int64(c.Clock.Now()), 36)}
	if err := g.prepare(ctx); err != nil {
		return report, err
	}
	report = GrowReport{
		At: c.Clock.Now().Go().Format(time.RFC3339), Seconds: c.Seconds, Rounds: c.Rounds,
		Machine: Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH},
		Entries: g.facts.Entries, Bytes: g.facts.Bytes, Database: "SQLite",
	}
	if c.DatabaseURL != "" {
		report.Database = "PostgreSQL"
	}
	if report.Rows, err = g.measure(ctx); err != nil {
		return report, err
	}
	report.judge(before)
	if err := report.print(c.Print, before); err != nil || c.Out == "" {
		return report, err
	}
	return report, report.write(c.Out)
}

// grown is one run on a filled database.
type grown struct {
	GrowConfig
	session *session
	run     string // begins every idempotency key, and names who signs in
	facts   billing.SizeFacts
	wallets []string
	apiKey  string
	owner   string // e-mail addresses; both have the password below
	admin   string
	server  *process
	bed     *bed
}

const growPassword = "measured-by-bench"

// prepare makes the people who read, an API key, and funds the wallets that are
// charged; the process is not running yet.
func (g *grown) prepare(ctx context.Context) (err error) {
	p, err := g.Open(ctx, g.DatabaseURL, g.File)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if g.facts, err = p.Billing.SizeOf(ctx); err != nil {
		return err
	}
	agencies, err := p.Billing.Agencies(ctx)
	if err != nil {
		return err
	}
	if len(agencies) == 0 {
		return errors.New("this database is empty; refill bench fill makes one to measure on")
	}
	if g.apiKey, _, err = p.Billing.CreateAPIKey(ctx, billing.Scope{}, "bench", by); err != nil {
		return err
	}
	g.owner, g.admin = "owner-"+g.run+"@bench.example", "admin-"+g.run+"@bench.example"
	if _, err = p.Billing.CreateUser(ctx, billing.UserInput{Email: g.admin, Name: "Bench", Password: growPassword, Admin: true, By: by}); err != nil {
		return err
	}
	owner, err := p.Billing.CreateUser(ctx, billing.UserInput{Email: g.owner, Name: "Bench", Password: growPassword, By: by})
	if err != nil {
		return err
	}
	// The first agency is the one with the most history.
	if err := p.Billing.AddMember(ctx, billing.MemberInput{Agency: agencies[0].ID, User: owner.ID, Role: models.RoleOwner, By: by}); err != nil {
		return err
	}
	return g.fund(ctx, p.Billing, agencies)
}

// fund gives a thousand prepaid wallets, spread over the agencies, more than a
// run can use.
func (g *grown) fund(ctx context.Context, s *billing.Service, agencies []models.Agency) error {
	each := max(1, growWallets/len(agencies))
	for i := range agencies {
		a := &agencies[i]
		subs, err := s.SubAccounts(ctx, a.ID)
		if err != nil {
			return err
		}
		for j := 0; j < len(subs) && j/2 < each && len(g.wallets) < growWallets; j += 2 { // every other is prepaid
			_, err := s.Adjust(ctx, billing.AdjustInput{
				Agency: a.ID, Wallet: subs[j].WalletID, Credits: models.MaxCharge, Reason: "benchmark", Key: g.run + subs[j].WalletID.String(), By: by,
			})
			if err != nil {
				return err
			}
			g.wallets = append(g.wallets, "sub:"+a.ExternalID+"/"+subs[j].ExternalID)
		}
	}
	return nil
}

// measure takes every row. What adds history comes last.
func (g *grown) measure(ctx context.Context) (rows []GrowRow, err error) {
	start, err := g.coldStart(ctx)
	if err != nil {
		return nil, err
	}
	rows = append(rows, start)
	if g.server, err = g.serve(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.server.stop()) }()
	g.bed = &bed{address: g.server.address, apiKey: g.apiKey, spread: g.wallets, run: g.run}
	pages, err := g.pages()
	if err != nil {
		return nil, err
	}
	for _, busy := range []bool{false, true} {
		got, err := g.read(ctx, pages, busy)
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
	}
	var charged []sample
	for range g.Rounds {
		s, err := requests(64, func(b *bed) []string { return b.spread })(ctx, g.session, g.bed)
		if err != nil {
			return nil, err
		}
		charged = append(charged, s)
	}
	rows = append(rows, GrowRow{
		Name: rowCharges, Unit: "a second", Value: medianOf(charged, func(s sample) float64 { return s.PerSecond }), Most: growthCharges, Rising: false,
		P95: medianOf(charged, func(s sample) float64 { return s.P95 }),
	})
	memory, err := g.memory(ctx)
	return append(rows, memory...), err
}

func medianOf(all []sample, f func(sample) float64) float64 {
	var values []float64
	for _, s := range all {
		values = append(values, f(s))
	}
	return median(values)
}

// look is a page or an answer that is read again and again.
type look struct {
	name   string
	target float64 // p95 while charges run, ms; 0: none
	paths  []string
	head   string // header lines of who reads
	want   string // what the body has when it is the page
}

// pages signs both people in and finds the addresses.
func (g *grown) pages() ([]look, error) {
	owner, err := g.signIn(g.owner)
	if err != nil {
		return nil, err
	}
	admin, err := g.signIn(g.admin)
	if err != nil {
		return nil, err
	}
	deep, err := owner.older(g.facts.Middle.Go().Format(time.DateOnly))
	if err != nil {
		return nil, err
	}
	var wallets []string
	for _, w := range g.wallets {
		wallets = append(wallets, "/v1/wallets/"+url.PathEscape(w))
	}
	key := "Authorization: Bearer " + g.apiKey + "\r\n"
	pages := []look{
		{name: "Overview", target: 25, paths: []string{"/"}, head: owner.head(), want: "Credits left"},
		{name: "Usage, 90 days", target: 40, paths: []string{"/usage?p=90d"}, head: owner.head(), want: "Usage"},
		{name: "History, first page", paths: []string{"/history"}, head: owner.head(), want: "cursor="},
		{name: "History, far down", paths: []string{deep}, head: owner.head(), want: "cursor="},
		{name: "Buy", target: 15, paths: []string{"/buy"}, head: owner.head(), want: "Credits"},
		{name: "Fleet", target: 60, paths: []string{"/admin"}, head: admin.head(), want: "Fleet"},
		{name: "GET wallet", paths: wallets, head: key, want: `"available"`},
	}
	if g.Rows != nil {
		pages = slices.DeleteFunc(pages, func(p look) bool { return !g.Rows.MatchString(p.name) })
	}
	for i := range pages {
		p := &pages[i]
		c, err := dialAs(g.server.address, strings.Replace(p.head, "Accept-Encoding: gzip\r\n", "", 1))
		if err != nil {
			return nil, err
		}
		body, err := c.do(http.MethodGet, p.paths[0], "", nil, http.StatusOK)
		if err == nil && !strings.Contains(string(body), p.want) {
			err = fmt.Errorf("%s is not the page that was asked for: %.2000s", p.name, body)
		}
		if err := errors.Join(err, c.conn.Close()); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// read measures every page with 16 readers, alone or while charges run at their
// pace.
func (g *grown) read(ctx context.Context, pages []look, busy bool) (rows []GrowRow, err error) {
	if busy {
		stop, err := g.keepCharging(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	taken := make([][]sample, len(pages))
	for range g.Rounds {
		for i := range pages {
			s, err := g.readPage(ctx, &pages[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", pages[i].name, err)
			}
			taken[i] = append(taken[i], s)
			fmt.Fprintf(g.Log, "  %-20s busy %-5t %8.0f a second, p50 %.2f ms, p95 %.2f ms\n", pages[i].name, busy, s.PerSecond, s.P50, s.P95)
		}
	}
	for i := range pages {
		row := GrowRow{
			Name: pages[i].name + ", idle", Unit: "ms p95", Value: medianOf(taken[i], func(s sample) float64 { return s.P95 }), Most: growthPages, Rising: true,
			P50: medianOf(taken[i], func(s sample) float64 { return s.P50 }),
		}
		if busy {
			row.Name, row.Target = pages[i].name+fmt.Sprintf(", %d charges a second", pace), pages[i].target
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (g *grown) readPage(ctx context.Context, p *look) (sample, error) {
	return g.session.drive(ctx, readers, 1, func(i int) (caller, error) {
		c, err := dialAs(g.server.address, p.head)
		if err != nil {
			return caller{}, err
		}
		return caller{every: g.Pause, late: g.Pause * time.Duration(i) / readers, end: c.conn.Close, send: func(context.Context) error {
			i++
			body, err := c.do(http.MethodGet, p.paths[(i*stride)%len(p.paths)], "", nil, http.StatusOK)
			if err == nil && len(body) == 0 {
				err = errors.New("an empty answer")
			}
			return err
		}}, nil
	})
}

// keepCharging charges at a steady pace until stop, which tells what failed.
func (g *grown) keepCharging(ctx context.Context) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	failed := make([]chan error, paceCallers)
	bodies := make([][]byte, len(g.wallets))
	for i, w := range g.wallets {
		bodies[i] = chargeBody(w)
	}
	for i := range failed {
		failed[i] = make(chan error, 1)
		c, err := dial(g.server.address, g.apiKey)
		if err != nil {
			cancel()
			return nil, err
		}
		go func() {
			defer func() { _ = c.conn.Close() }()
			failed[i] <- g.paced(ctx, i, c, bodies)
		}()
	}
	return func() error {
		cancel()
		var errs []error
		for _, f := range failed {
			errs = append(errs, <-f)
		}
		return errors.Join(errs...)
	}, nil
}

// paced sends one charge a beat; a late answer is made up for.
func (g *grown) paced(ctx context.Context, i int, c *client, bodies [][]byte) error {
	beat := time.NewTicker(time.Second * paceCallers / pace)
	defer beat.Stop()
	began, sent := g.Clock.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
		}
		for due := int(g.Clock.Now().Sub(began) * pace / paceCallers / time.Second); sent < due; sent++ {
			i++
			if _, err := c.do(http.MethodPost, "/v1/charges", g.bed.key(), bodies[(i*stride)%len(bodies)], http.StatusCreated); err != nil {
				return err
			}
		}
	}
}

// memory charges with 64 connections and watches the process.
func (g *grown) memory(ctx context.Context) ([]GrowRow, error) {
	if _, err := g.server.resident(); err != nil {
		fmt.Fprintf(g.Log, "memory is not measured here: %v\n", err)
		return nil, nil
	}
	watching, done := context.WithCancel(ctx)
	var seen []float64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		beat := time.NewTicker(time.Second)
		defer beat.Stop()
		for {
			if rss, err := g.server.resident(); err == nil {
				seen = append(seen, rss)
			}
			select {
			case <-watching.Done():
				return
			case <-beat.C:
			}
		}
	}()
	s := *g.session
	s.Seconds = g.MemorySeconds
	_, err := requests(64, func(b *bed) []string { return b.spread })(ctx, &s, g.bed)
	done()
	<-ended
	if err != nil || len(seen) == 0 {
		return nil, err
	}
	return []GrowRow{
		{Name: rowMemory, Unit: "MB", Value: slices.Max(seen), Target: 150},
		{Name: fmt.Sprintf("memory, growth over the last 3/5 of %d s", g.MemorySeconds), Unit: "MB", Value: growth(seen)},
	}, nil
}

// growth is how much the last tenth of the samples lies above the first tenth
// after two fifths of them, in the mean.
func growth(seen []float64) float64 {
	seen = seen[len(seen)*2/5:]
	part := max(1, len(seen)/10)
	mean := func(v []float64) float64 {
		sum := 0.0
		for _, x := range v {
			sum += x
		}
		return sum / float64(len(v))
	}
	return mean(seen[len(seen)-part:]) - mean(seen[:part])
}

// coldStart is the time from exec until the portal is ready, the median of some
// starts.
func (g *grown) coldStart(ctx context.Context) (GrowRow, error) {
	var took []float64
	for range starts {
		p, err := g.serve(ctx)
		if err != nil {
			return GrowRow{}, err
		}
		took = append(took, millis(p.ready))
		if err := p.stop(); err != nil {
			return GrowRow{}, err
		}
	}
	slices.Sort(took)
	fmt.Fprintf(g.Log, "  cold starts: %.0f ms\n", took)
	return GrowRow{Name: rowStart, Unit: "ms", Value: median(took), Target: 300}, nil
}

func (g *grown) serve(ctx context.Context) (*process, error) {
	env := append(append(os.Environ(), "REFILL_DRAIN_DELAY=0s", "REFILL_ADMIN_TWO_STEP=false"), g.Env...) // its admin signs in by a password alone
	return startProcess(ctx, g.Clock, g.Binary, g.Args, env)
}
