package billing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// spend uses credits in one piece.
func (h *house) spend(w models.WalletID, n int64) {
	h.t.Helper()
	hold, err := h.s.Hold(h.t.Context(), Scope{}, HoldInput{Wallet: w.String(), Credits: credits(n), Key: h.key()})
	require.NoError(h.t, err)
	_, err = h.s.Capture(h.t.Context(), Scope{}, CaptureInput{Agency: h.agency.ID, Hold: hold.Hold.ID, Key: h.key()})
	require.NoError(h.t, err)
}

// heard is what was written for a wallet's people since the last call, after
// everything due was done.
func (h *house) heard(w models.WalletID) []string {
	h.t.Helper()
	require.NoError(h.t, h.s.RunDue(h.t.Context(), h.s.Now()))
	var rows []models.Notice
	require.NoError(h.t, h.db.Read.Where("agency_id = ? AND wallet_id = ?", h.agency.ID, w).Order("id").Find(&rows).Error)
	if h.knows == nil {
		h.knows = map[models.NoticeID]bool{}
	}
	var out []string
	for _, n := range rows {
		if h.knows[n.ID] {
			continue
		}
		h.knows[n.ID] = true
		text := string(n.Event)
		switch {
		case n.Facts.Percent > 0:
			text += fmt.Sprintf(" %d%%", n.Facts.Percent)
		case n.Event == models.NoticeLow && n.Facts.Credits > 0:
			text += " " + n.Facts.Credits.String()
		case n.Facts.Days > 0:
			text += fmt.Sprintf(" %d days", n.Facts.Days)
		case n.Facts.Name != "" && n.WalletID == h.agency.WalletID:
			text += " " + n.Facts.Name
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// member is a person with a role.
func (h *house) member(name string, role models.Role, of *Account) models.User {
	h.t.Helper()
	u, err := h.s.CreateUser(h.t.Context(), UserInput{Email: name + "@example.test", Name: name, By: "test"})
	require.NoError(h.t, err)
	in := MemberInput{Agency: h.agency.ID, User: u.ID, Role: role, By: "test"}
	if of != nil {
		in.SubAccount = of.SubAccount.ID
	}
	require.NoError(h.t, h.s.AddMember(h.t.Context(), in))
	return u
}

// Each threshold of an agency is told of once per period, and those that are
// crossed together once altogether.
func TestThresholdsAreToldOncePerPeriod(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) { // 5,000 a month
		w := h.agency.WalletID
		require.Empty(t, h.heard(w), "nothing was used yet")
		h.spend(w, 3_000)
		require.Empty(t, h.heard(w))
		h.spend(w, 750)
		require.Equal(t, []string{"wallet.low 75%"}, h.heard(w))
		h.spend(w, 100)
		require.Empty(t, h.heard(w), "once")
		h.stock(10_000, 5_000)
		require.Empty(t, h.heard(w), "other credits change nothing about the share of the plan's that is used")
		h.spend(w, 1_150) // all of the plan's
		require.Equal(t, []string{"wallet.low 100%"}, h.heard(w), "90% goes with it")
		h.spend(w, 1_000)
		require.Empty(t, h.heard(w))

		_, sub, err := h.s.PlanOf(t.Context(), h.agency.ID)
		require.NoError(t, err)
		h.now.Store(int64(sub.PeriodEnd))
		require.Equal(t, []string{"plan.reset"}, h.heard(w))
		h.spend(w, 4_500)
		require.Contains(t, h.heard(w), "wallet.low 90%", "a new period, told anew")
	})
}

// Whatever two programs make of the same moment, its notice is there once.
func TestAnOccasionIsWrittenOnce(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		h.spend(h.agency.WalletID, 3_750)
		require.NotEmpty(t, h.heard(h.agency.WalletID))
		var told models.Notice
		require.NoError(t, h.s.db.Read.Where("agency_id = ? AND event = ?", h.agency.ID, models.NoticeLow).Take(&told).Error)
		told.ID = models.NewID[models.NoticeID](h.s.clock.Now())
		require.True(t, models.IsDuplicate(h.s.db.Write.Create(&told).Error))
	})
}

// A wallet that never had credits is nobody's trouble until its AI is asked.
func TestAWalletThatNeverHadCreditsIsToldWhenItIsAsked(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		acme, bolt := h.client("acme", models.Prepaid, ""), h.client("bolt", models.Pooled, "")
		ask := func(a *Account) {
			t.Helper()
			for range 3 {
				_, err := h.s.Charge(t.Context(), Scope{}, ChargeInput{Wallet: a.Wallet.String(), Key: h.key(), Action: "ai.reply", Model: "gpt-4"})
				require.True(t, problem.Is(err, "insufficient_credits"), "%v", err)
			}
		}
		require.Empty(t, h.heard(acme.Wallet))
		ask(acme)
		require.Equal(t, []string{"wallet.paused"}, h.heard(acme.Wallet))
		require.Equal(t, []string{"sub_account.paused Client acme"}, h.heard(h.agency.WalletID))
		ask(acme)
		require.Empty(t, h.heard(acme.Wallet), "once")

		_, err := h.s.Adjust(t.Context(), AdjustInput{
			Agency: h.agency.ID, Wallet: h.agency.WalletID, Credits: -h.leftOf(h.own), Reason: "none", Key: h.key(), By: "test",
		})
		require.NoError(t, err)
		require.Empty(t, h.heard(h.agency.WalletID))
		ask(bolt)
		require.Equal(t, []string{"wallet.paused"}, h.heard(h.agency.WalletID), "the pool was asked")
		require.Equal(t, []string{"upstream.paused"}, h.heard(bolt.Wallet))
		h.give(acme.Wallet, 1_000)
		require.Equal(t, []string{"wallet.resumed"}, h.heard(acme.Wallet))
		h.ledgerHolds()
	})
}

// A threshold in credits is told of again only after it has recovered by a tenth.
func TestAThresholdRearmsAfterRecovery(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		acme := h.client("acme", models.Prepaid, "")
		require.NoError(t, h.s.SetAlarms(t.Context(), acme, []AlarmLine{{AlarmCredits, int64(credits(500))}, {AlarmCredits, int64(credits(100))}}, "test"))
		h.assign(acme, 1_000)
		h.spend(acme.Wallet, 500)
		require.Empty(t, h.heard(acme.Wallet), "500 are not below 500")
		h.charge(acme.Wallet, "gpt-3.5-turbo", false)
		require.Equal(t, []string{"wallet.low 500"}, h.heard(acme.Wallet))
		require.Equal(t, []string{"sub_account.low Client acme"}, h.heard(h.agency.WalletID), "its agency hears of it, too")
		h.assign(acme, 20) // 519
		h.spend(acme.Wallet, 100)
		require.Empty(t, h.heard(acme.Wallet), "it never recovered by a tenth")
		h.assign(acme, 200)
		require.Empty(t, h.heard(acme.Wallet))
		h.spend(acme.Wallet, 200)
		require.Equal(t, []string{"wallet.low 500"}, h.heard(acme.Wallet))
		h.spend(acme.Wallet, 400)
		require.Equal(t, []string{"wallet.low 100"}, h.heard(acme.Wallet))
		h.spend(acme.Wallet, 19)
		require.Equal(t, []string{"wallet.paused"}, h.heard(acme.Wallet))
		require.Contains(t, h.heard(h.agency.WalletID), "sub_account.paused Client acme")
		h.assign(acme, 300)
		require.Equal(t, []string{"wallet.resumed"}, h.heard(acme.Wallet))
		h.spend(acme.Wallet, 250)
		require.Equal(t, []string{"wallet.low 100"}, h.heard(acme.Wallet), "100 recovered, 500 did not")
		h.ledgerHolds()
	})
}

// A hundred charges that cross a line at once make one notice, with two workers
// looking meanwhile.
func TestManyChargesCrossAThresholdOnce(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		acme := h.client("acme", models.Prepaid, "")
		require.NoError(t, h.s.SetAlarms(t.Context(), acme, []AlarmLine{{AlarmCredits, int64(credits(150))}}, "test"))
		h.assign(acme, 200)
		h.charge(acme.Wallet, "gpt-3.5-turbo", false)
		require.Empty(t, h.heard(acme.Wallet))
		var together sync.WaitGroup
		for i := range 100 {
			together.Go(func() {
				if err := h.tryCharge(t.Context(), acme.Wallet, fmt.Sprint("together-", i)); err != nil {
					t.Error(err)
				}
			})
		}
		for range 2 {
			together.Go(func() {
				for range 20 {
					if err := h.s.watchDue(t.Context(), h.s.Now()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		together.Wait()
		require.Equal(t, []string{"wallet.low 150"}, h.heard(acme.Wallet))
	})
}

// Days left follow the pace, which the clock refreshes.
func TestDaysLeftAreTheClocks(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		acme := h.client("acme", models.Prepaid, "")
		h.stock(2_000, 1_000)
		h.assign(acme, 1_000)
		for range 5 {
			h.spend(acme.Wallet, 100)
			h.wait(24 * time.Hour)
		}
		require.Empty(t, h.heard(acme.Wallet), "500 left at 100 a day")
		h.spend(acme.Wallet, 150)
		h.wait(24 * time.Hour) // about 108 a day: 350 last more than three days
		require.Empty(t, h.heard(acme.Wallet))
		h.spend(acme.Wallet, 40)
		require.Equal(t, []string{"wallet.low 3 days"}, h.heard(acme.Wallet))
		h.spend(acme.Wallet, 230)
		require.Equal(t, []string{"wallet.critical"}, h.heard(acme.Wallet))
		h.spend(acme.Wallet, 10)
		require.Empty(t, h.heard(acme.Wallet))
	})
}

// A client's credits that last until its next monthly ones are not low, in the alarm
// as in the forecast; those that do not are.
func TestMonthlyCreditsAreCountedOn(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		acme := h.client("acme", models.Prepaid, "")
		h.stock(20_000, 1_000)
		h.assign(acme, 1_000)
		for range 6 {
			h.spend(acme.Wallet, 100)
			h.wait(24 * time.Hour)
		}
		require.Empty(t, h.heard(acme.Wallet), "400 left at 100 a day")
		tomorrow := h.s.Now().Add(24 * time.Hour)
		_, err := h.s.SetStanding(t.Context(), Scope{Agency: h.agency.ID}, StandingInput{
			Agency: h.agency.ID, SubAccount: acme.SubAccount.ID, Credits: credits(500), Day: tomorrow.In(time.UTC).Day(), Unused: models.UnusedStays, By: "test",
		})
		require.NoError(t, err)
		h.wait(2 * time.Hour) // the clock looks at everybody's pace
		h.spend(acme.Wallet, 200)
		require.Empty(t, h.heard(acme.Wallet), "200 last two days, and more come tomorrow")
		outlook, err := h.s.Outlook(t.Context(), acme, 0)
		require.NoError(t, err)
		require.Equal(t, ForecastPastReset, outlook.Forecast.Kind)
		require.Equal(t, ledger.StateHealthy, h.wallet(acme).State)
		h.spend(acme.Wallet, 150)
		require.Equal(t, []string{"wallet.critical"}, h.heard(acme.Wallet), "50 do not last until then")
		outlook, err = h.s.Outlook(t.Context(), acme, 0)
		require.NoError(t, err)
		require.Equal(t, ForecastRunsOut, outlook.Forecast.Kind)
	})
}

// Clients that draw on a pool stop with it and go on with it; they are told in
// words that say nothing of their agency's credits.
func TestClientsOfAPoolAreToldWhenItRunsDry(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		maple, oak, own := h.client("maple", models.Pooled, ""), h.client("oak", models.Pooled, ""), h.client("own", models.Prepaid, "")
		h.assign(own, 100)
		for _, c := range []*Account{maple, oak, own} {
			h.charge(c.Wallet, "gpt-3.5-turbo", false)
		}
		h.spend(h.agency.WalletID, 4_898)
		require.Equal(t, []string{"wallet.paused"}, h.heard(h.agency.WalletID))
		for _, c := range []*Account{maple, oak} {
			require.Equal(t, []string{"upstream.paused"}, h.heard(c.Wallet))
		}
		require.Empty(t, h.heard(own.Wallet), "its own credits keep it running")
		h.stock(1_000, 1_000)
		require.Equal(t, []string{"wallet.resumed"}, h.heard(h.agency.WalletID))
		for _, c := range []*Account{maple, oak} {
			require.Equal(t, []string{"wallet.resumed"}, h.heard(c.Wallet))
		}

		_, err := h.s.PauseAgency(t.Context(), h.agency.ID, "Chargebacks", "test")
		require.NoError(t, err)
		for _, c := range []*Account{maple, oak, own} {
			require.Equal(t, []string{"upstream.paused"}, h.heard(c.Wallet))
		}
		require.Equal(t, []string{"wallet.paused"}, h.heard(h.agency.WalletID))
		_, err = h.s.ResumeAgency(t.Context(), h.agency.ID, "", "test")
		require.NoError(t, err)
		for _, c := range []*Account{maple, oak, own} {
			require.Equal(t, []string{"wallet.resumed"}, h.heard(c.Wallet))
		}
	})
}

// What a client may draw on the pool is no booking of its own: the clock finds
// that it is used, and that the next span has begun.
func TestACapOnThePoolIsTold(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		sub, err := h.s.CreateSubAccount(t.Context(), Scope{}, SubAccountInput{
			Agency: h.agency.ID, ExternalID: "maple", Name: "Maple", Funding: models.Pooled, PoolCap: credits(10), PoolEvery: models.PoolDay, By: "test",
		})
		require.NoError(t, err)
		maple := h.account(sub.WalletID)
		for range 10 {
			h.charge(maple.Wallet, "gpt-3.5-turbo", false)
		}
		h.wait(time.Hour)
		require.Equal(t, []string{"wallet.paused"}, h.heard(maple.Wallet))
		require.Equal(t, []string{"sub_account.paused Maple"}, h.heard(h.agency.WalletID))
		h.wait(24 * time.Hour)
		require.Equal(t, []string{"wallet.resumed"}, h.heard(maple.Wallet))
	})
}

// Credits that end are told of once per lot and span, and what was given for
// shorter than the span not at all.
func TestCreditsThatExpireAreToldOncePerSpan(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		acme := h.client("acme", models.Prepaid, "")
		h.heard(acme.Wallet)
		lot := func(n int64, life time.Duration) {
			var last models.Lot
			h.give(acme.Wallet, n)
			require.NoError(t, h.db.Read.Where("wallet_id = ?", acme.Wallet).Order("created_at DESC, id DESC").Take(&last).Error)
			require.NoError(t, h.db.Write.Exec("UPDATE lot_rows SET expires_at = ? WHERE agency_id = ? AND id = ?", h.s.Now().Add(life), h.agency.ID, last.ID).Error)
			h.wait(time.Second)
		}
		const day = 24 * time.Hour
		lot(100, 60*day)
		lot(50, 20*day)
		lot(7, 5*day)
		require.Empty(t, h.heard(acme.Wallet))
		h.wait(13 * day)
		require.Equal(t, []string{"credits.expiring 7 days"}, h.heard(acme.Wallet), "of 20 days")
		h.wait(17*day - time.Hour)
		require.Empty(t, h.heard(acme.Wallet))
		h.wait(2 * time.Hour)
		require.Equal(t, []string{"credits.expiring 30 days"}, h.heard(acme.Wallet))
		h.wait(23 * day)
		require.Equal(t, []string{"credits.expiring 7 days"}, h.heard(acme.Wallet))
		h.wait(time.Hour)
		require.Empty(t, h.heard(acme.Wallet))
	})
}

// told is the subjects in the outbox for an address, and the mails.
func (h *house) told(address string) (subjects []string, mails []models.Mail) {
	h.t.Helper()
	require.NoError(h.t, h.s.RunDue(h.t.Context(), h.s.Now()))
	require.NoError(h.t, h.db.Read.Where("recipient = ? AND kind = ?", address, models.MailNotice).Order("id").Find(&mails).Error)
	for _, m := range mails {
		subjects = append(subjects, m.Subject)
	}
	return subjects, mails
}

// Clients are told in their agency's name, by its address, and never learn that
// there is a platform.
func TestClientsAreToldInTheirAgencysName(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		h := p.house
		acme := h.client("acme", models.Prepaid, "")
		owner := h.member("olga", models.RoleOwner, nil)
		h.member("carl", models.RoleClient, acme)
		h.member("mia", models.RoleMember, nil)
		h.assign(acme, 10)
		h.charge(acme.Wallet, "gpt-3.5-turbo", false)
		h.spend(acme.Wallet, 9)
		subjects, mails := h.told("carl@example.test")
		require.Equal(t, []string{"Your AI assistant is paused"}, subjects)
		m := mails[0]
		require.Equal(t, "Northwind", m.FromName)
		require.Equal(t, owner.Email, m.ReplyTo)
		require.Contains(t, m.Text, "https://northwind.credits.test/buy")
		require.Contains(t, m.Unsubscribe, "https://northwind.credits.test/notices/off/")
		require.NotContains(t, strings.ToLower(m.Subject+m.Text+m.HTML+m.FromName), "refill")
		subjects, mails = h.told(owner.Email)
		require.Equal(t, []string{"Client acme is paused"}, subjects)
		require.Equal(t, "Refill", mails[0].FromName)
		require.Contains(t, mails[0].Text, "https://credits.test/sub-accounts/"+acme.SubAccount.ID.String()+"/assign")
		subjects, _ = h.told("mia@example.test")
		require.Empty(t, subjects, "a member reads it in the portal")
		list, err := h.s.NoticesOf(t.Context(), h.own, h.idOf("mia"), models.NoticeID{}, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
	})
}

// A test is a mail as real ones are: it says how to turn mails like it off, and that
// works.
func TestATestLooksLikeARealMail(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		olga := h.member("olga", models.RoleOwner, nil)
		require.NoError(t, h.s.TestNotice(t.Context(), h.own, olga.ID, credits(5)))
		_, mails := h.told(olga.Email)
		require.Len(t, mails, 1)
		require.NotEmpty(t, mails[0].Unsubscribe)
		require.Contains(t, mails[0].Text, mails[0].Unsubscribe)
		off, err := h.s.TurnMailsOff(t.Context(), models.AgencyID{}, token(mails[0].Unsubscribe))
		require.NoError(t, err)
		require.Equal(t, []models.NoticeEvent{models.NoticeTest}, off.Events)
	})
}

func (h *house) idOf(name string) models.UserID {
	h.t.Helper()
	u, err := h.s.UserByEmail(h.t.Context(), name+"@example.test")
	require.NoError(h.t, err)
	return u.ID
}

// What happens to an agency's clients within an hour is one mail, after the first.
func TestNoticesAboutClientsAreGathered(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newPost(t, db).house
		h.member("olga", models.RoleOwner, nil)
		stop := func(name string) {
			c := h.client(name, models.Prepaid, "")
			h.assign(c, 10)
			h.charge(c.Wallet, "gpt-3.5-turbo", false)
			h.spend(c.Wallet, 9)
			require.NoError(t, h.s.RunDue(t.Context(), h.s.Now()))
		}
		stop("first")
		subjects, _ := h.told("olga@example.test")
		require.Equal(t, []string{"Client first is paused"}, subjects)
		for i := range 5 {
			stop(fmt.Sprint("c", i))
			h.wait(time.Minute)
		}
		subjects, _ = h.told("olga@example.test")
		require.Len(t, subjects, 1, "they wait for each other")
		h.wait(time.Hour)
		subjects, mails := h.told("olga@example.test")
		require.Equal(t, []string{"Client first is paused", "Your clients: 5 paused"}, subjects)
		for i := range 5 {
			require.Contains(t, mails[1].Text, fmt.Sprintf("Client c%d: has no credits left", i))
		}
		h.wait(2 * time.Hour)
		stop("last")
		subjects, _ = h.told("olga@example.test")
		require.Len(t, subjects, 3, "after a quiet hour at once again")
		list, err := h.s.NoticesOf(t.Context(), h.own, h.idOf("olga"), models.NoticeID{}, 50)
		require.NoError(t, err)
		require.Len(t, list, 7, "the list has each")
	})
}

// What somebody does not want does not come, but for a payment that failed.
func TestPeopleChooseWhatTheyHear(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newPost(t, db).house
		olga, bob := h.member("olga", models.RoleOwner, nil), h.member("bob", models.RoleBilling, nil)
		require.NoError(t, h.s.SetWishes(t.Context(), h.own, bob.ID, []Wish{
			{Event: models.NoticePaused}, {Event: models.NoticePlanPastDue}, {Event: models.NoticeResumed, Mail: true},
		}, "test"))
		tell := func(event models.NoticeEvent) {
			require.NoError(t, h.db.InTx(t.Context(), func(tx *gorm.DB) error {
				return h.s.notify(tx, notice{agency: h.agency.ID, wallet: h.agency.WalletID, event: event, key: h.key()}, h.s.Now())
			}))
			h.now.Add(time.Millisecond.Microseconds()) // ids sort by it
		}
		tell(models.NoticePaused)
		tell(models.NoticePlanPastDue)
		tell(models.NoticeResumed)
		subjects, _ := h.told(bob.Email)
		require.Equal(t, []string{"The payment for your plan failed", "AI replies are running again"}, subjects)
		subjects, mails := h.told(olga.Email)
		require.Equal(t, []string{"AI replies are paused", "The payment for your plan failed", "AI replies are running again"}, subjects)
		require.Empty(t, mails[1].Unsubscribe, "it must go")
		list, err := h.s.NoticesOf(t.Context(), h.own, bob.ID, models.NoticeID{}, 50)
		require.NoError(t, err)
		require.Empty(t, list, "in the portal he wanted none of them")

		// The address in a mail turns off its event, for its person, at its door.
		token := token(mails[0].Unsubscribe)
		_, err = h.s.TurnMailsOff(t.Context(), h.agency.ID, token)
		require.True(t, problem.Is(err, "link_expired"), "another door")
		other := "A" // than what the signature has there; its last signs do not all count
		if at := len(token) - 9; token[at] == 'A' {
			other = "B"
		}
		_, err = h.s.TurnMailsOff(t.Context(), models.AgencyID{}, token[:len(token)-9]+other+token[len(token)-8:])
		require.True(t, problem.Is(err, "link_expired"), "forged")
		for range 2 {
			off, err := h.s.TurnMailsOff(t.Context(), models.AgencyID{}, token)
			require.NoError(t, err)
			require.Equal(t, []models.NoticeEvent{models.NoticePaused}, off.Events)
			require.True(t, off.Off)
		}
		require.Len(t, h.audits("notices.off"), 1)
		tell(models.NoticePaused)
		subjects, _ = h.told(olga.Email)
		require.Len(t, subjects, 3)
		unread, err := h.s.UnreadNotices(t.Context(), h.agency.ID, olga.ID)
		require.NoError(t, err)
		require.Equal(t, 4, unread, "in the portal she still hears of it")
		list, err = h.s.NoticesOf(t.Context(), h.own, olga.ID, models.NoticeID{}, 50)
		require.NoError(t, err)
		require.NoError(t, h.s.ReadNotices(t.Context(), h.agency.ID, olga.ID, list[1].ID, true))
		unread, err = h.s.UnreadNotices(t.Context(), h.agency.ID, olga.ID)
		require.NoError(t, err)
		require.Equal(t, 1, unread)
		sent, _, err := h.s.SentNotices(t.Context(), h.own, models.NoticeID{}, 50)
		require.NoError(t, err)
		require.Len(t, sent, 6)
	})
}

// Two processes tell each notice once.
func TestANoticeIsToldOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newPost(t, db).house
		h.member("olga", models.RoleOwner, nil)
		require.NoError(t, h.db.InTx(t.Context(), func(tx *gorm.DB) error {
			for i := range 20 {
				for range 2 {
					if err := h.s.notify(tx, notice{agency: h.agency.ID, wallet: h.agency.WalletID, event: models.NoticeCritical, key: strconv.Itoa(i)}, h.s.Now()); err != nil {
						return err
					}
				}
			}
			return nil
		}))
		var together sync.WaitGroup
		for range 4 {
			together.Go(func() {
				if err := h.s.tellDue(t.Context(), h.s.Now()); err != nil {
					t.Error(err)
				}
			})
		}
		together.Wait()
		subjects, _ := h.told("olga@example.test")
		require.Len(t, subjects, 20)
	})
}
