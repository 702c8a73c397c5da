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
