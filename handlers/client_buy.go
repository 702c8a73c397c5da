package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// A client's purchase page is the agency's with packages for packs: the agency
// sells, at its own price, and nothing of the platform or of the agency's costs
// is read.

func (a *app) showPackages(c echo.Context, code int, chosen choice) error {
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	out := views.Buy{
		Seller: account.Agency.Name, Calculator: "/calculator", Closed: chosen.closed, Errors: chosen.errors, Attempt: cmp.Or(chosen.attempt, billing.NewSecret()),
		Quote: chosen.quote,
	}
	front, err := a.Billing.Shopfront(ctx, account, chosen.quote)
	if err != nil {
		return err
	}
	if chosen.quote != "" {
		out.QuoteOver, out.QuoteUntil = !front.Quote.Holds, front.Quote.ExpiresAt
	}
	out.Left, out.Excess, out.Descriptor = front.Wallet.Balance.Left(), front.Wallet.Balance.Excess, front.Statement
	for _, o := range front.Offers {
		offer := packageOffer(&o, account)
		offer.LastBought = front.Last != nil && front.Last.PackageID == o.ID
		if chosen.pack == offer.ID && offer.Shut == "" || out.Selected == "" && o.ID == front.Suggested {
			out.Selected = offer.ID
		}
		if offer.LastBought && a.Billing.Now().Sub(front.Last.CreditedAt) <= recently {
			out.Recent = &views.RecentPurchase{Offer: offer.ID, Credits: front.Last.Credits, At: front.Last.CreditedAt, Receipt: receiptPath(front.Last)}
		}
		out.Offers = append(out.Offers, offer)
	}
	out.Automatic = account.Agency.ClientTopUp && len(out.Offers) > 0
	if len(out.Offers) == 0 {
		out.Closed = views.ClosedNothing
	}
	if out.Monthly, err = a.ownMonthlies(c, account); err != nil {
		return err
	}
	if out.Frame, err = a.frame(c, "Buy credits", "buy", &front.Wallet); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.BuyPage(out))
}

func packageOffer(o *billing.PackageOffer, account *billing.Account) views.Offer {
	out := views.Offer{ID: o.ID.String(), Name: o.Name, Credits: o.Credits, Price: o.Total(), Badge: o.Badge, Note: o.Note, Quoted: o.Quoted}
	if o.Monthly() {
		out.Month = true
		out.Note = strings.TrimSpace("Paid every month until you cancel; each month's credits last until the next payment. " + out.Note)
	}
	if o.Later {
		out.Note = strings.TrimSpace(out.Note + " You pay now, and the credits come as soon as " + account.Agency.Name + " has them ready.")
	}
	switch {
	case o.Running:
		out.Shut = "You get this every month."
	case o.Limited && o.Left == 0:
		out.Shut = "Bought for this month. It opens again on " + o.OpensAt.In(account.Zone).Format("January 2") + "."
	case o.Limited:
		out.Note = cmp.Or(out.Note, format.Plural(int64(o.Left), "more", "more")+" this month.")
	}
	return out
}

// buyPackage opens a client's purchase and leads to its payment page.
func (a *app) buyPackage(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	chosen := choice{pack: c.FormValue("pack"), attempt: c.FormValue("attempt"), quote: c.FormValue("quote")}
	if chosen.pack == "" {
		chosen.errors = views.FieldErrors{{Field: "pack", Text: "Choose a package."}}
		return a.showPackages(c, http.StatusUnprocessableEntity, chosen)
	}
	in := billing.PackageInput{
		Account: v.viewer.Account(), Package: chosen.pack, Key: "web:" + cmp.Or(chosen.attempt, billing.NewSecret()),
		Email: v.viewer.User.Email, By: v.viewer.Actor(),
	}
	if slices.Contains(ticked(c, "quoted"), chosen.pack) {
		in.Quote = chosen.quote
	}
	p, err := a.Billing.BuyPackage(ctx, in)
	if err == nil && p.Status.Unpaid() {
		// A page from before the last attempt ended: this is another attempt.
		in.Key = "web:" + billing.NewSecret()
		p, err = a.Billing.BuyPackage(ctx, in)
	}
	if problem.Is(err, "quote_over") {
		chosen.quote, chosen.attempt = "", ""
	}
	if err != nil {
		return a.notBought(c, chosen, err)
	}
	if p.Status != models.PurchaseOpen || p.CheckoutURL == "" {
		return seeOther(c, "/buy/return?"+url.Values{"s": {p.CheckoutSession}}.Encode())
	}
	return seeOther(c, p.CheckoutURL)
}
