package ratecard

import (
	"errors"
	"strconv"
	"strings"

	"refill/models"
)

// Quantity is how much of a measure was used, in millionths: 1.5 pages are
// 1,500,000. It is never negative.
type Quantity int64

// Bounds of quantities.
const (
	One         Quantity = 1_000_000
	MaxQuantity          = 1_000_000_000_000 * One

	quantityDigits = 6  // behind the point
	maxNumberText  = 64 // characters of one written number
)

// ParseQuantity reads a decimal such as "12", "0.5" or "1.2e3", by value: at
// most six digits behind the point once the exponent is worked in. The digits
// never pass through a float.
func ParseQuantity(s string) (Quantity, error) {
	if len(s) > maxNumberText {
		return 0, errors.New("is too long; write at most 12 digits before the point and 6 behind it")
	}
	if strings.HasPrefix(s, "-") {
		return 0, errors.New("must not be negative; write 0 or more")
	}
	mantissa, exponent, err := cutExponent(s)
	if err != nil {
		return 0, err
	}
	whole, frac, point := strings.Cut(mantissa, ".")
	if whole == "" || (point && frac == "") || !allDigits(whole) || !allDigits(frac) {
		return 0, errors.New("is not a number; write digits, such as 12 or 0.5")
	}
	// The value is digits × 10^-scale with no zero at either end of digits.
	digits := strings.TrimLeft(whole+frac, "0")
	scale := len(frac) - exponent
	trimmed := strings.TrimRight(digits, "0")
	scale -= len(digits) - len(trimmed)
	switch {
	case trimmed == "":
		return 0, nil
	case scale > quantityDigits:
		return 0, errors.New("has more than 6 digits behind the point; round it to 6")
	case len(trimmed)+quantityDigits-scale > 19:
		return 0, errTooMuch()
	}
	v, err := strconv.ParseInt(trimmed+strings.Repeat("0", quantityDigits-scale), 10, 64)
	if err != nil || Quantity(v) > MaxQuantity {
		return 0, errTooMuch()
	}
	return Quantity(v), nil
}

func errTooMuch() error {
	return errors.New("is too large; the most is " + MaxQuantity.String())
}

// cutExponent splits "1.5e3" into "1.5" and 3. Exponents of more than three
// digits are refused before they can cost anything.
func cutExponent(s string) (mantissa string, exponent int, err error) {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s, 0, nil
	}
	text := s[i+1:]
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "+"), "-")
	if len(text)-len(digits) > 1 || digits == "" || !allDigits(digits) {
		return "", 0, errors.New("is not a number; write digits, such as 12 or 0.5")
	}
	if len(digits) > 3 {
		return "", 0, errors.New("has an exponent out of range; write the number out")
	}
	exponent, err = strconv.Atoi(text)
	return s[:i], exponent, err
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// String is the plain decimal without trailing zeros: "0.5", "5000".
func (q Quantity) String() string { return models.Credits(q).String() } // both are millionths

// MarshalJSON writes a plain JSON number.
func (q Quantity) MarshalJSON() ([]byte, error) { return []byte(q.String()), nil }

// UnmarshalJSON reads a JSON number or a string that holds one.
func (q *Quantity) UnmarshalJSON(b []byte) (err error) {
	s := string(b)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	*q, err = ParseQuantity(s)
	return err
}
