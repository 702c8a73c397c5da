package billing

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
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

// SessionInput begins a session.
type SessionInput struct {
	User    models.UserID
	Data    []byte
	Half    bool   // the second proof is still to come
	Agent   string // the browser's name for itself
	Address string // the caller's network address
}

// halfSessionLife is how long the second proof may take, in wall time.
const halfSessionLife = 10 * time.Minute

// maxAgent bounds what is kept of a browser's name, in bytes.
const maxAgent = 300

// StartSession signs a browser in under a new id.
func (s *Service) StartSession(ctx context.Context, id string, in SessionInput) (models.Session, error) {
	wall := s.people.wall.Now()
	if len(in.Agent) > maxAgent {
		in.Agent = in.Agent[:maxAgent]
	}
	row := models.Session{
		IDHash: secretHash(id), UserID: in.User, Data: in.Data, CreatedAt: wall, LastSeenAt: wall, ExpiresAt: wall.Add(SignInLife), Half: in.Half, ProvedAt: wall,
		Agent: strings.ToValidUTF8(strings.ReplaceAll(in.Agent, "\x00", ""), ""), Address: network(in.Address),
	}
	if in.Half {
		row.ExpiresAt, row.ProvedAt = wall.Add(halfSessionLife), 0
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

// ProofLife is how long somebody who proved who they are is not asked again, in
// wall time.
const ProofLife = 10 * time.Minute

// ProvedLately tells whether a session's person proved who they are so lately
// that they need not do it again.
func (s *Service) ProvedLately(row models.Session) bool { //nolint:gocritic // a request has it by value
	return !row.Half && row.ProvedAt.IsSet() && s.people.wall.Now().Sub(row.ProvedAt) < ProofLife
}

// ProveAgain takes what signing in takes, for a session that has been signed in
// for a while: a password, and a code where there is a second step. One of the two
// would let whoever stole it, and found a browser open, take the other away.
// Errors: sign_in_failed, wrong_step_code, too_many.
func (s *Service) ProveAgain(ctx context.Context, row models.Session, user models.User, password, code, address string) error { //nolint:gocritic // as above
	if _, err := s.Authenticate(ctx, user.Email, password, address); err != nil {
		return err
	}
	if user.TwoStep() {
		if err := s.checkSecondStep(ctx, user.ID, code, address); err != nil {
			return err
		}
	}
	return s.db.Write.WithContext(ctx).Model(&models.Session{}).Where("id_hash = ?", row.IDHash).Update("proved_at", s.people.wall.Now()).Error
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

// SessionsOf lists where a person is signed in, the last seen first.
func (s *Service) SessionsOf(ctx context.Context, user models.UserID) ([]models.Session, error) {
	wall := s.people.wall.Now()
	var out []models.Session
	return out, s.db.Read.WithContext(ctx).Omit("data").
		Where("user_id = ? AND half = ? AND expires_at > ? AND last_seen_at > ?", user, false, wall, wall.Add(-SignInIdle)).
		Order("last_seen_at DESC, created_at DESC, id_hash").Limit(MaxPage).Find(&out).Error
}

// SessionRef names a session to its person: the hash, which opens nothing.
func SessionRef(row *models.Session) string { return hex.EncodeToString(row.IDHash) }

// EndSessionOf signs a person out in one browser. Errors: not_found.
func (s *Service) EndSessionOf(ctx context.Context, user models.UserID, ref string, by Actor) error {
	hash, err := hex.DecodeString(ref)
	if err != nil {
		return problem.Missing("session")
	}
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Where("user_id = ? AND id_hash = ?", user, hash).Delete(&models.Session{})
		if r.Error != nil {
			return r.Error
		}
		if r.RowsAffected == 0 {
			return problem.Missing("session")
		}
		return s.audit(tx, models.AgencyID{}, by, "user.sign_out", user.String(), "one browser", "", now)
	})
}

// EndSessions signs a person out everywhere, but for one session if keep is its
// row; mailed links go with the sessions. Errors: not_found.
func (s *Service) EndSessions(ctx context.Context, user models.UserID, keep *models.Session, by Actor) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		var there models.User
		if err := tx.Where("id = ?", user).Take(&there).Error; err != nil {
			return missing(err, "user")
		}
		q := tx
		if keep != nil {
			q = q.Where("id_hash <> ?", keep.IDHash)
		}
		if err := endSessions(q, user); err != nil {
			return err
		}
		if err := endMailedLinks(tx, user); err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, by, "user.sign_out", user.String(), "everywhere", "", now)
	})
}

func endSessions(tx *gorm.DB, user models.UserID) error {
	return tx.Where("user_id = ?", user).Delete(&models.Session{}).Error
}

// endMailedLinks takes back what was mailed to a person to get in or to change
// their account with.
func endMailedLinks(tx *gorm.DB, user models.UserID) error {
	if err := tx.Where("user_id = ? AND mailed = ?", user, true).Delete(&models.SignInLink{}).Error; err != nil {
		return err
	}
	return tx.Where("user_id = ?", user).Delete(&models.AccountLink{}).Error
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
		db.Where("expires_at <= ?", wall).Delete(&models.AccountLink{}).Error,
		db.Where("window_start <= ?", wall.Add(-2*attemptWindow)).Delete(&models.SignInAttempt{}).Error,
		s.sweepMails(ctx, wall),
		s.sweepHooks(ctx, wall),
	)
}
