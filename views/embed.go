package views

// Embed is a balance on somebody's page.
type Embed struct {
	Frame   Frame
	Balance Balance
	Agency  string
	Pooled  bool   // the account has no credits of its own
	Ended   bool   // the link holds no more: nothing is shown
	Open    string // address of the portal, for a new tab
	Offers  []Offer
}

// EmbedForm is /settings/embed. Field: origins.
type EmbedForm struct {
	Frame   Frame
	Tabs    []Tab
	Origins string // one a line
	Ready   bool   // there is a secret
	Secret  string // made just now, shown this once; "" else
	Errors  FieldErrors
}
