package billing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/problem"
	"refill/models"
)

// PlanTerms is what a version of a plan promises.
type PlanTerms struct {
	Name            string
	Price           int64            // minor units of the catalogue's currency, once per PaidEvery
	PaidEvery       models.PaidEvery // "" a month
	Allowance       models.Credits
	Every           models.Every
	ExcessLimit     models.Credits // 0: pause at zero
	SubAccountLimit int            // 0: unlimited
	TrialDays       int
	RateCard        models.RateCardID
	Packs           []string // codes of the packs it sells
	Position        int
}

// PlanInput publishes a version of a plan.
type PlanInput struct {
	Base models.PlanID // the version it follows; zero: a new plan
	Code string        // of a new plan
	PlanTerms

	Note string
	By   Actor
}

// PlanVersion is a version of a plan with the names of what it refers to.
type PlanVersion struct {
	models.Plan

	Packs []models.Pack // on sale with it, in order
	Card  models.RateCard
}

// PlanEdit is what publishing changes, or has changed.
type PlanEdit struct {
	Old     *PlanVersion // nil: a new plan
	New     PlanVersion
	Staying int64 // agencies on versions before
}

// PreviewPlan tells what PublishPlan would do, and changes nothing. Errors: as
// PublishPlan.
func (s *Service) PreviewPlan(ctx context.Context, in PlanInput) (PlanEdit, error) { //nolint:gocritic // an edit is sent once
	now := s.clock.Now()
	var out PlanEdit
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
		out, err = preparePlan(tx, &in, now)
		return err
	})
	return out, err
}

// PublishPlan archives the version that is on offer and offers the next one.
// Who is on a version before stays on it. The first plan of all becomes the one
// new agencies get. Errors: published_meanwhile, nothing_changed, code_taken,
// unknown_rate_card, unknown_pack, note_too_long, invalid_*, each on its field;
// several are joined.
func (s *Service) PublishPlan(ctx context.Context, in PlanInput) (PlanEdit, error) { //nolint:gocritic // an edit is sent once
	now := s.clock.Now()
	var out PlanEdit
	err := s.db.InTx(ctx, func(tx *gorm.DB) (err error) {
		if err = s.lockCatalogue(tx); err != nil {
			return err
		}
		if out, err = preparePlan(tx, &in, now); err != nil {
			return err
		}
		if out.Old != nil && out.Old.ArchivedAt == 0 {
			if err := archive[models.Plan](tx, out.Old.ID, "plan", now); err != nil {
				return err
			}
		}
		if err := tx.Create(&out.New.Plan).Error; err != nil {
			return err
		}
		for i := range out.New.Packs {
			if err := tx.Create(&models.PlanPack{PlanID: out.New.ID, PackID: out.New.Packs[i].ID}).Error; err != nil {
				return err
			}
		}
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).
			Create(&models.Setting{Name: "default_plan", Value: out.New.Code}).Error; err != nil {
			return err
		}
		var before []word
		if out.Old != nil {
			before = out.Old.words()
		}
		detail := fmt.Sprintf("%s version %d: %s", out.New.Code, out.New.Version, difference(before, out.New.words()))
		return s.audit(tx, models.AgencyID{}, in.By, "plan.publish", out.New.ID.String(), detail, in.Note, now)
	})
	if models.IsDuplicate(err) {
		err = publishedMeanwhile("plan")
	}
	return out, err
}

// archive takes a plan or pack off offer; who comes second is told.
func archive[T models.Plan | models.Pack](tx *gorm.DB, id any, what string, now models.Time) error {
	r := tx.Model(new(T)).Where("id = ? AND archived_at = 0", id).Update("archived_at", now)
	if r.Error == nil && r.RowsAffected == 0 {
		return publishedMeanwhile(what)
	}
	return r.Error
}

// preparePlan checks an edit and makes the rows it would write.
func preparePlan(tx *gorm.DB, in *PlanInput, now models.Time) (PlanEdit, error) {
	var out PlanEdit
	next := models.Plan{ID: models.NewID[models.PlanID](now), Code: in.Code, Note: strings.TrimSpace(in.Note), CreatedBy: string(in.By), CreatedAt: now}
	var family []models.Plan // the versions there are
	var found error
	if in.Base.IsZero() {
		found = checkCode(in.Code)
	} else {
		old, err := planVersion(tx, in.Base)
		if err != nil {
			return out, err
		}
		out.Old, next.Code = &old, old.Code
	}
	if err := tx.Where("code = ?", next.Code).Order("version DESC").Find(&family).Error; err != nil {
		return out, err
	}
	switch {
	case len(family) == 0:
		next.Version = 1
	case in.Base.IsZero():
		found = problem.New(problem.Conflict, "code_taken", "There is a plan %q already; choose another code, or edit that plan.", in.Code).On("code")
	case family[0].ID != in.Base: // an edit of what is not the newest
		return out, publishedMeanwhile("plan")
	default:
		next.Version = family[0].Version + 1
	}
	currency, err := catalogueCurrency(tx)
	if err != nil {
		return out, err
	}
	next.Currency = currency
	out.New = PlanVersion{Plan: next}
	if err := errors.Join(found, in.examine(currency), in.refer(tx, &out.New)); err != nil {
		return out, err
	}
	in.fill(&out.New.Plan)
	if out.Old != nil && out.Old.ArchivedAt == 0 && difference(out.Old.words(), out.New.words()) == "" {
		return out, nothingChanged()
	}
	for i := range family {
		n, err := agenciesOn(tx, family[i].ID)
		if err != nil {
			return out, err
		}
		out.Staying += n
	}
	return out, nil
}

func (in *PlanInput) fill(p *models.Plan) {
	p.Name, p.Price, p.Allowance, p.Every = strings.TrimSpace(in.Name), in.Price, in.Allowance, in.Every
	p.PaidEvery = cmp.Or(in.PaidEvery, models.PaidMonthly)
	p.ExcessLimit, p.SubAccountLimit, p.TrialDays, p.RateCardID, p.Position = in.ExcessLimit, in.SubAccountLimit, in.TrialDays, in.RateCard, in.Position
}

func (in *PlanInput) examine(currency string) error {
	wrong := func(field, format string, args ...any) error {
		return problem.New(problem.Invalid, "invalid_"+field, format, args...).On(field)
	}
	errs := []error{checkName(in.Name), checkPrice(in.Price, 0, currency), checkPosition(in.Position), checkNote(in.Note, false)}
	if in.Allowance < 0 || in.Allowance > models.MaxBalance {
		errs = append(errs, wrong("allowance", "The plan credits are from 0 to %s, the most a wallet holds.", models.MaxBalance))
	}
	if in.Every != models.EveryMonth && in.Every != models.Once {
		errs = append(errs, wrong("every", "Plan credits come every month or once."))
	}
	if in.PaidEvery != "" && in.PaidEvery != models.PaidMonthly && in.PaidEvery != models.PaidYearly {
		errs = append(errs, wrong("paid_every", "A plan is paid every month or every year."))
	}
	if in.ExcessLimit < 0 || in.ExcessLimit > models.MaxBalance {
		errs = append(errs, wrong("excess_limit", "The limit below zero is from 0, which pauses, to %s.", models.MaxBalance))
	}
	if in.SubAccountLimit < 0 || in.SubAccountLimit > maxSubAccounts {
		errs = append(errs, wrong("sub_account_limit", "The number of sub-accounts is from 0, for no limit, to %d.", maxSubAccounts))
	}
	if in.TrialDays < 0 || in.TrialDays > maxTrialDays {
		errs = append(errs, wrong("trial_days", "The trial has 0 to %d days.", maxTrialDays))
	}
	return errors.Join(errs...)
}

// refer finds the card and the packs that the terms name.
func (in *PlanInput) refer(tx *gorm.DB, out *PlanVersion) error {
	var errs []error
	err := tx.Where("id = ?", in.RateCard).Take(&out.Card).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		errs = append(errs, problem.New(problem.Invalid, "unknown_rate_card", "Choose one of the rate cards.").On("rate_card"))
	} else if err != nil {
		return err
	}
	if len(in.Packs) > 0 {
		if err := tx.Where("archived_at = 0 AND code IN ?", in.Packs).Order("position, id").Find(&out.Packs).Error; err != nil {
			return err
		}
	}
	for _, code := range in.Packs {
		if !slices.ContainsFunc(out.Packs, func(p models.Pack) bool { return p.Code == code }) {
			errs = append(errs, problem.New(problem.Invalid, "unknown_pack", "The pack %q is not on sale any more; choose from those shown.", code).On("packs"))
		}
	}
	return errors.Join(errs...)
}

// words is the version in the audit log's words.
func (p *PlanVersion) words() []word {
	codes := make([]string, len(p.Packs))
	for i := range p.Packs {
		codes[i] = p.Packs[i].Code
	}
	return []word{
		{"name", p.Name},
		{"price", models.Money{Amount: p.Price, Currency: p.Currency}.Decimal()},
		{"paid every", string(cmp.Or(p.PaidEvery, models.PaidMonthly))},
		{"plan credits", p.Allowance.String()},
		{"every", string(p.Every)},
		{"excess limit", p.ExcessLimit.String()},
		{"sub-accounts", strconv.Itoa(p.SubAccountLimit)},
		{"trial days", strconv.Itoa(p.TrialDays)},
		{"rate card", p.Card.Code},
		{"packs", strings.Join(codes, ", ")},
		{"order", strconv.Itoa(p.Position)},
	}
}

// planVersion reads a version with what it refers to. Errors: not_found.
func planVersion(tx *gorm.DB, id models.PlanID) (PlanVersion, error) {
	var out PlanVersion
	if err := tx.Where("id = ?", id).Take(&out.Plan).Error; err != nil {
		return out, missing(err, "plan")
	}
	if err := tx.Where("id = ?", out.RateCardID).Take(&out.Card).Error; err != nil {
		return out, err
	}
	return out, tx.Joins("JOIN plan_packs pp ON pp.pack_id = packs.id AND pp.plan_id = ?", id).
		Where("packs.archived_at = 0").Order("packs.position, packs.id").Find(&out.Packs).Error
}

// agenciesOn counts who is on a version.
func agenciesOn(tx *gorm.DB, id models.PlanID) (int64, error) {
	var n int64
	return n, tx.Model(&models.Subscription{}).Where("plan_id = ? AND ended_at = 0", id).Count(&n).Error
}

// ArchivePlan takes a plan off offer for good or until it is published again;
// it tells how many agencies stay on this version. Errors: not_found,
// published_meanwhile, default_plan, note_missing, note_too_long.
func (s *Service) ArchivePlan(ctx context.Context, id models.PlanID, note string, by Actor) (staying int64, err error) {
	now := s.clock.Now()
	if err := checkNote(note, true); err != nil {
		return 0, err
	}
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := s.lockCatalogue(tx); err != nil {
			return err
		}
		plan, err := planVersion(tx, id)
		if err != nil {
			return err
		}
		var standard models.Setting
		if err := tx.Where("name = ?", "default_plan").Take(&standard).Error; err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
			return err
		}
		if standard.Value == plan.Code {
			return problem.New(problem.Conflict, "default_plan", "New agencies get this plan. Choose another one for them first.")
		}
		if err := archive[models.Plan](tx, id, "plan", now); err != nil {
			return err
		}
		if staying, err = agenciesOn(tx, id); err != nil {
			return err
		}
		detail := fmt.Sprintf("%s version %d off offer; %d agencies stay on it", plan.Code, plan.Version, staying)
		return s.audit(tx, models.AgencyID{}, by, "plan.archive", id.String(), detail, note, now)
	})
	return staying, err
}

// SetDefaultPlan makes a plan the one new agencies get. Errors: not_found,
// published_meanwhile when it is off offer.
func (s *Service) SetDefaultPlan(ctx context.Context, id models.PlanID, by Actor) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := s.lockCatalogue(tx); err != nil {
			return err
		}
		plan, err := planVersion(tx, id)
		if err != nil {
			return err
		}
		if plan.ArchivedAt != 0 {
			return publishedMeanwhile("plan")
		}
		var old models.Setting
		if err := tx.Where("name = ?", "default_plan").Take(&old).Error; err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
			return err
		}
		if old.Value == plan.Code {
			return nil
		}
		if err := tx.Save(&models.Setting{Name: "default_plan", Value: plan.Code}).Error; err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, by, "plan.default", id.String(), orNone(old.Value)+" → "+plan.Code, "", now)
	})
}
