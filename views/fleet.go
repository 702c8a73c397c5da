package views

import (
	"refill/models"
	"refill/views/format"
)

// Fleet is the admin's first page: every agency and how it stands.
type Fleet struct {
	Frame   Frame
	Failure *SectionFailure
	Used24h models.Credits // by all agencies in the last 24 hours
	Paused  int64          // agencies in each state
	Low     int64
	Below   int64
	Unpaid  int64 // paid checkouts that are not booked
	Rows    []FleetRow
	Pager   Pager
}

// FleetRow is one agency.
type FleetRow struct {
	Name        string
	Href        string // "" for no page of its own
	Plan        string
	State       State
	Left        models.Credits // available − excess
	Unreadable  bool           // Left could not be read
	Used30d     models.Credits
	SubAccounts int64
}

// sentence is the fleet in words: "2,410 credits used in the last 24 hours. 3
// agencies paused, 11 low, 2 below zero."
func (v Fleet) sentence() string {
	text := " used in the last 24 hours. "
	if v.Paused+v.Low+v.Below == 0 {
		text += "No agency is paused, low or below zero."
	} else {
		text += format.Plural(v.Paused, "agency", "agencies") + " paused, " + format.Count(v.Low) + " low, " + format.Count(v.Below) + " below zero."
	}
	switch v.Unpaid {
	case 0:
		return text + " Every paid checkout is booked."
	default:
		return text + " " + format.Plural(v.Unpaid, "paid checkout", "paid checkouts") + " not booked."
	}
}
