package billing

import (
	"time"

	"refill/models"
)

// TopUpPace is what automatic top-up comes to within 30 days, as credits are used
// now.
type TopUpPace struct {
	Known bool
	Times int64
	Cost  models.Money
	Days  int64 // until it first buys; -1: not within 30 days
}

// PaceOf is Pace of a choice that may not be agreed to yet. Errors: unknown_offer,
// invalid_quantity.
func (v *TopUpView) PaceOf(threshold models.Credits, offer string, quantity models.Credits) (TopUpPace, error) {
	o, err := chosenOffer(v.Offers, offer, quantity)
	if err != nil {
		return TopUpPace{}, err
	}
	return v.Pace(threshold, o), nil
}

// Pace walks 30 days on at the account's pace, through a reset of its plan credits or
// of what it gets every month, and counts how often an offer would be bought.
func (v *TopUpView) Pace(threshold models.Credits, o TopUpOffer) TopUpPace { //nolint:gocritic // once per page
	f := &v.Forecast
	out := TopUpPace{Days: -1, Cost: models.Money{Currency: o.Price.Currency}}
	if f.PerDay <= 0 || len(f.Daily) < leastDays || o.Credits <= 0 || threshold <= 0 {
		return out
	}
	out.Known = true
	left, ends := v.Left, f.Ends
	reset := f.ResetsAt
	for day := range int64(30) {
		at := v.Now.Add(time.Duration(day) * 24 * time.Hour)
		if reset > 0 && at >= reset {
			left += f.Allowance - ends
			ends, reset = f.Allowance, reset.Add(30*24*time.Hour)
			if f.Rolls {
				ends = 0
			}
		}
		if left < threshold {
			if out.Days < 0 {
				out.Days = day
			}
			times := timesFor(threshold-left, o.Credits)
			left += o.Credits * models.Credits(times)
			out.Times++
			out.Cost.Amount += o.Price.Amount * times
		}
		left -= f.PerDay
		ends = max(0, ends-f.PerDay)
	}
	return out
}
