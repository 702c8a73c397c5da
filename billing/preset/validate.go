package preset

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"refill/billing/ratecard"
	"refill/models"
)

// Validate tells whether a catalogue can be installed, naming everything that
// is wrong with it.
func (c Catalogue) Validate() error {
	var found []error
	wrong := func(format string, args ...any) { found = append(found, fmt.Errorf(format, args...)) }

	seen := map[string]bool{}
	unique := func(noun, code string) {
		if code == "" || seen[noun+code] {
			wrong("%s %q: give it a code of its own", noun, code)
		}
		seen[noun+code] = true
	}
	for _, k := range c.Cards {
		unique("card", k.Code)
		if err := ratecard.Validate(k.Rates); err != nil {
			wrong("card %s: %w", k.Code, err)
		}
		for _, r := range k.Rates {
			if !slices.ContainsFunc(c.Actions, func(l Label) bool { return l.Name == r.Action }) {
				wrong("card %s: action %s has no label", k.Code, r.Action)
			}
			if r.Model != "" && !slices.ContainsFunc(c.Models, func(l Label) bool { return l.Name == r.Model }) {
				wrong("card %s: model %s has no label", k.Code, r.Model)
			}
		}
	}
	for _, p := range c.Packs {
		unique("pack", p.Code)
		if err := p.check(c.Currency); err != nil {
			wrong("pack %s: %w", p.Code, err)
		}
	}
	if err := ladder(c.Packs); err != nil {
		wrong("%w", err)
	}
	for _, p := range c.Plans {
		unique("plan", p.Code)
		if err := p.check(c); err != nil {
			wrong("plan %s: %w", p.Code, err)
		}
	}
	if p, ok := c.Plan(c.DefaultPlan); !ok || len(p.PacksForSale) == 0 {
		wrong("default plan %q must be one of the plans and sell packs", c.DefaultPlan)
	}
	if c.Referral < 0 || c.Referral > models.MaxBalance {
		wrong("referral of %s credits is out of range", c.Referral)
	}
	for _, y := range c.Yardsticks {
		if !slices.ContainsFunc(c.Cards, func(k Card) bool {
			_, err := ratecard.Version{Rates: k.Rates}.Find(y.Action, y.Model)
			return err == nil
		}) {
			wrong("yardstick %s %s has no rate", y.Action, y.Model)
		}
	}
	return errors.Join(found...)
}

func (p Plan) check(c Catalogue) error {
	_, priced := c.Card(p.RateCard)
	switch {
	case !priced:
		return fmt.Errorf("rate card %q does not exist", p.RateCard)
	case p.Name == "" || p.Price.Currency != c.Currency || p.Price.Amount < 0:
		return fmt.Errorf("give it a name and a price in %s", c.Currency)
	case p.CustomPrice && p.Price.Amount != 0:
		return errors.New("has a price and a custom price; keep one of them")
	case p.Every != Month && p.Every != Once && p.Every != None:
		return fmt.Errorf("grants its allowance every %q; write month, once or none", p.Every)
	case p.Allowance < 0 || p.Allowance > models.MaxBalance || (p.Allowance == 0) != (p.Every == None):
		return fmt.Errorf("allowance %s does not go with %q", p.Allowance, p.Every)
	case p.AtZero != Pause && p.AtZero != Excess:
		return fmt.Errorf("does %q at zero; write pause or excess", p.AtZero)
	case p.ExcessLimit < 0 || p.ExcessLimit > models.MaxBalance || (p.ExcessLimit == 0) != (p.AtZero == Pause):
		return fmt.Errorf("excess limit %s does not go with %q", p.ExcessLimit, p.AtZero)
	case p.SubAccountLimit < 0 || p.TrialDays < 0:
		return errors.New("has a negative limit or trial")
	}
	for _, code := range p.PacksForSale {
		if _, ok := c.Pack(code); !ok {
			return fmt.Errorf("sells pack %q, which does not exist", code)
		}
	}
	return nil
}

func (p Pack) check(currency string) error {
	switch p.Kind {
	case Fixed:
		if p.Credits <= 0 || p.Credits > models.MaxBalance || p.Price.Amount <= 0 || p.Price.Currency != currency {
			return fmt.Errorf("give it credits and a price in %s", currency)
		}
		if p.Minimum != 0 || p.Step != 0 || p.UnitPrice != 0 {
			return errors.New("is fixed; leave out minimum, step and unit price")
		}
	case Quantity:
		if p.Step <= 0 || p.Minimum <= 0 || p.Minimum > models.MaxBalance || p.Minimum%p.Step != 0 || p.UnitPrice <= 0 {
			return errors.New("give it a step, a minimum that is a number of steps, and a unit price")
		}
		if p.Credits != 0 || p.Price != (models.Money{}) {
			return errors.New("is sold by quantity; leave out credits and price")
		}
	default:
		return fmt.Errorf("is of kind %q; write fixed or quantity", p.Kind)
	}
	return nil
}

// ladder demands that of two fixed packs the larger costs less per credit,
// compared as exact fractions.
func ladder(packs []Pack) error {
	packs = slices.DeleteFunc(slices.Clone(packs), func(p Pack) bool { return p.Kind != Fixed })
	slices.SortFunc(packs, func(a, b Pack) int { return cmp.Compare(a.Credits, b.Credits) })
	for i := 1; i < len(packs); i++ {
		small, large := packs[i-1], packs[i]
		if large.Price.PerCredit(large.Credits).Cmp(small.Price.PerCredit(small.Credits)) >= 0 {
			return fmt.Errorf("pack %s must be cheaper per credit than pack %s", large.Code, small.Code)
		}
	}
	return nil
}
