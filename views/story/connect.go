package story

import "refill/views"

// connects is the page about the Stripe account an agency sells through.
func connects() []Page {
	const account, dashboard = "acct_1P4xRfill", "https://dashboard.stripe.com/acct_1P4xRfill/dashboard"
	page := func(name string, change func(*views.Connect)) Page {
		f := agencyFrame("Payments with Stripe", "packages")
		f.Path = "/packages/connect"
		v := views.Connect{Frame: f, Account: account, Dashboard: dashboard, Name: "Northwind Agency"}
		change(&v)
		return Page{"connect-" + name, views.ConnectPage(v)}
	}
	selling := func(v *views.Connect) {
		v.State, v.Payouts, v.Statement = views.ConnectSelling, true, "NORTHWIND AGENCY"
	}
	return []Page{
		page("none", func(v *views.Connect) {
			v.State, v.Account, v.Dashboard, v.Name = views.ConnectNone, "", "", ""
		}),
		page("failed", func(v *views.Connect) {
			v.State, v.Account, v.Dashboard, v.Name, v.Failed = views.ConnectNone, "", "", "", true
		}),
		page("started", func(v *views.Connect) {
			v.State, v.Again = views.ConnectStarted, true
			v.Due = []string{"a bank account for payouts", "consent to Stripe's terms"}
		}),
		page("lacking", func(v *views.Connect) {
			v.State, v.Returned, v.Why = views.ConnectLacking, true, "Details are missing."
			v.Due = []string{"a document that proves the identity of a person or the business"}
		}),
		page("selling", selling),
		page("returned", func(v *views.Connect) {
			selling(v)
			v.Returned, v.Payouts = true, false
		}),
		page("stale", func(v *views.Connect) {
			selling(v)
			v.Stale = true
		}),
		page("paused", func(v *views.Connect) {
			v.State, v.Why, v.Payouts = views.ConnectPaused, "Stripe is reviewing the account.", true
		}),
		page("ended", func(v *views.Connect) {
			v.State, v.Dashboard, v.EndedAt = views.ConnectEnded, "", at(22, 14, 0)
		}),
	}
}
