package billing

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// invites is a post with an owner and a client's account.
type invites struct {
	*post
	acme  *Account
	owner models.User
	team  Circle
	sub   Circle
}

func newInvites(t *testing.T, db *models.DB) *invites {
	t.Helper()
	h := &invites{post: newPost(t, db)}
	h.acme = h.client("acme", models.Prepaid, "")
	h.owner = h.person("owner@example.test", "")
	require.NoError(t, h.s.AddMember(t.Context(), MemberInput{Agency: h.agency.ID, User: h.owner.ID, Role: models.RoleOwner, By: "test"}))
	h.team, h.sub = Circle{Agency: h.agency.ID}, Circle{Agency: h.agency.ID, SubAccount: h.acme.SubAccount.ID}
	return h
}

// invite invites an address and gives the token that its mail carries.
func (h *invites) invite(c Circle, email string, role models.Role) (models.Invitation, string) {
	h.t.Helper()
	row, err := h.s.Invite(h.t.Context(), InviteInput{Circle: c, Email: email, Role: role, From: "owner@example.test", By: "user:owner@example.test"})
	require.NoError(h.t, err)
	h.send()
	return row, token(h.tray.link(h.t, normalEmail(email)))
}

// accept takes an invitation up as a new person.
func (h *invites) accept(tok string, portal models.AgencyID) (models.User, error) {
	u, _, err := h.s.AcceptInvitation(h.t.Context(), AcceptInput{Token: tok, Portal: portal, Name: " Ada ", Password: secret})
	return u, err
}

func TestAClientIsInvited(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newInvites(t, db)
		ctx := t.Context()
		row, tok := h.invite(h.sub, " Ada@Example.test", "")
		m := h.tray.got[0]
		require.Equal(t, "Northwind", m.FromName)
		require.Equal(t, "owner@example.test", m.ReplyTo)
		require.True(t, strings.HasPrefix(h.tray.link(t, "ada@example.test"), "https://northwind.credits.test/invitations/"))
		require.NotContains(t, strings.ToLower(m.Subject+m.Text+m.HTML), "refill")
		require.NotContains(t, string(row.TokenHash), tok, "only its hash is kept")

		// Looking uses nothing up, and only its own door shows it.
		for range 3 {
			o, err := h.s.InvitationByToken(ctx, tok, h.agency.ID)
			require.NoError(t, err)
			require.Equal(t, "Client acme", o.Place())
			require.False(t, o.Known)
		}
		_, err := h.s.InvitationByToken(ctx, tok, models.AgencyID{})
		require.True(t, problem.Is(err, "invitation_expired"), "clients never see the platform")
		_, err = h.accept(tok, models.AgencyID{})
		require.True(t, problem.Is(err, "invitation_expired"))

		u, err := h.accept(tok, h.agency.ID)
		require.NoError(t, err)
		require.Equal(t, "Ada", u.Name)
		_, err = h.s.Authenticate(ctx, "ada@example.test", secret, "10.0.0.1")
		require.NoError(t, err)
		v, err := h.s.Viewer(ctx, u.ID, h.agency.ID)
		require.NoError(t, err)
		require.Equal(t, h.acme.Wallet, v.Account().Wallet)
		_, err = h.accept(tok, h.agency.ID)
		require.True(t, problem.Is(err, "invitation_expired"), "once")

		list, err := h.s.PeopleOf(ctx, h.sub)
		require.NoError(t, err)
		require.Len(t, list.People, 1)
		require.Equal(t, "ada@example.test", list.People[0].Email)
		require.Zero(t, list.People[0].SeenAt)
		require.Empty(t, list.Invited)
		require.NoError(t, h.s.SeenSession(ctx, models.Session{LastSeenAt: models.Time(h.wall.Load())}, &v))
		seen, err := h.s.PersonIn(ctx, h.sub, u.ID)
		require.NoError(t, err)
		require.EqualValues(t, h.wall.Load(), seen.SeenAt)
		require.Len(t, h.audits("member.invite"), 1)
		require.Len(t, h.audits("member.join"), 1)
		require.Equal(t, "user:ada@example.test", h.audits("member.join")[0].Actor)
	})
}

// Of many who accept at once, one wins; nobody is made twice.
func TestAnInvitationIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newInvites(t, db)
		_, tok := h.invite(h.team, "ben@example.test", models.RoleBilling)
		var wait sync.WaitGroup
		var mu sync.Mutex
		won, lost := 0, 0
		for range 4 {
			wait.Go(func() {
				_, err := h.accept(tok, models.AgencyID{})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case problem.Is(err, "invitation_expired"), problem.Is(err, "sign_in_first"):
					lost++
				default:
					t.Errorf("accept: %v", err)
				}
			})
		}
		wait.Wait()
		require.Equal(t, []int{1, 3}, []int{won, lost})
		list, err := h.s.PeopleOf(t.Context(), h.team)
		require.NoError(t, err)
		require.Equal(t, []models.Role{models.RoleOwner, models.RoleBilling}, []models.Role{list.People[0].Role, list.People[1].Role})
	})
}

func TestInvitationsEnd(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newInvites(t, db)
		ctx := t.Context()
		open := func(tok string) bool {
			_, err := h.s.InvitationByToken(ctx, tok, h.agency.ID)
			require.True(t, err == nil || problem.Is(err, "invitation_expired"))
			return err == nil
		}
		row, first := h.invite(h.sub, "ada@example.test", "")
		_, err := h.s.ResendInvitation(ctx, h.sub, row.ID, "owner@example.test", "test")
		require.NoError(t, err)
		h.send()
		second := token(h.tray.link(t, "ada@example.test"))
		require.False(t, open(first), "the newer mail's link holds")
		require.True(t, open(second))

		// Inviting again replaces what is open.
		_, third := h.invite(h.sub, "ada@example.test", "")
		require.False(t, open(second))
		list, err := h.s.PeopleOf(ctx, h.sub)
		require.NoError(t, err)
		require.Len(t, list.Invited, 1)

		// Somebody else's circle does not reach it.
		for _, c := range []Circle{h.team, {Agency: h.agency.ID, SubAccount: h.client("other", models.Prepaid, "").SubAccount.ID}, {Agency: models.NewID[models.AgencyID](1), SubAccount: h.sub.SubAccount}} {
			_, err := h.s.RevokeInvitation(ctx, c, list.Invited[0].ID, "test")
			require.True(t, problem.Is(err, "not_found"))
			_, err = h.s.ResendInvitation(ctx, c, list.Invited[0].ID, "x@example.test", "test")
			require.True(t, problem.Is(err, "not_found"))
		}
		require.True(t, open(third))
		_, err = h.s.RevokeInvitation(ctx, h.sub, list.Invited[0].ID, "test")
		require.NoError(t, err)
		require.False(t, open(third))
		_, err = h.accept(third, h.agency.ID)
		require.True(t, problem.Is(err, "invitation_expired"))
		_, err = h.s.ResendInvitation(ctx, h.sub, list.Invited[0].ID, "x@example.test", "test")
		require.True(t, problem.Is(err, "not_found"), "what was taken back stays so")

		_, old := h.invite(h.sub, "late@example.test", "")
		h.now.Store(int64(h.s.Now().Add(InvitationLife - time.Second)))
		require.True(t, open(old))
		h.now.Store(int64(h.s.Now().Add(time.Second)))
		require.False(t, open(old))
		_, err = h.accept(old, h.agency.ID)
		require.True(t, problem.Is(err, "invitation_expired"))
	})
}

// An address that has an account proves that it is theirs: by password, by being
// signed in, or by a fresh link.
func TestKnownPeopleJoinAsThemselves(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newInvites(t, db)
		ctx := t.Context()
		ben := h.person("ben@example.test", secret)
		_, tok := h.invite(h.sub, "ben@example.test", "")
		o, err := h.s.InvitationByToken(ctx, tok, h.agency.ID)
		require.NoError(t, err)
		require.True(t, o.Known)
		require.True(t, o.Password)
		_, err = h.accept(tok, h.agency.ID)
		require.True(t, problem.Is(err, "sign_in_first"), "holding the mail of a week ago is not enough")
		_, _, err = h.s.AcceptInvitation(ctx, AcceptInput{Token: tok, Portal: h.agency.ID, As: h.owner.ID})
		require.True(t, problem.Is(err, "sign_in_first"), "it is not the owner's")

		require.NoError(t, h.s.RequestJoinLink(ctx, tok, h.agency.ID, "10.0.0.1"))
		h.send()
		link := h.tray.link(t, "ben@example.test")
		require.True(t, strings.HasPrefix(link, "https://northwind.credits.test/sign-in/"))
		offer, err := h.s.SignInLinkAt(ctx, token(link), h.agency.ID)
		require.NoError(t, err)
		require.Equal(t, "Client acme", offer.Joins.Place())
		_, err = h.s.SignInLinkAt(ctx, token(link), models.AgencyID{})
		require.True(t, problem.Is(err, "link_expired"))
		got, joined, err := h.s.UseSignInLink(ctx, token(link))
		require.NoError(t, err)
		require.Equal(t, ben.ID, got.ID)
		require.Equal(t, h.agency.ID, joined)
		_, err = h.s.Viewer(ctx, ben.ID, h.agency.ID)
		require.NoError(t, err)
		_, err = h.s.InvitationByToken(ctx, tok, h.agency.ID)
		require.True(t, problem.Is(err, "invitation_expired"))

		// A link whose invitation was taken back lets nobody in.
		cleo := h.person("cleo@example.test", "")
		row, tok := h.invite(h.sub, "cleo@example.test", "")
		require.NoError(t, h.s.RequestJoinLink(ctx, tok, h.agency.ID, "10.0.0.1"))
		h.send()
		link = h.tray.link(t, "cleo@example.test")
		_, err = h.s.RevokeInvitation(ctx, h.sub, row.ID, "test")
		require.NoError(t, err)
		_, _, err = h.s.UseSignInLink(ctx, token(link))
		require.True(t, problem.Is(err, "link_expired"))
		_, err = h.s.Viewer(ctx, cleo.ID, h.agency.ID)
		require.True(t, problem.Is(err, "no_entry"))

		// Signed in as themselves, one step.
		_, tok = h.invite(h.team, "cleo@example.test", models.RoleMember)
		_, _, err = h.s.AcceptInvitation(ctx, AcceptInput{Token: tok, As: cleo.ID})
		require.NoError(t, err)
	})
}

func TestOnePersonHasOneRolePerAgency(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newInvites(t, db)
		ctx := t.Context()
		in := InviteInput{Circle: h.sub, Email: "owner@example.test", From: "x@example.test", By: "test"}
		_, err := h.s.Invite(ctx, in)
		require.True(t, problem.Is(err, "already_member"))
		in.Peer = true
		_, err = h.s.Invite(ctx, in)
		require.NoError(t, err, "a client is not told who works for the agency")
		h.send()
		_, _, err = h.s.AcceptInvitation(ctx, AcceptInput{Token: token(h.tray.link(t, "owner@example.test")), Portal: h.agency.ID, As: h.owner.ID})
		require.True(t, problem.Is(err, "already_member"))
		v, err := h.s.Viewer(ctx, h.owner.ID, models.AgencyID{})
		require.NoError(t, err)
		require.Equal(t, models.RoleOwner, v.Role)

		for _, c := range []struct {
			circle Circle
			email  string
			role   models.Role
			code   string
		}{
			{h.team, "x@example.test", models.RoleClient, "invalid_role"},
			{h.team, "x@example.test", "king", "invalid_role"},
			{h.team, "x@example.test", "", "invalid_role"},
			{h.team, "no address", models.RoleMember, "invalid_email"},
		} {
			_, err := h.s.Invite(ctx, InviteInput{Circle: c.circle, Email: c.email, Role: c.role, From: "x@example.test", By: "test"})
			require.True(t, problem.Is(err, c.code), "%v: %v", c, err)
		}
	})
}

// Two owners who remove or demote each other at once leave one behind.
func TestAnOwnerStays(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newInvites(t, db)
		ctx := t.Context()
		require.True(t, problem.Is(h.s.RemoveFrom(ctx, h.team, h.owner.ID, "test"), "last_owner"))
		require.True(t, problem.Is(h.s.ChangeRole(ctx, h.agency.ID, h.owner.ID, models.RoleMember, "test"), "last_owner"))
		second := h.person("second@example.test", "")
		require.NoError(t, h.s.AddMember(ctx, MemberInput{Agency: h.agency.ID, User: second.ID, Role: models.RoleMember, By: "test"}))
		require.True(t, problem.Is(h.s.ChangeRole(ctx, h.agency.ID, second.ID, models.RoleClient, "test"), "invalid_role"))
		require.NoError(t, h.s.ChangeRole(ctx, h.agency.ID, second.ID, models.RoleOwner, "test"))
		var wait sync.WaitGroup
		results := make([]error, 2)
		wait.Go(func() { results[0] = h.s.RemoveFrom(ctx, h.team, h.owner.ID, "test") })
		wait.Go(func() { results[1] = h.s.ChangeRole(ctx, h.agency.ID, second.ID, models.RoleMember, "test") })
		wait.Wait()
		require.NotEqual(t, results[0] == nil, results[1] == nil, "%v", results)
		for _, err := range results {
			require.True(t, err == nil || problem.Is(err, "last_owner"), "%v", err)
		}
		// A disabled owner does not count.
		third := h.person("third@example.test", "")
		require.NoError(t, h.s.AddMember(ctx, MemberInput{Agency: h.agency.ID, User: third.ID, Role: models.RoleOwner, By: "test"}))
		require.NoError(t, h.s.DisableUser(ctx, third.ID, "test"))
		list, err := h.s.PeopleOf(ctx, h.team)
		require.NoError(t, err)
		require.Equal(t, models.RoleOwner, list.People[0].Role)
		require.True(t, problem.Is(h.s.RemoveFrom(ctx, h.team, list.People[0].ID, "test"), "last_owner"))
		require.True(t, problem.Is(h.s.RemoveFrom(ctx, h.sub, list.People[0].ID, "test"), "not_found"), "not of this circle")
	})
}

// Somebody of several agencies is in the one they chose, as long as it holds.
func TestPeopleOfSeveralAgenciesChoose(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newInvites(t, db)
		ctx := t.Context()
		h.now.Add(time.Second.Microseconds()) // the owner came to Northwind first
		other, err := h.s.CreateAgency(ctx, AgencyInput{ExternalID: "bluebird", Name: "Bluebird", By: "test"})
		require.NoError(t, err)
		boss, err := h.s.CreateUser(ctx, UserInput{Email: "boss@example.test", Name: "Boss", Admin: true, By: "test"})
		require.NoError(t, err)
		for _, u := range []models.User{h.owner, boss} {
			require.NoError(t, h.s.AddMember(ctx, MemberInput{Agency: other.ID, User: u.ID, Role: models.RoleMember, By: "test"}))
		}
		where := func(u models.User, chosen models.AgencyID) (string, bool, int) {
			v, err := h.s.ViewerIn(ctx, u.ID, models.AgencyID{}, chosen)
			require.NoError(t, err)
			return v.Agency.Name, v.Admin, v.Places
		}
		check := func(u models.User, chosen models.AgencyID, name string, admin bool) {
			t.Helper()
			got, isAdmin, places := where(u, chosen)
			require.Equal(t, name, got)
			require.Equal(t, admin, isAdmin)
			require.Equal(t, 2, places)
		}
		check(h.owner, models.AgencyID{}, "Northwind", false)
		check(h.owner, other.ID, "Bluebird", false)
		check(h.owner, models.NewID[models.AgencyID](1), "Northwind", false)
		check(boss, models.AgencyID{}, "", true)
		check(boss, other.ID, "Bluebird", false)
		check(boss, h.agency.ID, "", true)
		places, err := h.s.PlacesOf(ctx, h.owner.ID)
		require.NoError(t, err)
		require.Equal(t, []models.Role{models.RoleMember, models.RoleOwner}, []models.Role{places[0].Role, places[1].Role}, "by name")
		require.NoError(t, h.s.RemoveMember(ctx, other.ID, h.owner.ID, "test"))
		v, err := h.s.ViewerIn(ctx, h.owner.ID, models.AgencyID{}, other.ID)
		require.NoError(t, err)
		require.Equal(t, "Northwind", v.Agency.Name, "a choice that holds no longer is none")
	})
}
