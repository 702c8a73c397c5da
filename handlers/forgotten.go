package handlers

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

func (a *app) forgottenForm(c echo.Context) error {
	return a.showForgotten(c, http.StatusOK, views.Forgotten{Email: c.QueryParam("email")})
}

func (a *app) showForgotten(c echo.Context, status int, out views.Forgotten) error {
	out.Mail = a.Billing.CanMail()
	var err error
	if out.Frame, err = a.formFrame(c, "Forgotten password"); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, status, views.ForgottenPage(out))
}

// forgotten asks for a link that sets a new password. Whoever asks is answered the
// same.
func (a *app) forgotten(c echo.Context) error {
	out := views.Forgotten{Email: strings.TrimSpace(c.FormValue("email"))}
	err := a.Billing.RequestPasswordReset(c.Request().Context(), out.Email, visitOf(c).host.id(), c.RealIP())
	if err == nil {
		return seeOther(c, "/forgotten/sent")
	}
	p := problem.Of(err)
	if p == nil || p.Kind != problem.TooMany && p.Code != "invalid_email" && p.Code != "mail_unavailable" {
		return err
	}
	if p.Kind == problem.TooMany {
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
	}
	out.Errors = views.FieldErrors{{Field: "email", Text: p.Message}}
	return a.showForgotten(c, statusOf(err), out)
}

func (a *app) forgottenSent(c echo.Context) error {
	return a.sayLook(c, int(billing.PasswordLinkLife.Minutes()))
}

// newPasswordForm shows a form: a mail scanner that opens the link uses nothing up.
func (a *app) newPasswordForm(c echo.Context) error {
	return a.showNewPassword(c, http.StatusOK, nil)
}

func (a *app) showNewPassword(c echo.Context, status int, wrong views.FieldErrors) error {
	c.Response().Header().Set("Referrer-Policy", "no-referrer")
	out := views.NewPassword{Action: c.Request().URL.Path, Minutes: int(billing.PasswordLinkLife.Minutes()), Errors: wrong}
	var user models.User
	err := gone()
	if wholeSecret(c.Param("token")) {
		user, err = a.Billing.PasswordLinkAt(c.Request().Context(), c.Param("token"), visitOf(c).host.id())
	}
	switch {
	case problem.Is(err, "link_expired"):
		out.Expired, status = true, http.StatusGone
	case err != nil:
		return err
	}
	out.Email = user.Email
	if out.Frame, err = a.formFrame(c, "Set a new password"); err != nil {
		return err
	}
	out.Frame.Failed = len(wrong) > 0
	return page(c, status, views.NewPasswordPage(out))
}

func gone() error {
	return problem.New(problem.NotFound, "link_expired", "This link is used up or too old.")
}

// newPassword uses the link. It signs nobody in: who signs in in two steps is still
// asked for the second.
func (a *app) newPassword(c echo.Context) error {
	err := gone()
	if wholeSecret(c.Param("token")) {
		err = a.Billing.ResetPassword(c.Request().Context(), c.Param("token"), c.FormValue("password"), visitOf(c).host.id())
	}
	if err == nil {
		return seeOther(c, "/sign-in?done=password")
	}
	if wrong, ok := wrongFields(err, "password"); ok {
		return a.showNewPassword(c, statusOf(err), wrong)
	}
	if p := problem.Of(err); p != nil && p.Kind == problem.TooMany {
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
		return a.showNewPassword(c, statusOf(err), views.FieldErrors{{Field: "password", Text: p.Message}})
	}
	if problem.Is(err, "link_expired") {
		return a.showNewPassword(c, http.StatusGone, nil)
	}
	return err
}

// emailForm shows one button, for the same reason.
func (a *app) emailForm(c echo.Context) error {
	c.Response().Header().Set("Referrer-Policy", "no-referrer")
	out, status := views.EmailLink{Action: c.Request().URL.Path}, http.StatusOK
	err := gone()
	if wholeSecret(c.Param("token")) {
		out.Email, err = a.Billing.EmailLinkAt(c.Request().Context(), c.Param("token"), visitOf(c).host.id())
	}
	switch {
	case problem.Is(err, "link_expired"):
		out.Expired, status = true, http.StatusGone
	case err != nil:
		return err
	}
	if out.Frame, err = a.formFrame(c, "Confirm your address"); err != nil {
		return err
	}
	return page(c, status, views.EmailLinkPage(out))
}

func (a *app) confirmEmail(c echo.Context) error {
	err := gone()
	if wholeSecret(c.Param("token")) {
		err = a.Billing.ConfirmEmail(c.Request().Context(), c.Param("token"), visitOf(c).host.id())
	}
	switch {
	case problem.Is(err, "link_expired"):
		return a.emailForm(c)
	case err != nil:
		return err
	case visitOf(c).viewer != nil:
		return a.saidAt(c, securityPath, views.Flash{Tone: views.ToneOK, Text: "Your address is changed."})
	}
	return seeOther(c, "/sign-in?done=email")
}
