package estimate

import (
	"math"

	"refill/models"
)

// Offer is something that can be bought, any number of times but for a monthly one.
type Offer struct {
	ID      string
	Name    string
	Credits models.Credits // more than 0
	Price   int64          // in the currency's smallest unit

	// ByAmount: any multiple of Credits, at Price each, from Least on.
	ByAmount bool
	Least    models.Credits

	// Monthly: it is paid every month, its credits end with the month, and there is
	// one of it at most.
	Monthly bool
	Held    bool // it is had already
}

// Pick is how many of an offer to buy.
type Pick struct {
	Offer Offer
	Count int64
}

// Basket covers a need.
type Basket struct {
	Picks   []Pick
	Credits models.Credits
	Price   int64
}

// Kept is how many of a basket's credits a need leaves over that do not end with
// the month: those that do are used first.
func (b *Basket) Kept(need models.Credits) models.Credits {
	var lasting models.Credits
	for _, p := range b.Picks {
		if !p.Offer.Monthly {
			lasting += p.Offer.Credits * models.Credits(p.Count)
		}
	}
	return max(0, min(b.Credits-need, lasting))
}

// maxSteps bounds the search. A larger need is filled up to it with the offer
// that is cheapest per credit, and the rest is searched.
const maxSteps = 100_000

// CheapestMonth covers what is needed every month, as Cheapest does, with one of the
// monthly offers where that is cheaper.
func CheapestMonth(offers []Offer, need models.Credits) (best Basket, ok bool) {
	best, ok = Cheapest(offers, need)
	if need <= 0 {
		return best, ok
	}
	for _, o := range offers {
		if !o.Monthly || o.Credits <= 0 || o.Price < 0 {
			continue
		}
		rest, covered := Cheapest(offers, need-o.Credits)
		if !covered || o.Price > math.MaxInt64/4 || rest.Price > math.MaxInt64/4 {
			continue
		}
		best, ok = better(best, ok, Basket{
			Picks: append([]Pick{{o, 1}}, rest.Picks...), Credits: o.Credits + rest.Credits, Price: o.Price + rest.Price,
		})
	}
	return best, ok
}

// Cheapest covers a need at the lowest price with what is bought once; of two equal
// ones it takes the one with more credits. ok is false when nothing is on offer.
func Cheapest(offers []Offer, need models.Credits) (best Basket, ok bool) {
	if need <= 0 {
		return Basket{}, true
	}
	var fixed []Offer
	for _, o := range offers {
		if o.Credits <= 0 || o.Price < 0 || o.Monthly {
			continue
		}
		if !o.ByAmount {
			fixed = append(fixed, o)
			continue
		}
		n := steps(max(need, o.Least), o.Credits)
		if price, fits := product(o.Price, n); fits {
			best, ok = better(best, ok, Basket{Picks: []Pick{{o, n}}, Credits: o.Credits * models.Credits(n), Price: price})
		}
	}
	if len(fixed) == 0 {
		return best, ok
	}
	if packs, found := cover(fixed, need); found {
		return better(best, ok, packs)
	}
	return best, ok
}

func better(a Basket, ok bool, b Basket) (Basket, bool) {
	if !ok || b.Price < a.Price || b.Price == a.Price && b.Credits > a.Credits {
		return b, true
	}
	return a, true
}

func steps(need, size models.Credits) int64 { return int64((need-1)/size) + 1 }

func product(a, n int64) (int64, bool) {
	if n > 0 && a > math.MaxInt64/4/n {
		return 0, false
	}
	return a * n, true
}

// cover searches all combinations of fixed offers, by how much of the need, in
// steps of what all offers are multiples of, the first i steps cost at least.
func cover(offers []Offer, need models.Credits) (Basket, bool) {
	unit, bulk := offers[0].Credits, offers[0]
	for _, o := range offers {
		unit = gcd(unit, o.Credits)
		// o.Price / o.Credits < bulk.Price / bulk.Credits, without dividing
		if float64(o.Price)*float64(bulk.Credits) < float64(bulk.Price)*float64(o.Credits) {
			bulk = o
		}
	}
	var many int64
	if n := steps(need, unit); n > maxSteps {
		many = (n - maxSteps + int64(bulk.Credits/unit) - 1) / int64(bulk.Credits/unit)
	}
	paid, fits := product(bulk.Price, many)
	if !fits {
		return Basket{}, false
	}
	rest := int(max(0, steps(need, unit)-many*int64(bulk.Credits/unit)))
	type state struct {
		price   int64
		credits models.Credits
		offer   int
		from    int
	}
	at := make([]state, rest+1)
	for i := 1; i <= rest; i++ {
		at[i].price = math.MaxInt64
		for k, o := range offers {
			from := max(0, i-int(o.Credits/unit))
			s := state{price: at[from].price + o.Price, credits: at[from].credits + o.Credits, offer: k, from: from}
			if s.price < at[i].price || s.price == at[i].price && s.credits > at[i].credits {
				at[i] = s
			}
		}
	}
	counts := make([]int64, len(offers))
	for i := rest; i > 0; i = at[i].from {
		counts[at[i].offer]++
	}
	out := Basket{Credits: at[rest].credits + bulk.Credits*models.Credits(many), Price: at[rest].price + paid}
	for k, o := range offers {
		if o == bulk {
			counts[k] += many
			many = 0
		}
		if counts[k] > 0 {
			out.Picks = append(out.Picks, Pick{o, counts[k]})
		}
	}
	return out, true
}

func gcd(a, b models.Credits) models.Credits {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
