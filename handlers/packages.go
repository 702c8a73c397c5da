package handlers

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

func (a *app) packages(c echo.Context) error {
	v := visitOf(c)
	out := views.Packages{Preview: "/packages/preview"}
	if mayBuy(v) {
		out.New, out.Connect = "/packages/new", "/packages/connect"
	}
	list, err := a.Billing.Packages(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID)
	if err != nil {
		out.Failure = a.failure(c, "Your packages", "", err)
	} else {
		out.Connected = list.Connected
		for i := range list.Rows {
			out.Rows = append(out.Rows, packageRow(&list.Rows[i]))
		}
		for i := range list.Archived {
			out.Archived = append(out.Archived, packageRow(&list.Archived[i]))
		}
		for i := range list.Ladder {
			out.Ladder = append(out.Ladder, ladderText(&list.Ladder[i], models.PackageID{}))
		}
		for _, p := range list.Ready {
			out.Ready = append(out.Ready, views.ReadyPackage{Name: p.Name, Credits: p.Credits, Price: p.Total()})
		}
	}
	if out.Frame, err = a.frame(c, "Packages", "packages", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PackagesPage(out))
}

// packagesCSV is every package as the list has it, the archived ones last.
func (a *app) packagesCSV(c echo.Context) error {
	v := visitOf(c)
	list, err := a.Billing.Packages(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	return a.list(c, "packages", []string{
		"order", "name", "id", "credits", "price", "currency", "paid", "cost_basis", "cost", "card_fee", "platform_fee", "keep", "visible_to", "limit_per_month",
		"sold_30_days", "on_sale", "in_stock", "badge", "note", "archived_utc",
	}, func(write func(...string) error) error {
		for i := range list.Rows {
			if err := write(packageCells(strconv.Itoa(i+1), &list.Rows[i])...); err != nil {
				return err
			}
		}
		for i := range list.Archived {
			if err := write(packageCells("", &list.Archived[i])...); err != nil {
				return err
			}
		}
		return nil
	})
}

func packageCells(order string, r *billing.PackageRow) []string {
	basis, cost, card, platform, keep, seen, limit := "", "", "", "", "", "all", ""
	if m := r.Margin; m != nil {
		basis, cost, card, platform, keep = string(r.Basis.Basis), m.Cost.Decimal(), m.Fee.Decimal(), m.Platform.Decimal(), m.Keep.Decimal()
	}
	if r.Audience == models.AudienceChosen {
		seen = strconv.Itoa(r.Viewers)
	}
	if r.MonthlyLimit > 0 {
		limit = strconv.Itoa(r.MonthlyLimit)
	}
	_, archived := stamps(r.ArchivedAt, time.UTC)
	return []string{
		order, text(r.Name), r.ID.String(), r.Credits.String(), r.Total().Decimal(), r.Currency, string(r.Every), basis, cost, card, platform, keep, seen, limit,
		strconv.FormatInt(r.Sold, 10), yesNo(r.OnSale), yesNo(!r.Short), text(r.Badge), text(r.Note), archived,
	}
}

func packagePath(id models.PackageID) string { return "/packages/" + id.String() }

func packageRow(r *billing.PackageRow) views.PackageRow {
	out := views.PackageRow{
		Name: r.Name, Path: packagePath(r.ID), Badge: r.Badge, Credits: r.Credits, Price: r.Total(), Sold: r.Sold, OnSale: r.OnSale, Short: r.Short, Month: r.Monthly(),
	}
	if r.Audience == models.AudienceChosen {
		out.Chosen = r.Viewers
	}
	if m := r.Margin; m != nil {
		out.Basis, out.Cost, out.Keep, out.Thin = basisName(&r.Basis), m.Cost, m.Keep, m.Thin()
	}
	return out
}

// ladderText says that a larger package is dearer per credit; the package that is
// being edited is "this package".
func ladderText(b *billing.LadderBreak, edited models.PackageID) string {
	name := func(p *models.Package, start string) string {
		if p.ID == edited {
			return start + " package"
		}
		return "your " + format.Credits(p.Credits) + " package"
	}
	larger := name(&b.Larger, "this")
	return strings.ToUpper(larger[:1]) + larger[1:] + " costs more per credit than " + name(&b.Smaller, "this") + ". Clients will notice."
}

// basisName is what a cost is reckoned with, in the middle of a sentence.
func basisName(o *billing.CostOption) string {
	switch o.Basis {
	case models.CostHeld:
		return "the average of the purchased credits you hold"
	case models.CostLast:
		return "the price of your last purchase"
	case models.CostBest:
		if o.Credits > 0 {
			return "the price of your " + format.Credits(o.Credits) + " pack"
		}
		return "the price of your pack"
	case models.CostPlan:
		return "your plan's fee by its credits"
	case models.CostOwn:
	}
	return "your own figure"
}

// basisLabel is a choice of the cost basis with its value now.
func basisLabel(o *billing.CostOption, currency string) string {
	var name, none, bought string
	switch o.Basis {
	case models.CostHeld:
		name, none = "Average of the purchased credits you hold", "you hold none"
	case models.CostLast:
		name, none = "Your last purchase", "none yet"
	case models.CostBest:
		name, none = "Your best pack", "none to buy"
	case models.CostPlan:
		name, none = "Your plan", "no plan credits"
	case models.CostOwn:
		return "Own figure"
	}
	if !o.Cost.Known() {
		return name + ": " + none
	}
	if o.Price.Amount > 0 && o.Credits > 0 {
		bought = ", " + format.Credits(o.Credits) + " for " + format.Money(o.Price)
	}
	return name + bought + ": " + format.PricePerCredit(models.Money{Amount: o.Cost.Price, Currency: currency}.PerCredit(o.Cost.Credits), currency)
}

// packageOf finds the package that the address names. Errors: not_found.
func (a *app) packageOf(c echo.Context) (billing.PackageDetail, error) {
	id, err := models.ParseID[models.PackageID](c.Param("id"))
	if err != nil {
		return billing.PackageDetail{}, problem.Missing("package")
	}
	v := visitOf(c)
	return a.Billing.Package(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, id)
}

func (a *app) packageForm(c echo.Context) error {
	found, err := a.packageOf(c)
	if err != nil {
		return err
	}
	if found.ArchivedAt != 0 || !mayBuy(visitOf(c)) {
		return a.showPackage(c, &found)
	}
	edit := editOf(c, &found)
	f := views.PackageForm{
		Name: found.Name, Credits: format.Typed(found.Credits), Price: found.Total().Decimal(), Badge: found.Badge, Note: found.Note,
		Basis: found.CostBasis, Audience: found.Audience, Every: found.Every, Accept: found.LossAccepted,
	}
	if found.MonthlyLimit > 0 {
		f.Limit = format.Count(int64(found.MonthlyLimit))
	}
	if found.OwnCost > 0 {
		f.OwnCost = found.OwnCost.Decimal(found.Currency)
	}
	return a.showPackageForm(c, http.StatusOK, &found, f, &edit)
}

// editOf is a package's edit as it stands.
func editOf(c echo.Context, p *billing.PackageDetail) billing.PackageEdit {
	return billing.PackageEdit{
		Agency: p.AgencyID, ID: p.ID, Name: p.Name, Credits: p.Credits, Price: p.Price, Badge: p.Badge, Note: p.Note, Audience: p.Audience,
		Viewers: p.Chosen, MonthlyLimit: p.MonthlyLimit, CostBasis: p.CostBasis, OwnCost: p.OwnCost, Every: p.Every, LossAccepted: p.LossAccepted,
		OnSale: p.OnSale, By: visitOf(c).viewer.Actor(),
	}
}

// showPackage shows a package that cannot be changed here.
func (a *app) showPackage(c echo.Context, p *billing.PackageDetail) error {
	v := visitOf(c)
	edit := editOf(c, p)
	panel, err := a.Billing.PackagePanel(c.Request().Context(), v.viewer.Scope(), &edit)
	if err != nil {
		return err
	}
	out := views.PackagePage{Row: packageRow(&p.PackageRow), Limit: p.MonthlyLimit, Note: p.Note, Archived: p.ArchivedAt, Panel: panelOf(&panel, &edit), Prices: pricesOf(c, p)}
	if p.ArchivedAt != 0 && mayBuy(v) {
		out.Restore = packagePath(p.ID) + "/archive"
	}
	if out.Frame, err = a.frame(c, p.Name, "packages", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PackageViewPage(out))
}

func pricesOf(c echo.Context, p *billing.PackageDetail) []views.PackagePrice {
	account := visitOf(c).viewer.Account()
	out := make([]views.PackagePrice, len(p.Prices))
	for i, line := range p.Prices {
		out[i] = views.PackagePrice{
			At: line.CreatedAt, Credits: line.Credits, Price: models.Money{Amount: line.Price, Currency: p.Currency}, By: actorWords(line.SetBy, account),
		}
	}
	return out
}

func (a *app) archivePackage(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	found, err := a.packageOf(c)
	if err != nil {
		return err
	}
	change, words := a.Billing.ArchivePackage, " archived. It is among the archived ones below, where you can restore it."
	if c.FormValue("restore") != "" {
		change, words = a.Billing.RestorePackage, " restored. It is last in the list and not on sale."
	}
	if _, err := change(ctx, v.viewer.Scope(), v.viewer.Agency.ID, found.ID, v.viewer.Actor()); err != nil {
		return err
	}
	return a.toPackages(c, views.Flash{Tone: views.ToneOK, Text: found.Name + words})
}

func (a *app) toPackages(c echo.Context, flash views.Flash) error {
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, "/packages")
}

func (a *app) movePackage(c echo.Context) error {
	v := visitOf(c)
	found, err := a.packageOf(c)
	if err != nil {
		return err
	}
	up := c.FormValue("to") == "up"
	if err := a.Billing.MovePackage(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, found.ID, up, v.viewer.Actor()); err != nil {
		return a.packageRefused(c, &found, err)
	}
	return seeOther(c, "/packages")
}

func (a *app) sellPackage(c echo.Context) error {
	v := visitOf(c)
	found, err := a.packageOf(c)
	if err != nil {
		return err
	}
	change, words := a.Billing.TakeOffSale, " is not on sale any more."
	if c.FormValue("on") == "true" {
		change, words = a.Billing.PutOnSale, " is on sale."
	}
	if _, err := change(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, found.ID, v.viewer.Actor()); err != nil {
		return a.packageRefused(c, &found, err)
	}
	return a.toPackages(c, views.Flash{Tone: views.ToneOK, Text: found.Name + words})
}

// packageRefused says on the list why a button of it did nothing.
func (a *app) packageRefused(c echo.Context, p *billing.PackageDetail, err error) error {
	why := problem.Of(err)
	if why == nil || why.Kind == problem.NotFound {
		return err
	}
	flash := views.Flash{Tone: views.ToneBad, Text: p.Name + " was not changed. " + why.Message, Link: &views.Link{Label: "Open it", Href: packagePath(p.ID)}}
	switch why.Code {
	case "not_connected":
		flash.Link = &views.Link{Label: "Connect Stripe", Href: "/packages/connect"}
	case "sold_at_loss":
		flash.Text = p.Name + " is not on sale. " + lossText(why)
	}
	return a.toPackages(c, flash)
}

// lossText is a loss in the amounts of pages.
func lossText(p *problem.Error) string {
	amount := func(name string) string {
		if m, _ := problem.FactOf[models.Money](p, name); m.Amount > 0 {
			return format.Money(m)
		}
		return ""
	}
	text := "You would lose " + amount("loss") + " on each sale."
	if even := amount("break_even"); even != "" {
		text += " It breaks even at " + even + "."
	}
	return text + " Raise the price, or tick “Sell at a loss on purpose”."
}

func (a *app) readyMadePackages(c echo.Context) error {
	v := visitOf(c)
	made, err := a.Billing.CreateReadyMade(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, v.viewer.Actor())
	if problem.Is(err, "packages_exist") { // sent twice
		return seeOther(c, "/packages")
	}
	if err != nil {
		return err
	}
	return a.toPackages(c, views.Flash{Tone: views.ToneOK, Text: format.Plural(int64(len(made)), "package", "packages") + " created. Look at the prices, then put them on sale."})
}

// previewPackages shows what a client may choose from, as its own page does.
func (a *app) previewPackages(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	out := views.PackagePreview{Buy: views.Buy{Seller: account.Agency.Name}}
	list, err := a.Billing.Packages(ctx, v.viewer.Scope(), account.Agency.ID)
	if err != nil {
		return err
	}
	as, err := a.previewAs(c, &out)
	if err != nil {
		return err
	}
	offers, err := a.previewed(ctx, v, &list, as)
	if err != nil {
		return err
	}
	onSale := slices.ContainsFunc(list.Rows, func(r billing.PackageRow) bool { return r.OnSale }) //nolint:gocritic // the signature is slices'
	if as == nil && !onSale {
		for i := range list.Rows { // as they would be
			offers = append(offers, packageOffer(&billing.PackageOffer{ShelfPackage: billing.ShelfPackage{Package: list.Rows[i].Package}}, account))
		}
		out.Closed = "None of these is on sale yet. This is how clients would see them."
	}
	if !list.Connected {
		out.Closed, out.Fix = "Clients see no packages until Stripe is connected. This is what they would see.", &views.Link{Label: "Connect Stripe", Href: "/packages/connect"}
	}
	if as != nil {
		balance, err := a.Billing.Wallet(ctx, as)
		if err != nil {
			return err
		}
		out.Buy.Left, out.Buy.Excess = balance.Balance.Left(), balance.Balance.Excess
	}
	out.Buy.Offers = offers
	if out.Frame, err = a.frame(c, "Preview as client", "packages", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PackagePreviewPage(out))
}

// previewAs is the client whose page is shown, nil for none in particular, with
// those there are to choose from. Errors: not_found.
func (a *app) previewAs(c echo.Context, out *views.PackagePreview) (*billing.Account, error) {
	agency := visitOf(c).viewer.Agency
	subs, err := a.Billing.SubAccounts(c.Request().Context(), agency.ID)
	if err != nil {
		return nil, err
	}
	var as *billing.Account
	out.As = []views.ClientChoice{{Name: "Any client", Chosen: true}}
	for i := range subs {
		if subs[i].Status != models.SubAccountActive {
			continue
		}
		choice := views.ClientChoice{ID: subs[i].ID.String(), Name: subs[i].Name}
		if choice.ID == c.QueryParam("client") {
			as = billing.AccountOfSub(agency, subs[i])
			choice.Chosen, out.As[0].Chosen = true, false
		}
		out.As = append(out.As, choice)
	}
	if as == nil && c.QueryParam("client") != "" {
		return nil, problem.Missing("client")
	}
	return as, nil
}

// previewed are the offers that a client would find now, were Stripe connected.
func (a *app) previewed(ctx context.Context, v *visit, list *billing.PackageList, as *billing.Account) ([]views.Offer, error) {
	var out []views.Offer
	if as != nil && list.Connected {
		shelf, err := a.Billing.PackagesFor(ctx, as)
		if err != nil {
			return nil, err
		}
		for i := range shelf {
			out = append(out, packageOffer(&billing.PackageOffer{ShelfPackage: shelf[i]}, as))
		}
		return out, nil
	}
	for i := range list.Rows {
		row := &list.Rows[i]
		if !row.OnSale || row.Audience == models.AudienceChosen {
			continue
		}
		out = append(out, packageOffer(&billing.PackageOffer{ShelfPackage: billing.ShelfPackage{Package: row.Package}}, v.viewer.Account()))
	}
	return out, nil
}
