package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// patience is how long the page waits for a booking before it says that this
// takes longer.
const patience = 30 * time.Second

// buyReturn is where a buyer comes back to. The payment provider is asked on
// every look, so that a lost webhook strands nobody; looking again changes
// nothing.
func (a *app) buyReturn(c echo.Context) error {
	p, err := a.ownPurchase(c, c.QueryParam("s"))
	if err != nil {
		return err
	}
	settled, err := a.Billing.Settle(c.Request().Context(), p.AgencyID, p.ID)
	asked := err == nil
	switch {
	case asked:
		p = settled
	case problem.Is(err, "payment_unavailable"):
		a.sectionFailed(c, "payment", err)
	default:
		return err
	}
	switch p.Status {
	case models.PurchaseCredited:
		return a.showReturn(c, &p, views.ReturnCredited)
	case models.PurchaseProcessing:
		if p.PaidAt != 0 {
			return a.showReturn(c, &p, views.ReturnSlow)
		}
		return a.showReturn(c, &p, views.ReturnAwaiting)
	case models.PurchaseReview:
		return a.showReturn(c, &p, views.ReturnSlow)
	case models.PurchaseRefunded, models.PurchaseDisputed:
		return seeOther(c, "/purchases")
	case models.PurchaseFailed:
		return a.backToBuy(c, p, views.Flash{Tone: views.ToneBad, Text: cmp.Or(p.StatusNote, "The payment did not go through. You were not charged.")})
	case models.PurchaseExpired, models.PurchaseCancelled:
		return a.backToBuy(c, p, views.Flash{Tone: views.ToneInfo, Text: cmp.Or(p.StatusNote, "You were not charged.")})
	case models.PurchaseOpen:
	}
	if asked {
		flash := views.Flash{Tone: views.ToneWarn, Text: cmp.Or(p.StatusNote, "This payment isn't finished, and you were not charged.")}
		if p.CheckoutURL != "" {
			flash.Link = &views.Link{Label: "Go back to payment", Href: p.CheckoutURL}
		}
		return a.backToBuy(c, p, flash)
	}
	return a.wait(c, &p)
}

// wait shows that a payment could not be confirmed yet. The address carries
// since when, so that the page knows when to stop asking by itself.
func (a *app) wait(c echo.Context, p *models.Purchase) error {
	now := a.Wall.Now()
	since, err := strconv.ParseInt(c.QueryParam("since"), 10, 64)
	if err != nil || since <= 0 || models.Time(since) > now {
		q := url.Values{"s": {c.QueryParam("s")}, "since": {strconv.FormatInt(int64(now), 10)}}
		return seeOther(c, "/buy/return?"+q.Encode())
	}
	if now.Sub(models.Time(since)) > patience {
		return a.showReturn(c, p, views.ReturnSlow)
	}
	return a.showReturn(c, p, views.ReturnProcessing)
}

func (a *app) showReturn(c echo.Context, p *models.Purchase, which views.ReturnCase) error {
	out := views.Return{
		Case: which, Credits: p.Credits + p.Bonus, Before: p.BalanceBefore, After: p.BalanceAfter, Excess: settledBy(p),
		Receipt: receiptPath(p), Reference: cmp.Or(p.CheckoutSession, p.ID.String()), Again: c.Request().URL.RequestURI(), Home: "/",
	}
	if p.IsSale() {
		out.Seller = visitOf(c).viewer.Agency.Name
	}
	if t, err := a.Billing.TopUpState(c.Request().Context(), visitOf(c).viewer.Account()); err != nil {
		a.sectionFailed(c, "automatic top-up", err)
	} else {
		out.Automatic = t.State == models.TopUpOff && (!p.IsSale() || visitOf(c).viewer.Agency.ClientTopUp)
	}
	wallet, err := a.Billing.Wallet(c.Request().Context(), visitOf(c).viewer.Account())
	if err != nil {
		a.sectionFailed(c, "balance", err)
	} else {
		out.RunningAgain = which == views.ReturnCredited && p.BalanceBefore <= 0 && p.BalanceAfter > 0 && stateOf(&wallet) != views.StatePaused
	}
	if out.Frame, err = a.frame(c, "Payment", "buy", known(&wallet, err)); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.ReturnPage(out))
}

// settledBy is the excess that a purchase paid off.
func settledBy(p *models.Purchase) models.Credits {
	return min(max(0, -p.BalanceBefore), p.Credits+p.Bonus)
}
