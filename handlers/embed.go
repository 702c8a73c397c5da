package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/views"
)

// embed shows one account's balance on another page. A signed link is all it
// takes: no cookie is read or set, so browsers that keep cookies from frames show
// it all the same. It changes nothing; what does is behind a link to a new tab.
func (a *app) embed(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	if v.host.portal == nil {
		return echo.ErrNotFound
	}
	view := c.Param("view")
	if !slices.Contains(billing.EmbedViews(), view) {
		return echo.ErrNotFound
	}
	allowed, err := a.Billing.Embed(ctx, v.host.portal.ID)
	if err != nil {
		return err
	}
	out := views.Embed{Frame: a.bareFrame(c, "Balance"), View: view, Open: a.Billing.PortalURL(v.host.portal) + "/", Around: allowed.Origins}
	out.Frame.Still, out.Frame.Demo = true, ""
	account, err := a.Billing.OpenEmbed(ctx, v.host.portal, view, c.QueryParam("account"), c.QueryParam("until"), c.QueryParam("signature"))
	code := http.StatusOK
	switch p := problem.Of(err); {
	case p != nil && (p.Code == "embed_link_ended" || p.Kind == problem.NotFound):
		code, out.Ended = http.StatusForbidden, true
	case err != nil:
		return err
	default:
		out.Frame.Account, out.Frame.Zone = account.Name(), account.Zone
		o := a.Billing.Overview(ctx, account)
		out.Balance = a.balanceCard(c, &o)
		out.Pooled = o.BalanceErr == nil && !hasBalance(&o.Balance.WalletView)
		out.Agency = account.Agency.Name
		if sells, err := a.Billing.Sells(ctx, account); err == nil && sells {
			out.Balance.BuyHref = "/buy"
		}
		if view == billing.EmbedUsage {
			out.Usage = a.usageCard(c, &o)
		}
		if view == billing.EmbedBuy && !out.Pooled {
			packages, err := a.Billing.PackagesFor(ctx, account)
			if err != nil {
				return err
			}
			for i := range packages {
				out.Offers = append(out.Offers, packageOffer(&billing.PackageOffer{ShelfPackage: packages[i]}, account))
			}
		}
	}
	if len(allowed.Origins) > 0 {
		c.Response().Header().Set("Content-Security-Policy", strings.Replace(a.csp, "frame-ancestors 'none'", "frame-ancestors "+strings.Join(allowed.Origins, " "), 1))
	}
	return page(c, code, views.EmbedPage(out))
}

func (a *app) embedForm(c echo.Context) error { return a.showEmbed(c, http.StatusOK, nil, "", nil) }

func (a *app) showEmbed(c echo.Context, code int, typed *string, secret string, errs views.FieldErrors) error {
	v := visitOf(c)
	allowed, err := a.Billing.Embed(c.Request().Context(), v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	out := views.EmbedForm{Tabs: a.settings(c, "/settings/embed"), Origins: strings.Join(allowed.Origins, "\n"), Secret: secret, Ready: allowed.Ready, Portal: a.Billing.PortalURL(&v.viewer.Agency), Errors: errs}
	if typed != nil {
		out.Origins = *typed
	}
	if out.Frame, err = a.frame(c, "Embed", "settings", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(errs) > 0
	return page(c, code, views.EmbedFormPage(out))
}

func (a *app) saveEmbed(c echo.Context) error {
	v, typed := visitOf(c), c.FormValue("origins")
	err := a.Billing.SetEmbedOrigins(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, strings.Fields(typed), v.viewer.Actor())
	if err != nil {
		wrong, ok := wrongFields(err, "origins")
		if !ok {
			return err
		}
		return a.showEmbed(c, statusOf(err), &typed, "", wrong)
	}
	return a.saidAt(c, "/settings/embed", views.Flash{Tone: views.ToneOK, Text: "Saved. It holds from now on."})
}

func (a *app) newEmbedSecret(c echo.Context) error {
	v := visitOf(c)
	secret, err := a.Billing.NewEmbedSecret(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, v.viewer.Actor())
	if err != nil {
		return err
	}
	return a.showEmbed(c, http.StatusOK, nil, secret, nil)
}
