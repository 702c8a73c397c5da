package format

import (
	"math/big"
	"strings"

	"refill/models"
)

// symbols are the signs that need no explanation; other currencies show their code.
//
//nolint:gochecknoglobals // a constant table
var symbols = map[string]string{
	"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "krw": "₩", "brl": "R$",
	"cad": "CA$", "aud": "A$", "nzd": "NZ$",
}

// withSymbol writes a plain decimal as an amount of a currency.
func withSymbol(decimal, currency string) string {
	body, negative := strings.CutPrefix(decimal, "-")
	whole, frac, point := strings.Cut(body, ".")
	text := group(whole)
	if point {
		text += "." + frac
	}
	code := strings.ToLower(currency)
	if symbol, ok := symbols[code]; ok {
		text = symbol + text
	} else {
		text = strings.ToUpper(code) + "\u00a0" + text
	}
	if negative {
		return minus + text
	}
	return text
}

// Money is an amount with the digits its currency has: "$50.00", "¥5,000".
func Money(m models.Money) string { return withSymbol(m.Decimal(), m.Currency) }

// PricePerCredit is the price of one credit: four decimals, and below 0.0010 two
// significant digits within six decimals. The exact fraction stays with the
// caller; a price too small even for that says so instead of showing zero.
func PricePerCredit(price *big.Rat, currency string) string {
	return withSymbol(smallDecimal(price, 4), currency)
}

// Per1000 is the price of a thousand credits, which people read more easily:
// "$2.86 per 1,000".
func Per1000(price *big.Rat, currency string) string {
	thousand := new(big.Rat).Mul(price, big.NewRat(1000, 1))
	return withSymbol(smallDecimal(thousand, models.MinorDigits(currency)), currency) + " per 1,000"
}

// Price is a price of something small, to the currency's digits unless that would
// hide it: "$0.06", "$0.0012".
func Price(price *big.Rat, currency string) string {
	return withSymbol(smallDecimal(price, models.MinorDigits(currency)), currency)
}

// Round is an amount without decimals that are all zero: "$43", "$5.50".
func Round(m models.Money) string {
	text := m.Decimal()
	if whole, frac, _ := strings.Cut(text, "."); strings.Trim(frac, "0") == "" {
		text = whole
	}
	return withSymbol(text, m.Currency)
}

// UnitPrice is a unit price as the exact fraction the other functions take.
func UnitPrice(u models.UnitPrice, currency string) *big.Rat {
	scale := int64(1_000_000)
	for range models.MinorDigits(currency) {
		scale *= 10
	}
	return big.NewRat(int64(u), scale)
}

// smallDecimal rounds to the given decimals unless that would hide the value: then
// it keeps two significant digits, up to six decimals, and at least the last one.
func smallDecimal(r *big.Rat, decimals int) string {
	if r.Sign() == 0 {
		return r.FloatString(decimals)
	}
	size := new(big.Rat).Abs(r)
	enough := new(big.Rat).SetFrac(big.NewInt(10), pow10(decimals)) // 0.0010 at four decimals
	if size.Cmp(enough) >= 0 {
		return r.FloatString(decimals)
	}
	digits := decimals
	for digits < 6 && size.Cmp(new(big.Rat).SetFrac(big.NewInt(10), pow10(digits))) < 0 {
		digits++
	}
	text := strings.TrimSuffix(strings.TrimRight(r.FloatString(digits), "0"), ".")
	if text == "0" || text == "-0" {
		// Rounded away entirely: show the smallest amount that can be shown.
		text = "0." + strings.Repeat("0", digits-1) + "1"
		if r.Sign() < 0 {
			text = "-" + text
		}
	}
	whole, frac, _ := strings.Cut(text, ".")
	frac += strings.Repeat("0", max(0, decimals-len(frac)))
	if frac == "" {
		return whole
	}
	return whole + "." + frac
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// Less is how much cheaper a price is than another, "43% less"; "" if it is not.
func Less(price, than *big.Rat) string {
	if than.Sign() <= 0 || price.Cmp(than) >= 0 {
		return ""
	}
	saved := new(big.Rat).Sub(than, price)
	saved.Quo(saved, than)
	percent := saved.Mul(saved, big.NewRat(100, 1)).FloatString(0)
	if percent == "0" {
		return "<1% less"
	}
	return percent + "% less"
}

// Symbol is what stands before an amount of the currency, for scripts that write
// amounts themselves: "$", or the code and a blank.
func Symbol(currency string) string {
	return strings.TrimSuffix(withSymbol("0", currency), "0")
}
