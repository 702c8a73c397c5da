package handlers

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// agenciesShown is how many agencies are listed at once.
const agenciesShown = 50

func agencyQuery(f views.AgencyFilter) billing.AgencyQuery {
	return billing.AgencyQuery{Only: billing.AgencySignal(f.Only), Search: f.Search, Sort: billing.AgencySort(f.Sort), Turned: f.Turned}
}

func signalWord(s billing.AgencySignal) string {
	switch s {
	case billing.EveryAgency:
		return "All"
	case billing.AgenciesPaused:
		return "Paused"
	case billing.AgenciesLow:
		return "Low"
	case billing.AgenciesBelow:
		return "Below zero"
	case billing.AgenciesNoBuying:
		return "No purchase in 30 days"
	case billing.AgenciesSuspended:
		return "Suspended"
	}
	return string(s)
}

func (a *app) agencies(c echo.Context) error {
	f := views.ParseAgencyFilter(c.QueryParams())
	q := agencyQuery(f)
	q.Size = agenciesShown
	if n, err := strconv.Atoi(c.QueryParam("page")); err == nil {
		q.Page = n
	}
	out := views.Agencies{Filter: f}
	list, err := a.Billing.AgencyList(c.Request().Context(), q)
	if err != nil {
		out.Failure = a.failure(c, "The list of agencies", "", err)
	}
	out.Total = list.All
	for _, s := range billing.AgencySignals() {
		g := f
		g.Only = string(s)
		out.Signals = append(out.Signals, views.Signal{
			Key: string(s), Label: signalWord(s), Count: list.Counts[s], Href: g.Href("/admin/agencies"), Current: s == q.Only,
		})
	}
	for i := range list.Rows {
		out.Rows = append(out.Rows, agencyRow(&list.Rows[i], list.Now))
	}
	if list.Pages > 1 {
		first := (list.Page-1)*q.Size + 1
		out.Shown = fmt.Sprintf("Agencies %d to %d of %d", first, first+len(list.Rows)-1, list.Matches)
		if list.Page > 1 {
			out.Previous = pageHref(f.Href("/admin/agencies"), list.Page-1)
		}
		if list.Page < list.Pages {
			out.Next = pageHref(f.Href("/admin/agencies"), list.Page+1)
		}
	}
	if out.Frame, err = a.adminFrame(c, "Agencies", "agencies"); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.AgenciesPage(out))
}

// pageHref is a list's address at a page.
func pageHref(href string, n int) string {
	if n < 2 {
		return href
	}
	join := "?"
	if strings.Contains(href, "?") {
		join = "&"
	}
	return href + join + "page=" + strconv.Itoa(n)
}

func agencyRow(s *billing.AgencyStanding, now models.Time) views.AgencyRow {
	return views.AgencyRow{
		Name: s.Name, Href: agencyPath(s.ID), Plan: s.Plan, State: views.State(s.State), Left: s.Left, Lasts: forecastOf(&s.Lasts),
		Daily: s.Daily, Used: s.Used, Bought: s.Bought, Excess: s.Excess, SubAccounts: s.SubAccounts, LastAt: s.LastPurchaseAt, Flags: agencyFlags(s, now),
	}
}

func agencyFlags(s *billing.AgencyStanding, now models.Time) []string {
	var out []string
	for _, flag := range []struct {
		up   bool
		word string
	}{
		{s.Suspended(), "Paused by an admin"}, {s.Review, "Payment to review"}, {s.Asked, "Adjustment waits"}, {s.Quiet(now), "No purchase in 30 days"},
	} {
		if flag.up {
			out = append(out, flag.word)
		}
	}
	return out
}

// agenciesCSV is every agency that the filter shows.
func (a *app) agenciesCSV(c echo.Context) error {
	list, err := a.Billing.AgencyList(c.Request().Context(), agencyQuery(views.ParseAgencyFilter(c.QueryParams())))
	if err != nil {
		return err
	}
	return a.download(c, "agencies", 0, 0, func(w io.Writer) error {
		out := csv.NewWriter(w)
		out.UseCRLF = true
		if err := out.Write([]string{
			"name", "id", "plan", "state", "left", "forecast", "runs_out_utc", "used_30_days", "bought_30_days", "excess", "sub_accounts", "last_purchase_utc", "flags",
		}); err != nil {
			return err
		}
		for i := range list.Rows {
			s := &list.Rows[i]
			runsOut, last := "", ""
			if s.Lasts.Kind == billing.ForecastRunsOut {
				runsOut = s.Lasts.RunsOutAt.RFC3339()
			}
			if s.LastPurchaseAt > 0 {
				last = s.LastPurchaseAt.RFC3339()
			}
			if err := out.Write([]string{
				text(s.Name), text(s.ExternalID), text(s.Plan), string(s.State), s.Left.String(), string(s.Lasts.Kind), runsOut, s.Used.String(), s.Bought.String(),
				s.Excess.String(), strconv.FormatInt(s.SubAccounts, 10), last, strings.Join(agencyFlags(s, list.Now), "; "),
			}); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	})
}

func (a *app) newAgencyForm(c echo.Context) error {
	f := views.AgencyForm{ReferralCode: c.QueryParam("referral_code")}
	var err error
	if f.Plan, err = a.Billing.Setting(c.Request().Context(), "default_plan"); err != nil {
		return err
	}
	if zone, err := a.Billing.PlatformZone(c.Request().Context()); err == nil {
		f.TimeZone = zone.String()
	}
	return a.showNewAgency(c, http.StatusOK, f)
}

func (a *app) showNewAgency(c echo.Context, code int, f views.AgencyForm) error { //nolint:gocritic // a form is sent once per page
	plans, err := a.planOptions(c, models.PlanID{})
	if err != nil {
		return err
	}
	f.Plans, f.Zones, f.Attempt, f.Invites = plans, commonZones(time.UTC.String()), cmp.Or(f.Attempt, billing.NewSecret()), true
	if f.Frame, err = a.adminFrame(c, "Add agency", "agencies"); err != nil {
		return err
	}
	f.Frame.Failed = len(f.Errors) > 0
	return page(c, code, views.AgencyFormPage(f))
}

// planOptions are the plans on sale, but for one.
func (a *app) planOptions(c echo.Context, but models.PlanID) ([]views.Option, error) {
	plans, err := a.Billing.Plans(c.Request().Context())
	if err != nil {
		return nil, err
	}
	var out []views.Option
	for i := range plans {
		if plans[i].ID != but {
			out = append(out, views.Option{Value: plans[i].Code, Label: planLabel(&plans[i])})
		}
	}
	return out, nil
}

// newAgency adds an agency, once per attempt, and invites its owner.
func (a *app) newAgency(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	f := views.AgencyForm{
		Name: c.FormValue("name"), ExternalID: strings.TrimSpace(c.FormValue("external_id")), Plan: c.FormValue("plan"),
		TimeZone: strings.TrimSpace(c.FormValue("time_zone")), Email: strings.TrimSpace(c.FormValue("email")), Attempt: c.FormValue("attempt"),
		ReferralCode: field(c, "referral_code"),
	}
	if f.ExternalID == "" {
		f.ExternalID = billing.ExternalIDFrom(f.Name)
	}
	if f.Email != "" {
		if err := billing.CheckEmail(f.Email); err != nil {
			f.Errors = views.FieldErrors{{Field: "email", Text: problem.Of(err).Message}}
			return a.showNewAgency(c, http.StatusUnprocessableEntity, f)
		}
	}
	agency, _, err := a.Billing.CreateAgencyOnce(ctx, billing.AgencyInput{
		ExternalID: f.ExternalID, Name: f.Name, Plan: f.Plan, TimeZone: f.TimeZone, ReferralCode: f.ReferralCode, OwnerEmail: f.Email,
		Key: "web:" + cmp.Or(f.Attempt, billing.NewSecret()), By: v.viewer.Actor(),
	})
	if err != nil {
		wrong, ok := wrongFields(err, "name", "external_id", "plan", "time_zone", "referral_code")
		switch {
		case ok:
			f.Errors = wrong
		case problem.Is(err, "idempotency_key_reused"):
			f.Attempt = ""
			f.Errors = views.FieldErrors{{Field: "name", Text: "This form added an agency already. To add another one, send it once more."}}
		default:
			return err
		}
		return a.showNewAgency(c, statusOf(err), f)
	}
	flash := views.Flash{Tone: views.ToneOK, Text: agency.Name + " added."}
	if f.Email != "" {
		_, err := a.Billing.Invite(ctx, billing.InviteInput{
			Circle: billing.Circle{Agency: agency.ID}, Email: f.Email, Role: models.RoleOwner, From: v.viewer.User.Email, By: v.viewer.Actor(),
		})
		flash.Text = agency.Name + " added, and " + f.Email + " invited as its owner."
		if p := problem.Of(err); p != nil {
			flash = views.Flash{Tone: views.ToneWarn, Text: agency.Name + " added. The owner could not be invited: " + p.Message}
		} else if err != nil {
			return err
		}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, agencyPath(agency.ID))
}
