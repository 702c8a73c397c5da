package billing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"refill/billing/preset"
	"refill/billing/problem"
	"refill/models"
)

// Import publishes a preset's rate cards, packs and plans into an empty
// catalogue. Errors: catalogue_not_empty.
func (s *Service) Import(ctx context.Context, c preset.Catalogue, by Actor) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		var plans int64
		if err := tx.Model(&models.Plan{}).Count(&plans).Error; err != nil {
			return err
		}
		if plans > 0 {
			return problem.New(problem.Conflict, "catalogue_not_empty", "There are plans already; a preset starts an empty catalogue.")
		}
		cards := map[string]models.RateCardID{}
		for _, card := range c.Cards {
			row, err := emptyCard(tx, card, now)
			if err != nil {
				return err
			}
			if _, err := s.publish(tx, models.RateCardVersion{
				CardID: row.ID, EffectiveAt: now, Note: "preset " + c.Name, CreatedBy: string(by), CreatedAt: now,
			}, card.Rates); err != nil {
				return err
			}
			cards[card.Code] = row.ID
		}
		packs := map[string]models.PackID{}
		for i, p := range c.Packs {
			row := models.Pack{
				ID: models.NewID[models.PackID](now), Code: p.Code, Version: 1, Name: p.Name, Kind: models.PackKind(p.Kind), Credits: p.Credits,
				Minimum: p.Minimum, Step: p.Step, UnitPrice: p.UnitPrice, Price: p.Price.Amount, Currency: c.Currency,
				Position: i, Note: "preset " + c.Name, CreatedBy: string(by), CreatedAt: now,
			}
			if err := tx.Create(&row).Error; err != nil {
				return err
			}
			packs[p.Code] = row.ID
		}
		for i, p := range c.Plans {
			every := models.EveryMonth
			if p.Every != preset.Month {
				every = models.Once
			}
			row := models.Plan{
				ID: models.NewID[models.PlanID](now), Code: p.Code, Name: p.Name, Version: 1, Price: p.Price.Amount, Currency: c.Currency,
				Allowance: p.Allowance, Every: every, ExcessLimit: p.ExcessLimit, SubAccountLimit: p.SubAccountLimit,
				TrialDays: p.TrialDays, RateCardID: cards[p.RateCard], Position: i, Assumed: strings.Join(p.Assumed, "\n"),
				Note: "preset " + c.Name, CreatedBy: string(by), CreatedAt: now,
			}
			if err := tx.Create(&row).Error; err != nil {
				return err
			}
			for _, code := range p.PacksForSale {
				if err := tx.Create(&models.PlanPack{PlanID: row.ID, PackID: packs[code]}).Error; err != nil {
					return err
				}
			}
		}
		for name, value := range map[string]string{"preset": c.Name, "default_plan": c.DefaultPlan, "currency": c.Currency} {
			if err := keepSetting(tx, name, value); err != nil {
				return fmt.Errorf("note the preset: %w", err)
			}
		}
		return s.audit(tx, models.AgencyID{}, by, "catalogue.import", "", c.Name, "", now)
	})
}

// emptyCard makes a preset's card, or takes the one of its code that a blank
// catalogue began with.
func emptyCard(tx *gorm.DB, card preset.Card, now models.Time) (models.RateCard, error) {
	var row models.RateCard
	err := tx.Where("code = ? AND id NOT IN (SELECT card_id FROM rate_card_versions)", card.Code).Take(&row).Error
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return row, err
	}
	row = models.RateCard{ID: models.NewID[models.RateCardID](now), Code: card.Code, Name: card.Name, CreatedAt: now}
	return row, tx.Create(&row).Error
}

// Plans lists what an agency can be on, in order.
func (s *Service) Plans(ctx context.Context) ([]models.Plan, error) {
	var out []models.Plan
	return out, s.db.Read.WithContext(ctx).Where("archived_at = 0").Order("position, id").Find(&out).Error
}

// Packs lists what the platform sells, in order.
func (s *Service) Packs(ctx context.Context) ([]models.Pack, error) {
	var out []models.Pack
	return out, s.db.Read.WithContext(ctx).Where("archived_at = 0").Order("position, id").Find(&out).Error
}

// PacksFor lists what an agency's plan lets it buy; none means it cannot buy.
func (s *Service) PacksFor(ctx context.Context, agency models.AgencyID) ([]models.Pack, error) {
	return packsFor(s.db.Read.WithContext(ctx), agency)
}

func packsFor(tx *gorm.DB, agency models.AgencyID) ([]models.Pack, error) {
	var out []models.Pack
	err := tx.Joins("JOIN plan_packs pp ON pp.pack_id = packs.id").
		Joins("JOIN subscriptions s ON s.plan_id = pp.plan_id AND s.agency_id = ? AND s.ended_at = 0", agency).
		Where("packs.archived_at = 0").Order("packs.position, packs.id").Find(&out).Error
	return out, err
}

// PlanOf reads an agency's plan and live subscription; both are zero when it
// has none.
func (s *Service) PlanOf(ctx context.Context, agency models.AgencyID) (models.Plan, models.Subscription, error) {
	var plan models.Plan
	sub, err := liveSubscription(s.db.Read.WithContext(ctx), agency)
	if err != nil || sub.ID.IsZero() {
		return plan, sub, err
	}
	return plan, sub, s.db.Read.WithContext(ctx).Where("id = ?", sub.PlanID).Take(&plan).Error
}

func liveSubscription(tx *gorm.DB, agency models.AgencyID) (models.Subscription, error) {
	var sub models.Subscription
	err := tx.Where("agency_id = ? AND ended_at = 0", agency).Take(&sub).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return models.Subscription{}, nil
	}
	return sub, err
}

// planByCode finds a plan. Errors: unknown_plan, which lists what there is.
func planByCode(tx *gorm.DB, code string) (models.Plan, error) {
	var plans []models.Plan
	if err := tx.Where("archived_at = 0").Order("position").Find(&plans).Error; err != nil {
		return models.Plan{}, err
	}
	names := make([]string, len(plans))
	for i, p := range plans {
		if p.Code == code || p.ID.String() == code {
			return p, nil
		}
		names[i] = p.Code
	}
	if len(plans) == 0 {
		return models.Plan{}, problem.New(problem.Invalid, "unknown_plan", "There are no plans yet. An admin makes the first one.").On("plan")
	}
	return models.Plan{}, problem.New(problem.Invalid, "unknown_plan", "There is no plan %q; there are %s.", code, strings.Join(names, ", ")).On("plan")
}
