package story

import (
	"refill/models"
	"refill/views"
)

// catalogueFrame is the frame of the pages where an operator edits what is sold.
func catalogueFrame(title, current string) views.Frame {
	f := adminFrame(title)
	f.Nav = []views.NavItem{
		{Key: "fleet", Label: "Fleet", Short: "Fleet", Href: "/admin"},
		{Key: "usage", Label: "Usage", Short: "Usage", Href: "/admin/usage"},
		{Key: "plans", Label: "Plans", Href: "/admin/plans"},
		{Key: "packs", Label: "Packs", Href: "/admin/packs"},
		{Key: "rates", Label: "Rate cards", Href: "/admin/rates"},
	}
	for i := range f.Nav {
		f.Nav[i].Current = f.Nav[i].Key == current
	}
	return f
}

func planFacts(price int64, allowance int64) views.PlanFacts {
	return views.PlanFacts{
		Price: usd(price), Allowance: credits(allowance), SubAccountLimit: 100, TrialDays: 14, Card: "Standard", Packs: []string{"2,000 credits", "12,500 credits"}, Position: 2,
	}
}

func plans() []Page {
	starter, pro := planFacts(9_700, 10_000), planFacts(29_700, 100_000)
	once := views.PlanFacts{Price: usd(0), Allowance: credits(500), Once: true, ExcessLimit: credits(50), Card: "Standard"}
	none := planFacts(49_700, 0)
	none.Packs = nil
	list := views.Plans{
		Grace: "7", Share: "2.5",
		Frame: catalogueFrame("Plans", "plans"),
		Rows: []views.PlanRow{
			{Name: "Starter", Href: "/admin/plans/1", Version: 4, Terms: starter, On: 12, Older: 38, Default: true},
			{Name: "Agency Pro", Href: "/admin/plans/2", Version: 1, Terms: pro, On: 1},
			{Name: "Trial", Href: "/admin/plans/3", Version: 2, Terms: once},
			{Name: "Pay as you go", Href: "/admin/plans/4", Version: 1, Terms: none},
		},
		Retired: []views.PlanRow{{Name: "Founders", Href: "/admin/plans/5", Version: 3, Terms: starter, On: 2}},
	}
	empty, broken := views.Plans{Frame: list.Frame}, views.Plans{Frame: list.Frame, Failure: failure("The plans")}

	plan := views.Plan{
		Frame: catalogueFrame("Starter", "plans"), Name: "Starter", Code: "starter", Version: 4, Newest: 4, Terms: starter, On: 101,
		Assumed: []string{"The source does not say how many sub-accounts there may be."},
		Editions: []views.PlanEdition{
			{Version: 4, Href: "/admin/plans/1", At: at(20, 9, 0), By: "ada@refill.example", Note: "Prices rise with the model's", Terms: starter, On: 101, Coming: 5, Offered: true},
			{Version: 3, Href: "/admin/plans/9", At: at(1, 9, 0), By: "setup", Terms: planFacts(8_700, 10_000), On: 38},
		},
		Agencies: []views.PlanAgency{
			{Name: "Northwind Agency", Href: "/admin/agencies/1", ResetsAt: at(31, 0, 0)},
			{Name: "Bright Ideas", ResetsAt: at(28, 0, 0), Moves: "Version 5"},
			{Name: "Kite Digital", ResetsAt: models.Never},
		},
		Edit: "/admin/plans/1/edit", Archive: "/admin/plans/1/archive", Move: "/admin/plans/1/move", Standard: "/admin/plans/1/default",
	}
	older, retired := plan, plan
	older.Version, older.NewestAt, older.OffOffer, older.Edit, older.Archive, older.Standard, older.Agencies = 3, "/admin/plans/1", true, "", "", "", nil
	retired.OffOffer, retired.Archive, retired.Standard, retired.Default = true, "", "", false

	form := views.PlanForm{
		Frame: catalogueFrame("Add plan", "plans"), New: true, Action: "/admin/plans/new", Back: views.Link{Label: "Plans", Href: "/admin/plans"},
		Every: "month", ExcessLimit: "0", TrialDays: "0", Position: "4", Currency: "USD", Cards: []views.Option{{Value: "crd_1", Label: "Standard"}},
		Packs: []views.Shelf{{Value: "credits-2000", Label: "2,000 credits", Hint: "$10.00 · $0.0050 each ($5.00 per 1,000)", Checked: true}},
	}
	bare := form
	bare.Cards, bare.Packs = nil, nil
	wrong := form
	wrong.Frame, wrong.New, wrong.Name, wrong.Price, wrong.Every = failed(catalogueFrame("Edit Starter", "plans")), false, " ", "many", "once"
	wrong.Errors = views.FieldErrors{
		{Field: "name", Text: "A name has 1 to 120 characters."},
		{Field: "price", Text: "Enter an amount of USD, such as 97 or 97.00."},
		{Field: "packs", Text: "The pack \"gone\" is not on sale any more; choose from those shown."},
	}
	move := views.PlanMove{
		Frame: catalogueFrame("Move agencies from Starter", "plans"), Back: views.Link{Label: "Starter", Href: "/admin/plans/9"}, Action: "/admin/plans/9/move",
		From: "Starter, version 3", On: 38, More: 36, When: "reset", To: "pln_1",
		Plans: []views.Option{{Value: "pln_1", Label: "Starter, version 4"}, {Value: "pln_2", Label: "Agency Pro, version 1"}},
		Shown: []views.Shelf{{Value: "agy_1", Label: "Northwind Agency", Checked: true}, {Value: "agy_2", Label: "Bright Ideas", Hint: "Moves at its next reset"}},
	}
	nobody, unsure := move, move
	nobody.On = 0
	unsure.Frame, unsure.When, unsure.Plans = failed(move.Frame), "", nil
	unsure.Errors = views.FieldErrors{{Field: "when", Text: "Choose when they move."}, {Field: "note", Text: "Say why in a few words; the audit log keeps it."}}
	archive := views.ConfirmForm{
		Frame: catalogueFrame("Take Starter off offer", "plans"), Back: views.Link{Label: "Starter", Href: "/admin/plans/1"}, Action: "/admin/plans/1/archive",
		Texts: []string{"Nobody new can be put on Starter.", "38 agencies stay on this version with the terms as they are, until moved to another plan."}, Button: "Take off offer",
	}
	whyless := archive
	whyless.Frame, whyless.Errors = failed(archive.Frame), views.FieldErrors{{Field: "note", Text: "Say why in a few words; the audit log keeps it."}}
	return []Page{
		{"plans", views.PlansPage(list)},
		{"plans-empty", views.PlansPage(empty)},
		{"plans-broken", views.PlansPage(broken)},
		{"plan", views.PlanPage(plan)},
		{"plan-older", views.PlanPage(older)},
		{"plan-retired", views.PlanPage(retired)},
		{"plan-new", views.PlanFormPage(form)},
		{"plan-new-bare", views.PlanFormPage(bare)},
		{"plan-wrong", views.PlanFormPage(wrong)},
		{"plan-move", views.PlanMovePage(move)},
		{"plan-move-nobody", views.PlanMovePage(nobody)},
		{"plan-move-wrong", views.PlanMovePage(unsure)},
		{"plan-archive", views.ConfirmFormPage(archive)},
		{"plan-archive-wrong", views.ConfirmFormPage(whyless)},
		{"plan-review", views.ReviewPage(views.Review{
			Frame: catalogueFrame("Review the plan Starter", "plans"), Back: views.Link{Label: "Starter", Href: "/admin/plans/1"}, Action: "/admin/plans/1/edit",
			Lead: "Version 5 takes the place of version 4, from now on.", Caption: "Changes", Note: "Prices rise",
			Changes: []views.DiffLine{{Label: "Price", From: "$97.00 a month", To: "$107.00 a month"}, {Label: "Packs on sale", From: "2,000 credits", To: "None"}},
			Notes:   []string{"50 agencies stay on the version they have; you can move them afterwards. New agencies get this version."},
			Warnings: []string{
				"Without a pack, agencies on this plan can't buy credits: at zero they wait for the reset.",
			},
			Hidden: []views.Hidden{{Name: "price", Value: "107"}}, Publish: "Publish version 5",
		})},
	}
}

func packPages() []Page {
	fixed := func(n, cents int64, plans ...string) views.PackFacts {
		return views.PackFacts{Credits: credits(n), Price: usd(cents), Plans: plans}
	}
	loose := views.PackFacts{ByQuantity: true, Minimum: credits(1_000), Step: credits(1_000), Unit: 3_000_000, Price: usd(0), Plans: []string{"Growth"}}
	tiny := fixed(100_000_000, 100)
	list := views.Packs{
		Frame: catalogueFrame("Packs", "packs"),
		Rows: []views.PackRow{
			{Name: "2,000 credits", Href: "/admin/packs/1", Version: 2, Terms: fixed(2_000, 1_000, "Starter", "Agency Pro")},
			{Name: "12,500 credits", Href: "/admin/packs/2", Version: 1, Terms: fixed(12_500, 5_000, "Starter"), Less: "20% less than 2,000 credits"},
			{Name: "Credits", Href: "/admin/packs/3", Version: 1, Terms: loose},
			{Name: "Tiny", Href: "/admin/packs/4", Version: 1, Terms: tiny},
		},
		Retired: []views.PackRow{{Name: "Founders", Href: "/admin/packs/5", Version: 1, Terms: fixed(500, 100)}},
		Ladder:  []string{"12,500 credits is not cheaper per credit than 2,000 credits: $0.0050 against $0.0050. Nobody has a reason to buy the larger one."},
	}
	pack := views.Pack{
		Frame: catalogueFrame("2,000 credits", "packs"), Name: "2,000 credits", Code: "credits-2000", Version: 2, Newest: 2, Terms: list.Rows[0].Terms,
		Editions: []views.PackEdition{
			{Version: 2, Href: "/admin/packs/1", At: at(20, 9, 0), By: "ada@refill.example", Note: "dearer", Terms: fixed(2_000, 1_000), OnSale: true},
			{Version: 1, Href: "/admin/packs/9", At: at(1, 9, 0), By: "setup", Terms: fixed(2_000, 900)},
		},
		Edit: "/admin/packs/1/edit", Archive: "/admin/packs/1/archive",
	}
	older := pack
	older.Version, older.NewestAt, older.OffSale, older.Edit, older.Archive = 1, "/admin/packs/1", true, "", ""
	form := views.PackForm{
		Frame: catalogueFrame("Add pack", "packs"), New: true, Action: "/admin/packs/new", Back: views.Link{Label: "Packs", Href: "/admin/packs"},
		Kind: "fixed", Position: "3", Currency: "USD", Plans: []views.Shelf{{Value: "starter", Label: "Starter", Checked: true}},
	}
	wrong := form
	wrong.Frame, wrong.Kind, wrong.Plans, wrong.UnitPrice = failed(form.Frame), "quantity", nil, "cheap"
	wrong.Errors = views.FieldErrors{
		{Field: "code", Text: "A code has 1 to 60 lower-case letters, digits and dashes, such as agency-pro."},
		{Field: "unit_price", Text: "Enter the price of one credit, such as 0.03."},
	}
	return []Page{
		{"packs", views.PacksPage(list)},
		{"packs-empty", views.PacksPage(views.Packs{Frame: list.Frame})},
		{"packs-broken", views.PacksPage(views.Packs{Frame: list.Frame, Failure: failure("The packs")})},
		{"pack", views.PackPage(pack)},
		{"pack-older", views.PackPage(older)},
		{"pack-new", views.PackFormPage(form)},
		{"pack-wrong", views.PackFormPage(wrong)},
	}
}

func rates() []Page {
	most := credits(20)
	reply := views.Price{Action: "ai.reply", Model: "gpt-4", Base: credits(25)}
	draft := views.Price{
		Action: "ai.draft", Base: credits(5), Maximum: &most,
		Parts: []views.PriceStep{{Measure: "characters", Above: credits(2_000), Size: credits(5_000), Credits: credits(3)}},
	}
	embed := views.Price{Action: "ai.embed_conversation", Base: models.Credit / 2}
	scrape := views.Price{Action: "ai.scrape", Parts: []views.PriceStep{{Measure: "characters", Size: credits(5_000), Credits: credits(1)}}}
	list := views.RateCards{
		Frame: catalogueFrame("Rate cards", "rates"),
		Rows: []views.RateCardRow{
			{Name: "Standard", Code: "standard", Href: "/admin/rates/1", InForce: 3, Since: at(1, 0, 0), Coming: []views.ComingVersion{{Number: 4, At: at(31, 0, 0)}}, Rates: 4, Plans: []string{"Starter", "Agency Pro"}, Agencies: 50},
			{Name: "Friends", Code: "friends", Href: "/admin/rates/2"},
		},
	}
	card := views.RateCard{
		Frame: catalogueFrame("Standard", "rates"), Name: "Standard", Code: "standard", Version: 3, Agencies: 50, Edit: "/admin/rates/1/edit", CSV: "/admin/rates/1/rates.csv",
		Rows: []views.PriceRow{
			{Price: reply, Since: 1, At: at(1, 0, 0), By: "setup", Charges: 1_842, Credits: credits(46_050)},
			{Price: draft, Since: 3, At: at(20, 0, 0), By: "ada@refill.example"},
			{Price: embed, Since: 1, At: at(1, 0, 0), By: "setup", Charges: 1, Credits: models.Credit / 2},
			{Price: scrape, Since: 1, At: at(1, 0, 0), By: "setup"},
		},
		Unpriced: []views.UnpricedUse{{Name: "GPT-4 Turbo", Key: "ai.reply gpt-4-turbo", Charges: 12, Add: "/admin/rates/1/edit?action=ai.reply&model=gpt-4-turbo"}},
		Coming:   []views.ComingVersion{{Number: 4, At: at(31, 0, 0)}},
		Editions: []views.RateEdition{
			{Number: 4, Href: "/admin/rates/1/versions/4", At: at(31, 0, 0), Made: at(24, 9, 0), By: "ada@refill.example", Note: "dearer", Coming: true},
			{Number: 3, Href: "/admin/rates/1/versions/3", At: at(20, 0, 0), Made: at(20, 0, 0), By: "ada@refill.example", InForce: true},
			{Number: 1, Href: "/admin/rates/1/versions/1", At: at(1, 0, 0), Made: at(1, 0, 0), By: "setup"},
		},
		Plans: []views.Link{{Label: "Starter", Href: "/admin/plans/1"}},
	}
	bare := views.RateCard{Frame: catalogueFrame("Friends", "rates"), Name: "Friends", Code: "friends", Edit: "/admin/rates/2/edit"}
	edition := views.RateVersion{
		Frame: catalogueFrame("Standard, version 3", "rates"), Card: views.Link{Label: "Standard", Href: "/admin/rates/1"}, Action: "/admin/rates/1/edit",
		Edition: card.Editions[0], Rows: []views.Price{reply, draft}, Against: "version 3",
		Changes: []views.DiffLine{
			{Label: "ai.reply gpt-4", From: "25 credits", To: "30 credits"}, {Label: "ai.draft", To: "5 credits"}, {Label: "ai.reply gpt-4-turbo", From: "10 credits"},
		},
		Again: []views.Hidden{{Name: "rows", Value: "0"}},
	}
	first := edition
	first.Frame, first.Edition, first.Against, first.Changes, first.Again = catalogueFrame("Standard, version 1", "rates"), card.Editions[2], "", nil, nil
	form := views.RateForm{
		Frame: catalogueFrame("Edit rates of Standard", "rates"), Action: "/admin/rates/1/edit", Back: views.Link{Label: "Standard", Href: "/admin/rates/1"}, After: 4, Attempt: "attempt",
		Coming: "Version 4 takes effect in 7 days. This edit begins from it; published for an earlier day, it rules only until then.",
		Rows: []views.RateRow{
			{Action: "ai.reply", Model: "gpt-4", Base: "25", Parts: []views.RatePartRow{{}}},
			{Action: "ai.draft", Base: "5", Maximum: "20", Parts: []views.RatePartRow{{Measure: "characters", Above: "2000", Size: "5000", Credits: "3"}, {}}},
			{Parts: []views.RatePartRow{{}}},
		},
	}
	wrong := form
	wrong.Frame, wrong.New, wrong.Coming = failed(catalogueFrame("Add rate card", "rates")), true, ""
	wrong.Errors = views.FieldErrors{
		{Field: "code", Text: "A code has 1 to 60 lower-case letters, digits and dashes, such as agency-pro."},
		{Field: "r0_base", Text: "Enter a number of credits, such as 5000 or 5,000."},
		{Field: "r1_p0_size", Text: "Size must be above 0 and at most 1000000000000; write how much the credits pay for, such as 1 or 5000."},
	}
	return []Page{
		{"rate-cards", views.RateCardsPage(list)},
		{"rate-cards-empty", views.RateCardsPage(views.RateCards{Frame: list.Frame})},
		{"rate-cards-broken", views.RateCardsPage(views.RateCards{Frame: list.Frame, Failure: failure("The rate cards")})},
		{"rate-card", views.RateCardPage(card)},
		{"rate-card-bare", views.RateCardPage(bare)},
		{"rate-version", views.RateVersionPage(edition)},
		{"rate-version-first", views.RateVersionPage(first)},
		{"rate-form", views.RateFormPage(form)},
		{"rate-form-wrong", views.RateFormPage(wrong)},
	}
}
