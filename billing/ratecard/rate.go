package ratecard

import (
	"maps"
	"slices"

	"refill/models"
)

// Version is one immutable state of a rate card. Number counts from 1 within
// the card and is printed on every charge.
type Version struct {
	Card        models.RateCardID
	Number      int
	EffectiveAt models.Time
	Rates       []Rate
}

// Rate is what an action costs: Base credits plus its components, raised to
// Minimum and cut to Maximum where they are set. Model "" is the action's
// default, for every model without a rate of its own.
type Rate struct {
	Action     string          `json:"action"`
	Model      string          `json:"model"`
	Base       models.Credits  `json:"base"`
	Components []Component     `json:"components"`
	Minimum    *models.Credits `json:"minimum"`
	Maximum    *models.Credits `json:"maximum"`
}

// Component costs Credits for every started Size of Measure above the free
// amount Above. A Size as large as MaxQuantity makes it a one-off step.
type Component struct {
	Measure string         `json:"measure"`
	Above   Quantity       `json:"above"`
	Size    Quantity       `json:"size"`
	Credits models.Credits `json:"credits"`
}

// Find gives the rate of an action and model: the exact pair, else the action's
// default, else a *PriceError that says what there is.
func (v Version) Find(action, model string) (Rate, error) {
	fallback := -1
	for i := range v.Rates {
		r := &v.Rates[i]
		if r.Action != action {
			continue
		}
		if r.Model == model {
			return *r, nil
		}
		if r.Model == "" {
			fallback = i
		}
	}
	if fallback >= 0 {
		return v.Rates[fallback], nil
	}
	if known := v.Models(action); len(known) > 0 {
		return Rate{}, &PriceError{Kind: UnknownModel, Action: action, Model: model, Known: known}
	}
	return Rate{}, &PriceError{Kind: UnknownAction, Action: action, Model: model, Known: v.Actions()}
}

// Actions lists the actions on the card, sorted.
func (v Version) Actions() []string {
	names := map[string]bool{}
	for _, r := range v.Rates {
		names[r.Action] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Models lists the models an action has rates for, sorted, without the default.
func (v Version) Models(action string) []string {
	names := map[string]bool{}
	for _, r := range v.Rates {
		if r.Action == action && r.Model != "" {
			names[r.Model] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
