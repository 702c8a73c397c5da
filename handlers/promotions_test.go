package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// An agency shares its code, an admin adds an agency with it, that agency pays,
// and both see what came of it.
func TestAReferralFromLinkToReward(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		owner, admin := p.as("owner"), p.as("admin")
		mine := owner.get("/referral")
		require.Contains(t, mine.main(), "You get 2,000 credits when")
		require.Contains(t, mine.main(), "Nobody yet.")
		link := mine.doc().Find("#referral-link").Text()
		require.True(t, strings.HasPrefix(link, home+"/r/NORTHWIND"), link)
		code := mine.doc().Find("#referral-code").Text()
		at := strings.TrimPrefix(link, home)
		require.Contains(t, p.visitor(home).get(at).main(), "Northwind Agency invites you")
		require.Equal(t, http.StatusNotFound, p.visitor(clients).get(at).StatusCode, "a client's portal knows nothing of it")
		require.Equal(t, http.StatusNotFound, p.visitor(home).get("/r/NOSUCH").StatusCode)

		add, _ := admin.get(at).doc().Find("main a.primary").Attr("href")
		form := admin.get(add)
		require.Equal(t, code, form.field("referral_code"))
		filled := form.filled()
		filled.Set("name", "Willow")
		filled.Set("email", "owner@example.test")
		self := admin.post("/admin/agencies/new", filled)
		require.Equal(t, http.StatusConflict, self.StatusCode)
		require.Contains(t, self.main(), "nobody refers themselves")
		filled.Set("email", "")
		filled.Set("referral_code", "nosuch")
		require.Contains(t, admin.post("/admin/agencies/new", filled).main(), "There is no such referral code.")
		filled.Set("referral_code", strings.ToLower(code))
		done := admin.post("/admin/agencies/new", filled)
		require.Equal(t, http.StatusSeeOther, done.StatusCode, done.main())
		require.Contains(t, admin.get(done.to()).main(), "referred by Northwind Agency")
		require.Contains(t, owner.get("/referral").main(), "Counts when their first payment has arrived.")

		willow, err := p.billing.AgencyByRef(t.Context(), billing.Scope{}, "willow")
		require.NoError(t, err)
		account, err := p.billing.AccountOf(t.Context(), willow.WalletID)
		require.NoError(t, err)
		bought, err := p.billing.Buy(t.Context(), billing.BuyInput{Account: account, Pack: "credits-12500", Key: "k", By: "test"})
		require.NoError(t, err)
		had := p.left()
		p.till.pay(bought.CheckoutSession)
		_, err = p.billing.Settle(t.Context(), bought.AgencyID, bought.ID)
		require.NoError(t, err)
		require.Equal(t, had+2000*models.Credit, p.left())
		page := owner.get("/referral").main()
		require.Contains(t, page, "Earned")
		require.NotContains(t, page, "$", "nothing of their money")
		require.NotContains(t, page, "12,500")
		require.Contains(t, owner.get("/history").main(), "Referral: Willow")
		list := admin.get("/admin/referrals")
		require.Contains(t, list.main(), bought.ID.String())

		terms := list.filled()
		terms.Set("credits", "many")
		require.Equal(t, http.StatusUnprocessableEntity, admin.post("/admin/referrals", terms).StatusCode)
		terms.Set("credits", "0")
		require.Equal(t, "/admin/referrals", admin.post("/admin/referrals", terms).to())
		require.Contains(t, owner.get("/referral").main(), "Referrals are not rewarded at the moment.")
		require.Len(t, p.reasons("referral.terms"), 1)
	})
}

// An admin makes a code, agencies redeem it once each, and it is stopped.
func TestAPromotionFromFormToStop(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		admin, owner := p.as("admin"), p.as("owner")
		form := admin.get("/admin/gifts/new")
		filled := form.filled()
		for name, value := range map[string]string{"name": "Launch", "credits": "1,000", "lot_days": "30", "code": "launch-26", "max_uses": "x", "expires": "soon", "reason": "Launch"} {
			filled.Set(name, value)
		}
		wrong := admin.post("/admin/gifts/new", filled)
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.Contains(t, wrong.main(), "Enter a date, such as 2026-12-31.")
		require.Equal(t, "launch-26", wrong.field("code"), "what was typed is kept")
		filled.Set("max_uses", "2")
		filled.Set("expires", "2026-12-31")
		done := admin.post("/admin/gifts/new", filled)
		require.Equal(t, http.StatusSeeOther, done.StatusCode, done.main())
		require.Equal(t, done.to(), admin.post("/admin/gifts/new", filled).to(), "one form, one promotion")
		require.Len(t, p.reasons("gift.create"), 1)

		require.Contains(t, owner.get("/buy").body, `href="/gift"`)
		had := p.left()
		redeem := owner.get("/gift?code=Launch26")
		require.Equal(t, "Launch26", redeem.field("code"))
		for range 2 { // sent twice, given once
			require.Equal(t, "/buy", owner.post("/gift", redeem.filled()).to())
		}
		require.Equal(t, had+1000*models.Credit, p.left())
		require.Contains(t, owner.get("/buy").main(), "1,000 credits added as bonus credits, until April 1, 2026.")
		again := owner.post("/gift", owner.get("/gift?code=launch26").filled())
		require.Equal(t, http.StatusConflict, again.StatusCode)
		require.Contains(t, again.main(), "You have redeemed this promotion already")
		none := owner.post("/gift", owner.get("/gift?code=guess").filled())
		require.Equal(t, http.StatusUnprocessableEntity, none.StatusCode)
		require.Contains(t, none.main(), "There is no such code.")
		require.Contains(t, owner.get("/history").main(), "Promotion: Launch")

		page := admin.get(done.to())
		require.Contains(t, page.main(), "1 of 2")
		require.Contains(t, page.main(), "Northwind Agency")
		require.Contains(t, admin.get("/admin/gifts").main(), "1,000")
		require.Contains(t, admin.get(done.to()+"/codes.csv").body, "LAUNCH-26,1,Northwind Agency,")
		stop, _ := page.doc().Find("form[action$='/stop']").Attr("action")
		require.Equal(t, done.to(), admin.post(stop, page.filled()).to())
		require.Contains(t, admin.get(done.to()).main(), "Stopped")
		stranger := p.as("stranger")
		require.Contains(t, stranger.post("/gift", stranger.get("/gift?code=launch26").filled()).main(), "This code is over")
	})
}

// Goodwill has a reason and may end; a plan's grace is set where plans are.
func TestGoodwillThatEndsAndAPlansGrace(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		admin := p.as("admin")
		path := "/admin/agencies/" + p.northwind.ID.String() + "/adjust"
		form := admin.get(path).filled()
		form.Del("preview")
		for name, value := range map[string]string{"credits": "500", "type": "promo", "reason": "Sorry for Monday", "shown": "1", "expires": "2020-01-01"} {
			form.Set(name, value)
		}
		past := admin.post(path, form)
		require.Equal(t, http.StatusUnprocessableEntity, past.StatusCode)
		require.Contains(t, past.main(), "The credits would end before they are given.")
		form.Set("expires", "2026-03-31")
		require.Equal(t, strings.TrimSuffix(path, "/adjust"), admin.post(path, form).to())
		var lot models.Lot
		require.NoError(t, db.Read.Where("agency_id = ? AND source = ?", p.northwind.ID, models.SourcePromo).Take(&lot).Error)
		require.Equal(t, "2026-04-01T00:00:00.000000Z", lot.ExpiresAt.RFC3339())
		require.Contains(t, p.as("owner").get("/history").main(), "Sorry for Monday")

		plans := admin.get("/admin/plans")
		require.Equal(t, "7", plans.field("days"))
		grace := url.Values{"csrf_token": {plans.token()}, "days": {"1000"}}
		require.Equal(t, http.StatusUnprocessableEntity, admin.post("/admin/plans/grace", grace).StatusCode)
		grace.Set("days", "3")
		require.Equal(t, "/admin/plans", admin.post("/admin/plans/grace", grace).to())
		require.Equal(t, "3", admin.get("/admin/plans").field("days"))
		require.Len(t, p.reasons("plan.grace"), 1)
	})
}
