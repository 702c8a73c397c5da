package handlers

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing"
)

// route is one line of the table.
type route struct {
	method, path string
	who          policy
	handle       echo.HandlerFunc
}

// table is every address of the portal and who may enter. A page that a GET
// shows answers HEAD too.
func (a *app) table() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "/healthz", anybody, a.alive},
		{get, "/readyz", anybody, a.ready},
		{get, "/static/:name", anybody, a.asset},

		{get, "/sign-in", visitors, a.signInForm},
		{post, "/sign-in", visitors, a.signIn},
		{get, "/sign-in/:token", visitors, a.linkForm},
		{post, "/sign-in/:token", visitors, a.useLink},
		{post, "/sign-out", visitors, a.signOut},
		{post, "/theme", visitors, a.theme},

		{get, "/", everyone, a.start},
		{get, "/usage", accounts, a.usage},
		{get, "/usage.csv", accounts, a.usageCSV},
		{get, "/history", accounts, a.history},
		{get, "/history.csv", accounts, a.historyCSV},
		{get, "/history/group", accounts, a.historyGroup},
		{get, "/history/:id", accounts, a.line},
		{get, "/buy", accounts, a.buyForm},
		{post, "/buy", payers, a.buy},
		{get, "/buy/return", accounts, a.buyReturn},
		{get, "/purchases", accounts, a.purchases},
		{get, "/purchases.csv", accounts, a.purchasesCSV},
		{get, "/purchases/:id/receipt", accounts, a.receipt},

		{get, "/sub-accounts", agencies, a.subAccounts},
		{get, "/sub-accounts.csv", agencies, a.subAccountsCSV},
		{get, "/sub-accounts/new", buyers, a.newSubAccountForm},
		{post, "/sub-accounts/new", buyers, a.newSubAccount},
		{get, "/sub-accounts/:id", agencies, a.subAccount},
		{get, "/sub-accounts/:id/edit", buyers, a.editSubAccountForm},
		{post, "/sub-accounts/:id/edit", buyers, a.editSubAccount},
		{get, "/sub-accounts/:id/assign", buyers, a.assignForm},
		{post, "/sub-accounts/:id/assign", buyers, a.assign},
		{get, "/sub-accounts/:id/take-back", buyers, a.takeBackForm},
		{post, "/sub-accounts/:id/take-back", buyers, a.takeBack},

		{get, "/packages", agencies, a.packages},
		{get, "/packages/new", buyers, a.newPackageForm},
		{post, "/packages/new", buyers, a.newPackage},
		{post, "/packages/ready-made", buyers, a.readyMadePackages},
		{get, "/packages/preview", agencies, a.previewPackages},
		{get, "/packages/:id", agencies, a.packageForm},
		{post, "/packages/:id", buyers, a.savePackage},
		{post, "/packages/:id/sale", buyers, a.sellPackage},
		{post, "/packages/:id/move", buyers, a.movePackage},
		{post, "/packages/:id/archive", buyers, a.archivePackage},
		{get, "/packages/connect", buyers, a.connectForm},
		{post, "/packages/connect", buyers, a.connect},
		{get, "/packages/connect/return", buyers, a.connectReturn},

		{get, "/admin", admins, a.fleet},
		{get, "/admin/usage", admins, a.fleetUsage},
		{get, "/admin/usage.csv", admins, a.fleetUsageCSV},

		{post, "/webhooks/stripe", stripeOnly, a.hook(billing.EndpointPlatform)},
		{post, "/webhooks/stripe/connect", stripeOnly, a.hook(billing.EndpointConnect)},
		{post, "/demo/clock", platformKey, a.moveClock},
	}
}

// Route is one line of the table for people to read.
type Route struct {
	Method, Path string
	Who          string // may enter
}

// Table is every route with who may enter it, those of the API aside.
func Table() []Route {
	var out []Route
	for _, r := range (*app)(nil).table() {
		out = append(out, Route{Method: r.method, Path: r.path, Who: r.who.name})
	}
	return out
}

// add registers a line of the table.
func (a *app) add(e *echo.Echo, r route) error {
	if r.who.name == "" || r.who.entry == noEntry {
		return fmt.Errorf("route %s %s says nothing about who may enter", r.method, r.path)
	}
	handle := a.guard(r.who, r.handle)
	e.Add(r.method, r.path, handle)
	if r.method == http.MethodGet {
		e.Add(http.MethodHead, r.path, handle)
	}
	return nil
}
