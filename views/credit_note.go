package views

import "refill/models"

// CreditNote is the document of a refund.
type CreditNote struct {
	Frame     Frame
	Number    string
	Seller    models.Party
	Buyer     models.Party
	BuyerMail string
	At        models.Time // of the refund
	Void      bool        // it failed
	Name      string      // of the purchase
	Net       models.Money
	Tax       models.Money // zero amount leaves the row out
	Total     models.Money
	Receipt   Link // by its number
	PDF       string
}

// Words are what a credit note says below its sums.
func (v CreditNote) Words() []string {
	if v.Void {
		return []string{"This credit note is void: the refund failed, and the money stayed with the seller."}
	}
	return []string{"Banks take a few days to show a refund."}
}
