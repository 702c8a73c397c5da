package handlers

import (
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/models"
)

// writeTime is how long the connection may take for the next part of a file.
const writeTime = time.Minute

// download sends a file as it is read, so there is no limit of rows: CSV, or a
// workbook of the same rows where the address says as=xlsx. It is named
// after whose it is, what is in it and the days it covers, both included (0
// leaves the days out). Nothing is sent before the first rows are there, so that
// what cannot be read is an error page; a file that breaks off later cuts the
// connection, so that nobody takes half a file for a whole one.
func (a *app) download(c echo.Context, what string, from, to models.Time, export func(io.Writer) error) error {
	v := visitOf(c)
	whose, zone := a.Name, time.UTC
	if !v.viewer.Admin {
		account := v.viewer.Account()
		whose, zone = account.Name(), account.Zone
	}
	name := fileWord(whose) + "-" + what
	if from != 0 && to > from && to != models.Never {
		name += "-" + from.In(zone).Format(time.DateOnly) + "_" + to.Add(-time.Microsecond).In(zone).Format(time.DateOnly)
	}
	file := &file{c: c, name: name + ".csv", kind: "text/csv; charset=utf-8"}
	if c.QueryParam("as") == "xlsx" {
		rows := export
		file.name, file.kind = name+".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
		export = func(w io.Writer) error { return workbook(w, rows) }
	}
	if err := export(file); err != nil {
		if !file.begun {
			return err
		}
		a.Log.LogAttrs(c.Request().Context(), slog.LevelError, "export failed", slog.String("request_id", v.ref), slog.Any("error", err))
		panic(http.ErrAbortHandler)
	}
	return nil
}

// list sends a list as a file: what its columns are called, then the rows as they
// are written.
func (a *app) list(c echo.Context, what string, columns []string, rows func(write func(...string) error) error) error {
	return a.download(c, what, 0, 0, func(w io.Writer) error {
		out := csv.NewWriter(w)
		out.UseCRLF = true
		write := func(cells ...string) error { return out.Write(cells) }
		if err := write(columns...); err != nil {
			return err
		}
		if err := rows(write); err != nil {
			return err
		}
		out.Flush()
		return out.Error()
	})
}

// stamps are an instant in an account's zone and in UTC; nothing for none.
func stamps(t models.Time, zone *time.Location) (local, utc string) {
	if !t.IsSet() {
		return "", ""
	}
	return t.In(zone).Format(time.RFC3339), t.Go().Format(time.RFC3339)
}

// file is a download that begins with its first bytes.
type file struct {
	c     echo.Context
	name  string
	kind  string
	begun bool
}

func (f *file) Write(b []byte) (int, error) {
	res := f.c.Response()
	if !f.begun {
		f.begun = true
		res.Header().Set(echo.HeaderContentType, f.kind)
		res.Header().Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="%s"`, f.name))
		res.WriteHeader(http.StatusOK)
	}
	// Without it, the server's own limit on a whole answer holds.
	_ = http.NewResponseController(res.Writer).SetWriteDeadline(time.Now().Add(writeTime)) //nolint:forbidigo // wall time: a connection knows no other
	return res.Write(b)
}

// fileWord makes a name safe in a header and on a disk.
func fileWord(s string) string {
	word := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s)
	for strings.Contains(word, "--") {
		word = strings.ReplaceAll(word, "--", "-")
	}
	if word = strings.Trim(word[:min(len(word), 60)], "-"); word == "" {
		return "export"
	}
	return word
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// text is a cell that somebody outside may have written.
func text(s string) string { return billing.Cell(s) }
