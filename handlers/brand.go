package handlers

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// wear puts a brand on a page.
func wear(f *views.Frame, b *models.Brand) {
	f.Brand, f.Help, f.Logo, f.LogoDark, f.Icon, f.Links = b.Name, "", nil, nil, "", nil
	if strings.HasPrefix(b.Support, "https://") {
		f.Help = b.Support
	} else if b.Support != "" {
		f.Help = "mailto:" + b.Support
	}
	f.Sheet = views.BrandSheet(b.Colour, b.Corners)
	if b.Logo != "" {
		f.Logo = &views.Picture{Src: picturePath(b.Logo), Width: b.LogoWidth, Height: b.LogoHeight}
		f.Icon = f.Logo.Src
	}
	if b.LogoDark != "" {
		f.LogoDark = &views.Picture{Src: picturePath(b.LogoDark), Width: b.LogoDarkWidth, Height: b.LogoDarkHeight}
	}
	if b.Icon != "" {
		f.Icon = picturePath(b.Icon)
	}
	for _, l := range b.Links {
		f.Links = append(f.Links, views.Link{Label: l.Label, Href: l.URL})
	}
}

func picturePath(name string) string { return "/brand/logo/" + name + ".png" }

// brandSheet serves the style sheet of a brand. Its name says all there is in it.
func (a *app) brandSheet(c echo.Context) error {
	css, ok := views.OpenBrandSheet(c.Param("name"))
	if !ok {
		return echo.ErrNotFound
	}
	c.Response().Header().Set("Cache-Control", immutable)
	return c.Blob(http.StatusOK, "text/css; charset=utf-8", []byte(css))
}

// immutable is for what never changes under its name.
const immutable = "public, max-age=31536000, immutable"

// logo serves a picture of the agency whose portal this is, or of the one that
// looks at its own. It is nothing but pixels, and nothing else is done with it.
func (a *app) logo(c echo.Context) error {
	v := visitOf(c)
	var agency models.AgencyID
	switch {
	case v.host.portal != nil:
		agency = v.host.portal.ID
	case v.viewer != nil:
		agency = v.viewer.Agency.ID
	}
	name, ok := strings.CutSuffix(c.Param("name"), ".png")
	if !ok || agency.IsZero() {
		return echo.ErrNotFound
	}
	logo, err := a.Billing.Logo(c.Request().Context(), agency, name)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", strings.Replace(immutable, "public", "private", 1))
	return c.Blob(http.StatusOK, "image/png", logo.PNG)
}

func (a *app) brandForm(c echo.Context) error { return a.showBrand(c, http.StatusOK, nil, nil) }

// showBrand shows the draft, or what was sent and cannot be saved.
func (a *app) showBrand(c echo.Context, code int, sent *billing.BrandInput, errs views.FieldErrors) error {
	v, ctx := visitOf(c), c.Request().Context()
	desk, err := a.Billing.BrandDesk(ctx, &v.viewer.Agency)
	if err != nil {
		return err
	}
	b := desk.Edited()
	if sent != nil {
		b.Name, b.Colour, b.Support, b.SenderName, b.SenderAddress = sent.Name, sent.Colour, sent.Support, sent.SenderName, sent.SenderAddress
		b.Corners, b.Links = sent.Corners, sent.Links
	} else if b.Name == strings.TrimSpace(v.viewer.Agency.Name) {
		b.Name = ""
	}
	out := views.Brand{
		Tabs: a.settings(c, "/settings/brand"), Name: b.Name, Usual: v.viewer.Agency.Name, Colour: b.Colour, Support: b.Support, SenderName: b.SenderName,
		SenderAddress: b.SenderAddress, Senders: desk.Senders, Published: v.viewer.Agency.Brand, Errors: errs, Corners: b.Corners,
	}
	for i := range billing.MaxBrandLinks {
		link := views.Link{}
		if i < len(b.Links) {
			link = views.Link{Label: b.Links[i].Label, Href: b.Links[i].URL}
		}
		out.Links = append(out.Links, link)
	}
	if l := desk.Logo; l != nil {
		out.Logo = pictureOf(l)
		if l.PaleLight {
			out.Pale = append(out.Pale, "The logo is hard to see on white. One with a background of its own, or in a darker tone, is seen.")
		}
		if l.PaleDark && desk.LogoDark == nil {
			out.Pale = append(out.Pale, "The logo is hard to see on dark pages. Add one for them below.")
		}
	}
	if l := desk.LogoDark; l != nil {
		out.LogoDark, out.PaleDark = pictureOf(l), l.PaleDark
	}
	if desk.Icon != nil {
		out.Icon = pictureOf(desk.Icon)
	}
	if desk.Draft != nil {
		drafted := brandVersion(desk.Draft)
		out.Drafted = &drafted
	}
	for i := range desk.Versions {
		out.Versions = append(out.Versions, brandVersion(&desk.Versions[i]))
	}
	out.Preview = views.ParsePreview(c.QueryParams())
	if out.Preview.OfClient() {
		if _, err := a.Billing.AnyClient(ctx, v.viewer); problem.Is(err, "not_found") {
			out.Empty = "There is no client whose page could be shown."
		} else if err != nil {
			return err
		}
	}
	if out.Frame, err = a.frame(c, "Brand", "settings", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(errs) > 0
	c.Response().Header().Set("Content-Security-Policy", a.csp+"; frame-src 'self'")
	return page(c, code, views.BrandPage(out))
}

func pictureOf(l *models.Logo) *views.Picture {
	return &views.Picture{Src: picturePath(l.Name), Width: l.Width, Height: l.Height}
}

func brandVersion(b *models.Brand) views.BrandVersion {
	words := []string{"Name: " + cmp.Or(b.Name, "as the agency"), "colour: " + cmp.Or(b.Colour, "the usual")}
	switch {
	case b.LogoDark != "":
		words = append(words, "a logo for each theme")
	case b.Logo != "":
		words = append(words, "a logo")
	}
	if b.Icon != "" {
		words = append(words, "an icon")
	}
	if b.Corners != models.CornersSoft {
		words = append(words, string(b.Corners)+" corners")
	}
	if len(b.Links) > 0 {
		words = append(words, format.Plural(int64(len(b.Links)), "link", "links"))
	}
	if b.Support != "" {
		words = append(words, "help: "+b.Support)
	}
	return views.BrandVersion{Version: b.Version, At: b.CreatedAt, By: strings.TrimPrefix(b.CreatedBy, "user:"), Words: strings.Join(words, " · ")}
}

func (a *app) saveBrand(c echo.Context) error {
	v := visitOf(c)
	in := billing.BrandInput{
		Agency: v.viewer.Agency.ID, Name: c.FormValue("name"), Colour: c.FormValue("colour"), Support: c.FormValue("support"),
		SenderName: c.FormValue("sender_name"), SenderAddress: c.FormValue("sender_address"), NoLogo: c.FormValue("no_logo") != "", By: v.viewer.Actor(),
		NoLogoDark: c.FormValue("no_logo_dark") != "", NoIcon: c.FormValue("no_icon") != "",
		Corners: models.Corners(c.FormValue("corners")),
	}
	for i := range billing.MaxBrandLinks {
		n := strconv.Itoa(i + 1)
		if l := (models.BrandLink{Label: strings.TrimSpace(c.FormValue("link_label_" + n)), URL: strings.TrimSpace(c.FormValue("link_url_" + n))}); l.Label != "" || l.URL != "" {
			in.Links = append(in.Links, l)
		}
	}
	for _, one := range []struct {
		field string
		into  *[]byte
	}{{"logo", &in.Logo}, {"logo_dark", &in.LogoDark}, {"icon", &in.Icon}} {
		var err error
		if *one.into, err = upload(c, one.field); err != nil {
			return err
		}
	}
	if err := a.Billing.SaveBrandDraft(c.Request().Context(), v.viewer.Scope(), in); err != nil {
		wrong, ok := wrongFields(err, "name", "colour", "logo", "logo_dark", "icon", "corners", "links", "support", "sender_name", "sender_address")
		if !ok {
			return err
		}
		return a.showBrand(c, http.StatusUnprocessableEntity, &in, wrong)
	}
	return a.saidAt(c, "/settings/brand", views.Flash{Tone: views.ToneOK, Text: "Saved as a draft. Clients see it once you publish it."})
}

// upload reads a file of a form, nil when none was chosen: no more of it than
// tells that it is too large.
func upload(c echo.Context, field string) ([]byte, error) {
	file, err := c.FormFile(field)
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	in, err := file.Open()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(in, billing.MaxLogo+1))
	return b, errors.Join(err, in.Close())
}

func (a *app) publishBrand(c echo.Context) error {
	v := visitOf(c)
	err := a.Billing.PublishBrand(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, v.viewer.Actor())
	return a.brandChanged(c, err, "Published. Clients see it from now on.")
}

func (a *app) discardBrand(c echo.Context) error {
	v := visitOf(c)
	err := a.Billing.DiscardBrandDraft(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, v.viewer.Actor())
	return a.brandChanged(c, err, "The draft is gone. Clients see what they saw.")
}

func (a *app) undoBrand(c echo.Context) error {
	v := visitOf(c)
	version, err := strconv.Atoi(c.FormValue("version"))
	if err != nil {
		version = 0
	}
	err = a.Billing.UndoBrand(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, version, v.viewer.Actor())
	return a.brandChanged(c, err, "Clients see again what they saw before. What was taken down is the draft.")
}

// brandChanged tells on the brand's page what came of a button.
func (a *app) brandChanged(c echo.Context, err error, done string) error {
	flash := views.Flash{Tone: views.ToneOK, Text: done}
	if p := problem.Of(err); p != nil && p.Kind != problem.NotFound {
		flash = views.Flash{Tone: views.ToneWarn, Text: p.Message}
	} else if err != nil {
		return err
	}
	return a.saidAt(c, "/settings/brand", flash)
}

// previewBrand is a page of the portal as a client would see it in the draft, or
// in what is published. Only the brand's page may frame it.
func (a *app) previewBrand(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	shown, ok := views.FindPreviewPage(c.Param("page"))
	if !ok {
		return echo.ErrNotFound
	}
	brand, err := a.Billing.DraftBrand(ctx, &v.viewer.Agency)
	if problem.Is(err, "not_found") {
		brand, err = a.Billing.BrandOf(ctx, &v.viewer.Agency)
	}
	if err != nil {
		return err
	}
	v.brand, v.preview = &brand, &preview{theme: knownTheme(c.QueryParam("theme")), low: shown == views.PreviewLow}
	c.Response().Header().Set("Content-Security-Policy", strings.Replace(a.csp, "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
	switch shown {
	case views.PreviewSignInMail:
		return a.previewMail(c, &brand, views.BrandMail{
			Subject: "Sign in to " + brand.Name, Lines: []string{"Hello,", "Here is the link you asked for. It opens a page with one button, which signs you in."},
			Button: "Sign in", Href: a.Billing.PortalURL(&v.viewer.Agency) + "/sign-in", After: []string{
				fmt.Sprintf("The link works once, within %d minutes. A newer one replaces it.", int(billing.MailedLinkLife.Minutes())),
			},
		})
	case views.PreviewLowMail, views.PreviewReceiptMail:
		event := models.NoticeLow
		if shown == views.PreviewReceiptMail {
			event = models.NoticePurchaseCredited
		}
		l := a.Billing.BrandLetter(&v.viewer.Agency, &brand, event)
		return a.previewMail(c, &brand, views.BrandMail{Subject: l.Subject, Lines: l.Lines, Button: l.Button, Href: l.URL, After: l.After})
	case views.PreviewSignIn:
		return page(c, http.StatusOK, views.SignInPage(views.SignIn{Frame: a.bareFrame(c, "Sign in")}))
	case views.PreviewBalance, views.PreviewBuy, views.PreviewLow: // of a client
	}
	client, err := a.Billing.AnyClient(ctx, v.viewer)
	if err != nil {
		return err
	}
	v.viewer = &client
	if shown == views.PreviewBuy {
		return a.buyForm(c)
	}
	return a.clientBalance(c)
}

// previewMail is a mail in a brand.
func (a *app) previewMail(c echo.Context, b *models.Brand, out views.BrandMail) error { //nolint:gocritic // once per page
	out.Frame, out.From = a.bareFrame(c, "A mail to your clients"), cmp.Or(b.SenderName, b.Name)
	if b.SenderAddress != "" {
		out.From += " <" + b.SenderAddress + ">"
	}
	if strings.Contains(b.Support, "@") && !strings.HasPrefix(b.Support, "https://") {
		out.Answers = b.Support
	}
	return page(c, http.StatusOK, views.BrandMailPage(out))
}
