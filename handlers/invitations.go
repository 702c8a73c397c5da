package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// offered finds the invitation that an address names, for this door. Errors:
// invitation_expired.
func (a *app) offered(c echo.Context) (billing.InvitationOffer, error) {
	token := c.Param("token")
	if !wholeSecret(token) {
		return billing.InvitationOffer{}, problem.New(problem.NotFound, "invitation_expired", "This invitation is incomplete.")
	}
	return a.Billing.InvitationByToken(c.Request().Context(), token, visitOf(c).host.id())
}

// invitation shows one form: a mail scanner that opens the link accepts nothing.
func (a *app) invitation(c echo.Context) error { return a.showInvitation(c, http.StatusOK, "", nil) }

func (a *app) showInvitation(c echo.Context, code int, name string, wrong views.FieldErrors) error {
	v := visitOf(c)
	c.Response().Header().Set("Referrer-Policy", "no-referrer")
	o, err := a.offered(c)
	if problem.Is(err, "invitation_expired") {
		out := views.Invitation{Expired: true}
		if out.Frame, err = a.formFrame(c, "Invitation"); err != nil {
			return err
		}
		return page(c, http.StatusGone, views.InvitationPage(out))
	}
	if err != nil {
		return err
	}
	out := views.Invitation{
		Place: o.Place(), Brand: o.Agency.Name, Inviter: o.Invitation.InvitedBy, Email: o.Invitation.Email, Action: "/invitations/" + c.Param("token"),
		Known: o.Known, Password: o.Password, SignedIn: a.isInvited(v, &o), Name: name, Errors: wrong,
	}
	if o.SubAccount == nil {
		out.Does = views.RoleOf(o.Invitation.Role).Label + ": " + views.RoleOf(o.Invitation.Role).Does
	}
	if o.Known && a.Billing.CanMail() {
		out.LinkTo = out.Action + "/link"
	}
	if v.viewer != nil && !out.SignedIn {
		out.Other = v.viewer.User.Email
	}
	if out.Frame, err = a.formFrame(c, "Join "+out.Place); err != nil {
		return err
	}
	out.Frame.Failed = len(wrong) > 0
	return page(c, code, views.InvitationPage(out))
}

// isInvited tells whether the person who is signed in is the one invited.
func (a *app) isInvited(v *visit, o *billing.InvitationOffer) bool {
	return v.viewer != nil && v.viewer.User.Email == o.Invitation.Email
}

// accept takes an invitation up and signs its person in.
func (a *app) accept(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	o, err := a.offered(c)
	if problem.Is(err, "invitation_expired") {
		return a.showInvitation(c, http.StatusGone, "", nil)
	}
	if err != nil {
		return err
	}
	in := billing.AcceptInput{Token: c.Param("token"), Portal: v.host.id(), Name: c.FormValue("name"), Password: c.FormValue("password")}
	switch {
	case !o.Known:
	case a.isInvited(v, &o):
		in.As = v.viewer.User.ID
	default:
		user, err := a.Billing.Authenticate(ctx, o.Invitation.Email, in.Password, c.RealIP())
		if err != nil {
			return a.notAccepted(c, in.Name, err)
		}
		in.As = user.ID
	}
	user, row, err := a.Billing.AcceptInvitation(ctx, in)
	if err != nil {
		return a.notAccepted(c, in.Name, err)
	}
	var chosen models.AgencyID
	if v.host.portal == nil {
		chosen = row.AgencyID
	}
	half := user.TwoStep() && (v.viewer == nil || v.viewer.User.ID != user.ID)
	if err := a.begin(c, user.ID, chosen, half); err != nil {
		return err
	}
	if half {
		return seeOther(c, secondStepPath)
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Welcome. You now have access to " + o.Place() + "."}); err != nil {
		return err
	}
	return seeOther(c, "/")
}

// notAccepted shows the form again with what was wrong.
func (a *app) notAccepted(c echo.Context, name string, err error) error {
	p := problem.Of(err)
	if p == nil {
		return err
	}
	if wrong, ok := wrongFields(err, "name", "password"); ok {
		return a.showInvitation(c, statusOf(err), name, wrong)
	}
	switch p.Code {
	case "invitation_expired":
		return a.showInvitation(c, http.StatusGone, "", nil)
	case "sign_in_failed":
		return a.showInvitation(c, http.StatusUnprocessableEntity, name, views.FieldErrors{{Field: "password", Text: "That is not the password of this account. Try again."}})
	case "too_many":
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
		return a.showInvitation(c, http.StatusTooManyRequests, name, views.FieldErrors{{Field: "username", Text: p.Message}})
	case "already_member", "sign_in_first":
		return a.showInvitation(c, statusOf(err), name, views.FieldErrors{{Field: "username", Text: p.Message}})
	}
	return err
}

// joinLink mails a link that accepts an invitation, to who has an account and not
// its password.
func (a *app) joinLink(c echo.Context) error {
	token := c.Param("token")
	if !wholeSecret(token) {
		return a.showInvitation(c, http.StatusGone, "", nil)
	}
	if err := a.Billing.RequestJoinLink(c.Request().Context(), token, visitOf(c).host.id(), c.RealIP()); err != nil {
		return a.notAccepted(c, "", err)
	}
	return seeOther(c, "/sign-in/sent")
}
