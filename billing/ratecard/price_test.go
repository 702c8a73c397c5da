package ratecard_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"refill/billing/ratecard"
	"refill/models"
)

// credits reads an amount a test wrote down.
func credits(t *testing.T, s string) models.Credits {
	t.Helper()
	c, err := models.ParseCredits(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func whole(n int64) models.Credits { return models.Credits(n) * models.Credit }

func upTo(n int64) *models.Credits { c := whole(n); return &c }

func units(n int64) ratecard.Quantity { return ratecard.Quantity(n) * ratecard.One }

// card has one rate of every shape.
func card() ratecard.Version {
	return ratecard.Version{Number: 1, Rates: []ratecard.Rate{
		{Action: "ai.reply", Model: "gpt-3.5-turbo", Base: whole(1)},
		{Action: "ai.reply", Model: "gpt-4-turbo", Base: whole(10)},
		{Action: "ai.reply", Model: "gpt-4", Base: whole(25)},
		{
			Action: "ai.draft", Base: whole(5), Maximum: upTo(10),
			Components: []ratecard.Component{{Measure: "characters", Above: units(4000), Size: units(4000), Credits: whole(3)}},
		},
		{
			Action: "ai.label", Base: whole(1), Maximum: upTo(4),
			Components: []ratecard.Component{{Measure: "labels", Above: units(100), Size: units(100), Credits: whole(1)}},
		},
		{
			Action: "ai.document", Minimum: upTo(1),
			Components: []ratecard.Component{{Measure: "characters", Size: units(5000), Credits: whole(1)}},
		},
		{Action: "ai.embed_conversation", Base: models.Credit / 2},
		{
			Action: "ai.chat", Model: "gpt-4o",
			Components: []ratecard.Component{
				{Measure: "input_tokens", Size: units(1000), Credits: 2_500},
				{Measure: "output_tokens", Size: units(1000), Credits: 10_000},
			},
		},
		{Action: "ai.chat", Base: whole(1)},
		{Action: "ai.search"},
		{
			Action: "ai.call",
			Components: []ratecard.Component{
				{Measure: "minutes", Above: units(1), Size: ratecard.One / 2, Credits: whole(2)},
				{Measure: "minutes", Above: units(60), Size: ratecard.MaxQuantity, Credits: whole(7)},
			},
		},
	}}
}

func TestPrice(t *testing.T) {
	t.Parallel()
	tests := []struct{ action, model, usage, want string }{
		{"ai.reply", "gpt-3.5-turbo", `{}`, "1"},
		{"ai.reply", "gpt-4-turbo", `{"input_tokens":374,"output_tokens":44}`, "10"},
		{"ai.reply", "gpt-4", `null`, "25"},

		{"ai.draft", "", `{}`, "5"},
		{"ai.draft", "", `{"characters":4000}`, "5"},
		{"ai.draft", "", `{"characters":4000.000001}`, "8"},
		{"ai.draft", "any-model", `{"characters":8000}`, "8"},
		{"ai.draft", "", `{"characters":8001}`, "10"},
		{"ai.draft", "", `{"characters":1e12}`, "10"},

		{"ai.label", "", `{"labels":100}`, "1"},
		{"ai.label", "", `{"labels":101}`, "2"},
		{"ai.label", "", `{"labels":"201"}`, "3"},
		{"ai.label", "", `{"labels":301}`, "4"},
		{"ai.label", "", `{"labels":9000}`, "4"},

		{"ai.document", "", `{}`, "1"},
		{"ai.document", "", `{"characters":1}`, "1"},
		{"ai.document", "", `{"characters":5000}`, "1"},
		{"ai.document", "", `{"characters":5001}`, "2"},
		{"ai.document", "", `{"characters":12300}`, "3"},

		{"ai.embed_conversation", "", `{}`, "0.5"},

		{"ai.chat", "gpt-4o", `{"input_tokens":374,"output_tokens":44}`, "0.0125"},
		{"ai.chat", "gpt-4o", `{"input_tokens":1001,"output_tokens":0}`, "0.005"},
		{"ai.chat", "gpt-4o", `{}`, "0"},
		{"ai.chat", "something-newer", `{"input_tokens":374}`, "1"},

		{"ai.search", "", `{"pages":7}`, "0"},
		{"ai.call", "", `{"minutes":1}`, "0"},
		{"ai.call", "", `{"minutes":1.5}`, "2"},
		{"ai.call", "", `{"minutes":1.500001}`, "4"},
		{"ai.call", "", `{"minutes":61}`, "247"},
	}
	for _, tt := range tests {
		t.Run(strings.Join([]string{tt.action, tt.model, tt.usage}, " "), func(t *testing.T) {
			t.Parallel()
			var usage ratecard.Usage
			if err := json.Unmarshal([]byte(tt.usage), &usage); err != nil {
				t.Fatal(err)
			}
			quote, err := card().Price(tt.action, tt.model, usage)
			if err != nil {
				t.Fatal(err)
			}
			if want := credits(t, tt.want); quote.Credits != want {
				t.Errorf("price is %s, want %s; lines %+v", quote.Credits, want, quote.Lines)
			}
		})
	}
}

func TestQuoteExplainsItself(t *testing.T) {
	t.Parallel()
	quote, err := card().Price("ai.draft", "", ratecard.Usage{"characters": units(8001)})
	if err != nil {
		t.Fatal(err)
	}
	want := []ratecard.Line{
		{Kind: ratecard.LineBase, Units: 1, Each: whole(5), Credits: whole(5)},
		{
			Kind: ratecard.LineComponent, Measure: "characters", Quantity: units(8001), Above: units(4000), Size: units(4000),
			Units: 2, Each: whole(3), Credits: whole(6),
		},
		{Kind: ratecard.LineMaximum, Units: 1, Each: whole(-1), Credits: whole(-1)},
	}
	if !slices.Equal(quote.Lines, want) {
		t.Errorf("lines are %+v, want %+v", quote.Lines, want)
	}
	if quote.Rate.Action != "ai.draft" || quote.Credits != whole(10) {
		t.Errorf("quote is %+v", quote)
	}

	free, err := card().Price("ai.search", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []ratecard.Line{{Kind: ratecard.LineBase, Units: 1}}; !slices.Equal(free.Lines, want) {
		t.Errorf("a free action has lines %+v, want %+v", free.Lines, want)
	}

	raised, err := card().Price("ai.document", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []ratecard.Line{{Kind: ratecard.LineMinimum, Units: 1, Each: whole(1), Credits: whole(1)}}; !slices.Equal(raised.Lines, want) {
		t.Errorf("a raised price has lines %+v, want %+v", raised.Lines, want)
	}
}

func TestPriceErrors(t *testing.T) {
	t.Parallel()
	dear := ratecard.Version{Rates: []ratecard.Rate{
		{Action: "ai.sum", Components: []ratecard.Component{{Measure: "pages", Size: 1, Credits: models.MaxCharge}}},
		{Action: "ai.reply", Model: "b"},
		{Action: "ai.reply", Model: "a"},
		{Action: "ai.edge", Components: []ratecard.Component{{Measure: "pages", Size: ratecard.One, Credits: models.MaxCharge}}},
	}}
	tests := []struct {
		name, action, model string
		usage               ratecard.Usage
		kind                ratecard.Kind
		known               []string
		says                string
	}{
		{"unknown action", "ai.replay", "a", nil, ratecard.UnknownAction, []string{"ai.edge", "ai.reply", "ai.sum"}, "ai.edge, ai.reply, ai.sum"},
		{"unknown model", "ai.reply", "c", nil, ratecard.UnknownModel, []string{"a", "b"}, `no rate for model "c"; it is priced for a, b`},
		{"no model", "ai.reply", "", nil, ratecard.UnknownModel, []string{"a", "b"}, "needs a model; it is priced for a, b"},
		{"beyond int64", "ai.sum", "", ratecard.Usage{"pages": ratecard.MaxQuantity}, ratecard.TooLarge, nil, "split it"},
		{"beyond one charge", "ai.edge", "", ratecard.Usage{"pages": units(2)}, ratecard.TooLarge, nil, "split it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := dear.Price(tt.action, tt.model, tt.usage)
			var priced *ratecard.PriceError
			if !errors.As(err, &priced) {
				t.Fatalf("error is %v, want a PriceError", err)
			}
			if priced.Kind != tt.kind || !slices.Equal(priced.Known, tt.known) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error is %+v (%s), want %s, %v and %q", priced, err, tt.kind, tt.known, tt.says)
			}
		})
	}

	t.Run("the dearest charge there may be", func(t *testing.T) {
		t.Parallel()
		quote, err := dear.Price("ai.edge", "", ratecard.Usage{"pages": units(1)})
		if err != nil || quote.Credits != models.MaxCharge {
			t.Errorf("price is %s, %v; want %s", quote.Credits, err, models.MaxCharge)
		}
	})
	t.Run("an empty card names no action", func(t *testing.T) {
		t.Parallel()
		_, err := ratecard.Version{}.Price("ai.reply", "", nil)
		if err == nil || !strings.Contains(err.Error(), "its actions are none") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a broken component is the card's fault", func(t *testing.T) {
		t.Parallel()
		_, err := ratecard.Rate{Action: "a", Components: []ratecard.Component{{Measure: "pages"}}}.Price(ratecard.Usage{"pages": 1})
		var priced *ratecard.PriceError
		if err == nil || errors.As(err, &priced) {
			t.Errorf("error is %v, want one that is no PriceError", err)
		}
	})
}

func TestMaximumSheltersFromLargeUsage(t *testing.T) {
	t.Parallel()
	rate := ratecard.Rate{
		Action: "ai.sum", Maximum: upTo(3),
		Components: []ratecard.Component{{Measure: "pages", Size: ratecard.One, Credits: whole(9)}},
	}
	quote, err := rate.Price(ratecard.Usage{"pages": units(1_000_000_000)})
	if err != nil || quote.Credits != whole(3) {
		t.Errorf("price is %s, %v; want 3", quote.Credits, err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := ratecard.Validate(card().Rates); err != nil {
		t.Fatalf("a good card is refused: %v", err)
	}
	good := ratecard.Component{Measure: "pages", Size: 1}
	tests := []struct {
		name  string
		rates []ratecard.Rate
		field string
		says  string
	}{
		{"no rates", nil, "rates", "add a rate"},
		{"too many rates", make([]ratecard.Rate, ratecard.MaxRates+1), "rates", "keep at most 500"},
		{"twice", []ratecard.Rate{{Action: "a", Model: "m"}, {Action: "a"}, {Action: "a", Model: "m"}}, "rates[2]", "rates[0]; keep one"},
		{"empty action", []ratecard.Rate{{}}, "rates[0].action", "such as ai.reply"},
		{"capital action", []ratecard.Rate{{Action: "AI.reply"}}, "rates[0].action", "such as ai.reply"},
		{"two points", []ratecard.Rate{{Action: "ai..reply"}}, "rates[0].action", "such as ai.reply"},
		{"long action", []ratecard.Rate{{Action: strings.Repeat("a", 61)}}, "rates[0].action", "at most 60"},
		{"blank in model", []ratecard.Rate{{Action: "a", Model: "gpt 4"}}, "rates[0].model", "such as gpt-3.5-turbo"},
		{"model starts with a dash", []ratecard.Rate{{Action: "a", Model: "-4"}}, "rates[0].model", "such as gpt-3.5-turbo"},
		{"negative base", []ratecard.Rate{{Action: "a", Base: -1}}, "rates[0].base", "not be negative"},
		{"large base", []ratecard.Rate{{Action: "a", Base: models.MaxCharge + 1}}, "rates[0].base", "at most 1000000000"},
		{"size 0", []ratecard.Rate{{Action: "a", Components: []ratecard.Component{good, {Measure: "pages"}}}}, "rates[0].components[1].size", "above 0"},
		{"large size", []ratecard.Rate{{Action: "a", Components: []ratecard.Component{{Measure: "pages", Size: math.MaxInt64}}}}, "rates[0].components[0].size", "at most 1000000000000"},
		{"negative above", []ratecard.Rate{{Action: "a", Components: []ratecard.Component{{Measure: "pages", Size: 1, Above: -1}}}}, "rates[0].components[0].above", "write 0"},
		{"negative credits", []ratecard.Rate{{Action: "a", Components: []ratecard.Component{{Measure: "pages", Size: 1, Credits: -1}}}}, "rates[0].components[0].credits", "not be negative"},
		{"measure", []ratecard.Rate{{Action: "a", Components: []ratecard.Component{{Measure: "Pages", Size: 1}}}}, "rates[0].components[0].measure", "such as input_tokens"},
		{"too many components", []ratecard.Rate{{Action: "a", Components: make([]ratecard.Component, 17)}}, "rates[0].components", "at most 16"},
		{"negative minimum", []ratecard.Rate{{Action: "a", Minimum: upTo(-1)}}, "rates[0].minimum", "not be negative"},
		{"large maximum", []ratecard.Rate{{Action: "a", Maximum: upTo(1_000_000_001)}}, "rates[0].maximum", "at most"},
		{"minimum above maximum", []ratecard.Rate{{Action: "a", Minimum: upTo(2), Maximum: upTo(1)}}, "rates[0].minimum", "lower it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := ratecard.Validate(tt.rates)
			var found *ratecard.InvalidError
			if !errors.As(err, &found) {
				t.Fatalf("error is %v, want an InvalidError", err)
			}
			if len(found.Problems) != 1 || found.Problems[0].Field != tt.field || !strings.Contains(found.Problems[0].Remedy, tt.says) {
				t.Errorf("problems are %+v, want only %s … %q", found.Problems, tt.field, tt.says)
			}
		})
	}
}
