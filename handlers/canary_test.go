package handlers_test

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/handlers"
	"refill/handlers/api"
	"refill/models"
	"refill/models/modelstest"
)

// told are the columns that hold what people or programs wrote, or what somebody
// else calls a thing: nothing of it is anybody else's to read. A column in round
// brackets may be read by the agency's own client too, on rows that are not that
// client's: an assignment's line shows its note and its key to both sides. A mark of
// %s stands inside of JSON or of an address.
const told = `
account_links          email
acts                   actor (note) (idempotency_key)
adjustment_requests    reason requested_by decided_by idempotency_key
agencies               external_id (name) idempotency_key (try_later)
api_keys               name hint networks created_by
audit_log              actor detail reason
billing_details        (company) (line1) (line2) (postal_code) (city) (region) (tax_id)
brands                 (name) (support)=mailto:%s@example.test (links)=[{"label":"%s","url":"https://example.test/%s"}] (sender_name) (sender_address)=%s@example.test created_by
bulk_assignments       note created_by idempotency_key undone_by
charges                idempotency_key metadata={"note":"%s"}
credit_notes           refund
domains                token note created_by
embeds                 (origins)=["https://%s.example"]
gift_codes             code shown
gift_redemptions       redeemed_by idempotency_key
gifts                  name reason created_by idempotency_key
holds                  idempotency_key
invitations            email=%s@example.test invited_by
lot_rows               note
mails                  recipient=%s@example.test from_name from_address=%s@example.test reply_to subject text html note unsubscribe
notice_copies          address=%s@example.test
notices                facts={"name":"%s","reason":"%s"}
package_prices         set_by
package_subscriptions  title status_note stripe_id customer
packages               (name) (badge) (note) idempotency_key
plan_orders            status_note idempotency_key checkout_session checkout_url ordered_by
plan_payments          invoice subscription payment_intent hosted_url
purchases              title status_note idempotency_key bought_by checkout_url payment_intent receipt_url customer payment_method card failure_code method card_last4 invoice_url invoice seller_details={"name":"%s"} buyer_details={"name":"%s"}
quotes                 name query=c=1&%s=1 sheet={"note":"%s"} created_by
refund_requests        reason refund note requested_by idempotency_key
reversals              idempotency_key reason
sessions               agent address
standing_assignments   note created_by
stripe_accounts        name (statement)
sub_accounts           external_id name idempotency_key try_later
subscriptions          stripe_id stripe_customer
top_ups                note agreed_by customer payment_method card_brand card_last4 card_fingerprint card_session removed_card
users                  email=%s@example.test name
webhook_deliveries     body={"note":"%s"} note
webhook_endpoints      url=https://%s.example/ note disabled_note idempotency_key created_by
webhook_events         body={"note":"%s"}
`

// fixed are all other columns of text: words of the program, keys that rows are
// joined on, sealed secrets, and what belongs to the platform.
const fixed = `
account_links          kind
acts                   kind reference
adjustment_requests    source state
agencies               host time_zone currency status slots platform_zone oversell domain
alarms                 lines crossed state
api_keys               scopes
audit_log              action target
billing_details        country
brands                 colour logo logo_dark icon corners
bulk_assignments       way
charges                action model usage state
credit_notes           account currency
domains                name
entry_sums             source
gift_redemptions       code
holds                  action model draws state
hosts                  name
invitations            role
logos                  name
lot_freezes            reason
lot_rows               source currency
mails                  kind state
members                role
notice_choices         event channel
notices                event occasion
package_subscriptions  currency account status
packages               currency audience cost_basis every
packs                  code name kind currency note created_by
patrols                broken
payer_marks            mark
payment_refs           ref
plan_orders            status
plan_payments          currency dispute
plan_prices            price_id
plan_refs              ref
plans                  code name currency every assumed note created_by paid_every
purchases              currency status account origin checkout_session dispute
quote_offers           currency every
quotes                 token
rate_card_versions     rates note created_by idempotency_key
rate_cards             code name
reconciliations        note
referral_codes         code
referrals              state note payment
refund_requests        state
seen_payments          payment account session reference currency
settings               name value
sign_in_attempts       subject
standing_assignments   unused time_zone
standing_turns         outcome
stripe_accounts        account
stripe_events          endpoint event_id type account object_id reference api_version state note
sub_accounts           time_zone status
subscriptions          status time_zone every currency paid_every stripe_status
top_ups                state reason currency account
usage_agency_days      action model
usage_days             action model
usage_platform_days    action model
usage_quarters         action model
users                  password_hash platform_role two_step_secret
wallets                status funding pool_every
webhook_deliveries     type state
webhook_endpoints      events secret old_secret
webhook_events         type
`

// writtenColumn is a column of the table of what is told.
type writtenColumn struct {
	table, name string
	form        string // what the mark stands in
	shared      bool   // the agency's clients may read it
}

// columns reads the two lists and holds them against the database.
func columns(t *testing.T, db *models.DB) []writtenColumn {
	t.Helper()
	var out []writtenColumn
	listed := map[string]bool{}
	note := func(table, name string) {
		require.False(t, listed[table+"."+name], "%s.%s stands twice", table, name)
		listed[table+"."+name] = true
	}
	for line := range strings.Lines(told) {
		fields := strings.Fields(line)
		for i := 1; i < len(fields); i++ {
			name, form, _ := strings.Cut(fields[i], "=")
			c := writtenColumn{table: fields[0], name: strings.Trim(name, "()"), form: form, shared: strings.HasPrefix(name, "(")}
			if form == "" {
				c.form = "%s"
			}
			note(c.table, c.name)
			out = append(out, c)
		}
	}
	for line := range strings.Lines(fixed) {
		for i, name := range strings.Fields(line) {
			if i > 0 {
				note(strings.Fields(line)[0], name)
			}
		}
	}
	var there []struct{ Tab, Col string }
	require.NoError(t, db.Read.Raw(`SELECT m.name AS tab, c.name AS col FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'goose_db_version' AND lower(c.type) = 'text'`).Scan(&there).Error)
	for _, c := range there {
		require.True(t, listed[c.Tab+"."+c.Col], "%s.%s holds text: say above whether somebody wrote it", c.Tab, c.Col)
		delete(listed, c.Tab+"."+c.Col)
	}
	require.Empty(t, listed, "no such columns any more")
	return out
}

// canary is a portal in which everything that Bluebird's people wrote is a mark
// that stands nowhere else.
type canary struct {
	*portal

	things map[string]thing
	marks  map[string]string // what each is of: "packages.note of the client"
	ids    []string          // which are marks too
	closed map[string]bool   // marks that Bluebird's own client does not read either
	key    string            // API keys: Northwind's,
	theirs string            // Bluebird's,
	all    string            // the platform's
}

// bluebirdsRows tells which rows of a table are Bluebird's.
func bluebirdsRows(t *testing.T, db *models.DB, table string) string {
	t.Helper()
	switch table {
	case "agencies":
		return "id = @agency"
	case "users":
		return "id IN (SELECT user_id FROM members WHERE agency_id = @agency)"
	case "sessions":
		return "user_id IN (SELECT user_id FROM members WHERE agency_id = @agency)"
	case "gifts":
		return "for_agency_id = @agency"
	case "gift_codes":
		return "gift_id IN (SELECT id FROM gifts WHERE for_agency_id = @agency)"
	}
	require.True(t, db.Read.Migrator().HasColumn(table, "agency_id"), table)
	return "agency_id = @agency"
}

// maplesRows tells which of them are about Bluebird's client; "" for tables that
// have none.
func maplesRows(db *models.DB, table string) string {
	switch {
	case table == "sub_accounts":
		return "id = @client"
	case table == "users":
		return "id = @guest"
	case table == "sessions":
		return "user_id = @guest"
	case db.Read.Migrator().HasColumn(table, "sub_account_id"):
		return "sub_account_id = @client"
	case db.Read.Migrator().HasColumn(table, "wallet_id") && table != "agencies":
		return "wallet_id = @wallet"
	}
	return ""
}

// newCanary makes the portal, everything that the table of who may enter names,
// and what that leaves out; then it marks Bluebird's, with what text says is written
// into a column.
func newCanary(t *testing.T, text ...func(c writtenColumn, mark string) string) *canary {
	t.Helper()
	c := &canary{portal: &portal{preset: "stammer"}, marks: map[string]string{}, closed: map[string]bool{}}
	db := modelstest.OpenSQLite(t)
	c.start(t, db, func(conf *handlers.Config) {
		conf.API = func(e *echo.Echo) error {
			_, err := api.Register(e, c.billing, api.Options{Log: conf.Log, BaseURL: home})
			return err
		}
	})
	c.things = c.portal.things()
	c.fillIn()
	for name, scope := range map[*string]billing.Scope{&c.key: {Agency: c.northwind.ID}, &c.theirs: {Agency: c.bluebird.ID}, &c.all: {}} {
		var err error
		*name, _, err = c.billing.CreateAPIKey(t.Context(), scope, "Program", "test")
		require.NoError(t, err)
	}
	if len(text) == 0 {
		text = append(text, func(c writtenColumn, mark string) string { return strings.ReplaceAll(c.form, "%s", mark+"~") })
	}
	c.mark(text[0])
	return c
}

// fillIn makes of everything that can be written something of Bluebird's.
func (c *canary) fillIn() {
	c.t.Helper()
	ctx, s, agency := c.t.Context(), c.billing, c.bluebird.ID
	must := func(err error) { require.NoError(c.t, err) }
	party := models.Party{Name: "Comet", Line1: "1 Way", Line2: "Yard", PostalCode: "1010", City: "Vienna", Region: "V", Country: "AT", TaxID: "ATU12345678"}
	must(s.SetBillingDetails(ctx, billing.Party{Agency: agency}, party, "test"))
	must(s.SetBillingDetails(ctx, billing.Party{Agency: agency, SubAccount: c.maple.ID}, party, "test"))
	must(s.SetEmbedOrigins(ctx, billing.Scope{}, agency, []string{"https://comet.example"}, "test"))
	gift, err := s.CreateGift(ctx, billing.GiftInput{Name: "Sorry", Credits: models.Credit, Code: "SORRYSORRY", Agency: "bluebird", Reason: "Outage", Key: "sorry", By: "test"})
	must(err)
	account, err := s.AccountOf(ctx, c.bluebird.WalletID)
	must(err)
	_, err = s.Redeem(ctx, billing.RedeemInput{Account: account, Code: "SORRYSORRY", Address: "10.0.0.1", Key: gift.Name, By: "test"})
	must(err)
	_, err = s.SetStanding(ctx, billing.Scope{}, billing.StandingInput{Agency: agency, SubAccount: c.maple.ID, Credits: models.Credit, Day: 1, Unused: models.UnusedStays, Note: "each month", By: "test"})
	must(err)
	_, err = s.Hold(ctx, billing.Scope{}, billing.HoldInput{Wallet: "agency:bluebird", Key: "held", Credits: models.Credit})
	must(err)
	var undone models.Charge
	must(c.db.Read.Where("agency_id = ? AND wallet_id = ?", agency, c.bluebird.WalletID).Take(&undone).Error)
	_, err = s.Reverse(ctx, billing.Scope{}, agency, undone.ID, "undo", "it failed")
	must(err)
	var bought models.Purchase
	must(c.db.Read.Where("agency_id = ? AND status = ? AND wallet_id = ?", agency, models.PurchaseCredited, c.bluebird.WalletID).Order("id").Take(&bought).Error)
	for _, row := range []any{
		&models.CreditNote{AgencyID: agency, PurchaseID: bought.ID, Refund: "re_2", Number: 7, Amount: 1, Currency: "usd", RefundedAt: begin, CreatedAt: begin},
		&models.RefundRequest{AgencyID: agency, ID: models.NewID[models.RefundID](begin), PurchaseID: bought.ID, Amount: 1, Reason: "asked", State: models.RefundSent, Refund: "re_3", RequestedBy: "test", IdempotencyKey: "r", CreatedAt: begin},
		&models.PlanPayment{AgencyID: agency, Invoice: "in_1", Subscription: "sub_1", PaymentIntent: "pi_plan", Amount: 1, Currency: "usd", PaidAt: begin},
		&models.PlanOrder{AgencyID: agency, ID: models.NewID[models.PlanOrderID](begin), PlanID: c.offered(c.defaultPlan()).ID, Status: models.PlanOrderExpired, IdempotencyKey: "p", CheckoutSession: "cs_plan", CreatedAt: begin, ExpiresAt: begin},
		&models.Notice{AgencyID: agency, ID: models.NewID[models.NoticeID](begin), WalletID: c.bluebird.WalletID, Event: models.NoticeGiftRedeemed, Occasion: "x", DueAt: begin, ToldAt: begin, CreatedAt: begin},
		&models.TopUp{AgencyID: agency, WalletID: c.bluebird.WalletID, State: models.TopUpOff, Currency: "usd", AgreedBy: "test"},
	} {
		must(c.db.Write.Create(row).Error)
	}
	var told models.Notice
	must(c.db.Read.Where("agency_id = ? AND told_at > 0", agency).Take(&told).Error)
	must(c.db.Write.Create(&models.NoticeCopy{AgencyID: agency, UserID: c.users["stranger"].ID, NoticeID: told.ID, InApp: true, Address: "x"}).Error)
	c.as("stranger")
	c.signedIn("guest", others)
}

// mark puts a mark into every column that is told, in every row of Bluebird's; a ~
// becomes something else in each.
func (c *canary) mark(text func(c writtenColumn, mark string) string) {
	c.t.Helper()
	// What nobody may change in the books is changed for once, and columns that are
	// filled in together are filled in alone.
	var guard string
	require.NoError(c.t, c.db.Read.Raw("SELECT sql FROM sqlite_master WHERE name = 'audit_no_update'").Scan(&guard).Error)
	require.NoError(c.t, c.db.Write.Exec("DROP TRIGGER audit_no_update").Error)
	defer func() { require.NoError(c.t, c.db.Write.Exec(guard).Error) }()
	require.NoError(c.t, c.db.Write.Exec("PRAGMA ignore_check_constraints = ON").Error)
	defer func() { require.NoError(c.t, c.db.Write.Exec("PRAGMA ignore_check_constraints = OFF").Error) }()
	var wrong []string
	named := map[string]any{"agency": c.bluebird.ID, "client": c.maple.ID, "wallet": c.maple.WalletID, "guest": c.users["guest"].ID}
	n := 0
	for _, col := range columns(c.t, c.db) {
		rows, maples := bluebirdsRows(c.t, c.db, col.table), maplesRows(c.db, col.table)
		marked := int64(0)
		for _, of := range []string{"the agency", "the client"} {
			where := rows
			switch {
			case maples == "" && of == "the client":
				continue
			case maples != "" && of == "the client":
				where += " AND " + maples
			case maples != "":
				where += " AND (" + maples + ") IS NOT TRUE"
			}
			n++
			mark := fmt.Sprintf("zq%03dk", n)
			named["text"] = text(col, mark)
			r := c.db.Write.Exec(fmt.Sprintf("UPDATE %s SET %s = replace(@text, '~', lower(hex(randomblob(4)))) WHERE %s", col.table, col.name, where), named)
			if r.Error != nil {
				wrong = append(wrong, fmt.Sprintf("%s.%s: %v", col.table, col.name, r.Error))
			}
			if r.RowsAffected == 0 {
				continue
			}
			marked += r.RowsAffected
			c.marks[mark] = col.table + "." + col.name + " of " + of
			c.closed[mark] = of == "the agency" && !col.shared
		}
		if marked == 0 {
			wrong = append(wrong, fmt.Sprintf("nothing of Bluebird's is in %s: fill it in", col.table))
		}
	}
	require.Empty(c.t, wrong, strings.Join(wrong, "\n"))
	c.ids = []string{c.bluebird.ID.String(), c.bluebird.WalletID.String()}
	for _, id := range c.ids {
		c.marks[id], c.closed[id] = "an id of Bluebird's", false
	}
}

// found are the marks in an answer that its sender did not write into the request
// themselves.
func (c *canary) found(a answer, closed bool, asked ...string) []string {
	c.t.Helper()
	var head bytes.Buffer
	require.NoError(c.t, a.Header.Write(&head))
	return c.marksIn(head.String()+received(c.t, a), closed, asked...)
}

// logged are the lines of the log that tell of a failure, or of somebody's words.
func (c *canary) logged() (out []string) {
	for line := range strings.Lines(c.log.String()) {
		if strings.Contains(line, "level=ERROR") && !strings.Contains(line, "payment_unavailable") || aMark.MatchString(line) {
			out = append(out, line[:min(len(line), 600)])
		}
	}
	return out
}

var aMark = regexp.MustCompile(`zq[0-9]{3}k`)

func (c *canary) marksIn(text string, closed bool, asked ...string) []string {
	var out []string
	hits := aMark.FindAllString(text, -1)
	for _, id := range c.ids {
		if strings.Contains(text, id) {
			hits = append(hits, id)
		}
	}
	slices.Sort(hits)
	for _, mark := range slices.Compact(hits) {
		if closed && !c.closed[mark] || slices.ContainsFunc(asked, func(s string) bool { return strings.Contains(s, mark) }) {
			continue
		}
		at := strings.Index(text, mark)
		out = append(out, fmt.Sprintf("%s: …%s…", c.marks[mark], strings.Join(strings.Fields(text[max(0, at-60):min(len(text), at+40)]), " ")))
	}
	return out
}

var packed = regexp.MustCompile(`(?s)stream\r?\n(.*?)endstream`)

// received is what somebody got, unpacked: a workbook's parts, a PDF's streams,
// whose words are two bytes a letter.
func received(t *testing.T, a answer) string {
	t.Helper()
	out := []byte(a.body)
	switch {
	case a.Header.Get("Content-Type") == "application/pdf":
		for _, m := range packed.FindAllSubmatch(out, -1) {
			if r, err := zlib.NewReader(bytes.NewReader(m[1])); err == nil {
				plain, _ := io.ReadAll(r) // streams end with line ends of their own
				out = append(out, bytes.ReplaceAll(plain, []byte{0}, nil)...)
			}
		}
	case strings.HasPrefix(a.body, "PK\x03\x04"):
		z, err := zip.NewReader(strings.NewReader(a.body), int64(len(a.body)))
		require.NoError(t, err)
		for _, f := range z.File {
			r, err := f.Open()
			require.NoError(t, err)
			plain, err := io.ReadAll(r)
			require.NoError(t, err)
			out = append(out, plain...)
		}
	}
	return string(out)
}

// program asks the API.
func (c *canary) program(key, method, path, body string, header ...string) answer {
	c.t.Helper()
	b := c.visitor(home)
	req, err := http.NewRequestWithContext(c.t.Context(), method, home+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return b.do(req)
}

var variable = regexp.MustCompile(`[a-z]{3}_[0-9a-v]{26}|[0-9]+|[A-Za-z0-9_-]{30,}`)

// crawl looks at the addresses a person was given, and follows what they can follow
// from there, so many links of each kind.
func (b *browser) crawl(links int, each func(at string, a answer), from ...string) {
	b.p.t.Helper()
	queue, seen, kinds := []string{}, map[string]bool{}, map[string]int{}
	base, err := url.Parse(b.at)
	require.NoError(b.p.t, err)
	see := func(at *url.URL, ref string, given bool) {
		u, err := at.Parse(ref)
		if err != nil || u.Host != base.Host || seen[u.RequestURI()] {
			return
		}
		kind := variable.ReplaceAllString(u.Path, "#") + "?" + strings.Join(slices.Sorted(maps.Keys(u.Query())), "&")
		if kinds[kind]++; given || kinds[kind] <= links {
			seen[u.RequestURI()] = true
			queue = append(queue, u.RequestURI())
		}
	}
	for _, path := range from {
		see(base, path, true)
	}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		a := b.get(next)
		each(next, a)
		at, err := base.Parse(next)
		require.NoError(b.p.t, err)
		if to := a.to(); to != "" {
			see(at, to, false)
		}
		if links == 0 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			continue
		}
		for _, s := range a.doc().Find("[href], [src]").EachIter() {
			see(at, s.AttrOr("href", s.AttrOr("src", "")), false)
		}
		for _, f := range a.doc().Find("form[method=get], form:not([method])").EachIter() {
			values := url.Values{}
			for _, in := range f.Find("input[name], select[name]").EachIter() {
				values.Set(in.AttrOr("name", ""), in.AttrOr("value", in.Find("option[selected]").AttrOr("value", "")))
			}
			see(at, f.AttrOr("action", "")+"?"+values.Encode(), false)
		}
	}
}

// addresses are those of all pages with what is Northwind's, and with what is not
// for those who are told apart by it.
func (c *canary) addresses(who string) []string {
	c.t.Helper()
	var out []string
	_, _, lines := readAccess(c.t)
	for i := range lines {
		l := &lines[i]
		// A link of a mail is for whoever has it.
		if l.method != http.MethodGet || regexp.MustCompile(`\{(link|reset|confirm|off|letter|quote-link|referral|logo)\}`).MatchString(l.address) {
			continue
		}
		out = append(out, l.fill(c.t, c.things, nil))
		if who != "guest" && who != "" {
			for _, is := range l.wrong(c.things) {
				out = append(out, l.fill(c.t, c.things, is))
			}
		}
	}
	out = append(out, "/history.csv?as=xlsx", "/purchases.csv?as=xlsx", "/sub-accounts.csv?as=xlsx")
	slices.Sort(out)
	return slices.Compact(out)
}

// TestNothingOfAnAgencyReachesAnother: everything that one agency's people wrote is
// a mark; another agency's owner, its client, its program and a visitor look at
// all there is, and at what is not theirs, in pages, files, mails, the API and the
// log. The agency's own client does not find what is its agency's alone.
func TestNothingOfAnAgencyReachesAnother(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	require.Greater(t, len(c.marks), 150)
	var leaks []string
	answers, kinds := 0, map[string]int{}
	look := func(who string, closed bool) func(string, answer) {
		return func(at string, a answer) {
			answers++
			kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
			kinds[kind]++
			if a.StatusCode >= 500 {
				leaks = append(leaks, fmt.Sprintf("%s by %s: %d", at, who, a.StatusCode))
			}
			for _, leak := range c.found(a, closed, at) {
				leaks = append(leaks, fmt.Sprintf("%s by %s: %s", at, who, leak))
			}
		}
	}
	people := map[string]*browser{"owner": c.as("owner"), "guest": c.signedIn("guest", others)}
	links := size("LINKS", 0)
	if links > 0 {
		people["client"], people["nobody"], people["visitor"] = c.as("client"), c.visitor(home), c.visitor(clients)
	}
	for who, b := range people {
		b.crawl(links, look(who, who == "guest"), c.addresses(who)...)
	}
	// The marks are where they should be: who may read them does.
	var seen []string
	c.as("stranger").crawl(0, func(_ string, a answer) { seen = append(seen, c.found(a, false)...) }, "/", "/sub-accounts", "/sub-accounts/"+c.maple.ID.String(), "/packages", "/purchases.csv", "/settings/team", "/settings/webhooks", "/notices", "/quotes", "/settings/billing")
	require.Greater(t, len(seen), 20)

	foreign := []string{c.bluebird.ID.String(), c.bluebird.WalletID.String(), c.maple.ID.String(), c.maple.WalletID.String(), "agency:bluebird", "sub:bluebird%2Fmaple"}
	for _, x := range c.things {
		if links > 0 {
			foreign = append(foreign, x.foreign...)
		}
	}
	slices.Sort(foreign)
	for _, op := range c.operations() {
		if op.method != http.MethodGet {
			continue
		}
		for _, id := range foreign {
			at := op.at(func(string) string { return url.PathEscape(id) })
			if at != op.path {
				look("Northwind's program", false)(at, c.program(c.key, http.MethodGet, at, ""))
			} else {
				for _, name := range []string{"agency", "wallet"} {
					q := at + "?" + url.Values{name: {id}}.Encode()
					look("Northwind's program", false)(q, c.program(c.key, http.MethodGet, q, ""))
				}
			}
		}
	}

	sent := len(c.tray.got)
	c.clock.set(c.clock.Now().Add(40 * 24 * time.Hour))
	require.NoError(t, c.billing.RunDue(t.Context(), c.clock.Now()))
	require.NoError(t, c.billing.SendMails(t.Context()))
	for _, m := range c.tray.got[sent:] {
		if len(c.marksIn(m.To, false)) > 0 {
			continue // Bluebird's own
		}
		if l := c.marksIn(fmt.Sprintf("%+v", m), false); len(l) > 0 {
			leaks = append(leaks, "mail to "+m.To+": "+l[0])
		}
	}
	leaks = append(leaks, c.logged()...)
	require.Empty(t, leaks, strings.Join(leaks, "\n"))
	for _, kind := range []string{"text/html", "text/csv", "application/pdf", "application/json", "application/problem+json", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"} {
		require.Positive(t, kinds[kind], "nothing of this kind was received, of %v", kinds)
	}
	t.Logf("%d marks, %d answers looked at, %d mails, log of %d bytes: nothing found", len(c.marks), answers, len(c.tray.got)-sent, len(c.log.String()))
}
