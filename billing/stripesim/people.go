package stripesim

import (
	"maps"
	"net/http"
	"slices"
)

func customerParams() []string {
	return []string{"email", "name", "description", "phone", "metadata[*]"}
}

// createCustomer is POST /v1/customers.
func createCustomer(c *call) (wire, *apiError) {
	f := c.form
	made := &customer{
		ID: newID("cus"), Created: seconds(c.now), Description: f.optional("description"), Email: f.optional("email"),
		Metadata: f.metadata("metadata"), Name: f.optional("name"), Phone: f.optional("phone"),
	}
	if f.err != nil {
		return nil, f.err
	}
	create(c, c.state.Customers, made.ID, made)
	return c.render(*made)
}

// updateCustomer is POST /v1/customers/{id}.
func updateCustomer(c *call) (wire, *apiError) {
	f := c.form
	known := c.state.Customers.get(c.account, c.path("id"))
	if known == nil {
		return nil, notFound("customer", c.path("id"), "id")
	}
	next := *known
	for name, field := range map[string]**string{
		"email": &next.Email, "name": &next.Name, "description": &next.Description, "phone": &next.Phone,
	} {
		if f.has(name) {
			*field = f.optional(name)
		}
	}
	next.Metadata = map[string]string{}
	for k, v := range known.Metadata {
		if !f.has("metadata[" + k + "]") {
			next.Metadata[k] = v
		}
	}
	maps.Copy(next.Metadata, f.metadata("metadata"))
	if f.err != nil {
		return nil, f.err
	}
	*known = next
	c.keep(c.state.Customers.kind, known.ID)
	return c.render(*known)
}

func listCustomers(c *call) (wire, *apiError) {
	email := c.form.text("email")
	return page(c, c.state.Customers, "/v1/customers", func(cu *customer) bool {
		return (email == "" || cu.Email != nil && *cu.Email == email) && within(c.form, cu.Created)
	})
}

func accountParams() []string {
	return []string{
		"type", "country", "email", "business_type", "default_currency", "metadata[*]", "business_profile[name]", "business_profile[url]",
		"capabilities[card_payments][requested]", "capabilities[transfers][requested]",
	}
}

// createAccount is POST /v1/accounts: an account that can do nothing until its
// owner has been through the set-up page.
func createAccount(c *call) (wire, *apiError) {
	f := c.form
	made := &account{
		ID: newID("acct"), Created: seconds(c.now), Email: f.optional("email"), BusinessType: f.optional("business_type"),
		BusinessProfile: businessProfile{Name: f.optional("business_profile[name]"), URL: f.optional("business_profile[url]")},
		Capabilities:    map[string]string{}, Country: "US", DefaultCurrency: "usd", Metadata: f.metadata("metadata"),
		Type: f.oneOf("type", "standard", "express"),
		Requirements: requirements{
			CurrentlyDue: []string{"business_profile.url", "external_account", "tos_acceptance.date"}, DisabledReason: new("requirements.past_due"),
			EventuallyDue: []string{"business_profile.url", "external_account", "tos_acceptance.date"}, PastDue: []string{"external_account"},
		},
	}
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

// enable makes an account able to take payments.
func enable(a *account) {
	a.ChargesEnabled, a.PayoutsEnabled, a.DetailsSubmitted = true, true, true
	a.Capabilities = map[string]string{"card_payments": "active", "transfers": "active"}
	a.Requirements = requirements{CurrentlyDue: []string{}, EventuallyDue: []string{}, PastDue: []string{}}
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
	r := c.state.Accounts.find(id)
	if r == nil || c.account != "" && c.account != id {
		e := invalid("", "account_invalid", "The provided key does not have access to account '%s' (or that account does not exist).", id)
		e.Status = http.StatusForbidden
		return nil, e
	}
	return c.render(*r.Object)
}

// listAccounts is GET /v1/accounts: the connected accounts.
func listAccounts(c *call) (wire, *apiError) {
	return page(c, c.state.Accounts, "/v1/accounts", func(a *account) bool {
		return a.ID != PlatformAccount && within(c.form, a.Created)
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
	case c.state.Accounts.find(l.Account) == nil:
		return nil, invalid("account", "resource_missing", "No such account: '%s'", l.Account)
	}
	l.RefreshURL, l.ReturnURL = *refresh, *back
	create(c, c.state.Onboardings, l.Token, l)
	return wire{
		"object": "account_link", "created": seconds(c.now), "expires_at": l.ExpiresAt,
		"url": c.base + "/c/onboarding/" + l.Token,
	}, nil
}

// getEvent is GET /v1/events/{id}.
func getEvent(c *call) (wire, *apiError) {
	e := c.state.Events.get(c.account, c.path("id"))
	if e == nil {
		return nil, notFound("event", c.path("id"), "id")
	}
	return showEvent(e), nil
}

// listEvents is GET /v1/events: those of the last 30 days, newest first.
func listEvents(c *call) (wire, *apiError) {
	f := c.form
	kind, kinds := f.text("type"), f.list("types")
	onlyFailed := f.has("delivery_success") && !f.truth("delivery_success")
	onlyDelivered := f.truth("delivery_success")
	var all []*row[event]
	for _, r := range slices.Backward(c.state.Events.Rows) {
		e := r.Object
		if r.Account != c.account || !within(f, e.Created) || kind != "" && e.Type != kind ||
			len(kinds) > 0 && !slices.Contains(kinds, e.Type) || e.Created < seconds(c.now)-eventLife {
			continue
		}
		if reached := c.reached(e.ID); onlyFailed && reached || onlyDelivered && !reached {
			continue
		}
		all = append(all, r)
	}
	cut, more, e := cutPage(f, all, func(r *row[event]) string { return r.ID })
	data := make([]wire, 0, len(cut))
	for _, r := range cut {
		data = append(data, showEvent(r.Object))
	}
	return listOf(data, more, "/v1/events"), e
}

// reached tells whether every endpoint that should have an event has it.
func (c *call) reached(eventID string) bool {
	for _, r := range c.state.Deliveries.Rows {
		if r.Object.Event == eventID && r.Object.State != deliveryDelivered {
			return false
		}
	}
	return true
}
