package mail

import (
	"bytes"
	"cmp"
	_ "embed" // the templates
	"fmt"
	htmltemplate "html/template"
	"strings"
	"text/template"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxHTML bounds a letter's HTML, in bytes: some readers cut longer ones off.
const MaxHTML = 40 << 10

// Message is a mail as it is sent.
type Message struct {
	ID       string    // stable over retries: a receiver may drop what it has
	To       string    // one address
	FromName string    // in whose name
	From     string    // the address it comes from; "" the mail server's usual one
	ReplyTo  string    // "" for none
	Date     time.Time // when it was written
	Subject  string
	Text     string
	HTML     string
	// Unsubscribe is the address that takes the recipient off mails like this with
	// one POST (RFC 8058); "" for a mail that must go.
	Unsubscribe string
}

// Letter is what a mail says, in parts that text and HTML share.
type Letter struct {
	Brand   string // in whose name
	Sender  string // as who it is from; "" Brand
	Subject string
	Lines   []string // paragraphs before the button
	Rows    []Row    // a short table under them
	Button  string   // what the one button does; "" where nothing can be done by one
	URL     string   // where it leads: an absolute address
	After   []string // small print
	Off     string   // address that turns mails like this off; "" for one that must go

	Solid, On, Edge string // "#rrggbb" of the button, of its words and of its border; "" the usual ones
}

// Row is one line of a letter's table.
type Row struct{ Name, Value string }

//go:embed letter.txt
var textLetter string

//go:embed letter.html
var htmlLetter string

//nolint:gochecknoglobals // parsed once, then only read
var (
	asText = template.Must(template.New("letter.txt").Parse(textLetter))
	asHTML = htmltemplate.Must(htmltemplate.New("letter.html").Parse(htmlLetter))
)

// Write renders a letter into the message's subject, text and HTML.
func (m *Message) Write(l Letter) error { //nolint:gocritic // a letter is written once
	l.Brand, l.Subject, l.Sender = plain(l.Brand), plain(l.Subject), plain(l.Sender)
	for _, lines := range [][]string{l.Lines, l.After} {
		for i := range lines {
			lines[i] = plain(lines[i])
		}
	}
	for i, r := range l.Rows {
		l.Rows[i] = Row{plain(r.Name), plain(r.Value)}
	}
	var text, html bytes.Buffer
	if err := asText.Execute(&text, l); err != nil {
		return fmt.Errorf("write a mail's text: %w", err)
	}
	if err := asHTML.Execute(&html, l); err != nil {
		return fmt.Errorf("write a mail's HTML: %w", err)
	}
	if html.Len() > MaxHTML {
		return fmt.Errorf("a mail of %d bytes of HTML, %d are allowed", html.Len(), MaxHTML)
	}
	m.FromName, m.Subject, m.Text, m.HTML, m.Unsubscribe = cmp.Or(l.Sender, l.Brand), l.Subject, text.String(), html.String(), l.Off
	return nil
}

// plain is a name as a header can carry it and a reader can trust it: one line,
// without what turns text around or hides in it.
func plain(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "�")
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r) && r != '\u200d': // a joiner is part of some names' letters
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// Invitation offers somebody a place: "Northwind Agency invites you".
type Invitation struct {
	Brand   string // whose house it is
	Inviter string // e-mail address of who invites
	Place   string // what the person will get to: "Acme Dental's credits"
	URL     string
	Until   string // "Sun, Nov 29"
}

// Letter says it.
func (v Invitation) Letter() Letter {
	return Letter{
		Brand: v.Brand, Subject: "You are invited to " + v.Place + " at " + v.Brand,
		Lines: []string{
			"Hello,",
			v.Inviter + " invites you to " + v.Place + " at " + v.Brand + ".",
			"Accept to choose how you sign in. Opening the page does nothing yet; there is a button on it.",
		},
		Button: "See the invitation", URL: v.URL,
		After: []string{
			"The invitation is for this address and holds until " + v.Until + ".",
			"If you did not expect it, you need not do anything.",
		},
	}
}

// SignIn lets somebody in without a password.
type SignIn struct {
	Brand   string
	URL     string
	Minutes int  // how long the link holds
	Joins   bool // using it accepts an invitation as well
}

// Letter says it.
func (v SignIn) Letter() Letter {
	line := "Here is the link you asked for. It opens a page with one button, which signs you in."
	if v.Joins {
		line = "Here is the link you asked for. It opens a page with one button, which accepts the invitation and signs you in."
	}
	return Letter{
		Brand: v.Brand, Subject: "Sign in to " + v.Brand,
		Lines:  []string{"Hello,", line},
		Button: "Sign in", URL: v.URL,
		After: []string{
			fmt.Sprintf("The link works once, within %d minutes. A newer one replaces it.", v.Minutes),
			"If you did not ask for it, you need not do anything: nobody gets in without this mail.",
		},
	}
}

// NewPassword sets a forgotten password.
type NewPassword struct {
	Brand   string
	URL     string
	Minutes int // how long the link holds
}

// Letter says it.
func (v NewPassword) Letter() Letter {
	return Letter{
		Brand: v.Brand, Subject: "Set a new password for " + v.Brand,
		Lines:  []string{"Hello,", "Somebody, hopefully you, forgot the password of this address. Here you set a new one."},
		Button: "Set a new password", URL: v.URL,
		After: []string{
			fmt.Sprintf("The link works once, within %d minutes. A newer one replaces it.", v.Minutes),
			"If you did not ask for it, you need not do anything: your password stays as it is.",
		},
	}
}

// ConfirmEmail asks whoever has a mailbox whether it may become their address.
type ConfirmEmail struct {
	Brand   string
	URL     string
	Minutes int // how long the link holds
}

// Letter says it.
func (v ConfirmEmail) Letter() Letter {
	return Letter{
		Brand: v.Brand, Subject: "Confirm your address at " + v.Brand,
		Lines:  []string{"Hello,", "This address was entered as the new one of an account at " + v.Brand + ". It opens a page with one button, which confirms it."},
		Button: "Confirm this address", URL: v.URL,
		After: []string{
			fmt.Sprintf("The link works once, within %d minutes. Nothing changes before.", v.Minutes),
			"If you did not expect it, you need not do anything.",
		},
	}
}

// AccountChanged tells somebody what was done to their account.
type AccountChanged struct {
	Brand string
	What  string // one sentence
	URL   string // of the page on how one signs in
}

// Letter says it.
func (v AccountChanged) Letter() Letter {
	return Letter{
		Brand: v.Brand, Subject: "Your account at " + v.Brand + " was changed",
		Lines:  []string{"Hello,", v.What},
		Button: "See how you sign in", URL: v.URL,
		After: []string{"If it was not you, tell " + v.Brand + " at once: somebody else may have got in."},
	}
}
