package ratecard

import (
	"fmt"

	"refill/models"
)

// LineKind tells what a line of a quote stands for.
type LineKind string

// The kinds of Line, in the order they appear.
const (
	LineBase      LineKind = "base"
	LineComponent LineKind = "component"
	LineMinimum   LineKind = "minimum" // what was added to reach the minimum
	LineMaximum   LineKind = "maximum" // what was taken off to keep the maximum; negative
)

// Line is one part of a price: Units × Each = Credits. For a component, Units
// counts the started Sizes of Quantity above Above.
type Line struct {
	Kind     LineKind       `json:"kind"`
	Measure  string         `json:"measure,omitempty"`
	Quantity Quantity       `json:"quantity,omitempty"`
	Above    Quantity       `json:"above,omitempty"`
	Size     Quantity       `json:"size,omitempty"`
	Units    int64          `json:"units"`
	Each     models.Credits `json:"each"`
	Credits  models.Credits `json:"credits"`
}

// Quote is a price and why: the rate that applied and lines that add up to
// Credits. A component that usage did not reach has no line; a base of zero has
// one only where nothing else does, so that a free action says so.
type Quote struct {
	Rate    Rate           `json:"rate"`
	Lines   []Line         `json:"lines"`
	Credits models.Credits `json:"credits"`
}

// Price is what an action with this usage costs under the version.
func (v Version) Price(action, model string, usage Usage) (Quote, error) {
	rate, err := v.Find(action, model)
	if err != nil {
		return Quote{}, err
	}
	return rate.Price(usage)
}

// Price is what usage costs under the rate.
//
// A price beyond models.MaxCharge is too large. A maximum is applied first, so
// it shelters from any usage whose price still fits an int64.
func (r Rate) Price(usage Usage) (Quote, error) {
	q := Quote{Rate: r, Lines: make([]Line, 0, 2+len(r.Components)), Credits: r.Base}
	if r.Base != 0 {
		q.Lines = append(q.Lines, Line{Kind: LineBase, Units: 1, Each: r.Base, Credits: r.Base})
	}
	for _, c := range r.Components {
		used := usage[c.Measure]
		if used <= c.Above {
			continue
		}
		if c.Size <= 0 {
			return Quote{}, fmt.Errorf("rate %s %s: component of %s has size %s", r.Action, r.Model, c.Measure, c.Size)
		}
		if err := q.addComponent(c, used); err != nil {
			return Quote{}, r.tooLarge()
		}
	}
	if r.Minimum != nil && q.Credits < *r.Minimum {
		q.adjust(LineMinimum, *r.Minimum)
	}
	if r.Maximum != nil && q.Credits > *r.Maximum {
		q.adjust(LineMaximum, *r.Maximum)
	}
	if q.Credits > models.MaxCharge {
		return Quote{}, r.tooLarge()
	}
	if len(q.Lines) == 0 {
		q.Lines = append(q.Lines, Line{Kind: LineBase, Units: 1})
	}
	return q, nil
}

// addComponent books the started sizes of used above the free amount.
func (q *Quote) addComponent(c Component, used Quantity) error {
	units := int64((used-c.Above-1)/c.Size) + 1
	cost, err := models.MulDiv(units, int64(c.Credits), 1)
	if err != nil {
		return err
	}
	line := Line{
		Kind: LineComponent, Measure: c.Measure, Quantity: used, Above: c.Above, Size: c.Size,
		Units: units, Each: c.Credits, Credits: models.Credits(cost),
	}
	if q.Credits, err = q.Credits.Add(line.Credits); err != nil {
		return err
	}
	q.Lines = append(q.Lines, line)
	return nil
}

// adjust moves the price to a bound and keeps the lines adding up.
func (q *Quote) adjust(kind LineKind, to models.Credits) {
	by := to - q.Credits // both lie in [0, MaxInt64]
	q.Lines = append(q.Lines, Line{Kind: kind, Units: 1, Each: by, Credits: by})
	q.Credits = to
}

func (r Rate) tooLarge() error {
	return &PriceError{Kind: TooLarge, Action: r.Action, Model: r.Model}
}
