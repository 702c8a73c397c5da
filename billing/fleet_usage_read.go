package billing

import (
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"refill/billing/period"
	"refill/models"
)

// fleetNamed is how many agencies one statement names.
const fleetNamed = 1000

// stretch is a part of a period with the table that counts it.
type stretch struct {
	table    string
	when     string // its column of time
	from, to models.Time
}

// stretches divide [from, to): whole days of the platform that are added up, and
// quarters for the rest and for every hour.
func (f *fleetReader) stretches(q *UsageQuery, from, to models.Time) []stretch {
	quarters := func(from, to models.Time) stretch { return stretch{"usage_quarters", "quarter", from, to} }
	days := period.Span{Start: period.DayStart(from, q.Zone), End: period.DayStart(min(to, f.rolled), q.Zone)}
	if days.Start < from {
		days.Start = period.Day(from, q.Zone).End
	}
	parts := []stretch{quarters(from, to)}
	if q.Interval != Hourly && days.Start < days.End {
		parts = []stretch{quarters(from, days.Start), {"usage_platform_days", "day", days.Start, days.End}, quarters(days.End, to)}
	}
	return slices.DeleteFunc(parts, func(p stretch) bool { return p.from >= p.to || len(f.agencies) == 0 })
}

// counters adds up the counters of the query's agencies over [from, to), per
// instant and columns: hours where no bucket is cut within one, else quarters.
func (f *fleetReader) counters(cols []string, q *UsageQuery, from, to models.Time) ([]counted, error) {
	var out []counted
	for _, part := range f.stretches(q, from, to) {
		at := part.when
		if part.table == "usage_quarters" && q.wholeHours(part.from, part.to) {
			at = fmt.Sprintf("%s - %[1]s %% %d", at, hour)
		}
		by := strings.Join(append([]string{at}, cols...), ", ")
		told := strings.Join(append([]string{at + " AS at"}, cols...), ", ") + ", " + sums()
		rows, err := readStretch[counted](f, part, q, told, by)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// of finds a stretch's counters. Each agency is named, so that both databases
// reach its counters by their key whatever they know of the table.
func (f *fleetReader) of(part stretch, q *UsageQuery, agencies []fleetAgency) *gorm.DB {
	ids := make([]models.AgencyID, len(agencies))
	for i := range agencies {
		ids[i] = agencies[i].ID
	}
	tx := f.tx.Table(part.table).Where("agency_id IN ? AND "+part.when+" >= ? AND "+part.when+" < ?", ids, part.from, part.to)
	if q.Action != "" {
		tx = tx.Where("action = ?", q.Action)
	}
	if q.Model != "" {
		tx = tx.Where("model = ?", q.Model)
	}
	return tx
}

// readStretch selects from a stretch's counters by group; one group may come in
// several rows.
func readStretch[T any](f *fleetReader, part stretch, q *UsageQuery, told, by string) ([]T, error) {
	var out []T
	for agencies := range slices.Chunk(f.agencies, fleetNamed) {
		var rows []T
		if err := f.of(part, q, agencies).Select(told).Group(by).Scan(&rows).Error; err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// choices are the actions and models used in the period, whichever the query
// asks for.
func (f *fleetReader) choices() (UsageChoices, error) {
	q := f.q
	q.Action, q.Model = "", ""
	var out UsageChoices
	for _, part := range f.stretches(&q, q.From, q.To) {
		rows, err := readStretch[slotName](f, part, &q, "action, model", "action, model")
		if err != nil {
			return UsageChoices{}, err
		}
		for _, r := range rows {
			out.Actions = append(out.Actions, r.Action)
			if r.Model != "" {
				out.Models = append(out.Models, r.Model)
			}
		}
	}
	slices.Sort(out.Actions)
	slices.Sort(out.Models)
	out.Actions, out.Models = slices.Compact(out.Actions), slices.Compact(out.Models)
	return out, nil
}

// sold adds up what the agencies' own wallets were granted by plans and packs.
// Lots carved from others, and what the platform gave away, were not sold.
func (f *fleetReader) sold(b *usageBuilder) ([]Sold, error) {
	out := make([]Sold, b.begun)
	if b.begun == 0 || len(f.agencies) == 0 {
		return out, nil
	}
	wanted := map[models.AgencyID]bool{}
	for i := range f.agencies {
		wanted[f.agencies[i].ID] = true
	}
	var rows []struct {
		AgencyID models.AgencyID
		At       models.Time
		Source   models.Source
		Granted  models.Credits
	}
	if err := f.tx.Raw(`SELECT l.agency_id, l.effective_at AS at, l.source, CAST(SUM(l.granted) AS bigint) AS granted
		FROM agencies a CROSS JOIN lots l
		WHERE l.agency_id = a.id AND l.wallet_id = a.wallet_id AND l.parent_lot_id IS NULL AND l.source IN ? AND l.effective_at >= ? AND l.effective_at < ? AND l.effective_at <= ?
		GROUP BY l.agency_id, l.effective_at, l.source`,
		[]models.Source{models.SourcePlan, models.SourcePurchase}, f.q.From, f.q.To, f.now).Scan(&rows).Error; err != nil {
		return nil, err
	}
	for _, r := range rows {
		i := place(b.spans, r.At)
		if !wanted[r.AgencyID] || i < 0 || i >= b.begun {
			continue
		}
		if r.Source == models.SourcePlan {
			out[i].Allowances += r.Granted
		} else {
			out[i].Packs += r.Granted
		}
	}
	return out, nil
}
