package models

type quoteKind struct{}

func (quoteKind) prefix() string { return "qte" }

// QuoteID names a saved quote.
type QuoteID = ID[quoteKind]

// ReferralCode is what an agency gives to others, for them to be known by.
type ReferralCode struct {
	Code      string `gorm:"primaryKey"`
	AgencyID  AgencyID
	CreatedAt Time `gorm:"autoCreateTime:false"`
}

// ReferredAgency says who brought an agency here; it never changes.
type ReferredAgency struct {
	AgencyID   AgencyID `gorm:"primaryKey"`
	ReferrerID AgencyID
	JoinedAt   Time
}

// ReferralState is what came of a referral.
type ReferralState string

// The states of a referral; all but the first are final.
const (
	ReferralWaiting ReferralState = "waiting" // for a first payment that clears
	ReferralEarned  ReferralState = "earned"
	ReferralCapped  ReferralState = "capped"  // cleared when the referrer had reached a limit
	ReferralRefused ReferralState = "refused" // the referrer and the referred are one
)

// Referral is an agency that another one brought here, in the house of the one
// that did.
type Referral struct {
	AgencyID   AgencyID `gorm:"primaryKey"` // the referrer
	ReferredID AgencyID `gorm:"primaryKey"`
	Credits    Credits  // promised when the referred agency joined
	State      ReferralState
	Note       string // why it was refused or capped, for admins
	Payment    string // the first that cleared: our purchase, or Stripe's invoice of a plan
	LotID      LotID  // of the reward
	ActID      ActID

	// What the standing of the payment took of the reward.

	Revoked      Credits
	RevokedSpent Credits // had been used; the referrer owes it
	Frozen       Credits

	JoinedAt  Time
	DecidedAt Time
	StirredAt Time // payments of the referred agency changed since it was looked at; 0: no
}

// PayerMark is something by which one payer is told from another.
type PayerMark struct {
	AgencyID AgencyID `gorm:"primaryKey"`
	Mark     string   `gorm:"primaryKey"`
	SeenAt   Time
}

// Gift is credits for whoever has one of its codes.
type Gift struct {
	ID             GiftID `gorm:"primaryKey"`
	Name           string
	Credits        Credits  // for each redemption
	LotDays        int      // how long they last; 0: for ever
	ForAgencyID    AgencyID // nobody else may redeem it; zero: everybody may
	SingleUse      bool     // each code once
	Codes          int64
	MaxRedemptions int64   // 0: no limit
	MaxCredits     Credits // in all; 0: no limit
	ExpiresAt      Time    // of the codes; Never
	Redeemed       int64
	Given          Credits
	Reason         string
	CreatedBy      string
	CreatedAt      Time `gorm:"autoCreateTime:false"`
	StoppedAt      Time
	IdempotencyKey string
	Fingerprint    []byte
}

// GiftCode is one code of a gift, in capitals and without dashes.
type GiftCode struct {
	Code      string `gorm:"primaryKey"`
	GiftID    GiftID
	Shown     string // as it is given out
	SingleUse bool
	Used      int64
}

// GiftRedemption is an agency's use of a gift.
type GiftRedemption struct {
	AgencyID       AgencyID `gorm:"primaryKey"`
	GiftID         GiftID   `gorm:"primaryKey"`
	Code           string
	Credits        Credits
	ExpiresAt      Time // of the credits
	ActID          ActID
	RedeemedBy     string
	IdempotencyKey string
	RedeemedAt     Time
}

// PlanPayment is an invoice of a plan that was paid, with what happened to the
// money since. Amounts are minor units.
type PlanPayment struct {
	AgencyID      AgencyID `gorm:"primaryKey"`
	Invoice       string   `gorm:"primaryKey"` // Stripe's id
	Subscription  string   // Stripe's id
	PaymentIntent string
	Amount        int64
	Currency      string
	Live          bool
	PaidAt        Time
	Refunded      int64
	RefundPending int64 // the part of Refunded that is on its way
	Dispute       DisputeState
	DisputeHeld   int64
	DisputeLost   int64
	DisputedAt    Time
	CheckedAt     Time // when its refunds and disputes were last asked for
	PeriodStart   Time // what it was for; 0: unknown
	PeriodEnd     Time
	HostedURL     string // Stripe's page of the invoice

	DisputeAnswerBy Time // 0: no answer is waited for
	WarnedAt        Time // when a card network took it for fraud; 0: never
}

// PlanClaim is what the standing of a plan's payments took of one allowance.
type PlanClaim struct {
	AgencyID  AgencyID `gorm:"primaryKey"`
	LotID     LotID    `gorm:"primaryKey"`
	Credits   Credits  // of the allowance
	Revoked   Credits  // of what was unspent
	Frozen    Credits
	ClaimedAt Time
}

// CreditNote is the document of a refund. Amounts are minor units.
type CreditNote struct {
	AgencyID   AgencyID   `gorm:"primaryKey"`
	PurchaseID PurchaseID `gorm:"primaryKey"`
	Refund     string     `gorm:"primaryKey"` // Stripe's id
	Account    string     // the seller's, "" the platform's: each has numbers of its own
	Number     int64
	Amount     int64
	Tax        int64 // of Amount
	Currency   string
	RefundedAt Time
	VoidedAt   Time // the refund failed; 0: it stands
	CreatedAt  Time `gorm:"autoCreateTime:false"`
}

// SavedQuote is what the calculator said, kept for somebody to look at.
type SavedQuote struct {
	AgencyID  AgencyID `gorm:"primaryKey"`
	ID        QuoteID  `gorm:"primaryKey"`
	Token     string   // in its link
	Name      string
	Query     string // the calculator's address it was saved from
	Sheet     string // what it said, JSON
	ExpiresAt Time
	CreatedBy string
	CreatedAt Time `gorm:"autoCreateTime:false"`
	EndedAt   Time // taken back; 0: no
}

// TableName is the table of quotes.
func (SavedQuote) TableName() string { return "quotes" }

// QuoteOffer is what a quote holds a package at.
type QuoteOffer struct {
	AgencyID  AgencyID  `gorm:"primaryKey"`
	QuoteID   QuoteID   `gorm:"primaryKey"`
	PackageID PackageID `gorm:"primaryKey"`
	Credits   Credits
	Price     int64 // in Currency's smallest unit
	Currency  string
	Every     PackageEvery // how often the price is paid
}
