package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// access is whose key finds what behind every operation of the API: no key, a
// revoked key of Northwind's, Northwind's own, three of Northwind's that may charge,
// read or manage alone, Contoso's, the platform's. The first columns ask for what is
// Northwind's, those after the bar for what is Contoso's: each thing alone among
// Northwind's, and all of them; the platform, to whom nothing is foreign, only for
// the mixtures, where there is more than one.
//
// Words in angle brackets are things of the test. What stands last is the body. A
// batch answers 200 and each of its items for itself: the cell is the item's.
const access = `
                                                         none revoked northwind charge read manage contoso platform | none revoked northwind platform
GET   /v1/openapi.json                                   200  200     200       200    200  200    200     200
GET   /v1/plans                                          401  401     200       403    200  403    200     200
GET   /v1/packs                                          401  401     200       403    200  403    200     200
GET   /v1/packs?agency=<agency>                          401  401     200       403    200  403    404     200      | 401  401     404       200
GET   /v1/rates                                          401  401     200       403    200  403    200     200
GET   /v1/rates?agency=<agency>                          401  401     200       403    200  403    404     200      | 401  401     404       200
POST  /v1/rates                                          401  401     403       403    403  403    403     201                                   {"rates":[{"action":"ai.reply","base":"2"}]}

GET   /v1/agencies                                       401  401     200       403    200  403    200     200
POST  /v1/agencies                                       401  401     403       403    403  403    403     201                                   {"external_id":"<new>","name":"New"}
GET   /v1/agencies/<agency>                              401  401     200       403    200  403    404     200      | 401  401     404       200
PATCH /v1/agencies/<agency>                              401  401     403       403    403  403    403     200      | 401  401     403       200      {"plan":"agency"}
PATCH /v1/agencies/<agency>                              401  401     403       403    403  403    403     200      | 401  401     403       200      {"excess_limit":"5","reason":"test"}
POST  /v1/agencies/<agency>/adjustments                  401  401     403       403    403  403    403     201      | 401  401     403       201      {"credits":"1","reason":"test"}
POST  /v1/agencies/<agency>/adjustments                  401  401     403       403    403  403    403     201      | 401  401     403       404      {"credits":"1","reason":"test","sub_account":"<sub>"}

GET   /v1/sub-accounts?agency=<agency>                   401  401     200       403    200  403    404     200      | 401  401     404       200
POST  /v1/sub-accounts                                   401  401     201       403    403  201    404     201      | 401  401     404       201      {"agency":"<agency>","external_id":"<new>","name":"New"}
GET   /v1/sub-accounts/<sub>                             401  401     200       403    200  403    404     422      | 401  401     404       422
GET   /v1/sub-accounts/<sub>?agency=<agency>             401  401     200       403    200  403    404     200      | 401  401     404       404
PATCH /v1/sub-accounts/<sub>?agency=<agency>             401  401     200       403    403  200    404     200      | 401  401     404       404      {"status":"active"}
GET   /v1/sub-accounts/<sub>/monthly-assignment?agency=<agency>     401  401     200       403    200  403    404     200      | 401  401     404       404
PUT   /v1/sub-accounts/<sub>/monthly-assignment?agency=<agency>     401  401     200       403    403  200    404     200      | 401  401     404       404      {"credits":"5"}
DELETE /v1/sub-accounts/<sub>/monthly-assignment?agency=<agency>    401  401     204       403    403  204    404     204      | 401  401     404       404
POST  /v1/bulk-assignments                               401  401     201       403    403  201    404     201      | 401  401     404       404      {"agency":"<agency>","way":"list","list":[{"sub_account":"<sub>","credits":"2"}]}
GET   /v1/bulk-assignments/<bulk>?agency=<agency>        401  401     200       403    200  403    404     200      | 401  401     404       404
POST  /v1/bulk-assignments/<bulk>/undo?agency=<agency>   401  401     200       403    403  200    404     200      | 401  401     404       404      {}
POST  /v1/assignments                                    401  401     201       403    403  201    404     201      | 401  401     404       404      {"agency":"<agency>","sub_account":"<sub>","credits":"2"}
POST  /v1/take-backs                                     401  401     201       403    403  201    404     201      | 401  401     404       404      {"agency":"<agency>","sub_account":"<sub>","credits":"1"}

GET   /v1/wallets/<wallet>                               401  401     200       403    200  403    404     200      | 401  401     404       200
GET   /v1/wallets/<wallet>/lots                          401  401     200       403    200  403    404     200      | 401  401     404       200
GET   /v1/wallets/<wallet>/entries                       401  401     200       403    200  403    404     200      | 401  401     404       200
GET   /v1/wallets/<client>                               401  401     200       403    200  403    404     200      | 401  401     404       200
GET   /v1/wallets/<client>/lots                          401  401     200       403    200  403    404     200      | 401  401     404       200
GET   /v1/wallets/<client>/entries                       401  401     200       403    200  403    404     200      | 401  401     404       200

POST  /v1/charges                                        401  401     201       201    403  403    404     201      | 401  401     404       201      {"wallet":"<wallet>","action":"ai.reply"}
POST  /v1/charges                                        401  401     201       201    403  403    404     201      | 401  401     404       201      {"wallet":"<client>","action":"ai.reply"}
POST  /v1/charges                                        401  401     201       201    403  403    404     201      | 401  401     404       201      {"wallet":"<client>","action":"ai.reply","test":true}
POST  /v1/charges/batch                                  401  401     201       201    403  403    404     201      | 401  401     404       201      {"charges":[{"wallet":"<wallet>","action":"ai.reply"}]}
GET   /v1/charges?idempotency_key=<key>                  401  401     200       403    200  403    404     200      | 401  401     404       200
GET   /v1/charges?idempotency_key=<key>&agency=<agency>  401  401     200       403    200  403    404     200      | 401  401     404       404
GET   /v1/charges/<charge>                               401  401     200       403    200  403    404     200      | 401  401     404       200
POST  /v1/charges/<fresh-charge>/reversals               401  401     201       201    403  403    404     201      | 401  401     404       201      {}
POST  /v1/holds                                          401  401     201       201    403  403    404     201      | 401  401     404       201      {"wallet":"<wallet>","credits":"1"}
POST  /v1/holds/<hold>/captures                          401  401     201       201    403  403    404     201      | 401  401     404       201      {}
POST  /v1/holds/<open-hold>/releases                     401  401     201       201    403  403    404     201      | 401  401     404       201      {}
POST  /v1/estimates                                      401  401     200       200    403  403    404     200      | 401  401     404       200      {"wallet":"<wallet>","items":[{"action":"ai.reply"}]}
GET   /v1/usage?agency=<agency>                          401  401     200       403    200  403    404     200      | 401  401     404       200
GET   /v1/usage?wallet=<client>                          401  401     200       403    200  403    404     200      | 401  401     404       200

GET   /v1/packages?agency=<agency>                       401  401     200       403    200  403    404     200      | 401  401     404       200
POST  /v1/packages                                       401  401     201       403    403  201    404     201      | 401  401     404       404      {"agency":"<agency>","name":"New","credits":"1000","price":{"amount":6000,"currency":"usd"},"sub_accounts":["<sub>"]}
GET   /v1/packages/<package>?agency=<agency>             401  401     200       403    200  403    404     200      | 401  401     404       404
PATCH /v1/packages/<package>?agency=<agency>             401  401     200       403    403  200    404     200      | 401  401     404       404      {"badge":"New"}
PATCH /v1/packages/<package>?agency=<agency>             401  401     200       403    403  200    404     200      | 401  401     404       404      {"sub_accounts":["<sub>"]}

GET   /v1/purchases?agency=<agency>                      401  401     200       403    200  403    404     200      | 401  401     404       200
GET   /v1/purchases?wallet=<client>                      401  401     200       403    200  403    404     200      | 401  401     404       200
POST  /v1/purchases                                      401  401     201       403    403  201    404     201      | 401  401     404       201      {"wallet":"<house>","pack":"credits-2000"}
POST  /v1/purchases                                      401  401     201       403    403  201    404     201      | 401  401     404       422      {"wallet":"<buyer>","package":"<growth>"}
POST  /v1/purchases                                      401  401     201       403    403  201    404     201      | 401  401     422       422      {"wallet":"sub:northwind/acme","package":"<offer>"}
GET   /v1/purchases/<purchase>                           401  401     200       403    200  403    404     200      | 401  401     404       200

POST  /v1/portal-sessions                                401  401     409       403    403  409    404     409                                   {"agency":"northwind","sub_account":"acme"}

GET   /v1/webhook-endpoints                              401  401     200       403    200  403    200     200
POST  /v1/webhook-endpoints                              401  401     201       403    403  201    201     201                                   {"url":"https://example.com/hooks"}
GET   /v1/webhook-endpoints/<endpoint>                   401  401     200       403    200  403    404     404      | 401  401     404       404
GET   /v1/events                                         401  401     200       403    200  403    200     200
GET   /v1/events?agency=<agency>                         401  401     200       403    200  403    404     200      | 401  401     404       200
POST  /v1/events/<event>/replays                         401  401     201       403    403  201    404     201      | 401  401     404       201      {}
POST  /v1/events/<event>/replays                         401  401     201       403    403  201    404     404      | 401  401     404       404      {"endpoint":"<endpoint>"}
DELETE /v1/webhook-endpoints/<fresh-endpoint>            401  401     204       403    403  204    404     404      | 401  401     404       404
`

// thing is what a request can name: Northwind's, and Contoso's.
type thing struct {
	own     func() string
	foreign []string
}

// things are the objects of every kind, by the names that the table gives them.
func (w *world) things() map[string]thing {
	w.t.Helper()
	ctx := w.t.Context()
	is := func(own string, foreign ...string) thing { return thing{func() string { return own }, foreign} }
	must := func(err error) { require.NoError(w.t, err) }
	globex, err := w.s.CreateSubAccount(ctx, billing.Scope{}, billing.SubAccountInput{Agency: w.second.ID, ExternalID: "globex", Name: "Globex", By: "test"})
	must(err)
	selling := func(a models.Agency) models.Package {
		account, err := w.s.AccountOf(ctx, a.WalletID)
		must(err)
		for i := range 2 {
			bought, err := w.s.Buy(ctx, billing.BuyInput{Account: account, Pack: "credits-35000", Key: fmt.Sprint("stock", i), By: "test"})
			must(err)
			w.till.pay(bought.CheckoutSession)
			_, err = w.s.Settle(ctx, a.ID, bought.ID)
			must(err)
		}
		must(w.db.Write.Create(&models.StripeAccount{AgencyID: a.ID, Account: "acct_" + a.ExternalID, ChargesEnabled: true, CreatedAt: start}).Error)
		saved, err := w.s.SavePackage(ctx, billing.Scope{}, billing.PackageEdit{
			Agency: a.ID, Name: "Growth", Credits: credits(1_000), Price: 60_00, Audience: models.AudienceAll, CostBasis: models.CostHeld, OnSale: true, By: "test",
		})
		must(err)
		return saved.Package
	}
	growth, other := selling(w.agency), selling(w.second)
	draft := func(a models.Agency) string {
		saved, err := w.s.SavePackage(ctx, billing.Scope{}, billing.PackageEdit{
			Agency: a.ID, Name: "Draft", Credits: credits(1_000), Price: 60_00, Audience: models.AudienceAll, CostBasis: models.CostHeld, By: "test",
		})
		must(err)
		return saved.ID.String()
	}
	for _, sub := range []models.SubAccount{w.client, globex} {
		_, err := w.s.Assign(ctx, billing.Scope{}, billing.TransferInput{Agency: sub.AgencyID, SubAccount: sub.ID, Credits: credits(1_000), Key: "feed", By: "test"})
		must(err)
	}
	n := 0
	charge := func(wallet string) string {
		n++
		got, err := w.s.Charge(ctx, billing.Scope{}, billing.ChargeInput{Wallet: wallet, Key: fmt.Sprint("charge", n, wallet), Action: "ai.reply", Model: "gpt-4"})
		must(err)
		return got.Charge.ID.String()
	}
	hold := func(wallet string) string {
		n++
		got, err := w.s.Hold(ctx, billing.Scope{}, billing.HoldInput{Wallet: wallet, Key: fmt.Sprint("hold", n, wallet), Credits: credits(1)})
		must(err)
		return got.Hold.ID.String()
	}
	bought := func(a models.Agency) string {
		account, err := w.s.AccountOf(ctx, a.WalletID)
		must(err)
		got, err := w.s.Buy(ctx, billing.BuyInput{Account: account, Pack: "credits-2000", Key: "bought", By: "test"})
		must(err)
		return got.ID.String()
	}
	key := func(wallet string) string {
		_, err := w.s.Charge(ctx, billing.Scope{}, billing.ChargeInput{Wallet: wallet, Key: "key of " + wallet, Action: "ai.reply", Model: "gpt-4"})
		must(err)
		return "key of " + wallet
	}
	bulk := func(sub models.SubAccount) string {
		got, _, err := w.s.AssignMany(ctx, billing.Scope{}, billing.BulkInput{
			Agency: sub.AgencyID, Way: models.BulkSame, Shares: []billing.BulkShare{{SubAccount: sub.ID, Credits: credits(1)}}, Key: "bulk", By: "test",
		})
		must(err)
		_, err = w.s.SetStanding(ctx, billing.Scope{}, billing.StandingInput{
			Agency: sub.AgencyID, SubAccount: sub.ID, Credits: credits(1), Day: 1, Unused: models.UnusedStays, By: "test",
		})
		must(err)
		return got.ID.String()
	}
	listen := func(a models.Agency) string {
		row, _, err := w.s.AddWebhook(ctx, billing.WebhookInput{Owner: billing.WebhookOwner{Agency: a.ID}, URL: "https://example.com/hooks", By: "test"})
		must(err)
		return row.ID.String()
	}
	return map[string]thing{
		"agency":         is("northwind", "contoso", w.second.ID.String()),
		"sub":            is("acme", "globex", globex.ID.String()),
		"wallet":         is("agency:northwind", "agency:contoso", w.second.WalletID.String(), "sub:contoso/globex", globex.WalletID.String()),
		"client":         is("sub:northwind/acme", "sub:contoso/globex", globex.WalletID.String(), "agency:contoso"),
		"key":            is(key("agency:northwind"), key("agency:contoso"), key("sub:contoso/globex")),
		"charge":         is(charge("agency:northwind"), charge("agency:contoso"), charge("sub:contoso/globex")),
		"fresh-charge":   {func() string { return charge("agency:northwind") }, []string{charge("agency:contoso"), charge("sub:contoso/globex")}},
		"hold":           {func() string { return hold("agency:northwind") }, []string{hold("agency:contoso")}},
		"open-hold":      {func() string { return hold("agency:northwind") }, []string{hold("agency:contoso")}},
		"house":          is("agency:northwind", "agency:contoso", w.second.WalletID.String()),
		"buyer":          is("sub:northwind/acme", "sub:contoso/globex", globex.WalletID.String()),
		"bulk":           is(bulk(w.client), bulk(globex)),
		"growth":         is(growth.ID.String()),
		"package":        is(draft(w.agency), draft(w.second)),
		"offer":          is(growth.ID.String(), other.ID.String()),
		"purchase":       is(bought(w.agency), bought(w.second)),
		"endpoint":       is(listen(w.agency), listen(w.second)),
		"fresh-endpoint": {func() string { return listen(w.agency) }, []string{listen(w.second)}},
		"event":          is(w.happened(w.agency), w.happened(w.second)),
		"new":            {own: func() string { n++; return fmt.Sprint("new", n) }},
	}
}

var (
	named = regexp.MustCompile(`<([a-z-]+)>`)
	hole  = regexp.MustCompile(`<[a-z-]+>|\{\w+\}`)
)

// accessLine is a line of the table.
type accessLine struct {
	method, address, body string
	own, foreign          []string // cells, by column
}

// route is the line's address as the route table has it.
func (l *accessLine) route() string {
	at, _, _ := strings.Cut(l.address, "?")
	return l.method + " " + hole.ReplaceAllString(at, "{}")
}

// readAccess reads the table: whose key its columns are, and its lines.
func readAccess(t *testing.T) (own, foreign []string, lines []accessLine) {
	t.Helper()
	for text := range strings.Lines(strings.TrimPrefix(access, "\n")) {
		at := strings.IndexByte(text, '{')
		if own == nil || at < 0 {
			at = len(text)
		}
		left, right, _ := strings.Cut(text[:at], "|")
		a, b := strings.Fields(left), strings.Fields(right)
		switch {
		case own == nil:
			own, foreign = a, b
			continue
		case len(a) == 0:
			continue
		}
		l := accessLine{method: a[0], address: a[1], own: a[2:], foreign: b, body: strings.TrimSpace(text[at:])}
		require.Len(t, l.own, len(own), text)
		require.Contains(t, []int{0, len(foreign)}, len(l.foreign), text)
		lines = append(lines, l)
	}
	return own, foreign, lines
}

// attempt is one cell: a key at an address.
type attempt struct {
	line          *accessLine
	who, at, body string
	want          string
}

func (x *attempt) String() string {
	return fmt.Sprintf("%s %s %s by %s", x.line.method, x.at, x.body, x.who)
}

// fill puts things into an attempt: those that is names, and for the others what
// is Northwind's.
func (x *attempt) fill(t *testing.T, things map[string]thing, is map[string]string) *attempt {
	t.Helper()
	chosen := map[string]string{}
	put := func(text string, escape func(string) string) string {
		return named.ReplaceAllStringFunc(text, func(s string) string {
			name := strings.Trim(s, "<>")
			if _, ok := chosen[name]; !ok {
				if got, ok := is[name]; ok {
					chosen[name] = got
				} else {
					require.Contains(t, things, name)
					chosen[name] = things[name].own()
				}
			}
			return escape(chosen[name])
		})
	}
	path, query, _ := strings.Cut(x.line.address, "?")
	if x.at = put(path, url.PathEscape); query != "" {
		x.at += "?" + put(query, url.QueryEscape)
	}
	x.body = put(x.line.body, func(s string) string { return s })
	return x
}

// wrong are the ways in which a request can name what is not Northwind's: each of
// its things alone, and then all of them.
func (l *accessLine) wrong(things map[string]thing) (alone []map[string]string, all map[string]string) {
	all = map[string]string{}
	for _, m := range named.FindAllStringSubmatch(l.address+l.body, -1) {
		for i, id := range things[m[1]].foreign {
			alone = append(alone, map[string]string{m[1]: id})
			if i == 0 {
				all[m[1]] = id
			}
		}
	}
	return alone, all
}

func (w *world) attempts() []*attempt {
	w.t.Helper()
	own, foreign, lines := readAccess(w.t)
	things, seen, routes := w.things(), map[string]bool{}, map[string]bool{}
	for _, r := range w.routes {
		routes[r.Method+" "+hole.ReplaceAllString(r.Path, "{}")] = true
	}
	var out []*attempt
	for i := range lines {
		l := &lines[i]
		require.True(w.t, routes[l.route()], "%s %s is no operation any more", l.method, l.address)
		seen[l.route()] = true
		for j, who := range own {
			out = append(out, (&attempt{line: l, who: who, want: l.own[j]}).fill(w.t, things, nil))
		}
		alone, all := l.wrong(things)
		require.Equal(w.t, len(alone) > 0, len(l.foreign) > 0, "%s %s", l.method, l.address)
		for j, who := range foreign {
			if len(alone) == 0 {
				break
			}
			for _, is := range alone {
				out = append(out, (&attempt{line: l, who: who, want: l.foreign[j]}).fill(w.t, things, is))
			}
			if len(all) > 1 && who != "platform" {
				out = append(out, (&attempt{line: l, who: who, want: l.foreign[j]}).fill(w.t, things, all))
			}
		}
	}
	for route := range routes {
		require.True(w.t, seen[route], "%s has no line in the table", route)
	}
	return out
}

// TestEveryOperationByEveryKey executes every cell of the table. What is refused is
// tried first, all of it, and then what is only read: either leaves every row of the
// database as it was.
func TestEveryOperationByEveryKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	attempts := w.attempts()
	revoked, row, err := w.s.CreateAPIKey(t.Context(), billing.Scope{Agency: w.agency.ID}, "gone", "test")
	require.NoError(t, err)
	w.get(revoked, "/v1/plans").ok(t, http.StatusOK)
	require.NoError(t, w.s.RevokeAPIKey(t.Context(), billing.Scope{}, row.ID, "test"))
	keys := map[string]string{"none": "", "revoked": revoked, "northwind": w.key, "contoso": w.other, "platform": w.platform}
	theirs := []string{"Contoso", "Globex", w.second.ID.String()}
	secrets := map[string][]string{"northwind": theirs, "contoso": {"Northwind", "Acme", w.agency.ID.String()}}
	for _, scope := range billing.KeyScopes() {
		keys[scope], _ = w.makeKey(billing.APIKeyInput{Scopes: []string{scope}})
		secrets[scope] = theirs
	}
	var wrong []string
	try := func(done, reads bool) {
		for i, x := range attempts {
			if strings.HasPrefix(x.want, "2") != done || done && (x.line.method == http.MethodGet) != reads {
				continue
			}
			r := w.send(keys[x.who], x.line.method, x.at, fmt.Sprint("attempt-", i), x.body)
			got := strconv.Itoa(r.status)
			if x.line.route() == "POST /v1/charges/batch" && r.status == http.StatusOK {
				got = r.text("data.0.status")
			}
			if got != x.want {
				wrong = append(wrong, fmt.Sprintf("%s: %s, not %s: %s", x, got, x.want, r.text("code")))
			}
			if x.line.address == "/v1/openapi.json" {
				continue // its examples are named like them
			}
			for _, secret := range secrets[x.who] {
				if strings.Contains(r.body, secret) {
					wrong = append(wrong, fmt.Sprintf("%s shows %s", x, secret))
				}
			}
		}
	}
	before := modelstest.Digest(t, w.db)
	try(false, false)
	require.Empty(t, wrong, strings.Join(wrong, "\n"))
	require.Equal(t, before, modelstest.Digest(t, w.db), "what was refused changed something")
	try(true, true)
	require.Equal(t, before, modelstest.Digest(t, w.db), "what was read changed something")
	try(true, false)
	require.Empty(t, wrong, strings.Join(wrong, "\n"))
}

// whilePaused are the operations that Northwind's own key is refused while the platform
// has paused the agency, with the code of the refusal: nothing is charged, held,
// bought or added. What there is can be read and moved within the agency, and what runs
// comes to its end.
const whilePaused = `
POST /v1/sub-accounts        agency_paused  {"agency":"<agency>","external_id":"<new>","name":"New"}
POST /v1/charges             wallet_paused  {"wallet":"<wallet>","action":"ai.reply"}
POST /v1/charges             wallet_paused  {"wallet":"<client>","action":"ai.reply"}
POST /v1/charges             wallet_paused  {"wallet":"<client>","action":"ai.reply","test":true}
POST /v1/charges/batch       wallet_paused  {"charges":[{"wallet":"<wallet>","action":"ai.reply"}]}
POST /v1/holds               wallet_paused  {"wallet":"<wallet>","credits":"1"}
POST /v1/purchases           agency_paused  {"wallet":"<house>","pack":"credits-2000"}
POST /v1/purchases           agency_paused  {"wallet":"<buyer>","package":"<growth>"}
POST /v1/purchases           agency_paused  {"wallet":"sub:northwind/acme","package":"<offer>"}
POST /v1/webhook-endpoints   agency_paused  {"url":"https://example.com/hooks"}
`

// TestEveryOperationOfAPausedAgency executes one more column, which follows from the
// table: Northwind's own key, once the platform has paused the agency. What it is
// refused is tried first, and leaves every row as it was.
func TestEveryOperationOfAPausedAgency(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	attempts := w.attempts()
	w.post(w.platform, "/v1/rates", "rates", `{"rates":[{"action":"ai.reply","base":"2"}]}`).ok(t, http.StatusCreated)
	_, err := w.s.PauseAgency(t.Context(), w.agency.ID, "test", "test")
	require.NoError(t, err)
	codes := map[string]string{}
	for line := range strings.Lines(strings.TrimSpace(whilePaused)) {
		cell := strings.Fields(line)
		codes[cell[0]+" "+cell[1]+" "+strings.Join(cell[3:], " ")] = cell[2]
	}
	left := maps.Clone(codes)
	var wrong []string
	try := func(refused bool) {
		for i, x := range attempts {
			name := x.line.method + " " + x.line.address + " " + x.line.body
			code, differs := codes[name]
			if x.who != "northwind" || differs != refused || differs && x.want == "404" {
				continue
			}
			delete(left, name)
			r := w.send(w.key, x.line.method, x.at, fmt.Sprint("attempt-", i), x.body)
			got, want := strconv.Itoa(r.status)+" "+r.text("code"), x.want+" "+r.text("code")
			if x.line.route() == "POST /v1/charges/batch" && r.status == http.StatusOK {
				got = r.text("data.0.status") + " " + r.text("data.0.error.code")
				want = x.want + " " + r.text("data.0.error.code")
			}
			if differs {
				want = "403 " + code
			}
			if got != want {
				wrong = append(wrong, fmt.Sprintf("%s: %s, not %s", x, got, want))
			}
		}
		require.Empty(t, wrong, strings.Join(wrong, "\n"))
	}
	before := modelstest.Digest(t, w.db)
	try(true)
	require.Equal(t, before, modelstest.Digest(t, w.db), "what was refused changed something")
	try(false)
	require.Empty(t, left, "no such operation")
}

// A key that may do one thing does that and nothing else: this holds the table to
// it, whose three columns together are the key that may do all.
func TestAScopeAddsNothing(t *testing.T) {
	t.Parallel()
	own, _, lines := readAccess(t)
	cell := func(l *accessLine, who string) string { return l.own[slices.Index(own, who)] }
	for i := range lines {
		l, may := &lines[i], 0
		for _, scope := range billing.KeyScopes() {
			if got := cell(l, scope); got != "403" {
				may++
				require.Equal(t, cell(l, "northwind"), got, "%s %s by %s", l.method, l.address, scope)
				require.False(t, scope == billing.KeyReads && l.method != http.MethodGet, "%s %s by a key that reads", l.method, l.address)
			}
		}
		switch {
		case cell(l, "none") == "200":
			require.Equal(t, 3, may, "%s %s needs no key", l.method, l.address)
		case cell(l, "northwind") == "403":
			require.Zero(t, may, "%s %s is the platform's", l.method, l.address)
		default:
			require.Equal(t, 1, may, "%s %s takes one scope", l.method, l.address)
		}
	}
}

// What is another agency's is never found: this holds the table itself to it.
func TestNothingForeignIsEverFound(t *testing.T) {
	t.Parallel()
	own, foreign, lines := readAccess(t)
	for i := range lines {
		l := &lines[i]
		hidden := []string{"401", "403", "404"}
		if strings.Contains(l.body, `"package":"<offer>"`) {
			hidden = append(hidden, "422") // unknown_package, as for one that is nobody's
		}
		for j, who := range foreign {
			if len(l.foreign) > 0 && who != "platform" {
				require.Contains(t, hidden, l.foreign[j], "%s %s by %s", l.method, l.address, who)
			}
		}
		if len(l.foreign) > 0 {
			require.Contains(t, []string{"403", "404"}, l.own[slices.Index(own, "contoso")], "%s %s", l.method, l.address)
		}
	}
}

// No operation's path takes a method that the table does not name.
func TestNoOperationTakesAnotherMethod(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	attempts, known := w.attempts(), map[string]bool{}
	for _, x := range attempts {
		known[x.line.route()] = true
	}
	before := modelstest.Digest(t, w.db)
	for i, x := range attempts {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			l := accessLine{method: method, address: x.line.address}
			if x.who != "platform" || known[l.route()] {
				continue
			}
			at, _, _ := strings.Cut(x.at, "?")
			r := w.send(w.platform, method, at, fmt.Sprint("swap-", i), "{}")
			require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, r.status, "%s %s", method, at)
		}
	}
	require.Equal(t, before, modelstest.Digest(t, w.db))
}
