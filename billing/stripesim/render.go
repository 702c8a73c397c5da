package stripesim

import (
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

//go:embed shapes/*.json
var shapeFiles embed.FS

// wire is an object as it leaves the server.
type wire = map[string]any

// object is something that can be shown under its shape.
type object interface {
	shape() string
	// fields are written over the shape. base is the address that links into
	// the simulator start with.
	fields(base string) any
}

func (session) shape() string            { return "checkout.session" }
func (intent) shape() string             { return "payment_intent" }
func (charge) shape() string             { return "charge" }
func (refund) shape() string             { return "refund" }
func (balanceTransaction) shape() string { return "balance_transaction" }
func (customer) shape() string           { return "customer" }
func (account) shape() string            { return "account" }
func (capability) shape() string         { return "capability" }
func (application) shape() string        { return "application" }

func (s session) fields(base string) any {
	var link *string
	if s.Status == sessionOpen {
		link = new(base + "/c/pay/" + s.ID)
	}
	s.Mode = cmp.Or(s.Mode, "payment") // of an older journal
	s.PaymentMethodCollection = cmp.Or(s.PaymentMethodCollection, "if_required")
	return struct {
		sessionFields
		URL *string `json:"url"`
	}{s.sessionFields, link}
}

func (c charge) fields(base string) any {
	return struct {
		charge
		ReceiptURL string `json:"receipt_url"`
	}{c, base + "/receipts/" + c.ID}
}

func (p intent) fields(string) any             { return p.intentFields }
func (r refund) fields(string) any             { return r }
func (b balanceTransaction) fields(string) any { return b }
func (c customer) fields(string) any           { return c }
func (c capability) fields(string) any         { return c }
func (a application) fields(string) any        { return a }

func (a account) fields(string) any {
	return struct {
		accountFields
		Settings wire `json:"settings"`
	}{a.accountFields, wire{
		"branding":  wire{"icon": nil, "logo": nil, "primary_color": nil, "secondary_color": nil},
		"dashboard": wire{"display_name": orNull(a.name()), "timezone": "Etc/UTC"},
		"payments":  wire{"statement_descriptor": orNull(a.Statement), "statement_descriptor_kana": nil, "statement_descriptor_kanji": nil},
		"payouts":   wire{"debit_negative_balances": true, "statement_descriptor": nil},
	}}
}

// render lays an object's fields over its shape.
func render(o object, base string) (wire, error) {
	shape, err := shapeFiles.ReadFile("shapes/" + o.shape() + ".json")
	if err != nil {
		return nil, fmt.Errorf("shape of %s: %w", o.shape(), err)
	}
	fields, err := json.Marshal(o.fields(base))
	if err != nil {
		return nil, fmt.Errorf("fields of %s: %w", o.shape(), err)
	}
	var out wire
	if err := errors.Join(json.Unmarshal(shape, &out), json.Unmarshal(fields, &out)); err != nil {
		return nil, fmt.Errorf("render %s: %w", o.shape(), err)
	}
	return out, nil
}

// render shows an object with the parts that the request asked to expand.
func (c *call) render(o object) (wire, *apiError) {
	out, err := render(o, c.base)
	if err != nil {
		return nil, broken("%v", err)
	}
	for _, path := range c.form.list("expand") {
		if strings.Count(path, ".") > 3 {
			return nil, invalid("expand", "", "You cannot expand more than 4 levels of a property (%s).", path)
		}
		if e := c.expand(out, strings.Split(path, "."), path); e != nil {
			return nil, e
		}
	}
	return out, c.form.err
}

// expand puts the object in the place of its id, along a path of fields.
func (c *call) expand(in wire, path []string, whole string) *apiError {
	if len(path) == 0 {
		return nil
	}
	refused := invalid("expand", "", "This property cannot be expanded (%s).", whole)
	id, _ := in["id"].(string)
	switch in["object"] {
	case "list":
		elements, ok := in["data"].([]wire)
		if path[0] != "data" || !ok {
			return refused
		}
		for _, e := range elements {
			if err := c.expand(e, path[1:], whole); err != nil {
				return err
			}
		}
		return nil
	case "checkout.session":
		if path[0] == "line_items" {
			s := c.state.Sessions.get(c.account, id)
			in["line_items"] = listOf(itemsOf(s), false, "/v1/checkout/sessions/"+id+"/line_items")
			return nil
		}
	case "charge":
		if path[0] == "refunds" {
			list, err := c.refundsOf(id)
			in["refunds"] = list
			return err
		}
	}
	switch v := in[path[0]].(type) {
	case nil:
		if _, ok := in[path[0]]; !ok {
			return refused
		}
		return nil
	case wire:
		return c.expand(v, path[1:], whole)
	case string:
		o := c.state.byID(c.account, v)
		if o == nil || path[0] == "id" {
			return refused
		}
		inner, err := render(o, c.base)
		if err != nil {
			return broken("%v", err)
		}
		in[path[0]] = inner
		return c.expand(inner, path[1:], whole)
	default:
		return refused
	}
}

// itemsOf are the line items of a session in Stripe's form.
func itemsOf(s *session) []wire {
	out := make([]wire, 0, len(s.Items))
	for _, it := range s.Items {
		net, tax := it.UnitAmount*it.Quantity, int64(0)
		if s.AutomaticTax.Enabled {
			tax = taxOn(net)
		}
		out = append(out, wire{
			"id": it.ID, "object": "item", "amount_discount": 0, "amount_subtotal": net, "amount_tax": tax,
			"amount_total": net + tax, "currency": it.Currency, "description": it.Name, "quantity": it.Quantity,
			"price": wire{
				"id": it.Price, "object": "price", "active": false, "billing_scheme": "per_unit", "created": s.Created,
				"currency": it.Currency, "custom_unit_amount": nil, "livemode": false, "lookup_key": nil,
				"metadata": wire{}, "nickname": nil, "product": it.Product, "recurring": nil,
				"tax_behavior": cmp.Or(it.TaxBehavior, "unspecified"), "tiers_mode": nil, "transform_quantity": nil, "type": "one_time",
				"unit_amount": it.UnitAmount,
			},
		})
	}
	return out
}

func listOf(data []wire, more bool, url string) wire {
	if data == nil {
		data = []wire{}
	}
	return wire{"object": "list", "data": data, "has_more": more, "url": url}
}

// page shows one page of rows, newest first, as limit, starting_after,
// ending_before and created ask for it.
func page[T object](c *call, t *table[T], url string, keep func(*T) bool) (wire, *apiError) {
	var all []*row[T]
	for _, r := range slices.Backward(t.Rows) {
		if r.Account == c.account && keep(r.Object) {
			all = append(all, r)
		}
	}
	cut, more, e := cutPage(c.form, all, func(r *row[T]) string { return r.ID })
	if e != nil {
		return nil, e
	}
	data := make([]wire, 0, len(cut))
	for _, r := range cut {
		w, err := render(*r.Object, c.base)
		if err != nil {
			return nil, broken("%v", err)
		}
		data = append(data, w)
	}
	out := listOf(data, more, url)
	for _, path := range c.form.list("expand") {
		if e := c.expand(out, strings.Split(path, "."), path); e != nil {
			return nil, e
		}
	}
	return out, c.form.err
}

// cutPage takes the page that limit and the cursors ask for out of a list that
// is newest first.
func cutPage[R any](f *form, all []R, id func(R) string) ([]R, bool, *apiError) {
	limit, ok := f.integer("limit")
	if !ok {
		limit = 10
	}
	if limit < 1 || limit > 100 {
		return nil, false, invalid("limit", "parameter_invalid_integer", "limit must be between 1 and 100.")
	}
	after, before := f.text("starting_after"), f.text("ending_before")
	if f.err != nil {
		return nil, false, f.err
	}
	find := func(param, want string) (int, *apiError) {
		i := slices.IndexFunc(all, func(r R) bool { return id(r) == want })
		if i < 0 {
			return 0, invalid(param, "resource_missing", "No such object: '%s'", want)
		}
		return i, nil
	}
	n := int(limit)
	switch {
	case after != "":
		i, e := find("starting_after", after)
		if e != nil {
			return nil, false, e
		}
		all = all[i+1:]
	case before != "":
		i, e := find("ending_before", before)
		if e != nil {
			return nil, false, e
		}
		from := max(0, i-n) // the page just before the cursor
		return all[from:i], from > 0, nil
	}
	return all[:min(n, len(all))], len(all) > n, nil
}

// within tells whether an instant in seconds passes created, created[gte] and
// so on.
func within(f *form, created int64) bool {
	pass := true
	for name, ok := range map[string]func(int64) bool{
		"created":      func(v int64) bool { return created == v },
		"created[gt]":  func(v int64) bool { return created > v },
		"created[gte]": func(v int64) bool { return created >= v },
		"created[lt]":  func(v int64) bool { return created < v },
		"created[lte]": func(v int64) bool { return created <= v },
	} {
		if v, given := f.integer(name); given && !ok(v) {
			pass = false
		}
	}
	return pass
}
