package handlers

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// deliveriesPage is how many deliveries are listed at once.
const deliveriesPage = 20

// listeners is whose endpoints a page is about.
type listeners struct {
	billing.WebhookOwner

	path    string // of the page
	current string // in the navigation
	scope   string
	tabs    []views.Tab
}

// whose finds the endpoints that an address is about.
type whose func(c echo.Context) listeners

// platformHooks are the operator's endpoints, which hear of every wallet.
func (a *app) platformHooks(echo.Context) listeners {
	return listeners{path: "/admin/webhooks", current: "webhooks", scope: "They hear of every agency's wallets, and of their clients'."}
}

// agencyHooks are the viewer's agency's endpoints.
func (a *app) agencyHooks(c echo.Context) listeners {
	return listeners{
		WebhookOwner: billing.WebhookOwner{Agency: visitOf(c).viewer.Agency.ID}, path: "/settings/webhooks", current: "settings",
		scope: "They hear of your wallet and of your clients' wallets.", tabs: a.settings(c, "/settings/webhooks"),
	}
}

func webhookEvents() []views.WebhookEvent {
	types := billing.WebhookTypes()
	out := make([]views.WebhookEvent, len(types))
	for i, t := range types {
		out[i] = views.WebhookEvent(t)
	}
	return out
}

// typedWebhook is the form as it was sent.
func typedWebhook(c echo.Context) (f views.WebhookForm, err error) {
	values, err := c.FormParams()
	f = views.WebhookForm{
		URL: strings.TrimSpace(values.Get("url")), Note: values.Get("note"), Some: values.Get("hear") == "some", Chosen: values["event"], Events: webhookEvents(),
	}
	if err == nil && f.Some && len(f.Chosen) == 0 {
		f.Errors = views.FieldErrors{{Field: "events", Text: "Choose at least one event, or everything."}}
	}
	return f, err
}

func webhookInput(o billing.WebhookOwner, f *views.WebhookForm, by billing.Actor) billing.WebhookInput {
	in := billing.WebhookInput{Owner: o, URL: f.URL, Note: f.Note, By: by}
	if f.Some {
		in.Events = f.Chosen
	}
	return in
}

// webhooks lists endpoints.
func (a *app) webhooks(where whose) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		return a.showWebhooks(c, http.StatusOK, &in, views.WebhookForm{Events: webhookEvents()})
	}
}

func (a *app) showWebhooks(c echo.Context, code int, in *listeners, f views.WebhookForm) error { //nolint:gocritic // a form is sent once per page
	rows, err := a.Billing.Webhooks(c.Request().Context(), in.WebhookOwner)
	if err != nil {
		return err
	}
	out := views.Webhooks{Base: in.path, Tabs: in.tabs, Scope: in.scope, Form: f}
	for i := range rows {
		e := &rows[i]
		row := views.WebhookRow{URL: e.URL, Note: e.Note, Href: in.path + "/" + e.ID.String(), Hears: "Everything"}
		if n := len(strings.Fields(e.Events)); n > 0 {
			row.Hears = format.Plural(int64(n), "event", "events")
		}
		row.Tone, row.State, _ = webhookState(e)
		out.Rows = append(out.Rows, row)
	}
	if len(rows) >= billing.MaxWebhooks {
		out.Full = "There are as many endpoints as there can be. Remove one first."
	}
	if out.Frame, err = a.frame(c, "Webhooks", in.current, nil); err != nil {
		return err
	}
	out.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.WebhooksPage(out))
}

// webhookState is how an endpoint does, in words.
func webhookState(e *models.WebhookEndpoint) (tone views.Tone, word, why string) {
	switch {
	case e.DisabledAt != 0 && e.Failures > 0:
		return views.ToneBad, "Off", "It is off. " + e.DisabledNote + " Turn it on once the program answers again."
	case e.DisabledAt != 0:
		return views.ToneNone, "Off", ""
	case e.Failures > 0:
		return views.ToneWarn, "Failing", "Failed so far: " + format.Plural(int64(e.Failures), "attempt", "attempts") +
			" in a row. It is tried again later and later; after three days it is turned off."
	}
	return views.ToneOK, "On", ""
}

// addWebhook makes an endpoint; its page shows the secret, once.
func (a *app) addWebhook(where whose) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		f, err := typedWebhook(c)
		if err != nil {
			return err
		}
		if len(f.Errors) > 0 {
			return a.showWebhooks(c, http.StatusUnprocessableEntity, &in, f)
		}
		row, _, err := a.Billing.AddWebhook(c.Request().Context(), webhookInput(in.WebhookOwner, &f, visitOf(c).viewer.Actor()))
		if err != nil {
			var ok bool
			if f.Errors, ok = wrongFields(err, "url", "note", "events"); !ok {
				return err
			}
			return a.showWebhooks(c, statusOf(err), &in, f)
		}
		if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Endpoint added.", Secret: row.Secret}); err != nil {
			return err
		}
		return seeOther(c, in.path+"/"+row.ID.String())
	}
}

// endpointOf is the endpoint that an address names.
func (a *app) endpointOf(c echo.Context, in *listeners) (models.WebhookEndpoint, error) {
	id, err := models.ParseID[models.WebhookEndpointID](c.Param("id"))
	if err != nil {
		return models.WebhookEndpoint{}, problem.Missing("endpoint")
	}
	return a.Billing.Webhook(c.Request().Context(), in.WebhookOwner, id)
}

// webhook shows an endpoint and what went to it.
func (a *app) webhook(where whose) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		row, err := a.endpointOf(c, &in)
		if err != nil {
			return err
		}
		return a.showWebhook(c, http.StatusOK, &in, &row, views.WebhookForm{
			URL: row.URL, Note: row.Note, Some: row.Events != "", Chosen: strings.Fields(row.Events), Events: webhookEvents(),
		})
	}
}

func (a *app) showWebhook(c echo.Context, code int, in *listeners, e *models.WebhookEndpoint, f views.WebhookForm) error { //nolint:gocritic // as above
	out := views.Webhook{
		Back: views.Link{Label: "Webhooks", Href: in.path}, Path: in.path + "/" + e.ID.String(), URL: e.URL, Note: e.Note, Off: e.DisabledAt != 0,
		Hears: strings.Fields(e.Events), Since: e.CreatedAt, Form: f,
	}
	out.Tone, out.State, out.Why = webhookState(e)
	if e.OldSecret != "" && e.OldUntil > a.Wall.Now() {
		out.BothUntil = e.OldUntil
	}
	var before models.WebhookEventID
	if ref := c.QueryParam("before"); ref != "" {
		var err error
		if before, err = models.ParseID[models.WebhookEventID](ref); err != nil {
			return problem.Missing("page")
		}
		out.Newer = out.Path
	}
	rows, err := a.Billing.Deliveries(c.Request().Context(), in.WebhookOwner, e.ID, before, deliveriesPage+1)
	if err != nil {
		return err
	}
	if len(rows) > deliveriesPage {
		rows = rows[:deliveriesPage]
		out.Older = out.Path + "?before=" + rows[deliveriesPage-1].EventID.String()
	}
	for i := range rows {
		out.Deliveries = append(out.Deliveries, deliveryRow(&rows[i], out.Path))
	}
	if out.Frame, err = a.frame(c, "Webhook endpoint", in.current, nil); err != nil {
		return err
	}
	out.Frame.Failed = len(f.Errors) > 0
	if out.Frame.Flash != nil {
		out.Secret = out.Frame.Flash.Secret
	}
	return page(c, code, views.WebhookPage(out))
}

func deliveryRow(d *models.WebhookDelivery, path string) views.WebhookDelivery {
	row := views.WebhookDelivery{
		Type: d.Type, ID: d.EventID.String(), At: d.CreatedAt, Status: d.Status, Note: d.Note, Took: d.Took, Tries: d.Attempts,
		Resend: path + "/deliveries/" + d.EventID.String(),
	}
	switch d.State {
	case models.WebhookDelivered:
		row.Tone, row.Word = views.ToneOK, "Delivered"
	case models.WebhookDead:
		row.Tone, row.Word = views.ToneBad, "Given up"
	case models.WebhookQueued:
		row.Tone, row.Word = views.ToneInfo, "Waiting"
		if d.Attempts > 0 {
			row.Tone, row.Next = views.ToneWarn, d.NextAt
		}
	}
	return row
}

// saveWebhook changes where an endpoint is and what it hears of.
func (a *app) saveWebhook(where whose) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		row, err := a.endpointOf(c, &in)
		if err != nil {
			return err
		}
		f, err := typedWebhook(c)
		if err != nil {
			return err
		}
		if len(f.Errors) > 0 {
			return a.showWebhook(c, http.StatusUnprocessableEntity, &in, &row, f)
		}
		if err := a.Billing.ChangeWebhook(c.Request().Context(), row.ID, webhookInput(in.WebhookOwner, &f, visitOf(c).viewer.Actor())); err != nil {
			var ok bool
			if f.Errors, ok = wrongFields(err, "url", "note", "events"); !ok {
				return err
			}
			return a.showWebhook(c, statusOf(err), &in, &row, f)
		}
		return a.saidAt(c, in.path+"/"+row.ID.String(), views.Flash{Tone: views.ToneOK, Text: "Changes saved."})
	}
}

func (a *app) saidAt(c echo.Context, path string, flash views.Flash) error {
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, path)
}

// testWebhook sends a made-up event and tells what came of it.
func (a *app) testWebhook(where whose) echo.HandlerFunc {
	return a.actOnWebhook(where, func(c echo.Context, in *listeners, row *models.WebhookEndpoint) (views.Flash, error) {
		d, err := a.Billing.TestWebhook(c.Request().Context(), in.WebhookOwner, row.ID, visitOf(c).viewer.Actor())
		if err != nil {
			return views.Flash{}, err
		}
		if d.State == models.WebhookDelivered {
			return views.Flash{Tone: views.ToneOK, Text: "The test was delivered."}, nil
		}
		return views.Flash{Tone: views.ToneWarn, Text: "The test was not taken; see the answer below. It is tried again."}, nil
	})
}

// switchWebhook turns an endpoint on or off.
func (a *app) switchWebhook(where whose, on bool) echo.HandlerFunc {
	return a.actOnWebhook(where, func(c echo.Context, in *listeners, row *models.WebhookEndpoint) (views.Flash, error) {
		text := "Turned off. What happens meanwhile can be sent again for three days."
		if on {
			text = "Turned on. What waited is sent now."
		}
		return views.Flash{Tone: views.ToneOK, Text: text},
			a.Billing.SwitchWebhook(c.Request().Context(), in.WebhookOwner, row.ID, on, visitOf(c).viewer.Actor())
	})
}

// rotateWebhook makes a new secret and shows it, once.
func (a *app) rotateWebhook(where whose) echo.HandlerFunc {
	return a.actOnWebhook(where, func(c echo.Context, in *listeners, row *models.WebhookEndpoint) (views.Flash, error) {
		fresh, err := a.Billing.RotateWebhook(c.Request().Context(), in.WebhookOwner, row.ID, visitOf(c).viewer.Actor())
		return views.Flash{Tone: views.ToneOK, Text: "There is a new secret.", Secret: fresh.Secret}, err
	})
}

// resendWebhook sends a delivery again.
func (a *app) resendWebhook(where whose) echo.HandlerFunc {
	return a.actOnWebhook(where, func(c echo.Context, in *listeners, row *models.WebhookEndpoint) (views.Flash, error) {
		event, err := models.ParseID[models.WebhookEventID](c.Param("event"))
		if err != nil {
			return views.Flash{}, problem.Missing("delivery")
		}
		return views.Flash{Tone: views.ToneOK, Text: "It is sent again now."},
			a.Billing.ResendWebhook(c.Request().Context(), in.WebhookOwner, row.ID, event, visitOf(c).viewer.Actor())
	})
}

// actOnWebhook does something with an endpoint and leads back to its page.
func (a *app) actOnWebhook(where whose, act func(c echo.Context, in *listeners, row *models.WebhookEndpoint) (views.Flash, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		row, err := a.endpointOf(c, &in)
		if err != nil {
			return err
		}
		flash, err := act(c, &in, &row)
		if err != nil {
			return err
		}
		return a.saidAt(c, in.path+"/"+row.ID.String(), flash)
	}
}

// removeWebhook forgets an endpoint.
func (a *app) removeWebhook(where whose) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		row, err := a.endpointOf(c, &in)
		if err != nil {
			return err
		}
		if err := a.Billing.RemoveWebhook(c.Request().Context(), in.WebhookOwner, row.ID, visitOf(c).viewer.Actor()); err != nil {
			return err
		}
		return a.saidAt(c, in.path, views.Flash{Tone: views.ToneOK, Text: row.URL + " removed."})
	}
}

// messages is what visitors are told while the AI is paused.
func (a *app) messages(c echo.Context) error {
	return a.showMessages(c, http.StatusOK, visitOf(c).viewer.Agency.TryLater, nil)
}

func (a *app) showMessages(c echo.Context, code int, text string, errs views.FieldErrors) error {
	v := visitOf(c)
	own, err := a.Billing.TryLaters(c.Request().Context(), v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	out := views.Messages{
		Tabs: a.settings(c, "/settings/messages"), Text: text, Usual: billing.DefaultTryLater, Max: billing.MaxTryLater, May: mayBuy(v), Errors: errs,
	}
	for i := range own {
		out.Own = append(out.Own, views.MessageRow{Name: own[i].Name, Text: own[i].TryLater, Href: subAccountPath(own[i].ID) + "/edit"})
	}
	if out.Frame, err = a.frame(c, "Messages", "settings", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(errs) > 0
	return page(c, code, views.MessagesPage(out))
}

func (a *app) saveMessages(c echo.Context) error {
	v, text := visitOf(c), c.FormValue("try_later")
	err := a.Billing.SetTryLater(c.Request().Context(), v.viewer.Scope(), billing.TryLaterInput{Agency: v.viewer.Agency.ID, Text: text, By: v.viewer.Actor()})
	if err != nil {
		wrong, ok := wrongFields(err, "try_later")
		if !ok {
			return err
		}
		return a.showMessages(c, statusOf(err), text, wrong)
	}
	return a.saidAt(c, "/settings/messages", views.Flash{Tone: views.ToneOK, Text: "Saved. It holds from now on."})
}
