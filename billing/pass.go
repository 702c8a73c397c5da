package billing

import (
	"context"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// PassInput moves unspent assigned credits from one client to another.
type PassInput struct {
	Agency   models.AgencyID
	From, To models.SubAccountID
	Credits  models.Credits
	Note     string // both clients read it
	Key      string
	By       Actor
}

// PassOn moves unspent assigned credits between two clients of an agency, with
// their kind, expiry and cost; bought ones stay where they are. The same key
// moves once. Errors: insufficient_credits, invalid_credits, same_account,
// pooled_account, sub_account_archived, not_found, idempotency_key_reused.
func (s *Service) PassOn(ctx context.Context, scope Scope, in PassInput) (ledger.Passed, error) { //nolint:gocritic // once per form
	now := s.clock.Now()
	if err := checkKey(in.Key); err != nil {
		return ledger.Passed{}, err
	}
	switch {
	case in.Credits <= 0 || in.Credits > models.MaxCharge:
		return ledger.Passed{}, problem.New(problem.Invalid, "invalid_credits", "Give an amount above 0 and up to %s credits.", mostCredits()).On("credits")
	case len(in.Note) > 500:
		return ledger.Passed{}, problem.New(problem.Invalid, "note_too_long", "A note has at most 500 bytes.").On("note")
	case in.From == in.To:
		return ledger.Passed{}, problem.New(problem.Invalid, "same_account", "Choose another client to move credits to.").On("to")
	case !scope.Covers(in.Agency):
		return ledger.Passed{}, problem.Missing("sub-account")
	}
	asked := fingerprint("pass", in.From.String(), in.To.String(), in.Credits.String(), in.Note)
	var out ledger.Passed
	err := s.once(ctx, func(tx *gorm.DB) error {
		agency, from, err := s.pair(tx, in.Agency, in.From)
		if err != nil {
			return err
		}
		_, to, err := s.pair(tx, in.Agency, in.To)
		if err != nil {
			return onTo(err)
		}
		if act, done, err := s.ledger.ActByKey(tx, in.Agency, in.Key, asked); done || err != nil {
			out = ledger.Passed{Out: act, Replayed: done}
			return err
		}
		if err := fedByHand(tx, to); err != nil {
			return onTo(err)
		}
		out, err = s.ledger.Pass(ctx, tx, ledger.PassRequest{
			Agency: in.Agency, Over: agency.WalletID, From: from.WalletID, To: to.WalletID, Credits: in.Credits, Actor: string(in.By), Note: in.Note,
			Key: in.Key, Fingerprint: asked, At: now,
		})
		if err != nil {
			return err
		}
		return s.audit(tx, in.Agency, in.By, "credits.move", from.ID.String(), in.Credits.String()+" credits to "+to.ID.String(), in.Note, now)
	})
	return out, err
}

func onTo(err error) error {
	if p := problem.Of(err); p != nil {
		return p.On("to")
	}
	return err
}

// UndoAssignment takes back what is unspent of one assignment, to the very
// credits it came from, and tells how much that was: nothing, when all was used
// or taken back already. Errors: not_found, not_undoable.
func (s *Service) UndoAssignment(ctx context.Context, scope Scope, agency models.AgencyID, act models.ActID, by Actor) (models.Credits, error) {
	now := s.clock.Now()
	if !scope.Covers(agency) {
		return 0, problem.Missing("line")
	}
	var back models.Credits
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		var of models.Act
		if err := tx.Where("agency_id = ? AND id = ?", agency, act).Take(&of).Error; err != nil {
			return missing(err, "line")
		}
		if of.Kind != "assign" {
			return problem.New(problem.Conflict, "not_undoable", "Only an assignment can be taken back from its line.")
		}
		got, err := s.ledger.Recall(ctx, tx, ledger.RecallRequest{
			Agency: agency, To: of.WalletID, Acts: []models.Act{of}, Actor: string(by), Note: of.Note, Reference: of.ID.String(), At: now,
		})
		if err != nil || got[0].Credits == 0 {
			return err
		}
		back = got[0].Credits
		return s.audit(tx, agency, by, "credits.undo", of.ID.String(), back.String()+" of "+of.Credits.String()+" credits returned", "", now)
	})
	return back, err
}
