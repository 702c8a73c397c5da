package handlers

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

const (
	quotesPath = "/quotes"
	quotesPage = 50 // listed at once
)

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
	out := views.Calculator{For: views.ForVisitor}
	if err := a.calculate(c, &account.Agency, nil, query, &out); err != nil {
		return err
	}
	if len(out.Errors) > 0 || out.Result == nil {
		return a.showQuoteForm(c, query, nil)
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
		Offers: offered(out.Result),
	})
	if wrong, ok := wrongFields(err, "name", "days"); ok {
		return a.showQuoteForm(c, query, wrong)
	}
	if err != nil {
		return err
	}
	return a.saidAt(c, quotesPath, views.Flash{Tone: views.ToneOK, Text: "The quote is saved. Send its link."})
}

// showQuoteForm shows the calculator again with what was typed to save its answer,
// and what is wrong with it.
func (a *app) showQuoteForm(c echo.Context, query url.Values, wrong views.FieldErrors) error {
	account := visitOf(c).viewer.Account()
	out := views.Calculator{For: views.ForAgency, Signed: true, Quote: views.QuoteInput{Name: c.FormValue("name"), Days: c.FormValue("days")}}
	if err := a.calculate(c, &account.Agency, account, query, &out); err != nil {
		return err
	}
	out.Errors = append(out.Errors, wrong...)
	return a.showCalculator(c, &out)
}

// offered are the packages of an answer, each once.
func offered(r *views.CalculatorResult) []billing.Offered {
	var out []billing.Offered
	for _, p := range slices.Concat(r.Month.Picks, r.Extra.Picks) {
		id, err := models.ParseID[models.PackageID](p.ID)
		if err == nil && !slices.ContainsFunc(out, func(o billing.Offered) bool { return o.Package == id }) {
			out = append(out, billing.Offered{Package: id, Credits: p.Each, Price: p.Price.Amount})
		}
	}
	return out
}

// quotes lists what was saved.
func (a *app) quotes(c echo.Context) error {
	v := visitOf(c)
	agency := &v.viewer.Account().Agency
	var out views.Quotes
	var before models.QuoteID
	if ref := c.QueryParam("before"); ref != "" {
		var err error
		if before, err = models.ParseID[models.QuoteID](ref); err != nil {
			return problem.Missing("page")
		}
		out.Pager.Newer = quotesPath
	}
	rows, err := a.Billing.SavedQuotes(c.Request().Context(), agency.ID, before, quotesPage+1)
	if err != nil {
		return err
	}
	if len(rows) > quotesPage {
		rows = rows[:quotesPage]
		out.Pager.Older = quotesPath + "?before=" + rows[quotesPage-1].ID.String()
	}
	now := a.Billing.Now()
	for i := range rows {
		q := &rows[i]
		row := views.QuoteRow{
			Name: q.Name, At: q.CreatedAt, Until: q.ExpiresAt, Holds: q.EndedAt == 0 && q.ExpiresAt > now, Again: "/calculator?" + q.Query,
			Link: a.quoteLink(agency, q),
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

// quotesCSV is every quote that was saved, the newest first.
func (a *app) quotesCSV(c echo.Context) error {
	ctx, account := c.Request().Context(), visitOf(c).viewer.Account()
	return a.list(c, "quotes", []string{
		"time_local", "time_utc", "name", "id", "saved_by", "holds", "holds_until_local", "holds_until_utc", "ended_utc", "link",
	}, func(write func(...string) error) error {
		var before models.QuoteID
		for {
			rows, err := a.Billing.SavedQuotes(ctx, account.Agency.ID, before, billing.MaxPage)
			if err != nil {
				return err
			}
			for i := range rows {
				q := &rows[i]
				local, utc := stamps(q.CreatedAt, account.Zone)
				untilLocal, untilUTC := stamps(q.ExpiresAt, account.Zone)
				_, ended := stamps(q.EndedAt, account.Zone)
				holds := q.EndedAt == 0 && q.ExpiresAt > a.Billing.Now()
				if err := write(local, utc, text(q.Name), q.ID.String(), text(q.CreatedBy), yesNo(holds), untilLocal, untilUTC, ended, a.quoteLink(&account.Agency, q)); err != nil {
					return err
				}
			}
			if len(rows) < billing.MaxPage {
				return nil
			}
			before = rows[len(rows)-1].ID
		}
	})
}

// quoteLink is where whoever a quote was made for reads it.
func (a *app) quoteLink(agency *models.Agency, q *models.SavedQuote) string {
	return strings.TrimRight(a.Billing.PortalURL(agency), "/") + "/q/" + q.Token
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
	q, err := a.Billing.QuoteByToken(c.Request().Context(), agency.ID, c.Param("token"))
	if err != nil {
		return err
	}
	var sheet quoteSheet
	if err := json.Unmarshal([]byte(q.Sheet), &sheet); err != nil { //nolint:musttag // as above
		return err
	}
	out := views.Quote{Name: q.Name, Agency: agency.Name, At: q.CreatedAt, Until: q.ExpiresAt, Holds: q.Holds, Held: len(q.Offers) > 0, Conversations: sheet.Conversations, Replies: sheet.Replies}
	out.Calculator = views.Calculator{For: views.ForVisitor, Model: sheet.Model, Result: sheet.Result}
	if r := sheet.Result; r != nil {
		leadToQuoted(&q, r.Month.Picks, buyHref(visitOf(c), q.Token))
		leadToQuoted(&q, r.Extra.Picks, buyHref(visitOf(c), q.Token))
	}
	if out.Frame, err = a.formFrame(c, "Quote"); err != nil {
		return err
	}
	out.Frame.Zone, out.Frame.Now = billing.Zone(agency.TimeZone), a.Billing.Now()
	out.Calculator.Frame = out.Frame
	code := http.StatusOK
	if !q.Holds {
		code = http.StatusGone
	}
	return page(c, code, views.QuotePage(out))
}

// leadToQuoted leads to the purchase of what a quote holds, at its prices.
func leadToQuoted(q *billing.Quoted, picks []views.CalculatorPick, buy func(id string) string) {
	for i := range picks {
		pick := &picks[i]
		id, err := models.ParseID[models.PackageID](pick.ID)
		if _, held := q.Offers[id]; err != nil || !held {
			continue // saved before prices were held: it leads to those of today
		}
		pick.Gone, pick.Href = !q.Sold[id], ""
		if buy != nil && !pick.Gone {
			pick.Href = buy(pick.ID)
		}
	}
}
