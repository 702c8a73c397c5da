package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

func (a *app) domains(c echo.Context) error { return a.showDomains(c, http.StatusOK, "", nil) }

func (a *app) showDomains(c echo.Context, code int, name string, errs views.FieldErrors) error {
	v := visitOf(c)
	rows, err := a.Billing.Domains(c.Request().Context(), v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	out := views.Domains{
		Tabs: a.settings(c, "/settings/domain"), Usual: a.usualPortal(&v.viewer.Agency), Now: a.Billing.PortalURL(&v.viewer.Agency), Name: name, Errors: errs,
		Server: v.viewer.Agency.Host + "." + a.Billing.PortalDomain(),
	}
	for i := range rows {
		out.Rows = append(out.Rows, domainRow(&rows[i], &v.viewer.Agency))
	}
	if out.Frame, err = a.frame(c, "Domain", "settings", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(errs) > 0
	return page(c, code, views.DomainsPage(out))
}

// usualPortal is where an agency's portal stands whatever names of its own it uses.
func (a *app) usualPortal(agency *models.Agency) string {
	usual := *agency
	usual.Domain = ""
	return a.Billing.PortalURL(&usual)
}

func domainRow(d *models.Domain, agency *models.Agency) views.DomainRow {
	out := views.DomainRow{Name: d.Name, Path: "/settings/domain/" + d.Name, Note: d.Note, Checked: d.CheckedAt, Used: agency.Domain == d.Name, Proved: d.VerifiedAt != 0, Certificate: d.CertificateAt}
	out.Record, out.Value = billing.DomainRecord(d)
	switch {
	case d.VerifiedAt != 0 && d.FailingSince != 0:
		out.Tone, out.State = views.ToneWarn, "Record missing"
		out.Ends = d.FailingSince.Add(billing.DomainGrace)
	case d.VerifiedAt != 0:
		out.Tone, out.State = views.ToneOK, "Proved"
	case d.CheckedAt != 0:
		out.Tone, out.State = views.ToneWarn, "Not found"
	default:
		out.Tone, out.State = views.ToneInfo, "Not checked yet"
	}
	return out
}

func (a *app) claimDomain(c echo.Context) error {
	v, name := visitOf(c), c.FormValue("domain")
	d, err := a.Billing.ClaimDomain(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, name, v.viewer.Actor())
	if err != nil {
		wrong, ok := wrongFields(err, "domain")
		if !ok {
			return err
		}
		return a.showDomains(c, statusOf(err), name, wrong)
	}
	return a.saidAt(c, "/settings/domain", views.Flash{Tone: views.ToneOK, Text: d.Name + " is noted. Make its TXT record, then check it."})
}

// domainChanged tells on the page of domains what came of a button.
func (a *app) domainChanged(c echo.Context, err error, done string) error {
	flash := views.Flash{Tone: views.ToneOK, Text: done}
	if p := problem.Of(err); p != nil && p.Kind == problem.Conflict {
		flash = views.Flash{Tone: views.ToneWarn, Text: p.Message}
	} else if err != nil {
		return err
	}
	return a.saidAt(c, "/settings/domain", flash)
}

func (a *app) checkDomain(c echo.Context) error {
	v, name := visitOf(c), c.Param("domain")
	err := a.Billing.CheckDomain(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, name, v.viewer.Actor())
	return a.domainChanged(c, err, name+" is proved: your portal answers there. Open it once, then use it for links.")
}

// useDomain leads links to a domain, or away from it.
func (a *app) useDomain(on bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		v, name := visitOf(c), c.Param("domain")
		done := "Links, mails and payments lead to " + name + " now."
		if !on {
			done = "Links, mails and payments lead to the usual address again."
		}
		return a.domainChanged(c, a.Billing.UseDomain(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, name, on, v.viewer.Actor()), done)
	}
}

// removeDomainForm says what removing a name does, and asks.
func (a *app) removeDomainForm(c echo.Context) error {
	v := visitOf(c)
	rows, err := a.Billing.Domains(c.Request().Context(), v.viewer.Agency.ID)
	if err != nil {
		return err
	}
	for i := range rows {
		if rows[i].Name != c.Param("domain") {
			continue
		}
		out := views.DomainRemoval{Row: domainRow(&rows[i], &v.viewer.Agency), Usual: a.usualPortal(&v.viewer.Agency)}
		if out.Frame, err = a.frame(c, "Remove "+rows[i].Name, "settings", nil); err != nil {
			return err
		}
		return page(c, http.StatusOK, views.DomainRemovalPage(out))
	}
	return problem.Missing("domain")
}

func (a *app) removeDomain(c echo.Context) error {
	v, name := visitOf(c), c.Param("domain")
	err := a.Billing.RemoveDomain(c.Request().Context(), v.viewer.Scope(), v.viewer.Agency.ID, name, v.viewer.Actor())
	return a.domainChanged(c, err, name+" is gone. Nothing answers there any more.")
}
