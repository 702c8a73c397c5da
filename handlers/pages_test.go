package handlers_test

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/handlers"
	"refill/models"
	"refill/models/modelstest"
)

// use charges replies over a few hours, a third of them as tests, and gives what
// they cost.
func (p *portal) use(wallet string, n int) models.Credits {
	p.t.Helper()
	var total models.Credits
	for i := range n {
		p.clock.set(p.clock.Now().Add(17 * time.Minute))
		model := []string{"gpt-3.5-turbo", "gpt-4-turbo", "gpt-4"}[i%3]
		got, err := p.billing.Charge(p.t.Context(), billing.Scope{}, billing.ChargeInput{
			Wallet: wallet, Key: fmt.Sprintf("use:%s:%d", wallet, i), Action: "ai.reply", Model: model, Test: i%5 == 4,
			Metadata: map[string]string{"conversation": "=HYPERLINK(1)"},
		})
		require.NoError(p.t, err)
		total += got.Charge.Credits
	}
	return total
}

// column adds up a column of a CSV export.
func column(t *testing.T, a answer, name string) models.Credits {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, a.body)
	require.Equal(t, "text/csv; charset=utf-8", a.Header.Get("Content-Type"))
	require.Regexp(t, `^attachment; filename="[a-z0-9_-]+\.csv"$`, a.Header.Get("Content-Disposition"))
	rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	require.NoError(t, err)
	at := -1
	for i, cell := range rows[0] {
		if cell == name {
			at = i
		}
	}
	require.NotEqual(t, -1, at, "no column %s in %v", name, rows[0])
	var sum models.Credits
	for _, row := range rows[1:] {
		n, err := models.ParseCredits(row[at])
		require.NoError(t, err)
		sum += n
	}
	return sum
}

// TestOnePageOneTotal holds the screens and the files against the ledger.
func TestOnePageOneTotal(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("owner")
		first := b.get("/")
		require.Contains(t, first.doc().Find("main").Text(), "Send your first reply")
		require.Contains(t, b.get("/usage").doc().Find("main").Text(), "Your first reply")
		before := p.left()
		used := p.use("agency:northwind", 40)
		require.Equal(t, before-used, p.left())

		words := strings.Join(strings.Fields(b.get("/usage").doc().Find("main").Text()), " ")
		require.Contains(t, words, fmt.Sprintf("%d credits used", used/models.Credit))
		require.Contains(t, strings.Join(strings.Fields(b.get("/").doc().Find("main").Text()), " "), fmt.Sprintf("%d credits used", used/models.Credit))
		for _, filter := range []string{"", "?p=7d", "?p=24h", "?i=hour", "?g=bucket", "?g=sub_account"} {
			require.Equal(t, used, column(t, b.get("/usage.csv"+filter), "credits"), filter)
		}
		require.Equal(t, p.left(), column(t, b.get("/history.csv"), "change"), "the changes add up to the balance")
		require.Equal(t, -used, column(t, b.get("/history.csv?type=used"), "change"))
		admin := p.as("admin")
		for _, filter := range []string{"", "?g=model", "?agency=northwind", "?agency=northwind&g=bucket", "?p=24h&i=hour"} {
			require.Equal(t, used, column(t, admin.get("/admin/usage.csv"+filter), "credits"), filter)
			words := strings.Join(strings.Fields(admin.get("/admin/usage"+filter).doc().Find("main").Text()), " ")
			require.Contains(t, words, fmt.Sprintf("%d credits used", used/models.Credit), filter)
		}
		require.Zero(t, column(t, admin.get("/admin/usage.csv?agency=bluebird"), "credits"))
		require.Equal(t, http.StatusNotFound, admin.get("/admin/usage?agency=nobody").StatusCode)
	})
}

func TestChargeIsExplained(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	p.use("agency:northwind", 6)
	list := b.get("/history")
	group, ok := list.doc().Find(`a[href^="/history/group"]`).First().Attr("href")
	require.True(t, ok, list.body)
	charge, ok := b.get(group).doc().Find(`main a[href^="/history/chg_"]`).First().Attr("href")
	require.True(t, ok)
	words := b.get(charge).doc().Find("main").Text()
	for _, part := range []string{"base rate", "× 25 = 25", "version 1", "Plan credits", "lot_", "UTC", "conversation"} {
		require.Contains(t, words, part)
	}
	require.Equal(t, http.StatusNotFound, b.get("/history/group?ref=nonsense").StatusCode)
	require.Equal(t, http.StatusNotFound, b.get("/history?cursor=nonsense").StatusCode)
	require.Contains(t, b.get("/history?sub=nobody").doc().Find("main").Text(), "Nothing matches these filters")
}

// TestClientsSeeNothingOfThePlatform crawls a client's portal.
func TestClientsSeeNothingOfThePlatform(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	_, err := p.billing.Assign(t.Context(), billing.Scope{}, billing.TransferInput{
		Agency: p.northwind.ID, SubAccount: p.acme.ID, Credits: 5000 * models.Credit, Note: "Welcome credits", Key: "feed", By: "user:owner@example.test",
	})
	require.NoError(t, err)
	p.use("sub:northwind/acme", 9)
	b := p.as("client")
	seen, queue := map[string]bool{}, []string{"/", "/usage", "/usage.csv", "/history", "/history.csv", "/buy", "/purchases", "/purchases.csv", "/admin", "/nothing"}
	for len(queue) > 0 && len(seen) < 120 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		a := b.get(path)
		require.Less(t, a.StatusCode, 500, path)
		for _, never := range []string{"efill", p.northwind.WalletID.String(), "owner@example.test", "Bluebird", "95,000"} {
			require.NotContains(t, a.body, never, path)
			require.NotContains(t, fmt.Sprint(a.Header), never, path)
		}
		if strings.Contains(a.Header.Get("Content-Type"), "html") {
			for _, link := range a.doc().Find("a[href^='/']").EachIter() {
				queue = append(queue, link.AttrOr("href", ""))
			}
		}
	}
	require.Greater(t, len(seen), 15)
	require.Contains(t, b.get("/history").body, "From Northwind Agency: Welcome credits")
}

// TestABrokenDatabaseShowsNoBalance closes the database under a signed-in
// person and under a visitor: no page says 0, none tells why.
func TestABrokenDatabaseShowsNoBalance(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	require.NoError(t, p.db.Write.Exec("ALTER TABLE lot_rows RENAME TO lots_gone").Error)
	page := b.get("/")
	require.Equal(t, http.StatusOK, page.StatusCode)
	words := page.doc().Find("main").Text()
	require.Contains(t, words, "can't be shown right now")
	require.NotContains(t, page.body, "lots_gone")
	require.NotContains(t, page.body, "no such table")
	require.Zero(t, page.doc().Find(".chip").Length(), "no balance, no chip")
	require.NotRegexp(t, `Credits left\s*0\b`, words)
	require.Equal(t, http.StatusOK, b.get("/buy").StatusCode, "prices stand without the balance")

	require.NoError(t, p.db.Write.Exec("ALTER TABLE usage_quarters RENAME TO quarters_gone").Error)
	for _, path := range []string{"/usage", "/history"} {
		a := b.get(path)
		require.Equal(t, http.StatusOK, a.StatusCode, path)
		require.Contains(t, a.body, a.Header.Get("X-Request-Id"), "the reference is on the page")
	}
	require.Equal(t, http.StatusInternalServerError, b.get("/usage.csv").StatusCode)

	require.NoError(t, p.db.Write.Exec("ALTER TABLE sessions RENAME TO sessions_gone").Error)
	down := b.get("/")
	require.Equal(t, http.StatusInternalServerError, down.StatusCode, "a session that cannot be read is not nobody's")
	require.Contains(t, down.body, "Something went wrong")
	require.Contains(t, down.body, down.Header.Get("X-Request-Id"))
	require.NotContains(t, down.body, "sessions_gone")
	require.NotContains(t, down.body, "no such table")
}

func TestReadyFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	db := modelstest.OpenSQLite(t)
	p := newPortal(t, db)
	b := p.visitor("http://anything.example")
	require.Equal(t, http.StatusOK, b.get("/readyz").StatusCode)
	require.Equal(t, http.StatusOK, b.get("/healthz").StatusCode)
	require.NoError(t, db.ReadSQL().Close())
	require.Equal(t, http.StatusServiceUnavailable, b.get("/readyz").StatusCode)
	require.Equal(t, http.StatusOK, b.get("/healthz").StatusCode, "alive is not ready")
}

func TestPagesArePacked(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	for _, path := range []string{"/", "/static/app.css", "/static/app.js", "/history.csv"} {
		req := b.request(http.MethodGet, path, nil)
		req.Header.Set("Accept-Encoding", "gzip")
		res, err := b.http.Do(req)
		require.NoError(t, err)
		require.Equal(t, "gzip", res.Header.Get("Content-Encoding"), path)
		require.Contains(t, res.Header.Get("Vary"), "Accept-Encoding", path)
		zip, err := gzip.NewReader(res.Body)
		require.NoError(t, err)
		plain, err := io.ReadAll(zip)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.NotEmpty(t, plain)
	}
	css, _ := b.get("/").doc().Find("link[rel=stylesheet]").Attr("href")
	require.Equal(t, "public, max-age=31536000, immutable", b.get(css).Header.Get("Cache-Control"))
	first, second := b.get("/").token(), b.get("/").token()
	require.NotEqual(t, first, second, "a token is masked anew on every page")
}

func TestThemeIsKept(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	require.Equal(t, "/usage?p=7d", b.fill("/", "/theme", url.Values{"theme": {"dark"}, "return_to": {"/usage?p=7d"}}).to())
	require.Equal(t, "dark", b.get("/").doc().Find("html").AttrOr("data-theme", ""))
	require.Equal(t, "/", b.fill("/", "/theme", url.Values{"theme": {"no-such"}, "return_to": {"//evil.example"}}).to())
	require.Empty(t, b.get("/").doc().Find("html").AttrOr("data-theme", ""))
}

// TestNothingSecretIsLogged looks for what a person and a program hold in all
// that was logged of them.
func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.visitor(home)
	require.Equal(t, "/", b.fill("/sign-in", "/sign-in", credentials("owner@example.test", password)).to())
	page := b.get("/history?q=search-for-me")
	require.Contains(t, p.log.String(), "route=/history")
	for _, secret := range []string{password, b.cookie(), page.token(), "owner@example.test", "search-for-me"} {
		require.NotContains(t, p.log.String(), secret)
	}
}

// TestACrowdAtTheDoor signs in sixty times at once: those who find no
// place are told to wait, and nobody is let in by mistake.
func TestACrowdAtTheDoor(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	var crowd sync.WaitGroup
	var mu sync.Mutex
	codes := map[string]int{}
	for i := range 60 {
		crowd.Go(func() {
			_, err := p.billing.Authenticate(t.Context(), fmt.Sprintf("p%d@example.test", i), "wrong horse", fmt.Sprintf("10.0.0.%d", i))
			mu.Lock()
			defer mu.Unlock()
			codes[strings.SplitN(err.Error(), ":", 2)[0]]++
		})
	}
	crowd.Wait()
	require.Equal(t, 60, codes["sign_in_failed"]+codes["too_many"], "%v", codes)
}

func TestDemoClock(t *testing.T) {
	t.Parallel()
	var p *portal
	p = sqlite(t, func(c *handlers.Config) {
		c.Demo = &handlers.Demo{Banner: "Demo: payments are simulated.", Advance: func(_ context.Context, to models.Time) error {
			p.clock.set(to)
			return nil
		}}
	})
	key, _, err := p.billing.CreateAPIKey(t.Context(), billing.Scope{}, "demo", "test")
	require.NoError(t, err)
	agencyKey, _, err := p.billing.CreateAPIKey(t.Context(), billing.Scope{Agency: p.northwind.ID}, "agency", "test")
	require.NoError(t, err)
	ask := func(key, body string) answer {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, home+"/demo/clock", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+key)
		return p.visitor(home).do(req)
	}
	a := ask(key, `{"advance": "744h"}`)
	require.Equal(t, http.StatusOK, a.StatusCode, a.body)
	var got struct {
		Now models.Time `json:"now"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &got))
	require.Equal(t, begin.Add(744*time.Hour), got.Now)
	for body, want := range map[string]int{
		`{"advance": "-1h"}`: 422, `{"advance": "soon"}`: 422, `{"to": "tomorrow"}`: 422, `{}`: 422, `{"advance": "1h", "to": "2027-01-01T00:00:00Z"}`: 422,
		`{"speed": 2}`: 400, `no`: 400,
	} {
		a := ask(key, body)
		require.Equal(t, want, a.StatusCode, body)
		require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), body)
	}
	a = ask(key, `{"advance": "0s"}`)
	require.Equal(t, http.StatusOK, a.StatusCode, "what is due is done, and time stands")
	require.JSONEq(t, `{"now": "`+got.Now.RFC3339()+`"}`, a.body)
	a = ask(key, `{"speed": 2}`)
	for _, part := range []string{`"type":"urn:refill:problem:unknown_field"`, `"code":"unknown_field"`, `"field":"speed"`} {
		require.Contains(t, a.body, part)
	}
	require.Equal(t, http.StatusUnauthorized, ask("rf_live_nothing", `{"advance": "1h"}`).StatusCode)
	require.Equal(t, http.StatusForbidden, ask(agencyKey, `{"advance": "1h"}`).StatusCode)
	reader, _, err := p.billing.MakeAPIKey(t.Context(), billing.APIKeyInput{Name: "reader", Scopes: []string{billing.KeyReads}, By: "test"})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, ask(reader, `{"advance": "1h"}`).StatusCode, "nor one that only reads")
	require.Contains(t, p.visitor(home).get("/sign-in").body, "Demo: payments are simulated.")
	require.Equal(t, http.StatusNotFound, sqlite(t).visitor(home).send(http.MethodPost, "/demo/clock", nil).StatusCode, "no demo, no clock")
}
