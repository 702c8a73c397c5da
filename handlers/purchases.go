package handlers

import (
	"cmp"
	"context"
	"encoding/csv"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// purchasesPage is how many purchases are listed at once.
const purchasesPage = 50

func (a *app) purchases(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	out := views.Purchases{CSV: "/purchases.csv"}
	if mayBuy(v) {
		out.BuyHref = "/buy"
	}
	q := billing.PurchaseQuery{Agency: account.Agency.ID, Wallet: account.Wallet, Limit: purchasesPage + 1}
	query := ""
	out.Filters, q.Only = purchaseFilters(c.QueryParam("status"))
	if q.Only != "" {
		query = "status=" + string(q.Only)
		out.CSV += "?" + query
	}
	var err error
	if ref := c.QueryParam("before"); ref != "" {
		if q.Before, err = models.ParseID[models.PurchaseID](ref); err != nil {
			return problem.Missing("page")
		}
		out.Pager.Newer = "/purchases?" + query
	}
	rows, err := a.Billing.Purchases(ctx, q)
	var onSale []models.Pack
	if err == nil && account.SubAccount == nil && mayBuy(v) {
		if onSale, err = a.Billing.PacksFor(ctx, account.Agency.ID); err == nil {
			err = a.soldNow(ctx, rows)
		}
	}
	if err != nil {
		out.Failure = a.failure(c, "Purchases", "Your balance is not affected.", err)
	} else if len(rows) > purchasesPage {
		rows = rows[:purchasesPage]
		out.Pager.Older = "/purchases?" + strings.TrimPrefix(query+"&before="+rows[purchasesPage-1].ID.String(), "&")
	}
	for i := range rows {
		out.Rows = append(out.Rows, purchaseRow(&rows[i], onSale))
	}
	if account.SubAccount == nil && out.Pager.Newer == "" && q.Only == "" {
		if out.Plan, err = a.planPayments(ctx, account); err != nil {
			a.sectionFailed(c, "plan payments", err)
		}
	}
	if out.Frame, err = a.frame(c, "Purchases", "purchases", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PurchasesPage(out))
}

// purchaseFilters are the states to narrow the list to, and which of them is asked
// for.
func purchaseFilters(asked string) (links []views.Tab, only billing.PurchaseFilter) {
	for _, f := range []struct {
		only  billing.PurchaseFilter
		label string
	}{
		{"", "All"}, {billing.OnlyPaid, "Paid"}, {billing.OnlyPending, "Pending"}, {billing.OnlyRefunded, "Refunded"}, {billing.OnlyDisputed, "Disputed"}, {billing.OnlyFailed, "Failed"},
	} {
		link := views.Tab{Label: f.label, Href: "/purchases"}
		if f.only != "" {
			link.Href += "?status=" + string(f.only)
		}
		if string(f.only) == asked {
			only, link.Current = f.only, true
		}
		links = append(links, link)
	}
	return links, only
}

// planPayments are what an agency paid for its plan.
func (a *app) planPayments(ctx context.Context, account *billing.Account) ([]views.PlanPaymentRow, error) {
	rows, err := a.Billing.OwnPlanPayments(ctx, account.Agency.ID, 12)
	out := make([]views.PlanPaymentRow, len(rows))
	for i := range rows {
		p := &rows[i]
		out[i] = views.PlanPaymentRow{At: p.PaidAt, Invoice: p.Invoice, Amount: models.Money{Amount: p.Amount, Currency: p.Currency}, Status: views.PurchasePaid}
		out[i].Hosted = safeLink(p.HostedURL)
		switch {
		case p.DisputeHeld > 0 || p.DisputeLost > 0:
			out[i].Status = views.PurchaseDisputed
		case p.Refunded >= p.Amount && p.Amount > 0:
			out[i].Status = views.PurchaseRefunded
		case p.Refunded > 0:
			out[i].Status = views.PurchasePartly
		}
	}
	return out, err
}

// soldNow turns the packs of purchases into the versions on sale, to buy again.
func (a *app) soldNow(ctx context.Context, rows []models.Purchase) error {
	ids := make([]models.PackID, 0, len(rows))
	for i := range rows {
		if !rows[i].PackID.IsZero() {
			ids = append(ids, rows[i].PackID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	sold, err := a.Billing.SoldAs(ctx, ids)
	for i := range rows {
		if now, ok := sold[rows[i].PackID]; ok {
			rows[i].PackID = now
		}
	}
	return err
}

func purchaseRow(p *models.Purchase, onSale []models.Pack) views.PurchaseRow {
	row := views.PurchaseRow{
		At: p.CreatedAt, Name: p.Title, Credits: p.Credits, Bonus: p.Bonus, Amount: models.Money{Amount: cmp.Or(p.Paid, p.Price), Currency: p.Currency}, Tax: models.Money{Amount: p.Tax, Currency: p.Currency}, Status: purchaseStatus(p), Back: moneyBack(p, false), Receipt: receiptPath(p),
	}
	if row.Receipt != "" {
		row.PDF = row.Receipt + ".pdf"
	}
	if !p.ActID.IsZero() {
		row.Line = "/history/" + p.ActID.String()
	}
	if p.IsSale() && p.Status == models.PurchaseCredited {
		row.BuyAgain = "/buy?pack=" + p.PackageID.String()
	}
	for _, pack := range onSale {
		if pack.ID == p.PackID {
			row.BuyAgain = "/buy?pack=" + pack.Code
			if pack.Kind == models.PackQuantity {
				row.BuyAgain += "&quantity=" + p.Credits.String()
			}
		}
	}
	return row
}

func purchaseStatus(p *models.Purchase) views.PurchaseStatus {
	switch p.Status {
	case models.PurchaseCredited:
		if p.Refunded > 0 {
			return views.PurchasePartly
		}
		return views.PurchasePaid
	case models.PurchaseOpen, models.PurchaseProcessing, models.PurchaseReview:
		return views.PurchasePending
	case models.PurchaseFailed:
		return views.PurchaseFailed
	case models.PurchaseExpired:
		return views.PurchaseExpired
	case models.PurchaseCancelled:
		return views.PurchaseCancelled
	case models.PurchaseRefunded:
		return views.PurchaseRefunded
	case models.PurchaseDisputed:
		return views.PurchaseDisputed
	}
	return views.PurchasePending
}

func (a *app) purchasesCSV(c echo.Context) error {
	ctx, account := c.Request().Context(), visitOf(c).viewer.Account()
	return a.download(c, "purchases", 0, 0, func(w io.Writer) error {
		out := csv.NewWriter(w)
		out.UseCRLF = true
		if err := out.Write([]string{
			"time_local", "time_utc", "purchase", "name", "credits", "amount", "currency", "status", "receipt_number", "payment", "refunded", "credits_revoked",
			"paid", "tax", "method",
		}); err != nil {
			return err
		}
		q := billing.PurchaseQuery{Agency: account.Agency.ID, Wallet: account.Wallet, Limit: 1000}
		_, q.Only = purchaseFilters(c.QueryParam("status"))
		for {
			rows, err := a.Billing.Purchases(ctx, q)
			if err != nil {
				return err
			}
			for i := range rows {
				if err := out.Write(purchaseCells(&rows[i], account.Zone)); err != nil {
					return err
				}
			}
			if out.Flush(); out.Error() != nil || len(rows) < q.Limit {
				return out.Error()
			}
			q.Before = rows[len(rows)-1].ID
		}
	})
}

func purchaseCells(p *models.Purchase, zone *time.Location) []string {
	number := ""
	if p.ReceiptNumber > 0 {
		number = strconv.FormatInt(p.ReceiptNumber, 10)
	}
	return []string{
		p.CreatedAt.In(zone).Format(time.RFC3339), p.CreatedAt.Go().Format(time.RFC3339), p.ID.String(), text(p.Title), p.Credits.String(),
		p.Total().Decimal(), p.Currency, string(p.Status), number, text(p.PaymentIntent),
		models.Money{Amount: p.Refunded, Currency: p.Currency}.Decimal(), p.Revoked.String(),
		models.Money{Amount: p.Paid, Currency: p.Currency}.Decimal(), models.Money{Amount: p.Tax, Currency: p.Currency}.Decimal(), text(p.Method),
	}
}

// buyerMail is the address of the person who bought, "" where a program did.
func buyerMail(p *models.Purchase) string {
	mail, ok := strings.CutPrefix(p.BoughtBy, "user:")
	if !ok {
		return ""
	}
	return mail
}
