package story

import (
	"time"

	"github.com/a-h/templ"

	"refill/models"
	"refill/views"
)

// used makes a row whose values rise and fall by the week, with a little noise that
// is the same every time.
func used(name, model, action string, rate int64, perDay, days int) views.UsageShare {
	row := views.UsageShare{Name: name, Only: views.UsageOnly{Model: model, Action: action}}
	if rate > 0 {
		row.Rate = &views.UsageRate{Credits: credits(rate)}
	}
	noise := uint32(perDay)
	for day := range days {
		noise = noise*1664525 + 1013904223
		amount := perDay * (60 + int(noise>>16)%70) / 100
		if day%7 > 4 {
			amount /= 2
		}
		row.Values = append(row.Values, credits(int64(amount)))
		row.Units += int64(amount) / max(1, rate)
	}
	row.Previous = row.Credits() * 7 / 8 / models.Credit * models.Credit
	return row
}

// cycleUsage is the cycle so far, by model and action.
func cycleUsage() views.Usage {
	f := agencyFrame("Usage", "usage")
	u := views.Usage{
		Frame: f, Base: "/usage",
		Filter: views.ParseUsageFilter(nil),
		Groups: []views.UsageGroup{views.GroupModel, views.GroupAction, views.GroupSubAccount, views.GroupBucket},
		Subs:   []views.Option{{Value: "acme", Label: "Acme Dental"}, {Value: "bright", Label: "Bright Solar"}},
		Models: []views.Option{{Value: "gpt-4-turbo", Label: "GPT-4 Turbo"}, {Value: "gpt-3.5-turbo", Label: "GPT-3.5"}},
		Actions: []views.Option{
			{Value: "ai.reply", Label: "Reply"}, {Value: "ai.knowledge_sync", Label: "Website sync"},
		},
		From: at(1, 0, 0), To: at(31, 0, 0), Unit: views.IntervalDay, // 31 November is 1 December
		Rows: []views.UsageShare{
			used("GPT-3.5", "gpt-3.5-turbo", "ai.reply", 1, 900, 24),
			used("GPT-4 Turbo", "gpt-4-turbo", "ai.reply", 10, 1500, 24),
			used("GPT-4", "gpt-4", "ai.reply", 25, 500, 24),
			used("Website sync", "", "ai.knowledge_sync", 25, 200, 24),
			used("Claude Haiku", "claude-haiku", "ai.reply", 1, 240, 24),
			used("Tool use", "", "ai.tool_use", 2, 60, 24),
			used("Generation", "", "ai.generation", 5, 40, 24),
		},
		Colour:       []string{"GPT-3.5", "GPT-4 Turbo", "GPT-4", "Website sync", "Claude Haiku"},
		PreviousName: "the same days of the previous cycle",
		Pace:         &views.UsagePace{PerDay: credits(3_290), Word: "18% ahead of pace"},
		Plan:         credits(100_000), Projected: credits(92_000),
	}
	u.Rows[3].Rate.From = true
	for day := 1; day <= 30; day++ {
		if day <= 24 {
			u.Starts = append(u.Starts, at(day, 0, 0))
		} else {
			u.Ahead = append(u.Ahead, at(day, 0, 0))
		}
	}
	return u
}

func usages() []Page {
	page := func(name string, change func(*views.Usage)) Page {
		u := cycleUsage()
		change(&u)
		return Page{"usage-" + name, views.UsagePage(u)}
	}
	previous := func(u *views.Usage) {
		for i := range u.Starts {
			var total models.Credits
			for _, r := range u.Rows {
				total += r.Values[(i+3)%len(r.Values)]
			}
			u.Previous = append(u.Previous, total*9/10)
		}
	}
	quarter := func(u *views.Usage) {
		u.Filter.Period, u.Starts, u.Ahead = views.Period90Days, nil, nil
		u.From, u.To = at(-65, 0, 0), at(25, 0, 0)
		for day := -65; day < 25; day++ {
			u.Starts = append(u.Starts, at(day, 0, 0))
		}
		for i, r := range u.Rows {
			u.Rows[i] = used(r.Name, r.Only.Model, r.Only.Action, 7, 300*(i+1), 90)
		}
		u.PreviousName = "the 90 days before"
	}
	return []Page{
		page("cycle", func(*views.Usage) {}),
		page("compare", func(u *views.Usage) {
			u.Filter.Compare = true
			previous(u)
		}),
		page("cumulative", func(u *views.Usage) {
			u.Filter.View, u.Filter.Compare = views.ViewCumulative, true
			previous(u)
		}),
		page("90-days", quarter),
		page("filtered", func(u *views.Usage) {
			u.Filter.Sub, u.Filter.Model, u.Rows = "acme", "gpt-4-turbo", u.Rows[1:2]
		}),
		page("hours", func(u *views.Usage) {
			u.Filter.Period, u.Unit, u.Starts, u.Ahead = views.Period24Hours, views.IntervalHour, nil, nil
			u.From, u.To, u.CountedTo = at(23, 15, 0), at(24, 15, 0), now.Add(-70*time.Minute)
			for hour := range 24 {
				u.Starts = append(u.Starts, at(23, 15+hour, 0))
			}
		}),
		page("one-day", func(u *views.Usage) {
			u.Starts, u.Ahead, u.Pace, u.PreviousName = u.Starts[:1], nil, nil, ""
			u.From, u.To = at(1, 0, 0), at(2, 0, 0)
			for i := range u.Rows {
				u.Rows[i].Values, u.Rows[i].Units = u.Rows[i].Values[:1], u.Rows[i].Units/24
			}
		}),
		page("nothing-yet", func(u *views.Usage) { u.Rows, u.Never = nil, true }),
		page("nothing-here", func(u *views.Usage) {
			u.Rows, u.Nearest = nil, []views.Link{{Label: "Previous cycle", Href: "/usage?p=previous"}, {Label: "Last 90 days", Href: "/usage?p=90d"}}
		}),
		page("nothing-matches", func(u *views.Usage) { u.Rows, u.Filter.Model = nil, "gpt-9" }),
		page("broken", func(u *views.Usage) { u.Failure = failure("Usage") }),
		{"usage-dark", dark(quarter)},
		{"usage-client", clientUsage()},
		fleetPage("agencies", func(*views.FleetUsage) {}),
		fleetPage("agencies-compared", func(v *views.FleetUsage) {
			week(v)
			v.Filter.Compare = true
			for i := range v.Starts {
				var total models.Credits
				for _, r := range v.Each {
					total += r.Values[i] * 9 / 10
				}
				v.Previous = append(v.Previous, total)
			}
		}),
		fleetPage("agencies-sold", func(v *views.FleetUsage) {
			week(v)
			v.Filter.View = views.ViewCumulative
		}),
		fleetPage("agencies-plans", func(v *views.FleetUsage) {
			week(v)
			v.Filter.Group, v.Rows, v.Colour = views.GroupPlan, nil, []string{"Starter", "Agency", "No plan"}
			for i, plan := range []views.Option{{Value: "starter", Label: "Starter"}, {Value: "agency", Label: "Agency"}, {Value: "-", Label: "No plan"}} {
				row := views.UsageShare{Name: plan.Label, Only: views.UsageOnly{Plan: plan.Value}, Values: make([]models.Credits, len(v.Starts))}
				for j := i; j < len(v.Each); j += 3 {
					for at, c := range v.Each[j].Values {
						row.Values[at] += c
					}
					row.Previous += v.Each[j].Previous
				}
				v.Rows = append(v.Rows, row)
			}
		}),
		fleetPage("agencies-one", func(v *views.FleetUsage) {
			v.Filter.Agency, v.Filter.Group, v.Filter.Model = "kite", views.GroupModel, "gpt-4"
			v.Owner = &views.Link{Label: "Open Kite & Co", Href: "/admin/agencies/agy_3"}
			v.Each, v.Sold = v.Each[2:3], nil
			v.Rows = []views.UsageShare{{Name: "GPT-4", Only: views.UsageOnly{Model: "gpt-4", Action: "ai.reply"}, Values: v.Each[0].Values, Previous: v.Each[0].Previous}}
		}),
		fleetPage("agencies-none", func(v *views.FleetUsage) {
			v.Rows, v.Each, v.Nearest = nil, nil, []views.Link{{Label: "Last 90 days", Href: "/admin/usage?p=90d"}}
		}),
	}
}

func dark(change func(*views.Usage)) templ.Component {
	u := cycleUsage()
	change(&u)
	u.Frame.Theme = "dark"
	return views.UsagePage(u)
}

func clientUsage() templ.Component {
	u := cycleUsage()
	u.Frame = clientFrame("Usage", "usage")
	u.Groups, u.Subs = []views.UsageGroup{views.GroupModel, views.GroupAction, views.GroupBucket}, nil
	u.Rows = u.Rows[:2]
	return views.UsagePage(u)
}

// fleetPage is a story of the operator's page across agencies.
func fleetPage(name string, change func(*views.FleetUsage)) Page {
	v := fleetUsage()
	change(&v)
	return Page{"usage-" + name, views.FleetUsagePage(v)}
}

// week keeps the first seven days.
func week(v *views.FleetUsage) {
	v.Filter.Period, v.To, v.PreviousName = views.Period7Days, at(8, 0, 0), "the 7 days before"
	v.Starts, v.Sold = v.Starts[:7], v.Sold[:7]
	for i := range v.Each { // Rows as well
		v.Each[i].Values, v.Each[i].Previous = v.Each[i].Values[:7], v.Each[i].Previous/3/models.Credit*models.Credit
		v.Each[i].Units /= 3
	}
	v.Packs = credits(12_500)
}

func fleetUsage() views.FleetUsage {
	u := cycleUsage()
	u.Frame, u.Base, u.Subs, u.Pace, u.Plan, u.Projected = adminFrame("Usage"), "/admin/usage", nil, nil, 0, 0
	u.Filter = views.ParseFleetFilter(nil)
	u.PreviousName = "the 30 days before"
	u.Groups = []views.UsageGroup{views.GroupAgency, views.GroupPlan, views.GroupModel, views.GroupAction, views.GroupBucket}
	u.Agencies = []views.Option{{Value: "northwind", Label: "Northwind Agency"}, {Value: "kite", Label: "Kite & Co"}}
	u.Plans = []views.Option{{Value: "starter", Label: "Starter"}, {Value: "agency", Label: "Agency"}}
	u.Rows, u.Colour, u.Ahead = nil, nil, nil
	v := views.FleetUsage{Allowances: credits(600_000), Packs: credits(47_000)}
	for i, name := range []string{
		"Northwind Agency", "Bluebird Media", "Kite & Co", "Harbour Digital", "Little Fox", "Summit Lab", "Orchard",
		"Paper Plane", "Delta Growth", "Quiet Storm", "Copperfield", "Sixth Street", "Meadow", "Fjord & Sons",
	} {
		row := used(name, "", "", 0, 9_000/(i+1), 24)
		row.Only, row.Page = views.UsageOnly{Agency: name}, "/admin/agencies/agy_"+name[:1]
		if i == 3 {
			row.Previous = row.Credits() * 2
		}
		u.Rows = append(u.Rows, row)
	}
	v.Each = u.Rows
	for day := range u.Starts {
		sold := models.Credits(0)
		switch day {
		case 0:
			sold = credits(600_000)
		case 5, 12:
			sold = credits(12_500)
		case 20:
			sold = credits(22_000)
		}
		u.Sold = append(u.Sold, sold)
	}
	v.Usage = u
	return v
}
