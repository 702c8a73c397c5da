package billing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// How far occurred_at may lie from now.
const (
	OldestUsage = 35 * 24 * time.Hour
	NewestUsage = 5 * time.Minute
)

// MaxMetadata bounds a charge's metadata, in bytes of JSON.
const MaxMetadata = 2048

// ChargeInput asks for one AI action to be charged.
type ChargeInput struct {
	Wallet     string // address, see Find
	Key        string // idempotency key
	Action     string
	Model      string
	Usage      ratecard.Usage
	OccurredAt models.Time       // 0: now
	Metadata   map[string]string // kept, shown with the charge, never interpreted
	Test       bool              // priced and recorded, costs nothing
}

// ChargeOutcome is a booked charge with its price explained.
type ChargeOutcome struct {
	ledger.Receipt
	Account *Account
}

// Charge prices one AI action and books it exactly once per key. Errors:
// idempotency_key_missing, idempotency_key_reused, not_found, unknown_action,
// unknown_model, insufficient_credits, invalid_occurred_at, overloaded.
func (s *Service) Charge(ctx context.Context, scope Scope, in ChargeInput) (ChargeOutcome, error) {
	r, account, err := s.chargeRequest(ctx, scope, &in, s.clock.Now())
	if err != nil {
		return ChargeOutcome{}, err
	}
	receipt, err := s.ledger.Charge(ctx, r)
	return ChargeOutcome{receipt, account}, s.refused(ctx, err, account)
}

// ChargeResult is one item's answer of a batch: an outcome or an error.
type ChargeResult struct {
	ChargeOutcome
	Err error
}

// MaxBatch is the most items of one batch.
const MaxBatch = 1000

// ChargeAll books independent charges, which may span agencies; each has its
// own answer, in order.
func (s *Service) ChargeAll(ctx context.Context, scope Scope, in []ChargeInput) []ChargeResult {
	now := s.clock.Now()
	out := make([]ChargeResult, len(in))
	requests := make([]ledger.ChargeRequest, 0, len(in))
	places := make([]int, 0, len(in))
	for i := range in {
		r, account, err := s.chargeRequest(ctx, scope, &in[i], now)
		if err != nil {
			out[i].Err = err
			continue
		}
		out[i].Account = account
		requests = append(requests, r)
		places = append(places, i)
	}
	receipts, errs := s.ledger.ChargeAll(ctx, requests)
	for j, i := range places {
		out[i].Receipt, out[i].Err = receipts[j], s.refused(ctx, errs[j], out[i].Account)
	}
	return out
}

// refused adds to the refusal of a paused wallet what a visitor may be told
// meanwhile: as remembered with the account, without a look at the database.
func (s *Service) refused(ctx context.Context, err error, a *Account) error {
	if err == nil {
		return nil
	}
	if p := problem.Of(err); p != nil && a != nil && (p.Kind == problem.Insufficient || p.Code == "wallet_paused") {
		if p.Kind == problem.Insufficient {
			s.askedInVain(ctx, a)
		}
		told := *p
		told.Facts = append(slices.Clip(p.Facts), problem.Fact{Name: "try_later", Value: a.TryLater()})
		return &told
	}
	return err
}

func (s *Service) chargeRequest(ctx context.Context, scope Scope, in *ChargeInput, now models.Time) (ledger.ChargeRequest, *Account, error) {
	none := ledger.ChargeRequest{}
	if err := checkKey(in.Key); err != nil {
		return none, nil, err
	}
	account, err := s.Find(ctx, scope, in.Wallet)
	if err != nil {
		return none, nil, err
	}
	version, quote, err := s.price(ctx, account, in.Action, in.Model, in.Usage, now)
	if err != nil {
		return none, nil, err
	}
	s.inPeriod(ctx, account.Agency.ID, now)
	occurred := in.OccurredAt
	if occurred == 0 {
		occurred = now
	}
	if occurred < now.Add(-OldestUsage) || occurred > now.Add(NewestUsage) {
		return none, nil, problem.New(problem.Invalid, "invalid_occurred_at",
			"occurred_at may be at most 35 days ago and 5 minutes ahead.").On("occurred_at")
	}
	metadata, err := encodeMetadata(in.Metadata)
	if err != nil {
		return none, nil, err
	}
	usage := ""
	if len(in.Usage) > 0 {
		usage = in.Usage.Canonical()
	}
	return ledger.ChargeRequest{
		Agency: account.Agency.ID, Wallet: account.Wallet, Key: in.Key,
		Fingerprint: fingerprint("charge", account.Wallet.String(), in.Action, in.Model, usage, metadata,
			flag(in.Test), in.OccurredAt.RFC3339()),
		Action: in.Action, Model: in.Model, Usage: usage, Metadata: metadata,
		Credits: quote.Credits, Units: unitsOf(quote), Card: version.Card, CardVersion: version.Number,
		Test: in.Test, OccurredAt: occurred, At: now, DayStart: period.DayStart(now, account.Zone),
	}, account, nil
}

func checkKey(k string) error {
	if k == "" {
		return problem.New(problem.Malformed, "idempotency_key_missing",
			"Send an Idempotency-Key header that names this piece of work, such as the reply's id.").On("Idempotency-Key")
	}
	if len(k) > 255 {
		return problem.New(problem.Invalid, "idempotency_key_too_long", "An idempotency key has at most 255 bytes.").On("Idempotency-Key")
	}
	for i := range len(k) {
		if k[i] < 0x20 || k[i] > 0x7e {
			return problem.New(problem.Invalid, "idempotency_key_invalid", "An idempotency key has printable ASCII characters only.").On("Idempotency-Key")
		}
	}
	return nil
}

// price finds the version in force for an account and prices the usage.
func (s *Service) price(ctx context.Context, account *Account, action, model string, usage ratecard.Usage, at models.Time) (ratecard.Version, ratecard.Quote, error) {
	if err := usage.Check(); err != nil {
		return ratecard.Version{}, ratecard.Quote{}, problem.New(problem.Invalid, "invalid_usage", "%s", err.Error()).On("usage")
	}
	if action == "" {
		return ratecard.Version{}, ratecard.Quote{}, problem.New(problem.Invalid, "action_missing", "Name the action, such as ai.reply.").On("action")
	}
	if model != "" && !ratecard.ValidModel(model) {
		return ratecard.Version{}, ratecard.Quote{}, problem.New(problem.Invalid, "invalid_model",
			"A model's name has at most %d letters, digits, dots, dashes, colons, slashes or underscores.", ratecard.MaxModelName).On("model")
	}
	version, err := s.RateCardFor(ctx, &account.Agency, at)
	if err != nil {
		return version, ratecard.Quote{}, err
	}
	quote, err := version.Price(action, model, usage)
	if err != nil {
		return version, quote, priceProblem(err)
	}
	return version, quote, nil
}

// unitsOf is what a charge counts as on usage screens: its started units where
// only components price it, else one.
func unitsOf(q ratecard.Quote) int64 {
	if q.Rate.Base == 0 {
		for _, l := range q.Lines {
			if l.Kind == ratecard.LineComponent && l.Units > 0 {
				return l.Units
			}
		}
	}
	return 1
}

func encodeMetadata(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	b, err := json.Marshal(m) // keys come out sorted
	if err != nil || len(b) > MaxMetadata || len(m) > 50 {
		return "", problem.New(problem.Invalid, "metadata_too_large",
			"Metadata may have 50 names and %d bytes of JSON.", MaxMetadata).On("metadata")
	}
	return string(b), nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// fingerprint is SHA-256 over the parts of a request that make it the same
// request, with the wallet resolved.
func fingerprint(parts ...string) []byte {
	const usual = 512
	text := make([]byte, 0, usual)
	for _, p := range parts {
		text = append(binary.BigEndian.AppendUint64(text, uint64(len(p))), p...)
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

// HoldInput asks to reserve credits: a price by usage, or an amount.
type HoldInput struct {
	Wallet  string
	Key     string
	Action  string
	Model   string
	Usage   ratecard.Usage
	Credits models.Credits // 0: priced from Usage
	TTL     time.Duration  // 0: ledger.DefaultHoldTTL
}

// HoldOutcome is a hold with its account.
type HoldOutcome struct {
	ledger.HoldReceipt
	Account *Account
}

// Hold reserves credits for work that begins now. Errors: as Charge, and
// invalid_ttl, invalid_credits.
func (s *Service) Hold(ctx context.Context, scope Scope, in HoldInput) (HoldOutcome, error) {
	now := s.clock.Now()
	if err := checkKey(in.Key); err != nil {
		return HoldOutcome{}, err
	}
	if in.TTL == 0 {
		in.TTL = ledger.DefaultHoldTTL
	}
	if in.TTL < time.Second || in.TTL > ledger.MaxHoldTTL {
		return HoldOutcome{}, problem.New(problem.Invalid, "invalid_ttl", "ttl_seconds is between 1 and 86400.").On("ttl_seconds")
	}
	account, err := s.Find(ctx, scope, in.Wallet)
	if err != nil {
		return HoldOutcome{}, err
	}
	amount := in.Credits
	if amount == 0 || in.Usage != nil || in.Action != "" {
		_, quote, err := s.price(ctx, account, in.Action, in.Model, in.Usage, now)
		if err != nil {
			return HoldOutcome{}, err
		}
		if amount == 0 {
			amount = quote.Credits
		}
	}
	if amount <= 0 || amount > models.MaxCharge {
		return HoldOutcome{}, problem.New(problem.Invalid, "invalid_credits", "A hold is for more than 0 and at most %s credits.", mostCredits()).On("credits")
	}
	s.inPeriod(ctx, account.Agency.ID, now)
	receipt, err := s.ledger.Hold(ctx, ledger.HoldRequest{
		Agency: account.Agency.ID, Wallet: account.Wallet, Key: in.Key,
		Fingerprint: fingerprint("hold", account.Wallet.String(), in.Action, in.Model, in.Usage.Canonical(), in.Credits.String(), in.TTL.String()),
		Action:      in.Action, Model: in.Model, Credits: amount, TTL: in.TTL, At: now, DayStart: period.DayStart(now, account.Zone),
	})
	if err == nil {
		s.holds.put(&receipt.Hold)
	}
	return HoldOutcome{receipt, account}, s.refused(ctx, err, account)
}

// CaptureInput says what held work really cost: by usage, or as an amount.
type CaptureInput struct {
	Agency   models.AgencyID
	Hold     models.HoldID
	Key      string
	Usage    ratecard.Usage
	Credits  *models.Credits // nil: priced from Usage by the hold's action, or all that was held
	Metadata map[string]string
}

// Capture turns a hold into a charge. Errors: as Charge, and hold_not_open.
func (s *Service) Capture(ctx context.Context, scope Scope, in CaptureInput) (ChargeOutcome, error) {
	now := s.clock.Now()
	if err := checkKey(in.Key); err != nil {
		return ChargeOutcome{}, err
	}
	held, account, err := s.heldIn(ctx, scope, in.Agency, in.Hold)
	if err != nil {
		return ChargeOutcome{}, err
	}
	version, err := s.RateCardFor(ctx, &account.Agency, now)
	if err != nil {
		return ChargeOutcome{}, err
	}
	amount, units, asked := held.credits, int64(1), "usage"
	switch {
	case in.Credits == nil && in.Usage == nil:
		asked = "all" // of what was held
	case in.Credits != nil:
		amount, asked = *in.Credits, in.Credits.String()
		if amount < 0 || amount > models.MaxCharge {
			return ChargeOutcome{}, problem.New(problem.Invalid, "invalid_credits", "A capture is for 0 to %s credits.", mostCredits()).On("credits")
		}
	case held.action == "":
		return ChargeOutcome{}, problem.New(problem.Invalid, "credits_missing", "This hold names no action to price; send credits.").On("credits")
	default:
		var quote ratecard.Quote
		if version, quote, err = s.price(ctx, account, held.action, held.model, in.Usage, now); err != nil {
			return ChargeOutcome{}, err
		}
		amount, units = quote.Credits, unitsOf(quote)
	}
	metadata, err := encodeMetadata(in.Metadata)
	if err != nil {
		return ChargeOutcome{}, err
	}
	usage := ""
	if len(in.Usage) > 0 {
		usage = in.Usage.Canonical()
	}
	receipt, err := s.ledger.Capture(ctx, ledger.CaptureRequest{Hold: in.Hold, Charge: ledger.ChargeRequest{
		Agency: in.Agency, Wallet: held.wallet, Key: in.Key,
		Fingerprint: fingerprint("capture", in.Hold.String(), usage, asked, metadata),
		Action:      held.action, Model: held.model, Usage: usage, Metadata: metadata,
		Credits: amount, Units: units, Card: version.Card, CardVersion: version.Number,
		OccurredAt: now, At: now, DayStart: period.DayStart(now, account.Zone),
	}})
	return ChargeOutcome{receipt, account}, s.refused(ctx, err, account)
}

// Release lets a hold go. Errors: not_found, hold_not_open.
func (s *Service) Release(ctx context.Context, scope Scope, agency models.AgencyID, hold models.HoldID) (HoldOutcome, error) {
	now := s.clock.Now()
	held, account, err := s.heldIn(ctx, scope, agency, hold)
	if err != nil {
		return HoldOutcome{}, err
	}
	receipt, err := s.ledger.Release(ctx, ledger.ReleaseRequest{Agency: agency, Wallet: held.wallet, Hold: hold, At: now})
	return HoldOutcome{receipt, account}, err
}

// EstimateItem is one line of an estimate.
type EstimateItem struct {
	Action string
	Model  string
	Usage  ratecard.Usage
	Count  int64
}

// EstimateLine is a priced item.
type EstimateLine struct {
	Item    EstimateItem
	Each    models.Credits
	Credits models.Credits
}

// Estimate is a price without a charge.
type Estimate struct {
	Account    *Account
	Lines      []EstimateLine
	Credits    models.Credits
	Available  models.Credits
	Affordable bool
	Version    int
}

// Estimate prices items and tells whether the wallet could pay for them now.
func (s *Service) Estimate(ctx context.Context, scope Scope, wallet string, items []EstimateItem) (Estimate, error) {
	now := s.clock.Now()
	account, err := s.Find(ctx, scope, wallet)
	if err != nil {
		return Estimate{}, err
	}
	if len(items) == 0 || len(items) > 100 {
		return Estimate{}, problem.New(problem.Invalid, "invalid_items", "Send 1 to 100 items.").On("items")
	}
	out := Estimate{Account: account}
	for _, item := range items {
		if item.Count < 0 || item.Count > 1_000_000_000 {
			return Estimate{}, problem.New(problem.Invalid, "invalid_count", "count is between 0 and 1,000,000,000.").On("items.count")
		}
		version, quote, err := s.price(ctx, account, item.Action, item.Model, item.Usage, now)
		if err != nil {
			return Estimate{}, err
		}
		total, err := models.MulDiv(int64(quote.Credits), item.Count, 1)
		if err != nil {
			return Estimate{}, problem.New(problem.Invalid, "too_large", "This estimate is larger than any wallet can hold.").On("items")
		}
		line := EstimateLine{item, quote.Credits, models.Credits(total)}
		if out.Credits, err = out.Credits.Add(line.Credits); err != nil {
			return Estimate{}, problem.New(problem.Invalid, "too_large", "This estimate is larger than any wallet can hold.").On("items")
		}
		out.Lines = append(out.Lines, line)
		out.Version = version.Number
	}
	view, err := s.Wallet(ctx, account)
	if err != nil {
		return Estimate{}, err
	}
	out.Available = view.Payable
	out.Affordable = out.Credits <= view.Payable
	return out, nil
}
