package billing

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/models"
)

func dollars(minor int64) models.Money { return models.Money{Amount: minor, Currency: "usd"} }

func whole(n int64) models.Credits { return models.Credits(n) * models.Credit }

// The example of the reference product: bought at 35,000 for $100, sold at $0.006.
func TestMarginOfTheSeedExample(t *testing.T) {
	t.Parallel()
	m, err := Reckon(whole(10_000), dollars(6_000), UnitCost{10_000, whole(35_000)}, Fees{Card: CardFeeOf("usd")})
	require.NoError(t, err)
	require.Equal(t, Margin{
		Credits: whole(10_000), Price: dollars(6_000), Cost: dollars(2_857), Fee: dollars(204), Platform: dollars(0), Keep: dollars(2_939), BreakEven: dollars(2_973),
		Targets: [3]Target{{30, dollars(4_300)}, {50, dollars(6_200)}, {70, dollars(10_700)}},
	}, m)
	require.EqualValues(t, 21, m.TimesCost())
	require.False(t, m.Lossy())
	require.False(t, m.Thin())

	m, err = Reckon(whole(10_000), dollars(2_972), UnitCost{10_000, whole(35_000)}, Fees{Card: CardFeeOf("usd")})
	require.NoError(t, err)
	require.True(t, m.Lossy(), "a cent below break-even loses")
	require.False(t, m.Thin())
	m, err = Reckon(whole(10_000), dollars(3_300), UnitCost{10_000, whole(35_000)}, Fees{Card: CardFeeOf("usd")})
	require.NoError(t, err)
	require.True(t, m.Thin())
}

func TestMarginInOtherCurrencies(t *testing.T) {
	t.Parallel()
	// Below ten units prices go in halves, from Stripe's least charge up.
	small, err := Reckon(whole(100), dollars(500), UnitCost{10_000, whole(35_000)}, Fees{Card: CardFeeOf("usd")})
	require.NoError(t, err)
	require.Equal(t, [3]Target{{30, dollars(100)}, {50, dollars(150)}, {70, dollars(250)}}, small.Targets)
	// Yen have no halves and no fixed fee.
	yen := models.Money{Amount: 6_000, Currency: "jpy"}
	m, err := Reckon(whole(10_000), yen, UnitCost{10_000, whole(35_000)}, Fees{Card: CardFeeOf("jpy")})
	require.NoError(t, err)
	require.EqualValues(t, 2_857, m.Cost.Amount)
	require.EqualValues(t, 216, m.Fee.Amount)
	require.EqualValues(t, 6_150, m.Targets[1].Price.Amount)
	// What no payment can be is not recommended.
	m, err = Reckon(models.MaxCharge, dollars(maxPrice), UnitCost{1_000, whole(1_000)}, Fees{Card: CardFeeOf("usd")})
	require.NoError(t, err)
	require.Zero(t, m.BreakEven.Amount)
	require.Zero(t, m.Targets[0].Price.Amount)
	_, err = Reckon(models.MaxCharge, dollars(1), UnitCost{maxPrice, 1}, Fees{Card: CardFeeOf("usd")})
	require.ErrorIs(t, err, models.ErrOutOfRange)
	// Credits that cost nothing: no multiple of nothing.
	m, err = Reckon(whole(10), dollars(100), UnitCost{0, whole(1)}, Fees{Card: CardFeeOf("usd")})
	require.NoError(t, err)
	require.Zero(t, m.TimesCost())
}

// Whatever the amounts: the price is cost, fee and what is kept, to the minor
// unit; break-even is the very edge; a recommended price reaches its target, and
// no lower round price does.
func TestMarginHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		currency := rapid.SampledFrom([]string{"usd", "eur", "gbp", "jpy", "kwd", "huf", "zzz"}).Draw(r, "currency")
		credits := models.Credits(rapid.Int64Range(1, int64(models.MaxCharge)).Draw(r, "credits"))
		price := rapid.Int64Range(0, maxPrice).Draw(r, "price")
		// A whole package costs up to a third of the largest payment.
		unit := UnitCost{rapid.Int64Range(0, maxPrice/3).Draw(r, "cost"), credits}
		fee := CardFeeOf(currency)
		m, err := Reckon(credits, models.Money{Amount: price, Currency: currency}, unit, Fees{Card: fee})
		require.NoError(r, err)
		require.Equal(r, price, m.Cost.Amount+m.Fee.Amount+m.Keep.Amount)
		require.Equal(r, unit.Price, m.Cost.Amount)
		require.Equal(r, price < m.BreakEven.Amount, m.Lossy())
		for _, target := range m.Targets {
			p := target.Price.Amount
			if p == 0 {
				continue
			}
			at, err := Reckon(credits, target.Price, unit, Fees{Card: fee})
			require.NoError(r, err)
			share := big.NewRat(at.Keep.Amount*100, p)
			require.GreaterOrEqual(r, share.Cmp(big.NewRat(target.Percent*20-1, 20)), 0, "%s %% of %d", share.FloatString(3), p)
			unit := majorUnit(currency)
			if p > 10*unit {
				require.Zero(r, p%unit)
			}
		}
	})
}

// A cost is rounded as the ledger rounds the first part of a lot, and parts of a
// lot never add up to more than it.
func TestCostIsTheLedgers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		granted := rapid.Int64Range(1, int64(models.MaxCharge)).Draw(r, "granted")
		part := rapid.Int64Range(1, granted).Draw(r, "part")
		price := rapid.Int64Range(0, maxPrice).Draw(r, "price")
		want, err := models.Part(price, 0, part, granted)
		require.NoError(r, err)
		got, err := UnitCost{price, models.Credits(granted)}.Of(models.Credits(part))
		require.NoError(r, err)
		require.Equal(r, want, got)
	})
}

func TestAverageCost(t *testing.T) {
	t.Parallel()
	hundred := UnitCost{10_000, whole(35_000)}
	require.False(t, averageCost(nil, nil).Known())
	// One price, however often it was paid and whatever is left: that very price.
	twice := UnitCost{20_000, whole(70_000)}
	require.Equal(t, hundred, averageCost([]UnitCost{hundred, twice}, []models.Credits{1, whole(70_000)}))
	// 2,000 at half a cent and 6,000 at 0.4 cents are 0.425 cents.
	mixed := averageCost([]UnitCost{{1_000, whole(2_000)}, {5_000, whole(12_500)}}, []models.Credits{whole(2_000), whole(6_000)})
	cost, err := mixed.Of(whole(8_000))
	require.NoError(t, err)
	require.EqualValues(t, 3_400, cost)
	require.Equal(t, ofUnitPrice(425_000).perCredit(), mixed.perCredit())
}

// What Stripe's own pages say, in the currencies of the EEA that are not the euro
// and at the edges of the table of least payments.
func TestFeesAndLeastPaymentsAreStripes(t *testing.T) {
	t.Parallel()
	for currency, fee := range map[string]CardFee{
		"eur": {15_000, 25}, "sek": {15_000, 180}, "dkk": {15_000, 180}, "pln": {15_000, 100}, "czk": {15_000, 650}, "huf": {15_000, 8_500},
		"ron": {15_000, 100}, "bgn": {15_000, 50}, "nok": {24_000, 200}, "chf": {29_000, 30}, "aud": {17_000, 30}, "nzd": {27_000, 30}, "hkd": {34_000, 235},
	} {
		require.Equal(t, fee, CardFeeOf(currency), currency)
	}
	least := map[string]int64{
		"usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1_500, "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400,
		"huf": 17_500, "inr": 50, "jpy": 50, "mxn": 1_000, "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1_000,
	}
	require.Len(t, least, 24)
	for currency, amount := range least {
		require.Equal(t, amount, MinimumCharge(currency), currency)
	}
	require.Zero(t, MinimumCharge("zar"))
}
