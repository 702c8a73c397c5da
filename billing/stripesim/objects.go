package stripesim

import (
	"crypto/rand"
	"encoding/json"
)

// The structs below hold the fields of an object that can differ from one to
// the next, under Stripe's names; the rest of its shape is in shapes/.

// sessionStatus is where a checkout stands.
type sessionStatus string

const (
	sessionOpen     sessionStatus = "open"
	sessionComplete sessionStatus = "complete"
	sessionExpired  sessionStatus = "expired"
)

// paymentStatus tells whether the money of a session is there.
type paymentStatus string

const (
	unpaid paymentStatus = "unpaid"
	paid   paymentStatus = "paid"
)

// intentStatus is where a payment stands.
type intentStatus string

const (
	intentNeedsMethod intentStatus = "requires_payment_method"
	intentNeedsAction intentStatus = "requires_action"
	intentProcessing  intentStatus = "processing"
	intentSucceeded   intentStatus = "succeeded"
	intentCanceled    intentStatus = "canceled"
)

// chargeStatus is the outcome of one try to take money.
type chargeStatus string

const (
	chargeSucceeded chargeStatus = "succeeded"
	chargePending   chargeStatus = "pending"
	chargeFailed    chargeStatus = "failed"
)

type sessionFields struct {
	ID                 string            `json:"id"`
	AmountSubtotal     int64             `json:"amount_subtotal"`
	AmountTotal        int64             `json:"amount_total"`
	CancelURL          *string           `json:"cancel_url"`
	ClientReferenceID  *string           `json:"client_reference_id"`
	Created            int64             `json:"created"`
	Currency           string            `json:"currency"`
	Customer           *string           `json:"customer"`
	CustomerCreation   *string           `json:"customer_creation"`
	CustomerDetails    *customerDetails  `json:"customer_details"`
	CustomerEmail      *string           `json:"customer_email"`
	ExpiresAt          int64             `json:"expires_at"`
	Invoice            *string           `json:"invoice"`
	Locale             *string           `json:"locale"`
	Metadata           map[string]string `json:"metadata"`
	Mode               string            `json:"mode"`
	PaymentIntent      *string           `json:"payment_intent"`
	PaymentMethodTypes []string          `json:"payment_method_types"`
	// PaymentMethodCollection is if_required for a trial that needs no card.
	PaymentMethodCollection string        `json:"payment_method_collection"`
	PaymentStatus           paymentStatus `json:"payment_status"`
	SetupIntent             *string       `json:"setup_intent"`
	Status                  sessionStatus `json:"status"`
	SubmitType              *string       `json:"submit_type"`
	Subscription            *string       `json:"subscription"`
	SuccessURL              string        `json:"success_url"`
	AutomaticTax            automaticTax  `json:"automatic_tax"`
	TotalDetails            totalDetails  `json:"total_details"`
}

// automaticTax is whether tax is reckoned on top of a price.
type automaticTax struct {
	Enabled bool    `json:"enabled"`
	Status  *string `json:"status"`
}

type totalDetails struct {
	AmountDiscount int64 `json:"amount_discount"`
	AmountShipping int64 `json:"amount_shipping"`
	AmountTax      int64 `json:"amount_tax"`
}

// taxPercent is what every buyer is taxed here: no law's rate.
const taxPercent = 20

// taxOn is the tax on a price that goes without it, in its minor units, rounded half up.
func taxOn(net int64) int64 { return (net*taxPercent + 50) / 100 }

// session is a checkout and what its payment will be made from.
type session struct {
	sessionFields
	Items  []lineItem   `json:"items"`
	Intent intentPlan   `json:"intent"`
	Plan   *sessionPlan `json:"plan,omitempty"`  // in mode subscription
	Setup  *setupPlan   `json:"setup,omitempty"` // in mode setup
	// SettleAt is when a bank debit comes in or bounces, domain seconds; 0 when
	// none is under way.
	SettleAt   int64 `json:"settle_at,omitempty"`
	SettleFail bool  `json:"settle_fail,omitempty"`
}

type customerDetails struct {
	Address   *struct{} `json:"address"`
	Email     *string   `json:"email"`
	Name      *string   `json:"name"`
	Phone     *string   `json:"phone"`
	TaxExempt string    `json:"tax_exempt"`
	TaxIDs    []string  `json:"tax_ids"`
}

// intentPlan is payment_intent_data.
type intentPlan struct {
	ApplicationFee   *int64            `json:"application_fee,omitempty"`
	Description      *string           `json:"description,omitempty"`
	ReceiptEmail     *string           `json:"receipt_email,omitempty"`
	SetupFutureUsage *string           `json:"setup_future_usage,omitempty"`
	Statement        *string           `json:"statement,omitempty"`
	StatementSuffix  *string           `json:"statement_suffix,omitempty"`
	Metadata         map[string]string `json:"metadata"`
}

type lineItem struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	Quantity    int64   `json:"quantity"`
	UnitAmount  int64   `json:"unit_amount"`
	Currency    string  `json:"currency"`
	Product     string  `json:"product"`
	Price       string  `json:"price"`
	TaxBehavior string  `json:"tax_behavior,omitempty"`
}

type intentFields struct {
	ID                        string            `json:"id"`
	Amount                    int64             `json:"amount"`
	AmountReceived            int64             `json:"amount_received"`
	ApplicationFeeAmount      *int64            `json:"application_fee_amount"`
	CanceledAt                *int64            `json:"canceled_at"`
	CancellationReason        *string           `json:"cancellation_reason"`
	ClientSecret              string            `json:"client_secret"`
	Created                   int64             `json:"created"`
	Currency                  string            `json:"currency"`
	Customer                  *string           `json:"customer"`
	Description               *string           `json:"description"`
	Invoice                   *string           `json:"invoice"`
	LastPaymentError          *apiError         `json:"last_payment_error"`
	LatestCharge              *string           `json:"latest_charge"`
	Metadata                  map[string]string `json:"metadata"`
	NextAction                *nextAction       `json:"next_action"`
	PaymentMethod             *string           `json:"payment_method"`
	PaymentMethodTypes        []string          `json:"payment_method_types"`
	ReceiptEmail              *string           `json:"receipt_email"`
	SetupFutureUsage          *string           `json:"setup_future_usage"`
	StatementDescriptor       *string           `json:"statement_descriptor"`
	StatementDescriptorSuffix *string           `json:"statement_descriptor_suffix"`
	Status                    intentStatus      `json:"status"`
}

// intent is a payment intent and, while the bank wants to see the buyer, the
// card that waits for it.
type intent struct {
	intentFields
	Waiting *method `json:"waiting,omitempty"`
}

type nextAction struct {
	Type string `json:"type"`
}

// method is how one try to pay was made.
type method struct {
	Kind        methodKind `json:"kind"`
	ID          string     `json:"id"` // pm_…
	Brand       string     `json:"brand,omitempty"`
	Last4       string     `json:"last4,omitempty"`
	Number      string     `json:"number,omitempty"` // never shown
	Fingerprint string     `json:"fingerprint,omitempty"`
	ExpMonth    int64      `json:"exp_month,omitempty"`
	ExpYear     int64      `json:"exp_year,omitempty"`
	Name        string     `json:"name,omitempty"`
	Email       string     `json:"email,omitempty"`
}

type charge struct {
	ID                   string            `json:"id"`
	Amount               int64             `json:"amount"`
	AmountCaptured       int64             `json:"amount_captured"`
	AmountRefunded       int64             `json:"amount_refunded"`
	ApplicationFeeAmount *int64            `json:"application_fee_amount"`
	BalanceTransaction   *string           `json:"balance_transaction"`
	BillingDetails       billingDetails    `json:"billing_details"`
	Statement            *string           `json:"calculated_statement_descriptor"`
	Created              int64             `json:"created"`
	Currency             string            `json:"currency"`
	Customer             *string           `json:"customer"`
	Description          *string           `json:"description"`
	FailureCode          *string           `json:"failure_code"`
	FailureMessage       *string           `json:"failure_message"`
	Metadata             map[string]string `json:"metadata"`
	Outcome              *outcome          `json:"outcome"`
	Paid                 bool              `json:"paid"`
	PaymentIntent        string            `json:"payment_intent"`
	PaymentMethod        string            `json:"payment_method"`
	PaymentMethodDetails map[string]any    `json:"payment_method_details"`
	ReceiptEmail         *string           `json:"receipt_email"`
	Disputed             bool              `json:"disputed"`
	Refunded             bool              `json:"refunded"`
	Status               chargeStatus      `json:"status"`
}

type billingDetails struct {
	Address *struct{} `json:"address"`
	Email   *string   `json:"email"`
	Name    *string   `json:"name"`
	Phone   *string   `json:"phone"`
}

type outcome struct {
	NetworkStatus string  `json:"network_status"`
	Reason        *string `json:"reason"`
	RiskLevel     string  `json:"risk_level"`
	SellerMessage string  `json:"seller_message"`
	Type          string  `json:"type"`
}

type refund struct {
	ID                 string            `json:"id"`
	Amount             int64             `json:"amount"`
	BalanceTransaction *string           `json:"balance_transaction"`
	Charge             string            `json:"charge"`
	Created            int64             `json:"created"`
	Currency           string            `json:"currency"`
	FailureReason      *string           `json:"failure_reason,omitempty"`
	FailureTransaction *string           `json:"failure_balance_transaction,omitempty"`
	Metadata           map[string]string `json:"metadata"`
	PaymentIntent      string            `json:"payment_intent"`
	Reason             *string           `json:"reason"`
	Status             string            `json:"status"`
}

type balanceTransaction struct {
	ID                string      `json:"id"`
	Amount            int64       `json:"amount"`
	AvailableOn       int64       `json:"available_on"`
	Created           int64       `json:"created"`
	Currency          string      `json:"currency"`
	Description       *string     `json:"description"`
	Fee               int64       `json:"fee"`
	FeeDetails        []feeDetail `json:"fee_details"`
	Net               int64       `json:"net"`
	ReportingCategory string      `json:"reporting_category"`
	Source            string      `json:"source"`
	Type              string      `json:"type"`
}

type feeDetail struct {
	Amount      int64   `json:"amount"`
	Application *string `json:"application"`
	Currency    string  `json:"currency"`
	Description string  `json:"description"`
	Type        string  `json:"type"`
}

type customer struct {
	ID          string            `json:"id"`
	Created     int64             `json:"created"`
	Description *string           `json:"description"`
	Email       *string           `json:"email"`
	Metadata    map[string]string `json:"metadata"`
	Name        *string           `json:"name"`
	Phone       *string           `json:"phone"`
}

type accountFields struct {
	ID               string            `json:"id"`
	BusinessProfile  businessProfile   `json:"business_profile"`
	BusinessType     *string           `json:"business_type"`
	Capabilities     map[string]string `json:"capabilities"`
	ChargesEnabled   bool              `json:"charges_enabled"`
	Country          string            `json:"country"`
	Created          int64             `json:"created"`
	DefaultCurrency  string            `json:"default_currency"`
	DetailsSubmitted bool              `json:"details_submitted"`
	Email            *string           `json:"email"`
	Metadata         map[string]string `json:"metadata"`
	PayoutsEnabled   bool              `json:"payouts_enabled"`
	Requirements     requirements      `json:"requirements"`
	Type             string            `json:"type"`
}

// account is a connected account, or the platform's own.
type account struct {
	accountFields
	Statement string `json:"statement,omitempty"` // what card statements say
	// Gone is set once its owner has disconnected the platform: it goes on, but
	// not for us.
	Gone bool `json:"gone,omitempty"`
}

// name is what customers know an account as.
func (a *account) name() string {
	if a.BusinessProfile.Name == nil {
		return a.ID
	}
	return *a.BusinessProfile.Name
}

// capability is something an account may be able to do, as events tell of it.
type capability struct {
	ID           string       `json:"id"` // card_payments, transfers
	Account      string       `json:"account"`
	Requested    bool         `json:"requested"`
	RequestedAt  int64        `json:"requested_at"`
	Requirements requirements `json:"requirements"`
	Status       string       `json:"status"`
}

// application is the platform as connected accounts see it.
type application struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type businessProfile struct {
	Name *string `json:"name"`
	URL  *string `json:"url"`
}

type requirements struct {
	CurrentlyDue   []string `json:"currently_due"`
	DisabledReason *string  `json:"disabled_reason"`
	EventuallyDue  []string `json:"eventually_due"`
	PastDue        []string `json:"past_due"`
}

// onboarding is a link under which an account's owner fills in its details,
// once, within five minutes.
type onboarding struct {
	Token      string `json:"token"`
	Account    string `json:"account"`
	RefreshURL string `json:"refresh_url"`
	ReturnURL  string `json:"return_url"`
	ExpiresAt  int64  `json:"expires_at"`
	Used       bool   `json:"used"`
}

type event struct {
	ID        string          `json:"id"`
	Account   string          `json:"account,omitempty"`
	Created   int64           `json:"created"`
	Type      string          `json:"type"`
	Object    json.RawMessage `json:"object"` // as it was when the event happened
	Request   string          `json:"request,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
}

// newID makes an unguessable id with Stripe's prefix for its kind.
func newID(prefix string) string {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	raw := make([]byte, 0, 24)
	var b [32]byte
	for len(raw) < 24 {
		_, _ = rand.Read(b[:]) // never fails, by its contract
		for _, x := range b {
			if int(x) < 4*len(letters) && len(raw) < 24 { // no letter likelier than another
				raw = append(raw, letters[int(x)%len(letters)])
			}
		}
	}
	return prefix + "_" + string(raw)
}
