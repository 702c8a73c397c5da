package handlers

import (
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

const packsPath = "/admin/packs"

func packPath(id models.PackID) string { return packsPath + "/" + id.String() }

// packTerms is a version of a pack as pages show it.
func packTerms(p *models.Pack, plans []models.Plan) views.PackFacts {
	names := make([]string, len(plans))
	for i := range plans {
		names[i] = plans[i].Name
	}
	return views.PackFacts{
		ByQuantity: p.Kind == models.PackQuantity, Credits: p.Credits, Bonus: p.Bonus, Price: models.Money{Amount: p.Price, Currency: p.Currency},
		Minimum: p.Minimum, Step: p.Step, Unit: p.UnitPrice, Plans: names, Position: p.Position,
	}
}

// packList lists every pack in its newest version.
func (a *app) packList(c echo.Context) error {
	out := views.Packs{}
	lines, err := a.Billing.PackLines(c.Request().Context())
	if err != nil {
		out.Failure = a.failure(c, "The packs", "Agencies can buy as before.", err)
	}
	var onSale []models.Pack
	for i := range lines {
		if lines[i].ArchivedAt == 0 {
			onSale = append(onSale, lines[i].Pack)
		}
	}
	for i := range lines {
		p := &lines[i]
		row := views.PackRow{Name: p.Name, Href: packPath(p.ID), Version: p.Version, Terms: packTerms(&p.Pack, p.Plans)}
		if p.ArchivedAt > 0 {
			out.Retired = append(out.Retired, row)
			continue
		}
		if smallest := smallestPack(onSale); smallest != nil && smallest.ID != p.ID && p.Kind == models.PackFixed {
			if row.Less = format.Less(row.Terms.PerCredit(), packTerms(smallest, nil).PerCredit()); row.Less != "" {
				row.Less += " than " + smallest.Name
			}
		}
		out.Rows = append(out.Rows, row)
	}
	out.Ladder = ladderWarnings(billing.Ladder(onSale))
	if out.Frame, err = a.frame(c, "Packs", "packs", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PacksPage(out))
}

func smallestPack(packs []models.Pack) *models.Pack {
	var out *models.Pack
	for i := range packs {
		if packs[i].Kind == models.PackFixed && (out == nil || packs[i].Credits < out.Credits) {
			out = &packs[i]
		}
	}
	return out
}

func ladderWarnings(rungs []billing.Rung) []string {
	var out []string
	for i := range rungs {
		small, large := packTerms(&rungs[i].Smaller, nil), packTerms(&rungs[i].Larger, nil)
		out = append(out, rungs[i].Larger.Name+" is not cheaper per credit than "+rungs[i].Smaller.Name+": "+
			format.PricePerCredit(large.PerCredit(), large.Price.Currency)+" against "+format.PricePerCredit(small.PerCredit(), small.Price.Currency)+
			". Nobody has a reason to buy the larger one.")
	}
	return out
}

// packOf reads the version that the address names. Errors: not_found.
func (a *app) packOf(c echo.Context) (billing.PackData, error) {
	id, err := models.ParseID[models.PackID](c.Param("id"))
	if err != nil {
		return billing.PackData{}, problem.Missing("pack")
	}
	return a.Billing.PackData(c.Request().Context(), id)
}

// pack is one version of a pack, with the versions beside it.
func (a *app) pack(c echo.Context) error {
	d, err := a.packOf(c)
	if err != nil {
		return err
	}
	out := views.Pack{
		Name: d.Name, Code: d.Code, Version: d.Version, Newest: d.Editions[0].Version, OffSale: d.ArchivedAt > 0, Terms: packTerms(&d.Pack, d.Plans),
	}
	for i := range d.Editions {
		e := &d.Editions[i]
		out.Editions = append(out.Editions, views.PackEdition{
			Version: e.Version, Href: packPath(e.ID), At: e.CreatedAt, By: actorName(e.CreatedBy), Note: e.Note, Terms: packTerms(e, nil), OnSale: e.ArchivedAt == 0,
		})
	}
	if d.Newest {
		out.Edit = packPath(d.ID) + "/edit"
	} else {
		out.NewestAt = packPath(d.Editions[0].ID)
	}
	if d.ArchivedAt == 0 {
		out.Archive = packPath(d.ID) + "/archive"
	}
	if out.Frame, err = a.frame(c, d.Name, "packs", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PackPage(out))
}

func packFields() []string {
	return []string{"name", "code", "kind", "credits", "bonus", "price", "minimum", "step", "unit_price", "plans", "position", "note"}
}

// packForm is the form as it was sent, with the plans that were ticked.
func packForm(c echo.Context) (views.PackForm, []string) {
	return views.PackForm{
		Base: field(c, "base"), Code: field(c, "code"), Name: c.FormValue("name"), Kind: field(c, "kind"), Credits: field(c, "credits"), Bonus: field(c, "bonus"), Price: field(c, "price"),
		Minimum: field(c, "minimum"), Step: field(c, "step"), UnitPrice: field(c, "unit_price"), Position: field(c, "position"), Note: c.FormValue("note"),
	}, ticked(c, "plans")
}

// packEdit reads the fields of the form's kind; what cannot be read is kept in t.
func packEdit(f *views.PackForm, plans []string, t *typed, by billing.Actor) billing.PackInput {
	in := billing.PackInput{Code: f.Code, Note: f.Note, By: by, PackTerms: billing.PackTerms{
		Name: f.Name, Kind: models.PackKind(f.Kind), Plans: plans, Position: t.count("position", f.Position),
	}}
	if in.Kind == models.PackQuantity {
		in.Minimum, in.Step = t.credits("minimum", f.Minimum), t.credits("step", f.Step)
		unit, err := models.ParseUnitPrice(f.UnitPrice, t.currency)
		if err != nil {
			t.wrong("unit_price", "Enter the price of one credit, such as 0.03.")
		}
		in.UnitPrice = unit
	} else {
		in.Credits, in.Bonus, in.Price = t.credits("credits", f.Credits), t.credits("bonus", f.Bonus), t.money("price", f.Price)
	}
	if id, err := models.ParseID[models.PackID](f.Base); err == nil {
		in.Base = id
	}
	return in
}

func (a *app) newPackForm(c echo.Context) error {
	lines, err := a.Billing.PackLines(c.Request().Context())
	if err != nil {
		return err
	}
	f, plans := views.PackForm{Kind: string(models.PackFixed), Position: strconv.Itoa(len(lines))}, []string(nil)
	offered, err := a.Billing.Plans(c.Request().Context())
	for i := range offered {
		plans = append(plans, offered[i].Code)
	}
	if err != nil {
		return err
	}
	return a.showPackForm(c, http.StatusOK, nil, &f, plans)
}

func (a *app) editPackForm(c echo.Context) error {
	d, err := a.packOf(c)
	if err != nil {
		return err
	}
	if !d.Newest {
		return seeOther(c, packPath(d.Editions[0].ID)+"/edit")
	}
	f := views.PackForm{Base: d.ID.String(), Name: d.Name, Kind: string(d.Kind), Position: strconv.Itoa(d.Position)}
	if d.Kind == models.PackQuantity {
		f.Minimum, f.Step, f.UnitPrice = format.Typed(d.Minimum), format.Typed(d.Step), d.UnitPrice.Decimal(d.Currency)
	} else {
		if d.Bonus > 0 {
			f.Bonus = format.Typed(d.Bonus)
		}
		f.Credits, f.Price = format.Typed(d.Credits), models.Money{Amount: d.Price, Currency: d.Currency}.Decimal()
	}
	var plans []string
	for i := range d.Plans {
		plans = append(plans, d.Plans[i].Code)
	}
	return a.showPackForm(c, http.StatusOK, &d, &f, plans)
}

// showPackForm shows the form for a new pack, or for the one of the address.
func (a *app) showPackForm(c echo.Context, code int, d *billing.PackData, f *views.PackForm, plans []string) error {
	ctx := c.Request().Context()
	title := "Add pack"
	if f.New = d == nil; f.New {
		f.Action, f.Back = packsPath+"/new", views.Link{Label: "Packs", Href: packsPath}
	} else {
		title = "Edit " + d.Name
		f.Action, f.Back = packPath(d.ID)+"/edit", views.Link{Label: d.Name, Href: packPath(d.ID)}
	}
	currency, err := a.Billing.CatalogueCurrency(ctx)
	if err != nil {
		return err
	}
	f.Currency = strings.ToUpper(currency)
	offered, err := a.Billing.Plans(ctx)
	if err != nil {
		return err
	}
	for i := range offered {
		f.Plans = append(f.Plans, views.Shelf{Value: offered[i].Code, Label: offered[i].Name, Checked: slices.Contains(plans, offered[i].Code)})
	}
	if f.Frame, err = a.frame(c, title, "packs", nil); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.PackFormPage(*f))
}

func (a *app) newPack(c echo.Context) error { return a.submitPack(c, nil) }

func (a *app) editPack(c echo.Context) error {
	d, err := a.packOf(c)
	if err != nil {
		return err
	}
	return a.submitPack(c, &d)
}

// submitPack takes a sent form one step on, as submitPlan.
func (a *app) submitPack(c echo.Context, d *billing.PackData) error {
	v, ctx := visitOf(c), c.Request().Context()
	f, plans := packForm(c)
	if d == nil {
		f.Base = ""
	}
	if c.FormValue("act") == stepEdit {
		return a.showPackForm(c, http.StatusOK, d, &f, plans)
	}
	currency, err := a.Billing.CatalogueCurrency(ctx)
	if err != nil {
		return err
	}
	t := typed{currency: currency}
	in := packEdit(&f, plans, &t, v.viewer.Actor())
	var edit billing.PackEdit
	if c.FormValue("act") == stepPublish && len(t.errors) == 0 {
		if edit, err = a.Billing.PublishPack(ctx, in); err == nil {
			text := edit.New.Name + " is on sale as " + numbered(edit.New.Version) + ". Checkouts that are open keep the price they began with."
			if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: text}); err != nil {
				return err
			}
			return seeOther(c, packPath(edit.New.ID))
		}
		if newest := a.packPublished(c, err, &in); !newest.IsZero() {
			return seeOther(c, packPath(newest))
		}
	} else {
		edit, err = a.Billing.PreviewPack(ctx, in)
	}
	if err == nil && len(t.errors) == 0 {
		return a.reviewPack(c, d, &f, &edit)
	}
	if err != nil && !t.merge(err, packFields()...) {
		var ok bool
		if t.errors, ok = conflict(err, "name", "published_meanwhile"); !ok {
			return err
		}
	}
	f.Errors = t.errors
	return a.showPackForm(c, statusOfForm(err), d, &f, plans)
}

// packPublished finds what the same form published when it was sent before; zero
// when the newest version is not this person's, or not this.
func (a *app) packPublished(c echo.Context, err error, in *billing.PackInput) models.PackID {
	ctx := c.Request().Context()
	if !problem.Is(err, "published_meanwhile") {
		return models.PackID{}
	}
	d, err := a.Billing.PackData(ctx, in.Base)
	if err != nil || d.Editions[0].CreatedBy != string(in.By) {
		return models.PackID{}
	}
	same := *in
	same.Base = d.Editions[0].ID
	if _, err = a.Billing.PreviewPack(ctx, same); problem.Is(err, "nothing_changed") {
		return same.Base
	}
	return models.PackID{}
}

func (a *app) reviewPack(c echo.Context, d *billing.PackData, f *views.PackForm, edit *billing.PackEdit) error {
	out := views.Review{
		Action: packsPath + "/new", Back: views.Link{Label: "Packs", Href: packsPath}, Caption: "What the pack is",
		Publish: "Publish " + numbered(edit.New.Version), Hidden: sentFields(c), Note: strings.TrimSpace(f.Note), Warnings: ladderWarnings(edit.Ladder),
	}
	lines := func(v *billing.PackVersion) []views.Fact {
		return append([]views.Fact{{Label: "Name", Value: v.Name}}, packTerms(&v.Pack, v.Plans).Lines()...)
	}
	var before []views.Fact
	was := 0
	if d != nil {
		out.Action, out.Back = packPath(d.ID)+"/edit", views.Link{Label: d.Name, Href: packPath(d.ID)}
		out.Caption, was, before = "Changes", edit.Old.Version, lines(edit.Old)
		out.Notes = append(out.Notes, "Checkouts that are open keep the price they began with, and purchases stay what they were.")
	}
	out.Lead = takesPlace(edit.New.Version, was)
	if out.Changes = diff(before, lines(&edit.New)); len(out.Changes) == 0 { // sold again as it was
		out.Changes = diff(nil, lines(&edit.New))
	}
	if len(edit.New.Plans) == 0 {
		out.Warnings = append(out.Warnings, "No plan sells this pack, so nobody can buy it.")
	}
	var err error
	if out.Frame, err = a.frame(c, "Review the pack "+edit.New.Name, "packs", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.ReviewPage(out))
}

// archivePackForm asks why a pack goes off sale.
func (a *app) archivePackForm(c echo.Context) error {
	d, err := a.packOf(c)
	if err != nil {
		return err
	}
	return a.showArchivePack(c, http.StatusOK, &d, "", nil)
}

func (a *app) showArchivePack(c echo.Context, code int, d *billing.PackData, note string, errs views.FieldErrors) error {
	out := views.ConfirmForm{
		Back: views.Link{Label: d.Name, Href: packPath(d.ID)}, Action: packPath(d.ID) + "/archive", Note: note, Errors: errs, Button: "Take off sale",
		Texts: []string{"Nobody can buy " + d.Name + " any more. Credits that were bought with it stay, and so do checkouts that are open."},
	}
	for i := range d.Plans {
		sells, err := a.Billing.PlanData(c.Request().Context(), d.Plans[i].ID)
		if err != nil {
			return err
		}
		if len(sells.Packs) == 1 {
			out.Texts = append(out.Texts, "It is the only pack of "+sells.Name+": agencies on that plan could not buy credits.")
		}
	}
	var err error
	if out.Frame, err = a.frame(c, "Take "+d.Name+" off sale", "packs", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(errs) > 0
	return page(c, code, views.ConfirmFormPage(out))
}

func (a *app) archivePack(c echo.Context) error {
	d, err := a.packOf(c)
	if err != nil {
		return err
	}
	note := c.FormValue("note")
	if err := a.Billing.ArchivePack(c.Request().Context(), d.ID, note, visitOf(c).viewer.Actor()); err != nil {
		errs, ok := wrongFields(err, "note")
		if !ok {
			errs, ok = conflict(err, "note", "published_meanwhile")
		}
		if !ok {
			return err
		}
		return a.showArchivePack(c, statusOf(err), &d, note, errs)
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: d.Name + " is off sale."}); err != nil {
		return err
	}
	return seeOther(c, packPath(d.ID))
}
