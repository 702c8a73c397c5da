package models

import (
	"slices"
	"strings"
)

// WebhookEndpoint is an address that a program listens at. FailingSince, RetryAt
// and OldUntil are wall time.
type WebhookEndpoint struct {
	ID       WebhookEndpointID `gorm:"primaryKey"`
	AgencyID AgencyID          // whose wallets it hears of; zero: the platform's, every wallet
	URL      string
	Note     string // whatever people want to remember of it
	Events   string // names separated by spaces; "" hears of everything
	Secret   string // sealed; whsec_… where it is shown or signs

	// The secret before, while both sign.

	OldSecret string
	OldUntil  Time

	// How it does: failures in a row since FailingSince, and no attempt before
	// RetryAt.

	Failures     int
	FailingSince Time
	RetryAt      Time

	DisabledAt   Time // 0: deliveries go to it
	DisabledNote string

	IdempotencyKey *string // of the request that made it, if a program did
	Fingerprint    []byte
	CreatedBy      string
	CreatedAt      Time `gorm:"autoCreateTime:false"`
}

// Hears tells whether the endpoint wants an event.
func (e *WebhookEndpoint) Hears(event string) bool {
	return e.Events == "" || slices.Contains(strings.Fields(e.Events), event)
}

// WebhookEvent is what happened, as programs are told.
type WebhookEvent struct {
	AgencyID  AgencyID       `gorm:"primaryKey"`
	ID        WebhookEventID `gorm:"primaryKey"`
	WalletID  WalletID
	Type      string
	Body      string // JSON
	CreatedAt Time   `gorm:"autoCreateTime:false"`
}

// WebhookState is where a delivery stands.
type WebhookState string

// The states of a delivery.
const (
	WebhookQueued    WebhookState = "queued"
	WebhookDelivered WebhookState = "delivered"
	WebhookDead      WebhookState = "dead" // given up; it can be sent again
)

// WebhookDelivery is an event on its way to an endpoint, written in the
// transaction that causes it. NextAt, ExpiresAt, TriedAt and EndedAt are wall time.
type WebhookDelivery struct {
	EndpointID WebhookEndpointID `gorm:"primaryKey"`
	EventID    WebhookEventID    `gorm:"primaryKey"` // the same over all attempts
	AgencyID   AgencyID          // the event's; zero: a test of the platform's endpoint
	Type       string
	Body       string
	State      WebhookState
	Attempts   int
	NextAt     Time   // when it is tried next; while it is being sent, when the sender counts as lost
	ExpiresAt  Time   // when it is given up
	Status     int    // of the last answer; 0: there was none
	Note       string // how the last answer began, or why there was none
	Took       int64  // milliseconds of the last attempt
	TriedAt    Time
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	EndedAt    Time
}
