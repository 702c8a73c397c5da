package handlers

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// Plans, packs and rate cards are edited in two steps that need no script: the
// form leads to a page with what changes, which carries the form along unseen and
// publishes it, or leads back to editing. Nothing is stored in between.

// The steps, as a form names them in "act".
const (
	stepEdit    = "edit"
	stepPublish = "publish"
)

// typedPrice reads an amount of money as people type it: "97", "1,000.50".
func typedPrice(s, currency string) (int64, error) {
	plain := strings.TrimSpace(blanks.ReplaceAllString(s, " "))
	if grouped.MatchString(plain) {
		plain = strings.ReplaceAll(plain, ",", "")
	}
	m, err := models.ParseMoney(plain, currency)
	return m.Amount, err
}

// typed reads the fields of a form and keeps what could not be read.
type typed struct {
	currency string
	errors   views.FieldErrors
}

func (t *typed) wrong(field, text string) {
	t.errors = append(t.errors, views.FieldError{Field: field, Text: text})
}

func (t *typed) money(field, s string) int64 {
	if s == "" {
		t.wrong(field, "Enter a price, such as 97 or 97.00.")
		return 0
	}
	amount, err := typedPrice(s, t.currency)
	if err != nil {
		t.wrong(field, "Enter an amount of "+strings.ToUpper(t.currency)+", such as 97 or 97.00.")
	}
	return amount
}

// credits reads an amount of credits; empty is none.
func (t *typed) credits(field, s string) models.Credits {
	if s == "" {
		return 0
	}
	c, err := typedCredits(s)
	if err != nil {
		t.wrong(field, amountText(err))
	}
	return c
}

// count reads a whole number; empty is none.
func (t *typed) count(field, s string) int {
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(strings.ReplaceAll(s, ",", ""))
	if err != nil {
		t.wrong(field, "Enter a whole number, such as 10.")
	}
	return n
}

// merge adds what billing found wrong to what could not be read; false when it is
// not of these fields.
func (t *typed) merge(err error, fields ...string) bool {
	found, ok := wrongFields(err, fields...)
	if !ok {
		return false
	}
	for _, e := range found {
		if t.errors.For(e.Field) == "" {
			t.errors = append(t.errors, e)
		}
	}
	slices.SortStableFunc(t.errors, func(a, b views.FieldError) int {
		return slices.Index(fields, a.Field) - slices.Index(fields, b.Field)
	})
	return true
}

// field is a form's value without blanks around it.
func field(c echo.Context, name string) string { return strings.TrimSpace(c.FormValue(name)) }

// ticked are the boxes of a name that were ticked.
func ticked(c echo.Context, name string) []string {
	form, err := c.FormParams()
	if err != nil {
		return nil
	}
	return form[name]
}

// sentFields is everything a form sent, for the page that publishes it.
func sentFields(c echo.Context) []views.Hidden {
	form, err := c.FormParams()
	if err != nil {
		return nil
	}
	var out []views.Hidden
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if name == "csrf_token" || name == "act" {
			continue
		}
		for _, value := range form[name] {
			out = append(out, views.Hidden{Name: name, Value: value})
		}
	}
	return out
}

// diff is what differs between two lists of the same facts. Without an old one it
// is all of the new one.
func diff(before, after []views.Fact) []views.DiffLine {
	var out []views.DiffLine
	for i, f := range after {
		line := views.DiffLine{Label: f.Label, To: f.Value}
		if before != nil {
			if before[i].Value == f.Value {
				continue
			}
			line.From = before[i].Value
		}
		out = append(out, line)
	}
	return out
}

// numbered names a version in a sentence.
func numbered(n int) string { return "version " + strconv.Itoa(n) }

// aVersion names a version at the start of a sentence.
func aVersion(n int) string { return "Version " + strconv.Itoa(n) }

// agencyWords is "1 agency" or "38 agencies".
func agencyWords(n int64) string { return format.Plural(n, "agency", "agencies") }

// stay says how many agencies stay where they are: "38 agencies stay".
func stay(n int64) string {
	if n == 1 {
		return "1 agency stays"
	}
	return agencyWords(n) + " stay"
}

// actorName is an actor without its kind, for tables of versions.
func actorName(by string) string {
	kind, who, found := strings.Cut(by, ":")
	switch {
	case !found:
		return by
	case kind == "key":
		return "API key that ends in " + strings.TrimPrefix(who, "…")
	}
	return who
}

// conflict is a problem that no field of a form is to blame for, said on top of it.
func conflict(err error, at string, codes ...string) (views.FieldErrors, bool) {
	p := problem.Of(err)
	if p == nil || !slices.Contains(codes, p.Code) {
		return nil, false
	}
	return views.FieldErrors{{Field: at, Text: p.Message}}, true
}

// takesPlace is "Version 3 takes the place of version 2."
func takesPlace(version, before int) string {
	if before == 0 {
		return "This would be " + numbered(version) + "."
	}
	return aVersion(version) + " takes the place of " + numbered(before) + ", from now on."
}
