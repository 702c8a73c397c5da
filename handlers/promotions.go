package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

const promotionsPath = "/admin/gifts"

// lastDay reads the last day of something, which ends with it: "" is never.
func (t *typed) lastDay(field, s string, zone *time.Location) models.Time {
	if s == "" {
		return 0
	}
	day, err := time.ParseInLocation(time.DateOnly, s, zone)
	if err != nil || !possible(day) {
		t.wrong(field, "Enter a date, such as 2026-12-31.")
		return 0
	}
	return models.At(time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, zone))
}

// referral is an agency's code and who came with it.
func (a *app) referral(c echo.Context) error {
	v := visitOf(c)
	out := views.Referral{}
	mine, err := a.Billing.Referrals(c.Request().Context(), v.viewer.Agency.ID)
	if err != nil {
		out.Failure = a.failure(c, "Your referrals", "What you have earned is in your balance.", err)
	}
	out.Off, out.Reward, out.Code, out.Link = mine.Terms.Credits == 0, mine.Terms.Credits, mine.Code, mine.Link
	out.Earned, out.Waiting, out.Month, out.All, out.PerMonth, out.InAll = mine.Earned, mine.Waiting, mine.Month, mine.InAll, mine.Terms.PerMonth, mine.Terms.InAll
	for i := range mine.Rows {
		out.Rows = append(out.Rows, referralRow(&mine.Rows[i]))
	}
	if out.Frame, err = a.frame(c, "Refer an agency", "buy", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.ReferralPage(out))
}

// referralRow is a referral as the one who referred sees it: nothing of the
// other's money.
func referralRow(r *billing.ReferralRow) views.ReferralRow {
	return views.ReferralRow{
		Name: r.Referred, JoinedAt: r.JoinedAt, DecidedAt: r.DecidedAt, State: r.State, Promised: r.Credits, Kept: r.Kept(), Frozen: r.Frozen > 0,
	}
}

// referred is where a referral's link leads.
func (a *app) referred(c echo.Context) error {
	v := visitOf(c)
	if v.host.portal != nil {
		return echo.ErrNotFound // a client's portal knows nothing of it
	}
	out := views.ReferralInvite{Ask: a.Help}
	status := http.StatusOK
	offer, err := a.Billing.ReferralOffer(c.Request().Context(), c.Param("code"))
	switch {
	case problem.Is(err, "unknown_referral_code"), problem.Is(err, "referrals_off"):
		status = http.StatusNotFound
	case err != nil:
		return err
	default:
		out.Agency, out.Code = offer.Agency.Name, offer.Code
		if v.viewer != nil && v.viewer.Admin {
			out.Add = "/admin/agencies/new?" + url.Values{"referral_code": {offer.Code}}.Encode()
		}
	}
	if out.Frame, err = a.formFrame(c, "Invitation"); err != nil {
		return err
	}
	return page(c, status, views.ReferralInvitePage(out))
}

func (a *app) redeemForm(c echo.Context) error {
	return a.showRedeem(c, http.StatusOK, views.RedeemForm{Code: strings.TrimSpace(c.QueryParam("code"))})
}

func (a *app) showRedeem(c echo.Context, code int, f views.RedeemForm) error { //nolint:gocritic // a form is sent once per page
	f.Attempt = cmp.Or(f.Attempt, billing.NewSecret())
	var err error
	if f.Frame, err = a.frame(c, "Redeem a code", "buy", nil); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.RedeemPage(f))
}

// redeem adds the credits of a code, once per attempt.
func (a *app) redeem(c echo.Context) error {
	v := visitOf(c)
	f := views.RedeemForm{Code: field(c, "code"), Attempt: c.FormValue("attempt")}
	if f.Code == "" {
		f.Errors = views.FieldErrors{{Field: "code", Text: "Enter the code."}}
		return a.showRedeem(c, http.StatusUnprocessableEntity, f)
	}
	done, err := a.Billing.Redeem(c.Request().Context(), billing.RedeemInput{
		Account: v.viewer.Account(), Code: f.Code, Address: c.RealIP(), Key: "web:" + cmp.Or(f.Attempt, billing.NewSecret()), By: v.viewer.Actor(),
	})
	if p := problem.Of(err); p != nil {
		if p.Kind == problem.TooMany {
			c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
		} else if p.Field != "code" && p.Code != "too_many_lots" && p.Code != "balance_too_large" {
			return err
		}
		f.Errors = views.FieldErrors{{Field: "code", Text: p.Message}}
		return a.showRedeem(c, statusOf(err), f)
	}
	if err != nil {
		return err
	}
	words := format.CreditsWord(done.Credits) + " added as bonus credits."
	if done.ExpiresAt.IsSet() {
		words = format.CreditsWord(done.Credits) + " added as bonus credits, until " + format.LongDate(done.ExpiresAt, billing.Zone(v.viewer.Agency.TimeZone)) + "."
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: words, Link: &views.Link{Label: "See your history", Href: "/history"}}); err != nil {
		return err
	}
	return seeOther(c, "/buy")
}

// promotions lists the codes that give bonus credits.
func (a *app) promotions(c echo.Context) error {
	out := views.Promotions{}
	rows, err := a.Billing.Gifts(c.Request().Context())
	if err != nil {
		out.Failure = a.failure(c, "The promotions", "", err)
	}
	for i := range rows {
		out.Rows = append(out.Rows, promotionRow(&rows[i], a.Billing.Now()))
	}
	if out.Frame, err = a.adminFrame(c, "Promotions", "promotions"); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PromotionsPage(out))
}

func promotionRow(g *billing.GiftRow, now models.Time) views.PromotionRow {
	return views.PromotionRow{
		Name: g.Name, Href: promotionsPath + "/" + g.ID.String(), Code: g.Code, Codes: g.Codes, Credits: g.Credits, Days: g.LotDays, For: g.ForAgency,
		Redeemed: g.Redeemed, Most: g.MaxRedemptions, Given: g.Given, MostAll: g.MaxCredits, Ends: g.ExpiresAt, State: string(g.State(now)),
	}
}

func promotionID(c echo.Context) (models.GiftID, error) {
	id, err := models.ParseID[models.GiftID](c.Param("id"))
	if err != nil {
		return id, problem.Missing("promotion")
	}
	return id, nil
}

func (a *app) promotion(c echo.Context) error {
	id, err := promotionID(c)
	if err != nil {
		return err
	}
	g, err := a.Billing.Gift(c.Request().Context(), id)
	if err != nil {
		return err
	}
	out := views.Promotion{PromotionRow: promotionRow(&g.GiftRow, g.Now), Reason: g.Reason, By: actorName(g.CreatedBy), At: g.CreatedAt}
	out.CSV = out.Href + "/codes.csv"
	if g.State(g.Now) == billing.GiftOpen {
		out.Stop = out.Href + "/stop"
	}
	for i := range g.Redemptions {
		r := &g.Redemptions[i]
		out.Uses = append(out.Uses, views.Redemption{Agency: r.Agency, Href: agencyPath(r.AgencyID), Code: r.Shown, By: actorName(r.RedeemedBy), At: r.RedeemedAt})
	}
	if out.Frame, err = a.adminFrame(c, g.Name, "promotions"); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PromotionPage(out))
}

func (a *app) promotionCodes(c echo.Context) error {
	id, err := promotionID(c)
	if err != nil {
		return err
	}
	if _, err := a.Billing.Gift(c.Request().Context(), id); err != nil {
		return err
	}
	return a.download(c, "codes", 0, 0, a.Billing.GiftCodesCSV(c.Request().Context(), id))
}

// stopPromotion ends a promotion; what was given stays.
func (a *app) stopPromotion(c echo.Context) error {
	id, err := promotionID(c)
	if err != nil {
		return err
	}
	g, err := a.Billing.StopGift(c.Request().Context(), id, visitOf(c).viewer.Actor())
	if err != nil {
		return err
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: g.Name + " is stopped: its codes are not taken any more. What was given stays."}); err != nil {
		return err
	}
	return seeOther(c, promotionsPath+"/"+id.String())
}

func (a *app) newPromotionForm(c echo.Context) error {
	return a.showPromotionForm(c, http.StatusOK, views.PromotionForm{Kind: "shared", Agency: c.QueryParam("agency")})
}

func (a *app) showPromotionForm(c echo.Context, code int, f views.PromotionForm) error { //nolint:gocritic // a form is sent once per page
	f.Attempt = cmp.Or(f.Attempt, billing.NewSecret())
	var err error
	if f.Frame, err = a.adminFrame(c, "Add promotion", "promotions"); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.PromotionFormPage(f))
}

// newPromotion makes a promotion with its codes, once per attempt.
func (a *app) newPromotion(c echo.Context) error {
	f := views.PromotionForm{
		Attempt: c.FormValue("attempt"), Name: field(c, "name"), Credits: field(c, "credits"), LotDays: field(c, "lot_days"), Kind: field(c, "kind"), Code: field(c, "code"),
		Codes: field(c, "codes"), Agency: field(c, "agency"), MaxUses: field(c, "max_uses"), MaxCredits: field(c, "max_credits"), Expires: field(c, "expires"), Reason: field(c, "reason"),
	}
	zone, err := a.Billing.PlatformZone(c.Request().Context())
	if err != nil {
		return err
	}
	t := typed{}
	in := billing.GiftInput{
		Name: f.Name, Credits: t.credits("credits", f.Credits), LotDays: t.count("lot_days", f.LotDays), Agency: f.Agency, MaxUses: int64(t.count("max_uses", f.MaxUses)),
		MaxCredits: t.credits("max_credits", f.MaxCredits), ExpiresAt: t.lastDay("expires", f.Expires, zone), Reason: f.Reason,
		Key: "web:" + cmp.Or(f.Attempt, billing.NewSecret()), By: visitOf(c).viewer.Actor(),
	}
	if f.Kind == "single" {
		in.Codes = t.count("codes", f.Codes)
	} else if in.Code = f.Code; in.Code == "" {
		t.wrong("code", "Choose a code of 4 to 40 letters and digits, such as WELCOME.")
		in.Code = "-----" // asked for above: billing shall not ask for a number of codes
	}
	unread := len(t.errors) > 0
	var made models.Gift
	if !unread {
		made, err = a.Billing.CreateGift(c.Request().Context(), in)
	}
	if problem.Is(err, "idempotency_key_reused") {
		f.Attempt = ""
		t.wrong("name", "This form made a promotion already. To make another one, send it once more.")
	} else if err != nil && !t.merge(err, "name", "credits", "lot_days", "code", "codes", "agency", "max_uses", "max_credits", "expires", "reason") {
		return err
	}
	if f.Errors = t.errors; len(f.Errors) > 0 {
		return a.showPromotionForm(c, http.StatusUnprocessableEntity, f)
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: made.Name + " is ready. Give its " + map[bool]string{true: "codes", false: "code"}[made.SingleUse] + " out."}); err != nil {
		return err
	}
	return seeOther(c, promotionsPath+"/"+made.ID.String())
}

// rewards are the terms of referrals and what came of them.
func (a *app) rewards(c echo.Context) error {
	terms, err := a.Billing.ReferralTerms(c.Request().Context())
	if err != nil {
		return err
	}
	return a.showRewards(c, http.StatusOK, views.Rewards{
		Credits: format.Typed(terms.Credits), PerMonth: strconv.FormatInt(terms.PerMonth, 10), InAll: strconv.FormatInt(terms.InAll, 10),
	})
}

func (a *app) showRewards(c echo.Context, code int, out views.Rewards) error { //nolint:gocritic // a form is sent once per page
	rows, err := a.Billing.AllReferrals(c.Request().Context())
	if err != nil {
		out.Failure = a.failure(c, "The referrals", "", err)
	}
	for i := range rows {
		r := referralRow(&rows[i])
		r.Referrer, r.ReferrerHref, r.Href = rows[i].Referrer, agencyPath(rows[i].AgencyID), agencyPath(rows[i].ReferredID)
		r.Note, r.Payment = rows[i].Note, rows[i].Payment
		out.Rows = append(out.Rows, r)
	}
	if out.Frame, err = a.adminFrame(c, "Referrals", "promotions"); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.RewardsPage(out))
}

// setRewards changes what a referral earns.
func (a *app) setRewards(c echo.Context) error {
	f := views.Rewards{Credits: field(c, "credits"), PerMonth: field(c, "per_month"), InAll: field(c, "in_all")}
	t := typed{}
	in := billing.ReferralTerms{Credits: t.credits("credits", f.Credits), PerMonth: int64(t.count("per_month", f.PerMonth)), InAll: int64(t.count("in_all", f.InAll))}
	if len(t.errors) == 0 {
		if err := a.Billing.SetReferralTerms(c.Request().Context(), in, visitOf(c).viewer.Actor()); err != nil && !t.merge(err, "credits", "per_month", "in_all") {
			return err
		}
	}
	if f.Errors = t.errors; len(f.Errors) > 0 {
		return a.showRewards(c, http.StatusUnprocessableEntity, f)
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "What a referral earns is saved."}); err != nil {
		return err
	}
	return seeOther(c, "/admin/referrals")
}

// setGrace changes how long a plan goes on unpaid.
func (a *app) setGrace(c echo.Context) error {
	typedDays := field(c, "days")
	t := typed{}
	if typedDays == "" {
		t.wrong("days", "Enter a whole number, such as 7.")
	}
	days := t.count("days", typedDays)
	if len(t.errors) == 0 {
		if err := a.Billing.SetGraceDays(c.Request().Context(), days, visitOf(c).viewer.Actor()); err != nil && !t.merge(err, "days") {
			return err
		}
	}
	if len(t.errors) > 0 {
		return a.showPlans(c, http.StatusUnprocessableEntity, views.Plans{Errors: t.errors, Grace: typedDays})
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Saved: a plan goes on unpaid for " + format.Plural(int64(days), "day", "days") + "."}); err != nil {
		return err
	}
	return seeOther(c, plansPath)
}
