package views

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"refill/models"
	"refill/views/chart"
	"refill/views/format"
)

// maxUsageRows is how many names the table lists before it folds the rest.
const maxUsageRows = 50

// Usage is where credits went: for an agency, a client or, across agencies, an
// admin. Every figure on it is added up from Rows, so that sentence, figures,
// chart, both tables and their totals cannot disagree.
type Usage struct {
	Frame  Frame
	Base   string // path of the page: "/usage", "/admin/usage"; the export is Base + ".csv"
	Filter UsageFilter
	Groups []UsageGroup // what this reader may group by, in the form's order

	// What the form can narrow to; an empty list leaves its field out.
	Agencies, Plans, Subs, Models, Actions []Option

	From, To  models.Time   // the period, half-open, cut in the frame's zone
	Unit      UsageInterval // of the bars: hour, day or week, never auto
	Starts    []models.Time // of the intervals that have begun, oldest first
	Ahead     []models.Time // of those still to come
	CountedTo models.Time   // usage after this is not all counted yet; unset: everything is

	Rows   []UsageShare
	Colour []string // the account's stored order of names, for chart.Slots

	Sold []models.Credits // per interval, to agencies; nil leaves it out

	Previous     []models.Credits // per interval, matched by weekday; nil: not compared
	PreviousName string           // "the previous cycle"; "" leaves comparisons out

	Pace      *UsagePace     // nil: not enough data
	Plan      models.Credits // allowance of the cycle; 0: none or not a cycle
	Projected models.Credits // expected at the end of the cycle; 0: unknown

	Errors  FieldErrors // of the dates, "from" and "to": the form alone is shown
	Owner   *Link       // to the page of the one agency shown; nil for none
	Never   bool        // this account has never used a credit
	Nearest []Link      // periods that have usage, offered when this one has none
	Failure *SectionFailure
}

// Option is one choice of a list.
type Option struct{ Value, Label string }

// UsageShare is one name: what it cost, per interval, and what it cost before.
type UsageShare struct {
	Name     string
	Only     UsageOnly        // what a click on the name narrows to
	Rate     *UsageRate       // rate now; nil: none applies
	Units    int64            // charged actions
	Values   []models.Credits // per interval, as Starts
	Previous models.Credits   // in the previous period
	Page     string           // address of a page of its own; "" for none
}

// UsageOnly is a narrower filter; empty fields leave the page's as they are.
type UsageOnly struct{ Agency, Plan, Sub, Model, Action string }

// UsageRate is what one unit costs now.
type UsageRate struct {
	Credits models.Credits
	From    bool // the least: more when it is long, or has many parts
}

// UsagePace is how fast credits go.
type UsagePace struct {
	PerDay models.Credits // mean of the last seven complete days
	Word   string         // "On pace", "18% ahead of pace"; "" when there is no allowance to compare with
}

// Credits is what a row cost in the period.
func (r UsageShare) Credits() (total models.Credits) {
	for _, v := range r.Values {
		total += v
	}
	return total
}

// usageFacts is a page added up.
type usageFacts struct {
	buckets  []chart.Bucket
	rows     []UsageShare   // largest first, the tail folded
	slots    map[string]int // colour of the names the chart tells apart
	series   []chart.Series
	totals   []models.Credits
	total    models.Credits
	units    int64
	previous models.Credits
	peak     int // index of the highest interval
}

func (u Usage) facts() usageFacts {
	f := usageFacts{buckets: u.buckets(u.Starts)}
	f.rows = slices.Clone(u.Rows)
	slices.SortStableFunc(f.rows, func(a, b UsageShare) int {
		return cmp.Or(cmp.Compare(b.Credits(), a.Credits()), strings.Compare(a.Name, b.Name))
	})
	all := make([]chart.Series, len(f.rows))
	for i, r := range f.rows {
		all[i] = chart.Series{Name: r.Name, Values: r.Values}
		f.units += r.Units
		f.previous += r.Previous
	}
	f.series = chart.Top(all, chart.MaxSeries, otherName)
	f.colour(u.Colour)
	data := chart.Data{Buckets: f.buckets, Series: f.series}
	f.totals, f.total = data.Totals(), data.Total()
	for i, v := range f.totals {
		if v > f.totals[f.peak] {
			f.peak = i
		}
	}
	f.fold()
	return f
}

// colour gives the series their slots; one series alone is drawn in ink.
func (f *usageFacts) colour(order []string) {
	var shown []string
	for _, s := range f.series {
		if s.Slot != chart.SlotOther {
			shown = append(shown, s.Name)
		}
	}
	f.slots = map[string]int{}
	if len(shown) > 1 {
		f.slots = chart.Slots(order, shown)
	}
	for i, s := range f.series {
		if s.Slot != chart.SlotOther {
			f.series[i].Slot = f.slots[s.Name]
		}
	}
}

// fold makes one row of everything beyond the table's length.
func (f *usageFacts) fold() {
	if len(f.rows) <= maxUsageRows {
		return
	}
	rest := f.rows[maxUsageRows-1:]
	last := UsageShare{Name: otherName(len(rest))}
	for _, r := range rest {
		last.Units += r.Units
		last.Previous += r.Previous
		last.Values = append(last.Values, r.Credits())
	}
	f.rows = append(f.rows[:maxUsageRows-1:maxUsageRows-1], last)
}

func otherName(n int) string { return "Other (" + format.Count(int64(n)) + ")" }

// key is the class of a row's colour key; rows the chart folds share one.
func (f usageFacts) key(name string) string {
	if slot, ok := f.slots[name]; ok {
		return "c" + string(rune('0'+slot))
	}
	if len(f.slots) == 0 {
		return ""
	}
	return "c6"
}

// buckets labels intervals in the page's zone and marks what is not complete.
func (u Usage) buckets(starts []models.Time) []chart.Bucket {
	zone, until := u.Frame.zone(), u.Frame.Now
	if u.CountedTo.IsSet() {
		until = min(until, u.CountedTo)
	}
	buckets := make([]chart.Bucket, len(starts))
	for i, start := range starts {
		end := u.To
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		ahead := start > u.Frame.Now
		b := chart.Bucket{Start: start, Partial: end > until && !ahead, Ahead: ahead}
		switch u.Unit {
		case IntervalHour:
			b.Label = format.DateTime(start, u.Frame.Now, zone)
			b.Tick = format.Clock(start, zone)
		case IntervalWeek:
			b.Label = "Week of " + format.DayMonth(start, zone)
			b.Tick = format.DayMonth(start, zone)
		case IntervalMonth:
			b.Label = start.In(zone).Format("January 2006")
			b.Tick = start.In(zone).Format("Jan")
		case IntervalAuto, IntervalDay:
			b.Label = format.Date(start, u.Frame.Now, zone)
			b.Tick = format.DayMonth(start, zone)
		}
		buckets[i] = b
	}
	return buckets
}

// data is the bar chart of the page.
func (u Usage) data(f usageFacts) chart.Data {
	return chart.Data{
		ID: "usage", Title: "Credits used per " + u.Unit.noun() + ", " + u.Filter.Group.by(),
		Table: "the tables below", Series: f.series, Previous: u.Previous,
		Buckets: append(slices.Clone(f.buckets), u.buckets(u.Ahead)...),
	}
}

// running is the cumulative chart of the page.
func (u Usage) running(f usageFacts) chart.Running {
	return chart.Running{
		ID: "usage", Title: "Credits used, added up per " + u.Unit.noun(), Table: "the tables below",
		Buckets: append(slices.Clone(f.buckets), u.buckets(u.Ahead)...), Values: f.totals,
		Plan: u.Plan, Projected: u.Projected, Previous: u.Previous, Sold: u.Sold,
	}
}

// at is the address of the page under another filter.
func (u Usage) at(f UsageFilter) string { return href(u.Base, f.Values()) }

// exportHref is the address of the same numbers as CSV.
func (u Usage) exportHref() string { return href(u.Base+".csv", u.Filter.Values()) }

// only is the address of the page narrowed to one row, "" if it cannot be. Who is
// narrowed to one account wants to know what it used next.
func (u Usage) only(o UsageOnly) string {
	if o == (UsageOnly{}) {
		return ""
	}
	f := u.Filter
	f.Agency = cmp.Or(o.Agency, f.Agency)
	f.Plan = cmp.Or(o.Plan, f.Plan)
	f.Sub = cmp.Or(o.Sub, f.Sub)
	f.Model = cmp.Or(o.Model, f.Model)
	f.Action = cmp.Or(o.Action, f.Action)
	switch {
	case o.Sub != "" || o.Agency != "":
		f.Group = GroupModel
	case o.Plan != "":
		f.Group = GroupAgency
	}
	return u.at(f)
}

// compared is the address that turns the comparison on or off.
func (u Usage) compared() string {
	f := u.Filter
	f.Compare = !f.Compare
	return u.at(f)
}

// closer is the address that shows one interval by the next smaller unit, "" when
// there is none.
func (u Usage) closer(start models.Time) string {
	day := start.In(u.Frame.zone())
	switch u.Unit {
	case IntervalWeek:
		return u.at(u.Filter.days(day, day.AddDate(0, 0, 6), IntervalDay))
	case IntervalMonth:
		return u.at(u.Filter.days(day, day.AddDate(0, 1, -day.Day()), IntervalDay))
	case IntervalAuto, IntervalDay:
		return u.at(u.Filter.days(day, day, IntervalHour))
	case IntervalHour:
	}
	return ""
}

// earlier is the address of the period before this one.
func (u Usage) earlier() string {
	if u.Filter.Period == PeriodCycle {
		f := u.Filter
		f.Period = PeriodPrevious
		return u.at(f)
	}
	from, to := u.localDays()
	n := daysIn(from, to)
	return u.at(u.Filter.days(from.AddDate(0, 0, -n), from.AddDate(0, 0, -1), u.Filter.Interval))
}

// later is the address of the period after this one, "" when this is the latest.
func (u Usage) later() string {
	if u.To >= u.Frame.Now || u.Filter.Period == PeriodCycle {
		return ""
	}
	f := u.Filter
	if u.Filter.Period == PeriodPrevious {
		f.Period = PeriodCycle
		return u.at(f)
	}
	from, to := u.localDays()
	n := daysIn(from, to)
	return u.at(f.days(to.AddDate(0, 0, 1), to.AddDate(0, 0, n), f.Interval))
}

// localDays are the first and the last local day of the period.
func (u Usage) localDays() (from, to time.Time) {
	zone := u.Frame.zone()
	return u.From.In(zone), u.To.Add(-time.Microsecond).In(zone)
}

// daysIn counts local days, both ends included, whatever the length of a day.
func daysIn(from, to time.Time) int {
	return format.DaysBetween(models.At(from), models.At(to), from.Location()) + 1
}

// span is the period as dates: "Nov 1 – Nov 22".
func (u Usage) span() string {
	zone := u.Frame.zone()
	from, to := u.localDays()
	if u.Filter.Period == Period24Hours {
		return format.DateTime(u.From, u.Frame.Now, zone) + " – " + format.DateTime(u.To, u.Frame.Now, zone)
	}
	first, last := format.Date(models.At(from), u.Frame.Now, zone), format.Date(models.At(to), u.Frame.Now, zone)
	if first == last {
		return first
	}
	return first + " – " + last
}

// inWords is the filter in a few words, for the folded form on a phone.
func (u Usage) inWords() string {
	text := u.Filter.period(u.Filter.Period)
	if u.Filter.Period == PeriodCustom && len(u.Errors) == 0 {
		text = u.span()
	}
	text += " · " + u.Filter.Group.by()
	if n := len(u.chips()); n > 0 {
		text += " · " + format.Plural(int64(n), "filter", "filters")
	}
	return text
}

// summary is the page in one sentence after the total: change, largest, busiest.
func (u Usage) summary(f usageFacts) string {
	var b strings.Builder
	if u.PreviousName != "" {
		b.WriteString(", " + format.Change(f.total, f.previous, u.PreviousName))
	}
	b.WriteString(".")
	if len(f.rows) > 1 && f.total > 0 {
		b.WriteString(" " + f.rows[0].Name + " is " + format.Percent(int64(f.rows[0].Credits()), int64(f.total)) + " of it.")
	}
	if len(f.buckets) > 1 && f.totals[f.peak] > 0 {
		b.WriteString(" Busiest " + u.Unit.noun() + ": " + strings.TrimPrefix(f.buckets[f.peak].Label, "Week of ") + ", with " + format.Credits(f.totals[f.peak]) + ".")
	}
	return b.String()
}

// chip is one active filter and the page without it.
type chip struct{ Text, Remove string }

// chips are the filters that leave something out.
func (u Usage) chips() []chip {
	var chips []chip
	add := func(name, value string, options []Option, drop func(*UsageFilter)) {
		if value == "" {
			return
		}
		f := u.Filter
		drop(&f)
		chips = append(chips, chip{Text: name + ": " + labelFor(options, value), Remove: u.at(f)})
	}
	add("Agency", u.Filter.Agency, u.Agencies, func(f *UsageFilter) { f.Agency = "" })
	add("Plan", u.Filter.Plan, u.Plans, func(f *UsageFilter) { f.Plan = "" })
	add("Sub-account", u.Filter.Sub, u.Subs, func(f *UsageFilter) { f.Sub = "" })
	add("Model", u.Filter.Model, u.Models, func(f *UsageFilter) { f.Model = "" })
	add("Action", u.Filter.Action, u.Actions, func(f *UsageFilter) { f.Action = "" })
	return chips
}

// labelFor is an option's label, the value itself when the list does not have it.
func labelFor(options []Option, value string) string {
	for _, o := range options {
		if o.Value == value {
			return o.Label
		}
	}
	return value
}

// rated tells whether any row has a rate to show.
func (f usageFacts) rated() bool {
	return slices.ContainsFunc(f.rows, func(r UsageShare) bool { return r.Rate != nil })
}

func (r UsageShare) rate() string {
	switch {
	case r.Rate == nil:
		return "—"
	case r.Rate.From:
		return "from " + format.Credits(r.Rate.Credits)
	default:
		return format.Credits(r.Rate.Credits)
	}
}

// perUnit is the mean price of a unit, "—" without units.
func (f usageFacts) perUnit() string {
	if f.units <= 0 {
		return "—"
	}
	return format.Credits(f.total / models.Credits(f.units))
}

// usageColumns are the headings of the table of names.
func usageColumns(u Usage, f usageFacts) []Column {
	columns := []Column{{Label: u.Filter.Group.column()}}
	if f.rated() {
		columns = append(columns, Column{Label: "Rate now", Number: true, Narrow: true})
	}
	columns = append(columns, Column{Label: "Units", Number: true, Narrow: true},
		Column{Label: "Credits", Number: true}, Column{Label: "Share", Number: true})
	if u.byAgency() {
		columns = append(columns, Column{Label: "Added up", Number: true, Narrow: true})
	}
	if u.PreviousName != "" {
		columns = append(columns, Column{Label: "Change", Number: true, Narrow: true})
	}
	if u.byAgency() {
		columns = append(columns, Column{Label: "Page", Narrow: true})
	}
	return columns
}

// numberColumns are the headings of the table of bars.
func numberColumns(u Usage, f usageFacts) []Column {
	columns := []Column{{Label: capital(u.Unit.noun())}, {Label: "Total", Number: true}}
	for _, s := range f.series {
		columns = append(columns, Column{Label: s.Name, Number: true})
	}
	if u.Previous != nil {
		columns = append(columns, Column{Label: "Previous", Number: true})
	}
	if u.Sold != nil {
		columns = append(columns, Column{Label: "Sold", Number: true})
	}
	return columns
}

// column is a grouping as the heading of its names.
func (g UsageGroup) column() string {
	if g == GroupModel {
		return "Model or action"
	}
	return g.word()
}

// changeShort is a change for a narrow cell: "+14%", "−3%", "new".
func changeShort(now, before models.Credits) string {
	switch {
	case now == before:
		return "0%"
	case before == 0:
		return "new"
	case now > before:
		return "+" + format.Percent(int64(now-before), int64(before))
	default:
		return "−" + format.Percent(int64(before-now), int64(before))
	}
}

func capital(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

func periodOptions(f UsageFilter) []Option {
	var options []Option
	for _, p := range []UsagePeriod{
		PeriodCycle, PeriodPrevious, Period24Hours, Period7Days, Period30Days, Period90Days, PeriodCustom,
	} {
		options = append(options, Option{string(p), f.period(p)})
	}
	return options
}

func groupOptions(groups []UsageGroup) []Option {
	var options []Option
	for _, g := range groups {
		options = append(options, Option{string(g), g.word()})
	}
	return options
}

func intervalOptions() []Option {
	var options []Option
	for _, i := range []UsageInterval{IntervalAuto, IntervalHour, IntervalDay, IntervalWeek, IntervalMonth} {
		options = append(options, Option{string(i), i.word()})
	}
	return options
}

// withCurrent puts "all" first and keeps a current value the list does not have.
func withCurrent(all, current string, options []Option) []Option {
	list := append([]Option{{"", all}}, options...)
	if current != "" && !slices.ContainsFunc(options, func(o Option) bool { return o.Value == current }) {
		list = append(list, Option{current, current})
	}
	return list
}
