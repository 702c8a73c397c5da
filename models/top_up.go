package models

// TopUpState is whether a wallet buys credits by itself.
type TopUpState string

// The states of automatic top-up.
const (
	TopUpOff    TopUpState = "off"
	TopUpOn     TopUpState = "on"
	TopUpPaused TopUpState = "paused" // it was on, and something has to be put right first
)

// TopUpReason is why automatic top-up is paused.
type TopUpReason string

// The reasons. Limits end by themselves, with a month.
const (
	TopUpNoReason     TopUpReason = ""
	TopUpDeclined     TopUpReason = "declined"       // the card was declined several times
	TopUpBlocked      TopUpReason = "blocked"        // its bank will never pay with it
	TopUpAuthenticate TopUpReason = "authentication" // the bank wants its owner to confirm
	TopUpRemoved      TopUpReason = "removed"        // the card was removed at Stripe, or cannot be charged there any more
	TopUpLimit        TopUpReason = "limit"          // the month's money is spent
	TopUpPackage      TopUpReason = "package_limit"  // its package was bought as often as it may be in a month
	TopUpOffer        TopUpReason = "offer"          // what it buys is not sold, costs more or holds less than was agreed
	TopUpDisputed     TopUpReason = "disputed"       // a payment was disputed
	TopUpForbidden    TopUpReason = "forbidden"      // the agency does not allow it any more
	TopUpReview       TopUpReason = "review"         // a payment waits for a person
)

// TopUp is how a wallet buys credits by itself: an agency's packs, a client's
// packages. It exists once somebody has begun to set it up.
type TopUp struct {
	AgencyID     AgencyID `gorm:"primaryKey"`
	WalletID     WalletID `gorm:"primaryKey"`
	State        TopUpState
	Reason       TopUpReason // while paused
	Note         string      // the bank's word or another, for people
	Threshold    Credits     // it buys when less is left
	PackID       PackID      // what it buys: a pack,
	PackageID    PackageID   // or a package
	Quantity     Credits     // of a pack that is sold by the quantity; else 0
	Price        int64       // agreed for one of it, minor units; it never pays more
	Credits      Credits     // agreed for that price, bonus included: it never takes fewer; 0: not known
	Currency     string
	MonthlyLimit int64 // minor units, in a calendar month of the agency's zone
	ForSales     bool  // an agency's: also what a client's purchase lacks of its stock
	AgreedBy     string
	AgreedAt     Time // when it was last turned on

	// The card, at the account that is paid.

	Account         string
	Customer        string
	PaymentMethod   string // "" for no card
	CardBrand       string
	CardLast4       string
	CardMonth       int
	CardYear        int
	CardFingerprint string
	CardSession     string // of the page on which it was last to be saved
	RemovedCard     string // the payment method that was last found to be removed at Stripe
	CardLooks       int64  // how often Stripe was asked about the card

	Declines    int  // since the last payment that went through
	AttemptedAt Time // the last try
	DueAt       Time // when the clock looks next; 0: when the wallet falls below
	PausedAt    Time
	CreatedAt   Time `gorm:"autoCreateTime:false"`
}

// HasCard tells whether there is a card to charge.
func (t *TopUp) HasCard() bool { return t.PaymentMethod != t.RemovedCard }

// Limit is the month's limit as money.
func (t *TopUp) Limit() Money { return Money{Amount: t.MonthlyLimit, Currency: t.Currency} }

// PurchaseOrigin is what began a purchase.
type PurchaseOrigin string

// The origins of a purchase.
const (
	OriginPerson    PurchaseOrigin = ""          // somebody at a checkout
	OriginAutomatic PurchaseOrigin = "automatic" // automatic top-up: a saved card is charged, and nobody is there
	OriginRecovery  PurchaseOrigin = "recovery"  // somebody at a checkout, so that automatic top-up goes on
)

// Automatic tells a purchase for which a saved card is charged.
func (p *Purchase) Automatic() bool { return p.Origin == OriginAutomatic }

// OfCard tells a reason that another card, or paying once oneself, ends.
func (r TopUpReason) OfCard() bool {
	return r == TopUpDeclined || r == TopUpBlocked || r == TopUpAuthenticate || r == TopUpRemoved
}

// EndsByItself tells a reason that a new month ends.
func (r TopUpReason) EndsByItself() bool { return r == TopUpLimit || r == TopUpPackage }

// Buys tells whether it may buy in the month that began then: it is on, or was
// paused for a limit of a month that is over.
func (t *TopUp) Buys(month Time) bool {
	return t.State == TopUpOn || t.State == TopUpPaused && t.Reason.EndsByItself() && t.PausedAt < month
}
