package models

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Credits is an amount of AI credits in millionths: 1 credit = 1,000,000.
type Credits int64

// Bounds of amounts; every input is held against them (DESIGN 4).
const (
	Credit     Credits = 1_000_000
	MaxCharge          = 1_000_000_000 * Credit     // one charge
	MaxBalance         = 1_000_000_000_000 * Credit // one wallet
)

// ErrOutOfRange says that an amount left the bounds of its type.
var ErrOutOfRange = errors.New("amount out of range")

// Add is checked addition: it never wraps round.
func (c Credits) Add(d Credits) (Credits, error) {
	s := c + d
	if (s > c) != (d > 0) && d != 0 {
		return 0, ErrOutOfRange
	}
	return s, nil
}

// ParseCredits reads a decimal with at most six digits behind the point, such
// as "12", "0.5" or "-3.25". It accepts no exponent, grouping or blank.
func ParseCredits(s string) (Credits, error) {
	v, err := parseFixed(s, 6)
	if err != nil {
		return 0, fmt.Errorf("%q is not an amount of credits: %w", s, err)
	}
	return Credits(v), nil
}

// String is the plain decimal without trailing zeros: "0.5", "-12", "1000".
func (c Credits) String() string { return formatFixed(int64(c), 6) }

// Counted is the amount with its noun: "1 credit", "0.5 credits", "25 credits".
func (c Credits) Counted() string {
	if c == Credit {
		return "1 credit"
	}
	return c.String() + " credits"
}

// Are is the verb that goes with the amount: "is" of one credit, else "are".
func (c Credits) Are() string {
	if c == Credit {
		return "is"
	}
	return "are"
}

// MarshalText writes the decimal string of the API.
func (c Credits) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the decimal string of the API.
func (c *Credits) UnmarshalText(b []byte) (err error) {
	*c, err = ParseCredits(string(b))
	return err
}

// parseFixed reads a decimal with up to digits fractional digits as an integer
// of that scale.
func parseFixed(s string, digits int) (int64, error) {
	body, neg := strings.CutPrefix(s, "-")
	whole, frac, point := strings.Cut(body, ".")
	if whole == "" || (point && frac == "") {
		return 0, errors.New("write digits, such as 12 or 0.5")
	}
	if len(frac) > digits {
		return 0, fmt.Errorf("at most %d digits behind the point", digits)
	}
	for _, r := range whole + frac {
		if r < '0' || r > '9' {
			return 0, errors.New("only digits and one point")
		}
	}
	v, err := strconv.ParseInt(whole+frac+strings.Repeat("0", digits-len(frac)), 10, 64)
	if err != nil {
		return 0, ErrOutOfRange
	}
	if neg {
		v = -v
	}
	return v, nil
}

// formatFixed writes an integer of the given scale as a plain decimal.
func formatFixed(v int64, digits int) string {
	neg := v < 0
	u := uint64(v) //nolint:gosec // the wrap of the smallest value is undone by the negation below
	if neg {
		u = -u
	}
	s := strconv.FormatUint(u, 10)
	if len(s) <= digits {
		s = strings.Repeat("0", digits-len(s)+1) + s
	}
	whole, frac := s[:len(s)-digits], strings.TrimRight(s[len(s)-digits:], "0")
	if frac != "" {
		whole += "." + frac
	}
	if neg && whole != "0" {
		whole = "-" + whole
	}
	return whole
}

// MulDiv is a × b ÷ c rounded down, through a 128-bit product. All three must
// not be negative and c not zero; a result beyond int64 is ErrOutOfRange.
func MulDiv(a, b, c int64) (int64, error) {
	if a < 0 || b < 0 || c <= 0 {
		return 0, ErrOutOfRange
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return 0, ErrOutOfRange
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	if q > math.MaxInt64 {
		return 0, ErrOutOfRange
	}
	return int64(q), nil
}

// Part is the share of total that belongs to the part (from, to] of whole, by
// cumulative difference: the parts of a whole always add up to the total.
func Part(total, from, to, whole int64) (int64, error) {
	upper, err := MulDiv(total, to, whole)
	if err != nil {
		return 0, err
	}
	lower, err := MulDiv(total, from, whole)
	return upper - lower, err
}

// Rat is the amount as an exact fraction of whole credits, for display
// arithmetic only.
func (c Credits) Rat() *big.Rat { return big.NewRat(int64(c), int64(Credit)) }
