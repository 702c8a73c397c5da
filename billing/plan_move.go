package billing

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// MoveWhen is when agencies go over to another version of a plan.
type MoveWhen string

// The times.
const (
	MoveNow     MoveWhen = "now"   // the running allowance expires, the new one is granted
	MoveAtReset MoveWhen = "reset" // with the next period
	MoveNever   MoveWhen = "stay"  // takes back a move at the next reset
)

// MoveInput moves agencies from one version of a plan to another plan.
type MoveInput struct {
	From, To models.PlanID
	Agencies []models.AgencyID // of From; none: all
	When     MoveWhen
	Note     string
	By       Actor
}

// Moved counts what became of the agencies.
type Moved struct {
	Done    int // moved, noted for their next reset, or kept
	NoReset int // credits granted once never reset: only now can move them
}

// MoveAgencies puts agencies on another version, now or with their next period,
// each in a transaction of its own: stopped half-way, the same call moves the
// rest. Errors: not_found, invalid_when, unknown_plan, note_missing.
func (s *Service) MoveAgencies(ctx context.Context, in MoveInput) (Moved, error) {
	now := s.clock.Now()
	var out Moved
	if in.When != MoveNow && in.When != MoveAtReset && in.When != MoveNever {
		return out, problem.New(problem.Invalid, "invalid_when", "Choose when they move.").On("when")
	}
	if err := checkNote(in.Note, true); err != nil {
		return out, err
	}
	var from, to models.Plan
	var subs []models.Subscription
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("id = ?", in.From).Take(&from).Error; err != nil {
			return missing(err, "plan")
		}
		if in.When != MoveNever {
			err := tx.Where("id = ? AND archived_at = 0", in.To).Take(&to).Error
			if errors.Is(err, gorm.ErrRecordNotFound) || err == nil && to.ID == from.ID {
				return problem.New(problem.Invalid, "unknown_plan", "Choose a plan that is on offer and that they are not on yet.").On("to")
			} else if err != nil {
				return err
			}
		}
		q := tx.Where("plan_id = ? AND ended_at = 0", in.From)
		if len(in.Agencies) > 0 {
			q = q.Where("agency_id IN ?", in.Agencies)
		}
		return q.Order("agency_id").Find(&subs).Error
	})
	if err != nil {
		return out, err
	}
	defer s.cards.forget()
	for i := range subs {
		if in.When == MoveAtReset && subs[i].Every == models.Once {
			out.NoReset++
			continue
		}
		if err := s.db.InTx(ctx, func(tx *gorm.DB) error { return s.moveOne(ctx, tx, &subs[i], &in, &from, &to, now) }); err != nil {
			return out, fmt.Errorf("move agency %s: %w", subs[i].AgencyID, err)
		}
		out.Done++
	}
	return out, nil
}

func (s *Service) moveOne(ctx context.Context, tx *gorm.DB, sub *models.Subscription, in *MoveInput, from, to *models.Plan, now models.Time) error {
	if in.When == MoveNow {
		return s.changePlan(ctx, tx, sub.AgencyID, to, in.By, in.Note, now)
	}
	next := map[string]any{"next_plan_id": to.ID, "next_at": 0}
	if in.When == MoveAtReset {
		next["next_at"] = paidEnd(sub)
	}
	r := tx.Model(&models.Subscription{}).Where("agency_id = ? AND id = ? AND ended_at = 0", sub.AgencyID, sub.ID).Updates(next)
	if r.Error != nil || r.RowsAffected == 0 || to.ID == sub.NextPlanID {
		return r.Error
	}
	detail := edition(from) + " → " + edition(to) + " at the next reset"
	if in.When == MoveNever {
		detail = "stays on " + edition(from)
	}
	return s.audit(tx, sub.AgencyID, in.By, "plan.schedule", sub.AgencyID.String(), detail, in.Note, now)
}

// renewOnto begins the period [start, end) on the plan that was noted for it.
// The caller has moved the old subscription to that period already.
func (s *Service) renewOnto(ctx context.Context, tx *gorm.DB, agency *models.Agency, old *models.Subscription, was period.Span) error {
	start := old.PeriodStart
	var from, to models.Plan
	if err := tx.Where("id = ?", old.PlanID).Take(&from).Error; err != nil {
		return err
	}
	if err := tx.Where("id = ?", old.NextPlanID).Take(&to).Error; err != nil {
		return err
	}
	if err := tx.Model(&models.Subscription{}).Where("agency_id = ? AND id = ?", agency.ID, old.ID).Updates(map[string]any{
		"period_start": was.Start, "period_end": was.End, "next_plan_id": nil, "next_at": 0, "ended_at": start, "status": models.SubscriptionCancelled,
	}).Error; err != nil {
		return err
	}
	sub := termsOf(&to)
	retakes(&sub, old)
	sub.AgencyID, sub.ID, sub.CreatedAt = agency.ID, models.NewID[models.SubscriptionID](start), start
	sub.AnchorAt, sub.TimeZone, sub.PeriodStart, sub.PeriodEnd = old.AnchorAt, old.TimeZone, start, old.PeriodEnd
	if sub.Status == models.SubscriptionTrialing && sub.TrialEnd <= start {
		sub.Status = models.SubscriptionActive
	}
	if to.Every != old.Every {
		sub.AnchorAt, sub.PeriodEnd = start, period.At(start, Zone(sub.TimeZone), rhythm(to.Every), 1)
	}
	if err := tx.Create(&sub).Error; err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if err := s.setPlanPolicy(ctx, tx, agency, &to); err != nil {
		return err
	}
	s.periods.kept.Delete(agency.ID)
	if err := s.grantAllowance(ctx, tx, agency, &sub, start); err != nil {
		return err
	}
	return s.audit(tx, agency.ID, ActorClock, "plan.change", agency.ID.String(), edition(&from)+" → "+edition(&to), "", start)
}
