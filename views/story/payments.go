package story

import (
	"refill/models"
	"refill/views"
)

// payments are the pages of money that comes and goes back.
func payments() []Page {
	none := models.Money{Currency: "usd"}
	paid := func(day int, what string, n, cents int64) views.PaymentRow {
		return views.PaymentRow{
			Agency: "Northwind Agency", Href: "/admin/agencies/agy_1", What: what, Credits: credits(n), Amount: usd(cents), Status: views.PurchasePaid,
			Opened: at(day, 9, 10), PaidAt: at(day, 9, 12), BookedAt: at(day, 9, 12) + 2_000_000, Differs: none, Refund: "/admin/payments/agy_1/pur_1/refund",
		}
	}
	unbooked := paid(24, "35,000 credits", 35_000, 10_000)
	unbooked.BookedAt, unbooked.Status, unbooked.Note, unbooked.Differs = 0, views.PurchasePending, "Stripe was paid 100.00 USD, the purchase is 90.00 USD.", usd(10_000)
	unbooked.Retry = "/admin/payments/agy_1/pur_2/book"
	disputed := paid(20, "12,500 credits", 12_500, 5_000)
	disputed.Status, disputed.Refund = views.PurchaseDisputed, ""
	disputed.Back = &views.MoneyBack{
		Paid: usd(5_000), Refunded: none, Dispute: models.DisputeOpen, Held: usd(5_000), AnswerBy: at(27, 12, 0), Warned: true, Frozen: credits(9_000), AsSeller: true,
	}
	partly := paid(18, "12,500 credits", 12_500, 5_000)
	partly.Status = views.PurchasePartly
	partly.Back = &views.MoneyBack{Paid: usd(5_000), Refunded: usd(2_500), Pending: usd(500), At: at(19, 8, 0), Revoked: credits(6_250), Spent: credits(2_500), AsSeller: true}
	sale := paid(17, "Growth", 10_000, 6_000)
	sale.Client, sale.Refund = "Acme Dental", ""
	asked := views.RefundLine{At: at(24, 10, 0), Amount: usd(2_500), State: models.RefundAsked, By: "ada@example.com", Reason: "Bought twice"}
	sent, refused := asked, asked
	sent.State, sent.At = models.RefundSent, at(23, 10, 0)
	refused.State, refused.At, refused.Note = models.RefundRefused, at(22, 10, 0), "The account has not enough money for this refund. Nothing was sent."
	full := views.Payments{
		Frame: adminFrame("Payments"), CSV: "/admin/payments.csv", Unbooked: []views.PaymentRow{unbooked}, Trouble: []views.PaymentRow{disputed, partly},
		Strays: []views.StrayRow{{Payment: "pi_3OxY2", Account: "acct_1Nv0", Reference: "pur_068rq2v9mkq0t3n6d4o1a2b3c4", Amount: usd(5_000), Refunded: none, At: at(21, 14, 0)}},
		Dead:   []views.DeadEvent{{Type: "checkout.session.completed", ID: "evt_1", Note: "no purchase of ours is known by this event's object", Attempts: 17, At: at(22, 8, 0), Action: "/admin/payments/events/platform/evt_1"}},
		AtStake: []views.PlanPaidRow{{
			Agency: "Bluebird Studio", Href: "/admin/agencies/agy_2", Invoice: "in_1OxY4", At: at(20, 8, 0), Amount: usd(9_700), Refunded: none, Differs: none,
			Dispute: models.DisputeOpen, Back: &views.MoneyBack{Paid: usd(9_700), Dispute: models.DisputeOpen, Held: usd(9_700), AnswerBy: at(28, 12, 0), AsSeller: true},
		}},
		Asked: []views.RefundLine{asked},
		Days: []views.PaymentDay{
			{Day: at(24, 0, 0), Href: "/admin/payments?day=2026-11-24", Payments: 3, Booked: 2, Stripe: usd(20_000), Ledger: usd(10_000), Differs: usd(10_000)},
			{Day: at(23, 0, 0), Href: "/admin/payments?day=2026-11-23", Payments: 2, Booked: 2, Stripe: usd(10_000), Ledger: usd(10_000), Differs: usd(0)},
		},
		Last: &views.Comparison{At: at(24, 3, 0), Accounts: 4, Payments: 31, Settled: 1},
		Plans: []views.PlanPaidRow{
			{Agency: "Northwind Agency", Href: "/admin/agencies/agy_1", Invoice: "in_1OxY2", At: at(23, 8, 0), Amount: usd(29_700), Refunded: none, Differs: none},
			{Agency: "Bluebird Studio", Href: "/admin/agencies/agy_2", Invoice: "in_1OxY3", At: at(22, 8, 0), Amount: usd(9_700), Refunded: usd(9_700), Dispute: models.DisputeWon, Differs: usd(100)},
		},
		List: []views.PaymentRow{paid(24, "2,000 credits", 2_000, 1_000), disputed, partly, sale}, Pager: views.Pager{Older: "/admin/payments?after=x"},
	}
	day := views.Payments{Frame: full.Frame, CSV: full.CSV, ListOf: "November 24, 2026", List: full.List[:1]}
	refund := views.Refund{
		Frame: adminFrame("Refund a purchase"), Back: "/admin/payments", BackName: "Payments", Action: "/admin/payments/agy_1/pur_1/refund", Attempt: "a",
		What: "12,500 credits", Whose: "Northwind Agency", Paid: usd(5_000), Given: usd(0), Left: usd(5_000), Typed: "25.00", Amount: usd(2_500),
		Revoked: credits(6_250), Unspent: credits(3_750), Spent: credits(2_500), Before: credits(3_750), After: credits(-2_500), Earlier: []views.RefundLine{sent, refused},
	}
	ofSale := refund
	ofSale.Frame, ofSale.Sale, ofSale.Whose, ofSale.What, ofSale.Back, ofSale.BackName = agencyFrame("Refund a sale", "sales"), true, "Acme Dental", "Growth", "/sales", "Sales"
	ofSale.After, ofSale.Earlier = credits(0), nil
	wrong := refund
	wrong.Amount, wrong.Earlier, wrong.Typed = models.Money{}, nil, "90"
	wrong.Errors = views.FieldErrors{
		{Field: "amount", Text: "Give an amount above 0 and up to 50.00 USD, which is what is left of the payment."},
		{Field: "reason", Text: "Say why in up to 500 bytes: the reason is kept in the audit log."},
	}
	wrong.Frame.Failed = true
	closed := refund
	closed.Closed, closed.Amount = "All of this payment has been given back.", models.Money{}
	return []Page{
		{"admin-payments", views.PaymentsPage(full)},
		{"admin-payments-day", views.PaymentsPage(day)},
		{"admin-payments-empty", views.PaymentsPage(views.Payments{Frame: full.Frame, CSV: full.CSV})},
		{"admin-payments-error", views.PaymentsPage(views.Payments{Frame: full.Frame, CSV: full.CSV, Failure: &views.SectionFailure{What: "The payments", Retry: "/admin/payments", Ref: "7F3K"}})},
		{"refund", views.RefundPage(refund)},
		{"refund-sale", views.RefundPage(ofSale)},
		{"refund-error", views.RefundPage(wrong)},
		{"refund-closed", views.RefundPage(closed)},
	}
}
