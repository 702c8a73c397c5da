package handlers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/ledger"
	"refill/billing/mail"
	"refill/handlers"
	"refill/models"
	"refill/models/modelstest"
)

// tray is the mail server of a test.
type tray struct {
	mu  sync.Mutex
	got []mail.Message
}

func (r *tray) Send(_ context.Context, m mail.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, m)
	return nil
}

var linkIn = regexp.MustCompile(`https?://\S+`)

// mailed sends what waits, and gives the host and path that the last mail to an
// address leads to.
func (p *portal) mailed(to string) (at, path string) {
	p.t.Helper()
	require.NoError(p.t, p.billing.SendMails(p.t.Context()))
	p.tray.mu.Lock()
	defer p.tray.mu.Unlock()
	for _, m := range slices.Backward(p.tray.got) {
		if m.To == to {
			u, err := url.Parse(linkIn.FindString(m.Text))
			require.NoError(p.t, err)
			return u.Scheme + "://" + u.Host, u.Path
		}
	}
	p.t.Fatalf("no mail for %s", to)
	return "", ""
}

// withoutMail is another process on the same database, which has no mail server.
func (p *portal) withoutMail() *portal {
	p.t.Helper()
	led, err := ledger.Open(p.t.Context(), p.db, ledger.Options{})
	require.NoError(p.t, err)
	p.t.Cleanup(func() { require.NoError(p.t, led.Close()) })
	bare := *p
	bare.billing, err = billing.New(billing.Config{DB: p.db, Ledger: led, Clock: p.clock, Wall: p.wall, BaseURL: home})
	require.NoError(p.t, err)
	h, err := handlers.New(handlers.Config{EasyAdmins: true, Billing: bare.billing, BaseURL: home, Wall: p.wall})
	require.NoError(p.t, err)
	bare.server = httptest.NewServer(h)
	p.t.Cleanup(bare.server.Close)
	return &bare
}

func (p *portal) acmePeople() string { return "/sub-accounts/" + p.acme.ID.String() + "/people" }

func TestAnOwnerInvitesAClient(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		owner := p.as("owner")
		wrong := owner.fill(p.acmePeople(), p.acmePeople(), url.Values{"email": {"nobody"}})
		require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
		require.Equal(t, "nobody", wrong.doc().Find("#email").AttrOr("value", ""))
		require.Equal(t, http.StatusConflict, owner.fill(p.acmePeople(), p.acmePeople(), url.Values{"email": {"client@example.test"}}).StatusCode)
		require.Equal(t, p.acmePeople(), owner.fill(p.acmePeople(), p.acmePeople(), url.Values{"email": {"dana@example.test"}}).to())
		require.Contains(t, owner.get(p.acmePeople()).body, "dana@example.test")

		at, path := p.mailed("dana@example.test")
		require.Equal(t, clients, at)
		dana := p.visitor(clients)
		page := dana.get(path)
		require.Equal(t, http.StatusOK, page.StatusCode)
		require.Equal(t, "no-referrer", page.Header.Get("Referrer-Policy"))
		require.NotContains(t, strings.ToLower(page.body), "refill")
		require.Equal(t, http.StatusGone, p.visitor(home).get(path).StatusCode, "clients are never led to the platform")
		require.Equal(t, http.StatusGone, p.visitor(others).get(path).StatusCode)
		require.Equal(t, http.StatusForbidden, dana.post(path, url.Values{"name": {"Dana"}, "password": {password}}).StatusCode, "without its token")

		short := dana.fill(path, path, url.Values{"name": {"Dana"}, "password": {"short"}})
		require.Equal(t, http.StatusUnprocessableEntity, short.StatusCode)
		require.Equal(t, "Dana", short.doc().Find("#name").AttrOr("value", ""))
		require.Equal(t, "new-password", short.doc().Find("#password").AttrOr("autocomplete", ""))
		require.Equal(t, "dana@example.test", short.doc().Find("input[autocomplete=username]").AttrOr("value", ""))
		require.Equal(t, "/", dana.fill(path, path, url.Values{"name": {"Dana"}, "password": {password}}).to())
		require.Contains(t, dana.get("/").doc().Find("header .account").Text(), "ACME")
		require.Equal(t, http.StatusGone, p.visitor(clients).get(path).StatusCode)

		// Removed, and out with the next request.
		row := owner.get(p.acmePeople()).doc().Find("table a").FilterFunction(func(_ int, s *goquery.Selection) bool { return s.Text() == "Dana" })
		person := row.AttrOr("href", "")
		require.Equal(t, p.acmePeople(), owner.fill(person, person+"/remove", url.Values{}).to())
		require.Equal(t, http.StatusSeeOther, dana.get("/").StatusCode)
		require.Equal(t, http.StatusNotFound, owner.get(person).StatusCode)
	})
}

// Who may invite whom, and whose people they see.
func TestPeopleStayInTheirCircle(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	ctx := t.Context()
	invite := func(who, from, path string, form url.Values) answer { return p.as(who).fill(from, path, form) }
	ask := url.Values{"email": {"x@example.test"}, "role": {"member"}}
	require.Equal(t, http.StatusForbidden, invite("member", "/usage", p.acmePeople(), ask).StatusCode, "a member invites nobody")
	require.Equal(t, http.StatusForbidden, invite("member", "/usage", "/settings/team", ask).StatusCode)
	require.Equal(t, http.StatusForbidden, invite("billing", "/usage", "/settings/team", ask).StatusCode, "only owners change the team")
	require.Equal(t, p.acmePeople(), invite("billing", p.acmePeople(), p.acmePeople(), ask).to())
	require.Zero(t, p.as("member").get("/settings/team").doc().Find("main form").Length(), "members read the list")

	// A client invites to their own account only, whatever the form says.
	client := p.as("client")
	own := client.get("/settings/people")
	require.Contains(t, own.body, "client@example.test")
	for _, secret := range []string{"owner@example.test", "member@example.test", "MAPLE"} {
		require.NotContains(t, own.body, secret)
	}
	form := url.Values{"email": {"peer@example.test"}, "role": {"owner"}, "sub_account": {p.maple.ID.String()}}
	require.Equal(t, "/settings/people", client.fill("/settings/people", "/settings/people", form).to())
	at, path := p.mailed("peer@example.test")
	require.Equal(t, clients, at)
	peer := p.visitor(clients)
	require.Equal(t, "/", peer.fill(path, path, url.Values{"name": {"Peer"}, "password": {password}}).to())
	u, err := p.billing.UserByEmail(ctx, "peer@example.test")
	require.NoError(t, err)
	v, err := p.billing.Viewer(ctx, u.ID, p.northwind.ID)
	require.NoError(t, err)
	require.Equal(t, models.RoleClient, v.Role)
	require.Equal(t, p.acme.ID, v.SubAccount.ID)
	require.Equal(t, http.StatusForbidden, client.get(p.acmePeople()).StatusCode)
	require.Equal(t, http.StatusForbidden, client.get("/settings/team").StatusCode)

	// Another agency's, and another client's, invitation and people do not exist.
	row, err := p.billing.Invite(ctx, billing.InviteInput{
		Circle: billing.Circle{Agency: p.bluebird.ID, SubAccount: p.maple.ID}, Email: "maple@example.test", From: "stranger@example.test", By: "test",
	})
	require.NoError(t, err)
	team, err := p.billing.Invite(ctx, billing.InviteInput{
		Circle: billing.Circle{Agency: p.northwind.ID}, Role: models.RoleMember, Email: "team@example.test", From: "owner@example.test", By: "test",
	})
	require.NoError(t, err)
	owner := p.as("owner")
	revoke := url.Values{"do": {"revoke"}}
	for _, c := range []struct {
		by         *browser
		from, path string
	}{
		{owner, "/settings/team", p.acmePeople() + "/invitations/" + row.ID.String()},
		{owner, "/settings/team", p.acmePeople() + "/invitations/" + team.ID.String()},
		{owner, "/settings/team", "/settings/team/invitations/" + row.ID.String()},
		{owner, "/settings/team", "/sub-accounts/" + p.maple.ID.String() + "/people/invitations/" + row.ID.String()},
		{client, "/settings/people", "/settings/people/invitations/" + team.ID.String()},
		{client, "/settings/people", "/settings/people/invitations/" + row.ID.String()},
		{owner, "/settings/team", "/settings/team/invitations/inv_nothing"},
		{owner, "/settings/team", p.acmePeople() + "/" + p.users["member"].ID.String() + "/remove"},
		{owner, "/settings/team", "/settings/team/" + p.users["client"].ID.String() + "/remove"},
		{owner, "/settings/team", "/settings/team/" + p.users["stranger"].ID.String() + "/remove"},
		{owner, "/settings/team", "/settings/team/" + p.users["client"].ID.String()},
	} {
		require.Equal(t, http.StatusNotFound, c.by.fill(c.from, c.path, revoke).StatusCode, c.path)
	}
	require.Equal(t, http.StatusNotFound, owner.get("/sub-accounts/"+p.maple.ID.String()+"/people").StatusCode)
	require.Equal(t, "/settings/team", owner.fill("/settings/team", "/settings/team/invitations/"+team.ID.String(), revoke).to())
	require.Equal(t, http.StatusUnprocessableEntity, owner.fill("/settings/team", "/settings/team/invitations/"+team.ID.String(), url.Values{}).StatusCode)
}

func TestTheTeamAndItsRoles(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner := p.as("owner")
	require.Equal(t, http.StatusUnprocessableEntity, owner.fill("/settings/team", "/settings/team", url.Values{"email": {"new@example.test"}}).StatusCode, "a role is chosen")
	require.Equal(t, "/settings/team", owner.fill("/settings/team", "/settings/team", url.Values{"email": {"new@example.test"}, "role": {"billing"}}).to())
	at, path := p.mailed("new@example.test")
	require.Equal(t, home, at)
	someone := p.visitor(home)
	require.Contains(t, someone.get(path).body, "Billing")
	require.Equal(t, "/", someone.fill(path, path, url.Values{"name": {"New"}, "password": {password}}).to())
	require.Equal(t, http.StatusOK, someone.get("/sub-accounts/new").StatusCode)

	member := "/settings/team/" + p.users["member"].ID.String()
	require.Equal(t, http.StatusForbidden, someone.get(member).StatusCode)
	require.Equal(t, "/settings/team", owner.fill(member, member, url.Values{"role": {"owner"}}).to())
	require.Equal(t, http.StatusOK, p.as("member").get(member).StatusCode, "an owner now, from the next request on")
	self := "/settings/team/" + p.users["owner"].ID.String()
	require.Equal(t, "/settings/team", owner.fill(self, self, url.Values{"role": {"member"}}).to())
	last := p.as("member").fill(member, member+"/remove", url.Values{})
	require.Equal(t, http.StatusConflict, last.StatusCode)
	require.Contains(t, last.body, "last owner")
	require.Equal(t, http.StatusForbidden, owner.fill("/usage", member+"/remove", url.Values{}).StatusCode)
}

// Somebody who has an account joins with it: by password, or in one step where
// they are signed in.
func TestKnownPeopleJoin(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	ctx := t.Context()
	invite := func(email string) string {
		_, err := p.billing.Invite(ctx, billing.InviteInput{
			Circle: billing.Circle{Agency: p.bluebird.ID}, Role: models.RoleMember, Email: email, From: "stranger@example.test", By: "test",
		})
		require.NoError(t, err)
		_, path := p.mailed(email)
		return path
	}
	p.clock.set(begin.Add(time.Hour)) // after they came to where they are
	path := invite("owner@example.test")
	b := p.visitor(home)
	require.Zero(t, b.get(path).doc().Find("#name").Length(), "who they are is known")
	wrong := b.fill(path, path, url.Values{"password": {"wrong horse"}})
	require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
	require.Equal(t, 1, wrong.doc().Find("#password[aria-invalid=true]").Length())
	require.Equal(t, "/", b.fill(path, path, url.Values{"password": {password}}).to())
	require.Contains(t, b.get("/").doc().Find("header .account").Text(), "Bluebird", "they come in where they were invited")

	// Between the two by choice, in this browser only.
	choice := b.get("/switch")
	require.Equal(t, 1, choice.doc().Find("main form button").Length())
	require.Equal(t, "/", b.fill("/switch", "/switch", url.Values{"agency": {p.northwind.ID.String()}}).to())
	require.Contains(t, b.get("/").doc().Find("header .account").Text(), "Northwind")
	require.Equal(t, http.StatusNotFound, b.fill("/switch", "/switch", url.Values{"agency": {""}}).StatusCode, "they are no admin")
	require.Equal(t, http.StatusNotFound, p.as("member").fill("/switch", "/switch", url.Values{"agency": {p.bluebird.ID.String()}}).StatusCode)
	require.Contains(t, p.as("owner").get("/").doc().Find("header .account").Text(), "Northwind")

	// Signed in, one button; and who is somebody else is told so.
	path = invite("member@example.test")
	member := p.as("member")
	require.Zero(t, member.get(path).doc().Find("#password").Length())
	require.Contains(t, p.as("billing").get(path).body, "You are signed in as billing@example.test")
	require.Equal(t, "/", member.fill(path, path, url.Values{}).to())
	require.Contains(t, member.get("/").doc().Find("header .account").Text(), "Bluebird")

	// Without a password, by a mailed link.
	path = invite("billing@example.test")
	b = p.visitor(home)
	require.Equal(t, "/sign-in/sent", b.fill(path, path+"/link", url.Values{}).to())
	_, link := p.mailed("billing@example.test")
	require.Contains(t, link, "/sign-in/")
	require.Contains(t, b.get(link).body, "Accept the invitation to")
	require.Equal(t, "/", b.fill(link, link, url.Values{}).to())
	require.Contains(t, b.get("/").doc().Find("header .account").Text(), "Bluebird")
	require.Equal(t, http.StatusGone, p.visitor(home).get(path).StatusCode)

	// An admin who joins an agency goes to and fro.
	path = invite("admin@example.test")
	admin := p.as("admin")
	require.Equal(t, "/", admin.fill(path, path, url.Values{}).to())
	require.Contains(t, admin.get("/").doc().Find("header .account").Text(), "Bluebird")
	require.Equal(t, http.StatusForbidden, admin.get("/admin").StatusCode)
	require.Equal(t, "/", admin.fill("/switch", "/switch", url.Values{"agency": {""}}).to())
	require.Equal(t, http.StatusOK, admin.get("/admin").StatusCode)
}

// TestMailedLinkPages asks for links in the browser, at both doors.
func TestMailedLinkPages(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	for _, c := range []struct{ at, email, account string }{{home, "owner@example.test", "Northwind"}, {clients, "client@example.test", "ACME"}} {
		b := p.visitor(c.at)
		form := b.get("/sign-in").doc()
		require.Equal(t, "username", form.Find("#email").AttrOr("autocomplete", ""))
		require.Equal(t, "current-password", form.Find("#password").AttrOr("autocomplete", ""))
		bodies := map[string]string{}
		for _, email := range []string{c.email, "nobody@example.test"} {
			a := b.fill("/sign-in", "/sign-in/link", url.Values{"email": {email}})
			require.Equal(t, http.StatusSeeOther, a.StatusCode)
			require.Equal(t, "/sign-in/sent", a.to())
			d := b.get("/sign-in/sent").doc()
			d.Find("input[name=csrf_token]").Remove()
			html, err := d.Html()
			require.NoError(t, err)
			bodies[email] = html
		}
		require.Equal(t, bodies[c.email], bodies["nobody@example.test"], "the answer tells nobody who has an account")
		if c.at == clients {
			require.NotContains(t, strings.ToLower(bodies[c.email]), "refill")
		}
		at, path := p.mailed(c.email)
		require.Equal(t, c.at, at)
		require.Equal(t, 1, b.get(path).doc().Find("main form button").Length())
		require.Equal(t, "/", b.fill(path, path, url.Values{}).to())
		page := b.get("/").doc()
		require.Contains(t, page.Find("header .account").Text(), c.account)
		require.Equal(t, "/settings/security", page.Find(".flash a").AttrOr("href", ""))
	}
	b := p.visitor(home)
	require.Equal(t, http.StatusUnprocessableEntity, b.fill("/sign-in", "/sign-in/link", url.Values{"email": {"no address"}}).StatusCode)
	require.Equal(t, http.StatusUnprocessableEntity, b.fill("/sign-in", "/sign-in/link", url.Values{}).StatusCode)
	for range 5 {
		require.Equal(t, http.StatusSeeOther, b.fill("/sign-in", "/sign-in/link", url.Values{"email": {"victim@example.test"}}).StatusCode)
	}
	slow := b.fill("/sign-in", "/sign-in/link", url.Values{"email": {"victim@example.test"}})
	require.Equal(t, http.StatusTooManyRequests, slow.StatusCode)
	require.Equal(t, "900", slow.Header.Get("Retry-After"))
}

func TestAPasswordIsSetBySomebodyWhoJustProvedWhoTheyAre(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	other, b := p.as("owner"), p.as("owner")
	id := b.cookie()
	require.Zero(t, b.get("/settings/security").doc().Find("#current").Length())
	require.Equal(t, http.StatusUnprocessableEntity, b.fill("/settings/security", "/settings/password", url.Values{"password": {"short"}}).StatusCode)
	require.Equal(t, "/settings/security", b.fill("/settings/security", "/settings/password", url.Values{"password": {"another good one"}}).to())
	require.NotEqual(t, id, b.cookie(), "a new session")
	require.Equal(t, http.StatusOK, b.get("/").StatusCode)
	require.Equal(t, http.StatusSeeOther, other.get("/").StatusCode, "others are signed out")

	p.wall.set(begin.Add(time.Hour))
	require.Equal(t, 1, b.get("/settings/security").doc().Find("#current").Length())
	for _, current := range []string{"", "wrong horse", password} {
		a := b.fill("/settings/security", "/settings/password", url.Values{"current": {current}, "password": {password}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, current)
	}
	require.Equal(t, "/settings/security", b.fill("/settings/security", "/settings/password", url.Values{"current": {"another good one"}, "password": {password}}).to())
	fresh := p.visitor(home)
	require.Equal(t, "/", fresh.fill("/sign-in", "/sign-in", credentials("owner@example.test", password)).to())
	require.Equal(t, http.StatusOK, p.as("client").get("/settings/security").StatusCode)
	require.Equal(t, http.StatusOK, p.as("admin").get("/settings/security").StatusCode)
}

// The outbox has pages in a demonstration only, on the platform's own host.
func TestTheOutboxIsTheDemosOwn(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	require.Equal(t, http.StatusNotFound, p.as("admin").get("/demo/mail").StatusCode)
	require.Equal(t, http.StatusNotFound, p.as("admin").get("/demo/mail/1").StatusCode)

	p = sqlite(t, func(c *handlers.Config) { c.Demo = &handlers.Demo{Banner: "Demo"} })
	owner := p.as("owner")
	require.Equal(t, "/settings/team", owner.fill("/settings/team", "/settings/team", url.Values{"email": {"new@example.test"}, "role": {"member"}}).to())
	require.Equal(t, "/demo/mail", owner.get("/settings/team").doc().Find(".flash a").AttrOr("href", ""))
	b := p.visitor(home)
	list := b.get("/demo/mail").doc()
	require.Contains(t, list.Find("main").Text(), "new@example.test")
	page := b.get(list.Find("main li a").First().AttrOr("href", ""))
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.True(t, strings.HasPrefix(page.doc().Find(".mail-text a").AttrOr("href", ""), home+"/invitations/"))
	require.Equal(t, http.StatusNotFound, b.get("/demo/mail/999").StatusCode)
	require.Equal(t, http.StatusNotFound, b.get("/demo/mail/x").StatusCode)
	portal := p.visitor(clients)
	require.Equal(t, http.StatusNotFound, portal.get("/demo/mail").StatusCode)
	require.Zero(t, portal.get("/sign-in/sent").doc().Find(`a[href*="demo"]`).Length())
}

func TestAnAdminIsToldThatMailsWait(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	require.Zero(t, p.as("admin").get("/admin").doc().Find(".notices").Length())
	_, err := p.billing.Invite(t.Context(), billing.InviteInput{
		Circle: billing.Circle{Agency: p.northwind.ID}, Role: models.RoleMember, Email: "x@example.test", From: "owner@example.test", By: "test",
	})
	require.NoError(t, err)
	bare := p.withoutMail()
	require.Contains(t, bare.as("admin").get("/admin").body, "REFILL_SMTP_URL")
	require.Contains(t, bare.as("admin").get("/admin").body, "1 mail waits")
	require.Contains(t, bare.as("owner").get("/settings/team").body, "invitations wait until there is one")
	require.Zero(t, bare.visitor(home).get("/sign-in").doc().Find("[formaction]").Length(), "no way in that leads nowhere")
}

func TestArchivePages(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		_, err := p.billing.Assign(t.Context(), billing.Scope{}, billing.TransferInput{
			Agency: p.northwind.ID, SubAccount: p.acme.ID, Credits: 1204 * models.Credit, Key: "feed", By: "test",
		})
		require.NoError(t, err)
		acme := "/sub-accounts/" + p.acme.ID.String()
		owner, client, member := p.as("owner"), p.as("client"), p.as("member")
		ask := owner.get(acme + "/archive").doc().Find("main").Text()
		require.Contains(t, ask, "Return 1,204 assigned credits to you?")
		require.Contains(t, ask, "The one person with access can't sign in any more.")
		require.Equal(t, http.StatusForbidden, member.get(acme+"/archive").StatusCode)
		require.Equal(t, http.StatusForbidden, member.fill("/usage", acme+"/archive", url.Values{"back": {"return"}}).StatusCode)
		require.Equal(t, http.StatusNotFound, p.as("stranger").get(acme+"/archive").StatusCode)

		require.Equal(t, acme, owner.fill(acme+"/archive", acme+"/archive", url.Values{"back": {"return"}}).to())
		page := owner.get(acme)
		require.Contains(t, page.body, "1,204 credits returned to you.")
		require.Contains(t, page.doc().Find("main").Text(), "was archived today")
		require.Equal(t, http.StatusSeeOther, client.get("/").StatusCode, "its people are out at once")
		require.Equal(t, acme, owner.get(acme+"/archive").to())
		require.Contains(t, owner.get("/sub-accounts").body, "Archived")
		require.NotContains(t, owner.get("/sub-accounts").doc().Find("table").Text(), "ACME")
		require.Contains(t, owner.get("/sub-accounts/archived").body, "Restore ACME")
		require.NotContains(t, member.get("/sub-accounts/archived").body, "Restore")
		require.Equal(t, http.StatusConflict, owner.fill("/sub-accounts/archived", acme+"/assign", url.Values{"credits": {"5"}, "attempt": {"x"}}).StatusCode)
		require.Equal(t, http.StatusForbidden, owner.fill("/sub-accounts/archived", p.acmePeople(), url.Values{"email": {"x@example.test"}}).StatusCode)
		require.Equal(t, acme, owner.fill("/sub-accounts/archived", acme+"/restore", url.Values{}).to())
		require.Equal(t, http.StatusOK, client.get("/").StatusCode)
	})
}

// has tells whether a mail went to an address.
func (r *tray) has(to string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.got, func(m mail.Message) bool { return m.To == to })
}
