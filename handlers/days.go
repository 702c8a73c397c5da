package handlers

import (
	"fmt"
	"time"

	"refill/billing"
	"refill/billing/problem"
	"refill/views"
)

// Days a filter may ask for: the calendar of every database here has them.
const (
	firstYear = 2000
	lastYear  = 2999
)

// wrongDaysError says what is wrong with the dates of a filter, field by field. A page
// shows its form with them; a file is refused with the first.
type wrongDaysError views.FieldErrors

func (w wrongDaysError) Error() string { return "wrong days: " + w[0].Field }

// Unwrap is the problem for whoever has no form to show.
func (w wrongDaysError) Unwrap() error {
	return problem.New(problem.Invalid, "invalid_range", "%s", w[0].Text).On(w[0].Field)
}

// days are the two dates of a filter as they were typed, both included.
type days struct {
	from, to string
	until    string // what the form calls the second
	open     bool   // either may be left empty, and any number of days is fine
}

// check gives the days back as an error when they are no period. Nobody is shown
// another period than the one they asked for.
func (d days) check() error {
	var wrong wrongDaysError
	read := func(field, label, typed string) (day time.Time, given bool) {
		if typed == "" && d.open {
			return time.Time{}, false
		}
		day, err := time.Parse(time.DateOnly, typed)
		if err != nil {
			wrong = append(wrong, views.FieldError{Field: field, Text: "Enter a date in " + label + ", such as 2026-11-01."})
		}
		return day, err == nil
	}
	from, began := read("from", "From", d.from)
	to, ended := read("to", d.until, d.to)
	if began && ended {
		switch length := to.Sub(from); {
		case length < 0:
			wrong = append(wrong, views.FieldError{Field: "to", Text: d.until + " is before From. Enter a later date in " + d.until + ", or an earlier one in From."})
		case length >= billing.MaxUsageDays*24*time.Hour && !d.open:
			wrong = append(wrong, views.FieldError{Field: "to", Text: tooManyDays(d.until)})
		}
	}
	if len(wrong) == 0 && began && !possible(from) {
		wrong = append(wrong, views.FieldError{Field: "from", Text: impossible("From")})
	}
	if len(wrong) == 0 && ended && !possible(to) {
		wrong = append(wrong, views.FieldError{Field: "to", Text: impossible(d.until)})
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

func possible(day time.Time) bool { return day.Year() >= firstYear && day.Year() <= lastYear }

func impossible(label string) string {
	return fmt.Sprintf("Enter a date between the years %d and %d in %s.", firstYear, lastYear, label)
}

func tooManyDays(label string) string {
	return fmt.Sprintf("From and %s span more than %d days. Enter dates that are at most %d days apart.", label, billing.MaxUsageDays, billing.MaxUsageDays)
}
