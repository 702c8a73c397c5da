package views

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// UsagePeriod is the stretch of time a usage page covers.
type UsagePeriod string

// The periods. A cycle is the account's own: from one reset to the next.
const (
	PeriodCycle    UsagePeriod = "cycle"
	PeriodPrevious UsagePeriod = "previous"
	Period24Hours  UsagePeriod = "24h"
	Period7Days    UsagePeriod = "7d"
	Period30Days   UsagePeriod = "30d"
	Period90Days   UsagePeriod = "90d"
	PeriodCustom   UsagePeriod = "custom"
)

// UsageGroup is what a usage page tells apart.
type UsageGroup string

// The groupings.
const (
	GroupModel      UsageGroup = "model" // model and action
	GroupAction     UsageGroup = "action"
	GroupSubAccount UsageGroup = "sub_account"
	GroupBucket     UsageGroup = "bucket" // plan, purchased, assigned, bonus, excess
	GroupAgency     UsageGroup = "agency" // across agencies only
	GroupPlan       UsageGroup = "plan"   // the same
)

// UsageInterval is the width of a bar.
type UsageInterval string

// The intervals. Auto is an hour up to 48 hours, a day up to 92 days, else a week.
const (
	IntervalAuto UsageInterval = "auto"
	IntervalHour UsageInterval = "hour"
	IntervalDay  UsageInterval = "day"
	IntervalWeek UsageInterval = "week"
	// IntervalMonth is a calendar month.
	IntervalMonth UsageInterval = "month"
)

// UsageView is how the chart adds up.
type UsageView string

// The two charts.
const (
	ViewDaily      UsageView = "daily" // a bar per interval
	ViewCumulative UsageView = "cumulative"
)

// UsageFilter is everything the address of a usage page says. ParseUsageFilter
// replaces what it does not know by the default, all but the dates: another period
// than the one asked for would be a wrong answer, so they stay as they were typed.
type UsageFilter struct {
	Period   UsagePeriod
	From, To string // local days of a custom period, "2026-11-01", both included, as typed; "" otherwise
	Group    UsageGroup
	Interval UsageInterval
	View     UsageView
	Compare  bool
	Agency   string // external id; across agencies only
	Plan     string // code; across agencies only
	Sub      string // external id; within one agency only
	Model    string
	Action   string
	Fleet    bool // of the page across agencies, which has other defaults
}

// maxFilterText bounds what a filter may hold, in bytes.
const maxFilterText = 200

// ParseUsageFilter reads the address of an account's page. It never fails: an
// address that was typed or is old shows the nearest page there is. Dates without a
// period are custom dates; whether they are any is for the page to say.
func ParseUsageFilter(q url.Values) UsageFilter {
	f := parseFilter(q, UsageFilter{Period: PeriodCycle, Group: GroupModel},
		GroupModel, GroupAction, GroupSubAccount, GroupBucket)
	f.Sub = filterText(q.Get("sub"))
	return f
}

// ParseFleetFilter reads the address of the page across agencies in the same way.
// One agency is told apart by what it used.
func ParseFleetFilter(q url.Values) UsageFilter {
	f := parseFilter(q, fleetDefaults(), GroupAgency, GroupPlan, GroupModel, GroupAction, GroupBucket)
	f.Agency, f.Plan = filterText(q.Get("agency")), filterText(q.Get("plan"))
	if f.Agency != "" && (f.Group == GroupAgency || f.Group == GroupPlan) {
		f.Group = GroupModel
	}
	return f
}

// fleetDefaults are what the page across agencies shows when nothing is asked for.
func fleetDefaults() UsageFilter {
	return UsageFilter{Period: Period30Days, Group: GroupAgency, Fleet: true}
}

// parseFilter reads what all usage pages have; what it does not know is as in the
// defaults.
func parseFilter(q url.Values, defaults UsageFilter, groups ...UsageGroup) UsageFilter {
	f := UsageFilter{
		Period: oneOf(UsagePeriod(q.Get("p")), defaults.Period, PeriodCycle, PeriodPrevious, Period24Hours,
			Period7Days, Period30Days, Period90Days, PeriodCustom),
		Group: oneOf(UsageGroup(q.Get("g")), append([]UsageGroup{defaults.Group}, groups...)...),
		Interval: oneOf(UsageInterval(q.Get("i")), IntervalAuto, IntervalHour, IntervalDay,
			IntervalWeek, IntervalMonth),
		View:    oneOf(UsageView(q.Get("v")), ViewDaily, ViewCumulative),
		Compare: q.Get("cmp") == "1",
		Model:   filterText(q.Get("model")),
		Action:  filterText(q.Get("action")),
		Fleet:   defaults.Fleet,
	}
	if from, to := typedDay(q.Get("from")), typedDay(q.Get("to")); f.Period == PeriodCustom || q.Get("p") == "" && from+to != "" {
		f.Period, f.From, f.To = PeriodCustom, from, to
	}
	return f
}

// Values is the filter as an address's query; defaults are left out.
func (f UsageFilter) Values() url.Values {
	q, defaults := url.Values{}, UsageFilter{Period: PeriodCycle, Group: GroupModel}
	if f.Fleet {
		defaults = fleetDefaults()
		if f.Agency != "" {
			defaults.Group = GroupModel
		}
	}
	set := func(key, value, unless string) {
		if value != unless {
			q.Set(key, value)
		}
	}
	set("p", string(f.Period), string(defaults.Period))
	set("from", f.From, "")
	set("to", f.To, "")
	set("g", string(f.Group), string(defaults.Group))
	set("i", string(f.Interval), string(IntervalAuto))
	set("v", string(f.View), string(ViewDaily))
	set("agency", f.Agency, "")
	set("plan", f.Plan, "")
	set("sub", f.Sub, "")
	set("model", f.Model, "")
	set("action", f.Action, "")
	if f.Compare {
		q.Set("cmp", "1")
	}
	return q
}

// Narrowed tells whether the filter leaves anything out beside time.
func (f UsageFilter) Narrowed() bool {
	return cmp.Or(f.Agency, f.Plan, f.Sub, f.Model, f.Action) != ""
}

// cleared is the same page without what narrows it.
func (f UsageFilter) cleared() UsageFilter {
	f.Agency, f.Plan, f.Sub, f.Model, f.Action = "", "", "", "", ""
	return f
}

// days is the same page over a range of local days.
func (f UsageFilter) days(from, to time.Time, interval UsageInterval) UsageFilter {
	f.Period, f.From, f.To, f.Interval = PeriodCustom, from.Format(time.DateOnly), to.Format(time.DateOnly), interval
	f.View = ViewDaily
	return f
}

// href is an address with a query, without a question mark when it is empty.
func href(base string, q url.Values) string {
	if len(q) == 0 {
		return base
	}
	return base + "?" + q.Encode()
}

// oneOf is v if it is known, else the first of the known values.
func oneOf[T ~string](v T, known ...T) T {
	if slices.Contains(known, v) {
		return v
	}
	return known[0]
}

// filterText takes what a filter may hold, "" for anything else.
func filterText(s string) string {
	if len(s) > maxFilterText || !utf8.ValidString(s) {
		return ""
	}
	return s
}

// typedDay is a date as it was typed, to be judged and shown again; it is never
// empty because it was too long or not text.
func typedDay(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "?"))
	if len(s) > maxFilterText {
		s = strings.TrimSpace(strings.ToValidUTF8(s[:maxFilterText], ""))
	}
	return s
}

// period is the filter's period as it begins a heading. The platform's cycle is the
// calendar's month.
func (f UsageFilter) period(p UsagePeriod) string {
	switch {
	case f.Fleet && p == PeriodCycle:
		return "This month"
	case f.Fleet && p == PeriodPrevious:
		return "Previous month"
	}
	return p.word()
}

// word is a period as it begins a heading.
func (p UsagePeriod) word() string {
	switch p {
	case PeriodCycle:
		return "This cycle"
	case PeriodPrevious:
		return "Previous cycle"
	case Period24Hours:
		return "Last 24 hours"
	case Period7Days:
		return "Last 7 days"
	case Period30Days:
		return "Last 30 days"
	case Period90Days:
		return "Last 90 days"
	case PeriodCustom:
		return "Custom dates"
	}
	return string(p)
}

// word is a grouping as the form lists it.
func (g UsageGroup) word() string {
	switch g {
	case GroupModel:
		return "Model and action"
	case GroupAction:
		return "Action"
	case GroupSubAccount:
		return "Sub-account"
	case GroupBucket:
		return "Credit type"
	case GroupAgency:
		return "Agency"
	case GroupPlan:
		return "Plan"
	}
	return string(g)
}

// by is a grouping within a sentence: "by model and action".
func (g UsageGroup) by() string {
	switch g {
	case GroupModel:
		return "by model and action"
	case GroupAction:
		return "by action"
	case GroupSubAccount:
		return "by sub-account"
	case GroupBucket:
		return "by credit type"
	case GroupAgency:
		return "by agency"
	case GroupPlan:
		return "by plan"
	}
	return "by " + string(g)
}

// word is an interval as the form lists it.
func (i UsageInterval) word() string {
	switch i {
	case IntervalAuto:
		return "Automatic"
	case IntervalHour:
		return "Hour"
	case IntervalDay:
		return "Day"
	case IntervalWeek:
		return "Week"
	case IntervalMonth:
		return "Month"
	}
	return string(i)
}

// noun is the interval's own word: "day".
func (i UsageInterval) noun() string {
	switch i {
	case IntervalHour:
		return "hour"
	case IntervalWeek:
		return "week"
	case IntervalMonth:
		return "month"
	case IntervalAuto, IntervalDay:
		return "day"
	}
	return "day"
}
