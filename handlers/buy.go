package handlers

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// recently is how long after a purchase buying the same may be a double click.
const recently = 10 * time.Minute

// choice is what a buyer chose, as they typed it.
type choice struct {
	pack, quantity, attempt string
	quote                   string // link's part of the quote that a client came by
	errors                  views.FieldErrors
	closed                  views.Closed
}

func (a *app) buyForm(c echo.Context) error {
	if ref := c.QueryParam("cancelled"); ref != "" && mayBuy(visitOf(c)) && !visitOf(c).viewer.Assisting && c.Request().Method == http.MethodGet {
		return a.walkedAway(c, ref)
	}
	return a.showBuy(c, http.StatusOK, choice{pack: c.QueryParam("pack"), quantity: c.QueryParam("quantity"), quote: c.QueryParam("quote")})
}

// mayBuy tells whether a person's role lets them spend the account's money.
func mayBuy(v *visit) bool {
	return v.role() == roleOwner || v.role() == roleBilling || v.role() == roleClient
}

func (a *app) showBuy(c echo.Context, code int, chosen choice) error {
	v, ctx := visitOf(c), c.Request().Context()
	if v.role() == roleClient {
		return a.showPackages(c, code, chosen)
	}
	account := v.viewer.Account()
	out := views.Buy{Quantity: chosen.quantity, Calculator: "/calculator", Closed: chosen.closed, Attempt: cmp.Or(chosen.attempt, billing.NewSecret())}
	front, err := a.Billing.Storefront(ctx, account)
	if err != nil {
		if front, err = a.shelf(ctx, account); err != nil {
			return err
		}
		out.BalanceFailure = a.failure(c, "Your balance", "", err)
	} else {
		out.Left, out.Excess = front.Wallet.Balance.Left(), front.Wallet.Balance.Excess
	}
	out.Selected = selected(&front, chosen.pack)
	for _, o := range front.Offers {
		offer, err := offerOf(o, front.Last, out.Selected, chosen.quantity)
		if err != nil && chosen.errors == nil {
			chosen.errors, code = views.FieldErrors{{Field: "quantity", Text: amountText(err)}}, http.StatusUnprocessableEntity
		}
		out.Offers = append(out.Offers, offer)
	}
	out.Automatic = mayBuy(v) && len(out.Offers) > 0
	out.Errors = chosen.errors
	out.Recent = recent(&front, a.Billing.Now())
	if err = a.closed(ctx, v, &out); err != nil {
		return err
	}
	if mayBuy(v) {
		out.Beside = append(out.Beside, views.Link{Label: "Redeem a code", Href: "/gift"})
	}
	out.Beside = append(out.Beside, views.Link{Label: "Refer an agency", Href: "/referral"})
	if out.Frame, err = a.frame(c, "Credits & top-ups", "buy", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.BuyPage(out))
}

// shelf is what is on sale when the balance cannot be read.
func (a *app) shelf(ctx context.Context, account *billing.Account) (billing.Storefront, error) {
	var out billing.Storefront
	packs, err := a.Billing.PacksFor(ctx, account.Agency.ID)
	if err != nil {
		return out, err
	}
	for _, pack := range packs {
		credits, price, err := billing.Quote(pack, pack.Minimum)
		if err != nil {
			return out, err
		}
		out.Offers = append(out.Offers, billing.Offer{Pack: pack, Credits: credits, Bonus: pack.Bonus, Price: price})
	}
	return out, nil
}

// offerOf is an offer with its sums; one by quantity that is chosen, at the
// quantity typed. Errors: invalid_quantity, or a number that cannot be read.
func offerOf(o billing.Offer, last *models.Purchase, chosen, quantity string) (views.Offer, error) {
	out := views.Offer{
		ID: o.Pack.Code, Name: o.Pack.Name, ByQuantity: o.Pack.Kind == models.PackQuantity, Credits: o.Credits, Bonus: o.Bonus, Price: o.Price,
		Minimum: o.Pack.Minimum, Step: o.Pack.Step, Unit: o.Pack.UnitPrice, LastBought: last != nil && last.PackID == o.Pack.ID,
		Version: o.Pack.Version,
	}
	if !out.ByQuantity || quantity == "" || chosen != o.Pack.Code {
		return out, nil
	}
	out.Credits = 0 // the sums of another amount would be no answer to what was typed
	amount, err := typedCredits(quantity)
	if err != nil {
		return out, err
	}
	credits, price, err := billing.Quote(o.Pack, amount)
	if err == nil {
		out.Credits, out.Price = credits, price
	}
	return out, err
}

// selected is the offer a form starts with: the one chosen, else what billing
// suggests. A pack that does not clear the excess is never chosen for anybody.
func selected(front *billing.Storefront, chosen string) string {
	suggested := ""
	for _, o := range front.Offers {
		if chosen != "" && (o.Pack.Code == chosen || o.Pack.ID.String() == chosen) {
			return o.Pack.Code
		}
		if o.Pack.ID == front.Suggested {
			suggested = o.Pack.Code
		}
	}
	return suggested
}

func recent(front *billing.Storefront, now models.Time) *views.RecentPurchase {
	last := front.Last
	if last == nil || now.Sub(last.CreditedAt) > recently {
		return nil
	}
	for _, o := range front.Offers {
		if o.Pack.ID == last.PackID {
			return &views.RecentPurchase{Offer: o.Pack.Code, Credits: last.Credits + last.Bonus, At: last.CreditedAt, Receipt: receiptPath(last)}
		}
	}
	return nil
}

func receiptPath(p *models.Purchase) string {
	if p.ReceiptNumber == 0 {
		return ""
	}
	return "/purchases/" + p.ID.String() + "/receipt"
}

// closed says why this person can buy nothing here, if so.
func (a *app) closed(ctx context.Context, v *visit, out *views.Buy) error {
	switch {
	case len(out.Offers) == 0:
		out.Closed = views.ClosedNothing
		packs, err := a.Billing.Packs(ctx)
		if err != nil {
			return err
		}
		plan, _, err := a.Billing.PlanOf(ctx, v.viewer.Agency.ID)
		if err != nil {
			return err
		}
		if len(packs) > 0 && plan.Name != "" {
			out.Closed, out.Plan = views.ClosedPlan, plan.Name
		}
	case !mayBuy(v):
		out.Closed = views.ClosedRole
	}
	return nil
}

// buy opens a purchase and leads to its payment page.
func (a *app) buy(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	if v.role() == roleClient {
		return a.buyPackage(c)
	}
	chosen := choice{pack: c.FormValue("pack"), quantity: c.FormValue("quantity"), attempt: c.FormValue("attempt")}
	if c.FormValue("preview") != "" {
		return seeOther(c, "/buy?"+url.Values{"pack": {chosen.pack}, "quantity": {chosen.quantity}}.Encode())
	}
	account := v.viewer.Account()
	in := billing.BuyInput{
		Account: account, Pack: chosen.pack, Key: "web:" + cmp.Or(chosen.attempt, billing.NewSecret()), Email: v.viewer.User.Email, By: v.viewer.Actor(), Instead: true,
	}
	if chosen.pack == "" {
		chosen.errors = views.FieldErrors{{Field: "pack", Text: "Choose a pack."}}
		return a.showBuy(c, http.StatusUnprocessableEntity, chosen)
	}
	packs, err := a.Billing.PacksFor(ctx, account.Agency.ID)
	if err != nil {
		return err
	}
	for _, p := range packs {
		if seen := c.FormValue("version-" + p.Code); p.Code == chosen.pack && seen != "" && seen != strconv.Itoa(p.Version) {
			chosen.errors = views.FieldErrors{{Field: "pack", Text: "This pack changed while the page was open. Look at it once more, then pay."}}
			return a.showBuy(c, http.StatusConflict, chosen)
		}
		if p.Kind == models.PackQuantity && (p.Code == chosen.pack || p.ID.String() == chosen.pack) {
			if in.Quantity, err = typedCredits(chosen.quantity); err != nil {
				chosen.errors = views.FieldErrors{{Field: "quantity", Text: amountText(err)}}
				return a.showBuy(c, http.StatusUnprocessableEntity, chosen)
			}
		}
	}
	p, err := a.Billing.Buy(ctx, in)
	if err == nil && p.Status.Unpaid() {
		// A page from before the last attempt ended: this is another attempt.
		in.Key = "web:" + billing.NewSecret()
		p, err = a.Billing.Buy(ctx, in)
	}
	if err != nil {
		return a.notBought(c, chosen, err)
	}
	if p.Status != models.PurchaseOpen || p.CheckoutURL == "" {
		return seeOther(c, "/buy/return?"+url.Values{"s": {p.CheckoutSession}}.Encode())
	}
	return seeOther(c, p.CheckoutURL)
}

// notBought shows the page again with what was wrong, and what was typed.
func (a *app) notBought(c echo.Context, chosen choice, err error) error {
	p := problem.Of(err)
	switch {
	case p == nil:
		return err
	case p.Code == "payment_unavailable":
		a.sectionFailed(c, "payment", err)
		chosen.closed = views.ClosedPayment
		return a.showBuy(c, http.StatusServiceUnavailable, chosen)
	case p.Code == "idempotency_key_reused":
		chosen.attempt = ""
		chosen.errors = views.FieldErrors{{Field: "pack", Text: "You changed your choice after going to payment. Check it once more, then continue."}}
	case p.Field == "quantity", p.Field == "pack":
		chosen.errors = views.FieldErrors{{Field: p.Field, Text: p.Message}}
	case p.Field == "package", p.Code == "out_of_stock", p.Code == "not_connected":
		chosen.errors = views.FieldErrors{{Field: "pack", Text: p.Message}}
	default:
		return err
	}
	return a.showBuy(c, statusOf(err), chosen)
}

// walkedAway closes a purchase whose buyer came back without paying, and keeps
// their choice.
func (a *app) walkedAway(c echo.Context, ref string) error {
	p, err := a.ownPurchase(c, ref)
	if err != nil {
		return err
	}
	if settled, err := a.Billing.Cancel(c.Request().Context(), p.AgencyID, p.ID); err == nil {
		p = settled
	} else if !problem.Is(err, "payment_unavailable") {
		return err
	}
	if p.Status != models.PurchaseOpen && !p.Status.Unpaid() {
		return seeOther(c, "/buy/return?"+url.Values{"s": {p.CheckoutSession}}.Encode())
	}
	return a.backToBuy(c, p, views.Flash{Tone: views.ToneInfo, Text: "You were not charged."})
}

// backToBuy leads to the purchase page with the choice that was made.
func (a *app) backToBuy(c echo.Context, p models.Purchase, flash views.Flash) error {
	if err := a.say(c, flash); err != nil {
		return err
	}
	if p.IsSale() {
		quote, err := a.Billing.QuoteOf(c.Request().Context(), &p)
		if err != nil {
			return err
		}
		return seeOther(c, buyPath(p.PackageID.String(), quote))
	}
	return seeOther(c, "/buy?"+url.Values{"pack": {p.PackID.String()}, "quantity": {format.Typed(p.Credits)}}.Encode())
}

// buyPath is the purchase page with a pack or package chosen, at the prices of a
// quote by its link's part; "" is none.
func buyPath(id, quote string) string {
	q := url.Values{"pack": {id}}
	if quote != "" {
		q.Set("quote", quote)
	}
	return "/buy?" + q.Encode()
}

// ownPurchase finds a purchase of the viewer's account by our id or by the
// payment provider's. Errors: not_found, which also stands for somebody else's.
func (a *app) ownPurchase(c echo.Context, ref string) (models.Purchase, error) {
	v := visitOf(c)
	p, err := a.Billing.PurchaseByRef(c.Request().Context(), v.viewer.Scope(), ref)
	if err == nil && p.WalletID != v.viewer.Account().Wallet {
		return models.Purchase{}, problem.Missing("purchase")
	}
	return p, err
}
