package billing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// turnsShown is how many months of a standing assignment are shown.
const turnsShown = 6

// StandingInput gives a client credits every month.
type StandingInput struct {
	Agency     models.AgencyID
	SubAccount models.SubAccountID
	Credits    models.Credits
	Day        int // of the month, 1–31; a shorter month's last day
	Unused     models.Unused
	Note       string // the client reads it
	By         Actor
}

// StandingView is a client's monthly assignment and its newest turns.
type StandingView struct {
	models.StandingAssignment

	Turns []models.StandingTurn // newest first
}

// turnsOf is the month around an instant as a day of the month in a zone cuts it:
// its beginning is the newest turn due, its end the next one.
func turnsOf(day int, zone *time.Location, now models.Time) (due, next models.Time) {
	anchor := models.At(time.Date(2001, time.January, day, 0, 0, 0, 0, zone))
	_, due, next = period.Containing(anchor, zone, period.Month, now)
	return due, next
}

// SetStanding gives a client credits every month from the next such day on, in
// place of what it had every month before. Asked again for the same, nothing
// changes. Errors: not_found, invalid_credits, invalid_day, invalid_unused,
// pooled_account, sub_account_archived.
func (s *Service) SetStanding(ctx context.Context, scope Scope, in StandingInput) (models.StandingAssignment, error) { //nolint:gocritic // once per form
	now := s.clock.Now()
	var out models.StandingAssignment
	if !scope.Covers(in.Agency) {
		return out, problem.Missing("sub-account")
	}
	if err := in.check(); err != nil {
		return out, err
	}
	if err := s.takeDue(ctx, in.Agency, in.SubAccount, now); err != nil {
		return out, err
	}
	err := s.once(ctx, func(tx *gorm.DB) error {
		agency, sub, err := s.lockedPair(tx, in.Agency, in.SubAccount)
		if err == nil {
			err = fedByHand(tx, sub)
		}
		if err != nil {
			return err
		}
		old, err := standingOf(tx, in.Agency, in.SubAccount)
		if err != nil {
			return err
		}
		_, next := turnsOf(in.Day, Zone(agency.TimeZone), now)
		out = models.StandingAssignment{
			AgencyID: in.Agency, ID: models.NewID[models.StandingID](now), SubAccountID: sub.ID, Credits: in.Credits, Day: in.Day, Unused: in.Unused,
			Note: in.Note, TimeZone: agency.TimeZone, NextAt: next, CreatedBy: string(in.By), CreatedAt: now,
		}
		if old != nil && old.Credits == out.Credits && old.Day == out.Day && old.Unused == out.Unused && old.Note == out.Note && old.TimeZone == out.TimeZone {
			out = *old
			return nil
		}
		if err := putStanding(tx, &out, old, now); err != nil {
			return err
		}
		return s.audit(tx, in.Agency, in.By, "standing.set", sub.ID.String(),
			fmt.Sprintf("%s credits on day %d of every month, unused %s", in.Credits, in.Day, in.Unused), in.Note, now)
	})
	return out, err
}

// putStanding writes what a client gets every month in place of what it got. It is
// the same assignment that goes on, so that what is unused of its last turn returns;
// but what was given to stay does not, so where that ends another one begins.
func putStanding(tx *gorm.DB, st, old *models.StandingAssignment, now models.Time) error {
	if old == nil {
		return tx.Create(st).Error
	}
	if old.Unused == models.UnusedStays && st.Unused == models.UnusedReturns {
		if err := endStanding(tx, old, now); err != nil {
			return err
		}
		return tx.Create(st).Error
	}
	st.ID = old.ID
	return tx.Where("agency_id = ? AND id = ? AND ended_at = 0", st.AgencyID, st.ID).Select("*").Updates(st).Error
}

func (in *StandingInput) check() error {
	var wrong []error
	if in.Credits <= 0 || in.Credits > models.MaxCharge {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_credits", "Give an amount above 0 and up to %s credits.", mostCredits()).On("credits"))
	}
	if in.Day < 1 || in.Day > 31 {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_day", "Choose a day from 1 to 31; in a shorter month it is the last day.").On("day"))
	}
	if in.Unused != models.UnusedStays && in.Unused != models.UnusedReturns {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_unused", "Say whether unused credits stay or return.").On("unused"))
	}
	if len(in.Note) > 500 {
		wrong = append(wrong, problem.New(problem.Invalid, "note_too_long", "A note has at most 500 bytes.").On("note"))
	}
	return errors.Join(wrong...)
}

// standingOf is a client's standing assignment in force; nil for none.
func standingOf(tx *gorm.DB, agency models.AgencyID, sub models.SubAccountID) (*models.StandingAssignment, error) {
	var found []models.StandingAssignment
	if err := tx.Where("agency_id = ? AND sub_account_id = ? AND ended_at = 0", agency, sub).Limit(1).Find(&found).Error; err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func endStanding(tx *gorm.DB, st *models.StandingAssignment, now models.Time) error {
	return tx.Model(&models.StandingAssignment{}).Where("agency_id = ? AND id = ? AND ended_at = 0", st.AgencyID, st.ID).Update("ended_at", now).Error
}

// StopStanding ends a client's monthly assignment; what it gave stays. One that
// is not there stays so. Errors: not_found.
func (s *Service) StopStanding(ctx context.Context, scope Scope, agency models.AgencyID, sub models.SubAccountID, by Actor) error {
	now := s.clock.Now()
	if !scope.Covers(agency) {
		return problem.Missing("sub-account")
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		if _, _, err := s.lockedPair(tx, agency, sub); err != nil {
			return err
		}
		old, err := standingOf(tx, agency, sub)
		if err != nil || old == nil {
			return err
		}
		if err := endStanding(tx, old, now); err != nil {
			return err
		}
		return s.audit(tx, agency, by, "standing.stop", sub.String(), fmt.Sprintf("%s credits on day %d of every month", old.Credits, old.Day), "", now)
	})
}

// Standing is what a client gets every month; nil when it gets nothing.
func (s *Service) Standing(ctx context.Context, agency models.AgencyID, sub models.SubAccountID) (*StandingView, error) {
	tx := s.db.Read.WithContext(ctx)
	st, err := standingOf(tx, agency, sub)
	if err != nil || st == nil {
		return nil, err
	}
	out := &StandingView{StandingAssignment: *st}
	return out, tx.Where("agency_id = ? AND standing_id = ?", agency, st.ID).Order("due_at DESC").Limit(turnsShown).Find(&out.Turns).Error
}

// standingDue gives what is due every month. Each month has one turn, however
// often and by however many processes it is tried; months that nobody's clock
// saw are not made up for. One that fails holds up no other.
func (s *Service) standingDue(ctx context.Context, now models.Time) error {
	var errs []error
	var after models.StandingAssignment
	for ctx.Err() == nil {
		var due []models.StandingAssignment
		if err := s.db.Read.WithContext(ctx).
			Where("ended_at = 0 AND next_at <= ? AND (next_at > ? OR next_at = ? AND (agency_id > ? OR agency_id = ? AND id > ?))",
				now, after.NextAt, after.NextAt, after.AgencyID, after.AgencyID, after.ID).
			Order("next_at, agency_id, id").Limit(dueBatch).Find(&due).Error; err != nil {
			return errors.Join(append(errs, err)...)
		}
		for i := range due {
			if err := s.takeTurn(ctx, &due[i], now); err != nil {
				errs = append(errs, fmt.Errorf("standing assignment %s: %w", due[i].ID, err))
			}
		}
		if len(due) < dueBatch {
			break
		}
		after = due[len(due)-1]
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// takeDue gives what is due to one client, as it was agreed on when it fell due: the
// clock may not have come to it.
func (s *Service) takeDue(ctx context.Context, agency models.AgencyID, sub models.SubAccountID, now models.Time) error {
	st, err := standingOf(s.db.Read.WithContext(ctx), agency, sub)
	if err != nil || st == nil || st.NextAt > now {
		return err
	}
	return s.takeTurn(ctx, st, now)
}

// takeTurn gives one month's credits, or notes why not: what can't be given in
// full is not given at all.
func (s *Service) takeTurn(ctx context.Context, st *models.StandingAssignment, now models.Time) error {
	s.inPeriod(ctx, st.AgencyID, now)
	turn := models.StandingTurn{AgencyID: st.AgencyID, StandingID: st.ID, CreatedAt: now}
	err := s.db.InTx(ctx, func(tx *gorm.DB) error { return s.turn(ctx, tx, st, turn, now) })
	p := problem.Of(err)
	if p == nil {
		return err
	}
	switch p.Code {
	case "insufficient_credits":
		turn.Outcome = models.StandingShort
		turn.Available, _ = problem.FactOf[models.Credits](p, "available")
	case "pooled_account":
		turn.Outcome = models.StandingPooled
	case "sub_account_archived":
		turn.Outcome = models.StandingClosed
	case "balance_too_large", "too_many_lots":
		turn.Outcome = models.StandingFull
	default:
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error { return s.turn(ctx, tx, st, turn, now) })
}

// turn writes a month's turn and when the next one is due; without an outcome it
// gives the credits.
func (s *Service) turn(ctx context.Context, tx *gorm.DB, st *models.StandingAssignment, turn models.StandingTurn, now models.Time) error {
	var fresh []models.StandingAssignment
	if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("agency_id = ? AND id = ? AND ended_at = 0 AND next_at <= ?", st.AgencyID, st.ID, now).
		Find(&fresh).Error; err != nil || len(fresh) == 0 {
		return err // somebody else's turn was quicker, or it ended
	}
	st = &fresh[0] // it may have been changed meanwhile
	var next models.Time
	turn.DueAt, next = turnsOf(st.Day, Zone(st.TimeZone), now)
	if turn.Outcome == "" {
		if err := s.giveTurn(ctx, tx, st, &turn, now); err != nil {
			return err
		}
	}
	if err := tx.Create(&turn).Error; err != nil {
		return err
	}
	if err := s.notifySkipped(tx, st, &turn, next, now); err != nil {
		return err
	}
	return tx.Model(&models.StandingAssignment{}).Where("agency_id = ? AND id = ?", st.AgencyID, st.ID).Update("next_at", next).Error
}

// notifySkipped tells both sides of a month's credits that were not given, but for
// a client that is no longer served.
func (s *Service) notifySkipped(tx *gorm.DB, st *models.StandingAssignment, turn *models.StandingTurn, next, now models.Time) error {
	reason := ""
	switch turn.Outcome {
	case models.StandingShort:
	case models.StandingFull:
		reason = "There was no room for more in its wallet."
	case models.StandingDone, models.StandingPooled, models.StandingClosed:
		return nil
	}
	agency, sub, err := s.pair(tx, st.AgencyID, st.SubAccountID)
	if err != nil {
		return err
	}
	n := notice{
		agency: st.AgencyID, wallet: agency.WalletID, event: models.NoticeStandingSkipped, key: st.ID.String() + " " + turn.DueAt.RFC3339(),
		facts: models.NoticeFacts{Credits: st.Credits, Left: turn.Available, Name: sub.Name, Reason: reason, At: next, Path: "/sub-accounts/" + sub.ID.String()},
	}
	if err := s.notify(tx, n, now); err != nil {
		return err
	}
	n.wallet, n.facts.Name, n.facts.Reason, n.facts.Path = sub.WalletID, "", "", ""
	if n.facts.Left, err = leftIn(tx, st.AgencyID, sub.WalletID); err != nil {
		return err
	}
	return s.notify(tx, n, now)
}

func (s *Service) giveTurn(ctx context.Context, tx *gorm.DB, st *models.StandingAssignment, turn *models.StandingTurn, now models.Time) error {
	agency, sub, err := s.pair(tx, st.AgencyID, st.SubAccountID)
	if err == nil {
		err = fedByHand(tx, sub)
	}
	if err != nil {
		return err
	}
	if st.Unused == models.UnusedReturns {
		if turn.Returned, err = s.takeUnused(ctx, tx, &agency, st, now); err != nil {
			return err
		}
	}
	done, err := s.ledger.Assign(ctx, tx, ledger.TransferRequest{
		Agency: st.AgencyID, From: agency.WalletID, To: sub.WalletID, Credits: st.Credits, Actor: string(ActorClock), Note: st.Note, At: now,
	})
	turn.Outcome, turn.Credits, turn.ActID = models.StandingDone, st.Credits, done.Act.ID
	return err
}

// takeUnused returns what is left of the turn before.
func (s *Service) takeUnused(ctx context.Context, tx *gorm.DB, agency *models.Agency, st *models.StandingAssignment, now models.Time) (models.Credits, error) {
	var acts []models.Act
	if err := tx.Where("agency_id = ? AND id IN (?)", st.AgencyID,
		tx.Model(&models.StandingTurn{}).Select("act_id").Where("agency_id = ? AND standing_id = ? AND outcome = ?", st.AgencyID, st.ID, models.StandingDone).
			Order("due_at DESC").Limit(1)).Find(&acts).Error; err != nil || len(acts) == 0 {
		return 0, err
	}
	got, err := s.ledger.Recall(ctx, tx, ledger.RecallRequest{
		Agency: st.AgencyID, To: agency.WalletID, Acts: acts, Actor: string(ActorClock), Note: "Unused", Reference: st.ID.String(), At: now,
	})
	if err != nil {
		return 0, err
	}
	return got[0].Credits, nil
}
