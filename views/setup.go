package views

import (
	"strconv"
	"strings"
)

// Setup is what every page of the first-run set-up has.
type Setup struct {
	Frame  Frame
	Step   int         // 1 is the first
	Of     int         // how many there are
	Steps  []SetupLink // none before there is an admin
	Errors FieldErrors
}

// SetupLink is one step in the list of steps.
type SetupLink struct {
	Label   string
	Href    string // "" for one that is over for good
	Done    bool
	Current bool
}

// words are the step's number and name, and that it is done.
func (s SetupLink) words(i int) string {
	out := strconv.Itoa(i+1) + " " + s.Label
	if s.Done {
		out += ", done"
	}
	return out
}

func (v Setup) progress() string {
	return "Set-up, step " + strconv.Itoa(v.Step) + " of " + strconv.Itoa(v.Of)
}

// SetupAdmin is GET and POST /setup while nobody administers the platform.
// Fields: code, name, email, password, csrf_token.
type SetupAdmin struct {
	Setup

	Code, Name, Email string // kept
	Notice            string // why the form is here again; "" for none
}

// SetupCheck is one thing that was looked at.
type SetupCheck struct {
	Name  string
	Tone  Tone
	Word  string // the verdict: "Good", "Look at this", "Not working", "Not checked"
	Tried string
	Found string
	Next  string // what to do; "" for nothing
}

// SetupAddress is GET and POST /setup/address. Fields: time_zone, csrf_token.
type SetupAddress struct {
	Setup

	Checks []SetupCheck
	Zone   string // kept
	Zones  []string
}

// SetupFact is a fact with its name.
type SetupFact struct {
	Name, Value string
	Tag         string // "" for none
	Tone        Tone
}

// SetupDatabase is GET /setup/database. Its button goes on.
type SetupDatabase struct {
	Setup

	Facts   []SetupFact
	Durable []SetupFact
	Warning string // "" for none
	Backup  string // how to make one
	Failure *SectionFailure
}

// SetupStripe is GET /setup/stripe; ?check=1 asks Stripe.
type SetupStripe struct {
	Setup

	HasKey bool
	Mode   string       // "live", "test", "simulated"
	Checks []SetupCheck // nil until they were asked for
	Ready  bool         // payments are taken
	Tool   string       // the command that makes the endpoints
}

// good tells whether every check is.
func (v SetupStripe) good() bool {
	for _, c := range v.Checks {
		if c.Tone == ToneBad {
			return false
		}
	}
	return len(v.Checks) > 0
}

// SetupPreset is a catalogue to begin with.
type SetupPreset struct {
	Name   string // value of the choice
	Title  string
	Plans  []string
	Packs  []string
	Rates  []string
	Hidden int // rates that are not listed
}

// SetupCatalogue is GET and POST /setup/catalogue. Fields: preset, csrf_token.
type SetupCatalogue struct {
	Setup

	Choice  string // kept
	Presets []SetupPreset
	Has     string // what the catalogue has already: "3 plans and 3 packs"; "" when it is empty
	Blank   bool   // it was chosen to begin with nothing
	Edit    []Link // where it is changed
}

// SetupDone is GET and POST /setup/done. Fields: act (key, finish), csrf_token.
type SetupDone struct {
	Setup

	Missing []Link // steps that are open
	Next    []SetupNext
	Key     string // made just now and shown this once; "" otherwise
	KeyHint string // of one that was made here before
	Curl    string // a call with the key
}

// SetupNext is something to do once the portal runs.
type SetupNext struct {
	Link Link
	Why  string
}

// lines describe a catalogue under its name.
func (p SetupPreset) lines() []string {
	var out []string
	for _, part := range []struct {
		name string
		of   []string
	}{{"Plans", p.Plans}, {"Packs", p.Packs}, {"Rates", p.Rates}} {
		if len(part.of) > 0 {
			out = append(out, part.name+": "+strings.Join(part.of, " · "))
		}
	}
	if p.Hidden > 0 {
		out[len(out)-1] += " · and " + strconv.Itoa(p.Hidden) + " more"
	}
	return out
}
