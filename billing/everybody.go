package billing

import (
	"context"
	"strings"

	"gorm.io/gorm"

	"refill/models"
)

// Somebody is a person as the platform's admins see them.
type Somebody struct {
	models.User

	Agencies int64       // in whose team, or whose client, they are
	Browsers int64       // signed in
	SeenAt   models.Time // wall time of the last request that is known; unset: none
}

// Everybody lists people by e-mail, those after one, as far as they match a part
// of it or of their name.
func (s *Service) Everybody(ctx context.Context, match, after string, limit int) ([]Somebody, error) {
	tx := s.everybody(ctx).Where("users.email > ?", after)
	if match = normalEmail(match); match != "" {
		like := "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(match) + "%"
		tx = tx.Where("(users.email LIKE ? ESCAPE '!' OR lower(users.name) LIKE ? ESCAPE '!')", like, like)
	}
	var out []Somebody
	return out, tx.Order("users.email").Limit(limit).Scan(&out).Error
}

// Somebody reads one person. Errors: not_found.
func (s *Service) Somebody(ctx context.Context, id models.UserID) (Somebody, error) {
	var out Somebody
	return out, missing(s.everybody(ctx).Where("users.id = ?", id).Take(&out).Error, "person")
}

func (s *Service) everybody(ctx context.Context) *gorm.DB {
	return s.db.Read.WithContext(ctx).Table("users").Select("users.*, "+
		"(SELECT count(*) FROM members m WHERE m.user_id = users.id) AS agencies, "+
		"(SELECT count(*) FROM sessions s WHERE s.user_id = users.id AND s.half = ? AND s.expires_at > ?) AS browsers, "+
		"COALESCE((SELECT max(s.last_seen_at) FROM sessions s WHERE s.user_id = users.id), 0) AS seen_at", false, s.people.wall.Now())
}
