package views

import (
	"strings"
	"time"

	"refill/models"
	"refill/views/format"
)

// History is the ledger as people read it, newest first.
type History struct {
	Frame  Frame
	Base   string // path of the page, "/history"; the export is Base + ".csv"
	Filter HistoryFilter

	// What the form can narrow to; an empty list leaves its field out.
	Subs, Models []Option

	Group   *HistoryLine // the grouped line whose single charges these are; nil for the ledger itself
	Back    string       // from an opened group to the list it came from
	Lines   []HistoryLine
	Pager   Pager
	Errors  FieldErrors // of the dates, "from" and "to": the form alone is shown
	Never   bool        // this account has no line at all
	Failure *SectionFailure
}

// HistoryLine is one line: a movement, or the charges of one quarter of an hour or
// hour by one account with one model.
type HistoryLine struct {
	Kind   LineKind
	Count  int64  // charges in a grouped usage line; 1 for a single one; 0 for other kinds
	Action string // code, of usage
	Model  string // code, of usage
	Detail string // what there is to say beside the kind: "12,500-credit pack", "Welcome credits"
	Sub    string // name of the sub-account; "" for the account's own

	At      models.Time // when it was booked; of a group: its start
	Until   models.Time // end of a group; unset for a single line
	Change  models.Credits
	After   models.Credits // balance after the line
	NoAfter bool           // the balance is not known: the line moved nothing
	Ref     string         // what support is told
	Href    string         // the line's page, or the group's list
	Test    bool           // priced, not charged
	Would   models.Credits // what a test would have cost
}

// what is a line in a few words: "204 replies · GPT-4 Turbo", "Purchase".
func (l HistoryLine) what() string {
	if l.Kind == LineUsed && l.Count > 0 {
		return format.Runs(l.Action, l.Model, l.Count)
	}
	return l.Kind.Word()
}

// small is what stands below: the account, the detail, a test's price.
func (l HistoryLine) small() string {
	var parts []string
	if l.Detail != "" {
		parts = append(parts, l.Detail)
	}
	if l.Test {
		parts = append(parts, "Test: would have cost "+format.CreditsWord(l.Would))
	}
	return strings.Join(parts, " · ")
}

// after is the balance after a line, "—" where it is not known.
func (l HistoryLine) after() string {
	if l.NoAfter {
		return "—"
	}
	return format.Credits(l.After)
}

// grouped tells whether a line stands for the charges of a stretch of time, be it
// for one: it is known to have been in there, not when.
func (l HistoryLine) grouped() bool { return l.Until.IsSet() }

// when is the time of a line: "Sat, Nov 22, 14:02", "Sat, Nov 22, 14:00 – 15:00".
func (l HistoryLine) when(f Frame) string {
	text := format.DateTime(l.At, f.Now, f.zone())
	if l.grouped() {
		text += " – " + format.Clock(l.Until, f.zone())
	}
	return text
}

// at is the address of the page under another filter.
func (h History) at(f HistoryFilter) string { return href(h.Base, f.Values()) }

func (h History) exportHref() string { return href(h.Base+".csv", h.Filter.first().Values()) }

// subbed tells whether any line names a sub-account: a client's own page has no
// use for the column.
func (h History) subbed() bool {
	for _, l := range h.Lines {
		if l.Sub != "" {
			return true
		}
	}
	return false
}

// chips are the filters that leave something out.
func (h History) chips() []chip {
	var chips []chip
	add := func(text, value string, drop func(*HistoryFilter)) {
		if value == "" {
			return
		}
		f := h.Filter.first()
		drop(&f)
		chips = append(chips, chip{Text: text, Remove: h.at(f)})
	}
	f := h.Filter
	add(f.Kind.Word(), string(f.Kind), func(f *HistoryFilter) { f.Kind = "" })
	add("Sub-account: "+labelFor(h.Subs, f.Sub), f.Sub, func(f *HistoryFilter) { f.Sub = "" })
	add("Model: "+labelFor(h.Models, f.Model), f.Model, func(f *HistoryFilter) { f.Model = "" })
	add("From "+h.dayText(f.From), f.From, func(f *HistoryFilter) { f.From = "" })
	add("Until "+h.dayText(f.To), f.To, func(f *HistoryFilter) { f.To = "" })
	add("Reference: "+f.Text, f.Text, func(f *HistoryFilter) { f.Text = "" })
	return chips
}

// dayText is a filter's day as people write it.
func (h History) dayText(day string) string {
	t, err := time.ParseInLocation(time.DateOnly, day, h.Frame.zone())
	if err != nil {
		return day
	}
	return format.Date(models.At(t), h.Frame.Now, h.Frame.zone())
}

// inWords is the filter in a few words, for the folded form on a phone.
func (h History) inWords() string {
	if n := len(h.chips()); n > 0 {
		return "Filter · " + format.Plural(int64(n), "filter", "filters") + " active"
	}
	return "Filter"
}

func (h History) kindOptions() []Option {
	options := []Option{{"", "Everything"}}
	for _, k := range lineKinds() {
		if k == LineSold && !h.subbed() {
			continue // a client has nobody to sell to
		}
		options = append(options, Option{string(k), k.Word()})
	}
	return options
}

func (h History) columns() []Column {
	columns := []Column{{Label: "When"}, {Label: "What"}}
	if h.subbed() {
		columns = append(columns, Column{Label: "Sub-account"})
	}
	return append(columns, Column{Label: "Change", Number: true}, Column{Label: "Balance after", Number: true},
		Column{Label: "Reference"})
}
