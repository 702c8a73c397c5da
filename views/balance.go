package views

import (
	"strconv"
	"strings"
	"time"

	"refill/models"
	"refill/views/format"
)

// Balance is what a balance card shows. Left is the number; the buckets say what
// it is made of.
type Balance struct {
	Failure *SectionFailure // the balance could not be read: nothing below is looked at

	State     State
	Left      models.Credits // available − excess
	Plan      models.Credits // plan credits left
	Allowance models.Credits // plan credits this cycle began with; 0: no plan credits
	ResetsAt  models.Time    // next allowance; unset when none comes
	EndsAt    models.Time    // the cancelled plan's last period ends then; unset: it goes on, or its allowance is granted once
	Purchased models.Credits
	Assigned  models.Credits
	Bonus     models.Credits
	Excess    models.Credits // used beyond zero, as a positive number
	Held      models.Credits // in use by jobs that are still running, not part of Left
	HeldJobs  int64
	Kept      models.Credits // for clients at the checkout, not part of Left (agency only)
	Pending   models.Credits // paid, not booked yet

	AssignedOut models.Credits // in the wallets of sub-accounts, not part of Left (agency only)
	Next        string         // what pays when these are used, in a sentence; "" nothing
	NextPack    models.Credits // what the next purchase would most likely be; for the excess sentence

	Replies       []ReplyEstimate // "About 1,842 GPT-4 Turbo replies"
	Conversations int64           // client pages count in conversations; 0 leaves it out
	Forecast      Forecast
	Pace          string // of the plan's credits against the cycle: "18% ahead of pace"; "" too early to say

	TopUp   string // automatic top-up in a few words; "" leaves it out
	Stopped string // why nothing runs whatever is left; "" when it is a matter of credits
	From    string // on a client's page: the agency's name; "" on an agency's own
	BuyHref string // "" when this person cannot buy here
	Contact *Link  // shown when only somebody else can help: the agency, an owner
}

// ReplyEstimate is how many replies of one model, or runs of another action, the
// balance is worth.
type ReplyEstimate struct {
	Action string // code, of what is not a reply
	Model  string // a reply's model, by its name
	Count  int64
}

// ForecastKind says what is known about how long the credits last.
type ForecastKind string

// The kinds of forecast.
const (
	ForecastNoData     ForecastKind = "no_data"      // fewer than three complete days
	ForecastIdle       ForecastKind = "idle"         // no usage in the window
	ForecastRunsOut    ForecastKind = "runs_out"     // at RunsOutAt
	ForecastPastReset  ForecastKind = "past_reset"   // the next allowance comes first
	ForecastBeyond     ForecastKind = "beyond"       // more than 90 days
	ForecastNothingNow ForecastKind = "nothing_left" // already at or below zero
)

// Forecast is how long the credits last, with what it was worked out from.
type Forecast struct {
	Kind      ForecastKind
	PerDay    models.Credits // the pace: mean of the complete days From…To
	From, To  models.Time    // first and last of those days
	Days      int64          // how many they are
	RunsOutAt models.Time    // or the reset that comes first
	Next      models.Credits // that come at NextAt, to a client that gets them every month
	NextAt    models.Time    // unset: none do
}

// past is up to where they last at least.
func (c Forecast) past(whose string) string {
	if c.NextAt.IsSet() {
		return "Past " + whose + " next credits"
	}
	return "Past " + whose + " reset"
}

// fact is one line of the card's description list.
type fact struct{ label, value, small string }

// number is the one big figure.
func (b Balance) number() string { return format.Credits(b.Left) }

// lines say what the state means, in the order state, consequence, action.
func (b Balance) lines(f Frame) []string {
	if b.Stopped != "" {
		return []string{b.Stopped}
	}
	switch b.State {
	case StateNew:
		if b.From != "" {
			return []string{"Your assistant is ready."}
		}
		return []string{"Ready to use."}
	case StateExcess:
		text := "You have used " + format.CreditsWord(b.Excess) + " more than you had. They come off your next purchase."
		if b.NextPack > b.Excess {
			return []string{text, "Next purchase: " + format.Credits(b.NextPack) + " − " + format.Credits(b.Excess) + " = " + format.Credits(b.NextPack-b.Excess)}
		}
		return []string{text}
	case StatePaused:
		return []string{b.pausedText(f)}
	case StateUpstreamPaused:
		return []string{"Your AI is paused. " + b.From + " has been told and is working on it."}
	case StatePurchasePending:
		return []string{format.CreditsWord(b.Pending) + " on the way."}
	case StateHealthy, StateLow, StateCritical, StateChargeFailed:
	}
	return nil
}

func (b Balance) pausedText(f Frame) string {
	if b.From != "" {
		return "Your AI assistant is paused because there are no credits left. Messages still arrive; people can answer by hand. " + b.restart()
	}
	text := "AI replies are paused. Everything else keeps working. Buying credits starts them again at once"
	if b.ResetsAt.IsSet() && b.Allowance > 0 {
		text += "; your next plan credits arrive " + format.Days(b.ResetsAt, f.Now, f.zone())
	}
	return text + "."
}

// worth is "About 1,842 GPT-4 Turbo replies or 18,420 GPT-3.5 replies".
func (b Balance) worth() string {
	if b.Left <= 0 {
		return ""
	}
	if b.Conversations > 0 {
		return "About " + format.Plural(b.Conversations, "conversation", "conversations")
	}
	parts := make([]string, 0, len(b.Replies))
	for _, r := range b.Replies {
		if r.Action != "" {
			parts = append(parts, format.ActionCount(r.Action, r.Count))
			continue
		}
		parts = append(parts, format.Plural(r.Count, r.Model+" reply", r.Model+" replies"))
	}
	if len(parts) == 0 {
		return ""
	}
	return "About " + strings.Join(parts, " or ")
}

// facts are the figures beside the number.
func (b Balance) facts(f Frame) []fact {
	facts := b.Forecast.facts(f)
	if b.Forecast.PerDay > 0 && b.Pace != "" && len(facts) > 0 {
		facts[0].small = b.Pace
	}
	if b.Kept > 0 {
		facts = append(facts, fact{"Kept for clients", format.Credits(b.Kept), "who are at the checkout"})
	}
	if b.TopUp != "" {
		facts = append(facts, fact{"Automatic top-up", b.TopUp, ""})
	}
	if b.Held > 0 {
		facts = append(facts, fact{"In use now", format.Credits(b.Held), "in " + format.Plural(b.HeldJobs, "running job", "running jobs")})
	}
	if b.AssignedOut > 0 {
		facts = append(facts, fact{"Assigned to clients", format.Credits(b.AssignedOut), "not in this number"})
	}
	return facts
}

// facts are the pace and the run-out date; past thirty days weeks, not a date.
func (c Forecast) facts(f Frame) []fact {
	pace := fact{label: "Pace", value: format.Estimate(c.PerDay) + " a day"}
	switch c.Kind {
	case ForecastNoData:
		return []fact{{"Pace", "Not enough data yet", "three full days are needed"}}
	case ForecastIdle:
		return []fact{{"Pace", "No recent usage", "in " + format.Plural(c.Days, "day", "days")}}
	case ForecastNothingNow:
		if c.PerDay == 0 {
			return nil // nothing used, nothing left: there is no pace to tell
		}
		return []fact{pace}
	case ForecastPastReset:
		return []fact{pace, {"Lasts", c.past("your"), "on " + format.Date(c.RunsOutAt, f.Now, f.zone())}}
	case ForecastBeyond:
		return []fact{pace, {"Lasts", "More than 90 days", ""}}
	case ForecastRunsOut:
		days := format.DaysBetween(f.Now, c.RunsOutAt, f.zone())
		if days > 30 {
			return []fact{pace, {"Lasts", "About " + format.Plural(int64(days/7), "week", "weeks"), "at this pace"}}
		}
		return []fact{pace, {"Runs out", format.Date(c.RunsOutAt, f.Now, f.zone()), format.InDays(c.RunsOutAt, f.Now, f.zone())}}
	}
	return nil
}

// explained tells whether there is arithmetic to show.
func (c Forecast) explained() bool {
	return c.PerDay > 0 && c.Days > 0 && c.Kind != ForecastNoData && c.Kind != ForecastIdle && c.Kind != ForecastNothingNow
}

// bucket is one line of the legend and one segment of the meter.
type bucket struct {
	class   string
	label   string
	credits models.Credits
	text    string // after the number
}

// buckets are what the number is made of, in the order they are used.
func (b Balance) buckets(f Frame) []bucket {
	var list []bucket
	if b.Allowance > 0 || b.Plan > 0 {
		text := ""
		if b.Allowance > 0 {
			text = " of " + format.Credits(b.Allowance)
		}
		switch {
		case b.ResetsAt.IsSet():
			text += ", " + resetWord(b.From) + " " + format.Days(b.ResetsAt, f.Now, f.zone())
		case b.EndsAt.IsSet():
			text += ", ends with your plan " + format.Days(b.EndsAt, f.Now, f.zone())
		case b.Allowance > 0:
			text += ", granted once"
		}
		list = append(list, bucket{"plan", b.word("Plan", "Included this month"), b.Plan, text})
	}
	if b.Assigned > 0 {
		list = append(list, bucket{"assigned", b.word("Assigned", "From "+b.From), b.Assigned, ""})
	}
	if b.Bonus > 0 {
		list = append(list, bucket{"bonus", "Bonus", b.Bonus, ", used before purchased credits"})
	}
	if b.Purchased > 0 || len(list) <= 1 {
		text := ""
		switch {
		case b.Purchased == 0:
		case len(list) > 0:
			text = ", never expire, used last"
		default:
			text = ", never expire"
		}
		list = append(list, bucket{"bought", b.word("Purchased", "Bought"), b.Purchased, text})
	}
	if b.Excess > 0 {
		list = append(list, bucket{"excess", "Excess usage", b.Excess, ", comes off the next purchase"})
	}
	return list
}

func resetWord(from string) string {
	if from != "" {
		return "renewed"
	}
	return "resets"
}

// word picks the agency's word or the client's.
func (b Balance) word(agency, client string) string {
	if b.From != "" {
		return client
	}
	return agency
}

// segment is a drawn part of the meter, in hundredths of a percent.
type segment struct {
	class    string
	from, to int64
}

// meterScale is a whole meter in hundredths of a percent.
const meterScale = 10_000

// whole is what the full length of the meter stands for.
func (b Balance) whole() models.Credits {
	return max(b.Allowance, b.Plan) + b.Purchased + b.Assigned + b.Bonus + b.Excess
}

// segments lay the buckets end to end; what is there is never thinner than can be
// seen.
func (b Balance) segments(f Frame) []segment {
	const thinnest = 120
	whole, at := b.whole(), int64(0)
	var list []segment
	for _, k := range b.buckets(f) {
		if k.credits <= 0 || whole <= 0 {
			continue
		}
		width, err := models.MulDiv(int64(k.credits), meterScale, int64(whole))
		if err != nil {
			continue
		}
		to := min(meterScale, at+max(thinnest, width))
		if k.class == "excess" { // left of zero
			return []segment{{"excess", 0, max(4*thinnest, width)}}
		}
		list = append(list, segment{k.class, at, to})
		at = to
	}
	return list
}

// sentence is the meter in words, for those who cannot see it.
func (b Balance) sentence(f Frame) string {
	parts := make([]string, 0, 4)
	for _, k := range b.buckets(f) {
		parts = append(parts, k.label+" "+format.Credits(k.credits)+k.text)
	}
	return strings.Join(parts, "; ") + "."
}

// percent writes hundredths of a percent as an SVG length: "5.26%".
func percent(hundredths int64) string {
	return strconv.FormatInt(hundredths/100, 10) + "." + strconv.FormatInt(100+hundredths%100, 10)[1:] + "%"
}

// primary tells whether buying is the thing to do now, or merely possible.
func (b Balance) primary() bool { return b.State != StateHealthy && b.State != StateNew }

// BuyAgain is the pack bought last, as the banner offers it.
type BuyAgain struct {
	Credits models.Credits
	Price   models.Money
	Href    string // straight to the review
}

// Notice is the banner of a balance on every page, nil when nothing needs saying.
// again may be nil.
func (b Balance) Notice(now models.Time, zone *time.Location, again *BuyAgain) *Notice {
	if b.Failure != nil {
		return nil
	}
	n := Notice{Tone: b.State.Tone(), Action: b.cure(again)}
	switch b.State {
	case StateNew, StateHealthy:
		return nil
	case StateLow:
		n.Lead, n.Text = "Low balance.", "Your credits are below the level you chose."
		if b.Forecast.Kind == ForecastRunsOut {
			n.Text = "At this week's pace your credits run out " + format.Days(b.Forecast.RunsOutAt, now, zone) + "."
		}
	case StateCritical:
		n.Lead, n.Text = "Almost out of credits.", "At this week's pace they last less than a day."
	case StateExcess:
		n.Lead, n.Text = "Below zero.", "You have used "+format.CreditsWord(b.Excess)+" more than you had."
	case StatePaused:
		n.Lead, n.Text = b.word("AI replies are paused.", "Your AI assistant is paused."), "There are no credits left. "+b.restart()
	case StateUpstreamPaused:
		n.Lead, n.Text, n.Action = "Your AI is paused.", b.From+" has been told and is working on it.", b.Contact
	case StatePurchasePending:
		n.Lead, n.Text, n.Action = format.CreditsWord(b.Pending)+" on the way.", "Your payment was received and is being booked.", nil
	case StateChargeFailed:
		n.Lead, n.Text = "Automatic top-up failed.", "Your card was declined."
	}
	return &n
}

// restart is what ends a pause: whoever can buy nothing here is not told to.
func (b Balance) restart() string {
	if b.From != "" && b.BuyHref == "" {
		return "It starts again as soon as " + b.From + " assigns credits."
	}
	return "Buying credits starts " + b.word("them", "it") + " again at once."
}

// cure is the one action that ends a shortage.
func (b Balance) cure(again *BuyAgain) *Link {
	switch {
	case b.BuyHref == "":
		return b.Contact
	case again != nil:
		return &Link{Label: "Buy " + format.Credits(again.Credits) + " again — " + format.Money(again.Price), Href: again.Href}
	default:
		return &Link{Label: "Buy credits", Href: b.BuyHref}
	}
}
