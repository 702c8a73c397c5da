package views

import (
	"refill/models"
	"refill/views/format"
)

// Assign moves credits to a client, or takes unspent assigned ones back. Field
// names: credits (as typed), note, attempt; up_to instead of credits moves the
// most there is.
type Assign struct {
	Frame   Frame
	Errors  FieldErrors
	Back    bool // taking back
	Action  string
	Account string // href of the client's page
	Name    string // of the client
	Attempt string

	Typed string // the amount, as typed
	Note  string

	Amount models.Credits // what the sums are for; 0: none
	Most   models.Credits // that can move
	Held   models.Credits // in use now, and so not in Most
	Short  bool           // more was asked than there is
	Buy    string         // href; "" when it helps nobody
	Closed string         // why nothing can be moved; "" when something can
	Edit   *Link          // with Closed: what changes it

	Agency, Client Side
	Expiring       []Expiring // what moves and expires, the soonest first
	Plan           bool       // plan credits move
	Purchased      bool       // purchased credits move
}

// Side is one of the two balances, now and afterwards.
type Side struct {
	Name       string
	Now, After models.Credits
	Lasts      Forecast
}

// Expiring is credits that move and their last day.
type Expiring struct {
	Credits models.Credits
	At      models.Time
	Plan    bool // of the agency's allowance
}

// maxQuick is how many amounts are offered to choose from.
const maxQuick = 3

func (v Assign) sides() []Side {
	if v.Back {
		return []Side{v.Client, v.Agency}
	}
	return []Side{v.Agency, v.Client}
}

func (v Assign) quick() []models.Credits {
	var out []models.Credits
	if v.Back {
		if v.Most > 0 {
			out = append(out, v.Most)
		}
		return out
	}
	for _, n := range []models.Credits{1_000, 5_000, 10_000} {
		if n*models.Credit <= v.Most && len(out) < maxQuick {
			out = append(out, n*models.Credit)
		}
	}
	return out
}

func (v Assign) quickLabel(c models.Credits) string {
	if v.Back {
		return "All " + format.Credits(c)
	}
	return format.Credits(c)
}

func (v Assign) quickHref(c models.Credits) string { return v.Action + "?credits=" + format.Typed(c) }

func (v Assign) verb() string {
	if v.Back {
		return "Take back"
	}
	return "Assign"
}

// Limit is how much can move, in a sentence.
func (v Assign) Limit() string {
	text := "You can assign up to " + format.CreditsWord(v.Most)
	if v.Back {
		text = "You can take back up to " + format.CreditsWord(v.Most) + " that " + v.Name + " has not used"
	}
	if v.Held > 0 {
		text += " (" + format.Credits(v.Held) + " more are in use now)"
	}
	return text + "."
}

// uses is which credits go first.
func (v Assign) uses() string {
	switch {
	case v.Back:
		return "They return to the very credits they came from."
	case v.Plan && v.Purchased:
		return "Uses your plan credits first, then purchased ones."
	case v.Plan:
		return "Uses your plan credits first."
	}
	return ""
}

// warning is that what moves expires.
func (v Assign) warning(f Frame) []string {
	var out []string
	for _, e := range v.Expiring {
		what := format.CreditsWord(e.Credits)
		switch {
		case v.Back:
			out = append(out, what+" expire "+format.Days(e.At, f.Now, f.zone())+".")
		case e.Plan:
			out = append(out, what+" assigned from plan credits: they expire "+format.Days(e.At, f.Now, f.zone())+" too.")
		default:
			out = append(out, what+" of what is assigned expire "+format.Days(e.At, f.Now, f.zone())+" too.")
		}
	}
	return out
}

func (v Assign) upTo() string { return format.Typed(v.Most) }
