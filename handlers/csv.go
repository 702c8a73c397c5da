package handlers

import (
	"encoding/csv"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"refill/models"
)

// export is a table being sent as CSV: RFC 4180, ISO times in the account's zone
// and in UTC, plain numbers. It is sent as it is read, so there is no limit of
// rows.
type export struct {
	c    echo.Context
	app  *app
	csv  *csv.Writer
	zone *time.Location
	rows int
}

// export begins a file named after whose it is, what is in it and the days it
// covers, both included; 0 leaves the days out.
func (a *app) export(c echo.Context, what string, from, to models.Time) *export {
	v := visitOf(c)
	zone := time.UTC
	name := fileWord(a.Name)
	if v.viewer != nil && !v.viewer.Admin {
		account := v.viewer.Account()
		zone, name = account.Zone, fileWord(account.Name())
	}
	name += "-" + what
	if from != 0 && to > from {
		name += "-" + from.In(zone).Format(time.DateOnly) + "_" + to.Add(-time.Microsecond).In(zone).Format(time.DateOnly)
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	h.Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="%s.csv"`, name))
	c.Response().WriteHeader(http.StatusOK)
	out := &export{c: c, app: a, csv: csv.NewWriter(c.Response()), zone: zone}
	out.csv.UseCRLF = true
	return out
}

// fileWord makes a name safe in a header and on a disk.
func fileWord(s string) string {
	word := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s), "-")
	for strings.Contains(word, "--") {
		word = strings.ReplaceAll(word, "--", "-")
	}
	if word == "" {
		return "export"
	}
	return word[:min(len(word), 60)]
}

// writeTime is how long the connection may take for the next part of a file.
const writeTime = time.Minute

func (e *export) row(cells ...string) {
	if err := e.csv.Write(cells); err != nil {
		return // the writer keeps its first error for done
	}
	if e.rows++; e.rows%1000 == 0 {
		e.csv.Flush()
		_ = http.NewResponseController(e.c.Response()).SetWriteDeadline(e.app.Wall.Now().Add(writeTime).Go()) // without it the server's own limit holds
	}
}

// local is an instant in the account's zone, with its offset.
func (e *export) local(t models.Time) string {
	if !t.IsSet() {
		return ""
	}
	return t.In(e.zone).Format("2006-01-02T15:04:05-07:00")
}

func (e *export) done() error {
	e.csv.Flush()
	return e.csv.Error()
}

// broken ends a file that could not be read to its end: the connection is cut,
// so that nobody takes half a file for a whole one.
func (e *export) broken(err error) error {
	e.app.Log.LogAttrs(e.c.Request().Context(), slog.LevelError, "export failed", slog.String("request_id", visitOf(e.c).ref), slog.Any("error", err))
	panic(http.ErrAbortHandler)
}

// text is a cell that somebody outside may have written: what a spreadsheet
// would take for a formula is marked as text.
func text(s string) string {
	lead := strings.TrimLeft(s, " \"'\u00a0\u3000")
	if lead == "" {
		return s
	}
	first, _ := utf8.DecodeRuneInString(lead)
	if strings.ContainsRune("=+-@\t\r\n\x00|%＝＋－＠", first) {
		return "'" + s
	}
	return s
}
