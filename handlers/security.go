package handlers

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"rsc.io/qr"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// Where somebody sees and changes how they sign in.
const (
	securityPath = "/settings/security"
	twoStepPath  = "/settings/security/two-step"
)

// needsTwoStep tells why a person has to set a second step up before they go on;
// "" for those who need not. Who only looks as another is asked as themselves.
func (a *app) needsTwoStep(v *visit) string {
	who := v.viewer
	if v.self != nil {
		who = v.self
	}
	if who.User.TwoStep() {
		return ""
	}
	return a.twoStepRule(who)
}

// twoStepRule tells why somebody may not do without a second step; "" where they
// may.
func (a *app) twoStepRule(who *billing.Viewer) string {
	switch {
	case who.User.PlatformRole == models.PlatformAdmin && !a.EasyAdmins:
		return "Everybody who administers the platform signs in in two steps."
	case a.AllInTwoSteps:
		return "Everybody signs in in two steps here."
	case who.Agency.TwoStep && who.Role != models.RoleClient:
		return "Everybody in the team of " + who.Agency.Name + " signs in in two steps."
	}
	return ""
}

func (a *app) security(c echo.Context) error {
	return a.showSecurity(c, http.StatusOK, views.Security{})
}

func (a *app) showSecurity(c echo.Context, status int, out views.Security) error { //nolint:gocritic // a form is sent once per page
	v, ctx := visitOf(c), c.Request().Context()
	user := &v.viewer.User
	out.Tabs, out.Email, out.Mail = a.settings(c, securityPath), user.Email, a.Billing.CanMail()
	out.Ask, out.Looking = !a.provedLately(v), v.viewer.Assisting
	out.TwoStep, out.Required = user.TwoStepAt, a.twoStepRule(v.viewer)
	if a.Demo != nil && a.EasyAdmins && v.viewer.Admin {
		out.Easy = "In this demo admins may do without. Everywhere else they are asked to set it up when they first sign in."
	}
	var err error
	if user.TwoStep() {
		if out.CodesLeft, err = a.Billing.RecoveryCodesLeft(ctx, user.ID); err != nil {
			return err
		}
	}
	if v.role() == roleOwner && !out.Looking {
		out.Team, out.TeamTwoStep = v.viewer.Agency.Name, v.viewer.Agency.TwoStep
	}
	if !out.Looking {
		if out.Browsers, err = a.browsers(c, user.ID, v.row()); err != nil {
			return err
		}
	}
	if out.Frame, err = a.frame(c, "Security", "settings", nil); err != nil {
		return err
	}
	if f := out.Frame.Flash; f != nil && f.Secret != "" {
		out.Codes = strings.Fields(f.Secret)
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, status, views.SecurityPage(out))
}

// browsers lists where somebody is signed in; here is the session that looks.
func (a *app) browsers(c echo.Context, user models.UserID, here models.Session) ([]views.Browser, error) { //nolint:gocritic // once per page
	rows, err := a.Billing.SessionsOf(c.Request().Context(), user)
	if err != nil {
		return nil, err
	}
	var out []views.Browser
	for i := range rows {
		r := &rows[i]
		out = append(out, views.Browser{
			Name: views.BrowserName(r.Agent), Address: r.Address, Since: r.CreatedAt, Seen: format.Ago(r.LastSeenAt, a.Wall.Now()),
			Here: string(r.IDHash) == string(here.IDHash), Ref: billing.SessionRef(r),
		})
	}
	return out, nil
}

// endBrowsers signs the person out in one browser, or in all but this one.
func (a *app) endBrowsers(c echo.Context) error {
	v, ctx, row := visitOf(c), c.Request().Context(), visitOf(c).row()
	text := "Signed out in that browser."
	var err error
	switch ref := c.FormValue("session"); ref {
	case "others":
		text = "Signed out everywhere else."
		err = a.Billing.EndSessions(ctx, v.viewer.User.ID, &row, v.viewer.Actor())
	case billing.SessionRef(&row):
		return a.signOut(c)
	default:
		err = a.Billing.EndSessionOf(ctx, v.viewer.User.ID, ref, v.viewer.Actor())
	}
	if err != nil && !problem.Is(err, "not_found") { // one that is over already is what was asked for
		return err
	}
	return a.saidAt(c, securityPath, views.Flash{Tone: views.ToneOK, Text: text})
}

// changeEmail mails a link to the new address.
func (a *app) changeEmail(c echo.Context) error {
	v, email := visitOf(c), strings.TrimSpace(c.FormValue("email"))
	err := a.Billing.RequestEmailChange(c.Request().Context(), v.viewer, email, v.host.id(), c.RealIP())
	if err == nil {
		flash := views.Flash{Tone: views.ToneOK, Text: "A mail with a link is on its way to " + email + ". Your address changes once you use it."}
		if a.showsMail(c) {
			flash.Link = &views.Link{Label: "Open the outbox", Href: "/demo/mail"}
		}
		return a.saidAt(c, securityPath, flash)
	}
	p := problem.Of(err)
	if p == nil || p.Field != "email" && p.Kind != problem.TooMany {
		return err
	}
	if p.Kind == problem.TooMany {
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
	}
	return a.showSecurity(c, statusOf(err), views.Security{NewEmail: email, Errors: views.FieldErrors{{Field: "email", Text: p.Message}}})
}

// issuer is what an authenticator app calls the account's house.
func (a *app) issuer(v *visit) string {
	if v.host.portal != nil {
		return v.host.portal.Name
	}
	return a.Name
}

func (a *app) twoStepForm(c echo.Context) error {
	v := visitOf(c)
	return a.showTwoStep(c, http.StatusOK, a.Billing.OfferTwoStep(&v.viewer.User, a.issuer(v)), nil)
}

func (a *app) showTwoStep(c echo.Context, status int, offer billing.TwoStepOffer, wrong views.FieldErrors) error {
	v := visitOf(c)
	code, err := qr.Encode(offer.URL, qr.M)
	if err != nil {
		return err
	}
	out := views.TwoStepForm{
		Secret: offer.Secret, Offer: offer.Sealed, QR: views.QR{Size: code.Size, Black: code.Black}, Why: a.needsTwoStep(v), Again: v.viewer.User.TwoStep(), Errors: wrong,
	}
	if out.Frame, err = a.frame(c, "Two-step sign-in", "settings", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(wrong) > 0
	return page(c, status, views.TwoStepPage(out))
}

// turnTwoStepOn takes the first code of the app; the recovery codes are shown on
// the next page, once.
func (a *app) turnTwoStepOn(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	codes, err := a.Billing.TurnTwoStepOn(ctx, v.viewer.User.ID, c.FormValue("offer"), c.FormValue("code"), c.RealIP(), v.viewer.Actor())
	if err == nil {
		return a.saidAt(c, securityPath, views.Flash{Tone: views.ToneOK, Text: "Two-step sign-in is on.", Secret: strings.Join(codes, "\n")})
	}
	p := problem.Of(err)
	if p == nil || p.Field != "code" && p.Kind != problem.TooMany {
		return err
	}
	if p.Kind == problem.TooMany {
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
	}
	offer := a.Billing.TwoStepOfferAgain(&v.viewer.User, a.issuer(v), c.FormValue("offer"))
	return a.showTwoStep(c, statusOf(err), offer, views.FieldErrors{{Field: "code", Text: p.Message}})
}

func (a *app) turnTwoStepOff(c echo.Context) error {
	v := visitOf(c)
	if why := a.twoStepRule(v.viewer); why != "" {
		return problem.New(problem.Conflict, "two_step_required", "%s You can set it up for another device instead.", why)
	}
	if err := a.Billing.TurnTwoStepOff(c.Request().Context(), v.viewer.User.ID, v.viewer.Actor()); err != nil {
		return err
	}
	return a.saidAt(c, securityPath, views.Flash{Tone: views.ToneOK, Text: "Two-step sign-in is off."})
}

func (a *app) newRecoveryCodes(c echo.Context) error {
	v := visitOf(c)
	codes, err := a.Billing.NewRecoveryCodes(c.Request().Context(), v.viewer.User.ID, v.viewer.Actor())
	if err != nil {
		return err
	}
	return a.saidAt(c, securityPath, views.Flash{Tone: views.ToneOK, Text: "There are new recovery codes. The old ones work no more.", Secret: strings.Join(codes, "\n")})
}

// teamTwoStep decides for the team. An owner who asks it of others has it set up.
func (a *app) teamTwoStep(c echo.Context) error {
	v, on := visitOf(c), c.FormValue("required") == "yes"
	if on && !v.viewer.User.TwoStep() {
		return a.saidAt(c, twoStepPath, views.Flash{Tone: views.ToneInfo, Text: "Set up your own second step first. Then you can ask it of your team."})
	}
	if err := a.Billing.SetTeamTwoStep(c.Request().Context(), v.viewer.Agency.ID, on, v.viewer.Actor()); err != nil {
		return err
	}
	text := "Your team may choose how they sign in."
	if on {
		text = "Everybody in your team is asked to set it up before they go on."
	}
	return a.saidAt(c, securityPath, views.Flash{Tone: views.ToneOK, Text: text})
}
