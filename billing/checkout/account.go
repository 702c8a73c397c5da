package checkout

import (
	"context"
	"slices"
	"strings"

	"github.com/stripe/stripe-go/v76"

	"refill/models"
)

// AccountParams are what a connected account is opened with.
type AccountParams struct {
	Reference      string // ours; stands in the account's metadata
	IdempotencyKey string // derived from our row; at most 250 characters
	Name           string // of the business, for its owner to correct; may be empty
}

// Account is what Stripe says of a connected account now.
type Account struct {
	ID        string
	Reference string // ours, on accounts that we opened; proves nothing
	Name      string // as its customers know it; may be empty
	Statement string // what a card statement will say; may be empty
	Currency  string // it settles in
	// ChargesEnabled is whether it may take money, PayoutsEnabled whether it may
	// move it to its bank.
	ChargesEnabled   bool
	PayoutsEnabled   bool
	DetailsSubmitted bool
	Due              []string // what Stripe still needs, in words for its owner
	Disabled         string   // why it may not take money, in a sentence; "" when Stripe gave no reason
}

// LinkParams ask for a link to Stripe's set-up pages.
type LinkParams struct {
	Account    string
	RefreshURL string // where a link that was used or is too old leads
	ReturnURL  string // where the owner comes back to, finished or not
}

// Link leads to Stripe's set-up pages, once, for a few minutes.
type Link struct {
	URL       string
	ExpiresAt models.Time
}

// CreateAccount opens a Standard account. Its owner has a Stripe of their own:
// Stripe bills its fees to the owner, answers for disputes with the owner, and
// the owner may leave us and keep the account. An Express account would make
// the platform liable for what the owner cannot pay. The same key gives the
// same account.
func (g *Gateway) CreateAccount(ctx context.Context, p AccountParams) (Account, error) {
	if p.IdempotencyKey == "" || len(p.IdempotencyKey) > 250 || p.Reference == "" {
		return Account{}, &Error{Kind: KindRefused, Message: "The account cannot be opened.", Detail: "a reference and an idempotency key of 1 to 250 characters are needed"}
	}
	params := &stripe.AccountParams{
		Type:     stripe.String(string(stripe.AccountTypeStandard)),
		Metadata: map[string]string{referenceKey: p.Reference},
	}
	if p.Name != "" {
		params.BusinessProfile = &stripe.AccountBusinessProfileParams{Name: &p.Name}
	}
	params.Context = ctx
	made, err := repeat(p.IdempotencyKey, func(key string) (*stripe.Account, error) {
		params.SetIdempotencyKey(key)
		return g.api.Accounts.New(params)
	})
	if err != nil {
		return Account{}, g.failed(ctx, "create account", "", err)
	}
	return readAccount(made), nil
}

// AccountLink makes a link to Stripe's set-up pages. It is meant to be a new one
// each time and changes nothing, so it has no key of ours.
func (g *Gateway) AccountLink(ctx context.Context, p LinkParams) (Link, error) {
	params := &stripe.AccountLinkParams{
		Account: &p.Account, RefreshURL: &p.RefreshURL, ReturnURL: &p.ReturnURL,
		Type: stripe.String(string(stripe.AccountLinkTypeAccountOnboarding)),
	}
	params.Context = ctx
	made, err := g.api.AccountLinks.New(params)
	if err != nil {
		return Link{}, g.failed(ctx, "create account link", p.Account, err)
	}
	return Link{URL: made.URL, ExpiresAt: fromSeconds(made.ExpiresAt)}, nil
}

// Account asks how a connected account stands. An error that IsRevoked means
// that its owner has disconnected us.
func (g *Gateway) Account(ctx context.Context, id string) (Account, error) {
	if id == "" {
		return Account{}, &Error{Kind: KindNotFound, Message: "The payment provider does not know this account.", Detail: "empty account id"}
	}
	params := &stripe.AccountParams{}
	params.Context = ctx
	got, err := g.api.Accounts.GetByID(id, params)
	if err != nil {
		return Account{}, g.failed(ctx, "get account", id, err)
	}
	return readAccount(got), nil
}

// RefundParams ask for money to go back.
type RefundParams struct {
	Account        string // the connected account that was paid; "" is the platform
	PaymentIntent  string
	Amount         int64  // minor units; 0 is all that is left
	IdempotencyKey string // derived from our row; at most 250 characters
	FeeToo         bool   // the platform's share goes back in proportion
}

// Refund is money on its way back.
type Refund struct {
	ID            string
	PaymentIntent string
	Amount        models.Money
	Status        RefundStatus
	CreatedAt     models.Time
}

// RefundPayment sends money back to who paid it. It moves money, so the answer
// Stripe remembers for its key stands, failures included: look the payment up
// before another key is tried. Stripe keeps its fee.
func (g *Gateway) RefundPayment(ctx context.Context, p RefundParams) (Refund, error) {
	if p.IdempotencyKey == "" || len(p.IdempotencyKey) > 250 || p.PaymentIntent == "" || p.Amount < 0 {
		return Refund{}, &Error{Kind: KindRefused, Message: "The payment cannot be refunded.", Detail: "a payment, an idempotency key of 1 to 250 characters and an amount of 0 or more are needed"}
	}
	params := &stripe.RefundParams{PaymentIntent: &p.PaymentIntent}
	if p.Amount > 0 {
		params.Amount = &p.Amount
	}
	if p.FeeToo {
		params.RefundApplicationFee = new(true)
	}
	params.Context = ctx
	params.SetIdempotencyKey(p.IdempotencyKey)
	if p.Account != "" {
		params.SetStripeAccount(p.Account)
	}
	made, err := g.api.Refunds.New(params)
	if err != nil {
		return Refund{}, g.failed(ctx, "refund payment", p.Account, err)
	}
	return readRefund(made), nil
}

// Dashboard is where the owner of a connected account looks after it.
func (g *Gateway) Dashboard(account string) string {
	switch {
	case g.simulator != "":
		return g.simulator + "/dashboard/" + account
	case g.live:
		return "https://dashboard.stripe.com/" + account + "/dashboard"
	default:
		return "https://dashboard.stripe.com/" + account + "/test/dashboard"
	}
}

// readAccount takes what the domain needs out of Stripe's object.
func readAccount(a *stripe.Account) Account {
	out := Account{
		ID: a.ID, Reference: a.Metadata[referenceKey], Currency: string(a.DefaultCurrency), ChargesEnabled: a.ChargesEnabled,
		PayoutsEnabled: a.PayoutsEnabled, DetailsSubmitted: a.DetailsSubmitted,
	}
	if a.Settings != nil {
		if a.Settings.Dashboard != nil {
			out.Name = a.Settings.Dashboard.DisplayName
		}
		if a.Settings.Payments != nil {
			out.Statement = a.Settings.Payments.StatementDescriptor
		}
	}
	if a.BusinessProfile != nil && a.BusinessProfile.Name != "" {
		out.Name = a.BusinessProfile.Name
	}
	if r := a.Requirements; r != nil {
		out.Due = dueWords(slices.Concat(r.PastDue, r.CurrentlyDue))
		if !a.ChargesEnabled {
			out.Disabled = disabledWords(string(r.DisabledReason))
		}
	}
	return out
}

// dueWords says Stripe's names of missing details in words, each once.
func dueWords(fields []string) []string {
	var out []string
	for _, f := range fields {
		if w := dueWord(f); !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// dueWord is one of Stripe's dotted names, of which a person's begin with an id
// (person_….first_name).
func dueWord(field string) string {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(field, p) })
	}
	switch {
	case has("external_account"):
		return "a bank account for payouts"
	case has("tos_acceptance"):
		return "consent to Stripe's terms"
	case has("verification.document"), has("verification.additional_document"), has("verification.proof_of_liveness"):
		return "a document that proves the identity of a person or the business"
	case has("business_profile.url"), has("business_profile.product_description"):
		return "the website, or what the business sells"
	case has("business_profile.mcc"):
		return "the kind of business"
	case has("business_profile"):
		return "details of the business"
	case has("business_type"):
		return "the legal form of the business"
	case has("tax_id"), has("vat_id"), has("registration_number"):
		return "the tax or registration number of the business"
	case has("owners"), has("directors"), has("executives"):
		return "who owns and runs the business"
	case strings.HasPrefix(field, "company."):
		return "the address and details of the company"
	case strings.HasPrefix(field, "individual."), strings.HasPrefix(field, "representative."), strings.HasPrefix(field, "person_"):
		return "the personal details of whoever represents the business"
	default:
		return "further details that Stripe lists"
	}
}

// disabledWords is why an account may not take money.
func disabledWords(reason string) string {
	switch reason {
	case "":
		return ""
	case "requirements.past_due", "action_required.requested_capabilities":
		return "Details are missing."
	case "requirements.pending_verification":
		return "Stripe is checking the details."
	case "under_review", "listed":
		return "Stripe is reviewing the account."
	case "platform_paused":
		return "The account was paused by the platform."
	case "rejected.fraud", "rejected.terms_of_service", "rejected.listed", "rejected.incomplete_verification", "rejected.other":
		return "Stripe has closed the account for payments."
	default:
		return "Stripe has paused payments."
	}
}
