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

const plansPath = "/admin/plans"

func planPath(id models.PlanID) string { return plansPath + "/" + id.String() }

// planTerms is a version of a plan as pages show it.
func planTerms(p *models.Plan, card string, packs []string) views.PlanFacts {
	return views.PlanFacts{
		Price: models.Money{Amount: p.Price, Currency: p.Currency}, Allowance: p.Allowance, Once: p.Every == models.Once, Yearly: p.PaidEvery == models.PaidYearly, ExcessLimit: p.ExcessLimit,
		SubAccountLimit: p.SubAccountLimit, TrialDays: p.TrialDays, Card: card, Packs: packs, Position: p.Position,
	}
}

func versionTerms(v *billing.PlanVersion) views.PlanFacts {
	names := make([]string, len(v.Packs))
	for i := range v.Packs {
		names[i] = v.Packs[i].Name
	}
	return planTerms(&v.Plan, v.Card.Name, names)
}

// plans lists every plan in its newest version.
func (a *app) plans(c echo.Context) error {
	return a.showPlans(c, http.StatusOK, views.Plans{})
}

// setPlatformFee changes the platform's share of what agencies sell.
func (a *app) setPlatformFee(c echo.Context) error {
	entered := field(c, "share")
	t := typed{}
	percent, err := models.ParseCredits(strings.TrimSpace(strings.TrimSuffix(entered, "%")))
	if share := billing.FeeShare(percent * 100 / models.Credit); err != nil || percent*100%models.Credit != 0 {
		t.wrong("share", "Enter a percentage with two decimals at the most, such as 2.5.")
	} else if err := a.Billing.SetPlatformFee(c.Request().Context(), share, visitOf(c).viewer.Actor()); err != nil && !t.merge(err, "share") {
		return err
	}
	if len(t.errors) > 0 {
		return a.showPlans(c, http.StatusUnprocessableEntity, views.Plans{Errors: t.errors, Share: entered})
	}
	return a.saidAt(c, plansPath, views.Flash{Tone: views.ToneOK, Text: "Saved: your share of what agencies sell is " + percent.String() + "%."})
}

func (a *app) showPlans(c echo.Context, code int, out views.Plans) error {
	if out.Grace == "" && out.Errors.For("days") == "" {
		days, err := a.Billing.GraceDays(c.Request().Context())
		if err != nil {
			return err
		}
		out.Grace = strconv.Itoa(days)
	}
	if out.Share == "" && out.Errors.For("share") == "" {
		share, err := a.Billing.PlatformFee(c.Request().Context())
		if err != nil {
			return err
		}
		out.Share = share.Percent()
	}
	lines, err := a.Billing.PlanLines(c.Request().Context())
	if err != nil {
		out.Failure = a.failure(c, "The plans", "Agencies keep what they have.", err)
	}
	for i := range lines {
		l := &lines[i]
		row := views.PlanRow{
			Name: l.Name, Href: planPath(l.ID), Version: l.Version, Terms: planTerms(&l.Plan, l.Card, l.Packs), On: l.On, Older: l.Older, Default: l.Default,
		}
		if l.ArchivedAt == 0 {
			out.Rows = append(out.Rows, row)
		} else {
			out.Retired = append(out.Retired, row)
		}
	}
	if out.Frame, err = a.frame(c, "Plans", "plans", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.PlansPage(out))
}

// planOf reads the version that the address names. Errors: not_found.
func (a *app) planOf(c echo.Context) (billing.PlanData, error) {
	id, err := models.ParseID[models.PlanID](c.Param("id"))
	if err != nil {
		return billing.PlanData{}, problem.Missing("plan")
	}
	return a.Billing.PlanData(c.Request().Context(), id)
}

// plan is one version of a plan, with the versions beside it.
func (a *app) plan(c echo.Context) error {
	d, err := a.planOf(c)
	if err != nil {
		return err
	}
	path := planPath(d.ID)
	out := views.Plan{
		Name: d.Name, Code: d.Code, Version: d.Version, Newest: d.Editions[0].Version, OffOffer: d.ArchivedAt > 0, Default: d.Default,
		Terms: versionTerms(&d.PlanVersion), On: d.On,
	}
	if d.Assumed != "" {
		out.Assumed = strings.Split(d.Assumed, "\n")
	}
	names := map[models.PlanID]string{}
	for i := range d.Editions {
		e := &d.Editions[i]
		names[e.ID] = "Version " + strconv.Itoa(e.Version)
		out.Editions = append(out.Editions, views.PlanEdition{
			Version: e.Version, Href: planPath(e.ID), At: e.CreatedAt, By: actorName(e.CreatedBy), Note: e.Note, Terms: planTerms(&e.Plan, "", nil),
			On: e.On, Coming: e.Coming, Offered: e.ArchivedAt == 0,
		})
	}
	for _, g := range d.Agencies {
		row := views.PlanAgency{Name: g.Name, Href: agencyPath(g.ID), ResetsAt: g.ResetsAt}
		if !g.Next.IsZero() {
			row.Moves = names[g.Next]
			if row.Moves == "" {
				row.Moves = "Another plan"
			}
		}
		out.Agencies = append(out.Agencies, row)
	}
	if d.Newest {
		out.Edit = path + "/edit"
	} else {
		out.NewestAt = planPath(d.Editions[0].ID)
	}
	if d.ArchivedAt == 0 && !d.Default {
		out.Archive, out.Standard = path+"/archive", path+"/default"
	}
	if d.On > 0 {
		out.Move = path + "/move"
	}
	if out.Frame, err = a.frame(c, d.Name, "plans", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.PlanPage(out))
}

func planFields() []string {
	return []string{"name", "code", "price", "paid_every", "allowance", "every", "excess_limit", "sub_account_limit", "trial_days", "rate_card", "packs", "position", "note"}
}

// planForm is the form as it was sent, with the packs that were ticked.
func planForm(c echo.Context) (views.PlanForm, []string) {
	return views.PlanForm{
		Base: field(c, "base"), Code: field(c, "code"), Name: c.FormValue("name"), Price: field(c, "price"), PaidEvery: field(c, "paid_every"), Allowance: field(c, "allowance"),
		Every: field(c, "every"), ExcessLimit: field(c, "excess_limit"), SubAccountLimit: field(c, "sub_account_limit"), TrialDays: field(c, "trial_days"),
		RateCard: field(c, "rate_card"), Position: field(c, "position"), Note: c.FormValue("note"),
	}, ticked(c, "packs")
}

// planEdit reads the form; what cannot be read is kept in t.
func planEdit(f *views.PlanForm, packs []string, t *typed, by billing.Actor) billing.PlanInput {
	in := billing.PlanInput{Code: f.Code, Note: f.Note, By: by, PlanTerms: billing.PlanTerms{
		Name: f.Name, Price: t.money("price", f.Price), Allowance: t.credits("allowance", f.Allowance), Every: models.Every(f.Every), PaidEvery: models.PaidEvery(f.PaidEvery),
		ExcessLimit: t.credits("excess_limit", f.ExcessLimit), SubAccountLimit: t.count("sub_account_limit", f.SubAccountLimit),
		TrialDays: t.count("trial_days", f.TrialDays), Packs: packs, Position: t.count("position", f.Position),
	}}
	if id, err := models.ParseID[models.RateCardID](f.RateCard); err == nil {
		in.RateCard = id
	}
	if id, err := models.ParseID[models.PlanID](f.Base); err == nil {
		in.Base = id
	}
	return in
}

func (a *app) newPlanForm(c echo.Context) error {
	lines, err := a.Billing.PlanLines(c.Request().Context())
	if err != nil {
		return err
	}
	f, packs := views.PlanForm{Every: string(models.EveryMonth), PaidEvery: string(models.PaidMonthly), ExcessLimit: "0", TrialDays: "0", Position: strconv.Itoa(len(lines))}, []string(nil)
	onSale, err := a.Billing.Packs(c.Request().Context())
	for i := range onSale {
		packs = append(packs, onSale[i].Code)
	}
	if err != nil {
		return err
	}
	return a.showPlanForm(c, http.StatusOK, nil, &f, packs)
}

func (a *app) editPlanForm(c echo.Context) error {
	d, err := a.planOf(c)
	if err != nil {
		return err
	}
	if !d.Newest {
		return seeOther(c, planPath(d.Editions[0].ID)+"/edit")
	}
	f, packs := filledPlan(&d)
	return a.showPlanForm(c, http.StatusOK, &d, &f, packs)
}

func filledPlan(d *billing.PlanData) (views.PlanForm, []string) {
	f := views.PlanForm{
		Base: d.ID.String(), Name: d.Name, Price: models.Money{Amount: d.Price, Currency: d.Currency}.Decimal(), Allowance: format.Typed(d.Allowance),
		Every: string(d.Every), PaidEvery: string(d.PaidEvery), ExcessLimit: format.Typed(d.ExcessLimit), TrialDays: strconv.Itoa(d.TrialDays), RateCard: d.RateCardID.String(),
		Position: strconv.Itoa(d.Position),
	}
	if d.SubAccountLimit > 0 {
		f.SubAccountLimit = strconv.Itoa(d.SubAccountLimit)
	}
	var packs []string
	for i := range d.Packs {
		packs = append(packs, d.Packs[i].Code)
	}
	return f, packs
}

// showPlanForm shows the form for a new plan, or for the one of the address.
func (a *app) showPlanForm(c echo.Context, code int, d *billing.PlanData, f *views.PlanForm, packs []string) error {
	ctx := c.Request().Context()
	title := "Add plan"
	if f.New = d == nil; f.New {
		f.Action, f.Back = plansPath+"/new", views.Link{Label: "Plans", Href: plansPath}
	} else {
		title = "Edit " + d.Name
		f.Action, f.Back = planPath(d.ID)+"/edit", views.Link{Label: d.Name, Href: planPath(d.ID)}
	}
	currency, err := a.Billing.CatalogueCurrency(ctx)
	if err != nil {
		return err
	}
	f.Currency = strings.ToUpper(currency)
	cards, err := a.Billing.RateCards(ctx)
	if err != nil {
		return err
	}
	for i := range cards {
		f.Cards = append(f.Cards, views.Option{Value: cards[i].ID.String(), Label: cards[i].Name})
	}
	onSale, err := a.Billing.Packs(ctx)
	if err != nil {
		return err
	}
	for i := range onSale {
		terms := packTerms(&onSale[i], nil)
		f.Packs = append(f.Packs, views.Shelf{
			Value: onSale[i].Code, Label: onSale[i].Name, Hint: terms.PriceText() + " · " + terms.UnitText(), Checked: slices.Contains(packs, onSale[i].Code),
		})
	}
	if f.Frame, err = a.frame(c, title, "plans", nil); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.PlanFormPage(*f))
}

func (a *app) newPlan(c echo.Context) error { return a.submitPlan(c, nil) }

func (a *app) editPlan(c echo.Context) error {
	d, err := a.planOf(c)
	if err != nil {
		return err
	}
	return a.submitPlan(c, &d)
}

// submitPlan takes a sent form one step on: to the review, to the form again, or
// to the published version.
func (a *app) submitPlan(c echo.Context, d *billing.PlanData) error {
	v, ctx := visitOf(c), c.Request().Context()
	f, packs := planForm(c)
	if d == nil {
		f.Base = "" // a new plan follows none
	}
	if c.FormValue("act") == stepEdit {
		return a.showPlanForm(c, http.StatusOK, d, &f, packs)
	}
	currency, err := a.Billing.CatalogueCurrency(ctx)
	if err != nil {
		return err
	}
	t := typed{currency: currency}
	in := planEdit(&f, packs, &t, v.viewer.Actor())
	var edit billing.PlanEdit
	if c.FormValue("act") == stepPublish && len(t.errors) == 0 {
		edit, err = a.Billing.PublishPlan(ctx, in)
		if err == nil || problem.Is(err, "published_meanwhile") && a.publishedThis(c, &in) {
			return a.planPublished(c, d, &edit)
		}
	} else {
		edit, err = a.Billing.PreviewPlan(ctx, in)
	}
	if err == nil && len(t.errors) == 0 {
		return a.reviewPlan(c, d, &f, &edit)
	}
	if err != nil && !t.merge(err, planFields()...) {
		var ok bool
		if t.errors, ok = conflict(err, "name", "published_meanwhile"); !ok {
			return err
		}
	}
	f.Errors = t.errors
	return a.showPlanForm(c, statusOfForm(err), d, &f, packs)
}

// statusOfForm is the status of a form that is shown again.
func statusOfForm(err error) int {
	if p := problem.Of(err); p != nil {
		return statusOf(err)
	}
	return http.StatusUnprocessableEntity
}

// publishedThis tells a form that was sent twice from somebody else's edit: the
// newest version is this person's, and what they publish.
func (a *app) publishedThis(c echo.Context, in *billing.PlanInput) bool {
	ctx := c.Request().Context()
	d, err := a.Billing.PlanData(ctx, in.Base)
	if err != nil || d.Editions[0].CreatedBy != string(in.By) {
		return false
	}
	same := *in
	same.Base = d.Editions[0].ID
	_, err = a.Billing.PreviewPlan(ctx, same)
	return problem.Is(err, "nothing_changed")
}

func (a *app) planPublished(c echo.Context, d *billing.PlanData, edit *billing.PlanEdit) error {
	if edit.New.ID.IsZero() { // sent twice: the first time did it
		again, err := a.Billing.PlanData(c.Request().Context(), d.ID)
		if err != nil {
			return err
		}
		return seeOther(c, planPath(again.Editions[0].ID))
	}
	flash := views.Flash{Tone: views.ToneOK, Text: edit.New.Name + " is on offer as " + numbered(edit.New.Version) + "."}
	if edit.Staying > 0 {
		flash.Text += " " + stay(edit.Staying) + " on the terms they have."
		from := edit.Old.ID
		if d != nil && d.On == 0 {
			for i := range d.Editions {
				if d.Editions[i].On > 0 {
					from = d.Editions[i].ID
					break
				}
			}
		}
		flash.Link = &views.Link{Label: "Move them", Href: planPath(from) + "/move"}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, planPath(edit.New.ID))
}

func (a *app) reviewPlan(c echo.Context, d *billing.PlanData, f *views.PlanForm, edit *billing.PlanEdit) error {
	out := views.Review{
		Action: plansPath + "/new", Back: views.Link{Label: "Plans", Href: plansPath}, Caption: "What the plan gives",
		Publish: "Publish " + numbered(edit.New.Version), Hidden: sentFields(c), Note: strings.TrimSpace(f.Note),
	}
	after, before := planLines(&edit.New), []views.Fact(nil)
	was := 0
	if d != nil {
		out.Action, out.Back = planPath(d.ID)+"/edit", views.Link{Label: d.Name, Href: planPath(d.ID)}
		out.Caption, was = "Changes", edit.Old.Version
		before = planLines(edit.Old)
	}
	out.Lead = takesPlace(edit.New.Version, was)
	out.Changes = diff(before, after)
	if len(out.Changes) == 0 { // offered again as it was
		out.Changes = diff(nil, after)
	}
	if edit.Staying > 0 {
		out.Notes = append(out.Notes, stay(edit.Staying)+" on the version they have; you can move them afterwards. New agencies get this version.")
	}
	if len(edit.New.Packs) == 0 {
		out.Warnings = append(out.Warnings, "Without a pack, agencies on this plan can't buy credits: at zero they wait for the reset.")
	}
	var err error
	if out.Frame, err = a.frame(c, "Review the plan "+edit.New.Name, "plans", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.ReviewPage(out))
}

func planLines(v *billing.PlanVersion) []views.Fact {
	return append([]views.Fact{{Label: "Name", Value: v.Name}}, versionTerms(v).Lines()...)
}

// archivePlanForm asks why a plan goes off offer.
func (a *app) archivePlanForm(c echo.Context) error {
	d, err := a.planOf(c)
	if err != nil {
		return err
	}
	return a.showArchivePlan(c, http.StatusOK, &d, "", nil)
}

func (a *app) showArchivePlan(c echo.Context, code int, d *billing.PlanData, note string, errs views.FieldErrors) error {
	out := views.ConfirmForm{
		Back: views.Link{Label: d.Name, Href: planPath(d.ID)}, Action: planPath(d.ID) + "/archive", Note: note, Errors: errs, Button: "Take off offer",
		Texts: []string{
			"Nobody new can be put on " + d.Name + ".",
			stay(d.On) + " on this version with the terms as they are, until moved to another plan.",
		},
	}
	var err error
	if out.Frame, err = a.frame(c, "Take "+d.Name+" off offer", "plans", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(errs) > 0
	return page(c, code, views.ConfirmFormPage(out))
}

func (a *app) archivePlan(c echo.Context) error {
	d, err := a.planOf(c)
	if err != nil {
		return err
	}
	note := c.FormValue("note")
	staying, err := a.Billing.ArchivePlan(c.Request().Context(), d.ID, note, visitOf(c).viewer.Actor())
	if err != nil {
		errs, ok := wrongFields(err, "note")
		if !ok {
			errs, ok = conflict(err, "note", "published_meanwhile", "default_plan")
		}
		if !ok {
			return err
		}
		return a.showArchivePlan(c, statusOf(err), &d, note, errs)
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: d.Name + " is off offer. " + stay(staying) + " on it."}); err != nil {
		return err
	}
	return seeOther(c, planPath(d.ID))
}

// standardPlan makes a plan the one new agencies get.
func (a *app) standardPlan(c echo.Context) error {
	d, err := a.planOf(c)
	if err != nil {
		return err
	}
	if err := a.Billing.SetDefaultPlan(c.Request().Context(), d.ID, visitOf(c).viewer.Actor()); err != nil {
		return err
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "New agencies get " + d.Name + "."}); err != nil {
		return err
	}
	return seeOther(c, planPath(d.ID))
}

// movePlanForm moves agencies to another version, or to another plan.
func (a *app) movePlanForm(c echo.Context) error {
	d, err := a.planOf(c)
	if err != nil {
		return err
	}
	return a.showMovePlan(c, http.StatusOK, &d, &views.PlanMove{When: string(billing.MoveAtReset)}, nil)
}

func (a *app) showMovePlan(c echo.Context, code int, d *billing.PlanData, f *views.PlanMove, picked []string) error {
	f.Back, f.Action = views.Link{Label: d.Name, Href: planPath(d.ID)}, planPath(d.ID)+"/move"
	f.From, f.On, f.More = d.Name+", "+numbered(d.Version), d.On, d.On-int64(len(d.Agencies))
	offered, err := a.Billing.Plans(c.Request().Context())
	if err != nil {
		return err
	}
	for i := range offered {
		p := &offered[i]
		if p.ID == d.ID {
			continue
		}
		f.Plans = append(f.Plans, views.Option{Value: p.ID.String(), Label: p.Name + ", " + numbered(p.Version)})
		if p.Code == d.Code && f.To == "" {
			f.To = p.ID.String()
		}
	}
	for _, g := range d.Agencies {
		row := views.Shelf{Value: g.ID.String(), Label: g.Name, Checked: slices.Contains(picked, g.ID.String())}
		if !g.Next.IsZero() {
			row.Hint = "Moves at its next reset"
		}
		f.Shown = append(f.Shown, row)
	}
	if f.Frame, err = a.frame(c, "Move agencies from "+d.Name, "plans", nil); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.PlanMovePage(*f))
}

func (a *app) movePlan(c echo.Context) error {
	d, err := a.planOf(c)
	if err != nil {
		return err
	}
	f := views.PlanMove{To: field(c, "to"), When: field(c, "when"), Note: c.FormValue("note")}
	picked := ticked(c, "agency")
	in := billing.MoveInput{From: d.ID, When: billing.MoveWhen(f.When), Note: f.Note, By: visitOf(c).viewer.Actor()}
	if in.To, err = models.ParseID[models.PlanID](f.To); err != nil {
		in.To = models.PlanID{}
	}
	for _, p := range picked {
		id, err := models.ParseID[models.AgencyID](p)
		if err != nil {
			return problem.Missing("agency")
		}
		in.Agencies = append(in.Agencies, id)
	}
	moved, err := a.Billing.MoveAgencies(c.Request().Context(), in)
	if err != nil {
		var ok bool
		if f.Errors, ok = wrongFields(err, "to", "when", "note"); !ok {
			return err
		}
		return a.showMovePlan(c, statusOf(err), &d, &f, picked)
	}
	if err := a.say(c, movedFlash(in.When, moved)); err != nil {
		return err
	}
	return seeOther(c, planPath(d.ID))
}

func movedFlash(when billing.MoveWhen, moved billing.Moved) views.Flash {
	out := views.Flash{Tone: views.ToneOK}
	switch when {
	case billing.MoveNow:
		out.Text = agencyWords(int64(moved.Done)) + " moved."
	case billing.MoveAtReset:
		out.Text = agencyWords(int64(moved.Done)) + " will move at the next reset."
	case billing.MoveNever:
		out.Text = stay(int64(moved.Done)) + " on this version."
	}
	if moved.NoReset > 0 {
		out.Tone = views.ToneWarn
		out.Text += " " + stay(int64(moved.NoReset)) + ": credits granted once never reset, so only now can move them."
	}
	return out
}
