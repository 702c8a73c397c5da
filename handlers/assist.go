package handlers

import (
	"github.com/labstack/echo/v4"

	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// assist is whose portal a session looks at instead of its own.
type assist struct {
	Agency models.AgencyID     `json:"agency"`
	Sub    models.SubAccountID `json:"sub"`   // zero: as the agency itself
	Until  models.Time         `json:"until"` // of wall time
}

// assistEnd is the one form that somebody who only looks may send.
const assistEnd = "/look/end"

// lookAs shows a session what it looks at, for as long as it may. Whoever lost
// the right meanwhile is themselves again.
func (a *app) lookAs(c echo.Context) error {
	v := visitOf(c)
	as := carriedBy(v.session).Assist
	if as == nil || a.Billing.AssistOver(as.Until) {
		return nil
	}
	viewer, err := a.Billing.Assist(c.Request().Context(), v.viewer, as.Agency, as.Sub)
	if problem.Is(err, "no_entry") {
		return nil
	}
	if err != nil {
		return err
	}
	v.self, v.viewer = v.viewer, &viewer
	if viewer.SubAccount == nil {
		return nil
	}
	brand, err := a.Billing.BrandOf(c.Request().Context(), &viewer.Agency)
	v.brand = &brand // as the client knows it
	return err
}

// assistBanner says on every page that somebody only looks; nil for others.
func (a *app) assistBanner(c echo.Context) *views.AssistBanner {
	v := visitOf(c)
	if !v.viewer.Assisting {
		return nil
	}
	account := v.viewer.Account()
	return &views.AssistBanner{Name: account.Name(), Until: carriedBy(v.session).Assist.Until, Action: assistEnd}
}

func (a *app) lookAtClient(c echo.Context) error {
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	return a.beginLooking(c, visitOf(c).viewer.Agency.ID, sub.ID)
}

func (a *app) lookAtAgency(c echo.Context) error {
	agency, err := a.tenant(c)
	if err != nil {
		return err
	}
	return a.beginLooking(c, agency.ID, models.SubAccountID{})
}

func (a *app) beginLooking(c echo.Context, agency models.AgencyID, sub models.SubAccountID) error {
	v := visitOf(c)
	until, err := a.Billing.BeginAssist(c.Request().Context(), v.viewer, agency, sub)
	if problem.Is(err, "no_entry") {
		return problem.New(problem.Conflict, "archived", "Nobody can look at an archived sub-account. Restore it first.")
	}
	if err != nil {
		return err
	}
	if err := a.carryAssist(c, &assist{Agency: agency, Sub: sub, Until: until}); err != nil {
		return err
	}
	return seeOther(c, "/")
}

// stopLooking leads back to where the looking began.
func (a *app) stopLooking(c echo.Context) error {
	v := visitOf(c)
	as := carriedBy(v.session).Assist
	if as == nil {
		return seeOther(c, "/")
	}
	if v.self != nil {
		if err := a.Billing.EndAssist(c.Request().Context(), v.self, as.Agency, as.Sub); err != nil {
			return err
		}
	}
	if err := a.carryAssist(c, nil); err != nil {
		return err
	}
	if as.Sub.IsZero() {
		return seeOther(c, agencyPath(as.Agency))
	}
	return seeOther(c, subAccountPath(as.Sub))
}

func (a *app) carryAssist(c echo.Context, as *assist) error {
	s := visitOf(c).session
	carry := carriedBy(s)
	carry.Assist = as
	s.Values[carriedKey] = carry
	return s.Save(c.Request(), c.Response())
}
