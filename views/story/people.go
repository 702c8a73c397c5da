package story

import (
	"refill/models"
	"refill/views"
)

// invitedFrame is the frame of a page of somebody who is not signed in.
func invitedFrame(title string) views.Frame { return signedOut(title, "Northwind Agency") }

func peoplePages() []Page {
	roles := views.TeamRoles()
	tabs := []views.Tab{
		{Label: "Team", Href: "/settings/team", Current: true}, {Label: "Security", Href: "/settings/security"}, {Label: "Switch agency", Href: "/switch"},
	}
	team := views.People{
		Frame: agencyFrame("Team", ""), Tabs: tabs, Lede: "Owners change this list.", CSV: "/settings/team.csv", Action: "/settings/team", Roles: roles, Role: "member",
		Rows: []views.PersonRow{
			{Name: "Olive Owner", Email: "olive@northwind.example", Role: roles[0].Label, Does: roles[0].Does, Seen: "just now", You: true, Href: "/settings/team/1"},
			{Name: "Max Member", Email: "max@northwind.example", Role: roles[2].Label, Does: roles[2].Does, Href: "/settings/team/2"},
		},
		Invited: []views.InvitedRow{
			{Email: "bea@northwind.example", Role: "Billing", By: "olive@northwind.example", SentAt: at(24, 9, 0), Until: at(30, 9, 0), Action: "/settings/team/invitations/1"},
			{Email: "late@northwind.example", Role: "Member", By: "olive@northwind.example", SentAt: at(3, 9, 0), Until: at(10, 9, 0), Expired: true, Action: "/settings/team/invitations/2"},
		},
	}
	seen, waits, wrong := team, team, team
	seen.Action, seen.Tabs, seen.Invited = "", tabs[:1], nil
	seen.Rows = []views.PersonRow{team.Rows[0]}
	waits.Waits = "No mail server is set up here, so invitations wait until there is one."
	wrong.Frame, wrong.Email, wrong.Role = failed(team.Frame), "bea at northwind", "king"
	wrong.Errors = views.FieldErrors{
		{Field: "email", Text: "Enter an e-mail address such as ana@example.com."},
		{Field: "role", Text: "Choose what this person may do: owner, billing or member."},
	}
	client := views.People{
		Frame: clientsFrame("People of Acme Dental"), Back: &views.Link{Label: "Acme Dental", Href: "/sub-accounts/1"}, CSV: "/sub-accounts/1/people.csv", Action: "/sub-accounts/1/people",
		Lede: "They sign in at https://northwind.example, and see this account only.",
	}
	own := views.People{
		Frame: clientFrame("People", ""), Tabs: []views.Tab{{Label: "People", Href: "/settings/people", Current: true}, {Label: "Security", Href: "/settings/security"}},
		Lede: "Everybody here sees the same. To take somebody's access away, ask Northwind Agency.", CSV: "/settings/people.csv", Action: "/settings/people",
		Rows: []views.PersonRow{{Name: "Ada Dental", Email: "ada@acme.example", Seen: "3 days ago", You: true}},
	}
	single := views.Person{
		Frame: agencyFrame("Max Member", ""), Back: views.Link{Label: "Team", Href: "/settings/team"}, Row: team.Rows[1], From: "Northwind Agency",
		Action: "/settings/team/2", Roles: roles, Role: "member", Remove: "/settings/team/2/remove",
	}
	last := single
	last.Frame, last.Row, last.Role = failed(agencyFrame("Olive Owner", "")), team.Rows[0], "owner"
	last.Errors = views.FieldErrors{{Field: "role", Text: "This is the last owner. Make somebody else an owner first."}}
	pages := []Page{
		{"people-team", views.PeoplePage(team)},
		{"people-team-member", views.PeoplePage(seen)},
		{"people-team-waits", views.PeoplePage(waits)},
		{"people-team-wrong", views.PeoplePage(wrong)},
		{"people-of-client", views.PeoplePage(client)},
		{"client-people", views.PeoplePage(own)},
		{"person", views.PersonPage(single)},
		{"person-last-owner", views.PersonPage(last)},
		{"switch", views.SwitchPage(views.Switch{Frame: agencyFrame("Switch agency", ""), Tabs: tabs, Places: []views.SwitchPlace{
			{Name: "Bright Ideas", Role: "Member", Value: "agy_1"}, {Name: "Northwind Agency", Role: "Owner", Value: "agy_2", Current: true},
		}})},
	}
	pages = append(pages, archives()...)
	return append(pages, append(invitations(), outbox()...)...)
}

func archives() []Page {
	ask := views.Archive{
		Frame: clientsFrame("Archive Acme Dental"), Name: "Acme Dental", Account: "/sub-accounts/1", Action: "/sub-accounts/1/archive",
		Assigned: credits(1_204), Other: credits(300), Held: credits(50), People: 2,
	}
	ask.Monthly = []views.MonthlyPackage{{Name: "Care plan", Credits: credits(10_000), Price: usd(60_00), Renews: at(29, 9, 0)}}
	bare := ask
	bare.Monthly, bare.Assigned, bare.Other, bare.Held, bare.People = nil, 0, 0, 0, 0
	one := ask
	one.Assigned, one.People, one.Held, one.Keep = models.Credit, 1, 0, true
	away := views.Archived{
		Frame: clientsFrame("Archived sub-accounts"), May: true,
		Rows: []views.ArchivedRow{{Name: "Acme Dental", Href: "/sub-accounts/1", At: at(20, 9, 0), Restore: "/sub-accounts/1/restore"}},
	}
	look := away
	look.May = false
	people := views.SubAccount{
		Frame: clientsFrame("Acme Dental"), Name: "Acme Dental", Ref: "acme-dental", Zone: "Europe/Paris", Created: at(3, 9, 0), Used: credits(4_310),
		Balance: views.Balance{State: views.StateHealthy, Left: credits(300), Purchased: credits(300), Forecast: views.Forecast{Kind: views.ForecastNoData}},
		Usage:   usage(), Activity: activity(), Edit: "/sub-accounts/1/edit", Archive: "/sub-accounts/1/archive",
		Access: views.Access{Href: "/sub-accounts/1/people", Invited: 1, Rows: []views.PersonRow{{Name: "Ada Dental", Email: "ada@acme.example", Seen: "3 days ago"}}},
	}
	gone, none := people, people
	gone.Edit, gone.Archive, gone.ArchivedAt, gone.Restore = "", "", at(20, 9, 0), "/sub-accounts/1/restore"
	none.Access.Rows, none.Access.Invited = nil, 0
	return []Page{
		{"archive", views.ArchivePage(ask)},
		{"archive-bare", views.ArchivePage(bare)},
		{"archive-one", views.ArchivePage(one)},
		{"sub-account-archived", views.SubAccountPage(gone)},
		{"sub-account-people", views.SubAccountPage(people)},
		{"sub-account-people-none", views.SubAccountPage(none)},
		{"archived-list", views.ArchivedPage(away)},
		{"archived-list-member", views.ArchivedPage(look)},
		{"archived-list-empty", views.ArchivedPage(views.Archived{Frame: away.Frame})},
	}
}

func invitations() []Page {
	fresh := views.Invitation{
		Frame: invitedFrame("Join Acme Dental"), Place: "Acme Dental", Brand: "Northwind Agency", Inviter: "olive@northwind.example", Email: "ada@acme.example",
		Action: "/invitations/t0k3n",
	}
	wrong, known, link, here, other := fresh, fresh, fresh, fresh, fresh
	wrong.Frame, wrong.Name = failed(fresh.Frame), "Ada"
	wrong.Errors = views.FieldErrors{{Field: "name", Text: "A name has 1 to 120 characters."}, {Field: "password", Text: "A password has 8 to 128 characters."}}
	known.Known, known.Password, known.LinkTo = true, true, "/invitations/t0k3n/link"
	link.Known, link.LinkTo = true, "/invitations/t0k3n/link"
	here.Known, here.SignedIn, here.Password, here.LinkTo = true, true, true, "/invitations/t0k3n/link"
	other.Other = "somebody@acme.example"
	team := fresh
	team.Frame, team.Place, team.Does = signedOut("Join Northwind Agency", "Refill"), "Northwind Agency", "Member: Sees everything, changes nothing."
	return []Page{
		{"client-invitation", views.InvitationPage(fresh)},
		{"client-invitation-wrong", views.InvitationPage(wrong)},
		{"client-invitation-known", views.InvitationPage(known)},
		{"client-invitation-by-link", views.InvitationPage(link)},
		{"client-invitation-signed-in", views.InvitationPage(here)},
		{"client-invitation-other", views.InvitationPage(other)},
		{"client-invitation-expired", views.InvitationPage(views.Invitation{Frame: invitedFrame("Invitation"), Expired: true})},
		{"invitation-team", views.InvitationPage(team)},
		{"client-sign-in", views.SignInPage(views.SignIn{Frame: invitedFrame("Sign in"), Mail: true})},
		{"client-sign-in-sent", views.SignInSentPage(views.SignInSent{Frame: invitedFrame("Check your e-mail"), Minutes: 10})},
		{"client-sign-in-joins", views.SignInLinkPage(views.SignInLink{
			Frame: invitedFrame("Sign in"), Action: "/sign-in/t0k3n", Token: "t0k3n", Email: "ada@acme.example", Joins: "Acme Dental",
		})},
		{"sign-in-sent-demo", views.SignInSentPage(views.SignInSent{Frame: signedOut("Check your e-mail", "Refill"), Minutes: 10, Outbox: "/demo/mail", Link: true})},
		{"sign-in-sent-demo-portal", views.SignInSentPage(views.SignInSent{Frame: invitedFrame("Check your e-mail"), Minutes: 10, Outbox: "http://localhost:8080/demo/mail"})},
	}
}

func outbox() []Page {
	f := signedOut("Outbox", "Refill")
	rows := []views.MailRow{
		{Href: "/demo/mail/3", To: "ada@acme.example", At: at(24, 14, 2), State: "Waiting", Tone: views.ToneWarn},
		{Href: "/demo/mail/2", To: "ada@acme.example", From: "Northwind Agency", Subject: "You are invited to Acme Dental at Northwind Agency", At: at(24, 14, 0), State: "Sent", Tone: views.ToneOK},
		{Href: "/demo/mail/1", To: "nobody@acme.example", At: at(23, 9, 0), State: "Not needed", Tone: views.ToneInfo},
	}
	mail := views.Mail{Frame: signedOut("You are invited to Acme Dental at Northwind Agency", "Refill"), Row: rows[1], ReplyTo: "olive@northwind.example", Parts: []views.MailPart{
		{Text: "Hello,\n\n"}, {Text: "See the invitation:\n"}, {Text: "http://northwind.localhost:8080/invitations/t0k3n", Href: "http://northwind.localhost:8080/invitations/t0k3n"}, {Text: "\n"},
	}}
	return []Page{
		{"outbox", views.MailsPage(views.Mails{Frame: f, Rows: rows, Older: "/demo/mail?before=1"})},
		{"outbox-empty", views.MailsPage(views.Mails{Frame: f})},
		{"mail", views.MailPage(mail)},
		{"mail-dropped", views.MailPage(views.Mail{Frame: signedOut("Mail", "Refill"), Row: rows[2], Note: "Nobody with this address has access there."})},
	}
}
