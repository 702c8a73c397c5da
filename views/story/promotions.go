package story

import (
	"refill/models"
	"refill/views"
)

// promotions are the pages of referrals and of codes that give bonus credits.
func promotions() []Page {
	row := func(name string, state models.ReferralState, kept int64) views.ReferralRow {
		return views.ReferralRow{Name: name, State: state, JoinedAt: at(3, 9, 0), Promised: credits(2_000), Kept: credits(kept)}
	}
	held := row("Fjord Consulting", models.ReferralEarned, 0)
	held.Frozen = true
	rows := []views.ReferralRow{
		row("Lumen Partners", models.ReferralWaiting, 0), row("Bluebird Studio", models.ReferralEarned, 2_000), row("Atlas Digital", models.ReferralEarned, 1_500),
		row("Delta Reach", models.ReferralEarned, 0), held, row("Ember Social", models.ReferralCapped, 0), row("Northwind Two", models.ReferralRefused, 0),
	}
	referral := views.Referral{
		Frame: agencyFrame("Refer an agency", "buy"), Reward: credits(2_000), Code: "NORTHWIND7K3F", Link: "https://credits.example/r/NORTHWIND7K3F",
		Earned: credits(3_500), Waiting: 1, Month: 3, PerMonth: 10, InAll: 100, All: 3, Rows: rows,
	}
	empty := referral
	empty.Rows, empty.PerMonth, empty.InAll = nil, 0, 0
	off := views.Referral{Frame: referral.Frame, Off: true, Code: referral.Code}
	broken := views.Referral{Frame: referral.Frame, Failure: failure("Your referrals")}

	seen := make([]views.ReferralRow, len(rows))
	for i, r := range rows {
		r.Referrer, r.ReferrerHref, r.Href = "Northwind Agency", "/admin/agencies/agy_1", "/admin/agencies/agy_2"
		switch r.State {
		case models.ReferralRefused:
			r.Note = "An owner of one of the two agencies belongs to the other."
		case models.ReferralCapped:
			r.Note = "The limit of 10 rewards a month was reached."
		case models.ReferralEarned:
			r.Payment = "pur_068rq2v9mkq0t3n6d4o1a2b3c4"
		case models.ReferralWaiting:
		}
		seen[i] = r
	}
	rewards := views.Rewards{Frame: adminFrame("Referrals"), Credits: "2,000", PerMonth: "10", InAll: "100", Rows: seen}
	wrong := views.Rewards{Frame: adminFrame("Referrals"), Credits: "lots", PerMonth: "10", InAll: "100", Errors: views.FieldErrors{{Field: "credits", Text: "Enter a number of credits, such as 2,000."}}}

	shared := views.PromotionRow{
		Name: "Launch week", Href: "/admin/gifts/gft_1", Code: "LAUNCH2026", Codes: 1, Credits: credits(5_000), Days: 30, Redeemed: 7, Most: 10, Given: credits(35_000),
		MostAll: credits(50_000), Ends: at(30, 23, 0), State: "open",
	}
	single := views.PromotionRow{Name: "Conference", Href: "/admin/gifts/gft_2", Codes: 200, Credits: credits(1_000), Redeemed: 41, Given: credits(41_000), State: "stopped"}
	alone := views.PromotionRow{
		Name: "Thank you", Href: "/admin/gifts/gft_3", Code: "THANKYOU", Codes: 1, Credits: credits(500), For: "Northwind Agency", Redeemed: 1, Most: 1, Given: credits(500), State: "used_up",
	}
	over := views.PromotionRow{Name: "Spring", Href: "/admin/gifts/gft_4", Code: "SPRING", Codes: 1, Credits: credits(100), Ends: at(1, 0, 0), State: "expired"}
	one := views.Promotion{
		Frame: adminFrame("Launch week"), PromotionRow: shared, Reason: "Launch of the new portal", By: "robin@example.com", At: at(20, 9, 0), CSV: "/admin/gifts/gft_1/codes.csv",
		Stop: "/admin/gifts/gft_1/stop", Uses: []views.Redemption{{Agency: "Northwind Agency", Href: "/admin/agencies/agy_1", Code: "LAUNCH2026", By: "ada@example.com", At: at(21, 10, 0)}},
	}
	unused := views.Promotion{Frame: adminFrame("Conference"), PromotionRow: single, Reason: "Conference in Lisbon", By: "robin@example.com", At: at(20, 9, 0), CSV: "/admin/gifts/gft_2/codes.csv"}
	form := views.PromotionForm{Frame: adminFrame("Add promotion"), Attempt: "a", Kind: "shared"}
	bad := form
	bad.Name, bad.Credits, bad.Kind, bad.Codes, bad.Expires = "Conference", "1,000", "single", "9000", "tomorrow"
	bad.Errors = views.FieldErrors{{Field: "codes", Text: "Make 1 to 5000 codes."}, {Field: "expires", Text: "Enter a date, such as 2026-12-31."}, {Field: "reason", Text: "Say why in up to 500 bytes: the audit log keeps it."}}
	redeem := views.RedeemForm{Frame: agencyFrame("Redeem a code", "buy"), Attempt: "a"}
	late := redeem
	late.Code, late.Errors = "LAUNCH2026", views.FieldErrors{{Field: "code", Text: "This code is used up: others were first."}}
	invite := views.ReferralInvite{Frame: signedOut("Invitation", "Refill"), Agency: "Northwind Agency", Code: "NORTHWIND7K3F", Ask: "mailto:help@credits.example"}
	admin := invite
	admin.Add = "/admin/agencies/new?referral_code=NORTHWIND7K3F"
	return []Page{
		{"referral", views.ReferralPage(referral)},
		{"referral-empty", views.ReferralPage(empty)},
		{"referral-off", views.ReferralPage(off)},
		{"referral-broken", views.ReferralPage(broken)},
		{"referral-invite", views.ReferralInvitePage(invite)},
		{"referral-invite-admin", views.ReferralInvitePage(admin)},
		{"referral-invite-unknown", views.ReferralInvitePage(views.ReferralInvite{Frame: invite.Frame})},
		{"rewards", views.RewardsPage(rewards)},
		{"rewards-wrong", views.RewardsPage(wrong)},
		{"redeem", views.RedeemPage(redeem)},
		{"redeem-used-up", views.RedeemPage(late)},
		{"promotions", views.PromotionsPage(views.Promotions{Frame: adminFrame("Promotions"), Rows: []views.PromotionRow{shared, single, alone, over}})},
		{"promotions-empty", views.PromotionsPage(views.Promotions{Frame: adminFrame("Promotions")})},
		{"promotions-broken", views.PromotionsPage(views.Promotions{Frame: adminFrame("Promotions"), Failure: failure("The promotions")})},
		{"promotion", views.PromotionPage(one)},
		{"promotion-unused", views.PromotionPage(unused)},
		{"promotion-new", views.PromotionFormPage(form)},
		{"promotion-new-wrong", views.PromotionFormPage(bad)},
	}
}
