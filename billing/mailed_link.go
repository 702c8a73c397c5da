package billing

import (
	"context"
	"time"

	"gorm.io/gorm"

	"refill/billing/mail"
	"refill/billing/problem"
	"refill/models"
)

// MailedLinkLife is how long a mailed sign-in link holds, in wall time: as long as
// ASVS 5.0 (6.5.5) lets what goes another way hold.
const MailedLinkLife = 10 * time.Minute

// How many links may be asked for within attemptWindow, known address or not.
const (
	maxLinksPerPair    = 5
	maxLinksPerEmail   = 10
	maxLinksPerAddress = 30
)

// RequestSignInLink asks for a link by mail, at the door of an agency's portal or
// (zero) the platform's. It does the same and answers the same whoever asks: who
// the address belongs to is looked up when the mail is written. address is the
// caller's network address. Errors: invalid_email, too_many, mail_unavailable.
func (s *Service) RequestSignInLink(ctx context.Context, email string, portal models.AgencyID, address string) error {
	return s.requestMail(ctx, envelope{agency: portal, kind: models.MailSignIn, to: normalEmail(email), life: MailedLinkLife}, address)
}

// requestMail puts a mail into the outbox whose words are written when it leaves.
func (s *Service) requestMail(ctx context.Context, e envelope, address string) error { //nolint:gocritic // once per mail
	if err := checkEmail(e.to); err != nil {
		return err
	}
	if !s.CanMail() {
		return noMail()
	}
	if err := s.countLinkRequest(ctx, e.to, address); err != nil {
		return err
	}
	now := s.clock.Now()
	err := s.db.InTx(ctx, func(tx *gorm.DB) error { return s.postMail(tx, e, nil, now) })
	s.post.wake()
	return err
}

// countLinkRequest counts requests for links apart from passwords: who mails
// somebody many links does not lock them out. Errors: too_many.
func (s *Service) countLinkRequest(ctx context.Context, email, address string) error {
	limits := throttles(email, address)
	for i, most := range []int{maxLinksPerPair, maxLinksPerEmail, maxLinksPerAddress} {
		limits[i] = throttle{"link-" + limits[i].subject, most}
	}
	return s.countAttempt(ctx, limits, "Too many links were asked for. Wait 15 minutes, then try again.")
}

// writeSignIn makes the link and the words of a mail that lets somebody in, or
// sets a forgotten password. It is false when nobody with this address has access
// at the door. A client who asked at the platform's door is written to in their
// agency's name, with its address.
func (s *Service) writeSignIn(ctx context.Context, m *models.Mail) (bool, error) {
	user, brand, err := s.personAt(ctx, m.Recipient, m.AgencyID)
	if problem.Is(err, "not_found") || problem.Is(err, "no_entry") {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var letter mail.Letter
	if err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		if m.Kind == models.MailPassword {
			letter, err = s.passwordLink(tx, &user, brand)
		} else {
			letter, err = s.mailedLink(tx, user.ID, brand, nil)
		}
		if err != nil || brand == nil {
			return err
		}
		m.FromAddress, err = s.stamp(tx, brand.ID, &letter)
		return err
	}); err != nil {
		return false, err
	}
	var msg mail.Message
	if err := msg.Write(letter); err != nil {
		return false, err
	}
	m.FromName, m.Subject, m.Text, m.HTML = msg.FromName, msg.Subject, msg.Text, msg.HTML
	return true, nil
}

// personAt finds who has an address, and in whose name they are written to after
// they asked at a door: an agency, or with nil the platform. Errors: not_found,
// no_entry.
func (s *Service) personAt(ctx context.Context, email string, portal models.AgencyID) (models.User, *models.Agency, error) {
	user, err := s.UserByEmail(ctx, email)
	if err != nil {
		return user, nil, err
	}
	_, err = s.Viewer(ctx, user.ID, portal)
	var brand *models.Agency
	switch {
	case problem.Is(err, "no_entry") && portal.IsZero():
		if brand, err = s.PortalOf(ctx, user.ID); err != nil {
			return user, nil, err
		}
		if brand == nil {
			return user, nil, noEntry(gorm.ErrRecordNotFound)
		}
		_, err = s.Viewer(ctx, user.ID, brand.ID)
	case err == nil && !portal.IsZero():
		brand, err = s.doorBrand(ctx, portal)
	}
	return user, brand, err
}

// mailedLink makes a link that holds for a while and replaces the one before it,
// and the letter that carries it. Using it accepts the invitation, if one is
// given.
func (s *Service) mailedLink(tx *gorm.DB, user models.UserID, portal *models.Agency, joins *models.Invitation) (mail.Letter, error) {
	token := NewSecret()
	row := models.SignInLink{
		TokenHash: secretHash(token), UserID: user, ExpiresAt: s.people.wall.Now().Add(MailedLinkLife), UsesLeft: 1, Mailed: true,
	}
	name, err := s.brandName(tx, portal)
	if err != nil {
		return mail.Letter{}, err
	}
	letter := mail.SignIn{Brand: name, URL: s.home(portal) + "/sign-in/" + token, Minutes: int(MailedLinkLife / time.Minute)}
	if joins != nil {
		row.AgencyID, row.InvitationID, letter.Joins = joins.AgencyID, joins.ID, true
	}
	if err := tx.Where("user_id = ? AND mailed = ?", user, true).Delete(&models.SignInLink{}).Error; err != nil {
		return mail.Letter{}, err
	}
	return letter.Letter(), tx.Create(&row).Error
}

// brandName is in whose name a mail is: the portal's, or the platform's.
func (s *Service) brandName(tx *gorm.DB, portal *models.Agency) (string, error) {
	if portal == nil {
		return s.post.platform, nil
	}
	b, err := s.brandIn(tx, portal)
	return b.Name, err
}
