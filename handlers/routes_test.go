package handlers_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/handlers"
	"refill/models"
)

// exercised is what the tests of all routes need to know of one: an address
// that exists, and what everybody finds behind it.
type exercised struct {
	path string // with its parameters filled in
	// want is the status for each person who is signed in, in the order of
	// people; those who are not named by the policy get 403.
	ok int
}

func people() []string { return []string{"owner", "billing", "member", "client", "admin"} }

// allowed are the people a policy lets in.
func allowed(who string) []string {
	switch who {
	case "signed in":
		return people()
	case "agency or client":
		return []string{"owner", "billing", "member", "client"}
	case "agency":
		return []string{"owner", "billing", "member"}
	case "owner or billing":
		return []string{"owner", "billing"}
	case "owner, billing or client":
		return []string{"owner", "billing", "client"}
	case "owner":
		return []string{"owner"}
	case "client":
		return []string{"client"}
	case "agency or admin":
		return []string{"owner", "billing", "member", "admin"}
	case "admin":
		return []string{"admin"}
	}
	return nil
}

// TestEveryRouteByEveryRole walks the whole table: who is named by the policy
// gets in, everybody else gets 403, and who is not signed in is asked to. A
// route that this test has no address for fails it.
func TestEveryRouteByEveryRole(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	charge := p.charge("agency:northwind")
	group := billing.GroupRef{Start: begin, Wallet: p.northwind.WalletID, Action: "ai.reply", Model: "gpt-4"}
	acme := "/sub-accounts/" + p.acme.ID.String()
	agencyAt, waiting := "/admin/agencies/"+p.northwind.ID.String(), p.northwind.ID.String()+"/"+p.asked(60_000, "user:sam@example.test").String()
	spare, err := p.billing.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{Agency: p.northwind.ID, ExternalID: "spare", Name: "Spare", By: "test"})
	require.NoError(t, err)
	away, colleague := "/sub-accounts/"+spare.ID.String(), "/settings/team/"+p.users["member"].ID.String()
	offer, err := p.billing.SavePackage(t.Context(), billing.Scope{}, billing.PackageEdit{
		Agency: p.northwind.ID, Name: "Growth", Credits: 10_000 * models.Credit, Price: 6_000, CostBasis: models.CostBest, By: "test",
	})
	require.NoError(t, err)
	pkg := "/packages/" + offer.ID.String()
	planAt := "/admin/plans/" + p.offered(p.defaultPlan()).ID.String()
	packAt, cardAt := "/admin/packs/"+p.onSale("credits-2000").ID.String(), "/admin/rates/"+p.card().ID.String()
	addresses := map[string]exercised{
		"GET /packages":                                         {"/packages", http.StatusOK},
		"GET /packages/new":                                     {"/packages/new", http.StatusOK},
		"POST /packages/new":                                    {"/packages/new", http.StatusUnprocessableEntity},
		"POST /packages/ready-made":                             {"/packages/ready-made", http.StatusSeeOther},
		"GET /packages/preview":                                 {"/packages/preview", http.StatusOK},
		"GET /packages/:id":                                     {pkg, http.StatusOK},
		"POST /packages/:id":                                    {pkg, http.StatusUnprocessableEntity},
		"POST /packages/:id/sale":                               {pkg + "/sale", http.StatusSeeOther},
		"POST /packages/:id/move":                               {pkg + "/move", http.StatusSeeOther},
		"POST /packages/:id/archive":                            {"/packages/pkg_nothing/archive", http.StatusNotFound},
		"GET /sub-accounts/archived":                            {"/sub-accounts/archived", http.StatusOK},
		"GET /sub-accounts/:id/archive":                         {away + "/archive", http.StatusOK},
		"POST /sub-accounts/:id/archive":                        {away + "/archive", http.StatusSeeOther},
		"POST /sub-accounts/:id/restore":                        {away + "/restore", http.StatusSeeOther},
		"GET /sub-accounts/:id/people":                          {acme + "/people", http.StatusOK},
		"POST /sub-accounts/:id/people":                         {acme + "/people", http.StatusUnprocessableEntity},
		"GET /sub-accounts/:id/people/:user":                    {acme + "/people/" + p.users["client"].ID.String(), http.StatusOK},
		"POST /sub-accounts/:id/people/:user/remove":            {acme + "/people/usr_nothing/remove", http.StatusNotFound},
		"POST /sub-accounts/:id/people/invitations/:invitation": {acme + "/people/invitations/inv_nothing", http.StatusNotFound},
		"GET /settings/team":                                    {"/settings/team", http.StatusOK},
		"POST /settings/team":                                   {"/settings/team", http.StatusUnprocessableEntity},
		"POST /settings/team/invitations/:invitation":           {"/settings/team/invitations/inv_nothing", http.StatusNotFound},
		"GET /settings/team/:user":                              {colleague, http.StatusOK},
		"POST /settings/team/:user":                             {colleague, http.StatusUnprocessableEntity},
		"POST /settings/team/:user/remove":                      {"/settings/team/usr_nothing/remove", http.StatusNotFound},
		"GET /settings/people":                                  {"/settings/people", http.StatusOK},
		"POST /settings/people":                                 {"/settings/people", http.StatusUnprocessableEntity},
		"POST /settings/people/invitations/:invitation":         {"/settings/people/invitations/inv_nothing", http.StatusNotFound},
		"GET /settings/password":                                {"/settings/password", http.StatusOK},
		"POST /settings/password":                               {"/settings/password", http.StatusUnprocessableEntity},
		"GET /switch":                                           {"/switch", http.StatusOK},
		"POST /switch":                                          {"/switch", http.StatusNotFound},
		"GET /":                                                 {"/", http.StatusOK}, "GET /usage": {"/usage", http.StatusOK}, "GET /usage.csv": {"/usage.csv", http.StatusOK},
		"GET /history": {"/history", http.StatusOK}, "GET /history.csv": {"/history.csv", http.StatusOK},
		"GET /history/group":         {"/history/group?ref=" + group.String(), http.StatusOK},
		"GET /history/:id":           {"/history/" + charge, http.StatusOK},
		"GET /buy":                   {"/buy", http.StatusOK},
		"POST /buy":                  {"/buy", http.StatusUnprocessableEntity},
		"GET /buy/return":            {"/buy/return?s=cs_nobody", http.StatusNotFound},
		"GET /purchases":             {"/purchases", http.StatusOK},
		"GET /purchases.csv":         {"/purchases.csv", http.StatusOK},
		"GET /purchases/:id/receipt": {"/purchases/pur_nothing/receipt", http.StatusNotFound},
		"GET /sales":                 {"/sales", http.StatusOK}, "GET /sales.csv": {"/sales.csv", http.StatusOK}, "POST /checklist/hide": {"/checklist/hide", http.StatusSeeOther},
		"GET /sub-accounts":                   {"/sub-accounts", http.StatusOK},
		"GET /sub-accounts.csv":               {"/sub-accounts.csv", http.StatusOK},
		"GET /sub-accounts/new":               {"/sub-accounts/new", http.StatusOK},
		"POST /sub-accounts/new":              {"/sub-accounts/new", http.StatusUnprocessableEntity},
		"GET /sub-accounts/:id":               {acme, http.StatusOK},
		"GET /sub-accounts/:id/edit":          {acme + "/edit", http.StatusOK},
		"POST /sub-accounts/:id/edit":         {acme + "/edit", http.StatusUnprocessableEntity},
		"GET /sub-accounts/:id/assign":        {acme + "/assign", http.StatusOK},
		"POST /sub-accounts/:id/assign":       {acme + "/assign", http.StatusUnprocessableEntity},
		"GET /sub-accounts/:id/take-back":     {acme + "/take-back", http.StatusOK},
		"POST /sub-accounts/:id/take-back":    {acme + "/take-back", http.StatusUnprocessableEntity},
		"GET /admin/plans":                    {"/admin/plans", http.StatusOK},
		"GET /admin/plans/new":                {"/admin/plans/new", http.StatusOK},
		"POST /admin/plans/new":               {"/admin/plans/new", http.StatusUnprocessableEntity},
		"GET /admin/plans/:id":                {planAt, http.StatusOK},
		"GET /admin/plans/:id/edit":           {planAt + "/edit", http.StatusOK},
		"POST /admin/plans/:id/edit":          {planAt + "/edit", http.StatusUnprocessableEntity},
		"GET /admin/plans/:id/archive":        {planAt + "/archive", http.StatusOK},
		"POST /admin/plans/:id/archive":       {planAt + "/archive", http.StatusUnprocessableEntity},
		"POST /admin/plans/:id/default":       {planAt + "/default", http.StatusSeeOther},
		"GET /admin/plans/:id/move":           {planAt + "/move", http.StatusOK},
		"POST /admin/plans/:id/move":          {planAt + "/move", http.StatusUnprocessableEntity},
		"GET /admin/packs":                    {"/admin/packs", http.StatusOK},
		"GET /admin/packs/new":                {"/admin/packs/new", http.StatusOK},
		"POST /admin/packs/new":               {"/admin/packs/new", http.StatusUnprocessableEntity},
		"GET /admin/packs/:id":                {packAt, http.StatusOK},
		"GET /admin/packs/:id/edit":           {packAt + "/edit", http.StatusOK},
		"POST /admin/packs/:id/edit":          {packAt + "/edit", http.StatusUnprocessableEntity},
		"GET /admin/packs/:id/archive":        {packAt + "/archive", http.StatusOK},
		"POST /admin/packs/:id/archive":       {packAt + "/archive", http.StatusUnprocessableEntity},
		"GET /admin/rates":                    {"/admin/rates", http.StatusOK},
		"GET /admin/rates/new":                {"/admin/rates/new", http.StatusOK},
		"POST /admin/rates/new":               {"/admin/rates/new", http.StatusUnprocessableEntity},
		"GET /admin/rates/:id":                {cardAt, http.StatusOK},
		"GET /admin/rates/:id/rates.csv":      {cardAt + "/rates.csv", http.StatusOK},
		"GET /admin/rates/:id/edit":           {cardAt + "/edit", http.StatusOK},
		"POST /admin/rates/:id/edit":          {cardAt + "/edit", http.StatusUnprocessableEntity},
		"GET /admin/rates/:id/versions/:n":    {cardAt + "/versions/1", http.StatusOK},
		"GET /admin":                          {"/admin", http.StatusOK},
		"GET /admin/agencies":                 {"/admin/agencies", http.StatusOK},
		"GET /admin/agencies.csv":             {"/admin/agencies.csv", http.StatusOK},
		"GET /admin/agencies/new":             {"/admin/agencies/new", http.StatusOK},
		"POST /admin/agencies/new":            {"/admin/agencies/new", http.StatusUnprocessableEntity},
		"GET /admin/agencies/:id":             {agencyAt, http.StatusOK},
		"GET /admin/agencies/:id/adjust":      {agencyAt + "/adjust", http.StatusOK},
		"POST /admin/agencies/:id/adjust":     {agencyAt + "/adjust", http.StatusUnprocessableEntity},
		"GET /admin/agencies/:id/plan":        {agencyAt + "/plan", http.StatusOK},
		"POST /admin/agencies/:id/plan":       {agencyAt + "/plan", http.StatusUnprocessableEntity},
		"GET /admin/agencies/:id/pause":       {agencyAt + "/pause", http.StatusOK},
		"POST /admin/agencies/:id/pause":      {agencyAt + "/pause", http.StatusUnprocessableEntity},
		"GET /admin/agencies/:id/resume":      {agencyAt + "/resume", http.StatusOK},
		"POST /admin/agencies/:id/resume":     {agencyAt + "/resume", http.StatusSeeOther},
		"GET /admin/agencies/:id/excess":      {agencyAt + "/excess", http.StatusOK},
		"POST /admin/agencies/:id/excess":     {agencyAt + "/excess", http.StatusUnprocessableEntity},
		"GET /admin/adjustments":              {"/admin/adjustments", http.StatusOK},
		"POST /admin/adjustments":             {"/admin/adjustments", http.StatusUnprocessableEntity},
		"GET /admin/adjustments/:agency/:id":  {"/admin/adjustments/" + waiting, http.StatusOK},
		"POST /admin/adjustments/:agency/:id": {"/admin/adjustments/" + waiting, http.StatusUnprocessableEntity},
		"GET /admin/audit":                    {"/admin/audit", http.StatusOK},
		"GET /admin/audit.csv":                {"/admin/audit.csv", http.StatusOK},
		"GET /admin/usage":                    {"/admin/usage", http.StatusOK},
		"GET /admin/usage.csv":                {"/admin/usage.csv", http.StatusOK},
	}
	for _, step := range []string{"address", "database", "stripe", "catalogue", "done"} {
		addresses["GET /setup/"+step] = exercised{"/setup/" + step, http.StatusOK}
		addresses["POST /setup/"+step] = exercised{"/setup/" + step, http.StatusSeeOther}
	}
	for _, step := range []string{"address", "catalogue"} { // an empty form
		addresses["POST /setup/"+step] = exercised{"/setup/" + step, http.StatusUnprocessableEntity}
	}
	open := []string{"anybody", "anybody until there is an admin", "visitors", "platform API key", "Stripe's signature"}
	browsers := map[string]*browser{"nobody": p.visitor(home)}
	for _, who := range people() {
		browsers[who] = p.as(who)
	}
	seen := 0
	for _, r := range handlers.Table() {
		name := r.Method + " " + r.Path
		if slices.Contains(open, r.Who) {
			continue // each has tests of its own
		}
		x, ok := addresses[name]
		require.True(t, ok, "the matrix has no address for %s", name)
		seen++
		try := func(who string) answer {
			b := browsers[who]
			if r.Method == http.MethodPost {
				from := "/sign-in"
				if who != "nobody" {
					from = "/usage"
				}
				if who == "admin" {
					from = "/admin"
				}
				return b.fill(from, x.path, url.Values{})
			}
			return b.get(x.path)
		}
		a := try("nobody")
		require.Equal(t, http.StatusSeeOther, a.StatusCode, "%s by nobody", name)
		require.True(t, strings.HasPrefix(a.to(), "/sign-in"), "%s by nobody leads to %s", name, a.to())
		for _, who := range people() {
			want := x.ok
			if !slices.Contains(allowed(r.Who), who) {
				want = http.StatusForbidden
			} else if (name == "GET /" || name == "POST /switch") && who == "admin" {
				want = http.StatusSeeOther
			} else if who == "client" && slices.Contains([]string{"GET /history/:id", "GET /history/group"}, name) {
				want = http.StatusNotFound // the agency's own charge
			}
			require.Equal(t, want, try(who).StatusCode, "%s by %s", name, who)
		}
	}
	require.Len(t, addresses, seen, "an address of the matrix is no route any more")
}

// charge books one reply and gives its id.
func (p *portal) charge(wallet string) string {
	p.t.Helper()
	got, err := p.billing.Charge(p.t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: wallet, Key: "test:" + wallet, Action: "ai.reply", Model: "gpt-4"})
	require.NoError(p.t, err)
	return got.Charge.ID.String()
}

// TestOtherAgenciesDoNotExist asks for what is another agency's, or another
// client's, by its id.
func TestOtherAgenciesDoNotExist(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	own, foreign := p.charge("agency:northwind"), p.charge("agency:bluebird")
	_, err := p.billing.Assign(t.Context(), billing.Scope{}, billing.TransferInput{
		Agency: p.northwind.ID, SubAccount: p.acme.ID, Credits: 1000 * models.Credit, Key: "feed", By: "test",
	})
	require.NoError(t, err)
	acme := p.charge("sub:northwind/acme")
	bought := p.bought("owner")
	stranger, client, owner := p.as("stranger"), p.as("client"), p.as("owner")
	for _, c := range []struct {
		by   *browser
		path string
		want int
	}{
		{owner, "/history/" + own, 200},
		{owner, "/history/" + acme, 200},
		{client, "/history/" + acme, 200},
		{stranger, "/history/" + own, 404},
		{stranger, "/history/" + acme, 404},
		{owner, "/history/" + foreign, 404},
		{client, "/history/" + own, 404},
		{owner, "/history/chg_nothing", 404},
		{owner, "/purchases/" + bought.ID.String() + "/receipt", 200},
		{stranger, "/purchases/" + bought.ID.String() + "/receipt", 404},
		{client, "/purchases/" + bought.ID.String() + "/receipt", 404},
		{owner, "/buy/return?s=" + bought.CheckoutSession, 200},
		{stranger, "/buy/return?s=" + bought.CheckoutSession, 404},
		{client, "/buy/return?s=" + bought.CheckoutSession, 404},
		{stranger, "/buy?cancelled=" + bought.ID.String(), 404},
	} {
		a := c.by.get(c.path)
		require.Equal(t, c.want, a.StatusCode, "%s", c.path)
		if c.want == http.StatusNotFound {
			require.NotContains(t, a.body, "2,000", "%s", c.path)
		}
	}
	usage := stranger.get("/usage.csv?sub=acme")
	require.Equal(t, http.StatusNotFound, usage.StatusCode)
}

// TestFormsNeedTheirToken sends every form without a token, with another
// session's, and from another site.
func TestFormsNeedTheirToken(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner := p.as("owner")
	foreign := p.as("billing").get("/usage").token()
	own := owner.get("/usage").token()
	forms := 0
	for _, r := range handlers.Table() {
		if r.Method == http.MethodGet || r.Who == "platform API key" || r.Who == "Stripe's signature" {
			continue
		}
		forms++
		path := strings.Replace(r.Path, ":token", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 1)
		for what, token := range map[string]string{"no": "", "somebody else's": foreign, "a broken": own[:len(own)-2], "a made-up": strings.Repeat("A", len(own))} {
			form := url.Values{}
			if token != "" {
				form.Set("csrf_token", token)
			}
			for who, b := range map[string]*browser{"owner": owner, "visitor": p.visitor(home)} {
				a := b.post(path, form)
				require.Equal(t, http.StatusForbidden, a.StatusCode, "%s with %s token by %s", path, what, who)
				require.Contains(t, a.body, "This form has expired", "%s", path)
			}
		}
		for _, origin := range []struct{ name, value string }{
			{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "null"}, {"Origin", clients},
		} {
			req := owner.request(http.MethodPost, path, url.Values{"csrf_token": {own}})
			req.Header.Set(origin.name, origin.value)
			require.Equal(t, http.StatusForbidden, owner.do(req).StatusCode, "%s from %s %s", path, origin.name, origin.value)
		}
	}
	require.GreaterOrEqual(t, forms, 9)
	require.Equal(t, http.StatusOK, owner.get("/").StatusCode, "nothing of it signed the owner out")
}

// TestHeadersStandOnEveryAnswer looks at every route, and at what is none.
func TestHeadersStandOnEveryAnswer(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	type ask struct {
		b            *browser
		method, path string
	}
	owner := p.as("owner")
	asks := []ask{
		{owner, "GET", "/nothing-here"},
		{owner, "PUT", "/"},
		{owner, "DELETE", "/buy"},
		{owner, "TRACE", "/"},
		{owner, "GET", "/static/nothing"},
		{owner, "GET", "/static/app.css"},
		{owner, "GET", "/sign-in"},
		{owner, "GET", "/usage?p=custom&from=2020-01-01&to=2026-01-01"},
		{p.visitor("http://nobody.refill.test"), "GET", "/"},
		{p.visitor(clients), "GET", "/v1/charges"},
	}
	for _, r := range handlers.Table() {
		for _, b := range []*browser{p.visitor(home), owner, p.visitor(clients)} {
			asks = append(asks, ask{b, r.Method, strings.NewReplacer(":token", "x", ":name", "app.js", ":id", "chg_x").Replace(r.Path)})
			asks = append(asks, ask{b, http.MethodHead, r.Path})
		}
	}
	for _, x := range asks {
		a := x.b.send(x.method, x.path, nil)
		name := x.method + " " + x.b.at + x.path
		csp := a.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self' https://checkout.stripe.com", "base-uri 'none'", "frame-ancestors 'none'"} {
			require.Contains(t, csp, part, name)
		}
		require.NotContains(t, csp, "unsafe", name)
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"), name)
		require.Contains(t, []string{"same-origin", "no-referrer"}, a.Header.Get("Referrer-Policy"), name)
		require.Equal(t, "same-origin", a.Header.Get("Cross-Origin-Opener-Policy"), name)
		require.Equal(t, "same-origin", a.Header.Get("Cross-Origin-Resource-Policy"), name)
		require.NotEmpty(t, a.Header.Get("X-Request-Id"), name)
		require.Empty(t, a.Header.Get("Strict-Transport-Security"), "no https, no promise: %s", name)
		if !strings.HasPrefix(x.path, "/static/") || a.StatusCode != http.StatusOK {
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"), name)
		}
		for _, c := range a.Cookies() {
			require.True(t, c.HttpOnly, name)
			require.Equal(t, http.SameSiteLaxMode, c.SameSite, name)
			require.Equal(t, "/", c.Path, name)
			require.Empty(t, c.Domain, name)
		}
		require.Less(t, a.StatusCode, 500, name)
	}
}

func TestCookiesAreSecureOverHTTPS(t *testing.T) {
	t.Parallel()
	p := sqlite(t, func(c *handlers.Config) { c.BaseURL = "https://refill.test" })
	a := p.visitor(home).get("/sign-in") // as behind a proxy that ends TLS
	require.Len(t, a.Cookies(), 1)
	require.Equal(t, "__Host-session", a.Cookies()[0].Name)
	require.True(t, a.Cookies()[0].Secure)
	require.Equal(t, "max-age=63072000; includeSubDomains", a.Header.Get("Strict-Transport-Security"))
	require.Equal(t, "max-age=63072000", p.visitor(clients).get("/sign-in").Header.Get("Strict-Transport-Security"))
}

func TestARouteWithoutAPolicyIsNone(t *testing.T) {
	t.Parallel()
	for _, r := range handlers.Table() {
		require.NotEmpty(t, r.Who, r.Path)
	}
}
