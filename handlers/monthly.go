package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// Packages that clients get every month: the client's own, and all of them for the
// agency that sells them.

func monthlyOf(p *models.PackageSubscription) views.MonthlyPackage {
	out := views.MonthlyPackage{
		Name: p.Title, Credits: p.Credits, Price: p.Total(), PastDue: p.Status == models.PackageSubPastDue, Note: p.StatusNote, Renews: p.PeriodEnd,
	}
	if p.CancelAt > 0 {
		out.Renews, out.Ends = p.CancelAt, true
	}
	return out
}

// ownMonthlies are a client's monthly packages for its purchase page.
func (a *app) ownMonthlies(c echo.Context, account *billing.Account) ([]views.MonthlyPackage, error) {
	ctx := c.Request().Context()
	rows, err := a.Billing.MonthlyPackages(ctx, account)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	at, err := a.Billing.Connection(ctx, account.Agency.ID)
	out := make([]views.MonthlyPackage, len(rows))
	for i := range rows {
		out[i] = monthlyOf(&rows[i])
		if out[i].Lost = lostTo(&at, &rows[i]); out[i].Lost {
			out[i].Note = account.Agency.Name + " does not collect this here any more, so it cannot be changed here and brings no credits. Ask " + account.Agency.Name +
				" to end it, and about what you paid since."
			continue
		}
		out[i].Cancel, out[i].Card = "/buy/monthly/"+rows[i].ID.String(), "/buy/monthly/"+rows[i].ID.String()+"/card"
	}
	return out, err
}

// lostTo tells a monthly package that Stripe may go on with where Refill can't look:
// its agency has disconnected the account that collects it.
func lostTo(at *models.StripeAccount, row *models.PackageSubscription) bool {
	return at.Account != row.Account || at.DisconnectedAt != 0
}

// renewing are a client's monthly packages that would be paid again.
func (a *app) renewing(c echo.Context, client *models.SubAccount) ([]views.MonthlyPackage, error) {
	rows, err := a.Billing.MonthlyPackages(c.Request().Context(), billing.AccountOfSub(visitOf(c).viewer.Agency, *client))
	var out []views.MonthlyPackage
	for i := range rows {
		if m := monthlyOf(&rows[i]); !m.Ends {
			out = append(out, m)
		}
	}
	return out, err
}

// soldMonthlies are the monthly packages of an agency's clients for its sales page.
func (a *app) soldMonthlies(c echo.Context, agency models.AgencyID) ([]views.MonthlyPackage, error) {
	ctx := c.Request().Context()
	rows, err := a.Billing.SoldMonthlies(ctx, agency)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	at, err := a.Billing.Connection(ctx, agency)
	out := make([]views.MonthlyPackage, len(rows))
	for i := range rows {
		out[i] = monthlyOf(&rows[i].PackageSubscription)
		out[i].Client, out[i].Href = rows[i].Client, subAccountPath(rows[i].Sub)
		if out[i].Lost = lostTo(&at, &rows[i].PackageSubscription); out[i].Lost {
			out[i].Note = "Stripe may go on charging for it where nothing is added here. Connect that account again, or end it at Stripe."
			continue
		}
		if mayBuy(visitOf(c)) {
			out[i].Cancel = "/sales/monthly/" + rows[i].ID.String()
		}
	}
	return out, err
}

// monthlyPlace is where a person looks at a monthly package, and whose it has to
// be.
type monthlyPlace struct {
	back   views.Link
	active string
	wallet models.WalletID // zero: any client's
}

func (a *app) ownMonthlyPlace(c echo.Context) monthlyPlace {
	return monthlyPlace{views.Link{Label: "Buy credits", Href: "/buy"}, "buy", visitOf(c).viewer.Account().Wallet}
}

func (a *app) soldMonthlyPlace(echo.Context) monthlyPlace {
	return monthlyPlace{views.Link{Label: "Sales", Href: "/sales"}, "sales", models.WalletID{}}
}

func (a *app) monthlyPackage(c echo.Context, at *monthlyPlace) (models.PackageSubscription, error) {
	id, err := models.ParseID[models.PackageSubID](c.Param("id"))
	if err != nil {
		return models.PackageSubscription{}, problem.Missing("subscription")
	}
	return a.Billing.MonthlyPackage(c.Request().Context(), visitOf(c).viewer.Agency.ID, at.wallet, id)
}

func (a *app) monthlyCancelForm(place func(echo.Context) monthlyPlace) echo.HandlerFunc {
	return func(c echo.Context) error {
		at := place(c)
		row, err := a.monthlyPackage(c, &at)
		if err != nil {
			return err
		}
		if !row.Status.Running() {
			return seeOther(c, at.back.Href)
		}
		out := views.MonthlyCancel{Back: at.back, Action: c.Request().URL.Path, Monthly: monthlyOf(&row), Own: !at.wallet.IsZero()}
		if at.wallet.IsZero() {
			names, err := a.Billing.ClientNames(c.Request().Context(), row.AgencyID)
			if err != nil {
				return err
			}
			out.Monthly.Client = names[row.WalletID].Name
		}
		title := "Cancel " + row.Title
		if out.Monthly.Ends {
			title = "Keep " + row.Title
		}
		if out.Frame, err = a.frame(c, title, at.active, nil); err != nil {
			return err
		}
		return page(c, http.StatusOK, views.MonthlyCancelPage(out))
	}
}

func (a *app) monthlyCancel(place func(echo.Context) monthlyPlace) echo.HandlerFunc {
	return func(c echo.Context) error {
		at := place(c)
		row, err := a.monthlyPackage(c, &at)
		if err != nil {
			return err
		}
		keep := c.FormValue("do") == "keep"
		_, err = a.Billing.CancelMonthly(c.Request().Context(), row.AgencyID, at.wallet, row.ID, keep, visitOf(c).viewer.Actor())
		if refused := problem.Of(err); refused != nil && refused.Kind != problem.NotFound {
			return a.saidAt(c, at.back.Href, views.Flash{Tone: views.ToneBad, Text: refused.Message})
		}
		if err != nil {
			return err
		}
		text := row.Title + " is cancelled. It runs until the month that is paid ends."
		if keep {
			text = row.Title + " goes on."
		}
		return a.saidAt(c, at.back.Href, views.Flash{Tone: views.ToneOK, Text: text})
	}
}

// monthlyCard leads a client to Stripe's page for the card and invoices of its
// monthly package.
func (a *app) monthlyCard(c echo.Context) error {
	at := a.ownMonthlyPlace(c)
	row, err := a.monthlyPackage(c, &at)
	if err != nil {
		return err
	}
	link, err := a.Billing.MonthlyCardPage(c.Request().Context(), visitOf(c).viewer.Account(), row.ID)
	if problem.Is(err, "payment_unavailable") {
		a.sectionFailed(c, "card page", err)
		return a.saidAt(c, at.back.Href, views.Flash{Tone: views.ToneBad, Text: problem.Of(err).Message})
	}
	if err != nil {
		return err
	}
	return seeOther(c, link)
}
