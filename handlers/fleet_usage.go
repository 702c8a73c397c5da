package handlers

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/ratecard"
	"refill/models"
	"refill/views"
)

// readFleetUsage takes the address of the platform's usage page apart, in the
// platform's zone: bare, it is the last 30 days by agency.
func (a *app) readFleetUsage(ctx context.Context, q url.Values) (views.UsageFilter, billing.UsageQuery, error) {
	f := views.ParseFleetFilter(q)
	zone, err := a.Billing.PlatformZone(ctx)
	if err != nil {
		return f, billing.UsageQuery{Zone: time.UTC}, err
	}
	out := billing.UsageQuery{
		Zone: zone, Compare: true, Group: usageGroup(f.Group), Interval: billing.UsageInterval(f.Interval),
		Plan: f.Plan, Action: f.Action, Model: f.Model,
	}
	if err := askedDays(&f); err != nil {
		return f, out, err
	}
	at, err := a.Billing.UsagePeriod(ctx, &billing.Account{Zone: zone}, billing.PeriodName(f.Period), f.From, f.To)
	if err != nil {
		return f, out, err
	}
	out.From, out.To, out.Before = at.Start, at.End, at.Before
	if f.Interval == views.IntervalHour && at.Length() > (billing.MaxUsageHourly*24+1)*time.Hour {
		f.Interval, out.Interval = views.IntervalAuto, billing.AutoInterval
	}
	if f.Agency != "" {
		var agency models.Agency
		if agency, err = a.Billing.AgencyByRef(ctx, billing.Scope{}, f.Agency); err == nil {
			out.Agency = agency.ID
		}
	}
	return f, out, err
}

// fleetUsage is where credits went across agencies.
func (a *app) fleetUsage(c echo.Context) error {
	ctx := c.Request().Context()
	filter, q, err := a.readFleetUsage(ctx, c.QueryParams())
	out := views.FleetUsage{Usage: views.Usage{
		Base: "/admin/usage", Filter: filter,
		Groups: []views.UsageGroup{views.GroupAgency, views.GroupPlan, views.GroupModel, views.GroupAction, views.GroupBucket},
	}}
	if err == nil {
		err = a.fillFleetUsage(ctx, &out, q)
	}
	code, err := a.settleUsage(c, &out.Usage, "Balances are not affected.", err)
	if err != nil {
		return err
	}
	out.Frame.Zone = q.Zone
	return page(c, code, views.FleetUsagePage(out))
}

func (a *app) fillFleetUsage(ctx context.Context, out *views.FleetUsage, q billing.UsageQuery) error {
	r, err := a.Billing.FleetUsage(ctx, billing.Scope{}, q)
	if err != nil {
		return err
	}
	usageFacts(&out.Usage, &r.UsageReport, ratecard.Version{})
	if r.PreviousTotal > 0 || out.Filter.Compare {
		out.PreviousName = fleetPreviousName(out.Filter.Period)
	}
	if !out.Filter.Compare {
		out.Previous = nil
	}
	pages := map[string]string{}
	for _, m := range r.Listed {
		out.Agencies = append(out.Agencies, views.Option{Value: m.ExternalID, Label: m.Name})
		pages[m.ExternalID] = "/admin/agencies/" + m.ID.String()
		if m.ID == q.Agency {
			out.Owner = &views.Link{Label: "Open " + m.Name, Href: pages[m.ExternalID]}
		}
	}
	for _, p := range r.Plans {
		out.Plans = append(out.Plans, views.Option{Value: p.Code, Label: p.Name})
	}
	if slices.ContainsFunc(r.Listed, func(m billing.FleetMember) bool { return m.Plan == billing.NoPlan }) {
		out.Plans = append(out.Plans, views.Option{Value: billing.NoPlan, Label: "No plan"})
	}
	out.Actions, out.Models = actionOptions(r.Actions), modelOptions(r.Models)
	for i := range r.Agencies {
		row := &r.Agencies[i]
		share := usageShare(row)
		share.Only, share.Page = views.UsageOnly{Agency: row.ExternalID}, pages[row.ExternalID]
		out.Each = append(out.Each, share)
	}
	if r.Query.Group == billing.ByAgency {
		out.Rows = out.Each
	}
	for _, s := range r.Sold {
		out.Sold = append(out.Sold, s.Credits())
		out.Allowances, out.Packs = out.Allowances+s.Allowances, out.Packs+s.Packs
	}
	if len(r.Rows) == 0 {
		return a.nearest(ctx, &out.Usage, billing.Scope{}, r.Query)
	}
	return nil
}

// fleetPreviousName is what a period of the platform is compared with.
func fleetPreviousName(p views.UsagePeriod) string {
	switch p {
	case views.PeriodCycle:
		return "the same days of the previous month"
	case views.PeriodPrevious:
		return "the month before it"
	case views.Period24Hours, views.Period7Days, views.Period30Days, views.Period90Days, views.PeriodCustom:
	}
	return previousName(p)
}

// fleetUsageCSV is the page's own numbers by agency, action and model.
func (a *app) fleetUsageCSV(c echo.Context) error {
	ctx := c.Request().Context()
	_, q, err := a.readFleetUsage(ctx, c.QueryParams())
	if err != nil {
		return err
	}
	export, err := a.Billing.FleetUsageCSV(ctx, billing.Scope{}, q)
	if err != nil {
		return err
	}
	return a.download(c, "usage", q.From, q.To, export)
}
