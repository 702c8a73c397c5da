package preset

import "refill/billing/ratecard"

func tawk() Catalogue {
	const topUp = "message-credits"
	// plan is one of the paid ones, which may buy and go below zero.
	plan := func(code, name string, dollars, allowance, excess int64) Plan {
		return Plan{
			Code: code, Name: name, Price: usd(dollars), Allowance: credits(allowance), Every: Month,
			PacksForSale: []string{topUp}, AtZero: Excess, ExcessLimit: credits(excess), RateCard: "standard",
			Assumed: []string{"price", "excess limit"},
		}
	}
	return Catalogue{
		Name: "tawk", Title: "tawk.to AI Assist", Currency: "usd", DefaultPlan: "growth",
		Plans: []Plan{
			{
				Code: "hobby", Name: "Hobby", Price: usd(0), Allowance: credits(100), Every: Month,
				AtZero: Pause, RateCard: "standard",
			},
			plan("growth", "Growth", 29, 1_000, 500),
			plan("business", "Business", 99, 5_000, 1_000),
			plan("enterprise", "Enterprise", 399, 20_000, 2_000),
		},
		Packs: []Pack{{
			Code: topUp, Name: "Message credits", Kind: Quantity,
			Minimum: credits(1_000), Step: credits(1_000), UnitPrice: 3_000_000, // $0.03
		}},
		Cards: []Card{{Code: "standard", Name: "Standard", Rates: []ratecard.Rate{flat("ai.message", "", 1)}}},
		Actions: []Label{
			{Name: "ai.message", Title: "Message", One: "message", Many: "messages"},
		},
		Yardsticks: []Yardstick{{"ai.message", ""}},
		Notes: []string{
			"Only paid plans buy credits and go into excess usage; Hobby stops until its allowance resets.",
			"The next purchase pays excess usage off first: 1,000 bought with 223 in excess leave 777.",
			"Previews and tests are sent as test charges: they are listed and cost nothing.",
			"Purchases are paid by card or PayPal.",
		},
	}
}
