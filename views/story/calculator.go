package story

import (
	"refill/models"
	"refill/views"
)

func calculators() []Page {
	form := views.Calculator{
		Frame: agencyFrame("Calculator", ""), Signed: true, For: views.ForAgency, Conversations: "500", Replies: "6", Talk: "ai.reply",
		Models: []views.Option{{Value: "gpt-3.5-turbo", Label: "GPT-3.5"}, {Value: "gpt-4-turbo", Label: "GPT-4 Turbo"}}, Model: "gpt-4-turbo", Margin: "20",
		Actions: []views.CalculatorAction{
			{Action: "ai.knowledge_sync", Each: credits(25), Monthly: "4"},
			{Action: "ai.embed_conversation", Each: models.Credit / 2, Once: "12000", Brings: views.BringsTickets},
			{Action: "ai.document", Each: credits(1), AtLeast: true, Once: "300", Brings: views.BringsPages},
		},
	}
	result := views.CalculatorResult{
		Lines: []views.CalculatorLine{
			{Action: "ai.reply", Model: "gpt-4-turbo", Times: 3000, Each: credits(10), Credits: credits(30_000)},
			{Action: "ai.knowledge_sync", Times: 4, Each: credits(25), Credits: credits(100)},
		},
		Once:    []views.CalculatorLine{{Action: "ai.embed_conversation", Times: 12_000, Each: models.Credit / 2, Credits: credits(6000)}, {Action: "ai.document", Times: 300, Each: credits(1), Credits: credits(300), AtLeast: true}},
		Reserve: credits(6020), Low: credits(25_836), Usual: credits(36_120), High: credits(72_120), Moving: credits(6300),
		Switches: []views.CalculatorSwitch{{Model: "gpt-3.5-turbo", Usual: credits(3720), Href: form.WithModel("gpt-3.5-turbo")}},
		Offers:   true,
		Month: views.CalculatorBasket{
			Picks:   []views.CalculatorPick{{Name: "35,000 credits", Count: 1, Href: "/buy?pack=pck_3"}, {Name: "2,000 credits", Count: 2, Href: "/buy?pack=pck_1"}},
			Credits: credits(39_000), Price: usd(12_000), Left: credits(2880),
		},
		Extra: views.CalculatorBasket{Picks: []views.CalculatorPick{{Amount: credits(7000), Count: 7, Href: "/buy?pack=pck_4&quantity=7000"}}, Credits: credits(7000), Price: usd(3500), Left: credits(700)},
		Each:  usd(24),
	}
	agency := result
	agency.Allowance, agency.Package = credits(10_000), "/packages/new?credits=36120"
	agency.Plans = []views.CalculatorPlan{
		{Name: "Agency", Covered: true, Price: usd(29_700), Packs: usd(3000), Total: usd(32_700), Href: "/plan/change?plan=agency"},
		{Name: "Full SaaS Mode", Current: true, Covered: true, Price: usd(49_700), Total: usd(49_700)},
		{Name: "Starter", Price: usd(9700), Href: "/plan/change?plan=starter"},
	}
	own := form
	own.Past = views.CalculatorPast{Times: 3210, Conversations: 535}
	agency.Offer = &views.CalculatorOffer{Credits: credits(36_120), Price: usd(22_300), Keep: usd(11_150), Basis: "the average of the purchased credits you hold"}
	own.Query, own.Quote.Days = "c=500&r=6", "14"
	own.Result, own.Share = &agency, "https://northwind.example/calculator?c=500&r=6"
	visitor := form
	visitor.Frame, visitor.Signed, visitor.For, visitor.Result = signedOut("Calculator", "Northwind Agency"), false, views.ForVisitor, &result
	wrong := form
	wrong.Conversations, wrong.Errors = "many", views.FieldErrors{{Field: "c", Text: "Enter how many conversations a month, up to 10,000,000."}}
	free := form
	free.Result = &views.CalculatorResult{Lines: []views.CalculatorLine{{Action: "ai.reply", Model: "gpt-4-turbo", Times: 3000}}, Unlimited: true}
	empty := form
	empty.Talk = ""
	return []Page{
		{"calculator", views.CalculatorPage(own)},
		{"calculator-visitor", views.CalculatorPage(visitor)},
		{"calculator-wrong", views.CalculatorPage(wrong)},
		{"calculator-unlimited", views.CalculatorPage(free)},
		{"calculator-no-rates", views.CalculatorPage(empty)},
	}
}
