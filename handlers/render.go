package handlers

import (
	"bytes"
	"net/http"
	"sync"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
)

//nolint:gochecknoglobals // buffers to be used again
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// page renders a page whole before the first byte is sent, so that a page that
// fails half-way is an error page and not half a page.
func page(c echo.Context, status int, view templ.Component) error {
	buffer, ok := buffers.Get().(*bytes.Buffer)
	if !ok {
		buffer = new(bytes.Buffer)
	}
	defer buffers.Put(buffer)
	buffer.Reset()
	if err := view.Render(c.Request().Context(), buffer); err != nil {
		return err
	}
	return c.Blob(status, echo.MIMETextHTMLCharsetUTF8, buffer.Bytes())
}

// seeOther ends a form: going back or reloading does not send it again.
func seeOther(c echo.Context, to string) error { return c.Redirect(http.StatusSeeOther, to) }
