package handlers

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

const quotesPath = "/quotes"

// quoteSheet is what is kept of the calculator's page.
type quoteSheet struct {
	Conversations string                  `json:"conversations"`
	Replies       string                  `json:"replies"`
	Model         string                  `json:"model"`
	Result        *views.CalculatorResult `json:"result"`
}

// saveQuote keeps the calculator's answer as a visitor of the agency's portal
// would read it: with its packages, never with what they cost the agency.
func (a *app) saveQuote(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	query, err := url.ParseQuery(c.FormValue("query"))
	if err != nil {
		return problem.Missing("quote")
	}
	back := "/calculator?" + query.Encode()
	out := views.Calculator{For: views.ForVisitor}
	if err := a.calculate(c, &account.Agency, nil, query, &out); err != nil {
		return err
	}
	if len(out.Errors) > 0 || out.Result == nil {
		return seeOther(c, back) // which says what is wrong
	}
	out.Result.Switches = nil                                                                     // a quote is for one model
	sheet, err := json.Marshal(quoteSheet{out.Conversations, out.Replies, out.Model, out.Result}) //nolint:musttag // stored under the names the view has
	if err != nil {
		return err
	}
	days, err := strconv.Atoi(strings.TrimSpace(c.FormValue("days")))
	if err != nil {
		days = 0
	}
	_, err = a.Billing.SaveQuote(ctx, billing.QuoteInput{
		Agency: account.Agency.ID, Name: c.FormValue("name"), Query: query.Encode(), Sheet: string(sheet), Days: days, By: v.viewer.Actor(),
	})
	if p := problem.Of(err); p != nil {
		if err := a.say(c, views.Flash{Tone: views.ToneBad, Text: p.Message}); err != nil {
			return err
		}
		return seeOther(c, back)
	}
	if err != nil {
		return err
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "The quote is saved. Send its link."}); err != nil {
		return err
	}
	return seeOther(c, quotesPath)
}

// quotes lists what was saved.
func (a *app) quotes(c echo.Context) error {
	v := visitOf(c)
	agency := &v.viewer.Account().Agency
	rows, err := a.Billing.SavedQuotes(c.Request().Context(), agency.ID)
	if err != nil {
		return err
	}
	var out views.Quotes
	now := a.Billing.Now()
	for i := range rows {
		q := &rows[i]
		row := views.QuoteRow{
			Name: q.Name, At: q.CreatedAt, Until: q.ExpiresAt, Holds: q.EndedAt == 0 && q.ExpiresAt > now, Again: "/calculator?" + q.Query,
			Link: strings.TrimRight(a.Billing.PortalURL(agency), "/") + "/q/" + q.Token,
		}
		if row.Holds && mayBuy(v) {
			row.End = quotesPath + "/" + q.ID.String() + "/end"
		}
		out.Rows = append(out.Rows, row)
	}
	if out.Frame, err = a.frame(c, "Quotes", "calculator", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.QuotesPage(out))
}

// endQuote takes a quote back.
func (a *app) endQuote(c echo.Context) error {
	v := visitOf(c)
	id, err := models.ParseID[models.QuoteID](c.Param("id"))
	if err != nil {
		return problem.Missing("quote")
	}
	if err := a.Billing.EndQuote(c.Request().Context(), v.viewer.Agency.ID, id, v.viewer.Actor()); err != nil {
		return err
	}
	return a.saidAt(c, quotesPath, views.Flash{Tone: views.ToneOK, Text: "The quote no longer holds."})
}

// quote shows a saved quote to whoever has its link, in the agency's brand.
func (a *app) quote(c echo.Context) error {
	agency := visitOf(c).host.portal
	if agency == nil {
		return problem.Missing("quote")
	}
	q, holds, err := a.Billing.QuoteByToken(c.Request().Context(), agency.ID, c.Param("token"))
	if err != nil {
		return err
	}
	var sheet quoteSheet
	if err := json.Unmarshal([]byte(q.Sheet), &sheet); err != nil { //nolint:musttag // as above
		return err
	}
	out := views.Quote{Name: q.Name, Agency: agency.Name, At: q.CreatedAt, Until: q.ExpiresAt, Holds: holds, Conversations: sheet.Conversations, Replies: sheet.Replies}
	out.Calculator = views.Calculator{For: views.ForVisitor, Model: sheet.Model, Result: sheet.Result}
	if out.Frame, err = a.formFrame(c, "Quote"); err != nil {
		return err
	}
	out.Frame.Zone, out.Frame.Now = billing.Zone(agency.TimeZone), a.Billing.Now()
	out.Calculator.Frame = out.Frame
	code := http.StatusOK
	if !holds {
		code = http.StatusGone
	}
	return page(c, code, views.QuotePage(out))
}
