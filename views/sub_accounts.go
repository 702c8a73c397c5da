package views

import (
	"net/url"
	"strings"

	"refill/models"
	"refill/views/format"
)

// SubAccounts is the list of an agency's clients.
type SubAccounts struct {
	Frame   Frame
	Failure *SectionFailure
	Signals []Signal
	Filter  SubAccountFilter
	Rows    []SubAccountRow
	Total   int64  // clients there are, whatever the filter
	Add     string // href of the form; "" when this person may not add one
	Bulk    string // href of assigning to many; "" likewise

	Archived int64 // clients that were put away, on a page of their own

	Previous, Next string // hrefs of the neighbouring pages; "" for none
	Shown          string // "Clients 51 to 100 of 140"
}

// Signal is a chip above the list: a condition, how many are in it, and the filter
// that shows them.
type Signal struct {
	Key     string // "" is every client
	Label   string
	Count   int64
	Href    string
	Current bool
}

// SubAccountSort is what the list is sorted by.
type SubAccountSort string

// The orders, each the sensible way round: names up, who has its own credits before
// who draws on the agency's, states worst first, amounts left up, the first to run
// out first, used and sold down, the worst margin first.
const (
	SubAccountsByName   SubAccountSort = "name"
	SubAccountsByFeed   SubAccountSort = "feed"
	SubAccountsByState  SubAccountSort = "state"
	SubAccountsByLeft   SubAccountSort = "left"
	SubAccountsByLasts  SubAccountSort = "lasts"
	SubAccountsByUsed   SubAccountSort = "used"
	SubAccountsBySold   SubAccountSort = "sold"
	SubAccountsByMargin SubAccountSort = "margin"
)

// SubAccountFilter is what the list's address says.
type SubAccountFilter struct {
	Signal string // a Signal's Key
	Sort   SubAccountSort
	Turned bool // the other way round
}

// The signals.
const (
	SignalPaused = "paused"
	SignalLow    = "low"
	SignalNew    = "new"
	SignalIdle   = "idle" // bought nothing in 30 days
	SignalLoss   = "loss" // sold to at a loss this cycle
)

// ParseSubAccountFilter reads an address; what it does not know is the default.
func ParseSubAccountFilter(q url.Values) SubAccountFilter {
	return SubAccountFilter{
		Signal: oneOf(q.Get("only"), "", SignalPaused, SignalLow, SignalNew, SignalIdle, SignalLoss),
		Sort: oneOf(SubAccountSort(q.Get("sort")), SubAccountsByName, SubAccountsByFeed, SubAccountsByState, SubAccountsByLeft, SubAccountsByLasts,
			SubAccountsByUsed, SubAccountsBySold, SubAccountsByMargin),
		Turned: q.Get("turned") == "1",
	}
}

// Values is the filter as an address's query; defaults are left out.
func (f SubAccountFilter) Values() url.Values {
	q := url.Values{}
	if f.Signal != "" {
		q.Set("only", f.Signal)
	}
	if f.Sort != SubAccountsByName {
		q.Set("sort", string(f.Sort))
	}
	if f.Turned {
		q.Set("turned", "1")
	}
	return q
}

// Href is an address of the list.
func (f SubAccountFilter) Href(path string) string {
	if q := f.Values().Encode(); q != "" {
		return path + "?" + q
	}
	return path
}

// SubAccountRow is one client.
type SubAccountRow struct {
	Name   string
	Href   string
	Feed   Feed
	State  State
	Left   models.Credits // own credits; not shown for a shared pool
	Lasts  Forecast
	Used   models.Credits // this cycle
	Unused bool           // never used any
	Sold   models.Money   // to it this cycle; no currency: nothing
	Margin string         // of what was sold; "" where nothing was
}

// Feed is how a client gets credits.
type Feed struct {
	Pooled bool           // draws on the agency's credits
	Cap    models.Credits // of what it may draw on them; 0: no limit, or nothing for one that is not pooled
	Daily  bool           // Cap counts per day, else per cycle
	Excess models.Credits // how far below zero it may go after that; 0: it pauses
}

// Next is where a client's next credit comes from once its own are used, in a
// sentence; "" where nothing follows them.
func (f Feed) Next(agency string) string {
	if f.Pooled || f.Cap == 0 && f.Excess == 0 {
		return ""
	}
	var steps []string
	if f.Cap > 0 {
		steps = append(steps, agency+"'s pool, up to "+format.Credits(f.Cap)+" a "+f.span())
	}
	if f.Excess > 0 {
		steps = append(steps, "excess usage, up to "+format.Credits(f.Excess))
	}
	return "Next, when these are used: " + strings.Join(steps, "; then ") + "; then AI pauses."
}

// words is "Shared pool", "Assigned", "Assigned, then shared pool".
func (f Feed) words() string {
	switch {
	case f.Pooled:
		return "Shared pool"
	case f.Cap > 0:
		return "Assigned, then shared pool"
	}
	return "Assigned"
}

// limit is "up to 5,000 per cycle", "" without one.
func (f Feed) limit() string {
	if f.Cap == 0 {
		return ""
	}
	return "up to " + format.Credits(f.Cap) + " per " + f.span()
}

func (f Feed) span() string {
	if f.Daily {
		return "day"
	}
	return "cycle"
}

func (v SubAccounts) columns() []Column {
	column := func(label string, by SubAccountSort, up, number bool) Column {
		to := SubAccountFilter{Signal: v.Filter.Signal, Sort: by}
		c := Column{Label: label, Number: number}
		if v.Filter.Sort == by {
			to.Turned, c.Sort = !v.Filter.Turned, sorted(up, v.Filter.Turned)
		}
		c.Href = to.Href("/sub-accounts")
		return c
	}
	return []Column{
		column("Name", SubAccountsByName, true, false),
		column("How it gets credits", SubAccountsByFeed, true, false),
		column("State", SubAccountsByState, false, false),
		column("Left", SubAccountsByLeft, true, true),
		column("Lasts", SubAccountsByLasts, true, false),
		column("Used this cycle", SubAccountsByUsed, false, true),
		column("Sold this cycle", SubAccountsBySold, false, true),
		column("Margin", SubAccountsByMargin, true, true),
	}
}

// orders is the sorting for narrow screens, where the headings are not seen.
func (v SubAccounts) orders() []Signal {
	out := []Signal{}
	for _, c := range v.columns() {
		if c.Href != "" {
			out = append(out, Signal{Label: c.Label, Href: c.Href, Current: c.Sort != ""})
		}
	}
	return out
}

func (v SubAccounts) addLink(label string) *Link {
	if v.Add == "" {
		return nil
	}
	return &Link{Label: label, Href: v.Add}
}

// lasts is the run-out date in few words; "" where nothing is known.
func (c Forecast) lasts(f Frame) string {
	switch c.Kind {
	case ForecastRunsOut:
		if days := format.DaysBetween(f.Now, c.RunsOutAt, f.zone()); days > 30 {
			return "About " + format.Plural(int64(days/7), "week", "weeks")
		}
		return format.Days(c.RunsOutAt, f.Now, f.zone())
	case ForecastPastReset:
		return c.past("its")
	case ForecastBeyond:
		return "More than 90 days"
	case ForecastNoData, ForecastIdle, ForecastNothingNow:
	}
	return ""
}

// noLasts says why there is no run-out date.
func (c Forecast) noLasts() string {
	switch c.Kind {
	case ForecastNoData:
		return "not enough data yet"
	case ForecastIdle:
		return "no recent usage"
	case ForecastNothingNow:
		return "nothing left"
	case ForecastRunsOut, ForecastPastReset, ForecastBeyond:
	}
	return "draws on your credits"
}

// SubAccount is one client as its agency sees it.
type SubAccount struct {
	Frame   Frame
	Name    string
	Ref     string // external id
	Zone    string
	Created models.Time
	Feed    Feed

	Balance Balance        // as the client sees it; not looked at when pooled
	Pool    *PoolDraw      // what it has drawn on the agency's credits; nil when it may not
	Used    models.Credits // this cycle, all of it
	Sold    *SalesSum      // to it this cycle; nil for nothing
	Own     models.Credits // of a pooled account: credits of its own, which lie still

	Usage     UsageCard
	Activity  ActivityCard
	Access    Access
	Statement string    // href
	Standing  *Standing // what it gets every month; nil where it has no credits of its own

	Assign   string // hrefs; "" when this person may not, or there is nothing to do
	TakeBack string
	Look     string // POST that shows the portal as this client
	Move     string
	Edit     string
	Archive  string

	ArchivedAt models.Time // unset while active
	Restore    string      // where the button posts; "" when this person may not
}

// PoolDraw is a client's part in its agency's credits.
type PoolDraw struct {
	Known bool           // Left could be read
	Left  models.Credits // of the agency's
	Drawn models.Credits // since the cycle or the day began
}

// poolSentence is "Draws from your 18,420. Used 4,310 this cycle. Cap 5,000 per
// cycle: 690 left."
func (v SubAccount) poolSentence() string {
	text := "Draws from your credits."
	if v.Pool.Known {
		text = "Draws from your " + format.Credits(v.Pool.Left) + "."
	}
	when := "this cycle"
	if v.Feed.Daily {
		when = "today"
	}
	text += " Used " + format.Credits(v.Pool.Drawn) + " " + when + "."
	if v.Feed.Cap > 0 {
		text += " Cap " + format.Credits(v.Feed.Cap) + " per " + v.Feed.span() + ": " + format.Credits(max(0, v.Feed.Cap-v.Pool.Drawn)) + " left."
	}
	return text
}

// SubAccountForm adds a client, or changes one. Field names: name, external_id,
// funding (prepaid, pooled), pool_cap, pool_every (cycle, day), excess, time_zone.
type SubAccountForm struct {
	Frame   Frame
	Errors  FieldErrors
	Attempt string // idempotency key of this attempt, hidden field "attempt"
	New     bool
	Action  string
	Back    string // href

	Name, ExternalID, Funding, PoolCap, PoolEvery, Excess, TimeZone, TryLater string // as typed

	Usual       string // what its visitors are told without words of its own
	MaxTryLater int    // characters

	Zones []string       // to choose from
	Own   models.Credits // credits of its own that would lie still in a shared pool
	// Monthly are packages that would end with a shared pool.
	Monthly []MonthlyPackage
	// Ceiling is what the agency and its clients together may use beyond zero; 0
	// leaves the field out.
	Ceiling models.Credits
}

func (v SubAccountForm) excessHint() string {
	return "How far below zero it may go before AI pauses; its next credits pay it off. Empty or 0 pauses at zero. You and your clients together may use " +
		format.Credits(v.Ceiling) + " beyond zero."
}

func (v SubAccountForm) button() string {
	if v.New {
		return "Add sub-account"
	}
	return "Save changes"
}
