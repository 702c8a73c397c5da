package billing_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/problem"
	"refill/billing/stripesim"
	"refill/models"
	"refill/models/modelstest"
)

// connection is what is stored of an agency's Stripe account.
func (s *shop) connection(t *testing.T, agency models.AgencyID) models.StripeAccount {
	t.Helper()
	got, err := s.Connection(t.Context(), agency)
	require.NoError(t, err)
	return got
}

// onboard goes through Stripe's set-up page behind a link.
func (s *shop) onboard(t *testing.T, link, outcome string) {
	t.Helper()
	u, err := url.Parse(link)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.box+u.Path, strings.NewReader(url.Values{"outcome": {outcome}}.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "http://localhost:1/packages/connect/return", res.Header.Get("Location"))
}

// agency is another agency than the shop's.
func (s *shop) agency(t *testing.T, name string) models.AgencyID {
	t.Helper()
	a, err := s.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: name, Name: name, By: "test"})
	require.NoError(t, err)
	return a.ID
}

// handled waits until every event that came has been looked at.
func (s *shop) handled(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int64
		require.NoError(t, s.db.Read.Model(&models.StripeEvent{}).Where("state = ?", models.EventPending).Count(&waiting).Error)
		return waiting == 0
	}, 15*time.Second, 10*time.Millisecond)
}

// accounts lists the connected accounts at Stripe.
func (s *shop) accounts(t *testing.T) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.box+"/v1/accounts?limit=100", http.NoBody)
	require.NoError(t, err)
	req.SetBasicAuth("sk_test_shop", "")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &list), "%s", raw)
	var out []string
	for _, a := range list.Data {
		out = append(out, a.ID)
	}
	return out
}

// However many press the button at once, one account is opened.
func TestOneAccountIsOpened(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		agency, before := s.account.Agency.ID, len(s.accounts(t))
		links := make([]string, 24)
		var wg sync.WaitGroup
		for i := range links {
			wg.Go(func() {
				link, err := s.StartOnboarding(t.Context(), agency, "test")
				if err != nil {
					t.Error(err)
				}
				links[i] = link
			})
		}
		wg.Wait()
		require.Len(t, s.accounts(t), before+1)
		row := s.connection(t, agency)
		require.Equal(t, row.Account, s.accounts(t)[0])
		require.False(t, row.Sells())
		var audits int64
		require.NoError(t, db.Read.Model(&models.AuditEntry{}).Where("action = ?", "agency.connect.start").Count(&audits).Error)
		require.EqualValues(t, 1, audits)

		// An answer that gets lost is asked for again under the same key.
		lost := s.agency(t, "lost")
		require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {"/v1/accounts"}, "fault": {"timeout_after_success"}, "count": {"9"}}))
		_, err := s.StartOnboarding(t.Context(), lost, "test")
		require.True(t, problem.Is(err, "payment_unavailable"), "%v", err)
		require.Empty(t, s.connection(t, lost).Account)
		require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {"/v1/accounts"}, "fault": {"500"}, "count": {"0"}}))
		_, err = s.StartOnboarding(t.Context(), lost, "test")
		require.NoError(t, err)
		require.Len(t, s.accounts(t), before+2)
	})
}

// An agency goes to Stripe and comes back; what Stripe says decides, not that
// it came back.
func TestOnboarding(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		agency := s.account.Agency.ID
		state := func() billing.Connection {
			got, err := s.RefreshConnection(t.Context(), agency)
			require.NoError(t, err)
			return got
		}
		got := state()
		require.Equal(t, billing.ConnectionNone, got.State())

		link, err := s.StartOnboarding(t.Context(), agency, "test")
		require.NoError(t, err)
		s.onboard(t, link, "later")
		got = state()
		require.Equal(t, billing.ConnectionStarted, got.State())
		require.Contains(t, got.Due, "a bank account for payouts")
		require.Equal(t, s.box+"/dashboard/"+got.Account, got.Dashboard)

		s.onboard(t, link, "incomplete")
		got = state()
		require.Equal(t, billing.ConnectionLacking, got.State())
		require.Equal(t, []string{"a document that proves the identity of a person or the business"}, got.Due)
		require.Equal(t, "Details are missing.", got.Why)

		again, err := s.StartOnboarding(t.Context(), agency, "test")
		require.NoError(t, err)
		require.NotEqual(t, path.Base(link), path.Base(again), "a link works once, so each is new")
		s.mode(t, "drop")
		s.onboard(t, again, "finish")
		told := s.connection(t, agency)
		require.False(t, told.Sells(), "nobody was told")
		got = state()
		require.Equal(t, billing.ConnectionSelling, got.State())
		require.Equal(t, []any{"Shop", "STRIPE SELLER", true}, []any{got.Name, got.Statement, got.PayoutsEnabled})
		require.Empty(t, got.Due)
		require.Empty(t, got.Why)
	})
}

// Sales stop when Stripe says so and go on when it says so, by events or, where
// these are lost, by the clock. What is open is left to finish.
func TestSalesStopWithTheAccount(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		agency := s.account.Agency.ID
		sells := func(want bool) {
			t.Helper()
			require.Eventually(t, func() bool { row := s.connection(t, agency); return row.Sells() == want }, 15*time.Second, 10*time.Millisecond)
		}
		acme, kite := s.client(t, "acme"), s.client(t, "kite")
		open, err := s.order(t, acme, growth, "k1")
		require.NoError(t, err)
		set := func(form url.Values) {
			t.Helper()
			require.Equal(t, http.StatusOK, s.sim(t, "accounts/"+shopAccount, form))
		}
		set(url.Values{"charges_enabled": {"false"}, "disabled_reason": {"under_review"}})
		sells(false)
		_, err = s.order(t, kite, growth, "k2")
		require.True(t, problem.Is(err, "payments_disabled"), "%v", err)
		got, err := s.RefreshConnection(t.Context(), agency)
		require.NoError(t, err)
		require.Equal(t, billing.ConnectionPaused, got.State())
		require.Equal(t, "Stripe is reviewing the account.", got.Why)
		s.pay(t, open)
		s.becomes(t, open, models.PurchaseCredited)

		set(url.Values{"charges_enabled": {"true"}})
		sells(true)
		_, err = s.order(t, kite, growth, "k3")
		require.NoError(t, err)

		s.handled(t)
		s.mode(t, "drop")
		set(url.Values{"charges_enabled": {"false"}})
		s.later(t, time.Minute)
		sells(true) // nobody has told, and an hour has not passed
		s.later(t, time.Hour)
		sells(false)
		var actions []string
		require.NoError(t, db.Read.Model(&models.AuditEntry{}).Where("actor = ?", "stripe").Order("id").Pluck("action", &actions).Error)
		require.Equal(t, []string{"agency.connect.pause", "agency.connect.ready", "agency.connect.pause"}, actions)
	})
}

// The end of a connection is believed as signed, once and for the account that
// it comes from.
func TestDisconnected(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		agency, acme := s.account.Agency.ID, s.client(t, "acme")
		other := s.agency(t, "other")
		_, err := s.ConnectExisting(t.Context(), other, "acct_other", "test")
		require.NoError(t, err)
		ended := func() bool { return s.connection(t, agency).DisconnectedAt != 0 }

		// One of test mode would be told to a live endpoint too; a forged one has no
		// signature; on the platform's endpoint it means nothing.
		forged := []byte(`{"id":"evt_forged","type":"account.application.deauthorized","account":"acct_shop","livemode":false,"created":4102444800,"data":{"object":{"id":"ca_1","object":"application"}}}`)
		live := []byte(strings.NewReplacer("evt_forged", "evt_live", `"livemode":false`, `"livemode":true`).Replace(string(forged)))
		at := time.Now()
		require.True(t, problem.Is(s.ReceiveEvent(t.Context(), billing.EndpointConnect, forged, stripesim.Sign(forged, "whsec_shop", at)), "bad_signature"))
		require.NoError(t, s.ReceiveEvent(t.Context(), billing.EndpointPlatform, forged, stripesim.Sign(forged, "whsec_shop", at)))
		require.NoError(t, s.ReceiveEvent(t.Context(), billing.EndpointConnect, live, stripesim.Sign(live, "whsec_connect", at)))
		// One that ended an earlier connection comes late.
		late := []byte(strings.NewReplacer("evt_forged", "evt_late", "4102444800", "1000000000").Replace(string(forged)))
		require.NoError(t, s.ReceiveEvent(t.Context(), billing.EndpointConnect, late, stripesim.Sign(late, "whsec_connect", at)))
		foreign := []byte(strings.NewReplacer("evt_forged", "evt_foreign", "acct_shop", "acct_nobody").Replace(string(forged)))
		require.NoError(t, s.ReceiveEvent(t.Context(), billing.EndpointConnect, foreign, stripesim.Sign(foreign, "whsec_connect", at)))
		notes := map[string]string{
			"evt_forged": "not about a purchase, a card or a connection", "evt_live": "made in another mode",
			"evt_late": "it ended an earlier connection", "evt_foreign": "no agency sells through this account",
		}
		require.Eventually(t, func() bool {
			var kept []models.StripeEvent
			require.NoError(t, db.Read.Where("state = ? AND event_id IN ?", models.EventIgnored, []string{"evt_forged", "evt_live", "evt_late", "evt_foreign"}).Find(&kept).Error)
			for _, e := range kept {
				require.Equal(t, notes[e.EventID], e.Note)
			}
			return len(kept) == len(notes)
		}, 15*time.Second, 10*time.Millisecond)
		require.False(t, ended())

		require.Equal(t, http.StatusOK, s.sim(t, "accounts/"+shopAccount+"/deauthorize", nil))
		require.Eventually(t, ended, 15*time.Second, 10*time.Millisecond)
		row := s.connection(t, agency)
		require.False(t, row.Sells())
		_, err = s.order(t, acme, growth, "k1")
		require.True(t, problem.Is(err, "not_connected"), "%v", err)
		theirs := s.connection(t, other)
		require.True(t, theirs.Sells(), "another agency's connection stands")

		// Again, through another account: the old one is out of reach for good.
		link, err := s.StartOnboarding(t.Context(), agency, "test")
		require.NoError(t, err)
		s.onboard(t, link, "finish")
		got, err := s.RefreshConnection(t.Context(), agency)
		require.NoError(t, err)
		require.Equal(t, billing.ConnectionSelling, got.State())
		require.NotEqual(t, shopAccount, got.Account)
		p, err := s.order(t, acme, growth, "k2")
		require.NoError(t, err)
		require.Equal(t, got.Account, p.Account)
	})
}

// hears is what the agency's people were told of its sales: subjects of the mails to
// an address, after everything due was done.
func (s *shop) hears(t *testing.T, address string) []string {
	t.Helper()
	s.handled(t)
	require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
	var out []string
	require.NoError(t, s.db.Read.Model(&models.Mail{}).Where("recipient = ? AND kind = ?", address, models.MailNotice).Order("id").Pluck("subject", &out).Error)
	return out
}

func (s *shop) joins(t *testing.T, name string, role models.Role) models.User {
	t.Helper()
	u, err := s.CreateUser(t.Context(), billing.UserInput{Email: name + "@example.test", Name: name, By: "test"})
	require.NoError(t, err)
	require.NoError(t, s.AddMember(t.Context(), billing.MemberInput{Agency: s.account.Agency.ID, User: u.ID, Role: role, By: "test"}))
	return u
}

// An agency hears once that it takes no money, whichever event says so and however
// often, and once that it does again; not that it begins to.
func TestPausedSalesAreToldOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		agency := s.account.Agency.ID
		olga, bob, mia := s.joins(t, "olga", models.RoleOwner), s.joins(t, "bob", models.RoleBilling), s.joins(t, "mia", models.RoleMember)
		require.NoError(t, s.SetWishes(t.Context(), s.account, bob.ID, []billing.Wish{{Event: models.NoticeSalesPaused, InApp: true}}, "test"))
		link, err := s.StartOnboarding(t.Context(), agency, "test")
		require.NoError(t, err)
		s.onboard(t, link, "finish")
		require.Eventually(t, func() bool { row := s.connection(t, agency); return row.Sells() }, 15*time.Second, 10*time.Millisecond)
		row := s.connection(t, agency)
		require.Empty(t, s.hears(t, olga.Email), "sales begin")

		set := func(form url.Values) {
			t.Helper()
			require.Equal(t, http.StatusOK, s.sim(t, "accounts/"+row.Account, form))
		}
		sells := func(want bool) {
			t.Helper()
			require.Eventually(t, func() bool { row := s.connection(t, agency); return row.Sells() == want }, 15*time.Second, 10*time.Millisecond)
		}
		const paused, again = "Stripe has paused your sales", "You can sell again"
		// account.updated and capability.updated come for one and the same change, and each twice.
		s.mode(t, "duplicate")
		set(url.Values{"charges_enabled": {"false"}, "disabled_reason": {"under_review"}})
		sells(false)
		require.Equal(t, []string{paused}, s.hears(t, olga.Email))
		set(url.Values{"charges_enabled": {"false"}, "payouts_enabled": {"false"}, "disabled_reason": {"listed"}})
		s.later(t, 2*time.Hour) // the clock asks, too
		require.Equal(t, []string{paused}, s.hears(t, olga.Email))
		set(url.Values{"charges_enabled": {"true"}})
		sells(true)
		require.Equal(t, []string{paused, again}, s.hears(t, olga.Email))

		// Armed again; of many that find it out at once one tells.
		s.mode(t, "drop")
		set(url.Values{"charges_enabled": {"false"}, "due": {"external_account"}, "disabled_reason": {"requirements.past_due"}})
		var together sync.WaitGroup
		for range 4 { // fewer than a question is asked again
			together.Go(func() {
				if _, err := s.RefreshConnection(t.Context(), agency); err != nil {
					t.Error(err)
				}
			})
		}
		together.Wait()
		require.Equal(t, []string{paused, again, paused}, s.hears(t, olga.Email))
		// That it leaves while it is paused changes nothing for its clients.
		s.mode(t, "deliver")
		require.Equal(t, http.StatusOK, s.sim(t, "accounts/"+row.Account+"/deauthorize", nil))
		require.Eventually(t, func() bool { return s.connection(t, agency).DisconnectedAt != 0 }, 15*time.Second, 10*time.Millisecond)
		require.Len(t, s.hears(t, olga.Email), 3)
		// Another account takes its place, and may take money from the first moment on.
		_, err = s.ConnectExisting(t.Context(), agency, shopAccount, "test")
		require.NoError(t, err)
		require.Equal(t, []string{paused, again, paused, again}, s.hears(t, olga.Email))

		require.Equal(t, []string{again, again}, s.hears(t, bob.Email), "he wants no mail of the other")
		require.Empty(t, s.hears(t, mia.Email), "a member reads it in the portal")
		list, err := s.NoticesOf(t.Context(), s.account, mia.ID, models.NoticeID{}, 10)
		require.NoError(t, err)
		require.Len(t, list, 4)
		require.Equal(t, []string{"See your packages", "/packages"}, []string{list[1].Words.Button, list[1].Words.Path}, "she may not connect Stripe")
		list2, err := s.NoticesOf(t.Context(), s.account, olga.ID, models.NoticeID{}, 10)
		require.NoError(t, err)
		require.Equal(t, "/packages/connect", list2[1].Words.Path)
		require.Contains(t, list[1].Words.Lines[0], "Details are missing.")
		require.Contains(t, list[1].Words.Lines[1], "Stripe asks you for details.")
		require.Contains(t, list[3].Words.Lines[0], "Stripe is reviewing the account.")
	})
}

// An agency that disconnects hears what that means, and once it is back that it can
// sell again; what ended the earlier connection comes too late to end this one.
func TestADisconnectedAgencyIsTold(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		agency, first := s.account.Agency.ID, s.connection(t, s.account.Agency.ID)
		s.subscribes(t, s.client(t, "acme"), s.month(t, growth), "k")
		s.later(t, time.Minute) // what was told before has nobody who hears it
		olga := s.joins(t, "olga", models.RoleOwner)
		ended := func(id string, at models.Time) {
			t.Helper()
			body := fmt.Appendf(nil, `{"id":%q,"type":"account.application.deauthorized","account":"acct_shop","livemode":false,"created":%d,"data":{"object":{"id":"ca_1","object":"application"}}}`, id, at.Go().Unix())
			require.NoError(t, s.ReceiveEvent(t.Context(), billing.EndpointConnect, body, stripesim.Sign(body, "whsec_connect", time.Now())))
			s.handled(t)
		}
		const left, again = "Stripe is disconnected, so you can't sell", "You can sell again"
		for _, id := range []string{"evt_end", "evt_end", "evt_once_more"} {
			ended(id, s.clock.Now())
			require.Equal(t, []string{left}, s.hears(t, olga.Email))
		}
		require.Contains(t, s.says(t, s.account, models.NoticeSalesPaused), "Stripe goes on charging your clients for 1 monthly package, and nothing is added here for that.")
		s.later(t, time.Minute)
		got, err := s.RefreshConnection(t.Context(), agency)
		require.NoError(t, err)
		require.Equal(t, billing.ConnectionSelling, got.State())
		require.Equal(t, []string{left, again}, s.hears(t, olga.Email))
		ended("evt_late", first.CreatedAt.Add(30*time.Second))
		now := s.connection(t, agency)
		require.True(t, now.Sells())
		require.Equal(t, []string{left, again}, s.hears(t, olga.Email))
		ended("evt_new", s.clock.Now())
		require.Equal(t, []string{left, again, left}, s.hears(t, olga.Email))
	})
}

// What was open when its account left can be asked about no more: the stock goes
// back once the buyer cannot pay any longer, or gave up, and a person decides.
func TestSalesOfAnAccountThatLeft(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme, kite := s.client(t, "acme"), s.client(t, "kite")
		open, err := s.order(t, acme, growth, "k1")
		require.NoError(t, err)
		given, err := s.order(t, kite, growth, "k2")
		require.NoError(t, err)
		s.mode(t, "drop")
		s.pay(t, open)
		require.Equal(t, http.StatusOK, s.sim(t, "accounts/"+shopAccount+"/deauthorize", nil))

		got, err := s.Settle(t.Context(), open.AgencyID, open.ID)
		require.NoError(t, err)
		require.Equal(t, models.PurchaseOpen, got.Status, "the agency may come back")
		require.Equal(t, 20*thousand, s.balance(t, s.account).Held)
		got, err = s.Cancel(t.Context(), given.AgencyID, given.ID)
		require.NoError(t, err)
		require.Equal(t, models.PurchaseReview, got.Status)
		require.Equal(t, 10*thousand, s.balance(t, s.account).Held)
		s.later(t, 2*billing.SessionLife)
		got = s.read(t, open)
		require.Equal(t, models.PurchaseReview, got.Status)
		require.Contains(t, got.StatusNote, "was disconnected")
		require.Zero(t, s.balance(t, s.account).Held)
		require.Zero(t, s.balance(t, acme).Purchased)
	})
}

// A checkout that Stripe refuses to open says that something is wrong with the
// account: the next buyer is told at once.
func TestARefusedCheckoutEndsSales(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		s.mode(t, "drop")
		require.Equal(t, http.StatusOK, s.sim(t, "accounts/"+shopAccount, url.Values{"charges_enabled": {"false"}}))
		_, err := s.order(t, s.client(t, "acme"), growth, "k1")
		require.True(t, problem.Is(err, "payment_unavailable"), "%v", err)
		_, err = s.order(t, s.client(t, "kite"), growth, "k2")
		require.True(t, problem.Is(err, "payments_disabled"), "%v", err)
	})
}

// Where the event is lost, Stripe's refusal to answer says the same.
func TestDisconnectedWithoutBeingTold(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, _ := openStall(t, db)
		s.mode(t, "drop")
		require.Equal(t, http.StatusOK, s.sim(t, "accounts/"+shopAccount+"/deauthorize", nil))
		// An answer that never came says nothing.
		require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {"/v1/accounts/*"}, "fault": {"500"}, "count": {"9"}}))
		got, err := s.RefreshConnection(t.Context(), s.account.Agency.ID)
		require.True(t, problem.Is(err, "payment_unavailable"), "%v", err)
		require.Equal(t, billing.ConnectionSelling, got.State())
		require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {"/v1/accounts/*"}, "fault": {"500"}, "count": {"0"}}))
		got, err = s.RefreshConnection(t.Context(), s.account.Agency.ID)
		require.NoError(t, err)
		require.Equal(t, billing.ConnectionEnded, got.State())
	})
}

// An account is one agency's, and has to be reachable.
func TestConnectExisting(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		agency, other := s.account.Agency.ID, s.agency(t, "other")
		row, err := s.ConnectExisting(t.Context(), agency, shopAccount, "test")
		require.NoError(t, err)
		require.True(t, row.Sells())
		again, err := s.ConnectExisting(t.Context(), agency, shopAccount, "test")
		require.NoError(t, err)
		require.Equal(t, row.CreatedAt, again.CreatedAt)

		_, err = s.ConnectExisting(t.Context(), other, shopAccount, "test")
		require.True(t, problem.Is(err, "account_taken"), "%v", err)
		_, err = s.ConnectExisting(t.Context(), other, "acct_nobody", "test")
		require.True(t, problem.Is(err, "account_unknown"), "%v", err)
		_, err = s.ConnectExisting(t.Context(), agency, "acct_other", "test")
		require.True(t, problem.Is(err, "already_connected"), "%v", err)
		require.Empty(t, s.connection(t, other).Account)
	})
}

// The owner of a connected account can make objects there that name another's
// purchase, and Stripe signs what it tells of them: they settle nothing.
func TestForeignEventsSettleNothing(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		_, err := s.ConnectExisting(t.Context(), s.agency(t, "other"), "acct_other", "test")
		require.NoError(t, err)
		p, err := s.order(t, s.client(t, "acme"), growth, "k")
		require.NoError(t, err)
		s.mode(t, "drop")
		s.pay(t, p) // paid, and nobody was told: whoever asks Stripe now would credit it
		checked := s.read(t, p).CheckedAt
		for i, object := range []string{
			`{"id":"cs_evil","object":"checkout.session","client_reference_id":"` + p.ID.String() + `"}`,
			`{"id":"` + p.CheckoutSession + `","object":"checkout.session"}`,
			`{"id":"pi_evil","object":"payment_intent","metadata":{"refill_reference":"` + p.ID.String() + `"}}`,
		} {
			for _, account := range []string{`"acct_other"`, `null`} {
				body := []byte(`{"id":"evt_` + string(rune('a'+i)) + strings.Trim(account, `"`) + `","type":"checkout.session.completed","api_version":"2023-10-16","account":` +
					account + `,"livemode":false,"created":1800000000,"data":{"object":` + object + `}}`)
				require.NoError(t, s.ReceiveEvent(t.Context(), billing.EndpointConnect, body, stripesim.Sign(body, "whsec_connect", time.Now())))
			}
		}
		require.Eventually(t, func() bool {
			var n int64
			require.NoError(t, db.Read.Model(&models.StripeEvent{}).Where("endpoint = ? AND state = ?", billing.EndpointConnect, models.EventIgnored).Count(&n).Error)
			return n == 6
		}, 15*time.Second, 10*time.Millisecond)
		got := s.read(t, p)
		require.Equal(t, []any{models.PurchaseOpen, checked}, []any{got.Status, got.CheckedAt})
		settled, err := s.Settle(t.Context(), p.AgencyID, p.ID)
		require.NoError(t, err)
		require.Equal(t, models.PurchaseCredited, settled.Status)
	})
}
