package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/danielgtaylor/huma/v2/validation"
	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/handlers/status"
)

const problemJSON = "application/problem+json"

// document is an RFC 9457 problem.
type document struct {
	Status    int
	Code      string
	Detail    string
	Field     string
	Facts     []problem.Fact
	RequestID string
}

// GetStatus lets huma answer with the document.
func (d *document) GetStatus() int { return d.Status }

// Error is the document's sentence.
func (d *document) Error() string { return d.Detail }

// ContentType tells huma the media type of problems.
func (*document) ContentType(string) string { return problemJSON }

// MarshalJSON writes the members in their fixed order.
func (d *document) MarshalJSON() ([]byte, error) { return d.append(nil), nil }

func (d *document) append(b []byte) []byte {
	b = append(b, `{"type":"urn:refill:problem:`...)
	b = append(b, d.Code...)
	b = append(b, `","title":`...)
	b = appendString(b, http.StatusText(d.Status))
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(d.Status), 10)
	b = append(b, `,"code":`...)
	b = appendString(b, d.Code)
	b = append(b, `,"detail":`...)
	b = appendString(b, d.Detail)
	if d.Field != "" {
		b = append(b, `,"field":`...)
		b = appendString(b, d.Field)
	}
	for _, f := range d.Facts {
		value, err := json.Marshal(f.Value)
		if err != nil {
			continue // a fact is an extra; the problem stands without it
		}
		b = append(b, ',')
		b = appendString(b, f.Name)
		b = append(b, ':')
		b = append(b, value...)
	}
	if d.RequestID != "" {
		b = append(b, `,"request_id":`...)
		b = appendString(b, d.RequestID)
	}
	return append(b, '}')
}

// describe turns any error into the document a caller may see.
func describe(err error, requestID string) *document {
	if done, ok := errors.AsType[*document](err); ok {
		d := *done
		d.RequestID = requestID
		return &d
	}
	if p := problem.Of(err); p != nil && p.Kind != problem.Internal {
		return &document{Status: status.Of(p.Kind), Code: p.Code, Detail: p.Message, Field: p.Field, Facts: p.Facts, RequestID: requestID}
	}
	if h, ok := errors.AsType[*echo.HTTPError](err); ok {
		if d := routing(h.Code, requestID); d != nil {
			return d
		}
	}
	return &document{
		Status: http.StatusInternalServerError, Code: "internal",
		Detail: "Something went wrong on our side. Nothing is lost: send the same request with the same key again, or quote the request id.", RequestID: requestID,
	}
}

// routing describes what the router or the server refuses before any handler.
func routing(code int, requestID string) *document {
	d := &document{Status: code, RequestID: requestID}
	switch code {
	case http.StatusNotFound:
		d.Code, d.Detail = "no_such_route", "There is no such address in this API; GET /v1/openapi.json lists them all."
	case http.StatusMethodNotAllowed:
		d.Code, d.Detail = "method_not_allowed", "This address does not take this method; the Allow header names those it takes."
	case http.StatusRequestEntityTooLarge:
		d.Code, d.Detail = "body_too_large", "The body is larger than this address takes; send less, or fewer items."
	case http.StatusUnsupportedMediaType:
		d.Code, d.Detail = "json_needed", "Send the body as Content-Type: application/json."
	case http.StatusRequestTimeout:
		d.Code, d.Detail = "too_slow", "The body did not arrive in time; send it again."
	default:
		return nil
	}
	return d
}

// refuse answers with a problem and logs what is our fault.
func (a *api) refuse(c echo.Context, err error) {
	d := describe(err, requestID(c))
	if d.Status >= http.StatusInternalServerError {
		a.logFault(c.Request(), d, err)
	}
	if c.Response().Committed {
		return
	}
	setRetry(c.Response().Header(), d)
	buf := takeBuffer()
	defer buf.free()
	buf.b = d.append(buf.b)
	write(c, d.Status, problemJSON, buf.b)
}

func (a *api) logFault(r *http.Request, d *document, err error) {
	a.log.LogAttrs(r.Context(), slog.LevelError, "api request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", d.Status), slog.String("code", d.Code), slog.String("request_id", d.RequestID), slog.String("error", err.Error()))
}

// setRetry adds the headers that go with a status.
func setRetry(h http.Header, d *document) {
	switch d.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "1")
		}
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="refill"`)
	}
}

// speakProblems makes huma's own refusals our problems. huma has one function
// for the whole process, so it is set once, before any request.
//
//nolint:gochecknoglobals // guards huma's own global
var speakProblems = sync.OnceFunc(func() {
	huma.NewErrorWithContext = func(ctx huma.Context, code int, msg string, errs ...error) huma.StatusError {
		id := ""
		if ctx != nil {
			c := humaecho.Unwrap(ctx)
			id = requestID(c)
		}
		return refusal(code, msg, errs, id)
	}
})

// refusal describes what huma found wrong with a request: one finding.
func refusal(code int, msg string, errs []error, id string) *document {
	if d := routing(code, id); d != nil {
		return d
	}
	if code >= http.StatusInternalServerError {
		return describe(errors.New(msg), id)
	}
	var first *huma.ErrorDetail
	for _, err := range errs {
		d, ok := errors.AsType[*huma.ErrorDetail](err)
		if !ok {
			continue
		}
		// A misspelt member is why another one is missing.
		if first == nil || d.Message == validation.MsgUnexpectedProperty && first.Message != d.Message {
			first = d
		}
	}
	if first != nil {
		return describe(finding(code, first), id)
	}
	return &document{Status: http.StatusBadRequest, Code: "malformed", Detail: "The request cannot be read: " + msg + ".", RequestID: id}
}

func finding(code int, d *huma.ErrorDetail) *document {
	place, field, _ := strings.Cut(d.Location, ".")
	if place != "body" && field == "" {
		field = place
	}
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	if name, ok := strings.CutPrefix(d.Message, before); ok {
		name = strings.TrimSuffix(name, after)
		return &document{Status: http.StatusUnprocessableEntity, Code: "field_missing", Detail: "Send " + name + ".", Field: join(field, name)}
	}
	switch {
	case field == "" && strings.HasPrefix(d.Message, "usage"): // what Usage's own reader says
		field, _, _ = strings.Cut(d.Message, " ")
		return &document{Status: http.StatusUnprocessableEntity, Code: "invalid_usage", Detail: sentence(d.Message), Field: field}
	case d.Message == validation.MsgUnexpectedProperty:
		return unknownField(field)
	case code == http.StatusBadRequest && place == "body":
		return &document{Status: code, Code: "malformed_json", Detail: "The body is not one JSON object."}
	case isType(d.Message):
		return &document{Status: http.StatusBadRequest, Code: "invalid_type", Detail: fmt.Sprintf("%s: %s.", field, d.Message), Field: field}
	}
	return &document{Status: http.StatusUnprocessableEntity, Code: "invalid_field", Detail: fmt.Sprintf("%s: %s.", field, d.Message), Field: field}
}

func isType(message string) bool {
	switch message {
	case validation.MsgExpectedString, validation.MsgExpectedNumber, validation.MsgExpectedInteger, validation.MsgExpectedBoolean,
		validation.MsgExpectedArray, validation.MsgExpectedObject:
		return true
	}
	return false
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

func unknownField(field string) *document {
	return &document{
		Status: http.StatusBadRequest, Code: "unknown_field", Field: field,
		Detail: fmt.Sprintf("There is no field %.80q here; check its spelling.", field),
	}
}
