package story

import "refill/views"

func securityPages() []Page {
	tabs := []views.Tab{{Label: "Team", Href: "/settings/team"}, {Label: "Security", Href: "/settings/security", Current: true}}
	plain := views.Security{
		Frame: agencyFrame("Security", ""), Tabs: tabs, Email: "olive@northwind.example", Mail: true, Team: "Northwind Agency",
		Browsers: []views.Browser{
			{Name: "Firefox on Linux", Address: "203.0.113.7", Since: at(24, 9, 0), Seen: "just now", Here: true, Ref: "a1"},
			{Name: "Chrome on Android", Address: "2001:db8:1::/64", Since: at(20, 18, 30), Seen: "2 days ago", Ref: "b2"},
		},
	}
	on, wrong, easy, looking, codes := plain, plain, plain, plain, plain
	on.TwoStep, on.CodesLeft, on.TeamTwoStep, on.Ask = at(1, 9, 0), 9, true, true
	on.Required = "Everybody in the team of Northwind Agency signs in in two steps."
	on.Browsers = plain.Browsers[:1]
	codes.TwoStep, codes.CodesLeft = at(24, 9, 0), 10
	codes.Codes = []string{"7K4M-Q2XR-9DTP-0WHC", "1B5N-R3YS-AEVQ-1XJD"}
	wrong.Frame, wrong.Ask, wrong.Mail, wrong.NewEmail = failed(plain.Frame), true, false, "olive at northwind"
	wrong.Errors = views.FieldErrors{
		{Field: "current", Text: "That is not your current password. Try again."},
		{Field: "password", Text: "A password has 8 to 128 characters."},
		{Field: "email", Text: "Enter an e-mail address such as ana@example.com."},
	}
	easy.Frame, easy.Tabs, easy.Team = adminFrame("Security"), tabs[1:], ""
	easy.Easy = "In this demo admins may do without. Everywhere else they are asked to set it up when they first sign in."
	looking.Looking, looking.Browsers, looking.Team = true, nil, ""
	form := views.TwoStepForm{ //nolint:gosec // an example that opens nothing
		Frame: agencyFrame("Two-step sign-in", ""), Secret: "JBSW Y3DP EHPK 3PXP", Offer: "sealed",
		QR: views.QR{Size: 5, Black: func(x, y int) bool { return (x+y)%2 == 0 }},
	}
	must := form
	must.Frame, must.Why, must.Again = failed(form.Frame), "Everybody who administers the platform signs in in two steps.", true
	must.Errors = views.FieldErrors{{Field: "code", Text: "That code does not fit, or it was used already. Enter the one that your app shows now."}}
	code := views.SecondStep{Frame: invitedFrame("Enter your code")}
	late := code
	late.Frame, late.Next = failed(code.Frame), "/buy"
	late.Errors = views.FieldErrors{{Field: "code", Text: "Too many wrong codes. Wait 15 minutes, then try again."}}
	proof := views.Proof{
		Frame: invitedFrame("Confirm it is you"), Action: "/sales/1/refund", Email: "olive@northwind.example", Mail: true,
		Fields: []views.ProofField{{Name: "amount", Value: "12.00"}},
	}
	both := proof
	both.Frame, both.TwoStep, both.Mail, both.Hint = failed(proof.Frame), true, false, "In this demo everybody's password is demo."
	both.Errors = views.FieldErrors{{Field: "proof_password", Text: "That is not your password. Try again."}}
	ask := views.Forgotten{Frame: invitedFrame("Forgotten password"), Mail: true}
	none := ask
	none.Frame, none.Mail, none.Email = failed(ask.Frame), false, "ada"
	none.Errors = views.FieldErrors{{Field: "email", Text: "Enter an e-mail address such as ana@example.com."}}
	fresh := views.NewPassword{Frame: invitedFrame("Set a new password"), Action: "/forgotten/t0k3n", Email: "ada@acme.example", Minutes: 10}
	short, gone := fresh, fresh
	short.Frame, short.Errors = failed(fresh.Frame), views.FieldErrors{{Field: "password", Text: "A password has 8 to 128 characters."}}
	gone.Expired = true
	mail := views.EmailLink{Frame: invitedFrame("Confirm your address"), Action: "/confirm-email/t0k3n", Email: "ada@new.example"}
	used := mail
	used.Expired = true
	row := views.SomebodyRow{Name: "Olive Owner", Email: "olive@northwind.example", Href: "/admin/people/1", TwoStep: true, Agencies: 2, Browsers: 2, Seen: "just now"}
	all := views.Everybody{Frame: adminFrame("People"), Match: "ol", Rows: []views.SomebodyRow{
		row, {Name: "Polly Gone", Email: "polly@refill.example", Href: "/admin/people/2", Admin: true, Disabled: true},
	}}
	somebody := views.Somebody{Frame: adminFrame("Olive Owner"), Row: row, Browsers: plain.Browsers}
	nowhere := somebody
	nowhere.Row, nowhere.Browsers = all.Rows[1], nil
	return []Page{
		{"everybody", views.EverybodyPage(all)},
		{"everybody-none", views.EverybodyPage(views.Everybody{Frame: all.Frame, Match: "zzz"})},
		{"somebody", views.SomebodyPage(somebody)},
		{"somebody-nowhere", views.SomebodyPage(nowhere)},
		{"security", views.SecurityPage(plain)},
		{"security-on", views.SecurityPage(on)},
		{"security-codes", views.SecurityPage(codes)},
		{"security-wrong", views.SecurityPage(wrong)},
		{"security-easy", views.SecurityPage(easy)},
		{"security-looking", views.SecurityPage(looking)},
		{"two-step", views.TwoStepPage(form)},
		{"two-step-must", views.TwoStepPage(must)},
		{"sign-in-code", views.SecondStepPage(code)},
		{"sign-in-code-late", views.SecondStepPage(late)},
		{"proof", views.ProofPage(proof)},
		{"proof-wrong", views.ProofPage(both)},
		{"forgotten", views.ForgottenPage(ask)},
		{"forgotten-wrong", views.ForgottenPage(none)},
		{"new-password", views.NewPasswordPage(fresh)},
		{"new-password-wrong", views.NewPasswordPage(short)},
		{"new-password-gone", views.NewPasswordPage(gone)},
		{"confirm-email", views.EmailLinkPage(mail)},
		{"confirm-email-gone", views.EmailLinkPage(used)},
	}
}
