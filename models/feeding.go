package models

type (
	bulkKind     struct{}
	standingKind struct{}
)

func (bulkKind) prefix() string     { return "blk" }
func (standingKind) prefix() string { return "std" }

type (
	// BulkID names a bulk assignment.
	BulkID = ID[bulkKind]
	// StandingID names a monthly assignment.
	StandingID = ID[standingKind]
)

// BulkWay is how the amounts of a bulk assignment were worked out.
type BulkWay string

// The ways.
const (
	BulkSame   BulkWay = "same"   // everybody the same
	BulkTarget BulkWay = "target" // up to the same balance
	BulkShare  BulkWay = "share"  // a sum by share of last month's use
	BulkList   BulkWay = "list"   // a list of accounts and amounts
)

// BulkAssignment is credits assigned to many sub-accounts in one act: all or none.
type BulkAssignment struct {
	AgencyID       AgencyID `gorm:"primaryKey"`
	ID             BulkID   `gorm:"primaryKey"`
	Way            BulkWay
	Credits        Credits // of all shares
	Accounts       int
	Note           string // shown to the clients
	CreatedBy      string
	IdempotencyKey string
	Fingerprint    []byte
	UndoneAt       Time
	UndoneBy       string
	CreatedAt      Time `gorm:"autoCreateTime:false"`
}

// BulkPart is what one sub-account got of a bulk assignment.
type BulkPart struct {
	AgencyID     AgencyID     `gorm:"primaryKey"`
	BulkID       BulkID       `gorm:"primaryKey"`
	SubAccountID SubAccountID `gorm:"primaryKey"`
	Credits      Credits
	ActID        ActID
	Returned     Credits // when it was undone
}

// TableName names the parts.
func (BulkPart) TableName() string { return "bulk_assignment_parts" }

// Unused is what becomes of a monthly assignment's credits that were not used
// when the next one comes.
type Unused string

// What may become of them.
const (
	UnusedStays   Unused = "stay"
	UnusedReturns Unused = "return"
)

// StandingAssignment gives a sub-account credits every month, at midnight of a
// day in the agency's zone; in a month without that day, on its last.
type StandingAssignment struct {
	AgencyID     AgencyID   `gorm:"primaryKey"`
	ID           StandingID `gorm:"primaryKey"`
	SubAccountID SubAccountID
	Credits      Credits
	Day          int // 1–31
	Unused       Unused
	Note         string // shown to the client
	TimeZone     string
	NextAt       Time
	CreatedBy    string
	EndedAt      Time
	CreatedAt    Time `gorm:"autoCreateTime:false"`
}

// StandingOutcome is how one month's turn of a standing assignment ended.
type StandingOutcome string

// The outcomes: done, or skipped in full and why.
const (
	StandingDone   StandingOutcome = "done"
	StandingShort  StandingOutcome = "short"  // the agency had too little
	StandingPooled StandingOutcome = "pooled" // it would never use them
	StandingClosed StandingOutcome = "closed" // it is archived
	StandingFull   StandingOutcome = "full"   // its wallet has no room for more
)

// StandingTurn is one month of a standing assignment; its key makes it one.
type StandingTurn struct {
	AgencyID   AgencyID   `gorm:"primaryKey"`
	StandingID StandingID `gorm:"primaryKey"`
	DueAt      Time       `gorm:"primaryKey;autoIncrement:false"`
	Outcome    StandingOutcome
	Credits    Credits // assigned
	Returned   Credits // unused ones of the turn before, which came back
	Available  Credits // what the agency had, where that was too little
	ActID      ActID
	CreatedAt  Time `gorm:"autoCreateTime:false"`
}
