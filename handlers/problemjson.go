package handlers

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
)

// writeProblem answers a program with an RFC 9457 document.
func writeProblem(c echo.Context, status int, err error) error {
	body := map[string]any{
		"title": http.StatusText(status), "status": status, "code": "internal",
		"detail": "This is our fault, and it has been recorded.", "request_id": visitOf(c).ref,
	}
	if p := problem.Of(err); p != nil {
		body["code"], body["detail"] = p.Code, p.Message
		if p.Field != "" {
			body["field"] = p.Field
		}
		for _, f := range p.Facts {
			body[f.Name] = f.Value
		}
	} else if status < http.StatusInternalServerError {
		body["code"], body["detail"] = codeOf(status), "There is nothing that answers this request."
	}
	body["type"] = fmt.Sprint("urn:refill:problem:", body["code"]) // as the API's
	out, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.Blob(status, "application/problem+json", out)
}

func codeOf(status int) string {
	switch status {
	case http.StatusNotFound:
		return "not_found"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusRequestEntityTooLarge:
		return "body_too_large"
	}
	return "bad_request"
}
