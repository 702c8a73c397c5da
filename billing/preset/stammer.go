package preset

import "refill/billing/ratecard"

func stammer() Catalogue {
	packs := []Pack{
		fixed("credits-2000", "2,000 credits", 2_000, 10),
		fixed("credits-12500", "12,500 credits", 12_500, 50),
		fixed("credits-35000", "35,000 credits", 35_000, 100),
	}
	plan := func(code, name string, dollars, allowance int64, assumed ...string) Plan {
		return Plan{
			Code: code, Name: name, Price: usd(dollars), Allowance: credits(allowance), Every: Month,
			PacksForSale: codes(packs), AtZero: Pause, RateCard: "standard",
			Assumed: append(assumed, "what happens at zero"),
		}
	}
	return Catalogue{
		Name: "stammer", Title: "Stammer", Currency: "usd", DefaultPlan: "full-saas",
		Plans: []Plan{
			plan("starter", "Starter", 97, 5_000, "name", "allowance"),
			plan("agency", "Agency", 297, 25_000, "name", "allowance"),
			plan("full-saas", "Full SaaS Mode", 497, 100_000),
		},
		Packs: packs,
		Cards: []Card{{Code: "standard", Name: "Standard", Rates: []ratecard.Rate{
			flat("ai.reply", "gpt-3.5-turbo", 1),
			flat("ai.reply", "gpt-4-turbo", 10),
			flat("ai.reply", "gpt-4", 25),
		}}},
		Actions: []Label{{Name: "ai.reply", Title: "Reply", One: "reply", Many: "replies"}},
		Models: []Label{
			{Name: "gpt-3.5-turbo", Title: "GPT-3.5", One: "GPT-3.5 reply", Many: "GPT-3.5 replies"},
			{Name: "gpt-4-turbo", Title: "GPT-4 Turbo", One: "GPT-4 Turbo reply", Many: "GPT-4 Turbo replies"},
			{Name: "gpt-4", Title: "GPT-4", One: "GPT-4 reply", Many: "GPT-4 replies"},
		},
		Yardsticks: []Yardstick{{"ai.reply", "gpt-4-turbo"}, {"ai.reply", "gpt-3.5-turbo"}},
		Notes: []string{
			"Packs go to the agency's own balance and never expire; what is left of the plan ends with the month.",
			"Agencies resell at their own price: bought at $0.0029 a credit and sold at $0.006, a credit earns $0.0031.",
		},
	}
}
