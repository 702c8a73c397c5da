package views

import (
	"github.com/a-h/templ"

	"refill/models"
	"refill/views/format"
)

// Overview is the agency's first page: how many credits are left, how long they
// last, and who is using them.
type Overview struct {
	Frame    Frame
	Balance  Balance
	Usage    UsageCard
	First    *FirstReply // shown in place of usage until the first reply; nil afterwards
	Activity ActivityCard

	Checklist ChecklistCard
	Attention AttentionCard
	Sales     SalesCard
}

// UsageCard is usage over one period: a sentence, a chart and the largest users.
type UsageCard struct {
	Failure  *SectionFailure // could not be read: nothing below is looked at
	Title    string          // "Usage this cycle"
	Total    models.Credits
	Previous models.Credits // total of the period before
	Than     string         // what it is compared with, "the previous cycle"; "" for no comparison
	Chart    templ.Component
	Rows     []TopRow // the largest first, "Other" last
	Href     string   // to the Usage page
}

// TopRow is one model or action.
type TopRow struct {
	Slot    string // colour slot "c1"…"c6", as in the chart
	Name    string
	Rate    models.Credits // per reply or action; 0 where it varies
	Credits models.Credits
}

// FirstReply is what an account without usage is shown: a call that works as it stands.
type FirstReply struct {
	Endpoint string // "https://…/v1/charges"
	Wallet   string // "agency:northwind"
	Action   string
	Model    string // "" when the action has none
	KeysHref string // where the API key is; "" leaves the sentence out
}

// ActivityCard is the latest lines of the ledger.
type ActivityCard struct {
	Failure *SectionFailure
	Lines   []ActivityLine
	Href    string // to the History page
}

// ActivityLine is one line of the ledger in short.
type ActivityLine struct {
	At      models.Time
	Until   models.Time // end of a group; unset for a single line
	What    string      // "204 replies · GPT-4 Turbo", "Purchase", "Plan credits added"
	Who     string      // sub-account; "" for the agency's own
	Test    bool        // priced, not charged
	Change  models.Credits
	After   models.Credits // balance after the line
	NoAfter bool           // the balance is not known: the line moved nothing
	Href    string         // to the line's page; "" for none
}

// when is the time of a line: "Sat, Nov 22, 14:02", "Sat, Nov 22, 14:00 – 15:00".
func (l ActivityLine) when(f Frame) string { return HistoryLine{At: l.At, Until: l.Until}.when(f) }

// small is what stands below: the account, and that it was a test.
func (l ActivityLine) small() string {
	switch {
	case l.Test && l.Who != "":
		return l.Who + " · Test, not charged"
	case l.Test:
		return "Test, not charged"
	}
	return l.Who
}

// after is the balance after a line, "—" where it is not known.
func (l ActivityLine) after() string { return HistoryLine{After: l.After, NoAfter: l.NoAfter}.after() }

// sentence is "91,409 credits used, 14% more than the previous cycle. GPT-4 Turbo
// is 43% of it." without its first words, which are set apart.
func (u UsageCard) sentence() string {
	text := ""
	if u.Than != "" {
		text = ", " + format.Change(u.Total, u.Previous, u.Than)
	}
	text += "."
	if len(u.Rows) > 0 && u.Total > 0 {
		text += " " + u.Rows[0].Name + " is " + format.Percent(int64(u.Rows[0].Credits), int64(u.Total)) + " of it."
	}
	return text
}

// curl is the first call, ready to paste; the key is a variable so that it is
// never in a shell's history.
func (r FirstReply) curl() string {
	body := `{"wallet": "` + r.Wallet + `", "action": "` + r.Action + `"`
	if r.Model != "" {
		body += `, "model": "` + r.Model + `"`
	}
	return "curl " + r.Endpoint + " \\\n" +
		"  -H \"Authorization: Bearer $API_KEY\" \\\n" +
		"  -H \"Idempotency-Key: first-reply\" \\\n" +
		"  -H \"Content-Type: application/json\" \\\n" +
		"  -d '" + body + "}'"
}
