package billing

import (
	"context"
	"errors"
	"net/mail"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// people is what signing in needs beside the database. Its clock is wall time:
// moving domain time signs nobody out.
type people struct {
	wall    models.Clock
	hashing chan struct{} // one token for each password being hashed
	swept   atomic.Int64  // when ended sessions were last deleted, in microseconds
}

func newPeople(wall models.Clock) *people {
	if wall == nil {
		wall = models.SystemClock{}
	}
	return &people{wall: wall, hashing: make(chan struct{}, maxHashing)}
}

// UserInput makes a person who can sign in.
type UserInput struct {
	Email    string
	Name     string
	Password string // 8 to 128 characters; "" for one who signs in by link only
	Admin    bool   // sees every agency
	By       Actor
}

// normalEmail is the form in which addresses are kept and compared.
func normalEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func checkEmail(s string) error {
	at, err := mail.ParseAddress(s)
	if err != nil || at.Address != s || len(s) > 254 || !utf8.ValidString(s) {
		return problem.New(problem.Invalid, "invalid_email", "Enter an e-mail address such as ana@example.com.").On("email")
	}
	return nil
}

// CreateUser makes a person. Errors: email_taken, invalid_email, invalid_name,
// invalid_password.
func (s *Service) CreateUser(ctx context.Context, in UserInput) (models.User, error) {
	now := s.clock.Now()
	in.Email = normalEmail(in.Email)
	if err := errors.Join(checkEmail(in.Email), checkName(in.Name)); err != nil {
		return models.User{}, err
	}
	user := models.User{
		ID: models.NewID[models.UserID](now), Email: in.Email, Name: strings.TrimSpace(in.Name),
		PasswordHash: unusableHash, CreatedAt: now,
	}
	if in.Admin {
		user.PlatformRole = models.PlatformAdmin
	}
	if in.Password != "" {
		hash, err := s.hashPassword(ctx, in.Password, in.Name, in.Email)
		if err != nil {
			return models.User{}, err
		}
		user.PasswordHash = hash
	}
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Create(&user).Error; err != nil {
			if models.IsDuplicate(err) {
				return problem.New(problem.Conflict, "email_taken", "There is a user with this e-mail already.").On("email")
			}
			return err
		}
		return s.audit(tx, models.AgencyID{}, in.By, "user.create", user.ID.String(), "", "", now)
	})
	return user, err
}

// DisableUser ends a person's access everywhere, at once.
func (s *Service) DisableUser(ctx context.Context, id models.UserID, by Actor) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Model(&models.User{}).Where("id = ? AND disabled_at = 0", id).Update("disabled_at", now)
		if r.Error != nil {
			return r.Error
		}
		if r.RowsAffected == 0 {
			return problem.Missing("user")
		}
		if err := endSessions(tx, id); err != nil {
			return err
		}
		if err := tx.Where("user_id = ?", id).Delete(&models.SignInLink{}).Error; err != nil {
			return err
		}
		if err := endMailedLinks(tx, id); err != nil {
			return err
		}
		return s.audit(tx, models.AgencyID{}, by, "user.disable", id.String(), "", "", now)
	})
}

// MemberInput gives a person a role in an agency.
type MemberInput struct {
	Agency     models.AgencyID
	User       models.UserID
	Role       models.Role
	SubAccount models.SubAccountID // of a client, and only of a client
	By         Actor
}

// AddMember gives a person a role in an agency. Errors: already_member,
// invalid_role, not_found.
func (s *Service) AddMember(ctx context.Context, in MemberInput) error {
	now := s.clock.Now()
	switch in.Role {
	case models.RoleOwner, models.RoleBilling, models.RoleMember, models.RoleClient:
	default:
		return problem.New(problem.Invalid, "invalid_role", "A role is owner, billing, member or client.").On("role")
	}
	if (in.Role == models.RoleClient) == in.SubAccount.IsZero() {
		return problem.New(problem.Invalid, "invalid_role", "A client belongs to one sub-account, and nobody else does.").On("role")
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		if in.Role == models.RoleClient {
			if _, _, err := s.pair(tx, in.Agency, in.SubAccount); err != nil {
				return err
			}
		}
		row := models.Member{AgencyID: in.Agency, UserID: in.User, Role: in.Role, SubAccountID: in.SubAccount, CreatedAt: now}
		if err := tx.Create(&row).Error; err != nil {
			if models.IsDuplicate(err) {
				return problem.New(problem.Conflict, "already_member", "This person has a role in the agency already.").On("user")
			}
			return err
		}
		return s.audit(tx, in.Agency, in.By, "member.add", in.User.String(), string(in.Role), "", now)
	})
}

// RemoveMember takes a person's role in an agency away, whatever it is; their
// next request finds the door closed. Errors: not_found, last_owner.
func (s *Service) RemoveMember(ctx context.Context, agency models.AgencyID, user models.UserID, by Actor) error {
	var m models.Member
	if err := s.db.Read.WithContext(ctx).Where("agency_id = ? AND user_id = ?", agency, user).Take(&m).Error; err != nil {
		return missing(err, "person")
	}
	return s.RemoveFrom(ctx, Circle{Agency: agency, SubAccount: m.SubAccountID}, user, by)
}

// Viewer is a signed-in person as they stand now: what they may see and do.
type Viewer struct {
	User       models.User
	Admin      bool        // of the platform; the rest is empty
	Role       models.Role // in Agency
	Agency     models.Agency
	SubAccount *models.SubAccount // of a client
	SeenAt     models.Time        // wall time of the last request in this role
	Places     int                // they may choose between at this door
	Assisting  bool               // looks as another (see Service.Assist): changes nothing
}

// Actor names the person in the audit log and on acts.
func (v Viewer) Actor() Actor { return Actor("user:" + v.User.Email) }

// Scope is what the person's reads may touch.
func (v Viewer) Scope() Scope { return Scope{Agency: v.Agency.ID} }

// Account is the wallet the person looks at: their sub-account's, or their
// agency's.
func (v Viewer) Account() *Account {
	a := &Account{Agency: v.Agency, SubAccount: v.SubAccount, Wallet: v.Agency.WalletID}
	zone := v.Agency.TimeZone
	if v.SubAccount != nil {
		a.Wallet, zone = v.SubAccount.WalletID, v.SubAccount.TimeZone
	}
	a.Zone = Zone(zone)
	return a
}

// Viewer is ViewerIn for somebody who has chosen no agency.
func (s *Service) Viewer(ctx context.Context, id models.UserID, portal models.AgencyID) (Viewer, error) {
	return s.ViewerIn(ctx, id, portal, models.AgencyID{})
}

// ViewerIn reads who a user is at a door: the platform's (portal zero) lets in
// admins and an agency's own people, an agency's portal lets in its clients. Who
// has several places there is in the agency they chose; without one that holds,
// an admin is an admin and others are where they came first. Nothing is
// remembered between requests, so that a role taken away is gone at once.
// Errors: no_entry.
func (s *Service) ViewerIn(ctx context.Context, id models.UserID, portal, chosen models.AgencyID) (Viewer, error) {
	var v Viewer
	db := s.db.Read.WithContext(ctx)
	if err := db.Where("id = ? AND disabled_at = 0", id).Take(&v.User).Error; err != nil {
		return Viewer{}, noEntry(err)
	}
	var roles []models.Member
	if err := atDoor(db, portal).Where("user_id = ?", id).Order("created_at, agency_id").Find(&roles).Error; err != nil {
		return Viewer{}, err
	}
	admin := portal.IsZero() && v.User.PlatformRole == models.PlatformAdmin
	v.Places = len(roles)
	if admin {
		v.Places++
	}
	at := slices.IndexFunc(roles, func(m models.Member) bool { return m.AgencyID == chosen })
	switch {
	case at < 0 && admin:
		v.Admin = true
		return v, nil
	case len(roles) == 0:
		return Viewer{}, noEntry(gorm.ErrRecordNotFound)
	}
	m := roles[max(at, 0)]
	v.Role, v.SeenAt = m.Role, m.SeenAt
	// A paused agency's people come in and read why it stands still.
	if err := db.Where("id = ?", m.AgencyID).Take(&v.Agency).Error; err != nil {
		return Viewer{}, noEntry(err)
	}
	if m.Role == models.RoleClient {
		v.SubAccount = &models.SubAccount{}
		if err := db.Where("agency_id = ? AND id = ? AND status = ?", m.AgencyID, m.SubAccountID, models.SubAccountActive).
			Take(v.SubAccount).Error; err != nil {
			return Viewer{}, noEntry(err)
		}
	}
	return v, nil
}

// atDoor is the roles that open a door.
func atDoor(db *gorm.DB, portal models.AgencyID) *gorm.DB {
	if portal.IsZero() {
		return db.Where("role <> ?", models.RoleClient)
	}
	return db.Where("agency_id = ? AND role = ?", portal, models.RoleClient)
}

// Place is an agency in which somebody has a role.
type Place struct {
	Agency models.Agency
	Role   models.Role
}

// PlacesOf lists the agencies whose people somebody belongs to, by name.
func (s *Service) PlacesOf(ctx context.Context, id models.UserID) ([]Place, error) {
	var roles []models.Member
	db := s.db.Read.WithContext(ctx)
	if err := atDoor(db, models.AgencyID{}).Where("user_id = ?", id).Find(&roles).Error; err != nil || len(roles) == 0 {
		return nil, err
	}
	byID := make(map[models.AgencyID]models.Role, len(roles))
	ids := make([]models.AgencyID, 0, len(roles))
	for _, m := range roles {
		byID[m.AgencyID] = m.Role
		ids = append(ids, m.AgencyID)
	}
	var agencies []models.Agency
	if err := db.Where("id IN ?", ids).Order("name, id").Find(&agencies).Error; err != nil {
		return nil, err
	}
	out := make([]Place, 0, len(agencies))
	for i := range agencies {
		out = append(out, Place{Agency: agencies[i], Role: byID[agencies[i].ID]})
	}
	return out, nil
}

func noEntry(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return problem.New(problem.Forbidden, "no_entry", "This account has no access here.")
	}
	return err
}

// PortalOf names the agency on whose portal a user is a client; nil when they
// are nobody's client.
func (s *Service) PortalOf(ctx context.Context, id models.UserID) (*models.Agency, error) {
	var found []models.Agency
	err := s.db.Read.WithContext(ctx).
		Joins("JOIN members m ON m.agency_id = agencies.id AND m.user_id = ? AND m.role = ?", id, models.RoleClient).
		Order("m.created_at").Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// UserByEmail finds a person. Errors: not_found.
func (s *Service) UserByEmail(ctx context.Context, email string) (models.User, error) {
	var out models.User
	return out, missing(s.db.Read.WithContext(ctx).Where("email = ?", normalEmail(email)).Take(&out).Error, "user")
}
