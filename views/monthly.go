package views

import (
	"refill/models"
	"refill/views/format"
)

// MonthlyPackage is a package that a client gets every month.
type MonthlyPackage struct {
	Name    string
	Client  string // on the agency's pages
	Href    string // of the client, there
	Credits models.Credits
	Price   models.Money
	PastDue bool
	Note    string
	Lost    bool        // collected by an account that is not connected any more
	Renews  models.Time // the next payment, or the end when it is cancelled
	Ends    bool
	Cancel  string // href of the page that cancels it or takes that back
	Card    string // where the form goes that opens Stripe's page for the card; "" for none
}

func (m MonthlyPackage) offer() string {
	return format.CreditsWord(m.Credits) + " every month for " + format.Money(m.Price)
}

// ends is when it ends because its client can't use it any more.
func (m MonthlyPackage) ends(f Frame) string {
	return m.Name + " (" + m.offer() + ") ends " + format.Date(m.Renews, f.Now, f.zone()) + " and is not renewed."
}

// next is what comes next, and when.
func (m MonthlyPackage) next(f Frame) string {
	day := format.Date(m.Renews, f.Now, f.zone())
	if m.Lost {
		return "Not collected here any more"
	}
	if m.Ends {
		return "Ends " + day
	}
	return "Next payment " + day
}

// MonthlyCancel is the page that asks before a monthly package is cancelled, or
// goes on.
type MonthlyCancel struct {
	Frame   Frame
	Back    Link
	Action  string
	Monthly MonthlyPackage
	Own     bool // it is the client's own
}

func (v MonthlyCancel) words() string {
	day := format.Date(v.Monthly.Renews, v.Frame.Now, v.Frame.zone())
	switch {
	case v.Monthly.Ends && v.Own:
		return "It ends " + day + ". If you keep it, the next payment of " + format.Money(v.Monthly.Price) + " is made then, and you get " + format.CreditsWord(v.Monthly.Credits) + "."
	case v.Monthly.Ends:
		return "It ends " + day + ". If it goes on, " + v.Monthly.Client + " pays " + format.Money(v.Monthly.Price) + " then."
	case v.Own:
		return "The credits of this month stay until " + day + ". Then they end, and nothing more is paid. Credits you bought once are not touched."
	}
	return v.Monthly.Client + " keeps the credits of this month until " + day + ". Then they end, and nothing more is paid. This month is not refunded; you can do that among your sales."
}
