package models

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
)

// Party is a seller or a buyer as a receipt names them. Every field may be empty.
type Party struct {
	Name       string `json:"name,omitempty"` // of the company
	Line1      string `json:"line1,omitempty"`
	Line2      string `json:"line2,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	City       string `json:"city,omitempty"`
	Region     string `json:"region,omitempty"`
	Country    string `json:"country,omitempty"` // ISO 3166, two capital letters
	TaxID      string `json:"tax_id,omitempty"`  // VAT number and the like, without spaces
}

// IsZero tells a party of whom nothing is known.
func (p Party) IsZero() bool { return p == Party{} } //nolint:gocritic // compared as a value

// Value stores JSON, "" for nobody.
func (p Party) Value() (driver.Value, error) { //nolint:gocritic // a Valuer of a column is a value
	if p.IsZero() {
		return "", nil
	}
	b, err := json.Marshal(p)
	return string(b), err
}

// Scan reads what Value wrote.
func (p *Party) Scan(src any) error {
	*p = Party{}
	return scanJSON(src, p, "a party")
}

// scanJSON reads a column of JSON into a value that stays as it is where there is
// none.
func scanJSON(src, into any, what string) error {
	var text []byte
	switch v := src.(type) {
	case nil:
	case string:
		text = []byte(v)
	case []byte:
		text = v
	default:
		return fmt.Errorf("scan %s: unexpected %T", what, src)
	}
	if len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, into)
}

// GormDataType names the column family for the drift test.
func (Party) GormDataType() string { return "text" }

// BillingDetails is who an agency, or one of its clients, is on receipts.
type BillingDetails struct {
	AgencyID     AgencyID
	SubAccountID SubAccountID // zero: the agency itself, as buyer and as seller
	Company      string
	Line1        string
	Line2        string
	PostalCode   string
	City         string
	Region       string
	Country      string
	TaxID        string
	UpdatedAt    Time `gorm:"autoUpdateTime:false"`
}

// TableName says that the rows are details.
func (BillingDetails) TableName() string { return "billing_details" }

// Party is the details without whose they are.
func (d *BillingDetails) Party() Party {
	return Party{
		Name: d.Company, Line1: d.Line1, Line2: d.Line2, PostalCode: d.PostalCode, City: d.City, Region: d.Region, Country: d.Country, TaxID: d.TaxID,
	}
}
