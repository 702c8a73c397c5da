package views

import (
	"net/url"
)

// LineKind is what a line of the ledger says happened.
type LineKind string

// The kinds of lines.
const (
	LineUsed        LineKind = "used"
	LineHeld        LineKind = "held"
	LineReleased    LineKind = "released"
	LineReversed    LineKind = "reversed"
	LinePlanAdded   LineKind = "plan_added"
	LinePlanExpired LineKind = "plan_expired"
	LineExpired     LineKind = "expired" // credits that are not a plan's
	LinePurchase    LineKind = "purchase"
	LineRefund      LineKind = "refund"
	LineDisputed    LineKind = "disputed"
	LineAssigned    LineKind = "assigned"
	LineReturned    LineKind = "returned"
	LineBonus       LineKind = "bonus"
	LineAdjustment  LineKind = "adjustment"
	LineSettled     LineKind = "settled"
	LineSold        LineKind = "sold" // to a client
)

// lineKinds are the kinds a reader may look for, in the form's order.
func lineKinds() []LineKind {
	return []LineKind{
		LineUsed, LinePurchase, LinePlanAdded, LinePlanExpired, LineAssigned, LineReturned, LineBonus,
		LineAdjustment, LineSettled, LineSold, LineHeld, LineReleased, LineReversed, LineRefund, LineDisputed, LineExpired,
	}
}

// Word is the kind as lines and the form name it.
func (k LineKind) Word() string {
	switch k {
	case LineUsed:
		return "Used"
	case LineHeld:
		return "Held, in use now"
	case LineReleased:
		return "Released"
	case LineReversed:
		return "Charge reversed"
	case LinePlanAdded:
		return "Plan credits added"
	case LinePlanExpired:
		return "Plan credits expired"
	case LineExpired:
		return "Credits expired"
	case LinePurchase:
		return "Purchase"
	case LineRefund:
		return "Refund"
	case LineDisputed:
		return "Disputed payment"
	case LineAssigned:
		return "Assigned"
	case LineReturned:
		return "Taken back"
	case LineBonus:
		return "Bonus credits"
	case LineAdjustment:
		return "Adjustment"
	case LineSettled:
		return "Excess usage paid off"
	case LineSold:
		return "Sold"
	}
	return string(k)
}

// HistoryFilter is everything the address of a history page says.
type HistoryFilter struct {
	Kind     LineKind // "": every kind
	Sub      string   // external id
	Model    string
	From, To string // local days, both included, as typed; "" for no bound
	Text     string // in the reference
	Cursor   string // where a page begins; opaque
}

// ParseHistoryFilter reads an address. It never fails: what it does not know is
// left out, all but dates, which the page judges.
func ParseHistoryFilter(q url.Values) HistoryFilter {
	return HistoryFilter{
		Kind:   oneOf(LineKind(q.Get("type")), append([]LineKind{""}, lineKinds()...)...),
		Sub:    filterText(q.Get("sub")),
		Model:  filterText(q.Get("model")),
		From:   typedDay(q.Get("from")),
		To:     typedDay(q.Get("to")),
		Text:   filterText(q.Get("q")),
		Cursor: filterText(q.Get("cursor")),
	}
}

// Values is the filter as an address's query; what is empty is left out.
func (f HistoryFilter) Values() url.Values {
	q := url.Values{}
	for key, value := range map[string]string{
		"type": string(f.Kind), "sub": f.Sub, "model": f.Model, "from": f.From, "to": f.To, "q": f.Text, "cursor": f.Cursor,
	} {
		if value != "" {
			q.Set(key, value)
		}
	}
	return q
}

// Narrowed tells whether the filter leaves anything out.
func (f HistoryFilter) Narrowed() bool { return f.first() != HistoryFilter{} }

// first is the same filter from its first page.
func (f HistoryFilter) first() HistoryFilter {
	f.Cursor = ""
	return f
}
