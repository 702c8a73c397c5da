package models

// MailKind is what a mail is about.
type MailKind string

// The kinds of mails.
const (
	MailInvitation MailKind = "invitation"
	MailSignIn     MailKind = "sign_in"
	MailNotice     MailKind = "notice"
	MailWebhook    MailKind = "webhook"
	MailPassword   MailKind = "password" // to set a forgotten one
	MailSecurity   MailKind = "security" // an account was changed, or an address is to be confirmed
)

// MailState is where a mail stands.
type MailState string

// The states of a mail. A queued one is sent, given up (dead) or, when nobody
// needs it any more, dropped.
const (
	MailQueued  MailState = "queued"
	MailSent    MailState = "sent"
	MailDead    MailState = "dead"
	MailDropped MailState = "dropped"
)

// Mail is one message in the outbox, written in the transaction that causes it.
// NextAt, ExpiresAt and EndedAt are wall time.
type Mail struct {
	ID          int64    `gorm:"primaryKey;autoIncrement"` // the order in which mails to one address go out
	AgencyID    AgencyID // in whose name; zero: the platform's
	Kind        MailKind
	Recipient   string
	FromName    string
	FromAddress string // "" the platform's
	ReplyTo     string
	Subject     string
	Text        string // empty before a sign-in mail is made, and again once a mail has ended
	HTML        string `gorm:"column:html"`
	State       MailState
	Unsubscribe string // address that takes the recipient off mails like this; "" for one that must go
	Attempts    int
	NextAt      Time // when it is tried next; while it is being sent, when the sender counts as lost
	ExpiresAt   Time // after which it is not worth sending
	Note        string
	CreatedAt   Time `gorm:"autoCreateTime:false"`
	EndedAt     Time
}

// TableName says that the rows are mails.
func (Mail) TableName() string { return "mails" }

// Invitation offers a person a role in an agency. Who holds the token may accept
// it; we hold its SHA-256.
type Invitation struct {
	TokenHash    []byte `gorm:"primaryKey"`
	AgencyID     AgencyID
	ID           InvitationID
	SubAccountID SubAccountID // of a client
	Email        string       // lower case
	Role         Role
	InvitedBy    string // e-mail address
	CreatedAt    Time   `gorm:"autoCreateTime:false"`
	SentAt       Time   // of the mail with the token that holds
	ExpiresAt    Time
	AcceptedAt   Time
	RevokedAt    Time
}
