package ratecard_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"refill/billing/ratecard"
	"refill/models"
)

func measures() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"characters", "pages", "input_tokens", "labels"})
}

// quantities leans towards small numbers and bounds, where rounding happens.
func quantities() *rapid.Generator[ratecard.Quantity] {
	return rapid.Custom(func(t *rapid.T) ratecard.Quantity {
		switch rapid.IntRange(0, 2).Draw(t, "shape") {
		case 0:
			return ratecard.Quantity(rapid.Int64Range(0, 20_000).Draw(t, "whole")) * ratecard.One
		case 1:
			return ratecard.Quantity(rapid.Int64Range(0, 20_000_000_000).Draw(t, "millionths"))
		default:
			return ratecard.Quantity(rapid.Int64Range(0, int64(ratecard.MaxQuantity)).Draw(t, "any"))
		}
	})
}

func amounts() *rapid.Generator[models.Credits] {
	return rapid.Custom(func(t *rapid.T) models.Credits {
		return models.Credits(rapid.Int64Range(0, 40_000_000).Draw(t, "micro"))
	})
}

func usages() *rapid.Generator[ratecard.Usage] {
	return rapid.Custom(func(t *rapid.T) ratecard.Usage {
		return rapid.MapOfN(measures(), quantities(), 0, 4).Draw(t, "usage")
	})
}

func components() *rapid.Generator[ratecard.Component] {
	return rapid.Custom(func(t *rapid.T) ratecard.Component {
		return ratecard.Component{
			Measure: measures().Draw(t, "measure"),
			Above:   quantities().Draw(t, "above"),
			Size:    max(1, quantities().Draw(t, "size")),
			Credits: amounts().Draw(t, "credits"),
		}
	})
}

func rates(action, model string) *rapid.Generator[ratecard.Rate] {
	return rapid.Custom(func(t *rapid.T) ratecard.Rate {
		r := ratecard.Rate{
			Action: action, Model: model, Base: amounts().Draw(t, "base"),
			Components: rapid.SliceOfN(components(), 0, 4).Draw(t, "components"),
		}
		if rapid.Bool().Draw(t, "has minimum") {
			low := amounts().Draw(t, "minimum")
			r.Minimum = &low
		}
		if rapid.Bool().Draw(t, "has maximum") {
			high := amounts().Draw(t, "maximum")
			if r.Minimum != nil {
				high += *r.Minimum
			}
			r.Maximum = &high
		}
		return r
	})
}

// priced is a price in which "too large" stands above every other.
func priced(t *rapid.T, r ratecard.Rate, u ratecard.Usage) models.Credits {
	quote, err := r.Price(u)
	if err == nil {
		return quote.Credits
	}
	var refusal *ratecard.PriceError
	if !errors.As(err, &refusal) || refusal.Kind != ratecard.TooLarge {
		t.Fatalf("price fails with %v", err)
	}
	return models.MaxCharge + 1
}

func TestPriceProperties(t *testing.T) {
	t.Parallel()

	t.Run("more usage never costs less", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			r, less := rates("a", "").Draw(t, "rate"), usages().Draw(t, "less")
			more := maps.Clone(less)
			for _, m := range slices.Sorted(maps.Keys(less)) {
				more[m] = min(ratecard.MaxQuantity, more[m]+quantities().Draw(t, "growth of "+m))
			}
			if low, high := priced(t, r, less), priced(t, r, more); low > high {
				t.Fatalf("%v costs %s, %v only %s", less, low, more, high)
			}
		})
	})

	t.Run("price keeps to minimum and maximum, lines add up, units are started sizes", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			r, u := rates("a", "").Draw(t, "rate"), usages().Draw(t, "usage")
			if err := ratecard.Validate([]ratecard.Rate{r}); err != nil {
				t.Fatalf("generated rate is invalid: %v", err)
			}
			quote, err := r.Price(u)
			if err != nil {
				if priced(t, r, u) <= models.MaxCharge {
					t.Fatal("the same price failed and did not fail")
				}
				return
			}
			if r.Minimum != nil && quote.Credits < *r.Minimum {
				t.Fatalf("%s is below the minimum %s", quote.Credits, *r.Minimum)
			}
			if r.Maximum != nil && quote.Credits > *r.Maximum {
				t.Fatalf("%s is above the maximum %s", quote.Credits, *r.Maximum)
			}
			if quote.Credits < 0 || quote.Credits > models.MaxCharge || len(quote.Lines) == 0 {
				t.Fatalf("quote is %+v", quote)
			}
			var sum models.Credits
			for _, l := range quote.Lines {
				sum += l.Credits
				if l.Credits != models.Credits(l.Units)*l.Each {
					t.Fatalf("line %+v is not units × each", l)
				}
				if l.Kind != ratecard.LineComponent {
					continue
				}
				over := l.Quantity - l.Above
				if n := ratecard.Quantity(l.Units); (n-1)*l.Size >= over || over-(n-1)*l.Size > l.Size {
					t.Fatalf("line %+v does not count started sizes", l)
				}
			}
			if sum != quote.Credits {
				t.Fatalf("lines add up to %s, not %s", sum, quote.Credits)
			}
		})
	})

	// Two pieces start at most one size more per component than the whole, and
	// never fewer; with no free amount and no bounds the price follows.
	t.Run("splitting usage costs the whole plus at most one started size each", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			cs := rapid.SliceOfN(components(), 0, 4).Draw(t, "components")
			var slack models.Credits
			for i := range cs {
				cs[i].Above = 0
				slack += cs[i].Credits
			}
			r := ratecard.Rate{Action: "a", Components: cs}
			u := usages().Draw(t, "usage")
			left, right := ratecard.Usage{}, ratecard.Usage{}
			for _, m := range slices.Sorted(maps.Keys(u)) {
				left[m] = ratecard.Quantity(rapid.Int64Range(0, int64(u[m])).Draw(t, "part of "+m))
				right[m] = u[m] - left[m]
			}
			whole, err := r.Price(u)
			if err != nil {
				return // the bound of one charge is another test's
			}
			a, errA := r.Price(left)
			b, errB := r.Price(right)
			if errA != nil || errB != nil {
				t.Fatalf("a part is refused where the whole is not: %v, %v", errA, errB)
			}
			if parts := a.Credits + b.Credits; parts < whole.Credits || parts > whole.Credits+slack {
				t.Fatalf("parts cost %s, the whole %s, slack %s", parts, whole.Credits, slack)
			}
		})
	})

	t.Run("the order of rates changes nothing", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			var all []ratecard.Rate
			for _, action := range []string{"a", "b"} {
				for _, model := range []string{"", "m", "n"} {
					if rapid.Bool().Draw(t, "has "+action+" "+model) {
						all = append(all, rates(action, model).Draw(t, action+" "+model))
					}
				}
			}
			v := ratecard.Version{Rates: all}
			shuffled := ratecard.Version{Rates: rapid.Permutation(all).Draw(t, "shuffled")}
			u := usages().Draw(t, "usage")
			for _, action := range []string{"a", "b", "c"} {
				for _, model := range []string{"", "m", "x"} {
					one, err := v.Price(action, model, u)
					other, otherErr := shuffled.Price(action, model, u)
					if !reflect.DeepEqual(one, other) || !reflect.DeepEqual(err, otherErr) {
						t.Fatalf("%s %s: %+v, %v and %+v, %v", action, model, one, err, other, otherErr)
					}
				}
			}
		})
	})
}
