package fill

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"refill/billing/period"
	"refill/models"
)

// days are the counters of one local day while they are added up.
type days[T any] struct {
	begin, end models.Time
	sums       map[dayKey]*T
}

type dayKey struct {
	paid, wallet  models.WalletID
	action, model string
}

func (k dayKey) compare(o dayKey) int {
	return cmp.Or(k.paid.Compare(o.paid), k.wallet.Compare(o.wallet), cmp.Compare(k.action, o.action), cmp.Compare(k.model, o.model))
}

// counted adds a complete quarter to its agency's day and the platform's, as the
// portal's clock would. The last days are left to the clock.
func (m *maker) counted(byID map[models.AgencyID]*agency) func(*models.UsageQuarter) {
	return func(q *models.UsageQuarter) {
		if m.err != nil {
			return
		}
		a := byID[q.AgencyID]
		if m.err = m.day(a, q); m.err == nil {
			m.err = m.platformDay(a, q)
		}
	}
}

func (m *maker) day(a *agency, q *models.UsageQuarter) error {
	d := &a.days
	if q.Quarter >= d.end {
		if err := m.writeDay(a); err != nil {
			return err
		}
		span := period.Day(q.Quarter, a.zone)
		*d = days[models.UsageDay]{begin: span.Start, end: span.End, sums: map[dayKey]*models.UsageDay{}}
	}
	if d.begin >= m.rolled {
		return nil
	}
	k := dayKey{q.PaidWalletID, q.WalletID, q.Action, q.Model}
	sum := d.sums[k]
	if sum == nil {
		sum = &models.UsageDay{
			AgencyID: q.AgencyID, Day: d.begin, PaidWalletID: q.PaidWalletID, WalletID: q.WalletID, Action: q.Action, Model: q.Model,
		}
		d.sums[k] = sum
	}
	sum.Plan += q.Plan
	sum.Purchased += q.Purchased
	sum.Assigned += q.Assigned
	sum.Bonus += q.Bonus
	sum.Excess += q.Excess
	sum.Units += q.Units
	sum.Charges += q.Charges
	sum.Tests += q.Tests
	return nil
}

func (m *maker) writeDay(a *agency) error {
	whole := map[dayKey]*models.UsageAgencyDay{}
	for _, k := range slices.SortedFunc(maps.Keys(a.days.sums), dayKey.compare) {
		d := a.days.sums[k]
		if err := m.past.Day(d); err != nil {
			return err
		}
		all := dayKey{action: k.action, model: k.model}
		sum := whole[all]
		if sum == nil {
			sum = &models.UsageAgencyDay{AgencyID: d.AgencyID, Day: d.Day, Action: d.Action, Model: d.Model}
			whole[all] = sum
		}
		sum.Plan += d.Plan
		sum.Purchased += d.Purchased
		sum.Assigned += d.Assigned
		sum.Bonus += d.Bonus
		sum.Excess += d.Excess
		sum.Units += d.Units
		sum.Charges += d.Charges
		sum.Tests += d.Tests
		if d.PaidWalletID == a.WalletID {
			sum.Own += d.Plan + d.Purchased + d.Assigned + d.Bonus + d.Excess
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(whole), dayKey.compare) {
		if err := m.past.AgencyDay(whole[k]); err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) platformDay(a *agency, q *models.UsageQuarter) error {
	d := &a.platformDays
	if q.Quarter >= d.end {
		if err := m.writePlatformDay(a); err != nil {
			return err
		}
		span := period.Day(q.Quarter, m.platform)
		*d = days[models.UsagePlatformDay]{begin: span.Start, end: span.End, sums: map[dayKey]*models.UsagePlatformDay{}}
	}
	if d.begin >= m.rolled {
		return nil
	}
	k := dayKey{action: q.Action, model: q.Model}
	sum := d.sums[k]
	if sum == nil {
		sum = &models.UsagePlatformDay{AgencyID: q.AgencyID, Day: d.begin, Action: q.Action, Model: q.Model}
		d.sums[k] = sum
	}
	sum.Plan += q.Plan
	sum.Purchased += q.Purchased
	sum.Assigned += q.Assigned
	sum.Bonus += q.Bonus
	sum.Excess += q.Excess
	sum.Units += q.Units
	sum.Charges += q.Charges
	sum.Tests += q.Tests
	return nil
}

func (m *maker) writePlatformDay(a *agency) error {
	for _, k := range slices.SortedFunc(maps.Keys(a.platformDays.sums), dayKey.compare) {
		if err := m.past.PlatformDay(a.platformDays.sums[k]); err != nil {
			return err
		}
	}
	return nil
}

// rollTo notes how far days are rolled, and in which order charts name what was
// charged: the clock goes on from there.
func (m *maker) rollTo(ctx context.Context) error {
	for _, a := range m.agencies {
		err := m.DB.Write.WithContext(ctx).Model(&models.Agency{}).Where("id = ?", a.ID).Updates(map[string]any{
			"usage_rolled":    max(a.UsageRolled, period.Day(m.rolled-1, a.zone).End),
			"platform_rolled": max(period.DayStart(a.CreatedAt, m.platform), period.Day(m.rolled-1, m.platform).End),
			"platform_zone":   m.platform.String(),
		}).Error
		if err != nil {
			return err
		}
		if err := m.Billing.NameSeries(ctx, &a.Agency); err != nil {
			return err
		}
	}
	return nil
}
