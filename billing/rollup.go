package billing

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/period"
	"refill/models"
)

const (
	// rollLag is how long after its end a day is added up. Charges are counted
	// at the time they are accepted, so a late commit is late by seconds.
	rollLag = time.Hour
	// shortestDay is the least a local day lasts, to leave alone who cannot be due.
	shortestDay = 22 * time.Hour
	// rollBatch is the most days of one transaction.
	rollBatch = 31
)

// rollUsage adds completed local days of each agency up into usage_days and
// usage_agency_days.
//
// An agency's watermark moves in the same transaction by compare-and-set, so of
// two processes one rolls a day and the other finds it done. The last rolled
// day is added up again with the next ones: should a commit have come later than
// rollLag, the next day's roll puts it right.
func (s *Service) rollUsage(ctx context.Context, now models.Time) error {
	var due []models.Agency
	if err := s.db.Read.WithContext(ctx).Where("usage_rolled < ?", now.Add(-rollLag-shortestDay)).Order("id").Find(&due).Error; err != nil {
		return fmt.Errorf("roll usage: %w", err)
	}
	var errs []error
	for i := range due {
		a := &due[i]
		for {
			more, err := s.rollAgency(ctx, a, now)
			if err != nil {
				errs = append(errs, fmt.Errorf("roll usage of agency %s: %w", a.ID, err))
			}
			if !more || err != nil || ctx.Err() != nil {
				break
			}
		}
		if err := s.sumWallets(ctx, a.ID); err != nil {
			errs = append(errs, fmt.Errorf("add up the entries of agency %s: %w", a.ID, err))
		}
	}
	return errors.Join(errs...)
}

// rollAgency rolls up to rollBatch days and tells whether more are due.
func (s *Service) rollAgency(ctx context.Context, a *models.Agency, now models.Time) (more bool, err error) {
	zone := Zone(a.TimeZone)
	from := a.UsageRolled
	if from == 0 {
		from = period.DayStart(a.CreatedAt, zone)
	}
	to := period.DayStart(now.Add(-rollLag), zone)
	if from >= to {
		return false, nil
	}
	days := period.Days(from, to, zone)
	if len(days) > rollBatch {
		days, more = days[:rollBatch], true
		to = days[rollBatch-1].End
	}
	days = append([]period.Span{period.Day(from-1, zone)}, days...) // the last rolled one again
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		claim := tx.Model(&models.Agency{}).Where("id = ? AND usage_rolled = ?", a.ID, a.UsageRolled).Update("usage_rolled", to)
		if claim.Error != nil {
			return claim.Error
		}
		if claim.RowsAffected == 0 { // another process rolled these days
			more = false
			return nil
		}
		if err := tx.Where("agency_id = ? AND day >= ? AND day < ?", a.ID, days[0].Start, to).Delete(&models.UsageDay{}).Error; err != nil {
			return err
		}
		for _, d := range days {
			if err := rollDay(tx, a.ID, d); err != nil {
				return err
			}
		}
		if err := rollAgencyDays(tx, a, days[0].Start, to); err != nil {
			return err
		}
		return keepSlots(tx, a, days[0].Start, to)
	})
	a.UsageRolled = to
	return more, err
}

// rollDay writes one day from its quarters.
func rollDay(tx *gorm.DB, agency models.AgencyID, d period.Span) error {
	var sum []string
	for _, c := range counterColumns() {
		sum = append(sum, "CAST(SUM("+c+") AS bigint)")
	}
	columns := strings.Join(counterColumns(), ", ")
	return tx.Exec(`INSERT INTO usage_days (agency_id, day, paid_wallet_id, wallet_id, action, model, `+columns+`)
		SELECT agency_id, CAST(? AS bigint), paid_wallet_id, wallet_id, action, model, `+strings.Join(sum, ", ")+`
		FROM usage_quarters WHERE agency_id = ? AND quarter >= ? AND quarter < ?
		GROUP BY agency_id, paid_wallet_id, wallet_id, action, model`,
		d.Start, agency, d.Start, d.End).Error
}

// rollAgencyDays adds days of usage_days up for usage_agency_days.
func rollAgencyDays(tx *gorm.DB, a *models.Agency, from, to models.Time) error {
	if err := tx.Where("agency_id = ? AND day >= ? AND day < ?", a.ID, from, to).Delete(&models.UsageAgencyDay{}).Error; err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO usage_agency_days (agency_id, day, action, model, `+strings.Join(counterColumns(), ", ")+`, own)
		SELECT agency_id, day, action, model, `+sums()+`,
			CAST(SUM(CASE WHEN paid_wallet_id = ? THEN plan + purchased + assigned + bonus + excess ELSE 0 END) AS bigint)
		FROM usage_days WHERE agency_id = ? AND day >= ? AND day < ?
		GROUP BY agency_id, day, action, model`, a.WalletID, a.ID, from, to).Error
}

// counterColumns are what a counter counts.
func counterColumns() []string {
	return []string{"plan", "purchased", "assigned", "bonus", "excess", "units", "charges", "tests"}
}

// keepSlots adds names first used on the rolled days to the agency's stored
// order, which only ever grows: a model keeps its colour.
func keepSlots(tx *gorm.DB, a *models.Agency, from, to models.Time) error {
	names := slotNames(a.Slots)
	if len(names) >= maxSlots {
		return nil
	}
	var used []slotName
	if err := tx.Model(&models.UsageDay{}).Select("action, model").Where("agency_id = ? AND day >= ? AND day < ?", a.ID, from, to).
		Group("action, model").Order("MIN(day), SUM(charges) DESC, action, model").Scan(&used).Error; err != nil {
		return err
	}
	grown := false
	for _, n := range used {
		if !slices.Contains(names, n) && len(names) < maxSlots {
			names, grown = append(names, n), true
		}
	}
	if !grown {
		return nil
	}
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	a.Slots = string(text)
	return tx.Model(&models.Agency{}).Where("id = ?", a.ID).Update("slots", a.Slots).Error
}

// NameSeries names all that an agency was charged for in the order its charts keep, as
// the clock does for each day it rolls.
func (s *Service) NameSeries(ctx context.Context, a *models.Agency) error {
	return s.db.InTx(ctx, func(tx *gorm.DB) error { return keepSlots(tx, a, 0, models.Never) })
}

// thresholdsSetting remembers when thresholds were refreshed, in microseconds.
const thresholdsSetting = "thresholds_refreshed"

// thresholdsBatch is how many wallets one transaction changes.
const thresholdsBatch = 100

// refreshThresholds sets where wallets count as low (a week of their pace, or
// what they need until the reset) and critical (a day's), at most once an hour
// of domain time. The pace is the mean of up to seven rolled days.
func (s *Service) refreshThresholds(ctx context.Context, now models.Time) error {
	text, err := s.Setting(ctx, thresholdsSetting)
	if err != nil {
		return fmt.Errorf("refresh thresholds: %w", err)
	}
	if last, err := strconv.ParseInt(text, 10, 64); err == nil && now.Sub(models.Time(last)) < time.Hour && now >= models.Time(last) {
		return nil
	}
	changed, err := s.thresholds(ctx, now)
	if err != nil {
		return fmt.Errorf("refresh thresholds: %w", err)
	}
	for part := range slices.Chunk(changed, thresholdsBatch) {
		if err := s.db.InTx(ctx, func(tx *gorm.DB) error {
			for _, w := range part {
				if err := s.ledger.SetThresholds(ctx, tx, w.AgencyID, w.ID, w.LowAt, w.CriticalAt); err != nil {
					return err
				}
				if !w.alarming {
					continue
				}
				if err := s.ledger.Stir(ctx, tx, w.AgencyID, now, w.ID); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("refresh thresholds: %w", err)
		}
	}
	return s.SetSetting(ctx, thresholdsSetting, strconv.FormatInt(int64(now), 10))
}

// newLevels is a wallet with its new thresholds.
type newLevels struct {
	models.Wallet

	alarming bool // its people may have to hear of it
}

// paceRow is a wallet with what it paid in its agency's last rolled week.
type paceRow struct {
	AgencyID    models.AgencyID
	WalletID    models.WalletID
	LowAt       models.Credits
	CriticalAt  models.Credits
	Balance     models.Credits
	UsedAt      models.Time
	UsageRolled models.Time
	TimeZone    string
	Chosen      bool        // its people chose thresholds
	PeriodEnd   models.Time // when credits come by themselves, plan credits or a client's monthly ones; 0: none do
	Paid        models.Credits
}

// thresholds works out what changes. One grouped statement reads the paces, one
// the wallets whose thresholds outlived their usage.
func (s *Service) thresholds(ctx context.Context, now models.Time) ([]newLevels, error) {
	const week = models.Time(7 * 24 * time.Hour / time.Microsecond)
	var rows []paceRow
	var stale []models.Wallet
	var incomes map[models.WalletID]models.Time
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		// SQLite joins in the order of a CROSS JOIN: each agency's days by their key.
		// A week of local days is at most an hour or two longer than 168 hours; a
		// day begins at least 20 hours after the one before.
		if err := tx.Raw(`SELECT w.agency_id, w.id AS wallet_id, w.low_at, w.critical_at, w.balance, w.used_at, a.usage_rolled, a.time_zone,
				COALESCE(l.lines, '') <> '' AS chosen,
				COALESCE(s.period_end, 0) AS period_end, p.paid
			FROM (SELECT d.agency_id, d.paid_wallet_id, CAST(SUM(d.plan + d.purchased + d.assigned + d.bonus + d.excess) AS bigint) AS paid
				FROM agencies x CROSS JOIN usage_days d WHERE d.agency_id = x.id AND d.day >= x.usage_rolled - ? AND d.day < x.usage_rolled
				GROUP BY d.agency_id, d.paid_wallet_id) p
			JOIN agencies a ON a.id = p.agency_id
			JOIN wallets w ON w.agency_id = p.agency_id AND w.id = p.paid_wallet_id
			LEFT JOIN alarms l ON l.agency_id = w.agency_id AND l.wallet_id = w.id
			LEFT JOIN subscriptions s ON s.agency_id = a.id AND s.ended_at = 0 AND s.every = 'month' AND w.id = a.wallet_id
				AND s.allowance > 0 AND (s.cancel_at = 0 OR s.cancel_at > s.period_end)`,
			week+2*hour).Scan(&rows).Error; err != nil {
			return err
		}
		var err error
		if incomes, err = nextIncomes(tx, now); err != nil {
			return err
		}
		return tx.Where("low_at <> 0 OR critical_at <> 0").Find(&stale).Error
	})
	if err != nil {
		return nil, err
	}
	var changed []newLevels
	current := map[models.WalletID]bool{}
	for i := range rows {
		r := &rows[i]
		current[r.WalletID] = true
		if at, ok := incomes[r.WalletID]; ok {
			r.PeriodEnd = at
		}
		low, critical, err := r.levels(now)
		if err != nil {
			return nil, err
		}
		if low != r.LowAt || critical != r.CriticalAt {
			// Whoever has more than a week left, before and after, is not near any
			// threshold but one of their own choice.
			near := r.Balance <= max(low, r.LowAt)+max(low, r.LowAt)/4
			changed = append(changed, newLevels{models.Wallet{AgencyID: r.AgencyID, ID: r.WalletID, LowAt: low, CriticalAt: critical}, near || r.Chosen})
		}
	}
	for i := range stale {
		if w := &stale[i]; !current[w.ID] {
			changed = append(changed, newLevels{models.Wallet{AgencyID: w.AgencyID, ID: w.ID}, true})
		}
	}
	// They are locked in the order that batches lock wallets, or each could wait for the other.
	slices.SortFunc(changed, func(x, y newLevels) int { //nolint:gocritic // the signature is slices'
		return cmp.Or(x.AgencyID.Compare(y.AgencyID), x.ID.Compare(y.ID))
	})
	return changed, nil
}

// levels are a wallet's thresholds: pace × min(7 days, time to the next credits that
// come by themselves) and pace × min(1 day, the same), so that a wallet whose forecast
// lasts past them is not low; none under three days of data.
func (r *paceRow) levels(now models.Time) (low, critical models.Credits, err error) {
	zone := Zone(r.TimeZone)
	from := max(daysBack(r.UsageRolled, zone, paceDays), period.DayStart(r.UsedAt, zone))
	days := daysBetween(from, r.UsageRolled, zone)
	if r.UsedAt == 0 || days < leastDays || r.Paid <= 0 {
		return 0, 0, nil
	}
	const day = 24 * hour
	week, one := 7*day, day
	if r.PeriodEnd != 0 && r.PeriodEnd != models.Never {
		week, one = min(week, max(0, r.PeriodEnd-now)), min(one, max(0, r.PeriodEnd-now))
	}
	pace := int64(r.Paid) / int64(days)
	l, err := models.MulDiv(pace, int64(week), int64(day))
	if err != nil {
		return 0, 0, err
	}
	c, err := models.MulDiv(pace, int64(one), int64(day))
	return models.Credits(l), models.Credits(c), err
}
