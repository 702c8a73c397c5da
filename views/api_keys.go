package views

import (
	"slices"

	"refill/models"
)

// APIKeys is GET /settings/api-keys and /admin/api-keys.
type APIKeys struct {
	Frame Frame
	Tabs  []Tab
	Base  string // of the addresses
	Scope string // whose data the keys open
	Rows  []APIKeyRow
	Form  APIKeyForm
}

// APIKeyRow is one key of the list.
type APIKeyRow struct {
	Name, Hint, Href string
	Tone             Tone
	State            string
	May              string // what it may do
	Used             string // "3 minutes ago"; "" never
}

// APIKeyForm makes a key. Fields: name, scope (several), networks, life.
type APIKeyForm struct {
	Name     string
	Chosen   []string // scopes
	Networks string
	Life     string // in days; "0" does not expire
	Errors   FieldErrors
}

func (f APIKeyForm) has(scope string) bool {
	return slices.Contains(f.Chosen, scope)
}

// APIKeyScope is something that a key may do.
type APIKeyScope struct{ Value, Label, About string }

// APIKeyScopes are all of them.
func APIKeyScopes() []APIKeyScope {
	return []APIKeyScope{
		{"charge", "Charge", "Charges, holds and estimates: what your AI platform needs."},
		{"read", "Read", "Balances, history, usage and the catalogue."},
		{"manage", "Manage", "Everything else that changes something: sub-accounts, assignments, purchases, webhooks."},
	}
}

// APIKeyLives are how long a key can last, in days.
func APIKeyLives() []Option {
	return []Option{{Value: "0", Label: "Does not expire"}, {Value: "30", Label: "30 days"}, {Value: "90", Label: "90 days"}, {Value: "365", Label: "A year"}}
}

// APIKeyOverlaps are how long an old key can go on, in hours.
func APIKeyOverlaps() []Option {
	return []Option{{Value: "24", Label: "24 hours"}, {Value: "1", Label: "An hour"}, {Value: "168", Label: "A week"}, {Value: "0", Label: "It ends now"}}
}

// APIKey is one key's page.
type APIKey struct {
	Frame    Frame
	Back     Link
	Path     string
	Name     string
	Hint     string
	Tone     Tone
	State    string
	May      string
	Networks []string
	Since    models.Time
	By       string
	Until    models.Time // 0: does not expire
	Used     string
	Next     *Link  // the key that took its place
	Secret   string // a new key's text, shown once
	Live     bool   // it works
	Replaced bool
	Errors   FieldErrors
}
