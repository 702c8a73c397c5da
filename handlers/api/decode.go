package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// Most bytes of a body.
const (
	maxBody      = 64 << 10
	maxBatchBody = 2 << 20
)

// readBody reads a JSON body of at most limit bytes into buf.
func readBody(c echo.Context, limit int64, buf *buffer) error {
	r := c.Request()
	if t := r.Header.Get(echo.HeaderContentType); t != echo.MIMEApplicationJSON {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != echo.MIMEApplicationJSON {
			return echo.ErrUnsupportedMediaType
		}
	}
	if r.ContentLength > limit {
		return echo.ErrStatusRequestEntityTooLarge
	}
	in := http.MaxBytesReader(c.Response(), r.Body, limit)
	for {
		if len(buf.b) == cap(buf.b) {
			buf.b = append(buf.b, 0)[:len(buf.b)]
		}
		n, err := in.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				return echo.ErrStatusRequestEntityTooLarge
			}
			return problem.New(problem.Malformed, "body_cut_short", "The body ended before its end; send the same request again.").Because(err)
		}
	}
	// PostgreSQL has no character for it, and no name or note needs one.
	if bytes.Contains(buf.b, []byte(`\u0000`)) {
		return problem.New(problem.Malformed, "malformed_json", "The body has a NUL character; leave it out.")
	}
	return nil
}

// decode reads exactly one JSON object with known members only.
func decode(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return unreadable(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return problem.New(problem.Malformed, "malformed_json", "There is more after the JSON object; send one.")
	}
	return nil
}

// unreadable says what is wrong with a body, naming the field.
func unreadable(err error) error {
	if problem.Of(err) != nil {
		return err
	}
	if bad, ok := errors.AsType[*ratecard.InvalidError](err); ok {
		return problem.New(problem.Invalid, "invalid_usage", "%s", sentence(bad.Error())).On(bad.Problems[0].Field)
	}
	if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if bad.Field == "" {
			return problem.New(problem.Malformed, "malformed_json", "The body must be a JSON object, not a JSON %s.", bad.Value)
		}
		return problem.New(problem.Malformed, "invalid_type", "%s cannot be a JSON %s.", bad.Field, bad.Value).On(bad.Field)
	}
	if name, ok := strings.CutPrefix(err.Error(), `json: unknown field "`); ok {
		return unknownField(strings.TrimSuffix(name, `"`))
	}
	if errors.Is(err, io.EOF) {
		return problem.New(problem.Malformed, "malformed_json", "The body is empty; send a JSON object.")
	}
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		return problem.New(problem.Malformed, "malformed_json", "The body is not valid JSON; it goes wrong at byte %d.", bad.Offset)
	}
	return problem.New(problem.Malformed, "malformed_json", "The body is not valid JSON.").Because(err)
}

func sentence(s string) string { return strings.TrimSuffix(s, ".") + "." }

// metadata is an object of names and plain values; numbers and booleans are
// kept as they were written.
type metadata map[string]string

// UnmarshalJSON reads the object.
func (m *metadata) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	bad := problem.New(problem.Malformed, "invalid_metadata", "metadata is an object of names and strings.").On("metadata")
	if err := json.Unmarshal(b, &raw); err != nil {
		return bad.Because(err)
	}
	out := make(metadata, len(raw))
	for name, value := range raw {
		switch value[0] {
		case '"':
			var s string
			if err := json.Unmarshal(value, &s); err != nil {
				return bad.Because(err)
			}
			out[name] = s
		case '{', '[', 'n':
			return bad
		default:
			out[name] = string(value)
		}
	}
	*m = out
	return nil
}

// Schema describes metadata.
func (metadata) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Examples: []any{map[string]any{"conversation": "c-118"}},
		AdditionalProperties: &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeNumber}, {Type: huma.TypeBoolean}}},
		Description:          "Kept and shown with the charge, never interpreted: up to 50 names and 2,048 bytes.",
	}
}

// parseCredits reads a decimal string of credits in a field.
func parseCredits(s, field string) (models.Credits, error) {
	c, err := models.ParseCredits(s)
	if err != nil {
		return 0, problem.New(problem.Invalid, "invalid_credits", `Write credits as a decimal string such as "12" or "0.5"; %s.`, err.Error()).On(field)
	}
	return c, nil
}

// parseTime reads an instant in a field; "" is none.
func parseTime(s, field string) (models.Time, error) {
	if s == "" {
		return 0, nil
	}
	var t models.Time
	if len(s) > 64 || t.UnmarshalJSON([]byte(`"`+s+`"`)) != nil {
		return 0, problem.New(problem.Invalid, "invalid_time", "Write %s as RFC 3339, such as 2026-03-01T12:00:00Z.", field).On(field)
	}
	return t, nil
}
