package handlers

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

func packageFields() []string {
	return []string{"name", "credits", "price", "cost_basis", "own_cost", "audience", "monthly_limit", "badge", "note", "on_sale", "every"}
}

// typedMoney reads a price as people type it: "60", "$60.00", "1,200.00".
func typedMoney(s, currency string) (models.Money, error) {
	plain := strings.TrimSpace(blanks.ReplaceAllString(s, " "))
	plain = strings.TrimSpace(strings.TrimPrefix(plain, strings.TrimSpace(blanks.ReplaceAllString(format.Symbol(currency), " "))))
	switch {
	case grouped.MatchString(plain):
		plain = strings.ReplaceAll(plain, ",", "")
	case spaced.MatchString(plain):
		plain = strings.ReplaceAll(plain, " ", "")
	}
	m, err := models.ParseMoney(plain, currency)
	if err == nil {
		return m, nil
	}
	digits := models.MinorDigits(currency)
	code := strings.ToUpper(currency)
	if whole, frac, found := strings.Cut(plain, "."); found && len(frac) > digits && strings.Trim(whole+frac, "0123456789") == "" {
		if digits == 0 {
			return m, problem.New(problem.Invalid, "price_decimals", "Prices in %s have no decimals.", code).On("price")
		}
		return m, problem.New(problem.Invalid, "price_decimals", "Prices in %s have %d decimals at the most.", code, digits).On("price")
	}
	example := models.Money{Amount: 6_000, Currency: currency}
	return m, problem.New(problem.Invalid, "invalid_price", "Enter a price, such as %s.", example.Decimal()).On("price")
}

// typedPackage is the form as it was sent, with what can be read of it.
func typedPackage(c echo.Context, currency string) (views.PackageForm, billing.PackageEdit) {
	f := views.PackageForm{
		Name: c.FormValue("name"), Credits: strings.TrimSpace(c.FormValue("credits")), Price: strings.TrimSpace(c.FormValue("price")),
		OwnCost: strings.TrimSpace(c.FormValue("own_cost")), Limit: strings.TrimSpace(c.FormValue("monthly_limit")), Badge: c.FormValue("badge"),
		Note: c.FormValue("note"), Basis: models.CostBasis(c.FormValue("cost_basis")), Audience: models.Audience(c.FormValue("audience")),
		Every:  models.PackageEvery(c.FormValue("every")),
		Accept: c.FormValue("accept_loss") != "", Attempt: c.FormValue("attempt"),
	}
	edit := billing.PackageEdit{
		Agency: visitOf(c).viewer.Agency.ID, Name: f.Name, Badge: f.Badge, Note: f.Note, Audience: f.Audience, CostBasis: f.Basis, Every: f.Every,
		LossAccepted: f.Accept, OnSale: c.FormValue("on_sale") == "1", By: visitOf(c).viewer.Actor(),
	}
	wrong := func(field, text string) { f.Errors = append(f.Errors, views.FieldError{Field: field, Text: text}) }
	var err error
	if edit.Credits, err = typedCredits(f.Credits); err != nil {
		wrong("credits", amountText(err))
	}
	price, err := typedMoney(f.Price, currency)
	if edit.Price = price.Amount; err != nil {
		wrong("price", problem.Of(err).Message)
	}
	if f.OwnCost != "" {
		if edit.OwnCost, err = models.ParseUnitPrice(strings.TrimPrefix(f.OwnCost, format.Symbol(currency)), currency); err != nil && f.Basis == models.CostOwn {
			wrong("own_cost", "Enter what a credit costs you, such as 0.0029.")
		}
	}
	if f.Limit != "" {
		if edit.MonthlyLimit, err = strconv.Atoi(strings.ReplaceAll(f.Limit, ",", "")); err != nil || edit.MonthlyLimit == 0 {
			edit.MonthlyLimit = 0
			wrong("monthly_limit", "Enter a whole number of purchases, such as 1, or leave it empty.")
		}
	}
	params, err := c.FormParams()
	if err != nil {
		return f, edit
	}
	for _, ref := range params["sub"] {
		if id, err := models.ParseID[models.SubAccountID](ref); err == nil {
			edit.Viewers = append(edit.Viewers, id)
		}
	}
	return f, edit
}

func (a *app) newPackageForm(c echo.Context) error {
	f, edit := typedPackage(c, visitOf(c).viewer.Agency.Currency)
	f.Errors = nil // an address may begin a package; nothing was sent yet
	return a.showPackageForm(c, http.StatusOK, nil, f, &edit)
}

func (a *app) newPackage(c echo.Context) error { return a.sendPackage(c, nil) }

func (a *app) savePackage(c echo.Context) error {
	found, err := a.packageOf(c)
	if err != nil {
		return err
	}
	return a.sendPackage(c, &found)
}

// sendPackage saves the form, or answers with the sums of what it holds so far.
func (a *app) sendPackage(c echo.Context, old *billing.PackageDetail) error {
	v, ctx := visitOf(c), c.Request().Context()
	f, edit := typedPackage(c, v.viewer.Agency.Currency)
	if old != nil {
		edit.ID = old.ID
	}
	if target := c.FormValue("target"); target != "" || c.FormValue("preview") != "" {
		f.Errors = nil
		if target != "" {
			if err := a.takeTarget(c, target, &f, &edit); err != nil {
				return err
			}
		}
		return a.showPackageForm(c, http.StatusOK, old, f, &edit)
	}
	if len(f.Errors) > 0 {
		return a.showPackageForm(c, http.StatusUnprocessableEntity, old, f, &edit)
	}
	if old == nil {
		edit.Key = "web:" + cmp.Or(f.Attempt, billing.NewSecret())
	}
	saved, err := a.Billing.SavePackage(ctx, v.viewer.Scope(), edit)
	if err != nil {
		return a.notSaved(c, old, f, &edit, err)
	}
	return a.toPackages(c, savedFlash(&saved, old))
}

// takeTarget puts the price into the form that a margin asks for.
func (a *app) takeTarget(c echo.Context, target string, f *views.PackageForm, edit *billing.PackageEdit) error {
	panel, err := a.Billing.PackagePanel(c.Request().Context(), visitOf(c).viewer.Scope(), edit)
	if err != nil || panel.Margin == nil {
		return err
	}
	for _, t := range panel.Margin.Targets {
		if strconv.FormatInt(t.Percent, 10) == target && t.Price.Amount > 0 {
			edit.Price, f.Price = t.Price.Amount, t.Price.Decimal()
		}
	}
	return nil
}

func savedFlash(saved *billing.SavedPackage, old *billing.PackageDetail) views.Flash {
	flash := views.Flash{Tone: views.ToneOK, Text: saved.Name + " saved as a draft."}
	switch {
	case saved.OnSale && old != nil && old.OnSale:
		flash.Text = saved.Name + " saved."
	case saved.OnSale:
		flash.Text = saved.Name + " is on sale."
	case old != nil && old.OnSale:
		flash.Text = saved.Name + " saved. It is not on sale any more."
	}
	if saved.Repriced && saved.Past > 0 {
		flash.Text += " Applies to new purchases. " + views.KeepTheirPrice(saved.Past)
	}
	return flash
}

// notSaved shows the form again with what was wrong, and what was typed.
func (a *app) notSaved(c echo.Context, old *billing.PackageDetail, f views.PackageForm, edit *billing.PackageEdit, err error) error { //nolint:gocritic // a form is sent once per page
	if problem.Is(err, "idempotency_key_reused") {
		f.Attempt = ""
		f.Errors = views.FieldErrors{{Field: "name", Text: "This form made a package already. To make another one, send it once more."}}
		return a.showPackageForm(c, statusOf(err), old, f, edit)
	}
	wrong, ok := wrongFields(err, packageFields()...)
	if !ok {
		return err
	}
	for i := range wrong {
		if p := problem.Of(err); p.Code == "sold_at_loss" && wrong[i].Field == p.Field {
			wrong[i].Text = lossText(p)
		}
	}
	f.Errors = wrong
	return a.showPackageForm(c, statusOf(err), old, f, edit)
}

// showPackageForm shows the editor of a package, or of a new one (nil), with the
// panel for what the form holds.
func (a *app) showPackageForm(c echo.Context, code int, old *billing.PackageDetail, f views.PackageForm, edit *billing.PackageEdit) error { //nolint:gocritic // as above
	v := visitOf(c)
	panel, err := a.Billing.PackagePanel(c.Request().Context(), v.viewer.Scope(), edit)
	if err != nil {
		return err
	}
	f.Panel = panelOf(&panel, edit)
	if c.FormValue("fragment") != "" {
		return page(c, code, views.PackageLive(f))
	}
	f.Currency, f.Connected, f.Connect = panel.Currency, panel.Connected, "/packages/connect"
	f.Basis = cmp.Or(f.Basis, panel.Basis.Basis)
	for i := range panel.Costs.Options {
		o := &panel.Costs.Options[i]
		f.Bases = append(f.Bases, views.BasisChoice{
			Value: o.Basis, Label: basisLabel(o, panel.Currency), Off: o.Basis != models.CostOwn && o.Basis != f.Basis && !o.Cost.Known(),
		})
	}
	for _, sub := range panel.SubAccounts {
		f.Clients = append(f.Clients, views.ClientChoice{ID: sub.ID.String(), Name: sub.Name, Chosen: slices.Contains(edit.Viewers, sub.ID)})
	}
	title := "New package"
	if old == nil {
		f.New, f.Action, f.Attempt = true, "/packages/new", cmp.Or(f.Attempt, billing.NewSecret())
	} else {
		title = old.Name
		f.Path, f.OnSale, f.Past, f.Attempt = packagePath(old.ID), old.OnSale, old.Past, ""
		f.Action, f.Prices = f.Path, pricesOf(c, old)
	}
	if f.Frame, err = a.frame(c, title, "packages", nil); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.PackageFormPage(f))
}

// panelOf is the panel for an edit.
func panelOf(p *billing.PackagePanel, edit *billing.PackageEdit) views.PackagePanel {
	out := views.PackagePanel{Missing: "Enter credits and a price to see what you keep."}
	m := p.Margin
	if m == nil {
		if !p.Basis.Cost.Known() {
			out.Missing = "What your credits cost is not known yet. Choose own figure, or buy a pack first."
		}
		return out
	}
	if edit.Price > 0 {
		out.Missing = ""
	}
	out.Credits, out.Price, out.Cost, out.Fee, out.Keep, out.BreakEven = m.Credits, m.Price, m.Cost, m.Fee, m.Keep, m.BreakEven
	out.Platform, out.PlatformShare = m.Platform, p.Costs.Platform.Percent()
	out.Times, out.Thin = m.TimesCost(), m.Thin()
	out.Unit = models.Money{Amount: p.Basis.Cost.Price, Currency: p.Currency}.PerCredit(p.Basis.Cost.Credits)
	out.Basis, out.Share, out.Fixed = basisName(&p.Basis), p.Costs.Fee.Share, models.Money{Amount: p.Costs.Fee.Fixed, Currency: p.Currency}
	for _, t := range m.Targets {
		if t.Price.Amount > 0 {
			out.Targets = append(out.Targets, views.PackageTarget{Percent: t.Percent, Price: t.Price})
		}
	}
	out.Low = models.Money{Amount: max(p.Least.Amount, m.BreakEven.Amount), Currency: p.Currency}
	out.High = models.Money{Amount: max(out.Low.Amount, m.Targets[len(m.Targets)-1].Price.Amount*3/2), Currency: p.Currency}
	if p.Reply.Action != "" {
		name := strings.TrimPrefix(format.ActionCount(p.Reply.Action, 1), "1 ")
		if p.Reply.Model != "" {
			name = format.Model(p.Reply.Model) + " " + name
		}
		out.Reply, out.ReplyCredits, out.PerTalk = name, p.Reply.Credits, p.PerTalk
	}
	if m.Thin() {
		out.Warnings = append(out.Warnings, "You keep less than 15% of the price. A refund or a dearer card can make it a loss.")
	}
	switch {
	case p.Next == nil:
		out.Warnings = append(out.Warnings, "You hold "+format.Credits(p.Costs.Stock)+" purchased credits, fewer than one sale needs. Clients can't buy this package until you have more.")
	case *p.Next != m.Cost:
		out.Next = "The credits of your next sale cost you " + format.Money(*p.Next) + ": a sale takes the cheapest you hold first."
	}
	for i := range p.Ladder {
		out.Warnings = append(out.Warnings, ladderText(&p.Ladder[i], edit.ID))
	}
	return out
}
