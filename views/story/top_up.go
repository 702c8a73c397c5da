package story

import "refill/views"

// topUps is automatic top-up in every state, of an agency and of a client.
func topUps() []Page {
	choice := views.TopUpChoice{ID: "credits-12500", Title: "12,500 credits", Credits: credits(12_500), Price: usd(5_000)}
	growth := views.TopUpChoice{ID: "1", Title: "Growth", Credits: credits(10_000), Price: usd(6_000)}
	pace := views.TopUpPace{Known: true, Times: 2, Cost: usd(10_000), Days: 3}
	off := views.TopUp{
		Frame: agencyFrame("Automatic top-up", "buy"), State: views.TopUpOff, Mine: true, Attempt: "attempt", Symbol: "$", Sells: true,
		Offers:  []views.TopUpChoice{{ID: "credits-2000", Title: "2,000 credits", Credits: credits(2_000), Price: usd(1_000)}, choice},
		Clients: &views.TopUpClients{},
	}
	wrong := off
	wrong.Frame, wrong.Offer, wrong.Threshold, wrong.Typed, wrong.Card = failed(off.Frame), choice.ID, "10000", "20", "Visa •••• 4242"
	wrong.Preview = &views.TopUpPreview{Pace: pace, Limit: usd(2_000)}
	wrong.Errors = views.FieldErrors{{Field: "limit", Text: "One purchase is 50.00 USD: the limit must allow it at least."}}
	on := off
	on.State, on.Running, on.Below, on.Spent, on.Limit, on.Card, on.Pace = views.TopUpOn, choice, credits(10_000), usd(5_000), usd(20_000), "Visa •••• 4242", pace
	on.Threshold, on.Offer, on.Typed, on.Sales, on.ForSales, on.Clients = "10000", choice.ID, "200.00", true, true, &views.TopUpClients{Allowed: true}
	flying := on
	flying.Flying, flying.ByAmount, flying.Pace = true, true, views.TopUpPace{}
	failing := on
	failing.State, failing.Note = views.TopUpFailing, "The card was declined. Try another card, or ask your bank."
	broken := failing
	broken.State, broken.Retry = views.TopUpFailed, true
	removed := on
	removed.State, removed.Card, removed.Note = views.TopUpNoCard, "", "Visa •••• 4242 was removed from your cards at Stripe. Add a card, and automatic top-up goes on by itself."
	limit := on
	limit.State, limit.Until, limit.Spent = views.TopUpLimit, at(31, 0, 0), usd(20_000)
	stopped := on
	stopped.State, stopped.Note = views.TopUpStopped, "12,500 credits costs 60.00 now, more than you agreed to."
	member := on
	member.Mine = false
	client := on
	client.Frame, client.Seller, client.Clients, client.Sells, client.Sales = clientFrame("Automatic top-up", "buy"), "Northwind Agency", nil, false, false
	client.Running, client.Offers, client.Offer = growth, []views.TopUpChoice{growth}, growth.ID
	closed := client
	closed.State, closed.Closed = views.TopUpOff, "Northwind Agency does not offer automatic top-up."

	confirm := views.TopUpConfirm{
		Frame: agencyFrame("Turn on automatic top-up", "buy"), Choice: choice, Below: credits(10_000), Left: credits(18_420), Limit: usd(20_000), Card: "Visa •••• 4242",
		Sales: true, Pace: pace, Fields: []views.Hidden{{Name: "threshold", Value: "10000"}}, Back: "/buy/automatic",
	}
	now := confirm
	now.Left, now.Now, now.Credits, now.Price, now.Short = credits(420), true, credits(12_500), usd(5_000), true
	single := now
	single.Seller, single.Sales, single.Choice.OneByOne = "Northwind Agency", false, true
	change := confirm
	change.Frame, change.Change, change.Errors = failed(agencyFrame("Change automatic top-up", "buy")), true,
		views.FieldErrors{{Field: "offer", Text: "What it buys changed while the page was open. Look at it once more."}}
	return []Page{
		{"top-up-off", views.TopUpPage(off)},
		{"top-up-wrong", views.TopUpPage(wrong)},
		{"top-up-on", views.TopUpPage(on)},
		{"top-up-flying", views.TopUpPage(flying)},
		{"top-up-failing", views.TopUpPage(failing)},
		{"top-up-failed", views.TopUpPage(broken)},
		{"top-up-removed", views.TopUpPage(removed)},
		{"top-up-limit", views.TopUpPage(limit)},
		{"top-up-stopped", views.TopUpPage(stopped)},
		{"top-up-member", views.TopUpPage(member)},
		{"top-up-client", views.TopUpPage(client)},
		{"top-up-client-closed", views.TopUpPage(closed)},
		{"top-up-confirm", views.TopUpConfirmPage(confirm)},
		{"top-up-confirm-now", views.TopUpConfirmPage(now)},
		{"top-up-confirm-one-by-one", views.TopUpConfirmPage(single)},
		{"top-up-confirm-change", views.TopUpConfirmPage(change)},
	}
}
