package handlers

import (
	"regexp"
	"strings"

	"refill/billing/problem"
	"refill/models"
	"refill/views/format"
)

// An amount as people type it: grouped as the pages write it, with commas, or with
// blanks. A point in front of three digits is a thousand to half of the world and
// a decimal to the other; only where no thousands can stand is it a decimal.
var (
	grouped   = regexp.MustCompile(`^\d{1,3}(,\d{3})+(\.\d+)?$`)
	spaced    = regexp.MustCompile(`^\d{1,3}( \d{3})+(\.\d+)?$`)
	ambiguous = regexp.MustCompile(`^[1-9]\d{0,2}\.\d{3}$`)
	blanks    = regexp.MustCompile("[\u00a0\u2009\u202f]")
)

// typedCredits reads an amount of credits as people type it in a form. What may
// mean two amounts is refused with the two ways to write it.
func typedCredits(s string) (models.Credits, error) {
	plain := strings.TrimSpace(blanks.ReplaceAllString(s, " "))
	switch {
	case grouped.MatchString(plain):
		plain = strings.ReplaceAll(plain, ",", "")
	case spaced.MatchString(plain):
		plain = strings.ReplaceAll(plain, " ", "")
	case ambiguous.MatchString(plain):
		small, err := models.ParseCredits(plain)
		if err != nil {
			return 0, err
		}
		return 0, problem.New(problem.Invalid, "invalid_credits", "The number of credits, %s, can be read in two ways. Enter %s or %s instead.",
			plain, small*1000, format.Typed(small)).On("credits")
	}
	return models.ParseCredits(plain)
}

// notAnAmount stands at a field of credits that holds something else.
const notAnAmount = "Enter a number of credits, such as 5000 or 5,000."

// amountText is what to say at a field whose amount could not be taken.
func amountText(err error) string {
	if p := problem.Of(err); p != nil {
		return p.Message
	}
	return notAnAmount
}
