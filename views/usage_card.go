package views

import (
	"refill/models"
	"refill/views/chart"
)

// CardOf is a usage page in short: the same figures, colours and chart, for the
// first page of the account.
func CardOf(u Usage, title, href string) UsageCard {
	f := u.facts()
	card := UsageCard{Title: title, Total: f.total, Previous: f.previous, Than: u.PreviousName, Href: href}
	if f.total > 0 {
		card.Chart = chart.Stacked(u.data(f))
	}
	rates := map[string]models.Credits{}
	for _, r := range f.rows {
		if r.Rate != nil && !r.Rate.From {
			rates[r.Name] = r.Rate.Credits
		}
	}
	for _, s := range f.series {
		card.Rows = append(card.Rows, TopRow{Slot: f.key(s.Name), Name: s.Name, Rate: rates[s.Name], Credits: s.Total()})
	}
	return card
}
