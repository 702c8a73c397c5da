package handlers

import (
	"cmp"
	"context"
	"encoding/csv"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// salesPage is how many sales are listed at once.
const salesPage = 50

func salesPeriods() []views.Option {
	return []views.Option{
		{Value: string(billing.ThisCycle), Label: "This cycle"},
		{Value: string(billing.PreviousCycle), Label: "Previous cycle"},
		{Value: string(billing.Last30Days), Label: "30 days"},
		{Value: string(billing.Last90Days), Label: "90 days"},
	}
}

func (a *app) sales(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	out := views.Sales{Periods: salesPeriods(), Filter: views.SalesFilter{Period: string(billing.ThisCycle)}}
	for _, o := range out.Periods {
		if o.Value == c.QueryParam("p") {
			out.Filter.Period, out.Span = o.Value, o.Label
		}
	}
	out.Span = cmp.Or(out.Span, out.Periods[0].Label)
	out.Filter.Order(c.QueryParams())
	q := billing.SalesQuery{Agency: account.Agency.ID, Limit: salesPage + 1}
	if err := a.salesTo(c, &q, &out); err != nil {
		return err
	}
	out.CSV = out.Filter.Href("/sales.csv")
	if ref := c.QueryParam("before"); ref != "" {
		var err error
		if q.Before, err = models.ParseID[models.PurchaseID](ref); err != nil {
			return problem.Missing("page")
		}
		out.Pager.Newer = out.Filter.Href("/sales")
	}
	within, err := a.Billing.UsagePeriod(ctx, account, billing.PeriodName(out.Filter.Period), "", "")
	var rows []billing.Sale
	if err == nil {
		q.Span = within.Span
		rows, err = a.Billing.Sales(ctx, q)
	}
	if err == nil {
		err = a.salesSums(c, account, q.Span, &out)
	}
	if err == nil {
		out.Monthly, err = a.soldMonthlies(c, account.Agency.ID)
	}
	if err != nil {
		out.Failure = a.failure(c, "Sales", "Your balance is not affected.", err)
	}
	if len(rows) > salesPage {
		rows = rows[:salesPage]
		out.Pager.Older = out.Filter.Href("/sales") + "&before=" + rows[salesPage-1].ID.String()
	}
	for i := range rows {
		row := saleRow(&rows[i], account.Zone)
		if p := &rows[i].Purchase; v.role() == roleOwner && p.PaidAt > 0 && p.Gone() < p.Paid && p.DisputeHeld == 0 {
			row.Refund = "/sales/" + p.ID.String() + "/refund"
		}
		out.Rows = append(out.Rows, row)
		out.Shared = out.Shared || row.Share.Amount != 0
	}
	if err == nil && len(rows) == 0 && out.Pager.Newer == "" {
		ever, failed := a.Billing.Sales(ctx, billing.SalesQuery{Agency: q.Agency, Limit: 1})
		if failed != nil {
			return failed
		}
		if len(ever) == 0 {
			out.Start, out.Portal = &views.Link{Label: "Set up your packages", Href: "/packages"}, a.Billing.PortalURL(&account.Agency)
		}
	}
	if out.Frame, err = a.frame(c, "Sales", "sales", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.SalesPage(out))
}

// salesTo narrows sales to the client that the address names. Errors: not_found.
func (a *app) salesTo(c echo.Context, q *billing.SalesQuery, out *views.Sales) error {
	ref := c.QueryParam("client")
	if ref == "" {
		return nil
	}
	id, err := models.ParseID[models.SubAccountID](ref)
	if err != nil {
		return problem.Missing("sub-account")
	}
	sub, err := a.Billing.SubAccountRow(c.Request().Context(), q.Agency, id)
	if err != nil {
		return err
	}
	q.Client, out.Filter.Client, out.Client = sub.WalletID, id.String(), sub.Name
	return nil
}

// salesSums adds the period's sales up, in all, by package and by client.
func (a *app) salesSums(c echo.Context, account *billing.Account, span period.Span, out *views.Sales) error {
	ctx := c.Request().Context()
	unused, err := a.Billing.SoldUnused(ctx, &account.Agency)
	if err != nil {
		return err
	}
	out.Unused = views.Unused{Credits: unused.Credits, Clients: unused.Clients, Value: unused.Value, Covered: unused.Covered(), Waiting: unused.Waiting}
	rule, err := a.Billing.OversellRule(ctx, account.Agency.ID)
	if err != nil {
		return err
	}
	out.Rule = ruleSentence(&rule)
	if mayBuy(visitOf(c)) {
		out.Change = "/sales/rule"
	}
	out.Span += ", " + spanWords(span, account.Zone)
	if out.ByPack, out.Sum, err = a.salesByPackage(ctx, account, span); err != nil {
		return err
	}
	if out.ByBuyer, _, err = a.salesByClient(ctx, account, span); err != nil {
		return err
	}
	sortSales(out.ByPack, &out.Filter)
	sortSales(out.ByBuyer, &out.Filter)
	days, err := a.Billing.SalesByDay(ctx, account.Agency.ID, span, account.Zone)
	if err != nil {
		return err
	}
	for _, d := range days {
		out.Days = append(out.Days, views.SalesDay{Start: d.Start, SalesSum: salesSum(d.SalesTotal, account.Agency.Currency)})
	}
	out.Shared = out.Shared || out.Sum.Share.Amount != 0
	if mayBuy(visitOf(c)) {
		out.Payouts, err = a.Billing.Dashboard(ctx, account.Agency.ID)
	}
	return err
}

func (a *app) salesByPackage(ctx context.Context, account *billing.Account, span period.Span) ([]views.SalesLine, views.SalesSum, error) {
	sums, err := a.Billing.SalesByPackage(ctx, account.Agency.ID, span)
	if err != nil {
		return nil, views.SalesSum{}, err
	}
	names, err := a.Billing.PackageNames(ctx, account.Agency.ID)
	out := make([]views.SalesLine, 0, len(sums))
	for id, t := range sums {
		out = append(out, views.SalesLine{Name: names[id], Href: packagePath(id), SalesSum: salesSum(t, account.Agency.Currency)})
	}
	return out, salesSum(sums.Total(), account.Agency.Currency), err
}

func (a *app) salesByClient(ctx context.Context, account *billing.Account, span period.Span) ([]views.SalesLine, views.SalesSum, error) {
	sums, err := a.Billing.SalesByClient(ctx, account.Agency.ID, span)
	if err != nil {
		return nil, views.SalesSum{}, err
	}
	clients, err := a.Billing.ClientNames(ctx, account.Agency.ID)
	out := make([]views.SalesLine, 0, len(sums))
	for wallet, t := range sums {
		sub := clients[wallet]
		out = append(out, views.SalesLine{Name: sub.Name, Href: subAccountPath(sub.ID), ID: sub.ID.String(), SalesSum: salesSum(t, account.Agency.Currency)})
	}
	return out, salesSum(sums.Total(), account.Agency.Currency), err
}

// margin is the share of its price that a sale leaves, to compare by.
func margin(profit, revenue int64) float64 { return float64(profit) / max(1, float64(revenue)) }

// sortSales puts the most first, or with a turned filter the least.
func sortSales(lines []views.SalesLine, f *views.SalesFilter) {
	by := func(l *views.SalesLine) float64 {
		switch f.Sort {
		case views.SalesByProfit:
			return float64(l.Profit.Amount)
		case views.SalesByMargin:
			return margin(l.Profit.Amount, l.Revenue.Amount)
		}
		return float64(l.Revenue.Amount)
	}
	slices.SortFunc(lines, func(x, y views.SalesLine) int { //nolint:gocritic // the signature is slices'
		order := cmp.Compare(by(&y), by(&x))
		if f.Turned {
			order = -order
		}
		return cmp.Or(order, cmp.Compare(x.Name, y.Name))
	})
}

// salesLinesCSV is a file of what was sold in a period by package or by client,
// from the lots that were moved.
func (a *app) salesLinesCSV(
	name, first string, read func(context.Context, *billing.Account, period.Span) ([]views.SalesLine, views.SalesSum, error),
) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, account := c.Request().Context(), visitOf(c).viewer.Account()
		span, err := a.Billing.UsagePeriod(ctx, account, billing.PeriodName(cmp.Or(c.QueryParam("p"), string(billing.ThisCycle))), "", "")
		if err != nil {
			return err
		}
		lines, _, err := read(ctx, account, span.Span)
		if err != nil {
			return err
		}
		var order views.SalesFilter
		order.Order(c.QueryParams())
		sortSales(lines, &order)
		return a.download(c, name, span.Start, span.End, func(w io.Writer) error {
			out := csv.NewWriter(w)
			out.UseCRLF = true
			rows := [][]string{{first, "sales", "credits", "sold", "cost", "card_fees", "platform_fee", "profit", "margin", "currency", "verdict", "dispute_fees"}}
			for i := range lines {
				rows = append(rows, salesLineCells(&lines[i]))
			}
			return out.WriteAll(rows)
		})
	}
}

func salesLineCells(l *views.SalesLine) []string {
	verdict := "profit"
	if l.Lossy {
		verdict = "loss"
	}
	return []string{
		text(l.Name), strconv.FormatInt(l.Count, 10), l.Credits.String(), l.Revenue.Decimal(), l.Cost.Decimal(), l.Fee.Decimal(), l.Share.Decimal(),
		l.Profit.Decimal(), l.Margin, l.Revenue.Currency, verdict, l.Dispute.Decimal(),
	}
}

// ruleSentence is what happens beyond the stock.
func ruleSentence(r *billing.OversellRule) string {
	switch r.Rule {
	case models.OversellWarn:
		return "You sell beyond your stock, and are told each time. Clients get those credits as soon as you have bought them."
	case models.OversellAllow:
		return "You sell up to " + format.CreditsWord(r.Limit) + " beyond your stock. Clients get those as soon as you have bought them."
	case models.OversellRefuse:
	}
	return "You don't sell more than you hold."
}

func (a *app) oversellForm(c echo.Context) error {
	rule, err := a.Billing.OversellRule(c.Request().Context(), visitOf(c).viewer.Agency.ID)
	if err != nil {
		return err
	}
	f := views.OversellForm{Rule: rule.Rule}
	if rule.Limit > 0 {
		f.Limit = format.Typed(rule.Limit)
	}
	return a.showOversell(c, http.StatusOK, &f)
}

func (a *app) showOversell(c echo.Context, code int, f *views.OversellForm) error {
	ctx, account := c.Request().Context(), visitOf(c).viewer.Account()
	rule, err := a.Billing.OversellRule(ctx, account.Agency.ID)
	if err != nil {
		return err
	}
	top, err := a.Billing.TopUpState(ctx, account)
	if err != nil {
		return err
	}
	f.Waiting, f.TopUp = rule.Waiting, top.State == models.TopUpOn && top.ForSales
	if f.Frame, err = a.frame(c, "Selling beyond your stock", "sales", nil); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.OversellPage(*f))
}

func (a *app) setOversell(c echo.Context) error {
	v := visitOf(c)
	f := views.OversellForm{Rule: models.Oversell(c.FormValue("rule")), Limit: c.FormValue("limit")}
	var limit models.Credits
	if f.Rule == models.OversellAllow {
		var err error
		if limit, err = typedCredits(f.Limit); err != nil {
			f.Errors = views.FieldErrors{{Field: "limit", Text: amountText(err)}}
			return a.showOversell(c, http.StatusUnprocessableEntity, &f)
		}
	}
	err := a.Billing.SetOversell(c.Request().Context(), v.viewer.Agency.ID, f.Rule, limit, v.viewer.Actor())
	if wrong, ok := wrongFields(err, "rule", "limit"); ok {
		f.Errors = wrong
		return a.showOversell(c, statusOf(err), &f)
	}
	if err != nil {
		return err
	}
	return a.saidAt(c, "/sales", views.Flash{Tone: views.ToneOK, Text: "Saved. It holds for purchases that are opened from now on."})
}

func spanWords(s period.Span, zone *time.Location) string {
	return s.Start.In(zone).Format("Jan 2") + " – " + (s.End - 1).In(zone).Format("Jan 2, 2006")
}

func salesSum(t billing.SalesTotal, currency string) views.SalesSum {
	out := views.SalesSum{
		Count: t.Sales, Credits: t.Credits, Revenue: models.Money{Amount: t.Revenue, Currency: currency}, Cost: models.Money{Amount: t.Cost, Currency: currency},
		Fee: models.Money{Amount: t.Fee, Currency: currency}, Share: models.Money{Amount: t.Share, Currency: currency}, Dispute: models.Money{Amount: t.DisputeFee, Currency: currency}, Profit: models.Money{Amount: t.Profit(), Currency: currency}, Lossy: t.Profit() < 0,
	}
	if t.Revenue > 0 {
		out.Margin = format.Percent(t.Profit(), t.Revenue)
	}
	return out
}

func saleRow(s *billing.Sale, zone *time.Location) views.SaleRow {
	money := func(amount int64) models.Money { return models.Money{Amount: amount, Currency: s.Currency} }
	row := views.SaleRow{
		At: s.CreatedAt, Client: s.Client, Href: subAccountPath(s.Sub), Package: s.Title, Credits: s.Credits, Status: purchaseStatus(&s.Purchase),
		Note: s.StatusNote, Back: moneyBack(&s.Purchase, true), Price: s.Total(), Cost: money(s.Cost), Fee: money(s.Fee),
		Share: money(s.PlatformFee), Profit: money(s.Price - s.Cost - s.Fee - s.PlatformFee), Paid: s.CreditedAt > 0,
	}
	if !row.Paid {
		return row
	}
	if words := goneWords(&s.Purchase, zone); words != "" {
		back := s.PlatformBack()
		row.Lines = append(row.Lines, views.SaleLine{
			Words: words, Price: money(-s.Gone()), Cost: money(-s.CostBack), Share: money(-back), Profit: money(s.CostBack + back - s.Gone()),
		})
	}
	if s.DisputeFee > 0 {
		row.Lines = append(row.Lines, views.SaleLine{
			Words: "Stripe's fee for the dispute of " + format.DayMonth(s.DisputedAt, zone), Fee: money(s.DisputeFee), Profit: money(-s.DisputeFee),
		})
	}
	return row
}

// goneWords is how money of a sale went; "" when none did.
func goneWords(p *models.Purchase, zone *time.Location) string {
	refund, dispute := "Refund of "+format.DayMonth(p.RefundedAt, zone), "lost dispute of "+format.DayMonth(p.DisputedAt, zone)
	switch {
	case p.Refunded > 0 && p.DisputeLost > 0:
		return refund + ", and " + dispute
	case p.Refunded > 0:
		return refund
	case p.DisputeLost > 0:
		return "Lost dispute of " + format.DayMonth(p.DisputedAt, zone)
	}
	return ""
}

// salesCSV is a file of the sales that the page lists; without a period, of all.
func (a *app) salesCSV(c echo.Context) error {
	ctx, account := c.Request().Context(), visitOf(c).viewer.Account()
	q := billing.SalesQuery{Agency: account.Agency.ID, Limit: 1000}
	if err := a.salesTo(c, &q, &views.Sales{}); err != nil {
		return err
	}
	if name := c.QueryParam("p"); name != "" {
		within, err := a.Billing.UsagePeriod(ctx, account, billing.PeriodName(name), "", "")
		if err != nil {
			return err
		}
		q.Span = within.Span
	}
	return a.download(c, "sales", q.Span.Start, q.Span.End, func(w io.Writer) error {
		out := csv.NewWriter(w)
		out.UseCRLF = true
		if err := out.Write([]string{
			"time_local", "time_utc", "purchase", "client", "client_id", "package", "credits", "price", "cost", "fee", "profit", "currency", "status", "payment", "refunded", "platform_fee", "dispute_fee",
		}); err != nil {
			return err
		}
		for {
			rows, err := a.Billing.Sales(ctx, q)
			if err != nil {
				return err
			}
			for i := range rows {
				if err := out.Write(saleCells(&rows[i], account.Zone)); err != nil {
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

func saleCells(s *billing.Sale, zone *time.Location) []string {
	money := func(amount int64) string { return models.Money{Amount: amount, Currency: s.Currency}.Decimal() }
	kept := func(amount int64) string { // of what is paid: before that it has brought nothing
		if s.CreditedAt == 0 {
			return ""
		}
		return money(amount)
	}
	return []string{
		s.CreatedAt.In(zone).Format(time.RFC3339), s.CreatedAt.Go().Format(time.RFC3339), s.ID.String(), text(s.Client), s.Sub.String(), text(s.Title),
		s.Credits.String(), money(s.Price), kept(s.Cost - s.CostBack), kept(s.Fee), kept(s.Profit()), s.Currency, string(s.Status), text(s.PaymentIntent), money(s.Gone()), kept(s.Share()), kept(s.DisputeFee),
	}
}

// The cards of an agency's first page that are about its clients.

func (a *app) attentionCard(c echo.Context, o *billing.OverviewData) views.AttentionCard {
	if o.AttentionErr != nil {
		return views.AttentionCard{Failure: a.failure(c, "Your sub-accounts", "", o.AttentionErr)}
	}
	n := &o.Attention
	out := views.AttentionCard{
		Paused: n.Paused, Below: n.Below, Low: n.Low, Idle: n.Idle, Clients: n.Clients, Assign: mayBuy(visitOf(c)),
	}
	lasts, err := a.Billing.Forecasts(c.Request().Context(), o.Account.Agency, n.List)
	if err != nil {
		a.sectionFailed(c, "forecast", err)
	}
	for i := range n.List {
		out.Rows = append(out.Rows, subAccountRow(&n.List[i], lasts, o.Account.Agency.Currency))
	}
	return out
}

func (a *app) salesCard(c echo.Context, o *billing.OverviewData) views.SalesCard {
	if o.SalesErr != nil {
		return views.SalesCard{Failure: a.failure(c, "Your sales", "", o.SalesErr)}
	}
	selling := slices.Contains(o.Checklist, billing.CheckedStep{Step: billing.StepPackage, Done: true})
	return views.SalesCard{Sales: salesSum(o.Sales, o.Account.Agency.Currency), Selling: selling}
}

// checklistCookie says that this browser does not want to see the list.
const checklistCookie = "checklist"

func (a *app) checklistCard(c echo.Context, o *billing.OverviewData) views.ChecklistCard {
	var out views.ChecklistCard
	if _, err := c.Cookie(checklistCookie); err == nil || !mayBuy(visitOf(c)) {
		return out
	}
	if o.ChecklistErr != nil {
		a.sectionFailed(c, "checklist", o.ChecklistErr)
		return out
	}
	steps := map[billing.Step]views.ChecklistStep{
		billing.StepFirstReply: {Label: "Send a first reply and watch it arrive", Why: "One request; the API page has it ready to paste.", Href: "/usage", Minutes: 5},
		billing.StepSubAccount: {Label: "Add your first sub-account", Why: "A client with a balance of its own, or a share of yours.", Href: "/sub-accounts/new", Minutes: 1},
		billing.StepInvite:     {Label: "Invite a client", Why: "They get a link to their own page, in your name.", Href: "/sub-accounts", Minutes: 1},
		billing.StepConnect:    {Label: "Connect Stripe", Why: "What clients pay goes to your own account.", Href: "/packages/connect", Minutes: 10},
		billing.StepPackage:    {Label: "Put a package on sale", Why: "Three ready-made ones are a click away.", Href: "/packages", Minutes: 3},
	}
	for _, s := range o.Checklist {
		step := steps[s.Step]
		step.Done = s.Done
		out.Steps = append(out.Steps, step)
	}
	return out
}

func (a *app) hideChecklist(c echo.Context) error {
	c.SetCookie(&http.Cookie{ //nolint:gosec // Secure follows the base URL, as for the session
		Name: checklistCookie, Value: "hidden", Path: "/", MaxAge: themeLife, Secure: a.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return seeOther(c, "/")
}

// soldCells are what was sold to a client, as a file writes it.
func soldCells(t billing.SalesTotal, currency string) []string {
	if t.IsZero() {
		return []string{"0", "", "", "", ""}
	}
	money := func(amount int64) string { return models.Money{Amount: amount, Currency: currency}.Decimal() }
	return []string{strconv.FormatInt(t.Sales, 10), money(t.Revenue), money(t.Cost), money(t.Fee), money(t.Profit())}
}
