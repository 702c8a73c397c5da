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
	View    string // chip, balance, buy or usage
	Usage   UsageCard
}

func (v Embed) chip() Chip { return Chip{Left: v.Balance.Left, State: v.Balance.State} }

// EmbedForm is /settings/embed. Field: origins.
type EmbedForm struct {
	Frame   Frame
	Tabs    []Tab
	Origins string // one a line
	Ready   bool   // there is a secret
	Secret  string // made just now, shown this once; "" else
	Errors  FieldErrors
}

// snippet is the tag that shows a link's view; LINK stands for the link.
func (v EmbedForm) snippet() string {
	return `<iframe src="LINK" title="Credits" width="360" height="420" loading="lazy"></iframe>`
}
