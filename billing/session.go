package billing

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// How long a session lasts, in wall time: without a request, and at most.
const (
	SignInIdle = 12 * time.Hour
	SignInLife = 7 * 24 * time.Hour
)

// sessionTouch is how exact LastSeenAt is: a page is not a write.
const sessionTouch = time.Minute

// Session finds a live session by the id that the browser holds. Errors:
// not_found, which also stands for one that has ended.
func (s *Service) Session(ctx context.Context, id string) (models.Session, error) {
	var row models.Session
	wall := s.people.wall.Now()
	err := s.db.Read.WithContext(ctx).
		Where("id_hash = ? AND user_id IS NOT NULL AND expires_at > ? AND last_seen_at > ?", secretHash(id), wall, wall.Add(-SignInIdle)).
		Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return models.Session{}, problem.Missing("session")
	}
	return row, err
}

// StartSession signs a browser in under a new id.
func (s *Service) StartSession(ctx context.Context, id string, user models.UserID, data []byte) (models.Session, error) {
	wall := s.people.wall.Now()
	row := models.Session{
		IDHash: secretHash(id), UserID: user, Data: data, CreatedAt: wall, LastSeenAt: wall, ExpiresAt: wall.Add(SignInLife),
	}
	return row, s.db.Write.WithContext(ctx).Create(&row).Error
}

// SeenSession notes that a session is in use, and its person in their role, at
// most once a minute each.
func (s *Service) SeenSession(ctx context.Context, row models.Session, v *Viewer) error {
	wall, db := s.people.wall.Now(), s.db.Write.WithContext(ctx)
	var errs []error
	if wall.Sub(row.LastSeenAt) >= sessionTouch {
		errs = append(errs, db.Model(&models.Session{}).Where("id_hash = ? AND last_seen_at < ?", row.IDHash, wall).Update("last_seen_at", wall).Error)
	}
	if !v.Admin && wall.Sub(v.SeenAt) >= sessionTouch {
		errs = append(errs, db.Model(&models.Member{}).Where("agency_id = ? AND user_id = ? AND seen_at < ?", v.Agency.ID, v.User.ID, wall).
			Update("seen_at", wall).Error)
	}
	return errors.Join(errs...)
}

// recentSignIn is how long after signing in nobody is asked again who they are.
const recentSignIn = MailedLinkLife

// SignedInRecently tells whether a session began so lately that its person need
// not prove again who they are.
func (s *Service) SignedInRecently(row models.Session) bool {
	return s.people.wall.Now().Sub(row.CreatedAt) < recentSignIn
}

// KeepSessionData replaces what a live session carries. One that ended
// meanwhile stays ended.
func (s *Service) KeepSessionData(ctx context.Context, id string, data []byte) error {
	return s.db.Write.WithContext(ctx).Model(&models.Session{}).Where("id_hash = ?", secretHash(id)).Update("data", data).Error
}

// EndSession signs a browser out; its id opens nothing from now on.
func (s *Service) EndSession(ctx context.Context, id string) error {
	return s.db.Write.WithContext(ctx).Where("id_hash = ?", secretHash(id)).Delete(&models.Session{}).Error
}

// EndSessions signs a person out everywhere.
func (s *Service) EndSessions(ctx context.Context, user models.UserID) error {
	return endSessions(s.db.Write.WithContext(ctx), user)
}

func endSessions(tx *gorm.DB, user models.UserID) error {
	return tx.Where("user_id = ?", user).Delete(&models.Session{}).Error
}

// sweepEvery is how often what is over is deleted, in wall time.
const sweepEvery = 10 * time.Minute

// sweepSignInsDue sweeps when the last time was long enough ago.
func (s *Service) sweepSignInsDue(ctx context.Context) error {
	wall, last := int64(s.people.wall.Now()), s.people.swept.Load()
	if wall-last < sweepEvery.Microseconds() || !s.people.swept.CompareAndSwap(last, wall) {
		return nil
	}
	return s.SweepSignIns(ctx)
}

// SweepSignIns deletes sessions, links and counts of failures that are over.
func (s *Service) SweepSignIns(ctx context.Context) error {
	wall, db := s.people.wall.Now(), s.db.Write.WithContext(ctx)
	return errors.Join(
		db.Where("expires_at <= ? OR last_seen_at <= ?", wall, wall.Add(-SignInIdle)).Delete(&models.Session{}).Error,
		db.Where("expires_at <= ? OR uses_left = 0", wall).Delete(&models.SignInLink{}).Error,
		db.Where("window_start <= ?", wall.Add(-2*attemptWindow)).Delete(&models.SignInAttempt{}).Error,
		s.sweepMails(ctx, wall),
		s.sweepHooks(ctx, wall),
	)
}
