package handlers

import (
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// payments is every payment with where it stands: first those that were paid and
// are not booked.
func (a *app) payments(c echo.Context) error {
	ctx := c.Request().Context()
	zone, err := a.Billing.PlatformZone(ctx)
	if err != nil {
		return err
	}
	q, day, err := paymentQuery(c, zone)
	if err != nil {
		return err
	}
	out := views.Payments{CSV: "/admin/payments.csv"}
	if day != "" {
		out.ListOf, out.CSV = format.LongDate(q.From, zone), "/admin/payments.csv?day="+day
	}
	rows, strays, next, err := a.Billing.Payments(ctx, q)
	if err != nil {
		if problem.Of(err) != nil {
			return err
		}
		out.Failure = a.failure(c, "The payments", "", err)
	}
	for i := range rows {
		out.List = append(out.List, paymentRow(&rows[i]))
	}
	if q.Cursor == "" {
		plans, err := a.Billing.PlanPayments(ctx, q)
		if err != nil {
			out.Failure = a.failure(c, "The payments", "", err)
		}
		for i := range plans {
			out.Plans = append(out.Plans, planPaidRow(&plans[i]))
		}
	}
	link := func(cursor string) string {
		v := url.Values{}
		if day != "" {
			v.Set("day", day)
		}
		if cursor != "" {
			v.Set("after", cursor)
		}
		if len(v) == 0 {
			return "/admin/payments"
		}
		return "/admin/payments?" + v.Encode()
	}
	if next != "" {
		out.Pager.Older = link(next)
	}
	if q.Cursor != "" {
		out.Pager.Newer = link("")
	}
	if day == "" {
		desk, err := a.Billing.PaymentsDesk(ctx, zone)
		if err != nil {
			out.Failure = a.failure(c, "The payments", "", err)
		}
		paymentsDesk(&out, &desk, zone)
	} else {
		out.Strays = strayRows(strays)
	}
	if out.Frame, err = a.adminFrame(c, "Payments", "payments"); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PaymentsPage(out))
}

// paymentQuery reads which payments are asked for: those of a day, or all.
func paymentQuery(c echo.Context, zone *time.Location) (billing.PaymentQuery, string, error) {
	q := billing.PaymentQuery{Cursor: c.QueryParam("after")}
	day := c.QueryParam("day")
	if day == "" {
		return q, "", nil
	}
	at, err := time.ParseInLocation(time.DateOnly, day, zone)
	if err != nil {
		return q, "", problem.Missing("day")
	}
	q.From, q.Until = models.At(at), models.At(time.Date(at.Year(), at.Month(), at.Day()+1, 0, 0, 0, 0, zone))
	return q, day, nil
}

func paymentsDesk(out *views.Payments, d *billing.PaymentsDesk, zone *time.Location) {
	for i := range d.Unbooked {
		out.Unbooked = append(out.Unbooked, paymentRow(&d.Unbooked[i]))
	}
	out.Strays = strayRows(d.Strays)
	for i := range d.Trouble {
		out.Trouble = append(out.Trouble, paymentRow(&d.Trouble[i]))
	}
	for i := range d.Plans {
		p := &d.Plans[i]
		money := func(amount int64) models.Money { return models.Money{Amount: amount, Currency: p.Currency} }
		row := planPaidRow(p)
		row.Back = &views.MoneyBack{
			Paid: money(p.Amount), Refunded: money(p.Refunded), Pending: money(p.RefundPending), Dispute: p.Dispute, Held: money(p.DisputeHeld),
			Lost: money(p.DisputeLost), AnswerBy: p.DisputeAnswerBy, Warned: p.WarnedAt > 0, AsSeller: true,
		}
		out.AtStake = append(out.AtStake, row)
	}
	for i := range d.Asked {
		out.Asked = append(out.Asked, refundLine(&d.Asked[i].RefundRequest, d.Asked[i].Currency))
	}
	for i := range d.Dead {
		e := &d.Dead[i]
		out.Dead = append(out.Dead, views.DeadEvent{
			Type: e.Type, ID: e.EventID, Note: e.Note, Attempts: e.Attempts, At: e.ReceivedAt,
			Action: "/admin/payments/events/" + e.Endpoint + "/" + url.PathEscape(e.EventID),
		})
	}
	out.Waiting = d.Waiting
	for i := range d.Days {
		t := &d.Days[i]
		money := func(amount int64) models.Money { return models.Money{Amount: amount, Currency: t.Currency} }
		out.Days = append(out.Days, views.PaymentDay{
			Day: t.Day, Href: "/admin/payments?day=" + t.Day.In(zone).Format(time.DateOnly), Payments: t.Payments, Booked: t.Booked,
			Stripe: money(t.StripePaid - t.StripeRefunded), Ledger: money(t.Paid - t.Refunded), Differs: money(t.Difference()),
		})
	}
	if r := d.Last; r != nil {
		out.Last = &views.Comparison{At: r.StartedAt, Running: d.Running, Accounts: r.Accounts, Payments: r.Payments, Settled: r.Settled, Events: r.Events, Note: r.Note}
	}
}

func paymentRow(p *billing.Payment) views.PaymentRow {
	row := views.PaymentRow{
		Agency: p.Agency, Href: agencyPath(p.AgencyID), Client: p.Client, What: p.Title, Credits: p.Credits, Amount: p.Total(),
		Status: purchaseStatus(&p.Purchase), Note: p.StatusNote, Back: moneyBack(&p.Purchase, true), Opened: p.CreatedAt, PaidAt: p.PaidAt, BookedAt: p.CreditedAt,
		Differs: models.Money{Amount: p.Difference(), Currency: p.Currency},
	}
	path := "/admin/payments/" + p.AgencyID.String() + "/" + p.ID.String()
	if p.CreditedAt == 0 && p.Status != models.PurchaseCancelled {
		row.Retry = path + "/book"
	}
	if !p.IsSale() && p.PaidAt > 0 && p.Gone() < p.Paid && p.DisputeHeld == 0 {
		row.Refund = path + "/refund"
	}
	return row
}

func planPaidRow(p *billing.PlanPaid) views.PlanPaidRow {
	money := func(amount int64) models.Money { return models.Money{Amount: amount, Currency: p.Currency} }
	return views.PlanPaidRow{
		Agency: p.Agency, Href: agencyPath(p.AgencyID), Invoice: p.Invoice, At: p.PaidAt, Amount: money(p.Amount), Refunded: money(p.Refunded),
		Dispute: p.Dispute, Differs: money(p.Difference()),
	}
}

func strayRows(rows []models.SeenPayment) []views.StrayRow {
	out := make([]views.StrayRow, 0, len(rows))
	for i := range rows {
		p := &rows[i]
		out = append(out, views.StrayRow{
			Payment: p.Payment, Account: p.Account, Reference: p.Reference, At: p.PaidAt,
			Amount: models.Money{Amount: p.Amount, Currency: p.Currency}, Refunded: models.Money{Amount: p.Refunded, Currency: p.Currency},
		})
	}
	return out
}

func (a *app) paymentsCSV(c echo.Context) error {
	ctx := c.Request().Context()
	zone, err := a.Billing.PlatformZone(ctx)
	if err != nil {
		return err
	}
	q, _, err := paymentQuery(c, zone)
	if err != nil {
		return err
	}
	q.Cursor = ""
	return a.download(c, "payments", q.From, q.Until, a.Billing.PaymentsCSV(ctx, q, zone))
}

// retryBooking asks Stripe about one purchase again.
func (a *app) retryBooking(c echo.Context) error {
	agency, err := models.ParseID[models.AgencyID](c.Param("agency"))
	id, err2 := models.ParseID[models.PurchaseID](c.Param("id"))
	if err != nil || err2 != nil {
		return problem.Missing("purchase")
	}
	p, err := a.Billing.RetryBooking(c.Request().Context(), agency, id, visitOf(c).viewer.Actor())
	flash := views.Flash{Tone: views.ToneWarn, Text: p.Title + " is not booked: " + p.StatusNote}
	switch {
	case problem.Is(err, "payment_unavailable"):
		flash.Text = "Stripe does not answer right now. Nothing was changed."
	case err != nil:
		return err
	case p.CreditedAt > 0:
		flash = views.Flash{Tone: views.ToneOK, Text: p.Title + " is booked: " + format.CreditsWord(p.Credits) + "."}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, "/admin/payments")
}

// replayEvent takes a payment message in again that was given up.
func (a *app) replayEvent(c echo.Context) error {
	e, err := a.Billing.ReplayEvent(c.Request().Context(), c.Param("endpoint"), c.Param("event"), visitOf(c).viewer.Actor())
	if err != nil {
		return err
	}
	flash := views.Flash{Tone: views.ToneOK, Text: e.Type + " was taken in."}
	if e.State == models.EventDead || e.State == models.EventPending {
		flash = views.Flash{Tone: views.ToneWarn, Text: e.Type + " still fails: " + e.Note + "."}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, "/admin/payments")
}

// comparePayments reads Stripe's lists now.
func (a *app) comparePayments(c echo.Context) error {
	run, err := a.Billing.ReconcileNow(c.Request().Context(), visitOf(c).viewer.Actor())
	flash := views.Flash{Tone: views.ToneOK, Text: format.Plural(run.Payments, "payment", "payments") + " compared, " + format.Count(run.Settled) + " of them newly booked."}
	if err != nil {
		flash = views.Flash{Tone: views.ToneWarn, Text: "Stripe's lists could not be read to the end. Try again in a few minutes."}
		if problem.Is(err, "reconciling") {
			flash.Text = problem.Of(err).Message
		}
		a.sectionFailed(c, "reconcile", err)
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, "/admin/payments")
}
