package handlers

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
	"refill/views/receipt"
)

// creditNoteNumber tells a seller's credit notes from its receipts.
func creditNoteNumber(n *models.CreditNote, p *models.Purchase, agency *models.Agency) string {
	number := "CN-" + strconv.FormatInt(n.Number, 10)
	if p.IsSale() {
		return number
	}
	return strings.ToUpper(agency.ExternalID) + "-" + number
}

// ownCreditNote is the credit note that an address names, when it is the viewer's.
func (a *app) ownCreditNote(c echo.Context) (views.CreditNote, models.CreditNote, error) {
	var found models.CreditNote
	r, p, err := a.ownReceipt(c)
	if err != nil {
		return views.CreditNote{}, found, err
	}
	notes, err := a.Billing.CreditNotes(c.Request().Context(), p.AgencyID, p.ID)
	if err != nil {
		return views.CreditNote{}, found, err
	}
	for i := range notes {
		if strconv.FormatInt(notes[i].Number, 10) == c.Param("number") {
			found = notes[i]
		}
	}
	if found.Number == 0 {
		return views.CreditNote{}, found, problem.Missing("credit note")
	}
	money := func(amount int64) models.Money { return models.Money{Amount: amount, Currency: found.Currency} }
	out := views.CreditNote{
		Number: creditNoteNumber(&found, &p, &visitOf(c).viewer.Account().Agency), Seller: r.Seller, Buyer: r.Buyer, BuyerMail: r.BuyerMail, At: found.RefundedAt,
		Void: found.VoidedAt > 0, Name: p.Title, Net: money(found.Amount - found.Tax), Tax: money(found.Tax), Total: money(found.Amount),
		Receipt: views.Link{Label: r.Number, Href: receiptPath(&p)}, PDF: creditNotePath(&p, &found) + "/note.pdf",
	}
	return out, found, nil
}

func creditNotePath(p *models.Purchase, n *models.CreditNote) string {
	return "/purchases/" + p.ID.String() + "/credit-notes/" + strconv.FormatInt(n.Number, 10)
}

// creditNoteLinks lead from a receipt to what was given back of it.
func (a *app) creditNoteLinks(c echo.Context, p *models.Purchase) ([]views.Link, error) {
	if p.RefundedAt == 0 {
		return nil, nil
	}
	notes, err := a.Billing.CreditNotes(c.Request().Context(), p.AgencyID, p.ID)
	var out []views.Link
	for i := range notes {
		out = append(out, views.Link{
			Label: "Credit note " + creditNoteNumber(&notes[i], p, &visitOf(c).viewer.Account().Agency), Href: creditNotePath(p, &notes[i]),
		})
	}
	return out, err
}

// creditNote is the document of a refund.
func (a *app) creditNote(c echo.Context) error {
	out, _, err := a.ownCreditNote(c)
	if err != nil {
		return err
	}
	if out.Frame, err = a.frame(c, "Credit note", "purchases", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.CreditNotePage(out))
}

// creditNotePDF is a credit note on paper.
func (a *app) creditNotePDF(c echo.Context) error {
	n, row, err := a.ownCreditNote(c)
	if err != nil {
		return err
	}
	zone := visitOf(c).viewer.Account().Zone
	d := receipt.Document{
		Title: "Credit note", Number: n.Number, Date: format.LongDate(n.At, zone), At: n.At, Seller: n.Seller, Buyer: n.Buyer, Mail: n.BuyerMail,
		Lines: []receipt.Line{{What: "Refund of " + n.Name, Small: "Receipt " + n.Receipt.Label, Amount: format.Money(n.Net)}},
		Sums:  []receipt.Line{{What: "Given back", Amount: format.Money(n.Total)}},
		Notes: n.Words(),
	}
	if n.Tax.Amount != 0 {
		d.Sums = append([]receipt.Line{{What: "Net", Amount: format.Money(n.Net)}, {What: "Tax", Amount: format.Money(n.Tax)}}, d.Sums...)
	}
	if a.Demo != nil {
		d.Notes = append(d.Notes, a.Demo.Receipt)
	}
	b, err := receipt.PDF(&d)
	if err != nil {
		return err
	}
	return sendPDF(c, receipt.FileName("credit-note", n.Number, row.RefundedAt.In(zone)), b)
}
