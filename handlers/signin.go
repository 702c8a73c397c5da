package handlers

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

func (a *app) signInForm(c echo.Context) error {
	next := localPath(c.QueryParam("next"))
	if visitOf(c).viewer != nil {
		return seeOther(c, cmp.Or(next, "/"))
	}
	in := views.SignIn{Next: next}
	switch c.QueryParam("done") {
	case "password":
		in.Notice = "Your password is set. Sign in with it."
	case "email":
		in.Notice = "Your address is changed. Sign in with the new one from now on."
	}
	if next != "" {
		in.Notice = "Sign in to see that page."
	}
	return a.showSignIn(c, http.StatusOK, in)
}

func (a *app) showSignIn(c echo.Context, status int, in views.SignIn) error {
	var err error
	if in.Frame, err = a.formFrame(c, "Sign in"); err != nil {
		return err
	}
	in.Frame.Failed, in.Mail = len(in.Errors) > 0, a.Billing.CanMail()
	return page(c, status, views.SignInPage(in))
}

func (a *app) signIn(c echo.Context) error {
	in := views.SignIn{Email: strings.TrimSpace(c.FormValue("email")), Next: localPath(c.FormValue("next"))}
	password := c.FormValue("password")
	if in.Email == "" {
		in.Errors = append(in.Errors, views.FieldError{Field: "email", Text: "Enter your e-mail address."})
	}
	if password == "" {
		in.Errors = append(in.Errors, views.FieldError{Field: "password", Text: "Enter your password."})
	}
	if in.Errors != nil {
		return a.showSignIn(c, http.StatusUnprocessableEntity, in)
	}
	user, err := a.Billing.Authenticate(c.Request().Context(), in.Email, password, c.RealIP())
	if err == nil {
		var half bool
		if half, err = a.enter(c, user, models.AgencyID{}); half && err == nil {
			return seeOther(c, withNext(secondStepPath, in.Next))
		}
	}
	if err == nil {
		return seeOther(c, cmp.Or(in.Next, "/"))
	}
	return a.notSignedIn(c, in, err)
}

// notSignedIn shows the form again with what was wrong.
func (a *app) notSignedIn(c echo.Context, in views.SignIn, err error) error {
	p := problem.Of(err)
	if p == nil || p.Kind != problem.Unauthorized && p.Kind != problem.TooMany && p.Code != "invalid_email" {
		return err
	}
	status := http.StatusUnprocessableEntity
	if p.Kind == problem.TooMany {
		status = http.StatusTooManyRequests
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
	}
	in.Errors = views.FieldErrors{{Field: "email", Text: p.Message}}
	return a.showSignIn(c, status, in)
}

// mailLink asks for a link by mail. Whoever asks is answered the same.
func (a *app) mailLink(c echo.Context) error {
	in := views.SignIn{Email: strings.TrimSpace(c.FormValue("email")), Next: localPath(c.FormValue("next"))}
	if in.Email == "" {
		in.Errors = views.FieldErrors{{Field: "email", Text: "Enter your e-mail address."}}
		return a.showSignIn(c, http.StatusUnprocessableEntity, in)
	}
	if err := a.Billing.RequestSignInLink(c.Request().Context(), in.Email, visitOf(c).host.id(), c.RealIP()); err != nil {
		return a.notSignedIn(c, in, err)
	}
	return seeOther(c, "/sign-in/sent")
}

// linkSent says where to look, to everybody alike.
func (a *app) linkSent(c echo.Context) error {
	return a.sayLook(c, int(billing.MailedLinkLife.Minutes()))
}

// sayLook says that a link may be on its way, and how many minutes it holds.
func (a *app) sayLook(c echo.Context, minutes int) error {
	out := views.SignInSent{Minutes: minutes}
	if a.Demo != nil {
		out.Outbox, out.Link = "/demo/mail", a.showsMail(c)
		if !out.Link { // a portal links to nothing of the platform's
			out.Outbox = strings.TrimRight(a.BaseURL, "/") + out.Outbox
		}
	}
	var err error
	if out.Frame, err = a.formFrame(c, "Check your e-mail"); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.SignInSentPage(out))
}

// enter begins a session for a person who proved who they are, at the door they
// stand at, in the agency they chose (zero: none). It is half a session for who
// signs in in two steps. Errors: sign_in_failed, where they have no access here; a
// client at the platform's door is told where theirs is.
func (a *app) enter(c echo.Context, user models.User, chosen models.AgencyID) (half bool, err error) { //nolint:gocritic // once per sign-in
	v, ctx := visitOf(c), c.Request().Context()
	_, err = a.Billing.Viewer(ctx, user.ID, v.host.id())
	if err == nil {
		return user.TwoStep(), a.begin(c, user.ID, chosen, user.TwoStep())
	}
	if !problem.Is(err, "no_entry") {
		return false, err
	}
	text := "That e-mail and password don't go together. Check both and try again."
	if v.host.portal == nil {
		portal, err := a.Billing.PortalOf(ctx, user.ID)
		if err != nil {
			return false, err
		}
		if portal != nil {
			text = "This account signs in at " + a.Billing.PortalURL(portal) + "/sign-in."
		}
	}
	return false, problem.New(problem.Unauthorized, "sign_in_failed", "%s", text).On("email")
}

// linkForm shows one button: a mail scanner that opens the link uses nothing up.
func (a *app) linkForm(c echo.Context) error { return a.showLink(c, http.StatusOK) }

func (a *app) showLink(c echo.Context, status int) error {
	token := c.Param("token")
	in := views.SignInLink{Action: "/sign-in/" + token, Token: token, SignIn: "/sign-in"}
	c.Response().Header().Set("Referrer-Policy", "no-referrer")
	offer, err := a.link(c, token)
	switch {
	case problem.Is(err, "link_expired"):
		in.Expired, in.Action, in.Token, status = true, "", "", http.StatusGone
	case err != nil:
		return err
	default:
		in.Email = offer.User.Email
		if offer.Joins != nil {
			in.Joins = offer.Joins.Place()
		}
	}
	if in.Frame, err = a.formFrame(c, "Sign in"); err != nil {
		return err
	}
	return page(c, status, views.SignInLinkPage(in))
}

// link tells whose link it is. One that leads to another door is as good as none:
// it is not used up here. Errors: link_expired.
func (a *app) link(c echo.Context, token string) (billing.LinkOffer, error) {
	if !wholeSecret(token) {
		return billing.LinkOffer{}, problem.New(problem.NotFound, "link_expired", "This link is used up or too old.")
	}
	return a.Billing.SignInLinkAt(c.Request().Context(), token, visitOf(c).host.id())
}

func (a *app) useLink(c echo.Context) error {
	token := c.Param("token")
	offer, err := a.link(c, token)
	if err == nil {
		var user models.User
		var joined models.AgencyID
		if user, joined, err = a.Billing.UseSignInLink(c.Request().Context(), token); err == nil {
			var half bool
			if half, err = a.enter(c, user, joined); half && err == nil {
				return seeOther(c, secondStepPath)
			}
		}
	}
	if problem.Is(err, "link_expired") {
		return a.showLink(c, http.StatusGone)
	}
	if err == nil && offer.Mailed {
		err = a.say(c, views.Flash{Tone: views.ToneOK, Text: "You are signed in.", Link: &views.Link{Label: "Set a new password", Href: securityPath}})
	}
	if err != nil {
		return err
	}
	return seeOther(c, "/")
}

func (a *app) signOut(c echo.Context) error {
	session := visitOf(c).session
	session.Options.MaxAge = -1
	if err := session.Save(c.Request(), c.Response()); err != nil {
		return err
	}
	c.Response().Header().Set("Clear-Site-Data", `"cache"`)
	return seeOther(c, "/sign-in")
}
