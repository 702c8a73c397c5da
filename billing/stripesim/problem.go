package stripesim

import (
	"fmt"
	"net/http"
)

// apiError is what Stripe answers when it does not do what was asked.
type apiError struct {
	Status        int    `json:"-"`
	Type          string `json:"type"`
	Code          string `json:"code,omitempty"`
	DeclineCode   string `json:"decline_code,omitempty"`
	Message       string `json:"message"`
	Param         string `json:"param,omitempty"`
	Charge        string `json:"charge,omitempty"`
	PaymentIntent any    `json:"payment_intent,omitempty"`
}

// Error is the sentence for people.
func (e *apiError) Error() string { return e.Message }

// The types of an apiError.
const (
	typeAPI         = "api_error"
	typeCard        = "card_error"
	typeIdempotency = "idempotency_error"
	typeInvalid     = "invalid_request_error"
)

func invalid(param, code, format string, args ...any) *apiError {
	return &apiError{
		Status: http.StatusBadRequest, Type: typeInvalid, Code: code, Param: param,
		Message: fmt.Sprintf(format, args...),
	}
}

func missing(param string) *apiError {
	return invalid(param, "parameter_missing", "Missing required param: %s.", param)
}

// notFound says that the account asked has no such object.
func notFound(kind, id, param string) *apiError {
	e := invalid(param, "resource_missing", "No such %s: '%s'", kind, id)
	e.Status = http.StatusNotFound
	return e
}

func unauthorised(code, format string, args ...any) *apiError {
	e := invalid("", code, format, args...)
	e.Status = http.StatusUnauthorized
	return e
}

func broken(format string, args ...any) *apiError {
	return &apiError{
		Status: http.StatusInternalServerError, Type: typeAPI,
		Message: fmt.Sprintf(format, args...),
	}
}
