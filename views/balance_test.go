package views

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/models"
)

const credit = models.Credit

func noon(month time.Month, day int) models.Time {
	return models.At(time.Date(2025, month, day, 12, 0, 0, 0, time.UTC))
}

func TestForecastFacts(t *testing.T) {
	t.Parallel()
	f := Frame{Now: noon(time.November, 24)}
	last := func(c Forecast) fact { facts := c.facts(f); return facts[len(facts)-1] }
	c := Forecast{PerDay: 3_290 * credit, Days: 7}

	c.Kind, c.RunsOutAt = ForecastRunsOut, noon(time.November, 29)
	require.Equal(t, fact{"Runs out", "Sat, Nov 29", "in 5 days"}, last(c))
	c.RunsOutAt = noon(time.December, 30)
	require.Equal(t, fact{"Lasts", "About 5 weeks", "at this pace"}, last(c), "past thirty days weeks, not a date")
	c.Kind, c.RunsOutAt = ForecastPastReset, noon(time.December, 1)
	require.Equal(t, fact{"Lasts", "Past your reset", "on Mon, Dec 1"}, last(c))
	c.Next, c.NextAt = 500*credit, c.RunsOutAt
	require.Equal(t, fact{"Lasts", "Past your next credits", "on Mon, Dec 1"}, last(c), "a client has no plan to reset")
	c.NextAt = 0
	c.Kind = ForecastBeyond
	require.Equal(t, fact{"Lasts", "More than 90 days", ""}, last(c))
	c.Kind = ForecastNoData
	require.Equal(t, "Not enough data yet", last(c).value)
	require.False(t, c.explained())
	c.Kind = ForecastIdle
	require.Equal(t, "No recent usage", last(c).value)
}

func TestStateSaysWhatFollows(t *testing.T) {
	t.Parallel()
	f := Frame{Now: noon(time.November, 24)}
	b := Balance{State: StateExcess, Left: -223 * credit, Excess: 223 * credit, NextPack: 2_000 * credit}
	require.Equal(t, []string{
		"You have used 223 credits more than you had. They come off your next purchase.",
		"Next purchase: 2,000 − 223 = 1,777",
	}, b.lines(f))
	b = Balance{State: StatePaused, Allowance: credit, ResetsAt: noon(time.December, 1)}
	require.Contains(t, b.lines(f)[0], "AI replies are paused. Everything else keeps working.")
	require.Contains(t, b.lines(f)[0], "in 7 days (Mon, Dec 1)")
	require.Equal(t, " of 1, resets in 7 days (Mon, Dec 1)", b.buckets(f)[0].text)
	b.ResetsAt, b.EndsAt = 0, noon(time.December, 1)
	require.Equal(t, " of 1, ends with your plan in 7 days (Mon, Dec 1)", b.buckets(f)[0].text)
	b.State, b.From = StateUpstreamPaused, "Northwind"
	require.Equal(t, []string{"Your AI is paused. Northwind has been told and is working on it."}, b.lines(f))
}

// The parts of a meter follow one another, stay inside it, and everything that is
// there can be seen.
func TestMeterSegments(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		amount := func(name string) models.Credits {
			return models.Credits(rapid.Int64Range(0, int64(models.MaxBalance/8)).Draw(r, name))
		}
		b := Balance{Allowance: amount("allowance"), Purchased: amount("purchased"), Assigned: amount("assigned"), Bonus: amount("bonus")}
		b.Plan = min(b.Allowance, amount("plan"))
		at, parts := int64(0), 0
		for _, s := range b.segments(Frame{}) {
			require.Equal(r, at, s.from)
			require.LessOrEqual(r, s.to, int64(meterScale))
			at = s.to
			parts++
		}
		want := 0
		for _, c := range []models.Credits{b.Plan, b.Purchased, b.Assigned, b.Bonus} {
			if c > 0 {
				want++
			}
		}
		require.Equal(r, want, parts)
	})
	require.Equal(t, "5.26%", percent(526))
	require.Equal(t, "100.00%", percent(meterScale))
	require.Equal(t, "0.05%", percent(5))
}

func TestBuyShowsItsSums(t *testing.T) {
	t.Parallel()
	v := Buy{Left: 18_420 * credit, PerDay: 3_000 * credit}
	o := Offer{Credits: 12_500 * credit, Price: models.Money{Amount: 5_000, Currency: "usd"}}
	require.Equal(t, "18,420 + 12,500 = 30,920", v.result(o))
	require.Equal(t, "You will have 30,920, lasts about 4 days longer.", v.consequence(o))
	require.Equal(t, "Continue to payment — $50.00", v.button(o))

	v = Buy{Left: -223 * credit, Excess: 223 * credit}
	o.Credits = 1_000 * credit
	require.Equal(t, "1,000 − 223 = 777", v.result(o))
	o.Credits = 100 * credit
	require.Equal(t, "After this you would still be 123 below zero and AI stays paused.", v.consequence(o))

	v.Offers = []Offer{
		{Credits: 2_000 * credit, Price: models.Money{Amount: 1_000, Currency: "usd"}},
		{Credits: 35_000 * credit, Price: models.Money{Amount: 10_000, Currency: "usd"}},
	}
	require.Empty(t, v.saving(v.Offers[0]))
	require.Equal(t, "43% less", v.saving(v.Offers[1]))
	require.Equal(t, "$0.0029 each", v.Offers[1].each())
	require.Equal(t, "$2.86 per 1,000", v.Offers[1].per1000())
}

func TestFrameTitle(t *testing.T) {
	t.Parallel()
	text := func(c Chip) string { return c.number() + c.unit() + c.word() }
	require.Equal(t, "Overview · Northwind", Frame{Title: "Overview", Brand: "Portal", Account: "Northwind"}.windowTitle())
	require.Equal(t, "Error: Sign in · Portal", Frame{Title: "Sign in", Brand: "Portal", Failed: true}.windowTitle())
	require.Equal(t, "18,420 credits", text(Chip{Left: 18_420 * credit, State: StateHealthy}))
	require.Equal(t, "312 credits · Low", text(Chip{Left: 312 * credit, State: StateLow}))
	require.Equal(t, "chip bad", Chip{State: StatePaused}.class())
}
