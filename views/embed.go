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
	View    string   // chip, balance, buy or usage
	Around  []string // origins of the pages that may show it, which are told how high it is
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
	Portal  string // origin of the portal, where links lead
	Errors  FieldErrors
}

// snippet shows a link's view, as high as it is; LINK stands for the link.
func (v EmbedForm) snippet() string {
	return `<iframe src="LINK" title="Credits" width="360" height="420" loading="lazy"></iframe>
<script>
addEventListener("message", (e) => {
  if (e.origin === "` + v.Portal + `" && e.data?.type === "portal:height")
    for (const f of document.querySelectorAll("iframe")) if (f.contentWindow === e.source) f.height = e.data.height;
});
</script>`
}
