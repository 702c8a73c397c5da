package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// circle is whose people a page is about, and what its viewer may do there.
type circle struct {
	billing.Circle

	path    string // of the page
	current string // in the navigation
	title   string
	from    string // what access is to: "Northwind Agency"
	lede    string
	back    *views.Link
	tabs    []views.Tab
	roles   bool // the people differ in what they may do
	invite  bool
	change  bool // roles, and take access away
	peer    bool // the viewer is one of the people, not their agency
}

// at finds the circle that an address is about.
type at func(c echo.Context) (circle, error)

// team is the viewer's agency's own people.
func (a *app) team(c echo.Context) (circle, error) {
	v := visitOf(c)
	owner := v.role() == roleOwner
	return circle{
		Circle: billing.Circle{Agency: v.viewer.Agency.ID}, path: "/settings/team", current: "settings", title: "Team", from: v.viewer.Agency.Name,
		lede: "Owners change this list.", tabs: a.settings(c, "/settings/team"), roles: true, invite: owner, change: owner,
	}, nil
}

// clientPeople is the people of one of the agency's clients.
func (a *app) clientPeople(c echo.Context) (circle, error) {
	v := visitOf(c)
	sub, err := a.client(c)
	if err != nil {
		return circle{}, err
	}
	may := mayBuy(v) && sub.Status == models.SubAccountActive
	return circle{
		Circle: billing.Circle{Agency: sub.AgencyID, SubAccount: sub.ID}, path: subAccountPath(sub.ID) + "/people", current: "sub-accounts",
		title: "People of " + sub.Name, from: sub.Name, back: &views.Link{Label: sub.Name, Href: subAccountPath(sub.ID)},
		lede: "They sign in at " + a.Billing.PortalURL(&v.viewer.Agency) + ", and see this account only.", invite: may, change: may,
	}, nil
}

// ownPeople is a client's own account.
func (a *app) ownPeople(c echo.Context) (circle, error) {
	v := visitOf(c)
	if v.viewer.SubAccount == nil {
		return circle{}, echo.ErrNotFound
	}
	return circle{
		Circle: billing.Circle{Agency: v.viewer.Agency.ID, SubAccount: v.viewer.SubAccount.ID}, path: "/settings/people", current: "settings",
		title: "People", from: v.viewer.SubAccount.Name, tabs: a.settings(c, "/settings/people"), invite: true, peer: true,
		lede: "Everybody here sees the same. To take somebody's access away, ask " + v.viewer.Agency.Name + ".",
	}, nil
}

// settings are the pages a person finds under Settings.
func (a *app) settings(c echo.Context, current string) []views.Tab {
	v := visitOf(c)
	var out []views.Tab
	switch v.role() {
	case roleOwner, roleBilling, roleMember:
		out = append(out, views.Tab{Label: "Team", Href: "/settings/team"})
	case roleClient:
		out = append(out, views.Tab{Label: "People", Href: "/settings/people"})
	case roleAdmin:
	}
	if v.role() != roleAdmin {
		out = append(out, views.Tab{Label: "Notifications", Href: "/settings/notifications"})
	}
	if r := v.role(); r == roleOwner || r == roleBilling || r == roleMember {
		out = append(out, views.Tab{Label: "Messages", Href: "/settings/messages"})
		if r == roleOwner {
			out = append(out, views.Tab{Label: "Brand", Href: "/settings/brand"}, views.Tab{Label: "Domain", Href: "/settings/domain"},
				views.Tab{Label: "Embed", Href: "/settings/embed"}, views.Tab{Label: "API keys", Href: "/settings/api-keys"}, views.Tab{Label: "Webhooks", Href: "/settings/webhooks"})
		}
	}
	if v.role() != roleAdmin {
		out = append(out, views.Tab{Label: "Billing details", Href: "/settings/billing"})
	}
	out = append(out, views.Tab{Label: "Security", Href: securityPath})
	if v.viewer.Places > 1 {
		out = append(out, views.Tab{Label: "Switch agency", Href: "/switch"})
	}
	for i := range out {
		out[i].Current = out[i].Href == current
	}
	return out
}

// people lists who has access and who is invited.
func (a *app) people(where at) echo.HandlerFunc {
	return func(c echo.Context) error {
		in, err := where(c)
		if err != nil {
			return err
		}
		return a.showPeople(c, http.StatusOK, &in, views.People{})
	}
}

// peopleCSV is who has access, then who is invited.
func (a *app) peopleCSV(where at) echo.HandlerFunc {
	return func(c echo.Context) error {
		in, err := where(c)
		if err != nil {
			return err
		}
		list, err := a.Billing.PeopleOf(c.Request().Context(), in.Circle)
		if err != nil {
			return err
		}
		zone := visitOf(c).viewer.Account().Zone
		return a.list(c, fileWord(in.title), []string{
			"name", "email", "role", "status", "since_local", "since_utc", "last_seen_local", "last_seen_utc", "invited_by", "invitation_holds_until_utc",
		}, func(write func(...string) error) error {
			for i := range list.People {
				p := &list.People[i]
				since, sinceUTC := stamps(p.Since, zone)
				seen, seenUTC := stamps(p.SeenAt, zone)
				if err := write(text(p.Name), text(p.Email), string(p.Role), "active", since, sinceUTC, seen, seenUTC, "", ""); err != nil {
					return err
				}
			}
			for i := range list.Invited {
				inv := &list.Invited[i]
				status := "invited"
				if inv.ExpiresAt <= a.Billing.Now() {
					status = "expired"
				}
				sent, sentUTC := stamps(inv.SentAt, zone)
				_, until := stamps(inv.ExpiresAt, zone)
				if err := write("", text(inv.Email), string(inv.Role), status, sent, sentUTC, "", "", text(inv.InvitedBy), until); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func (a *app) showPeople(c echo.Context, code int, in *circle, out views.People) error { //nolint:gocritic // a form is sent once per page
	v := visitOf(c)
	list, err := a.Billing.PeopleOf(c.Request().Context(), in.Circle)
	if err != nil {
		return err
	}
	out.Tabs, out.Back, out.Lede, out.CSV = in.tabs, in.back, in.lede, in.path+".csv"
	if in.invite {
		out.Action = in.path
		if !a.Billing.CanMail() {
			out.Waits = "No mail server is set up here, so invitations wait until there is one."
		}
	}
	if in.roles {
		out.Roles = views.TeamRoles()
		if out.Role == "" {
			out.Role = string(models.RoleMember)
		}
	}
	for i := range list.People {
		out.Rows = append(out.Rows, a.personRow(v, in, &list.People[i]))
	}
	for i := range list.Invited {
		inv := &list.Invited[i]
		row := views.InvitedRow{Email: inv.Email, By: inv.InvitedBy, SentAt: inv.SentAt, Until: inv.ExpiresAt, Expired: inv.ExpiresAt <= a.Billing.Now()}
		if in.roles {
			row.Role = views.RoleOf(inv.Role).Label
		}
		if in.invite {
			row.Action = in.path + "/invitations/" + inv.ID.String()
		}
		out.Invited = append(out.Invited, row)
	}
	if out.Frame, err = a.frame(c, in.title, in.current, nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.PeoplePage(out))
}

func (a *app) personRow(v *visit, in *circle, p *billing.Person) views.PersonRow {
	row := views.PersonRow{Name: p.Name, Email: p.Email, You: p.ID == v.viewer.User.ID}
	if in.roles {
		role := views.RoleOf(p.Role)
		row.Role, row.Does = role.Label, role.Does
	}
	if p.SeenAt.IsSet() {
		row.Seen = format.Ago(p.SeenAt, a.Wall.Now())
	}
	if in.change {
		row.Href = in.path + "/" + p.ID.String()
	}
	return row
}

// invite sends an invitation.
func (a *app) invite(where at) echo.HandlerFunc {
	return func(c echo.Context) error {
		in, err := where(c)
		if err != nil {
			return err
		}
		if !in.invite {
			return echo.ErrForbidden
		}
		v := visitOf(c)
		form := views.People{Email: c.FormValue("email"), Role: c.FormValue("role")}
		row, err := a.Billing.Invite(c.Request().Context(), billing.InviteInput{
			Circle: in.Circle, Email: form.Email, Role: models.Role(form.Role), From: v.viewer.User.Email, Peer: in.peer, By: v.viewer.Actor(),
		})
		if err != nil {
			wrong, ok := wrongFields(err, "email", "role")
			if !ok {
				return err
			}
			form.Errors = wrong
			return a.showPeople(c, statusOf(err), &in, form)
		}
		return a.invited(c, in.path, row.Email)
	}
}

// invited says what becomes of an invitation.
func (a *app) invited(c echo.Context, back, email string) error {
	flash := views.Flash{Tone: views.ToneOK, Text: "Invitation sent to " + email + "."}
	if !a.Billing.CanMail() {
		flash = views.Flash{Tone: views.ToneWarn, Text: "The invitation of " + email + " leaves once a mail server is set up."}
	}
	if a.Demo != nil && visitOf(c).host.portal == nil {
		flash.Link = &views.Link{Label: "Open the outbox", Href: "/demo/mail"}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, back)
}

// invitationAct sends an open invitation again, or takes it back.
func (a *app) invitationAct(where at) echo.HandlerFunc {
	return func(c echo.Context) error {
		in, err := where(c)
		if err != nil {
			return err
		}
		if !in.invite {
			return echo.ErrForbidden
		}
		id, err := models.ParseID[models.InvitationID](c.Param("invitation"))
		if err != nil {
			return echo.ErrNotFound
		}
		v, ctx := visitOf(c), c.Request().Context()
		switch c.FormValue("do") {
		case "again":
			row, err := a.Billing.ResendInvitation(ctx, in.Circle, id, v.viewer.User.Email, v.viewer.Actor())
			if err != nil {
				return err
			}
			return a.invited(c, in.path, row.Email)
		case "revoke":
			row, err := a.Billing.RevokeInvitation(ctx, in.Circle, id, v.viewer.Actor())
			if err != nil {
				return err
			}
			if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "The invitation of " + row.Email + " is taken back."}); err != nil {
				return err
			}
			return seeOther(c, in.path)
		}
		return problem.New(problem.Invalid, "invalid_action", "Send the invitation again, or take it back.")
	}
}

// personOf finds the circle and the one of its people that an address names.
func (a *app) personOf(c echo.Context, where at) (circle, billing.Person, error) {
	in, err := where(c)
	if err != nil {
		return in, billing.Person{}, err
	}
	if !in.change {
		return in, billing.Person{}, echo.ErrForbidden
	}
	id, err := models.ParseID[models.UserID](c.Param("user"))
	if err != nil {
		return in, billing.Person{}, problem.Missing("person")
	}
	p, err := a.Billing.PersonIn(c.Request().Context(), in.Circle, id)
	return in, p, err
}

func (a *app) person(where at) echo.HandlerFunc {
	return func(c echo.Context) error {
		in, p, err := a.personOf(c, where)
		if err != nil {
			return err
		}
		return a.showPerson(c, http.StatusOK, &in, &p, views.Person{Role: string(p.Role)})
	}
}

func (a *app) showPerson(c echo.Context, code int, in *circle, p *billing.Person, out views.Person) error { //nolint:gocritic // a form is sent once per page
	out.Row, out.From, out.Back = a.personRow(visitOf(c), in, p), in.from, views.Link{Label: in.title, Href: in.path}
	out.Remove = out.Row.Href + "/remove"
	if in.roles {
		out.Action, out.Roles = out.Row.Href, views.TeamRoles()
	}
	var err error
	if out.Frame, err = a.frame(c, p.Name, in.current, nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.PersonPage(out))
}

// changeRole gives somebody of the team another role.
func (a *app) changeRole(c echo.Context) error {
	in, p, err := a.personOf(c, a.team)
	if err != nil {
		return err
	}
	v, role := visitOf(c), c.FormValue("role")
	if err := a.Billing.ChangeRole(c.Request().Context(), in.Agency, p.ID, models.Role(role), v.viewer.Actor()); err != nil {
		wrong, ok := wrongFields(err, "role")
		if !ok {
			return err
		}
		return a.showPerson(c, statusOf(err), &in, &p, views.Person{Role: role, Errors: wrong})
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: p.Name + " is now " + views.RoleOf(models.Role(role)).Label + "."}); err != nil {
		return err
	}
	return seeOther(c, in.path)
}

// removePerson takes somebody's access away.
func (a *app) removePerson(where at) echo.HandlerFunc {
	return func(c echo.Context) error {
		in, p, err := a.personOf(c, where)
		if err != nil {
			return err
		}
		v := visitOf(c)
		if err := a.Billing.RemoveFrom(c.Request().Context(), in.Circle, p.ID, v.viewer.Actor()); err != nil {
			if problem.Is(err, "last_owner") {
				return a.showPerson(c, statusOf(err), &in, &p, views.Person{
					Role: string(p.Role), Errors: views.FieldErrors{{Field: "role", Text: problem.Of(err).Message}},
				})
			}
			return err
		}
		if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: p.Name + " has no access to " + in.from + " any more."}); err != nil {
			return err
		}
		return seeOther(c, in.path)
	}
}

// accessCard is a client's people on its agency's page; it fails alone.
func (a *app) accessCard(c echo.Context, sub *models.SubAccount) views.Access {
	out := views.Access{Href: subAccountPath(sub.ID) + "/people"}
	list, err := a.Billing.PeopleOf(c.Request().Context(), billing.Circle{Agency: sub.AgencyID, SubAccount: sub.ID})
	if err != nil {
		out.Failure = a.failure(c, "The list of people", "", err)
		return out
	}
	in := circle{}
	for i := range list.People {
		out.Rows = append(out.Rows, a.personRow(visitOf(c), &in, &list.People[i]))
	}
	out.Invited = len(list.Invited)
	return out
}
