package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
	"refill/views/format"
)

// A client's thresholds, the notice that follows, and what becomes of it: in the
// portal, by mail, and off again from the mail itself.
func TestAClientIsTold(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		const at = "/settings/notifications"
		client := p.as("client")
		page := client.get(at)
		require.Equal(t, http.StatusOK, page.StatusCode)
		require.Equal(t, "3", page.doc().Find("#value-0").AttrOr("value", ""), "the usual threshold")
		require.Equal(t, "days", page.doc().Find("#kind-0 option[selected]").AttrOr("value", ""))
		require.Zero(t, page.doc().Find("option[value=percent]").Length(), "a client has no plan")

		wrong := client.fill(at, at+"/thresholds", url.Values{"value-0": {"some"}, "kind-0": {"credits"}, "value-2": {"900"}, "kind-2": {"days"}})
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.Equal(t, "some", wrong.doc().Find("#value-0").AttrOr("value", ""))
		require.Equal(t, "#line-0", wrong.doc().Find(".errors a").AttrOr("href", ""))
		wrong = client.fill(at, at+"/thresholds", url.Values{"value-1": {"5"}, "kind-1": {"days"}, "value-3": {"900"}, "kind-3": {"days"}})
		require.Equal(t, "#line-3", wrong.doc().Find(".errors a").AttrOr("href", ""), "named by where it was typed")

		left := 100 * models.Credit
		_, err := p.billing.Assign(t.Context(), billing.Scope{}, billing.TransferInput{Agency: p.northwind.ID, SubAccount: p.acme.ID, Credits: left, Key: "k", By: "test"})
		require.NoError(t, err)
		require.Equal(t, at, client.fill(at, at+"/thresholds", url.Values{"value-0": {left.String()}, "kind-0": {"credits"}}).to())
		p.charge(p.acme.WalletID.String())
		require.NoError(t, p.billing.RunDue(t.Context(), p.billing.Now()))
		doc := client.get("/notices").doc()
		require.Contains(t, doc.Find("main li strong").First().Text(), "You have less than")
		require.Equal(t, "1new", doc.Find("a[data-nav=notices] .tag").Text())
		require.Equal(t, "/notices", client.fill("/notices", "/notices/read", url.Values{"id": {doc.Find("input[name=id]").AttrOr("value", "")}, "all": {"1"}}).to())
		require.Zero(t, client.get("/notices").doc().Find("a[data-nav=notices] .tag").Length())
		sent := client.get(at + "/sent").doc().Find("table").Text()
		require.Contains(t, sent, "Mail to client@example.test")

		// One POST of a mail program, without cookie or token.
		require.NoError(t, p.billing.SendMails(t.Context()))
		m := p.tray.got[len(p.tray.got)-1]
		require.Equal(t, "client@example.test", m.To)
		off := strings.TrimPrefix(m.Unsubscribe, clients)
		require.NotEqual(t, m.Unsubscribe, off, "at its agency's address")
		stranger := p.visitor(clients)
		look := stranger.get(off)
		require.Equal(t, http.StatusOK, look.StatusCode)
		require.Contains(t, look.body, "client@example.test")
		require.NotContains(t, strings.ToLower(look.body), "refill")
		require.Equal(t, 1, client.get(at).doc().Find(`input[name="mail.wallet.low"][checked]`).Length(), "looking turns nothing off")
		require.Equal(t, http.StatusGone, p.visitor(home).get(off).StatusCode)
		require.Equal(t, http.StatusGone, p.visitor(home).post(off, url.Values{"List-Unsubscribe": {"One-Click"}}).StatusCode)
		done := p.visitor(clients).post(off, url.Values{"List-Unsubscribe": {"One-Click"}})
		require.Equal(t, http.StatusOK, done.StatusCode)
		require.Contains(t, done.body, "gets no more mails")
		require.Zero(t, client.get(at).doc().Find(`input[name="mail.wallet.low"][checked]`).Length())
		require.Equal(t, 1, client.get(at).doc().Find(`input[name="app.wallet.low"][checked]`).Length())

		// A client's people are their own business.
		require.Equal(t, http.StatusNotFound, client.get(at+"?user="+p.users["owner"].ID.String()).StatusCode)
	})
}

// Whoever reads a notice may enter the page that it leads to.
func TestANoticeLeadsItsReaderWhereTheyMayGo(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		now := p.billing.Now()
		want := map[string]int{}
		for _, client := range []bool{false, true} {
			wallet, readers := p.northwind.WalletID, []string{"owner", "billing", "member"}
			if client {
				wallet, readers = p.acme.WalletID, []string{"client"}
			}
			for i, e := range billing.EventsFor(client) {
				n := models.Notice{AgencyID: p.northwind.ID, ID: models.NewID[models.NoticeID](now), WalletID: wallet, Event: e, Occasion: "test", DueAt: now, CreatedAt: now}
				n.Facts.Name = "Acme"
				if e == models.NoticeSubAccountLow || e == models.NoticeSubAccountPaused {
					n.Facts.Path = "/sub-accounts/" + p.acme.ID.String() + "/assign"
				}
				require.NoError(t, db.Write.Create(&n).Error)
				for _, who := range readers {
					want[who] = i + 1
				}
			}
		}
		require.NoError(t, p.billing.RunDue(t.Context(), p.billing.Now()))
		for who, events := range want {
			reader := p.as(who)
			links := reader.get("/notices").doc().Find("main li a.btn")
			require.GreaterOrEqual(t, links.Length(), events-2, "%s: all but those that come by mail only", who)
			for _, at := range links.EachIter() {
				href := at.AttrOr("href", "")
				require.Equal(t, http.StatusOK, reader.get(href).StatusCode, "%s is led to %s by %q", who, href, at.Text())
			}
		}
	})
}

// An owner chooses for the team, and everybody for themselves.
func TestTheTeamChoosesWhatItHears(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		const at = "/settings/notifications"
		owner, member := p.as("owner"), p.as("member")
		theirs := at + "?user=" + p.users["member"].ID.String()
		box := `input[name="mail.wallet.paused"][checked]`
		require.Zero(t, owner.get(theirs).doc().Find(box).Length(), "a member reads along")
		require.Equal(t, theirs, owner.fill(theirs, at, url.Values{
			"user": {p.users["member"].ID.String()}, "mail.wallet.paused": {"1"}, "app.wallet.paused": {"1"},
		}).to())
		require.Equal(t, 1, member.get(at).doc().Find(box).Length())
		require.Zero(t, member.get(at).doc().Find("#value-0").Length(), "thresholds are not a member's")
		require.Equal(t, http.StatusForbidden, member.fill(at, at+"/thresholds", url.Values{}).StatusCode)
		require.Contains(t, owner.get(at).doc().Find("table.wishes").Text(), "Always", "a failed payment must be told")

		require.Equal(t, at, owner.fill(at, at+"/test", url.Values{}).to())
		_, path := p.mailed("owner@example.test")
		require.Equal(t, "/settings/notifications", path)
		for range 4 {
			owner.fill(at, at+"/test", url.Values{})
		}
		owner.fill(at, at+"/test", url.Values{})
		require.Contains(t, owner.get(at).doc().Find(".flash").Text(), "enough tests")
	})
}

// The same number reads alike in a mail and on a page.
func TestMailsWriteNumbersAsPagesDo(t *testing.T) {
	t.Parallel()
	now, zone := models.At(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)), billing.Zone("Europe/Paris")
	voice := billing.Voice{Agency: "Northwind", Platform: "Refill", Zone: zone}
	for _, c := range []models.Credits{1, 50, 5_000, 500_000, 123_456_789, models.Credit, 2 * models.Credit, 999_990_000, 1_234_567_890_000, models.MaxBalance} {
		words := voice.Say(&models.Notice{Event: models.NoticeTopUpDone, Facts: models.NoticeFacts{Credits: c}, CreatedAt: now})
		require.Equal(t, format.CreditsWord(c)+" bought automatically", words.Title)
	}
	for _, m := range []models.Money{
		{Amount: 5_000, Currency: "usd"}, {Amount: 123_456_789, Currency: "eur"}, {Amount: 5_000, Currency: "jpy"}, {Amount: 1_500, Currency: "kwd"}, {Amount: 7, Currency: "chf"},
	} {
		words := voice.Say(&models.Notice{Event: models.NoticePurchaseRefunded, Facts: models.NoticeFacts{Amount: m.Amount, Currency: m.Currency}, CreatedAt: now})
		require.Equal(t, format.Money(m)+" refunded", words.Title)
	}
	for _, at := range []time.Duration{time.Hour, 16 * time.Hour, 72 * time.Hour, 60 * 24 * time.Hour} {
		words := voice.Say(&models.Notice{Event: models.NoticeExpiring, Facts: models.NoticeFacts{Credits: 2 * models.Credit, At: now.Add(at)}, CreatedAt: now})
		require.Contains(t, words.Lines[0], " expire "+format.Days(now.Add(at), now, zone)+" ")
	}
}
