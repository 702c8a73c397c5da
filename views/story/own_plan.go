package story

import (
	"refill/models"
	"refill/views"
)

func planFrame(title string) views.Frame { return agencyFrame(title, "") }

// ownPlans is an agency's plan in every state, and the pages that change it.
func ownPlans() []Page {
	term := views.PlanTerm{Name: "Agency", Code: "agency", Price: usd(9_700), Allowance: credits(10_000), Clients: 25}
	active := views.OwnPlan{
		Frame: planFrame("Plan"), State: views.PlanActive, Term: term, ResetsAt: at(30, 9, 0), Left: credits(5_920), Mine: true, Stripe: true, Card: true, Sells: true, Attempt: "attempt",
	}
	next := active
	next.Next, next.NextAt = "Starter", at(30, 9, 0)
	trial := active
	trial.State, trial.Until, trial.Card = views.PlanTrial, at(28, 9, 0), false
	due := active
	due.State, due.Until, due.Due, due.Invoice = views.PlanPastDue, at(30, 10, 0), usd(9_700), "https://invoice.example/1"
	unknown := due
	unknown.Due, unknown.Invoice = models.Money{}, ""
	ending := active
	ending.State, ending.Until, ending.ResetsAt = views.PlanEnding, at(30, 9, 0), 0
	lapsed := active
	lapsed.State, lapsed.Until, lapsed.ResetsAt, lapsed.Left, lapsed.Frozen = views.PlanLapsed, at(20, 9, 0), 0, 0, credits(12_500)
	ended := lapsed
	ended.State, ended.Frozen = views.PlanCancelled, 0
	none := views.OwnPlan{Frame: planFrame("Plan"), State: views.PlanNone, Mine: true, Sells: true}
	clock := active
	clock.Stripe, clock.Card, clock.Sells, clock.Term.Price, clock.Term.Once, clock.ResetsAt = false, false, false, models.Money{Currency: "usd"}, true, 0
	member := active
	member.Mine = false
	yearly := active
	yearly.Term.Yearly, yearly.Term.Price, yearly.Term.Clients = true, usd(97_000), 0

	offers := views.PlanChoose{
		Frame: planFrame("Plans"), Current: "agency", Next: "starter", Mine: true, Sells: true, Ask: "/help",
		Plans: []views.PlanTerm{
			{Name: "Starter", Code: "starter", Price: usd(4_900), Allowance: credits(2_000), Clients: 5},
			term,
			{Name: "Scale", Code: "scale", Price: usd(29_700), Allowance: credits(100_000)},
			{Name: "Scale, by the year", Code: "scale-year", Price: usd(297_000), Yearly: true, Allowance: credits(100_000)},
		},
	}
	trials := offers
	trials.Current, trials.Next, trials.Plans = "", "", []views.PlanTerm{{Name: "Starter", Code: "starter", Price: usd(6_500), Allowance: credits(2_000), Trial: 14}}
	closed := offers
	closed.Sells, closed.Ask = false, ""
	empty := views.PlanChoose{Frame: planFrame("Plans"), Mine: true}

	first := views.PlanTake{Frame: planFrame("Take Agency"), Term: term, First: true, Frozen: credits(12_500), Attempt: "attempt"}
	try := first
	try.Frozen, try.Lost, try.Term.Trial = 0, credits(5_920), 14
	up := views.PlanTake{
		Frame: planFrame("Change to Scale"), Term: offers.Plans[2], From: "Agency", Now: true, Cost: usd(6_667), Added: credits(90_000), At: at(23, 12, 0), Priced: "1", Attempt: "attempt",
	}
	declined := up
	declined.Frame, declined.Errors = failed(up.Frame), views.FieldErrors{{Field: "plan", Text: "The card was declined. Try another card, or ask your bank. Nothing was changed."}}
	year := up
	year.Frame, year.Term, year.Fresh, year.Cost, year.Lost, year.Added = planFrame("Change to Scale, by the year"), offers.Plans[3], true, usd(291_000), credits(5_920), credits(100_000)
	down := views.PlanTake{Frame: planFrame("Change to Starter"), Term: offers.Plans[0], From: "Agency", At: at(30, 9, 0), Attempt: "attempt"}
	undo := views.PlanTake{Frame: planFrame("Change to Agency"), Term: term, From: "Agency", Undoes: true, At: at(30, 9, 0), Attempt: "attempt"}

	cancel := views.PlanCancel{Frame: planFrame("Cancel Agency"), Name: "Agency", Until: at(30, 9, 0), Purchased: credits(12_500)}
	return []Page{
		{"own-plan-active", views.OwnPlanPage(active)},
		{"own-plan-next", views.OwnPlanPage(next)},
		{"own-plan-trial", views.OwnPlanPage(trial)},
		{"own-plan-past-due", views.OwnPlanPage(due)},
		{"own-plan-past-due-unknown", views.OwnPlanPage(unknown)},
		{"own-plan-ending", views.OwnPlanPage(ending)},
		{"own-plan-lapsed", views.OwnPlanPage(lapsed)},
		{"own-plan-ended", views.OwnPlanPage(ended)},
		{"own-plan-none", views.OwnPlanPage(none)},
		{"own-plan-clock", views.OwnPlanPage(clock)},
		{"own-plan-member", views.OwnPlanPage(member)},
		{"own-plan-yearly", views.OwnPlanPage(yearly)},
		{"plan-choose", views.PlanChoosePage(offers)},
		{"plan-choose-trial", views.PlanChoosePage(trials)},
		{"plan-choose-closed", views.PlanChoosePage(closed)},
		{"plan-choose-none", views.PlanChoosePage(empty)},
		{"plan-take", views.PlanTakePage(first)},
		{"plan-take-trial", views.PlanTakePage(try)},
		{"plan-take-up", views.PlanTakePage(up)},
		{"plan-take-declined", views.PlanTakePage(declined)},
		{"plan-take-year", views.PlanTakePage(year)},
		{"plan-take-down", views.PlanTakePage(down)},
		{"plan-take-undo", views.PlanTakePage(undo)},
		{"plan-cancel", views.PlanCancelPage(cancel)},
	}
}
