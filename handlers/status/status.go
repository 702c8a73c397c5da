// Package status is the one place where kinds of problems become HTTP status
// codes, for pages and the API alike.
package status

import (
	"net/http"

	"refill/billing/problem"
)

// Of is the HTTP status of a kind.
func Of(k problem.Kind) int {
	switch k {
	case problem.Internal:
		return http.StatusInternalServerError
	case problem.Invalid:
		return http.StatusUnprocessableEntity
	case problem.Malformed:
		return http.StatusBadRequest
	case problem.Unauthorized:
		return http.StatusUnauthorized
	case problem.Insufficient:
		return http.StatusPaymentRequired
	case problem.Forbidden:
		return http.StatusForbidden
	case problem.NotFound:
		return http.StatusNotFound
	case problem.Conflict:
		return http.StatusConflict
	case problem.TooMany:
		return http.StatusTooManyRequests
	case problem.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// OfError is the HTTP status of an error: anything that is not a problem is a
// fault of ours.
func OfError(err error) int {
	if p := problem.Of(err); p != nil {
		return Of(p.Kind)
	}
	return http.StatusInternalServerError
}
