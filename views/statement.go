package views

import (
	"strings"

	"refill/models"
	"refill/views/format"
)

// Statement is one month of a wallet. Opening and the rows come to Closing.
type Statement struct {
	Frame    Frame
	Whose    string // the account's name
	Agency   string // on a client's: the agency's name
	From, To models.Time
	Complete bool // the month is over
	Opening  models.Credits
	Closing  models.Credits
	Rows     []StatementRow
	Previous string // hrefs of the neighbouring months; "" for none
	Next     string
	CSV, PDF string // hrefs; "" for none
	Back     *Link
}

// StatementRow is what one kind of movement did to the balance.
type StatementRow struct {
	Item    string // billing's name
	Credits models.Credits
	Parts   []StatementPart // of what was used
}

// StatementPart is what one action and model used.
type StatementPart struct {
	Action, Model string
	Count         int64
	Credits       models.Credits
}

// Month is "March 2026", of the account's own calendar.
func (v Statement) Month() string { return v.From.In(v.Frame.zone()).Format("January 2006") }

// Label names a row.
func (r StatementRow) Label(agency string) string {
	switch r.Item {
	case "plan":
		return "Plan credits added"
	case "bought":
		return "Bought"
	case "assigned":
		return "From " + agency
	case "bonus":
		return "Bonus credits and adjustments"
	case "back":
		return "Returned by clients"
	case "used":
		return "Used"
	case "in_use":
		return "In use by running work"
	case "given":
		return "Assigned to clients"
	case "sold":
		return "Sold to clients"
	case "returned":
		return "Returned to " + agency
	case "expired":
		return "Expired unused"
	case "refunded":
		return "Refunded or disputed"
	case "taken":
		return "Taken off by adjustments"
	}
	return r.Item
}

// Label names a part of what was used.
func (p StatementPart) Label() string {
	if p.Action == "" {
		return "Counted in the neighbouring month"
	}
	text := format.ActionModel(p.Action, p.Model)
	if p.Count > 0 {
		text += ", " + format.Count(p.Count) + " times"
	}
	return text
}

// ClosingLabel is what the last row is called.
func (v Statement) ClosingLabel() string {
	if !v.Complete {
		return "Balance now"
	}
	return "Closing balance"
}

// Proof is the sum on the statement's face: "1,000 + 500 − 25 = 1,475".
func (v Statement) Proof() string {
	text := format.Credits(v.Opening)
	var textSb99 strings.Builder
	for _, r := range v.Rows {
		if r.Credits < 0 {
			textSb99.WriteString(" − " + format.Credits(-r.Credits))
		} else {
			textSb99.WriteString(" + " + format.Credits(r.Credits))
		}
	}
	text += textSb99.String()
	return text + " = " + format.Credits(v.Closing)
}

// workbook is the address of the same list as a spreadsheet's own file.
func workbook(csv string) string {
	if strings.Contains(csv, "?") {
		return csv + "&as=xlsx"
	}
	return csv + "?as=xlsx"
}
