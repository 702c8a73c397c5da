package handlers_test

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/ratecard"
	"refill/models"
	"refill/models/modelstest"
)

// offered is a plan's version on offer, by its code.
func (p *portal) offered(code string) models.Plan {
	p.t.Helper()
	plans, err := p.billing.Plans(p.t.Context())
	require.NoError(p.t, err)
	for i := range plans {
		if plans[i].Code == code {
			return plans[i]
		}
	}
	require.Fail(p.t, "no plan "+code)
	return models.Plan{}
}

func (p *portal) onSale(code string) models.Pack {
	p.t.Helper()
	packs, err := p.billing.Packs(p.t.Context())
	require.NoError(p.t, err)
	for i := range packs {
		if packs[i].Code == code {
			return packs[i]
		}
	}
	require.Fail(p.t, "no pack "+code)
	return models.Pack{}
}

func (p *portal) card() models.RateCard {
	p.t.Helper()
	cards, err := p.billing.RateCards(p.t.Context())
	require.NoError(p.t, err)
	return cards[0]
}

// filled is everything the page's last form would send, as a browser does.
func (a answer) filled() url.Values {
	a.t.Helper()
	out := url.Values{}
	form := a.doc().Find("main form").Last()
	require.Equal(a.t, 1, form.Length(), a.body)
	for _, n := range form.Find("input[name], select[name]").Nodes {
		s := form.FindNodes(n)
		name, kind := s.AttrOr("name", ""), s.AttrOr("type", "")
		_, checked := s.Attr("checked")
		switch {
		case n.Data == "select":
			out.Add(name, s.Find("option[selected]").First().AttrOr("value", s.Find("option").First().AttrOr("value", "")))
		case kind == "radio" || kind == "checkbox":
			if checked {
				out.Add(name, s.AttrOr("value", ""))
			}
		default:
			out.Add(name, s.AttrOr("value", ""))
		}
	}
	return out
}

// step sends a form with the button that names the step; "" is the button without
// a name.
func (b *browser) step(path, act string, form url.Values) answer {
	b.p.t.Helper()
	sent := maps.Clone(form)
	if act != "" {
		sent.Set("act", act)
	}
	return b.post(path, sent)
}

// reasons are the audit log's entries of an action.
func (p *portal) reasons(action string) []models.AuditEntry {
	p.t.Helper()
	var out []models.AuditEntry
	require.NoError(p.t, p.db.Read.Where("action = ?", action).Order("id").Find(&out).Error)
	return out
}

func TestAPlanIsEditedAndItsAgenciesMoved(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("admin")
		plan, _, err := p.billing.PlanOf(t.Context(), p.northwind.ID)
		require.NoError(t, err)
		list := b.get("/admin/plans")
		require.Contains(t, list.main(), plan.Name)
		require.NotContains(t, list.body, "$0.00 each")
		at := "/admin/plans/" + plan.ID.String()
		require.Equal(t, 1, list.doc().Find(`a[href="`+at+`"]`).Length())
		require.Contains(t, b.get(at).main(), "Northwind Agency")

		// What is wrong is said at the field, and what was typed stays.
		form := b.get(at + "/edit").filled()
		form.Set("price", "many")
		form.Set("name", " ")
		form.Set("trial_days", "-3")
		wrong := b.step(at+"/edit", "review", form)
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.Equal(t, "many", wrong.field("price"))
		for _, field := range []string{"name", "price", "trial_days"} {
			require.NotEmpty(t, wrong.doc().Find("#"+field+"-error").Text(), field)
		}
		require.True(t, strings.HasPrefix(wrong.doc().Find("title").Text(), "Error: "))
		form.Set("name", plan.Name)
		form.Set("price", models.Money{Amount: plan.Price, Currency: "usd"}.Decimal())
		form.Set("trial_days", "0")
		same := b.step(at+"/edit", "review", form)
		require.Equal(t, http.StatusUnprocessableEntity, same.StatusCode)
		require.Contains(t, same.main(), "Nothing would change.")

		// Seen before it is published, and back to editing without loss.
		form.Set("price", "1,107.50")
		form.Set("note", "dearer models")
		look := b.step(at+"/edit", "review", form)
		require.Equal(t, http.StatusOK, look.StatusCode)
		require.Contains(t, look.main(), "Version 2 takes the place of version 1")
		require.Contains(t, look.main(), "$1,107.50 a month")
		require.Contains(t, look.main(), "2 agencies stay on the version they have")
		require.Equal(t, plan.ID, p.offered(plan.Code).ID, "looking publishes nothing")
		hidden := look.filled()
		back := b.step(at+"/edit", "edit", hidden)
		require.Equal(t, http.StatusOK, back.StatusCode)
		require.Equal(t, "1,107.50", back.field("price"))
		require.Equal(t, form["packs"], back.filled()["packs"])

		done := b.step(at+"/edit", "", hidden)
		require.Equal(t, http.StatusSeeOther, done.StatusCode, done.body)
		newest := p.offered(plan.Code)
		require.Equal(t, "/admin/plans/"+newest.ID.String(), done.to())
		require.EqualValues(t, 110_750, newest.Price)
		require.Equal(t, 2, newest.Version)
		require.Equal(t, "dearer models", p.reasons("plan.publish")[0].Reason)
		require.Equal(t, "user:admin@example.test", p.reasons("plan.publish")[0].Actor)
		page := b.get(done.to())
		require.Contains(t, page.main(), "2 agencies stay on the terms they have.")
		move, ok := page.doc().Find(".flash a").Attr("href")
		require.True(t, ok)
		require.Equal(t, at+"/move", move)
		require.Equal(t, done.to(), b.step(at+"/edit", "", hidden).to(), "sent twice is published once")
		require.Len(t, p.reasons("plan.publish"), 1)
		require.Equal(t, done.to()+"/edit", b.get(at+"/edit").to(), "an older version leads to the newest")

		// Somebody else's edit in between.
		other := b.get(done.to() + "/edit").filled()
		p.clock.set(p.clock.Now().Add(time.Minute))
		in := billing.PlanInput{Base: newest.ID, By: "user:else@example.test", PlanTerms: billing.PlanTerms{
			Name: "Else", Price: newest.Price, Allowance: newest.Allowance, Every: newest.Every, RateCard: newest.RateCardID,
		}}
		elsewhere, err := p.billing.PublishPlan(t.Context(), in)
		require.NoError(t, err)
		other.Set("price", "5")
		late := b.step(done.to()+"/edit", "publish", other)
		require.Equal(t, http.StatusConflict, late.StatusCode)
		require.Contains(t, late.main(), "Somebody changed this plan since you opened it")
		require.Equal(t, "5", late.field("price"))

		// The agencies stay until they are moved.
		form = b.get(at + "/move").filled()
		bad := b.post(at+"/move", url.Values{"csrf_token": form["csrf_token"], "when": {"soon"}})
		require.Equal(t, http.StatusUnprocessableEntity, bad.StatusCode)
		require.NotEmpty(t, bad.doc().Find("#when-error").Text())
		require.Equal(t, elsewhere.New.ID.String(), form.Get("to"), "the newest version of the plan comes first")
		form.Set("note", "as announced")
		form.Set("agency", p.bluebird.ID.String())
		require.Equal(t, at, b.post(at+"/move", form).to())
		moved := b.get(at)
		require.Contains(t, moved.main(), "1 agency will move at the next reset.")
		require.Contains(t, moved.main(), "Bluebird Studio")
		require.Contains(t, moved.main(), "Version 3")
		form.Set("when", "now")
		form.Del("agency")
		require.Equal(t, at, b.post(at+"/move", form).to())
		require.Contains(t, b.get(at).main(), "2 agencies moved.")
		now, _, err := p.billing.PlanOf(t.Context(), p.northwind.ID)
		require.NoError(t, err)
		require.Equal(t, elsewhere.New.ID, now.ID)
		require.Contains(t, b.get(at+"/move").main(), "No agency is on this version.")
	})
}

func TestAPlanIsAddedMadeTheDefaultAndTakenOffOffer(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("admin")
	form := b.get("/admin/plans/new").filled()
	form.Set("name", "Forever")
	form.Set("code", "No code")
	form.Set("price", "0")
	form.Set("allowance", "1.000")
	form.Set("every", "once")
	wrong := b.step("/admin/plans/new", "review", form)
	require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
	require.NotEmpty(t, wrong.doc().Find("#code-error").Text())
	require.Contains(t, wrong.doc().Find("#allowance-error").Text(), "two ways")
	form.Set("code", "forever")
	form.Set("allowance", "1,000")
	look := b.step("/admin/plans/new", "review", form)
	require.Equal(t, http.StatusOK, look.StatusCode, look.body)
	require.Contains(t, look.main(), "1,000 credits once")
	require.Contains(t, look.main(), "Free")
	made := b.step("/admin/plans/new", "", look.filled())
	require.Equal(t, http.StatusSeeOther, made.StatusCode, made.body)
	taken := b.step("/admin/plans/new", "review", form)
	require.Equal(t, http.StatusConflict, taken.StatusCode)
	require.NotEmpty(t, taken.doc().Find("#code-error").Text())

	page := b.get(made.to())
	require.Equal(t, made.to(), b.fill(made.to(), made.to()+"/default", url.Values{}).to())
	setting, err := p.billing.Setting(t.Context(), "default_plan")
	require.NoError(t, err)
	require.Equal(t, "forever", setting)
	require.NotContains(t, page.main(), "New agencies get it")
	require.Contains(t, b.get(made.to()).main(), "New agencies get it")

	refused := b.fill(made.to()+"/archive", made.to()+"/archive", url.Values{"note": {"why not"}})
	require.Equal(t, http.StatusConflict, refused.StatusCode)
	require.Contains(t, refused.main(), "New agencies get this plan.")
	old, _, err := p.billing.PlanOf(t.Context(), p.northwind.ID)
	require.NoError(t, err)
	at := "/admin/plans/" + old.ID.String()
	require.Contains(t, b.get(at+"/archive").main(), "2 agencies stay on this version")
	without := b.fill(at+"/archive", at+"/archive", url.Values{})
	require.Equal(t, http.StatusUnprocessableEntity, without.StatusCode)
	require.NotEmpty(t, without.doc().Find("#note-error").Text())
	require.Equal(t, at, b.fill(at+"/archive", at+"/archive", url.Values{"note": {"nobody asks for it"}}).to())
	require.Contains(t, b.get(at).main(), "is off offer. 2 agencies stay on it.")
	require.Contains(t, b.get("/admin/plans").main(), "Off offer")
	require.Equal(t, "nobody asks for it", p.reasons("plan.archive")[0].Reason)
	again := b.get(at + "/edit").filled()
	require.Equal(t, http.StatusSeeOther, b.step(at+"/edit", "publish", again).StatusCode, "offered again as it was")
	require.Equal(t, 2, p.offered(old.Code).Version)
}

func TestAPacksPriceIsRaised(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b, owner := p.as("admin"), p.as("owner")
		pack := p.onSale("credits-12500")
		at := "/admin/packs/" + pack.ID.String()
		require.Contains(t, b.get("/admin/packs").main(), "$0.0029 each ($2.86 per 1,000)")
		require.Contains(t, owner.get("/buy").main(), "$50.00")
		account, err := p.billing.AccountOf(t.Context(), p.northwind.WalletID)
		require.NoError(t, err)
		bought, err := p.billing.Buy(t.Context(), billing.BuyInput{Account: account, Pack: "credits-12500", Key: "before", By: "test"})
		require.NoError(t, err)

		seen := owner.get("/buy").filled()
		require.Equal(t, "1", seen.Get("version-credits-12500"))

		form := b.get(at + "/edit").filled()
		form.Set("price", "0")
		wrong := b.step(at+"/edit", "review", form)
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.NotEmpty(t, wrong.doc().Find("#price-error").Text())
		form.Set("price", "75")
		look := b.step(at+"/edit", "review", form)
		require.Contains(t, look.main(), "$0.0060 each ($6.00 per 1,000)")
		require.Contains(t, look.main(), "12,500 credits is not cheaper per credit than 2,000 credits")
		done := b.step(at+"/edit", "", look.filled())
		require.Equal(t, http.StatusSeeOther, done.StatusCode, done.body)
		require.Contains(t, b.get(done.to()).main(), "is on sale as version 2.")
		require.Contains(t, b.get("/admin/packs").main(), "is not cheaper per credit")
		require.Equal(t, done.to(), b.step(at+"/edit", "", look.filled()).to(), "sent twice is published once")
		require.Contains(t, owner.get("/buy").main(), "$75.00")
		require.NotContains(t, owner.get("/buy").main(), "$50.00")
		seen.Set("pack", "credits-12500")
		stale := owner.post("/buy", seen)
		require.Equal(t, http.StatusConflict, stale.StatusCode)
		require.Contains(t, stale.main(), "This pack changed while the page was open.")
		require.Equal(t, http.StatusSeeOther, owner.post("/buy", stale.filled()).StatusCode, "seen, it can be bought")
		require.NoError(t, p.db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", bought.AgencyID, bought.ID).
			Updates(map[string]any{"status": models.PurchaseCredited, "credited_at": p.clock.Now()}).Error)
		require.Contains(t, owner.get("/buy").main(), "12,500 credits Your last choice $75.00")
		again, ok := owner.get("/purchases").doc().Find(`a[href^="/buy?pack="]`).Attr("href")
		require.True(t, ok, "it can be bought again, as it is sold now")
		require.Equal(t, "/buy?pack=credits-12500", again)
		still, err := p.billing.Purchase(t.Context(), bought.AgencyID, bought.ID)
		require.NoError(t, err)
		require.EqualValues(t, 5000, still.Price, "a purchase keeps what it was")

		require.Equal(t, done.to(), b.fill(done.to()+"/archive", done.to()+"/archive", url.Values{"note": {"too dear"}}).to())
		require.NotContains(t, owner.get("/buy").main(), "$75.00")
		require.Contains(t, b.get(done.to()).main(), "Off sale")
		require.Equal(t, "too dear", p.reasons("pack.archive")[0].Reason)

		// A new one, by quantity.
		form = b.get("/admin/packs/new").filled()
		form.Set("name", "Any")
		form.Set("code", "any")
		form.Set("kind", "quantity")
		form.Set("minimum", "1000")
		form.Set("step", "500")
		form.Set("unit_price", "cheap")
		wrong = b.step("/admin/packs/new", "review", form)
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.NotEmpty(t, wrong.doc().Find("#unit_price-error").Text())
		form.Set("unit_price", "0.03")
		look = b.step("/admin/packs/new", "review", form)
		require.Equal(t, http.StatusOK, look.StatusCode, look.body)
		require.Contains(t, look.main(), "$0.0300 each ($30.00 per 1,000)")
		require.Equal(t, http.StatusSeeOther, b.step("/admin/packs/new", "", look.filled()).StatusCode)
		require.Equal(t, models.UnitPrice(3_000_000), p.onSale("any").UnitPrice)
		require.Contains(t, owner.get("/buy").main(), "Any")
	})
}

func TestRatesAreEditedScheduledAndUndone(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b, card := p.as("admin"), p.card()
		p.charge("agency:northwind")
		p.clock.set(begin.Add(time.Minute))
		at := "/admin/rates/" + card.ID.String()
		require.Contains(t, b.get("/admin/rates").main(), card.Name)
		require.Contains(t, b.get(at).main(), "25 credits")
		require.Contains(t, b.get(at).main(), "1 time")

		form := b.get(at + "/edit").filled()
		row := ""
		for i := range 3 {
			if form.Get("r"+strconv.Itoa(i)+"_model") == "gpt-4" {
				row = "r" + strconv.Itoa(i) + "_"
			}
		}
		require.NotEmpty(t, row)
		// One more row, kept with what was typed.
		form.Set(row+"base", "x")
		more := b.step(at+"/edit", "add", form)
		require.Equal(t, http.StatusOK, more.StatusCode)
		require.Equal(t, "x", more.field(row+"base"))
		form = more.filled()
		require.Equal(t, "4", form.Get("rows"))
		form.Set("r3_action", "AI")
		form.Set("r3_p0_credits", "1")
		form.Set("r3_p0_measure", "pages")
		form.Set("effective_on", "2026-03-02")
		wrong := b.step(at+"/edit", "review", form)
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		for _, field := range []string{row + "base", "r3_action", "r3_p0_size", "effective_on"} {
			require.NotEmpty(t, wrong.doc().Find("#"+field+"-error").Text(), field)
		}
		form.Set(row+"base", "30")
		form.Set("r3_action", "ai.crawl")
		form.Set("r3_p0_size", "1")
		form.Set("effective_on", "2026-03-10")
		form.Set("note", "dearer")
		look := b.step(at+"/edit", "review", form)
		require.Equal(t, http.StatusOK, look.StatusCode, look.body)
		for _, text := range []string{"25 credits", "30 credits", "ai.crawl", "1 credit for every 1 pages", "Version 2 takes effect in 8 days (Tue, Mar 10)", "It prices 2 agencies."} {
			require.Contains(t, look.main(), text)
		}
		back := b.step(at+"/edit", "edit", look.filled())
		require.Equal(t, "30", back.field(row+"base"))
		require.Equal(t, "2026-03-10", back.field("effective_on"))
		done := b.step(at+"/edit", "", look.filled())
		require.Equal(t, at, done.to(), done.body)
		require.Equal(t, at, b.step(at+"/edit", "", look.filled()).to(), "sent twice is published once")
		page := b.get(at).main()
		require.Contains(t, page, "Version 2 takes effect in 8 days (Tue, Mar 10).")
		require.Contains(t, page, "Rates in force: version 1")
		d, err := p.billing.CardData(t.Context(), card.ID)
		require.NoError(t, err)
		require.Equal(t, 2, d.Newest)
		require.Equal(t, "dearer", p.reasons("rates.publish")[1].Reason)

		// It rules from its time on.
		cost := func(key string) models.Credits {
			got, err := p.billing.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:northwind", Key: key, Action: "ai.reply", Model: "gpt-4"})
			require.NoError(t, err)
			return got.Charge.Credits
		}
		require.Equal(t, 25*models.Credit, cost("before"))
		p.clock.set(models.At(time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)))
		require.Equal(t, 30*models.Credit, cost("after"))

		// Undone by publishing the version before once more.
		old := b.get(at + "/versions/1")
		require.Contains(t, old.main(), "Publish this version again")
		require.NotContains(t, b.get(at+"/versions/2").main(), "Publish this version again")
		require.Contains(t, b.get(at+"/versions/2").main(), "Changes against version 1")
		review := b.step(at+"/edit", "review", old.filled())
		require.Contains(t, review.main(), "Back to version 1")
		require.Contains(t, review.main(), "Version 3 takes effect at once.")
		require.Equal(t, at, b.step(at+"/edit", "", review.filled()).to())
		require.Equal(t, 25*models.Credit, cost("undone"))
		form.Set("attempt", "another")
		form.Del("effective_on")
		require.Equal(t, http.StatusConflict, b.step(at+"/edit", "publish", form).StatusCode, "an edit that began at version 1")
		require.Equal(t, http.StatusNotFound, b.get(at+"/versions/9").StatusCode)
		require.Equal(t, http.StatusNotFound, b.get(at+"/versions/x").StatusCode)

		file := b.get(at + "/rates.csv")
		require.Equal(t, http.StatusOK, file.StatusCode)
		require.Contains(t, file.body, "ai.reply,gpt-4,25,,,,,,\r\n")
		require.Contains(t, file.Header.Get("Content-Disposition"), "standard-rates-version-3.csv")
	})
}

func TestWhatWasUsedAndHasNoRateIsNamed(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b, card := p.as("admin"), p.card()
	p.charge("agency:northwind")
	at := "/admin/rates/" + card.ID.String()
	form := b.get(at + "/edit").filled()
	form.Set("r2_gone", "1")
	require.Equal(t, "gpt-4", form.Get("r2_model"))
	look := b.step(at+"/edit", "review", form)
	require.Contains(t, look.main(), "ai.reply gpt-4 was used 1 time in the last 30 days and would have no rate")
	require.Equal(t, at, b.step(at+"/edit", "", look.filled()).to())
	page := b.get(at)
	require.Contains(t, page.main(), "Used but not on the card")
	add, ok := page.doc().Find(`#unpriced ~ table a`).Attr("href")
	require.True(t, ok)
	filled := b.get(add).filled()
	require.Equal(t, "gpt-4", filled.Get("r2_model"))
	require.Empty(t, filled.Get("r2_base"))
	_, err := p.billing.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:northwind", Key: "none", Action: "ai.reply", Model: "gpt-4"})
	require.Error(t, err)

	// A card of its own, with everything a rate can have.
	form = b.get("/admin/rates/new?from=" + card.ID.String()).filled()
	require.Equal(t, "2", form.Get("rows"))
	empty := b.step("/admin/rates/new", "review", b.get("/admin/rates/new").filled())
	require.Equal(t, http.StatusUnprocessableEntity, empty.StatusCode)
	require.Contains(t, empty.main(), "The card is empty; add a rate for at least one action.")
	for name, value := range map[string]string{
		"name": "Friends", "code": "friends", "r0_minimum": "0.5", "r0_maximum": "9", "r0_p0_credits": "0.25", "r0_p0_size": "5,000", "r0_p0_measure": "characters", "r0_p0_above": "2000",
	} {
		form.Set(name, value)
	}
	look = b.step("/admin/rates/new", "review", form)
	require.Contains(t, look.main(), "1 credit + 0.25 for every 5,000 characters above 2,000, at least 0.5, at most 9")
	made := b.step("/admin/rates/new", "", look.filled())
	require.Equal(t, http.StatusSeeOther, made.StatusCode, made.body)
	taken := b.step("/admin/rates/new", "publish", form)
	require.Equal(t, http.StatusConflict, taken.StatusCode)
	require.NotEmpty(t, taken.doc().Find("#code-error").Text())
	cards, err := p.billing.RateCards(t.Context())
	require.NoError(t, err)
	require.Len(t, cards, 2)
	v, err := p.billing.CardInForce(t.Context(), cards[0].ID)
	require.NoError(t, err)
	least, most := models.Credit/2, 9*models.Credit
	require.Equal(t, ratecard.Rate{
		Action: "ai.reply", Model: "gpt-3.5-turbo", Base: models.Credit, Minimum: &least, Maximum: &most,
		Components: []ratecard.Component{{Measure: "characters", Above: 2000 * ratecard.One, Size: 5000 * ratecard.One, Credits: models.Credit / 4}},
	}, v.Rates[0])
	require.Contains(t, b.get(made.to()).main(), "No plan on offer uses this card.")
}

func TestCatalogueAddressesOfNothing(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("admin")
	for _, path := range []string{
		"/admin/plans/pln_nothing", "/admin/plans/" + models.NewID[models.PlanID](1).String(), "/admin/packs/pck_nothing",
		"/admin/packs/" + models.NewID[models.PackID](1).String() + "/edit", "/admin/rates/crd_nothing", "/admin/rates/" + models.NewID[models.RateCardID](1).String(),
	} {
		require.Equal(t, http.StatusNotFound, b.get(path).StatusCode, path)
	}
}

// defaultPlan is the code of the plan that the portal's agencies are on.
func (p *portal) defaultPlan() string {
	p.t.Helper()
	code, err := p.billing.Setting(p.t.Context(), "default_plan")
	require.NoError(p.t, err)
	return code
}
