package views

import (
	"net/url"
	"slices"

	"refill/models"
	"refill/views/chart"
	"refill/views/format"
)

// Sales is GET /sales: what an agency sold its clients, and what it kept of it.
type Sales struct {
	Frame   Frame
	Failure *SectionFailure
	Periods []Option // values are of the query's p
	Filter  SalesFilter
	Client  string // whose sales are listed; "" for all
	Span    string // the period in words
	Sum     SalesSum
	Days    []SalesDay
	ByPack  []SalesLine
	ByBuyer []SalesLine
	Rows    []SaleRow
	Pager   Pager
	CSV     string
	Start   *Link // the next step of an agency that sold nothing yet
	Portal  string
	Payouts string // address at Stripe; "" leaves it out
	Unused  Unused
	Monthly []MonthlyPackage // that run
	Rule    string           // for selling beyond the stock, in a sentence
	Change  string           // href of its form; "" when this person may only look
	Shared  bool             // the platform has a share of some sale
}

// SalesDay is what was sold on a day.
type SalesDay struct {
	Start models.Time
	SalesSum
}

// SaleLine is what came of a sale afterwards: money that went, which is a negative
// amount, and fees.
type SaleLine struct {
	Words  string // "Refund of Nov 3"
	Price  models.Money
	Cost   models.Money
	Fee    models.Money
	Share  models.Money
	Profit models.Money
}

// SalesFilter is what the address says is shown.
type SalesFilter struct {
	Period string // p; "" in a file for ever
	Client string // client: the id of the sub-account whose sales are listed; "" for all
	Sort   string // sort: what the sums are sorted by; "" is the revenue
	Turned bool   // turned=1: the least first
}

// What sums are sorted by, beside the revenue.
const (
	SalesByProfit = "profit"
	SalesByMargin = "margin"
)

// Order reads how sums are sorted; what it does not know is the default.
func (f *SalesFilter) Order(q url.Values) {
	f.Sort, f.Turned = oneOf(q.Get("sort"), "", SalesByProfit, SalesByMargin), q.Get("turned") == "1"
}

// Href is an address with the filter in its query.
func (f SalesFilter) Href(path string) string {
	q := url.Values{}
	if f.Period != "" {
		q.Set("p", f.Period)
	}
	if f.Client != "" {
		q.Set("client", f.Client)
	}
	if f.Sort != "" {
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

// of is the address of one client's sales, or of all.
func (f SalesFilter) of(client string) string {
	f.Client = client
	return f.Href("/sales") + "#sales"
}

// at is the address of another period.
func (f SalesFilter) at(period string) string {
	f.Period = period
	return f.Href("/sales")
}

// file is the address of a file of the period's sums, which are of all clients.
func (f SalesFilter) file(path string) string {
	f.Client = ""
	return f.Href(path)
}

// listed is the heading of the sales, one by one.
func (v Sales) listed() string {
	if v.Client != "" {
		return "Sales to " + v.Client
	}
	return "Latest sales"
}

// Unused is what clients have bought and not used yet.
type Unused struct {
	Credits models.Credits // 0: nothing
	Clients int64
	Value   models.Money   // of what was paid for them
	Covered models.Credits // of them, that the agency or its clients hold
	Waiting models.Credits // of them, that clients paid for and have not got yet
}

// short tells that not all of it is there.
func (u Unused) short() bool { return u.Covered < u.Credits }

// ratio is "Sold and unused 182,000, held 120,000: covered 66%."
func (u Unused) ratio() string {
	return "Sold and unused " + format.Credits(u.Credits) + ", held " + format.Credits(u.Covered) + ": covered " + format.Percent(int64(u.Covered), int64(u.Credits)) + "."
}

func (u Unused) sentence() string {
	text := "They belong to " + format.Plural(u.Clients, "client", "clients") + ", for which you were paid " + format.Money(u.Value) + "."
	if !u.short() {
		return text + " They left your balance when you sold them, and stay your clients' whatever happens to it."
	}
	text += " You lack " + format.CreditsWord(u.Credits-u.Covered) + "."
	if u.Waiting > 0 {
		return text + " Clients have paid for " + format.CreditsWord(u.Waiting) + " that they get as soon as you buy them."
	}
	return text + " Your next purchase pays your excess usage off first."
}

// SalesLines is the part of the sales page that one of its tables is, with the
// address of its file.
type SalesLines struct {
	First  string // of the first column's label
	Lines  []SalesLine
	Sum    SalesSum
	CSV    string
	Shared bool // the platform has a share of some sale
	Filter SalesFilter
}

// disputed tells that Stripe charged for disputes.
func (l SalesLines) disputed() bool { return l.Sum.Dispute.Amount != 0 }

// OversellForm is GET and a POST of /sales/rule. Field names: rule (refuse, warn,
// allow) and limit.
type OversellForm struct {
	Frame   Frame
	Errors  FieldErrors
	Rule    models.Oversell
	Limit   string         // as typed
	Waiting models.Credits // on the way now
	TopUp   bool           // automatic top-up buys what a sale lacks first
}

// SalesLine is the sales of one package, or to one client.
type SalesLine struct {
	Name string
	Href string
	ID   string // of the client
	List string // href of them one by one; "" for none
	SalesSum
}

// SaleRow is one sale.
type SaleRow struct {
	At      models.Time
	Client  string
	Href    string // of the client
	Package string
	Credits models.Credits
	Status  PurchaseStatus
	Note    string // why it is not done yet
	Back    *MoneyBack
	Refund  string // href; "" when this person cannot, or nothing is left to give back
	Price   models.Money
	Cost    models.Money
	Fee     models.Money
	Share   models.Money // the platform's
	Profit  models.Money
	Paid    bool // cost, fee and profit are known
	Lines   []SaleLine
}

// profit is an amount kept, or what was lost in a word.
func profit(m models.Money) string {
	if m.Amount < 0 {
		return format.Money(m) + " (loss)"
	}
	return format.Money(m)
}

func (l SalesLines) columns() []Column {
	out := []Column{
		{Label: l.First},
		{Label: "Sales", Number: true},
		l.Filter.column("Sold", ""),
		{Label: "Your cost", Number: true},
		{Label: "Card fees", Number: true},
	}
	if l.Shared {
		out = append(out, Column{Label: "Platform fee", Number: true})
	}
	if l.disputed() {
		out = append(out, Column{Label: "Dispute fees", Number: true})
	}
	return append(out, l.Filter.column("Profit", SalesByProfit), l.Filter.column("Margin", SalesByMargin))
}

// column is a heading that sorts by its numbers, the most first; once more, the
// least.
func (f SalesFilter) column(label, by string) Column {
	out := Column{Label: label, Number: true}
	to := f
	to.Sort, to.Turned = by, false
	if f.Sort == by {
		to.Turned, out.Sort = !f.Turned, sorted(false, f.Turned)
	}
	out.Href = to.Href("/sales")
	return out
}

// orders is the sorting for narrow screens, where the headings are not seen.
func (l SalesLines) orders() []Signal {
	var out []Signal
	for _, c := range l.columns() {
		if c.Href != "" {
			out = append(out, Signal{Label: c.Label, Href: c.Href, Current: c.Sort != ""})
		}
	}
	return out
}

func (v Sales) columns() []Column {
	out := []Column{
		{Label: "Date"},
		{Label: "Client"},
		{Label: "Package"},
		{Label: "Status"},
		{Label: "Price", Number: true},
		{Label: "Your cost", Number: true},
		{Label: "Card fee", Number: true},
	}
	if v.Shared {
		out = append(out, Column{Label: "Platform fee", Number: true})
	}
	return append(out, Column{Label: "Profit", Number: true})
}

// The parts that revenue splits into, as the chart draws them.
const (
	slotCost   = 2
	slotFees   = chart.SlotOther
	slotProfit = 3
)

// mostBars is how many bars the chart has at most: the days of a cycle, which begins and
// ends within one; a phone has room for them. A longer period is drawn by the week, once
// for every width.
const mostBars = 32

// chart is what was sold day by day, split into what it cost, what went in fees and
// what was kept.
func (v Sales) chart() chart.Data {
	d := chart.Data{
		ID: "sold", Title: "Sold over time, split into your cost, fees and profit", Table: "the table below it", Currency: v.Sum.Revenue.Currency,
		Series: []chart.Series{{Name: "Your cost", Slot: slotCost}, {Name: "Fees", Slot: slotFees}, {Name: "Profit", Slot: slotProfit}},
	}
	for i, day := range v.Days {
		b := chart.Bucket{
			Start: day.Start, Label: format.Date(day.Start, v.Frame.Now, v.Frame.zone()), Tick: format.DayMonth(day.Start, v.Frame.zone()), Ahead: day.Start > v.Frame.Now,
		}
		b.Partial = !b.Ahead && (i+1 == len(v.Days) || v.Days[i+1].Start > v.Frame.Now)
		d.Buckets = append(d.Buckets, b)
		for j, m := range []models.Money{day.Cost, day.fees(), day.Profit} {
			d.Series[j].Values = append(d.Series[j].Values, chart.Money(m))
		}
	}
	return chart.Coarsen(d, mostBars)
}

// sold are the days on which something came in or went.
func (v Sales) sold() []SalesDay {
	return slices.DeleteFunc(slices.Clone(v.Days), func(d SalesDay) bool { return d.none() }) //nolint:gocritic // the signature is slices'
}

func (v Sales) byPack() SalesLines {
	return SalesLines{"Package", v.ByPack, v.Sum, v.Filter.file("/sales/packages.csv"), v.Shared, v.Filter}
}

func (v Sales) byBuyer() SalesLines {
	lines := slices.Clone(v.ByBuyer)
	for i := range lines {
		lines[i].List = v.Filter.of(lines[i].ID)
	}
	return SalesLines{"Client", lines, v.Sum, v.Filter.file("/sales/clients.csv"), v.Shared, v.Filter}
}
