package handlers

import (
	"cmp"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

const ratesPath = "/admin/rates"

func cardPath(id models.RateCardID) string { return ratesPath + "/" + id.String() }

func editionPath(id models.RateCardID, n int) string {
	return cardPath(id) + "/versions/" + strconv.Itoa(n)
}

// priceOf is a rate as pages show it.
func priceOf(r *ratecard.Rate) views.Price {
	out := views.Price{Action: r.Action, Model: r.Model, Base: r.Base, Minimum: r.Minimum, Maximum: r.Maximum}
	for _, c := range r.Components {
		out.Parts = append(out.Parts, views.PriceStep{
			Measure: c.Measure, Above: models.Credits(c.Above), Size: models.Credits(c.Size), Credits: c.Credits,
		})
	}
	return out
}

// rateDiff is the changes of a card as pages show them.
func rateDiff(before, after []ratecard.Rate) []views.DiffLine {
	var out []views.DiffLine
	for _, c := range ratecard.Diff(before, after) {
		var line views.DiffLine
		if c.Old != nil {
			p := priceOf(c.Old)
			line.Label, line.From = p.Key(), p.Words()
		}
		if c.New != nil {
			p := priceOf(c.New)
			line.Label, line.To = p.Key(), p.Words()
		}
		out = append(out, line)
	}
	return out
}

// rateCards lists every rate card.
func (a *app) rateCards(c echo.Context) error {
	out := views.RateCards{}
	lines, err := a.Billing.CardLines(c.Request().Context())
	if err != nil {
		out.Failure = a.failure(c, "The rate cards", "Charges are priced as before.", err)
	}
	for i := range lines {
		l := &lines[i]
		row := views.RateCardRow{
			Name: l.Name, Code: l.Code, Href: cardPath(l.ID), InForce: l.InForce.Number, Since: l.InForce.EffectiveAt, Rates: l.Rates, Plans: l.Plans, Agencies: l.Agencies,
		}
		for j := range l.Coming {
			row.Coming = append(row.Coming, views.ComingVersion{Number: l.Coming[j].Number, At: l.Coming[j].EffectiveAt})
		}
		out.Rows = append(out.Rows, row)
	}
	if out.Frame, err = a.frame(c, "Rate cards", "rates", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.RateCardsPage(out))
}

// cardOf reads the card that the address names. Errors: not_found.
func (a *app) cardOf(c echo.Context) (billing.CardData, error) {
	id, err := models.ParseID[models.RateCardID](c.Param("id"))
	if err != nil {
		return billing.CardData{}, problem.Missing("rate card")
	}
	return a.Billing.CardData(c.Request().Context(), id)
}

func editionRow(d *billing.CardData, e *billing.CardEdition) views.RateEdition {
	return views.RateEdition{
		Number: e.Number, Href: editionPath(d.ID, e.Number), At: e.EffectiveAt, Made: e.CreatedAt, By: actorName(e.CreatedBy), Note: e.Note,
		InForce: e.Number == d.InForce, Coming: e.EffectiveAt > d.Now,
	}
}

// rateCard is the rates in force, what was used of them, and every version.
func (a *app) rateCard(c echo.Context) error {
	d, err := a.cardOf(c)
	if err != nil {
		return err
	}
	out := views.RateCard{
		Name: d.Name, Code: d.Code, Version: d.InForce, Agencies: d.Agencies, Edit: cardPath(d.ID) + "/edit", CSV: cardPath(d.ID) + "/rates.csv",
	}
	used := map[[2]string]billing.RateUse{}
	for _, u := range d.Used {
		used[[2]string{u.Action, u.Model}] = u
	}
	if e, ok := d.Edition(d.InForce); ok {
		for i := range e.Rates {
			r := &e.Rates[i]
			since := d.Since(&e, r)
			u := used[[2]string{r.Action, r.Model}]
			out.Rows = append(out.Rows, views.PriceRow{
				Price: priceOf(r), Since: since.Number, At: since.EffectiveAt, By: actorName(since.CreatedBy), Charges: u.Charges, Credits: u.Credits,
			})
		}
	}
	for _, u := range d.Unpriced(d.Last().Rates) {
		p := views.Price{Action: u.Action, Model: u.Model}
		out.Unpriced = append(out.Unpriced, views.UnpricedUse{
			Name: p.Name(), Key: p.Key(), Charges: u.Charges, Add: address(out.Edit, url.Values{"action": {u.Action}, "model": {u.Model}}),
		})
	}
	for i := range d.Editions {
		row := editionRow(&d, &d.Editions[i])
		out.Editions = append(out.Editions, row)
		if row.Coming {
			out.Coming = append([]views.ComingVersion{{Number: row.Number, At: row.At}}, out.Coming...)
		}
	}
	for i := range d.Plans {
		out.Plans = append(out.Plans, views.Link{Label: d.Plans[i].Name, Href: planPath(d.Plans[i].ID)})
	}
	if out.Frame, err = a.frame(c, d.Name, "rates", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.RateCardPage(out))
}

// rateVersion is one version of a card and what it changed.
func (a *app) rateVersion(c echo.Context) error {
	d, err := a.cardOf(c)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(c.Param("n"))
	if err != nil {
		return problem.Missing("version")
	}
	e, ok := d.Edition(number)
	if !ok {
		return problem.Missing("version")
	}
	out := views.RateVersion{Card: views.Link{Label: d.Name, Href: cardPath(d.ID)}, Edition: editionRow(&d, &e), Action: cardPath(d.ID) + "/edit"}
	for i := range e.Rates {
		out.Rows = append(out.Rows, priceOf(&e.Rates[i]))
	}
	for i := range d.Editions { // the one it took the place of comes right behind it
		if d.Editions[i].Number == number && i+1 < len(d.Editions) {
			before := &d.Editions[i+1]
			out.Against, out.Changes = numbered(before.Number), rateDiff(before.Rates, e.Rates)
		}
	}
	if d.Last().Number != number {
		form := views.RateForm{Rows: rateRows(e.Rates), Note: "Back to " + numbered(number), After: d.Newest, Attempt: billing.NewSecret()}
		if last := d.Last(); last.EffectiveAt > d.Now { // what is on the way is called off at its own time
			form.EffectiveOn = last.EffectiveAt.Go().Format(time.DateOnly)
		}
		out.Again = rateHidden(&form)
	}
	if out.Frame, err = a.frame(c, d.Name+", "+numbered(number), "rates", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.RateVersionPage(out))
}

// rateRows is rates as they are typed.
func rateRows(rates []ratecard.Rate) []views.RateRow {
	out := make([]views.RateRow, 0, len(rates))
	for _, r := range rates {
		row := views.RateRow{Action: r.Action, Model: r.Model, Base: format.Typed(r.Base)}
		if r.Minimum != nil {
			row.Minimum = format.Typed(*r.Minimum)
		}
		if r.Maximum != nil {
			row.Maximum = format.Typed(*r.Maximum)
		}
		for _, p := range r.Components {
			part := views.RatePartRow{Measure: p.Measure, Size: format.Typed(models.Credits(p.Size)), Credits: format.Typed(p.Credits)}
			if p.Above > 0 {
				part.Above = format.Typed(models.Credits(p.Above))
			}
			row.Parts = append(row.Parts, part)
		}
		out = append(out, row)
	}
	return out
}

// maxRateRows bounds the rows that a form is read for.
const maxRateRows = ratecard.MaxRates + 1

// rateForm is the form as it was sent.
func rateForm(c echo.Context) views.RateForm {
	f := views.RateForm{
		Code: field(c, "code"), Name: c.FormValue("name"), EffectiveOn: field(c, "effective_on"), Note: c.FormValue("note"), Attempt: c.FormValue("attempt"),
	}
	f.After, _ = strconv.Atoi(c.FormValue("after")) // what is no number is none
	rows, err := strconv.Atoi(c.FormValue("rows"))
	if err != nil {
		rows = 0
	}
	for n := range min(max(rows, 0), maxRateRows) {
		at := "r" + strconv.Itoa(n) + "_"
		row := views.RateRow{
			Action: field(c, at+"action"), Model: field(c, at+"model"), Base: field(c, at+"base"), Minimum: field(c, at+"minimum"), Maximum: field(c, at+"maximum"),
			Gone: c.FormValue(at+"gone") != "",
		}
		for m := range ratecard.MaxComponents + 1 {
			p := at + "p" + strconv.Itoa(m) + "_"
			part := views.RatePartRow{Measure: field(c, p+"measure"), Above: field(c, p+"above"), Size: field(c, p+"size"), Credits: field(c, p+"credits")}
			if part != (views.RatePartRow{}) {
				row.Parts = append(row.Parts, part)
			}
		}
		if !emptyRow(&row) {
			f.Rows = append(f.Rows, row)
		}
	}
	return f
}

func emptyRow(r *views.RateRow) bool {
	return r.Action == "" && r.Model == "" && r.Base == "" && r.Minimum == "" && r.Maximum == "" && len(r.Parts) == 0
}

// rateHidden is the form's fields, for the page that publishes them.
func rateHidden(f *views.RateForm) []views.Hidden {
	out := []views.Hidden{
		{Name: "rows", Value: strconv.Itoa(len(f.Rows))},
		{Name: "after", Value: strconv.Itoa(f.After)},
		{Name: "attempt", Value: f.Attempt},
		{Name: "note", Value: f.Note},
		{Name: "effective_on", Value: f.EffectiveOn},
		{Name: "code", Value: f.Code},
		{Name: "name", Value: f.Name},
	}
	add := func(name, value string) {
		if value != "" {
			out = append(out, views.Hidden{Name: name, Value: value})
		}
	}
	for n := range f.Rows {
		r, at := &f.Rows[n], "r"+strconv.Itoa(n)+"_"
		add(at+"action", r.Action)
		add(at+"model", r.Model)
		add(at+"base", r.Base)
		add(at+"minimum", r.Minimum)
		add(at+"maximum", r.Maximum)
		if r.Gone {
			add(at+"gone", "1")
		}
		for m, p := range r.Parts {
			part := at + "p" + strconv.Itoa(m) + "_"
			add(part+"measure", p.Measure)
			add(part+"above", p.Above)
			add(part+"size", p.Size)
			add(part+"credits", p.Credits)
		}
	}
	return out
}

// typedRates reads the rows that stay. at gives each rate's row, so that what is
// wrong with a rate is said in its row.
func typedRates(rows []views.RateRow, t *typed) (rates []ratecard.Rate, at []int) {
	for n := range rows {
		row, name := &rows[n], "r"+strconv.Itoa(n)+"_"
		if row.Gone {
			continue
		}
		rate := ratecard.Rate{Action: row.Action, Model: row.Model, Base: t.credits(name+"base", row.Base), Components: []ratecard.Component{}}
		bound := func(field, s string) *models.Credits {
			if s == "" {
				return nil
			}
			c := t.credits(field, s)
			return &c
		}
		rate.Minimum, rate.Maximum = bound(name+"minimum", row.Minimum), bound(name+"maximum", row.Maximum)
		for m, p := range row.Parts {
			part := name + "p" + strconv.Itoa(m) + "_"
			rate.Components = append(rate.Components, ratecard.Component{
				Measure: p.Measure, Above: ratecard.Quantity(t.credits(part+"above", p.Above)), Size: ratecard.Quantity(t.credits(part+"size", p.Size)),
				Credits: t.credits(part+"credits", p.Credits),
			})
		}
		rates, at = append(rates, rate), append(at, n)
	}
	return rates, at
}

// ratePath takes the field of an invalid rate apart: "rates[2].components[0].size".
var ratePath = regexp.MustCompile(`^rates\[(\d+)\](?:\.components\[(\d+)\])?(?:\.(\w+))?$`)

// invalidRates says what is wrong with rates at the fields of their rows.
func invalidRates(err error, at []int, t *typed) bool {
	bad, ok := errors.AsType[*ratecard.InvalidError](err)
	if !ok {
		return false
	}
	for _, p := range bad.Problems {
		name := "rates"
		text := "The card " + p.Remedy + "."
		if m := ratePath.FindStringSubmatch(p.Field); m != nil {
			i, err := strconv.Atoi(m[1])
			if err != nil || i >= len(at) {
				continue
			}
			name = "r" + strconv.Itoa(at[i])
			switch {
			case m[2] != "":
				name += "_p" + m[2] + "_" + m[3]
				text = capital(strings.ReplaceAll(m[3], "_", " ")) + " " + p.Remedy + "."
			case m[3] != "" && m[3] != "components":
				name += "_" + m[3]
				text = capital(m[3]) + " " + p.Remedy + "."
			default:
				name += "_action"
				text = "This rate " + samePair.ReplaceAllString(p.Remedy, "another row") + "."
			}
		}
		if t.errors.For(name) == "" {
			t.wrong(name, text)
		}
	}
	return true
}

// samePair is how the card names another rate, which a form does not.
var samePair = regexp.MustCompile(`rates\[\d+\]`)

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func (a *app) newCardForm(c echo.Context) error {
	f := views.RateForm{Rows: []views.RateRow{{}}}
	if ref := c.QueryParam("from"); ref != "" {
		from, err := models.ParseID[models.RateCardID](ref)
		if err != nil {
			return problem.Missing("rate card")
		}
		d, err := a.Billing.CardData(c.Request().Context(), from)
		if err != nil {
			return err
		}
		f.Rows = rateRows(d.Last().Rates)
	}
	return a.showRateForm(c, http.StatusOK, nil, &f)
}

func (a *app) editCardForm(c echo.Context) error {
	d, err := a.cardOf(c)
	if err != nil {
		return err
	}
	f := views.RateForm{Rows: rateRows(d.Last().Rates), After: d.Newest}
	if action := c.QueryParam("action"); action != "" {
		f.Rows = append(f.Rows, views.RateRow{Action: action, Model: c.QueryParam("model")})
	}
	return a.showRateForm(c, http.StatusOK, &d, &f)
}

// showRateForm shows the form, each rate with room for one more component.
func (a *app) showRateForm(c echo.Context, code int, d *billing.CardData, f *views.RateForm) error {
	title := "Add rate card"
	if f.New = d == nil; f.New {
		f.Action, f.Back = ratesPath+"/new", views.Link{Label: "Rate cards", Href: ratesPath}
	} else {
		title = "Edit rates of " + d.Name
		f.Action, f.Back = cardPath(d.ID)+"/edit", views.Link{Label: d.Name, Href: cardPath(d.ID)}
		if last := d.Last(); last.EffectiveAt > d.Now {
			f.Coming = aVersion(last.Number) + " takes effect " + format.Days(last.EffectiveAt, d.Now, time.UTC) +
				". This edit begins from it; published for an earlier day, it rules only until then."
		}
	}
	f.Attempt = cmp.Or(f.Attempt, billing.NewSecret())
	for i := range f.Rows {
		if len(f.Rows[i].Parts) < ratecard.MaxComponents {
			f.Rows[i].Parts = append(f.Rows[i].Parts, views.RatePartRow{})
		}
	}
	var err error
	if f.Frame, err = a.frame(c, title, "rates", nil); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.RateFormPage(*f))
}

func (a *app) newCard(c echo.Context) error { return a.submitRates(c, nil) }

func (a *app) editCard(c echo.Context) error {
	d, err := a.cardOf(c)
	if err != nil {
		return err
	}
	return a.submitRates(c, &d)
}

// submitRates takes a sent form one step on, as submitPlan.
func (a *app) submitRates(c echo.Context, d *billing.CardData) error {
	f := rateForm(c)
	switch c.FormValue("act") {
	case stepEdit:
		return a.showRateForm(c, http.StatusOK, d, &f)
	case "add":
		f.Rows = append(f.Rows, views.RateRow{})
		return a.showRateForm(c, http.StatusOK, d, &f)
	}
	var t typed
	rates, at := typedRates(f.Rows, &t)
	if err := ratecard.Validate(rates); err != nil && !invalidRates(err, at, &t) {
		return err
	}
	var effective models.Time
	if f.EffectiveOn != "" && d != nil {
		day, err := time.Parse(time.DateOnly, f.EffectiveOn)
		if effective = models.At(day); err != nil {
			t.wrong("effective_on", "Enter a day, such as 2026-12-01, or leave it empty.")
		} else if effective < d.Now {
			t.wrong("effective_on", "That day has begun. Choose a later one, or leave it empty to publish at once.")
		}
	}
	if len(t.errors) == 0 && c.FormValue("act") == stepPublish {
		err := a.publishCard(c, d, &f, rates, effective)
		if err == nil {
			return nil
		}
		if !t.merge(err, "name", "code", "note") {
			found, ok := conflict(err, "rates", "published_meanwhile", "effective_in_past", "idempotency_key_reused")
			if !ok {
				return err
			}
			t.errors, f.Attempt = found, ""
		}
		f.Errors = t.errors
		return a.showRateForm(c, statusOf(err), d, &f)
	}
	if d == nil {
		if err := billing.CheckCard(f.Code, f.Name, f.Note); err != nil && !t.merge(err, "name", "code", "note") {
			return err
		}
	}
	if len(t.errors) > 0 {
		f.Errors = t.errors
		return a.showRateForm(c, http.StatusUnprocessableEntity, d, &f)
	}
	if d != nil && len(ratecard.Diff(d.Last().Rates, rates)) == 0 {
		f.Errors = views.FieldErrors{{Field: "rates", Text: "Nothing would change. Change a rate first."}}
		return a.showRateForm(c, http.StatusUnprocessableEntity, d, &f)
	}
	return a.reviewRates(c, d, &f, rates, effective)
}

func (a *app) publishCard(c echo.Context, d *billing.CardData, f *views.RateForm, rates []ratecard.Rate, effective models.Time) error {
	v, ctx := visitOf(c), c.Request().Context()
	if d == nil {
		card, err := a.Billing.CreateRateCard(ctx, billing.CardInput{Code: f.Code, Name: f.Name, Rates: rates, Note: f.Note, By: v.viewer.Actor()})
		if err != nil {
			return err
		}
		if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: card.Name + " is ready. Choose it in a plan to price agencies by it."}); err != nil {
			return err
		}
		return seeOther(c, cardPath(card.ID))
	}
	made, _, err := a.Billing.PublishRatesOnce(ctx, billing.PublishInput{
		Card: d.ID, Rates: rates, EffectiveAt: effective, After: f.After, Note: f.Note, Key: "web:" + cmp.Or(f.Attempt, billing.NewSecret()), By: v.viewer.Actor(),
	})
	if err != nil {
		return err
	}
	text := aVersion(made.Number) + " is in force. Charges made before keep their price."
	if made.EffectiveAt > a.Billing.Now() {
		text = aVersion(made.Number) + " takes effect " + format.Days(made.EffectiveAt, a.Billing.Now(), time.UTC) + "."
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: text}); err != nil {
		return err
	}
	return seeOther(c, cardPath(d.ID))
}

func (a *app) reviewRates(c echo.Context, d *billing.CardData, f *views.RateForm, rates []ratecard.Rate, effective models.Time) error {
	out := views.Review{
		Action: ratesPath + "/new", Back: views.Link{Label: "Rate cards", Href: ratesPath}, Caption: "Rates", Publish: "Publish version 1",
		Lead: f.Name + " would price nobody until a plan uses it.", Hidden: rateHidden(f), Note: strings.TrimSpace(f.Note),
	}
	title := "Review the rate card " + f.Name
	if d == nil {
		out.Changes = rateDiff(nil, rates)
	} else {
		title = "Review the rates of " + d.Name
		out.Action, out.Back = cardPath(d.ID)+"/edit", views.Link{Label: d.Name, Href: cardPath(d.ID)}
		out.Caption, out.Publish, out.Changes = "Changes", "Publish "+numbered(d.Newest+1), rateDiff(d.Last().Rates, rates)
		out.Lead = aVersion(d.Newest+1) + " takes effect at once."
		if effective > 0 {
			out.Lead = aVersion(d.Newest+1) + " takes effect " + format.Days(effective, d.Now, time.UTC) + ", at 00:00 UTC."
		}
		out.Lead += " It prices " + agencyWords(d.Agencies) + "."
		out.Notes = append(out.Notes, "Charges made before keep their price and their version.")
		for _, u := range d.Unpriced(rates) {
			p := views.Price{Action: u.Action, Model: u.Model}
			out.Warnings = append(out.Warnings, p.Key()+" was used "+format.Plural(u.Charges, "time", "times")+" in the last 30 days and would have no rate: such requests are refused.")
		}
		if last := d.Last(); last.EffectiveAt > max(effective, d.Now) {
			out.Warnings = append(out.Warnings, aVersion(last.Number)+" takes effect "+format.Days(last.EffectiveAt, d.Now, time.UTC)+" and then rules instead of this.")
		}
	}
	var err error
	if out.Frame, err = a.frame(c, title, "rates", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.ReviewPage(out))
}

// ratesCSV is the rates in force: a row for each, and one more for each further
// component.
func (a *app) ratesCSV(c echo.Context) error {
	d, err := a.cardOf(c)
	if err != nil {
		return err
	}
	e, ok := d.Edition(d.InForce)
	if !ok {
		return problem.Missing("version")
	}
	rows := [][]string{{"action", "model", "base", "minimum", "maximum", "plus_credits", "for_every", "measure", "above"}}
	bound := func(c *models.Credits) string {
		if c == nil {
			return ""
		}
		return c.String()
	}
	for _, r := range e.Rates {
		row := []string{text(r.Action), text(r.Model), r.Base.String(), bound(r.Minimum), bound(r.Maximum), "", "", "", ""}
		for i, p := range r.Components {
			if i > 0 {
				rows = append(rows, row)
				row = []string{text(r.Action), text(r.Model), "", "", "", "", "", "", ""}
			}
			copy(row[5:], []string{p.Credits.String(), p.Size.String(), text(p.Measure), p.Above.String()})
		}
		rows = append(rows, row)
	}
	return a.download(c, fileWord(d.Code)+"-rates-version-"+strconv.Itoa(e.Number), 0, 0, func(w io.Writer) error {
		out := csv.NewWriter(w)
		out.UseCRLF = true
		return out.WriteAll(rows)
	})
}
