package checkout

import (
	"errors"
	"net/http"

	"github.com/stripe/stripe-go/v76"
)

// Kind says what sort of failure an Error is, and so what to do about it.
type Kind string

// The kinds of failure.
const (
	// KindUnavailable: Stripe was not reached, did not answer, or failed. It
	// may or may not have done what was asked; the same call with the same key
	// can be made again.
	KindUnavailable Kind = "unavailable"
	// KindNotFound: the account asked has no such object.
	KindNotFound Kind = "not_found"
	// KindRefused: Stripe will not do it, however often it is asked.
	KindRefused Kind = "refused"
	// KindDeclined: the buyer's bank will not pay.
	KindDeclined Kind = "declined"
	// KindConflict: the idempotency key was used for something else.
	KindConflict Kind = "conflict"
	// KindUnauthorised: our key is not accepted, or may not act for the account.
	KindUnauthorised Kind = "unauthorised"
	// KindSignature: an event is not from Stripe, or not from now.
	KindSignature Kind = "signature"
)

// Error is a failure to get something from Stripe.
type Error struct {
	Kind        Kind
	Code        string // Stripe's, when it gave one
	DeclineCode string // the bank's, when it gave one
	Message     string // a sentence for people, without technical words
	Detail      string // what Stripe said, for logs
	RequestID   string // Stripe's name for the call
	Payment     string // the payment that a decline is of, when Stripe named it
	Replayed    bool   // the answer that this key got before: asking again gets no other
	Err         error
}

// Error is the sentence with what Stripe said.
func (e *Error) Error() string {
	out := "stripe: " + e.Message
	if e.Detail != "" {
		out += " (" + e.Detail + ")"
	}
	if e.RequestID != "" {
		out += " [" + e.RequestID + "]"
	}
	return out
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retryable tells whether the same call may succeed later.
func (e *Error) Retryable() bool { return e.Kind == KindUnavailable }

// KindOf is the kind of an error from this package, "" for any other.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// IsRevoked tells whether Stripe says that our key, which it knows, may not act
// for a connected account: its owner has disconnected us.
func IsRevoked(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == KindUnauthorised && e.Code == string(stripe.ErrorCodeAccountInvalid)
}

// explain turns what stripe-go gave into an Error.
func explain(err error) error {
	if err == nil {
		return nil
	}
	from, ok := errors.AsType[*stripe.Error](err)
	if !ok {
		return &Error{
			Kind: KindUnavailable, Message: "The payment provider cannot be reached right now.", Detail: err.Error(), Err: err,
		}
	}
	out := &Error{
		Code: string(from.Code), DeclineCode: string(from.DeclineCode), Detail: from.Msg, RequestID: from.RequestID, Err: err,
		Replayed: from.LastResponse != nil && from.LastResponse.Header.Get("Idempotent-Replayed") == "true",
	}
	if from.PaymentIntent != nil {
		out.Payment = from.PaymentIntent.ID
	}
	switch status := from.HTTPStatusCode; {
	case from.Type == stripe.ErrorTypeIdempotency:
		out.Kind, out.Message = KindConflict, "This payment was started before with other details. Start again."
	case from.Type == stripe.ErrorTypeCard:
		out.Kind, out.Message = KindDeclined, declineWords(out.Code, out.DeclineCode)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		out.Kind, out.Message = KindUnauthorised, "The payment provider does not accept this connection. The operator has to look at it."
	case status == http.StatusNotFound, from.Code == stripe.ErrorCodeResourceMissing:
		out.Kind, out.Message = KindNotFound, "The payment provider does not know this payment."
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests, status == http.StatusConflict,
		from.Code == stripe.ErrorCodeLockTimeout:
		out.Kind, out.Message = KindUnavailable, "The payment provider does not answer right now."
	default:
		out.Kind, out.Message = KindRefused, "The payment provider refused this payment."
	}
	return out
}

// declineWords says a decline in plain words. What a bank suspects about a
// card (lost, stolen, fraud) is not told to whoever holds it.
func declineWords(code, declineCode string) string {
	reason := declineCode
	if reason == "" || reason == "generic_decline" {
		reason = code
	}
	switch reason {
	case "":
		return ""
	case "insufficient_funds", "withdrawal_count_limit_exceeded", "card_velocity_exceeded":
		return "There is not enough money on the card, or its limit is reached. Try another card."
	case "expired_card":
		return "The card has expired. Try another card."
	case "incorrect_cvc", "invalid_cvc":
		return "The card's security code is wrong. Check it and try again."
	case "incorrect_number", "invalid_number":
		return "The card number is wrong. Check it and try again."
	case "invalid_expiry_month", "invalid_expiry_year":
		return "The card's expiry date is wrong. Check it and try again."
	case "processing_error", "issuer_not_available", "try_again_later", "reenter_transaction":
		return "The bank could not process the payment. Try again in a moment."
	case "authentication_required", "payment_intent_authentication_failure":
		return "The bank could not confirm that it was you. Try again or use another card."
	case "currency_not_supported", "card_not_supported", "transaction_not_allowed":
		return "This card cannot be used for this payment. Try another card."
	case "payment_method_provider_decline", "payment_method_customer_decline":
		return "The bank or wallet did not make the payment. Try another way to pay."
	default:
		return "The card was declined. Try another card, or ask your bank."
	}
}
