package models

// RateCard is a named price list; its prices are in its versions.
type RateCard struct {
	ID        RateCardID `gorm:"primaryKey"`
	Code      string
	Name      string
	CreatedAt Time `gorm:"autoCreateTime:false"`
}

// RateCardVersion is one immutable edition of a card; Rates is the JSON of
// billing/ratecard.
type RateCardVersion struct {
	CardID      RateCardID `gorm:"primaryKey"`
	Number      int        `gorm:"primaryKey;autoIncrement:false"`
	EffectiveAt Time
	Rates       string
	Note        string
	CreatedBy   string
	CreatedAt   Time `gorm:"autoCreateTime:false"`

	IdempotencyKey *string // of the request that published it, if a program did
	Fingerprint    []byte
}

// Every is how often an allowance is granted.
type Every string

// The rhythms of an allowance.
const (
	EveryMonth Every = "month"
	Once       Every = "once"
)

// PaidEvery is how often a plan's price is paid.
type PaidEvery string

// The rhythms of a price.
const (
	PaidMonthly PaidEvery = "month"
	PaidYearly  PaidEvery = "year" // its credits still come by the plan's own rhythm
)

// Months is how many months one payment covers.
func (p PaidEvery) Months() int64 {
	if p == PaidYearly {
		return 12
	}
	return 1
}

// Plan is one version of what the platform sells an agency: an allowance and its
// terms. It never changes: an edit archives the row and adds one with the same
// Code and the next Version, and subscriptions stay on the row they began with.
type Plan struct {
	ID              PlanID `gorm:"primaryKey"`
	Code            string
	Name            string
	Version         int
	Price           int64 // minor units of Currency, once per PaidEvery
	Currency        string
	PaidEvery       PaidEvery `gorm:"default:month"`
	Allowance       Credits
	Every           Every
	ExcessLimit     Credits // 0: pause at zero
	SubAccountLimit int     // 0: unlimited
	TrialDays       int
	RateCardID      RateCardID
	Position        int
	Assumed         string // what the source of a preset left out, in words
	Note            string // why this version was published
	CreatedBy       string
	CreatedAt       Time `gorm:"autoCreateTime:false"`
	ArchivedAt      Time // 0: agencies can be put on it
}

// PackKind tells a pack of a fixed size from one sold by quantity.
type PackKind string

// The kinds of packs.
const (
	PackFixed    PackKind = "fixed"
	PackQuantity PackKind = "quantity"
)

// Pack is one version of what the platform sells an agency once: credits that
// never expire. A fixed pack has Credits and Price, one by quantity Minimum, Step
// and UnitPrice. It never changes, as a Plan.
type Pack struct {
	ID         PackID `gorm:"primaryKey"`
	Code       string
	Name       string
	Version    int
	Kind       PackKind
	Credits    Credits
	Bonus      Credits // of a fixed one: bonus credits that come with it
	Minimum    Credits
	Step       Credits
	UnitPrice  UnitPrice
	Price      int64
	Currency   string
	Position   int
	Note       string // why this version was published
	CreatedBy  string
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	ArchivedAt Time // 0: on sale
}

// PlanPack says that agencies on the plan may buy the pack.
type PlanPack struct {
	PlanID PlanID `gorm:"primaryKey"`
	PackID PackID `gorm:"primaryKey"`
}

// SettingWorked names the setting of up to when everything that is due by the clock
// was done: microseconds of domain time.
const SettingWorked = "worked_until"

// Setting is one named value of the installation.
type Setting struct {
	Name  string `gorm:"primaryKey"`
	Value string
}
