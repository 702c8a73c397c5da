package billing

import (
	"context"

	"gorm.io/gorm"

	"refill/models"
)

// AuditQuery pages through the audit log, newest first.
type AuditQuery struct {
	Actor  string          // as stored; "" all
	Action string          // "" all
	Agency models.AgencyID // zero: all, the platform's own acts included
	From   models.Time     // half-open; 0: open
	To     models.Time
	Cursor string
	Limit  int // 0: 50
}

// AuditRow is an entry of the audit log with whom it was about.
type AuditRow struct {
	models.AuditEntry

	Agency string // name; "" the platform
}

// AuditPage is one page of the audit log; Next is "" on the last.
type AuditPage struct {
	Rows []AuditRow
	Next string
}

type auditCursor struct {
	ID models.AuditID `json:"i"`
}

// AuditLog reads who did what. Errors: invalid_cursor.
func (s *Service) AuditLog(ctx context.Context, q AuditQuery) (AuditPage, error) {
	if q.Limit <= 0 || q.Limit > 1000 {
		q.Limit = 50
	}
	tx := s.db.Read.WithContext(ctx).Table("audit_log l").Select("l.*, COALESCE(a.name, '') AS agency").
		Joins("LEFT JOIN agencies a ON a.id = l.agency_id")
	if q.Cursor != "" {
		var after auditCursor
		if err := decodeCursor(q.Cursor, &after); err != nil {
			return AuditPage{}, err
		}
		tx = tx.Where("l.id < ?", after.ID)
	}
	if q.Actor != "" {
		tx = tx.Where("l.actor = ?", q.Actor)
	}
	if q.Action != "" {
		tx = tx.Where("l.action = ?", q.Action)
	}
	if !q.Agency.IsZero() {
		tx = tx.Where("l.agency_id = ?", q.Agency)
	}
	if q.From > 0 {
		tx = tx.Where("l.created_at >= ?", q.From)
	}
	if q.To > 0 {
		tx = tx.Where("l.created_at < ?", q.To)
	}
	var out AuditPage
	if err := tx.Order("l.id DESC").Limit(q.Limit + 1).Scan(&out.Rows).Error; err != nil {
		return out, err
	}
	if len(out.Rows) > q.Limit {
		out.Rows = out.Rows[:q.Limit]
		out.Next = encodeCursor(auditCursor{out.Rows[q.Limit-1].ID})
	}
	return out, nil
}

// AuditFacets are the actors and actions there are, to choose from.
func (s *Service) AuditFacets(ctx context.Context) (actors, actions []string, err error) {
	err = s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		if err := tx.Model(&models.AuditEntry{}).Distinct().Order("actor").Limit(MaxPage).Pluck("actor", &actors).Error; err != nil {
			return err
		}
		return tx.Model(&models.AuditEntry{}).Distinct().Order("action").Limit(MaxPage).Pluck("action", &actions).Error
	})
	return actors, actions, err
}
