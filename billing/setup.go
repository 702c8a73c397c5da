package billing

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/preset"
	"refill/billing/problem"
	"refill/models"
)

// SetupStep is one step of setting the platform up.
type SetupStep string

// The steps, in order.
const (
	SetupAdmin     SetupStep = "admin"
	SetupAddress   SetupStep = "address"
	SetupDatabase  SetupStep = "database"
	SetupStripe    SetupStep = "stripe"
	SetupCatalogue SetupStep = "catalogue"
	SetupDone      SetupStep = "done"
)

// SetupSteps lists the steps in order.
func SetupSteps() []SetupStep {
	return []SetupStep{SetupAdmin, SetupAddress, SetupDatabase, SetupStripe, SetupCatalogue, SetupDone}
}

// BlankCatalogue is the choice of no preset.
const BlankCatalogue = "blank"

// The settings of set-up. Who is the first admin is one row with a key of its
// own: of two who try to be, the database lets one.
const (
	settingSetupCode  = "setup_code"
	settingFirstAdmin = "first_admin"
	settingSetupStep  = "setup." // and the step's name
	settingPreset     = "preset"
)

// Codes that people type are of letters and digits that nobody takes for one
// another, five bits each. A set-up code holds until the next start. A recovery
// code holds for years: with 120 bits a plain SHA-256 of it may be stolen.
const (
	codeLetters        = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	setupCodeLength    = 16
	recoveryCodeLength = 24
	codeGroup          = 4
)

// maxCodes is how many wrong codes all addresses together may try in a window.
const maxCodes = 10 * maxPerAddress

// HasAdmin tells whether anybody administers the platform, or ever did: a
// platform whose admin was disabled does not stand open to whoever comes next.
func (s *Service) HasAdmin(ctx context.Context) (bool, error) {
	if s.founded.Load() {
		return true, nil
	}
	has, err := hasAdmin(s.db.Read.WithContext(ctx))
	if has {
		s.founded.Store(true) // for ever: users are never deleted
	}
	return has, err
}

func hasAdmin(tx *gorm.DB) (bool, error) {
	var n int64
	err := tx.Model(&models.User{}).Where("platform_role = ?", models.PlatformAdmin).Limit(1).Count(&n).Error
	return n > 0, err
}

// NewSetupCode makes the code that lets the first admin in, in place of any
// before; "" when there is an admin. Only its hash is kept.
func (s *Service) NewSetupCode(ctx context.Context) (string, error) {
	code := newCode(setupCodeLength)
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		has, err := hasAdmin(tx)
		if err != nil {
			return err
		}
		if has {
			code = ""
			return tx.Where("name = ?", settingSetupCode).Delete(&models.Setting{}).Error
		}
		return keepSetting(tx, settingSetupCode, hashCode(code))
	})
	if err != nil {
		return "", err
	}
	return code, nil
}

// newCode is like 7K4M-Q2XR-9DTP-0WHC, of a number of letters.
func newCode(length int) string {
	raw := make([]byte, length)
	_, _ = rand.Read(raw) // never fails: the runtime aborts without randomness
	var b strings.Builder
	for i, x := range raw {
		if i > 0 && i%codeGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(codeLetters[int(x)%len(codeLetters)]) // 32 letters: no bias
	}
	return b.String()
}

// hashCode takes a code as people type it: in small letters, with spaces, or
// with an O for the zero and an I or L for the one.
func hashCode(typed string) string {
	read := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '-', '\t', '\u00a0', '–':
			return -1
		case 'O', 'o':
			return '0'
		case 'I', 'i', 'L', 'l':
			return '1'
		}
		return r
	}, typed)
	return hex.EncodeToString(secretHash(strings.ToUpper(read)))
}

// keepSetting writes a setting, new or not.
func keepSetting(tx *gorm.DB, name, value string) error {
	return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "name"}}, DoUpdates: clause.AssignmentColumns([]string{"value"})}).
		Create(&models.Setting{Name: name, Value: value}).Error
}

// FirstAdminInput is who sets the platform up.
type FirstAdminInput struct {
	Code     string // from the log
	Name     string
	Email    string
	Password string
	Address  string // where the request came from, to count wrong codes
}

// FirstAdminByCode makes the platform's first admin, for whoever has the code
// from the log. All that is wrong with the fields is told at once. Errors:
// setup_over, wrong_code, too_many, invalid_name, invalid_email,
// invalid_password, email_taken.
func (s *Service) FirstAdminByCode(ctx context.Context, in FirstAdminInput) (models.User, error) {
	has, err := s.HasAdmin(ctx)
	if err != nil {
		return models.User{}, err
	}
	if has {
		return models.User{}, setupOver()
	}
	code := s.checkCode(ctx, in.Code, in.Address)
	if code != nil && problem.Of(code) == nil || problem.Is(code, "too_many") {
		return models.User{}, code
	}
	if code != nil { // it may have become void just now
		if has, err = s.HasAdmin(ctx); err != nil {
			return models.User{}, err
		} else if has {
			return models.User{}, setupOver()
		}
	}
	user := UserInput{Email: in.Email, Name: in.Name, Password: in.Password, Admin: true}
	// What can be said without a look at who there is.
	if err := errors.Join(code, checkName(in.Name), checkEmail(normalEmail(in.Email)), checkNewPassword(in.Password, in.Name, in.Email)); err != nil {
		return models.User{}, err
	}
	return s.firstAdmin(ctx, user, hashCode(in.Code))
}

// FirstAdmin makes the platform's first admin, for whoever has the database
// itself. Errors: setup_over, invalid_name, invalid_email, invalid_password,
// email_taken.
func (s *Service) FirstAdmin(ctx context.Context, in UserInput) (models.User, error) {
	in.Admin = true
	if err := errors.Join(checkName(in.Name), checkEmail(normalEmail(in.Email)), checkNewPassword(in.Password, in.Name, in.Email)); err != nil {
		return models.User{}, err
	}
	return s.firstAdmin(ctx, in, "")
}

// checkCode compares in constant time, and counts before it compares. Errors:
// wrong_code, too_many.
func (s *Service) checkCode(ctx context.Context, typed, address string) error {
	where := network(address)
	limits := []throttle{{"setup@" + where, maxPerPair}, {"setup", maxCodes}}
	if strings.TrimSpace(typed) == "" {
		return problem.New(problem.Invalid, "wrong_code", "Enter the code from the server's log.").On("code")
	}
	if err := s.countAttempt(ctx, limits, "Too many wrong codes. Wait 15 minutes, then try again."); err != nil {
		return err
	}
	kept, err := s.Setting(ctx, settingSetupCode)
	if err != nil {
		return err
	}
	if kept == "" || subtle.ConstantTimeCompare([]byte(kept), []byte(hashCode(typed))) != 1 {
		return problem.New(problem.Invalid, "wrong_code",
			"This is not the code. It is in the server's log, in the line that says set-up; each start of the server writes a new one.").On("code")
	}
	return s.db.Write.WithContext(ctx).Where("subject = ?", limits[0].subject).Delete(&models.SignInAttempt{}).Error
}

// firstAdmin makes the user once: the row that names the first admin is the
// authority, and a code (its hash; "" for none) is used up with it.
func (s *Service) firstAdmin(ctx context.Context, in UserInput, code string) (models.User, error) {
	now := s.clock.Now()
	hash, err := s.hashPassword(ctx, in.Password, in.Name, in.Email)
	if err != nil {
		return models.User{}, err
	}
	user := models.User{
		ID: models.NewID[models.UserID](now), Email: normalEmail(in.Email), Name: strings.TrimSpace(in.Name),
		PasswordHash: hash, PlatformRole: models.PlatformAdmin, CreatedAt: now,
	}
	by := in.By
	if by == "" {
		by = Actor("user:" + user.Email)
	}
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&models.Setting{Name: settingFirstAdmin, Value: user.ID.String()})
		if r.Error != nil {
			return r.Error
		}
		has, err := hasAdmin(tx)
		if err != nil {
			return err
		}
		if has || r.RowsAffected == 0 {
			return setupOver()
		}
		r = tx.Where("name = ?", settingSetupCode)
		if code != "" {
			r = r.Where("value = ?", code)
		}
		if r = r.Delete(&models.Setting{}); r.Error != nil {
			return r.Error
		}
		if code != "" && r.RowsAffected == 0 { // the server was started again meanwhile
			return problem.New(problem.Invalid, "wrong_code", "The server has written a new code meanwhile. Enter the one from its latest start.").On("code")
		}
		if err := tx.Create(&user).Error; err != nil {
			if models.IsDuplicate(err) {
				return problem.New(problem.Conflict, "email_taken", "There is a user with this e-mail already. Use another address for the admin.").On("email")
			}
			return err
		}
		if code != "" {
			if err := keepSetting(tx, settingSetupStep+string(SetupAdmin), now.RFC3339()); err != nil {
				return err
			}
		}
		return s.audit(tx, models.AgencyID{}, by, "setup.admin", user.ID.String(), user.Email, "", now)
	})
	if err != nil {
		return models.User{}, err
	}
	s.founded.Store(true)
	return user, nil
}

func setupOver() error {
	return problem.New(problem.Conflict, "setup_over", "There is an admin already, so the code is void.")
}

// SetupState is how far the set-up is.
type SetupState struct {
	Begun bool // in the browser; a platform set up otherwise has nothing left to do
	Done  map[SetupStep]bool
}

// Open is the first step that is not done; "" when there is none, or when the
// set-up never went through the browser.
func (t SetupState) Open() SetupStep {
	if !t.Begun {
		return ""
	}
	for _, step := range SetupSteps() {
		if !t.Done[step] {
			return step
		}
	}
	return ""
}

// SetupState reads how far the set-up is.
func (s *Service) SetupState(ctx context.Context) (SetupState, error) {
	var rows []models.Setting
	err := s.db.Read.WithContext(ctx).Where("name LIKE ?", settingSetupStep+"%").Find(&rows).Error
	out := SetupState{Done: map[SetupStep]bool{}}
	for _, r := range rows {
		out.Done[SetupStep(strings.TrimPrefix(r.Name, settingSetupStep))] = true
	}
	out.Begun = out.Done[SetupAdmin]
	return out, err
}

// FinishStep notes that a step is done. Doing it again changes nothing.
func (s *Service) FinishStep(ctx context.Context, step SetupStep, by Actor) error {
	return s.db.InTx(ctx, func(tx *gorm.DB) error { return s.finishStep(tx, step, "", by, s.clock.Now()) })
}

// finishStep is audited the first time, and when it changed something.
func (s *Service) finishStep(tx *gorm.DB, step SetupStep, detail string, by Actor, now models.Time) error {
	r := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&models.Setting{Name: settingSetupStep + string(step), Value: now.RFC3339()})
	if r.Error != nil || r.RowsAffected == 0 && detail == "" {
		return r.Error
	}
	return s.audit(tx, models.AgencyID{}, by, "setup."+string(step), "", detail, "", now)
}

// SetPlatformZone sets the time zone of the admins' pages, and finishes the
// step. Errors: invalid_time_zone.
func (s *Service) SetPlatformZone(ctx context.Context, zone string, by Actor) error {
	now := s.clock.Now()
	if zone == "" {
		return problem.New(problem.Invalid, "invalid_time_zone", "Enter a time zone such as Europe/Paris or UTC.").On("time_zone")
	}
	if err := checkZone(zone); err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := keepSetting(tx, zoneSetting, zone); err != nil {
			return err
		}
		return s.finishStep(tx, SetupAddress, "time zone "+zone, by, now)
	})
}

// ChooseCatalogue fills the empty catalogue from a preset, or with BlankCatalogue
// makes an empty rate card to begin with, and finishes the step. Errors:
// unknown_preset, catalogue_not_empty.
func (s *Service) ChooseCatalogue(ctx context.Context, name string, by Actor) error {
	now := s.clock.Now()
	var err error
	if name == BlankCatalogue {
		err = s.startBlank(ctx)
	} else {
		c, unknown := preset.Load(name)
		if unknown != nil {
			return problem.New(problem.Invalid, "unknown_preset", "Choose one of the catalogues, or the blank one.").On("preset")
		}
		err = s.Import(ctx, c, by)
	}
	if models.IsDuplicate(err) { // the same choice, sent twice at once
		err = problem.New(problem.Conflict, "catalogue_not_empty", "There are plans already; a preset starts an empty catalogue.")
	}
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error { return s.finishStep(tx, SetupCatalogue, name, by, now) })
}

// startBlank makes a rate card without versions, so that rates have where to
// go. Doing it again changes nothing.
func (s *Service) startBlank(ctx context.Context) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		var plans, cards int64
		if err := errors.Join(tx.Model(&models.Plan{}).Count(&plans).Error, tx.Model(&models.RateCard{}).Count(&cards).Error); err != nil {
			return err
		}
		if plans > 0 {
			return problem.New(problem.Conflict, "catalogue_not_empty", "There are plans already.")
		}
		if cards > 0 {
			return nil
		}
		if err := tx.Create(&models.RateCard{ID: models.NewID[models.RateCardID](now), Code: "standard", Name: "Standard", CreatedAt: now}).Error; err != nil {
			return err
		}
		return keepSetting(tx, settingPreset, BlankCatalogue)
	})
}

// DatabaseFacts are what the admin may know of the database.
func (s *Service) DatabaseFacts(ctx context.Context) (models.Facts, error) { return s.db.Facts(ctx) }
