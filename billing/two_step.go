package billing

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what RFC 6238 and every authenticator app use; an HMAC does not need collisions to be hard
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// Codes of the second step, by RFC 6238 with what every app assumes: SHA-1, six
// digits, thirty seconds. A code counts for its own thirty seconds and no longer:
// phones keep the time by their network.
const (
	stepSeconds   = 30
	stepDigits    = 6
	stepSecret    = 20 // bytes
	RecoveryCodes = 10 // of one person
)

// TwoStepOffer is a secret that an authenticator app may take, before a code of it
// was seen.
type TwoStepOffer struct {
	Secret string // base 32, in groups of four: to type
	URL    string // otpauth://, to scan
	Sealed string // comes back with the first code; nothing is stored before
}

func twoStepPurpose(id models.UserID, what string) string {
	return "two steps " + what + " " + id.String()
}

// OfferTwoStep makes a secret for a person. issuer is what the app calls the
// account's house.
func (s *Service) OfferTwoStep(user *models.User, issuer string) TwoStepOffer {
	raw := make([]byte, stepSecret)
	_, _ = rand.Read(raw) // never fails: the runtime aborts without randomness
	return s.twoStepOffer(user, issuer, base32.StdEncoding.EncodeToString(raw))
}

// TwoStepOfferAgain is the offer that a form brought back, so that one wrong code
// asks for no other secret; a new one if it is not ours.
func (s *Service) TwoStepOfferAgain(user *models.User, issuer, sealed string) TwoStepOffer {
	secret, err := s.Open(twoStepPurpose(user.ID, "offer"), sealed)
	if err != nil {
		return s.OfferTwoStep(user, issuer)
	}
	return s.twoStepOffer(user, issuer, secret)
}

func (s *Service) twoStepOffer(user *models.User, issuer, secret string) TwoStepOffer {
	groups := make([]string, 0, len(secret)/codeGroup)
	for i := 0; i < len(secret); i += codeGroup {
		groups = append(groups, secret[i:i+codeGroup])
	}
	issuer = strings.ReplaceAll(issuer, ":", " ") // it ends the issuer
	// Apps read the query as it is written: a plus would be one.
	query := strings.ReplaceAll(url.Values{"secret": {secret}, "issuer": {issuer}}.Encode(), "+", "%20")
	return TwoStepOffer{
		Secret: strings.Join(groups, " "), Sealed: s.Seal(twoStepPurpose(user.ID, "offer"), secret),
		URL: "otpauth://totp/" + url.PathEscape(issuer+":"+user.Email) + "?" + query,
	}
}

// TurnTwoStepOn makes an offer count, once its first code was right, in place of
// any before. The recovery codes are shown this once. Errors: offer_expired,
// wrong_step_code, too_many.
func (s *Service) TurnTwoStepOn(ctx context.Context, id models.UserID, sealed, code, address string, by Actor) ([]string, error) {
	secret, err := s.Open(twoStepPurpose(id, "offer"), sealed)
	if err != nil {
		return nil, problem.New(problem.Invalid, "offer_expired", "This form is too old. Scan the code that it shows now.").On("code")
	}
	limits := stepLimits("offer", id, address)
	if err := s.countAttempt(ctx, limits, stepRefusal); err != nil {
		return nil, err
	}
	now, wall := s.clock.Now(), s.people.wall.Now()
	step, err := matchingStep(secret, code, wall, 0)
	if err != nil {
		return nil, err
	}
	var codes []string
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := forgetAttempt(tx, limits); err != nil {
			return err
		}
		if err := tx.Model(&models.User{}).Where("id = ?", id).Updates(map[string]any{
			"two_step_secret": s.Seal(twoStepPurpose(id, "secret"), secret), "two_step_at": wall, "two_step_used": step,
		}).Error; err != nil {
			return err
		}
		if codes, err = newRecoveryCodes(tx, id); err != nil {
			return err
		}
		if err := s.tellHolder(tx, id, "Signing in to your account takes a code of your authenticator app from now on.", now); err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, by, "user.two_step_on", id.String(), "", "", now)
	})
	return codes, err
}

// TurnTwoStepOff lets a password or a mailed link alone sign a person in again.
func (s *Service) TurnTwoStepOff(ctx context.Context, id models.UserID, by Actor) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Model(&models.User{}).Where("id = ? AND two_step_at <> 0", id).Updates(map[string]any{"two_step_secret": "", "two_step_at": 0})
		if r.Error != nil || r.RowsAffected == 0 {
			return r.Error
		}
		if err := tx.Where("user_id = ?", id).Delete(&models.RecoveryCode{}).Error; err != nil {
			return err
		}
		if err := s.tellHolder(tx, id, "Signing in to your account no longer takes a code of an authenticator app.", now); err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, by, "user.two_step_off", id.String(), "", "", now)
	})
}

// NewRecoveryCodes replaces a person's recovery codes. They are shown this once.
// Errors: no_two_step.
func (s *Service) NewRecoveryCodes(ctx context.Context, id models.UserID, by Actor) ([]string, error) {
	now := s.clock.Now()
	var codes []string
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		var user models.User
		err := tx.Where("id = ?", id).Take(&user).Error
		if err == nil && !user.TwoStep() {
			return problem.New(problem.Conflict, "no_two_step", "Set up two-step sign-in first.")
		}
		if err == nil {
			codes, err = newRecoveryCodes(tx, id)
		}
		if err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, by, "user.recovery_codes", id.String(), "", "", now)
	})
	return codes, err
}

// RecoveryCodesLeft counts the recovery codes that a person has not used.
func (s *Service) RecoveryCodesLeft(ctx context.Context, id models.UserID) (int, error) {
	var n int64
	err := s.db.Read.WithContext(ctx).Model(&models.RecoveryCode{}).Where("user_id = ?", id).Count(&n).Error
	return int(n), err
}

func newRecoveryCodes(tx *gorm.DB, id models.UserID) ([]string, error) {
	if err := tx.Where("user_id = ?", id).Delete(&models.RecoveryCode{}).Error; err != nil {
		return nil, err
	}
	codes, rows := make([]string, RecoveryCodes), make([]models.RecoveryCode, RecoveryCodes)
	for i := range codes {
		codes[i] = newCode(recoveryCodeLength)
		rows[i] = models.RecoveryCode{UserID: id, CodeHash: []byte(hashCode(codes[i]))}
	}
	return codes, tx.Create(&rows).Error
}

// stepLimits are what a code counts against. Ten wrong ones wait for fifteen
// minutes; whoever gets this far has the password or the mailbox.
func stepLimits(kind string, id models.UserID, address string) []throttle {
	return []throttle{{kind + ":" + id.String() + "@" + network(address), maxPerPair}, {kind + ":" + id.String(), maxPerPair}}
}

const stepRefusal = "Too many wrong codes. Wait 15 minutes, then try again."

func wrongStepCode() error {
	return problem.New(problem.Invalid, "wrong_step_code", "That code does not fit, or it was used already. Enter the one that your app shows now.").On("code")
}

// SecondStep takes the second proof of half a session's person: a code of their
// app, or a recovery code. Errors: wrong_step_code, too_many.
func (s *Service) SecondStep(ctx context.Context, id models.UserID, code, address string) error {
	return s.checkSecondStep(ctx, id, code, address)
}

// checkSecondStep counts before it compares. Codes of the app and recovery codes
// are counted apart, and a person's wrong codes elsewhere do not count where they
// are signed in: whoever guesses with a stolen password locks nobody out for ever.
func (s *Service) checkSecondStep(ctx context.Context, id models.UserID, typed, address string) error {
	var user models.User
	if err := s.db.Read.WithContext(ctx).Where("id = ? AND disabled_at = 0", id).Take(&user).Error; err != nil {
		return missing(err, "user")
	}
	kind, recovery := "code", len(bareCode(typed)) > stepDigits
	if recovery {
		kind = "recovery"
	}
	limits := stepLimits(kind, id, address)
	home, err := s.isAtHome(ctx, user.Email, address)
	if err != nil {
		return err
	}
	if home || recovery { // a recovery code has 120 bits: it needs no limit of its own
		limits = limits[:1]
	}
	if err := s.countAttempt(ctx, limits, stepRefusal); err != nil {
		return err
	}
	if !user.TwoStep() {
		return wrongStepCode()
	}
	if recovery {
		return s.useRecoveryCode(ctx, &user, typed, limits)
	}
	return s.useStepCode(ctx, &user, typed, limits)
}

// useStepCode takes a code of the app, each once.
func (s *Service) useStepCode(ctx context.Context, user *models.User, typed string, limits []throttle) error {
	secret, err := s.Open(twoStepPurpose(user.ID, "secret"), user.TwoStepSecret)
	if err != nil {
		return fmt.Errorf("the second step of %s: %w", user.ID, err)
	}
	step, err := matchingStep(secret, typed, s.people.wall.Now(), user.TwoStepUsed)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Model(&models.User{}).Where("id = ? AND two_step_at = ? AND two_step_used < ?", user.ID, user.TwoStepAt, step).Update("two_step_used", step)
		if r.Error != nil {
			return r.Error
		}
		if r.RowsAffected == 0 {
			return wrongStepCode() // of two at once one wins
		}
		return forgetAttempt(tx, limits)
	})
}

// useRecoveryCode takes a recovery code, which is gone then.
func (s *Service) useRecoveryCode(ctx context.Context, user *models.User, typed string, limits []throttle) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Where("user_id = ? AND code_hash = ?", user.ID, []byte(hashCode(typed))).Delete(&models.RecoveryCode{})
		if r.Error != nil {
			return r.Error
		}
		if r.RowsAffected == 0 {
			return wrongStepCode()
		}
		if err := forgetAttempt(tx, limits); err != nil {
			return err
		}
		if err := s.tellHolder(tx, user.ID, "A recovery code was used to prove that it is you. It works no more.", now); err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, Actor("user:"+user.Email), "user.recovery_code", user.ID.String(), "", "", now)
	})
}

// bareCode is a code as it was typed, without what people put between.
func bareCode(typed string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -\t\u00a0–", r) {
			return -1
		}
		return r
	}, typed)
}

// matchingStep gives the step of time that runs, if a code is of it and it comes after
// the one used last. Whoever typed while a code ended is told so: it never counts
// again. Of one that is still to come nothing is told. Errors: wrong_step_code.
func matchingStep(secret, typed string, wall models.Time, used int64) (step int64, err error) {
	key, err := base32.StdEncoding.DecodeString(secret)
	typed = bareCode(typed)
	if err != nil || len(typed) != stepDigits {
		return 0, wrongStepCode()
	}
	now := wall.Go().Unix() / stepSeconds
	is := func(at int64) bool {
		return at > used && subtle.ConstantTimeCompare([]byte(stepCode(key, at)), []byte(typed)) == 1
	}
	fits, ended := is(now), is(now-1)
	switch {
	case fits:
		return now, nil
	case ended:
		return 0, problem.New(problem.Invalid, "wrong_step_code", "That code has just ended. Enter the one that your app shows now; if this comes again, the clock of your phone is slow.").On("code")
	}
	return 0, wrongStepCode()
}

// stepCode is the code of a step of time (RFC 4226, section 5.3).
func stepCode(key []byte, step int64) string {
	mac := hmac.New(sha1.New, key)
	_, _ = mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step))) //nolint:gosec // after 1970
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%0*d", stepDigits, (binary.BigEndian.Uint32(sum[at:])&0x7fffffff)%1_000_000)
}

// SetTeamTwoStep makes an agency's team sign in in two steps, or lets them choose.
func (s *Service) SetTeamTwoStep(ctx context.Context, agency models.AgencyID, on bool, by Actor) error {
	now := s.clock.Now()
	detail := "as they choose"
	if on {
		detail = "required"
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Model(&models.Agency{}).Where("id = ? AND two_step <> ?", agency, on).Update("two_step", on)
		if r.Error != nil || r.RowsAffected == 0 {
			return r.Error
		}
		return s.audit(tx, agency, by, "agency.two_step", agency.String(), detail, "", now)
	})
}
