package billing

import (
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"refill/models"
)

// pulse keeps what all agencies used by the quarter of an hour. A quarter that
// ended longer than rollLag ago is counted for good, so it is read once: without
// that, the fleet's page would add five times two days of everybody's quarters up
// whenever somebody looks. It is read again after pulseLife, as days are rolled
// twice, should a commit have come later than rollLag.
type pulse struct {
	mu   sync.Mutex
	kept map[models.Time]models.Credits // by quarter; those without usage too
	at   models.Time                    // when it was begun
}

const pulseLife = 6 * time.Hour

// quarterUse is what all agencies used in a quarter of an hour.
type quarterUse struct {
	At   models.Time
	Paid models.Credits
}

// read gives the quarters of [from, to) with usage, in order. Both are whole.
func (p *pulse) read(tx *gorm.DB, from, to, now models.Time) ([]quarterUse, error) {
	p.mu.Lock() // one reader adds up, and those who wait find it kept
	defer p.mu.Unlock()
	if p.kept == nil || now < p.at || now.Sub(p.at) > pulseLife {
		p.kept, p.at = map[models.Time]models.Credits{}, now
	}
	known := map[models.Time]models.Credits{}
	missing := from
	for ; missing < to; missing += quarter {
		paid, ok := p.kept[missing]
		if !ok {
			break
		}
		known[missing] = paid
	}
	if missing < to {
		var agencies []models.AgencyID
		if err := tx.Model(&models.Agency{}).Order("id").Pluck("id", &agencies).Error; err != nil {
			return nil, err
		}
		settled := now.Add(-rollLag) - quarter
		for at := missing; at < min(to, settled); at += quarter {
			p.kept[at] = 0
		}
		for part := range slices.Chunk(agencies, fleetNamed) {
			var rows []quarterUse
			if err := tx.Raw("SELECT u.quarter AS at, "+paidSum+` AS paid FROM usage_quarters u
				WHERE u.agency_id IN ? AND u.quarter >= ? AND u.quarter < ? GROUP BY u.quarter`, part, missing, to).Scan(&rows).Error; err != nil {
				p.kept = nil
				return nil, err
			}
			for _, r := range rows {
				known[r.At] += r.Paid
				if _, ok := p.kept[r.At]; ok {
					p.kept[r.At] += r.Paid
				}
			}
		}
	}
	out := make([]quarterUse, 0, len(known))
	for _, at := range slices.Sorted(maps.Keys(known)) {
		out = append(out, quarterUse{at, known[at]})
	}
	return out, nil
}
