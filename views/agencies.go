package views

import (
	"net/url"
	"strings"

	"refill/models"
	"refill/views/format"
)

// AgencyFilter is what the address of the list of agencies says.
type AgencyFilter struct {
	Only   string // a Signal's Key
	Search string // part of a name or id
	Sort   string // a column's key
	Turned bool   // the other way round
}

// ParseAgencyFilter reads an address; what it does not know is the default.
func ParseAgencyFilter(q url.Values) AgencyFilter {
	return AgencyFilter{
		Only: oneOf(q.Get("only"), "", "paused", "low", "below", "quiet", "suspended"), Search: strings.TrimSpace(filterText(q.Get("q"))),
		Sort:   oneOf(q.Get("sort"), "name", "plan", "state", "left", "lasts", "used", "bought", "excess", "clients", "last"),
		Turned: q.Get("turned") == "1",
	}
}

// Href is an address of the list; defaults are left out.
func (f AgencyFilter) Href(path string) string {
	q := url.Values{}
	if f.Only != "" {
		q.Set("only", f.Only)
	}
	if f.Search != "" {
		q.Set("q", f.Search)
	}
	if f.Sort != "name" {
		q.Set("sort", f.Sort)
	}
	if f.Turned {
		q.Set("turned", "1")
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// Agencies is the platform's list of agencies.
type Agencies struct {
	Frame   Frame
	Failure *SectionFailure
	Filter  AgencyFilter
	Signals []Signal
	Total   int64 // agencies there are, whatever the filter
	Rows    []AgencyRow

	Previous, Next string // hrefs of the neighbouring pages; "" for none
	Shown          string // "Agencies 51 to 100 of 140"
}

// AgencyRow is one agency.
type AgencyRow struct {
	Name        string
	Href        string
	Plan        string // "" without one
	State       State
	Left        models.Credits
	Lasts       Forecast
	Daily       []models.Credits // 30 days
	Used        models.Credits
	Bought      models.Credits
	Excess      models.Credits
	SubAccounts int64
	LastAt      models.Time // unset: never
	Flags       []string
}

const agenciesPath = "/admin/agencies"

// columns are the headings; a click on the one that sorts turns it round.
func (v Agencies) columns() []Column {
	type column struct {
		key, label string
		number, up bool // up: its own way round is ascending
	}
	out := []Column{}
	for _, c := range []column{
		{"name", "Name", false, true},
		{"state", "State", false, false},
		{"plan", "Plan", false, true},
		{"left", "Left", true, true},
		{"lasts", "Lasts", false, true},
		{"used", "Used in 30 days", true, false},
		{"bought", "Bought in 30 days", true, false},
		{"excess", "Excess", true, false},
		{"clients", "Sub-accounts", true, false},
		{"last", "Last purchase", false, false},
	} {
		f := v.Filter
		f.Sort, f.Turned = c.key, false
		col := Column{Label: c.label, Number: c.number}
		if v.Filter.Sort == c.key {
			f.Turned, col.Sort = !v.Filter.Turned, sorted(c.up, v.Filter.Turned)
		}
		col.Href = f.Href(agenciesPath)
		out = append(out, col)
	}
	return out
}

// orders is the sorting for narrow screens, where the headings are not seen.
func (v Agencies) orders() []Signal {
	out := []Signal{}
	for _, c := range v.columns() {
		out = append(out, Signal{Label: c.Label, Href: c.Href, Current: c.Sort != ""})
	}
	return out
}

func (r AgencyRow) spark() string {
	if r.Used == 0 {
		return "Nothing used in 30 days"
	}
	var peak models.Credits
	var at, first, last int
	for i, v := range r.Daily {
		if v > peak {
			peak, at = v, i
		}
	}
	first, last = half(r.Daily)
	trend := "as much in the second half as in the first"
	if last > first {
		trend = "more in the second half than in the first"
	} else if last < first {
		trend = "less in the second half than in the first"
	}
	days := len(r.Daily) - 1 - at
	when := "today"
	if days > 0 {
		when = format.Plural(int64(days), "day", "days") + " ago"
	}
	return "Used per day over " + format.Plural(int64(len(r.Daily)), "day", "days") + ": most " + format.Credits(peak) + ", " + when + "; " + trend
}

// half adds up both halves of a series, in whole credits.
func half(values []models.Credits) (first, last int) {
	for i, v := range values {
		if i < len(values)/2 {
			first += int(v / models.Credit)
		} else {
			last += int(v / models.Credit)
		}
	}
	return first, last
}

// AgencyForm adds an agency. Field names: name, external_id, plan, time_zone,
// email.
type AgencyForm struct {
	Frame   Frame
	Errors  FieldErrors
	Attempt string

	Name, ExternalID, Plan, TimeZone, Email, ReferralCode string // as typed

	Plans   []Option
	Zones   []string
	Invites bool // an owner can be invited by mail
}

// Agency is one agency as the platform sees it.
type Agency struct {
	Frame     Frame
	Name      string
	Ref       string // external id
	Zone      string
	Portal    string // host of its clients' portal
	Created   models.Time
	Referred  string // by whom; "" nobody
	Suspended bool   // paused by an admin
	Why       string // and with what reason; "" unknown

	Plan        string // "" without one
	Price       models.Money
	Yearly      bool // the price is of a year
	State       PlanState
	Until       models.Time // of a trial, a grace, what is paid, or when it ended
	Stripe      string      // its subscription at Stripe; "" for one renewed without
	StripeState string      // in Stripe's word
	PaidUntil   models.Time
	RenewsAt    models.Time // unset: never
	ExcessLimit models.Credits
	Excess      models.Credits // of all its wallets

	Balance  Balance
	Usage    UsageCard
	Clients  AgencyClients
	Bought   AgencyBought
	Log      AgencyLog
	Waiting  []Link // adjustments that wait for a second person
	Path     string // of this page, under which the actions are
	Features AgencyFeatures
}

// AgencyFeatures are what an admin may do now.
type AgencyFeatures struct{ Pause, Resume bool }

// AgencyClients is the agency's sub-accounts, the worst first.
type AgencyClients struct {
	Failure *SectionFailure
	Total   int64
	Rows    []SubAccountRow
}

// AgencyBought is its latest purchases.
type AgencyBought struct {
	Failure *SectionFailure
	Rows    []PurchaseRow
}

// AgencyLog is the latest of what was done to it by hand.
type AgencyLog struct {
	Failure *SectionFailure
	Rows    []AuditLine
	Href    string
}

// payment is how a plan is paid, in words.
func (v Agency) payment() string { //nolint:gocritic // the page's value, as everywhere
	zone := v.Frame.zone()
	text := "Renewed without Stripe"
	if v.Stripe != "" {
		text = "Stripe says " + strings.ReplaceAll(v.StripeState, "_", " ")
		if v.PaidUntil.IsSet() {
			text += ", paid until " + format.Date(v.PaidUntil, v.Frame.Now, zone)
		}
		text += ", " + v.Stripe
	}
	switch v.State {
	case PlanTrial:
		return "Trial until " + format.Date(v.Until, v.Frame.Now, zone) + ". " + text
	case PlanPastDue:
		return "Ends unpaid on " + format.Date(v.Until, v.Frame.Now, zone) + ". " + text
	case PlanEnding:
		return "Ends on " + format.Date(v.Until, v.Frame.Now, zone) + ". " + text
	case PlanLapsed, PlanCancelled:
		return "Ended on " + format.Date(v.Until, v.Frame.Now, zone) + ". " + text
	case PlanNone, PlanActive:
	}
	return text
}
