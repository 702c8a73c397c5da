package handlers

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// transfer is an assignment, or one taken back, as it was typed.
type transfer struct {
	back                 bool
	typed, note, attempt string
	errors               views.FieldErrors
}

func (t *transfer) path(sub models.SubAccountID) string {
	if t.back {
		return subAccountPath(sub) + "/take-back"
	}
	return subAccountPath(sub) + "/assign"
}

func (a *app) assignForm(c echo.Context) error { return a.transferForm(c, false) }

func (a *app) takeBackForm(c echo.Context) error { return a.transferForm(c, true) }

func (a *app) transferForm(c echo.Context, back bool) error {
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	return a.showTransfer(c, http.StatusOK, &sub, transfer{back: back, typed: c.QueryParam("credits"), note: c.QueryParam("note")})
}

// showTransfer shows the form with what an amount would do to both sides.
func (a *app) showTransfer(c echo.Context, code int, sub *billing.SubAccountRow, t transfer) error { //nolint:gocritic // a form is sent once per page
	v := visitOf(c)
	var amount models.Credits
	if t.typed != "" {
		typed, err := typedCredits(t.typed)
		if err == nil && typed > 0 && typed <= models.MaxCharge {
			amount = typed
		} else if len(t.errors) == 0 {
			t.errors = views.FieldErrors{{Field: "credits", Text: amountText(err)}}
		}
	}
	plan, err := a.Billing.PlanTransfer(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, sub.ID, amount, t.back)
	if err != nil {
		return err
	}
	out := views.Assign{
		Back: t.back, Action: t.path(sub.ID), Account: subAccountPath(sub.ID), Name: sub.Name, Attempt: cmp.Or(t.attempt, billing.NewSecret()),
		Typed: t.typed, Note: t.note, Most: plan.Most, Held: plan.Held, Short: amount > plan.Most, Errors: t.errors,
		Agency: side("You", plan.Agency), Client: side(sub.Name, plan.Client),
	}
	if !out.Short {
		out.Amount = amount
		expiring(&out, &plan)
	} else if len(out.Errors) == 0 {
		out.Errors = views.FieldErrors{{Field: "credits", Text: out.Limit()}}
	}
	if out.Short && !t.back {
		out.Buy = "/buy"
	}
	if plan.Funding == models.Pooled && !t.back {
		out.Closed = sub.Name + " draws on your credits. Credits of its own would lie still; to assign some, change how it gets credits first."
		out.Edit = &views.Link{Label: "Change how it gets credits", Href: out.Account + "/edit"}
	} else if t.back && plan.Most == 0 {
		out.Closed = "There is nothing to take back: " + sub.Name + " has no unspent assigned credits."
		out.Edit = &views.Link{Label: "Back to " + sub.Name, Href: out.Account}
	}
	title := "Assign credits to " + sub.Name
	if t.back {
		title = "Take back credits from " + sub.Name
	}
	if out.Frame, err = a.frame(c, title, "sub-accounts", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.AssignPage(out))
}

func side(name string, s billing.TransferSide) views.Side {
	return views.Side{Name: name, Now: s.Now, After: s.After, Lasts: forecastOf(&s.Lasts)}
}

// expiring tells which of the credits that move are lost some day.
func expiring(out *views.Assign, plan *billing.TransferPlan) {
	for _, p := range plan.Parts {
		out.Plan = out.Plan || p.Bucket == models.BucketPlan
		out.Purchased = out.Purchased || p.Bucket == models.BucketPurchased
		if p.ExpiresAt != models.Never {
			out.Expiring = append(out.Expiring, views.Expiring{Credits: p.Credits, At: p.ExpiresAt, Plan: p.Bucket == models.BucketPlan})
		}
	}
	slices.SortStableFunc(out.Expiring, func(x, y views.Expiring) int { return cmp.Compare(x.At, y.At) })
}

func (a *app) assign(c echo.Context) error { return a.move(c, false) }

func (a *app) takeBack(c echo.Context) error { return a.move(c, true) }

// move books what the form asks for, once per attempt.
func (a *app) move(c echo.Context, back bool) error {
	v, ctx := visitOf(c), c.Request().Context()
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	t := transfer{back: back, typed: cmp.Or(c.FormValue("up_to"), c.FormValue("credits")), note: c.FormValue("note"), attempt: c.FormValue("attempt")}
	if c.FormValue("fragment") != "" { // asked in place, while an amount is typed
		return a.showTransfer(c, http.StatusOK, &sub, t)
	}
	if c.FormValue("preview") != "" {
		return seeOther(c, t.path(sub.ID)+"?"+url.Values{"credits": {t.typed}, "note": {t.note}}.Encode())
	}
	amount, err := typedCredits(t.typed)
	if err != nil || amount <= 0 {
		t.errors = views.FieldErrors{{Field: "credits", Text: amountText(err)}}
		return a.showTransfer(c, http.StatusUnprocessableEntity, &sub, t)
	}
	if !back && sub.Funding == models.Pooled {
		return a.showTransfer(c, http.StatusConflict, &sub, t)
	}
	in := billing.TransferInput{
		Agency: v.viewer.Agency.ID, SubAccount: sub.ID, Credits: amount, Note: t.note, Key: "web:" + cmp.Or(t.attempt, billing.NewSecret()), By: v.viewer.Actor(),
	}
	if err := a.transferred(ctx, v, in, back); err != nil {
		return a.notMoved(c, &sub, t, err)
	}
	flash := views.Flash{Tone: views.ToneOK, Text: format.CreditsWord(amount) + " assigned to " + sub.Name + "."}
	if back {
		flash.Text = format.CreditsWord(amount) + " taken back from " + sub.Name + "."
	} else {
		again := transfer{back: true}
		flash.Link = &views.Link{Label: "Take back", Href: again.path(sub.ID) + "?" + url.Values{"credits": {format.Typed(amount)}}.Encode()}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, subAccountPath(sub.ID))
}

func (a *app) transferred(ctx context.Context, v *visit, in billing.TransferInput, back bool) error { //nolint:gocritic // once per form
	var err error
	if back {
		_, err = a.Billing.TakeBack(ctx, v.viewer.Scope(), in)
	} else {
		_, err = a.Billing.Assign(ctx, v.viewer.Scope(), in)
	}
	return err
}

// notMoved shows the form again with what was wrong, and what was typed.
func (a *app) notMoved(c echo.Context, sub *billing.SubAccountRow, t transfer, err error) error { //nolint:gocritic // as above
	p := problem.Of(err)
	switch {
	case p == nil:
		return err
	case p.Code == "insufficient_credits", p.Code == "pooled_account": // the form says so
	case p.Code == "idempotency_key_reused":
		t.attempt = ""
		t.errors = views.FieldErrors{{Field: "credits", Text: "This form was used already, for another amount or note. To move these too, send it once more."}}
	case p.Field == "credits", p.Field == "note":
		t.errors = views.FieldErrors{{Field: p.Field, Text: p.Message}}
	default:
		return err
	}
	return a.showTransfer(c, statusOf(err), sub, t)
}
