package stripesim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"refill/models"
)

//go:embed pages
var pageFiles embed.FS

//nolint:gochecknoglobals // parsed once from embedded files, never changed
var (
	templates = template.Must(template.ParseFS(pageFiles, "pages/*.html"))
	css       = mustRead("pages/page.css")
	cssPath   = "/assets/page.css?v=" + hexSum(css)
)

func mustRead(name string) []byte {
	b, err := pageFiles.ReadFile(name)
	if err != nil {
		panic(err) // the file is compiled in
	}
	return b
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

func showCSS(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Content-Security-Policy", nothing)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(css) // a client that left sees nothing
}

// pageTop is what every page has.
type pageTop struct {
	Title string
	CSS   string
}

// write shows a page. formTargets are the places, besides this server, that
// its form may end up at.
func (s *Server) write(w http.ResponseWriter, status int, name string, view any, formTargets ...string) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, view); err != nil {
		s.log.Error("payment simulator could not make a page", slog.String("page", name), slog.Any("error", err))
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action "+
		strings.Join(append([]string{"'self'"}, formTargets...), " "))
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // a client that left sees nothing
}

// overView is a page that ends a way.
type overView struct {
	pageTop
	Text     string
	Back     string
	BackText string
}

func (s *Server) over(w http.ResponseWriter, status int, title, text string) {
	s.write(w, status, "over", overView{pageTop: pageTop{title, cssPath}, Text: text})
}

// payView is the payment page.
type payView struct {
	pageTop
	ID          string
	Merchant    string
	Total       string
	Items       []payItem
	Methods     []payMethod
	Method      string
	Card        string
	Expiry      string
	CVC         string
	Name        string
	Account     string
	Email       string // known beforehand
	TypedEmail  string
	CancelURL   string
	Error       string
	Wrong       map[string]string // field → what is wrong with it
	Button      string
	Unpaid      bool // a trial: nothing is paid now
	Saves       bool // a card is saved, and nothing is paid
	TestCards   []testCard
	BankPays    string
	BankBounces string
}

type payItem struct {
	Name        string
	Description string
	Quantity    int64
	Amount      string
}

type payMethod struct {
	Value string
	Name  string
	Hint  string
}

// payPage is the page of a session as it stands.
func (c *call) payPage(s *session) payView {
	v := payView{
		pageTop: pageTop{"Pay " + price(s.AmountTotal, s.Currency) + " to " + c.merchant(), cssPath},
		ID:      s.ID, Merchant: c.merchant(), Total: price(s.AmountTotal, s.Currency),
		Card: "4242 4242 4242 4242", Expiry: "12 / 34", CVC: "123", Name: "Demo Buyer", Account: bankPays,
		TestCards: testCards(), BankPays: bankPays, BankBounces: bankBounces,
	}
	for _, it := range s.Items {
		line := payItem{Name: it.Name, Quantity: it.Quantity, Amount: price(it.UnitAmount*it.Quantity, it.Currency)}
		if it.Description != nil {
			line.Description = *it.Description
		}
		v.Items = append(v.Items, line)
	}
	v.Button = "Pay " + v.Total
	if s.Plan != nil {
		p := c.state.Prices.get(c.account, s.Plan.Price)
		v.Total, v.Button = p.rhythm(), "Subscribe for "+p.rhythm()
		v.Title = "Subscribe to " + c.merchant()
		if days := s.Plan.TrialDays; days > 0 {
			v.Total = strconv.FormatInt(days, 10) + " days free, then " + p.rhythm()
			v.Button, v.Unpaid = "Start the trial", true
			if s.PaymentMethodCollection == "if_required" {
				v.Methods = append(v.Methods, payMethod{"none", "No card for now", "the trial needs none"})
			}
		}
	}
	if s.Setup != nil {
		v.Title, v.Total, v.Button, v.Saves = "Save a card for "+c.merchant(), "Nothing is charged now", "Save this card", true
	}
	for _, kind := range s.PaymentMethodTypes {
		switch methodKind(kind) {
		case payNone:
		case payCard:
			v.Methods = append(v.Methods, payMethod{"card", "Card", "a test card; one is filled in"})
		case payPaypal:
			v.Methods = append(v.Methods, payMethod{"paypal", "PayPal (demo)", "pays at once"})
		case payBankBill:
			v.Methods = append(v.Methods, payMethod{"pay_later", "Bank debit (pay later)", "the money arrives some days later"})
		}
	}
	v.Method = v.Methods[0].Value
	if s.CustomerEmail != nil {
		v.Email = *s.CustomerEmail
	} else if s.CustomerDetails != nil && s.CustomerDetails.Email != nil {
		v.Email = *s.CustomerDetails.Email
	}
	if s.CancelURL != nil {
		v.CancelURL = *s.CancelURL
	}
	return v
}

// shown is the outcome of a request to the payment page.
type shown struct {
	status  int
	name    string
	view    any
	targets []string
	goTo    string // when set, the buyer goes there instead
}

// nothing is the policy of an answer that shows nothing.
const nothing = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"

// lead sends the buyer on.
func lead(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", nothing)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// showSession picks the page for where a session stands.
func (c *call) showSession(s *session) shown {
	v := c.payPage(s)
	out := shown{status: http.StatusOK, name: "pay"}
	if o, ok := originOf(s.SuccessURL); ok {
		out.targets = []string{formTarget(o)}
	}
	switch s.Status {
	case sessionComplete:
		over := overView{
			pageTop: pageTop{"This payment is complete", cssPath}, Text: v.Total + " to " + v.Merchant + " went through on this page.",
			Back: s.successURL(), BackText: "Go back to " + v.Merchant,
		}
		if s.Setup != nil {
			over.Title, over.Text = "This card is saved", v.Merchant+" may charge it later."
		}
		if s.PaymentStatus == unpaid {
			over.Title, over.Text = "This payment is on its way", v.Total+" to "+v.Merchant+" is paid by bank debit, which takes some days."
		}
		return shown{status: http.StatusOK, name: "over", view: over}
	case sessionExpired:
		over := overView{
			pageTop: pageTop{"This checkout has expired", cssPath}, Text: "You were not charged. Start again from where you came.",
			Back: v.CancelURL, BackText: "Go back to " + v.Merchant,
		}
		return shown{status: http.StatusGone, name: "over", view: over}
	case sessionOpen:
	}
	if s.Setup != nil && s.Setup.Waiting != nil {
		v.Title = "Complete authentication"
		out.name = "authenticate"
	}
	if s.PaymentIntent != nil {
		p := c.state.Intents.get(c.account, *s.PaymentIntent)
		if p.Waiting != nil {
			v.Title = "Complete authentication"
			out.name = "authenticate"
		}
	}
	out.view = v
	return out
}

// formTarget is an origin as a security policy may name it: it has no syntax
// for IPv6 addresses.
func formTarget(origin string) string {
	if scheme, _, ok := strings.Cut(origin, "//["); ok {
		return scheme
	}
	return origin
}

// payWait is how long a buyer is kept for the merchant's webhook, as at Stripe.
const payWait = 10 * time.Second

// onPage acts on the session of a request and shows what f decides.
func (s *Server) onPage(w http.ResponseWriter, r *http.Request, f func(*call, *session) shown) {
	ctx, cancel := context.WithTimeout(r.Context(), payWait)
	defer cancel()
	var out shown
	missing := false
	err := s.act(ctx, origin{base: "http://" + r.Host}, func(c *call) {
		found, e := c.sessionByID(r.PathValue("id"))
		if e != nil {
			missing = true
			return
		}
		out = f(c, found)
	})
	switch {
	case err != nil:
		s.over(w, http.StatusInternalServerError, "Something went wrong", "The simulator could not save this payment. Look at its log.")
	case missing:
		s.over(w, http.StatusNotFound, "No such checkout", "The link is wrong, or the demo was started anew since.")
	case out.goTo != "":
		lead(w, r, out.goTo)
	default:
		s.write(w, out.status, out.name, out.view, out.targets...)
	}
}

func (s *Server) showPayment(w http.ResponseWriter, r *http.Request) {
	s.onPage(w, r, func(c *call, found *session) shown { return c.showSession(found) })
}

// submitPayment is the buyer's button.
func (s *Server) submitPayment(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.over(w, http.StatusBadRequest, "Something went wrong", "The form could not be read.")
		return
	}
	s.onPage(w, r, func(c *call, found *session) shown {
		if found.Status != sessionOpen {
			return c.showSession(found)
		}
		a, wrong := readAttempt(r, c.now)
		var e *apiError
		if len(wrong) == 0 {
			e = c.pay(found, a)
		}
		if len(wrong) == 0 && e == nil && found.Status == sessionComplete {
			return shown{goTo: found.successURL()}
		}
		out := c.showSession(found)
		v, ok := out.view.(payView)
		if !ok || out.name != "pay" {
			return out
		}
		v.Wrong, v.Method = wrong, r.PostFormValue("method")
		v.Card, v.Expiry, v.CVC = r.PostFormValue("card"), r.PostFormValue("expiry"), r.PostFormValue("cvc")
		v.Name, v.Account, v.TypedEmail = r.PostFormValue("name"), r.PostFormValue("account"), r.PostFormValue("email")
		out.status, out.view = http.StatusPaymentRequired, v
		switch {
		case e != nil:
			v.Error = plainDecline(e)
		default:
			out.status = http.StatusUnprocessableEntity
			v.Error = "Correct the marked fields."
		}
		out.view = v
		return out
	})
}

// plainDecline says in the buyer's words why a payment did not go through.
func plainDecline(e *apiError) string {
	switch {
	case e.DeclineCode == "test_mode_live_card":
		return "This is a demo: only the test cards listed below work."
	case e.DeclineCode == "insufficient_funds":
		return "There is not enough money on this card. Try another card."
	case e.Code == "expired_card":
		return "This card has expired. Try another card."
	case e.Code == "incorrect_cvc":
		return "The security code is wrong. Check it and try again."
	case e.Code == "processing_error":
		return "The bank could not process the payment. Try again in a moment."
	case e.Code == "payment_intent_authentication_failure", e.Code == "setup_intent_authentication_failure":
		return "Your bank could not confirm that it was you. Try again or use another card."
	case e.Type == typeCard:
		return "The card was declined. Try another card, or ask your bank."
	default:
		return e.Message
	}
}

// readAttempt reads the payment form. wrong names the fields that a browser
// would not have let through.
func readAttempt(r *http.Request, now models.Time) (attempt, map[string]string) {
	wrong := map[string]string{}
	kind, e := methodNamed(r.PostFormValue("method"))
	a := attempt{
		kind: kind, card: digits(r.PostFormValue("card")), account: digits(r.PostFormValue("account")),
		method: method{Name: strings.TrimSpace(r.PostFormValue("name")), Email: strings.TrimSpace(r.PostFormValue("email"))},
	}
	if e != nil {
		wrong["method"] = "Choose how to pay."
	}
	if kind != payCard {
		return a, wrong
	}
	if !validNumber(a.card) {
		wrong["card"] = "This is not a whole card number."
	}
	if cvc := strings.TrimSpace(r.PostFormValue("cvc")); len(cvc) < 3 || len(cvc) > 4 || !allDigits(cvc) {
		wrong["cvc"] = "Three digits, or four on some cards."
	}
	if a.method.Name == "" {
		wrong["name"] = "Write the name on the card."
	}
	month, year, ok := readExpiryDate(r.PostFormValue("expiry"))
	switch today := now.Go(); {
	case !ok:
		wrong["expiry"] = "Write month and year, such as 12 / 34."
	case year < today.Year() || year == today.Year() && month < int(today.Month()):
		wrong["expiry"] = "This date has passed."
	}
	a.method.ExpMonth, a.method.ExpYear = int64(month), int64(year)
	return a, wrong
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// readExpiryDate reads 12/34, 12 / 2034 or 1234.
func readExpiryDate(s string) (month, year int, ok bool) {
	s = strings.ReplaceAll(digits(s), "/", "")
	if !allDigits(s) || len(s) != 4 && len(s) != 6 {
		return 0, 0, false
	}
	month, _ = strconv.Atoi(s[:2]) // digits, seen above
	year, _ = strconv.Atoi(s[2:])
	if year < 100 {
		year += 2000
	}
	return month, year, month >= 1 && month <= 12
}

// submitAuthentication is the buyer's answer to the bank.
func (s *Server) submitAuthentication(w http.ResponseWriter, r *http.Request) {
	proved := r.PostFormValue("outcome") == "authenticate"
	s.onPage(w, r, func(c *call, found *session) shown {
		e := c.authenticate(found, proved)
		if e == nil {
			return shown{goTo: found.successURL()}
		}
		out := c.showSession(found)
		if v, ok := out.view.(payView); ok && e.Type == typeCard {
			v.Error = plainDecline(e)
			out.status, out.view = http.StatusPaymentRequired, v
		}
		return out
	})
}

// showReceipt is the page behind a charge's receipt_url.
func (s *Server) showReceipt(w http.ResponseWriter, r *http.Request) {
	var view any
	err := s.act(r.Context(), origin{}, func(c *call) {
		found := c.state.Charges.find(r.PathValue("id"))
		if found == nil || !found.Object.Paid {
			return
		}
		c.account = found.Account
		ch := found.Object
		v := struct {
			pageTop
			Merchant, Amount, What, When, Method, Refunded, ID string
		}{
			pageTop: pageTop{"Receipt", cssPath}, Merchant: c.merchant(), Amount: price(ch.Amount, ch.Currency),
			What: "Paid on", When: time.Unix(ch.Created, 0).UTC().Format("2 January 2006, 15:04 UTC"), ID: ch.ID,
		}
		switch d, _ := ch.PaymentMethodDetails["type"].(string); methodKind(d) {
		case payPaypal:
			v.Method = "PayPal"
		case payBankBill:
			v.Method = "Bank debit"
		case payNone:
		case payCard:
			card, _ := ch.PaymentMethodDetails["card"].(map[string]any)
			last, _ := card["last4"].(string)
			v.Method = "Card ending in " + last
		}
		if ch.AmountRefunded > 0 {
			v.Refunded = price(ch.AmountRefunded, ch.Currency)
		}
		view = v
	})
	switch {
	case err != nil:
		s.over(w, http.StatusInternalServerError, "Something went wrong", "The simulator could not save its state.")
	case view == nil:
		s.over(w, http.StatusNotFound, "No such receipt", "The link is wrong, or nothing was paid.")
	default:
		s.write(w, http.StatusOK, "receipt", view)
	}
}

// onLink acts on an onboarding link while it works.
func (s *Server) onLink(w http.ResponseWriter, r *http.Request, f func(*call, *onboarding, *account) shown) {
	var out shown
	missing := false
	err := s.act(r.Context(), origin{base: "http://" + r.Host}, func(c *call) {
		found := c.state.Onboardings.find(r.PathValue("token"))
		switch {
		case found == nil:
			missing = true
		case found.Object.Used || found.Object.ExpiresAt <= seconds(c.now):
			out.goTo = found.Object.RefreshURL
		default:
			out = f(c, found.Object, c.state.Accounts.find(found.Object.Account).Object)
		}
	})
	switch {
	case err != nil:
		s.over(w, http.StatusInternalServerError, "Something went wrong", "The simulator could not save its state.")
	case missing:
		s.over(w, http.StatusNotFound, "No such link", "The link is wrong, or the demo was started anew since.")
	case out.goTo != "":
		lead(w, r, out.goTo)
	default:
		s.write(w, out.status, out.name, out.view, out.targets...)
	}
}

func (s *Server) showOnboarding(w http.ResponseWriter, r *http.Request) {
	s.onLink(w, r, func(_ *call, l *onboarding, a *account) shown {
		name := ""
		if a.BusinessProfile.Name != nil {
			name = *a.BusinessProfile.Name
		}
		target, _ := originOf(l.ReturnURL) // checked when the link was made
		return shown{status: http.StatusOK, name: "onboarding", targets: []string{formTarget(target)}, view: struct {
			pageTop
			Name, Token string
		}{pageTop{"Set up payments", cssPath}, name, l.Token}}
	})
}

func (s *Server) submitOnboarding(w http.ResponseWriter, r *http.Request) {
	outcome, name := r.PostFormValue("outcome"), r.PostFormValue("name")
	s.onLink(w, r, func(c *call, l *onboarding, a *account) shown {
		if outcome == "finish" || outcome == "incomplete" {
			was := a.Capabilities
			readAccountName(a, name)
			if outcome == "finish" {
				enable(a)
			} else {
				lack(a, "individual.verification.document")
				a.DetailsSubmitted = true
			}
			l.Used = true
			c.keep(c.state.Onboardings.kind, l.Token)
			c.changed(a, was)
		}
		return shown{goTo: l.ReturnURL}
	})
}

// showSandbox is the front page: what this is, and what it holds.
func (s *Server) showSandbox(w http.ResponseWriter, r *http.Request) {
	type line struct{ ID, Name, Total, Status, Payment string }
	view := struct {
		pageTop
		Mode      string
		Endpoints []string
		Sessions  []line
	}{pageTop: pageTop{"Payment simulator", cssPath}}
	err := s.act(r.Context(), origin{}, func(c *call) {
		view.Mode = string(c.rule.Mode)
		for _, e := range c.endpoints {
			view.Endpoints = append(view.Endpoints, e.URL)
		}
		for _, found := range recent(c.state.Sessions, 20) {
			o := found.Object
			shown := line{o.ID, "Card for later", "", string(o.Status), string(o.PaymentStatus)}
			if len(o.Items) > 0 {
				shown.Name, shown.Total = o.Items[0].Name, price(o.AmountTotal, o.Currency)
			}
			view.Sessions = append(view.Sessions, shown)
		}
	})
	if err != nil {
		s.over(w, http.StatusInternalServerError, "Something went wrong", "The simulator could not save its state.")
		return
	}
	s.write(w, http.StatusOK, "sandbox", view)
}
