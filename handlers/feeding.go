package handlers

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
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

const bulkPath = "/sub-accounts/bulk"

// longestAddress is what every proxy lets through; some stop at a few thousand.
const longestAddress = 2000

// bulkTyped is the bulk form as it was sent.
type bulkTyped struct {
	views.Bulk

	accounts []string
	ask      billing.BulkAsk
}

func (a *app) bulkForm(c echo.Context) error {
	q := c.QueryParams()
	t := bulkTyped{Bulk: views.Bulk{Way: q.Get("way"), Typed: q.Get("credits"), Note: q.Get("note")}, accounts: q["account"]}
	if t.Way == "" || t.Way == string(models.BulkList) {
		return a.showBulk(c, http.StatusOK, &t)
	}
	t.read()
	return a.planBulk(c, http.StatusOK, &t)
}

// read makes an ask of what was typed.
func (t *bulkTyped) read() {
	t.ask.Way = models.BulkWay(t.Way)
	for _, ref := range t.accounts {
		if id, err := models.ParseID[models.SubAccountID](ref); err == nil {
			t.ask.Accounts = append(t.ask.Accounts, id)
		}
	}
	if t.ask.Way == models.BulkList {
		return
	}
	amount, err := typedCredits(t.Typed)
	if err != nil || amount <= 0 {
		t.Errors = append(t.Errors, views.FieldError{Field: "credits", Text: amountText(err)})
	}
	t.ask.Credits = amount
}

// planBulk shows what the form would do.
func (a *app) planBulk(c echo.Context, code int, t *bulkTyped) error {
	v := visitOf(c)
	if len(t.Errors) > 0 {
		return a.showBulk(c, http.StatusUnprocessableEntity, t)
	}
	plan, err := a.Billing.PlanBulk(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, t.ask)
	if err != nil {
		wrong, ok := wrongFields(err, "credits", "way", "accounts", "list", "sub_account")
		if !ok {
			return err
		}
		t.Errors = onAccounts(wrong)
		return a.showBulk(c, statusOf(err), t)
	}
	t.Plan = &views.BulkSums{Total: plan.Total, Count: int64(plan.Count), Now: plan.Now, After: plan.After, Pooled: int64(plan.Pooled)}
	for i := range plan.Rows {
		r := &plan.Rows[i]
		t.Plan.Rows = append(t.Plan.Rows, views.BulkLine{ID: r.ID.String(), Name: r.Name, Credits: r.Credits, Now: r.Now, After: r.After, Used: r.Used})
	}
	if plan.Short() > 0 {
		t.Buy = "/buy"
	}
	return a.showBulk(c, code, t)
}

func (a *app) showBulk(c echo.Context, code int, t *bulkTyped) error {
	subs, err := a.Billing.SubAccountPrepaid(c.Request().Context(), visitOf(c).viewer.Agency.ID)
	if err != nil {
		return err
	}
	for i := range subs {
		id := subs[i].ID.String()
		t.Clients = append(t.Clients, views.BulkClient{ID: id, Ref: subs[i].ExternalID, Name: subs[i].Name, Chosen: slices.Contains(t.accounts, id)})
	}
	t.Attempt = cmp.Or(t.Attempt, billing.NewSecret())
	if t.Frame, err = a.frame(c, "Assign credits to many", "sub-accounts", nil); err != nil {
		return err
	}
	t.Frame.Failed = len(t.Errors) > 0
	return page(c, code, views.BulkPage(t.Bulk))
}

// bulk shows what a list does, or books what was shown.
func (a *app) bulk(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	t := bulkTyped{Bulk: views.Bulk{
		Way: c.FormValue("way"), Typed: c.FormValue("credits"), List: c.FormValue("list"), Note: c.FormValue("note"), Attempt: c.FormValue("attempt"),
	}, accounts: form["account"]}
	if c.FormValue("step") == "assign" {
		return a.bulkAssign(c, &t, form["share"])
	}
	t.read()
	if t.Way != string(models.BulkList) {
		q := url.Values{"way": {t.Way}, "credits": {t.Typed}, "note": {t.Note}}
		if len(t.accounts) > 0 {
			q["account"] = t.accounts
		}
		if at := bulkPath + "?" + q.Encode(); len(at) <= longestAddress {
			return seeOther(c, at)
		}
		return a.planBulk(c, http.StatusOK, &t)
	}
	var list io.Reader = strings.NewReader(t.List)
	if file, err := c.FormFile("file"); err == nil && file.Size > 0 {
		f, err := file.Open()
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		list = f
	}
	t.ask.List, err = a.Billing.ReadBulkList(c.Request().Context(), visitOf(c).viewer.Agency.ID, list, typedCredits)
	if err != nil {
		wrong, ok := wrongFields(err, "list")
		if !ok {
			return err
		}
		t.Errors = wrong
	}
	return a.planBulk(c, http.StatusOK, &t)
}

// bulkAssign books the amounts that were shown.
func (a *app) bulkAssign(c echo.Context, t *bulkTyped, shares []string) error {
	v := visitOf(c)
	in := billing.BulkInput{
		Agency: v.viewer.Agency.ID, Way: models.BulkWay(t.Way), Note: t.Note, Key: "web:" + cmp.Or(t.Attempt, billing.NewSecret()), By: v.viewer.Actor(),
	}
	again := billing.BulkAsk{Way: models.BulkList, List: map[models.SubAccountID]models.Credits{}}
	for _, text := range shares {
		ref, amount, _ := strings.Cut(text, ":")
		id, err := models.ParseID[models.SubAccountID](ref)
		credits, wrong := models.ParseCredits(amount)
		if err != nil || wrong != nil {
			return problem.New(problem.Invalid, "invalid_credits", "This form is not whole; start again.").On("credits")
		}
		in.Shares = append(in.Shares, billing.BulkShare{SubAccount: id, Credits: credits})
		again.List[id] = credits
	}
	done, _, err := a.Billing.AssignMany(c.Request().Context(), v.viewer.Scope(), in)
	switch {
	case problem.Is(err, "insufficient_credits"):
		t.ask = again // the same amounts, against what there is now
		return a.planBulk(c, statusOf(err), t)
	case problem.Is(err, "idempotency_key_reused"):
		t.Attempt, t.ask = "", again
		t.Errors = nil
		return a.planBulk(c, statusOf(err), t)
	case err != nil:
		wrong, ok := wrongFields(err, "credits", "way", "accounts", "list", "note", "sub_account")
		if !ok {
			return err
		}
		t.Errors = onAccounts(wrong)
		return a.showBulk(c, statusOf(err), t)
	}
	path := bulkPath + "/" + done.ID.String()
	if err := a.say(c, views.Flash{
		Tone: views.ToneOK, Text: format.CreditsWord(done.Credits) + " assigned to " + format.Plural(int64(done.Accounts), "client", "clients") + ".",
	}); err != nil {
		return err
	}
	return seeOther(c, path)
}

// onAccounts puts what is wrong with one client beside the list of them.
func onAccounts(wrong views.FieldErrors) views.FieldErrors {
	for i := range wrong {
		if wrong[i].Field == "sub_account" {
			wrong[i].Field = "accounts"
		}
	}
	return wrong
}

// bulkOf finds the assignment that the address names. Errors: not_found.
func (a *app) bulkOf(c echo.Context) (billing.BulkRecord, error) {
	id, err := models.ParseID[models.BulkID](c.Param("id"))
	if err != nil {
		return billing.BulkRecord{}, problem.Missing("assignment")
	}
	v := visitOf(c)
	return a.Billing.Bulk(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, id)
}

// bulkCSV is what each client got.
func (a *app) bulkCSV(c echo.Context) error {
	r, err := a.bulkOf(c)
	if err != nil {
		return err
	}
	account := visitOf(c).viewer.Account()
	return a.list(c, "assigned-to-many", []string{
		"time_local", "time_utc", "client", "client_id", "credits", "unspent", "returned", "way", "note", "assigned_by", "line", "undone_utc",
	}, func(write func(...string) error) error {
		local, utc := stamps(r.CreatedAt, account.Zone)
		_, undone := stamps(r.UndoneAt, account.Zone)
		for i := range r.Parts {
			p := &r.Parts[i]
			if err := write(local, utc, text(p.Name), p.SubAccountID.String(), p.Credits.String(), p.Unspent.String(), p.Returned.String(), string(r.Way), text(r.Note), text(r.CreatedBy), p.ActID.String(), undone); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) bulkDone(c echo.Context) error {
	v := visitOf(c)
	r, err := a.bulkOf(c)
	if err != nil {
		return err
	}
	path := bulkPath + "/" + r.ID.String()
	out := views.BulkDone{
		CSV: path + "/clients.csv",
		Way: string(r.Way), At: r.CreatedAt, By: actorWords(r.CreatedBy, v.viewer.Account()), Note: r.Note, Credits: r.Credits, Unspent: r.Unspent, Undone: r.UndoneAt,
	}
	if mayBuy(v) && !r.UndoneAt.IsSet() {
		out.Undo = path + "/undo"
	}
	for i := range r.Parts {
		p := &r.Parts[i]
		out.Rows = append(out.Rows, views.BulkDoneRow{
			Name: p.Name, Href: subAccountPath(p.SubAccountID), Credits: p.Credits, Unspent: p.Unspent, Returned: p.Returned, Line: "/history/" + p.ActID.String(),
		})
	}
	if out.Frame, err = a.frame(c, "Credits assigned to many", "sub-accounts", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.BulkDonePage(out))
}

func (a *app) undoBulk(c echo.Context) error {
	v := visitOf(c)
	id, err := models.ParseID[models.BulkID](c.Param("id"))
	if err != nil {
		return problem.Missing("assignment")
	}
	back, err := a.Billing.UndoBulk(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, id, v.viewer.Actor())
	if err != nil {
		return err
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: takenBack(back)}); err != nil {
		return err
	}
	return seeOther(c, bulkPath+"/"+id.String())
}

func takenBack(back models.Credits) string {
	if back == 0 {
		return "Nothing was left to take back."
	}
	return format.CreditsWord(back) + " taken back."
}

// undoLine takes back what is unspent of the assignment that a line is.
func (a *app) undoLine(c echo.Context) error {
	v := visitOf(c)
	id, err := models.ParseID[models.ActID](c.Param("id"))
	if err != nil {
		return problem.Missing("line")
	}
	back, err := a.Billing.UndoAssignment(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, id, v.viewer.Actor())
	if err != nil {
		return err
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: takenBack(back)}); err != nil {
		return err
	}
	return seeOther(c, "/history/"+id.String())
}

func (a *app) passForm(c echo.Context) error {
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	return a.showPass(c, http.StatusOK, &sub, views.PassOn{Typed: c.QueryParam("credits")})
}

func (a *app) showPass(c echo.Context, code int, sub *billing.SubAccountRow, out views.PassOn) error { //nolint:gocritic // a form is sent once per page
	v, ctx := visitOf(c), c.Request().Context()
	plan, err := a.Billing.PlanTransfer(ctx, v.viewer.Scope(), sub.AgencyID, sub.ID, 0, true)
	if err != nil {
		return err
	}
	subs, err := a.Billing.SubAccountPrepaid(ctx, sub.AgencyID)
	if err != nil {
		return err
	}
	for i := range subs {
		if subs[i].ID != sub.ID {
			out.Others = append(out.Others, views.BulkClient{ID: subs[i].ID.String(), Name: subs[i].Name})
		}
	}
	out.Account, out.Name, out.Most, out.Attempt = subAccountPath(sub.ID), sub.Name, plan.Most, cmp.Or(out.Attempt, billing.NewSecret())
	out.Action = out.Account + "/move"
	switch {
	case plan.Most == 0:
		out.Closed = "There is nothing to move: " + sub.Name + " has no unspent assigned credits."
	case len(out.Others) == 0:
		out.Closed = "There is no other client that has credits of its own."
	}
	if out.Frame, err = a.frame(c, "Move credits from "+sub.Name, "sub-accounts", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.PassOnPage(out))
}

func (a *app) pass(c echo.Context) error {
	v := visitOf(c)
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	t := views.PassOn{To: c.FormValue("to"), Typed: c.FormValue("credits"), Note: c.FormValue("note"), Attempt: c.FormValue("attempt")}
	amount, err := typedCredits(t.Typed)
	if err != nil || amount <= 0 {
		t.Errors = append(t.Errors, views.FieldError{Field: "credits", Text: amountText(err)})
	}
	to, err := models.ParseID[models.SubAccountID](t.To)
	if err != nil {
		t.Errors = append(t.Errors, views.FieldError{Field: "to", Text: "Choose a client to move credits to."})
	}
	if len(t.Errors) > 0 {
		return a.showPass(c, http.StatusUnprocessableEntity, &sub, t)
	}
	done, err := a.Billing.PassOn(c.Request().Context(), v.viewer.Scope(), billing.PassInput{
		Agency: sub.AgencyID, From: sub.ID, To: to, Credits: amount, Note: t.Note, Key: "web:" + cmp.Or(t.Attempt, billing.NewSecret()), By: v.viewer.Actor(),
	})
	if err != nil {
		if problem.Is(err, "idempotency_key_reused") {
			t.Attempt, t.Errors = "", views.FieldErrors{{Field: "credits", Text: "This form was used already. To move these too, send it once more."}}
			return a.showPass(c, statusOf(err), &sub, t)
		}
		wrong, ok := wrongFields(err, "credits", "to", "note")
		if !ok {
			return err
		}
		t.Errors = wrong
		return a.showPass(c, statusOf(err), &sub, t)
	}
	flash := views.Flash{Tone: views.ToneOK, Text: format.CreditsWord(amount) + " moved."}
	if in := done.Out.Reference; in != "" {
		flash.Link = &views.Link{Label: "Take back", Href: "/history/" + in}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, subAccountPath(sub.ID))
}

func (a *app) monthlyForm(c echo.Context) error {
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	out := views.Monthly{Day: "1", Typed: c.QueryParam("credits")}
	st, err := a.Billing.Standing(c.Request().Context(), sub.AgencyID, sub.ID)
	if err != nil {
		return err
	}
	if st != nil {
		out.Typed, out.Day, out.Unused, out.Note = format.Typed(st.Credits), strconv.Itoa(st.Day), string(st.Unused), st.Note
	}
	return a.showMonthly(c, http.StatusOK, &sub, out)
}

func (a *app) showMonthly(c echo.Context, code int, sub *billing.SubAccountRow, out views.Monthly) error { //nolint:gocritic // a form is sent once per page
	out.Account, out.Name = subAccountPath(sub.ID), sub.Name
	out.Action = out.Account + "/monthly"
	if sub.Funding == models.Pooled {
		out.Closed = sub.Name + " draws on your credits. Credits of its own would lie still; to assign some, change how it gets credits first."
		out.Edit = &views.Link{Label: "Change how it gets credits", Href: out.Account + "/edit"}
	}
	var err error
	if out.Frame, err = a.frame(c, "Monthly credits for "+sub.Name, "sub-accounts", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.MonthlyPage(out))
}

func (a *app) monthly(c echo.Context) error {
	v := visitOf(c)
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	t := views.Monthly{Typed: c.FormValue("credits"), Day: c.FormValue("day"), Unused: c.FormValue("unused"), Note: c.FormValue("note")}
	amount, err := typedCredits(t.Typed)
	if err != nil || amount <= 0 {
		t.Errors = views.FieldErrors{{Field: "credits", Text: amountText(err)}}
		return a.showMonthly(c, http.StatusUnprocessableEntity, &sub, t)
	}
	day, err := strconv.Atoi(t.Day)
	if err != nil {
		day = 0
	}
	st, err := a.Billing.SetStanding(c.Request().Context(), v.viewer.Scope(), billing.StandingInput{
		Agency: sub.AgencyID, SubAccount: sub.ID, Credits: amount, Day: day, Unused: models.Unused(t.Unused), Note: t.Note, By: v.viewer.Actor(),
	})
	if err != nil {
		wrong, ok := wrongFields(err, "credits", "day", "unused", "note")
		if !ok {
			return err
		}
		t.Errors = wrong
		return a.showMonthly(c, statusOf(err), &sub, t)
	}
	account := v.viewer.Account()
	if err := a.say(c, views.Flash{
		Tone: views.ToneOK, Text: sub.Name + " gets " + format.CreditsWord(st.Credits) + " every month. The first come " + format.Days(st.NextAt, a.Billing.Now(), account.Zone) + ".",
	}); err != nil {
		return err
	}
	return seeOther(c, subAccountPath(sub.ID))
}

func (a *app) stopMonthly(c echo.Context) error {
	v := visitOf(c)
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	if err := a.Billing.StopStanding(c.Request().Context(), v.viewer.Scope(), sub.AgencyID, sub.ID, v.viewer.Actor()); err != nil {
		return err
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Stopped. What " + sub.Name + " was given stays."}); err != nil {
		return err
	}
	return seeOther(c, subAccountPath(sub.ID))
}

// standing is what a client gets every month, as its agency sees it.
func (a *app) standing(c echo.Context, sub *billing.SubAccountRow) views.Standing {
	st, err := a.Billing.Standing(c.Request().Context(), sub.AgencyID, sub.ID)
	var out views.Standing
	if err != nil {
		a.sectionFailed(c, "monthly credits", err)
		return out
	}
	path := subAccountPath(sub.ID)
	if mayBuy(visitOf(c)) && sub.Status == models.SubAccountActive {
		out.Edit = path + "/monthly"
	}
	if st == nil {
		return out
	}
	if out.Edit != "" {
		out.Stop = path + "/monthly/stop"
	}
	out.Credits, out.Day, out.Returns, out.Next, out.Note = st.Credits, st.Day, st.Unused == models.UnusedReturns, st.NextAt, st.Note
	for _, t := range st.Turns {
		turn := views.StandingTurn{At: t.DueAt, Outcome: string(t.Outcome), Credits: t.Credits, Returned: t.Returned, Had: t.Available}
		if !t.ActID.IsZero() {
			turn.Line = "/history/" + t.ActID.String()
		}
		out.Turns = append(out.Turns, turn)
	}
	return out
}
