package story

import (
	"refill/models"
	"refill/views"
)

func webhooks() []Page {
	events := []views.WebhookEvent{
		{Name: "wallet.paused", About: "A wallet is empty: its AI stops."},
		{Name: "wallet.resumed", About: "A paused wallet has credits again."},
		{Name: "purchase.credited", About: "A purchase was paid and its credits are there."},
	}
	tabs := []views.Tab{
		{Label: "Team", Href: "/settings/team"},
		{Label: "Messages", Href: "/settings/messages"},
		{Label: "Webhooks", Href: "/settings/webhooks", Current: true},
		{Label: "Security", Href: "/settings/security"},
	}
	list := views.Webhooks{
		Frame: agencyFrame("Webhooks", "settings"), Tabs: tabs, Base: "/settings/webhooks", Scope: "They hear of your wallet and of your clients' wallets.",
		Form: views.WebhookForm{Events: events},
		Rows: []views.WebhookRow{
			{URL: "https://ai.northwind.example/webhooks", Note: "Production", Href: "/settings/webhooks/1", Hears: "Everything", Tone: views.ToneOK, State: "On"},
			{URL: "https://staging.northwind.example/a/very/long/address/that/has/to/break/somewhere", Href: "/settings/webhooks/2", Hears: "2 events", Tone: views.ToneWarn, State: "Failing"},
			{URL: "https://old.northwind.example", Href: "/settings/webhooks/3", Hears: "1 event", Tone: views.ToneBad, State: "Off"},
		},
	}
	empty, wrong, full := list, list, list
	empty.Rows, full.Full = nil, "There are as many endpoints as there can be. Remove one first."
	wrong.Frame = failed(list.Frame)
	wrong.Form = views.WebhookForm{
		Events: events, URL: "http://10.0.0.1", Some: true,
		Errors: views.FieldErrors{{Field: "url", Text: "The address must begin with https://, or anybody on the way could read along."}, {Field: "events", Text: "Choose at least one event, or everything."}},
	}
	one := views.Webhook{
		Frame: agencyFrame("Webhook endpoint", "settings"), Back: views.Link{Label: "Webhooks", Href: "/settings/webhooks"}, Path: "/settings/webhooks/1",
		URL: "https://ai.northwind.example/webhooks", Note: "Production", Tone: views.ToneOK, State: "On", Since: at(20, 9, 0),
		Form: views.WebhookForm{URL: "https://ai.northwind.example/webhooks", Events: events},
		Deliveries: []views.WebhookDelivery{
			{Type: "wallet.paused", ID: "evt_3", At: at(24, 9, 12), Tone: views.ToneOK, Word: "Delivered", Status: 204, Took: 43, Tries: 1, Resend: "/settings/webhooks/1/deliveries/evt_3"},
			{
				Type: "purchase.credited", ID: "evt_2", At: at(23, 9, 12), Tone: views.ToneWarn, Word: "Waiting", Status: 503, Note: "upstream connect error", Took: 1_204, Tries: 4,
				Next: at(24, 11, 0), Resend: "/settings/webhooks/1/deliveries/evt_2",
			},
			{Type: "wallet.low", ID: "evt_1", At: at(20, 9, 12), Tone: views.ToneBad, Word: "Given up", Note: "no answer in time", Took: 10_000, Tries: 17, Resend: "/settings/webhooks/1/deliveries/evt_1"},
		},
		Older: "/settings/webhooks/1?before=evt_1",
	}
	made, off := one, one
	made.Secret, made.Deliveries, made.Older = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=", nil, ""
	made.BothUntil = at(25, 9, 0)
	off.Off, off.Tone, off.State = true, views.ToneBad, "Off"
	off.Hears, off.Why = []string{"wallet.paused", "wallet.resumed"}, "It is off. It took nothing for three days. Turn it on once the program answers again."
	messages := views.Messages{
		Frame: agencyFrame("Messages", "settings"), Tabs: tabs, Text: "We are back soon. Write to us meanwhile.", Usual: "Our assistant is taking a short break. Please try again later.",
		Max: 300, May: true, Own: []views.MessageRow{{Name: "Acme Dental", Text: "The practice answers by phone.", Href: "/sub-accounts/1/edit"}},
	}
	seen, long := messages, messages
	seen.May, seen.Text, seen.Own = false, "", nil
	long.Frame, long.Errors = failed(messages.Frame), views.FieldErrors{{Field: "try_later", Text: "Write one or two plain sentences of at most 300 characters."}}
	party := models.Party{Name: "Northwind GmbH", Line1: "1 Long Street", PostalCode: "12345", City: "Łódź", Country: "DE", TaxID: "DE123456789"}
	details := views.BillingDetails{
		Frame: agencyFrame("Billing details", "settings"), Tabs: tabs, Lede: "They stand on the receipts of what you buy, and as the seller on those of your clients.",
		Action: "/settings/billing", May: true, Party: party,
	}
	told, nobody, bad := details, details, details
	told.May, nobody.May, nobody.Party = false, false, models.Party{}
	bad.Frame, bad.Party.TaxID = failed(details.Frame), "DE12"
	bad.Errors = views.FieldErrors{{Field: "tax_id", Text: "“DE12” is not a VAT number such as DE123456789, or the tax number of another country."}}
	return []Page{
		{"billing-details", views.BillingDetailsPage(details)},
		{"billing-details-member", views.BillingDetailsPage(told)},
		{"billing-details-none", views.BillingDetailsPage(nobody)},
		{"billing-details-wrong", views.BillingDetailsPage(bad)},
		{"webhooks", views.WebhooksPage(list)},
		{"webhooks-empty", views.WebhooksPage(empty)},
		{"webhooks-wrong", views.WebhooksPage(wrong)},
		{"webhooks-full", views.WebhooksPage(full)},
		{"webhook", views.WebhookPage(one)},
		{"webhook-made", views.WebhookPage(made)},
		{"webhook-off", views.WebhookPage(off)},
		{"messages", views.MessagesPage(messages)},
		{"messages-member", views.MessagesPage(seen)},
		{"messages-wrong", views.MessagesPage(long)},
	}
}
