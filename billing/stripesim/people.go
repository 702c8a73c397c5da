package stripesim

import (
	"maps"
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
	missed := c.missed()
	var all []*row[event]
	for _, r := range slices.Backward(c.state.Events.Rows) {
		e := r.Object
		if r.Account != c.account || !within(f, e.Created) || kind != "" && e.Type != kind ||
			len(kinds) > 0 && !slices.Contains(kinds, e.Type) || e.Created < seconds(c.now)-eventLife {
			continue
		}
		if reached := !missed[e.ID]; onlyFailed && reached || onlyDelivered && !reached {
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

// missed are the events that not every endpoint has that should.
func (c *call) missed() map[string]bool {
	out := map[string]bool{}
	for _, r := range c.state.Deliveries.Rows {
		if r.Object.State != deliveryDelivered {
			out[r.Object.Event] = true
		}
	}
	return out
}
