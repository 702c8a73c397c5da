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
// sender_address, logo, no_logo, logo_dark, no_logo_dark, icon,
// no_icon, corners, link_label_1, link_url_1 and so on.
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
	Pale          []string // where the logo is hard to see, and what helps
	LogoDark      *Picture // in its place on dark pages
	PaleDark      bool     // and hard to see there
	Icon          *Picture
	Corners       models.Corners
	Links         []Link // a row for each there may be
	Drafted       *BrandVersion
	Published     int            // version that clients see; 0: none yet
	Versions      []BrandVersion // the newest first
	Preview       Preview
	Empty         string // why the page cannot be shown; "" when it can
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

// sheet is what a brand changes of the style sheet; "" for nothing.
func sheet(colour string, corners models.Corners) string {
	out := ""
	if c, err := models.ParseColour(colour); err == nil {
		light, dark := c.Shades(false), c.Shades(true)
		pair := func(name string, l, d models.Colour) string {
			return fmt.Sprintf("--%s:light-dark(%s,%s);", name, l, d)
		}
		out = pair("brand", light.Solid, dark.Solid) + pair("on-brand", light.On, dark.On) + pair("brand-hover", light.Hover, dark.Hover) +
			pair("brand-edge", light.Edge, dark.Edge) + pair("link", light.Link, dark.Link)
	}
	switch corners {
	case models.CornersSquare:
		out += "--r-card:0px;--r-ctl:0px;"
	case models.CornersRound: // a control's whole end, a card's not
		out += "--r-card:1.25rem;--r-ctl:1.375rem;"
	case models.CornersSoft:
	}
	if out == "" {
		return ""
	}
	return "@layer tokens{:root{" + strings.TrimSuffix(out, ";") + "}}"
}

// usualColour stands in a sheet's name for the colour that it leaves alone.
const usualColour = "usual"

// BrandSheet is the address of the style sheet of a brand; "" where it changes
// nothing. It says what it is of, and carries a hash of the content, so it may be
// kept for ever.
func BrandSheet(colour string, corners models.Corners) string {
	css := sheet(colour, corners)
	if css == "" {
		return ""
	}
	name := usualColour
	if c, err := models.ParseColour(colour); err == nil {
		name = c.String()[1:]
	}
	if corners != models.CornersSoft {
		name += "-" + string(corners)
	}
	sum := sha256.Sum256([]byte(css))
	return "/brand/" + name + "." + hex.EncodeToString(sum[:4]) + ".css"
}

// OpenBrandSheet finds what is served under /brand/{name}: only names that
// BrandSheet gives.
func OpenBrandSheet(name string) (css string, ok bool) {
	look, _, _ := strings.Cut(name, ".")
	digits, corners, _ := strings.Cut(look, "-")
	colour := "#" + digits
	if digits == usualColour {
		colour = ""
	}
	if !models.Corners(corners).Known() || BrandSheet(colour, models.Corners(corners)) != "/brand/"+name {
		return "", false
	}
	return sheet(colour, models.Corners(corners)), true
}

// cornerChoices are the shapes there are, in words.
func cornerChoices() []LineRow {
	return []LineRow{{string(models.CornersSoft), "Soft"}, {string(models.CornersSquare), "Square"}, {string(models.CornersRound), "Round"}}
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
