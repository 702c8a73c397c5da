package fill

import (
	"slices"
	"sort"
	"strconv"
	"time"

	"refill/billing/ratecard"
	"refill/models"
)

const (
	quarter = models.Time(15 * time.Minute / time.Microsecond)
	second  = models.Time(time.Second / time.Microsecond)
	hour    = 4 * quarter
)

// work is what may be charged: a model with its price, and how much of the
// traffic it is.
type work struct {
	model string
	price models.Credits
	upTo  float64
}

const action = "ai.reply"

// price reads the prices of the card; cheap models are used more.
func (m *maker) price(v ratecard.Version) {
	parts := []float64{0.7, 0.22, 0.08}
	upTo := 0.0
	for i, r := range v.Rates {
		upTo += parts[min(i, len(parts)-1)]
		m.work = append(m.work, work{model: r.Model, price: r.Base, upTo: upTo})
	}
	m.work[len(m.work)-1].upTo = 1
}

// meanPrice is what a charge costs on average.
func (m *maker) meanPrice() float64 {
	sum, before := 0.0, 0.0
	for _, w := range m.work {
		sum += float64(w.price) * (w.upTo - before)
		before = w.upTo
	}
	return sum
}

// busy is how much happens at an instant in a zone: by day more than by night, on
// a weekend less.
func busy(at models.Time, zone *time.Location) float64 {
	t := at.In(zone)
	shape := [24]float64{1, 1, 1, 1, 1, 2, 3, 6, 10, 13, 14, 13, 11, 12, 13, 13, 12, 10, 8, 7, 6, 5, 3, 2}
	w := shape[t.Hour()]
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		w *= 0.4
	}
	return w
}

// shares are how the traffic of one hour is divided among the agencies that exist.
type shares struct {
	upTo []float64
	sum  float64
}

// sharesAt are the shares at an hour; business grows by half over the history.
func (m *maker) sharesAt(at models.Time) shares {
	s := shares{upTo: make([]float64, len(m.agencies))}
	grown := 1 + 0.5*float64(at-m.start)/float64(m.end-m.start)
	for i, a := range m.agencies {
		if a.CreatedAt < at {
			s.sum += a.weight * grown * busy(at, a.zone)
		}
		s.upTo[i] = s.sum
	}
	return s
}

// reply is one charge to be.
type reply struct {
	at     models.Time
	agency *agency
	client *client
	work   *work
}

// conversations draws replies of one quarter of an hour until there are n.
func (m *maker) conversations(into []reply, from models.Time, s shares, n int64) []reply {
	for into = into[:0]; int64(len(into)) < n; {
		a := m.agencies[sort.SearchFloat64s(s.upTo, m.rng.Float64()*s.sum)]
		pick := m.rng.Float64()
		c := a.clients[sort.Search(len(a.clients)-1, func(i int) bool { return pick < a.clients[i].upTo })]
		pick = m.rng.Float64()
		w := &m.work[slices.IndexFunc(m.work, func(w work) bool { return pick < w.upTo })]
		at := from + models.Time(m.rng.Int64N(int64(quarter)))
		for more := true; more && at < from+quarter && int64(len(into)) < n; {
			into = append(into, reply{at: at, agency: a, client: c, work: w})
			at += 10*second + models.Time(m.rng.Int64N(int64(60*second)))
			more = m.rng.IntN(5) > 0 // five on average
		}
	}
	slices.SortStableFunc(into, func(x, y reply) int { return int(x.at - y.at) })
	return into
}

// usages are what replies used, in their stored form.
func (m *maker) usages() []string {
	out := make([]string, 512)
	for i := range out {
		out[i] = ratecard.Usage{
			ratecard.InputTokens:  ratecard.Quantity(200+m.rng.IntN(1800)) * ratecard.One,
			ratecard.OutputTokens: ratecard.Quantity(20+m.rng.IntN(400)) * ratecard.One,
		}.Canonical()
	}
	return out
}

// padded is a number whose texts sort as the numbers do.
func padded(n int) string {
	const width = "0000000000"
	text := strconv.Itoa(n)
	return width[:max(0, len(width)-len(text))] + text
}
