package models

// WalletStatus says whether a wallet may be charged.
type WalletStatus string

// The states of a wallet.
const (
	WalletActive    WalletStatus = "active"
	WalletSuspended WalletStatus = "suspended"
	WalletClosed    WalletStatus = "closed"
)

// Funding is how a sub-account's wallet is fed (DESIGN 4.2).
type Funding string

// The ways to feed a wallet.
const (
	Prepaid Funding = "prepaid" // own lots, then the agency's pool up to PoolCap
	Pooled  Funding = "pooled"  // the agency's wallet up to PoolCap, 0 meaning no cap
)

// PoolEvery is the span a pool cap counts over.
type PoolEvery string

// The spans of a pool cap.
const (
	PoolDay   PoolEvery = "day"
	PoolCycle PoolEvery = "cycle"
)

// Wallet holds one balance. Balance = Σ lots' remaining − Excess at every
// commit, expired lots that are not booked yet included.
type Wallet struct {
	AgencyID     AgencyID     `gorm:"primaryKey"`
	ID           WalletID     `gorm:"primaryKey"`
	SubAccountID SubAccountID // zero: the agency's own
	Status       WalletStatus
	Seq          int64 // of the newest entry; gapless
	Balance      Credits
	Held         Credits
	Excess       Credits
	ExcessLimit  Credits // 0: pause at zero
	Funding      Funding
	PoolWalletID WalletID // the agency's wallet, for every sub-account's
	PoolCap      Credits
	PoolEvery    PoolEvery
	PoolDrawn    Credits // since PoolSince
	PoolSince    Time
	CycleStart   Time    // of the agency's running period
	Promised     Credits // excess that open holds may still use
	LowAt        Credits // at or below: low (UX 1.0.3), refreshed by the clock
	CriticalAt   Credits
	// On the agency's wallet: what all its wallets owe or are promised
	// together, and the platform's limit on it.
	AgencyExcess  Credits
	AgencyCeiling Credits
	LastAt        Time    // booking time of the newest entry: never runs backwards
	UsedAt        Time    // first charge ever
	Version       int64   // goes up with every change of the row or of its lots
	DrawnLotID    LotID   // the lot whose stored row is behind
	Drawn         Credits // by so much
	WatchBelow    Credits // left outside [WatchBelow, WatchFrom) wakes whoever watches;
	WatchFrom     Credits // empty: nobody does
	QuarantinedAt Time    // its books did not add up then; 0: in service
	CreatedAt     Time    `gorm:"autoCreateTime:false"`
}

// InService tells a wallet that may be charged, as far as it alone says.
func (w *Wallet) InService() bool { return w.Status == WalletActive && w.QuarantinedAt == 0 }

// Patrol is how far a wallet was checked in passing.
type Patrol struct {
	AgencyID AgencyID `gorm:"primaryKey"`
	WalletID WalletID `gorm:"primaryKey"`
	Seq      int64    // of the last entry that was found whole
	Balance  Credits  // there
	BookedAt Time     // of it
	LookedAt Time
	Broken   string // why the wallet was taken out of service

	// How far it has come that reads everything once more.

	AgainSeq      int64
	AgainBalance  Credits
	AgainBookedAt Time
	AgainAt       Time // when it was last through
}

// WalletStop is where a wallet stood when it was suspended or closed: what is drawn
// after that entry was promised before.
type WalletStop struct {
	AgencyID AgencyID `gorm:"primaryKey"`
	WalletID WalletID `gorm:"primaryKey"`
	Seq      int64
}

// Stirred is a wallet that left its watch and is to be looked at.
type Stirred struct {
	AgencyID AgencyID `gorm:"primaryKey"`
	WalletID WalletID `gorm:"primaryKey"`
	At       Time
}

// TableName has no plural.
func (Stirred) TableName() string { return "stirred" }

// WalletPlace finds the agency of a wallet id.
type WalletPlace struct {
	WalletID WalletID `gorm:"primaryKey"`
	AgencyID AgencyID
}

// TableName names the directory.
func (WalletPlace) TableName() string { return "wallet_directory" }

// Source is where a lot's credits came from.
type Source string

// The sources of lots.
const (
	SourcePlan       Source = "plan"
	SourcePurchase   Source = "purchase"
	SourceAssigned   Source = "assigned"
	SourceReferral   Source = "referral"
	SourcePromo      Source = "promo"
	SourceAdjustment Source = "adjustment"
)

// Bucket is a kind of credits as screens and the API show it.
type Bucket string

// The buckets.
const (
	BucketPlan      Bucket = "plan"
	BucketPurchased Bucket = "purchased"
	BucketAssigned  Bucket = "assigned"
	BucketBonus     Bucket = "bonus"
	BucketExcess    Bucket = "excess"
)

// Bucket is the bucket a source is shown in.
func (s Source) Bucket() Bucket {
	switch s {
	case SourcePlan:
		return BucketPlan
	case SourcePurchase:
		return BucketPurchased
	case SourceAssigned:
		return BucketAssigned
	case SourceReferral, SourcePromo, SourceAdjustment:
		return BucketBonus
	}
	return BucketBonus
}

// Priority is the default place of a source in the draw order, lowest first.
func (s Source) Priority() int {
	switch s {
	case SourcePlan:
		return 10
	case SourceAssigned:
		return 20
	case SourceReferral, SourcePromo, SourceAdjustment:
		return 30
	case SourcePurchase:
		return 50
	}
	return 50
}

// Lot is what is left of one grant. It is read from a view: see StoredLot.
type Lot struct {
	AgencyID    AgencyID `gorm:"primaryKey"`
	ID          LotID    `gorm:"primaryKey"`
	WalletID    WalletID
	Source      Source
	Priority    int
	Granted     Credits
	Remaining   Credits // spendable
	Held        Credits
	Open        bool // anything remaining or held; what the draw's index is built on
	Frozen      bool
	EffectiveAt Time
	ExpiresAt   Time // Never for purchased credits
	UnitCost    UnitPrice
	Cost        int64 // of the whole grant, minor units
	Currency    string
	PurchaseID  PurchaseID
	ParentLotID LotID // the lot it was carved from
	PeriodStart Time  // of an allowance
	Note        string
	CreatedAt   Time `gorm:"autoCreateTime:false"`
}

// LotFreeze is one reason why a lot is or was frozen, between two entries of its
// wallet.
type LotFreeze struct {
	AgencyID AgencyID     `gorm:"primaryKey"`
	LotID    LotID        `gorm:"primaryKey"`
	Reason   FreezeReason `gorm:"primaryKey"`
	AfterSeq int64        `gorm:"primaryKey;autoIncrement:false"` // the last entry before it
	UntilSeq int64        // the last entry it ruled; FreezeRules while it does
	WalletID WalletID
}

// FreezeRules is the UntilSeq of a freeze that is in force.
const FreezeRules = -1

// FreezeReason is why credits may not be spent for now.
type FreezeReason string

// The reasons.
const (
	FreezeNoPlan FreezeReason = "no plan" // the agency's plan has ended: usable again with the next
)

// StoredLot is a lot's row as it is written: its remaining does not know yet what
// the wallet's row says was drawn. Nobody but package ledger has a use for it.
type StoredLot struct{ Lot }

// TableName names the rows.
func (StoredLot) TableName() string { return "lot_rows" }

// Entry is one immutable movement of one lot, or of excess. Amount is always
// positive; ledger.Kind says between which accounts it moves. Balance is the
// wallet's after it.
type Entry struct {
	AgencyID AgencyID `gorm:"primaryKey"`
	WalletID WalletID `gorm:"primaryKey"`
	Seq      int64    `gorm:"primaryKey;autoIncrement:false"`
	ActID    ActID
	LotID    LotID
	Kind     int16
	Amount   Credits
	Balance  Credits
	At       Time
}

// Act is what caused entries that are neither a charge nor a hold.
type Act struct {
	AgencyID       AgencyID `gorm:"primaryKey"`
	ID             ActID    `gorm:"primaryKey"`
	WalletID       WalletID
	Kind           string
	Credits        Credits
	Actor          string
	Note           string
	Reference      string
	OtherWalletID  WalletID
	IdempotencyKey *string
	Fingerprint    []byte
	Seq            int64 // of its first entry on WalletID
	OtherSeq       int64 // and on OtherWalletID
	CreatedAt      Time  `gorm:"autoCreateTime:false"`
}

// Charge is one priced AI action, booked once. The After columns are the
// addressed wallet's balance by bucket right after it: with the entries from
// Seq on they render the first answer again, for ever.
type Charge struct {
	AgencyID       AgencyID `gorm:"primaryKey"`
	ID             ChargeID `gorm:"primaryKey"`
	WalletID       WalletID
	IdempotencyKey string
	Fingerprint    []byte
	Action         string
	Model          string
	Usage          string // canonical JSON
	Metadata       string // JSON object or ""
	Credits        Credits
	WouldCost      Credits // of a test
	Units          int64   // what it counts as on usage screens
	CardID         RateCardID
	CardVersion    int
	Test           bool
	Late           bool
	HoldID         HoldID
	Seq            int64 // first entry on WalletID, 0: none
	PoolWalletID   WalletID
	PoolSeq        int64 // first entry on PoolWalletID, 0: none
	AfterPlan      Credits
	AfterPurchased Credits
	AfterAssigned  Credits
	AfterBonus     Credits
	AfterHeld      Credits
	AfterExcess    Credits
	State          string
	OccurredAt     Time
	CreatedAt      Time `gorm:"autoCreateTime:false"`
}

// Reversal is the one way back a charge may have.
type Reversal struct {
	AgencyID       AgencyID `gorm:"primaryKey"`
	ChargeID       ChargeID `gorm:"primaryKey"`
	ID             ReversalID
	IdempotencyKey string
	Reason         string
	Credits        Credits
	CreatedAt      Time `gorm:"autoCreateTime:false"`
}

// HoldState is where a hold stands; each hold leaves open exactly once.
type HoldState string

// The states of a hold.
const (
	HoldOpen     HoldState = "open"
	HoldCaptured HoldState = "captured"
	HoldReleased HoldState = "released"
	HoldExpired  HoldState = "expired"
)

// Hold reserves credits of certain lots for work that is still running.
type Hold struct {
	AgencyID       AgencyID `gorm:"primaryKey"`
	ID             HoldID   `gorm:"primaryKey"`
	WalletID       WalletID
	IdempotencyKey string
	Fingerprint    []byte
	Action         string
	Model          string
	Credits        Credits
	Promised       Credits    // the part that may go into excess
	Draws          string     // JSON of ledger's draws: wallet, lot, credits
	PurchaseID     PurchaseID // of stock kept for a checkout; programs cannot touch such a hold
	State          HoldState
	ExpiresAt      Time
	EndedAt        Time
	CreatedAt      Time `gorm:"autoCreateTime:false"`
}

// UsageQuarter counts the charges of one quarter of an hour by who paid, who
// used, action and model. Credits are by the bucket that paid.
type UsageQuarter struct {
	AgencyID     AgencyID `gorm:"primaryKey"`
	Quarter      Time     `gorm:"primaryKey;autoIncrement:false"` // its start
	PaidWalletID WalletID `gorm:"primaryKey"`
	WalletID     WalletID `gorm:"primaryKey"`
	Action       string   `gorm:"primaryKey"`
	Model        string   `gorm:"primaryKey"`
	Plan         Credits
	Purchased    Credits
	Assigned     Credits
	Bonus        Credits
	Excess       Credits
	Units        int64 // of the action's first measure, millionths
	Charges      int64
	Tests        int64
	FirstSeq     int64 // entries of the paying wallet that these charges wrote
	LastSeq      int64
	Balance      Credits // of the paying wallet after LastSeq
}

// UsageDay is UsageQuarter added up over one day of the agency's zone.
type UsageDay struct {
	AgencyID     AgencyID `gorm:"primaryKey"`
	Day          Time     `gorm:"primaryKey;autoIncrement:false"` // its local midnight
	PaidWalletID WalletID `gorm:"primaryKey"`
	WalletID     WalletID `gorm:"primaryKey"`
	Action       string   `gorm:"primaryKey"`
	Model        string   `gorm:"primaryKey"`
	Plan         Credits
	Purchased    Credits
	Assigned     Credits
	Bonus        Credits
	Excess       Credits
	Units        int64
	Charges      int64
	Tests        int64
}

// UsageAgencyDay is UsageDay whoever used and paid.
type UsageAgencyDay struct {
	AgencyID  AgencyID `gorm:"primaryKey"`
	Day       Time     `gorm:"primaryKey;autoIncrement:false"` // its local midnight
	Action    string   `gorm:"primaryKey"`
	Model     string   `gorm:"primaryKey"`
	Plan      Credits
	Purchased Credits
	Assigned  Credits
	Bonus     Credits
	Excess    Credits
	Units     int64
	Charges   int64
	Tests     int64
	Own       Credits // of it, paid by the agency's own wallet
}

// UsagePlatformDay is UsageQuarter added up over one day of the platform's zone,
// whoever used and paid.
type UsagePlatformDay struct {
	AgencyID  AgencyID `gorm:"primaryKey"`
	Day       Time     `gorm:"primaryKey;autoIncrement:false"` // its midnight in the platform's zone
	Action    string   `gorm:"primaryKey"`
	Model     string   `gorm:"primaryKey"`
	Plan      Credits
	Purchased Credits
	Assigned  Credits
	Bonus     Credits
	Excess    Credits
	Units     int64
	Charges   int64
	Tests     int64
}
