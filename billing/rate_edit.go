package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// rateUseDays is how far back a card's page looks for what was used.
const rateUseDays = 30

// CardInput makes a rate card with its first version, in force at once.
type CardInput struct {
	Code  string
	Name  string
	Rates []ratecard.Rate
	Note  string
	By    Actor
}

// CheckCard tells what CreateRateCard would find wrong besides the rates.
func CheckCard(code, name, note string) error {
	return errors.Join(checkCode(code), checkName(name), checkNote(note, false))
}

// CreateRateCard makes a rate card. No plan uses it until one is published with
// it. Errors: code_taken, invalid_rates, note_too_long, invalid_*.
func (s *Service) CreateRateCard(ctx context.Context, in CardInput) (models.RateCard, error) { //nolint:gocritic // an edit is sent once
	now := s.clock.Now()
	row := models.RateCard{ID: models.NewID[models.RateCardID](now), Code: in.Code, Name: strings.TrimSpace(in.Name), CreatedAt: now}
	if err := CheckCard(in.Code, in.Name, in.Note); err != nil {
		return row, err
	}
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		if err := s.audit(tx, models.AgencyID{}, in.By, "rate_card.create", row.ID.String(), row.Code, in.Note, now); err != nil {
			return err
		}
		_, err := s.publish(tx, models.RateCardVersion{
			CardID: row.ID, EffectiveAt: now, Note: in.Note, CreatedBy: string(in.By), CreatedAt: now,
		}, in.Rates)
		return err
	})
	if models.IsDuplicate(err) {
		err = problem.New(problem.Conflict, "code_taken", "There is a rate card %q already; choose another code.", in.Code).On("code")
	}
	s.cards.forget()
	return row, err
}

// CardLine is a rate card in the list.
type CardLine struct {
	models.RateCard

	InForce  models.RateCardVersion // zero: none yet
	Rates    int                    // rates of the version in force
	Coming   []models.RateCardVersion
	Plans    []string // names of the plans on offer that use it
	Agencies int64    // priced by it now
}

// CardLines lists every rate card by code.
func (s *Service) CardLines(ctx context.Context) ([]CardLine, error) {
	now := s.clock.Now()
	var out []CardLine
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var cards []models.RateCard
		if err := tx.Order("code").Find(&cards).Error; err != nil {
			return err
		}
		for i := range cards {
			d, err := cardFacts(tx, cards[i], now)
			if err != nil {
				return err
			}
			line := CardLine{RateCard: cards[i], InForce: d.InForce, Coming: d.Coming, Agencies: d.Agencies}
			var rates []ratecard.Rate
			if d.InForce.Number > 0 {
				if err := json.Unmarshal([]byte(d.InForce.Rates), &rates); err != nil {
					return fmt.Errorf("read version %d of card %s: %w", d.InForce.Number, cards[i].Code, err)
				}
			}
			line.Rates = len(rates)
			for j := range d.Plans {
				line.Plans = append(line.Plans, d.Plans[j].Name)
			}
			out = append(out, line)
		}
		return nil
	})
	return out, err
}

// RateUse is what was used of one action and model.
type RateUse struct {
	Action  string
	Model   string
	Charges int64
	Credits models.Credits
}

// CardEdition is a version of a card and who made it.
type CardEdition struct {
	ratecard.Version

	Note      string
	CreatedBy string
	CreatedAt models.Time
}

// CardData is everything about a rate card.
type CardData struct {
	models.RateCard

	Now      models.Time
	Editions []CardEdition // by the time they take effect, the last first
	InForce  int           // number of the version in force; 0: none yet
	Newest   int           // highest number
	Plans    []models.Plan // on offer, that use it
	Agencies int64         // priced by it now
	Used     []RateUse     // in the last 30 days by the agencies priced by it now, most first
}

// Last is the version that rules when all have taken effect: what an edit begins
// from.
func (d *CardData) Last() CardEdition {
	if len(d.Editions) == 0 {
		return CardEdition{}
	}
	return d.Editions[0]
}

// Edition finds a version by its number.
func (d *CardData) Edition(number int) (CardEdition, bool) {
	for i := range d.Editions {
		if d.Editions[i].Number == number {
			return d.Editions[i], true
		}
	}
	return CardEdition{}, false
}

// Since is the version that first had a rate as the edition has it, without a
// break until then.
func (d *CardData) Since(e *CardEdition, r *ratecard.Rate) CardEdition {
	out, passed := *e, false
	for i := range d.Editions {
		if d.Editions[i].Number == e.Number {
			passed = true
		}
		if !passed {
			continue
		}
		was, same := ratecard.Rate{}, false
		for _, x := range d.Editions[i].Rates {
			if x.Action == r.Action && x.Model == r.Model {
				was, same = x, true
			}
		}
		if !same || was.Terms() != r.Terms() {
			break
		}
		out = d.Editions[i]
	}
	return out
}

// Unpriced is what was used in the last 30 days and has no rate among rates: such
// requests are refused.
func (d *CardData) Unpriced(rates []ratecard.Rate) []RateUse {
	var out []RateUse
	v := ratecard.Version{Rates: rates}
	for _, u := range d.Used {
		if _, err := v.Find(u.Action, u.Model); err != nil {
			out = append(out, u)
		}
	}
	return out
}

// CardData reads a rate card. Errors: not_found.
func (s *Service) CardData(ctx context.Context, id models.RateCardID) (CardData, error) {
	now := s.clock.Now()
	out := CardData{Now: now}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("id = ?", id).Take(&out.RateCard).Error; err != nil {
			return missing(err, "rate card")
		}
		facts, err := cardFacts(tx, out.RateCard, now)
		if err != nil {
			return err
		}
		out.InForce, out.Plans, out.Agencies = facts.InForce.Number, facts.Plans, facts.Agencies
		for i := range facts.versions {
			r := &facts.versions[i]
			e := CardEdition{
				Version: ratecard.Version{Card: id, Number: r.Number, EffectiveAt: r.EffectiveAt}, Note: r.Note, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt,
			}
			if err := json.Unmarshal([]byte(r.Rates), &e.Rates); err != nil {
				return fmt.Errorf("read version %d of card %s: %w", r.Number, out.Code, err)
			}
			out.Editions = append(out.Editions, e)
			out.Newest = max(out.Newest, r.Number)
		}
		out.Used, err = rateUse(tx, id, now)
		return err
	})
	return out, err
}

// facts of a card that its line and its page share.
type cardFactsOf struct {
	versions []models.RateCardVersion // the last to take effect first
	InForce  models.RateCardVersion
	Coming   []models.RateCardVersion // the first to take effect first
	Plans    []models.Plan
	Agencies int64
}

func cardFacts(tx *gorm.DB, card models.RateCard, now models.Time) (cardFactsOf, error) {
	var out cardFactsOf
	if err := tx.Where("card_id = ?", card.ID).Order("effective_at DESC, number DESC").Find(&out.versions).Error; err != nil {
		return out, err
	}
	for i := range out.versions {
		if out.versions[i].EffectiveAt <= now {
			out.InForce = out.versions[i]
			break
		}
		out.Coming = append([]models.RateCardVersion{out.versions[i]}, out.Coming...)
	}
	if err := tx.Where("rate_card_id = ? AND archived_at = 0", card.ID).Order("position, id").Find(&out.Plans).Error; err != nil {
		return out, err
	}
	return out, tx.Raw("SELECT COUNT(*) FROM agencies a WHERE "+pricedBy, card.ID, card.ID).Scan(&out.Agencies).Error
}

// pricedBy is the agencies a that a card prices now: by their own choice or by
// their plan's.
const pricedBy = `(a.rate_card_id = ? OR a.rate_card_id IS NULL AND EXISTS (
	SELECT 1 FROM subscriptions s JOIN plans p ON p.id = s.plan_id WHERE s.agency_id = a.id AND s.ended_at = 0 AND p.rate_card_id = ?))`

// rateUse adds up the counters of the agencies that a card prices.
func rateUse(tx *gorm.DB, card models.RateCardID, now models.Time) ([]RateUse, error) {
	since := now.Add(-rateUseDays * 24 * time.Hour)
	var out []RateUse
	const paid = "u.plan + u.purchased + u.assigned + u.bonus + u.excess"
	err := tx.Raw(`SELECT x.action, x.model, CAST(SUM(x.charges) AS bigint) AS charges, CAST(SUM(x.paid) AS bigint) AS credits FROM (
			SELECT u.action, u.model, u.charges, `+paid+` AS paid FROM agencies a JOIN usage_days u ON u.agency_id = a.id
				WHERE `+pricedBy+` AND u.day >= ? AND u.day < a.usage_rolled
			UNION ALL
			SELECT u.action, u.model, u.charges, `+paid+` AS paid FROM agencies a JOIN usage_quarters u ON u.agency_id = a.id
				WHERE `+pricedBy+` AND u.quarter >= ? AND u.quarter >= a.usage_rolled
		) AS x WHERE x.action <> '' GROUP BY x.action, x.model ORDER BY 4 DESC, 1, 2 LIMIT 200`,
		card, card, since, card, card, since).Scan(&out).Error
	return out, err
}
