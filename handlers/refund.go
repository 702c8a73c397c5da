package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// moneyBack is what happened to a payment since, for one reader of it; nil for
// nothing.
func moneyBack(p *models.Purchase, asSeller bool) *views.MoneyBack {
	if p.Refunded == 0 && p.Dispute == models.DisputeNone && p.Revoked == 0 && p.Frozen == 0 && (p.WarnedAt == 0 || !asSeller) {
		return nil
	}
	money := func(amount int64) models.Money { return models.Money{Amount: amount, Currency: p.Currency} }
	return &views.MoneyBack{
		Paid: money(p.Paid), Refunded: money(p.Refunded), Pending: money(p.RefundPending), At: p.RefundedAt, Dispute: p.Dispute,
		Held: money(p.DisputeHeld), Lost: money(p.DisputeLost), AnswerBy: p.DisputeAnswerBy, Warned: p.WarnedAt > 0,
		Revoked: p.Revoked, Spent: p.RevokedSpent, Frozen: p.Frozen, Sale: p.IsSale(), AsSeller: asSeller,
	}
}

// refunding is one of the two sides that give money back.
type refunding struct {
	sale     bool
	back     string
	backName string
	action   string
	current  string // of the menu
	whose    string
}

// refundOf finds what an admin refunds: a pack that an agency bought.
func (a *app) refundOf(c echo.Context) (models.Purchase, refunding, error) {
	var none models.Purchase
	agency, err := models.ParseID[models.AgencyID](c.Param("agency"))
	id, err2 := models.ParseID[models.PurchaseID](c.Param("id"))
	if err != nil || err2 != nil {
		return none, refunding{}, problem.Missing("purchase")
	}
	p, err := a.Billing.Purchase(c.Request().Context(), agency, id)
	if err != nil {
		return none, refunding{}, err
	}
	if p.IsSale() { // its agency was paid, and gives it back
		return none, refunding{}, problem.Missing("purchase")
	}
	buyer, err := a.Billing.Agency(c.Request().Context(), agency)
	return p, refunding{
		back: "/admin/payments", backName: "Payments", action: "/admin/payments/" + agency.String() + "/" + id.String() + "/refund",
		current: "payments", whose: buyer.Name,
	}, err
}

// refundOfSale finds what an agency refunds: a package that a client of its bought.
func (a *app) refundOfSale(c echo.Context) (models.Purchase, refunding, error) {
	var none models.Purchase
	account := visitOf(c).viewer.Account()
	id, err := models.ParseID[models.PurchaseID](c.Param("id"))
	if err != nil {
		return none, refunding{}, problem.Missing("sale")
	}
	p, err := a.Billing.Purchase(c.Request().Context(), account.Agency.ID, id)
	if err != nil {
		return none, refunding{}, err
	}
	if !p.IsSale() {
		return none, refunding{}, problem.Missing("sale")
	}
	clients, err := a.Billing.ClientNames(c.Request().Context(), account.Agency.ID)
	return p, refunding{
		sale: true, back: "/sales", backName: "Sales", action: "/sales/" + id.String() + "/refund", current: "sales", whose: clients[p.WalletID].Name,
	}, err
}

type refundFinder func(echo.Context) (models.Purchase, refunding, error)

func (a *app) refundForm(find refundFinder) echo.HandlerFunc {
	return func(c echo.Context) error {
		p, r, err := find(c)
		if err != nil {
			return err
		}
		return a.showRefund(c, http.StatusOK, &p, r, views.Refund{Typed: strings.TrimSpace(c.QueryParam("amount")), Reason: c.QueryParam("reason")})
	}
}

func (a *app) showRefund(c echo.Context, code int, p *models.Purchase, r refunding, f views.Refund) error { //nolint:gocritic // a form is sent once per page
	money := func(amount int64) models.Money { return models.Money{Amount: amount, Currency: p.Currency} }
	var amount int64
	if f.Typed != "" {
		typed, err := typedPrice(f.Typed, p.Currency)
		if err == nil {
			amount = typed
		} else if len(f.Errors) == 0 {
			f.Errors = views.FieldErrors{{Field: "amount", Text: "Enter an amount such as " + money(p.Paid).Decimal() + "."}}
		}
	}
	plan, err := a.Billing.PlanRefund(c.Request().Context(), p.AgencyID, p.ID, amount)
	switch {
	case problem.Is(err, "not_refundable"):
		f.Closed = problem.Of(err).Message
	case problem.Is(err, "invalid_amount"):
		if len(f.Errors) == 0 {
			f.Errors = views.FieldErrors{{Field: "amount", Text: problem.Of(err).Message}}
		}
	case err != nil:
		return err
	}
	if err == nil && len(f.Errors) == 0 {
		f.Amount, f.Revoked, f.Unspent, f.Spent, f.Before, f.After = money(plan.Amount), plan.Revoked, plan.Unspent, plan.Spent, plan.Before, plan.After
		f.Typed = cmp.Or(f.Typed, f.Amount.Decimal())
	}
	f.What, f.Whose, f.Sale, f.Paid, f.Given, f.Left = p.Title, r.whose, r.sale, money(p.Paid), money(p.Gone()), money(plan.Left)
	for i := range plan.Asked {
		f.Earlier = append(f.Earlier, refundLine(&plan.Asked[i], p.Currency))
	}
	f.Back, f.BackName, f.Action, f.Attempt = r.back, r.backName, r.action, cmp.Or(f.Attempt, billing.NewSecret())
	if r.sale {
		f.Frame, err = a.frame(c, "Refund a sale", r.current, nil)
	} else {
		f.Frame, err = a.adminFrame(c, "Refund a purchase", r.current)
	}
	if err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.RefundPage(f))
}

func refundLine(r *models.RefundRequest, currency string) views.RefundLine {
	return views.RefundLine{
		At: r.CreatedAt, Amount: models.Money{Amount: r.Amount, Currency: currency}, State: r.State, Note: r.Note,
		By: views.AuditActor(r.RequestedBy), Reason: r.Reason,
	}
}

// refund gives money back, once per attempt.
func (a *app) refund(find refundFinder) echo.HandlerFunc {
	return func(c echo.Context) error {
		p, r, err := find(c)
		if err != nil {
			return err
		}
		f := views.Refund{Typed: strings.TrimSpace(c.FormValue("amount")), Reason: c.FormValue("reason"), Attempt: c.FormValue("attempt")}
		if c.FormValue("preview") != "" {
			return seeOther(c, r.action+"?"+url.Values{"amount": {f.Typed}, "reason": {f.Reason}}.Encode())
		}
		amount, err := typedPrice(f.Typed, p.Currency)
		if err != nil || amount <= 0 {
			f.Errors = views.FieldErrors{{Field: "amount", Text: "Enter an amount above 0, such as " + models.Money{Amount: p.Paid, Currency: p.Currency}.Decimal() + "."}}
			return a.showRefund(c, http.StatusUnprocessableEntity, &p, r, f)
		}
		row, err := a.Billing.Refund(c.Request().Context(), billing.RefundInput{
			Agency: p.AgencyID, Purchase: p.ID, Sale: r.sale, Amount: amount, Reason: f.Reason,
			Key: "web:" + cmp.Or(f.Attempt, billing.NewSecret()), By: visitOf(c).viewer.Actor(),
		})
		switch {
		case problem.Is(err, "payment_unavailable") && row.State == models.RefundAsked:
			return a.refunded(c, r, views.Flash{Tone: views.ToneWarn, Text: problem.Of(err).Message})
		case problem.Is(err, "idempotency_key_reused"):
			f.Attempt = ""
			f.Errors = views.FieldErrors{{Field: "amount", Text: "This form was used already, for another amount or reason. To refund once more, send it again."}}
		case problem.Is(err, "refund_refused"), problem.Is(err, "not_refundable"), problem.Is(err, "payment_unavailable"):
			f.Attempt = ""
			f.Errors = views.FieldErrors{{Field: "amount", Text: problem.Of(err).Message}}
		case err != nil:
			var ok bool
			if f.Errors, ok = wrongFields(err, "amount", "reason"); !ok {
				return err
			}
		default:
			money := models.Money{Amount: row.Amount, Currency: p.Currency}
			return a.refunded(c, r, views.Flash{Tone: views.ToneOK, Text: format.Money(money) + " goes back to " + r.whose + "."})
		}
		return a.showRefund(c, statusOf(err), &p, r, f)
	}
}

func (a *app) refunded(c echo.Context, r refunding, flash views.Flash) error {
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, r.back)
}
