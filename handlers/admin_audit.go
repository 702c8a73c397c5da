package handlers

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// auditQuery is what the log's filter asks for. An agency is named by its id or
// its external id. Errors: wrongDaysError, not_found.
func (a *app) auditQuery(ctx context.Context, f views.AuditFilter) (billing.AuditQuery, error) {
	q := billing.AuditQuery{Actor: f.Actor, Action: f.Action}
	if err := (days{from: f.From, to: f.To, until: "Until", open: true}).check(); err != nil {
		return q, err
	}
	zone, err := a.Billing.PlatformZone(ctx)
	if err != nil {
		return q, err
	}
	q.From, q.To = wholeDays(f.From, f.To, zone)
	if f.Agency != "" {
		var agency models.Agency
		if agency, err = a.Billing.AgencyByRef(ctx, billing.Scope{}, f.Agency); err == nil {
			q.Agency = agency.ID
		}
	}
	return q, err
}

// auditLog is who did what.
func (a *app) auditLog(c echo.Context) error {
	ctx := c.Request().Context()
	out := views.AuditLog{Filter: views.ParseAuditFilter(c.QueryParams())}
	q, err := a.auditQuery(ctx, out.Filter)
	code := http.StatusOK
	var wrong wrongDaysError
	var found billing.AuditPage
	switch {
	case errors.As(err, &wrong):
		out.Errors, code = views.FieldErrors(wrong), http.StatusUnprocessableEntity
	case problem.Is(err, "not_found"):
		return err
	case err == nil:
		q.Cursor = c.QueryParam("cursor")
		if found, err = a.Billing.AuditLog(ctx, q); problem.Is(err, "invalid_cursor") {
			return problem.Missing("page")
		}
	}
	if err != nil && len(wrong) == 0 {
		out.Failure = a.failure(c, "The audit log", "", err)
	}
	for i := range found.Rows {
		out.Rows = append(out.Rows, auditLine(&found.Rows[i]))
	}
	values := out.Filter.Values()
	out.CSV = address("/admin/audit.csv", values)
	if q.Cursor != "" {
		out.Pager.Newer = address("/admin/audit", values)
	}
	if found.Next != "" {
		values.Set("cursor", found.Next)
		out.Pager.Older = address("/admin/audit", values)
	}
	a.auditChoices(c, &out)
	proof, checked := a.Billing.AuditProved()
	out.Proof = views.AuditProof{Entries: proof.Entries, Until: proof.At, Checked: checked, Head: proof.Head, Broken: proof.Broken}
	if out.Frame, err = a.adminFrame(c, "Audit", "audit"); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.AuditLogPage(out))
}

// auditChoices are what the form can narrow to.
func (a *app) auditChoices(c echo.Context, out *views.AuditLog) {
	ctx := c.Request().Context()
	actors, actions, err := a.Billing.AuditFacets(ctx)
	if err != nil {
		a.sectionFailed(c, "filters", err)
	}
	for _, actor := range actors {
		out.Actors = append(out.Actors, views.Option{Value: actor, Label: views.AuditActor(actor)})
	}
	for _, action := range actions {
		out.Actions = append(out.Actions, views.Option{Value: action, Label: views.AuditWords(action)})
	}
	agencies, err := a.Billing.Agencies(ctx)
	if err != nil {
		a.sectionFailed(c, "filters", err)
	}
	for i := range agencies {
		value := agencies[i].ExternalID
		if out.Filter.Agency == agencies[i].ID.String() {
			value = out.Filter.Agency
		}
		out.Agencies = append(out.Agencies, views.Option{Value: value, Label: agencies[i].Name})
	}
}

func auditLine(r *billing.AuditRow) views.AuditLine {
	out := views.AuditLine{
		At: r.CreatedAt, Who: views.AuditActor(r.Actor), What: views.AuditWords(r.Action), Code: r.Action, Detail: r.Detail, Reason: r.Reason, Agency: r.Agency,
	}
	if !r.AgencyID.IsZero() {
		out.Href = agencyPath(r.AgencyID)
	}
	if r.Target != r.AgencyID.String() {
		out.Target = r.Target
	}
	return out
}

// auditCSV is every entry that the filter shows, the newest first.
func (a *app) auditCSV(c echo.Context) error {
	ctx := c.Request().Context()
	q, err := a.auditQuery(ctx, views.ParseAuditFilter(c.QueryParams()))
	if err != nil {
		return err
	}
	q.Limit = 1000
	return a.download(c, "audit", q.From, q.To, func(w io.Writer) error {
		out := csv.NewWriter(w)
		out.UseCRLF = true
		if err := out.Write([]string{"time_utc", "actor", "action", "agency", "agency_id", "target", "detail", "reason"}); err != nil {
			return err
		}
		for {
			found, err := a.Billing.AuditLog(ctx, q)
			if err != nil {
				return err
			}
			for i := range found.Rows {
				r := &found.Rows[i]
				if err := out.Write([]string{
					r.CreatedAt.RFC3339(), text(r.Actor), text(r.Action), text(r.Agency), r.AgencyID.String(), text(r.Target), text(r.Detail), text(r.Reason),
				}); err != nil {
					return err
				}
			}
			if out.Flush(); out.Error() != nil || found.Next == "" {
				return out.Error()
			}
			q.Cursor = found.Next
		}
	})
}
