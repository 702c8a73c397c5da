package api

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"refill/billing"
	"refill/models"
)

// credits is an amount of credits as the API writes it.
type credits string

func creditsOf(c models.Credits) credits { return credits(c.String()) }

// Schema describes credits.
func (credits) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: `^-?[0-9]+(\.[0-9]{1,6})?$`, Examples: []any{"12.5"},
		Description: "Credits as a decimal string with up to six digits behind the point.",
	}
}

// maybeCredits is credits, null when "".
type maybeCredits string

// limit is an amount where 0 means none.
func limit(c models.Credits) maybeCredits {
	if c == 0 {
		return ""
	}
	return maybeCredits(c.String())
}

// MarshalJSON writes the decimal string or null.
func (c maybeCredits) MarshalJSON() ([]byte, error) {
	if c == "" {
		return []byte("null"), nil
	}
	return appendString(nil, string(c)), nil
}

// Schema describes credits that may be missing.
func (maybeCredits) Schema(r huma.Registry) *huma.Schema {
	s := credits("").Schema(r)
	s.Nullable = true
	return s
}

// moment is an instant, null when there is none.
type moment models.Time

// MarshalJSON writes RFC 3339 with microseconds.
func (m moment) MarshalJSON() ([]byte, error) { return models.Time(m).MarshalJSON() }

// Schema describes instants.
func (moment) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true, Examples: []any{"2026-03-01T12:00:00.000000Z"}}
}

// money is an amount in minor units.
type money struct {
	Amount   int64  `json:"amount" doc:"In minor units: 1050 is $10.50." example:"1050"`
	Currency string `json:"currency" doc:"ISO 4217 in lower case." example:"usd"`
}

func moneyOf(m models.Money) money { return money{m.Amount, m.Currency} }

// page is one page of a list.
type page[T any] struct {
	Data       []T     `json:"data" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"Send it as cursor to read on; null on the last page."`
}

func pageOf[T any](rows []T, next string) page[T] {
	if rows == nil {
		rows = []T{}
	}
	if next == "" {
		return page[T]{Data: rows}
	}
	return page[T]{rows, &next}
}

// listed is the answer to a list.
type listed[T any] struct{ Body page[T] }

// found is the answer to a read.
type found[T any] struct{ Body T }

// made is the answer to a POST: 201 at first, 200 when asked again.
type made[T any] struct {
	Status   int
	Replayed string `header:"Idempotent-Replayed" doc:"true when this answers a request that was made before."`
	Body     T
}

func madeOf[T any](body T, replayed bool) *made[T] {
	if replayed {
		return &made[T]{Status: 200, Replayed: "true", Body: body}
	}
	return &made[T]{Status: 201, Body: body}
}

// Keyed is the header of every POST.
type Keyed struct {
	Key string `header:"Idempotency-Key" required:"true" doc:"Names this piece of work: the same key and body is done once." example:"reply-8f14e45f"`
}

// Paging is the query of a list.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most rows of a page."`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
}

// balance is a wallet's credits by bucket.
type balance struct {
	Available credits `json:"available" doc:"What can be drawn: plan + purchased + assigned + bonus."`
	Held      credits `json:"held" doc:"In use by running work."`
	Excess    credits `json:"excess" doc:"Used beyond zero; the next credits pay it off."`
	Plan      credits `json:"plan"`
	Purchased credits `json:"purchased"`
	Assigned  credits `json:"assigned"`
	Bonus     credits `json:"bonus"`
}

func balanceOf(b billing.Balance) balance {
	return balance{
		creditsOf(b.Available), creditsOf(b.Held), creditsOf(b.Excess),
		creditsOf(b.Plan), creditsOf(b.Purchased), creditsOf(b.Assigned), creditsOf(b.Bonus),
	}
}

// draw is credits taken from one lot, or from excess.
type draw struct {
	Wallet  string  `json:"wallet"`
	Lot     *string `json:"lot" doc:"null for excess."`
	Source  string  `json:"source" enum:"plan,purchased,assigned,bonus,excess"`
	Credits credits `json:"credits"`
}

func drawsOf(in []billing.Draw) []draw {
	out := make([]draw, len(in))
	for i, d := range in {
		out[i] = draw{Wallet: d.Wallet.String(), Lot: orNull(d.Lot.String()), Source: string(d.Bucket), Credits: creditsOf(d.Credits)}
	}
	return out
}

// charge is what appendCharge writes.
type charge struct {
	ID              string  `json:"id"`
	Wallet          string  `json:"wallet"`
	Action          string  `json:"action"`
	Model           string  `json:"model"`
	Credits         credits `json:"credits"`
	WouldCost       credits `json:"would_cost,omitempty" doc:"Of a test charge: its price."`
	RateCardVersion int     `json:"rate_card_version"`
	Draws           []draw  `json:"draws" nullable:"false" doc:"Who paid, in the order drawn."`
	Balance         balance `json:"balance" doc:"Of the wallet, right after the charge."`
	State           string  `json:"state" enum:"new,healthy,low,critical,excess,paused,upstream_paused"`
	Test            bool    `json:"test"`
	Hold            string  `json:"hold,omitempty" doc:"The hold this captured."`
	Late            *bool   `json:"late,omitempty" doc:"Of a capture: it came after the hold had expired."`
	CreatedAt       moment  `json:"created_at"`
}

func chargeOf(r *billing.Receipt) charge {
	c := &r.Charge
	out := charge{
		ID: c.ID.String(), Wallet: c.WalletID.String(), Action: c.Action, Model: c.Model, Credits: creditsOf(c.Credits),
		RateCardVersion: c.CardVersion, Draws: drawsOf(r.Draws), Balance: balanceOf(r.Balance()), State: c.State, Test: c.Test,
		Hold: c.HoldID.String(), CreatedAt: moment(c.CreatedAt),
	}
	if c.Test {
		out.WouldCost = creditsOf(c.WouldCost)
	}
	if out.Hold != "" {
		out.Late = &c.Late
	}
	return out
}

// hold is what appendHold writes.
type hold struct {
	ID        string  `json:"id"`
	Wallet    string  `json:"wallet"`
	Action    string  `json:"action"`
	Model     string  `json:"model"`
	Credits   credits `json:"credits"`
	State     string  `json:"state" enum:"open,captured,released,expired"`
	ExpiresAt moment  `json:"expires_at"`
	Draws     []draw  `json:"draws" nullable:"false" doc:"What is reserved, lot by lot."`
	CreatedAt moment  `json:"created_at"`
}

// reversal is what appendReversal writes.
type reversal struct {
	ID        string  `json:"id"`
	Charge    string  `json:"charge"`
	Wallet    string  `json:"wallet"`
	Credits   credits `json:"credits"`
	Draws     []draw  `json:"draws" nullable:"false" doc:"What went back, to the lots that had paid."`
	Reason    string  `json:"reason"`
	CreatedAt moment  `json:"created_at"`
}

// orNull is a pointer to the text, nil for none.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// schemaName names a type in the document: charge → Charge, ChargeBody →
// ChargeRequest.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for _, in := range []string{"InBody", "Body", "In"} {
		if base, ok := strings.CutSuffix(name, in); ok {
			return base + "Request"
		}
	}
	return strings.TrimSuffix(strings.TrimSuffix(name, "View"), "Out")
}

// cursorSeq reads a cursor that is a number.
func cursorSeq(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, badCursor()
	}
	return n, nil
}
