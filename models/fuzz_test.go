package models_test

import (
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
)

var plainDecimal = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// FuzzAmounts: what is read as money, as credits or as a price is exactly the number
// that was written, and is written so that it is read as the same again.
func FuzzAmounts(f *testing.F) {
	for _, s := range []string{"0", "60.00", "-3.25", "0.000001", "9223372036854.775807", "9223372036854775808", "1e9", "+1", ".5", "5.", "１", "--1", "00012.5", "-0", "0x10", " 1", "1_0"} {
		for _, currency := range []string{"usd", "jpy", "kwd", "EUR", ""} {
			f.Add(s, currency)
		}
	}
	f.Fuzz(func(t *testing.T, s, currency string) {
		same := func(v int64, digits int, again string) {
			require.Regexp(t, plainDecimal, s)
			want, ok := new(big.Rat).SetString(s)
			require.True(t, ok, s)
			scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
			require.Zero(t, want.Cmp(new(big.Rat).SetFrac(big.NewInt(v), scale)), "%s read as %d", s, v)
			back, ok := new(big.Rat).SetString(again)
			require.True(t, ok, again)
			require.Zero(t, want.Cmp(back), "%s written as %s", s, again)
		}
		if c, err := models.ParseCredits(s); err == nil {
			same(int64(c), 6, c.String())
			again, err := models.ParseCredits(c.String())
			require.NoError(t, err)
			require.Equal(t, c, again)
		}
		if m, err := models.ParseMoney(s, currency); err == nil {
			same(m.Amount, models.MinorDigits(currency), m.Decimal())
			again, err := models.ParseMoney(m.Decimal(), currency)
			require.NoError(t, err)
			require.Equal(t, m, again)
			require.Equal(t, strings.ToLower(currency), m.Currency)
		}
		if u, err := models.ParseUnitPrice(s, currency); err == nil {
			same(int64(u), 6+models.MinorDigits(currency), u.Decimal(currency))
		}
	})
}

// FuzzColour: a colour is six hexadecimal digits and nothing else, so that it may
// stand in a style sheet.
func FuzzColour(f *testing.F) {
	for _, s := range []string{"#2448c8", "#FFFFFF", "#fff", "2448c8", "#+12345", "#-12345", "#0x1234", "#12 456", "#１23456", "#1_2_3_", "#;}a{b:c"} {
		f.Add(s)
	}
	digits := regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := models.ParseColour(s)
		require.Equal(t, digits.MatchString(s), err == nil, s)
		if err != nil {
			return
		}
		require.Equal(t, strings.ToLower(s), c.String())
		require.GreaterOrEqual(t, c.Contrast(0xffffff)+c.Contrast(0), 1.0)
	})
}
