package views

import (
	"strconv"
	"time"

	"github.com/a-h/templ"

	"refill/models"
	"refill/views/chart"
	"refill/views/format"
)

// Fleet is the admin's first page: what all agencies use, how they stand, and
// what needs a person. Each card fails alone.
type Fleet struct {
	Frame  Frame
	Use    FleetUse
	States FleetStates
	Desk   FleetDesk
	Movers FleetMovers
	Money  FleetMoney
	Hooks  FleetHooks
}

// FleetUse is credits per hour with the usual range.
type FleetUse struct {
	Failure  *SectionFailure
	Used24h  models.Credits
	Whole24h models.Credits // what is compared: 24 hours up to the last whole quarter of an hour
	Usual24h models.Credits
	Weeks    int // how many weeks before are known; 0: nothing is usual yet
	Hours    []FleetHour
}

// FleetHour is one hour of all agencies, in the page's zone.
type FleetHour struct {
	At      models.Time
	Used    models.Credits
	Before  []models.Credits // the same hour, one week ago first
	Partial bool
}

// FleetStates counts agencies.
type FleetStates struct {
	Failure *SectionFailure
	Total   int64
	Rows    []Signal // one per state, with the list that shows them
	Paused  int64
	Low     int64
	Below   int64
}

// FleetDesk is the payments that need a person.
type FleetDesk struct {
	Failure  *SectionFailure
	Unbooked int64 // paid checkouts that are not booked
	Review   int64
	Dead     int64 // messages of the payment provider given up
	Waiting  int64 // adjustments for a second person
	Rows     []DeskRow
}

// DeskRow is one purchase to look at.
type DeskRow struct {
	At     models.Time
	Agency string
	Href   string // of the agency's page
	What   string
	Amount models.Money
	Why    string
}

// FleetMovers is whose usage changed most.
type FleetMovers struct {
	Failure *SectionFailure
	Rows    []MoverRow
}

// MoverRow is one agency: its last seven whole days and the seven before.
type MoverRow struct {
	Name        string
	Href        string
	Now, Before models.Credits
}

// FleetMoney is what was paid, by currency.
type FleetMoney struct {
	Failure    *SectionFailure
	Currencies []CurrencyMoney
}

// CurrencyMoney is what was paid in one currency.
type CurrencyMoney struct {
	Code string
	Rows []MoneyRow
}

// MoneyRow is one stretch of time up to now.
type MoneyRow struct {
	Label         string // "24 hours"
	Paid          models.Money
	Credits       models.Credits // of the packs sold
	SoldOn        models.Money   // clients paid their agencies
	SoldOnCredits models.Credits
}

// FleetHooks is how long the payment provider's messages waited for us.
type FleetHooks struct {
	Failure *SectionFailure
	Count   int64 // handled in 24 hours
	Mean    time.Duration
	Longest time.Duration
	Pending int64
	Oldest  time.Duration // the oldest that is pending waits
}

// usual is ", 6% above usual", "" where nothing is known.
func (u FleetUse) usual() string {
	if u.Weeks == 0 {
		return ""
	}
	switch {
	case u.Usual24h == 0 && u.Whole24h == 0, u.Usual24h == u.Whole24h:
		return ", as usual"
	case u.Usual24h == 0:
		return ", usually none"
	case u.Whole24h > u.Usual24h:
		return ", " + format.Percent(int64(u.Whole24h-u.Usual24h), int64(u.Usual24h)) + " above usual"
	}
	return ", " + format.Percent(int64(u.Usual24h-u.Whole24h), int64(u.Usual24h)) + " below usual"
}

// clauses are the top line, each with where it leads.
func (v Fleet) clauses() []Link {
	var out []Link
	if v.Use.Failure == nil {
		out = append(out, Link{format.CreditsWord(v.Use.Used24h) + " used in 24 h" + v.Use.usual() + ".", "/admin/usage?p=24h&g=agency"})
	}
	if s := v.States; s.Failure == nil {
		if s.Paused+s.Low+s.Below == 0 {
			out = append(out, Link{"No agency is paused, low or below zero.", "/admin/agencies"})
		} else {
			out = append(out, Link{format.Plural(s.Paused, "agency", "agencies") + " paused,", "/admin/agencies?only=paused"},
				Link{format.Count(s.Low) + " low,", "/admin/agencies?only=low"}, Link{format.Count(s.Below) + " below zero.", "/admin/agencies?only=below"})
		}
	}
	if d := v.Desk; d.Failure == nil {
		if d.Unbooked == 0 {
			out = append(out, Link{"Every paid checkout is booked.", "#payments"})
		} else {
			out = append(out, Link{format.Plural(d.Unbooked, "paid checkout", "paid checkouts") + " not booked.", "#payments"})
		}
		if d.Waiting > 0 {
			out = append(out, Link{format.Plural(d.Waiting, "adjustment waits", "adjustments wait") + " for a second person.", "/admin/adjustments"})
		}
	}
	return out
}

func (u FleetUse) chart(f Frame) templ.Component {
	c := chart.Banded{Data: chart.Data{ID: "hours", Title: "Credits used per hour, all agencies", Series: []chart.Series{{Name: "Credits", Slot: chart.SlotInk}}}}
	c.Weeks = make([][]models.Credits, u.Weeks)
	for _, h := range u.Hours {
		local := h.At.In(f.zone())
		b := chart.Bucket{Start: h.At, Label: u.hour(f, h), Tick: local.Format("15:04"), Partial: h.Partial}
		c.Buckets = append(c.Buckets, b)
		c.Series[0].Values = append(c.Series[0].Values, h.Used)
		for i := range c.Weeks {
			var v models.Credits
			if i < len(h.Before) {
				v = h.Before[i]
			}
			c.Weeks[i] = append(c.Weeks[i], v)
		}
	}
	return chart.WithUsual(c)
}

func (u FleetUse) hour(f Frame, h FleetHour) string { return format.DateTime(h.At, f.Now, f.zone()) }

// range is "1,204 to 1,530", "—" where nothing is known.
func (h FleetHour) usual() string {
	if len(h.Before) == 0 {
		return "—"
	}
	least, most := h.Before[0], h.Before[0]
	for _, v := range h.Before {
		least, most = min(least, v), max(most, v)
	}
	if least == most {
		return format.Credits(least)
	}
	return format.Credits(least) + " to " + format.Credits(most)
}

func (m MoverRow) change() models.Credits { return m.Now - m.Before }

// words is "42% more than the week before".
func (m MoverRow) words() string {
	if m.Before == 0 {
		return "nothing the week before"
	}
	return format.Change(m.Now, m.Before, "the week before")
}

// each is the price of one credit of what was sold.
func (m MoneyRow) each() string {
	if m.Credits == 0 {
		return "—"
	}
	return format.PricePerCredit(m.Paid.PerCredit(m.Credits), m.Paid.Currency)
}

// long is a wait in words: "0.4 s", "12 s", "3 min".
func long(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	case d < 2*time.Minute:
		return strconv.FormatInt(int64(d.Seconds()), 10) + " s"
	case d < 2*time.Hour:
		return strconv.FormatInt(int64(d.Minutes()), 10) + " min"
	}
	return format.Plural(int64(d.Hours()), "hour", "hours")
}
