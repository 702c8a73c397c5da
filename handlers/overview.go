package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/views"
)

// start is the first page of whoever is signed in.
func (a *app) start(c echo.Context) error {
	switch visitOf(c).role() {
	case roleAdmin:
		return seeOther(c, "/admin")
	case roleClient:
		return a.clientBalance(c)
	case roleOwner, roleBilling, roleMember:
	}
	return a.overview(c)
}

func (a *app) overview(c echo.Context) error {
	v := visitOf(c)
	out := views.Overview{}
	wallet, err := a.Billing.Wallet(c.Request().Context(), v.viewer.Account())
	if err != nil {
		out.Balance.Failure = a.failure(c, "Your balance", "", err)
	} else {
		out.Balance = balanceOf(&wallet)
	}
	if out.Frame, err = a.frame(c, "Overview", "overview", known(&wallet, err)); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.OverviewPage(out))
}

func (a *app) clientBalance(c echo.Context) error {
	v := visitOf(c)
	out := views.ClientBalance{Agency: v.viewer.Agency.Name}
	wallet, err := a.Billing.Wallet(c.Request().Context(), v.viewer.Account())
	if err != nil {
		out.Balance.Failure = a.failure(c, "Your balance", "", err)
	} else {
		out.Balance = balanceOf(&wallet)
	}
	if out.Frame, err = a.frame(c, "Balance", "overview", known(&wallet, err)); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.ClientBalancePage(out))
}

// known is what was read, nil when it failed.
func known[T any](read *T, err error) *T {
	if err != nil {
		return nil
	}
	return read
}

// balanceOf is a wallet's facts for its card.
func balanceOf(w *billing.WalletView) views.Balance {
	b := w.Balance
	return views.Balance{
		State: stateOf(w), Left: b.Left(), Plan: b.Plan, Purchased: b.Purchased, Assigned: b.Assigned, Bonus: b.Bonus,
		Excess: b.Excess, Held: b.Held, Forecast: views.Forecast{Kind: views.ForecastNoData},
	}
}
