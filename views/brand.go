package views

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"refill/models"
)

// Brand is /settings/brand. Fields: name, colour, support, sender_name,
// sender_address, logo, no_logo.
type Brand struct {
	Frame         Frame
	Tabs          []Tab
	Name          string
	Usual         string // name of the portal where none is written
	Colour        string
	Support       string
	SenderName    string
	SenderAddress string
	Senders       []string // domains that mails may come from
	Logo          *Picture
	Pale          []string // on which backgrounds the logo is hard to see
	Drafted       *BrandVersion
	Published     int            // version that clients see; 0: none yet
	Versions      []BrandVersion // the newest first
	Show          string         // which page is shown: balance, buy, mail
	Shows         []Tab
	Empty         string // why no page of a client can be shown; "" when it can
	Errors        FieldErrors
}

// BrandVersion is a brand as it was published, or the draft.
type BrandVersion struct {
	Version int
	At      models.Time
	By      string
	Words   string // what it was: "Name Orbit, colour #ffd400"
}

// Picture is an image with its size, so that nothing moves when it arrives.
type Picture struct {
	Src           string
	Width, Height int // CSS pixels
}

// sheet is what a brand's colour changes of the style sheet.
func sheet(c models.Colour) string {
	light, dark := c.Shades(false), c.Shades(true)
	pair := func(name string, l, d models.Colour) string {
		return fmt.Sprintf("--%s:light-dark(%s,%s);", name, l, d)
	}
	return "@layer tokens{:root{" + strings.TrimSuffix(
		pair("brand", light.Solid, dark.Solid)+pair("on-brand", light.On, dark.On)+pair("brand-hover", light.Hover, dark.Hover)+
			pair("brand-edge", light.Edge, dark.Edge)+pair("link", light.Link, dark.Link), ";") + "}}"
}

// BrandSheet is the address of the style sheet of a colour. It says which colour
// it is of, and carries a hash of the content, so it may be kept for ever.
func BrandSheet(c models.Colour) string {
	sum := sha256.Sum256([]byte(sheet(c)))
	return "/brand/" + c.String()[1:] + "." + hex.EncodeToString(sum[:4]) + ".css"
}

// OpenBrandSheet finds what is served under /brand/{name}: only names that
// BrandSheet gives.
func OpenBrandSheet(name string) (css string, ok bool) {
	digits, _, _ := strings.Cut(name, ".")
	c, err := models.ParseColour("#" + digits)
	if err != nil || BrandSheet(c) != "/brand/"+name {
		return "", false
	}
	return sheet(c), true
}

// contrast says in words what becomes of a colour, "" of the usual one.
func (v Brand) contrast() []string {
	c, err := models.ParseColour(v.Colour)
	if err != nil {
		return nil
	}
	const white models.Colour = 0xffffff
	light, dark := c.Shades(false), c.Shades(true)
	button := "White"
	if light.On != white {
		button = "Dark"
	}
	button += " text on your colour: " + ratio(light.On.Contrast(c)) + ", readable."
	if light.On != white {
		button += " White text would reach " + ratio(white.Contrast(c)) + ", too little, so buttons have dark text."
	}
	return []string{
		button,
		linkWords("on white", c, &light),
		linkWords("on dark pages", c, &dark),
	}
}

func linkWords(where string, c models.Colour, s *models.Shades) string {
	out := "Links " + where + ": your colour, " + ratio(c.Contrast(s.Surface)) + ", readable."
	if s.Link != c {
		out = "Links " + where + ": your colour reaches " + ratio(c.Contrast(s.Surface)) + ", too little to read everywhere. We use " + s.Link.String() + " instead: " + ratio(s.Link.Contrast(s.Surface)) + "."
	}
	if s.Edge != s.Solid {
		out += " Buttons get an edge of it, or they could not be seen."
	}
	return out
}

// ratio is a contrast as people say it: "4.8 : 1", never rounded up.
func ratio(r float64) string {
	return strconv.FormatFloat(math.Floor(r*10)/10, 'f', 1, 64) + " : 1"
}

// frames are the previews: the page in both themes.
func (v Brand) frames() []Link {
	base := "/settings/brand/preview/" + v.Show + "?theme="
	return []Link{{Label: "Light", Href: base + "light"}, {Label: "Dark", Href: base + "dark"}}
}

// BrandMail is a mail as it would come, shown as a page.
type BrandMail struct {
	Frame   Frame
	From    string
	Answers string // where they go; "" to whom it comes from
	Subject string
	Lines   []string
	Button  string
	Href    string
	After   []string
}

func (v Brand) senderHint() string {
	if len(v.Senders) == 0 {
		return "Left empty: the portal's own. An address of yours needs a domain that you have proved, under Domain."
	}
	return "Left empty: the portal's own. It must be at " + strings.Join(v.Senders, " or ") + "."
}
