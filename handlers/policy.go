package handlers

import (
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
)

// role is who a person is at the door they came to.
type role string

// The roles. All but admin are a member's role in their agency.
const (
	roleOwner   = role(models.RoleOwner)
	roleBilling = role(models.RoleBilling)
	roleMember  = role(models.RoleMember)
	roleClient  = role(models.RoleClient)
	roleAdmin   = role("admin")
)

// policy says who may enter. The zero policy lets nobody exist.
type policy struct {
	name     string
	entry    entry
	roles    []role // of entry people
	founding bool   // stands open while nobody administers the platform
	lately   bool   // what it changes takes somebody who proved lately who they are
	early    bool   // stands open to who has yet to set their second step up
}

// proven asks whoever sends a form for what they sign in with, unless they gave it
// in the last ten minutes.
func (p policy) proven() policy {
	p.name, p.lately = p.name+", proved lately", true
	return p
}

// beforeTwoStep lets in who has to set their second step up first.
func (p policy) beforeTwoStep() policy {
	p.early = true
	return p
}

// entry is how one enters.
type entry int

// The ways in.
const (
	noEntry entry = iota
	open          // anybody; no session is looked at
	visitor       // anybody, with a session if they have one
	people        // who is signed in and has one of the roles
	program       // an API key, which the handler checks
	signed        // a payment provider's signature, which the handler checks
)

//nolint:gochecknoglobals // the policies are a table
var (
	anybody     = policy{name: "anybody", entry: open}
	founders    = policy{name: "anybody until there is an admin", entry: visitor, founding: true}
	visitors    = policy{name: "visitors", entry: visitor}
	readers     = policy{name: "anybody with the mail", entry: open}
	everyone    = policy{name: "signed in", entry: people, roles: []role{roleOwner, roleBilling, roleMember, roleClient, roleAdmin}}
	accounts    = policy{name: "agency or client", entry: people, roles: []role{roleOwner, roleBilling, roleMember, roleClient}}
	agencies    = policy{name: "agency", entry: people, roles: []role{roleOwner, roleBilling, roleMember}}
	buyers      = policy{name: "owner or billing", entry: people, roles: []role{roleOwner, roleBilling}}
	payers      = policy{name: "owner, billing or client", entry: people, roles: []role{roleOwner, roleBilling, roleClient}}
	owners      = policy{name: "owner", entry: people, roles: []role{roleOwner}}
	clientsOnly = policy{name: "client", entry: people, roles: []role{roleClient}}
	platform    = policy{name: "agency or admin", entry: people, roles: []role{roleOwner, roleBilling, roleMember, roleAdmin}}
	admins      = policy{name: "admin", entry: people, roles: []role{roleAdmin}}
	platformKey = policy{name: "platform API key", entry: program}
	stripeOnly  = policy{name: "Stripe's signature", entry: signed}
)

// isProbe tells the addresses that answer on every host: what asks them knows no
// name for us.
func isProbe(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/internal/tls"
}

// guard lets in whom the policy names. Roles are read anew, so that one taken
// away is gone at once.
func (a *app) guard(p policy, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		v := visitOf(c)
		v.policy = p
		switch p.entry {
		case open, program, signed:
			if v.host.portal != nil && p.entry != open {
				return echo.ErrNotFound // programs talk to the platform
			}
			return next(c)
		case visitor, people:
		case noEntry:
			return echo.ErrNotFound
		}
		if !p.founding {
			if none, err := a.unfounded(c); err != nil {
				return err
			} else if none {
				return seeOther(c, "/setup")
			}
		}
		if err := a.recognise(c); err != nil {
			return err
		}
		if !isSafe(c.Request().Method) {
			if err := a.checkForm(c); err != nil {
				// Our own form, only too old: its page shows it again as it was typed.
				if v.expired = p.founding && a.origin.Check(c.Request()) == nil; !v.expired {
					return err
				}
			}
		}
		if p.entry == visitor {
			return next(c)
		}
		if v.viewer == nil {
			return a.askToSignIn(c)
		}
		if !slices.Contains(p.roles, v.role()) {
			return echo.ErrForbidden
		}
		if v.viewer.Assisting && !isSafe(c.Request().Method) && c.Path() != assistEnd {
			return billing.OnlyLooking()
		}
		if !p.early && a.needsTwoStep(v) != "" {
			return seeOther(c, twoStepPath)
		}
		if p.lately && !isSafe(c.Request().Method) {
			if proved, err := a.proveFirst(c); err != nil || !proved {
				return err
			}
		}
		return next(c)
	}
}

func isSafe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// role is the viewer's role, "" for nobody.
func (v *visit) role() role {
	switch {
	case v.viewer == nil:
		return ""
	case v.viewer.Admin:
		return roleAdmin
	}
	return role(v.viewer.Role)
}

// recognise reads the session and who it belongs to now. A session of another
// host, or of somebody without access here, is nobody's.
func (a *app) recognise(c echo.Context) error {
	v, r := visitOf(c), c.Request()
	var err error
	if v.session, err = a.store.Get(r, a.store.cookie); err != nil {
		return err
	}
	user := userOf(v.session)
	if user.IsZero() || carriedBy(v.session).Portal != v.host.id() {
		return nil
	}
	row, ok := v.session.Values[rowKey].(models.Session)
	if !ok {
		return errors.New("a session without its row")
	}
	if row.Half {
		return nil // nobody yet
	}
	viewer, err := a.Billing.ViewerIn(r.Context(), user, v.host.id(), carriedBy(v.session).Agency)
	if problem.Is(err, "no_entry") {
		return nil
	}
	if err != nil {
		return err
	}
	v.viewer = &viewer
	if err := a.Billing.SeenSession(r.Context(), row, &viewer); err != nil {
		a.sectionFailed(c, "session", err) // at worst it ends a little early
	}
	return a.lookAs(c)
}
