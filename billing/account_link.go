package billing

import (
	"context"
	"time"

	"gorm.io/gorm"

	"refill/billing/mail"
	"refill/billing/problem"
	"refill/models"
)

// AccountLinkLife is how long a mailed link that changes an account holds, in wall
// time.
const (
	PasswordLinkLife = 10 * time.Minute
	EmailLinkLife    = time.Hour
)

// RequestPasswordReset asks by mail for a link that sets a new password, at the
// door of an agency's portal or (zero) the platform's. It does the same and
// answers the same whoever asks. Errors: invalid_email, too_many,
// mail_unavailable.
func (s *Service) RequestPasswordReset(ctx context.Context, email string, portal models.AgencyID, address string) error {
	return s.requestMail(ctx, envelope{agency: portal, kind: models.MailPassword, to: normalEmail(email), life: PasswordLinkLife}, address)
}

// passwordLink makes a link that sets a person's password, and the letter that
// carries it.
func (s *Service) passwordLink(tx *gorm.DB, user *models.User, portal *models.Agency) (mail.Letter, error) {
	name, err := s.brandName(tx, portal)
	if err != nil {
		return mail.Letter{}, err
	}
	token, err := s.accountLink(tx, models.AccountLink{UserID: user.ID, Kind: models.LinkPassword, Email: user.Email}, PasswordLinkLife)
	return mail.NewPassword{
		Brand: name, URL: s.home(portal) + "/forgotten/" + token, Minutes: int(PasswordLinkLife / time.Minute),
	}.Letter(), err
}

// accountLink writes a link in place of the person's one before it.
func (s *Service) accountLink(tx *gorm.DB, row models.AccountLink, life time.Duration) (token string, err error) { //nolint:gocritic // written once
	token = NewSecret()
	row.TokenHash, row.ExpiresAt = secretHash(token), s.people.wall.Now().Add(life)
	if err := tx.Where("user_id = ? AND kind = ?", row.UserID, row.Kind).Delete(&models.AccountLink{}).Error; err != nil {
		return "", err
	}
	return token, tx.Create(&row).Error
}

// accountLinkOf reads a link that holds, and whose it is. One that was mailed to an
// address which the person has given up since holds no longer. Errors:
// link_expired.
func (s *Service) accountLinkOf(tx *gorm.DB, kind models.AccountLinkKind, token string) (models.AccountLink, models.User, error) {
	var link models.AccountLink
	var user models.User
	err := tx.Where("token_hash = ? AND kind = ? AND expires_at > ?", secretHash(token), kind, s.people.wall.Now()).Take(&link).Error
	if err == nil {
		err = tx.Where("id = ? AND disabled_at = 0", link.UserID).Take(&user).Error
	}
	if err == nil && kind == models.LinkPassword && link.Email != user.Email {
		err = gorm.ErrRecordNotFound
	}
	return link, user, linkExpired(err)
}

// useAccountLink uses a link up: of two at the same time one wins. Errors:
// link_expired.
func (s *Service) useAccountLink(tx *gorm.DB, link *models.AccountLink) error {
	r := tx.Where("token_hash = ?", link.TokenHash).Delete(&models.AccountLink{})
	if r.Error == nil && r.RowsAffected == 0 {
		r.Error = gorm.ErrRecordNotFound
	}
	return linkExpired(r.Error)
}

// PasswordLinkAt tells whose forgotten password a link sets, without using it up.
// One that leads to another door is as good as none. Errors: link_expired.
func (s *Service) PasswordLinkAt(ctx context.Context, token string, portal models.AgencyID) (models.User, error) {
	_, user, err := s.accountLinkOf(s.db.Read.WithContext(ctx), models.LinkPassword, token)
	if err != nil {
		return user, err
	}
	_, err = s.Viewer(ctx, user.ID, portal)
	return user, linkExpired(err)
}

// ResetPassword sets a forgotten password. It signs nobody in, and everybody out:
// whoever has the link has the mailbox, and perhaps not the second step. Errors:
// link_expired, invalid_password, too_many.
func (s *Service) ResetPassword(ctx context.Context, token, password string, portal models.AgencyID) error {
	if _, err := s.PasswordLinkAt(ctx, token, portal); err != nil {
		return err
	}
	now := s.clock.Now()
	hash, err := s.hashPassword(ctx, password)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		link, user, err := s.accountLinkOf(tx, models.LinkPassword, token)
		if err != nil {
			return err
		}
		if err := s.useAccountLink(tx, &link); err != nil {
			return err
		}
		if err := tx.Model(&models.User{}).Where("id = ?", user.ID).Update("password_hash", hash).Error; err != nil {
			return err
		}
		if err := endSessions(tx, user.ID); err != nil {
			return err
		}
		if err := endMailedLinks(tx, user.ID); err != nil {
			return err
		}
		if err := s.tellHolder(tx, user.ID, "Your password was changed with a link that was mailed to you.", now); err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, Actor("user:"+user.Email), "user.password_reset", user.ID.String(), "", "", now)
	})
}

// RequestEmailChange mails a link to the address that a person wants to have from
// now on. The answer is the same for an address that somebody else has: then
// nothing is mailed. Errors: invalid_email, same_email, too_many,
// mail_unavailable.
func (s *Service) RequestEmailChange(ctx context.Context, v *Viewer, email string, portal models.AgencyID, address string) error {
	now, email := s.clock.Now(), normalEmail(email)
	if err := checkEmail(email); err != nil {
		return err
	}
	if email == v.User.Email {
		return problem.New(problem.Invalid, "same_email", "This is your address already. Enter the new one.").On("email")
	}
	if !s.CanMail() {
		return noMail()
	}
	if err := s.countLinkRequest(ctx, email, address); err != nil {
		return err
	}
	brand, err := s.doorBrand(ctx, portal)
	if err != nil {
		return err
	}
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := s.audit(tx, models.AgencyID{}, v.Actor(), "user.email_request", v.User.ID.String(), "", "", now); err != nil {
			return err
		}
		var taken int64
		if err := tx.Model(&models.User{}).Where("email = ?", email).Count(&taken).Error; err != nil || taken > 0 {
			return err
		}
		token, err := s.accountLink(tx, models.AccountLink{UserID: v.User.ID, Kind: models.LinkEmail, Email: email, AgencyID: portal}, EmailLinkLife)
		if err != nil {
			return err
		}
		name, err := s.brandName(tx, brand)
		if err != nil {
			return err
		}
		letter := mail.ConfirmEmail{Brand: name, URL: s.home(brand) + "/confirm-email/" + token, Minutes: int(EmailLinkLife / time.Minute)}.Letter()
		return s.postMail(tx, envelope{agency: portal, kind: models.MailSecurity, to: email, life: EmailLinkLife}, &letter, now)
	})
	s.post.wake()
	return err
}

// doorBrand is whose door it is; nil the platform's.
func (s *Service) doorBrand(ctx context.Context, portal models.AgencyID) (*models.Agency, error) {
	if portal.IsZero() {
		return nil, nil //nolint:nilnil // the platform is no agency
	}
	agency, err := s.Agency(ctx, portal)
	return &agency, err
}

// EmailLinkAt tells which address a link confirms, without using it up. Errors:
// link_expired.
func (s *Service) EmailLinkAt(ctx context.Context, token string, portal models.AgencyID) (email string, err error) {
	link, _, err := s.accountLinkOf(s.db.Read.WithContext(ctx), models.LinkEmail, token)
	if err == nil && link.AgencyID != portal {
		err = linkExpired(gorm.ErrRecordNotFound)
	}
	return link.Email, err
}

// ConfirmEmail makes the address that a link was mailed to the person's own, and
// tells the one they had. Errors: link_expired.
func (s *Service) ConfirmEmail(ctx context.Context, token string, portal models.AgencyID) error {
	if _, err := s.EmailLinkAt(ctx, token, portal); err != nil {
		return err
	}
	now := s.clock.Now()
	brand, err := s.doorBrand(ctx, portal)
	if err != nil {
		return err
	}
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		link, user, err := s.accountLinkOf(tx, models.LinkEmail, token)
		if err != nil {
			return err
		}
		if err := s.useAccountLink(tx, &link); err != nil {
			return err
		}
		name, err := s.brandName(tx, brand)
		if err != nil {
			return err
		}
		letter := mail.AccountChanged{
			Brand: name, What: "Your account signs in with " + link.Email + " from now on, and no longer with this address.",
			URL: s.home(brand) + securityPage,
		}.Letter()
		if err := s.postMail(tx, envelope{agency: portal, kind: models.MailSecurity, to: user.Email, life: securityMailLife}, &letter, now); err != nil {
			return err
		}
		if err := endMailedLinks(tx, user.ID); err != nil {
			return err
		}
		if err := s.audit(tx, models.AgencyID{}, Actor("user:"+user.Email), "user.email", user.ID.String(), user.Email+" → "+link.Email, "", now); err != nil {
			return err
		}
		return tx.Model(&models.User{}).Where("id = ?", user.ID).Update("email", link.Email).Error
	})
	s.post.wake()
	if models.IsDuplicate(err) {
		return linkExpired(gorm.ErrRecordNotFound) // somebody else has it by now
	}
	return err
}

// securityPage is where somebody sees how they sign in.
const securityPage = "/settings/security"

// securityMailLife is how long it is worth telling somebody that their account
// was changed.
const securityMailLife = 7 * 24 * time.Hour

// tellHolder writes to somebody that their account was changed, in the
// transaction that changes it.
func (s *Service) tellHolder(tx *gorm.DB, id models.UserID, what string, now models.Time) error {
	var user models.User
	if err := tx.Where("id = ?", id).Take(&user).Error; err != nil {
		return missing(err, "user")
	}
	var clientOf []models.Agency
	if err := tx.Joins("JOIN members m ON m.agency_id = agencies.id AND m.user_id = ? AND m.role = ?", id, models.RoleClient).
		Order("m.created_at").Limit(1).Find(&clientOf).Error; err != nil {
		return err
	}
	e := envelope{kind: models.MailSecurity, to: user.Email, life: securityMailLife}
	var brand *models.Agency
	if len(clientOf) > 0 { // a client knows nothing of the platform
		brand, e.agency = &clientOf[0], clientOf[0].ID
	}
	name, err := s.brandName(tx, brand)
	if err != nil {
		return err
	}
	letter := mail.AccountChanged{Brand: name, What: what, URL: s.home(brand) + securityPage}.Letter()
	return s.postMail(tx, e, &letter, now)
}
