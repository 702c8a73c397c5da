package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/models"
)

// A period begins in one of two ways, whichever comes first: with the clock's
// work, in batches of many agencies, or with the first thing that happens on a
// wallet of the agency after the boundary. Whoever comes second finds it begun.
// docs/decisions/0011 says why.

// How many agencies one transaction begins a period for: enough to share its
// statements, few enough that a charge which waits for one of their wallets does
// not wait long. On SQLite every charge waits, for the one writer.
const (
	renewBatch       = 200
	renewBatchSQLite = 20
)

// How long a process may trust what it read of a period's end: another one may
// have changed the plan meanwhile. Nothing waits for it but the rare period that
// was cut short elsewhere.
const periodTTL = 10 * time.Minute

// periodRetry is when a period that could not begin is tried again by the next
// charge.
const periodRetry = time.Minute

// inPeriod begins an agency's period if it is due, so that what follows sees the
// new allowance however little later than the boundary it comes. What goes wrong
// is the clock's to do again: it never stops a charge.
func (s *Service) inPeriod(ctx context.Context, agency models.AgencyID, now models.Time) {
	for range 2 {
		end, err := s.periods.get(agency, s.people.wall.Now(), func() (models.Time, error) { return s.periodEnd(ctx, agency, now) })
		if err != nil {
			s.log.LogAttrs(ctx, slog.LevelError, "begin a period", slog.String("agency", agency.String()), slog.Any("error", err))
			return
		}
		if now < end {
			return
		}
		s.periods.kept.Delete(agency)
	}
}

// periodEnd begins what is due and gives the running period's end.
func (s *Service) periodEnd(ctx context.Context, agency models.AgencyID, now models.Time) (models.Time, error) {
	for range 2 {
		sub, err := liveSubscription(s.db.Read.WithContext(ctx), agency)
		if err != nil {
			return 0, err
		}
		if sub.ID.IsZero() {
			return models.Never, nil
		}
		if sub.PeriodEnd > now {
			return sub.PeriodEnd, nil
		}
		if err := s.renewOne(ctx, &sub, now, false); err != nil {
			return 0, err
		}
	}
	return now.Add(periodRetry), nil
}

// renewDue begins the running period of every subscription whose period has
// ended. Periods missed altogether are skipped: their allowance would have
// expired unused, so exactly one is alive afterwards. One that cannot be renewed
// holds up nobody else.
func (s *Service) renewDue(ctx context.Context, now models.Time) error {
	var errs []error
	var after models.Subscription
	batch := renewBatch
	if s.db.Dialect == models.SQLite {
		batch = renewBatchSQLite
	}
	for ctx.Err() == nil {
		var due []models.Subscription
		if err := s.db.Read.WithContext(ctx).Where("ended_at = 0 AND period_end <= ? AND (period_end > ? OR period_end = ? AND agency_id > ?)",
			now, after.PeriodEnd, after.PeriodEnd, after.AgencyID).Order("period_end, agency_id").Limit(batch).Find(&due).Error; err != nil {
			return errors.Join(append(errs, err)...)
		}
		if len(due) == 0 {
			break
		}
		after = due[len(due)-1]
		many := make([]*models.Subscription, 0, len(due))
		for i := range due {
			if ordinary(&due[i], now) {
				many = append(many, &due[i])
			} else if err := s.renewOne(ctx, &due[i], now, true); err != nil {
				errs = append(errs, fmt.Errorf("subscription %s: %w", due[i].ID, err))
			}
		}
		if err := s.renewMany(ctx, many, now); err == nil {
			continue
		}
		for _, sub := range many { // one of them is to blame: the others go on without it
			if err := s.renewMany(ctx, []*models.Subscription{sub}, now); err != nil {
				errs = append(errs, fmt.Errorf("subscription %s: %w", sub.ID, err))
			}
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// renewOne renews a subscription whatever is due for it. Whether a plan ends that
// Stripe collects is Stripe's to say: what we know may be out of date. Without
// ask, such a one is left to the clock's work.
func (s *Service) renewOne(ctx context.Context, sub *models.Subscription, now models.Time, ask bool) error {
	if ordinary(sub, now) {
		return s.renewMany(ctx, []*models.Subscription{sub}, now)
	}
	if sub.ByStripe() && s.plans != nil && ending(sub, now) {
		if !ask {
			return nil
		}
		if err := s.SettlePlan(ctx, sub.AgencyID); err != nil {
			return err
		}
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		fresh, err := lockedSubscription(tx, sub.AgencyID)
		if err != nil || fresh.ID != sub.ID || fresh.PeriodEnd > now {
			return err
		}
		switch {
		case fresh.CancelAt > 0 && fresh.CancelAt <= now:
			return s.endSubscription(ctx, tx, &fresh, models.SubscriptionCancelled, fresh.CancelAt, now)
		case fresh.GraceUntil > 0 && fresh.GraceUntil <= now:
			return s.endSubscription(ctx, tx, &fresh, models.SubscriptionLapsed, fresh.GraceUntil, now)
		case fresh.NextPlanID.IsZero(), nextPlanAt(&fresh) > now: // a year that is paid ends before it changes
			return s.beginPeriods(ctx, tx, []*models.Subscription{&fresh}, now)
		}
		var agency models.Agency
		if err := tx.Where("id = ?", fresh.AgencyID).Take(&agency).Error; err != nil {
			return err
		}
		was := period.Span{Start: fresh.PeriodStart, End: fresh.PeriodEnd}
		_, fresh.PeriodStart, fresh.PeriodEnd = period.Containing(fresh.AnchorAt, Zone(fresh.TimeZone), rhythm(fresh.Every), now)
		if err := s.ledger.StartCycle(ctx, tx, agency.ID, agency.WalletID, fresh.PeriodStart); err != nil {
			return err
		}
		return s.renewOnto(ctx, tx, &agency, &fresh, was)
	})
}

// ordinary tells a subscription for which a boundary is nothing but the next
// period.
func ordinary(sub *models.Subscription, now models.Time) bool {
	return sub.NextPlanID.IsZero() && !ending(sub, now)
}

// ending tells a subscription whose end has come, as far as we know.
func ending(sub *models.Subscription, now models.Time) bool {
	return sub.CancelAt > 0 && sub.CancelAt <= now || sub.GraceUntil > 0 && sub.GraceUntil <= now
}

// renewMany begins the running period of subscriptions in one transaction. Those
// that changed meanwhile, or that another process is at, are left alone.
func (s *Service) renewMany(ctx context.Context, subs []*models.Subscription, now models.Time) error {
	if len(subs) == 0 {
		return nil
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		agencies, ids := make([]models.AgencyID, len(subs)), make([]models.SubscriptionID, len(subs))
		for i, sub := range subs {
			agencies[i], ids[i] = sub.AgencyID, sub.ID
		}
		lock := clause.Locking{Strength: "NO KEY UPDATE"}
		if len(subs) > 1 {
			lock.Options = "SKIP LOCKED"
		}
		var fresh []*models.Subscription
		if err := tx.Clauses(lock).Where("agency_id IN ? AND id IN ? AND ended_at = 0 AND period_end <= ?", agencies, ids, now).
			Order("agency_id").Find(&fresh).Error; err != nil {
			return err
		}
		still := fresh[:0]
		for _, sub := range fresh {
			if ordinary(sub, now) {
				still = append(still, sub)
			}
		}
		return s.beginPeriods(ctx, tx, still, now)
	})
}

// beginPeriods moves locked subscriptions to the period that runs now and books
// it in the ledger.
func (s *Service) beginPeriods(ctx context.Context, tx *gorm.DB, subs []*models.Subscription, now models.Time) error {
	if len(subs) == 0 {
		return nil
	}
	wallets, err := ownWallets(tx, subs)
	if err != nil {
		return err
	}
	allowances := make([]ledger.Allowance, len(subs))
	for i, sub := range subs {
		_, start, end := period.Containing(sub.AnchorAt, Zone(sub.TimeZone), rhythm(sub.Every), now)
		sub.PeriodStart, sub.PeriodEnd = max(start, sub.PeriodEnd), end
		if sub.Status == models.SubscriptionTrialing && sub.TrialEnd <= sub.PeriodStart {
			sub.Status = models.SubscriptionActive
		}
		allowances[i] = ledger.Allowance{
			Agency: sub.AgencyID, Wallet: wallets[sub.AgencyID], Credits: sub.Allowance, Start: sub.PeriodStart, End: sub.PeriodEnd, Reference: sub.ID.String(),
		}
	}
	if err := writePeriods(tx, s.db.Dialect, subs); err != nil {
		return err
	}
	if err := s.ledger.BeginPeriods(ctx, tx, allowances); err != nil {
		return err
	}
	return s.notifyResets(tx, subs, wallets, now)
}

// writePeriods stores the spans and states of subscriptions in one statement.
func writePeriods(tx *gorm.DB, d models.Dialect, subs []*models.Subscription) error {
	row := "(?, ?, ?, ?, ?)"
	if d == models.Postgres {
		row = "(?::uuid, ?::uuid, ?::bigint, ?::bigint, ?::text)"
	}
	rows := make([]string, len(subs))
	args := make([]any, 0, 5*len(subs))
	for i, sub := range subs {
		rows[i] = row
		args = append(args, sub.AgencyID, sub.ID, sub.PeriodStart, sub.PeriodEnd, string(sub.Status))
	}
	return tx.Exec(`WITH v (agency_id, id, period_start, period_end, status) AS (VALUES `+strings.Join(rows, ", ")+`)
		UPDATE subscriptions SET period_start = v.period_start, period_end = v.period_end, status = v.status
		FROM v WHERE subscriptions.agency_id = v.agency_id AND subscriptions.id = v.id`, args...).Error
}

func ownWallets(tx *gorm.DB, subs []*models.Subscription) (map[models.AgencyID]models.WalletID, error) {
	ids := make([]models.AgencyID, len(subs))
	for i, sub := range subs {
		ids[i] = sub.AgencyID
	}
	var rows []struct {
		ID       models.AgencyID
		WalletID models.WalletID
	}
	if err := tx.Model(&models.Agency{}).Select("id", "wallet_id").Where("id IN ?", ids).Scan(&rows).Error; err != nil {
		return nil, err
	}
	out := make(map[models.AgencyID]models.WalletID, len(rows))
	for _, r := range rows {
		out[r.ID] = r.WalletID
	}
	return out, nil
}

// lockedSubscription reads an agency's live subscription, its agency locked
// against every other change of its plan; zero when there is none.
func lockedSubscription(tx *gorm.DB, agency models.AgencyID) (models.Subscription, error) {
	var locked models.Agency
	if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Select("id").Where("id = ?", agency).Take(&locked).Error; err != nil {
		return models.Subscription{}, missing(err, "agency")
	}
	var sub models.Subscription
	err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("agency_id = ? AND ended_at = 0", agency).Take(&sub).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return models.Subscription{}, nil
	}
	return sub, err
}
