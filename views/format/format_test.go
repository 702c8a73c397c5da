package format

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/models"
)

const one = models.Credit

func TestCredits(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]models.Credits{
		"0": 0, "1": one, "18,420": 18_420 * one, "0.5": one / 2, "12.25": 12*one + one/4,
		"99.99": 100*one - 1, "7": 7*one + 1, "−223": -223 * one, "−0.5": -one / 2,
		"0.001": one / 1000, "0.000001": 1, "−0.000001": -1, "0.33": one / 3,
		"1,000,000,000,000": models.MaxBalance, "1.05": one + one/20, "0.05": one / 20,
	} {
		require.Equal(t, want, Credits(c), "%d", int64(c))
	}
	require.Equal(t, "+12,500", SignedCredits(12_500*one))
	require.Equal(t, "−10", SignedCredits(-10*one))
	require.Equal(t, "0", SignedCredits(0))
	require.Equal(t, "1 credit", CreditsWord(one))
	require.Equal(t, "0.5 credits", CreditsWord(one/2))
	require.Equal(t, "1 agency", Plural(1, "agency", "agencies"))
	require.Equal(t, "1,200 agencies", Plural(1200, "agency", "agencies"))
}

func TestCompact(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]int64{"0": 0, "500": 500, "2k": 2000, "1.2M": 1_200_000, "4k": 4000, "1.5k": 1500, "3B": 3_000_000_000} {
		require.Equal(t, want, Compact(models.Credits(n)*one))
	}
	require.Equal(t, "0.5", Compact(one/2))
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]models.Money{
		"$50.00":            {Amount: 5000, Currency: "usd"},
		"¥5,000":            {Amount: 5000, Currency: "jpy"},
		"KWD\u00a01.500":    {Amount: 1500, Currency: "kwd"},
		"€1,234.05":         {Amount: 123405, Currency: "eur"},
		"−£0.01":            {Amount: -1, Currency: "gbp"},
		"CHF\u00a01,000.00": {Amount: 100000, Currency: "chf"},
		"$0.00":             {Amount: 0, Currency: "usd"},
	} {
		require.Equal(t, want, Money(m))
	}
	require.Equal(t, "$", Symbol("usd"))
	require.Equal(t, "CHF\u00a0", Symbol("chf"))
}

func TestPricePerCredit(t *testing.T) {
	t.Parallel()
	usd := func(cents, credits int64) *big.Rat {
		return models.Money{Amount: cents, Currency: "usd"}.PerCredit(models.Credits(credits) * one)
	}
	// The three packs of the reference product, and prices below a tenth of a cent.
	require.Equal(t, "$0.0050", PricePerCredit(usd(1_000, 2_000), "usd"))
	require.Equal(t, "$0.0040", PricePerCredit(usd(5_000, 12_500), "usd"))
	require.Equal(t, "$0.0029", PricePerCredit(usd(10_000, 35_000), "usd"))
	require.Equal(t, "$0.00031", PricePerCredit(usd(31_000, 1_000_000), "usd"))
	require.Equal(t, "$0.0300", PricePerCredit(UnitPrice(3_000_000, "usd"), "usd"))
	require.Equal(t, "$0.0010", PricePerCredit(big.NewRat(1, 1000), "usd"))
	require.Equal(t, "$0.00099", PricePerCredit(big.NewRat(99, 100_000), "usd"))
	require.Equal(t, "$0.000012", PricePerCredit(big.NewRat(12, 1_000_000), "usd"))
	require.Equal(t, "$0.000001", PricePerCredit(big.NewRat(1, 1_000_000_000), "usd"))
	require.Equal(t, "$2.86 per 1,000", Per1000(usd(10_000, 35_000), "usd"))
	require.Equal(t, "$30.00 per 1,000", Per1000(UnitPrice(3_000_000, "usd"), "usd"))
	require.Equal(t, "¥5 per 1,000", Per1000(big.NewRat(5, 1000), "jpy"))
	require.Equal(t, "¥0.5 per 1,000", Per1000(big.NewRat(5, 10_000), "jpy"))
	require.Equal(t, "$0.06", Price(big.NewRat(6, 100), "usd"))
	require.Equal(t, "$0.0012", Price(big.NewRat(12, 10_000), "usd"))
	require.Equal(t, "¥6", Price(big.NewRat(6, 1), "jpy"))
	require.Equal(t, "$43", Round(models.Money{Amount: 4_300, Currency: "usd"}))
	require.Equal(t, "$1,005.50", Round(models.Money{Amount: 100_550, Currency: "usd"}))
	require.Equal(t, "−$3", Round(models.Money{Amount: -300, Currency: "usd"}))
	require.Equal(t, "43% less", Less(usd(10_000, 35_000), usd(1_000, 2_000)))
	require.Empty(t, Less(usd(1_000, 2_000), usd(1_000, 2_000)))
	require.Equal(t, "<1% less", Less(big.NewRat(999, 1000), big.NewRat(1, 1)))
}

func TestPercentAndChange(t *testing.T) {
	t.Parallel()
	for want, p := range map[string][2]int64{"43%": {43, 100}, "<1%": {1, 1000}, "0%": {0, 10}, "—": {1, 0}, "100%": {5, 5}, "1%": {7, 1000}, "6,927%": {6927, 100}, "−1,200%": {-12, 1}} {
		require.Equal(t, want, Percent(p[0], p[1]))
	}
	require.Equal(t, "14% more than the previous cycle", Change(114*one, 100*one, "the previous cycle"))
	require.Equal(t, "14% less than last week", Change(86*one, 100*one, "last week"))
	require.Equal(t, "the same as last week", Change(one, one, "last week"))
	require.Equal(t, "none in last week", Change(one, 0, "last week"))
}

func TestDays(t *testing.T) {
	t.Parallel()
	paris, err := time.LoadLocation("Europe/Paris")
	require.NoError(t, err)
	at := func(y int, m time.Month, d, h int) models.Time {
		return models.At(time.Date(y, m, d, h, 0, 0, 0, paris))
	}
	now := at(2025, time.November, 24, 23)
	require.Equal(t, "in 7 days (Mon, Dec 1)", Days(at(2025, time.December, 1, 0), now, paris))
	require.Equal(t, "tomorrow (Tue, Nov 25)", Days(at(2025, time.November, 25, 0), now, paris))
	require.Equal(t, "today (Mon, Nov 24)", Days(at(2025, time.November, 24, 1), now, paris))
	require.Equal(t, "yesterday (Sun, Nov 23)", Days(at(2025, time.November, 23, 23), now, paris))
	require.Equal(t, "3 days ago (Fri, Nov 21)", Days(at(2025, time.November, 21, 5), now, paris))
	require.Equal(t, "Thu, Jan 1, 2026", Date(at(2026, time.January, 1, 12), now, paris))
	require.Equal(t, "—", Date(0, now, paris))
	require.Equal(t, "—", DateTime(models.Never, now, paris))
	require.Equal(t, "Mon, Nov 24, 23:00", DateTime(now, now, paris))
	// The night the clocks go back has 25 hours, and is still one day.
	require.Equal(t, 1, DaysBetween(at(2025, time.October, 25, 12), at(2025, time.October, 26, 12), paris))
	require.Equal(t, "2025-11-24T22:00:00Z", Machine(now))
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := models.At(time.Date(2025, 11, 24, 12, 0, 0, 0, time.UTC))
	for want, d := range map[string]time.Duration{
		"just now": 0, "12 seconds ago": 12 * time.Second, "1 minute ago": time.Minute,
		"3 hours ago": 3 * time.Hour, "2 days ago": 50 * time.Hour,
	} {
		require.Equal(t, want, Ago(now.Add(-d), now))
	}
	require.Equal(t, "just now", Ago(now.Add(time.Hour), now), "a clock that is behind is not the future")
}

// shown tells whether a text shows anything but zeros.
func shown(text string) bool { return strings.ContainsAny(text, "123456789") }

// N1: what is not zero is never shown as zero, whatever its size.
func TestNothingIsShownAsZero(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		price := big.NewRat(rapid.Int64Range(1, 1_000_000_000).Draw(r, "minor"), rapid.Int64Range(1, 1_000_000_000_000).Draw(r, "credits"))
		currency := rapid.SampledFrom([]string{"usd", "jpy", "kwd"}).Draw(r, "currency")
		require.True(r, shown(PricePerCredit(price, currency)), PricePerCredit(price, currency))
		require.True(r, shown(strings.TrimSuffix(Per1000(price, currency), " per 1,000")), Per1000(price, currency))

		c := models.Credits(rapid.Int64Range(-int64(models.MaxBalance), int64(models.MaxBalance)).Draw(r, "c"))
		require.Equal(r, c != 0, shown(Credits(c)), Credits(c))

		whole := rapid.Int64Range(1, int64(models.MaxBalance)).Draw(r, "whole")
		part := rapid.Int64Range(1, whole).Draw(r, "part")
		require.True(r, shown(Percent(part, whole)), Percent(part, whole))
	})
}

// A balance never looks larger than it is, and reads back to within a hundredth.
func TestCreditsAreCutNotRounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		c := models.Credits(rapid.Int64Range(0, int64(models.MaxBalance)).Draw(r, "c"))
		back, err := models.ParseCredits(strings.ReplaceAll(Credits(c), ",", ""))
		require.NoError(r, err)
		require.LessOrEqual(r, back, c)
		require.Less(r, c-back, one/100)
	})
}

func TestEstimateKnowsNoFractions(t *testing.T) {
	t.Parallel()
	for in, want := range map[models.Credits]string{
		890_140_000: "890", 890_500_000: "891", 9_990_000: "9.99", 500_000: "0.5", 0: "0", models.Credits(10_000_000): "10", 33_991_300_000: "33,991",
	} {
		require.Equal(t, want, Estimate(in))
	}
}
