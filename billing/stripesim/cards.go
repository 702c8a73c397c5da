package stripesim

import "strings"

// methodKind is what a buyer pays with.
type methodKind string

const (
	payCard     methodKind = "card"
	payPaypal   methodKind = "paypal"
	payNone     methodKind = "none"            // of a trial that needs no card
	payBankBill methodKind = "us_bank_account" // pay later: the money comes, or bounces, in days
)

// cardVerdict is what a bank says to a card.
type cardVerdict string

const (
	cardApproved     cardVerdict = "approved"
	cardDeclined     cardVerdict = "declined"
	cardAuthenticate cardVerdict = "authenticate" // the bank wants to see the buyer first
)

// testCard is one of Stripe's published test numbers and what becomes of it.
type testCard struct {
	Number      string
	Does        string // for the list on the payment page
	Verdict     cardVerdict
	Code        string
	DeclineCode string
	Saves       bool // it can be saved, though it is declined
}

// Grouped is the number as it stands on a card.
func (c testCard) Grouped() string {
	n := c.Number
	return n[:4] + " " + n[4:8] + " " + n[8:12] + " " + n[12:]
}

// testCards are the numbers of docs.stripe.com/testing that can be told apart
// here. None of them can ever reach a bank.
func testCards() []testCard {
	return []testCard{
		{"4242424242424242", "pays", cardApproved, "", "", false},
		{"5555555555554444", "pays (Mastercard)", cardApproved, "", "", false},
		{"4000056655665556", "pays (debit)", cardApproved, "", "", false},
		{"4000002500003155", "asks for authentication", cardAuthenticate, "", "", false},
		{"4000002760003184", "asks for authentication, every time", cardAuthenticate, "", "", false},
		{"4000000000000002", "is declined", cardDeclined, "card_declined", "generic_decline", false},
		{"4000000000009995", "has not enough money", cardDeclined, "card_declined", "insufficient_funds", false},
		{"4000000000009987", "is reported lost", cardDeclined, "card_declined", "lost_card", false},
		{"4000000000009979", "is reported stolen", cardDeclined, "card_declined", "stolen_card", false},
		{"4000000000000069", "has expired", cardDeclined, "expired_card", "", false},
		{"4000000000000127", "has another security code", cardDeclined, "incorrect_cvc", "", false},
		{"4000000000000119", "meets an error at the bank", cardDeclined, "processing_error", "", false},
		{"4000000000000341", "can be saved, and is declined when charged", cardDeclined, "card_declined", "generic_decline", true},
	}
}

// setUpCard asks for authentication only until it has been saved.
const setUpCard = "4000002500003155"

// Stripe's test accounts for bank debits.
const (
	bankPays    = "000123456789"
	bankBounces = "000222222227"
)

// findCard tells what a number does. A number that is no test card is declined,
// as Stripe declines real cards in test mode.
func findCard(number string) testCard {
	for _, c := range testCards() {
		if c.Number == number {
			return c
		}
	}
	return testCard{Number: number, Verdict: cardDeclined, Code: "card_declined", DeclineCode: "test_mode_live_card"}
}

// declineMessage is the API's own sentence for a code, in the words of this
// simulator.
func declineMessage(code, declineCode string) string {
	switch {
	case declineCode == "insufficient_funds":
		return "Your card has insufficient funds."
	case declineCode == "test_mode_live_card":
		return "Your card was declined. This is a demo: use one of the test cards."
	case code == "expired_card":
		return "Your card has expired."
	case code == "incorrect_cvc":
		return "Your card's security code is incorrect."
	case code == "processing_error":
		return "An error occurred while processing your card. Try again in a little bit."
	case code == "authentication_required":
		return "Your card was declined. This transaction requires authentication."
	case code == "payment_intent_authentication_failure", code == "setup_intent_authentication_failure":
		return "We are unable to authenticate your payment method. Please choose a different payment method and try again."
	case code == "payment_method_provider_decline":
		return "The bank returned the debit: the account has insufficient funds."
	default:
		return "Your card was declined."
	}
}

// digits drops the blanks and dashes people type into a card number.
func digits(number string) string {
	return strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(number)
}

// validNumber is the check digit every card number carries.
func validNumber(number string) bool {
	if len(number) < 12 || len(number) > 19 {
		return false
	}
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i]) - '0'
		if d < 0 || d > 9 {
			return false
		}
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

func brandOf(number string) string {
	switch number[0] {
	case '4':
		return "visa"
	case '5':
		return "mastercard"
	case '3':
		return "amex"
	default:
		return "unknown"
	}
}
