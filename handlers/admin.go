package handlers

import (
	"context"
	"encoding/csv"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
	"refill/views"
)

// fleet is every agency and how it stands.
func (a *app) fleet(c echo.Context) error {
	out := views.Fleet{}
	cursor := c.QueryParam("cursor")
	found, err := a.Billing.Fleet(c.Request().Context(), cursor, 0)
	if problem.Is(err, "invalid_cursor") {
		return problem.Missing("page")
	}
	if err == nil {
		err = found.Used24hErr
	}
	if err != nil {
		out.Failure = a.failure(c, "The fleet", "", err)
	}
	out.Used24h, out.Paused, out.Low, out.Below, out.Unpaid = found.Used24h, found.Paused, found.Low, found.Below, found.Unpaid
	for i := range found.Rows {
		row := &found.Rows[i]
		out.Rows = append(out.Rows, views.FleetRow{
			Name: row.Name, Plan: row.Plan, State: views.State(row.State), Left: row.Left, Used30d: row.Used30d, SubAccounts: row.SubAccounts,
		})
	}
	if cursor != "" {
		out.Pager.Newer = "/admin"
	}
	if found.Next != "" {
		out.Pager.Older = address("/admin", url.Values{"cursor": {found.Next}})
	}
	if out.Frame, err = a.frame(c, "Fleet", "fleet", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.FleetPage(out))
}

// readFleetUsage takes the address of the platform's usage page apart: bare, it
// is the last 30 days by agency. One agency is told apart by what it used.
func (a *app) readFleetUsage(ctx context.Context, q url.Values) (views.UsageFilter, billing.UsageQuery, error) {
	if len(q) == 0 {
		q = url.Values{"p": {string(views.Period30Days)}, "g": {string(views.GroupAgency)}}
	}
	f := views.ParseUsageFilter(q)
	f.Sub = ""
	if f.Group == views.GroupSubAccount || f.Agency != "" && f.Group == views.GroupAgency {
		f.Group = views.GroupModel
	}
	if err := askedDays(&f); err != nil {
		return f, billing.UsageQuery{}, err
	}
	at, err := a.Billing.UsagePeriod(ctx, &billing.Account{Zone: time.UTC}, billing.PeriodName(f.Period), f.From, f.To)
	if err != nil {
		return f, billing.UsageQuery{}, err
	}
	if f.Interval == views.IntervalHour && at.Length() > (billing.MaxUsageHourly*24+1)*time.Hour {
		f.Interval = views.IntervalAuto
	}
	out := billing.UsageQuery{
		Zone: time.UTC, From: at.Start, To: at.End, Before: at.Before, Compare: true,
		Group: usageGroup(f.Group), Interval: billing.UsageInterval(f.Interval), Action: f.Action, Model: f.Model,
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
	out := views.Usage{
		Base: "/admin/usage", Filter: filter,
		Groups: []views.UsageGroup{views.GroupAgency, views.GroupModel, views.GroupAction, views.GroupBucket},
	}
	if err == nil {
		err = a.fillFleetUsage(ctx, &out, q)
	}
	return a.showUsage(c, &out, "", err)
}

func (a *app) fillFleetUsage(ctx context.Context, out *views.Usage, q billing.UsageQuery) error {
	r, err := a.Billing.Usage(ctx, billing.Scope{}, q)
	if err != nil {
		return err
	}
	usageFacts(out, &r, ratecard.Version{})
	if !out.Filter.Compare {
		out.Previous = nil
	}
	if r.PreviousTotal > 0 || out.Filter.Compare {
		out.PreviousName = previousName(out.Filter.Period)
	}
	agencies, err := a.Billing.Agencies(ctx)
	for i := range agencies {
		out.Agencies = append(out.Agencies, views.Option{Value: agencies[i].ExternalID, Label: agencies[i].Name})
	}
	return err
}

// fleetUsageCSV is the page's own numbers, a row for each name and interval.
func (a *app) fleetUsageCSV(c echo.Context) error {
	ctx := c.Request().Context()
	_, q, err := a.readFleetUsage(ctx, c.QueryParams())
	if err != nil {
		return err
	}
	r, err := a.Billing.Usage(ctx, billing.Scope{}, q)
	if err != nil {
		return err
	}
	return a.download(c, "usage", q.From, q.To, func(w io.Writer) error {
		out := csv.NewWriter(w)
		out.UseCRLF = true
		if err := out.Write([]string{"time_utc", "name", "agency", "action", "model", "credit_type", "units", "charges", "tests", "credits"}); err != nil {
			return err
		}
		for i, bucket := range r.Buckets {
			for j := range r.Rows {
				row, n := &r.Rows[j], r.Rows[j].Counts[i]
				if n == (billing.UsageCount{}) {
					continue
				}
				if err := out.Write([]string{
					bucket.Start.Go().Format(time.RFC3339), text(usageName(row.Key, row.Name)), text(row.ExternalID), text(row.Key.Action), text(row.Key.Model),
					string(row.Key.Bucket), strconv.FormatInt(n.Units, 10), strconv.FormatInt(n.Charges, 10), strconv.FormatInt(n.Tests, 10), n.Credits().String(),
				}); err != nil {
					return err
				}
			}
		}
		out.Flush()
		return out.Error()
	})
}
