package handlers

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/period"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// start is the first page of whoever is signed in.
func (a *app) start(c echo.Context) error {
	switch visitOf(c).role() {
	case roleAdmin:
		return seeOther(c, "/admin")
	case roleClient:
		return a.clientBalance(c)
	case roleOwner, roleBilling, roleMember:
	}
	return a.overview(c)
}

// Each card of a first page fails alone: a balance that cannot be read is said
// to be so, and the others stay.

func (a *app) overview(c echo.Context) error {
	v := visitOf(c)
	account := v.viewer.Account()
	o := a.Billing.Overview(c.Request().Context(), account)
	out := views.Overview{
		Balance: a.balanceCard(c, &o), Usage: a.usageCard(c, &o), Activity: a.activityCard(c, &o),
		Checklist: a.checklistCard(c, &o), Attention: a.attentionCard(c, &o), Sales: a.salesCard(c, &o),
	}
	if o.BalanceErr == nil && o.Balance.Wallet.UsedAt == 0 {
		out.First = a.firstReply(c, account)
	}
	var err error
	if out.Frame, err = a.frame(c, "Overview", "overview", known(&o.Balance.WalletView, o.BalanceErr)); err != nil {
		return err
	}
	if o.BalanceErr == nil {
		out.Frame.Notice = a.notice(c, &o, &out.Balance)
	}
	return page(c, http.StatusOK, views.OverviewPage(out))
}

func (a *app) clientBalance(c echo.Context) error {
	v := visitOf(c)
	account := v.viewer.Account()
	o := a.Billing.Overview(c.Request().Context(), account)
	if v.preview != nil && v.preview.low {
		o.RunLow()
	}
	out := views.ClientBalance{
		Agency: account.Agency.Name, Balance: a.balanceCard(c, &o), Usage: a.usageCard(c, &o), Activity: a.activityCard(c, &o),
	}
	if o.BalanceErr == nil && !hasBalance(&o.Balance.WalletView) {
		out.Pooled = &views.Pooled{Used: o.Usage.Total.Credits()}
	}
	if w := &o.Balance.Wallet; o.BalanceErr == nil {
		out.Balance.Next = feedOf(w.Funding, w.PoolCap, w.PoolEvery, w.ExcessLimit).Next(account.Agency.Name)
	}
	var err error
	if out.Frame, err = a.frame(c, "Balance", "overview", known(&o.Balance.WalletView, o.BalanceErr)); err != nil {
		return err
	}
	if o.BalanceErr == nil {
		out.Frame.Notice = a.notice(c, &o, &out.Balance)
	}
	return page(c, http.StatusOK, views.ClientBalancePage(out))
}

// known is what was read, nil when it failed.
func known[T any](read *T, err error) *T {
	if err != nil {
		return nil
	}
	return read
}

// balanceCard is a balance's facts, or that it cannot be shown; never both.
func (a *app) balanceCard(c echo.Context, o *billing.OverviewData) views.Balance {
	if o.BalanceErr != nil {
		return views.Balance{Failure: a.failure(c, "Your balance", "", o.BalanceErr)}
	}
	d, b := &o.Balance, o.Balance.Balance
	out := views.Balance{
		State: stateOf(&d.WalletView), Left: b.Left(), Plan: b.Plan, Allowance: d.Allowance, ResetsAt: d.ResetsAt, EndsAt: d.EndsAt, Pace: o.Pace.Word,
		Purchased: b.Purchased, Assigned: b.Assigned, Bonus: b.Bonus, Excess: b.Excess, Held: b.Held - d.Kept, HeldJobs: d.HeldJobs, Kept: d.Kept, AssignedOut: d.Assigned,
	}
	v := visitOf(c)
	switch {
	case o.Account.SubAccount != nil:
		out.From = o.Account.Agency.Name
		if v.role() == roleClient {
			sells, err := a.Billing.Sells(c.Request().Context(), o.Account)
			if err != nil {
				a.sectionFailed(c, "packages", err)
			} else if sells {
				out.BuyHref = "/buy"
			}
		}
	case mayBuy(v):
		out.BuyHref = "/buy"
	default:
		out.Contact = &views.Link{Label: "See prices", Href: "/buy"}
	}
	if o.Account.Agency.Status != models.AgencyActive && o.Account.SubAccount == nil {
		out.Stopped, out.BuyHref, out.Contact = a.haltedWords(), "", nil
	}
	if o.ForecastErr != nil {
		a.sectionFailed(c, "forecast", o.ForecastErr)
	} else {
		out.Forecast = forecastOf(&o.Forecast)
	}
	if o.RepliesErr != nil {
		a.sectionFailed(c, "replies", o.RepliesErr)
	}
	for _, r := range o.Replies {
		if r.Action == "ai.reply" && r.Model != "" {
			out.Replies = append(out.Replies, views.ReplyEstimate{Model: format.Model(r.Model), Count: r.Count})
		} else if r.Model == "" {
			out.Replies = append(out.Replies, views.ReplyEstimate{Action: r.Action, Count: r.Count})
		}
	}
	if err := a.onTheWay(c, o, &out); err != nil {
		a.sectionFailed(c, "purchases", err)
	}
	if b.Excess > 0 && o.Account.SubAccount == nil && mayBuy(v) {
		front, err := a.Billing.Storefront(c.Request().Context(), o.Account)
		if err != nil {
			a.sectionFailed(c, "packs", err)
		}
		for _, offer := range front.Offers {
			if offer.Pack.ID == front.Suggested {
				out.NextPack = offer.Credits
			}
		}
	}
	return out
}

// onTheWay tells of credits that are paid and not booked yet, unless something
// worse has to be said.
func (a *app) onTheWay(c echo.Context, o *billing.OverviewData, out *views.Balance) error {
	pending, err := a.Billing.OnTheWay(c.Request().Context(), o.Account)
	if err != nil || pending == 0 {
		return err
	}
	out.Pending = pending
	switch out.State {
	case views.StateNew, views.StateHealthy, views.StateLow:
		out.State = views.StatePurchasePending
	case views.StateCritical, views.StateExcess, views.StatePaused, views.StateUpstreamPaused, views.StatePurchasePending, views.StateChargeFailed:
	}
	return nil
}

func forecastOf(f *billing.Forecast) views.Forecast {
	out := views.Forecast{
		Kind: views.ForecastKind(f.Kind), PerDay: f.PerDay, From: f.From, To: f.To - 1, Days: int64(len(f.Daily)), RunsOutAt: f.RunsOutAt,
	}
	if f.Kind == billing.ForecastPastReset {
		out.RunsOutAt = f.ResetsAt
	}
	if f.Monthly {
		out.Next, out.NextAt = f.Allowance, f.ResetsAt
	}
	return out
}

// usageCard is the cycle so far.
func (a *app) usageCard(c echo.Context, o *billing.OverviewData) views.UsageCard {
	title, than := "Usage this cycle", "the same days of the previous cycle"
	if o.Cycle == period.CalendarMonth(o.Now, o.Account.Zone) {
		title, than = "Usage this month", "the same days of the month before"
	}
	if o.UsageErr != nil {
		keeps := ""
		if o.BalanceErr == nil {
			keeps = "Your balance above is correct."
		}
		return views.UsageCard{Title: title, Failure: a.failure(c, "Usage", keeps, o.UsageErr)}
	}
	version, err := a.ratesFor(c.Request().Context(), o.Account)
	if err != nil {
		a.sectionFailed(c, "rates", err)
	}
	u := views.Usage{
		Frame: views.Frame{Zone: o.Account.Zone, Now: o.Now}, Base: "/usage", Filter: views.ParseUsageFilter(nil),
	}
	usageFacts(&u, &o.Usage, version)
	u.Previous = nil
	if o.Usage.PreviousTotal > 0 {
		u.PreviousName = than
	}
	return views.CardOf(u, title, "/usage")
}

func (a *app) activityCard(c echo.Context, o *billing.OverviewData) views.ActivityCard {
	out := views.ActivityCard{Href: "/history"}
	if o.LatestErr != nil {
		out.Failure = a.failure(c, "The latest activity", "", o.LatestErr)
		return out
	}
	for i := range o.Latest {
		l := historyLine(&o.Latest[i], o.Account)
		line := views.ActivityLine{
			At: l.At, Until: l.Until, What: l.Kind.Word(), Who: l.Sub, Test: l.Test, Change: l.Change, After: l.After, NoAfter: l.NoAfter, Href: l.Href,
		}
		if l.Kind == views.LineUsed && l.Count > 0 {
			line.What = format.Runs(l.Action, l.Model, l.Count)
		}
		out.Lines = append(out.Lines, line)
	}
	return out
}

// firstReply is a call that works as it stands, with an action of the account's
// own rate card.
func (a *app) firstReply(c echo.Context, account *billing.Account) *views.FirstReply {
	version, err := a.ratesFor(c.Request().Context(), account)
	if err != nil {
		a.sectionFailed(c, "rates", err)
	}
	if len(version.Rates) == 0 {
		return nil
	}
	rate := version.Rates[0]
	return &views.FirstReply{
		Endpoint: strings.TrimRight(a.BaseURL, "/") + "/v1/charges", Wallet: "agency:" + account.Agency.ExternalID, Action: rate.Action, Model: rate.Model,
	}
}

// notice is the one banner: the worst that is true, and the action that ends it.
func (a *app) notice(c echo.Context, o *billing.OverviewData, b *views.Balance) *views.Notice {
	if n := a.halted(o.Account); n != nil {
		return n
	}
	n, state := a.topUpNotice(c, o.Account, b)
	switch b.State {
	case views.StatePaused, views.StateUpstreamPaused: // worse
	case views.StateExcess, views.StateCritical:
		if n != nil && (state == views.TopUpFailed || state == views.TopUpFailing || state == views.TopUpNoCard) {
			return n
		}
	case views.StateNew, views.StateHealthy, views.StateLow, views.StatePurchasePending, views.StateChargeFailed:
		if n != nil {
			return n
		}
	}
	return b.Notice(o.Now, o.Account.Zone, a.buyAgain(c, o, b))
}

// buyAgain is what was bought last, for a balance that is short; nil where nothing
// was, or it is no longer sold.
func (a *app) buyAgain(c echo.Context, o *billing.OverviewData, b *views.Balance) *views.BuyAgain {
	ctx := c.Request().Context()
	switch b.State {
	case views.StateNew, views.StateHealthy, views.StatePurchasePending, views.StateUpstreamPaused, views.StateChargeFailed:
		return nil
	case views.StateLow, views.StateCritical, views.StateExcess, views.StatePaused:
	}
	if b.BuyHref == "" {
		return nil
	}
	if o.Account.SubAccount != nil {
		front, err := a.Billing.Shopfront(ctx, o.Account, "")
		if err != nil {
			a.sectionFailed(c, "packages", err)
			return nil
		}
		for _, offer := range front.Offers {
			if front.Last != nil && offer.ID == front.Last.PackageID && offer.ID == front.Suggested {
				return &views.BuyAgain{Credits: offer.Credits, Price: offer.Total(), Href: "/buy?pack=" + offer.ID.String()}
			}
		}
		return nil
	}
	front, err := a.Billing.Storefront(ctx, o.Account)
	if err != nil {
		a.sectionFailed(c, "packs", err)
		return nil
	}
	for _, offer := range front.Offers {
		if front.Last != nil && offer.Pack.ID == front.Last.PackID && offer.Pack.ID == front.Suggested && offer.Pack.Kind == models.PackFixed {
			return &views.BuyAgain{Credits: offer.Credits, Price: offer.Price, Href: "/buy?pack=" + offer.Pack.Code}
		}
	}
	return nil
}
