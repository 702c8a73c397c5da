package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// asked is what a usage page's address asks for.
type asked struct {
	filter  views.UsageFilter
	period  billing.UsagePeriod
	query   billing.UsageQuery
	account *billing.Account
}

// readUsage takes an address apart. What a reader may not ask for is left out; a
// sub-account that is not there is not found.
func (a *app) readUsage(ctx context.Context, account *billing.Account, q url.Values) (asked, error) {
	in := asked{filter: views.ParseUsageFilter(q), account: account}
	f := &in.filter
	if account.SubAccount != nil {
		f.Sub = ""
		if f.Group == views.GroupSubAccount {
			f.Group = views.GroupModel
		}
	}
	err := askedDays(f)
	if err != nil {
		return in, err
	}
	if in.period, err = a.Billing.UsagePeriod(ctx, account, billing.PeriodName(f.Period), f.From, f.To); err != nil {
		return in, err
	}
	if f.Interval == views.IntervalHour && in.period.Length() > (billing.MaxUsageHourly*24+1)*time.Hour {
		f.Interval = views.IntervalAuto // more bars than anybody could read
	}
	in.query = billing.UsageOf(account)
	in.query.From, in.query.To, in.query.Before, in.query.Compare = in.period.Start, in.period.End, in.period.Before, true
	in.query.Group, in.query.Interval = usageGroup(f.Group), billing.UsageInterval(f.Interval)
	in.query.Action, in.query.Model = f.Action, f.Model
	wallet, known, err := a.subWallet(ctx, account, f.Sub)
	if err == nil && !known {
		err = problem.Missing("sub-account")
	}
	if f.Sub != "" {
		in.query.Wallet = wallet
	}
	return in, err
}

// askedDays judges the dates of a page that shows custom ones.
func askedDays(f *views.UsageFilter) error {
	if f.Period != views.PeriodCustom {
		return nil
	}
	return days{from: f.From, to: f.To, until: "To"}.check()
}

func usageGroup(g views.UsageGroup) billing.UsageGroup {
	switch g {
	case views.GroupAction:
		return billing.ByAction
	case views.GroupSubAccount:
		return billing.BySubAccount
	case views.GroupBucket:
		return billing.ByBucket
	case views.GroupAgency:
		return billing.ByAgency
	case views.GroupPlan:
		return billing.ByPlan
	case views.GroupModel:
	}
	return billing.ByModelAction
}

func (a *app) usage(c echo.Context) error {
	ctx, account := c.Request().Context(), visitOf(c).viewer.Account()
	in, err := a.readUsage(ctx, account, c.QueryParams())
	out := views.Usage{Base: "/usage", Filter: in.filter, Groups: usageGroups(account)}
	if err == nil {
		err = a.fillUsage(ctx, &out, &in)
	}
	code, err := a.settleUsage(c, &out, "Your balance is not affected.", err)
	if err != nil {
		return err
	}
	return page(c, code, views.UsagePage(out))
}

// settleUsage is a usage page with what could be read: dates that are no period
// leave the form with what is wrong with them, a fault leaves its section out.
func (a *app) settleUsage(c echo.Context, out *views.Usage, keeps string, err error) (code int, _ error) {
	code = http.StatusOK
	if wrong, ok := errors.AsType[wrongDaysError](err); ok {
		out.Errors, code = views.FieldErrors(wrong), http.StatusUnprocessableEntity
	} else if err != nil {
		if problem.Of(err) != nil {
			return code, err
		}
		out.Failure = a.failure(c, "Usage", keeps, err)
	}
	if out.Frame, err = a.frame(c, "Usage", "usage", nil); err != nil {
		return code, err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return code, nil
}

// usageGroups is what a reader may tell apart: a client has no sub-accounts.
func usageGroups(account *billing.Account) []views.UsageGroup {
	if account.SubAccount != nil {
		return []views.UsageGroup{views.GroupModel, views.GroupAction, views.GroupBucket}
	}
	return []views.UsageGroup{views.GroupModel, views.GroupAction, views.GroupSubAccount, views.GroupBucket}
}

func (a *app) fillUsage(ctx context.Context, out *views.Usage, in *asked) error {
	scope := billing.Scope{Agency: in.account.Agency.ID}
	r, err := a.Billing.Usage(ctx, scope, in.query)
	if err != nil {
		return err
	}
	version, err := a.ratesFor(ctx, in.account)
	if err != nil {
		return err
	}
	usageFacts(out, &r, version)
	out.PreviousName = previousName(in.filter.Period)
	if r.PreviousTotal == 0 && !in.filter.Compare {
		out.PreviousName = ""
	}
	if !in.filter.Compare {
		out.Previous = nil
	}
	choices, err := a.Billing.UsageChoices(ctx, scope, in.query)
	if err != nil {
		return err
	}
	out.Actions, out.Models = actionOptions(choices.Actions), modelOptions(choices.Models)
	if out.Subs, err = a.subOptions(ctx, in.account); err != nil {
		return err
	}
	if len(r.Rows) == 0 {
		return a.nearest(ctx, out, scope, in.query)
	}
	if in.filter.Period == views.PeriodCycle && !in.filter.Narrowed() {
		outlook, err := a.Billing.Outlook(ctx, in.account, r.Total.Credits())
		if err != nil {
			return err
		}
		out.Plan, out.Projected = in.period.Allowance, outlook.Projected
		if outlook.Forecast.PerDay > 0 {
			out.Pace = &views.UsagePace{PerDay: outlook.Forecast.PerDay, Word: outlook.Pace.Word}
		}
	}
	return nil
}

func actionOptions(codes []string) []views.Option {
	var out []views.Option
	for _, code := range codes {
		out = append(out, views.Option{Value: code, Label: format.Action(code)})
	}
	return out
}

func modelOptions(codes []string) []views.Option {
	var out []views.Option
	for _, code := range codes {
		out = append(out, views.Option{Value: code, Label: format.Model(code)})
	}
	return out
}

// ratesFor is the rate card in force for an account, empty where there is none.
func (a *app) ratesFor(ctx context.Context, account *billing.Account) (ratecard.Version, error) {
	version, err := a.Billing.RateCardFor(ctx, &account.Agency, a.Billing.Now())
	if problem.Is(err, "no_rate_card") {
		return ratecard.Version{}, nil
	}
	return version, err
}

// usageFacts is a report as the page's rows and bars.
func usageFacts(out *views.Usage, r *billing.UsageReport, version ratecard.Version) {
	out.From, out.To, out.Unit, out.Previous = r.Query.From, r.Query.To, views.UsageInterval(r.Query.Interval), r.Previous
	for _, b := range r.Buckets {
		out.Starts = append(out.Starts, b.Start)
	}
	for _, s := range r.Ahead {
		out.Ahead = append(out.Ahead, s.Start)
	}
	names := map[billing.UsageKey]string{}
	for i := range r.Rows {
		row := &r.Rows[i]
		share := usageShare(row)
		share.Only = only(r, row)
		names[row.Key] = share.Name
		if row.Key.Action != "" {
			share.Rate = rateOf(version, row.Key)
		}
		out.Rows = append(out.Rows, share)
	}
	for _, key := range r.Order {
		if name, shown := names[key]; shown {
			out.Colour = append(out.Colour, name)
		} else if key.Wallet.IsZero() && key.Agency.IsZero() {
			out.Colour = append(out.Colour, usageName(key, ""))
		} else {
			out.Colour = append(out.Colour, key.Wallet.String()+key.Agency.String()) // keeps its place
		}
	}
}

// usageShare is a row with what it cost.
func usageShare(row *billing.UsageRow) views.UsageShare {
	share := views.UsageShare{Name: usageName(row.Key, row.Name), Units: row.Total.Units, Previous: row.Previous}
	for _, count := range row.Counts {
		share.Values = append(share.Values, count.Credits())
	}
	return share
}

// only is what a click on a row narrows to; the agency's own usage among its
// sub-accounts has nothing.
func only(r *billing.UsageReport, row *billing.UsageRow) views.UsageOnly {
	out := views.UsageOnly{Model: row.Key.Model, Action: row.Key.Action, Plan: row.Key.Plan}
	if r.Query.Group == billing.BySubAccount {
		out.Sub = row.ExternalID
	}
	if r.Query.Group == billing.ByAgency {
		out.Agency = row.ExternalID
	}
	return out
}

// usageName is what a row is called.
func usageName(k billing.UsageKey, named string) string {
	switch {
	case named != "":
		return named
	case k.Bucket != "":
		return bucketName(k.Bucket)
	case k.Plan != "":
		return k.Plan
	}
	return format.ActionModel(k.Action, k.Model)
}

func bucketName(b models.Bucket) string {
	switch b {
	case models.BucketPlan:
		return "Plan credits"
	case models.BucketPurchased:
		return "Purchased credits"
	case models.BucketAssigned:
		return "Assigned credits"
	case models.BucketBonus:
		return "Bonus credits"
	case models.BucketExcess:
		return "Excess usage"
	}
	return string(b)
}

// rateOf is what one unit costs now, nil where no rate is left or it has no base.
func rateOf(version ratecard.Version, k billing.UsageKey) *views.UsageRate {
	rate, err := version.Find(k.Action, k.Model)
	if err != nil {
		return nil // it is no longer on the card
	}
	if rate.Base == 0 && len(rate.Components) > 0 {
		return nil
	}
	return &views.UsageRate{Credits: rate.Base, From: len(rate.Components) > 0 || rate.Minimum != nil}
}

func previousName(p views.UsagePeriod) string {
	switch p {
	case views.PeriodCycle:
		return "the same days of the previous cycle"
	case views.PeriodPrevious:
		return "the cycle before it"
	case views.Period24Hours:
		return "the 24 hours before"
	case views.Period7Days:
		return "the 7 days before"
	case views.Period30Days:
		return "the 30 days before"
	case views.Period90Days:
		return "the 90 days before"
	case views.PeriodCustom:
		return "the days before"
	}
	return ""
}

// nearest offers periods that have usage when this one has none.
func (a *app) nearest(ctx context.Context, out *views.Usage, scope billing.Scope, q billing.UsageQuery) error {
	at, err := a.Billing.LastUsed(ctx, scope, q)
	if err != nil {
		return err
	}
	if at == 0 {
		out.Never = !out.Filter.Narrowed()
		return nil
	}
	day := at.In(q.Zone).Format(time.DateOnly)
	f := out.Filter
	f.Period, f.From, f.To, f.Interval = views.PeriodCustom, day, day, views.IntervalAuto
	out.Nearest = append(out.Nearest, views.Link{Label: "The last day with usage", Href: address(out.Base, f.Values())})
	if now := a.Billing.Now(); now.Sub(at) < 90*24*time.Hour {
		f = out.Filter
		f.Period, f.From, f.To = views.Period90Days, "", ""
		out.Nearest = append(out.Nearest, views.Link{Label: "Last 90 days", Href: address(out.Base, f.Values())})
	}
	return nil
}

// usageCSV is the page's own numbers by account, action and model.
func (a *app) usageCSV(c echo.Context) error {
	ctx, account := c.Request().Context(), visitOf(c).viewer.Account()
	in, err := a.readUsage(ctx, account, c.QueryParams())
	if err != nil {
		return err
	}
	export, err := a.Billing.UsageCSV(ctx, billing.Scope{Agency: account.Agency.ID}, in.query)
	if err != nil {
		return err
	}
	return a.download(c, "usage", in.query.From, in.query.To, export)
}
