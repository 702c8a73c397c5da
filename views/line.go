package views

import (
	"strings"

	"refill/models"
	"refill/views/format"
)

// Line is one act of the ledger explained: what support sends.
type Line struct {
	Frame  Frame
	Back   string // to the history it came from
	Kind   LineKind
	ID     string      // of the charge, hold or act: "chg_…"
	At     models.Time // when it was booked
	Sub    string      // sub-account it is about; "" for the account's own
	Change models.Credits
	Before models.Credits // balance before it
	After  models.Credits // and after

	Charge *ChargeFacts // of usage, a hold or a reversal; nil for the rest
	Moves  []Move       // lots that paid or received, in the order they were drawn
	Facts  []Fact       // whatever else there is to say, in order
	Costs  bool         // the reader may see what credits cost: an agency, never its client

	Reference string // idempotency key, or what the other side calls it
	Actor     string // who or what did it: "API key ends in 3f9c", "ana@northwind.example", "Clock"
	Note      string
	Metadata  []Fact
	Related   []Related

	Unspent models.Credits // of an assignment: what can be taken back now
	Undo    string         // where its button posts; "" when this person may not
}

// ChargeFacts is how a price came about.
type ChargeFacts struct {
	Action   string // code
	Model    string // code
	Credits  models.Credits
	Parts    []PricePart // add up to Credits
	Card     string      // the rate card's name
	Version  int
	Since    models.Time // when that version took effect
	Href     string      // to the version; "" where the reader may not see it
	Occurred models.Time // when the caller says it happened; unset when it did not say
	Test     bool        // priced, not charged; Credits is what it would have cost
	Late     bool        // captured after its hold had ended
}

// PartKind tells what a part of a price stands for.
type PartKind string

// The kinds of parts.
const (
	PartBase      PartKind = "base"
	PartComponent PartKind = "component"
	PartMinimum   PartKind = "minimum"
	PartMaximum   PartKind = "maximum"
)

// PricePart is Units × Each = Credits. For a component, Units counts the started
// Sizes of Quantity above Above; those three are in millionths.
type PricePart struct {
	Kind     PartKind
	Measure  string
	Quantity int64
	Above    int64
	Size     int64
	Units    int64
	Each     models.Credits
	Credits  models.Credits
}

// Move is one lot's part in an act.
type Move struct {
	Credits  models.Credits // always positive
	Bucket   models.Bucket
	Pool     bool         // of the agency's wallet, where a sub-account is shown
	From     string       // where the lot came from, in words: "12,500-credit pack"; "" says nothing
	Href     string       // to that purchase or line; "" for none
	Lot      models.LotID // zero for excess
	Granted  models.Time
	Expires  models.Time // models.Never for what does not
	UnitCost models.UnitPrice
	Currency string
}

// Fact is a label and its value.
type Fact struct{ Label, Value, Href string }

// Related is another line that belongs to this one.
type Related struct {
	Kind string // "Reversed by", "Reserved by", "Settled excess"
	Text string
	Href string
	At   models.Time
}

// title is the line in a few words, which is also the window's title.
func (l Line) title() string {
	if l.Charge == nil {
		return l.Kind.Word()
	}
	text := format.Runs(l.Charge.Action, l.Charge.Model, 1)
	switch {
	case l.Charge.Test:
		return "Test: " + text
	case l.Kind == LineUsed:
		return text
	default:
		return l.Kind.Word() + ": " + text
	}
}

// frame is the page's frame with the line's own title.
func (l Line) frame() Frame {
	f := l.Frame
	f.Title = l.title()
	return f
}

// sentence says what happened to the balance and who paid.
func (l Line) sentence() string {
	if l.Charge != nil && l.Charge.Test {
		return "This was a test. It would have cost " + format.CreditsWord(l.Charge.Credits) + "; nothing was charged."
	}
	var b strings.Builder
	switch {
	case l.Kind == LineUsed:
		b.WriteString(format.CreditsWord(-l.Change) + " used")
	case l.Kind == LineHeld && l.Charge != nil && l.Charge.Action == "sale":
		b.WriteString(format.CreditsWord(-l.Change) + " kept for a client who is at the checkout")
	case l.Kind == LineHeld:
		b.WriteString(format.CreditsWord(-l.Change) + " set aside for work that is still running")
	case l.Change < 0:
		b.WriteString(format.CreditsWord(-l.Change) + " taken off the balance")
	case l.Change > 0:
		b.WriteString(format.CreditsWord(l.Change) + " added to the balance")
	default:
		b.WriteString("The balance did not change")
	}
	if paid := l.buckets(); paid != "" {
		b.WriteString(": " + paid)
	}
	return b.String() + "."
}

// buckets says which kinds of credits moved: "8 plan credits and 2 purchased credits".
func (l Line) buckets() string {
	var order []models.Bucket
	sums := map[models.Bucket]models.Credits{}
	for _, m := range l.Moves {
		if _, seen := sums[m.Bucket]; !seen {
			order = append(order, m.Bucket)
		}
		sums[m.Bucket] += m.Credits
	}
	var parts []string
	for _, b := range order {
		parts = append(parts, format.Credits(sums[b])+" "+bucketCredits(b, sums[b]))
	}
	switch n := len(parts); n {
	case 0:
		return ""
	case 1:
		return parts[0]
	default:
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
}

// bucketCredits is a kind of credits behind a number: "plan credits".
func bucketCredits(b models.Bucket, n models.Credits) string {
	noun := " credits"
	if n == models.Credit {
		noun = " credit"
	}
	switch b {
	case models.BucketPlan:
		return "plan" + noun
	case models.BucketPurchased:
		return "purchased" + noun
	case models.BucketAssigned:
		return "assigned" + noun
	case models.BucketBonus:
		return "bonus" + noun
	case models.BucketExcess:
		return "in excess usage"
	}
	return string(b) + noun
}

// bucketTitle is a kind of credits at the start of a cell: "Plan credits".
func bucketTitle(b models.Bucket) string {
	if b == models.BucketExcess {
		return "Excess usage"
	}
	return capital(bucketCredits(b, 0))
}

// bucketKey is the class of a bucket's colour key.
func bucketKey(b models.Bucket) string {
	if b == models.BucketPurchased {
		return "bought"
	}
	return string(b)
}

// words explains a part: "1 reply", "5,200 characters above 2,000, in 2 started
// blocks of 5,000".
func (p PricePart) words(charge ChargeFacts) string {
	switch p.Kind {
	case PartBase:
		return format.ActionCount(charge.Action, p.Units) + ", base rate"
	case PartMinimum:
		return "Up to the minimum"
	case PartMaximum:
		return "Down to the maximum"
	case PartComponent:
	}
	measure := strings.ReplaceAll(p.Measure, "_", " ")
	if p.Quantity == int64(models.Credit) {
		measure = strings.TrimSuffix(measure, "s") // measures are named in the plural
	}
	text := quantity(p.Quantity) + " " + measure
	if p.Above > 0 {
		text += ", of them " + quantity(p.Quantity-p.Above) + " above the first " + quantity(p.Above)
	}
	if p.Size != int64(models.Credit) {
		text += ", in " + format.Plural(p.Units, "started block", "started blocks") + " of " + quantity(p.Size)
	}
	return text
}

// sum is the part's arithmetic: "2 × 1 = 2"; what a limit changed has no factors.
func (p PricePart) sum() string {
	if p.Kind == PartMinimum || p.Kind == PartMaximum {
		return format.SignedCredits(p.Credits)
	}
	return format.Count(p.Units) + " × " + format.Credits(p.Each) + " = " + format.Credits(p.Credits)
}

// quantity is an amount of a measure in millionths.
func quantity(millionths int64) string { return format.Credits(models.Credits(millionths)) }

// version names the rate card: "Standard, version 4, since Mon, Nov 3".
func (c ChargeFacts) version(f Frame) string {
	text := "version " + format.Count(int64(c.Version))
	if c.Card != "" {
		text = c.Card + ", " + text
	}
	if c.Since.IsSet() {
		text += ", since " + format.Date(c.Since, f.Now, f.zone())
	}
	return text
}

// movesTitle is the heading of the lots.
func (l Line) movesTitle() string {
	switch {
	case l.Kind == LineUsed:
		return "Paid from"
	case l.Change > 0:
		return "Went to"
	default:
		return "Came from"
	}
}

// total is the sum of the lots' parts.
func (l Line) total() (total models.Credits) {
	for _, m := range l.Moves {
		total += m.Credits
	}
	return total
}

// cost is a lot's price per credit, "—" where it cost nothing.
func (m Move) cost() string {
	if m.UnitCost == 0 || m.Currency == "" {
		return "—"
	}
	return format.PricePerCredit(format.UnitPrice(m.UnitCost, m.Currency), m.Currency)
}

// expires says until when a lot lasts.
func (m Move) expires(f Frame) string {
	switch {
	case m.Bucket == models.BucketExcess:
		return "—"
	case m.Expires == models.Never || m.Expires == 0:
		return "Never"
	default:
		return format.Date(m.Expires, f.Now, f.zone())
	}
}

// granted says since when a lot exists.
func (m Move) granted(f Frame) string {
	if m.Bucket == models.BucketExcess {
		return "—"
	}
	return format.Date(m.Granted, f.Now, f.zone())
}
