package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// choicesBack is how far back the filters look for models and actions.
const choicesBack = 90 * 24 * time.Hour

func (a *app) history(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	filter := views.ParseHistoryFilter(c.QueryParams())
	if account.SubAccount != nil {
		filter.Sub = ""
	}
	out := views.History{Base: "/history", Filter: filter}
	q, known, err := a.historyQuery(ctx, account, filter)
	var found billing.HistoryPage
	if err == nil && known {
		found, err = a.Billing.History(ctx, q)
	}
	if problem.Is(err, "invalid_cursor") {
		return problem.Missing("page")
	}
	wrong, _ := errors.AsType[wrongDaysError](err)
	out.Errors = views.FieldErrors(wrong)
	if err == nil || len(wrong) > 0 {
		out.Subs, out.Models, err = a.historyChoices(ctx, account)
	}
	if err != nil {
		out.Failure = a.failure(c, "History", "Your balance is not affected.", err)
	}
	for i := range found.Lines {
		out.Lines = append(out.Lines, historyLine(&found.Lines[i], account))
	}
	out.Never = len(out.Lines) == 0 && !filter.Narrowed() && filter.Cursor == ""
	if filter.Cursor != "" {
		first := filter
		first.Cursor = ""
		out.Pager.Newer = address("/history", first.Values())
	}
	if found.Next != "" {
		older := filter
		older.Cursor = found.Next
		out.Pager.Older = address("/history", older.Values())
	}
	if out.Frame, err = a.frame(c, "History", "history", nil); err != nil {
		return err
	}
	if len(out.Errors) > 0 {
		out.Frame.Failed = true
		return page(c, http.StatusUnprocessableEntity, views.HistoryPage(out))
	}
	return page(c, http.StatusOK, views.HistoryPage(out))
}

// address is a path with a query, if there is one.
func address(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// historyQuery is what a filter asks for, or wrongDaysError; known is false when it names a
// sub-account that is not there, which has no lines.
func (a *app) historyQuery(ctx context.Context, account *billing.Account, f views.HistoryFilter) (q billing.HistoryQuery, known bool, err error) {
	if err := (days{from: f.From, to: f.To, until: "Until", open: true}).check(); err != nil {
		return q, false, err
	}
	q = billing.HistoryQuery{Account: account, Kind: billing.LineKind(f.Kind), Model: f.Model, Text: f.Text, Cursor: f.Cursor}
	if f.From != "" {
		q.From = localDay(f.From, account.Zone).Start
	}
	if f.To != "" {
		q.To = localDay(f.To, account.Zone).End
	}
	q.Wallet, known, err = a.subWallet(ctx, account, f.Sub)
	return q, known, err
}

// subWallet is the wallet a filter's sub-account names.
func (a *app) subWallet(ctx context.Context, account *billing.Account, ref string) (wallet models.WalletID, known bool, err error) {
	if ref == "" {
		return models.WalletID{}, true, nil
	}
	sub, err := a.Billing.SubAccountByRef(ctx, account.Agency.ID, ref)
	if problem.Is(err, "not_found") {
		return models.WalletID{}, false, nil
	}
	return sub.WalletID, err == nil, err
}

// localDay is a day of a filter, which has been checked to be one.
func localDay(day string, zone *time.Location) period.Span {
	t, err := time.ParseInLocation(time.DateOnly+" 15", day+" 12", zone)
	if err != nil {
		return period.Span{}
	}
	return period.Day(models.At(t), zone)
}

func (a *app) historyChoices(ctx context.Context, account *billing.Account) (subs, named []views.Option, err error) {
	q := billing.UsageOf(account)
	q.To = a.Billing.Now()
	q.From = q.To.Add(-choicesBack)
	choices, err := a.Billing.UsageChoices(ctx, billing.Scope{Agency: account.Agency.ID}, q)
	if err != nil {
		return nil, nil, err
	}
	subs, err = a.subOptions(ctx, account)
	return subs, modelOptions(choices.Models), err
}

// subOptions are an agency's sub-accounts to choose from; a client has none.
func (a *app) subOptions(ctx context.Context, account *billing.Account) ([]views.Option, error) {
	if account.SubAccount != nil {
		return nil, nil
	}
	subs, err := a.Billing.SubAccounts(ctx, account.Agency.ID)
	if err != nil {
		return nil, err
	}
	var out []views.Option
	for i := range subs {
		out = append(out, views.Option{Value: subs[i].ExternalID, Label: subs[i].Name})
	}
	return out, nil
}

// historyLine is a line's facts for its row.
func historyLine(l *billing.HistoryLine, account *billing.Account) views.HistoryLine {
	out := views.HistoryLine{
		Kind: views.LineKind(l.Kind), Count: l.Count, Action: l.Action, Model: l.Model, Detail: lineDetail(l, account),
		At: l.At, Until: l.Until, Change: l.Change, After: l.After, NoAfter: !l.HasAfter, Ref: cmp.Or(l.Reference, l.ID), Test: l.Test, Would: l.Would,
		Href: linePath(l),
	}
	if account.SubAccount == nil {
		out.Sub = l.Name
	}
	return out
}

func linePath(l *billing.HistoryLine) string {
	switch {
	case l.Group != nil:
		return "/history/group?" + url.Values{"ref": {l.Group.String()}}.Encode()
	case l.ID != "":
		return "/history/" + l.ID
	}
	return ""
}

// lineDetail is what there is to say beside the kind. A client sees who it is
// from, in the agency's name.
func lineDetail(l *billing.HistoryLine, account *billing.Account) string {
	detail := cmp.Or(l.Pack, l.Note)
	if account.SubAccount != nil && l.Kind == billing.LineAssigned {
		from := "From " + account.Agency.Name
		if detail != "" {
			from += ": " + detail
		}
		return from
	}
	return detail
}

func (a *app) historyGroup(c echo.Context) error {
	account := visitOf(c).viewer.Account()
	ref, err := billing.ParseGroupRef(c.QueryParam("ref"))
	if err != nil {
		return problem.Missing("line")
	}
	found, err := a.Billing.HistoryGroup(c.Request().Context(), account, ref, c.QueryParam("cursor"), 0)
	if problem.Is(err, "invalid_cursor") {
		return problem.Missing("page")
	}
	if err != nil {
		return err
	}
	group := historyLine(&found.Group, account)
	out := views.History{Base: "/history", Back: "/history", Group: &group}
	for i := range found.Lines {
		out.Lines = append(out.Lines, historyLine(&found.Lines[i], account))
	}
	q := url.Values{"ref": {ref.String()}}
	if c.QueryParam("cursor") != "" {
		out.Pager.Newer = address("/history/group", q)
	}
	if found.Next != "" {
		q.Set("cursor", found.Next)
		out.Pager.Older = address("/history/group", q)
	}
	if out.Frame, err = a.frame(c, "Charges", "history", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.HistoryPage(out))
}

func (a *app) historyCSV(c echo.Context) error {
	ctx, account := c.Request().Context(), visitOf(c).viewer.Account()
	filter := views.ParseHistoryFilter(c.QueryParams())
	filter.Cursor = ""
	if account.SubAccount != nil {
		filter.Sub = ""
	}
	q, known, err := a.historyQuery(ctx, account, filter)
	if err != nil {
		return err
	}
	if !known { // no such sub-account: its lines are none
		q.To = 1
	}
	return a.download(c, "history", q.From, q.To, a.Billing.HistoryCSV(ctx, q))
}
