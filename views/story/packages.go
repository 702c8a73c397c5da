package story

import (
	"math/big"

	"refill/models"
	"refill/views"
)

// packagesFrame is the frame of the pages about an agency's packages.
func packagesFrame(title string) views.Frame {
	f := clientsFrame(title)
	for i := range f.Nav {
		f.Nav[i].Current = false
	}
	nav := append([]views.NavItem{}, f.Nav[:4]...)
	nav = append(nav, views.NavItem{Key: "packages", Label: "Packages", Href: "/packages", Current: true})
	f.Nav = append(nav, f.Nav[4:]...)
	return f
}

// seedPanel is the panel of the seed example: bought at 35,000 for $100, 10,000
// sold at $60.
func seedPanel() views.PackagePanel {
	return views.PackagePanel{
		Credits: credits(10_000), Price: usd(6_000), Cost: usd(2_857), Fee: usd(204), Keep: usd(2_939), BreakEven: usd(2_973), Times: 21,
		Unit: big.NewRat(1, 350), Basis: "the price of your 35,000 pack", Share: 29_000, Fixed: usd(30),
		Targets: []views.PackageTarget{{Percent: 30, Price: usd(4_300)}, {Percent: 50, Price: usd(6_200)}, {Percent: 70, Price: usd(10_700)}},
		Low:     usd(2_973), High: usd(16_050), Reply: "GPT-4 Turbo reply", ReplyCredits: credits(10), PerTalk: 7,
	}
}

func packages() []Page {
	rows := []views.PackageRow{
		{Name: "Starter", Path: "/packages/1", Credits: credits(2_000), Price: usd(1_300), Basis: "x", Cost: usd(571), Keep: usd(661), Sold: 31, OnSale: true},
		{Name: "Growth", Path: "/packages/2", Badge: "Most popular", Credits: credits(10_000), Price: usd(6_000), Basis: "x", Cost: usd(2_857), Keep: usd(2_939), Sold: 14, OnSale: true},
		{Name: "Scale", Path: "/packages/3", Credits: credits(35_000), Price: usd(11_500), Basis: "x", Cost: usd(10_000), Keep: usd(1_136), Thin: true},
		{Name: "Launch offer for the accounts that moved", Path: "/packages/4", Credits: credits(5_000), Price: usd(1_000), Basis: "x", Cost: usd(1_429), Keep: usd(-488), Chosen: 3, OnSale: true, Short: true},
		{Name: "Large", Path: "/packages/5", Credits: credits(250_000), Price: usd(100_000), Chosen: 1},
	}
	list := views.Packages{
		Frame: packagesFrame("Packages"), Rows: rows, Connected: true, Connect: "/packages/connect", New: "/packages/new", Preview: "/packages/preview",
		Archived: []views.PackageRow{{Name: "Old offer", Path: "/packages/6", Credits: credits(1_000), Price: usd(900)}},
		Ladder:   []string{"Your 10,000 package costs more per credit than your 5,000 package. Clients will notice."},
	}
	first := views.Packages{
		Frame: packagesFrame("Packages"), Connect: "/packages/connect", New: "/packages/new", Preview: "/packages/preview",
		Ready: []views.ReadyPackage{{Name: "Starter", Credits: credits(2_000), Price: usd(1_300)}, {Name: "Growth", Credits: credits(12_500), Price: usd(7_700)}, {Name: "Scale", Credits: credits(35_000), Price: usd(21_300)}},
	}
	member, broken, archived := list, list, list
	member.New, member.Connect, member.Connected = "", "", false
	broken.Failure = failure("Your packages")
	archived.Rows, archived.Ladder = nil, nil
	return append([]Page{
		{"packages", views.PackagesPage(list)},
		{"packages-first", views.PackagesPage(first)},
		{"packages-member", views.PackagesPage(member)},
		{"packages-archived", views.PackagesPage(archived)},
		{"packages-broken", views.PackagesPage(broken)},
	}, packageEditors()...)
}

func packageEditors() []Page {
	bases := []views.BasisChoice{
		{Value: models.CostHeld, Label: "Average of the purchased credits you hold: $0.0029"},
		{Value: models.CostLast, Label: "Your last purchase: none yet", Off: true},
		{Value: models.CostBest, Label: "Your best pack, 35,000 for $100.00: $0.0029"},
		{Value: models.CostPlan, Label: "Your plan, 100,000 for $497.00: $0.0050"},
		{Value: models.CostOwn, Label: "Own figure"},
	}
	choices := []views.ClientChoice{{ID: "sub_1", Name: "Acme Dental"}, {ID: "sub_2", Name: "Bright Solar", Chosen: true}}
	prices := []views.PackagePrice{
		{At: at(20, 9, 0), Credits: credits(10_000), Price: usd(6_000), By: "owner@northwind.example"},
		{At: at(3, 9, 0), Credits: credits(10_000), Price: usd(5_500), By: "owner@northwind.example"},
	}
	empty := views.PackageForm{
		Frame: packagesFrame("New package"), New: true, Action: "/packages/new", Attempt: "attempt", Basis: models.CostBest, Currency: "usd", Bases: bases,
		Clients: choices, Connect: "/packages/connect", Panel: views.PackagePanel{Missing: "Enter credits and a price to see what you keep."},
	}
	edit := views.PackageForm{
		Frame: packagesFrame("Growth"), Action: "/packages/2", Path: "/packages/2", Name: "Growth", Credits: "10000", Price: "60.00", Limit: "1", Badge: "Most popular",
		Note: "For a busy month.", Basis: models.CostBest, Audience: models.AudienceChosen, OnSale: true, Currency: "usd", Bases: bases, Clients: choices,
		Connected: true, Connect: "/packages/connect", Panel: seedPanel(), Prices: prices, Past: 14,
	}
	edit.Panel.Next = "The credits of your next sale cost you $25.00: a sale takes the cheapest you hold first."
	edit.Panel.Warnings = []string{"This package costs more per credit than your 5,000 package. Clients will notice."}
	lossy := empty
	lossy.Frame, lossy.Name, lossy.Credits, lossy.Price, lossy.Connected, lossy.Basis, lossy.OwnCost = failed(empty.Frame), "Growth", "10,000", "25", true, models.CostOwn, "0.0029"
	lossy.Panel = seedPanel()
	lossy.Panel.Price, lossy.Panel.Fee, lossy.Panel.Keep, lossy.Panel.Times = usd(2_500), usd(103), usd(-460), 9
	lossy.Errors = views.FieldErrors{
		{Field: "price", Text: "You would lose $4.60 on each sale. It breaks even at $29.73. Raise the price, or tick “Sell at a loss on purpose”."},
		{Field: "badge", Text: "A badge has at most 40 characters."},
	}
	view := views.PackagePage{
		Frame: packagesFrame("Growth"), Limit: 2, Note: "For a busy month.", Panel: seedPanel(), Prices: prices,
		Row: views.PackageRow{Name: "Growth", Path: "/packages/2", Badge: "Most popular", Credits: credits(10_000), Price: usd(6_000), Sold: 14, OnSale: true},
	}
	old := view
	old.Archived, old.Restore, old.Row.OnSale, old.Limit = at(22, 9, 0), "/packages/2/archive", false, 0
	preview := views.PackagePreview{
		Frame: packagesFrame("Preview as client"), As: []views.ClientChoice{{Name: "Any client"}, {ID: "sub_1", Name: "Acme Dental", Chosen: true}},
		Buy: views.Buy{
			Seller: "Northwind Agency", Left: credits(1_204),
			Offers: []views.Offer{
				{ID: "1", Name: "Starter", Credits: credits(2_000), Price: usd(1_300)},
				{ID: "2", Name: "Growth", Credits: credits(10_000), Price: usd(6_000), Badge: "Most popular", Note: "For a busy month."},
			},
		},
	}
	none, drafts := preview, preview
	none.Buy.Offers = nil
	drafts.As, drafts.Closed, drafts.Fix = nil, "Clients see no packages until Stripe is connected. This is what they would see.", &views.Link{Label: "Connect Stripe", Href: "/packages/connect"}
	return []Page{
		{"package-new", views.PackageFormPage(empty)},
		{"package-edit", views.PackageFormPage(edit)},
		{"package-loss", views.PackageFormPage(lossy)},
		{"package-view", views.PackageViewPage(view)},
		{"package-archived", views.PackageViewPage(old)},
		{"package-preview", views.PackagePreviewPage(preview)},
		{"package-preview-none", views.PackagePreviewPage(none)},
		{"package-preview-drafts", views.PackagePreviewPage(drafts)},
	}
}
