package checkout

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strconv"

	"github.com/stripe/stripe-go/v76"

	"refill/models"
)

// referenceKey is the metadata under which payments and charges carry our
// reference, since only sessions have a field for it.
const referenceKey = "refill_reference"

// Status is where a checkout stands.
type Status string

// The states of a checkout.
const (
	StatusOpen     Status = "open"
	StatusComplete Status = "complete" // the buyer is through; PaymentStatus says if the money is there
	StatusExpired  Status = "expired"
)

// PaymentStatus tells whether the money is there.
type PaymentStatus string

// The states of a checkout's money.
const (
	PaymentUnpaid      PaymentStatus = "unpaid" // not yet, or never, when the session is complete
	PaymentPaid        PaymentStatus = "paid"
	PaymentNotRequired PaymentStatus = "no_payment_required"
)

// IntentStatus is where the payment behind a checkout stands.
type IntentStatus string

// The states of a payment that a checkout can show.
const (
	IntentNeedsMethod  IntentStatus = "requires_payment_method" // not tried, or the last try failed
	IntentNeedsConfirm IntentStatus = "requires_confirmation"
	IntentNeedsAction  IntentStatus = "requires_action" // the bank waits for the buyer
	IntentNeedsCapture IntentStatus = "requires_capture"
	IntentProcessing   IntentStatus = "processing" // the bank will say, in days
	IntentSucceeded    IntentStatus = "succeeded"
	IntentCanceled     IntentStatus = "canceled"
)

// SessionParams are what a buyer is asked to pay, and where they go then.
type SessionParams struct {
	Account        string // the connected account that sells; "" is the platform
	Reference      string // our purchase; comes back in Session and in events
	IdempotencyKey string // derived from our row; at most 255 characters
	Title          string
	Description    string // may be empty
	Amount         models.Money
	ApplicationFee int64 // the platform's share in minor units; only with Account
	CustomerEmail  string
	Customer       string // in the place of CustomerEmail
	SaveCard       bool   // a card pays, and may be charged later while nobody is there
	SuccessURL     string // may hold {CHECKOUT_SESSION_ID}
	CancelURL      string
	// ExpiresAt must lie between 30 minutes and 24 hours after the call reaches
	// Stripe: ask for 31 minutes rather than 30. Zero is Stripe's 24 hours.
	ExpiresAt models.Time
	Metadata  map[string]string
}

// Session is what Stripe says of a checkout now.
type Session struct {
	ID            string // "" of a payment that was made without a checkout
	Account       string // as given: "" is the platform
	URL           string // of the payment page, while open
	Reference     string
	Metadata      map[string]string
	Status        Status
	PaymentStatus PaymentStatus
	// AmountSubtotal and AmountTotal are in the currency the session was made
	// in, also when the buyer paid in another.
	AmountSubtotal models.Money
	AmountTotal    models.Money
	Tax            int64 // minor units of AmountTotal that are tax, as Stripe reckoned it
	Live           bool
	CreatedAt      models.Time
	ExpiresAt      models.Time
	Customer       string
	CustomerEmail  string      // as the buyer gave it
	Subscription   string      // that the checkout began
	Invoice        string      // of its first period, or that the payment pays
	TermStart      models.Time // of the period that the invoice pays for
	TermEnd        models.Time

	// What follows is known once the buyer tried to pay.

	PaymentIntent  string
	IntentStatus   IntentStatus // "" before the first try
	FailureCode    string       // of the last try, when it failed
	FailureMessage string       // the same in plain words
	Charge         string
	PaidAt         models.Time // zero until the money is there
	Method         string      // card, paypal, us_bank_account …
	Card           Card        // that paid, or tried to last
	ReceiptURL     string
	AmountRefunded int64 // minor units
	Disputed       bool
	// Fee is what Stripe kept, in the currency the seller is paid in, without the
	// platform's share. It is zero, without a currency, until it is known.
	Fee            models.Money
	ApplicationFee int64 // the platform's share in minor units of the price
}

// Paid tells whether nothing is left to pay.
func (s Session) Paid() bool {
	return s.PaymentStatus == PaymentPaid || s.PaymentStatus == PaymentNotRequired
}

// sessionDetail is what a session is asked to bring along.
const sessionDetail = "payment_intent.latest_charge.balance_transaction"

// CreateSession opens a checkout. The same key gives the same session.
func (g *Gateway) CreateSession(ctx context.Context, p SessionParams) (Session, error) {
	if err := p.check(); err != nil {
		return Session{}, err
	}
	meta := maps.Clone(p.Metadata)
	if meta == nil {
		meta = map[string]string{}
	}
	meta[referenceKey] = p.Reference
	params := &stripe.CheckoutSessionParams{
		Mode:              stripe.String(string(stripe.CheckoutSessionModePayment)),
		ClientReferenceID: &p.Reference,
		Metadata:          meta,
		SuccessURL:        &p.SuccessURL,
		CancelURL:         optional(p.CancelURL),
		CustomerEmail:     optional(p.CustomerEmail),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency:   &p.Amount.Currency,
				UnitAmount: &p.Amount.Amount,
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{
					Name:        &p.Title,
					Description: optional(p.Description),
				},
			},
		}},
		PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{
			Description: &p.Title,
			Metadata:    meta,
		},
	}
	if p.ApplicationFee > 0 {
		params.PaymentIntentData.ApplicationFeeAmount = &p.ApplicationFee
	}
	if p.ExpiresAt.IsSet() {
		params.ExpiresAt = new(p.ExpiresAt.Go().Unix())
	}
	// A buyer who pays in another currency would pay another amount than our
	// row says. stripe-go v76 does not know the switch yet.
	params.AddExtra("adaptive_pricing[enabled]", "false")
	if p.Customer != "" {
		params.Customer, params.CustomerEmail = &p.Customer, nil
	}
	if p.SaveCard {
		params.PaymentMethodTypes = []*string{stripe.String(string(stripe.PaymentMethodTypeCard))}
		params.PaymentIntentData.SetupFutureUsage = stripe.String(string(stripe.PaymentIntentSetupFutureUsageOffSession))
	}
	params.AddExpand(sessionDetail)
	g.addTax(params, p.Account)
	return g.openSession(ctx, "create checkout session", p.Account, p.IdempotencyKey, params)
}

// addTax has Stripe reckon tax on top of the price, where the platform sells and
// wants that. The buyer's address and tax number are asked for then. An agency's own
// account has its own rules.
func (g *Gateway) addTax(params *stripe.CheckoutSessionParams, account string) {
	if !g.tax || account != "" {
		return
	}
	params.AutomaticTax = &stripe.CheckoutSessionAutomaticTaxParams{Enabled: new(true)}
	params.TaxIDCollection = &stripe.CheckoutSessionTaxIDCollectionParams{Enabled: new(true)}
	if params.Customer != nil { // one that Stripe knows by less
		params.CustomerUpdate = &stripe.CheckoutSessionCustomerUpdateParams{Address: new("auto"), Name: new("auto")}
	}
	for _, item := range params.LineItems {
		if item.PriceData != nil {
			item.PriceData.TaxBehavior = new(taxOnTop)
		}
	}
}

// taxOnTop has a price go without tax, which comes on top: a price that holds tax
// would be worth less where more is taken.
const taxOnTop = "exclusive"

// openSession sends what is asked of a checkout. The same key gives the same session.
func (g *Gateway) openSession(ctx context.Context, what, account, key string, params *stripe.CheckoutSessionParams) (Session, error) {
	as(ctx, &params.Params, account)
	made, err := repeat(key, func(key string) (*stripe.CheckoutSession, error) {
		params.SetIdempotencyKey(key)
		return g.api.CheckoutSessions.New(params)
	})
	if err != nil {
		return Session{}, g.failed(ctx, what, account, err)
	}
	return readSession(account, made), nil
}

// maxRepeats is how many keys a call may go through.
const maxRepeats = 3

// repeat makes a call under its key. Stripe remembers the answer to a key for
// a day even when it was a failure of its own; opening and closing a checkout
// moves no money, so such a memory is stepped over with a second key, always
// the same one.
func repeat[T any](key string, call func(key string) (T, error)) (T, error) {
	for n, k := 1, key; ; n++ {
		out, err := call(k)
		from, ok := errors.AsType[*stripe.Error](err)
		remembered := ok && from.HTTPStatusCode >= http.StatusInternalServerError && from.LastResponse != nil &&
			from.LastResponse.Header.Get("Idempotent-Replayed") == "true"
		if !remembered || n == maxRepeats {
			return out, err
		}
		k = key + ":" + strconv.Itoa(n+1)
	}
}

// Session asks for a checkout's current state.
func (g *Gateway) Session(ctx context.Context, account, id string) (Session, error) {
	params := &stripe.CheckoutSessionParams{}
	params.AddExpand(sessionDetail)
	params.Context = ctx
	if account != "" {
		params.SetStripeAccount(account)
	}
	if id == "" {
		return Session{}, &Error{Kind: KindNotFound, Message: "The payment provider does not know this payment.", Detail: "empty session id"}
	}
	got, err := g.api.CheckoutSessions.Get(id, params)
	if err != nil {
		return Session{}, g.failed(ctx, "get checkout session", account, err)
	}
	return readSession(account, got), nil
}

// ExpireSession closes an open checkout, so that it cannot be paid any more. A
// checkout that is not open any more is not an error: its state is the answer.
func (g *Gateway) ExpireSession(ctx context.Context, account, id string) (Session, error) {
	if id == "" {
		return Session{}, &Error{Kind: KindNotFound, Message: "The payment provider does not know this payment.", Detail: "empty session id"}
	}
	params := &stripe.CheckoutSessionExpireParams{}
	params.AddExpand(sessionDetail)
	params.Context = ctx
	if account != "" {
		params.SetStripeAccount(account)
	}
	got, err := repeat("expire:"+id, func(key string) (*stripe.CheckoutSession, error) {
		params.SetIdempotencyKey(key)
		return g.api.CheckoutSessions.Expire(id, params)
	})
	if err == nil {
		return readSession(account, got), nil
	}
	err = g.failed(ctx, "expire checkout session", account, err)
	if KindOf(err) != KindRefused {
		return Session{}, err
	}
	now, getErr := g.Session(ctx, account, id)
	if getErr != nil {
		return Session{}, errors.Join(err, getErr)
	}
	if now.Status == StatusOpen {
		return Session{}, err
	}
	return now, nil
}

func (p SessionParams) check() error {
	wrong := func(what string) error {
		return &Error{Kind: KindRefused, Message: "The payment cannot be started.", Detail: what}
	}
	switch {
	case p.IdempotencyKey == "" || len(p.IdempotencyKey) > 250: // room for a repeat's suffix
		return wrong("an idempotency key of 1 to 250 characters is needed")
	case p.Reference == "":
		return wrong("a reference is needed")
	case p.Amount.Amount <= 0 || p.Amount.Currency == "":
		return wrong("an amount above zero and its currency are needed")
	case p.ApplicationFee < 0 || p.ApplicationFee > p.Amount.Amount:
		return wrong("the fee is not between zero and the amount")
	case p.ApplicationFee > 0 && p.Account == "":
		return wrong("a fee needs the account that owes it")
	}
	return nil
}

// failed explains an error and logs it: Stripe's own words are for the log.
func (g *Gateway) failed(ctx context.Context, call, account string, err error) error {
	out := explain(err)
	if e, ok := errors.AsType[*Error](out); ok {
		g.log.WarnContext(ctx, "stripe call failed", slog.String("call", call), slog.String("account", account),
			slog.String("kind", string(e.Kind)), slog.String("code", e.Code), slog.String("detail", e.Detail),
			slog.String("request_id", e.RequestID))
	}
	return out
}

// readSession takes what the domain needs out of Stripe's object.
func readSession(account string, s *stripe.CheckoutSession) Session {
	out := Session{
		ID: s.ID, Account: account, URL: s.URL, Reference: s.ClientReferenceID, Metadata: s.Metadata,
		Status: Status(s.Status), PaymentStatus: PaymentStatus(s.PaymentStatus),
		AmountSubtotal: models.Money{Amount: s.AmountSubtotal, Currency: string(s.Currency)},
		AmountTotal:    models.Money{Amount: s.AmountTotal, Currency: string(s.Currency)},
		Live:           s.Livemode, CreatedAt: fromSeconds(s.Created), ExpiresAt: fromSeconds(s.ExpiresAt),
		CustomerEmail: s.CustomerEmail,
	}
	if c := s.CurrencyConversion; c != nil {
		out.AmountSubtotal = models.Money{Amount: c.AmountSubtotal, Currency: string(c.SourceCurrency)}
		out.AmountTotal = models.Money{Amount: c.AmountTotal, Currency: string(c.SourceCurrency)}
	}
	if s.TotalDetails != nil {
		out.Tax = s.TotalDetails.AmountTax
	}
	if s.Customer != nil {
		out.Customer = s.Customer.ID
	}
	if s.Subscription != nil {
		out.Subscription = s.Subscription.ID
	}
	if s.Invoice != nil {
		out.Invoice = s.Invoice.ID
	}
	if s.CustomerDetails != nil && s.CustomerDetails.Email != "" {
		out.CustomerEmail = s.CustomerDetails.Email
	}
	if s.PaymentIntent != nil {
		out.readIntent(s.PaymentIntent)
	}
	return out
}

func (s *Session) readIntent(p *stripe.PaymentIntent) {
	s.PaymentIntent, s.IntentStatus = p.ID, IntentStatus(p.Status)
	s.ApplicationFee = p.ApplicationFeeAmount
	if e := p.LastPaymentError; e != nil {
		s.FailureCode = string(e.DeclineCode)
		if s.FailureCode == "" {
			s.FailureCode = string(e.Code)
		}
		s.FailureMessage = declineWords(string(e.Code), string(e.DeclineCode))
	}
	ch := p.LatestCharge
	if ch == nil {
		return
	}
	s.Charge, s.ReceiptURL, s.AmountRefunded, s.Disputed = ch.ID, ch.ReceiptURL, ch.AmountRefunded, ch.Disputed
	if ch.PaymentMethodDetails != nil {
		s.Method = string(ch.PaymentMethodDetails.Type)
		if card := ch.PaymentMethodDetails.Card; card != nil {
			s.Card = Card{
				ID: ch.PaymentMethod, Brand: string(card.Brand), Last4: card.Last4, Month: int(card.ExpMonth), Year: int(card.ExpYear), Fingerprint: card.Fingerprint,
			}
		}
	}
	if ch.Paid {
		s.PaidAt = fromSeconds(ch.Created)
	}
	if t := ch.BalanceTransaction; t != nil && t.Object != "" { // only when it came along whole
		s.Fee.Currency = string(t.Currency)
		for _, f := range t.FeeDetails {
			if f.Type != "application_fee" {
				s.Fee.Amount += f.Amount
			}
		}
	}
}

func fromSeconds(at int64) models.Time {
	if at == 0 {
		return 0
	}
	return models.Time(at * 1_000_000)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
