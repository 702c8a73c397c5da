package views

import (
	"refill/models"
	"refill/views/format"
)

// Purchases is the list of everything bought.
type Purchases struct {
	Frame   Frame
	Failure *SectionFailure
	Rows    []PurchaseRow
	Pager   Pager
	Filters []Tab            // by status
	Plan    []PlanPaymentRow // what the plan cost; none for clients
	CSV     string           // href of the export
	BuyHref string           // "" when this person cannot buy
}

// PurchaseRow is one attempt to buy.
type PurchaseRow struct {
	At       models.Time
	Name     string // "12,500 credits pack"; may be ""
	Credits  models.Credits
	Bonus    models.Credits // came with them
	Amount   models.Money
	Tax      models.Money // zero amount: none
	Status   PurchaseStatus
	Back     *MoneyBack // nil: nothing happened to the payment since
	Receipt  string     // href; "" while there is none
	PDF      string     // href of the same as PDF
	BuyAgain string     // href; "" when it is not on sale
	Line     string     // href of the ledger line of a refund or a booking
}

// PurchaseStatus is where a purchase stands, in the words of the list.
type PurchaseStatus string

// The statuses.
const (
	PurchasePaid      PurchaseStatus = "paid"
	PurchasePending   PurchaseStatus = "pending"
	PurchaseFailed    PurchaseStatus = "failed"
	PurchasePartly    PurchaseStatus = "partly_refunded"
	PurchaseRefunded  PurchaseStatus = "refunded"
	PurchaseDisputed  PurchaseStatus = "disputed"
	PurchaseExpired   PurchaseStatus = "expired"
	PurchaseCancelled PurchaseStatus = "cancelled"
)

// Word is the status on screen.
func (s PurchaseStatus) Word() string {
	switch s {
	case PurchasePaid:
		return "Paid"
	case PurchasePending:
		return "Pending"
	case PurchaseFailed:
		return "Failed"
	case PurchasePartly:
		return "Partly refunded"
	case PurchaseRefunded:
		return "Refunded"
	case PurchaseDisputed:
		return "Disputed"
	case PurchaseExpired:
		return "Expired"
	case PurchaseCancelled:
		return "Cancelled"
	}
	return string(s)
}

// Tone is the colour that goes with the word.
func (s PurchaseStatus) Tone() Tone {
	switch s {
	case PurchasePaid:
		return ToneOK
	case PurchasePending:
		return ToneInfo
	case PurchaseFailed, PurchaseDisputed:
		return ToneBad
	case PurchasePartly, PurchaseRefunded:
		return ToneWarn
	case PurchaseExpired, PurchaseCancelled:
		return ToneNone
	}
	return ToneNone
}

// Receipt is one purchase on paper.
type Receipt struct {
	Frame     Frame
	Number    string
	Seller    models.Party
	Buyer     models.Party
	BuyerMail string
	At        models.Time // when it was paid
	Until     models.Time // when a month's credits expire; 0: never
	Status    PurchaseStatus
	MoneyBack *MoneyBack // nil: nothing happened to the payment since
	Name      string
	Credits   models.Credits
	Bonus     models.Credits // came with them
	Notes     []Link         // credit notes of what was given back
	Net       models.Money
	Tax       models.Money // zero amount leaves the row out
	Total     models.Money
	Refunded  models.Money   // of the total
	Excess    models.Credits // paid off by this purchase
	Before    models.Credits
	After     models.Credits
	Payment   string // reference at the payment provider
	Method    string // "Paid by card ending in 4242"; "" when it is not known
	Hosted    string // href of the payment provider's own; "" for none
	PDF       string // href
	Back      string // href of the list
	Notice    string // such as "Simulated payment: no money was moved."; "" for none
}

// PlanPaymentRow is one payment of a plan's price.
type PlanPaymentRow struct {
	At      models.Time
	Invoice string // the payment provider's id
	Hosted  string // its page of it; "" for none
	Amount  models.Money
	Status  PurchaseStatus
}

// Lasts is how long the credits do, in a sentence.
func (v Receipt) Lasts(f Frame) string { //nolint:gocritic // once per page
	if v.Until > 0 {
		return "These credits last until " + format.LongDate(v.Until, f.zone()) + "."
	}
	return "Purchased credits never expire."
}

// Each is the price of one credit, in words.
func (v Receipt) Each() string {
	per := v.Net.PerCredit(v.Credits)
	return format.PricePerCredit(per, v.Net.Currency) + " each (" + format.Per1000(per, v.Net.Currency) + ")"
}

// filtered tells a list that is narrowed.
func (v Purchases) filtered() bool {
	return len(v.Filters) > 0 && !v.Filters[0].Current
}
