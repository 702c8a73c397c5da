package billing

import (
	"context"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// GroupPage is a page of the charges behind a grouped line, newest first.
type GroupPage struct {
	Group HistoryLine // the line that was opened
	Lines []HistoryLine
	Next  string // "" on the last page
}

// groupCursor goes on below a seq, then, through charges without entries,
// below an id.
type groupCursor struct {
	Seq int64           `json:"s,omitempty"`
	ID  models.ChargeID `json:"i,omitzero"`
}

// HistoryGroup pages through the single charges of a grouped line by the range
// of entries its counters noted; tests and free charges, which have no entries,
// by the time in their ids. Errors: not_found, invalid_cursor, invalid_limit.
func (s *Service) HistoryGroup(ctx context.Context, a *Account, ref GroupRef, cursor string, limit int) (GroupPage, error) {
	if limit == 0 {
		limit = DefaultLines
	}
	if limit < 1 || limit > MaxLines {
		return GroupPage{}, problem.New(problem.Invalid, "invalid_limit", "A page has 1 to %d lines.", MaxLines).On("limit")
	}
	var from groupCursor
	if cursor != "" {
		if err := decodeCursor(cursor, &from); err != nil {
			return GroupPage{}, err
		}
	}
	var out GroupPage
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		r := groupReader{tx: tx, a: a, ref: ref, hour: period.Hour(ref.Start, a.Zone), limit: limit}
		group, err := r.open()
		if err != nil {
			return err
		}
		charges, next, err := r.page(group, from)
		if err != nil {
			return err
		}
		if out.Lines, err = chargeLines(tx, a, a.Wallet, charges); err != nil {
			return err
		}
		out.Group = r.line
		if next != (groupCursor{}) {
			out.Next = encodeCursor(next)
		}
		one := []HistoryLine{out.Group}
		if err := nameLines(tx, a, one); err != nil {
			return err
		}
		out.Group = one[0]
		return nameLines(tx, a, out.Lines)
	})
	return out, err
}

type groupReader struct {
	tx    *gorm.DB
	a     *Account
	ref   GroupRef
	hour  period.Span
	limit int
	line  HistoryLine
}

// open reads the group's counters: what is not the account's has none.
func (r *groupReader) open() (*usageGroup, error) {
	h := historyReader{tx: r.tx, q: HistoryQuery{Account: r.a, To: models.Never}, upto: position{At: models.Never}}
	rows, err := scanCounters(h.counters().Where("quarter >= ? AND quarter < ? AND wallet_id = ? AND action = ? AND model = ?",
		r.hour.Start, r.hour.End, r.ref.Wallet, r.ref.Action, r.ref.Model))
	if err != nil {
		return nil, err
	}
	lines, err := h.lines(rows)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if l.Test == r.ref.Test {
			r.line = l
			groups, err := h.gather(rows)
			if err != nil {
				return nil, err
			}
			for _, g := range groups {
				return g, nil // the rows are of one group
			}
		}
	}
	return nil, problem.Missing("line")
}

// page reads the charges below the cursor and where the next page begins.
func (r *groupReader) page(g *usageGroup, from groupCursor) ([]models.Charge, groupCursor, error) {
	var out []models.Charge
	more := from.ID.IsZero()
	if more && !r.ref.Test && g.first > 0 && from.Seq >= 0 {
		to := g.end + 1
		if from.Seq > 0 {
			to = min(to, from.Seq)
		}
		paid, err := r.paid(g.first, to)
		if err != nil {
			return nil, groupCursor{}, err
		}
		if len(paid) > r.limit {
			paid = paid[:r.limit]
			return paid, groupCursor{Seq: seqOn(&paid[r.limit-1], r.a.Wallet)}, nil
		}
		out = paid
		if from.Seq == 0 && int64(len(paid)) >= g.charges {
			return out, groupCursor{}, nil // all of them
		}
	}
	free, err := r.unpaid(from.ID, r.limit-len(out)+1)
	if err != nil {
		return nil, groupCursor{}, err
	}
	out = append(out, free...)
	if len(out) <= r.limit {
		return out, groupCursor{}, nil
	}
	out = out[:r.limit]
	if last := &out[r.limit-1]; seqOn(last, r.a.Wallet) == 0 {
		return out, groupCursor{ID: last.ID}, nil
	}
	return out, groupCursor{Seq: -1}, nil // every paid one was shown
}

// paid reads charges by the entries in [from, to) of the account's wallet that
// are a charge's first there, newest first.
func (r *groupReader) paid(from, to int64) ([]models.Charge, error) {
	var out []models.Charge
	err := r.tx.Table("entries e").Select("c.*").
		Joins("JOIN charges c ON c.agency_id = e.agency_id AND c.id = e.act_id").
		Where("e.agency_id = ? AND e.wallet_id = ? AND e.seq >= ? AND e.seq < ?", r.a.Agency.ID, r.a.Wallet, from, to).
		Where("e.kind IN ?", []ledger.Kind{ledger.ChargeDraw, ledger.CaptureDraw, ledger.ExcessDraw}).
		Where("e.seq = CASE WHEN c.wallet_id = e.wallet_id THEN c.seq ELSE c.pool_seq END").
		Where("c.wallet_id = ? AND c.action = ? AND c.model = ?", r.ref.Wallet, r.ref.Action, r.ref.Model).
		Where("c.created_at >= ? AND c.created_at < ?", r.hour.Start, r.hour.End).
		Order("e.seq DESC").Limit(r.limit + 1).Scan(&out).Error
	return out, err
}

// unpaid reads tests, or charges that moved nothing on the account's wallet:
// free ones and, for a client, those its agency's pool paid alone.
func (r *groupReader) unpaid(below models.ChargeID, limit int) ([]models.Charge, error) {
	if below.IsZero() {
		below = idAt[models.ChargeID](r.hour.End + 1000)
	}
	tx := testsOf(r.tx, r.a.Agency.ID, r.ref, r.hour)
	if !r.ref.Test {
		tx = r.tx.Where("agency_id = ? AND wallet_id = ? AND NOT test AND id >= ? AND created_at >= ? AND created_at < ? AND action = ? AND model = ?",
			r.a.Agency.ID, r.ref.Wallet, idAt[models.ChargeID](r.hour.Start.Add(-clockSkew)), r.hour.Start, r.hour.End, r.ref.Action, r.ref.Model)
		if r.ref.Wallet == r.a.Wallet {
			tx = tx.Where("seq = 0")
		} else {
			tx = tx.Where("seq = 0 AND pool_seq = 0")
		}
	}
	var out []models.Charge
	err := tx.Where("id < ?", below).Order("id DESC").Limit(limit).Find(&out).Error
	return out, err
}
