package billing

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/mail"
	"refill/billing/problem"
	"refill/models"
)

// InvitationLife is how long an invitation holds, in domain time.
const InvitationLife = 7 * 24 * time.Hour

// Circle is people who share an account: an agency's team, or with a sub-account
// that client's people. A verb that is given a circle touches nobody outside it.
type Circle struct {
	Agency     models.AgencyID
	SubAccount models.SubAccountID
}

// members is who belongs to the circle: clients, or people with one of the team's
// roles.
func (c Circle) members(tx *gorm.DB) *gorm.DB {
	tx = tx.Where("members.agency_id = ?", c.Agency)
	if c.SubAccount.IsZero() {
		return tx.Where("members.role <> ?", models.RoleClient)
	}
	return tx.Where("members.role = ? AND members.sub_account_id = ?", models.RoleClient, c.SubAccount)
}

func (c Circle) invitations(tx *gorm.DB) *gorm.DB {
	tx = tx.Where("invitations.agency_id = ?", c.Agency)
	if c.SubAccount.IsZero() {
		return tx.Where("invitations.sub_account_id IS NULL")
	}
	return tx.Where("invitations.sub_account_id = ?", c.SubAccount)
}

// checkRole refuses a role that the circle does not have.
func (c Circle) checkRole(r models.Role) error {
	switch r {
	case models.RoleClient:
		if !c.SubAccount.IsZero() {
			return nil
		}
	case models.RoleOwner, models.RoleBilling, models.RoleMember:
		if c.SubAccount.IsZero() {
			return nil
		}
	}
	return problem.New(problem.Invalid, "invalid_role", "Choose what this person may do: owner, billing or member.").On("role")
}

// Person is somebody with a role, as others of the circle see them.
type Person struct {
	ID     models.UserID
	Email  string
	Name   string
	Role   models.Role
	Since  models.Time
	SeenAt models.Time // wall time of the last request here; unset: never
}

// PeopleList is who has access, and who is invited.
type PeopleList struct {
	People  []Person
	Invited []models.Invitation // open ones, expired or not
}

// PeopleOf lists who belongs to a circle, owners first, and who is invited to it.
func (s *Service) PeopleOf(ctx context.Context, c Circle) (PeopleList, error) {
	var out PeopleList
	db := s.db.Read.WithContext(ctx)
	if err := c.members(peopleIn(db)).
		Order("CASE members.role WHEN 'owner' THEN 0 WHEN 'billing' THEN 1 ELSE 2 END, users.name, users.id").Scan(&out.People).Error; err != nil {
		return out, err
	}
	return out, c.invitations(db).Where("accepted_at = 0 AND revoked_at = 0").Order("created_at, id").Find(&out.Invited).Error
}

// PersonIn reads one person of a circle. Errors: not_found.
func (s *Service) PersonIn(ctx context.Context, c Circle, id models.UserID) (Person, error) {
	var out []Person
	err := c.members(peopleIn(s.db.Read.WithContext(ctx))).Where("members.user_id = ?", id).Limit(1).Scan(&out).Error
	if err == nil && len(out) == 0 {
		err = problem.Missing("person")
	}
	if err != nil {
		return Person{}, err
	}
	return out[0], nil
}

func peopleIn(db *gorm.DB) *gorm.DB {
	return db.Table("members").Joins("JOIN users ON users.id = members.user_id AND users.disabled_at = 0").
		Select("users.id, users.email, users.name, members.role, members.created_at AS since, members.seen_at")
}

// InviteInput invites a person into a circle.
type InviteInput struct {
	Circle
	Email string
	Role  models.Role // of the team; a client's needs none
	// From is the e-mail address of who invites: named in the mail, and where
	// answers go.
	From string
	// Peer is set when a client invites: they are not told who has access
	// elsewhere at their agency.
	Peer bool
	By   Actor
}

// Invite offers a person a role by mail. An open invitation of the same address
// is replaced. Errors: invalid_email, invalid_role, already_member, not_found,
// sub_account_archived.
func (s *Service) Invite(ctx context.Context, in InviteInput) (models.Invitation, error) {
	now := s.clock.Now()
	in.Email = normalEmail(in.Email)
	if !in.SubAccount.IsZero() {
		in.Role = models.RoleClient
	}
	if err := errors.Join(checkEmail(in.Email), in.checkRole(in.Role)); err != nil {
		return models.Invitation{}, err
	}
	row := models.Invitation{
		AgencyID: in.Agency, SubAccountID: in.SubAccount, Email: in.Email, Role: in.Role, InvitedBy: in.From, CreatedAt: now,
	}
	err := s.once(ctx, func(tx *gorm.DB) error {
		var has []models.Member
		if err := tx.Joins("JOIN users u ON u.id = members.user_id AND u.email = ?", in.Email).Where("members.agency_id = ?", in.Agency).
			Find(&has).Error; err != nil {
			return err
		}
		for _, m := range has {
			if !in.Peer || m.SubAccountID == in.SubAccount {
				return problem.New(problem.Conflict, "already_member", "This person has access already.").On("email")
			}
		}
		if err := in.invitations(tx.Model(&models.Invitation{})).Where("email = ? AND accepted_at = 0 AND revoked_at = 0", in.Email).
			Update("revoked_at", now).Error; err != nil {
			return err
		}
		row.ID = models.NewID[models.InvitationID](now)
		if err := s.sendInvitation(tx, &row, in.From, now, func(row *models.Invitation) error { return tx.Create(row).Error }); err != nil {
			return err
		}
		return s.audit(tx, in.Agency, in.By, "member.invite", row.ID.String(), in.Email+" as "+string(in.Role), "", now)
	})
	s.post.wake()
	return row, err
}

// sendInvitation gives an invitation a new token and life, keeps it, and writes
// the mail with the token.
func (s *Service) sendInvitation(tx *gorm.DB, row *models.Invitation, from string, now models.Time, keep func(*models.Invitation) error) error {
	agency, sub, err := s.houseOf(tx, row)
	if err != nil {
		return err
	}
	token := NewSecret()
	row.TokenHash, row.SentAt, row.ExpiresAt = secretHash(token), now, now.Add(InvitationLife)
	if err := keep(row); err != nil {
		return err
	}
	letter := mail.Invitation{
		Brand: s.post.platform, Inviter: from, URL: s.home(nil) + "/invitations/" + token, Place: agency.Name,
		Until: row.ExpiresAt.In(Zone(agency.TimeZone)).Format("Mon, Jan 2"),
	}
	e := envelope{kind: models.MailInvitation, to: row.Email, replyTo: from, life: InvitationLife}
	if sub != nil {
		e.agency = agency.ID
		if letter.Brand, err = s.brandName(tx, &agency); err != nil {
			return err
		}
		letter.Place, letter.URL = sub.Name, s.home(&agency)+"/invitations/"+token
		letter.Until = row.ExpiresAt.In(Zone(sub.TimeZone)).Format("Mon, Jan 2")
	}
	l := letter.Letter()
	return s.postMail(tx, e, &l, now)
}

// houseOf is where an invitation leads; the sub-account is nil for an agency's
// team. Errors: not_found, sub_account_archived.
func (s *Service) houseOf(tx *gorm.DB, row *models.Invitation) (models.Agency, *models.SubAccount, error) {
	if row.SubAccountID.IsZero() {
		var agency models.Agency
		return agency, nil, missing(tx.Where("id = ?", row.AgencyID).Take(&agency).Error, "agency")
	}
	agency, sub, err := s.pair(tx, row.AgencyID, row.SubAccountID)
	if err == nil && sub.Status != models.SubAccountActive {
		err = archived(&sub)
	}
	return agency, &sub, err
}

// openInvitation reads an invitation of a circle that is neither accepted nor
// revoked. Errors: not_found.
func openInvitation(tx *gorm.DB, c Circle, id models.InvitationID) (models.Invitation, error) {
	var row models.Invitation
	err := c.invitations(tx).Where("id = ? AND accepted_at = 0 AND revoked_at = 0", id).Take(&row).Error
	return row, missing(err, "invitation")
}

// ResendInvitation sends an invitation again, for another seven days; the link in
// the first mail holds no longer. from is as InviteInput.From. Errors: not_found,
// sub_account_archived.
func (s *Service) ResendInvitation(ctx context.Context, c Circle, id models.InvitationID, from string, by Actor) (models.Invitation, error) {
	now := s.clock.Now()
	var row models.Invitation
	err := s.db.InTx(ctx, func(tx *gorm.DB) (err error) {
		if row, err = openInvitation(tx, c, id); err != nil {
			return err
		}
		if err := s.sendInvitation(tx, &row, from, now, func(row *models.Invitation) error {
			return c.invitations(tx.Model(&models.Invitation{})).Where("id = ? AND accepted_at = 0 AND revoked_at = 0", id).
				Updates(map[string]any{"token_hash": row.TokenHash, "sent_at": row.SentAt, "expires_at": row.ExpiresAt}).Error
		}); err != nil {
			return err
		}
		return s.audit(tx, c.Agency, by, "member.invite_again", id.String(), row.Email, "", now)
	})
	s.post.wake()
	return row, err
}

// RevokeInvitation takes an invitation back; its link opens nothing any more.
// Errors: not_found.
func (s *Service) RevokeInvitation(ctx context.Context, c Circle, id models.InvitationID, by Actor) (models.Invitation, error) {
	now := s.clock.Now()
	var row models.Invitation
	err := s.db.InTx(ctx, func(tx *gorm.DB) (err error) {
		if row, err = openInvitation(tx, c, id); err != nil {
			return err
		}
		if err := c.invitations(tx.Model(&models.Invitation{})).Where("id = ?", id).Update("revoked_at", now).Error; err != nil {
			return err
		}
		return s.audit(tx, c.Agency, by, "member.uninvite", id.String(), row.Email, "", now)
	})
	return row, err
}

// InvitationOffer is an invitation as the invited person sees it.
type InvitationOffer struct {
	Invitation models.Invitation
	Agency     models.Agency
	SubAccount *models.SubAccount // nil: the agency's team
	Known      bool               // this address signs in already, somewhere
	Password   bool               // and has a password
}

// Place is what the person will get to.
func (o *InvitationOffer) Place() string {
	if o.SubAccount != nil {
		return o.SubAccount.Name
	}
	return o.Agency.Name
}

// InvitationByToken reads an invitation by its token, at the door it is for: a client's on
// their agency's portal, an agency's on the platform (portal zero). Looking uses
// nothing up. Errors: invitation_expired.
func (s *Service) InvitationByToken(ctx context.Context, token string, portal models.AgencyID) (InvitationOffer, error) {
	return s.openOffer(s.db.Read.WithContext(ctx), token, portal, s.clock.Now())
}

func (s *Service) openOffer(tx *gorm.DB, token string, portal models.AgencyID, now models.Time) (InvitationOffer, error) {
	var out InvitationOffer
	err := tx.Where("token_hash = ? AND accepted_at = 0 AND revoked_at = 0 AND expires_at > ?", secretHash(token), now).Take(&out.Invitation).Error
	if errors.Is(err, gorm.ErrRecordNotFound) || err == nil && doorOf(&out.Invitation) != portal {
		return InvitationOffer{}, invitationExpired()
	}
	if err != nil {
		return InvitationOffer{}, err
	}
	out.Agency, out.SubAccount, err = s.houseOf(tx, &out.Invitation)
	if problem.Is(err, "sub_account_archived") {
		return InvitationOffer{}, invitationExpired()
	}
	if err != nil {
		return InvitationOffer{}, err
	}
	var user models.User
	err = tx.Where("email = ?", out.Invitation.Email).Take(&user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return out, nil
	}
	out.Known, out.Password = true, user.PasswordHash != unusableHash
	return out, err
}

// doorOf is where an invitation is accepted: clients never see the platform.
func doorOf(row *models.Invitation) models.AgencyID {
	if row.SubAccountID.IsZero() {
		return models.AgencyID{}
	}
	return row.AgencyID
}

func invitationExpired() error {
	return problem.New(problem.NotFound, "invitation_expired", "This invitation is used up, taken back or too old.")
}

// AcceptInput accepts an invitation.
type AcceptInput struct {
	Token  string
	Portal models.AgencyID // the door; zero: the platform's
	// As is somebody who has just proven who they are; zero for a new person, who
	// chooses a name and a password.
	As       models.UserID
	Name     string
	Password string // 8 to 128 characters
}

// AcceptInvitation gives the invited person their role, making them first when
// nobody signs in with the address yet. Of two at the same time one wins.
// Errors: invitation_expired, sign_in_first (the address has an account, which is
// not who accepts), already_member, invalid_name, invalid_password, too_many.
func (s *Service) AcceptInvitation(ctx context.Context, in AcceptInput) (models.User, models.Invitation, error) {
	now := s.clock.Now()
	o, err := s.InvitationByToken(ctx, in.Token, in.Portal)
	if err != nil {
		return models.User{}, models.Invitation{}, err
	}
	user := models.User{Email: o.Invitation.Email, Name: strings.TrimSpace(in.Name), CreatedAt: now}
	if !o.Known {
		wrong := checkName(in.Name)
		user.PasswordHash, err = s.hashPassword(ctx, in.Password, in.Name, user.Email)
		if err := errors.Join(wrong, err); err != nil {
			return models.User{}, models.Invitation{}, err
		}
	}
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		o, err := s.openOffer(tx, in.Token, in.Portal, now)
		if err != nil {
			return err
		}
		if o.Known {
			if err := tx.Where("email = ? AND disabled_at = 0", o.Invitation.Email).Take(&user).Error; err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
				return err
			}
			if user.ID != in.As || in.As.IsZero() {
				return problem.New(problem.Unauthorized, "sign_in_first", "This address has an account already. Sign in with it to accept.")
			}
		} else {
			user.ID = models.NewID[models.UserID](now)
			if err := tx.Create(&user).Error; err != nil {
				if models.IsDuplicate(err) { // invited twice, accepting both at once
					return problem.New(problem.Unauthorized, "sign_in_first", "This address has an account already. Sign in with it to accept.")
				}
				return err
			}
		}
		return s.takeUp(tx, &o.Invitation, user, now)
	})
	return user, o.Invitation, err
}

// takeUp makes an open invitation's role the person's own. Errors:
// invitation_expired, already_member.
func (s *Service) takeUp(tx *gorm.DB, row *models.Invitation, user models.User, now models.Time) error {
	r := tx.Model(&models.Invitation{}).
		Where("token_hash = ? AND accepted_at = 0 AND revoked_at = 0 AND expires_at > ?", row.TokenHash, now).Update("accepted_at", now)
	if r.Error != nil {
		return r.Error
	}
	if r.RowsAffected == 0 {
		return invitationExpired()
	}
	member := models.Member{AgencyID: row.AgencyID, UserID: user.ID, Role: row.Role, SubAccountID: row.SubAccountID, CreatedAt: now}
	if err := tx.Create(&member).Error; err != nil {
		if models.IsDuplicate(err) {
			return problem.New(problem.Conflict, "already_member", "This address has access to another account here already. Ask who invited you to use another address.")
		}
		return err
	}
	return s.audit(tx, row.AgencyID, Actor("user:"+user.Email), "member.join", user.ID.String(), string(row.Role), "", now)
}

// RequestJoinLink mails somebody who is invited, and signs in already, a link that
// accepts the invitation: for those who have no password or forgot it. address is
// the caller's network address. Errors: invitation_expired, too_many,
// mail_unavailable.
func (s *Service) RequestJoinLink(ctx context.Context, token string, portal models.AgencyID, address string) error {
	now := s.clock.Now()
	if !s.CanMail() {
		return noMail()
	}
	o, err := s.InvitationByToken(ctx, token, portal)
	if err != nil {
		return err
	}
	if err := s.countLinkRequest(ctx, o.Invitation.Email, address); err != nil {
		return err
	}
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		o, err := s.openOffer(tx, token, portal, now)
		if err != nil {
			return err
		}
		var user models.User
		if err := tx.Where("email = ? AND disabled_at = 0", o.Invitation.Email).Take(&user).Error; err != nil {
			return cmp.Or(missing(err, "account"), err)
		}
		var brand *models.Agency
		if o.SubAccount != nil {
			brand = &o.Agency
		}
		letter, err := s.mailedLink(tx, user.ID, brand, &o.Invitation)
		if err != nil {
			return err
		}
		return s.postMail(tx, envelope{agency: portal, kind: models.MailSignIn, to: user.Email, life: MailedLinkLife}, &letter, now)
	})
	s.post.wake()
	return err
}

// ChangeRole gives somebody of an agency's team another role. Errors: not_found,
// invalid_role, last_owner.
func (s *Service) ChangeRole(ctx context.Context, agency models.AgencyID, user models.UserID, to models.Role, by Actor) error {
	team := Circle{Agency: agency}
	if err := team.checkRole(to); err != nil {
		return err
	}
	return s.changeMember(ctx, team, user, func(tx *gorm.DB, m *models.Member, now models.Time) error {
		if m.Role == to {
			return nil
		}
		if m.Role == models.RoleOwner {
			if err := notTheLastOwner(tx, m); err != nil {
				return err
			}
		}
		if err := tx.Model(&models.Member{}).Where("agency_id = ? AND user_id = ?", agency, user).Update("role", to).Error; err != nil {
			return err
		}
		return s.audit(tx, agency, by, "member.role", user.String(), string(m.Role)+" → "+string(to), "", now)
	})
}

// RemoveFrom takes somebody's role in a circle away; their next request finds the
// door closed. Errors: not_found, last_owner.
func (s *Service) RemoveFrom(ctx context.Context, c Circle, user models.UserID, by Actor) error {
	return s.changeMember(ctx, c, user, func(tx *gorm.DB, m *models.Member, now models.Time) error {
		return s.removeMember(tx, m, by, now)
	})
}

// changeMember changes somebody of a circle while nobody else changes the
// agency's people: the agency's row makes them take turns, so that of two last
// owners one stays.
func (s *Service) changeMember(ctx context.Context, c Circle, user models.UserID, change func(tx *gorm.DB, m *models.Member, now models.Time) error) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		var agency models.Agency
		if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ?", c.Agency).Take(&agency).Error; err != nil {
			return missing(err, "person")
		}
		var m models.Member
		if err := c.members(tx).Where("user_id = ?", user).Take(&m).Error; err != nil {
			return missing(err, "person")
		}
		return change(tx, &m, now)
	})
}

func (s *Service) removeMember(tx *gorm.DB, m *models.Member, by Actor, now models.Time) error {
	if m.Role == models.RoleOwner {
		if err := notTheLastOwner(tx, m); err != nil {
			return err
		}
	}
	if err := tx.Where("agency_id = ? AND user_id = ?", m.AgencyID, m.UserID).Delete(&models.Member{}).Error; err != nil {
		return err
	}
	return s.audit(tx, m.AgencyID, by, "member.remove", m.UserID.String(), string(m.Role), "", now)
}

// notTheLastOwner refuses to leave an agency without anybody who may do
// everything. Errors: last_owner.
func notTheLastOwner(tx *gorm.DB, m *models.Member) error {
	var others int64
	if err := tx.Model(&models.Member{}).Joins("JOIN users u ON u.id = members.user_id AND u.disabled_at = 0").
		Where("members.agency_id = ? AND members.role = ? AND members.user_id <> ?", m.AgencyID, models.RoleOwner, m.UserID).
		Count(&others).Error; err != nil {
		return err
	}
	if others == 0 {
		return problem.New(problem.Conflict, "last_owner", "This is the last owner. Make somebody else an owner first.").On("role")
	}
	return nil
}
