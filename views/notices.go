package views

import (
	"strconv"
	"strings"

	"refill/models"
	"refill/views/format"
)

// Notices is what somebody was told in the portal. The forms' fields: id, all.
type Notices struct {
	Frame  Frame
	Rows   []NoticeRow
	Unread int
	UpTo   string // id of the newest row, for marking all as read
	Older  string // href; "" for none
}

// NoticeRow is one notice.
type NoticeRow struct {
	ID     string
	Title  string
	Lines  []string
	Link   Link
	At     models.Time
	Unread bool
}

// Notifications are the settings of what an account's people hear of. Fields of
// the first form: mail.{event}, app.{event}, user; of the second: kind-{n},
// value-{n}, usual.
type Notifications struct {
	Frame Frame
	Tabs  []Tab

	Person string // whose choices these are
	User   string // their id
	You    bool
	People []PersonLink // whose choices the viewer may change; fewer than two: nobody's list
	Email  string       // of the person
	Waits  bool         // no mail server is there yet
	Rows   []WishRow
	Hooks  bool // programs can be told, too: there is a column for it

	MayLines bool // change the thresholds
	Lines    []LineRow
	Usual    bool
	Shares   bool // there are plan credits to count
	Errors   FieldErrors

	Sent []SentRow
	More bool // there is more of it
}

// PersonLink leads to somebody's choices.
type PersonLink struct {
	Name    string
	Href    string
	Current bool
}

// WishRow is one event.
type WishRow struct {
	Event models.NoticeEvent
	Mail  bool
	Must  bool // the mail goes whatever is chosen
	InApp bool
	Hook  bool   // programs are told
	Who   string // names of who gets the mail
}

// LineRow is one threshold of the form, or an empty one.
type LineRow struct {
	Kind  string // percent, credits, days
	Value string
}

// SentRow is what became of a notice for one person.
type SentRow struct {
	At    models.Time
	Title string
	Name  string
	How   string // "Mail to ana@example.com", "In the portal"
	State string
	Tone  Tone
	Note  string
}

// SentNotices is the history of what an account's people were told.
type SentNotices struct {
	Frame Frame
	Tabs  []Tab
	Rows  []SentRow
	Older string
}

// MailsOff asks whether mails of a kind are to stop, and says that they have.
type MailsOff struct {
	Frame  Frame
	Email  string
	Events []models.NoticeEvent
	Done   bool
	Gone   bool // the address turns nothing off
	Action string
	Sign   string // href of the settings
}

// EventName is an event in a few words.
func EventName(e models.NoticeEvent) string { return eventWords(e)[0] }

// eventWords are a name and a sentence.
func eventWords(e models.NoticeEvent) [2]string {
	switch e {
	case models.NoticeLow:
		return [2]string{"Credits are low", "One of the thresholds below is crossed."}
	case models.NoticeCritical:
		return [2]string{"Less than a day left", "Or below zero, where that is allowed."}
	case models.NoticePaused:
		return [2]string{"AI is paused", "There are no credits left."}
	case models.NoticeResumed:
		return [2]string{"AI is running again", "Credits have come."}
	case models.NoticeUpstreamPaused:
		return [2]string{"AI is paused by your provider", "Whatever credits you have are kept."}
	case models.NoticeTopUpDone:
		return [2]string{"Automatic top-up bought credits", ""}
	case models.NoticeTopUpFailed:
		return [2]string{"Automatic top-up failed", ""}
	case models.NoticeTopUpLimit:
		return [2]string{"Automatic top-up reached its limit", ""}
	case models.NoticeTopUpPaused:
		return [2]string{"Automatic top-up is paused", "It waits for you."}
	case models.NoticePlanReset:
		return [2]string{"Plan credits reset", "A new period has begun."}
	case models.NoticePlanPastDue:
		return [2]string{"The plan's payment failed", ""}
	case models.NoticePlanEnded:
		return [2]string{"The plan has ended", ""}
	case models.NoticeExpiring:
		return [2]string{"Credits expire soon", "In 30 and in 7 days."}
	case models.NoticeSubAccountLow:
		return [2]string{"A sub-account is low", "By its own thresholds."}
	case models.NoticeSubAccountPaused:
		return [2]string{"A sub-account is paused", "Several within an hour come in one mail."}
	case models.NoticeSubAccountBought:
		return [2]string{"A sub-account bought credits", "Several within an hour come in one mail."}
	case models.NoticePurchaseCredited:
		return [2]string{"A purchase was added", ""}
	case models.NoticePurchaseRefunded:
		return [2]string{"A purchase was refunded", ""}
	case models.NoticePaymentDisputed:
		return [2]string{"A payment is disputed", ""}
	case models.NoticeRefundFailed:
		return [2]string{"A refund failed", "The money did not arrive."}
	case models.NoticeDisputeDecided:
		return [2]string{"A dispute is decided", ""}
	case models.NoticePaymentWarned:
		return [2]string{"A payment may be fraud", ""}
	case models.NoticeSalesPaused:
		return [2]string{"Your clients can't buy", "Stripe takes no payments for you, or is disconnected."}
	case models.NoticeSalesResumed:
		return [2]string{"Your clients can buy again", ""}
	case models.NoticeSaleWaits:
		return [2]string{"A client paid for more than you hold", "It waits for its credits until you buy some."}
	case models.NoticeMonthSkipped:
		return [2]string{"A monthly package was not added", "There were too few credits to sell. Nobody was charged."}
	case models.NoticeMonthUnpaid:
		return [2]string{"The payment for a monthly package failed", ""}
	case models.NoticeMonthEnded:
		return [2]string{"A monthly package ends", "It was cancelled, or its payment failed too often."}
	case models.NoticeStandingSkipped:
		return [2]string{"Monthly credits were not given", "There were too few, or no room for them."}
	case models.NoticeRateChanged:
		return [2]string{"The rate card changes", ""}
	case models.NoticeReferralEarned:
		return [2]string{"A referral earned credits", ""}
	case models.NoticeGiftRedeemed:
		return [2]string{"A gift code was used", ""}
	case models.NoticeSummaryWeekly:
		return [2]string{"Weekly summary", "On Mondays, after a week with usage."}
	case models.NoticeTest:
		return [2]string{"Test", ""}
	}
	return [2]string{string(e), ""}
}

// names are the events in one line.
func (v MailsOff) names() string {
	out := make([]string, len(v.Events))
	for i, e := range v.Events {
		out[i] = "“" + EventName(e) + "”"
	}
	return strings.Join(out, ", ")
}

func (v Notifications) heading() string {
	if v.You {
		return "What you hear of"
	}
	return "What " + v.Person + " hears of"
}

// reaches tells where mails go.
func (v Notifications) reaches() string {
	text := "Mails go to " + v.Email + "."
	if v.Waits {
		text += " No mail server is set up here yet, so they wait."
	}
	return text
}

func (v Notifications) columns() []Column {
	out := []Column{{Label: "Event"}, {Label: "E-mail"}, {Label: "In the portal"}}
	if v.Hooks {
		out = append(out, Column{Label: "Webhook"})
	}
	return append(out, Column{Label: "Who gets the mail"})
}

// kinds are what a threshold may measure.
func (v Notifications) kinds() []LineRow {
	out := []LineRow{{"credits", "credits left"}, {"days", "days left at your pace"}}
	if v.Shares {
		out = append([]LineRow{{"percent", "% of the plan credits used"}}, out...)
	}
	return out
}

func lineField(n int) string { return "line-" + strconv.Itoa(n) }

func (n NoticeRow) when(f Frame) string { return format.DateTime(n.At, f.Now, f.zone()) }

// lineText is a threshold in words.
func lineText(v Notifications, l LineRow) string {
	for _, k := range v.kinds() {
		if k.Kind == l.Kind {
			return strings.Replace(l.Value+" "+k.Value, " %", "%", 1)
		}
	}
	return l.Value
}
