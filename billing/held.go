package billing

import (
	"context"
	"sync"

	"refill/billing/problem"
	"refill/models"
)

// recentHolds is how many holds the desk remembers at least.
const recentHolds = 1 << 14

// holdDesk remembers what never changes of the holds this process made, so that
// ending one asks the database nothing before the batch that ends it. It keeps
// the newest: those before them are dropped together, and read when asked for.
type holdDesk struct {
	mu            sync.Mutex
	newest, older map[models.HoldID]heldFor
}

// heldFor is what a hold stands for.
type heldFor struct {
	agency  models.AgencyID
	wallet  models.WalletID
	action  string
	model   string
	credits models.Credits
}

func heldAs(h *models.Hold) heldFor {
	return heldFor{h.AgencyID, h.WalletID, h.Action, h.Model, h.Credits}
}

func newHoldDesk() *holdDesk { return &holdDesk{newest: map[models.HoldID]heldFor{}} }

func (d *holdDesk) put(h *models.Hold) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.newest) == recentHolds {
		d.newest, d.older = make(map[models.HoldID]heldFor, recentHolds), d.newest
	}
	d.newest[h.ID] = heldAs(h)
}

func (d *holdDesk) get(id models.HoldID) (heldFor, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, ok := d.newest[id]
	if !ok {
		h, ok = d.older[id]
	}
	return h, ok
}

// heldIn finds what a hold of an agency stands for, and its account. Errors:
// not_found.
func (s *Service) heldIn(ctx context.Context, scope Scope, agency models.AgencyID, id models.HoldID) (heldFor, *Account, error) {
	if !scope.Covers(agency) {
		return heldFor{}, nil, problem.Missing("hold")
	}
	held, ok := s.holds.get(id)
	if !ok {
		read, err := s.ledger.HoldByID(ctx, agency, id)
		if err != nil {
			return heldFor{}, nil, err
		}
		held = heldAs(&read.Hold)
	}
	if held.agency != agency {
		return heldFor{}, nil, problem.Missing("hold")
	}
	account, err := s.Find(ctx, scope, held.wallet.String())
	return held, account, err
}
