package handlers_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// asked is an adjustment of Northwind's credits that waits for a second person.
func (p *portal) asked(n int64, by billing.Actor) models.AdjustmentID {
	p.t.Helper()
	out, err := p.billing.AskAdjustment(p.t.Context(), billing.AdjustInput{
		Agency: p.northwind.ID, Wallet: p.northwind.WalletID, Credits: models.Credits(n) * models.Credit, Reason: "Outage", Key: fmt.Sprint("asked", n, by), By: by,
	})
	require.NoError(p.t, err)
	require.NotNil(p.t, out.Waiting)
	return out.Waiting.ID
}

// second is another admin's browser.
func (p *portal) second() *browser {
	p.t.Helper()
	u, err := p.billing.CreateUser(p.t.Context(), billing.UserInput{Email: "sam@example.test", Name: "Sam", Admin: true, By: "test"})
	require.NoError(p.t, err)
	p.users["sam"] = u
	return p.as("sam")
}

func (p *portal) leftOf(a models.Agency) models.Credits {
	p.t.Helper()
	account, err := p.billing.AccountOf(p.t.Context(), a.WalletID)
	require.NoError(p.t, err)
	w, err := p.billing.Wallet(p.t.Context(), account)
	require.NoError(p.t, err)
	return w.Balance.Left()
}

func northwindAt(p *portal) string { return "/admin/agencies/" + p.northwind.ID.String() }

// An admin adjusts once per form; what was wrong is said at its field and what
// was typed stays.
func TestAnAdminAdjustsCredits(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		admin, path := p.as("admin"), northwindAt(p)+"/adjust"
		had := p.leftOf(p.northwind)
		form := admin.get(path)
		send := func(v url.Values) answer {
			v.Set("csrf_token", form.token())
			if !v.Has("attempt") {
				v.Set("attempt", form.field("attempt"))
			}
			return admin.post(path, v)
		}
		wrong := send(url.Values{"credits": {"lots"}, "reason": {"because"}, "direction": {"take"}, "type": {"promo"}, "shown": {"1"}})
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.Contains(t, wrong.main(), "Enter a number of credits")
		require.Equal(t, "lots", wrong.field("credits"))
		require.Equal(t, "because", wrong.field("reason"))
		require.Equal(t, "take", wrong.doc().Find("input[name=direction][checked]").AttrOr("value", ""))
		require.Equal(t, "promo", wrong.doc().Find("select[name=type] option[selected]").AttrOr("value", ""))
		require.Equal(t, 1, wrong.doc().Find("input[name=shown][checked]").Length())
		wrong = send(url.Values{"credits": {"500"}, "direction": {"give"}})
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.Contains(t, wrong.doc().Find("#reason-error").Text(), "Say why")
		require.Equal(t, "500", wrong.field("credits"))
		require.Equal(t, had, p.leftOf(p.northwind))

		preview := send(url.Values{"credits": {"500"}, "direction": {"give"}, "reason": {"Outage"}, "preview": {"1"}})
		require.Equal(t, http.StatusSeeOther, preview.StatusCode)
		sums := admin.get(preview.to())
		require.Contains(t, sums.main(), "100,000100,500")
		require.Equal(t, "Outage", sums.field("reason"))

		for range 2 {
			done := send(url.Values{"credits": {"500"}, "direction": {"give"}, "type": {"referral"}, "reason": {"Secret reason"}})
			require.Equal(t, http.StatusSeeOther, done.StatusCode, done.body)
			require.Equal(t, northwindAt(p), done.to())
			require.Equal(t, had+500*models.Credit, p.leftOf(p.northwind), "sent twice, given once")
		}
		require.Contains(t, admin.get(northwindAt(p)).body, "500 credits given to Northwind Agency.")
		other := send(url.Values{"credits": {"600"}, "direction": {"give"}, "reason": {"x"}})
		require.Equal(t, http.StatusConflict, other.StatusCode)
		require.Contains(t, other.main(), "used already")
		short := send(url.Values{"credits": {"900000"}, "direction": {"take"}, "reason": {"x"}, "attempt": {"another"}})
		require.Equal(t, http.StatusSeeOther, short.StatusCode, "what is above the limit waits, and is checked when it is approved")
		short = send(url.Values{"credits": {"40000"}, "direction": {"take"}, "reason": {"x"}, "attempt": {"third"}})
		require.Equal(t, http.StatusSeeOther, short.StatusCode)
		require.Equal(t, had-39_500*models.Credit, p.leftOf(p.northwind))
		_, err := p.billing.Adjust(t.Context(), billing.AdjustInput{Agency: p.northwind.ID, Wallet: p.northwind.WalletID, Credits: -60_000 * models.Credit, Reason: "test", Key: "empty", By: "test"})
		require.NoError(t, err)
		short = send(url.Values{"credits": {"40000"}, "direction": {"take"}, "reason": {"x"}, "attempt": {"fourth"}})
		require.Equal(t, http.StatusPaymentRequired, short.StatusCode)
		require.Contains(t, short.doc().Find("#credits-error").Text(), "There are 500 credits to take")

		owner := p.as("owner").get("/history")
		require.NotContains(t, owner.body, "Secret reason")
		audit := admin.get("/admin/audit?action=credits.adjust&agency=northwind")
		require.Contains(t, audit.main(), "Secret reason")
		require.Contains(t, audit.main(), "admin@example.test")
	})
}

// Above the limit another admin approves; the one who asked cannot, and both
// pages say how it stands.
func TestASecondAdminApproves(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	admin, sam := p.as("admin"), p.second()
	had := p.leftOf(p.northwind)
	path := northwindAt(p) + "/adjust"
	asked := admin.fill(path, path, url.Values{"credits": {"60,000"}, "direction": {"give"}, "reason": {"Migration"}, "shown": {"1"}, "attempt": {"a"}})
	require.Equal(t, http.StatusSeeOther, asked.StatusCode)
	require.Contains(t, admin.get(northwindAt(p)).main(), "An adjustment waits for a second person.")
	require.Contains(t, admin.get("/admin").main(), "1 adjustment waits for a second person.")
	require.Equal(t, had, p.leftOf(p.northwind))
	request, ok := admin.get("/admin/adjustments").doc().Find("main table th a").Attr("href")
	require.True(t, ok)

	own := admin.get(request)
	require.Contains(t, own.main(), "You asked for this. Another admin decides it.")
	require.Zero(t, own.doc().Find("button[name=decision]").Length())
	denied := admin.fill("/admin/adjustments", request, url.Values{"decision": {"approve"}})
	require.Equal(t, http.StatusForbidden, denied.StatusCode)
	require.Contains(t, denied.main(), "Another admin decides it.")
	require.Equal(t, had, p.leftOf(p.northwind))

	forged := sam.post(request, url.Values{"decision": {"approve"}})
	require.Equal(t, http.StatusForbidden, forged.StatusCode, "without the token")
	require.Contains(t, sam.get(request).main(), "100,000160,000")
	for range 2 {
		approved := sam.fill("/admin/adjustments", request, url.Values{"decision": {"approve"}})
		require.Equal(t, http.StatusSeeOther, approved.StatusCode)
		require.Equal(t, had+60_000*models.Credit, p.leftOf(p.northwind))
	}
	late := sam.fill("/admin/adjustments", request, url.Values{"decision": {"decline"}})
	require.Equal(t, http.StatusConflict, late.StatusCode)
	require.Contains(t, late.main(), "approved meanwhile by sam@example.test")
	require.Contains(t, p.as("owner").get("/history").body, "Migration")
	for _, nothing := range []string{"/admin/adjustments/" + p.bluebird.ID.String() + strings.TrimPrefix(request, "/admin/adjustments/"+p.northwind.ID.String()), "/admin/adjustments/x/y"} {
		require.Equal(t, http.StatusNotFound, sam.get(nothing).StatusCode, nothing)
	}
}

func TestLimitsOfAdjustmentsOnThePage(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	admin := p.as("admin")
	require.Equal(t, "50000", admin.get("/admin/adjustments").field("limit"))
	wrong := admin.fill("/admin/adjustments", "/admin/adjustments", url.Values{"limit": {"100"}, "program_limit": {"much"}})
	require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
	require.Equal(t, "100", wrong.field("limit"))
	require.Equal(t, "much", wrong.field("program_limit"))
	saved := admin.fill("/admin/adjustments", "/admin/adjustments", url.Values{"limit": {"100"}, "program_limit": {"2,000"}})
	require.Equal(t, http.StatusSeeOther, saved.StatusCode)
	page := admin.get("/admin/adjustments")
	require.Equal(t, "100", page.field("limit"))
	require.Equal(t, "2000", page.field("program_limit"))
	require.Contains(t, admin.get(northwindAt(p)+"/adjust?credits=101").main(), "This is more than 100 credits")
}

// A paused agency's people and clients sign in and read why; nothing is bought,
// and the page of the agency resumes it.
func TestAnAdminPausesAnAgency(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	admin, owner, client := p.as("admin"), p.as("owner"), p.as("client")
	require.Contains(t, admin.get(northwindAt(p)+"/pause").main(), "Pauses AI for 1 agency and 1 sub-account.")
	silent := admin.fill("/admin", northwindAt(p)+"/pause", url.Values{})
	require.Equal(t, http.StatusUnprocessableEntity, silent.StatusCode)
	require.Contains(t, silent.doc().Find("#reason-error").Text(), "Say why")
	require.Equal(t, http.StatusSeeOther, admin.fill("/admin", northwindAt(p)+"/pause", url.Values{"reason": {"Chargebacks"}}).StatusCode)

	_, err := p.billing.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:northwind", Key: "k", Action: "ai.reply", Model: "gpt-4"})
	require.Error(t, err)
	page := admin.get(northwindAt(p))
	require.Contains(t, page.main(), "Paused by an admin.")
	require.Contains(t, page.main(), "Reason: Chargebacks")
	for _, b := range []*browser{owner, p.as("owner")} {
		for _, path := range []string{"/", "/usage"} {
			a := b.get(path)
			require.Equal(t, http.StatusOK, a.StatusCode)
			require.Contains(t, strings.Join(strings.Fields(a.doc().Text()), " "), "Your account is paused. Refill has stopped AI for you and your clients")
			require.NotContains(t, a.body, "Chargebacks")
			require.NotContains(t, a.body, "There are no credits left")
		}
	}
	account, err := p.billing.AccountOf(t.Context(), p.northwind.WalletID)
	require.NoError(t, err)
	packs, err := p.billing.PacksFor(t.Context(), p.northwind.ID)
	require.NoError(t, err)
	_, err = p.billing.Buy(t.Context(), billing.BuyInput{Account: account, Pack: packs[0].Code, Key: "paused", By: "test"})
	require.True(t, problem.Is(err, "agency_paused"), "%v", err)
	seen := client.get("/")
	require.Equal(t, http.StatusOK, seen.StatusCode)
	require.Contains(t, strings.Join(strings.Fields(seen.doc().Text()), " "), "Your AI is paused. Northwind Agency has been told and is working on it.")
	require.NotContains(t, seen.body, "Refill has stopped")
	list := admin.get("/admin/agencies?only=suspended").main()
	require.Contains(t, list, "Northwind Agency")
	require.NotContains(t, list, "Bluebird")

	require.Equal(t, http.StatusSeeOther, admin.fill("/admin", northwindAt(p)+"/resume", url.Values{}).StatusCode)
	_, err = p.billing.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:northwind", Key: "k", Action: "ai.reply", Model: "gpt-4"})
	require.NoError(t, err)
	require.NotContains(t, owner.get("/").body, "Your account is paused")
}

func TestAnAdminChangesPlanAndExcess(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	admin := p.as("admin")
	plans, err := p.billing.Plans(t.Context())
	require.NoError(t, err)
	now, _, err := p.billing.PlanOf(t.Context(), p.northwind.ID)
	require.NoError(t, err)
	for i := range plans {
		if plans[i].ID == now.ID {
			page := admin.get(northwindAt(p) + "/plan?plan=" + plans[i].Code)
			require.Equal(t, http.StatusUnprocessableEntity, page.StatusCode)
			require.Contains(t, page.main(), "on this plan already")
			continue
		}
		page := admin.get(northwindAt(p) + "/plan?plan=" + plans[i].Code)
		require.Contains(t, page.main(), "of the running plan credits expire now")
		require.Equal(t, now.ID, func() models.PlanID { q, _, _ := p.billing.PlanOf(t.Context(), p.northwind.ID); return q.ID }(), "looking changes nothing")
		done := admin.fill("/admin", northwindAt(p)+"/plan", url.Values{"plan": {plans[i].Code}, "reason": {"They asked"}})
		require.Equal(t, http.StatusSeeOther, done.StatusCode)
		break
	}
	wrong := admin.fill("/admin", northwindAt(p)+"/plan", url.Values{"plan": {"platinum"}})
	require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
	require.Contains(t, wrong.main(), "Choose one of the plans listed.")

	wrong = admin.fill("/admin", northwindAt(p)+"/excess", url.Values{"limit": {"much"}, "reason": {"why not"}})
	require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
	require.Equal(t, "much", wrong.field("limit"))
	require.Equal(t, "why not", wrong.field("reason"))
	done := admin.fill("/admin", northwindAt(p)+"/excess", url.Values{"limit": {"1,500"}, "reason": {"Trusted"}})
	require.Equal(t, http.StatusSeeOther, done.StatusCode)
	require.Contains(t, admin.get(northwindAt(p)).main(), "Excess up to 1,500")
	audit := admin.get("/admin/audit").main()
	require.Contains(t, audit, "0 → 1500")
	require.Contains(t, audit, "They asked")
}

func TestAnAdminAddsAnAgency(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	admin := p.as("admin")
	form := admin.get("/admin/agencies/new")
	send := func(v url.Values) answer {
		v.Set("csrf_token", form.token())
		v.Set("attempt", form.field("attempt"))
		return admin.post("/admin/agencies/new", v)
	}
	wrong := send(url.Values{"name": {"Kite Digital"}, "plan": {"starter"}, "time_zone": {"Moon/Base"}, "email": {"olga@kite.example"}})
	require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
	require.Contains(t, wrong.doc().Find("#time_zone-error").Text(), "not a time zone")
	require.Equal(t, "Kite Digital", wrong.field("name"))
	require.Equal(t, "olga@kite.example", wrong.field("email"))
	wrong = send(url.Values{"name": {"Kite Digital"}, "plan": {"starter"}, "time_zone": {"UTC"}, "email": {"olga"}})
	require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
	_, err := p.billing.AgencyByRef(t.Context(), billing.Scope{}, "kite-digital")
	require.Error(t, err, "nothing is made before all of it is right")
	var at string
	for range 2 {
		done := send(url.Values{"name": {"Kite Digital"}, "plan": {"starter"}, "time_zone": {"Europe/Paris"}, "email": {"olga@kite.example"}})
		require.Equal(t, http.StatusSeeOther, done.StatusCode, done.body)
		at = done.to()
	}
	page := admin.get(at)
	require.Contains(t, page.body, "Kite Digital added, and olga@kite.example invited as its owner.")
	require.Contains(t, page.main(), "kite-digital")
	require.Equal(t, http.StatusNotFound, admin.get("/admin/agencies/"+models.NewID[models.AgencyID](begin).String()).StatusCode)
	require.Equal(t, http.StatusNotFound, admin.get("/admin/agencies/northwind").StatusCode)
}

// The list's file has the filter's agencies, and no cell a spreadsheet runs.
func TestAgenciesAndAuditAsFiles(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	admin := p.as("admin")
	_, err := p.billing.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: "evil", Name: "=1+1", By: "test"})
	require.NoError(t, err)
	_, err = p.billing.Adjust(t.Context(), billing.AdjustInput{Agency: p.northwind.ID, Wallet: p.northwind.WalletID, Credits: 5, Reason: "@SUM(A1)", Key: "k", By: "test"})
	require.NoError(t, err)
	rows := func(path string) [][]string {
		a := admin.get(path)
		require.Equal(t, http.StatusOK, a.StatusCode)
		out, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
		require.NoError(t, err)
		return out[1:]
	}
	require.Len(t, rows("/admin/agencies.csv"), 3)
	found := rows("/admin/agencies.csv?q=evil")
	require.Len(t, found, 1)
	require.Equal(t, "'=1+1", found[0][0])
	log := rows("/admin/audit.csv?action=credits.adjust")
	require.Len(t, log, 1)
	require.Equal(t, "'@SUM(A1)", log[0][7])
	require.Len(t, rows("/admin/audit.csv?agency=northwind&action=agency.create"), 1)
	require.Equal(t, http.StatusUnprocessableEntity, admin.get("/admin/audit?from=soon").StatusCode)
	require.Equal(t, http.StatusNotFound, admin.get("/admin/audit?agency=nobody").StatusCode)
	require.Equal(t, http.StatusNotFound, admin.get("/admin/audit?cursor=nonsense").StatusCode)
	require.Equal(t, 1, admin.get("/admin/agencies?sort=used").doc().Find("th[aria-sort=descending]").Length())
	require.Equal(t, 1, admin.get("/admin/agencies?sort=used&turned=1").doc().Find("th[aria-sort=ascending]").Length())
}
