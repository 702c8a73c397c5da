package views

import (
	"refill/models"
	"refill/views/format"
)

// AttentionCard is the clients that need their agency.
type AttentionCard struct {
	Failure *SectionFailure
	Paused  int64
	Below   int64
	Low     int64
	Idle    int64           // bought nothing in 30 days
	Clients int64           // there are in all
	Rows    []SubAccountRow // the worst first
	Assign  bool            // this person may assign credits
}

// counts are the conditions that somebody is in, each with the list it leads to.
func (c AttentionCard) counts() []Link {
	var out []Link
	add := func(n int64, words, signal string) {
		if n > 0 {
			out = append(out, Link{Label: format.Count(n) + " " + words, Href: SubAccountFilter{Signal: signal, Sort: SubAccountsByState}.Href("/sub-accounts")})
		}
	}
	add(c.Paused, "paused", SignalPaused)
	add(c.Below, "below zero", SignalLow)
	add(c.Low, "low", SignalLow)
	add(c.Idle, "without a purchase in 30 days", SignalIdle)
	return out
}

// SalesCard is what an agency sold in its running cycle.
type SalesCard struct {
	Failure *SectionFailure
	Sales   SalesSum
	Selling bool // packages are on sale
}

// SalesSum is sales added up. Profit is what is left of the revenue when the cost
// of the very credits sold and the card fees are off.
type SalesSum struct {
	Count   int64
	Credits models.Credits
	Revenue models.Money
	Cost    models.Money
	Fee     models.Money
	Share   models.Money // the platform's
	Dispute models.Money // what Stripe charged for disputes
	Profit  models.Money
	Margin  string // "49%"; "" where nothing was earned
	Lossy   bool
}

// none tells that nothing was sold, nor anything left of what was paid back.
func (s SalesSum) none() bool {
	return s.Count == 0 && s.Revenue.Amount == 0 && s.Cost.Amount == 0 && s.Fee.Amount == 0 && s.Share.Amount == 0 && s.Dispute.Amount == 0
}

// fees is what of the revenue went to Stripe and to the platform.
func (s SalesSum) fees() models.Money {
	return models.Money{Amount: s.Fee.Amount + s.Share.Amount + s.Dispute.Amount, Currency: s.Revenue.Currency}
}

// sentence is "$1,240.00 sold, $593.00 cost, $37.00 card fees: $610.00 profit (49%)."
func (s SalesSum) sentence() string {
	text := format.Money(s.Revenue) + " sold in " + format.Plural(s.Count, "sale", "sales") + " − " + format.Money(s.Cost) + " cost − " +
		format.Money(s.Fee) + " card fees"
	if s.Share.Amount > 0 {
		text += " − " + format.Money(s.Share) + " platform fee"
	}
	if s.Dispute.Amount > 0 {
		text += " − " + format.Money(s.Dispute) + " dispute fees"
	}
	text += " = " + format.Money(s.Profit)
	if s.Lossy {
		text += " loss"
	} else {
		text += " profit"
	}
	if s.Margin != "" {
		text += " (" + s.Margin + ")"
	}
	text += "."
	if s.Count == 0 {
		text += " All that was sold was paid back; Stripe keeps its fees."
	}
	return text
}

// ChecklistCard is what an agency has yet to do; it is gone once all is done.
type ChecklistCard struct {
	Steps []ChecklistStep
}

// ChecklistStep is one step, ticked from real state.
type ChecklistStep struct {
	Label   string
	Why     string
	Href    string
	Minutes int64
	Done    bool
}

func (c ChecklistCard) done() int64 {
	var n int64
	for _, s := range c.Steps {
		if s.Done {
			n++
		}
	}
	return n
}

// progress is "3 of 5 done".
func (c ChecklistCard) progress() string {
	return format.Count(c.done()) + " of " + format.Count(int64(len(c.Steps))) + " done"
}
