package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// topUpForm is what somebody chose for automatic top-up, as they typed it.
type topUpForm struct {
	threshold, offer, quantity, limit, attempt string
	sales                                      bool
	typed                                      bool // something was
	errors                                     views.FieldErrors
}

func topUpFields() []string { return []string{"threshold", "offer", "quantity", "limit", "card"} }

func typedTopUp(get func(string) string) topUpForm {
	f := topUpForm{
		threshold: get("threshold"), offer: get("offer"), quantity: get("quantity"), limit: get("limit"), attempt: get("attempt"), sales: get("sales") != "",
	}
	f.typed = f.threshold != "" || f.offer != "" || f.limit != ""
	return f
}

// values carries the choices from page to page.
func (f *topUpForm) values() url.Values {
	out := url.Values{}
	for name, v := range map[string]string{"threshold": f.threshold, "offer": f.offer, "quantity": f.quantity, "limit": f.limit} {
		if v != "" {
			out.Set(name, v)
		}
	}
	if f.sales {
		out.Set("sales", "1")
	}
	return out
}

// read turns what was typed into a wish, and notes what cannot be read.
func (f *topUpForm) read(a *billing.Account, by billing.Actor) billing.TopUpInput {
	in := billing.TopUpInput{Account: a, Offer: f.offer, ForSales: f.sales, By: by}
	wrong := func(field, text string) { f.errors = append(f.errors, views.FieldError{Field: field, Text: text}) }
	var err error
	if in.Threshold, err = typedCredits(f.threshold); err != nil {
		wrong("threshold", amountText(err))
	}
	if f.quantity != "" {
		if in.Quantity, err = typedCredits(f.quantity); err != nil {
			wrong("quantity", amountText(err))
		}
	}
	if in.Limit, err = typedMoney(f.limit, a.Agency.Currency); err != nil {
		wrong("limit", "Enter an amount, such as 200.")
	}
	return in
}

// preview is what the choices come to, as far as they can be read; nil where they
// cannot.
func (f *topUpForm) preview(t *billing.TopUpView, currency string) *views.TopUpPreview {
	below, err := typedCredits(f.threshold)
	if err != nil {
		return nil
	}
	var quantity models.Credits
	if f.quantity != "" {
		if quantity, err = typedCredits(f.quantity); err != nil {
			return nil
		}
	}
	pace, err := t.PaceOf(below, f.offer, quantity)
	if err != nil {
		return nil // the form says what is wrong once it is sent
	}
	out := &views.TopUpPreview{Pace: topUpPace(pace)}
	if limit, err := typedMoney(f.limit, currency); err == nil {
		out.Limit = limit
	}
	return out
}

func topUpStateOf(t *models.TopUp) views.TopUpState {
	switch {
	case t.State == models.TopUpOn && t.Declines > 0:
		return views.TopUpFailing
	case t.State == models.TopUpOn:
		return views.TopUpOn
	case t.State == models.TopUpPaused && t.Reason == models.TopUpRemoved:
		return views.TopUpNoCard
	case t.State == models.TopUpPaused && t.Reason.OfCard():
		return views.TopUpFailed
	case t.State == models.TopUpPaused && t.Reason == models.TopUpLimit:
		return views.TopUpLimit
	case t.State == models.TopUpPaused:
		return views.TopUpStopped
	}
	return views.TopUpOff
}

func topUpPace(p billing.TopUpPace) views.TopUpPace {
	return views.TopUpPace{Known: p.Known, Times: p.Times, Cost: p.Cost, Days: p.Days}
}

func topUpChoice(o *billing.TopUpOffer) views.TopUpChoice {
	return views.TopUpChoice{ID: o.ID, Title: o.Title, Credits: o.Credits, Price: o.Price, OneByOne: o.Limit > 0}
}

// automatic is the page of automatic top-up.
func (a *app) automatic(c echo.Context) error {
	return a.showTopUp(c, http.StatusOK, typedTopUp(c.QueryParam))
}

func (a *app) showTopUp(c echo.Context, code int, f topUpForm) error { //nolint:gocritic // a form is sent once per page
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	t, err := a.Billing.TopUp(ctx, account)
	if err != nil {
		return err
	}
	out := views.TopUp{
		State: topUpStateOf(&t.TopUp), Note: t.Note, Until: t.DueAt, Closed: t.Closed, Mine: mayBuy(v), Below: t.Threshold,
		Spent: models.Money{Amount: t.Spent, Currency: t.Currency}, Limit: t.Limit(), Ends: t.MonthEnds, Sales: t.ForSales, Flying: t.InFlight, Retry: t.Retryable,
		Errors: f.errors, Card: t.CardName(), Attempt: cmp.Or(f.attempt, billing.NewSecret()), Symbol: format.Symbol(account.Agency.Currency),
	}
	if account.SubAccount != nil {
		out.Seller = account.Agency.Name
	} else {
		allowed, err := a.Billing.ClientTopUps(ctx, account.Agency.ID)
		if err != nil {
			return err
		}
		out.Clients, out.Sells = &views.TopUpClients{Allowed: allowed}, true
	}
	running := a.agreedOffer(&t)
	out.Running = topUpChoice(&running)
	if !f.typed && t.State != models.TopUpOff {
		f.threshold, f.offer, f.limit, f.sales = format.Typed(t.Threshold), t.Chosen, t.Limit().Decimal(), t.ForSales
		if t.Quantity > 0 {
			f.quantity = format.Typed(t.Quantity)
		}
	}
	out.Threshold, out.Offer, out.Quantity, out.Typed, out.ForSales = f.threshold, f.offer, f.quantity, f.limit, f.sales
	for i := range t.Offers {
		o := &t.Offers[i]
		out.Offers = append(out.Offers, topUpChoice(o))
		out.ByAmount = out.ByAmount || o.Pack.Kind == models.PackQuantity
	}
	if len(t.Offers) == 0 && out.Closed == "" {
		out.Closed = "Nothing is on sale that automatic top-up could buy."
	}
	if t.State != models.TopUpOff {
		out.Pace = topUpPace(t.Pace(t.Threshold, running))
	}
	if f.typed {
		out.Preview = f.preview(&t, account.Agency.Currency)
	}
	if out.Frame, err = a.frame(c, "Automatic top-up", "buy", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.TopUpPage(out))
}

// agreedOffer is what automatic top-up buys, at the price that was agreed to.
func (a *app) agreedOffer(t *billing.TopUpView) billing.TopUpOffer {
	out := billing.TopUpOffer{Credits: t.Quantity, Price: models.Money{Amount: t.Price, Currency: t.Currency}}
	if o := t.Offer(t.Chosen); o != nil {
		out.ID, out.Title, out.Credits = o.ID, o.Title, cmp.Or(t.Quantity, o.Credits)
	}
	return out
}

// setTopUp looks at the choices and leads on: to Stripe for a card, or to the page
// that confirms.
func (a *app) setTopUp(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	f := typedTopUp(c.FormValue)
	if c.FormValue("preview") != "" {
		return a.showTopUp(c, http.StatusOK, f)
	}
	change := c.FormValue("do") == "card"
	t, err := a.Billing.TopUp(ctx, account)
	if err != nil {
		return err
	}
	if !change {
		in := f.read(account, v.viewer.Actor())
		if len(f.errors) == 0 {
			_, err = a.Billing.PlanTopUp(ctx, in)
		}
		if err != nil {
			wrong, ok := wrongFields(err, topUpFields()...)
			if !ok {
				return a.topUpFailed(c, err)
			}
			f.errors = wrong
		}
		if len(f.errors) > 0 {
			return a.showTopUp(c, http.StatusUnprocessableEntity, f)
		}
		if t.HasCard() {
			return seeOther(c, billing.TopUpPath+"/confirm?"+f.values().Encode())
		}
	}
	keep := f.values()
	if change {
		keep = url.Values{}
		if t.State == models.TopUpOff {
			keep = f.values()
		}
	}
	link, err := a.Billing.AddCard(ctx, billing.SaveCardInput{Account: account, Email: v.viewer.User.Email, Keep: keep, Key: cmp.Or(f.attempt, billing.NewSecret())})
	if err != nil {
		return a.topUpFailed(c, err)
	}
	return seeOther(c, link)
}

// topUpCard is where somebody comes back to with a card.
func (a *app) topUpCard(c echo.Context) error {
	v := visitOf(c)
	if v.viewer.Assisting {
		return seeOther(c, billing.TopUpPath)
	}
	_, err := a.Billing.TakeCard(c.Request().Context(), v.viewer.Account(), c.QueryParam("s"), v.viewer.Actor())
	if err != nil {
		if problem.Is(err, "not_found") {
			return err
		}
		return a.topUpFailed(c, err)
	}
	f := typedTopUp(c.QueryParam)
	if f.typed {
		return seeOther(c, billing.TopUpPath+"/confirm?"+f.values().Encode())
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Card saved."}); err != nil {
		return err
	}
	return seeOther(c, billing.TopUpPath)
}

func (a *app) confirmTopUpForm(c echo.Context) error {
	return a.showTopUpConfirm(c, http.StatusOK, typedTopUp(c.QueryParam))
}

// showTopUpConfirm says what turning it on does.
func (a *app) showTopUpConfirm(c echo.Context, code int, f topUpForm) error { //nolint:gocritic // as above
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	errs := f.errors
	f.errors = nil
	in := f.read(account, v.viewer.Actor())
	t, err := a.Billing.TopUp(ctx, account)
	if err != nil {
		return err
	}
	plan, err := a.Billing.PlanTopUp(ctx, in)
	if len(f.errors) > 0 || err != nil || !t.HasCard() {
		if wrong, ok := wrongFields(err, topUpFields()...); ok {
			f.errors = wrong
		} else if p := problem.Of(err); err != nil && p == nil && len(f.errors) == 0 {
			return err
		}
		if !t.HasCard() && len(f.errors) == 0 {
			f.errors = views.FieldErrors{{Field: "card", Text: "Add a card first."}}
		}
		return a.showTopUp(c, http.StatusUnprocessableEntity, f)
	}
	out := views.TopUpConfirm{
		Errors: errs, Change: t.State != models.TopUpOff, Choice: topUpChoice(&plan.Offer), Below: in.Threshold, Left: plan.Left, Limit: in.Limit, Card: t.CardName(),
		Sales: f.sales, Now: plan.Now, Credits: plan.Credits, Price: plan.Price, Short: plan.Short, Pace: topUpPace(t.Pace(in.Threshold, plan.Offer)),
		Back: billing.TopUpPath + "?" + f.values().Encode(),
	}
	if account.SubAccount != nil {
		out.Seller = account.Agency.Name
	}
	for _, name := range []string{"threshold", "offer", "quantity", "limit", "sales"} {
		if v := f.values().Get(name); v != "" {
			out.Fields = append(out.Fields, views.Hidden{Name: name, Value: v})
		}
	}
	out.Fields = append(out.Fields, views.Hidden{Name: "seen", Value: plan.Offer.Price.Decimal()}, views.Hidden{Name: "holds", Value: plan.Offer.Holds().String()})
	title := "Turn on automatic top-up"
	if out.Change {
		title = "Change automatic top-up"
	}
	if out.Frame, err = a.frame(c, title, "buy", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.TopUpConfirmPage(out))
}

// confirmTopUp turns it on.
func (a *app) confirmTopUp(c echo.Context) error {
	v := visitOf(c)
	f := typedTopUp(c.FormValue)
	in := f.read(v.viewer.Account(), v.viewer.Actor())
	if len(f.errors) > 0 {
		return a.showTopUp(c, http.StatusUnprocessableEntity, f)
	}
	if seen, err := models.ParseMoney(c.FormValue("seen"), in.Limit.Currency); err == nil {
		in.Seen = seen.Amount
	}
	if holds, err := models.ParseCredits(c.FormValue("holds")); err == nil {
		in.SeenHolds = holds
	}
	t, bought, err := a.Billing.TurnTopUpOn(c.Request().Context(), in)
	if err != nil {
		if wrong, ok := wrongFields(err, topUpFields()...); ok {
			f.errors = wrong
			if problem.Is(err, "offer_changed") {
				return a.showTopUpConfirm(c, statusOf(err), f)
			}
			return a.showTopUp(c, statusOf(err), f)
		}
		return a.topUpFailed(c, err)
	}
	flash := views.Flash{Tone: views.ToneOK, Text: "Automatic top-up is on."}
	switch {
	case bought.CreditedAt > 0:
		flash.Text += " " + format.CreditsWord(bought.Credits) + " bought for " + format.Money(bought.Total()) + "."
	case bought.Status.Unpaid():
		flash = views.Flash{Tone: views.ToneBad, Text: cmp.Or(bought.StatusNote, t.Note, "The payment did not go through.")}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, billing.TopUpPath)
}

func (a *app) topUpOff(c echo.Context) error {
	v := visitOf(c)
	if err := a.Billing.TurnTopUpOff(c.Request().Context(), v.viewer.Account(), v.viewer.Actor()); err != nil {
		return err
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Automatic top-up is off. AI pauses when you run out."}); err != nil {
		return err
	}
	return seeOther(c, billing.TopUpPath)
}

func (a *app) topUpRetry(c echo.Context) error {
	v := visitOf(c)
	p, err := a.Billing.RetryTopUp(c.Request().Context(), v.viewer.Account(), v.viewer.Actor())
	if err != nil {
		return a.topUpFailed(c, err)
	}
	flash := views.Flash{Tone: views.ToneBad, Text: cmp.Or(p.StatusNote, "The payment did not go through.")}
	if p.CreditedAt > 0 {
		flash = views.Flash{Tone: views.ToneOK, Text: format.CreditsWord(p.Credits) + " bought for " + format.Money(p.Total()) + ". Automatic top-up goes on."}
	} else if p.ID.IsZero() {
		flash = views.Flash{Tone: views.ToneInfo, Text: "Nothing had to be bought. Automatic top-up goes on."}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, billing.TopUpPath)
}

// topUpPay leads to a checkout at which the owner pays what the card would not.
func (a *app) topUpPay(c echo.Context) error {
	v := visitOf(c)
	p, err := a.Billing.PayTopUp(c.Request().Context(), v.viewer.Account(), "web:"+cmp.Or(c.FormValue("attempt"), billing.NewSecret()), v.viewer.User.Email, v.viewer.Actor())
	if err != nil {
		return a.topUpFailed(c, err)
	}
	if p.Status != models.PurchaseOpen || p.CheckoutURL == "" {
		return seeOther(c, "/buy/return?"+url.Values{"s": {p.CheckoutSession}}.Encode())
	}
	return seeOther(c, p.CheckoutURL)
}

// allowTopUps lets clients use automatic top-up, or no longer.
func (a *app) allowTopUps(c echo.Context) error {
	v := visitOf(c)
	allow := c.FormValue("allow") == "yes"
	if err := a.Billing.AllowClientTopUps(c.Request().Context(), v.viewer.Agency.ID, allow, v.viewer.Actor()); err != nil {
		return err
	}
	text := "Clients may not use automatic top-up any more. What was on is paused before it buys again."
	if allow {
		text = "Clients may turn automatic top-up on in their portal."
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: text}); err != nil {
		return err
	}
	return seeOther(c, billing.TopUpPath)
}

// topUpFailed shows the page with why something did not work.
func (a *app) topUpFailed(c echo.Context, err error) error {
	p := problem.Of(err)
	if p == nil {
		return err
	}
	if p.Code == "payment_unavailable" {
		a.sectionFailed(c, "automatic top-up", errors.Unwrap(err))
	}
	if err := a.say(c, views.Flash{Tone: views.ToneBad, Text: p.Message}); err != nil {
		return err
	}
	return seeOther(c, billing.TopUpPath)
}

// topUpNotice is the banner of automatic top-up that does not work, and its state
// for the balance's card; nil while there is nothing to say.
func (a *app) topUpNotice(c echo.Context, account *billing.Account, b *views.Balance) (*views.Notice, views.TopUpState) {
	t, err := a.Billing.TopUpState(c.Request().Context(), account)
	if err != nil {
		a.sectionFailed(c, "automatic top-up", err)
		return nil, views.TopUpOff
	}
	state := topUpStateOf(&t)
	if account.SubAccount == nil || account.Agency.ClientTopUp || state != views.TopUpOff {
		b.TopUp = views.TopUpFact(state, t.Threshold)
	}
	if !mayBuy(visitOf(c)) {
		return nil, state
	}
	return views.TopUpNotice(state, t.Note, t.DueAt, views.Frame{Now: a.Billing.Now(), Zone: billing.Zone(account.Agency.TimeZone)}), state
}
