package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"refill/billing"
	"refill/billing/period"
	"refill/billing/problem"
)

// usageRow is one name in one interval.
type usageRow struct {
	Start   moment  `json:"start" doc:"Of the interval, in the account's time zone."`
	Group   *string `json:"group" doc:"The model, action or sub-account (its external id; null is the agency itself); null without grouping."`
	Credits credits `json:"credits"`
	Units   int64   `json:"units" doc:"Replies, or pages and the like where only those are priced."`
	Charges int64   `json:"charges" doc:"Without the reversed ones."`
}

// usageReport is where credits went.
type usageReport struct {
	Data       []usageRow `json:"data" nullable:"false" doc:"Oldest first; intervals without usage are left out."`
	NextCursor *string    `json:"next_cursor" doc:"Always null: a report is one page."`
	Total      credits    `json:"total" doc:"The sum of data, and of the ledger."`
	From       moment     `json:"from"`
	To         moment     `json:"to"`
}

type usageQuery struct {
	Wallet   string `query:"wallet" doc:"Usage of this wallet; an agency's own stands for the whole agency." example:"agency:northwind"`
	Agency   string `query:"agency" doc:"Usage of all wallets of this agency. An agency's key may leave both out; the platform's then reads all agencies."`
	From     string `query:"from" doc:"RFC 3339; 30 days before to unless told." example:"2026-02-01T00:00:00Z"`
	To       string `query:"to" doc:"RFC 3339, not included; now unless told." example:"2026-03-01T00:00:00Z"`
	Group    string `query:"group" enum:"model,action,sub_account" doc:"Tell these apart."`
	Interval string `query:"interval" enum:"hour,day" default:"day"`
}

func (a *api) usage() {
	typed(a, AnyKey, huma.Operation{
		OperationID: "get-usage", Method: http.MethodGet, Path: "/v1/usage", Summary: "Read where credits went", Tags: []string{"Usage"},
		Description: "Reads the counters that charges write, by the time of booking; up to 366 days, by the hour up to 31.",
	}, func(ctx context.Context, who caller, in *usageQuery) (*found[usageReport], error) {
		q, err := a.usageQuery(ctx, who, in)
		if err != nil {
			return nil, err
		}
		r, err := a.s.Usage(ctx, who.scope, q)
		if err != nil {
			return nil, err
		}
		return &found[usageReport]{usageOf(&r)}, nil
	})
}

func (a *api) usageQuery(ctx context.Context, who caller, in *usageQuery) (billing.UsageQuery, error) {
	q := billing.UsageQuery{Group: billing.ByNothing, Interval: billing.Daily}
	switch {
	case in.Wallet != "":
		account, err := a.s.Find(ctx, who.scope, in.Wallet)
		if err != nil {
			return q, err
		}
		q = billing.UsageOf(account)
		q.Group, q.Interval = billing.ByNothing, billing.Daily
	case in.Agency != "" || !who.scope.Platform():
		owner, err := a.s.FindAgency(ctx, who.scope, in.Agency)
		if err != nil {
			return q, onField(err, "agency")
		}
		q.Agency, q.Zone = owner.ID, billing.Zone(owner.TimeZone)
	default:
		q.Zone = time.UTC
	}
	if in.Group != "" {
		q.Group = billing.UsageGroup(in.Group)
	}
	if q.Group == billing.BySubAccount && q.Agency.IsZero() {
		return q, problem.New(problem.Invalid, "agency_missing", "Name the agency whose sub-accounts to tell apart.").On("agency")
	}
	if in.Interval == string(billing.Hourly) {
		q.Interval = billing.Hourly
	}
	var err error
	if q.From, err = parseTime(in.From, "from"); err != nil {
		return q, err
	}
	if q.To, err = parseTime(in.To, "to"); err != nil {
		return q, err
	}
	if q.To == 0 {
		q.To = a.s.Now() + 1
	}
	if q.From == 0 {
		q.From = period.DayStart(q.To.Add(-30*24*time.Hour), q.Zone)
		if q.Interval == billing.Hourly {
			q.From = period.DayStart(q.To.Add(-2*24*time.Hour), q.Zone)
		}
	}
	return q, nil
}

func usageOf(r *billing.UsageReport) usageReport {
	out := usageReport{Data: []usageRow{}, Total: creditsOf(r.Total.Credits()), From: moment(r.Query.From), To: moment(r.Query.To)}
	for i, b := range r.Buckets {
		for j := range r.Rows {
			c := r.Rows[j].Counts[i]
			if c.Charges == 0 && c.Units == 0 && c.Credits() == 0 {
				continue // tests alone cost nothing
			}
			out.Data = append(out.Data, usageRow{
				Start: moment(b.Start), Group: groupOf(r.Query.Group, &r.Rows[j]), Credits: creditsOf(c.Credits()), Units: c.Units, Charges: c.Charges,
			})
		}
	}
	return out
}

func groupOf(g billing.UsageGroup, row *billing.UsageRow) *string {
	switch g {
	case billing.ByModel:
		return &row.Key.Model
	case billing.ByAction:
		return &row.Key.Action
	case billing.BySubAccount:
		return orNull(row.ExternalID)
	case billing.ByNothing, billing.ByModelAction, billing.ByBucket, billing.ByAgency, billing.ByPlan:
	}
	return nil
}
