package views

import "refill/models"

// Invitation is what an invited person sees. Its one form posts: a mail scanner
// that opens the page uses nothing up. Fields for somebody new: name, password;
// for somebody known: password.
type Invitation struct {
	Frame    Frame
	Expired  bool // used up, taken back or too old
	Place    string
	Brand    string // whose house the place is in
	Inviter  string // e-mail address
	Email    string // who is invited
	Does     string // what they may do there; "" for a client
	Action   string
	Known    bool   // the address has an account already
	SignedIn bool   // and it is this very person's browser
	Password bool   // and it has a password
	LinkTo   string // where a mailed link is asked for; "" when no mail leaves
	Other    string // somebody else is signed in here
	Name     string // kept
	Errors   FieldErrors
}

func (v Invitation) button() string {
	if v.Known && !v.SignedIn {
		return "Sign in and accept"
	}
	return "Accept invitation"
}

// at is the house beside the place, where they differ.
func (v Invitation) at() string {
	if v.Place == v.Brand {
		return ""
	}
	return " at " + v.Brand
}

// Mails is the outbox of a demonstration, the newest first.
type Mails struct {
	Frame Frame
	Rows  []MailRow
	Older string // href
}

// MailRow is one mail.
type MailRow struct {
	Href    string
	To      string
	From    string
	Subject string
	At      models.Time
	State   string // in words
	Tone    Tone
}

// subject is what the list calls it; a link that was not written yet has none.
func (r MailRow) subject() string {
	if r.Subject == "" {
		return "Sign-in link"
	}
	return r.Subject
}

// Mail is one mail as its receiver reads it.
type Mail struct {
	Frame   Frame
	Row     MailRow
	ReplyTo string
	Note    string
	Parts   []MailPart
}

// MailPart is a piece of its text; a link where Href is set.
type MailPart struct{ Text, Href string }
