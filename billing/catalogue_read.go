package billing

import (
	"context"
	"math/big"

	"gorm.io/gorm"

	"refill/models"
)

// perCredit is the exact price of one credit of a pack in the major unit.
func perCredit(p *models.Pack) *big.Rat {
	if p.Kind == models.PackFixed {
		return models.Money{Amount: p.Price, Currency: p.Currency}.PerCredit(p.Credits)
	}
	scale := int64(1_000_000)
	for range models.MinorDigits(p.Currency) {
		scale *= 10
	}
	return big.NewRat(int64(p.UnitPrice), scale)
}

// PlanLine is a plan in the list: the version on offer, or the last one there was.
type PlanLine struct {
	models.Plan

	Packs   []string // names of what it sells
	Card    string   // name of its rate card
	On      int64    // agencies on this version
	Older   int64    // agencies on versions before it
	Default bool     // new agencies get it
}

// PlanLines lists every plan, those on offer first, in order.
func (s *Service) PlanLines(ctx context.Context) ([]PlanLine, error) {
	var out []PlanLine
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var plans []models.Plan
		if err := tx.Where("version = (SELECT MAX(o.version) FROM plans o WHERE o.code = plans.code)").
			Order("archived_at > 0, position, id").Find(&plans).Error; err != nil {
			return err
		}
		standard, err := setting(tx, "default_plan")
		if err != nil {
			return err
		}
		for i := range plans {
			version, err := planVersion(tx, plans[i].ID)
			if err != nil {
				return err
			}
			line := PlanLine{Plan: plans[i], Card: version.Card.Name, Default: plans[i].Code == standard && plans[i].ArchivedAt == 0}
			for j := range version.Packs {
				line.Packs = append(line.Packs, version.Packs[j].Name)
			}
			counts, err := agenciesByVersion(tx, plans[i].Code)
			if err != nil {
				return err
			}
			for id, n := range counts {
				if id == plans[i].ID {
					line.On = n
				} else {
					line.Older += n
				}
			}
			out = append(out, line)
		}
		return nil
	})
	return out, err
}

func setting(tx *gorm.DB, name string) (string, error) {
	var row models.Setting
	err := tx.Where("name = ?", name).Limit(1).Find(&row).Error
	return row.Value, err
}

// agenciesByVersion counts who is on each version of a plan.
func agenciesByVersion(tx *gorm.DB, code string) (map[models.PlanID]int64, error) {
	var rows []tally[models.PlanID]
	err := tx.Raw(`SELECT p.id, COUNT(*) AS n FROM plans p JOIN subscriptions s ON s.plan_id = p.id AND s.ended_at = 0
		WHERE p.code = ? GROUP BY p.id`, code).Scan(&rows).Error
	return byID(rows), err
}

// PlanEdition is one line of a plan's history.
type PlanEdition struct {
	models.Plan

	On     int64 // agencies on it
	Coming int64 // agencies that move to it at their next reset
}

// PlanAgency is an agency on a version of a plan.
type PlanAgency struct {
	ID       models.AgencyID
	Name     string
	ResetsAt models.Time   // models.Never: granted once
	Next     models.PlanID // where it moves to at its next reset; zero: it stays
}

// PlanData is everything about one version of a plan.
type PlanData struct {
	PlanVersion

	Now      models.Time
	Newest   bool
	Default  bool
	Editions []PlanEdition // the newest first
	On       int64
	Agencies []PlanAgency // on this version, by name, the first hundred
}

// maxPlanAgencies is how many agencies a plan's page lists.
const maxPlanAgencies = 100

// PlanData reads one version of a plan. Errors: not_found.
func (s *Service) PlanData(ctx context.Context, id models.PlanID) (PlanData, error) {
	out := PlanData{Now: s.clock.Now()}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
		if out.PlanVersion, err = planVersion(tx, id); err != nil {
			return err
		}
		standard, err := setting(tx, "default_plan")
		if err != nil {
			return err
		}
		out.Default = standard == out.Code && out.ArchivedAt == 0
		var family []models.Plan
		if err := tx.Where("code = ?", out.Code).Order("version DESC").Find(&family).Error; err != nil {
			return err
		}
		out.Newest = family[0].ID == id
		on, err := agenciesByVersion(tx, out.Code)
		if err != nil {
			return err
		}
		var rows []tally[models.PlanID]
		if err := tx.Raw(`SELECT p.id, COUNT(*) AS n FROM plans p JOIN subscriptions s ON s.next_plan_id = p.id AND s.ended_at = 0
			WHERE p.code = ? GROUP BY p.id`, out.Code).Scan(&rows).Error; err != nil {
			return err
		}
		coming := byID(rows)
		for i := range family {
			out.Editions = append(out.Editions, PlanEdition{Plan: family[i], On: on[family[i].ID], Coming: coming[family[i].ID]})
		}
		out.On = on[id]
		return tx.Raw(`SELECT a.id, a.name, s.period_end AS resets_at, s.next_plan_id AS next FROM subscriptions s JOIN agencies a ON a.id = s.agency_id
			WHERE s.plan_id = ? AND s.ended_at = 0 ORDER BY a.name, a.id LIMIT ?`, id, maxPlanAgencies).Scan(&out.Agencies).Error
	})
	return out, err
}

// PackLines lists every pack in its newest version, those on sale first, in
// order, with the plans on offer that sell it.
func (s *Service) PackLines(ctx context.Context) ([]PackVersion, error) {
	var out []PackVersion
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var packs []models.Pack
		if err := tx.Where("version = (SELECT MAX(o.version) FROM packs o WHERE o.code = packs.code)").
			Order("archived_at > 0, position, id").Find(&packs).Error; err != nil {
			return err
		}
		for i := range packs {
			version, err := packVersion(tx, packs[i].ID)
			if err != nil {
				return err
			}
			out = append(out, version)
		}
		return nil
	})
	return out, err
}

// PackData is everything about one version of a pack.
type PackData struct {
	PackVersion

	Now      models.Time
	Newest   bool
	Editions []models.Pack // the newest first
}

// PackData reads one version of a pack. Errors: not_found.
func (s *Service) PackData(ctx context.Context, id models.PackID) (PackData, error) {
	out := PackData{Now: s.clock.Now()}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
		if out.PackVersion, err = packVersion(tx, id); err != nil {
			return err
		}
		if err := tx.Where("code = ?", out.Code).Order("version DESC").Find(&out.Editions).Error; err != nil {
			return err
		}
		out.Newest = out.Editions[0].ID == id
		return nil
	})
	return out, err
}

// SoldAs finds what packs are sold as now: each one's version on sale, if there
// is one.
func (s *Service) SoldAs(ctx context.Context, packs []models.PackID) (map[models.PackID]models.PackID, error) {
	var rows []struct{ Was, Now models.PackID }
	if err := s.db.Read.WithContext(ctx).Raw(`SELECT o.id AS was, n.id AS now FROM packs o JOIN packs n ON n.code = o.code AND n.archived_at = 0
		WHERE o.id IN ?`, packs).Scan(&rows).Error; err != nil {
		return nil, err
	}
	out := make(map[models.PackID]models.PackID, len(rows))
	for _, r := range rows {
		out[r.Was] = r.Now
	}
	return out, nil
}
