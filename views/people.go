package views

import (
	"strconv"
	"strings"

	"refill/models"
	"refill/views/format"
)

// People is who has access to an account and who is invited to it: an agency's
// team, a client's people as the agency sees them, or as they see themselves.
// The form's fields: email, role; a button of an open invitation sends do=again or
// do=revoke.
type People struct {
	Frame   Frame
	Tabs    []Tab // of the settings; nil elsewhere
	Back    *Link // to the page this belongs to
	Lede    string
	CSV     string // href of the export
	Rows    []PersonRow
	Invited []InvitedRow
	Waits   string // why mails wait; "" while they leave

	Action string       // the form's address; "" when this person may not invite
	Roles  []RoleChoice // of the form; nil: there is one role only
	Email  string       // kept
	Role   string       // kept
	Errors FieldErrors
}

// Tab is one page of several that belong together.
type Tab struct {
	Label   string
	Href    string
	Current bool
}

// PersonRow is somebody with access.
type PersonRow struct {
	Name  string
	Email string
	Role  string // "Owner"; "" where all have the same
	Does  string // what the role may do
	Seen  string // "12 minutes ago"; "" never
	You   bool
	Href  string // where their role is changed; "" for nobody to do so
}

// InvitedRow is an invitation that was not accepted yet.
type InvitedRow struct {
	Email   string
	Role    string // "" where all have the same
	By      string // e-mail address
	SentAt  models.Time
	Until   models.Time
	Expired bool
	Action  string // where its two buttons post; "" without them
}

// RoleChoice is a role with what it may do, in words.
type RoleChoice struct{ Value, Label, Does string }

// TeamRoles are the roles of an agency's team, the mightiest first.
func TeamRoles() []RoleChoice {
	return []RoleChoice{
		{string(models.RoleOwner), "Owner", "Does everything: buys and sells credits, adds clients, invites people."},
		{string(models.RoleBilling), "Billing", "Buys credits, adds clients, invites their people and gives them credits."},
		{string(models.RoleMember), "Member", "Sees everything, changes nothing."},
	}
}

// RoleOf is a team role in words.
func RoleOf(r models.Role) RoleChoice {
	for _, c := range TeamRoles() {
		if c.Value == string(r) {
			return c
		}
	}
	return RoleChoice{Value: string(r), Label: "Client"}
}

func (r PersonRow) seen() string {
	if r.Seen == "" {
		return "Never yet"
	}
	return r.Seen
}

// until is "until Sun, Nov 29", or that it is over.
func (r InvitedRow) until(f Frame) string {
	if r.Expired {
		return "Expired " + format.Date(r.Until, f.Now, f.zone())
	}
	return "Holds until " + format.Date(r.Until, f.Now, f.zone())
}

func (v People) columns() []Column {
	out := []Column{{Label: "Name"}}
	if v.Roles != nil {
		out = append(out, Column{Label: "Role"})
	}
	return append(out, Column{Label: "Last seen"})
}

// Person is one person of a team or of a client. Fields: role; the other
// form removes them.
type Person struct {
	Frame  Frame
	Back   Link
	Row    PersonRow
	From   string       // what they have access to: "Acme Dental"
	Action string       // of the role's form; "" without one
	Roles  []RoleChoice // of that form
	Role   string       // as it is, or was chosen
	Remove string       // address of the other form
	Keep   string       // why they can't be removed; "" when they can
	Errors FieldErrors
}

// Access is the card of a client's people on its agency's page.
type Access struct {
	Rows    []PersonRow
	Invited int
	Href    string
	Failure *SectionFailure
}

// sentence tells how many are invited.
func (a Access) sentence() string {
	switch {
	case a.Invited == 1:
		return "1 invitation is open."
	case a.Invited > 1:
		return strconv.Itoa(a.Invited) + " invitations are open."
	case len(a.Rows) == 0:
		return "Nobody signs in to this account yet."
	}
	return ""
}

// Switch is the choice of somebody who belongs to several places. Field: agency.
type Switch struct {
	Frame  Frame
	Tabs   []Tab
	Places []SwitchPlace
}

// SwitchPlace is one of them.
type SwitchPlace struct {
	Name    string
	Role    string
	Value   string // agency's id; "" is the platform
	Current bool
}

// Archive asks whether a client is to be put away. Field: back (return, keep).
type Archive struct {
	Frame    Frame
	Name     string
	Account  string // href
	Action   string
	Assigned models.Credits // unspent, which can return
	Other    models.Credits // spendable ones that stay: bought, bonus
	Held     models.Credits // in use now
	Pooled   bool
	People   int
	Keep     bool             // assigned credits stay
	Monthly  []MonthlyPackage // that end with it
}

// Archived is the clients that were put away.
type Archived struct {
	Frame Frame
	Rows  []ArchivedRow
	May   bool // restore them
}

// ArchivedRow is one of them.
type ArchivedRow struct {
	Name    string
	Href    string
	At      models.Time
	Restore string // address of its button
}

// entry tells who loses access.
func (v Archive) entry() string {
	switch v.People {
	case 0:
		return "Nobody signs in to it any more."
	case 1:
		return "The one person with access can't sign in any more."
	}
	return "The " + strconv.Itoa(v.People) + " people with access can't sign in any more."
}

// stays tells which credits stay whatever is chosen.
func (v Archive) stays() string {
	text := ""
	if v.Other > 0 {
		text = "Credits the client bought stay theirs: " + format.CreditsWord(v.Other) + ", bonus credits included."
	}
	if v.Held > 0 {
		if text != "" {
			text += " "
		}
		text += format.CreditsWord(v.Held) + " in use now stay too."
	}
	return text
}

// question is "Return 1,204 assigned credits to you?"
func (v Archive) question() string {
	return "Return " + format.Credits(v.Assigned) + " assigned " + strings.TrimPrefix(format.CreditsWord(v.Assigned), format.Credits(v.Assigned)+" ") + " to you?"
}
