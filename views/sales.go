package views

import (
	"refill/models"
	"refill/views/format"
)

// Sales is GET /sales: what an agency sold its clients, and what it kept of it.
type Sales struct {
	Frame   Frame
	Failure *SectionFailure
	Periods []Option // values are of the query's p
	Period  string
	Span    string // the period in words
	Sum     SalesSum
	ByPack  []SalesLine
	ByBuyer []SalesLine
	Rows    []SaleRow
	Pager   Pager
	CSV     string
	Start   *Link // the next step of an agency that sold nothing yet
	Unused  Unused
	Monthly []MonthlyPackage // that run
	Rule    string           // for selling beyond the stock, in a sentence
	Change  string           // href of its form; "" when this person may only look
	Shared  bool             // the platform has a share of some sale
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
	First string // of the first column's label
	Lines []SalesLine
	Sum   SalesSum
	CSV   string
	// Shared tells that the platform has a share of some sale.
	Shared bool
}

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
		{Label: "Sold", Number: true},
		{Label: "Your cost", Number: true},
		{Label: "Card fees", Number: true},
	}
	if l.Shared {
		out = append(out, Column{Label: "Platform fee", Number: true})
	}
	return append(out, Column{Label: "Profit", Number: true}, Column{Label: "Margin", Number: true})
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

func (v Sales) byPack() SalesLines {
	return SalesLines{"Package", v.ByPack, v.Sum, "/sales/packages.csv?p=" + v.Period, v.Shared}
}

func (v Sales) byBuyer() SalesLines {
	return SalesLines{"Client", v.ByBuyer, v.Sum, "/sales/clients.csv?p=" + v.Period, v.Shared}
}
