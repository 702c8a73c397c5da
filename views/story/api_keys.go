package story

import (
	"refill/views"
)

func apiKeyPages() []Page {
	list := views.APIKeys{
		Frame: agencyFrame("API keys", ""), Base: "/settings/api-keys", Scope: "They open your wallet and your clients', and nobody else's.",
		Tabs: []views.Tab{{Label: "API keys", Href: "/settings/api-keys", Current: true}, {Label: "Security", Href: "/settings/security"}},
		Form: views.APIKeyForm{Chosen: []string{"charge", "read", "manage"}, Life: "0"},
		Rows: []views.APIKeyRow{
			{Name: "AI platform", Hint: "4f2a", Href: "/settings/api-keys/1", Tone: views.ToneOK, State: "Works", May: "charge, read", Used: "3 minutes ago"},
			{Name: "AI platform", Hint: "9c1d", Href: "/settings/api-keys/2", Tone: views.ToneWarn, State: "Being replaced", May: "everything", Used: "2 days ago"},
			{Name: "Reports", Hint: "77e0", Href: "/settings/api-keys/3", Tone: views.ToneNone, State: "Revoked", May: "read"},
		},
	}
	none, wrong := list, list
	none.Rows = nil
	wrong.Frame, wrong.Form = failed(list.Frame), views.APIKeyForm{Name: " ", Networks: "somewhere", Life: "90", Errors: views.FieldErrors{
		{Field: "name", Text: "A name has 1 to 120 characters."},
		{Field: "scopes", Text: "Choose at least one thing that it may do."},
		{Field: "networks", Text: "\"somewhere\" is no address: write 203.0.113.7, or 203.0.113.0/24 for a network."},
	}}
	one := views.APIKey{
		Frame: agencyFrame("AI platform", ""), Back: views.Link{Label: "API keys", Href: "/settings/api-keys"}, Path: "/settings/api-keys/1",
		Name: "AI platform", Hint: "4f2a", Tone: views.ToneOK, State: "Works", May: "charge, read", Since: at(3, 9, 0), By: "olive@northwind.example",
		Used: "3 minutes ago", Live: true,
	}
	fresh, old, over := one, one, one
	fresh.Secret, fresh.Used = "rf_test_0000000000000000000000_0000000000000000000000000000000000000000000000000", ""
	old.Tone, old.State, old.Replaced, old.Until = views.ToneWarn, "Being replaced", true, at(25, 9, 0)
	old.Networks, old.Next = []string{"203.0.113.0/24", "2001:db8::/32"}, &views.Link{Label: "AI platform …4f2a", Href: "/settings/api-keys/1"}
	over.Tone, over.State, over.Live = views.ToneNone, "Revoked", false
	return []Page{
		{"api-keys", views.APIKeysPage(list)},
		{"api-keys-none", views.APIKeysPage(none)},
		{"api-keys-wrong", views.APIKeysPage(wrong)},
		{"api-key", views.APIKeyPage(one)},
		{"api-key-new", views.APIKeyPage(fresh)},
		{"api-key-replaced", views.APIKeyPage(old)},
		{"api-key-revoked", views.APIKeyPage(over)},
	}
}
