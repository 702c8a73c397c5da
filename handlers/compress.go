package handlers

import (
	"compress/gzip"
	"mime"
	"net/http"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
)

// compress packs pages, style, script and exports for callers that take it. A
// token on a page is masked anew each time (csrf.go), so that its length tells
// nothing.
func compress(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		res := c.Response()
		res.Header().Add(echo.HeaderVary, echo.HeaderAcceptEncoding)
		if !takesGzip(c.Request()) {
			return next(c)
		}
		w := &packer{ResponseWriter: res.Writer}
		res.Writer = w
		err := next(c)
		res.Writer = w.ResponseWriter
		if closeErr := w.close(); err == nil {
			err = closeErr
		}
		return err
	}
}

func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get(echo.HeaderAcceptEncoding), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) == "gzip" && strings.ReplaceAll(params, " ", "") != "q=0" {
			return r.Method != http.MethodHead
		}
	}
	return false
}

// packable are the media types that get smaller.
func packable(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch media {
	case "text/html", "text/css", "text/javascript", "text/csv", "text/plain", "image/svg+xml":
		return true
	}
	return false
}

//nolint:gochecknoglobals // writers to be used again
var packers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// packer decides at the header, when the media type is known.
type packer struct {
	http.ResponseWriter
	zip *gzip.Writer // nil: as it comes
}

func (p *packer) WriteHeader(code int) {
	h := p.Header()
	bodied := code != http.StatusNoContent && code != http.StatusNotModified && code >= http.StatusOK
	if bodied && h.Get(echo.HeaderContentEncoding) == "" && packable(h.Get(echo.HeaderContentType)) {
		if zip, ok := packers.Get().(*gzip.Writer); ok {
			p.zip = zip
			p.zip.Reset(p.ResponseWriter)
			h.Set(echo.HeaderContentEncoding, "gzip")
			h.Del(echo.HeaderContentLength)
		}
	}
	p.ResponseWriter.WriteHeader(code)
}

func (p *packer) Write(b []byte) (int, error) {
	if p.zip != nil {
		return p.zip.Write(b)
	}
	return p.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (p *packer) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Flush sends what is packed so far.
func (p *packer) Flush() {
	if p.zip != nil {
		if err := p.zip.Flush(); err != nil {
			return // the next write meets the same error
		}
	}
	if f, ok := p.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

func (p *packer) close() error {
	if p.zip == nil {
		return nil
	}
	err := p.zip.Close()
	packers.Put(p.zip)
	p.zip = nil
	return err
}
