package preset

import (
	"refill/billing/ratecard"
	"refill/models"
)

func thriveDesk() Catalogue {
	packs := []Pack{
		fixed("bundle-5000", "5,000 credits", 5_000, 25, "credits", "price"),
		fixed("bundle-20000", "20,000 credits", 20_000, 80, "credits", "price"),
		fixed("bundle-100000", "100,000 credits", 100_000, 300, "credits", "price"),
	}
	plan := func(code, name string, dollars, allowance int64) Plan {
		return Plan{
			Code: code, Name: name, Price: usd(dollars), Allowance: credits(allowance), Every: Month,
			PacksForSale: codes(packs), AtZero: Pause, RateCard: "standard",
			Assumed: []string{"name", "price", "allowance"},
		}
	}
	return Catalogue{
		Name: "thrivedesk", Title: "ThriveDesk", Currency: "usd", DefaultPlan: "plus",
		Plans: []Plan{
			plan("basic", "Basic", 25, 2_500),
			plan("plus", "Plus", 79, 10_000),
			plan("pro", "Pro", 199, 30_000),
		},
		Packs: packs,
		Cards: []Card{{
			Code: "standard", Name: "Standard", Rates: thriveDeskRates(),
			Assumed: []string{
				"ai.draft: what counts as long, 4,000 characters and 8,000",
				"ai.label: one credit more for every started hundred labels above 100",
				"ai.chat with gpt-4.1-mini: one credit more for every started 2,000 input tokens above 2,000",
			},
		}},
		Referral: credits(2_000),
		Actions: []Label{
			{Name: "ai.draft", Title: "Draft", One: "draft", Many: "drafts"},
			{Name: "ai.label", Title: "Label", One: "labelled ticket", Many: "labelled tickets"},
			{Name: "ai.prioritize", Title: "Prioritise", One: "prioritised ticket", Many: "prioritised tickets"},
			{Name: "ai.chat", Title: "Chat", One: "chat message", Many: "chat messages"},
			{Name: "ai.article", Title: "Knowledge base article", One: "article", Many: "articles"},
			{Name: "ai.crawl", Title: "Website crawl", One: "website crawl", Many: "website crawls"},
			{Name: "ai.scrape", Title: "Page scrape", One: "scraped page", Many: "scraped pages"},
			{Name: "ai.document", Title: "Document", One: "document page", Many: "document pages"},
			{Name: "ai.embed_conversation", Title: "Conversation embedding", One: "embedded conversation", Many: "embedded conversations"},
		},
		Models: []Label{
			{Name: "gpt-4o-mini", Title: "GPT-4o mini", One: "GPT-4o mini message", Many: "GPT-4o mini messages"},
			{Name: "gpt-4.1-mini", Title: "GPT-4.1 mini", One: "GPT-4.1 mini message", Many: "GPT-4.1 mini messages"},
		},
		Yardsticks: []Yardstick{{"ai.draft", ""}, {"ai.chat", "gpt-4o-mini"}},
		Notes: []string{
			"At zero the chat asks visitors to try again later.",
			"A website is crawled at one price, once: send the site as the idempotency key.",
			"A page is 5,000 characters of text after cleaning; every started page counts.",
			"Somebody who moves from another desk embeds all old conversations at 0.5 each: estimate them in bulk and buy first.",
			"Whoever refers a customer that starts to pay gets 2,000 bonus credits.",
		},
	}
}

func thriveDeskRates() []ratecard.Rate {
	// pages costs one credit for every started 5,000 characters, and never less.
	pages := func(action string) ratecard.Rate {
		return ratecard.Rate{
			Action: action, Minimum: bound(1),
			Components: []ratecard.Component{{Measure: ratecard.Characters, Size: quantity(5_000), Credits: credits(1)}},
		}
	}
	return []ratecard.Rate{
		{
			Action: "ai.draft", Base: credits(5), Maximum: bound(10),
			Components: []ratecard.Component{{Measure: ratecard.Characters, Above: quantity(4_000), Size: quantity(4_000), Credits: credits(3)}},
		},
		{
			Action: "ai.label", Base: credits(1), Maximum: bound(4),
			Components: []ratecard.Component{{Measure: ratecard.Labels, Above: quantity(100), Size: quantity(100), Credits: credits(1)}},
		},
		flat("ai.prioritize", "", 1),
		flat("ai.chat", "gpt-4o-mini", 4),
		{
			Action: "ai.chat", Model: "gpt-4.1-mini", Base: credits(6), Maximum: bound(10),
			Components: []ratecard.Component{{Measure: ratecard.InputTokens, Above: quantity(2_000), Size: quantity(2_000), Credits: credits(1)}},
		},
		flat("ai.article", "", 1),
		flat("ai.crawl", "", 1),
		pages("ai.scrape"),
		pages("ai.document"),
		{Action: "ai.embed_conversation", Base: models.Credit / 2},
	}
}
