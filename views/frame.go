package views

import (
	"strconv"
	"strings"
	"time"

	"refill/models"
	"refill/views/format"
)

// Frame is what surrounds every page: who is looking at which account, what must
// be said on top, and what the footer tells.
type Frame struct {
	Title  string   // of the page, as in its h1: "Overview"
	Failed bool     // a form came back with errors: the window title starts with "Error: "
	Brand  string   // whose portal this is: the platform's name, or the agency's on client pages
	Sheet  string   // href of the brand's style sheet; "" for the usual colours
	Logo   *Picture // stands for Brand; nil: the name does

	LogoDark *Picture // in its place on dark pages; nil: the same
	Links    []Link   // of the brand, at the foot
	Icon     string   // href of the picture in the browser's tab; "" the usual

	Account string // whose account: "Northwind Agency"; "" when signed out
	User    string // e-mail of the signed-in person; "" when signed out
	Role    string // in words: "Owner", "Billing", "Member", "Admin"
	Home    string // where the brand and the chip lead; "" means "/"

	Nav    []NavItem
	Chip   *Chip   // balance in the header; nil when it could not be read or there is none
	Notice *Notice // the one banner; nil for none
	Flash  *Flash  // one-shot message after a redirect; nil for none

	Assist *AssistBanner // somebody only looks, as another; nil: nobody does

	CSRF  string // token every form carries as csrf_token
	Path  string // of this page with its query, where the theme form returns to
	Theme string // "", "light" or "dark"
	Lang  string // "" means "en"
	Help  string // href of the help link; "" leaves it out
	Demo  string // one line on top of every page, such as "Demo: payments are simulated."; "" for none

	Zone      *time.Location // days and hours on this page are in this zone; nil means UTC
	Now       models.Time    // when the page was made
	UpdatedAt models.Time    // how fresh its figures are; unset leaves the line out

	Still        bool // without script: shown in a frame, to look at
	ShortcutsOff bool // keyboard shortcuts turned off in the settings
	Refresh      int  // seconds after which the browser asks again; 0 for never
}

// AssistBanner says on every page that somebody looks as another.
type AssistBanner struct {
	Name   string      // as whom: "Acme Dental"
	Until  models.Time // of wall time
	Action string      // where the form that ends it goes
}

// NavItem is one page in the navigation.
type NavItem struct {
	Key     string // "overview", "usage", "buy": shortcuts find their page by it
	Label   string
	Short   string // label in the phone's bottom bar; "" keeps the item under More. At most three have one
	Href    string
	Current bool
	Count   int // of what is new there
}

// Chip is the balance in the header of every page.
type Chip struct {
	Left  models.Credits
	State State
}

// Tone is how serious a message is; it chooses colour and never carries meaning alone.
type Tone string

// The tones, which are also the names of their classes.
const (
	ToneOK   Tone = "ok"
	ToneInfo Tone = "info"
	ToneWarn Tone = "warn"
	ToneBad  Tone = "bad"
	ToneNone Tone = "plain-tag" // tags only
)

// Notice is the banner: a state, its consequence, and the one action that ends it.
type Notice struct {
	Tone   Tone
	Lead   string // "Low balance."
	Text   string // "At this week's pace your credits run out in 5 days (Sat, Nov 29)."
	Action *Link
	Second *Link
}

// Flash is a one-shot message after a redirect.
type Flash struct {
	Tone Tone
	Text string
	Link *Link

	Secret string // shown this once, by the page itself
}

// Link is an anchor with its words.
type Link struct{ Label, Href string }

// State is the balance state of a wallet (UX 1.0.3), by the names the API uses.
type State string

// The balance states.
const (
	StateNew             State = "new"
	StateHealthy         State = "healthy"
	StateLow             State = "low"
	StateCritical        State = "critical"
	StateExcess          State = "excess"
	StatePaused          State = "paused"
	StateUpstreamPaused  State = "upstream_paused"
	StatePurchasePending State = "purchase_pending"
	StateChargeFailed    State = "charge_failed"
)

// Word is the state in one or two words, for tags and the chip.
func (s State) Word() string {
	switch s {
	case StateNew:
		return "New"
	case StateHealthy:
		return "Healthy"
	case StateLow:
		return "Low"
	case StateCritical:
		return "Almost out"
	case StateExcess:
		return "Below zero"
	case StatePaused, StateUpstreamPaused:
		return "Paused"
	case StatePurchasePending:
		return "Credits on the way"
	case StateChargeFailed:
		return "Top-up failed"
	}
	return string(s)
}

// Tone is the colour that goes with the word.
func (s State) Tone() Tone {
	switch s {
	case StateLow:
		return ToneWarn
	case StateCritical, StateExcess, StatePaused, StateUpstreamPaused, StateChargeFailed:
		return ToneBad
	case StatePurchasePending:
		return ToneInfo
	case StateNew, StateHealthy:
		return ToneOK
	}
	return ToneNone
}

// alarming tells whether the chip says more than the number.
func (s State) alarming() bool { return s.Tone() == ToneWarn || s.Tone() == ToneBad }

// zone is the page's zone, UTC when none was given.
func (f Frame) zone() *time.Location {
	if f.Zone == nil {
		return time.UTC
	}
	return f.Zone
}

func (f Frame) lang() string {
	if f.Lang == "" {
		return "en"
	}
	return f.Lang
}

func (f Frame) home() string {
	if f.Home == "" {
		return "/"
	}
	return f.Home
}

// windowTitle is "Overview · Northwind Agency".
func (f Frame) windowTitle() string {
	title := f.Title
	if f.Failed {
		title = "Error: " + title
	}
	if owner := f.owner(); owner != "" {
		title += " · " + owner
	}
	return title
}

func (f Frame) owner() string {
	if f.Account != "" {
		return f.Account
	}
	return f.Brand
}

// bar is the navigation's items for the phone's bottom bar.
func (f Frame) bar() []NavItem {
	items := make([]NavItem, 0, 3)
	for _, item := range f.Nav {
		if item.Short != "" {
			items = append(items, item)
		}
	}
	return items
}

// news counts what is new on the pages that the phone's bar has not.
func (f Frame) news() int {
	n := 0
	for _, item := range f.Nav {
		if item.Short == "" {
			n += item.Count
		}
	}
	return n
}

// newText is a count of what is new: "3", "99+".
func newText(n int) string {
	if n > 99 {
		return "99+"
	}
	return strconv.Itoa(n)
}

// mailbox and mailDomain are the two halves of the address, which may break between.
func (f Frame) mailbox() string { box, _, _ := strings.Cut(f.User, "@"); return box }

func (f Frame) mailDomain() string {
	if _, domain, found := strings.Cut(f.User, "@"); found {
		return "@" + domain
	}
	return ""
}

func (f Frame) updated() string { return "Updated " + format.Ago(f.UpdatedAt, f.Now) }

// number, unit and word make "18,420 credits · Low"; a narrow screen leaves the unit
// to screen readers when there is a word to show.
func (c Chip) number() string { return format.Credits(c.Left) }

func (c Chip) unit() string { return strings.TrimPrefix(format.CreditsWord(c.Left), c.number()) }

func (c Chip) word() string {
	if !c.State.alarming() {
		return ""
	}
	return " · " + c.State.Word()
}

func (c Chip) class() string {
	if c.State.alarming() {
		return "chip " + string(c.State.Tone())
	}
	return "chip"
}
