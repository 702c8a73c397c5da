package views

import "refill/models"

// Quote is GET /q/{token}: what the calculator said when the quote was saved.
type Quote struct {
	Frame         Frame
	Name          string
	Agency        string
	At            models.Time
	Until         models.Time
	Holds         bool
	Conversations string
	Replies       string
	Calculator    Calculator
}

// Quotes is GET /quotes.
type Quotes struct {
	Frame Frame
	Rows  []QuoteRow
}

// QuoteRow is a saved quote.
type QuoteRow struct {
	Name  string
	At    models.Time
	Until models.Time
	Holds bool
	Link  string // for whoever it was made for
	Again string // href of the calculator with the same work, at the prices of now
	End   string // where it is taken back; "" for nowhere
}
