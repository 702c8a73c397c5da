package format

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"refill/models"
)

// minus is U+2212, which is as wide as a figure and is read as "minus".
const minus = "\u2212"

// group puts a comma between thousands of a string of digits.
func group(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// sign splits an amount into its minus and its size.
func sign(v int64) (prefix string, size uint64) {
	if v < 0 {
		return minus, -uint64(v)
	}
	return "", uint64(v)
}

// Count is a grouped whole number: "1,842".
func Count(n int64) string {
	prefix, size := sign(n)
	return prefix + group(strconv.FormatUint(size, 10))
}

// Credits is the number of credits as every balance, line and total shows it:
// grouped, with decimals only when it is not whole, and then two, or as many as
// it takes to show that it is not zero. Further digits are cut off, not rounded:
// a balance never looks larger than it is.
func Credits(c models.Credits) string {
	prefix, size := sign(int64(c))
	const one = uint64(models.Credit)
	whole, frac := group(strconv.FormatUint(size/one, 10)), size%one
	if frac == 0 {
		return prefix + whole
	}
	digits := strconv.FormatUint(one+frac, 10)[1:] // six digits
	keep := 2
	if size < one {
		for keep < 6 && strings.Trim(digits[:keep], "0") == "" {
			keep++
		}
	}
	decimals := strings.TrimRight(digits[:keep], "0")
	if decimals == "" {
		return prefix + whole
	}
	return prefix + whole + "." + decimals
}

// Typed is an amount as a form takes it back: plain digits, and never a point with
// three digits behind it, which could be thousands.
func Typed(c models.Credits) string {
	text := c.String()
	if _, frac, _ := strings.Cut(text, "."); len(frac) == 3 {
		text += "0"
	}
	return text
}

// SignedCredits is a change: "+12,500", "−10", "0".
func SignedCredits(c models.Credits) string {
	if c > 0 {
		return "+" + Credits(c)
	}
	return Credits(c)
}

// CreditsWord is the number with its unit: "1 credit", "0.5 credits".
func CreditsWord(c models.Credits) string {
	if c == models.Credit {
		return "1 credit"
	}
	return Credits(c) + " credits"
}

// Estimate is a pace or a forecast: to the whole credit from ten credits on, for
// more digits would claim to know more.
func Estimate(c models.Credits) string {
	if c >= 10*models.Credit && c <= math.MaxInt64-models.Credit {
		c += models.Credit / 2
		c -= c % models.Credit
	}
	return Credits(c)
}

// Plural is a count with its noun: Plural(2, "agency", "agencies").
func Plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

// Compact is for axis ticks only: "0", "500", "2k", "1.2M".
func Compact(c models.Credits) string {
	prefix, size := sign(int64(c))
	for _, unit := range []struct {
		credits uint64
		suffix  string
	}{{1e9, "B"}, {1e6, "M"}, {1e3, "k"}} {
		step := unit.credits * uint64(models.Credit)
		if size < step {
			continue
		}
		tenths := size / (step / 10)
		text := group(strconv.FormatUint(tenths/10, 10))
		if tenths%10 != 0 {
			text += "." + strconv.FormatUint(tenths%10, 10)
		}
		return prefix + text + unit.suffix
	}
	return Credits(c)
}

// Percent is part of whole as a whole number, "<1%" for what would round to
// nothing. A whole of zero gives a dash.
func Percent(part, whole int64) string {
	if whole == 0 {
		return "—"
	}
	share := big.NewRat(part, whole)
	text := share.Mul(share, big.NewRat(100, 1)).FloatString(0)
	if text == "0" || text == "-0" {
		if part != 0 {
			return "<1%"
		}
		return "0%"
	}
	if digits, negative := strings.CutPrefix(text, "-"); negative {
		return minus + group(digits) + "%"
	}
	return group(text) + "%"
}

// Change compares two totals in words: "14% more than the previous cycle".
func Change(now, before models.Credits, than string) string {
	switch {
	case before == 0 && now == 0:
		return "the same as " + than
	case before == 0:
		return "none in " + than
	case now == before:
		return "the same as " + than
	case now > before:
		return Percent(int64(now-before), int64(before)) + " more than " + than
	default:
		return Percent(int64(before-now), int64(before)) + " less than " + than
	}
}
