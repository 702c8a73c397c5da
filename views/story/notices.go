package story

import (
	"refill/models"
	"refill/views"
)

func noticePages() []Page {
	rows := []views.NoticeRow{
		{
			ID: "ntc_3", Title: "AI replies are paused", Lines: []string{
				"AI replies are paused because you have no credits left. Everything else keeps working.",
				"They start again at once when you buy credits, or with your plan credits in 7 days (Mon, Dec 1).",
			}, Link: views.Link{Label: "Buy credits", Href: "/buy"}, At: at(24, 9, 0), Unread: true,
		},
		{
			ID: "ntc_2", Title: "Acme Dental bought 10,000 credits", Lines: []string{"Acme Dental bought 10,000 credits for $60.00. The money is in your Stripe account."},
			Link: views.Link{Label: "See your sales", Href: "/sales"}, At: at(23, 14, 2),
		},
	}
	list := views.Notices{Frame: agencyFrame("Notices", ""), Rows: rows, Unread: 1, UpTo: "ntc_3", Older: "/notices?before=ntc_2"}
	for i := range list.Frame.Nav {
		if list.Frame.Nav[i].Label == "History" {
			list.Frame.Nav[i].Count = 120
		}
	}
	tabs := []views.Tab{
		{Label: "Team", Href: "/settings/team"}, {Label: "Notifications", Href: "/settings/notifications", Current: true}, {Label: "Security", Href: "/settings/security"},
	}
	sent := []views.SentRow{
		{At: at(24, 9, 0), Title: "AI replies are paused", Name: "Olive Owner", How: "Mail to olive@northwind.example", State: "Sent", Tone: views.ToneOK},
		{At: at(24, 9, 0), Title: "AI replies are paused", Name: "Olive Owner", How: "In the portal", State: "Unread", Tone: views.ToneInfo},
		{At: at(23, 9, 0), Title: "Acme Dental is paused", Name: "Bea Billing", How: "Mail to bea@northwind.example", State: "Given up", Tone: views.ToneBad, Note: "550 nobody here"},
	}
	settings := views.Notifications{
		Frame: agencyFrame("Notifications", ""), Tabs: tabs, Person: "Olive Owner", User: "usr_1", You: true, Email: "olive@northwind.example",
		People: []views.PersonLink{{Name: "Olive Owner", Href: "/settings/notifications?user=usr_1", Current: true}, {Name: "Bea Billing", Href: "/settings/notifications?user=usr_2"}},
		Rows: []views.WishRow{
			{Event: models.NoticeLow, Mail: true, InApp: true, Hook: true, Who: "Olive Owner, Bea Billing"},
			{Event: models.NoticePlanPastDue, Mail: true, Must: true, InApp: true, Who: "Olive Owner, Bea Billing"},
			{Event: models.NoticePlanReset, InApp: true},
		},
		Hooks: true, MayLines: true, Shares: true,
		Lines: []views.LineRow{{Kind: "percent", Value: "75"}, {Kind: "credits", Value: "10,000"}, {Kind: "days", Value: "3"}, {Kind: "credits"}},
		Sent:  sent,
	}
	wrong := settings
	wrong.Frame, wrong.Waits = failed(settings.Frame), true
	wrong.Lines = []views.LineRow{{Kind: "percent", Value: "175"}, {Kind: "credits"}}
	wrong.Errors = views.FieldErrors{{Field: "line-0", Text: "Give a percentage from 1 to 100."}}
	member := settings
	member.MayLines, member.People, member.You, member.Usual, member.Sent = false, nil, false, true, nil
	client := settings
	client.Frame, client.Tabs, client.People, client.Shares, client.Usual, client.Hooks = clientFrame("Notifications", ""), nil, nil, false, true, false
	client.Person, client.Email, client.Sent = "Ada Dental", "ada@acme.example", nil
	client.Lines = []views.LineRow{{Kind: "days", Value: "3"}, {Kind: "credits"}}
	client.Rows = []views.WishRow{{Event: models.NoticePaused, Mail: true, InApp: true, Who: "Ada Dental"}, {Event: models.NoticeUpstreamPaused, InApp: true}}
	off := views.MailsOff{
		Frame: invitedFrame("Turn mails off"), Email: "ada@acme.example", Events: []models.NoticeEvent{models.NoticeSubAccountLow, models.NoticeSubAccountPaused},
		Action: "/notices/off/t0k3n", Sign: "/settings/notifications",
	}
	done := off
	done.Frame, done.Done = invitedFrame("Mails turned off"), true
	gone := views.MailsOff{Frame: invitedFrame("Turn mails off"), Gone: true, Sign: "/settings/notifications"}
	return []Page{
		{"notices", views.NoticesPage(list)},
		{"notices-empty", views.NoticesPage(views.Notices{Frame: clientFrame("Notices", "")})},
		{"notifications", views.NotificationsPage(settings)},
		{"notifications-wrong", views.NotificationsPage(wrong)},
		{"notifications-member", views.NotificationsPage(member)},
		{"notifications-client", views.NotificationsPage(client)},
		{"notifications-sent", views.SentNoticesPage(views.SentNotices{Frame: agencyFrame("What was sent", ""), Tabs: tabs, Rows: sent, Older: "/settings/notifications/sent?before=ntc_1"})},
		{"mails-off", views.MailsOffPage(off)},
		{"mails-off-done", views.MailsOffPage(done)},
		{"mails-off-gone", views.MailsOffPage(gone)},
	}
}
