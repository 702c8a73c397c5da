package models

import (
	"fmt"
	"math/big"
	"strings"
)

// Money is an amount in minor units of a currency: {1050, "usd"} is $10.50.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// minorDigits lists the currencies that do not have two decimals (ISO 4217).
//
//nolint:gochecknoglobals // a constant table
var minorDigits = map[string]int{
	"bif": 0, "clp": 0, "djf": 0, "gnf": 0, "jpy": 0, "kmf": 0, "krw": 0, "mga": 0,
	"pyg": 0, "rwf": 0, "ugx": 0, "vnd": 0, "vuv": 0, "xaf": 0, "xof": 0, "xpf": 0,
	"bhd": 3, "iqd": 3, "jod": 3, "kwd": 3, "lyd": 3, "omr": 3, "tnd": 3,
}

// MinorDigits is how many decimals a currency's amounts have.
func MinorDigits(currency string) int {
	if d, ok := minorDigits[strings.ToLower(currency)]; ok {
		return d
	}
	return 2
}

// ParseMoney reads a decimal amount of a currency, such as "60.00" in "usd".
func ParseMoney(s, currency string) (Money, error) {
	v, err := parseFixed(s, MinorDigits(currency))
	if err != nil {
		return Money{}, fmt.Errorf("%q is not an amount of %s: %w", s, strings.ToUpper(currency), err)
	}
	return Money{Amount: v, Currency: strings.ToLower(currency)}, nil
}

// Decimal is the plain decimal of the amount, "10.50", without the currency.
func (m Money) Decimal() string {
	digits := MinorDigits(m.Currency)
	s := formatFixed(m.Amount, digits)
	if digits == 0 {
		return s
	}
	whole, frac, _ := strings.Cut(s, ".")
	return whole + "." + frac + strings.Repeat("0", digits-len(frac))
}

// PerCredit is the exact price of one credit in the currency's major unit.
func (m Money) PerCredit(c Credits) *big.Rat {
	if c == 0 {
		return new(big.Rat)
	}
	scale := int64(1)
	for range MinorDigits(m.Currency) {
		scale *= 10
	}
	price := big.NewRat(m.Amount, scale)
	return price.Quo(price, c.Rat())
}

// UnitPrice is the price of one credit in millionths of a minor unit: $0.03 is
// 3,000,000. It orders lots by cost and prices quantities.
type UnitPrice int64

// UnitPriceOf rounds a total over an amount of credits to a UnitPrice, for
// ordering only: sums are booked from totals.
func UnitPriceOf(total Money, c Credits) UnitPrice {
	if c <= 0 {
		return 0
	}
	v, err := MulDiv(total.Amount*1_000_000, int64(Credit), int64(c))
	if err != nil {
		return 0
	}
	return UnitPrice(v)
}

// Times is the price of an amount of credits in minor units, rounded up.
func (u UnitPrice) Times(c Credits) (int64, error) {
	v, err := MulDiv(int64(u), int64(c), int64(Credit))
	if err != nil {
		return 0, err
	}
	return (v + 999_999) / 1_000_000, nil
}

// Decimal is the unit price in the currency's major unit, "0.03".
func (u UnitPrice) Decimal(currency string) string {
	return formatFixed(int64(u), 6+MinorDigits(currency))
}

// ParseUnitPrice reads a decimal price of one credit in the major unit.
func ParseUnitPrice(s, currency string) (UnitPrice, error) {
	v, err := parseFixed(s, 6+MinorDigits(currency))
	if err != nil {
		return 0, fmt.Errorf("%q is not a price per credit: %w", s, err)
	}
	return UnitPrice(v), nil
}
