package views

import (
	"math/big"
	"slices"
	"strconv"
	"strings"

	"refill/models"
	"refill/views/format"
)

// Packages is an agency's packages, in the order that its clients see.
type Packages struct {
	Frame     Frame
	Failure   *SectionFailure
	Rows      []PackageRow
	Archived  []PackageRow
	Ladder    []string // sentences about packages that break the ladder
	Ready     []ReadyPackage
	Connected bool   // Stripe takes money for the agency
	Connect   string // href of the page that connects it
	New       string // href of the editor; "" when this person may only look
	Preview   string // href
}

// PackageRow is one package of the list.
type PackageRow struct {
	Name    string
	Path    string // of its page; forms post below it
	Badge   string
	Credits models.Credits
	Price   models.Money
	Basis   string // what the cost is reckoned with; "" when it is not known
	Cost    models.Money
	Keep    models.Money
	Chosen  int  // sub-accounts that see it; 0: all
	Month   bool // paid every month
	Sold    int64
	OnSale  bool
	Thin    bool // little is kept
	Short   bool // there is not enough stock for one sale
}

// ReadyPackage is one of the three that an agency may start from.
type ReadyPackage struct {
	Name    string
	Credits models.Credits
	Price   models.Money
}

func (r PackageRow) each() string {
	return format.PricePerCredit(r.Price.PerCredit(r.Credits), r.Price.Currency) + " each"
}

func (r PackageRow) offer() string {
	return format.CreditsWord(r.Credits) + " for " + format.Money(r.Price)
}

func (r PackageRow) percent() string { return format.Percent(r.Keep.Amount, r.Price.Amount) }

// seen is who may buy it.
func (r PackageRow) seen() string {
	if r.Chosen == 0 {
		return "All sub-accounts"
	}
	return format.Plural(int64(r.Chosen), "chosen sub-account", "chosen sub-accounts")
}

// verdict is the word that goes with a margin which needs one.
func (r PackageRow) verdict() (Tone, string) {
	switch {
	case r.Keep.Amount < 0:
		return ToneBad, "Loss"
	case r.Thin:
		return ToneWarn, "Thin"
	}
	return ToneNone, ""
}

func (v Packages) columns() []Column {
	return []Column{
		{Label: "Package"},
		{Label: "Credits", Number: true},
		{Label: "Price", Number: true},
		{Label: "Your cost", Number: true},
		{Label: "You keep", Number: true},
		{Label: "Sold, 30 days", Number: true},
		{Label: "On sale"},
		{Label: "Order"},
	}
}

// PackageForm makes a package or changes one. Field names: name, credits, price,
// cost_basis (held, last, best, plan, own), own_cost, audience (all, chosen), sub
// (ids), monthly_limit, every (once, month), badge, note, accept_loss and attempt. A post
// with preview=1 only wants the sums; with target=50 at the price for that margin;
// with fragment=1 only what follows the numbers. on_sale=1 in the address puts it
// on sale.
type PackageForm struct {
	Frame   Frame
	Errors  FieldErrors
	New     bool
	Action  string
	Path    string // of the package; "" of a new one
	Attempt string

	Name, Credits, Price, OwnCost, Limit, Badge, Note string // as typed
	Basis                                             models.CostBasis
	Audience                                          models.Audience
	Every                                             models.PackageEvery
	Accept                                            bool // a loss is accepted on purpose
	OnSale                                            bool // now

	Currency  string
	Bases     []BasisChoice
	Clients   []ClientChoice
	Connected bool
	Connect   string // href
	Panel     PackagePanel
	Prices    []PackagePrice // newest first
	Past      int64          // purchases so far
}

// BasisChoice is a way to reckon the cost.
type BasisChoice struct {
	Value models.CostBasis
	Label string
	Off   bool // there is nothing to reckon it from
}

// ClientChoice is a sub-account that may see a package.
type ClientChoice struct {
	ID, Name string
	Chosen   bool
}

// PackagePrice is one line of a package's price history.
type PackagePrice struct {
	At      models.Time
	Credits models.Credits
	Price   models.Money
	By      string
}

// PackagePanel is what an agency keeps of a price; every number comes worked out.
type PackagePanel struct {
	Missing string // why there are no numbers; "" when there are

	Credits       models.Credits
	Price         models.Money
	Cost          models.Money
	Fee           models.Money
	Platform      models.Money // the platform's share
	Keep          models.Money
	BreakEven     models.Money // 0: none
	Times         int64        // price over cost in tenths; 0: no cost
	Thin          bool
	Unit          *big.Rat // cost of one credit
	Basis         string   // what it is reckoned with: "price of your 35,000 pack"
	Share         int64    // of the card fee, in millionths
	Fixed         models.Money
	PlatformShare string // in percent

	Targets []PackageTarget // known without a price
	Low     models.Money    // of the slider
	High    models.Money

	Reply        string // what credits go to: "GPT-4 Turbo reply"; "" leaves the line out
	ReplyCredits models.Credits
	PerTalk      int64 // replies of one conversation; 0: none

	Next     string // what the very next sale would cost, where that is another amount
	Warnings []string
}

// PackageTarget is the price that a margin asks for.
type PackageTarget struct {
	Percent int64
	Price   models.Money
}

func (v PackagePanel) loss() bool { return v.Missing == "" && v.Keep.Amount < 0 }

func (v PackagePanel) per() *big.Rat { return v.Price.PerCredit(v.Credits) }

func (v PackagePanel) percent() string { return format.Percent(v.Keep.Amount, v.Price.Amount) }

// kept is the panel in one line: "You keep $29.39 (49%)".
func (v PackagePanel) kept() string {
	switch {
	case v.Missing != "":
		return v.Missing
	case v.loss():
		return "You lose " + format.Money(models.Money{Amount: -v.Keep.Amount, Currency: v.Keep.Currency}) + " on each sale"
	}
	return "You keep " + format.Money(v.Keep) + " (" + v.percent() + ")"
}

// costs is how the cost comes about: "10,000 × $0.0029, the price of your 35,000 pack".
func (v PackagePanel) costs() string {
	return format.Credits(v.Credits) + " × " + format.PricePerCredit(v.Unit, v.Price.Currency) + ", " + v.Basis
}

// terms is the card fee's: "2.9% + $0.30".
func (v PackagePanel) terms() string {
	text := models.Credits(v.Share*100).String() + "%" // millionths of a hundred
	if v.Fixed.Amount > 0 {
		text += " + " + format.Money(v.Fixed)
	}
	return text
}

// times is the margin as resellers think of it too: "2.1× your cost".
func (v PackagePanel) times() string {
	if v.Times == 0 {
		return ""
	}
	return format.Count(v.Times/10) + "." + strconv.FormatInt(v.Times%10, 10) + "× your cost"
}

// worth is what the client gets for the price: "$0.06 per GPT-4 Turbo reply, about
// 143 conversations".
func (v PackagePanel) worth() string {
	if v.Reply == "" || v.ReplyCredits <= 0 {
		return ""
	}
	each := new(big.Rat).Mul(v.per(), v.ReplyCredits.Rat())
	text := format.Price(each, v.Price.Currency) + " per " + v.Reply
	if v.PerTalk > 0 {
		per := int64(v.ReplyCredits) * v.PerTalk
		if talks := (int64(v.Credits) + per/2) / per; talks > 0 {
			text += ", about " + format.Plural(talks, "conversation", "conversations")
		}
	}
	return text
}

// ten is what ten clients bring who buy one a month, to the whole unit.
func (v PackagePanel) ten() string {
	amount := 10 * v.Keep.Amount
	unit := int64(1)
	for range models.MinorDigits(v.Keep.Currency) {
		unit *= 10
	}
	if size := max(amount, -amount); size >= 10*unit {
		half := unit / 2
		if amount < 0 {
			half = -half
		}
		amount = (amount + half) / unit * unit
	}
	return format.Round(models.Money{Amount: amount, Currency: v.Keep.Currency})
}

func (v PackageForm) code() string { return strings.ToUpper(v.Currency) }

func (v PackageForm) save() string {
	if v.OnSale {
		return "Save changes"
	}
	return "Save draft"
}

// past is what a change of price means for those who bought already.
func (v PackageForm) past() string {
	if v.Past == 0 {
		return ""
	}
	return "A new price or size applies to new purchases. " + KeepTheirPrice(v.Past)
}

// KeepTheirPrice says that past purchases are not touched by a new price.
func KeepTheirPrice(n int64) string {
	if n == 1 {
		return "1 past purchase keeps its price."
	}
	return format.Count(n) + " past purchases keep their price."
}

// lossText is what the tick box answers.
func (v PackageForm) lossText() string {
	text := v.Panel.kept() + "."
	if v.Panel.BreakEven.Amount > 0 {
		text += " It breaks even at " + format.Money(v.Panel.BreakEven) + "."
	}
	return text
}

// askLoss tells whether the tick box is needed.
func (v PackageForm) askLoss() bool { return v.Panel.loss() }

// label is the margin and the price it asks for.
func (t PackageTarget) label() string {
	return strconv.FormatInt(t.Percent, 10) + "% " + format.Round(t.Price)
}

// PackagePage is one package for somebody who may not change it, or that is
// archived.
type PackagePage struct {
	Frame    Frame
	Row      PackageRow
	Limit    int
	Note     string
	Archived models.Time
	Restore  string // where the form goes; "" when this person may not
	Panel    PackagePanel
	Prices   []PackagePrice
}

func (v PackagePage) limit() string {
	if v.Limit == 0 {
		return "None"
	}
	return format.Plural(int64(v.Limit), "purchase", "purchases") + " per account and month"
}

// PackagePreview is the list of packages as a client sees it.
type PackagePreview struct {
	Frame  Frame
	Buy    Buy            // with the offers, as on the client's page
	Drafts bool           // none is on sale: these are not yet
	Closed string         // why clients see nothing now; "" when they do
	Fix    *Link          // with Closed: what changes it
	As     []ClientChoice // whose page it may be; the chosen one is shown
}

// who is whose page is shown.
func (v PackagePreview) who() string {
	i := slices.IndexFunc(v.As, func(c ClientChoice) bool { return c.Chosen && c.ID != "" })
	if i < 0 {
		return "a client"
	}
	return v.As[i].Name
}
