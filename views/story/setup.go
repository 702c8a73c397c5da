package story

import (
	"refill/views"
)

// setupFrame is the frame of a step, as a signed-in admin sees it.
func setupFrame(step int, title string) views.Setup {
	f := agencyFrame(title, "")
	f.Account, f.User, f.Role, f.Nav, f.Chip, f.Demo = "", "ana@harbour.example", "", nil, nil, ""
	out := views.Setup{Frame: f, Step: step, Of: 6}
	for i, label := range []string{"Admin", "Address and time zone", "Database", "Stripe", "Plans, packs and rates", "Done"} {
		link := views.SetupLink{Label: label, Href: "/setup/" + string(rune('a'+i)), Done: i+1 < step, Current: i+1 == step}
		if i == 0 {
			link.Href, link.Done = "", true
		}
		out.Steps = append(out.Steps, link)
	}
	return out
}

func setups() []Page {
	door := setupFrame(1, "Make the first admin")
	door.Steps, door.Frame.User = nil, ""
	wrong := door
	wrong.Frame.Failed = true
	wrong.Errors = views.FieldErrors{
		{Field: "code", Text: "This is not the code."},
		{Field: "email", Text: "Enter an e-mail address such as ana@example.com."},
		{Field: "password", Text: "A password has 8 to 128 characters."},
	}
	good := views.SetupCheck{Name: "Address", Tone: views.ToneOK, Word: "Good", Tried: "Compared the two.", Found: "Both are https://credits.example."}
	warn := views.SetupCheck{Name: "Proxy", Tone: views.ToneWarn, Word: "Look at this", Tried: "Looked for its headers.", Found: "It is not trusted.", Next: "Set REFILL_TRUSTED_PROXIES."}
	bad := views.SetupCheck{Name: "Account", Tone: views.ToneBad, Word: "Not working", Tried: "Asked Stripe whose key it is.", Found: "Stripe does not accept the key: Invalid API Key provided.", Next: "Copy the secret key once more."}
	skipped := views.SetupCheck{Name: "Webhook endpoint", Tone: views.ToneNone, Word: "Not checked", Tried: "Nothing.", Found: "The account could not be read."}

	address := views.SetupAddress{Setup: setupFrame(2, "Address and time zone"), Checks: []views.SetupCheck{good, warn}, Zone: "Europe/Paris", Zones: []string{"UTC", "Europe/Paris"}}
	nowhere := address
	nowhere.Zone, nowhere.Frame.Failed = "Moon/Base", true
	nowhere.Errors = views.FieldErrors{{Field: "time_zone", Text: "\"Moon/Base\" is not a time zone such as Europe/Paris or UTC."}}

	database := views.SetupDatabase{
		Setup: setupFrame(3, "Database"), Backup: "Copy the file with .backup.", Warning: "The role postgres may do anything.",
		Facts:   []views.SetupFact{{Name: "Kind", Value: "PostgreSQL"}, {Name: "Version", Value: "15.14"}, {Name: "Size", Value: "8.1 MB"}, {Name: "Migrations", Value: "9 of 9 done", Tag: "Up to date", Tone: views.ToneOK}},
		Durable: []views.SetupFact{{Name: "fsync", Value: "on", Tag: "Safe", Tone: views.ToneOK}, {Name: "full_page_writes", Value: "off", Tag: "Not safe", Tone: views.ToneBad}},
	}
	database.Frame.Flash = &views.Flash{Tone: views.ToneOK, Text: "Time zone saved: Europe/Paris."}
	silent := views.SetupDatabase{Setup: setupFrame(3, "Database"), Failure: failure("The database's facts")}

	stripe := func(change func(*views.SetupStripe)) views.SetupStripe {
		s := views.SetupStripe{Setup: setupFrame(4, "Stripe"), HasKey: true, Mode: "test", Ready: true, Tool: "refill stripe setup --url https://credits.example"}
		change(&s)
		return s
	}
	preset := views.SetupPreset{
		Name: "stammer", Title: "Stammer", Plans: []string{"Starter ($97 a month, 5,000 credits)"}, Packs: []string{"2,000 credits for $10"},
		Rates: []string{"Reply, GPT-4 25"}, Hidden: 2,
	}
	catalogue := views.SetupCatalogue{Setup: setupFrame(5, "Plans, packs and rates"), Choice: "stammer", Presets: []views.SetupPreset{preset}}
	nothing := catalogue
	nothing.Choice, nothing.Frame.Failed = "", true
	nothing.Errors = views.FieldErrors{{Field: "preset", Text: "Choose one of the catalogues, or the blank one."}}
	filled := views.SetupCatalogue{Setup: setupFrame(5, "Plans, packs and rates"), Has: "3 plans and 3 packs", Edit: []views.Link{{Label: "Plans", Href: "/admin/plans"}, {Label: "Packs", Href: "/admin/packs"}}}

	done := views.SetupDone{
		Setup: setupFrame(6, "Done"), KeyHint: "…9f3K", Missing: []views.Link{{Label: "Stripe", Href: "/setup/stripe"}},
		Next: []views.SetupNext{
			{Link: views.Link{Label: "Add your first agency", Href: "/admin/agencies/new"}, Why: "It gets a wallet."},
			{Link: views.Link{Label: "Invite its people"}, Why: "On the agency's page."},
		},
	}
	key := done
	key.Missing, key.Key = nil, "rf_live_0000000000000000000000000000000000000000000000000"
	key.Curl = "curl -s https://credits.example/v1/plans -H 'Authorization: Bearer " + key.Key + "'"

	return []Page{
		{"setup-admin", views.SetupAdminPage(views.SetupAdmin{Setup: door})},
		{"setup-admin-wrong", views.SetupAdminPage(views.SetupAdmin{Setup: wrong, Code: "AAAA", Name: "Ana", Email: "ana"})},
		{"setup-admin-expired", views.SetupAdminPage(views.SetupAdmin{Setup: door, Code: "7K4M", Name: "Ana", Email: "ana@harbour.example", Notice: "This form had expired, so nothing was saved."})},
		{"setup-address", views.SetupAddressPage(address)},
		{"setup-address-wrong", views.SetupAddressPage(nowhere)},
		{"setup-database", views.SetupDatabasePage(database)},
		{"setup-database-error", views.SetupDatabasePage(silent)},
		{"setup-stripe-no-key", views.SetupStripePage(stripe(func(s *views.SetupStripe) { s.HasKey, s.Ready, s.Mode = false, false, "" }))},
		{"setup-stripe", views.SetupStripePage(stripe(func(*views.SetupStripe) {}))},
		{"setup-stripe-good", views.SetupStripePage(stripe(func(s *views.SetupStripe) { s.Checks = []views.SetupCheck{good} }))},
		{"setup-stripe-bad", views.SetupStripePage(stripe(func(s *views.SetupStripe) { s.Ready, s.Checks = false, []views.SetupCheck{good, bad, skipped} }))},
		{"setup-catalogue", views.SetupCataloguePage(catalogue)},
		{"setup-catalogue-wrong", views.SetupCataloguePage(nothing)},
		{"setup-catalogue-filled", views.SetupCataloguePage(filled)},
		{"setup-done", views.SetupDonePage(done)},
		{"setup-done-key", views.SetupDonePage(key)},
	}
}
