package story

import (
	"refill/models"
	"refill/views"
)

func brand() []Page {
	tabs := []views.Tab{{Label: "Team", Href: "/settings/team"}, {Label: "Brand", Href: "/settings/brand", Current: true}}
	drafted := views.BrandVersion{At: at(24, 9, 0), By: "olive@northwind.example"}
	yellow := views.Brand{
		Frame: agencyFrame("Brand", "settings"), Tabs: tabs, Name: "Orbit Credits", Usual: "Northwind Agency", Colour: "#ffd400", Support: "help@orbit.example",
		Senders: []string{"orbit.example"}, SenderAddress: "hello@orbit.example", Logo: &views.Picture{Src: "/brand/logo/a.png", Width: 200, Height: 50}, Pale: []string{"The logo is hard to see on white. One with a background of its own, or in a darker tone, is seen."},
		LogoDark: &views.Picture{Src: "/brand/logo/b.png", Width: 200, Height: 50}, PaleDark: true, Icon: &views.Picture{Src: "/brand/logo/c.png", Width: 180, Height: 180},
		Corners: models.CornersRound, Links: []views.Link{{Label: "Imprint", Href: "https://orbit.example/imprint"}, {Label: "Terms", Href: "https://orbit.example/terms"}, {}, {}},
		Drafted: &drafted, Published: 2, Preview: views.Preview{Page: views.PreviewLow, Theme: "dark", Screen: "phone"},
		Versions: []views.BrandVersion{
			{Version: 2, At: at(20, 9, 0), By: "olive@northwind.example", Words: "Name: Orbit · colour: #2448c8"},
			{Version: 1, At: at(19, 9, 0), By: "olive@northwind.example", Words: "Name: as the agency · colour: the usual"},
		},
	}
	plain := views.Brand{Frame: agencyFrame("Brand", "settings"), Tabs: tabs, Links: make([]views.Link, 4), Usual: "Northwind Agency", Preview: views.ParsePreview(nil), Empty: "There is no client whose page could be shown."}
	wrong := plain
	wrong.Frame = failed(plain.Frame)
	wrong.Colour, wrong.Errors = "red", views.FieldErrors{{Field: "colour", Text: "Write the colour as # and six digits, such as #2448c8."}, {Field: "logo", Text: "This is no PNG, JPEG or WebP picture. Save it as one of these, then try again."}, {Field: "links", Text: "Link 1 needs a name, and an address that begins with https://."}}
	wrong.Links = []views.Link{{Label: "Imprint", Href: "http://orbit.example"}, {}, {}, {}}
	worn := signedOut("A mail to your clients", "Orbit Credits")
	worn.Sheet, worn.Logo, worn.LogoDark, worn.Icon, worn.Still = views.BrandSheet("#ffd400", models.CornersRound), yellow.Logo, yellow.LogoDark, yellow.Icon.Src, true
	worn.Links = yellow.Links[:2]
	domains := views.Domains{
		Frame: agencyFrame("Domain", "settings"), Tabs: []views.Tab{{Label: "Brand", Href: "/settings/brand"}, {Label: "Domain", Href: "/settings/domain", Current: true}},
		Usual: "https://northwind.credits.example", Now: "https://credits.orbit.example", Server: "northwind.credits.example",
		Rows: []views.DomainRow{
			{
				Name: "credits.orbit.example", Path: "/settings/domain/credits.orbit.example", Record: "_portal.credits.orbit.example", Value: "portal-verify=abcdefghijklmnopqrstuvwxyz",
				Tone: views.ToneOK, State: "Proved", Checked: at(24, 9, 0), Proved: true, Used: true, Certificate: at(23, 14, 5),
			},
			{
				Name: "orbit.example", Path: "/settings/domain/orbit.example", Record: "_portal.orbit.example", Value: "portal-verify=zyxwvutsrqponmlkjihgfedcba",
				Tone: views.ToneWarn, State: "Record missing", Note: "There is no TXT record _portal.orbit.example yet.", Checked: at(24, 9, 0), Ends: at(26, 9, 0), Proved: true,
			},
		},
	}
	none := domains
	none.Frame, none.Rows, none.Name, none.Now = failed(domains.Frame), nil, "https://x", domains.Usual
	none.Errors = views.FieldErrors{{Field: "domain", Text: "Write a name such as credits.example.com."}}
	embedTabs := []views.Tab{{Label: "Brand", Href: "/settings/brand"}, {Label: "Embed", Href: "/settings/embed", Current: true}}
	embed := views.EmbedForm{Frame: agencyFrame("Embed", "settings"), Tabs: embedTabs, Origins: "https://app.example.com", Ready: true, Portal: "https://credits.orbit.example", Secret: "0123456789abcdef0123456789abcdef"}
	frame := signedOut("Balance", "Orbit Credits")
	frame.Still, frame.Sheet, frame.Demo = true, worn.Sheet, ""
	return []Page{
		{"embed-settings", views.EmbedFormPage(embed)},
		{"client-embed", views.EmbedPage(views.Embed{Frame: frame, Around: []string{"https://app.example.com", "https://crm.example:8443"}, Agency: "Northwind Agency", Open: "https://credits.orbit.example/", Balance: views.Balance{State: views.StateHealthy, Left: 1_234 * models.Credit, BuyHref: "/buy"}})},
		{"client-embed-chip", views.EmbedPage(views.Embed{Frame: frame, View: "chip", Open: "https://credits.orbit.example/", Balance: views.Balance{State: views.StateLow, Left: 1_234 * models.Credit}})},
		{"client-embed-usage", views.EmbedPage(views.Embed{Frame: frame, View: "usage", Open: "https://credits.orbit.example/", Usage: usage()})},
		{"client-embed-ended", views.EmbedPage(views.Embed{Frame: frame, Ended: true, Open: "https://credits.orbit.example/"})},
		{"domains", views.DomainsPage(domains)},
		{"domains-wrong", views.DomainsPage(none)},
		{"domain-remove", views.DomainRemovalPage(views.DomainRemoval{Frame: agencyFrame("Remove credits.orbit.example", "settings"), Row: domains.Rows[0], Usual: domains.Usual})},
		{"brand-draft", views.BrandPage(yellow)},
		{"brand-none", views.BrandPage(plain)},
		{"brand-wrong", views.BrandPage(wrong)},
		{"brand-mail", views.BrandMailPage(views.BrandMail{
			Frame: worn, From: "Orbit Credits <hello@orbit.example>", Answers: "help@orbit.example", Subject: "Sign in to Orbit Credits",
			Lines: []string{"Hello,", "Here is the link you asked for."}, Button: "Sign in", Href: "https://credits.orbit.example/sign-in", After: []string{"The link works once."},
		})},
	}
}
