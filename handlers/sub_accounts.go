package handlers

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// subAccountsPage is how many clients are listed at once.
const subAccountsPage = 50

// subAccountLines is how many lines of its history a client's page shows.
const subAccountLines = 10

// standings are the clients that a filter shows, in its order, and how many each
// signal has.
type standings struct {
	shown   []billing.SubAccountStanding
	signals []views.Signal
	lasts   map[models.WalletID]billing.Forecast // of all shown if it is their order, else nil
}

func (a *app) standings(ctx context.Context, account *billing.Account, f views.SubAccountFilter) (standings, error) {
	all, err := a.Billing.SubAccountStandings(ctx, account)
	if err != nil {
		return standings{}, err
	}
	sells := slices.ContainsFunc(all, func(s billing.SubAccountStanding) bool { return s.BoughtAt != 0 }) //nolint:gocritic // the signature is slices'
	signals := []views.Signal{
		{Label: "All"}, {Key: views.SignalPaused, Label: "Paused"}, {Key: views.SignalLow, Label: "Low"}, {Key: views.SignalNew, Label: "Not used yet"},
	}
	if sells { // an agency that sells nothing need not be told who buys nothing
		signals = append(signals, views.Signal{Key: views.SignalIdle, Label: "No purchase in 30 days"}, views.Signal{Key: views.SignalLoss, Label: "Loss-making"})
	}
	now := a.Billing.Now()
	var shown []billing.SubAccountStanding
	for i := range signals {
		s := &signals[i]
		to := f
		to.Signal = s.Key
		s.Current, s.Href = s.Key == f.Signal, to.Href("/sub-accounts")
		for j := range all {
			if !signalled(&all[j], s.Key, now) {
				continue
			}
			s.Count++
			if s.Current {
				shown = append(shown, all[j])
			}
		}
	}
	out := standings{shown: shown, signals: signals}
	if f.Sort == views.SubAccountsByLasts {
		if out.lasts, err = a.Billing.Forecasts(ctx, account.Agency, shown); err != nil {
			return standings{}, err
		}
	}
	if f.Turned && f.Sort == views.SubAccountsByName { // they came by name; in other orders ties stay so
		slices.Reverse(shown)
	}
	slices.SortStableFunc(shown, func(x, y billing.SubAccountStanding) int { //nolint:gocritic // the signature is slices'
		order := out.compare(f.Sort, &x, &y)
		if f.Turned {
			order = -order
		}
		return cmp.Or(boolInt(out.lacks(f.Sort, &x))-boolInt(out.lacks(f.Sort, &y)), order)
	})
	return out, nil
}

// compare puts two clients in an order; 0 leaves them by name.
func (s *standings) compare(by views.SubAccountSort, x, y *billing.SubAccountStanding) int {
	switch by {
	case views.SubAccountsByFeed:
		return drawsOn(x) - drawsOn(y)
	case views.SubAccountsByState:
		return severity(y.State) - severity(x.State)
	case views.SubAccountsByLeft:
		return cmp.Compare(x.Left, y.Left)
	case views.SubAccountsByUsed:
		return cmp.Compare(y.Used, x.Used)
	case views.SubAccountsBySold:
		return cmp.Compare(y.Sold.Revenue, x.Sold.Revenue)
	case views.SubAccountsByMargin:
		return cmp.Compare(margin(x.Sold.Profit(), x.Sold.Revenue), margin(y.Sold.Profit(), y.Sold.Revenue))
	case views.SubAccountsByLasts:
		return compareLasts(s.lasts, x.WalletID, y.WalletID)
	case views.SubAccountsByName:
	}
	return 0
}

// lacks tells who has nothing to be sorted by, and so comes last either way round.
func (s *standings) lacks(by views.SubAccountSort, x *billing.SubAccountStanding) bool {
	switch by {
	case views.SubAccountsByLeft:
		return x.Funding == models.Pooled
	case views.SubAccountsByMargin:
		return x.Sold.IsZero()
	case views.SubAccountsByLasts:
		_, own := s.lasts[x.WalletID]
		return !own
	case views.SubAccountsByName, views.SubAccountsByFeed, views.SubAccountsByState, views.SubAccountsByUsed, views.SubAccountsBySold:
	}
	return false
}

// drawsOn is how much of a client's credits are its agency's own: none, those that
// follow what it was assigned, all.
func drawsOn(s *billing.SubAccountStanding) int {
	switch {
	case s.Funding == models.Pooled:
		return 2
	case s.PoolCap > 0:
		return 1
	}
	return 0
}

// compareLasts puts the first to run out first: who has nothing left, those with a
// date, those whose credits last, and those of whom nothing is known.
func compareLasts(lasts map[models.WalletID]billing.Forecast, x, y models.WalletID) int {
	rank := func(w models.WalletID) int {
		f := lasts[w]
		switch {
		case f.Kind == billing.ForecastNothing:
			return 0
		case f.RunsOutAt.IsSet():
			return 1
		case f.Kind == billing.ForecastPastReset, f.Kind == billing.ForecastBeyond:
			return 2
		}
		return 3
	}
	return cmp.Or(rank(x)-rank(y), cmp.Compare(lasts[x].RunsOutAt, lasts[y].RunsOutAt))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func signalled(s *billing.SubAccountStanding, signal string, now models.Time) bool {
	switch signal {
	case views.SignalPaused:
		return severity(s.State) >= severity(billing.StateUpstream)
	case views.SignalLow:
		return severity(s.State) >= severity(billing.StateLow) && severity(s.State) <= severity(billing.StateExcess)
	case views.SignalNew:
		return s.NotUsed
	case views.SignalIdle:
		return s.Idle(now)
	case views.SignalLoss:
		return s.Sold.Profit() < 0
	}
	return true
}

// severity orders states, the worst highest.
func severity(s billing.State) int {
	return slices.Index([]billing.State{
		billing.StateHealthy, billing.StateNew, billing.StateLow, billing.StateCritical, billing.StateExcess, billing.StateUpstream, billing.StatePaused,
	}, s)
}

func (a *app) subAccounts(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	out := views.SubAccounts{Filter: views.ParseSubAccountFilter(c.QueryParams())}
	if mayBuy(v) {
		out.Add, out.Bulk = "/sub-accounts/new", bulkPath
	}
	all, err := a.standings(ctx, account, out.Filter)
	if err == nil {
		out.Signals, out.Total = all.signals, all.signals[0].Count
		all.shown = onPage(c, &out, all.shown)
		err = a.forecast(ctx, account, &all)
	}
	if err != nil {
		out.Failure = a.failure(c, "The list of clients", "", err)
	} else {
		for i := range all.shown {
			out.Rows = append(out.Rows, subAccountRow(&all.shown[i], all.lasts, account.Agency.Currency))
		}
	}
	if gone, err := a.Billing.ArchivedSubAccounts(ctx, account.Agency.ID); err != nil {
		a.sectionFailed(c, "archived", err)
	} else {
		out.Archived = int64(len(gone))
	}
	if out.Frame, err = a.frame(c, "Sub-accounts", "sub-accounts", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.SubAccountsPage(out))
}

// forecast tells how long the credits of those shown last, unless that is known.
func (a *app) forecast(ctx context.Context, account *billing.Account, s *standings) (err error) {
	if s.lasts == nil {
		s.lasts, err = a.Billing.Forecasts(ctx, account.Agency, s.shown)
	}
	return err
}

// onPage is the part of the list that the address asks for, with the way to the
// others.
func onPage(c echo.Context, out *views.SubAccounts, shown []billing.SubAccountStanding) []billing.SubAccountStanding {
	n, err := strconv.Atoi(c.QueryParam("page"))
	if err != nil || n < 1 {
		n = 1
	}
	pages := (len(shown) + subAccountsPage - 1) / subAccountsPage
	if pages < 2 {
		return shown
	}
	n = min(n, pages)
	at := func(n int) string {
		q := out.Filter.Values()
		if n > 1 {
			q.Set("page", strconv.Itoa(n))
		}
		if len(q) == 0 {
			return "/sub-accounts"
		}
		return "/sub-accounts?" + q.Encode()
	}
	from, to := (n-1)*subAccountsPage, min(n*subAccountsPage, len(shown))
	if n > 1 {
		out.Previous = at(n - 1)
	}
	if n < pages {
		out.Next = at(n + 1)
	}
	out.Shown = fmt.Sprintf("Clients %d to %d of %d", from+1, to, len(shown))
	return shown[from:to]
}

func subAccountRow(s *billing.SubAccountStanding, lasts map[models.WalletID]billing.Forecast, currency string) views.SubAccountRow {
	row := views.SubAccountRow{
		Name: s.Name, Href: subAccountPath(s.ID), Feed: feedOf(s.Funding, s.PoolCap, s.PoolEvery, s.Excess), State: views.State(s.State),
		Left: s.Left, Used: s.Used, Unused: s.NotUsed,
	}
	if f, known := lasts[s.WalletID]; known {
		row.Lasts = forecastOf(&f)
	}
	if !s.Sold.IsZero() {
		sum := salesSum(s.Sold, currency)
		row.Sold, row.Margin = sum.Revenue, sum.Margin
	}
	return row
}

func feedOf(f models.Funding, poolCap models.Credits, every models.PoolEvery, excess models.Credits) views.Feed {
	return views.Feed{Pooled: f == models.Pooled, Cap: poolCap, Daily: every == models.PoolDay, Excess: excess}
}

func subAccountPath(id models.SubAccountID) string { return "/sub-accounts/" + id.String() }

func (a *app) subAccountsCSV(c echo.Context) error {
	ctx, account := c.Request().Context(), visitOf(c).viewer.Account()
	all, err := a.standings(ctx, account, views.ParseSubAccountFilter(c.QueryParams()))
	if err != nil {
		return err
	}
	if err := a.forecast(ctx, account, &all); err != nil {
		return err
	}
	return a.download(c, "sub-accounts", 0, 0, func(w io.Writer) error {
		out := csv.NewWriter(w)
		out.UseCRLF = true
		if err := out.Write([]string{
			"name", "id", "funding", "pool_limit", "pool_limit_per", "state", "left", "forecast", "runs_out_utc", "used_this_cycle",
			"sales_this_cycle", "sold", "cost", "fees", "profit", "currency", "platform_fee", "dispute_fees",
		}); err != nil {
			return err
		}
		for i := range all.shown {
			if err := out.Write(standingCells(&all.shown[i], all.lasts, account.Agency.Currency)); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	})
}

func standingCells(s *billing.SubAccountStanding, lasts map[models.WalletID]billing.Forecast, currency string) []string {
	limit, per, left, kind, runsOut := "", "", "", "", ""
	if s.PoolCap > 0 {
		limit, per = s.PoolCap.String(), string(s.PoolEvery)
	}
	if f, known := lasts[s.WalletID]; known {
		left, kind = s.Left.String(), string(f.Kind)
		if f.Kind == billing.ForecastRunsOut {
			runsOut = f.RunsOutAt.RFC3339()
		}
	}
	cells := []string{text(s.Name), text(s.ExternalID), string(s.Funding), limit, per, string(s.State), left, kind, runsOut, s.Used.String()}
	share, disputes := "", ""
	if !s.Sold.IsZero() {
		share, disputes = models.Money{Amount: s.Sold.Share, Currency: currency}.Decimal(), models.Money{Amount: s.Sold.DisputeFee, Currency: currency}.Decimal()
	}
	return append(append(cells, soldCells(s.Sold, currency)...), currency, share, disputes)
}

// client finds the sub-account that the address names. Errors: not_found, which
// also stands for another agency's.
func (a *app) client(c echo.Context) (billing.SubAccountRow, error) {
	ref := c.Param("id")
	if _, err := models.ParseID[models.SubAccountID](ref); err != nil {
		return billing.SubAccountRow{}, problem.Missing("sub-account")
	}
	return a.Billing.FindSubAccount(c.Request().Context(), visitOf(c).viewer.Scope(), "", ref)
}

func (a *app) subAccount(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	agency := v.viewer.Account()
	account := billing.AccountOfSub(agency.Agency, sub.SubAccount)
	o := a.Billing.Overview(ctx, account)
	var lines billing.HistoryPage
	lines, o.LatestErr = a.Billing.History(ctx, billing.HistoryQuery{Account: account, Limit: subAccountLines})
	o.Latest = lines.Lines
	out := views.SubAccount{
		Name: sub.Name, Ref: sub.ExternalID, Zone: sub.TimeZone, Created: sub.CreatedAt, Feed: feedOf(sub.Funding, sub.PoolCap, sub.PoolEvery, sub.Excess),
		Balance: a.balanceCard(c, &o), Used: o.Usage.Total.Credits(), Usage: a.usageCard(c, &o), Activity: a.activityCard(c, &o),
	}
	out.Balance.NextPack = 0
	out.Balance.Next = out.Feed.Next(agency.Agency.Name)
	only := "?sub=" + sub.ExternalID
	out.Usage.Href, out.Activity.Href = "/usage"+only, "/history"+only
	for i := range o.Latest {
		if o.Latest[i].Group != nil {
			out.Activity.Lines[i].Href = "" // the agency's history opens groups of its own wallet only
		}
	}
	path := subAccountPath(sub.ID)
	out.Statement = path + "/statement"
	out.Access = a.accessCard(c, &sub.SubAccount)
	if sub.Status != models.SubAccountActive {
		out.ArchivedAt = sub.ArchivedAt
	}
	own, err := a.Billing.Wallet(ctx, agency)
	wallet := known(&own, err)
	if err != nil {
		a.sectionFailed(c, "balance", err)
	}
	if o.BalanceErr == nil {
		if pool := o.Balance.Pool; pool != nil {
			out.Pool = &views.PoolDraw{Drawn: pool.Drawn}
			if wallet != nil {
				out.Pool.Known, out.Pool.Left = true, wallet.Balance.Left()
			}
		}
		if out.Feed.Pooled {
			out.Own = o.Balance.Balance.Available
		}
	}
	if !out.Feed.Pooled {
		standing := a.standing(c, &sub)
		out.Standing = &standing
	}
	if sold, err := a.soldTo(ctx, agency, sub.WalletID); err != nil {
		a.sectionFailed(c, "sales", err)
	} else {
		out.Sold = sold
	}
	if mayBuy(v) && out.ArchivedAt.IsSet() {
		out.Restore = path + "/restore"
	} else if mayBuy(v) {
		out.Edit, out.Archive, out.Look = path+"/edit", path+"/archive", path+"/look"
		if !out.Feed.Pooled {
			out.Assign = path + "/assign"
		}
		if o.BalanceErr == nil && o.Balance.Balance.Assigned > 0 {
			out.TakeBack, out.Move = path+"/take-back", path+"/move"
		}
	}
	if out.Frame, err = a.frame(c, sub.Name, "sub-accounts", wallet); err != nil {
		return err
	}
	out.Frame.Zone = account.Zone // the client's days, as on its own pages
	return page(c, http.StatusOK, views.SubAccountPage(out))
}

// soldTo is what the agency sold to a client in its running cycle; nil for
// nothing.
func (a *app) soldTo(ctx context.Context, agency *billing.Account, client models.WalletID) (*views.SalesSum, error) {
	cycle, err := a.Billing.UsagePeriod(ctx, agency, billing.ThisCycle, "", "")
	if err != nil {
		return nil, err
	}
	sold, err := a.Billing.SalesByClient(ctx, agency.Agency.ID, cycle.Span)
	if err != nil || sold[client].IsZero() {
		return nil, err
	}
	sum := salesSum(sold[client], agency.Agency.Currency)
	return &sum, nil
}
