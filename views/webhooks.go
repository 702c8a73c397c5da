package views

import (
	"slices"
	"strconv"
	"strings"

	"refill/models"
	"refill/views/format"
)

// Webhooks is the list of endpoints, with the form that adds one. Fields: url,
// note, hear (all, some), event (several).
type Webhooks struct {
	Frame  Frame
	Tabs   []Tab // of the settings; nil for the platform
	Base   string
	Scope  string // what they hear of, a whole sentence
	Rows   []WebhookRow
	Full   string // why no more can be added; "" when they can
	Form   WebhookForm
	Events string // href of what happened; "" leaves it out
}

// WebhookRow is one endpoint of the list.
type WebhookRow struct {
	URL, Note, Href string
	Hears           string // "Everything", "3 events"
	Tone            Tone
	State           string // "Working", "Failing since …", "Off"
	Last            string
}

// WebhookForm is where an endpoint is and what it hears of.
type WebhookForm struct {
	URL    string
	Note   string
	Some   bool     // only the chosen events
	Chosen []string // names
	Events []WebhookEvent
	Errors FieldErrors
}

// WebhookEvent is an event that can be chosen.
type WebhookEvent struct{ Name, About string }

func (f WebhookForm) has(name string) bool { return slices.Contains(f.Chosen, name) }

// Webhook is one endpoint: its settings, what went to it, and what can be done.
type Webhook struct {
	Frame      Frame
	Back       Link
	Path       string // of this page; its buttons post beneath
	URL        string
	Note       string
	Tone       Tone
	State      string
	Why        string // of one that is off or fails
	Off        bool
	Hears      []string // names; none: everything
	Since      models.Time
	Secret     string // just made: shown this once
	BothUntil  models.Time
	Deliveries []WebhookDelivery
	Older      string // href
	Newer      string
	Form       WebhookForm
}

// WebhookDelivery is one event on its way.
type WebhookDelivery struct {
	Type, ID string
	At       models.Time
	Tone     Tone
	Word     string // "Delivered", "Waiting", "Given up"
	Status   int    // 0: no answer
	Note     string
	Took     int64 // milliseconds
	Tries    int
	Next     models.Time // of one that waits
	Resend   string      // address of its button
}

// answer is "200 in 43 ms", or that there was none.
func (d WebhookDelivery) answer() string {
	switch {
	case d.Status > 0:
		return strconv.Itoa(d.Status) + " in " + format.Count(d.Took) + " ms"
	case d.Tries > 0:
		return "No answer"
	}
	return "Not tried yet"
}

func (d WebhookDelivery) tries() string { return format.Plural(int64(d.Tries), "try", "tries") }

func (v Webhook) hears() string {
	if len(v.Hears) == 0 {
		return "Everything"
	}
	return strings.Join(v.Hears, ", ")
}

// Messages is what visitors are told while the AI is paused. Field: try_later.
type Messages struct {
	Frame  Frame
	Tabs   []Tab
	Text   string
	Usual  string // what they are told where nothing is written
	Max    int    // characters
	Own    []MessageRow
	May    bool // change it
	Errors FieldErrors
}

// MessageRow is a client with words of its own.
type MessageRow struct{ Name, Text, Href string }
