package views

import (
	"net/url"
	"strconv"
	"strings"

	"refill/models"
)

// Security is GET /settings/security: how somebody signs in, and where they are
// signed in.
type Security struct {
	Frame    Frame
	Tabs     []Tab
	Email    string
	NewEmail string // kept
	Ask      bool   // for the password there is: it is a while since the person proved who they are
	Mail     bool   // mails leave
	Looking  bool   // somebody looks as another: nothing is shown that is theirs alone
	Errors   FieldErrors

	TwoStep   models.Time // since when; unset: off
	Required  string      // why it cannot be turned off; "" where it can
	Easy      string      // why admins of a demonstration may do without; "" elsewhere
	CodesLeft int         // recovery codes
	Codes     []string    // new ones, shown once

	Team        string // of an owner: the agency's name
	TeamTwoStep bool

	Browsers []Browser
}

// Browser is one in which somebody is signed in.
type Browser struct {
	Name    string
	Address string
	Since   models.Time
	Seen    string // "3 minutes ago"
	Here    bool
	Ref     string
}

// codesFile is the recovery codes as a file to keep.
func (v Security) codesFile() string {
	return "data:text/plain;charset=utf-8," + url.PathEscape(strings.Join(v.Codes, "\r\n")+"\r\n")
}

func (v Security) codesLeft() string {
	switch v.CodesLeft {
	case 0:
		return "No recovery code is left. Make new ones."
	case 1:
		return "One recovery code is left."
	}
	return strconv.Itoa(v.CodesLeft) + " recovery codes are left."
}

// BrowserName is what people call a browser that calls itself agent.
func BrowserName(agent string) string {
	name := ""
	for _, b := range [][2]string{
		{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	} {
		if strings.Contains(agent, b[0]) {
			name = b[1]
			break
		}
	}
	if name == "" {
		return "Unknown browser"
	}
	for _, s := range [][2]string{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	} {
		if strings.Contains(agent, s[0]) {
			return name + " on " + s[1]
		}
	}
	return name
}

// TwoStepForm sets the second step up. Fields: offer, code.
type TwoStepForm struct {
	Frame  Frame
	Secret string // in groups of four
	Offer  string // comes back with the code
	QR     QR
	Why    string // why it has to be done before anything else; "" where it is a choice
	Again  bool   // in place of another device
	Errors FieldErrors
}

// QR is a code to scan: Size squares each way.
type QR struct {
	Size  int
	Black func(x, y int) bool
}

// quiet is the margin that scanners need, in squares.
const quiet = 4

// box is the picture's view box.
func (q QR) box() string {
	side := strconv.Itoa(q.Size + 2*quiet)
	return "0 0 " + side + " " + side
}

// path draws the black squares, a run of them at a time.
func (q QR) path() string {
	var b strings.Builder
	for y := range q.Size {
		for x := 0; x < q.Size; x++ {
			run := 0
			for x+run < q.Size && q.Black(x+run, y) {
				run++
			}
			if run > 0 {
				n := strconv.Itoa(run)
				b.WriteString("M" + strconv.Itoa(x+quiet) + " " + strconv.Itoa(y+quiet) + "h" + n + "v1h-" + n + "z")
				x += run
			}
		}
	}
	return b.String()
}

// SecondStep asks for the second proof at sign-in. Fields: code, next.
type SecondStep struct {
	Frame  Frame
	Next   string
	Errors FieldErrors
}

// Proof asks again who somebody is, and carries their form with it. Fields:
// proof_password, proof_code, and those of the form.
type Proof struct {
	Frame   Frame
	Action  string // where the form goes
	Fields  []ProofField
	Email   string
	TwoStep bool   // a code of the app is asked for as well
	Mail    bool   // a link can be mailed to whoever has neither
	Hint    string // of a demonstration: what the password is
	Errors  FieldErrors
}

// ProofField is a field of the form that waits.
type ProofField struct{ Name, Value string }

// Forgotten asks for a link that sets a new password. Field: email.
type Forgotten struct {
	Frame  Frame
	Email  string
	Mail   bool // mails leave
	Errors FieldErrors
}

// NewPassword sets a forgotten password. Field: password.
type NewPassword struct {
	Frame   Frame
	Action  string
	Email   string
	Minutes int // how long such a link holds
	Expired bool
	Errors  FieldErrors
}

// EmailLink confirms another address with one button.
type EmailLink struct {
	Frame   Frame
	Action  string
	Email   string
	Expired bool
}
