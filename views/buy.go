package views

import (
	"math/big"
	"slices"
	"strconv"

	"github.com/a-h/templ"

	"refill/models"
	"refill/views/format"
)

// Buy is the page "Credits & top-ups": choose a pack and see what comes of it
// before paying. The same page sells an agency's packages to a client.
//
// The form posts to Action: csrf_token, attempt, pack (an offer's ID), quantity (for
// a quantity offer, as typed). A post that also carries preview=1 only wants the
// sums for the quantity: answer with a redirect to this page with pack and quantity
// in the query.
type Buy struct {
	Frame  Frame
	Errors FieldErrors // fields: "pack", "quantity"

	BalanceFailure *SectionFailure // no balance: prices are shown without sums
	Left           models.Credits  // available − excess
	Excess         models.Credits  // used beyond zero, positive
	PerDay         models.Credits  // pace; 0 leaves "lasts about" out

	Offers   []Offer
	Selected string // an offer's ID
	Attempt  string // idempotency key of this attempt, hidden field "attempt"
	Quantity string // as typed, or the amount to start from
	Recent   *RecentPurchase

	Closed Closed // why nothing can be bought; "" when something can
	Plan   string // name of the plan, for ClosedPlan
	Ask    *Link  // who can help when this person cannot buy

	Action     string           // where the form goes; "" means "/buy"
	Seller     string           // on a client's page: the agency's name
	Descriptor string           // what the card statement will show; "" leaves it out
	Automatic  bool             // it can be had by itself
	Calculator string           // href of the calculator; "" leaves it out
	Beside     []Link           // other ways to credits
	Monthly    []MonthlyPackage // what the client gets every month

	Quote      string      // link's part of the quote that the client came by
	QuoteUntil models.Time // it holds
	QuoteOver  bool        // it holds no longer: the prices are those of today
}

// Closed says why the page sells nothing.
type Closed string

// The reasons.
const (
	ClosedNothing Closed = "nothing" // no pack is on sale
	ClosedPlan    Closed = "plan"    // this plan cannot buy packs
	ClosedRole    Closed = "role"    // this person may look but not buy
	ClosedPayment Closed = "payment" // payment is not available right now
)

// Offer is one thing on sale. A fixed offer has Credits and Price; a quantity offer
// has Minimum, Step, Unit and, for its sums, Credits and Price at the quantity shown
// (Credits 0: what was typed has no sums; Price still names the currency).
type Offer struct {
	ID         string
	Name       string
	ByQuantity bool
	Credits    models.Credits
	Bonus      models.Credits // comes with a fixed offer, on top of Credits
	Price      models.Money
	Minimum    models.Credits
	Step       models.Credits
	Unit       models.UnitPrice
	LastBought bool
	Version    int // of a pack: the form says which one was looked at; 0: none

	// Of a package only.
	Month  bool // paid every month
	Quoted bool // at the price of the client's quote
	Badge  string
	Note   string // the agency's words, or how many more may be bought
	Shut   string // why this client cannot buy it now; "" when it can
}

// RecentPurchase is the same pack bought a moment ago, which may be a double click.
type RecentPurchase struct {
	Offer   string // its ID
	Credits models.Credits
	At      models.Time
	Receipt string // href
}

func (v Buy) action() string {
	if v.Action == "" {
		return "/buy"
	}
	return v.Action
}

// quoted says what the client's quote does to the prices.
func (v Buy) quoted() string {
	switch {
	case v.QuoteOver:
		return "This quote no longer holds. These are the prices of today."
	case !slices.ContainsFunc(v.Offers, func(o Offer) bool { return o.Quoted }): //nolint:gocritic // the signature is slices'
		return "Nothing of this quote is on sale any more. These are the prices of today."
	}
	return "What is marked “Quoted” is at your quote's price, until " + format.DateTime(v.QuoteUntil, v.Frame.Now, v.Frame.zone()) + "."
}

// open tells whether the form has a button.
func (v Buy) open() bool { return v.Closed == "" || v.Closed == ClosedPayment }

// per is the exact price of one credit of an offer.
func (o Offer) per() *big.Rat {
	if o.ByQuantity {
		return format.UnitPrice(o.Unit, o.Price.Currency)
	}
	return o.Price.PerCredit(o.Credits)
}

func (o Offer) each() string { return format.PricePerCredit(o.per(), o.Price.Currency) + " each" }

func (o Offer) per1000() string { return format.Per1000(o.per(), o.Price.Currency) }

// have is the balance in a sentence.
func (v Buy) have() string {
	if v.Left < 0 {
		return "You are " + format.CreditsWord(-v.Left) + " below zero."
	}
	return "You have " + format.CreditsWord(v.Left) + "."
}

// saving is how much less one credit costs than in the dearest offer of its kind,
// bought once or every month: "43% less".
func (v Buy) saving(o Offer) string {
	dearest := new(big.Rat)
	for _, other := range v.Offers {
		if other.Month == o.Month && other.per().Cmp(dearest) > 0 {
			dearest = other.per()
		}
	}
	return format.Less(o.per(), dearest)
}

// after is the balance once the offer is bought and excess is paid off.
func (v Buy) after(o Offer) models.Credits { return v.Left + o.all() }

// all is what the offer adds, its bonus included.
func (o Offer) all() models.Credits { return o.Credits + o.Bonus }

// amount is "10,000 credits", or "10,000 + 1,000 bonus credits".
func (o Offer) amount() string { return withBonus(o.Credits, o.Bonus) }

func withBonus(credits, bonus models.Credits) string {
	if bonus == 0 {
		return format.CreditsWord(credits)
	}
	return format.Credits(credits) + " + " + format.Credits(bonus) + " bonus credits"
}

// result is the sum in one line: "18,420 + 12,500 = 30,920", or "1,000 − 223 = 777".
func (v Buy) result(o Offer) string {
	if v.Left < 0 {
		return o.sum() + " − " + format.Credits(-v.Left) + " = " + format.Credits(v.after(o))
	}
	return format.Credits(v.Left) + " + " + o.sum() + " = " + format.Credits(v.after(o))
}

func (o Offer) sum() string {
	if o.Bonus == 0 {
		return format.Credits(o.Credits)
	}
	return format.Credits(o.Credits) + " + " + format.Credits(o.Bonus)
}

// consequence is what the offer leads to, in one sentence.
func (v Buy) consequence(o Offer) string {
	switch after := v.after(o); {
	case after < 0:
		return "After this you would still be " + format.Credits(-after) + " below zero and AI stays paused."
	case after == 0:
		return "After this you would have 0 and AI stays paused."
	}
	text := "You will have " + format.Credits(v.after(o))
	if v.PerDay > 0 && o.all() >= v.PerDay {
		text += ", lasts about " + format.Plural(int64(o.all()/v.PerDay), "day", "days") + " longer"
	}
	return text + "."
}

// repeated tells whether this offer was bought a moment ago.
func (v Buy) repeated(o Offer) bool { return v.Recent != nil && v.Recent.Offer == o.ID }

// verb is what the button does: the amount is in it, and with it the result.
func (v Buy) verb(o Offer) string {
	if v.repeated(o) {
		return "Buy again"
	}
	return "Continue to payment"
}

func (v Buy) button(o Offer) string {
	text := v.verb(o) + " — " + format.Money(o.Price)
	if o.Month {
		return text + " a month"
	}
	return text
}

// quantity is the text in the number field.
func (v Buy) quantity(o Offer) string {
	if v.Quantity != "" {
		return v.Quantity
	}
	if o.Credits == 0 {
		return format.Typed(o.Minimum)
	}
	return format.Typed(o.Credits)
}

func (o Offer) rule() string {
	return "At least " + format.Credits(o.Minimum) + ", in steps of " + format.Credits(o.Step)
}

// data are the integers the script needs to follow the quantity: micro-credits,
// minor units, millionths of a minor unit per credit.
func (v Buy) data(o Offer) templ.Attributes {
	if !o.ByQuantity {
		return nil
	}
	return templ.Attributes{
		"data-quantity": true,
		"data-unit":     strconv.FormatInt(int64(o.Unit), 10),
		"data-step":     strconv.FormatInt(int64(o.Step), 10),
		"data-minimum":  strconv.FormatInt(int64(o.Minimum), 10),
		"data-left":     strconv.FormatInt(int64(v.Left), 10),
		"data-digits":   strconv.Itoa(models.MinorDigits(o.Price.Currency)),
		"data-symbol":   format.Symbol(o.Price.Currency),
		"data-verb":     v.verb(o),
	}
}

// Return is the page a buyer comes back to from payment.
type Return struct {
	Frame        Frame
	Case         ReturnCase
	Credits      models.Credits // the bonus that came with them included
	Before       models.Credits // available − excess before the purchase
	After        models.Credits // and after it
	Excess       models.Credits // paid off by this purchase, positive
	Receipt      string         // href; "" while there is none
	SentTo       string         // where the receipt was mailed; "" when it was not
	Reference    string         // to tell support
	RunningAgain bool           // AI was paused and has really started again
	Again        string         // href of this page, for those whose browser does not refresh
	Home         string         // href of the overview
	Seller       string         // on a client's page: the agency's name
	Automatic    bool           // it can be had by itself
}

// ReturnCase is what is known about the payment.
type ReturnCase string

// The cases that have a page; everything else goes back to Buy with a flash.
const (
	ReturnCredited   ReturnCase = "credited"
	ReturnProcessing ReturnCase = "processing" // paid, being booked: asks again by itself
	ReturnSlow       ReturnCase = "slow"       // paid, not booked after thirty seconds
	ReturnAwaiting   ReturnCase = "awaiting"   // a pay-later method that has not paid yet
)

// returnRefresh is how often a page that waits asks again, in seconds.
const returnRefresh = 2

// frame adds the refresh of a page that waits.
func (v Return) frame() Frame {
	f := v.Frame
	if v.Case == ReturnProcessing {
		f.Refresh = returnRefresh
	}
	return f
}

func (v Return) heading() string {
	switch v.Case {
	case ReturnCredited:
		return format.CreditsWord(v.Credits) + " added"
	case ReturnProcessing:
		return "Payment received"
	case ReturnSlow:
		return "Payment received, credits on the way"
	case ReturnAwaiting:
		return "Waiting for your payment"
	}
	return "Payment"
}
