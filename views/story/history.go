package story

import (
	"time"

	"refill/models"
	"refill/views"
)

func histories() []Page {
	base := views.History{
		Frame: agencyFrame("History", "history"), Base: "/history",
		Subs:   []views.Option{{Value: "acme", Label: "Acme Dental"}, {Value: "bright", Label: "Bright Solar"}},
		Models: []views.Option{{Value: "gpt-4-turbo", Label: "GPT-4 Turbo"}},
		Pager:  views.Pager{Older: "/history?cursor=abc", Text: "10 lines, newest first"},
		Lines: []views.HistoryLine{
			{Kind: views.LineUsed, Count: 204, Action: "ai.reply", Model: "gpt-4-turbo", Sub: "Acme Dental", At: at(24, 14, 0), Until: at(24, 15, 0), Change: credits(-2_040), After: credits(18_420), Href: "/history/groups/1"},
			{Kind: views.LineUsed, Count: 1, Action: "ai.knowledge_sync", Sub: "Bright Solar", At: at(24, 13, 12), Change: credits(-25), After: credits(20_460), Ref: "sync-2231", Href: "/history/chg_1"},
			{Kind: views.LineUsed, Count: 1, Action: "ai.reply", Model: "gpt-4", Sub: "Bright Solar", At: at(24, 13, 11), After: credits(20_485), Ref: "preview-9", Href: "/history/chg_2", Test: true, Would: credits(25)},
			{Kind: views.LineHeld, At: at(24, 13, 5), Sub: "Acme Dental", Change: credits(-50), After: credits(20_485), Ref: "job-118", Href: "/history/hld_1", Detail: "Reply that is still running"},
			{Kind: views.LinePurchase, At: at(24, 9, 30), Change: credits(12_500), After: credits(20_535), Ref: "pur_0000000000000000000000000a", Href: "/history/act_1", Detail: "12,500-credit pack, $50.00"},
			{Kind: views.LineAssigned, At: at(23, 16, 1), Sub: "Kite Legal", Change: credits(-1_000), After: credits(8_035), Detail: "Welcome credits", Href: "/history/act_2"},
			{Kind: views.LineAdjustment, At: at(22, 11, 0), Change: models.Credits(500_000), After: credits(9_035), Detail: "Goodwill for a failed sync", Href: "/history/act_3"},
			{Kind: views.LineSettled, At: at(21, 8, 0), Change: credits(-223), After: credits(1_777), Href: "/history/act_4"},
			{Kind: views.LinePlanAdded, At: at(1, 0, 0), Change: credits(100_000), After: credits(112_500), Href: "/history/act_5"},
			{Kind: views.LinePlanExpired, At: at(1, 0, 0), Change: credits(-40_000), After: credits(12_500), Href: "/history/act_6"},
		},
	}
	page := func(name string, change func(*views.History)) Page {
		h := base
		change(&h)
		return Page{"history-" + name, views.HistoryPage(h)}
	}
	return []Page{
		page("lines", func(*views.History) {}),
		page("dark", func(h *views.History) { h.Frame.Theme = "dark" }),
		page("filtered", func(h *views.History) {
			h.Filter = views.HistoryFilter{Kind: views.LineUsed, Sub: "acme", From: "2025-11-01", To: "2025-11-24", Text: "sync"}
			h.Lines = h.Lines[:2]
		}),
		page("group", func(h *views.History) {
			h.Frame.Title, h.Group, h.Back = "Charges", &base.Lines[0], "/history"
			h.Lines, h.Pager = nil, views.Pager{Newer: "/history/groups/1", Text: "3 charges, newest first"}
			for i := range 3 {
				h.Lines = append(h.Lines, views.HistoryLine{
					Kind: views.LineUsed, Count: 1, Action: "ai.reply", Model: "gpt-4-turbo", At: at(24, 14, 41-i), Change: credits(-10),
					After: credits(int64(18_420 + 10*i)), Ref: "conv-88" + string(rune('5'-i)), Href: "/history/chg_1",
				})
			}
		}),
		page("client", func(h *views.History) {
			h.Frame = clientFrame("History", "history")
			h.Subs, h.Lines = nil, []views.HistoryLine{
				{Kind: views.LineUsed, Count: 14, Action: "ai.reply", Model: "gpt-4-turbo", At: at(24, 14, 0), Until: at(24, 15, 0), Change: credits(-140), After: credits(1_204), Href: "/history/groups/1"},
				{Kind: views.LineAssigned, At: at(23, 16, 1), Change: credits(1_000), After: credits(1_344), Detail: "From Northwind Agency: Welcome credits", Href: "/history/act_2"},
			}
		}),
		page("nothing-yet", func(h *views.History) { h.Lines, h.Pager, h.Never = nil, views.Pager{}, true }),
		page("nothing-matches", func(h *views.History) {
			h.Lines, h.Pager, h.Filter.Text = nil, views.Pager{}, "no-such-thing"
		}),
		page("broken", func(h *views.History) { h.Pager, h.Failure = views.Pager{}, failure("History") }),
	}
}

// id makes an id whose last byte is n, so that a golden file can be read.
func id[T ~[16]byte](n byte) T {
	var raw [16]byte
	raw[0], raw[15] = 1, n
	return T(raw)
}

func lines() []Page {
	return []Page{
		{"line-charge", views.LinePage(chargeLine())},
		{"line-charge-dark", views.LinePage(darkLine(chargeLine()))},
		{"line-long-charge", views.LinePage(longCharge())},
		{"line-test", views.LinePage(testLine())},
		{"line-purchase", views.LinePage(purchaseLine())},
		{"line-client", views.LinePage(clientLine())},
	}
}

func darkLine(l views.Line) views.Line {
	l.Frame.Theme = "dark"
	return l
}

// chargeLine is a reply that plan credits and a pack paid together.
func chargeLine() views.Line {
	return views.Line{
		Frame: agencyFrame("1 reply · GPT-4 Turbo", "history"), Back: "/history", Kind: views.LineUsed,
		ID: id[models.ChargeID](1).String(), At: at(24, 14, 2), Sub: "Acme Dental",
		Change: credits(-10), Before: credits(18_430), After: credits(18_420), Costs: true,
		Charge: &views.ChargeFacts{
			Action: "ai.reply", Model: "gpt-4-turbo", Credits: credits(10), Card: "Standard", Version: 4, Since: at(3, 0, 0),
			Href: "/rates/4", Occurred: at(24, 14, 1),
			Parts: []views.PricePart{{Kind: views.PartBase, Units: 1, Each: credits(10), Credits: credits(10)}},
		},
		Moves: []views.Move{
			{Credits: credits(8), Bucket: models.BucketPlan, From: "Plan credits of November", Lot: id[models.LotID](1), Granted: at(1, 0, 0), Expires: at(31, 0, 0), UnitCost: 297_000, Currency: "usd"},
			{Credits: credits(2), Bucket: models.BucketPurchased, From: "12,500-credit pack", Href: "/purchases", Lot: id[models.LotID](2), Granted: at(12, 9, 30), Expires: models.Never, UnitCost: 400_000, Currency: "usd"},
		},
		Reference: "conv-8841:reply:7", Actor: "API key ending in 3f9c",
		Metadata: []views.Fact{{Label: "conversation", Value: "conv-8841"}, {Label: "channel", Value: "whatsapp"}},
		Related:  []views.Related{{Kind: "Reserved by", Text: "Hold of 12 credits", Href: "/history/hld_1", At: at(24, 14, 1)}},
	}
}

// longCharge has components, a limit and excess usage.
func longCharge() views.Line {
	l := chargeLine()
	l.Frame.Title, l.Change, l.Before, l.After = "1 document", credits(-12), credits(4), credits(-8)
	l.Charge = &views.ChargeFacts{
		Action: "ai.document", Credits: credits(12), Card: "Standard", Version: 2, Since: at(3, 0, 0), Late: true,
		Parts: []views.PricePart{
			{Kind: views.PartBase, Units: 1, Each: credits(5), Credits: credits(5)},
			{Kind: views.PartComponent, Measure: "characters", Quantity: 17_200_000_000, Above: 2_000_000_000, Size: 5_000_000_000, Units: 4, Each: credits(2), Credits: credits(8)},
			{Kind: views.PartComponent, Measure: "minutes", Quantity: 1_500_000, Size: 1_000_000, Units: 2, Each: models.Credits(500_000), Credits: credits(1)},
			{Kind: views.PartMaximum, Units: 1, Each: credits(-2), Credits: credits(-2)},
		},
	}
	l.Moves = []views.Move{
		{Credits: credits(4), Bucket: models.BucketAssigned, From: "From Northwind Agency: Welcome credits", Lot: id[models.LotID](3), Granted: at(2, 10, 0), Expires: at(31, 0, 0)},
		{Credits: credits(8), Bucket: models.BucketExcess, From: "Comes off the next purchase", Pool: true},
	}
	l.Related = append(l.Related, views.Related{Kind: "Reversed by", Text: "12 credits given back", Href: "/history/rev_1", At: at(24, 14, 30)})
	return l
}

func testLine() views.Line {
	l := chargeLine()
	l.Change, l.Before, l.After, l.Moves, l.Related = 0, credits(18_420), credits(18_420), nil, nil
	l.Charge.Test = true
	l.Frame.Title = "Test: 1 reply · GPT-4 Turbo"
	return l
}

func purchaseLine() views.Line {
	return views.Line{
		Frame: agencyFrame("Purchase", "history"), Back: "/history", Kind: views.LinePurchase, ID: id[models.ActID](1).String(),
		At: at(24, 9, 30), Change: credits(12_500), Before: credits(-223), After: credits(12_277), Costs: true,
		Moves: []views.Move{{Credits: credits(12_500), Bucket: models.BucketPurchased, From: "12,500-credit pack", Lot: id[models.LotID](2), Granted: at(24, 9, 30), Expires: models.Never, UnitCost: 400_000, Currency: "usd"}},
		Facts: []views.Fact{{Label: "Paid", Value: "$50.00"}, {Label: "Receipt", Value: "Open receipt", Href: "/purchases/pur_1"}},
		Actor: "olive@northwind.example", Reference: "cs_test_a1b2c3d4e5f6",
		Related: []views.Related{{Kind: "Excess usage paid off", Text: "223 credits", Href: "/history/act_4", At: at(24, 9, 30).Add(time.Second)}},
	}
}

func clientLine() views.Line {
	l := chargeLine()
	l.Frame, l.Costs, l.Charge.Href, l.Sub = clientFrame("1 reply · GPT-4 Turbo", "history"), false, "", ""
	return l
}
