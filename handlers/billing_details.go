package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/models"
	"refill/views"
)

// payer is whose billing details a page is about, and who may change them.
type payer struct {
	billing.Party

	path, current, lede string
	tabs                []views.Tab
	may                 bool
}

// ownDetails are the viewer's account's.
func (a *app) ownDetails(c echo.Context) payer {
	v := visitOf(c)
	out := payer{
		Party: billing.Party{Agency: v.viewer.Agency.ID}, path: "/settings/billing", current: "settings", tabs: a.settings(c, "/settings/billing"),
		may: mayBuy(v), lede: "They stand on the receipts of what you buy, and as the seller on those of your clients.",
	}
	if v.viewer.SubAccount != nil {
		out.SubAccount, out.lede = v.viewer.SubAccount.ID, "They stand on the receipts of what you buy."
	}
	return out
}

// platformDetails are the operator's.
func (a *app) platformDetails(echo.Context) payer {
	return payer{path: "/admin/billing-details", current: "billing-details", may: true, lede: "They stand as the seller on the receipts of agencies."}
}

func (a *app) billingDetails(where func(echo.Context) payer) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := where(c)
		d, err := a.Billing.BillingDetails(c.Request().Context(), in.Party)
		if err != nil {
			return err
		}
		return a.showBillingDetails(c, http.StatusOK, &in, d, nil)
	}
}

func (a *app) showBillingDetails(c echo.Context, code int, in *payer, d models.Party, errs views.FieldErrors) error { //nolint:gocritic // shown once per page
	out := views.BillingDetails{Tabs: in.tabs, Lede: in.lede, Action: in.path, May: in.may, Party: d, Errors: errs}
	var err error
	if out.Frame, err = a.frame(c, "Billing details", in.current, nil); err != nil {
		return err
	}
	out.Frame.Failed = len(errs) > 0
	return page(c, code, views.BillingDetailsPage(out))
}

func (a *app) saveBillingDetails(where func(echo.Context) payer) echo.HandlerFunc {
	return func(c echo.Context) error {
		in, value := where(c), c.FormValue
		d := models.Party{
			Name: value("company"), Line1: value("line1"), Line2: value("line2"), PostalCode: value("postal_code"), City: value("city"),
			Region: value("region"), Country: value("country"), TaxID: value("tax_id"),
		}
		if err := a.Billing.SetBillingDetails(c.Request().Context(), in.Party, d, visitOf(c).viewer.Actor()); err != nil {
			wrong, ok := wrongFields(err, "company", "line1", "line2", "postal_code", "city", "region", "country", "tax_id")
			if !ok {
				return err
			}
			return a.showBillingDetails(c, statusOf(err), &in, d, wrong)
		}
		return a.saidAt(c, in.path, views.Flash{Tone: views.ToneOK, Text: "Saved. Receipts made from now on show it."})
	}
}
