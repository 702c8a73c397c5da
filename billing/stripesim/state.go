package stripesim

import (
	"encoding/json"
	"fmt"
	"strings"
)

// row is an object and whose it is: "" is the platform.
type row[T any] struct {
	ID      string `json:"id"`
	Account string `json:"account,omitempty"`
	Object  *T     `json:"object"`
}

// table holds the rows of one kind in the order they were made.
type table[T any] struct {
	kind string
	Rows []*row[T]
	byID map[string]*row[T]
}

func newTable[T any](kind string) *table[T] {
	return &table[T]{kind: kind, byID: map[string]*row[T]{}}
}

// get finds an object of one account; nil when it has none of that id.
func (t *table[T]) get(account, id string) *T {
	if r := t.byID[id]; r != nil && r.Account == account {
		return r.Object
	}
	return nil
}

// find finds a row of any account.
func (t *table[T]) find(id string) *row[T] { return t.byID[id] }

// put adds a row, or replaces the one of the same id where it stands.
func (t *table[T]) put(r *row[T]) {
	if old := t.byID[r.ID]; old != nil {
		*old = *r
		return
	}
	t.byID[r.ID] = r
	t.Rows = append(t.Rows, r)
}

// drop removes the rows that fail the test.
func (t *table[T]) drop(keep func(*T) bool) {
	kept := t.Rows[:0]
	for _, r := range t.Rows {
		if keep(r.Object) {
			kept = append(kept, r)
		} else {
			delete(t.byID, r.ID)
		}
	}
	clear(t.Rows[len(kept):])
	t.Rows = kept
}

// load puts a row read from the journal.
func (t *table[T]) load(raw json.RawMessage) error {
	var r row[T]
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("row of %s: %w", t.kind, err)
	}
	if r.ID == "" || r.Object == nil {
		return fmt.Errorf("row of %s without id or object", t.kind)
	}
	t.put(&r)
	return nil
}

func (t *table[T]) each(f func(id string)) {
	for _, r := range t.Rows {
		f(r.ID)
	}
}

func (t *table[T]) raw(id string) (json.RawMessage, error) {
	r := t.byID[id]
	if r == nil {
		return nil, nil // pruned since
	}
	return json.Marshal(r)
}

// journalled is a table as the journal sees it.
type journalled interface {
	load(raw json.RawMessage) error
	each(f func(id string))
	raw(id string) (json.RawMessage, error)
}

// state is everything the simulator remembers.
type state struct {
	Accounts     *table[account]
	Onboardings  *table[onboarding]
	Customers    *table[customer]
	Sessions     *table[session]
	Intents      *table[intent]
	Charges      *table[charge]
	Refunds      *table[refund]
	Disputes     *table[dispute]
	Warnings     *table[fraudWarning]
	Transactions *table[balanceTransaction]
	Events       *table[event]
	Hooks        *table[hook]
	Deliveries   *table[delivery]
	Replies      *table[reply]

	Prices        *table[planPrice]
	Subscriptions *table[subscription]
	Invoices      *table[invoice]
	Cards         *table[savedCard]
	Portals       *table[portal]

	Methods *table[savedMethod]
	Setups  *table[setupIntent]
}

func newState() *state {
	return &state{
		Accounts:     newTable[account]("account"),
		Onboardings:  newTable[onboarding]("onboarding"),
		Customers:    newTable[customer]("customer"),
		Sessions:     newTable[session]("session"),
		Intents:      newTable[intent]("intent"),
		Charges:      newTable[charge]("charge"),
		Refunds:      newTable[refund]("refund"),
		Disputes:     newTable[dispute]("dispute"),
		Warnings:     newTable[fraudWarning]("early_fraud_warning"),
		Transactions: newTable[balanceTransaction]("transaction"),
		Events:       newTable[event]("event"),
		Hooks:        newTable[hook]("hook"),
		Deliveries:   newTable[delivery]("delivery"),
		Replies:      newTable[reply]("reply"),

		Prices:        newTable[planPrice]("price"),
		Subscriptions: newTable[subscription]("subscription"),
		Invoices:      newTable[invoice]("invoice"),
		Cards:         newTable[savedCard]("card"),
		Portals:       newTable[portal]("portal"),

		Methods: newTable[savedMethod]("payment_method"),
		Setups:  newTable[setupIntent]("setup_intent"),
	}
}

func (s *state) tables() map[string]journalled {
	return map[string]journalled{
		s.Accounts.kind: s.Accounts, s.Onboardings.kind: s.Onboardings, s.Customers.kind: s.Customers,
		s.Sessions.kind: s.Sessions, s.Intents.kind: s.Intents, s.Charges.kind: s.Charges,
		s.Refunds.kind: s.Refunds, s.Transactions.kind: s.Transactions, s.Events.kind: s.Events,
		s.Disputes.kind: s.Disputes, s.Warnings.kind: s.Warnings,
		s.Hooks.kind: s.Hooks, s.Deliveries.kind: s.Deliveries, s.Replies.kind: s.Replies,
		s.Prices.kind: s.Prices, s.Subscriptions.kind: s.Subscriptions, s.Invoices.kind: s.Invoices, s.Cards.kind: s.Cards, s.Portals.kind: s.Portals,
		s.Methods.kind: s.Methods, s.Setups.kind: s.Setups,
	}
}

// byID finds an object of one account by its prefix; nil when there is none.
func (s *state) byID(account, id string) object {
	prefix, _, _ := strings.Cut(id, "_")
	switch prefix {
	case "cs":
		return found(s.Sessions.get(account, id))
	case "pi":
		return found(s.Intents.get(account, id))
	case "ch":
		return found(s.Charges.get(account, id))
	case "re":
		return found(s.Refunds.get(account, id))
	case "dp":
		return found(s.Disputes.get(account, id))
	case "txn":
		return found(s.Transactions.get(account, id))
	case "price":
		return found(s.Prices.get(account, id))
	case "sub":
		return found(s.Subscriptions.get(account, id))
	case "in":
		return found(s.Invoices.get(account, id))
	case "cus":
		return found(s.Customers.get(account, id))
	case "pm":
		return found(s.Methods.get(account, id))
	case "seti":
		return found(s.Setups.get(account, id))
	}
	return nil
}

func found[T object](o *T) object {
	if o == nil {
		return nil
	}
	return *o
}
