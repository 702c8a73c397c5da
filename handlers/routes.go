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

		{get, "/brand/:name", anybody, a.brandSheet},
		{get, "/brand/logo/:name", visitors, a.logo},

		{get, "/setup", founders, a.setup},
		{post, "/setup", founders, a.makeAdmin},
		{get, "/setup/address", admins, a.setupAddressForm},
		{post, "/setup/address", admins, a.setupAddress},
		{get, "/setup/database", admins, a.setupDatabaseForm},
		{post, "/setup/database", admins, a.setupDatabase},
		{get, "/setup/stripe", admins, a.setupStripeForm},
		{post, "/setup/stripe", admins, a.setupStripe},
		{get, "/setup/catalogue", admins, a.setupCatalogueForm},
		{post, "/setup/catalogue", admins, a.setupCatalogue},
		{get, "/setup/done", admins, a.setupDoneForm},
		{post, "/setup/done", admins, a.setupDone},

		{get, "/sign-in", visitors, a.signInForm},
		{post, "/sign-in", visitors, a.signIn},
		{post, "/sign-in/link", visitors, a.mailLink},
		{get, "/sign-in/sent", visitors, a.linkSent},
		{get, "/sign-in/:token", visitors, a.linkForm},
		{post, "/sign-in/:token", visitors, a.useLink},
		{post, "/sign-out", visitors, a.signOut},
		{post, "/theme", visitors, a.theme},
		{get, "/invitations/:token", visitors, a.invitation},
		{post, "/invitations/:token", visitors, a.accept},
		{post, "/invitations/:token/link", visitors, a.joinLink},

		{get, "/", everyone, a.start},
		{get, "/usage", accounts, a.usage},
		{get, "/usage.csv", accounts, a.usageCSV},
		{get, "/history", accounts, a.history},
		{get, "/history.csv", accounts, a.historyCSV},
		{get, "/history/group", accounts, a.historyGroup},
		{get, "/history/:id", accounts, a.line},
		{get, "/statement", accounts, a.statement},
		{get, "/statement.csv", accounts, a.statementCSV},
		{get, "/statement.pdf", accounts, a.statementPDF},
		{post, "/history/:id/undo", buyers, a.undoLine},
		{get, "/buy", accounts, a.buyForm},
		{post, "/buy", payers, a.buy},
		{get, "/buy/return", accounts, a.buyReturn},
		{get, "/buy/automatic", accounts, a.automatic},
		{post, "/buy/automatic", payers, a.setTopUp},
		{get, "/buy/automatic/card", payers, a.topUpCard},
		{get, "/buy/automatic/confirm", payers, a.confirmTopUpForm},
		{post, "/buy/automatic/confirm", payers, a.confirmTopUp},
		{post, "/buy/automatic/off", payers, a.topUpOff},
		{post, "/buy/automatic/retry", payers, a.topUpRetry},
		{post, "/buy/automatic/pay", payers, a.topUpPay},
		{post, "/buy/automatic/clients", buyers, a.allowTopUps},
		{get, "/calculator", visitors, a.calculator},
		{get, "/gift", buyers, a.redeemForm},
		{post, "/gift", buyers, a.redeem},
		{get, "/referral", agencies, a.referral},
		{get, "/r/:code", visitors, a.referred},
		{get, "/plan", agencies, a.ownPlan},
		{get, "/plan/choose", agencies, a.choosePlan},
		{get, "/plan/change", buyers, a.takePlanForm},
		{post, "/plan/change", buyers, a.takePlan},
		{get, "/plan/return", buyers, a.planReturn},
		{get, "/plan/cancel", buyers, a.cancelPlanForm},
		{post, "/plan/cancel", buyers, a.cancelPlan},
		{post, "/plan/pay", buyers, a.payPlan},
		{post, "/plan/portal", buyers, a.planPortal},
		{get, "/purchases", accounts, a.purchases},
		{get, "/purchases.csv", accounts, a.purchasesCSV},
		{get, "/purchases/:id/receipt", accounts, a.receipt},
		{get, "/purchases/:id/receipt.pdf", accounts, a.receiptPDF},
		{get, "/purchases/:id/credit-notes/:number", accounts, a.creditNote},
		{get, "/purchases/:id/credit-notes/:number/note.pdf", accounts, a.creditNotePDF},

		{get, "/sub-accounts", agencies, a.subAccounts},
		{get, "/sub-accounts.csv", agencies, a.subAccountsCSV},
		{get, "/sub-accounts/new", buyers, a.newSubAccountForm},
		{post, "/sub-accounts/new", buyers, a.newSubAccount},
		{get, "/sub-accounts/archived", agencies, a.archived},
		{get, "/sub-accounts/bulk", buyers, a.bulkForm},
		{post, "/sub-accounts/bulk", buyers, a.bulk},
		{get, "/sub-accounts/bulk/:id", agencies, a.bulkDone},
		{post, "/sub-accounts/bulk/:id/undo", buyers, a.undoBulk},
		{get, "/sub-accounts/:id", agencies, a.subAccount},
		{get, "/sub-accounts/:id/statement", agencies, a.statement},
		{get, "/sub-accounts/:id/statement.csv", agencies, a.statementCSV},
		{get, "/sub-accounts/:id/statement.pdf", agencies, a.statementPDF},
		{get, "/sub-accounts/:id/move", buyers, a.passForm},
		{post, "/sub-accounts/:id/move", buyers, a.pass},
		{get, "/sub-accounts/:id/monthly", buyers, a.monthlyForm},
		{post, "/sub-accounts/:id/monthly", buyers, a.monthly},
		{post, "/sub-accounts/:id/monthly/stop", buyers, a.stopMonthly},
		{get, "/sub-accounts/:id/archive", buyers, a.archiveForm},
		{post, "/sub-accounts/:id/archive", buyers, a.archive},
		{post, "/sub-accounts/:id/restore", buyers, a.restore},
		{get, "/sub-accounts/:id/people", agencies, a.people(a.clientPeople)},
		{post, "/sub-accounts/:id/people", buyers, a.invite(a.clientPeople)},
		{post, "/sub-accounts/:id/people/invitations/:invitation", buyers, a.invitationAct(a.clientPeople)},
		{get, "/sub-accounts/:id/people/:user", buyers, a.person(a.clientPeople)},
		{post, "/sub-accounts/:id/people/:user/remove", buyers, a.removePerson(a.clientPeople)},
		{post, "/sub-accounts/:id/look", buyers, a.lookAtClient},
		{get, "/sub-accounts/:id/edit", buyers, a.editSubAccountForm},
		{post, "/sub-accounts/:id/edit", buyers, a.editSubAccount},
		{get, "/sub-accounts/:id/assign", buyers, a.assignForm},
		{post, "/sub-accounts/:id/assign", buyers, a.assign},
		{get, "/sub-accounts/:id/take-back", buyers, a.takeBackForm},
		{post, "/sub-accounts/:id/take-back", buyers, a.takeBack},

		{get, "/sales", agencies, a.sales},
		{get, "/sales.csv", agencies, a.salesCSV},
		{get, "/sales/packages.csv", agencies, a.salesLinesCSV("sales-by-package", "package", a.salesByPackage)},
		{get, "/sales/clients.csv", agencies, a.salesLinesCSV("sales-by-client", "client", a.salesByClient)},
		{get, "/sales/rule", buyers, a.oversellForm},
		{post, "/sales/rule", buyers, a.setOversell},
		{get, "/sales/:id/refund", owners, a.refundForm(a.refundOfSale)},
		{post, "/sales/:id/refund", owners, a.refund(a.refundOfSale)},
		{post, "/checklist/hide", agencies, a.hideChecklist},

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

		{get, "/settings/team", agencies, a.people(a.team)},
		{post, "/settings/team", owners, a.invite(a.team)},
		{post, "/settings/team/invitations/:invitation", owners, a.invitationAct(a.team)},
		{get, "/settings/team/:user", owners, a.person(a.team)},
		{post, "/settings/team/:user", owners, a.changeRole},
		{post, "/settings/team/:user/remove", owners, a.removePerson(a.team)},
		{get, "/settings/people", clientsOnly, a.people(a.ownPeople)},
		{post, "/settings/people", clientsOnly, a.invite(a.ownPeople)},
		{post, "/settings/people/invitations/:invitation", clientsOnly, a.invitationAct(a.ownPeople)},
		{get, "/notices", accounts, a.notices},
		{post, "/notices/read", accounts, a.readNotices},
		{get, "/notices/off/:token", visitors, a.mailsOffForm},
		{post, "/notices/off/:token", readers, a.mailsOff},
		{get, "/settings/notifications", accounts, a.notifications},
		{post, "/settings/notifications", accounts, a.chooseNotices},
		{post, "/settings/notifications/thresholds", payers, a.setThresholds},
		{post, "/settings/notifications/test", accounts, a.testNotice},
		{get, "/settings/notifications/sent", accounts, a.sentNotices},
		{get, "/settings/billing", accounts, a.billingDetails(a.ownDetails)},
		{post, "/settings/billing", payers, a.saveBillingDetails(a.ownDetails)},
		{get, "/settings/messages", agencies, a.messages},
		{post, "/settings/messages", buyers, a.saveMessages},
		{get, "/settings/brand", owners, a.brandForm},
		{post, "/settings/brand", owners, a.saveBrand},
		{post, "/settings/brand/publish", owners, a.publishBrand},
		{post, "/settings/brand/discard", owners, a.discardBrand},
		{post, "/settings/brand/undo", owners, a.undoBrand},
		{get, "/settings/brand/preview/:page", owners, a.previewBrand},
		{get, "/settings/webhooks", owners, a.webhooks(a.agencyHooks)},
		{post, "/settings/webhooks", owners, a.addWebhook(a.agencyHooks)},
		{get, "/settings/webhooks/:id", owners, a.webhook(a.agencyHooks)},
		{post, "/settings/webhooks/:id", owners, a.saveWebhook(a.agencyHooks)},
		{post, "/settings/webhooks/:id/test", owners, a.testWebhook(a.agencyHooks)},
		{post, "/settings/webhooks/:id/on", owners, a.switchWebhook(a.agencyHooks, true)},
		{post, "/settings/webhooks/:id/off", owners, a.switchWebhook(a.agencyHooks, false)},
		{post, "/settings/webhooks/:id/rotate", owners, a.rotateWebhook(a.agencyHooks)},
		{post, "/settings/webhooks/:id/remove", owners, a.removeWebhook(a.agencyHooks)},
		{post, "/settings/webhooks/:id/deliveries/:event", owners, a.resendWebhook(a.agencyHooks)},
		{get, "/settings/password", everyone, a.passwordForm},
		{post, "/settings/password", everyone, a.setPassword},
		{post, assistEnd, accounts, a.stopLooking},
		{get, "/switch", platform, a.switchForm},
		{post, "/switch", platform, a.switchTo},

		{get, "/admin", admins, a.fleet},
		{get, "/admin/agencies", admins, a.agencies},
		{get, "/admin/agencies.csv", admins, a.agenciesCSV},
		{get, "/admin/agencies/new", admins, a.newAgencyForm},
		{post, "/admin/agencies/new", admins, a.newAgency},
		{get, "/admin/agencies/:id", admins, a.agency},
		{post, "/admin/agencies/:id/look", admins, a.lookAtAgency},
		{get, "/admin/agencies/:id/adjust", admins, a.adjustForm},
		{post, "/admin/agencies/:id/adjust", admins, a.adjust},
		{get, "/admin/agencies/:id/plan", admins, a.planForm},
		{post, "/admin/agencies/:id/plan", admins, a.changePlan},
		{get, "/admin/agencies/:id/pause", admins, a.pauseForm},
		{post, "/admin/agencies/:id/pause", admins, a.pause},
		{get, "/admin/agencies/:id/resume", admins, a.resumeForm},
		{post, "/admin/agencies/:id/resume", admins, a.resume},
		{get, "/admin/agencies/:id/excess", admins, a.excessForm},
		{post, "/admin/agencies/:id/excess", admins, a.setExcess},
		{get, "/admin/adjustments", admins, a.adjustments},
		{post, "/admin/adjustments", admins, a.setLimits},
		{get, "/admin/adjustments/:agency/:id", admins, a.approvalForm},
		{post, "/admin/adjustments/:agency/:id", admins, a.decide},
		{get, "/admin/payments", admins, a.payments},
		{get, "/admin/payments.csv", admins, a.paymentsCSV},
		{post, "/admin/payments/compare", admins, a.comparePayments},
		{post, "/admin/payments/events/:endpoint/:event", admins, a.replayEvent},
		{post, "/admin/payments/:agency/:id/book", admins, a.retryBooking},
		{get, "/admin/payments/:agency/:id/refund", admins, a.refundForm(a.refundOf)},
		{post, "/admin/payments/:agency/:id/refund", admins, a.refund(a.refundOf)},
		{get, "/admin/billing-details", admins, a.billingDetails(a.platformDetails)},
		{post, "/admin/billing-details", admins, a.saveBillingDetails(a.platformDetails)},
		{get, "/admin/webhooks", admins, a.webhooks(a.platformHooks)},
		{post, "/admin/webhooks", admins, a.addWebhook(a.platformHooks)},
		{get, "/admin/webhooks/:id", admins, a.webhook(a.platformHooks)},
		{post, "/admin/webhooks/:id", admins, a.saveWebhook(a.platformHooks)},
		{post, "/admin/webhooks/:id/test", admins, a.testWebhook(a.platformHooks)},
		{post, "/admin/webhooks/:id/on", admins, a.switchWebhook(a.platformHooks, true)},
		{post, "/admin/webhooks/:id/off", admins, a.switchWebhook(a.platformHooks, false)},
		{post, "/admin/webhooks/:id/rotate", admins, a.rotateWebhook(a.platformHooks)},
		{post, "/admin/webhooks/:id/remove", admins, a.removeWebhook(a.platformHooks)},
		{post, "/admin/webhooks/:id/deliveries/:event", admins, a.resendWebhook(a.platformHooks)},
		{get, "/admin/audit", admins, a.auditLog},
		{get, "/admin/audit.csv", admins, a.auditCSV},
		{get, "/admin/plans", admins, a.plans},
		{get, "/admin/plans/new", admins, a.newPlanForm},
		{post, "/admin/plans/new", admins, a.newPlan},
		{post, "/admin/plans/grace", admins, a.setGrace},
		{post, "/admin/plans/fee", admins, a.setPlatformFee},
		{get, "/admin/plans/:id", admins, a.plan},
		{get, "/admin/plans/:id/edit", admins, a.editPlanForm},
		{post, "/admin/plans/:id/edit", admins, a.editPlan},
		{get, "/admin/plans/:id/archive", admins, a.archivePlanForm},
		{post, "/admin/plans/:id/archive", admins, a.archivePlan},
		{post, "/admin/plans/:id/default", admins, a.standardPlan},
		{get, "/admin/plans/:id/move", admins, a.movePlanForm},
		{post, "/admin/plans/:id/move", admins, a.movePlan},
		{get, "/admin/packs", admins, a.packList},
		{get, "/admin/packs/new", admins, a.newPackForm},
		{post, "/admin/packs/new", admins, a.newPack},
		{get, "/admin/packs/:id", admins, a.pack},
		{get, "/admin/packs/:id/edit", admins, a.editPackForm},
		{post, "/admin/packs/:id/edit", admins, a.editPack},
		{get, "/admin/packs/:id/archive", admins, a.archivePackForm},
		{post, "/admin/packs/:id/archive", admins, a.archivePack},
		{get, "/admin/rates", admins, a.rateCards},
		{get, "/admin/rates/new", admins, a.newCardForm},
		{post, "/admin/rates/new", admins, a.newCard},
		{get, "/admin/rates/:id", admins, a.rateCard},
		{get, "/admin/rates/:id/rates.csv", admins, a.ratesCSV},
		{get, "/admin/rates/:id/edit", admins, a.editCardForm},
		{post, "/admin/rates/:id/edit", admins, a.editCard},
		{get, "/admin/rates/:id/versions/:n", admins, a.rateVersion},
		{get, "/admin/gifts", admins, a.promotions},
		{get, "/admin/gifts/new", admins, a.newPromotionForm},
		{post, "/admin/gifts/new", admins, a.newPromotion},
		{get, "/admin/gifts/:id", admins, a.promotion},
		{get, "/admin/gifts/:id/codes.csv", admins, a.promotionCodes},
		{post, "/admin/gifts/:id/stop", admins, a.stopPromotion},
		{get, "/admin/referrals", admins, a.rewards},
		{post, "/admin/referrals", admins, a.setRewards},
		{get, "/admin/usage", admins, a.fleetUsage},
		{get, "/admin/usage.csv", admins, a.fleetUsageCSV},

		{post, "/webhooks/stripe", stripeOnly, a.hook(billing.EndpointPlatform)},
		{post, "/webhooks/stripe/connect", stripeOnly, a.hook(billing.EndpointConnect)},
		{post, "/demo/clock", platformKey, a.moveClock},
		{get, "/demo/mail", visitors, a.demoMails},
		{get, "/demo/mail/:id", visitors, a.demoMail},
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
