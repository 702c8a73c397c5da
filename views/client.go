package views

import (
	"refill/models"
	"refill/views/format"
)

// ClientBalance is the first page of a sub-account, in its agency's brand. Nothing
// of the platform, of other clients or of the agency's costs may be in it.
type ClientBalance struct {
	Frame    Frame
	Agency   string // the agency's name
	Pooled   *Pooled
	Balance  Balance // From set; ignored when Pooled
	Usage    UsageCard
	Activity ActivityCard
}

// Pooled is an account that draws on its agency's credits: it has no balance of its
// own and buys nothing.
type Pooled struct {
	Used    models.Credits // this month
	Contact *Link
}

func (p Pooled) sentence(agency string) string {
	return "Included in your service with " + agency + ". " + format.CreditsWord(p.Used) + " used this month."
}
