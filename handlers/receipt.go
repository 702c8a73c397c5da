package handlers

import (
	"cmp"
	"fmt"
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

// ownReceipt is the receipt that an address names, when it is the viewer's.
func (a *app) ownReceipt(c echo.Context) (views.Receipt, models.Purchase, error) {
	id, err := models.ParseID[models.PurchaseID](c.Param("id"))
	if err != nil {
		return views.Receipt{}, models.Purchase{}, problem.Missing("receipt")
	}
	p, err := a.ownPurchase(c, id.String())
	if err != nil {
		return views.Receipt{}, p, err
	}
	if p.ReceiptNumber == 0 {
		return views.Receipt{}, p, problem.Missing("receipt")
	}
	account := visitOf(c).viewer.Account()
	money := func(amount int64) models.Money { return models.Money{Amount: amount, Currency: p.Currency} }
	total := cmp.Or(p.Paid, p.Price)
	out := views.Receipt{
		Number: receiptNumber(&p, &account.Agency), Seller: p.SellerDetails, Buyer: p.BuyerDetails, BuyerMail: buyerMail(&p), At: p.PaidAt,
		Status: purchaseStatus(&p), MoneyBack: moneyBack(&p, false), Name: p.Title, Credits: p.Credits, Bonus: p.Bonus, Net: money(total - p.Tax), Tax: money(p.Tax), Total: money(total),
		Refunded: money(p.Refunded), Excess: settledBy(&p), Before: p.BalanceBefore, After: p.BalanceAfter, Payment: p.PaymentIntent, Method: paidBy(&p), Until: p.TermEnd,
		Hosted: hosted(&p), PDF: receiptPath(&p) + ".pdf", Back: "/purchases",
	}
	if out.Seller.Name == "" {
		if out.Seller.Name = a.Name; p.IsSale() {
			out.Seller.Name = account.Agency.Name
		}
	}
	out.Buyer.Name = cmp.Or(out.Buyer.Name, account.Name())
	if out.Notes, err = a.creditNoteLinks(c, &p); err != nil {
		return out, p, err
	}
	if a.Demo != nil {
		out.Notice = a.Demo.Receipt
	}
	return out, p, nil
}

// receiptNumber counts a seller's receipts without a gap: an agency's own, and the
// platform's in a series of each agency.
func receiptNumber(p *models.Purchase, agency *models.Agency) string {
	number := strconv.FormatInt(p.ReceiptNumber, 10)
	if p.IsSale() {
		return number
	}
	return strings.ToUpper(agency.ExternalID) + "-" + number
}

// paidBy is how a purchase was paid, in words.
func paidBy(p *models.Purchase) string {
	switch {
	case p.CardLast4 != "":
		return "Paid by card ending in " + p.CardLast4
	case p.Method != "":
		words := strings.ReplaceAll(p.Method, "_", " ")
		return "Paid by " + words
	}
	return ""
}

// hosted is the payment provider's own invoice or receipt, "" where it made none.
func hosted(p *models.Purchase) string {
	return safeLink(cmp.Or(p.InvoiceURL, p.ReceiptURL))
}

// safeLink lets addresses of the payment provider through, and of its simulator.
func safeLink(link string) string {
	if strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://127.0.0.1") || strings.HasPrefix(link, "http://localhost") {
		return link
	}
	return ""
}

func (a *app) receipt(c echo.Context) error {
	out, _, err := a.ownReceipt(c)
	if err != nil {
		return err
	}
	if out.Frame, err = a.frame(c, "Receipt", "purchases", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.ReceiptPage(out))
}

// receiptPDF is the receipt on paper.
func (a *app) receiptPDF(c echo.Context) error {
	r, p, err := a.ownReceipt(c)
	if err != nil {
		return err
	}
	zone := visitOf(c).viewer.Account().Zone
	f := views.Frame{Zone: zone, Now: a.Billing.Now()}
	d := receipt.Document{
		Title: "Receipt", Number: r.Number, Date: format.LongDate(r.At, zone), At: r.At, Seller: r.Seller, Buyer: r.Buyer, Mail: r.BuyerMail,
		Lines: []receipt.Line{{What: r.Name, Small: r.Each(), Credits: format.Credits(r.Credits), Amount: format.Money(r.Net)}},
		Sums:  []receipt.Line{{What: "Total", Amount: format.Money(r.Total)}},
	}
	if r.Bonus > 0 {
		d.Lines = append(d.Lines, receipt.Line{What: "Bonus credits", Credits: format.Credits(r.Bonus), Amount: format.Money(models.Money{Currency: p.Currency})})
	}
	if r.Tax.Amount != 0 {
		d.Sums = append([]receipt.Line{{What: "Net", Amount: format.Money(r.Net)}, {What: "Tax", Amount: format.Money(r.Tax)}}, d.Sums...)
	}
	if r.Refunded.Amount != 0 {
		back := r.Refunded
		back.Amount = -back.Amount
		kept := r.Total
		kept.Amount += back.Amount
		d.Sums = append(d.Sums, receipt.Line{What: "Refunded", Amount: format.Money(back)}, receipt.Line{What: "Kept", Amount: format.Money(kept)})
	}
	for _, n := range append([]string{r.Method, r.Lasts(f)}, r.MoneyBack.Words(f)...) {
		if n != "" {
			d.Notes = append(d.Notes, strings.TrimSuffix(n, ".")+".")
		}
	}
	if r.Payment != "" {
		d.Notes = append(d.Notes, "Payment reference "+r.Payment)
	}
	if r.Notice != "" {
		d.Notes = append(d.Notes, r.Notice)
	}
	b, err := receipt.PDF(&d)
	if err != nil {
		return err
	}
	return sendPDF(c, receipt.FileName("receipt", r.Number, p.PaidAt.In(zone)), b)
}

// sendPDF answers with a document that browsers save under a name.
func sendPDF(c echo.Context, name string, b []byte) error {
	c.Response().Header().Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="%s"`, name))
	return c.Blob(http.StatusOK, "application/pdf", b)
}
