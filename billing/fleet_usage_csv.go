package billing

import (
	"cmp"
	"context"
	"io"
	"slices"

	"gorm.io/gorm"

	"refill/models"
)

// fleetChunk is how many buckets an export reads at once.
const fleetChunk = 16

// FleetUsageCSV exports a query across agencies: a row per bucket, agency, action
// and model, whatever the query is grouped by, in the platform's zone. The rows
// add up to the report's total. Errors: as FleetUsage.
func (s *Service) FleetUsageCSV(ctx context.Context, scope Scope, q UsageQuery) (Export, error) {
	if err := q.checkFleet(scope); err != nil {
		return nil, err
	}
	zone, err := s.PlatformZone(ctx)
	if err != nil {
		return nil, err
	}
	if !q.Agency.IsZero() {
		if _, err := s.Agency(ctx, q.Agency); err != nil {
			return nil, err
		}
	}
	q.Zone, q.Compare = zone, false
	return func(w io.Writer) error { return s.writeFleetUsage(ctx, w, q) }, nil
}

func (s *Service) writeFleetUsage(ctx context.Context, w io.Writer, q UsageQuery) error {
	out := newSheet(w, q.Zone)
	if err := out.csv.Write([]string{
		"time_local", "time_utc", "agency", "agency_id", "plan", "action", "model", "units", "charges", "tests", "credits",
		"plan_credits", "purchased_credits", "assigned_credits", "bonus_credits", "excess_usage",
	}); err != nil {
		return err
	}
	b := openUsageBuilder(q, s.clock.Now())
	for first := 0; first < b.begun; first += fleetChunk {
		if err := s.writeFleetBuckets(ctx, out, b, first, min(first+fleetChunk, b.begun)); err != nil {
			return err
		}
		if out.csv.Flush(); out.csv.Error() != nil {
			return out.csv.Error()
		}
	}
	out.csv.Flush()
	return out.csv.Error()
}

// fleetLine is one row of the export.
type fleetLine struct {
	bucket int
	counted
}

func (l *fleetLine) compare(o *fleetLine) int {
	return cmp.Or(cmp.Compare(l.bucket, o.bucket), l.AgencyID.Compare(o.AgencyID), cmp.Compare(l.Action, o.Action), cmp.Compare(l.Model, o.Model))
}

func (s *Service) writeFleetBuckets(ctx context.Context, out *sheet, b *usageBuilder, first, last int) error {
	until := b.spans[last-1].End
	if last == b.begun { // with what another process, a little ahead, has counted
		until = b.q.To
	}
	var lines []fleetLine
	agencies := map[models.AgencyID]fleetAgency{}
	if err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		f, err := openFleet(tx, b.q, b.now)
		if err != nil {
			return err
		}
		for _, a := range f.agencies {
			agencies[a.ID] = a
		}
		rows, err := f.counters([]string{"agency_id", "action", "model"}, &b.q, b.spans[first].Start, until)
		for _, r := range rows {
			lines = append(lines, fleetLine{min(place(b.spans, r.At), last-1), r})
		}
		return err
	}); err != nil {
		return err
	}
	slices.SortFunc(lines, func(x, y fleetLine) int { return x.compare(&y) })
	for i := 0; i < len(lines); {
		l := lines[i]
		for i++; i < len(lines) && l.compare(&lines[i]) == 0; i++ {
			l.add(lines[i].UsageCount)
		}
		local, utc := out.times(b.spans[l.bucket].Start)
		a, plan := agencies[l.AgencyID], ""
		if a.Plan != NoPlan {
			plan = a.Plan
		}
		if err := out.csv.Write([]string{
			local, utc, safe(a.Name), safe(a.ExternalID), safe(plan), safe(l.Action), safe(l.Model),
			number(l.Units), number(l.Charges), number(l.Tests), l.Credits().String(),
			l.Plan.String(), l.Purchased.String(), l.Assigned.String(), l.Bonus.String(), l.Excess.String(),
		}); err != nil {
			return err
		}
	}
	return nil
}
