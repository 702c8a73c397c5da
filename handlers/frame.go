package handlers

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/models"
	"refill/views"
)

// bareFrame is the frame of a page that reads nothing: error pages have it.
func (a *app) bareFrame(c echo.Context, title string) views.Frame {
	v := visitOf(c)
	f := views.Frame{
		Title: title, Brand: a.Name, Help: a.Help, Theme: themeOf(c), Now: a.Billing.Now(), Zone: time.UTC,
		Path: c.Request().URL.RequestURI(),
	}
	if a.Demo != nil {
		f.Demo = a.Demo.Banner
	}
	if v.host.portal != nil {
		f.Zone = billing.Zone(v.host.portal.TimeZone)
	}
	if v.brand != nil {
		wear(&f, v.brand)
	}
	if v.preview != nil {
		f.Theme, f.Still, f.Zone = v.preview.theme, true, billing.Zone(v.viewer.Agency.TimeZone)
	}
	return f
}

// formFrame is the frame of a page with forms for people who are not signed in.
func (a *app) formFrame(c echo.Context, title string) (views.Frame, error) {
	f := a.bareFrame(c, title)
	var err error
	f.CSRF, err = a.csrfToken(c)
	return f, err
}

// frame is the frame of a signed-in person's page. The wallet is read for the
// balance in the header unless the page has read it; a balance that cannot be
// read is left out, never shown as another number.
func (a *app) frame(c echo.Context, title, current string, wallet *billing.WalletView) (views.Frame, error) {
	f, err := a.formFrame(c, title)
	if err != nil {
		return f, err
	}
	v := visitOf(c)
	f.User, f.Role, f.Assist = v.viewer.User.Email, roleWord(v.role()), a.assistBanner(c)
	f.Nav = navigation(v.role(), current)
	f.UpdatedAt = f.Now
	if v.viewer.Admin {
		f.Account, f.Home = "Platform", "/admin"
		if f.Notice = a.setupNotice(c.Request().Context()); f.Notice == nil {
			f.Notice = a.mailNotice(c)
		}
		f.Flash, err = a.takeFlash(c)
		return f, err
	}
	account := v.viewer.Account()
	f.Account, f.Zone, f.Notice = account.Name(), account.Zone, a.halted(account)
	a.countNotices(c, f.Nav)
	if wallet == nil {
		read, err := a.Billing.Wallet(c.Request().Context(), account)
		if err == nil {
			wallet = &read
		} else {
			a.sectionFailed(c, "balance", err)
		}
	}
	if wallet != nil && hasBalance(wallet) {
		f.Chip = chipOf(wallet)
	}
	f.Flash, err = a.takeFlash(c)
	return f, err
}

// hasBalance tells an account with credits of its own from one that draws on
// its agency's, whose balance it never sees.
func hasBalance(w *billing.WalletView) bool { return w.Wallet.Funding != models.Pooled }

func stateOf(w *billing.WalletView) views.State { return views.State(w.State) }

// chipOf is the balance in the header, with the worst that is true of it.
func chipOf(w *billing.WalletView) *views.Chip {
	return &views.Chip{Left: w.Balance.Left(), State: views.State(w.Condition())}
}

func roleWord(r role) string {
	switch r {
	case roleOwner:
		return "Owner"
	case roleBilling:
		return "Billing"
	case roleMember:
		return "Member"
	case roleAdmin:
		return "Admin"
	case roleClient:
		return "Client"
	}
	return ""
}

// navigation is what a role finds in the menu.
func navigation(r role, current string) []views.NavItem {
	nav := []views.NavItem{
		{Key: "overview", Label: "Overview", Short: "Overview", Href: "/"},
		{Key: "usage", Label: "Usage", Short: "Usage", Href: "/usage"},
		{Key: "buy", Label: "Credits & top-ups", Short: "Buy", Href: "/buy"},
		{Key: "purchases", Label: "Purchases", Href: "/purchases"},
		{Key: "history", Label: "History", Href: "/history"},
		{Key: "notices", Label: "Notices", Href: "/notices"},
	}
	switch r {
	case roleAdmin:
		nav = []views.NavItem{
			{Key: "fleet", Label: "Fleet", Short: "Fleet", Href: "/admin"},
			{Key: "usage", Label: "Usage", Short: "Usage", Href: "/admin/usage"},
			{Key: "agencies", Label: "Agencies", Short: "Agencies", Href: "/admin/agencies"},
			{Key: "payments", Label: "Payments", Href: "/admin/payments"},
			{Key: "adjustments", Label: "Adjustments", Href: "/admin/adjustments"},
			{Key: "plans", Label: "Plans", Href: "/admin/plans"},
			{Key: "packs", Label: "Packs", Href: "/admin/packs"},
			{Key: "rates", Label: "Rate cards", Href: "/admin/rates"},
			{Key: "promotions", Label: "Promotions", Href: "/admin/gifts"},
			{Key: "billing-details", Label: "Billing details", Href: "/admin/billing-details"},
			{Key: "api-keys", Label: "API keys", Href: "/admin/api-keys"},
			{Key: "webhooks", Label: "Webhooks", Href: "/admin/webhooks"},
			{Key: "people", Label: "People", Href: "/admin/people"},
			{Key: "audit", Label: "Audit", Href: "/admin/audit"},
		}
	case roleClient:
		nav[0].Label, nav[0].Short, nav[2].Label = "Balance", "Balance", "Buy credits"
	case roleOwner, roleBilling, roleMember:
		nav = slices.Insert(nav, 3, views.NavItem{Key: "plan", Label: "Plan", Href: "/plan"},
			views.NavItem{Key: "sub-accounts", Label: "Sub-accounts", Href: "/sub-accounts"},
			views.NavItem{Key: "packages", Label: "Packages", Href: "/packages"}, views.NavItem{Key: "sales", Label: "Sales", Href: "/sales"})
	}
	if r != "" {
		settings := map[role]string{roleAdmin: securityPath, roleClient: "/settings/people"}
		nav = append(nav, views.NavItem{Key: "settings", Label: "Settings", Href: cmp.Or(settings[r], "/settings/team")})
	}
	for i := range nav {
		nav[i].Current = nav[i].Key == current
	}
	return nav
}

// sectionFailed notes that a part of a page could not be read; the page stands.
func (a *app) sectionFailed(c echo.Context, what string, err error) {
	a.Log.LogAttrs(c.Request().Context(), slog.LevelError, "section failed", slog.String("request_id", visitOf(c).ref),
		slog.String("route", c.Path()), slog.String("section", what), slog.Any("error", err))
}

// failure is what stands in place of such a part.
func (a *app) failure(c echo.Context, what, keeps string, err error) *views.SectionFailure {
	a.sectionFailed(c, what, err)
	return &views.SectionFailure{What: what, Keeps: keeps, Retry: c.Request().URL.RequestURI(), Ref: visitOf(c).ref}
}

// flashPurpose seals what a message shows once.
const flashPurpose = "flash"

// say leaves a message for the next page.
func (a *app) say(c echo.Context, flash views.Flash) error {
	s := visitOf(c).session
	carry := carriedBy(s)
	carry.Flash = &message{Tone: flash.Tone, Text: flash.Text}
	if flash.Secret != "" { // shown once, and until then sealed
		carry.Flash.Secret = a.Billing.Seal(flashPurpose, flash.Secret)
	}
	if flash.Link != nil {
		carry.Flash.Label, carry.Flash.Href = flash.Link.Label, flash.Link.Href
	}
	s.Values[carriedKey] = carry
	return s.Save(c.Request(), c.Response())
}

// takeFlash takes the message that was left for this page, once.
func (a *app) takeFlash(c echo.Context) (*views.Flash, error) {
	s := visitOf(c).session
	carry := carriedBy(s)
	kept := carry.Flash
	if kept == nil {
		return nil, nil //nolint:nilnil // no message is no error
	}
	flash := &views.Flash{Tone: kept.Tone, Text: kept.Text}
	if kept.Secret != "" {
		var err error
		if flash.Secret, err = a.Billing.Open(flashPurpose, kept.Secret); err != nil {
			return nil, err
		}
	}
	if kept.Href != "" {
		flash.Link = &views.Link{Label: kept.Label, Href: kept.Href}
	}
	carry.Flash = nil
	s.Values[carriedKey] = carry
	return flash, s.Save(c.Request(), c.Response())
}
