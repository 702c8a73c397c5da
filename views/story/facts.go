package story

import (
	"time"

	"github.com/a-h/templ"

	"refill/models"
	"refill/views"
	"refill/views/chart"
	"refill/views/format"
)

// now is the instant every story is told at: a Monday afternoon in Paris.
const now = models.Time(1_763_991_720_000_000) // 2025-11-24 14:42:00 in Paris

// paris is an hour ahead of UTC in November; a fixed zone needs no database.
func paris() *time.Location { return time.FixedZone("Europe/Paris", 3600) }

func at(day, hour, minute int) models.Time {
	return models.At(time.Date(2025, time.November, day, hour, minute, 0, 0, paris()))
}

func credits(n int64) models.Credits { return models.Credits(n) * models.Credit }

func usd(minor int64) models.Money { return models.Money{Amount: minor, Currency: "usd"} }

// agencyFrame is the frame of the made-up agency's pages.
func agencyFrame(title, current string) views.Frame {
	nav := []views.NavItem{
		{Key: "overview", Label: "Overview", Short: "Overview", Href: "/"},
		{Key: "usage", Label: "Usage", Short: "Usage", Href: "/usage"},
		{Key: "buy", Label: "Credits & top-ups", Short: "Buy", Href: "/buy"},
		{Key: "purchases", Label: "Purchases", Href: "/purchases"},
		{Key: "history", Label: "History", Href: "/history"},
	}
	for i := range nav {
		nav[i].Current = nav[i].Key == current
	}
	return views.Frame{
		Title: title, Brand: "Refill", Account: "Northwind Agency", User: "olive@northwind.example", Role: "Owner",
		Nav: nav, Chip: &views.Chip{Left: credits(18_420), State: views.StateHealthy},
		CSRF: "token", Path: "/", Help: "/help", Demo: "Demo: payments are simulated.",
		Zone: paris(), Now: now, UpdatedAt: now.Add(-12 * time.Second),
	}
}

// clientFrame is the frame of a client's pages, in the agency's brand.
func clientFrame(title, current string) views.Frame {
	f := agencyFrame(title, current)
	f.Brand, f.Account, f.User, f.Role = "Northwind Agency", "Acme Dental", "ana@acme.example", "Owner"
	f.Chip = &views.Chip{Left: credits(1_204), State: views.StateHealthy}
	f.Nav[0].Label, f.Nav[0].Short = "Balance", "Balance"
	f.Nav[2].Label = "Buy credits"
	return f
}

// adminFrame is the frame of the operator's pages.
func adminFrame(title string) views.Frame {
	f := agencyFrame(title, "")
	f.Account, f.User, f.Role, f.Chip, f.Home = "Platform", "admin@refill.example", "Admin", nil, "/admin"
	f.Nav = []views.NavItem{
		{Key: "fleet", Label: "Fleet", Short: "Fleet", Href: "/admin", Current: true},
		{Key: "usage", Label: "Usage", Short: "Usage", Href: "/admin/usage"},
	}
	return f
}

// signedOut is the frame of pages without an account.
func signedOut(title, brand string) views.Frame {
	return views.Frame{Title: title, Brand: brand, CSRF: "token", Zone: paris(), Now: now, Help: "/help", Demo: "Demo: payments are simulated."}
}

// withState marks the chip and puts up the banner that goes with a state.
func withState(f views.Frame, state views.State, left models.Credits, n *views.Notice) views.Frame {
	f.Chip = &views.Chip{Left: left, State: state}
	f.Notice = n
	return f
}

func healthy() views.Balance {
	return views.Balance{
		State: views.StateHealthy, Left: credits(18_420), Plan: credits(5_920), Allowance: credits(100_000),
		ResetsAt: at(31, 0, 0), Purchased: credits(12_500),
		Held: credits(50), HeldJobs: 2, AssignedOut: credits(9_870),
		Replies:  []views.ReplyEstimate{{Model: "GPT-4 Turbo", Count: 1_842}, {Model: "GPT-3.5", Count: 18_420}},
		Forecast: views.Forecast{Kind: views.ForecastPastReset, PerDay: credits(1_290), From: at(17, 0, 0), To: at(23, 0, 0), Days: 7, RunsOutAt: at(31, 0, 0)},
		Pace:     "19% ahead of pace",
		BuyHref:  "/buy", NextPack: credits(12_500),
	}
}

func low() views.Balance {
	b := healthy()
	b.State = views.StateLow
	b.Forecast.Kind, b.Forecast.PerDay, b.Forecast.RunsOutAt = views.ForecastRunsOut, credits(3_290), at(29, 11, 0)
	return b
}

func excess() views.Balance {
	b := low()
	b.State, b.Left, b.Plan, b.Purchased, b.Excess, b.Held, b.AssignedOut = views.StateExcess, credits(-223), 0, 0, credits(223), 0, 0
	b.NextPack, b.Pace = credits(2_000), "26% ahead of pace"
	b.Forecast.Kind = views.ForecastNothingNow
	return b
}

func paused() views.Balance {
	b := excess()
	b.State, b.Left, b.Excess = views.StatePaused, 0, 0
	return b
}

func fresh() views.Balance {
	return views.Balance{
		State: views.StateNew, Left: credits(100_000), Plan: credits(100_000), Allowance: credits(100_000),
		ResetsAt: at(54, 0, 0), BuyHref: "/buy",
		Replies:  []views.ReplyEstimate{{Model: "GPT-4", Count: 4_000}, {Model: "GPT-3.5", Count: 100_000}},
		Forecast: views.Forecast{Kind: views.ForecastNoData},
	}
}

func usage() views.UsageCard {
	card := views.UsageCard{
		Title: "Usage this cycle", Total: credits(91_409), Previous: credits(80_183), Than: "the previous cycle", Href: "/usage",
		Rows: []views.TopRow{
			{Slot: "c1", Name: "GPT-4 Turbo", Rate: credits(10), Credits: credits(39_155)},
			{Slot: "c2", Name: "GPT-3.5", Rate: credits(1), Credits: credits(24_537)},
			{Slot: "c3", Name: "GPT-4", Rate: credits(25), Credits: credits(13_659)},
			{Slot: "c4", Name: "Website sync", Rate: credits(25), Credits: credits(5_173)},
			{Slot: "c5", Name: "Embedding", Rate: models.Credit / 2, Credits: credits(6_645)},
			{Slot: "c6", Name: "Other (4)", Credits: credits(2_240)},
		},
	}
	card.Chart = daily(card.Rows)
	return card
}

// daily spreads the rows' credits over the days of November so far, less at weekends,
// so that they add up to the rows.
func daily(rows []views.TopRow) templ.Component {
	const days = 24
	d := chart.Data{ID: "cycle", Title: "Credits used per day, by model and action"}
	for day := 1; day <= days; day++ {
		start := at(day, 0, 0)
		d.Buckets = append(d.Buckets, chart.Bucket{Start: start, Label: format.Date(start, now, paris()), Tick: format.DayMonth(start, paris()), Partial: day == days})
	}
	for i, r := range rows {
		d.Series = append(d.Series, chart.Series{Name: r.Name, Slot: i + 1, Values: spread(r.Credits, days, i+3)})
	}
	return chart.Stacked(d)
}

// spread cuts a total into days of uneven weight by cumulative difference.
func spread(total models.Credits, days, seed int) []models.Credits {
	weights, whole := make([]int64, days), int64(0)
	for i := range weights {
		weights[i] = int64(80 + (i*seed*7)%45)
		if day := at(i+1, 12, 0).In(paris()).Weekday(); day == time.Saturday || day == time.Sunday {
			weights[i] = weights[i] * 2 / 5
		}
		if i == days-1 {
			weights[i] = weights[i] * 3 / 5 // not over yet
		}
		whole += weights[i]
	}
	values, done := make([]models.Credits, days), int64(0)
	for i, w := range weights {
		part, err := models.Part(int64(total/models.Credit), done, done+w, whole)
		if err != nil {
			panic(err) // fixed facts within every bound
		}
		values[i] = models.Credits(part) * models.Credit
		done += w
	}
	return values
}

func activity() views.ActivityCard {
	return views.ActivityCard{Href: "/history", Lines: []views.ActivityLine{
		{At: at(24, 14, 0), What: "204 replies · GPT-4 Turbo", Who: "Acme Dental", Change: credits(-2_040), After: credits(18_420), Href: "/history/1"},
		{At: at(24, 13, 0), What: "31 embeddings", Who: "Bright Solar", Change: -31 * models.Credit / 2, After: credits(20_460), Href: "/history/2"},
		{At: at(24, 9, 12), What: "Purchase", Change: credits(12_500), After: 20_475*models.Credit + models.Credit/2, Href: "/history/3"},
		{At: at(23, 18, 5), What: "Assigned", Who: "Kite Legal", Change: credits(-500), After: 7_975*models.Credit + models.Credit/2, Href: "/history/4"},
		{At: at(1, 0, 0), What: "Plan credits added", Change: credits(100_000), After: credits(100_000), Href: "/history/5"},
	}}
}

func failure(what string) *views.SectionFailure {
	return &views.SectionFailure{What: what, Keeps: "Your balance above is correct.", Retry: "/", Ref: "7F3K"}
}
