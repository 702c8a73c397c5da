package ratecard

import (
	"fmt"

	"refill/models"
)

// Bounds of a card.
const (
	MaxRates      = 500
	MaxComponents = 16
)

// Validate tells whether rates may be published as a version. The error is an
// *InvalidError whose fields are paths such as "rates[2].components[0].size".
func Validate(rates []Rate) error {
	var found problems
	switch {
	case len(rates) == 0:
		found.add("rates", "is empty; add a rate for at least one action")
	case len(rates) > MaxRates:
		found.add("rates", fmt.Sprintf("has %d rates; keep at most %d", len(rates), MaxRates))
		return found.err()
	}
	first := map[[2]string]int{}
	for i, r := range rates {
		field := fmt.Sprintf("rates[%d]", i)
		r.check(field, &found)
		pair := [2]string{r.Action, r.Model}
		if j, twice := first[pair]; twice {
			found.add(field, fmt.Sprintf("prices the same action and model as rates[%d]; keep one of them", j))
			continue
		}
		first[pair] = i
	}
	return found.err()
}

// check adds what is wrong with one rate.
func (r Rate) check(field string, found *problems) {
	if !ValidAction(r.Action) {
		found.add(field+".action", fmt.Sprintf("is not an action name; write at most %d of a–z, 0–9, _ and points between words, such as ai.reply", MaxActionName))
	}
	if r.Model != "" && !ValidModel(r.Model) {
		found.add(field+".model", fmt.Sprintf("is not a model name; write at most %d letters, digits and . _ : / @ -, such as gpt-3.5-turbo, or leave it empty for every other model", MaxModelName))
	}
	checkCredits(field+".base", r.Base, found)
	if len(r.Components) > MaxComponents {
		found.add(field+".components", fmt.Sprintf("has %d components; keep at most %d", len(r.Components), MaxComponents))
	} else {
		for i, c := range r.Components {
			c.check(fmt.Sprintf("%s.components[%d]", field, i), found)
		}
	}
	if r.Minimum != nil {
		checkCredits(field+".minimum", *r.Minimum, found)
	}
	if r.Maximum != nil {
		checkCredits(field+".maximum", *r.Maximum, found)
	}
	if r.Minimum != nil && r.Maximum != nil && *r.Minimum > *r.Maximum {
		found.add(field+".minimum", "is above the maximum; lower it or raise the maximum")
	}
}

// check adds what is wrong with one component.
func (c Component) check(field string, found *problems) {
	if !ValidMeasure(c.Measure) {
		found.add(field+".measure", badMeasure(c.Measure))
	}
	if c.Above < 0 || c.Above > MaxQuantity {
		found.add(field+".above", "must be between 0 and "+MaxQuantity.String()+"; write 0 to charge from the first unit")
	}
	if c.Size <= 0 || c.Size > MaxQuantity {
		found.add(field+".size", "must be above 0 and at most "+MaxQuantity.String()+"; write how much the credits pay for, such as 1 or 5000")
	}
	checkCredits(field+".credits", c.Credits, found)
}

func checkCredits(field string, c models.Credits, found *problems) {
	switch {
	case c < 0:
		found.add(field, "must not be negative; write 0 to charge nothing")
	case c > models.MaxCharge:
		found.add(field, "must be at most "+models.MaxCharge.String()+", the most one charge may cost")
	}
}
