package handlers

import (
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

// keyring is whose API keys a page is about.
type keyring struct {
	owner   billing.Scope
	path    string // of the page
	current string // in the navigation
	scope   string
	tabs    []views.Tab
}

// ringOf finds the keys that an address is about.
type ringOf func(c echo.Context) keyring

func (a *app) platformKeys(echo.Context) keyring {
	return keyring{path: "/admin/api-keys", current: "api-keys", scope: "They open every agency's wallets, and the platform's own settings."}
}

func (a *app) agencyKeys(c echo.Context) keyring {
	return keyring{
		owner: visitOf(c).viewer.Scope(), path: "/settings/api-keys", current: "settings",
		scope: "They open your wallet and your clients', and nobody else's.", tabs: a.settings(c, "/settings/api-keys"),
	}
}

func (a *app) apiKeys(where ringOf) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		return a.showAPIKeys(c, http.StatusOK, &in, views.APIKeyForm{Chosen: billing.KeyScopes(), Life: "0"})
	}
}

func (a *app) showAPIKeys(c echo.Context, code int, in *keyring, f views.APIKeyForm) error { //nolint:gocritic // a form is sent once per page
	rows, err := a.Billing.APIKeys(c.Request().Context(), in.owner)
	if err != nil {
		return err
	}
	out := views.APIKeys{Tabs: in.tabs, Base: in.path, Scope: in.scope, Form: f}
	for i := range rows {
		k := &rows[i]
		row := views.APIKeyRow{Name: k.Name, Hint: k.Hint, Href: in.path + "/" + k.ID.String(), May: keyMay(k), Used: a.keyUsed(k)}
		row.Tone, row.State, _ = a.keyState(k)
		out.Rows = append(out.Rows, row)
	}
	if out.Frame, err = a.frame(c, "API keys", in.current, nil); err != nil {
		return err
	}
	out.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.APIKeysPage(out))
}

// keyState is how a key stands, in words, and whether it works.
func (a *app) keyState(k *models.APIKey) (tone views.Tone, word string, live bool) {
	switch {
	case k.RevokedAt != 0:
		return views.ToneNone, "Revoked", false
	case k.ExpiresAt != 0 && k.ExpiresAt <= a.Wall.Now():
		return views.ToneNone, "Expired", false
	case !k.ReplacedBy.IsZero():
		return views.ToneWarn, "Being replaced", true
	}
	return views.ToneOK, "Works", true
}

func keyMay(k *models.APIKey) string {
	if k.Scopes == "" {
		return "everything"
	}
	return strings.ReplaceAll(k.Scopes, " ", ", ")
}

func (a *app) keyUsed(k *models.APIKey) string {
	if !k.LastUsedAt.IsSet() {
		return ""
	}
	return format.Ago(k.LastUsedAt, a.Wall.Now())
}

// daysOf reads a choice of days; others than those offered are none of ours.
func daysOf(value string) (time.Duration, error) {
	if !slices.ContainsFunc(views.APIKeyLives(), func(o views.Option) bool { return o.Value == value }) {
		return 0, problem.New(problem.Invalid, "invalid_life", "Choose how long the key lasts.").On("life")
	}
	days, err := strconv.Atoi(value)
	return time.Duration(days) * 24 * time.Hour, err
}

func (a *app) makeAPIKey(where ringOf) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		form, err := c.FormParams()
		if err != nil {
			return err
		}
		f := views.APIKeyForm{Name: form.Get("name"), Chosen: form["scope"], Networks: form.Get("networks"), Life: form.Get("life")}
		if len(f.Chosen) == 0 {
			f.Errors = views.FieldErrors{{Field: "scopes", Text: "Choose at least one thing that it may do."}}
			return a.showAPIKeys(c, http.StatusUnprocessableEntity, &in, f)
		}
		life, err := daysOf(f.Life)
		var text string
		var row models.APIKey
		if err == nil {
			text, row, err = a.Billing.MakeAPIKey(c.Request().Context(), billing.APIKeyInput{
				Owner: in.owner, Name: f.Name, Scopes: f.Chosen, Networks: strings.Fields(strings.ReplaceAll(f.Networks, ",", " ")), Life: life, By: visitOf(c).viewer.Actor(),
			})
		}
		if err != nil {
			var ok bool
			if f.Errors, ok = wrongFields(err, "name", "scopes", "networks", "life"); !ok {
				return err
			}
			return a.showAPIKeys(c, statusOf(err), &in, f)
		}
		return a.saidAt(c, in.path+"/"+row.ID.String(), views.Flash{Tone: views.ToneOK, Text: "Key made.", Secret: text})
	}
}

// keyOf is the key that an address names.
func (a *app) keyOf(c echo.Context, in *keyring) (models.APIKey, error) {
	id, err := models.ParseID[models.APIKeyID](c.Param("id"))
	if err != nil {
		return models.APIKey{}, problem.Missing("API key")
	}
	return a.Billing.APIKey(c.Request().Context(), in.owner, id)
}

func (a *app) apiKey(where ringOf) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		row, err := a.keyOf(c, &in)
		if err != nil {
			return err
		}
		return a.showAPIKey(c, http.StatusOK, &in, &row, nil)
	}
}

func (a *app) showAPIKey(c echo.Context, code int, in *keyring, k *models.APIKey, wrong views.FieldErrors) error {
	out := views.APIKey{
		Back: views.Link{Label: "API keys", Href: in.path}, Path: in.path + "/" + k.ID.String(), Name: k.Name, Hint: k.Hint, May: keyMay(k),
		Networks: strings.Fields(k.Networks), Since: k.CreatedAt, By: views.AuditActor(k.CreatedBy), Until: k.ExpiresAt, Used: a.keyUsed(k), Errors: wrong,
		Replaced: !k.ReplacedBy.IsZero(),
	}
	out.Tone, out.State, out.Live = a.keyState(k)
	if out.Replaced {
		next, err := a.Billing.APIKey(c.Request().Context(), in.owner, k.ReplacedBy)
		if err != nil {
			return err
		}
		out.Next = &views.Link{Label: next.Name + " …" + next.Hint, Href: in.path + "/" + next.ID.String()}
	}
	var err error
	if out.Frame, err = a.frame(c, k.Name, in.current, nil); err != nil {
		return err
	}
	out.Frame.Failed = len(wrong) > 0
	if out.Frame.Flash != nil {
		out.Secret = out.Frame.Flash.Secret
	}
	return page(c, code, views.APIKeyPage(out))
}

// rotateAPIKey makes a new key beside the old one and shows it, once.
func (a *app) rotateAPIKey(where ringOf) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		row, err := a.keyOf(c, &in)
		if err != nil {
			return err
		}
		hours, err := strconv.Atoi(c.FormValue("overlap"))
		if err != nil || !slices.ContainsFunc(views.APIKeyOverlaps(), func(o views.Option) bool { return o.Value == c.FormValue("overlap") }) {
			return a.showAPIKey(c, http.StatusUnprocessableEntity, &in, &row, views.FieldErrors{{Field: "overlap", Text: "Choose how long the old key goes on."}})
		}
		life, err := daysOf(c.FormValue("life"))
		var text string
		var next models.APIKey
		if err == nil {
			text, next, err = a.Billing.RotateAPIKey(c.Request().Context(), in.owner, row.ID, time.Duration(hours)*time.Hour, life, visitOf(c).viewer.Actor())
		}
		if err != nil {
			wrong, ok := wrongFields(err, "overlap", "life")
			if !ok {
				return err
			}
			return a.showAPIKey(c, statusOf(err), &in, &row, wrong)
		}
		return a.saidAt(c, in.path+"/"+next.ID.String(), views.Flash{Tone: views.ToneOK, Text: "There is a new key.", Secret: text})
	}
}

func (a *app) revokeAPIKey(where ringOf) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		row, err := a.keyOf(c, &in)
		if err != nil {
			return err
		}
		if err := a.Billing.RevokeAPIKey(c.Request().Context(), in.owner, row.ID, visitOf(c).viewer.Actor()); err != nil {
			return err
		}
		return a.saidAt(c, in.path+"/"+row.ID.String(), views.Flash{Tone: views.ToneOK, Text: row.Name + " is revoked."})
	}
}
