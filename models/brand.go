package models

import (
	"database/sql/driver"
	"encoding/json"
)

// Brand is how an agency's portal looks and what it is called. Version 0 is the
// draft; the others were published and never change. Agency.Brand says which one
// holds.
type Brand struct {
	AgencyID       AgencyID `gorm:"primaryKey"`
	Version        int      `gorm:"primaryKey;autoIncrement:false"`
	Name           string   // of the portal; "" the agency's
	Colour         string   // "#rrggbb"; "" the usual one
	Logo           string   // name of a Logo; "" none
	LogoWidth      int      // pixels
	LogoHeight     int
	LogoDark       string // in its place on dark pages; "" the same
	LogoDarkWidth  int
	LogoDarkHeight int
	Icon           string // name of a Logo, in the browser's tab; "" the logo
	Corners        Corners
	Links          BrandLinks
	Support        string // e-mail address or https address; "" none
	SenderName     string // of mails; "" the portal's name
	SenderAddress  string // of mails; "" the platform's
	CreatedBy      string
	CreatedAt      Time `gorm:"autoCreateTime:false"`
}

// Corners are how cards and buttons end.
type Corners string

// The shapes of corners.
const (
	CornersSoft   Corners = "" // as everywhere else
	CornersSquare Corners = "square"
	CornersRound  Corners = "round"
)

// Known tells whether there are such corners.
func (c Corners) Known() bool {
	return c == CornersSoft || c == CornersSquare || c == CornersRound
}

// BrandLink leads from the foot of every page of a portal to one of the agency's
// own.
type BrandLink struct {
	Label string `json:"label"`
	URL   string `json:"url"` // https
}

// BrandLinks are those at the foot of a portal, in their order.
type BrandLinks []BrandLink

// Value writes JSON, nothing for none.
func (l BrandLinks) Value() (driver.Value, error) {
	if len(l) == 0 {
		return "", nil
	}
	b, err := json.Marshal(l)
	return string(b), err
}

// Scan reads what Value wrote.
func (l *BrandLinks) Scan(src any) error {
	*l = nil
	return scanJSON(src, l, "links")
}

// GormDataType names the column family for the drift test.
func (BrandLinks) GormDataType() string { return "text" }

// Logo is a picture as we made it from what was uploaded.
type Logo struct {
	AgencyID  AgencyID `gorm:"primaryKey"`
	Name      string   `gorm:"primaryKey"` // random: it tells nothing, and nobody guesses it
	PNG       []byte   `gorm:"column:png"`
	Width     int
	Height    int
	PaleLight bool // hard to see on the light theme's surface
	PaleDark  bool
	CreatedAt Time `gorm:"autoCreateTime:false"`
}

// Domain is an agency's claim to a name of its own. It counts once a TXT record
// carries its token, and for as long as it does.
type Domain struct {
	AgencyID     AgencyID `gorm:"primaryKey"`
	Name         string   `gorm:"primaryKey"` // lower case, ASCII, without a final dot
	Token        string   // what the TXT record must say
	VerifiedAt   Time     // 0: never, or not any more
	FailingSince Time     // of a verified one: since when the record cannot be found
	// CertificateAt is when a proxy last asked for a certificate of a verified one and
	// was told yes, to the hour; 0: not since it was verified.
	CertificateAt Time
	CheckedAt     Time
	CheckAt       Time   // of a verified one: when it is looked up again
	Note          string // what the last look-up found wrong
	CreatedBy     string
	CreatedAt     Time `gorm:"autoCreateTime:false"`
}

// Host is a verified domain, found without knowing whose it is.
type Host struct {
	Name     string `gorm:"primaryKey"`
	AgencyID AgencyID
}

// Embed is what an agency allows of its clients' balances on other pages.
type Embed struct {
	AgencyID  AgencyID `gorm:"primaryKey"`
	Secret    []byte   // signs links
	Origins   string   // JSON: where it may stand, "https://app.example"
	UpdatedAt Time     `gorm:"autoUpdateTime:false"`
}
