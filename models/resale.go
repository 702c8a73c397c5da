package models

import "slices"

// StripeAccount is the Stripe account an agency sells through.
type StripeAccount struct {
	AgencyID         AgencyID `gorm:"primaryKey"`
	Account          string   // acct_…
	Name             string   // as its clients know it
	Statement        string   // what a card statement will say
	ChargesEnabled   bool
	PayoutsEnabled   bool
	DetailsSubmitted bool
	DisconnectedAt   Time
	PausedAt         Time // since when it takes no money after it did, as its people were told; 0: it does, or never did
	CheckedAt        Time // when Stripe was last asked
	CreatedAt        Time `gorm:"autoCreateTime:false"`
}

// Sells tells whether the account may take money now.
func (a *StripeAccount) Sells() bool {
	return a.Account != "" && a.ChargesEnabled && a.DisconnectedAt == 0
}

// Audience says who may buy a package.
type Audience string

// The audiences of a package.
const (
	AudienceAll    Audience = "all"
	AudienceChosen Audience = "chosen" // the sub-accounts in package_viewers
)

// CostBasis says what an agency reckons its credits cost when it sets a price.
// It never changes what a sale cost: that is the cost of the lots moved.
type CostBasis string

// The cost bases.
const (
	CostHeld CostBasis = "held" // average of the purchased credits held now
	CostLast CostBasis = "last" // the last purchase
	CostBest CostBasis = "best" // the cheapest pack per credit on sale
	CostPlan CostBasis = "plan" // fee ÷ plan credits
	CostOwn  CostBasis = "own"  // OwnCost
)

// Package is what an agency sells its clients: credits that never expire, at the
// agency's price.
type Package struct {
	AgencyID     AgencyID  `gorm:"primaryKey"`
	ID           PackageID `gorm:"primaryKey"`
	Name         string
	Credits      Credits
	Price        int64 // minor units of Currency
	Currency     string
	Badge        string
	Note         string // shown to the client
	Audience     Audience
	MonthlyLimit int          // per sub-account and calendar month; 0: none
	Position     int          // as clients see them
	Every        PackageEvery `gorm:"default:once"`
	OnSale       bool
	LossAccepted bool // sold below its cost on purpose
	CostBasis    CostBasis
	OwnCost      UnitPrice // of CostOwn
	CreatedAt    Time      `gorm:"autoCreateTime:false"`
	ArchivedAt   Time

	IdempotencyKey *string // of the request that made it, if a program did
	Fingerprint    []byte
}

// Total is the price as money.
func (p *Package) Total() Money { return Money{Amount: p.Price, Currency: p.Currency} }

// PackagePrice is what a package held and cost from an instant on.
type PackagePrice struct {
	AgencyID  AgencyID  `gorm:"primaryKey"`
	PackageID PackageID `gorm:"primaryKey"`
	Number    int       `gorm:"primaryKey;autoIncrement:false"`
	Credits   Credits
	Price     int64
	SetBy     string
	CreatedAt Time `gorm:"autoCreateTime:false"`
}

// PackageViewer lets one sub-account buy a package whose audience is chosen.
type PackageViewer struct {
	AgencyID     AgencyID     `gorm:"primaryKey"`
	PackageID    PackageID    `gorm:"primaryKey"`
	SubAccountID SubAccountID `gorm:"primaryKey"`
}

// PackageEvery says how often a package is bought.
type PackageEvery string

// The rhythms of a package.
const (
	PackageOnce    PackageEvery = "once"
	PackageMonthly PackageEvery = "month" // paid every month; its credits last until the next
)

// Monthly tells a package that is paid every month.
func (p *Package) Monthly() bool { return p.Every == PackageMonthly }

// Oversell is what an agency does when its stock is short of a sale. What is sold
// beyond the stock is paid for at once and given to the client as soon as the
// agency has it: nobody is given credits that nobody bought.
type Oversell string

// The rules for selling beyond the stock.
const (
	OversellRefuse Oversell = "refuse" // nothing is sold that is not there
	OversellWarn   Oversell = "warn"   // it is sold, and the agency is told each time
	OversellAllow  Oversell = "allow"  // it is sold, up to OversellLimit on the way at once
)

// PackageSubStatus is where a client's monthly package stands.
type PackageSubStatus string

// The states of a monthly package.
const (
	PackageSubOpen    PackageSubStatus = "open" // its checkout is
	PackageSubActive  PackageSubStatus = "active"
	PackageSubPastDue PackageSubStatus = "past_due" // the last month is not paid, and is tried again
	PackageSubEnded   PackageSubStatus = "ended"
	PackageSubExpired PackageSubStatus = "expired" // it never began
)

// Running tells a subscription that goes on.
func (s PackageSubStatus) Running() bool { return slices.Contains(RunningPackageSubs(), s) }

// RunningPackageSubs are the statuses of those that run, for a statement.
func RunningPackageSubs() []PackageSubStatus {
	return []PackageSubStatus{PackageSubActive, PackageSubPastDue}
}

// PackageSubscription is a client that gets a package every month, with the offer
// as it was taken. Each month's payment is a purchase of its own.
type PackageSubscription struct {
	AgencyID    AgencyID     `gorm:"primaryKey"`
	ID          PackageSubID `gorm:"primaryKey"`
	WalletID    WalletID
	PackageID   PackageID
	Title       string
	Credits     Credits // each month
	Price       int64   // each month, in minor units
	Currency    string
	Account     string // connected account
	Live        bool
	FeeShare    int64 // the platform's, in hundredths of a percent
	Status      PackageSubStatus
	StatusNote  string
	PurchaseID  PurchaseID // of the first month
	StripeID    string
	Customer    string
	PeriodStart Time
	PeriodEnd   Time // the next payment, or the end
	CancelAt    Time // 0: it goes on
	EndedAt     Time
	CheckedAt   Time
	CreatedAt   Time `gorm:"autoCreateTime:false"`
}

// Total is the price of a month as money.
func (p *PackageSubscription) Total() Money { return Money{Amount: p.Price, Currency: p.Currency} }
