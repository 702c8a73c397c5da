package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/models"
	"refill/views"
)

// adminFrame is the frame of an admin's page, in the platform's zone.
func (a *app) adminFrame(c echo.Context, title, current string) (views.Frame, error) {
	f, err := a.frame(c, title, current, nil)
	if err != nil {
		return f, err
	}
	zone, err := a.Billing.PlatformZone(c.Request().Context())
	if err != nil {
		a.sectionFailed(c, "zone", err)
	} else {
		f.Zone = zone
	}
	return f, nil
}

func agencyPath(id models.AgencyID) string { return "/admin/agencies/" + id.String() }

// fleet is what all agencies use, how they stand and what needs a person. Each
// card fails alone.
func (a *app) fleet(c echo.Context) error {
	d := a.Billing.Fleet(c.Request().Context())
	out := views.Fleet{}
	fail := func(what string, err error) *views.SectionFailure {
		if err == nil {
			return nil
		}
		return a.failure(c, what, "", err)
	}
	out.Use = fleetUseCard(&d.Use)
	out.Use.Failure = fail("Usage", d.UseErr)
	out.States = fleetStatesCard(&d.States)
	out.States.Failure = fail("The states of agencies", d.StatesErr)
	out.Desk = fleetDeskCard(&d.Desk)
	out.Desk.Failure = fail("The payments", d.DeskErr)
	out.Movers.Failure = fail("The top movers", d.MoversErr)
	for i := range d.Movers {
		m := &d.Movers[i]
		out.Movers.Rows = append(out.Movers.Rows, views.MoverRow{Name: m.Name, Href: agencyPath(m.ID), Now: m.Now, Before: m.Before})
	}
	out.Money = fleetMoneyCard(d.Money)
	out.Money.Failure = fail("Revenue", d.MoneyErr)
	out.Hooks = views.FleetHooks{Failure: fail("The delay of payment messages", d.HooksErr), Count: d.Hooks.Processed, Mean: d.Hooks.Mean, Longest: d.Hooks.Longest, Pending: d.Hooks.Pending}
	if d.Hooks.OldestSince > 0 {
		out.Hooks.Oldest = max(0, d.Now.Sub(d.Hooks.OldestSince))
	}
	var err error
	if out.Frame, err = a.adminFrame(c, "Fleet", "fleet"); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.FleetPage(out))
}

func fleetUseCard(u *billing.FleetUse) views.FleetUse {
	out := views.FleetUse{Used24h: u.Used24h, Whole24h: u.Whole24h, Usual24h: u.Usual24h, Weeks: u.Weeks}
	for i := range u.Hours {
		h := &u.Hours[i]
		out.Hours = append(out.Hours, views.FleetHour{At: h.Start, Used: h.Used, Before: h.Before, Partial: h.Partial})
	}
	return out
}

func fleetStatesCard(s *billing.FleetStates) views.FleetStates {
	list := func(only billing.AgencySignal) string { return "/admin/agencies?only=" + string(only) }
	return views.FleetStates{
		Total: s.Agencies, Paused: s.Paused, Low: s.Low, Below: s.Below,
		Rows: []views.Signal{
			{Label: "Healthy", Count: s.Healthy},
			{Label: "New", Count: s.New},
			{Label: "Low", Count: s.Low, Href: list(billing.AgenciesLow)},
			{Label: "Below zero", Count: s.Below, Href: list(billing.AgenciesBelow)},
			{Label: "Paused: no credits", Count: s.Paused - s.Suspended, Href: list(billing.AgenciesPaused)},
			{Label: "Paused by an admin", Count: s.Suspended, Href: list(billing.AgenciesSuspended)},
		},
	}
}

func fleetDeskCard(d *billing.FleetDesk) views.FleetDesk {
	out := views.FleetDesk{Unbooked: d.Unbooked, Review: d.Review, Dead: d.Dead, Waiting: d.Waiting}
	for i := range d.Purchases {
		p := &d.Purchases[i]
		row := views.DeskRow{At: p.CreatedAt, Agency: p.Agency, Href: agencyPath(p.AgencyID), What: p.Title, Amount: p.Total(), Why: p.StatusNote}
		if p.Status != models.PurchaseReview {
			row.Why = "Paid, and not booked yet."
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func fleetMoneyCard(all []billing.FleetMoney) views.FleetMoney {
	var out views.FleetMoney
	for _, m := range all {
		c := views.CurrencyMoney{Code: m.Currency}
		row := func(label string, paid, sold billing.Turnover) {
			c.Rows = append(c.Rows, views.MoneyRow{
				Label: label, Paid: models.Money{Amount: paid.Price, Currency: m.Currency}, Credits: paid.Credits,
				SoldOn: models.Money{Amount: sold.Price, Currency: m.Currency}, SoldOnCredits: sold.Credits,
			})
		}
		row("24 hours", m.Day, m.SoldDay)
		row("7 days", m.Week, m.SoldWeek)
		row("30 days", m.Month, m.SoldMonth)
		out.Currencies = append(out.Currencies, c)
	}
	return out
}

// wholeDays is a period of whole days that a filter names, both included, in a
// zone; 0 stands for an open end.
func wholeDays(from, to string, zone *time.Location) (start, end models.Time) {
	if t, err := time.ParseInLocation(time.DateOnly, from, zone); err == nil {
		start = models.At(t)
	}
	if t, err := time.ParseInLocation(time.DateOnly, to, zone); err == nil {
		end = models.At(t.AddDate(0, 0, 1))
	}
	return start, end
}
