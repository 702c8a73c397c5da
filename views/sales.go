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
}

// Unused is what clients have bought and not used yet.
type Unused struct {
	Credits models.Credits // 0: nothing
	Clients int64
	Value   models.Money   // of what was paid for them
	Covered models.Credits // of them, that the agency holds
}

func (u Unused) sentence() string {
	text := format.CreditsWord(u.Credits) + " in the wallets of " + format.Plural(u.Clients, "client", "clients") + ", for which you were paid " + format.Money(u.Value) + "."
	share := format.Percent(int64(u.Covered), int64(u.Credits))
	if u.Covered >= u.Credits {
		return text + " Covered " + share + ": they left your balance when you sold them, and stay your clients' whatever happens to it."
	}
	return text + " Covered " + share + ": " + format.CreditsWord(u.Credits-u.Covered) + " were sold beyond what you had; your next purchase pays that off first."
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

func salesColumns(first string) []Column {
	return []Column{
		{Label: first},
		{Label: "Sales", Number: true},
		{Label: "Sold", Number: true},
		{Label: "Your cost", Number: true},
		{Label: "Card fees", Number: true},
		{Label: "Profit", Number: true},
		{Label: "Margin", Number: true},
	}
}
