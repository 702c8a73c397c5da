package billing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// A window of failures, and how many one may hold. The tightest is for one
// e-mail from one address, so that a stranger who guesses elsewhere does not
// lock its owner out; the others bound what many addresses, or one with many
// e-mails, can try.
const (
	attemptWindow   = 15 * time.Minute
	maxPerPair      = 10
	maxPerEmail     = 50
	maxPerAddress   = 100
	sessionIDLength = 32 // bytes of chance in a session id or a sign-in link
)

// throttle is one thing whose failures are counted.
type throttle struct {
	subject string
	limit   int
}

// throttles are what an attempt counts against. E-mails are kept as hashes:
// people also type passwords into that field.
func throttles(email, address string) []throttle {
	sum := sha256.Sum256([]byte(email))
	who, where := hex.EncodeToString(sum[:12]), network(address)
	return []throttle{
		{"pair:" + who + "@" + where, maxPerPair},
		{"email:" + who, maxPerEmail},
		{"address:" + where, maxPerAddress},
	}
}

// passwordLimits are what a password counts against. Where the person is signed in
// already, what others tried with their e-mail does not count.
func (s *Service) passwordLimits(ctx context.Context, email, address string) ([]throttle, error) {
	limits := throttles(email, address)
	home, err := s.isAtHome(ctx, email, address)
	if home {
		limits = []throttle{limits[0], limits[2]}
	}
	return limits, err
}

// network is the address as one household has it: an IPv6 /64, an IPv4 address.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	ip = ip.Unmap()
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return prefix.String()
}

// Authenticate finds the person with this e-mail and password. An unknown
// e-mail, a wrong password and a disabled person take the same work and give the
// same answer. Errors: sign_in_failed, too_many.
func (s *Service) Authenticate(ctx context.Context, email, password, address string) (models.User, error) {
	email = normalEmail(email)
	limits, err := s.passwordLimits(ctx, email, address)
	if err != nil {
		return models.User{}, err
	}
	if err := s.countAttempt(ctx, limits, "Too many sign-ins failed. Wait 15 minutes, then try again, or use a sign-in link."); err != nil {
		return models.User{}, err
	}
	var user models.User
	err = s.db.Read.WithContext(ctx).Where("email = ? AND disabled_at = 0", email).Take(&user).Error
	known := err == nil
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return models.User{}, err
	}
	hash := unusableHash
	if known {
		hash = user.PasswordHash
	}
	match, stale, err := s.checkPassword(ctx, password, hash)
	if err != nil {
		return models.User{}, err
	}
	if !match || !known {
		return models.User{}, problem.New(problem.Unauthorized, "sign_in_failed", "That e-mail and password don't go together. Check both and try again.").On("email")
	}
	return user, s.welcome(ctx, &user, password, stale, limits)
}

// countAttempt counts an attempt before it is tried: a thousand at once must not
// all pass a limit of ten. A window begins with its first failure; whatever fills
// it begins the wait. refusal says what to do. Errors: too_many.
func (s *Service) countAttempt(ctx context.Context, limits []throttle, refusal string) error {
	wall := s.people.wall.Now()
	old := wall.Add(-attemptWindow)
	var wait time.Duration
	look := func(tx *gorm.DB, l throttle, over int) error {
		var row models.SignInAttempt
		err := tx.Where("subject = ? AND window_start > ?", l.subject, old).Take(&row).Error
		if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
			return err
		}
		if row.Failures >= l.limit+over {
			wait = max(wait, row.WindowStart.Add(attemptWindow).Sub(wall))
		}
		return nil
	}
	for _, l := range limits {
		if err := look(s.db.Read.WithContext(ctx), l, 0); err != nil {
			return err
		}
	}
	if wait == 0 {
		if err := s.db.InTx(ctx, func(tx *gorm.DB) error {
			// The rows are written first: their locks make attempts take turns.
			for _, l := range limits {
				if err := tx.Exec("INSERT INTO sign_in_attempts AS a (subject, window_start, failures) VALUES (?, ?, 1) ON CONFLICT (subject) DO UPDATE SET "+
					"failures = CASE WHEN a.window_start <= ? THEN 1 ELSE a.failures + 1 END, "+
					"window_start = CASE WHEN a.window_start <= ? OR a.failures + 1 = ? THEN ? ELSE a.window_start END",
					l.subject, wall, old, old, l.limit, wall).Error; err != nil {
					return err
				}
				if err := look(tx, l, 1); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if wait > 0 {
		return problem.New(problem.TooMany, "too_many", "%s", refusal).
			With("retry_after", int64((wait+time.Second-1)/time.Second))
	}
	return nil
}

// forgetAttempt takes an attempt that was none back.
func forgetAttempt(tx *gorm.DB, limits []throttle) error {
	for _, l := range limits {
		if err := tx.Model(&models.SignInAttempt{}).Where("subject = ? AND failures > 0", l.subject).
			Update("failures", gorm.Expr("failures - 1")).Error; err != nil {
			return err
		}
	}
	return nil
}

// isAtHome tells whether a person is signed in from a network: a stranger's
// failures elsewhere do not keep them out of it.
func (s *Service) isAtHome(ctx context.Context, email, address string) (bool, error) {
	var n int64
	err := s.db.Read.WithContext(ctx).Model(&models.Session{}).Joins("JOIN users u ON u.id = sessions.user_id AND u.email = ?", email).
		Where("sessions.address = ? AND sessions.half = ? AND sessions.expires_at > ?", network(address), false, s.people.wall.Now()).Limit(1).Count(&n).Error
	return n > 0, err
}

// welcome forgets the failures that led to a success and renews an old hash.
func (s *Service) welcome(ctx context.Context, user *models.User, password string, stale bool, limits []throttle) error {
	if stale {
		hash, err := s.hash(ctx, password)
		if err == nil {
			user.PasswordHash = hash
		} else {
			stale = false // another time; the password was right
		}
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := forgetAttempt(tx, limits); err != nil {
			return err
		}
		if err := tx.Where("subject = ?", limits[0].subject).Delete(&models.SignInAttempt{}).Error; err != nil {
			return err
		}
		if !stale {
			return nil
		}
		return tx.Model(&models.User{}).Where("id = ?", user.ID).Update("password_hash", user.PasswordHash).Error
	})
}

// SetPassword gives a person another password and signs them out everywhere.
// Errors: invalid_password, too_many, not_found.
func (s *Service) SetPassword(ctx context.Context, id models.UserID, password string, by Actor) error {
	now := s.clock.Now()
	hash, err := s.hashPassword(ctx, password)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Model(&models.User{}).Where("id = ?", id).Update("password_hash", hash)
		if r.Error != nil {
			return r.Error
		}
		if r.RowsAffected == 0 {
			return problem.Missing("user")
		}
		if err := endSessions(tx, id); err != nil {
			return err
		}
		if err := endMailedLinks(tx, id); err != nil {
			return err
		}
		if err := s.tellHolder(tx, id, "Your password was changed.", now); err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, by, "user.password", id.String(), "", "", now)
	})
}

// NewSecret makes an unguessable name for a session or a link.
func NewSecret() string {
	b := make([]byte, sessionIDLength)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b)
}

func secretHash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// MaxLinkTTL is the longest a sign-in link may last.
const MaxLinkTTL = 366 * 24 * time.Hour

// NewSignInLink makes a token that signs a person in without a password, uses
// times within ttl of wall time. Only its SHA-256 is kept.
func (s *Service) NewSignInLink(ctx context.Context, user models.UserID, ttl time.Duration, uses int) (token string, err error) {
	if ttl <= 0 || ttl > MaxLinkTTL || uses < 1 {
		return "", problem.New(problem.Invalid, "invalid_link", "A sign-in link lasts up to a year and works at least once.")
	}
	token = NewSecret()
	return token, s.db.Write.WithContext(ctx).Create(&models.SignInLink{
		TokenHash: secretHash(token), UserID: user, ExpiresAt: s.people.wall.Now().Add(ttl), UsesLeft: uses,
	}).Error
}

// LinkOffer is whose sign-in link it is, and what using it does besides.
type LinkOffer struct {
	User   models.User
	Mailed bool             // the person asked for it
	Joins  *InvitationOffer // the invitation that it accepts; nil for none
}

// SignInLinkAt tells whose link it is without using it up. One that leads to
// another door than this one is as good as none. Errors: link_expired.
func (s *Service) SignInLinkAt(ctx context.Context, token string, portal models.AgencyID) (LinkOffer, error) {
	var out LinkOffer
	var link models.SignInLink
	db := s.db.Read.WithContext(ctx)
	err := db.Where("token_hash = ? AND expires_at > ? AND uses_left > 0", secretHash(token), s.people.wall.Now()).Take(&link).Error
	if err == nil {
		err = db.Where("id = ? AND disabled_at = 0", link.UserID).Take(&out.User).Error
	}
	if err != nil {
		return LinkOffer{}, linkExpired(err)
	}
	out.Mailed = link.Mailed
	if !link.InvitationID.IsZero() {
		joins := &InvitationOffer{}
		err := db.Where("agency_id = ? AND id = ? AND accepted_at = 0 AND revoked_at = 0 AND expires_at > ?", link.AgencyID, link.InvitationID, s.clock.Now()).
			Take(&joins.Invitation).Error
		if err == nil && doorOf(&joins.Invitation) != portal {
			err = gorm.ErrRecordNotFound
		}
		if err == nil {
			joins.Agency, joins.SubAccount, err = s.houseOf(db, &joins.Invitation)
		}
		out.Joins = joins
		return out, linkExpired(err)
	}
	_, err = s.Viewer(ctx, out.User.ID, portal)
	return out, linkExpired(err)
}

// UseSignInLink uses a link once, and accepts the invitation that it carries; of
// two at the same time on the last use, one wins. Errors: link_expired,
// already_member.
func (s *Service) UseSignInLink(ctx context.Context, token string) (models.User, models.AgencyID, error) {
	now := s.clock.Now()
	var user models.User
	var joined models.AgencyID
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Model(&models.SignInLink{}).
			Where("token_hash = ? AND expires_at > ? AND uses_left > 0", secretHash(token), s.people.wall.Now()).
			Update("uses_left", gorm.Expr("uses_left - 1"))
		if r.Error != nil {
			return r.Error
		}
		if r.RowsAffected == 0 {
			return gorm.ErrRecordNotFound
		}
		var link models.SignInLink
		if err := tx.Where("token_hash = ?", secretHash(token)).Take(&link).Error; err != nil {
			return err
		}
		if err := tx.Where("id = ? AND disabled_at = 0", link.UserID).Take(&user).Error; err != nil || link.InvitationID.IsZero() {
			return err
		}
		var row models.Invitation
		if err := tx.Where("agency_id = ? AND id = ?", link.AgencyID, link.InvitationID).Take(&row).Error; err != nil {
			return err
		}
		joined = row.AgencyID
		return s.takeUp(tx, &row, user, now)
	})
	return user, joined, linkExpired(err)
}

func linkExpired(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) || problem.Is(err, "not_found") || problem.Is(err, "no_entry") ||
		problem.Is(err, "invitation_expired") || problem.Is(err, "sub_account_archived") {
		return problem.New(problem.NotFound, "link_expired", "This link is used up or too old.")
	}
	return err
}
