package story

import (
	"time"

	"refill/models"
	"refill/views"
)

// platformFrame is the frame of the operator's pages with their whole menu.
func platformFrame(title, current string) views.Frame {
	f := adminFrame(title)
	f.Nav = []views.NavItem{
		{Key: "fleet", Label: "Fleet", Short: "Fleet", Href: "/admin"},
		{Key: "usage", Label: "Usage", Short: "Usage", Href: "/admin/usage"},
		{Key: "agencies", Label: "Agencies", Short: "Agencies", Href: "/admin/agencies"},
		{Key: "adjustments", Label: "Adjustments", Href: "/admin/adjustments"},
		{Key: "audit", Label: "Audit", Href: "/admin/audit"},
	}
	for i := range f.Nav {
		f.Nav[i].Current = f.Nav[i].Key == current
	}
	return f
}

// wave is a series that goes up and down, the same each time.
func wave(n int, base int64) []models.Credits {
	out := make([]models.Credits, n)
	for i := range out {
		out[i] = credits(base + base*int64((i*7)%5)/10)
	}
	return out
}

func fleetFacts() views.Fleet {
	out := views.Fleet{Frame: platformFrame("Fleet", "fleet")}
	out.Use = views.FleetUse{Used24h: credits(2_410_000), Whole24h: credits(2_400_000), Usual24h: credits(2_264_000), Weeks: 4}
	used, weeks := wave(48, 1_000), wave(52, 950)
	for i, v := range used {
		out.Use.Hours = append(out.Use.Hours, views.FleetHour{
			At: at(22, 15, 0).Add(time.Duration(i) * time.Hour), Used: v, Before: weeks[i : i+4], Partial: i == 47,
		})
	}
	out.Use.Hours[20].Used = credits(3_100)
	out.States = views.FleetStates{
		Total: 30, Paused: 3, Low: 11, Below: 2,
		Rows: []views.Signal{
			{Label: "Healthy", Count: 12},
			{Label: "New", Count: 2},
			{Label: "Low", Count: 11, Href: "/admin/agencies?only=low"},
			{Label: "Below zero", Count: 2, Href: "/admin/agencies?only=below"},
			{Label: "Paused: no credits", Count: 2, Href: "/admin/agencies?only=paused"},
			{Label: "Paused by an admin", Count: 1, Href: "/admin/agencies?only=suspended"},
		},
	}
	out.Desk = views.FleetDesk{Unbooked: 1, Review: 1, Waiting: 2, Rows: []views.DeskRow{
		{At: at(24, 14, 20), Agency: "Northwind Agency", Href: "/admin/agencies/1", What: "12,500 credits", Amount: usd(5_000), Why: "Paid, and not booked yet."},
		{At: at(23, 9, 2), Agency: "Kite Digital", Href: "/admin/agencies/2", What: "2,000 credits", Amount: usd(1_000), Why: "The payment was made in another mode."},
	}}
	out.Movers.Rows = []views.MoverRow{
		{Name: "Kite Digital", Href: "/admin/agencies/2", Now: credits(40_223), Before: credits(12_104)},
		{Name: "Harbour Labs", Href: "/admin/agencies/3", Now: credits(2_000), Before: credits(9_500)},
		{Name: "Juniper", Href: "/admin/agencies/4", Now: credits(310)},
	}
	row := func(label string, n int64) views.MoneyRow {
		return views.MoneyRow{Label: label, Paid: usd(5_000 * n), Credits: credits(12_500 * n), SoldOn: usd(900 * n), SoldOnCredits: credits(1_500 * n)}
	}
	nothing := views.MoneyRow{Label: "24 hours", Paid: usd(0), SoldOn: usd(0)}
	out.Money.Currencies = []views.CurrencyMoney{{Code: "usd", Rows: []views.MoneyRow{nothing, row("7 days", 7), row("30 days", 31)}}}
	out.Hooks = views.FleetHooks{Count: 412, Mean: 400 * time.Millisecond, Longest: 12 * time.Second, Pending: 1, Oldest: 3 * time.Minute}
	return out
}

func fleets() []Page {
	quiet := views.Fleet{Frame: platformFrame("Fleet", "fleet")}
	quiet.Use.Hours = fleetFacts().Use.Hours
	for i := range quiet.Use.Hours {
		quiet.Use.Hours[i].Used, quiet.Use.Hours[i].Before = 0, nil
	}
	broken := views.Fleet{Frame: platformFrame("Fleet", "fleet")}
	broken.Use.Failure, broken.States.Failure, broken.Desk.Failure = failure("Usage"), failure("The states of agencies"), failure("The payments")
	broken.Movers.Failure, broken.Money.Failure, broken.Hooks.Failure = failure("The top movers"), failure("Revenue"), failure("The delay of payment messages")
	return []Page{{"fleet", views.FleetPage(fleetFacts())}, {"fleet-empty", views.FleetPage(quiet)}, {"fleet-error", views.FleetPage(broken)}}
}

func agencies() []Page {
	list := views.Agencies{
		Frame: platformFrame("Agencies", "agencies"), Filter: views.ParseAgencyFilter(nil), Total: 120,
		Signals: []views.Signal{
			{Label: "All", Count: 120, Href: "/admin/agencies", Current: true},
			{Key: "paused", Label: "Paused", Count: 3, Href: "/admin/agencies?only=paused"},
			{Key: "low", Label: "Low", Count: 11, Href: "/admin/agencies?only=low"},
			{Key: "below", Label: "Below zero", Count: 2, Href: "/admin/agencies?only=below"},
			{Key: "quiet", Label: "No purchase in 30 days", Count: 40, Href: "/admin/agencies?only=quiet"},
			{Key: "suspended", Label: "Suspended", Count: 1, Href: "/admin/agencies?only=suspended"},
		},
		Rows: []views.AgencyRow{
			{Name: "Northwind Agency", Href: "/admin/agencies/1", Plan: "Agency Pro", State: views.StateHealthy, Left: credits(18_420), Lasts: views.Forecast{Kind: views.ForecastBeyond}, Daily: wave(30, 3_000), Used: credits(91_409), Bought: credits(12_500), SubAccounts: 42, LastAt: at(20, 9, 0)},
			{Name: "Kite Digital", Href: "/admin/agencies/2", Plan: "Agency", State: views.StateExcess, Left: credits(-223), Lasts: views.Forecast{Kind: views.ForecastNothingNow}, Daily: wave(30, 1_000), Used: credits(40_223), Excess: credits(223), SubAccounts: 3, LastAt: at(1, 9, 0), Flags: []string{"Payment to review"}},
			{Name: "Harbour Labs", Href: "/admin/agencies/3", State: views.StatePaused, Lasts: views.Forecast{Kind: views.ForecastNoData}, Daily: make([]models.Credits, 30), SubAccounts: 1, Flags: []string{"Paused by an admin", "No purchase in 30 days"}},
		},
		Previous: "/admin/agencies", Next: "/admin/agencies?page=3", Shown: "Agencies 51 to 53 of 120",
	}
	sorted, none, nothing, broken := list, list, list, list
	sorted.Filter = views.AgencyFilter{Only: "low", Search: "north", Sort: "used", Turned: true}
	none.Rows, none.Total, nothing.Rows, broken.Failure = nil, 0, nil, failure("The list of agencies")

	form := views.AgencyForm{
		Frame: platformFrame("Add agency", "agencies"), Attempt: "attempt", TimeZone: "UTC", Zones: []string{"UTC", "Europe/Paris"}, Invites: true, Plan: "agency",
		Plans: []views.Option{{Value: "starter", Label: "Starter, 10,000 credits a month, $97.00 a month"}, {Value: "agency", Label: "Agency, 100,000 credits a month, $297.00 a month"}},
	}
	wrong := form
	wrong.Frame, wrong.Name, wrong.Email = failed(form.Frame), "Northwind Agency", "nobody"
	wrong.Errors = views.FieldErrors{{Field: "email", Text: "Enter an e-mail address such as ana@example.com."}}

	b := healthy()
	b.BuyHref = ""
	one := views.Agency{
		Frame: platformFrame("Northwind Agency", "agencies"), Name: "Northwind Agency", Ref: "northwind", Zone: "Europe/Paris", Portal: "northwind", Created: at(3, 9, 0),
		Plan: "Agency Pro", Price: usd(49_700), RenewsAt: at(31, 0, 0), State: views.PlanPastDue, Until: at(30, 9, 0), Stripe: "sub_1Nsim", StripeState: "past_due", PaidUntil: at(23, 9, 0), Balance: b, Usage: usage(), Path: "/admin/agencies/1",
		Clients: views.AgencyClients{Total: 42, Rows: []views.SubAccountRow{
			{Name: "Dune Travel", State: views.StatePaused}, {Name: "Bright Solar", State: views.StateHealthy, Feed: views.Feed{Pooled: true}, Used: credits(4_310)},
		}},
		Bought: views.AgencyBought{Rows: []views.PurchaseRow{{At: at(20, 9, 0), Name: "12,500 credits", Credits: credits(12_500), Amount: usd(5_000), Status: views.PurchasePaid}}},
		Log:    views.AgencyLog{Rows: auditLines(), Href: "/admin/audit?agency=1"},
	}
	stopped := one
	stopped.Suspended, stopped.Why, stopped.ExcessLimit, stopped.Excess = true, "Chargebacks", credits(500), credits(223)
	stopped.Waiting = []views.Link{{Label: "+60,000 credits, asked by admin@refill.example", Href: "/admin/adjustments/1/1"}}
	stopped.Balance.State = views.StatePaused
	stopped.Balance.Stopped = "Refill has stopped AI for you and your clients, and nothing can be bought. Your credits are kept."
	fresh := one
	fresh.Plan, fresh.Clients, fresh.Bought, fresh.Log = "", views.AgencyClients{}, views.AgencyBought{}, views.AgencyLog{Href: "/admin/audit?agency=1"}
	fresh.Usage.Total, fresh.Usage.Rows, fresh.Usage.Chart = 0, nil, nil
	return []Page{
		{"agencies", views.AgenciesPage(list)},
		{"agencies-sorted", views.AgenciesPage(sorted)},
		{"agencies-none", views.AgenciesPage(none)},
		{"agencies-no-match", views.AgenciesPage(nothing)},
		{"agencies-error", views.AgenciesPage(broken)},
		{"agency-new", views.AgencyFormPage(form)},
		{"agency-new-wrong", views.AgencyFormPage(wrong)},
		{"agency", views.AgencyPage(one)},
		{"agency-paused", views.AgencyPage(stopped)},
		{"agency-fresh", views.AgencyPage(fresh)},
	}
}

func auditLines() []views.AuditLine {
	return []views.AuditLine{
		{At: at(24, 14, 2), Who: "admin@refill.example", What: "Credits adjusted", Code: "credits.adjust", Detail: "500", Reason: "Outage on 1 March", Agency: "Northwind Agency", Href: "/admin/agencies/1", Target: "wal_0123"},
		{At: at(23, 9, 0), Who: "API key 4f2a", What: "Plan changed", Code: "plan.change", Detail: "starter version 1 → agency version 2", Agency: "Northwind Agency", Href: "/admin/agencies/1"},
		{At: at(22, 9, 0), Who: "set-up", What: "catalogue.other", Code: "catalogue.other"},
	}
}

func adjusts() []Page {
	frame := func(title string) views.Frame { return platformFrame(title, "agencies") }
	adjust := views.Adjust{
		Frame: frame("Adjust the credits of Northwind Agency"), Agency: "Northwind Agency", Back: "/admin/agencies/1", Action: "/admin/agencies/1/adjust", Attempt: "attempt",
		Type: "adjustment", Before: credits(18_420), After: credits(18_420), Limit: credits(50_000),
	}
	large, wrong := adjust, adjust
	large.Typed, large.Amount, large.After, large.Reason, large.Shown, large.Type = "60000", credits(60_000), credits(78_420), "Outage on 1 March", true, "promo"
	wrong.Frame, wrong.Typed, wrong.Take = failed(adjust.Frame), "lots", true
	wrong.Errors = views.FieldErrors{{Field: "credits", Text: "Enter a number of credits, such as 5000 or 5,000."}, {Field: "reason", Text: "Say why in up to 500 bytes: the reason is kept with the credits."}}

	plan := views.PlanChoice{
		Frame: frame("Change the plan of Northwind Agency"), Agency: "Northwind Agency", Back: "/admin/agencies/1", Action: "/admin/agencies/1/plan", From: "Starter",
		Plans: []views.Option{{Value: "agency", Label: "Agency, 100,000 credits a month, $297.00 a month"}},
	}
	chosen := plan
	chosen.To, chosen.ToName, chosen.Lost, chosen.Given, chosen.Before, chosen.After = "agency", "Agency", credits(5_920), credits(100_000), credits(18_420), credits(112_500)
	chosen.ResetsAt, chosen.Clients, chosen.Room, chosen.Excess = at(54, 0, 0), 42, 40, credits(500)

	halt := views.Halt{Frame: frame("Pause Northwind Agency"), Agency: "Northwind Agency", Back: "/admin/agencies/1", Action: "/admin/agencies/1/pause", Clients: 42}
	resume, unsaid := halt, halt
	resume.Frame, resume.Resume, resume.Action = frame("Resume Northwind Agency"), true, "/admin/agencies/1/resume"
	unsaid.Frame, unsaid.Errors = failed(halt.Frame), views.FieldErrors{{Field: "reason", Text: "Say why in up to 500 bytes: the reason is kept in the audit log."}}

	excess := views.ExcessForm{Frame: frame("Excess allowance of Northwind Agency"), Agency: "Northwind Agency", Back: "/admin/agencies/1", Action: "/admin/agencies/1/excess", Limit: "500", Now: credits(500), Used: credits(223)}

	row := views.AdjustmentRow{
		At: at(24, 14, 2), Agency: "Northwind Agency", Href: "/admin/adjustments/1/1", Credits: credits(60_000), Type: "Promotion", Reason: "Outage on 1 March", Shown: true,
		By: "admin@refill.example", State: "pending",
	}
	yes, no := row, row
	yes.State, yes.DecidedBy, yes.DecidedAt, yes.Credits, yes.Account = "approved", "sam@refill.example", at(24, 14, 30), credits(-70_000), "Acme Dental"
	no.State, no.DecidedBy, no.DecidedAt, no.Shown = "declined", "sam@refill.example", at(24, 14, 31), false
	page := func(current string) views.Frame { return platformFrame(current, "adjustments") }
	all := views.Adjustments{Frame: page("Adjustments"), Waiting: []views.AdjustmentRow{row}, Decided: []views.AdjustmentRow{yes, no}, Limit: "50000"}
	bad := views.Adjustments{Frame: failed(page("Adjustments")), Limit: "50000", ProgramLimit: "some", Errors: views.FieldErrors{{Field: "program_limit", Text: "Enter a number of credits, such as 5000 or 5,000."}}}
	ask := views.Approval{Frame: page("Adjustment of Northwind Agency"), Request: row, Action: row.Href, Before: credits(18_420), After: credits(78_420)}
	own, done, late := ask, ask, ask
	own.Own, done.Request = true, yes
	late.Frame, late.Request, late.Error = failed(ask.Frame), no, "This adjustment was declined meanwhile by sam@refill.example; nothing was changed."

	audit := views.AuditLog{
		Frame: platformFrame("Audit", "audit"), Rows: auditLines(), CSV: "/admin/audit.csv", Pager: views.Pager{Older: "/admin/audit?cursor=x"},
		Actors:   []views.Option{{Value: "user:admin@refill.example", Label: "admin@refill.example"}},
		Actions:  []views.Option{{Value: "credits.adjust", Label: views.AuditWords("credits.adjust")}},
		Agencies: []views.Option{{Value: "northwind", Label: "Northwind Agency"}},
	}
	unmatched, never, days := audit, audit, audit
	unmatched.Rows, unmatched.Filter = nil, views.AuditFilter{Action: "credits.adjust"}
	never.Rows, never.Pager = nil, views.Pager{}
	days.Frame, days.Filter, days.Errors = failed(audit.Frame), views.AuditFilter{From: "soon"}, views.FieldErrors{{Field: "from", Text: "Enter a date in From, such as 2026-11-01."}}
	return []Page{
		{"adjust", views.AdjustPage(adjust)},
		{"adjust-large", views.AdjustPage(large)},
		{"adjust-wrong", views.AdjustPage(wrong)},
		{"agency-plan", views.PlanChoicePage(plan)},
		{"agency-plan-chosen", views.PlanChoicePage(chosen)},
		{"agency-pause", views.HaltPage(halt)},
		{"agency-resume", views.HaltPage(resume)},
		{"agency-pause-wrong", views.HaltPage(unsaid)},
		{"agency-excess", views.ExcessFormPage(excess)},
		{"adjustments", views.AdjustmentsPage(all)},
		{"adjustments-wrong", views.AdjustmentsPage(bad)},
		{"approval", views.ApprovalPage(ask)},
		{"approval-own", views.ApprovalPage(own)},
		{"approval-done", views.ApprovalPage(done)},
		{"approval-late", views.ApprovalPage(late)},
		{"audit", views.AuditLogPage(audit)},
		{"audit-no-match", views.AuditLogPage(unmatched)},
		{"audit-empty", views.AuditLogPage(never)},
		{"audit-wrong", views.AuditLogPage(days)},
	}
}
