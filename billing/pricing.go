package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// cards keeps the rate cards in force. A card's versions are immutable; which
// card an agency uses and what another process published is read again after
// cardsTTL.
type cards struct {
	s        *Service
	byAgency recall[models.AgencyID, models.RateCardID]
	versions recall[models.RateCardID, []ratecard.Version] // by EffectiveAt
}

const cardsTTL = time.Second

func newCards(s *Service) *cards {
	c := &cards{s: s}
	c.byAgency.ttl, c.versions.ttl = cardsTTL, cardsTTL
	return c
}

func (c *cards) forget() {
	c.byAgency.forget()
	c.versions.forget()
}

// RateCardFor is the version of the agency's card in force at an instant.
func (s *Service) RateCardFor(ctx context.Context, agency *models.Agency, at models.Time) (ratecard.Version, error) {
	card, err := s.cards.cardOf(ctx, agency)
	if err != nil {
		return ratecard.Version{}, err
	}
	return s.cards.versionAt(ctx, card, at)
}

func (c *cards) cardOf(ctx context.Context, agency *models.Agency) (models.RateCardID, error) {
	if !agency.RateCardID.IsZero() {
		return agency.RateCardID, nil
	}
	return c.byAgency.get(agency.ID, c.s.people.wall.Now(), func() (models.RateCardID, error) {
		var plan models.Plan
		err := c.s.db.Read.WithContext(ctx).
			Joins("JOIN subscriptions s ON s.plan_id = plans.id AND s.agency_id = ?", agency.ID).
			Order("s.ended_at = 0 DESC, s.created_at DESC").Take(&plan).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			err = problem.New(problem.Conflict, "no_rate_card", "This agency has no plan and no rate card of its own, so nothing can be priced.")
		}
		return plan.RateCardID, err
	})
}

func (c *cards) versionAt(ctx context.Context, card models.RateCardID, at models.Time) (ratecard.Version, error) {
	list, err := c.versions.get(card, c.s.people.wall.Now(), func() ([]ratecard.Version, error) { return c.s.Versions(ctx, card) })
	if err != nil {
		return ratecard.Version{}, err
	}
	i := sort.Search(len(list), func(i int) bool { return list[i].EffectiveAt > at })
	if i == 0 {
		return ratecard.Version{}, problem.New(problem.Conflict, "no_rate_card", "This rate card has no version in force yet, so nothing can be priced.")
	}
	return list[i-1], nil
}

// Versions reads all versions of a card, by the time they take effect.
func (s *Service) Versions(ctx context.Context, card models.RateCardID) ([]ratecard.Version, error) {
	var rows []models.RateCardVersion
	if err := s.db.Read.WithContext(ctx).Where("card_id = ?", card).Order("effective_at, number").Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make([]ratecard.Version, len(rows))
	for i, r := range rows {
		out[i] = ratecard.Version{Card: card, Number: r.Number, EffectiveAt: r.EffectiveAt}
		if err := json.Unmarshal([]byte(r.Rates), &out[i].Rates); err != nil {
			return nil, fmt.Errorf("read version %d of card %s: %w", r.Number, card, err)
		}
	}
	return out, nil
}

// VersionByNumber reads one version of a card, for explaining old charges.
func (s *Service) VersionByNumber(ctx context.Context, card models.RateCardID, number int) (ratecard.Version, error) {
	versions, err := s.Versions(ctx, card)
	if err != nil {
		return ratecard.Version{}, err
	}
	for _, v := range versions {
		if v.Number == number {
			return v, nil
		}
	}
	return ratecard.Version{}, problem.Missing("rate card version")
}

// PublishRates makes the next version of a card. Errors: invalid_rates with the
// fields named, effective_in_past.
func (s *Service) PublishRates(ctx context.Context, card models.RateCardID, rates []ratecard.Rate, effectiveAt models.Time, note string, by Actor) (ratecard.Version, error) {
	now := s.clock.Now()
	if effectiveAt == 0 {
		effectiveAt = now
	}
	if effectiveAt < now {
		return ratecard.Version{}, problem.New(problem.Invalid, "effective_in_past", "A version takes effect now or later: charges already made keep their price.").On("effective_at")
	}
	v := ratecard.Version{Card: card, EffectiveAt: effectiveAt, Rates: rates}
	err := s.db.InTx(ctx, func(tx *gorm.DB) (err error) {
		v.Number, err = s.publish(tx, models.RateCardVersion{
			CardID: card, EffectiveAt: effectiveAt, Note: note, CreatedBy: string(by), CreatedAt: now,
		}, rates)
		return err
	})
	s.cards.forget()
	return v, err
}

// publish writes the row as its card's next version with these rates.
func (s *Service) publish(tx *gorm.DB, row models.RateCardVersion, rates []ratecard.Rate) (int, error) {
	if err := ratecard.Validate(rates); err != nil {
		return 0, problem.New(problem.Invalid, "invalid_rates", "%s", err.Error()).On("rates")
	}
	body, err := json.Marshal(rates)
	if err != nil {
		return 0, fmt.Errorf("write rates: %w", err)
	}
	var versions []models.RateCardVersion // the last to take effect first
	if err := tx.Where("card_id = ?", row.CardID).Order("effective_at DESC, number DESC").Find(&versions).Error; err != nil {
		return 0, err
	}
	var before []ratecard.Rate
	for i := range versions {
		row.Number = max(row.Number, versions[i].Number)
	}
	if len(versions) > 0 {
		if err := json.Unmarshal([]byte(versions[0].Rates), &before); err != nil {
			return 0, fmt.Errorf("read version %d of card %s: %w", versions[0].Number, row.CardID, err)
		}
	}
	row.Number, row.Rates = row.Number+1, string(body)
	if err := tx.Create(&row).Error; err != nil {
		return 0, err
	}
	if len(versions) > 0 {
		if err := s.notifyRates(tx, &row, len(ratecard.Diff(before, rates)), row.CreatedAt); err != nil {
			return 0, err
		}
	}
	detail := fmt.Sprintf("version %d from %s: %s", row.Number, row.EffectiveAt.RFC3339(), rateChanges(before, rates))
	return row.Number, s.audit(tx, models.AgencyID{}, Actor(row.CreatedBy), "rates.publish", row.CardID.String(), detail, row.Note, row.CreatedAt)
}

// maxAuditDetail bounds what the audit log writes about one card.
const maxAuditDetail = 4000

// rateChanges is every change of a card, before → after, as far as there is room.
func rateChanges(before, after []ratecard.Rate) string {
	var b strings.Builder
	changes := ratecard.Diff(before, after)
	for i := range changes {
		words := changes[i].Words()
		if b.Len()+len(words) > maxAuditDetail {
			fmt.Fprintf(&b, "; and %d more", len(changes)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(words)
	}
	if len(changes) == 0 {
		return "the same rates"
	}
	return b.String()
}

// priceProblem turns a price that cannot be given into the caller's problem.
func priceProblem(err error) error {
	var p *ratecard.PriceError
	if !errors.As(err, &p) {
		return err
	}
	code, field := string(p.Kind), "usage"
	switch p.Kind {
	case ratecard.UnknownAction:
		field = "action"
	case ratecard.UnknownModel:
		field = "model"
	case ratecard.TooLarge:
	}
	return problem.New(problem.Invalid, code, "%s", p.Error()).On(field)
}
