package ratecard

import (
	"fmt"
	"strings"
)

// Kind tells machines why something could not be priced.
type Kind string

// The kinds of PriceError.
const (
	UnknownAction Kind = "unknown_action"
	UnknownModel  Kind = "unknown_model"
	TooLarge      Kind = "too_large"
)

// PriceError says why usage has no price and what would have one. Any other
// error from pricing is a fault of the card, not of the request.
type PriceError struct {
	Kind   Kind
	Action string
	Model  string
	Known  []string // sorted: the actions there are, or the action's models
}

// Error is a sentence for people.
func (e *PriceError) Error() string {
	switch e.Kind {
	case UnknownAction:
		return fmt.Sprintf("%.60q is not an action on this rate card; its actions are %s", e.Action, list(e.Known))
	case UnknownModel:
		if e.Model == "" {
			return fmt.Sprintf("%q needs a model; it is priced for %s", e.Action, list(e.Known))
		}
		return fmt.Sprintf("%q has no rate for model %.80q; it is priced for %s", e.Action, e.Model, list(e.Known))
	case TooLarge:
		return fmt.Sprintf("%q with this usage costs more than one charge may; split it", e.Action)
	}
	return string(e.Kind)
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Problem is one thing to put right, in words that fit behind the field's name.
type Problem struct {
	Field  string `json:"field"`
	Remedy string `json:"remedy"`
}

// InvalidError names every field that is wrong and what to write instead.
type InvalidError struct{ Problems []Problem }

// Error joins the problems into one text.
func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.Field + " " + p.Remedy
	}
	return strings.Join(parts, "; ")
}

func invalid(field, remedy string) error {
	return &InvalidError{Problems: []Problem{{Field: field, Remedy: remedy}}}
}

// problems gathers what is wrong.
type problems []Problem

func (p *problems) add(field, remedy string) {
	*p = append(*p, Problem{Field: field, Remedy: remedy})
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &InvalidError{Problems: p}
}
