package stripesim

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

func accountParams() []string {
	return []string{
		"type", "country", "email", "business_type", "default_currency", "metadata[*]", "business_profile[name]", "business_profile[url]",
		"capabilities[card_payments][requested]", "capabilities[transfers][requested]", "settings[payments][statement_descriptor]",
	}
}

// createAccount is POST /v1/accounts: an account that can do nothing until its
// owner has been through the set-up page.
func createAccount(c *call) (wire, *apiError) {
	f := c.form
	made := &account{
		accountFields: accountFields{
			ID: newID("acct"), Created: seconds(c.now), Email: f.optional("email"), BusinessType: f.optional("business_type"),
			BusinessProfile: businessProfile{Name: f.optional("business_profile[name]"), URL: f.optional("business_profile[url]")},
			Capabilities:    map[string]string{}, Country: "US", DefaultCurrency: "usd", Metadata: f.metadata("metadata"),
			Type: f.oneOf("type", "standard", "express"),
		},
		Statement: f.text("settings[payments][statement_descriptor]"),
	}
	lack(made, "business_profile.url", "external_account", "tos_acceptance.date")
	if v := f.text("country"); v != "" {
		made.Country = v
	}
	if v := f.text("default_currency"); v != "" {
		made.DefaultCurrency = v
	}
	for _, name := range []string{"card_payments", "transfers"} {
		if f.truth("capabilities[" + name + "][requested]") {
			made.Capabilities[name] = "inactive"
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	c.state.Accounts.put(&row[account]{ID: made.ID, Object: made})
	c.keep(c.state.Accounts.kind, made.ID)
	return c.render(*made)
}

// addAccount makes an account that is able to take payments.
func (s *Server) addAccount(a Account) *account {
	if a.Country == "" {
		a.Country = "US"
	}
	if a.Currency == "" {
		a.Currency = "usd"
	}
	made := &account{accountFields: accountFields{
		ID: a.ID, BusinessProfile: businessProfile{Name: &a.Name}, Country: a.Country, DefaultCurrency: a.Currency,
		Created: seconds(s.clock.Now()), Metadata: map[string]string{}, Type: "standard",
	}, Statement: a.Statement}
	if a.Email != "" {
		made.Email = &a.Email
	}
	enable(made)
	s.state.Accounts.put(&row[account]{ID: a.ID, Object: made})
	s.touch(s.state.Accounts.kind, a.ID)
	return made
}

// enable makes an account able to take payments.
func enable(a *account) {
	a.ChargesEnabled, a.PayoutsEnabled, a.DetailsSubmitted = true, true, true
	a.Capabilities = map[string]string{"card_payments": "active", "transfers": "active"}
	a.Requirements = requirements{CurrentlyDue: []string{}, EventuallyDue: []string{}, PastDue: []string{}}
	if a.Statement == "" {
		a.Statement = statementOf(a.name())
	}
}

// lack makes an account unable to take payments until it has given details.
func lack(a *account, details ...string) {
	a.ChargesEnabled, a.PayoutsEnabled = false, false
	a.Capabilities = map[string]string{"card_payments": "inactive", "transfers": "inactive"}
	a.Requirements = requirements{
		CurrentlyDue: details, DisabledReason: new("requirements.past_due"), EventuallyDue: details, PastDue: details,
	}
}

// statementOf makes a name what a card statement can show: 5 to 22 plain
// characters, one letter at least.
func statementOf(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`<>\'"*`, r) {
			return -1
		}
		return r
	}, strings.ToUpper(name))
	plain = strings.TrimSpace(plain)
	if len(plain) > 22 {
		plain = strings.TrimSpace(plain[:22])
	}
	if len(plain) < 5 || !strings.ContainsFunc(plain, func(r rune) bool { return r >= 'A' && r <= 'Z' }) {
		return "STRIPE SELLER"
	}
	return plain
}

// getAccount is GET /v1/accounts/{id}, and GET /v1/account for the account the
// request is made as.
func getAccount(c *call) (wire, *apiError) {
	id := c.path("id")
	if id == "" {
		if id = c.account; id == "" {
			id = PlatformAccount
		}
	}
	a := c.connectedAccount(id)
	if a == nil || c.account != "" && c.account != id {
		return nil, noAccess(id)
	}
	return c.render(*a)
}

// connectedAccount finds an account that the platform's key may act for.
func (c *call) connectedAccount(id string) *account {
	if r := c.state.Accounts.find(id); r != nil && !r.Object.Gone {
		return r.Object
	}
	return nil
}

// noAccess is what Stripe says of an account that never existed and of one whose
// owner has disconnected the platform alike.
func noAccess(id string) *apiError {
	e := invalid("", "account_invalid",
		"The provided key does not have access to account '%s' (or that account does not exist). Application access may have been revoked.", id)
	e.Status = http.StatusForbidden
	return e
}

// listAccounts is GET /v1/accounts: the connected accounts.
func listAccounts(c *call) (wire, *apiError) {
	return page(c, c.state.Accounts, "/v1/accounts", func(a *account) bool {
		return a.ID != PlatformAccount && !a.Gone && within(c.form, a.Created)
	})
}

func linkParams() []string {
	return []string{"account", "refresh_url", "return_url", "type", "collect"}
}

// linkLife is how long an onboarding link works, in seconds.
const linkLife = 5 * 60

// createLink is POST /v1/account_links.
func createLink(c *call) (wire, *apiError) {
	f := c.form
	l := &onboarding{
		Token: newID("alnk"), Account: f.need("account"), ExpiresAt: seconds(c.now) + linkLife,
	}
	kind := f.need("type")
	refresh, back := returnURL(f, "refresh_url"), returnURL(f, "return_url")
	switch {
	case f.err != nil:
		return nil, f.err
	case kind != "account_onboarding" && kind != "account_update":
		return nil, invalid("type", "", "Invalid type: must be one of account_onboarding, account_update")
	case refresh == nil:
		return nil, missing("refresh_url")
	case back == nil:
		return nil, missing("return_url")
	case c.connectedAccount(l.Account) == nil:
		return nil, noAccess(l.Account)
	}
	l.RefreshURL, l.ReturnURL = *refresh, *back
	create(c, c.state.Onboardings, l.Token, l)
	return wire{
		"object": "account_link", "created": seconds(c.now), "expires_at": l.ExpiresAt,
		"url": c.base + "/c/onboarding/" + l.Token,
	}, nil
}

// readAccountName takes a business name that was typed.
func readAccountName(a *account, typed string) {
	if typed = strings.TrimSpace(typed); typed != "" {
		a.BusinessProfile.Name = &typed
		a.Statement = statementOf(typed)
	}
}

// changed tells the Connect endpoint of an account that is not what it was, and
// of its capabilities that are not.
func (c *call) changed(a *account, was map[string]string) {
	c.keep(c.state.Accounts.kind, a.ID)
	c.account = a.ID
	now := seconds(c.now)
	for _, name := range slices.Sorted(maps.Keys(a.Capabilities)) {
		if a.Capabilities[name] != was[name] {
			c.emit("capability.updated", capability{
				ID: name, Account: a.ID, Requested: true, RequestedAt: a.Created, Requirements: a.Requirements, Status: a.Capabilities[name],
			}, now)
		}
	}
	c.emit("account.updated", *a, now)
}

// doorAccount answers the control door with an account as the API shows it.
func (s *Server) doorAccount(w http.ResponseWriter, r *http.Request, f func(*call, url.Values) (*account, *apiError)) {
	in, e := readDoor(r)
	if e != nil {
		refuse(w, e)
		return
	}
	var out wire
	err := s.act(r.Context(), origin{base: "http://" + r.Host}, func(c *call) {
		var a *account
		if a, e = f(c, in); e == nil {
			out, e = c.render(*a)
		}
	})
	switch {
	case err != nil:
		refuse(w, broken("%v", err))
	case e != nil:
		refuse(w, e)
	default:
		tell(w, http.StatusOK, out)
	}
}

// accountID is what an account made at the door may be called.
var accountID = regexp.MustCompile(`^acct_[A-Za-z0-9_]{1,60}$`)

// doorAddAccount is POST /_sim/accounts: name; id, email, country, currency and
// statement if wanted. The account takes payments at once. One of that id that
// is there already is the answer, unchanged.
func (s *Server) doorAddAccount(w http.ResponseWriter, r *http.Request) {
	s.doorAccount(w, r, func(c *call, in url.Values) (*account, *apiError) {
		a := Account{
			ID: in.Get("id"), Name: strings.TrimSpace(in.Get("name")), Email: in.Get("email"), Country: in.Get("country"),
			Currency: strings.ToLower(in.Get("currency")), Statement: in.Get("statement"),
		}
		switch {
		case a.ID == "":
			a.ID = newID("acct")
		case !accountID.MatchString(a.ID):
			return nil, invalid("id", "", "id starts with acct_ and goes on with letters, digits and underscores.")
		}
		if known := c.state.Accounts.find(a.ID); known != nil {
			return known.Object, nil
		}
		switch {
		case a.Name == "":
			return nil, missing("name")
		case a.Currency != "" && !currencyCode.MatchString(a.Currency):
			return nil, invalid("currency", "", "currency is a code of three letters.")
		}
		return c.addAccount(a), nil
	})
}

// doorSetAccount is POST /_sim/accounts/{id}: what Stripe's own people and the
// owner do. charges_enabled and payouts_enabled are true or false; due names the
// details that Stripe asks for; disabled_reason, name and statement are texts.
func (s *Server) doorSetAccount(w http.ResponseWriter, r *http.Request) {
	s.doorAccount(w, r, func(c *call, in url.Values) (*account, *apiError) {
		a := c.connectedAccount(r.PathValue("id"))
		if a == nil || a.ID == PlatformAccount {
			return nil, notFound("account", r.PathValue("id"), "id")
		}
		next, was := *a, a.Capabilities
		next.Capabilities = maps.Clone(a.Capabilities)
		for name, set := range map[string]struct {
			flag       *bool
			capability string
		}{"charges_enabled": {&next.ChargesEnabled, "card_payments"}, "payouts_enabled": {&next.PayoutsEnabled, "transfers"}} {
			switch v := in.Get(name); v {
			case "":
			case "true", "false":
				*set.flag = v == "true"
				next.Capabilities[set.capability] = map[bool]string{true: "active", false: "inactive"}[*set.flag]
			default:
				return nil, invalid(name, "", "%s is true or false.", name)
			}
		}
		if in.Has("due") {
			due := []string{}
			for _, v := range in["due"] {
				due = append(due, strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })...)
			}
			next.Requirements.CurrentlyDue, next.Requirements.PastDue, next.Requirements.EventuallyDue = due, due, due
		}
		if in.Has("disabled_reason") {
			next.Requirements.DisabledReason = new(in.Get("disabled_reason"))
		}
		if next.ChargesEnabled {
			next.DetailsSubmitted, next.Requirements.DisabledReason = true, nil
		}
		readAccountName(&next, in.Get("name"))
		if v := in.Get("statement"); v != "" {
			next.Statement = v
		}
		*a = next
		c.changed(a, was)
		return a, nil
	})
}

// doorDeauthorize is POST /_sim/accounts/{id}/deauthorize: the owner disconnects
// the platform, which hears of it once and reaches the account no more.
func (s *Server) doorDeauthorize(w http.ResponseWriter, r *http.Request) {
	s.doorAccount(w, r, func(c *call, _ url.Values) (*account, *apiError) {
		a := c.connectedAccount(r.PathValue("id"))
		if a == nil || a.ID == PlatformAccount {
			return nil, notFound("account", r.PathValue("id"), "id")
		}
		c.account = a.ID
		c.emit("account.application.deauthorized", application{ID: connectApp, Name: c.state.Accounts.find(PlatformAccount).Object.name()}, seconds(c.now))
		a.Gone = true
		c.keep(c.state.Accounts.kind, a.ID)
		return a, nil
	})
}

// showDashboard is GET /dashboard/{account}: what the owner of an account would
// look up at Stripe.
func (s *Server) showDashboard(w http.ResponseWriter, r *http.Request) {
	type line struct{ What, When, Amount, Fee, Net string }
	view := struct {
		pageTop
		Name, ID, Statement string
		Charges, Payouts    bool
		Gone                bool
		Balance             []string
		Lines               []line
		Payments            []dashboardPayment
	}{}
	err := s.act(r.Context(), origin{}, func(c *call) {
		found := c.state.Accounts.find(r.PathValue("account"))
		if found == nil {
			return
		}
		a := found.Object
		view.pageTop = pageTop{a.name() + ": payments", cssPath}
		view.Name, view.ID, view.Statement = a.name(), a.ID, a.Statement
		view.Charges, view.Payouts, view.Gone = a.ChargesEnabled, a.PayoutsEnabled, a.Gone
		owner := a.ID
		if owner == PlatformAccount {
			owner = ""
		}
		view.Payments = c.paymentsOf(owner)
		sums := map[string]int64{}
		for _, t := range slices.Backward(c.state.Transactions.Rows) {
			if t.Account != owner {
				continue
			}
			o := t.Object
			sums[o.Currency] += o.Net
			if len(view.Lines) < 50 {
				view.Lines = append(view.Lines, line{
					map[string]string{"charge": "Payment", "refund": "Refund", "refund_failure": "Refund that failed", "adjustment": "Dispute"}[o.Type], time.Unix(o.Created, 0).UTC().Format("2 January 2006, 15:04 UTC"),
					price(o.Amount, o.Currency), price(o.Fee, o.Currency), price(o.Net, o.Currency),
				})
			}
		}
		for _, currency := range slices.Sorted(maps.Keys(sums)) {
			view.Balance = append(view.Balance, price(sums[currency], currency))
		}
	})
	switch {
	case err != nil:
		s.over(w, http.StatusInternalServerError, "Something went wrong", "The simulator could not save its state.")
	case view.ID == "":
		s.over(w, http.StatusNotFound, "No such account", "The link is wrong, or the demo was started anew since.")
	default:
		s.write(w, http.StatusOK, "dashboard", view)
	}
}
