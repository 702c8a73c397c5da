package models

// AdjustmentState is where a request for a second person stands.
type AdjustmentState string

// The states of an adjustment request; each leaves pending once.
const (
	AdjustmentPending  AdjustmentState = "pending"
	AdjustmentApproved AdjustmentState = "approved"
	AdjustmentDeclined AdjustmentState = "declined"
)

// AdjustmentRequest is a change of a balance by hand that waits for a second
// person, or waited for one.
type AdjustmentRequest struct {
	AgencyID       AgencyID     `gorm:"primaryKey"`
	ID             AdjustmentID `gorm:"primaryKey"`
	WalletID       WalletID
	Credits        Credits // > 0 gives, < 0 takes
	Source         Source  // of given credits
	ExpiresAt      Time    // of given credits; 0: never
	Reason         string
	Shown          bool // the account reads the reason
	State          AdjustmentState
	RequestedBy    string
	DecidedBy      string
	DecidedAt      Time
	ActID          ActID // of the approved
	IdempotencyKey string
	Fingerprint    []byte
	CreatedAt      Time `gorm:"autoCreateTime:false"`
}
