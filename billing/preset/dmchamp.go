package preset

import "refill/billing/ratecard"

func dmChamp() Catalogue {
	packs := []Pack{
		fixed("credits-5000", "5,000 credits", 5_000, 50, "credits", "price"),
		fixed("credits-25000", "25,000 credits", 25_000, 200, "credits", "price"),
		fixed("credits-100000", "100,000 credits", 100_000, 600, "credits", "price"),
	}
	plan := func(code, name string, dollars, allowance int64, card string) Plan {
		return Plan{
			Code: code, Name: name, Price: usd(dollars), Allowance: credits(allowance), Every: Once,
			PacksForSale: codes(packs), SubAccountLimit: 100, AtZero: Pause, RateCard: card,
			Assumed: []string{"name", "price", "credits granted"},
		}
	}
	// rates differ only in what a reply costs.
	rates := func(reply int64) []ratecard.Rate {
		return []ratecard.Rate{
			flat("ai.reply", "", reply),
			flat("ai.tool_use", "", 2),
			flat("ai.generation", "", 5),
			flat("infra.phone_number", "", 500),
		}
	}
	return Catalogue{
		Name: "dm-champ", Title: "DM Champ", Currency: "usd", DefaultPlan: "agency",
		Plans: []Plan{
			plan("agency", "Agency", 499, 20_000, "standard"),
			plan("agency-unlimited", "Agency Unlimited", 999, 20_000, "unlimited-replies"),
		},
		Packs: packs,
		Cards: []Card{
			{Code: "standard", Name: "Standard", Rates: rates(1), Assumed: []string{"all rates"}},
			{
				Code: "unlimited-replies", Name: "Unlimited replies", Rates: rates(0),
				Assumed: []string{"ai.tool_use", "ai.generation", "infra.phone_number"},
			},
		},
		Actions: []Label{
			{Name: "ai.reply", Title: "Response", One: "response", Many: "responses"},
			{Name: "ai.tool_use", Title: "Tool use", One: "tool use", Many: "tool uses"},
			{Name: "ai.generation", Title: "Generation", One: "generation", Many: "generations"},
			{Name: "infra.phone_number", Title: "Phone number", One: "phone number", Many: "phone numbers"},
		},
		Yardsticks: []Yardstick{{"ai.reply", ""}, {"ai.generation", ""}},
		Notes: []string{
			"The plan's credits are granted once, to the agency, and shared by all its sub-accounts: they are not per sub-account.",
			"Sub-accounts get credits by hand or buy them from the agency at the agency's price.",
			"A sub-account without credits stops answering and its people are told; a reply that holds credits finishes.",
			"A phone number draws its rate once for each month it is kept.",
		},
	}
}
