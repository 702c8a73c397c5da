package chart

import (
	"refill/models"
	"refill/views/format"
)

// Money is an amount as a value of a chart: a unit of its currency takes the place
// of a credit.
func Money(m models.Money) models.Credits { return models.Credits(m.Amount) * minor(m.Currency) }

// minor is the smallest amount of a currency as a value.
func minor(currency string) models.Credits {
	out := models.Credit
	for range models.MinorDigits(currency) {
		out /= 10
	}
	return out
}

// amount is a value as it is read.
func (d *Data) amount(v models.Credits) string {
	if d.Currency == "" {
		return format.Credits(v)
	}
	return format.Money(models.Money{Amount: int64(v / minor(d.Currency)), Currency: d.Currency})
}

// amountWord is a value with what it counts.
func (d *Data) amountWord(v models.Credits) string {
	switch {
	case d.Currency == "":
		return format.CreditsWord(v)
	case v == 0:
		return "nothing"
	}
	return d.amount(v)
}

// compact is a value beside its gridline.
func (d *Data) compact(v models.Credits) string {
	if d.Currency == "" {
		return format.Compact(v)
	}
	return format.Symbol(d.Currency) + format.Compact(v)
}

// none says that there is nothing in the chart.
func (d *Data) none() string {
	if d.Currency == "" {
		return "No credits used."
	}
	return "Nothing sold."
}
