package main

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/models"
)

// crawler is somebody's browser that follows everything there is to follow, and
// notes where it receives what it must not.
type crawler struct {
	t       *testing.T
	http    *http.Client
	at      string   // the host it stays on
	markers []string // lower case: what must not be received
	allowed []string // lower case: taken out before anything is looked for
	seen    map[string]int
	kinds   map[string]int // answers by content type
	found   []string
	queue   []string
}

func newCrawler(t *testing.T, at, address string, markers ...string) *crawler {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	for i := range markers {
		markers[i] = strings.ToLower(markers[i])
	}
	return &crawler{t: t, at: at, markers: markers, seen: map[string]int{}, kinds: map[string]int{}, http: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}},
	}}
}

// ids are what differs between two pages of a kind.
var ids = regexp.MustCompile(`[a-z]{3}_[0-9a-v]{26}|[0-9]+|[A-Za-z0-9_-]{30,}`)

// see notes an address to go to: a few of every kind, for a filter has more values
// than anybody looks through.
func (c *crawler) see(base *url.URL, ref string) {
	u, err := base.Parse(ref)
	if err != nil || u.Scheme+"://"+u.Host != c.at {
		return
	}
	u.Fragment = ""
	kind := ids.ReplaceAllString(u.Path, "#") + "?" + strings.Join(slices.Sorted(maps.Keys(u.Query())), "&")
	if c.seen[u.String()] == 0 && c.seen["kind "+kind] < 3 {
		c.seen[u.String()]++
		c.seen["kind "+kind]++
		c.queue = append(c.queue, u.String())
	}
}

func (c *crawler) crawl(paths ...string) {
	c.t.Helper()
	base, err := url.Parse(c.at)
	require.NoError(c.t, err)
	for _, p := range paths {
		c.see(base, p)
	}
	for len(c.queue) > 0 {
		next := c.queue[0]
		c.queue = c.queue[1:]
		c.send(http.MethodGet, next, nil)
	}
}

// send asks, looks at all that comes, and notes where it leads. It gives the page.
func (c *crawler) send(method, address string, form url.Values) *goquery.Document {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, address, strings.NewReader(form.Encode()))
	require.NoError(c.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := c.http.Do(req)
	require.NoError(c.t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	require.NoError(c.t, res.Body.Close())
	require.Less(c.t, res.StatusCode, 500, address)
	var head bytes.Buffer
	require.NoError(c.t, res.Header.Write(&head))
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	c.kinds[kind]++
	c.look(method+" "+address+" (headers)", head.Bytes())
	c.look(method+" "+address, readable(c.t, kind, body))
	c.see(req.URL, res.Header.Get("Location"))
	if kind != "text/html" {
		return nil
	}
	doc, err := goquery.NewDocumentFromReader(bytes.NewReader(body))
	require.NoError(c.t, err)
	doc.Find("[href], [src]").Each(func(_ int, s *goquery.Selection) {
		c.see(req.URL, s.AttrOr("href", s.AttrOr("src", "")))
	})
	doc.Find("form").Each(func(_ int, s *goquery.Selection) {
		if !strings.EqualFold(s.AttrOr("method", "get"), "get") {
			return
		}
		values := url.Values{}
		s.Find("input[name], select[name]").Each(func(_ int, in *goquery.Selection) {
			values.Set(in.AttrOr("name", ""), in.AttrOr("value", in.Find("option[selected]").AttrOr("value", "")))
		})
		c.see(req.URL, s.AttrOr("action", "")+"?"+values.Encode())
	})
	return doc
}

// look finds markers in what was received.
func (c *crawler) look(where string, received []byte) {
	text := strings.ToLower(string(received))
	for _, a := range c.allowed {
		text = strings.ReplaceAll(text, a, "")
	}
	for _, m := range c.markers {
		if i := strings.Index(text, m); i >= 0 {
			c.found = append(c.found, fmt.Sprintf("%s: %q in …%s…", where, m, text[max(0, i-60):min(len(text), i+60)]))
		}
	}
}

var pdfStream = regexp.MustCompile(`(?s)stream\r?\n(.*?)endstream`)

// readable unpacks what a marker could hide in: a PDF's streams, whose words are
// two bytes a letter, and a workbook's parts.
func readable(t *testing.T, kind string, body []byte) []byte {
	t.Helper()
	out := bytes.Clone(body)
	switch {
	case kind == "application/pdf":
		for _, m := range pdfStream.FindAllSubmatch(body, -1) {
			r, err := zlib.NewReader(bytes.NewReader(m[1]))
			if err != nil {
				continue
			}
			plain, _ := io.ReadAll(r) // what could be read: streams end with line ends of their own
			out = append(out, bytes.ReplaceAll(plain, []byte{0}, nil)...)
		}
	case bytes.HasPrefix(body, []byte("PK\x03\x04")):
		z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
		require.NoError(t, err)
		for _, f := range z.File {
			r, err := f.Open()
			require.NoError(t, err)
			plain, err := io.ReadAll(r)
			require.NoError(t, err)
			out = append(append(out, f.Name...), plain...)
		}
	}
	return out
}

// signIn uses a person's link, as its page asks.
func (c *crawler) signIn(link string) {
	c.t.Helper()
	doc := c.send(http.MethodGet, link, nil)
	c.send(http.MethodPost, link, url.Values{"csrf_token": {doc.Find("main input[name=csrf_token]").AttrOr("value", "")}})
}

// W1 and W2: whatever a client can reach says nothing of the platform, of what the
// agency pays and earns, or of another client.
func TestClientsReceiveNothingOfThePlatform(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	d := startDemo(t, data, "")
	base, err := url.Parse(d.BaseURL)
	require.NoError(t, err)
	door, err := url.Parse(d.Client.SignInURL)
	require.NoError(t, err)
	require.NotEqual(t, base.Host, door.Host)
	portal := door.Scheme + "://" + door.Host

	// What the owner sees and no client may: names, and the very amounts of its sales.
	markers := []string{"refill", "//" + base.Host}
	_, agencies := d.call(t, "GET", "/v1/agencies?limit=200", "", nil)
	for _, row := range agencies["data"].([]any) {
		if a := row.(map[string]any); a["id"] != d.Agency.ID {
			markers = append(markers, a["name"].(string), a["id"].(string))
		}
	}
	_, subs := d.call(t, "GET", "/v1/sub-accounts?limit=200&agency="+d.Agency.ExternalID, "", nil)
	others := 0
	for _, row := range subs["data"].([]any) {
		if s := row.(map[string]any); s["id"] != d.Client.ID {
			others++
			markers = append(markers, s["name"].(string), s["id"].(string))
		}
	}
	require.Positive(t, others)
	owner := newCrawler(t, d.BaseURL, base.Host)
	owner.signIn(d.Agency.SignInURL)
	sums := owner.sums("/sales.csv?p=90d")
	require.NotEmpty(t, sums, "the demo's sales have costs")
	markers = append(markers, sums...)
	markers = append(markers, "wholesale", "cost basis", "your cost", "margin", "profit")

	// Style sheets have margins too, and the demo says where its outbox is.
	allowed := []string{"margin:", "margin-", strings.ToLower(d.BaseURL) + "/demo/mail"}
	c := newCrawler(t, portal, base.Host, markers...)
	c.allowed = allowed
	c.signIn(d.Client.SignInURL)
	c.crawl("/", "/usage.csv", "/usage.xlsx", "/history.csv", "/statement", "/purchases", "/calculator", "/notices", "/settings/people", "/static/app.js", "/static/app.css", "/static/icon.svg")
	// Errors, and doors that are shut.
	for _, path := range []string{"/nothing", "/history/nothing", "/sub-accounts", "/sales", "/packages", "/settings/brand", "/admin", "/v1/charges", "/v1/openapi.json", "/plan", "/demo/mail", "/brand/x.css", "/invitations/" + strings.Repeat("A", 43)} {
		c.send(http.MethodGet, portal+path, nil)
	}
	for _, path := range []string{"/buy", "/webhooks/stripe", "/settings/password"} {
		c.send(http.MethodPost, portal+path, url.Values{"csrf_token": {"none"}})
		c.send(http.MethodPut, portal+path, nil)
	}
	doc := c.send(http.MethodGet, portal+"/settings/notifications", nil)
	c.send(http.MethodPost, portal+"/settings/notifications/test", url.Values{"csrf_token": {doc.Find("input[name=csrf_token]").AttrOr("value", "")}})
	fresh := newCrawler(t, portal, base.Host, markers...)
	fresh.allowed = allowed
	doc = fresh.send(http.MethodGet, portal+"/sign-in", nil)
	fresh.send(http.MethodPost, portal+"/sign-in/link", url.Values{"email": {d.Client.Email}, "csrf_token": {doc.Find("input[name=csrf_token]").AttrOr("value", "")}})
	fresh.crawl("/sign-in", "/calculator", "/sign-in/sent")
	for _, kind := range []string{"text/html", "text/csv", "application/pdf", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "text/css", "text/javascript", "image/svg+xml"} {
		require.Positive(t, c.kinds[kind], "nothing of this kind was received, of %v", c.kinds)
	}

	d.stop()
	db, err := storage{Data: data}.open(t.Context(), slog.New(slog.DiscardHandler), true)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var mails []models.Mail
	require.NoError(t, db.Read.Where("recipient = ?", d.Client.Email).Find(&mails).Error)
	require.NotEmpty(t, mails, "a sign-in link and a test were asked for")
	for _, m := range mails {
		c.look("mail "+m.Subject, []byte(strings.Join([]string{m.Subject, m.FromName, m.FromAddress, m.ReplyTo, m.Text, m.HTML, m.Unsubscribe}, "\n")))
	}
	require.Empty(t, append(c.found, fresh.found...))
	require.Greater(t, len(c.seen), 60, "the crawler came about")
}

// sums are the amounts of a file of sales that only the agency may see: those of
// the columns of cost and profit, with cents, that no price has.
func (c *crawler) sums(path string) []string {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.at+path, http.NoBody)
	require.NoError(c.t, err)
	res, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer func() { require.NoError(c.t, res.Body.Close()) }()
	rows, err := csv.NewReader(res.Body).ReadAll()
	require.NoError(c.t, err)
	require.Greater(c.t, len(rows), 1)
	var open, shut []string
	for _, row := range rows[1:] {
		for i, name := range rows[0] {
			secret := strings.Contains(name, "cost") || strings.Contains(name, "profit") || strings.Contains(name, "fee")
			switch {
			case secret && len(row[i]) >= 5 && strings.Contains(row[i], "."):
				shut = append(shut, row[i])
			case !secret:
				open = append(open, row[i])
			}
		}
	}
	slices.Sort(shut)
	return slices.DeleteFunc(slices.Compact(shut), func(s string) bool { return slices.Contains(open, s) })
}

// A crawler that could find nothing proves nothing: it finds what is planted,
// wherever that is.
func TestTheCrawlerFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	const marker = "Zyxomark-7731"
	var pdf, packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	for _, r := range marker {
		_, err := z.Write([]byte{0, byte(r)})
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	pdf.WriteString("%PDF-1.3\n1 0 obj\n<<>>\nstream\n")
	pdf.Write(packed.Bytes())
	pdf.WriteString("\nendstream\n")
	var book bytes.Buffer
	w := zip.NewWriter(&book)
	f, err := w.Create("xl/sharedStrings.xml")
	require.NoError(t, err)
	_, err = f.Write([]byte("<t>" + marker + "</t>"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	pages := map[string]func(h http.Header) string{
		"/comment":   func(http.Header) string { return "<p>x</p><!-- " + marker + " -->" },
		"/attribute": func(http.Header) string { return `<p data-cost="` + marker + `">x</p>` },
		"/json":      func(http.Header) string { return `<script type="application/json">{"cost":"` + marker + `"}</script>` },
		"/header":    func(h http.Header) string { h.Set("X-Powered-By", marker); return "x" },
		"/cookie":    func(h http.Header) string { h.Set("Set-Cookie", marker+"=1"); return "x" },
		"/file": func(h http.Header) string {
			h.Set("Content-Disposition", "attachment; filename="+marker+".csv")
			return "a,b"
		},
		"/csv":      func(h http.Header) string { h.Set("Content-Type", "text/csv"); return "a\n" + strings.ToUpper(marker) },
		"/pdf":      func(h http.Header) string { h.Set("Content-Type", "application/pdf"); return pdf.String() },
		"/book":     func(h http.Header) string { h.Set("Content-Type", "application/zip"); return book.String() },
		"/led":      func(h http.Header) string { h.Set("Content-Type", "text/css"); return "/* " + marker + " */" },
		"/filtered": func(http.Header) string { return marker },
	}
	mux := http.NewServeMux()
	var links strings.Builder
	for path, body := range pages {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, body(w.Header()))
		})
		if path != "/led" && path != "/filtered" {
			links.WriteString(`<a href="` + path + `">x</a>`)
		}
	}
	mux.HandleFunc("GET /redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/led", http.StatusSeeOther) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, links.String()+`<img src="/redirect"><form action="/filtered"><input name="q" value="1"></form>`)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	c := newCrawler(t, s.URL, s.Listener.Addr().String(), marker)
	c.crawl("/")
	for path := range pages {
		require.Condition(t, func() bool {
			return slices.ContainsFunc(c.found, func(f string) bool { return strings.Contains(f, s.URL+path) })
		}, "nothing was found at %s: %v", path, c.found)
	}
	clean := newCrawler(t, s.URL, s.Listener.Addr().String(), "another marker")
	clean.crawl("/")
	require.Empty(t, clean.found)
}
