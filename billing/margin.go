package billing

import (
	"math/big"
	"sort"

	"refill/models"
)

// What an agency keeps of a package's price. Everything that shows a margin, the
// editor with and without script, the list, the API, comes from Reckon: the
// numbers cannot differ. All amounts are minor units of one currency.

// UnitCost is what a credit costs, as the exact fraction of a price over the
// credits that it bought: $100.00 over 35,000 credits. The zero UnitCost is not
// known.
type UnitCost struct {
	Price   int64 // minor units
	Credits models.Credits
}

// Known tells a cost from none.
func (u UnitCost) Known() bool { return u.Credits > 0 }

// Of is what an amount of credits costs, rounded as the ledger books the part of
// a lot that is carved first: down, the rest falling to the parts after it.
func (u UnitCost) Of(c models.Credits) (int64, error) {
	return models.MulDiv(u.Price, int64(c), int64(u.Credits))
}

// perCredit is the exact price of one credit, in minor units.
func (u UnitCost) perCredit() *big.Rat {
	return new(big.Rat).Mul(big.NewRat(u.Price, int64(u.Credits)), big.NewRat(int64(models.Credit), 1))
}

// ofUnitPrice is a cost that was given per credit.
func ofUnitPrice(u models.UnitPrice) UnitCost {
	return UnitCost{Price: int64(u), Credits: 1_000_000 * models.Credit}
}

// averageCost weighs costs by how much there is of each. Where all are the same
// fraction it is that very fraction; else it is rounded to a billionth of a minor
// unit per credit.
func averageCost(costs []UnitCost, amounts []models.Credits) UnitCost {
	if len(costs) == 0 {
		return UnitCost{}
	}
	total, credits, same := new(big.Rat), new(big.Rat), true
	for i, u := range costs {
		same = same && u.perCredit().Cmp(costs[0].perCredit()) == 0
		total.Add(total, new(big.Rat).Mul(u.perCredit(), amounts[i].Rat()))
		credits.Add(credits, amounts[i].Rat())
	}
	if same {
		return costs[0]
	}
	const fine = 1_000_000_000
	average := total.Quo(total, credits)
	average.Mul(average, big.NewRat(fine, 1)).Add(average, big.NewRat(1, 2))
	price := new(big.Int).Quo(average.Num(), average.Denom())
	if !price.IsInt64() {
		return UnitCost{}
	}
	return UnitCost{Price: price.Int64(), Credits: fine * models.Credit}
}

// CardFee is what the payment provider keeps of a card payment.
type CardFee struct {
	Share int64 // of the price, in millionths: 29,000 is 2.9 %
	Fixed int64 // minor units
}

// Of is the fee of a price, the share rounded to the nearest minor unit.
func (f CardFee) Of(price int64) int64 { return (price*f.Share+500_000)/1_000_000 + f.Fixed }

// CardFeeOf is Stripe's standard fee for a domestic card in a currency. It is what
// an agency must reckon with before a sale; what Stripe really kept is on the
// sale. Sources: stripe.com/pricing (USD), stripe.com/en-de/pricing (EUR),
// stripe.com/en-hk/pricing (HKD), and of support.stripe.com "Pricing updates for
// businesses based in the European Economic Area", with the fixed part in the
// currencies of the EEA, the same for Norway and for Switzerland, "April 2024
// pricing update … in Australia" and "October 2023 pricing updates" (NZD). Not
// seen on a page of Stripe's own, only as others repeat it: GBP, CAD, JPY, SGD,
// MXN and BRL; INR nowhere. A currency that is not listed has 2.9 % and no fixed
// part.
func CardFeeOf(currency string) CardFee {
	switch currency {
	case "usd", "cad":
		return CardFee{29_000, 30}
	case "eur":
		return CardFee{15_000, 25}
	case "gbp":
		return CardFee{15_000, 20}
	case "aud":
		return CardFee{17_000, 30}
	case "nzd":
		return CardFee{27_000, 30}
	case "chf":
		return CardFee{29_000, 30}
	case "jpy":
		return CardFee{36_000, 0}
	case "sgd":
		return CardFee{34_000, 50}
	case "hkd":
		return CardFee{34_000, 235}
	case "sek", "dkk":
		return CardFee{15_000, 180}
	case "nok":
		return CardFee{24_000, 200}
	case "pln", "ron":
		return CardFee{15_000, 100}
	case "bgn":
		return CardFee{15_000, 50}
	case "czk":
		return CardFee{15_000, 650}
	case "huf":
		return CardFee{15_000, 8_500}
	case "inr":
		return CardFee{20_000, 0}
	case "brl":
		return CardFee{39_900, 39}
	case "mxn":
		return CardFee{36_000, 300}
	}
	return CardFee{29_000, 0}
}

// Fees are what a sale costs beside its credits.
type Fees struct {
	Card     CardFee
	Platform FeeShare
}

func (f Fees) of(price int64) int64 { return f.Card.Of(price) + f.Platform.Of(price) }

// MinimumCharge is the least that Stripe takes in one payment, in minor units; 0
// for a currency that its table does not name. Source: docs.stripe.com/currencies,
// "Minimum and maximum charge amounts", all of its 24 currencies.
func MinimumCharge(currency string) int64 {
	switch currency {
	case "usd", "aud", "brl", "cad", "chf", "eur", "inr", "nzd", "sgd", "jpy": // 50 yen have no decimals
		return 50
	case "gbp":
		return 30
	case "aed", "myr", "pln", "ron":
		return 200
	case "bgn":
		return 100
	case "dkk":
		return 250
	case "nok", "sek":
		return 300
	case "hkd":
		return 400
	case "mxn", "thb":
		return 1_000
	case "czk":
		return 1_500
	case "huf":
		return 17_500
	}
	return 0
}

// The margins that a price is recommended for, in percent.
const (
	lowTarget    = 30
	middleTarget = 50 // of the ready-made packages
	highTarget   = 70
)

// thinMargin is the margin below which an agency is warned, in percent.
const thinMargin = 15

// Target is the price that a margin asks for.
type Target struct {
	Percent int64
	Price   models.Money // 0: no payment can be that large
}

// Margin is what a package's price leaves.
type Margin struct {
	Credits   models.Credits
	Price     models.Money // client pays
	Cost      models.Money // of the credits
	Fee       models.Money // card fee, about
	Platform  models.Money // the platform's share
	Keep      models.Money // Price − Cost − Fee − Platform; below 0: a loss
	BreakEven models.Money // the least price that loses nothing; 0: no payment can be that large
	Targets   [3]Target    // at 30, 50 and 70 %
}

// Reckon works out what an agency keeps when it sells an amount of credits at a
// price. The cost must be known; amounts lie within the bounds of a package.
// Errors: models.ErrOutOfRange.
func Reckon(credits models.Credits, price models.Money, unit UnitCost, fees Fees) (Margin, error) {
	cost, err := unit.Of(credits)
	if err != nil {
		return Margin{}, err
	}
	money := func(amount int64) models.Money { return models.Money{Amount: amount, Currency: price.Currency} }
	m := Margin{Credits: credits, Price: price, Cost: money(cost), Fee: money(fees.Card.Of(price.Amount)), Platform: money(fees.Platform.Of(price.Amount)), BreakEven: money(0)}
	m.Keep = money(price.Amount - cost - m.Fee.Amount - m.Platform.Amount)
	// What is kept rises with the price, but for the one minor unit by which two
	// rounded fees may jump at once.
	if n := sort.Search(maxPrice+1, func(p int) bool { return int64(p)-fees.of(int64(p)) >= cost }); n <= maxPrice {
		m.BreakEven = money(int64(n))
	}
	for i, percent := range []int64{lowTarget, middleTarget, highTarget} {
		m.Targets[i] = Target{percent, money(recommended(cost, percent, price.Currency, fees))}
	}
	return m, nil
}

// recommended is the lowest round price whose margin reaches a target: in whole
// units from ten up, in halves below. That is (cost + fixed fee) ÷ (1 − fee share
// − target) rounded up, except that a margin counts as reached to the tenth of a
// percent: 43.03 asks for 43, which keeps 29.95 %, not for 44. 0: there is none
// that one payment can be.
func recommended(cost, percent int64, currency string, fees Fees) int64 {
	unit := majorUnit(currency)
	half := max(1, unit/2)
	few := int(10 * unit / half) // prices below and at ten units
	at := func(i int) int64 {
		if i <= few {
			return int64(i) * half
		}
		return 10*unit + int64(i-few)*unit
	}
	many := few + int((maxPrice-10*unit)/unit)
	least := max(1, MinimumCharge(currency))
	i := sort.Search(many+1, func(i int) bool {
		price := at(i)
		// keep ÷ price ≥ (percent − 0.05) %, in whole numbers.
		return price >= least && (price-cost-fees.of(price))*2000 >= (percent*20-1)*price
	})
	if i > many {
		return 0
	}
	return at(i)
}

// majorUnit is how many minor units make one: 100 cents, 1 yen.
func majorUnit(currency string) int64 {
	unit := int64(1)
	for range models.MinorDigits(currency) {
		unit *= 10
	}
	return unit
}

// Lossy tells whether each sale costs more than it brings.
func (m Margin) Lossy() bool { return m.Keep.Amount < 0 }

// Thin tells a margin below 15 % that is no loss.
func (m Margin) Thin() bool {
	return !m.Lossy() && m.Keep.Amount*100 < thinMargin*m.Price.Amount
}

// TimesCost is the price over the cost of the credits, in tenths, 21 for 2.1; 0
// where they cost nothing.
func (m Margin) TimesCost() int64 {
	if m.Cost.Amount == 0 {
		return 0
	}
	return (20*m.Price.Amount + m.Cost.Amount) / (2 * m.Cost.Amount)
}
