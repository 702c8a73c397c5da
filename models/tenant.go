package models

// AgencyStatus says whether an agency may act.
type AgencyStatus string

// The states of an agency.
const (
	AgencyActive    AgencyStatus = "active"
	AgencySuspended AgencyStatus = "suspended"
)

// Agency is the tenant: it pays and owns everything below it.
type Agency struct {
	ID            AgencyID `gorm:"primaryKey"`
	ExternalID    string
	Name          string
	Host          string // first label of the clients' portal, {host}.localhost in the demo
	TimeZone      string // IANA name; cuts days and periods
	Currency      string
	Status        AgencyStatus
	WalletID      WalletID
	RateCardID    RateCardID // zero: the plan's
	ClientTopUp   bool       // its clients may turn automatic top-up on
	Oversell      Oversell   `gorm:"default:refuse"` // what may be sold beyond the stock
	OversellLimit Credits    // of OversellAllow
	Slots         string     // chart colours by name, JSON; kept so that a model keeps its colour
	UsageRolled   Time       // days before this instant are in usage_days
	TryLater      string     // what a visitor is told while the AI is paused; "" the usual words
	TwoStep       bool       // its team has to sign in in two steps
	Brand         int        // the published Brand; 0: none
	Domain        string     // of its own, which links lead to; "" under the platform's

	// Days of PlatformZone before PlatformRolled are in usage_platform_days.
	PlatformRolled Time
	PlatformZone   string // IANA name; "" before the first

	CreatedAt Time `gorm:"autoCreateTime:false"`

	IdempotencyKey *string // of the request that made it, if a program did
	Fingerprint    []byte
}

// SubscriptionStatus is where a subscription stands.
type SubscriptionStatus string

// The states of a subscription.
const (
	SubscriptionTrialing  SubscriptionStatus = "trialing"
	SubscriptionActive    SubscriptionStatus = "active"
	SubscriptionGrace     SubscriptionStatus = "grace"
	SubscriptionLapsed    SubscriptionStatus = "lapsed"
	SubscriptionCancelled SubscriptionStatus = "cancelled"
)

// Subscription is an agency on a plan, with the plan's terms as they were when
// it began. Period n is computed from AnchorAt in TimeZone, never from the
// previous end. Where Stripe collects the price, anchor and zone are Stripe's, so
// that both count the same periods.
type Subscription struct {
	AgencyID    AgencyID       `gorm:"primaryKey"`
	ID          SubscriptionID `gorm:"primaryKey"`
	PlanID      PlanID
	PlanVersion int    `gorm:"default:1"`
	NextPlanID  PlanID // the plan from NextAt on; zero: this one
	NextAt      Time   // 0: with the next period that is not paid for yet
	Status      SubscriptionStatus
	Price       int64 // minor units of Currency, once per PaidEvery
	Currency    string
	PaidEvery   PaidEvery `gorm:"default:month"`
	AnchorAt    Time
	TimeZone    string
	Every       Every
	Allowance   Credits
	PeriodStart Time
	PeriodEnd   Time // Never when Every is Once
	TrialEnd    Time // 0: no trial
	GraceUntil  Time // while SubscriptionGrace: when it lapses
	CancelAt    Time // ends then; 0: goes on
	CreatedAt   Time `gorm:"autoCreateTime:false"`
	EndedAt     Time

	// Of one that Stripe collects; empty otherwise.

	StripeID       string
	StripeCustomer string
	StripeStatus   string // as Stripe says it, for people to read
	StripeOpen     bool   // Stripe may still collect for it
	BilledPlanID   PlanID // the plan whose price Stripe collects from the next period on
	PaidUntil      Time   // the end of the last paid period
	CheckedAt      Time   // when Stripe was last asked
	Revision       int64  // counts settles: one of an older answer is not booked
}

// ByStripe tells a subscription that Stripe collects from one renewed by the
// clock alone.
func (s *Subscription) ByStripe() bool { return s.StripeID != "" }

// Cost is the price as money.
func (s *Subscription) Cost() Money { return Money{Amount: s.Price, Currency: s.Currency} }

// PlanOrderStatus is where an attempt to take a plan stands.
type PlanOrderStatus string

// The states of an attempt to take a plan.
const (
	PlanOrderOpen    PlanOrderStatus = "open"
	PlanOrderDone    PlanOrderStatus = "done" // its subscription has begun
	PlanOrderExpired PlanOrderStatus = "expired"
)

// PlanOrder is an owner's attempt to take a plan through Stripe. The row exists
// before Stripe hears of it.
type PlanOrder struct {
	AgencyID        AgencyID    `gorm:"primaryKey"`
	ID              PlanOrderID `gorm:"primaryKey"`
	PlanID          PlanID
	Status          PlanOrderStatus
	StatusNote      string
	IdempotencyKey  string
	Fingerprint     []byte
	CheckoutSession string
	CheckoutURL     string
	Live            bool
	OrderedBy       string
	CheckedAt       Time
	ExpiresAt       Time
	CreatedAt       Time `gorm:"autoCreateTime:false"`
}

// PlanRef tells whose an id of Stripe's is: of an order, a session, a
// subscription.
type PlanRef struct {
	Ref      string `gorm:"primaryKey"`
	AgencyID AgencyID
}

// PlanPrice is what a version of a plan is called at Stripe.
type PlanPrice struct {
	PlanID  PlanID `gorm:"primaryKey"`
	Live    bool   `gorm:"primaryKey"`
	PriceID string
}

// SubAccountStatus is where a sub-account stands.
type SubAccountStatus string

// The states of a sub-account.
const (
	SubAccountActive   SubAccountStatus = "active"
	SubAccountArchived SubAccountStatus = "archived"
)

// SubAccount is a client of an agency.
type SubAccount struct {
	AgencyID   AgencyID     `gorm:"primaryKey"`
	ID         SubAccountID `gorm:"primaryKey"`
	ExternalID string
	Name       string
	WalletID   WalletID
	TimeZone   string
	Status     SubAccountStatus
	CreatedAt  Time   `gorm:"autoCreateTime:false"`
	ArchivedAt Time   // last; unset while active
	TryLater   string // what its visitors are told while its AI is paused; "" its agency's words

	IdempotencyKey *string // of the request that made it, if a program did
	Fingerprint    []byte
}

// PlatformAdmin is the platform role of those who see every agency.
const PlatformAdmin = "admin"

// User is a person who signs in, found by e-mail across agencies.
type User struct {
	ID           UserID `gorm:"primaryKey"`
	Email        string // lower case
	Name         string
	PasswordHash string // Argon2id in PHC form
	PlatformRole string // "" or PlatformAdmin
	DisabledAt   Time
	CreatedAt    Time `gorm:"autoCreateTime:false"`

	TwoStepSecret string // sealed; it counts once TwoStepAt is set
	TwoStepAt     Time   // wall time; 0: a password or a link is enough
	TwoStepUsed   int64  // the last step of time whose code was taken
}

// TwoStep tells whether signing in takes a code as well.
func (u *User) TwoStep() bool { return u.TwoStepAt.IsSet() }

// RecoveryCode stands in for a code once; we hold its SHA-256.
type RecoveryCode struct {
	UserID   UserID `gorm:"primaryKey"`
	CodeHash []byte `gorm:"primaryKey"`
}

// Role is what a member may do in an agency.
type Role string

// The roles of members. A client belongs to one sub-account.
const (
	RoleOwner   Role = "owner"
	RoleBilling Role = "billing"
	RoleMember  Role = "member"
	RoleClient  Role = "client"
)

// Member is a user's role in one agency.
type Member struct {
	AgencyID     AgencyID `gorm:"primaryKey"`
	UserID       UserID   `gorm:"primaryKey"`
	Role         Role
	SubAccountID SubAccountID
	CreatedAt    Time `gorm:"autoCreateTime:false"`
	SeenAt       Time // wall time of the last request, to the minute
}

// Session is a signed-in browser; the browser holds the id, we its SHA-256.
// Its instants are wall time.
type Session struct {
	IDHash     []byte `gorm:"primaryKey"`
	UserID     UserID
	Data       []byte
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	LastSeenAt Time
	ExpiresAt  Time
	Half       bool   // it has the first of two proofs, and opens nothing
	ProvedAt   Time   // when its person last proved who they are
	Agent      string // the browser's name for itself
	Address    string // the network it was begun from
}

// AccountLinkKind is what a mailed link does to an account.
type AccountLinkKind string

// The kinds of account links.
const (
	LinkPassword AccountLinkKind = "password" // sets a new one
	LinkEmail    AccountLinkKind = "email"    // confirms another address
)

// AccountLink is mailed to an address and works once. A newer one of a kind
// replaces it.
type AccountLink struct {
	TokenHash []byte `gorm:"primaryKey"`
	UserID    UserID
	Kind      AccountLinkKind
	Email     string   // the address that it was mailed to
	AgencyID  AgencyID // at whose door it was asked for; zero: the platform's
	ExpiresAt Time     // wall time
}

// SignInLink signs a user in without a password, UsesLeft times.
type SignInLink struct {
	TokenHash []byte `gorm:"primaryKey"`
	UserID    UserID
	ExpiresAt Time // wall time
	UsesLeft  int
	Mailed    bool // asked for by the person; a newer one replaces it

	// The invitation that using the link accepts, if any.
	AgencyID     AgencyID
	InvitationID InvitationID
}

// SignInAttempt counts failures of one subject (an address or an e-mail) in
// one window of wall time.
type SignInAttempt struct {
	Subject     string `gorm:"primaryKey"`
	WindowStart Time   // of the first failure; of the last one, once the window is full
	Failures    int
}

// APIKey lets a program in. AgencyID is zero for a platform key.
type APIKey struct {
	ID        APIKeyID `gorm:"primaryKey"`
	AgencyID  AgencyID
	Name      string
	KeyHash   []byte
	Hint      string // the last four characters
	CreatedAt Time   `gorm:"autoCreateTime:false"`
	RevokedAt Time
	CreatedBy string

	Scopes     string   // names separated by spaces; "" everything
	Networks   string   // CIDRs separated by spaces; "" from anywhere
	ExpiresAt  Time     // wall time; 0: never
	LastUsedAt Time     // wall time, to the minute
	ReplacedBy APIKeyID // the key that took its place
}

// TableName keeps the initialism in one word.
func (APIKey) TableName() string { return "api_keys" }

// AuditEntry is who did what; rows are never changed.
type AuditEntry struct {
	ID        AuditID `gorm:"primaryKey"`
	AgencyID  AgencyID
	Actor     string
	Action    string
	Target    string
	Detail    string
	Reason    string
	CreatedAt Time `gorm:"autoCreateTime:false"`
}

// TableName says that rows are a log.
func (AuditEntry) TableName() string { return "audit_log" }

// AuditSeal makes an entry of the audit log part of a chain: Hash covers the seal
// before it and the entry.
type AuditSeal struct {
	Seq     int64 `gorm:"primaryKey;autoIncrement:false"` // 1, 2, 3 …
	AuditID AuditID
	Hash    []byte
	At      Time // wall time
}

// AuditUnsealed is an entry that waits for its seal.
type AuditUnsealed struct {
	AuditID AuditID `gorm:"primaryKey"`
}

// TableName says that rows wait.
func (AuditUnsealed) TableName() string { return "audit_unsealed" }
