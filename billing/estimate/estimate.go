package estimate

import (
	"fmt"
	"maps"
	"slices"

	"refill/billing/ratecard"
	"refill/models"
)

// Tenths is a number with one decimal: 63 is 6.3.
type Tenths int64

// Bounds of what is asked, so that every product fits.
const (
	MaxTimes   = 10_000_000   // conversations, or times of another action, a month
	MaxReplies = Tenths(1000) // of one conversation: 100
)

// Usual numbers of replies a conversation takes.
const (
	SimpleSale         Tenths = 50
	UsualSale          Tenths = 70
	ConsideredPurchase Tenths = 140
)

// Work is what somebody expects to do.
type Work struct {
	Talk          string // the action of one reply; "" leaves conversations out
	Model         string // of the replies
	Conversations int64  // a month
	Replies       Tenths // of one conversation
	Monthly       map[string]int64
	Once          map[string]int64 // when they move in: old tickets, pages to read
	Margin        int              // percent on top
}

// Range is three guesses: with 5 and with 14 replies where Usual has 7, the span
// between a simple sale and a considered purchase.
type Range struct{ Low, Usual, High models.Credits }

// Line is one part of the sum: Times × Each = Credits.
type Line struct {
	Action  string
	Model   string
	Times   int64 // actions; of replies, conversations × replies rounded up
	Each    models.Credits
	Credits models.Credits
	AtLeast bool // the rate has parts that depend on length: this is the least
}

// Estimate is what work takes.
type Estimate struct {
	Lines     []Line         // a month's, without the margin
	Once      []Line         // one time, without the margin
	Month     models.Credits // Σ Lines
	Reserve   models.Credits // what the margin adds to it
	Total     Range          // a month, the margin included
	Moving    models.Credits // Σ Once
	Unlimited bool           // replies cost nothing by this card
}

// Of works out what work takes by a version of a rate card. Errors: a
// *ratecard.PriceError for an action or model it does not have.
func Of(v *ratecard.Version, w *Work) (Estimate, error) {
	var out Estimate
	var talk models.Credits
	if w.Talk != "" {
		line, err := lineOf(v, w.Talk, w.Model, replies(w.Conversations, w.Replies, 1, 1))
		if err != nil {
			return out, err
		}
		out.Unlimited = line.Each == 0
		talk = line.Credits
		if line.Times > 0 {
			out.Lines = append(out.Lines, line)
		}
	}
	var err error
	var rest models.Credits
	if out.Lines, rest, err = linesOf(v, out.Lines, w.Monthly); err != nil {
		return out, err
	}
	if out.Once, out.Moving, err = linesOf(v, nil, w.Once); err != nil {
		return out, err
	}
	out.Month = talk + rest
	low, high := talk, talk
	if talk > 0 {
		each := out.Lines[0].Each
		low = each * models.Credits(replies(w.Conversations, w.Replies, 5, 7))
		high = each * models.Credits(replies(w.Conversations, w.Replies, 14, 7))
	}
	out.Total = Range{Low: margin(low+rest, w.Margin), Usual: margin(out.Month, w.Margin), High: margin(high+rest, w.Margin)}
	out.Reserve = out.Total.Usual - out.Month
	return out, nil
}

// replies is how many replies conversations take, scaled by a share, rounded up.
func replies(conversations int64, each Tenths, part, of int64) int64 {
	n, by := conversations*int64(each)*part, 10*of
	return (n + by - 1) / by
}

// margin adds a share, rounded up to the smallest fraction of a credit.
func margin(c models.Credits, percent int) models.Credits {
	return c + (c/100)*models.Credits(percent) + (c%100*models.Credits(percent)+99)/100
}

func linesOf(v *ratecard.Version, lines []Line, times map[string]int64) (all []Line, sum models.Credits, err error) {
	for _, action := range slices.Sorted(maps.Keys(times)) {
		if times[action] == 0 {
			continue
		}
		line, err := lineOf(v, action, cheapest(v, action), times[action])
		if err != nil {
			return nil, 0, err
		}
		lines = append(lines, line)
		sum += line.Credits
	}
	return lines, sum, nil
}

func lineOf(v *ratecard.Version, action, model string, times int64) (Line, error) {
	quote, err := v.Price(action, model, nil)
	if err != nil {
		return Line{}, err
	}
	credits, err := models.MulDiv(int64(quote.Credits), times, 1)
	if err != nil {
		return Line{}, fmt.Errorf("%d times %s: %w", times, action, err)
	}
	return Line{
		Action: action, Model: model, Times: times, Each: quote.Credits, Credits: models.Credits(credits), AtLeast: len(quote.Rate.Components) > 0,
	}, nil
}

// cheapest is the model an action is estimated with when nobody said which: its
// default rate, else the one with the lowest price.
func cheapest(v *ratecard.Version, action string) string {
	best, found := "", false
	var price models.Credits
	for _, r := range v.Rates {
		if r.Action != action {
			continue
		}
		if r.Model == "" {
			return ""
		}
		if q, err := r.Price(nil); err == nil && (!found || q.Credits < price) {
			best, price, found = r.Model, q.Credits, true
		}
	}
	return best
}

// Talk is the action that conversations are made of: the card's replies, else
// its chats, else the first it has; "" for an empty card.
func Talk(v *ratecard.Version) string {
	actions := v.Actions()
	for _, likely := range []string{"ai.reply", "ai.chat", "ai.message"} {
		if slices.Contains(actions, likely) {
			return likely
		}
	}
	if len(actions) == 0 {
		return ""
	}
	return actions[0]
}

// Import names the actions that bring what somebody has elsewhere in: an old ticket,
// and a page of their knowledge base; "" where the card charges nothing for it.
func Import(v *ratecard.Version) (ticket, page string) {
	actions := v.Actions()
	if slices.Contains(actions, "ai.embed_conversation") {
		ticket = "ai.embed_conversation"
	}
	for _, likely := range []string{"ai.scrape", "ai.document"} {
		if slices.Contains(actions, likely) {
			return ticket, likely
		}
	}
	return ticket, ""
}
