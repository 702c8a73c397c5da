package handlers

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
	"refill/views/receipt"
)

// statementAsked is whose statement an address asks for, and of which month.
type statementAsked struct {
	billing.Statement

	path string // of the page, without its month
	back *views.Link
}

// asked reads the statement of the signed-in account, or of the client that the
// address names. Without a month it is the running one.
func (a *app) asked(c echo.Context) (statementAsked, error) {
	out := statementAsked{path: "/statement", back: &views.Link{Label: "History", Href: "/history"}}
	account := visitOf(c).viewer.Account()
	if c.Param("id") != "" {
		sub, err := a.client(c)
		if err != nil {
			return out, err
		}
		account = billing.AccountOfSub(visitOf(c).viewer.Agency, sub.SubAccount)
		out.path, out.back = subAccountPath(sub.ID)+"/statement", &views.Link{Label: sub.Name, Href: subAccountPath(sub.ID)}
	}
	month := a.Billing.Now()
	if text := c.QueryParam("month"); text != "" {
		t, err := time.ParseInLocation("2006-01", text, account.Zone)
		if err != nil {
			return out, problem.Missing("statement")
		}
		// The middle of the month: its first midnight may not exist in the zone.
		month = models.At(t.AddDate(0, 0, 14))
	}
	var err error
	out.Statement, err = a.Billing.Statement(c.Request().Context(), account, month)
	return out, err
}

// at is the address of a month's statement in a form: "", ".csv" or ".pdf".
func (s *statementAsked) at(form string, month models.Time) string {
	return s.path + form + "?month=" + month.In(s.Account.Zone).Format("2006-01")
}

func (a *app) statement(c echo.Context) error {
	s, err := a.asked(c)
	if err != nil {
		return err
	}
	out := a.statementView(&s)
	if s.Month.Start > s.First {
		out.Previous = s.at("", s.Month.Start-1)
	}
	if s.Complete {
		out.Next = s.at("", s.Month.End)
	}
	out.CSV, out.PDF, out.Back = s.at(".csv", s.Month.Start), s.at(".pdf", s.Month.Start), s.back
	if out.Frame, err = a.frame(c, "Statement", "history", nil); err != nil {
		return err
	}
	out.Frame.Zone = s.Account.Zone
	return page(c, http.StatusOK, views.StatementPage(out))
}

// statementView is a statement without a frame.
func (a *app) statementView(s *statementAsked) views.Statement {
	out := views.Statement{
		Whose: s.Account.Name(), Agency: s.Account.Agency.Name, From: s.Month.Start, To: s.Month.End, Complete: s.Complete, Opening: s.Opening, Closing: s.Closing,
	}
	for _, r := range s.Rows {
		row := views.StatementRow{Item: string(r.Item), Credits: r.Credits}
		if r.Item == billing.StatementUsed {
			for _, u := range s.Used {
				row.Parts = append(row.Parts, views.StatementPart{Action: u.Action, Model: u.Model, Count: u.Charges, Credits: u.Credits})
			}
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func (a *app) statementCSV(c echo.Context) error {
	s, err := a.asked(c)
	if err != nil {
		return err
	}
	return a.download(c, "statement", s.Month.Start, s.Month.End, s.StatementCSV())
}

// statementPDF is the month on paper, from who gives the account its credits.
func (a *app) statementPDF(c echo.Context) error {
	s, err := a.asked(c)
	if err != nil {
		return err
	}
	account, zone := s.Account, s.Account.Zone
	seller, holder := billing.Party{}, billing.Party{Agency: account.Agency.ID}
	name := a.Name
	if account.SubAccount != nil {
		seller, holder.SubAccount, name = holder, account.SubAccount.ID, account.Agency.Name
	}
	v := a.statementView(&s)
	v.Frame = views.Frame{Zone: zone, Now: s.Now}
	d := receipt.Statement{
		Month: v.Month(), Days: fmt.Sprintf("%s to %s (%s)", format.LongDate(v.From, zone), format.LongDate(v.To-1, zone), zone), At: min(v.To-1, s.Now),
		Opening: format.Credits(v.Opening), Closing: receipt.Line{What: v.ClosingLabel(), Credits: format.Credits(v.Closing)},
	}
	if d.Seller, err = a.Billing.BillingDetails(c.Request().Context(), seller); err != nil {
		return err
	}
	if d.Holder, err = a.Billing.BillingDetails(c.Request().Context(), holder); err != nil {
		return err
	}
	d.Seller.Name, d.Holder.Name = cmp.Or(d.Seller.Name, name), cmp.Or(d.Holder.Name, v.Whose)
	for _, r := range v.Rows {
		row := receipt.StatementRow{What: r.Label(v.Agency), Credits: format.SignedCredits(r.Credits)}
		for _, p := range r.Parts {
			row.Parts = append(row.Parts, receipt.Line{What: p.Label(), Credits: format.Credits(p.Credits)})
		}
		d.Rows = append(d.Rows, row)
	}
	d.Notes = append(d.Notes, v.Proof())
	if len(v.Rows) == 0 {
		d.Notes[0] = "Nothing moved in this month."
	}
	if !v.Complete {
		d.Notes = append(d.Notes, "The month is not over: this is what happened so far.")
	}
	b, err := receipt.StatementPDF(&d)
	if err != nil {
		return err
	}
	return sendPDF(c, fileWord(v.Whose)+"-statement-"+v.From.In(zone).Format("2006-01")+".pdf", b)
}
