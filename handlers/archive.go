package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// archiveForm asks whether a client is to be put away.
func (a *app) archiveForm(c echo.Context) error {
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	if sub.Status != models.SubAccountActive {
		return seeOther(c, subAccountPath(sub.ID))
	}
	v, ctx := visitOf(c), c.Request().Context()
	out := views.Archive{Name: sub.Name, Account: subAccountPath(sub.ID), Action: subAccountPath(sub.ID) + "/archive"}
	plan, err := a.Billing.PlanTransfer(ctx, v.viewer.Scope(), sub.AgencyID, sub.ID, 0, true)
	if err != nil {
		return err
	}
	own, err := a.Billing.Wallet(ctx, billing.AccountOfSub(v.viewer.Agency, sub.SubAccount))
	if err != nil {
		return err
	}
	out.Assigned, out.Held, out.Other = plan.Most, own.Balance.Held, max(0, own.Balance.Available-plan.Most)
	list, err := a.Billing.PeopleOf(ctx, billing.Circle{Agency: sub.AgencyID, SubAccount: sub.ID})
	if err != nil {
		return err
	}
	out.People = len(list.People)
	if out.Monthly, err = a.renewing(c, &sub.SubAccount); err != nil {
		return err
	}
	if out.Frame, err = a.frame(c, "Archive "+sub.Name, "sub-accounts", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.ArchivePage(out))
}

// archive puts a client away.
func (a *app) archive(c echo.Context) error {
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	v := visitOf(c)
	returned, err := a.Billing.ArchiveSubAccount(c.Request().Context(), v.viewer.Scope(), billing.ArchiveInput{
		Agency: sub.AgencyID, SubAccount: sub.ID, TakeBack: c.FormValue("back") == "return", By: v.viewer.Actor(),
	})
	if err != nil {
		return err
	}
	text := sub.Name + " is archived."
	if returned > 0 {
		text += " " + format.CreditsWord(returned) + " returned to you."
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: text}); err != nil {
		return err
	}
	return seeOther(c, subAccountPath(sub.ID))
}

// restore brings an archived client back.
func (a *app) restore(c echo.Context) error {
	sub, err := a.client(c)
	if err != nil {
		return err
	}
	v := visitOf(c)
	flash := views.Flash{Tone: views.ToneOK, Text: sub.Name + " is back."}
	if err := a.Billing.RestoreSubAccount(c.Request().Context(), v.viewer.Scope(), sub.AgencyID, sub.ID, v.viewer.Actor()); err != nil {
		if !problem.Is(err, "sub_account_limit") {
			return err
		}
		flash = views.Flash{Tone: views.ToneBad, Text: sub.Name + " stays archived. " + problem.Of(err).Message}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, subAccountPath(sub.ID))
}

// archived lists the clients that were put away.
func (a *app) archived(c echo.Context) error {
	v := visitOf(c)
	subs, err := a.Billing.ArchivedSubAccounts(c.Request().Context(), v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	out := views.Archived{May: mayBuy(v)}
	for i := range subs {
		path := subAccountPath(subs[i].ID)
		out.Rows = append(out.Rows, views.ArchivedRow{Name: subs[i].Name, Href: path, At: subs[i].ArchivedAt, Restore: path + "/restore"})
	}
	if out.Frame, err = a.frame(c, "Archived sub-accounts", "sub-accounts", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.ArchivedPage(out))
}

// archivedCSV is every client that was put away, the latest first.
func (a *app) archivedCSV(c echo.Context) error {
	account := visitOf(c).viewer.Account()
	subs, err := a.Billing.ArchivedSubAccounts(c.Request().Context(), account.Agency.ID)
	if err != nil {
		return err
	}
	return a.list(c, "archived-sub-accounts", []string{"name", "id", "archived_local", "archived_utc", "since_utc"}, func(write func(...string) error) error {
		for i := range subs {
			s := &subs[i]
			local, utc := stamps(s.ArchivedAt, account.Zone)
			_, since := stamps(s.CreatedAt, account.Zone)
			if err := write(text(s.Name), text(s.ExternalID), local, utc, since); err != nil {
				return err
			}
		}
		return nil
	})
}
