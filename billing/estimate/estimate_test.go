package estimate_test

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/billing/estimate"
	"refill/billing/ratecard"
	"refill/models"
)

func card() *ratecard.Version {
	return &ratecard.Version{Rates: []ratecard.Rate{
		{Action: "ai.reply", Model: "gpt-4", Base: 10 * models.Credit},
		{Action: "ai.reply", Model: "gpt-3.5-turbo", Base: models.Credit},
		{Action: "knowledge.sync", Base: 25 * models.Credit},
		{Action: "ai.embed_conversation", Base: models.Credit / 2},
		{Action: "ai.document", Components: []ratecard.Component{{Measure: ratecard.Characters, Size: ratecard.Quantity(5000), Credits: models.Credit}}, Minimum: new(models.Credit)},
	}}
}

func TestASumThatAnybodyCanFollow(t *testing.T) {
	t.Parallel()
	e, err := estimate.Of(card(), &estimate.Work{
		Talk: "ai.reply", Model: "gpt-4", Conversations: 500, Replies: 60, Monthly: map[string]int64{"knowledge.sync": 4},
		Once: map[string]int64{"ai.embed_conversation": 12_001, "ai.document": 30},
	})
	require.NoError(t, err)
	require.Equal(t, 30_100*models.Credit, e.Month, "500 × 6 × 10 + 4 × 25")
	require.Equal(t, estimate.Range{Low: 21_530 * models.Credit, Usual: 30_100 * models.Credit, High: 60_100 * models.Credit}, e.Total)
	require.Equal(t, 6030*models.Credit+models.Credit/2, e.Moving)
	require.Equal(t, []int64{3000, 4}, []int64{e.Lines[0].Times, e.Lines[1].Times})
	require.True(t, e.Once[0].AtLeast, "a document costs more when it is long")
	require.False(t, e.Once[1].AtLeast)

	e, err = estimate.Of(card(), &estimate.Work{Talk: "ai.reply", Model: "gpt-3.5-turbo", Conversations: 7, Replies: 63, Margin: 20})
	require.NoError(t, err)
	require.Equal(t, int64(45), e.Lines[0].Times, "44.1 replies are 45")
	require.Equal(t, 54*models.Credit, e.Total.Usual)
	require.Equal(t, 9*models.Credit, e.Reserve)

	_, err = estimate.Of(card(), &estimate.Work{Talk: "ai.reply", Model: "gpt-9", Conversations: 1, Replies: 10})
	_, known := errors.AsType[*ratecard.PriceError](err)
	require.True(t, known, "%v", err)
}

// Whoever does exactly what was typed is charged exactly what was estimated.
func TestAnEstimateIsWhatTheCardCharges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := card()
		w := &estimate.Work{
			Talk: "ai.reply", Model: rapid.SampledFrom(v.Models("ai.reply")).Draw(t, "model"),
			Conversations: rapid.Int64Range(0, 300).Draw(t, "conversations"), Replies: estimate.Tenths(rapid.Int64Range(1, 300).Draw(t, "replies")),
			Monthly: map[string]int64{"knowledge.sync": rapid.Int64Range(0, 50).Draw(t, "syncs")},
			Margin:  rapid.SampledFrom([]int{0, 20, 50}).Draw(t, "margin"),
		}
		e, err := estimate.Of(v, w)
		if err != nil {
			t.Fatal(err)
		}
		var sum models.Credits
		for _, l := range e.Lines {
			for range l.Times {
				q, err := v.Price(l.Action, l.Model, nil)
				if err != nil {
					t.Fatal(err)
				}
				sum += q.Credits
			}
		}
		if sum != e.Month || e.Month+e.Reserve != e.Total.Usual || e.Total.Low > e.Total.Usual || e.Total.Usual > e.Total.High {
			t.Fatalf("charged %s, estimated %+v", sum, e)
		}
		if least := float64(sum) * (1 + float64(w.Margin)/100); math.Abs(float64(e.Total.Usual)-least) > 1 {
			t.Fatalf("a margin of %d%% on %s makes %s", w.Margin, sum, e.Total.Usual)
		}
	})
}

func TestNothingCoversANeedMoreCheaply(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		offers := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) estimate.Offer {
			return estimate.Offer{
				ID: rapid.StringN(1, 4, 4).Draw(t, "id"), Credits: models.Credits(rapid.Int64Range(1, 12).Draw(t, "credits")) * models.Credit,
				Price: rapid.Int64Range(0, 40).Draw(t, "price"),
			}
		}), 1, 4).Draw(t, "offers")
		need := models.Credits(rapid.Int64Range(0, 40).Draw(t, "need")) * models.Credit / 2
		got, ok := estimate.Cheapest(offers, need)
		if !ok {
			t.Fatal("nothing covers it")
		}
		var sum models.Credits
		var price int64
		for _, p := range got.Picks {
			sum += p.Offer.Credits * models.Credits(p.Count)
			price += p.Offer.Price * p.Count
		}
		if sum != got.Credits || price != got.Price || sum < need {
			t.Fatalf("%+v does not add up to %s", got, need)
		}
		if best := try(offers, need, 0); best < price {
			t.Fatalf("%s can be covered for %d, not %d", need, best, price)
		}
	})
}

// try is every combination, one after the other.
func try(offers []estimate.Offer, need models.Credits, paid int64) int64 {
	if need <= 0 {
		return paid
	}
	if len(offers) == 0 {
		return math.MaxInt64
	}
	best := int64(math.MaxInt64)
	for n := int64(0); ; n++ {
		best = min(best, try(offers[1:], need-offers[0].Credits*models.Credits(n), paid+offers[0].Price*n))
		if offers[0].Credits*models.Credits(n) >= need {
			return best
		}
	}
}

func TestALargeNeedIsCoveredToo(t *testing.T) {
	t.Parallel()
	offers := []estimate.Offer{{ID: "s", Credits: models.Credit, Price: 3}, {ID: "l", Credits: 1000 * models.Credit, Price: 1000}}
	got, ok := estimate.Cheapest(offers, 999_999_333*models.Credit)
	require.True(t, ok)
	require.Equal(t, 999_999_333+int64(0), int64(got.Credits/models.Credit))
	require.Equal(t, int64(999_999_000+333*3), got.Price)

	amount := estimate.Offer{ID: "a", Credits: 1000 * models.Credit, Price: 299, ByAmount: true, Least: 2000 * models.Credit}
	got, ok = estimate.Cheapest([]estimate.Offer{amount}, 500*models.Credit)
	require.True(t, ok)
	require.Equal(t, []estimate.Pick{{Offer: amount, Count: 2}}, got.Picks, "not below its least amount")
	_, ok = estimate.Cheapest(nil, models.Credit)
	require.False(t, ok)
}

// A client has a monthly package once: it covers a month with what is bought once, as
// far as that is cheaper, and what it leaves over is not kept.
func TestAMonthlyOfferIsTakenOnceAMonth(t *testing.T) {
	t.Parallel()
	month := estimate.Offer{ID: "m", Credits: 10_000 * models.Credit, Price: 30_00, Monthly: true}
	once := estimate.Offer{ID: "o", Credits: 10_000 * models.Credit, Price: 60_00}
	both := []estimate.Offer{month, once}
	for name, c := range map[string]struct {
		offers []estimate.Offer
		need   models.Credits
		picks  []estimate.Pick
		kept   models.Credits
	}{
		"it is enough":                {both, 7_000 * models.Credit, []estimate.Pick{{Offer: month, Count: 1}}, 0},
		"it is not, and there is one": {both, 25_000 * models.Credit, []estimate.Pick{{Offer: month, Count: 1}, {Offer: once, Count: 2}}, 5_000 * models.Credit},
		"alone it covers no more":     {[]estimate.Offer{month}, 25_000 * models.Credit, nil, 0},
	} {
		got, ok := estimate.CheapestMonth(c.offers, c.need)
		require.Equal(t, c.picks != nil, ok, name)
		require.Equal(t, c.picks, got.Picks, name)
		require.Equal(t, c.kept, got.Kept(c.need), name)
	}
	got, ok := estimate.Cheapest(both, 7_000*models.Credit)
	require.True(t, ok)
	require.Equal(t, []estimate.Pick{{Offer: once, Count: 1}}, got.Picks, "what is needed once is bought once")
}
