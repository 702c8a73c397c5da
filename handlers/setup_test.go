package handlers_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/billing/stripesim"
	"refill/handlers"
	"refill/models"
	"refill/models/modelstest"
)

// newEmptyPortal is a portal on a database that nobody has set up, and the code
// of its log.
func newEmptyPortal(t *testing.T, db *models.DB, change ...func(*handlers.Config)) (*portal, string) {
	t.Helper()
	p := &portal{t: t, db: db, clock: &movable{}, wall: &movable{}, users: map[string]models.User{}, log: &journal{}, till: &till{}}
	p.clock.set(begin)
	p.wall.set(begin)
	led, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, led.Close()) })
	p.billing, err = billing.New(billing.Config{DB: db, Ledger: led, Clock: p.clock, Wall: p.wall, BaseURL: home})
	require.NoError(t, err)
	c := handlers.Config{EasyAdmins: true, Billing: p.billing, BaseURL: home, Wall: p.wall, Log: slog.New(slog.NewTextHandler(p.log, nil))}
	for _, f := range change {
		f(&c)
	}
	h, err := handlers.New(c)
	require.NoError(t, err)
	p.server = httptest.NewServer(h)
	t.Cleanup(p.server.Close)
	code, err := p.billing.NewSetupCode(t.Context())
	require.NoError(t, err)
	return p, code
}

func founding(code string) url.Values {
	return url.Values{"code": {code}, "name": {"Ana"}, "email": {"ana@example.test"}, "password": {password}}
}

// TestEveryPageLeadsToTheSetUp walks the whole table of a platform that nobody
// administers: pages lead to the set-up, programs and probes answer as ever.
func TestEveryPageLeadsToTheSetUp(t *testing.T) {
	t.Parallel()
	p, code := newEmptyPortal(t, modelstest.OpenSQLite(t))
	b := p.visitor(home)
	seen := 0
	for _, r := range handlers.Table() {
		path := strings.NewReplacer(":id", "x", ":token", strings.Repeat("A", 43), ":name", "app.css").Replace(r.Path)
		var a answer
		if r.Method == http.MethodPost {
			a = b.fill("/setup", path, url.Values{})
		} else {
			a = b.send(r.Method, path, nil)
		}
		switch r.Who {
		case "anybody", "anybody with the mail", "platform API key", "Stripe's signature":
			require.NotEqual(t, "/setup", a.to(), "%s %s", r.Method, r.Path)
			continue
		case "anybody until there is an admin":
			require.Contains(t, []int{http.StatusOK, http.StatusUnprocessableEntity}, a.StatusCode, "%s %s", r.Method, r.Path)
			continue
		}
		seen++
		require.Equal(t, http.StatusSeeOther, a.StatusCode, "%s %s", r.Method, r.Path)
		require.Equal(t, "/setup", a.to(), "%s %s", r.Method, r.Path)
	}
	require.Greater(t, seen, 30)

	// Once there is an admin, no more.
	require.Equal(t, http.StatusSeeOther, b.fill("/setup", "/setup", founding(code)).StatusCode)
	stranger := p.visitor(home)
	require.Equal(t, http.StatusOK, stranger.get("/sign-in").StatusCode)
	require.Equal(t, "/sign-in?next=%2Fsetup", stranger.get("/setup").to())
	require.Equal(t, "/sign-in?next=%2Fsetup%2Fstripe", stranger.get("/setup/stripe").to())
}

func TestSetupFromTheCodeToTheFleet(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p, code := newEmptyPortal(t, db)
		b := p.visitor(home)
		a := b.get("/setup")
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.Contains(t, a.doc().Text(), "step 1 of 6")

		// Everything wrong at once; what was typed stays, the password aside.
		a = b.fill("/setup", "/setup", url.Values{"code": {"AAAA-BBBB"}, "name": {" "}, "email": {"ana"}, "password": {"short"}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
		for _, field := range []string{"code", "name", "email", "password"} {
			require.Equal(t, 1, a.doc().Find("#"+field+"-error").Length(), field)
		}
		require.Equal(t, "AAAA-BBBB", a.doc().Find("#code").AttrOr("value", ""))
		require.Equal(t, "ana", a.doc().Find("#email").AttrOr("value", ""))
		require.Empty(t, a.doc().Find("#password").AttrOr("value", ""))
		require.Contains(t, a.doc().Find("title").Text(), "Error: ")

		// A form whose token is gone is shown again, not thrown away.
		a = p.visitor(home).post("/setup", founding(code))
		require.Equal(t, http.StatusForbidden, a.StatusCode)
		require.Contains(t, a.doc().Text(), "This form had expired")
		require.Equal(t, "ana@example.test", a.doc().Find("#email").AttrOr("value", ""))
		require.Equal(t, code, a.doc().Find("#code").AttrOr("value", ""))
		has, err := p.billing.HasAdmin(t.Context())
		require.NoError(t, err)
		require.False(t, has)
		// One from another site is not even that.
		req := p.visitor(home).request(http.MethodPost, "/setup", founding(code))
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		foreign := b.do(req)
		require.Equal(t, http.StatusForbidden, foreign.StatusCode)
		require.NotContains(t, foreign.body, "ana@example.test")

		before := b.cookie()
		a = b.fill("/setup", "/setup", founding(code))
		require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
		require.Equal(t, "/setup/address", a.to())
		require.NotEqual(t, before, b.cookie(), "signing in gives a new session")

		// The banner leads back from anywhere.
		a = b.get("/admin")
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.Contains(t, a.doc().Find(".notices").Text(), "Step 2 of 6 is open")

		a = b.get("/setup/address")
		require.Contains(t, a.doc().Text(), "step 2 of 6")
		require.Contains(t, a.doc().Text(), "Both are "+home)
		a = b.fill("/setup/address", "/setup/address", url.Values{"time_zone": {"Moon/Base"}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
		require.Equal(t, "Moon/Base", a.doc().Find("#time_zone").AttrOr("value", ""))
		require.Equal(t, 1, a.doc().Find("#time_zone-error").Length())
		a = b.fill("/setup/address", "/setup/address", url.Values{"time_zone": {"Europe/Paris"}})
		require.Equal(t, "/setup/database", a.to())

		a = b.get("/setup/database")
		require.Contains(t, a.doc().Text(), "Time zone saved: Europe/Paris.")
		require.Contains(t, a.doc().Text(), "Up to date")
		require.Contains(t, a.doc().Find("footer").Text(), "Europe/Paris")
		require.Equal(t, "/setup/stripe", b.fill("/setup/database", "/setup/database", url.Values{}).to())

		a = b.get("/setup/stripe?check=1") // without a key there is nothing to ask
		require.Contains(t, a.doc().Text(), "STRIPE_SECRET_KEY")
		require.Contains(t, a.doc().Text(), "never runs here")
		require.Equal(t, "/setup/catalogue", b.fill("/setup/stripe", "/setup/stripe", url.Values{}).to())

		require.Equal(t, "/setup/catalogue", b.get("/setup").to(), "it goes on where it was left")
		a = b.get("/setup/catalogue")
		for _, words := range []string{"Starter ($97 a month, 5,000 credits)", "12,500 credits for $50", "Reply, GPT-4 25", "from 1,000 in steps of 1,000, $0.0300 each"} {
			require.Contains(t, a.doc().Text(), words)
		}
		for _, nothing := range []string{"", "nonsense"} {
			a = b.fill("/setup/catalogue", "/setup/catalogue", url.Values{"preset": {nothing}})
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, nothing)
			require.Equal(t, 1, a.doc().Find("#preset-error").Length())
		}
		a = b.fill("/setup/catalogue", "/setup/catalogue", url.Values{"preset": {"stammer"}})
		require.Equal(t, "/setup/done", a.to())
		a = b.get("/setup/catalogue")
		require.Contains(t, a.doc().Text(), "3 plans and 3 packs")
		require.Equal(t, "/setup/done", b.fill("/setup/catalogue", "/setup/catalogue", url.Values{"preset": {"tawk"}}).to(), "a second choice changes nothing")

		a = b.fill("/setup/done", "/setup/done", url.Values{"act": {"key"}})
		require.Equal(t, http.StatusOK, a.StatusCode)
		key := a.doc().Find("#key").Text()
		require.True(t, strings.HasPrefix(key, "rf_live_"), key)
		require.Contains(t, a.doc().Find("#curl").Text(), "Bearer "+key)
		require.Contains(t, a.Header.Get("Cache-Control"), "no-store")
		_, _, err = p.billing.AuthenticateKey(t.Context(), key)
		require.NoError(t, err)
		a = b.get("/setup/done")
		require.NotContains(t, a.body, key)
		require.Contains(t, a.doc().Text(), "ends in …"+key[len(key)-4:])

		a = b.fill("/setup/done", "/setup/done", url.Values{"act": {"finish"}})
		require.Equal(t, "/admin", a.to())
		a = b.get("/admin")
		require.Contains(t, a.doc().Text(), "Set-up is finished.")
		require.Zero(t, a.doc().Find(".notices").Length())
		require.NotContains(t, p.log.String(), key)
		require.NotContains(t, p.log.String(), code)
		require.NotContains(t, p.log.String(), password)
	})
}

// Two people with the same code: one is the admin, the other is told plainly.
func TestTwoFoundersRace(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p, code := newEmptyPortal(t, db)
		answers := make([]answer, 2)
		var group sync.WaitGroup
		var posts []func()
		for i, who := range []string{"ana", "bo"} {
			b := p.visitor(home)
			form := founding(code)
			form.Set("email", who+"@example.test")
			form.Set("csrf_token", b.get("/setup").token())
			posts = append(posts, func() { answers[i] = b.post("/setup", form) })
		}
		for _, post := range posts {
			group.Go(post)
		}
		group.Wait()
		won, lost := answers[0], answers[1]
		if won.StatusCode != http.StatusSeeOther {
			won, lost = lost, won
		}
		require.Equal(t, http.StatusSeeOther, won.StatusCode, won.body)
		require.Equal(t, http.StatusConflict, lost.StatusCode, lost.body)
		require.Contains(t, lost.doc().Text(), "There is an admin already")
		require.Equal(t, 1, lost.doc().Find(`a[href="/sign-in?next=%2Fsetup"]`).Length())
	})
}

func TestGuessingTheCodeIsStopped(t *testing.T) {
	t.Parallel()
	p, code := newEmptyPortal(t, modelstest.OpenSQLite(t))
	b := p.visitor(home)
	for range 10 {
		require.Equal(t, http.StatusUnprocessableEntity, b.fill("/setup", "/setup", founding("0000")).StatusCode)
	}
	a := b.fill("/setup", "/setup", founding(code))
	require.Equal(t, http.StatusTooManyRequests, a.StatusCode)
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	require.Contains(t, a.doc().Find("#code-error").Text(), "Wait 15 minutes")
	require.Equal(t, "Ana", a.doc().Find("#name").AttrOr("value", ""))
	p.wall.set(begin.Add(16 * 60 * 1e9))
	require.Equal(t, http.StatusSeeOther, b.fill("/setup", "/setup", founding(code)).StatusCode)
}

func TestAddressChecks(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("admin")
	text := func(change func(r *http.Request)) string {
		req := b.request(http.MethodGet, "/setup/address", nil)
		change(req)
		return b.do(req).doc().Find("main").Text()
	}
	require.Contains(t, text(func(r *http.Request) { r.Host = "refill.test:8443" }), "your browser used http://refill.test:8443")
	require.Contains(t, text(func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.9") }), "a proxy that is not trusted")
	require.NotContains(t, text(func(r *http.Request) { r.Host = "refill.test:80" }), "Configured is", "port 80 goes without saying")

	proxied := sqlite(t, func(c *handlers.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	b = proxied.as("admin")
	require.Contains(t, text(func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.9") }), "sees you at 203.0.113.9")
}

// TestStripeStep looks at Stripe through a simulator, by the real calls.
func TestStripeStep(t *testing.T) {
	t.Parallel()
	sim, err := stripesim.New(stripesim.Config{Clock: models.SystemClock{}, Secret: "sk_test_setup_4242", Merchant: "Harbour AI"})
	require.NoError(t, err)
	server := httptest.NewServer(sim)
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, sim.Close())
	})
	open := func(key string) *browser {
		console, err := checkout.NewConsole(checkout.Config{SecretKey: key, BaseURL: server.URL})
		require.NoError(t, err)
		return sqlite(t, func(c *handlers.Config) {
			c.Stripe = billing.StripeSetup{Console: console, Key: checkout.Hint(key), Secrets: []string{"…9999"}, BaseURL: home}
		}).as("admin")
	}
	b := open("sk_test_setup_4242")
	a := b.get("/setup/stripe")
	require.Zero(t, a.doc().Find(".check-line").Length(), "nobody is asked before the button")
	a = b.get("/setup/stripe?check=1")
	main := a.doc().Find("main").Text()
	require.Contains(t, main, "Harbour AI")
	require.Contains(t, main, "2023-10-16")
	require.Contains(t, main, "ends in …4242")
	require.Contains(t, main, "There is none.")
	require.Contains(t, main, "refill stripe setup --url "+home)
	require.NotContains(t, a.body, "sk_test_setup_4242")

	console, err := checkout.NewConsole(checkout.Config{SecretKey: "sk_test_setup_4242", BaseURL: server.URL})
	require.NoError(t, err)
	for _, connect := range []bool{false, true} {
		_, err := console.PrepareEndpoint(t.Context(), home, connect)
		require.NoError(t, err)
	}
	a = b.get("/setup/stripe?check=1")
	require.Contains(t, a.doc().Find(".flash").Text(), "Nothing stands in the way")
	require.NotContains(t, a.body, "whsec_")

	a = open("sk_test_wrong_key_1").get("/setup/stripe?check=1")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Contains(t, a.doc().Find("main").Text(), "Stripe does not accept the key")
	require.Contains(t, a.doc().Find("main").Text(), "Copy the secret key from Stripe's dashboard once more")
	require.NotContains(t, a.body, "sk_test_wrong_key_1")
}

// TestBlankCatalogue: with nothing in the catalogue, and then with a plan that
// has neither rates nor packs, every page says what is missing and none fails.
func TestBlankCatalogue(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p, code := newEmptyPortal(t, db)
		ctx := t.Context()
		admin := p.visitor(home)
		require.Equal(t, http.StatusSeeOther, admin.fill("/setup", "/setup", founding(code)).StatusCode)
		a := admin.fill("/setup/catalogue", "/setup/catalogue", url.Values{"preset": {billing.BlankCatalogue}})
		require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
		cards, err := p.billing.RateCards(ctx)
		require.NoError(t, err)
		require.Len(t, cards, 1)
		whole := func(b *browser, path string) string {
			a := b.get(path)
			require.Equal(t, http.StatusOK, a.StatusCode, "%s: %s", path, a.body)
			require.NotContains(t, a.body, "couldn't be loaded", path)
			require.NotContains(t, a.body, "can't be shown", path)
			return a.doc().Find("main").Text()
		}
		card := "/admin/rates/" + cards[0].ID.String()
		for _, path := range []string{
			"/admin", "/admin/agencies", "/admin/agencies/new", "/admin/usage", "/admin/audit", "/admin/plans", "/admin/plans/new",
			"/admin/packs", "/admin/packs/new", "/admin/rates", card, card + "/edit", "/setup/catalogue", "/setup/done",
		} {
			whole(admin, path)
		}
		require.Contains(t, whole(admin, "/setup/done"), "Set rates and make the first plan")

		// A plan on the empty card, an agency on the plan: still nothing to sell or to charge.
		currency, err := p.billing.CatalogueCurrency(ctx)
		require.NoError(t, err)
		plan := models.Plan{
			ID: models.NewID[models.PlanID](begin), Code: "first", Name: "First", Version: 1, Currency: currency, Price: 1000,
			Allowance: 100 * models.Credit, Every: models.EveryMonth, RateCardID: cards[0].ID, CreatedAt: begin,
		}
		require.NoError(t, db.Write.Create(&plan).Error)
		p.northwind, err = p.billing.CreateAgency(ctx, billing.AgencyInput{ExternalID: "northwind", Name: "Northwind", Plan: "first", By: "test"})
		require.NoError(t, err)
		p.person(ctx, "owner", p.northwind, models.RoleOwner, models.SubAccountID{})
		owner := p.as("owner")
		for _, path := range []string{"/", "/usage", "/history", "/purchases", "/sub-accounts", "/sub-accounts/new", "/packages"} {
			whole(owner, path)
		}
		require.Contains(t, whole(owner, "/"), "100")
		require.NotContains(t, whole(owner, "/buy"), "Continue to payment")
		for _, path := range []string{"/admin", "/admin/agencies", "/admin/agencies/" + p.northwind.ID.String(), "/admin/plans", "/admin/usage"} {
			whole(admin, path)
		}
	})
}
