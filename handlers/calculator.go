package handlers

import (
	"cmp"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/estimate"
	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// calculator works out how many credits somebody needs. On an agency's portal it
// is open to everybody, by what the agency shows to everybody.
func (a *app) calculator(c echo.Context) error {
	v := visitOf(c)
	out := views.Calculator{For: views.ForVisitor, Signed: v.viewer != nil, Quote: views.QuoteInput{Days: "14"}}
	var agency *models.Agency
	var account *billing.Account
	switch v.role() {
	case roleOwner, roleBilling, roleMember:
		out.For, account = views.ForAgency, v.viewer.Account()
	case roleClient:
		out.For, account = views.ForClient, v.viewer.Account()
	case roleAdmin:
		return echo.ErrForbidden // rates and packs have pages of their own
	default:
		if agency = v.host.portal; agency == nil {
			return a.askToSignIn(c)
		}
	}
	if account != nil {
		agency = &account.Agency
	}
	if err := a.calculate(c, agency, account, c.QueryParams(), &out); err != nil {
		return err
	}
	return a.showCalculator(c, &out)
}

func (a *app) showCalculator(c echo.Context, out *views.Calculator) error {
	code := http.StatusOK
	if len(out.Errors) > 0 {
		code = http.StatusUnprocessableEntity
	}
	var err error
	if out.Signed {
		out.Frame, err = a.frame(c, "Calculator", "calculator", nil)
	} else {
		out.Frame, err = a.formFrame(c, "Calculator")
	}
	if err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.CalculatorPage(*out))
}

// calculate reads what was typed and works it out by the agency's rate card in
// force; without one, or with something wrong, there is no result.
func (a *app) calculate(c echo.Context, agency *models.Agency, account *billing.Account, q url.Values, out *views.Calculator) error {
	work := calculatorWork(q, out)
	version, err := a.Billing.RateCardFor(c.Request().Context(), agency, a.Billing.Now())
	if err != nil && !problem.Is(err, "no_rate_card") {
		return err
	}
	out.Talk = estimate.Talk(&version)
	ticket, knowledge := estimate.Import(&version)
	for _, action := range version.Actions() {
		if action == out.Talk {
			continue
		}
		row := calculatorAction(&version, action, q, &work, out)
		switch action {
		case ticket:
			row.Brings = views.BringsTickets
		case knowledge:
			row.Brings = views.BringsPages
		}
		out.Actions = append(out.Actions, row)
	}
	if out.Talk != "" && account != nil && work.Replies > 0 {
		done, err := a.Billing.Talked(c.Request().Context(), account, out.Talk)
		if err != nil {
			return err
		}
		if done > 0 {
			replies := int64(work.Replies)
			out.Past = views.CalculatorPast{Times: done, Conversations: max(1, (done*10+replies/2)/replies)}
		}
	}
	out.Models = modelOptions(version.Models(out.Talk))
	if out.Talk == "" || len(out.Errors) > 0 {
		return nil
	}
	return a.workOut(c, agency, account, &version, &work, out)
}

var (
	wholeNumber = regexp.MustCompile(`^\d{1,12}$`)
	oneDecimal  = regexp.MustCompile(`^(\d{1,6})(?:[.,](\d))?$`)
)

// calculatorWork reads what was typed; what is missing gets an example.
func calculatorWork(q url.Values, out *views.Calculator) estimate.Work {
	typed := func(name, otherwise string) string { return cmp.Or(strings.TrimSpace(q.Get(name)), otherwise) }
	out.Conversations, out.Replies, out.Model, out.Margin = typed("c", "500"), typed("r", "7"), typed("m", ""), typed("x", "0")
	w := estimate.Work{Model: out.Model, Monthly: map[string]int64{}, Once: map[string]int64{}}
	var ok bool
	if w.Conversations, ok = times(out.Conversations); !ok {
		out.Errors = append(out.Errors, views.FieldError{Field: "c", Text: "Enter how many conversations a month, up to " + format.Count(estimate.MaxTimes) + "."})
	}
	if m := oneDecimal.FindStringSubmatch(out.Replies); m != nil {
		n, _ := strconv.ParseInt(m[1]+cmp.Or(m[2], "0"), 10, 64) // seven digits
		w.Replies = estimate.Tenths(n)
	}
	if w.Replies <= 0 || w.Replies > estimate.MaxReplies {
		out.Errors = append(out.Errors, views.FieldError{Field: "r", Text: "Enter a number from 0.1 to 100, such as 7 or 6.3."})
	}
	if margin, err := strconv.Atoi(out.Margin); err == nil && slices.Contains([]int{0, 20, 50}, margin) {
		w.Margin = margin
	} else {
		out.Margin = "0"
	}
	return w
}

// times reads a count, with or without commas between thousands.
func times(typed string) (int64, bool) {
	plain := typed
	if grouped.MatchString(plain) {
		plain = strings.ReplaceAll(plain, ",", "")
	}
	if !wholeNumber.MatchString(plain) {
		return 0, false
	}
	n, err := strconv.ParseInt(plain, 10, 64)
	return n, err == nil && n <= estimate.MaxTimes
}

// calculatorAction reads the counts of one action besides replies.
func calculatorAction(version *ratecard.Version, action string, q url.Values, w *estimate.Work, out *views.Calculator) views.CalculatorAction {
	row := views.CalculatorAction{Action: action, Monthly: strings.TrimSpace(q.Get("n." + action)), Once: strings.TrimSpace(q.Get("o." + action))}
	one, err := estimate.Of(version, &estimate.Work{Monthly: map[string]int64{action: 1}})
	if err == nil && len(one.Lines) > 0 {
		row.Each, row.AtLeast = one.Lines[0].Each, one.Lines[0].AtLeast
	}
	read := func(field, typed string, into map[string]int64) {
		if typed == "" {
			return
		}
		n, ok := times(typed)
		if !ok {
			out.Errors = append(out.Errors, views.FieldError{Field: field + action, Text: "Enter a whole number up to " + format.Count(estimate.MaxTimes) + ", or leave it empty."})
			return
		}
		into[action] = n
	}
	read("n.", row.Monthly, w.Monthly)
	read("o.", row.Once, w.Once)
	return row
}

// workOut fills the result in.
func (a *app) workOut(c echo.Context, agency *models.Agency, account *billing.Account, v *ratecard.Version, w *estimate.Work, out *views.Calculator) error {
	got, err := a.Billing.Calculate(c.Request().Context(), agency, account, v, w)
	if p := problem.Of(err); p != nil && p.Kind == problem.Invalid {
		field := map[string]string{"unknown_model": "m", "too_large": "c"}[p.Code]
		out.Errors = append(out.Errors, views.FieldError{Field: cmp.Or(field, "m"), Text: p.Message})
		return nil
	}
	if err != nil {
		return err
	}
	out.Model = got.Work.Model
	e := &got.Estimate
	r := &views.CalculatorResult{
		Lines: calculatorLines(e.Lines), Once: calculatorLines(e.Once), Reserve: e.Reserve, Low: e.Total.Low, Usual: e.Total.Usual, High: e.Total.High,
		Moving: e.Moving, Unlimited: e.Unlimited, Allowance: got.Allowance, Offers: got.Offers,
	}
	for _, m := range got.Models {
		if m.Model != out.Model {
			r.Switches = append(r.Switches, views.CalculatorSwitch{Model: m.Model, Usual: m.Month, Href: out.WithModel(m.Model)})
		}
	}
	out.Result = r
	buys := buyHref(visitOf(c), "")
	r.Month = calculatorBasket(&got.Month, max(0, e.Total.Usual-got.Allowance), got.Currency, buys)
	r.Extra = calculatorBasket(&got.Moving, e.Moving, got.Currency, buys)
	if w.Conversations > 0 && got.Offers {
		r.Each = models.Money{Amount: (got.Month.Price + w.Conversations/2) / w.Conversations, Currency: got.Currency}
	}
	for i := range got.Plans {
		r.Plans = append(r.Plans, calculatorPlan(&got.Plans[i], got.Currency, visitOf(c).role() != roleMember))
	}
	if out.For == views.ForAgency {
		out.Share = strings.TrimRight(a.Billing.PortalURL(agency), "/") + out.Address()
		if visitOf(c).role() != roleMember && e.Total.Usual > 0 {
			whole := (e.Total.Usual + models.Credit - 1) / models.Credit * models.Credit
			if out.Query = strings.TrimPrefix(out.Address(), "/calculator?"); strings.HasPrefix(out.Query, "/") {
				out.Query = ""
			}
			return a.offerOfSize(c, agency, whole, out)
		}
	}
	return nil
}

// offerOfSize is the package that an agency could make of the result, and what it
// would keep of it.
func (a *app) offerOfSize(c echo.Context, agency *models.Agency, size models.Credits, out *views.Calculator) error {
	m, basis, err := a.Billing.PackageOfSize(c.Request().Context(), agency, size)
	if err != nil {
		return err
	}
	q := url.Values{"credits": {format.Typed(size)}}
	if m != nil {
		q.Set("price", m.Price.Decimal())
		q.Set("cost_basis", string(basis.Basis))
		out.Result.Offer = &views.CalculatorOffer{Credits: size, Price: m.Price, Keep: m.Keep, Basis: basisName(&basis)}
	}
	out.Result.Package = "/packages/new?" + q.Encode()
	return nil
}

func calculatorLines(lines []estimate.Line) []views.CalculatorLine {
	out := make([]views.CalculatorLine, 0, len(lines))
	for _, l := range lines {
		out = append(out, views.CalculatorLine(l))
	}
	return out
}

// buyHref leads to the purchase of a pack or package, through sign-in for whoever
// is not, at the prices of a quote (buyPath); nil where this person may not buy.
func buyHref(v *visit, quote string) func(id string) string {
	switch {
	case v.viewer == nil:
		return func(id string) string {
			return "/sign-in?" + url.Values{"next": {buyPath(id, quote)}}.Encode()
		}
	case mayBuy(v):
		return func(id string) string { return buyPath(id, quote) }
	}
	return nil
}

func calculatorBasket(b *estimate.Basket, need models.Credits, currency string, buy func(string) string) views.CalculatorBasket {
	out := views.CalculatorBasket{Credits: b.Credits, Price: models.Money{Amount: b.Price, Currency: currency}}
	if len(b.Picks) > 0 {
		out.Left = b.Kept(need)
	}
	for _, p := range b.Picks {
		pick := views.CalculatorPick{
			ID: p.Offer.ID, Name: p.Offer.Name, Count: p.Count, Monthly: p.Offer.Monthly, Held: p.Offer.Held, Each: p.Offer.Credits, Price: models.Money{Amount: p.Offer.Price, Currency: currency},
		}
		if p.Offer.ByAmount {
			pick.Amount = p.Offer.Credits * models.Credits(p.Count)
		}
		if buy != nil && !pick.Held {
			pick.Href = buy(p.Offer.ID)
			if pick.Amount > 0 && pick.Amount/models.Credit <= math.MaxInt32 {
				pick.Href += "&quantity=" + url.QueryEscape(format.Typed(pick.Amount))
			}
		}
		out.Picks = append(out.Picks, pick)
	}
	return out
}

func calculatorPlan(p *billing.PlanCover, currency string, mayChange bool) views.CalculatorPlan {
	money := func(n int64) models.Money { return models.Money{Amount: n, Currency: currency} }
	out := views.CalculatorPlan{
		Name: p.Plan.Name, Current: p.Current, Covered: p.Covered, Price: money(p.Price - p.Packs.Price), Packs: money(p.Packs.Price), Total: money(p.Price),
	}
	if !p.Current && mayChange {
		out.Href = "/plan/change?" + url.Values{"plan": {p.Plan.Code}}.Encode()
	}
	return out
}
