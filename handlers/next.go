package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// maxNext bounds an address that is carried through a form, in bytes.
const maxNext = 1000

// localPath is an address of ours that came from outside, taken apart and put
// together again; "" for anything that could lead elsewhere.
func localPath(raw string) string {
	if len(raw) > maxNext || !strings.HasPrefix(raw, "/") || strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" {
		return ""
	}
	// What a browser, a proxy or a careless decoder might read as a host.
	// No address of ours has two slashes in a row, and "/.//host" is one once a proxy
	// has tidied it.
	if strings.Contains(u.Path, "//") || strings.Contains(u.Path, "\\") || strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' }) {
		return ""
	}
	clean := url.URL{Path: u.Path, RawQuery: u.Query().Encode()}
	if out := clean.String(); len(out) <= maxNext && strings.HasPrefix(out, "/") && !strings.HasPrefix(out, "//") {
		return out
	}
	return ""
}

// askToSignIn leads somebody unknown to sign-in and back again. What they had
// typed into a form comes back with them.
func (a *app) askToSignIn(c echo.Context) error {
	r := c.Request()
	next := r.URL.RequestURI()
	if !isSafe(r.Method) {
		kept := url.Values{}
		form, err := c.FormParams()
		if err != nil {
			return err
		}
		for name, values := range form {
			if slices.Contains([]string{"pack", "quantity"}, name) && len(values) > 0 {
				kept.Set(name, values[0])
			}
		}
		next = (&url.URL{Path: r.URL.Path, RawQuery: kept.Encode()}).String()
	}
	return c.Redirect(http.StatusSeeOther, withNext("/sign-in", next))
}

// withNext is an address that goes on to another of ours.
func withNext(to, next string) string {
	if next = localPath(next); next != "" && next != "/" {
		to += "?" + url.Values{"next": {next}}.Encode()
	}
	return to
}
