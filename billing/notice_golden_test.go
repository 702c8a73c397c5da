package billing

import (
	goflag "flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/mail"
	"refill/models"
)

var updateMails = goflag.Bool("update-mails", false, "rewrite the golden files of notices")

// sampleNotices are one or more notices of every event, as its cause writes them.
func sampleNotices(client bool) map[string][]models.Notice {
	now := readsStart
	day := func(n int) models.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	dollars := func(f models.NoticeFacts, cents int64) models.NoticeFacts {
		f.Amount, f.Currency = cents, "usd"
		return f
	}
	one := func(e models.NoticeEvent, f models.NoticeFacts) models.Notice {
		return models.Notice{Event: e, Facts: f, CreatedAt: now}
	}
	left := models.NoticeFacts{Left: credits(18_420), Held: credits(50)}
	with := func(change func(f *models.NoticeFacts)) models.NoticeFacts {
		f := left
		change(&f)
		return f
	}
	all := map[string][]models.Notice{
		"low-credits":         {one(models.NoticeLow, with(func(f *models.NoticeFacts) { f.Credits = credits(20_000) }))},
		"low-days":            {one(models.NoticeLow, with(func(f *models.NoticeFacts) { f.Days, f.RunsOutAt = 3, day(3) }))},
		"critical":            {one(models.NoticeCritical, with(func(f *models.NoticeFacts) { f.RunsOutAt = day(1) }))},
		"critical-below-zero": {one(models.NoticeCritical, models.NoticeFacts{Left: -credits(223)})},
		"paused":              {one(models.NoticePaused, models.NoticeFacts{})},
		"resumed":             {one(models.NoticeResumed, left)},
		"expiring":            {one(models.NoticeExpiring, models.NoticeFacts{Credits: credits(500), At: day(7), Days: 7, Name: "assigned"})},
		"expiring-several": {
			one(models.NoticeExpiring, models.NoticeFacts{Credits: credits(500), At: day(7), Days: 7, Name: "assigned"}),
			one(models.NoticeExpiring, models.NoticeFacts{Credits: credits(70), At: day(30), Days: 30, Name: "bonus"}),
		},
		"topup-done": {one(models.NoticeTopUpDone, dollars(with(func(f *models.NoticeFacts) {
			f.Credits, f.Path = credits(12_500), "/purchases/pur_1/receipt"
		}), 5_000))},
		"topup-failed": {one(models.NoticeTopUpFailed, dollars(with(func(f *models.NoticeFacts) { f.Reason, f.At = "Your bank declined the card.", day(1) }), 5_000))},
		"topup-limit":  {one(models.NoticeTopUpLimit, dollars(with(func(f *models.NoticeFacts) { f.At = day(6) }), 20_000))},
		"topup-package-limit": {one(models.NoticeTopUpLimit, dollars(with(func(f *models.NoticeFacts) {
			f.At, f.Reason, f.Why = day(6), "Growth can be bought once a month. It opens again on April 1.", models.TopUpPackage
		}), 20_000))},
		"topup-paused": {one(models.NoticeTopUpPaused, with(func(f *models.NoticeFacts) {
			f.Reason, f.Name, f.Why = "Your bank wants to hear from you.", "Visa •••• 4242", models.TopUpAuthenticate
		}))},
		"topup-removed": {one(models.NoticeTopUpPaused, with(func(f *models.NoticeFacts) {
			f.Reason, f.Why = "Visa •••• 4242 was removed from your cards at Stripe. Add a card, and automatic top-up goes on by itself.", models.TopUpRemoved
		}))},
		"topup-review": {one(models.NoticeTopUpPaused, with(func(f *models.NoticeFacts) {
			f.Reason, f.Name, f.Why = "A payment was made that we have to look at. You are not charged again meanwhile.", "Visa •••• 4242", models.TopUpReview
		}))},
		"topup-disputed": {one(models.NoticeTopUpPaused, with(func(f *models.NoticeFacts) {
			f.Reason, f.Name, f.Why = "A payment is disputed at the bank.", "Visa •••• 4242", models.TopUpDisputed
		}))},
		"topup-offer": {one(models.NoticeTopUpPaused, with(func(f *models.NoticeFacts) {
			f.Reason, f.Name, f.Why = "12,500 credits costs 60.00 now, more than you agreed to.", "Visa •••• 4242", models.TopUpOffer
		}))},
		"topup-forbidden": {one(models.NoticeTopUpPaused, with(func(f *models.NoticeFacts) {
			f.Reason, f.Name, f.Why = "Northwind Agency does not offer automatic top-up.", "Visa •••• 4242", models.TopUpForbidden
		}))},
		"purchase-credited": {one(models.NoticePurchaseCredited, dollars(with(func(f *models.NoticeFacts) {
			f.Credits, f.Path = credits(12_500), "/purchases/pur_1/receipt"
		}), 5_000))},
		"purchase-month": {one(models.NoticePurchaseCredited, dollars(with(func(f *models.NoticeFacts) {
			f.Credits, f.Path, f.At = credits(12_500), "/purchases/pur_1/receipt", day(31)
		}), 5_000))},
		"purchase-refunded": {one(models.NoticePurchaseRefunded, dollars(with(func(f *models.NoticeFacts) { f.Credits, f.Name = credits(12_500), "12,500 credits" }), 5_000))},
		"refund-failed":     {one(models.NoticeRefundFailed, dollars(with(func(f *models.NoticeFacts) { f.Credits, f.Name = credits(12_500), "12,500 credits" }), 5_000))},
		"dispute-won": {one(models.NoticeDisputeDecided, dollars(with(func(f *models.NoticeFacts) {
			f.Credits, f.Name, f.Won = credits(12_500), "12,500 credits", true
		}), 5_000))},
		"dispute-lost":     {one(models.NoticeDisputeDecided, dollars(with(func(f *models.NoticeFacts) { f.Credits, f.Name = credits(12_500), "12,500 credits" }), 5_000))},
		"payment-disputed": {one(models.NoticePaymentDisputed, dollars(with(func(f *models.NoticeFacts) { f.Credits, f.Name = credits(12_500), "12,500 credits" }), 5_000))},
		"gift-redeemed":    {one(models.NoticeGiftRedeemed, with(func(f *models.NoticeFacts) { f.Credits, f.Name = credits(2_000), "SPRING" }))},
		"standing-skipped": {one(models.NoticeStandingSkipped, with(func(f *models.NoticeFacts) {
			f.Credits, f.At = credits(50_000), day(30)
			if !client {
				f.Name = "Acme Dental"
			}
		}))},
		"month-skipped":  {one(models.NoticeMonthSkipped, dollars(models.NoticeFacts{Credits: credits(10_000), At: day(30)}, 6_000))},
		"month-unpaid":   {one(models.NoticeMonthUnpaid, dollars(models.NoticeFacts{Credits: credits(10_000)}, 6_000))},
		"month-ends":     {one(models.NoticeMonthEnded, dollars(models.NoticeFacts{Credits: credits(10_000), At: day(12), Reason: monthCancelled}, 6_000))},
		"month-ended":    {one(models.NoticeMonthEnded, dollars(models.NoticeFacts{Credits: credits(10_000), Reason: monthCancelled}, 6_000))},
		"month-failed":   {one(models.NoticeMonthEnded, dollars(models.NoticeFacts{Credits: credits(10_000), Reason: monthUnpaid}, 6_000))},
		"month-disputed": {one(models.NoticeMonthEnded, dollars(models.NoticeFacts{Credits: credits(10_000), Reason: monthDisputed}, 6_000))},
		"test":           {one(models.NoticeTest, left)},
	}
	if client {
		all["upstream-paused"] = []models.Notice{one(models.NoticeUpstreamPaused, models.NoticeFacts{Left: credits(500)})}
		all["upstream-paused-pooled"] = []models.Notice{one(models.NoticeUpstreamPaused, models.NoticeFacts{})}
		all["month-kept"] = []models.Notice{one(models.NoticeMonthEnded, dollars(with(func(f *models.NoticeFacts) { f.Credits, f.At, f.Reason = credits(10_000), day(12), monthKept }), 6_000))}
		all["month-pooled"] = []models.Notice{one(models.NoticeMonthEnded, dollars(models.NoticeFacts{Credits: credits(10_000), At: day(12), Reason: monthPooled}, 6_000))}
		all["month-archived"] = []models.Notice{one(models.NoticeMonthEnded, dollars(models.NoticeFacts{Credits: credits(10_000), At: day(12), Reason: monthArchived}, 6_000))}
		all["low-monthly"] = []models.Notice{one(models.NoticeLow, with(func(f *models.NoticeFacts) { f.Days, f.RunsOutAt, f.ResetsAt = 3, day(3), day(5) }))}
		all["low-until-monthly"] = []models.Notice{one(models.NoticeLow, with(func(f *models.NoticeFacts) { f.Credits, f.ResetsAt = credits(20_000), day(5) }))}
		all["critical-monthly"] = []models.Notice{one(models.NoticeCritical, with(func(f *models.NoticeFacts) { f.RunsOutAt, f.ResetsAt = day(1), day(5) }))}
		all["paused-until-monthly"] = []models.Notice{one(models.NoticePaused, models.NoticeFacts{ResetsAt: day(5)})}
		all["paused-cap"] = []models.Notice{one(models.NoticePaused, models.NoticeFacts{Credits: credits(5_000), Name: "day"})}
		return all
	}
	acme := func(e models.NoticeEvent, f models.NoticeFacts) models.Notice { //nolint:gocritic // a sample
		f.Name, f.Path = "Acme Dental", "/sub-accounts/sub_1/assign"
		return one(e, f)
	}
	all["low-percent"] = []models.Notice{one(models.NoticeLow, with(func(f *models.NoticeFacts) {
		f.Percent, f.Credits, f.RunsOutAt, f.ResetsAt = 75, credits(100_000), day(3), day(5)
	}))}
	all["low-used-up"] = []models.Notice{one(models.NoticeLow, with(func(f *models.NoticeFacts) { f.Percent, f.Credits, f.ResetsAt = 100, credits(100_000), day(5) }))}
	all["critical-until-reset"] = []models.Notice{one(models.NoticeCritical, with(func(f *models.NoticeFacts) { f.RunsOutAt, f.ResetsAt = day(1), day(5) }))}
	all["paused-until-reset"] = []models.Notice{one(models.NoticePaused, models.NoticeFacts{ResetsAt: day(5)})}
	all["paused-by-platform"] = []models.Notice{one(models.NoticePaused, with(func(f *models.NoticeFacts) { f.Reason = haltedReason }))}
	all["plan-reset"] = []models.Notice{one(models.NoticePlanReset, models.NoticeFacts{Credits: credits(100_000), ResetsAt: day(31)})}
	all["plan-past-due"] = []models.Notice{one(models.NoticePlanPastDue, with(func(f *models.NoticeFacts) { f.Name, f.At = "Agency", day(7) }))}
	all["plan-ended"] = []models.Notice{one(models.NoticePlanEnded, models.NoticeFacts{Name: "Agency"})}
	all["sub-account-low"] = []models.Notice{acme(models.NoticeSubAccountLow, with(func(f *models.NoticeFacts) { f.RunsOutAt = day(2) }))}
	all["sub-account-paused"] = []models.Notice{acme(models.NoticeSubAccountPaused, models.NoticeFacts{})}
	all["sub-account-bought"] = []models.Notice{one(models.NoticeSubAccountBought, dollars(with(func(f *models.NoticeFacts) { f.Name, f.Credits = "Acme Dental", credits(10_000) }), 6_000))}
	all["sub-accounts"] = []models.Notice{all["sub-account-paused"][0], all["sub-account-low"][0], all["sub-account-bought"][0]}
	all["sale-disputed"] = []models.Notice{one(models.NoticePaymentDisputed, dollars(models.NoticeFacts{Name: "Acme Dental", Reason: ofSale, At: day(9), Credits: credits(400)}, 6_000))}
	all["sale-refund-failed"] = []models.Notice{one(models.NoticeRefundFailed, dollars(models.NoticeFacts{Name: "Acme Dental", Reason: ofSale, Credits: credits(400)}, 6_000))}
	all["sale-dispute-won"] = []models.Notice{one(models.NoticeDisputeDecided, dollars(models.NoticeFacts{Name: "Acme Dental", Reason: ofSale, Won: true}, 6_000))}
	all["sale-dispute-lost"] = []models.Notice{one(models.NoticeDisputeDecided, dollars(models.NoticeFacts{Name: "Acme Dental", Reason: ofSale}, 6_000))}
	all["plan-refunded"] = []models.Notice{one(models.NoticePurchaseRefunded, dollars(with(func(f *models.NoticeFacts) { f.Credits, f.Name = credits(40_000), ofPlan }), 29_700))}
	all["plan-disputed"] = []models.Notice{one(models.NoticePaymentDisputed, dollars(with(func(f *models.NoticeFacts) { f.Credits, f.Name = credits(40_000), ofPlan }), 29_700))}
	all["payment-warned"] = []models.Notice{one(models.NoticePaymentWarned, dollars(models.NoticeFacts{Name: "Acme Dental"}, 6_000))}
	all["sales-paused"] = []models.Notice{one(models.NoticeSalesPaused, models.NoticeFacts{Reason: "Stripe is reviewing the account."})}
	all["sales-paused-details"] = []models.Notice{one(models.NoticeSalesPaused, models.NoticeFacts{Reason: "Details are missing.", Count: 2})}
	all["sales-disconnected"] = []models.Notice{one(models.NoticeSalesPaused, models.NoticeFacts{Reason: disconnectedReason})}
	all["sales-disconnected-monthly"] = []models.Notice{one(models.NoticeSalesPaused, models.NoticeFacts{Reason: disconnectedReason, Count: 3})}
	all["sales-resumed"] = []models.Notice{one(models.NoticeSalesResumed, models.NoticeFacts{})}
	all["month-skipped"][0].Facts.Name, all["month-skipped"][0].Facts.Reason = "Acme Dental", "You don't sell more than you hold. Automatic top-up has not bought them."
	for _, name := range []string{"month-unpaid", "month-ends", "month-ended", "month-failed", "month-disputed"} {
		all[name][0].Facts.Name = "Acme Dental"
	}
	all["sale-waits"] = []models.Notice{one(models.NoticeSaleWaits, dollars(models.NoticeFacts{
		Name: "Acme Dental", Reason: "You let clients buy beyond your stock.", Credits: credits(10_000),
	}, 6_000))}
	all["rate-changed"] = []models.Notice{one(models.NoticeRateChanged, models.NoticeFacts{Name: "Replies", At: day(5), Count: 3})}
	all["referral-earned"] = []models.Notice{one(models.NoticeReferralEarned, with(func(f *models.NoticeFacts) {
		f.Credits, f.Name, f.Path = credits(2_000), "Bluebird Studio", "/referral"
	}))}
	all["summary-weekly"] = []models.Notice{one(models.NoticeSummaryWeekly, with(func(f *models.NoticeFacts) {
		f.Credits, f.Count, f.At, f.ResetsAt = credits(12_480), 8, day(-7), day(5)
	}))}
	return all
}

// goldenLetter compares a letter with its golden files, and holds it to what all must
// be.
func goldenLetter(t *testing.T, name string, letter mail.Letter) mail.Message { //nolint:gocritic // a test's
	t.Helper()
	var m mail.Message
	require.NoError(t, m.Write(letter))
	require.LessOrEqual(t, len(m.HTML), mail.MaxHTML)
	require.LessOrEqual(t, len(m.Subject), 78)
	buttons := 1
	if name == "client-month-archived" { // nothing there can be done by one
		buttons = 0
	}
	require.Equal(t, buttons, strings.Count(m.HTML, `class="button"`), "one button ends it")
	require.NotRegexp(t, `(?i)\btokens?\b|points|quota|  |\.\.|undefined|%!`, m.Subject+m.Text[:strings.Index(m.Text, "https://")])
	require.NotRegexp(t, ` \.|“”`, m.Text)
	for kind, got := range map[string]string{"txt": "Subject: " + m.Subject + "\n\n" + m.Text, "html": m.HTML} {
		file := filepath.Join("testdata", "notices", name+"."+kind)
		if *updateMails {
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
			require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err, "a new mail needs -update-mails")
		require.Equal(t, string(want), got)
	}
	return m
}

// The letters that no notice stands behind.
func TestEveryOtherLetterIsAMail(t *testing.T) {
	t.Parallel()
	h, now := letterhead{"Refill", "https://credits.example"}, readsStart
	pack := models.Purchase{
		ID: models.NewID[models.PurchaseID](now), Title: "12,500 credits", Paid: 50_00, Currency: "usd", Dispute: models.DisputeOpen, DisputeHeld: 50_00,
		DisputeAnswerBy: now.Add(9 * 24 * time.Hour), Frozen: credits(12_500),
	}
	asked, plan := pack, pack
	asked.Dispute, asked.DisputeHeld, asked.Frozen = models.DisputeInquiry, 0, 0
	plan.ID, plan.DisputeAnswerBy, plan.Frozen = models.PurchaseID{}, 0, 0
	won, lost := pack, pack
	won.Dispute, won.DisputeHeld = models.DisputeWon, 0
	lost.Dispute, lost.DisputeHeld, lost.DisputeLost = models.DisputeLost, 0, 50_00
	planLost := lost
	planLost.ID = models.PurchaseID{}
	unbooked, unknown := pack, pack
	unbooked.PaidAt, unbooked.StatusNote = now, "Stripe was paid 50.00 USD, the purchase is 45.00 USD."
	unknown.PackageID, unknown.StatusNote = models.NewID[models.PackageID](now), "The Stripe account was disconnected, so whether this was paid cannot be checked."
	for name, letter := range map[string]mail.Letter{
		"pack-warned":   h.warned("Northwind Agency", &pack),
		"plan-warned":   h.warned("Northwind Agency", &plan),
		"pack-disputed": h.disputed("Northwind Agency", &pack, now),
		"pack-asked":    h.disputed("Northwind Agency", &asked, now),
		"plan-disputed": h.disputed("Northwind Agency", &plan, now),
		"pack-won":      h.decided("Northwind Agency", &pack, &won),
		"pack-lost":     h.decided("Northwind Agency", &pack, &lost),
		"plan-lost":     h.decided("Northwind Agency", &plan, &planLost),
		"refund-failed": h.refundFailed("Northwind Agency", &pack, 20_00),
		"unbooked":      h.unbooked("Northwind Agency", &unbooked),
		"unbooked-sale": h.unbooked("Northwind Agency", &unknown),
		"strays":        h.strays(3),
		"doubtful":      h.doubtful(models.WalletID{15: 1}, "Its entries add up to 500 credits, its lots to 400."),
		"hook-off":      h.hookOff("https://ai.example/hook", "It took nothing for three days.", "/admin/webhooks/whe_1"),
		"domain-lost":   h.domainLost("credits.northwind.example", "There is no such record.", false),
		"domain-ended":  h.domainLost("credits.northwind.example", "There is no such record.", true),
		"dead":          h.dead(&models.StripeEvent{EventID: "evt_1", Type: "checkout.session.completed", Note: "no purchase of ours is known by this event's object"}),
	} {
		goldenLetter(t, "admin-"+name, letter)
	}
}

// Every event as a mail, for an agency and for a client: its words are in golden
// files, it stays small, and a client's never names the platform.
func TestEveryNoticeIsAMail(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Paris")
	require.NoError(t, err)
	for _, client := range []bool{false, true} {
		who, voice, home := "agency", Voice{Agency: "Northwind Agency", Platform: "Refill", Zone: zone}, "https://credits.example"
		if client {
			who, home = "client", "https://northwind.example"
			voice.Client, voice.Platform = true, ""
		}
		samples, told := sampleNotices(client), map[models.NoticeEvent]bool{}
		for name, ns := range samples {
			var list []*models.Notice
			for i := range ns {
				list = append(list, &ns[i])
				told[ns[i].Event] = true
			}
			a := audience{voice: voice, home: home}
			letter := a.letter(list)
			letter.Off = home + "/notices/off/t0k3n"
			t.Run(who+"-"+name, func(t *testing.T) {
				t.Parallel()
				require.NotEmpty(t, letter.Lines)
				require.LessOrEqual(t, len(letter.Lines), 2, "what happened, how much is left, what it means")
				require.Equal(t, letter.Button != "", letter.URL != "")
				require.Regexp(t, `^(https://[a-z.]+/.*)?$`, letter.URL)
				m := goldenLetter(t, who+"-"+name, letter)
				require.Contains(t, m.Text, letter.Off)
				if client {
					require.NotContains(t, strings.ToLower(m.FromName+m.Subject+m.Text+m.HTML), "refill")
				}
			})
		}
		for _, e := range EventsFor(client) {
			require.True(t, told[e], "%s has no sample for %s", e, who)
		}
	}
}
