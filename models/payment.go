package models

// PurchaseStatus is where an attempt to buy stands.
type PurchaseStatus string

// The states of a purchase.
const (
	PurchaseOpen       PurchaseStatus = "open"       // the buyer may pay
	PurchaseProcessing PurchaseStatus = "processing" // promised, the money comes later
	PurchaseCredited   PurchaseStatus = "credited"
	PurchaseFailed     PurchaseStatus = "failed"
	PurchaseExpired    PurchaseStatus = "expired"
	PurchaseCancelled  PurchaseStatus = "cancelled"
	PurchaseReview     PurchaseStatus = "review" // Stripe's facts differ from ours: a person decides
	PurchaseRefunded   PurchaseStatus = "refunded"
	PurchaseDisputed   PurchaseStatus = "disputed"
)

// Unpaid tells an attempt that ended without a payment.
func (s PurchaseStatus) Unpaid() bool {
	return s == PurchaseFailed || s == PurchaseExpired || s == PurchaseCancelled
}

// Purchase is one attempt to buy: an agency's of a pack, or a client's of a
// package, with the offer as it was. The row exists before Stripe hears of it.
type Purchase struct {
	AgencyID        AgencyID   `gorm:"primaryKey"`
	ID              PurchaseID `gorm:"primaryKey"`
	WalletID        WalletID   // whose credits it buys
	PackID          PackID     // zero: a sale of PackageID
	PackageID       PackageID
	Title           string
	Credits         Credits
	Price           int64
	Currency        string
	Cost            int64 // of a sale: what the very lots moved cost the agency
	Fee             int64 // of a sale: what Stripe kept
	Status          PurchaseStatus
	StatusNote      string // why, in words
	IdempotencyKey  string
	Fingerprint     []byte
	BoughtBy        string
	Account         string // connected account, "" the platform's
	Live            bool
	CheckoutSession string
	CheckoutURL     string
	PaymentIntent   string
	ReceiptURL      string
	ReceiptNumber   int64
	ActID           ActID // the grant
	BalanceBefore   Credits
	BalanceAfter    Credits
	ExpiresAt       Time
	CheckedAt       Time // when Stripe was last asked
	PaidAt          Time
	CreditedAt      Time
	CreatedAt       Time `gorm:"autoCreateTime:false"`

	// What happened to the payment afterwards, in minor units, as Stripe was last
	// seen to say.

	Paid            int64 // taken from the buyer
	Refunded        int64 // back, or on its way back
	RefundPending   int64 // the part of it that has not arrived
	RefundedAt      Time  // the newest refund
	Dispute         DisputeState
	DisputeHeld     int64 // taken by the bank until the dispute is decided
	DisputeLost     int64 // taken by the bank for good
	DisputeFee      int64 // charged for disputes, less what of that came back
	DisputeAnswerBy Time
	DisputedAt      Time
	WarnedAt        Time // a card network took it for fraud

	// And what that took.

	Revoked      Credits
	RevokedSpent Credits // had been used: the buyer of a pack owes it, the seller of a package lost it
	Frozen       Credits // for nobody to draw on while a dispute is open
	CostBack     int64   // of a sale: of Cost, what came back into stock

	// Bonus credits that came with a pack, and what the payment's standing took of
	// them.

	Bonus        Credits
	BonusLotID   LotID // zero: none was given
	BonusRevoked Credits
	BonusSpent   Credits // of BonusRevoked: had been used, and is owed
	BonusFrozen  Credits

	// What its receipt says beside the offer.

	Tax           int64  // of what was paid, in minor units, as Stripe reckoned it
	Method        string // as Stripe names it: card, paypal …
	CardLast4     string
	InvoiceURL    string // Stripe's own invoice, where it made one
	SellerDetails Party  // as they were when it was credited
	BuyerDetails  Party

	Looks  int64 // at Stripe, so far begun
	Looked int64 // the look that was booked last

	// Of an automatic one: the card that is charged, and why it was not.

	Origin        PurchaseOrigin
	Customer      string // at Stripe
	PaymentMethod string
	Card          string // its fingerprint
	FailureCode   string // the bank's

	// Of a sale: a month of a subscription, and what is agreed beside the price.

	SubscriptionID PackageSubID
	Invoice        string  // Stripe's, of a month
	TermEnd        Time    // when a month's credits expire; 0: never
	Waits          bool    // the credits are beyond the seller's stock: they come when it has them
	QuoteID        QuoteID // it was sold at the price of; zero: at the package's own
	FeeShare       int64   // the platform's share of the price, in hundredths of a percent
	PlatformFee    int64   // what it came to, in minor units
}

// Month tells a month of a subscription from a purchase of its own.
func (p *Purchase) Month() bool { return !p.SubscriptionID.IsZero() }

// Renewal tells a month that Stripe began, from one that a buyer pays at a
// checkout.
func (p *Purchase) Renewal() bool {
	return p.Month() && p.Invoice != "" && p.CheckoutSession == p.Invoice
}

// PlatformBack is what of the platform's share goes back with the refunded part of
// the price, in minor units.
func (p *Purchase) PlatformBack() int64 {
	if p.Paid <= 0 {
		return 0
	}
	back, err := MulDiv(p.PlatformFee, min(p.Refunded, p.Paid), p.Paid)
	if err != nil {
		return 0
	}
	return back
}

// Gone is what of the payment the seller no longer has, in minor units: refunded
// or lost in a dispute, at most all of it.
func (p *Purchase) Gone() int64 { return min(p.Paid, p.Refunded+p.DisputeLost) }

// DisputeState is what came of a buyer's asking their bank for the money back.
type DisputeState string

// The states of a purchase's dispute. An inquiry takes no money.
const (
	DisputeNone    DisputeState = ""
	DisputeInquiry DisputeState = "inquiry"
	DisputeOpen    DisputeState = "open"
	DisputeWon     DisputeState = "won"
	DisputeLost    DisputeState = "lost"
)

// RefundState is where a refund that was asked for here stands.
type RefundState string

// The states of a refund request.
const (
	RefundAsked   RefundState = "asked" // Stripe may or may not have heard of it
	RefundSent    RefundState = "sent"
	RefundRefused RefundState = "refused"
)

// RefundRequest is somebody's wish to give money of a purchase back. The row
// exists before Stripe hears of it.
type RefundRequest struct {
	AgencyID       AgencyID `gorm:"primaryKey"`
	ID             RefundID `gorm:"primaryKey"`
	PurchaseID     PurchaseID
	Amount         int64 // minor units of the purchase's currency
	Reason         string
	State          RefundState
	Refund         string // Stripe's id
	Note           string // why it was refused, in words
	RequestedBy    string
	IdempotencyKey string
	Fingerprint    []byte
	CreatedAt      Time `gorm:"autoCreateTime:false"`
}

// SeenPayment is a payment as Stripe's own lists show it, ours or not. Amounts
// are minor units.
type SeenPayment struct {
	Payment    string `gorm:"primaryKey"` // payment intent, or the session of a payment without one
	Account    string // connected account, "" the platform's
	Session    string
	Reference  string // ours, as the session carries it; proves nothing
	AgencyID   AgencyID
	PurchaseID PurchaseID // zero: no purchase of ours
	Amount     int64
	Refunded   int64
	Currency   string
	Live       bool
	PaidAt     Time
	SeenAt     Time
}

// Reconciliation is one comparison with Stripe's lists.
type Reconciliation struct {
	StartedAt  Time  `gorm:"primaryKey;autoIncrement:false"`
	FinishedAt Time  // 0: under way, or cut short
	Since      Time  // how far back it went
	Accounts   int64 // the platform's and agencies'
	Payments   int64 // seen
	Settled    int64 // that were paid and not booked
	Events     int64 // that had not arrived
	Note       string
}

// IsSale tells a client's purchase from its agency's own.
func (p *Purchase) IsSale() bool { return !p.PackageID.IsZero() }

// Total is the price as money.
func (p *Purchase) Total() Money { return Money{Amount: p.Price, Currency: p.Currency} }

// PaymentRef ties an id of Stripe to our purchase, once.
type PaymentRef struct {
	Ref        string `gorm:"primaryKey"`
	AgencyID   AgencyID
	PurchaseID PurchaseID
}

// StripeEventState is where a stored event stands.
type StripeEventState string

// The states of a stored event.
const (
	EventPending   StripeEventState = "pending"
	EventProcessed StripeEventState = "processed"
	EventIgnored   StripeEventState = "ignored"
	EventDead      StripeEventState = "dead"
)

// StripeEvent is one delivery kept in the inbox before it was answered.
type StripeEvent struct {
	Endpoint    string `gorm:"primaryKey"`
	EventID     string `gorm:"primaryKey"`
	Type        string
	Account     string
	ObjectID    string
	Reference   string
	APIVersion  string
	Live        bool
	Payload     []byte
	State       StripeEventState
	Note        string
	Attempts    int
	NextAt      Time
	ReceivedAt  Time
	ProcessedAt Time
}
