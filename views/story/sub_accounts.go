package story

import (
	"time"

	"refill/models"
	"refill/views"
)

// clientsFrame is the frame of the pages about an agency's clients.
func clientsFrame(title string) views.Frame {
	f := agencyFrame(title, "")
	nav := append([]views.NavItem{}, f.Nav[:3]...)
	nav = append(nav, views.NavItem{Key: "sub-accounts", Label: "Sub-accounts", Href: "/sub-accounts", Current: true})
	f.Nav = append(nav, f.Nav[3:]...)
	return f
}

func failed(f views.Frame) views.Frame {
	f.Failed = true
	return f
}

func subAccounts() []Page {
	list := views.SubAccounts{
		Frame: clientsFrame("Sub-accounts"), Total: 5, Add: "/sub-accounts/new", Filter: views.ParseSubAccountFilter(nil),
		Signals: []views.Signal{
			{Label: "All", Count: 5, Href: "/sub-accounts", Current: true},
			{Key: views.SignalPaused, Label: "Paused", Count: 1, Href: "/sub-accounts?only=paused"},
			{Key: views.SignalLow, Label: "Low", Count: 1, Href: "/sub-accounts?only=low"},
			{Key: views.SignalNew, Label: "Not used yet", Count: 1, Href: "/sub-accounts?only=new"},
		},
		Rows: []views.SubAccountRow{
			{Name: "Acme Dental", Href: "/sub-accounts/1", State: views.StateHealthy, Left: credits(1_204), Used: credits(4_310), Lasts: views.Forecast{Kind: views.ForecastBeyond}, Sold: models.Money{Amount: 120_00, Currency: "usd"}, Margin: "52%"},
			{Name: "Bright Solar", Href: "/sub-accounts/2", State: views.StateHealthy, Feed: views.Feed{Pooled: true, Cap: credits(5_000)}, Used: credits(4_310)},
			{Name: "Cedar & Sons", Href: "/sub-accounts/3", State: views.StateLow, Left: models.Credit * 205 / 2, Used: credits(898), Feed: views.Feed{Cap: credits(200), Daily: true}, Lasts: views.Forecast{Kind: views.ForecastRunsOut, RunsOutAt: at(29, 11, 0)}},
			{Name: "Dune Travel", Href: "/sub-accounts/4", State: views.StatePaused, Unused: true, Lasts: views.Forecast{Kind: views.ForecastNothingNow}},
			{Name: "Kite Legal", Href: "/sub-accounts/5", State: views.StateHealthy, Left: credits(9_000), Used: credits(41), Lasts: views.Forecast{Kind: views.ForecastNoData}},
		},
		Previous: "/sub-accounts", Next: "/sub-accounts?page=3", Shown: "Clients 51 to 55 of 140",
	}
	none, nothing, broken := list, list, list
	none.Rows, none.Total, nothing.Rows = nil, 0, nil
	nothing.Filter.Signal = views.SignalLow
	broken.Failure = failure("The list of clients")

	b := views.Balance{State: views.StateHealthy, Left: credits(1_204), Assigned: credits(1_204), From: "Northwind Agency", Forecast: views.Forecast{Kind: views.ForecastNoData}}
	prepaid := views.SubAccount{
		Frame: clientsFrame("Acme Dental"), Name: "Acme Dental", Ref: "acme-dental", Zone: "Europe/Paris", Created: at(3, 9, 0), Balance: b, Used: credits(4_310),
		Usage: usage(), Activity: activity(), Assign: "/sub-accounts/1/assign", TakeBack: "/sub-accounts/1/take-back", Edit: "/sub-accounts/1/edit",
	}
	prepaid.Feed = views.Feed{Cap: credits(500), Daily: true, Excess: credits(50)}
	prepaid.Balance.Next = prepaid.Feed.Next("Northwind")
	prepaid.Move = "/sub-accounts/1/move"
	prepaid.Standing = &views.Standing{
		Credits: credits(5_000), Day: 31, Returns: true, Next: at(31, 0, 0), Edit: "/sub-accounts/1/monthly", Stop: "/sub-accounts/1/monthly/stop",
		Turns: []views.StandingTurn{
			{At: at(1, 0, 0), Outcome: "short", Had: credits(1_200)},
			{At: at(1, 0, 0).Add(-31 * 24 * time.Hour), Outcome: "done", Credits: credits(5_000), Returned: credits(204), Line: "/history/act_1"},
		},
	}
	pooled := prepaid
	pooled.Standing = nil
	pooled.Assign, pooled.Own, pooled.Feed = "", credits(300), views.Feed{Pooled: true, Cap: credits(5_000)}
	pooled.Pool = &views.PoolDraw{Known: true, Left: credits(18_420), Drawn: credits(4_310)}
	member := prepaid
	member.Assign, member.TakeBack, member.Edit, member.Balance = "", "", "", views.Balance{Failure: failure("Your balance")}

	form := views.SubAccountForm{
		Frame: clientsFrame("Add sub-account"), New: true, Action: "/sub-accounts/new", Back: "/sub-accounts", Attempt: "attempt", TimeZone: "Europe/Paris", Zones: []string{"UTC", "Europe/Paris"},
	}
	wrong := form
	wrong.Frame, wrong.Name, wrong.ExternalID, wrong.Funding, wrong.PoolCap, wrong.PoolEvery = failed(form.Frame), "Acme Dental", "acme dental", "pooled", "lots", "day"
	wrong.Errors = views.FieldErrors{
		{Field: "external_id", Text: "An external id has 1 to 100 letters, digits, points, dashes or underscores."},
		{Field: "pool_cap", Text: "Enter a number of credits, such as 5000, or leave it empty."},
	}
	edit := views.SubAccountForm{
		Frame: clientsFrame("Edit Acme Dental"), Action: "/sub-accounts/1/edit", Back: "/sub-accounts/1", Name: "Acme Dental", Funding: "pooled", PoolCap: "5000", Own: credits(300), Excess: "50", Ceiling: credits(500),
		Monthly: []views.MonthlyPackage{{Name: "Care plan", Credits: credits(10_000), Price: usd(60_00), Renews: at(29, 9, 0)}},
	}
	return append([]Page{
		{"sub-accounts", views.SubAccountsPage(list)},
		{"sub-accounts-none", views.SubAccountsPage(none)},
		{"sub-accounts-no-match", views.SubAccountsPage(nothing)},
		{"sub-accounts-broken", views.SubAccountsPage(broken)},
		{"sub-account", views.SubAccountPage(prepaid)},
		{"sub-account-pooled", views.SubAccountPage(pooled)},
		{"sub-account-member", views.SubAccountPage(member)},
		{"sub-account-new", views.SubAccountFormPage(form)},
		{"sub-account-new-wrong", views.SubAccountFormPage(wrong)},
		{"sub-account-edit", views.SubAccountFormPage(edit)},
	}, append(assignments(), feeding()...)...)
}

func assignments() []Page {
	assign := views.Assign{
		Frame: clientsFrame("Assign credits to Acme Dental"), Action: "/sub-accounts/1/assign", Account: "/sub-accounts/1", Name: "Acme Dental", Attempt: "attempt",
		Typed: "5000", Note: "Welcome credits", Amount: credits(5_000), Most: credits(18_420), Held: credits(50), Plan: true,
		Agency:   views.Side{Name: "You", Now: credits(18_420), After: credits(13_420), Lasts: views.Forecast{Kind: views.ForecastRunsOut, RunsOutAt: at(28, 9, 0)}},
		Client:   views.Side{Name: "Acme Dental", Now: credits(1_204), After: credits(6_204), Lasts: views.Forecast{Kind: views.ForecastBeyond}},
		Expiring: []views.Expiring{{Credits: credits(5_000), At: at(31, 0, 0), Plan: true}},
	}
	empty, short, back, pooled := assign, assign, assign, assign
	empty.Typed, empty.Note, empty.Amount, empty.Expiring, empty.Held = "", "", 0, nil, 0
	short.Frame, short.Typed, short.Amount, short.Expiring, short.Short, short.Buy = failed(assign.Frame), "20,000", 0, nil, true, "/buy"
	short.Errors = views.FieldErrors{{Field: "credits", Text: short.Limit()}}
	back.Frame, back.Back, back.Action, back.Most, back.Held, back.Typed, back.Amount = clientsFrame("Take back credits from Acme Dental"), true, "/sub-accounts/1/take-back", credits(1_204), 0, "1204", credits(1_204)
	back.Agency.After, back.Client.After = credits(19_624), 0
	back.Expiring = []views.Expiring{{Credits: credits(1_204), At: at(31, 0, 0)}}
	pooled.Closed, pooled.Edit = "Acme Dental draws on your credits.", &views.Link{Label: "Change how it gets credits", Href: "/sub-accounts/1/edit"}
	return []Page{
		{"assign", views.AssignPage(assign)},
		{"assign-empty", views.AssignPage(empty)},
		{"assign-short", views.AssignPage(short)},
		{"assign-pooled", views.AssignPage(pooled)},
		{"take-back", views.AssignPage(back)},
	}
}

// feeding are the pages that assign by rule.
func feeding() []Page {
	clients := []views.BulkClient{{ID: "sub_1", Ref: "acme-dental", Name: "Acme Dental", Chosen: true}, {ID: "sub_2", Name: "Cedar & Sons"}}
	bulk := views.Bulk{Frame: clientsFrame("Assign credits to many"), Way: "share", Typed: "1000", Note: "Holiday", Attempt: "attempt", Clients: clients}
	planned, short, wrong := bulk, bulk, bulk
	planned.Plan = &views.BulkSums{
		Total: credits(1_000), Count: 1, Now: credits(18_420), After: credits(17_420), Pooled: 1,
		Rows: []views.BulkLine{
			{ID: "sub_1", Name: "Acme Dental", Credits: credits(1_000), Now: credits(1_204), After: credits(2_204), Used: credits(898)},
			{ID: "sub_2", Name: "Cedar & Sons", Now: credits(102), After: credits(102)},
		},
	}
	less := *planned.Plan
	less.Now, less.After = credits(400), -credits(600)
	short.Plan, short.Buy, short.Way = &less, "/buy", "same"
	wrong.Frame, wrong.Way, wrong.List = failed(bulk.Frame), "list", "zed,5"
	wrong.Errors = views.FieldErrors{{Field: "list", Text: `Nothing was taken from the list: line 1: there is no client "zed".`}}
	done := views.BulkDone{
		Frame: clientsFrame("Credits assigned to many"), Way: "same", At: at(20, 9, 0), By: "ana@northwind.example", Note: "Holiday", Credits: credits(1_000), Unspent: credits(800),
		Undo: "/sub-accounts/bulk/blk_1/undo", CSV: "/sub-accounts/bulk/blk_1/clients.csv",
		Rows: []views.BulkDoneRow{
			{Name: "Acme Dental", Href: "/sub-accounts/1", Credits: credits(500), Unspent: credits(300), Line: "/history/act_1"},
			{Name: "Cedar & Sons", Href: "/sub-accounts/3", Credits: credits(500), Unspent: credits(500), Line: "/history/act_2"},
		},
	}
	undone := done
	undone.Undo, undone.Unspent, undone.Undone = "", 0, at(21, 9, 0)
	undone.Rows = []views.BulkDoneRow{{Name: "Acme Dental", Href: "/sub-accounts/1", Credits: credits(500), Returned: credits(300), Line: "/history/act_1"}}
	move := views.PassOn{
		Frame: clientsFrame("Move credits from Acme Dental"), Action: "/sub-accounts/1/move", Account: "/sub-accounts/1", Name: "Acme Dental", Attempt: "attempt",
		Most: credits(1_204), Others: clients[1:],
	}
	nothing := move
	nothing.Closed = "There is nothing to move: Acme Dental has no unspent assigned credits."
	monthly := views.Monthly{
		Frame: clientsFrame("Monthly credits for Acme Dental"), Action: "/sub-accounts/1/monthly", Account: "/sub-accounts/1", Name: "Acme Dental", Typed: "5000", Day: "31", Unused: "return",
	}
	statement := views.Statement{
		Frame: clientsFrame("Statement"), Whose: "Acme Dental", Agency: "Northwind", From: at(1, 0, 0), To: at(31, 0, 0), Opening: credits(204), Closing: credits(4_104),
		Rows: []views.StatementRow{
			{Item: "assigned", Credits: credits(5_000)},
			{Item: "used", Credits: -credits(1_000), Parts: []views.StatementPart{
				{Action: "ai.reply", Model: "gpt-4-turbo", Count: 90, Credits: credits(900)}, {Action: "ai.knowledge_sync", Count: 4, Credits: credits(100)},
			}},
			{Item: "expired", Credits: -credits(100)},
		},
		Previous: "/statement?month=2026-09", CSV: "/statement.csv?month=2026-10", PDF: "/statement.pdf?month=2026-10", Back: &views.Link{Label: "History", Href: "/history"},
	}
	quiet := statement
	quiet.Rows, quiet.Closing, quiet.Complete, quiet.Next = nil, credits(204), true, "/statement?month=2026-11"
	return []Page{
		{"statement", views.StatementPage(statement)},
		{"statement-quiet", views.StatementPage(quiet)},
		{"bulk", views.BulkPage(bulk)},
		{"bulk-planned", views.BulkPage(planned)},
		{"bulk-short", views.BulkPage(short)},
		{"bulk-wrong", views.BulkPage(wrong)},
		{"bulk-done", views.BulkDonePage(done)},
		{"bulk-undone", views.BulkDonePage(undone)},
		{"move", views.PassOnPage(move)},
		{"move-nothing", views.PassOnPage(nothing)},
		{"monthly", views.MonthlyPage(monthly)},
	}
}
