package preset

import "refill/billing/ratecard"

func aiEmployee() Catalogue {
	packs := []Pack{
		fixed("credits-500", "500 credits", 500, 15, "credits", "price"),
		fixed("credits-2500", "2,500 credits", 2_500, 60, "credits", "price"),
		fixed("credits-10000", "10,000 credits", 10_000, 200, "credits", "price"),
	}
	plan := func(code, name string, dollars, allowance int64) Plan {
		return Plan{
			Code: code, Name: name, Price: usd(dollars), Allowance: credits(allowance), Every: Month,
			PacksForSale: codes(packs), AtZero: Pause, TrialDays: 14, RateCard: "standard",
			Assumed: []string{"allowance"},
		}
	}
	enterprise := plan("enterprise", "Enterprise", 0, 60_000)
	enterprise.CustomPrice = true
	return Catalogue{
		Name: "ai-employee", Title: "AI Employee CRM", Currency: "usd", DefaultPlan: "professional",
		Plans: []Plan{
			plan("starter", "Starter", 65, 1_000),
			plan("professional", "Professional", 199, 5_000),
			plan("scale", "Scale", 399, 15_000),
			enterprise,
		},
		Packs: packs,
		Cards: []Card{{Code: "standard", Name: "Standard", Rates: []ratecard.Rate{
			flat("ai.reply", "", 1),
			flat("ai.command", "", 1),
			flat("ai.knowledge_sync", "", 25),
		}}},
		Actions: []Label{
			{Name: "ai.reply", Title: "Reply", One: "reply", Many: "replies"},
			{Name: "ai.command", Title: "Command", One: "command", Many: "commands"},
			{Name: "ai.knowledge_sync", Title: "Website knowledge sync", One: "website sync", Many: "website syncs"},
		},
		Yardsticks: []Yardstick{{"ai.reply", ""}, {"ai.knowledge_sync", ""}},
		Notes: []string{
			"The trial lasts 14 days, has its allowance from the first of them and asks for no card.",
			"Packs are drawn on only when the allowance is used up.",
			"At zero, replies and syncs pause until the allowance resets or credits are bought; everything else keeps working.",
			"Phone calls and texts are billed by the phone provider and draw no credits.",
		},
	}
}
