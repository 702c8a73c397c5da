package billing

import (
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

// PackTerms is what a version of a pack is.
type PackTerms struct {
	Name      string
	Kind      models.PackKind
	Credits   models.Credits   // of a fixed pack
	Bonus     models.Credits   // of a fixed pack: bonus credits that come with it
	Price     int64            // of a fixed pack, minor units of the catalogue's currency
	Minimum   models.Credits   // of a pack by quantity
	Step      models.Credits   // of a pack by quantity
	UnitPrice models.UnitPrice // of a pack by quantity
	Position  int
	Plans     []string // codes of the plans on offer that sell it
}

// PackInput publishes a version of a pack.
type PackInput struct {
	Base models.PackID // the version it follows; zero: a new pack
	Code string        // of a new pack
	PackTerms

	Note string
	By   Actor
}

// PackVersion is a version of a pack with the plans on offer that sell it.
type PackVersion struct {
	models.Pack

	Plans []models.Plan
}

// Rung is a larger pack that is not cheaper per credit than a smaller one, so
// that nobody has a reason to buy it.
type Rung struct{ Smaller, Larger models.Pack }

// PackEdit is what publishing changes, or has changed.
type PackEdit struct {
	Old    *PackVersion // nil: a new pack
	New    PackVersion
	Ladder []Rung // what is wrong with the prices afterwards; a warning, no error
}

// Ladder compares neighbours among the fixed packs, as exact fractions.
func Ladder(packs []models.Pack) []Rung {
	fixed := slices.DeleteFunc(slices.Clone(packs), func(p models.Pack) bool { return p.Kind != models.PackFixed }) //nolint:gocritic // a shelf has few packs
	slices.SortStableFunc(fixed, func(a, b models.Pack) int { return int(min(1, max(-1, a.Credits-b.Credits))) })   //nolint:gocritic // as above
	var out []Rung
	for i := 1; i < len(fixed); i++ {
		small, large := &fixed[i-1], &fixed[i]
		if perCredit(large).Cmp(perCredit(small)) >= 0 {
			out = append(out, Rung{*small, *large})
		}
	}
	return out
}

// PreviewPack tells what PublishPack would do, and changes nothing. Errors: as
// PublishPack.
func (s *Service) PreviewPack(ctx context.Context, in PackInput) (PackEdit, error) { //nolint:gocritic // an edit is sent once
	now := s.clock.Now()
	var out PackEdit
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
		out, err = preparePack(tx, &in, now)
		return err
	})
	return out, err
}

// PublishPack takes the version that is on sale off and puts the next one in its
// place, on every plan that sells it, versions before that agencies are still on
// included. Purchases keep what they were. Errors: published_meanwhile,
// nothing_changed, code_taken, unknown_plan, note_too_long, invalid_*, each on
// its field; several are joined.
func (s *Service) PublishPack(ctx context.Context, in PackInput) (PackEdit, error) { //nolint:gocritic // an edit is sent once
	now := s.clock.Now()
	var out PackEdit
	err := s.db.InTx(ctx, func(tx *gorm.DB) (err error) {
		if err = s.lockCatalogue(tx); err != nil {
			return err
		}
		if out, err = preparePack(tx, &in, now); err != nil {
			return err
		}
		if out.Old != nil && out.Old.ArchivedAt == 0 {
			if err := archive[models.Pack](tx, out.Old.ID, "pack", now); err != nil {
				return err
			}
		}
		if err := tx.Create(&out.New.Pack).Error; err != nil {
			return err
		}
		if out.Old != nil {
			if err := tx.Model(&models.PlanPack{}).Where("pack_id = ?", out.Old.ID).Update("pack_id", out.New.ID).Error; err != nil {
				return err
			}
		}
		if err := shelve(tx, &out); err != nil {
			return err
		}
		var before []word
		if out.Old != nil {
			before = out.Old.words()
		}
		detail := fmt.Sprintf("%s version %d: %s", out.New.Code, out.New.Version, difference(before, out.New.words()))
		return s.audit(tx, models.AgencyID{}, in.By, "pack.publish", out.New.ID.String(), detail, in.Note, now)
	})
	if models.IsDuplicate(err) {
		err = publishedMeanwhile("pack")
	}
	return out, err
}

// shelve brings the plans that sell a pack to what the edit says. What a plan
// sells is the same in all its versions.
func shelve(tx *gorm.DB, e *PackEdit) error {
	var was []models.Plan
	if e.Old != nil {
		was = e.Old.Plans
	}
	for i := range was {
		if !slices.ContainsFunc(e.New.Plans, func(p models.Plan) bool { return p.Code == was[i].Code }) { //nolint:gocritic // few plans
			if err := tx.Where("pack_id = ? AND plan_id IN (SELECT id FROM plans WHERE code = ?)", e.New.ID, was[i].Code).
				Delete(&models.PlanPack{}).Error; err != nil {
				return err
			}
		}
	}
	for i := range e.New.Plans {
		var family []models.Plan
		if err := tx.Where("code = ?", e.New.Plans[i].Code).Find(&family).Error; err != nil {
			return err
		}
		for j := range family {
			if err := tx.Clauses(clause.OnConflict{DoNothing: true}).
				Create(&models.PlanPack{PlanID: family[j].ID, PackID: e.New.ID}).Error; err != nil {
				return err
			}
		}
	}
	return nil
}

// preparePack checks an edit and makes the row it would write.
func preparePack(tx *gorm.DB, in *PackInput, now models.Time) (PackEdit, error) {
	var out PackEdit
	next := models.Pack{ID: models.NewID[models.PackID](now), Code: in.Code, Note: strings.TrimSpace(in.Note), CreatedBy: string(in.By), CreatedAt: now}
	var found error
	if in.Base.IsZero() {
		found = checkCode(in.Code)
	} else {
		old, err := packVersion(tx, in.Base)
		if err != nil {
			return out, err
		}
		out.Old, next.Code = &old, old.Code
	}
	var family []models.Pack
	if err := tx.Where("code = ?", next.Code).Order("version DESC").Find(&family).Error; err != nil {
		return out, err
	}
	switch {
	case len(family) == 0:
		next.Version = 1
	case in.Base.IsZero():
		found = problem.New(problem.Conflict, "code_taken", "There is a pack %q already; choose another code, or edit that pack.", in.Code).On("code")
	case family[0].ID != in.Base:
		return out, publishedMeanwhile("pack")
	default:
		next.Version = family[0].Version + 1
	}
	currency, err := catalogueCurrency(tx)
	if err != nil {
		return out, err
	}
	next.Currency = currency
	in.fill(&next)
	out.New = PackVersion{Pack: next}
	if err := errors.Join(found, in.examine(&next), in.refer(tx, &out.New)); err != nil {
		return out, err
	}
	if out.Old != nil && out.Old.ArchivedAt == 0 && difference(out.Old.words(), out.New.words()) == "" {
		return out, nothingChanged()
	}
	var others []models.Pack
	if err := tx.Where("archived_at = 0 AND code <> ?", next.Code).Order("position, id").Find(&others).Error; err != nil {
		return out, err
	}
	out.Ladder = Ladder(append(others, next))
	return out, nil
}

func (in *PackInput) fill(p *models.Pack) {
	p.Name, p.Kind, p.Position = strings.TrimSpace(in.Name), in.Kind, in.Position
	if in.Kind == models.PackQuantity {
		p.Minimum, p.Step, p.UnitPrice = in.Minimum, in.Step, in.UnitPrice
		return
	}
	p.Credits, p.Bonus, p.Price = in.Credits, in.Bonus, in.Price
}

func (in *PackInput) examine(p *models.Pack) error {
	wrong := func(field, format string, args ...any) error {
		return problem.New(problem.Invalid, "invalid_"+field, format, args...).On(field)
	}
	errs := []error{checkName(in.Name), checkPosition(in.Position), checkNote(in.Note, false)}
	switch p.Kind {
	case models.PackFixed:
		errs = append(errs, checkPrice(p.Price, 1, p.Currency))
		if p.Credits <= 0 || p.Credits > models.MaxBalance {
			errs = append(errs, wrong("credits", "A pack holds more than 0 and at most %s credits.", models.MaxBalance))
		}
		if p.Bonus < 0 || p.Bonus > max(p.Credits, 0) {
			errs = append(errs, wrong("bonus", "A bonus is at most as much as the pack itself; leave it empty for none."))
		}
	case models.PackQuantity:
		if p.Step <= 0 || p.Step > models.MaxCharge {
			errs = append(errs, wrong("step", "The step is more than 0 and at most %s credits.", mostCredits()))
		}
		if p.Minimum <= 0 || p.Minimum > models.MaxCharge || p.Step > 0 && p.Minimum%p.Step != 0 {
			errs = append(errs, wrong("minimum", "The least one can buy is a whole number of steps, at most %s credits.", mostCredits()))
		}
		if p.UnitPrice <= 0 {
			errs = append(errs, wrong("unit_price", "The price of one credit is more than 0."))
		} else if amount, err := p.UnitPrice.Times(max(p.Minimum, 0)); err != nil || amount > maxPrice {
			errs = append(errs, wrong("unit_price", "The least one can buy would cost more than one payment can be."))
		}
	default:
		errs = append(errs, wrong("kind", "A pack has a fixed size, or is sold by quantity."))
	}
	return errors.Join(errs...)
}

// refer finds the plans that the terms name.
func (in *PackInput) refer(tx *gorm.DB, out *PackVersion) error {
	if len(in.Plans) == 0 {
		return nil
	}
	if err := tx.Where("archived_at = 0 AND code IN ?", in.Plans).Order("position, id").Find(&out.Plans).Error; err != nil {
		return err
	}
	for _, code := range in.Plans {
		if !slices.ContainsFunc(out.Plans, func(p models.Plan) bool { return p.Code == code }) { //nolint:gocritic // few plans
			return problem.New(problem.Invalid, "unknown_plan", "The plan %q is not on offer any more; choose from those shown.", code).On("plans")
		}
	}
	return nil
}

// words is the version in the audit log's words.
func (p *PackVersion) words() []word {
	codes := make([]string, len(p.Plans))
	for i := range p.Plans {
		codes[i] = p.Plans[i].Code
	}
	price, unit := "", ""
	if p.Kind == models.PackFixed {
		price = models.Money{Amount: p.Price, Currency: p.Currency}.Decimal()
	} else {
		unit = p.UnitPrice.Decimal(p.Currency)
	}
	some := func(c models.Credits) string {
		if c == 0 {
			return ""
		}
		return c.String()
	}
	return []word{
		{"name", p.Name},
		{"kind", string(p.Kind)},
		{"credits", some(p.Credits)},
		{"bonus", some(p.Bonus)},
		{"price", price},
		{"minimum", some(p.Minimum)},
		{"step", some(p.Step)},
		{"price per credit", unit},
		{"plans", strings.Join(codes, ", ")},
		{"order", strconv.Itoa(p.Position)},
	}
}

// packVersion reads a version with the plans on offer that sell it. Errors:
// not_found.
func packVersion(tx *gorm.DB, id models.PackID) (PackVersion, error) {
	var out PackVersion
	if err := tx.Where("id = ?", id).Take(&out.Pack).Error; err != nil {
		return out, missing(err, "pack")
	}
	return out, tx.Joins("JOIN plan_packs pp ON pp.plan_id = plans.id AND pp.pack_id = ?", id).
		Where("plans.archived_at = 0").Order("plans.position, plans.id").Find(&out.Plans).Error
}

// ArchivePack takes a pack off sale for good or until it is published again.
// Errors: not_found, published_meanwhile, note_missing, note_too_long.
func (s *Service) ArchivePack(ctx context.Context, id models.PackID, note string, by Actor) error {
	now := s.clock.Now()
	if err := checkNote(note, true); err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := s.lockCatalogue(tx); err != nil {
			return err
		}
		pack, err := packVersion(tx, id)
		if err != nil {
			return err
		}
		if err := archive[models.Pack](tx, id, "pack", now); err != nil {
			return err
		}
		detail := fmt.Sprintf("%s version %d off sale; it was %s", pack.Code, pack.Version, difference(nil, pack.words()))
		return s.audit(tx, models.AgencyID{}, by, "pack.archive", id.String(), detail, note, now)
	})
}
