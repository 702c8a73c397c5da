package views

import "refill/models"

// BillingDetails is who somebody is on receipts. Fields: company, line1, line2,
// postal_code, city, region, country, tax_id.
type BillingDetails struct {
	Frame  Frame
	Tabs   []Tab
	Lede   string
	Action string
	May    bool // change them
	Party  models.Party
	Errors FieldErrors
}

// detail is one field of the form.
type detail struct{ name, label, hint, value, complete string }

func (v BillingDetails) fields() []detail {
	p := v.Party
	return []detail{
		{"company", "Company", "Left empty, the account's name stands there.", p.Name, "organization"},
		{"line1", "Address", "", p.Line1, "address-line1"},
		{"line2", "Address, second line", "", p.Line2, "address-line2"},
		{"postal_code", "Postal code", "", p.PostalCode, "postal-code"},
		{"city", "City", "", p.City, "address-level2"},
		{"region", "State or region", "", p.Region, "address-level1"},
		{"country", "Country", "Two letters, such as DE or US.", p.Country, "country"},
		{"tax_id", "VAT number", "With its country's letters, such as DE123456789. Empty if you have none.", p.TaxID, "off"},
	}
}
