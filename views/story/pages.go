package story

import (
	"time"

	"github.com/a-h/templ"

	"refill/models"
	"refill/views"
	"refill/views/format"
)

// Page is one page in one state.
type Page struct {
	Name      string // "overview-low": also the name of its golden file
	Component templ.Component
}

// Pages is every page in every state.
func Pages() []Page {
	pages := []Page{{"components", views.SheetPage(agencyFrame("Components", ""))}}
	pages = append(pages, overviews()...)
	pages = append(pages, clients()...)
	pages = append(pages, buys()...)
	pages = append(pages, returns()...)
	pages = append(pages, calculators()...)
	pages = append(pages, purchases()...)
	pages = append(pages, payments()...)
	pages = append(pages, promotions()...)
	pages = append(pages, doors()...)
	pages = append(pages, peoplePages()...)
	pages = append(pages, securityPages()...)
	pages = append(pages, apiKeyPages()...)
	pages = append(pages, noticePages()...)
	pages = append(pages, webhooks()...)
	pages = append(pages, brand()...)
	pages = append(pages, setups()...)
	pages = append(pages, fleets()...)
	pages = append(pages, plans()...)
	pages = append(pages, ownPlans()...)
	pages = append(pages, topUps()...)
	pages = append(pages, packPages()...)
	pages = append(pages, rates()...)
	pages = append(pages, agencies()...)
	pages = append(pages, adjusts()...)
	pages = append(pages, subAccounts()...)
	pages = append(pages, packages()...)
	pages = append(pages, sales()...)
	pages = append(pages, connects()...)
	pages = append(pages, usages()...)
	pages = append(pages, histories()...)
	pages = append(pages, lines()...)
	return pages
}

func overviews() []Page {
	again := &views.BuyAgain{Credits: credits(12_500), Price: usd(5_000), Href: "/buy?pack=pck_2"}
	page := func(name string, b views.Balance) Page {
		f := withState(agencyFrame("Overview", "overview"), b.State, b.Left, b.Notice(now, paris(), again))
		return Page{"overview-" + name, views.OverviewPage(views.Overview{Frame: f, Balance: b, Usage: usage(), Activity: activity()})}
	}
	critical := low()
	critical.State, critical.Left, critical.Plan, critical.Purchased = views.StateCritical, credits(1_130), credits(130), credits(1_000)
	critical.Forecast.RunsOutAt = at(24, 22, 0)
	pending := healthy()
	pending.State, pending.Pending = views.StatePurchasePending, credits(12_500)
	mixed := healthy()
	mixed.Assigned, mixed.Bonus, mixed.Left = credits(800), credits(2_000), credits(21_220)
	mixed.Forecast.Kind = views.ForecastBeyond

	first := fresh()
	empty := views.Overview{
		Frame: withState(agencyFrame("Overview", "overview"), views.StateNew, first.Left, nil), Balance: first,
		First: &views.FirstReply{Endpoint: "https://credits.example/v1/charges", Wallet: "agency:northwind", Action: "ai.reply", Model: "gpt-4-turbo"},
		Activity: views.ActivityCard{Href: "/history", Lines: []views.ActivityLine{
			{At: at(24, 14, 0), What: "Plan credits added", Change: credits(100_000), After: credits(100_000), Href: "/history/1"},
		}},
	}
	broken := views.Overview{
		Frame: agencyFrame("Overview", "overview"), Balance: views.Balance{Failure: failure("Your balance")},
		Usage:    views.UsageCard{Title: "Usage this cycle", Failure: &views.SectionFailure{What: "Usage", Retry: "/", Ref: "7F3L"}},
		Activity: views.ActivityCard{Failure: &views.SectionFailure{What: "History", Retry: "/", Ref: "7F3M"}},
	}
	broken.Frame.Chip = nil
	partly := views.Overview{
		Frame: agencyFrame("Overview", "overview"), Balance: healthy(),
		Usage: views.UsageCard{Title: "Usage this cycle", Failure: failure("Usage")}, Activity: activity(),
	}
	idle := healthy()
	idle.Forecast = views.Forecast{Kind: views.ForecastIdle, Days: 7}
	quiet := views.Overview{
		Frame: agencyFrame("Overview", "overview"), Balance: idle,
		Usage: views.UsageCard{Title: "Usage this cycle", Href: "/usage"}, Activity: views.ActivityCard{Href: "/history"},
	}
	quiet.Frame.Flash = &views.Flash{Tone: views.ToneOK, Text: "You are signed in."}
	dark := views.Overview{Frame: withState(agencyFrame("Overview", "overview"), views.StateLow, low().Left, low().Notice(now, paris(), nil)), Balance: low(), Usage: usage(), Activity: activity()}
	dark.Frame.Theme = "dark"
	busy := dark
	busy.Frame.Theme = ""
	busy.Checklist = views.ChecklistCard{Steps: []views.ChecklistStep{
		{Label: "Send a first reply and watch it arrive", Minutes: 5, Done: true},
		{Label: "Add your first sub-account", Minutes: 1, Done: true},
		{Label: "Connect Stripe", Why: "What clients pay goes to your own account.", Href: "/packages/connect", Minutes: 10},
	}}
	busy.Attention = views.AttentionCard{Paused: 1, Low: 2, Idle: 3, Clients: 42, Assign: true, Rows: []views.SubAccountRow{
		{Name: "Kite Legal", Href: "/sub-accounts/sub_1", State: views.StatePaused, Used: credits(4_310), Lasts: views.Forecast{Kind: views.ForecastNothingNow}},
		{Name: "Acme Dental", Href: "/sub-accounts/sub_2", State: views.StateLow, Left: credits(204), Used: credits(1_850), Lasts: views.Forecast{Kind: views.ForecastRunsOut, RunsOutAt: at(26, 9, 0)}},
		{Name: "Nord Gym", Href: "/sub-accounts/sub_3", Feed: views.Feed{Pooled: true}, State: views.StateUpstreamPaused, Used: credits(96), Lasts: views.Forecast{Kind: views.ForecastNoData}},
	}}
	busy.Sales = views.SalesCard{Selling: true, Sales: sold(14, 1_240_00, 593_00, 37_20)}
	idleShop := busy
	idleShop.Checklist, idleShop.Attention, idleShop.Sales = views.ChecklistCard{}, views.AttentionCard{Clients: 5}, views.SalesCard{Selling: true}

	return []Page{
		page("healthy", healthy()),
		page("low", low()),
		page("critical", critical),
		page("excess", excess()),
		page("paused", paused()),
		page("pending", pending),
		page("mixed", mixed),
		{"overview-new", views.OverviewPage(empty)},
		{"overview-quiet", views.OverviewPage(quiet)},
		{"overview-error", views.OverviewPage(broken)},
		{"overview-usage-error", views.OverviewPage(partly)},
		{"overview-dark", views.OverviewPage(dark)},
		{"overview-business", views.OverviewPage(busy)},
		{"overview-all-fine", views.OverviewPage(idleShop)},
	}
}

// sold is sales of so much, at such a cost and such fees, in cents.
func sold(n, revenue, cost, fee int64) views.SalesSum {
	profit := revenue - cost - fee
	return views.SalesSum{
		Count: n, Credits: credits(n * 2_000), Revenue: usd(revenue), Cost: usd(cost), Fee: usd(fee), Profit: usd(profit), Lossy: profit < 0,
		Margin: format.Percent(profit, revenue),
	}
}

func sales() []Page {
	frame := agencyFrame("Sales", "sales")
	periods := []views.Option{{Value: "cycle", Label: "This cycle"}, {Value: "90d", Label: "90 days"}}
	row := func(day int, client string, status views.PurchaseStatus, paid bool, s views.SalesSum) views.SaleRow {
		return views.SaleRow{
			At: at(day, 14, 2), Client: client, Href: "/sub-accounts/sub_1", Package: "Growth", Credits: credits(10_000), Status: status,
			Price: s.Revenue, Cost: s.Cost, Fee: s.Fee, Profit: s.Profit, Paid: paid,
		}
	}
	good, bad := sold(1, 60_00, 28_57, 2_04), sold(1, 20_00, 28_57, 88)
	waiting := row(24, "Bright Solar", views.PurchasePending, false, views.SalesSum{Revenue: usd(60_00)})
	waiting.Note = "Paid. The credits are on the way."
	full := views.Sales{
		Frame: frame, Periods: periods, Filter: views.SalesFilter{Period: "cycle"}, Span: "This cycle, Nov 1 – Nov 30, 2026", Sum: sold(2, 80_00, 57_14, 2_92), CSV: "/sales.csv?p=cycle",
		ByPack:  []views.SalesLine{{Name: "Growth", Href: "/packages/pkg_1", SalesSum: sold(2, 80_00, 57_14, 2_92)}},
		ByBuyer: []views.SalesLine{{Name: "Acme Dental", Href: "/sub-accounts/sub_2", ID: "sub_2", SalesSum: good}, {Name: "Bright Solar", Href: "/sub-accounts/sub_1", ID: "sub_1", SalesSum: bad}},
		Rows:    []views.SaleRow{waiting, row(22, "Acme Dental", views.PurchasePaid, true, good), row(3, "Bright Solar", views.PurchasePaid, true, bad)},
		Pager:   views.Pager{Older: "/sales?p=cycle&before=pur_1"},
	}
	full.Unused = views.Unused{Credits: credits(182_000), Clients: 3, Value: models.Money{Amount: 1_062_10, Currency: "usd"}, Covered: credits(120_000), Waiting: credits(62_000)}
	full.Rule, full.Change, full.Shared = "You sell up to 100,000 credits beyond your stock. Clients get those as soon as you have bought them.", "/sales/rule", true
	for day := range 30 {
		d := views.SalesDay{Start: at(day+1, 0, 0), SalesSum: views.SalesSum{Revenue: usd(0), Cost: usd(0), Fee: usd(0), Profit: usd(0)}}
		switch day + 1 {
		case 3:
			d.SalesSum = bad
		case 22:
			d.SalesSum = good
		}
		full.Days = append(full.Days, d)
	}
	disputed := sold(2, 60_00, 28_57, 2_92)
	disputed.Dispute, disputed.Profit = usd(15_00), usd(13_51)
	full.Payouts = "https://dashboard.stripe.com/acct_1"
	full.Monthly = []views.MonthlyPackage{
		{Name: "Care plan", Client: "Acme Dental", Href: "/sub-accounts/sub_2", Credits: credits(10_000), Price: usd(60_00), Renews: at(28, 9, 0), Cancel: "/sales/monthly/psb_1"},
		{Name: "Care plan", Client: "Bright Solar", Href: "/sub-accounts/sub_1", Credits: credits(10_000), Price: usd(60_00), Renews: at(29, 9, 0), PastDue: true, Ends: true, Cancel: "/sales/monthly/psb_2"},
		{Name: "Care plan", Client: "Delta Spa", Href: "/sub-accounts/sub_3", Credits: credits(10_000), Price: usd(60_00), Renews: at(30, 9, 0), Lost: true, Note: "Stripe may go on charging for it where nothing is added here. Connect that account again, or end it at Stripe."},
	}
	cancelled := views.MonthlyCancel{
		Frame: agencyFrame("Cancel Care plan", "sales"), Back: views.Link{Label: "Sales", Href: "/sales"}, Action: "/sales/monthly/psb_1", Monthly: full.Monthly[0],
	}
	rule := views.OversellForm{Frame: agencyFrame("Selling beyond your stock", "sales"), Rule: models.OversellAllow, Limit: "0", Waiting: credits(62_000), TopUp: true}
	rule.Errors = views.FieldErrors{{Field: "limit", Text: "Enter how many credits may be on the way at once: 1 to 1,000,000,000."}}
	nothing := views.Sales{Frame: frame, Periods: periods, Filter: views.SalesFilter{Period: "cycle"}, Start: &views.Link{Label: "Set up your packages", Href: "/packages"}, Portal: "https://credits.northwind.example"}
	quiet := full
	quiet.Sum, quiet.ByPack, quiet.ByBuyer, quiet.Rows, quiet.Pager = views.SalesSum{}, nil, nil, nil, views.Pager{}
	one := full
	one.Filter.Client, one.Client, one.Rows = "sub_2", "Acme Dental", full.Rows[1:2]
	one.Filter.Sort, one.Filter.Turned = views.SalesByMargin, true
	lost := full
	lost.Sum, lost.ByPack = disputed, []views.SalesLine{{Name: "Growth", Href: "/packages/pkg_1", SalesSum: disputed}}
	lost.Rows = []views.SaleRow{row(3, "Bright Solar", views.PurchaseDisputed, true, bad)}
	lost.Rows[0].Lines = []views.SaleLine{
		{Words: "Lost dispute of Nov 20", Price: usd(-20_00), Cost: usd(-28_57), Profit: usd(8_57)},
		{Words: "Stripe's fee for the dispute of Nov 20", Fee: usd(15_00), Profit: usd(-15_00)},
	}
	failed := views.Sales{Frame: frame, Failure: failure("Sales")}
	return []Page{
		{"sales", views.SalesPage(full)}, {"sales-rule", views.OversellPage(rule)}, {"sales-monthly-cancel", views.MonthlyCancelPage(cancelled)}, {"sales-none", views.SalesPage(nothing)}, {"sales-client", views.SalesPage(one)}, {"sales-quiet", views.SalesPage(quiet)}, {"sales-disputed", views.SalesPage(lost)}, {"sales-error", views.SalesPage(failed)},
	}
}

func clients() []Page {
	b := views.Balance{
		State: views.StateHealthy, Left: credits(1_204), Assigned: credits(204), Purchased: credits(1_000),
		From: "Northwind Agency", BuyHref: "/buy", Conversations: 172,
		Forecast: views.Forecast{Kind: views.ForecastRunsOut, PerDay: credits(96), From: at(17, 0, 0), To: at(23, 0, 0), Days: 7, RunsOutAt: at(36, 10, 0)},
	}
	card := usage()
	card.Title, card.Than, card.Total = "Usage, last 30 days", "", credits(4_310)
	card.Rows = []views.TopRow{{Slot: "c1", Name: "GPT-4 Turbo", Rate: credits(10), Credits: credits(4_090)}, {Slot: "c2", Name: "GPT-3.5", Rate: credits(1), Credits: credits(220)}}
	card.Chart = daily(card.Rows)
	lines := views.ActivityCard{Href: "/history", Lines: []views.ActivityLine{
		{At: at(24, 14, 0), What: "12 replies · GPT-4 Turbo", Change: credits(-120), After: credits(1_204), Href: "/history/1"},
		{At: at(20, 10, 0), What: "From Northwind Agency: Welcome credits", Change: credits(500), After: credits(1_324), Href: "/history/2"},
	}}
	page := func(name string, b views.Balance) Page {
		return Page{"client-" + name, views.ClientBalancePage(views.ClientBalance{
			Frame: withState(clientFrame("Balance", "overview"), b.State, b.Left, b.Notice(now, paris(), nil)), Agency: "Northwind Agency", Balance: b, Usage: card, Activity: lines,
		})}
	}
	out := b
	out.State, out.Left, out.Assigned, out.Purchased, out.Conversations = views.StatePaused, 0, 0, 0, 0
	out.Forecast.Kind = views.ForecastNothingNow
	upstream := b
	upstream.State, upstream.BuyHref = views.StateUpstreamPaused, ""
	upstream.Contact = &views.Link{Label: "Contact Northwind Agency", Href: "mailto:help@northwind.example"}
	pooled := views.ClientBalance{
		Frame: clientFrame("Balance", "overview"), Agency: "Northwind Agency", Usage: card,
		Pooled: &views.Pooled{Used: credits(4_310), Contact: &views.Link{Label: "Contact Northwind Agency", Href: "mailto:help@northwind.example"}},
	}
	pooled.Frame.Chip = nil
	return []Page{
		page("healthy", b),
		page("paused", out),
		page("upstream-paused", upstream),
		{"client-pooled", views.ClientBalancePage(pooled)},
	}
}

func packs() []views.Offer {
	return []views.Offer{
		{ID: "pck_1", Name: "Small", Credits: credits(2_000), Price: usd(1_000)},
		{ID: "pck_2", Name: "Medium", Credits: credits(12_500), Price: usd(5_000), LastBought: true},
		{ID: "pck_3", Name: "Large", Credits: credits(35_000), Price: usd(10_000)},
	}
}

func quantity() []views.Offer {
	return []views.Offer{{
		ID: "pck_q", Name: "Messages", ByQuantity: true, Credits: credits(1_000), Price: usd(3_000),
		Minimum: credits(1_000), Step: credits(1_000), Unit: 3_000_000,
	}}
}

func buys() []Page {
	base := func() views.Buy {
		return views.Buy{
			Frame: agencyFrame("Credits & top-ups", "buy"), Left: credits(18_420), PerDay: credits(3_290),
			Offers: packs(), Selected: "pck_2", Attempt: "0199", Calculator: "/calculator",
		}
	}
	page := func(name string, change func(*views.Buy)) Page {
		v := base()
		change(&v)
		return Page{"buy-" + name, views.BuyPage(v)}
	}
	below := func(v *views.Buy) {
		v.Left, v.Excess, v.Offers, v.Selected = credits(-223), credits(223), quantity(), "pck_q"
		v.Frame = withState(v.Frame, views.StateExcess, v.Left, nil)
	}
	return []Page{
		page("packs", func(*views.Buy) {}),
		page("excess", func(v *views.Buy) {
			v.Left, v.Excess, v.Selected = credits(-2_223), credits(2_223), "pck_2"
			v.Frame = withState(v.Frame, views.StateExcess, v.Left, nil)
		}),
		page("quantity", func(v *views.Buy) { v.Offers, v.Selected = quantity(), "pck_q" }),
		page("quantity-excess", below),
		page("quantity-invalid", func(v *views.Buy) {
			below(v)
			v.Frame.Failed, v.Quantity = true, "1500"
			v.Offers[0].Credits = 0
			v.Errors = views.FieldErrors{{Field: "quantity", Text: "Enter a multiple of 1,000 credits, such as 1,000 or 2,000."}}
		}),
		page("again", func(v *views.Buy) {
			v.Recent = &views.RecentPurchase{Offer: "pck_2", Credits: credits(12_500), At: now.Add(-2 * time.Minute), Receipt: "/purchases/pur_1"}
		}),
		page("member", func(v *views.Buy) {
			v.Closed, v.Ask = views.ClosedRole, &views.Link{Label: "Ask an owner to buy", Href: "mailto:olive@northwind.example"}
		}),
		page("plan", func(v *views.Buy) {
			v.Closed, v.Frame.Account = views.ClosedPlan, "Northwind Agency"
			v.Frame.Path, v.Ask = "/buy", &views.Link{Label: "Ask support", Href: "/help"}
			v.Plan = "Hobby"
		}),
		page("nothing", func(v *views.Buy) {
			v.Closed, v.Offers, v.Ask = views.ClosedNothing, nil, &views.Link{Label: "Ask support", Href: "/help"}
		}),
		page("payment-down", func(v *views.Buy) { v.Closed = views.ClosedPayment }),
		page("balance-error", func(v *views.Buy) { v.BalanceFailure, v.Frame.Chip = failure("Your balance"), nil }),
		page("client", func(v *views.Buy) {
			v.Frame, v.Seller, v.Descriptor, v.Left = clientFrame("Buy credits", "buy"), "Northwind Agency", "NORTHWIND AGENCY", credits(1_204)
		}),
		page("client-month", func(v *views.Buy) {
			v.Frame, v.Seller, v.Left = clientFrame("Buy credits", "buy"), "Northwind Agency", credits(1_204)
			v.Offers = append(v.Offers, views.Offer{
				ID: "pkg_m", Name: "Club", Credits: credits(1_000), Price: usd(900), Month: true, Note: "Paid every month until you cancel; each month's credits last until the next payment.",
			})
			v.Selected = "pkg_m"
		}),
		page("tiny-price", func(v *views.Buy) {
			v.Offers = []views.Offer{{ID: "pck_x", Credits: credits(1_000_000), Price: usd(31_000)}, {ID: "pck_y", Credits: credits(32_258_064), Price: models.Money{Amount: 1_000_000, Currency: "usd"}}}
			v.Selected = "pck_x"
		}),
	}
}

func returns() []Page {
	page := func(name string, change func(*views.Return)) Page {
		v := views.Return{
			Frame: agencyFrame("Payment", "buy"), Credits: credits(12_500), Before: credits(18_420), After: credits(30_920),
			Receipt: "/purchases/pur_1", SentTo: "billing@northwind.example", Reference: "cs_test_a1b2c3", Again: "/buy/return?s=cs_test_a1b2c3", Home: "/",
		}
		change(&v)
		if v.Case == views.ReturnCredited {
			v.Frame.Chip = &views.Chip{Left: v.After, State: views.StateHealthy}
		}
		return Page{"return-" + name, views.ReturnPage(v)}
	}
	return []Page{
		page("credited", func(v *views.Return) { v.Case = views.ReturnCredited }),
		page("credited-excess", func(v *views.Return) {
			v.Case, v.Credits, v.Before, v.Excess, v.After, v.RunningAgain = views.ReturnCredited, credits(1_000), credits(-223), credits(223), credits(777), true
		}),
		page("processing", func(v *views.Return) { v.Case = views.ReturnProcessing }),
		page("slow", func(v *views.Return) { v.Case = views.ReturnSlow }),
		page("awaiting", func(v *views.Return) { v.Case = views.ReturnAwaiting }),
	}
}

func purchases() []Page {
	row := func(day int, n int64, status views.PurchaseStatus) views.PurchaseRow {
		p := views.PurchaseRow{At: at(day, 9, 12), Name: "Medium", Credits: credits(n), Amount: usd(n * 2 / 5), Status: status}
		if status == views.PurchasePaid {
			p.Receipt, p.BuyAgain, p.Tax = "/purchases/pur_1", "/buy?pack=pck_2", usd(n*2/25)
		}
		return p
	}
	list := views.Purchases{Frame: agencyFrame("Purchases", "purchases"), CSV: "/purchases.csv", BuyHref: "/buy", Pager: views.Pager{Older: "/purchases?after=x", Text: "7 purchases, newest first"}}
	for i, status := range []views.PurchaseStatus{views.PurchasePaid, views.PurchasePending, views.PurchaseFailed, views.PurchaseRefunded, views.PurchaseDisputed, views.PurchaseExpired, views.PurchaseCancelled} {
		list.Rows = append(list.Rows, row(24-i, 12_500, status))
	}
	partly := row(17, 12_500, views.PurchasePartly)
	partly.Back = &views.MoneyBack{Paid: usd(5_000), Refunded: usd(2_500), At: at(19, 8, 0), Revoked: credits(6_250), Spent: credits(2_500)}
	list.Rows[3].Back = &views.MoneyBack{Paid: usd(5_000), Refunded: usd(5_000), At: at(22, 8, 0), Revoked: credits(12_500)}
	list.Rows[4].Back = &views.MoneyBack{Paid: usd(5_000), Dispute: models.DisputeOpen, Held: usd(5_000), Frozen: credits(12_500)}
	list.Rows = append(list.Rows, partly)
	receipt := views.Receipt{
		Frame: agencyFrame("Receipt", "purchases"), Number: "NORTHWIND-7", Seller: models.Party{Name: "Refill"}, PDF: "/purchases/1/receipt.pdf", Method: "Paid by card ending in 4242",
		Buyer: models.Party{Name: "Northwind Agency", Line1: "Fő utca 2", PostalCode: "9021", City: "Győr", Country: "HU", TaxID: "HU12345678"}, BuyerMail: "billing@northwind.example",
		At: at(24, 9, 12), Status: views.PurchasePaid, Name: "12,500 credits", Credits: credits(12_500), Net: usd(5_000), Tax: usd(1_000), Total: usd(6_000),
		Before: credits(7_975), After: credits(20_475), Payment: "pi_1", Back: "/purchases", Notice: "Simulated payment: no money was moved.",
	}
	refunded := receipt
	refunded.Status, refunded.MoneyBack = views.PurchasePartly, partly.Back
	refunded.Notes = []views.Link{{Label: "Credit note NORTHWIND-CN-2", Href: "/purchases/1/credit-notes/2"}}
	bonus := receipt
	bonus.Bonus, bonus.After = credits(1_250), credits(21_725)
	note := views.CreditNote{
		Frame: agencyFrame("Credit note", "purchases"), Number: "NORTHWIND-CN-2", Seller: receipt.Seller, Buyer: receipt.Buyer, BuyerMail: receipt.BuyerMail, At: at(25, 9, 0),
		Name: receipt.Name, Net: usd(1_000), Tax: usd(200), Total: usd(1_200), Receipt: views.Link{Label: receipt.Number, Href: "/purchases/1/receipt"},
		PDF: "/purchases/1/credit-notes/2/note.pdf",
	}
	void := note
	void.Void, void.Tax, void.Total = true, usd(0), usd(1_000)
	quotes := views.Quotes{Frame: agencyFrame("Quotes", "calculator"), Rows: []views.QuoteRow{
		{Name: "Acme Dental", At: at(24, 9, 12), Until: at(28, 9, 12), Holds: true, Link: "https://northwind.example/q/abc", Again: "/calculator?c=500", End: "/quotes/1/end"},
		{Name: "Old Mill", At: at(4, 9, 12), Until: at(18, 9, 12), Again: "/calculator?c=100"},
	}, Pager: views.Pager{Older: "/quotes?before=quo_1"}}
	basket := views.CalculatorBasket{
		Picks:   []views.CalculatorPick{{Name: "Growth", Count: 3, Href: "/buy?pack=pkg_1&quote=abc"}, {Name: "Starter", Count: 1, Gone: true}},
		Credits: credits(32_000), Price: usd(19_400), Left: credits(1_900),
	}
	answer := views.CalculatorResult{
		Lines: []views.CalculatorLine{{Action: "ai.reply", Model: "gpt-4-turbo", Times: 3000, Each: credits(10), Credits: credits(30_000)}},
		Low:   credits(21_500), Usual: credits(30_100), High: credits(60_100), Offers: true, Month: basket, Each: usd(39),
	}
	quote := views.Quote{
		Frame: signedOut("Quote", "Northwind Agency"), Name: "Acme Dental", Agency: "Northwind Agency", At: at(24, 9, 12), Until: at(28, 9, 12), Holds: true, Held: true,
		Conversations: "500", Replies: "6", Calculator: views.Calculator{For: views.ForVisitor, Model: "gpt-4-turbo", Result: &answer},
	}
	unheld := quote
	unheld.Held = false
	return []Page{
		{"quotes", views.QuotesPage(quotes)},
		{"quote", views.QuotePage(quote)},
		{"quote-today", views.QuotePage(unheld)},
		{"quotes-none", views.QuotesPage(views.Quotes{Frame: quotes.Frame})},
		{"receipt-bonus", views.ReceiptPage(bonus)},
		{"credit-note", views.CreditNotePage(note)},
		{"credit-note-void", views.CreditNotePage(void)},
		{"receipt-refunded", views.ReceiptPage(refunded)},
		{"purchases-list", views.PurchasesPage(list)},
		{"purchases-empty", views.PurchasesPage(views.Purchases{Frame: list.Frame, BuyHref: "/buy", CSV: "/purchases.csv"})},
		{"purchases-error", views.PurchasesPage(views.Purchases{Frame: list.Frame, Failure: &views.SectionFailure{What: "Purchases", Retry: "/purchases", Ref: "7F3K"}})},
		{"receipt", views.ReceiptPage(receipt)},
	}
}

func doors() []Page {
	pages := []Page{
		{"sign-in", views.SignInPage(views.SignIn{Frame: signedOut("Sign in", "Refill")})},
		{"sign-in-next", views.SignInPage(views.SignIn{Frame: signedOut("Sign in", "Northwind Agency"), Next: "/buy", Notice: "Sign in to go on. What you entered is kept."})},
		{"sign-in-link", views.SignInLinkPage(views.SignInLink{Frame: signedOut("Sign in", "Refill"), Action: "/sign-in/link", Token: "t0k3n", Email: "olive@northwind.example"})},
		{"sign-in-link-expired", views.SignInLinkPage(views.SignInLink{Frame: signedOut("Sign in", "Refill"), Expired: true, SignIn: "/sign-in"})},
		{"problem-form", views.ProblemPage(views.Problem{
			Frame: signedOut("This form has expired", "Refill"), Status: 403, Heading: "This form has expired",
			Text: "It was open for too long, or in another window after signing out. Nothing was changed. Go back, reload the page and send it again.",
		})},
	}
	wrong := views.SignIn{Frame: signedOut("Sign in", "Refill"), Email: "olive@northwind.example", Errors: views.FieldErrors{{Field: "password", Text: "E-mail and password don't match."}}}
	wrong.Frame.Failed = true
	pages = append(pages, Page{"sign-in-error", views.SignInPage(wrong)})
	for _, status := range []struct {
		code int
		name string
	}{{403, "problem-403"}, {404, "problem-404"}, {429, "problem-429"}, {500, "problem-500"}, {503, "problem-503"}} {
		pages = append(pages, Page{status.name, views.ProblemPage(views.Problem{Frame: signedOut("Problem", "Northwind Agency"), Status: status.code, Ref: "7F3K"})})
	}
	return pages
}
