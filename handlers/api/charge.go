package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
)

// headers of the charge path, in canonical form.
const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotent-Replayed"
)

// ChargeBody is what POST /v1/charges takes. It is exported because batchItem
// embeds it and huma reads exported embedded structs only.
type ChargeBody struct {
	Wallet     string   `json:"wallet" doc:"wal_…, agency:{external id}, sub:{external id}, or sub:{agency}/{sub-account} with a platform key." example:"sub:acme"`
	Action     string   `json:"action" doc:"An action of the rate card." example:"ai.reply"`
	Model      string   `json:"model,omitempty" doc:"Where the action is priced by model." example:"gpt-4"`
	Usage      usage    `json:"usage,omitzero"`
	OccurredAt string   `json:"occurred_at,omitempty" format:"date-time" doc:"When it happened, for the record: at most 35 days ago, 5 minutes ahead. Charges are booked when they arrive."`
	Test       bool     `json:"test,omitempty" doc:"Price it, record it, charge nothing."`
	Metadata   metadata `json:"metadata,omitempty"`
}

func (b *ChargeBody) input(key string) (billing.ChargeInput, error) {
	at, err := parseTime(b.OccurredAt, "occurred_at")
	if err == nil && b.Wallet == "" {
		err = walletMissing()
	}
	return billing.ChargeInput{
		Wallet: b.Wallet, Key: key, Action: b.Action, Model: b.Model, Usage: b.Usage.Usage, OccurredAt: at, Metadata: b.Metadata, Test: b.Test,
	}, err
}

func walletMissing() error {
	return problem.New(problem.Invalid, "wallet_missing", "Name the wallet: wal_…, agency:{external id} or sub:{external id}.").On("wallet")
}

func usageOrCredits() error {
	return problem.New(problem.Invalid, "usage_or_credits", "Send usage or credits, not both.").On("credits")
}

// post is what every POST of the charge path does first: the key, then the body.
func post(c echo.Context, into any) (string, error) {
	key := c.Request().Header.Get(keyHeader)
	if err := billing.CheckKey(key); err != nil {
		return "", err
	}
	buf := takeBuffer()
	defer buf.free()
	if err := readBody(c, maxBody, buf); err != nil {
		return "", err
	}
	return key, decode(buf.b, into)
}

// postPlain is post for the body that comes thousands of times a second.
func postPlain(c echo.Context, into *batchItem) (string, error) {
	key := c.Request().Header.Get(keyHeader)
	if err := billing.CheckKey(key); err != nil {
		return "", err
	}
	buf := takeBuffer()
	defer buf.free()
	if err := readBody(c, maxBody, buf); err != nil {
		return "", err
	}
	if plainCharge(string(buf.b), into, false) {
		return key, nil
	}
	into.ChargeBody = ChargeBody{}
	return key, decode(buf.b, &into.ChargeBody)
}

// postMaybeEmpty is post where the address says all there is to say: a request
// without a body is one with {}.
func postMaybeEmpty(c echo.Context, into any) (string, error) {
	if c.Request().ContentLength != 0 {
		return post(c, into)
	}
	key := c.Request().Header.Get(keyHeader)
	return key, billing.CheckKey(key)
}

// answer sends 201 for what is new and 200 for what was asked before.
func answer(c echo.Context, replayed bool, body []byte) {
	code := http.StatusCreated
	if replayed {
		code = http.StatusOK
		c.Response().Header().Set(replayedHeader, "true")
	}
	write(c, code, echo.MIMEApplicationJSON, body)
}

func (a *api) postCharge(c echo.Context, who caller) error {
	var body batchItem
	key, err := postPlain(c, &body)
	if err != nil {
		return err
	}
	in, err := body.input(key)
	if err != nil {
		return err
	}
	out, err := a.s.Charge(c.Request().Context(), who.scope, in)
	if err != nil {
		return err
	}
	buf := takeBuffer()
	defer buf.free()
	buf.b = appendCharge(buf.b, &out.Receipt)
	answer(c, out.Replayed, buf.b)
	return nil
}

// batchItem is one charge of a batch with its own key.
type batchItem struct {
	ChargeBody

	Key string `json:"idempotency_key,omitempty" doc:"Without one: the header's, a colon and the item's index."`
}

func (a *api) postBatch(c echo.Context, who caller) error {
	key := c.Request().Header.Get(keyHeader)
	buf := takeBuffer()
	defer buf.free()
	if key != "" {
		if err := billing.CheckKey(key); err != nil {
			return err
		}
	}
	if err := readBody(c, maxBatchBody, buf); err != nil {
		return err
	}
	items, errs, err := batchItems(buf.b)
	if err != nil {
		return err
	}
	switch n := len(items); {
	case n == 0:
		return problem.New(problem.Invalid, "charges_missing", "Send 1 to %d charges.", billing.MaxBatch).On("charges")
	case n > billing.MaxBatch:
		return problem.New(problem.Invalid, "too_many_charges", "A batch takes at most %d charges; this one has %d. Send the rest in another.", billing.MaxBatch, n).On("charges")
	}
	results := make([]billing.ChargeResult, len(items))
	inputs := make([]billing.ChargeInput, 0, len(items))
	places := make([]int, 0, len(items))
	for i := range items {
		item, err := &items[i], errs[i]
		if item.Key == "" {
			if key == "" {
				return billing.CheckKey("")
			}
			item.Key = key + ":" + strconv.Itoa(i)
		}
		var in billing.ChargeInput
		if err == nil {
			in, err = item.input(item.Key)
		}
		if err != nil {
			results[i].Err = err
			continue
		}
		inputs, places = append(inputs, in), append(places, i)
	}
	for j, r := range a.s.ChargeAll(c.Request().Context(), who.scope, inputs) {
		results[places[j]] = r
	}
	a.writeBatch(c, results)
	return nil
}

// batchItems reads the items one by one: a bad one fails alone.
func batchItems(body []byte) (items []batchItem, errs []error, err error) {
	if items, ok := plainBatch(string(body)); ok {
		return items, make([]error, len(items)), nil
	}
	var raw struct {
		Charges []json.RawMessage `json:"charges"`
	}
	if err := decode(body, &raw); err != nil {
		return nil, nil, err
	}
	items, errs = make([]batchItem, len(raw.Charges)), make([]error, len(raw.Charges))
	for i, item := range raw.Charges {
		errs[i] = decode(item, &items[i])
	}
	return items, errs, nil
}

// writeBatch answers every item in order with its own status.
func (a *api) writeBatch(c echo.Context, results []billing.ChargeResult) {
	buf := takeBuffer()
	defer buf.free()
	b := append(buf.b, `{"data":[`...)
	for i := range results {
		r := &results[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"status":`...)
		switch {
		case r.Err != nil:
			d := describe(r.Err, "")
			if d.Status >= http.StatusInternalServerError {
				a.logFault(c.Request(), d, r.Err)
			}
			b = strconv.AppendInt(b, int64(d.Status), 10)
			b = append(b, `,"error":`...)
			b = d.append(b)
		default:
			code := http.StatusCreated
			if r.Replayed {
				code = http.StatusOK
			}
			b = strconv.AppendInt(b, int64(code), 10)
			b = append(b, `,"charge":`...)
			b = appendCharge(b, &r.Receipt)
		}
		b = append(b, '}')
	}
	buf.b = append(b, `]}`...)
	write(c, http.StatusOK, echo.MIMEApplicationJSON, buf.b)
}

// holdBody is what POST /v1/holds takes: usage to price, or credits, which an
// action may label.
type holdBody struct {
	Wallet  string  `json:"wallet" example:"sub:acme"`
	Action  string  `json:"action,omitempty" example:"ai.reply"`
	Model   string  `json:"model,omitempty" example:"gpt-4"`
	Usage   usage   `json:"usage,omitzero"`
	Credits *string `json:"credits,omitempty" doc:"Reserve this many, with an action as a label only; else the price of action and usage. Not both usage and credits." example:"50"`
	TTL     *int64  `json:"ttl_seconds,omitempty" minimum:"1" maximum:"86400" doc:"How long the reservation stands; 900 unless told."`
}

func (a *api) postHold(c echo.Context, who caller) error {
	var body holdBody
	key, err := post(c, &body)
	if err != nil {
		return err
	}
	in := billing.HoldInput{Wallet: body.Wallet, Key: key, Action: body.Action, Model: body.Model, Usage: body.Usage.Usage}
	if body.Wallet == "" {
		return walletMissing()
	}
	if body.TTL != nil {
		if *body.TTL < 1 || *body.TTL > 86_400 {
			return problem.New(problem.Invalid, "invalid_ttl", "ttl_seconds is between 1 and 86400.").On("ttl_seconds")
		}
		in.TTL = time.Duration(*body.TTL) * time.Second
	}
	if body.Credits != nil {
		if in.Usage != nil {
			return usageOrCredits()
		}
		if in.Credits, err = parseCredits(*body.Credits, "credits"); err != nil {
			return err
		}
		if in.Credits <= 0 {
			return problem.New(problem.Invalid, "invalid_credits", "A hold is for more than 0 credits.").On("credits")
		}
	}
	out, err := a.s.Hold(c.Request().Context(), who.scope, in)
	if err != nil {
		return err
	}
	buf := takeBuffer()
	defer buf.free()
	buf.b = appendHold(buf.b, &out.HoldReceipt, models.HoldOpen) // as it was first answered
	answer(c, out.Replayed, buf.b)
	return nil
}

// captureBody is what a capture takes: usage to price by the hold's action, or
// credits. Neither captures all that was held.
type captureBody struct {
	Usage    usage    `json:"usage,omitzero"`
	Credits  *string  `json:"credits,omitempty" doc:"What the work cost; else usage is priced by the hold's action. Without either, all that was held." example:"31.5"`
	Metadata metadata `json:"metadata,omitempty"`
}

func (a *api) postCapture(c echo.Context, who caller) error {
	var body captureBody
	key, err := post(c, &body)
	if err != nil {
		return err
	}
	in := billing.CaptureInput{Key: key, Usage: body.Usage.Usage, Metadata: body.Metadata}
	if in.Agency, in.Hold, err = a.holdOf(c, who); err != nil {
		return err
	}
	if body.Credits != nil {
		if body.Usage.Usage != nil {
			return usageOrCredits()
		}
		credits, err := parseCredits(*body.Credits, "credits")
		if err != nil {
			return err
		}
		in.Credits = &credits
	}
	out, err := a.s.Capture(c.Request().Context(), who.scope, in)
	if err != nil {
		return err
	}
	buf := takeBuffer()
	defer buf.free()
	buf.b = appendCharge(buf.b, &out.Receipt)
	answer(c, out.Replayed, buf.b)
	return nil
}

// releaseBody is what a release takes: {}.
type releaseBody struct{}

func (a *api) postRelease(c echo.Context, who caller) error {
	var body releaseBody
	if _, err := postMaybeEmpty(c, &body); err != nil {
		return err
	}
	agency, hold, err := a.holdOf(c, who)
	if err != nil {
		return err
	}
	out, err := a.s.Release(c.Request().Context(), who.scope, agency, hold)
	if err != nil {
		return err
	}
	buf := takeBuffer()
	defer buf.free()
	buf.b = appendHold(buf.b, &out.HoldReceipt, out.Hold.State)
	answer(c, out.Replayed, buf.b)
	return nil
}

// holdOf reads the hold of the path and finds its agency.
func (a *api) holdOf(c echo.Context, who caller) (models.AgencyID, models.HoldID, error) {
	id, err := models.ParseID[models.HoldID](c.Param("id"))
	if err != nil {
		return models.AgencyID{}, id, problem.Missing("hold")
	}
	agency, err := a.s.AgencyOfHold(c.Request().Context(), who.scope, id)
	return agency, id, err
}

// reversalBody is what a reversal takes.
type reversalBody struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Kept with the reversal." example:"The reply failed to send."`
}

func (a *api) postReversal(c echo.Context, who caller) error {
	var body reversalBody
	key, err := postMaybeEmpty(c, &body)
	if err != nil {
		return err
	}
	id, err := models.ParseID[models.ChargeID](c.Param("id"))
	if err != nil {
		return problem.Missing("charge")
	}
	ctx := c.Request().Context()
	agency, err := a.s.AgencyOfCharge(ctx, who.scope, id)
	if err != nil {
		return err
	}
	out, err := a.s.Reverse(ctx, who.scope, agency, id, key, body.Reason)
	if err != nil {
		return err
	}
	buf := takeBuffer()
	defer buf.free()
	buf.b = appendReversal(buf.b, &out)
	answer(c, out.Replayed, buf.b)
	return nil
}
