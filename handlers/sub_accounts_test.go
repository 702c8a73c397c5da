package handlers_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

func (a answer) main() string {
	a.t.Helper()
	return strings.Join(strings.Fields(a.doc().Find("main").Text()), " ")
}

func (a answer) field(name string) string {
	a.t.Helper()
	return a.doc().Find("[name="+name+"]").First().AttrOr("value", "")
}

func acmePath(p *portal) string { return "/sub-accounts/" + p.acme.ID.String() }

// balanceOf is a client's own credits, spendable less excess.
func (p *portal) balanceOf(sub models.SubAccount) models.Credits {
	p.t.Helper()
	w, err := p.billing.Wallet(p.t.Context(), billing.AccountOfSub(p.northwind, sub))
	require.NoError(p.t, err)
	return w.Balance.Left()
}

// TestCreditsAreAssignedOnceAndTakenBack goes through both forms as a person does,
// and sends each twice.
func TestCreditsAreAssignedOnceAndTakenBack(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b, path := p.as("owner"), acmePath(p)
		had := p.left()

		form := b.get(path + "/assign?credits=5,000&note=Welcome+credits")
		require.Equal(t, http.StatusOK, form.StatusCode)
		words := form.main()
		for _, part := range []string{
			"Assign credits to ACME", fmt.Sprintf("You can assign up to %s credits.", group(had)), group(had - 5000*models.Credit),
			"Uses your plan credits first.", "5,000 credits assigned from plan credits: they expire in 31 days (Thu, Apr 2) too.",
		} {
			require.Contains(t, words, part)
		}
		require.Equal(t, "5,000", form.field("credits"))
		require.Equal(t, had, p.left(), "looking books nothing")

		send := url.Values{"csrf_token": {form.token()}, "attempt": {form.field("attempt")}, "credits": {"5,000"}, "note": {"Welcome credits"}}
		for range 2 {
			a := b.post(path+"/assign", send)
			require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
			require.Equal(t, path, a.to())
		}
		require.Equal(t, had-5000*models.Credit, p.left(), "once, however often the form is sent")
		require.Equal(t, 5000*models.Credit, p.balanceOf(p.acme))

		client := b.get(path)
		require.Contains(t, client.main(), "5,000 credits assigned to ACME.")
		back, ok := client.doc().Find(".flash a").Attr("href")
		require.True(t, ok)
		require.Contains(t, client.main(), "From Northwind Agency")
		require.NotContains(t, b.get(path).main(), "5,000 credits assigned to ACME.", "the message is for once")

		p.charge("sub:northwind/acme") // 25 credits are spent
		form = b.get(back)
		require.Contains(t, form.main(), "You can take back up to 4,975 credits that ACME has not used.")
		send = url.Values{"csrf_token": {form.token()}, "attempt": {form.field("attempt")}, "credits": {"5000"}}
		a := b.post(path+"/take-back", send)
		require.Equal(t, http.StatusPaymentRequired, a.StatusCode)
		up := a.doc().Find("button[name=up_to]")
		require.Equal(t, "Take back 4,975", strings.Join(strings.Fields(up.Text()), " "))
		send.Set("up_to", up.AttrOr("value", ""))
		require.Equal(t, path, b.post(path+"/take-back", send).to())
		require.Equal(t, had-25*models.Credit, p.left())
		require.Zero(t, p.balanceOf(p.acme))
		require.Contains(t, b.get(path+"/take-back").main(), "There is nothing to take back")
		require.Equal(t, http.StatusPaymentRequired, b.fill(path+"/edit", path+"/take-back", url.Values{"credits": {"1"}}).StatusCode)
	})
}

func group(c models.Credits) string {
	s := (c / models.Credit * models.Credit).String()
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func TestMoreThanThereIsKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b, path := p.as("billing"), acmePath(p)
	had := p.left()
	_, err := p.billing.Hold(t.Context(), billing.Scope{}, billing.HoldInput{Wallet: "agency:northwind", Key: "job", Credits: 50 * models.Credit})
	require.NoError(t, err)
	a := b.fill(path+"/assign", path+"/assign", url.Values{"credits": {"250000"}, "note": {"All of it"}, "attempt": {"one"}})
	require.Equal(t, http.StatusPaymentRequired, a.StatusCode)
	require.Contains(t, a.main(), "You can assign up to "+group(had-50*models.Credit)+" credits (50 more are in use now).")
	require.Equal(t, "250000", a.field("credits"))
	require.Equal(t, "All of it", a.field("note"))
	require.Equal(t, "true", a.doc().Find("#credits").AttrOr("aria-invalid", ""))
	require.True(t, strings.HasPrefix(a.doc().Find("title").Text(), "Error: "))
	require.Equal(t, 1, a.doc().Find(`main a[href="/buy"]`).Length())
	require.Zero(t, p.balanceOf(p.acme))

	up := a.field("up_to")
	require.Equal(t, path, b.fill(path+"/assign", path+"/assign", url.Values{"credits": {"250000"}, "up_to": {up}, "note": {"All of it"}, "attempt": {"one"}}).to())
	require.Equal(t, had-50*models.Credit, p.balanceOf(p.acme))
	reused := b.fill(path+"/edit", path+"/take-back", url.Values{"credits": {"7"}, "attempt": {"one"}})
	require.Equal(t, http.StatusConflict, reused.StatusCode)
	require.Contains(t, reused.main(), "This form was used already")

	for _, typed := range []string{"", "0", "-5", "many", "5,00", "99999999999999"} {
		a := b.fill(path+"/assign", path+"/assign", url.Values{"credits": {typed}})
		require.GreaterOrEqual(t, a.StatusCode, 400, typed)
		require.Less(t, a.StatusCode, 500, typed)
		require.Equal(t, typed, a.field("credits"))
		require.NotEmpty(t, a.doc().Find("#credits-error").Text(), typed)
	}
	preview := b.fill(path+"/assign", path+"/assign", url.Values{"credits": {"7"}, "note": {"a & b"}, "preview": {"1"}})
	require.Equal(t, path+"/assign?credits=7&note=a+%26+b", preview.to())
}

func TestSubAccountIsAddedAndChanged(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	wrong := b.fill("/sub-accounts/new", "/sub-accounts/new", url.Values{
		"name": {" "}, "external_id": {"no spaces"}, "funding": {"gifted"}, "pool_cap": {"-1"}, "pool_every": {"cycle"}, "time_zone": {"Moon/Base"}, "attempt": {"two"},
	})
	require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
	for _, field := range []string{"name", "external_id", "funding", "pool_cap"} {
		require.Equal(t, 1, wrong.doc().Find("#"+field+"-error").Length(), field)
	}
	require.Equal(t, "no spaces", wrong.field("external_id"))
	require.Equal(t, "Moon/Base", wrong.field("time_zone"))

	// Where the id is made of the name, only the name is wrong, unless there is none in it.
	unnamed := b.fill("/sub-accounts/new", "/sub-accounts/new", url.Values{"name": {""}, "funding": {"prepaid"}, "pool_every": {"cycle"}, "attempt": {"none"}}).doc()
	require.Equal(t, 1, unnamed.Find("#name-error").Length())
	require.Zero(t, unnamed.Find("#external_id-error").Length())
	unspelt := b.fill("/sub-accounts/new", "/sub-accounts/new", url.Values{"name": {"京都"}, "funding": {"prepaid"}, "pool_every": {"cycle"}, "attempt": {"unspelt"}}).doc()
	require.Contains(t, unspelt.Find("#external_id-error").Text(), "No id can be made of this name. Give one")
	long := strings.Repeat("ü", 120) // of two bytes each
	require.Contains(t, b.fill("/sub-accounts/new", "/sub-accounts/new", url.Values{"name": {long + "ü"}, "external_id": {"long"}, "funding": {"prepaid"}, "pool_every": {"cycle"}, "attempt": {"longer"}}).doc().
		Find("#name-error").Text(), "1 to 120 characters")
	require.Equal(t, http.StatusSeeOther, b.fill("/sub-accounts/new", "/sub-accounts/new", url.Values{"name": {long}, "external_id": {"long"}, "funding": {"prepaid"}, "pool_every": {"cycle"}, "attempt": {"long"}}).StatusCode)

	in := url.Values{"name": {"Harbour Café 7"}, "funding": {"pooled"}, "pool_cap": {"1,000"}, "pool_every": {"day"}, "time_zone": {"Moon/Base"}, "attempt": {"three"}}
	require.Contains(t, b.fill("/sub-accounts/new", "/sub-accounts/new", in).doc().Find("#time_zone-error").Text(), "not a time zone")
	in.Set("time_zone", "Europe/Paris")
	made := b.fill("/sub-accounts/new", "/sub-accounts/new", in)
	require.Equal(t, http.StatusSeeOther, made.StatusCode, made.body)
	require.Equal(t, made.to(), b.fill("/sub-accounts/new", "/sub-accounts/new", in).to(), "the same form adds one client")
	require.Contains(t, b.get(made.to()).main(), "Harbour Café 7 added.")
	require.Contains(t, b.fill("/sub-accounts/new", "/sub-accounts/new", url.Values{
		"name": {"Another"}, "external_id": {"acme"}, "funding": {"prepaid"}, "pool_every": {"cycle"}, "attempt": {"four"},
	}).doc().Find("#external_id-error").Text(), "already")

	page := b.get(made.to())
	require.Contains(t, page.main(), "Draws from your "+group(p.left())+". Used 0 today. Cap 1,000 per day: 1,000 left.")
	require.Contains(t, page.main(), "harbour-caf-7")
	require.Contains(t, page.doc().Find(".foot").Text(), "Europe/Paris")
	p.charge("sub:northwind/harbour-caf-7")
	require.Contains(t, b.get(made.to()).main(), "Used 25 today. Cap 1,000 per day: 975 left.")
	require.Contains(t, b.get(made.to()+"/assign").main(), "Credits of its own would lie still")
	require.Equal(t, http.StatusConflict, b.fill(made.to()+"/edit", made.to()+"/assign", url.Values{"credits": {"5"}}).StatusCode)

	edit := b.get(made.to() + "/edit")
	require.Equal(t, "Harbour Café 7", edit.field("name"))
	require.Equal(t, "1000", edit.field("pool_cap"))
	bad := b.fill(made.to()+"/edit", made.to()+"/edit", url.Values{"name": {""}, "funding": {"prepaid"}, "pool_cap": {"lots"}, "pool_every": {"cycle"}})
	require.Equal(t, http.StatusUnprocessableEntity, bad.StatusCode)
	require.Equal(t, "lots", bad.field("pool_cap"))
	require.Equal(t, made.to(), b.fill(made.to()+"/edit", made.to()+"/edit", url.Values{
		"name": {"Harbour Kitchen"}, "funding": {"prepaid"}, "pool_cap": {""}, "pool_every": {"cycle"},
	}).to())
	require.Contains(t, b.get(made.to()).main(), "Changes saved.")
	require.Contains(t, b.get(made.to()).main(), "What Harbour Kitchen sees")
	_, err := p.billing.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "sub:northwind/harbour-caf-7", Key: "after", Action: "ai.reply", Model: "gpt-4"})
	require.ErrorContains(t, err, "insufficient_credits", "it rules from the next charge on")
}

func TestTheListFiltersSortsAndExports(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("member")
	for i, name := range []string{"Birch", "Cedar"} {
		sub, err := p.billing.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{
			Agency: p.northwind.ID, ExternalID: strings.ToLower(name), Name: name, Funding: []models.Funding{models.Prepaid, models.Pooled}[i], By: "test",
		})
		require.NoError(t, err)
		if sub.Name == "Birch" {
			_, err = p.billing.Assign(t.Context(), billing.Scope{}, billing.TransferInput{Agency: p.northwind.ID, SubAccount: sub.ID, Credits: 400 * models.Credit, Key: "birch", By: "test"})
			require.NoError(t, err)
		}
	}
	used := p.use("sub:northwind/birch", 6) + p.use("sub:northwind/cedar", 3)
	names := func(path string) string {
		var out []string
		a := b.get(path)
		require.Equal(t, http.StatusOK, a.StatusCode)
		for _, th := range a.doc().Find("table.clients tbody th").EachIter() {
			out = append(out, strings.TrimSpace(th.Text()))
		}
		return strings.Join(out, " ")
	}
	require.Equal(t, "ACME Birch Cedar", names("/sub-accounts"))
	require.Equal(t, "ACME", names("/sub-accounts?only=paused"))
	require.Equal(t, "ACME", names("/sub-accounts?only=new"))
	require.Empty(t, names("/sub-accounts?only=low"))
	require.Contains(t, b.get("/sub-accounts?only=low").main(), "Nothing matches this filter.")
	require.Equal(t, "Birch Cedar ACME", names("/sub-accounts?sort=used"))
	require.Equal(t, "ACME Birch Cedar", names("/sub-accounts?sort=left&only=nonsense"))
	require.Contains(t, b.get("/sub-accounts").main(), "All 3Paused 1Low 0Not used yet 1")
	require.Equal(t, "descending", b.get("/sub-accounts?sort=used").doc().Find("th[aria-sort]").AttrOr("aria-sort", ""))
	require.Equal(t, used, column(t, b.get("/sub-accounts.csv"), "used_this_cycle"))
	require.Zero(t, column(t, b.get("/sub-accounts.csv?only=paused"), "used_this_cycle"))
	require.Equal(t, 1, b.get("/").doc().Find(`nav a[href="/sub-accounts"]`).Length())
	require.Zero(t, p.as("client").get("/").doc().Find(`a[href^="/sub-accounts"]`).Length())

	// A member looks and changes nothing.
	page := b.get(acmePath(p))
	require.Zero(t, page.doc().Find(`main a[href$="/edit"], main a[href$="/assign"], main a[href$="/take-back"]`).Length())
	require.Zero(t, b.get("/sub-accounts").doc().Find(`a[href="/sub-accounts/new"]`).Length())
	for _, row := range b.get("/sub-accounts").doc().Find("table.clients tbody th a").EachIter() {
		client := b.get(row.AttrOr("href", ""))
		for _, line := range client.doc().Find("main .statement a").EachIter() {
			require.Equal(t, http.StatusOK, b.get(line.AttrOr("href", "")).StatusCode, line.AttrOr("href", ""))
		}
		require.Equal(t, http.StatusOK, b.get(client.doc().Find(`main a[href^="/usage"]`).AttrOr("href", "")).StatusCode)
	}
	require.Contains(t, p.as("stranger").get("/sub-accounts").main(), "MAPLE")
}

// The list is sorted by how long credits last and by margin too; pages and files
// follow.
func TestTheListIsSortedByWhatRunsOutAndWhatPays(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b, ctx := p.as("owner"), t.Context()
		sub := func(name string, funding models.Funding, credits models.Credits) models.SubAccount {
			t.Helper()
			ref := strings.ToLower(name)
			made, err := p.billing.CreateSubAccount(ctx, billing.Scope{}, billing.SubAccountInput{Agency: p.northwind.ID, ExternalID: ref, Name: name, Funding: funding, By: "test"})
			require.NoError(t, err)
			if credits > 0 {
				_, err = p.billing.Assign(ctx, billing.Scope{}, billing.TransferInput{Agency: p.northwind.ID, SubAccount: made.ID, Credits: credits * models.Credit, Key: ref, By: "test"})
				require.NoError(t, err)
			}
			return made
		}
		// By name none of the orders below holds: Elm pays worst, Cedar runs out first.
		sub("Aspen", models.Pooled, 0)
		birch := sub("Birch", models.Prepaid, 600)
		sub("Cedar", models.Prepaid, 300)
		sub("Dogwood", models.Prepaid, 3_000) // never used
		elm := sub("Elm", models.Prepaid, 0)
		for day := range 5 { // enough for a pace
			p.clock.set(begin.Add(time.Duration(day) * 24 * time.Hour))
			for _, ref := range []string{"birch", "cedar"} {
				_, err := p.billing.Charge(ctx, billing.Scope{}, billing.ChargeInput{Wallet: "sub:northwind/" + ref, Key: fmt.Sprint("day ", day, ref), Action: "ai.reply", Model: "gpt-4"})
				require.NoError(t, err)
			}
		}
		names := func(path string) string {
			t.Helper()
			a := b.get(path)
			require.Equal(t, http.StatusOK, a.StatusCode)
			return strings.Join(a.doc().Find("table.clients tbody th").Map(func(_ int, th *goquery.Selection) string { return strings.TrimSpace(th.Text()) }), " ")
		}
		inFile := func(path string) string {
			t.Helper()
			rows, err := csv.NewReader(strings.NewReader(b.get(path).body)).ReadAll()
			require.NoError(t, err)
			var out []string
			for _, row := range rows[1:] {
				out = append(out, row[0])
			}
			return strings.Join(out, " ")
		}
		// Birch may draw on the pool once its own credits are used.
		require.NoError(t, p.billing.ChangeSubAccount(ctx, billing.Scope{}, billing.SubAccountChange{
			Agency: p.northwind.ID, SubAccount: birch.ID, Name: birch.Name, Funding: models.Prepaid, PoolCap: 500 * models.Credit, PoolEvery: models.PoolDay, By: "test",
		}))
		const byFeed = "ACME Cedar Dogwood Elm Birch Aspen"
		require.Equal(t, byFeed, names("/sub-accounts?sort=feed"))
		require.Equal(t, byFeed, inFile("/sub-accounts.csv?sort=feed"))
		require.Equal(t, "/sub-accounts?only=new&sort=feed", b.get("/sub-accounts?only=new").doc().Find(`th:contains("How it gets credits") a`).AttrOr("href", ""))
		const byLasts = "ACME Elm Cedar Birch Dogwood Aspen"
		require.Equal(t, byLasts, names("/sub-accounts?sort=lasts"))
		require.Equal(t, byLasts, inFile("/sub-accounts.csv?sort=lasts"))
		head := b.get("/sub-accounts?sort=lasts&only=paused").doc()
		lasts := head.Find(`th:contains("Lasts")`)
		require.Equal(t, "ascending", lasts.AttrOr("aria-sort", ""))

		// Asked for once more it turns round; who has nothing of its own stays last.
		require.Equal(t, "/sub-accounts?only=paused&sort=lasts&turned=1", lasts.Find("a").AttrOr("href", ""))
		require.Equal(t, "Dogwood Birch Cedar ACME Elm Aspen", names("/sub-accounts?sort=lasts&turned=1"))
		require.Equal(t, "Dogwood Birch Cedar ACME Elm Aspen", inFile("/sub-accounts.csv?sort=lasts&turned=1"))
		require.Equal(t, "Elm Dogwood Cedar Birch Aspen ACME", names("/sub-accounts?turned=1"))
		again := b.get("/sub-accounts?sort=lasts&turned=1").doc()
		require.Equal(t, "descending", again.Find(`th:contains("Lasts")`).AttrOr("aria-sort", ""))
		require.Equal(t, "/sub-accounts?sort=lasts", again.Find(`th:contains("Lasts") a`).AttrOr("href", ""))
		require.Equal(t, "/sub-accounts?only=low&sort=lasts&turned=1", again.Find(`main a:contains("Low")`).AttrOr("href", ""))
		require.Equal(t, "/sub-accounts.csv?only=paused&sort=lasts", head.Find(`a:contains("Export CSV")`).AttrOr("href", ""))

		growth := p.selling(p.northwind)
		small, err := p.billing.SavePackage(ctx, billing.Scope{}, billing.PackageEdit{
			Agency: p.northwind.ID, Name: "Small", Credits: 2_000 * models.Credit, Price: 9_00, Audience: models.AudienceAll, CostBasis: models.CostHeld, OnSale: true, By: "test",
		})
		require.NoError(t, err)
		p.soldTo(birch, growth)
		p.soldTo(elm, small.Package)
		const byMargin = "Elm Birch ACME Aspen Cedar Dogwood"
		require.Equal(t, byMargin, names("/sub-accounts?sort=margin"))
		require.Equal(t, byMargin, inFile("/sub-accounts.csv?sort=margin"))
		require.Equal(t, "Birch Elm ACME Aspen Cedar Dogwood", names("/sub-accounts?sort=margin&turned=1"))
		margins := b.get("/sub-accounts?sort=margin").doc().Find("td.keeps")
		require.Less(t, strings.TrimSpace(margins.First().Text()), strings.TrimSpace(margins.Eq(1).Text()))
	})
}

func TestAnAgencyWithoutClientsIsToldHow(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	lone, err := p.billing.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: "lone", Name: "Lone", By: "test"})
	require.NoError(t, err)
	p.person(t.Context(), "hermit", lone, models.RoleOwner, models.SubAccountID{})
	b := p.as("hermit")
	require.Contains(t, b.get("/sub-accounts").main(), "Add your first client")
	const room = 3
	plan, _, err := p.billing.PlanOf(t.Context(), lone.ID)
	require.NoError(t, err)
	require.NoError(t, p.db.Write.Model(&models.Plan{}).Where("id = ?", plan.ID).Update("sub_account_limit", room).Error)
	for i := range room {
		_, err := p.billing.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{Agency: lone.ID, ExternalID: fmt.Sprint("c", i), Name: fmt.Sprint("C", i), By: "test"})
		require.NoError(t, err)
	}
	full := b.fill("/sub-accounts/new", "/sub-accounts/new", url.Values{"name": {"One more"}, "funding": {"prepaid"}, "pool_every": {"cycle"}, "attempt": {"x"}})
	require.Equal(t, http.StatusConflict, full.StatusCode)
	require.Contains(t, full.main(), fmt.Sprintf("has room for %d sub-accounts", room))
	require.Equal(t, "One more", full.field("name"))
}

// TestOtherAgenciesClientsDoNotExist asks for a client by another agency's people.
func TestOtherAgenciesClientsDoNotExist(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	stranger, path := p.as("stranger"), acmePath(p)
	before := p.left()
	for _, at := range []string{"", "/edit", "/assign", "/take-back"} {
		require.Equal(t, http.StatusNotFound, stranger.get(path+at).StatusCode, at)
		if at != "" {
			form := url.Values{"credits": {"5"}, "name": {"Mine"}, "funding": {"pooled"}, "pool_every": {"cycle"}}
			require.Equal(t, http.StatusNotFound, stranger.fill("/usage", path+at, form).StatusCode, at)
		}
	}
	for _, at := range []string{"/sub-accounts/acme", "/sub-accounts/sub_nothing", "/sub-accounts/" + p.northwind.ID.String()} {
		require.Equal(t, http.StatusNotFound, p.as("owner").get(at).StatusCode, at)
	}
	require.Equal(t, before, p.left())
}
