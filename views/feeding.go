package views

import (
	"slices"
	"strconv"

	"refill/models"
	"refill/views/format"
)

// Bulk assigns credits to many clients. Field names: way (same, target, share,
// list), credits, list, file, account (ids; none means all), note; with step
// "assign": attempt and share ("id:credits", for each client).
type Bulk struct {
	Frame   Frame
	Errors  FieldErrors
	Way     string
	Typed   string // the amount, as typed
	List    string // as pasted
	Note    string
	Attempt string
	Clients []BulkClient
	Plan    *BulkSums // what it would do; nil before it was asked
	Buy     string    // href, where there is too little
}

// BulkClient is a client to choose.
type BulkClient struct {
	ID     string
	Ref    string // the agency's own id for it
	Name   string
	Chosen bool
}

// BulkSums are the amounts worked out.
type BulkSums struct {
	Rows       []BulkLine
	Total      models.Credits
	Count      int64
	Now, After models.Credits // the agency's
	Pooled     int64          // clients left out: they draw on the agency's credits
}

// BulkLine is one client's part.
type BulkLine struct {
	ID, Name   string
	Credits    models.Credits
	Now, After models.Credits
	Used       models.Credits // last month
}

// bulkWay is a way to work the amounts out.
type bulkWay struct{ value, label, hint string }

func bulkWays() []bulkWay {
	return []bulkWay{
		{"same", "The same to each", "Every chosen client gets the number of credits."},
		{"target", "Refill to a balance", "Each gets what it lacks to the number; who has more gets nothing."},
		{"share", "By last month's use", "The number is shared out by what each client used in the last calendar month."},
		{"list", "From a list", "A line for each client: its id, a comma, its credits. Paste it, or choose a CSV file."},
	}
}

func (v Bulk) way() string {
	if v.Way == "" {
		return "same"
	}
	return v.Way
}

// some tells that the form is not for all clients, or has that wrong.
func (v Bulk) some() bool {
	return v.Errors.For("accounts") != "" || slices.ContainsFunc(v.Clients, func(c BulkClient) bool { return c.Chosen })
}

func (v Bulk) short() bool { return v.Plan != nil && v.Plan.After < 0 }

func (v Bulk) shares() []BulkLine {
	var out []BulkLine
	for _, r := range v.Plan.Rows {
		if r.Credits > 0 {
			out = append(out, r)
		}
	}
	return out
}

func (p BulkSums) sentence() string {
	text := format.CreditsWord(p.Total) + " to " + format.Plural(p.Count, "client", "clients") + "."
	if p.After < 0 {
		text += " You have " + format.Credits(p.Now) + ": " + format.CreditsWord(-p.After) + " too few. Nothing will be assigned until the sum fits."
	} else {
		text += " Leaves you " + format.Credits(p.After) + "."
	}
	if p.Pooled > 0 {
		text += " " + format.Plural(p.Pooled, "client draws", "clients draw") + " on your own credits and get none."
	}
	return text
}

func (v Bulk) button() string {
	return "Assign " + format.Credits(v.Plan.Total) + " credits to " + format.Plural(v.Plan.Count, "client", "clients")
}

func (r BulkLine) share() string { return r.ID + ":" + r.Credits.String() }

// BulkDone is a bulk assignment as it was booked.
type BulkDone struct {
	Frame   Frame
	Way     string
	At      models.Time
	By      string
	Note    string
	Credits models.Credits
	Rows    []BulkDoneRow
	Unspent models.Credits
	CSV     string // href of the export
	Undo    string // where the button posts; "" when this person may not, or nothing can be
	Undone  models.Time
}

// BulkDoneRow is what one client got.
type BulkDoneRow struct {
	Name, Href string
	Credits    models.Credits
	Unspent    models.Credits
	Returned   models.Credits
	Line       string // href of its line
}

func (v BulkDone) returned() (sum models.Credits) {
	for _, r := range v.Rows {
		sum += r.Returned
	}
	return sum
}

func (v BulkDone) wayWords() string {
	for _, w := range bulkWays() {
		if w.value == v.Way {
			return w.label
		}
	}
	return v.Way
}

// PassOn moves unspent assigned credits from one client to another. Field names:
// to, credits, note, attempt.
type PassOn struct {
	Frame   Frame
	Errors  FieldErrors
	Action  string
	Account string // href
	Name    string
	Attempt string
	To      string
	Typed   string
	Note    string
	Most    models.Credits
	Others  []BulkClient
	Closed  string
}

// Standing is what a client gets every month; zero credits: nothing.
type Standing struct {
	Credits models.Credits
	Day     int
	Returns bool // unused credits go back to the agency
	Next    models.Time
	Note    string
	Turns   []StandingTurn // newest first
	Edit    string         // hrefs; "" when this person may not
	Stop    string
}

// StandingTurn is one month.
type StandingTurn struct {
	At       models.Time
	Outcome  string
	Credits  models.Credits
	Returned models.Credits
	Had      models.Credits // what the agency had, where that was too little
	Line     string         // href
}

func (s Standing) sentence() string {
	text := format.CreditsWord(s.Credits) + " every month on the " + ordinal(s.Day)
	if s.Day > 28 {
		text += ", in shorter months on the last day"
	}
	if s.Returns {
		return text + "; what is unused returns to you first."
	}
	return text + "; what is unused stays."
}

func (t StandingTurn) words(name string) string {
	switch t.Outcome {
	case "done":
		text := format.CreditsWord(t.Credits) + " assigned"
		if t.Returned > 0 {
			text += ", " + format.Credits(t.Returned) + " unused returned first"
		}
		return text + "."
	case "short":
		return "Skipped: you had " + format.CreditsWord(t.Had) + ", too few. Nothing was assigned, not even a part."
	case "pooled":
		return "Skipped: " + name + " drew on your own credits and would not have used them."
	case "closed":
		return "Skipped: " + name + " was archived."
	case "full":
		return "Skipped: " + name + " had no room for more."
	}
	return ""
}

func (t StandingTurn) skipped() bool { return t.Outcome != "done" }

// ordinal is a day of the month in words: "1st", "22nd".
func ordinal(n int) string {
	end := "th"
	if n/10 != 1 {
		switch n % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return strconv.Itoa(n) + end
}

// Monthly is the form of a monthly assignment. Field names: credits, day, unused
// (stay, return), note.
type Monthly struct {
	Frame   Frame
	Errors  FieldErrors
	Action  string
	Account string
	Name    string
	Typed   string
	Day     string
	Unused  string
	Note    string
	Closed  string
	Edit    *Link
}

func days() []int {
	out := make([]int, 31)
	for i := range out {
		out[i] = i + 1
	}
	return out
}

func dayOption(n int) string {
	switch {
	case n == 31:
		return "last day"
	case n > 28:
		return ordinal(n) + ", or the last day"
	}
	return ordinal(n)
}
